//! Interactive setup: each step shows its state and its plan, and asks for confirmation.

use owo_colors::OwoColorize as _;

use super::step_report::{namespace_previews, step_report};
use super::{equivalent_command, execute, finish, first_namespaces, is_blocked, outcome};
use crate::commands::CommandContext;
use crate::error::{Cancelled, Error, ExitStatus};
use crate::report::{Format, SetupReport, StepReport, StepState};
use crate::setup::{self, NodeTrust, SetupSession, SetupStep};

pub(super) async fn run(
    context: &CommandContext<'_>,
    mut setup: SetupSession,
) -> Result<ExitStatus, Error> {
    setup.is_interactive = true;
    let mut steps = Vec::new();
    for (index, step) in SetupStep::ALL.into_iter().enumerate() {
        headline(context, index + 1, step.title());
        steps.push(run_step(context, &mut setup, step).await?);
    }
    headline(context, SetupStep::ALL.len() + 1, first_namespaces::TITLE);
    first_namespaces::ask(context, &mut setup)?;
    let last = first_namespaces::run(context, &setup, &steps).await?;
    context.ui.status(
        &without_changes(&last.step).with_program_name(context.program).render(&context.style()),
    );
    steps.push(last.step);
    let mut report = SetupReport::new(context.program, "setup", false, false, steps);
    report.namespaces = namespace_previews(&setup);
    report.status = last.status;
    report.command_line = Some(equivalent_command::render(context, &setup));
    if setup.options.node_trust == Some(NodeTrust::Print) {
        report.manifests = Some(crate::report::stream(setup::trust_manifests(&setup).into_iter())?);
    }
    context.ui.status("");
    if context.output != Format::Text {
        return finish(context, &report, context.output);
    }
    // The steps were shown already.
    context.ui.out(&report.render_changes(&context.style()))?;
    Ok(outcome(&report))
}

fn headline(context: &CommandContext<'_>, number: usize, title: &str) {
    let number = format!("{number} of {}", SetupStep::ALL.len() + 1);
    context.ui.status(&format!("\n{} {}", number.dimmed(), title.bold()));
}

/// Repeats a step until it is done or the user cancels.
async fn run_step(
    context: &CommandContext<'_>,
    setup: &mut SetupSession,
    step: SetupStep,
) -> Result<StepReport, Error> {
    // Changes that were confirmed and failed only because of a wrong password.
    let mut agreed = None;
    loop {
        setup.ask(step, context.ui).await?;
        let plan = setup.plan(step);
        let report = step_report(&plan, step).with_program_name(context.program);
        let is_agreed = agreed.take().is_some_and(|agreed| agreed == plan.changes);
        if !is_agreed {
            context.ui.status(&report.render(&context.style()));
        }
        if !is_blocked(&plan) {
            if report.state != StepState::Planned {
                return Ok(report);
            }
            if !is_agreed
                && !context
                    .ui
                    .confirm(&format!("Apply these changes {}?", write_target(setup, step)), true)?
            {
                return Err(Cancelled.into());
            }
            let done = execute(context, setup, step, &plan).await;
            if done.state == StepState::Done {
                let mut news = without_changes(&done).with_program_name(context.program);
                news.facts.retain(|fact| report.facts.iter().all(|known| known.text != fact.text));
                context.ui.status(&news.render(&context.style()));
                return Ok(done);
            }
            let failure = StepReport { facts: vec![], changes: vec![], ..done };
            context.ui.status(&failure.with_program_name(context.program).render(&context.style()));
        }
        if setup.asks_credentials_again() {
            agreed = Some(plan.changes);
        } else if !context.ui.confirm("Try again?", true)? {
            return Err(Cancelled.into());
        }
        setup.reset(step);
        setup.refresh(step).await;
    }
}

/// The server or cluster that a step writes to.
fn write_target(setup: &SetupSession, step: SetupStep) -> String {
    match setup.url() {
        Some(url) if step == SetupStep::Token => format!("in Quay {}", url.host()),
        _ => format!("in the cluster of context {}", setup.cluster.context()),
    }
}

fn without_changes(step: &StepReport) -> StepReport {
    StepReport { changes: vec![], ..step.clone() }
}
