//! A plan as it is reported.

use super::{Obstacle, Plan, Step};
use crate::report::{ChangeReportEntry, FactReport, StepReport, StepState};
use crate::ui::printable;

impl Plan {
    /// The step as it is planned.
    pub fn report(&self, step: Step) -> StepReport {
        self.report_as((step.name(), step.title()))
    }

    /// The same under a name in reports and one for people.
    pub fn report_as(&self, (step, title): (&'static str, &'static str)) -> StepReport {
        let (state, reason, hints) = match &self.obstacle {
            None if self.changes.is_empty() => (StepState::AlreadyDone, None, vec![]),
            None => (StepState::Planned, None, vec![]),
            Some(Obstacle::Skip(why)) => (StepState::Skipped, Some(why.clone()), vec![]),
            Some(Obstacle::Blocked { reason, hints }) => (StepState::Failed, Some(reason.clone()), hints.clone()),
            Some(Obstacle::Needs(needs)) => {
                let needs: Vec<_> = needs.iter().map(|need| format!("{}: {}", need.what, need.flags)).collect();
                (StepState::Failed, Some(format!("nobody has said yet: {}", needs.join("; "))), vec![])
            }
        };
        let changes = if self.obstacle.is_none() { self.changes.as_slice() } else { &[] };
        StepReport {
            step,
            title,
            state,
            reason: reason.map(|reason| printable(&reason)),
            hints,
            facts: self.facts.iter().map(|fact| FactReport { level: fact.level, text: printable(&fact.text) }).collect(),
            changes: changes
                .iter()
                .map(|change| ChangeReportEntry::of(change.verb(), change.object(), change.summary()))
                .collect(),
        }
    }
}
