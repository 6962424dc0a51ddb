//! `link`: into scope, and then what a repair does.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::changes::{ChangeSet, finish, obstacles, obstacles_after, tell_waiting_pods};
use super::{Context, refuse_missing};
use crate::bridge::Role;
use crate::bridge::change::Change;
use crate::bridge::checks::Subject;
use crate::bridge::desired::DEFAULT_ACCOUNTS;
use crate::bridge::finding::{Code, Finding, Level};
use crate::bridge::integration::{Integration, QuayIntegration};
use crate::bridge::plan::{self, Options, Plan};
use crate::bridge::scope::{NeedsForce, apply_edits, bring_in};
use crate::cli::Link;
use crate::cluster::{Builds, Cluster, Parts, Secrets};
use crate::error::{Error, ExitStatus};
use crate::pause;
use crate::quay::Depth;
use crate::report::{ChangeReport, Format, manifests};
use crate::session::gather::{self, Judged, Look, Which};
use crate::session::settings::Settings;
use crate::session::{self, Session, Target};

/// How often service accounts that are still to appear are looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

pub(super) async fn run(context: &Context<'_>, args: &Link) -> Result<ExitStatus, Error> {
    let settings = Settings::read(context.global)?;
    let cluster = session::connect(context.global).await?;
    let linking = Linking::of(context, &cluster, args)?;
    let (session, set) = linking.begin(context, &cluster, settings).await?;
    if args.changing.dry_run {
        if context.global.output == Format::Yaml {
            context.ui.out(&manifests(set.plans.iter().map(|(judged, plan)| (&judged.snapshot, plan.changes.as_slice())))?)?;
            return Ok(set.refused_or(ExitStatus::Success));
        }
        return Ok(set.refused_or(finish(context, &set.planned(context, true), context.global.output)?));
    }
    let format = set.confirm(context, &session, args.changing)?;
    let report = linking.carry_out(context, &session, set).await?;
    let ended = finish(context, &report, format)?;
    // What cannot be done is a refusal, not a finding; a warning is neither.
    let is_refusal = |finding: &Finding| finding.level != Level::Warning || finding.code.stops_changes();
    Ok(if report.findings.iter().any(is_refusal) { ExitStatus::Failure } else { ended })
}

/// Links namespaces without asking.
///
/// # Errors
/// If it cannot even be planned.
pub(super) async fn link(
    context: &Context<'_>,
    cluster: &Cluster,
    settings: Settings,
    args: &Link,
) -> Result<ChangeReport, Error> {
    let linking = Linking::of(context, cluster, args)?;
    let (session, set) = linking.begin(context, cluster, settings).await?;
    linking.carry_out(context, &session, set).await
}

struct Linking<'a> {
    which: Which,
    requests: BTreeMap<String, Role>,
    args: &'a Link,
}

impl<'a> Linking<'a> {
    fn of(context: &Context<'_>, cluster: &Cluster, args: &'a Link) -> Result<Self, Error> {
        let which = Which::of(&args.target, context.global, cluster)?;
        Ok(Self { which, requests: args.service_accounts.iter().cloned().collect(), args })
    }

    /// Reads both sides and plans.
    async fn begin(&self, context: &Context<'_>, cluster: &Cluster, settings: Settings) -> Result<(Session, ChangeSet), Error> {
        // A session that cannot be opened is not worth the wait for service accounts.
        let (session, parts) = tokio::try_join!(
            Session::open(context.ui, context.global, cluster.clone(), settings),
            self.parts(context, cluster, usize::from(context.global.parallel))
        )?;
        let set = self.plan(context, &session, session.target()?, parts).await?;
        if let Some(obstacle) = session.scope_obstacle() {
            context.ui.warn(&obstacle.message);
        }
        Ok((session, set))
    }

