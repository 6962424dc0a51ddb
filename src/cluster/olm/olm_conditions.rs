//! Problems of an operator from OLM's conditions, with explanations.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct OlmCondition {
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    pub reason: String,
    pub message: String,
}

/// A problem of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cluster) struct OlmIssue {
    /// The object, its state, and the explanation if known.
    pub(in crate::cluster) text: String,
    /// OLM does not recover without intervention.
    pub(in crate::cluster) lasting: bool,
}

/// OLM has no reason for this state: it does not reinstall a deleted ClusterServiceVersion.
pub(in crate::cluster) const CSV_MISSING: &str = "the installed ClusterServiceVersion is missing";

struct KnownCondition {
    key: &'static str,
    explanation: &'static str,
    lasting: bool,
}

const fn transient(key: &'static str, explanation: &'static str) -> KnownCondition {
    KnownCondition { key, explanation, lasting: false }
}

const fn lasting(key: &'static str, explanation: &'static str) -> KnownCondition {
    KnownCondition { key, explanation, lasting: true }
}

/// Sources: operator-framework/api `pkg/operators/v1alpha1/*_types.go`, operator-lifecycle-manager
/// `pkg/controller/operators/catalog/operator.go`, operator-controller `api/v1/common_types.go`.
const KNOWN_CONDITIONS: [KnownCondition; 22] = [
    lasting(
        CSV_MISSING,
        "it was deleted: delete the Subscription as well and run the command again",
    ),
    transient(
        "CatalogSourcesUnhealthy",
        "a catalog is unavailable: see oc get catalogsources,pods -n openshift-marketplace",
    ),
    transient(
        "InstallPlanMissing",
        "the InstallPlan was deleted: delete the Subscription and run the command again",
    ),
    lasting(
        "ConstraintsNotSatisfiable",
        "no version of the operator can be installed: the package or channel might be missing from the catalog, or \
         another Subscription or ClusterServiceVersion in the namespace might conflict",
    ),
    transient("ErrorPreventedResolution", "OLM failed to read the catalogs and will retry"),
    lasting(
        "BundleUnpackFailed",
        "the image of the operator's bundle cannot be pulled or unpacked: check the jobs in the catalog's namespace",
    ),
    lasting("ErrorPreventedUnpacking", "the image of the operator's bundle cannot be unpacked"),
    lasting("InstallComponentFailed", "one of the operator's objects could not be created"),
    lasting(
        "InstallCheckFailed",
        "the operator was installed, but its pods did not become ready in time: check its Deployment",
    ),
    lasting(
        "InstallPlanFailed",
        "the InstallPlan failed permanently: delete it and the Subscription, and run the command again",
    ),
    lasting(
        "DependenciesConflict",
        "a dependency of the operator conflicts with an installed operator",
    ),
    transient("ComponentUnhealthy", "the operator's pods are not ready: check its Deployment"),
    transient("RequirementsNotMet", "a requirement of the operator is missing"),
    lasting(
        "OwnerConflict",
        "another operator in the namespace owns the same CustomResourceDefinition",
    ),
    lasting(
        "InterOperatorGroupOwnerConflict",
        "an operator in another namespace owns the same CustomResourceDefinition",
    ),
    lasting(
        "UnsupportedOperatorGroup",
        "the OperatorGroup of the namespace selects namespaces, and this operator must watch all of them",
    ),
    lasting("NoOperatorGroup", "the namespace has no OperatorGroup, which is required"),
    lasting(
        "TooManyOperatorGroups",
        "the namespace has more than one OperatorGroup, but only one is allowed",
    ),
    transient("Retrying", "OLM failed to install it and will retry"),
    lasting("Blocked", "OLM cannot install the ClusterExtension as specified and will not retry"),
    lasting("InvalidConfiguration", "the ClusterExtension is invalid"),
    lasting("ProgressDeadlineExceeded", "it was not installed in time"),
];

impl OlmCondition {
    pub(in crate::cluster) fn is_true(&self) -> bool {
        self.status == "True"
    }
}

impl OlmIssue {
    /// A `kind` of state of an object, with a reason. `lasting` applies unless the table knows the
    /// state.
    pub(in crate::cluster) fn new(
        object: &str,
        kind: &str,
        reason: &str,
        message: &str,
        lasting: bool,
    ) -> Self {
        let known = KNOWN_CONDITIONS
            .iter()
            .find(|condition| condition.key == reason)
            .or(KNOWN_CONDITIONS.iter().find(|condition| condition.key == kind));
        let mut text = format!("{object}: {kind}");
        if !reason.is_empty() && reason != kind {
            text += &format!(" ({reason})");
        }
        if !message.is_empty() {
            text += &format!(": {}", message.trim_end_matches(['.', '\n']));
        }
        if let Some(known) = known {
            text += &format!(" – {}", known.explanation);
        }
        Self { text, lasting: known.map_or(lasting, |condition| condition.lasting) }
    }
}
