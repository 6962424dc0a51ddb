//! The operator's ClusterExtension in OLM v1 (operator-controller
//! `api/v1/clusterextension_types.go`).

use kube::api::ListParams;
use serde::Deserialize;

use crate::cluster::access::client::Cluster;
use crate::cluster::olm::olm_conditions::{OlmCondition, OlmIssue};
use crate::cluster::resources::{CLUSTER_EXTENSIONS, Meta};
use crate::domain::snapshot::Observed;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    pub name: String,
    pub resource_version: String,
    /// `spec.namespace`
    pub namespace: String,
    /// `spec.serviceAccount.name`
    pub service_account: String,
    /// `spec.source.catalog.channels`; none for any.
    pub channels: Vec<String>,
    /// `status.install.bundle.version`, once it is installed.
    pub bundle_version: Option<String>,
    pub installed: bool,
    pub conditions: Vec<OlmCondition>,
    pub ours: bool,
}

#[derive(Deserialize)]
struct StoredExtension {
    metadata: Meta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    namespace: String,
    service_account: LocalObjectReference,
    source: Source,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LocalObjectReference {
    name: String,
}

#[derive(Default, Deserialize)]
struct Source {
    catalog: Option<CatalogFilter>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CatalogFilter {
    package_name: String,
    channels: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
struct Status {
    install: Option<Install>,
    conditions: Option<Vec<OlmCondition>>,
}

#[derive(Deserialize)]
struct Install {
    bundle: Bundle,
}

#[derive(Deserialize)]
struct Bundle {
    version: String,
}

impl Cluster {
    pub(in crate::cluster) async fn extension(&self, package: &str) -> Observed<Option<Extension>> {
        let add = |found: &mut Option<Extension>, stored: StoredExtension| {
            if stored
                .spec
                .source
                .catalog
                .as_ref()
                .is_some_and(|catalog| catalog.package_name == package)
            {
                *found = Some(stored.into());
            }
        };
        Ok(self.fold_list(&CLUSTER_EXTENSIONS, None, ListParams::default(), add).await?)
    }
}

impl Extension {
    /// Empty if there is no condition `Progressing`.
    pub(in crate::cluster) fn progress(&self) -> &str {
        let progressing = self.conditions.iter().find(|condition| condition.kind == "Progressing");
        progressing.map_or("", |condition| &condition.reason)
    }

    /// Problems in its condition `Progressing`.
    pub(in crate::cluster) fn problems(&self) -> impl Iterator<Item = OlmIssue> {
        let is_problem = |condition: &&OlmCondition| {
            condition.kind == "Progressing"
                && !matches!(condition.reason.as_str(), "" | "Succeeded" | "RollingOut")
        };
        let object = format!("ClusterExtension {}", self.name);
        self.conditions.iter().filter(is_problem).map(move |condition| {
            OlmIssue::new(&object, &condition.kind, &condition.reason, &condition.message, false)
        })
    }
}

impl From<StoredExtension> for Extension {
    fn from(StoredExtension { metadata, spec, status }: StoredExtension) -> Self {
        let conditions = status.conditions.unwrap_or_default();
        Self {
            ours: metadata.is_ours(),
            name: metadata.name,
            resource_version: metadata.resource_version,
            namespace: spec.namespace,
            service_account: spec.service_account.name,
            channels: spec.source.catalog.and_then(|catalog| catalog.channels).unwrap_or_default(),
            bundle_version: status.install.map(|install| install.bundle.version),
            installed: conditions
                .iter()
                .any(|condition| condition.kind == "Installed" && condition.is_true()),
            conditions,
        }
    }
}
