//! What the bridge lives through: nothing is lost and nothing done twice. The counts are printed.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use sandbox::manifests;
use sandbox::traffic::{Entry, Fault, Traffic};
use serde_json::{Value, json};

use crate::support::{Bridge, World};

/// How many requests of each kind were answered well.
fn answered(traffic: &Traffic) -> BTreeMap<String, usize> {
    let went_well = |entry: &Entry| entry.status.is_some_and(|status| status.is_success());
    let mut counts = BTreeMap::new();
    for entry in traffic.entries().into_iter().filter(went_well) {
        *counts.entry(entry.kind).or_default() += 1;
    }
    counts
}

/// Prints what the bridge asked both sides for.
fn print_counts(what: &str, world: &World) {
    for (side, traffic) in [("cluster", world.cluster_traffic()), ("Quay", world.quay_traffic())] {
        let (all, writes) = (traffic.entries().len(), traffic.writes().len());
        println!(
            "{what}: {all} requests to {side}, {writes} of them writes; answered well: {:?}",
            answered(traffic)
        );
    }
}

/// Whether Quay was written to just as often as so many fresh namespaces with so many image streams take.
#[track_caller]
fn assert_written_once(world: &World, namespaces: usize, streams: usize) {
    let counts = answered(world.quay_traffic());
    let count = |kind: &str| counts.get(kind).copied().unwrap_or_default();
    let found = ["POST organization", "PUT robot", "POST prototype", "POST repository"].map(count);
    assert_eq!(found, [namespaces, 3 * namespaces, 3 * namespaces, streams], "{counts:?}");
}

#[test]
fn the_api_server_is_restarted_and_what_was_watched_is_forgotten() {
    let world = World::new();
    let bridge = Bridge::start(&world, &[]);
    world.assert_linked("shop", &["app", "base", "web"]);
    world.forget_traffic();
    world.cluster_traffic().fault(Fault::on("GET", "watch=").status(503));
    if !world.restart_api_server() {
        world.sandbox.openshift.expire_history();
    }
    world.namespace("late");
    world.image_stream("late", "app");
    world.delete("Secret", "shop", "builder-quay-openshift");
    world.delete("ImageStream", "shop", "web");
    world.clear_faults();
    bridge.waits_until("late is linked", || world.is_linked("late", &["app"]));
    bridge.waits_until("the secret is back", || {
        world.get("Secret", "shop", "builder-quay-openshift").is_some()
    });
    bridge.settles();
    print_counts("after a restart of the API server", &world);
    world.assert_linked("late", &["app"]);
    world.assert_linked("shop", &["app", "base", "web"]);
    assert_written_once(&world, 1, 1);
    let relisted = world.cluster_traffic().count("list namespaces");
    assert!((1..=3).contains(&relisted), "namespaces were listed {relisted} times");
}

#[test]
fn what_was_watched_is_forgotten_again_and_again() {
    let world = World::bare();
    world.integration();
    let bridge = Bridge::start(&world, &[]);
    world.cluster_traffic().fault(Fault::on("GET", "watch=").status(410));
    if !world.restart_api_server() {
        world.sandbox.openshift.expire_history();
    }
    let is_listed = || world.cluster_traffic().count("list namespaces") > 0;
    bridge.waits_until("it is listed anew", is_listed);
    world.forget_traffic();
    sleep(Duration::from_secs(3));
    let relisted = world.cluster_traffic().count("list namespaces");
    assert!(relisted <= 5, "namespaces were listed {relisted} times");
    world.clear_faults();
    world.namespace("late");
    bridge.waits_until("late is linked", || world.is_linked("late", &[]));
}

#[test]
fn quay_is_away_for_a_while() {
    let names = ["east", "north", "west"];
    let world = World::bare();
    world.integration();
    let bridge = Bridge::start(&world, &[]);
    world.forget_traffic();
    world.quay_traffic().fault(Fault::on("*", "/").drop_before());
    for name in names {
        world.namespace(name);
        world.image_stream(name, "app");
    }
    // Not every namespace asks Quay: while it is away, one at a time finds out whether it is back.
    bridge.waits_until("it is noticed", || bridge.says("Quay cannot be worked with"));
    print_counts("while Quay is away", &world);
    world.clear_faults();
    bridge
        .waits_until("all are linked", || names.iter().all(|name| world.is_linked(name, &["app"])));
    bridge.settles();
    print_counts("with Quay back", &world);
    names.iter().for_each(|name| world.assert_linked(name, &["app"]));
    assert_written_once(&world, names.len(), names.len());
}

#[test]
fn five_hundred_namespaces_come_at_once() {
    let world = World::bare();
    // The stand-in's are for those who try what they have written.
    let many = if world.is_real() { 500 } else { 50 };
    world.integration();
    let bridge = Bridge::start(&world, &[]);
    world.forget_traffic();
    let started = Instant::now();
    for number in 0..many {
        world.create(&manifests::namespace(&format!("team-{number:03}")));
    }
    let mut linked = 0;
    while linked < 3 * many {
        // However long all of them take, some are always linked before long.
        bridge.waits_until(&format!("more than {linked} service accounts are linked"), || {
            linked_accounts(&world) > linked
        });
        linked = linked_accounts(&world);
    }
    println!("{many} namespaces at once: linked after {:.1} s", started.elapsed().as_secs_f32());
    bridge.settles();
    print_counts(&format!("{many} namespaces at once"), &world);
    assert_written_once(&world, many, 0);
    assert_eq!(answered(world.cluster_traffic())["create secrets"], 3 * many);
    for number in [0, many / 2, many - 1] {
        assert_linked_in_time(&world, &bridge, &format!("team-{number:03}"));
    }
}

