//! Outages of the API server, Quay and replicas: nothing is lost or repeated. Request counts are
//! printed.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use sandbox::manifests;
use sandbox::traffic::{Entry, Fault, Traffic};
use serde_json::{Value, json};

use crate::support::{Controller, World};

/// Successful requests by kind.
fn successful_requests(traffic: &Traffic) -> BTreeMap<String, usize> {
    let is_successful = |entry: &Entry| entry.status.is_some_and(|status| status.is_success());
    let mut counts = BTreeMap::new();
    for entry in traffic.entries().into_iter().filter(is_successful) {
        *counts.entry(entry.kind).or_default() += 1;
    }
    counts
}

fn print_counts(label: &str, world: &World) {
    for (side, traffic) in [("cluster", world.cluster_traffic()), ("Quay", world.quay_traffic())] {
        let (all, writes) = (traffic.entries().len(), traffic.writes().len());
        println!(
            "{label}: {all} requests to {side}, {writes} of them writes; successful: {:?}",
            successful_requests(traffic)
        );
    }
}

/// Checks the number of writes to Quay for new namespaces and image streams.
#[track_caller]
fn assert_written_once(world: &World, namespaces: usize, streams: usize) {
    let counts = successful_requests(world.quay_traffic());
    let count = |kind: &str| counts.get(kind).copied().unwrap_or_default();
    let found = ["POST organization", "PUT robot", "POST prototype", "POST repository"].map(count);
    assert_eq!(found, [namespaces, 3 * namespaces, 3 * namespaces, streams], "{counts:?}");
}

#[test]
fn recovers_from_api_server_restart() {
    let world = World::new();
    let controller = Controller::start(&world, &[]);
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
    controller.wait_until("late is linked", || world.is_linked("late", &["app"]));
    controller.wait_until("the secret is back", || {
        world.get("Secret", "shop", "builder-quay-openshift").is_some()
    });
    controller.wait_until_idle();
    print_counts("after a restart of the API server", &world);
    world.assert_linked("late", &["app"]);
    world.assert_linked("shop", &["app", "base", "web"]);
    assert_written_once(&world, 1, 1);
    let relisted = world.cluster_traffic().count("list namespaces");
    assert!((1..=3).contains(&relisted), "namespaces were listed {relisted} times");
}

#[test]
fn expired_watches_do_not_cause_a_list_loop() {
    let world = World::bare();
    world.integration();
    let controller = Controller::start(&world, &[]);
    world.cluster_traffic().fault(Fault::on("GET", "watch=").status(410));
    if !world.restart_api_server() {
        world.sandbox.openshift.expire_history();
    }
    let is_listed = || world.cluster_traffic().count("list namespaces") > 0;
    controller.wait_until("it is listed again", is_listed);
    world.forget_traffic();
    sleep(Duration::from_secs(3));
    let relisted = world.cluster_traffic().count("list namespaces");
    assert!(relisted <= 5, "namespaces were listed {relisted} times");
    world.clear_faults();
    world.namespace("late");
    controller.wait_until("late is linked", || world.is_linked("late", &[]));
}

#[test]
fn recovers_from_quay_outage() {
    let names = ["east", "north", "west"];
    let world = World::bare();
    world.integration();
    let controller = Controller::start(&world, &[]);
    world.forget_traffic();
    world.quay_traffic().fault(Fault::on("*", "/").drop_before());
    for name in names {
        world.namespace(name);
        world.image_stream(name, "app");
    }
    // During an outage one namespace at a time probes Quay.
    controller.wait_until("the outage is logged", || controller.has_logged("Quay unavailable"));
    print_counts("during the outage", &world);
    world.clear_faults();
    controller
        .wait_until("all are linked", || names.iter().all(|name| world.is_linked(name, &["app"])));
    controller.wait_until_idle();
    print_counts("after the outage", &world);
    names.iter().for_each(|name| world.assert_linked(name, &["app"]));
    assert_written_once(&world, names.len(), names.len());
}

#[test]
fn links_many_namespaces_at_once() {
    let world = World::bare();
    // The fake API server is for quick runs.
    let count = if world.is_real() { 500 } else { 50 };
    world.integration();
    let controller = Controller::start(&world, &[]);
    world.forget_traffic();
    let started = Instant::now();
    for number in 0..count {
        world.create(&manifests::namespace(&format!("team-{number:03}")));
    }
    let mut linked = 0;
    while linked < 3 * count {
        // The total time is not limited, but the progress is.
        controller.wait_until(&format!("more than {linked} service accounts are linked"), || {
            linked_accounts(&world) > linked
        });
        linked = linked_accounts(&world);
    }
    println!("{count} namespaces at once: linked after {:.1} s", started.elapsed().as_secs_f32());
    controller.wait_until_idle();
    print_counts(&format!("{count} namespaces at once"), &world);
    assert_written_once(&world, count, 0);
    assert_eq!(successful_requests(world.cluster_traffic())["create secrets"], 3 * count);
    for number in [0, count / 2, count - 1] {
        assert_linked_in_time(&world, &controller, &format!("team-{number:03}"));
    }
}

