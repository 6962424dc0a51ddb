//! What the bridge imports, and what it leaves.

use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::{Bridge, World};

const MANAGED: &str = "quay-registry-operator.quay.redhat.com/quay-registry-operator-managed";
const IMPORTED: &str = "quay-registry-operator.quay.redhat.com/destination-imagestreamtag-imported";

fn world() -> World {
    let world = World::new();
    world.merge("QuayIntegration", "", "quay", &json!({ "spec": { "insecureRegistry": true } }));
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world
}

/// A build that is complete, whatever it did.
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
    // Surely after the bridge has started.
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

fn is_noted(world: &World, build: &str) -> bool {
    world.get("Build", "shop", build).unwrap()["metadata"]["annotations"][IMPORTED] == "true"
}

fn is_ready(world: &World) -> bool {
    let integration = world.get("QuayIntegration", "", "quay").unwrap();
    let mut conditions = integration["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Has every note on a build refused from the next import on.
fn lose_notes_after_an_import(world: &World) {
    let traffic = world.cluster_traffic().clone();
    let refuse = move || traffic.fault(Fault::on("PATCH", "/builds/").status(403));
    world.cluster_traffic().fault(Fault::on("POST", "imagestreamimports").nth(1).after(refuse));
}

fn delete_tags(world: &World) {
    world.merge("ImageStream", "shop", "app", &json!({ "spec": { "tags": [] } }));
    world.merge("ImageStream", "shop", "app/status", &json!({ "status": { "tags": [] } }));
}

#[test]
fn imports_no_build_on_which_nothing_can_be_noted() {
    let world = world();
    world.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    world.cluster_traffic().fault(Fault::on("PATCH", "/builds/").status(403));
    let bridge = Bridge::start(&world, &[]);
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    bridge.waits_until("it says why", || bridge.says("the build is not imported"));
    assert_eq!(imports(&world), 0);
    world.clear_faults();
    bridge.waits_until("it is imported at last", || is_noted(&world, "app-1"));
    assert_eq!(imports(&world), 1);
}

#[test]
fn imports_no_tag_again_that_was_deleted_before_a_restart() {
    let world = world();
    world.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    lose_notes_after_an_import(&world);
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("it is imported", || has_image(&world, "1"));
    drop(bridge);
    assert!(!is_noted(&world, "app-1"));
    delete_tags(&world);
    world.clear_faults();
    let bridge = Bridge::start(&world, &[]);
    bridge
        .waits_until("it says so", || bridge.says("the tag is missing since its import was begun"));
    bridge.settles();
    assert_eq!((imports(&world), has_image(&world, "1")), (1, false));
    drop(bridge);
    let bridge = Bridge::start(&world, &[]);
    assert!(!bridge.says("app:1"), "{:#?}", bridge.lines());
    assert_eq!((imports(&world), has_image(&world, "1")), (1, false));
    // The next build is the next person's choice.
    complete(&world, "app-2", "1", &json!({ MANAGED: "true" }));
    bridge.waits_until("it is imported", || is_noted(&world, "app-2") && has_image(&world, "1"));
}

#[test]
fn tells_what_is_left_to_a_person_once_and_at_no_restart() {
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
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("both are told", || events() == 2);
    bridge.settles();
    drop(bridge);
    let bridge = Bridge::start(&world, &[]);
    assert!(!bridge.says("not tried again"), "{:#?}", bridge.lines());
    assert_eq!((events(), imports(&world)), (2, 1));
}

#[test]
fn an_import_that_failed_is_done_after_a_restart() {
    let world = world();
    world.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    world.sandbox.quay.set_flags(|flags| flags.robots_disallow = true);
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("it fails", || bridge.says("it is tried again"));
    bridge.settles();
    drop(bridge);
    world.sandbox.quay.set_flags(|flags| flags.robots_disallow = false);
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("it is imported", || is_noted(&world, "app-1") && has_image(&world, "1"));
}

#[test]
fn an_import_that_cannot_be_noted_is_not_done_again() {
    let world = world();
    world.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    lose_notes_after_an_import(&world);
    let bridge = Bridge::start(&world, &[]);
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    bridge.waits_until("it is imported", || has_image(&world, "1"));
    bridge.waits_until("it says what it could not do", || bridge.says("could not be noted"));
    let tries = || {
        world
            .cluster_traffic()
            .entries()
            .iter()
            .filter(|entry| entry.kind == "patch builds")
            .count()
    };
    bridge.waits_until("it tries again", || tries() > 1);
    assert_eq!((imports(&world), is_noted(&world, "app-1")), (1, false));
    world.namespace("next");
    bridge.waits_until("no namespace fails for it", || {
        world.is_linked("next", &[]) && is_ready(&world)
    });
    world.clear_faults();
    bridge.waits_until("it is noted at last", || is_noted(&world, "app-1"));
    assert_eq!(imports(&world), 1);
}

#[test]
fn what_is_not_in_quay_is_told_once_and_fails_nothing() {
    let world = world();
    let bridge = Bridge::start(&world, &[]);
    complete(&world, "forged", "nowhere", &json!({ MANAGED: "true" }));
    bridge.waits_until("it says so", || bridge.says("it is not tried again"));
    bridge.waits_until("it is told in the namespace", || {
        world.list("Event", "shop").iter().any(|event| event["reason"] == "QuayImportFailed")
    });
    world.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    bridge.waits_until("others are imported", || is_noted(&world, "app-1"));
    world.namespace("next");
    bridge.waits_until("no namespace fails for it", || {
        world.is_linked("next", &[]) && is_ready(&world)
    });
    assert_eq!(imports(&world), 2);
    let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).run();
    assert!(!status.stdout.contains("QuayReconcileFailed"), "{}", status.stdout);
}

#[test]
fn imports_go_on_while_the_namespace_itself_fails() {
    let world = world();
    world.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    world.quay_traffic().fault(Fault::on("*", "/robots").status(500));
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("the namespace fails", || bridge.says("namespace shop: failed"));
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    bridge.waits_until("it is imported", || is_noted(&world, "app-1"));
}

#[test]
fn a_tag_that_was_taken_away_stays_away_and_what_no_webhook_rewrote_is_left() {
    let world = world();
    for tag in ["old", "by-hand"] {
        world.sandbox.quay.push_tag("openshift_shop", "app", tag).unwrap();
    }
    // From before the bridge's time: the tag has an image already.
    complete(&world, "old", "old", &json!({ MANAGED: "true" }));
    let long_ago = json!({ "status": { "completionTimestamp": "2020-01-01T00:00:00Z" } });
    world.merge("Build", "shop", "old", &long_ago);
    world.oc_quay(&["import", "app:old", "-n", "shop", "--yes"]).succeeds();
    let bridge = Bridge::start(&world, &[]);
    complete(&world, "by-hand", "by-hand", &json!({}));
    world.forget_traffic();
    delete_tags(&world);
    bridge.settles();
    // Something else happens in the namespace.
    world.image_stream("shop", "cron");
    bridge.waits_until("it is looked at", || {
        world.is_linked("shop", &["app", "base", "cron", "web"])
    });
    bridge.settles();
    assert_eq!(
        (imports(&world), has_image(&world, "old"), has_image(&world, "by-hand")),
        (0, false, false)
    );
}

#[test]
fn a_build_that_ended_before_the_bridge_started_comes_into_its_tag() {
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
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("it is imported", || is_noted(&world, "app-1"));
    assert_eq!(world.newest_item("shop", "app", "1").unwrap()["image"], pushed.as_str());
}

#[test]
fn a_rollback_stays_after_an_import_that_was_not_noted() {
    let world = world();
    world.sandbox.quay.push_tag("openshift_shop", "app", "1").unwrap();
    lose_notes_after_an_import(&world);
    complete(&world, "app-1", "1", &json!({ MANAGED: "true" }));
    world.merge(
        "Build",
        "shop",
        "app-1",
        &json!({ "status": { "completionTimestamp": "2020-01-02T00:00:00Z" } }),
    );
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("it is imported", || has_image(&world, "1"));
    drop(bridge);
    let rolled_back = world.push_inside("shop", "app", "1");
    let from = json!({ "kind": "ImageStreamImage", "name": format!("app@{rolled_back}") });
    world.merge(
        "ImageStream",
        "shop",
        "app",
        &json!({ "spec": { "tags": [{ "name": "1", "from": from }] } }),
    );
    world.clear_faults();
    let _bridge = Bridge::start(&world, &[]);
    world.wait_for("it to be noted", || is_noted(&world, "app-1"));
    assert_eq!(
        (imports(&world), world.newest_item("shop", "app", "1").unwrap()["image"].clone()),
        (1, json!(rolled_back))
    );
}
