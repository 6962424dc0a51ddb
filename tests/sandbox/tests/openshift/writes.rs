//! Create and update.

use serde_json::{Value, json};

use super::{ACCOUNTS, Api, INTEGRATIONS, SECRETS, STREAMS, integration, secret};

#[test]
fn a_created_object_gets_what_only_the_server_knows() {
    let api = Api::asleep();
    let created = api.send_json("POST", SECRETS, &secret("a")).expect(
        201,
        &json!({
            "kind": "Secret", "apiVersion": "v1", "type": "Opaque",
            "metadata": {"name": "a", "namespace": "myproj"},
            "data": {"token": "dA=="}, "stringData": null,
        }),
    );
    for field in ["uid", "creationTimestamp", "resourceVersion"] {
        assert!(created["metadata"][field].is_string(), "{field} in {created}");
    }
    assert_eq!(api.get(&format!("{SECRETS}/a")), created);

    let generated = json!({"metadata": {"generateName": "token-"}});
    let [first, second] = [(); 2].map(|()| api.send_json("POST", SECRETS, &generated).expect(201, &json!({})));
    let name = first["metadata"]["name"].as_str().unwrap();
    assert!(name.len() == "token-".len() + 5 && name.starts_with("token-"), "{name}");
    assert_ne!(first["metadata"]["name"], second["metadata"]["name"]);
}

#[test]
fn creates_are_refused_in_the_servers_words() {
    let api = Api::asleep();
    api.send_json("POST", SECRETS, &secret("a")).expect(201, &json!({}));
    api.send_json("POST", SECRETS, &secret("a")).refused(409, "AlreadyExists", "secrets \"a\" already exists");
    api.send_json("POST", "/api/v1/namespaces/nowhere/secrets", &secret("a")).refused(
        404,
        "NotFound",
        "namespaces \"nowhere\" not found",
    );
    let other_namespace = json!({"metadata": {"name": "b", "namespace": "default"}});
    let message = "the namespace of the provided object does not match the namespace sent on the request";
    api.send_json("POST", SECRETS, &other_namespace).refused(400, "BadRequest", message);

    for (what, body, code) in [
        ("a name with capitals", secret("Upper"), 422),
        ("a name that begins with a dash", secret("-a"), 422),
        ("a name of 254 characters", secret(&"a".repeat(254)), 422),
        ("no name", json!({"data": {}}), 422),
        ("a label value with a slash", json!({"metadata": {"name": "b", "labels": {"a": "b/c"}}}), 422),
        ("a label key of two slashes", json!({"metadata": {"name": "b", "labels": {"a/b/c": ""}}}), 422),
        ("a finalizer without a domain", json!({"metadata": {"name": "b", "finalizers": ["b"]}}), 422),
        ("a data key with a slash", json!({"metadata": {"name": "b"}, "data": {"a/b": ""}}), 422),
        ("data that is not base64", json!({"metadata": {"name": "b"}, "data": {"a": "?"}}), 400),
        ("data that is no map", json!({"metadata": {"name": "b"}, "data": ["a"]}), 400),
        ("another kind", json!({"kind": "ConfigMap", "metadata": {"name": "b"}}), 400),
        ("another version", json!({"apiVersion": "v2", "metadata": {"name": "b"}}), 400),
        ("no object", json!(["a"]), 400),
        ("metadata that is no map", json!({"metadata": "b"}), 400),
        ("an old version", json!({"metadata": {"name": "b", "resourceVersion": "1"}}), 500),
    ] {
        let answer = api.send_json("POST", SECRETS, &body);
        assert_eq!(answer.status, code, "{what}: {}", answer.body);
        assert_eq!(answer.body["kind"], "Status", "{what}");
    }
    assert_eq!(api.get(SECRETS)["items"].as_array().unwrap().len(), 1, "nothing that was refused is stored");

    let text = api.request("admin", "POST", SECRETS).header("Content-Type", "text/plain").body("{}");
    assert_eq!(api.send(text).status, 415);
    let cut = api.request("admin", "POST", SECRETS).header("Content-Type", "application/json").body("{");
    assert_eq!(api.send(cut).status, 400);
}

