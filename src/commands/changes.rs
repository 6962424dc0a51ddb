//! Shared by commands that make changes: show the plan, confirm, apply, report.

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

pub(super) struct ChangeSet {
    pub command: &'static str,
    /// The edit of the namespace lists, for all namespaces in one write before all other changes.
    pub scope: ScopeEdit,
    pub scope_obstacle: Option<Finding>,
    /// Findings that prevent changes in Quay.
    pub obstacles: Vec<Finding>,
    pub plans: Vec<(NamespaceAssessment, Plan)>,
    /// Why some of several namespaces were skipped.
    pub left_out: Vec<Finding>,
}

impl ChangeSet {
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

    /// Adds a namespace's plan; `scope_changes` come first.
    pub(super) fn add(
        &mut self,
        assessment: NamespaceAssessment,
        scope_changes: Vec<Change>,
        mut plan: Plan,
    ) {
        let mut first = Vec::new();
        for change in scope_changes {
            match change {
                Change::EditScope(edit) => self.scope.extend(edit),
                other => first.push(other),
            }
        }
        plan.changes.splice(0..0, first);
        self.plans.push((assessment, plan));
    }

    pub(super) fn len(&self) -> usize {
        usize::from(!self.scope.is_empty())
            + self.plans.iter().map(|(_, plan)| plan.changes.len()).sum::<usize>()
    }

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

