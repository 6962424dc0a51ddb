//! The work queue. A namespace is in it at most once and has one worker at a time; a change during
//! its reconcile queues it again. A failed one waits, longer each time, without delaying others.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::backoff;

/// Pause after the first failure; it doubles with each further one.
pub(super) const MIN_BACKOFF: Duration = Duration::from_secs(1);

pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// A failed namespace is retried no sooner than this, even after a change.
const MIN_DELAY: Duration = Duration::from_secs(5);

/// Like [`MIN_DELAY`], with high priority.
const MIN_WAIT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Priority {
    /// A build waits for it.
    High,
    /// It changed.
    Normal,
    /// A resync.
    Low,
}

/// The action after a reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    AwaitChange,
    /// Reconcile after this time, or on a change.
    RequeueAfter(Duration),
    /// Retry with a backoff.
    Backoff,
    /// Like `Backoff`, ended by [`Queue::retry_all_now`].
    Unavailable,
    /// Wait for a change, and then [`MIN_DELAY`]: manual action is required.
    Blocked,
}

impl Action {
    /// The earlier of two actions.
    pub(super) fn sooner(self, other: Action) -> Action {
        match (self, other) {
            (Action::AwaitChange, other) => other,
            (Action::Blocked, other) if other != Action::AwaitChange => other,
            (Action::RequeueAfter(one), Action::RequeueAfter(other)) => {
                Action::RequeueAfter(one.min(other))
            }
            (action, _) => action,
        }
    }
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    ready: BTreeSet<(Priority, u64, String)>,
    delayed: BTreeSet<(Instant, String)>,
    positions: HashMap<String, QueuePosition>,
    /// Counts arrivals: first in, first out.
    arrivals: u64,
}

struct QueuePosition {
    stage: ItemState,
    /// Consecutive failures.
    failures: u32,
    /// Time of the last failure, and its backoff.
    failed: Option<(Instant, Duration)>,
    /// The failure concerns all namespaces.
    is_unavailable: bool,
}

enum ItemState {
    Idle,
    Ready(Priority, u64),
    Delayed(Instant),
    Processing { requeue: Option<Priority> },
}

impl Queue {
    pub(super) fn add(&self, namespace: &str, priority: Priority) {
        self.lock().add(namespace, priority, Instant::now());
        self.changed.notify_one();
    }

    /// Retries all namespaces that failed with [`Action::Unavailable`].
    pub(super) fn retry_all_now(&self) {
        let count = self.lock().retry_all_now();
        (0..count).for_each(|_| self.changed.notify_one());
    }

    /// Drops all but the namespaces in progress, which still need [`Queue::finish`].
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// Waits for the next namespace.
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

    /// Completes a namespace of [`Queue::next`].
    pub(super) fn finish(&self, namespace: &str, action: Action) {
        self.lock().finish(namespace, action, Instant::now());
        self.changed.notify_one();
    }

