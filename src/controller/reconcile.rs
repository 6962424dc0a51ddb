//! Reconciles one namespace with `repair`'s snapshot, plan and apply. Quay's side is cached, not
//! read each time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Controller;
use super::event::{ControllerEvent, ReconcileOutcome};
use super::integration::ActiveIntegration;
use super::queue::Action;
use crate::cluster::{BuildsMode, SecretsMode, Versioned};
use crate::domain::apply_to_snapshot::apply_to_snapshot;
use crate::domain::change::Change;
use crate::domain::checks::{self, Assessed};
use crate::domain::desired::{DEFAULT_ACCOUNTS, Desired};
use crate::domain::finding::{Finding, Severity};
use crate::domain::names::{self, ClusterId};
use crate::domain::ownership::Claim;
use crate::domain::plan::{self, CleanupPlan, Options, Plan};
use crate::domain::snapshot::{Namespace, NamespaceSnapshot, Organization};
use crate::ops::apply::{ApplyInput, Effect, Outcome};
use crate::quay::ReadStrategy;

/// OpenShift takes a few seconds to create the service accounts; without the Build capability some
/// are never created.
const SERVICE_ACCOUNT_TIMEOUT: Duration = Duration::from_secs(20);

/// Limits the time for one namespace. Any prefix of a plan is safe to stop after.
const MAX_CHANGES_PER_PASS: usize = 100;

/// The [`ReconcileOutcome::Waiting`] of a plan with more than one pass.
const NEXT_PASS_DELAY: &str = "its next round";

/// After this many failures the finalizer is removed without deleting the organization.
const MAX_CLEANUP_ATTEMPTS: u32 = 3;

/// Data of a namespace that is kept between two reconciles.
#[derive(Default)]
pub(super) struct NamespaceCache {
    /// As it was read, with our changes since.
    organization: Option<Organization>,
    waiting_since: Option<Instant>,
    /// Consecutive failures to delete its organization.
    failed_cleanups: u32,
    /// The last reconcile failed: read the cluster and Quay again.
    has_failed: bool,
}

impl NamespaceCache {
    pub(super) fn is_cacheable(&self) -> bool {
        self.organization.is_some()
            || self.waiting_since.is_some()
            || self.failed_cleanups > 0
            || self.has_failed
    }
}

struct ReconcileResult {
    outcome: ReconcileOutcome,
    changes: Vec<(Change, Option<String>)>,
    findings: Vec<Finding>,
}

impl ReconcileResult {
    fn without_changes(outcome: ReconcileOutcome) -> Self {
        Self { outcome, changes: vec![], findings: vec![] }
    }
}

