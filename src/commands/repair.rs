//! `repair`: plans, applies, and checks what remains.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;

use super::changes::{
    ChangeSet, finish, obstacles_after, reassessment_failed, report_waiting_pods,
};
use super::{CommandContext, select_namespaces};
use crate::cli::Repair;
use crate::cluster::{BuildsMode, Cluster, ResourceAttributes, SecretsMode};
use crate::domain::change::Change;
use crate::domain::checks::{self, Assessed, Check};
use crate::domain::finding::{Code, Finding, Severity};
use crate::domain::plan::{self, Options, Plan};
use crate::domain::snapshot::{BuildWebhookOwners, NamespaceSnapshot};
use crate::error::{Error, ExitStatus};
use crate::ops::collect::{self, NamespaceAssessment, NamespaceSelector, ReadOptions};
use crate::ops::settings::Settings;
use crate::ops::{self, App, QuayConnection};
use crate::quay::ReadStrategy;
use crate::report::{ChangeEntry, ChangeReport, ChangeState};

pub(super) async fn run(context: &CommandContext<'_>, args: &Repair) -> Result<ExitStatus, Error> {
    let settings = Settings::read(&context.connection)?;
    let cluster = ops::connect(&context.connection).await?;
    let which = select_namespaces(context, &args.target, &cluster)?;
    let switches = [("--rotate", args.rotate), ("--adopt", args.adopt), ("--probe", args.probe)];
    let settings = settings.for_namespaces(&which).for_administrator(context.for_administrator(
        "repair",
        &[which.to_string()],
        &switches,
    ));
    let (app, snapshots, webhooks) = tokio::join!(
        App::open(context.ui, &context.connection, cluster.clone(), settings),
        collect::read_namespaces(
            &cluster,
            &which,
            SecretsMode::Always,
            BuildsMode::Read,
            context.connection.cluster.concurrency
        ),
        cluster.build_webhooks(),
    );
    let app = app?.with_rewriters(BuildWebhookOwners { webhooks, trial: None });
    let target = app.target()?;
    let strategy = if which.is_many() { ReadStrategy::Minimal } else { ReadStrategy::Full };
    let read =
        ReadOptions { quay: Some(strategy), tags: true, probe: args.probe, beyond_scope: false };
    let repair_run = RepairRun { context, app: &app, target, which: &which, read };

    let options = Options { adopt: args.adopt, rotate: args.rotate };
    let (set, mut findings) = repair_run.plan(snapshots?, options).await;
    if args.changing.dry_run {
        let findings = repair_run.after_integration_findings(set.blocked());
        let report = ChangeReport::new(
            context.invocation,
            super::endpoints(&app),
            "repair",
            true,
            set.entries(),
            findings,
        );
        let status = finish(context, &report, context.output)?;
        return Ok(if set.obstacles.is_empty() { status } else { ExitStatus::Findings });
    }
    let format = set.confirm(context, &app, args.changing)?;
    let mut entries = set.apply(context, &app, target).await;
    let mut is_complete = true;
    if set.len() > 0 {
        let without_rotation = Options { rotate: false, ..options };
        let (next, remaining) = repair_run.reassess(without_rotation).await;
        (is_complete, findings) = (next.is_some(), remaining);
        // The content of an organization is only readable after its adoption.
        let next = next.map(ChangeSet::without_takeovers);
        if let Some(next) = next.filter(|next| set.has_takeover() && next.len() > 0) {
            entries.extend(next.apply(context, &app, target).await);
            let (last, remaining) = repair_run.reassess(without_rotation).await;
            (is_complete, findings) = (last.is_some(), remaining);
        }
        findings.retain(|finding| !is_expected_deletion(&set, finding));
        remove_hints_of_failed_changes(&entries, &mut findings);
        // Later plans do not rotate, so they lack this finding.
        findings.extend(
            set.blocked().into_iter().filter(|finding| finding.code == Code::TokenNotRenewed),
        );
    }
    report_waiting_pods(context, &app, &set).await;
    obstacles_after(&app, target, &entries).await;
    let mut findings = repair_run.after_integration_findings(findings);
    for warning in set.plans.iter().flat_map(|(_, plan)| &plan.warnings) {
        if !findings.contains(warning) {
            findings.push(warning.clone());
        }
    }
    let report = ChangeReport::new(
        context.invocation,
        super::endpoints(&app),
        "repair",
        false,
        entries,
        findings,
    );
    let status = finish(context, &report, format)?;
    Ok(if is_complete { status } else { ExitStatus::Findings })
}

