//! Discovers the operator, however it was installed, and its problems.

use std::collections::BTreeSet;

use futures::{future, join};
use kube::api::ListParams;
use serde::Deserialize;
use serde_json::Value;

use crate::cluster::access::client::Cluster;
use crate::cluster::olm::cluster_extension::Extension;
use crate::cluster::olm::installation::{Csv, StoredSubscription, Subscription};
use crate::cluster::olm::olm_conditions::{OlmCondition, OlmIssue};
use crate::cluster::resources::{
    CLUSTER_ROLE_BINDINGS, CUSTOM_RESOURCE_DEFINITIONS, DEPLOYMENTS, MUTATING_WEBHOOKS, Meta,
    OLM_GROUP, OLM_V1_GROUP,
};
use crate::domain::names::OPERATOR_WEBHOOK;
use crate::domain::snapshot::Observed;

/// The package name (QBO `bundle/downstream/metadata/annotations.yaml`).
pub const PACKAGE: &str = "quay-bridge-operator";

/// The documented namespace, whose OperatorGroup selects all namespaces.
pub const OPERATOR_NAMESPACE: &str = "openshift-operators";

pub const QUAY_INTEGRATION_CRD_NAME: &str = "quayintegrations.quay.redhat.com";

/// Names of the operator's Deployment in the bundle (QBO
/// `bundle/downstream/manifests/quay-bridge-operator.clusterserviceversion.yaml`) and without OLM
/// (QBO `config/default`).
pub const OPERATOR_DEPLOYMENTS: [&str; 2] =
    ["quay-bridge-operator", "quay-bridge-operator-controller-manager"];

/// Service account for OLM v1, with a ClusterRoleBinding of the same name.
pub const INSTALLER: &str = "quay-bridge-operator-installer";

/// Optional parts can be unreadable independently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// In any namespace.
    pub subscription: Option<Subscription>,
    pub csv: Option<Csv>,
    pub extension: Option<Extension>,
    /// Whether the ClusterRoleBinding [`INSTALLER`] exists with our label.
    pub installer: bool,
    pub crd: Option<Crd>,
    pub deployment: Observed<Option<Deployment>>,
    /// The MutatingWebhookConfiguration for builds.
    pub webhook: Observed<Option<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crd {
    pub resource_version: String,
    /// Condition `Established`.
    pub established: bool,
    /// A deletionTimestamp is set.
    pub deleting: bool,
    pub conditions: Vec<OlmCondition>,
    pub ours: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub namespace: String,
    pub name: String,
    /// Guards writes instead of the `resourceVersion`, which changes with the pods' status.
    pub uid: String,
    /// `spec.replicas`
    pub wanted: i64,
    /// `status.availableReplicas`
    pub available: i64,
    /// The owning ClusterServiceVersion (label `olm.owner`, OLM `pkg/lib/ownerutil/util.go`).
    pub csv: Option<String>,
}

/// For clusters without the operator: equivalent to the operator's (QBO
/// `config/crd/bases/quay.redhat.com_quayintegrations.yaml`), with our label.
pub fn quay_integration_crd() -> Value {
    serde_json::from_str(include_str!("quayintegration-crd.json")).unwrap_or_default()
}

#[derive(Deserialize)]
struct StoredCrd {
    metadata: Meta,
    #[serde(default)]
    status: Conditions,
}

#[derive(Default, Deserialize)]
struct Conditions {
    conditions: Option<Vec<OlmCondition>>,
}

#[derive(Deserialize)]
struct StoredDeployment {
    metadata: Meta,
    #[serde(default)]
    spec: DeploymentSpec,
    #[serde(default)]
    status: DeploymentStatus,
}

