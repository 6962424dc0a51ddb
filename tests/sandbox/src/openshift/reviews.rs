//! Reviews of the caller: its permissions and its identity. They are sent with POST and stored nowhere.

use serde_json::{Value, json};

use super::access::{Access, User, Users};
use super::api_errors::{Cause, Rejection};
use super::{kinds, meta};

/// Answers a review of the given kind.
///
/// # Errors
/// 422 for a review that asks nothing.
pub(crate) fn review(
    users: &Users,
    user: &User,
    kind: &str,
    mut review: Value,
) -> Result<Value, Rejection> {
    review["status"] = match kind {
        "SelfSubjectAccessReview" => access(users, user, &review["spec"])?,
        "SelfSubjectRulesReview" => rules(users, user, &review["spec"])?,
        _ => json!({"userInfo": {"username": user.name, "groups": user.groups}}),
    };
    review["metadata"]["creationTimestamp"] = json!(meta::now());
    Ok(review)
}

fn access(users: &Users, user: &User, spec: &Value) -> Result<Value, Rejection> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let asked = &spec["resourceAttributes"];
    let is_allowed = if asked.is_object() {
        let resource = match text(&asked["subresource"]).as_str() {
            "" => text(&asked["resource"]),
            subresource => format!("{}/{subresource}", text(&asked["resource"])),
        };
        users.is_allowed(
            user,
            &Access {
                verb: &text(&asked["verb"]),
                group: &text(&asked["group"]),
                resource: &resource,
                namespace: &text(&asked["namespace"]),
                name: &text(&asked["name"]),
            },
        )
    } else if spec["nonResourceAttributes"].is_object() {
        let path = spec["nonResourceAttributes"]["path"].as_str().unwrap_or_default();
        spec["nonResourceAttributes"]["verb"] == "get" && users.check_path(user, path).is_ok()
    } else {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        let cause = Cause::invalid("spec.resourceAttributes", &Value::Null, why);
        return Err(match kinds::named("SelfSubjectAccessReview") {
            Some(kind) => Rejection::invalid(kind, "", &[cause]),
            None => Rejection::bad_request(why),
        });
    };
    Ok(match is_allowed {
        true => json!({"allowed": true, "reason": "RBAC: allowed by the sandbox's role table"}),
        false => json!({"allowed": false}),
    })
}

fn rules(users: &Users, user: &User, spec: &Value) -> Result<Value, Rejection> {
    let namespace = spec["namespace"].as_str().unwrap_or_default();
    if namespace.is_empty() {
        return Err(Rejection::bad_request("no namespace on request"));
    }
    let rules: Vec<Value> = users
        .rules(user, namespace)
        .map(|rule| json!({"verbs": rule.verbs, "apiGroups": rule.groups, "resources": rule.resources}))
        .collect();
    let paths = json!(["/api", "/api/*", "/apis", "/apis/*", "/version"]);
    Ok(json!({
        "resourceRules": rules,
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": paths}],
        "incomplete": false,
    }))
}
