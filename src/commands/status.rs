//! `status`: snapshot, checks, report.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anstream::adapter::strip_str;
use anyhow::Context as _;
use futures::StreamExt as _;

use super::Context;
use crate::bridge::checks;
use crate::bridge::finding::Level;
use crate::cli::{self, FailOn, Status};
use crate::cluster::Cluster;
use crate::error::{Error, ExitStatus};
use crate::quay::Depth;
use crate::report::{Format, IntegrationReport, NamespaceReport, StatusReport, Style};
use crate::session::gather::{self, Look, Which};
use crate::session::settings::Settings;
use crate::session::{self, Session};

/// Changes in Quay cannot be watched; every look costs it some requests.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

pub(super) async fn run(context: &Context<'_>, args: &Status) -> Result<ExitStatus, Error> {
    if args.watch {
        return watch(context, args).await;
    }
    let settings = Settings::read(context.global)?;
    let cluster = session::connect(context.global).await?;
    let report = look(context, &cluster, settings, &args.target, args.probe).await?;
    match &args.output_file {
        None => context.ui.out(&report.render(context.global.output, &context.style())?)?,
        Some(file) => write(context, &report, file)?,
    }
    Ok(exit_status(&report, args.fail_on))
}

/// Writes the report into a file, and the answer on stderr.
fn write(context: &Context, report: &StatusReport, file: &Path) -> Result<(), Error> {
    let style = Style { width: None, ..context.style() };
    let text = report.render(context.global.output, &style)?;
    let shown = file.display();
    std::fs::write(file, strip_str(&text).to_string()).with_context(|| format!("could not write {shown}"))?;
    context.ui.status(&format!("Wrote {shown}. {}", report.verdict));
    Ok(())
}

/// Looks at the namespaces that are meant; with `probe`, the registry is asked too what their logins may do.
pub(super) async fn look(
    context: &Context<'_>,
    cluster: &Cluster,
    settings: Settings,
    target: &cli::Target,
    probe: bool,
) -> Result<StatusReport, Error> {
    let global = context.global;
    let which = Which::of(target, global, cluster)?;
    let parallel = usize::from(global.parallel);
    let (session, (parts, rewriters), policy, pods) = context
        .ui
        .progress("Reading the cluster", 0)
        .during(async {
            tokio::join!(
                Session::open(context.ui, global, cluster.clone(), settings),
                gather::parts_and_rewriters(cluster, &which, parallel),
                cluster.image_policy(),
                gather::waiting_pods(cluster, &which, parallel),
            )
        })
        .await;
    let session = session?.with_rewriters(rewriters).with_image_policy(policy).with_pods(pods);
    let depth = if which.is_many() { Depth::Lean } else { Depth::Full };
    let look = Look { quay: Some(depth), tags: true, probe, beyond_scope: false };
    let mut namespaces = Vec::new();
    let mut troubles = None;
    if let Some(target) = &session.target {
        namespaces = session
            .judge_each(context.ui, target, parts?, look, &BTreeMap::new(), |judged| {
                let linked = judged.is_to_be_linked(target);
                let why = if judged.is_going() { "it is being deleted".to_owned() } else { judged.scope.to_string() };
                let organization = Some(judged.desired.organization).filter(|_| linked);
                (NamespaceReport::new(judged.snapshot.name, organization, linked, why), judged.checks)
            })
            .await;
        let is_asked = target.has_token && namespaces.iter().any(|(namespace, _)| namespace.linked);
        troubles = is_asked.then(|| target.quay.troubles());
    }
    let integration = IntegrationReport::new(&session.snapshot, &cluster.server(), cluster.context());
    let checks = checks::integration(&session.snapshot, troubles.as_deref());
    Ok(StatusReport::new(context.invocation, &which.to_string(), integration, checks, namespaces))
}

fn exit_status(report: &StatusReport, fail_on: FailOn) -> ExitStatus {
    if report.is_unreadable() {
        return ExitStatus::Failure;
    }
    let limit = match fail_on {
        FailOn::Never => return ExitStatus::Success,
        FailOn::Unknown => Level::Unknown,
        FailOn::Warning => Level::Warning,
        FailOn::Error => Level::Error,
    };
    if report.worst() >= limit { ExitStatus::Findings } else { ExitStatus::Success }
}

/// Shows the report again whenever something changed, until stopped.
async fn watch(context: &Context<'_>, args: &Status) -> Result<ExitStatus, Error> {
    let cluster = session::connect(context.global).await?;
    let which = Which::of(&args.target, context.global, &cluster)?;
    let watched = match &which {
        Which::Named(names) if names.len() == 1 => names[0].clone(),
        _ => return Err(Error::new("--watch looks at one namespace").hint("name it with -n")),
    };
    if context.global.output == Format::Html {
        return Err(Error::new("--watch shows text, not a page").hint("leave out -o html"));
    }
    let mut events = pin!(cluster.watch(&watched));
    let mut shown = String::new();
    loop {
        // Read anew every time: a file may hold another token by now.
        let settings = Settings::read(context.global)?;
        let report = look(context, &cluster, settings, &args.target, args.probe).await?;
        let text = report.render(context.global.output, &context.style())?;
        if text != shown {
            context.ui.redraw(&text)?;
            shown = text;
        }
        // Without events the timer alone goes on.
        let _ = tokio::time::timeout(LOOK_AGAIN, events.next()).await;
    }
}
