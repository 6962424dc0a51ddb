//! Lists the objects of a kind and then watches for changes, indefinitely.
//!
//! Not with kube's watcher: objects are reduced while parsing, which saves memory, and parse errors
//! are never quoted, as they could contain secrets.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt as _;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::{Request, Status};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use crate::backoff;
use crate::cluster::access::client::Cluster;
use crate::cluster::access::error::{Cause, ClusterError, GONE};
use crate::cluster::namespaces::builds::{StoredBuild, StoredBuildConfig};
use crate::cluster::namespaces::read::{other_secrets, registry_secrets};
use crate::cluster::resources::{
    self, BUILD_CONFIGS, BUILDS, IMAGE_STREAMS, Kind, Meta, NAMESPACES, QUAY_INTEGRATIONS, SECRETS,
    SERVICE_ACCOUNTS,
};
use crate::domain::integration::{QuayIntegration, SecretKey};
use crate::domain::snapshot::{
    Build, BuildConfig, ImageStream, Namespace, ReadError, Secret, ServiceAccount,
};

/// Server-side timeout of a watch. Kubernetes' clients request five to ten minutes.
const WATCH_TIMEOUT_SECONDS: u32 = 290;

/// Longer than the server-side timeout: a silent watch has lost its connection.
const WATCH_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

const MIN_BACKOFF: Duration = Duration::from_millis(500);

const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Consecutive failures before a new list.
const MAX_WATCH_FAILURES: u32 = 5;

/// Interval to check for a kind that the cluster does not serve.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// An object with its identity and version.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    pub name: String,
    /// Its `resourceVersion` as a number, which increases with every change in the cluster; 0 if it
    /// is not a number.
    pub version: u64,
    pub object: T,
}

impl<T> Versioned<T> {
    pub(crate) fn new(namespace: &str, name: &str, version: &str, object: T) -> Self {
        Self { namespace: namespace.into(), name: name.into(), version: number(version), object }
    }
}

/// A secret of another type; only its name is read.
#[derive(Clone, Debug)]
pub struct OtherSecret {
    pub name: String,
}

#[derive(Clone, Deserialize)]
struct MetadataOnly {
    metadata: Meta,
}

impl From<MetadataOnly> for OtherSecret {
    fn from(secret: MetadataOnly) -> Self {
        Self { name: secret.metadata.name }
    }
}

/// A hash of a secret's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content(u64);

impl From<resources::Secret> for Content {
    fn from(secret: resources::Secret) -> Self {
        let mut hasher = DefaultHasher::new();
        for (key, value) in secret.data.iter().flatten() {
            (key, value.expose_secret()).hash(&mut hasher);
        }
        Self(hasher.finish())
    }
}

#[derive(Clone, Debug)]
pub enum WatchUpdate<T> {
    /// The complete list at a version.
    All(u64, Vec<Versioned<T>>),
    /// Created or updated.
    Changed(Versioned<T>),
    Gone(Versioned<()>),
    /// The list or watch failed and will be retried. Known objects may be outdated.
    Unread(ReadError),
}

impl Cluster {
    /// Does not return, like all of these.
    pub async fn follow_namespaces(&self, notify: impl FnMut(WatchUpdate<Namespace>)) {
        let all = ListParams::default();
        let spec = WatchSpec::new(&NAMESPACES, None, all, |object: &mut resources::Namespace| {
            &mut object.metadata
        });
        self.follow(&spec, notify).await;
    }

    pub async fn follow_service_accounts(&self, notify: impl FnMut(WatchUpdate<ServiceAccount>)) {
        let all = ListParams::default();
        let spec = WatchSpec::new(
            &SERVICE_ACCOUNTS,
            None,
            all,
            |object: &mut resources::ServiceAccount| &mut object.metadata,
        );
        self.follow(&spec, notify).await;
    }

    pub async fn follow_service_accounts_in(
        &self,
        namespace: &str,
        notify: impl FnMut(WatchUpdate<ServiceAccount>),
    ) {
        let (namespace, all) = (Some(namespace), ListParams::default());
        let spec = WatchSpec::new(
            &SERVICE_ACCOUNTS,
            namespace,
            all,
            |object: &mut resources::ServiceAccount| &mut object.metadata,
        );
        self.follow(&spec, notify).await;
    }

    pub async fn follow_registry_secrets(&self, notify: impl FnMut(WatchUpdate<Secret>)) {
        let spec =
            WatchSpec::new(&SECRETS, None, registry_secrets(), |object: &mut resources::Secret| {
                &mut object.metadata
            });
        self.follow(&spec, notify).await;
    }