    /// Namespaces that are queued or in progress, and those that wait for a retry.
    pub(super) fn len(&self) -> (usize, usize) {
        let state = self.lock();
        let working = state
            .positions
            .values()
            .filter(|position| matches!(position.stage, ItemState::Processing { .. }))
            .count();
        (state.ready.len() + working, state.delayed.len())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn add(&mut self, namespace: &str, priority: Priority, now: Instant) {
        let new = QueuePosition {
            stage: ItemState::Idle,
            failures: 0,
            failed: None,
            is_unavailable: false,
        };
        let position = self.positions.entry(namespace.to_owned()).or_insert(new);
        let minimum = if priority == Priority::High { MIN_WAIT } else { MIN_DELAY };
        let not_before = position
            .failed
            .map(|(failed, pause)| failed + pause.min(minimum))
            .filter(|&time| time > now);
        match &mut position.stage {
            ItemState::Processing { requeue } => {
                *requeue = Some(requeue.map_or(priority, |before| before.min(priority)))
            }
            ItemState::Ready(before, _) if *before <= priority => {}
            ItemState::Delayed(due) if not_before.is_some_and(|time| time >= *due) => {}
            _ => match not_before {
                Some(time) => self.push_delayed(namespace, time),
                None => self.push_ready(namespace, priority),
            },
        }
    }

    fn retry_all_now(&mut self) -> usize {
        let is_unavailable = |namespace: &String| {
            self.positions.get(namespace).is_some_and(|position| position.is_unavailable)
        };
        let waiting = self.delayed.iter().map(|(_, namespace)| namespace);
        let waiting: Vec<String> =
            waiting.filter(|namespace| is_unavailable(namespace)).cloned().collect();
        waiting.iter().for_each(|namespace| self.push_ready(namespace, Priority::Normal));
        waiting.len()
    }

    fn clear(&mut self) {
        self.ready.clear();
        self.delayed.clear();
        self.positions.retain(|_, position| matches!(position.stage, ItemState::Processing { .. }));
    }

    fn next(&mut self, now: Instant) -> Result<String, Option<Instant>> {
        while let Some((due, namespace)) =
            self.delayed.first().filter(|(due, _)| *due <= now).cloned()
        {
            self.delayed.remove(&(due, namespace.clone()));
            self.push_ready(&namespace, Priority::Normal);
        }
        match self.ready.pop_first() {
            Some((_, _, namespace)) => {
                if let Some(position) = self.positions.get_mut(&namespace) {
                    position.stage = ItemState::Processing { requeue: None };
                }
                Ok(namespace)
            }
            None => Err(self.delayed.first().map(|(due, _)| *due)),
        }
    }

    fn finish(&mut self, namespace: &str, action: Action, now: Instant) {
        let Some(position) = self.positions.get_mut(namespace) else { return };
        let requeue = match position.stage {
            ItemState::Processing { requeue } => requeue,
            _ => None,
        };
        position.stage = ItemState::Idle;
        position.failed = None;
        position.failures = if matches!(action, Action::Backoff | Action::Unavailable) {
            position.failures + 1
        } else {
            0
        };
        position.is_unavailable = action == Action::Unavailable;
        let pause = match action {
            Action::AwaitChange => None,
            Action::Blocked => {
                position.failed = Some((now, MIN_DELAY));
                None
            }
            Action::RequeueAfter(pause) => Some(pause),
            Action::Backoff | Action::Unavailable => {
                let pause = backoff::delay(position.failures, MIN_BACKOFF, MAX_BACKOFF);
                position.failed = Some((now, pause));
                Some(pause)
            }
        };
        match (requeue, pause) {
            (Some(priority), _) => self.add(namespace, priority, now),
            (None, Some(pause)) => self.push_delayed(namespace, now + pause),
            (None, None) if action == Action::Blocked => {}
            (None, None) => drop(self.positions.remove(namespace)),
        }
    }

    fn push_ready(&mut self, namespace: &str, priority: Priority) {
        self.arrivals += 1;
        self.put(namespace, ItemState::Ready(priority, self.arrivals));
        self.ready.insert((priority, self.arrivals, namespace.to_owned()));
    }

    fn push_delayed(&mut self, namespace: &str, due: Instant) {
        self.put(namespace, ItemState::Delayed(due));
        self.delayed.insert((due, namespace.to_owned()));
    }

    fn put(&mut self, namespace: &str, stage: ItemState) {
        let Some(position) = self.positions.get_mut(namespace) else { return };
        match std::mem::replace(&mut position.stage, stage) {
            ItemState::Ready(priority, arrival) => {
                self.ready.remove(&(priority, arrival, namespace.to_owned()));
            }
            ItemState::Delayed(due) => {
                self.delayed.remove(&(due, namespace.to_owned()));
            }
            ItemState::Idle | ItemState::Processing { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(state: &mut State, now: Instant) -> Option<String> {
        state.next(now).ok()
    }

    fn drain(state: &mut State, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| next(state, now)).collect()
    }

    #[test]
    fn orders_by_priority_then_arrival() {
        let (mut state, now) = (State::default(), Instant::now());
        for (name, priority) in [
            ("a", Priority::Low),
            ("b", Priority::Normal),
            ("c", Priority::Normal),
            ("d", Priority::High),
        ] {
            state.add(name, priority, now);
        }
        state.add("a", Priority::Low, now);
        assert_eq!(drain(&mut state, now), ["d", "b", "c", "a"]);

        let mut state = State::default();
        state.add("a", Priority::Low, now);
        state.add("b", Priority::Normal, now);
        state.add("a", Priority::High, now);
        state.add("b", Priority::Low, now);
        assert_eq!(drain(&mut state, now), ["a", "b"]);
    }

    #[test]
    fn change_during_reconcile_requeues_once() {
        let (mut state, now) = (State::default(), Instant::now());
        state.add("a", Priority::Normal, now);
        assert_eq!(next(&mut state, now).as_deref(), Some("a"));
        state.add("a", Priority::Low, now);
        state.add("a", Priority::Normal, now);
        assert_eq!(next(&mut state, now), None, "it is in progress");
        state.finish("a", Action::AwaitChange, now);
        assert_eq!(next(&mut state, now).as_deref(), Some("a"));
        state.finish("a", Action::AwaitChange, now);
        assert_eq!(next(&mut state, now), None);
        assert!(state.positions.is_empty() && state.ready.is_empty() && state.delayed.is_empty());
    }

    #[test]
    fn failure_backs_off_without_delaying_others() {
        let (mut state, mut now) = (State::default(), Instant::now());
        state.add("a", Priority::Normal, now);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert_eq!(next(&mut state, now).as_deref(), Some("a"));
            state.finish("a", Action::Backoff, now);
            state.add("b", Priority::Low, now);
            assert_eq!(next(&mut state, now).as_deref(), Some("b"));
            state.finish("b", Action::AwaitChange, now);
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
        state.finish("a", Action::AwaitChange, now);
        state.add("a", Priority::Normal, now);
        next(&mut state, now);
        state.finish("a", Action::Backoff, now);
        assert!(
            state.next(now).unwrap_err().is_some_and(|due| due <= now + MIN_BACKOFF),
            "a success resets the backoff"
        );
    }

    #[test]
    fn change_shortens_backoff() {
        let (mut state, mut now) = (State::default(), Instant::now());
        state.add("a", Priority::Normal, now);
        for _ in 0..10 {
            next(&mut state, now);
            state.finish("a", Action::Backoff, now);
            now = state.next(now).unwrap_err().unwrap_or(now);
        }
        next(&mut state, now);
        state.finish("a", Action::Backoff, now);
        state.add("a", Priority::Normal, now);
        let due = state.next(now).unwrap_err().unwrap_or(now);
        assert!(due > now && due <= now + MIN_DELAY);
        state.add("a", Priority::High, now);
        assert_eq!(next(&mut state, now), None, "high priority waits too");
        now += MIN_WAIT;
        assert_eq!(next(&mut state, now).as_deref(), Some("a"));

        state.finish("a", Action::RequeueAfter(MAX_BACKOFF), now);
        assert_eq!(next(&mut state, now), None);
        state.add("a", Priority::Normal, now);
        assert_eq!(next(&mut state, now).as_deref(), Some("a"));
        state.finish("a", Action::Backoff, now);
        assert_eq!(state.retry_all_now(), 0, "its own failure persists");
        now += MIN_BACKOFF;
        assert_eq!(next(&mut state, now).as_deref(), Some("a"));
        state.finish("a", Action::Unavailable, now);
        assert_eq!(state.retry_all_now(), 1);
        assert_eq!(next(&mut state, now).as_deref(), Some("a"));
    }

    #[test]
    fn blocked_namespace_returns_on_change_after_delay() {
        let (mut state, now) = (State::default(), Instant::now());
        state.add("a", Priority::Normal, now);
        assert_eq!(next(&mut state, now).as_deref(), Some("a"));
        state.finish("a", Action::Blocked, now);
        assert_eq!(state.next(now), Err(None), "it is not retried without a change");
        state.add("a", Priority::Normal, now);
        state.add("a", Priority::Normal, now);
        assert_eq!(state.next(now), Err(Some(now + MIN_DELAY)));
        assert_eq!(next(&mut state, now + MIN_DELAY).as_deref(), Some("a"));
    }

    #[test]
    fn clear_drops_waiting_namespaces() {
        let (mut state, now) = (State::default(), Instant::now());
        for name in ["working", "ready"] {
            state.add(name, Priority::Normal, now);
        }
        assert_eq!(next(&mut state, now).as_deref(), Some("working"));
        state.clear();
        assert_eq!(next(&mut state, now), None);
        state.finish("working", Action::AwaitChange, now);
        assert!(state.positions.is_empty() && state.ready.is_empty() && state.delayed.is_empty());
    }
}
