//! Looking: what is, on both sides. What does not depend on each other is asked at the same time.

use std::collections::BTreeMap;

use futures::future::OptionFuture;
use futures::join;
use secrecy::SecretString;

use super::controller_manifests::InstalledController;
use super::steps::user_role::FoundUserRole;
use super::{ControllerKind, Login, SetupOptions, SetupSession, steps};
use crate::cluster::{
    Cluster, Credentials, NodeTrust, Operator, Package, Platform, ResourceAttributes,
};
use crate::domain::integration::{QuayIntegration, SecretKey};
use crate::domain::ownership_mark::OwnershipMark;
use crate::domain::snapshot::{Namespace, Observed, ReadError, ReadErrorKind};
use crate::quay::{
    Certificate, ErrorKind, Inspection, Quay, QuayError, TokenInfo, certificates_only,
    presented_chain,
};

/// What was found.
#[derive(Debug)]
pub struct Discovery {
    /// The cluster and who asks.
    pub platform: Observed<Platform>,
    /// Rights that will be needed and are not there.
    pub lacking: Observed<Vec<ResourceAttributes>>,
    /// The QuayIntegrations.
    pub integrations: Observed<Vec<QuayIntegration>>,
    /// The Secret with the token.
    pub credentials: Observed<Credentials>,
    /// The operator.
    pub operator: Observed<Operator>,
    /// Where the operator can be had.
    pub packages: Observed<Vec<Package>>,
    /// The built-in bridge.
    pub bridge: Observed<InstalledController>,
    /// The role of projects' users.
    pub(super) user_role: Observed<FoundUserRole>,
    /// What nodes trust.
    pub trust: Observed<NodeTrust>,
    /// The namespaces.
    pub namespaces: Observed<Vec<(String, Namespace)>>,
    /// Why no connection can even be tried.
    pub unusable: Option<String>,
    /// What Quay tells everybody; none while it is not known which.
    pub quay: Option<Inspection>,
    /// The certificates that Quay presents, where they are not trusted.
    pub chain: Vec<Certificate>,
    /// The stored token, tried; none if there is none, or Quay cannot be asked.
    pub stored: Option<Result<TokenInfo, QuayError>>,
    /// The token that was given or issued, tried.
    pub given: Option<Result<TokenInfo, QuayError>>,
    /// Marks in organizations that this cluster ID would use.
    pub marks: BTreeMap<String, Vec<OwnershipMark>>,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            platform: Err(not_asked()),
            lacking: Err(not_asked()),
            integrations: Err(not_asked()),
            credentials: Err(not_asked()),
            operator: Err(not_asked()),
            packages: Err(not_asked()),
            bridge: Err(not_asked()),
            user_role: Err(not_asked()),
            trust: Err(not_asked()),
            namespaces: Err(not_asked()),
            unusable: None,
            quay: None,
            chain: vec![],
            stored: None,
            given: None,
            marks: BTreeMap::new(),
        }
    }
}

fn not_asked() -> ReadError {
    ReadError {
        call: "look".into(),
        reason: "it was not looked at yet".into(),
        kind: ReadErrorKind::Skipped,
    }
}

impl SetupSession {
    /// Looks at everything that can be looked at by now. A Quay that was named is asked while the cluster is read.
    pub async fn discover_all(&mut self) {
        let named = self.answers.url.is_some() && self.connect().is_ok();
        let quay = self.quay.clone().filter(|_| named);
        let token = self.token.clone();
        let ask_quay = OptionFuture::from(quay.as_ref().map(|quay| ask_quay(quay, token.as_ref())));
        let ((), asked) = join!(self.discover_cluster(), ask_quay);
        match asked {
            Some((inspection, given)) if !is_untrusted(&inspection) => {
                (self.found.quay, self.found.given) = (Some(inspection), given);
            }
            // The certificate authority may be the one that is stored.
            _ => self.discover_quay().await,
        }
        self.discover_token().await;
        self.discover_marks().await;
    }

