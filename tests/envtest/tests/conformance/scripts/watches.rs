//! Events of watches and their order.

use serde_json::json;

use super::secret;
use crate::step::{Script, Step, delete, get, patch, post, watch};

pub(crate) fn watches() -> Script {
    let label = |labels| {
        patch("merge", "secrets/a", &json!({"metadata": {"labels": labels}})).only(&["/kind"])
    };
    let since = "resourceVersion={start:/metadata/resourceVersion}";
    let metadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let streaming =
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut steps: Vec<Step> = [
        post("secrets", &secret("before")).only(&["/kind"]),
        get("secrets").save("start").only(&["/kind"]),
        post("secrets", &secret("a")).only(&["/kind"]),
        post("/api/v1/namespaces/{ns}-2/secrets", &secret("elsewhere")).only(&["/kind"]),
        label(json!({"x": "y"})),
        label(json!({"z": "1"})),
        label(json!({"x": "n"})),
        label(json!({"z": "2"})),
        label(json!({"x": "y"})),
        delete("secrets/a").only(&["/status"]),
        // All events, and those of a watch with a selector.
        watch(&format!("secrets?{since}")),
        watch(&format!("secrets?{since}&labelSelector=x%3Dy")),
        watch(&format!("secrets?{since}&fieldSelector=metadata.name%3Dbefore")),
        watch(&format!("secrets?{since}")).header("accept", metadata),
    ]
    .map(Into::into)
    .into();
    steps.push(Step::Propagate);
    steps.extend(
        [
            // Without a version, existing objects come first.
            watch("secrets"),
            get(&format!("secrets?watch=1&timeoutSeconds=3&allowWatchBookmarks=true&{since}&labelSelector=none")),
            watch("secrets?resourceVersion=x"),
            watch(&format!("secrets?{streaming}")),
        ]
        .map(Into::into),
    );
    Script::new("watches", steps)
}

pub(crate) fn expiry() -> Script {
    let steps = [
        post("secrets", &secret("a")).only(&["/kind"]).into(),
        post("secrets", &secret("b")).only(&["/kind"]).into(),
        get("secrets?limit=1").save("page").only(&["/kind"]).into(),
        post("secrets", &secret("c")).only(&["/kind"]).into(),
        Step::ExpireHistory,
        get("secrets?limit=1&continue={page:/metadata/continue}")
            .only(&["/kind", "/reason", "/code", "/message"])
            .into(),
        watch("secrets?resourceVersion=1").into(),
        get("secrets").save("now").only(&["/items/*/metadata/name"]).into(),
        post("secrets", &secret("d")).only(&["/kind"]).into(),
        watch("secrets?resourceVersion={now:/metadata/resourceVersion}").into(),
    ];
    Script::new("expiry", steps)
}
