//! Outages of the API server, Quay and replicas: nothing is lost or repeated. Request counts are
//! printed.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use sandbox::manifests;
use sandbox::traffic::{Entry, Fault, Traffic};
use serde_json::{Value, json};

use crate::support::{Controller, TestEnv};

/// Successful requests by kind.
fn successful_requests(traffic: &Traffic) -> BTreeMap<String, usize> {
    let is_successful = |entry: &Entry| entry.status.is_some_and(|status| status.is_success());
    let mut counts = BTreeMap::new();
    for entry in traffic.entries().into_iter().filter(is_successful) {
        *counts.entry(entry.kind).or_default() += 1;
    }
    counts
}

fn print_counts(label: &str, env: &TestEnv) {
    for (side, traffic) in [("cluster", env.cluster_traffic()), ("Quay", env.quay_traffic())] {
        let (all, writes) = (traffic.entries().len(), traffic.writes().len());
        println!(
            "{label}: {all} requests to {side}, {writes} of them writes; successful: {:?}",
            successful_requests(traffic)
        );
    }
}

/// Checks the number of writes to Quay for new namespaces and image streams.
#[track_caller]
fn assert_written_once(env: &TestEnv, namespaces: usize, streams: usize) {
    let counts = successful_requests(env.quay_traffic());
    let count = |kind: &str| counts.get(kind).copied().unwrap_or_default();
    let found = ["POST organization", "PUT robot", "POST prototype", "POST repository"].map(count);
    assert_eq!(found, [namespaces, 3 * namespaces, 3 * namespaces, streams], "{counts:?}");
}

#[test]
fn recovers_from_api_server_restart() {
    let env = TestEnv::new();
    let controller = Controller::start(&env, &[]);
    env.assert_linked("shop", &["app", "base", "web"]);
    env.forget_traffic();
    env.cluster_traffic().fault(Fault::on("GET", "watch=").status(503));
    if !env.restart_api_server() {
        env.sandbox.openshift.expire_history();
    }
    env.namespace("late");
    env.image_stream("late", "app");
    env.delete("Secret", "shop", "builder-quay-openshift");
    env.delete("ImageStream", "shop", "web");
    env.clear_faults();
    controller.wait_until("late is linked", || env.is_linked("late", &["app"]));
    controller.wait_until("the secret is back", || {
        env.get("Secret", "shop", "builder-quay-openshift").is_some()
    });
    controller.wait_until_idle();
    print_counts("after a restart of the API server", &env);
    env.assert_linked("late", &["app"]);
    env.assert_linked("shop", &["app", "base", "web"]);
    assert_written_once(&env, 1, 1);
    let relisted = env.cluster_traffic().count("list namespaces");
    assert!((1..=3).contains(&relisted), "namespaces were listed {relisted} times");
}

#[test]
fn expired_watches_do_not_cause_a_list_loop() {
    let env = TestEnv::bare();
    env.integration();
    let controller = Controller::start(&env, &[]);
    env.cluster_traffic().fault(Fault::on("GET", "watch=").status(410));
    if !env.restart_api_server() {
        env.sandbox.openshift.expire_history();
    }
    let is_listed = || env.cluster_traffic().count("list namespaces") > 0;
    controller.wait_until("it is listed again", is_listed);
    env.forget_traffic();
    sleep(Duration::from_secs(3));
    let relisted = env.cluster_traffic().count("list namespaces");
    assert!(relisted <= 5, "namespaces were listed {relisted} times");
    env.clear_faults();
    env.namespace("late");
    controller.wait_until("late is linked", || env.is_linked("late", &[]));
}

#[test]
fn recovers_from_quay_outage() {
    let names = ["east", "north", "west"];
    let env = TestEnv::bare();
    env.integration();
    let controller = Controller::start(&env, &[]);
    env.forget_traffic();
    env.quay_traffic().fault(Fault::on("*", "/").drop_before());
    for name in names {
        env.namespace(name);
        env.image_stream(name, "app");
    }
    // During an outage one namespace at a time probes Quay.
    controller.wait_until("the outage is logged", || controller.has_logged("Quay unavailable"));
    print_counts("during the outage", &env);
    env.clear_faults();
    controller
        .wait_until("all are linked", || names.iter().all(|name| env.is_linked(name, &["app"])));
    controller.wait_until_idle();
    print_counts("after the outage", &env);
    names.iter().for_each(|name| env.assert_linked(name, &["app"]));
    assert_written_once(&env, names.len(), names.len());
}

#[test]
fn links_many_namespaces_at_once() {
    let env = TestEnv::bare();
    // The fake API server is for quick runs.
    let count = if env.is_real() { 500 } else { 50 };
    env.integration();
    let controller = Controller::start(&env, &[]);
    env.forget_traffic();
    let started = Instant::now();
    for number in 0..count {
        env.create(&manifests::namespace(&format!("team-{number:03}")));
    }
    let mut linked = 0;
    while linked < 3 * count {
        // The total time is not limited, but the progress is.
        controller.wait_until(&format!("more than {linked} service accounts are linked"), || {
            linked_accounts(&env) > linked
        });
        linked = linked_accounts(&env);
    }
    println!("{count} namespaces at once: linked after {:.1} s", started.elapsed().as_secs_f32());
    controller.wait_until_idle();
    print_counts(&format!("{count} namespaces at once"), &env);
    assert_written_once(&env, count, 0);
    assert_eq!(successful_requests(env.cluster_traffic())["create secrets"], 3 * count);
    for number in [0, count / 2, count - 1] {
        assert_linked_in_time(&env, &controller, &format!("team-{number:03}"));
    }
}

