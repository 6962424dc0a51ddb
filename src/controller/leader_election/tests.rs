#![allow(clippy::unwrap_used)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn lease(version: &str, holder: &str) -> Lease {
    Lease {
        version: version.into(),
        holder: holder.into(),
        seconds: LEASE_DURATION.as_secs(),
        transitions: 0,
    }
}

#[test]
fn a_lease_that_is_not_there_is_created_and_its_holder_leads() {
    let mut elector = Elector::new("a".into());
    assert_eq!(elector.next(seconds(0)), ElectionState::Read);
    elector.saw(None, seconds(1));
    let ElectionState::Write(wanted) = elector.next(seconds(1)) else { unreachable!() };
    assert_eq!((wanted.version.as_str(), wanted.holder.as_str(), wanted.transitions), ("", "a", 1));
    assert!(!elector.leads(seconds(1)));
    elector.wrote(Some(lease("1", "a")), seconds(1), seconds(2));
    assert!(elector.leads(seconds(2)));
    assert!(
        !elector.leads(seconds(1) + RENEW_DEADLINE),
        "from when the write was begun, not from its answer"
    );
}

#[test]
fn another_ones_lease_is_taken_when_it_was_not_written_for_as_long_as_it_lasts() {
    let mut elector = Elector::new("b".into());
    elector.saw(Some(lease("1", "a")), seconds(0));
    assert_eq!(elector.next(seconds(29)), ElectionState::Rest);
    elector.saw(Some(lease("2", "a")), seconds(29));
    assert_eq!(elector.next(seconds(58)), ElectionState::Rest, "it was written meanwhile");
    elector.saw(Some(lease("2", "a")), seconds(58));
    let ElectionState::Write(wanted) = elector.next(seconds(59)) else { unreachable!() };
    assert_eq!(
        (wanted.version.as_str(), wanted.holder.as_str(), wanted.transitions),
        ("2", "b", 1)
    );
}

#[test]
fn a_lease_that_was_let_go_is_taken_at_once() {
    let mut elector = Elector::new("b".into());
    elector.saw(Some(lease("1", "")), seconds(0));
    assert!(matches!(elector.next(seconds(0)), ElectionState::Write(_)));
}

#[test]
fn who_was_outrun_looks_again_and_does_not_lead() {
    let mut elector = Elector::new("a".into());
    elector.saw(Some(lease("1", "a")), seconds(0));
    elector.wrote(Some(lease("2", "a")), seconds(0), seconds(0));
    elector.wrote(None, seconds(5), seconds(6));
    assert_eq!(elector.next(seconds(6)), ElectionState::Read);
    elector.saw(Some(lease("3", "b")), seconds(7));
    assert!(!elector.leads(seconds(7)));
}

/// What happens to a request: how long until it takes effect, how long until its answer, and whether either is lost.
#[derive(Clone, Debug)]
struct Fate {
    effect: Option<u64>,
    answer: Option<u64>,
}

/// Mostly quick; now and then late by up to a minute, long after it was given up, or lost.
fn fate() -> impl Strategy<Value = Fate> {
    let delay = || prop_oneof![8 => (0_u64..500).prop_map(Some), 1 => (0_u64..60_000).prop_map(Some), 1 => Just(None)];
    (delay(), delay()).prop_map(|(effect, answer)| Fate { effect, answer })
}

/// Something that is due, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Wakes(usize),
    Arrives(usize, usize),
    Answers(usize, usize),
    GivesUp(usize, usize),
}

struct Request {
    step: ElectionState,
    begun: Duration,
    result: Option<Option<Lease>>,
    is_over: bool,
}

