//! The bridge that runs by itself: `repair`, for ever, woken by watches.
//!
//! `cache` is what is known of the cluster, `queue` which namespace is next, `reconcile` what is done for one, `imports`
//! what is done once its builds are complete, `integration` which Quay is meant, `conditions` what is written into its
//! QuayIntegration, `telemetry` what there is to tell; `shared` is what the webhook may see of it. `told`, `metrics` and
//! `events` are what becomes of what is told; `election` and `standby` say whether to work at all; `health` answers those
//! who watch over it.
//!
//! Everything runs within one future and stops when that is dropped: every change can be interrupted.

pub(crate) mod admin_server;
pub mod event;
pub(crate) mod events;
mod imports;
mod integration;
pub(crate) mod leader_election;
pub(crate) mod log_events;
pub(crate) mod metrics;
pub(crate) mod operator_watch;
mod queue;
mod reconcile;
pub mod state;
mod status_conditions;
mod store;
pub mod webhook;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::backoff;
use crate::cli::GlobalArgs;
use crate::cluster::{Cluster, Versioned, WatchUpdate};
use crate::domain::deletion_policy::DeletionPolicy;
use crate::domain::integration::QuayIntegration;
use crate::domain::snapshot::{Build, Phase};
use crate::ops::settings::Settings;
use crate::request_metrics::Observer;
use event::{ControllerEvent, EventSink};
use imports::PendingImports;
use integration::IntegrationState;
use queue::{Action, Priority};
use reconcile::NamespaceCache;
use state::ControllerState;
use status_conditions::NamespaceStatuses;

/// How the bridge works.
#[derive(Clone)]
pub struct Options {
    /// How often everything is looked at, whether or not something happened: changes in Quay cannot be watched.
    pub resync_interval: Duration,
    /// What becomes of the organizations of namespaces that are deleted and do not say themselves.
    pub deletion_policy: DeletionPolicy,
    /// Is told of every request to Quay.
    pub observer: Option<Observer>,
    /// Builds are to push to Quay: their webhook is served.
    pub reviews_builds: bool,
}

/// The bridge.
pub struct Controller<'a> {
    global: &'a GlobalArgs,
    cluster: Cluster,
    settings: Settings,
    options: Options,
    telemetry: EventSink<'a>,
    shared: ControllerState,
    /// The QuayIntegrations there are, once that is known.
    integrations: watch::Sender<Option<Vec<QuayIntegration>>>,
    meant: watch::Sender<IntegrationState>,
    namespace_caches: Mutex<NamespaceCaches>,
    standings: Mutex<NamespaceStatuses>,
    errands: Mutex<HashMap<String, PendingImports>>,
    quay_has_outage: Notify,
    /// Something that conditions tell of.
    something_changed: Notify,
    is_synced: watch::Sender<bool>,
    /// The work is this bridge's.
    leads: AtomicBool,
    /// Warnings that were told.
    warned: Mutex<BTreeSet<String>>,
}

/// What is remembered of the namespaces, while it holds.
#[derive(Default)]
struct NamespaceCaches {
    epoch: u64,
    of: HashMap<String, NamespaceCache>,
}

impl<'a> Controller<'a> {
    /// A bridge that does nothing yet.
    pub(crate) fn new(
        global: &'a GlobalArgs,
        cluster: Cluster,
        settings: Settings,
        options: Options,
        telemetry: EventSink<'a>,
    ) -> Self {
        Self {
            global,
            cluster,
            settings,
            options,
            telemetry,
            shared: ControllerState::new(),
            integrations: watch::Sender::new(None),
            meant: watch::Sender::new(IntegrationState::Unknown),
            namespace_caches: Mutex::default(),
            standings: Mutex::default(),
            errands: Mutex::default(),
            quay_has_outage: Notify::new(),
            something_changed: Notify::new(),
            is_synced: watch::Sender::new(false),
            leads: AtomicBool::new(false),
            warned: Mutex::default(),
        }
    }

