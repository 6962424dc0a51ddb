//! The kinds the stand-in serves, and what the API can do with each.

use serde_json::Value;

const ALL: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];
const CREATE: &[&str] = &["create"];
const READ: &[&str] = &["get", "list"];

/// The plural and the group of a kind.
pub(crate) type Id = (&'static str, &'static str);

/// A resource type. There is one value per type, in [`TABLE`].
#[derive(Debug)]
pub(crate) struct Kind {
    /// API group, empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    /// The name in URLs; within a group it identifies the row.
    pub(crate) plural: &'static str,
    pub(crate) namespaced: bool,
    /// Defined by a CustomResourceDefinition on a real cluster: rejects strategic merge patches and updates without
    /// resourceVersion, and its lists carry `kind` in every item.
    pub(crate) custom: bool,
    /// `status` is written through the `/status` subresource and ignored elsewhere.
    pub(crate) status: bool,
    pub(crate) verbs: &'static [&'static str],
}

impl Kind {
    const fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
    ) -> Self {
        Self {
            group,
            version,
            kind,
            plural,
            namespaced: false,
            custom: false,
            status: false,
            verbs: ALL,
        }
    }

    const fn namespaced(self) -> Self {
        Self { namespaced: true, ..self }
    }

    const fn custom(self) -> Self {
        Self { custom: true, ..self }
    }

    const fn status(self) -> Self {
        Self { status: true, ..self }
    }

    const fn verbs(self, verbs: &'static [&'static str]) -> Self {
        Self { verbs, ..self }
    }

    /// The row's key.
    pub(crate) fn id(&self) -> Id {
        (self.plural, self.group)
    }

    /// `v1`, `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// As messages name the resource type: `secrets`, `builds.build.openshift.io`.
    pub(crate) fn resource(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// As messages name the kind: `Secret`, `Build.build.openshift.io`.
    pub(crate) fn qualified(&self) -> String {
        match self.group {
            "" => self.kind.to_owned(),
            group => format!("{}.{group}", self.kind),
        }
    }

    /// True for reviews of the caller, which are not stored.
    pub(crate) fn is_review(&self) -> bool {
        matches!(self.group, "authorization.k8s.io" | "authentication.k8s.io")
    }

    /// The row for an object's own `apiVersion` and `kind`.
    pub(crate) fn find(object: &Value) -> Option<&'static Self> {
        let (kind, api_version) = (object["kind"].as_str()?, object["apiVersion"].as_str()?);
        TABLE.iter().find(|row| row.kind == kind && row.api_version() == api_version)
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

/// The row for a kind's name, e.g. `Secret`. Where two groups have a kind of that name, the other one is to be had by its
/// full name, e.g. `Build.shipwright.io`.
pub(crate) fn named(kind: &str) -> Option<&'static Kind> {
    TABLE.iter().find(|row| row.kind == kind || row.qualified() == kind)
}

/// The row a URL means.
pub(crate) fn at(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    TABLE.iter().find(|row| (row.group, row.version, row.plural) == (group, version, plural))
}

pub(crate) static NAMESPACE: &Kind = &TABLE[0];
pub(crate) static SERVICE_ACCOUNT: &Kind = &TABLE[1];
pub(crate) static SECRET: &Kind = &TABLE[2];
pub(crate) static IMAGE_STREAM: &Kind = &TABLE[3];
pub(crate) static IMAGE_CONFIG: &Kind = &TABLE[4];
pub(crate) static QUAY_INTEGRATION: &Kind = &TABLE[5];
pub(crate) static DEFINITION: &Kind = &TABLE[6];
pub(crate) static BUILD: &Kind = &TABLE[7];
pub(crate) static BUILD_CONFIG: &Kind = &TABLE[8];
pub(crate) static CLUSTER_ROLE: &Kind = &TABLE[9];
pub(crate) static CLUSTER_ROLE_BINDING: &Kind = &TABLE[10];
pub(crate) static ROLE: &Kind = &TABLE[11];
pub(crate) static ROLE_BINDING: &Kind = &TABLE[12];

