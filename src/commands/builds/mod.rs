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
        assess(context, &cluster, settings, &which, |_, assessment| assessment),
        cluster.shipwright_builds(namespace)
    );
    let (app, all) = assessed?;
    let target = app.settings()?;
    let mut configs = Vec::new();
    // Build webhooks are registered for the whole cluster.
    let of_integration =
        checks::integration(&app.snapshot, None).into_iter().flat_map(|check| check.findings);
    let mut findings: Vec<Finding> = of_integration.filter(is_about_builds).collect();
    let mut images = Vec::new();
    let mut unread = Vec::new();
    // Platform namespaces are only listed when named.
    for assessment in all.iter().filter(|assessment| {
        !matches!(which, NamespaceSelector::All) || assessment.scope != Scope::BuiltIn
    }) {
        require_namespace(&assessment.snapshot.name, &assessment.snapshot.namespace)?;
        let subject = assessment.subject(target);
        let build_configs = assessment.snapshot.build_configs.iter().flatten();
        unread.extend(assessment.snapshot.build_configs.as_ref().err().map(ToString::to_string));
        configs.extend(build_configs.map(|config| BuildConfigReport::new(&subject, config)));
        let checked = assessment.checks.iter().flat_map(|check| &check.findings);
        findings.extend(checked.filter(|finding| is_about_builds(finding)).cloned());
        let builds =
            shipwright.iter().flatten().filter(|build| build.namespace == assessment.snapshot.name);
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
    let (app, (snapshots, rewriters)) = tokio::join!(
        App::open(context.ui, &context.connection, cluster.clone(), settings),
        collect::read_namespaces_and_webhooks(cluster, which, concurrency),
    );
    let app = app?.with_rewriters(rewriters);
    let options = ReadOptions { quay: None, tags: false, probe: false, beyond_scope: true };
    let target = app.settings()?;
    let all = app
        .assess_each(context.ui, target, snapshots?, options, &BTreeMap::new(), |assessment| {
            map(target, assessment)
        })
        .await;
    Ok((app, all))
}
