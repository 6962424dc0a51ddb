//! A build from `oc start-build` to a tag in the image stream that refers to Quay.

use std::net::TcpListener;
use std::time::Duration;

use oc_quay::controller::webhook;
use oc_quay::domain::builds::{DESTINATION_ANNOTATION, IMPORTED_ANNOTATION, MANAGED_ANNOTATION};
use reqwest::Method;
use sandbox::tls::Authority;
use serde_json::{Value, json};

use crate::support::{Controller, TestEnv};

/// Makes builds and imports work without trust in Quay's certificate.
fn trust_everybody(env: &TestEnv) {
    env.merge("QuayIntegration", "", "quay", &json!({ "spec": { "insecureRegistry": true } }));
}

fn to_stream() -> Value {
    json!({ "to": { "kind": "ImageStreamTag", "name": "app:latest" } })
}

/// Asserts that the newest image of `app:latest` is the one in Quay, and is pulled from there.
#[track_caller]
fn assert_points_at_quay(env: &TestEnv, namespace: &str) {
    let digest = env
        .quay_digest(&format!("openshift_{namespace}"), "app", "latest")
        .expect("the tag is in Quay");
    let newest = env.newest_item(namespace, "app", "latest").expect("the tag is in the stream");
    assert_eq!(newest["image"], digest.as_str());
    let reference = format!("{}/openshift_{namespace}/app@{digest}", env.sandbox.quay.host());
    assert_eq!(newest["dockerImageReference"], reference.as_str());
}

#[test]
fn rewritten_build_config_pushes_to_quay_and_tag_is_imported() {
    let env = TestEnv::new();
    trust_everybody(&env);
    env.oc_quay(&["link", "shop", "--yes"]).succeeds();
    env.build_config("shop", "app", &to_stream());
    env.oc_quay(&["builds", "rewrite", "app", "-n", "shop", "--yes"]).succeeds();
    let name = env.start_build("shop", "app");
    let build = env.wait_for_build("shop", &name, "Complete");
    assert_eq!(build["spec"]["output"]["pushSecret"]["name"], "builder-quay-openshift");
    assert_eq!(
        build["status"]["output"]["to"]["imageDigest"],
        json!(env.quay_digest("openshift_shop", "app", "latest"))
    );
    assert_eq!(env.newest_item("shop", "app", "latest"), None, "not imported yet");
    env.oc_quay(&["import", "app", "-n", "shop", "--yes"]).succeeds();
    assert_points_at_quay(&env, "shop");

    // After a restore, the next build has the original output.
    env.oc_quay(&["builds", "restore", "app", "-n", "shop", "--yes"]).succeeds();
    let name = env.start_build("shop", "app");
    assert_eq!(env.get("Build", "shop", &name).unwrap()["spec"]["output"]["to"], to_stream()["to"]);
}

