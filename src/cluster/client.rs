//! The connection: which cluster, as whom, and the one door through which every call to it goes.

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

use super::authorization::{Authorization, Authorizer};
use super::error::{Cause, ClusterError};
use super::kubeconfig;
use super::transport;
use crate::domain::integration::ConnectionStage;
use crate::proxy;
use crate::request_metrics::{self, Observer, ObserverSlot, Side, cluster_kind};
use crate::ui::printable_line;

/// Which cluster, as whom, and how hard to try.
#[derive(Clone, Debug)]
pub struct Options {
    /// The kubeconfig; else what `KUBECONFIG` lists, else `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; else its current one.
    pub context: Option<String>,
    /// The cluster; else the context's.
    pub cluster: Option<String>,
    /// The user; else the context's.
    pub user: Option<String>,
    /// Act as this user.
    pub impersonate: Option<String>,
    /// Act as a member of these groups.
    pub impersonate_groups: Vec<String>,
    /// Act as the user with this uid.
    pub impersonate_uid: Option<String>,
    /// How long one call may take in all, retries included; zero for as long as it takes.
    pub timeout: Duration,
    /// How many calls may be under way at once.
    pub concurrency: usize,
}

impl Options {
    /// Whether something was asked for that only a kubeconfig can say.
    pub(super) fn names_kubeconfig(&self) -> bool {
        [&self.context, &self.cluster, &self.user].iter().any(|name| name.is_some())
            || self.kubeconfig.is_some()
    }
}

/// A cluster. Clones share one set of connections.
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
    /// What other clients call the API server, where that is not its address: in the cluster.
    public_server: Option<String>,
    eye: ObserverSlot,
    proxy: Option<Uri>,
}

impl Cluster {
    /// Reads the kubeconfig and makes ready to connect. Sends no request; runs the credential plugin that the
    /// kubeconfig names, if it names one.
    ///
    /// In a pod without a kubeconfig, the pod's service account is used, and the cluster is asked for its public name.
    ///
    /// # Errors
    /// One sentence that names the file or context at fault and, where there is one, the way out.
    pub async fn connect(options: &Options) -> anyhow::Result<Self> {
        Self::of_choice(kubeconfig::choose(options)?, options).await
    }

    pub(super) async fn of_choice(
        choice: kubeconfig::ResolvedContext,
        options: &Options,
    ) -> anyhow::Result<Self> {
        let mut cluster = Self::new(choice, options).await?;
        if cluster.is_in_pod() {
            let public_server = cluster.read_public_server().await?;
            if let Some(inner) = Arc::get_mut(&mut cluster.inner) {
                inner.public_server = public_server;
            }
        }
        Ok(cluster)
    }

