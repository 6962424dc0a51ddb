//! Following the objects of a kind: a list of all there are, and then every change to them, for ever.
//!
//! Not with kube's own watcher: objects are reduced as they come off the wire, which keeps tens of thousands of them
//! small, and what cannot be understood is quoted nowhere, since it may be a secret.

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

use super::builds::{StoredBuild, StoredBuildConfig};
use super::client::Cluster;
use super::error::{Cause, ClusterError, GONE};
use super::read::{login_secrets, other_secrets};
use super::resources::{
    self, BUILD_CONFIGS, BUILDS, IMAGE_STREAMS, Kind, Meta, NAMESPACES, QUAY_INTEGRATIONS, SECRETS,
    SERVICE_ACCOUNTS,
};
use crate::backoff;
use crate::domain::integration::{QuayIntegration, SecretKey};
use crate::domain::snapshot::{
    Build, BuildConfig, ImageStream, Namespace, ReadError, Secret, ServiceAccount,
};

/// How long the API server is to keep one watch, in seconds. Kubernetes' own clients ask for five to ten minutes.
const WATCH_TIMEOUT_SECONDS: u32 = 290;

/// A watch that is silent for so long has lost its connection: after its time it would have ended.
const WATCH_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// The first pause after a failure; it doubles with each further one.
const MIN_BACKOFF: Duration = Duration::from_millis(500);

/// The longest pause between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// After so many failures of it in a row a watch is given up for a list.
const MAX_WATCH_FAILURES: u32 = 5;

/// How often a kind is looked for that the cluster does not have.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// An object with what tells it from others.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    /// Its namespace; empty for what is in none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its `resourceVersion` as a number, which grows with every change in the cluster; 0 if it is none.
    pub version: u64,
    /// What is needed of it.
    pub object: T,
}

impl<T> Versioned<T> {
    /// An object that was written at a version.
    pub(crate) fn new(namespace: &str, name: &str, version: &str, object: T) -> Self {
        Self { namespace: namespace.into(), name: name.into(), version: number(version), object }
    }
}

/// A secret of which nothing but the name is known.
#[derive(Clone, Debug)]
pub struct OtherSecret {
    /// Its name.
    pub name: String,
}

/// An object of which no more than its metadata is read.
#[derive(Clone, Deserialize)]
struct Bare {
    metadata: Meta,
}

impl From<Bare> for OtherSecret {
    fn from(secret: Bare) -> Self {
        Self { name: secret.metadata.name }
    }
}

/// What tells the content of a secret from another one, and no more.
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

/// What is new about the objects of a kind.
#[derive(Clone, Debug)]
pub enum WatchUpdate<T> {
    /// All there are, as of a version.
    All(u64, Vec<Versioned<T>>),
    /// One came or was changed.
    Changed(Versioned<T>),
    /// One is gone.
    Gone(Versioned<()>),
    /// They could not be read, which is tried again. What is known of them may be outdated.
    Unread(ReadError),
}

impl Cluster {
    /// Follows the namespaces. Never ends; none of these do.
    pub async fn follow_namespaces(&self, tell: impl FnMut(WatchUpdate<Namespace>)) {
        let everything = ListParams::default();
        let feed =
            WatchSpec::new(&NAMESPACES, None, everything, |object: &mut resources::Namespace| {
                &mut object.metadata
            });
        self.follow(&feed, tell).await;
    }

    /// Follows the service accounts of all namespaces.
    pub async fn follow_service_accounts(&self, tell: impl FnMut(WatchUpdate<ServiceAccount>)) {
        let everything = ListParams::default();
        let feed = WatchSpec::new(
            &SERVICE_ACCOUNTS,
            None,
            everything,
            |object: &mut resources::ServiceAccount| &mut object.metadata,
        );
        self.follow(&feed, tell).await;
    }

    /// The same of one namespace.
    pub async fn follow_service_accounts_in(
        &self,
        namespace: &str,
        tell: impl FnMut(WatchUpdate<ServiceAccount>),
    ) {
        let (namespace, everything) = (Some(namespace), ListParams::default());
        let feed = WatchSpec::new(
            &SERVICE_ACCOUNTS,
            namespace,
            everything,
            |object: &mut resources::ServiceAccount| &mut object.metadata,
        );
        self.follow(&feed, tell).await;
    }

