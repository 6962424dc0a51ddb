//! Lists: pages, selectors and metadata.

use serde_json::{Value, json};

use super::{INTEGRATIONS, integration, secret, with};
use crate::step::{Request, Script, Step, delete, get, post};

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn labelled(name: &str, labels: Value) -> Value {
    with(secret(name), json!({"metadata": {"labels": labels}}))
}

fn fill() -> [Request; 4] {
    let docker = json!({"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "{}"}});
    [
        post("/api/v1/namespaces/{ns}-2/secrets", &labelled("z", json!({"app": "web"}))),
        post("secrets", &labelled("a", json!({"app": "web", "tier": "front"}))),
        post("secrets", &with(labelled("b", json!({"app": "db"})), docker)),
        post("secrets", &secret("c")),
    ]
    .map(|request| request.only(&["/kind"]))
}

pub(crate) fn selectors() -> Script {
    let mut requests = Vec::from(fill());
    for selector in [
        "app=web",
        "app==web",
        "app!=web",
        "app in (web, db)",
        "app notin (web)",
        "app",
        "!app",
        "app in (web,db),!tier",
        "kubernetes.io/x=y",
        "",
    ] {
        requests.push(
            get(&format!("secrets?labelSelector={}", encoded(selector)))
                .only(&["/kind", "/items/*/metadata/name"]),
        );
    }
    for selector in [
        "metadata.name=b",
        "metadata.name!=b",
        "metadata.namespace==default",
        "type=kubernetes.io/dockerconfigjson",
        "type!=Opaque,metadata.name=a",
    ] {
        requests.push(
            get(&format!("secrets?fieldSelector={}", encoded(selector)))
                .only(&["/kind", "/items/*/metadata/name"]),
        );
    }
    for (parameter, selector) in [
        ("labelSelector", "app in web"),
        ("labelSelector", "a/b/c=d"),
        ("labelSelector", "app of (web)"),
        ("labelSelector", "app=a/b"),
        ("fieldSelector", "data.token=a"),
        ("fieldSelector", "metadata.name"),
        ("limit", "many"),
        ("resourceVersion", "x"),
    ] {
        requests.push(
            get(&format!("secrets?{parameter}={}", encoded(selector)))
                .only(&["/kind", "/reason", "/code"]),
        );
    }
    let everywhere = "/api/v1/secrets?fieldSelector=metadata.namespace%3D{ns}-2";
    requests.push(get(everywhere).only(&["/items/*/metadata/name", "/items/*/metadata/namespace"]));
    Script::new("selectors", requests.into_iter().map(Into::into))
}

pub(crate) fn pages() -> Script {
    let names = ["/kind", "/items/*/metadata/name", "/metadata"];
    let list_of_metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let metadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let next = "secrets?limit=1&continue={page:/metadata/continue}";
    let mut steps: Vec<Step> = fill().map(Into::into).into();
    let requests = [
        get("secrets"),
        post(INTEGRATIONS, &integration("listed")).only(&["/kind"]),
        // Items of custom resources have a kind.
        get(&format!("{INTEGRATIONS}?fieldSelector=metadata.name%3Dlisted")),
        delete(&format!("{INTEGRATIONS}/listed")).only(&["/status"]),
        get("secrets?limit=1").only(&names),
        get("secrets?limit=1").save("page").only(&names),
        get("secrets?limit=1&labelSelector=app").only(&names),
        // Changes on the first page do not affect the second.
        delete("secrets/a").only(&["/status"]),
        post("secrets", &secret("0")).only(&["/kind"]),
        get(next).save("page").only(&names),
        get(next).only(&names),
        get("secrets?limit=2&continue=garbage"),
        get("secrets?limit=2&continue={page:/metadata/continue}&resourceVersion=5"),
        get("secrets?limit=-1").only(&names),
        get("secrets?resourceVersion=999999999").only(&[
            "/kind",
            "/reason",
            "/code",
            "/details/retryAfterSeconds",
        ]),
        get("secrets").header("accept", list_of_metadata),
        get("secrets/b").header("accept", metadata),
        get("secrets").header("accept", metadata),
    ];
    steps.extend(requests.map(Into::into));
    steps.push(Step::Propagate);
    // From the cache, the limit is ignored.
    steps.push(get("secrets?limit=1&resourceVersion=0").only(&names).into());
    Script::new("pages", steps)
}