    pub(super) async fn discover_cluster(&mut self) {
        let cluster = &self.cluster;
        let operator = async {
            let platform = cluster.platform().await;
            let (operator, packages, bridge) = join!(
                operator_on(cluster, &platform),
                packages_on(cluster, &platform),
                controller_on(cluster, &platform, &self.answers),
            );
            (platform, operator, packages, bridge)
        };
        let integrations = async {
            let integrations = cluster.integrations().await;
            let existing = integrations
                .as_ref()
                .ok()
                .and_then(|found| found.first().filter(|_| found.len() == 1));
            let credentials = stored_credentials(cluster, &self.answers.secret(existing)).await;
            (integrations, credentials)
        };
        let (
            (platform, operator, packages, bridge),
            (integrations, credentials),
            user_role,
            trust,
            namespaces,
        ) = join!(
            operator,
            integrations,
            steps::user_role::find(cluster),
            cluster.node_trust(steps::node_trust::CONFIG_MAP),
            cluster.namespaces(None)
        );
        self.found = Discovery {
            platform,
            operator,
            packages,
            bridge,
            integrations,
            credentials,
            user_role,
            trust,
            namespaces,
            ..std::mem::take(&mut self.found)
        };
        self.found.lacking = self.cluster.lacking(&steps::cluster::rights(self)).await;
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

    /// Tries the token that is to be used, unless that was done.
    pub(super) async fn discover_token(&mut self) {
        if self.found.quay.as_ref().is_none_or(|quay| quay.about.is_err()) {
            return;
        }
        let Some(quay) = self.quay.clone() else { return };
        if let Some(token) = self.token.clone() {
            if self.found.given.is_none() {
                self.found.given = Some(try_token(&quay, &token).await);
            }
            // Whose token is stored is told before it is replaced.
            let is_other = !self.token_is_stored();
            if let Some(stored) =
                self.usable_token().filter(|_| is_other && self.found.stored.is_none()).cloned()
            {
                self.found.stored = Some(try_token(&quay, &stored).await);
            }
        } else if let Some(stored) =
            self.usable_token().filter(|_| self.found.stored.is_none()).cloned()
        {
            self.found.stored = Some(try_token(&quay, &stored).await);
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
        self.found.bridge = controller_on(&self.cluster, &self.found.platform, &self.answers).await;
    }

    pub(super) async fn find_secret(&mut self) {
        self.found.credentials = stored_credentials(&self.cluster, &self.secret()).await;
    }

    pub(super) async fn discover_integration(&mut self) {
        let (integrations, namespaces) =
            join!(self.cluster.integrations(), self.cluster.namespaces(None));
        (self.found.integrations, self.found.namespaces) = (integrations, namespaces);
    }

    pub(super) async fn find_user_role(&mut self) {
        self.found.user_role = steps::user_role::find(&self.cluster).await;
    }

    pub(super) async fn discover_node_trust(&mut self) {
        self.found.trust = self.cluster.node_trust(steps::node_trust::CONFIG_MAP).await;
    }

    /// Looks whose the organizations are that the cluster ID would make this cluster's. Each costs Quay a call, so a few
    /// of them have to do, and only a new cluster ID is worth it.
    pub(super) async fn discover_marks(&mut self) {
        let candidates = steps::integration::worth_a_look(self);
        let Some(quay) = self.quay.as_ref() else { return };
        let token = self.token.as_ref().or(self.usable_token()).cloned();
        let Ok(quay) = quay.with_token(token) else { return };
        let asked = candidates.into_iter().filter(|name| !self.found.marks.contains_key(name)).map(
            |organization| {
                let quay = &quay;
                async move { (quay.marks(&organization).await, organization) }
            },
        );
        for (marks, organization) in futures::future::join_all(asked).await {
            if let Ok(marks) = marks {
                self.found.marks.insert(organization, marks);
            }
        }
    }

    /// Forgets what a person answered to a step, so that it is asked again.
    pub fn forget(&mut self, step: super::SetupStep) {
        match step {
            super::SetupStep::Quay => {
                // What was accepted for one address is not accepted for another.
                (self.answers.url, self.doubts_url) = (None, true);
                (self.answers.ca, self.answers.insecure) = self.trust_given.clone();
            }
            super::SetupStep::Token => {
                (self.answers.token, self.token, self.found.given) = (None, None, None);
                self.answers.login = Login::default();
                self.found.stored.take_if(|stored| stored.is_err());
                // The client remembers that nobody answered.
                let _ = self.connect();
            }
            _ => {}
        }
    }
}

/// The operator, which nobody can look for who does not know which APIs the cluster serves.
/// What the Secret with the token holds. Of a file that a person put there, only the certificates get any further: nodes'
/// trust is a ConfigMap, which many may read.
async fn stored_credentials(cluster: &Cluster, key: &SecretKey) -> Observed<Credentials> {
    let mut credentials = cluster.credentials(key).await?;
    if let Some((ca, _)) = credentials.ca.as_deref().and_then(certificates_only) {
        credentials.ca = Some(ca);
    }
    Ok(credentials)
}

async fn operator_on(cluster: &Cluster, platform: &Observed<Platform>) -> Observed<Operator> {
    cluster.operator(&platform.as_ref().map_err(ReadError::clone)?.groups).await
}

/// Where the operator can be had, which takes the same.
async fn packages_on(cluster: &Cluster, platform: &Observed<Platform>) -> Observed<Vec<Package>> {
    cluster.packages(&platform.as_ref().map_err(ReadError::clone)?.groups).await
}

/// Our own bridge, and whether the cluster can watch over it.
async fn controller_on(
    cluster: &Cluster,
    platform: &Observed<Platform>,
    answers: &SetupOptions,
) -> Observed<InstalledController> {
    let groups = &platform.as_ref().map_err(ReadError::clone)?.groups;
    InstalledController::find(
        cluster,
        groups,
        answers.controller == Some(ControllerKind::InCluster),
        answers.controller_image.as_deref(),
    )
    .await
}

async fn ask_quay(
    quay: &Quay,
    token: Option<&SecretString>,
) -> (Inspection, Option<Result<TokenInfo, QuayError>>) {
    join!(quay.inspect(), OptionFuture::from(token.map(|token| try_token(quay, token))))
}

async fn try_token(quay: &Quay, token: &SecretString) -> Result<TokenInfo, QuayError> {
    match quay.with_token(Some(token.clone())) {
        Ok(quay) => quay.try_token(None).await,
        Err(error) => {
            let (call, reason) = ("use the token".to_owned(), error.to_string());
            Err(QuayError { call, reason, status: None, kind: ErrorKind::Unauthorized })
        }
    }
}

pub(super) fn is_untrusted(inspection: &Inspection) -> bool {
    inspection.about.as_ref().is_err_and(|error| error.kind == ErrorKind::Untrusted)
}
