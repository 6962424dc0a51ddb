//! What the person wants: given as flags and variables, or asked.

use std::time::Duration;

use clap::ValueEnum;
use secrecy::SecretString;

use crate::cluster::OPERATOR_NAMESPACE;
use crate::domain::integration::{OPERATOR_TOKEN_KEY, QuayIntegration, SecretKey};
use crate::domain::names::QuayUrl;
use crate::quay::{Features, Scope, TokenRequest};

/// The documentation's names ("Integrate Red Hat Quay into OpenShift with the Bridge Operator").
pub const CLUSTER_ID: &str = "openshift";
/// The OAuth application's organization, by the documentation.
pub const TOKEN_ORGANIZATION: &str = "openshift-integration";
/// The OAuth application, by the documentation.
pub const TOKEN_APPLICATION: &str = "openshift";
const SECRET_NAME: &str = "quay-integration";

/// What is to be set up, as far as anybody has said so.
#[derive(Debug)]
pub struct SetupOptions {
    /// The address of the Quay.
    pub url: Option<QuayUrl>,
    /// Quay's certificate authority, PEM.
    pub ca: Option<Vec<u8>>,
    /// Quay's certificate is not verified.
    pub insecure: bool,
    /// Where the token comes from.
    pub token: Option<TokenSource>,
    /// As much of a sign-in as was said.
    pub login: Login,
    /// The browser is opened for who signs in there.
    pub opens_browser: bool,
    /// The OAuth application a token is issued for.
    pub application: Application,
    /// Who keeps namespaces linked.
    pub controller: Option<ControllerKind>,
    /// The image of the built-in bridge.
    pub controller_image: Option<String>,
    /// The operator is removed once the built-in bridge runs.
    pub replace_operator: bool,
    /// The catalog to install it from.
    pub catalog: Option<String>,
    /// The channel to follow.
    pub channel: Option<String>,
    /// Who approves its updates.
    pub approval: Option<Approval>,
    /// How long to wait for it.
    pub operator_timeout: Duration,
    /// Name of the Secret with the token.
    pub secret_name: Option<String>,
    /// Its namespace.
    pub secret_namespace: Option<String>,
    /// The key in it.
    pub secret_key: Option<String>,
    /// Another token that is there may be replaced.
    pub replace_token: Option<bool>,
    /// The cluster ID.
    pub cluster_id: Option<String>,
    /// `scheduledImageStreamImport`.
    pub scheduled: Option<bool>,
    /// `allowlistNamespaces`.
    pub allow: Option<Vec<String>>,
    /// `denylistNamespaces`.
    pub deny: Option<Vec<String>>,
    /// Organizations that carry another cluster's mark are no obstacle.
    pub adopt: bool,
    /// Users of projects are to see which Quay the cluster uses.
    pub user_role: Option<bool>,
    /// What to do about nodes that do not trust Quay.
    pub node_trust: Option<NodeTrust>,
    /// Namespaces to link in the end.
    pub link: Option<Vec<String>>,
}

/// Where the token comes from.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// It was given.
    Given(SecretString),
    /// A user signs in, and it is issued. With an e-mail address the user is created first.
    SignIn {
        /// The user's name.
        user: String,
        /// The user's password.
        password: SecretString,
        /// The address of the first user of an empty Quay.
        first_user_email: Option<String>,
    },
    /// A user signs in with the browser, and Quay hands it over.
    Browser,
    /// It will be given when the plan that is shown now is carried out.
    Later,
}

/// What was said of who signs in to Quay.
#[derive(Debug, Default)]
pub struct Login {
    /// The user's name.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<SecretString>,
    /// The address of the first user of an empty Quay.
    pub first_user_email: Option<String>,
}

/// The OAuth application a token is issued for.
#[derive(Debug)]
pub struct Application {
    /// Its organization.
    pub organization: String,
    /// Its name.
    pub name: String,
    /// Its client ID, where it exists and that is all there is to know.
    pub client_id: Option<String>,
    /// What the token may do.
    pub scopes: TokenScopes,
    /// How long the token lives; Quay's ten years if nothing is said.
    pub expiry: Option<Duration>,
}

