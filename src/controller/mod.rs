//! The controller: `repair` for all namespaces, triggered by watches and by a periodic resync.
//!
//! `store` caches the cluster, `queue` orders the namespaces, `reconcile` and `imports` work on
//! one, `integration` follows the QuayIntegration, and `status_conditions` reports in it. `event`
//! is the output, for `log_events`, `metrics` and `events`. `leader_election` and `operator_watch`
//! decide whether this replica is active. `run` connects them.

mod admin_server;
pub mod event;
mod events;
mod imports;
mod integration;
mod leader_election;
mod log_events;
mod metrics;
mod operator_watch;
mod queue;
mod reconcile;
mod run;
pub mod state;
mod status_conditions;
mod store;
pub mod webhook;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::backoff;
use crate::cluster::{Cluster, Versioned, WatchUpdate};
use crate::domain::deletion_policy::DeletionPolicy;
use crate::domain::integration::QuayIntegration;
use crate::domain::snapshot::{Build, Phase};
use crate::ops::ConnectionOptions;
use crate::ops::settings::Settings;
use crate::request_metrics::Observer;
use event::{ControllerEvent, EventSink};
use imports::PendingImports;
use integration::IntegrationState;
use queue::{Action, Priority};
use reconcile::NamespaceCache;
use state::ControllerState;
use status_conditions::NamespaceStatuses;

pub(crate) use run::{Config, run};

/// Settings of the controller.
#[derive(Clone)]
pub struct Options {
    /// Time between two reconciles of all namespaces: changes in Quay cannot be watched.
    pub resync_interval: Duration,
    /// Policy for the organizations of deleted namespaces without an annotation of their own.
    pub deletion_policy: DeletionPolicy,
    /// Observes every request to Quay.
    pub observer: Option<Observer>,
    /// The build webhook is served.
    pub reviews_builds: bool,
}

/// Reconciles namespaces until it is dropped; every change can be interrupted.
pub struct Controller<'a> {
    connection: &'a ConnectionOptions,
    cluster: Cluster,
    settings: Settings,
    options: Options,
    event_sink: EventSink<'a>,
    state: ControllerState,
    /// `None` before the first list.
    integrations: watch::Sender<Option<Vec<QuayIntegration>>>,
    integration_state: watch::Sender<IntegrationState>,
    namespace_caches: Mutex<NamespaceCaches>,
    statuses: Mutex<NamespaceStatuses>,
    pending_imports: Mutex<HashMap<String, PendingImports>>,
    quay_has_outage: Notify,
    conditions_changed: Notify,
    is_synced: watch::Sender<bool>,
    is_leader: AtomicBool,
    /// Warnings that were emitted already.
    warned: Mutex<BTreeSet<String>>,
}

/// State of the namespaces in Quay, as read. A new epoch invalidates all of it.
#[derive(Default)]
struct NamespaceCaches {
    epoch: u64,
    by_namespace: HashMap<String, NamespaceCache>,
}

impl<'a> Controller<'a> {
    pub(crate) fn new(
        connection: &'a ConnectionOptions,
        cluster: Cluster,
        settings: Settings,
        options: Options,
        event_sink: EventSink<'a>,
    ) -> Self {
        Self {
            connection,
            cluster,
            settings,
            options,
            event_sink,
            state: ControllerState::new(),
            integrations: watch::Sender::new(None),
            integration_state: watch::Sender::new(IntegrationState::Unknown),
            namespace_caches: Mutex::default(),
            statuses: Mutex::default(),
            pending_imports: Mutex::default(),
            quay_has_outage: Notify::new(),
            conditions_changed: Notify::new(),
            is_synced: watch::Sender::new(false),
            is_leader: AtomicBool::new(false),
            warned: Mutex::default(),
        }
    }

    /// The state that the webhook shares; clones are handles to the same state.
    pub fn state(&self) -> ControllerState {
        self.state.clone()
    }

