//! The installed objects of the controller.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use serde_json::Value;

use super::{ControllerManifests, Object};
use crate::cluster::{Cluster, ObjectKind};
use crate::domain::names::{CONTROLLER_NAME, MANAGED_BY, MANAGED_BY_LABEL};
use crate::domain::snapshot::Observed;

/// The controller's manifests with the existing objects.
#[derive(Clone, Debug)]
pub struct InstalledController {
    /// At least its ClusterRoleBinding exists.
    pub is_installed: bool,
    /// With the namespace and the image of the installed controller, unless others are given.
    pub manifests: ControllerManifests,
    /// Each manifest with the existing object; empty if the controller is neither installed nor
    /// requested.
    pub objects: Vec<(Object, Option<Value>)>,
}

impl InstalledController {
    /// Reads the objects. The ClusterRoleBinding is in no namespace and names that of the others.
    /// `groups` are the API groups that the cluster serves.
    pub(in crate::setup) async fn discover(
        cluster: &Cluster,
        groups: &BTreeSet<String>,
        is_wanted: bool,
        image: Option<&str>,
    ) -> Observed<Self> {
        let binding = cluster
            .object(ObjectKind::ClusterRoleBinding, None, CONTROLLER_NAME)
            .await?
            .filter(is_ours);
        let namespace =
            binding.as_ref().and_then(|binding| binding["subjects"][0]["namespace"].as_str());
        let manifests = ControllerManifests::new(namespace, image);
        if binding.is_none() && !is_wanted {
            return Ok(Self { is_installed: false, manifests, objects: vec![] });
        }
        let is_served =
            |object: &Object| object.group().is_empty() || groups.contains(object.group());
        let objects: Vec<_> = manifests.objects().into_iter().filter(is_served).collect();
        let read = objects
            .iter()
            .map(|object| cluster.object(object.kind, object.namespace(), object.name()));
        let found = try_join_all(read).await?;
        let deployed =
            objects.iter().zip(&found).find(|(object, _)| object.kind == ObjectKind::Deployment);
        let containers = deployed.and_then(|(_, found)| {
            found.as_ref()?.pointer("/spec/template/spec/containers")?.as_array()
        });
        let container =
            containers.into_iter().flatten().find(|container| container["name"] == CONTROLLER_NAME);
        let image_now = container.and_then(|container| container["image"].as_str());
        let manifests = ControllerManifests::new(namespace, image.or(image_now));
        let objects = manifests.objects().into_iter().filter(is_served);
        Ok(Self {
            is_installed: binding.is_some(),
            objects: objects.zip(found).collect(),
            manifests,
        })
    }

    /// Ready and wanted pods, once all of them are of the latest generation.
    pub fn pods(&self) -> Option<(u64, u64)> {
        let (_, deployment) =
            self.objects.iter().find(|(object, _)| object.kind == ObjectKind::Deployment)?;
        let deployment = deployment.as_ref()?;
        let status = &deployment["status"];
        let is_newest = status["observedGeneration"] == deployment["metadata"]["generation"];
        let count = |value: &Value| value.as_u64().unwrap_or_default();
        is_newest.then(|| {
            let updated = count(&status["updatedReplicas"]);
            (
                count(&status["availableReplicas"]).min(updated),
                count(&deployment["spec"]["replicas"]),
            )
        })
    }

    /// The first existing object without our label.
    pub fn unmanaged(&self) -> Option<&Object> {
        let is_foreign = |(_, found): &&(Object, Option<Value>)| {
            found.as_ref().is_some_and(|found| !is_ours(found))
        };
        self.objects.iter().find(is_foreign).map(|(object, _)| object)
    }

    pub fn is_ready(&self) -> bool {
        self.pods().is_some_and(|(ready, wanted)| ready >= wanted && wanted > 0)
    }
}

fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"][MANAGED_BY_LABEL] == MANAGED_BY
}
