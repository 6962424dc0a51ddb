//! What those who share a cluster can and cannot do to each other, and to the controller.

use sandbox::manifests;
use sandbox::openshift::olm;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::{Controller, STREAMS, World};

/// Creates `shop` with a deletion policy for its organization.
fn shop(world: &World, deletion_policy: &str) {
    world.namespace("shop");
    for stream in STREAMS {
        world.image_stream("shop", stream);
    }
    world.merge(
        "Namespace",
        "",
        "shop",
        &json!({ "metadata": { "annotations": { "oc-quay/deletion-policy": deletion_policy } } }),
    );
}

fn is_there(world: &World, namespace: &str) -> bool {
    world.get("Namespace", "", namespace).is_some()
}

fn secret(world: &World) -> Option<Value> {
    world.get("Secret", "shop", "builder-quay-openshift")
}

fn condition(world: &World, kind: &str) -> Value {
    let integration = world.get("QuayIntegration", "", "quay").unwrap();
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
    let world = World::bare();
    world.integration();
    let controller = Controller::start(&world, &[]);
    shop(&world, "retain");
    controller.wait_until("shop is linked", || world.is_linked("shop", &STREAMS));
    controller.wait_until_idle();
    world.delete("Namespace", "", "shop");
    controller.wait_until("it is gone", || !is_there(&world, "shop"));

    shop(&world, "delete");
    controller.wait_until("it says why it does nothing", || {
        controller.has_logged("made for an earlier namespace shop")
    });
    controller.wait_until("it is told in the namespace", || {
        let mut events = world.list("Event", "shop").into_iter();
        events.any(|event| {
            event["reason"] == "QuayReconcileFailed"
                && event["message"].to_string().contains("OQ205")
        })
    });
    controller.wait_until("it is a condition", || {
        condition(&world, "Ready")["reason"] == "ReconcileFailed"
    });
    assert_eq!(secret(&world), None, "nobody gets a login to what somebody else left");

    // It cannot be deleted either.
    world.delete("Namespace", "", "shop");
    controller.wait_until("it is gone", || !is_there(&world, "shop"));
    assert!(world.sandbox.quay.organizations().contains(&"openshift_shop".to_owned()));
    assert_eq!(world.sandbox.quay.repositories("openshift_shop").len(), STREAMS.len());

    // An administrator confirms once that both belong together.
    shop(&world, "retain");
    controller.wait_until("it does nothing again", || {
        condition(&world, "Ready")["reason"] == "ReconcileFailed"
    });
    world.assert_within_the_bridges_rights();
    world.oc_quay(&["repair", "--adopt", "-n", "shop", "--yes"]).succeeds();
    world.assert_linked("shop", &STREAMS);
    controller.wait_until("it is well", || condition(&world, "Ready")["reason"] == "Linked");
    world.delete("Secret", "shop", "builder-quay-openshift");
    controller.wait_until("it works for it", || secret(&world).is_some());
}

#[test]
fn adopts_organization_of_former_namespace_only_on_request() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.delete("Namespace", "", "shop");
    world.wait_for("it to go", || !is_there(&world, "shop"));
    shop(&world, "retain");
    world.forget_traffic();
    for command in ["link", "repair"] {
        let run = world.oc_quay(&[command, "-n", "shop", "--yes"]).run();
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
    assert_ne!(world.oc_quay(&delete).run().code, Some(0));
    assert_eq!(world.quay_traffic().writes().len(), 0, "{:#?}", world.quay_traffic().writes());
    assert_eq!(secret(&world), None);

    world.oc_quay(&["link", "-n", "shop", "--adopt", "--yes"]).succeeds();
    world.assert_linked("shop", &STREAMS);
    world.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
    world.forget_traffic();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.assert_nothing_written();
}

#[test]
fn trusts_operator_deployment_only_in_protected_namespaces() {
    let world = World::bare();
    world.integration();
    world.namespace("mallory");
    world.namespace("operators");
    world.create(&manifests::operator_deployment("mallory", 1));
    let controller = Controller::start(&world, &[]);
    controller.wait_until("it works", || world.is_linked("mallory", &[]));
    assert!(!controller.has_logged("controller is passive"), "{:#?}", controller.log_lines());

    // The operator can be in any namespace: the API server knows where its webhook is called. A
    // decoy does not hide it.
    world.merge("Deployment", "mallory", olm::DEPLOYMENT, &json!({ "spec": { "replicas": 0 } }));
    world.create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "guarded", "annotations": { "oc-quay/deletion-policy": "delete" } } }));
    controller.wait_until("guarded is linked", || world.is_linked("guarded", &[]));
    world.create(&operators_webhook("operators"));
    world.create(&manifests::operator_deployment("operators", 1));
    controller.wait_until("it stands by", || {
        controller.has_logged("the operator is running; controller is passive")
    });
    world.delete("Namespace", "", "guarded");
    controller
        .wait_until("no namespace waits for one that stands by", || !is_there(&world, "guarded"));
    assert!(world.sandbox.quay.organizations().contains(&"openshift_guarded".to_owned()));
    world.assert_within_the_bridges_rights();
}

