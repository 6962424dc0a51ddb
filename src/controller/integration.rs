//! Which Quay is meant right now: found out again whenever the QuayIntegration or the Secret with the token changes.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Controller;
use super::event::ControllerEvent;
use super::queue::Priority;
use super::status_conditions::in_words;
use crate::cluster::WatchUpdate;
use crate::domain::integration::{Integration, QuayIntegration, QuayProblem};
use crate::domain::scope::Scope;
use crate::domain::snapshot::Observed;
use crate::ops::{App, QuayConnection};
use crate::quay::Quay;

/// How often an integration that could not be read is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// How long nothing is done while it was never read: a namespace that is being deleted does not wait for ever.
const READ_FAILURE_GRACE: Duration = Duration::from_secs(60);

/// The pauses after which a Quay that stopped answering is asked whether it does again: the first one, which doubles,
/// and the longest. One that answers no longer than that goes on with them.
const MIN_PROBE_INTERVAL: Duration = Duration::from_secs(1);
const MAX_PROBE_INTERVAL: Duration = Duration::from_secs(60);

/// What the bridge works with at the moment.
pub(super) struct ActiveIntegration {
    pub(super) session: Arc<App>,
    pub(super) target: QuayConnection,
    /// Grows whenever what was learnt of Quay holds no longer.
    pub(super) epoch: u64,
}

/// What is known of the integration.
#[derive(Clone)]
pub(super) enum IntegrationState {
    /// Nothing: it was not read yet, or what is meant now could not be.
    Unknown,
    /// That nothing can be done.
    Nothing(Arc<NotReady>),
    /// What to work with.
    Quay(Arc<ActiveIntegration>),
}

/// Why nothing can be done.
pub(super) struct NotReady {
    /// In one word, as conditions have it.
    pub(super) reason: &'static str,
    /// For a person.
    pub(super) why: String,
    /// It is the token that is missing.
    pub(super) token_is_missing: bool,
    /// The QuayIntegrations there are.
    pub(super) resources: Vec<String>,
}

impl NotReady {
    fn new(reason: &'static str, why: String, resources: Vec<String>) -> Self {
        Self { reason, why, token_is_missing: false, resources }
    }
}

impl IntegrationState {
    pub(super) fn bound(&self) -> Option<&Arc<ActiveIntegration>> {
        match self {
            IntegrationState::Quay(bound) => Some(bound),
            IntegrationState::Unknown | IntegrationState::Nothing(_) => None,
        }
    }
}

