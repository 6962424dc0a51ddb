//! The operator's package in OLM's catalogs (OLM `pkg/package-server/apis/operators/v1/packagemanifest_types.go`).

use std::collections::BTreeSet;

use kube::api::ListParams;
use serde::Deserialize;

use super::client::Cluster;
use super::operator::{OPERATOR_NAMESPACE, PACKAGE};
use super::resources::{PACKAGE_MANIFESTS, PACKAGES_GROUP};
use crate::domain::snapshot::Observed;

/// The namespace whose catalogs serve all namespaces on OpenShift.
const GLOBAL_CATALOGS: &str = "openshift-marketplace";

/// The operator's package in one catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The catalog's name, for example `redhat-operators`.
    pub catalog: String,
    /// The catalog's namespace.
    pub catalog_namespace: String,
    /// The channel that is meant if none is named.
    pub default_channel: String,
    /// Its channels, as the catalog lists them.
    pub channels: Vec<Channel>,
    /// The default channel's version can watch all namespaces.
    pub all_namespaces: bool,
}

/// A channel of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name, for example `stable-3.18`.
    pub name: String,
    /// The ClusterServiceVersion at its head.
    pub csv: String,
    /// That one's version, for example `3.18.0`.
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
    /// The operator's package in every catalog from which a Subscription in [`OPERATOR_NAMESPACE`] can take it. `groups`
    /// are the API groups that the cluster serves: without OLM there are no catalogs, and none is asked for.
    pub async fn packages(&self, groups: &BTreeSet<String>) -> Observed<Vec<Package>> {
        if !groups.contains(PACKAGES_GROUP) {
            return Ok(vec![]);
        }
        // Without the name this would be some megabytes.
        let named = ListParams::default().fields(&format!("metadata.name={PACKAGE}"));
        let add = |found: &mut Vec<Package>, PackageManifest { status }: PackageManifest| {
            if [GLOBAL_CATALOGS, OPERATOR_NAMESPACE]
                .contains(&status.catalog_source_namespace.as_str())
            {
                found.push(status.into());
            }
        };
        Ok(self.each(&PACKAGE_MANIFESTS, None, named, add).await?)
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
