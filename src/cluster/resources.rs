//! Kinds with their API paths, and the fields that we read. Other fields, such as `managedFields`,
//! are skipped while parsing, which keeps long lists small.

use std::collections::BTreeMap;

use kube::api::{ApiResource, GroupVersionKind};
use secrecy::SecretString;
use serde::Deserialize;
use url::form_urlencoded::byte_serialize;

use crate::domain::names::{MANAGED_BY, MANAGED_BY_LABEL};

pub(super) struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    /// Singular name for messages; the plural adds an `s`.
    noun: &'static str,
    namespaced: bool,
    /// Not served by every cluster; lists are empty then.
    pub(super) optional: bool,
}

pub(super) const NAMESPACES: Kind = Kind::core("Namespace", "namespaces", "namespace");
pub(super) const SERVICE_ACCOUNTS: Kind =
    Kind::core("ServiceAccount", "serviceaccounts", "service account").namespaced();
pub(super) const SECRETS: Kind = Kind::core("Secret", "secrets", "secret").namespaced();
pub(super) const PROJECTS: Kind =
    Kind::v1("project.openshift.io", "Project", "projects", "project");
pub(super) const IMAGE_STREAMS: Kind =
    Kind::v1("image.openshift.io", "ImageStream", "imagestreams", "image stream")
        .namespaced()
        .optional();
pub(super) const IMAGE_STREAM_IMPORTS: Kind = Kind::v1(
    "image.openshift.io",
    "ImageStreamImport",
    "imagestreamimports",
    "image stream import",
)
.namespaced();
pub(super) const BUILD_CONFIGS: Kind =
    Kind::v1("build.openshift.io", "BuildConfig", "buildconfigs", "BuildConfig")
        .namespaced()
        .optional();
pub(super) const BUILDS: Kind =
    Kind::v1("build.openshift.io", "Build", "builds", "build").namespaced().optional();
pub(super) const SHIPWRIGHT_GROUP: &str = "shipwright.io";
pub(super) const SHIPWRIGHT_BUILDS: Kind = Kind {
    version: "v1beta1",
    ..Kind::v1(SHIPWRIGHT_GROUP, "Build", "builds", "Shipwright build").namespaced().optional()
};
pub(super) const QUAY_INTEGRATIONS: Kind =
    Kind::v1("quay.redhat.com", "QuayIntegration", "quayintegrations", "QuayIntegration")
        .optional();
pub(super) const CLUSTER_VERSIONS: Kind =
    Kind::v1("config.openshift.io", "ClusterVersion", "clusterversions", "cluster version");
pub(super) const INFRASTRUCTURES: Kind =
    Kind::v1("config.openshift.io", "Infrastructure", "infrastructures", "infrastructure");
pub(super) const IMAGE_CONFIGS: Kind =
    Kind::v1("config.openshift.io", "Image", "images", "image configuration");
pub(super) const CONFIG_MAPS: Kind =
    Kind::core("ConfigMap", "configmaps", "config map").namespaced();
pub(super) const CLUSTER_ROLES: Kind = Kind::rbac("ClusterRole", "clusterroles", "cluster role");
pub(super) const CLUSTER_ROLE_BINDINGS: Kind =
    Kind::rbac("ClusterRoleBinding", "clusterrolebindings", "cluster role binding");
pub(super) const ROLES: Kind = Kind::rbac("Role", "roles", "role").namespaced();
pub(super) const ROLE_BINDINGS: Kind =
    Kind::rbac("RoleBinding", "rolebindings", "role binding").namespaced();
pub(super) const SERVICES: Kind = Kind::core("Service", "services", "service").namespaced();
pub(super) const DISRUPTION_BUDGETS: Kind =
    Kind::v1("policy", "PodDisruptionBudget", "poddisruptionbudgets", "PodDisruptionBudget")
        .namespaced();
pub(super) const NETWORK_POLICIES: Kind =
    Kind::v1("networking.k8s.io", "NetworkPolicy", "networkpolicies", "NetworkPolicy").namespaced();
pub(super) const SERVICE_MONITORS: Kind =
    Kind::v1(MONITORING_GROUP, "ServiceMonitor", "servicemonitors", "ServiceMonitor")
        .namespaced()
        .optional();
pub(super) const LEASES: Kind =
    Kind::v1("coordination.k8s.io", "Lease", "leases", "lease").namespaced();
pub(super) const PODS: Kind = Kind::core("Pod", "pods", "pod").namespaced();
pub(super) const EVENTS: Kind = Kind::core("Event", "events", "event").namespaced();
pub(super) const DEPLOYMENTS: Kind =
    Kind::v1("apps", "Deployment", "deployments", "deployment").namespaced();