/// Who keeps namespaces linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ControllerKind {
    /// The Quay Bridge Operator
    Operator,
    /// This program, in the cluster
    InCluster,
    /// No controller: namespaces are linked and repaired with commands; only the QuayIntegration resource is installed
    None,
}

impl ControllerKind {
    /// As it is written on the command line, and into the QuayIntegration.
    pub fn as_str(self) -> &'static str {
        match self {
            ControllerKind::Operator => "operator",
            ControllerKind::InCluster => "in-cluster",
            ControllerKind::None => "none",
        }
    }

    /// The one that is written so.
    pub fn parse(text: &str) -> Option<Self> {
        [ControllerKind::Operator, ControllerKind::InCluster, ControllerKind::None]
            .into_iter()
            .find(|bridge| bridge.as_str() == text)
    }
}

/// What the token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TokenScopes {
    /// All eight scopes
    Default,
    /// The minimum that works on this Quay
    Minimal,
}

/// Who approves the operator's updates (OLM `installPlanApproval`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Approval {
    /// OLM itself
    Automatic,
    /// A person, each one; the first is approved by the set-up
    Manual,
}

/// What to do about nodes that do not trust Quay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NodeTrust {
    /// Write it into the cluster's image configuration
    Apply,
    /// Print what would be written
    Print,
    /// Leave it
    Skip,
}

impl TokenScopes {
    /// The scopes on a Quay with these features.
    pub fn on(self, features: &Features) -> Vec<Scope> {
        match self {
            TokenScopes::Default => Scope::ALL.to_vec(),
            TokenScopes::Minimal => {
                Scope::least(features).into_iter().map(|(scope, _)| scope).collect()
            }
        }
    }
}

impl Approval {
    /// As OLM spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Approval::Automatic => "Automatic",
            Approval::Manual => "Manual",
        }
    }
}

impl Application {
    /// What to ask Quay for.
    pub fn request(&self, features: &Features) -> TokenRequest {
        TokenRequest {
            organization: self.organization.clone(),
            application: self.name.clone(),
            client_id: self.client_id.clone(),
            scopes: self.scopes.on(features),
            expiry: self.expiry,
        }
    }
}

impl SetupOptions {
    /// No answers at all but perhaps which Quay: for the way back.
    pub fn none(url: Option<QuayUrl>) -> Self {
        let (organization, name) = (String::new(), String::new());
        Self {
            url,
            ca: None,
            insecure: false,
            token: None,
            login: Login::default(),
            opens_browser: false,
            application: Application {
                organization,
                name,
                client_id: None,
                scopes: TokenScopes::Default,
                expiry: None,
            },
            controller: None,
            controller_image: None,
            replace_operator: false,
            catalog: None,
            channel: None,
            approval: None,
            operator_timeout: Duration::ZERO,
            secret_name: None,
            secret_namespace: None,
            secret_key: None,
            replace_token: None,
            cluster_id: None,
            scheduled: None,
            allow: None,
            deny: None,
            adopt: false,
            user_role: None,
            node_trust: None,
            link: None,
        }
    }

    /// Where the token is kept: as was said, else as the QuayIntegration has it, else as the documentation has it.
    pub fn secret(&self, existing: Option<&QuayIntegration>) -> SecretKey {
        let existing = existing.and_then(|resource| resource.credentials.clone());
        let usual = existing.unwrap_or_else(|| SecretKey {
            namespace: OPERATOR_NAMESPACE.into(),
            name: SECRET_NAME.into(),
            key: OPERATOR_TOKEN_KEY.into(),
        });
        SecretKey {
            namespace: self.secret_namespace.clone().unwrap_or(usual.namespace),
            name: self.secret_name.clone().unwrap_or(usual.name),
            key: self.secret_key.clone().unwrap_or(usual.key),
        }
    }
}
