//! Setting the integration up: a list of steps, each with what it finds, what it plans, what it does, and another look.
//!
//! A step never prints and never decides how it is driven: the wizard, the script, `--check`, `--dry-run` and `teardown`
//! (`commands/setup`) go through the same list. What a step plans is a function of [`Answers`] and [`Found`] alone.

mod answers;
pub mod browser;
pub mod built_in;
mod change;
mod find;
mod grant;
mod manifests;
mod plan;
mod report;
mod steps;
pub mod teardown;

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

pub use answers::{
    Answers, Application, Approval, Bridge, CLUSTER_ID, Login, NodeTrust, Scopes, TOKEN_APPLICATION, TOKEN_ORGANIZATION,
    TokenFrom,
};
pub use change::{Awaited, Change, Holder, ObjectChange, Write};
pub use find::Found;
pub use manifests::{left_out, manifests, trust_manifests};
pub use plan::{Fact, Need, Obstacle, Plan};
pub use steps::cluster::ask_for;
pub use steps::integration::{names, preview};

use crate::bridge::integration::{QuayIntegration, SecretKey};
use crate::bridge::names::QuayUrl;
use crate::cluster::{Cluster, ObjectKind};
use crate::error::Error;
use crate::quay::{self, OptionsError, Quay, Teller, TokenTrial};
use crate::ui::Ui;

/// The steps, in their order. A token is stored as soon as it is there: the operator may take minutes, and a run that is
/// stopped meanwhile shall not have another one issued. Linking the first namespaces comes after them and is the command
/// `link`'s work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
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

impl Step {
    /// All of them.
    pub const ALL: [Step; 8] = [
        Step::Cluster,
        Step::Quay,
        Step::Token,
        Step::Secret,
        Step::Operator,
        Step::Integration,
        Step::UserRole,
        Step::NodeTrust,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Step::Cluster => "cluster",
            Step::Quay => "quay",
            Step::Token => "token",
            Step::Operator => "operator",
            Step::Secret => "secret",
            Step::Integration => "integration",
            Step::UserRole => "userRole",
            Step::NodeTrust => "nodeTrust",
        }
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Step::Cluster => "Cluster",
            Step::Quay => "Quay",
            Step::Token => "Token",
            Step::Operator => "Operator",
            Step::Secret => "Secret",
            Step::Integration => "QuayIntegration",
            Step::UserRole => "Users of projects",
            Step::NodeTrust => "Node trust",
        }
    }
}

/// How Quay is asked.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// The most requests in flight.
    pub parallel: usize,
    /// The most time one call may take.
    pub timeout: Duration,
}

