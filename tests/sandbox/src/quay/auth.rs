//! Who is asking, and what they may do (`auth/permissions.py`; the table in `wire/SCOPES.md` of the recordings).

use std::cmp::min;
use std::collections::BTreeSet;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::flags::Release;
use super::names::RepoPath;
use super::roles::{Reach, RepoRole, TeamRole, UserRole};
use super::scopes;
use super::state::State;
use super::tables::Token;

/// The caller of a request: anonymous, or a user or robot with the permissions of its credential.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Option<Identity>);

#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// A user's name, or a robot's full name.
    pub(crate) name: String,
    pub(crate) reach: Reach,
}

impl Caller {
    pub(crate) fn anonymous() -> Caller {
        Caller(None)
    }

    pub(crate) fn known(name: &str, reach: Reach) -> Caller {
        Caller(Some(Identity { name: name.to_owned(), reach }))
    }

    pub(crate) fn by_token(token: &Token) -> Caller {
        Caller::known(&token.user, Reach::Scopes(scopes::parse(&token.scope)))
    }

    pub(crate) fn is_anonymous(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.0.as_ref().map(|identity| identity.name.as_str())
    }

    /// The scopes of the token that speaks for the caller; `None` for a password, a session and an anonymous caller.
    pub(crate) fn scopes(&self) -> Option<&BTreeSet<String>> {
        match &self.0.as_ref()?.reach {
            Reach::Scopes(scopes) => Some(scopes),
            Reach::Full => None,
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name() == Some(name)
    }
}

impl State {
    /// Who sends an API request: the one its `Authorization` header names, whatever else comes along (wire/605), else the
    /// one who has signed in. An expired or unknown token is silently anonymous (wire/104); so is a JWT (wire/107) and HTTP
    /// Basic (wire/058).
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Caller {
        if !headers.contains_key(AUTHORIZATION) {
            let user = self.session(headers).and_then(|session| session.user.as_deref());
            return user.map_or_else(Caller::anonymous, |user| Caller::known(user, Reach::Full));
        }
        let token = credentials(headers, "bearer").and_then(|token| self.tokens.get(token));
        token.filter(|token| token.is_valid()).map_or_else(Caller::anonymous, Caller::by_token)
    }

    /// The caller's role in an organization or in their own namespace, cut down to what the credential reaches.
    pub(crate) fn organization_role(&self, caller: &Caller, namespace: &str) -> Option<TeamRole> {
        if self.has_shortcut(caller) {
            return Some(TeamRole::Admin);
        }
        let identity = caller.0.as_ref()?;
        let own = caller.is(namespace).then_some(TeamRole::Admin);
        let teams = self.organizations.get(namespace).into_iter();
        let highest = teams
            .flat_map(|organization| organization.teams_of(&identity.name))
            .map(|team| team.role)
            .max();
        min(identity.reach.team(), own.max(highest))
    }

    /// The caller's role on a repository, which need not exist: their own, their teams', or the namespace's.
    pub(crate) fn repository_role(&self, caller: &Caller, path: &RepoPath) -> Option<RepoRole> {
        if self.has_shortcut(caller) {
            return Some(RepoRole::Admin);
        }
        let identity = caller.0.as_ref()?;
        let own = caller.is(&path.namespace).then_some(RepoRole::Admin);
        let granted = self.permission(path, &identity.name);
        let teams = self.organizations.get(&path.namespace).into_iter();
        let by_team = teams
            .flat_map(|organization| organization.teams_of(&identity.name))
            .filter_map(|team| match team.role {
                TeamRole::Admin => Some(RepoRole::Admin),
                _ => team.repositories.get(path).copied(),
            })
            .max();
        min(identity.reach.repository(), own.max(granted).max(by_team))
    }

    /// The caller's permissions on their own account.
    pub(crate) fn account_role(&self, caller: &Caller) -> Option<UserRole> {
        caller.0.as_ref()?.reach.user()
    }

