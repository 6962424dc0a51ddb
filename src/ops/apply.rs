//! Application of a plan to the cluster and Quay.

use std::collections::BTreeMap;

use anyhow::Context as _;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use secrecy::SecretString;

use super::{App, QuayConnection};
use crate::domain::change::Change;
use crate::domain::checks::SECRET_TYPE;
use crate::domain::dependencies::{End, Schedule, Step};
use crate::domain::desired::Desired;
use crate::domain::dockerconfig::AuthEntry;
use crate::domain::ownership::Claim;
use crate::domain::snapshot::{NamespaceSnapshot, RegistryCredentials, Secret, ServiceAccount};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// With the reason.
    Failed(String),
    /// A dependency failed.
    Skipped,
}

/// The new state of the changed object, for caches.
pub(crate) enum Effect {
    /// The change itself describes it.
    None,
    /// The robot account's new token.
    Token(SecretString),
    Secret(Secret),
    ServiceAccount(ServiceAccount),
}

/// The planned changes of one namespace.
pub(crate) struct ApplyInput<'a> {
    /// In the order of the plan.
    pub changes: &'a [Change],
    pub snapshot: &'a NamespaceSnapshot,
    pub desired: &'a Desired,
}

impl App {
    /// Applies the changes, independent ones concurrently, and returns their outcomes in the order
    /// of the plan. `each` is called as soon as a change ends; its effect is `None` unless it
    /// succeeded.
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
                && let Some(step) = schedule.next_step()
            {
                match step {
                    Step::Apply(index) => {
                        under_way.push(async move {
                            (
                                index,
                                self.apply_change(target, work, tokens, &work.changes[index]).await,
                            )
                        });
                    }
                    Step::Skip(index) => {
                        each(&work.changes[index], None);
                        schedule.end(index, End::Skipped);
                    }
                }
            }
            let Some((index, result)) = under_way.next().await else { return outcomes };
            let (outcome, effect, end) = match result {
                Ok(effect) => (Outcome::Done, Some(effect), End::Done),
                Err(error) => (Outcome::Failed(format!("{error:#}")), None, End::Failed),
            };
            each(&work.changes[index], effect);
            outcomes[index] = outcome;
            schedule.end(index, end);
        }
    }

    async fn apply_change(
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
                cluster.set_linked_annotation(namespace, *linked).await?
            }
            RemoveOperatorFinalizer { namespace, .. } => {
                cluster.remove_operator_finalizer(namespace).await?
            }
            SetFinalizer { namespace, guarded, .. } => {
                cluster.set_finalizer(namespace, *guarded).await?
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
                return Ok(
                    tokens.record(robot, quay.create_robot(organization, robot, mark).await?)
                );
            }
            RotateRobot { organization, robot } => {
                return Ok(tokens.record(robot, quay.rotate_robot(organization, robot).await?));
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
                quay.set_repository_permission(organization, repository, robot, *role).await?;
            }
            CreateSecret { secret, robot, .. } => {
                return self.create_secret(target, work, tokens, [secret, robot]).await;
            }
            UpdateSecret { namespace, secret, robot, version } => {
                let credentials = current_credentials(work, tokens, robot)?;
                let entry = entry(work, &credentials);
                return Ok(Effect::Secret(
                    cluster.update_secret(namespace, secret, &entry, version).await?,
                ));
            }
            ReplaceSecret { namespace, secret, robot, version } => {
                let credentials = current_credentials(work, tokens, robot)?;
                let entry = entry(work, &credentials);
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

/// The maximum number of attempts to write a secret that others write concurrently.
const MAX_POLLS: usize = 3;

impl App {
    /// Creates a secret. If one appeared meanwhile, it might hold a newer token than ours. The
    /// current token is therefore read after that secret, and written only to the resource version
    /// that was read.
    async fn create_secret(
        &self,
        target: &QuayConnection,
        work: &ApplyInput<'_>,
        tokens: &TokenCache,
        [secret, robot]: [&str; 2],
    ) -> anyhow::Result<Effect> {
        let (cluster, namespace) = (&self.cluster, work.snapshot.name.as_str());
        let known = current_credentials(work, tokens, robot)?;
        let mut last_error =
            match cluster.create_secret(namespace, secret, &entry(work, &known)).await {
                Err(error) if error.is_conflict() || error.is_over_quota() => error,
                done => return Ok(Effect::Secret(done?)),
            };
        for _ in 0..MAX_POLLS {
            let Some(found) = cluster.find_secret(namespace, secret).await? else { break };
            if found.kind != SECRET_TYPE {
                anyhow::bail!("secret {secret} exists with the immutable type {}", found.kind);
            }
            if found
                .credentials_for(work.desired.place())
                .is_some_and(|entry| entry.is_same(&known))
            {
                return Ok(Effect::Secret(found));
            }
            tokens.record(robot, target.quay.robot_token(&work.desired.organization, robot).await?);
            let current = current_credentials(work, tokens, robot)?;
            match cluster
                .update_secret(namespace, secret, &entry(work, &current), &found.resource_version)
                .await
            {
                Err(error) if error.is_conflict() => last_error = error,
                done => return Ok(Effect::Secret(done?)),
            }
        }
        Err(last_error.into())
    }
}

/// The current tokens by robot account, as read or returned by changes.
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

    fn record(&self, robot: &str, token: SecretString) -> Effect {
        self.0.lock().insert(robot.to_owned(), token.clone());
        Effect::Token(token)
    }

    fn get(&self, robot: &str) -> Option<SecretString> {
        self.0.lock().get(robot).cloned()
    }
}

fn current_credentials(
    work: &ApplyInput,
    tokens: &TokenCache,
    robot: &str,
) -> anyhow::Result<RegistryCredentials> {
    let password = tokens
        .get(robot)
        .with_context(|| format!("the token of robot account {robot} is unknown"))?;
    Ok(RegistryCredentials { username: work.desired.robot_username(robot), password })
}

fn entry<'a>(work: &'a ApplyInput<'_>, credentials: &'a RegistryCredentials) -> AuthEntry<'a> {
    AuthEntry { place: work.desired.place(), credentials }
}
