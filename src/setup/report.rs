//! Conversion of plans to reports.

use super::{Blocker, SetupStep, StepPlan};
use crate::report::{ChangeEntry, NoteReport, StepReport, StepState};
use crate::ui::printable;

impl StepPlan {
    pub fn report(&self, step: SetupStep) -> StepReport {
        self.report_as((step.name(), step.title()))
    }

    /// The report with another name and title.
    pub fn report_as(&self, (step, title): (&'static str, &'static str)) -> StepReport {
        let (state, reason, hints) = match &self.blocker {
            None if self.changes.is_empty() => (StepState::AlreadyDone, None, vec![]),
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
        let changes = if self.blocker.is_none() { self.changes.as_slice() } else { &[] };
        StepReport {
            step,
            title,
            state,
            reason: reason.map(|reason| printable(&reason)),
            hints,
            facts: self
                .notes
                .iter()
                .map(|note| NoteReport { severity: note.severity, text: printable(&note.text) })
                .collect(),
            changes: changes
                .iter()
                .map(|change| {
                    ChangeEntry::planned(change.verb(), change.object(), change.summary())
                })
                .collect(),
        }
    }
}
