//! Builds and BuildConfigs, created as users create them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use sandbox::tls::Authority;
use serde_json::{Value, json};

use super::TestEnv;

impl TestEnv {
    pub(crate) fn build_config(&self, namespace: &str, name: &str, output: &Value) {
        self.create(&json!({
            "apiVersion": "build.openshift.io/v1",
            "kind": "BuildConfig",
            "metadata": { "name": name, "namespace": namespace },
            "spec": { "source": { "dockerfile": "FROM scratch" }, "strategy": { "dockerStrategy": {} }, "output": output },
        }));
    }

    /// Registers a webhook for new and changed builds, as the operator does; ours ignores failures.
    /// It rejects requests that the webhook does not answer.
    pub(crate) fn webhook(&self, url: &str, authority: &Authority) {
        self.create(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": "controller" },
            "webhooks": [{
                "name": "builds.controller.oc-quay",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "clientConfig": { "url": url, "caBundle": STANDARD.encode(authority.pem()) },
                "rules": [{
                    "operations": ["CREATE", "UPDATE"],
                    "apiGroups": ["build.openshift.io"],
                    "apiVersions": ["v1"],
                    "resources": ["builds"],
                }],
            }],
        }));
    }

    /// Starts a build of a BuildConfig, as `oc start-build` does, and returns its name.
    #[track_caller]
    pub(crate) fn start_build(&self, namespace: &str, config: &str) -> String {
        let path = format!(
            "/apis/build.openshift.io/v1/namespaces/{namespace}/buildconfigs/{config}/instantiate"
        );
        let request = json!({ "apiVersion": "build.openshift.io/v1", "kind": "BuildRequest", "metadata": { "name": config } });
        let (status, build) = self.api(Method::POST, &path, Some(&request));
        assert_eq!(status, 201, "{build}");
        build["metadata"]["name"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn wait_for_build(&self, namespace: &str, name: &str, phase: &str) -> Value {
        let build = || self.get("Build", namespace, name).unwrap();
        self.wait_for(&format!("the build {name} to be {phase}"), || {
            build()["status"]["phase"] == phase
        });
        build()
    }

    pub(crate) fn quay_digest(
        &self,
        organization: &str,
        repository: &str,
        tag: &str,
    ) -> Option<String> {
        let quay = &self.sandbox.quay;
        let token = quay.robot_token(organization, "builder")?;
        let credentials = format!("{organization}+builder");
        let pulled =
            quay.pull(&format!("{organization}/{repository}"), tag, Some((&credentials, &token)));
        pulled.ok().map(|pulled| pulled.digest)
    }

    /// Gives a tag an image as a push to the internal registry does, which keeps what the tag
    /// follows. Returns the digest.
    pub(crate) fn push_inside(&self, namespace: &str, stream: &str, tag: &str) -> String {
        let digest = format!("sha256:{}", "1".repeat(64));
        let reference = format!(
            "image-registry.openshift-image-registry.svc:5000/{namespace}/{stream}@{digest}"
        );
        let found = self.get("ImageStream", namespace, stream).unwrap();
        let created = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let item = json!({
            "created": created, "dockerImageReference": reference, "image": digest,
            "generation": found["metadata"]["generation"],
        });
        let mut tags = found["status"]["tags"].as_array().cloned().unwrap_or_default();
        match tags.iter_mut().find(|known| known["tag"] == tag) {
            Some(known) => {
                let older = known["items"].as_array().into_iter().flatten().cloned();
                known["items"] = std::iter::once(item).chain(older).collect();
            }
            None => tags.push(json!({ "tag": tag, "items": [item] })),
        }
        self.merge(
            "ImageStream",
            namespace,
            &format!("{stream}/status"),
            &json!({ "status": { "tags": tags } }),
        );
        digest
    }

    pub(crate) fn newest_item(&self, namespace: &str, stream: &str, tag: &str) -> Option<Value> {
        let stream = self.get("ImageStream", namespace, stream)?;
        let tag =
            stream["status"]["tags"].as_array()?.iter().find(|known| known["tag"] == tag)?.clone();
        tag["items"].as_array()?.first().cloned()
    }
}
