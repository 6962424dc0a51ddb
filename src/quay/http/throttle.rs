//! Limits the requests in flight. A slow Quay gets fewer at once; after a 429 all calls wait.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use crate::backoff;

/// Limits of the pause after a 429 without `Retry-After`.
const MIN_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Calls fail after so long a time without any success.
const MAX_WAIT: Duration = Duration::from_secs(5 * 60);

/// Receives a message when all calls pause.
pub type WaitNotice = Arc<dyn Fn(&str) + Send + Sync>;

/// The limits of one Quay, shared by all clients of it.
pub(in crate::quay) struct Throttle {
    permits: Semaphore,
    max: usize,
    state: Mutex<State>,
    notice: OnceLock<WaitNotice>,
}

#[derive(Debug)]
struct State {
    /// Maximum number of requests in flight now.
    limit: usize,
    /// Existing permits; more than the limit while earlier requests are in flight.
    permits: usize,
    /// Time of the last reduction of the limit.
    reduced_at: Instant,
    /// Consecutive fast responses.
    fast: usize,
    /// Requests wait until then.
    not_before: Instant,
    /// Start of the time without any success.
    limited_since: Option<Instant>,
    /// Pauses since then.
    pauses: u32,
}

/// Permits one request in flight.
pub(in crate::quay) struct Permit<'a> {
    throttle: &'a Throttle,
    permit: Option<SemaphorePermit<'a>>,
}

impl Throttle {
    pub(in crate::quay) fn new(max: usize) -> Self {
        let (max, now) = (max.max(1), Instant::now());
        let state = State {
            limit: max,
            permits: max,
            reduced_at: now,
            fast: 0,
            not_before: now,
            limited_since: None,
            pauses: 0,
        };
        Self {
            permits: Semaphore::new(max),
            max,
            state: Mutex::new(state),
            notice: OnceLock::new(),
        }
    }

    /// The first notice is kept.
    pub(in crate::quay) fn set_wait_notice(&self, notice: WaitNotice) {
        let _ = self.notice.set(notice);
    }

    pub(in crate::quay) async fn acquire(&self) -> Permit<'_> {
        Permit { throttle: self, permit: self.permits.acquire().await.ok() }
    }

    /// Waits until the end of a pause.
    pub(in crate::quay) async fn wait(&self) {
        loop {
            let not_before = self.lock().not_before;
            if not_before <= Instant::now() {
                return;
            }
            sleep_until(not_before).await;
        }
    }

    /// Records the response to a request: its start, its duration, and the timeout of the call.
    pub(in crate::quay) fn record_response(
        &self,
        started: Instant,
        duration: Duration,
        timeout: Duration,
    ) {
        let mut state = self.lock();
        (state.limited_since, state.pauses) = (None, 0);
        if duration > timeout / 2 {
            state.reduce_limit(started);
        } else if duration < timeout / 4 {
            state.fast += 1;
            if state.fast >= state.limit && state.limit < self.max {
                (state.fast, state.limit) = (0, state.limit + 1);
                if state.permits < state.limit {
                    state.permits += 1;
                    self.permits.add_permits(1);
                }
            }
        }
    }

    pub(in crate::quay) fn record_timeout(&self, started: Instant) {
        self.lock().reduce_limit(started);
    }

    /// Records a 429 with the pause of its `Retry-After`. Returns whether to retry after the pause.
    pub(in crate::quay) fn record_rate_limit(
        &self,
        started: Instant,
        retry_after: Option<Duration>,
    ) -> bool {
        let now = Instant::now();
        let (is_new, pause) = {
            let mut state = self.lock();
            state.reduce_limit(started);
            let since = *state.limited_since.get_or_insert(now);
            let is_new = state.not_before <= now;
            state.pauses += u32::from(is_new);
            let pause = retry_after
                .unwrap_or_else(|| backoff::delay(state.pauses, MIN_BACKOFF, MAX_BACKOFF));
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
        if is_new && let Some(notice) = self.notice.get() {
            let seconds = pause.as_secs_f64().ceil();
            notice(&format!("Quay limits requests (429 Too Many Requests): waiting {seconds} s"));
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Halves the limit, but once for all requests that were in flight together.
    fn reduce_limit(&mut self, started: Instant) {
        self.fast = 0;
        if started >= self.reduced_at {
            (self.limit, self.reduced_at) = ((self.limit / 2).max(1), Instant::now());
        }
    }
}

impl Drop for Permit<'_> {
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
            .field("max", &self.max)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);
    const FAST: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn reduces_the_limit_while_quay_is_slow() {
        let throttle = Throttle::new(8);
        let mut permits = Vec::new();
        for _ in 0..8 {
            permits.push(throttle.acquire().await);
        }
        let started = Instant::now();
        for _ in 0..8 {
            throttle.record_timeout(started);
        }
        assert_eq!(throttle.lock().limit, 4, "requests that were in flight together count once");
        permits.clear();
        assert_eq!(throttle.permits.available_permits(), 4);
        throttle.record_response(Instant::now(), TIMEOUT * 2 / 3, TIMEOUT);
        assert_eq!(throttle.lock().limit, 2);
        for _ in 0..100 {
            drop(throttle.acquire().await);
            throttle.record_response(Instant::now(), FAST, TIMEOUT);
        }
        assert_eq!((throttle.lock().limit, throttle.permits.available_permits()), (8, 8));
    }

    #[test]
    fn rejects_pauses_longer_than_the_maximum() {
        let throttle = Throttle::new(8);
        for pause in [MAX_WAIT + FAST, Duration::from_secs(u64::MAX), Duration::MAX] {
            assert!(!throttle.record_rate_limit(Instant::now(), Some(pause)), "{pause:?}");
        }
    }

    #[tokio::test]
    async fn pauses_all_requests_and_sends_one_notice() {
        let throttle = Throttle::new(8);
        let notices = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&notices);
        throttle.set_wait_notice(Arc::new(move |text: &str| sink.lock().push(text.to_owned())));
        let started = Instant::now();
        for _ in 0..8 {
            assert!(throttle.record_rate_limit(started, Some(Duration::from_millis(300))));
        }
        throttle.wait().await;
        assert!(started.elapsed() >= Duration::from_millis(300));
        assert_eq!(notices.lock().len(), 1);
        assert_eq!(throttle.lock().limit, 4);
        throttle.record_response(started, FAST, TIMEOUT);
        assert!(
            !throttle.record_rate_limit(Instant::now(), Some(Duration::from_secs(3600))),
            "an hour is too long"
        );
    }
}
