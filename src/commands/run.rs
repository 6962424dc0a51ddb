//! `run`: the bridge, in the foreground, or what makes it run in the cluster.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::OptionFuture;
use futures::join;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Context;
use crate::cli::Run;
use crate::cluster::Cluster;
use crate::controller::events::Notebook;
use crate::controller::metrics::Metrics;
use crate::controller::telemetry::Event;
use crate::controller::webhook::{Told, Webhook};
use crate::controller::{Engine, Options, election, health, standby, told};
use crate::error::{Error, ExitStatus};
use crate::observe::Observer;
use crate::session::settings::Settings;
use crate::setup::built_in::BuiltIn;
use crate::{report, session};

pub(super) async fn run(context: &Context<'_>, args: &Run) -> Result<ExitStatus, Error> {
    if args.manifests {
        let bridge = BuiltIn::new(context.global.namespace.as_deref(), args.image.as_deref());
        context.ui.out(&report::stream(bridge.manifests())?)?;
        return Ok(ExitStatus::Success);
    }
    let settings = Settings::read(context.global)?;
    let cluster = session::connect(context.global).await?;
    let ports = Ports::take(args).await?;
    let replica = args.leader_election.then(|| Replica::new(context, &cluster));
    tokio::select! {
        ended = work(context, args, settings, &cluster, replica.as_ref(), ports) => ended?,
        () = told_to_end() => tracing::info!("told to end"),
    }
    if let Some(Replica { namespace, name }) = &replica
        && let Err(error) = election::release(&cluster, namespace, name).await
    {
        tracing::warn!(%error, "others have to wait until the Lease runs out");
    }
    Ok(ExitStatus::Success)
}

/// Runs the bridge and all that goes with it, for ever.
///
/// # Errors
/// When the webhook's certificate cannot be used.
async fn work(
    context: &Context<'_>,
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
    let (notebook, notes) = Notebook::new(cluster.clone());
    let tell = |event: &Event| {
        told::log(event);
        metrics.count(event);
        notebook.note(event);
    };
    let options = Options { full_pass: args.full_pass, on_deletion: args.on_deletion, observer: Some(observer) };
    let engine = Engine::new(context.ui, context.global, cluster.clone(), settings, options, &tell);

    let (elected, free, leads) = (watch::Sender::new(replica.is_none()), watch::Sender::new(false), watch::Sender::new(false));
    let election = replica.map(|replica| election::run(cluster, &replica.namespace, &replica.name, &elected));
    let health = ports.health.map(|listener| health::serve(listener, engine.shared(), Arc::clone(&metrics)));
    let reviewed = {
        let (metrics, notebook) = (Arc::clone(&metrics), notebook.clone());
        move |told: &Told| {
            told::log_review(told);
            metrics.count_review(told);
            notebook.note_review(told);
        }
    };
    let webhook = match ports.webhook.zip(args.webhook_certs.as_deref()) {
        Some((listener, certificates)) => {
            let webhook = Webhook::new(certificates, Arc::new(engine.shared()), Arc::new(reviewed));
            Some(webhook.map_err(|problem| Error::new(format!("--webhook-certs: {problem}")))?.serve(listener))
        }
        None => None,
    };
    join!(
        engine.run(leads.subscribe()),
        notes,
        standby::run(cluster, &free),
        standby::both(elected.subscribe(), free.subscribe(), &leads),
        OptionFuture::from(election),
        OptionFuture::from(health),
        OptionFuture::from(webhook),
    );
    Ok(())
}

/// The addresses that are listened on. They are taken first: who cannot listen does not begin.
struct Ports {
    health: Option<TcpListener>,
    webhook: Option<TcpListener>,
}

impl Ports {
    async fn take(args: &Run) -> Result<Self, Error> {
        let health = OptionFuture::from(args.listen.map(|address| listen("--listen", address))).await.transpose()?;
        let webhook = args.webhook_listen.map(|address| listen("--webhook-listen", address));
        Ok(Self { health, webhook: OptionFuture::from(webhook).await.transpose()? })
    }
}

/// Takes an address.
///
/// # Errors
/// When it is taken already, or not this machine's.
async fn listen(flag: &str, address: SocketAddr) -> Result<TcpListener, Error> {
    let refused =
        |error: std::io::Error| Error::new(format!("{flag}: cannot listen on {address} ({error})")).hint("choose another port");
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    tracing::info!(flag, address = %listener.local_addr().map_err(refused)?, "listening");
    Ok(listener)
}

/// One of several bridges.
struct Replica {
    /// Where the Lease is.
    namespace: String,
    /// What tells it from the others.
    name: String,
}

impl Replica {
    /// In a pod, the name is the pod's, which the next container in it takes over; elsewhere the process is part of it.
    fn new(context: &Context<'_>, cluster: &Cluster) -> Self {
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "replica".into());
        let name = if cluster.is_in_pod() { host } else { format!("{host}-{}", std::process::id()) };
        let namespace = context.global.namespace.clone().unwrap_or_else(|| cluster.namespace().to_owned());
        Self { namespace, name }
    }
}

/// Waits until Kubernetes has the pod end.
async fn told_to_end() {
    #[cfg(unix)]
    if let Ok(mut signal) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        signal.recv().await;
        return;
    }
    std::future::pending().await
}
