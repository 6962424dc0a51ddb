//! Leader election: of several replicas one works, the one whose name stands in a Lease.
//!
//! The rules are those of Kubernetes' own controllers (client-go `tools/leaderelection`). A holder writes the Lease again
//! and again. Who sees it unchanged for as long as it lasts takes it; clocks are not compared, since everybody counts from
//! when they saw it change. A holder that could not write for a while stops well before anybody else may begin. So there
//! never are two, even where a replica is cut off from the API server.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::{Cluster, ClusterError, Lease};

/// How long a Lease lasts that is not written any more.
const LEASE_DURATION: Duration = Duration::from_secs(30);

/// How long a holder works that could not write.
const RENEW_DEADLINE: Duration = Duration::from_secs(15);

/// How often the Lease is looked at or written, and how long one try may take.
const RETRY_PERIOD: Duration = Duration::from_secs(5);

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ElectionState {
    /// Look at the Lease.
    Read,
    /// Write it.
    Write(Lease),
    /// Wait: somebody else leads.
    Rest,
}

/// What a replica knows. Moments are counted from when it started.
#[derive(Debug)]
struct Elector {
    me: String,
    /// The Lease as it was last seen, and when it was first seen like that; a Lease of version "" is to be created.
    seen: Option<(Lease, Duration)>,
    /// It may have changed since.
    is_stale: bool,
    /// When the last write was begun that made us the holder.
    written: Option<Duration>,
}

impl Elector {
    fn new(me: String) -> Self {
        Self { me, seen: None, is_stale: true, written: None }
    }

    /// Whether we may work.
    fn leads(&self, now: Duration) -> bool {
        self.written.is_some_and(|written| now < written + RENEW_DEADLINE)
    }

    fn next(&self, now: Duration) -> ElectionState {
        let Some((lease, since)) = self.seen.as_ref().filter(|_| !self.is_stale) else {
            return ElectionState::Read;
        };
        let has_run_out = now >= *since + Duration::from_secs(lease.seconds).max(LEASE_DURATION);
        if lease.holder != self.me && !lease.holder.is_empty() && !has_run_out {
            return ElectionState::Rest;
        }
        let changes_hands = lease.holder != self.me;
        ElectionState::Write(Lease {
            version: lease.version.clone(),
            holder: self.me.clone(),
            seconds: LEASE_DURATION.as_secs(),
            transitions: lease.transitions + u64::from(changes_hands),
        })
    }

    /// What the Lease is, now that the answer is there.
    fn saw(&mut self, lease: Option<Lease>, now: Duration) {
        let lease = lease.unwrap_or_else(|| Lease {
            version: String::new(),
            holder: String::new(),
            seconds: 0,
            transitions: 0,
        });
        if lease.holder != self.me {
            self.written = None;
        }
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != lease) {
            self.seen = Some((lease, now));
        }
        self.is_stale = false;
    }

    /// What came of writing it: the Lease, or none if somebody else was faster. What counts for us is when we began.
    fn wrote(&mut self, lease: Option<Lease>, begun: Duration, now: Duration) {
        match lease {
            Some(lease) if lease.holder == self.me => {
                self.saw(Some(lease), now);
                self.written = Some(begun);
            }
            _ => self.is_stale = true,
        }
    }

    /// After a pause: what others have done meanwhile has to be looked at.
    fn rested(&mut self) {
        let is_mine = self.seen.as_ref().is_some_and(|(lease, _)| lease.holder == self.me);
        self.is_stale |= !is_mine;
    }
}

/// Takes part in the election in a namespace, for ever; `lead` says whether we may work.
pub(crate) async fn run(cluster: &Cluster, namespace: &str, me: &str, lead: &watch::Sender<bool>) {
    let started = Instant::now();
    let mut elector = Elector::new(me.to_owned());
    loop {
        let begun = started.elapsed();
        let step = elector.next(begun);
        let answer = timeout(RETRY_PERIOD, ask(cluster, namespace, &step)).await;
        let now = started.elapsed();
        match (&step, answer) {
            (ElectionState::Rest, _) => {}
            (ElectionState::Read, Ok(Ok(lease))) => elector.saw(lease, now),
            (ElectionState::Write(_), Ok(Ok(lease))) => elector.wrote(lease, begun, now),
            (_, answer) => {
                // Whether it was written is not known.
                elector.is_stale = true;
                let failed = answer.ok().and_then(Result::err).map(|error| error.to_string());
                tracing::warn!(
                    reason = failed.as_deref().unwrap_or("no answer in time"),
                    "leader election"
                );
            }
        }
        let leads = elector.leads(now);
        lead.send_if_modified(|lead| std::mem::replace(lead, leads) != leads);
        // What was read is acted on at once.
        if step == ElectionState::Read && matches!(elector.next(now), ElectionState::Write(_)) {
            continue;
        }
        let until_too_late =
            elector.written.map(|written| (written + RENEW_DEADLINE).saturating_sub(now));
        sleep(
            until_too_late
                .filter(|left| !left.is_zero())
                .map_or(RETRY_PERIOD, |left| left.min(RETRY_PERIOD)),
        )
        .await;
        elector.rested();
    }
}

async fn ask(
    cluster: &Cluster,
    namespace: &str,
    step: &ElectionState,
) -> Result<Option<Lease>, ClusterError> {
    match step {
        ElectionState::Rest => Ok(None),
        ElectionState::Read => cluster.lease(namespace).await,
        ElectionState::Write(lease) => cluster.write_lease(namespace, lease).await,
    }
}

/// Lets somebody else lead at once. Nobody has to work any more by then.
pub(crate) async fn release(
    cluster: &Cluster,
    namespace: &str,
    me: &str,
) -> Result<(), ClusterError> {
    match cluster.lease(namespace).await? {
        Some(lease) if lease.holder == me => {
            let free = Lease { holder: String::new(), seconds: 1, ..lease };
            cluster.write_lease(namespace, &free).await.map(|_| ())
        }
        _ => Ok(()),
    }
}
