//! The connection to a cluster, and the method that sends every request.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Uri, header};
use kube::Client;
use kube::client::Body;
use kube::core::request;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::cluster::access::authorization::{Authorization, Authorizer};
use crate::cluster::access::error::{Cause, ClusterError};
use crate::cluster::access::kubeconfig;
use crate::cluster::access::transport;
use crate::domain::integration::ConnectionStage;
use crate::printable::printable_line;
use crate::proxy;
use crate::request_metrics::{self, Observer, ObserverSlot, Side, cluster_kind};

/// Selects the cluster and the user, as kubectl's flags do.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Default: the files in `KUBECONFIG`, or `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// Default: the current context.
    pub context: Option<String>,
    /// Default: the context's cluster.
    pub cluster: Option<String>,
    /// Default: the context's user.
    pub user: Option<String>,
    pub impersonate: Option<String>,
    pub impersonate_groups: Vec<String>,
    pub impersonate_uid: Option<String>,
    /// Limit of one call, retries included; zero for none.
    pub timeout: Duration,
    pub concurrency: usize,
}

impl Options {
    /// Whether an option requires a kubeconfig.
    pub(in crate::cluster) fn names_kubeconfig(&self) -> bool {
        [&self.context, &self.cluster, &self.user].iter().any(|name| name.is_some())
            || self.kubeconfig.is_some()
    }
}

/// Clones share one set of connections.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    in_flight: Semaphore,
    timeout: Duration,
    context: String,
    namespace: String,
    is_in_pod: bool,
    address: Uri,
    /// The external address of the API server, if it differs: in a pod.
    public_server: Option<String>,
    observer: ObserverSlot,
    proxy: Option<Uri>,
}

impl Cluster {
    /// Resolves the kubeconfig and prepares a client. Sends no request, but runs a credential
    /// plugin.
    ///
    /// In a pod without a kubeconfig, uses the pod's service account and reads the API server's
    /// external address from the cluster.
    ///
    /// # Errors
    /// Names the invalid file or context, with a hint.
    pub async fn connect(options: &Options) -> anyhow::Result<Self> {
        Self::from_context(kubeconfig::resolve_context(options)?, options).await
    }

    pub(in crate::cluster) async fn from_context(
        resolved: kubeconfig::ResolvedContext,
        options: &Options,
    ) -> anyhow::Result<Self> {
        let mut cluster = Self::new(resolved, options).await?;
        if cluster.is_in_pod() {
            let public_server = cluster.read_public_server().await?;
            if let Some(inner) = Arc::get_mut(&mut cluster.inner) {
                inner.public_server = public_server;
            }
        }
        Ok(cluster)
    }

