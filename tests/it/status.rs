//! `status`: what a namespace is found to be.

use serde_json::{Value, json};

use crate::support::World;

#[test]
fn a_namespace_as_the_operator_leaves_it_is_healthy_and_nothing_is_written_to_it() {
    let world = World::bare();
    world.integration();
    world.namespace("golden");
    world.image_stream("golden", "app");
    world.link_by_hand("golden", "app");
    world.assert_linked("golden", &["app"]);
    world.forget_traffic();

    let status = world.oc_quay(&["status", "-n", "golden", "-o", "json"]).succeeds();
    // All there is to say: that deleting the namespace deletes the images.
    assert_eq!(status.codes(), ["OQ124"]);
    assert_eq!(status.json()["ok"], true);
    let probed = world.oc_quay(&["status", "-n", "golden", "--probe", "-o", "json"]).succeeds();
    assert_eq!(probed.codes(), ["OQ124"]);

    for command in ["repair", "link"] {
        let run = world.oc_quay(&[command, "-n", "golden", "--yes"]).succeeds();
        assert_eq!(run.stdout, "Nothing to do\n", "{command}");
    }
    world.assert_nothing_written();
}

#[test]
fn each_setting_is_shown_with_where_it_comes_from() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let sources = |integration: &Value| ["quay", "clusterId", "token"].map(|setting| integration[setting]["source"].to_string());
    let report = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds().json();
    let [quay, cluster_id, token] = sources(&report["integration"]);
    assert!(quay.contains("QuayIntegration") && cluster_id.contains("QuayIntegration"), "{quay} {cluster_id}");
    assert!(token.contains("openshift-operators/quay-integration"), "{token}");

    let url = world.sandbox.quay.url();
    let command = world.oc_quay(&["status", "-n", "shop", "-o", "json", "--quay-url", &url]);
    let command = command.env("OC_QUAY_CLUSTER_ID", "openshift").env("OC_QUAY_TOKEN", world.sandbox.quay.admin_token());
    // A flag goes before its variable.
    let report = command.env("OC_QUAY_URL", "https://quay.invalid").succeeds().json();
    let sources = sources(&report["integration"]);
    for (source, expected) in sources.iter().zip(["--quay-url", "OC_QUAY_CLUSTER_ID", "OC_QUAY_TOKEN"]) {
        assert!(source.contains(expected), "{sources:?}");
    }
}

#[test]
fn the_token_may_come_from_stdin() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.delete("Secret", "openshift-operators", "quay-integration");
    let token = format!("{}\n", world.sandbox.quay.admin_token());
    world.oc_quay(&["status", "-n", "shop", "--quay-token-file", "-"]).stdin(&token).succeeds();
}

#[test]
fn a_project_administrator_looks_with_a_quay_of_her_own_choice() {
    let world = World::new();
    world.grant("dev", "shop");
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let report = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).guest("dev").succeeds();
    // The QuayIntegration could not be read, which is told and is no error.
    assert_eq!(report.codes(), ["OQ901"]);
    assert_eq!(report.json()["findings"][0]["object"], json!({ "kind": "QuayIntegration" }));
    let report = world.oc_quay(&["status", "-A", "-o", "json"]).guest("dev").succeeds().json();
    let names: Vec<_> = report["namespaces"].as_array().unwrap().iter().map(|namespace| namespace["name"].clone()).collect();
    assert!(names.contains(&json!("shop")), "{names:?}");
}

/// Quay's web server refuses request lines of more than 4094 bytes, and every character that is not a letter counts three.
#[test]
fn many_repositories_with_long_names_are_asked_for_in_requests_that_quay_takes() {
    let world = World::new();
    for number in 0..20 {
        world.image_stream("shop", &format!("{number}-{}", "a-long.name".repeat(18)));
    }
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.oc_quay(&["status", "-n", "shop", "--probe", "--fail-on", "warning"]).succeeds();
}
