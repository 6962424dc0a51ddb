//! `link`: brings namespaces into scope and repairs them.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::sleep;

use super::changes::{
    ChangeSet, finish, obstacles_after, reassessment_failed, report_waiting_pods,
};
use super::{CommandContext, require_namespace, select_namespaces};
use crate::cli::Link;
use crate::cluster::{BuildsMode, Cluster, SecretsMode, Versioned, WatchUpdate};
use crate::domain::Role;
use crate::domain::change::Change;
use crate::domain::checks::Assessed;
use crate::domain::desired::DEFAULT_ACCOUNTS;
use crate::domain::finding::{Code, Finding, ObjectRef};
use crate::domain::integration::{Integration, QuayIntegration};
use crate::domain::plan::{self, Options, Plan};
use crate::domain::scope::{ProtectedNamespace, Scope, allow_namespace, apply_edits};
use crate::domain::snapshot::{NamespaceSnapshot, ServiceAccount};
use crate::error::{Error, ExitStatus};
use crate::ops::collect::{self, NamespaceAssessment, NamespaceSelector, ReadOptions};
use crate::ops::settings::Settings;
use crate::ops::{self, App, QuayConnection};
use crate::quay::ReadStrategy;
use crate::report::{ChangeReport, Format, manifests};

pub(super) async fn run(context: &CommandContext<'_>, args: &Link) -> Result<ExitStatus, Error> {
    let settings = Settings::read(&context.connection)?;
    let cluster = ops::connect(&context.connection).await?;
    let link_run = LinkRun::new(context, &cluster, args)?;
    let (app, set) = link_run.plan_all(context, &cluster, settings).await?;
    if args.changing.dry_run {
        if context.output == Format::Yaml {
            context.ui.out(&manifests(
                set.plans
                    .iter()
                    .map(|(assessment, plan)| (&assessment.snapshot, plan.changes.as_slice())),
            )?)?;
            return Ok(set.exit_status_or(ExitStatus::Success));
        }
        return Ok(set.exit_status_or(finish(
            context,
            &set.planned(context, &app, true),
            context.output,
        )?));
    }
    let format = set.confirm(context, &app, args.changing)?;
    let (report, set) = link_run.execute(context, &app, set).await?;
    let status = finish(context, &report, format)?;
    // Some blocking findings only show when a change fails.
    let is_stopped = report.findings.iter().any(|finding| finding.code.stops_changes());
    Ok(if is_stopped { ExitStatus::Failure } else { set.exit_status_or(status) })
}

/// Links namespaces without confirmation.
///
/// # Errors
/// If planning fails.
pub(super) async fn link(
    context: &CommandContext<'_>,
    cluster: &Cluster,
    settings: Settings,
    args: &Link,
) -> Result<ChangeReport, Error> {
    let link_run = LinkRun::new(context, cluster, args)?;
    let (app, set) = link_run.plan_all(context, cluster, settings).await?;
    Ok(link_run.execute(context, &app, set).await?.0)
}

struct LinkRun<'a> {
    which: NamespaceSelector,
    requests: BTreeMap<String, Role>,
    args: &'a Link,
}

