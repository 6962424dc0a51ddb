//! Builds and BuildConfigs: what the API fills in and refuses, and how far the build controller takes them.

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

/// What `oc start-build app` sends.
fn start(api: &Api) -> super::Answer {
    api.send_json(
        "POST",
        &format!("{CONFIGS}/app/instantiate"),
        &json!({"kind": "BuildRequest", "metadata": {"name": "app"}}),
    )
}

fn furnished(internal_registry: bool) -> Api {
    let cluster =
        Cluster { settle: Duration::from_millis(20), internal_registry, ..Cluster::default() };
    let api = Api::with(cluster);
    api.eventually(&format!("{ACCOUNTS}/builder"), 200, &json!({}));
    api
}

#[test]
fn a_build_has_the_number_the_marks_and_the_spec_of_its_build_config() {
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
fn a_repeated_build_is_the_same_under_the_next_number() {
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
fn a_refused_build_uses_up_its_number() {
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
fn nothing_is_built_of_a_paused_or_missing_build_config_or_without_its_service_account() {
    let api = Api::asleep();
    start(&api).refused(404, "NotFound", "buildconfigs.build.openshift.io \"app\" not found");
    api.send_json("POST", CONFIGS, &config(&Value::Null)).expect(201, &json!({}));
    let message = "Internal error occurred: error getting push/pull secrets for service account myproj/builder: \
                   serviceaccounts \"builder\" not found";
    start(&api).refused(500, "InternalError", message);
    let paused = json!({"metadata": {"annotations": {"openshift.io/build-config.paused": "true"}}});
    api.patch("merge", &format!("{CONFIGS}/app"), &paused).expect(200, &json!({}));
    start(&api).refused(
        400,
        "BadRequest",
        "can't instantiate from BuildConfig myproj/app: BuildConfig is paused",
    );
    for (user, status) in [("dev", 400), ("nobody", 403)] {
        assert_eq!(
            api.call(user, "POST", &format!("{CONFIGS}/app/instantiate")).status,
            status,
            "{user}"
        );
    }
}

#[test]
fn outputs_and_strategies_are_checked() {
    let api = Api::asleep();
    for (to, refusal) in [
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
        let refused =
            api.send_json("POST", CONFIGS, &config(&to)).expect(422, &json!({"reason": "Invalid"}));
        assert!(refused["message"].as_str().unwrap().ends_with(refusal), "{refused}");
    }
    let mut two = config(&Value::Null);
    two["spec"]["strategy"]["sourceStrategy"] = json!({});
    api.send_json("POST", CONFIGS, &two).expect(422, &json!({}));
    let mut nothing = config(&Value::Null);
    nothing["spec"]["source"] = json!({});
    api.send_json("POST", CONFIGS, &nothing).expect(422, &json!({}));
}

#[test]
fn the_spec_of_a_build_is_immutable_but_for_its_push_secret() {
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
    let refused = api.send_json("PUT", &path, &moved).expect(422, &json!({"reason": "Invalid"}));
    let diff = r#"spec is immutable, diff: {"spec":{"output":{"to":{"kind":"DockerImage","name":"quay.example.com/openshift_myproj/app:1"}}}}"#;
    assert!(refused["message"].as_str().unwrap().ends_with(diff), "{refused}");

    stored["status"]["phase"] = json!("Complete");
    let mut stored = api.send_json("PUT", &path, &stored).expect(200, &json!({}));
    stored["status"]["phase"] = json!("Running");
    api.send_json("PUT", &path, &stored).expect(422, &json!({}));
}

#[test]
fn a_build_goes_to_the_internal_registry_by_the_secret_that_openshift_made() {
    let api = furnished(true);
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
        "only the status tells where it went"
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
fn a_build_without_somewhere_to_go_stays_new_and_says_why() {
    let api = furnished(false);
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
fn builds_of_one_build_config_go_one_after_another_and_a_cancelled_one_makes_way() {
    let api = furnished(false);
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
fn nobody_changes_what_they_may_not_build() {
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
    let refused = "buildconfigs.build.openshift.io \"own\" is forbidden: build strategy Custom is not allowed";
    dev("POST", CONFIGS, &custom).refused(403, "Forbidden", refused);
    api.send_json("POST", CONFIGS, &custom).expect(201, &json!({}));
    let request = json!({"kind": "BuildRequest", "metadata": {"name": "own"}});
    dev("POST", &format!("{CONFIGS}/own/instantiate"), &request).refused(403, "Forbidden", refused);
    api.send_json("POST", &format!("{CONFIGS}/own/instantiate"), &request).expect(201, &json!({}));

    let build = format!("{BUILDS}/own-1");
    let refused =
        "builds.build.openshift.io \"own-1\" is forbidden: build strategy Custom is not allowed";
    dev("PATCH", &build, &json!({"metadata": {"annotations": {"a": "b"}}})).refused(
        403,
        "Forbidden",
        refused,
    );
    // What garbage collection changes is nobody's privilege.
    dev("PATCH", &build, &json!({"metadata": {"finalizers": ["a/b"]}})).expect(200, &json!({}));
}
