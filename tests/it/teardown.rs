//! `teardown`: the set-up is taken back, in an order in which nothing hangs, and nothing of others or of Quay's.

use sandbox::openshift::{Cluster, Olm, olm};
use sandbox::{Options, manifests};
use serde_json::{Value, json};

use crate::support::{STREAMS, World};

const OPERATORS: &str = "openshift-operators";
const DEFINITION: &str = "quayintegrations.quay.redhat.com";
const FINALIZER: &str = "quay.redhat.com/quayintegrations";

/// A world in which everything is set up by us and namespace `shop` is linked and carries the operator's finalizer.
fn set_up(arguments: &[&str]) -> World {
    let world = World::bare();
    world.shared_namespace("shop");
    world
        .setup(&["--user-role", "--node-trust", "apply", "--link", "shop"])
        .args(arguments)
        .succeeds();
    world.sandbox.quay.push_tag("openshift_shop", "app", "latest").unwrap();
    hold(&world, "shop");
    world.forget_traffic();
    world
}

/// Puts the operator's finalizer on a namespace, beside another.
fn hold(world: &World, namespace: &str) {
    let finalizers = json!(["example.com/other", FINALIZER]);
    world.merge("Namespace", "", namespace, &json!({ "metadata": { "finalizers": finalizers } }));
}

fn finalizers(world: &World, namespace: &str) -> Value {
    world.get("Namespace", "", namespace).unwrap()["metadata"]["finalizers"].clone()
}

fn writes(world: &World) -> Vec<String> {
    world.cluster_traffic().writes().into_iter().map(|entry| entry.kind).collect()
}

/// Whether the next run finds nothing to take back, and says so.
#[track_caller]
fn assert_nothing_left(world: &World) {
    world.forget_traffic();
    let run = world.oc_quay(&["teardown"]).args(&["-o", "json"]).succeeds();
    assert_eq!(run.json()["summaryLine"], "There is nothing to take back");
    world.assert_nothing_written();
}

#[test]
fn all_that_the_set_up_made_is_taken_back_in_order_and_quay_is_not_even_asked() {
    let world = set_up(&[]);
    let run = world.oc_quay(&["teardown", "--yes", "-o", "json"]).succeeds();
    for step in ["finalizers", "nodeTrust", "secret", "integration", "userRole", "operator"] {
        assert_eq!(run.state(step), "done", "{}", run.stdout);
    }
    let expected = [
        "patch namespaces",
        "patch images",
        "delete configmaps",
        "delete secrets",
        "delete quayintegrations",
        "delete clusterrolebindings",
        "delete clusterroles",
        "delete subscriptions",
        "delete clusterserviceversions",
    ];
    let mut done = writes(&world);
    // The operator's two are in either order.
    done[7..].sort_by_key(|kind| *kind != "delete subscriptions");
    assert_eq!(done, expected);
    assert!(world.quay_traffic().entries().is_empty(), "{:#?}", world.quay_traffic().entries());
    assert_eq!(finalizers(&world, "shop"), json!(["example.com/other"]));
    world.assert_taken_back();
    assert_nothing_left(&world);
}

#[test]
fn pods_go_on_pulling_and_a_new_set_up_finds_the_organization() {
    let world = set_up(&[]);
    world.oc_quay(&["teardown", "--yes"]).succeeds();
    world.assert_taken_back();
    world.assert_linked("shop", &STREAMS);
    world.assert_foreign_references("shop");
    let tokens = || {
        ["builder", "default", "deployer"]
            .map(|robot| world.sandbox.quay.robot_token("openshift_shop", robot))
    };
    let before = tokens();

    let run = world.setup(&["--node-trust", "apply", "--link", "shop", "-o", "json"]).succeeds();
    assert_eq!(run.json()["status"]["ok"], true, "{}", run.stdout);
    world.assert_set_up();
    assert_eq!(tokens(), before, "the pods' logins are still good");
    assert_eq!(world.sandbox.quay.organizations(), ["openshift_shop"]);
}

