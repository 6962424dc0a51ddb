//! Makes the controller passive while the operator runs: both would do the same work,
//! and the operator deletes objects of ours.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::watch;
use tokio::time::sleep;

use super::state::ControllerState;
use crate::cluster::Cluster;

const RETRY_DELAY: Duration = Duration::from_secs(10);

/// Interval between checks for namespaces that are stuck in Terminating on our finalizer.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// The Service of the operator's webhook is not watched.
const RECHECK_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Sets `operator_absent` whenever the operator's Deployment changes. It is false until the first
/// successful read; after a failed one the last value is kept.
///
/// While the operator runs, our finalizer is removed from namespaces in deletion; their
/// organizations are the operator's.
pub(crate) async fn run(
    cluster: &Cluster,
    state: ControllerState,
    operator_absent: &watch::Sender<bool>,
) {
    let mut changes = cluster.watch_operator();
    let mut last = None;
    loop {
        let running = cluster.running_operator().await;
        if let Ok(found) = &running {
            let is_absent = found.is_none();
            operator_absent.send_if_modified(|operator_absent| {
                std::mem::replace(operator_absent, is_absent) != is_absent
            });
        }
        if last.as_ref() != Some(&running) {
            match &running {
                Ok(Some(deployment)) => {
                    tracing::warn!(deployment, "the operator is running; controller is passive")
                }
                Ok(None) => tracing::info!("the operator is not running"),
                Err(unread) => {
                    tracing::warn!(reason = %unread, "cannot determine whether the operator is running")
                }
            }
            last = Some(running.clone());
        }
        let finalizers = async {
            while let Ok(Some(_)) = running {
                remove_finalizers(cluster, &state).await;
                sleep(POLL_INTERVAL).await;
            }
            std::future::pending::<()>().await;
        };
        if running.is_err() {
            sleep(RETRY_DELAY).await;
            continue;
        }
        tokio::select! {
            () = finalizers => {}
            () = sleep(RECHECK_INTERVAL) => {}
            changed = changes.next() => if changed.is_none() { return },
        }
    }
}

/// Removes our finalizer from namespaces that are being deleted.
async fn remove_finalizers(cluster: &Cluster, state: &ControllerState) {
    let names = state.stores().namespaces.namespaces();
    let is_waiting = |name: &String| {
        let namespace = state.snapshot(name).namespace.ok().flatten();
        namespace.is_some_and(|namespace| namespace.terminating && namespace.has_finalizer())
    };
    for name in names.into_iter().filter(is_waiting) {
        match cluster.set_finalizer(&name, false).await {
            Ok(()) => tracing::warn!(
                namespace = name,
                "finalizer removed; organization left to the operator"
            ),
            Err(error) => {
                tracing::warn!(namespace = name, %error, "failed to remove finalizer")
            }
        }
    }
}

pub(crate) async fn update_activity(
    mut elected: watch::Receiver<bool>,
    mut operator_absent: watch::Receiver<bool>,
    is_active: &watch::Sender<bool>,
) {
    loop {
        let now = *elected.borrow_and_update() && *operator_absent.borrow_and_update();
        is_active.send_if_modified(|is_active| std::mem::replace(is_active, now) != now);
        let changed = tokio::select! {
            changed = elected.changed() => changed,
            changed = operator_absent.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}
