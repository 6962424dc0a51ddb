//! `repair`: snapshot, plan, apply, and a second look at what remains.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;

use super::CommandContext;
use super::changes::{ChangeSet, finish, not_looked_again, obstacles_after, tell_waiting_pods};
use crate::cli::Repair;
use crate::cluster::{BuildsMode, Cluster, NamespaceResources, ResourceAttributes, SecretsMode};
use crate::domain::change::Change;
use crate::domain::checks::{self, Assessed, Check};
use crate::domain::finding::{Code, Finding, Severity};
use crate::domain::plan::{self, Options, Plan};
use crate::domain::snapshot::BuildWebhookOwners;
use crate::error::{Error, ExitStatus};
use crate::ops::collect::{self, NamespaceAssessment, NamespaceSelector, ReadOptions};
use crate::ops::settings::Settings;
use crate::ops::{self, App, QuayConnection};
use crate::quay::ReadStrategy;
use crate::report::{ChangeEntry, ChangeReport, ChangeState};

pub(super) async fn run(context: &CommandContext<'_>, args: &Repair) -> Result<ExitStatus, Error> {
    let global = context.global;
    let settings = Settings::read(global)?;
    let cluster = ops::connect(global).await?;
    let which = NamespaceSelector::of(&args.target, global, &cluster)?;
    let switches = [("--rotate", args.rotate), ("--adopt", args.adopt), ("--probe", args.probe)];
    let settings = settings.for_namespaces(&which).for_administrator(context.for_administrator(
        "repair",
        &[which.to_string()],
        &switches,
    ));
    let (session, parts, webhooks) = tokio::join!(
        App::open(context.ui, global, cluster.clone(), settings),
        collect::parts(
            &cluster,
            &which,
            SecretsMode::Always,
            BuildsMode::Read,
            usize::from(global.concurrency)
        ),
        cluster.build_webhooks(),
    );
    let session = session?.with_rewriters(BuildWebhookOwners { webhooks, trial: None });
    let target = session.target()?;
    let depth = if which.is_many() { ReadStrategy::Minimal } else { ReadStrategy::Full };
    let look =
        ReadOptions { quay: Some(depth), tags: true, probe: args.probe, beyond_scope: false };
    let repairing = RepairRun { context, session: &session, target, which: &which, look };

    let options = Options { adopt: args.adopt, rotate: args.rotate };
    let (set, mut findings) = repairing.plan(parts?, options).await;
    if args.changing.dry_run {
        let findings = repairing.after_integration_findings(set.blocked());
        let report = ChangeReport::new(
            context.invocation,
            session.endpoints(),
            "repair",
            true,
            set.entries(),
            findings,
        );
        let ended = finish(context, &report, global.output)?;
        return Ok(if set.obstacles.is_empty() { ended } else { ExitStatus::Findings });
    }
    let format = set.confirm(context, &session, args.changing)?;
    let mut entries = set.apply(context, &session, target).await;
    let mut is_seen = true;
    if set.len() > 0 {
        let once_is_enough = Options { rotate: false, ..options };
        let (next, remaining) = repairing.reassess(once_is_enough).await;
        (is_seen, findings) = (next.is_some(), remaining);
        // What an organization holds shows only once it is ours.
        let next = next.map(ChangeSet::without_takeovers);
        if let Some(next) = next.filter(|next| set.takes_over() && next.len() > 0) {
            entries.extend(next.apply(context, &session, target).await);
            let (last, remaining) = repairing.reassess(once_is_enough).await;
            (is_seen, findings) = (last.is_some(), remaining);
        }
        findings.retain(|finding| !is_expected_deletion(&set, finding));
        forget_hints_of_refusals(&entries, &mut findings);
        // The later plans renew nothing, so they do not say it.
        findings.extend(
            set.blocked().into_iter().filter(|finding| finding.code == Code::TokenNotRenewed),
        );
    }
    tell_waiting_pods(context, &session, &set).await;
    obstacles_after(&session, target, &entries).await;
    let mut findings = repairing.after_integration_findings(findings);
    for warning in set.plans.iter().flat_map(|(_, plan)| &plan.warnings) {
        if !findings.contains(warning) {
            findings.push(warning.clone());
        }
    }
    let report = ChangeReport::new(
        context.invocation,
        session.endpoints(),
        "repair",
        false,
        entries,
        findings,
    );
    let ended = finish(context, &report, format)?;
    Ok(if is_seen { ended } else { ExitStatus::Findings })
}

/// What the bridge would do at first, and where: what a repair of all namespaces does.
///
/// # Errors
/// If it cannot be planned.
pub(super) async fn plan_all(
    context: &CommandContext<'_>,
    cluster: &Cluster,
    settings: Settings,
    dry_run: bool,
) -> Result<(String, ChangeReport), Error> {
    let which = NamespaceSelector::All;
    let (session, parts) = tokio::join!(
        App::open(context.ui, context.global, cluster.clone(), settings),
        collect::parts(
            cluster,
            &which,
            SecretsMode::Always,
            BuildsMode::Leave,
            usize::from(context.global.concurrency)
        ),
    );
    let session = session?;
    let target = session.target()?;
    let look = ReadOptions {
        quay: Some(ReadStrategy::Minimal),
        tags: false,
        probe: false,
        beyond_scope: false,
    };
    let repairing = RepairRun { context, session: &session, target, which: &which, look };
    let (set, _) = repairing.plan(parts?, Options::default()).await;
    let findings = repairing.after_integration_findings(set.blocked());
    Ok((
        session.place(),
        ChangeReport::new(
            context.invocation,
            session.endpoints(),
            "run",
            dry_run,
            set.entries(),
            findings,
        ),
    ))
}

