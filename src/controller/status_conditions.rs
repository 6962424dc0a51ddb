//! The conditions that the bridge writes into the QuayIntegration: whether it works, whether the token is valid, whether
//! there is work left, and which organizations stayed behind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Controller;
use super::event::{ControllerEvent, ReconcileOutcome};
use super::integration::{IntegrationState, NotReady};
use crate::cluster::OlmCondition;
use crate::domain::integration::QuayProblem;

/// What happens at once is told together; most of it is over by then.
const DEBOUNCE: Duration = Duration::from_secs(1);

/// How long a first look at everything may take before it is told that it is under way.
const INITIAL_DELAY: Duration = Duration::from_secs(60);

/// The pause after writing, so that a busy time does not become a busy API server too.
const RETRY_DELAY: Duration = Duration::from_secs(3);

/// So many namespaces that fail are named.
const MAX_LISTED: usize = 3;

/// The type of the condition that lists organizations that were to be deleted and were not.
const ORPHANED_ORGANIZATIONS: &str = "OrphanedOrganizations";

/// What stands before the number of the organizations that the condition has no room for.
const MORE: &str = "; and more: ";

/// The API takes no more (CustomResourceDefinition of the operator).
const MAX_MESSAGE_CHARS: usize = 8000;

/// What is known of the namespaces.
#[derive(Default)]
pub(super) struct NamespaceStatuses {
    pub(super) of: BTreeMap<String, ReconcileOutcome>,
    /// Organizations that stayed although they were to go, and that no condition lists yet.
    pub(super) left_behind: BTreeSet<String>,
}

/// What the conditions are made of.
struct State<'a> {
    trouble: Option<QuayProblem>,
    standings: &'a NamespaceStatuses,
    /// Namespaces that are still to be looked at.
    left: usize,
    /// The organizations of namespaces that are linked.
    in_use: BTreeSet<String>,
}

impl Controller<'_> {
    pub(super) async fn maintain_conditions(&self, mut lead: watch::Receiver<bool>) {
        if lead.wait_for(|lead| *lead).await.is_err() {
            return;
        }
        let first_look = async {
            while self.is_initial_pass_running() {
                sleep(DEBOUNCE / 4).await;
            }
        };
        // Whoever starts and finds everything well has nothing to tell.
        let _ = timeout(INITIAL_DELAY, first_look).await;
        let mut told = None;
        loop {
            self.something_changed.notified().await;
            if lead.wait_for(|lead| *lead).await.is_err() {
                return;
            }
            sleep(DEBOUNCE).await;
            let failed = self.write_conditions().await.err();
            if let Some(error) = &failed {
                self.something_changed.notify_one();
                if told.as_ref() != Some(error) {
                    self.tell(&ControllerEvent::ConditionsUnwritten { why: error.to_string() });
                }
                sleep(INITIAL_DELAY).await;
            }
            told = failed;
            sleep(RETRY_DELAY).await;
        }
    }

    fn is_initial_pass_running(&self) -> bool {
        !self.leads()
            || !*self.is_synced.borrow()
            || matches!(self.meant(), IntegrationState::Unknown)
            || self.shared.queue_depth().0 > 0
    }

    async fn write_conditions(&self) -> Result<(), crate::cluster::ClusterError> {
        match self.meant() {
            IntegrationState::Unknown => Ok(()),
            IntegrationState::Nothing(obstacle) => {
                for name in &obstacle.resources {
                    let listed = |before: &[OlmCondition]| {
                        self.standings().left_behind(before, &BTreeSet::new())
                    };
                    let wanted = |before: &[OlmCondition]| {
                        conditions_when_blocked(&obstacle)
                            .into_iter()
                            .chain(listed(before))
                            .collect()
                    };
                    self.write(name, wanted).await?;
                }
                Ok(())
            }
            IntegrationState::Quay(bound) => {
                let integration = &bound.target.integration;
                let Some(resource) = &integration.resource else { return Ok(()) };
                let wanted = |before: &[OlmCondition]| {
                    let standings = self.standings();
                    let linked = standings
                        .of
                        .iter()
                        .filter(|(_, outcome)| **outcome == ReconcileOutcome::Settled);
                    let in_use = linked
                        .map(|(name, _)| integration.cluster_id.value.organization(name))
                        .collect();
                    let state = State {
                        trouble: bound.target.quay.outage(),
                        standings: &standings,
                        left: self.shared.queue_depth().0,
                        in_use,
                    };
                    state.conditions(before)
                };
                self.write(&resource.name, wanted).await
            }
        }
    }

    /// Writes conditions. What they list of organizations that stayed is theirs to keep from then on: who has dealt with
    /// them takes the condition away, and it does not come back.
    async fn write(
        &self,
        name: &str,
        wanted: impl Fn(&[OlmCondition]) -> Vec<OlmCondition>,
    ) -> Result<(), crate::cluster::ClusterError> {
        let last = Mutex::new(vec![]);
        let keep = |before: &[OlmCondition]| {
            let conditions = wanted(before);
            last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&conditions);
            conditions
        };
        self.cluster.write_conditions(name, keep).await?;
        let written = listed(&last.into_inner().unwrap_or_else(PoisonError::into_inner));
        self.standings().left_behind.retain(|organization| !written.contains(organization));
        Ok(())
    }
}