/// The first changes of the controller, which are a repair of all namespaces, and the cluster and Quay that they are for.
///
/// # Errors
/// If planning fails.
pub(super) async fn plan_all(
    context: &CommandContext<'_>,
    cluster: &Cluster,
    settings: Settings,
    dry_run: bool,
) -> Result<(String, ChangeReport), Error> {
    let which = NamespaceSelector::All;
    let (app, snapshots) = tokio::join!(
        App::open(context.ui, &context.connection, cluster.clone(), settings),
        collect::read_namespaces(
            cluster,
            &which,
            SecretsMode::Always,
            BuildsMode::Leave,
            context.connection.cluster.concurrency
        ),
    );
    let app = app?;
    let target = app.target()?;
    let read = ReadOptions {
        quay: Some(ReadStrategy::Minimal),
        tags: false,
        probe: false,
        beyond_scope: false,
    };
    let repair_run = RepairRun { context, app: &app, target, which: &which, read };
    let (set, _) = repair_run.plan(snapshots?, Options::default()).await;
    let findings = repair_run.after_integration_findings(set.blocked());
    Ok((
        app.endpoint_lines(),
        ChangeReport::new(
            context.invocation,
            super::endpoints(&app),
            "run",
            dry_run,
            set.entries(),
            findings,
        ),
    ))
}

struct RepairRun<'a> {
    context: &'a CommandContext<'a>,
    app: &'a App,
    target: &'a QuayConnection,
    which: &'a NamespaceSelector,
    read: ReadOptions,
}

