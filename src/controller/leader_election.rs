//! Leader election with a Lease, by the rules of client-go's `tools/leaderelection`.
//!
//! The holder renews the Lease; another replica takes it when it was unchanged for its duration.
//! Clocks are not compared: each replica measures from when it observed a change. A holder that
//! cannot renew stops before another one can begin, so there are never two leaders.
//!
//! No crate is used: kube-lease-manager 0.13 (also kube 5) compares `renewTime` with its own clock,
//! and renews without `resourceVersion`. It reports no loss while the API server is unavailable.
//! Here, a holder stops before its Lease expires, renewals bypass the limit of concurrent requests,
//! and a shutdown releases the Lease.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::{Cluster, ClusterError, Lease};

/// Validity of a Lease after its last renewal.
const LEASE_DURATION: Duration = Duration::from_secs(30);

/// A holder that could not renew for this time stops.
const RENEW_DEADLINE: Duration = Duration::from_secs(15);

/// Interval of reads and renewals, and the timeout of each.
const RETRY_PERIOD: Duration = Duration::from_secs(5);

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ElectionState {
    Read,
    Write(Lease),
    /// Another replica leads.
    Wait,
}

/// State of a replica. Times are relative to its start.
#[derive(Debug)]
struct Elector {
    identity: String,
    /// The last observed Lease, and the time of the first such observation. An empty version means
    /// that it does not exist.
    observed: Option<(Lease, Duration)>,
    /// The Lease might have changed since.
    is_stale: bool,
    /// Start of the last write that made this replica the holder.
    written: Option<Duration>,
}

impl Elector {
    fn new(identity: String) -> Self {
        Self { identity, observed: None, is_stale: true, written: None }
    }

    /// Whether this replica leads.
    fn is_leader(&self, now: Duration) -> bool {
        self.written.is_some_and(|written| now < written + RENEW_DEADLINE)
    }

    fn next_step(&self, now: Duration) -> ElectionState {
        let Some((lease, since)) = self.observed.as_ref().filter(|_| !self.is_stale) else {
            return ElectionState::Read;
        };
        let has_expired = now >= *since + Duration::from_secs(lease.seconds).max(LEASE_DURATION);
        if lease.holder != self.identity && !lease.holder.is_empty() && !has_expired {
            return ElectionState::Wait;
        }
        let is_takeover = lease.holder != self.identity;
        ElectionState::Write(Lease {
            version: lease.version.clone(),
            holder: self.identity.clone(),
            seconds: LEASE_DURATION.as_secs(),
            transitions: lease.transitions + u64::from(is_takeover),
        })
    }

    fn observe(&mut self, lease: Option<Lease>, now: Duration) {
        let lease = lease.unwrap_or_else(|| Lease {
            version: String::new(),
            holder: String::new(),
            seconds: 0,
            transitions: 0,
        });
        if lease.holder != self.identity {
            self.written = None;
        }
        if self.observed.as_ref().is_none_or(|(known, _)| *known != lease) {
            self.observed = Some((lease, now));
        }
        self.is_stale = false;
    }

    /// `None` means a conflict. The holder counts from the start of its write.
    fn record_write(&mut self, lease: Option<Lease>, start: Duration, now: Duration) {
        match lease {
            Some(lease) if lease.holder == self.identity => {
                self.observe(Some(lease), now);
                self.written = Some(start);
            }
            _ => self.is_stale = true,
        }
    }

    /// After a pause, another holder's Lease has to be read again.
    fn end_pause(&mut self) {
        let is_mine =
            self.observed.as_ref().is_some_and(|(lease, _)| lease.holder == self.identity);
        self.is_stale |= !is_mine;
    }
}

/// Never ends; `leading` is set while this replica leads.
pub(crate) async fn run(
    cluster: &Cluster,
    namespace: &str,
    identity: &str,
    leading: &watch::Sender<bool>,
) {
    let started = Instant::now();
    let mut elector = Elector::new(identity.to_owned());
    loop {
        let start = started.elapsed();
        let step = elector.next_step(start);
        let answer = timeout(RETRY_PERIOD, execute(cluster, namespace, &step)).await;
        let now = started.elapsed();
        match (&step, answer) {
            (ElectionState::Wait, _) => {}
            (ElectionState::Read, Ok(Ok(lease))) => elector.observe(lease, now),
            (ElectionState::Write(_), Ok(Ok(lease))) => elector.record_write(lease, start, now),
            (_, answer) => {
                // The write might have succeeded.
                elector.is_stale = true;
                let failed = answer.ok().and_then(Result::err).map(|error| error.to_string());
                tracing::warn!(
                    reason = failed.as_deref().unwrap_or("timed out"),
                    "leader election failed"
                );
            }
        }
        let is_leader = elector.is_leader(now);
        leading.send_if_modified(|leading| std::mem::replace(leading, is_leader) != is_leader);
        // A write follows its read without a pause.
        if step == ElectionState::Read && matches!(elector.next_step(now), ElectionState::Write(_))
        {
            continue;
        }
        let until_deadline =
            elector.written.map(|written| (written + RENEW_DEADLINE).saturating_sub(now));
        sleep(
            until_deadline
                .filter(|left| !left.is_zero())
                .map_or(RETRY_PERIOD, |left| left.min(RETRY_PERIOD)),
        )
        .await;
        elector.end_pause();
    }
}

async fn execute(
    cluster: &Cluster,
    namespace: &str,
    step: &ElectionState,
) -> Result<Option<Lease>, ClusterError> {
    match step {
        ElectionState::Wait => Ok(None),
        ElectionState::Read => cluster.lease(namespace).await,
        ElectionState::Write(lease) => cluster.write_lease(namespace, lease).await,
    }
}

/// Gives up the Lease, so that another replica leads at once. Work must have stopped before.
pub(crate) async fn release(
    cluster: &Cluster,
    namespace: &str,
    identity: &str,
) -> Result<(), ClusterError> {
    match cluster.lease(namespace).await? {
        Some(lease) if lease.holder == identity => {
            let free = Lease { holder: String::new(), seconds: 1, ..lease };
            cluster.write_lease(namespace, &free).await.map(|_| ())
        }
        _ => Ok(()),
    }
}
