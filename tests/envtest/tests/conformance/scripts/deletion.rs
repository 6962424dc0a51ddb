//! Deletion: preconditions, finalizers and dependents.

use sandbox::openshift::definitions;
use serde_json::json;

use super::{INTEGRATIONS, integration, secret, with};
use crate::step::{Script, delete, delete_with, get, patch, post, put};

pub(crate) fn objects() -> Script {
    let finalizers = json!({"metadata": {"finalizers": ["example.com/keep", "example.com/too"]}});
    let precondition =
        |precondition| delete_with("secrets/a", &json!({"preconditions": precondition}));
    let remove =
        patch("json", "secrets/b", &json!([{"op": "remove", "path": "/metadata/finalizers/0"}]));
    let requests = [
        post("secrets", &secret("a")).save("a"),
        precondition(json!({"uid": "00000000-0000-0000-0000-000000000000"})),
        precondition(json!({"resourceVersion": "1"})),
        delete_with("secrets/a", &json!({"dryRun": ["All"]})),
        delete("secrets/a?dryRun=All"),
        precondition(
            json!({"uid": "{a:/metadata/uid}", "resourceVersion": "{a:/metadata/resourceVersion}"}),
        ),
        get("secrets/a"),
        delete("secrets/a"),
        post("serviceaccounts", &json!({"metadata": {"name": "robot"}})),
        delete("serviceaccounts/robot"),
        post("secrets", &with(secret("b"), finalizers)),
        delete("secrets/b"),
        delete("secrets/b"),
        post("secrets", &secret("b")),
        patch(
            "json",
            "secrets/b",
            &json!([{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/more"}]),
        ),
        patch("merge", "secrets/b", &json!({"metadata": {"deletionTimestamp": null}})),
        remove.clone(),
        remove,
        get("secrets/b"),
        delete("/api/v1/namespaces/default"),
        delete("/api/v1/secrets"),
    ];
    Script::new("deletion", requests.map(Into::into))
}

pub(crate) fn namespaces() -> Script {
    let namespaces = "/api/v1/namespaces";
    let finalizer = json!({"metadata": {"finalizers": ["quay.redhat.com/quayintegrations"]}});
    let requests = [
        get("/api/v1/namespaces/{ns}-2").only(&["/metadata/labels", "/spec", "/status"]),
        post(namespaces, &json!({"metadata": {"name": "a".repeat(64)}})),
        post(namespaces, &json!({"metadata": {"name": "a.b"}})),
        patch("merge", "/api/v1/namespaces/{ns}", &finalizer).only(&["/metadata/finalizers"]),
        // Without its controller, a namespace is not deleted.
        delete("/api/v1/namespaces/{ns}").only(&["/metadata/finalizers", "/spec", "/status/phase"]),
        post("secrets", &secret("a")),
        post("secrets?dryRun=All", &secret("a")),
        post("/api/v1/namespaces/{ns}/serviceaccounts", &json!({"metadata": {"name": "robot"}})),
    ];
    Script::new("namespaces", requests.map(Into::into))
}

pub(crate) fn definitions() -> Script {
    let all = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let ours = &format!("{all}/{}", definitions::QUAY_INTEGRATIONS);
    let held = with(integration("held"), json!({"metadata": {"finalizers": ["example.com/held"]}}));
    let mut misnamed = definitions::quay_integrations();
    misnamed["metadata"]["name"] = json!("integrations.quay.redhat.com");
    misnamed["spec"]["versions"][0]["schema"] = json!({});
    let condition = |kind: &str| format!("/status/conditions/type={kind}/status");
    let conditions =
        [condition("NamesAccepted"), condition("Established"), condition("Terminating")];
    let conditions = [
        &conditions[0],
        &conditions[1],
        &conditions[2],
        "/status/storedVersions",
        "/status/acceptedNames",
    ];
    let of_held = &format!("{INTEGRATIONS}/held");
    let requests = [
        get(ours).only(&conditions),
        post(all, &misnamed).only(&[
            "/reason",
            "/details/causes/*/field",
            "/details/causes/*/reason",
        ]),
        post(INTEGRATIONS, &held).until(201).only(&["/metadata/finalizers"]),
        post(INTEGRATIONS, &integration("other")).only(&["/metadata/generation"]),
        delete(ours).only(&["/kind", &condition("Terminating"), "/metadata/finalizers"]),
        get(&format!("{INTEGRATIONS}/other")).until(404),
        get(of_held).only(&["/metadata/deletionTimestamp", "/metadata/finalizers"]),
        post(INTEGRATIONS, &integration("new")),
        patch("merge", of_held, &json!({"metadata": {"finalizers": null}})).only(&["/kind"]),
        get(ours).until(404),
        get(INTEGRATIONS).until(404),
        get("/apis/quay.redhat.com").until(404),
        get("/apis/quay.redhat.com/v1"),
        post(INTEGRATIONS, &integration("quay")),
        put(&format!("{INTEGRATIONS}/quay"), &integration("quay")),
        post(all, &definitions::quay_integrations()).only(&["/spec/names", "/kind"]),
        get(INTEGRATIONS).until(200).only(&["/kind", "/items"]),
        get(ours).only(&conditions),
        post(INTEGRATIONS, &integration("quay")).until(201).only(&["/kind"]),
        get("/apis").only(&["/groups/name=quay.redhat.com"]),
    ];
    Script { settles: true, ..Script::new("definitions", requests.map(Into::into)) }
}
