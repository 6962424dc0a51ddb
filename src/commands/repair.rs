//! `repair`: snapshot, plan, apply, and a second look at what remains.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use super::changes::{ChangeSet, finish};
use super::gather::{self, Judged, Look, Which};
use super::session::{self, Session, Target};
use super::settings::Settings;
use crate::bridge::checks::{self, Check, Subject};
use crate::bridge::finding::{Finding, Level};
use crate::bridge::plan::{self, Options};
use crate::cli::Repair;
use crate::cluster::{Parts, Secrets};
use crate::error::{Error, ExitStatus};
use crate::quay::Depth;
use crate::report::ChangeReport;

pub(super) async fn run(context: &Context<'_>, args: &Repair) -> Result<ExitStatus, Error> {
    let global = context.global;
    let settings = Settings::read(global)?;
    let cluster = session::connect(global).await?;
    let which = Which::of(&args.target, global, &cluster)?;
    let parallel = usize::from(global.parallel);
    let read = || gather::parts(&cluster, &which, Secrets::Always, parallel);
    let (session, parts) = tokio::join!(Session::open(context.ui, global, cluster.clone(), settings), read());
    let session = session?;
    let target = session.target()?;
    let look =
        Look { quay: Some(if which.is_many() { Depth::Lean } else { Depth::Full }), probe: args.probe, beyond_scope: false };

    let mut options = Options { adopt: args.adopt, rotate: args.rotate };
    let (set, mut findings) = plan(context, &session, target, parts?, look, options).await;
    if args.changing.dry_run {
        let findings = [integration_findings(&session, target), set.blocked()].concat();
        let report = ChangeReport::new(context.program, "repair", true, set.entries(), findings);
        return finish(context, &report, global.output);
    }
    let format = set.confirm(context, args.changing)?;
    let mut entries = set.apply(context, &session, target).await;
    if set.len() > 0 {
        // What an organization holds shows only once it is ours, so taking one over leads to a second plan.
        options.rotate = false;
        let (next, remaining) = plan(context, &session, target, read().await?, look, options).await;
        findings = remaining;
        if set.takes_over() && next.len() > 0 {
            entries.extend(next.apply(context, &session, target).await);
            findings = plan(context, &session, target, read().await?, look, options).await.1;
        }
    }
    findings.splice(0..0, integration_findings(&session, target));
    finish(context, &ChangeReport::new(context.program, "repair", false, entries, findings), format)
}

/// The plans, and the findings that they start from.
async fn plan(
    context: &Context<'_>,
    session: &Session,
    target: &Target,
    parts: Vec<Parts>,
    look: Look,
    options: Options,
) -> (ChangeSet, Vec<Finding>) {
    let mut set = ChangeSet::new("repair");
    let judge = |judged: Judged| {
        let subject =
            Subject { integration: &target.integration, troubles: &[], snapshot: &judged.snapshot, desired: &judged.desired };
        let plan = plan::repair(&subject, options);
        let findings: Vec<Finding> = judged.checks.iter().flat_map(remaining).collect();
        // Thousands of namespaces with nothing to do are not kept.
        let work = (!plan.changes.is_empty() || !plan.blocked.is_empty()).then_some((judged, plan));
        (work, findings)
    };
    let mut findings = Vec::new();
    for (work, remaining) in session.judge_each(context.ui, target, parts, look, &BTreeMap::new(), judge).await {
        findings.extend(remaining);
        if let Some((judged, plan)) = work {
            set.add(judged, vec![], plan);
        }
    }
    let about = |finding: &Finding| (finding.code, finding.namespace.clone(), finding.object.kind, finding.object.name.clone());
    let told: BTreeSet<_> = findings.iter().map(about).collect();
    findings.extend(set.blocked().into_iter().filter(|blocked| !told.contains(&about(blocked))));
    (set, findings)
}

/// What is worth telling after a repair.
fn remaining(check: &Check) -> Vec<Finding> {
    let worth_telling =
        |finding: &&Finding| finding.level > Level::Info || finding.code == crate::bridge::finding::Code::OutOfScope;
    check.findings.iter().filter(worth_telling).cloned().collect()
}

/// What is wrong with the integration as a whole: where Quay does not let us in, there is nothing to do in a namespace,
/// and still it is not as it should be.
fn integration_findings(session: &Session, target: &Target) -> Vec<Finding> {
    checks::integration(&session.snapshot, &target.quay.troubles()).iter().flat_map(remaining).collect()
}
