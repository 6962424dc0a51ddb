//! What every command that changes something has in common: show the plan, ask, apply, report.

use std::collections::BTreeSet;

use super::CommandContext;
use crate::cli::ChangeArgs;
use crate::domain::change::{Change, ScopeEdit};
use crate::domain::checks;
use crate::domain::dockerconfig::RegistryScope;
use crate::domain::finding::{Code, Finding, ObjectRef};
use crate::domain::plan::Plan;
use crate::domain::snapshot::WaitingPod;
use crate::error::{Cancelled, Error, ExitStatus};
use crate::ops::apply::{ApplyInput, Outcome};
use crate::ops::collect::NamespaceAssessment;
use crate::ops::{App, QuayConnection, join_concurrently};
use crate::report::{ChangeEntry, ChangeReport, ChangeState, Format};
use crate::ui::Progress;

/// The plans of a command.
pub(super) struct ChangeSet {
    /// Its name.
    pub command: &'static str,
    /// What is edited in the namespace lists, for all namespaces in one write, before anything else.
    pub scope: ScopeEdit,
    /// Why the namespace lists cannot be edited.
    pub scope_obstacle: Option<Finding>,
    /// What stands in the way of changes in Quay.
    pub obstacles: Vec<Finding>,
    /// The namespaces and their plans.
    pub plans: Vec<(NamespaceAssessment, Plan)>,
    /// Why namespaces among several are left out.
    pub left_out: Vec<Finding>,
}

impl ChangeSet {
    /// Without any plan.
    pub(super) fn new(command: &'static str) -> Self {
        Self {
            command,
            scope: ScopeEdit::default(),
            scope_obstacle: None,
            obstacles: vec![],
            plans: vec![],
            left_out: vec![],
        }
    }

    /// Adds a namespace's plan, with the changes that bring it into (or out of) scope in front.
    pub(super) fn add(
        &mut self,
        judged: NamespaceAssessment,
        scope_changes: Vec<Change>,
        mut plan: Plan,
    ) {
        let mut before = Vec::new();
        for change in scope_changes {
            match change {
                Change::EditScope(edit) => self.scope.extend(edit),
                other => before.push(other),
            }
        }
        plan.changes.splice(0..0, before);
        self.plans.push((judged, plan));
    }

    /// The number of changes.
    pub(super) fn len(&self) -> usize {
        usize::from(!self.scope.is_empty())
            + self.plans.iter().map(|(_, plan)| plan.changes.len()).sum::<usize>()
    }

    /// What cannot be done.
    pub(super) fn blocked(&self) -> Vec<Finding> {
        let of_plans = self.plans.iter().flat_map(|(_, plan)| plan.blocked.clone());
        self.obstacles
            .iter()
            .chain(&self.scope_obstacle)
            .chain(&self.left_out)
            .cloned()
            .chain(of_plans)
            .collect()
    }

