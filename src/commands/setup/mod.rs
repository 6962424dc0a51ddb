//! `setup`: the steps of `crate::setup`, driven by questions, by a script, or only looked at.

mod equivalent_command;
mod first_namespaces;
mod non_interactive;
mod options;
pub(super) mod teardown;
mod wizard;

use crate::cli;
use crate::commands::CommandContext;
use crate::error::{Error, ExitStatus};
use crate::ops;
use crate::report::{Format, SetupReport, StepReport, StepState};
use crate::setup::{Blocker, Connection, SetupSession, SetupStep, StepPlan};

pub(super) async fn run(
    context: &CommandContext<'_>,
    args: &cli::Setup,
) -> Result<ExitStatus, Error> {
    let is_asked = !args.check && !args.changing.dry_run && !args.changing.yes;
    if is_asked && !context.ui.can_prompt() {
        return Err(Error::new("the set-up cannot ask without a terminal")
            .hint("--yes does it without asking, --dry-run shows what it would do, --check looks what is done")
            .hint("with --yes, give at least --quay-url and --quay-token-file"));
    }
    let (answers, warnings) = options::read(context.global, args)?;
    warnings.iter().for_each(|warning| context.ui.warn(warning));
    let cluster = ops::connect(context.global).await?;
    let mut setup =
        SetupSession::new(cluster, answers, connection(context.global), context.ui.teller());
    setup.discover_all().await;
    if is_asked {
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

fn connection(global: &cli::GlobalArgs) -> Connection {
    Connection { concurrency: usize::from(global.concurrency), timeout: ops::timeout(global) }
}

/// Carries out a step's plan and looks whether it worked. A failure ends the step, not the program: what was done before
/// it stays, and the next run goes on from there.
async fn carry_out(
    context: &CommandContext<'_>,
    setup: &mut SetupSession,
    step: SetupStep,
    plan: &StepPlan,
) -> StepReport {
    let mut report = plan.report(step);
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
            let found = setup.plan(step).report(step);
            StepReport { state: StepState::Done, facts: found.facts, ..report }
        }
    }
}

/// Whether a step cannot be left behind.
fn is_obstacle(plan: &StepPlan) -> bool {
    matches!(plan.obstacle, Some(Blocker::Blocked { .. } | Blocker::Needs(_)))
}

/// Prints the report; how the command ended.
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
