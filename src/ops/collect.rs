//! Reads the selected namespaces from the cluster and Quay.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::OptionFuture;
use jiff::Timestamp;

use super::{App, QuayConnection as QuayTarget, join_concurrently};
use crate::cluster::{BuildsMode, Cluster, SecretsMode};
use crate::domain::Role;
use crate::domain::checks::{self, Assessed, Check};
use crate::domain::desired::Desired;
use crate::domain::finding::Severity;
use crate::domain::imports;
use crate::domain::names;
use crate::domain::ownership::Claim;
use crate::domain::scope::{Scope, is_active};
use crate::domain::shell_quote::quoted;
use crate::domain::snapshot::{
    BuildWebhook, BuildWebhookOwners, DryRunBuild, Namespace, NamespaceSnapshot, Observed, Probe,
    ReadError, ReadErrorKind, WaitingPod,
};
use crate::error::Error;
use crate::quay::ReadStrategy;
use crate::ui::Ui;

/// The namespaces that a command works on.
pub(crate) enum NamespaceSelector {
    Named(Vec<String>),
    /// A label selector.
    Selected(String),
    /// All accessible namespaces.
    All,
}

impl NamespaceSelector {
    /// Whether it can select more than one namespace.
    pub(crate) fn is_many(&self) -> bool {
        !matches!(self, NamespaceSelector::Named(names) if names.len() == 1)
    }
}

impl std::fmt::Display for NamespaceSelector {
    /// As command-line arguments.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NamespaceSelector::Named(names) if names.len() == 1 => write!(f, "-n {}", names[0]),
            NamespaceSelector::Named(names) => f.write_str(&names.join(" ")),
            NamespaceSelector::Selected(selector) => write!(f, "-l {}", quoted(selector)),
            NamespaceSelector::All => f.write_str("-A"),
        }
    }
}

/// Reads the selected namespaces from the cluster. This does not depend on the integration, so both
/// can be read concurrently.
///
/// # Errors
/// If namespaces cannot be listed, or none matches the label selector, which is probably a typing
/// error.
pub(crate) async fn read_namespaces(
    cluster: &Cluster,
    which: &NamespaceSelector,
    secrets: SecretsMode,
    builds: BuildsMode,
    concurrency: usize,
) -> Result<Vec<NamespaceSnapshot>, Error> {
    let snapshots = reread_namespaces(cluster, which, secrets, builds, concurrency).await?;
    match which {
        NamespaceSelector::Selected(selector) if snapshots.is_empty() => {
            Err(Error::new(format!("no namespace matches the selector {selector}")).hint(format!(
                "check the labels: oc get namespaces -l {} --show-labels",
                quoted(selector)
            )))
        }
        _ => Ok(snapshots),
    }
}

/// Reads namespaces again, of which some might be deleted since.
///
/// # Errors
/// If namespaces cannot be listed.
pub(crate) async fn reread_namespaces(
    cluster: &Cluster,
    which: &NamespaceSelector,
    secrets: SecretsMode,
    builds: BuildsMode,
    concurrency: usize,
) -> Result<Vec<NamespaceSnapshot>, Error> {
    let (selector, all) = match which {
        NamespaceSelector::Named(names) => {
            let read = |name| cluster.namespace_resources(name, None, secrets, builds);
            return Ok(join_concurrently(names.iter().map(|name| read(name)), concurrency).await);
        }
        NamespaceSelector::Selected(selector) => (Some(selector.as_str()), None),
        NamespaceSelector::All => (None, Some(cluster.all_resources(builds))),
    };
    let (namespaces, all) = tokio::join!(cluster.namespaces(selector), OptionFuture::from(all));
    let namespaces = match (namespaces, all) {
        (Ok(namespaces), Some(mut all)) => {
            return Ok(namespaces
                .into_iter()
                .map(|(name, namespace)| all.take(&name, namespace))
                .collect());
        }
        // For a user without cluster permissions, list the projects that are visible to them.
        (Err(unread), _) if unread.kind == ReadErrorKind::Forbidden => {
            cluster.projects(selector).await
        }
        (namespaces, _) => namespaces,
    };
    let namespaces = namespaces.map_err(|unread| Error::new(unread.to_string()))?;
    let read = |(name, namespace): (String, _)| async move {
        cluster.namespace_resources(&name, Some(namespace), secrets, builds).await
    };
    Ok(join_concurrently(namespaces.into_iter().map(read), concurrency).await)
}