    /// Metadata only; the content is not read.
    pub async fn follow_other_secrets(&self, notify: impl FnMut(WatchUpdate<OtherSecret>)) {
        let spec = WatchSpec::new(&SECRETS, None, other_secrets(), |object: &mut MetadataOnly| {
            &mut object.metadata
        })
        .by_metadata();
        self.follow(&spec, notify).await;
    }

    /// Watches a single Secret.
    pub async fn follow_secret(&self, key: &SecretKey, notify: impl FnMut(WatchUpdate<Content>)) {
        let one = ListParams::default().fields(&format!("metadata.name={}", key.name));
        let spec = WatchSpec::new(
            &SECRETS,
            Some(&key.namespace),
            one,
            |object: &mut resources::Secret| &mut object.metadata,
        );
        self.follow(&spec, notify).await;
    }

    pub async fn follow_image_streams(&self, notify: impl FnMut(WatchUpdate<ImageStream>)) {
        let all = ListParams::default();
        let spec =
            WatchSpec::new(&IMAGE_STREAMS, None, all, |object: &mut resources::ImageStream| {
                &mut object.metadata
            });
        self.follow(&spec, notify).await;
    }

    pub async fn follow_build_configs(&self, notify: impl FnMut(WatchUpdate<BuildConfig>)) {
        let all = ListParams::default();
        let spec = WatchSpec::new(&BUILD_CONFIGS, None, all, |object: &mut StoredBuildConfig| {
            &mut object.metadata
        });
        self.follow(&spec, notify).await;
    }

    pub async fn follow_builds(&self, notify: impl FnMut(WatchUpdate<Build>)) {
        let spec =
            WatchSpec::new(&BUILDS, None, ListParams::default(), |object: &mut StoredBuild| {
                &mut object.metadata
            });
        self.follow(&spec, notify).await;
    }

    pub async fn follow_integrations(&self, notify: impl FnMut(WatchUpdate<QuayIntegration>)) {
        let all = ListParams::default();
        let spec = WatchSpec::new(
            &QUAY_INTEGRATIONS,
            None,
            all,
            |object: &mut resources::QuayIntegration| &mut object.metadata,
        );
        self.follow(&spec, notify).await;
    }

    async fn follow<T: Clone + DeserializeOwned, U: From<T>>(
        &self,
        spec: &WatchSpec<'_, T>,
        mut notify: impl FnMut(WatchUpdate<U>),
    ) {
        let mut delays = WatchBackoff::default();
        loop {
            let add = |found: &mut Vec<_>, object: T| found.push(spec.to_versioned(object));
            match self
                .fold_list_versioned(
                    spec.kind,
                    spec.namespace,
                    spec.params.clone(),
                    spec.by_metadata,
                    add,
                )
                .await
            {
                Ok(Some((objects, version))) => {
                    notify(WatchUpdate::All(number(&version), objects));
                    self.watch_from(spec, version, &mut delays, &mut notify).await;
                }
                Ok(None) => {
                    notify(WatchUpdate::All(0, vec![]));
                    sleep(POLL_INTERVAL).await;
                }
                Err(error) => {
                    notify(WatchUpdate::Unread(error.into()));
                    delays.wait().await;
                }
            }
        }
    }

    /// Watches from a version, repeatedly, until a new list is required.
    async fn watch_from<T: Clone + DeserializeOwned, U: From<T>>(
        &self,
        spec: &WatchSpec<'_, T>,
        mut version: String,
        delays: &mut WatchBackoff,
        notify: &mut impl FnMut(WatchUpdate<U>),
    ) {
        let mut failures = 0;
        loop {
            let (started, mut received) = (Instant::now(), false);
            let ended = self.watch_once(spec, &mut version, |update| {
                received = true;
                notify(update);
            });
            let ended = ended.await;
            // A long watch is a success even without events.
            let lasted = started.elapsed() > MAX_BACKOFF;
            if received || lasted {
                delays.reset();
                failures = 0;
            }
            match ended {
                Ok(()) if lasted => {}
                Ok(()) => {
                    failures = 0;
                    delays.wait().await;
                }
                Err(Some(error)) => {
                    notify(WatchUpdate::Unread(error.into()));
                    delays.wait().await;
                    failures += 1;
                    // The version may be unknown, for example after a restore of etcd.
                    if failures > MAX_WATCH_FAILURES {
                        return;
                    }
                }
                Err(None) => return delays.wait().await,
            }
        }
    }

