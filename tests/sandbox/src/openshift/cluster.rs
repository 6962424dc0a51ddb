//! The kind of a cluster.

use std::time::Duration;

/// Which Operator Lifecycle Managers a cluster has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Olm {
    /// The classic one and its successor, as OpenShift has them since 4.18.
    #[default]
    Both,
    /// The classic one: CatalogSource, PackageManifest, Subscription, InstallPlan, ClusterServiceVersion.
    V0,
    /// Only the successor: ClusterCatalog, ClusterExtension.
    V1,
    /// Neither, as where the capability is off.
    None,
}

impl Olm {
    pub(crate) fn has_v0(self) -> bool {
        matches!(self, Self::Both | Self::V0)
    }

    pub(crate) fn has_v1(self) -> bool {
        matches!(self, Self::Both | Self::V1)
    }
}

/// The kind of a cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The delay of controllers after a change: a new namespace gets `builder`, `deployer`, the
    /// dockercfg secrets and its SCC annotations; a removed reference is restored; a deleted
    /// namespace is emptied; a definition takes effect; OLM advances an installation by one step.
    pub settle: Duration,
    /// Without an internal registry there are no dockercfg secrets and no repository in image
    /// streams.
    pub internal_registry: bool,
    /// API groups that the cluster does not serve. Without `build.openshift.io` there is no service account
    /// `builder`, without `apps.openshift.io` no `deployer`. Without `quay.redhat.com` there is no
    /// CustomResourceDefinition of the QuayIntegration at first; creating it makes the group served.
    pub without: Vec<String>,
    /// Which OLM there is. Where there is only the successor, the definition of the QuayIntegration is there only with
    /// the [`Cluster::operator`]: it does not take over a definition that it did not bring.
    pub olm: Olm,
    /// True if the operator is installed, by the available OLM, and runs.
    pub operator: bool,
    pub external_secrets: bool,
    pub shipwright: bool,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            settle: Duration::from_millis(100),
            internal_registry: true,
            without: Vec::new(),
            olm: Olm::default(),
            operator: false,
            external_secrets: false,
            shipwright: false,
        }
    }
}

impl Cluster {
    /// True if it serves an API group; that of the QuayIntegration only from the start.
    pub(crate) fn serves(&self, group: &str) -> bool {
        let has = match group {
            "operators.coreos.com" | "packages.operators.coreos.com" => self.olm.has_v0(),
            "olm.operatorframework.io" => self.olm.has_v1(),
            "external-secrets.io" => self.external_secrets,
            "shipwright.io" => self.shipwright,
            "quay.redhat.com" => self.olm != Olm::V1 || self.operator,
            _ => true,
        };
        has && !self.without.iter().any(|absent| absent == group)
    }

    /// The optional parts of OpenShift that are known to the stand-in, and whether this cluster has them.
    pub(crate) fn capabilities(&self) -> [(&'static str, bool); 6] {
        [
            ("Build", self.serves("build.openshift.io")),
            ("DeploymentConfig", self.serves("apps.openshift.io")),
            ("ImageRegistry", self.internal_registry),
            ("OperatorLifecycleManager", self.olm.has_v0()),
            ("OperatorLifecycleManagerV1", self.olm.has_v1()),
            ("marketplace", self.olm.has_v0()),
        ]
    }

    /// The service accounts that OpenShift keeps in every namespace, each with the capability that it belongs to.
    pub(crate) fn service_accounts(&self) -> impl Iterator<Item = &'static str> {
        [("default", ""), ("builder", "build.openshift.io"), ("deployer", "apps.openshift.io")]
            .into_iter()
            .filter(|(_, group)| self.serves(group))
            .map(|(account, _)| account)
    }
}