#[test]
fn reads_protobuf_of_kinds_that_kubectl_creates() {
    let api = Api::asleep();
    let field = |number: u8, content: &[u8]| [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat();
    let entry = [field(1, b"key"), field(2, b"value")].concat();
    let metadata = [field(1, b"a"), field(2, b""), field(11, &entry), vec![7 << 3, 0]].concat();
    let object = [field(1, &metadata), field(2, &entry), field(3, b"Opaque")].concat();
    let types = [field(1, b"v1"), field(2, b"Secret")].concat();
    let body = [b"k8s\0".as_slice(), &field(1, &types), &field(2, &object)].concat();
    let send = |path: &str, body: &[u8]| {
        let request = api.request("admin", "POST", path).header("Content-Type", "application/vnd.kubernetes.protobuf");
        api.send(request.body(body.to_vec()))
    };
    let metadata = json!({"name": "a", "labels": {"key": "value"}, "generateName": null});
    send(SECRETS, &body).expect(201, &json!({"kind": "Secret", "metadata": metadata, "data": {"key": "dmFsdWU="}}));
    send("/api/v1/namespaces/myproj/events", &body).expect(415, &json!({"reason": "UnsupportedMediaType"}));
    assert_eq!(send(SECRETS, &body[..body.len() - 1]).status, 415, "a body that is cut off");
}

#[test]
fn pull_secrets_hold_json_and_keep_their_type() {
    let api = Api::asleep();
    let pull_secret = |content: &str| {
        json!({
            "metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": content},
        })
    };
    let invalid = api.send_json("POST", SECRETS, &pull_secret("not json")).expect(422, &json!({"reason": "Invalid"}));
    let message = invalid["message"].as_str().unwrap();
    assert!(message.starts_with("Secret \"pull\" is invalid: data[.dockerconfigjson]: Invalid value"), "{message}");
    assert!(!message.contains("not json"), "content of a secret in {message}");

    let missing = json!({"metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson"});
    let message = "Secret \"pull\" is invalid: data[.dockerconfigjson]: Required value";
    api.send_json("POST", SECRETS, &missing).refused(422, "Invalid", message);

    let mut stored = api.send_json("POST", SECRETS, &pull_secret("{}")).expect(201, &json!({}));
    stored["type"] = json!("Opaque");
    let message = "Secret \"pull\" is invalid: type: Invalid value: \"Opaque\": field is immutable";
    let status = api.send_json("PUT", &format!("{SECRETS}/pull"), &stored).refused(422, "Invalid", message);
    assert_eq!(status["details"]["causes"][0]["field"], "type");
}

