//! Writing whole objects that were planned as values. Each write can be repeated: when an answer was lost, or somebody
//! has done the same, what is there is compared with what was to be done.

use kube::api::{DeleteParams, Preconditions};
use serde_json::Value;

use super::client::Cluster;
use super::error::{CONFLICT_HINT, ClusterError};
use super::resources::{self, Kind};
use crate::domain::snapshot::Observed;

/// A kind of object that is written as planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A namespace.
    Namespace,
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
    /// A ServiceAccount.
    ServiceAccount,
    /// A ClusterRole.
    ClusterRole,
    /// A ClusterRoleBinding.
    ClusterRoleBinding,
    /// A Role.
    Role,
    /// A RoleBinding.
    RoleBinding,
    /// A Service.
    Service,
    /// A Deployment.
    Deployment,
    /// A PodDisruptionBudget.
    PodDisruptionBudget,
    /// A NetworkPolicy.
    NetworkPolicy,
    /// A ServiceMonitor of the Prometheus Operator.
    ServiceMonitor,
    /// A MutatingWebhookConfiguration.
    MutatingWebhookConfiguration,
    /// The Image of `config.openshift.io`, which says what nodes trust.
    ImageConfig,
    /// A CustomResourceDefinition.
    CustomResourceDefinition,
    /// A QuayIntegration.
    QuayIntegration,
    /// A BuildConfig.
    BuildConfig,
    /// OLM's Subscription.
    Subscription,
    /// OLM's InstallPlan.
    InstallPlan,
    /// OLM's ClusterServiceVersion.
    ClusterServiceVersion,
    /// OLM v1's ClusterExtension.
    ClusterExtension,
}

/// How often a patch is sent at most while nothing but the status of its object changes.
const MAX_MERGES: usize = 5;

impl ObjectKind {
    /// As manifests spell it.
    pub fn as_str(self) -> &'static str {
        self.kind().name()
    }

    /// Its group and version, as manifests spell them.
    pub fn api_version(self) -> String {
        self.kind().api_version()
    }

    fn kind(self) -> &'static Kind {
        match self {
            ObjectKind::Namespace => &resources::NAMESPACES,
            ObjectKind::Secret => &resources::SECRETS,
            ObjectKind::ConfigMap => &resources::CONFIG_MAPS,
            ObjectKind::ServiceAccount => &resources::SERVICE_ACCOUNTS,
            ObjectKind::ClusterRole => &resources::CLUSTER_ROLES,
            ObjectKind::ClusterRoleBinding => &resources::CLUSTER_ROLE_BINDINGS,
            ObjectKind::Role => &resources::ROLES,
            ObjectKind::RoleBinding => &resources::ROLE_BINDINGS,
            ObjectKind::Service => &resources::SERVICES,
            ObjectKind::Deployment => &resources::DEPLOYMENTS,
            ObjectKind::PodDisruptionBudget => &resources::DISRUPTION_BUDGETS,
            ObjectKind::NetworkPolicy => &resources::NETWORK_POLICIES,
            ObjectKind::ServiceMonitor => &resources::SERVICE_MONITORS,
            ObjectKind::MutatingWebhookConfiguration => &resources::MUTATING_WEBHOOKS,
            ObjectKind::ImageConfig => &resources::IMAGE_CONFIGS,
            ObjectKind::CustomResourceDefinition => &resources::CUSTOM_RESOURCE_DEFINITIONS,
            ObjectKind::QuayIntegration => &resources::QUAY_INTEGRATIONS,
            ObjectKind::BuildConfig => &resources::BUILD_CONFIGS,
            ObjectKind::Subscription => &resources::SUBSCRIPTIONS,
            ObjectKind::InstallPlan => &resources::INSTALL_PLANS,
            ObjectKind::ClusterServiceVersion => &resources::CLUSTER_SERVICE_VERSIONS,
            ObjectKind::ClusterExtension => &resources::CLUSTER_EXTENSIONS,
        }
    }
}