/// Plays replicas and an API server that refuses what was written for another version.
fn play(starts: &[u64], fates: &[Fate], until: u64) -> Vec<(u64, usize)> {
    let mut electors: Vec<_> =
        (0..starts.len()).map(|number| Elector::new(number.to_string())).collect();
    let (mut stored, mut version, mut requests, mut leaders) =
        (None::<Lease>, 0, Vec::<Request>::new(), Vec::new());
    let mut due: BinaryHeap<_> = starts
        .iter()
        .enumerate()
        .map(|(replica, start)| Reverse((*start, Due::Wakes(replica))))
        .collect();
    while let Some(Reverse((now, what))) = due.pop().filter(|Reverse((now, _))| *now < until) {
        let local = |replica: usize| Duration::from_millis(now - starts[replica]);
        match what {
            Due::Wakes(replica) => {
                let step = electors[replica].next(local(replica));
                if step == ElectionState::Rest {
                    electors[replica].rested();
                    due.push(Reverse((now + RETRY_PERIOD.as_millis() as u64, Due::Wakes(replica))));
                } else {
                    let (number, fate) = (requests.len(), fates.get(requests.len()));
                    let Fate { effect, answer } =
                        fate.cloned().unwrap_or(Fate { effect: Some(1), answer: Some(1) });
                    requests.push(Request {
                        step,
                        begun: local(replica),
                        result: None,
                        is_over: false,
                    });
                    due.push(Reverse((
                        now + RETRY_PERIOD.as_millis() as u64,
                        Due::GivesUp(replica, number),
                    )));
                    if let Some(effect) = effect {
                        due.push(Reverse((now + effect, Due::Arrives(replica, number))));
                        due.extend(answer.map(|answer| {
                            Reverse((now + effect + answer, Due::Answers(replica, number)))
                        }));
                    }
                }
            }
            Due::Arrives(_, number) => {
                let result = match &requests[number].step {
                    ElectionState::Write(lease)
                        if lease.version
                            == stored.as_ref().map_or("", |stored: &Lease| &stored.version) =>
                    {
                        version += 1;
                        stored = Some(Lease { version: version.to_string(), ..lease.clone() });
                        stored.clone()
                    }
                    ElectionState::Write(_) => None,
                    _ => stored.clone(),
                };
                requests[number].result = Some(result);
            }
            Due::Answers(replica, number) if !requests[number].is_over => {
                let request = &mut requests[number];
                request.is_over = true;
                let (result, begun) = (request.result.take().unwrap(), request.begun);
                match request.step {
                    ElectionState::Read => electors[replica].saw(result, local(replica)),
                    _ => electors[replica].wrote(result, begun, local(replica)),
                }
                let is_acted_on = request.step == ElectionState::Read
                    && matches!(electors[replica].next(local(replica)), ElectionState::Write(_));
                if !is_acted_on {
                    electors[replica].rested();
                }
                let pause = if is_acted_on { 0 } else { RETRY_PERIOD.as_millis() as u64 };
                due.push(Reverse((now + pause, Due::Wakes(replica))));
            }
            Due::GivesUp(replica, number) if !requests[number].is_over => {
                requests[number].is_over = true;
                electors[replica].is_stale = true;
                due.push(Reverse((now + RETRY_PERIOD.as_millis() as u64, Due::Wakes(replica))));
            }
            Due::Answers(..) | Due::GivesUp(..) => {}
        }
        let leads =
            |replica: &usize| now >= starts[*replica] && electors[*replica].leads(local(*replica));
        leaders.extend((0..electors.len()).filter(leads).map(|replica| (now, replica)));
    }
    leaders
}

proptest! {
    #[test]
    fn there_never_are_two_leaders_whatever_becomes_of_requests(
        starts in prop::collection::vec(0_u64..60_000, 2..4),
        fates in prop::collection::vec(fate(), 0..120),
    ) {
        let leaders = play(&starts, &fates, 1_200_000);
        for pair in leaders.windows(2) {
            let is_one = pair[0].0 != pair[1].0 || pair[0].1 == pair[1].1;
            prop_assert!(is_one, "{} and {} lead at {} ms", pair[0].1, pair[1].1, pair[0].0);
        }
        // By then all requests fare well for a while.
        prop_assert!(leaders.iter().any(|(moment, _)| *moment > 1_100_000), "nobody leads any more");
    }
}
