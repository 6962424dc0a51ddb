//! The first step: the cluster, the user's permissions, and existing objects.

use sandbox::Options;
use sandbox::openshift::Cluster;
use serde_json::json;

use crate::support::TestEnv;

#[test]
fn reports_missing_permissions_and_request() {
    let env = TestEnv::bare();
    env.forget_traffic();
    let run = env.setup(&["--node-trust", "apply"]).user("dev").ends_with(2);
    let said = run.said();
    for words in [
        "dev is not allowed to list namespaces",
        "create secrets in namespace openshift-operators",
        "create quayintegrations.quay.redhat.com",
        "create configmaps in namespace openshift-config",
        "ask a cluster administrator to run this command, or to grant you these permissions: oc auth reconcile -f - <<'EOF'",
    ] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    assert!(!said.contains("cluster-admin") && !said.contains("role admin"), "{said}");
    env.assert_nothing_written();
}

/// The roles in what a command said.
fn granted(said: &str) -> Vec<serde_json::Value> {
    let parts = said.split_once("<<'EOF'\n").and_then(|(_, rest)| rest.split_once("\nEOF"));
    let (roles, _) = parts.unwrap_or_else(|| panic!("nothing to grant in {said}"));
    roles.split("---\n").map(|role| serde_saphyr::from_str(role).unwrap()).collect()
}

#[test]
fn requested_permissions_are_sufficient() {
    let Some(env) =
        TestEnv::stand_in_bare(Options::default(), "its authorizer learns of new roles by and by")
    else {
        return;
    };
    let setup = || {
        env.setup(&["--user-role", "--node-trust", "apply", "--operator-approval", "manual"])
            .user("dev")
    };
    let shown = env.oc_quay(&["setup", "--check"]).user("dev").ends_with(2);
    assert!(shown.stdout.contains("\nkind: \"ClusterRole\"\n"), "{}", shown.stdout);
    for number in 0..5 {
        env.forget_traffic();
        let run = setup().run();
        if run.code == Some(0) {
            assert!(number > 0 && number < 4, "{number}");
            return;
        }
        assert_eq!(run.code, Some(2), "{run:#?}");
        env.assert_nothing_written();
        // What lacks then shows only once the rest can be read.
        for mut object in granted(&format!("{}{}", run.stdout, run.stderr)) {
            assert!(!object.to_string().contains('*'), "{object}");
            object["metadata"]["name"] = json!(format!("oc-quay-setup-{number}"));
            if object["roleRef"].is_object() {
                object["roleRef"]["name"] = json!(format!("oc-quay-setup-{number}"));
            }
            env.create(&object);
        }
    }
    panic!("five grants do not suffice");
}

#[test]
fn writes_nothing_if_one_permission_is_missing() {
    let cases = [
        (
            "create",
            "quay.redhat.com",
            "quayintegrations",
            "create quayintegrations.quay.redhat.com",
        ),
        (
            "create",
            "operators.coreos.com",
            "subscriptions",
            "create subscriptions.operators.coreos.com in namespace openshift-operators",
        ),
        ("create", "", "secrets", "create secrets in namespace openshift-operators"),
    ];
    for (verb, group, resource, named) in cases {
        let Some(env) =
            TestEnv::stand_in_bare(Options::default(), "RBAC takes no single right away")
        else {
            return;
        };
        env.sandbox.openshift.deny("admin", verb, group, resource);
        let run = env.setup(&[]).ends_with(2);
        assert!(
            run.stderr.contains(&format!("admin is not allowed to {named}\n")),
            "{named}: {}",
            run.stderr
        );
        let [role, binding] = granted(&run.stderr).try_into().unwrap();
        let is_in_namespace = named.ends_with("openshift-operators");
        assert_eq!(role["kind"], if is_in_namespace { "Role" } else { "ClusterRole" });
        assert_eq!(role["metadata"]["namespace"] == "openshift-operators", is_in_namespace);
        assert_eq!(
            role["rules"],
            json!([{ "apiGroups": [group], "resources": [resource], "verbs": [verb] }])
        );
        assert_eq!(binding["subjects"][0]["name"], "admin");
        env.assert_nothing_written();
    }
}

#[test]
fn complete_setup_needs_no_write_permissions() {
    let Some(env) = TestEnv::stand_in_bare(Options::default(), "RBAC takes no single right away")
    else {
        return;
    };
    env.setup(&["--node-trust", "apply"]).succeeds();
    for verb in ["create", "patch"] {
        for (group, resource) in [
            ("quay.redhat.com", "quayintegrations"),
            ("", "secrets"),
            ("operators.coreos.com", "subscriptions"),
        ] {
            env.sandbox.openshift.deny("admin", verb, group, resource);
        }
    }
    env.forget_traffic();
    env.setup(&["--node-trust", "apply"]).succeeds();
    env.oc_quay(&["setup", "--check"]).succeeds();
    env.assert_nothing_written();
}

#[test]
fn reports_disabled_capabilities_and_continues() {
    let cases = [
        (
            "build.openshift.io",
            "the cluster has no builds, so there is no service account builder",
            vec!["default", "deployer"],
        ),
        (
            "image.openshift.io",
            "the cluster has no image streams",
            vec!["builder", "default", "deployer"],
        ),
    ];
    for (group, reported, accounts) in cases {
        let cluster = Cluster { without: vec![group.into()], ..Cluster::default() };
        let options = Options { cluster, ..Options::default() };
        let Some(env) = TestEnv::stand_in_bare(options, "the real one has all capabilities") else {
            return;
        };
        env.sandbox.openshift.create(sandbox::manifests::namespace("shop"));
        let run = env.setup(&["--link", "shop", "-o", "json"]).succeeds();
        let facts = run.step("cluster")["facts"].clone();
        let is_reported = |fact: &serde_json::Value| {
            fact["severity"] == "warning" && fact["text"].as_str().unwrap().starts_with(reported)
        };
        assert!(facts.as_array().unwrap().iter().any(is_reported), "{facts:#}");
        for account in accounts {
            env.credentials("shop", &format!("{account}-quay-openshift"));
        }
        env.oc_quay(&["status", "-n", "shop"]).succeeds();
    }
}

#[test]
fn rejects_multiple_quay_integrations() {
    let env = TestEnv::bare();
    env.integration();
    let mut second = sandbox::manifests::quay_integration(&env.sandbox.quay.url());
    second["metadata"]["name"] = json!("another");
    env.create(&second);
    for command in [&["setup", "--yes"][..], &["setup", "--check"], &["setup", "--dry-run"]] {
        env.forget_traffic();
        let run = env.oc_quay(command).env("OC_QUAY_URL", env.sandbox.quay.url()).run();
        assert_ne!(run.code, Some(0), "{run:#?}");
        let said = run.said();
        assert!(said.contains("multiple QuayIntegrations found (another, quay)"), "{said}");
        assert!(said.contains("oc delete quayintegration NAME"), "{said}");
        env.assert_nothing_written();
    }
}

#[test]
fn check_of_bare_cluster_fails_with_missing_steps() {
    let env = TestEnv::bare();
    env.forget_traffic();
    let run = env.oc_quay(&["setup", "--check", "-o", "json"]).ends_with(1);
    let report = run.json();
    assert_eq!(report["ok"], false);
    assert!(report["summaryLine"].as_str().unwrap().starts_with("Not set up: "), "{report:#}");
    env.assert_nothing_written();
}
