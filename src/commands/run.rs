//! `run`: the bridge, in the foreground, or what makes it run in the cluster.

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

/// How long the webhook answers after the end began: so long it may take until no API server asks it any more.
const SHUTDOWN_DRAIN: Duration = Duration::from_secs(10);

pub(super) async fn run(context: &CommandContext<'_>, args: &Run) -> Result<ExitStatus, Error> {
    if args.manifests {
        let bridge =
            ControllerManifests::new(context.global.namespace.as_deref(), args.image.as_deref());
        let text = match context.global.output {
            Format::Text | Format::Yaml => report::stream(bridge.manifests())?,
            Format::Json => report::list(bridge.manifests())?,
            _ => return Err(Error::new("the manifests are printed with -o yaml or -o json")),
        };
        context.ui.out(&text)?;
        return Ok(ExitStatus::Success);
    }
    let settings = Settings::read(context.global)?;
    let cluster = ops::connect(context.global).await?;
    let is_asked = context.ui.can_prompt() && !cluster.is_in_pod() && !args.changing.yes;
    if args.changing.dry_run || is_asked {
        let (place, planned) =
            repair::plan_all(context, &cluster, settings.clone(), args.changing.dry_run).await?;
        if args.changing.dry_run {
            return finish(context, &planned, context.global.output);
        }
        context.ui.status(&planned.render(Format::Text, &context.style())?);
        context.ui.status(&place);
        if !context.ui.confirm("Make these changes, and keep making them until Ctrl-C?", false)? {
            return Err(Cancelled.into());
        }
    }
    let ports = Ports::take(args).await?;
    let replica = args.leader_elect.then(|| Replica::new(context, &cluster));
    work(context, args, settings, &cluster, replica.as_ref(), ports).await?;
    Ok(ExitStatus::Success)
}

/// Runs the bridge and all that goes with it until it is told to end, and ends in order.
///
/// # Errors
/// When the webhook's certificate cannot be used.
async fn work(
    context: &CommandContext<'_>,
    args: &Run,
    settings: Settings,
    cluster: &Cluster,
    replica: Option<&Replica>,
    ports: Ports,
) -> Result<(), Error> {
    let metrics = Arc::new(Metrics::new());
    let counted = Arc::clone(&metrics);
    let observer: Observer = Arc::new(move |request| counted.count_request(request));
    cluster.observe(Arc::clone(&observer));
    let (notebook, notes) = EventRecorder::new(cluster.clone());
    let tell = |event: &ControllerEvent| {
        log_events::log(event);
        metrics.count(event);
        notebook.note(event);
    };
    let options = Options {
        resync_interval: args.resync_interval,
        deletion_policy: args.deletion_policy,
        observer: Some(observer),
        reviews_builds: ports.webhook.is_some(),
    };
    let lasts = if ports.webhook.is_some() { SHUTDOWN_DRAIN } else { Duration::ZERO };
    let engine = Controller::new(context.global, cluster.clone(), settings, options, &tell);

    let (elected, free, leads) = (
        watch::Sender::new(replica.is_none()),
        watch::Sender::new(false),
        watch::Sender::new(false),
    );
    let elected = Arc::new(elected);
    let ending = watch::Sender::new(false);
    // What must not come too late runs beside the work, on other threads, until this is dropped: however long a look at a
    // crowded namespace takes, the Lease is kept and everybody answered.
    let mut beside = JoinSet::new();
    if let Some(replica) = replica.cloned() {
        let (cluster, elected, ending) =
            (cluster.clone(), Arc::clone(&elected), ending.subscribe());
        beside.spawn(async move { replica.run_election(&cluster, &elected, ending).await });
    }
    if let Some(listener) = ports.health {
        beside.spawn(admin_server::serve(
            listener,
            engine.shared(),
            Arc::clone(&metrics),
            ending.subscribe(),
        ));
    }
    let reviewed = {
        let (metrics, log) = (Arc::clone(&metrics), ReviewLog::default());
        move |told: &WebhookEvent| {
            log.log(told);
            metrics.count_review(told);
        }
    };
    if let Some((listener, certificates)) = ports.webhook.zip(args.webhook_cert_dir.as_deref()) {
        let webhook = Webhook::new(certificates, Arc::new(engine.shared()), Arc::new(reviewed));
        beside.spawn(
            webhook
                .map_err(|problem| Error::new(format!("--webhook-cert-dir: {problem}")))?
                .serve(listener),
        );
    }
    let work = async {
        join!(
            engine.run(leads.subscribe()),
            notes,
            operator_watch::run(cluster, engine.shared(), &free),
            operator_watch::both(elected.subscribe(), free.subscribe(), &leads),
        );
    };
    let end = async {
        told_to_end().await;
        tracing::info!("told to end");
        // The election ends with it, and then the work.
        ending.send_replace(true);
        elected.send_replace(false);
        // The sender lives as long as this does.
        let _ = leads.subscribe().wait_for(|leads| !*leads).await;
        join!(
            OptionFuture::from(replica.map(|replica| replica.release_lease(cluster))),
            sleep(lasts)
        );
    };
    tokio::select! {
        () = work => {}
        () = end => {}
    }
    Ok(())
}

