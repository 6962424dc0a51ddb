//! Gathering: which namespaces are meant, and what both sides hold for them.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::OptionFuture;
use jiff::Timestamp;

use super::{App, QuayConnection as QuayTarget, join_concurrently};
use crate::cli;
use crate::cluster::{BuildsMode, Cluster, NamespaceResources, SecretsMode, not_wanted};
use crate::domain::Role;
use crate::domain::checks::{self, Assessed, Check};
use crate::domain::desired::Desired;
use crate::domain::finding::Severity;
use crate::domain::imports;
use crate::domain::names;
use crate::domain::ownership::Claim;
use crate::domain::scope::{Scope, is_there};
use crate::domain::shell_quote::quoted;
use crate::domain::snapshot::{
    BuildWebhook, BuildWebhookOwners, DryRunBuild, Namespace, NamespaceSnapshot, Observed, Probe,
    ReadError, ReadErrorKind, WaitingPod,
};
use crate::error::Error;
use crate::quay::ReadStrategy;
use crate::ui::Ui;

/// Which namespaces a command works on.
pub(crate) enum NamespaceSelector {
    /// These.
    Named(Vec<String>),
    /// Those with these labels.
    Selected(String),
    /// All that can be seen.
    All,
}

impl NamespaceSelector {
    /// What the arguments say; else `-n`; else the context's namespace.
    pub(crate) fn of(
        target: &cli::TargetArgs,
        global: &cli::GlobalArgs,
        cluster: &Cluster,
    ) -> Result<Self, Error> {
        if target.all_namespaces {
            return Ok(NamespaceSelector::All);
        }
        if let Some(selector) = &target.selector {
            return Ok(NamespaceSelector::Selected(selector.clone()));
        }
        let mut names = target.namespaces.clone();
        names.extend(global.namespace.clone());
        if names.is_empty() {
            names.push(cluster.namespace().to_owned());
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        for name in &names {
            names::kubernetes_name(name).map_err(|problem| {
                Error::new(format!("no namespace can be called that: {problem}"))
            })?;
        }
        Ok(NamespaceSelector::Named(names))
    }

    /// More than one namespace can be meant.
    pub(crate) fn is_many(&self) -> bool {
        !matches!(self, NamespaceSelector::Named(names) if names.len() == 1)
    }
}

impl std::fmt::Display for NamespaceSelector {
    /// As it is typed behind a command.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NamespaceSelector::Named(names) if names.len() == 1 => write!(f, "-n {}", names[0]),
            NamespaceSelector::Named(names) => f.write_str(&names.join(" ")),
            NamespaceSelector::Selected(selector) => write!(f, "-l {}", quoted(selector)),
            NamespaceSelector::All => f.write_str("-A"),
        }
    }
}

/// What the cluster holds for the namespaces that are meant. Nothing in it depends on the integration, so it is read
/// while that is found out.
///
/// # Errors
/// When namespaces cannot be listed, or none has the labels that were asked for: a typing error must not pass for nothing to do.
pub(crate) async fn parts(
    cluster: &Cluster,
    which: &NamespaceSelector,
    secrets: SecretsMode,
    builds: BuildsMode,
    concurrency: usize,
) -> Result<Vec<NamespaceResources>, Error> {
    let parts = parts_left(cluster, which, secrets, builds, concurrency).await?;
    match which {
        NamespaceSelector::Selected(selector) if parts.is_empty() => Err(Error::new(format!(
            "no namespace has the labels {selector}"
        ))
        .hint(format!("check them: oc get namespaces -l {} --show-labels", quoted(selector)))),
        _ => Ok(parts),
    }
}

