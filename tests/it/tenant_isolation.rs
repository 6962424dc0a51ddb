//! What those who share a cluster can and cannot do to each other, and to the bridge.

use sandbox::manifests;
use sandbox::openshift::olm;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::{Bridge, STREAMS, World};

/// Makes `shop`, whose organization goes with it only if `deletion_policy` says so.
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

/// The operator's webhook, answered in a namespace. It is called for nothing.
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
fn who_makes_a_namespace_of_a_former_name_gets_none_of_its_images_from_the_bridge() {
    let world = World::bare();
    world.integration();
    let bridge = Bridge::start(&world, &[]);
    shop(&world, "retain");
    bridge.waits_until("shop is linked", || world.is_linked("shop", &STREAMS));
    bridge.settles();
    world.delete("Namespace", "", "shop");
    bridge.waits_until("it is gone", || !is_there(&world, "shop"));

    shop(&world, "delete");
    bridge.waits_until("it says why it does nothing", || {
        bridge.says("made for an earlier namespace shop")
    });
    bridge.waits_until("it is told in the namespace", || {
        let mut events = world.list("Event", "shop").into_iter();
        events.any(|event| {
            event["reason"] == "QuayReconcileFailed"
                && event["message"].to_string().contains("OQ205")
        })
    });
    bridge.waits_until("it is a condition", || {
        condition(&world, "Ready")["reason"] == "ReconcileFailed"
    });
    assert_eq!(secret(&world), None, "nobody gets a login to what somebody else left");

    // Nor can anybody have them deleted.
    world.delete("Namespace", "", "shop");
    bridge.waits_until("it is gone", || !is_there(&world, "shop"));
    assert!(world.sandbox.quay.organizations().contains(&"openshift_shop".to_owned()));
    assert_eq!(world.sandbox.quay.repositories("openshift_shop").len(), STREAMS.len());

    // A person who knows that both belong together says so, once.
    shop(&world, "retain");
    bridge.waits_until("it does nothing again", || {
        condition(&world, "Ready")["reason"] == "ReconcileFailed"
    });
    world.assert_within_the_bridges_rights();
    world.oc_quay(&["repair", "--adopt", "-n", "shop", "--yes"]).succeeds();
    world.assert_linked("shop", &STREAMS);
    bridge.waits_until("it is well", || condition(&world, "Ready")["reason"] == "Linked");
    world.delete("Secret", "shop", "builder-quay-openshift");
    bridge.waits_until("it works for it", || secret(&world).is_some());
}

#[test]
fn a_command_hands_the_organization_of_a_former_namespace_over_only_when_asked_to() {
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
fn a_deployment_of_the_operators_name_counts_only_where_nobody_else_can_have_made_it() {
    let world = World::bare();
    world.integration();
    world.namespace("mallory");
    world.namespace("operators");
    world.create(&manifests::operator_deployment("mallory", 1));
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("it works", || world.is_linked("mallory", &[]));
    assert!(!bridge.says("standing by"), "{:#?}", bridge.lines());

    // The operator may be in any namespace: the API server says where it is called. A decoy does not hide it.
    world.merge("Deployment", "mallory", olm::DEPLOYMENT, &json!({ "spec": { "replicas": 0 } }));
    world.create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "guarded", "annotations": { "oc-quay/deletion-policy": "delete" } } }));
    bridge.waits_until("guarded is linked", || world.is_linked("guarded", &[]));
    world.create(&operators_webhook("operators"));
    world.create(&manifests::operator_deployment("operators", 1));
    bridge
        .waits_until("it stands by", || bridge.says("the Quay Bridge Operator runs: standing by"));
    world.delete("Namespace", "", "guarded");
    bridge
        .waits_until("no namespace waits for one that stands by", || !is_there(&world, "guarded"));
    assert!(world.sandbox.quay.organizations().contains(&"openshift_guarded".to_owned()));
    world.assert_within_the_bridges_rights();
}

