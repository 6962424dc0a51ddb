//! `run`: the controller in the foreground, or its manifests.

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;
use futures::join;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::changes::finish;
use super::{CommandContext, repair};
use crate::cli::Run;
use crate::cluster::Cluster;
use crate::controller::event::ControllerEvent;
use crate::controller::events::EventRecorder;
use crate::controller::log_events::ReviewLog;
use crate::controller::metrics::Metrics;
use crate::controller::webhook::{Webhook, WebhookEvent};
use crate::controller::{
    Controller, Options, admin_server, leader_election, log_events, operator_watch,
};
use crate::domain::names::POD_NAME;
use crate::error::{Cancelled, Error, ExitStatus};
use crate::ops::settings::Settings;
use crate::report::Format;
use crate::request_metrics::Observer;
use crate::setup::controller_manifests::ControllerManifests;
use crate::{ops, report};

/// On shutdown the webhook answers until API servers have removed the endpoint.
const SHUTDOWN_DRAIN: Duration = Duration::from_secs(10);

pub(super) async fn run(context: &CommandContext<'_>, args: &Run) -> Result<ExitStatus, Error> {
    if args.manifests {
        let controller =
            ControllerManifests::new(context.global.namespace.as_deref(), args.image.as_deref());
        let text = match context.output {
            Format::Text | Format::Yaml => report::stream(controller.manifests())?,
            Format::Json => report::list(controller.manifests())?,
            _ => return Err(Error::new("the manifests are printed with -o yaml or -o json")),
        };
        context.ui.out(&text)?;
        return Ok(ExitStatus::Success);
    }
    let settings = Settings::read(context.global)?;
    let cluster = ops::connect(context.global).await?;
    let must_confirm = context.ui.can_prompt() && !cluster.is_in_pod() && !args.changing.yes;
    if args.changing.dry_run || must_confirm {
        let (place, planned) =
            repair::plan_all(context, &cluster, settings.clone(), args.changing.dry_run).await?;
        if args.changing.dry_run {
            return finish(context, &planned, context.output);
        }
        context.ui.status(&planned.render(Format::Text, &context.style())?);
        context.ui.status(&place);
        if !context.ui.confirm("Apply these changes and keep reconciling until Ctrl-C?", false)? {
            return Err(Cancelled.into());
        }
    }
    let ports = Ports::bind(args).await?;
    let replica = args.leader_elect.then(|| Replica::new(context, &cluster));
    work(context, args, settings, &cluster, replica.as_ref(), ports).await?;
    Ok(ExitStatus::Success)
}

/// Runs the controller, its servers and the leader election until shutdown.
///
/// # Errors
/// When the webhook's certificate is invalid.
async fn work(
    context: &CommandContext<'_>,
    args: &Run,
    settings: Settings,
    cluster: &Cluster,
    replica: Option<&Replica>,
    ports: Ports,
) -> Result<(), Error> {
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
        resync_interval: args.resync_interval,
        deletion_policy: args.deletion_policy,
        observer: Some(observer),
        reviews_builds: ports.webhook.is_some(),
    };
    let drain = if ports.webhook.is_some() { SHUTDOWN_DRAIN } else { Duration::ZERO };
    let controller = Controller::new(context.global, cluster.clone(), settings, options, &emit);

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
    if let Some((listener, certificates)) = ports.webhook.zip(args.webhook_cert_dir.as_deref()) {
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
    async fn bind(args: &Run) -> Result<Self, Error> {
        let health = OptionFuture::from(
            args.metrics_bind_address.map(|address| listen("--metrics-bind-address", address)),
        )
        .await
        .transpose()?;
        let webhook =
            args.webhook_bind_address.map(|address| listen("--webhook-bind-address", address));
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
    fn new(context: &CommandContext<'_>, cluster: &Cluster) -> Self {
        let pod = std::env::var(POD_NAME).ok().filter(|_| cluster.is_in_pod());
        // Containers can share a process ID, and processes a host name.
        let unique_name = || {
            let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "replica".into());
            format!("{host}-{}-{:08x}", std::process::id(), RandomState::new().hash_one(()) >> 32)
        };
        let namespace =
            context.global.namespace.clone().unwrap_or_else(|| cluster.namespace().to_owned());
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