/// Reads the pods that wait for an image, with one list for all namespaces that are not named.
pub(crate) async fn waiting_pods(
    cluster: &Cluster,
    which: &NamespaceSelector,
    concurrency: usize,
) -> WaitingPods {
    let NamespaceSelector::Named(names) = which else {
        return WaitingPods { named: BTreeMap::new(), others: cluster.waiting_pods(None).await };
    };
    let read = async |name: &String| {
        let found = cluster.waiting_pods(Some(name)).await;
        (name.clone(), found.map(|mut found| found.remove(name).unwrap_or_default()))
    };
    let named = join_concurrently(names.iter().map(read), concurrency).await.into_iter().collect();
    WaitingPods { named, others: Err(ReadError::not_requested()) }
}

/// Pods that wait for an image, by namespace.
pub(crate) struct WaitingPods {
    /// For named namespaces.
    named: BTreeMap<String, Observed<Vec<WaitingPod>>>,
    /// For all other namespaces.
    others: Observed<BTreeMap<String, Vec<WaitingPod>>>,
}

impl WaitingPods {
    pub(crate) fn not_requested() -> Self {
        Self { named: BTreeMap::new(), others: Err(ReadError::not_requested()) }
    }

    fn in_namespace(&self, namespace: &str) -> Observed<Vec<WaitingPod>> {
        let other = || {
            self.others
                .as_ref()
                .map(|all| all.get(namespace).cloned().unwrap_or_default())
                .map_err(Clone::clone)
        };
        self.named.get(namespace).cloned().unwrap_or_else(other)
    }
}

/// Reads namespaces with their builds, and the webhooks that rewrite these.
pub(crate) async fn read_namespaces_and_webhooks(
    cluster: &Cluster,
    which: &NamespaceSelector,
    concurrency: usize,
) -> (Result<Vec<NamespaceSnapshot>, Error>, BuildWebhookOwners) {
    let (snapshots, webhooks) = tokio::join!(
        read_namespaces(cluster, which, SecretsMode::Always, BuildsMode::Read, concurrency),
        cluster.build_webhooks()
    );
    let trial = dry_run_build(cluster, snapshots.as_deref().unwrap_or_default(), &webhooks).await;
    (snapshots, BuildWebhookOwners { webhooks, trial })
}

/// Creates a build with `dryRun` in one namespace that has BuildConfigs, to see whether a webhook
/// rewrites it. This works without permission to read webhooks.
async fn dry_run_build(
    cluster: &Cluster,
    snapshots: &[NamespaceSnapshot],
    webhooks: &Observed<Vec<BuildWebhook>>,
) -> Option<DryRunBuild> {
    let might_exist = match webhooks {
        Ok(webhooks) => !webhooks.is_empty(),
        Err(unread) => unread.kind == ReadErrorKind::Forbidden,
    };
    let has_builds = |snapshot: &&NamespaceSnapshot| {
        snapshot.build_configs.as_ref().is_ok_and(|configs| !configs.is_empty())
    };
    let namespace = &snapshots.iter().find(has_builds).filter(|_| might_exist)?.name;
    let outcome = cluster.dry_run_build(namespace).await?;
    Some(DryRunBuild { namespace: namespace.clone(), outcome })
}

