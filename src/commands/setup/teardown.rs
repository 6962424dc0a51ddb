//! `teardown`: removal of the integration from the cluster.

use std::time::Duration;

use super::step_report::named_step_report;
use super::{connection, finish};
use crate::backoff;
use crate::cli::Teardown;
use crate::cluster::{INSTALLER, ObjectKind, Operator};
use crate::commands::CommandContext;
use crate::domain::names::QuayUrl;
use crate::error::{Cancelled, Error, ExitStatus};
use crate::ops;
use crate::ops::settings::Settings;
use crate::report::{Format, SetupReport, StepReport, StepState};
use crate::setup::teardown::{self, TeardownStep};
use crate::setup::{ObjectChange, SetupChange, SetupOptions, SetupSession, SetupStep};

/// A longer deletion of the operator is not an error.
const DELETION_TIMEOUT_SECONDS: u32 = 60;

/// The operator may add finalizers again while the QuayIntegration exists.
const MAX_PASSES: usize = 3;

pub(in crate::commands) async fn run(
    context: &CommandContext<'_>,
    args: &Teardown,
) -> Result<ExitStatus, Error> {
    let settings = Settings::read(&context.connection)?;
    let cluster = ops::connect(&context.connection).await?;
    let url =
        settings.given.url.and_then(|url| QuayUrl::parse(&url.value).ok()).map(|(url, _)| url);
    let mut setup = SetupSession::new(
        cluster,
        SetupOptions::none(url),
        connection(context),
        context.ui.teller(),
    );
    setup.refresh(SetupStep::Cluster).await;
    let planned: Vec<_> = TeardownStep::ALL
        .iter()
        .map(|step| named_step_report(&teardown::plan(&setup, *step), step.name_and_title()))
        .collect();
    let is_blocked = planned.iter().any(|report| report.state == StepState::Failed);
    let report =
        SetupReport::new(context.program, "teardown", args.changing.dry_run, false, planned);
    if args.changing.dry_run || is_blocked {
        finish(context, &report, context.output)?;
        return Ok(if is_blocked { ExitStatus::Failure } else { ExitStatus::Success });
    }
    let mut format = context.output;
    let has_work = report.steps.iter().any(|report| report.state == StepState::Planned);
    if has_work && !args.changing.yes {
        if !context.ui.can_prompt() {
            return Err(Error::new("the changes cannot be confirmed without a terminal")
                .hint("--yes makes them without asking, --dry-run shows them"));
        }
        context.ui.status(&report.render(Format::Text, &context.style())?);
        context.ui.status(&ops::endpoint_lines(&setup.cluster, setup.url().as_ref()));
        if !context.ui.confirm("Remove these resources?", false)? {
            return Err(Cancelled.into());
        }
        if format == Format::Text {
            format = Format::Short;
        }
    }
    let mut steps: Vec<StepReport> = Vec::new();
    for step in TeardownStep::ALL {
        let has_failed = steps.iter().any(|report| report.state == StepState::Failed);
        let planned = named_step_report(&teardown::plan(&setup, step), step.name_and_title());
        steps.push(if has_failed {
            planned.not_reached()
        } else {
            execute_step(context, &mut setup, step, planned).await
        });
    }
    finish(context, &SetupReport::new(context.program, "teardown", false, false, steps), format)
}

fn is_installer(change: &SetupChange) -> bool {
    matches!(change, SetupChange::Object(ObjectChange { kind: ObjectKind::ClusterRoleBinding, name, .. }) if name == INSTALLER)
}

/// Waits for OLM to remove the operator, so that the next command finds no remains.
async fn wait_until_gone(context: &CommandContext<'_>, setup: &mut SetupSession) {
    let waiting = context.ui.waiting("Waiting for the removal of the operator");
    for _ in 0..DELETION_TIMEOUT_SECONDS {
        if !setup.found.operator.as_ref().is_ok_and(Operator::is_installed) {
            return;
        }
        waiting.say("OLM is removing it");
        backoff::sleep(Duration::from_secs(1)).await;
        setup.refresh(SetupStep::Operator).await;
    }
}

/// Applies a step until nothing of it is left.
async fn execute_step(
    context: &CommandContext<'_>,
    setup: &mut SetupSession,
    step: TeardownStep,
    planned: StepReport,
) -> StepReport {
    if planned.state != StepState::Planned {
        return planned;
    }
    let mut report = StepReport { changes: vec![], ..planned };
    for pass in 0..MAX_PASSES {
        let mut plan = teardown::plan(setup, step);
        if pass > 0 {
            // Only finalizers that the operator has added again: other changes were not confirmed.
            plan.changes.retain(|change| matches!(change, SetupChange::ReleaseNamespace { .. }));
        }
        for (change, entry) in
            plan.changes.iter().zip(named_step_report(&plan, step.name_and_title()).changes)
        {
            if is_installer(change) {
                // OLM v1 uses it to remove the operator.
                wait_until_gone(context, setup).await;
            }
            match setup.apply(context.ui, change).await {
                Ok(()) => report.changes.push(entry.done()),
                Err(error) => {
                    report.changes.push(entry.failed(error.messages().join(": ")));
                    return report.failed(&error.messages(), error.hints());
                }
            }
        }
        setup.refresh(step.setup_step()).await;
        if step == TeardownStep::Operator {
            wait_until_gone(context, setup).await;
        }
        let is_finished = teardown::plan(setup, step).changes.is_empty();
        // The operator may still add finalizers; the step Integration removes them.
        if is_finished || step == TeardownStep::Finalizers {
            return StepReport { state: StepState::Done, ..report };
        }
    }
    report.failed(
        &["some objects still exist after their removal".into()],
        &["run the command again".into()],
    )
}
