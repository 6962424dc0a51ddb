//! `link`: into scope, and then what a repair does.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::sleep;

use super::changes::{ChangeSet, finish, not_looked_again, obstacles_after, tell_waiting_pods};
use super::{CommandContext, refuse_missing};
use crate::cli::Link;
use crate::cluster::{
    BuildsMode, Cluster, NamespaceResources, SecretsMode, Versioned, WatchUpdate,
};
use crate::domain::Role;
use crate::domain::change::Change;
use crate::domain::checks::Assessed;
use crate::domain::desired::DEFAULT_ACCOUNTS;
use crate::domain::finding::{Code, Finding, ObjectRef};
use crate::domain::integration::{Integration, QuayIntegration};
use crate::domain::plan::{self, Options, Plan};
use crate::domain::scope::{ProtectedNamespace, Scope, allow_namespace, apply_edits};
use crate::domain::snapshot::ServiceAccount;
use crate::error::{Error, ExitStatus};
use crate::ops::collect::{self, NamespaceAssessment, NamespaceSelector, ReadOptions};
use crate::ops::settings::Settings;
use crate::ops::{self, App, QuayConnection};
use crate::quay::ReadStrategy;
use crate::report::{ChangeReport, Format, manifests};

pub(super) async fn run(context: &CommandContext<'_>, args: &Link) -> Result<ExitStatus, Error> {
    let settings = Settings::read(context.global)?;
    let cluster = ops::connect(context.global).await?;
    let linking = LinkRun::of(context, &cluster, args)?;
    let (session, set) = linking.begin(context, &cluster, settings).await?;
    if args.changing.dry_run {
        if context.global.output == Format::Yaml {
            context.ui.out(&manifests(
                set.plans.iter().map(|(judged, plan)| (&judged.snapshot, plan.changes.as_slice())),
            )?)?;
            return Ok(set.refused_or(ExitStatus::Success));
        }
        return Ok(set.refused_or(finish(
            context,
            &set.planned(context, &session, true),
            context.global.output,
        )?));
    }
    let format = set.confirm(context, &session, args.changing)?;
    let (report, set) = linking.carry_out(context, &session, set).await?;
    let ended = finish(context, &report, format)?;
    // Some of what stands in the way shows only when a change failed.
    let is_stopped = report.findings.iter().any(|finding| finding.code.stops_changes());
    Ok(if is_stopped { ExitStatus::Failure } else { set.refused_or(ended) })
}

/// Links namespaces without asking.
///
/// # Errors
/// If it cannot even be planned.
pub(super) async fn link(
    context: &CommandContext<'_>,
    cluster: &Cluster,
    settings: Settings,
    args: &Link,
) -> Result<ChangeReport, Error> {
    let linking = LinkRun::of(context, cluster, args)?;
    let (session, set) = linking.begin(context, cluster, settings).await?;
    Ok(linking.carry_out(context, &session, set).await?.0)
}

struct LinkRun<'a> {
    which: NamespaceSelector,
    requests: BTreeMap<String, Role>,
    args: &'a Link,
}

impl<'a> LinkRun<'a> {
    fn of(context: &CommandContext<'_>, cluster: &Cluster, args: &'a Link) -> Result<Self, Error> {
        let which = NamespaceSelector::of(&args.target, context.global, cluster)?;
        Ok(Self { which, requests: args.service_accounts.iter().cloned().collect(), args })
    }

    fn for_administrator(&self, context: &CommandContext<'_>) -> String {
        let requests =
            self.requests.iter().map(|(name, role)| format!("--service-account {name}={role}"));
        let arguments: Vec<_> = iter::once(self.which.to_string()).chain(requests).collect();
        context.for_administrator(
            "link",
            &arguments,
            &[("--adopt", self.args.adopt), ("--force", self.args.force)],
        )
    }

