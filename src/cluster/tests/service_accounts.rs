use futures::future::{join, join_all};
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use sandbox::openshift::Cluster as SandboxCluster;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use super::{Stage, secret_of};
use crate::bridge::Role;
use crate::bridge::change::ServiceAccountEdit;
use crate::bridge::snapshot::ServiceAccount;
use crate::cluster::{Cluster, Secrets};

fn link(secret: &str) -> ServiceAccountEdit {
    ServiceAccountEdit { secret: secret.into(), mountable: Some(true), pull: Some(true), role: None }
}

fn unlink(secret: &str) -> ServiceAccountEdit {
    ServiceAccountEdit { secret: secret.into(), mountable: Some(false), pull: Some(false), role: None }
}

fn stored(stage: &Stage) -> Value {
    stage.openshift().get("ServiceAccount", "myproj", "builder").unwrap()
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

fn seen(stage: &Stage, cluster: &Cluster) -> ServiceAccount {
    let parts = stage.parts(cluster, "myproj", None, secret_of, Secrets::IfReferenced);
    stage.openshift().traffic().clear();
    parts.service_accounts.unwrap().into_iter().find(|account| account.name == "builder").unwrap()
}

#[test]
fn what_was_seen_is_edited_with_one_request() {
    let stage = Stage::new();
    let cluster = stage.cluster("dev");
    let before = stored(&stage);
    let seen = seen(&stage, &cluster);
    let edit = ServiceAccountEdit { role: Some(Some(Role::Write)), ..link("ours") };
    stage.run(cluster.edit_service_account("myproj", "builder", Some(&seen), &edit)).unwrap();
    assert_eq!(stage.requests(), ["patch serviceaccounts"]);
    let after = stored(&stage);
    for list in ["secrets", "imagePullSecrets"] {
        let expected = [names(&before[list]), vec!["ours".to_owned()]].concat();
        assert_eq!(names(&after[list]), expected);
    }
    assert_eq!(after["metadata"]["annotations"]["oc-quay/role"], "write");

    // What was seen is out of date by now, and there is nothing left to do.
    stage.openshift().traffic().clear();
    stage.run(cluster.edit_service_account("myproj", "builder", Some(&seen), &edit)).unwrap();
    assert_eq!(stored(&stage), after);
    assert_eq!(stage.openshift().traffic().count("get serviceaccounts"), 1);

    stage.openshift().traffic().clear();
    stage.run(cluster.edit_service_account("myproj", "builder", None, &edit)).unwrap();
    assert_eq!(stage.requests(), ["get serviceaccounts"]);

    let undo = ServiceAccountEdit { role: Some(None), ..unlink("ours") };
    stage.run(cluster.edit_service_account("myproj", "builder", None, &undo)).unwrap();
    let undone = stored(&stage);
    assert_eq!((&undone["secrets"], &undone["imagePullSecrets"]), (&before["secrets"], &before["imagePullSecrets"]));
    assert_eq!(undone["metadata"]["annotations"], before["metadata"]["annotations"]);
}

#[test]
fn a_service_account_with_nothing_at_all_is_edited_too() {
    let stage = Stage::of(SandboxCluster { internal_registry: false, ..SandboxCluster::default() });
    stage.openshift().put(json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "bare", "namespace": "myproj" },
    }));
    let version = stage.openshift().get("ServiceAccount", "myproj", "bare").unwrap()["metadata"]["resourceVersion"].clone();
    let seen =
        ServiceAccount { name: "bare".into(), resource_version: version.as_str().unwrap().into(), ..ServiceAccount::default() };
    let cluster = stage.cluster("dev");
    let edit = ServiceAccountEdit { role: Some(Some(Role::Read)), ..link("ours") };
    stage.run(cluster.edit_service_account("myproj", "bare", Some(&seen), &edit)).unwrap();
    let after = stage.openshift().get("ServiceAccount", "myproj", "bare").unwrap();
    assert_eq!((names(&after["secrets"]), names(&after["imagePullSecrets"])), (vec!["ours".into()], vec!["ours".into()]));
    assert_eq!(after["metadata"]["annotations"]["oc-quay/role"], "read");
}