#[test]
fn the_resource_goes_too_where_we_installed_it() {
    let world = World::bare();
    world.delete("CustomResourceDefinition", "", DEFINITION);
    world.wait_for("the resource to go", || {
        world.get("CustomResourceDefinition", "", DEFINITION).is_none()
    });
    world.setup(&["--controller=none"]).succeeds();
    let run = world.oc_quay(&["teardown", "--yes", "-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "done");
    world.wait_for("the resource to go", || {
        world.get("CustomResourceDefinition", "", DEFINITION).is_none()
    });
    assert_nothing_left(&world);
    world.setup(&["--controller=none"]).succeeds();
}

#[test]
fn what_others_made_stays_and_is_named() {
    let world = World::bare();
    world.integration();
    world.create(&olm::subscription());
    let works = |csv: Value| csv["status"]["phase"] == "Succeeded";
    world.wait_for("the operator", || {
        world
            .get("ClusterServiceVersion", OPERATORS, "quay-bridge-operator.v3.18.0")
            .is_some_and(works)
    });
    world.trust_others();
    // As docs/security.md has it.
    world.create(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": { "name": "oc-quay-user" },
        "rules": [{ "apiGroups": ["quay.redhat.com"], "resources": ["quayintegrations"], "verbs": ["list"] }],
    }));
    world.forget_traffic();
    let run = world.oc_quay(&["teardown", "--yes", "-o", "json"]).succeeds();
    for (step, reason) in [
        ("userRole", "ClusterRole oc-quay-user was not made by oc quay"),
        ("nodeTrust", "ConfigMap registries-of-others says nothing about this Quay"),
        (
            "secret",
            "secret quay-integration in namespace openshift-operators was not made by oc quay",
        ),
        ("operator", "the operator was not installed by oc quay"),
    ] {
        let step = run.step(step);
        assert_eq!((&step["state"], &step["reason"]), (&json!("skipped"), &json!(reason)));
    }
    assert_eq!(writes(&world), ["delete quayintegrations"]);
    assert!(world.get("CustomResourceDefinition", "", DEFINITION).is_some());
}

#[test]
fn registries_that_others_added_to_our_config_map_stay_trusted() {
    let world = set_up(&["--controller=none"]);
    world.merge(
        "ConfigMap",
        "openshift-config",
        "oc-quay-registry-cas",
        &json!({ "data": { "other.example.com": "theirs" } }),
    );
    world.oc_quay(&["teardown", "--yes"]).succeeds();
    let config_map = world.get("ConfigMap", "openshift-config", "oc-quay-registry-cas").unwrap();
    assert_eq!(config_map["data"], json!({ "other.example.com": "theirs" }));
    assert_eq!(
        world.get("Image", "", "cluster").unwrap()["spec"]["additionalTrustedCA"]["name"],
        "oc-quay-registry-cas"
    );
    assert_nothing_left(&world);
}

#[test]
fn our_key_in_somebody_elses_config_map_stays() {
    let world = World::bare();
    world.trust_others();
    world.setup(&["--controller=none", "--node-trust", "apply"]).succeeds();
    let before = world.trusted_registries();
    assert_eq!(before.len(), 2);
    let run = world.oc_quay(&["teardown", "--yes", "-o", "json"]).succeeds();
    assert_eq!(run.state("nodeTrust"), "skipped");
    assert_eq!(world.trusted_registries(), before);
}

#[test]
fn a_secret_is_found_where_the_quay_integration_says() {
    let world = World::bare();
    world
        .setup(&["--controller=none", "--secret-name", "token", "--secret-namespace", "quay"])
        .succeeds();
    world.oc_quay(&["teardown", "--yes"]).succeeds();
    assert_eq!(world.get("Secret", "quay", "token"), None);
    assert!(world.get("Namespace", "", "quay").is_some(), "a namespace may hold more by now");
}

#[test]
fn nothing_is_written_by_a_dry_run_or_without_a_yes() {
    let world = set_up(&[]);
    let run = world.oc_quay(&["teardown", "--dry-run", "-o", "json"]).succeeds();
    let report = run.json();
    assert_eq!(report["dryRun"], true);
    assert_eq!(report["summaryLine"], "9 changes planned; nothing was written");
    let run = world.oc_quay(&["teardown"]).ends_with(2);
    assert!(run.stderr.contains("--yes"), "{}", run.stderr);
    world.assert_nothing_written();
    world.assert_set_up();
}

