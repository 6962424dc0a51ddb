//! A set-up, or its teardown, that is killed at any of its requests is finished by the next, and nothing is there twice.

use sandbox::Options;
use sandbox::openshift::{Cluster, Olm};
use serde_json::json;

use crate::support::{Command, KillPoint, STREAMS, TestEnv, run_in_new_envs};

/// Only every nth case is run, on the stand-in and on the real API server.
const SAMPLES: [usize; 2] = [1, 97];

/// An environment in which nothing is set up, with namespace `shop` and things of others.
fn fresh() -> TestEnv {
    let env = TestEnv::bare();
    env.shared_namespace("shop");
    env.create_foreign_objects();
    env
}

/// The same, where the nodes trust another registry already.
fn with_trust() -> TestEnv {
    let env = fresh();
    env.trust_foreign_registry();
    env
}

/// Everything there is to do, with a token that was given.
fn everything(env: &TestEnv) -> Command<'_> {
    env.setup(&["--user-role", "--node-trust", "apply", "--link", "shop"])
}

/// Everything there is to do without the operator, with a token that Quay issues.
fn signed_in(env: &TestEnv) -> Command<'_> {
    let command = env.setup(&[
        "--quay-username",
        "quayadmin",
        "--controller=none",
        "--node-trust",
        "apply",
        "--link",
        "shop",
    ]);
    let password = env.sandbox.quay.password("quayadmin").unwrap();
    command.without_env("OC_QUAY_TOKEN").env("OC_QUAY_PASSWORD", password)
}

/// Kills a command after each of its writes, runs it again, and lets `check` verify the result.
fn survive(make: fn() -> TestEnv, command: fn(&TestEnv) -> Command<'_>, check: fn(&TestEnv)) {
    let env = make();
    env.forget_traffic();
    command(&env).succeeds();
    let deaths = KillPoint::all(&env);
    drop(env);
    assert!(deaths.len() > 40, "{deaths:?}");
    run_in_new_envs(&deaths, SAMPLES, make, |env, death| {
        println!("{death:?}");
        let others = env.foreign_objects();
        // The operator is asked after as long as it takes, so some runs make fewer requests.
        let survivor = death.kill(env, command(env));
        assert!(matches!(survivor, None | Some(0)), "{death:?}: {survivor:?}");
        command(env).in_process().succeeds();
        check(env);
        env.forget_traffic();
        command(env).in_process().succeeds();
        env.assert_nothing_written();
        assert_eq!(env.foreign_objects(), others);
    });
}

#[test]
fn next_setup_completes_a_killed_one() {
    survive(fresh, everything, |env| {
        env.assert_set_up();
        assert!(env.operator_runs());
        assert_eq!(env.stored_token(), Some(env.sandbox.quay.admin_token()));
        assert_eq!(env.trusted_registries(), [env.registry_key()]);
    });
}

#[test]
fn next_setup_completes_a_killed_sign_in() {
    survive(with_trust, signed_in, |env| {
        env.assert_set_up();
        let applications = env.sandbox.quay.applications("openshift-integration");
        let [application] = applications.as_slice() else { panic!("{applications:#?}") };
        assert_eq!(application.name, "openshift");
        let stored = env.stored_token().unwrap();
        assert!(application.tokens.iter().any(|token| token.token == stored), "{application:#?}");
        let mut registries = vec!["registry.example.com".to_owned(), env.registry_key()];
        registries.sort();
        assert_eq!(env.trusted_registries(), registries);
        assert_eq!(env.subscriptions(), 0);
    });
}

/// The namespaces' finalizer of the operator.
const FINALIZER: &str = "quay.redhat.com/quayintegrations";

/// A finalizer of another controller.
const FINALIZER_OF_OTHERS: &str = "example.com/others";

/// An environment in which everything is set up, and the operator holds on to namespace `shop`.
fn set_up() -> TestEnv {
    let env = fresh();
    everything(&env).in_process().succeeds();
    let finalizers = json!({ "metadata": { "finalizers": [FINALIZER, FINALIZER_OF_OTHERS] } });
    env.merge("Namespace", "", "shop", &finalizers);
    env
}

#[test]
fn next_teardown_completes_a_killed_one() {
    survive(
        set_up,
        |env| env.oc_quay(&["teardown", "--yes"]),
        |env| {
            env.assert_torn_down();
            assert_eq!(
                env.get("Namespace", "", "shop").unwrap()["metadata"]["finalizers"],
                json!([FINALIZER_OF_OTHERS])
            );
            let mut repositories = env.sandbox.quay.repositories("openshift_shop");
            repositories.sort();
            assert_eq!(repositories, STREAMS);
            assert_eq!(env.sandbox.quay.robots("openshift_shop").len(), 3);
        },
    );
}

/// Where OLM is the successor only.
fn fresh_with_olm_v1() -> Option<TestEnv> {
    let cluster = Cluster { olm: Olm::V1, ..Cluster::default() };
    let env = TestEnv::stand_in_bare(
        Options { cluster, ..Options::default() },
        "it has the classic OLM",
    )?;
    env.shared_namespace("shop");
    env.create_foreign_objects();
    Some(env)
}

#[test]
fn next_setup_completes_a_killed_one_with_olm_v1() {
    if fresh_with_olm_v1().is_none() {
        return;
    }
    survive(
        || fresh_with_olm_v1().unwrap(),
        everything,
        |env| {
            env.assert_set_up();
            assert_eq!(env.list("ClusterExtension", "").len(), 1);
        },
    );
}

#[test]
fn interrupted_setup_exits_with_130_and_resumes() {
    let env = fresh();
    env.forget_traffic();
    everything(&env).succeeds();
    let interruptions: Vec<_> = KillPoint::all(&env).into_iter().step_by(7).collect();
    drop(env);
    run_in_new_envs(&interruptions, SAMPLES, fresh, |env, interruption| {
        println!("{interruption:?}");
        let code = interruption.interrupt(env, everything(env));
        assert!(matches!(code, Some(0 | 130)), "{interruption:?}: {code:?}");
        everything(env).in_process().succeeds();
        env.assert_set_up();
    });
}
