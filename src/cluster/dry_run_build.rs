//! A build that the API server tries and does not make: the one way to see what webhooks really do to builds.

use kube::api::PostParams;
use kube::core::Request;
use serde_json::json;

use super::builds::StoredBuild;
use super::client::Cluster;
use super::error::{Cause, ClusterError};
use super::resources::BUILDS;
use crate::domain::names::{CONTROLLER_WEBHOOK, OPERATOR_WEBHOOK};
use crate::domain::snapshot::{Build, DryRunOutcome};

/// The name of the build, and of the image stream that it would push to.
const NAME: &str = "oc-quay-trial";

impl Cluster {
    /// Tries a build in a namespace (`dryRun=All`): every webhook is called for it, and nothing is stored. None if that tells
    /// nothing of webhooks; somebody who may not make builds is refused before they are called.
    pub async fn dry_run_build(&self, namespace: &str) -> Option<DryRunOutcome> {
        let build = json!({
            "apiVersion": BUILDS.api_version(),
            "kind": "Build",
            "metadata": { "name": NAME },
            "spec": {
                // Who may make builds at all may make these; administrators often keep Docker builds from people.
                "source": { "type": "Binary", "binary": {} },
                "strategy": { "type": "Source", "sourceStrategy": { "from": { "kind": "DockerImage", "name": "scratch" } } },
                "output": { "to": { "kind": "ImageStreamTag", "name": format!("{NAME}:latest") } },
            },
        });
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        let request =
            Request::new(BUILDS.path(Some(namespace))).create(&dry_run, build.to_string().into());
        let tried = self
            .send::<StoredBuild>(&format!("try a build in namespace {namespace}"), request)
            .await;
        outcome(tried.map(Build::from))
    }
}

fn outcome(tried: Result<Build, ClusterError>) -> Option<DryRunOutcome> {
    match tried.map_err(|error| error.cause) {
        Ok(build) if build.managed => Some(DryRunOutcome::Rewritten),
        Ok(_) => Some(DryRunOutcome::Unchanged),
        Err(Cause::Refused { message, .. }) => refusal(message),
        Err(_) => None,
    }
}

/// In the words of kubernetes `pkg/admission/plugin/webhook/errors/statuserror.go` and `.../generic/webhook.go`.
fn refusal(message: String) -> Option<DryRunOutcome> {
    if message.contains("failed calling webhook") {
        return Some(DryRunOutcome::OutOfReach(message));
    }
    let is_theirs =
        [OPERATOR_WEBHOOK, CONTROLLER_WEBHOOK].iter().any(|name| message.contains(name));
    is_theirs.then_some(DryRunOutcome::Refused(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_webhooks_did_tells_of_them() {
        let refused = |status: u16, message: &str| {
            let cause = Cause::Refused { status, message: message.into() };
            outcome(Err(ClusterError { call: "try a build in namespace a".into(), cause }))
        };
        let build = |managed: bool| outcome(Ok(Build { managed, ..Build::default() }));
        assert_eq!(
            (build(true), build(false)),
            (Some(DryRunOutcome::Rewritten), Some(DryRunOutcome::Unchanged))
        );

        let away = r#"Internal error occurred: failed calling webhook "quayintegration.quay.redhat.com": failed to call webhook: Post "https://quay-bridge-operator-service.openshift-operators.svc:443/admissionwebhook?timeout=10s": no endpoints available for service "quay-bridge-operator-service""#;
        assert_eq!(refused(500, away), Some(DryRunOutcome::OutOfReach(away.into())));
        let denied =
            r#"admission webhook "quayintegration.quay.redhat.com" denied the request: no secret"#;
        assert_eq!(refused(400, denied), Some(DryRunOutcome::Refused(denied.into())));
        assert_eq!(
            refused(
                403,
                r#"builds.build.openshift.io is forbidden: User "eve" cannot create resource "builds""#
            ),
            None
        );
        assert_eq!(
            refused(400, r#"admission webhook "other.example.com" does not support dry run"#),
            None
        );
        assert_eq!(outcome(Err(ClusterError::other("try a build in namespace a", "odd"))), None);
    }
}
