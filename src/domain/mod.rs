//! The domain model of linked namespaces: pure functions without I/O, so that every rule is tested without a server.
//! [`desired`] is the desired state and [`snapshot`] the observed one; [`checks`] report the difference as findings,
//! [`plan`] as changes.

pub mod apply_to_snapshot;
pub mod builds;
mod catalog;
pub mod change;
pub mod checks;
pub mod deletion_policy;
pub mod dependencies;
pub mod desired;
pub mod dockerconfig;
pub mod finding;
pub mod image_policy;
pub mod imports;
pub mod inferred;
pub mod integration;
pub mod internal_registry;
pub mod names;
pub mod ownership;
pub mod ownership_mark;
pub mod plan;
#[cfg(test)]
pub(crate) mod proptests;
pub mod rbac;
pub mod scope;
pub mod shell_quote;
pub mod snapshot;

use serde::{Deserialize, Serialize};

/// The role of a robot account on a repository. Ordered: `Read < Write < Admin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Pull.
    Read,
    /// Pull and push.
    Write,
    /// Pull, push and administer.
    Admin,
}

impl Role {
    /// The role as Quay spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Write => "write",
            Role::Admin => "admin",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "read" => Ok(Role::Read),
            "write" => Ok(Role::Write),
            "admin" => Ok(Role::Admin),
            other => Err(format!("invalid role `{other}`: expected read, write or admin")),
        }
    }
}
