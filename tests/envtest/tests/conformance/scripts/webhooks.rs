//! Admission webhooks: registration, reviews and responses.

use serde_json::{Value, json};

use super::with;
use crate::step::{Request, Script, Step, delete, patch, post};

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

const OTHER_AUTHORITY: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJqekNDQVRXZ0F3SUJBZ0lVYkZYNEUwbGcyZlNJYlRTelZLc094UThlbExVd0NnWUlLb1\
    pJemowRUF3SXcKSERFYU1CZ0dBMVVFQXd3UllXNXZkR2hsY2lCaGRYUm9iM0pwZEhrd0lCY05Nall4TVRNd01qSXdNREl3V2hnUApNakV5TmpF\
    eE1EWXlNakF3TWpCYU1Cd3hHakFZQmdOVkJBTU1FV0Z1YjNSb1pYSWdZWFYwYUc5eWFYUjVNRmt3CkV3WUhLb1pJemowQ0FRWUlLb1pJemowRE\
    FRY0RRZ0FFU2d0WmMvSnFNL2xabVVqU0RPK3hqb0VvU0VDNDI0OTcKVVJDd21QZU91ek05Z0Q1WnV2b3NHNVYvR04vRHVFVEdrZWdqcjl4Ymlz\
    R0RhTXVUWHJvR0g2TlRNRkV3SFFZRApWUjBPQkJZRUZHSVg2N3lTYWJ5MzkrMUpSb2wzUUdnY2FUeGNNQjhHQTFVZEl3UVlNQmFBRkdJWDY3eV\
    NhYnkzCjkrMUpSb2wzUUdnY2FUeGNNQThHQTFVZEV3RUIvd1FGTUFNQkFmOHdDZ1lJS29aSXpqMEVBd0lEU0FBd1JRSWcKQW1WL1FuM3g1QzFl\
    NHU2OHBKQUxhS0kwR01sYXZQa2paM0IvVHVqVDVRZ0NJUUM1MkJWUVY4V2JZYkwrMXUrdgpVWjlqZmRwcGxIYURvQzl3T3hwY0ZjdmJuQT09Ci\
    0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K";

/// For new ConfigMaps of the script.
fn register(behavior: &str, change: Value) -> Request {
    let webhook = json!({
        "name": "maps.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 10,
        "clientConfig": {"url": format!("{{hook}}/{behavior}"), "caBundle": "{ca}"},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "{ns}"}},
    });
    let configuration = json!({"metadata": {"name": "{ns}"}, "webhooks": [with(webhook, change)]});
    post(CONFIGURATIONS, &configuration)
}

pub(crate) fn configurations() -> Script {
    let requests = [
        json!({"name": "maps"}),
        json!({"admissionReviewVersions": []}),
        json!({"sideEffects": null}),
        json!({"sideEffects": "Some"}),
        json!({"timeoutSeconds": 31}),
        json!({"clientConfig": {"url": null}}),
        json!({"clientConfig": {"url": "http://127.0.0.1"}}),
    ];
    let only = ["/reason", "/details/causes/*/field", "/details/causes/*/reason"];
    let script = Script::new(
        "configurations",
        requests.map(|change| register("allow", change).only(&only).into()),
    );
    Script { has_hook: true, ..script }
}

pub(crate) fn calls() -> Script {
    let map = |name: &str| post("configmaps", &json!({"metadata": {"name": name}}));
    let by_name = |operator: &str| {
        let expression =
            json!({"key": "kubernetes.io/metadata.name", "operator": operator, "values": ["{ns}"]});
        json!({"namespaceSelector": {"matchExpressions": [expression], "matchLabels": null}})
    };
    let of_objects = |operator: &str| json!({"objectSelector": {"matchExpressions": [{"key": "team", "operator": operator}]}});
    let service = json!({"clientConfig": {"url": null, "service": {"namespace": "{ns}", "name": "none", "path": "/allow"}}});
    // The certificate of another authority, which Go's client words as an unknown one.
    let untrusted = json!({"clientConfig": {"caBundle": OTHER_AUTHORITY}});
    let all = json!({"rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "scope": "Namespaced"}]});
    let ignoring = |change: Value| with(change, json!({"failurePolicy": "Ignore"}));
    let mut steps: Vec<Step> = Vec::new();
    for (name, behavior, change) in [
        ("patched", "patch", json!({})),
        ("named", "allow", by_name("In")),
        ("not-named", "allow", by_name("NotIn")),
        ("without-team", "allow", of_objects("DoesNotExist")),
        ("with-team", "allow", of_objects("Exists")),
        ("no-rules", "allow", json!({"rules": []})),
        ("denied", "deny", json!({})),
        ("served-by-none", "allow", service.clone()),
        ("served-by-none-ignored", "allow", ignoring(service)),
        ("untrusted", "allow", untrusted.clone()),
        ("untrusted-ignored", "allow", ignoring(untrusted)),
        ("slow", "slow", json!({"timeoutSeconds": 1})),
        ("updated", "allow", all),
    ] {
        steps.push(register(behavior, change).only(&["/webhooks", "/message"]).into());
        steps.push(Step::Propagate);
        steps.push(map(name).into());
        if name == "updated" {
            steps.push(
                patch("merge", "configmaps/updated", &json!({"metadata": {"labels": {"c": "d"}}}))
                    .into(),
            );
            steps.push(post("configmaps?dryRun=All", &json!({"metadata": {"name": "dry"}})).into());
        }
        steps.push(Step::Reviews);
        steps.push(delete(&format!("{CONFIGURATIONS}/{{ns}}")).only(&["/status"]).into());
    }
    Script { has_hook: true, ..Script::new("webhooks", steps) }
}
