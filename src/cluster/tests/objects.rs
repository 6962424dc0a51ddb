use sandbox::manifests;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use super::Stage;
use crate::bridge::names::{MANAGED_BY, MANAGED_BY_LABEL};
use crate::cluster::{ObjectKind, QUAY_INTEGRATION_CRD_NAME, quay_integration_crd};

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
fn what_is_there_already_and_the_same_is_as_good_as_created() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    let create = |object: &Value| stage.run(cluster.create_object(ObjectKind::ConfigMap, CONFIG, object));
    create(&config_map("ours")).unwrap();
    assert_eq!(stage.requests(), ["create configmaps"]);
    let first = stored(&stage);
    let mut labelled = config_map("ours");
    labelled["metadata"]["labels"] = json!({ "a": "b" });
    create(&labelled).unwrap();
    let error = create(&config_map("theirs")).unwrap_err().to_string();
    assert_eq!(
        error,
        "could not create config map ca in namespace openshift-config: there is one already, and it is not the same"
    );
    assert_eq!(stored(&stage), first);
}

#[test]
fn what_is_being_deleted_is_not_as_good_as_created() {
    let stage = Stage::new();
    let mut dying = config_map("ours");
    dying["metadata"]["finalizers"] = json!(["example.com/wait"]);
    stage.openshift().create(dying);
    stage.openshift().delete("ConfigMap", "openshift-config", "ca");
    let cluster = stage.cluster("admin");
    assert!(stage.run(cluster.create_object(ObjectKind::ConfigMap, CONFIG, &config_map("ours"))).is_err());
    stage.run(cluster.delete_object(ObjectKind::ConfigMap, CONFIG, "ca", Some("1"))).unwrap();
}

#[test]
fn a_patch_merges_and_is_refused_when_its_object_has_changed() {
    let stage = Stage::new();
    stage.openshift().create(config_map("old"));
    let cluster = stage.cluster("admin");
    let seen = stored(&stage);
    let merge = |ca: Value| {
        let patch = json!({ "metadata": { "resourceVersion": version(&seen) }, "data": { "other": ca } });
        stage.run(cluster.merge_object(ObjectKind::ConfigMap, CONFIG, "ca", &patch))
    };
    merge(json!("new")).unwrap();
    assert_eq!(stored(&stage)["data"], json!({ "quay.example.com": "old", "other": "new" }));
    merge(json!("new")).expect("it is so already, as when an answer was lost");
    for wanted in [json!("else"), Value::Null] {
        let error = merge(wanted).unwrap_err();
        assert!(error.to_string().contains("changed meanwhile; run the command again"), "{error}");
    }
}

#[test]
fn only_what_was_looked_at_is_deleted() {
    let stage = Stage::new();
    stage.openshift().create(config_map("ours"));
    let cluster = stage.cluster("admin");
    let delete = |version: Option<&str>| stage.run(cluster.delete_object(ObjectKind::ConfigMap, CONFIG, "ca", version));
    let seen = stored(&stage);
    Stage::modify(stage.openshift(), "ConfigMap", "openshift-config", "ca", |map| map["data"]["theirs"] = json!("x"));
    let error = delete(Some(version(&seen))).unwrap_err();
    assert!(error.to_string().contains("changed meanwhile"), "{error}");
    delete(Some(version(&stored(&stage)))).unwrap();
    assert_eq!(stage.openshift().get("ConfigMap", "openshift-config", "ca"), None);
    delete(None).unwrap();
    delete(Some("1")).unwrap();
}

#[test]
fn an_answer_that_is_lost_does_no_harm() {
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
    stage.run(cluster.delete_object(ObjectKind::ConfigMap, CONFIG, "ca", Some(version(&seen)))).unwrap();
}

#[test]
fn a_cluster_without_operator_takes_our_definition_and_what_it_defines() {
    let without = vec!["quay.redhat.com".to_owned()];
    let stage = Stage::of(sandbox::openshift::Cluster { without, ..Default::default() });
    let cluster = stage.cluster("admin");
    let definition = quay_integration_crd();
    assert_eq!(definition["metadata"]["name"], QUAY_INTEGRATION_CRD_NAME);
    assert_eq!(definition["metadata"]["labels"][MANAGED_BY_LABEL], MANAGED_BY);
    let mut integration = manifests::quay_integration("https://quay.example.com");
    let create = |kind, object: &Value| stage.run(cluster.create_object(kind, None, object));
    assert_eq!(create(ObjectKind::QuayIntegration, &integration).unwrap_err().status(), Some(404));

    create(ObjectKind::CustomResourceDefinition, &definition).unwrap();
    let groups = || stage.run(cluster.platform()).unwrap().groups;
    stage.eventually(|_| stage.run(cluster.operator(&groups())).unwrap().crd.is_some_and(|crd| crd.established && crd.ours));
    stage.eventually(|_| groups().contains("quay.redhat.com"));
    let spec = integration["spec"].as_object_mut().unwrap();
    let hostname = spec.remove("quayHostname").unwrap();
    assert_eq!(create(ObjectKind::QuayIntegration, &integration).unwrap_err().status(), Some(422));
    integration["spec"]["quayHostname"] = hostname;
    integration["spec"]["scheduledImageStreamImport"] = json!(true);
    create(ObjectKind::QuayIntegration, &integration).unwrap();
    let found = stage.run(cluster.integrations()).unwrap();
    assert!(found[0].scheduled && !found[0].insecure);
}

#[test]
fn our_definition_asks_what_the_operators_asks() {
    let theirs = sandbox::openshift::definitions::quay_integrations();
    let spec = |definition: &Value| {
        let mut spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone();
        forget_descriptions(&mut spec);
        spec
    };
    assert_eq!(spec(&quay_integration_crd()), spec(&theirs));
}

fn forget_descriptions(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|key, value| key != "description" || !value.is_string());
            fields.values_mut().for_each(forget_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_descriptions),
        _ => {}
    }
}
