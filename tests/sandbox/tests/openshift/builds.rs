//! Builds and BuildConfigs: what the API fills in and rejects, and how far the build controller takes them.

use std::time::Duration;

use sandbox::openshift::Cluster;
use serde_json::{Value, json};

use super::{ACCOUNTS, Api, STREAMS};

const BUILDS: &str = "/apis/build.openshift.io/v1/namespaces/myproj/builds";
const CONFIGS: &str = "/apis/build.openshift.io/v1/namespaces/myproj/buildconfigs";

/// A BuildConfig `app` with an output, or none.
fn config(to: &Value) -> Value {
    json!({"metadata": {"name": "app", "labels": {"app": "shop"}}, "spec": {
        "source": {"dockerfile": "FROM scratch"}, "strategy": {"dockerStrategy": {}}, "output": {"to": to},
    }})
}

fn stream_tag(name: &str) -> Value {
    json!({"kind": "ImageStreamTag", "name": name})
}

/// The request of `oc start-build app`.
fn start(api: &Api) -> super::Answer {
    api.send_json(
        "POST",
        &format!("{CONFIGS}/app/instantiate"),
        &json!({"kind": "BuildRequest", "metadata": {"name": "app"}}),
    )
}

fn prepared(internal_registry: bool) -> Api {
    let cluster =
        Cluster { settle: Duration::from_millis(20), internal_registry, ..Cluster::default() };
    let api = Api::with(cluster);
    api.eventually(&format!("{ACCOUNTS}/builder"), 200, &json!({}));
    api
}

#[test]
fn build_has_number_labels_and_spec_of_its_build_config() {
    let api = Api::asleep();
    api.send_json("POST", ACCOUNTS, &json!({"metadata": {"name": "builder"}}))
        .expect(201, &json!({}));
    let expected = json!({"spec": {"runPolicy": "Serial"}, "status": {"lastVersion": 0}});
    api.send_json("POST", CONFIGS, &config(&stream_tag("app:latest"))).expect(201, &expected);
    let name = "openshift.io/build-config.name";
    let expected = json!({
        "metadata": {
            "name": "app-1",
            "annotations": {name: "app", "openshift.io/build.number": "1"},
            "labels": {name: "app", "buildconfig": "app", "openshift.io/build.start-policy": "Serial", "app": "shop"},
        },
        "spec": {
            "serviceAccount": "builder",
            "output": {"to": stream_tag("app:latest")},
            "triggeredBy": [{"message": "Manually triggered"}],
            "runPolicy": null,
        },
        "status": {"phase": "New", "config": {"kind": "BuildConfig", "name": "app", "namespace": "myproj"}},
    });
    start(&api).expect(201, &expected);
    start(&api).expect(201, &json!({"metadata": {"name": "app-2"}}));
    assert_eq!(api.get(&format!("{CONFIGS}/app"))["status"]["lastVersion"], 2);
}

#[test]
fn repeated_build_has_the_next_number() {
    let api = Api::asleep();
    api.send_json("POST", ACCOUNTS, &json!({"metadata": {"name": "builder"}}))
        .expect(201, &json!({}));
    api.send_json("POST", CONFIGS, &config(&stream_tag("app:latest"))).expect(201, &json!({}));
    start(&api).expect(201, &json!({}));
    let image =
        json!({"kind": "DockerImage", "name": "quay.example.com/openshift_myproj/app:latest"});
    api.patch("merge", &format!("{CONFIGS}/app"), &json!({"spec": {"output": {"to": image}}}))
        .expect(200, &json!({}));
    let noted = json!({"metadata": {"annotations": {"example.com/noted": "true"}}});
    api.patch("merge", &format!("{BUILDS}/app-1"), &noted).expect(200, &json!({}));
    let request = json!({"kind": "BuildRequest", "metadata": {"name": "app-1"}});
    let annotations = json!({
        "example.com/noted": "true", "openshift.io/build.number": "2", "openshift.io/build.clone-of": "app-1",
    });
    let expected = json!({
        "metadata": {"name": "app-2", "annotations": annotations},
        "spec": {"output": {"to": stream_tag("app:latest")}},
        "status": {"phase": "New"},
    });
    api.send_json("POST", &format!("{BUILDS}/app-1/clone"), &request).expect(201, &expected);
}

#[test]
fn rejected_build_uses_its_number() {
    let api = Api::asleep();
    api.send_json("POST", ACCOUNTS, &json!({"metadata": {"name": "builder"}}))
        .expect(201, &json!({}));
    api.send_json("POST", CONFIGS, &config(&Value::Null)).expect(201, &json!({}));
    let taken =
        json!({"metadata": {"name": "app-1"}, "spec": {"strategy": {"customStrategy": {}}}});
    api.send_json("POST", BUILDS, &taken).expect(201, &json!({}));
    start(&api).expect(409, &json!({"reason": "AlreadyExists"}));
    start(&api).expect(201, &json!({"metadata": {"name": "app-2"}}));
}

