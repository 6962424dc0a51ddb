//! Failures of operator installations.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// On a catalog: the trouble with what is installed from it, as JSON.
const ANNOTATION: &str = "sandbox.example.com/trouble";

/// A failure of an operator installation. It is written on the catalog, so a test arranges it in
/// the same way on every cluster: by [`Trouble::patch`] on CatalogSource `redhat-operators` (in
/// `openshift-marketplace`) or ClusterCatalog `openshift-redhat-operators`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// The catalog does not hold the package.
    PackageMissing,
    /// The catalog does not answer.
    CatalogUnhealthy,
    /// The dependencies cannot be met, for this reason.
    ResolutionFails(String),
    /// The bundle's objects cannot be created, with this error: an InstallPlan fails, a ClusterExtension tries again
    /// and again.
    InstallPlanFails(String),
    /// The ClusterServiceVersion fails, a ClusterExtension is blocked.
    OperatorFails {
        /// Of the ClusterServiceVersion, e.g. `InstallCheckFailed`.
        reason: String,
        /// In OLM's words, e.g. `install timeout`.
        message: String,
    },
    /// The operator's Deployment never becomes available.
    NeverFinishes,
}

impl Trouble {
    /// The merge patch that gives a catalog this trouble.
    pub fn patch(&self) -> Value {
        json!({ "metadata": { "annotations": { ANNOTATION: json!(self).to_string() } } })
    }

    /// The merge patch that takes a catalog's trouble away.
    pub fn over() -> Value {
        json!({ "metadata": { "annotations": { ANNOTATION: null } } })
    }

    /// The trouble with a catalog.
    pub(super) fn read(catalog: &Value) -> Option<Self> {
        serde_json::from_str(catalog["metadata"]["annotations"][ANNOTATION].as_str()?).ok()
    }
}
