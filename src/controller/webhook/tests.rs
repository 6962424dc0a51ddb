#![allow(clippy::unwrap_used)]

mod answers;
mod serving;

use std::sync::Arc;

use serde_json::{Value, json};

use super::WebhookView;
use crate::domain::integration::{Integration, Source, Sourced};
use crate::domain::names::{ClusterId, QuayUrl};
use crate::domain::scope::Scope;

/// `builder` has a push secret, `kube-system` is out of scope, `nowhere` is unknown.
#[derive(Default)]
struct FakeView {
    without_integration: bool,
}

impl WebhookView for FakeView {
    fn integration(&self) -> Option<Arc<Integration>> {
        let source = Source::Resource("quay".into());
        let integration = Integration {
            url: Sourced {
                value: QuayUrl::parse("https://quay.example.com").unwrap().0,
                source: source.clone(),
            },
            cluster_id: Sourced { value: ClusterId::new("openshift"), source },
            resource: None,
            lists_unread: false,
            insecure: false,
            cluster: "api.example.com:6443".into(),
        };
        (!self.without_integration).then(|| Arc::new(integration))
    }

    fn scope(&self, namespace: &str) -> Option<Scope> {
        (namespace != "nowhere").then(|| Scope::of(namespace, false, None))
    }

    fn has_push_secret(&self, _namespace: &str, service_account: &str) -> bool {
        service_account == "builder"
    }
}

/// The API server's request.
fn admission_review(operation: &str, namespace: &str, object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": { "group": "build.openshift.io", "version": "v1", "kind": "Build" },
            "resource": { "group": "build.openshift.io", "version": "v1", "resource": "builds" },
            "name": "app-1", "namespace": namespace, "operation": operation,
            "userInfo": { "username": "system:serviceaccount:openshift-infra:build-controller" },
            "object": object, "oldObject": null, "dryRun": false,
        },
    })
}

/// A build that OpenShift creates from a BuildConfig.
fn build(to: Value) -> Value {
    json!({
        "apiVersion": "build.openshift.io/v1", "kind": "Build",
        "metadata": {
            "name": "app-1", "namespace": "shop",
            "annotations": { "openshift.io/build-config.name": "app", "openshift.io/build.number": "1" },
        },
        "spec": {
            "serviceAccount": "builder",
            "source": { "type": "Dockerfile", "dockerfile": "FROM scratch" },
            "strategy": { "type": "Docker", "dockerStrategy": {} },
            "output": { "to": to },
        },
        "status": { "phase": "New" },
    })
}

fn stream_tag(name: &str) -> Value {
    json!({ "kind": "ImageStreamTag", "name": name })
}