    /// Follows the secrets with registry logins of all namespaces.
    pub async fn follow_login_secrets(&self, tell: impl FnMut(WatchUpdate<Secret>)) {
        let feed =
            WatchSpec::new(&SECRETS, None, login_secrets(), |object: &mut resources::Secret| {
                &mut object.metadata
            });
        self.follow(&feed, tell).await;
    }

    /// Follows the names of the secrets of other types, of all namespaces. What is in them is not read.
    pub async fn follow_other_secrets(&self, tell: impl FnMut(WatchUpdate<OtherSecret>)) {
        let feed = WatchSpec::new(&SECRETS, None, other_secrets(), |object: &mut Bare| {
            &mut object.metadata
        })
        .by_metadata();
        self.follow(&feed, tell).await;
    }

    /// Follows what is in the one Secret that holds a key.
    pub async fn follow_secret(&self, key: &SecretKey, tell: impl FnMut(WatchUpdate<Content>)) {
        let one = ListParams::default().fields(&format!("metadata.name={}", key.name));
        let feed = WatchSpec::new(
            &SECRETS,
            Some(&key.namespace),
            one,
            |object: &mut resources::Secret| &mut object.metadata,
        );
        self.follow(&feed, tell).await;
    }

    /// Follows the image streams of all namespaces.
    pub async fn follow_image_streams(&self, tell: impl FnMut(WatchUpdate<ImageStream>)) {
        let everything = ListParams::default();
        let feed = WatchSpec::new(
            &IMAGE_STREAMS,
            None,
            everything,
            |object: &mut resources::ImageStream| &mut object.metadata,
        );
        self.follow(&feed, tell).await;
    }

    /// Follows the BuildConfigs of all namespaces.
    pub async fn follow_build_configs(&self, tell: impl FnMut(WatchUpdate<BuildConfig>)) {
        let everything = ListParams::default();
        let feed =
            WatchSpec::new(&BUILD_CONFIGS, None, everything, |object: &mut StoredBuildConfig| {
                &mut object.metadata
            });
        self.follow(&feed, tell).await;
    }

    /// Follows the builds of all namespaces.
    pub async fn follow_builds(&self, tell: impl FnMut(WatchUpdate<Build>)) {
        let feed =
            WatchSpec::new(&BUILDS, None, ListParams::default(), |object: &mut StoredBuild| {
                &mut object.metadata
            });
        self.follow(&feed, tell).await;
    }

    /// Follows the QuayIntegrations.
    pub async fn follow_integrations(&self, tell: impl FnMut(WatchUpdate<QuayIntegration>)) {
        let everything = ListParams::default();
        let feed = WatchSpec::new(
            &QUAY_INTEGRATIONS,
            None,
            everything,
            |object: &mut resources::QuayIntegration| &mut object.metadata,
        );
        self.follow(&feed, tell).await;
    }

    async fn follow<T: Clone + DeserializeOwned, U: From<T>>(
        &self,
        feed: &WatchSpec<'_, T>,
        mut tell: impl FnMut(WatchUpdate<U>),
    ) {
        let mut pauses = WatchBackoff::default();
        loop {
            let add = |found: &mut Vec<_>, object: T| found.push(feed.found(object));
            match self
                .each_of(feed.kind, feed.namespace, feed.params.clone(), feed.by_metadata, add)
                .await
            {
                Ok(Some((objects, version))) => {
                    tell(WatchUpdate::All(number(&version), objects));
                    self.watch_on(feed, version, &mut pauses, &mut tell).await;
                }
                Ok(None) => {
                    tell(WatchUpdate::All(0, vec![]));
                    sleep(POLL_INTERVAL).await;
                }
                Err(error) => {
                    tell(WatchUpdate::Unread(error.into()));
                    pauses.take().await;
                }
            }
        }
    }

    /// Watches from a version on, one watch after the other, until only a list can tell what there is.
    async fn watch_on<T: Clone + DeserializeOwned, U: From<T>>(
        &self,
        feed: &WatchSpec<'_, T>,
        mut version: String,
        pauses: &mut WatchBackoff,
        tell: &mut impl FnMut(WatchUpdate<U>),
    ) {
        let mut failures = 0;
        loop {
            let (started, mut heard) = (Instant::now(), false);
            let ended = self.watch_once(feed, &mut version, |news| {
                heard = true;
                tell(news);
            });
            let ended = ended.await;
            // One that lasted did well, also where nothing happened.
            let lasted = started.elapsed() > MAX_BACKOFF;
            if heard || lasted {
                pauses.end();
                failures = 0;
            }
            match ended {
                Ok(()) if lasted => {}
                Ok(()) => {
                    failures = 0;
                    pauses.take().await;
                }
                Err(Some(error)) => {
                    tell(WatchUpdate::Unread(error.into()));
                    pauses.take().await;
                    failures += 1;
                    // The API server may know nothing of the version any more, as after it was restored.
                    if failures > MAX_WATCH_FAILURES {
                        return;
                    }
                }
                Err(None) => return pauses.take().await,
            }
        }
    }