pub(super) const CUSTOM_RESOURCE_DEFINITIONS: Kind = Kind::v1(
    "apiextensions.k8s.io",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    "CustomResourceDefinition",
);
pub(super) const MUTATING_WEBHOOKS: Kind = Kind::v1(
    "admissionregistration.k8s.io",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
);
pub(super) const SUBSCRIPTIONS: Kind = Kind::olm("Subscription", "subscriptions");
pub(super) const INSTALL_PLANS: Kind = Kind::olm("InstallPlan", "installplans");
pub(super) const CLUSTER_SERVICE_VERSIONS: Kind =
    Kind::olm("ClusterServiceVersion", "clusterserviceversions");
pub(super) const PACKAGE_MANIFESTS: Kind =
    Kind::v1(PACKAGES_GROUP, "PackageManifest", "packagemanifests", "PackageManifest")
        .namespaced()
        .optional();
pub(super) const CLUSTER_EXTENSIONS: Kind =
    Kind::v1(OLM_V1_GROUP, "ClusterExtension", "clusterextensions", "ClusterExtension").optional();
pub(super) const ACCESS_REVIEWS: Kind = Kind::v1(
    "authorization.k8s.io",
    "SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
    "access review",
);
pub(super) const SELF_REVIEWS: Kind = Kind::v1(
    "authentication.k8s.io",
    "SelfSubjectReview",
    "selfsubjectreviews",
    "review of the user",
);
pub(super) const USERS: Kind = Kind::v1("user.openshift.io", "User", "users", "user");

/// Operator Lifecycle Manager.
pub(super) const OLM_GROUP: &str = "operators.coreos.com";

/// OLM's package manifests.
pub(super) const PACKAGES_GROUP: &str = "packages.operators.coreos.com";

/// OLM v1.
pub(super) const OLM_V1_GROUP: &str = "olm.operatorframework.io";

/// Prometheus Operator.
pub(super) const MONITORING_GROUP: &str = "monitoring.coreos.com";

impl Kind {
    const fn core(kind: &'static str, plural: &'static str, noun: &'static str) -> Self {
        Self::v1("", kind, plural, noun)
    }

    const fn v1(
        group: &'static str,
        kind: &'static str,
        plural: &'static str,
        noun: &'static str,
    ) -> Self {
        Self { group, version: "v1", kind, plural, noun, namespaced: false, optional: false }
    }

    const fn olm(kind: &'static str, plural: &'static str) -> Self {
        Self {
            version: "v1alpha1",
            ..Self::v1(OLM_GROUP, kind, plural, kind).namespaced().optional()
        }
    }

    const fn rbac(kind: &'static str, plural: &'static str, noun: &'static str) -> Self {
        Self::v1("rbac.authorization.k8s.io", kind, plural, noun)
    }

    const fn namespaced(self) -> Self {
        Self { namespaced: true, ..self }
    }

    const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    pub(super) fn name(&self) -> &'static str {
        self.kind
    }

    pub(super) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    pub(super) fn resource(&self) -> ApiResource {
        ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(self.group, self.version, self.kind),
            self.plural,
        )
    }

    /// The path of a list.
    pub(super) fn path(&self, namespace: Option<&str>) -> String {
        let api = match self.group {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        match namespace {
            // Valid names need no encoding; it prevents other input from changing the path.
            Some(namespace) => {
                let namespace: String = byte_serialize(namespace.as_bytes()).collect();
                format!("{api}/namespaces/{namespace}/{}", self.plural)
            }
            None => format!("{api}/{}", self.plural),
        }
    }

    /// For messages: `secrets in namespace myproj`.
    pub(super) fn describe_all(&self, namespace: Option<&str>) -> String {
        match namespace {
            Some(namespace) => format!("{}s in namespace {namespace}", self.noun),
            None if self.namespaced => format!("{}s in all namespaces", self.noun),
            None => format!("{}s", self.noun),
        }
    }

    /// For messages: `secret builder-quay-openshift in namespace myproj`.
    pub(super) fn describe(&self, namespace: Option<&str>, name: &str) -> String {
        match namespace {
            Some(namespace) => format!("{} {name} in namespace {namespace}", self.noun),
            None => format!("{} {name}", self.noun),
        }
    }
}

/// Annotations and labels of GitOps tools on the objects that they manage. Argo CD's default label,
/// `app.kubernetes.io/instance`, is too common to identify it.
const GITOPS_MARKERS: [(&str, &str); 4] = [
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("argocd.argoproj.io/instance", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("helm.toolkit.fluxcd.io/name", "Flux"),
];

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) creation_timestamp: Option<String>,
    pub(super) deletion_timestamp: Option<String>,
    pub(super) annotations: Option<BTreeMap<String, String>>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) finalizers: Option<Vec<String>>,
    pub(super) owner_references: Option<Vec<Owner>>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) controller: bool,
}

impl Meta {
    pub(super) fn annotation(&self, key: &str) -> Option<&String> {
        self.annotations.as_ref()?.get(key)
    }

