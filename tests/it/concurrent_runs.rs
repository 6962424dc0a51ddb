//! Several at work on the same namespace, or one on several: nobody's entries get lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{ACCOUNTS, STREAMS, World};

fn fresh(namespace: &str) -> World {
    let world = World::bare();
    world.integration();
    world.shared_namespace(namespace);
    world
}

/// Runs a command twice at once; each has to end well.
fn twice(world: &World, arguments: &[&str]) {
    thread::scope(|scope| {
        let other = scope.spawn(|| world.oc_quay(arguments).succeeds());
        world.oc_quay(arguments).succeeds();
        other.join().unwrap();
    });
}

/// Two at once may each have added a default permission, since Quay takes any number. No more than that may be
/// wrong, and one repair later nothing is.
fn is_healthy_after_repair(world: &World, namespace: &str) {
    world.oc_quay(&["status", "-n", namespace]).succeeds();
    world.oc_quay(&["repair", "-n", namespace, "--yes"]).succeeds();
    world.assert_linked(namespace, &STREAMS);
    world.assert_foreign_references(namespace);
    world.oc_quay(&["status", "-n", namespace, "--fail-on", "warning"]).succeeds();
}

#[test]
fn two_links_of_one_namespace_at_once_both_end_well() {
    let world = fresh("shop-0");
    for round in 0..5 {
        let namespace = format!("shop-{round}");
        if round > 0 {
            world.shared_namespace(&namespace);
        }
        twice(&world, &["link", "-n", &namespace, "--yes"]);
        is_healthy_after_repair(&world, &namespace);
    }
}

#[test]
fn two_repairs_of_one_namespace_at_once_both_end_well() {
    let world = fresh("shop");
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    for _ in 0..5 {
        world.damage("shop");
        twice(&world, &["repair", "-n", "shop", "--yes"]);
        is_healthy_after_repair(&world, "shop");
    }
}

#[test]
fn references_that_others_add_meanwhile_all_survive() {
    let world = fresh("shop");
    let is_linked = AtomicBool::new(false);
    let added = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut added = Vec::new();
            // At least a few, should the link be over before the first.
            while !is_linked.load(Ordering::Relaxed) || added.len() < 3 {
                let name = format!("others-{}", added.len());
                ACCOUNTS.iter().for_each(|account| world.add_reference("shop", account, &name));
                added.push(name);
            }
            added
        });
        world.wait_for("the writer's first secret", || {
            world
                .references("shop", "deployer", "imagePullSecrets")
                .contains(&"others-0".to_owned())
        });
        for _ in 0..3 {
            world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
            world.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
        }
        world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
        is_linked.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    println!("{} pull secrets added meanwhile", added.len());
    for (account, list) in
        ACCOUNTS.iter().flat_map(|account| [(account, "secrets"), (account, "imagePullSecrets")])
    {
        let references = world.references("shop", account, list);
        let lost: Vec<_> = added.iter().filter(|name| !references.contains(name)).collect();
        assert!(lost.is_empty(), "{account} {list} lost {lost:?}");
    }
    world.assert_linked("shop", &STREAMS);
    world.assert_foreign_references("shop");
}

#[test]
fn eight_namespaces_are_linked_in_one_run_or_in_eight_at_once() {
    let world = World::bare();
    world.integration();
    let names = |first: usize| -> Vec<String> {
        (first..first + 8).map(|number| format!("shop-{number}")).collect()
    };
    for name in names(0).iter().chain(&names(8)) {
        world.shared_namespace(name);
    }
    let (together, apart) = (names(0), names(8));
    let mut arguments = vec!["link", "--yes"];
    arguments.extend(together.iter().map(String::as_str));
    world.oc_quay(&arguments).succeeds();
    thread::scope(|scope| {
        for name in &apart {
            let world = &world;
            scope.spawn(move || world.oc_quay(&["link", "-n", name, "--yes"]).succeeds());
        }
    });
    for name in together.iter().chain(&apart) {
        world.assert_linked(name, &STREAMS);
        world.assert_foreign_references(name);
    }
}
