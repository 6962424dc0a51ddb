//! Reads of one namespace, and paged lists.

use std::collections::BTreeSet;

use futures::future::join_all;
use futures::join;
use kube::api::{GetParams, ListParams};
use kube::core::Request;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cluster::access::client::Cluster;
use crate::cluster::access::error::ClusterError;
use crate::cluster::resources::convert::DOCKERCONFIGJSON;
use crate::cluster::resources::{
    self, IMAGE_STREAMS, Kind, NAMESPACES, PROJECTS, QUAY_INTEGRATIONS, SECRETS, SERVICE_ACCOUNTS,
};
use crate::domain::desired;
use crate::domain::integration::QuayIntegration;
use crate::domain::names;
use crate::domain::snapshot::{
    ImageStream, Namespace, NamespaceSnapshot, Observed, ReadError, ReadErrorKind, Secret,
    ServiceAccount,
};

/// The page size of kubectl.
const PAGE: u32 = 500;

/// Selects when the secrets of a namespace are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretsMode {
    Always,
    /// Only if a service account references one of ours. A new namespace has none, and if a secret
    /// exists nevertheless, its creation reports a conflict.
    IfReferenced,
}

/// Selects which build resources are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildsMode {
    /// BuildConfigs and builds.
    Read,
    /// BuildConfigs only.
    Configs,
    /// Neither.
    Leave,
}

#[derive(Deserialize)]
pub(in crate::cluster) struct ListPage<T> {
    #[serde(default)]
    metadata: PageMeta,
    pub(in crate::cluster) items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
struct PageMeta {
    #[serde(rename = "continue")]
    next: Option<String>,
    #[serde(rename = "resourceVersion")]
    version: Option<String>,
}

impl Cluster {
    /// Empty if the operator's CRD is not installed.
    pub async fn integrations(&self) -> Observed<Vec<QuayIntegration>> {
        Ok(self
            .list::<resources::QuayIntegration, _>(&QUAY_INTEGRATIONS, None, ListParams::default())
            .await?)
    }

    /// The namespaces that match the label `selector`, by name.
    pub async fn namespaces(&self, selector: Option<&str>) -> Observed<Vec<(String, Namespace)>> {
        self.named_namespaces(&NAMESPACES, selector).await
    }

    /// The projects that are visible to the user, who might not be allowed to list namespaces.
    pub async fn projects(&self, selector: Option<&str>) -> Observed<Vec<(String, Namespace)>> {
        self.named_namespaces(&PROJECTS, selector).await
    }

    async fn named_namespaces(
        &self,
        kind: &Kind,
        selector: Option<&str>,
    ) -> Observed<Vec<(String, Namespace)>> {
        let params =
            ListParams { label_selector: selector.map(str::to_owned), ..ListParams::default() };
        let add = |found: &mut Vec<_>, mut object: resources::Namespace| {
            found.push((std::mem::take(&mut object.metadata.name), object.into()));
        };
        Ok(self.fold_list(kind, None, params, add).await?)
    }

    /// Reads the kinds concurrently. `known` is the namespace if it was read before.
    pub async fn namespace_resources(
        &self,
        name: &str,
        known: Option<Namespace>,
        secrets: SecretsMode,
        builds: BuildsMode,
    ) -> NamespaceSnapshot {
        let (namespace, service_accounts, secrets, image_streams, (build_configs, builds)) = join!(
            self.namespace_object(name, known),
            self.service_accounts(name),
            async {
                match secrets {
                    SecretsMode::Always => self.registry_secrets(name).await,
                    SecretsMode::IfReferenced => Err(ReadError::not_requested()),
                }
            },
            self.image_streams(name),
            async {
                match builds {
                    BuildsMode::Read => join!(self.build_configs(name), self.builds(name)),
                    BuildsMode::Configs => {
                        (self.build_configs(name).await, Err(ReadError::not_requested()))
                    }
                    BuildsMode::Leave => {
                        (Err(ReadError::not_requested()), Err(ReadError::not_requested()))
                    }
                }
            },
        );
        NamespaceSnapshot {
            namespace,
            service_accounts,
            secrets,
            image_streams,
            build_configs,
            builds,
            ..NamespaceSnapshot::new(name)
        }
    }

    /// Reads the remaining secrets once the cluster ID, and with it each secret's name, is known:
    /// all of them if they were deferred and a service account references one of ours, and those of
    /// another type that have one of our names.
    pub async fn complete_secrets(
        &self,
        mut snapshot: NamespaceSnapshot,
        secret_of: impl Fn(&str) -> String,
    ) -> NamespaceSnapshot {
        let accounts = snapshot.service_accounts.as_deref();
        let secrets = match snapshot.secrets {
            Err(unread) if unread.kind == ReadErrorKind::Skipped => {
                if accounts.is_ok_and(|accounts| !reference_ours(accounts, &secret_of)) {
                    snapshot.secrets = Ok(vec![]);
                    return snapshot;
                }
                self.registry_secrets(&snapshot.name).await
            }
            secrets => secrets,
        };
        snapshot.secrets = match (secrets, accounts) {
            (Ok(secrets), Ok(accounts)) => {
                self.with_mistyped(&snapshot.name, accounts, secrets, secret_of).await
            }
            (secrets, _) => secrets,
        };
        snapshot
    }

    async fn namespace_object(
        &self,
        name: &str,
        known: Option<Namespace>,
    ) -> Observed<Option<Namespace>> {
        match known {
            Some(namespace) => Ok(Some(namespace)),
            None => self.find_namespace(name).await,
        }
    }