    /// Reads both sides and plans.
    async fn begin(
        &self,
        context: &CommandContext<'_>,
        cluster: &Cluster,
        settings: Settings,
    ) -> Result<(App, ChangeSet), Error> {
        let settings =
            settings.for_namespaces(&self.which).for_administrator(self.for_administrator(context));
        let (session, parts) = tokio::try_join!(
            App::open(context.ui, context.global, cluster.clone(), settings),
            self.parts(cluster, usize::from(context.global.concurrency))
        )?;
        let target = session.target()?;
        let parts = self.wait(context, &session, target, parts).await?;
        let (mut set, mut refusals) =
            self.plan(context, &session, target, target.integration.resource.clone(), parts).await;
        if !self.which.is_many()
            && let Some(refusal) = refusals.pop()
        {
            return Err(refusal.error);
        }
        // One among several does not keep the others from being linked.
        set.left_out = refusals.into_iter().map(|refusal| *refusal.finding).collect();
        if let Some(obstacle) = session.scope_obstacle() {
            context.ui.warn(&obstacle.message);
        }
        Ok((session, set))
    }

    /// Makes the changes. An organization that is taken over is looked into and linked once it is ours. Whatever fails after
    /// the first change is a finding, so that the report shows what was done.
    async fn carry_out(
        &self,
        context: &CommandContext<'_>,
        session: &App,
        set: ChangeSet,
    ) -> Result<(ChangeReport, ChangeSet), Error> {
        let target = session.target()?;
        let mut entries = set.apply(context, session, target).await;
        let mut last = set;
        if last.has_taken_over(&entries) {
            // What an organization holds shows only once it is ours.
            match collect::parts_left(
                &session.cluster,
                &self.which,
                SecretsMode::IfReferenced,
                BuildsMode::Leave,
                session.concurrency,
            )
            .await
            {
                Ok(parts) => {
                    let mut resource = target.integration.resource.clone();
                    if let Some(resource) = &mut resource {
                        last.scope.apply(&mut resource.allow, &mut resource.deny);
                    }
                    let (next, refusals) =
                        self.plan(context, session, target, resource, parts).await;
                    last = next.without_takeovers();
                    last.left_out = refusals.into_iter().map(|refusal| *refusal.finding).collect();
                    entries.extend(last.apply(context, session, target).await);
                }
                Err(error) => last.left_out.push(not_looked_again(&error)),
            }
        }
        tell_waiting_pods(context, session, &last).await;
        let mut findings = obstacles_after(session, target, &entries).await;
        for finding in last.findings() {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        Ok((
            ChangeReport::new(
                context.invocation,
                session.endpoints(),
                "link",
                false,
                entries,
                findings,
            ),
            last,
        ))
    }

    async fn parts(
        &self,
        cluster: &Cluster,
        concurrency: usize,
    ) -> Result<Vec<NamespaceResources>, Error> {
        collect::parts(
            cluster,
            &self.which,
            SecretsMode::IfReferenced,
            BuildsMode::Leave,
            concurrency,
        )
        .await
    }

    /// Waits until the service accounts that are to be linked have appeared, or the patience is over; what the cluster holds
    /// then.
    async fn wait(
        &self,
        context: &CommandContext<'_>,
        session: &App,
        target: &QuayConnection,
        mut parts: Vec<NamespaceResources>,
    ) -> Result<Vec<NamespaceResources>, Error> {
        let resource = target.integration.resource.as_ref();
        let is_meant = |parts: &&NamespaceResources| {
            !matches!(self.which, NamespaceSelector::All)
                || Scope::from_observed(&parts.name, &parts.namespace, resource).is_in()
        };
        let missing = parts
            .iter()
            .filter(is_meant)
            .map(|parts| (parts.name.clone(), self.still_to_come(parts)));
        let missing: BTreeMap<_, _> =
            missing.filter(|(_, accounts)| !accounts.is_empty()).collect();
        if missing.is_empty() || self.args.wait.is_zero() {
            return Ok(parts);
        }
        let accounts: BTreeSet<&str> = missing.values().flatten().map(String::as_str).collect();
        let accounts = accounts.into_iter().collect::<Vec<_>>().join(", ");
        let namespaces = match missing.len() {
            1 => missing.keys().next().map_or_else(String::new, |name| format!("namespace {name}")),
            several => format!("{several} namespaces"),
        };
        context.ui.status(&format!("Waiting for service account {accounts} in {namespaces}"));
        let waited_for: Vec<String> = missing.keys().cloned().collect();
        let missing = watch::Sender::new(missing);
        let follow = async {
            match self.which {
                NamespaceSelector::All => {
                    session.cluster.follow_service_accounts(|news| take(&missing, news)).await
                }
                _ => {
                    let follow = |name| {
                        session
                            .cluster
                            .follow_service_accounts_in(name, |news| take(&missing, news))
                    };
                    join_all(waited_for.iter().map(|name| follow(name))).await;
                }
            }
        };
        let mut all_there = missing.subscribe();
        tokio::select! {
            () = follow => {}
            _ = all_there.wait_for(BTreeMap::is_empty) => {}
            () = sleep(self.args.wait) => {}
        }
        let which = NamespaceSelector::Named(waited_for);
        for read in collect::parts(
            &session.cluster,
            &which,
            SecretsMode::IfReferenced,
            BuildsMode::Leave,
            session.concurrency,
        )
        .await?
        {
            parts
                .iter_mut()
                .filter(|parts| parts.name == read.name)
                .for_each(|parts| *parts = read.clone());
        }
        Ok(parts)
    }

    /// Service accounts that were asked for, and those that every new namespace gets after a moment. In an older one
    /// that has none, none will come: the capability is off.
    fn still_to_come(&self, parts: &NamespaceResources) -> Vec<String> {
        let (Ok(existing), Ok(Some(namespace))) = (&parts.service_accounts, &parts.namespace)
        else {
            return vec![];
        };
        if namespace.terminating {
            return vec![];
        }
        let usual = DEFAULT_ACCOUNTS
            .iter()
            .map(|(name, _)| *name)
            .filter(|_| namespace.is_new(Timestamp::now()));
        let wanted = usual.chain(self.requests.keys().map(String::as_str));
        wanted
            .filter(|name| existing.iter().all(|account| account.name != *name))
            .map(str::to_owned)
            .collect()
    }

    /// Plans with `resource`, the QuayIntegration as it is by now. Also says which namespaces cannot be linked.
    async fn plan(
        &self,
        context: &CommandContext<'_>,
        session: &App,
        target: &QuayConnection,
        mut resource: Option<QuayIntegration>,
        parts: Vec<NamespaceResources>,
    ) -> (ChangeSet, Vec<LinkRefusal>) {
        let look = ReadOptions {
            quay: Some(ReadStrategy::AssumeNew),
            tags: false,
            probe: false,
            beyond_scope: true,
        };
        let mut set = ChangeSet::new("link");
        let mut refusals = Vec::new();
        let mut all = session
            .assess_each(context.ui, target, parts, look, &self.requests, |judged| judged)
            .await;
        all.retain(|judged| {
            !matches!(self.which, NamespaceSelector::All) || judged.is_to_be_linked(target)
        });
        if all.iter().any(lacks_organization) {
            // Before the first change: an organization without robot accounts is of no use.
            target.quay.diagnose().await;
        }
        set.obstacles = session.obstacles(target);
        for judged in all {
            if !set.obstacles.is_empty() && judged.snapshot.organization.is_err() {
                continue;
            }
            let mut edited = resource.clone();
            match self
                .refuse_impossible(&judged)
                .and_then(|()| self.plan_one(target, &mut edited, &judged))
            {
                Ok((_, plan)) if plan.stopped_by(&set.obstacles).is_some() => {}
                Ok((scope, plan)) => {
                    resource = edited;
                    set.add(judged, scope, plan);
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        (set, refusals)
    }

    fn refuse_impossible(&self, judged: &NamespaceAssessment) -> Result<(), LinkRefusal> {
        let name = &judged.snapshot.name;
        let of_namespace = |error| {
            LinkRefusal::new(
                error,
                Code::NamespaceMissing,
                ObjectRef::cluster("Namespace", name),
                name,
            )
        };
        refuse_missing(name, &judged.snapshot.namespace).map_err(of_namespace)?;
        if judged.is_terminating() {
            return Err(of_namespace(Error::new(format!("namespace {name} is being deleted"))));
        }
        let Ok(existing) = &judged.snapshot.service_accounts else { return Ok(()) };
        match self
            .requests
            .keys()
            .find(|wanted| existing.iter().all(|account| account.name != **wanted))
        {
            Some(missing) => {
                let error = Error::new(format!(
                    "there is no service account {missing} in namespace {name}"
                ))
                .hint(format!("create it first: oc create serviceaccount {missing} -n {name}"));
                let object = ObjectRef::namespaced("ServiceAccount", name, missing);
                Err(LinkRefusal::new(error, Code::ServiceAccountMissing, object, name))
            }
            None => Ok(()),
        }
    }

    /// The changes that bring the namespace into scope, and the plan as it is once they are made. They are made on `resource`,
    /// the QuayIntegration as it will be.
    fn plan_one(
        &self,
        target: &QuayConnection,
        resource: &mut Option<QuayIntegration>,
        judged: &NamespaceAssessment,
    ) -> Result<(Vec<Change>, Plan), LinkRefusal> {
        let mut snapshot = judged.snapshot.clone();
        let name = &snapshot.name;
        let scope =
            allow_namespace(name, judged.is_on_request(), resource.as_ref(), self.args.force)
                .map_err(|ProtectedNamespace| {
                    let error = Error::new(format!("namespace {name} is excluded by its name"))
                        .hint("--force links it anyway");
                    LinkRefusal::new(
                        error,
                        Code::OutOfScope,
                        ObjectRef::cluster("Namespace", name),
                        name,
                    )
                })?;
        apply_edits(&scope, resource.as_mut());
        let integration = Integration { resource: resource.clone(), ..target.integration.clone() };
        if scope.iter().any(|change| matches!(change, Change::AnnotateNamespace { .. }))
            && let Ok(Some(namespace)) = &mut snapshot.namespace
        {
            namespace.linked_on_request = true;
        }
        let subject = Assessed {
            integration: &integration,
            troubles: &[],
            snapshot: &snapshot,
            desired: &judged.desired,
        };
        Ok((scope, plan::repair(&subject, Options { adopt: self.args.adopt, rotate: false })))
    }
}

fn lacks_organization(judged: &NamespaceAssessment) -> bool {
    matches!(judged.snapshot.organization, Ok(None))
}

/// Why a namespace cannot be linked: an error where it is the only one, a finding among several.
struct LinkRefusal {
    error: Error,
    finding: Box<Finding>,
}

impl LinkRefusal {
    fn new(error: Error, code: Code, object: ObjectRef, namespace: &str) -> Self {
        let reason = error.messages().join(": ");
        let message = format!("Namespace {namespace} is not linked: {reason}");
        Self {
            finding: Box::new(Finding::new(code, object, message).in_namespace(namespace)),
            error,
        }
    }
}

/// Takes service accounts that have appeared off the list of those that are missing.
fn take(missing: &watch::Sender<BTreeMap<String, Vec<String>>>, news: WatchUpdate<ServiceAccount>) {
    let found = match news {
        WatchUpdate::All(_, all) => all,
        WatchUpdate::Changed(one) => vec![one],
        WatchUpdate::Gone(_) | WatchUpdate::Unread(_) => return,
    };
    missing.send_modify(|missing| {
        for Versioned { namespace, name, .. } in found {
            if let Some(accounts) = missing.get_mut(&namespace) {
                accounts.retain(|account| *account != name);
            }
        }
        missing.retain(|_, accounts| !accounts.is_empty());
    });
}
