//! `teardown`: the order of removals, and the objects that are kept.

use sandbox::openshift::{Cluster, Olm, olm};
use sandbox::{Options, manifests};
use serde_json::{Value, json};

use crate::support::{STREAMS, TestEnv};

const OPERATORS: &str = "openshift-operators";
const DEFINITION: &str = "quayintegrations.quay.redhat.com";
const FINALIZER: &str = "quay.redhat.com/quayintegrations";

/// An environment in which everything is set up by us and namespace `shop` is linked and carries the operator's finalizer.
fn set_up(arguments: &[&str]) -> TestEnv {
    let env = TestEnv::bare();
    env.shared_namespace("shop");
    env.setup(&["--user-role", "--node-trust", "apply", "--link", "shop"])
        .args(arguments)
        .succeeds();
    env.sandbox.quay.push_tag("openshift_shop", "app", "latest").unwrap();
    add_finalizers(&env, "shop");
    env.forget_traffic();
    env
}

/// Puts the operator's finalizer on a namespace, beside another.
fn add_finalizers(env: &TestEnv, namespace: &str) {
    let finalizers = json!(["example.com/other", FINALIZER]);
    env.merge("Namespace", "", namespace, &json!({ "metadata": { "finalizers": finalizers } }));
}

fn finalizers(env: &TestEnv, namespace: &str) -> Value {
    env.get("Namespace", "", namespace).unwrap()["metadata"]["finalizers"].clone()
}

fn writes(env: &TestEnv) -> Vec<String> {
    env.cluster_traffic().writes().into_iter().map(|entry| entry.kind).collect()
}

/// Whether the next run reports that nothing is left.
#[track_caller]
fn assert_nothing_left(env: &TestEnv) {
    env.forget_traffic();
    let run = env.oc_quay(&["teardown"]).args(&["-o", "json"]).succeeds();
    assert_eq!(run.json()["summaryLine"], "Nothing to remove");
    env.assert_nothing_written();
}

#[test]
fn removes_everything_in_order_without_calls_to_quay() {
    let env = set_up(&[]);
    let run = env.oc_quay(&["teardown", "--yes", "-o", "json"]).succeeds();
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
    let mut done = writes(&env);
    // The operator's two are in either order.
    done[7..].sort_by_key(|kind| *kind != "delete subscriptions");
    assert_eq!(done, expected);
    assert!(env.quay_traffic().entries().is_empty(), "{:#?}", env.quay_traffic().entries());
    assert_eq!(finalizers(&env, "shop"), json!(["example.com/other"]));
    env.assert_torn_down();
    assert_nothing_left(&env);
}

#[test]
fn pods_can_still_pull_and_new_setup_finds_organization() {
    let env = set_up(&[]);
    env.oc_quay(&["teardown", "--yes"]).succeeds();
    env.assert_torn_down();
    env.assert_linked("shop", &STREAMS);
    env.assert_foreign_references("shop");
    let tokens = || {
        ["builder", "default", "deployer"]
            .map(|robot| env.sandbox.quay.robot_token("openshift_shop", robot))
    };
    let before = tokens();

    let run = env.setup(&["--node-trust", "apply", "--link", "shop", "-o", "json"]).succeeds();
    assert_eq!(run.json()["status"]["ok"], true, "{}", run.stdout);
    env.assert_set_up();
    assert_eq!(tokens(), before, "the pods' credentials are still valid");
    assert_eq!(env.sandbox.quay.organizations(), ["openshift_shop"]);
}

