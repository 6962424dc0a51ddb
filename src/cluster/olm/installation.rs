//! The operator's Subscription, InstallPlan and ClusterServiceVersion in OLM v0
//! (operator-framework/api `pkg/operators/v1alpha1`).

use kube::api::ListParams;
use serde::Deserialize;

use crate::cluster::access::client::Cluster;
use crate::cluster::olm::olm_conditions::{CSV_MISSING, OlmCondition, OlmIssue};
use crate::cluster::olm::operator::OPERATOR_NAMESPACE;
use crate::cluster::resources::{CLUSTER_SERVICE_VERSIONS, INSTALL_PLANS, Meta, SUBSCRIPTIONS};
use crate::domain::snapshot::Observed;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub namespace: String,
    pub name: String,
    pub resource_version: String,
    /// `spec.channel`; empty for the default channel.
    pub channel: String,
    /// `spec.source`.
    pub catalog: String,
    /// `spec.sourceNamespace`.
    pub catalog_namespace: String,
    /// `spec.installPlanApproval`: `Automatic` or `Manual`.
    pub approval: String,
    /// `status.state`, for example `AtLatestKnown`.
    pub state: String,
    /// `status.installedCSV`, whether or not it succeeded.
    pub installed_csv: Option<String>,
    pub install_plan: Option<InstallPlan>,
    /// OLM sets a condition to `True` when there is a problem.
    pub conditions: Vec<OlmCondition>,
    pub ours: bool,
    /// Other Subscriptions to the package, as `namespace/name`: two in a namespace block each
    /// other.
    pub others: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallPlan {
    pub namespace: String,
    pub name: String,
    pub resource_version: String,
    /// `status.phase`, for example `RequiresApproval`.
    pub phase: String,
    /// `spec.approved`.
    pub approved: bool,
    /// All ClusterServiceVersions that OLM updates in the namespace.
    pub csvs: Vec<String>,
    pub conditions: Vec<OlmCondition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csv {
    pub namespace: String,
    /// Its name, for example `quay-bridge-operator.v3.18.0`.
    pub name: String,
    pub resource_version: String,
    /// `spec.version`.
    pub version: String,
    /// `status.phase`, for example `Succeeded`.
    pub phase: String,
    /// `status.reason`
    pub reason: String,
    /// `status.message`
    pub message: String,
}

#[derive(Deserialize)]
pub(in crate::cluster) struct StoredSubscription {
    metadata: Meta,
    spec: SubscriptionSpec,
    #[serde(default)]
    status: SubscriptionStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionSpec {
    name: String,
    #[serde(default)]
    channel: String,
    source: String,
    source_namespace: String,
    install_plan_approval: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SubscriptionStatus {
    state: String,
    #[serde(rename = "installedCSV")]
    installed_csv: String,
    #[serde(rename = "currentCSV")]
    current_csv: String,
    install_plan_ref: Option<InstallPlanRef>,
    conditions: Option<Vec<OlmCondition>>,
}

#[derive(Deserialize)]
struct InstallPlanRef {
    name: String,
}

#[derive(Deserialize)]
struct StoredInstallPlan {
    metadata: Meta,
    spec: InstallPlanSpec,
    #[serde(default)]
    status: InstallPlanStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstallPlanSpec {
    approved: bool,
    cluster_service_version_names: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InstallPlanStatus {
    phase: String,
    conditions: Option<Vec<OlmCondition>>,
}

#[derive(Deserialize)]
struct StoredCsv {
    metadata: Meta,
    #[serde(default)]
    spec: CsvSpec,
    #[serde(default)]
    status: CsvStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CsvSpec {
    version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CsvStatus {
    phase: String,
    reason: String,
    message: String,
}

impl Cluster {
    /// The Subscription in the documented namespace comes first.
    pub(in crate::cluster) async fn subscriptions(
        &self,
        package: &str,
    ) -> Observed<Vec<StoredSubscription>> {
        let add = |found: &mut Vec<_>, stored: StoredSubscription| {
            if stored.spec.name == package {
                found.push(stored);
            }
        };
        let mut found = self.fold_list(&SUBSCRIPTIONS, None, ListParams::default(), add).await?;
        found.sort_by_key(|stored| stored.metadata.namespace != OPERATOR_NAMESPACE);
        Ok(found)
    }

    pub(in crate::cluster) async fn install_plan(
        &self,
        subscription: &StoredSubscription,
    ) -> Observed<Option<InstallPlan>> {
        let Some(plan) = &subscription.status.install_plan_ref else { return Ok(None) };
        let namespace = Some(subscription.metadata.namespace.as_str());
        Ok(self
            .get::<StoredInstallPlan>(&INSTALL_PLANS, namespace, &plan.name)
            .await?
            .map(InstallPlan::from))
    }

    pub(in crate::cluster) async fn csv(
        &self,
        namespace: &str,
        name: &str,
    ) -> Observed<Option<Csv>> {
        Ok(self
            .get::<StoredCsv>(&CLUSTER_SERVICE_VERSIONS, Some(namespace), name)
            .await?
            .map(Csv::from))
    }
}

impl StoredSubscription {
    /// Namespace and name of its installed ClusterServiceVersion, else of the pending one.
    pub(in crate::cluster) fn csv(&self) -> Option<(&str, &str)> {
        let names = [&self.status.installed_csv, &self.status.current_csv];
        Some((&self.metadata.namespace, names.into_iter().find(|name| !name.is_empty())?))
    }

    /// `others` are the other Subscriptions to the package.
    pub(in crate::cluster) fn reduce(
        self,
        install_plan: Option<InstallPlan>,
        others: &[StoredSubscription],
    ) -> Subscription {
        let Self { metadata, spec, status } = self;
        Subscription {
            ours: metadata.is_ours(),
            namespace: metadata.namespace,
            name: metadata.name,
            resource_version: metadata.resource_version,
            channel: spec.channel,
            catalog: spec.source,
            catalog_namespace: spec.source_namespace,
            // OLM's default (`GetInstallPlanApproval`).
            approval: spec
                .install_plan_approval
                .filter(|approval| !approval.is_empty())
                .unwrap_or("Automatic".into()),
            state: status.state,
            installed_csv: Some(status.installed_csv).filter(|name| !name.is_empty()),
            install_plan,
            conditions: status.conditions.unwrap_or_default(),
            others: others
                .iter()
                .map(|other| format!("{}/{}", other.metadata.namespace, other.metadata.name))
                .collect(),
        }
    }
}

impl Subscription {
    /// Problems from its conditions, a pending approval, other Subscriptions and a missing
    /// ClusterServiceVersion.
    pub(in crate::cluster) fn problems(&self, csv: Option<&Csv>) -> Vec<OlmIssue> {
        let object = format!("Subscription {}/{}", self.namespace, self.name);
        // `True` means a problem, except for these.
        let harmless = |condition: &OlmCondition| {
            matches!(condition.kind.as_str(), "InstallPlanPending" | "BundleUnpacking")
                || condition.kind.ends_with("Deprecated")
        };
        let failing =
            self.conditions.iter().filter(|condition| condition.is_true() && !harmless(condition));
        let mut problems: Vec<_> = failing
            .map(|condition| {
                OlmIssue::new(
                    &object,
                    &condition.kind,
                    &condition.reason,
                    &condition.message,
                    false,
                )
            })
            .collect();
        if !self.others.is_empty() {
            problems.push(OlmIssue::new(
                &object,
                "other Subscriptions to the package exist",
                "",
                &self.others.join(", "),
                true,
            ));
        }
        if let (Some(installed), None) = (&self.installed_csv, csv) {
            problems.push(OlmIssue::new(&object, CSV_MISSING, "", installed, true));
        }
        problems.extend(self.install_plan.iter().flat_map(InstallPlan::problem));
        problems
    }
}

impl InstallPlan {
    pub fn needs_approval(&self) -> bool {
        self.phase == "RequiresApproval" && !self.approved
    }

    fn problem(&self) -> Option<OlmIssue> {
        let object = format!("InstallPlan {}/{}", self.namespace, self.name);
        if self.needs_approval() {
            return Some(OlmIssue::new(&object, "approval required", "", "", false));
        }
        if self.phase != "Failed" {
            return None;
        }
        let failed = self.conditions.iter().find(|condition| condition.status == "False");
        let (reason, message) =
            failed.map_or(("InstallPlanFailed", ""), |failed| (&failed.reason, &failed.message));
        Some(OlmIssue::new(&object, "Failed", reason, message, true))
    }
}

impl Csv {
    pub fn has_succeeded(&self) -> bool {
        self.phase == "Succeeded"
    }

    /// Every installation passes through other phases, including `Pending` while required objects
    /// are created.
    pub(in crate::cluster) fn problem(&self) -> Option<OlmIssue> {
        let lasting = self.phase == "Failed";
        let is_wrong = lasting || self.phase == "Unknown" || self.reason == "RequirementsNotMet";
        let object = format!("ClusterServiceVersion {}/{}", self.namespace, self.name);
        is_wrong.then(|| OlmIssue::new(&object, &self.phase, &self.reason, &self.message, lasting))
    }
}

impl From<StoredInstallPlan> for InstallPlan {
    fn from(StoredInstallPlan { metadata, spec, status }: StoredInstallPlan) -> Self {
        Self {
            namespace: metadata.namespace,
            name: metadata.name,
            resource_version: metadata.resource_version,
            phase: status.phase,
            approved: spec.approved,
            csvs: spec.cluster_service_version_names.unwrap_or_default(),
            conditions: status.conditions.unwrap_or_default(),
        }
    }
}

impl From<StoredCsv> for Csv {
    fn from(StoredCsv { metadata, spec, status }: StoredCsv) -> Self {
        Self {
            namespace: metadata.namespace,
            name: metadata.name,
            resource_version: metadata.resource_version,
            version: spec.version,
            phase: status.phase,
            reason: status.reason,
            message: status.message,
        }
    }
}