#[test]
fn no_namespace_is_stuck_while_quay_fails() {
    let world = World::bare();
    world.integration();
    let controller = Controller::start(&world, &[]);
    for name in ["away", "refused"] {
        world.create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": name, "annotations": { "oc-quay/deletion-policy": "delete" } } }));
        controller.wait_until("it is linked", || world.is_linked(name, &[]));
    }
    world.quay_traffic().fault(Fault::on("*", "").drop_before());
    world.delete("Namespace", "", "away");
    controller.wait_until("it goes while Quay is away", || !is_there(&world, "away"));
    world.clear_faults();
    let left_behind = || condition(&world, "OrphanedOrganizations");
    controller.wait_until("it is recorded", || left_behind()["message"] == "openshift_away");

    world.merge(
        "Secret",
        "openshift-operators",
        "quay-integration",
        &json!({ "stringData": { "token": "revoked" } }),
    );
    world.image_stream("refused", "app");
    controller.wait_until("the token is refused", || controller.has_logged("rejected the token"));
    world.delete("Namespace", "", "refused");
    controller.wait_until("it goes although the token is refused", || !is_there(&world, "refused"));
    controller.wait_until("it is recorded too", || {
        left_behind()["message"] == "openshift_away, openshift_refused"
    });

    // An administrator removes the condition, and it is not set again.
    let token = world.sandbox.quay.admin_token();
    world.merge(
        "Secret",
        "openshift-operators",
        "quay-integration",
        &json!({ "stringData": { "token": token } }),
    );
    controller
        .wait_until("the token is valid", || condition(&world, "TokenValid")["status"] == "True");
    controller.wait_until_idle();
    world.merge("QuayIntegration", "", "quay/status", &json!({ "status": { "conditions": [] } }));
    world.namespace("next");
    controller.wait_until("conditions are written anew", || {
        condition(&world, "Ready")["status"] == "True"
    });
    assert_eq!(left_behind(), Value::Null);
}

#[test]
fn records_organization_by_name_without_token() {
    let world = World::bare();
    world.integration();
    let controller = Controller::start(&world, &[]);
    world.create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "shop", "annotations": { "oc-quay/deletion-policy": "delete" } } }));
    controller.wait_until("it is linked", || world.is_linked("shop", &[]));
    world.delete("Secret", "openshift-operators", "quay-integration");
    controller
        .wait_until("it gives up", || condition(&world, "TokenValid")["reason"] == "TokenMissing");
    world.delete("Namespace", "", "shop");
    controller.wait_until("it goes", || !is_there(&world, "shop"));
    controller.wait_until("it is recorded", || {
        condition(&world, "OrphanedOrganizations")["message"] == "openshift_shop"
    });
}

/// `docs/security.md`, "Disaster recovery": a copy of a cluster has the uids of the original.
#[test]
fn different_cluster_id_protects_original_organizations() {
    let world = World::bare();
    world.integration();
    let controller = Controller::start(&world, &["--deletion-policy", "delete"]);
    shop(&world, "delete");
    controller.wait_until("shop is linked", || world.is_linked("shop", &STREAMS));
    controller.wait_until_idle();
    world.merge("QuayIntegration", "", "quay", &json!({ "spec": { "clusterID": "copy" } }));
    let copied = || world.sandbox.quay.repositories("copy_shop").len() == STREAMS.len();
    controller.wait_until("it has an organization of its own", copied);
    controller.wait_until_idle();
    world.delete("Namespace", "", "shop");
    controller.wait_until("it is gone", || !is_there(&world, "shop"));
    assert_eq!(world.sandbox.quay.organizations(), ["openshift_shop"], "copy_shop is deleted");
    assert_eq!(world.sandbox.quay.repositories("openshift_shop").len(), STREAMS.len());
}
