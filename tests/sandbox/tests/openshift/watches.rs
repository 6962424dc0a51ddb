//! Watches, line by line.

use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Api, PATIENCE, SECRETS, secret};

/// An open watch.
struct Watch<'a> {
    api: &'a Api,
    response: Response,
    rest: String,
}

impl<'a> Watch<'a> {
    fn open(api: &'a Api, path: &str) -> Self {
        let response = api.open(api.request("admin", "GET", path)).unwrap();
        assert_eq!(response.status(), 200);
        Self { api, response, rest: String::new() }
    }

    /// The next event, or `None` at the end of the watch.
    fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((line, rest)) = self.rest.split_once('\n') {
                let event = serde_json::from_str(line).unwrap();
                self.rest = rest.to_owned();
                return Some(event);
            }
            let response = &mut self.response;
            let chunk = self.api.runtime.block_on(async { timeout(PATIENCE, response.chunk()).await });
            self.rest.push_str(std::str::from_utf8(&chunk.expect("an event in time").unwrap()?).unwrap());
        }
    }

    /// Type and name of the next event.
    fn summary(&mut self) -> String {
        let event = self.next().expect("an event");
        format!("{} {}", event["type"].as_str().unwrap(), event["object"]["metadata"]["name"].as_str().unwrap_or("-"))
    }
}

fn version(api: &Api) -> String {
    api.get(SECRETS)["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

#[test]
fn a_watch_tells_every_change_after_its_version_once() {
    let api = Api::asleep();
    api.send_json("POST", SECRETS, &secret("before")).expect(201, &json!({}));
    let mut watch = Watch::open(&api, &format!("{SECRETS}?watch=true&resourceVersion={}", version(&api)));
    api.send_json("POST", SECRETS, &secret("a")).expect(201, &json!({}));
    let elsewhere = "/api/v1/namespaces/default/secrets";
    api.send_json("POST", elsewhere, &secret("elsewhere")).expect(201, &json!({}));
    api.patch("merge", &format!("{SECRETS}/a"), &json!({"metadata": {"labels": {"x": "y"}}})).expect(200, &json!({}));
    api.call("admin", "DELETE", &format!("{SECRETS}/a")).expect(200, &json!({}));

    let event = watch.next().unwrap();
    assert_eq!((&event["type"], &event["object"]["kind"]), (&json!("ADDED"), &json!("Secret")));
    assert_eq!(watch.summary(), "MODIFIED a");
    let last = watch.next().unwrap();
    assert_eq!(last["type"], "DELETED");
    assert_eq!(last["object"]["metadata"]["resourceVersion"], version(&api), "the version of the deletion");
}

#[test]
fn without_a_version_a_watch_begins_with_what_there_is() {
    let api = Api::asleep();
    api.send_json("POST", SECRETS, &secret("a")).expect(201, &json!({}));
    let mut watch = Watch::open(&api, &format!("{SECRETS}?watch=1"));
    assert_eq!(watch.summary(), "ADDED a");
    api.send_json("POST", SECRETS, &secret("b")).expect(201, &json!({}));
    assert_eq!(watch.summary(), "ADDED b");
}

#[test]
fn a_selected_watch_sees_objects_come_and_go() {
    let api = Api::asleep();
    api.send_json("POST", SECRETS, &secret("a")).expect(201, &json!({}));
    let path = format!("{SECRETS}?watch=true&labelSelector=x%3Dy&resourceVersion={}", version(&api));
    let mut watch = Watch::open(&api, &path);
    for labels in [json!({"x": "y"}), json!({"z": "1"}), json!({"x": "n"}), json!({"z": "2"})] {
        api.patch("merge", &format!("{SECRETS}/a"), &json!({"metadata": {"labels": labels}})).expect(200, &json!({}));
    }
    api.patch("merge", &format!("{SECRETS}/a"), &json!({"metadata": {"labels": {"x": "y"}}})).expect(200, &json!({}));
    assert_eq!([watch.summary(), watch.summary()], ["ADDED a", "MODIFIED a"]);
    let gone = watch.next().unwrap();
    assert_eq!((&gone["type"], &gone["object"]["metadata"]["labels"]["x"]), (&json!("DELETED"), &json!("y")), "as last selected");
    assert_eq!(watch.summary(), "ADDED a");
}

#[test]
fn bookmarks_come_when_asked_for_and_the_end_when_time_is_up() {
    let api = Api::asleep();
    let now = version(&api);
    let query = format!("watch=true&timeoutSeconds=2&allowWatchBookmarks=true&resourceVersion={now}");
    let mut watch = Watch::open(&api, &format!("{SECRETS}?{query}"));
    let bookmark = watch.next().unwrap();
    let expected = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"resourceVersion": now}});
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert!(super::differences("", &bookmark["object"], &expected).is_empty(), "{bookmark}");
    while let Some(event) = watch.next() {
        assert_eq!(event["type"], "BOOKMARK");
    }

    let silent = format!("{SECRETS}?watch=true&timeoutSeconds=1&resourceVersion={now}");
    assert_eq!(Watch::open(&api, &silent).next(), None);
}

#[test]
fn a_version_that_is_forgotten_is_expired() {
    let api = Api::asleep();
    let old = version(&api);
    let mut running = Watch::open(&api, &format!("{SECRETS}?watch=true&resourceVersion={old}"));
    api.sandbox.openshift.expire_history();
    for watch in [&mut running, &mut Watch::open(&api, &format!("{SECRETS}?watch=true&resourceVersion={old}"))] {
        let event = watch.next().unwrap();
        assert_eq!(event["type"], "ERROR");
        let expected = json!({"kind": "Status", "code": 410, "reason": "Expired"});
        assert!(super::differences("", &event["object"], &expected).is_empty(), "{event}");
        assert_eq!(watch.next(), None);
    }
    let mut fresh = Watch::open(&api, &format!("{SECRETS}?watch=true&resourceVersion={}", version(&api)));
    api.send_json("POST", SECRETS, &secret("a")).expect(201, &json!({}));
    assert_eq!(fresh.summary(), "ADDED a");
}

#[test]
fn streaming_lists_and_strange_versions_are_refused() {
    let api = Api::asleep();
    let streaming = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    api.call("admin", "GET", &format!("{SECRETS}?{streaming}")).expect(422, &json!({"reason": "Invalid"}));
    api.call("admin", "GET", &format!("{SECRETS}?watch=true&resourceVersion=x")).expect(400, &json!({}));
}

#[test]
fn a_watch_of_metadata_has_only_that() {
    let api = Api::asleep();
    api.send_json("POST", SECRETS, &secret("a")).expect(201, &json!({}));
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let request = api.request("admin", "GET", &format!("{SECRETS}?watch=true")).header("Accept", accept);
    let response = api.open(request).unwrap();
    let event = Watch { api: &api, response, rest: String::new() }.next().unwrap();
    assert_eq!((&event["object"]["kind"], &event["object"]["data"]), (&json!("PartialObjectMetadata"), &Value::Null));
}