impl<'a> LinkRun<'a> {
    fn new(context: &CommandContext<'_>, cluster: &Cluster, args: &'a Link) -> Result<Self, Error> {
        let which = select_namespaces(context, &args.target, cluster)?;
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

    async fn plan_all(
        &self,
        context: &CommandContext<'_>,
        cluster: &Cluster,
        settings: Settings,
    ) -> Result<(App, ChangeSet), Error> {
        let settings =
            settings.for_namespaces(&self.which).for_administrator(self.for_administrator(context));
        let (app, snapshots) = tokio::try_join!(
            App::open(context.ui, &context.connection, cluster.clone(), settings),
            self.read_namespaces(cluster, context.connection.cluster.concurrency)
        )?;
        let target = app.target()?;
        let snapshots = self.wait_for_service_accounts(context, &app, target, snapshots).await?;
        let (mut set, mut rejections) =
            self.plan(context, &app, target, target.integration.resource.clone(), snapshots).await;
        if !self.which.is_many()
            && let Some(rejection) = rejections.pop()
        {
            return Err(rejection.error);
        }
        // The others of several namespaces are linked.
        set.left_out = rejections.into_iter().map(|rejection| *rejection.finding).collect();
        if let Some(obstacle) = app.scope_obstacle() {
            context.ui.warn(&obstacle.message);
        }
        Ok((app, set))
    }

    /// Makes the changes. An adopted organization is read and linked in a second pass. Failures after the first change are
    /// findings, so that the report shows the changes made.
    async fn execute(
        &self,
        context: &CommandContext<'_>,
        app: &App,
        set: ChangeSet,
    ) -> Result<(ChangeReport, ChangeSet), Error> {
        let target = app.target()?;
        let mut entries = set.apply(context, app, target).await;
        let mut last = set;
        if last.has_taken_over(&entries) {
            // The content of an organization is only readable after its adoption.
            match collect::reread_namespaces(
                &app.cluster,
                &self.which,
                SecretsMode::IfReferenced,
                BuildsMode::Leave,
                app.concurrency,
            )
            .await
            {
                Ok(snapshots) => {
                    let mut resource = target.integration.resource.clone();
                    if let Some(resource) = &mut resource {
                        last.scope.apply(&mut resource.allow, &mut resource.deny);
                    }
                    let (next, rejections) =
                        self.plan(context, app, target, resource, snapshots).await;
                    last = next.without_takeovers();
                    last.left_out =
                        rejections.into_iter().map(|rejection| *rejection.finding).collect();
                    entries.extend(last.apply(context, app, target).await);
                }
                Err(error) => last.left_out.push(reassessment_failed(&error)),
            }
        }
        report_waiting_pods(context, app, &last).await;
        let mut findings = obstacles_after(app, target, &entries).await;
        for finding in last.findings() {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        Ok((
            ChangeReport::new(
                context.invocation,
                super::endpoints(app),
                "link",
                false,
                entries,
                findings,
            ),
            last,
        ))
    }

    async fn read_namespaces(
        &self,
        cluster: &Cluster,
        concurrency: usize,
    ) -> Result<Vec<NamespaceSnapshot>, Error> {
        collect::read_namespaces(
            cluster,
            &self.which,
            SecretsMode::IfReferenced,
            BuildsMode::Leave,
            concurrency,
        )
        .await
    }

    /// Waits for missing service accounts, at most `--wait`, and reads the resources of these namespaces again.
    async fn wait_for_service_accounts(
        &self,
        context: &CommandContext<'_>,
        app: &App,
        target: &QuayConnection,
        mut snapshots: Vec<NamespaceSnapshot>,
    ) -> Result<Vec<NamespaceSnapshot>, Error> {
        let resource = target.integration.resource.as_ref();
        let is_selected = |snapshot: &&NamespaceSnapshot| {
            !matches!(self.which, NamespaceSelector::All)
                || Scope::from_observed(&snapshot.name, &snapshot.namespace, resource).is_in()
        };
        let missing = snapshots
            .iter()
            .filter(is_selected)
            .map(|snapshot| (snapshot.name.clone(), self.missing_service_accounts(snapshot)));
        let missing: BTreeMap<_, _> =
            missing.filter(|(_, accounts)| !accounts.is_empty()).collect();
        if missing.is_empty() || self.args.wait.is_zero() {
            return Ok(snapshots);
        }
        let accounts: BTreeSet<&str> = missing.values().flatten().map(String::as_str).collect();
        let accounts = accounts.into_iter().collect::<Vec<_>>().join(", ");
        let namespaces = match missing.len() {
            1 => missing.keys().next().map_or_else(String::new, |name| format!("namespace {name}")),
            several => format!("{several} namespaces"),
        };
        context.ui.status(&format!("Waiting for service account {accounts} in {namespaces}"));
        let names: Vec<String> = missing.keys().cloned().collect();
        let missing = watch::Sender::new(missing);
        let watch_accounts = async {
            match self.which {
                NamespaceSelector::All => {
                    app.cluster
                        .follow_service_accounts(|update| remove_created(&missing, update))
                        .await
                }
                _ => {
                    let watch_namespace = |name| {
                        app.cluster.follow_service_accounts_in(name, |update| {
                            remove_created(&missing, update)
                        })
                    };
                    join_all(names.iter().map(|name| watch_namespace(name))).await;
                }
            }
        };
        let mut completed = missing.subscribe();
        tokio::select! {
            () = watch_accounts => {}
            _ = completed.wait_for(BTreeMap::is_empty) => {}
            () = sleep(self.args.wait) => {}
        }
        let which = NamespaceSelector::Named(names);
        for read in collect::read_namespaces(
            &app.cluster,
            &which,
            SecretsMode::IfReferenced,
            BuildsMode::Leave,
            app.concurrency,
        )
        .await?
        {
            snapshots
                .iter_mut()
                .filter(|snapshot| snapshot.name == read.name)
                .for_each(|snapshot| *snapshot = read.clone());
        }
        Ok(snapshots)
    }

    /// Missing ones of `--service-account`, and of OpenShift's defaults in a new namespace. In an older namespace the defaults
    /// are not created any more: the capability is disabled.
    fn missing_service_accounts(&self, snapshot: &NamespaceSnapshot) -> Vec<String> {
        let (Ok(existing), Ok(Some(namespace))) = (&snapshot.service_accounts, &snapshot.namespace)
        else {
            return vec![];
        };
        if namespace.terminating {
            return vec![];
        }
        let defaults = DEFAULT_ACCOUNTS
            .iter()
            .map(|(name, _)| *name)
            .filter(|_| namespace.is_new(Timestamp::now()));
        let wanted = defaults.chain(self.requests.keys().map(String::as_str));
        wanted
            .filter(|name| existing.iter().all(|account| account.name != *name))
            .map(str::to_owned)
            .collect()
    }

    async fn plan(
        &self,
        context: &CommandContext<'_>,
        app: &App,
        target: &QuayConnection,
        mut resource: Option<QuayIntegration>,
        snapshots: Vec<NamespaceSnapshot>,
    ) -> (ChangeSet, Vec<LinkRejection>) {
        let options = ReadOptions {
            quay: Some(ReadStrategy::AssumeNew),
            tags: false,
            probe: false,
            beyond_scope: true,
        };
        let mut set = ChangeSet::new("link");
        let mut rejections = Vec::new();
        let mut all = app
            .assess_each(context.ui, target, snapshots, options, &self.requests, |assessment| {
                assessment
            })
            .await;
        all.retain(|assessment| {
            !matches!(self.which, NamespaceSelector::All) || assessment.is_to_be_linked(target)
        });
        if all.iter().any(lacks_organization) {
            // Diagnose before the first change: an organization without robot accounts is useless.
            target.quay.diagnose().await;
        }
        set.obstacles = app.obstacles(target);
        for assessment in all {
            if !set.obstacles.is_empty() && assessment.snapshot.organization.is_err() {
                continue;
            }
            let mut edited = resource.clone();
            match self
                .check_preconditions(&assessment)
                .and_then(|()| self.plan_namespace(target, &mut edited, &assessment))
            {
                Ok((_, plan)) if plan.stopped_by(&set.obstacles).is_some() => {}
                Ok((scope, plan)) => {
                    resource = edited;
                    set.add(assessment, scope, plan);
                }
                Err(rejection) => rejections.push(rejection),
            }
        }
        (set, rejections)
    }

    fn check_preconditions(&self, assessment: &NamespaceAssessment) -> Result<(), LinkRejection> {
        let name = &assessment.snapshot.name;
        let rejection = |error| {
            LinkRejection::new(
                error,
                Code::NamespaceMissing,
                ObjectRef::cluster("Namespace", name),
                name,
            )
        };
        require_namespace(name, &assessment.snapshot.namespace).map_err(rejection)?;
        if assessment.is_terminating() {
            return Err(rejection(Error::new(format!("namespace {name} is being deleted"))));
        }
        let Ok(existing) = &assessment.snapshot.service_accounts else { return Ok(()) };
        match self
            .requests
            .keys()
            .find(|wanted| existing.iter().all(|account| account.name != **wanted))
        {
            Some(missing) => {
                let error =
                    Error::new(format!("service account {missing} not found in namespace {name}"))
                        .hint(format!("oc create serviceaccount {missing} -n {name}"));
                let object = ObjectRef::namespaced("ServiceAccount", name, missing);
                Err(LinkRejection::new(error, Code::ServiceAccountMissing, object, name))
            }
            None => Ok(()),
        }
    }

    /// The changes that bring the namespace into scope, which are applied to `resource`, and the plan after them.
    fn plan_namespace(
        &self,
        target: &QuayConnection,
        resource: &mut Option<QuayIntegration>,
        assessment: &NamespaceAssessment,
    ) -> Result<(Vec<Change>, Plan), LinkRejection> {
        let mut snapshot = assessment.snapshot.clone();
        let name = &snapshot.name;
        let scope =
            allow_namespace(name, assessment.is_on_request(), resource.as_ref(), self.args.force)
                .map_err(|ProtectedNamespace| {
                let error = Error::new(format!("namespace {name} is protected"))
                    .hint("use --force to link it anyway");
                LinkRejection::new(
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
        let subject = Assessed::new(&integration, &snapshot, &assessment.desired);
        Ok((scope, plan::repair(&subject, Options { adopt: self.args.adopt, rotate: false })))
    }
}

fn lacks_organization(assessment: &NamespaceAssessment) -> bool {
    matches!(assessment.snapshot.organization, Ok(None))
}

/// The reason not to link a namespace: an error for a single namespace, a finding for one of several.
struct LinkRejection {
    error: Error,
    finding: Box<Finding>,
}

impl LinkRejection {
    fn new(error: Error, code: Code, object: ObjectRef, namespace: &str) -> Self {
        let reason = error.messages().join(": ");
        let message = format!("Namespace {namespace} is not linked: {reason}");
        Self {
            finding: Box::new(Finding::new(code, object, message).in_namespace(namespace)),
            error,
        }
    }
}

fn remove_created(
    missing: &watch::Sender<BTreeMap<String, Vec<String>>>,
    update: WatchUpdate<ServiceAccount>,
) {
    let created = match update {
        WatchUpdate::All(_, all) => all,
        WatchUpdate::Changed(account) => vec![account],
        WatchUpdate::Gone(_) | WatchUpdate::Unread(_) => return,
    };
    missing.send_modify(|missing| {
        for Versioned { namespace, name, .. } in created {
            if let Some(accounts) = missing.get_mut(&namespace) {
                accounts.retain(|account| *account != name);
            }
        }
        missing.retain(|_, accounts| !accounts.is_empty());
    });
}