    /// A superuser with a token that says so. One who is also listed as read-only is not (`can` of
    /// `auth/permissions.py`).
    pub(crate) fn is_superuser(&self, caller: &Caller) -> bool {
        caller.0.as_ref().is_some_and(|identity| {
            identity.reach.superuser()
                && self.users.get(&identity.name).is_some_and(|user| user.superuser)
                && !self.is_readonly_superuser(caller)
        })
    }

    /// One of `GLOBAL_READONLY_SUPER_USERS`, whatever the scopes (wire/666-668).
    pub(crate) fn is_readonly_superuser(&self, caller: &Caller) -> bool {
        caller.name().is_some_and(|name| self.flags.readonly_superusers.contains(name))
    }

    /// A superuser under `FEATURE_SUPERUSERS_FULL_ACCESS`.
    pub(crate) fn has_full_access(&self, caller: &Caller) -> bool {
        self.flags.full_access && self.is_superuser(caller)
    }

    /// Since 3.17 full access counts as every role everywhere; before, only where an endpoint asks for it.
    fn has_shortcut(&self, caller: &Caller) -> bool {
        self.flags.release > Release::V3_12 && self.has_full_access(caller)
    }

    /// Administrator of the organization, not counting full access in 3.12.
    pub(crate) fn is_organization_admin(&self, caller: &Caller, organization: &str) -> bool {
        self.organization_role(caller, organization) == Some(TeamRole::Admin)
    }

    /// May change the organization and all it holds.
    pub(crate) fn may_administer(&self, caller: &Caller, organization: &str) -> bool {
        self.is_organization_admin(caller, organization) || self.has_full_access(caller)
    }

    /// May see the organization from the inside.
    pub(crate) fn may_inspect(&self, caller: &Caller, organization: &str) -> bool {
        self.may_administer(caller, organization) || self.is_readonly_superuser(caller)
    }

    /// May create repositories in the namespace (wire/309-312, wire/477).
    pub(crate) fn may_create(&self, caller: &Caller, namespace: &str) -> bool {
        self.organization_role(caller, namespace) >= Some(TeamRole::Creator)
    }

    /// May do with the repository what `role` allows (`require_repo_permission` of `endpoints/api/__init__.py`).
    pub(crate) fn is_allowed(&self, caller: &Caller, role: RepoRole, path: &RepoPath) -> bool {
        self.repository_role(caller, path) >= Some(role) || self.has_full_access(caller)
    }

    /// May read the repository: also when it is public, and as a read-only superuser.
    pub(crate) fn may_read(&self, caller: &Caller, path: &RepoPath) -> bool {
        self.is_allowed(caller, RepoRole::Read, path)
            || self.repositories.get(path).is_some_and(|repository| repository.public)
            || self.is_readonly_superuser(caller)
    }

    /// A plain user while `FEATURE_RESTRICTED_USERS` is on, robots included.
    pub(crate) fn is_restricted(&self, caller: &Caller) -> bool {
        self.flags.restricted_users
            && caller
                .name()
                .is_some_and(|name| !self.users.get(name).is_some_and(|user| user.superuser))
    }
}

/// The one word after the scheme in `Authorization`, if it is the scheme asked for.
pub(crate) fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let mut words = headers.get(AUTHORIZATION)?.to_str().ok()?.split_whitespace();
    words.next().filter(|found| found.eq_ignore_ascii_case(scheme))?;
    let credentials = words.next()?;
    words.next().is_none().then_some(credentials)
}

/// Name and secret of an HTTP Basic header. Another kind of header is an error without a reason of its own.
pub(crate) fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, String> {
    if !headers.contains_key(AUTHORIZATION) {
        return Ok(None);
    }
    credentials(headers, "basic")
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .and_then(|decoded| String::from_utf8(decoded).ok())
        .and_then(|pair| {
            pair.split_once(':').map(|(name, secret)| (name.to_owned(), secret.to_owned()))
        })
        .map(Some)
        .ok_or_else(|| "authentication required".to_owned())
}
