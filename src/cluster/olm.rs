//! The operator as OLM installs it: a Subscription makes an InstallPlan, which makes a ClusterServiceVersion
//! (operator-framework/api `pkg/operators/v1alpha1`).

use kube::api::ListParams;
use serde::Deserialize;

use super::client::Cluster;
use super::olm_conditions::{CSV_GONE, OlmCondition, OlmIssue};
use super::operator::OPERATOR_NAMESPACE;
use super::resources::{CLUSTER_SERVICE_VERSIONS, INSTALL_PLANS, Meta, SUBSCRIPTIONS};
use crate::domain::snapshot::Observed;

/// What we need of a Subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Guards every write.
    pub resource_version: String,
    /// `spec.channel`; empty for the default one.
    pub channel: String,
    /// `spec.source`.
    pub catalog: String,
    /// `spec.sourceNamespace`.
    pub catalog_namespace: String,
    /// `spec.installPlanApproval`: `Automatic` or `Manual`.
    pub approval: String,
    /// `status.state`, for example `AtLatestKnown`.
    pub state: String,
    /// `status.installedCSV`: the ClusterServiceVersion that it has brought, whether or not that works yet.
    pub installed_csv: Option<String>,
    /// The latest InstallPlan made for it.
    pub install_plan: Option<InstallPlan>,
    /// Its conditions; they are true when something is wrong.
    pub conditions: Vec<OlmCondition>,
    /// It carries our label.
    pub ours: bool,
    /// Other Subscriptions to the package, as `namespace/name`: one is enough, and two in a namespace block each other.
    pub others: Vec<String>,
}

/// What we need of an InstallPlan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallPlan {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Guards every write.
    pub resource_version: String,
    /// `status.phase`, for example `RequiresApproval`.
    pub phase: String,
    /// `spec.approved`.
    pub approved: bool,
    /// The ClusterServiceVersions that it installs: all that OLM updates in the namespace at once.
    pub csvs: Vec<String>,
    /// Its conditions.
    pub conditions: Vec<OlmCondition>,
}

/// What we need of a ClusterServiceVersion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csv {
    /// Its namespace.
    pub namespace: String,
    /// Its name, for example `quay-bridge-operator.v3.18.0`.
    pub name: String,
    /// Guards every write.
    pub resource_version: String,
    /// `spec.version`.
    pub version: String,
    /// `status.phase`: `Succeeded` when the operator works.
    pub phase: String,
    /// `status.reason`, in one word.
    pub reason: String,
    /// `status.message`, for a person.
    pub message: String,
}

/// A Subscription as the API server holds it.
#[derive(Deserialize)]
pub(super) struct StoredSubscription {
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
    /// The Subscriptions to a package, the one where the documentation has it first.
    pub(super) async fn subscriptions(&self, package: &str) -> Observed<Vec<StoredSubscription>> {
        let add = |found: &mut Vec<_>, stored: StoredSubscription| {
            if stored.spec.name == package {
                found.push(stored);
            }
        };
        let mut found = self.each(&SUBSCRIPTIONS, None, ListParams::default(), add).await?;
        found.sort_by_key(|stored| stored.metadata.namespace != OPERATOR_NAMESPACE);
        Ok(found)
    }

    /// The InstallPlan that a Subscription is at.
    pub(super) async fn install_plan(
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

    /// A ClusterServiceVersion by name.
    pub(super) async fn csv(&self, namespace: &str, name: &str) -> Observed<Option<Csv>> {
        Ok(self
            .get::<StoredCsv>(&CLUSTER_SERVICE_VERSIONS, Some(namespace), name)
            .await?
            .map(Csv::from))
    }
}

impl StoredSubscription {
    /// The namespace and the name of the ClusterServiceVersion that it has installed, or else is about to.
    pub(super) fn csv(&self) -> Option<(&str, &str)> {
        let names = [&self.status.installed_csv, &self.status.current_csv];
        Some((&self.metadata.namespace, names.into_iter().find(|name| !name.is_empty())?))
    }

    /// What we need of it. `others` are the other Subscriptions to the package.
    pub(super) fn reduce(
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
    /// What its conditions complain of, an InstallPlan that waits for somebody, other Subscriptions, and that its
    /// ClusterServiceVersion is not among what there is.
    pub(super) fn problems(&self, csv: Option<&Csv>) -> Vec<OlmIssue> {
        let of = format!("Subscription {}/{}", self.namespace, self.name);
        // `True` is bad of all of them but these, which say that work is under way or that there will be no updates.
        let harmless = |condition: &OlmCondition| {
            matches!(condition.kind.as_str(), "InstallPlanPending" | "BundleUnpacking")
                || condition.kind.ends_with("Deprecated")
        };
        let complaints =
            self.conditions.iter().filter(|condition| condition.is_true() && !harmless(condition));
        let mut problems: Vec<_> = complaints
            .map(|condition| {
                OlmIssue::new(&of, &condition.kind, &condition.reason, &condition.message, false)
            })
            .collect();
        if !self.others.is_empty() {
            problems.push(OlmIssue::new(
                &of,
                "there are others for the same package",
                "",
                &self.others.join(", "),
                true,
            ));
        }
        if let (Some(installed), None) = (&self.installed_csv, csv) {
            problems.push(OlmIssue::new(&of, CSV_GONE, "", installed, true));
        }
        problems.extend(self.install_plan.iter().flat_map(InstallPlan::problem));
        problems
    }
}

impl InstallPlan {
    /// Whether it waits for somebody to set `spec.approved`.
    pub fn needs_approval(&self) -> bool {
        self.phase == "RequiresApproval" && !self.approved
    }

    fn problem(&self) -> Option<OlmIssue> {
        let of = format!("InstallPlan {}/{}", self.namespace, self.name);
        if self.needs_approval() {
            return Some(OlmIssue::new(&of, "it waits for approval", "", "", false));
        }
        if self.phase != "Failed" {
            return None;
        }
        let failed = self.conditions.iter().find(|condition| condition.status == "False");
        let (reason, message) =
            failed.map_or(("InstallPlanFailed", ""), |failed| (&failed.reason, &failed.message));
        Some(OlmIssue::new(&of, "Failed", reason, message, true))
    }
}

impl Csv {
    /// Whether the operator works.
    pub fn has_succeeded(&self) -> bool {
        self.phase == "Succeeded"
    }

    /// What is wrong with it. Every installation passes through other phases, also `Pending` for want of what is just
    /// being created.
    pub(super) fn problem(&self) -> Option<OlmIssue> {
        let lasting = self.phase == "Failed";
        let is_wrong = lasting || self.phase == "Unknown" || self.reason == "RequirementsNotMet";
        let of = format!("ClusterServiceVersion {}/{}", self.namespace, self.name);
        is_wrong.then(|| OlmIssue::new(&of, &self.phase, &self.reason, &self.message, lasting))
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
