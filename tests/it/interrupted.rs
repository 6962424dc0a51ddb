//! A run that is killed at any of its requests leaves a state from which the next run finishes the work.

use crate::support::{ACCOUNTS, Death, FOREIGN, STREAMS, Stage, World, play};

/// On the real API server every so many-th case is played.
const SAMPLE: usize = 13;

/// Every death that a command can die in a namespace of this stage, after `before`.
fn deaths(command: &[&str], stage: Stage, before: fn(&World, &str)) -> Vec<Death> {
    let world = World::bare();
    world.integration();
    world.shared_namespace("shop");
    if let Stage::Reused(prepare) = stage {
        prepare(&world, "shop");
    }
    before(&world, "shop");
    world.forget_traffic();
    world.oc_quay(&[command, &["-n", "shop"]].concat()).succeeds();
    Death::all(&world)
}

/// Lets a command die every death after `before`, and then runs `next`; `check` looks at the namespace in the end.
fn survive(command: &[&str], next: &[&str], stage: Stage, before: fn(&World, &str), check: fn(&World, &str)) {
    let deaths = deaths(command, stage, before);
    assert!(deaths.len() > 15, "{deaths:?}");
    play(&deaths, SAMPLE, stage, |world, namespace, death| {
        println!("{command:?} in {namespace}: {death:?}");
        before(world, namespace);
        let survivor = death.strike(world, world.oc_quay(&[command, &["-n", namespace]].concat()));
        assert_eq!(survivor, None, "{death:?} was survived");
        world.oc_quay(&[next, &["-n", namespace]].concat()).in_process().succeeds();
        check(world, namespace);
    });
}

fn linked(world: &World, namespace: &str) {
    world.oc_quay(&["link", "-n", namespace, "--yes"]).succeeds();
    world.sandbox.quay.push_tag(&format!("openshift_{namespace}"), "app", "v1").unwrap();
}

fn is_healthy(world: &World, namespace: &str) {
    world.assert_linked(namespace, &STREAMS);
    world.assert_foreign_references(namespace);
    world.forget_traffic();
    let run = world.oc_quay(&["repair", "-n", namespace, "--yes"]).in_process().succeeds();
    assert_eq!(run.stdout, "Nothing to do\n");
    world.assert_nothing_written();
}

#[test]
fn a_link_that_is_killed_anywhere_is_finished_by_the_next() {
    survive(&["link", "--yes"], &["link", "--yes"], Stage::Fresh, |_, _| {}, is_healthy);
}

#[test]
fn a_repair_that_is_killed_anywhere_is_finished_by_the_next() {
    survive(&["repair", "--yes"], &["repair", "--yes"], Stage::Reused(linked), World::damage, is_healthy);
}

#[test]
fn a_rotation_that_is_killed_anywhere_is_mended_by_a_repair() {
    survive(&["repair", "--rotate", "--yes"], &["repair", "--yes"], Stage::Reused(linked), |_, _| {}, is_healthy);
}

#[test]
fn an_unlink_that_is_killed_anywhere_is_finished_by_the_next_and_keeps_the_images() {
    let stage = Stage::Reused(linked);
    survive(
        &["unlink", "--yes"],
        &["unlink", "--yes"],
        stage,
        |_, _| {},
        |world, namespace| {
            world.assert_foreign_references(namespace);
            for account in ACCOUNTS {
                let secret = format!("{account}-quay-openshift");
                assert_eq!(world.get("Secret", namespace, &secret), None, "{secret} is still there");
                for list in ["secrets", "imagePullSecrets"] {
                    let references = world.references(namespace, account, list);
                    assert!(!references.contains(&secret), "{account} {list}: {references:?}");
                    assert!(references.iter().any(|name| name == FOREIGN), "{account} {list}: {references:?}");
                }
            }
            let mut repositories = world.sandbox.quay.repositories(&format!("openshift_{namespace}"));
            repositories.sort();
            assert_eq!(repositories, STREAMS);
            world.oc_quay(&["link", "-n", namespace, "--yes"]).in_process().succeeds();
            is_healthy(world, namespace);
        },
    );
}
