//! Standing by: while the Quay Bridge Operator runs, both would do the same work, and it deletes what we keep.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::cluster::Cluster;

/// How long after a failure it is looked again.
const PAUSE: Duration = Duration::from_secs(10);

/// Looks, whenever its Deployment changes, whether the operator runs, for ever; `free` says whether we may work. As long
/// as that was never known, we may not; after that, what was seen last holds until something else is seen.
pub(crate) async fn run(cluster: &Cluster, free: &watch::Sender<bool>) {
    let mut changes = cluster.watch_operator();
    let mut before = None;
    loop {
        let running = cluster.running_operator().await;
        if let Ok(found) = &running {
            let is_free = found.is_none();
            free.send_if_modified(|free| std::mem::replace(free, is_free) != is_free);
        }
        if before.as_ref() != Some(&running) {
            match &running {
                Ok(Some(deployment)) => tracing::warn!(deployment, "the Quay Bridge Operator runs: standing by"),
                Ok(None) => tracing::info!("the Quay Bridge Operator does not run"),
                Err(unread) => tracing::warn!(reason = %unread, "whether the operator runs is not known now"),
            }
            before = Some(running.clone());
        }
        if running.is_err() {
            sleep(PAUSE).await;
        } else if changes.next().await.is_none() {
            return;
        }
    }
}

/// Has `leads` be true as long as both others are.
pub(crate) async fn both(mut elected: watch::Receiver<bool>, mut free: watch::Receiver<bool>, leads: &watch::Sender<bool>) {
    loop {
        let now = *elected.borrow_and_update() && *free.borrow_and_update();
        leads.send_if_modified(|leads| std::mem::replace(leads, now) != now);
        let changed = tokio::select! {
            changed = elected.changed() => changed,
            changed = free.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}
