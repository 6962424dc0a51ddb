//! `run` as it runs in the cluster: what it tells, who of several works, beside the operator, and with which rights.

use sandbox::openshift::olm;
use serde_json::{Value, json};

use crate::support::{Bridge, STREAMS, World};

/// The flags of a replica. Ports are free ones.
const REPLICA: [&str; 6] = ["--leader-election", "-n", "default", "--log-format=json", "--listen=127.0.0.1:0", "--parallel=4"];

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
    let bridge = Bridge::start(&world, &REPLICA);
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
        "oc_quay_leading 1",
        "oc_quay_ready 1",
        "oc_quay_integration_usable 1",
        r#"oc_quay_requests_total{side="quay",kind="POST repository",code="201"} 3"#,
        r#"oc_quay_requests_total{side="cluster",kind="create secrets",code="201"} 3"#,
        r#"oc_quay_changes_total{change="create Secret",result="done"} 3"#,
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line} is not in\n{metrics}");
    }
    for line in bridge.lines() {
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line} is no object"));
        assert!(line["time"].is_string() && line["level"].is_string() && line["message"].is_string(), "{line}");
    }
    let events = world.list("Event", "shop");
    let repaired = events.iter().find(|event| event["reason"] == "QuayRepaired").unwrap_or_else(|| panic!("{events:#?}"));
    let about = &repaired["involvedObject"];
    assert_eq!((&about["kind"], &about["name"]), (&json!("Namespace"), &json!("shop")));
    assert_eq!(about["uid"], world.get("Namespace", "", "shop").unwrap()["metadata"]["uid"]);

    world.assert_within_the_bridges_rights();

    // A second one waits, and takes over as soon as the first has ended.
    let second = Bridge::start(&world, &REPLICA);
    let first_holder = holder(&world).unwrap();
    assert!(second.page("/metrics").1.contains("oc_quay_leading 0"));
    assert_eq!(bridge.end(), Some(0));
    assert_eq!(holder(&world), None, "it lets the Lease go");
    second.waits_until("the second one works", || second.page("/metrics").1.contains("oc_quay_leading 1"));
    assert_ne!(holder(&world).unwrap(), first_holder);
    world.delete("Secret", "shop", "builder-quay-openshift");
    second.waits_until("the secret is back", || world.is_linked("shop", &STREAMS));
}

#[test]
fn while_the_operator_runs_the_bridge_stands_by() {
    let world = World::bare();
    world.integration();
    world.create(&json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": olm::DEPLOYMENT, "namespace": "openshift-operators" },
        "spec": {
            "selector": { "matchLabels": { "app": "operator" } },
            "template": {
                "metadata": { "labels": { "app": "operator" } },
                "spec": { "containers": [{ "name": "manager", "image": "operator" }] },
            },
        },
    }));
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
fn an_address_that_is_taken_is_refused_before_anything_is_done() {
    let world = World::bare();
    world.integration();
    world.forget_traffic();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = world.oc_quay(&["run", "--listen", &address]).ends_with(2);
    assert!(run.said().contains(&format!("--listen: cannot listen on {address}")), "{run:#?}");
    assert!(world.cluster_traffic().entries().is_empty());
}
