//! Several set-ups at once, and set-ups by people who may not see everything: nothing is there twice, and nothing is
//! planned on a guess.

use std::thread;

use sandbox::Options;
use sandbox::openshift::{Cluster, Olm};
use serde_json::json;

use crate::support::{Command, Run, STREAMS, World, play_apart};

fn fresh() -> World {
    let world = World::bare();
    world.shared_namespace("shop");
    world.furnish_others();
    world
}

fn everything(world: &World) -> Command<'_> {
    world.setup(&["--node-trust", "apply", "--link", "shop"])
}

/// Runs two commands at once. Who comes second may be told so, in these words.
fn at_once(one: Command<'_>, other: Command<'_>) {
    const OTHERS_WERE_FASTER: [&str; 5] = [
        "changed meanwhile",
        "there is one already, and it is not the same",
        "somebody else may be at the same work",
        "default permission",
        "Remaining in",
    ];
    let judge = |run: &Run| {
        let is_told = run.code == Some(1)
            && OTHERS_WERE_FASTER.iter().any(|words| run.said().contains(words));
        assert!(run.code == Some(0) || is_told, "{run:#?}");
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| judge(&other.run()));
        judge(&one.run());
        other.join().unwrap();
    });
}

#[test]
fn two_setups_at_once_leave_one_of_everything() {
    play_apart(&[(); 6], [1, 3], fresh, |world, ()| {
        let others = world.others();
        at_once(everything(world), everything(world));
        world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
        everything(world).succeeds();
        world.assert_set_up();
        assert!(world.operator_runs());
        assert_eq!(world.trusted_registries(), [world.registry_key()]);
        assert_eq!(world.others(), others);
    });
}

#[test]
fn two_setups_that_sign_in_at_once_leave_one_token_in_one_secret() {
    play_apart(&[(); 6], [1, 3], fresh, |world, ()| {
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
fn a_teardown_beside_a_setup_loses_nothing_in_quay_and_either_can_be_run_again() {
    play_apart(&[(); 6], [1, 3], fresh, |world, ()| {
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
        world.assert_taken_back();
        assert_eq!(world.sandbox.quay.repositories("openshift_shop").len(), STREAMS.len());
        everything(world).succeeds();
        world.assert_set_up();
    });
}

#[test]
fn who_may_do_nothing_in_the_cluster_is_told_what_lacks_and_writes_nothing() {
    let world = fresh();
    let commands: [(&[&str], i32); 5] = [
        (&["setup", "--yes"], 2),
        (&["setup", "--dry-run"], 2),
        (&["setup", "--check"], 2),
        (&["teardown", "--yes"], 2),
        (&["teardown", "--dry-run"], 2),
    ];
    world.forget_traffic();
    for user in ["dev", "nobody"] {
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
fn what_may_not_be_read_is_not_guessed() {
    use Outcome::{Done, Refused};
    let cases = [
        ("list", "", "namespaces", Refused("may not list namespaces")),
        (
            "get",
            "",
            "secrets",
            Refused("may not get secrets quay-integration in namespace openshift-operators"),
        ),
        (
            "list",
            "quay.redhat.com",
            "quayintegrations",
            Refused("may not list quayintegrations.quay.redhat.com"),
        ),
        (
            "get",
            "",
            "configmaps",
            Refused("may not get configmaps oc-quay-registry-cas in namespace openshift-config"),
        ),
        (
            "get",
            "config.openshift.io",
            "images",
            Refused("may not get images.config.openshift.io cluster"),
        ),
        (
            "list",
            "operators.coreos.com",
            "subscriptions",
            Refused("may not list subscriptions.operators.coreos.com"),
        ),
        (
            "list",
            "packages.operators.coreos.com",
            "packagemanifests",
            Refused("may not list packagemanifests.packages.operators.coreos.com"),
        ),
        (
            "list",
            "olm.operatorframework.io",
            "clusterextensions",
            Refused("may not list clusterextensions.olm.operatorframework.io"),
        ),
        (
            "get",
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            Refused("may not get customresourcedefinitions.apiextensions.k8s.io"),
        ),
        (
            "create",
            "authentication.k8s.io",
            "selfsubjectreviews",
            Refused("could not find out who the user is"),
        ),
        (
            "create",
            "authorization.k8s.io",
            "selfsubjectaccessreviews",
            Done("could not find out whether the user may"),
        ),
        ("list", "apps", "deployments", Done("")),
        (
            "list",
            "admissionregistration.k8s.io",
            "mutatingwebhookconfigurations",
            Done("webhook for builds is not there, or may not be read"),
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
            let theirs = json!({ "token": "somebody-elses" });
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
fn an_operator_whose_progress_cannot_be_read_is_not_installed() {
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
        let lacking =
            format!("admin may not get {resource}.{group} in namespace openshift-operators");
        assert!(run.stderr.contains(&lacking), "{run:#?}");
        world.assert_nothing_written();
    }
}

#[test]
fn plain_kubernetes_is_set_up_without_the_operator() {
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
    assert!(world.one_integration().is_some() && world.stored_token().is_some());
}
