//! Applying a plan: every change as soon as those it waits for are done.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use secrecy::SecretString;

use super::{App, QuayConnection};
use crate::domain::change::Change;
use crate::domain::checks::SECRET_TYPE;
use crate::domain::dependencies::{End, Schedule, Step};
use crate::domain::desired::Desired;
use crate::domain::dockerconfig::AuthEntry;
use crate::domain::ownership::Claim;
use crate::domain::snapshot::{Login, NamespaceSnapshot, Secret, ServiceAccount};

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has its effect.
    Done,
    /// It was refused or could not be sent, and why.
    Failed(String),
    /// Something it requires failed.
    Skipped,
}

/// What a change that was made left behind, for those who remember what is.
pub(crate) enum Effect {
    /// Nothing that the change does not say itself.
    None,
    /// The robot account's token from now on.
    Token(SecretString),
    /// The secret as it is now.
    Secret(Secret),
    /// The service account as it is now.
    ServiceAccount(ServiceAccount),
}

/// The changes of one namespace and what is needed to make them.
pub(crate) struct ApplyInput<'a> {
    /// The changes, in the order of their plan.
    pub changes: &'a [Change],
    /// The namespace they were planned for.
    pub snapshot: &'a NamespaceSnapshot,
    /// What it should become.
    pub desired: &'a Desired,
}

impl App {
    /// Makes the changes; independent ones at the same time, as many as requests may be under way. Says what became of each, in the order of the plan. `each`
    /// is told as soon as a change was made, or was not, which has no effect.
    pub(crate) async fn apply(
        &self,
        target: &QuayConnection,
        work: &ApplyInput<'_>,
        each: impl Fn(&Change, Option<Effect>),
    ) -> Vec<Outcome> {
        let tokens = &TokenCache::of(work.snapshot);
        let mut schedule = Schedule::new(work.changes);
        let mut outcomes = vec![Outcome::Skipped; work.changes.len()];
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < self.concurrency
                && let Some(step) = schedule.step()
            {
                match step {
                    Step::Make(index) => {
                        under_way.push(async move {
                            (index, self.make(target, work, tokens, &work.changes[index]).await)
                        });
                    }
                    Step::Skip(index) => {
                        each(&work.changes[index], None);
                        schedule.end(index, End::Skipped);
                    }
                }
            }
            let Some((index, made)) = under_way.next().await else { return outcomes };
            let (outcome, effect, end) = match made {
                Ok(effect) => (Outcome::Done, Some(effect), End::Done),
                Err(error) => (Outcome::Failed(format!("{error:#}")), None, End::Failed),
            };
            each(&work.changes[index], effect);
            outcomes[index] = outcome;
            schedule.end(index, end);
        }
    }

    async fn make(
        &self,
        target: &QuayConnection,
        work: &ApplyInput<'_>,
        tokens: &TokenCache,
        change: &Change,
    ) -> anyhow::Result<Effect> {
        use Change::*;
        let (cluster, quay) = (&self.cluster, &target.quay);
        match change {
            EditScope(edit) => drop(cluster.edit_scope(edit).await?),
            AnnotateNamespace { namespace, linked } => {
                cluster.mark_namespace(namespace, *linked).await?
            }
            RemoveOperatorFinalizer { namespace, .. } => {
                cluster.release_namespace(namespace).await?
            }
            SetFinalizer { namespace, guarded, .. } => {
                cluster.guard_namespace(namespace, *guarded).await?
            }
            TakeOwnership { organization } => quay.take_ownership(organization).await?,
            Adopt { organization, mark, robots, .. } => {
                quay.adopt(organization, mark, robots).await?
            }
            CreateOrganization { organization } => {
                quay.create_organization(organization, &Claim::of(work.snapshot, work.desired))
                    .await?;
            }
            DeleteOrganization { organization } => quay.delete_organization(organization).await?,
            CreateRobot { organization, robot, mark } => {
                return Ok(tokens.learn(robot, quay.create_robot(organization, robot, mark).await?));
            }
            RotateRobot { organization, robot } => {
                return Ok(tokens.learn(robot, quay.rotate_robot(organization, robot).await?));
            }
            DeleteRobot { organization, robot } => quay.delete_robot(organization, robot).await?,
            CreateDefaultPermission { organization, robot, role } => {
                quay.create_default_permission(organization, robot, *role).await?;
            }
            ChangeDefaultPermission { organization, id, to, .. } => {
                quay.change_default_permission(organization, id, *to).await?
            }
            DeleteDefaultPermission { organization, id, .. } => {
                quay.delete_default_permission(organization, id).await?
            }
            CreateRepository { organization, repository } => {
                quay.create_repository(organization, repository).await?
            }
            SetRepositoryPermission { organization, repository, robot, role } => {
                quay.grant(organization, repository, robot, *role).await?;
            }
            CreateSecret { secret, robot, .. } => {
                return self.create_secret(target, work, tokens, [secret, robot]).await;
            }
            UpdateSecret { namespace, secret, robot, version } => {
                let login = login(work, tokens, robot)?;
                let entry = entry(work, &login);
                return Ok(Effect::Secret(
                    cluster.update_secret(namespace, secret, &entry, version).await?,
                ));
            }
            ReplaceSecret { namespace, secret, robot, version } => {
                let login = login(work, tokens, robot)?;
                let entry = entry(work, &login);
                return Ok(Effect::Secret(
                    cluster.replace_secret(namespace, secret, &entry, version).await?,
                ));
            }
            DeleteSecret { namespace, secret, uid, version } => {
                cluster.delete_secret(namespace, secret, uid, version).await?;
            }
            EditServiceAccount { namespace, service_account, edit } => {
                let seen = work.snapshot.service_account(service_account);
                let edited =
                    cluster.edit_service_account(namespace, service_account, seen, edit).await?;
                return Ok(edited.map_or(Effect::None, Effect::ServiceAccount));
            }
            RewriteBuildConfig { namespace, build_config, version, former } => {
                cluster.rewrite_build_config(namespace, build_config, version, former).await?;
            }
            RestoreBuildConfig { namespace, build_config, version, output, .. } => {
                cluster.restore_build_config(namespace, build_config, version, output).await?;
            }
        }
        Ok(Effect::None)
    }
}

