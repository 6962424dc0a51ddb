//! The four kinds of patch, above all on the lists of a service account.

use serde_json::{Value, json};

use super::{ACCOUNTS, Api, INTEGRATIONS, SECRETS, integration, secret};

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|item| item["name"].as_str().unwrap()).collect()
}

fn account(api: &Api) -> String {
    let lists = json!([{"name": "one"}, {"name": "two"}]);
    let account = json!({"metadata": {"name": "robot"}, "secrets": lists, "imagePullSecrets": lists});
    api.send_json("POST", ACCOUNTS, &account).expect(201, &json!({}));
    format!("{ACCOUNTS}/robot")
}

/// As measured on a real one: `imagePullSecrets` has no merge key, `secrets` has.
#[test]
fn only_a_json_patch_adds_to_image_pull_secrets() {
    let three = json!([{"name": "three"}]);
    let lists = json!({"secrets": three, "imagePullSecrets": three});
    let applied = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"},
        "secrets": three, "imagePullSecrets": three,
    });
    let added = json!([
        {"op": "add", "path": "/secrets/-", "value": {"name": "three"}},
        {"op": "add", "path": "/imagePullSecrets/-", "value": {"name": "three"}},
    ]);
    let (all, only): (&[&str], &[&str]) = (&["one", "two", "three"], &["three"]);
    for (patch_type, query, body, mountable, pull) in [
        ("merge", "", &lists, only, only),
        ("strategic", "", &lists, all, only),
        ("apply", "?fieldManager=test&force=true", &applied, all, only),
        ("json", "", &added, all, all),
    ] {
        let api = Api::asleep();
        let path = account(&api);
        let patched = api.patch(patch_type, &format!("{path}{query}"), body).expect(200, &json!({}));
        assert_eq!(names(&patched["secrets"]), mountable, "secrets after {patch_type}");
        assert_eq!(names(&patched["imagePullSecrets"]), pull, "imagePullSecrets after {patch_type}");
        assert_eq!(api.get(&path), patched);
    }
}

#[test]
fn a_json_patch_that_does_not_fit_answers_422() {
    let api = Api::asleep();
    let path = account(&api);
    let before = api.get(&path);
    let version = &before["metadata"]["resourceVersion"];
    let add = json!({"op": "add", "path": "/imagePullSecrets/-", "value": {"name": "three"}});
    for (what, body) in [
        ("a stale version", json!([{"op": "test", "path": "/metadata/resourceVersion", "value": "1"}, add])),
        ("another value", json!([add, {"op": "test", "path": "/imagePullSecrets/0/name", "value": "two"}])),
        ("a missing path", json!([{"op": "remove", "path": "/metadata/annotations/a"}])),
        ("a missing parent", json!([{"op": "add", "path": "/metadata/annotations/a", "value": "b"}])),
        ("an index that is not there", json!([{"op": "replace", "path": "/imagePullSecrets/2", "value": {}}])),
        ("an operation nobody knows", json!([{"op": "append", "path": "/imagePullSecrets", "value": {}}])),
        ("a value where null is expected", json!([{"op": "test", "path": "/secrets", "value": null}])),
    ] {
        let answer = api.patch("json", &path, &body);
        assert_eq!(answer.status, 422, "{what}: {}", answer.body);
        answer.refused(422, "Invalid", "the server rejected our request due to an error in our request");
    }
    assert_eq!(api.get(&path), before);

    let fitting = json!([{"op": "test", "path": "/metadata/resourceVersion", "value": version}, add]);
    let patched = api.patch("json", &path, &fitting).expect(200, &json!({}));
    assert_eq!(names(&patched["imagePullSecrets"]), ["one", "two", "three"]);
    assert_eq!(api.patch("json", &path, &json!({"op": "add"})).status, 400, "a patch is a list");
}

/// Where RFC 6902 and the API server's library part.
#[test]
fn a_json_patch_may_test_for_and_replace_what_is_absent() {
    let api = Api::asleep();
    let path = account(&api);
    let field = "/automountServiceAccountToken";
    let body = json!([{"op": "test", "path": field, "value": null}, {"op": "replace", "path": field, "value": false}]);
    api.patch("json", &path, &body).expect(200, &json!({"automountServiceAccountToken": false}));
    assert_eq!(api.patch("json", &path, &body).status, 422);
}

#[test]
fn the_list_has_to_exist_to_be_added_to() {
    let api = Api::asleep();
    let path = account(&api);
    let last = json!([{"op": "remove", "path": "/imagePullSecrets/1"}, {"op": "remove", "path": "/imagePullSecrets/0"}]);
    api.patch("json", &path, &last).expect(200, &json!({"imagePullSecrets": null}));
    let add = json!([{"op": "add", "path": "/imagePullSecrets/-", "value": {"name": "three"}}]);
    assert_eq!(api.patch("json", &path, &add).status, 422);
    let create = json!([
        {"op": "test", "path": "/imagePullSecrets", "value": null},
        {"op": "add", "path": "/imagePullSecrets", "value": [{"name": "three"}]},
    ]);
    api.patch("json", &path, &create).expect(200, &json!({"imagePullSecrets": [{"name": "three"}]}));
    assert_eq!(api.patch("json", &path, &create).status, 422, "the list is there now");
}