#[derive(Clone, Copy)]
pub(crate) struct ReadOptions {
    /// `None` to read nothing from Quay.
    pub quay: Option<ReadStrategy>,
    /// Compare tags of image streams with Quay's.
    pub tags: bool,
    /// Log in to the registry with the credentials in the secrets.
    pub probe: bool,
    /// Also read namespaces out of scope.
    pub beyond_scope: bool,
}

/// The state of a namespace with the results of the checks.
pub(crate) struct NamespaceAssessment {
    pub snapshot: NamespaceSnapshot,
    pub desired: Desired,
    pub scope: Scope,
    pub checks: Vec<Check>,
}

impl NamespaceAssessment {
    pub(crate) fn is_terminating(&self) -> bool {
        self.namespace().is_some_and(|namespace| namespace.terminating)
    }

    pub(crate) fn is_on_request(&self) -> bool {
        self.namespace().is_some_and(|namespace| namespace.linked_on_request)
    }

    /// Whether the namespace is so new that no pod in it predates the changes.
    pub(crate) fn is_new(&self) -> bool {
        self.namespace().is_some_and(|namespace| namespace.is_new(Timestamp::now()))
    }

    fn namespace(&self) -> Option<&Namespace> {
        self.snapshot.namespace.as_ref().ok()?.as_ref()
    }

    /// The input of checks and plans.
    pub(crate) fn subject<'a>(&'a self, target: &'a QuayTarget) -> Assessed<'a> {
        let integration = &target.integration;
        Assessed::new(integration, &self.snapshot, &self.desired)
    }

    /// Whether the namespace is in scope, exists as far as is known, and is not being deleted.
    pub(crate) fn is_to_be_linked(&self, target: &QuayTarget) -> bool {
        self.subject(target).is_to_be_linked()
    }
}

impl App {
    /// Reads each namespace's organization and runs the checks, concurrently. The result of `each`
    /// is kept instead of the assessment, so that thousands of namespaces fit in memory.
    pub(crate) async fn assess_each<T>(
        &self,
        ui: &Ui,
        target: &QuayTarget,
        snapshots: Vec<NamespaceSnapshot>,
        options: ReadOptions,
        requests: &BTreeMap<String, Role>,
        each: impl Fn(NamespaceAssessment) -> T,
    ) -> Vec<T> {
        let uses_organization_list =
            snapshots.len() > 1 && options.quay == Some(ReadStrategy::Minimal) && target.has_token;
        let existing =
            if uses_organization_list { target.quay.organization_names().await } else { None };
        let progress = ui.progress("Reading", snapshots.len());
        let work = snapshots.into_iter().map(|snapshot| {
            let (existing, each, progress) = (existing.as_ref(), &each, &progress);
            async move {
                progress.at(&snapshot.name);
                let assessment = self.assess(target, snapshot, options, requests, existing).await;
                progress.tick();
                each(assessment)
            }
        });
        progress.track(join_concurrently(work, self.concurrency)).await
    }

