//! One namespace, looked at and put right: the same snapshot, plan and apply as `repair`, with what is remembered of
//! Quay in the place of reading it each time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
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

/// How long a new namespace's service accounts are waited for. OpenShift takes a few seconds; where the Build capability is
/// off, some never come.
const SERVICE_ACCOUNT_TIMEOUT: Duration = Duration::from_secs(20);

/// So many changes are made in a namespace before others have their turn. Every prefix of a plan can be the last of it.
const MAX_CHANGES_PER_PASS: usize = 100;

/// What a namespace waits for whose plan takes more than one round.
const NEXT_PASS_DELAY: &str = "its next round";

/// So often the deletion of an organization is tried; a namespace never waits for it for long.
const MAX_CLEANUP_ATTEMPTS: u32 = 3;

/// What is remembered of a namespace between two looks at it.
#[derive(Default)]
pub(super) struct NamespaceCache {
    /// Its organization, as it was read and as it was made since.
    organization: Option<Organization>,
    /// Since when its service accounts are waited for.
    waiting_since: Option<Instant>,
    /// How often in a row the deletion of its organization failed.
    failed_farewells: u32,
    /// What was known last time led to a failure, so both sides are read anew.
    failed: bool,
}

impl NamespaceCache {
    pub(super) fn is_cacheable(&self) -> bool {
        self.organization.is_some()
            || self.waiting_since.is_some()
            || self.failed_farewells > 0
            || self.failed
    }
}

/// How a look at a namespace went.
struct ReconcileResult {
    outcome: ReconcileOutcome,
    changes: Vec<(Change, Option<String>)>,
    findings: Vec<Finding>,
}

impl ReconcileResult {
    fn without_work(outcome: ReconcileOutcome) -> Self {
        Self { outcome, changes: vec![], findings: vec![] }
    }
}