    /// One watch. The version goes along with the events.
    ///
    /// # Errors
    /// None if what happened since the version is no longer known, else what went wrong.
    async fn watch_once<T: Clone + DeserializeOwned, U: From<T>>(
        &self,
        feed: &WatchSpec<'_, T>,
        version: &mut String,
        mut tell: impl FnMut(WatchUpdate<U>),
    ) -> Result<(), Option<ClusterError>> {
        let call = format!("watch {}", feed.kind.all(feed.namespace));
        let failed = |error: kube::Error| match error {
            kube::Error::Api(status) => refused(&call, &status),
            // Its own text may quote what it stumbled over.
            kube::Error::SerdeError(_) => {
                Some(ClusterError::other(&call, "an event cannot be understood"))
            }
            error => Some(ClusterError {
                call: call.clone(),
                cause: Cause::from_transport(&self.url(), &error),
            }),
        };
        let path = Request::new(feed.kind.path(feed.namespace));
        let request = match feed.by_metadata {
            true => path.watch_metadata(&feed.watch(), version),
            false => path.watch(&feed.watch(), version),
        };
        let request = request
            .map_err(|_| Some(ClusterError::other(&call, "no such watch can be asked for")))?;
        let silence = |_| Some(ClusterError::other(&call, "nothing came for too long"));
        let events = timeout(WATCH_IDLE_TIMEOUT, self.watch_client().request_events::<T>(request))
            .await
            .map_err(silence)?;
        let mut events = pin!(events.map_err(failed)?);
        while let Some(event) = timeout(WATCH_IDLE_TIMEOUT, events.try_next())
            .await
            .map_err(silence)?
            .map_err(failed)?
        {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    let object = feed.found_at(object, version);
                    tell(WatchUpdate::Changed(object));
                }
                WatchEvent::Deleted(object) => {
                    let Versioned { namespace, name, version, .. } =
                        feed.found_at::<U>(object, version);
                    tell(WatchUpdate::Gone(Versioned { namespace, name, version, object: () }));
                }
                WatchEvent::Bookmark(bookmark) => *version = bookmark.metadata.resource_version,
                WatchEvent::Error(status) => return Err(refused(&call, &status)),
            }
        }
        Ok(())
    }
}

fn refused(call: &str, status: &Status) -> Option<ClusterError> {
    let cause = Cause::Refused { status: status.code, message: status.message.clone() };
    (status.code != GONE).then(|| ClusterError { call: call.to_owned(), cause })
}

/// The objects that are followed.
struct WatchSpec<'a, T> {
    kind: &'a Kind,
    namespace: Option<&'a str>,
    params: ListParams,
    meta: fn(&mut T) -> &mut Meta,
    /// Nothing but their metadata is asked for.
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

    fn found<U: From<T>>(&self, mut object: T) -> Versioned<U> {
        let meta = (self.meta)(&mut object);
        let (namespace, name) = (std::mem::take(&mut meta.namespace), meta.name.clone());
        Versioned {
            namespace,
            name,
            version: number(&meta.resource_version),
            object: object.into(),
        }
    }

    /// The object of an event, which also says how far the watch has come.
    fn found_at<U: From<T>>(&self, mut object: T, version: &mut String) -> Versioned<U> {
        version.clone_from(&(self.meta)(&mut object).resource_version);
        self.found(object)
    }
}

fn number(version: &str) -> u64 {
    version.parse().unwrap_or_default()
}

/// The pauses between tries that fail one after the other.
#[derive(Default)]
struct WatchBackoff {
    failed: u32,
}

impl WatchBackoff {
    async fn take(&mut self) {
        self.failed += 1;
        sleep(backoff::after(self.failed, MIN_BACKOFF, MAX_BACKOFF)).await;
    }

    /// It goes well again.
    fn end(&mut self) {
        self.failed = 0;
    }
}
