//! Object names for shell completion and prompts.

use kube::api::ListParams;
use kube::core::Request;
use serde::Deserialize;

use crate::cluster::access::client::Cluster;
use crate::cluster::access::error::ClusterError;
use crate::cluster::namespaces::read::ListPage;
use crate::cluster::resources::{
    BUILD_CONFIGS, IMAGE_STREAMS, Kind, Meta, NAMESPACES, PROJECTS, SERVICE_ACCOUNTS,
};

/// Kinds whose names can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    Namespaces,
    /// Projects that are visible to the user.
    Projects,
    ServiceAccounts,
    ImageStreams,
    BuildConfigs,
}

#[derive(Deserialize)]
struct Object {
    metadata: Meta,
}

impl NameKind {
    fn kind(self) -> &'static Kind {
        match self {
            NameKind::Namespaces => &NAMESPACES,
            NameKind::Projects => &PROJECTS,
            NameKind::ServiceAccounts => &SERVICE_ACCOUNTS,
            NameKind::BuildConfigs => &BUILD_CONFIGS,
            NameKind::ImageStreams => &IMAGE_STREAMS,
        }
    }
}

impl Cluster {
    /// One request for metadata, answered from the API server's cache: the names may be outdated.
    pub async fn list_names(
        &self,
        named: NameKind,
        namespace: Option<&str>,
    ) -> Result<Vec<String>, ClusterError> {
        let kind = named.kind();
        let request =
            Request::new(kind.path(namespace)).list_metadata(&ListParams::default().match_any());
        let page: ListPage<Object> =
            self.send(&format!("list {}", kind.describe_all(namespace)), request).await?;
        Ok(page.items.into_iter().flatten().map(|object| object.metadata.name).collect())
    }
}
