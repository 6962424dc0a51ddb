//! Names alone, of what a person may want to choose from.

use kube::api::ListParams;
use kube::core::Request;
use serde::Deserialize;

use super::client::Cluster;
use super::error::ClusterError;
use super::read::ListPage;
use super::resources::{
    BUILD_CONFIGS, IMAGE_STREAMS, Kind, Meta, NAMESPACES, PROJECTS, SERVICE_ACCOUNTS,
};

/// A kind of object that is chosen by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// Namespaces.
    Namespaces,
    /// The projects that the user can see.
    Projects,
    /// Service accounts of a namespace.
    ServiceAccounts,
    /// Image streams of a namespace.
    ImageStreams,
    /// BuildConfigs of a namespace.
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
    /// The names of all objects of a kind, in a namespace where it has them, with one request. They may be a moment old:
    /// the API server answers from its cache, and sends the objects' metadata alone.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn names(
        &self,
        named: NameKind,
        namespace: Option<&str>,
    ) -> Result<Vec<String>, ClusterError> {
        let kind = named.kind();
        let request =
            Request::new(kind.path(namespace)).list_metadata(&ListParams::default().match_any());
        let page: ListPage<Object> =
            self.send(&format!("list {}", kind.all(namespace)), request).await?;
        Ok(page.items.into_iter().flatten().map(|object| object.metadata.name).collect())
    }
}