    /// One watch request. Updates the version with the events.
    ///
    /// # Errors
    /// `None` if the version has expired (410).
    async fn watch_once<T: Clone + DeserializeOwned, U: From<T>>(
        &self,
        spec: &WatchSpec<'_, T>,
        version: &mut String,
        mut notify: impl FnMut(WatchUpdate<U>),
    ) -> Result<(), Option<ClusterError>> {
        let call = format!("watch {}", spec.kind.describe_all(spec.namespace));
        let failed = |error: kube::Error| match error {
            kube::Error::Api(status) => rejected(&call, &status),
            // serde's message may quote the content.
            kube::Error::SerdeError(_) => {
                Some(ClusterError::other(&call, "the API server sent an invalid event"))
            }
            error => Some(ClusterError {
                call: call.clone(),
                cause: Cause::from_transport(&self.url(), &error),
            }),
        };
        let path = Request::new(spec.kind.path(spec.namespace));
        let request = match spec.by_metadata {
            true => path.watch_metadata(&spec.watch(), version),
            false => path.watch(&spec.watch(), version),
        };
        let request =
            request.map_err(|_| Some(ClusterError::other(&call, "invalid watch request")))?;
        let timed_out = |_| Some(ClusterError::other(&call, "timed out"));
        let events = timeout(WATCH_IDLE_TIMEOUT, self.watch_client().request_events::<T>(request))
            .await
            .map_err(timed_out)?;
        let mut events = pin!(events.map_err(failed)?);
        while let Some(event) = timeout(WATCH_IDLE_TIMEOUT, events.try_next())
            .await
            .map_err(timed_out)?
            .map_err(failed)?
        {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    let object = spec.to_versioned_event(object, version);
                    notify(WatchUpdate::Changed(object));
                }
                WatchEvent::Deleted(object) => {
                    let Versioned { namespace, name, version, .. } =
                        spec.to_versioned_event::<U>(object, version);
                    notify(WatchUpdate::Gone(Versioned { namespace, name, version, object: () }));
                }
                WatchEvent::Bookmark(bookmark) => *version = bookmark.metadata.resource_version,
                WatchEvent::Error(status) => return Err(rejected(&call, &status)),
            }
        }
        Ok(())
    }
}

fn rejected(call: &str, status: &Status) -> Option<ClusterError> {
    let cause = Cause::Rejected { status: status.code, message: status.message.clone() };
    (status.code != GONE).then(|| ClusterError { call: call.to_owned(), cause })
}

struct WatchSpec<'a, T> {
    kind: &'a Kind,
    namespace: Option<&'a str>,
    params: ListParams,
    meta: fn(&mut T) -> &mut Meta,
    by_metadata: bool,
}

impl<'a, T> WatchSpec<'a, T> {
    fn new(
        kind: &'a Kind,
        namespace: Option<&'a str>,
        params: ListParams,
        meta: fn(&mut T) -> &mut Meta,
    ) -> Self {
        Self { kind, namespace, params, meta, by_metadata: false }
    }

    fn by_metadata(self) -> Self {
        Self { by_metadata: true, ..self }
    }

    fn watch(&self) -> WatchParams {
        let mut watch = WatchParams::default().timeout(WATCH_TIMEOUT_SECONDS);
        watch.field_selector.clone_from(&self.params.field_selector);
        watch
    }

    fn to_versioned<U: From<T>>(&self, mut object: T) -> Versioned<U> {
        let meta = (self.meta)(&mut object);
        let (namespace, name) = (std::mem::take(&mut meta.namespace), meta.name.clone());
        Versioned {
            namespace,
            name,
            version: number(&meta.resource_version),
            object: object.into(),
        }
    }

    /// Also advances the version of the watch.
    fn to_versioned_event<U: From<T>>(&self, mut object: T, version: &mut String) -> Versioned<U> {
        version.clone_from(&(self.meta)(&mut object).resource_version);
        self.to_versioned(object)
    }
}

fn number(version: &str) -> u64 {
    version.parse().unwrap_or_default()
}

#[derive(Default)]
struct WatchBackoff {
    failed: u32,
}

impl WatchBackoff {
    async fn wait(&mut self) {
        self.failed += 1;
        sleep(backoff::delay(self.failed, MIN_BACKOFF, MAX_BACKOFF)).await;
    }

    fn reset(&mut self) {
        self.failed = 0;
    }
}
