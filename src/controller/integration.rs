//! Which Quay is meant right now: found out again whenever the QuayIntegration or the Secret with the token changes.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::Engine;
use super::conditions::in_words;
use super::queue::Lane;
use super::telemetry::Event;
use crate::bridge::integration::{Integration, QuayIntegration};
use crate::bridge::scope::Scope;
use crate::cluster::News;
use crate::error::Error;
use crate::session::{Session, Target};

/// How often an integration that could not be read is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(15);

/// The pauses after which a Quay that stopped answering is asked whether it does again: the first one, which doubles,
/// and the longest.
const FIRST_VISIT: Duration = Duration::from_secs(1);
const RAREST_VISIT: Duration = Duration::from_secs(60);

/// What the bridge works with at the moment.
pub(super) struct Bound {
    pub(super) session: Arc<Session>,
    pub(super) target: Target,
    /// Grows whenever what was learnt of Quay holds no longer.
    pub(super) epoch: u64,
}

/// What is known of the integration.
#[derive(Clone)]
pub(super) enum Meant {
    /// Nothing yet.
    Unknown,
    /// That nothing can be done.
    Nothing(Arc<Obstacle>),
    /// What to work with.
    Quay(Arc<Bound>),
}

/// Why nothing can be done.
pub(super) struct Obstacle {
    /// In one word, as conditions have it.
    pub(super) reason: &'static str,
    /// For a person.
    pub(super) why: String,
    /// It is the token that is missing.
    pub(super) token_is_missing: bool,
    /// The QuayIntegrations there are.
    pub(super) resources: Vec<String>,
}

impl Meant {
    pub(super) fn bound(&self) -> Option<&Arc<Bound>> {
        match self {
            Meant::Quay(bound) => Some(bound),
            Meant::Unknown | Meant::Nothing(_) => None,
        }
    }
}

impl Engine<'_> {
    /// Follows the QuayIntegrations and the Secret that the one among them names; never ends.
    pub(super) async fn follow_integration(&self) {
        let mut told = self.integrations.subscribe();
        let mut found = BTreeMap::new();
        let follow = self.cluster.follow_integrations(|news| {
            if let News::Unread(unread) = news {
                return self.tell(&Event::Unread(unread));
            }
            absorb(&mut found, news);
            let now: Vec<QuayIntegration> = found.values().cloned().collect();
            self.integrations.send_if_modified(|before| before.replace(now.clone()).is_none_or(|before| before != now));
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
                ([old], [new]) if without_lists(old) == without_lists(new) => self.take_lists(new),
                _ => return told.mark_changed(),
            }
            before = now;
        }
    }

    fn take_lists(&self, resource: &QuayIntegration) {
        let Some(bound) = self.meant().bound().cloned() else { return };
        let before = bound.target.integration.resource.clone();
        let integration = Integration { resource: Some(resource.clone()), ..bound.target.integration.clone() };
        let target = Target { integration, quay: bound.target.quay.clone(), has_token: true };
        self.publish(Meant::Quay(Arc::new(Bound { session: Arc::clone(&bound.session), target, epoch: bound.epoch })));
        let names = self.shared.cache().namespaces.namespaces();
        for name in names {
            let object = self.shared.snapshot(&name).namespace;
            let scope = |resource| Scope::of_read(&name, &object, resource);
            if scope(before.as_ref()) != scope(Some(resource)) {
                self.shared.queue().add(&name, Lane::Event);
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
            self.open_until_it_works(resources).await;
            return std::future::pending().await;
        };
        let (tell, mut told) = watch::channel(0);
        let follow =
            self.cluster.follow_secret(&key, |news| tell.send_modify(|version| *version = version_of(&news, *version + 1)));
        let mut follow = pin!(follow);
        loop {
            tokio::select! {
                () = &mut follow => return,
                _ = told.changed() => {}
            }
            let mut open = pin!(self.open_until_it_works(resources));
            tokio::select! {
                () = &mut follow => return,
                () = &mut open => {}
            }
        }
    }

    async fn open_until_it_works(&self, resources: &[QuayIntegration]) {
        let names = || resources.iter().map(|resource| resource.name.clone()).collect();
        while let Err(error) = self.open(names()).await {
            let why = error.messages().join(": ");
            self.give_up(Obstacle { reason: "Unreadable", why, token_is_missing: false, resources: names() });
            sleep(TRY_AGAIN).await;
        }
    }

    async fn open(&self, resources: Vec<String>) -> Result<(), Error> {
        let mut session = Session::open(self.ui, self.global, self.cluster.clone(), self.settings.clone()).await?;
        let obstacle = obstacle(&session, resources);
        let Some(mut target) = session.target.take().filter(|_| obstacle.is_none()) else {
            obstacle.into_iter().for_each(|obstacle| self.give_up(obstacle));
            return Ok(());
        };
        if let Some(observer) = &self.options.observer {
            target.quay.observe(observer.clone());
        }
        if let Some([newest]) = self.integrations.borrow().as_deref() {
            // The lists may have changed since they were read.
            target.integration.resource = Some(newest.clone());
        }
        let quay = Ok(target.integration.url.value.to_string());
        let epoch = self.begin_epoch();
        self.publish(Meant::Quay(Arc::new(Bound { session: Arc::new(session), target, epoch })));
        self.tell(&Event::Integration { quay });
        self.look_at_everything();
        Ok(())
    }

    fn give_up(&self, obstacle: Obstacle) {
        self.begin_epoch();
        self.tell(&Event::Integration { quay: Err(obstacle.why.clone()) });
        self.publish(Meant::Nothing(Arc::new(obstacle)));
        self.look_at_everything();
    }

    /// Asks a Quay that stopped answering, or accepting the token, whether it does again; never ends.
    pub(super) async fn look_after_quay(&self) {
        loop {
            self.quay_is_down.notified().await;
            let mut pause = FIRST_VISIT;
            while let Some((bound, trouble)) = self.trouble() {
                if pause == FIRST_VISIT {
                    self.tell(&Event::Quay { trouble: Some(trouble) });
                }
                sleep(pause).await;
                pause = (pause * 2).min(RAREST_VISIT);
                let quay = bound.target.quay.afresh();
                if !quay.is_back().await {
                    continue;
                }
                let target = Target { integration: bound.target.integration.clone(), quay, has_token: true };
                // Unless another one is meant by now.
                let is_same = |meant: &Meant| meant.bound().is_some_and(|now| now.epoch == bound.epoch);
                let bound = Bound { session: Arc::clone(&bound.session), target, epoch: bound.epoch };
                if is_same(&self.meant()) {
                    self.publish(Meant::Quay(Arc::new(bound)));
                    self.tell(&Event::Quay { trouble: None });
                    self.shared.queue().hurry();
                }
            }
        }
    }

    /// What stands in the way of every call to the Quay that is meant.
    fn trouble(&self) -> Option<(Arc<Bound>, String)> {
        let bound = self.meant().bound().cloned()?;
        let trouble = bound.target.quay.down()?;
        Some((bound, in_words(&trouble)))
    }
}

