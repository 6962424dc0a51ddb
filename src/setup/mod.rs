//! Setting the integration up: a list of steps, each with what it finds, what it plans, what it does, and another look.
//!
//! A step never prints and never decides how it is driven: the wizard, the script, `--check`, `--dry-run` and `teardown`
//! (`commands/setup`) go through the same list. What a step plans is a function of [`SetupOptions`] and [`Discovery`] alone.

mod change;
pub mod controller_manifests;
mod discover;
mod grant;
mod manifests;
pub mod oauth_redirect;
mod options;
mod plan;
mod report;
mod steps;
pub mod teardown;

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

pub use change::{FinalizerOwner, ObjectChange, ObjectWrite, SetupChange, WaitCondition};
pub use discover::Discovery;
pub use manifests::{left_out, manifests, trust_manifests};
pub use options::{
    Application, Approval, CLUSTER_ID, ControllerKind, Login, NodeTrust, SetupOptions,
    TOKEN_APPLICATION, TOKEN_ORGANIZATION, TokenScopes, TokenSource,
};
pub use plan::{Blocker, MissingInput, Note, StepPlan};
pub use steps::cluster::ask_for;
pub use steps::integration::{names, preview};

use crate::cluster::{Cluster, ObjectKind};
use crate::domain::integration::{QuayIntegration, SecretKey};
use crate::domain::names::QuayUrl;
use crate::error::Error;
use crate::quay::{self, OptionsError, Quay, TokenInfo, WaitNotice};
use crate::ui::Ui;

/// The steps, in their order. A token is stored as soon as it is there: the operator may take minutes, and a run that is
/// stopped meanwhile shall not have another one issued. Linking the first namespaces comes after them and is the command
/// `link`'s work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupStep {
    /// Which cluster, as whom, and what is there already.
    Cluster,
    /// Which Quay, and whether it can be reached.
    Quay,
    /// The token.
    Token,
    /// The Secret with the token.
    Secret,
    /// The Quay Bridge Operator.
    Operator,
    /// The QuayIntegration.
    Integration,
    /// Whether users of projects see which Quay it is.
    UserRole,
    /// Whether nodes trust Quay.
    NodeTrust,
}

impl SetupStep {
    /// All of them.
    pub const ALL: [SetupStep; 8] = [
        SetupStep::Cluster,
        SetupStep::Quay,
        SetupStep::Token,
        SetupStep::Secret,
        SetupStep::Operator,
        SetupStep::Integration,
        SetupStep::UserRole,
        SetupStep::NodeTrust,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            SetupStep::Cluster => "cluster",
            SetupStep::Quay => "quay",
            SetupStep::Token => "token",
            SetupStep::Operator => "operator",
            SetupStep::Secret => "secret",
            SetupStep::Integration => "integration",
            SetupStep::UserRole => "userRole",
            SetupStep::NodeTrust => "nodeTrust",
        }
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            SetupStep::Cluster => "Cluster",
            SetupStep::Quay => "Quay",
            SetupStep::Token => "Token",
            SetupStep::Operator => "Operator",
            SetupStep::Secret => "Secret",
            SetupStep::Integration => "QuayIntegration",
            SetupStep::UserRole => "Users of projects",
            SetupStep::NodeTrust => "Node trust",
        }
    }
}

/// How Quay is asked.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// The most requests in flight.
    pub concurrency: usize,
    /// The most time one call may take.
    pub timeout: Duration,
}

/// A set-up under way.
pub struct SetupSession {
    /// The cluster.
    pub cluster: Cluster,
    /// What is wanted.
    pub answers: SetupOptions,
    /// What is.
    pub found: Discovery,
    /// A person answers questions.
    pub is_asked: bool,
    connection: Connection,
    /// Is told why nothing happens while Quay wants a pause.
    teller: WaitNotice,
    /// What was said of trusting Quay before anybody was asked: its certificate authority, and not to verify it.
    trust_given: (Option<Vec<u8>>, bool),
    /// The Quay, once it is known which.
    quay: Option<Quay>,
    /// The token that was given or issued.
    token: Option<SecretString>,
    /// What was made in Quay on the way to the token.
    made: Vec<String>,
    /// The user name that was given with a password that Quay does not take: only these two are asked for again.
    refused_user: Option<String>,
    /// The address that is known did not work: it is asked for, whatever the QuayIntegration says.
    doubts_url: bool,
}

impl SetupSession {
    /// A set-up that has not looked at anything yet.
    pub fn new(
        cluster: Cluster,
        answers: SetupOptions,
        connection: Connection,
        teller: WaitNotice,
    ) -> Self {
        let token = match &answers.token {
            Some(TokenSource::Given(token)) => Some(token.clone()),
            _ => None,
        };
        let trust_given = (answers.ca.clone(), answers.insecure);
        Self {
            cluster,
            answers,
            found: Discovery::default(),
            is_asked: false,
            connection,
            teller,
            trust_given,
            quay: None,
            token,
            made: vec![],
            refused_user: None,
            doubts_url: false,
        }
    }