/// Every kind served. The first rows are those named above.
pub(crate) static TABLE: [Kind; 40] = [
    Kind::new("", "v1", "Namespace", "namespaces").status(),
    Kind::new("", "v1", "ServiceAccount", "serviceaccounts").namespaced(),
    Kind::new("", "v1", "Secret", "secrets").namespaced(),
    Kind::new("image.openshift.io", "v1", "ImageStream", "imagestreams").namespaced().status(),
    Kind::new("config.openshift.io", "v1", "Image", "images").custom().status(),
    Kind::new("quay.redhat.com", "v1", "QuayIntegration", "quayintegrations").custom().status(),
    Kind::new(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
    )
    .status(),
    // A Build has no status subresource: the build controller updates the whole object.
    Kind::new("build.openshift.io", "v1", "Build", "builds").namespaced(),
    Kind::new("build.openshift.io", "v1", "BuildConfig", "buildconfigs").namespaced(),
    Kind::new("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles"),
    Kind::new("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings"),
    Kind::new("rbac.authorization.k8s.io", "v1", "Role", "roles").namespaced(),
    Kind::new("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings").namespaced(),
    Kind::new("", "v1", "ConfigMap", "configmaps").namespaced(),
    Kind::new("", "v1", "Event", "events").namespaced(),
    Kind::new("", "v1", "Pod", "pods").namespaced().status(),
    Kind::new("image.openshift.io", "v1", "ImageStreamImport", "imagestreamimports")
        .namespaced()
        .verbs(CREATE),
    Kind::new("coordination.k8s.io", "v1", "Lease", "leases").namespaced(),
    Kind::new("", "v1", "Service", "services").namespaced().status(),
    Kind::new("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies").namespaced(),
    Kind::new("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets").namespaced().status(),
    Kind::new("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors")
        .namespaced()
        .custom(),
    Kind::new("project.openshift.io", "v1", "Project", "projects").verbs(READ),
    Kind::new(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
    ),
    Kind::new("apps", "v1", "Deployment", "deployments").namespaced().status(),
    Kind::new("config.openshift.io", "v1", "ClusterVersion", "clusterversions").custom().status(),
    Kind::new("config.openshift.io", "v1", "Infrastructure", "infrastructures").custom().status(),
    Kind::new("shipwright.io", "v1beta1", "Build", "builds").namespaced().custom().status(),
    Kind::new("external-secrets.io", "v1", "ExternalSecret", "externalsecrets")
        .namespaced()
        .custom()
        .status(),
    Kind::new("operators.coreos.com", "v1", "OperatorGroup", "operatorgroups")
        .namespaced()
        .custom()
        .status(),
    Kind::new("operators.coreos.com", "v1alpha1", "CatalogSource", "catalogsources")
        .namespaced()
        .custom()
        .status(),
    Kind::new("operators.coreos.com", "v1alpha1", "Subscription", "subscriptions")
        .namespaced()
        .custom()
        .status(),
    Kind::new(
        "operators.coreos.com",
        "v1alpha1",
        "ClusterServiceVersion",
        "clusterserviceversions",
    )
    .namespaced()
    .custom()
    .status(),
    Kind::new("operators.coreos.com", "v1alpha1", "InstallPlan", "installplans")
        .namespaced()
        .custom()
        .status(),
    Kind::new("packages.operators.coreos.com", "v1", "PackageManifest", "packagemanifests")
        .namespaced()
        .verbs(READ),
    Kind::new("olm.operatorframework.io", "v1", "ClusterCatalog", "clustercatalogs")
        .custom()
        .status(),
    Kind::new("olm.operatorframework.io", "v1", "ClusterExtension", "clusterextensions")
        .custom()
        .status(),
    Kind::new("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews")
        .verbs(CREATE),
    Kind::new("authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews")
        .verbs(CREATE),
    Kind::new("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews")
        .verbs(CREATE),
];