/// OpenShift must have created its own secrets too.
#[track_caller]
fn assert_linked_in_time(env: &TestEnv, controller: &Controller<'_>, namespace: &str) {
    let own = |account: &str| {
        env.references(namespace, account, "secrets")
            .iter()
            .any(|secret| secret.contains("dockercfg"))
    };
    controller.wait_until("OpenShift has made its own secrets", || {
        ["builder", "default", "deployer"].into_iter().all(own)
    });
    env.assert_linked(namespace, &[]);
}

/// Service accounts in all namespaces that reference their secret for Quay.
fn linked_accounts(env: &TestEnv) -> usize {
    let refers = |account: &&Value| {
        let secret = format!("{}-quay-openshift", account["metadata"]["name"].as_str().unwrap());
        let mut references = account["imagePullSecrets"].as_array().into_iter().flatten();
        references.any(|reference| reference["name"] == secret.as_str())
    };
    env.list("ServiceAccount", "").iter().filter(refers).count()
}

#[test]
fn second_replica_continues_after_leader_is_killed() {
    let names: Vec<String> = (0..20).map(|number| format!("team-{number:02}")).collect();
    let env = TestEnv::bare();
    env.integration();
    let leader = Controller::start(&env, &["--leader-elect", "-n", "default"]);
    let other = Controller::start(&env, &["--leader-elect", "-n", "default"]);
    env.forget_traffic();
    for name in &names {
        env.create(&manifests::namespace(name));
    }
    leader.wait_until("some are linked", || linked_accounts(&env) > 10);
    let started = Instant::now();
    drop(leader);
    let linked = linked_accounts(&env);
    // The Lease has to expire.
    other.wait_until("the other one continues", || linked_accounts(&env) > linked);
    println!(
        "the leader was killed at {linked} of {} service accounts; the other continued after {:?}",
        3 * names.len(),
        started.elapsed()
    );
    other.wait_until("all are linked", || linked_accounts(&env) == 3 * names.len());
    other.wait_until_idle();
    print_counts("two replicas, the leader killed", &env);
    for name in &names {
        assert_linked_in_time(&env, &other, name);
    }
}

#[test]
fn keeps_integration_while_token_is_unreadable() {
    let env = TestEnv::bare();
    env.integration();
    let unreadable =
        || env.cluster_traffic().fault(Fault::on("GET", "/secrets/quay-integration").status(500));
    unreadable();
    let controller = Controller::start(&env, &[]);
    controller.wait_until("it is logged", || {
        controller.has_logged("quay-integration in namespace openshift-operators")
    });
    env.create(&json!({ "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": "doomed", "annotations": { "oc-quay/deletion-policy": "delete" } } }));
    controller.wait_until_idle();
    assert_eq!(controller.requests_to_quay(), 0);
    env.clear_faults();
    controller.wait_until("doomed is linked, after a retry", || env.is_linked("doomed", &[]));
    controller.wait_until_idle();

    // The last known integration applies to linking and deletion.
    unreadable();
    env.forget_traffic();
    let touched = json!({ "stringData": { "touched": "true" } });
    env.merge("Secret", "openshift-operators", "quay-integration", &touched);
    let is_asked_for = || {
        env.cluster_traffic()
            .entries()
            .iter()
            .any(|entry| entry.path.ends_with("/secrets/quay-integration"))
    };
    controller.wait_until("it has tried", is_asked_for);
    env.namespace("late");
    env.delete("Namespace", "", "doomed");
    controller.wait_until("late is linked", || env.is_linked("late", &[]));
    controller.wait_until("doomed is gone", || env.get("Namespace", "", "doomed").is_none());
    assert!(
        !env.sandbox.quay.organizations().contains(&"openshift_doomed".to_owned()),
        "its organization was kept"
    );
}

#[test]
fn applies_scope_changes_after_outage() {
    let env = TestEnv::bare();
    env.integration();
    let controller = Controller::start(&env, &[]);
    env.namespace("shop");
    controller.wait_until("shop is linked", || env.is_linked("shop", &[]));
    env.quay_traffic().fault(Fault::on("*", "/").drop_before());
    env.image_stream("shop", "app");
    controller.wait_until("the outage is logged", || controller.has_logged("Quay unavailable"));
    // During the second pause, of two seconds.
    sleep(Duration::from_millis(1500));
    env.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "denylistNamespaces": ["shop"] } }),
    );
    sleep(Duration::from_millis(300));
    env.clear_faults();
    controller.wait_until("Quay is back", || controller.has_logged("Quay available again"));
    env.delete("Secret", "shop", "builder-quay-openshift");
    controller.wait_until_idle();
    assert_eq!(env.get("Secret", "shop", "builder-quay-openshift"), None);
    assert_eq!(env.sandbox.quay.repositories("openshift_shop"), Vec::<String>::new());
}