impl RepairRun<'_> {
    async fn plan(
        &self,
        snapshots: Vec<NamespaceSnapshot>,
        options: Options,
    ) -> (ChangeSet, Vec<Finding>) {
        let integration = &self.target.integration;
        let plan_namespace = |assessment: NamespaceAssessment| {
            let subject = Assessed::new(integration, &assessment.snapshot, &assessment.desired);
            let plan = plan::repair(&subject, options);
            let findings: Vec<Finding> = assessment.checks.iter().flat_map(remaining).collect();
            // Do not keep thousands of namespaces without changes.
            let work = (!plan.changes.is_empty() || !plan.blocked.is_empty())
                .then_some((assessment, plan));
            (work, findings)
        };
        let mut set = ChangeSet::new("repair");
        let mut findings = Vec::new();
        let assessment = self
            .app
            .assess_each(
                self.context.ui,
                self.target,
                snapshots,
                self.read,
                &BTreeMap::new(),
                plan_namespace,
            )
            .await;
        for (work, remaining) in assessment {
            findings.extend(remaining);
            if let Some((assessment, plan)) = work {
                set.add(assessment, vec![], plan);
            }
        }
        let obstacles = self.app.obstacles(self.target);
        let planned = set.plans.len();
        set.plans.retain(|(_, plan)| plan.stopped_by(&obstacles).is_none());
        if set.plans.len() < planned {
            set.obstacles = obstacles;
        }
        if options.rotate {
            self.withhold_rotations(&mut set, options).await;
        }
        let identity = |finding: &Finding| {
            (
                finding.code,
                finding.namespace.clone(),
                finding.object.kind,
                finding.object.name.clone(),
            )
        };
        let reported: BTreeSet<_> = findings.iter().map(identity).collect();
        findings.extend(
            set.blocked().into_iter().filter(|blocked| !reported.contains(&identity(blocked))),
        );
        (set, findings)
    }

    /// Plans again after changes. Without a plan if the namespaces could not be read, which is a finding.
    async fn reassess(&self, options: Options) -> (Option<ChangeSet>, Vec<Finding>) {
        let (cluster, concurrency) = (&self.app.cluster, self.app.concurrency);
        match collect::reread_namespaces(
            cluster,
            self.which,
            SecretsMode::Always,
            BuildsMode::Read,
            concurrency,
        )
        .await
        {
            Ok(snapshots) => {
                let (set, findings) = self.plan(snapshots, options).await;
                (Some(set), findings)
            }
            Err(error) => (None, vec![reassessment_failed(&error)]),
        }
    }

    /// Plans again without rotation where the user is not allowed to write the secrets, since a rotation invalidates the
    /// current token immediately.
    async fn withhold_rotations(&self, set: &mut ChangeSet, options: Options) {
        let rotating = set.plans.iter_mut().filter(|(_, plan)| plan.has_rotation());
        let work = rotating.map(|(assessment, plan)| async move {
            let Some(reason) = self.secrets_obstacle(&assessment.snapshot.name, plan).await else {
                return;
            };
            let subject = assessment.subject(self.target);
            *plan = plan::repair(&subject, Options { rotate: false, ..options });
            plan.blocked.push(plan::token_not_renewed(&subject, &reason));
        });
        futures::stream::iter(work).buffered(self.app.concurrency).collect::<()>().await;
    }

    async fn secrets_obstacle(&self, namespace: &str, plan: &Plan) -> Option<String> {
        let permission = |verb| ResourceAttributes {
            verb,
            group: "",
            resource: "secrets",
            namespace: Some(namespace.to_owned()),
            name: None,
        };
        let permissions: Vec<_> = plan.secret_verbs().into_iter().map(permission).collect();
        match self.app.cluster.missing_permissions(&permissions).await {
            Ok(lacking) => {
                lacking.first().map(|lacking| format!("you are not allowed to {lacking}"))
            }
            Err(unread) => Some(unread.to_string()),
        }
    }

    /// The findings after those of the integration: if Quay rejects the token, a namespace has no changes, but is not
    /// healthy either.
    fn after_integration_findings(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let checks = checks::integration(&self.app.snapshot, Some(&self.target.quay.problems()));
        let mut all: Vec<_> = checks.iter().flat_map(remaining).collect();
        let others: Vec<_> =
            findings.into_iter().filter(|finding| !all.contains(finding)).collect();
        all.extend(others);
        all
    }
}

/// A change that failed for this user is not suggested again.
fn remove_hints_of_failed_changes(entries: &[ChangeEntry], findings: &mut [Finding]) {
    let has_failed = |finding: &Finding| {
        let mut failed = entries.iter().filter(|entry| entry.state == ChangeState::Failed);
        failed.any(|entry| entry.namespace == finding.namespace && entry.object == finding.object)
    };
    let not_administered =
        findings.iter_mut().filter(|finding| finding.code == Code::OrganizationNotAdministered);
    not_administered.filter(|finding| has_failed(finding)).for_each(|finding| finding.hint = None);
}

/// A namespace without its finalizer is deleted, which is not a finding.
fn is_expected_deletion(set: &ChangeSet, finding: &Finding) -> bool {
    let is_released = |change: &Change| match change {
        Change::RemoveOperatorFinalizer { namespace, .. }
        | Change::SetFinalizer { namespace, guarded: false, .. } => {
            finding.namespace.as_ref() == Some(namespace)
        }
        _ => false,
    };
    finding.code == Code::NamespaceMissing
        && set.plans.iter().any(|(_, plan)| plan.changes.iter().any(is_released))
}

fn remaining(check: &Check) -> Vec<Finding> {
    let is_reported =
        |finding: &&Finding| finding.severity > Severity::Info || finding.code == Code::OutOfScope;
    check.findings.iter().filter(is_reported).cloned().collect()
}
