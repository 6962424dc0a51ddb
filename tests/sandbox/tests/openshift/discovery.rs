//! Versions, groups and resources.

use serde_json::json;

use super::Api;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

#[test]
fn aggregated_discovery_has_the_same_resources() {
    let api = Api::asleep();
    for path in ["/api", "/apis"] {
        let answer = api.send(
            api.request("dev", "GET", path)
                .header("Accept", format!("{AGGREGATED},application/json")),
        );
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
    let answer = api.send(
        api.request("dev", "GET", "/apis").header("Accept", format!("{beta},application/json")),
    );
    answer.expect(200, &json!({"kind": "APIGroupList"}));
}

#[test]
fn lets_clients_leave_validation_to_the_server() {
    let api = Api::asleep();
    let documents = api.call("dev", "GET", "/openapi/v3").expect(200, &json!({}));
    for group_version in ["api/v1", "apis/image.openshift.io/v1", "apis/quay.redhat.com/v1"] {
        let document =
            api.get(documents["paths"][group_version]["serverRelativeURL"].as_str().unwrap());
        let mut operations =
            document["paths"].as_object().unwrap().values().map(|path| &path["patch"]);
        let (group, version) =
            group_version.split_once('/').unwrap().1.split_once('/').unwrap_or(("", "v1"));
        let found = operations.find(|patch| {
            let kind = &patch["x-kubernetes-group-version-kind"];
            (&kind["group"], &kind["version"]) == (&json!(group), &json!(version))
        });
        assert_eq!(
            found.unwrap()["parameters"],
            json!([{"name": "fieldValidation", "in": "query"}]),
            "{group_version}"
        );
    }
}