    async fn assess(
        &self,
        target: &QuayTarget,
        mut snapshot: NamespaceSnapshot,
        options: ReadOptions,
        requests: &BTreeMap<String, Role>,
        existing: Option<&BTreeSet<String>>,
    ) -> NamespaceAssessment {
        let integration = &target.integration;
        let scope = Scope::from_observed(
            &snapshot.name,
            &snapshot.namespace,
            integration.resource.as_ref(),
        );
        let is_relevant = options.beyond_scope || (scope.is_in() && is_active(&snapshot.namespace));
        let secret_name = |account: &str| integration.cluster_id.value.secret(account);
        if is_relevant {
            snapshot = self.cluster.complete_secrets(snapshot, secret_name).await;
        }
        if let Some(rewriters) = &self.snapshot.rewriters {
            snapshot.webhooks = rewriters.webhooks.clone();
            snapshot.trial = rewriters.trial_in(&snapshot.name).cloned();
        }
        snapshot.pods = self.pods.in_namespace(&snapshot.name);
        snapshot.organization = Err(ReadError {
            call: "ask Quay".into(),
            reason: "there is no token for it".into(),
            kind: ReadErrorKind::Skipped,
        });
        let desired = Desired::of(integration, &snapshot, requests);
        let name_is_possible = names::validate_organization(&desired.organization).is_ok();
        if let Some(depth) =
            options.quay.filter(|_| target.has_token && is_relevant && name_is_possible)
        {
            snapshot.organization =
                if existing.is_some_and(|existing| !existing.contains(&desired.organization)) {
                    Ok(None)
                } else {
                    let robots: Vec<_> =
                        desired.accounts.iter().map(|account| account.name.clone()).collect();
                    target
                        .quay
                        .organization(
                            &desired.organization,
                            &desired.repositories,
                            &robots,
                            depth,
                            &Claim::of(&snapshot, &desired),
                        )
                        .await
                };
        }
        if options.tags {
            compare_tags(target, &mut snapshot, options.probe).await;
        }
        if options.probe && is_relevant {
            snapshot.probes = probes(target, &snapshot, &desired).await;
        }
        let is_diagnosed =
            options.quay.is_some_and(|depth| depth != ReadStrategy::AssumeNew) && target.has_token;
        if is_diagnosed && matches!(snapshot.organization, Ok(None)) {
            target.quay.diagnose().await;
        }
        let problems = target.quay.problems();
        let checks = checks::namespace(
            &Assessed::new(integration, &snapshot, &desired).with_problems(&problems),
        );
        if is_diagnosed && checks.iter().any(|check| check.severity == Severity::Error) {
            // Before a repair, check whether Quay rejects every change.
            target.quay.check_read_only().await;
        }
        NamespaceAssessment { snapshot, desired, scope, checks }
    }
}

/// Reads the tags in Quay that image streams follow: all, or only those of repositories with later
/// pushes.
async fn compare_tags(target: &QuayTarget, snapshot: &mut NamespaceSnapshot, all: bool) {
    let (Ok(Some(organization)), Ok(streams)) =
        (&mut snapshot.organization, &snapshot.image_streams)
    else {
        return;
    };
    let (integration, quay, namespace) =
        (&target.integration, &target.quay, snapshot.name.as_str());
    if !organization.administered
        || imports::followed_tags(integration, namespace, streams).next().is_none()
    {
        return;
    }
    let name = &integration.cluster_id.value.organization(namespace);
    if organization.pushed.is_none() {
        organization.pushed = quay.last_pushes(name).await.ok();
    }
    let repositories = if all { imports::followed_repositories } else { imports::pushed_since };
    let wanted = repositories(integration, namespace, streams, organization);
    let work = wanted.into_iter().map(|repository| async move {
        let tags = quay.tags(name, &repository).await;
        (repository, tags.map(Option::unwrap_or_default))
    });
    organization.tags = futures::future::join_all(work).await.into_iter().collect();
}

/// Logs in to the registry with the credentials in the secrets.
async fn probes(
    target: &QuayTarget,
    snapshot: &NamespaceSnapshot,
    desired: &Desired,
) -> Vec<Probe> {
    let existing =
        snapshot.organization().and_then(|organization| organization.repositories.as_ref().ok());
    let work = desired.accounts.iter().filter_map(|account| {
        let credentials = snapshot.secret(&account.secret)?.credentials_for(desired.place())?;
        // A request for push access would create a missing repository.
        let wanted: Vec<_> = desired
            .repositories
            .iter()
            .map(|name| {
                (
                    format!("{}/{name}", desired.organization),
                    existing.is_some_and(|existing| existing.contains(name)),
                )
            })
            .collect();
        Some(async move {
            let outcome = target.quay.probe(credentials, &wanted).await;
            Probe { service_account: account.name.clone(), outcome }
        })
    });
    futures::future::join_all(work).await
}