    async fn new(choice: kubeconfig::ResolvedContext, options: &Options) -> anyhow::Result<Self> {
        let kubeconfig::ResolvedContext { context, mut config, authorization, identity, is_in_pod } =
            choice;
        config.headers.push((
            header::USER_AGENT,
            HeaderValue::from_static(concat!("oc-quay/", env!("CARGO_PKG_VERSION"))),
        ));
        let namespace = config.default_namespace.clone();
        let (address, proxy) = (config.cluster_url.clone(), config.proxy_url.clone());
        let problem =
            |problem: String| anyhow::anyhow!("context {}: {problem}", printable_line(&context));
        let answer = match &authorization {
            Authorization::Plugin(plugin) => {
                Some(plugin.ask().await.map_err(|error| problem(error.to_string()))?)
            }
            _ => None,
        };
        let identity = identity.or_else(|| answer.as_ref()?.identity.clone());
        let authorizer = Authorizer::new(authorization, answer);
        let client = transport::client(&config, identity.as_ref(), authorizer, options.concurrency)
            .map_err(problem)?;
        let in_flight = Semaphore::new(options.concurrency.max(1));
        let (timeout, public_server, eye) = (options.timeout, None, ObserverSlot::default());
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
            eye,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The context's namespace.
    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// Whether this runs in a pod of the cluster, as the pod's service account.
    pub fn is_in_pod(&self) -> bool {
        self.inner.is_in_pod
    }

    /// The context's name.
    pub fn context(&self) -> &str {
        &self.inner.context
    }

    /// The API server as `host:port`: what tells this cluster from others in marks. In the cluster it is the public name
    /// all the same, so that a bridge and the people who use the commands take each other's marks for their own.
    pub fn server(&self) -> String {
        self.inner.public_server.clone().unwrap_or_else(|| host_and_port(&self.inner.address))
    }

    /// The API server's address as a person would type it.
    pub(super) fn url(&self) -> String {
        format!(
            "{}://{}",
            self.inner.address.scheme_str().unwrap_or("https"),
            host_and_port(&self.inner.address)
        )
    }

    /// Has every request told to an observer, but for watches, which are one that lasts.
    pub fn observe(&self, observer: Observer) {
        self.inner.eye.open(observer);
    }

    /// The same, with the proxy that it is reached by.
    fn way(&self) -> String {
        let by = self
            .inner
            .proxy
            .as_ref()
            .map(|proxy| format!(" by way of proxy {}", proxy::shown(proxy)));
        format!("{}{}", self.url(), by.unwrap_or_default())
    }

    /// Whether a proxy stands before it.
    pub fn is_behind_proxy(&self) -> bool {
        self.inner.proxy.is_some()
    }

    /// For watches, which last: they neither count as calls under way nor end with the timeout.
    pub(super) fn watch_client(&self) -> Client {
        self.inner.client.clone()
    }

    /// Sends a request and reads its answer. `call` says what it is for, to a person.
    ///
    /// The answer is read here and not by kube's `Api`, which logs an answer that it cannot read, and this one may
    /// hold secrets.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        call: &str,
        request: Result<Request<Vec<u8>>, request::Error>,
    ) -> Result<T, ClusterError> {
        let _permit = self.inner.in_flight.acquire().await;
        self.send_now(call, request).await
    }

    /// The same without a place in the line: for what must not come too late, however slowly other calls are answered.
    pub(super) async fn send_now<T: DeserializeOwned>(
        &self,
        call: &str,
        request: Result<Request<Vec<u8>>, request::Error>,
    ) -> Result<T, ClusterError> {
        let request = request.map_err(|_| {
            ClusterError::other(call, "a name in it is not one that an object can have")
        })?;
        let answer = self.within_timeout(self.exchange(request)).await;
        let (status, body) =
            answer.map_err(|cause| ClusterError { call: call.to_owned(), cause })?;
        if !(200..300).contains(&status) {
            return Err(ClusterError {
                call: call.to_owned(),
                cause: Cause::from_response(&self.url(), status, &body),
            });
        }
        // The error's own text may quote what it stumbled over.
        serde_json::from_slice(&body).map_err(|_| {
            ClusterError::other(
                call,
                format!("{} answered with something that cannot be understood", self.url()),
            )
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
        let too_late = |_| Cause::NoAnswer {
            server: self.way(),
            step: ConnectionStage::Http,
            reason: format!("nothing came within {} s", timeout.as_secs_f32()),
        };
        tokio::time::timeout(timeout, work).await.map_err(too_late)?
    }

    /// Asks a second time if the connection broke, as one does that idled for too long. Every write can bear that: it
    /// is guarded by the object's version or does nothing the second time.
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
            let silence = |error: kube::Error| Cause::from_transport(&self.way(), &error);
            let response =
                self.inner.client.send(request.map(Body::from)).await.map_err(silence)?;
            let status = response.status().as_u16();
            let body = response.into_body().collect_bytes().await.map_err(silence)?;
            Ok((status, body.into()))
        };
        let answer: Result<(u16, Vec<u8>), Cause> = answer.await;
        let status = answer.as_ref().ok().map(|(status, _)| *status);
        // Among what kube tells, which is asked for apart. The query is left out: it is long.
        tracing::debug!(target: "kube", %method, path, status, elapsed = ?started.elapsed(), "cluster");
        self.inner.eye.tell(|| request_metrics::ObservedRequest {
            side: Side::Cluster,
            kind: cluster_kind(method.as_str(), &path),
            status,
            took: started.elapsed(),
        });
        answer
    }
}

pub(super) fn host_and_port(address: &Uri) -> String {
    let default_port = if address.scheme_str() == Some("http") { 80 } else { 443 };
    format!("{}:{}", address.host().unwrap_or_default(), address.port_u16().unwrap_or(default_port))
}