    /// Looks again at what a step is about.
    pub async fn find(&mut self, step: SetupStep) {
        match step {
            SetupStep::Cluster => self.discover_cluster().await,
            SetupStep::Quay => {
                self.discover_quay().await;
                // The cluster's image policy may allow the Quay by now.
                self.discover_node_trust().await;
            }
            SetupStep::Token => self.discover_token().await,
            SetupStep::Operator => {
                self.discover_operator().await;
                self.discover_packages().await;
                self.discover_controller().await;
            }
            SetupStep::Secret => self.find_secret().await,
            SetupStep::Integration => self.discover_integration().await,
            SetupStep::UserRole => self.find_user_role().await,
            SetupStep::NodeTrust => self.discover_node_trust().await,
        }
    }

    /// Asks what a step has to know and nobody has said yet. Takes no answer that is not good.
    ///
    /// # Errors
    /// [`crate::error::Cancelled`] when the person leaves.
    pub async fn ask(&mut self, step: SetupStep, ui: &Ui) -> Result<(), Error> {
        match step {
            SetupStep::Cluster => Ok(()),
            SetupStep::Quay => steps::quay::ask(self, ui).await,
            SetupStep::Token => steps::token::ask(self, ui).await,
            SetupStep::Operator => steps::operator::ask(self, ui).await,
            SetupStep::Secret => steps::secret::ask(self, ui),
            SetupStep::Integration => steps::integration::ask(self, ui).await,
            SetupStep::UserRole => steps::user_role::ask(self, ui),
            SetupStep::NodeTrust => steps::node_trust::ask(self, ui),
        }
    }

    /// What a step found and what it would do.
    pub fn plan(&self, step: SetupStep) -> StepPlan {
        match step {
            SetupStep::Cluster => steps::cluster::plan(self),
            SetupStep::Quay => steps::quay::plan(self),
            SetupStep::Token => steps::token::plan(self),
            SetupStep::Operator => steps::operator::plan(self),
            SetupStep::Secret => steps::secret::plan(self),
            SetupStep::Integration => steps::integration::plan(self),
            SetupStep::UserRole => steps::user_role::plan(self),
            SetupStep::NodeTrust => steps::node_trust::plan(self),
        }
    }

    /// Makes a change of a plan.
    ///
    /// # Errors
    /// What was refused, in the words of the server.
    pub async fn apply(&mut self, ui: &Ui, change: &SetupChange) -> Result<(), Error> {
        let cluster = &self.cluster;
        let done = match change {
            SetupChange::IssueToken(_) => return steps::token::issue(self, ui).await,
            SetupChange::Await(awaited) => {
                return steps::controller::wait(self, ui, *awaited).await;
            }
            SetupChange::Object(ObjectChange { kind, namespace, name, write, .. }) => {
                let namespace = namespace.as_deref();
                match write {
                    ObjectWrite::Create(object) if *kind == ObjectKind::QuayIntegration => {
                        steps::integration::refuse_second(cluster).await?;
                        cluster.create_object(*kind, namespace, object).await
                    }
                    ObjectWrite::Create(object) => {
                        cluster.create_object(*kind, namespace, object).await
                    }
                    ObjectWrite::Merge(patch) => {
                        cluster.merge_object(*kind, namespace, name, patch).await
                    }
                    ObjectWrite::Delete(version) => {
                        cluster.delete_object(*kind, namespace, name, version.as_deref()).await
                    }
                }
            }
            SetupChange::WriteSecret { key, version, .. } => {
                let token = self.token.as_ref().or(self.usable_token());
                let token = token.ok_or_else(|| Error::new("there is no token to store"))?;
                cluster
                    .write_credentials(key, token, self.ca().map(Vec::as_slice), version.as_deref())
                    .await
            }
            SetupChange::ReleaseNamespace { name, holder: FinalizerOwner::Operator } => {
                cluster.release_namespace(name).await
            }
            SetupChange::ReleaseNamespace { name, holder: FinalizerOwner::Bridge } => {
                cluster.guard_namespace(name, false).await
            }
            SetupChange::Wait(_) => Ok(()),
        };
        done.map_err(|error| anyhow::Error::from(error).into())
    }