/// An image stream with builds in the internal registry, before they pushed to Quay.
#[test]
fn existing_tags_follow_quay_after_a_build_pushed() {
    let Some(env) = TestEnv::stand_in("no internal registry") else { return };
    trust_everybody(&env);
    env.oc_quay(&["link", "shop", "--yes"]).succeeds();
    let build = |name: &str| {
        let build = env.start_build("shop", name);
        env.wait_for_build("shop", &build, "Complete");
    };
    for name in ["app", "web"] {
        env.build_config(
            "shop",
            name,
            &json!({ "to": { "kind": "ImageStreamTag", "name": format!("{name}:latest") } }),
        );
        build(name);
        assert!(
            env.newest_item("shop", name, "latest").is_some(),
            "it was pushed to the internal registry"
        );
    }
    // The order of two builds has a resolution of a second.
    std::thread::sleep(Duration::from_millis(1100));
    env.build_config(
        "shop",
        "fresh",
        &json!({ "to": { "kind": "ImageStreamTag", "name": "fresh:latest" } }),
    );
    let repaired = env.oc_quay(&["repair", "-n", "shop", "--yes"]).run().stdout;
    assert!(repaired.contains("create private repository openshift_shop/fresh"), "{repaired}");

    let reported = env.oc_quay(&["builds", "rewrite", "-n", "shop", "--yes"]).succeeds().stderr;
    assert!(
        reported.contains("oc quay import app:latest fresh:latest web:latest -n shop"),
        "{reported}"
    );
    ["app", "fresh", "web"].into_iter().for_each(build);
    let status = || env.oc_quay(&["status", "-n", "shop", "-o", "json"]).run().json();
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
        env.oc_quay(&command).succeeds();
    }
    assert_eq!(hints(&status()), by_name[2..]);
    env.oc_quay(&["import", "--missing", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(hints(&status()), [""; 0]);
    assert_points_at_quay(&env, "shop");
    assert!(
        env.newest_item("shop", "fresh", "latest").is_some(),
        "the import made the image stream"
    );
}

/// The expectations of the operator's end-to-end test, met by the controller: secrets soon after the project, an output
/// in Quay, a build that completes, and a stream whose newest image is in Quay.
#[test]
fn controller_rewrites_a_build_and_imports_its_tag() {
    let env = TestEnv::bare();
    env.integration();
    trust_everybody(&env);
    let (controller, url) = with_webhook(&env, &[]);
    env.namespace("e2e");
    env.image_stream("e2e", "app");
    controller.wait_until("e2e is linked", || env.is_linked("e2e", &["app"]));
    env.wait_for("the webhook to be called", || is_rewritten(&env, "e2e"));
    env.build_config("e2e", "app", &to_stream());
    controller.wait_until_idle();
    env.forget_traffic();

    let name = env.start_build("e2e", "app");
    let image = format!("{}/openshift_e2e/app:latest", env.sandbox.quay.host());
    let started = env.get("Build", "e2e", &name).unwrap();
    assert_eq!(
        started["spec"]["output"]["to"],
        json!({ "kind": "DockerImage", "name": image }),
        "by {url}"
    );
    let noted =
        |build: &Value, annotation: &str| build["metadata"]["annotations"][annotation].clone();
    assert_eq!(noted(&started, MANAGED_ANNOTATION), "true");
    assert_eq!(noted(&started, DESTINATION_ANNOTATION), "e2e/app:latest");
    let complete = env.wait_for_build("e2e", &name, "Complete");
    assert_eq!(
        complete["spec"]["output"]["pushSecret"]["name"], "builder-quay-openshift",
        "chosen by the build controller"
    );
    let build = || env.get("Build", "e2e", &name).unwrap();
    controller
        .wait_until("the build is imported", || noted(&build(), IMPORTED_ANNOTATION) == "true");
    assert_points_at_quay(&env, "e2e");
    controller.wait_until_idle();
    println!(
        "a build, from its start to its tag: {} requests to Quay, {} writes to the cluster",
        controller.requests_to_quay(),
        env.cluster_traffic().writes().len()
    );
    let imports = env
        .cluster_traffic()
        .writes()
        .iter()
        .filter(|entry| entry.path.contains("imagestreamimports"))
        .count();
    assert_eq!(
        (controller.requests_to_quay(), imports),
        (0, 1),
        "OpenShift fetches the tag; the controller asks Quay for nothing"
    );
}

/// The repository must exist: robot accounts are not allowed to create one.
#[test]
fn creates_repository_for_build_config_without_image_stream() {
    let env = TestEnv::bare();
    env.integration();
    trust_everybody(&env);
    let (controller, _) = with_webhook(&env, &[]);
    env.namespace("e2e");
    controller.wait_until("e2e is linked", || env.is_linked("e2e", &[]));
    env.wait_for("the webhook to be called", || is_rewritten(&env, "e2e"));
    env.build_config(
        "e2e",
        "app",
        &json!({ "to": { "kind": "ImageStreamTag", "name": "fresh:1" } }),
    );
    let has_repository = || env.sandbox.quay.repositories("openshift_e2e") == ["fresh"];
    controller.wait_until("its repository is there", has_repository);
    let name = env.start_build("e2e", "app");
    env.wait_for_build("e2e", &name, "Complete");
    controller
        .wait_until("the build is imported", || env.newest_item("e2e", "fresh", "1").is_some());
    env.assert_uses_only_granted_permissions();
    let status = env.oc_quay(&["status", "-n", "e2e", "-o", "json"]).run();
    assert!(!status.codes().contains(&"OQ401".to_owned()), "{}", status.stdout);
}

#[test]
fn reports_builds_that_do_not_push_only_in_linked_namespaces() {
    let env = TestEnv::bare();
    env.integration();
    let (controller, url) = with_webhook(&env, &[]);
    env.namespace("e2e");
    controller.wait_until("e2e is linked", || env.is_linked("e2e", &[]));
    let events = || {
        let events = env
            .list("Event", "e2e")
            .into_iter()
            .filter(|event| event["reason"] == "QuayBuildNotPushed");
        events.map(|event| event["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };

    // A client outside of the cluster gets a response of the webhook, and no effect.
    let stranger = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .no_proxy()
        .build()
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // The event of the link follows with a delay.
    controller.wait_until_idle();
    env.forget_traffic();
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
    controller.wait_until_idle();
    let asked =
        env.cluster_traffic().entries().into_iter().filter(|entry| entry.path.contains("/events"));
    assert_eq!((events(), asked.count()), (vec![], 0));

    env.create(&json!({
        "apiVersion": "build.openshift.io/v1", "kind": "Build", "metadata": { "name": "by-hand", "namespace": "e2e" },
        "spec": {
            "serviceAccount": "deployer", "source": { "dockerfile": "FROM scratch" }, "strategy": { "dockerStrategy": {} },
            "output": to_stream(),
        },
    }));
    let why = "build by-hand: build output not rewritten: service account deployer has no push secret for Quay yet";
    controller.wait_until("it is reported", || events() == [why]);
    env.assert_uses_only_granted_permissions();
}

/// The controller with its webhook, which the API server is reported of; and where that is.
pub(crate) fn with_webhook<'a>(env: &'a TestEnv, arguments: &[&str]) -> (Controller<'a>, String) {
    let authority = Authority::new().unwrap();
    authority.write_server_files(&["127.0.0.1"], env.dir()).unwrap();
    // The port was free just now.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let folder = env.dir().to_str().unwrap();
    let controller = Controller::start(
        env,
        &[&["--webhook-bind-address", &address, "--webhook-cert-dir", folder], arguments].concat(),
    );
    let url = format!("https://{address}{}", webhook::PATH);
    env.webhook(&url, &authority);
    (controller, url)
}

/// True when a dry run rewrites a build: a real API server applies a webhook with a delay.
pub(crate) fn is_rewritten(env: &TestEnv, namespace: &str) -> bool {
    let build = json!({
        "apiVersion": "build.openshift.io/v1", "kind": "Build", "metadata": { "name": "tried" },
        "spec": { "source": { "dockerfile": "FROM scratch" }, "strategy": { "dockerStrategy": {} }, "output": to_stream() },
    });
    let path = format!("/apis/build.openshift.io/v1/namespaces/{namespace}/builds?dryRun=All");
    let (status, tried) = env.api(Method::POST, &path, Some(&build));
    status == 201 && tried["spec"]["output"]["to"]["kind"] == "DockerImage"
}
