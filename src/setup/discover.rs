//! Reading of the state of the cluster and of Quay, concurrently where possible.

use std::collections::BTreeMap;

use futures::future::OptionFuture;
use futures::join;
use secrecy::SecretString;

use super::controller_manifests::InstalledController;
use super::steps::user_role::FoundUserRole;
use super::{ControllerKind, SetupOptions, SetupSession, SignInOptions, steps};
use crate::cluster::{
    Cluster, Credentials, NodeTrust, Operator, Package, Platform, ResourceAttributes,
};
use crate::domain::integration::{QuayIntegration, SecretKey};
use crate::domain::ownership_mark::OwnershipMark;
use crate::domain::snapshot::{Namespace, Observed, ReadError, ReadErrorKind};
use crate::quay::{
    CaBundle, Certificate, ErrorKind, Inspection, Quay, QuayError, TokenInfo, presented_chain,
};

#[derive(Debug)]
pub struct Discovery {
    /// Version and user of the cluster.
    pub platform: Observed<Platform>,
    /// Required permissions that the user lacks.
    pub lacking: Observed<Vec<ResourceAttributes>>,
    pub integrations: Observed<Vec<QuayIntegration>>,
    pub credentials: Observed<Credentials>,
    pub operator: Observed<Operator>,
    /// Catalog entries of the operator.
    pub packages: Observed<Vec<Package>>,
    pub controller: Observed<InstalledController>,
    pub(super) user_role: Observed<FoundUserRole>,
    pub trust: Observed<NodeTrust>,
    pub namespaces: Observed<Vec<(String, Namespace)>>,
    /// Invalid connection options, such as an unusable certificate authority.
    pub unusable: Option<String>,
    /// Public information of Quay; none without an address.
    pub quay: Option<Inspection>,
    /// Certificates that Quay presents, if they are not trusted.
    pub chain: Vec<Certificate>,
    /// Result of checking the stored token, if there is one and Quay is available.
    pub stored: Option<Result<TokenInfo, QuayError>>,
    /// Result of checking the given or issued token.
    pub given: Option<Result<TokenInfo, QuayError>>,
    /// Ownership marks of organizations that the cluster ID would use.
    pub marks: BTreeMap<String, Vec<OwnershipMark>>,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            platform: Err(not_read()),
            lacking: Err(not_read()),
            integrations: Err(not_read()),
            credentials: Err(not_read()),
            operator: Err(not_read()),
            packages: Err(not_read()),
            controller: Err(not_read()),
            user_role: Err(not_read()),
            trust: Err(not_read()),
            namespaces: Err(not_read()),
            unusable: None,
            quay: None,
            chain: vec![],
            stored: None,
            given: None,
            marks: BTreeMap::new(),
        }
    }
}

fn not_read() -> ReadError {
    ReadError { call: "read".into(), reason: "not read yet".into(), kind: ReadErrorKind::Skipped }
}

impl SetupSession {
    /// Reads everything that is known without questions; Quay and the cluster concurrently.
    pub async fn discover_all(&mut self) {
        let named = self.options.url.is_some() && self.connect().is_ok();
        let quay = self.quay.clone().filter(|_| named);
        let token = self.token.clone();
        let ask_quay = OptionFuture::from(quay.as_ref().map(|quay| ask_quay(quay, token.as_ref())));
        let ((), asked) = join!(self.discover_cluster(), ask_quay);
        match asked {
            Some((inspection, given)) if !is_untrusted(&inspection) => {
                (self.found.quay, self.found.given) = (Some(inspection), given);
            }
            // Quay might be trusted with the stored certificate authority.
            _ => self.discover_quay().await,
        }
        self.discover_token().await;
        self.discover_marks().await;
    }

    pub(super) async fn discover_cluster(&mut self) {
        let cluster = &self.cluster;
        let operator = async {
            let platform = cluster.platform().await;
            let (operator, packages, controller) = join!(
                operator_on(cluster, &platform),
                packages_on(cluster, &platform),
                controller_on(cluster, &platform, &self.options),
            );
            (platform, operator, packages, controller)
        };
        let integrations = async {
            let integrations = cluster.integrations().await;
            let existing = integrations
                .as_ref()
                .ok()
                .and_then(|found| found.first().filter(|_| found.len() == 1));
            let credentials = stored_credentials(cluster, &self.options.secret(existing)).await;
            (integrations, credentials)
        };
        let (
            (platform, operator, packages, controller),
            (integrations, credentials),
            user_role,
            trust,
            namespaces,
        ) = join!(
            operator,
            integrations,
            steps::user_role::discover(cluster),
            cluster.node_trust(steps::node_trust::CONFIG_MAP),
            cluster.namespaces(None)
        );
        self.found = Discovery {
            platform,
            operator,
            packages,
            controller,
            integrations,
            credentials,
            user_role,
            trust,
            namespaces,
            ..std::mem::take(&mut self.found)
        };
        self.found.lacking =
            self.cluster.missing_permissions(&steps::cluster::required_permissions(self)).await;
    }

    pub(super) async fn discover_quay(&mut self) {
        self.found.chain.clear();
        (self.found.quay, self.found.given, self.found.stored) = (None, None, None);
        self.found.unusable = self.connect().err().map(|error| error.messages().join(": "));
        let Some(quay) = self.quay.as_ref().filter(|_| self.found.unusable.is_none()) else {
            return;
        };
        let (inspection, given) = ask_quay(quay, self.token.as_ref()).await;
        if is_untrusted(&inspection)
            && let Some(url) = self.url()
        {
            self.found.chain =
                presented_chain(&url, self.connection.timeout).await.unwrap_or_default();
        }
        (self.found.quay, self.found.given) = (Some(inspection), given);
    }