/// How often a secret that others write too is looked at.
const MAX_POLLS: usize = 3;

impl App {
    /// Creates a secret. One that is there although none was seen may hold a newer token than the one that is known: the
    /// current one is asked for after the secret was read, and written only into the secret as it was read.
    async fn create_secret(
        &self,
        target: &QuayConnection,
        work: &ApplyInput<'_>,
        tokens: &TokenCache,
        [secret, robot]: [&str; 2],
    ) -> anyhow::Result<Effect> {
        let (cluster, namespace) = (&self.cluster, work.snapshot.name.as_str());
        let known = login(work, tokens, robot)?;
        let mut refusal = match cluster.create_secret(namespace, secret, &entry(work, &known)).await
        {
            Err(error) if error.is_conflict() || error.is_over_quota() => error,
            done => return Ok(Effect::Secret(done?)),
        };
        for _ in 0..MAX_POLLS {
            let Some(found) = cluster.find_secret(namespace, secret).await? else { break };
            if found.kind != SECRET_TYPE {
                anyhow::bail!(
                    "there is a secret {secret} of type {}, which cannot be changed",
                    found.kind
                );
            }
            if found.login_for(work.desired.place()).is_some_and(|login| login.is(&known)) {
                return Ok(Effect::Secret(found));
            }
            tokens.learn(robot, target.quay.robot_token(&work.desired.organization, robot).await?);
            let current = login(work, tokens, robot)?;
            match cluster
                .update_secret(namespace, secret, &entry(work, &current), &found.resource_version)
                .await
            {
                Err(error) if error.is_conflict() => refusal = error,
                done => return Ok(Effect::Secret(done?)),
            }
        }
        Err(refusal.into())
    }
}

/// The robot accounts' current tokens, as they were read and as they are made.
struct TokenCache(Mutex<BTreeMap<String, SecretString>>);

impl TokenCache {
    fn of(snapshot: &NamespaceSnapshot) -> Self {
        let robots = snapshot
            .organization()
            .into_iter()
            .flat_map(|organization| organization.robots.iter().flatten());
        Self(Mutex::new(
            robots.filter_map(|robot| Some((robot.name.clone(), robot.token.clone()?))).collect(),
        ))
    }

    fn learn(&self, robot: &str, token: SecretString) -> Effect {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(robot.to_owned(), token.clone());
        Effect::Token(token)
    }

    fn get(&self, robot: &str) -> Option<SecretString> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(robot).cloned()
    }
}

/// A robot account's current login.
fn login(work: &ApplyInput, tokens: &TokenCache, robot: &str) -> anyhow::Result<Login> {
    let password = tokens
        .get(robot)
        .with_context(|| format!("the token of robot account {robot} is not known"))?;
    Ok(Login { username: work.desired.login_name(robot), password })
}

/// The entry that a secret is to have.
fn entry<'a>(work: &'a ApplyInput<'_>, login: &'a Login) -> AuthEntry<'a> {
    AuthEntry { place: work.desired.place(), login }
}
