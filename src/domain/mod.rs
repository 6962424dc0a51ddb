//! The domain: what a linked namespace is, what is wrong with one, and what puts it right.
//!
//! Everything here is a function of values. Nothing does I/O, nothing is async, so every rule is tested without a
//! server. `desired` says what should be, a [`snapshot`] says what is, [`checks`] put the difference into findings
//! and [`plan`] into changes.

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

/// The right a robot account has on a repository, as Quay spells it. Ordered: `Read < Write < Admin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May pull.
    Read,
    /// May pull and push.
    Write,
    /// May pull, push and administer.
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
            other => Err(format!("`{other}` is no role: use read, write or admin")),
        }
    }
}