    /// What the webhook works with.
    pub fn shared(&self) -> ControllerState {
        self.shared.clone()
    }

    /// Runs for ever. What is known is kept up to date all the time; namespaces are worked on while `lead` says so.
    pub async fn run(&self, lead: watch::Receiver<bool>) {
        let workers = join_all((0..self.global.concurrency).map(|_| self.work(lead.clone())));
        tokio::join!(
            self.follow_cluster(),
            self.follow_integration(),
            self.monitor_quay(),
            self.on_elected(lead.clone()),
            self.maintain_conditions(lead.clone()),
            self.periodic_resync(),
            workers,
        );
    }

    async fn follow_cluster(&self) {
        let shared = &self.shared;
        tokio::join!(
            self.cluster.follow_namespaces(
                |news| self.absorb(news, |news| shared.cache().namespaces.absorb(news))
            ),
            self.cluster.follow_service_accounts(
                |news| self.absorb(news, |news| shared.cache().service_accounts.absorb(news))
            ),
            self.cluster.follow_login_secrets(
                |news| self.absorb(news, |news| shared.cache().secrets.absorb(news))
            ),
            self.cluster.follow_other_secrets(
                |news| self.absorb(news, |news| shared.cache().other_secrets.absorb(news))
            ),
            self.cluster.follow_build_configs(
                |news| self.absorb(news, |news| shared.cache().build_configs.absorb(news))
            ),
            self.cluster.follow_builds(|news| {
                self.on_build(&news);
                self.absorb(news, |news| shared.cache().builds.absorb(news));
            }),
            self.cluster.follow_image_streams(
                |news| self.absorb(news, |news| shared.cache().image_streams.absorb(news))
            ),
        );
    }

    fn absorb<T>(
        &self,
        news: WatchUpdate<T>,
        into: impl FnOnce(WatchUpdate<T>) -> BTreeSet<String>,
    ) {
        if let WatchUpdate::Unread(unread) = &news {
            self.tell(&ControllerEvent::Unread(unread.clone()));
        }
        // A list is of what there was before, as a rule.
        let lane =
            if matches!(news, WatchUpdate::All(..)) { Priority::Low } else { Priority::Normal };
        for namespace in into(news) {
            self.enqueue(&namespace, lane);
        }
        if !*self.is_synced.borrow() && self.shared.is_synced() {
            let (namespaces, image_streams) = {
                let cache = self.shared.cache();
                (cache.namespaces.len(), cache.image_streams.len())
            };
            self.tell(&ControllerEvent::Synced { namespaces, image_streams });
            self.is_synced.send_replace(true);
        }
    }

    /// Tells of a build that just began and will not push to Quay, and sees to it that the next one does. This is learnt
    /// from the cluster and not from the webhook, whom anybody may ask.
    fn on_build(&self, news: &WatchUpdate<Build>) {
        let WatchUpdate::Changed(Versioned { namespace, name, object: build, .. }) = news else {
            return;
        };
        if !self.options.reviews_builds || !self.leads() || build.phase != Phase::New {
            return;
        }
        let Some((outcome, why)) = webhook::not_rewritten(namespace, &build.spec, &self.shared)
        else {
            return;
        };
        if outcome == webhook::ReviewOutcome::NotLinked {
            self.enqueue(namespace, Priority::High);
        }
        let object = self.shared.snapshot(namespace).namespace;
        let uid =
            object.into_iter().flatten().map(|namespace| namespace.uid).next().unwrap_or_default();
        self.tell(&ControllerEvent::BuildNotPushed {
            namespace: namespace.clone(),
            uid,
            build: name.clone(),
            why,
        });
    }