impl Controller<'_> {
    /// Follows the QuayIntegrations and the Secret that the one among them names; never ends.
    pub(super) async fn follow_integration(&self) {
        let mut told = self.integrations.subscribe();
        let mut found = BTreeMap::new();
        let follow = self.cluster.follow_integrations(|news| {
            if let WatchUpdate::Unread(unread) = news {
                return self.tell(&ControllerEvent::Unread(unread));
            }
            absorb(&mut found, news);
            let now: Vec<QuayIntegration> = found.values().cloned().collect();
            self.integrations.send_if_modified(|before| {
                before.replace(now.clone()).is_none_or(|before| before != now)
            });
        });
        let serve = async {
            loop {
                let Some(resources) = told.borrow_and_update().clone() else {
                    // The sender lives as long as the bridge.
                    let _ = told.changed().await;
                    continue;
                };
                tokio::select! {
                    () = self.serve(&resources) => {}
                    () = self.changed_beyond_lists(&mut told, resources.clone()) => {}
                }
            }
        };
        tokio::join!(follow, serve);
    }

    /// Takes changes of the namespace lists along; ends when something else of the QuayIntegrations changes.
    async fn changed_beyond_lists(
        &self,
        told: &mut watch::Receiver<Option<Vec<QuayIntegration>>>,
        mut before: Vec<QuayIntegration>,
    ) {
        while told.changed().await.is_ok() {
            let Some(now) = told.borrow_and_update().clone() else { continue };
            match (before.as_slice(), now.as_slice()) {
                ([old], [new]) if without_lists(old) == without_lists(new) => self.apply_scope(new),
                _ => return told.mark_changed(),
            }
            before = now;
        }
    }

    fn apply_scope(&self, resource: &QuayIntegration) {
        let Some(bound) = self.meant().bound().cloned() else { return };
        let before = bound.target.integration.resource.clone();
        let integration =
            Integration { resource: Some(resource.clone()), ..bound.target.integration.clone() };
        let target =
            QuayConnection { integration, quay: bound.target.quay.clone(), has_token: true };
        self.publish(IntegrationState::Quay(Arc::new(ActiveIntegration {
            session: Arc::clone(&bound.session),
            target,
            epoch: bound.epoch,
        })));
        let names = self.shared.cache().namespaces.namespaces();
        for name in names {
            let object = self.shared.snapshot(&name).namespace;
            let scope = |resource| Scope::from_observed(&name, &object, resource);
            if scope(before.as_ref()) != scope(Some(resource)) {
                self.enqueue(&name, Priority::Normal);
            }
        }
    }

    /// Works with what these QuayIntegrations say, and with each new content of the Secret that they name.
    async fn serve(&self, resources: &[QuayIntegration]) {
        let key = match resources {
            [one] if self.settings.token.is_none() => one.credentials.clone(),
            _ => None,
        };
        let Some(key) = key else {
            self.connect_until_ready(resources).await;
            return std::future::pending().await;
        };
        let (tell, mut told) = watch::channel(None);
        let follow = self.cluster.follow_secret(&key, |news| {
            tell.send_if_modified(|seen| IntegrationObservation::take(seen, &news));
        });
        let open = async {
            // The sender lives as long as this does.
            let _ = told.changed().await;
            loop {
                let open = async {
                    self.connect_until_ready(resources).await;
                    std::future::pending().await
                };
                tokio::select! {
                    () = open => {}
                    _ = told.changed() => {}
                }
            }
        };
        tokio::select! {
            () = follow => {}
            () = open => {}
        }
    }

    /// Tries until it is known what there is to work with, or that there is nothing. What held before does so until then:
    /// that something could not be read says nothing about it.
    async fn connect_until_ready(&self, resources: &[QuayIntegration]) {
        let names = || resources.iter().map(|resource| resource.name.clone()).collect();
        let (started, mut told) = (Instant::now(), None);
        while let Err(unread) = self.open(names()).await {
            if !self.holds(resources) {
                self.tell(&ControllerEvent::Integration { quay: Err(unread.to_string()) });
                self.publish(IntegrationState::Unknown);
            }
            if matches!(self.meant(), IntegrationState::Unknown)
                && started.elapsed() > READ_FAILURE_GRACE
            {
                self.deactivate(NotReady::new("ReadFailed", unread.to_string(), names()));
            }
            if told.as_ref() != Some(&unread) {
                self.tell(&ControllerEvent::Unread(unread.clone()));
            }
            told = Some(unread);
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// Whether what is meant is what these QuayIntegrations mean, whatever their lists say. That there is nothing to work
    /// with holds until something is found.
    fn holds(&self, resources: &[QuayIntegration]) -> bool {
        let meant = self.meant();
        let Some(bound) = meant.bound() else { return true };
        match (&bound.target.integration.resource, resources) {
            (Some(before), [now]) => without_lists(before) == without_lists(now),
            _ => false,
        }
    }

    /// # Errors
    /// What could not be read, so that nobody knows.
    async fn open(&self, resources: Vec<String>) -> Observed<()> {
        let session = App::read(self.global, self.cluster.clone(), self.settings.clone()).await;
        let mut session = match session {
            Ok(session) => session,
            Err(error) => {
                self.deactivate(NotReady::new(
                    "InvalidIntegration",
                    error.messages().join(": "),
                    resources,
                ));
                return Ok(());
            }
        };
        self.warn_once(&session.warnings);
        if let Some(Err(unread)) = &session.snapshot.stored_token {
            return Err(unread.clone());
        }
        let obstacle = obstacle(
            &session,
            session.snapshot.resources.as_deref().map_err(Clone::clone)?,
            resources,
        );
        let Some(mut target) = session.target.take().filter(|_| obstacle.is_none()) else {
            obstacle.into_iter().for_each(|obstacle| self.deactivate(obstacle));
            return Ok(());
        };
        target.quay.tell(Arc::new(|text| tracing::info!("{text}")));
        if let Some(observer) = &self.options.observer {
            target.quay.observe(observer.clone());
        }
        if let Some([newest]) = self.integrations.borrow().as_deref() {
            // The lists may have changed since they were read.
            target.integration.resource = Some(newest.clone());
        }
        let quay = Ok(target.integration.url.value.to_string());
        let epoch = self.invalidate_cache();
        self.publish(IntegrationState::Quay(Arc::new(ActiveIntegration {
            session: Arc::new(session),
            target,
            epoch,
        })));
        self.tell(&ControllerEvent::Integration { quay });
        self.enqueue_all();
        Ok(())
    }

    /// The integration is found out anew again and again, and what there is to know about it stays the same.
    pub(super) fn warn_once(&self, warnings: &[String]) {
        for warning in warnings {
            if self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(warning.clone()) {
                self.tell(&ControllerEvent::Warning(warning.clone()));
            }
        }
    }

    fn deactivate(&self, obstacle: NotReady) {
        self.invalidate_cache();
        self.tell(&ControllerEvent::Integration { quay: Err(obstacle.why.clone()) });
        self.publish(IntegrationState::Nothing(Arc::new(obstacle)));
        self.enqueue_all();
    }

    /// Asks a Quay that stopped answering, accepting the token or taking writes, whether it does again; never ends.
    pub(super) async fn monitor_quay(&self) {
        let (mut pause, mut back) = (MIN_PROBE_INTERVAL, None);
        loop {
            self.quay_has_outage.notified().await;
            if back.is_none_or(|back: Instant| back.elapsed() > MAX_PROBE_INTERVAL) {
                pause = MIN_PROBE_INTERVAL;
            }
            let mut is_told = false;
            while let Some((bound, outage)) = self.outage() {
                if !is_told {
                    self.tell(&ControllerEvent::Quay { trouble: Some(in_words(&outage)) });
                    is_told = true;
                }
                sleep(pause).await;
                pause = (pause * 2).min(MAX_PROBE_INTERVAL);
                let quay = bound.target.quay.with_reset_breaker();
                if !quay.is_over(&outage).await {
                    continue;
                }
                // What is meant by now: the lists may have changed meanwhile, or another Quay have taken its place.
                let Some(now) =
                    self.meant().bound().filter(|now| now.epoch == bound.epoch).cloned()
                else {
                    continue;
                };
                self.work_with(&now, quay);
                self.tell(&ControllerEvent::Quay { trouble: None });
                back = Some(Instant::now());
                self.shared.queue().retry_all_now();
            }
        }
    }

    /// What keeps changes from being made in the Quay that is meant.
    fn outage(&self) -> Option<(Arc<ActiveIntegration>, QuayProblem)> {
        let bound = self.meant().bound().cloned()?;
        let outage = bound.target.quay.outage()?;
        Some((bound, outage))
    }

    /// Forgets what was learnt of the Quay that is meant: an administrator may have changed its configuration, or what the
    /// token's user is allowed to do, which cannot be watched. An outage is looked after by itself.
    pub(super) fn forget_obstacles(&self) {
        let Some(bound) = self.meant().bound().cloned() else { return };
        let quay = &bound.target.quay;
        if quay.outage().is_none() && !quay.troubles().is_empty() {
            self.work_with(&bound, quay.with_reset_breaker());
        }
    }

    /// Goes on with another client of the same Quay.
    fn work_with(&self, bound: &ActiveIntegration, quay: Quay) {
        let target =
            QuayConnection { integration: bound.target.integration.clone(), quay, has_token: true };
        self.publish(IntegrationState::Quay(Arc::new(ActiveIntegration {
            session: Arc::clone(&bound.session),
            target,
            epoch: bound.epoch,
        })));
    }
}

/// Why there is nothing to work with. With flags alone a command can work; who may be linked is the QuayIntegration's to
/// say.
fn obstacle(session: &App, found: &[QuayIntegration], resources: Vec<String>) -> Option<NotReady> {
    let several = || {
        format!("there are {} QuayIntegrations, and nobody can say which one is meant", found.len())
    };
    Some(match found {
        [one] if !session.snapshot.differing().is_empty() => {
            let why = format!(
                "the lists of QuayIntegration {} are about another Quay or cluster ID than the one given",
                one.name
            );
            NotReady::new("InvalidIntegration", why, resources)
        }
        [_] => {
            let why = session.target().err()?.messages().join(": ");
            let token_is_missing = session.settings().is_ok();
            let reason = if token_is_missing { "TokenMissing" } else { "InvalidIntegration" };
            NotReady { token_is_missing, ..NotReady::new(reason, why, resources) }
        }
        [] => NotReady::new(
            "NoIntegration",
            "the cluster has no QuayIntegration".to_owned(),
            resources,
        ),
        _ => NotReady::new("MultipleIntegrations", several(), resources),
    })
}

fn absorb(found: &mut BTreeMap<String, QuayIntegration>, news: WatchUpdate<QuayIntegration>) {
    // Its version changes with every condition that is written into it.
    let nameless =
        |object: QuayIntegration| QuayIntegration { resource_version: String::new(), ..object };
    match news {
        WatchUpdate::All(_, all) => {
            *found = all.into_iter().map(|one| (one.name, nameless(one.object))).collect()
        }
        WatchUpdate::Changed(one) => drop(found.insert(one.name, nameless(one.object))),
        WatchUpdate::Gone(one) => drop(found.remove(&one.name)),
        WatchUpdate::Unread(_) => {}
    }
}

fn without_lists(resource: &QuayIntegration) -> QuayIntegration {
    QuayIntegration { allow: vec![], deny: vec![], ..resource.clone() }
}

/// What was seen of the Secret last.
#[derive(Debug, PartialEq, Eq)]
enum IntegrationObservation<T> {
    Content(T),
    Absent,
    Unread,
}

impl<T: Copy + PartialEq> IntegrationObservation<T> {
    /// Takes in what is new; answers whether the content may be another one than before. What cannot be read is as it was.
    fn take(seen: &mut Option<Self>, news: &WatchUpdate<T>) -> bool {
        let now = match news {
            WatchUpdate::All(_, all) => {
                all.first().map_or(Self::Absent, |one| Self::Content(one.object))
            }
            WatchUpdate::Changed(one) => Self::Content(one.object),
            WatchUpdate::Gone(_) => Self::Absent,
            WatchUpdate::Unread(_) => Self::Unread,
        };
        let is_new = seen.is_none() || (now != Self::Unread && seen.as_ref() != Some(&now));
        if is_new {
            *seen = Some(now);
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
    fn the_secret_is_read_anew_when_it_changed_and_at_no_hiccup_of_its_watch() {
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
        let mut seen = None;
        let mut take = |news: WatchUpdate<u64>| IntegrationObservation::take(&mut seen, &news);
        assert!(take(unread()), "whoever may not watch it may read it all the same");
        assert!(!take(unread()));
        assert!(take(WatchUpdate::All(7, vec![found(5)])));
        assert!(!take(unread()));
        assert!(!take(WatchUpdate::All(9, vec![found(5)])), "the watch began anew");
        assert!(!take(WatchUpdate::Changed(found(5))), "its metadata was changed");
        assert!(take(WatchUpdate::Changed(found(11))));
        assert!(take(WatchUpdate::Gone(gone())));
        assert!(!take(WatchUpdate::All(15, vec![])));
        assert!(take(WatchUpdate::All(20, vec![found(11)])));
    }
}
