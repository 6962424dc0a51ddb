//! Kinds with their API paths, and the fields that we read. Other fields, such as `managedFields`,
//! are skipped while parsing, which keeps long lists small.

pub(in crate::cluster) mod convert;
pub(in crate::cluster) mod dynamic;
pub(in crate::cluster) mod list_names;

use std::collections::BTreeMap;

use kube::api::{ApiResource, GroupVersionKind};
use secrecy::SecretString;
use serde::Deserialize;
use url::form_urlencoded::byte_serialize;

use crate::domain::names::{MANAGED_BY, MANAGED_BY_LABEL};

pub(in crate::cluster) struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    /// Singular name for messages; the plural adds an `s`.
    noun: &'static str,
    namespaced: bool,
    /// Not served by every cluster; lists are empty then.
    pub(in crate::cluster) optional: bool,
}

pub(in crate::cluster) const NAMESPACES: Kind = Kind::core("Namespace", "namespaces", "namespace");
pub(in crate::cluster) const SERVICE_ACCOUNTS: Kind =
    Kind::core("ServiceAccount", "serviceaccounts", "service account").namespaced();
pub(in crate::cluster) const SECRETS: Kind = Kind::core("Secret", "secrets", "secret").namespaced();
pub(in crate::cluster) const PROJECTS: Kind =
    Kind::v1("project.openshift.io", "Project", "projects", "project");
pub(in crate::cluster) const IMAGE_STREAMS: Kind =
    Kind::v1("image.openshift.io", "ImageStream", "imagestreams", "image stream")
        .namespaced()
        .optional();
pub(in crate::cluster) const IMAGE_STREAM_IMPORTS: Kind = Kind::v1(
    "image.openshift.io",
    "ImageStreamImport",
    "imagestreamimports",
    "image stream import",
)
.namespaced();
pub(in crate::cluster) const BUILD_CONFIGS: Kind =
    Kind::v1("build.openshift.io", "BuildConfig", "buildconfigs", "BuildConfig")
        .namespaced()
        .optional();
pub(in crate::cluster) const BUILDS: Kind =
    Kind::v1("build.openshift.io", "Build", "builds", "build").namespaced().optional();
pub(in crate::cluster) const SHIPWRIGHT_GROUP: &str = "shipwright.io";
pub(in crate::cluster) const SHIPWRIGHT_BUILDS: Kind = Kind {
    version: "v1beta1",
    ..Kind::v1(SHIPWRIGHT_GROUP, "Build", "builds", "Shipwright build").namespaced().optional()
};
pub(in crate::cluster) const QUAY_INTEGRATIONS: Kind =
    Kind::v1("quay.redhat.com", "QuayIntegration", "quayintegrations", "QuayIntegration")
        .optional();
pub(in crate::cluster) const CLUSTER_VERSIONS: Kind =
    Kind::v1("config.openshift.io", "ClusterVersion", "clusterversions", "cluster version");
pub(in crate::cluster) const INFRASTRUCTURES: Kind =
    Kind::v1("config.openshift.io", "Infrastructure", "infrastructures", "infrastructure");
pub(in crate::cluster) const IMAGE_CONFIGS: Kind =
    Kind::v1("config.openshift.io", "Image", "images", "image configuration");
pub(in crate::cluster) const CONFIG_MAPS: Kind =
    Kind::core("ConfigMap", "configmaps", "config map").namespaced();
pub(in crate::cluster) const CLUSTER_ROLES: Kind =
    Kind::rbac("ClusterRole", "clusterroles", "cluster role");
pub(in crate::cluster) const CLUSTER_ROLE_BINDINGS: Kind =
    Kind::rbac("ClusterRoleBinding", "clusterrolebindings", "cluster role binding");
pub(in crate::cluster) const ROLES: Kind = Kind::rbac("Role", "roles", "role").namespaced();
pub(in crate::cluster) const ROLE_BINDINGS: Kind =
    Kind::rbac("RoleBinding", "rolebindings", "role binding").namespaced();
pub(in crate::cluster) const SERVICES: Kind =
    Kind::core("Service", "services", "service").namespaced();
pub(in crate::cluster) const DISRUPTION_BUDGETS: Kind =
    Kind::v1("policy", "PodDisruptionBudget", "poddisruptionbudgets", "PodDisruptionBudget")
        .namespaced();
pub(in crate::cluster) const NETWORK_POLICIES: Kind =
    Kind::v1("networking.k8s.io", "NetworkPolicy", "networkpolicies", "NetworkPolicy").namespaced();
pub(in crate::cluster) const SERVICE_MONITORS: Kind =
    Kind::v1(MONITORING_GROUP, "ServiceMonitor", "servicemonitors", "ServiceMonitor")
        .namespaced()
        .optional();
pub(in crate::cluster) const LEASES: Kind =
    Kind::v1("coordination.k8s.io", "Lease", "leases", "lease").namespaced();
