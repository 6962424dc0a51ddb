//! Roles on repositories and in teams, and what each scope of a token leaves of them.

use std::collections::BTreeSet;

/// Role on a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RepoRole {
    /// Pull.
    Read,
    /// Pull and push.
    Write,
    /// Everything, permissions and deletion included.
    Admin,
}

impl RepoRole {
    /// As the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            RepoRole::Read => "read",
            RepoRole::Write => "write",
            RepoRole::Admin => "admin",
        }
    }

    /// Reads the API's word for it.
    pub fn from_name(name: &str) -> Option<RepoRole> {
        [RepoRole::Read, RepoRole::Write, RepoRole::Admin]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

/// The role of a team in its organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TeamRole {
    /// See it.
    Member,
    /// Create repositories.
    Creator,
    /// Everything.
    Admin,
}

impl TeamRole {
    /// As the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            TeamRole::Member => "member",
            TeamRole::Creator => "creator",
            TeamRole::Admin => "admin",
        }
    }

    /// Reads the API's word for it.
    pub fn from_name(name: &str) -> Option<TeamRole> {
        [TeamRole::Member, TeamRole::Creator, TeamRole::Admin]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

/// Access to a user account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum UserRole {
    Read,
    Admin,
}

/// The permissions of a credential: those of its scopes for a token, all for a password or a
/// robot's token.
#[derive(Debug, Clone)]
pub(crate) enum Reach {
    Scopes(BTreeSet<String>),
    Full,
}

impl Reach {
    /// The most a role on a repository can be (`SCOPE_MAX_REPO_ROLES` of `auth/permissions.py`).
    pub(crate) fn repository(&self) -> Option<RepoRole> {
        self.most(&[
            ("repo:read", RepoRole::Read),
            ("repo:write", RepoRole::Write),
            ("repo:admin", RepoRole::Admin),
        ])
    }

    /// The most a role in an organization can be (`SCOPE_MAX_TEAM_ROLES`).
    pub(crate) fn team(&self) -> Option<TeamRole> {
        self.most(&[("repo:create", TeamRole::Creator), ("org:admin", TeamRole::Admin)])
    }

    /// The most that can be done with the user's own account (`SCOPE_MAX_USER_ROLES`).
    pub(crate) fn user(&self) -> Option<UserRole> {
        self.most(&[("user:read", UserRole::Read), ("user:admin", UserRole::Admin)])
    }

    /// True when the permissions of a superuser apply.
    pub(crate) fn superuser(&self) -> bool {
        match self {
            Reach::Full => true,
            Reach::Scopes(scopes) => scopes.contains("super:user"),
        }
    }

    /// The last of `ladder` that a scope grants.
    fn most<R: Copy>(&self, ladder: &[(&str, R)]) -> Option<R> {
        let granted = |scope: &str| match self {
            Reach::Full => true,
            Reach::Scopes(scopes) => scopes.contains(scope),
        };
        ladder.iter().rev().find(|(scope, _)| granted(scope)).map(|(_, role)| *role)
    }
}
