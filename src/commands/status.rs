//! `status`: snapshot, checks, report.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anstream::adapter::strip_str;
use anyhow::Context as _;
use futures::StreamExt as _;

use super::CommandContext;
use crate::cli::{self, FailOn, Status};
use crate::cluster::Cluster;
use crate::domain::checks;
use crate::domain::finding::Severity;
use crate::error::{Error, ExitStatus};
use crate::ops::collect::{self, NamespaceSelector, ReadOptions};
use crate::ops::settings::Settings;
use crate::ops::{self, App};
use crate::quay::ReadStrategy;
use crate::report::{Format, IntegrationReport, NamespaceReport, StatusReport, Style};

/// Changes in Quay cannot be watched; every look costs it some requests.
const WATCH_INTERVAL: Duration = Duration::from_secs(30);

pub(super) async fn run(context: &CommandContext<'_>, args: &Status) -> Result<ExitStatus, Error> {
    if args.watch {
        return watch(context, args).await;
    }
    let settings = Settings::read(context.global)?;
    let cluster = ops::connect(context.global).await?;
    let report = look(context, &cluster, settings, &args.target, args.probe).await?;
    match &args.output_file {
        None => context.ui.out(&report.render(context.global.output, &context.style())?)?,
        Some(file) => write(context, &report, file)?,
    }
    Ok(exit_status(&report, args.fail_on))
}

/// Writes the report into a file, and the answer on stderr.
fn write(context: &CommandContext, report: &StatusReport, file: &Path) -> Result<(), Error> {
    let style = Style { width: None, ..context.style() };
    let text = report.render(context.global.output, &style)?;
    let shown = file.display();
    replace(file, strip_str(&text).to_string().as_bytes())
        .with_context(|| format!("could not write {shown}"))?;
    context.ui.status(&format!("Wrote {shown}. {}", report.summary_line));
    Ok(())
}

/// Puts a file with this content in the place of one that may be there, all at once: a reader sees the one or the other, and a
/// link there is replaced. What is no file, such as `/dev/null` or a pipe, is written to.
fn replace(file: &Path, content: &[u8]) -> std::io::Result<()> {
    if std::fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        return std::fs::write(file, content);
    }
    let mut name = file.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{:08x}", RandomState::new().hash_one(()) >> 32));
    let beside = file.with_file_name(name);
    let mut new = std::fs::File::create_new(&beside)?;
    let written = new.write_all(content).and_then(|()| std::fs::rename(&beside, file));
    if written.is_err() {
        // It is the failure before that counts.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// Looks at the namespaces that are meant; with `probe`, the registry is asked too what their logins may do.
pub(super) async fn look(
    context: &CommandContext<'_>,
    cluster: &Cluster,
    settings: Settings,
    target: &cli::TargetArgs,
    probe: bool,
) -> Result<StatusReport, Error> {
    let global = context.global;
    let which = NamespaceSelector::of(target, global, cluster)?;
    let settings = settings.for_namespaces(&which);
    let concurrency = usize::from(global.concurrency);
    let (session, (parts, rewriters), policy, pods) = context
        .ui
        .progress("Reading the cluster", 0)
        .track(async {
            tokio::join!(
                App::open(context.ui, global, cluster.clone(), settings),
                collect::parts_and_rewriters(cluster, &which, concurrency),
                cluster.image_policy(),
                collect::waiting_pods(cluster, &which, concurrency),
            )
        })
        .await;
    let session = session?.with_rewriters(rewriters).with_image_policy(policy).with_pods(pods);
    let depth = if which.is_many() { ReadStrategy::Minimal } else { ReadStrategy::Full };
    let look = ReadOptions { quay: Some(depth), tags: true, probe, beyond_scope: false };
    let mut namespaces = Vec::new();
    let mut troubles = None;
    if let Some(target) = &session.target {
        namespaces = session
            .assess_each(context.ui, target, parts?, look, &BTreeMap::new(), |judged| {
                let linked = judged.is_to_be_linked(target);
                let why = if judged.is_terminating() {
                    "it is being deleted".to_owned()
                } else {
                    judged.scope.to_string()
                };
                let organization = Some(judged.desired.organization).filter(|_| linked);
                (
                    NamespaceReport::new(judged.snapshot.name, organization, linked, why),
                    judged.checks,
                )
            })
            .await;
        let is_asked = target.has_token && namespaces.iter().any(|(namespace, _)| namespace.linked);
        troubles = is_asked.then(|| target.quay.troubles());
    }
    let integration =
        IntegrationReport::new(&session.snapshot, &cluster.server(), cluster.context());
    let checks = checks::integration(&session.snapshot, troubles.as_deref());
    Ok(StatusReport::new(context.invocation, &which.to_string(), integration, checks, namespaces))
}

fn exit_status(report: &StatusReport, fail_on: FailOn) -> ExitStatus {
    if report.is_unreadable() {
        return ExitStatus::Failure;
    }
    let limit = match fail_on {
        FailOn::Never => return ExitStatus::Success,
        FailOn::Unknown => Severity::Unknown,
        FailOn::Warning => Severity::Warning,
        FailOn::Error => Severity::Error,
    };
    if report.worst() >= limit { ExitStatus::Findings } else { ExitStatus::Success }
}

/// Shows the report again whenever something changed, until stopped.
async fn watch(context: &CommandContext<'_>, args: &Status) -> Result<ExitStatus, Error> {
    let cluster = ops::connect(context.global).await?;
    let which = NamespaceSelector::of(&args.target, context.global, &cluster)?;
    let watched = match &which {
        NamespaceSelector::Named(names) if names.len() == 1 => names[0].clone(),
        _ => return Err(Error::new("--watch looks at one namespace").hint("name it with -n")),
    };
    if context.global.output == Format::Html {
        return Err(Error::new("--watch shows text, not a page").hint("leave out -o html"));
    }
    let mut events = pin!(cluster.watch(&watched));
    let mut shown = String::new();
    // What comes from stdin comes once.
    let from_stdin = context.global.quay_token_file.as_deref() == Some(Path::new("-"));
    let first = if from_stdin { Some(Settings::read(context.global)?) } else { None };
    loop {
        // Read anew every time: a file may hold another token by now.
        let settings = first.clone().map_or_else(|| Settings::read(context.global), Ok)?;
        let report = look(context, &cluster, settings, &args.target, args.probe).await?;
        let text = report.render(context.global.output, &context.style())?;
        if text != shown {
            context.ui.redraw(&text)?;
            shown = text;
        }
        // Without events the timer alone goes on.
        let _ = tokio::time::timeout(WATCH_INTERVAL, events.next()).await;
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    #[test]
    fn a_report_takes_the_place_of_a_link_and_leaves_its_target_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("report"));
        fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        replace(&link, b"one").unwrap();
        replace(&link, b"two").unwrap();
        assert_eq!(
            (fs::read_to_string(&target).unwrap(), fs::read_to_string(&link).unwrap()),
            ("precious".into(), "two".into())
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        replace(Path::new("/dev/null"), b"gone").unwrap();
    }
}
