//! What there is of the bridge.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use serde_json::Value;

use super::{ControllerManifests, Object};
use crate::cluster::{Cluster, ObjectKind};
use crate::domain::names::{CONTROLLER_NAME, MANAGED_BY, MANAGED_BY_LABEL};
use crate::domain::snapshot::Observed;

/// The bridge as it is to be, and what there is of it.
#[derive(Clone, Debug)]
pub struct InstalledController {
    /// Some of it is there.
    pub is_there: bool,
    /// As it is to be: in the namespace that it is in, and of the same image if nothing else is said.
    pub bridge: ControllerManifests,
    /// Its objects as they are to be, each with what there is; none at all if it is neither there nor wanted.
    pub objects: Vec<(Object, Option<Value>)>,
}

impl InstalledController {
    /// Looks for it by its ClusterRoleBinding, which says in which namespace the rest is. `groups` are the API groups that
    /// the cluster serves.
    pub(in crate::setup) async fn find(
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
        let bridge = ControllerManifests::new(namespace, image);
        if binding.is_none() && !is_wanted {
            return Ok(Self { is_there: false, bridge, objects: vec![] });
        }
        let is_served =
            |object: &Object| object.group().is_empty() || groups.contains(object.group());
        let objects: Vec<_> = bridge.objects().into_iter().filter(is_served).collect();
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
        let bridge = ControllerManifests::new(namespace, image.or(image_now));
        let objects = bridge.objects().into_iter().filter(is_served);
        Ok(Self { is_there: binding.is_some(), objects: objects.zip(found).collect(), bridge })
    }

    /// How many of its pods are ready to work, and how many there are to be, if those there are are of the newest version.
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

    /// The first of its objects that is there but was not made by us.
    pub fn foreign(&self) -> Option<&Object> {
        let is_foreign = |(_, found): &&(Object, Option<Value>)| {
            found.as_ref().is_some_and(|found| !is_ours(found))
        };
        self.objects.iter().find(is_foreign).map(|(object, _)| object)
    }

    /// Whether all of its pods are ready to work.
    pub fn runs(&self) -> bool {
        self.pods().is_some_and(|(ready, wanted)| ready >= wanted && wanted > 0)
    }
}

fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"][MANAGED_BY_LABEL] == MANAGED_BY
}
