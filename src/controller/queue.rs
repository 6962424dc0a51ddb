//! The work queue: which namespace is looked at next.
//!
//! A namespace is in it once, however much happens to it, and is worked on by one at a time: what happens meanwhile
//! brings it back once more. One that fails waits, longer each time, and delays no other.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::backoff;

/// The pause after a first failure; it doubles with each further one.
pub(super) const MIN_BACKOFF: Duration = Duration::from_secs(1);

/// The longest pause between two tries of a namespace that keeps failing.
pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// A namespace that fails is tried again so soon at the earliest, whatever happens to it.
const MIN_DELAY: Duration = Duration::from_secs(5);

/// The same of one that somebody waits for.
const MIN_WAIT: Duration = Duration::from_secs(1);

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Priority {
    /// Somebody waits for it.
    High,
    /// Something happened to it.
    Normal,
    /// It is looked at for order's sake.
    Low,
}

/// What is to become of a namespace that was worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing, until something happens.
    AwaitChange,
    /// It is looked at again after this time, or as soon as something happens.
    RequeueAfter(Duration),
    /// It failed, and is tried again.
    Backoff,
    /// The same, but sooner if what hinders all is over: [`Queue::retry_all_now`].
    Unavailable,
    /// Nothing, until something happens, and not at once then: only a person can do what is left.
    Blocked,
}

impl Action {
    /// The same, but when something else has to be done in the namespace, if that is sooner.
    pub(super) fn sooner(self, other: Action) -> Action {
        match (self, other) {
            (Action::AwaitChange, other) => other,
            (Action::Blocked, other) if other != Action::AwaitChange => other,
            (Action::RequeueAfter(one), Action::RequeueAfter(other)) => {
                Action::RequeueAfter(one.min(other))
            }
            (next, _) => next,
        }
    }
}

/// The queue.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    ready: BTreeSet<(Priority, u64, String)>,
    later: BTreeSet<(Instant, String)>,
    places: HashMap<String, QueuePosition>,
    /// Counts arrivals, so that who came first is served first.
    arrivals: u64,
}

/// Where a namespace is.
struct QueuePosition {
    stage: ItemState,
    /// Failures in a row.
    failures: u32,
    /// When it failed, and the pause that it was to make then.
    failed: Option<(Instant, Duration)>,
    /// It failed for something that hinders all.
    is_unavailable: bool,
}

enum ItemState {
    Resting,
    Ready(Priority, u64),
    Later(Instant),
    Working { again: Option<Priority> },
}

impl Queue {
    /// Something happened to a namespace.
    pub(super) fn add(&self, namespace: &str, lane: Priority) {
        self.lock().add(namespace, lane, Instant::now());
        self.changed.notify_one();
    }

    /// Everything that was unavailable is tried now: what it failed for is over.
    pub(super) fn retry_all_now(&self) {
        let hurried = self.lock().retry_all_now();
        (0..hurried).for_each(|_| self.changed.notify_one());
    }

    /// Nobody works any more. What is being worked on is still to be [`Queue::done`].
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// The next namespace to work on, as soon as there is one.
    pub(super) async fn next(&self) -> String {
        loop {
            let changed = self.changed.notified();
            let due = match self.lock().next(Instant::now()) {
                Ok(namespace) => return namespace,
                Err(due) => due,
            };
            match due {
                Some(due) => tokio::select! { () = changed => {}, () = sleep_until(due) => {} },
                None => changed.await,
            }
        }
    }

    /// A namespace from [`Queue::next`] was worked on.
    pub(super) fn done(&self, namespace: &str, next: Action) {
        self.lock().done(namespace, next, Instant::now());
        self.changed.notify_one();
    }

    /// Namespaces that are to be worked on now or are being worked on, and those that wait.
    pub(super) fn len(&self) -> (usize, usize) {
        let state = self.lock();
        let working = state
            .places
            .values()
            .filter(|place| matches!(place.stage, ItemState::Working { .. }))
            .count();
        (state.ready.len() + working, state.later.len())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, namespace: &str, lane: Priority, now: Instant) {
        let new = QueuePosition {
            stage: ItemState::Resting,
            failures: 0,
            failed: None,
            is_unavailable: false,
        };
        let place = self.places.entry(namespace.to_owned()).or_insert(new);
        let least = if lane == Priority::High { MIN_WAIT } else { MIN_DELAY };
        let not_before = place
            .failed
            .map(|(failed, pause)| failed + pause.min(least))
            .filter(|&time| time > now);
        match &mut place.stage {
            ItemState::Working { again } => {
                *again = Some(again.map_or(lane, |before| before.min(lane)))
            }
            ItemState::Ready(before, _) if *before <= lane => {}
            ItemState::Later(due) if not_before.is_some_and(|time| time >= *due) => {}
            _ => match not_before {
                Some(time) => self.push_delayed(namespace, time),
                None => self.push_ready(namespace, lane),
            },
        }
    }

