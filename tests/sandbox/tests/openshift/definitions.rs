//! CustomResourceDefinitions, and the schemas in them.

use sandbox::openshift::{Cluster, definitions};
use serde_json::{Value, json};
use std::time::Duration;

use super::{Api, INTEGRATIONS, integration};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const DEFINITION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/quayintegrations.quay.redhat.com";

fn groups(api: &Api) -> Vec<String> {
    let list = api.get("/apis");
    list["groups"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap().to_owned()).collect()
}

fn condition(definition: &Value, kind: &str) -> Value {
    let conditions = definition["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)["status"].clone()
}

fn is_served(api: &Api) -> bool {
    groups(api).contains(&"quay.redhat.com".to_owned())
}

#[test]
fn a_definition_makes_its_kind_served() {
    let without = vec!["quay.redhat.com".to_owned()];
    let api = Api::with(Cluster { settle: Duration::from_millis(20), without, ..Cluster::default() });
    assert!(!is_served(&api));
    for path in [INTEGRATIONS, "/apis/quay.redhat.com", "/apis/quay.redhat.com/v1"] {
        assert_eq!(api.call("admin", "GET", path).body, json!("404 page not found\n"), "{path}");
    }
    assert_eq!(api.send_json("POST", INTEGRATIONS, &integration("quay")).status, 404);
    api.call("admin", "GET", DEFINITION).expect(404, &json!({"reason": "NotFound"}));

    let created = api.send_json("POST", DEFINITIONS, &definitions::quay_integrations()).expect(201, &json!({}));
    assert!(created["status"]["conditions"].is_null());
    api.eventually(INTEGRATIONS, 200, &json!({"kind": "QuayIntegrationList"}));
    let established = api.get(DEFINITION);
    for kind in ["NamesAccepted", "Established"] {
        assert_eq!(condition(&established, kind), "True", "{established}");
    }
    assert_eq!(established["status"]["storedVersions"], json!(["v1"]));
    assert!(is_served(&api));
    api.send_json("POST", INTEGRATIONS, &integration("quay")).expect(201, &json!({}));
}

#[test]
fn a_deleted_definition_takes_its_objects_along() {
    let api = Api::start();
    let mut held = integration("quay");
    held["metadata"]["finalizers"] = json!(["example.com/held"]);
    api.send_json("POST", INTEGRATIONS, &held).expect(201, &json!({}));
    api.send_json("POST", INTEGRATIONS, &integration("other")).expect(201, &json!({}));
    let marked = api.call("admin", "DELETE", DEFINITION).expect(200, &json!({"kind": "CustomResourceDefinition"}));
    assert_eq!(condition(&marked, "Terminating"), "True");

    api.eventually(&format!("{INTEGRATIONS}/other"), 404, &json!({}));
    let held = api.get(&format!("{INTEGRATIONS}/quay"));
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    let message = "create not allowed while custom resource definition is terminating";
    api.send_json("POST", INTEGRATIONS, &integration("new")).refused(405, "MethodNotAllowed", message);

    api.patch("merge", &format!("{INTEGRATIONS}/quay"), &json!({"metadata": {"finalizers": null}})).expect(200, &json!({}));
    api.eventually(DEFINITION, 404, &json!({}));
    assert!(!is_served(&api));
}

#[test]
fn a_definition_has_to_fit_its_name() {
    let api = Api::asleep();
    let mut definition = definitions::quay_integrations();
    definition["metadata"]["name"] = json!("integrations.quay.redhat.com");
    definition["spec"]["versions"][0]["schema"] = json!({});
    let refused = api.send_json("POST", DEFINITIONS, &definition).expect(422, &json!({"reason": "Invalid"}));
    let fields: Vec<&Value> = refused["details"]["causes"].as_array().unwrap().iter().map(|cause| &cause["field"]).collect();
    assert_eq!(fields, [&json!("metadata.name"), &json!("spec.versions[0].schema.openAPIV3Schema")]);
}

#[test]
fn schemas_of_olm_are_enforced() {
    let api = Api::asleep();
    let subscriptions = "/apis/operators.coreos.com/v1alpha1/namespaces/openshift-operators/subscriptions";
    let subscription = json!({
        "apiVersion": "operators.coreos.com/v1alpha1", "kind": "Subscription", "metadata": {"name": "quay-bridge-operator"},
        "spec": {"name": "quay-bridge-operator", "channel": 3.18},
    });
    let refused = api.send_json("POST", subscriptions, &subscription).expect(422, &json!({}));
    for part in
        ["spec.source: Required value", "spec.sourceNamespace: Required value", "spec.channel in body must be of type string"]
    {
        assert!(refused["message"].as_str().unwrap().contains(part), "{part}: {refused}");
    }

    let extensions = "/apis/olm.operatorframework.io/v1/clusterextensions";
    let extension = |source_type: &str| {
        json!({
            "apiVersion": "olm.operatorframework.io/v1", "kind": "ClusterExtension", "metadata": {"name": "quay-bridge-operator"},
            "spec": {
                "namespace": "openshift-operators", "serviceAccount": {"name": "installer"},
                "source": {"sourceType": source_type, "catalog": {"packageName": "quay-bridge-operator", "colour": "red"}},
            },
        })
    };
    let refused = api.send_json("POST", extensions, &extension("Image")).expect(422, &json!({}));
    let message = r#"spec.source.sourceType: Unsupported value: "Image": supported values: "Catalog""#;
    assert!(refused["message"].as_str().unwrap().contains(message), "{refused}");
    let stored = api.send_json("POST", extensions, &extension("Catalog")).expect(201, &json!({}));
    assert!(stored["spec"]["source"]["catalog"]["colour"].is_null(), "unknown fields are dropped");
    let elsewhere = json!({"spec": {"namespace": "default"}});
    let refused = api.patch("merge", &format!("{extensions}/quay-bridge-operator"), &elsewhere).expect(422, &json!({}));
    assert!(refused["message"].as_str().unwrap().contains("namespace is immutable"), "{refused}");
}