impl Cluster {
    /// A whole object, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn object(
        &self,
        kind: ObjectKind,
        namespace: Option<&str>,
        name: &str,
    ) -> Observed<Option<Value>> {
        Ok(self.get(kind.kind(), namespace, name).await?)
    }

    /// Creates an object. One that is there already and says the same, whatever its metadata, is as good.
    ///
    /// # Errors
    /// Also when there is one that says something else, or one that is being deleted.
    pub async fn create_object(
        &self,
        kind: ObjectKind,
        namespace: Option<&str>,
        object: &Value,
    ) -> Result<(), ClusterError> {
        let kind = kind.kind();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        match self.create(kind, namespace, name, object).await {
            Err(error) if error.is_conflict() => {
                let found = self.get::<Value>(kind, namespace, name).await?;
                if found.is_some_and(|found| !is_being_deleted(&found) && says(&found, object)) {
                    return Ok(());
                }
                Err(error.explained("there is one already, and it is not the same"))
            }
            created => created,
        }
    }

    /// Merges a patch (RFC 7396) into an object. The patch holds the `metadata.resourceVersion`, or the
    /// `metadata.uid`, that it was planned for. With the `metadata.generation` too, which is not sent, a change of the status alone
    /// is no conflict: that of a Deployment changes with its pods.
    ///
    /// # Errors
    /// Also when the object was changed meanwhile, unless to what the patch says.
    pub async fn merge_object(
        &self,
        kind: ObjectKind,
        namespace: Option<&str>,
        name: &str,
        patch: &Value,
    ) -> Result<(), ClusterError> {
        let kind = kind.kind();
        let mut patch = patch.clone();
        let generation =
            patch["metadata"].as_object_mut().and_then(|metadata| metadata.remove("generation"));
        for _ in 1..MAX_MERGES {
            let error = match self.merge(kind, namespace, name, &patch).await {
                Err(error) if error.is_conflict() => error,
                merged => return merged,
            };
            let Some(found) = self.get::<Value>(kind, namespace, name).await? else {
                return Err(error.explained(CONFLICT_HINT));
            };
            let version = found["metadata"]["resourceVersion"].clone();
            if holds(&without_version(found.clone()), &without_version(patch.clone())) {
                return Ok(());
            }
            if generation.as_ref() != Some(&found["metadata"]["generation"]) {
                return Err(error.explained(CONFLICT_HINT));
            }
            patch["metadata"]["resourceVersion"] = version;
        }
        self.merge(kind, namespace, name, &patch).await
    }

    /// Deletes an object; with `version`, only if it is still at that. One that is not there, or is being deleted
    /// already, is as good.
    ///
    /// # Errors
    /// Also when the object was changed meanwhile.
    pub async fn delete_object(
        &self,
        kind: ObjectKind,
        namespace: Option<&str>,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), ClusterError> {
        let kind = kind.kind();
        let mut params = DeleteParams::default();
        if let Some(version) = version {
            params = params.preconditions(Preconditions {
                resource_version: Some(version.to_owned()),
                uid: None,
            });
        }
        match self.delete(kind, namespace, name, &params).await {
            Err(error) if error.is_conflict() => {
                match self.get::<Value>(kind, namespace, name).await? {
                    Some(found) if !is_being_deleted(&found) => Err(error.explained(CONFLICT_HINT)),
                    _ => Ok(()),
                }
            }
            deleted => deleted,
        }
    }
}

fn without_version(mut object: Value) -> Value {
    object["metadata"]["resourceVersion"].take();
    object
}

fn is_being_deleted(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// Whether an object says what another does: everything but its metadata.
fn says(found: &Value, wanted: &Value) -> bool {
    let Some(wanted) = wanted.as_object() else { return false };
    wanted.iter().all(|(key, value)| key == "metadata" || holds(&found[key], value))
}

/// Whether `found` holds everything that `wanted` says; the API server may have added to it. What is `null` in
/// `wanted` must not be there.
pub fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        // What is absent holds an object of which nothing is to be there.
        (Value::Object(_) | Value::Null, Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| holds(found.get(key).unwrap_or(&Value::Null), wanted))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(found, wanted)| holds(found, wanted))
        }
        _ => found == wanted,
    }
}