#[test]
fn removes_crd_that_setup_installed() {
    let env = TestEnv::bare();
    env.delete("CustomResourceDefinition", "", DEFINITION);
    env.wait_for("the resource to go", || {
        env.get("CustomResourceDefinition", "", DEFINITION).is_none()
    });
    env.setup(&["--controller=none"]).succeeds();
    let run = env.oc_quay(&["teardown", "--yes", "-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "done");
    env.wait_for("the resource to go", || {
        env.get("CustomResourceDefinition", "", DEFINITION).is_none()
    });
    assert_nothing_left(&env);
    env.setup(&["--controller=none"]).succeeds();
}

#[test]
fn keeps_and_names_objects_of_others() {
    let env = TestEnv::bare();
    env.integration();
    env.create(&olm::subscription());
    let works = |csv: Value| csv["status"]["phase"] == "Succeeded";
    env.wait_for("the operator", || {
        env.get("ClusterServiceVersion", OPERATORS, "quay-bridge-operator.v3.18.0")
            .is_some_and(works)
    });
    env.trust_foreign_registry();
    // As docs/security.md has it.
    env.create(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": { "name": "oc-quay-user" },
        "rules": [{ "apiGroups": ["quay.redhat.com"], "resources": ["quayintegrations"], "verbs": ["list"] }],
    }));
    env.forget_traffic();
    let run = env.oc_quay(&["teardown", "--yes", "-o", "json"]).succeeds();
    for (step, reason) in [
        ("userRole", "ClusterRole oc-quay-user was not created by oc quay"),
        ("nodeTrust", "ConfigMap registries-of-others has no certificate for this Quay"),
        (
            "secret",
            "secret quay-integration in namespace openshift-operators was not created by oc quay",
        ),
        ("operator", "the operator was not installed by oc quay"),
    ] {
        let step = run.step(step);
        assert_eq!((&step["state"], &step["reason"]), (&json!("skipped"), &json!(reason)));
    }
    assert_eq!(writes(&env), ["delete quayintegrations"]);
    assert!(env.get("CustomResourceDefinition", "", DEFINITION).is_some());
}

#[test]
fn keeps_registries_that_others_added() {
    let env = set_up(&["--controller=none"]);
    env.merge(
        "ConfigMap",
        "openshift-config",
        "oc-quay-registry-cas",
        &json!({ "data": { "other.example.com": "theirs" } }),
    );
    env.oc_quay(&["teardown", "--yes"]).succeeds();
    let config_map = env.get("ConfigMap", "openshift-config", "oc-quay-registry-cas").unwrap();
    assert_eq!(config_map["data"], json!({ "other.example.com": "theirs" }));
    assert_eq!(
        env.get("Image", "", "cluster").unwrap()["spec"]["additionalTrustedCA"]["name"],
        "oc-quay-registry-cas"
    );
    assert_nothing_left(&env);
}

#[test]
fn keeps_key_in_config_map_of_others() {
    let env = TestEnv::bare();
    env.trust_foreign_registry();
    env.setup(&["--controller=none", "--node-trust", "apply"]).succeeds();
    let before = env.trusted_registries();
    assert_eq!(before.len(), 2);
    let run = env.oc_quay(&["teardown", "--yes", "-o", "json"]).succeeds();
    assert_eq!(run.state("nodeTrust"), "skipped");
    assert_eq!(env.trusted_registries(), before);
}

#[test]
fn removes_secret_that_integration_references() {
    let env = TestEnv::bare();
    env.setup(&["--controller=none", "--secret-name", "token", "--secret-namespace", "quay"])
        .succeeds();
    env.oc_quay(&["teardown", "--yes"]).succeeds();
    assert_eq!(env.get("Secret", "quay", "token"), None);
    assert!(
        env.get("Namespace", "", "quay").is_some(),
        "a namespace may add_finalizers more by now"
    );
}

#[test]
fn writes_nothing_in_dry_run_or_unconfirmed() {
    let env = set_up(&[]);
    let run = env.oc_quay(&["teardown", "--dry-run", "-o", "json"]).succeeds();
    let report = run.json();
    assert_eq!(report["dryRun"], true);
    assert_eq!(report["summaryLine"], "9 changes planned; nothing was written");
    let run = env.oc_quay(&["teardown"]).ends_with(2);
    assert!(run.stderr.contains("--yes"), "{}", run.stderr);
    env.assert_nothing_written();
    env.assert_set_up();
}

