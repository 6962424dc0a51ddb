//! Checks a token before it is stored.

use std::collections::BTreeSet;

use futures::join;

use crate::domain::integration::QuayProblem;
use crate::quay::Quay;
use crate::quay::api::api_types;
use crate::quay::api::diagnose::{Diagnosis, lacks_org_admin, missing_scope, user_problems};
use crate::quay::api::discovery::Features;
use crate::quay::auth::oauth_scope::Scope;
use crate::quay::http::error::{ErrorKind, QuayError};

/// The user, the permissions and the visible organizations of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// The user name; `None` without the scopes user:read and user:admin (`wire/111`).
    pub user: Option<String>,
    /// The user is a superuser; `None` if unknown: Quay rejects other users and tokens without the scope super:user with the
    /// same message (`wire/434`, `wire/435`).
    pub superuser: Option<bool>,
    /// Missing permissions.
    pub problems: Vec<QuayProblem>,
    /// All organizations if [`TokenInfo::has_all_organizations`], otherwise those of the user; `None` if unknown.
    pub organizations: Option<BTreeSet<String>>,
    /// `organizations` has all organizations of the Quay.
    pub has_all_organizations: bool,
}

impl Quay {
    /// Finds the user and the missing permissions of the token with two parallel requests. A third one follows if the user is
    /// a member of organizations, but the token is not listed as administrator of any.
    ///
    /// `known_scopes` are those of a token that was just issued; they are not checked. The scope repo:admin is never checked,
    /// for this requires a repository.
    ///
    /// # Errors
    /// Quay rejected the token, or is unavailable.
    pub async fn check_token(
        &self,
        known_scopes: Option<&[Scope]>,
    ) -> Result<TokenInfo, QuayError> {
        let can_list = known_scopes.is_none_or(|known| known.contains(&Scope::SuperUser));
        let all = async { if can_list { Some(self.all_organizations().await) } else { None } };
        let (user, all, config) = join!(self.whoami(), all, self.config());
        let user = match (user, &all) {
            (Ok(user), _) => Some(user),
            (Err(error), Some(all))
                if error.kind == ErrorKind::Unauthorized && is_valid_token(all) =>
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
        let problems = self.token_problems(user.as_ref(), known_scopes, &features).await;
        problems.iter().cloned().for_each(|problem| self.record_problem(problem));
        let info = TokenInfo {
            user: user.as_ref().map(|user| user.username.clone()),
            superuser: superuser(user.as_ref(), known_scopes, all.is_some()),
            problems,
            has_all_organizations: all.is_some(),
            organizations: all.or_else(|| Some(user.as_ref()?.organization_names())),
        };
        // A later diagnosis needs no request.
        let _ = self.0.diagnosis.set(Diagnosis { user });
        Ok(info)
    }

    async fn token_problems(
        &self,
        user: Option<&api_types::User>,
        known: Option<&[Scope]>,
        features: &Features,
    ) -> Vec<QuayProblem> {
        let mut problems = user.map_or_else(
            || vec![missing_scope("user:admin")],
            |user| user_problems(user, features),
        );
        match (known, user) {
            (Some(known), _) => {
                let wanted = [Scope::UserAdmin, Scope::OrgAdmin, Scope::RepoAdmin];
                let missing = wanted
                    .iter()
                    .filter(|scope| !known.contains(scope))
                    .map(|scope| missing_scope(&scope.to_string()));
                let new: Vec<QuayProblem> =
                    missing.filter(|problem| !problems.contains(problem)).collect();
                problems.extend(new);
            }
            (None, Some(user)) if self.is_missing_org_admin(user).await => {
                problems.push(missing_scope("org:admin"))
            }
            (None, _) => {}
        }
        problems
    }

    /// The user is an administrator of an organization, but the token lacks the scope org:admin. With the scope user:admin,
    /// Quay's list of the user's organizations shows it (`org_view` of `endpoints/api/user.py`); otherwise the first one is
    /// read.
    pub(in crate::quay) async fn is_missing_org_admin(&self, user: &api_types::User) -> bool {
        let Some(first) = user.organizations.first() else { return false };
        if user.organizations.iter().any(|organization| organization.is_org_admin == Some(true)) {
            return false;
        }
        let view = self.view(&first.name).await;
        matches!(view, Ok(Some(view)) if !view.is_admin && lacks_org_admin(&first.name, &view, Some(user)))
    }
}

/// The list is for superusers: Quay answers 403 to other valid tokens, and 401 to invalid ones.
fn is_valid_token(answer: &Result<BTreeSet<String>, QuayError>) -> bool {
    answer.as_ref().map_or_else(|error| error.kind == ErrorKind::Forbidden, |_| true)
}

fn superuser(
    user: Option<&api_types::User>,
    known: Option<&[Scope]>,
    has_all_organizations: bool,
) -> Option<bool> {
    if user.is_some_and(|user| user.global_readonly_super_user == Some(true)) {
        // It reads everything, but cannot change anything (`wire/666` to `wire/668`).
        return Some(false);
    }
    if has_all_organizations || user.is_some_and(|user| user.super_user == Some(true)) {
        return Some(true);
    }
    known.filter(|known| known.contains(&Scope::SuperUser)).map(|_| false)
}
