//! `run` in a cluster: servers, leader election, the operator, and permissions.

use std::time::{Duration, Instant};

use sandbox::manifests;
use sandbox::openshift::olm;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

#[cfg(unix)]
use crate::builds_e2e::{is_rewritten, with_webhook};
use crate::support::{Controller, STREAMS, TestEnv};

/// Flags of a replica, with free ports.
const REPLICA: [&str; 6] = [
    "--leader-elect",
    "-n",
    "default",
    "--log-format=json",
    "--metrics-bind-address=127.0.0.1:0",
    "--concurrency=4",
];

/// Creates a namespace `shop` with image streams.
fn create_shop(env: &TestEnv) {
    env.namespace("shop");
    for stream in STREAMS {
        env.image_stream("shop", stream);
    }
}

fn holder(env: &TestEnv) -> Option<String> {
    let lease = env.get("Lease", "default", "oc-quay")?;
    lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty()).map(str::to_owned)
}

#[cfg(unix)]
#[test]
fn reports_state_and_hands_over_on_shutdown() {
    let env = TestEnv::bare();
    env.integration();
    env.forget_traffic();
    let controller = Controller::start(&env, &[&REPLICA[..], &["--insecure"]].concat());
    create_shop(&env);
    controller.wait_until("shop is linked", || env.is_linked("shop", &STREAMS));
    controller.wait_until("the Event", || !env.list("Event", "shop").is_empty());
    controller.wait_until_idle();

    assert_eq!(controller.http_get("/healthz"), (200, "ok\n".into()));
    assert_eq!(controller.http_get("/readyz"), (200, "ok\n".into()));
    assert_eq!(controller.http_get("/nothing").0, 404);
    let (status, metrics) = controller.http_get("/metrics");
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
    assert!(controller.has_logged("is not verified"), "a weak test: there is no warning");
    for line in controller.log_lines() {
        let line: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line} is not an object"));
        assert!(
            line["time"].is_string() && line["level"].is_string() && line["message"].is_string(),
            "{line}"
        );
    }
    let events = env.list("Event", "shop");
    let repaired = events
        .iter()
        .find(|event| event["reason"] == "QuayReconciled")
        .unwrap_or_else(|| panic!("{events:#?}"));
    let about = &repaired["involvedObject"];
    assert_eq!((&about["kind"], &about["name"]), (&json!("Namespace"), &json!("shop")));
    assert_eq!(about["uid"], env.get("Namespace", "", "shop").unwrap()["metadata"]["uid"]);

    env.assert_uses_only_granted_permissions();

    // A second replica is passive until the first has ended.
    let second = Controller::start(&env, &REPLICA);
    let first_holder = holder(&env).unwrap();
    let waits = second.http_get("/metrics").1;
    assert!(
        waits.contains("oc_quay_is_leader 0") && waits.contains("oc_quay_queue_depth 0"),
        "{waits}"
    );
    controller.terminate();
    assert_eq!(controller.wait_for_exit(), Some(0));
    assert_eq!(holder(&env), None, "the Lease is released");
    second.wait_until("the second one leads", || {
        second.http_get("/metrics").1.contains("oc_quay_is_leader 1")
    });
    assert_ne!(holder(&env).unwrap(), first_holder);
    env.delete("Secret", "shop", "builder-quay-openshift");
    second.wait_until("the secret is back", || env.is_linked("shop", &STREAMS));
}

#[cfg(unix)]
#[test]
fn serves_webhook_after_releasing_the_lease() {
    let env = TestEnv::bare();
    env.integration();
    let (controller, _) = with_webhook(&env, &REPLICA);
    create_shop(&env);
    controller.wait_until("shop is linked", || env.is_linked("shop", &STREAMS));
    env.wait_for("the webhook to be called", || is_rewritten(&env, "shop"));
    let started = Instant::now();
    controller.terminate();
    controller.wait_until("it is not ready", || {
        controller.http_get("/readyz") == (503, "shutting down\n".into())
    });
    controller.wait_until("the Lease is released", || holder(&env).is_none());
    assert!(!controller.has_logged("controller is passive"), "{:#?}", controller.log_lines());
    env.delete("Secret", "shop", "builder-quay-openshift");
    controller.wait_until_idle();
    assert_eq!(
        env.get("Secret", "shop", "builder-quay-openshift"),
        None,
        "it does not reconcile any more"
    );
    assert_eq!(holder(&env), None);
    let build = json!({
        "apiVersion": "build.openshift.io/v1", "kind": "Build", "metadata": { "name": "late", "namespace": "shop" },
        "spec": {
            "serviceAccount": "deployer", "source": { "dockerfile": "FROM scratch" }, "strategy": { "dockerStrategy": {} },
            "output": { "to": { "kind": "ImageStreamTag", "name": "app:1" } },
        },
    });
    // Creation fails if the webhook is unreachable.
    env.create(&build);
    assert_eq!(controller.wait_for_exit(), Some(0));
    assert!(started.elapsed() >= Duration::from_secs(9), "it ended after {:?}", started.elapsed());
}