#[test]
fn no_namespace_hangs_while_quay_is_away_or_refuses_the_token() {
    let world = World::bare();
    world.integration();
    let bridge = Bridge::start(&world, &[]);
    for name in ["away", "refused"] {
        world.create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": name, "annotations": { "oc-quay/deletion-policy": "delete" } } }));
        bridge.waits_until("it is linked", || world.is_linked(name, &[]));
    }
    world.quay_traffic().fault(Fault::on("*", "").drop_before());
    world.delete("Namespace", "", "away");
    bridge.waits_until("it goes while Quay is away", || !is_there(&world, "away"));
    world.clear_faults();
    let left_behind = || condition(&world, "OrphanedOrganizations");
    bridge.waits_until("it is recorded", || left_behind()["message"] == "openshift_away");

    world.merge(
        "Secret",
        "openshift-operators",
        "quay-integration",
        &json!({ "stringData": { "token": "revoked" } }),
    );
    world.image_stream("refused", "app");
    bridge.waits_until("the token is refused", || bridge.says("does not accept the token"));
    world.delete("Namespace", "", "refused");
    bridge.waits_until("it goes although the token is refused", || !is_there(&world, "refused"));
    bridge.waits_until("it is recorded too", || {
        left_behind()["message"] == "openshift_away, openshift_refused"
    });

    // Who has dealt with them takes the condition away, and it stays away.
    let token = world.sandbox.quay.admin_token();
    world.merge(
        "Secret",
        "openshift-operators",
        "quay-integration",
        &json!({ "stringData": { "token": token } }),
    );
    bridge
        .waits_until("the token is valid", || condition(&world, "TokenValid")["status"] == "True");
    bridge.settles();
    world.merge("QuayIntegration", "", "quay/status", &json!({ "status": { "conditions": [] } }));
    world.namespace("next");
    bridge.waits_until("conditions are written anew", || {
        condition(&world, "Ready")["status"] == "True"
    });
    assert_eq!(left_behind(), Value::Null);
}

#[test]
fn an_organization_is_recorded_by_name_although_the_token_is_missing() {
    let world = World::bare();
    world.integration();
    let bridge = Bridge::start(&world, &[]);
    world.create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "shop", "annotations": { "oc-quay/deletion-policy": "delete" } } }));
    bridge.waits_until("it is linked", || world.is_linked("shop", &[]));
    world.delete("Secret", "openshift-operators", "quay-integration");
    bridge
        .waits_until("it gives up", || condition(&world, "TokenValid")["reason"] == "TokenMissing");
    world.delete("Namespace", "", "shop");
    bridge.waits_until("it goes", || !is_there(&world, "shop"));
    bridge.waits_until("it is recorded", || {
        condition(&world, "OrphanedOrganizations")["message"] == "openshift_shop"
    });
}

/// `docs/security.md`, "Disaster recovery": a copy of a cluster has the uids of the original.
#[test]
fn another_cluster_id_guards_the_organizations_of_the_original() {
    let world = World::bare();
    world.integration();
    let bridge = Bridge::start(&world, &["--deletion-policy", "delete"]);
    shop(&world, "delete");
    bridge.waits_until("shop is linked", || world.is_linked("shop", &STREAMS));
    bridge.settles();
    world.merge("QuayIntegration", "", "quay", &json!({ "spec": { "clusterID": "copy" } }));
    let copied = || world.sandbox.quay.repositories("copy_shop").len() == STREAMS.len();
    bridge.waits_until("it has an organization of its own", copied);
    bridge.settles();
    world.delete("Namespace", "", "shop");
    bridge.waits_until("it is gone", || !is_there(&world, "shop"));
    assert_eq!(world.sandbox.quay.organizations(), ["openshift_shop"], "copy_shop is deleted");
    assert_eq!(world.sandbox.quay.repositories("openshift_shop").len(), STREAMS.len());
}
