//! `oc quay setup` with questions: a person at a real terminal who reads each of them and answers.

mod browser;
mod cancelled;
mod cluster;
mod preset_options;
mod quay;
mod scripted_user;
mod snapshots;
mod token;

use serde_json::Value;

use crate::support::World;
use scripted_user::{Person, QUESTIONS, Question};

const ADDRESS: Question = QUESTIONS[0];
const WAY: Question = QUESTIONS[1];
const USER: Question = QUESTIONS[2];
const PASSWORD: Question = QUESTIONS[3];
const ISSUE: Question = QUESTIONS[4];
const STORE: Question = QUESTIONS[5];
const BRIDGE: Question = QUESTIONS[6];
const CHANNEL: Question = QUESTIONS[7];
const APPROVAL: Question = QUESTIONS[8];
const INSTALL: Question = QUESTIONS[9];
const CLUSTER_ID: Question = QUESTIONS[10];
const INTEGRATE: Question = QUESTIONS[11];
const USERS: Question = QUESTIONS[12];
const GRANT: Question = QUESTIONS[13];
const NODES: Question = QUESTIONS[14];
const TRUST: Question = QUESTIONS[15];
const LINK: Question = QUESTIONS[16];

/// A cluster without an integration, and namespace `shop` in it.
fn shop() -> World {
    let world = World::bare();
    world.namespace("shop");
    world
}

/// Somebody who sets a world up.
fn person(world: &World) -> Person<'_> {
    Person::begins(world, world.oc_quay(&["setup"]), 100)
}

/// Whether everything is there and well.
#[track_caller]
fn assert_healthy(world: &World) {
    world.oc_quay(&["setup", "--check"]).succeeds();
    let status =
        world.oc_quay(&["status", "-n", "shop", "--probe", "-o", "json"]).succeeds().json();
    assert_eq!(status["summary"]["linked"], 1, "{status}");
    world.assert_linked("shop", &[]);
}

/// The command line that a set-up ends with, its files replaced by those with this world's secrets.
fn command_line(screen: &str, world: &World) -> Vec<String> {
    let line = screen.split("without questions:\n").nth(1).unwrap().lines().next().unwrap();
    let password = world.dir().join("password");
    std::fs::write(&password, world.sandbox.quay.password("quayadmin").unwrap()).unwrap();
    let token = world.dir().join("token");
    std::fs::write(&token, world.sandbox.quay.admin_token()).unwrap();
    let files = [
        ("--quay-ca-file", world.sandbox.ca_file()),
        ("--quay-password-file", password),
        ("--quay-token-file", token),
    ];
    let line = files.iter().fold(line.trim().to_owned(), |line, (flag, file)| {
        line.replace(&format!("{flag} FILE"), &format!("{flag} {}", file.display()))
    });
    assert!(!line.contains("FILE"), "{line}");
    line.strip_prefix("oc quay ").unwrap().split(' ').map(str::to_owned).collect()
}

/// What a set-up leaves in the cluster, without what differs from one cluster to the next.
fn made(world: &World) -> Vec<Value> {
    let objects = [
        ("QuayIntegration", "", "quay"),
        ("Subscription", "openshift-operators", "quay-bridge-operator"),
        ("ConfigMap", "openshift-config", "oc-quay-registry-cas"),
        ("Image", "", "cluster"),
        ("Secret", "openshift-operators", "quay-integration"),
        ("ClusterRole", "", "oc-quay-user"),
        ("ClusterRoleBinding", "", "oc-quay-user"),
    ];
    let url = world.sandbox.quay.url();
    let (_, port) = url.rsplit_once(':').unwrap();
    let objects = objects.map(|(kind, namespace, name)| {
        let object = world.get(kind, namespace, name).unwrap_or_else(|| panic!("no {kind} {name}"));
        let keys = |field: &str| {
            object[field].as_object().map(|map| map.keys().cloned().collect::<Vec<_>>())
        };
        let labels = &object["metadata"]["labels"];
        let text = serde_json::json!([
            kind,
            labels,
            object["spec"],
            object["rules"],
            object["subjects"],
            keys("data")
        ])
        .to_string();
        serde_json::from_str(&text.replace(port, "PORT")).unwrap()
    });
    objects.into()
}

#[test]
fn enter_all_the_way_through_is_a_good_set_up() {
    let world = shop();
    let (left, asked) = person(&world).finishes(0);
    assert_eq!(asked, QUESTIONS);
    assert!(left.screen.contains("Pods in shop can pull from"), "{}", left.screen);
    assert_healthy(&world);
    assert_eq!(
        world.quay_traffic().count("POST signout"),
        0,
        "other sessions of the user were ended"
    );
}

#[test]
fn the_second_time_only_the_namespaces_are_asked_for_and_nothing_is_written() {
    let world = shop();
    person(&world).finishes(0);
    world.forget_traffic();
    let (left, asked) = person(&world).finishes(0);
    assert_eq!(asked, [LINK]);
    assert!(left.screen.ends_with("Everything is set up; nothing was written"), "{}", left.screen);
    world.assert_nothing_written();
}

#[test]
fn the_command_line_in_the_end_writes_nothing_here_and_makes_the_same_elsewhere() {
    let (screen, objects) = {
        let world = shop();
        let (left, _) = person(&world)
            .will_choose(APPROVAL, "Manual")
            .will_type(CLUSTER_ID, "prod")
            .finishes(0);
        world.forget_traffic();
        let again = command_line(&left.screen, &world);
        world
            .oc_quay(&again.iter().map(String::as_str).collect::<Vec<_>>())
            .without_env("OC_QUAY_CA_FILE")
            .succeeds();
        world.assert_nothing_written();
        let url = world.sandbox.quay.url();
        (left.screen.replace(&url, "ADDRESS"), made(&world))
    };
    let world = shop();
    let line = command_line(&screen.replace("ADDRESS", &world.sandbox.quay.url()), &world);
    world
        .oc_quay(&line.iter().map(String::as_str).collect::<Vec<_>>())
        .without_env("OC_QUAY_CA_FILE")
        .succeeds();
    assert_eq!(made(&world), objects);
    assert_eq!(world.sandbox.quay.organizations(), ["openshift-integration", "prod_shop"]);
}