#[test]
fn renews_lease_during_slow_requests() {
    let env = TestEnv::bare();
    env.integration();
    let controller = Controller::start(
        &env,
        &["--leader-elect", "-n", "default", "--concurrency=1", "--request-timeout=60s"],
    );
    let renewed = || env.get("Lease", "default", "oc-quay").unwrap()["spec"]["renewTime"].clone();
    env.cluster_traffic()
        .fault(Fault::on("POST", "/namespaces/shop/secrets").delay(Duration::from_secs(30)));
    env.namespace("shop");
    let is_slow =
        || env.cluster_traffic().entries().iter().any(|entry| entry.kind == "create secrets");
    controller.wait_until("it writes a secret", is_slow);
    for _ in 0..2 {
        let before = renewed();
        controller.wait_until("the Lease is renewed", || renewed() != before);
    }
    let is_answered = env
        .cluster_traffic()
        .entries()
        .iter()
        .any(|entry| entry.kind == "create secrets" && entry.status.is_some());
    assert!(!is_answered, "a weak test: the response came first");
}

#[test]
fn stops_at_once_when_the_operator_starts() {
    let env = TestEnv::bare();
    env.integration();
    let controller = Controller::start(&env, &[]);
    let slow = Duration::from_millis(800);
    env.quay_traffic().set_latency(slow);
    create_shop(&env);
    controller.wait_until("it writes", || !env.quay_traffic().writes().is_empty());
    env.create(&manifests::operator_deployment("openshift-operators", 1));
    controller.wait_until("it is passive", || {
        controller.has_logged("the operator is running; controller is passive")
    });
    std::thread::sleep(slow);
    let begun = env.quay_traffic().entries().len();
    std::thread::sleep(3 * slow);
    assert_eq!(env.quay_traffic().entries().len(), begun);
    assert!(!env.is_linked("shop", &STREAMS), "a weak test: it was done");

    env.quay_traffic().set_latency(Duration::ZERO);
    env.merge(
        "Deployment",
        "openshift-operators",
        olm::DEPLOYMENT,
        &json!({ "spec": { "replicas": 0 } }),
    );
    controller.wait_until("shop is linked", || env.is_linked("shop", &STREAMS));

    // An unknown state of the operator does not make it passive.
    env.cluster_traffic().fault(Fault::on("GET", "/apis/apps/v1/deployments?").status(500));
    env.merge(
        "Deployment",
        "openshift-operators",
        olm::DEPLOYMENT,
        &json!({ "metadata": { "labels": { "team": "red" } } }),
    );
    controller.wait_until("it has checked", || {
        controller.has_logged("cannot determine whether the operator is running")
    });
    env.delete("Secret", "shop", "builder-quay-openshift");
    controller.wait_until("the secret is back", || env.is_linked("shop", &STREAMS));
}

#[test]
fn is_passive_while_the_operator_runs() {
    let env = TestEnv::bare();
    env.integration();
    env.create(&manifests::operator_deployment("openshift-operators", 1));
    create_shop(&env);
    env.forget_traffic();
    let controller = Controller::start(&env, &[]);
    controller.wait_until("it is passive", || {
        controller.has_logged("the operator is running; controller is passive")
    });
    env.assert_nothing_written();
    assert_eq!(env.sandbox.quay.organizations(), Vec::<String>::new());

    let stopped = json!({ "spec": { "replicas": 0 } });
    env.merge("Deployment", "openshift-operators", olm::DEPLOYMENT, &stopped);
    controller.wait_until("shop is linked", || env.is_linked("shop", &STREAMS));
}

#[test]
fn rejects_invalid_arguments_before_any_request() {
    let env = TestEnv::bare();
    env.integration();
    env.forget_traffic();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = env.oc_quay(&["run", "--metrics-bind-address", &address]).ends_with(2);
    assert!(
        run.said().contains(&format!("--metrics-bind-address: failed to listen on {address}")),
        "{run:#?}"
    );
    let run = env.oc_quay(&["run", "--resync-interval", "59s"]).ends_with(2);
    assert!(run.said().contains("resync interval must be at least 1m"), "{run:#?}");
    assert!(env.cluster_traffic().entries().is_empty());
}
