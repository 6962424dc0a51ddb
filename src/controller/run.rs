//! The controller with its servers and the leader election.

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;
use futures::join;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::event::ControllerEvent;
use super::events::EventRecorder;
use super::log_events::{self, ReviewLog};
use super::metrics::Metrics;
use super::webhook::{Webhook, WebhookEvent};
use super::{Controller, Options, admin_server, leader_election, operator_watch};
use crate::cluster::Cluster;
use crate::domain::deletion_policy::DeletionPolicy;
use crate::domain::names::POD_NAME;
use crate::error::Error;
use crate::ops::ConnectionOptions;
use crate::ops::settings::Settings;
use crate::request_metrics::Observer;

/// On shutdown the webhook answers until API servers have removed the endpoint.
const SHUTDOWN_DRAIN: Duration = Duration::from_secs(10);

/// Configuration of the controller and its servers.
pub(crate) struct Config {
    pub connection: ConnectionOptions,
    pub settings: Settings,
    /// Time between two reconciles of all namespaces.
    pub resync_interval: Duration,
    /// Policy for the organizations of deleted namespaces without an annotation of their own.
    pub deletion_policy: DeletionPolicy,
    /// Use a Lease in the namespace of the connection, or of the context.
    pub leader_elect: bool,
    /// Address of `/healthz`, `/readyz` and `/metrics`.
    pub metrics_bind_address: Option<SocketAddr>,
    /// Address of the build webhook, which needs the directory too.
    pub webhook_bind_address: Option<SocketAddr>,
    /// Directory with `tls.crt` and `tls.key`.
    pub webhook_cert_dir: Option<PathBuf>,
}

/// Runs the controller, its servers and the leader election until SIGTERM.
///
/// # Errors
/// When an address cannot be bound, or the webhook's certificate is invalid.
pub(crate) async fn run(config: Config, cluster: &Cluster) -> Result<(), Error> {
    let ports = Ports::bind(&config).await?;
    let replica = config.leader_elect.then(|| Replica::new(&config.connection, cluster));
    let replica = replica.as_ref();
    let metrics = Arc::new(Metrics::new());
    let request_metrics = Arc::clone(&metrics);
    let observer: Observer = Arc::new(move |request| request_metrics.count_request(request));
    cluster.observe(Arc::clone(&observer));
    let (recorder, recorder_task) = EventRecorder::new(cluster.clone());
    let emit = |event: &ControllerEvent| {
        log_events::log(event);
        metrics.count(event);
        recorder.record(event);
    };
    let options = Options {
        resync_interval: config.resync_interval,
        deletion_policy: config.deletion_policy,
        observer: Some(observer),
        reviews_builds: ports.webhook.is_some(),
    };
    let drain = if ports.webhook.is_some() { SHUTDOWN_DRAIN } else { Duration::ZERO };
    let controller =
        Controller::new(&config.connection, cluster.clone(), config.settings, options, &emit);

    let (elected, operator_absent, is_active) = (
        watch::Sender::new(replica.is_none()),
        watch::Sender::new(false),
        watch::Sender::new(false),
    );
    let elected = Arc::new(elected);
    let stopping = watch::Sender::new(false);
    // Renewals of the Lease and answers of the servers must not wait for a reconcile, so these
    // tasks run on other threads.
    let mut background = JoinSet::new();
    if let Some(replica) = replica.cloned() {
        let (cluster, elected, stopping) =
            (cluster.clone(), Arc::clone(&elected), stopping.subscribe());
        background.spawn(async move { replica.run_election(&cluster, &elected, stopping).await });
    }
    if let Some(listener) = ports.health {
        background.spawn(admin_server::serve(
            listener,
            controller.state(),
            Arc::clone(&metrics),
            stopping.subscribe(),
        ));
    }
    let observe_review = {
        let (metrics, log) = (Arc::clone(&metrics), ReviewLog::default());
        move |event: &WebhookEvent| {
            log.log(event);
            metrics.count_review(event);
        }
    };
    if let Some((listener, certificates)) = ports.webhook.zip(config.webhook_cert_dir.as_deref()) {
        let webhook =
            Webhook::new(certificates, Arc::new(controller.state()), Arc::new(observe_review));
        background.spawn(
            webhook
                .map_err(|problem| Error::new(format!("--webhook-cert-dir: {problem}")))?
                .serve(listener),
        );
    }
    let work = async {
        join!(
            controller.run(is_active.subscribe()),
            recorder_task,
            operator_watch::run(cluster, controller.state(), &operator_absent),
            operator_watch::update_activity(
                elected.subscribe(),
                operator_absent.subscribe(),
                &is_active
            ),
        );
    };
    let shutdown = async {
        shutdown_signal().await;
        tracing::info!("shutting down");
        // The election ends first, then the reconciles.
        stopping.send_replace(true);
        elected.send_replace(false);
        // The sender lives as long as this function.
        let _ = is_active.subscribe().wait_for(|is_active| !*is_active).await;
        join!(
            OptionFuture::from(replica.map(|replica| replica.release_lease(cluster))),
            sleep(drain)
        );
    };
    tokio::select! {
        () = work => {}
        () = shutdown => {}
    }
    Ok(())
}

