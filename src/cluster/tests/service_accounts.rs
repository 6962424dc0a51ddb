use sandbox::openshift::Cluster as SandboxCluster;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use super::Stage;
use crate::domain::Role;
use crate::domain::change::ServiceAccountEdit;
use crate::domain::snapshot::ServiceAccount;

fn link(secret: &str) -> ServiceAccountEdit {
    ServiceAccountEdit {
        secret: secret.into(),
        mountable: Some(true),
        pull: Some(true),
        role: None,
    }
}

fn unlink(secret: &str) -> ServiceAccountEdit {
    ServiceAccountEdit {
        secret: secret.into(),
        mountable: Some(false),
        pull: Some(false),
        role: None,
    }
}

fn names(list: &Value) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn edits_bare_service_account() {
    let stage = Stage::with_cluster(SandboxCluster {
        internal_registry: false,
        ..SandboxCluster::default()
    });
    stage.openshift().put(json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "bare", "namespace": "myproj" },
    }));
    let version = stage.openshift().get("ServiceAccount", "myproj", "bare").unwrap()["metadata"]["resourceVersion"].clone();
    let seen = ServiceAccount {
        name: "bare".into(),
        resource_version: version.as_str().unwrap().into(),
        ..ServiceAccount::default()
    };
    let cluster = stage.cluster("dev");
    let edit = ServiceAccountEdit { role: Some(Some(Role::Read)), ..link("ours") };
    stage.run(cluster.edit_service_account("myproj", "bare", Some(&seen), &edit)).unwrap();
    let after = stage.openshift().get("ServiceAccount", "myproj", "bare").unwrap();
    assert_eq!(
        (names(&after["secrets"]), names(&after["imagePullSecrets"])),
        (vec!["ours".into()], vec!["ours".into()])
    );
    assert_eq!(after["metadata"]["annotations"]["oc-quay/role"], "read");
}

#[test]
fn reports_rejection_that_is_no_conflict() {
    let stage = Stage::new();
    let cluster = stage.cluster("dev");
    let body = r#"{"kind":"Status","status":"Failure","message":"denied by policy","reason":"Invalid","code":422}"#;
    stage
        .openshift()
        .traffic()
        .fault(Fault::on("PATCH", "/serviceaccounts/").status(422).body(body));
    let error = stage
        .run(cluster.edit_service_account("myproj", "builder", None, &link("ours")))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to edit service account builder in namespace myproj: denied by policy"
    );
    assert_eq!(stage.openshift().traffic().count("patch serviceaccounts"), 1);
}

#[test]
fn removal_from_missing_account_succeeds() {
    let stage = Stage::new();
    let cluster = stage.cluster("dev");
    stage.run(cluster.edit_service_account("myproj", "pipeline", None, &unlink("ours"))).unwrap();
    let error = stage
        .run(cluster.edit_service_account("myproj", "pipeline", None, &link("ours")))
        .unwrap_err();
    assert!(error.to_string().ends_with("the service account does not exist"), "{error}");
    let gone = ServiceAccount {
        name: "pipeline".into(),
        resource_version: "1".into(),
        mountable: vec!["ours".into()],
        ..ServiceAccount::default()
    };
    stage
        .run(cluster.edit_service_account("myproj", "pipeline", Some(&gone), &unlink("ours")))
        .unwrap();
}