    /// What cannot be done, and what is worth knowing about what can.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let warnings = self.plans.iter().flat_map(|(_, plan)| plan.warnings.clone());
        self.blocked().into_iter().chain(warnings).collect()
    }

    /// The exit code of a command that was asked for just this: what cannot be done is a refusal, not a finding.
    pub(super) fn refused_or(&self, otherwise: ExitStatus) -> ExitStatus {
        match self.blocked() {
            blocked if blocked.is_empty() => otherwise,
            // The rest is done, or could be.
            blocked if blocked.len() == self.left_out.len() => ExitStatus::Findings,
            _ => ExitStatus::Failure,
        }
    }

    /// The exit code of a command of which a part is not done since something could not be read: that is no refusal.
    pub(super) fn unfinished_or_refused_or(&self, otherwise: ExitStatus) -> ExitStatus {
        let blocked = self.blocked();
        let is_unread = |finding: &Finding| finding.code == Code::CouldNotRead;
        if !blocked.is_empty() && blocked.iter().all(is_unread) {
            ExitStatus::Findings
        } else {
            self.refused_or(otherwise)
        }
    }

    /// Whether an organization is taken over: what it holds shows only afterwards.
    pub(super) fn takes_over(&self) -> bool {
        self.plans.iter().any(|(_, plan)| takes_over(plan))
    }

    /// Whether one was taken over, by what became of the changes.
    pub(super) fn has_taken_over(&self, made: &[ChangeEntry]) -> bool {
        let changes = self.plans.iter().flat_map(|(_, plan)| &plan.changes);
        let made = made.iter().skip(usize::from(!self.scope.is_empty()));
        changes
            .zip(made)
            .any(|(change, entry)| is_takeover(change) && entry.state == ChangeState::Done)
    }

    /// Leaves out what is to be taken over. Once it was tried, it is not tried again.
    pub(super) fn without_takeovers(mut self) -> Self {
        self.plans.retain(|(_, plan)| !takes_over(plan));
        self
    }

    /// The changes as they are planned.
    pub(super) fn entries(&self) -> Vec<ChangeEntry> {
        let scope = (!self.scope.is_empty())
            .then(|| ChangeEntry::new(None, &Change::EditScope(self.scope.clone())));
        let plans = self.plans.iter().flat_map(|(judged, plan)| {
            plan.changes.iter().map(|change| ChangeEntry::new(Some(&judged.snapshot.name), change))
        });
        scope.into_iter().chain(plans).collect()
    }

    /// The report of a plan that was not applied.
    pub(super) fn planned(
        &self,
        context: &CommandContext,
        session: &App,
        dry_run: bool,
    ) -> ChangeReport {
        ChangeReport::new(
            context.invocation,
            session.endpoints(),
            self.command,
            dry_run,
            self.entries(),
            self.findings(),
        )
    }

    /// Shows the plan and asks: see [`confirm`].
    ///
    /// # Errors
    /// As there.
    pub(super) fn confirm(
        &self,
        context: &CommandContext,
        session: &App,
        changing: ChangeArgs,
    ) -> Result<Format, Error> {
        confirm(context, session, changing, &self.planned(context, session, false))
    }

    /// Makes the changes.
    pub(super) async fn apply(
        &self,
        context: &CommandContext<'_>,
        session: &App,
        target: &QuayConnection,
    ) -> Vec<ChangeEntry> {
        let mut entries = self.entries();
        let progress = context.ui.progress("Changing", entries.len());
        let mut outcomes = Vec::with_capacity(entries.len());
        if !self.scope.is_empty() {
            let edited = progress.track(session.cluster.edit_scope(&self.scope)).await;
            progress.tick();
            if let Some(made) = edited.as_ref().ok().filter(|made| !made.is_empty()) {
                // The lists may have been changed since the plan.
                entries[0] = ChangeEntry::new(None, &Change::EditScope(made.clone()));
            }
            outcomes.push(
                edited.map_or_else(|error| Outcome::Failed(error.to_string()), |_| Outcome::Done),
            );
        }
        if outcomes.iter().all(|outcome| *outcome == Outcome::Done) {
            let made = match self.plans.iter().any(|(_, plan)| plan.has_rotation()) {
                true => progress.track(self.apply_in_turn(session, target, &progress)).await,
                false => {
                    let work = self
                        .plans
                        .iter()
                        .map(|(judged, plan)| apply_plan(session, target, judged, plan, &progress));
                    progress.track(join_concurrently(work, session.concurrency)).await
                }
            };
            outcomes.extend(made.into_iter().flatten());
        }
        outcomes.resize(entries.len(), Outcome::Skipped);
        for (entry, outcome) in entries.iter_mut().zip(outcomes) {
            *entry = match outcome {
                Outcome::Done => entry.clone().done(),
                Outcome::Failed(error) => entry.clone().failed(error),
                Outcome::Skipped => entry.clone().skipped(),
            };
        }
        entries
    }

    /// Makes the changes of one namespace after the other, and renews no token after one that may be left without its
    /// secret: whatever fails then, at most one robot account of all namespaces is stranded.
    async fn apply_in_turn(
        &self,
        session: &App,
        target: &QuayConnection,
        progress: &Progress<'_>,
    ) -> Vec<Vec<Outcome>> {
        let mut made = Vec::with_capacity(self.plans.len());
        let mut is_stopped = false;
        for (judged, plan) in &self.plans {
            if is_stopped && plan.has_rotation() {
                made.push(vec![Outcome::Skipped; plan.changes.len()]);
                continue;
            }
            let outcomes = apply_plan(session, target, judged, plan, progress).await;
            let mut ended = plan.changes.iter().zip(&outcomes);
            is_stopped |= ended.any(|(change, end)| {
                change.can_strand_token() && matches!(end, Outcome::Failed(_))
            });
            made.push(outcomes);
        }
        made
    }
}

