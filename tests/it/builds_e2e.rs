//! The whole way of a build: from `oc start-build` to a tag in the image stream that points at Quay.

use std::net::TcpListener;
use std::time::Duration;

use oc_quay::controller::webhook;
use oc_quay::domain::builds::{DESTINATION_ANNOTATION, IMPORTED_ANNOTATION, MANAGED_ANNOTATION};
use reqwest::Method;
use sandbox::tls::Authority;
use serde_json::{Value, json};

use crate::support::{Bridge, World};

/// Nodes, and so builds and imports, need not trust Quay's certificate.
fn trust_everybody(world: &World) {
    world.merge("QuayIntegration", "", "quay", &json!({ "spec": { "insecureRegistry": true } }));
}

fn to_stream() -> Value {
    json!({ "to": { "kind": "ImageStreamTag", "name": "app:latest" } })
}

/// Whether the newest image of `app:latest` in the stream is the one that Quay has, and is to be pulled from there.
#[track_caller]
fn assert_points_at_quay(world: &World, namespace: &str) {
    let digest = world
        .quay_digest(&format!("openshift_{namespace}"), "app", "latest")
        .expect("the tag is in Quay");
    let newest = world.newest_item(namespace, "app", "latest").expect("the tag is in the stream");
    assert_eq!(newest["image"], digest.as_str());
    let reference = format!("{}/openshift_{namespace}/app@{digest}", world.sandbox.quay.host());
    assert_eq!(newest["dockerImageReference"], reference.as_str());
}

#[test]
fn a_rewritten_build_config_pushes_to_quay_and_an_import_brings_the_tag() {
    let world = World::new();
    trust_everybody(&world);
    world.oc_quay(&["link", "shop", "--yes"]).succeeds();
    world.build_config("shop", "app", &to_stream());
    world.oc_quay(&["builds", "rewrite", "app", "-n", "shop", "--yes"]).succeeds();
    let name = world.start_build("shop", "app");
    let build = world.wait_for_build("shop", &name, "Complete");
    assert_eq!(build["spec"]["output"]["pushSecret"]["name"], "builder-quay-openshift");
    assert_eq!(
        build["status"]["output"]["to"]["imageDigest"],
        json!(world.quay_digest("openshift_shop", "app", "latest"))
    );
    assert_eq!(world.newest_item("shop", "app", "latest"), None, "nobody has imported it");
    world.oc_quay(&["import", "app", "-n", "shop", "--yes"]).succeeds();
    assert_points_at_quay(&world, "shop");

    // Put back, the next build goes where the first would have gone.
    world.oc_quay(&["builds", "restore", "app", "-n", "shop", "--yes"]).succeeds();
    let name = world.start_build("shop", "app");
    // The build controller adds the secret that it chooses.
    assert_eq!(
        world.get("Build", "shop", &name).unwrap()["spec"]["output"]["to"],
        to_stream()["to"]
    );
}

