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
fn creates_missing_lease_and_leads() {
    let mut elector = Elector::new("a".into());
    assert_eq!(elector.next_step(seconds(0)), ElectionState::Read);
    elector.observe(None, seconds(1));
    let ElectionState::Write(wanted) = elector.next_step(seconds(1)) else { unreachable!() };
    assert_eq!((wanted.version.as_str(), wanted.holder.as_str(), wanted.transitions), ("", "a", 1));
    assert!(!elector.is_leader(seconds(1)));
    elector.record_write(Some(lease("1", "a")), seconds(1), seconds(2));
    assert!(elector.is_leader(seconds(2)));
    assert!(
        !elector.is_leader(seconds(1) + RENEW_DEADLINE),
        "measured from the start of the write"
    );
}

#[test]
fn takes_expired_lease_of_another_holder() {
    let mut elector = Elector::new("b".into());
    elector.observe(Some(lease("1", "a")), seconds(0));
    assert_eq!(elector.next_step(seconds(29)), ElectionState::Wait);
    elector.observe(Some(lease("2", "a")), seconds(29));
    assert_eq!(elector.next_step(seconds(58)), ElectionState::Wait, "it was renewed meanwhile");
    elector.observe(Some(lease("2", "a")), seconds(58));
    let ElectionState::Write(wanted) = elector.next_step(seconds(59)) else { unreachable!() };
    assert_eq!(
        (wanted.version.as_str(), wanted.holder.as_str(), wanted.transitions),
        ("2", "b", 1)
    );
}

#[test]
fn takes_released_lease_at_once() {
    let mut elector = Elector::new("b".into());
    elector.observe(Some(lease("1", "")), seconds(0));
    assert!(matches!(elector.next_step(seconds(0)), ElectionState::Write(_)));
}

#[test]
fn conflict_rereads_lease_without_leading() {
    let mut elector = Elector::new("a".into());
    elector.observe(Some(lease("1", "a")), seconds(0));
    elector.record_write(Some(lease("2", "a")), seconds(0), seconds(0));
    elector.record_write(None, seconds(5), seconds(6));
    assert_eq!(elector.next_step(seconds(6)), ElectionState::Read);
    elector.observe(Some(lease("3", "b")), seconds(7));
    assert!(!elector.is_leader(seconds(7)));
}

/// Delays in milliseconds until the effect of a request and until its answer; `None` if that is
/// lost.
#[derive(Clone, Debug)]
struct RequestDelays {
    effect: Option<u64>,
    answer: Option<u64>,
}

/// Mostly short delays, and some of up to a minute, after the timeout.
fn delay_strategy() -> impl Strategy<Value = RequestDelays> {
    let milliseconds = || prop_oneof![8 => (0_u64..500).prop_map(Some), 1 => (0_u64..60_000).prop_map(Some), 1 => Just(None)];
    (milliseconds(), milliseconds()).prop_map(|(effect, answer)| RequestDelays { effect, answer })
}

/// Scheduled events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Wake(usize),
    Arrival(usize, usize),
    Answer(usize, usize),
    Timeout(usize, usize),
}

struct Request {
    step: ElectionState,
    begun: Duration,
    result: Option<Option<Lease>>,
    is_over: bool,
}

/// Simulates replicas and an API server with optimistic locking. Returns the leaders at each time
/// in milliseconds.
fn simulate(starts: &[u64], delays: &[RequestDelays], until: u64) -> Vec<(u64, usize)> {
    let mut electors: Vec<_> =
        (0..starts.len()).map(|number| Elector::new(number.to_string())).collect();
    let (mut stored, mut version, mut requests, mut leaders) =
        (None::<Lease>, 0, Vec::<Request>::new(), Vec::new());
    let mut due: BinaryHeap<_> = starts
        .iter()
        .enumerate()
        .map(|(replica, start)| Reverse((*start, Due::Wake(replica))))
        .collect();
    while let Some(Reverse((now, what))) = due.pop().filter(|Reverse((now, _))| *now < until) {
        let local = |replica: usize| Duration::from_millis(now - starts[replica]);
        match what {
            Due::Wake(replica) => {
                let step = electors[replica].next_step(local(replica));
                if step == ElectionState::Wait {
                    electors[replica].end_pause();
                    due.push(Reverse((now + RETRY_PERIOD.as_millis() as u64, Due::Wake(replica))));
                } else {
                    let (number, delay) = (requests.len(), delays.get(requests.len()));
                    let RequestDelays { effect, answer } = delay
                        .cloned()
                        .unwrap_or(RequestDelays { effect: Some(1), answer: Some(1) });
                    requests.push(Request {
                        step,
                        begun: local(replica),
                        result: None,
                        is_over: false,
                    });
                    due.push(Reverse((
                        now + RETRY_PERIOD.as_millis() as u64,
                        Due::Timeout(replica, number),
                    )));
                    if let Some(effect) = effect {
                        due.push(Reverse((now + effect, Due::Arrival(replica, number))));
                        due.extend(answer.map(|answer| {
                            Reverse((now + effect + answer, Due::Answer(replica, number)))
                        }));
                    }
                }
            }
            Due::Arrival(_, number) => {
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
            Due::Answer(replica, number) if !requests[number].is_over => {
                let request = &mut requests[number];
                request.is_over = true;
                let (result, begun) = (request.result.take().unwrap(), request.begun);
                match request.step {
                    ElectionState::Read => electors[replica].observe(result, local(replica)),
                    _ => electors[replica].record_write(result, begun, local(replica)),
                }
                let is_acted_on = request.step == ElectionState::Read
                    && matches!(
                        electors[replica].next_step(local(replica)),
                        ElectionState::Write(_)
                    );
                if !is_acted_on {
                    electors[replica].end_pause();
                }
                let pause = if is_acted_on { 0 } else { RETRY_PERIOD.as_millis() as u64 };
                due.push(Reverse((now + pause, Due::Wake(replica))));
            }
            Due::Timeout(replica, number) if !requests[number].is_over => {
                requests[number].is_over = true;
                electors[replica].is_stale = true;
                due.push(Reverse((now + RETRY_PERIOD.as_millis() as u64, Due::Wake(replica))));
            }
            Due::Answer(..) | Due::Timeout(..) => {}
        }
        let is_leader = |replica: &usize| {
            now >= starts[*replica] && electors[*replica].is_leader(local(*replica))
        };
        leaders.extend((0..electors.len()).filter(is_leader).map(|replica| (now, replica)));
    }
    leaders
}

proptest! {
    #[test]
    fn never_elects_two_leaders(
        starts in prop::collection::vec(0_u64..60_000, 2..4),
        delays in prop::collection::vec(delay_strategy(), 0..120),
    ) {
        let leaders = simulate(&starts, &delays, 1_200_000);
        for pair in leaders.windows(2) {
            let is_one = pair[0].0 != pair[1].0 || pair[0].1 == pair[1].1;
            prop_assert!(is_one, "{} and {} lead at {} ms", pair[0].1, pair[1].1, pair[0].0);
        }
        // By then all requests have succeeded for a while.
        prop_assert!(leaders.iter().any(|(moment, _)| *moment > 1_100_000), "no leader at the end");
    }
}
