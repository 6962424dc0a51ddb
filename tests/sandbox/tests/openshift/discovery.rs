//! Versions, groups and resources.

use serde_json::{Value, json};

use super::Api;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fn find<'a>(list: &'a Value, key: &str, value: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|item| item[key] == value).unwrap_or(&Value::Null)
}

#[test]
fn groups_and_resources_are_listed() {
    let api = Api::asleep();
    api.call("nobody", "GET", "/version").expect(200, &json!({"major": "1", "minor": "34"}));
    api.call("nobody", "GET", "/api").expect(200, &json!({"kind": "APIVersions", "versions": ["v1"]}));
    let groups = api.get("/apis");
    let group = find(&groups["groups"], "name", "operators.coreos.com");
    assert_eq!(group["preferredVersion"]["groupVersion"], "operators.coreos.com/v1");

    let core = api.get("/api/v1");
    assert_eq!(find(&core["resources"], "name", "namespaces")["namespaced"], false);
    let secrets = find(&core["resources"], "name", "secrets");
    assert_eq!((&secrets["kind"], &secrets["namespaced"]), (&json!("Secret"), &json!(true)));
    let quay = api.get("/apis/quay.redhat.com/v1");
    assert_eq!(quay["groupVersion"], "quay.redhat.com/v1");
    assert_eq!(find(&quay["resources"], "name", "quayintegrations")["kind"], "QuayIntegration");
    let images = api.get("/apis/image.openshift.io/v1");
    let streams = find(&images["resources"], "name", "imagestreams");
    assert_eq!((&streams["shortNames"], &streams["categories"]), (&json!(["is"]), &json!(["all"])));
    assert_eq!(find(&images["resources"], "name", "imagestreamimports")["verbs"], json!(["create"]));
}

#[test]
fn aggregated_discovery_says_the_same() {
    let api = Api::asleep();
    for path in ["/api", "/apis"] {
        let answer = api.send(api.request("dev", "GET", path).header("Accept", format!("{AGGREGATED},application/json")));
        assert_eq!(answer.headers["content-type"], AGGREGATED);
        let list = answer.expect(200, &json!({"kind": "APIGroupDiscoveryList"}));
        for item in list["items"].as_array().unwrap() {
            for version in item["versions"].as_array().unwrap() {
                let name = version["version"].as_str().unwrap();
                let plain = match item["metadata"]["name"].as_str() {
                    Some("") | None => api.get(&format!("/api/{name}")),
                    Some(group) => api.get(&format!("/apis/{group}/{name}")),
                };
                assert_eq!(version["resources"], plain["resources"]);
            }
        }
    }
}

#[test]
fn serves_no_other_version_of_aggregated_discovery() {
    let api = Api::asleep();
    let beta = AGGREGATED.replace("v=v2", "v=v2beta1");
    let answer = api.send(api.request("dev", "GET", "/apis").header("Accept", format!("{beta},application/json")));
    answer.expect(200, &json!({"kind": "APIGroupList"}));
}

#[test]
fn lets_clients_leave_validation_to_the_server() {
    let api = Api::asleep();
    let documents = api.call("dev", "GET", "/openapi/v3").expect(200, &json!({}));
    for group_version in ["api/v1", "apis/image.openshift.io/v1", "apis/quay.redhat.com/v1"] {
        let document = api.get(documents["paths"][group_version]["serverRelativeURL"].as_str().unwrap());
        let mut operations = document["paths"].as_object().unwrap().values().map(|path| &path["patch"]);
        let (group, version) = group_version.split_once('/').unwrap().1.split_once('/').unwrap_or(("", "v1"));
        let found = operations.find(|patch| {
            let kind = &patch["x-kubernetes-group-version-kind"];
            (&kind["group"], &kind["version"]) == (&json!(group), &json!(version))
        });
        assert_eq!(found.unwrap()["parameters"], json!([{"name": "fieldValidation", "in": "query"}]), "{group_version}");
    }
}

#[test]
fn what_is_not_there_is_a_page_not_found() {
    let api = Api::asleep();
    for path in ["/apis/nothing.io", "/apis/nothing.io/v1/things", "/apis/quay.redhat.com/v1/things", "/metrics"] {
        let answer = api.call("admin", "GET", path);
        assert_eq!((answer.status, answer.body), (404, json!("404 page not found\n")), "{path}");
    }
    for path in ["/apis/apps/v1/statefulsets", "/api/v1/namespaces/a/secrets/b/c", "/api/v1/secrets/x"] {
        let message = "the server could not find the requested resource";
        api.call("admin", "GET", path).refused(404, "NotFound", message);
    }
    // Only who may do everything learns that there is nothing.
    assert_eq!(api.call("dev", "GET", "/apis/apps/v1/statefulsets").status, 403);
    let message = "forbidden: User \"dev\" cannot get path \"/metrics\"";
    api.call("dev", "GET", "/metrics").refused(403, "Forbidden", message);
    api.get("/apis/config.openshift.io/v1/clusterversions/version");
    api.get("/apis/config.openshift.io/v1/images/cluster");
}
