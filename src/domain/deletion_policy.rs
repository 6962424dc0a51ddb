//! What becomes of a namespace's organization when the namespace is deleted: it stays, unless somebody asked for more.

use std::fmt;
use std::str::FromStr;

use super::snapshot::Namespace;

/// What becomes of the organization of a namespace that is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// It stays, with its images.
    #[default]
    Retain,
    /// It goes, with its images.
    Delete,
}

impl DeletionPolicy {
    /// What a namespace asks for, else what goes for all. A word that is neither counts as `retain`: nobody loses
    /// images to a slip of the pen.
    pub fn of(namespace: &Namespace, all: DeletionPolicy) -> Self {
        namespace.deletion_policy.as_deref().map_or(all, |word| word.parse().unwrap_or_default())
    }
}

impl FromStr for DeletionPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "retain" => Ok(DeletionPolicy::Retain),
            "delete" => Ok(DeletionPolicy::Delete),
            other => Err(format!("`{other}` is neither retain nor delete")),
        }
    }
}

impl fmt::Display for DeletionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeletionPolicy::Retain => "retain",
            DeletionPolicy::Delete => "delete",
        })
    }
}