#[derive(Default, Deserialize)]
struct DeploymentSpec {
    replicas: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeploymentStatus {
    available_replicas: i64,
}

#[derive(Deserialize)]
struct Labeled {
    metadata: Meta,
}

#[derive(Deserialize)]
struct WebhookConfiguration {
    metadata: Meta,
    webhooks: Option<Vec<Webhook>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    name: String,
    #[serde(default)]
    client_config: ClientConfig,
}

#[derive(Default, Deserialize)]
struct ClientConfig {
    service: Option<Service>,
}

#[derive(Deserialize)]
struct Service {
    namespace: String,
}

struct WebhookRegistration {
    name: String,
    namespace: Option<String>,
}

impl Cluster {
    /// `groups` are the API groups of the cluster: OLM's objects are requested only if it is
    /// installed.
    pub async fn operator(&self, groups: &BTreeSet<String>) -> Observed<Operator> {
        let has = |group: &str| groups.contains(group);
        let (subscriptions, extension, installer, crd, deployments, webhook) = join!(
            async { if has(OLM_GROUP) { self.subscriptions(PACKAGE).await } else { Ok(vec![]) } },
            async { if has(OLM_V1_GROUP) { self.extension(PACKAGE).await } else { Ok(None) } },
            async { if has(OLM_V1_GROUP) { self.installer().await } else { Ok(false) } },
            self.get::<StoredCrd>(&CUSTOM_RESOURCE_DEFINITIONS, None, QUAY_INTEGRATION_CRD_NAME),
            self.deployments(),
            self.webhook(),
        );
        let deployment = deployments.and_then(|found| select_deployment(found, &webhook));
        let mut subscriptions = subscriptions?;
        let (install_plan, csv) = join!(
            async {
                if let Some(first) = subscriptions.first() {
                    self.install_plan(first).await
                } else {
                    Ok(None)
                }
            },
            self.find_csv(subscriptions.first(), known(&deployment)),
        );
        let others = subscriptions.split_off(subscriptions.len().min(1));
        let install_plan = install_plan?;
        Ok(Operator {
            subscription: subscriptions.pop().map(|first| first.reduce(install_plan, &others)),
            csv: csv?,
            extension: extension?,
            installer: installer?,
            crd: crd?.map(Crd::from),
            deployment,
            webhook: webhook.map(|webhook| webhook.map(|registered| registered.name)),
        })
    }

    /// The Subscription's ClusterServiceVersion, else the Deployment's owner: deleting a
    /// Subscription keeps the operator running.
    async fn find_csv(
        &self,
        subscription: Option<&StoredSubscription>,
        deployment: Option<&Deployment>,
    ) -> Observed<Option<Csv>> {
        let subscribed = subscription.and_then(StoredSubscription::csv);
        let deployed =
            || deployment.and_then(|found| Some((found.namespace.as_str(), found.csv.as_deref()?)));
        match subscribed.or_else(deployed) {
            Some((namespace, name)) => self.csv(namespace, name).await,
            None => Ok(None),
        }
    }

    async fn installer(&self) -> Observed<bool> {
        let found = self.get::<Labeled>(&CLUSTER_ROLE_BINDINGS, None, INSTALLER).await?;
        Ok(found.is_some_and(|found| found.metadata.is_ours()))
    }

    /// As `namespace/name`, if it has replicas.
    pub async fn running_operator(&self) -> Observed<Option<String>> {
        let mut found = self.deployments().await?;
        found.retain(|deployment| deployment.wanted > 0);
        let webhook = if found.is_empty() { Ok(None) } else { self.webhook().await };
        Ok(select_deployment(found, &webhook)?
            .map(|deployment| format!("{}/{}", deployment.namespace, deployment.name)))
    }

    /// All Deployments with one of the operator's names.
    async fn deployments(&self) -> Observed<Vec<Deployment>> {
        let found = future::try_join_all(OPERATOR_DEPLOYMENTS.map(|name| async move {
            let named = ListParams::default().fields(&format!("metadata.name={name}"));
            self.list::<StoredDeployment, Deployment>(&DEPLOYMENTS, None, named).await
        }));
        Ok(found.await?.into_iter().flatten().collect())
    }

