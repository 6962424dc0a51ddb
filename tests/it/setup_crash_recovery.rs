//! A set-up, or its teardown, that is killed at any of its requests is finished by the next, and nothing is there twice.

use sandbox::Options;
use sandbox::openshift::{Cluster, Olm};
use serde_json::json;

use crate::support::{Command, Death, STREAMS, World, play_apart};

/// Every so manyth case is played, on the stand-in and on the real API server.
const SAMPLES: [usize; 2] = [1, 97];

/// A world in which nothing is set up, with namespace `shop` and things of others.
fn fresh() -> World {
    let world = World::bare();
    world.shared_namespace("shop");
    world.furnish_others();
    world
}

/// The same, where the nodes trust another registry already.
fn with_trust() -> World {
    let world = fresh();
    world.trust_others();
    world
}

/// Everything there is to do, with a token that was given.
fn everything(world: &World) -> Command<'_> {
    world.setup(&["--user-role", "--node-trust", "apply", "--link", "shop"])
}

/// Everything there is to do without the operator, with a token that Quay issues.
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

/// Lets a command die every death in worlds that are made so, and runs it again; `check` looks at what comes of it.
fn survive(make: fn() -> World, command: fn(&World) -> Command<'_>, check: fn(&World)) {
    let world = make();
    world.forget_traffic();
    command(&world).succeeds();
    let deaths = Death::all(&world);
    drop(world);
    assert!(deaths.len() > 40, "{deaths:?}");
    play_apart(&deaths, SAMPLES, make, |world, death| {
        println!("{death:?}");
        let others = world.others();
        // The operator is asked after as long as it takes, so some runs make fewer requests.
        let survivor = death.strike(world, command(world));
        assert!(matches!(survivor, None | Some(0)), "{death:?}: {survivor:?}");
        command(world).in_process().succeeds();
        check(world);
        world.forget_traffic();
        command(world).in_process().succeeds();
        world.assert_nothing_written();
        assert_eq!(world.others(), others);
    });
}

#[test]
fn a_setup_that_is_killed_anywhere_is_finished_by_the_next() {
    survive(fresh, everything, |world| {
        world.assert_set_up();
        assert!(world.operator_runs());
        assert_eq!(world.stored_token(), Some(world.sandbox.quay.admin_token()));
        assert_eq!(world.trusted_registries(), [world.registry_key()]);
    });
}

#[test]
fn a_setup_that_signs_in_and_is_killed_anywhere_is_finished_by_the_next() {
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

/// The namespaces' finalizer of the operator.
const FINALIZER: &str = "quay.redhat.com/quayintegrations";

/// A finalizer of somebody else.
const FINALIZER_OF_OTHERS: &str = "example.com/others";

/// A world in which everything is set up, and the operator holds on to namespace `shop`.
fn set_up() -> World {
    let world = fresh();
    everything(&world).in_process().succeeds();
    let finalizers = json!({ "metadata": { "finalizers": [FINALIZER, FINALIZER_OF_OTHERS] } });
    world.merge("Namespace", "", "shop", &finalizers);
    world
}

#[test]
fn a_teardown_that_is_killed_anywhere_is_finished_by_the_next_and_leaves_quay_alone() {
    survive(
        set_up,
        |world| world.oc_quay(&["teardown", "--yes"]),
        |world| {
            world.assert_taken_back();
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

/// Where OLM is the successor only.
fn fresh_with_olm_v1() -> Option<World> {
    let cluster = Cluster { olm: Olm::V1, ..Cluster::default() };
    let world =
        World::stand_in_bare(Options { cluster, ..Options::default() }, "it has the classic OLM")?;
    world.shared_namespace("shop");
    world.furnish_others();
    Some(world)
}

#[test]
fn a_setup_through_the_successor_of_olm_that_is_killed_anywhere_is_finished_by_the_next() {
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
fn a_setup_that_is_interrupted_ends_with_130_and_is_finished_by_the_next() {
    let world = fresh();
    world.forget_traffic();
    everything(&world).succeeds();
    let interruptions: Vec<_> = Death::all(&world).into_iter().step_by(7).collect();
    drop(world);
    play_apart(&interruptions, SAMPLES, fresh, |world, interruption| {
        println!("{interruption:?}");
        let code = interruption.interrupt(world, everything(world));
        assert!(matches!(code, Some(0 | 130)), "{interruption:?}: {code:?}");
        everything(world).in_process().succeeds();
        world.assert_set_up();
    });
}
