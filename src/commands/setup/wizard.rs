//! The set-up with questions: a step at a time, each with what was found, what is about to be done, and a default.

use owo_colors::OwoColorize as _;

use super::{carry_out, equivalent_command, finish, first_namespaces, is_obstacle, outcome};
use crate::commands::CommandContext;
use crate::error::{Cancelled, Error, ExitStatus};
use crate::report::{Format, SetupReport, StepReport, StepState};
use crate::setup::{self, NodeTrust, SetupSession, SetupStep};

pub(super) async fn run(
    context: &CommandContext<'_>,
    mut setup: SetupSession,
) -> Result<ExitStatus, Error> {
    setup.is_asked = true;
    let mut steps = Vec::new();
    for (place, step) in SetupStep::ALL.into_iter().enumerate() {
        headline(context, place + 1, step.title());
        steps.push(take(context, &mut setup, step).await?);
    }
    headline(context, SetupStep::ALL.len() + 1, first_namespaces::TITLE);
    first_namespaces::ask(context, &mut setup)?;
    let proof = first_namespaces::run(context, &setup, &steps).await?;
    context
        .ui
        .status(&without_changes(&proof.step).addressed(context.program).render(&context.style()));
    steps.push(proof.step);
    let mut report = SetupReport::new(context.program, "setup", false, false, steps);
    report.namespaces = setup::preview(&setup);
    report.status = proof.status;
    report.command_line = Some(equivalent_command::of(context, &setup));
    if setup.answers.node_trust == Some(NodeTrust::Print) {
        report.manifests = Some(crate::report::stream(setup::trust_manifests(&setup).into_iter())?);
    }
    context.ui.status("");
    if context.global.output != Format::Text {
        return finish(context, &report, context.global.output);
    }
    // Who has just seen the steps is only told what was made.
    context.ui.out(&report.made(&context.style()))?;
    Ok(outcome(&report))
}

fn headline(context: &CommandContext<'_>, number: usize, title: &str) {
    let number = format!("{number} of {}", SetupStep::ALL.len() + 1);
    context.ui.status(&format!("\n{} {}", number.dimmed(), title.bold()));
}

/// Goes through one step until it is done or the person leaves.
async fn take(
    context: &CommandContext<'_>,
    setup: &mut SetupSession,
    step: SetupStep,
) -> Result<StepReport, Error> {
    // What was agreed to and failed for a wrong password alone.
    let mut agreed = None;
    loop {
        setup.ask(step, context.ui).await?;
        let plan = setup.plan(step);
        let report = plan.report(step).addressed(context.program);
        let is_agreed = agreed.take().is_some_and(|agreed| agreed == plan.changes);
        if !is_agreed {
            context.ui.status(&report.render(&context.style()));
        }
        if !is_obstacle(&plan) {
            if report.state != StepState::Planned {
                return Ok(report);
            }
            if !is_agreed
                && !context.ui.confirm(&format!("Do this {}?", place(setup, step)), true)?
            {
                return Err(Cancelled.into());
            }
            let done = carry_out(context, setup, step, &plan).await;
            if done.state == StepState::Done {
                let mut news = without_changes(&done).addressed(context.program);
                news.facts.retain(|fact| report.facts.iter().all(|known| known.text != fact.text));
                context.ui.status(&news.render(&context.style()));
                return Ok(done);
            }
            let failure = StepReport { facts: vec![], changes: vec![], ..done };
            context.ui.status(&failure.addressed(context.program).render(&context.style()));
        }
        if setup.asks_login_again() {
            agreed = Some(plan.changes);
        } else if !context.ui.confirm("Try again?", true)? {
            return Err(Cancelled.into());
        }
        setup.forget(step);
        setup.find(step).await;
    }
}

/// Where a step writes. The first step has shown the server of the context.
fn place(setup: &SetupSession, step: SetupStep) -> String {
    match setup.url() {
        Some(url) if step == SetupStep::Token => format!("in Quay {}", url.host()),
        _ => format!("in the cluster of context {}", setup.cluster.context()),
    }
}

/// Without what was shown before it was done, or is shown in the end.
fn without_changes(step: &StepReport) -> StepReport {
    StepReport { changes: vec![], ..step.clone() }
}
