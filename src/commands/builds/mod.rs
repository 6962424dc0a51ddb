//! `builds`: lists BuildConfigs, their last builds and where they push.

mod rewrite;

use std::collections::BTreeMap;

use super::{CommandContext, require_namespace};
use crate::cli::{self, Builds, BuildsCommand};
use crate::cluster::Cluster;
use crate::domain::checks;
use crate::domain::finding::{Code, Finding, Severity};
use crate::domain::scope::Scope;
use crate::error::{Error, ExitStatus};
use crate::ops::collect::{self, NamespaceAssessment, NamespaceSelector, ReadOptions};
use crate::ops::settings::Settings;
use crate::ops::{self, App, QuayConnection};
use crate::report::{BuildConfigReport, BuildsReport, ShipwrightReport};

pub(super) async fn run(context: &CommandContext<'_>, args: &Builds) -> Result<ExitStatus, Error> {
    if let (true, Some(command)) = (args.all_namespaces, &args.command) {
        let name = command.name();
        return Err(Error::new(format!("-A must follow `builds {name}`"))
            .hint(format!("{} builds {name} -A", context.program)));
    }
    match &args.command {
        None => list(context, args).await,
        Some(BuildsCommand::Rewrite(configs)) => {
            rewrite::run(context, configs, rewrite::Direction::ToQuay).await
        }
        Some(BuildsCommand::Restore(configs)) => {
            rewrite::run(context, configs, rewrite::Direction::ToOriginal).await
        }
    }
}

async fn list(context: &CommandContext<'_>, args: &Builds) -> Result<ExitStatus, Error> {
    let settings = Settings::read(&context.connection)?;
    let cluster = ops::connect(&context.connection).await?;
    let which = select(context, args.all_namespaces, &cluster)?;
    let namespace = match &which {
        NamespaceSelector::Named(names) => names.first().map(String::as_str),
        _ => None,
    };
    let (assessed, shipwright) = tokio::join!(
        assess(context, &cluster, settings, &which, |_, judged| judged),
        cluster.shipwright_builds(namespace)
    );
    let (session, all) = assessed?;
    let target = session.settings()?;
    let mut configs = Vec::new();
    // Build webhooks are registered for the whole cluster.
    let of_integration =
        checks::integration(&session.snapshot, None).into_iter().flat_map(|check| check.findings);
    let mut findings: Vec<Finding> = of_integration.filter(is_about_builds).collect();
    let mut images = Vec::new();
    let mut unread = Vec::new();
    // Platform namespaces are only listed when named.
    for judged in all
        .iter()
        .filter(|judged| !matches!(which, NamespaceSelector::All) || judged.scope != Scope::BuiltIn)
    {
        require_namespace(&judged.snapshot.name, &judged.snapshot.namespace)?;
        let subject = judged.subject(target);
        let build_configs = judged.snapshot.build_configs.iter().flatten();
        unread.extend(judged.snapshot.build_configs.as_ref().err().map(ToString::to_string));
        configs.extend(build_configs.map(|config| BuildConfigReport::new(&subject, config)));
        let checked = judged.checks.iter().flat_map(|check| &check.findings);
        findings.extend(checked.filter(|finding| is_about_builds(finding)).cloned());
        let builds =
            shipwright.iter().flatten().filter(|build| build.namespace == judged.snapshot.name);
        images.extend(builds.map(|build| ShipwrightReport::new(&subject, build)));
    }
    if let Err(unread) = shipwright {
        context.ui.warn(&unread.to_string());
    }
    let report = BuildsReport::new(
        context.invocation,
        &which.to_string(),
        configs,
        images,
        findings,
        unread,
    );
    context.ui.out(&report.render(context.output, &context.style())?)?;
    Ok(match report.findings.iter().any(|finding| finding.severity == Severity::Error) {
        _ if !report.unread.is_empty() => ExitStatus::Failure,
        true => ExitStatus::Findings,
        false => ExitStatus::Success,
    })
}

/// Includes findings on images of builds, build webhooks and the namespace.
fn is_about_builds(finding: &Finding) -> bool {
    let builds = Code::SeveralRewriters..=Code::TagNotImported;
    let namespace = Code::OutOfScope..=Code::CarriesOperatorFinalizer;
    let unread = ["Namespace", "BuildConfig", "Build", "MutatingWebhookConfiguration"]
        .contains(&finding.object.kind);
    let is_relevant = builds.contains(&finding.code) || namespace.contains(&finding.code);
    is_relevant
        || finding.code == Code::ControllerDown
        || (finding.code == Code::CouldNotRead && unread)
}

fn select(
    context: &CommandContext,
    all_namespaces: bool,
    cluster: &Cluster,
) -> Result<NamespaceSelector, Error> {
    let target = cli::TargetArgs { namespaces: vec![], all_namespaces, selector: None };
    super::select_namespaces(context, &target, cluster)
}

/// Assesses the namespaces without any request to Quay, and maps each assessment with `map`.
async fn assess<T>(
    context: &CommandContext<'_>,
    cluster: &Cluster,
    settings: Settings,
    which: &NamespaceSelector,
    map: impl Fn(&QuayConnection, NamespaceAssessment) -> T,
) -> Result<(App, Vec<T>), Error> {
    let concurrency = context.connection.cluster.concurrency;
    let (session, (parts, rewriters)) = tokio::join!(
        App::open(context.ui, &context.connection, cluster.clone(), settings),
        collect::read_namespaces_and_webhooks(cluster, which, concurrency),
    );
    let session = session?.with_rewriters(rewriters);
    let options = ReadOptions { quay: None, tags: false, probe: false, beyond_scope: true };
    let target = session.settings()?;
    let all = session
        .assess_each(context.ui, target, parts?, options, &BTreeMap::new(), |judged| {
            map(target, judged)
        })
        .await;
    Ok((session, all))
}
