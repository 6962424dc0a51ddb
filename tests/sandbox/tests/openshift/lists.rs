//! Lists: pages, selectors, and metadata only.

use serde_json::{Value, json};

use super::{Api, INTEGRATIONS, SECRETS, integration};

fn names(list: &Value) -> Vec<String> {
    let name = |item: &Value| item["metadata"]["name"].as_str().unwrap().to_owned();
    list["items"].as_array().unwrap().iter().map(name).collect()
}

fn fill(api: &Api) {
    for (namespace, name, labels, secret_type) in [
        ("default", "z", json!({"app": "web"}), "Opaque"),
        ("myproj", "a", json!({"app": "web", "tier": "front"}), "Opaque"),
        ("myproj", "b", json!({"app": "db"}), "kubernetes.io/dockerconfigjson"),
        ("myproj", "c", json!({}), "Opaque"),
    ] {
        api.sandbox.openshift.create(json!({
            "apiVersion": "v1", "kind": "Secret", "type": secret_type,
            "metadata": {"namespace": namespace, "name": name, "labels": labels},
            "stringData": {".dockerconfigjson": "{}"},
        }));
    }
}

#[test]
fn a_list_is_ordered_and_says_its_version() {
    let api = Api::asleep();
    fill(&api);
    let list = api.get(SECRETS);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("SecretList"), &json!("v1")));
    assert_eq!(names(&list), ["a", "b", "c"]);
    let version: u64 = list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    assert!(
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|item| { item["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap() <= version })
    );
    assert_eq!(list["items"][0]["kind"], Value::Null, "items of compiled-in kinds have no kind of their own");
    assert_eq!(names(&api.get("/api/v1/secrets?fieldSelector=type%3DOpaque")), ["z", "a", "c"]);

    api.send_json("POST", INTEGRATIONS, &integration("quay")).expect(201, &json!({}));
    assert_eq!(api.get(INTEGRATIONS)["items"][0]["kind"], "QuayIntegration", "items of custom resources have one");
}

#[test]
fn selectors_select() {
    let api = Api::asleep();
    fill(&api);
    for (selector, expected) in [
        ("app=web", vec!["a"]),
        ("app==web", vec!["a"]),
        ("app!=web", vec!["b", "c"]),
        ("app in (web, db)", vec!["a", "b"]),
        ("app notin (web)", vec!["b", "c"]),
        ("app", vec!["a", "b"]),
        ("!app", vec!["c"]),
        ("app in (web,db),!tier", vec!["b"]),
        ("kubernetes.io/x=y", vec![]),
        ("", vec!["a", "b", "c"]),
    ] {
        let list = api.send(api.request("admin", "GET", SECRETS).query(&[("labelSelector", selector)]));
        assert_eq!(names(&list.expect(200, &json!({}))), expected, "labelSelector {selector}");
    }
    for (selector, expected) in [
        ("metadata.name=b", vec!["b"]),
        ("metadata.name!=b", vec!["a", "c"]),
        ("metadata.namespace==default", vec![]),
        ("type=kubernetes.io/dockerconfigjson", vec!["b"]),
        ("type!=Opaque,metadata.name=a", vec![]),
    ] {
        let list = api.send(api.request("admin", "GET", SECRETS).query(&[("fieldSelector", selector)]));
        assert_eq!(names(&list.expect(200, &json!({}))), expected, "fieldSelector {selector}");
    }
    for (parameter, selector) in [
        ("labelSelector", "app in web"),
        ("labelSelector", "a/b/c=d"),
        ("labelSelector", "app of (web)"),
        ("fieldSelector", "data.token=a"),
        ("fieldSelector", "metadata.name"),
        ("labelSelector", "app=a/b"),
        ("limit", "many"),
        ("resourceVersion", "x"),
    ] {
        let answer = api.send(api.request("admin", "GET", SECRETS).query(&[(parameter, selector)]));
        assert_eq!(answer.status, 400, "{parameter} {selector}: {}", answer.body);
    }
}

#[test]
fn pages_go_on_where_the_last_one_ended() {
    let api = Api::asleep();
    fill(&api);
    let all = "/api/v1/secrets?fieldSelector=metadata.namespace!%3Dkube-system&limit=2";
    let opaque = "/api/v1/secrets?limit=1&labelSelector=app";
    let everything = names(&api.get("/api/v1/secrets"));
    let first = api.get("/api/v1/secrets?limit=2");
    assert_eq!(first["metadata"]["remainingItemCount"], everything.len() - 2);
    assert_eq!(api.get(opaque)["metadata"]["remainingItemCount"], Value::Null, "not counted under a selector");
    assert!(api.get(all)["metadata"]["continue"].is_string());

    // What appears and goes between two pages does not disturb the rest.
    api.sandbox.openshift.delete("Secret", "default", "z");
    let mut seen = names(&first);
    let mut page = first.clone();
    while let Some(token) = page["metadata"]["continue"].as_str() {
        page = api.get(&format!("/api/v1/secrets?limit=2&continue={token}"));
        assert_eq!(page["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        seen.extend(names(&page));
    }
    seen.retain(|name| name != "z");
    assert_eq!(seen, everything.into_iter().filter(|name| name != "z").collect::<Vec<_>>());

    let garbage = api.call("admin", "GET", "/api/v1/secrets?limit=2&continue=garbage");
    garbage.expect(400, &json!({"reason": "BadRequest"}));
    let token = first["metadata"]["continue"].as_str().unwrap();
    let versioned = format!("/api/v1/secrets?limit=2&continue={token}&resourceVersion=5");
    assert_eq!(api.call("admin", "GET", &versioned).status, 400);
    api.sandbox.openshift.expire_history();
    let late = api.call("admin", "GET", &format!("/api/v1/secrets?limit=2&continue={token}"));
    late.expect(410, &json!({"reason": "Expired", "code": 410}));
}

#[test]
fn a_list_from_the_cache_has_one_page() {
    let api = Api::asleep();
    fill(&api);
    let list = api.get(&format!("{SECRETS}?limit=1&resourceVersion=0"));
    assert_eq!(names(&list), ["a", "b", "c"]);
    assert_eq!(list["metadata"]["continue"], Value::Null);
    let future = api.call("admin", "GET", &format!("{SECRETS}?resourceVersion=999999"));
    future.expect(504, &json!({"reason": "Timeout", "details": {"retryAfterSeconds": 1}}));
}

#[test]
fn metadata_alone_can_be_asked_for() {
    let api = Api::asleep();
    fill(&api);
    let list = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = api.send(api.request("admin", "GET", SECRETS).header("Accept", list));
    let list = list.expect(200, &json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}));
    assert_eq!(names(&list), ["a", "b", "c"]);
    assert_eq!((&list["items"][0]["kind"], &list["items"][0]["data"]), (&json!("PartialObjectMetadata"), &Value::Null));

    let one = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let path = format!("{SECRETS}/a");
    let object = api.send(api.request("admin", "GET", &path).header("Accept", one));
    object.expect(200, &json!({"kind": "PartialObjectMetadata", "metadata": {"name": "a"}, "data": null}));

    let wrong = api.send(api.request("admin", "GET", SECRETS).header("Accept", one));
    wrong.expect(406, &json!({"reason": "NotAcceptable"}));
    let table = "application/json;as=Table;g=meta.k8s.io;v=v1, application/json";
    let plain = api.send(api.request("admin", "GET", &path).header("Accept", table));
    plain.expect(200, &json!({"kind": "Secret"}));
    let protobuf = api.request("admin", "GET", &path).header("Accept", "application/vnd.kubernetes.protobuf");
    api.send(protobuf).expect(406, &json!({"reason": "NotAcceptable"}));
}