/// Why there is nothing to work with. With flags alone a command can work; who may be linked is the QuayIntegration's to
/// say.
fn obstacle(session: &Session, resources: Vec<String>) -> Option<Obstacle> {
    let (reason, why, token_is_missing) = match session.snapshot.resources.as_deref() {
        Ok([_]) => {
            let error = session.target().err()?;
            let token_is_missing = session.settings().is_ok();
            let reason = if token_is_missing { "TokenMissing" } else { "NotUsable" };
            (reason, error.messages().join(": "), token_is_missing)
        }
        Ok([]) => ("NoIntegration", "the cluster has no QuayIntegration".to_owned(), false),
        Ok(several) => {
            let why = format!("there are {} QuayIntegrations, and nobody can say which one is meant", several.len());
            ("SeveralIntegrations", why, false)
        }
        Err(unread) => ("Unreadable", unread.to_string(), false),
    };
    Some(Obstacle { reason, why, token_is_missing, resources })
}

fn absorb(found: &mut BTreeMap<String, QuayIntegration>, news: News<QuayIntegration>) {
    // Its version changes with every condition that is written into it.
    let nameless = |object: QuayIntegration| QuayIntegration { resource_version: String::new(), ..object };
    match news {
        News::All(_, all) => *found = all.into_iter().map(|one| (one.name, nameless(one.object))).collect(),
        News::Changed(one) => drop(found.insert(one.name, nameless(one.object))),
        News::Gone(one) => drop(found.remove(&one.name)),
        News::Unread(_) => {}
    }
}

fn without_lists(resource: &QuayIntegration) -> QuayIntegration {
    QuayIntegration { allow: vec![], deny: vec![], ..resource.clone() }
}

/// Something that changes whenever the content may have.
fn version_of<T>(news: &News<T>, otherwise: u64) -> u64 {
    match news {
        News::All(_, all) => all.first().map_or(otherwise, |one| one.version),
        News::Changed(one) => one.version,
        News::Gone(_) | News::Unread(_) => otherwise,
    }
}
