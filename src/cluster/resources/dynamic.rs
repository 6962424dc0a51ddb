//! Writes of whole objects as JSON values. Each is idempotent: after a conflict, the stored object
//! is compared with the wanted one.

use kube::api::{DeleteParams, Preconditions};
use serde_json::Value;

use crate::cluster::access::client::Cluster;
use crate::cluster::access::error::{CONFLICT_HINT, ClusterError};
use crate::cluster::resources::{self, Kind};
use crate::domain::snapshot::Observed;

/// Kinds that are written as JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Namespace,
    Secret,
    ConfigMap,
    ServiceAccount,
    ClusterRole,
    ClusterRoleBinding,
    Role,
    RoleBinding,
    Service,
    Deployment,
    PodDisruptionBudget,
    NetworkPolicy,
    ServiceMonitor,
    MutatingWebhookConfiguration,
    /// The Image of `config.openshift.io`.
    ImageConfig,
    CustomResourceDefinition,
    QuayIntegration,
    BuildConfig,
    Subscription,
    InstallPlan,
    ClusterServiceVersion,
    ClusterExtension,
}

/// Attempts of a patch while only the status of its object changes.
const MAX_MERGES: usize = 5;

impl ObjectKind {
    pub fn as_str(self) -> &'static str {
        self.kind().name()
    }

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
    pub async fn object(
        &self,
        kind: ObjectKind,
        namespace: Option<&str>,
        name: &str,
    ) -> Observed<Option<Value>> {
        Ok(self.get(kind.kind(), namespace, name).await?)
    }

    /// Creates an object. An existing object with the same content, except for its metadata, is
    /// accepted.
    ///
    /// # Errors
    /// Also if another object of the name exists or is being deleted.
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
                if found.is_some_and(|found| {
                    !is_being_deleted(&found) && matches_content(&found, object)
                }) {
                    return Ok(());
                }
                Err(error.with_message("another object of this name exists"))
            }
            created => created,
        }
    }

    /// Merges a patch (RFC 7396), which contains the `metadata.resourceVersion` or `metadata.uid`
    /// that it was planned for. With a `metadata.generation`, which is not sent, a change of the
    /// status alone is not a conflict: a Deployment's status changes with its pods.
    ///
    /// # Errors
    /// Also on a conflict, unless the object matches the patch already.
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
                return Err(error.with_message(CONFLICT_HINT));
            };
            let version = found["metadata"]["resourceVersion"].clone();
            if is_superset(&without_version(found.clone()), &without_version(patch.clone())) {
                return Ok(());
            }
            if generation.as_ref() != Some(&found["metadata"]["generation"]) {
                return Err(error.with_message(CONFLICT_HINT));
            }
            patch["metadata"]["resourceVersion"] = version;
        }
        self.merge(kind, namespace, name, &patch).await
    }

    /// Deletes an object; with `version`, only at that `resourceVersion`. An object that is missing
    /// or being deleted is accepted.
    ///
    /// # Errors
    /// Also on a conflict.
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
                    Some(found) if !is_being_deleted(&found) => {
                        Err(error.with_message(CONFLICT_HINT))
                    }
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

/// Compares everything except the metadata.
fn matches_content(found: &Value, wanted: &Value) -> bool {
    let Some(wanted) = wanted.as_object() else { return false };
    wanted.iter().all(|(key, value)| key == "metadata" || is_superset(&found[key], value))
}

/// Whether `found` contains everything in `wanted`; the API server may have added defaults. A
/// `null` in `wanted` must be absent.
pub fn is_superset(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        // An absent object matches one without values.
        (Value::Object(_) | Value::Null, Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| is_superset(found.get(key).unwrap_or(&Value::Null), wanted)),
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(found, wanted)| is_superset(found, wanted))
        }
        _ => found == wanted,
    }
}
