use serde_json::{Value, json};

use super::{INTEGRATIONS, integration, secret, with};
use crate::step::{Script, delete, get, patch, post, put};

pub(crate) fn creates() -> Script {
    let named = |change: Value| post("secrets", &with(json!({"metadata": {"name": "b"}}), change));
    let docker = |content: Value| {
        post(
            "secrets",
            &json!({"metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson", "stringData": content}),
        )
    };
    let generated = post("secrets", &json!({"metadata": {"generateName": "token-"}}));
    let requests = [
        post("secrets", &secret("a")),
        get("secrets/a"),
        generated.clone(),
        generated,
        post("secrets", &secret("a")),
        post("/api/v1/namespaces/nowhere/secrets", &secret("a")),
        named(json!({"metadata": {"namespace": "default"}})),
        post("secrets", &secret("Upper")),
        post("secrets", &secret("-a")),
        post("secrets", &secret(&"a".repeat(254))),
        post("secrets", &json!({"data": {}})),
        named(json!({"metadata": {"labels": {"a": "b/c"}}})),
        named(json!({"metadata": {"labels": {"a/b/c": ""}}})),
        named(json!({"metadata": {"finalizers": ["b"]}})),
        named(json!({"data": {"a/b": ""}})),
        named(json!({"data": {"a": "?"}})),
        named(json!({"data": ["a"]})),
        named(json!({"kind": "ConfigMap"})),
        named(json!({"apiVersion": "v2"})),
        post("secrets", &json!(["a"])),
        post("secrets", &json!({"metadata": "b"})),
        named(json!({"metadata": {"resourceVersion": "1"}})),
        post("secrets", &Value::Null).header("content-type", "text/plain").raw("{}"),
        post("secrets", &Value::Null).raw("{cut"),
        get("secrets/b"),
        docker(json!({".dockerconfigjson": "not json"})),
        docker(json!({})),
        docker(json!({".dockerconfigjson": "{}"})),
        patch("merge", "secrets/pull", &json!({"type": "Opaque"})),
        // A dry run is not stored.
        post("secrets?dryRun=All", &secret("dry")),
        get("secrets/dry"),
        post("secrets?dryRun=Some", &secret("dry")),
        // Unknown fields are dropped, and empty lists omitted.
        post(
            "serviceaccounts",
            &json!({
                "metadata": {"name": "robot", "labels": {}}, "pullSecrets": [], "secrets": [], "imagePullSecrets": [{"name": "a", "kind": "Secret"}],
            }),
        ),
        post("serviceaccounts", &json!({"metadata": {"name": "bare"}, "imagePullSecrets": []})),
        post(
            "configmaps",
            &json!({"metadata": {"name": "map"}, "data": {"a": "b"}, "binaryData": {"c": "ZA=="}}),
        ),
    ];
    Script::new("creates", requests.map(Into::into))
}

pub(crate) fn updates() -> Script {
    let requests = [
        post("secrets", &secret("a")).save("old"),
        // Unchanged objects are not written.
        put("secrets/a", &json!("{old}")),
        put(
            "secrets/a?dryRun=All",
            &with(secret("a"), json!({"data": {"token": ""}, "stringData": null})),
        ),
        put("secrets/a", &with(secret("a"), json!({"stringData": {"token": "first"}}))),
        put("secrets/a", &json!("{old}")),
        // Unconditional update.
        put("secrets/a", &secret("a")),
        put("secrets/b", &secret("b")),
        put("secrets/a", &secret("b")),
        put(
            "secrets/a",
            &with(
                secret("a"),
                json!({"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}}),
            ),
        ),
        put("secrets/a", &with(secret("a"), json!({"type": "kubernetes.io/basic-auth"}))),
        get("secrets/a"),
    ];
    Script::new("updates", requests.map(Into::into))
}

pub(crate) fn custom_resources() -> Script {
    let path = &format!("{INTEGRATIONS}/custom");
    let valid = integration("custom");
    let rejected = |change: Value| post(INTEGRATIONS, &with(valid.clone(), change));
    let mut without_kind = valid.clone();
    without_kind.as_object_mut().unwrap().remove("kind");
    let requests = [
        rejected(json!({"spec": {"clusterID": null}})),
        rejected(json!({"spec": {"quayHostname": null}})),
        rejected(json!({"spec": {"credentialsSecret": {"name": "a", "namespace": null}}})),
        rejected(json!({"spec": {"credentialsSecret": {"namespace": "a", "name": null}}})),
        rejected(json!({"spec": {"insecureRegistry": "yes"}}))
            .only(&["/reason", "/details/causes/*/field"]),
        post(INTEGRATIONS, &without_kind).only(&["/reason", "/code"]),
        // The status is written only through its subresource, and unknown fields are dropped.
        rejected(json!({"spec": {"quayHostnames": ["a"]}, "status": {"lastUpdate": "now"}})),
        put(path, &valid).only(&["/reason", "/code", "/details/causes/*/field"]),
        patch(
            "merge",
            &format!("{path}/status"),
            &json!({"spec": {"clusterID": "other"}, "status": {"lastUpdate": "now"}}),
        ),
        patch(
            "merge",
            path,
            &json!({"spec": {"clusterID": "other"}, "status": {"lastUpdate": "later"}}),
        ),
        patch("merge", path, &json!({"metadata": {"labels": {"a": "b"}}})),
        get(&format!("{path}/status")),
        delete(path),
    ];
    Script::new("custom-resources", requests.map(Into::into))
}
