//! Scopes of Quay's OAuth tokens.

use std::fmt;

use crate::quay::api::discovery::Features;

/// A scope of an OAuth token of Quay (`auth/scopes.py`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// `org:admin`
    OrgAdmin,
    /// `repo:admin`
    RepoAdmin,
    /// `repo:create`
    RepoCreate,
    /// `repo:read`
    RepoRead,
    /// `repo:write`
    RepoWrite,
    /// `super:user`
    SuperUser,
    /// `user:admin`
    UserAdmin,
    /// `user:read`
    UserRead,
}

impl Scope {
    /// Every scope, in the order of Quay's form. The documentation of the operator recommends all of them.
    pub const ALL: [Scope; 8] = [
        Scope::OrgAdmin,
        Scope::RepoAdmin,
        Scope::RepoCreate,
        Scope::RepoRead,
        Scope::RepoWrite,
        Scope::SuperUser,
        Scope::UserAdmin,
        Scope::UserRead,
    ];

    /// The scopes that oc-quay and the operator need with these features, each with the reason (`wire/SCOPES.md`).
    pub fn minimal(features: &Features) -> Vec<(Scope, &'static str)> {
        let mut scopes = vec![
            (Scope::UserAdmin, "create organizations, read the token's user"),
            (Scope::OrgAdmin, "robot accounts, default permissions, create repositories"),
            (
                Scope::RepoAdmin,
                "read private repositories, set permissions on existing repositories",
            ),
        ];
        if features.restricts_organization_creation() {
            scopes.push((Scope::SuperUser, "only superusers create organizations in this Quay"));
        } else if features.superusers_full_access {
            scopes.push((Scope::SuperUser, "superusers administer all organizations in this Quay"));
        }
        scopes
    }

    /// The value of the parameter `scope` in a request for a token.
    pub(crate) fn join(scopes: &[Scope]) -> String {
        scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::OrgAdmin => "org:admin",
            Scope::RepoAdmin => "repo:admin",
            Scope::RepoCreate => "repo:create",
            Scope::RepoRead => "repo:read",
            Scope::RepoWrite => "repo:write",
            Scope::SuperUser => "super:user",
            Scope::UserAdmin => "user:admin",
            Scope::UserRead => "user:read",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_all_scopes_as_quays_form_does() {
        let all =
            "org:admin repo:admin repo:create repo:read repo:write super:user user:admin user:read";
        assert_eq!(Scope::join(&Scope::ALL), all);
    }

    #[test]
    fn requests_super_user_only_if_a_feature_requires_it() {
        let minimal = |features: Features| {
            Scope::minimal(&features).into_iter().map(|(scope, _)| scope).collect::<Vec<_>>()
        };
        let base = [Scope::UserAdmin, Scope::OrgAdmin, Scope::RepoAdmin];
        assert_eq!(minimal(Features::default()), base);
        let with_super_user = [&base[..], &[Scope::SuperUser]].concat();
        let table = [
            Features { superusers_org_creation_only: true, ..Features::default() },
            Features { restricted_users: true, ..Features::default() },
            Features { superusers_full_access: true, ..Features::default() },
            Features {
                restricted_users: true,
                superusers_full_access: true,
                ..Features::default()
            },
        ];
        for features in table {
            assert_eq!(minimal(features.clone()), with_super_user, "{features:?}");
        }
    }
}