/// Whether a namespace is linked, once OpenShift too has done its part.
#[track_caller]
fn assert_linked_in_time(world: &World, bridge: &Bridge<'_>, namespace: &str) {
    let own = |account: &str| {
        world
            .references(namespace, account, "secrets")
            .iter()
            .any(|secret| secret.contains("dockercfg"))
    };
    bridge.waits_until("OpenShift has made its own secrets", || {
        ["builder", "default", "deployer"].into_iter().all(own)
    });
    world.assert_linked(namespace, &[]);
}

/// How many service accounts refer to their secret for Quay, in all namespaces.
fn linked_accounts(world: &World) -> usize {
    let refers = |account: &&Value| {
        let secret = format!("{}-quay-openshift", account["metadata"]["name"].as_str().unwrap());
        let mut references = account["imagePullSecrets"].as_array().into_iter().flatten();
        references.any(|reference| reference["name"] == secret.as_str())
    };
    world.list("ServiceAccount", "").iter().filter(refers).count()
}

#[test]
fn the_leader_is_killed_and_the_other_replica_goes_on_where_it_was() {
    let names: Vec<String> = (0..20).map(|number| format!("team-{number:02}")).collect();
    let world = World::bare();
    world.integration();
    let leader = Bridge::start(&world, &["--leader-elect", "-n", "default"]);
    let other = Bridge::start(&world, &["--leader-elect", "-n", "default"]);
    world.forget_traffic();
    for name in &names {
        world.create(&manifests::namespace(name));
    }
    leader.waits_until("some are linked", || linked_accounts(&world) > 10);
    let started = Instant::now();
    drop(leader);
    let linked = linked_accounts(&world);
    // The Lease of who is dead has to run out.
    other.waits_until("the other one goes on", || linked_accounts(&world) > linked);
    println!(
        "the leader was killed at {linked} of {} service accounts; another went on after {:?}",
        3 * names.len(),
        started.elapsed()
    );
    other.waits_until("all are linked", || linked_accounts(&world) == 3 * names.len());
    other.settles();
    print_counts("two replicas, the leader killed", &world);
    for name in &names {
        assert_linked_in_time(&world, &other, name);
    }
}

#[test]
fn the_token_cannot_be_read_for_a_while() {
    let world = World::bare();
    world.integration();
    let unreadable =
        || world.cluster_traffic().fault(Fault::on("GET", "/secrets/quay-integration").status(500));
    unreadable();
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("it says so", || {
        bridge.says("quay-integration in namespace openshift-operators")
    });
    world.create(&json!({ "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": "going", "annotations": { "oc-quay/deletion-policy": "delete" } } }));
    bridge.settles();
    assert_eq!(bridge.requests_to_quay(), 0);
    world.clear_faults();
    bridge.waits_until("going is linked, once it is tried again", || world.is_linked("going", &[]));
    bridge.settles();

    // What was read before holds, for what is to be linked and for what goes.
    unreadable();
    world.forget_traffic();
    let touched = json!({ "stringData": { "touched": "true" } });
    world.merge("Secret", "openshift-operators", "quay-integration", &touched);
    let is_asked_for = || {
        world
            .cluster_traffic()
            .entries()
            .iter()
            .any(|entry| entry.path.ends_with("/secrets/quay-integration"))
    };
    bridge.waits_until("it has tried", is_asked_for);
    world.namespace("late");
    world.delete("Namespace", "", "going");
    bridge.waits_until("late is linked", || world.is_linked("late", &[]));
    bridge.waits_until("going is gone", || world.get("Namespace", "", "going").is_none());
    assert!(
        !world.sandbox.quay.organizations().contains(&"openshift_going".to_owned()),
        "it was left behind"
    );
}

#[test]
fn lists_that_change_while_quay_is_away_hold_when_it_is_back() {
    let world = World::bare();
    world.integration();
    let bridge = Bridge::start(&world, &[]);
    world.namespace("shop");
    bridge.waits_until("shop is linked", || world.is_linked("shop", &[]));
    world.quay_traffic().fault(Fault::on("*", "/").drop_before());
    world.image_stream("shop", "app");
    bridge.waits_until("it is noticed", || bridge.says("Quay cannot be worked with"));
    // In the middle of the second pause, of two seconds.
    sleep(Duration::from_millis(1500));
    world.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "denylistNamespaces": ["shop"] } }),
    );
    sleep(Duration::from_millis(300));
    world.clear_faults();
    bridge.waits_until("Quay is back", || bridge.says("Quay can be worked with again"));
    world.delete("Secret", "shop", "builder-quay-openshift");
    bridge.settles();
    assert_eq!(world.get("Secret", "shop", "builder-quay-openshift"), None);
    assert_eq!(world.sandbox.quay.repositories("openshift_shop"), Vec::<String>::new());
}