#[test]
fn builds_need_an_active_build_config_and_a_service_account() {
    let api = Api::asleep();
    start(&api).rejected(404, "NotFound", "buildconfigs.build.openshift.io \"app\" not found");
    api.send_json("POST", CONFIGS, &config(&Value::Null)).expect(201, &json!({}));
    let message = "Internal error occurred: error getting push/pull secrets for service account myproj/builder: \
                   serviceaccounts \"builder\" not found";
    start(&api).rejected(500, "InternalError", message);
    let paused = json!({"metadata": {"annotations": {"openshift.io/build-config.paused": "true"}}});
    api.patch("merge", &format!("{CONFIGS}/app"), &paused).expect(200, &json!({}));
    start(&api).rejected(
        400,
        "BadRequest",
        "can't instantiate from BuildConfig myproj/app: BuildConfig is paused",
    );
    for (user, status) in [("dev", 400), ("guest", 403)] {
        assert_eq!(
            api.call(user, "POST", &format!("{CONFIGS}/app/instantiate")).status,
            status,
            "{user}"
        );
    }
}

#[test]
fn validates_outputs_and_strategies() {
    let api = Api::asleep();
    for (to, rejection) in [
        (stream_tag("app"), "ImageStreamTag object references must be in the form <name>:<tag>"),
        (
            stream_tag("app:1:2"),
            "ImageStreamTag object references must be in the form <name>:<tag>",
        ),
        (stream_tag(""), "spec.output.to.name: Required value"),
        (stream_tag("App:1"), "ImageStreamTag name contains invalid syntax"),
        (
            json!({"kind": "DockerImage", "name": "q/o/a", "namespace": "x"}),
            "namespace is not valid when used with a 'DockerImage'",
        ),
        (
            json!({"kind": "ImageStream", "name": "app"}),
            "the target of build output must be an 'ImageStreamTag' or 'DockerImage'",
        ),
        (json!({"name": "app"}), "spec.output.to.kind: Required value"),
    ] {
        let rejected =
            api.send_json("POST", CONFIGS, &config(&to)).expect(422, &json!({"reason": "Invalid"}));
        assert!(rejected["message"].as_str().unwrap().ends_with(rejection), "{rejected}");
    }
    let mut two = config(&Value::Null);
    two["spec"]["strategy"]["sourceStrategy"] = json!({});
    api.send_json("POST", CONFIGS, &two).expect(422, &json!({}));
    let mut nothing = config(&Value::Null);
    nothing["spec"]["source"] = json!({});
    api.send_json("POST", CONFIGS, &nothing).expect(422, &json!({}));
}