/// Adds a pull secret as somebody else would, with a patch that the API server applies to whatever is there.
async fn add_theirs(cluster: &Cluster, name: &str) {
    let operation = json!([{ "op": "add", "path": "/imagePullSecrets/-", "value": { "name": name } }]);
    let patch = Patch::Json::<()>(serde_json::from_value(operation).unwrap());
    let accounts = Request::new("/api/v1/namespaces/myproj/serviceaccounts");
    cluster.send::<Value>("add theirs", accounts.patch("builder", &PatchParams::default(), &patch)).await.unwrap();
}

/// Several of us, each with its own secret and each twice, beside somebody who keeps adding theirs.
#[test]
fn nobodys_reference_is_lost_or_doubled() {
    let stage = Stage::new();
    let (ours, theirs, cluster) = (["one", "two", "three"], ["a", "b", "c", "d", "e"], stage.cluster("dev"));
    let seen = seen(&stage, &cluster);
    let own = names(&stored(&stage)["imagePullSecrets"]);
    stage.run(async {
        let (seen, cluster) = (&seen, &cluster);
        let edits = ours.iter().chain(&ours).map(async |name| {
            cluster.edit_service_account("myproj", "builder", Some(seen), &link(name)).await.unwrap();
        });
        let others = async {
            for name in theirs {
                add_theirs(cluster, name).await;
            }
        };
        join(join_all(edits), others).await;
    });
    assert!(stage.openshift().traffic().count("get serviceaccounts") > 0, "a weak test: nobody got in anybody's way");
    let after = stored(&stage);
    let mut expected = own;
    expected.extend(ours.map(str::to_owned));
    expected.extend(theirs.map(str::to_owned));
    expected.sort();
    let mut pull = names(&after["imagePullSecrets"]);
    pull.sort();
    assert_eq!(pull, expected);
    let mountable = names(&after["secrets"]);
    assert!(ours.iter().all(|name| mountable.iter().filter(|entry| *entry == name).count() == 1), "{mountable:?}");

    stage.run(async {
        join_all(ours.map(async |name| {
            cluster.edit_service_account("myproj", "builder", None, &unlink(name)).await.unwrap();
        }))
        .await;
    });
    let after = stored(&stage);
    assert!(ours.iter().all(|name| !after.to_string().contains(&format!("\"{name}\""))), "{after}");
    assert_eq!(names(&after["imagePullSecrets"]).len(), expected.len() - ours.len());
}

#[test]
fn a_refusal_that_is_no_race_is_an_error() {
    let stage = Stage::new();
    let cluster = stage.cluster("dev");
    let body = r#"{"kind":"Status","status":"Failure","message":"denied by policy","reason":"Invalid","code":422}"#;
    stage.openshift().traffic().fault(Fault::on("PATCH", "/serviceaccounts/").status(422).body(body));
    let error = stage.run(cluster.edit_service_account("myproj", "builder", None, &link("ours"))).unwrap_err();
    assert_eq!(error.to_string(), "could not edit service account builder in namespace myproj: denied by policy");
    assert_eq!(stage.openshift().traffic().count("patch serviceaccounts"), 1);
}

#[test]
fn a_service_account_that_is_gone_has_nothing_to_remove() {
    let stage = Stage::new();
    let cluster = stage.cluster("dev");
    stage.run(cluster.edit_service_account("myproj", "pipeline", None, &unlink("ours"))).unwrap();
    let error = stage.run(cluster.edit_service_account("myproj", "pipeline", None, &link("ours"))).unwrap_err();
    assert!(error.to_string().ends_with("there is no such service account"), "{error}");
    let gone = ServiceAccount {
        name: "pipeline".into(),
        resource_version: "1".into(),
        mountable: vec!["ours".into()],
        ..ServiceAccount::default()
    };
    stage.run(cluster.edit_service_account("myproj", "pipeline", Some(&gone), &unlink("ours"))).unwrap();
}
