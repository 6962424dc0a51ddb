//! `builds rewrite` and `builds restore`.

use std::collections::{BTreeMap, BTreeSet};

use super::super::changes::{ChangeSet, finish};
use super::super::{CommandContext, require_namespace};
use super::{assess, select};
use crate::cli::BuildConfigs;
use crate::domain::builds::Destination;
use crate::domain::change::Change;
use crate::domain::integration::Integration;
use crate::domain::plan::{self, BuildsPlan};
use crate::domain::shell_quote::quoted;
use crate::error::{Error, ExitStatus};
use crate::ops;
use crate::ops::collect::{NamespaceAssessment, NamespaceSelector};
use crate::ops::settings::Settings;
use crate::printable::printable_line;
use crate::report::ChangeReport;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// `rewrite`
    ToQuay,
    /// `restore`
    ToOriginal,
}

impl Direction {
    fn command(self) -> &'static str {
        match self {
            Direction::ToQuay => "builds rewrite",
            Direction::ToOriginal => "builds restore",
        }
    }
}

pub(super) async fn run(
    context: &CommandContext<'_>,
    configs: &BuildConfigs,
    direction: Direction,
) -> Result<ExitStatus, Error> {
    let settings = Settings::read(&context.connection)?;
    let cluster = ops::connect(&context.connection).await?;
    let which = select(context, configs.all_namespaces, &cluster)?;
    let (app, all) = assess(context, &cluster, settings, &which, |target, assessment| {
        let plan = match direction {
            Direction::ToQuay => {
                plan::rewrite_builds(&assessment.subject(target), &configs.build_configs)
            }
            Direction::ToOriginal => {
                plan::restore_builds(&assessment.subject(target), &configs.build_configs)
            }
        };
        (assessment, plan)
    })
    .await?;
    let mut set = ChangeSet::new(direction.command());
    let mut unchanged = Vec::new();
    for (assessment, plan) in all {
        require_namespace(&assessment.snapshot.name, &assessment.snapshot.namespace)?;
        validate_names(&assessment, &configs.build_configs)?;
        // With -A, do not report every namespace that is out of scope.
        let BuildsPlan { plan, skipped } = plan;
        let is_reported = !matches!(which, NamespaceSelector::All) || assessment.scope.is_in();
        if is_reported || direction == Direction::ToOriginal {
            unchanged.extend(skipped);
            set.add(assessment, vec![], plan);
        }
    }
    let report = |dry_run, entries, set: &ChangeSet| {
        let findings = [set.blocked(), unchanged.clone()].concat();
        ChangeReport::new(
            context.invocation,
            crate::commands::endpoints(&app),
            direction.command(),
            dry_run,
            entries,
            findings,
        )
    };
    if configs.changing.dry_run {
        return Ok(set.exit_status_or(finish(
            context,
            &report(true, set.entries(), &set),
            context.output,
        )?));
    }
    let format = set.confirm(context, &app, configs.changing)?;
    let entries = set.apply(context, &app, app.settings()?).await;
    let status = set.exit_status_or(finish(context, &report(false, entries, &set), format)?);
    if direction == Direction::ToQuay && set.len() > 0 {
        context
            .ui
            .status("Images of these builds are not imported automatically. After a build, run (with --scheduled for periodic imports):");
        for command in import_commands(context.program, &set, &app.settings()?.integration) {
            context.ui.status(&format!("  {command}"));
        }
    }
    Ok(status)
}

/// One import command per target namespace. It names the tags, since `import` skips unnamed tags from the internal
/// registry, and a named tag does not need an image stream.
fn import_commands(program: &str, set: &ChangeSet, integration: &Integration) -> Vec<String> {
    let mut tags: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for change in set.plans.iter().flat_map(|(_, plan)| &plan.changes) {
        let Change::RewriteBuildConfig { former, .. } = change else { continue };
        if let Some(to) = Destination::from_image(&former.image, integration) {
            tags.entry(to.namespace.clone()).or_default().insert(to.name());
        }
    }
    let command = |(namespace, tags): (String, BTreeSet<String>)| {
        let tags: Vec<_> = tags.iter().map(|tag| quoted(&printable_line(tag))).collect();
        format!("{program} import {} -n {namespace}", tags.join(" "))
    };
    tags.into_iter().map(command).collect()
}

/// Rejects a BuildConfig that does not exist, so that a typo is not reported as nothing to do.
fn validate_names(assessment: &NamespaceAssessment, names: &[String]) -> Result<(), Error> {
    let snapshot = &assessment.snapshot;
    let Some(missing) = names.iter().find(|name| snapshot.build_config(name).is_none()) else {
        return Ok(());
    };
    match &snapshot.build_configs {
        Ok(_) => Err(Error::new(format!(
            "BuildConfig {missing} not found in namespace {}",
            snapshot.name
        ))),
        Err(unread) => Err(Error::new(unread.to_string())),
    }
}
