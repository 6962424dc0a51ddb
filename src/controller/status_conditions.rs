//! The controller's conditions in the QuayIntegration: `Ready`, `TokenValid`, `Progressing` and
//! `OrphanedOrganizations`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Controller;
use super::event::{ControllerEvent, ReconcileOutcome};
use super::integration::{IntegrationState, NotReady};
use crate::cluster::OlmCondition;
use crate::domain::integration::QuayProblem;

/// Combines the changes of a short time into one write.
const DEBOUNCE: Duration = Duration::from_secs(1);

/// Time for the first resync before `Progressing` is reported.
const INITIAL_DELAY: Duration = Duration::from_secs(60);

/// Pause after a write, to limit the load on the API server.
const RETRY_DELAY: Duration = Duration::from_secs(3);

/// Failing namespaces that the message lists.
const MAX_LISTED: usize = 3;

const ORPHANED_ORGANIZATIONS: &str = "OrphanedOrganizations";

/// Precedes the number of organizations beyond the size limit.
const MORE: &str = "; and more: ";

/// Limit in the operator's CustomResourceDefinition.
const MAX_MESSAGE_CHARS: usize = 8000;

#[derive(Default)]
pub(super) struct NamespaceStatuses {
    pub(super) by_namespace: BTreeMap<String, ReconcileOutcome>,
    /// Organizations to delete that were kept, and that no condition lists yet.
    pub(super) orphaned: BTreeSet<String>,
}

struct State<'a> {
    problem: Option<QuayProblem>,
    statuses: &'a NamespaceStatuses,
    /// Namespaces in the queue.
    pending: usize,
    /// Organizations of linked namespaces.
    in_use: BTreeSet<String>,
}

impl Controller<'_> {
    pub(super) async fn maintain_conditions(&self, mut leading: watch::Receiver<bool>) {
        if leading.wait_for(|leading| *leading).await.is_err() {
            return;
        }
        let initial_pass = async {
            while self.is_initial_pass_running() {
                sleep(DEBOUNCE / 4).await;
            }
        };
        // Without a change there is nothing to report.
        let _ = timeout(INITIAL_DELAY, initial_pass).await;
        let mut last = None;
        loop {
            self.conditions_changed.notified().await;
            if leading.wait_for(|leading| *leading).await.is_err() {
                return;
            }
            sleep(DEBOUNCE).await;
            let failed = self.write_conditions().await.err();
            if let Some(error) = &failed {
                self.conditions_changed.notify_one();
                if last.as_ref() != Some(error) {
                    self.emit(&ControllerEvent::ConditionsUnwritten { why: error.to_string() });
                }
                sleep(INITIAL_DELAY).await;
            }
            last = failed;
            sleep(RETRY_DELAY).await;
        }
    }

    fn is_initial_pass_running(&self) -> bool {
        !self.is_leader()
            || !*self.is_synced.borrow()
            || matches!(self.integration_state(), IntegrationState::Unknown)
            || self.state.queue_depth().0 > 0
    }

    async fn write_conditions(&self) -> Result<(), crate::cluster::ClusterError> {
        match self.integration_state() {
            IntegrationState::Unknown => Ok(()),
            IntegrationState::Nothing(not_ready) => {
                for name in &not_ready.resources {
                    let orphaned = |before: &[OlmCondition]| {
                        self.statuses().orphaned_condition(before, &BTreeSet::new())
                    };
                    let wanted = |before: &[OlmCondition]| {
                        conditions_when_blocked(&not_ready)
                            .into_iter()
                            .chain(orphaned(before))
                            .collect()
                    };
                    self.write(name, wanted).await?;
                }
                Ok(())
            }
            IntegrationState::Quay(active) => {
                let integration = &active.connection.integration;
                let Some(resource) = &integration.resource else { return Ok(()) };
                let wanted = |before: &[OlmCondition]| {
                    let statuses = self.statuses();
                    let linked = statuses
                        .by_namespace
                        .iter()
                        .filter(|(_, outcome)| **outcome == ReconcileOutcome::UpToDate);
                    let in_use = linked
                        .map(|(name, _)| integration.cluster_id.value.organization(name))
                        .collect();
                    let state = State {
                        problem: active.connection.quay.outage(),
                        statuses: &statuses,
                        pending: self.state.queue_depth().0,
                        in_use,
                    };
                    state.conditions(before)
                };
                self.write(&resource.name, wanted).await
            }
        }
    }

    /// From then on the condition is the record of orphaned organizations: an administrator who has
    /// deleted them removes the condition.
    async fn write(
        &self,
        name: &str,
        wanted: impl Fn(&[OlmCondition]) -> Vec<OlmCondition>,
    ) -> Result<(), crate::cluster::ClusterError> {
        let last = Mutex::new(vec![]);
        let keep = |before: &[OlmCondition]| {
            let conditions = wanted(before);
            last.lock().clone_from(&conditions);
            conditions
        };
        self.cluster.write_conditions(name, keep).await?;
        let written = parse_names(&last.into_inner());
        self.statuses().orphaned.retain(|organization| !written.contains(organization));
        Ok(())
    }
}

