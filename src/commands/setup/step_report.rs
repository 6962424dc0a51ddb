//! Conversion of plans to reports.

use crate::domain::scope::Scope;
use crate::printable::printable;
use crate::report::{ChangeEntry, NamespacePreview, NoteReport, StepReport, StepState};
use crate::setup::{self, Blocker, SetupSession, SetupStep, StepPlan};

/// The report of a setup step's plan.
pub(super) fn step_report(plan: &StepPlan, step: SetupStep) -> StepReport {
    named_step_report(plan, (step.name(), step.title()))
}

/// The report of a plan, for a step with this name and title.
pub(super) fn named_step_report(
    plan: &StepPlan,
    (step, title): (&'static str, &'static str),
) -> StepReport {
    let (state, reason, hints) = match &plan.blocker {
        None if plan.changes.is_empty() => (StepState::AlreadyDone, None, vec![]),
        None => (StepState::Planned, None, vec![]),
        Some(Blocker::Skip(why)) => (StepState::Skipped, Some(why.clone()), vec![]),
        Some(Blocker::Blocked { reason, hints }) => {
            (StepState::Failed, Some(reason.clone()), hints.clone())
        }
        Some(Blocker::Needs(needs)) => {
            let needs: Vec<_> =
                needs.iter().map(|need| format!("{}: {}", need.what, need.flags)).collect();
            (StepState::Failed, Some(format!("missing input: {}", needs.join("; "))), vec![])
        }
    };
    let changes = if plan.blocker.is_none() { plan.changes.as_slice() } else { &[] };
    StepReport {
        step,
        title,
        state,
        reason: reason.map(|reason| printable(&reason)),
        hints,
        facts: plan
            .notes
            .iter()
            .map(|note| NoteReport { severity: note.severity, text: printable(&note.text) })
            .collect(),
        changes: changes
            .iter()
            .map(|change| ChangeEntry::planned(change.verb(), change.object(), change.summary()))
            .collect(),
    }
}
/// The scope of each namespace after setup.
pub(super) fn namespace_previews(setup: &SetupSession) -> Vec<NamespacePreview> {
    let preview = |(name, scope): (String, Scope)| NamespacePreview {
        name,
        in_scope: scope.is_in(),
        why: scope.to_string(),
    };
    setup::preview(setup).into_iter().map(preview).collect()
}
