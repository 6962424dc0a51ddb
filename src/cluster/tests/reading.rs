use sandbox::traffic::Fault;
use serde_json::json;

use super::{Stage, secret_of};
use crate::cluster::{BuildsMode, SecretsMode};
use crate::domain::snapshot::{Namespace, ReadErrorKind, Secret};

fn login_secret(namespace: &str, name: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": { "name": name, "namespace": namespace },
        "stringData": { ".dockerconfigjson": r#"{"auths":{"q":{"auth":"YTpi"}}}"# },
    })
}

fn names(secrets: &[Secret]) -> Vec<&str> {
    secrets.iter().map(|secret| secret.name.as_str()).collect()
}

#[test]
fn a_fresh_namespace_that_is_known_takes_two_calls() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    let known = Some(Namespace { uid: "u".into(), ..Namespace::default() });
    let parts =
        stage.parts(&cluster, "myproj", known.clone(), secret_of, SecretsMode::IfReferenced);
    assert_eq!(stage.requests(), ["list imagestreams", "list serviceaccounts"]);
    assert_eq!((parts.namespace, parts.secrets.unwrap().unwrap().len()), (Ok(known), 0));
}

#[test]
fn a_reference_to_one_of_ours_makes_the_secrets_worth_a_call() {
    let stage = Stage::new();
    stage.openshift().create(login_secret("myproj", "builder-quay-openshift"));
    Stage::modify(stage.openshift(), "ServiceAccount", "myproj", "default", |account| {
        account["imagePullSecrets"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "name": "builder-quay-openshift" }));
    });
    let cluster = stage.cluster("admin");
    let parts = stage.parts(&cluster, "myproj", None, secret_of, SecretsMode::IfReferenced);
    assert_eq!(names(&parts.secrets.unwrap().unwrap()), ["builder-quay-openshift"]);
}

#[test]
fn a_secret_of_the_wrong_type_is_found_by_name() {
    let stage = Stage::new();
    let mut wrong = login_secret("myproj", "builder-quay-openshift");
    wrong["type"] = json!("Opaque");
    stage.openshift().create(wrong);
    Stage::modify(stage.openshift(), "ServiceAccount", "myproj", "default", |account| {
        account["metadata"]["annotations"]["oc-quay/role"] = json!("read");
    });
    stage.openshift().create(login_secret("myproj", "deployer-quay-openshift"));
    let cluster = stage.cluster("admin");
    let parts = stage.parts(&cluster, "myproj", None, secret_of, SecretsMode::Always);
    let secrets = parts.secrets.unwrap().unwrap();
    let wrong = secrets.iter().find(|secret| secret.name == "builder-quay-openshift").unwrap();
    assert_eq!((secrets.len(), wrong.kind.as_str()), (2, "Opaque"));
    assert_eq!(
        stage.openshift().traffic().count("get secrets"),
        2,
        "builder's and default's, deployer's is there"
    );
}

#[test]
fn a_name_that_no_object_can_have_is_not_asked_for() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    let impossible = |account: &str| format!("{account}-quay-Prod_1");
    let parts = stage.parts(&cluster, "myproj", None, impossible, SecretsMode::Always);
    assert_eq!(parts.secrets.unwrap().unwrap().len(), 0);
    assert_eq!(stage.openshift().traffic().count("get secrets"), 0);
}

#[test]
fn everything_is_read_in_pages_and_sorted_by_namespace() {
    let stage = Stage::new();
    for number in 0..1010 {
        stage
            .openshift()
            .put(login_secret(if number % 2 == 0 { "even" } else { "odd" }, &format!("s{number}")));
    }
    let cluster = stage.cluster("admin");
    let mut all = stage.run(cluster.all_parts(BuildsMode::Read));
    assert_eq!(stage.openshift().traffic().count("list secrets"), 3);
    let requests = stage.openshift().traffic().entries();
    assert!(
        requests.iter().all(
            |entry| entry.path.contains("limit=500") && !entry.path.contains("resourceVersion")
        )
    );
    for name in ["even", "odd"] {
        assert_eq!(all.take(name, Namespace::default()).secrets.unwrap().unwrap().len(), 505);
        assert_eq!(all.take(name, Namespace::default()).secrets.unwrap().unwrap().len(), 0);
    }
    assert_eq!(all.take("myproj", Namespace::default()).service_accounts.unwrap().len(), 3);
}

#[test]
fn what_may_not_be_read_of_all_is_unknown_of_each() {
    let stage = Stage::new();
    let cluster = stage.cluster("dev");
    let mut all = stage.run(cluster.all_parts(BuildsMode::Read));
    let parts = all.take("myproj", Namespace::default());
    assert_eq!(parts.secrets.unwrap().unwrap_err().call, "list secrets in all namespaces");
    assert_eq!(parts.service_accounts.unwrap_err().kind, ReadErrorKind::Forbidden);
    assert!(all.take("other", Namespace::default()).image_streams.is_err());
}

#[test]
fn starts_a_list_over_whose_version_is_forgotten() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    let first = r#"{"kind":"ServiceAccountList","apiVersion":"v1","metadata":{"resourceVersion":"1","continue":"more"},
        "items":[{"metadata":{"name":"gone-since","namespace":"myproj"}}]}"#;
    let expired = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,
        "message":"The provided continue parameter is too old to display a consistent list result."}"#;
    let traffic = stage.openshift().traffic();
    traffic.fault(Fault::on("GET", "/serviceaccounts").nth(1).status(200).body(first));
    traffic.fault(Fault::on("GET", "/serviceaccounts").nth(2).status(410).body(expired));
    let parts = stage.parts(&cluster, "myproj", None, secret_of, SecretsMode::IfReferenced);
    let mut names: Vec<_> =
        parts.service_accounts.unwrap().into_iter().map(|account| account.name).collect();
    names.sort();
    assert_eq!(names, ["builder", "default", "deployer"]);
    let lists = stage
        .openshift()
        .traffic()
        .entries()
        .into_iter()
        .filter(|entry| entry.kind == "list serviceaccounts");
    let limited: Vec<_> = lists.map(|entry| entry.path.contains("limit=")).collect();
    assert_eq!(limited, [true, true, false]);
}
