//! The scopes of OAuth tokens (`auth/scopes.py`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// All scopes, in the form of Quay's own pages.
pub(crate) const ALL: &str =
    "org:admin repo:admin repo:create repo:read repo:write super:user user:admin user:read";

struct Scope {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    icon: &'static str,
    dangerous: bool,
    /// The lesser scopes it includes.
    implied: &'static [&'static str],
}

/// In the order of the recordings (wire/030), which is as good as any: Quay keeps them in a set.
const SCOPES: [Scope; 8] = [
    Scope {
        name: "super:user",
        title: "Super User Access",
        description: "This application will be able to administer your installation including managing users, managing \
                      organizations and other features found in the superuser panel. You should have absolute trust in the \
                      requesting application before granting this permission.",
        icon: "fa-street-view",
        dangerous: true,
        implied: &[],
    },
    Scope {
        name: "repo:create",
        title: "Create Repositories",
        description: "This application will be able to create repositories in all namespaces that the granting user is \
                      allowed to create repositories",
        icon: "fa-plus",
        dangerous: false,
        implied: &[],
    },
    Scope {
        name: "repo:write",
        title: "Read/Write to any accessible repositories",
        description: "This application will be able to view, push and pull to all repositories to which the granting user \
                      has write access",
        icon: "fa-hdd-o",
        dangerous: false,
        implied: &["repo:read"],
    },
    Scope {
        name: "repo:read",
        title: "View all visible repositories",
        description: "This application will be able to view and pull all repositories visible to the granting user",
        icon: "fa-hdd-o",
        dangerous: false,
        implied: &[],
    },
    Scope {
        name: "user:read",
        title: "Read User Information",
        description: "This application will be able to read user information such as username and email address.",
        icon: "fa-user",
        dangerous: false,
        implied: &[],
    },
    Scope {
        name: "org:admin",
        title: "Administer Organization",
        description: "This application will be able to administer your organizations including creating robots, creating \
                      teams, adjusting team membership, and changing billing settings. You should have absolute trust in \
                      the requesting application before granting this permission.",
        icon: "fa-gear",
        dangerous: true,
        implied: &[],
    },
    Scope {
        name: "repo:admin",
        title: "Administer Repositories",
        description: "This application will have administrator access to all repositories to which the granting user has \
                      access",
        icon: "fa-hdd-o",
        dangerous: false,
        implied: &["repo:read", "repo:write"],
    },
    Scope {
        name: "user:admin",
        title: "Administer User",
        description: "This application will be able to administer your account including creating robots and granting them \
                      permissions to your repositories. You should have absolute trust in the requesting application before \
                      granting this permission.",
        icon: "fa-gear",
        dangerous: true,
        implied: &[],
    },
];

/// The scopes of a list separated by blanks or commas (wire/050). One that is none makes the whole list empty (wire/036, wire/045).
pub(crate) fn parse(list: &str) -> BTreeSet<String> {
    let names: BTreeSet<String> = list.split([' ', ',']).map(str::to_owned).collect();
    if names.iter().all(|name| SCOPES.iter().any(|scope| scope.name == name)) {
        names
    } else {
        BTreeSet::new()
    }
}

/// True if `granted` holds all of `wanted`, with what each scope implies (`is_subset_string`).
pub(crate) fn include(granted: &BTreeSet<String>, wanted: &BTreeSet<String>) -> bool {
    let implied =
        SCOPES.iter().filter(|scope| granted.contains(scope.name)).flat_map(|scope| scope.implied);
    let implied: BTreeSet<&str> = implied.copied().collect();
    !granted.is_empty()
        && wanted.iter().all(|name| granted.contains(name) || implied.contains(name.as_str()))
}

/// The description of each scope on the authorization page (wire/030).
pub(crate) fn describe(scopes: &BTreeSet<String>) -> Vec<Value> {
    let asked = SCOPES.iter().filter(|scope| scopes.contains(scope.name));
    asked
        .map(|scope| {
            json!({
                "dangerous": scope.dangerous,
                "description": scope.description,
                "icon": scope.icon,
                "scope": scope.name,
                "title": scope.title,
            })
        })
        .collect()
}