/// Makes the changes of one namespace.
async fn apply_plan(
    session: &App,
    target: &QuayConnection,
    judged: &NamespaceAssessment,
    plan: &Plan,
    progress: &Progress<'_>,
) -> Vec<Outcome> {
    progress.at(&judged.snapshot.name);
    let work =
        ApplyInput { changes: &plan.changes, snapshot: &judged.snapshot, desired: &judged.desired };
    session.apply(target, &work, |_, _| progress.tick()).await
}

fn takes_over(plan: &Plan) -> bool {
    plan.changes.iter().any(is_takeover)
}

fn is_takeover(change: &Change) -> bool {
    matches!(change, Change::TakeOwnership { .. })
}

/// That the namespaces could not be read again after changes, so that what is left to do is not known.
pub(super) fn not_looked_again(error: &Error) -> Finding {
    let message = format!(
        "The namespaces could not be read again after the changes: {}",
        error.messages().join(": ")
    );
    Finding::new(Code::CouldNotRead, ObjectRef::cluster("Namespace", ""), message)
}

/// Says which pods still wait for an image although their service accounts have a login by now: a pod keeps the pull secrets
/// that it was created with. A namespace that is as new as its pods has none from before.
pub(super) async fn tell_waiting_pods(
    context: &CommandContext<'_>,
    session: &App,
    set: &ChangeSet,
) {
    let edits = |change: &Change| matches!(change, Change::EditServiceAccount { .. });
    let edited = set
        .plans
        .iter()
        .filter(|(judged, plan)| !judged.is_new() && plan.changes.iter().any(edits));
    for (judged, _) in edited {
        let name = &judged.snapshot.name;
        let pods = session.cluster.waiting_pods(Some(name)).await.unwrap_or_default();
        let of_ours = |pod: &&WaitingPod| {
            pod.waits_for.iter().any(|waiting| {
                RegistryScope::of_image(&waiting.image) == Some(judged.desired.place())
            })
        };
        let restart = |pod| checks::restart(pod, name);
        let commands: BTreeSet<_> =
            pods.values().flatten().filter(of_ours).filter_map(restart).collect();
        for command in commands {
            context.ui.status(&format!(
                "Pods from before still wait for images. Run: {}",
                context.invocation.begin(&command)
            ));
        }
    }
}

/// What stands in the way of changes in Quay, after changes of which one failed: Quay is asked why.
pub(super) async fn obstacles_after(
    session: &App,
    target: &QuayConnection,
    made: &[ChangeEntry],
) -> Vec<Finding> {
    if !made.iter().any(|change| change.state == ChangeState::Failed) {
        return vec![];
    }
    tokio::join!(target.quay.diagnose(), target.quay.check_state());
    session.obstacles(target)
}

/// Shows what is planned and asks, unless that was answered beforehand. Gives the format of the report that is to follow:
/// who has just read the plan is only told what became of it.
///
/// # Errors
/// [`Cancelled`] if the answer is no; a failure if nobody can be asked.
pub(super) fn confirm(
    context: &CommandContext,
    session: &App,
    changing: ChangeArgs,
    planned: &ChangeReport,
) -> Result<Format, Error> {
    let format = context.global.output;
    let changes = planned.changes.len();
    if changing.yes || changes == 0 {
        return Ok(format);
    }
    if !context.ui.can_prompt() {
        let what = if changes == 1 { "1 change" } else { "the changes" };
        return Err(Error::new(format!("{what} cannot be confirmed without a terminal"))
            .hint("--yes makes them without asking, --dry-run shows them"));
    }
    context.ui.status(&planned.render(Format::Text, &context.style())?);
    context.ui.status(&session.place());
    if !context.ui.confirm("Make these changes?", false)? {
        return Err(Cancelled.into());
    }
    Ok(if format == Format::Text { Format::Short } else { format })
}

/// Prints the report; whether everything in it went well.
pub(super) fn finish(
    context: &CommandContext,
    report: &ChangeReport,
    format: Format,
) -> Result<ExitStatus, Error> {
    context.ui.out(&report.render(format, &context.style())?)?;
    let failed = report.count(ChangeState::Failed) + report.count(ChangeState::Skipped);
    Ok(if failed > 0 || !report.ok { ExitStatus::Findings } else { ExitStatus::Success })
}
