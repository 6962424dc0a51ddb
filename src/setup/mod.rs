//! Setup of the integration as a list of steps; each discovers, plans, applies and verifies.
//!
//! A step neither prints nor depends on how it is driven: the wizard, `--yes`, `--check`,
//! `--dry-run` and `teardown` (`commands/setup`) use the same list. A plan is a function of
//! [`SetupOptions`] and [`Discovery`] alone.

mod change;
pub mod controller_manifests;
mod discover;
mod grant;
mod manifests;
pub mod oauth_redirect;
mod options;
mod plan;
mod steps;
pub mod teardown;

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

pub use change::{FinalizerOwner, ObjectChange, ObjectWrite, SetupChange, WaitCondition};
pub use discover::Discovery;
pub use manifests::{left_out_comment, manifests, trust_manifests};
pub use options::{
    Application, Approval, CLUSTER_ID, ControllerKind, NodeTrust, SetupOptions, SignInOptions,
    TOKEN_APPLICATION, TOKEN_ORGANIZATION, TokenScopes, TokenSource,
};
pub use plan::{Blocker, MissingInput, Note, StepPlan};
pub use steps::cluster::permission_request;
pub use steps::integration::{preview, split_names};

use crate::cluster::{Cluster, ObjectKind};
use crate::domain::integration::{QuayIntegration, SecretKey};
use crate::domain::names::QuayUrl;
use crate::error::Error;
use crate::quay::{self, OptionsError, Quay, TokenInfo, WaitNotice};
use crate::ui::Ui;

/// The steps in their order. A token is stored before the operator is installed, because the
/// installation may take minutes and an interrupted run must not issue a second token. Linking
/// namespaces is a step of the command, not of this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupStep {
    Cluster,
    /// The address of Quay, and the connection to it.
    Quay,
    Token,
    Secret,
    Operator,
    Integration,
    /// The role that lets users of projects list the QuayIntegration.
    UserRole,
    NodeTrust,
}

impl SetupStep {
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

/// Limits of the connection to Quay.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// Maximum requests in flight.
    pub concurrency: usize,
    /// Timeout of one call.
    pub timeout: Duration,
}

pub struct SetupSession {
    pub cluster: Cluster,
    pub options: SetupOptions,
    pub found: Discovery,
    pub is_interactive: bool,
    connection: Connection,
    /// Called while requests wait for a pause that Quay requested.
    on_wait: WaitNotice,
    /// Certificate authority and `insecure` from flags, restored when the address changes.
    initial_tls: (Option<Vec<u8>>, bool),
    /// The client, once the address is known.
    quay: Option<Quay>,
    /// The given or issued token.
    token: Option<SecretString>,
    /// Objects created in Quay while a token was issued.
    created: Vec<String>,
    /// User name whose password Quay rejected: only these two are asked again.
    rejected_user: Option<String>,
    /// The known address failed: it is asked again, even if the QuayIntegration has one.
    must_ask_url: bool,
}

impl SetupSession {
    pub fn new(
        cluster: Cluster,
        options: SetupOptions,
        connection: Connection,
        on_wait: WaitNotice,
    ) -> Self {
        let token = match &options.token {
            Some(TokenSource::Given(token)) => Some(token.clone()),
            _ => None,
        };
        let initial_tls = (options.ca.clone(), options.insecure);
        Self {
            cluster,
            options,
            found: Discovery::default(),
            is_interactive: false,
            connection,
            on_wait,
            initial_tls,
            quay: None,
            token,
            created: vec![],
            rejected_user: None,
            must_ask_url: false,
        }
    }

    /// Reads the state that a step depends on again.
    pub async fn refresh(&mut self, step: SetupStep) {
        match step {
            SetupStep::Cluster => self.discover_cluster().await,
            SetupStep::Quay => {
                self.discover_quay().await;
                // The cluster's image policy might allow Quay by now.
                self.discover_node_trust().await;
            }
            SetupStep::Token => self.discover_token().await,
            SetupStep::Operator => {
                self.discover_operator().await;
                self.discover_packages().await;
                self.discover_controller().await;
            }
            SetupStep::Secret => self.discover_secret().await,
            SetupStep::Integration => self.discover_integration().await,
            SetupStep::UserRole => self.discover_user_role().await,
            SetupStep::NodeTrust => self.discover_node_trust().await,
        }
    }

    /// Asks for the missing options of a step.
    ///
    /// # Errors
    /// [`crate::error::Cancelled`] when the user cancels.
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

