//! `run` as it runs in the cluster: what it tells, who of several works, beside the operator, and with which rights.

use std::time::{Duration, Instant};

use sandbox::manifests;
use sandbox::openshift::olm;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

#[cfg(unix)]
use crate::builds_e2e::{is_rewritten, with_webhook};
use crate::support::{Bridge, STREAMS, World};

/// The flags of a replica. Ports are free ones.
const REPLICA: [&str; 6] = [
    "--leader-elect",
    "-n",
    "default",
    "--log-format=json",
    "--metrics-bind-address=127.0.0.1:0",
    "--concurrency=4",
];

/// A namespace `shop` with its image streams.
fn furnish(world: &World) {
    world.namespace("shop");
    for stream in STREAMS {
        world.image_stream("shop", stream);
    }
}

fn holder(world: &World) -> Option<String> {
    let lease = world.get("Lease", "default", "oc-quay")?;
    lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty()).map(str::to_owned)
}

#[cfg(unix)]
#[test]
fn a_replica_tells_what_it_does_keeps_to_its_rights_and_hands_over_in_order() {
    let world = World::bare();
    world.integration();
    world.forget_traffic();
    let bridge = Bridge::start(&world, &[&REPLICA[..], &["--insecure"]].concat());
    furnish(&world);
    bridge.waits_until("shop is linked", || world.is_linked("shop", &STREAMS));
    bridge.waits_until("it is told in the namespace", || !world.list("Event", "shop").is_empty());
    bridge.settles();

    assert_eq!(bridge.page("/healthz"), (200, "ok\n".into()));
    assert_eq!(bridge.page("/readyz"), (200, "ok\n".into()));
    assert_eq!(bridge.page("/nothing").0, 404);
    let (status, metrics) = bridge.page("/metrics");
    assert_eq!(status, 200);
    for line in [
        "oc_quay_is_leader 1",
        "oc_quay_caches_synced 1",
        "oc_quay_integration_usable 1",
        r#"oc_quay_requests_total{side="quay",kind="POST repository",code="201"} 3"#,
        r#"oc_quay_requests_total{side="cluster",kind="create secrets",code="201"} 3"#,
        r#"oc_quay_changes_total{change="create Secret",result="done"} 3"#,
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line} is not in\n{metrics}");
    }
    assert!(bridge.says("is not verified"), "a weak test: there is no warning");
    for line in bridge.lines() {
        let line: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line} is no object"));
        assert!(
            line["time"].is_string() && line["level"].is_string() && line["message"].is_string(),
            "{line}"
        );
    }
    let events = world.list("Event", "shop");
    let repaired = events
        .iter()
        .find(|event| event["reason"] == "QuayReconciled")
        .unwrap_or_else(|| panic!("{events:#?}"));
    let about = &repaired["involvedObject"];
    assert_eq!((&about["kind"], &about["name"]), (&json!("Namespace"), &json!("shop")));
    assert_eq!(about["uid"], world.get("Namespace", "", "shop").unwrap()["metadata"]["uid"]);

    world.assert_within_the_bridges_rights();

    // A second one waits, and takes over as soon as the first has ended.
    let second = Bridge::start(&world, &REPLICA);
    let first_holder = holder(&world).unwrap();
    let waits = second.page("/metrics").1;
    assert!(
        waits.contains("oc_quay_is_leader 0") && waits.contains("oc_quay_queue_depth 0"),
        "{waits}"
    );
    bridge.told_to_end();
    assert_eq!(bridge.ends(), Some(0));
    assert_eq!(holder(&world), None, "it lets the Lease go");
    second.waits_until("the second one works", || {
        second.page("/metrics").1.contains("oc_quay_is_leader 1")
    });
    assert_ne!(holder(&world).unwrap(), first_holder);
    world.delete("Secret", "shop", "builder-quay-openshift");
    second.waits_until("the secret is back", || world.is_linked("shop", &STREAMS));
}

#[cfg(unix)]
#[test]
fn a_replica_that_is_told_to_end_gives_up_the_work_and_answers_the_webhook_for_a_while() {
    let world = World::bare();
    world.integration();
    let (bridge, _) = with_webhook(&world, &REPLICA);
    furnish(&world);
    bridge.waits_until("shop is linked", || world.is_linked("shop", &STREAMS));
    world.wait_for("the webhook to be called", || is_rewritten(&world, "shop"));
    let started = Instant::now();
    bridge.told_to_end();
    bridge
        .waits_until("it is not ready", || bridge.page("/readyz") == (503, "told to end\n".into()));
    bridge.waits_until("it lets the Lease go", || holder(&world).is_none());
    assert!(!bridge.says("standing by"), "{:#?}", bridge.lines());
    world.delete("Secret", "shop", "builder-quay-openshift");
    bridge.settles();
    assert_eq!(world.get("Secret", "shop", "builder-quay-openshift"), None, "it works no more");
    assert_eq!(holder(&world), None);
    let build = json!({
        "apiVersion": "build.openshift.io/v1", "kind": "Build", "metadata": { "name": "late", "namespace": "shop" },
        "spec": {
            "serviceAccount": "deployer", "source": { "dockerfile": "FROM scratch" }, "strategy": { "dockerStrategy": {} },
            "output": { "to": { "kind": "ImageStreamTag", "name": "app:1" } },
        },
    });
    // A webhook that is not reached fails it.
    world.create(&build);
    assert_eq!(bridge.ends(), Some(0));
    assert!(started.elapsed() >= Duration::from_secs(9), "it ended after {:?}", started.elapsed());
}