/// The conditions while nothing can be done.
fn conditions_when_blocked(obstacle: &NotReady) -> Vec<OlmCondition> {
    let message = format!("Nothing is changed: {}", obstacle.why);
    let token = match obstacle.token_is_missing {
        true => condition("TokenValid", "False", "TokenMissing", &obstacle.why),
        false => condition("TokenValid", "Unknown", "NotChecked", "Quay was not asked"),
    };
    vec![
        condition("Ready", "False", obstacle.reason, &message),
        token,
        condition("Progressing", "False", "Blocked", &message),
    ]
}

impl State<'_> {
    fn conditions(&self, before: &[OlmCondition]) -> Vec<OlmCondition> {
        let mut conditions = vec![self.ready(), self.token(), self.progressing()];
        conditions.extend(self.standings.left_behind(before, &self.in_use));
        conditions
    }

    fn ready(&self) -> OlmCondition {
        let verdicts = || self.standings.of.iter();
        let failing: Vec<_> =
            verdicts().filter_map(|(name, outcome)| Some((name, outcome.problem()?))).collect();
        let linked =
            verdicts().filter(|(_, outcome)| **outcome == ReconcileOutcome::Settled).count();
        if let Some(trouble) = &self.trouble {
            return condition("Ready", "False", "QuayUnavailable", &in_words(trouble));
        }
        if failing.is_empty() {
            return condition(
                "Ready",
                "True",
                "Linked",
                &format!("{linked} namespaces are linked"),
            );
        }
        let worst = failing
            .iter()
            .take(MAX_LISTED)
            .map(|(name, reason)| format!("{name}: {reason}"))
            .collect::<Vec<_>>()
            .join("; ");
        let more = failing.len().saturating_sub(MAX_LISTED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let message = format!(
            "{} of {} namespaces fail: {worst}{more}",
            failing.len(),
            linked + failing.len()
        );
        condition("Ready", "False", "ReconcileFailed", &message)
    }

    fn token(&self) -> OlmCondition {
        match &self.trouble {
            None | Some(QuayProblem::ReadOnly) => {
                condition("TokenValid", "True", "Accepted", "Quay accepts the token")
            }
            Some(QuayProblem::TokenRefused { reason }) => {
                condition("TokenValid", "False", "Rejected", reason)
            }
            Some(trouble) => {
                condition("TokenValid", "Unknown", "QuayUnavailable", &in_words(trouble))
            }
        }
    }

    fn progressing(&self) -> OlmCondition {
        match self.left {
            0 => condition("Progressing", "False", "Done", "Nothing is left to do"),
            left => condition(
                "Progressing",
                "True",
                "Reconciling",
                &format!("{left} namespaces are still to be looked at"),
            ),
        }
    }
}

impl NamespaceStatuses {
    /// The list grows, also over a restart, until the organizations are in use again. Whoever has dealt with them takes
    /// the condition away.
    fn left_behind(
        &self,
        before: &[OlmCondition],
        in_use: &BTreeSet<String>,
    ) -> Option<OlmCondition> {
        let known = before.iter().any(|condition| condition.kind == ORPHANED_ORGANIZATIONS);
        let mut all: BTreeSet<String> =
            listed(before).into_iter().chain(self.left_behind.iter().cloned()).collect();
        all.retain(|organization| !in_use.contains(organization));
        match (known, all.is_empty()) {
            (false, true) => None,
            (true, true) => Some(condition(ORPHANED_ORGANIZATIONS, "False", "None", "")),
            (_, false) => {
                Some(condition(ORPHANED_ORGANIZATIONS, "True", "NotDeleted", &list(&all)))
            }
        }
    }
}