    /// The GitOps tool or the owning controller that would revert a change to the object.
    pub(super) fn owner(&self) -> Option<String> {
        let controller = self.owner_references.iter().flatten().find(|owner| owner.controller);
        let marked = |key: &str| {
            let label = self.labels.as_ref().is_some_and(|labels| labels.contains_key(key));
            label || self.annotation(key).is_some()
        };
        let gitops_tool = || {
            GITOPS_MARKERS
                .iter()
                .find(|(key, _)| marked(key))
                .map(|(_, gitops_tool)| (*gitops_tool).to_owned())
        };
        controller.map(|owner| format!("{} {}", owner.kind, owner.name)).or_else(gitops_tool)
    }

    pub(super) fn is_ours(&self) -> bool {
        self.labels
            .as_ref()
            .and_then(|labels| labels.get(MANAGED_BY_LABEL))
            .is_some_and(|name| name == MANAGED_BY)
    }
}

/// Also an OpenShift Project, which has the same fields.
#[derive(Clone, Deserialize)]
pub(super) struct Namespace {
    pub(super) metadata: Meta,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceAccount {
    pub(super) metadata: Meta,
    pub(super) secrets: Option<Vec<Reference>>,
    pub(super) image_pull_secrets: Option<Vec<Reference>>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Reference {
    #[serde(default)]
    pub(super) name: String,
}

#[derive(Clone, Deserialize)]
pub(super) struct Secret {
    pub(super) metadata: Meta,
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    /// In base64.
    pub(super) data: Option<BTreeMap<String, SecretString>>,
}

#[derive(Clone, Deserialize)]
pub(super) struct ImageStream {
    pub(super) metadata: Meta,
    #[serde(default)]
    pub(super) spec: ImageStreamSpec,
    #[serde(default)]
    pub(super) status: ImageStreamStatus,
}

#[derive(Clone, Default, Deserialize)]
pub(super) struct ImageStreamSpec {
    pub(super) tags: Option<Vec<SpecTag>>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SpecTag {
    pub(super) name: String,
    pub(super) from: Option<TagSource>,
    #[serde(default)]
    pub(super) import_policy: TagImportPolicy,
    #[serde(default)]
    pub(super) reference: bool,
    pub(super) generation: Option<i64>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TagImportPolicy {
    pub(super) scheduled: bool,
    pub(super) import_mode: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct TagSource {
    pub(super) kind: String,
    pub(super) name: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImageStreamStatus {
    #[serde(default)]
    pub(super) docker_image_repository: String,
    pub(super) tags: Option<Vec<StatusTag>>,
}

#[derive(Clone, Deserialize)]
pub(super) struct StatusTag {
    pub(super) tag: String,
    /// Newest first; `null` without imported images.
    pub(super) items: Option<LatestTagEvent>,
    pub(super) conditions: Option<Vec<TagCondition>>,
}

/// The first item of a list; the others are skipped while parsing.
#[derive(Clone, Deserialize)]
#[serde(from = "Vec<TagEvent>")]
pub(super) struct LatestTagEvent(pub(super) Option<TagEvent>);

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TagEvent {
    pub(super) created: Option<String>,
    pub(super) docker_image_reference: String,
    pub(super) image: String,
    pub(super) generation: Option<i64>,
}

impl From<Vec<TagEvent>> for LatestTagEvent {
    fn from(items: Vec<TagEvent>) -> Self {
        Self(items.into_iter().next())
    }
}

#[derive(Clone, Deserialize)]
pub(super) struct TagCondition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) message: String,
}

#[derive(Clone, Deserialize)]
pub(super) struct QuayIntegration {
    pub(super) metadata: Meta,
    #[serde(default)]
    pub(super) spec: QuayIntegrationSpec,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct QuayIntegrationSpec {
    #[serde(rename = "clusterID")]
    pub(super) cluster_id: String,
    pub(super) quay_hostname: String,
    pub(super) insecure_registry: bool,
    pub(super) scheduled_image_stream_import: bool,
    pub(super) allowlist_namespaces: Option<Vec<String>>,
    pub(super) denylist_namespaces: Option<Vec<String>>,
    pub(super) credentials_secret: Option<CredentialsSecret>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct CredentialsSecret {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServerVersion {
    pub(super) git_version: String,
}

#[derive(Deserialize)]
pub(super) struct ClusterVersion {
    #[serde(default)]
    pub(super) status: ClusterVersionStatus,
}

#[derive(Default, Deserialize)]
pub(super) struct ClusterVersionStatus {
    /// Newest first.
    pub(super) history: Option<Vec<Update>>,
    pub(super) capabilities: Option<Capabilities>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Capabilities {
    pub(super) enabled_capabilities: Option<Vec<String>>,
    pub(super) known_capabilities: Option<Vec<String>>,
}

#[derive(Deserialize)]
pub(super) struct Update {
    pub(super) state: String,
    pub(super) version: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_invalid_names_in_paths() {
        assert_eq!(EVENTS.path(Some("shop-1")), "/api/v1/namespaces/shop-1/events");
        assert_eq!(EVENTS.path(Some("a/x/b?c")), "/api/v1/namespaces/a%2Fx%2Fb%3Fc/events");
    }
}