    fn retry_all_now(&mut self) -> usize {
        let is_unavailable = |namespace: &String| {
            self.places.get(namespace).is_some_and(|place| place.is_unavailable)
        };
        let waiting = self.later.iter().map(|(_, namespace)| namespace);
        let waiting: Vec<String> =
            waiting.filter(|namespace| is_unavailable(namespace)).cloned().collect();
        waiting.iter().for_each(|namespace| self.push_ready(namespace, Priority::Normal));
        waiting.len()
    }

    fn clear(&mut self) {
        self.ready.clear();
        self.later.clear();
        self.places.retain(|_, place| matches!(place.stage, ItemState::Working { .. }));
    }

    fn next(&mut self, now: Instant) -> Result<String, Option<Instant>> {
        while let Some((due, namespace)) =
            self.later.first().filter(|(due, _)| *due <= now).cloned()
        {
            self.later.remove(&(due, namespace.clone()));
            self.push_ready(&namespace, Priority::Normal);
        }
        match self.ready.pop_first() {
            Some((_, _, namespace)) => {
                if let Some(place) = self.places.get_mut(&namespace) {
                    place.stage = ItemState::Working { again: None };
                }
                Ok(namespace)
            }
            None => Err(self.later.first().map(|(due, _)| *due)),
        }
    }

    fn done(&mut self, namespace: &str, next: Action, now: Instant) {
        let Some(place) = self.places.get_mut(namespace) else { return };
        let again = match place.stage {
            ItemState::Working { again } => again,
            _ => None,
        };
        place.stage = ItemState::Resting;
        place.failed = None;
        place.failures = if matches!(next, Action::Backoff | Action::Unavailable) {
            place.failures + 1
        } else {
            0
        };
        place.is_unavailable = next == Action::Unavailable;
        let pause = match next {
            Action::AwaitChange => None,
            Action::Blocked => {
                place.failed = Some((now, MIN_DELAY));
                None
            }
            Action::RequeueAfter(pause) => Some(pause),
            Action::Backoff | Action::Unavailable => {
                let pause = backoff::after(place.failures, MIN_BACKOFF, MAX_BACKOFF);
                place.failed = Some((now, pause));
                Some(pause)
            }
        };
        match (again, pause) {
            (Some(lane), _) => self.add(namespace, lane, now),
            (None, Some(pause)) => self.push_delayed(namespace, now + pause),
            (None, None) if next == Action::Blocked => {}
            (None, None) => drop(self.places.remove(namespace)),
        }
    }

    fn push_ready(&mut self, namespace: &str, lane: Priority) {
        self.arrivals += 1;
        self.put(namespace, ItemState::Ready(lane, self.arrivals));
        self.ready.insert((lane, self.arrivals, namespace.to_owned()));
    }

    fn push_delayed(&mut self, namespace: &str, due: Instant) {
        self.put(namespace, ItemState::Later(due));
        self.later.insert((due, namespace.to_owned()));
    }