/// The names, as many as there is room for, and how many more there are.
fn list(names: &BTreeSet<String>) -> String {
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

/// The names that [`list`] has room for.
fn listed(conditions: &[OlmCondition]) -> BTreeSet<String> {
    let known = conditions
        .iter()
        .find(|condition| condition.kind == ORPHANED_ORGANIZATIONS && condition.status == "True");
    let text = known.map(|condition| condition.message.as_str()).unwrap_or_default();
    let names = text.split_once(MORE).map_or(text, |(names, _)| names).split(", ");
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

pub(super) fn in_words(trouble: &QuayProblem) -> String {
    match trouble {
        QuayProblem::Unreachable { step, reason } => {
            format!("Quay does not answer ({step}: {reason})")
        }
        QuayProblem::Untrusted { reason } => reason.clone(),
        QuayProblem::ReadOnly => "Quay is in read-only mode".to_owned(),
        _ => "Quay does not accept the token".to_owned(),
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
        standings: &NamespaceStatuses,
        before: &[OlmCondition],
    ) -> Vec<(String, String, String)> {
        let in_use = BTreeSet::from(["openshift_back".to_owned()]);
        let state = State { trouble: None, standings, left: 0, in_use };
        let told = state.conditions(before).into_iter();
        told.map(|condition| (condition.kind, condition.status, condition.message)).collect()
    }

    #[test]
    fn the_worst_namespaces_are_named_and_the_rest_counted() {
        let mut standings = NamespaceStatuses::default();
        for name in ["a", "b", "c", "d", "e"] {
            standings.of.insert(name.into(), ReconcileOutcome::Failed("Quay says no".into()));
        }
        standings.of.insert("fine".into(), ReconcileOutcome::Settled);
        standings.of.insert("b".into(), ReconcileOutcome::Blocked("Quay says no".into()));
        standings
            .of
            .insert("unavailable".into(), ReconcileOutcome::Unavailable("Quay is away".into()));
        let ready = &conditions(&standings, &[])[0];
        assert_eq!(ready.1, "False");
        assert_eq!(
            ready.2,
            "5 of 6 namespaces fail: a: Quay says no; b: Quay says no; c: Quay says no; and 2 more"
        );
    }

    #[test]
    fn organizations_left_behind_are_listed_until_they_are_in_use_again() {
        let mut standings = NamespaceStatuses::default();
        assert_eq!(conditions(&standings, &[]).len(), 3);
        standings.left_behind.insert("openshift_gone".into());
        let before = [condition(
            ORPHANED_ORGANIZATIONS,
            "True",
            "NotDeleted",
            "openshift_back, openshift_former",
        )];
        let listed = &conditions(&standings, &before)[3];
        assert_eq!(listed.2, "openshift_former, openshift_gone");
        let before = [condition(ORPHANED_ORGANIZATIONS, "True", "NotDeleted", "openshift_back")];
        assert_eq!(conditions(&NamespaceStatuses::default(), &before)[3].1, "False");
    }

    #[test]
    fn a_list_that_is_too_long_is_cut_between_names_and_reads_back_as_whole_ones() {
        let mut standings = NamespaceStatuses::default();
        standings
            .left_behind
            .extend((0..400).map(|number| format!("openshift_a-rather-long-name-{number:04}")));
        let told = standings.left_behind(&[], &BTreeSet::new());
        let conditions: Vec<_> = told.into_iter().collect();
        let read = listed(&conditions);
        assert!(conditions[0].message.len() <= MAX_MESSAGE_CHARS && read.len() > 200);
        assert!(read.is_subset(&standings.left_behind));
        assert!(
            conditions[0].message.ends_with(&format!("{MORE}{}", 400 - read.len())),
            "{}",
            conditions[0].message
        );
        // What had no room is listed once there is some.
        standings.left_behind.retain(|organization| !read.contains(organization));
        assert_eq!(
            listed(&standings.left_behind(&[], &BTreeSet::new()).into_iter().collect::<Vec<_>>()),
            standings.left_behind
        );
    }
}