pub(in crate::cluster) const PODS: Kind = Kind::core("Pod", "pods", "pod").namespaced();
pub(in crate::cluster) const EVENTS: Kind = Kind::core("Event", "events", "event").namespaced();
pub(in crate::cluster) const DEPLOYMENTS: Kind =
    Kind::v1("apps", "Deployment", "deployments", "deployment").namespaced();
pub(in crate::cluster) const CUSTOM_RESOURCE_DEFINITIONS: Kind = Kind::v1(
    "apiextensions.k8s.io",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    "CustomResourceDefinition",
);
pub(in crate::cluster) const MUTATING_WEBHOOKS: Kind = Kind::v1(
    "admissionregistration.k8s.io",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
);
pub(in crate::cluster) const SUBSCRIPTIONS: Kind = Kind::olm("Subscription", "subscriptions");
pub(in crate::cluster) const INSTALL_PLANS: Kind = Kind::olm("InstallPlan", "installplans");
pub(in crate::cluster) const CLUSTER_SERVICE_VERSIONS: Kind =
    Kind::olm("ClusterServiceVersion", "clusterserviceversions");
pub(in crate::cluster) const PACKAGE_MANIFESTS: Kind =
    Kind::v1(PACKAGES_GROUP, "PackageManifest", "packagemanifests", "PackageManifest")
        .namespaced()
        .optional();
pub(in crate::cluster) const CLUSTER_EXTENSIONS: Kind =
    Kind::v1(OLM_V1_GROUP, "ClusterExtension", "clusterextensions", "ClusterExtension").optional();
pub(in crate::cluster) const ACCESS_REVIEWS: Kind = Kind::v1(
    "authorization.k8s.io",
    "SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
    "access review",
);
pub(in crate::cluster) const SELF_REVIEWS: Kind = Kind::v1(
    "authentication.k8s.io",
    "SelfSubjectReview",
    "selfsubjectreviews",
    "review of the user",
);
pub(in crate::cluster) const USERS: Kind = Kind::v1("user.openshift.io", "User", "users", "user");

/// Operator Lifecycle Manager.
pub(in crate::cluster) const OLM_GROUP: &str = "operators.coreos.com";

/// OLM's package manifests.
pub(in crate::cluster) const PACKAGES_GROUP: &str = "packages.operators.coreos.com";

/// OLM v1.
pub(in crate::cluster) const OLM_V1_GROUP: &str = "olm.operatorframework.io";

