//! Conditions of a QuayIntegration, which the operator leaves empty.

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cluster::access::client::Cluster;
use crate::cluster::access::conflict_retry::ConflictRetry;
use crate::cluster::access::error::ClusterError;
use crate::cluster::olm::olm_conditions::OlmCondition;
use crate::cluster::resources::{Meta, QUAY_INTEGRATIONS};

#[derive(Deserialize)]
struct Stored {
    metadata: Meta,
    #[serde(default)]
    status: StoredStatus,
}

#[derive(Default, Deserialize)]
struct StoredStatus {
    conditions: Option<Vec<StoredCondition>>,
}

/// Kubernetes' `metav1.Condition`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct StoredCondition {
    #[serde(flatten)]
    condition: OlmCondition,
    #[serde(default)]
    last_transition_time: String,
}

impl Cluster {
    /// Sets conditions in the status of a QuayIntegration by type and keeps those of other types.
    /// `wanted` receives the current conditions. Does not write if there is no difference, or if
    /// the QuayIntegration was deleted.
    pub async fn write_conditions(
        &self,
        name: &str,
        wanted: impl Fn(&[OlmCondition]) -> Vec<OlmCondition>,
    ) -> Result<(), ClusterError> {
        let mut retry = ConflictRetry::default();
        loop {
            let Some(stored) = self.get::<Stored>(&QUAY_INTEGRATIONS, None, name).await? else {
                return Ok(());
            };
            let before = stored.status.conditions.unwrap_or_default();
            let known: Vec<_> = before.iter().map(|stored| stored.condition.clone()).collect();
            let wanted = wanted(&known);
            if wanted.iter().all(|wanted| known.contains(wanted)) {
                return Ok(());
            }
            let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let status = json!({ "conditions": merged(&before, wanted, &now), "lastUpdate": now });
            let patch = json!({ "metadata": { "resourceVersion": stored.metadata.resource_version }, "status": status });
            let path = Request::new(QUAY_INTEGRATIONS.path(None));
            let request = path.patch_subresource(
                "status",
                name,
                &PatchParams::default(),
                &Patch::Merge(patch),
            );
            let call =
                format!("write the conditions of {}", QUAY_INTEGRATIONS.describe(None, name));
            match self.send::<IgnoredAny>(&call, request).await {
                Err(error) if error.is_conflict() => retry.backoff(error).await?,
                Err(error) if error.is_not_found() => return Ok(()),
                written => return written.map(|_| ()),
            }
        }
    }
}

/// Keeps conditions of other types. The transition time changes only with the status.
fn merged(
    before: &[StoredCondition],
    wanted: Vec<OlmCondition>,
    now: &str,
) -> Vec<StoredCondition> {
    let others = before
        .iter()
        .filter(|stored| wanted.iter().all(|wanted| wanted.kind != stored.condition.kind))
        .cloned();
    let ours = wanted.iter().map(|wanted| {
        let same = before.iter().find(|stored| {
            stored.condition.kind == wanted.kind && stored.condition.status == wanted.status
        });
        let since = same.map_or(now, |stored| &stored.last_transition_time);
        StoredCondition { condition: wanted.clone(), last_transition_time: since.to_owned() }
    });
    others.chain(ours).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_foreign_conditions_and_transition_times() {
        let condition = |kind: &str, status: &str, reason: &str| OlmCondition {
            kind: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: String::new(),
        };
        let stored = |condition: OlmCondition| StoredCondition {
            condition,
            last_transition_time: "long ago".into(),
        };
        let before =
            [stored(condition("Theirs", "True", "A")), stored(condition("Ready", "True", "A"))];
        let wanted = vec![condition("Ready", "True", "B"), condition("Progressing", "False", "A")];
        let merged = merged(&before, wanted, "now");
        let seen: Vec<_> = merged
            .iter()
            .map(|stored| {
                (
                    stored.condition.kind.as_str(),
                    stored.condition.reason.as_str(),
                    stored.last_transition_time.as_str(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [("Theirs", "A", "long ago"), ("Ready", "B", "long ago"), ("Progressing", "A", "now")]
        );
    }
}
