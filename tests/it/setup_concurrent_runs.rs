//! Several set-ups at once, and set-ups by people who may not see everything: nothing is there twice, and nothing is
//! planned on a guess.

use std::thread;

use sandbox::Options;
use sandbox::openshift::{Cluster, Olm};
use serde_json::json;

use crate::support::{Command, Run, STREAMS, World, run_in_new_worlds};

fn fresh() -> World {
    let world = World::bare();
    world.shared_namespace("shop");
    world.create_foreign_objects();
    world
}

fn everything(world: &World) -> Command<'_> {
    world.setup(&["--node-trust", "apply", "--link", "shop"])
}

/// Runs two commands at once. The second may fail with these messages.
fn at_once(one: Command<'_>, other: Command<'_>) {
    const OTHERS_WERE_FASTER: [&str; 5] = [
        "the object was modified",
        "another object of this name exists",
        "somebody else may be at the same work",
        "default permission",
        "Remaining in",
    ];
    let judge = |run: &Run| {
        let is_reported = run.code == Some(1)
            && OTHERS_WERE_FASTER.iter().any(|words| run.said().contains(words));
        assert!(run.code == Some(0) || is_reported, "{run:#?}");
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| judge(&other.run()));
        judge(&one.run());
        other.join().unwrap();
    });
}

#[test]
fn concurrent_setups_create_no_duplicates() {
    run_in_new_worlds(&[(); 6], [1, 3], fresh, |world, ()| {
        let others = world.foreign_objects();
        at_once(everything(world), everything(world));
        world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
        everything(world).succeeds();
        world.assert_set_up();
        assert!(world.operator_runs());
        assert_eq!(world.trusted_registries(), [world.registry_key()]);
        assert_eq!(world.foreign_objects(), others);
    });
}

#[test]
fn concurrent_sign_ins_store_one_token() {
    run_in_new_worlds(&[(); 6], [1, 3], fresh, |world, ()| {
        let password = world.sandbox.quay.password("quayadmin").unwrap();
        let signed_in = || {
            let command = world.setup(&["--quay-username", "quayadmin", "--controller=none"]);
            command.without_env("OC_QUAY_TOKEN").env("OC_QUAY_PASSWORD", &password)
        };
        at_once(signed_in(), signed_in());
        signed_in().args(&["--link", "shop"]).succeeds();
        world.assert_set_up();
        let stored = world.stored_token().unwrap();
        let applications = world.sandbox.quay.applications("openshift-integration");
        let mut tokens = applications.iter().flat_map(|application| &application.tokens);
        assert!(tokens.any(|token| token.token == stored), "{applications:#?}");
    });
}

#[test]
fn teardown_during_setup_keeps_quay_data() {
    run_in_new_worlds(&[(); 6], [1, 3], fresh, |world, ()| {
        everything(world).succeeds();
        thread::scope(|scope| {
            let teardown = scope.spawn(|| world.oc_quay(&["teardown", "--yes"]).run());
            let runs = [everything(world).run(), teardown.join().unwrap()];
            assert!(
                runs.iter()
                    .all(|run| matches!(run.code, Some(0..=2)) && !run.stderr.contains("panicked")),
                "{runs:#?}"
            );
        });
        // A QuayIntegration that is gone says no more which of the nodes' registries is this Quay.
        world.oc_quay(&["teardown", "--yes", "--quay-url", &world.sandbox.quay.url()]).succeeds();
        world.assert_torn_down();
        assert_eq!(world.sandbox.quay.repositories("openshift_shop").len(), STREAMS.len());
        everything(world).succeeds();
        world.assert_set_up();
    });
}

#[test]
fn writes_nothing_without_permissions() {
    let world = fresh();
    let commands: [(&[&str], i32); 5] = [
        (&["setup", "--yes"], 2),
        (&["setup", "--dry-run"], 2),
        (&["setup", "--check"], 2),
        (&["teardown", "--yes"], 2),
        (&["teardown", "--dry-run"], 2),
    ];
    world.forget_traffic();
    for user in ["dev", "guest"] {
        for (command, code) in commands {
            let run = world.oc_quay(command).guest(user).ends_with(code);
            let said = run.said();
            for resource in ["quayintegrations", "namespaces"] {
                assert!(
                    said.contains(resource),
                    "{user} {command:?} does not name {resource}: {run:#?}"
                );
            }
        }
    }
    world.assert_nothing_written();
}

