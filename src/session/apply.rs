//! Applying a plan: every change as soon as those it waits for are done.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use futures::future::join_all;
use secrecy::SecretString;
use tokio::sync::watch;

use super::{Session, Target};
use crate::bridge::change::Change;
use crate::bridge::desired::Desired;
use crate::bridge::dockerconfig::Entry;
use crate::bridge::order::{After, after};
use crate::bridge::snapshot::{Login, NamespaceSnapshot, Secret, ServiceAccount};

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
pub(crate) struct Work<'a> {
    /// The changes, in the order of their plan.
    pub changes: &'a [Change],
    /// The namespace they were planned for.
    pub snapshot: &'a NamespaceSnapshot,
    /// What it should become.
    pub desired: &'a Desired,
}

impl Session {
    /// Makes the changes; independent ones at the same time. Says what became of each, in the order of the plan. `each`
    /// is told as soon as a change was made, or was not, which has no effect.
    pub(crate) async fn apply(&self, target: &Target, work: &Work<'_>, each: impl Fn(&Change, Option<Effect>)) -> Vec<Outcome> {
        let tokens = Tokens::of(work.snapshot);
        let states: Vec<_> = work.changes.iter().map(|_| watch::Sender::new(None)).collect();
        let made = work.changes.iter().enumerate().map(|(index, change)| {
            let (states, tokens, each) = (&states, &tokens, &each);
            async move {
                let (outcome, effect) = if may_run(work.changes, states, index).await {
                    match self.make(target, work, tokens, change).await {
                        Ok(effect) => (Outcome::Done, Some(effect)),
                        Err(error) => (Outcome::Failed(format!("{error:#}")), None),
                    }
                } else {
                    (Outcome::Skipped, None)
                };
                each(change, effect);
                states[index].send_replace(Some(outcome.clone()));
                outcome
            }
        });
        join_all(made).await
    }

    async fn make(&self, target: &Target, work: &Work<'_>, tokens: &Tokens, change: &Change) -> anyhow::Result<Effect> {
        use Change::*;
        let (cluster, quay) = (&self.cluster, &target.quay);
        match change {
            EditScope(edit) => drop(cluster.edit_scope(edit).await?),
            MarkNamespace { namespace, linked } => cluster.mark_namespace(namespace, *linked).await?,
            ReleaseNamespace { namespace, .. } => cluster.release_namespace(namespace).await?,
            GuardNamespace { namespace, guarded, .. } => cluster.guard_namespace(namespace, *guarded).await?,
            TakeOwnership { organization } => quay.take_ownership(organization).await?,
            Adopt { organization, mark } => quay.adopt(organization, mark).await?,
            CreateOrganization { organization } => quay.create_organization(organization).await?,
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
            ChangeDefaultPermission { organization, id, to, .. } => quay.change_default_permission(organization, id, *to).await?,
            DeleteDefaultPermission { organization, id, .. } => quay.delete_default_permission(organization, id).await?,
            CreateRepository { organization, repository } => quay.create_repository(organization, repository).await?,
            GrantRepository { organization, repository, robot, role } => {
                quay.grant(organization, repository, robot, *role).await?;
            }
            CreateSecret { namespace, secret, robot } => {
                let (login, before) = (login(work, tokens, robot)?, logins(work, secret));
                let entry = Entry { place: work.desired.place(), login: &login };
                return Ok(Effect::Secret(cluster.create_secret(namespace, secret, &entry, before).await?));
            }
            UpdateSecret { namespace, secret, robot, version } => {
                let login = login(work, tokens, robot)?;
                let content = Entry { place: work.desired.place(), login: &login }.render(logins(work, secret));
                return Ok(Effect::Secret(cluster.update_secret(namespace, secret, &content, version).await?));
            }
            ReplaceSecret { namespace, secret, robot, version } => {
                let (login, before) = (login(work, tokens, robot)?, logins(work, secret));
                let entry = Entry { place: work.desired.place(), login: &login };
                return Ok(Effect::Secret(cluster.replace_secret(namespace, secret, &entry, before, version).await?));
            }
            DeleteSecret { namespace, secret } => cluster.delete_secret(namespace, secret).await?,
            EditServiceAccount { namespace, service_account, edit } => {
                let seen = work.snapshot.service_account(service_account);
                let edited = cluster.edit_service_account(namespace, service_account, seen, edit).await?;
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

/// Waits for all that a change comes after; whether everything it requires was done.
async fn may_run(changes: &[Change], states: &[watch::Sender<Option<Outcome>>], index: usize) -> bool {
    for (earlier, state) in changes[..index].iter().zip(states) {
        let Some(after) = after(&changes[index], earlier) else { continue };
        let mut state = state.subscribe();
        // The sender lives in the caller as long as this future does.
        let Ok(outcome) = state.wait_for(Option::is_some).await else { return false };
        let may_go_on = match after {
            After::Requires => *outcome == Some(Outcome::Done),
            After::StopsOnFailure => !matches!(*outcome, Some(Outcome::Failed(_))),
            After::Follows => true,
        };
        if !may_go_on {
            return false;
        }
    }
    true
}

/// The robot accounts' current tokens, as they were read and as they are made.
struct Tokens(Mutex<BTreeMap<String, SecretString>>);

impl Tokens {
    fn of(snapshot: &NamespaceSnapshot) -> Self {
        let robots = snapshot.organization().into_iter().flat_map(|organization| organization.robots.iter().flatten());
        Self(Mutex::new(robots.filter_map(|robot| Some((robot.name.clone(), robot.token.clone()?))).collect()))
    }

    fn learn(&self, robot: &str, token: SecretString) -> Effect {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(robot.to_owned(), token.clone());
        Effect::Token(token)
    }

    fn get(&self, robot: &str) -> Option<SecretString> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(robot).cloned()
    }
}

/// A robot account's current login.
fn login(work: &Work, tokens: &Tokens, robot: &str) -> anyhow::Result<Login> {
    let password = tokens.get(robot).with_context(|| format!("the token of robot account {robot} is not known"))?;
    Ok(Login { username: work.desired.login_name(robot), password })
}

/// What is in a secret, as far as it was read.
fn logins<'a>(work: &Work<'a>, secret: &str) -> &'a [(String, Login)] {
    work.snapshot.secret(secret).and_then(|secret| secret.logins.as_deref().ok()).unwrap_or_default()
}