struct RepairRun<'a> {
    context: &'a CommandContext<'a>,
    session: &'a App,
    target: &'a QuayConnection,
    which: &'a NamespaceSelector,
    look: ReadOptions,
}

impl RepairRun<'_> {
    /// The plans, and the findings that they start from.
    async fn plan(
        &self,
        parts: Vec<NamespaceResources>,
        options: Options,
    ) -> (ChangeSet, Vec<Finding>) {
        let integration = &self.target.integration;
        let judge = |judged: NamespaceAssessment| {
            let subject = Assessed {
                integration,
                troubles: &[],
                snapshot: &judged.snapshot,
                desired: &judged.desired,
            };
            let plan = plan::repair(&subject, options);
            let findings: Vec<Finding> = judged.checks.iter().flat_map(remaining).collect();
            // Thousands of namespaces with nothing to do are not kept.
            let work =
                (!plan.changes.is_empty() || !plan.blocked.is_empty()).then_some((judged, plan));
            (work, findings)
        };
        let mut set = ChangeSet::new("repair");
        let mut findings = Vec::new();
        let judged = self
            .session
            .assess_each(self.context.ui, self.target, parts, self.look, &BTreeMap::new(), judge)
            .await;
        for (work, remaining) in judged {
            findings.extend(remaining);
            if let Some((judged, plan)) = work {
                set.add(judged, vec![], plan);
            }
        }
        let obstacles = self.session.obstacles(self.target);
        let planned = set.plans.len();
        set.plans.retain(|(_, plan)| plan.stopped_by(&obstacles).is_none());
        if set.plans.len() < planned {
            set.obstacles = obstacles;
        }
        if options.rotate {
            self.withhold_rotations(&mut set, options).await;
        }
        let about = |finding: &Finding| {
            (
                finding.code,
                finding.namespace.clone(),
                finding.object.kind,
                finding.object.name.clone(),
            )
        };
        let told: BTreeSet<_> = findings.iter().map(about).collect();
        findings
            .extend(set.blocked().into_iter().filter(|blocked| !told.contains(&about(blocked))));
        (set, findings)
    }

    /// The same after changes. That nothing could be read is a finding then, and no plan, so that the report shows what was
    /// done.
    async fn reassess(&self, options: Options) -> (Option<ChangeSet>, Vec<Finding>) {
        let (cluster, concurrency) = (&self.session.cluster, self.session.concurrency);
        match collect::parts_left(
            cluster,
            self.which,
            SecretsMode::Always,
            BuildsMode::Read,
            concurrency,
        )
        .await
        {
            Ok(parts) => {
                let (set, findings) = self.plan(parts, options).await;
                (Some(set), findings)
            }
            Err(error) => (None, vec![not_looked_again(&error)]),
        }
    }

    /// Plans again, without rotations, where the user is not allowed to write the secrets: the old token is invalid as
    /// soon as it is renewed.
    async fn withhold_rotations(&self, set: &mut ChangeSet, options: Options) {
        let rotating = set.plans.iter_mut().filter(|(_, plan)| plan.has_rotation());
        let work = rotating.map(|(judged, plan)| async move {
            let Some(reason) = self.write_obstacle(&judged.snapshot.name, plan).await else {
                return;
            };
            let subject = judged.subject(self.target);
            *plan = plan::repair(&subject, Options { rotate: false, ..options });
            plan.blocked.push(plan::not_renewed(&subject, &reason));
        });
        futures::stream::iter(work).buffered(self.session.concurrency).collect::<()>().await;
    }

    /// Why the secrets of a plan cannot be written; one question for each verb, which is one in most cases.
    async fn write_obstacle(&self, namespace: &str, plan: &Plan) -> Option<String> {
        let right = |verb| ResourceAttributes {
            verb,
            group: "",
            resource: "secrets",
            namespace: Some(namespace.to_owned()),
            name: None,
        };
        let rights: Vec<_> = plan.secret_verbs().into_iter().map(right).collect();
        match self.session.cluster.lacking(&rights).await {
            Ok(lacking) => lacking.first().map(|right| format!("you are not allowed to {right}")),
            Err(unread) => Some(unread.to_string()),
        }
    }

    /// The findings, after what is wrong with the integration as a whole: where Quay does not let us in, there is nothing to
    /// do in a namespace, and still it is not as it should be.
    fn after_integration_findings(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let checks =
            checks::integration(&self.session.snapshot, Some(&self.target.quay.troubles()));
        let mut all: Vec<_> = checks.iter().flat_map(remaining).collect();
        let others: Vec<_> =
            findings.into_iter().filter(|finding| !all.contains(finding)).collect();
        all.extend(others);
        all
    }
}

/// What was refused to this user is not worth another try.
fn forget_hints_of_refusals(entries: &[ChangeEntry], findings: &mut [Finding]) {
    let is_refused = |finding: &Finding| {
        let mut failed = entries.iter().filter(|entry| entry.state == ChangeState::Failed);
        failed.any(|entry| entry.namespace == finding.namespace && entry.object == finding.object)
    };
    let not_administered =
        findings.iter_mut().filter(|finding| finding.code == Code::OrganizationNotAdministered);
    not_administered.filter(|finding| is_refused(finding)).for_each(|finding| finding.hint = None);
}

/// A namespace that hung and was released is gone, and that is no finding.
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

/// What is worth telling after a repair.
fn remaining(check: &Check) -> Vec<Finding> {
    let worth_telling =
        |finding: &&Finding| finding.severity > Severity::Info || finding.code == Code::OutOfScope;
    check.findings.iter().filter(worth_telling).cloned().collect()
}
