//! Reads all namespaces with cluster-wide lists, instead of one list per namespace.

use std::collections::HashMap;

use futures::join;
use kube::api::ListParams;
use serde::de::DeserializeOwned;

use crate::cluster::access::client::Cluster;
use crate::cluster::namespaces::builds::{StoredBuild, StoredBuildConfig};
use crate::cluster::namespaces::read::{BuildsMode, registry_secrets};
use crate::cluster::resources::{
    self, BUILD_CONFIGS, BUILDS, IMAGE_STREAMS, Kind, Meta, SECRETS, SERVICE_ACCOUNTS,
};
use crate::domain::snapshot::{
    Build, BuildConfig, ImageStream, Namespace, NamespaceSnapshot, Observed, ReadError, Secret,
    ServiceAccount,
};

type ByNamespace<T> = Observed<HashMap<String, Vec<T>>>;

/// Objects by namespace. Each kind can be unreadable independently of the others.
#[derive(Debug)]
pub struct ClusterResources {
    service_accounts: ByNamespace<ServiceAccount>,
    secrets: ByNamespace<Secret>,
    image_streams: ByNamespace<ImageStream>,
    build_configs: ByNamespace<BuildConfig>,
    builds: ByNamespace<Build>,
}

impl ClusterResources {
    /// Moves the objects of a namespace out; a second call returns empty lists.
    pub fn take(&mut self, name: &str, namespace: Namespace) -> NamespaceSnapshot {
        NamespaceSnapshot {
            namespace: Ok(Some(namespace)),
            service_accounts: take(&mut self.service_accounts, name),
            secrets: take(&mut self.secrets, name),
            image_streams: take(&mut self.image_streams, name),
            build_configs: take(&mut self.build_configs, name),
            builds: take(&mut self.builds, name),
            ..NamespaceSnapshot::new(name)
        }
    }
}

fn take<T>(part: &mut ByNamespace<T>, namespace: &str) -> Observed<Vec<T>> {
    match part {
        Ok(namespaces) => Ok(namespaces.remove(namespace).unwrap_or_default()),
        Err(unread) => Err(unread.clone()),
    }
}

impl Cluster {
    /// Reads the service accounts, registry secrets, image streams and builds of all namespaces,
    /// page by page, and keeps only the fields that the domain needs.
    pub async fn all_resources(&self, builds: BuildsMode) -> ClusterResources {
        let everything = ListParams::default();
        let (service_accounts, secrets, image_streams, (build_configs, builds)) = join!(
            self.by_namespace(
                &SERVICE_ACCOUNTS,
                everything.clone(),
                |object: &mut resources::ServiceAccount| &mut object.metadata
            ),
            self.by_namespace(&SECRETS, registry_secrets(), |object: &mut resources::Secret| {
                &mut object.metadata
            }),
            self.by_namespace(&IMAGE_STREAMS, everything, |object: &mut resources::ImageStream| {
                &mut object.metadata
            }),
            async {
                match builds {
                    BuildsMode::Read => join!(self.all_build_configs(), self.all_builds()),
                    BuildsMode::Configs => {
                        (self.all_build_configs().await, Err(ReadError::not_requested()))
                    }
                    BuildsMode::Leave => {
                        (Err(ReadError::not_requested()), Err(ReadError::not_requested()))
                    }
                }
            },
        );
        ClusterResources { service_accounts, secrets, image_streams, build_configs, builds }
    }

    async fn all_build_configs(&self) -> ByNamespace<BuildConfig> {
        self.by_namespace(
            &BUILD_CONFIGS,
            ListParams::default(),
            |object: &mut StoredBuildConfig| &mut object.metadata,
        )
        .await
    }

    async fn all_builds(&self) -> ByNamespace<Build> {
        self.by_namespace(&BUILDS, ListParams::default(), |object: &mut StoredBuild| {
            &mut object.metadata
        })
        .await
    }

    async fn by_namespace<T: DeserializeOwned, U: From<T>>(
        &self,
        kind: &Kind,
        params: ListParams,
        meta: fn(&mut T) -> &mut Meta,
    ) -> ByNamespace<U> {
        let add = |found: &mut HashMap<String, Vec<U>>, mut object: T| {
            let namespace = std::mem::take(&mut meta(&mut object).namespace);
            found.entry(namespace).or_default().push(object.into());
        };
        Ok(self.fold_list(kind, None, params, add).await?)
    }
}