#[test]
fn who_may_not_look_takes_nothing_back() {
    let world = set_up(&["--controller=none"]);
    for user in ["dev", "nobody"] {
        let run = world.oc_quay(&["teardown", "--yes"]).user(user).ends_with(2);
        assert!(run.said().contains("forbidden"), "{run:#?}");
    }
    world.assert_nothing_written();
}

#[test]
fn a_namespace_that_is_being_deleted_does_not_hang_for_want_of_the_operator() {
    let world = World::bare();
    world.setup(&["--controller=none"]).succeeds();
    world.namespace("shop");
    world.merge("Namespace", "", "shop", &json!({ "metadata": { "finalizers": [FINALIZER] } }));
    world.delete("Namespace", "", "shop");
    assert!(world.get("Namespace", "", "shop").is_some(), "the finalizer holds it");
    world.oc_quay(&["teardown", "--yes"]).succeeds();
    world.wait_for("the namespace to go", || world.get("Namespace", "", "shop").is_none());
}

#[test]
fn finalizers_that_the_operator_puts_back_meanwhile_are_swept_too() {
    let world = set_up(&["--controller=none"]);
    world.namespace("new");
    let teardown = world.oc_quay(&["teardown", "--yes", "-o", "json"]);
    let run = world.interfere("DELETE", "/quayintegrations/", teardown, || {
        ["shop", "new"].iter().for_each(|name| hold(&world, name))
    });
    assert_eq!((run.code, run.state("integration")), (Some(0), "done".to_owned()), "{run:#?}");
    for namespace in ["shop", "new"] {
        assert_eq!(finalizers(&world, namespace), json!(["example.com/other"]));
    }
    assert_nothing_left(&world);
}

#[test]
fn a_quay_integration_that_is_changed_meanwhile_is_looked_at_again() {
    let world = set_up(&["--controller=none"]);
    let teardown = world.oc_quay(&["teardown", "--yes", "-o", "json"]);
    let run = world.interfere("DELETE", "/quayintegrations/", teardown, || {
        world.merge(
            "QuayIntegration",
            "",
            "quay",
            &json!({ "spec": { "denylistNamespaces": ["shop"] } }),
        );
    });
    assert_eq!((run.code, run.state("integration")), (Some(1), "failed".to_owned()), "{run:#?}");
    assert!(world.get("QuayIntegration", "", "quay").is_some());
    world.oc_quay(&["teardown", "--yes"]).succeeds();
    world.assert_taken_back();
}

#[test]
fn every_quay_integration_goes() {
    let world = World::bare();
    world.integration();
    let mut second = manifests::quay_integration(&world.sandbox.quay.url());
    second["metadata"]["name"] = json!("another");
    world.create(&second);
    world.oc_quay(&["teardown", "--yes"]).succeeds();
    assert_eq!(world.list("QuayIntegration", ""), Vec::<Value>::new());
}

#[test]
fn an_operator_that_did_not_come_to_anything_is_taken_back() {
    let world = World::bare();
    world.trouble(Some(&olm::Trouble::ResolutionFails("nothing fits".into())));
    world.setup(&["--operator-timeout", "2s"]).ends_with(1);
    world.oc_quay(&["teardown", "--yes"]).succeeds();
    world.assert_taken_back();
    assert_nothing_left(&world);
}

#[test]
fn a_cluster_extension_goes_with_the_rights_it_was_given() {
    let cluster = Cluster { olm: Olm::V1, ..Cluster::default() };
    let Some(world) = World::stand_in_bare(
        Options { cluster, ..Options::default() },
        "the real one has both OLMs",
    ) else {
        return;
    };
    world.setup(&[]).succeeds();
    world.oc_quay(&["teardown", "--yes"]).succeeds();
    assert_eq!(world.get("ClusterRoleBinding", "", "quay-bridge-operator-installer"), None);
    assert_eq!(world.get("ServiceAccount", OPERATORS, "quay-bridge-operator-installer"), None);
    world.wait_for("the operator to go", || {
        world.get("ClusterExtension", "", olm::PACKAGE).is_none()
            && world.get("Deployment", OPERATORS, olm::DEPLOYMENT).is_none()
    });
    world.setup(&[]).succeeds();
}
