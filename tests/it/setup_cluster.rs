//! The set-up's first step: the cluster, the user's rights in it, and what is there already.

use sandbox::Options;
use sandbox::openshift::Cluster;
use serde_json::json;

use crate::support::World;

#[test]
fn who_may_not_do_what_it_takes_is_told_which_rights_and_whom_to_ask() {
    let world = World::bare();
    world.forget_traffic();
    let run = world.setup(&["--node-trust", "apply"]).user("dev").ends_with(2);
    let said = run.said();
    for words in [
        "dev may not list namespaces",
        "create secrets in namespace openshift-operators",
        "create quayintegrations.quay.redhat.com",
        "create configmaps in namespace openshift-config",
        "ask a cluster administrator to run this command, or to grant you what it needs: oc auth reconcile -f - <<'EOF'",
    ] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    assert!(!said.contains("cluster-admin") && !said.contains("role admin"), "{said}");
    world.assert_nothing_written();
}

/// The roles in what a command said.
fn granted(said: &str) -> Vec<serde_json::Value> {
    let parts = said.split_once("<<'EOF'\n").and_then(|(_, rest)| rest.split_once("\nEOF"));
    let (roles, _) = parts.unwrap_or_else(|| panic!("nothing to grant in {said}"));
    roles.split("---\n").map(|role| serde_saphyr::from_str(role).unwrap()).collect()
}

#[test]
fn what_is_granted_as_told_suffices_for_a_setup() {
    let Some(world) =
        World::stand_in_bare(Options::default(), "its authorizer learns of new roles by and by")
    else {
        return;
    };
    let setup = || {
        world
            .setup(&["--user-role", "--node-trust", "apply", "--operator-approval", "manual"])
            .user("dev")
    };
    let shown = world.oc_quay(&["setup", "--check"]).user("dev").ends_with(2);
    assert!(shown.stdout.contains("\nkind: \"ClusterRole\"\n"), "{}", shown.stdout);
    for number in 0..5 {
        world.forget_traffic();
        let run = setup().run();
        if run.code == Some(0) {
            assert!(number > 0 && number < 4, "{number}");
            return;
        }
        assert_eq!(run.code, Some(2), "{run:#?}");
        world.assert_nothing_written();
        // What lacks then shows only once the rest can be read.
        for mut object in granted(&format!("{}{}", run.stdout, run.stderr)) {
            assert!(!object.to_string().contains('*'), "{object}");
            object["metadata"]["name"] = json!(format!("oc-quay-setup-{number}"));
            if object["roleRef"].is_object() {
                object["roleRef"]["name"] = json!(format!("oc-quay-setup-{number}"));
            }
            world.create(&object);
        }
    }
    panic!("five grants do not suffice");
}

#[test]
fn a_single_right_that_lacks_is_named_and_nothing_is_begun() {
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
        let Some(world) =
            World::stand_in_bare(Options::default(), "RBAC takes no single right away")
        else {
            return;
        };
        world.sandbox.openshift.deny("admin", verb, group, resource);
        let run = world.setup(&[]).ends_with(2);
        assert!(
            run.stderr.contains(&format!("admin may not {named}\n")),
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
        world.assert_nothing_written();
    }
}

#[test]
fn what_is_set_up_needs_no_rights_to_write() {
    let Some(world) = World::stand_in_bare(Options::default(), "RBAC takes no single right away")
    else {
        return;
    };
    world.setup(&["--node-trust", "apply"]).succeeds();
    for verb in ["create", "patch"] {
        for (group, resource) in [
            ("quay.redhat.com", "quayintegrations"),
            ("", "secrets"),
            ("operators.coreos.com", "subscriptions"),
        ] {
            world.sandbox.openshift.deny("admin", verb, group, resource);
        }
    }
    world.forget_traffic();
    world.setup(&["--node-trust", "apply"]).succeeds();
    world.oc_quay(&["setup", "--check"]).succeeds();
    world.assert_nothing_written();
}

#[test]
fn parts_of_openshift_that_are_off_are_told_and_the_rest_works() {
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
    for (group, told, accounts) in cases {
        let cluster = Cluster { without: vec![group.into()], ..Cluster::default() };
        let options = Options { cluster, ..Options::default() };
        let Some(world) = World::stand_in_bare(options, "the real one has all capabilities") else {
            return;
        };
        world.sandbox.openshift.create(sandbox::manifests::namespace("shop"));
        let run = world.setup(&["--link", "shop", "-o", "json"]).succeeds();
        let facts = run.step("cluster")["facts"].clone();
        let is_told = |fact: &serde_json::Value| {
            fact["severity"] == "warning" && fact["text"].as_str().unwrap().starts_with(told)
        };
        assert!(facts.as_array().unwrap().iter().any(is_told), "{facts:#}");
        for account in accounts {
            world.login("shop", &format!("{account}-quay-openshift"));
        }
        world.oc_quay(&["status", "-n", "shop"]).succeeds();
    }
}

#[test]
fn more_than_one_quay_integration_is_refused() {
    let world = World::bare();
    world.integration();
    let mut second = sandbox::manifests::quay_integration(&world.sandbox.quay.url());
    second["metadata"]["name"] = json!("another");
    world.create(&second);
    for command in [&["setup", "--yes"][..], &["setup", "--check"], &["setup", "--dry-run"]] {
        world.forget_traffic();
        let run = world.oc_quay(command).env("OC_QUAY_URL", world.sandbox.quay.url()).run();
        assert_ne!(run.code, Some(0), "{run:#?}");
        let said = run.said();
        assert!(said.contains("the cluster has 2 QuayIntegrations (another, quay)"), "{said}");
        assert!(said.contains("oc delete quayintegration NAME"), "{said}");
        world.assert_nothing_written();
    }
}

#[test]
fn a_check_of_a_bare_cluster_names_what_is_missing_and_exits_with_1() {
    let world = World::bare();
    world.forget_traffic();
    let run = world.oc_quay(&["setup", "--check", "-o", "json"]).ends_with(1);
    let report = run.json();
    assert_eq!(report["ok"], false);
    assert!(report["summaryLine"].as_str().unwrap().starts_with("Not set up: "), "{report:#}");
    world.assert_nothing_written();
}