/// An image stream that builds pushed to in OpenShift's own registry, before they pushed to Quay.
#[test]
fn tags_of_the_time_before_follow_quay_once_a_build_has_pushed_there() {
    let Some(world) = World::stand_in("OpenShift's own registry is not there") else { return };
    trust_everybody(&world);
    world.oc_quay(&["link", "shop", "--yes"]).succeeds();
    let build = |name: &str| {
        let build = world.start_build("shop", name);
        world.wait_for_build("shop", &build, "Complete");
    };
    for name in ["app", "web"] {
        world.build_config(
            "shop",
            name,
            &json!({ "to": { "kind": "ImageStreamTag", "name": format!("{name}:latest") } }),
        );
        build(name);
        assert!(
            world.newest_item("shop", name, "latest").is_some(),
            "it was pushed to OpenShift's own registry"
        );
    }
    // Which of two is the later one shows to the second.
    std::thread::sleep(Duration::from_millis(1100));
    world.build_config(
        "shop",
        "fresh",
        &json!({ "to": { "kind": "ImageStreamTag", "name": "fresh:latest" } }),
    );
    let repaired = world.oc_quay(&["repair", "-n", "shop", "--yes"]).run().stdout;
    assert!(repaired.contains("create private repository openshift_shop/fresh"), "{repaired}");

    let told = world.oc_quay(&["builds", "rewrite", "-n", "shop", "--yes"]).succeeds().stderr;
    assert!(told.contains("oc quay import app:latest fresh:latest web:latest -n shop"), "{told}");
    ["app", "fresh", "web"].into_iter().for_each(build);
    let status = || world.oc_quay(&["status", "-n", "shop", "-o", "json"]).run().json();
    let hints = |report: &Value| {
        let findings = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["code"] == "OQ521");
        findings.map(|finding| finding["hint"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let by_name =
        ["app", "fresh", "web"].map(|name| format!("oc quay import {name}:latest -n shop"));
    assert_eq!(hints(&status()), by_name);
    for hint in &by_name[..2] {
        let command: Vec<&str> = hint.split(' ').skip(2).chain(["--yes"]).collect();
        world.oc_quay(&command).succeeds();
    }
    assert_eq!(hints(&status()), by_name[2..]);
    world.oc_quay(&["import", "--missing", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(hints(&status()), [""; 0]);
    assert_points_at_quay(&world, "shop");
    assert!(
        world.newest_item("shop", "fresh", "latest").is_some(),
        "the import made the image stream"
    );
}

/// What the operator's own end-to-end test expects, of the bridge in its place: secrets soon after the project, an output
/// in Quay, a build that completes, and a stream whose newest image is in Quay.
#[test]
fn the_bridge_takes_a_build_from_its_start_to_a_tag_that_points_at_quay() {
    let world = World::bare();
    world.integration();
    trust_everybody(&world);
    let (bridge, url) = with_webhook(&world, &[]);
    world.namespace("e2e");
    world.image_stream("e2e", "app");
    bridge.waits_until("e2e is linked", || world.is_linked("e2e", &["app"]));
    world.wait_for("the webhook to be called", || is_rewritten(&world, "e2e"));
    world.build_config("e2e", "app", &to_stream());
    bridge.settles();
    world.forget_traffic();

    let name = world.start_build("e2e", "app");
    let image = format!("{}/openshift_e2e/app:latest", world.sandbox.quay.host());
    let started = world.get("Build", "e2e", &name).unwrap();
    assert_eq!(
        started["spec"]["output"]["to"],
        json!({ "kind": "DockerImage", "name": image }),
        "by {url}"
    );
    let noted =
        |build: &Value, annotation: &str| build["metadata"]["annotations"][annotation].clone();
    assert_eq!(noted(&started, MANAGED_ANNOTATION), "true");
    assert_eq!(noted(&started, DESTINATION_ANNOTATION), "e2e/app:latest");
    let complete = world.wait_for_build("e2e", &name, "Complete");
    assert_eq!(
        complete["spec"]["output"]["pushSecret"]["name"], "builder-quay-openshift",
        "chosen by the build controller"
    );
    let build = || world.get("Build", "e2e", &name).unwrap();
    bridge.waits_until("the build is imported", || noted(&build(), IMPORTED_ANNOTATION) == "true");
    assert_points_at_quay(&world, "e2e");
    bridge.settles();
    println!(
        "a build, from its start to its tag: {} requests to Quay, {} writes to the cluster",
        bridge.requests_to_quay(),
        world.cluster_traffic().writes().len()
    );
    let imports = world
        .cluster_traffic()
        .writes()
        .iter()
        .filter(|entry| entry.path.contains("imagestreamimports"))
        .count();
    assert_eq!(
        (bridge.requests_to_quay(), imports),
        (0, 1),
        "OpenShift fetches the tag; the bridge asks Quay for nothing"
    );
}

/// What is pushed to has to be there: robot accounts may create no repository.
#[test]
fn a_build_config_without_an_image_stream_has_a_repository() {
    let world = World::bare();
    world.integration();
    trust_everybody(&world);
    let (bridge, _) = with_webhook(&world, &[]);
    world.namespace("e2e");
    bridge.waits_until("e2e is linked", || world.is_linked("e2e", &[]));
    world.wait_for("the webhook to be called", || is_rewritten(&world, "e2e"));
    world.build_config(
        "e2e",
        "app",
        &json!({ "to": { "kind": "ImageStreamTag", "name": "fresh:1" } }),
    );
    let has_repository = || world.sandbox.quay.repositories("openshift_e2e") == ["fresh"];
    bridge.waits_until("its repository is there", has_repository);
    let name = world.start_build("e2e", "app");
    world.wait_for_build("e2e", &name, "Complete");
    bridge
        .waits_until("the build is imported", || world.newest_item("e2e", "fresh", "1").is_some());
    world.assert_within_the_bridges_rights();
    let status = world.oc_quay(&["status", "-n", "e2e", "-o", "json"]).run();
    assert!(!status.codes().contains(&"OQ401".to_owned()), "{}", status.stdout);
}

#[test]
fn a_build_that_does_not_push_to_quay_is_told_of_where_it_is_and_no_stranger_has_anything_told() {
    let world = World::bare();
    world.integration();
    let (bridge, url) = with_webhook(&world, &[]);
    world.namespace("e2e");
    bridge.waits_until("e2e is linked", || world.is_linked("e2e", &[]));
    let events = || {
        let events = world
            .list("Event", "e2e")
            .into_iter()
            .filter(|event| event["reason"] == "QuayBuildNotPushed");
        events.map(|event| event["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };

    // Whoever reaches the webhook may ask it, and gets an answer, and that is all.
    let stranger = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .no_proxy()
        .build()
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // That it was linked is told a moment later.
    bridge.settles();
    world.forget_traffic();
    for namespace in ["e2e", "a/STRANGE/b"] {
        let review = json!({ "request": {
            "uid": "1", "operation": "CREATE", "namespace": namespace, "name": "STRANGE",
            "resource": { "group": "build.openshift.io", "resource": "builds" },
            "object": { "metadata": {}, "spec": {
                "serviceAccount": "deployer", "strategy": { "dockerStrategy": {} }, "output": to_stream(),
            } },
        } });
        let answer = runtime.block_on(stranger.post(&url).body(review.to_string()).send()).unwrap();
        assert_eq!(answer.status(), 200);
    }
    bridge.settles();
    let asked = world
        .cluster_traffic()
        .entries()
        .into_iter()
        .filter(|entry| entry.path.contains("/events"));
    assert_eq!((events(), asked.count()), (vec![], 0));

    world.create(&json!({
        "apiVersion": "build.openshift.io/v1", "kind": "Build", "metadata": { "name": "by-hand", "namespace": "e2e" },
        "spec": {
            "serviceAccount": "deployer", "source": { "dockerfile": "FROM scratch" }, "strategy": { "dockerStrategy": {} },
            "output": to_stream(),
        },
    }));
    let why = "build by-hand: the output of this build stays as it is: service account deployer has no login to push to Quay yet";
    bridge.waits_until("it is told", || events() == [why]);
    world.assert_within_the_bridges_rights();
}

/// The bridge with its webhook, which the API server is told of; and where that is.
pub(crate) fn with_webhook<'a>(world: &'a World, arguments: &[&str]) -> (Bridge<'a>, String) {
    let authority = Authority::new().unwrap();
    authority.write_server_files(&["127.0.0.1"], world.dir()).unwrap();
    // Free a moment ago; nobody else has a reason to take it.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let folder = world.dir().to_str().unwrap();
    let bridge = Bridge::start(
        world,
        &[&["--webhook-bind-address", &address, "--webhook-cert-dir", folder], arguments].concat(),
    );
    let url = format!("https://{address}{}", webhook::PATH);
    world.webhook(&url, &authority);
    (bridge, url)
}

/// Whether a build that is only tried comes out rewritten: a real API server takes a moment to learn of a webhook.
pub(crate) fn is_rewritten(world: &World, namespace: &str) -> bool {
    let build = json!({
        "apiVersion": "build.openshift.io/v1", "kind": "Build", "metadata": { "name": "tried" },
        "spec": { "source": { "dockerfile": "FROM scratch" }, "strategy": { "dockerStrategy": {} }, "output": to_stream() },
    });
    let path = format!("/apis/build.openshift.io/v1/namespaces/{namespace}/builds?dryRun=All");
    let (status, tried) = world.api(Method::POST, &path, Some(&build));
    status == 201 && tried["spec"]["output"]["to"]["kind"] == "DockerImage"
}
