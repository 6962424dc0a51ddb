use std::collections::BTreeMap;

use sandbox::openshift::Cluster as SandboxCluster;
use serde_json::json;

use super::Stage;
use crate::bridge::snapshot::UnreadKind;
use crate::cluster::NodeTrust;

fn trust(stage: &Stage) -> NodeTrust {
    stage.run(stage.cluster("admin").node_trust("usual")).unwrap()
}

#[test]
fn nodes_trust_what_the_config_map_says_that_the_image_configuration_names() {
    let stage = Stage::new();
    let fresh = trust(&stage);
    assert_eq!(stage.requests(), ["get configmaps", "get images"]);
    let image_config = fresh.image_config.unwrap();
    assert!(!image_config.resource_version.is_empty());
    assert_eq!((image_config.config_map, image_config.insecure_registries.len(), fresh.config_map), (None, 0, None));

    Stage::modify(stage.openshift(), "Image", "", "cluster", |image| {
        image["spec"] = json!({
            "additionalTrustedCA": { "name": "authorities" }, "registrySources": { "insecureRegistries": ["old.example.com"] },
        });
    });
    let absent = trust(&stage);
    assert_eq!(absent.config_map, None);
    let image_config = absent.image_config.unwrap();
    assert_eq!(image_config.config_map.as_deref(), Some("authorities"));
    assert_eq!(image_config.insecure_registries, ["old.example.com"]);

    stage.openshift().create(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": { "quay.example.com..8443": "PEM" },
        "metadata": { "name": "authorities", "namespace": "openshift-config" },
    }));
    let config_map = trust(&stage).config_map.unwrap();
    assert_eq!(config_map.data, BTreeMap::from([("quay.example.com..8443".to_owned(), "PEM".to_owned())]));
    assert_eq!((config_map.name.as_str(), config_map.ours), ("authorities", false));
}

#[test]
fn where_no_config_map_is_named_the_usual_one_is_of_interest() {
    let stage = Stage::new();
    let metadata = json!({ "name": "usual", "namespace": "openshift-config" });
    stage.openshift().create(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata }));
    let found = trust(&stage);
    assert_eq!((found.image_config.unwrap().config_map, found.config_map.unwrap().name), (None, "usual".to_owned()));
}

#[test]
fn a_config_map_that_may_not_be_read_is_not_absent() {
    let stage = Stage::new();
    Stage::modify(stage.openshift(), "Image", "", "cluster", |image| {
        image["spec"] = json!({ "additionalTrustedCA": { "name": "authorities" } });
    });
    stage.openshift().deny("admin", "get", "", "configmaps");
    let unread = stage.run(stage.cluster("admin").node_trust("usual")).unwrap_err();
    assert_eq!(unread.call, "read config map authorities in namespace openshift-config");
    assert_eq!(unread.kind, UnreadKind::Forbidden);
}

#[test]
fn a_cluster_that_is_not_openshift_has_no_image_configuration() {
    let without = vec!["config.openshift.io".to_owned()];
    let stage = Stage::of(SandboxCluster { without, ..SandboxCluster::default() });
    assert_eq!(trust(&stage), NodeTrust::default());
}
