//! `status`.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anstream::adapter::strip_str;
use anyhow::Context as _;
use futures::StreamExt as _;

use super::{CommandContext, select_namespaces};
use crate::cli::{self, FailOn, Status};
use crate::cluster::Cluster;
use crate::domain::checks;
use crate::domain::finding::Severity;
use crate::error::{Error, ExitStatus};
use crate::ops::collect::{self, NamespaceSelector, ReadOptions};
use crate::ops::settings::Settings;
use crate::ops::{self, App};
use crate::quay::ReadStrategy;
use crate::report::{IntegrationReport, NamespaceReport, StatusFormat, StatusReport, Style};

/// Quay has no watch API, so that it must be polled.
const WATCH_INTERVAL: Duration = Duration::from_secs(30);

pub(super) async fn run(context: &CommandContext<'_>, args: &Status) -> Result<ExitStatus, Error> {
    if args.watch {
        return watch(context, args).await;
    }
    let settings = Settings::read(&context.connection)?;
    let cluster = ops::connect(&context.connection).await?;
    let report = collect_report(context, &cluster, settings, &args.target, args.probe).await?;
    match &args.output_file {
        None => context.ui.out(&render(&report, args.output, &context.style())?)?,
        Some(file) => write_file(context, &report, args.output, file)?,
    }
    Ok(exit_status(&report, args.fail_on))
}

fn render(report: &StatusReport, format: StatusFormat, style: &Style) -> anyhow::Result<String> {
    match format {
        StatusFormat::Common(format) => report.render(format, style),
        StatusFormat::Html => Ok(report.render_html()),
    }
}

fn write_file(
    context: &CommandContext,
    report: &StatusReport,
    format: StatusFormat,
    file: &Path,
) -> Result<(), Error> {
    let style = Style { width: None, ..context.style() };
    let text = render(report, format, &style)?;
    let path = file.display();
    replace(file, strip_str(&text).to_string().as_bytes())
        .with_context(|| format!("failed to write {path}"))?;
    context.ui.status(&format!("Wrote {path}. {}", report.summary_line));
    Ok(())
}

/// Replaces a file, or a symbolic link, atomically. Writes to other objects, such as `/dev/null` or a pipe.
fn replace(file: &Path, content: &[u8]) -> std::io::Result<()> {
    if std::fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        return std::fs::write(file, content);
    }
    let mut name = file.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{:08x}", RandomState::new().hash_one(()) >> 32));
    let temporary = file.with_file_name(name);
    let mut new = std::fs::File::create_new(&temporary)?;
    let written = new.write_all(content).and_then(|()| std::fs::rename(&temporary, file));
    if written.is_err() {
        // Report the first error.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// With `probe`, the credentials in the secrets are tested against the registry.
pub(super) async fn collect_report(
    context: &CommandContext<'_>,
    cluster: &Cluster,
    settings: Settings,
    target: &cli::TargetArgs,
    probe: bool,
) -> Result<StatusReport, Error> {
    let which = select_namespaces(context, target, cluster)?;
    let settings = settings.for_namespaces(&which);
    let concurrency = context.connection.cluster.concurrency;
    let (app, (snapshots, rewriters), policy, pods) = context
        .ui
        .progress("Reading the cluster", 0)
        .track(async {
            tokio::join!(
                App::open(context.ui, &context.connection, cluster.clone(), settings),
                collect::read_namespaces_and_webhooks(cluster, &which, concurrency),
                cluster.image_policy(),
                collect::waiting_pods(cluster, &which, concurrency),
            )
        })
        .await;
    let app = app?.with_rewriters(rewriters).with_image_policy(policy).with_pods(pods);
    let strategy = if which.is_many() { ReadStrategy::Minimal } else { ReadStrategy::Full };
    let options = ReadOptions { quay: Some(strategy), tags: true, probe, beyond_scope: false };
    let mut namespaces = Vec::new();
    let mut problems = None;
    if let Some(target) = &app.target {
        namespaces = app
            .assess_each(context.ui, target, snapshots?, options, &BTreeMap::new(), |assessment| {
                let linked = assessment.is_to_be_linked(target);
                let why = if assessment.is_terminating() {
                    "it is being deleted".to_owned()
                } else {
                    assessment.scope.to_string()
                };
                let organization = Some(assessment.desired.organization).filter(|_| linked);
                (
                    NamespaceReport::new(assessment.snapshot.name, organization, linked, why),
                    assessment.checks,
                )
            })
            .await;
        let is_used = target.has_token && namespaces.iter().any(|(namespace, _)| namespace.linked);
        problems = is_used.then(|| target.quay.problems());
    }
    let integration = IntegrationReport::new(&app.snapshot, &cluster.server(), cluster.context());
    let checks = checks::integration(&app.snapshot, problems.as_deref());
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
    if report.max_severity() >= limit { ExitStatus::Findings } else { ExitStatus::Success }
}

/// Prints the report after each change, until it is interrupted.
async fn watch(context: &CommandContext<'_>, args: &Status) -> Result<ExitStatus, Error> {
    let cluster = ops::connect(&context.connection).await?;
    let which = select_namespaces(context, &args.target, &cluster)?;
    let watched = match &which {
        NamespaceSelector::Named(names) if names.len() == 1 => names[0].clone(),
        _ => return Err(Error::new("--watch works on one namespace").hint("use -n NAMESPACE")),
    };
    let StatusFormat::Common(format) = args.output else {
        return Err(Error::new("--watch does not support -o html")
            .hint("use --output-file to write the HTML report once"));
    };
    let mut events = pin!(cluster.watch(&watched));
    let mut shown = String::new();
    // Stdin can only be read once.
    let from_stdin = context.connection.quay_token_file.as_deref() == Some(Path::new("-"));
    let first = if from_stdin { Some(Settings::read(&context.connection)?) } else { None };
    loop {
        // Read the token file again: it might have changed.
        let settings = first.clone().map_or_else(|| Settings::read(&context.connection), Ok)?;
        let report = collect_report(context, &cluster, settings, &args.target, args.probe).await?;
        let text = report.render(format, &context.style())?;
        if text != shown {
            context.ui.redraw(&text)?;
            shown = text;
        }
        // Without events, poll.
        let _ = tokio::time::timeout(WATCH_INTERVAL, events.next()).await;
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    #[test]
    fn replaces_symlink_without_changing_its_target() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("report"));
        fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        replace(&link, b"one").unwrap();
        replace(&link, b"two").unwrap();
        assert_eq!(
            (fs::read_to_string(&target).unwrap(), fs::read_to_string(&link).unwrap()),
            ("precious".into(), "two".into())
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        replace(Path::new("/dev/null"), b"gone").unwrap();
    }
}