    /// Looks whether the changes of a step have had their effect; waits for what takes its time.
    ///
    /// # Errors
    /// What is still not as it should be.
    pub async fn verify(&mut self, step: SetupStep, ui: &Ui) -> Result<(), Error> {
        if step == SetupStep::Operator {
            return steps::operator::settle(self, ui).await;
        }
        self.find(step).await;
        let plan = self.plan(step);
        match (plan.obstacle, plan.changes.first()) {
            (Some(Blocker::Blocked { reason, hints }), _) => {
                Err(hints.into_iter().fold(Error::new(reason), Error::hint))
            }
            (_, Some(left)) => {
                Err(Error::new(format!("it was done, but is still to be done: {}", left.summary()))
                    .hint("somebody else may be at the same work; run it again"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a user name and a password are asked for again, and nothing else.
    pub fn asks_login_again(&self) -> bool {
        self.refused_user.is_some()
    }

    /// The one QuayIntegration, if there is exactly one.
    pub fn existing(&self) -> Option<&QuayIntegration> {
        match self.found.integrations.as_deref() {
            Ok([one]) => Some(one),
            _ => None,
        }
    }

    /// The address of the Quay: as was said, else as the QuayIntegration has it.
    pub fn url(&self) -> Option<QuayUrl> {
        let existing = || Some(QuayUrl::parse(&self.existing()?.hostname).ok()?.0);
        self.answers.url.clone().or_else(existing)
    }

    /// Where the token is kept.
    pub fn secret(&self) -> SecretKey {
        self.answers.secret(self.existing())
    }

    /// Quay's certificate is not verified: as was said, else as the QuayIntegration has it. Who names an authority wants it
    /// to be verified.
    pub fn insecure(&self) -> bool {
        self.answers.insecure
            || (self.answers.ca.is_none()
                && self.existing().is_some_and(|existing| existing.insecure))
    }

    /// Quay's certificate authority: the one that was given, else the one that is stored beside the token.
    fn ca(&self) -> Option<&Vec<u8>> {
        self.answers.ca.as_ref().or_else(|| self.found.credentials.as_ref().ok()?.ca.as_ref())
    }

    /// Whose token it is that will be used, and what it may do, as far as that was tried.
    pub fn trial(&self) -> Option<&TokenInfo> {
        let trial = if self.token.is_some() { &self.found.given } else { &self.found.stored };
        trial.as_ref()?.as_ref().ok()
    }

    fn stored_token(&self) -> Option<&SecretString> {
        self.found.credentials.as_ref().ok()?.token.as_ref()
    }

    /// The stored token, unless it is another Quay's: it is nobody's business there.
    fn usable_token(&self) -> Option<&SecretString> {
        self.stored_token().filter(|_| self.stored_for_this_quay())
    }

    /// Whether the stored token is for the Quay that is set up.
    fn stored_for_this_quay(&self) -> bool {
        let before = self
            .existing()
            .and_then(|existing| QuayUrl::parse(&existing.hostname).ok())
            .map(|(url, _)| url);
        before.is_none() || before == self.url()
    }

    /// Whether the Secret holds the very token that was given or issued.
    fn token_is_stored(&self) -> bool {
        match (&self.token, self.stored_token()) {
            (Some(token), Some(stored)) => token.expose_secret() == stored.expose_secret(),
            (None, _) => self.usable_token().is_some(),
            (Some(_), None) => false,
        }
    }

    /// Who is to keep namespaces linked: as was said, else as was chosen in an earlier set-up.
    fn bridge(&self) -> Option<ControllerKind> {
        self.answers
            .controller
            .or_else(|| self.existing()?.controller.as_deref().and_then(ControllerKind::parse))
    }

    /// Whether the built-in bridge is the one that is wanted: somebody says so, or it is there and nobody says otherwise.
    fn wants_in_cluster(&self) -> bool {
        let is_there = self.found.bridge.as_ref().is_ok_and(|bridge| bridge.is_there);
        match self.answers.controller {
            Some(bridge) => bridge == ControllerKind::InCluster,
            None => is_there || self.bridge() == Some(ControllerKind::InCluster),
        }
    }

    /// Whether the cluster serves an API group.
    fn serves(&self, group: &str) -> bool {
        self.found.platform.as_ref().is_ok_and(|platform| platform.groups.contains(group))
    }

    /// Makes a client for the Quay that is known by now.
    fn connect(&mut self) -> Result<(), Error> {
        let Some(url) = self.url() else { return Ok(()) };
        let options = quay::Options {
            url,
            token: None,
            ca: self.ca().cloned(),
            insecure: self.insecure(),
            concurrency: self.connection.concurrency,
            timeout: self.connection.timeout,
        };
        let made = match Quay::new(options.clone()) {
            // A stored authority that cannot be used is nobody's fault who runs this: it only means that it is not trusted.
            Err(OptionsError::Ca(_)) if self.answers.ca.is_none() => {
                Quay::new(quay::Options { ca: None, ..options })
            }
            made => made,
        };
        let quay = made.map_err(anyhow::Error::from)?;
        quay.tell(Arc::clone(&self.teller));
        self.quay = Some(quay);
        Ok(())
    }
}
