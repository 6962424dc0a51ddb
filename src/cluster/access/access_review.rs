//! Access reviews: the permissions of the user, checked before a change is planned.

use std::fmt;

use futures::future::try_join_all;
use kube::api::PostParams;
use kube::core::Request;
use serde::Deserialize;
use serde_json::json;

use crate::cluster::access::client::Cluster;
use crate::cluster::access::error::ClusterError;
use crate::cluster::resources::ACCESS_REVIEWS;
use crate::domain::snapshot::Observed;

/// A permission, as in `spec.resourceAttributes` of a SelfSubjectAccessReview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceAttributes {
    /// `get`, `list`, `create`, `patch` or `delete`.
    pub verb: &'static str,
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The plural name of the kind, as in its path.
    pub resource: &'static str,
    /// None for all namespaces and for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// None for any object of the kind.
    pub name: Option<String>,
}

#[derive(Deserialize)]
struct AccessReview {
    #[serde(default)]
    status: AccessReviewStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AccessReviewStatus {
    allowed: bool,
}

impl Cluster {
    /// The `permissions` that the user lacks, in their order. One review each, concurrently.
    pub async fn missing_permissions(
        &self,
        permissions: &[ResourceAttributes],
    ) -> Observed<Vec<ResourceAttributes>> {
        let allowed =
            try_join_all(permissions.iter().map(|permission| self.is_allowed(permission))).await?;
        Ok(permissions
            .iter()
            .zip(allowed)
            .filter(|(_, allowed)| !allowed)
            .map(|(permission, _)| permission.clone())
            .collect())
    }

    async fn is_allowed(&self, permission: &ResourceAttributes) -> Result<bool, ClusterError> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "verb": permission.verb,
                "group": permission.group,
                "resource": permission.resource,
                "namespace": permission.namespace.as_deref().unwrap_or_default(),
                "name": permission.name.as_deref().unwrap_or_default(),
            } },
        });
        let request = Request::new(ACCESS_REVIEWS.path(None))
            .create(&PostParams::default(), review.to_string().into());
        let review: AccessReview =
            self.send(&format!("check permission to {permission}"), request).await?;
        Ok(review.status.allowed)
    }
}

impl fmt::Display for ResourceAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => Ok(()),
        }
    }
}