#[test]
fn removes_nothing_without_read_permissions() {
    let env = set_up(&["--controller=none"]);
    for user in ["dev", "guest"] {
        let run = env.oc_quay(&["teardown", "--yes"]).user(user).ends_with(2);
        assert!(run.said().contains("forbidden"), "{run:#?}");
    }
    env.assert_nothing_written();
}

#[test]
fn terminating_namespace_is_released() {
    let env = TestEnv::bare();
    env.setup(&["--controller=none"]).succeeds();
    env.namespace("shop");
    env.merge("Namespace", "", "shop", &json!({ "metadata": { "finalizers": [FINALIZER] } }));
    env.delete("Namespace", "", "shop");
    assert!(env.get("Namespace", "", "shop").is_some(), "the finalizer holds it");
    env.oc_quay(&["teardown", "--yes"]).succeeds();
    env.wait_for("the namespace to go", || env.get("Namespace", "", "shop").is_none());
}

#[test]
fn removes_finalizers_that_operator_adds_again() {
    let env = set_up(&["--controller=none"]);
    env.namespace("new");
    let teardown = env.oc_quay(&["teardown", "--yes", "-o", "json"]);
    let run = env.interfere("DELETE", "/quayintegrations/", teardown, || {
        ["shop", "new"].iter().for_each(|name| add_finalizers(&env, name))
    });
    assert_eq!((run.code, run.state("integration")), (Some(0), "done".to_owned()), "{run:#?}");
    for namespace in ["shop", "new"] {
        assert_eq!(finalizers(&env, namespace), json!(["example.com/other"]));
    }
    assert_nothing_left(&env);
}

#[test]
fn keeps_concurrently_changed_integration() {
    let env = set_up(&["--controller=none"]);
    let teardown = env.oc_quay(&["teardown", "--yes", "-o", "json"]);
    let run = env.interfere("DELETE", "/quayintegrations/", teardown, || {
        env.merge(
            "QuayIntegration",
            "",
            "quay",
            &json!({ "spec": { "denylistNamespaces": ["shop"] } }),
        );
    });
    assert_eq!((run.code, run.state("integration")), (Some(1), "failed".to_owned()), "{run:#?}");
    assert!(env.get("QuayIntegration", "", "quay").is_some());
    env.oc_quay(&["teardown", "--yes"]).succeeds();
    env.assert_torn_down();
}

#[test]
fn removes_all_quay_integrations() {
    let env = TestEnv::bare();
    env.integration();
    let mut second = manifests::quay_integration(&env.sandbox.quay.url());
    second["metadata"]["name"] = json!("another");
    env.create(&second);
    env.oc_quay(&["teardown", "--yes"]).succeeds();
    assert_eq!(env.list("QuayIntegration", ""), Vec::<Value>::new());
}

#[test]
fn removes_failed_operator_installation() {
    let env = TestEnv::bare();
    env.trouble(Some(&olm::Trouble::ResolutionFails("nothing fits".into())));
    env.setup(&["--operator-timeout", "2s"]).ends_with(1);
    env.oc_quay(&["teardown", "--yes"]).succeeds();
    env.assert_torn_down();
    assert_nothing_left(&env);
}

#[test]
fn removes_cluster_extension_and_its_permissions() {
    let cluster = Cluster { olm: Olm::V1, ..Cluster::default() };
    let Some(env) = TestEnv::stand_in_bare(
        Options { cluster, ..Options::default() },
        "the real one has both OLMs",
    ) else {
        return;
    };
    env.setup(&[]).succeeds();
    env.oc_quay(&["teardown", "--yes"]).succeeds();
    assert_eq!(env.get("ClusterRoleBinding", "", "quay-bridge-operator-installer"), None);
    assert_eq!(env.get("ServiceAccount", OPERATORS, "quay-bridge-operator-installer"), None);
    env.wait_for("the operator to go", || {
        env.get("ClusterExtension", "", olm::PACKAGE).is_none()
            && env.get("Deployment", OPERATORS, olm::DEPLOYMENT).is_none()
    });
    env.setup(&[]).succeeds();
}
