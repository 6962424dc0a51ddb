//! The active QuayIntegration, connected again when it or its token Secret changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Controller;
use super::event::ControllerEvent;
use super::queue::Priority;
use super::status_conditions::describe;
use crate::cluster::WatchUpdate;
use crate::domain::integration::{Integration, QuayIntegration, QuayProblem};
use crate::domain::scope::Scope;
use crate::domain::snapshot::Observed;
use crate::ops::{App, QuayConnection};
use crate::quay::Quay;

/// Pause between two attempts to read the integration.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// After this time without one successful read, namespaces are handled without Quay, so that a
/// deleted one is not stuck in Terminating.
const READ_FAILURE_GRACE: Duration = Duration::from_secs(60);

/// Pauses between probes of an unavailable Quay. They double, and continue after a recovery that
/// lasts less than the maximum.
const MIN_PROBE_INTERVAL: Duration = Duration::from_secs(1);
const MAX_PROBE_INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct ActiveIntegration {
    pub(super) app: Arc<App>,
    pub(super) connection: QuayConnection,
    /// Grows when cached data of Quay becomes invalid.
    pub(super) epoch: u64,
}

#[derive(Clone)]
pub(super) enum IntegrationState {
    /// Not read yet, or the new state could not be read.
    Unknown,
    /// Without a usable QuayIntegration.
    Nothing(Arc<NotReady>),
    Quay(Arc<ActiveIntegration>),
}

pub(super) struct NotReady {
    /// The conditions' `reason`.
    pub(super) reason: &'static str,
    pub(super) why: String,
    pub(super) token_is_missing: bool,
    /// Names of all QuayIntegrations.
    pub(super) resources: Vec<String>,
}

impl NotReady {
    fn new(reason: &'static str, why: String, resources: Vec<String>) -> Self {
        Self { reason, why, token_is_missing: false, resources }
    }
}

impl IntegrationState {
    pub(super) fn active(&self) -> Option<&Arc<ActiveIntegration>> {
        match self {
            IntegrationState::Quay(active) => Some(active),
            IntegrationState::Unknown | IntegrationState::Nothing(_) => None,
        }
    }
}