/// OpenShift must have created its own secrets too.
#[track_caller]
fn assert_linked_in_time(world: &World, controller: &Controller<'_>, namespace: &str) {
    let own = |account: &str| {
        world
            .references(namespace, account, "secrets")
            .iter()
            .any(|secret| secret.contains("dockercfg"))
    };
    controller.wait_until("OpenShift has made its own secrets", || {
        ["builder", "default", "deployer"].into_iter().all(own)
    });
    world.assert_linked(namespace, &[]);
}

/// Service accounts in all namespaces that reference their secret for Quay.
fn linked_accounts(world: &World) -> usize {
    let refers = |account: &&Value| {
        let secret = format!("{}-quay-openshift", account["metadata"]["name"].as_str().unwrap());
        let mut references = account["imagePullSecrets"].as_array().into_iter().flatten();
        references.any(|reference| reference["name"] == secret.as_str())
    };
    world.list("ServiceAccount", "").iter().filter(refers).count()
}

#[test]
fn second_replica_continues_after_leader_is_killed() {
    let names: Vec<String> = (0..20).map(|number| format!("team-{number:02}")).collect();
    let world = World::bare();
    world.integration();
    let leader = Controller::start(&world, &["--leader-elect", "-n", "default"]);
    let other = Controller::start(&world, &["--leader-elect", "-n", "default"]);
    world.forget_traffic();
    for name in &names {
        world.create(&manifests::namespace(name));
    }
    leader.wait_until("some are linked", || linked_accounts(&world) > 10);
    let started = Instant::now();
    drop(leader);
    let linked = linked_accounts(&world);
    // The Lease has to expire.
    other.wait_until("the other one continues", || linked_accounts(&world) > linked);
    println!(
        "the leader was killed at {linked} of {} service accounts; the other continued after {:?}",
        3 * names.len(),
        started.elapsed()
    );
    other.wait_until("all are linked", || linked_accounts(&world) == 3 * names.len());
    other.wait_until_idle();
    print_counts("two replicas, the leader killed", &world);
    for name in &names {
        assert_linked_in_time(&world, &other, name);
    }
}

#[test]
fn keeps_integration_while_token_is_unreadable() {
    let world = World::bare();
    world.integration();
    let unreadable =
        || world.cluster_traffic().fault(Fault::on("GET", "/secrets/quay-integration").status(500));
    unreadable();
    let controller = Controller::start(&world, &[]);
    controller.wait_until("it is logged", || {
        controller.has_logged("quay-integration in namespace openshift-operators")
    });
    world.create(&json!({ "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": "doomed", "annotations": { "oc-quay/deletion-policy": "delete" } } }));
    controller.wait_until_idle();
    assert_eq!(controller.requests_to_quay(), 0);
    world.clear_faults();
    controller.wait_until("doomed is linked, after a retry", || world.is_linked("doomed", &[]));
    controller.wait_until_idle();

    // The last known integration applies to linking and deletion.
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
    controller.wait_until("it has tried", is_asked_for);
    world.namespace("late");
    world.delete("Namespace", "", "doomed");
    controller.wait_until("late is linked", || world.is_linked("late", &[]));
    controller.wait_until("doomed is gone", || world.get("Namespace", "", "doomed").is_none());
    assert!(
        !world.sandbox.quay.organizations().contains(&"openshift_doomed".to_owned()),
        "its organization was kept"
    );
}

#[test]
fn applies_scope_changes_after_outage() {
    let world = World::bare();
    world.integration();
    let controller = Controller::start(&world, &[]);
    world.namespace("shop");
    controller.wait_until("shop is linked", || world.is_linked("shop", &[]));
    world.quay_traffic().fault(Fault::on("*", "/").drop_before());
    world.image_stream("shop", "app");
    controller.wait_until("the outage is logged", || controller.has_logged("Quay unavailable"));
    // During the second pause, of two seconds.
    sleep(Duration::from_millis(1500));
    world.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "denylistNamespaces": ["shop"] } }),
    );
    sleep(Duration::from_millis(300));
    world.clear_faults();
    controller.wait_until("Quay is back", || controller.has_logged("Quay available again"));
    world.delete("Secret", "shop", "builder-quay-openshift");
    controller.wait_until_idle();
    assert_eq!(world.get("Secret", "shop", "builder-quay-openshift"), None);
    assert_eq!(world.sandbox.quay.repositories("openshift_shop"), Vec::<String>::new());
}
