//! The operator's package in OLM's catalogs (OLM `pkg/package-server/apis/operators/v1/packagemanifest_types.go`).

use std::collections::BTreeSet;

use kube::api::ListParams;
use serde::Deserialize;

use crate::cluster::access::client::Cluster;
use crate::cluster::olm::operator::{OPERATOR_NAMESPACE, PACKAGE};
use crate::cluster::resources::{PACKAGE_MANIFESTS, PACKAGES_GROUP};
use crate::domain::snapshot::Observed;

/// Catalogs of this namespace serve all namespaces on OpenShift.
const GLOBAL_CATALOGS: &str = "openshift-marketplace";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// For example `redhat-operators`.
    pub catalog: String,
    pub catalog_namespace: String,
    pub default_channel: String,
    /// In the catalog's order.
    pub channels: Vec<Channel>,
    /// Whether the default channel's version supports the install mode `AllNamespaces`.
    pub all_namespaces: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// For example `stable-3.18`.
    pub name: String,
    /// The current ClusterServiceVersion.
    pub csv: String,
    /// For example `3.18.0`.
    pub version: String,
}

#[derive(Deserialize)]
struct PackageManifest {
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    catalog_source: String,
    catalog_source_namespace: String,
    #[serde(default)]
    default_channel: String,
    channels: Vec<PackageChannel>,
}

#[derive(Deserialize)]
struct PackageChannel {
    name: String,
    #[serde(rename = "currentCSV")]
    current_csv: String,
    #[serde(rename = "currentCSVDesc", default)]
    description: Description,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Description {
    version: String,
    install_modes: Option<Vec<InstallMode>>,
}

#[derive(Deserialize)]
struct InstallMode {
    #[serde(rename = "type")]
    kind: String,
    supported: bool,
}

impl Cluster {
    /// Packages in the catalogs that serve [`OPERATOR_NAMESPACE`]. `groups` are the API groups of
    /// the cluster; without OLM the result is empty.
    pub async fn packages(&self, groups: &BTreeSet<String>) -> Observed<Vec<Package>> {
        if !groups.contains(PACKAGES_GROUP) {
            return Ok(vec![]);
        }
        // Without the selector the response has several megabytes.
        let named = ListParams::default().fields(&format!("metadata.name={PACKAGE}"));
        let add = |found: &mut Vec<Package>, PackageManifest { status }: PackageManifest| {
            if [GLOBAL_CATALOGS, OPERATOR_NAMESPACE]
                .contains(&status.catalog_source_namespace.as_str())
            {
                found.push(status.into());
            }
        };
        Ok(self.fold_list(&PACKAGE_MANIFESTS, None, named, add).await?)
    }
}

impl From<Status> for Package {
    fn from(status: Status) -> Self {
        // As OLM's `GetDefaultChannel` does.
        let default_channel = match (status.default_channel, status.channels.as_slice()) {
            (named, [only]) if named.is_empty() => only.name.clone(),
            (named, _) => named,
        };
        let watches_all = |channel: &PackageChannel| {
            let mut modes = channel.description.install_modes.iter().flatten();
            modes.any(|mode| mode.kind == "AllNamespaces" && mode.supported)
        };
        Self {
            all_namespaces: status
                .channels
                .iter()
                .filter(|channel| channel.name == default_channel)
                .any(watches_all),
            catalog: status.catalog_source,
            catalog_namespace: status.catalog_source_namespace,
            default_channel,
            channels: status.channels.into_iter().map(Channel::from).collect(),
        }
    }
}

impl From<PackageChannel> for Channel {
    fn from(PackageChannel { name, current_csv, description }: PackageChannel) -> Self {
        Self { name, csv: current_csv, version: description.version }
    }
}