impl Controller<'_> {
    /// Watches the QuayIntegrations and the token Secret. Never ends.
    pub(super) async fn follow_integration(&self) {
        let mut changes = self.integrations.subscribe();
        let mut integrations = BTreeMap::new();
        let follow = self.cluster.follow_integrations(|event| {
            if let WatchUpdate::Unread(unread) = event {
                return self.emit(&ControllerEvent::Unread(unread));
            }
            apply_event(&mut integrations, event);
            let now: Vec<QuayIntegration> = integrations.values().cloned().collect();
            self.integrations.send_if_modified(|before| {
                before.replace(now.clone()).is_none_or(|before| before != now)
            });
        });
        let run = async {
            loop {
                let Some(resources) = changes.borrow_and_update().clone() else {
                    // The sender lives as long as the controller.
                    let _ = changes.changed().await;
                    continue;
                };
                tokio::select! {
                    () = self.run_integration(&resources) => {}
                    () = self.apply_scope_changes(&mut changes, resources.clone()) => {}
                }
            }
        };
        tokio::join!(follow, run);
    }

    /// Applies changes of the namespace lists without a new connection. Ends when another field
    /// changes.
    async fn apply_scope_changes(
        &self,
        changes: &mut watch::Receiver<Option<Vec<QuayIntegration>>>,
        mut before: Vec<QuayIntegration>,
    ) {
        while changes.changed().await.is_ok() {
            let Some(now) = changes.borrow_and_update().clone() else { continue };
            match (before.as_slice(), now.as_slice()) {
                ([old], [new]) if without_lists(old) == without_lists(new) => self.apply_scope(new),
                _ => return changes.mark_changed(),
            }
            before = now;
        }
    }

    fn apply_scope(&self, resource: &QuayIntegration) {
        let Some(active) = self.integration_state().active().cloned() else { return };
        let before = active.connection.integration.resource.clone();
        let integration = Integration {
            resource: Some(resource.clone()),
            ..active.connection.integration.clone()
        };
        let connection =
            QuayConnection { integration, quay: active.connection.quay.clone(), has_token: true };
        self.publish(IntegrationState::Quay(Arc::new(ActiveIntegration {
            app: Arc::clone(&active.app),
            connection,
            epoch: active.epoch,
        })));
        let names = self.state.stores().namespaces.namespaces();
        for name in names {
            let object = self.state.snapshot(&name).namespace;
            let scope = |resource| Scope::from_observed(&name, &object, resource);
            if scope(before.as_ref()) != scope(Some(resource)) {
                self.enqueue(&name, Priority::Normal);
            }
        }
    }

    /// Connects with these QuayIntegrations, and again with each new content of the token Secret.
    async fn run_integration(&self, resources: &[QuayIntegration]) {
        let key = match resources {
            [integration] if self.settings.token.is_none() => integration.credentials.clone(),
            _ => None,
        };
        let Some(key) = key else {
            self.connect_until_ready(resources).await;
            return std::future::pending().await;
        };
        let (sender, mut changes) = watch::channel(None);
        let follow = self.cluster.follow_secret(&key, |event| {
            sender.send_if_modified(|last| IntegrationObservation::record(last, &event));
        });
        let connect = async {
            // The sender lives as long as this does.
            let _ = changes.changed().await;
            loop {
                let connect = async {
                    self.connect_until_ready(resources).await;
                    std::future::pending().await
                };
                tokio::select! {
                    () = connect => {}
                    _ = changes.changed() => {}
                }
            }
        };
        tokio::select! {
            () = follow => {}
            () = connect => {}
        }
    }

    /// Retries until the integration was read. After a read error the previous state is kept.
    async fn connect_until_ready(&self, resources: &[QuayIntegration]) {
        let names = || resources.iter().map(|resource| resource.name.clone()).collect();
        let (started, mut last) = (Instant::now(), None);
        while let Err(unread) = self.connect(names()).await {
            if !self.still_matches(resources) {
                self.emit(&ControllerEvent::Integration { quay: Err(unread.to_string()) });
                self.publish(IntegrationState::Unknown);
            }
            if matches!(self.integration_state(), IntegrationState::Unknown)
                && started.elapsed() > READ_FAILURE_GRACE
            {
                self.deactivate(NotReady::new("ReadFailed", unread.to_string(), names()));
            }
            if last.as_ref() != Some(&unread) {
                self.emit(&ControllerEvent::Unread(unread.clone()));
            }
            last = Some(unread);
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// Whether the active integration matches these QuayIntegrations, apart from their lists.
    fn still_matches(&self, resources: &[QuayIntegration]) -> bool {
        let state = self.integration_state();
        let Some(active) = state.active() else { return true };
        match (&active.connection.integration.resource, resources) {
            (Some(before), [now]) => without_lists(before) == without_lists(now),
            _ => false,
        }
    }

    /// When the integration could not be read.
    async fn connect(&self, resources: Vec<String>) -> Observed<()> {
        let app = App::read(self.connection, self.cluster.clone(), self.settings.clone()).await;
        let mut app = match app {
            Ok(app) => app,
            Err(error) => {
                self.deactivate(NotReady::new(
                    "InvalidIntegration",
                    error.messages().join(": "),
                    resources,
                ));
                return Ok(());
            }
        };
        self.warn_once(&app.warnings);
        if let Some(Err(unread)) = &app.snapshot.stored_token {
            return Err(unread.clone());
        }
        let not_ready =
            not_ready(&app, app.snapshot.resources.as_deref().map_err(Clone::clone)?, resources);
        let Some(mut connection) = app.target.take().filter(|_| not_ready.is_none()) else {
            not_ready.into_iter().for_each(|not_ready| self.deactivate(not_ready));
            return Ok(());
        };
        connection.quay.set_wait_notice(Arc::new(|text| tracing::info!("{text}")));
        if let Some(observer) = &self.options.observer {
            connection.quay.observe(observer.clone());
        }
        if let Some([newest]) = self.integrations.borrow().as_deref() {
            // The lists might have changed since.
            connection.integration.resource = Some(newest.clone());
        }
        let quay = Ok(connection.integration.url.value.to_string());
        let epoch = self.invalidate_cache();
        self.publish(IntegrationState::Quay(Arc::new(ActiveIntegration {
            app: Arc::new(app),
            connection,
            epoch,
        })));
        self.emit(&ControllerEvent::Integration { quay });
        self.enqueue_all();
        Ok(())
    }

    /// Reconnecting repeats all warnings.
    pub(super) fn warn_once(&self, warnings: &[String]) {
        for warning in warnings {
            if self.warned.lock().insert(warning.clone()) {
                self.emit(&ControllerEvent::Warning(warning.clone()));
            }
        }
    }

    fn deactivate(&self, not_ready: NotReady) {
        self.invalidate_cache();
        self.emit(&ControllerEvent::Integration { quay: Err(not_ready.why.clone()) });
        self.publish(IntegrationState::Nothing(Arc::new(not_ready)));
        self.enqueue_all();
    }

    /// Probes an unavailable Quay until it recovers. Never ends.
    pub(super) async fn monitor_quay(&self) {
        let (mut pause, mut recovered) = (MIN_PROBE_INTERVAL, None);
        loop {
            self.quay_has_outage.notified().await;
            if recovered.is_none_or(|recovered: Instant| recovered.elapsed() > MAX_PROBE_INTERVAL) {
                pause = MIN_PROBE_INTERVAL;
            }
            let mut is_reported = false;
            while let Some((active, outage)) = self.outage() {
                if !is_reported {
                    self.emit(&ControllerEvent::Quay { problem: Some(describe(&outage)) });
                    is_reported = true;
                }
                sleep(pause).await;
                pause = (pause * 2).min(MAX_PROBE_INTERVAL);
                let quay = active.connection.quay.with_reset_breaker();
                if !quay.has_recovered(&outage).await {
                    continue;
                }
                // The lists might have changed, or another Quay might be active.
                let Some(now) = self
                    .integration_state()
                    .active()
                    .filter(|now| now.epoch == active.epoch)
                    .cloned()
                else {
                    continue;
                };
                self.replace_client(&now, quay);
                self.emit(&ControllerEvent::Quay { problem: None });
                recovered = Some(Instant::now());
                self.state.queue().retry_all_now();
            }
        }
    }

    fn outage(&self) -> Option<(Arc<ActiveIntegration>, QuayProblem)> {
        let active = self.integration_state().active().cloned()?;
        let outage = active.connection.quay.outage()?;
        Some((active, outage))
    }

    /// Resets problems other than outages: Quay's configuration and the user's permissions cannot
    /// be watched.
    pub(super) fn clear_problems(&self) {
        let Some(active) = self.integration_state().active().cloned() else { return };
        let quay = &active.connection.quay;
        if quay.outage().is_none() && !quay.problems().is_empty() {
            self.replace_client(&active, quay.with_reset_breaker());
        }
    }

    fn replace_client(&self, active: &ActiveIntegration, quay: Quay) {
        let connection = QuayConnection {
            integration: active.connection.integration.clone(),
            quay,
            has_token: true,
        };
        self.publish(IntegrationState::Quay(Arc::new(ActiveIntegration {
            app: Arc::clone(&active.app),
            connection,
            epoch: active.epoch,
        })));
    }
}

/// Requires exactly one QuayIntegration, also where flags suffice for commands: its lists define
/// the scope.
fn not_ready(app: &App, found: &[QuayIntegration], resources: Vec<String>) -> Option<NotReady> {
    let several = || {
        let names: Vec<_> = found.iter().map(|one| one.name.as_str()).collect();
        format!("multiple QuayIntegrations found ({}); exactly one is required", names.join(", "))
    };
    Some(match found {
        [integration] if !app.snapshot.differing().is_empty() => {
            let why = format!(
                "QuayIntegration {} is for a different Quay or cluster ID than the flags",
                integration.name
            );
            NotReady::new("InvalidIntegration", why, resources)
        }
        [_] => {
            let why = app.target().err()?.messages().join(": ");
            let token_is_missing = app.settings().is_ok();
            let reason = if token_is_missing { "TokenMissing" } else { "InvalidIntegration" };
            NotReady { token_is_missing, ..NotReady::new(reason, why, resources) }
        }
        [] => NotReady::new("NoIntegration", "no QuayIntegration found".to_owned(), resources),
        _ => NotReady::new("MultipleIntegrations", several(), resources),
    })
}

fn apply_event(found: &mut BTreeMap<String, QuayIntegration>, event: WatchUpdate<QuayIntegration>) {
    // Writing conditions changes the version.
    let without_version =
        |object: QuayIntegration| QuayIntegration { resource_version: String::new(), ..object };
    match event {
        WatchUpdate::All(_, all) => {
            *found = all.into_iter().map(|one| (one.name, without_version(one.object))).collect()
        }
        WatchUpdate::Changed(one) => drop(found.insert(one.name, without_version(one.object))),
        WatchUpdate::Gone(one) => drop(found.remove(&one.name)),
        WatchUpdate::Unread(_) => {}
    }
}

fn without_lists(resource: &QuayIntegration) -> QuayIntegration {
    QuayIntegration { allow: vec![], deny: vec![], ..resource.clone() }
}

/// Last observation of the token Secret.
#[derive(Debug, PartialEq, Eq)]
enum IntegrationObservation<T> {
    Content(T),
    Absent,
    Unread,
}

impl<T: Copy + PartialEq> IntegrationObservation<T> {
    /// Returns whether the content might have changed. An unreadable Secret keeps its last content.
    fn record(last: &mut Option<Self>, event: &WatchUpdate<T>) -> bool {
        let now = match event {
            WatchUpdate::All(_, all) => {
                all.first().map_or(Self::Absent, |one| Self::Content(one.object))
            }
            WatchUpdate::Changed(one) => Self::Content(one.object),
            WatchUpdate::Gone(_) => Self::Absent,
            WatchUpdate::Unread(_) => Self::Unread,
        };
        let is_new = last.is_none() || (now != Self::Unread && last.as_ref() != Some(&now));
        if is_new {
            *last = Some(now);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Versioned;
    use crate::domain::snapshot::{ReadError, ReadErrorKind};

    #[test]
    fn reconnects_only_when_secret_content_changed() {
        let found =
            |content: u64| Versioned::new("openshift-operators", "quay-integration", "5", content);
        let gone = || Versioned::new("openshift-operators", "quay-integration", "12", ());
        let unread = || {
            WatchUpdate::Unread(ReadError {
                call: "watch".into(),
                reason: "no".into(),
                kind: ReadErrorKind::Failed,
            })
        };
        let mut last = None;
        let mut record =
            |event: WatchUpdate<u64>| IntegrationObservation::record(&mut last, &event);
        assert!(record(unread()), "reading might work where watching is forbidden");
        assert!(!record(unread()));
        assert!(record(WatchUpdate::All(7, vec![found(5)])));
        assert!(!record(unread()));
        assert!(!record(WatchUpdate::All(9, vec![found(5)])), "the watch restarted");
        assert!(!record(WatchUpdate::Changed(found(5))), "its metadata was changed");
        assert!(record(WatchUpdate::Changed(found(11))));
        assert!(record(WatchUpdate::Gone(gone())));
        assert!(!record(WatchUpdate::All(15, vec![])));
        assert!(record(WatchUpdate::All(20, vec![found(11)])));
    }
}