impl Controller<'_> {
    /// Looks at a namespace and puts right what can be. Says when it is to be looked at again.
    pub(super) async fn reconcile(&self, name: &str) -> Action {
        let started = Instant::now();
        let bound = self.meant().bound().cloned();
        let epoch = bound.as_ref().map_or(0, |bound| bound.epoch);
        let mut memory = self.cached(name, epoch);
        let snapshot = match memory.failed || self.has_mistyped_secret(name, bound.as_deref()) {
            true => self.refetch(name, bound.as_deref()).await,
            false => self.shared.snapshot(name),
        };
        let uid = uid(&snapshot);
        let exists = !matches!(snapshot.namespace, Ok(None));
        let mut look = match &bound {
            Some(bound) if exists => self.look(bound, snapshot, &mut memory).await,
            _ if bound.is_none() => self.finalize_without_quay(&snapshot).await,
            _ => ReconcileResult::without_work(ReconcileOutcome::NotOurs),
        };
        if bound.as_ref().is_some_and(|bound| bound.target.quay.outage().is_some()) {
            self.quay_has_outage.notify_one();
            if let ReconcileOutcome::Failed(reason) | ReconcileOutcome::Stopped(reason) =
                look.outcome
            {
                look.outcome = ReconcileOutcome::Unavailable(reason);
            }
        }
        let next = match &look.outcome {
            ReconcileOutcome::Settled | ReconcileOutcome::NotOurs => Action::AwaitChange,
            ReconcileOutcome::Blocked(_) | ReconcileOutcome::Stopped(_) => Action::Blocked,
            ReconcileOutcome::Waiting(NEXT_PASS_DELAY) => Action::RequeueAfter(Duration::ZERO),
            ReconcileOutcome::Waiting(_) => Action::RequeueAfter(SERVICE_ACCOUNT_TIMEOUT),
            ReconcileOutcome::Failed(_) => Action::Backoff,
            ReconcileOutcome::Unavailable(_) => Action::Unavailable,
        };
        // While Quay is away there is nothing wrong with what is known.
        memory.failed = next == Action::Backoff;
        // Whether builds come home says nothing of whether the namespace is linked, and the other way round.
        let imports = match &bound {
            Some(_) if look.outcome == ReconcileOutcome::NotOurs => {
                self.forget_imports(name);
                Action::AwaitChange
            }
            Some(bound) => self.import(bound, name, &uid).await,
            None => Action::AwaitChange,
        };
        let next = next.sooner(imports);
        let ReconcileResult { outcome, changes, findings } = look;
        self.note(name, &outcome, bound.as_deref());
        if outcome == ReconcileOutcome::NotOurs {
            memory = NamespaceCache::default();
        }
        self.keep(name, epoch, memory);
        self.tell(&ControllerEvent::Reconciled {
            namespace: name.to_owned(),
            uid,
            outcome,
            changes,
            findings,
            took: started.elapsed(),
        });
        next
    }

    /// Keeps account of how the namespaces are.
    fn note(&self, name: &str, outcome: &ReconcileOutcome, bound: Option<&ActiveIntegration>) {
        let mut standings = self.standings();
        let before = match outcome {
            ReconcileOutcome::NotOurs => standings.of.remove(name),
            outcome => standings.of.insert(name.to_owned(), outcome.clone()),
        };
        if let (ReconcileOutcome::Settled, Some(bound)) = (outcome, bound) {
            standings
                .left_behind
                .remove(&bound.target.integration.cluster_id.value.organization(name));
        }
        if before.as_ref() != Some(outcome) {
            self.something_changed.notify_one();
        }
    }

    async fn look(
        &self,
        bound: &ActiveIntegration,
        mut snapshot: NamespaceSnapshot,
        memory: &mut NamespaceCache,
    ) -> ReconcileResult {
        let integration = &bound.target.integration;
        let builds = self.shared.cache().builds.of(&snapshot.name).unwrap_or_default();
        let desired = Desired::of(integration, &snapshot, &BTreeMap::new()).with_builds(
            integration,
            &snapshot,
            &builds,
        );
        let is_to_be_linked =
            Assessed { integration, troubles: &[], snapshot: &snapshot, desired: &desired }
                .is_to_be_linked();
        if !is_to_be_linked {
            return self.finalize(bound, snapshot, &desired, memory).await;
        }
        match still_to_come(&snapshot) {
            Some(what) => {
                // Stays: what never comes is waited for once.
                let since = *memory.waiting_since.get_or_insert_with(Instant::now);
                if since.elapsed() < SERVICE_ACCOUNT_TIMEOUT {
                    return ReconcileResult::without_work(ReconcileOutcome::Waiting(what));
                }
            }
            None => memory.waiting_since = None,
        }
        let remembered = memory.organization.take();
        let is_remembered = remembered.is_some();
        match remembered {
            Some(organization) => snapshot.organization = Ok(Some(organization)),
            None => self.ask_quay(bound, &mut snapshot, &desired).await,
        }
        let (mut plan, mut is_last) = self.plan_pass(bound, &snapshot, &desired);
        if is_remembered && !plan.changes.iter().all(|change| can_plan_from_cache(change, &plan)) {
            self.ask_quay(bound, &mut snapshot, &desired).await;
            (plan, is_last) = self.plan_pass(bound, &snapshot, &desired);
        }
        if plan.creates_organization() {
            bound.target.quay.diagnose().await;
        }
        let troubles = bound.target.quay.troubles();
        let subject =
            Assessed { integration, troubles: &troubles, snapshot: &snapshot, desired: &desired };
        let findings: Vec<_> =
            checks::namespace(&subject).into_iter().flat_map(|check| check.findings).collect();
        if let Some(obstacle) = plan.stopped_by(&bound.session.obstacles(&bound.target)) {
            return ReconcileResult {
                findings,
                ..ReconcileResult::without_work(self.stop(bound, obstacle))
            };
        }
        let changes = self.apply(bound, &snapshot, &desired, &plan, memory).await;
        let outcome = if let Some(reason) = plan.failure(&changes) {
            memory.organization = None;
            ReconcileOutcome::Failed(reason)
        } else if !is_last {
            ReconcileOutcome::Waiting(NEXT_PASS_DELAY)
        } else {
            let left = if changes.is_empty() {
                &findings
            } else {
                &self.findings_left(bound, &snapshot.name, memory)
            };
            let obstacle = plan
                .obstacle()
                .or_else(|| left.iter().find(|finding| finding.severity == Severity::Error));
            obstacle.map_or(ReconcileOutcome::Settled, |finding| {
                ReconcileOutcome::Blocked(in_words(finding))
            })
        };
        if matches!(outcome, ReconcileOutcome::Blocked(_)) {
            // The person may do it in Quay, which cannot be watched.
            memory.organization = None;
        }
        ReconcileResult { outcome, changes, findings }
    }

    /// What becomes of a namespace whose organization is not created for now. What stands in the way concerns all of them, so
    /// it is told once; an outage is told where it is looked after.
    fn stop(&self, bound: &ActiveIntegration, obstacle: &Finding) -> ReconcileOutcome {
        let reason = in_words(obstacle);
        if bound.target.quay.outage().is_none() {
            self.warn_once(&[format!("no organization is created: {reason}")]);
        }
        ReconcileOutcome::Stopped(reason)
    }

    /// What is wrong after the changes, as far as is remembered of both sides.
    fn findings_left(
        &self,
        bound: &ActiveIntegration,
        name: &str,
        memory: &NamespaceCache,
    ) -> Vec<Finding> {
        let integration = &bound.target.integration;
        let snapshot = NamespaceSnapshot {
            organization: Ok(memory.organization.clone()),
            ..self.shared.snapshot(name)
        };
        let desired = Desired::of(integration, &snapshot, &BTreeMap::new());
        if !self.plan_pass(bound, &snapshot, &desired).0.changes.is_empty() {
            // Something was changed meanwhile, which brings the namespace back.
            return vec![];
        }
        let troubles = bound.target.quay.troubles();
        let subject =
            Assessed { integration, troubles: &troubles, snapshot: &snapshot, desired: &desired };
        checks::namespace(&subject).into_iter().flat_map(|check| check.findings).collect()
    }

    /// The next changes, and whether they are the last ones.
    fn plan_pass(
        &self,
        bound: &ActiveIntegration,
        snapshot: &NamespaceSnapshot,
        desired: &Desired,
    ) -> (Plan, bool) {
        let subject =
            Assessed { integration: &bound.target.integration, troubles: &[], snapshot, desired };
        let mut plan = plan::repair(&subject, Options::default());
        plan.changes.splice(0..0, plan::plan_finalizer(&subject, self.options.deletion_policy));
        let is_last = plan.changes.len() <= MAX_CHANGES_PER_PASS;
        plan.changes.truncate(MAX_CHANGES_PER_PASS);
        (plan, is_last)
    }

    /// Whether a secret of another type bears the name of one of ours. Of such a secret no more is followed than that it is
    /// there.
    fn has_mistyped_secret(&self, name: &str, bound: Option<&ActiveIntegration>) -> bool {
        let Some(bound) = bound else { return false };
        let cache = self.shared.cache();
        let others = cache.other_secrets.of(name).unwrap_or_default();
        let id = &bound.target.integration.cluster_id.value;
        !others.is_empty()
            && cache.service_accounts.of(name).iter().flatten().any(|account| {
                let secret = id.secret(&account.name);
                others.iter().any(|other| other.name == secret)
            })
    }

    /// A namespace that is not to be linked: our finalizer comes off, and the organization of one that is being deleted
    /// goes if that was asked for.
    async fn finalize(
        &self,
        bound: &ActiveIntegration,
        mut snapshot: NamespaceSnapshot,
        desired: &Desired,
        memory: &mut NamespaceCache,
    ) -> ReconcileResult {
        let (integration, all) = (&bound.target.integration, self.options.deletion_policy);
        let plan_cleanup = |snapshot: &NamespaceSnapshot| {
            plan::plan_cleanup(&Assessed { integration, troubles: &[], snapshot, desired }, all)
        };
        let mut planned = plan_cleanup(&snapshot);
        if !planned.plan.blocked.is_empty() {
            self.ask_quay(bound, &mut snapshot, desired).await;
            planned = plan_cleanup(&snapshot);
        }
        let guard = plan::plan_finalizer(
            &Assessed { integration, troubles: &[], snapshot: &snapshot, desired },
            all,
        );
        planned.plan.changes.extend(guard);
        let mut changes = self.apply(bound, &snapshot, desired, &planned.plan, memory).await;
        let mut failed = planned.plan.failure(&changes);
        if let Some(why) = failed.clone() {
            memory.failed_farewells += 1;
            if memory.failed_farewells >= MAX_CLEANUP_ATTEMPTS {
                // As if there were none left to delete.
                snapshot.organization = Ok(None);
                planned = CleanupPlan { left_behind: Some(why), ..plan_cleanup(&snapshot) };
                let freed = self.apply(bound, &snapshot, desired, &planned.plan, memory).await;
                failed = planned.plan.failure(&freed);
                changes.extend(freed);
            }
        }
        if let Some(why) = planned.left_behind.filter(|_| failed.is_none()) {
            self.record_orphan(&snapshot, &desired.organization, why);
        }
        ReconcileResult {
            outcome: failed.map_or(ReconcileOutcome::NotOurs, ReconcileOutcome::Failed),
            changes,
            findings: vec![],
        }
    }

    /// Nobody can say which organization would have to go, and the namespace does not wait until somebody can.
    async fn finalize_without_quay(&self, snapshot: &NamespaceSnapshot) -> ReconcileResult {
        let namespace = snapshot.namespace.iter().flatten().next();
        if !namespace.is_some_and(|namespace| namespace.terminating && namespace.is_guarded()) {
            return ReconcileResult::without_work(ReconcileOutcome::NotOurs);
        }
        match self.cluster.guard_namespace(&snapshot.name, false).await {
            Ok(()) => {
                self.record_orphan(
                    snapshot,
                    &self.organization_of(&snapshot.name),
                    "nobody says which Quay it is in".to_owned(),
                );
                ReconcileResult::without_work(ReconcileOutcome::NotOurs)
            }
            Err(error) => {
                ReconcileResult::without_work(ReconcileOutcome::Failed(error.to_string()))
            }
        }
    }

    /// What a namespace's organization is called, as far as is known without any Quay; empty if it is not.
    fn organization_of(&self, namespace: &str) -> String {
        let integrations = self.integrations.borrow();
        let [integration] = integrations.as_deref().unwrap_or_default() else {
            return String::new();
        };
        let given = self.settings.given.cluster_id.as_ref().map(|setting| setting.value.as_str());
        ClusterId::new(given.unwrap_or(&integration.cluster_id)).organization(namespace)
    }

    fn record_orphan(&self, snapshot: &NamespaceSnapshot, organization: &str, why: String) {
        if !organization.is_empty() {
            self.standings().left_behind.insert(organization.to_owned());
        }
        let (namespace, organization) = (snapshot.name.clone(), organization.to_owned());
        self.tell(&ControllerEvent::LeftBehind {
            namespace,
            uid: uid(snapshot),
            organization,
            why,
        });
    }

    async fn ask_quay(
        &self,
        bound: &ActiveIntegration,
        snapshot: &mut NamespaceSnapshot,
        desired: &Desired,
    ) {
        if names::organization(&desired.organization).is_err() {
            return;
        }
        let robots: Vec<_> = desired.accounts.iter().map(|account| account.name.clone()).collect();
        // A namespace without any secret of ours was most likely never linked.
        let is_terminating =
            snapshot.namespace.iter().flatten().any(|namespace| namespace.terminating);
        let depth = match snapshot.secrets.as_ref() {
            _ if is_terminating => ReadStrategy::Owner,
            Ok(secrets) if secrets.is_empty() => ReadStrategy::AssumeNew,
            _ => ReadStrategy::Minimal,
        };
        let (quay, claim) = (&bound.target.quay, Claim::of(snapshot, desired));
        snapshot.organization = quay
            .organization(&desired.organization, &desired.repositories, &robots, depth, &claim)
            .await;
    }

    /// Makes the changes, and remembers what they make of both sides.
    async fn apply(
        &self,
        bound: &ActiveIntegration,
        snapshot: &NamespaceSnapshot,
        desired: &Desired,
        plan: &Plan,
        memory: &mut NamespaceCache,
    ) -> Vec<(Change, Option<String>)> {
        let organization = Mutex::new(snapshot.organization().cloned());
        let work = ApplyInput { changes: &plan.changes, snapshot, desired };
        let outcomes = bound.session.apply(&bound.target, &work, |change, effect| {
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
                    self.shared.cache().secrets.put(found);
                    None
                }
                Some(Effect::ServiceAccount(account)) => {
                    let found = Versioned::new(
                        &snapshot.name,
                        &account.name,
                        &account.resource_version,
                        account.clone(),
                    );
                    self.shared.cache().service_accounts.put(found);
                    None
                }
            };
            apply_to_snapshot(
                &mut organization.lock().unwrap_or_else(PoisonError::into_inner),
                change,
                token,
            );
        });
        let outcomes = outcomes.await;
        memory.organization = organization.into_inner().unwrap_or_else(PoisonError::into_inner);
        let failed = |outcome| match outcome {
            Outcome::Done => None,
            Outcome::Failed(reason) => Some(reason),
            Outcome::Skipped => Some("what it needs could not be done".to_owned()),
        };
        plan.changes.iter().cloned().zip(outcomes.into_iter().map(failed)).collect()
    }

    /// The cluster's side as it is now, whatever the watches told.
    async fn refetch(&self, name: &str, bound: Option<&ActiveIntegration>) -> NamespaceSnapshot {
        let parts =
            self.cluster.namespace_parts(name, None, SecretsMode::Always, BuildsMode::Leave).await;
        let parts = match bound {
            Some(bound) => {
                let id = &bound.target.integration.cluster_id.value;
                self.cluster.complete_secrets(parts, |account| id.secret(account)).await
            }
            None => parts,
        };
        NamespaceSnapshot {
            namespace: parts.namespace,
            service_accounts: parts.service_accounts,
            secrets: parts.secrets.unwrap_or_else(|| Ok(vec![])),
            image_streams: parts.image_streams,
            ..self.shared.snapshot(name)
        }
    }
}

