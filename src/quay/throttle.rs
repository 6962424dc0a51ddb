//! How many requests may be under way at once, and when none may: as many as Quay bears.
//!
//! A Quay that refuses requests for being too many (429) says when it takes some again, or is asked less and less often. All
//! calls wait then, not just the one that was refused. One that is slow has fewer requests to answer at once, so that each is
//! answered well within its time.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use crate::backoff;

/// The pause after a refusal that does not say how long it is to be: the first one, which doubles, and the longest.
const MIN_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// So long Quay may refuse everything before calls fail.
const MAX_WAIT: Duration = Duration::from_secs(5 * 60);

/// Is told in a sentence why nothing happens for a while.
pub type WaitNotice = Arc<dyn Fn(&str) + Send + Sync>;

/// The limits of one Quay, which all who ask it share.
pub(super) struct Throttle {
    permits: Semaphore,
    most: usize,
    state: Mutex<State>,
    teller: OnceLock<WaitNotice>,
}

#[derive(Debug)]
struct State {
    /// So many requests may be under way.
    limit: usize,
    /// So many permits there are; more than the limit while requests from before are under way.
    permits: usize,
    /// When the limit was lowered.
    narrowed: Instant,
    /// Answers in a row that came soon.
    swift: usize,
    /// Nothing is asked before.
    not_before: Instant,
    /// Since when everything was refused.
    refused_since: Option<Instant>,
    /// Pauses since then.
    pauses: u32,
}

/// A place among the requests that are under way.
pub(super) struct Place<'a> {
    throttle: &'a Throttle,
    permit: Option<SemaphorePermit<'a>>,
}

impl Throttle {
    pub(super) fn new(most: usize) -> Self {
        let (most, now) = (most.max(1), Instant::now());
        let state = State {
            limit: most,
            permits: most,
            narrowed: now,
            swift: 0,
            not_before: now,
            refused_since: None,
            pauses: 0,
        };
        Self {
            permits: Semaphore::new(most),
            most,
            state: Mutex::new(state),
            teller: OnceLock::new(),
        }
    }

    /// Has the pauses told. The first teller stays.
    pub(super) fn tell(&self, teller: WaitNotice) {
        let _ = self.teller.set(teller);
    }

    /// Waits for a place.
    pub(super) async fn enter(&self) -> Place<'_> {
        Place { throttle: self, permit: self.permits.acquire().await.ok() }
    }

    /// Waits until Quay takes requests.
    pub(super) async fn wait(&self) {
        loop {
            let not_before = self.lock().not_before;
            if not_before <= Instant::now() {
                return;
            }
            sleep_until(not_before).await;
        }
    }

    /// A request begun at `began` was answered after `took`, of the time that it had.
    pub(super) fn answered(&self, began: Instant, took: Duration, time: Duration) {
        let mut state = self.lock();
        (state.refused_since, state.pauses) = (None, 0);
        if took > time / 2 {
            state.narrow(began);
        } else if took < time / 4 {
            state.swift += 1;
            if state.swift >= state.limit && state.limit < self.most {
                (state.swift, state.limit) = (0, state.limit + 1);
                if state.permits < state.limit {
                    state.permits += 1;
                    self.permits.add_permits(1);
                }
            }
        }
    }

    /// A request begun at `began` was not answered in time.
    pub(super) fn overdue(&self, began: Instant) {
        self.lock().narrow(began);
    }

    /// A request begun at `began` was refused, and Quay asked for a pause, or left it to us. Says whether to go on after it.
    pub(super) fn refused(&self, began: Instant, asked: Option<Duration>) -> bool {
        let now = Instant::now();
        let (is_new, pause) = {
            let mut state = self.lock();
            state.narrow(began);
            let since = *state.refused_since.get_or_insert(now);
            let is_new = state.not_before <= now;
            state.pauses += u32::from(is_new);
            let pause =
                asked.unwrap_or_else(|| backoff::after(state.pauses, MIN_BACKOFF, MAX_BACKOFF));
            if pause > MAX_WAIT {
                return false;
            }
            let until = now + backoff::shortened(pause);
            if until > since + backoff::shortened(MAX_WAIT) {
                return false;
            }
            state.not_before = state.not_before.max(until);
            (is_new, pause)
        };
        if is_new && let Some(teller) = self.teller.get() {
            let seconds = pause.as_secs_f64().ceil();
            teller(&format!(
                "Quay accepts no more requests for now (429 Too Many Requests): waiting {seconds} s"
            ));
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Halves the limit, unless that was done since the request began: those under way together count once.
    fn narrow(&mut self, began: Instant) {
        self.swift = 0;
        if began >= self.narrowed {
            (self.limit, self.narrowed) = ((self.limit / 2).max(1), Instant::now());
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.throttle.lock();
        if state.permits > state.limit
            && let Some(permit) = self.permit.take()
        {
            state.permits -= 1;
            permit.forget();
        }
    }
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Throttle")
            .field("most", &self.most)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(30);
    const SOON: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn fewer_are_under_way_when_quay_is_slow_and_more_again() {
        let throttle = Throttle::new(8);
        let mut places = Vec::new();
        for _ in 0..8 {
            places.push(throttle.enter().await);
        }
        let began = Instant::now();
        for _ in 0..8 {
            throttle.overdue(began);
        }
        assert_eq!(throttle.lock().limit, 4, "those under way together count once");
        places.clear();
        assert_eq!(throttle.permits.available_permits(), 4);
        throttle.answered(Instant::now(), TIME * 2 / 3, TIME);
        assert_eq!(throttle.lock().limit, 2);
        for _ in 0..100 {
            drop(throttle.enter().await);
            throttle.answered(Instant::now(), SOON, TIME);
        }
        assert_eq!((throttle.lock().limit, throttle.permits.available_permits()), (8, 8));
    }

    #[test]
    fn takes_no_pause_that_is_out_of_all_reason() {
        let throttle = Throttle::new(8);
        for pause in [MAX_WAIT + SOON, Duration::from_secs(u64::MAX), Duration::MAX] {
            assert!(!throttle.refused(Instant::now(), Some(pause)), "{pause:?}");
        }
    }

    #[tokio::test]
    async fn a_refusal_holds_up_all_and_is_told_once() {
        let throttle = Throttle::new(8);
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        throttle.tell(Arc::new(move |text: &str| {
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned())
        }));
        let began = Instant::now();
        for _ in 0..8 {
            assert!(throttle.refused(began, Some(Duration::from_millis(300))));
        }
        throttle.wait().await;
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert_eq!(told.lock().unwrap_or_else(PoisonError::into_inner).len(), 1);
        assert_eq!(throttle.lock().limit, 4);
        throttle.answered(began, SOON, TIME);
        assert!(
            !throttle.refused(Instant::now(), Some(Duration::from_secs(3600))),
            "an hour is too long"
        );
    }
}
