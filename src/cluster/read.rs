//! Reading: one call per kind, in pages.

use std::collections::BTreeSet;

use futures::future::join_all;
use futures::join;
use kube::api::{GetParams, ListParams};
use kube::core::Request;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::client::Cluster;
use super::convert::DOCKERCONFIGJSON;
use super::error::ClusterError;
use super::resources::{
    self, IMAGE_STREAMS, Kind, NAMESPACES, PROJECTS, QUAY_INTEGRATIONS, SECRETS, SERVICE_ACCOUNTS,
};
use crate::domain::desired;
use crate::domain::integration::QuayIntegration;
use crate::domain::names;
use crate::domain::snapshot::{
    Build, BuildConfig, ImageStream, Namespace, Observed, ReadError, ReadErrorKind, Secret,
    ServiceAccount,
};

/// Objects asked for at a time, as `kubectl` does.
const PAGE: u32 = 500;

/// The cluster's side of one namespace.
#[derive(Clone, Debug)]
pub struct NamespaceResources {
    /// The namespace's name.
    pub name: String,
    /// The Namespace object.
    pub namespace: Observed<Option<Namespace>>,
    /// Its service accounts.
    pub service_accounts: Observed<Vec<ServiceAccount>>,
    /// Its secrets of type `kubernetes.io/dockerconfigjson`; none while [`Cluster::complete_secrets`] is still to say
    /// whether they are worth a call. After it, also any other that bears the name of one of ours.
    pub secrets: Option<Observed<Vec<Secret>>>,
    /// Its image streams.
    pub image_streams: Observed<Vec<ImageStream>>,
    /// Its BuildConfigs.
    pub build_configs: Observed<Vec<BuildConfig>>,
    /// Its builds.
    pub builds: Observed<Vec<Build>>,
}

/// Whether the secrets of a namespace are worth a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretsMode {
    /// They are.
    Always,
    /// Only if a service account refers to one of ours. A fresh namespace has none, and if there is one nevertheless,
    /// creating it says so.
    IfReferenced,
}

/// Which of a namespace's builds, and of what makes them, are worth a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildsMode {
    /// Both.
    Read,
    /// What makes them.
    Configs,
    /// They have no part in what is done.
    Leave,
}

#[derive(Deserialize)]
pub(super) struct ListPage<T> {
    #[serde(default)]
    metadata: PageMeta,
    pub(super) items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
struct PageMeta {
    #[serde(rename = "continue")]
    next: Option<String>,
    #[serde(rename = "resourceVersion")]
    version: Option<String>,
}

impl Cluster {
    /// The QuayIntegrations of the cluster; none where the operator's CRD is not installed.
    pub async fn integrations(&self) -> Observed<Vec<QuayIntegration>> {
        Ok(self
            .list::<resources::QuayIntegration, _>(&QUAY_INTEGRATIONS, None, ListParams::default())
            .await?)
    }

    /// The namespaces of the cluster by name, or those with labels that `selector` selects.
    pub async fn namespaces(&self, selector: Option<&str>) -> Observed<Vec<(String, Namespace)>> {
        self.named_namespaces(&NAMESPACES, selector).await
    }

    /// The projects that the user can see: the same as [`Cluster::namespaces`] for those who may not list these.
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
        Ok(self.each(kind, None, params, add).await?)
    }

    /// Reads the cluster's side of a namespace, its kinds at the same time. `known` is the namespace where it was
    /// read already.
    pub async fn namespace_parts(
        &self,
        name: &str,
        known: Option<Namespace>,
        secrets: SecretsMode,
        builds: BuildsMode,
    ) -> NamespaceResources {
        let (namespace, service_accounts, secrets, image_streams, (build_configs, builds)) = join!(
            self.namespace_object(name, known),
            self.service_accounts(name),
            async {
                match secrets {
                    SecretsMode::Always => Some(self.login_secrets(name).await),
                    SecretsMode::IfReferenced => None,
                }
            },
            self.image_streams(name),
            async {
                match builds {
                    BuildsMode::Read => join!(self.build_configs(name), self.builds(name)),
                    BuildsMode::Configs => (self.build_configs(name).await, Err(not_wanted())),
                    BuildsMode::Leave => (Err(not_wanted()), Err(not_wanted())),
                }
            },
        );
        NamespaceResources {
            name: name.to_owned(),
            namespace,
            service_accounts,
            secrets,
            image_streams,
            build_configs,
            builds,
        }
    }

