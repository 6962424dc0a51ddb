//! The deletion policy for the organization of a deleted namespace.

use std::fmt;
use std::str::FromStr;

use super::snapshot::Namespace;

/// Whether an organization is deleted with its namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// Keep the organization and its images.
    #[default]
    Retain,
    /// Delete the organization and its images.
    Delete,
}

impl DeletionPolicy {
    /// The annotation of a namespace, else `default`. An invalid annotation counts as `retain`, so
    /// that a typing error never deletes images.
    pub fn for_namespace(namespace: &Namespace, default: DeletionPolicy) -> Self {
        let annotation = namespace.deletion_policy.as_deref();
        annotation.map_or(default, |value| value.parse().unwrap_or_default())
    }
}

impl FromStr for DeletionPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "retain" => Ok(DeletionPolicy::Retain),
            "delete" => Ok(DeletionPolicy::Delete),
            other => Err(format!("invalid deletion policy `{other}`: expected retain or delete")),
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