    /// Makes the changes. An organization that is taken over is looked into and linked once it is ours.
    async fn carry_out(&self, context: &Context<'_>, session: &Session, set: ChangeSet) -> Result<ChangeReport, Error> {
        let target = session.target()?;
        let mut entries = set.apply(context, session, target).await;
        let mut last = set;
        if last.takes_over() {
            // What an organization holds shows only once it is ours.
            let parts = self.parts(context, &session.cluster, session.parallel).await?;
            last = self.plan(context, session, target, parts).await?.without_takeovers();
            entries.extend(last.apply(context, session, target).await);
        }
        tell_waiting_pods(context, session, &last).await;
        let mut findings = obstacles_after(session, target, &entries).await;
        for finding in last.findings() {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        Ok(ChangeReport::new(context.invocation, "link", false, entries, findings))
    }

    /// What the cluster holds, once the service accounts that are to be linked have appeared or the patience is over.
    async fn parts(&self, context: &Context<'_>, cluster: &Cluster, parallel: usize) -> Result<Vec<Parts>, Error> {
        let deadline = Instant::now() + self.args.wait;
        let mut said = false;
        loop {
            let parts = gather::parts(cluster, &self.which, Secrets::IfReferenced, Builds::Leave, parallel).await?;
            let missing: Vec<_> = parts.iter().flat_map(|parts| self.still_to_come(parts)).collect();
            if missing.is_empty() || Instant::now() + LOOK_AGAIN > deadline {
                return Ok(parts);
            }
            if !said {
                context.ui.status(&format!("Waiting for service account {}", missing.join(", ")));
                said = true;
            }
            pause::sleep(LOOK_AGAIN).await;
        }
    }

    /// Service accounts that were asked for, and those that every new namespace gets after a moment. In an older one
    /// that has none, none will come: the capability is off.
    fn still_to_come(&self, parts: &Parts) -> Vec<String> {
        let (Ok(existing), Ok(Some(namespace))) = (&parts.service_accounts, &parts.namespace) else { return vec![] };
        if namespace.terminating {
            return vec![];
        }
        let usual = DEFAULT_ACCOUNTS.iter().map(|(name, _)| *name).filter(|_| namespace.is_new(Timestamp::now()));
        let wanted = usual.chain(self.requests.keys().map(String::as_str));
        wanted.filter(|name| existing.iter().all(|account| account.name != *name)).map(str::to_owned).collect()
    }

    async fn plan(
        &self,
        context: &Context<'_>,
        session: &Session,
        target: &Target,
        parts: Vec<Parts>,
    ) -> Result<ChangeSet, Error> {
        let look = Look { quay: Some(Depth::New), tags: false, probe: false, beyond_scope: true };
        let mut set = ChangeSet::new("link");
        let mut resource = target.integration.resource.clone();
        let mut all = session.judge_each(context.ui, target, parts, look, &self.requests, |judged| judged).await;
        all.retain(|judged| !matches!(self.which, Which::All) || judged.is_to_be_linked(target));
        all.iter().try_for_each(|judged| self.refuse_impossible(judged))?;
        if all.iter().any(lacks_organization) {
            // Before the first change: an organization without robot accounts is of no use.
            target.quay.diagnose().await;
        }
        set.obstacles = obstacles(session, target);
        for judged in all {
            if set.obstacles.iter().any(|obstacle| stops(obstacle.code, &judged)) {
                continue;
            }
            let (scope, plan) = self.plan_one(target, &mut resource, &judged)?;
            set.add(judged, scope, plan);
        }
        Ok(set)
    }

    fn refuse_impossible(&self, judged: &Judged) -> Result<(), Error> {
        let name = &judged.snapshot.name;
        refuse_missing(name, &judged.snapshot.namespace)?;
        if judged.is_going() {
            return Err(Error::new(format!("namespace {name} is being deleted")));
        }
        let Ok(existing) = &judged.snapshot.service_accounts else { return Ok(()) };
        match self.requests.keys().find(|wanted| existing.iter().all(|account| account.name != **wanted)) {
            Some(missing) => Err(Error::new(format!("there is no service account {missing} in namespace {name}"))
                .hint(format!("create it first: oc create serviceaccount {missing} -n {name}"))),
            None => Ok(()),
        }
    }

    /// The changes that bring the namespace into scope, and the plan as it is once they are made. They are made on `resource`,
    /// the QuayIntegration as it will be.
    fn plan_one(
        &self,
        target: &Target,
        resource: &mut Option<QuayIntegration>,
        judged: &Judged,
    ) -> Result<(Vec<Change>, Plan), Error> {
        let mut snapshot = judged.snapshot.clone();
        let name = &snapshot.name;
        let scope = bring_in(name, judged.is_on_request(), resource.as_ref(), self.args.force).map_err(|NeedsForce| {
            Error::new(format!("namespace {name} is excluded by its name")).hint("--force links it all the same")
        })?;
        apply_edits(&scope, resource.as_mut());
        let integration = Integration { resource: resource.clone(), ..target.integration.clone() };
        if scope.iter().any(|change| matches!(change, Change::MarkNamespace { .. }))
            && let Ok(Some(namespace)) = &mut snapshot.namespace
        {
            namespace.linked_on_request = true;
        }
        let subject = Subject { integration: &integration, troubles: &[], snapshot: &snapshot, desired: &judged.desired };
        Ok((scope, plan::repair(&subject, Options { adopt: self.args.adopt, rotate: false })))
    }
}

fn lacks_organization(judged: &Judged) -> bool {
    matches!(judged.snapshot.organization, Ok(None))
}

/// Whether what stands in the way of changes in Quay keeps a namespace from being linked. Some of it only concerns
/// organizations that are still to be created.
fn stops(obstacle: Code, judged: &Judged) -> bool {
    !matches!(obstacle, Code::UserLacksRight | Code::TokenLacksScope) || lacks_organization(judged)
}