/// The same for who has found namespaces before, which may be deleted since.
///
/// # Errors
/// When namespaces cannot be listed.
pub(crate) async fn parts_left(
    cluster: &Cluster,
    which: &NamespaceSelector,
    secrets: SecretsMode,
    builds: BuildsMode,
    concurrency: usize,
) -> Result<Vec<NamespaceResources>, Error> {
    let (selector, all) = match which {
        NamespaceSelector::Named(names) => {
            let read = |name| cluster.namespace_parts(name, None, secrets, builds);
            return Ok(join_concurrently(names.iter().map(|name| read(name)), concurrency).await);
        }
        NamespaceSelector::Selected(selector) => (Some(selector.as_str()), None),
        NamespaceSelector::All => (None, Some(cluster.all_parts(builds))),
    };
    let (namespaces, all) = tokio::join!(cluster.namespaces(selector), OptionFuture::from(all));
    let namespaces = match (namespaces, all) {
        (Ok(namespaces), Some(mut all)) => {
            return Ok(namespaces
                .into_iter()
                .map(|(name, namespace)| all.take(&name, namespace))
                .collect());
        }
        // Somebody without cluster rights means the projects they can see.
        (Err(unread), _) if unread.kind == ReadErrorKind::Forbidden => {
            cluster.projects(selector).await
        }
        (namespaces, _) => namespaces,
    };
    let namespaces = namespaces.map_err(|unread| Error::new(unread.to_string()))?;
    let read = |(name, namespace): (String, _)| async move {
        cluster.namespace_parts(&name, Some(namespace), secrets, builds).await
    };
    Ok(join_concurrently(namespaces.into_iter().map(read), concurrency).await)
}

/// The pods that wait for an image, by namespace. Of namespaces that are not named, one list shows all.
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
    WaitingPods { named, others: Err(not_wanted()) }
}

/// Pods that wait for an image.
pub(crate) struct WaitingPods {
    /// Those of namespaces that were asked for one by one.
    named: BTreeMap<String, Observed<Vec<WaitingPod>>>,
    /// Those of all others.
    others: Observed<BTreeMap<String, Vec<WaitingPod>>>,
}

impl WaitingPods {
    /// Nobody asked.
    pub(crate) fn not_wanted() -> Self {
        Self { named: BTreeMap::new(), others: Err(not_wanted()) }
    }

    /// Those of a namespace.
    fn of(&self, namespace: &str) -> Observed<Vec<WaitingPod>> {
        let other = || {
            self.others
                .as_ref()
                .map(|all| all.get(namespace).cloned().unwrap_or_default())
                .map_err(Clone::clone)
        };
        self.named.get(namespace).cloned().unwrap_or_else(other)
    }
}

/// The same with all that is to be known of their builds, and who rewrites these.
pub(crate) async fn parts_and_rewriters(
    cluster: &Cluster,
    which: &NamespaceSelector,
    concurrency: usize,
) -> (Result<Vec<NamespaceResources>, Error>, BuildWebhookOwners) {
    let (parts, webhooks) = tokio::join!(
        parts(cluster, which, SecretsMode::Always, BuildsMode::Read, concurrency),
        cluster.build_webhooks()
    );
    let trial = trial(cluster, parts.as_deref().unwrap_or_default(), &webhooks).await;
    (parts, BuildWebhookOwners { webhooks, trial })
}

/// Has the API server try a build where there are builds; one namespace stands for all. Somebody who may not read webhooks
/// learns so what they do; where there are none, there is nothing to learn.
async fn trial(
    cluster: &Cluster,
    parts: &[NamespaceResources],
    webhooks: &Observed<Vec<BuildWebhook>>,
) -> Option<DryRunBuild> {
    let may_be_there = match webhooks {
        Ok(webhooks) => !webhooks.is_empty(),
        Err(unread) => unread.kind == ReadErrorKind::Forbidden,
    };
    let has_builds = |parts: &&NamespaceResources| {
        parts.build_configs.as_ref().is_ok_and(|configs| !configs.is_empty())
    };
    let namespace = &parts.iter().find(has_builds).filter(|_| may_be_there)?.name;
    let outcome = cluster.dry_run_build(namespace).await?;
    Some(DryRunBuild { namespace: namespace.clone(), outcome })
}

