//! Version, platform, API groups and user of the cluster.

use std::collections::BTreeSet;

use futures::join;
use http::Uri;
use kube::api::{GetParams, PostParams};
use kube::core::Request;
use serde::Deserialize;
use serde_json::json;

use crate::cluster::access::client::{Cluster, host_and_port};
use crate::cluster::access::error::ClusterError;
use crate::cluster::resources::{
    self, CLUSTER_VERSIONS, INFRASTRUCTURES, Meta, SELF_REVIEWS, USERS,
};
use crate::domain::snapshot::Observed;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The user name as the API server reports it.
    pub user: String,
    /// See [`Cluster::version`].
    pub version: String,
    /// `status.platformStatus.type` of the Infrastructure `cluster` (openshift/api
    /// `config/v1/types_infrastructure.go`), for example `AWS`; `None` means bare metal or similar.
    /// No value if it is not readable.
    pub kind: Option<String>,
    /// Hosted control plane (`status.controlPlaneTopology` is `External`): the configuration is in
    /// a HostedCluster of another cluster, so writes here are rejected or reverted.
    pub is_hosted: bool,
    /// API groups that the cluster serves.
    pub groups: BTreeSet<String>,
    /// Disabled capabilities of OpenShift, for example `Build` (`status.capabilities` of the
    /// ClusterVersion); none if not readable.
    pub disabled: Option<BTreeSet<String>>,
}

/// Response of `/apis`.
#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
}

#[derive(Deserialize)]
struct Infrastructure {
    #[serde(default)]
    status: InfrastructureStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InfrastructureStatus {
    platform_status: Option<PlatformStatus>,
    control_plane_topology: String,
    #[serde(rename = "apiServerURL")]
    api_server_url: String,
}

#[derive(Deserialize)]
struct PlatformStatus {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct SelfReview {
    #[serde(default)]
    status: SelfReviewStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SelfReviewStatus {
    user_info: UserInfo,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserInfo {
    username: String,
}

#[derive(Deserialize)]
struct User {
    metadata: Meta,
}

impl Cluster {
    /// Reads all parts concurrently. Fails only if the user, version or API groups are not
    /// readable, which every user is allowed to read.
    pub async fn platform(&self) -> Observed<Platform> {
        let (user, groups, kubernetes, openshift, infrastructure) = join!(
            self.user(),
            self.groups(),
            self.kubernetes_version(),
            self.openshift_version(),
            self.get::<Infrastructure>(&INFRASTRUCTURES, None, "cluster"),
        );
        let openshift = openshift.ok().flatten();
        let infrastructure =
            infrastructure.ok().flatten().map(|found| found.status).unwrap_or_default();
        Ok(Platform {
            user: user?,
            version: version(&kubernetes?, openshift.as_ref()),
            is_hosted: infrastructure.control_plane_topology == "External",
            kind: infrastructure.platform_status.map(|platform| platform.kind),
            groups: groups?,
            disabled: openshift.map(resources::ClusterVersion::disabled),
        })
    }

    /// For example `OpenShift 4.21.3 (Kubernetes v1.34.2)`; without OpenShift if its version is not
    /// readable.
    pub async fn version(&self) -> Observed<String> {
        let (kubernetes, openshift) = join!(self.kubernetes_version(), self.openshift_version());
        Ok(version(&kubernetes?, openshift.ok().flatten().as_ref()))
    }

    /// The external API server as `host:port`; none if forbidden, or without OpenShift.
    pub(in crate::cluster) async fn read_public_server(
        &self,
    ) -> Result<Option<String>, ClusterError> {
        let infrastructure =
            match self.get::<Infrastructure>(&INFRASTRUCTURES, None, "cluster").await {
                Err(error) if error.status() == Some(403) => None,
                infrastructure => infrastructure?,
            };
        let url: Option<Uri> =
            infrastructure.and_then(|found| found.status.api_server_url.parse().ok());
        Ok(url.filter(|url| url.host().is_some()).map(|url| host_and_port(&url)))
    }

    async fn kubernetes_version(&self) -> Result<String, ClusterError> {
        let call = "read the version of the cluster";
        let answer = self
            .send::<resources::ServerVersion>(
                call,
                Request::new("").get("version", &GetParams::default()),
            )
            .await;
        Ok(answer?.git_version)
    }

    async fn openshift_version(&self) -> Result<Option<resources::ClusterVersion>, ClusterError> {
        self.get(&CLUSTER_VERSIONS, None, "version").await
    }

    /// True if the API groups are not readable.
    pub(in crate::cluster) async fn serves_group(&self, group: &str) -> bool {
        self.groups().await.map_or(true, |groups| groups.contains(group))
    }

    async fn groups(&self) -> Result<BTreeSet<String>, ClusterError> {
        let request = Request::new("").get("apis", &GetParams::default());
        let answer: Groups = self.send("list the API groups of the cluster", request).await?;
        Ok(answer.groups.into_iter().map(|group| group.name).collect())
    }

    /// By SelfSubjectReview (Kubernetes 1.28 and later), or OpenShift's user `~` before that.
    async fn user(&self) -> Result<String, ClusterError> {
        let review =
            json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
        let request = Request::new(SELF_REVIEWS.path(None))
            .create(&PostParams::default(), review.to_string().into());
        let call = "read the current user";
        match self.send::<SelfReview>(call, request).await {
            Ok(review) => Ok(review.status.user_info.username),
            Err(error) if error.is_not_found() => {
                let request = Request::new(USERS.path(None)).get("~", &GetParams::default());
                Ok(self.send::<User>(call, request).await?.metadata.name)
            }
            Err(error) => Err(error),
        }
    }
}

fn version(kubernetes: &str, openshift: Option<&resources::ClusterVersion>) -> String {
    match openshift.and_then(resources::ClusterVersion::current) {
        Some(openshift) => format!("OpenShift {openshift} (Kubernetes {kubernetes})"),
        None => format!("Kubernetes {kubernetes}"),
    }
}
