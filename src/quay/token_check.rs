//! What a token is good for, before anything is built on it.

use std::collections::BTreeSet;

use futures::join;

use super::Quay;
use super::api_types;
use super::diagnose::{Diagnosis, lacks, lacks_org_admin, user_troubles};
use super::discovery::Features;
use super::error::{ErrorKind, QuayError};
use super::oauth_scope::Scope;
use crate::domain::integration::QuayProblem;

/// What came out when a token was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// Whose it is; `None` if it may not say, since it lacks both of user:read and user:admin (sample 111).
    pub user: Option<String>,
    /// Its user is a superuser; `None` if the answers do not tell: Quay refuses a plain user and a token without the scope
    /// super:user in the same words (samples 434, 435).
    pub superuser: Option<bool>,
    /// What it cannot do of what is needed.
    pub lacks: Vec<QuayProblem>,
    /// The organizations that are there: all of them if [`TokenInfo::sees_all`], else the user's own; `None` if neither
    /// could be read.
    pub organizations: Option<BTreeSet<String>>,
    /// The organizations are all that Quay has.
    pub sees_all: bool,
}

impl Quay {
    /// Finds out who the token is and what it lacks, in two calls at once, and a third in the rare case that its user
    /// belongs to organizations and Quay says of none that the token may administer it.
    ///
    /// `known_scopes` are those of a token that was just issued: what is known is not tried. Whether a token of unknown
    /// scopes has repo:admin is not tried either, since no call tells without a repository to try it on.
    ///
    /// # Errors
    /// When Quay does not accept the token, or does not answer.
    pub async fn try_token(&self, known_scopes: Option<&[Scope]>) -> Result<TokenInfo, QuayError> {
        let may_list = known_scopes.is_none_or(|known| known.contains(&Scope::SuperUser));
        let all = async { if may_list { Some(self.all_organizations().await) } else { None } };
        let (user, all, config) = join!(self.whoami(), all, self.config());
        let user = match (user, &all) {
            (Ok(user), _) => Some(user),
            (Err(error), Some(all))
                if error.kind == ErrorKind::Unauthorized && is_of_a_good_token(all) =>
            {
                None
            }
            (Err(error), _) => {
                self.record_rejection(&error);
                return Err(error);
            }
        };
        let all = all.and_then(Result::ok);
        let features = config.map(|config| config.features.clone()).unwrap_or_default();
        let lacks = self.lacking(user.as_ref(), known_scopes, &features).await;
        lacks.iter().cloned().for_each(|trouble| self.learn(trouble));
        let trial = TokenInfo {
            user: user.as_ref().map(|user| user.username.clone()),
            superuser: superuser(user.as_ref(), known_scopes, all.is_some()),
            lacks,
            sees_all: all.is_some(),
            organizations: all.or_else(|| Some(user.as_ref()?.organization_names())),
        };
        // The same question is not asked again when something is refused later.
        let _ = self.0.diagnosis.set(Diagnosis { user });
        Ok(trial)
    }

    async fn lacking(
        &self,
        user: Option<&api_types::User>,
        known: Option<&[Scope]>,
        features: &Features,
    ) -> Vec<QuayProblem> {
        let mut troubles =
            user.map_or_else(|| vec![lacks("user:admin")], |user| user_troubles(user, features));
        match (known, user) {
            (Some(known), _) => {
                let wanted = [Scope::UserAdmin, Scope::OrgAdmin, Scope::RepoAdmin];
                let missing = wanted
                    .iter()
                    .filter(|scope| !known.contains(scope))
                    .map(|scope| lacks(&scope.to_string()));
                let new: Vec<QuayProblem> =
                    missing.filter(|trouble| !troubles.contains(trouble)).collect();
                troubles.extend(new);
            }
            (None, Some(user)) if self.keeps_org_admin_back(user).await => {
                troubles.push(lacks("org:admin"))
            }
            (None, _) => {}
        }
        troubles
    }

    /// Whether the user administers an organization and just the token may not. To user:admin Quay says of each
    /// organization of the user whether the token may (`org_view` of `endpoints/api/user.py`); else one of them is tried.
    pub(super) async fn keeps_org_admin_back(&self, user: &api_types::User) -> bool {
        let Some(first) = user.organizations.first() else { return false };
        if user.organizations.iter().any(|organization| organization.is_org_admin == Some(true)) {
            return false;
        }
        let view = self.view(&first.name).await;
        matches!(view, Ok(Some(view)) if !view.is_admin && lacks_org_admin(&first.name, &view, Some(user)))
    }
}

/// Whether an answer to what needs a superuser is one to a token that is accepted.
fn is_of_a_good_token(answer: &Result<BTreeSet<String>, QuayError>) -> bool {
    answer.as_ref().map_or_else(|error| error.kind == ErrorKind::Forbidden, |_| true)
}

fn superuser(
    user: Option<&api_types::User>,
    known: Option<&[Scope]>,
    sees_all: bool,
) -> Option<bool> {
    if user.is_some_and(|user| user.global_readonly_super_user == Some(true)) {
        // It sees everything and may change nothing (samples 666-668).
        return Some(false);
    }
    if sees_all || user.is_some_and(|user| user.super_user == Some(true)) {
        return Some(true);
    }
    known.filter(|known| known.contains(&Scope::SuperUser)).map(|_| false)
}