/// Prometheus Operator.
pub(in crate::cluster) const MONITORING_GROUP: &str = "monitoring.coreos.com";

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

    pub(in crate::cluster) fn name(&self) -> &'static str {
        self.kind
    }

    pub(in crate::cluster) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    pub(in crate::cluster) fn resource(&self) -> ApiResource {
        ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(self.group, self.version, self.kind),
            self.plural,
        )
    }

    /// The path of a list.
    pub(in crate::cluster) fn path(&self, namespace: Option<&str>) -> String {
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
    pub(in crate::cluster) fn describe_all(&self, namespace: Option<&str>) -> String {
        match namespace {
            Some(namespace) => format!("{}s in namespace {namespace}", self.noun),
            None if self.namespaced => format!("{}s in all namespaces", self.noun),
            None => format!("{}s", self.noun),
        }
    }

    /// For messages: `secret builder-quay-openshift in namespace myproj`.
    pub(in crate::cluster) fn describe(&self, namespace: Option<&str>, name: &str) -> String {
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
pub(in crate::cluster) struct Meta {
    pub(in crate::cluster) name: String,
    pub(in crate::cluster) namespace: String,
    pub(in crate::cluster) uid: String,
    pub(in crate::cluster) resource_version: String,
    pub(in crate::cluster) creation_timestamp: Option<String>,
    pub(in crate::cluster) deletion_timestamp: Option<String>,
    pub(in crate::cluster) annotations: Option<BTreeMap<String, String>>,
    pub(in crate::cluster) labels: Option<BTreeMap<String, String>>,
    pub(in crate::cluster) finalizers: Option<Vec<String>>,
    pub(in crate::cluster) owner_references: Option<Vec<Owner>>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct Owner {
    pub(in crate::cluster) kind: String,
    pub(in crate::cluster) name: String,
    pub(in crate::cluster) controller: bool,
}

impl Meta {
    pub(in crate::cluster) fn annotation(&self, key: &str) -> Option<&String> {
        self.annotations.as_ref()?.get(key)
    }

    /// The GitOps tool or the owning controller that would revert a change to the object.
    pub(in crate::cluster) fn owner(&self) -> Option<String> {
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

    pub(in crate::cluster) fn is_ours(&self) -> bool {
        self.labels
            .as_ref()
            .and_then(|labels| labels.get(MANAGED_BY_LABEL))
            .is_some_and(|name| name == MANAGED_BY)
    }
}

/// Also an OpenShift Project, which has the same fields.
#[derive(Clone, Deserialize)]
pub(in crate::cluster) struct Namespace {
    pub(in crate::cluster) metadata: Meta,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cluster) struct ServiceAccount {
    pub(in crate::cluster) metadata: Meta,
    pub(in crate::cluster) secrets: Option<Vec<Reference>>,
    pub(in crate::cluster) image_pull_secrets: Option<Vec<Reference>>,
}

#[derive(Clone, Deserialize)]
pub(in crate::cluster) struct Reference {
    #[serde(default)]
    pub(in crate::cluster) name: String,
}

#[derive(Clone, Deserialize)]
pub(in crate::cluster) struct Secret {
    pub(in crate::cluster) metadata: Meta,
    #[serde(rename = "type", default)]
    pub(in crate::cluster) kind: String,
    /// In base64.
    pub(in crate::cluster) data: Option<BTreeMap<String, SecretString>>,
}

#[derive(Clone, Deserialize)]
pub(in crate::cluster) struct ImageStream {
    pub(in crate::cluster) metadata: Meta,
    #[serde(default)]
    pub(in crate::cluster) spec: ImageStreamSpec,
    #[serde(default)]
    pub(in crate::cluster) status: ImageStreamStatus,
}

#[derive(Clone, Default, Deserialize)]
pub(in crate::cluster) struct ImageStreamSpec {
    pub(in crate::cluster) tags: Option<Vec<SpecTag>>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cluster) struct SpecTag {
    pub(in crate::cluster) name: String,
    pub(in crate::cluster) from: Option<TagSource>,
    #[serde(default)]
    pub(in crate::cluster) import_policy: TagImportPolicy,
    #[serde(default)]
    pub(in crate::cluster) reference: bool,
    pub(in crate::cluster) generation: Option<i64>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::cluster) struct TagImportPolicy {
    pub(in crate::cluster) scheduled: bool,
    pub(in crate::cluster) import_mode: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct TagSource {
    pub(in crate::cluster) kind: String,
    pub(in crate::cluster) name: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cluster) struct ImageStreamStatus {
    #[serde(default)]
    pub(in crate::cluster) docker_image_repository: String,
    pub(in crate::cluster) tags: Option<Vec<StatusTag>>,
}

#[derive(Clone, Deserialize)]
pub(in crate::cluster) struct StatusTag {
    pub(in crate::cluster) tag: String,
    /// Newest first; `null` without imported images.
    pub(in crate::cluster) items: Option<LatestTagEvent>,
    pub(in crate::cluster) conditions: Option<Vec<TagCondition>>,
}

/// The first item of a list; the others are skipped while parsing.
#[derive(Clone, Deserialize)]
#[serde(from = "Vec<TagEvent>")]
pub(in crate::cluster) struct LatestTagEvent(pub(in crate::cluster) Option<TagEvent>);

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::cluster) struct TagEvent {
    pub(in crate::cluster) created: Option<String>,
    pub(in crate::cluster) docker_image_reference: String,
    pub(in crate::cluster) image: String,
    pub(in crate::cluster) generation: Option<i64>,
}

impl From<Vec<TagEvent>> for LatestTagEvent {
    fn from(items: Vec<TagEvent>) -> Self {
        Self(items.into_iter().next())
    }
}

#[derive(Clone, Deserialize)]
pub(in crate::cluster) struct TagCondition {
    #[serde(rename = "type")]
    pub(in crate::cluster) kind: String,
    pub(in crate::cluster) status: String,
    #[serde(default)]
    pub(in crate::cluster) message: String,
}

#[derive(Clone, Deserialize)]
pub(in crate::cluster) struct QuayIntegration {
    pub(in crate::cluster) metadata: Meta,
    #[serde(default)]
    pub(in crate::cluster) spec: QuayIntegrationSpec,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::cluster) struct QuayIntegrationSpec {
    #[serde(rename = "clusterID")]
    pub(in crate::cluster) cluster_id: String,
    pub(in crate::cluster) quay_hostname: String,
    pub(in crate::cluster) insecure_registry: bool,
    pub(in crate::cluster) scheduled_image_stream_import: bool,
    pub(in crate::cluster) allowlist_namespaces: Option<Vec<String>>,
    pub(in crate::cluster) denylist_namespaces: Option<Vec<String>>,
    pub(in crate::cluster) credentials_secret: Option<CredentialsSecret>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct CredentialsSecret {
    pub(in crate::cluster) namespace: String,
    pub(in crate::cluster) name: String,
    pub(in crate::cluster) key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cluster) struct ServerVersion {
    pub(in crate::cluster) git_version: String,
}

#[derive(Deserialize)]
pub(in crate::cluster) struct ClusterVersion {
    #[serde(default)]
    pub(in crate::cluster) status: ClusterVersionStatus,
}

#[derive(Default, Deserialize)]
pub(in crate::cluster) struct ClusterVersionStatus {
    /// Newest first.
    pub(in crate::cluster) history: Option<Vec<Update>>,
    pub(in crate::cluster) capabilities: Option<Capabilities>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cluster) struct Capabilities {
    pub(in crate::cluster) enabled_capabilities: Option<Vec<String>>,
    pub(in crate::cluster) known_capabilities: Option<Vec<String>>,
}

#[derive(Deserialize)]
pub(in crate::cluster) struct Update {
    pub(in crate::cluster) state: String,
    pub(in crate::cluster) version: String,
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