    async fn new(resolved: kubeconfig::ResolvedContext, options: &Options) -> anyhow::Result<Self> {
        let kubeconfig::ResolvedContext { context, mut config, authorization, identity, is_in_pod } =
            resolved;
        config.headers.push((
            header::USER_AGENT,
            HeaderValue::from_static(concat!("oc-quay/", env!("CARGO_PKG_VERSION"))),
        ));
        let namespace = config.default_namespace.clone();
        let (address, proxy) = (config.cluster_url.clone(), config.proxy_url.clone());
        let problem =
            |problem: String| anyhow::anyhow!("context {}: {problem}", printable_line(&context));
        let answer = match &authorization {
            Authorization::Plugin(plugin) => Some(
                plugin.request_credentials().await.map_err(|error| problem(error.to_string()))?,
            ),
            _ => None,
        };
        let identity = identity.or_else(|| answer.as_ref()?.identity.clone());
        let authorizer = Authorizer::new(authorization, answer);
        let client = transport::client(&config, identity.as_ref(), authorizer, options.concurrency)
            .map_err(problem)?;
        let in_flight = Semaphore::new(options.concurrency.max(1));
        let (timeout, public_server, observer) = (options.timeout, None, ObserverSlot::default());
        let inner = Inner {
            client,
            in_flight,
            timeout,
            context,
            namespace,
            is_in_pod,
            address,
            proxy,
            public_server,
            observer,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// Whether the client uses the service account of the pod that it runs in.
    pub fn is_in_pod(&self) -> bool {
        self.inner.is_in_pod
    }

    pub fn context(&self) -> &str {
        &self.inner.context
    }

    /// The API server as `host:port`, which identifies the cluster in ownership marks. In a pod
    /// this is the external address, so that the controller and users of the commands write the
    /// same marks.
    pub fn server(&self) -> String {
        self.inner.public_server.clone().unwrap_or_else(|| host_and_port(&self.inner.address))
    }

    /// The API server's URL without its path.
    pub(in crate::cluster) fn url(&self) -> String {
        format!(
            "{}://{}",
            self.inner.address.scheme_str().unwrap_or("https"),
            host_and_port(&self.inner.address)
        )
    }

    /// Reports every request except watches to an observer.
    pub fn observe(&self, observer: Observer) {
        self.inner.observer.set(observer);
    }

    /// The URL, with the proxy if there is one.
    fn url_with_proxy(&self) -> String {
        let via =
            self.inner.proxy.as_ref().map(|proxy| format!(" via proxy {}", proxy::redacted(proxy)));
        format!("{}{}", self.url(), via.unwrap_or_default())
    }

    pub fn is_behind_proxy(&self) -> bool {
        self.inner.proxy.is_some()
    }

    /// A client for watches: not limited by the concurrency or the timeout.
    pub(in crate::cluster) fn watch_client(&self) -> Client {
        self.inner.client.clone()
    }

    /// Sends a request and parses the response. `call` describes it in errors: `list secrets`.
    ///
    /// Not by kube's `Api`, which logs a response that it cannot parse: it might contain secrets.
    pub(in crate::cluster) async fn send<T: DeserializeOwned>(
        &self,
        call: &str,
        request: Result<Request<Vec<u8>>, request::Error>,
    ) -> Result<T, ClusterError> {
        let _permit = self.inner.in_flight.acquire().await;
        self.send_unqueued(call, request).await
    }

    /// Like [`Cluster::send`], but not limited by the concurrency: for requests that must not be
    /// delayed, such as Lease renewals.
    pub(in crate::cluster) async fn send_unqueued<T: DeserializeOwned>(
        &self,
        call: &str,
        request: Result<Request<Vec<u8>>, request::Error>,
    ) -> Result<T, ClusterError> {
        let request = request.map_err(|_| ClusterError::other(call, "invalid object name"))?;
        let answer = self.within_timeout(self.exchange(request)).await;
        let (status, body) =
            answer.map_err(|cause| ClusterError { call: call.to_owned(), cause })?;
        if !(200..300).contains(&status) {
            return Err(ClusterError {
                call: call.to_owned(),
                cause: Cause::from_response(&self.url(), status, &body),
            });
        }
        // serde's message may quote the content.
        serde_json::from_slice(&body).map_err(|_| {
            ClusterError::other(call, format!("{} returned an invalid response", self.url()))
        })
    }

    async fn within_timeout<T>(
        &self,
        work: impl Future<Output = Result<T, Cause>>,
    ) -> Result<T, Cause> {
        let timeout = self.inner.timeout;
        if timeout.is_zero() {
            return work.await;
        }
        let timed_out = |_| Cause::NoAnswer {
            server: self.url_with_proxy(),
            step: ConnectionStage::Http,
            reason: format!("timed out after {} s", timeout.as_secs_f32()),
        };
        tokio::time::timeout(timeout, work).await.map_err(timed_out)?
    }

    /// Retries once if the connection broke, as an idle one does. Writes are safe to repeat: they
    /// are guarded by `resourceVersion` or idempotent.
    async fn exchange(&self, request: Request<Vec<u8>>) -> Result<(u16, Vec<u8>), Cause> {
        match self.exchange_once(request.clone()).await {
            Err(Cause::NoAnswer { step: ConnectionStage::Http, .. }) => {
                self.exchange_once(request).await
            }
            answer => answer,
        }
    }

    async fn exchange_once(&self, request: Request<Vec<u8>>) -> Result<(u16, Vec<u8>), Cause> {
        let (method, path, started) =
            (request.method().clone(), request.uri().path().to_owned(), Instant::now());
        let answer = async {
            let no_response =
                |error: kube::Error| Cause::from_transport(&self.url_with_proxy(), &error);
            let response =
                self.inner.client.send(request.map(Body::from)).await.map_err(no_response)?;
            let status = response.status().as_u16();
            let body = response.into_body().collect_bytes().await.map_err(no_response)?;
            Ok((status, body.into()))
        };
        let answer: Result<(u16, Vec<u8>), Cause> = answer.await;
        let status = answer.as_ref().ok().map(|(status, _)| *status);
        // With the target of kube's own logs. Without the query, which is long.
        tracing::debug!(target: "kube", %method, path, status, elapsed = ?started.elapsed(), "cluster");
        self.inner.observer.notify(|| request_metrics::ObservedRequest {
            side: Side::Cluster,
            kind: cluster_kind(method.as_str(), &path),
            status,
            duration: started.elapsed(),
        });
        answer
    }
}

pub(in crate::cluster) fn host_and_port(address: &Uri) -> String {
    let default_port = if address.scheme_str() == Some("http") { 80 } else { 443 };
    format!("{}:{}", address.host().unwrap_or_default(), address.port_u16().unwrap_or(default_port))
}