/// A set-up under way.
pub struct Setup {
    /// The cluster.
    pub cluster: Cluster,
    /// What is wanted.
    pub answers: Answers,
    /// What is.
    pub found: Found,
    /// A person answers questions.
    pub is_asked: bool,
    connection: Connection,
    /// Is told why nothing happens while Quay wants a pause.
    teller: Teller,
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

impl Setup {
    /// A set-up that has not looked at anything yet.
    pub fn new(cluster: Cluster, answers: Answers, connection: Connection, teller: Teller) -> Self {
        let token = match &answers.token {
            Some(TokenFrom::Given(token)) => Some(token.clone()),
            _ => None,
        };
        let trust_given = (answers.ca.clone(), answers.insecure);
        Self {
            cluster,
            answers,
            found: Found::default(),
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
    pub async fn find(&mut self, step: Step) {
        match step {
            Step::Cluster => self.find_cluster().await,
            Step::Quay => {
                self.find_quay().await;
                // The cluster's image policy may allow the Quay by now.
                self.find_trust().await;
            }
            Step::Token => self.find_token().await,
            Step::Operator => {
                self.find_operator().await;
                self.find_packages().await;
                self.find_bridge().await;
            }
            Step::Secret => self.find_secret().await,
            Step::Integration => self.find_integration().await,
            Step::UserRole => self.find_user_role().await,
            Step::NodeTrust => self.find_trust().await,
        }
    }

    /// Asks what a step has to know and nobody has said yet. Takes no answer that is not good.
    ///
    /// # Errors
    /// [`crate::error::Stopped`] when the person leaves.
    pub async fn ask(&mut self, step: Step, ui: &Ui) -> Result<(), Error> {
        match step {
            Step::Cluster => Ok(()),
            Step::Quay => steps::quay::ask(self, ui).await,
            Step::Token => steps::token::ask(self, ui).await,
            Step::Operator => steps::operator::ask(self, ui).await,
            Step::Secret => steps::secret::ask(self, ui),
            Step::Integration => steps::integration::ask(self, ui).await,
            Step::UserRole => steps::user_role::ask(self, ui),
            Step::NodeTrust => steps::trust::ask(self, ui),
        }
    }

    /// What a step found and what it would do.
    pub fn plan(&self, step: Step) -> Plan {
        match step {
            Step::Cluster => steps::cluster::plan(self),
            Step::Quay => steps::quay::plan(self),
            Step::Token => steps::token::plan(self),
            Step::Operator => steps::operator::plan(self),
            Step::Secret => steps::secret::plan(self),
            Step::Integration => steps::integration::plan(self),
            Step::UserRole => steps::user_role::plan(self),
            Step::NodeTrust => steps::trust::plan(self),
        }
    }

    /// Makes a change of a plan.
    ///
    /// # Errors
    /// What was refused, in the words of the server.
    pub async fn apply(&mut self, ui: &Ui, change: &Change) -> Result<(), Error> {
        let cluster = &self.cluster;
        let done = match change {
            Change::IssueToken(_) => return steps::token::issue(self, ui).await,
            Change::Await(awaited) => return steps::bridge::wait(self, ui, *awaited).await,
            Change::Object(ObjectChange { kind, namespace, name, write, .. }) => {
                let namespace = namespace.as_deref();
                match write {
                    Write::Create(object) if *kind == ObjectKind::QuayIntegration => {
                        steps::integration::refuse_second(cluster).await?;
                        cluster.create_object(*kind, namespace, object).await
                    }
                    Write::Create(object) => cluster.create_object(*kind, namespace, object).await,
                    Write::Merge(patch) => cluster.merge_object(*kind, namespace, name, patch).await,
                    Write::Delete(version) => cluster.delete_object(*kind, namespace, name, version.as_deref()).await,
                }
            }
            Change::WriteSecret { key, version, .. } => {
                let token = self.token.as_ref().or(self.usable_token());
                let token = token.ok_or_else(|| Error::new("there is no token to store"))?;
                cluster.write_credentials(key, token, self.ca().map(Vec::as_slice), version.as_deref()).await
            }
            Change::ReleaseNamespace { name, holder: Holder::Operator } => cluster.release_namespace(name).await,
            Change::ReleaseNamespace { name, holder: Holder::Bridge } => cluster.guard_namespace(name, false).await,
            Change::Wait(_) => Ok(()),
        };
        done.map_err(|error| anyhow::Error::from(error).into())
    }

    /// Looks whether the changes of a step have had their effect; waits for what takes its time.
    ///
    /// # Errors
    /// What is still not as it should be.
    pub async fn verify(&mut self, step: Step, ui: &Ui) -> Result<(), Error> {
        if step == Step::Operator {
            return steps::operator::settle(self, ui).await;
        }
        self.find(step).await;
        let plan = self.plan(step);
        match (plan.obstacle, plan.changes.first()) {
            (Some(Obstacle::Blocked { reason, hints }), _) => Err(hints.into_iter().fold(Error::new(reason), Error::hint)),
            (_, Some(left)) => Err(Error::new(format!("it was done, but is still to be done: {}", left.summary()))
                .hint("somebody else may be at the same work; run it again")),
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
        self.answers.insecure || (self.answers.ca.is_none() && self.existing().is_some_and(|existing| existing.insecure))
    }

    /// Quay's certificate authority: the one that was given, else the one that is stored beside the token.
    fn ca(&self) -> Option<&Vec<u8>> {
        self.answers.ca.as_ref().or_else(|| self.found.credentials.as_ref().ok()?.ca.as_ref())
    }

    /// Whose token it is that will be used, and what it may do, as far as that was tried.
    pub fn trial(&self) -> Option<&TokenTrial> {
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
        let before = self.existing().and_then(|existing| QuayUrl::parse(&existing.hostname).ok()).map(|(url, _)| url);
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
    fn bridge(&self) -> Option<Bridge> {
        self.answers.bridge.or_else(|| self.existing()?.controller.as_deref().and_then(Bridge::parse))
    }

    /// Whether the built-in bridge is the one that is wanted: somebody says so, or it is there and nobody says otherwise.
    fn wants_built_in(&self) -> bool {
        let is_there = self.found.bridge.as_ref().is_ok_and(|bridge| bridge.is_there);
        match self.answers.bridge {
            Some(bridge) => bridge == Bridge::BuiltIn,
            None => is_there || self.bridge() == Some(Bridge::BuiltIn),
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
            parallel: self.connection.parallel,
            timeout: self.connection.timeout,
        };
        let made = match Quay::new(options.clone()) {
            // A stored authority that cannot be used is nobody's fault who runs this: it only means that it is not trusted.
            Err(OptionsError::Ca(_)) if self.answers.ca.is_none() => Quay::new(quay::Options { ca: None, ..options }),
            made => made,
        };
        let quay = made.map_err(anyhow::Error::from)?;
        quay.tell(Arc::clone(&self.teller));
        self.quay = Some(quay);
        Ok(())
    }
}
