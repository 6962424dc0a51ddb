//! The layer in front of every server of the sandbox: its log and its faults.

mod fault;
mod serve;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};

use fault::Effects;
pub use fault::Fault;
pub use serve::{Classify, Server, serve};

/// Requests with this header set to `arrange` are how tests arrange state over HTTP: they are neither logged, nor
/// counted, delayed or faulted.
pub const ARRANGE_HEADER: &str = "x-sandbox";

/// A request and its response.
#[derive(Debug, Clone)]
pub struct Entry {
    /// `GET`, `POST`, ...
    pub method: String,
    /// Path with query.
    pub path: String,
    /// The kind of the request, e.g. `list secrets`.
    pub kind: String,
    /// The `User-Agent` header, empty when there was none.
    pub user_agent: String,
    /// The body, empty when there was none.
    pub body: Bytes,
    /// The status answered; `None` when nothing was, because a fault cut the connection or the client went away.
    pub status: Option<StatusCode>,
}

impl Entry {
    /// True for changes. Access reviews and dry runs use POST and change nothing.
    pub fn is_write(&self) -> bool {
        let review = ["/apis/authorization.k8s.io/", "/apis/authentication.k8s.io/"];
        let changes_nothing = self.path.contains("dryRun=All")
            || review.iter().any(|prefix| self.path.starts_with(prefix));
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS") && !changes_nothing
    }
}

/// The log, the fault rules and the latency of one server. Clones share them.
#[derive(Clone, Default)]
pub struct Traffic {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// In order of arrival; the number identifies entries when the log is cleared while requests are under way.
    entries: Vec<(u64, Entry)>,
    arrived: u64,
    in_flight: usize,
    max_in_flight: usize,
    latency: Duration,
    faults: Vec<Fault>,
    rate: Option<Rate>,
}

/// A maximum of requests in a time window.
struct Rate {
    requests: usize,
    window: Duration,
    rejection: Fault,
    began: Instant,
    let_through: usize,
}

impl Rate {
    fn lets_through(&mut self) -> bool {
        if self.began.elapsed() >= self.window {
            (self.began, self.let_through) = (Instant::now(), 0);
        }
        self.let_through += 1;
        self.let_through <= self.requests
    }
}

impl Traffic {
    /// Every logged request, in order of arrival.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.iter().map(|(_, entry)| entry.clone()).collect()
    }

    /// The requests that ask for a change: POST, PUT, PATCH and DELETE; access reviews and dry runs excepted.
    pub fn writes(&self) -> Vec<Entry> {
        self.entries().into_iter().filter(Entry::is_write).collect()
    }

    /// The requests that are no writes.
    pub fn reads(&self) -> Vec<Entry> {
        self.entries().into_iter().filter(|entry| !entry.is_write()).collect()
    }

    /// The number of logged requests whose kind starts with a prefix, e.g. `list`, `list secrets`,
    /// `PUT robot`.
    pub fn count(&self, kind_prefix: &str) -> usize {
        self.lock().entries.iter().filter(|(_, entry)| entry.kind.starts_with(kind_prefix)).count()
    }

    /// Forgets the log and the high-water mark of requests in flight; faults and latency stay.
    pub fn clear(&self) {
        let mut shared = self.lock();
        shared.entries.clear();
        shared.max_in_flight = shared.in_flight;
    }

    /// The most requests that were being answered at the same time. A watch counts until it begins to stream.
    pub fn max_in_flight(&self) -> usize {
        self.lock().max_in_flight
    }

    /// Holds back every answer from now on by this long.
    pub fn set_latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    /// Limits requests in a time window, as proxies and gateways in front of a Quay do: the others
    /// get 429 and a page, as from Quay's own nginx (wire/586), with this `Retry-After`, as from
    /// Quay itself (wire/099).
    pub fn limit_rate(&self, requests: usize, window: Duration, retry_after: &str) {
        let rejection = Fault::on("*", "").html(429).header("Retry-After", retry_after);
        self.lock().rate =
            Some(Rate { requests, window, rejection, began: Instant::now(), let_through: 0 });
    }

    /// Adds a rule. All rules that match a request take effect; of several that answer it, the oldest does.
    pub fn fault(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Drops all rules.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    fn arrive(&self, entry: Entry) -> (InFlight, Effects) {
        let mut shared = self.lock();
        let mut effects = Effects::default();
        if let Some(rate) = &mut shared.rate
            && !rate.lets_through()
        {
            rate.rejection.apply(&entry.method, &entry.path, &mut effects);
        }
        for fault in &mut shared.faults {
            fault.apply(&entry.method, &entry.path, &mut effects);
        }
        effects.delay += shared.latency;
        shared.arrived += 1;
        shared.in_flight += 1;
        shared.max_in_flight = shared.max_in_flight.max(shared.in_flight);
        let number = shared.arrived;
        shared.entries.push((number, entry));
        (InFlight { traffic: self.clone(), number }, effects)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A test that panics while it holds the lock must not take the server's log with it.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way; ends when dropped, answered or not.
struct InFlight {
    traffic: Traffic,
    number: u64,
}

impl InFlight {
    fn answered(&self, status: StatusCode) {
        let mut shared = self.traffic.lock();
        if let Some((_, entry)) =
            shared.entries.iter_mut().rev().find(|(number, _)| *number == self.number)
        {
            entry.status = Some(status);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.traffic.lock().in_flight -= 1;
    }
}

impl Entry {
    fn new(method: &Method, uri: &Uri, kind: String, user_agent: &str, body: Bytes) -> Self {
        Self {
            method: method.to_string(),
            path: uri.path_and_query().map_or_else(|| uri.path(), |path| path.as_str()).to_owned(),
            kind,
            user_agent: user_agent.to_owned(),
            body,
            status: None,
        }
    }
}