fn conditions_when_blocked(not_ready: &NotReady) -> Vec<OlmCondition> {
    let message = format!("Reconciliation blocked: {}", not_ready.why);
    let token = match not_ready.token_is_missing {
        true => condition("TokenValid", "False", "TokenMissing", &not_ready.why),
        false => condition("TokenValid", "Unknown", "NotChecked", "Quay was not queried"),
    };
    vec![
        condition("Ready", "False", not_ready.reason, &message),
        token,
        condition("Progressing", "False", "Blocked", &message),
    ]
}

impl State<'_> {
    fn conditions(&self, before: &[OlmCondition]) -> Vec<OlmCondition> {
        let mut conditions =
            vec![self.ready_condition(), self.token_condition(), self.progressing_condition()];
        conditions.extend(self.statuses.orphaned_condition(before, &self.in_use));
        conditions
    }

    fn ready_condition(&self) -> OlmCondition {
        let outcomes = || self.statuses.by_namespace.iter();
        let failing: Vec<_> =
            outcomes().filter_map(|(name, outcome)| Some((name, outcome.problem()?))).collect();
        let linked =
            outcomes().filter(|(_, outcome)| **outcome == ReconcileOutcome::UpToDate).count();
        if let Some(problem) = &self.problem {
            return condition("Ready", "False", "QuayUnavailable", &describe(problem));
        }
        if failing.is_empty() {
            return condition("Ready", "True", "Linked", &format!("{linked} namespaces linked"));
        }
        let listed = failing
            .iter()
            .take(MAX_LISTED)
            .map(|(name, reason)| format!("{name}: {reason}"))
            .collect::<Vec<_>>()
            .join("; ");
        let more = failing.len().saturating_sub(MAX_LISTED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let message = format!(
            "{} of {} namespaces failed: {listed}{more}",
            failing.len(),
            linked + failing.len()
        );
        condition("Ready", "False", "ReconcileFailed", &message)
    }

    fn token_condition(&self) -> OlmCondition {
        match &self.problem {
            None | Some(QuayProblem::ReadOnly) => {
                condition("TokenValid", "True", "Accepted", "Quay accepted the token")
            }
            Some(QuayProblem::TokenRejected { reason }) => {
                condition("TokenValid", "False", "Rejected", reason)
            }
            Some(problem) => {
                condition("TokenValid", "Unknown", "QuayUnavailable", &describe(problem))
            }
        }
    }

    fn progressing_condition(&self) -> OlmCondition {
        match self.pending {
            0 => condition("Progressing", "False", "Done", "No namespaces pending"),
            pending => condition(
                "Progressing",
                "True",
                "Reconciling",
                &format!("{pending} namespaces pending"),
            ),
        }
    }
}

impl NamespaceStatuses {
    /// The list grows, also across restarts, until the organizations are in use again or an
    /// administrator removes the condition.
    fn orphaned_condition(
        &self,
        before: &[OlmCondition],
        in_use: &BTreeSet<String>,
    ) -> Option<OlmCondition> {
        let known = before.iter().any(|condition| condition.kind == ORPHANED_ORGANIZATIONS);
        let mut all: BTreeSet<String> =
            parse_names(before).into_iter().chain(self.orphaned.iter().cloned()).collect();
        all.retain(|organization| !in_use.contains(organization));
        match (known, all.is_empty()) {
            (false, true) => None,
            (true, true) => Some(condition(ORPHANED_ORGANIZATIONS, "False", "None", "")),
            (_, false) => {
                Some(condition(ORPHANED_ORGANIZATIONS, "True", "NotDeleted", &join_names(&all)))
            }
        }
    }
}