/// How Quay is looked into.
#[derive(Clone, Copy)]
pub(crate) struct ReadOptions {
    /// How much of each organization is read; none if Quay is not asked at all.
    pub quay: Option<ReadStrategy>,
    /// Whether tags of image streams are compared with Quay's.
    pub tags: bool,
    /// Whether the registry is asked what the logins may do.
    pub probe: bool,
    /// Whether namespaces out of scope are looked into too.
    pub beyond_scope: bool,
}

/// A namespace, read and judged.
pub(crate) struct NamespaceAssessment {
    /// What is.
    pub snapshot: NamespaceSnapshot,
    /// What should be.
    pub desired: Desired,
    /// Why it is in or out of scope.
    pub scope: Scope,
    /// What the checks say.
    pub checks: Vec<Check>,
}

impl NamespaceAssessment {
    /// Whether the namespace is being deleted.
    pub(crate) fn is_terminating(&self) -> bool {
        self.namespace().is_some_and(|namespace| namespace.terminating)
    }

    /// Whether the namespace was linked on request.
    pub(crate) fn is_on_request(&self) -> bool {
        self.namespace().is_some_and(|namespace| namespace.linked_on_request)
    }

    /// Whether the namespace is so young that nothing in it is older than what is done now.
    pub(crate) fn is_new(&self) -> bool {
        self.namespace().is_some_and(|namespace| namespace.is_new(Timestamp::now()))
    }

    fn namespace(&self) -> Option<&Namespace> {
        self.snapshot.namespace.as_ref().ok()?.as_ref()
    }

    /// What the checks and the plans look at.
    pub(crate) fn subject<'a>(&'a self, target: &'a QuayTarget) -> Assessed<'a> {
        let integration = &target.integration;
        Assessed { integration, troubles: &[], snapshot: &self.snapshot, desired: &self.desired }
    }

    /// Whether the namespace is in scope, exists as far as is known, and is not being deleted.
    pub(crate) fn is_to_be_linked(&self, target: &QuayTarget) -> bool {
        self.subject(target).is_to_be_linked()
    }
}

impl App {
    /// Adds Quay's side to the parts and judges, several namespaces at once and in order. `each` takes what it needs
    /// of every one, so that thousands never are in memory together.
    pub(crate) async fn assess_each<T>(
        &self,
        ui: &Ui,
        target: &QuayTarget,
        parts: Vec<NamespaceResources>,
        look: ReadOptions,
        requests: &BTreeMap<String, Role>,
        each: impl Fn(NamespaceAssessment) -> T,
    ) -> Vec<T> {
        let one_list_saves_many =
            parts.len() > 1 && look.quay == Some(ReadStrategy::Minimal) && target.has_token;
        let existing = if one_list_saves_many { target.quay.organizations().await } else { None };
        let progress = ui.progress("Reading", parts.len());
        let work = parts.into_iter().map(|parts| {
            let (existing, each, progress) = (existing.as_ref(), &each, &progress);
            async move {
                progress.at(&parts.name);
                let judged = self.judge(target, parts, look, requests, existing).await;
                progress.tick();
                each(judged)
            }
        });
        progress.track(join_concurrently(work, self.concurrency)).await
    }

