//! What an OAuth token may be good for, and what ours has to be good for.

use std::fmt;

use super::discovery::Features;

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
    /// Every scope, in the order of Quay's own form; the operator's documentation wants all of them.
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

    /// The fewest scopes that our calls and the operator's need at a Quay with these features, each with the reason
    /// (`wire/SCOPES.md`).
    pub fn least(features: &Features) -> Vec<(Scope, &'static str)> {
        let mut scopes = vec![
            (Scope::UserAdmin, "create organizations, tell whose token it is"),
            (Scope::OrgAdmin, "robot accounts, default permissions, create repositories"),
            (
                Scope::RepoAdmin,
                "read private repositories, give rights on those that were there before",
            ),
        ];
        if features.keeps_organizations_to_superusers() {
            scopes.push((Scope::SuperUser, "only superusers create organizations in this Quay"));
        } else if features.superusers_full_access {
            scopes.push((
                Scope::SuperUser,
                "a superuser may administer the organizations of others in this Quay",
            ));
        }
        scopes
    }

    /// Scopes as a request for a token names them.
    pub(crate) fn list(scopes: &[Scope]) -> String {
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
    fn the_whole_list_is_what_quays_own_form_asks_for() {
        let all =
            "org:admin repo:admin repo:create repo:read repo:write super:user user:admin user:read";
        assert_eq!(Scope::list(&Scope::ALL), all);
    }

    #[test]
    fn super_user_is_asked_for_only_where_a_feature_makes_it_matter() {
        let least = |features: Features| {
            Scope::least(&features).into_iter().map(|(scope, _)| scope).collect::<Vec<_>>()
        };
        let base = [Scope::UserAdmin, Scope::OrgAdmin, Scope::RepoAdmin];
        assert_eq!(least(Features::default()), base);
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
            assert_eq!(least(features.clone()), with_super_user, "{features:?}");
        }
    }
}
