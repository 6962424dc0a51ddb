//! `setup`: interactive, non-interactive, as a dry run or as a check.

mod equivalent_command;
mod first_namespaces;
mod non_interactive;
mod options;
mod step_report;
pub(super) mod teardown;
mod wizard;

use crate::cli;
use crate::commands::CommandContext;
use crate::error::{Error, ExitStatus};
use crate::ops;
use crate::report::{Format, SetupReport, StepReport, StepState};
use crate::setup::{Blocker, Connection, SetupSession, SetupStep, StepPlan};
use step_report::step_report;

pub(super) async fn run(
    context: &CommandContext<'_>,
    args: &cli::Setup,
) -> Result<ExitStatus, Error> {
    let is_interactive = !args.check && !args.changing.dry_run && !args.changing.yes;
    if is_interactive && !context.ui.can_prompt() {
        return Err(Error::new("setup requires a terminal; use --yes, --dry-run or --check")
            .hint("with --yes, pass at least --quay-url and --quay-token-file"));
    }
    let (options, warnings) = options::read(&context.connection, args)?;
    warnings.iter().for_each(|warning| context.ui.warn(warning));
    let cluster = ops::connect(&context.connection).await?;
    let mut setup = SetupSession::new(cluster, options, connection(context), context.ui.teller());
    setup.discover_all().await;
    if is_interactive {
        return wizard::run(context, setup).await;
    }
    if args.check {
        return non_interactive::check(context, setup);
    }
    if args.changing.dry_run {
        return non_interactive::dry_run(context, setup, args);
    }
    non_interactive::run(context, setup).await
}

fn connection(context: &CommandContext<'_>) -> Connection {
    Connection {
        concurrency: context.connection.cluster.concurrency,
        timeout: context.connection.quay_timeout(),
    }
}

/// Applies and verifies a step's plan. A failure ends the step; applied changes are kept, and the
/// next run resumes there.
async fn execute(
    context: &CommandContext<'_>,
    setup: &mut SetupSession,
    step: SetupStep,
    plan: &StepPlan,
) -> StepReport {
    let mut report = step_report(plan, step);
    if report.state != StepState::Planned {
        return report;
    }
    let mut failure = None;
    for (change, entry) in plan.changes.iter().zip(&mut report.changes) {
        if failure.is_some() {
            *entry = entry.clone().skipped();
            continue;
        }
        match setup.apply(context.ui, change).await {
            Ok(()) => *entry = entry.clone().done(),
            Err(error) => {
                *entry = entry.clone().failed(error.messages().join(": "));
                failure = Some(error);
            }
        }
    }
    if failure.is_none() {
        failure = setup.verify(step, context.ui).await.err();
    }
    match failure {
        Some(error) => report.failed(&error.messages(), error.hints()),
        None => {
            let found = step_report(&setup.plan(step), step);
            StepReport { state: StepState::Done, facts: found.facts, ..report }
        }
    }
}

fn is_blocked(plan: &StepPlan) -> bool {
    matches!(plan.blocker, Some(Blocker::Blocked { .. } | Blocker::Needs(_)))
}

fn finish(
    context: &CommandContext<'_>,
    report: &SetupReport,
    format: Format,
) -> Result<ExitStatus, Error> {
    context.ui.out(&report.render(format, &context.style())?)?;
    Ok(outcome(report))
}

fn outcome(report: &SetupReport) -> ExitStatus {
    if report.ok { ExitStatus::Success } else { ExitStatus::Findings }
}
