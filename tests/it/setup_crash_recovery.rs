//! After a setup or teardown is killed at any request, the next run finishes the work without
//! duplicates.

use sandbox::Options;
use sandbox::openshift::{Cluster, Olm};
use serde_json::json;

use crate::support::{Command, KillPoint, STREAMS, World, run_in_new_worlds};

/// Samples of the cases: every nth on the fake and on the real API server.
const SAMPLES: [usize; 2] = [1, 97];

/// A world without a setup, with namespace `shop` and objects of others.
fn fresh() -> World {
    let world = World::bare();
    world.shared_namespace("shop");
    world.create_foreign_objects();
    world
}

/// A world whose nodes trust another registry.
fn with_trust() -> World {
    let world = fresh();
    world.trust_foreign_registry();
    world
}

/// All steps, with a given token.
fn everything(world: &World) -> Command<'_> {
    world.setup(&["--user-role", "--node-trust", "apply", "--link", "shop"])
}

/// All steps without the operator, with a token that Quay issues.
fn signed_in(world: &World) -> Command<'_> {
    let command = world.setup(&[
        "--quay-username",
        "quayadmin",
        "--controller=none",
        "--node-trust",
        "apply",
        "--link",
        "shop",
    ]);
    let password = world.sandbox.quay.password("quayadmin").unwrap();
    command.without_env("OC_QUAY_TOKEN").env("OC_QUAY_PASSWORD", password)
}

/// Kills a command at each point in worlds of `make`, and runs it again; `check` asserts the final
/// state.
fn survive(make: fn() -> World, command: fn(&World) -> Command<'_>, check: fn(&World)) {
    let world = make();
    world.forget_traffic();
    command(&world).succeeds();
    let kill_points = KillPoint::all(&world);
    drop(world);
    assert!(kill_points.len() > 40, "{kill_points:?}");
    run_in_new_worlds(&kill_points, SAMPLES, make, |world, kill_point| {
        println!("{kill_point:?}");
        let others = world.foreign_objects();
        // The number of reads of the operator varies, so some runs make fewer requests.
        let survivor = kill_point.kill(world, command(world));
        assert!(matches!(survivor, None | Some(0)), "{kill_point:?}: {survivor:?}");
        command(world).in_process().succeeds();
        check(world);
        world.forget_traffic();
        command(world).in_process().succeeds();
        world.assert_nothing_written();
        assert_eq!(world.foreign_objects(), others);
    });
}

#[test]
fn next_run_finishes_a_killed_setup() {
    survive(fresh, everything, |world| {
        world.assert_set_up();
        assert!(world.operator_runs());
        assert_eq!(world.stored_token(), Some(world.sandbox.quay.admin_token()));
        assert_eq!(world.trusted_registries(), [world.registry_key()]);
    });
}

#[test]
fn next_run_finishes_a_killed_setup_with_sign_in() {
    survive(with_trust, signed_in, |world| {
        world.assert_set_up();
        let applications = world.sandbox.quay.applications("openshift-integration");
        let [application] = applications.as_slice() else { panic!("{applications:#?}") };
        assert_eq!(application.name, "openshift");
        let stored = world.stored_token().unwrap();
        assert!(application.tokens.iter().any(|token| token.token == stored), "{application:#?}");
        let mut registries = vec!["registry.example.com".to_owned(), world.registry_key()];
        registries.sort();
        assert_eq!(world.trusted_registries(), registries);
        assert_eq!(world.subscriptions(), 0);
    });
}

/// The operator's finalizer of namespaces.
const FINALIZER: &str = "quay.redhat.com/quayintegrations";

const FINALIZER_OF_OTHERS: &str = "example.com/others";

/// A complete setup, with the operator's finalizer on namespace `shop`.
fn set_up() -> World {
    let world = fresh();
    everything(&world).in_process().succeeds();
    let finalizers = json!({ "metadata": { "finalizers": [FINALIZER, FINALIZER_OF_OTHERS] } });
    world.merge("Namespace", "", "shop", &finalizers);
    world
}

#[test]
fn next_run_finishes_a_killed_teardown_and_keeps_quay() {
    survive(
        set_up,
        |world| world.oc_quay(&["teardown", "--yes"]),
        |world| {
            world.assert_torn_down();
            assert_eq!(
                world.get("Namespace", "", "shop").unwrap()["metadata"]["finalizers"],
                json!([FINALIZER_OF_OTHERS])
            );
            let mut repositories = world.sandbox.quay.repositories("openshift_shop");
            repositories.sort();
            assert_eq!(repositories, STREAMS);
            assert_eq!(world.sandbox.quay.robots("openshift_shop").len(), 3);
        },
    );
}

/// A cluster with OLM v1 only.
fn fresh_with_olm_v1() -> Option<World> {
    let cluster = Cluster { olm: Olm::V1, ..Cluster::default() };
    let world =
        World::stand_in_bare(Options { cluster, ..Options::default() }, "it has the classic OLM")?;
    world.shared_namespace("shop");
    world.create_foreign_objects();
    Some(world)
}

#[test]
fn next_run_finishes_a_killed_setup_with_olm_v1() {
    if fresh_with_olm_v1().is_none() {
        return;
    }
    survive(
        || fresh_with_olm_v1().unwrap(),
        everything,
        |world| {
            world.assert_set_up();
            assert_eq!(world.list("ClusterExtension", "").len(), 1);
        },
    );
}

#[test]
fn next_run_finishes_interrupted_setup_that_exits_with_130() {
    let world = fresh();
    world.forget_traffic();
    everything(&world).succeeds();
    let interruptions: Vec<_> = KillPoint::all(&world).into_iter().step_by(7).collect();
    drop(world);
    run_in_new_worlds(&interruptions, SAMPLES, fresh, |world, interruption| {
        println!("{interruption:?}");
        let code = interruption.interrupt(world, everything(world));
        assert!(matches!(code, Some(0 | 130)), "{interruption:?}: {code:?}");
        everything(world).in_process().succeeds();
        world.assert_set_up();
    });
}