#[test]
fn slow_answers_keep_no_replica_from_renewing_its_lease() {
    let world = World::bare();
    world.integration();
    let bridge = Bridge::start(
        &world,
        &["--leader-elect", "-n", "default", "--concurrency=1", "--request-timeout=60s"],
    );
    let renewed = || world.get("Lease", "default", "oc-quay").unwrap()["spec"]["renewTime"].clone();
    world
        .cluster_traffic()
        .fault(Fault::on("POST", "/namespaces/shop/secrets").delay(Duration::from_secs(30)));
    world.namespace("shop");
    let is_slow =
        || world.cluster_traffic().entries().iter().any(|entry| entry.kind == "create secrets");
    bridge.waits_until("it writes a secret", is_slow);
    for _ in 0..2 {
        let before = renewed();
        bridge.waits_until("the Lease is renewed", || renewed() != before);
    }
    let is_answered = world
        .cluster_traffic()
        .entries()
        .iter()
        .any(|entry| entry.kind == "create secrets" && entry.status.is_some());
    assert!(!is_answered, "the answer came first");
}

#[test]
fn whoever_may_not_work_any_more_stops_in_the_middle_of_it() {
    let world = World::bare();
    world.integration();
    let bridge = Bridge::start(&world, &[]);
    let slow = Duration::from_millis(800);
    world.quay_traffic().set_latency(slow);
    furnish(&world);
    bridge.waits_until("it is at work", || !world.quay_traffic().writes().is_empty());
    world.create(&manifests::operator_deployment("openshift-operators", 1));
    bridge.waits_until("it says so", || bridge.says("the Quay Bridge Operator runs: standing by"));
    std::thread::sleep(slow);
    let begun = world.quay_traffic().entries().len();
    std::thread::sleep(3 * slow);
    assert_eq!(world.quay_traffic().entries().len(), begun);
    assert!(!world.is_linked("shop", &STREAMS), "a weak test: it was done");

    world.quay_traffic().set_latency(Duration::ZERO);
    world.merge(
        "Deployment",
        "openshift-operators",
        olm::DEPLOYMENT,
        &json!({ "spec": { "replicas": 0 } }),
    );
    bridge.waits_until("shop is linked", || world.is_linked("shop", &STREAMS));

    // Not to know whether it runs is not to know that it does.
    world.cluster_traffic().fault(Fault::on("GET", "/apis/apps/v1/deployments?").status(500));
    world.merge(
        "Deployment",
        "openshift-operators",
        olm::DEPLOYMENT,
        &json!({ "metadata": { "labels": { "team": "red" } } }),
    );
    bridge
        .waits_until("it has looked", || bridge.says("whether the operator runs is not known now"));
    world.delete("Secret", "shop", "builder-quay-openshift");
    bridge.waits_until("the secret is back", || world.is_linked("shop", &STREAMS));
}

#[test]
fn while_the_operator_runs_the_bridge_stands_by() {
    let world = World::bare();
    world.integration();
    world.create(&manifests::operator_deployment("openshift-operators", 1));
    furnish(&world);
    world.forget_traffic();
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("it says so", || bridge.says("the Quay Bridge Operator runs: standing by"));
    world.assert_nothing_written();
    assert_eq!(world.sandbox.quay.organizations(), Vec::<String>::new());

    let stopped = json!({ "spec": { "replicas": 0 } });
    world.merge("Deployment", "openshift-operators", olm::DEPLOYMENT, &stopped);
    bridge.waits_until("shop is linked", || world.is_linked("shop", &STREAMS));
}

#[test]
fn what_cannot_be_listened_on_and_passes_without_a_pause_are_refused_before_anything_is_done() {
    let world = World::bare();
    world.integration();
    world.forget_traffic();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = world.oc_quay(&["run", "--metrics-bind-address", &address]).ends_with(2);
    assert!(
        run.said().contains(&format!("--metrics-bind-address: cannot listen on {address}")),
        "{run:#?}"
    );
    let run = world.oc_quay(&["run", "--resync-interval", "59s"]).ends_with(2);
    assert!(run.said().contains("everything is looked at once a minute at the most"), "{run:#?}");
    assert!(world.cluster_traffic().entries().is_empty());
}
