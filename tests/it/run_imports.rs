//! Imports of pushed images.

use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::{Controller, World};

const MANAGED: &str = "quay-registry-operator.quay.redhat.com/quay-registry-operator-managed";
const IMPORTED: &str = "quay-registry-operator.quay.redhat.com/destination-imagestreamtag-imported";

fn world() -> World {
    let world = World::new();
    world.merge("QuayIntegration", "", "quay", &json!({ "spec": { "insecureRegistry": true } }));
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world
}

/// Creates a completed build.
fn complete(world: &World, name: &str, tag: &str, annotations: &Value) {
    let image = format!("{}/openshift_shop/app:{tag}", world.sandbox.quay.host());
    world.create(&json!({
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

fn imports(world: &World) -> usize {
    world
        .cluster_traffic()
        .entries()
        .iter()
        .filter(|entry| entry.path.contains("imagestreamimports"))
        .count()
}

fn has_image(world: &World, tag: &str) -> bool {
    world.newest_item("shop", "app", tag).is_some()
}

fn is_recorded(world: &World, build: &str) -> bool {
    world.get("Build", "shop", build).unwrap()["metadata"]["annotations"][IMPORTED] == "true"
}

fn is_ready(world: &World) -> bool {
    let integration = world.get("QuayIntegration", "", "quay").unwrap();
    let mut conditions = integration["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Rejects annotations of builds after the next import.
fn reject_annotations_after_import(world: &World) {
    let traffic = world.cluster_traffic().clone();
    let reject = move || traffic.fault(Fault::on("PATCH", "/builds/").status(403));
    world.cluster_traffic().fault(Fault::on("POST", "imagestreamimports").nth(1).after(reject));
}

fn delete_tags(world: &World) {
    world.merge("ImageStream", "shop", "app", &json!({ "spec": { "tags": [] } }));
    world.merge("ImageStream", "shop", "app/status", &json!({ "status": { "tags": [] } }));
}

#[test]
fn does_not_import_when_build_cannot_be_annotated() {
    let world = world();
    world.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    world.cluster_traffic().fault(Fault::on("PATCH", "/builds/").status(403));
    let controller = Controller::start(&world, &[]);
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    controller
        .wait_until("it logs why", || controller.has_logged("failed to record the import start"));
    assert_eq!(imports(&world), 0);
    world.clear_faults();
    controller.wait_until("it is imported", || is_recorded(&world, "app-1"));
    assert_eq!(imports(&world), 1);
}

#[test]
fn keeps_tag_deleted_across_restart() {
    let world = world();
    world.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    reject_annotations_after_import(&world);
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    let controller = Controller::start(&world, &[]);
    controller.wait_until("it is imported", || has_image(&world, "1"));
    drop(controller);
    assert!(!is_recorded(&world, "app-1"));
    delete_tags(&world);
    world.clear_faults();
    let controller = Controller::start(&world, &[]);
    controller.wait_until("it is logged", || {
        controller.has_logged("the tag is missing since its import was begun")
    });
    controller.wait_until_idle();
    assert_eq!((imports(&world), has_image(&world, "1")), (1, false));
    drop(controller);
    let controller = Controller::start(&world, &[]);
    assert!(!controller.has_logged("app:1"), "{:#?}", controller.log_lines());
    assert_eq!((imports(&world), has_image(&world, "1")), (1, false));
    // A new build is imported again.
    complete(&world, "app-2", "1", &json!({ MANAGED: "true" }));
    controller
        .wait_until("it is imported", || is_recorded(&world, "app-2") && has_image(&world, "1"));
}

#[test]
fn reports_permanent_failures_once_across_restarts() {
    let world = world();
    let elsewhere = json!({ "kind": "DockerImage", "name": "docker.io/library/app:1" });
    world.merge(
        "ImageStream",
        "shop",
        "app",
        &json!({ "spec": { "tags": [{ "name": "1", "from": elsewhere }] } }),
    );
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    complete(&world, "forged", "nowhere", &json!({ MANAGED: "true" }));
    let events = || {
        world
            .list("Event", "shop")
            .iter()
            .filter(|event| event["reason"] == "QuayImportFailed")
            .count()
    };
    let controller = Controller::start(&world, &[]);
    controller.wait_until("both are reported", || events() == 2);
    controller.wait_until_idle();
    drop(controller);
    let controller = Controller::start(&world, &[]);
    assert!(!controller.has_logged("will not retry"), "{:#?}", controller.log_lines());
    assert_eq!((events(), imports(&world)), (2, 1));
}

#[test]
fn retries_failed_import_after_restart() {
    let world = world();
    world.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    world.sandbox.quay.set_flags(|flags| flags.robots_disallow = true);
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    let controller = Controller::start(&world, &[]);
    controller.wait_until("it fails", || controller.has_logged("will retry"));
    controller.wait_until_idle();
    drop(controller);
    world.sandbox.quay.set_flags(|flags| flags.robots_disallow = false);
    let controller = Controller::start(&world, &[]);
    controller
        .wait_until("it is imported", || is_recorded(&world, "app-1") && has_image(&world, "1"));
}

#[test]
fn unrecorded_import_is_not_repeated() {
    let world = world();
    world.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    reject_annotations_after_import(&world);
    let controller = Controller::start(&world, &[]);
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    controller.wait_until("it is imported", || has_image(&world, "1"));
    controller.wait_until("it logs the failure", || {
        controller.has_logged("failed to record the import result")
    });
    let tries = || {
        world
            .cluster_traffic()
            .entries()
            .iter()
            .filter(|entry| entry.kind == "patch builds")
            .count()
    };
    controller.wait_until("it tries again", || tries() > 1);
    assert_eq!((imports(&world), is_recorded(&world, "app-1")), (1, false));
    world.namespace("next");
    controller.wait_until("no namespace fails for it", || {
        world.is_linked("next", &[]) && is_ready(&world)
    });
    world.clear_faults();
    controller.wait_until("it is recorded", || is_recorded(&world, "app-1"));
    assert_eq!(imports(&world), 1);
}

#[test]
fn missing_image_is_reported_without_failing_namespace() {
    let world = world();
    let controller = Controller::start(&world, &[]);
    complete(&world, "forged", "nowhere", &json!({ MANAGED: "true" }));
    controller.wait_until("it is logged", || controller.has_logged("will not retry"));
    controller.wait_until("the Event", || {
        world.list("Event", "shop").iter().any(|event| event["reason"] == "QuayImportFailed")
    });
    world.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    controller.wait_until("others are imported", || is_recorded(&world, "app-1"));
    world.namespace("next");
    controller.wait_until("no namespace fails for it", || {
        world.is_linked("next", &[]) && is_ready(&world)
    });
    assert_eq!(imports(&world), 2);
    let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).run();
    assert!(!status.stdout.contains("QuayReconcileFailed"), "{}", status.stdout);
}

#[test]
fn imports_while_the_namespace_fails() {
    let world = world();
    world.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    world.quay_traffic().fault(Fault::on("*", "/robots").status(500));
    let controller = Controller::start(&world, &[]);
    controller
        .wait_until("the namespace fails", || controller.has_logged("namespace shop: failed"));
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    controller.wait_until("it is imported", || is_recorded(&world, "app-1"));
}

#[test]
fn ignores_deleted_tags_and_other_builds() {
    let world = world();
    for tag in ["old", "by-hand"] {
        world.sandbox.quay.push_tag("openshift_shop", "app", tag).unwrap();
    }
    // Completed before the start; the tag has an image already.
    complete(&world, "old", "old", &json!({ MANAGED: "true" }));
    let long_ago = json!({ "status": { "completionTimestamp": "2020-01-01T00:00:00Z" } });
    world.merge("Build", "shop", "old", &long_ago);
    world.oc_quay(&["import", "app:old", "-n", "shop", "--yes"]).succeeds();
    let controller = Controller::start(&world, &[]);
    complete(&world, "by-hand", "by-hand", &json!({}));
    world.forget_traffic();
    delete_tags(&world);
    controller.wait_until_idle();
    // An unrelated change in the namespace.
    world.image_stream("shop", "cron");
    controller.wait_until("it is reconciled", || {
        world.is_linked("shop", &["app", "base", "cron", "web"])
    });
    controller.wait_until_idle();
    assert_eq!(
        (imports(&world), has_image(&world, "old"), has_image(&world, "by-hand")),
        (0, false, false)
    );
}

#[test]
fn imports_build_completed_before_start() {
    let world = world();
    let image = format!("{}/openshift_shop/app", world.sandbox.quay.host());
    let older = format!("sha256:{}", "0".repeat(64));
    let from = json!({ "kind": "DockerImage", "name": format!("{image}:1") });
    world.merge(
        "ImageStream",
        "shop",
        "app",
        &json!({ "spec": { "tags": [{ "name": "1", "from": from }] } }),
    );
    let item = json!({
        "created": "2020-01-01T00:00:00Z", "image": older, "dockerImageReference": format!("{image}@{older}"), "generation": 2,
    });
    world.merge(
        "ImageStream",
        "shop",
        "app/status",
        &json!({ "status": { "tags": [{ "tag": "1", "items": [item] }] } }),
    );
    let pushed = world.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    world.merge(
        "Build",
        "shop",
        "app-1",
        &json!({ "status": { "completionTimestamp": "2020-01-02T00:00:00Z" } }),
    );
    let controller = Controller::start(&world, &[]);
    controller.wait_until("it is imported", || is_recorded(&world, "app-1"));
    assert_eq!(world.newest_item("shop", "app", "1").unwrap()["image"], pushed.as_str());
}

#[test]
fn keeps_rollback_after_unrecorded_import() {
    let world = world();
    world.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    reject_annotations_after_import(&world);
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    world.merge(
        "Build",
        "shop",
        "app-1",
        &json!({ "status": { "completionTimestamp": "2020-01-02T00:00:00Z" } }),
    );
    let controller = Controller::start(&world, &[]);
    controller.wait_until("it is imported", || has_image(&world, "1"));
    drop(controller);
    let rolled_back = world.push_inside("shop", "app", "1");
    let from = json!({ "kind": "ImageStreamImage", "name": format!("app@{rolled_back}") });
    world.merge(
        "ImageStream",
        "shop",
        "app",
        &json!({ "spec": { "tags": [{ "name": "1", "from": from }] } }),
    );
    world.clear_faults();
    let _controller = Controller::start(&world, &[]);
    world.wait_for("the record", || is_recorded(&world, "app-1"));
    assert_eq!(
        (imports(&world), world.newest_item("shop", "app", "1").unwrap()["image"].clone()),
        (1, json!(rolled_back))
    );
}