    pub(in crate::cluster) async fn deployments_in(
        &self,
        namespace: &str,
    ) -> Observed<Vec<Deployment>> {
        Ok(self
            .list::<StoredDeployment, Deployment>(
                &DEPLOYMENTS,
                Some(namespace),
                ListParams::default(),
            )
            .await?)
    }

    async fn webhook(&self) -> Observed<Option<WebhookRegistration>> {
        let add = |found: &mut Option<WebhookRegistration>, configuration: WebhookConfiguration| {
            let mut webhooks = configuration.webhooks.into_iter().flatten();
            if let Some(webhook) = webhooks.find(|webhook| webhook.name == OPERATOR_WEBHOOK) {
                let namespace = webhook.client_config.service.map(|service| service.namespace);
                *found = Some(WebhookRegistration { name: configuration.metadata.name, namespace });
            }
        };
        Ok(self.fold_list(&MUTATING_WEBHOOKS, None, ListParams::default(), add).await?)
    }
}

/// Selects the operator's Deployment: in a namespace that OpenShift does not allow users to request
/// (openshift-apiserver `pkg/project/apiserver/registry/projectrequest/delegated/delegated.go`), or
/// in the namespace of the operator's webhook Service, which only administrators register. Any
/// other may belong to a user, who could stop the controller or hide the operator with it.
fn select_deployment(
    found: Vec<Deployment>,
    webhook: &Observed<Option<WebhookRegistration>>,
) -> Observed<Option<Deployment>> {
    let is_reserved =
        |namespace: &str| namespace.starts_with("openshift-") || namespace.starts_with("kube-");
    let called = known(webhook).and_then(|registered| registered.namespace.as_deref());
    let is_operator = |deployment: &Deployment| {
        is_reserved(&deployment.namespace) || called == Some(deployment.namespace.as_str())
    };
    let (own, others): (Vec<_>, Vec<_>) = found.into_iter().partition(is_operator);
    let own = own.into_iter().max_by_key(|deployment| deployment.wanted > 0);
    match webhook {
        Err(unread)
            if !others.is_empty()
                && own.as_ref().is_none_or(|deployment| deployment.wanted == 0) =>
        {
            Err(unread.clone())
        }
        _ => Ok(own),
    }
}

fn known<T>(part: &Observed<Option<T>>) -> Option<&T> {
    part.as_ref().ok()?.as_ref()
}

impl Operator {
    /// For example `3.18.0`; known with OLM only.
    pub fn version(&self) -> Option<&str> {
        let installed = self.csv.as_ref().map(|csv| csv.version.as_str());
        installed.or_else(|| self.extension.as_ref()?.bundle_version.as_deref())
    }

    /// Whether it is installed or being installed. The CustomResourceDefinition does not count: it
    /// is kept when an operator is removed.
    pub fn is_installed(&self) -> bool {
        self.subscription.is_some()
            || self.csv.is_some()
            || self.extension.is_some()
            || known(&self.deployment).is_some()
    }

    /// Also if its pods are still to be created.
    pub fn is_running(&self) -> bool {
        let has_pods = known(&self.deployment)
            .is_some_and(|deployment| deployment.wanted > 0 || deployment.available > 0);
        has_pods || self.csv.is_some() || self.subscription.is_some() || self.extension.is_some()
    }

    pub fn is_installation_complete(&self) -> bool {
        // A Subscription without a ClusterServiceVersion is still pending.
        match (&self.csv, &self.extension) {
            (Some(csv), _) => csv.has_succeeded(),
            (None, Some(extension)) => extension.installed,
            (None, None) => self.subscription.is_none(),
        }
    }

    /// The Deployment, if scaled to 0.
    pub fn stopped(&self) -> Option<&Deployment> {
        known(&self.deployment).filter(|deployment| deployment.wanted == 0)
    }

