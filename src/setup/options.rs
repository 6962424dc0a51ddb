//! Options of setup: from flags and variables, or from the answers to questions.

use std::time::Duration;

use secrecy::SecretString;

use crate::cluster::OPERATOR_NAMESPACE;
use crate::domain::integration::{OPERATOR_TOKEN_KEY, QuayIntegration, SecretKey};
use crate::domain::names::QuayUrl;
use crate::quay::{Features, Scope, TokenRequest};

/// The documentation's default ("Integrate Red Hat Quay into OpenShift with the Bridge Operator").
pub const CLUSTER_ID: &str = "openshift";
/// The documentation's name for the OAuth application's organization.
pub const TOKEN_ORGANIZATION: &str = "openshift-integration";
/// The documentation's name for the OAuth application.
pub const TOKEN_APPLICATION: &str = "openshift";
const SECRET_NAME: &str = "quay-integration";

/// Options of setup; `None` is not given yet.
#[derive(Debug)]
pub struct SetupOptions {
    pub url: Option<QuayUrl>,
    /// PEM.
    pub ca: Option<Vec<u8>>,
    pub insecure: bool,
    pub token: Option<TokenSource>,
    pub sign_in: SignInOptions,
    pub opens_browser: bool,
    pub application: Application,
    pub controller: Option<ControllerKind>,
    pub controller_image: Option<String>,
    /// Remove the operator once the in-cluster controller runs.
    pub replace_operator: bool,
    pub catalog: Option<String>,
    pub channel: Option<String>,
    pub approval: Option<Approval>,
    pub operator_timeout: Duration,
    pub secret_name: Option<String>,
    pub secret_namespace: Option<String>,
    pub secret_key: Option<String>,
    /// Whether to replace a different token in the Secret.
    pub replace_token: Option<bool>,
    pub cluster_id: Option<String>,
    /// `scheduledImageStreamImport`.
    pub scheduled: Option<bool>,
    /// `allowlistNamespaces`.
    pub allow: Option<Vec<String>>,
    /// `denylistNamespaces`.
    pub deny: Option<Vec<String>>,
    /// Use organizations with another cluster's ownership mark.
    pub adopt: bool,
    pub user_role: Option<bool>,
    pub node_trust: Option<NodeTrust>,
    pub link: Option<Vec<String>>,
}

#[derive(Clone, Debug)]
pub enum TokenSource {
    Given(SecretString),
    /// Issued after a user signs in. With an e-mail address, that user is created first.
    SignIn {
        user: String,
        password: SecretString,
        /// E-mail address of the first user of an empty Quay.
        first_user_email: Option<String>,
    },
    /// Issued through the browser.
    Browser,
    /// Not given yet: a dry run plans without it.
    Later,
}

/// Credentials for a sign-in, as far as they were given.
#[derive(Debug, Default)]
pub struct SignInOptions {
    pub user: Option<String>,
    pub password: Option<SecretString>,
    /// E-mail address of the first user of an empty Quay.
    pub first_user_email: Option<String>,
}

/// The OAuth application that tokens are issued for.
#[derive(Debug)]
pub struct Application {
    pub organization: String,
    pub name: String,
    /// Client ID of an existing application; replaces organization and name.
    pub client_id: Option<String>,
    pub scopes: TokenScopes,
    /// Lifetime of the token; ten years by default.
    pub expiry: Option<Duration>,
}

/// The controller that reconciles linked namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControllerKind {
    /// The Quay Bridge Operator
    Operator,
    /// This program, in the cluster
    InCluster,
    /// No controller: namespaces are linked and repaired with commands; only the QuayIntegration resource is installed
    None,
}

impl ControllerKind {
    /// As in the flag, and in the annotation of the QuayIntegration.
    pub fn as_str(self) -> &'static str {
        match self {
            ControllerKind::Operator => "operator",
            ControllerKind::InCluster => "in-cluster",
            ControllerKind::None => "none",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [ControllerKind::Operator, ControllerKind::InCluster, ControllerKind::None]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// Scopes of the issued token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenScopes {
    /// All eight scopes
    Default,
    /// The minimum that works on this Quay
    Minimal,
}

/// Approval of the operator's updates (OLM `installPlanApproval`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// OLM itself
    Automatic,
    /// An administrator, for each update; setup approves the first one
    Manual,
}

/// Handling of nodes that do not trust Quay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeTrust {
    /// Write it into the cluster's image configuration
    Apply,
    /// Print the manifests
    Print,
    /// Do not configure node trust
    Skip,
}

impl TokenScopes {
    /// The scopes for a Quay with these features.
    pub fn resolve(self, features: &Features) -> Vec<Scope> {
        match self {
            TokenScopes::Default => Scope::ALL.to_vec(),
            TokenScopes::Minimal => {
                Scope::minimal(features).into_iter().map(|(scope, _)| scope).collect()
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
    pub fn request(&self, features: &Features) -> TokenRequest {
        TokenRequest {
            organization: self.organization.clone(),
            application: self.name.clone(),
            client_id: self.client_id.clone(),
            scopes: self.scopes.resolve(features),
            expiry: self.expiry,
        }
    }
}

impl SetupOptions {
    /// Options for teardown, which needs at most the address.
    pub fn none(url: Option<QuayUrl>) -> Self {
        let (organization, name) = (String::new(), String::new());
        Self {
            url,
            ca: None,
            insecure: false,
            token: None,
            sign_in: SignInOptions::default(),
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

    /// Location of the token: from the options, else from the QuayIntegration, else the
    /// documentation's.
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