/// Listeners are bound before any work begins.
struct Ports {
    health: Option<TcpListener>,
    webhook: Option<TcpListener>,
}

impl Ports {
    async fn bind(config: &Config) -> Result<Self, Error> {
        let health = OptionFuture::from(
            config.metrics_bind_address.map(|address| listen("--metrics-bind-address", address)),
        )
        .await
        .transpose()?;
        let webhook =
            config.webhook_bind_address.map(|address| listen("--webhook-bind-address", address));
        Ok(Self { health, webhook: OptionFuture::from(webhook).await.transpose()? })
    }
}

/// # Errors
/// When the address is in use or not local.
async fn listen(flag: &str, address: SocketAddr) -> Result<TcpListener, Error> {
    let bind_error = |error: std::io::Error| {
        Error::new(format!("{flag}: failed to listen on {address}: {error}"))
            .hint("choose another port")
    };
    let listener = TcpListener::bind(address).await.map_err(bind_error)?;
    tracing::info!(flag, address = %listener.local_addr().map_err(bind_error)?, "listening");
    Ok(listener)
}

/// A replica in the leader election.
#[derive(Clone)]
struct Replica {
    /// The namespace of the Lease.
    namespace: String,
    /// The holder identity, unique among the replicas.
    name: String,
}

impl Replica {
    /// In a pod, the name is that of the pod, so that a restarted container renews its Lease.
    fn new(connection: &ConnectionOptions, cluster: &Cluster) -> Self {
        let pod = std::env::var(POD_NAME).ok().filter(|_| cluster.is_in_pod());
        // Containers can share a process ID, and processes a host name.
        let unique_name = || {
            let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "replica".into());
            format!("{host}-{}-{:08x}", std::process::id(), RandomState::new().hash_one(()) >> 32)
        };
        let namespace =
            connection.namespace.clone().unwrap_or_else(|| cluster.namespace().to_owned());
        Self { namespace, name: pod.unwrap_or_else(unique_name) }
    }

    /// Ends on shutdown.
    async fn run_election(
        &self,
        cluster: &Cluster,
        elected: &watch::Sender<bool>,
        mut stopping: watch::Receiver<bool>,
    ) {
        tokio::select! {
            // Shutdown first, so that it never wins an election.
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => {}
            () = leader_election::run(cluster, &self.namespace, &self.name, elected) => {}
        }
    }

    async fn release_lease(&self, cluster: &Cluster) {
        if let Err(error) = leader_election::release(cluster, &self.namespace, &self.name).await {
            tracing::warn!(%error, "failed to release the Lease; other replicas wait for it to expire");
        }
    }
}

/// Waits for SIGTERM.
async fn shutdown_signal() {
    #[cfg(unix)]
    if let Ok(mut signal) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        signal.recv().await;
        return;
    }
    std::future::pending().await
}