/// The addresses that are listened on. They are taken first: who cannot listen does not begin.
struct Ports {
    health: Option<TcpListener>,
    webhook: Option<TcpListener>,
}

impl Ports {
    async fn take(args: &Run) -> Result<Self, Error> {
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

/// Takes an address.
///
/// # Errors
/// When it is taken already, or not this machine's.
async fn listen(flag: &str, address: SocketAddr) -> Result<TcpListener, Error> {
    let refused = |error: std::io::Error| {
        Error::new(format!("{flag}: cannot listen on {address} ({error})"))
            .hint("choose another port")
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    tracing::info!(flag, address = %listener.local_addr().map_err(refused)?, "listening");
    Ok(listener)
}

/// One of several bridges.
#[derive(Clone)]
struct Replica {
    /// Where the Lease is.
    namespace: String,
    /// What tells it from the others.
    name: String,
}

impl Replica {
    /// In a pod, the name is the pod's, which the next container in it takes over; elsewhere the process is part of it.
    fn new(context: &CommandContext<'_>, cluster: &Cluster) -> Self {
        let pod = std::env::var(POD_NAME).ok().filter(|_| cluster.is_in_pod());
        // In a container all processes have the same number, and on one machine all have the same host.
        let unlike_others = || {
            let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "replica".into());
            format!("{host}-{}-{:08x}", std::process::id(), RandomState::new().hash_one(()) >> 32)
        };
        let namespace =
            context.global.namespace.clone().unwrap_or_else(|| cluster.namespace().to_owned());
        Self { namespace, name: pod.unwrap_or_else(unlike_others) }
    }

    /// Takes part in the election until the end begins.
    async fn run_election(
        &self,
        cluster: &Cluster,
        elected: &watch::Sender<bool>,
        mut ending: watch::Receiver<bool>,
    ) {
        tokio::select! {
            // First, so that nobody is elected any more once it began.
            biased;
            _ = ending.wait_for(|ending| *ending) => {}
            () = leader_election::run(cluster, &self.namespace, &self.name, elected) => {}
        }
    }

    /// Lets another one lead.
    async fn release_lease(&self, cluster: &Cluster) {
        if let Err(error) = leader_election::release(cluster, &self.namespace, &self.name).await {
            tracing::warn!(%error, "others have to wait until the Lease runs out");
        }
    }
}

/// Waits until Kubernetes has the pod end.
async fn told_to_end() {
    #[cfg(unix)]
    if let Ok(mut signal) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        signal.recv().await;
        return;
    }
    std::future::pending().await
}
