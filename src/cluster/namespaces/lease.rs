//! The Lease for leader election. Writes are guarded by `resourceVersion`, and requests bypass the
//! concurrency limit: a delayed renewal loses the leadership.

use jiff::Timestamp;
use kube::api::{GetParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use serde::Deserialize;
use serde_json::json;

use crate::cluster::access::client::Cluster;
use crate::cluster::access::error::ClusterError;
use crate::cluster::resources::{LEASES, Meta};
use crate::domain::names::{LEASE, MANAGED_BY, MANAGED_BY_LABEL};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub version: String,
    /// Identity of the leader; empty if there is none.
    pub holder: String,
    /// Duration of the Lease after a renewal, in seconds.
    pub seconds: u64,
    pub transitions: u64,
}

#[derive(Deserialize)]
struct Stored {
    metadata: Meta,
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<u64>,
    lease_transitions: Option<u64>,
}

impl Cluster {
    /// The controller's Lease in a namespace.
    pub async fn lease(&self, namespace: &str) -> Result<Option<Lease>, ClusterError> {
        let request = Request::new(LEASES.path(Some(namespace))).get(LEASE, &GetParams::default());
        match self
            .send_unqueued::<Stored>(
                &format!("read {}", LEASES.describe(Some(namespace), LEASE)),
                request,
            )
            .await
        {
            Ok(found) => Ok(Some(found.into())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the Lease; an empty `version` creates it. Returns the stored Lease, or none after a
    /// conflict.
    pub async fn write_lease(
        &self,
        namespace: &str,
        lease: &Lease,
    ) -> Result<Option<Lease>, ClusterError> {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let mut object = json!({
            "apiVersion": LEASES.api_version(),
            "kind": LEASES.name(),
            "metadata": { "name": LEASE, "labels": { MANAGED_BY_LABEL: MANAGED_BY } },
            "spec": {
                "holderIdentity": lease.holder,
                "leaseDurationSeconds": lease.seconds,
                "leaseTransitions": lease.transitions,
                "renewTime": now,
            },
        });
        let path = Request::new(LEASES.path(Some(namespace)));
        let request = if lease.version.is_empty() {
            path.create(&PostParams::default(), object.to_string().into())
        } else {
            object["metadata"]["resourceVersion"] = json!(lease.version);
            path.patch(LEASE, &PatchParams::default(), &Patch::Merge(&object))
        };
        match self
            .send_unqueued::<Stored>(
                &format!("write {}", LEASES.describe(Some(namespace), LEASE)),
                request,
            )
            .await
        {
            Ok(written) => Ok(Some(written.into())),
            Err(error) if error.is_conflict() || error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl From<Stored> for Lease {
    fn from(Stored { metadata, spec }: Stored) -> Self {
        Self {
            version: metadata.resource_version,
            holder: spec.holder_identity.unwrap_or_default(),
            seconds: spec.lease_duration_seconds.unwrap_or_default(),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }
}