    /// Installed, available, and QuayIntegrations can be written.
    pub fn is_healthy(&self) -> bool {
        let works = match &self.deployment {
            Ok(Some(deployment)) => deployment.is_available(),
            Ok(None) => false,
            // OLM reported success; other installations are unknown.
            Err(_) => self.csv.is_some() || self.extension.is_some(),
        };
        self.is_installation_complete()
            && works
            && self.crd.as_ref().is_some_and(|crd| crd.established)
    }

    /// Whether a problem needs intervention.
    pub fn has_failed(&self) -> bool {
        self.all_problems().iter().any(|problem| problem.lasting)
    }

    /// Problems with their explanations. Some are temporary during an installation.
    pub fn problems(&self) -> Vec<String> {
        self.all_problems().into_iter().map(|problem| problem.text).collect()
    }

    /// Short progress text of an installation.
    pub fn progress(&self) -> String {
        if let Some(csv) = &self.csv {
            return format!("{}: {}", csv.name, or_pending(&csv.phase));
        }
        if let Some(plan) =
            self.subscription.as_ref().and_then(|subscription| subscription.install_plan.as_ref())
        {
            return format!("InstallPlan {}: {}", plan.name, or_pending(&plan.phase));
        }
        if let Some(extension) = &self.extension {
            return format!(
                "ClusterExtension {}: {}",
                extension.name,
                or_pending(extension.progress())
            );
        }
        match &self.subscription {
            Some(_) => "OLM is resolving a version".into(),
            None => "OLM has not started".into(),
        }
    }

    fn all_problems(&self) -> Vec<OlmIssue> {
        let mut problems = Vec::new();
        problems.extend(
            self.subscription
                .iter()
                .flat_map(|subscription| subscription.problems(self.csv.as_ref())),
        );
        problems.extend(self.csv.iter().flat_map(Csv::problem));
        problems.extend(self.extension.iter().flat_map(Extension::problems));
        problems.extend(self.crd.iter().flat_map(Crd::problems));
        problems.extend(known(&self.deployment).and_then(Deployment::problem));
        problems
    }
}

fn or_pending(state: &str) -> &str {
    if state.is_empty() { "pending" } else { state }
}

impl Crd {
    fn problems(&self) -> impl Iterator<Item = OlmIssue> {
        let rejected = |condition: &&OlmCondition| {
            condition.kind == "NamesAccepted" && condition.status == "False"
        };
        self.conditions.iter().filter(rejected).map(|condition| {
            let object = format!("CustomResourceDefinition {QUAY_INTEGRATION_CRD_NAME}");
            OlmIssue::new(
                &object,
                "NamesAccepted is False",
                &condition.reason,
                &condition.message,
                true,
            )
        })
    }
}

impl Deployment {
    fn is_available(&self) -> bool {
        self.available >= self.wanted && self.available > 0
    }

    fn problem(&self) -> Option<OlmIssue> {
        let object = format!("Deployment {}/{}", self.namespace, self.name);
        let state = format!("{} of {} pods are available", self.available, self.wanted);
        (!self.is_available()).then(|| OlmIssue::new(&object, &state, "", "", false))
    }
}

impl From<StoredCrd> for Crd {
    fn from(StoredCrd { metadata, status }: StoredCrd) -> Self {
        let conditions = status.conditions.unwrap_or_default();
        Self {
            ours: metadata.is_ours(),
            resource_version: metadata.resource_version,
            deleting: metadata.deletion_timestamp.is_some(),
            established: conditions
                .iter()
                .any(|condition| condition.kind == "Established" && condition.is_true()),
            conditions,
        }
    }
}

impl From<StoredDeployment> for Deployment {
    fn from(StoredDeployment { metadata, spec, status }: StoredDeployment) -> Self {
        let csv = metadata.labels.and_then(|mut labels| labels.remove("olm.owner"));
        Self {
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            // Default of the API server.
            wanted: spec.replicas.unwrap_or(1),
            available: status.available_replicas,
            csv,
        }
    }
}