    /// [`Self::blocked`] and the warnings of the plans.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let warnings = self.plans.iter().flat_map(|(_, plan)| plan.warnings.clone());
        self.blocked().into_iter().chain(warnings).collect()
    }

    /// The exit code of a command whose blocked changes are a failure, not findings.
    pub(super) fn exit_status_or(&self, otherwise: ExitStatus) -> ExitStatus {
        match self.blocked() {
            blocked if blocked.is_empty() => otherwise,
            // The other namespaces were changed.
            blocked if blocked.len() == self.left_out.len() => ExitStatus::Findings,
            _ => ExitStatus::Failure,
        }
    }

    /// As [`Self::exit_status_or`], but changes blocked only by read errors are findings.
    pub(super) fn exit_status_unless_unread(&self, otherwise: ExitStatus) -> ExitStatus {
        let blocked = self.blocked();
        let is_unread = |finding: &Finding| finding.code == Code::CouldNotRead;
        if !blocked.is_empty() && blocked.iter().all(is_unread) {
            ExitStatus::Findings
        } else {
            self.exit_status_or(otherwise)
        }
    }

    /// Whether an organization is to be adopted; its content is only readable afterwards.
    pub(super) fn has_takeover(&self) -> bool {
        self.plans.iter().any(|(_, plan)| has_takeover(plan))
    }

    /// Whether an organization was adopted. `made` are the results of [`Self::apply`].
    pub(super) fn has_taken_over(&self, made: &[ChangeEntry]) -> bool {
        let changes = self.plans.iter().flat_map(|(_, plan)| &plan.changes);
        let made = made.iter().skip(usize::from(!self.scope.is_empty()));
        changes
            .zip(made)
            .any(|(change, entry)| is_takeover(change) && entry.state == ChangeState::Done)
    }

    /// Without plans that adopt an organization, which are only tried once.
    pub(super) fn without_takeovers(mut self) -> Self {
        self.plans.retain(|(_, plan)| !has_takeover(plan));
        self
    }

    pub(super) fn entries(&self) -> Vec<ChangeEntry> {
        let scope = (!self.scope.is_empty())
            .then(|| ChangeEntry::new(None, &Change::EditScope(self.scope.clone())));
        let plans = self.plans.iter().flat_map(|(assessment, plan)| {
            plan.changes
                .iter()
                .map(|change| ChangeEntry::new(Some(&assessment.snapshot.name), change))
        });
        scope.into_iter().chain(plans).collect()
    }

    pub(super) fn planned(
        &self,
        context: &CommandContext,
        app: &App,
        dry_run: bool,
    ) -> ChangeReport {
        ChangeReport::new(
            context.invocation,
            super::endpoints(app),
            self.command,
            dry_run,
            self.entries(),
            self.findings(),
        )
    }

    pub(super) fn confirm(
        &self,
        context: &CommandContext,
        app: &App,
        changing: ChangeArgs,
    ) -> Result<Format, Error> {
        confirm(context, app, changing, &self.planned(context, app, false))
    }

    pub(super) async fn apply(
        &self,
        context: &CommandContext<'_>,
        app: &App,
        target: &QuayConnection,
    ) -> Vec<ChangeEntry> {
        let mut entries = self.entries();
        let progress = context.ui.progress("Changing", entries.len());
        let mut outcomes = Vec::with_capacity(entries.len());
        if !self.scope.is_empty() {
            let edited = progress.track(app.cluster.edit_scope(&self.scope)).await;
            progress.tick();
            if let Some(made) = edited.as_ref().ok().filter(|made| !made.is_empty()) {
                // The lists might have changed since the plan.
                entries[0] = ChangeEntry::new(None, &Change::EditScope(made.clone()));
            }
            outcomes.push(
                edited.map_or_else(|error| Outcome::Failed(error.to_string()), |_| Outcome::Done),
            );
        }
        if outcomes.iter().all(|outcome| *outcome == Outcome::Done) {
            let made = match self.plans.iter().any(|(_, plan)| plan.has_rotation()) {
                true => progress.track(self.apply_sequentially(app, target, &progress)).await,
                false => {
                    let work = self.plans.iter().map(|(assessment, plan)| {
                        apply_plan(app, target, assessment, plan, &progress)
                    });
                    progress.track(join_concurrently(work, app.concurrency)).await
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

    /// Applies the plans one after the other, and stops renewing tokens after a failure that could leave a secret with a
    /// stale token. So at most one robot account is affected.
    async fn apply_sequentially(
        &self,
        app: &App,
        target: &QuayConnection,
        progress: &Progress<'_>,
    ) -> Vec<Vec<Outcome>> {
        let mut made = Vec::with_capacity(self.plans.len());
        let mut is_stopped = false;
        for (assessment, plan) in &self.plans {
            if is_stopped && plan.has_rotation() {
                made.push(vec![Outcome::Skipped; plan.changes.len()]);
                continue;
            }
            let outcomes = apply_plan(app, target, assessment, plan, progress).await;
            let mut results = plan.changes.iter().zip(&outcomes);
            is_stopped |= results.any(|(change, outcome)| {
                change.can_strand_token() && matches!(outcome, Outcome::Failed(_))
            });
            made.push(outcomes);
        }
        made
    }
}

async fn apply_plan(
    app: &App,
    target: &QuayConnection,
    assessment: &NamespaceAssessment,
    plan: &Plan,
    progress: &Progress<'_>,
) -> Vec<Outcome> {
    progress.at(&assessment.snapshot.name);
    let work = ApplyInput {
        changes: &plan.changes,
        snapshot: &assessment.snapshot,
        desired: &assessment.desired,
    };
    app.apply(target, &work, |_, _| progress.tick()).await
}

fn has_takeover(plan: &Plan) -> bool {
    plan.changes.iter().any(is_takeover)
}

fn is_takeover(change: &Change) -> bool {
    matches!(change, Change::TakeOwnership { .. })
}

/// The remaining findings are unknown, since the namespaces could not be read again after the changes.
pub(super) fn reassessment_failed(error: &Error) -> Finding {
    let message = format!(
        "The namespaces could not be read again after the changes: {}",
        error.messages().join(": ")
    );
    Finding::new(Code::CouldNotRead, ObjectRef::cluster("Namespace", ""), message)
}

/// Prints commands that restart pods waiting for an image: a pod keeps the pull secrets that it was created with.
/// Skipped in new namespaces, whose pods are new, too.
pub(super) async fn report_waiting_pods(context: &CommandContext<'_>, app: &App, set: &ChangeSet) {
    let edits = |change: &Change| matches!(change, Change::EditServiceAccount { .. });
    let edited = set
        .plans
        .iter()
        .filter(|(assessment, plan)| !assessment.is_new() && plan.changes.iter().any(edits));
    for (assessment, _) in edited {
        let name = &assessment.snapshot.name;
        let pods = app.cluster.waiting_pods(Some(name)).await.unwrap_or_default();
        let waits_for_quay = |pod: &&WaitingPod| {
            pod.waits_for.iter().any(|waiting| {
                RegistryScope::of_image(&waiting.image) == Some(assessment.desired.place())
            })
        };
        let restart = |pod| checks::restart(pod, name);
        let commands: BTreeSet<_> =
            pods.values().flatten().filter(waits_for_quay).filter_map(restart).collect();
        for command in commands {
            context.ui.status(&format!(
                "Existing pods are still waiting for images. Run: {}",
                context.invocation.prefix(&command)
            ));
        }
    }
}

/// Diagnoses Quay after a failed change.
pub(super) async fn obstacles_after(
    app: &App,
    target: &QuayConnection,
    made: &[ChangeEntry],
) -> Vec<Finding> {
    if !made.iter().any(|change| change.state == ChangeState::Failed) {
        return vec![];
    }
    tokio::join!(target.quay.diagnose(), target.quay.check_read_only());
    app.obstacles(target)
}

/// Shows the plan and asks for confirmation, unless `--yes` is set. Returns the format of the final report, which is short
/// after an interactive confirmation.
///
/// # Errors
/// [`Cancelled`] if the answer is no; a failure without a terminal.
pub(super) fn confirm(
    context: &CommandContext,
    app: &App,
    changing: ChangeArgs,
    planned: &ChangeReport,
) -> Result<Format, Error> {
    let format = context.output;
    let changes = planned.changes.len();
    if changing.yes || changes == 0 {
        return Ok(format);
    }
    if !context.ui.can_prompt() {
        let what = if changes == 1 { "1 change" } else { "the changes" };
        return Err(Error::new(format!("{what} cannot be confirmed without a terminal"))
            .hint("use --yes to skip confirmation, or --dry-run to show the changes"));
    }
    context.ui.status(&planned.render(Format::Text, &context.style())?);
    context.ui.status(&app.endpoint_lines());
    if !context.ui.confirm("Make these changes?", false)? {
        return Err(Cancelled.into());
    }
    Ok(if format == Format::Text { Format::Short } else { format })
}

/// Prints the report and returns its exit code.
pub(super) fn finish(
    context: &CommandContext,
    report: &ChangeReport,
    format: Format,
) -> Result<ExitStatus, Error> {
    context.ui.out(&report.render(format, &context.style())?)?;
    let failed = report.count(ChangeState::Failed) + report.count(ChangeState::Skipped);
    Ok(if failed > 0 || !report.ok { ExitStatus::Findings } else { ExitStatus::Success })
}
