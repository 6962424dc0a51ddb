//! Standing by: while the Quay Bridge Operator runs, both would do the same work, and it deletes what we keep.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::watch;
use tokio::time::sleep;

use super::state::ControllerState;
use crate::cluster::Cluster;

/// How long after a failure it is looked again.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// How often it is looked whether a namespace that is being deleted waits for us while we stand by.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// How often it is looked whatever happens: where the operator's webhook is answered is not watched.
const RECHECK_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Looks, whenever its Deployment changes, whether the operator runs, for ever; `free` says whether we may work. As long
/// as that was never known, we may not; after that, what was seen last holds until something else is seen.
///
/// No namespace waits for a bridge that stands by: while the operator runs, it is for that to say what becomes of an
/// organization, and our finalizer comes off.
pub(crate) async fn run(cluster: &Cluster, shared: ControllerState, free: &watch::Sender<bool>) {
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
                Ok(Some(deployment)) => {
                    tracing::warn!(deployment, "the Quay Bridge Operator runs: standing by")
                }
                Ok(None) => tracing::info!("the Quay Bridge Operator does not run"),
                Err(unread) => {
                    tracing::warn!(reason = %unread, "whether the operator runs is not known now")
                }
            }
            before = Some(running.clone());
        }
        let release = async {
            while let Ok(Some(_)) = running {
                release(cluster, &shared).await;
                sleep(POLL_INTERVAL).await;
            }
            std::future::pending::<()>().await;
        };
        if running.is_err() {
            sleep(RETRY_DELAY).await;
            continue;
        }
        tokio::select! {
            () = release => {}
            () = sleep(RECHECK_INTERVAL) => {}
            changed = changes.next() => if changed.is_none() { return },
        }
    }
}

/// Takes our finalizer off namespaces that are being deleted.
async fn release(cluster: &Cluster, shared: &ControllerState) {
    let names = shared.cache().namespaces.namespaces();
    let waits = |name: &String| {
        let namespace = shared.snapshot(name).namespace.ok().flatten();
        namespace.is_some_and(|namespace| namespace.terminating && namespace.is_guarded())
    };
    for name in names.into_iter().filter(waits) {
        match cluster.guard_namespace(&name, false).await {
            Ok(()) => tracing::warn!(
                namespace = name,
                "the namespace goes, what becomes of its organization is the operator's"
            ),
            Err(error) => {
                tracing::warn!(namespace = name, %error, "our finalizer could not be taken off")
            }
        }
    }
}

/// Has `leads` be true as long as both others are.
pub(crate) async fn both(
    mut elected: watch::Receiver<bool>,
    mut free: watch::Receiver<bool>,
    leads: &watch::Sender<bool>,
) {
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
