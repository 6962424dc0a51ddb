//! `teardown`: the set-up's way back.

use std::time::Duration;

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

/// So many seconds the operator may take to go; nothing is wrong if it takes longer.
const DELETION_TIMEOUT_SECONDS: u32 = 60;

/// The operator may come back to a namespace while the QuayIntegration is still there. So often it is looked again.
const MAX_PASSES: usize = 3;

pub(in crate::commands) async fn run(
    context: &CommandContext<'_>,
    args: &Teardown,
) -> Result<ExitStatus, Error> {
    let settings = Settings::read(context.global)?;
    let cluster = ops::connect(context.global).await?;
    let url =
        settings.given.url.and_then(|url| QuayUrl::parse(&url.value).ok()).map(|(url, _)| url);
    let mut setup = SetupSession::new(
        cluster,
        SetupOptions::none(url),
        connection(context.global),
        context.ui.teller(),
    );
    setup.find(SetupStep::Cluster).await;
    let planned: Vec<_> = TeardownStep::ALL
        .iter()
        .map(|part| teardown::plan(&setup, *part).report_as(part.names()))
        .collect();
    let is_blocked = planned.iter().any(|step| step.state == StepState::Failed);
    let report =
        SetupReport::new(context.program, "teardown", args.changing.dry_run, false, planned);
    if args.changing.dry_run || is_blocked {
        finish(context, &report, context.global.output)?;
        return Ok(if is_blocked { ExitStatus::Failure } else { ExitStatus::Success });
    }
    let mut format = context.global.output;
    let has_work = report.steps.iter().any(|step| step.state == StepState::Planned);
    if has_work && !args.changing.yes {
        if !context.ui.can_prompt() {
            return Err(Error::new("the changes cannot be confirmed without a terminal")
                .hint("--yes makes them without asking, --dry-run shows them"));
        }
        context.ui.status(&report.render(Format::Text, &context.style())?);
        context.ui.status(&ops::place(&setup.cluster, setup.url().as_ref()));
        if !context.ui.confirm("Take this back?", false)? {
            return Err(Cancelled.into());
        }
        if format == Format::Text {
            format = Format::Short;
        }
    }
    let mut steps: Vec<StepReport> = Vec::new();
    for part in TeardownStep::ALL {
        let has_failed = steps.iter().any(|step| step.state == StepState::Failed);
        let planned = teardown::plan(&setup, part).report_as(part.names());
        steps.push(if has_failed {
            planned.not_reached()
        } else {
            take_back(context, &mut setup, part, planned).await
        });
    }
    finish(context, &SetupReport::new(context.program, "teardown", false, false, steps), format)
}

fn is_installer(change: &SetupChange) -> bool {
    matches!(change, SetupChange::Object(ObjectChange { kind: ObjectKind::ClusterRoleBinding, name, .. }) if name == INSTALLER)
}

/// Waits for OLM to take the operator away, so that what is run next does not meet its remains.
async fn wait_until_gone(context: &CommandContext<'_>, setup: &mut SetupSession) {
    let waiting = context.ui.waiting("Waiting for the operator to go");
    for _ in 0..DELETION_TIMEOUT_SECONDS {
        if !setup.found.operator.as_ref().is_ok_and(Operator::is_installed) {
            return;
        }
        waiting.say("OLM removes it");
        backoff::sleep(Duration::from_secs(1)).await;
        setup.find(SetupStep::Operator).await;
    }
}

/// Takes a part back, and looks again until nothing of it is there.
async fn take_back(
    context: &CommandContext<'_>,
    setup: &mut SetupSession,
    part: TeardownStep,
    planned: StepReport,
) -> StepReport {
    if planned.state != StepState::Planned {
        return planned;
    }
    let mut report = StepReport { changes: vec![], ..planned };
    for sweep in 0..MAX_PASSES {
        let mut plan = teardown::plan(setup, part);
        if sweep > 0 {
            // Nothing that was not shown before, but for finalizers that the operator has put back.
            plan.changes.retain(|change| matches!(change, SetupChange::ReleaseNamespace { .. }));
        }
        for (change, entry) in plan.changes.iter().zip(plan.report_as(part.names()).changes) {
            if is_installer(change) {
                // OLM v1 needs it to take the operator away.
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
        setup.find(part.step()).await;
        if part == TeardownStep::Operator {
            wait_until_gone(context, setup).await;
        }
        let is_finished = teardown::plan(setup, part).changes.is_empty();
        // While the QuayIntegration is there the operator may come back to a namespace: what counts is that it is gone later.
        if is_finished || part == TeardownStep::Finalizers {
            return StepReport { state: StepState::Done, ..report };
        }
    }
    report.failed(
        &["it was done, and there is still something left".into()],
        &["run it again".into()],
    )
}
