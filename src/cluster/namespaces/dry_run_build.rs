//! A dry-run Build, which shows what webhooks do to builds.

use kube::api::PostParams;
use kube::core::Request;
use serde_json::json;

use crate::cluster::access::client::Cluster;
use crate::cluster::access::error::{Cause, ClusterError};
use crate::cluster::namespaces::builds::StoredBuild;
use crate::cluster::resources::BUILDS;
use crate::domain::names::{CONTROLLER_WEBHOOK, OPERATOR_WEBHOOK};
use crate::domain::snapshot::{Build, DryRunOutcome};

/// Name of the build and of its image stream.
const NAME: &str = "oc-quay-trial";

impl Cluster {
    /// Creates a build with `dryRun=All`: the API server calls every webhook and stores nothing.
    /// None if the result depends on something else, such as a missing permission, which is checked
    /// before webhooks.
    pub async fn dry_run_build(&self, namespace: &str) -> Option<DryRunOutcome> {
        let build = json!({
            "apiVersion": BUILDS.api_version(),
            "kind": "Build",
            "metadata": { "name": NAME },
            "spec": {
                // Users who are allowed to create builds at all are allowed to create these. Docker
                // builds are often forbidden.
                "source": { "type": "Binary", "binary": {} },
                "strategy": { "type": "Source", "sourceStrategy": { "from": { "kind": "DockerImage", "name": "scratch" } } },
                "output": { "to": { "kind": "ImageStreamTag", "name": format!("{NAME}:latest") } },
            },
        });
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        let request =
            Request::new(BUILDS.path(Some(namespace))).create(&dry_run, build.to_string().into());
        let created = self
            .send::<StoredBuild>(
                &format!("create a dry-run build in namespace {namespace}"),
                request,
            )
            .await;
        outcome(created.map(Build::from))
    }
}

fn outcome(created: Result<Build, ClusterError>) -> Option<DryRunOutcome> {
    match created.map_err(|error| error.cause) {
        Ok(build) if build.managed => Some(DryRunOutcome::Rewritten),
        Ok(_) => Some(DryRunOutcome::Unchanged),
        Err(Cause::Rejected { message, .. }) => outcome_of_rejection(message),
        Err(_) => None,
    }
}

/// Texts of Kubernetes' `pkg/admission/plugin/webhook/errors/statuserror.go` and
/// `.../generic/webhook.go`.
fn outcome_of_rejection(message: String) -> Option<DryRunOutcome> {
    if message.contains("failed calling webhook") {
        return Some(DryRunOutcome::Unreachable(message));
    }
    let is_theirs =
        [OPERATOR_WEBHOOK, CONTROLLER_WEBHOOK].iter().any(|name| message.contains(name));
    is_theirs.then_some(DryRunOutcome::Rejected(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_only_effects_of_webhooks() {
        let rejected = |status: u16, message: &str| {
            let cause = Cause::Rejected { status, message: message.into() };
            outcome(Err(ClusterError {
                call: "create a dry-run build in namespace a".into(),
                cause,
            }))
        };
        let build = |managed: bool| outcome(Ok(Build { managed, ..Build::default() }));
        assert_eq!(
            (build(true), build(false)),
            (Some(DryRunOutcome::Rewritten), Some(DryRunOutcome::Unchanged))
        );

        let unavailable = r#"Internal error occurred: failed calling webhook "quayintegration.quay.redhat.com": failed to call webhook: Post "https://quay-bridge-operator-service.openshift-operators.svc:443/admissionwebhook?timeout=10s": no endpoints available for service "quay-bridge-operator-service""#;
        assert_eq!(
            rejected(500, unavailable),
            Some(DryRunOutcome::Unreachable(unavailable.into()))
        );
        let denied =
            r#"admission webhook "quayintegration.quay.redhat.com" denied the request: no secret"#;
        assert_eq!(rejected(400, denied), Some(DryRunOutcome::Rejected(denied.into())));
        assert_eq!(
            rejected(
                403,
                r#"builds.build.openshift.io is forbidden: User "eve" cannot create resource "builds""#
            ),
            None
        );
        assert_eq!(
            rejected(400, r#"admission webhook "other.example.com" does not support dry run"#),
            None
        );
        assert_eq!(
            outcome(Err(ClusterError::other("create a dry-run build in namespace a", "odd"))),
            None
        );
    }
}