    /// Never ends. Caches are updated all the time; namespaces are reconciled while `leading` is
    /// true.
    pub async fn run(&self, leading: watch::Receiver<bool>) {
        let workers =
            join_all((0..self.connection.cluster.concurrency).map(|_| self.work(leading.clone())));
        tokio::join!(
            self.follow_cluster(),
            self.follow_integration(),
            self.monitor_quay(),
            self.on_elected(leading.clone()),
            self.maintain_conditions(leading.clone()),
            self.periodic_resync(),
            workers,
        );
    }

    async fn follow_cluster(&self) {
        let state = &self.state;
        tokio::join!(
            self.cluster.follow_namespaces(|event| self
                .apply_event(event, |event| state.stores().namespaces.apply_event(event))),
            self.cluster.follow_service_accounts(|event| self
                .apply_event(event, |event| state.stores().service_accounts.apply_event(event))),
            self.cluster
                .follow_registry_secrets(|event| self
                    .apply_event(event, |event| state.stores().secrets.apply_event(event))),
            self.cluster.follow_other_secrets(|event| self
                .apply_event(event, |event| state.stores().other_secrets.apply_event(event))),
            self.cluster.follow_build_configs(|event| self
                .apply_event(event, |event| state.stores().build_configs.apply_event(event))),
            self.cluster.follow_builds(|event| {
                self.on_build(&event);
                self.apply_event(event, |event| state.stores().builds.apply_event(event));
            }),
            self.cluster.follow_image_streams(|event| self
                .apply_event(event, |event| state.stores().image_streams.apply_event(event))),
        );
    }

    fn apply_event<T>(
        &self,
        event: WatchUpdate<T>,
        apply: impl FnOnce(WatchUpdate<T>) -> BTreeSet<String>,
    ) {
        if let WatchUpdate::Unread(unread) = &event {
            self.emit(&ControllerEvent::Unread(unread.clone()));
        }
        // A list mostly repeats known objects.
        let priority =
            if matches!(event, WatchUpdate::All(..)) { Priority::Low } else { Priority::Normal };
        for namespace in apply(event) {
            self.enqueue(&namespace, priority);
        }
        if !*self.is_synced.borrow() && self.state.is_synced() {
            let (namespaces, image_streams) = {
                let stores = self.state.stores();
                (stores.namespaces.len(), stores.image_streams.len())
            };
            self.emit(&ControllerEvent::Synced { namespaces, image_streams });
            self.is_synced.send_replace(true);
        }
    }

    /// Reports a new build that does not push to Quay, and reconciles its namespace. The source is
    /// the watch and not the webhook, which anyone can call.
    fn on_build(&self, event: &WatchUpdate<Build>) {
        let WatchUpdate::Changed(Versioned { namespace, name, object: build, .. }) = event else {
            return;
        };
        if !self.options.reviews_builds || !self.is_leader() || build.phase != Phase::New {
            return;
        }
        let Some((outcome, why)) = webhook::not_rewritten(namespace, &build.spec, &self.state)
        else {
            return;
        };
        if outcome == webhook::ReviewOutcome::NotLinked {
            self.enqueue(namespace, Priority::High);
        }
        let object = self.state.snapshot(namespace).namespace.ok().flatten();
        let uid = object.map(|namespace| namespace.uid).unwrap_or_default();
        self.emit(&ControllerEvent::BuildNotPushed {
            namespace: namespace.clone(),
            uid,
            build: name.clone(),
            why,
        });
    }

