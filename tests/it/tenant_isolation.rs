//! Isolation of tenants from each other and from the controller.

use sandbox::manifests;
use sandbox::openshift::olm;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::{Controller, STREAMS, TestEnv};

/// Creates `shop` with a deletion policy for its organization.
fn shop(env: &TestEnv, deletion_policy: &str) {
    env.namespace("shop");
    for stream in STREAMS {
        env.image_stream("shop", stream);
    }
    env.merge(
        "Namespace",
        "",
        "shop",
        &json!({ "metadata": { "annotations": { "oc-quay/deletion-policy": deletion_policy } } }),
    );
}

fn is_there(env: &TestEnv, namespace: &str) -> bool {
    env.get("Namespace", "", namespace).is_some()
}

fn secret(env: &TestEnv) -> Option<Value> {
    env.get("Secret", "shop", "builder-quay-openshift")
}

fn condition(env: &TestEnv, kind: &str) -> Value {
    let integration = env.get("QuayIntegration", "", "quay").unwrap();
    let mut conditions = integration["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
}

/// The operator's webhook with a service in a namespace. It matches no requests.
fn operators_webhook(namespace: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": "operators" },
        "webhooks": [{
            "name": "quayintegration.quay.redhat.com",
            "clientConfig": { "service": { "name": "operator", "namespace": namespace, "path": "/admissionwebhook" } },
            "rules": [{ "apiGroups": ["example.com"], "apiVersions": ["v1"], "resources": ["none"], "operations": ["CREATE"] }],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }],
    })
}

#[test]
fn recreated_namespace_gets_no_images_of_the_former_one() {
    let env = TestEnv::bare();
    env.integration();
    let controller = Controller::start(&env, &[]);
    shop(&env, "retain");
    controller.wait_until("shop is linked", || env.is_linked("shop", &STREAMS));
    controller.wait_until_idle();
    env.delete("Namespace", "", "shop");
    controller.wait_until("it is gone", || !is_there(&env, "shop"));

    shop(&env, "delete");
    controller.wait_until("it says why it does nothing", || {
        controller.has_logged("created for a previous namespace shop")
    });
    controller.wait_until("it is reported in the namespace", || {
        let mut events = env.list("Event", "shop").into_iter();
        events.any(|event| {
            event["reason"] == "QuayReconcileFailed"
                && event["message"].to_string().contains("OQ205")
        })
    });
    controller.wait_until("it is a condition", || {
        condition(&env, "Ready")["reason"] == "ReconcileFailed"
    });
    assert_eq!(secret(&env), None, "no credentials for resources of another owner");

    // It cannot be deleted either.
    env.delete("Namespace", "", "shop");
    controller.wait_until("it is gone", || !is_there(&env, "shop"));
    assert!(env.sandbox.quay.organizations().contains(&"openshift_shop".to_owned()));
    assert_eq!(env.sandbox.quay.repositories("openshift_shop").len(), STREAMS.len());

    // An administrator confirms once that both belong together.
    shop(&env, "retain");
    controller.wait_until("it does nothing again", || {
        condition(&env, "Ready")["reason"] == "ReconcileFailed"
    });
    env.assert_uses_only_granted_permissions();
    env.oc_quay(&["repair", "--adopt", "-n", "shop", "--yes"]).succeeds();
    env.assert_linked("shop", &STREAMS);
    controller.wait_until("it is well", || condition(&env, "Ready")["reason"] == "Linked");
    env.delete("Secret", "shop", "builder-quay-openshift");
    controller.wait_until("it works for it", || secret(&env).is_some());
}

#[test]
fn adopts_organization_of_former_namespace_only_on_request() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.delete("Namespace", "", "shop");
    env.wait_for("it to go", || !is_there(&env, "shop"));
    shop(&env, "retain");
    env.forget_traffic();
    for command in ["link", "repair"] {
        let run = env.oc_quay(&[command, "-n", "shop", "--yes"]).run();
        assert_ne!(run.code, Some(0), "{command}: {run:#?}");
        assert!(
            run.said().contains("OQ205") && run.said().contains("--adopt"),
            "{command}: {run:#?}"
        );
    }
    let delete = [
        "unlink",
        "-n",
        "shop",
        "--delete-organization",
        "--confirm-organization",
        "openshift_shop",
        "--yes",
    ];
    assert_ne!(env.oc_quay(&delete).run().code, Some(0));
    assert_eq!(env.quay_traffic().writes().len(), 0, "{:#?}", env.quay_traffic().writes());
    assert_eq!(secret(&env), None);

    env.oc_quay(&["link", "-n", "shop", "--adopt", "--yes"]).succeeds();
    env.assert_linked("shop", &STREAMS);
    env.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
    env.forget_traffic();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.assert_nothing_written();
}

