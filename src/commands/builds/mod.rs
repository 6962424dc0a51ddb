//! `builds`: BuildConfigs and their last builds, and whether they push to Quay.

mod rewrite;

use std::collections::BTreeMap;

use super::{CommandContext, refuse_missing};
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
        return Err(Error::new(format!("-A of `builds` is for the list: `{name}` has its own"))
            .hint(format!("{} builds {name} -A", context.program)));
    }
    match &args.command {
        None => list(context, args).await,
        Some(BuildsCommand::Rewrite(configs)) => {
            rewrite::run(context, configs, rewrite::Direction::ToQuay).await
        }
        Some(BuildsCommand::Restore(configs)) => {
            rewrite::run(context, configs, rewrite::Direction::Back).await
        }
    }
}

async fn list(context: &CommandContext<'_>, args: &Builds) -> Result<ExitStatus, Error> {
    let global = context.global;
    let settings = Settings::read(global)?;
    let cluster = ops::connect(global).await?;
    let which = which(context, args.all_namespaces, &cluster)?;
    let namespace = match &which {
        NamespaceSelector::Named(names) => names.first().map(String::as_str),
        _ => None,
    };
    let (look, shipwright) = tokio::join!(
        look(context, &cluster, settings, &which, |_, judged| judged),
        cluster.shipwright_builds(namespace)
    );
    let (session, all) = look?;
    let target = session.settings()?;
    let mut configs = Vec::new();
    // Who rewrites builds is a matter of the whole cluster.
    let of_cluster =
        checks::integration(&session.snapshot, None).into_iter().flat_map(|check| check.findings);
    let mut findings: Vec<Finding> = of_cluster.filter(is_about_builds).collect();
    let mut images = Vec::new();
    let mut unread = Vec::new();
    // The platform's own namespaces are listed only where they are named.
    for judged in all
        .iter()
        .filter(|judged| !matches!(which, NamespaceSelector::All) || judged.scope != Scope::BuiltIn)
    {
        refuse_missing(&judged.snapshot.name, &judged.snapshot.namespace)?;
        let subject = judged.subject(target);
        let found = judged.snapshot.build_configs.iter().flatten();
        unread.extend(judged.snapshot.build_configs.as_ref().err().map(ToString::to_string));
        configs.extend(found.map(|config| BuildConfigReport::new(&subject, config)));
        let all = judged.checks.iter().flat_map(|check| &check.findings);
        findings.extend(all.filter(|finding| is_about_builds(finding)).cloned());
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
    context.ui.out(&report.render(global.output, &context.style())?)?;
    Ok(match report.findings.iter().any(|finding| finding.severity == Severity::Error) {
        _ if !report.unread.is_empty() => ExitStatus::Failure,
        true => ExitStatus::Findings,
        false => ExitStatus::Success,
    })
}

/// Whether a finding matters to whoever asks about builds: it is about one, its image, who rewrites it, or the namespace.
fn is_about_builds(finding: &Finding) -> bool {
    let builds = Code::SeveralRewriters..=Code::TagNotImported;
    let namespace = Code::OutOfScope..=Code::CarriesOperatorFinalizer;
    let unread = ["Namespace", "BuildConfig", "Build", "MutatingWebhookConfiguration"]
        .contains(&finding.object.kind);
    let is_about = builds.contains(&finding.code) || namespace.contains(&finding.code);
    is_about
        || finding.code == Code::ControllerDown
        || (finding.code == Code::CouldNotRead && unread)
}

/// Which namespaces are meant.
fn which(
    context: &CommandContext,
    all_namespaces: bool,
    cluster: &Cluster,
) -> Result<NamespaceSelector, Error> {
    let target = cli::TargetArgs { namespaces: vec![], all_namespaces, selector: None };
    NamespaceSelector::of(&target, context.global, cluster)
}

/// What the cluster holds for the namespaces, judged; Quay is not asked. `each` takes what it needs.
async fn look<T>(
    context: &CommandContext<'_>,
    cluster: &Cluster,
    settings: Settings,
    which: &NamespaceSelector,
    each: impl Fn(&QuayConnection, NamespaceAssessment) -> T,
) -> Result<(App, Vec<T>), Error> {
    let concurrency = usize::from(context.global.concurrency);
    let (session, (parts, rewriters)) = tokio::join!(
        App::open(context.ui, context.global, cluster.clone(), settings),
        collect::parts_and_rewriters(cluster, which, concurrency),
    );
    let session = session?.with_rewriters(rewriters);
    let look = ReadOptions { quay: None, tags: false, probe: false, beyond_scope: true };
    let target = session.settings()?;
    let all = session
        .assess_each(context.ui, target, parts?, look, &BTreeMap::new(), |judged| {
            each(target, judged)
        })
        .await;
    Ok((session, all))
}