impl Controller<'_> {
    pub(super) async fn reconcile(&self, name: &str) -> Action {
        let started = Instant::now();
        let active = self.integration_state().active().cloned();
        let epoch = active.as_ref().map_or(0, |active| active.epoch);
        let mut cache = self.take_cache(name, epoch);
        let snapshot = match cache.has_failed || self.has_mistyped_secret(name, active.as_deref()) {
            true => self.refetch(name, active.as_deref()).await,
            false => self.state.snapshot(name),
        };
        let uid = uid(&snapshot);
        let exists = !matches!(snapshot.namespace, Ok(None));
        let mut result = match &active {
            Some(active) if exists => self.link(active, snapshot, &mut cache).await,
            _ if active.is_none() => self.finalize_without_quay(&snapshot).await,
            _ => ReconcileResult::without_changes(ReconcileOutcome::Skipped),
        };
        if active.as_ref().is_some_and(|active| active.connection.quay.outage().is_some()) {
            self.quay_has_outage.notify_one();
            if let ReconcileOutcome::Failed(reason) | ReconcileOutcome::NotStarted(reason) =
                result.outcome
            {
                result.outcome = ReconcileOutcome::Unavailable(reason);
            }
        }
        let action = match &result.outcome {
            ReconcileOutcome::UpToDate | ReconcileOutcome::Skipped => Action::AwaitChange,
            ReconcileOutcome::Blocked(_) | ReconcileOutcome::NotStarted(_) => Action::Blocked,
            ReconcileOutcome::Waiting(NEXT_PASS_DELAY) => Action::RequeueAfter(Duration::ZERO),
            ReconcileOutcome::Waiting(_) => Action::RequeueAfter(SERVICE_ACCOUNT_TIMEOUT),
            ReconcileOutcome::Failed(_) => Action::Backoff,
            ReconcileOutcome::Unavailable(_) => Action::Unavailable,
        };
        // An outage of Quay does not invalidate cached data.
        cache.has_failed = action == Action::Backoff;
        // Imports and the link of the namespace fail independently.
        let imports = match &active {
            Some(_) if result.outcome == ReconcileOutcome::Skipped => {
                self.forget_imports(name);
                Action::AwaitChange
            }
            Some(active) => self.import(active, name, &uid).await,
            None => Action::AwaitChange,
        };
        let action = action.sooner(imports);
        let ReconcileResult { outcome, changes, findings } = result;
        self.record_status(name, &outcome, active.as_deref());
        if outcome == ReconcileOutcome::Skipped {
            cache = NamespaceCache::default();
        }
        self.put_cache(name, epoch, cache);
        self.emit(&ControllerEvent::Reconciled {
            namespace: name.to_owned(),
            uid,
            outcome,
            changes,
            findings,
            took: started.elapsed(),
        });
        action
    }

    /// Stores the outcome for the conditions.
    fn record_status(
        &self,
        name: &str,
        outcome: &ReconcileOutcome,
        active: Option<&ActiveIntegration>,
    ) {
        let mut statuses = self.statuses();
        let before = match outcome {
            ReconcileOutcome::Skipped => statuses.by_namespace.remove(name),
            outcome => statuses.by_namespace.insert(name.to_owned(), outcome.clone()),
        };
        if let (ReconcileOutcome::UpToDate, Some(active)) = (outcome, active) {
            statuses
                .orphaned
                .remove(&active.connection.integration.cluster_id.value.organization(name));
        }
        if before.as_ref() != Some(outcome) {
            self.conditions_changed.notify_one();
        }
    }

    async fn link(
        &self,
        active: &ActiveIntegration,
        mut snapshot: NamespaceSnapshot,
        cache: &mut NamespaceCache,
    ) -> ReconcileResult {
        let integration = &active.connection.integration;
        let builds = self.state.stores().builds.in_namespace(&snapshot.name).unwrap_or_default();
        let desired = Desired::of(integration, &snapshot, &BTreeMap::new()).with_builds(
            integration,
            &snapshot,
            &builds,
        );
        let is_to_be_linked = Assessed::new(integration, &snapshot, &desired).is_to_be_linked();
        if !is_to_be_linked {
            return self.finalize(active, snapshot, &desired, cache).await;
        }
        match missing_prerequisite(&snapshot) {
            Some(missing) => {
                // Not reset: missing service accounts are waited for once.
                let since = *cache.waiting_since.get_or_insert_with(Instant::now);
                if since.elapsed() < SERVICE_ACCOUNT_TIMEOUT {
                    return ReconcileResult::without_changes(ReconcileOutcome::Waiting(missing));
                }
            }
            None => cache.waiting_since = None,
        }
        let cached = cache.organization.take();
        let is_cached = cached.is_some();
        match cached {
            Some(organization) => snapshot.organization = Ok(Some(organization)),
            None => self.read_organization(active, &mut snapshot, &desired).await,
        }
        let (mut plan, mut is_last) = self.plan_pass(active, &snapshot, &desired);
        if is_cached && !plan.changes.iter().all(|change| can_plan_from_cache(change, &plan)) {
            self.read_organization(active, &mut snapshot, &desired).await;
            (plan, is_last) = self.plan_pass(active, &snapshot, &desired);
        }
        if plan.creates_organization() {
            active.connection.quay.diagnose().await;
        }
        let problems = active.connection.quay.problems();
        let subject = Assessed::new(integration, &snapshot, &desired).with_problems(&problems);
        let findings: Vec<_> =
            checks::namespace(&subject).into_iter().flat_map(|check| check.findings).collect();
        if let Some(obstacle) = plan.stopped_by(&active.app.obstacles(&active.connection)) {
            return ReconcileResult {
                findings,
                ..ReconcileResult::without_changes(self.not_started(active, obstacle))
            };
        }
        let changes = self.apply(active, &snapshot, &desired, &plan, cache).await;
        let outcome = if let Some(reason) = plan.failure(&changes) {
            cache.organization = None;
            ReconcileOutcome::Failed(reason)
        } else if !is_last {
            ReconcileOutcome::Waiting(NEXT_PASS_DELAY)
        } else {
            let remaining = if changes.is_empty() {
                &findings
            } else {
                &self.findings_left(active, &snapshot.name, cache)
            };
            let obstacle = plan
                .obstacle()
                .or_else(|| remaining.iter().find(|finding| finding.severity == Severity::Error));
            obstacle.map_or(ReconcileOutcome::UpToDate, |finding| {
                ReconcileOutcome::Blocked(describe(finding))
            })
        };
        if matches!(outcome, ReconcileOutcome::Blocked(_)) {
            // Manual changes in Quay cannot be watched.
            cache.organization = None;
        }
        ReconcileResult { outcome, changes, findings }
    }

    /// Warns once for all namespaces; outages are reported by [`Controller::monitor_quay`].
    fn not_started(&self, active: &ActiveIntegration, obstacle: &Finding) -> ReconcileOutcome {
        let reason = describe(obstacle);
        if active.connection.quay.outage().is_none() {
            self.warn_once(&[format!("organizations are not created: {reason}")]);
        }
        ReconcileOutcome::NotStarted(reason)
    }

    /// Findings after the changes, by the cached state.
    fn findings_left(
        &self,
        active: &ActiveIntegration,
        name: &str,
        cache: &NamespaceCache,
    ) -> Vec<Finding> {
        let integration = &active.connection.integration;
        let snapshot = NamespaceSnapshot {
            organization: Ok(cache.organization.clone()),
            ..self.state.snapshot(name)
        };
        let desired = Desired::of(integration, &snapshot, &BTreeMap::new());
        if !self.plan_pass(active, &snapshot, &desired).0.changes.is_empty() {
            // A change during the apply queued the namespace again.
            return vec![];
        }
        let problems = active.connection.quay.problems();
        let subject = Assessed::new(integration, &snapshot, &desired).with_problems(&problems);
        checks::namespace(&subject).into_iter().flat_map(|check| check.findings).collect()
    }

    /// The changes of the next pass, and whether it is the last.
    fn plan_pass(
        &self,
        active: &ActiveIntegration,
        snapshot: &NamespaceSnapshot,
        desired: &Desired,
    ) -> (Plan, bool) {
        let subject = Assessed::new(&active.connection.integration, snapshot, desired);
        let mut plan = plan::repair(&subject, Options::default());
        plan.changes.splice(0..0, plan::plan_finalizer(&subject, self.options.deletion_policy));
        let is_last = plan.changes.len() <= MAX_CHANGES_PER_PASS;
        plan.changes.truncate(MAX_CHANGES_PER_PASS);
        (plan, is_last)
    }

    /// Whether one of our secrets' names is taken by a secret of another type. Only the names of
    /// such secrets are watched.
    fn has_mistyped_secret(&self, name: &str, active: Option<&ActiveIntegration>) -> bool {
        let Some(active) = active else { return false };
        let stores = self.state.stores();
        let others = stores.other_secrets.in_namespace(name).unwrap_or_default();
        let id = &active.connection.integration.cluster_id.value;
        !others.is_empty()
            && stores.service_accounts.in_namespace(name).iter().flatten().any(|account| {
                let secret = id.secret(&account.name);
                others.iter().any(|other| other.name == secret)
            })
    }

    /// Removes our finalizer from a namespace out of scope or in deletion, and deletes its
    /// organization if the policy says so.
    async fn finalize(
        &self,
        active: &ActiveIntegration,
        mut snapshot: NamespaceSnapshot,
        desired: &Desired,
        cache: &mut NamespaceCache,
    ) -> ReconcileResult {
        let (integration, policy) = (&active.connection.integration, self.options.deletion_policy);
        let plan_cleanup = |snapshot: &NamespaceSnapshot| {
            plan::plan_cleanup(&Assessed::new(integration, snapshot, desired), policy)
        };
        let mut planned = plan_cleanup(&snapshot);
        if !planned.plan.blocked.is_empty() {
            self.read_organization(active, &mut snapshot, desired).await;
            planned = plan_cleanup(&snapshot);
        }
        let finalizer =
            plan::plan_finalizer(&Assessed::new(integration, &snapshot, desired), policy);
        planned.plan.changes.extend(finalizer);
        let mut changes = self.apply(active, &snapshot, desired, &planned.plan, cache).await;
        let mut failed = planned.plan.failure(&changes);
        if let Some(why) = failed.clone() {
            cache.failed_cleanups += 1;
            if cache.failed_cleanups >= MAX_CLEANUP_ATTEMPTS {
                // Plan the clean-up without an organization.
                snapshot.organization = Ok(None);
                planned = CleanupPlan { left_behind: Some(why), ..plan_cleanup(&snapshot) };
                let finalized = self.apply(active, &snapshot, desired, &planned.plan, cache).await;
                failed = planned.plan.failure(&finalized);
                changes.extend(finalized);
            }
        }
        if let Some(why) = planned.left_behind.filter(|_| failed.is_none()) {
            self.record_orphan(&snapshot, &desired.organization, why);
        }
        ReconcileResult {
            outcome: failed.map_or(ReconcileOutcome::Skipped, ReconcileOutcome::Failed),
            changes,
            findings: vec![],
        }
    }

    /// Removes our finalizer although the organization is unknown: the namespace must not be stuck
    /// in Terminating.
    async fn finalize_without_quay(&self, snapshot: &NamespaceSnapshot) -> ReconcileResult {
        let namespace = snapshot.namespace.iter().flatten().next();
        if !namespace.is_some_and(|namespace| namespace.terminating && namespace.has_finalizer()) {
            return ReconcileResult::without_changes(ReconcileOutcome::Skipped);
        }
        match self.cluster.set_finalizer(&snapshot.name, false).await {
            Ok(()) => {
                self.record_orphan(
                    snapshot,
                    &self.organization_of(&snapshot.name),
                    "no usable QuayIntegration".to_owned(),
                );
                ReconcileResult::without_changes(ReconcileOutcome::Skipped)
            }
            Err(error) => {
                ReconcileResult::without_changes(ReconcileOutcome::Failed(error.to_string()))
            }
        }
    }

    /// The organization of a namespace without an active integration; empty if unknown.
    fn organization_of(&self, namespace: &str) -> String {
        let integrations = self.integrations.borrow();
        let [integration] = integrations.as_deref().unwrap_or_default() else {
            return String::new();
        };
        let cluster_id =
            self.settings.given.cluster_id.as_ref().map(|setting| setting.value.as_str());
        ClusterId::new(cluster_id.unwrap_or(&integration.cluster_id)).organization(namespace)
    }

    fn record_orphan(&self, snapshot: &NamespaceSnapshot, organization: &str, why: String) {
        if !organization.is_empty() {
            self.statuses().orphaned.insert(organization.to_owned());
        }
        let (namespace, organization) = (snapshot.name.clone(), organization.to_owned());
        self.emit(&ControllerEvent::OrganizationOrphaned {
            namespace,
            uid: uid(snapshot),
            organization,
            why,
        });
    }

    async fn read_organization(
        &self,
        active: &ActiveIntegration,
        snapshot: &mut NamespaceSnapshot,
        desired: &Desired,
    ) {
        if names::validate_organization(&desired.organization).is_err() {
            return;
        }
        let robots: Vec<_> = desired.accounts.iter().map(|account| account.name.clone()).collect();
        // A namespace without our secrets was most likely never linked.
        let is_terminating =
            snapshot.namespace.iter().flatten().any(|namespace| namespace.terminating);
        let strategy = match snapshot.secrets.as_ref() {
            _ if is_terminating => ReadStrategy::Owner,
            Ok(secrets) if secrets.is_empty() => ReadStrategy::AssumeNew,
            _ => ReadStrategy::Minimal,
        };
        let (quay, claim) = (&active.connection.quay, Claim::of(snapshot, desired));
        snapshot.organization = quay
            .organization(&desired.organization, &desired.repositories, &robots, strategy, &claim)
            .await;
    }

    /// Makes the changes, and updates the caches with the results.
    async fn apply(
        &self,
        active: &ActiveIntegration,
        snapshot: &NamespaceSnapshot,
        desired: &Desired,
        plan: &Plan,
        cache: &mut NamespaceCache,
    ) -> Vec<(Change, Option<String>)> {
        let organization = Mutex::new(snapshot.organization().cloned());
        let input = ApplyInput { changes: &plan.changes, snapshot, desired };
        let outcomes = active.app.apply(&active.connection, &input, |change, effect| {
            let token = match effect {
                None => return,
                Some(Effect::None) => None,
                Some(Effect::Token(token)) => Some(token),
                Some(Effect::Secret(secret)) => {
                    let found = Versioned::new(
                        &snapshot.name,
                        &secret.name,
                        &secret.resource_version,
                        secret.clone(),
                    );
                    self.state.stores().secrets.put(found);
                    None
                }
                Some(Effect::ServiceAccount(account)) => {
                    let found = Versioned::new(
                        &snapshot.name,
                        &account.name,
                        &account.resource_version,
                        account.clone(),
                    );
                    self.state.stores().service_accounts.put(found);
                    None
                }
            };
            apply_to_snapshot(&mut organization.lock(), change, token);
        });
        let outcomes = outcomes.await;
        cache.organization = organization.into_inner();
        let failed = |outcome| match outcome {
            Outcome::Done => None,
            Outcome::Failed(reason) => Some(reason),
            Outcome::Skipped => Some("skipped: a dependency failed".to_owned()),
        };
        plan.changes.iter().cloned().zip(outcomes.into_iter().map(failed)).collect()
    }

    /// Reads the cluster side without the watches.
    async fn refetch(&self, name: &str, active: Option<&ActiveIntegration>) -> NamespaceSnapshot {
        let snapshot = self
            .cluster
            .namespace_resources(name, None, SecretsMode::Always, BuildsMode::Leave)
            .await;
        let snapshot = match active {
            Some(active) => {
                let id = &active.connection.integration.cluster_id.value;
                self.cluster.complete_secrets(snapshot, |account| id.secret(account)).await
            }
            None => snapshot,
        };
        NamespaceSnapshot { build_configs: self.state.snapshot(name).build_configs, ..snapshot }
    }
}

