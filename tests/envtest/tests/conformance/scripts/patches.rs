//! The four patch types, especially on lists of a service account.

use serde_json::{Value, json};

use super::{INTEGRATIONS, integration, secret};
use crate::step::{Request, Script, delete, get, patch, post};

const ROBOT: &str = "serviceaccounts/robot";

fn create() -> Request {
    let lists = json!([{"name": "one"}, {"name": "two"}]);
    post(
        "serviceaccounts",
        &json!({"metadata": {"name": "robot"}, "secrets": lists, "imagePullSecrets": lists}),
    )
}

/// `imagePullSecrets` has no merge key, `secrets` has one.
pub(crate) fn service_accounts() -> Script {
    let three = json!([{"name": "three"}]);
    let lists = json!({"secrets": three, "imagePullSecrets": three});
    let applied = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}, "secrets": three, "imagePullSecrets": three,
    });
    let added = json!([
        {"op": "add", "path": "/secrets/-", "value": {"name": "three"}},
        {"op": "add", "path": "/imagePullSecrets/-", "value": {"name": "three"}},
    ]);
    let mut requests = Vec::new();
    for (patch_type, query, body) in [
        ("merge", "", &lists),
        ("strategic", "", &lists),
        ("apply", "?fieldManager=test&force=true", &applied),
        ("json", "", &added),
    ] {
        requests.push(create().only(&["/kind"]));
        requests.push(patch(patch_type, &format!("{ROBOT}{query}"), body));
        requests.push(get(ROBOT));
        requests.push(delete(ROBOT).only(&["/kind"]));
    }

    let json_patch = |body: &Value| patch("json", ROBOT, body);
    let add = json!({"op": "add", "path": "/imagePullSecrets/-", "value": {"name": "three"}});
    requests.push(create().save("robot"));
    // Invalid patches.
    for operations in [
        json!([{"op": "test", "path": "/metadata/resourceVersion", "value": "1"}, add]),
        json!([add, {"op": "test", "path": "/imagePullSecrets/0/name", "value": "two"}]),
        json!([{"op": "remove", "path": "/metadata/annotations/a"}]),
        json!([{"op": "add", "path": "/metadata/annotations/a", "value": "b"}]),
        json!([{"op": "replace", "path": "/imagePullSecrets/2", "value": {}}]),
        json!([{"op": "append", "path": "/imagePullSecrets", "value": {}}]),
        json!([{"op": "test", "path": "/secrets", "value": null}]),
        json!({"op": "add"}),
    ] {
        requests.push(json_patch(&operations));
    }
    let mistyped = json!([{"op": "replace", "path": "/secrets", "value": "one"}]);
    requests.push(json_patch(&mistyped).only(&["/reason", "/code", "/details/causes/0/field"]));
    requests.push(get(ROBOT));

    let test = json!({"op": "test", "path": "/metadata/resourceVersion", "value": "{robot:/metadata/resourceVersion}"});
    let field = "/automountServiceAccountToken";
    let absent = json!([{"op": "test", "path": field, "value": null}, {"op": "replace", "path": field, "value": false}]);
    let first =
        |create: Value| json!([{"op": "test", "path": "/imagePullSecrets", "value": null}, create]);
    let first =
        first(json!({"op": "add", "path": "/imagePullSecrets", "value": [{"name": "three"}]}));
    let change = |label: &str| json!({"metadata": {"resourceVersion": "{robot:/metadata/resourceVersion}", "labels": {"a": label}}});
    requests.extend([
        json_patch(&json!([test, add])),
        // Differences of the API server's library from RFC 6902.
        json_patch(&absent),
        json_patch(&absent),
        // The list must exist.
        json_patch(&json!([{"op": "remove", "path": "/imagePullSecrets"}])),
        json_patch(&json!([add])),
        json_patch(&first),
        json_patch(&first),
        // A patch with a resourceVersion.
        get(ROBOT).save("robot"),
        patch("merge", ROBOT, &change("b")),
        patch("merge", ROBOT, &change("c")),
        patch("strategic", ROBOT, &change("c")),
        json_patch(
            &json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": "{robot:/metadata/resourceVersion}"}]),
        ),
        patch("merge", ROBOT, &json!({"metadata": {"name": "other"}})),
        patch("merge", ROBOT, &json!({"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}})),
    ]);

    let owner = |uid: &str| json!({"apiVersion": "v1", "kind": "Secret", "name": uid, "uid": uid});
    for change in [
        json!({"metadata": {
            "annotations": {"a": "1", "b": "2"}, "finalizers": ["x.io/one"], "ownerReferences": [owner("1")],
        }}),
        json!({
            "metadata": {"annotations": {"a": null, "c": "3"}, "finalizers": ["x.io/two"], "ownerReferences": [owner("2")]},
            "secrets": [{"name": "one", "$patch": "delete"}],
        }),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.io/one"]}}),
    ] {
        requests.push(patch("strategic", ROBOT, &change));
    }
    Script::new("service-accounts", requests.into_iter().map(Into::into))
}

pub(crate) fn objects() -> Script {
    let named = &format!("{INTEGRATIONS}/patched");
    let requests = [
        patch("apply", "secrets/a", &secret("a")),
        patch("apply", "secrets/a?fieldManager=test", &secret("a")),
        patch("apply", "secrets/a?fieldManager=test", &secret("a")),
        patch("apply", "secrets/a?fieldManager=test", &json!({"metadata": {"name": "a"}})),
        patch("apply", "secrets/a?fieldManager=test", &secret("b")),
        patch("merge", "secrets/a?force=true", &json!({})),
        patch("merge", "secrets/absent", &json!({})),
        patch("json", "secrets/absent", &json!([])),
        // An empty change is not written.
        patch("merge", "secrets/a", &json!({"metadata": {"labels": {"absent": null}}})),
        patch("merge", "secrets/a?dryRun=All", &json!({"metadata": {"labels": {"a": "b"}}})),
        get("secrets/a"),
        patch("merge", "secrets/a", &Value::Null).raw("{cut"),
        patch("application/json", "secrets/a", &json!({})),
        patch("text/plain", "secrets/a", &json!({})),
        post(INTEGRATIONS, &integration("patched")).only(&["/kind"]),
        patch("strategic", named, &json!({})),
        patch("application/json", named, &json!({})),
        patch("merge", named, &json!({"spec": {"allowlistNamespaces": ["a"]}})),
        patch("merge", named, &json!({"spec": {"clusterID": 1}}))
            .only(&["/reason", "/details/causes/*/field"]),
        delete(named),
    ];
    Script::new("patches", requests.map(Into::into))
}