    /// Checks the token to use, unless that was done.
    pub(super) async fn discover_token(&mut self) {
        if self.found.quay.as_ref().is_none_or(|quay| quay.server_info.is_err()) {
            return;
        }
        let Some(quay) = self.quay.clone() else { return };
        if let Some(token) = self.token.clone() {
            if self.found.given.is_none() {
                self.found.given = Some(check_token(&quay, &token).await);
            }
            // The owner of the stored token is reported before it is replaced.
            let is_other = !self.token_is_stored();
            if let Some(stored) =
                self.usable_token().filter(|_| is_other && self.found.stored.is_none()).cloned()
            {
                self.found.stored = Some(check_token(&quay, &stored).await);
            }
        } else if let Some(stored) =
            self.usable_token().filter(|_| self.found.stored.is_none()).cloned()
        {
            self.found.stored = Some(check_token(&quay, &stored).await);
        }
    }

    pub(super) async fn discover_operator(&mut self) {
        if self.found.platform.is_err() {
            self.found.platform = self.cluster.platform().await;
        }
        self.found.operator = operator_on(&self.cluster, &self.found.platform).await;
    }

    pub(super) async fn discover_packages(&mut self) {
        self.found.packages = packages_on(&self.cluster, &self.found.platform).await;
    }

    pub(super) async fn discover_controller(&mut self) {
        self.found.controller =
            controller_on(&self.cluster, &self.found.platform, &self.options).await;
    }

    pub(super) async fn discover_secret(&mut self) {
        self.found.credentials = stored_credentials(&self.cluster, &self.secret()).await;
    }

    pub(super) async fn discover_integration(&mut self) {
        let (integrations, namespaces) =
            join!(self.cluster.integrations(), self.cluster.namespaces(None));
        (self.found.integrations, self.found.namespaces) = (integrations, namespaces);
    }

    pub(super) async fn discover_user_role(&mut self) {
        self.found.user_role = steps::user_role::discover(&self.cluster).await;
    }

    pub(super) async fn discover_node_trust(&mut self) {
        self.found.trust = self.cluster.node_trust(steps::node_trust::CONFIG_MAP).await;
    }

    /// Reads the ownership marks of a few organizations of a new cluster ID. Each costs a call to
    /// Quay.
    pub(super) async fn discover_marks(&mut self) {
        let candidates = steps::integration::ownership_check_candidates(self);
        let Some(quay) = self.quay.as_ref() else { return };
        let token = self.token.as_ref().or(self.usable_token()).cloned();
        let Ok(quay) = quay.with_token(token) else { return };
        let asked = candidates.into_iter().filter(|name| !self.found.marks.contains_key(name)).map(
            |organization| {
                let quay = &quay;
                async move { (quay.ownership_marks(&organization).await, organization) }
            },
        );
        for (marks, organization) in futures::future::join_all(asked).await {
            if let Ok(marks) = marks {
                self.found.marks.insert(organization, marks);
            }
        }
    }

    /// Resets the answers to a step, so that its questions are asked again.
    pub fn reset(&mut self, step: super::SetupStep) {
        match step {
            super::SetupStep::Quay => {
                // Trust in one address does not apply to another.
                (self.options.url, self.must_ask_url) = (None, true);
                (self.options.ca, self.options.insecure) = self.initial_tls.clone();
            }
            super::SetupStep::Token => {
                (self.options.token, self.token, self.found.given) = (None, None, None);
                self.options.sign_in = SignInOptions::default();
                self.found.stored.take_if(|stored| stored.is_err());
                // A new client does not remember that Quay was unavailable.
                let _ = self.connect();
            }
            _ => {}
        }
    }
}

/// Reads the Secret. Of a user's PEM file only the certificates are used, since many users can read
/// the ConfigMap with the nodes' trust.
async fn stored_credentials(cluster: &Cluster, key: &SecretKey) -> Observed<Credentials> {
    let mut credentials = cluster.credentials(key).await?;
    if let Some(bundle) = credentials.ca.as_deref().and_then(CaBundle::parse) {
        credentials.ca = Some(bundle.pem);
    }
    Ok(credentials)
}

async fn operator_on(cluster: &Cluster, platform: &Observed<Platform>) -> Observed<Operator> {
    cluster.operator(&platform.as_ref().map_err(ReadError::clone)?.groups).await
}

async fn packages_on(cluster: &Cluster, platform: &Observed<Platform>) -> Observed<Vec<Package>> {
    cluster.packages(&platform.as_ref().map_err(ReadError::clone)?.groups).await
}

async fn controller_on(
    cluster: &Cluster,
    platform: &Observed<Platform>,
    options: &SetupOptions,
) -> Observed<InstalledController> {
    let groups = &platform.as_ref().map_err(ReadError::clone)?.groups;
    InstalledController::discover(
        cluster,
        groups,
        options.controller == Some(ControllerKind::InCluster),
        options.controller_image.as_deref(),
    )
    .await
}

async fn ask_quay(
    quay: &Quay,
    token: Option<&SecretString>,
) -> (Inspection, Option<Result<TokenInfo, QuayError>>) {
    join!(quay.inspect(), OptionFuture::from(token.map(|token| check_token(quay, token))))
}

async fn check_token(quay: &Quay, token: &SecretString) -> Result<TokenInfo, QuayError> {
    match quay.with_token(Some(token.clone())) {
        Ok(quay) => quay.check_token(None).await,
        Err(error) => {
            let (call, reason) = ("use the token".to_owned(), error.to_string());
            Err(QuayError { call, reason, status: None, kind: ErrorKind::Unauthorized })
        }
    }
}

pub(super) fn is_untrusted(inspection: &Inspection) -> bool {
    inspection.server_info.as_ref().is_err_and(|error| error.kind == ErrorKind::Untrusted)
}