#[test]
fn an_update_needs_the_current_version_when_it_names_one() {
    let api = Api::asleep();
    let path = format!("{SECRETS}/a");
    let old = api.send_json("POST", SECRETS, &secret("a")).expect(201, &json!({}));
    let mut first = old.clone();
    first["data"]["token"] = json!("Zmlyc3Q=");
    let updated = api.send_json("PUT", &path, &first).expect(200, &json!({"data": {"token": "Zmlyc3Q="}}));
    assert_ne!(updated["metadata"]["resourceVersion"], old["metadata"]["resourceVersion"]);

    let stale = "Operation cannot be fulfilled on secrets \"a\": the object has been modified; please apply your \
                 changes to the latest version and try again";
    api.send_json("PUT", &path, &old).refused(409, "Conflict", stale);

    // Secrets may be updated blindly, custom resources and image streams may not.
    api.send_json("PUT", &path, &secret("a")).expect(200, &json!({"data": {"token": "dA=="}}));
    api.send_json("POST", INTEGRATIONS, &integration("quay")).expect(201, &json!({}));
    let blind = api.send_json("PUT", &format!("{INTEGRATIONS}/quay"), &integration("quay"));
    let blind = blind.expect(422, &json!({"reason": "Invalid"}));
    assert!(blind["message"].as_str().unwrap().contains("metadata.resourceVersion: Invalid value"), "{blind}");
    let stream = json!({"metadata": {"name": "app"}});
    api.send_json("POST", STREAMS, &stream).expect(201, &json!({}));
    api.send_json("PUT", &format!("{STREAMS}/app"), &stream).expect(422, &json!({}));

    api.send_json("PUT", &format!("{SECRETS}/b"), &secret("b")).refused(404, "NotFound", "secrets \"b\" not found");
    api.send_json("PUT", &path, &secret("b")).expect(400, &json!({"reason": "BadRequest"}));
    let mut foreign = secret("a");
    foreign["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    api.send_json("PUT", &path, &foreign).expect(409, &json!({"reason": "Conflict"}));
}

#[test]
fn what_does_not_change_is_not_written() {
    let api = Api::asleep();
    let stored = api.send_json("POST", SECRETS, &secret("a")).expect(201, &json!({}));
    assert_eq!(api.send_json("PUT", &format!("{SECRETS}/a"), &stored).expect(200, &json!({})), stored);
    let nothing = json!({"metadata": {"labels": {"absent": null}}});
    assert_eq!(api.patch("merge", &format!("{SECRETS}/a"), &nothing).expect(200, &json!({})), stored);
}

#[test]
fn a_dry_run_answers_in_full_and_stores_nothing() {
    let api = Api::asleep();
    let created = api.send_json("POST", &format!("{SECRETS}?dryRun=All"), &secret("a"));
    created.expect(201, &json!({"metadata": {"name": "a", "namespace": "myproj"}, "data": {"token": "dA=="}}));
    assert_eq!(api.call("admin", "GET", &format!("{SECRETS}/a")).status, 404);
    let unsupported = api.send_json("POST", &format!("{SECRETS}?dryRun=Some"), &secret("a"));
    unsupported.expect(422, &json!({"reason": "Invalid"}));

    let stored = api.send_json("POST", SECRETS, &secret("a")).expect(201, &json!({}));
    let path = format!("{SECRETS}/a?dryRun=All");
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    api.patch("merge", &path, &label).expect(200, &label);
    let mut changed = stored.clone();
    changed["data"]["token"] = json!("");
    api.send_json("PUT", &path, &changed).expect(200, &json!({"data": {"token": ""}}));
    api.call("admin", "DELETE", &path).expect(200, &json!({"status": "Success"}));
    api.send_json("DELETE", &format!("{SECRETS}/a"), &json!({"dryRun": ["All"]})).expect(200, &json!({}));
    assert_eq!(api.get(&format!("{SECRETS}/a")), stored);
}

#[test]
fn status_is_written_through_its_subresource_only() {
    let api = Api::asleep();
    let mut object = integration("quay");
    object["status"] = json!({"lastUpdate": "now"});
    let created = api.send_json("POST", INTEGRATIONS, &object).expect(201, &json!({"status": null}));
    assert_eq!(created["metadata"]["generation"], 1);

    let path = format!("{INTEGRATIONS}/quay");
    let both = json!({"spec": {"clusterID": "other"}, "status": {"lastUpdate": "now"}});
    let expected = json!({"spec": {"clusterID": "openshift"}, "status": {"lastUpdate": "now"}});
    api.patch("merge", &format!("{path}/status"), &both).expect(200, &expected);
    let later = json!({"spec": {"clusterID": "other"}, "status": {"lastUpdate": "later"}});
    let updated = api.patch("merge", &path, &later);
    let expected = json!({"spec": {"clusterID": "other"}, "status": {"lastUpdate": "now"}, "metadata": {"generation": 2}});
    updated.expect(200, &expected);
    assert_eq!(api.call("admin", "GET", &format!("{SECRETS}/a/status")).status, 404);
}

#[test]
fn a_quay_integration_keeps_to_the_operators_schema() {
    let api = Api::asleep();
    for (field, value, message) in [
        ("clusterID", Value::Null, "spec.clusterID: Required value"),
        ("quayHostname", Value::Null, "spec.quayHostname: Required value"),
        ("credentialsSecret", json!({"name": "a"}), "spec.credentialsSecret.namespace: Required value"),
        ("credentialsSecret", json!({"namespace": "a"}), "spec.credentialsSecret.name: Required value"),
    ] {
        let mut object = integration("quay");
        object["spec"][field] = value;
        let message = format!("QuayIntegration.quay.redhat.com \"quay\" is invalid: {message}");
        api.send_json("POST", INTEGRATIONS, &object).refused(422, "Invalid", &message);
    }
    let mut object = integration("quay");
    object["spec"]["insecureRegistry"] = json!("yes");
    api.send_json("POST", INTEGRATIONS, &object).expect(422, &json!({"reason": "Invalid"}));
    let mut object = integration("quay");
    object.as_object_mut().unwrap().remove("kind");
    api.send_json("POST", INTEGRATIONS, &object).refused(400, "BadRequest", "Object 'kind' is missing");
}

#[test]
fn an_image_stream_says_where_the_internal_registry_has_it() {
    let api = Api::asleep();
    let expected = json!({"status": {
        "dockerImageRepository": "image-registry.openshift-image-registry.svc:5000/myproj/app",
    }});
    api.send_json("POST", STREAMS, &json!({"metadata": {"name": "app"}})).expect(201, &expected);
    for (name, status) in [("a--b", 201), ("a__b", 201), ("a.b_c", 201), ("a..b", 422), ("a___b", 422), ("A", 422)] {
        let answer = api.send_json("POST", STREAMS, &json!({"metadata": {"name": name}}));
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
    }
}

#[test]
fn fields_that_nobody_knows_are_dropped_without_a_word() {
    let api = Api::asleep();
    let mut object = integration("quay");
    object["spec"]["quayHostnames"] = json!(["a"]);
    let expected = json!({"spec": {"quayHostnames": null, "clusterID": "openshift"}});
    api.send_json("POST", INTEGRATIONS, &object).expect(201, &expected);
    let account =
        json!({"metadata": {"name": "robot"}, "pullSecrets": [], "imagePullSecrets": [{"name": "a", "kind": "Secret"}]});
    let expected = json!({"pullSecrets": null, "imagePullSecrets": [{"name": "a"}]});
    api.send_json("POST", ACCOUNTS, &account).expect(201, &expected);
}

#[test]
fn empty_lists_are_left_out_as_by_the_servers_own_types() {
    let api = Api::asleep();
    let account = json!({"metadata": {"name": "robot", "labels": {}}, "imagePullSecrets": [], "secrets": []});
    let expected = json!({"metadata": {"labels": null}, "imagePullSecrets": null, "secrets": null});
    api.send_json("POST", ACCOUNTS, &account).expect(201, &expected);
}