#[test]
fn a_patch_may_name_the_version_it_is_for() {
    let api = Api::asleep();
    let path = account(&api);
    let old = api.get(&path)["metadata"]["resourceVersion"].clone();
    let patch = |label: &str| json!({"metadata": {"resourceVersion": old, "labels": {"a": label}}});
    api.patch("merge", &path, &patch("b")).expect(200, &json!({"metadata": {"labels": {"a": "b"}}}));
    let message = "Operation cannot be fulfilled on serviceaccounts \"robot\": the object has been modified; please \
                   apply your changes to the latest version and try again";
    for patch_type in ["merge", "strategic"] {
        api.patch(patch_type, &path, &patch("c")).refused(409, "Conflict", message);
    }
    let replaced = json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": old}]);
    api.patch("json", &path, &replaced).refused(409, "Conflict", message);
    let renamed = json!({"metadata": {"name": "other"}});
    assert_eq!(api.patch("merge", &path, &renamed).status, 400);
    let another = json!({"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}});
    api.patch("merge", &path, &another).expect(422, &json!({"reason": "Invalid"}));
    let mistyped = json!([{"op": "replace", "path": "/secrets", "value": "one"}]);
    api.patch("json", &path, &mistyped).expect(422, &json!({"reason": "Invalid"}));
}

#[test]
fn a_strategic_patch_merges_maps_and_keyed_lists() {
    let api = Api::asleep();
    let path = account(&api);
    let owner = |uid: &str| json!({"apiVersion": "v1", "kind": "Secret", "name": uid, "uid": uid});
    let first = json!({"metadata": {
        "annotations": {"a": "1", "b": "2"}, "finalizers": ["x.io/one"], "ownerReferences": [owner("1")],
    }});
    api.patch("strategic", &path, &first).expect(200, &first);
    let second = json!({
        "metadata": {
            "annotations": {"a": null, "c": "3"}, "finalizers": ["x.io/two"], "ownerReferences": [owner("2")],
        },
        "secrets": [{"name": "one", "$patch": "delete"}],
    });
    let expected = json!({
        "metadata": {
            "annotations": {"a": null, "b": "2", "c": "3"},
            "finalizers": ["x.io/one", "x.io/two"],
            "ownerReferences": [owner("1"), owner("2")],
        },
        "secrets": [{"name": "two"}],
    });
    api.patch("strategic", &path, &second).expect(200, &expected);
    let removed = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.io/one"]}});
    api.patch("strategic", &path, &removed).expect(200, &json!({"metadata": {"finalizers": ["x.io/two"]}}));
}

#[test]
fn an_apply_creates_and_needs_a_field_manager() {
    let api = Api::asleep();
    let path = format!("{SECRETS}/a");
    let message = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
    api.patch("apply", &path, &secret("a")).refused(422, "Invalid", message);
    let managed = format!("{path}?fieldManager=test");
    api.patch("apply", &managed, &secret("a")).expect(201, &json!({"data": {"token": "dA=="}}));
    api.patch("apply", &managed, &secret("a")).expect(200, &json!({"data": {"token": "dA=="}}));
    assert_eq!(api.patch("apply", &managed, &json!({"metadata": {"name": "a"}})).status, 400, "no kind");
    assert_eq!(api.patch("apply", &managed, &secret("b")).status, 400, "another name");
    api.patch("merge", &format!("{path}?force=true"), &json!({})).expect(422, &json!({"reason": "Invalid"}));

    let absent = format!("{SECRETS}/absent");
    api.patch("merge", &absent, &json!({})).refused(404, "NotFound", "secrets \"absent\" not found");
}

#[test]
fn patches_of_unknown_type_are_refused() {
    let api = Api::asleep();
    api.send_json("POST", INTEGRATIONS, &integration("quay")).expect(201, &json!({}));
    let path = format!("{INTEGRATIONS}/quay");
    let refused = api.patch("strategic", &path, &json!({})).expect(415, &json!({"reason": "UnsupportedMediaType"}));
    let accepted = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
    assert!(refused["message"].as_str().unwrap().ends_with(accepted), "{refused}");
    assert_eq!(api.patch("application/json", &path, &json!({})).status, 415);
    let lists = json!({"spec": {"allowlistNamespaces": ["a"]}});
    api.patch("merge", &path, &lists).expect(200, &lists);
}
