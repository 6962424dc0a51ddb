//! The last step: linking the first namespaces and checking their status.

use std::time::Duration;

use crate::cli::{ChangeArgs, Link, TargetArgs};
use crate::commands::{CommandContext, link, status};
use crate::domain::finding::Severity;
use crate::domain::names;
use crate::domain::scope::is_built_in;
use crate::error::Error;
use crate::ops;
use crate::ops::settings::Settings;
use crate::report::{ChangeState, NoteReport, StatusReport, StepReport, StepState};
use crate::setup::{self, SetupSession};

pub(super) const TITLE: &str = "First namespaces";

/// Limit of the wait for service accounts of a new namespace.
const LINK_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct FirstNamespaces {
    pub step: StepReport,
    pub status: Option<StatusReport>,
}

/// Asks which namespaces to link, unless given; the default is the current one.
pub(super) fn ask(context: &CommandContext<'_>, setup: &mut SetupSession) -> Result<(), Error> {
    if setup.options.link.is_some() {
        return Ok(());
    }
    let current = setup.cluster.namespace();
    let default = if is_built_in(current) { "" } else { current };
    context.ui.status(&ops::endpoint_lines(&setup.cluster, setup.url().as_ref()));
    let good = |text: &str| {
        setup::split_names(text).iter().try_for_each(|name| names::validate_kubernetes_name(name))
    };
    let answer =
        context.ui.text("Namespaces to link now (such as a,b, or none):", Some(default), &good)?;
    setup.options.link =
        Some(setup::split_names(&answer).into_iter().filter(|name| name != "none").collect());
    Ok(())
}

/// Checks the given namespaces before anything is written.
///
/// # Errors
/// For an invalid, missing or protected namespace.
pub(super) fn check_link_names(setup: &SetupSession) -> Result<(), Error> {
    for name in setup.options.link.iter().flatten() {
        names::validate_kubernetes_name(name)
            .map_err(|problem| Error::new(format!("--link: invalid namespace name: {problem}")))?;
        if is_built_in(name) {
            return Err(Error::new(format!("--link: namespace {name} is protected"))
                .hint(format!("link it after setup: oc quay link -n {name} --force")));
        }
        if setup
            .found
            .namespaces
            .as_ref()
            .is_ok_and(|known| known.iter().all(|(known, _)| known != name))
        {
            return Err(Error::new(format!("--link: namespace {name} not found"))
                .hint("check the name and the context"));
        }
    }
    Ok(())
}

pub(super) fn plan(setup: &SetupSession) -> StepReport {
    match setup.options.link.as_deref() {
        None | Some([]) => report(
            StepState::Skipped,
            Some("no namespaces given (use --link NAMESPACE)".into()),
            vec![],
        ),
        Some(names) => {
            let text = format!(
                "{} would be linked; after setup, oc quay link {} --dry-run shows the changes",
                names.join(", "),
                names.join(" ")
            );
            report(StepState::Planned, None, vec![NoteReport { severity: Severity::Info, text }])
        }
    }
}

/// Links the given namespaces and reads their status. Registry permissions are probed only after
/// changes, since that costs a request for each credential.
pub(super) async fn run(
    context: &CommandContext<'_>,
    setup: &SetupSession,
    before: &[StepReport],
) -> Result<FirstNamespaces, Error> {
    let without_status = |step| Ok(FirstNamespaces { step, status: None });
    if before.iter().any(|step| matches!(step.state, StepState::Failed | StepState::NotReached)) {
        return without_status(plan(setup).not_reached());
    }
    let Some(namespaces) = setup.options.link.clone().filter(|names| !names.is_empty()) else {
        return without_status(plan(setup));
    };
    let target = TargetArgs { namespaces, all_namespaces: false, selector: None };
    let args = Link {
        target,
        service_accounts: vec![],
        adopt: setup.options.adopt,
        force: false,
        wait: LINK_TIMEOUT,
        changing: ChangeArgs { output: context.output, dry_run: false, yes: true },
    };
    let was_set_up = before.iter().all(|step| step.state != StepState::Done);
    // If setup changed nothing, reading the status first costs half as much as linking.
    if was_set_up
        && let Ok(status) =
            status::collect_report(context, &setup.cluster, Settings::none(), &args.target, false)
                .await
        && status.ok
        && status.summary.ok == status.summary.namespaces
    {
        return Ok(FirstNamespaces {
            step: report(StepState::AlreadyDone, None, summary_note(&status)),
            status: Some(status),
        });
    }
    let linked = match link::link(context, &setup.cluster, Settings::none(), &args).await {
        Ok(linked) => linked,
        Err(error) => {
            return without_status(
                report(StepState::Failed, None, vec![]).failed(&error.messages(), error.hints()),
            );
        }
    };
    let is_new = linked.count(ChangeState::Done) > 0 || !was_set_up;
    let status = match status::collect_report(
        context,
        &setup.cluster,
        Settings::none(),
        &args.target,
        is_new,
    )
    .await
    {
        Ok(status) => status,
        Err(error) => {
            let unseen =
                StepReport { changes: linked.changes, ..report(StepState::Failed, None, vec![]) };
            return without_status(unseen.failed(&error.messages(), error.hints()));
        }
    };
    let state = match (linked.ok && status.ok, is_new) {
        (false, _) => StepState::Failed,
        (true, true) => StepState::Done,
        (true, false) => StepState::AlreadyDone,
    };
    let reason = (!linked.ok).then(|| linked.summary_line.clone());
    Ok(FirstNamespaces {
        step: StepReport {
            changes: linked.changes,
            ..report(state, reason, summary_note(&status))
        },
        status: Some(status),
    })
}

/// The summary line with the highest severity.
fn summary_note(status: &StatusReport) -> Vec<NoteReport> {
    let severity = match status.max_severity() {
        Severity::Info => Severity::Ok,
        worst => worst,
    };
    vec![NoteReport { severity, text: status.summary_line.clone() }]
}

fn report(state: StepState, reason: Option<String>, facts: Vec<NoteReport>) -> StepReport {
    StepReport { step: "proof", title: TITLE, state, reason, hints: vec![], facts, changes: vec![] }
}