/// What comes of a right to read that lacks.
enum Outcome {
    /// It stops before anything is written, naming this.
    Refused(&'static str),
    /// All is set up, and this is said of what is not known.
    Done(&'static str),
}

#[test]
fn plans_nothing_from_unreadable_state() {
    use Outcome::{Done, Refused};
    let cases = [
        ("list", "", "namespaces", Refused("is not allowed to list namespaces")),
        (
            "get",
            "",
            "secrets",
            Refused(
                "is not allowed to get secrets quay-integration in namespace openshift-operators",
            ),
        ),
        (
            "list",
            "quay.redhat.com",
            "quayintegrations",
            Refused("is not allowed to list quayintegrations.quay.redhat.com"),
        ),
        (
            "get",
            "",
            "configmaps",
            Refused(
                "is not allowed to get configmaps oc-quay-registry-cas in namespace openshift-config",
            ),
        ),
        (
            "get",
            "config.openshift.io",
            "images",
            Refused("is not allowed to get images.config.openshift.io cluster"),
        ),
        (
            "list",
            "operators.coreos.com",
            "subscriptions",
            Refused("is not allowed to list subscriptions.operators.coreos.com"),
        ),
        (
            "list",
            "packages.operators.coreos.com",
            "packagemanifests",
            Refused("is not allowed to list packagemanifests.packages.operators.coreos.com"),
        ),
        (
            "list",
            "olm.operatorframework.io",
            "clusterextensions",
            Refused("is not allowed to list clusterextensions.olm.operatorframework.io"),
        ),
        (
            "get",
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            Refused("is not allowed to get customresourcedefinitions.apiextensions.k8s.io"),
        ),
        (
            "create",
            "authentication.k8s.io",
            "selfsubjectreviews",
            Refused("could not read the current user"),
        ),
        (
            "create",
            "authorization.k8s.io",
            "selfsubjectaccessreviews",
            Done("could not check permission to"),
        ),
        ("list", "apps", "deployments", Done("")),
        (
            "list",
            "admissionregistration.k8s.io",
            "mutatingwebhookconfigurations",
            Done("build webhook is missing or could not be read"),
        ),
        ("get", "config.openshift.io", "clusterversions", Done("Kubernetes v1.")),
        ("get", "config.openshift.io", "infrastructures", Done("")),
    ];
    for (verb, group, resource, outcome) in cases {
        let Some(world) = World::stand_in_bare(Options::default(), "RBAC has no denials") else {
            return;
        };
        println!("{verb} {resource}");
        world.shared_namespace("shop");
        if resource == "secrets" {
            let metadata =
                json!({ "name": "quay-integration", "namespace": "openshift-operators" });
            let theirs = json!({ "token": "other-token" });
            world.create(&json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": theirs }));
        }
        world.sandbox.openshift.deny("admin", verb, group, resource);
        world.forget_traffic();
        match outcome {
            Refused(words) => {
                let run = everything(&world).ends_with(2);
                assert!(run.said().contains(words), "{run:#?}");
                world.assert_nothing_written();
            }
            Done(words) => {
                let run = everything(&world).succeeds();
                assert!(run.said().contains(words), "{run:#?}");
                world.assert_set_up();
            }
        }
    }
}

#[test]
fn does_not_install_operator_with_unreadable_progress() {
    for (group, resource) in [
        ("operators.coreos.com", "installplans"),
        ("operators.coreos.com", "clusterserviceversions"),
    ] {
        let Some(world) = World::stand_in_bare(Options::default(), "RBAC has no denials") else {
            return;
        };
        world.shared_namespace("shop");
        world.sandbox.openshift.deny("admin", "get", group, resource);
        world.forget_traffic();
        let run = everything(&world).ends_with(2);
        let lacking = format!(
            "admin is not allowed to get {resource}.{group} in namespace openshift-operators"
        );
        assert!(run.stderr.contains(&lacking), "{run:#?}");
        world.assert_nothing_written();
    }
}

#[test]
fn sets_up_plain_kubernetes_without_operator() {
    let without = ["config", "image", "build", "apps", "project"]
        .map(|group| format!("{group}.openshift.io"))
        .into();
    let cluster = Cluster { without, olm: Olm::None, ..Cluster::default() };
    let options = Options { cluster, ..Options::default() };
    let Some(world) = World::stand_in_bare(options, "its API groups are those of OpenShift") else {
        return;
    };
    let run = world.setup(&["--controller=none", "--node-trust", "apply", "-o", "json"]).succeeds();
    assert_eq!(run.state("nodeTrust"), "skipped", "{run:#?}");
    assert!(
        run.said().contains("Kubernetes v1.") && !run.said().contains("OpenShift 4."),
        "{run:#?}"
    );
    assert!(world.single_integration().is_some() && world.stored_token().is_some());
}
