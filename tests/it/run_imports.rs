//! Imports of pushed images.

use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::{Controller, TestEnv};

const MANAGED: &str = "quay-registry-operator.quay.redhat.com/quay-registry-operator-managed";
const IMPORTED: &str = "quay-registry-operator.quay.redhat.com/destination-imagestreamtag-imported";

fn env() -> TestEnv {
    let env = TestEnv::new();
    env.merge("QuayIntegration", "", "quay", &json!({ "spec": { "insecureRegistry": true } }));
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env
}

/// Creates a completed build.
fn complete(env: &TestEnv, name: &str, tag: &str, annotations: &Value) {
    let image = format!("{}/openshift_shop/app:{tag}", env.sandbox.quay.host());
    env.create(&json!({
        "apiVersion": "build.openshift.io/v1",
        "kind": "Build",
        "metadata": { "name": name, "namespace": "shop", "annotations": annotations },
        "spec": {
            "source": { "dockerfile": "FROM scratch" },
            "strategy": { "dockerStrategy": {} },
            "output": { "to": { "kind": "DockerImage", "name": image } },
        },
        "status": { "phase": "Complete", "completionTimestamp": now() },
    }));
}

fn now() -> String {
    // After the start of the controller.
    (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(5))
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

fn imports(env: &TestEnv) -> usize {
    env.cluster_traffic()
        .entries()
        .iter()
        .filter(|entry| entry.path.contains("imagestreamimports"))
        .count()
}

fn has_image(env: &TestEnv, tag: &str) -> bool {
    env.newest_item("shop", "app", tag).is_some()
}

fn is_recorded(env: &TestEnv, build: &str) -> bool {
    env.get("Build", "shop", build).unwrap()["metadata"]["annotations"][IMPORTED] == "true"
}

fn is_ready(env: &TestEnv) -> bool {
    let integration = env.get("QuayIntegration", "", "quay").unwrap();
    let mut conditions = integration["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Rejects annotations of builds after the next import.
fn reject_annotations_after_import(env: &TestEnv) {
    let traffic = env.cluster_traffic().clone();
    let reject = move || traffic.fault(Fault::on("PATCH", "/builds/").status(403));
    env.cluster_traffic().fault(Fault::on("POST", "imagestreamimports").nth(1).after(reject));
}

fn delete_tags(env: &TestEnv) {
    env.merge("ImageStream", "shop", "app", &json!({ "spec": { "tags": [] } }));
    env.merge("ImageStream", "shop", "app/status", &json!({ "status": { "tags": [] } }));
}

#[test]
fn does_not_import_when_build_cannot_be_annotated() {
    let env = env();
    env.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    env.cluster_traffic().fault(Fault::on("PATCH", "/builds/").status(403));
    let controller = Controller::start(&env, &[]);
    complete(&env, "app-1", "1", &json!({ MANAGED: "true" }));
    controller
        .wait_until("it logs why", || controller.has_logged("failed to record the import start"));
    assert_eq!(imports(&env), 0);
    env.clear_faults();
    controller.wait_until("it is imported", || is_recorded(&env, "app-1"));
    assert_eq!(imports(&env), 1);
}

#[test]
fn keeps_tag_deleted_across_restart() {
    let env = env();
    env.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    reject_annotations_after_import(&env);
    complete(&env, "app-1", "1", &json!({ MANAGED: "true" }));
    let controller = Controller::start(&env, &[]);
    controller.wait_until("it is imported", || has_image(&env, "1"));
    drop(controller);
    assert!(!is_recorded(&env, "app-1"));
    delete_tags(&env);
    env.clear_faults();
    let controller = Controller::start(&env, &[]);
    controller.wait_until("it is logged", || {
        controller.has_logged("the tag is missing since its import started")
    });
    controller.wait_until_idle();
    assert_eq!((imports(&env), has_image(&env, "1")), (1, false));
    drop(controller);
    let controller = Controller::start(&env, &[]);
    assert!(!controller.has_logged("app:1"), "{:#?}", controller.log_lines());
    assert_eq!((imports(&env), has_image(&env, "1")), (1, false));
    // A new build is imported again.
    complete(&env, "app-2", "1", &json!({ MANAGED: "true" }));
    controller.wait_until("it is imported", || is_recorded(&env, "app-2") && has_image(&env, "1"));
}

#[test]
fn reports_permanent_failures_once_across_restarts() {
    let env = env();
    let elsewhere = json!({ "kind": "DockerImage", "name": "docker.io/library/app:1" });
    env.merge(
        "ImageStream",
        "shop",
        "app",
        &json!({ "spec": { "tags": [{ "name": "1", "from": elsewhere }] } }),
    );
    complete(&env, "app-1", "1", &json!({ MANAGED: "true" }));
    complete(&env, "forged", "nowhere", &json!({ MANAGED: "true" }));
    let events = || {
        env.list("Event", "shop")
            .iter()
            .filter(|event| event["reason"] == "QuayImportFailed")
            .count()
    };
    let controller = Controller::start(&env, &[]);
    controller.wait_until("both are reported", || events() == 2);
    controller.wait_until_idle();
    drop(controller);
    let controller = Controller::start(&env, &[]);
    assert!(!controller.has_logged("will not retry"), "{:#?}", controller.log_lines());
    assert_eq!((events(), imports(&env)), (2, 1));
}

#[test]
fn retries_failed_import_after_restart() {
    let env = env();
    env.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    env.sandbox.quay.set_flags(|flags| flags.robots_disallow = true);
    complete(&env, "app-1", "1", &json!({ MANAGED: "true" }));
    let controller = Controller::start(&env, &[]);
    controller.wait_until("it fails", || controller.has_logged("will retry"));
    controller.wait_until_idle();
    drop(controller);
    env.sandbox.quay.set_flags(|flags| flags.robots_disallow = false);
    let controller = Controller::start(&env, &[]);
    controller.wait_until("it is imported", || is_recorded(&env, "app-1") && has_image(&env, "1"));
}

#[test]
fn unrecorded_import_is_not_repeated() {
    let env = env();
    env.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    reject_annotations_after_import(&env);
    let controller = Controller::start(&env, &[]);
    complete(&env, "app-1", "1", &json!({ MANAGED: "true" }));
    controller.wait_until("it is imported", || has_image(&env, "1"));
    controller.wait_until("it logs the failure", || {
        controller.has_logged("failed to record the import result")
    });
    let tries = || {
        env.cluster_traffic().entries().iter().filter(|entry| entry.kind == "patch builds").count()
    };
    controller.wait_until("it tries again", || tries() > 1);
    assert_eq!((imports(&env), is_recorded(&env, "app-1")), (1, false));
    env.namespace("next");
    controller
        .wait_until("no namespace fails for it", || env.is_linked("next", &[]) && is_ready(&env));
    env.clear_faults();
    controller.wait_until("it is recorded", || is_recorded(&env, "app-1"));
    assert_eq!(imports(&env), 1);
}

#[test]
fn missing_image_is_reported_without_failing_namespace() {
    let env = env();
    let controller = Controller::start(&env, &[]);
    complete(&env, "forged", "nowhere", &json!({ MANAGED: "true" }));
    controller.wait_until("it is logged", || controller.has_logged("will not retry"));
    controller.wait_until("the Event", || {
        env.list("Event", "shop").iter().any(|event| event["reason"] == "QuayImportFailed")
    });
    env.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    complete(&env, "app-1", "1", &json!({ MANAGED: "true" }));
    controller.wait_until("others are imported", || is_recorded(&env, "app-1"));
    env.namespace("next");
    controller
        .wait_until("no namespace fails for it", || env.is_linked("next", &[]) && is_ready(&env));
    assert_eq!(imports(&env), 2);
    let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).run();
    assert!(!status.stdout.contains("QuayReconcileFailed"), "{}", status.stdout);
}

#[test]
fn imports_while_the_namespace_fails() {
    let env = env();
    env.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    env.quay_traffic().fault(Fault::on("*", "/robots").status(500));
    let controller = Controller::start(&env, &[]);
    controller
        .wait_until("the namespace fails", || controller.has_logged("namespace shop: failed"));
    complete(&env, "app-1", "1", &json!({ MANAGED: "true" }));
    controller.wait_until("it is imported", || is_recorded(&env, "app-1"));
}

#[test]
fn ignores_deleted_tags_and_other_builds() {
    let env = env();
    for tag in ["old", "by-hand"] {
        env.sandbox.quay.push_tag("openshift_shop", "app", tag).unwrap();
    }
    // Completed before the start; the tag has an image already.
    complete(&env, "old", "old", &json!({ MANAGED: "true" }));
    let long_ago = json!({ "status": { "completionTimestamp": "2020-01-01T00:00:00Z" } });
    env.merge("Build", "shop", "old", &long_ago);
    env.oc_quay(&["import", "app:old", "-n", "shop", "--yes"]).succeeds();
    let controller = Controller::start(&env, &[]);
    complete(&env, "by-hand", "by-hand", &json!({}));
    env.forget_traffic();
    delete_tags(&env);
    controller.wait_until_idle();
    // An unrelated change in the namespace.
    env.image_stream("shop", "cron");
    controller
        .wait_until("it is reconciled", || env.is_linked("shop", &["app", "base", "cron", "web"]));
    controller.wait_until_idle();
    assert_eq!(
        (imports(&env), has_image(&env, "old"), has_image(&env, "by-hand")),
        (0, false, false)
    );
}

#[test]
fn imports_build_completed_before_start() {
    let env = env();
    let image = format!("{}/openshift_shop/app", env.sandbox.quay.host());
    let older = format!("sha256:{}", "0".repeat(64));
    let from = json!({ "kind": "DockerImage", "name": format!("{image}:1") });
    env.merge(
        "ImageStream",
        "shop",
        "app",
        &json!({ "spec": { "tags": [{ "name": "1", "from": from }] } }),
    );
    let item = json!({
        "created": "2020-01-01T00:00:00Z", "image": older, "dockerImageReference": format!("{image}@{older}"), "generation": 2,
    });
    env.merge(
        "ImageStream",
        "shop",
        "app/status",
        &json!({ "status": { "tags": [{ "tag": "1", "items": [item] }] } }),
    );
    let pushed = env.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    complete(&env, "app-1", "1", &json!({ MANAGED: "true" }));
    env.merge(
        "Build",
        "shop",
        "app-1",
        &json!({ "status": { "completionTimestamp": "2020-01-02T00:00:00Z" } }),
    );
    let controller = Controller::start(&env, &[]);
    controller.wait_until("it is imported", || is_recorded(&env, "app-1"));
    assert_eq!(env.newest_item("shop", "app", "1").unwrap()["image"], pushed.as_str());
}

#[test]
fn keeps_rollback_after_unrecorded_import() {
    let env = env();
    env.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    reject_annotations_after_import(&env);
    complete(&env, "app-1", "1", &json!({ MANAGED: "true" }));
    env.merge(
        "Build",
        "shop",
        "app-1",
        &json!({ "status": { "completionTimestamp": "2020-01-02T00:00:00Z" } }),
    );
    let controller = Controller::start(&env, &[]);
    controller.wait_until("it is imported", || has_image(&env, "1"));
    drop(controller);
    let rolled_back = env.push_inside("shop", "app", "1");
    let from = json!({ "kind": "ImageStreamImage", "name": format!("app@{rolled_back}") });
    env.merge(
        "ImageStream",
        "shop",
        "app",
        &json!({ "spec": { "tags": [{ "name": "1", "from": from }] } }),
    );
    env.clear_faults();
    let _controller = Controller::start(&env, &[]);
    env.wait_for("the record", || is_recorded(&env, "app-1"));
    assert_eq!(
        (imports(&env), env.newest_item("shop", "app", "1").unwrap()["image"].clone()),
        (1, json!(rolled_back))
    );
}
