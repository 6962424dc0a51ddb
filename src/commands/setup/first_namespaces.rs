//! The last step: the first namespaces are linked, and their status shows whether all of it works.

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

/// Its name for people.
pub(super) const TITLE: &str = "First namespaces";

/// How long is waited for service accounts that are still to appear.
const LINK_TIMEOUT: Duration = Duration::from_secs(30);

/// What came of it.
pub(super) struct FirstNamespaces {
    /// The step.
    pub step: StepReport,
    /// The namespaces' status, where there are any.
    pub status: Option<StatusReport>,
}

/// Asks which namespaces to link, unless that was said. The one that the person works in is offered.
pub(super) fn ask(context: &CommandContext<'_>, setup: &mut SetupSession) -> Result<(), Error> {
    if setup.answers.link.is_some() {
        return Ok(());
    }
    let current = setup.cluster.namespace();
    let default = if is_built_in(current) { "" } else { current };
    context.ui.status(&ops::place(&setup.cluster, setup.url().as_ref()));
    let good =
        |text: &str| setup::names(text).iter().try_for_each(|name| names::kubernetes_name(name));
    let answer =
        context.ui.text("Namespaces to link now (such as a,b, or none):", Some(default), &good)?;
    setup.answers.link =
        Some(setup::names(&answer).into_iter().filter(|name| name != "none").collect());
    Ok(())
}

/// Refuses before anything is written what could not be linked in the end.
///
/// # Errors
/// For a namespace that is not there, or that nobody links by accident.
pub(super) fn refuse_impossible(setup: &SetupSession) -> Result<(), Error> {
    for name in setup.answers.link.iter().flatten() {
        names::kubernetes_name(name).map_err(|problem| {
            Error::new(format!("--link: no namespace can be called that: {problem}"))
        })?;
        if is_built_in(name) {
            return Err(Error::new(format!("--link: namespace {name} is excluded by its name"))
                .hint(format!("link it afterwards: oc quay link -n {name} --force")));
        }
        if setup
            .found
            .namespaces
            .as_ref()
            .is_ok_and(|known| known.iter().all(|(known, _)| known != name))
        {
            return Err(Error::new(format!("--link: there is no namespace {name}"))
                .hint("check the name and the context"));
        }
    }
    Ok(())
}

/// The step before anything is done.
pub(super) fn planned(setup: &SetupSession) -> StepReport {
    match setup.answers.link.as_deref() {
        None | Some([]) => report(
            StepState::Skipped,
            Some("no namespaces were named: --link NAMESPACE".into()),
            vec![],
        ),
        Some(names) => {
            let text = format!(
                "{} would be linked: oc quay link {} --dry-run shows how, once the rest is done",
                names.join(", "),
                names.join(" ")
            );
            report(StepState::Planned, None, vec![NoteReport { severity: Severity::Info, text }])
        }
    }
}

/// Links the namespaces that were named and looks at them. The registry is asked too what the new logins may do, but
/// only if something is new: it costs Quay a request for each of them.
pub(super) async fn run(
    context: &CommandContext<'_>,
    setup: &SetupSession,
    before: &[StepReport],
) -> Result<FirstNamespaces, Error> {
    let without_status = |step| Ok(FirstNamespaces { step, status: None });
    if before.iter().any(|step| matches!(step.state, StepState::Failed | StepState::NotReached)) {
        return without_status(planned(setup).not_reached());
    }
    let Some(namespaces) = setup.answers.link.clone().filter(|names| !names.is_empty()) else {
        return without_status(planned(setup));
    };
    let target = TargetArgs { namespaces, all_namespaces: false, selector: None };
    let args = Link {
        target,
        service_accounts: vec![],
        adopt: setup.answers.adopt,
        force: false,
        wait: LINK_TIMEOUT,
        changing: ChangeArgs { dry_run: false, yes: true },
    };
    let was_set_up = before.iter().all(|step| step.state != StepState::Done);
    // Where nothing was left to do before, that may be so here too; a look tells at half the cost.
    if was_set_up
        && let Ok(status) =
            status::look(context, &setup.cluster, Settings::none(), &args.target, false).await
        && status.ok
        && status.summary.ok == status.summary.namespaces
    {
        return Ok(FirstNamespaces {
            step: report(StepState::AlreadyDone, None, answer(&status)),
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
    let status = match status::look(context, &setup.cluster, Settings::none(), &args.target, is_new)
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
        step: StepReport { changes: linked.changes, ..report(state, reason, answer(&status)) },
        status: Some(status),
    })
}

/// The last line of a status, with the severity of the worst that was found.
fn answer(status: &StatusReport) -> Vec<NoteReport> {
    let severity = match status.worst() {
        Severity::Info => Severity::Ok,
        worst => worst,
    };
    vec![NoteReport { severity, text: status.summary_line.clone() }]
}

fn report(state: StepState, reason: Option<String>, facts: Vec<NoteReport>) -> StepReport {
    StepReport { step: "proof", title: TITLE, state, reason, hints: vec![], facts, changes: vec![] }
}
