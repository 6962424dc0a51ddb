//! `builds rewrite` and `builds restore`: plan, ask, apply.

use std::collections::{BTreeMap, BTreeSet};

use super::super::changes::{ChangeSet, finish};
use super::super::{CommandContext, refuse_missing};
use super::{look, which};
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
use crate::report::ChangeReport;
use crate::ui::printable_line;

/// Which way the BuildConfigs go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// They push to Quay by themselves.
    ToQuay,
    /// They push where they did before.
    Back,
}

impl Direction {
    fn command(self) -> &'static str {
        match self {
            Direction::ToQuay => "builds rewrite",
            Direction::Back => "builds restore",
        }
    }
}

pub(super) async fn run(
    context: &CommandContext<'_>,
    configs: &BuildConfigs,
    way: Direction,
) -> Result<ExitStatus, Error> {
    let global = context.global;
    let settings = Settings::read(global)?;
    let cluster = ops::connect(global).await?;
    let which = which(context, configs.all_namespaces, &cluster)?;
    let (session, all) = look(context, &cluster, settings, &which, |target, judged| {
        let plan = match way {
            Direction::ToQuay => {
                plan::rewrite_builds(&judged.subject(target), &configs.build_configs)
            }
            Direction::Back => {
                plan::restore_builds(&judged.subject(target), &configs.build_configs)
            }
        };
        (judged, plan)
    })
    .await?;
    let mut set = ChangeSet::new(way.command());
    let mut left = Vec::new();
    for (judged, plan) in all {
        refuse_missing(&judged.snapshot.name, &judged.snapshot.namespace)?;
        validate_names(&judged, &configs.build_configs)?;
        // Of all namespaces, only those that have something to do with Quay are worth a word.
        let BuildsPlan { plan, left: untouched } = plan;
        let is_meant = !matches!(which, NamespaceSelector::All) || judged.scope.is_in();
        if is_meant || way == Direction::Back {
            left.extend(untouched);
            set.add(judged, vec![], plan);
        }
    }
    let report = |dry_run, entries, set: &ChangeSet| {
        let findings = [set.blocked(), left.clone()].concat();
        ChangeReport::new(
            context.invocation,
            session.endpoints(),
            way.command(),
            dry_run,
            entries,
            findings,
        )
    };
    if configs.changing.dry_run {
        return Ok(set.refused_or(finish(
            context,
            &report(true, set.entries(), &set),
            global.output,
        )?));
    }
    let format = set.confirm(context, &session, configs.changing)?;
    let entries = set.apply(context, &session, session.settings()?).await;
    let status = set.refused_or(finish(context, &report(false, entries, &set), format)?);
    if way == Direction::ToQuay && set.len() > 0 {
        context
            .ui
            .status("Nothing imports what such builds push. Once they are complete, this does (with --scheduled for good):");
        for command in imports(context.program, &set, &session.settings()?.integration) {
            context.ui.status(&format!("  {command}"));
        }
    }
    Ok(status)
}

/// What imports the images that rewritten BuildConfigs push: a command for each namespace that they are for. Tags are named,
/// since one that was pushed to OpenShift's own registry is left alone otherwise, and one that is named needs no image stream.
fn imports(program: &str, set: &ChangeSet, integration: &Integration) -> Vec<String> {
    let mut tags: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for change in set.plans.iter().flat_map(|(_, plan)| &plan.changes) {
        let Change::RewriteBuildConfig { former, .. } = change else { continue };
        if let Some(to) = Destination::of_image(&former.image, integration) {
            tags.entry(to.namespace.clone()).or_default().insert(to.name());
        }
    }
    let command = |(namespace, tags): (String, BTreeSet<String>)| {
        let tags: Vec<_> = tags.iter().map(|tag| quoted(&printable_line(tag))).collect();
        format!("{program} import {} -n {namespace}", tags.join(" "))
    };
    tags.into_iter().map(command).collect()
}

/// A name that nothing has is a mistake, which shall not pass for nothing to do.
fn validate_names(judged: &NamespaceAssessment, names: &[String]) -> Result<(), Error> {
    let snapshot = &judged.snapshot;
    let Some(missing) = names.iter().find(|name| snapshot.build_config(name).is_none()) else {
        return Ok(());
    };
    match &snapshot.build_configs {
        Ok(_) => Err(Error::new(format!(
            "there is no BuildConfig {missing} in namespace {}",
            snapshot.name
        ))),
        Err(unread) => Err(Error::new(unread.to_string())),
    }
}
