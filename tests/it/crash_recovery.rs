//! A run that is killed at any of its requests leaves a state from which the next run finishes the work.

use serde_json::json;

use crate::support::{ACCOUNTS, Command, Death, FOREIGN, STREAMS, Stage, World, play};

/// On the real API server every so many-th case is played.
const SAMPLE: usize = 13;

/// A command in a namespace, whose name stands in its words for `{namespace}`.
fn command<'a>(world: &'a World, words: &[&str], namespace: &str) -> Command<'a> {
    let words: Vec<_> = words.iter().map(|word| word.replace("{namespace}", namespace)).collect();
    world.oc_quay(&words.iter().map(String::as_str).chain(["-n", namespace]).collect::<Vec<_>>())
}

/// Every death that a command can die in a namespace of this stage, after `before`.
fn deaths(words: &[&str], stage: Stage, before: fn(&World, &str)) -> Vec<Death> {
    let world = World::bare();
    world.integration();
    world.shared_namespace("shop");
    if let Stage::Reused(prepare) = stage {
        prepare(&world, "shop");
    }
    before(&world, "shop");
    world.forget_traffic();
    command(&world, words, "shop").succeeds();
    Death::all(&world)
}

/// Lets a command die every death after `before`, and then runs `next`; `check` looks at the namespace in the end.
fn survive(
    words: &[&str],
    next: &[&str],
    stage: Stage,
    before: fn(&World, &str),
    check: fn(&World, &str),
) {
    let deaths = deaths(words, stage, before);
    assert!(deaths.len() > 15, "{deaths:?}");
    play(&deaths, SAMPLE, stage, |world, namespace, death| {
        println!("{words:?} in {namespace}: {death:?}");
        before(world, namespace);
        let survivor = death.strike(world, command(world, words, namespace));
        assert_eq!(survivor, None, "{death:?} was survived");
        command(world, next, namespace).in_process().succeeds();
        check(world, namespace);
    });
}

fn linked(world: &World, namespace: &str) {
    world.oc_quay(&["link", "-n", namespace, "--yes"]).in_process().succeeds();
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

fn is_unlinked(world: &World, namespace: &str) {
    world.assert_foreign_references(namespace);
    for account in ACCOUNTS {
        let secret = format!("{account}-quay-openshift");
        assert_eq!(world.get("Secret", namespace, &secret), None, "{secret} is still there");
        for list in ["secrets", "imagePullSecrets"] {
            let references = world.references(namespace, account, list);
            assert!(!references.contains(&secret), "{account} {list}: {references:?}");
            assert!(
                references.iter().any(|name| name == FOREIGN),
                "{account} {list}: {references:?}"
            );
        }
    }
}

#[test]
fn a_link_that_is_killed_anywhere_is_finished_by_the_next() {
    survive(&["link", "--yes"], &["link", "--yes"], Stage::Fresh, |_, _| {}, is_healthy);
}

#[test]
fn a_repair_that_is_killed_anywhere_is_finished_by_the_next() {
    survive(
        &["repair", "--yes"],
        &["repair", "--yes"],
        Stage::Reused(linked),
        World::damage,
        is_healthy,
    );
}

#[test]
fn a_rotation_that_is_killed_anywhere_is_mended_by_a_repair() {
    survive(
        &["repair", "--rotate", "--yes"],
        &["repair", "--yes"],
        Stage::Reused(linked),
        |_, _| {},
        is_healthy,
    );
}

#[test]
fn a_replacement_that_is_killed_anywhere_keeps_the_logins_of_others() {
    const SECRET: &str = "default-quay-openshift";
    let before = |world: &World, namespace: &str| {
        world.delete("Secret", namespace, SECRET);
        world.create(&json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": { "name": SECRET, "namespace": namespace },
            "stringData": { ".dockerconfigjson": json!({ "auths": { "quay.io": { "identitytoken": "t" } } }).to_string() },
        }));
    };
    let command = &["repair", "--adopt", "--yes"];
    survive(command, command, Stage::Reused(linked), before, |world, namespace| {
        is_healthy(world, namespace);
        assert_eq!(
            world.content(namespace, SECRET)["auths"]["quay.io"],
            json!({ "identitytoken": "t" })
        );
        assert_eq!(world.get("Secret", namespace, &format!("{SECRET}-spare")), None);
    });
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
            is_unlinked(world, namespace);
            let mut repositories =
                world.sandbox.quay.repositories(&format!("openshift_{namespace}"));
            repositories.sort();
            assert_eq!(repositories, STREAMS);
            world.oc_quay(&["link", "-n", namespace, "--yes"]).in_process().succeeds();
            is_healthy(world, namespace);
        },
    );
}

#[test]
fn a_killed_adoption_is_finished_by_the_next() {
    let before = |world: &World, namespace: &str| {
        let organization = format!("openshift_{namespace}");
        world.sandbox.quay.add_organization(&organization, "quayadmin");
        let mark = "oc-quay cluster=other namespace=shop uid=other";
        world.sandbox.quay.add_robot(&organization, "builder", mark).unwrap();
    };
    let command = &["repair", "--adopt", "--yes"];
    survive(command, command, Stage::Fresh, before, is_healthy);
}

#[test]
fn a_killed_deletion_of_robots_is_finished_by_the_next_and_keeps_the_images() {
    let command = &["unlink", "--delete-robots", "--yes"];
    survive(command, command, Stage::Fresh, linked, |world, namespace| {
        is_unlinked(world, namespace);
        let organization = format!("openshift_{namespace}");
        assert_eq!(world.sandbox.quay.robots(&organization).len(), 0);
        assert_eq!(world.sandbox.quay.repositories(&organization).len(), STREAMS.len());
    });
}

#[test]
fn a_killed_deletion_of_the_organization_is_finished_by_the_next() {
    let command = &[
        "unlink",
        "--delete-organization",
        "--confirm-organization",
        "openshift_{namespace}",
        "--yes",
    ];
    // Quay does not free the name of a deleted organization at once.
    survive(command, command, Stage::Fresh, linked, |world, namespace| {
        is_unlinked(world, namespace);
        let organizations = world.sandbox.quay.organizations();
        assert!(!organizations.contains(&format!("openshift_{namespace}")), "{organizations:?}");
    });
}

#[test]
fn an_import_that_is_killed_anywhere_is_finished_by_the_next() {
    let stage = Stage::Reused(|world, namespace| {
        world.trust_quay();
        linked(world, namespace);
    });
    let push = |world: &World, namespace: &str| {
        for stream in STREAMS {
            world
                .sandbox
                .quay
                .push_tag(&format!("openshift_{namespace}"), stream, "latest")
                .unwrap();
        }
    };
    let command = ["import", "--missing", "--yes"];
    survive(&command, &command, stage, push, |world, namespace| {
        for stream in STREAMS {
            let digest =
                world.quay_digest(&format!("openshift_{namespace}"), stream, "latest").unwrap();
            assert_eq!(
                world.newest_item(namespace, stream, "latest").unwrap()["image"],
                digest.as_str(),
                "{stream}"
            );
        }
        world.forget_traffic();
        let again = world
            .oc_quay(&["import", "--missing", "--yes", "-n", namespace])
            .in_process()
            .succeeds();
        assert_eq!(again.stdout, "Nothing to do\n");
        world.assert_nothing_written();
    });
}
