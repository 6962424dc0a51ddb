//! Pods that cannot pull an image.

use std::collections::BTreeMap;

use kube::api::ListParams;
use serde::Deserialize;

use crate::cluster::access::client::Cluster;
use crate::cluster::resources::{Meta, PODS, Reference};
use crate::domain::snapshot::{Observed, WaitingImage, WaitingPod};

/// Reasons of the kubelet (kubernetes `pkg/kubelet/images/types.go`).
const PULL_FAILURE_REASONS: [&str; 2] = ["ErrImagePull", "ImagePullBackOff"];

#[derive(Deserialize)]
struct StoredPod {
    metadata: Meta,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    service_account_name: String,
    image_pull_secrets: Option<Vec<Reference>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    image: String,
    state: ContainerState,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    waiting: Option<WaitingState>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WaitingState {
    reason: String,
    message: String,
}

impl Cluster {
    /// By namespace. Requests pending pods only.
    pub async fn waiting_pods(
        &self,
        namespace: Option<&str>,
    ) -> Observed<BTreeMap<String, Vec<WaitingPod>>> {
        let pending = ListParams::default().fields("status.phase=Pending");
        let add = |found: &mut BTreeMap<String, Vec<WaitingPod>>, mut pod: StoredPod| {
            let namespace = std::mem::take(&mut pod.metadata.namespace);
            let pod = WaitingPod::from(pod);
            if !pod.waits_for.is_empty() {
                found.entry(namespace).or_default().push(pod);
            }
        };
        Ok(self.fold_list(&PODS, namespace, pending, add).await?)
    }
}

impl From<StoredPod> for WaitingPod {
    fn from(StoredPod { metadata, spec, status }: StoredPod) -> Self {
        let statuses =
            status.init_container_statuses.into_iter().chain(status.container_statuses).flatten();
        let waiting = |container: ContainerStatus| {
            let waiting = container
                .state
                .waiting
                .filter(|waiting| PULL_FAILURE_REASONS.contains(&waiting.reason.as_str()))?;
            Some(WaitingImage {
                image: container.image,
                reason: waiting.reason,
                message: waiting.message,
            })
        };
        Self {
            workload: workload(&metadata),
            waits_for: statuses.filter_map(waiting).collect(),
            service_account: spec.service_account_name,
            pull_secrets: spec
                .image_pull_secrets
                .into_iter()
                .flatten()
                .map(|reference| reference.name)
                .collect(),
            name: metadata.name,
        }
    }
}

/// Kind and name of the owner: the Deployment of a ReplicaSet, the DeploymentConfig of a
/// ReplicationController.
fn workload(metadata: &Meta) -> Option<(String, String)> {
    let owner = metadata.owner_references.iter().flatten().find(|owner| owner.controller)?;
    let label = |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key));
    let behind = match owner.kind.as_str() {
        "ReplicaSet" => label("pod-template-hash")
            .and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'))
            .map(|name| ("Deployment".to_owned(), name.to_owned())),
        "ReplicationController" => {
            label("deploymentconfig").map(|name| ("DeploymentConfig".to_owned(), name.clone()))
        }
        _ => None,
    };
    Some(behind.unwrap_or_else(|| (owner.kind.clone(), owner.name.clone())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn pod(owner: &Value, labels: &Value, state: &Value) -> WaitingPod {
        let pod = json!({
            "metadata": { "name": "app-1", "namespace": "shop", "ownerReferences": [owner], "labels": labels },
            "spec": { "serviceAccountName": "default", "imagePullSecrets": [{ "name": "mine" }] },
            "status": { "phase": "Pending", "containerStatuses": [{ "image": "quay.example.com/a/b:1", "state": state }] },
        });
        serde_json::from_value::<StoredPod>(pod).unwrap().into()
    }

    #[test]
    fn finds_owning_workload() {
        let waiting = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "back-off" } });
        let workload = |kind: &str, name: &str, labels: Value| {
            let owner = json!({ "kind": kind, "name": name, "controller": true });
            pod(&owner, &labels, &waiting)
                .workload
                .map(|(kind, name)| format!("{kind} {name}"))
                .unwrap()
        };
        assert_eq!(
            workload("ReplicaSet", "app-5d4f", json!({ "pod-template-hash": "5d4f" })),
            "Deployment app"
        );
        assert_eq!(workload("ReplicaSet", "app", json!({})), "ReplicaSet app");
        assert_eq!(
            workload("ReplicationController", "app-3", json!({ "deploymentconfig": "app" })),
            "DeploymentConfig app"
        );
        assert_eq!(workload("StatefulSet", "db", json!({})), "StatefulSet db");
    }

    #[test]
    fn keeps_only_pull_failures() {
        let waits = |state: Value| pod(&json!({}), &json!({}), &state).waits_for.len();
        assert_eq!(waits(json!({ "waiting": { "reason": "ErrImagePull" } })), 1);
        assert_eq!(waits(json!({ "waiting": { "reason": "ContainerCreating" } })), 0);
        assert_eq!(waits(json!({ "running": {} })), 0);
    }
}
