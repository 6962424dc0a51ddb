//! Permissions and access reviews.

use serde_json::{Value, json};

use super::{INTEGRATIONS, secret};
use crate::step::{Script, get, patch, post};

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

pub(crate) fn rejections() -> Script {
    let as_user = |user, impersonated| {
        post("secrets", &secret("a")).by(user).header("impersonate-user", impersonated)
    };
    let in_group = |group| {
        get("secrets").header("impersonate-user", "stranger").header("impersonate-group", group)
    };
    let requests = [
        get("secrets").by(""),
        get("secrets").by("").header("authorization", "Bearer unknown"),
        get("secrets").by("").header("authorization", "Basic YWRtaW46"),
        get("secrets/x").by("guest"),
        get("/api/v1/namespaces").by("dev"),
        get(INTEGRATIONS).by("dev"),
        get("/api/v1/namespaces/{ns}").by("guest"),
        patch("merge", "/api/v1/namespaces/{ns}", &json!({})).by("dev"),
        get("/api/v1/secrets?watch=true").by("guest"),
        get("/apis/apps/v1/unknowns").by("dev"),
        get("/metrics").by("dev"),
        get("secrets").by("dev").only(&["/kind", "/items"]),
        as_user("dev", "admin"),
        as_user("admin", "stranger"),
        as_user("admin", "dev"),
        in_group("system:masters").only(&["/kind"]),
        in_group("developers"),
        get("secrets").header("impersonate-group", "developers"),
    ];
    Script::new("rejections", requests.map(Into::into))
}

pub(crate) fn reviews() -> Script {
    let mut requests = Vec::new();
    for user in ["admin", "dev", "guest"] {
        for namespace in ["{ns}", "{ns}-2", ""] {
            for (group, prefix, resource) in [
                ("", "/api/v1", "secrets"),
                ("", "/api/v1", "serviceaccounts"),
                ("apps", "/apis/apps/v1", "deployments"),
            ] {
                // The review and the request itself.
                let attributes = json!({"namespace": namespace, "verb": "list", "group": group, "resource": resource});
                let review = json!({"spec": {"resourceAttributes": attributes}});
                requests.push(post(REVIEWS, &review).by(user).only(&["/status/allowed"]));
                let place = if namespace.is_empty() {
                    String::new()
                } else {
                    format!("/namespaces/{namespace}")
                };
                requests.push(
                    get(&format!("{prefix}{place}/{resource}?limit=1"))
                        .by(user)
                        .only(&["/kind", "/reason"]),
                );
            }
        }
    }
    let rules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    requests.extend([
        post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({}))
            .by("dev")
            .only(&["/kind", "/status/userInfo/username"]),
        post(rules, &json!({"spec": {"namespace": "{ns}"}}))
            .by("dev")
            .only(&["/kind", "/status/incomplete"]),
        post(rules, &json!({"spec": {}})).by("dev").only(&["/kind", "/reason"]),
        post(REVIEWS, &json!({"spec": {}})).by("dev"),
        get(REVIEWS).by("dev"),
        get(REVIEWS),
        post(REVIEWS, &Value::Null).raw("{cut"),
    ]);
    Script::new("reviews", requests.into_iter().map(Into::into))
}