    /// Reads the secrets that turn out to be worth a call once the cluster ID, and so the name of each service account's
    /// secret, is known: all of them where they were left for now and a service account refers to one of ours, and
    /// those that bear the name of one of ours but have another type.
    pub async fn complete_secrets(
        &self,
        mut parts: NamespaceResources,
        secret_of: impl Fn(&str) -> String,
    ) -> NamespaceResources {
        let accounts = parts.service_accounts.as_deref();
        let secrets = match parts.secrets {
            Some(secrets) => secrets,
            None if accounts.is_ok_and(|accounts| !refer_to_ours(accounts, &secret_of)) => {
                parts.secrets = Some(Ok(vec![]));
                return parts;
            }
            None => self.login_secrets(&parts.name).await,
        };
        parts.secrets = Some(match (secrets, accounts) {
            (Ok(secrets), Ok(accounts)) => {
                self.with_mistyped(&parts.name, accounts, secrets, secret_of).await
            }
            (secrets, _) => secrets,
        });
        parts
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

    /// A namespace, if there is one of that name.
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

    /// The secrets of a namespace of type `kubernetes.io/dockerconfigjson`.
    pub async fn login_secrets(&self, namespace: &str) -> Observed<Vec<Secret>> {
        Ok(self.list::<resources::Secret, _>(&SECRETS, Some(namespace), login_secrets()).await?)
    }

    /// The image streams of a namespace; none where the cluster has no such kind.
    pub async fn image_streams(&self, namespace: &str) -> Observed<Vec<ImageStream>> {
        Ok(self
            .list::<resources::ImageStream, _>(
                &IMAGE_STREAMS,
                Some(namespace),
                ListParams::default(),
            )
            .await?)
    }

    /// Adds to a namespace's secrets of the right type those that bear the name of one of ours and have another type,
    /// so that they are not taken for missing. Asks only for names that are not there yet.
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
                names::kubernetes_name(name).is_ok()
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

    /// One object, if there is one.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<T>, ClusterError> {
        let request = Request::new(kind.path(namespace)).get(name, &GetParams::default());
        match self.send(&format!("read {}", kind.one(namespace, name)), request).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The objects of a kind, in a namespace or in all, as what they are to be reduced to.
    pub(super) async fn list<T: DeserializeOwned, U: From<T>>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        params: ListParams,
    ) -> Result<Vec<U>, ClusterError> {
        self.each(kind, namespace, params, |found: &mut Vec<U>, object: T| {
            found.push(object.into())
        })
        .await
    }

    /// Takes in the objects of a kind one by one, holding one page of them at a time; nothing where the cluster does not have
    /// this kind.
    pub(super) async fn each<T: DeserializeOwned, A: Default>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        params: ListParams,
        add: impl FnMut(&mut A, T),
    ) -> Result<A, ClusterError> {
        Ok(self
            .each_of(kind, namespace, params, false, add)
            .await?
            .map(|(found, _)| found)
            .unwrap_or_default())
    }

    /// The same, by their metadata alone if that is enough, with the version of the list, from which it can be watched on;
    /// none where the cluster does not have this kind.
    ///
    /// An API server that no longer knows the version of the first page (410) is asked for all objects at once, as client-go
    /// does (`tools/pager/pager.go`).
    ///
    /// Lists never ask for `resourceVersion=0`: the API server then ignores the limit and answers all objects at once
    /// (`computeListLimit` in Kubernetes' `apiserver/pkg/storage/cacher/cacher.go`).
    pub(super) async fn each_of<T: DeserializeOwned, A: Default>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        mut params: ListParams,
        by_metadata: bool,
        mut add: impl FnMut(&mut A, T),
    ) -> Result<Option<(A, String)>, ClusterError> {
        params.limit = Some(PAGE);
        let (call, path) =
            (format!("list {}", kind.all(namespace)), Request::new(kind.path(namespace)));
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

/// Why builds are not known to who did not want to know.
pub(crate) fn not_wanted() -> ReadError {
    ReadError {
        call: "list builds".into(),
        reason: "they have no part in this".into(),
        kind: ReadErrorKind::Skipped,
    }
}

/// Selects the secrets that hold registry logins: OpenShift's own have another type.
pub(super) fn login_secrets() -> ListParams {
    ListParams::default().fields(&format!("type={DOCKERCONFIGJSON}"))
}

/// Selects the other ones.
pub(super) fn other_secrets() -> ListParams {
    ListParams::default().fields(&format!("type!={DOCKERCONFIGJSON}"))
}

/// Whether one of the service accounts refers to the secret of one of them.
fn refer_to_ours(accounts: &[ServiceAccount], secret_of: impl Fn(&str) -> String) -> bool {
    let ours: BTreeSet<String> = accounts.iter().map(|account| secret_of(&account.name)).collect();
    accounts
        .iter()
        .flat_map(|account| account.mountable.iter().chain(&account.pull))
        .any(|name| ours.contains(name))
}
