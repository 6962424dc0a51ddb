//! `teardown`: the set-up's way back.

use super::{connection, finish};
use crate::bridge::names::QuayUrl;
use crate::cli::Teardown;
use crate::commands::settings::Settings;
use crate::commands::{Context, session};
use crate::error::{Error, ExitStatus, Stopped};
use crate::report::{Format, SetupReport, StepReport, StepState};
use crate::setup::{Answers, Setup, Step, teardown};

/// The operator may come back to a namespace while the QuayIntegration is still there. So often it is looked again.
const SWEEPS: usize = 3;

pub(in crate::commands) async fn run(context: &Context<'_>, args: &Teardown) -> Result<ExitStatus, Error> {
    let settings = Settings::read(context.global)?;
    let cluster = session::connect(context.global).await?;
    let url = settings.given.url.and_then(|url| QuayUrl::parse(&url.value).ok()).map(|(url, _)| url);
    let mut setup = Setup::new(cluster, Answers::none(url), connection(context.global));
    setup.find(Step::Cluster).await;
    let plans = teardown::ORDER.map(|step| (step, teardown::plan(&setup, step)));
    let planned: Vec<_> = plans.iter().map(|(step, plan)| plan.report(*step)).collect();
    let is_blocked = planned.iter().any(|step| step.state == StepState::Failed);
    let report = SetupReport::new(context.program, "teardown", args.changing.dry_run, false, planned);
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
        context.ui.status(&report.render(Format::Human, &context.style())?);
        if !context.ui.confirm("Take this back?", false)? {
            return Err(Stopped.into());
        }
        if format == Format::Human {
            format = Format::Short;
        }
    }
    let mut steps: Vec<StepReport> = Vec::new();
    for step in teardown::ORDER {
        let has_failed = steps.iter().any(|step| step.state == StepState::Failed);
        let plan = teardown::plan(&setup, step);
        let report = if has_failed { plan.report(step).not_reached() } else { take_back(context, &mut setup, step).await };
        steps.push(report);
    }
    finish(context, &SetupReport::new(context.program, "teardown", false, false, steps), format)
}

/// Takes back what a step has left, and looks again until nothing of it is there.
async fn take_back(context: &Context<'_>, setup: &mut Setup, step: Step) -> StepReport {
    let mut plan = teardown::plan(setup, step);
    let mut report = plan.report(step);
    if report.state != StepState::Planned {
        return report;
    }
    report.changes.clear();
    for _ in 0..SWEEPS {
        for (change, entry) in plan.changes.iter().zip(plan.report(step).changes) {
            match setup.apply(context.ui, change).await {
                Ok(()) => report.changes.push(entry.done()),
                Err(error) => {
                    report.changes.push(entry.failed(error.messages().join(": ")));
                    return report.failed(&error.messages(), error.hints());
                }
            }
        }
        setup.find(step).await;
        plan = teardown::plan(setup, step);
        if plan.changes.is_empty() {
            return StepReport { state: StepState::Done, ..report };
        }
    }
    let left: Vec<_> = plan.changes.iter().map(crate::setup::Change::summary).collect();
    report.failed(&[format!("it was done and is still to be done: {}", left.join("; "))], &["run it again".into()])
}
