//! Setup without questions, its dry run and its check.

use super::step_report::{namespace_previews, step_report};
use super::{equivalent_command, execute, finish, first_namespaces, is_blocked};
use crate::cli;
use crate::commands::CommandContext;
use crate::error::{Error, ExitStatus};
use crate::printable::printable;
use crate::report::{Format, SetupReport, StepReport, StepState};
use crate::setup::{self, Blocker, NodeTrust, SetupSession, SetupStep, StepPlan, TokenSource};

pub(super) async fn run(
    context: &CommandContext<'_>,
    mut setup: SetupSession,
) -> Result<ExitStatus, Error> {
    first_namespaces::check_link_names(&setup)?;
    let plans = plans(&setup);
    require_inputs(&plans)?;
    require_permissions(&setup, &plans)?;
    // A failure that is known in advance must not leave a partial setup.
    if plans.iter().any(|(_, plan)| is_blocked(plan)) {
        let steps = plans.iter().map(|(step, plan)| {
            let report = step_report(plan, *step);
            if report.state == StepState::Planned { report.not_reached() } else { report }
        });
        let report = report(context, &setup, false, steps.collect())?;
        finish(context, &report, context.output)?;
        return Ok(ExitStatus::Failure);
    }
    let mut steps: Vec<StepReport> = Vec::new();
    for step in SetupStep::ALL {
        let plan = setup.plan(step);
        let has_failed = steps.iter().any(|step| step.state == StepState::Failed);
        steps.push(if has_failed {
            step_report(&plan, step).not_reached()
        } else {
            execute(context, &mut setup, step, &plan).await
        });
    }
    let last = first_namespaces::run(context, &setup, &steps).await?;
    steps.push(last.step);
    let mut report = report(context, &setup, false, steps)?;
    report.status = last.status;
    report.command_line = Some(equivalent_command::render(context, &setup));
    finish(context, &report, context.output)
}

pub(super) fn dry_run(
    context: &CommandContext<'_>,
    mut setup: SetupSession,
    args: &cli::Setup,
) -> Result<ExitStatus, Error> {
    if matches!(setup.plan(SetupStep::Token).blocker, Some(Blocker::Needs(_))) {
        setup.options.token = Some(TokenSource::Later);
    }
    if matches!(setup.plan(SetupStep::Secret).blocker, Some(Blocker::Needs(_))) {
        // A dry run plans the replacement without requiring the flag.
        context
            .ui
            .warn("the Secret holds another token: --replace-token is required to replace it");
        setup.options.replace_token = Some(true);
    }
    first_namespaces::check_link_names(&setup)?;
    let plans = plans(&setup);
    require_inputs(&plans)?;
    if context.output == Format::Yaml {
        require_unblocked(&plans)?;
        let external = args.integration.external_secret.as_ref();
        let objects = crate::report::stream(setup::manifests(&setup, external).into_iter())?;
        context.ui.out(&format!(
            "{}{objects}",
            setup::left_out_comment(&setup, external).unwrap_or_default()
        ))?;
        return Ok(ExitStatus::Success);
    }
    let mut steps: Vec<_> = plans.iter().map(|(step, plan)| step_report(plan, *step)).collect();
    steps.push(first_namespaces::plan(&setup));
    let report = report(context, &setup, true, steps)?;
    finish(context, &report, context.output)?;
    Ok(if report.ok { ExitStatus::Success } else { ExitStatus::Failure })
}

/// Checks all steps. Missing node trust counts, unless `--node-trust` says otherwise.
pub(super) fn check(
    context: &CommandContext<'_>,
    mut setup: SetupSession,
) -> Result<ExitStatus, Error> {
    setup.options.node_trust.get_or_insert(NodeTrust::Apply);
    let setup = &setup;
    let steps = plans(setup).iter().map(|(step, plan)| step_report(plan, *step)).collect();
    let mut report = SetupReport::new(context.program, "setup", false, true, steps);
    report.namespaces = namespace_previews(setup);
    let status = finish(context, &report, context.output)?;
    // Without read permission nothing was checked.
    let is_unchecked = setup.found.platform.is_err() || setup.found.integrations.is_err();
    Ok(if is_unchecked { ExitStatus::Failure } else { status })
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
    report.namespaces = namespace_previews(setup);
    if setup.options.node_trust == Some(NodeTrust::Print) {
        report.manifests = Some(crate::report::stream(setup::trust_manifests(setup).into_iter())?);
    }
    Ok(report)
}

/// Manifests are printed only when they are complete.
fn require_unblocked(plans: &[(SetupStep, StepPlan)]) -> Result<(), Error> {
    let blocked = plans.iter().find_map(|(_, plan)| match &plan.blocker {
        Some(Blocker::Blocked { reason, hints }) => Some((reason, hints)),
        _ => None,
    });
    match blocked {
        Some((reason, hints)) => Err(hints.iter().cloned().fold(Error::new(reason), Error::hint)),
        None => Ok(()),
    }
}

/// Reports all missing inputs at once, with the notes that help to choose them.
fn require_inputs(plans: &[(SetupStep, StepPlan)]) -> Result<(), Error> {
    let open: Vec<_> = plans
        .iter()
        .filter_map(|(_, plan)| match &plan.blocker {
            Some(Blocker::Needs(needs)) => Some((plan, needs)),
            _ => None,
        })
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    let what: Vec<_> =
        open.iter().flat_map(|(_, needs)| needs.iter()).map(|need| need.what).collect();
    let mut error = Error::new(format!("required in non-interactive mode: {}", what.join("; ")));
    for (plan, needs) in open {
        error = plan.notes.iter().fold(error, |error, note| error.hint(printable(&note.text)));
        error = needs
            .iter()
            .fold(error, |error, need| error.hint(format!("{}: {}", need.what, need.flags)));
    }
    Err(error)
}

fn require_permissions(setup: &SetupSession, plans: &[(SetupStep, StepPlan)]) -> Result<(), Error> {
    let Ok(lacking) = setup.found.lacking.as_deref() else { return Ok(()) };
    let writes = plans.iter().any(|(_, plan)| plan.blocker.is_none() && !plan.changes.is_empty());
    if lacking.is_empty() || !writes {
        return Ok(());
    }
    let permissions: Vec<_> = lacking.iter().map(ToString::to_string).collect();
    let user =
        setup.found.platform.as_ref().map(|platform| platform.user.clone()).unwrap_or_default();
    Err(Error::new(format!("{user} is not allowed to {}", permissions.join(", or ")))
        .hint(setup::permission_request(setup, lacking, &user)))
}