    async fn judge(
        &self,
        target: &QuayTarget,
        parts: NamespaceResources,
        look: ReadOptions,
        requests: &BTreeMap<String, Role>,
        existing: Option<&BTreeSet<String>>,
    ) -> NamespaceAssessment {
        let integration = &target.integration;
        let scope =
            Scope::from_observed(&parts.name, &parts.namespace, integration.resource.as_ref());
        let worth_a_look = look.beyond_scope || (scope.is_in() && is_there(&parts.namespace));
        let secret_of = |account: &str| integration.cluster_id.value.secret(account);
        let parts = if worth_a_look {
            self.cluster.complete_secrets(parts, secret_of).await
        } else {
            parts
        };
        let not_asked = ReadError {
            call: "ask Quay".into(),
            reason: "there is no token for it".into(),
            kind: ReadErrorKind::Skipped,
        };
        let rewriters = self.snapshot.rewriters.as_ref();
        let mut snapshot = NamespaceSnapshot {
            namespace: parts.namespace,
            service_accounts: parts.service_accounts,
            secrets: parts.secrets.unwrap_or_else(|| Ok(vec![])),
            image_streams: parts.image_streams,
            build_configs: parts.build_configs,
            builds: parts.builds,
            webhooks: rewriters
                .map_or_else(|| Err(not_wanted()), |rewriters| rewriters.webhooks.clone()),
            trial: rewriters.and_then(|rewriters| rewriters.trial_in(&parts.name)).cloned(),
            pods: self.pods.of(&parts.name),
            organization: Err(not_asked),
            probes: vec![],
            name: parts.name,
        };
        let desired = Desired::of(integration, &snapshot, requests);
        let name_is_possible = names::organization(&desired.organization).is_ok();
        if let Some(depth) =
            look.quay.filter(|_| target.has_token && worth_a_look && name_is_possible)
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
        if look.tags {
            compare_tags(target, &mut snapshot, look.probe).await;
        }
        if look.probe && worth_a_look {
            snapshot.probes = probes(target, &snapshot, &desired).await;
        }
        let asks_why =
            look.quay.is_some_and(|depth| depth != ReadStrategy::AssumeNew) && target.has_token;
        if asks_why && matches!(snapshot.organization, Ok(None)) {
            target.quay.diagnose().await;
        }
        let troubles = target.quay.troubles();
        let checks = checks::namespace(&Assessed {
            integration,
            troubles: &troubles,
            snapshot: &snapshot,
            desired: &desired,
        });
        if asks_why && checks.iter().any(|check| check.severity == Severity::Error) {
            // Whoever is about to repair should know beforehand that Quay refuses every change.
            target.quay.check_state().await;
        }
        NamespaceAssessment { snapshot, desired, scope, checks }
    }
}

/// Reads Quay's tags of the repositories that image streams follow: of all of them, or of those that were pushed to since.
async fn compare_tags(target: &QuayTarget, snapshot: &mut NamespaceSnapshot, all: bool) {
    let (Ok(Some(organization)), Ok(streams)) =
        (&mut snapshot.organization, &snapshot.image_streams)
    else {
        return;
    };
    let (integration, quay, namespace) =
        (&target.integration, &target.quay, snapshot.name.as_str());
    if !organization.administered
        || imports::followed(integration, namespace, streams).next().is_none()
    {
        return;
    }
    let name = &integration.cluster_id.value.organization(namespace);
    if organization.pushed.is_none() {
        organization.pushed = quay.pushed(name).await.ok();
    }
    let repositories = if all { imports::followed_repositories } else { imports::pushed_since };
    let wanted = repositories(integration, namespace, streams, organization);
    let work = wanted.into_iter().map(|repository| async move {
        let tags = quay.tags(name, &repository).await;
        (repository, tags.map(Option::unwrap_or_default))
    });
    organization.tags = futures::future::join_all(work).await.into_iter().collect();
}

/// Logs in to the registry with what the secrets really hold.
async fn probes(
    target: &QuayTarget,
    snapshot: &NamespaceSnapshot,
    desired: &Desired,
) -> Vec<Probe> {
    let existing =
        snapshot.organization().and_then(|organization| organization.repositories.as_ref().ok());
    let work = desired.accounts.iter().filter_map(|account| {
        let login = snapshot.secret(&account.secret)?.login_for(desired.place())?;
        // Asking for push creates a repository that does not exist, so it is asked only of those that do.
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
            let outcome = target.quay.probe(login, &wanted).await;
            Probe { service_account: account.name.clone(), outcome }
        })
    });
    futures::future::join_all(work).await
}
