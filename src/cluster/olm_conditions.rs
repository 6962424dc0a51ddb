//! What stands in the way of an operator, in OLM's own words and what they mean.

use serde::{Deserialize, Serialize};

/// A condition in the status of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct OlmCondition {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// In one word.
    pub reason: String,
    /// For a person.
    pub message: String,
}

/// Something that stands in the way of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OlmIssue {
    /// One sentence: where, what is said there, and what it means where that is known.
    pub(super) text: String,
    /// It does not pass by itself.
    pub(super) lasting: bool,
}

/// A state that OLM has no word for: it never installs again what was deleted.
pub(super) const CSV_GONE: &str = "the ClusterServiceVersion that it installed is gone";

/// A type or a reason of OLM's and what it means.
struct KnownCondition {
    of: &'static str,
    is: &'static str,
    lasting: bool,
}

const fn transient(of: &'static str, is: &'static str) -> KnownCondition {
    KnownCondition { of, is, lasting: false }
}

const fn lasting(of: &'static str, is: &'static str) -> KnownCondition {
    KnownCondition { of, is, lasting: true }
}

/// Types and reasons of Subscriptions, InstallPlans and ClusterServiceVersions (operator-framework/api
/// `pkg/operators/v1alpha1/*_types.go`; operator-lifecycle-manager `pkg/controller/operators/catalog/operator.go`) and of
/// ClusterExtensions (operator-controller `api/v1/common_types.go`).
const MEANINGS: [KnownCondition; 22] = [
    lasting(
        CSV_GONE,
        "somebody deleted it: delete the Subscription as well, and run the command again",
    ),
    transient(
        "CatalogSourcesUnhealthy",
        "a catalog does not answer: see oc get catalogsources,pods -n openshift-marketplace",
    ),
    transient(
        "InstallPlanMissing",
        "the InstallPlan was deleted: delete the Subscription and run the command again",
    ),
    lasting(
        "ConstraintsNotSatisfiable",
        "no version of the operator fits: the catalog may lack the package or the channel, or another Subscription or \
         ClusterServiceVersion in the namespace stands in the way",
    ),
    transient("ErrorPreventedResolution", "OLM could not ask the catalogs, and tries again"),
    lasting(
        "BundleUnpackFailed",
        "the image of the operator's bundle cannot be pulled or unpacked: look at the jobs in the catalog's namespace",
    ),
    lasting("ErrorPreventedUnpacking", "the image of the operator's bundle cannot be unpacked"),
    lasting("InstallComponentFailed", "one of the operator's objects could not be created"),
    lasting(
        "InstallCheckFailed",
        "the operator was installed and its pods do not become ready in time: look at its Deployment",
    ),
    lasting(
        "InstallPlanFailed",
        "the InstallPlan was given up: delete it and the Subscription, and run the command again",
    ),
    lasting("DependenciesConflict", "what the operator depends on contradicts what is installed"),
    transient("ComponentUnhealthy", "the operator's pods are not ready: look at its Deployment"),
    transient("RequirementsNotMet", "something that the operator needs is not there yet"),
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
    lasting("NoOperatorGroup", "the namespace has no OperatorGroup, and needs one"),
    lasting(
        "TooManyOperatorGroups",
        "the namespace has more than one OperatorGroup, and may have just one",
    ),
    transient("Retrying", "OLM could not install it, and tries again"),
    lasting("Blocked", "OLM cannot install it as it is described, and does not try again"),
    lasting("InvalidConfiguration", "the ClusterExtension is not one that can be installed"),
    lasting("ProgressDeadlineExceeded", "it was not installed in time"),
];

impl OlmCondition {
    pub(super) fn is_true(&self) -> bool {
        self.status == "True"
    }
}

impl OlmIssue {
    /// What an object says of itself, under a `kind` of state and with a reason: `lasting` says whether it passes by
    /// itself where the table does not.
    pub(super) fn new(of: &str, kind: &str, reason: &str, message: &str, lasting: bool) -> Self {
        let meaning = MEANINGS
            .iter()
            .find(|meaning| meaning.of == reason)
            .or(MEANINGS.iter().find(|meaning| meaning.of == kind));
        let mut text = format!("{of}: {kind}");
        if !reason.is_empty() && reason != kind {
            text += &format!(" ({reason})");
        }
        if !message.is_empty() {
            text += &format!(": {}", message.trim_end_matches(['.', '\n']));
        }
        if let Some(meaning) = meaning {
            text += &format!(". That is: {}", meaning.is);
        }
        Self { text, lasting: meaning.map_or(lasting, |meaning| meaning.lasting) }
    }
}
