//! Kinds of OpenShift and OLM as CustomResourceDefinitions, with their paths.

use sandbox::openshift::schemas;
use serde_json::{Value, json};

pub(crate) struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    scope: Scope,
    /// Whether the kind has a status subresource.
    status: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Scope {
    Cluster,
    Namespaced,
}

use Scope::{Cluster, Namespaced};

/// Label of the initial definitions, which those of a test or OLM do not have.
pub(crate) const OURS: &str = "envtest";

pub(crate) const KINDS: [Kind; 17] = [
    Kind::new("quay.redhat.com", "v1", "QuayIntegration", "quayintegrations", Cluster, true),
    Kind::new("image.openshift.io", "v1", "ImageStream", "imagestreams", Namespaced, true),
    Kind::new(
        "image.openshift.io",
        "v1",
        "ImageStreamImport",
        "imagestreamimports",
        Namespaced,
        false,
    ),
    Kind::new("build.openshift.io", "v1", "Build", "builds", Namespaced, false),
    Kind::new("build.openshift.io", "v1", "BuildConfig", "buildconfigs", Namespaced, false),
    Kind::new("project.openshift.io", "v1", "Project", "projects", Cluster, false),
    Kind::new("config.openshift.io", "v1", "ClusterVersion", "clusterversions", Cluster, true),
    Kind::new("config.openshift.io", "v1", "Image", "images", Cluster, true),
    Kind::new("config.openshift.io", "v1", "Infrastructure", "infrastructures", Cluster, true),
    Kind::new("olm.operatorframework.io", "v1", "ClusterCatalog", "clustercatalogs", Cluster, true),
    Kind::new(
        "olm.operatorframework.io",
        "v1",
        "ClusterExtension",
        "clusterextensions",
        Cluster,
        true,
    ),
    Kind::new("operators.coreos.com", "v1", "OperatorGroup", "operatorgroups", Namespaced, true),
    Kind::new(
        "operators.coreos.com",
        "v1alpha1",
        "CatalogSource",
        "catalogsources",
        Namespaced,
        true,
    ),
    Kind::new(
        "operators.coreos.com",
        "v1alpha1",
        "Subscription",
        "subscriptions",
        Namespaced,
        true,
    ),
    Kind::new(
        "operators.coreos.com",
        "v1alpha1",
        "ClusterServiceVersion",
        "clusterserviceversions",
        Namespaced,
        true,
    ),
    Kind::new("operators.coreos.com", "v1alpha1", "InstallPlan", "installplans", Namespaced, true),
    Kind::new(
        "packages.operators.coreos.com",
        "v1",
        "PackageManifest",
        "packagemanifests",
        Namespaced,
        false,
    ),
];

/// Built-in namespaced kinds that the suite uses: group, version, plural.
const BUILT_IN_CONTENT: [(&str, &str, &str); 11] = [
    ("", "v1", "configmaps"),
    ("", "v1", "events"),
    ("", "v1", "secrets"),
    ("", "v1", "serviceaccounts"),
    ("apps", "v1", "deployments"),
    ("rbac.authorization.k8s.io", "v1", "rolebindings"),
    ("rbac.authorization.k8s.io", "v1", "roles"),
    ("", "v1", "services"),
    ("networking.k8s.io", "v1", "networkpolicies"),
    ("policy", "v1", "poddisruptionbudgets"),
    ("coordination.k8s.io", "v1", "leases"),
];

impl Kind {
    const fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
        scope: Scope,
        status: bool,
    ) -> Kind {
        Kind { group, version, kind, plural, scope, status }
    }

    pub(crate) fn path(&self) -> String {
        format!("/apis/{}/{}/{}", self.group, self.version, self.plural)
    }

    pub(crate) fn definition_name(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }

    pub(crate) fn definition(&self) -> Value {
        let scope = match self.scope {
            Cluster => "Cluster",
            Namespaced => "Namespaced",
        };
        let schema = schemas::openapi_schema(self.group, self.kind);
        let mut version = json!({
            "name": self.version, "served": true, "storage": true, "schema": { "openAPIV3Schema": schema },
        });
        if self.status {
            version["subresources"] = json!({ "status": {} });
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": self.definition_name(), "labels": { OURS: "" } },
            "spec": {
                "group": self.group,
                "scope": scope,
                "names": {
                    "kind": self.kind,
                    "listKind": format!("{}List", self.kind),
                    "plural": self.plural,
                    "singular": self.kind.to_lowercase(),
                },
                "versions": [version],
            },
        })
    }
}

/// Paths of a namespaced kind.
pub(crate) struct Collection {
    /// `<plural>.<group>`, as in conditions of the namespace controller.
    pub(crate) resource: String,
    api: String,
    plural: &'static str,
}

impl Collection {
    pub(crate) fn everywhere(&self) -> String {
        format!("{}/{}", self.api, self.plural)
    }

    pub(crate) fn in_namespace(&self, namespace: &str) -> String {
        format!("{}/namespaces/{namespace}/{}", self.api, self.plural)
    }
}

pub(crate) fn content() -> impl Iterator<Item = Collection> {
    let added = KINDS
        .iter()
        .filter(|kind| kind.scope == Namespaced)
        .map(|kind| (kind.group, kind.version, kind.plural));
    BUILT_IN_CONTENT.into_iter().chain(added).map(|(group, version, plural)| {
        let api = if group.is_empty() {
            format!("/api/{version}")
        } else {
            format!("/apis/{group}/{version}")
        };
        Collection { resource: format!("{plural}.{group}"), api, plural }
    })
}