#[test]
fn trusts_operator_deployment_only_in_protected_namespaces() {
    let env = TestEnv::bare();
    env.integration();
    env.namespace("mallory");
    env.namespace("operators");
    env.create(&manifests::operator_deployment("mallory", 1));
    let controller = Controller::start(&env, &[]);
    controller.wait_until("it works", || env.is_linked("mallory", &[]));
    assert!(!controller.has_logged("controller is passive"), "{:#?}", controller.log_lines());

    // The operator can be in any namespace: the API server knows where its webhook is called. A
    // decoy does not hide it.
    env.merge("Deployment", "mallory", olm::DEPLOYMENT, &json!({ "spec": { "replicas": 0 } }));
    env.create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "guarded", "annotations": { "oc-quay/deletion-policy": "delete" } } }));
    controller.wait_until("guarded is linked", || env.is_linked("guarded", &[]));
    env.create(&operators_webhook("operators"));
    env.create(&manifests::operator_deployment("operators", 1));
    controller.wait_until("it stands by", || {
        controller.has_logged("the operator is running; controller is passive")
    });
    env.delete("Namespace", "", "guarded");
    controller
        .wait_until("no namespace waits for one that stands by", || !is_there(&env, "guarded"));
    assert!(env.sandbox.quay.organizations().contains(&"openshift_guarded".to_owned()));
    env.assert_uses_only_granted_permissions();
}

#[test]
fn no_namespace_is_stuck_while_quay_fails() {
    let env = TestEnv::bare();
    env.integration();
    let controller = Controller::start(&env, &[]);
    for name in ["offline", "rejected"] {
        env.create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": name, "annotations": { "oc-quay/deletion-policy": "delete" } } }));
        controller.wait_until("it is linked", || env.is_linked(name, &[]));
    }
    env.quay_traffic().fault(Fault::on("*", "").drop_before());
    env.delete("Namespace", "", "offline");
    controller.wait_until("deleted while Quay is unavailable", || !is_there(&env, "offline"));
    env.clear_faults();
    let left_behind = || condition(&env, "OrphanedOrganizations");
    controller.wait_until("it is recorded", || left_behind()["message"] == "openshift_offline");

    env.merge(
        "Secret",
        "openshift-operators",
        "quay-integration",
        &json!({ "stringData": { "token": "revoked" } }),
    );
    env.image_stream("rejected", "app");
    controller.wait_until("the token is rejected", || controller.has_logged("rejected the token"));
    env.delete("Namespace", "", "rejected");
    controller.wait_until("deleted although the token is rejected", || !is_there(&env, "rejected"));
    controller.wait_until("it is recorded too", || {
        left_behind()["message"] == "openshift_offline, openshift_rejected"
    });

    // An administrator removes the condition, and it is not set again.
    let token = env.sandbox.quay.admin_token();
    env.merge(
        "Secret",
        "openshift-operators",
        "quay-integration",
        &json!({ "stringData": { "token": token } }),
    );
    controller
        .wait_until("the token is valid", || condition(&env, "TokenValid")["status"] == "True");
    controller.wait_until_idle();
    env.merge("QuayIntegration", "", "quay/status", &json!({ "status": { "conditions": [] } }));
    env.namespace("next");
    controller.wait_until("conditions are written again", || {
        condition(&env, "Ready")["status"] == "True"
    });
    assert_eq!(left_behind(), Value::Null);
}

#[test]
fn records_organization_by_name_without_token() {
    let env = TestEnv::bare();
    env.integration();
    let controller = Controller::start(&env, &[]);
    env.create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "shop", "annotations": { "oc-quay/deletion-policy": "delete" } } }));
    controller.wait_until("it is linked", || env.is_linked("shop", &[]));
    env.delete("Secret", "openshift-operators", "quay-integration");
    controller
        .wait_until("it gives up", || condition(&env, "TokenValid")["reason"] == "TokenMissing");
    env.delete("Namespace", "", "shop");
    controller.wait_until("it goes", || !is_there(&env, "shop"));
    controller.wait_until("it is recorded", || {
        condition(&env, "OrphanedOrganizations")["message"] == "openshift_shop"
    });
}

/// `docs/security.md`, "Disaster recovery": a copy of a cluster has the uids of the original.
#[test]
fn different_cluster_id_protects_original_organizations() {
    let env = TestEnv::bare();
    env.integration();
    let controller = Controller::start(&env, &["--deletion-policy", "delete"]);
    shop(&env, "delete");
    controller.wait_until("shop is linked", || env.is_linked("shop", &STREAMS));
    controller.wait_until_idle();
    env.merge("QuayIntegration", "", "quay", &json!({ "spec": { "clusterID": "copy" } }));
    let copied = || env.sandbox.quay.repositories("copy_shop").len() == STREAMS.len();
    controller.wait_until("it has an organization of its own", copied);
    controller.wait_until_idle();
    env.delete("Namespace", "", "shop");
    controller.wait_until("it is gone", || !is_there(&env, "shop"));
    assert_eq!(env.sandbox.quay.organizations(), ["openshift_shop"], "copy_shop is deleted");
    assert_eq!(env.sandbox.quay.repositories("openshift_shop").len(), STREAMS.len());
}