    fn put(&mut self, namespace: &str, stage: ItemState) {
        let Some(place) = self.places.get_mut(namespace) else { return };
        match std::mem::replace(&mut place.stage, stage) {
            ItemState::Ready(lane, arrival) => {
                self.ready.remove(&(lane, arrival, namespace.to_owned()));
            }
            ItemState::Later(due) => {
                self.later.remove(&(due, namespace.to_owned()));
            }
            ItemState::Resting | ItemState::Working { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(state: &mut State, now: Instant) -> Option<String> {
        state.next(now).ok()
    }

    fn all(state: &mut State, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| next(state, now)).collect()
    }

    #[test]
    fn who_is_waited_for_goes_first_and_routine_last() {
        let (mut state, now) = (State::default(), Instant::now());
        for (name, lane) in [
            ("a", Priority::Low),
            ("b", Priority::Normal),
            ("c", Priority::Normal),
            ("d", Priority::High),
        ] {
            state.add(name, lane, now);
        }
        state.add("a", Priority::Low, now);
        assert_eq!(all(&mut state, now), ["d", "b", "c", "a"]);

        let mut state = State::default();
        state.add("a", Priority::Low, now);
        state.add("b", Priority::Normal, now);
        state.add("a", Priority::High, now);
        state.add("b", Priority::Low, now);
        assert_eq!(all(&mut state, now), ["a", "b"]);
    }

    #[test]
    fn what_happens_during_the_work_brings_a_namespace_back_once() {
        let (mut state, now) = (State::default(), Instant::now());
        state.add("a", Priority::Normal, now);
        assert_eq!(next(&mut state, now).as_deref(), Some("a"));
        state.add("a", Priority::Low, now);
        state.add("a", Priority::Normal, now);
        assert_eq!(next(&mut state, now), None, "it is being worked on");
        state.done("a", Action::AwaitChange, now);
        assert_eq!(next(&mut state, now).as_deref(), Some("a"));
        state.done("a", Action::AwaitChange, now);
        assert_eq!(next(&mut state, now), None);
        assert!(state.places.is_empty() && state.ready.is_empty() && state.later.is_empty());
    }

    #[test]
    fn who_fails_waits_longer_each_time_and_delays_nobody() {
        let (mut state, mut now) = (State::default(), Instant::now());
        state.add("a", Priority::Normal, now);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert_eq!(next(&mut state, now).as_deref(), Some("a"));
            state.done("a", Action::Backoff, now);
            state.add("b", Priority::Low, now);
            assert_eq!(next(&mut state, now).as_deref(), Some("b"));
            state.done("b", Action::AwaitChange, now);
            let due = state.next(now).unwrap_err().unwrap_or(now);
            pauses.push(due - now);
            now = due;
        }
        assert!(
            pauses[0] <= MIN_BACKOFF && pauses.iter().all(|pause| *pause <= MAX_BACKOFF),
            "{pauses:?}"
        );
        assert!(pauses[11] >= MAX_BACKOFF / 2, "{pauses:?}");
        assert_eq!(next(&mut state, now).as_deref(), Some("a"));
        state.done("a", Action::AwaitChange, now);
        state.add("a", Priority::Normal, now);
        next(&mut state, now);
        state.done("a", Action::Backoff, now);
        assert!(
            state.next(now).unwrap_err().is_some_and(|due| due <= now + MIN_BACKOFF),
            "a success is a new beginning"
        );
    }

    #[test]
    fn an_event_shortens_a_long_pause_and_ends_a_wait() {
        let (mut state, mut now) = (State::default(), Instant::now());
        state.add("a", Priority::Normal, now);
        for _ in 0..10 {
            next(&mut state, now);
            state.done("a", Action::Backoff, now);
            now = state.next(now).unwrap_err().unwrap_or(now);
        }
        next(&mut state, now);
        state.done("a", Action::Backoff, now);
        state.add("a", Priority::Normal, now);
        let due = state.next(now).unwrap_err().unwrap_or(now);
        assert!(due > now && due <= now + MIN_DELAY);
        state.add("a", Priority::High, now);
        assert_eq!(next(&mut state, now), None, "nobody makes it come without a pause");
        now += MIN_WAIT;
        assert_eq!(next(&mut state, now).as_deref(), Some("a"));

        state.done("a", Action::RequeueAfter(MAX_BACKOFF), now);
        assert_eq!(next(&mut state, now), None);
        state.add("a", Priority::Normal, now);
        assert_eq!(next(&mut state, now).as_deref(), Some("a"));
        state.done("a", Action::Backoff, now);
        assert_eq!(state.retry_all_now(), 0, "its own failure is not over");
        now += MIN_BACKOFF;
        assert_eq!(next(&mut state, now).as_deref(), Some("a"));
        state.done("a", Action::Unavailable, now);
        assert_eq!(state.retry_all_now(), 1);
        assert_eq!(next(&mut state, now).as_deref(), Some("a"));
    }

    #[test]
    fn who_is_blocked_comes_back_with_a_change_and_after_a_pause() {
        let (mut state, now) = (State::default(), Instant::now());
        state.add("a", Priority::Normal, now);
        assert_eq!(next(&mut state, now).as_deref(), Some("a"));
        state.done("a", Action::Blocked, now);
        assert_eq!(state.next(now), Err(None), "it is not tried again by itself");
        state.add("a", Priority::Normal, now);
        state.add("a", Priority::Normal, now);
        assert_eq!(state.next(now), Err(Some(now + MIN_DELAY)));
        assert_eq!(next(&mut state, now + MIN_DELAY).as_deref(), Some("a"));
    }

    #[test]
    fn who_works_no_more_leaves_nothing_waiting() {
        let (mut state, now) = (State::default(), Instant::now());
        for name in ["working", "ready"] {
            state.add(name, Priority::Normal, now);
        }
        assert_eq!(next(&mut state, now).as_deref(), Some("working"));
        state.clear();
        assert_eq!(next(&mut state, now), None);
        state.done("working", Action::AwaitChange, now);
        assert!(state.places.is_empty() && state.ready.is_empty() && state.later.is_empty());
    }
}
