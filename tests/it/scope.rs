//! Into scope and out of it: what `link` and `unlink` do to the namespace lists, and to nothing else.

use serde_json::{Value, json};

use crate::support::World;

/// Lists as they are, and what becomes of them.
struct Case {
    namespace: &'static str,
    allow: &'static [&'static str],
    deny: &'static [&'static str],
    /// Why the namespace is out of scope.
    reason: &'static str,
    /// Flags that `link` needs.
    flags: &'static [&'static str],
    /// The two lists once it is linked, and once it is unlinked again.
    linked: [&'static [&'static str]; 2],
    unlinked: [&'static [&'static str]; 2],
    /// Whether the namespace is marked, since no list can say it.
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
        reason: "there is an allowlist and it is not on it",
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
        // An allowlist that lost its last name would let every namespace in.
        unlinked: [&["shop"], &["shop"]],
        marked: false,
    },
    Case {
        namespace: "openshift-extra",
        allow: &[],
        deny: &[],
        reason: "its name is one of the platform's own",
        flags: &["--force"],
        // An allowlist that is started for one name would put every other namespace out.
        linked: [&[], &[]],
        unlinked: [&[], &[]],
        marked: true,
    },
    Case {
        namespace: "openshift-extra",
        allow: &["b"],
        deny: &[],
        reason: "its name is one of the platform's own",
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
fn link_and_unlink_edit_the_lists_for_their_namespace_alone() {
    let world = World::new();
    world.namespace("openshift-extra");
    for case in &CASES {
        let namespace = case.namespace;
        let lists = json!({ "allowlistNamespaces": case.allow, "denylistNamespaces": case.deny });
        world.merge("QuayIntegration", "", "quay", &json!({ "spec": lists }));
        assert_eq!(scope(&world, namespace), (false, case.reason.to_owned()));
        // Out of scope is no error, and not for repair to change.
        world.forget_traffic();
        world.oc_quay(&["repair", "-n", namespace, "--yes"]).succeeds();
        if case.flags.contains(&"--force") {
            let run = world.oc_quay(&["link", "-n", namespace, "--yes"]).ends_with(2);
            assert!(run.stderr.contains("--force"), "{}", run.stderr);
        }
        world.assert_nothing_written();

        let link = [&["link", "-n", namespace, "--yes"], case.flags].concat();
        world.oc_quay(&link).succeeds();
        assert_eq!(lists_of(&world), case.linked, "{namespace} {:?} {:?}", case.allow, case.deny);
        assert!(scope(&world, namespace).0);
        let mark = world.get("Namespace", "", namespace).unwrap()["metadata"]["annotations"]["oc-quay/linked"].clone();
        assert_eq!(mark == "true", case.marked, "{mark}");
        world.forget_traffic();
        world.oc_quay(&link).succeeds();
        world.assert_nothing_written();

        world.oc_quay(&["unlink", "-n", namespace, "--yes"]).succeeds();
        assert_eq!(lists_of(&world), case.unlinked, "{namespace} {:?} {:?}", case.allow, case.deny);
        assert!(!scope(&world, namespace).0);
        let mark = world.get("Namespace", "", namespace).unwrap()["metadata"]["annotations"]["oc-quay/linked"].clone();
        assert_eq!(mark, Value::Null);
    }
}

#[test]
fn several_namespaces_are_brought_in_with_one_edit() {
    let world = World::new();
    world.namespace("one");
    world.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "denylistNamespaces": ["shop", "b", "one"] } }),
    );
    world.forget_traffic();
    world.oc_quay(&["link", "shop", "one", "--yes"]).succeeds();
    assert_eq!(lists_of(&world), [&[][..], &["b"]]);
    assert_eq!(
        world.cluster_traffic().count("patch quayintegrations"),
        1,
        "{:#?}",
        world.cluster_traffic().writes()
    );
}

#[test]
fn keeps_allowlist_when_its_last_namespaces_are_unlinked() {
    let world = World::new();
    world.namespace("one");
    world.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "allowlistNamespaces": ["shop", "one"] } }),
    );
    let run = world.oc_quay(&["unlink", "shop", "one", "--yes", "-o", "json"]).succeeds();
    let summary = run.json()["changes"][0]["summary"].clone();
    assert_eq!(summary, "take off the allowlist: shop; put on the denylist: one");
    assert_eq!(lists_of(&world), [&["one"], &["one"]]);
    for namespace in ["shop", "one", "default"] {
        assert!(!scope(&world, namespace).0, "{namespace}");
    }
}

#[test]
fn leaves_namespace_lists_of_another_cluster_id_alone() {
    let world = World::new();
    world.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "allowlistNamespaces": ["b"], "denylistNamespaces": ["shop"] } }),
    );
    let said = "--cluster-id differs from QuayIntegration quay: its namespace lists are neither read nor changed";
    let other = |command: &[&str]| {
        world.oc_quay(command).args(&["-n", "shop", "--cluster-id", "other"]).succeeds()
    };
    let run = other(&["link", "--yes"]);
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let status = other(&["status", "-o", "json"]);
    assert!(status.stderr.contains(said), "{}", status.stderr);
    let report = status.json();
    assert_eq!(report["namespaces"][0]["linked"], true, "as it was linked a moment ago");
    assert!(status.stdout.contains("its namespace lists are not used"), "{}", status.stdout);
    assert!(other(&["unlink", "--yes"]).stderr.contains(said));
    assert_eq!(world.get("Secret", "shop", "builder-quay-other"), None);
    assert_eq!(lists_of(&world), [&["b"], &["shop"]]);
}

/// Whether a namespace is to be linked, and why or why not.
fn scope(world: &World, namespace: &str) -> (bool, String) {
    let report = world
        .oc_quay(&["status", "-n", namespace, "-o", "json", "--fail-on", "never"])
        .succeeds()
        .json();
    let namespace = &report["namespaces"][0];
    (namespace["linked"] == true, namespace["scope"].as_str().unwrap().to_owned())
}

/// The allowlist and the denylist.
fn lists_of(world: &World) -> [Vec<String>; 2] {
    let spec = world.get("QuayIntegration", "", "quay").unwrap()["spec"].clone();
    ["allowlistNamespaces", "denylistNamespaces"].map(|list| {
        spec[list]
            .as_array()
            .into_iter()
            .flatten()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    })
}