    async fn work(&self, mut leading: watch::Receiver<bool>) {
        let (mut synced, mut integration) =
            (self.is_synced.subscribe(), self.integration_state.subscribe());
        loop {
            // The senders live as long as the controller.
            let is_ready = async {
                let _ = synced.wait_for(|synced| *synced).await;
                let _ = integration
                    .wait_for(|integration| !matches!(integration, IntegrationState::Unknown))
                    .await;
            };
            is_ready.await;
            if leading.wait_for(|leading| *leading).await.is_err() {
                return;
            }
            let namespace = tokio::select! {
                namespace = self.state.queue().next() => namespace,
                Ok(()) = leading.changed() => continue,
                Ok(()) = integration.changed() => continue,
            };
            if matches!(self.integration_state(), IntegrationState::Unknown) {
                self.state.queue().finish(&namespace, Action::Backoff);
                continue;
            }
            let action = tokio::select! {
                action = self.reconcile(&namespace) => action,
                // The next leader reconciles all namespaces. Work can be interrupted at any point.
                _ = leading.wait_for(|leading| !*leading) => Action::AwaitChange,
            };
            self.state.queue().finish(&namespace, action);
        }
    }

    /// A new leader does not know the previous one's changes.
    async fn on_elected(&self, mut leading: watch::Receiver<bool>) {
        while leading.changed().await.is_ok() {
            let is_leader = *leading.borrow_and_update();
            self.is_leader.store(is_leader, Ordering::Relaxed);
            self.emit(&ControllerEvent::Leading(is_leader));
            self.conditions_changed.notify_one();
            match is_leader {
                true => self.invalidate_and_resync(),
                false => self.state.queue().clear(),
            }
        }
    }

    async fn periodic_resync(&self) {
        loop {
            // Jitter, for several controllers of one Quay.
            let jitter = backoff::jitter(self.options.resync_interval / 5);
            sleep(self.options.resync_interval.saturating_add(jitter)).await;
            self.clear_problems();
            self.invalidate_and_resync();
        }
    }

    fn invalidate_and_resync(&self) {
        self.namespace_caches().by_namespace.clear();
        self.enqueue_all();
    }

    fn enqueue_all(&self) {
        let namespaces = self.state.stores().namespaces.namespaces();
        namespaces.iter().for_each(|namespace| self.enqueue(namespace, Priority::Low));
    }

    /// Only a leader has a queue: a new leader enqueues all namespaces.
    fn enqueue(&self, namespace: &str, priority: Priority) {
        if self.is_leader() {
            self.state.queue().add(namespace, priority);
        }
    }

    fn is_leader(&self) -> bool {
        self.is_leader.load(Ordering::Relaxed)
    }

    fn integration_state(&self) -> IntegrationState {
        self.integration_state.borrow().clone()
    }

    fn publish(&self, integration: IntegrationState) {
        self.state.set_integration(
            integration.active().map(|active| active.connection.integration.clone()),
        );
        self.integration_state.send_replace(integration);
        self.conditions_changed.notify_one();
    }

    /// Starts a new epoch: nothing read from Quay before is valid.
    fn invalidate_cache(&self) -> u64 {
        let mut namespace_caches = self.namespace_caches();
        namespace_caches.by_namespace.clear();
        namespace_caches.epoch += 1;
        namespace_caches.epoch
    }

    fn take_cache(&self, namespace: &str, epoch: u64) -> NamespaceCache {
        let mut namespace_caches = self.namespace_caches();
        if namespace_caches.epoch == epoch {
            namespace_caches.by_namespace.remove(namespace).unwrap_or_default()
        } else {
            NamespaceCache::default()
        }
    }

    fn put_cache(&self, namespace: &str, epoch: u64, cache: NamespaceCache) {
        let mut namespace_caches = self.namespace_caches();
        if namespace_caches.epoch == epoch && cache.is_cacheable() {
            namespace_caches.by_namespace.insert(namespace.to_owned(), cache);
        }
    }

    fn statuses(&self) -> MutexGuard<'_, NamespaceStatuses> {
        self.statuses.lock()
    }

    fn namespace_caches(&self) -> MutexGuard<'_, NamespaceCaches> {
        self.namespace_caches.lock()
    }

    fn emit(&self, event: &ControllerEvent) {
        (self.event_sink)(event);
    }
}
