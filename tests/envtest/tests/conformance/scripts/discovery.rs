//! Discovery and unknown paths.

use super::INTEGRATIONS;
use crate::step::{Script, delete, get, patch, post, put};
use serde_json::json;

const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

pub(crate) fn discovery() -> Script {
    let resource = |name: &str| {
        ["name", "kind", "namespaced", "singularName", "verbs"]
            .map(|field| format!("/resources/name={name}/{field}"))
    };
    let resources = |path: &str, names: &[&str]| {
        let paths: Vec<String> = names.iter().flat_map(|name| resource(name)).collect();
        let mut paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        paths.extend(["/kind", "/groupVersion"]);
        get(path).only(&paths)
    };
    let aggregated = |path, only: &[&str]| get(path).header("accept", AGGREGATED).only(only);
    let requests = [
        get("/version").by("guest").only(&["/major", "/minor"]),
        get("/api").by("guest").only(&["/kind", "/versions"]),
        get("/apis").only(&["/kind", "/groups/name=quay.redhat.com", "/groups/name=apps"]),
        get("/apis/quay.redhat.com").by("guest"),
        resources(
            "/api/v1",
            &[
                "namespaces",
                "namespaces/status",
                "secrets",
                "serviceaccounts",
                "configmaps",
                "events",
            ],
        ),
        resources("/apis/quay.redhat.com/v1", &["quayintegrations", "quayintegrations/status"]),
        resources("/apis/apps/v1", &["deployments", "deployments/status"]),
        resources(
            "/apis/authorization.k8s.io/v1",
            &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        ),
        aggregated(
            "/api",
            &[
                "/kind",
                "/apiVersion",
                "/items/0/versions/0/version",
                "/items/0/versions/0/resources/resource=secrets",
            ],
        ),
        aggregated("/apis", &["/kind", "/apiVersion", "/items/*/kind"])
            .only(&["/kind", "/apiVersion"]),
        // Unknown paths.
        get("/apis/nothing.io"),
        get("/apis/nothing.io/v1/things"),
        get("/apis/quay.redhat.com/v1/things"),
        get("/nothing"),
        get("/apis/apps/v1/unknowns"),
        get("secrets/b/c"),
        get("/api/v1/secrets/x"),
        get("secrets/b/status"),
        get("/api/v1/namespaces/{ns}/namespaces"),
        // Unsupported methods.
        post("secrets/a", &json!({})),
        put("secrets", &json!({})),
        patch("merge", "secrets", &json!({})),
        post("/api/v1/secrets", &json!({})),
        delete("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
        put(INTEGRATIONS, &json!({})),
        get("secrets").header("accept", "text/plain"),
    ];
    Script::new("discovery", requests.map(Into::into))
}
