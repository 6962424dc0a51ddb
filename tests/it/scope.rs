//! Changes of scope: the edits of `link` and `unlink` to the namespace lists.

use serde_json::{Value, json};

use crate::support::TestEnv;

/// Namespace lists, and their expected changes.
struct Case {
    namespace: &'static str,
    allow: &'static [&'static str],
    deny: &'static [&'static str],
    /// Why the namespace is out of scope.
    reason: &'static str,
    flags: &'static [&'static str],
    /// The two lists after link, and after unlink.
    linked: [&'static [&'static str]; 2],
    unlinked: [&'static [&'static str]; 2],
    /// True when the namespace is annotated, since no list can express it.
    marked: bool,
}

const CASES: [Case; 6] = [
    Case {
        namespace: "shop",
        allow: &[],
        deny: &["shop", "b"],
        reason: "the denylist names it",
        flags: &[],
        linked: [&[], &["b"]],
        unlinked: [&[], &["b", "shop"]],
        marked: false,
    },
    Case {
        namespace: "shop",
        allow: &["b"],
        deny: &[],
        reason: "it is not on the allowlist",
        flags: &[],
        linked: [&["b", "shop"], &[]],
        unlinked: [&["b"], &[]],
        marked: false,
    },
    Case {
        namespace: "shop",
        allow: &["shop"],
        deny: &["shop"],
        reason: "the denylist names it",
        flags: &[],
        linked: [&["shop"], &[]],
        // An allowlist without names would allow every namespace.
        unlinked: [&["shop"], &["shop"]],
        marked: false,
    },
    Case {
        namespace: "openshift-extra",
        allow: &[],
        deny: &[],
        reason: "it is a reserved platform namespace",
        flags: &["--force"],
        // A new allowlist of one name would deny all other namespaces.
        linked: [&[], &[]],
        unlinked: [&[], &[]],
        marked: true,
    },
    Case {
        namespace: "openshift-extra",
        allow: &["b"],
        deny: &[],
        reason: "it is a reserved platform namespace",
        flags: &["--force"],
        linked: [&["b", "openshift-extra"], &[]],
        unlinked: [&["b"], &[]],
        marked: false,
    },
    Case {
        namespace: "openshift-extra",
        allow: &[],
        deny: &["openshift-extra"],
        reason: "the denylist names it",
        flags: &["--force"],
        linked: [&[], &[]],
        unlinked: [&[], &[]],
        marked: true,
    },
];

#[test]
fn link_and_unlink_edit_only_entries_of_their_namespace() {
    let env = TestEnv::new();
    env.namespace("openshift-extra");
    for case in &CASES {
        let namespace = case.namespace;
        let lists = json!({ "allowlistNamespaces": case.allow, "denylistNamespaces": case.deny });
        env.merge("QuayIntegration", "", "quay", &json!({ "spec": lists }));
        assert_eq!(scope(&env, namespace), (false, case.reason.to_owned()));
        // Out of scope is no error, and repair does not change it.
        env.forget_traffic();
        env.oc_quay(&["repair", "-n", namespace, "--yes"]).succeeds();
        if case.flags.contains(&"--force") {
            let run = env.oc_quay(&["link", "-n", namespace, "--yes"]).ends_with(2);
            assert!(run.stderr.contains("--force"), "{}", run.stderr);
        }
        env.assert_nothing_written();

        let link = [&["link", "-n", namespace, "--yes"], case.flags].concat();
        env.oc_quay(&link).succeeds();
        assert_eq!(lists_of(&env), case.linked, "{namespace} {:?} {:?}", case.allow, case.deny);
        assert!(scope(&env, namespace).0);
        let mark = env.get("Namespace", "", namespace).unwrap()["metadata"]["annotations"]["oc-quay/linked"].clone();
        assert_eq!(mark == "true", case.marked, "{mark}");
        env.forget_traffic();
        env.oc_quay(&link).succeeds();
        env.assert_nothing_written();

        env.oc_quay(&["unlink", "-n", namespace, "--yes"]).succeeds();
        assert_eq!(lists_of(&env), case.unlinked, "{namespace} {:?} {:?}", case.allow, case.deny);
        assert!(!scope(&env, namespace).0);
        let mark = env.get("Namespace", "", namespace).unwrap()["metadata"]["annotations"]["oc-quay/linked"].clone();
        assert_eq!(mark, Value::Null);
    }
}

#[test]
fn allows_several_namespaces_with_one_edit() {
    let env = TestEnv::new();
    env.namespace("one");
    env.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "denylistNamespaces": ["shop", "b", "one"] } }),
    );
    env.forget_traffic();
    env.oc_quay(&["link", "shop", "one", "--yes"]).succeeds();
    assert_eq!(lists_of(&env), [&[][..], &["b"]]);
    assert_eq!(
        env.cluster_traffic().count("patch quayintegrations"),
        1,
        "{:#?}",
        env.cluster_traffic().writes()
    );
}

#[test]
fn keeps_allowlist_when_its_last_namespaces_are_unlinked() {
    let env = TestEnv::new();
    env.namespace("one");
    env.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "allowlistNamespaces": ["shop", "one"] } }),
    );
    let run = env.oc_quay(&["unlink", "shop", "one", "--yes", "-o", "json"]).succeeds();
    let summary = run.json()["changes"][0]["summary"].clone();
    assert_eq!(summary, "remove from allowlist: shop; add to denylist: one");
    assert_eq!(lists_of(&env), [&["one"], &["one"]]);
    for namespace in ["shop", "one", "default"] {
        assert!(!scope(&env, namespace).0, "{namespace}");
    }
}

#[test]
fn keeps_namespace_lists_of_another_cluster_id() {
    let env = TestEnv::new();
    env.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "allowlistNamespaces": ["b"], "denylistNamespaces": ["shop"] } }),
    );
    let said = "--cluster-id differs from QuayIntegration quay: its namespace lists are neither read nor changed";
    let other = |command: &[&str]| {
        env.oc_quay(command).args(&["-n", "shop", "--cluster-id", "other"]).succeeds()
    };
    let run = other(&["link", "--yes"]);
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let status = other(&["status", "-o", "json"]);
    assert!(status.stderr.contains(said), "{}", status.stderr);
    let report = status.json();
    assert_eq!(report["namespaces"][0]["linked"], true, "as it was linked a moment ago");
    assert!(status.stdout.contains("its namespace lists are not used"), "{}", status.stdout);
    assert!(other(&["unlink", "--yes"]).stderr.contains(said));
    assert_eq!(env.get("Secret", "shop", "builder-quay-other"), None);
    assert_eq!(lists_of(&env), [&["b"], &["shop"]]);
}

/// True when a namespace is in scope, and the reason.
fn scope(env: &TestEnv, namespace: &str) -> (bool, String) {
    let report = env
        .oc_quay(&["status", "-n", namespace, "-o", "json", "--fail-on", "never"])
        .succeeds()
        .json();
    let namespace = &report["namespaces"][0];
    (namespace["linked"] == true, namespace["scope"].as_str().unwrap().to_owned())
}

fn lists_of(env: &TestEnv) -> [Vec<String>; 2] {
    let spec = env.get("QuayIntegration", "", "quay").unwrap()["spec"].clone();
    ["allowlistNamespaces", "denylistNamespaces"].map(|list| {
        spec[list]
            .as_array()
            .into_iter()
            .flatten()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    })
}
