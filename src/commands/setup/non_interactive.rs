//! The set-up without questions: done, planned, or only checked.

use super::{carry_out, equivalent_command, finish, first_namespaces, is_obstacle};
use crate::cli;
use crate::commands::CommandContext;
use crate::error::{Error, ExitStatus};
use crate::report::{Format, SetupReport, StepReport, StepState};
use crate::setup::{self, Blocker, NodeTrust, SetupSession, SetupStep, StepPlan, TokenSource};
use crate::ui::printable;

/// Does all of it.
pub(super) async fn run(
    context: &CommandContext<'_>,
    mut setup: SetupSession,
) -> Result<ExitStatus, Error> {
    first_namespaces::refuse_impossible(&setup)?;
    let plans = plans(&setup);
    refuse_missing(&plans)?;
    refuse_lacking(&setup, &plans)?;
    // What can be known beforehand to fail shall not leave half of it behind.
    if plans.iter().any(|(_, plan)| is_obstacle(plan)) {
        let steps = plans.iter().map(|(step, plan)| {
            let report = plan.report(*step);
            if report.state == StepState::Planned { report.not_reached() } else { report }
        });
        let report = report(context, &setup, false, steps.collect())?;
        finish(context, &report, context.global.output)?;
        return Ok(ExitStatus::Failure);
    }
    let mut steps: Vec<StepReport> = Vec::new();
    for step in SetupStep::ALL {
        let plan = setup.plan(step);
        let has_failed = steps.iter().any(|step| step.state == StepState::Failed);
        steps.push(if has_failed {
            plan.report(step).not_reached()
        } else {
            carry_out(context, &mut setup, step, &plan).await
        });
    }
    let proof = first_namespaces::run(context, &setup, &steps).await?;
    steps.push(proof.step);
    let mut report = report(context, &setup, false, steps)?;
    report.status = proof.status;
    report.command_line = Some(equivalent_command::of(context, &setup));
    finish(context, &report, context.global.output)
}

/// Shows what would be done.
pub(super) fn dry_run(
    context: &CommandContext<'_>,
    mut setup: SetupSession,
    args: &cli::Setup,
) -> Result<ExitStatus, Error> {
    if matches!(setup.plan(SetupStep::Token).obstacle, Some(Blocker::Needs(_))) {
        setup.answers.token = Some(TokenSource::Later);
    }
    if matches!(setup.plan(SetupStep::Secret).obstacle, Some(Blocker::Needs(_))) {
        // What would be done is shown; only who does it has to say it.
        context.ui.warn("the Secret holds another token: without --dry-run, --replace-token is needed to replace it");
        setup.answers.replace_token = Some(true);
    }
    first_namespaces::refuse_impossible(&setup)?;
    let plans = plans(&setup);
    refuse_missing(&plans)?;
    if context.global.output == Format::Yaml {
        refuse_blocked(&plans)?;
        let external = args.integration.external_secret.as_ref();
        let objects = crate::report::stream(setup::manifests(&setup, external).into_iter())?;
        context
            .ui
            .out(&format!("{}{objects}", setup::left_out(&setup, external).unwrap_or_default()))?;
        return Ok(ExitStatus::Success);
    }
    let mut steps: Vec<_> = plans.iter().map(|(step, plan)| plan.report(*step)).collect();
    steps.push(first_namespaces::planned(&setup));
    let report = report(context, &setup, true, steps)?;
    finish(context, &report, context.global.output)?;
    Ok(if report.ok { ExitStatus::Success } else { ExitStatus::Failure })
}

/// Looks whether everything is done. Nodes that do not trust Quay are not, unless somebody says so.
pub(super) fn check(
    context: &CommandContext<'_>,
    mut setup: SetupSession,
) -> Result<ExitStatus, Error> {
    setup.answers.node_trust.get_or_insert(NodeTrust::Apply);
    let setup = &setup;
    let steps = plans(setup).iter().map(|(step, plan)| plan.report(*step)).collect();
    let mut report = SetupReport::new(context.program, "setup", false, true, steps);
    report.namespaces = setup::preview(setup);
    let ended = finish(context, &report, context.global.output)?;
    // Who may not even look has not checked anything.
    let is_blind = setup.found.platform.is_err() || setup.found.integrations.is_err();
    Ok(if is_blind { ExitStatus::Failure } else { ended })
}

pub(super) fn plans(setup: &SetupSession) -> Vec<(SetupStep, StepPlan)> {
    SetupStep::ALL.map(|step| (step, setup.plan(step))).into()
}

fn report(
    context: &CommandContext<'_>,
    setup: &SetupSession,
    dry_run: bool,
    steps: Vec<StepReport>,
) -> Result<SetupReport, Error> {
    let mut report = SetupReport::new(context.program, "setup", dry_run, false, steps);
    report.namespaces = setup::preview(setup);
    if setup.answers.node_trust == Some(NodeTrust::Print) {
        report.manifests = Some(crate::report::stream(setup::trust_manifests(setup).into_iter())?);
    }
    Ok(report)
}

/// Objects that are incomplete are of no use to anybody.
fn refuse_blocked(plans: &[(SetupStep, StepPlan)]) -> Result<(), Error> {
    let blocked = plans.iter().find_map(|(_, plan)| match &plan.obstacle {
        Some(Blocker::Blocked { reason, hints }) => Some((reason, hints)),
        _ => None,
    });
    match blocked {
        Some((reason, hints)) => Err(hints.iter().cloned().fold(Error::new(reason), Error::hint)),
        None => Ok(()),
    }
}

/// Everything that nobody has said, at once, with what was found about it: nobody can answer without.
fn refuse_missing(plans: &[(SetupStep, StepPlan)]) -> Result<(), Error> {
    let open: Vec<_> = plans
        .iter()
        .filter_map(|(_, plan)| match &plan.obstacle {
            Some(Blocker::Needs(needs)) => Some((plan, needs)),
            _ => None,
        })
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    let what: Vec<_> =
        open.iter().flat_map(|(_, needs)| needs.iter()).map(|need| need.what).collect();
    let mut error = Error::new(format!(
        "without a terminal this has to be said beforehand: {}",
        what.join("; ")
    ));
    for (plan, needs) in open {
        error = plan.facts.iter().fold(error, |error, fact| error.hint(printable(&fact.text)));
        error = needs
            .iter()
            .fold(error, |error, need| error.hint(format!("{}: {}", need.what, need.flags)));
    }
    Err(error)
}

/// Refuses to begin what the user may not finish.
fn refuse_lacking(setup: &SetupSession, plans: &[(SetupStep, StepPlan)]) -> Result<(), Error> {
    let Ok(lacking) = setup.found.lacking.as_deref() else { return Ok(()) };
    let writes = plans.iter().any(|(_, plan)| plan.obstacle.is_none() && !plan.changes.is_empty());
    if lacking.is_empty() || !writes {
        return Ok(());
    }
    let rights: Vec<_> = lacking.iter().map(ToString::to_string).collect();
    let user =
        setup.found.platform.as_ref().map(|platform| platform.user.clone()).unwrap_or_default();
    Err(Error::new(format!("{user} may not {}", rights.join(", nor ")))
        .hint(setup::ask_for(setup, lacking, &user)))
}
