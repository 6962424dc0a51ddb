//! Deletes, preconditions and finalizers.

use serde_json::json;

use super::{ACCOUNTS, Api, SECRETS, secret};

#[test]
fn a_delete_says_what_it_removed() {
    let api = Api::asleep();
    let stored = api.send_json("POST", SECRETS, &secret("a")).expect(201, &json!({}));
    let details = json!({"name": "a", "kind": "secrets", "uid": stored["metadata"]["uid"]});
    let path = format!("{SECRETS}/a");
    api.call("admin", "DELETE", &path).expect(200, &json!({"kind": "Status", "status": "Success", "details": details}));
    let message = "secrets \"a\" not found";
    api.call("admin", "GET", &path).refused(404, "NotFound", message);
    api.call("admin", "DELETE", &path).refused(404, "NotFound", message);
    assert_eq!(api.call("admin", "DELETE", SECRETS).status, 405);
    let account = format!("{ACCOUNTS}/default");
    api.call("admin", "DELETE", &account).expect(200, &json!({"kind": "ServiceAccount", "metadata": {"name": "default"}}));
}

#[test]
fn preconditions_protect_a_successor() {
    let api = Api::asleep();
    let path = format!("{SECRETS}/a");
    let stored = api.send_json("POST", SECRETS, &secret("a")).expect(201, &json!({}));
    for precondition in [json!({"uid": "another"}), json!({"resourceVersion": "1"})] {
        let options = json!({"preconditions": precondition});
        api.send_json("DELETE", &path, &options).expect(409, &json!({"reason": "Conflict"}));
    }
    let metadata = &stored["metadata"];
    let precondition = json!({"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]});
    api.send_json("DELETE", &path, &json!({"preconditions": precondition})).expect(200, &json!({"status": "Success"}));
}

#[test]
fn a_finalizer_keeps_an_object_until_it_is_taken_off() {
    let api = Api::asleep();
    let path = format!("{SECRETS}/a");
    let mut object = secret("a");
    object["metadata"]["finalizers"] = json!(["example.com/keep", "example.com/too"]);
    api.send_json("POST", SECRETS, &object).expect(201, &json!({"metadata": {"deletionTimestamp": null}}));
    let marked = api.call("admin", "DELETE", &path).expect(200, &json!({"kind": "Secret", "metadata": {"name": "a"}}));
    assert!(marked["metadata"]["deletionTimestamp"].is_string(), "{marked}");
    assert_eq!(api.call("admin", "DELETE", &path).expect(200, &json!({})), marked, "a second delete changes nothing");

    let message = "object is being deleted: secrets \"a\" already exists";
    api.send_json("POST", SECRETS, &secret("a")).refused(409, "AlreadyExists", message);
    let more = json!([{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/more"}]);
    let refused = api.patch("json", &path, &more).expect(422, &json!({"reason": "Invalid"}));
    assert!(refused["message"].as_str().unwrap().contains("no new finalizers can be added"), "{refused}");
    let revived = json!({"metadata": {"deletionTimestamp": null}});
    api.patch("merge", &path, &revived).expect(200, &json!({"metadata": marked["metadata"]}));

    let one = json!([{"op": "remove", "path": "/metadata/finalizers/0"}]);
    api.patch("json", &path, &one).expect(200, &json!({"metadata": {"finalizers": ["example.com/too"]}}));
    api.patch("json", &path, &one).expect(200, &json!({"metadata": {"finalizers": null}}));
    assert_eq!(api.call("admin", "GET", &path).status, 404);
}
