//! What the user may do, asked before anything is promised.

use std::fmt;

use futures::future::try_join_all;
use kube::api::PostParams;
use kube::core::Request;
use serde::Deserialize;
use serde_json::json;

use super::client::Cluster;
use super::error::ClusterError;
use super::resources::ACCESS_REVIEWS;
use crate::domain::snapshot::Observed;

/// A right to do something with a kind of objects, or with one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceAttributes {
    /// `get`, `list`, `create`, `patch` or `delete`.
    pub verb: &'static str,
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The kind in the plural, as in the path.
    pub resource: &'static str,
    /// The namespace; none for all of them and for what is in none.
    pub namespace: Option<String>,
    /// The object; none for any.
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
    /// Those of the `rights` that the user lacks, in their order; one question each, at once.
    pub async fn lacking(
        &self,
        rights: &[ResourceAttributes],
    ) -> Observed<Vec<ResourceAttributes>> {
        let allowed = try_join_all(rights.iter().map(|right| self.may(right))).await?;
        Ok(rights
            .iter()
            .zip(allowed)
            .filter(|(_, allowed)| !allowed)
            .map(|(right, _)| right.clone())
            .collect())
    }

    async fn may(&self, right: &ResourceAttributes) -> Result<bool, ClusterError> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "verb": right.verb,
                "group": right.group,
                "resource": right.resource,
                "namespace": right.namespace.as_deref().unwrap_or_default(),
                "name": right.name.as_deref().unwrap_or_default(),
            } },
        });
        let request = Request::new(ACCESS_REVIEWS.path(None))
            .create(&PostParams::default(), review.to_string().into());
        let answer: AccessReview =
            self.send(&format!("find out whether the user may {right}"), request).await?;
        Ok(answer.status.allowed)
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