/// As many names as fit, and the number of the others.
fn join_names(names: &BTreeSet<String>) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        let separator = if index > 0 { ", " } else { "" };
        if text.len() + separator.len() + name.len() > MAX_MESSAGE_CHARS - MORE.len() - 10 {
            return format!("{text}{MORE}{}", names.len() - index);
        }
        text = text + separator + name;
    }
    text
}

/// The names in the condition of [`join_names`].
fn parse_names(conditions: &[OlmCondition]) -> BTreeSet<String> {
    let known = conditions
        .iter()
        .find(|condition| condition.kind == ORPHANED_ORGANIZATIONS && condition.status == "True");
    let text = known.map(|condition| condition.message.as_str()).unwrap_or_default();
    let names = text.split_once(MORE).map_or(text, |(names, _)| names).split(", ");
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

pub(super) fn describe(problem: &QuayProblem) -> String {
    match problem {
        QuayProblem::Unreachable { step, reason } => {
            format!("Quay is unavailable ({step}: {reason})")
        }
        QuayProblem::Untrusted { reason } => reason.clone(),
        QuayProblem::ReadOnly => "Quay is in read-only mode".to_owned(),
        _ => "Quay rejected the token".to_owned(),
    }
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> OlmCondition {
    let message = message.chars().take(MAX_MESSAGE_CHARS).collect();
    OlmCondition { kind: kind.into(), status: status.into(), reason: reason.into(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(
        statuses: &NamespaceStatuses,
        before: &[OlmCondition],
    ) -> Vec<(String, String, String)> {
        let in_use = BTreeSet::from(["openshift_back".to_owned()]);
        let state = State { problem: None, statuses, pending: 0, in_use };
        let last = state.conditions(before).into_iter();
        last.map(|condition| (condition.kind, condition.status, condition.message)).collect()
    }

    #[test]
    fn lists_first_failing_namespaces_and_counts_the_others() {
        let mut statuses = NamespaceStatuses::default();
        for name in ["a", "b", "c", "d", "e"] {
            statuses
                .by_namespace
                .insert(name.into(), ReconcileOutcome::Failed("Quay says no".into()));
        }
        statuses.by_namespace.insert("fine".into(), ReconcileOutcome::UpToDate);
        statuses.by_namespace.insert("b".into(), ReconcileOutcome::Blocked("Quay says no".into()));
        statuses.by_namespace.insert(
            "unavailable".into(),
            ReconcileOutcome::Unavailable("Quay is unavailable".into()),
        );
        let ready = &conditions(&statuses, &[])[0];
        assert_eq!(ready.1, "False");
        assert_eq!(
            ready.2,
            "5 of 6 namespaces failed: a: Quay says no; b: Quay says no; c: Quay says no; and 2 more"
        );
    }

    #[test]
    fn lists_orphaned_organizations_until_in_use_again() {
        let mut statuses = NamespaceStatuses::default();
        assert_eq!(conditions(&statuses, &[]).len(), 3);
        statuses.orphaned.insert("openshift_gone".into());
        let before = [condition(
            ORPHANED_ORGANIZATIONS,
            "True",
            "NotDeleted",
            "openshift_back, openshift_former",
        )];
        let listed = &conditions(&statuses, &before)[3];
        assert_eq!(listed.2, "openshift_former, openshift_gone");
        let before = [condition(ORPHANED_ORGANIZATIONS, "True", "NotDeleted", "openshift_back")];
        assert_eq!(conditions(&NamespaceStatuses::default(), &before)[3].1, "False");
    }

    #[test]
    fn cuts_long_list_of_organizations_between_names() {
        let mut statuses = NamespaceStatuses::default();
        statuses
            .orphaned
            .extend((0..400).map(|number| format!("openshift_a-rather-long-name-{number:04}")));
        let last = statuses.orphaned_condition(&[], &BTreeSet::new());
        let conditions: Vec<_> = last.into_iter().collect();
        let read = parse_names(&conditions);
        assert!(conditions[0].message.len() <= MAX_MESSAGE_CHARS && read.len() > 200);
        assert!(read.is_subset(&statuses.orphaned));
        assert!(
            conditions[0].message.ends_with(&format!("{MORE}{}", 400 - read.len())),
            "{}",
            conditions[0].message
        );
        // Names beyond the limit are listed later.
        statuses.orphaned.retain(|organization| !read.contains(organization));
        assert_eq!(
            parse_names(
                &statuses.orphaned_condition(&[], &BTreeSet::new()).into_iter().collect::<Vec<_>>()
            ),
            statuses.orphaned
        );
    }
}