fn describe(finding: &Finding) -> String {
    format!("{}; see oc quay explain {}", finding.message, finding.code.as_str())
}

fn uid(snapshot: &NamespaceSnapshot) -> String {
    snapshot
        .namespace
        .iter()
        .flatten()
        .map(|namespace| namespace.uid.clone())
        .next()
        .unwrap_or_default()
}

/// Linking a namespace before all of this exists takes more requests to Quay.
fn missing_prerequisite(snapshot: &NamespaceSnapshot) -> Option<&'static str> {
    let namespace: &Namespace = snapshot.namespace.as_ref().ok()?.as_ref()?;
    if !namespace.is_new(Timestamp::now()) {
        return None;
    }
    if namespace.awaits_annotations {
        return Some("OpenShift's namespace annotations");
    }
    let accounts: BTreeSet<_> = snapshot
        .service_accounts
        .as_ref()
        .ok()?
        .iter()
        .map(|account| account.name.as_str())
        .collect();
    let is_complete = DEFAULT_ACCOUNTS.iter().all(|(name, _)| accounts.contains(name));
    (!is_complete).then_some("its service accounts")
}

/// Whether cached data of Quay is enough for a change. A robot account's token might be stale, and
/// the ID of a default permission of ours is unknown.
fn can_plan_from_cache(change: &Change, plan: &Plan) -> bool {
    use Change::*;
    match change {
        CreateSecret { robot, .. } | UpdateSecret { robot, .. } | ReplaceSecret { robot, .. } => {
            plan.changes.iter().any(
                |change| matches!(change, CreateRobot { robot: created, .. } if created == robot),
            )
        }
        SetFinalizer { .. }
        | CreateRepository { .. }
        | SetRepositoryPermission { .. }
        | CreateRobot { .. }
        | CreateDefaultPermission { .. }
        | EditServiceAccount { .. } => true,
        _ => false,
    }
}
