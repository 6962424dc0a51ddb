use sandbox::traffic::Fault;
use serde_json::{Value, json};

use super::Stage;
use crate::cluster::{ObjectKind, quay_integration_crd};

const CONFIG: Option<&str> = Some("openshift-config");

fn config_map(ca: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "ca", "namespace": "openshift-config" },
        "data": { "quay.example.com": ca },
    })
}

fn stored(stage: &Stage) -> Value {
    stage.openshift().get("ConfigMap", "openshift-config", "ca").unwrap()
}

fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap()
}

#[test]
fn object_in_deletion_is_not_created() {
    let stage = Stage::new();
    let mut dying = config_map("ours");
    dying["metadata"]["finalizers"] = json!(["example.com/wait"]);
    stage.openshift().create(dying);
    stage.openshift().delete("ConfigMap", "openshift-config", "ca");
    let cluster = stage.cluster("admin");
    assert!(
        stage
            .run(cluster.create_object(ObjectKind::ConfigMap, CONFIG, &config_map("ours")))
            .is_err()
    );
    stage.run(cluster.delete_object(ObjectKind::ConfigMap, CONFIG, "ca", Some("1"))).unwrap();
}

#[test]
fn writes_survive_lost_responses() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    let traffic = stage.openshift().traffic();
    for method in ["POST", "PATCH", "DELETE"] {
        traffic.fault(Fault::on(method, "/configmaps").nth(1).drop_after());
    }
    stage.run(cluster.create_object(ObjectKind::ConfigMap, CONFIG, &config_map("ours"))).unwrap();
    let patch = json!({ "metadata": { "resourceVersion": version(&stored(&stage)) }, "data": { "quay.example.com": null } });
    stage.run(cluster.merge_object(ObjectKind::ConfigMap, CONFIG, "ca", &patch)).unwrap();
    assert_eq!(stored(&stage)["data"]["quay.example.com"], Value::Null);
    let seen = stored(&stage);
    stage
        .run(cluster.delete_object(ObjectKind::ConfigMap, CONFIG, "ca", Some(version(&seen))))
        .unwrap();
}

#[test]
fn crd_schema_equals_the_operators() {
    let theirs = sandbox::openshift::definitions::quay_integrations();
    let spec = |definition: &Value| {
        let mut spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
            ["spec"]
            .clone();
        remove_descriptions(&mut spec);
        spec
    };
    assert_eq!(spec(&quay_integration_crd()), spec(&theirs));
}

fn remove_descriptions(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|key, value| key != "description" || !value.is_string());
            fields.values_mut().for_each(remove_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_descriptions),
        _ => {}
    }
}