    /// Applies one change of a plan.
    ///
    /// # Errors
    /// The server's reason for rejecting it.
    pub async fn apply(&mut self, ui: &Ui, change: &SetupChange) -> Result<(), Error> {
        let cluster = &self.cluster;
        let done = match change {
            SetupChange::IssueToken(_) => return steps::token::issue(self, ui).await,
            SetupChange::Await(awaited) => {
                return steps::controller::wait_for(self, ui, *awaited).await;
            }
            SetupChange::Object(ObjectChange { kind, namespace, name, write, .. }) => {
                let namespace = namespace.as_deref();
                match write {
                    ObjectWrite::Create(object) if *kind == ObjectKind::QuayIntegration => {
                        steps::integration::ensure_single(cluster).await?;
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
            SetupChange::ReleaseNamespace { name, owner: FinalizerOwner::Operator } => {
                cluster.remove_operator_finalizer(name).await
            }
            SetupChange::ReleaseNamespace { name, owner: FinalizerOwner::Controller } => {
                cluster.set_finalizer(name, false).await
            }
            SetupChange::Wait(_) => Ok(()),
        };
        done.map_err(|error| anyhow::Error::from(error).into())
    }

    /// Checks that the changes of a step have taken effect, and waits for slow ones.
    ///
    /// # Errors
    /// The first change that has not taken effect.
    pub async fn verify(&mut self, step: SetupStep, ui: &Ui) -> Result<(), Error> {
        if step == SetupStep::Operator {
            return steps::operator::wait_until_ready(self, ui).await;
        }
        self.refresh(step).await;
        let plan = self.plan(step);
        match (plan.blocker, plan.changes.first()) {
            (Some(Blocker::Blocked { reason, hints }), _) => {
                Err(hints.into_iter().fold(Error::new(reason), Error::hint))
            }
            (_, Some(left)) => Err(Error::new(format!(
                "the change was applied but has not taken effect: {}",
                left.summary()
            ))
            .hint("another process may be changing the same objects; try again")),
            _ => Ok(()),
        }
    }

    /// Whether only user name and password have to be asked again.
    pub fn asks_credentials_again(&self) -> bool {
        self.rejected_user.is_some()
    }

    /// The QuayIntegration, if there is exactly one.
    pub fn existing(&self) -> Option<&QuayIntegration> {
        match self.found.integrations.as_deref() {
            Ok([integration]) => Some(integration),
            _ => None,
        }
    }

    /// Address of Quay: from the options, else from the QuayIntegration.
    pub fn url(&self) -> Option<QuayUrl> {
        let existing = || Some(QuayUrl::parse(&self.existing()?.hostname).ok()?.0);
        self.options.url.clone().or_else(existing)
    }

    pub fn secret(&self) -> SecretKey {
        self.options.secret(self.existing())
    }

    /// Whether Quay's certificate is not verified: from the options, else from the QuayIntegration.
    /// A given certificate authority turns verification on.
    pub fn insecure(&self) -> bool {
        self.options.insecure
            || (self.options.ca.is_none()
                && self.existing().is_some_and(|existing| existing.insecure))
    }

    /// Quay's certificate authority: the given one, else the one stored with the token.
    fn ca(&self) -> Option<&Vec<u8>> {
        self.options.ca.as_ref().or_else(|| self.found.credentials.as_ref().ok()?.ca.as_ref())
    }

    /// Result of checking the token that will be used.
    pub fn token_info(&self) -> Option<&TokenInfo> {
        let tried = if self.token.is_some() { &self.found.given } else { &self.found.stored };
        tried.as_ref()?.as_ref().ok()
    }

    fn stored_token(&self) -> Option<&SecretString> {
        self.found.credentials.as_ref().ok()?.token.as_ref()
    }

    /// The stored token, unless it belongs to another Quay and must not be sent to this one.
    fn usable_token(&self) -> Option<&SecretString> {
        self.stored_token().filter(|_| self.stored_for_this_quay())
    }

    fn stored_for_this_quay(&self) -> bool {
        let before = self
            .existing()
            .and_then(|existing| QuayUrl::parse(&existing.hostname).ok())
            .map(|(url, _)| url);
        before.is_none() || before == self.url()
    }

    /// Whether the Secret holds the given or issued token.
    fn token_is_stored(&self) -> bool {
        match (&self.token, self.stored_token()) {
            (Some(token), Some(stored)) => token.expose_secret() == stored.expose_secret(),
            (None, _) => self.usable_token().is_some(),
            (Some(_), None) => false,
        }
    }

    /// The requested controller: from the options, else from an earlier setup.
    fn controller_kind(&self) -> Option<ControllerKind> {
        self.options
            .controller
            .or_else(|| self.existing()?.controller.as_deref().and_then(ControllerKind::parse))
    }

    /// Whether the in-cluster controller is requested, or installed and no other one is requested.
    fn wants_in_cluster(&self) -> bool {
        let is_installed =
            self.found.controller.as_ref().is_ok_and(|controller| controller.is_installed);
        match self.options.controller {
            Some(controller) => controller == ControllerKind::InCluster,
            None => is_installed || self.controller_kind() == Some(ControllerKind::InCluster),
        }
    }

    fn serves(&self, group: &str) -> bool {
        self.found.platform.as_ref().is_ok_and(|platform| platform.groups.contains(group))
    }

    /// Creates a client for the known address.
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
        let created = match Quay::new(options.clone()) {
            // An unusable stored authority only means that Quay is not trusted; the user did not
            // give it.
            Err(OptionsError::Ca(_)) if self.options.ca.is_none() => {
                Quay::new(quay::Options { ca: None, ..options })
            }
            created => created,
        };
        let quay = created.map_err(anyhow::Error::from)?;
        quay.set_wait_notice(Arc::clone(&self.on_wait));
        self.quay = Some(quay);
        Ok(())
    }
}