    pub async fn find_namespace(&self, name: &str) -> Observed<Option<Namespace>> {
        Ok(self.get::<resources::Namespace>(&NAMESPACES, None, name).await?.map(Namespace::from))
    }

    async fn service_accounts(&self, namespace: &str) -> Observed<Vec<ServiceAccount>> {
        Ok(self
            .list::<resources::ServiceAccount, _>(
                &SERVICE_ACCOUNTS,
                Some(namespace),
                ListParams::default(),
            )
            .await?)
    }

    pub async fn registry_secrets(&self, namespace: &str) -> Observed<Vec<Secret>> {
        Ok(self.list::<resources::Secret, _>(&SECRETS, Some(namespace), registry_secrets()).await?)
    }

    /// Empty if the cluster does not serve image streams.
    pub async fn image_streams(&self, namespace: &str) -> Observed<Vec<ImageStream>> {
        Ok(self
            .list::<resources::ImageStream, _>(
                &IMAGE_STREAMS,
                Some(namespace),
                ListParams::default(),
            )
            .await?)
    }

    /// Adds secrets of another type that have one of our names, so that they are not reported as
    /// missing. Requests only names that are not in `secrets`.
    async fn with_mistyped(
        &self,
        namespace: &str,
        accounts: &[ServiceAccount],
        mut secrets: Vec<Secret>,
        secret_of: impl Fn(&str) -> String,
    ) -> Observed<Vec<Secret>> {
        let linked = accounts.iter().filter(|account| desired::role(account).is_some());
        let missing: Vec<String> = linked
            .map(|account| secret_of(&account.name))
            .filter(|name| {
                names::validate_kubernetes_name(name).is_ok()
                    && !secrets.iter().any(|secret| secret.name == *name)
            })
            .collect();
        let found = missing
            .iter()
            .map(|name| self.get::<resources::Secret>(&SECRETS, Some(namespace), name));
        for secret in join_all(found).await {
            secrets.extend(secret?.map(Secret::from));
        }
        Ok(secrets)
    }

    pub(in crate::cluster) async fn get<T: DeserializeOwned>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<T>, ClusterError> {
        let request = Request::new(kind.path(namespace)).get(name, &GetParams::default());
        match self.send(&format!("read {}", kind.describe(namespace, name)), request).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(in crate::cluster) async fn list<T: DeserializeOwned, U: From<T>>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        params: ListParams,
    ) -> Result<Vec<U>, ClusterError> {
        self.fold_list(kind, namespace, params, |found: &mut Vec<U>, object: T| {
            found.push(object.into())
        })
        .await
    }

    /// Folds the objects of a kind, holding one page at a time. Empty if the cluster does not serve
    /// the kind.
    pub(in crate::cluster) async fn fold_list<T: DeserializeOwned, A: Default>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        params: ListParams,
        add: impl FnMut(&mut A, T),
    ) -> Result<A, ClusterError> {
        Ok(self
            .fold_list_versioned(kind, namespace, params, false, add)
            .await?
            .map(|(found, _)| found)
            .unwrap_or_default())
    }

    /// Like [`Cluster::fold_list`], optionally for metadata only, and returns the list's
    /// `resourceVersion`, from which a watch can start. None if the cluster does not serve the
    /// kind.
    ///
    /// If the `continue` token has expired (410), requests the whole list at once, as client-go
    /// does (`tools/pager/pager.go`).
    ///
    /// Never sets `resourceVersion=0`: the API server would ignore the limit (`computeListLimit` in
    /// Kubernetes' `apiserver/pkg/storage/cacher/cacher.go`).
    pub(in crate::cluster) async fn fold_list_versioned<T: DeserializeOwned, A: Default>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        mut params: ListParams,
        by_metadata: bool,
        mut add: impl FnMut(&mut A, T),
    ) -> Result<Option<(A, String)>, ClusterError> {
        params.limit = Some(PAGE);
        let (call, path) =
            (format!("list {}", kind.describe_all(namespace)), Request::new(kind.path(namespace)));
        let mut found = A::default();
        loop {
            let request =
                if by_metadata { path.list_metadata(&params) } else { path.list(&params) };
            let page: ListPage<T> = match self.send(&call, request).await {
                Err(error) if kind.optional && error.is_not_found() => return Ok(None),
                Err(error) if error.is_gone() && params.continue_token.is_some() => {
                    (params.limit, params.continue_token, found) = (None, None, A::default());
                    continue;
                }
                page => page?,
            };
            page.items.into_iter().flatten().for_each(|object| add(&mut found, object));
            params.continue_token = page.metadata.next.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                return Ok(Some((found, page.metadata.version.unwrap_or_default())));
            }
        }
    }
}

/// Selects registry secrets of type `kubernetes.io/dockerconfigjson`; OpenShift's internal ones
/// have another type.
pub(in crate::cluster) fn registry_secrets() -> ListParams {
    ListParams::default().fields(&format!("type={DOCKERCONFIGJSON}"))
}

pub(in crate::cluster) fn other_secrets() -> ListParams {
    ListParams::default().fields(&format!("type!={DOCKERCONFIGJSON}"))
}

fn reference_ours(accounts: &[ServiceAccount], secret_of: impl Fn(&str) -> String) -> bool {
    let ours: BTreeSet<String> = accounts.iter().map(|account| secret_of(&account.name)).collect();
    accounts
        .iter()
        .flat_map(|account| account.mountable.iter().chain(&account.pull))
        .any(|name| ours.contains(name))
}