fn in_words(finding: &Finding) -> String {
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

/// What a new namespace does not have yet. Linking it piece by piece would cost Quay more.
fn still_to_come(snapshot: &NamespaceSnapshot) -> Option<&'static str> {
    let namespace: &Namespace = snapshot.namespace.as_ref().ok()?.as_ref()?;
    if !namespace.is_new(Timestamp::now()) {
        return None;
    }
    if namespace.awaits_annotations {
        return Some("OpenShift's annotations");
    }
    let accounts: BTreeSet<_> = snapshot
        .service_accounts
        .as_ref()
        .ok()?
        .iter()
        .map(|account| account.name.as_str())
        .collect();
    let all = DEFAULT_ACCOUNTS.iter().all(|(name, _)| accounts.contains(name));
    (!all).then_some("its service accounts")
}

/// Whether a change may be made by what is remembered of Quay. A robot account's token may have been renewed since, and
/// of a default permission that we made the id is not known.
fn can_plan_from_cache(change: &Change, plan: &Plan) -> bool {
    use Change::*;
    match change {
        CreateSecret { robot, .. } | UpdateSecret { robot, .. } | ReplaceSecret { robot, .. } => {
            plan.changes
                .iter()
                .any(|change| matches!(change, CreateRobot { robot: made, .. } if made == robot))
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