#[test]
fn only_the_push_secret_of_a_build_is_mutable() {
    let api = Api::asleep();
    let mut build = config(&stream_tag("app:1"));
    build["metadata"]["name"] = json!("app-1");
    let mut stored =
        api.send_json("POST", BUILDS, &build).expect(201, &json!({"status": {"phase": "New"}}));
    stored["status"]["phase"] = json!("Running");
    stored["spec"]["output"]["pushSecret"] = json!({"name": "builder-quay-openshift"});
    let path = format!("{BUILDS}/app-1");
    let mut stored =
        api.send_json("PUT", &path, &stored).expect(200, &json!({"status": {"phase": "Running"}}));
    let phases: Vec<&str> = stored["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["status"].as_str().unwrap())
        .collect();
    assert_eq!(phases, ["False", "True"], "New, Running");

    let mut moved = stored.clone();
    moved["spec"]["output"]["to"] =
        json!({"kind": "DockerImage", "name": "quay.example.com/openshift_myproj/app:1"});
    let rejected = api.send_json("PUT", &path, &moved).expect(422, &json!({"reason": "Invalid"}));
    let diff = r#"spec is immutable, diff: {"spec":{"output":{"to":{"kind":"DockerImage","name":"quay.example.com/openshift_myproj/app:1"}}}}"#;
    assert!(rejected["message"].as_str().unwrap().ends_with(diff), "{rejected}");

    stored["status"]["phase"] = json!("Complete");
    let mut stored = api.send_json("PUT", &path, &stored).expect(200, &json!({}));
    stored["status"]["phase"] = json!("Running");
    api.send_json("PUT", &path, &stored).expect(422, &json!({}));
}

#[test]
fn build_pushes_to_internal_registry_with_generated_secret() {
    let api = prepared(true);
    api.send_json("POST", STREAMS, &json!({"metadata": {"name": "app"}})).expect(201, &json!({}));
    api.send_json("POST", CONFIGS, &config(&stream_tag("app:latest"))).expect(201, &json!({}));
    start(&api).expect(201, &json!({}));
    let image = "image-registry.openshift-image-registry.svc:5000/myproj/app:latest";
    let expected =
        json!({"phase": "Complete", "outputDockerImageReference": image, "reason": null});
    let build = api.eventually(&format!("{BUILDS}/app-1"), 200, &json!({"status": expected}));
    assert_eq!(
        build["spec"]["output"]["to"],
        stream_tag("app:latest"),
        "only the status names the output"
    );
    let secret = build["spec"]["output"]["pushSecret"]["name"].as_str().unwrap();
    assert!(secret.starts_with("builder-dockercfg-"), "{secret}");
    let tag = api.get(&format!("{STREAMS}/app"))["status"]["tags"][0].clone();
    assert_eq!(
        (&tag["tag"], &tag["items"][0]["image"]),
        (&json!("latest"), &build["status"]["output"]["to"]["imageDigest"])
    );
}

#[test]
fn build_without_output_registry_remains_new_with_a_reason() {
    let api = prepared(false);
    api.send_json("POST", STREAMS, &json!({"metadata": {"name": "app"}})).expect(201, &json!({}));
    let mut parallel = config(&stream_tag("app:latest"));
    parallel["spec"]["runPolicy"] = json!("Parallel");
    api.send_json("POST", CONFIGS, &parallel).expect(201, &json!({}));
    start(&api).expect(201, &json!({}));
    let message = "Output image could not be resolved.";
    let waiting =
        json!({"status": {"phase": "New", "reason": "InvalidOutputReference", "message": message}});
    api.eventually(&format!("{BUILDS}/app-1"), 200, &waiting);

    // Without an internal registry there is no pull secret either, and nothing is built without one.
    let to = json!({"kind": "DockerImage", "name": "quay.example.com/openshift_myproj/app:latest"});
    api.patch("merge", &format!("{CONFIGS}/app"), &json!({"spec": {"output": {"to": to}}}))
        .expect(200, &json!({}));
    start(&api).expect(201, &json!({}));
    let waiting = json!({"status": {"phase": "New", "reason": "CannotRetrieveServiceAccount"}});
    api.eventually(&format!("{BUILDS}/app-2"), 200, &waiting);
}

#[test]
fn builds_run_serially_and_a_cancelled_one_is_skipped() {
    let api = prepared(false);
    api.send_json("POST", CONFIGS, &config(&stream_tag("app:latest"))).expect(201, &json!({}));
    start(&api).expect(201, &json!({}));
    start(&api).expect(201, &json!({}));
    api.eventually(
        &format!("{BUILDS}/app-1"),
        200,
        &json!({"status": {"reason": "InvalidOutputReference"}}),
    );
    api.get(&format!("{BUILDS}/app-2"))["status"]["reason"].as_null().expect("it waits its turn");
    api.patch("merge", &format!("{BUILDS}/app-1"), &json!({"status": {"cancelled": true}}))
        .expect(200, &json!({}));
    api.eventually(&format!("{BUILDS}/app-1"), 200, &json!({"status": {"phase": "Cancelled"}}));
    api.eventually(
        &format!("{BUILDS}/app-2"),
        200,
        &json!({"status": {"reason": "InvalidOutputReference"}}),
    );
}

#[test]
fn build_config_changes_need_permission_to_build() {
    let api = Api::asleep();
    api.sandbox.openshift.grant("dev", "myproj");
    api.send_json("POST", ACCOUNTS, &json!({"metadata": {"name": "builder"}}))
        .expect(201, &json!({}));
    let dev = |method: &str, path: &str, body: &Value| {
        let content_type =
            if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        api.send(
            api.request("dev", method, path)
                .header("Content-Type", content_type)
                .body(body.to_string()),
        )
    };
    dev("POST", CONFIGS, &config(&stream_tag("app:latest"))).expect(201, &json!({}));

    let mut custom = config(&stream_tag("app:latest"));
    custom["metadata"]["name"] = json!("own");
    custom["spec"]["strategy"] =
        json!({"customStrategy": {"from": {"kind": "DockerImage", "name": "builder"}}});
    let rejected = "buildconfigs.build.openshift.io \"own\" is forbidden: build strategy Custom is not allowed";
    dev("POST", CONFIGS, &custom).rejected(403, "Forbidden", rejected);
    api.send_json("POST", CONFIGS, &custom).expect(201, &json!({}));
    let request = json!({"kind": "BuildRequest", "metadata": {"name": "own"}});
    dev("POST", &format!("{CONFIGS}/own/instantiate"), &request).rejected(
        403,
        "Forbidden",
        rejected,
    );
    api.send_json("POST", &format!("{CONFIGS}/own/instantiate"), &request).expect(201, &json!({}));

    let build = format!("{BUILDS}/own-1");
    let rejected =
        "builds.build.openshift.io \"own-1\" is forbidden: build strategy Custom is not allowed";
    dev("PATCH", &build, &json!({"metadata": {"annotations": {"a": "b"}}})).rejected(
        403,
        "Forbidden",
        rejected,
    );
    // Fields of garbage collection need no special permission.
    dev("PATCH", &build, &json!({"metadata": {"finalizers": ["a/b"]}})).expect(200, &json!({}));
}