    /// Works on one namespace after the other.
    async fn work(&self, mut lead: watch::Receiver<bool>) {
        let (mut synced, mut meant) = (self.is_synced.subscribe(), self.meant.subscribe());
        loop {
            // The senders live as long as this does.
            let ready = async {
                let _ = synced.wait_for(|synced| *synced).await;
                let _ = meant.wait_for(|meant| !matches!(meant, IntegrationState::Unknown)).await;
            };
            ready.await;
            if lead.wait_for(|lead| *lead).await.is_err() {
                return;
            }
            let namespace = tokio::select! {
                namespace = self.shared.queue().next() => namespace,
                Ok(()) = lead.changed() => continue,
                Ok(()) = meant.changed() => continue,
            };
            if matches!(self.meant(), IntegrationState::Unknown) {
                self.shared.queue().done(&namespace, Action::Backoff);
                continue;
            }
            let next = tokio::select! {
                next = self.reconcile(&namespace) => next,
                // Whoever leads next looks at everything. What is under way can be interrupted anywhere.
                _ = lead.wait_for(|lead| !*lead) => Action::AwaitChange,
            };
            self.shared.queue().done(&namespace, next);
        }
    }

    /// Whoever begins to lead knows nothing of what others did.
    async fn on_elected(&self, mut lead: watch::Receiver<bool>) {
        while lead.changed().await.is_ok() {
            let leads = *lead.borrow_and_update();
            self.leads.store(leads, Ordering::Relaxed);
            self.tell(&ControllerEvent::Leading(leads));
            self.something_changed.notify_one();
            match leads {
                true => self.invalidate_and_resync(),
                false => self.shared.queue().clear(),
            }
        }
    }

    async fn periodic_resync(&self) {
        loop {
            // Several bridges to one Quay do not all come at the same time.
            let more = backoff::part_of(self.options.resync_interval / 5);
            sleep(self.options.resync_interval.saturating_add(more)).await;
            self.forget_obstacles();
            self.invalidate_and_resync();
        }
    }

    fn invalidate_and_resync(&self) {
        self.namespace_caches().of.clear();
        self.enqueue_all();
    }

    fn enqueue_all(&self) {
        let namespaces = self.shared.cache().namespaces.namespaces();
        namespaces.iter().for_each(|namespace| self.enqueue(namespace, Priority::Low));
    }

    /// Has a namespace looked at. Whoever begins to lead looks at all of them, so until then none waits.
    fn enqueue(&self, namespace: &str, lane: Priority) {
        if self.leads() {
            self.shared.queue().add(namespace, lane);
        }
    }

    fn leads(&self) -> bool {
        self.leads.load(Ordering::Relaxed)
    }

    fn meant(&self) -> IntegrationState {
        self.meant.borrow().clone()
    }

    fn publish(&self, meant: IntegrationState) {
        self.shared.set_integration(meant.bound().map(|bound| bound.target.integration.clone()));
        self.meant.send_replace(meant);
        self.something_changed.notify_one();
    }

    /// Nothing that was learnt of Quay so far holds any longer.
    fn invalidate_cache(&self) -> u64 {
        let mut namespace_caches = self.namespace_caches();
        namespace_caches.of.clear();
        namespace_caches.epoch += 1;
        namespace_caches.epoch
    }

    fn cached(&self, namespace: &str, epoch: u64) -> NamespaceCache {
        let mut namespace_caches = self.namespace_caches();
        if namespace_caches.epoch == epoch {
            namespace_caches.of.remove(namespace).unwrap_or_default()
        } else {
            NamespaceCache::default()
        }
    }

    fn keep(&self, namespace: &str, epoch: u64, memory: NamespaceCache) {
        let mut namespace_caches = self.namespace_caches();
        if namespace_caches.epoch == epoch && memory.is_cacheable() {
            namespace_caches.of.insert(namespace.to_owned(), memory);
        }
    }

    fn standings(&self) -> MutexGuard<'_, NamespaceStatuses> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn namespace_caches(&self) -> MutexGuard<'_, NamespaceCaches> {
        self.namespace_caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: &ControllerEvent) {
        (self.telemetry)(event);
    }
}
