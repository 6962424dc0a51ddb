//! Several set-ups at once, and set-ups by users without full read access: nothing is there twice, and nothing is
//! planned on a guess.

use std::thread;

use sandbox::Options;
use sandbox::openshift::{Cluster, Olm};
use serde_json::json;

use crate::support::{Command, Run, STREAMS, TestEnv, run_in_new_envs};

fn fresh() -> TestEnv {
    let env = TestEnv::bare();
    env.shared_namespace("shop");
    env.create_foreign_objects();
    env
}

fn everything(env: &TestEnv) -> Command<'_> {
    env.setup(&["--node-trust", "apply", "--link", "shop"])
}

/// Runs two commands at once. The second may fail with these messages.
fn at_once(one: Command<'_>, other: Command<'_>) {
    const OTHERS_WERE_FASTER: [&str; 4] = [
        "the object was modified",
        "another object of this name exists",
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
    run_in_new_envs(&[(); 6], [1, 3], fresh, |env, ()| {
        let others = env.foreign_objects();
        at_once(everything(env), everything(env));
        env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
        everything(env).succeeds();
        env.assert_set_up();
        assert!(env.operator_runs());
        assert_eq!(env.trusted_registries(), [env.registry_key()]);
        assert_eq!(env.foreign_objects(), others);
    });
}

#[test]
fn concurrent_sign_ins_store_one_token() {
    run_in_new_envs(&[(); 6], [1, 3], fresh, |env, ()| {
        let password = env.sandbox.quay.password("quayadmin").unwrap();
        let signed_in = || {
            let command = env.setup(&["--quay-username", "quayadmin", "--controller=none"]);
            command.without_env("OC_QUAY_TOKEN").env("OC_QUAY_PASSWORD", &password)
        };
        at_once(signed_in(), signed_in());
        signed_in().args(&["--link", "shop"]).succeeds();
        env.assert_set_up();
        let stored = env.stored_token().unwrap();
        let applications = env.sandbox.quay.applications("openshift-integration");
        let mut tokens = applications.iter().flat_map(|application| &application.tokens);
        assert!(tokens.any(|token| token.token == stored), "{applications:#?}");
    });
}

#[test]
fn teardown_during_setup_keeps_quay_data() {
    run_in_new_envs(&[(); 6], [1, 3], fresh, |env, ()| {
        everything(env).succeeds();
        thread::scope(|scope| {
            let teardown = scope.spawn(|| env.oc_quay(&["teardown", "--yes"]).run());
            let runs = [everything(env).run(), teardown.join().unwrap()];
            assert!(
                runs.iter()
                    .all(|run| matches!(run.code, Some(0..=2)) && !run.stderr.contains("panicked")),
                "{runs:#?}"
            );
        });
        // A QuayIntegration that is gone says no more which of the nodes' registries is this Quay.
        env.oc_quay(&["teardown", "--yes", "--quay-url", &env.sandbox.quay.url()]).succeeds();
        env.assert_torn_down();
        assert_eq!(env.sandbox.quay.repositories("openshift_shop").len(), STREAMS.len());
        everything(env).succeeds();
        env.assert_set_up();
    });
}

#[test]
fn writes_nothing_without_permissions() {
    let env = fresh();
    let commands: [(&[&str], i32); 5] = [
        (&["setup", "--yes"], 2),
        (&["setup", "--dry-run"], 2),
        (&["setup", "--check"], 2),
        (&["teardown", "--yes"], 2),
        (&["teardown", "--dry-run"], 2),
    ];
    env.forget_traffic();
    for user in ["dev", "guest"] {
        for (command, code) in commands {
            let run = env.oc_quay(command).guest(user).ends_with(code);
            let said = run.said();
            for resource in ["quayintegrations", "namespaces"] {
                assert!(
                    said.contains(resource),
                    "{user} {command:?} does not name {resource}: {run:#?}"
                );
            }
        }
    }
    env.assert_nothing_written();
}

/// The effect of a missing read permission.
enum Outcome {
    /// It stops before anything is written, naming this.
    Rejected(&'static str),
    /// All is set up, and this is said of what is not known.
    Done(&'static str),
}

#[test]
fn plans_nothing_from_unreadable_state() {
    use Outcome::{Done, Rejected};
    let cases = [
        ("list", "", "namespaces", Rejected("is not allowed to list namespaces")),
        (
            "get",
            "",
            "secrets",
            Rejected(
                "is not allowed to get secrets quay-integration in namespace openshift-operators",
            ),
        ),
        (
            "list",
            "quay.redhat.com",
            "quayintegrations",
            Rejected("is not allowed to list quayintegrations.quay.redhat.com"),
        ),
        (
            "get",
            "",
            "configmaps",
            Rejected(
                "is not allowed to get configmaps oc-quay-registry-cas in namespace openshift-config",
            ),
        ),
        (
            "get",
            "config.openshift.io",
            "images",
            Rejected("is not allowed to get images.config.openshift.io cluster"),
        ),
        (
            "list",
            "operators.coreos.com",
            "subscriptions",
            Rejected("is not allowed to list subscriptions.operators.coreos.com"),
        ),
        (
            "list",
            "packages.operators.coreos.com",
            "packagemanifests",
            Rejected("is not allowed to list packagemanifests.packages.operators.coreos.com"),
        ),
        (
            "list",
            "olm.operatorframework.io",
            "clusterextensions",
            Rejected("is not allowed to list clusterextensions.olm.operatorframework.io"),
        ),
        (
            "get",
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            Rejected("is not allowed to get customresourcedefinitions.apiextensions.k8s.io"),
        ),
        (
            "create",
            "authentication.k8s.io",
            "selfsubjectreviews",
            Rejected("could not read the current user"),
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
        let Some(env) = TestEnv::stand_in_bare(Options::default(), "RBAC has no denials") else {
            return;
        };
        println!("{verb} {resource}");
        env.shared_namespace("shop");
        if resource == "secrets" {
            let metadata =
                json!({ "name": "quay-integration", "namespace": "openshift-operators" });
            let theirs = json!({ "token": "other-token" });
            env.create(&json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": theirs }));
        }
        env.sandbox.openshift.deny("admin", verb, group, resource);
        env.forget_traffic();
        match outcome {
            Rejected(words) => {
                let run = everything(&env).ends_with(2);
                assert!(run.said().contains(words), "{run:#?}");
                env.assert_nothing_written();
            }
            Done(words) => {
                let run = everything(&env).succeeds();
                assert!(run.said().contains(words), "{run:#?}");
                env.assert_set_up();
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
        let Some(env) = TestEnv::stand_in_bare(Options::default(), "RBAC has no denials") else {
            return;
        };
        env.shared_namespace("shop");
        env.sandbox.openshift.deny("admin", "get", group, resource);
        env.forget_traffic();
        let run = everything(&env).ends_with(2);
        let lacking = format!(
            "admin is not allowed to get {resource}.{group} in namespace openshift-operators"
        );
        assert!(run.stderr.contains(&lacking), "{run:#?}");
        env.assert_nothing_written();
    }
}

#[test]
fn sets_up_plain_kubernetes_without_operator() {
    let without = ["config", "image", "build", "apps", "project"]
        .map(|group| format!("{group}.openshift.io"))
        .into();
    let cluster = Cluster { without, olm: Olm::None, ..Cluster::default() };
    let options = Options { cluster, ..Options::default() };
    let Some(env) = TestEnv::stand_in_bare(options, "its API groups are those of OpenShift") else {
        return;
    };
    let run = env.setup(&["--controller=none", "--node-trust", "apply", "-o", "json"]).succeeds();
    assert_eq!(run.state("nodeTrust"), "skipped", "{run:#?}");
    assert!(
        run.said().contains("Kubernetes v1.") && !run.said().contains("OpenShift 4."),
        "{run:#?}"
    );
    assert!(env.single_integration().is_some() && env.stored_token().is_some());
}
