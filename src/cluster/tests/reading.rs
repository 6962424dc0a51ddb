use sandbox::traffic::Fault;
use serde_json::json;

use super::{Stage, secret_of};
use crate::cluster::{BuildsMode, SecretsMode};
use crate::domain::snapshot::{Namespace, ReadErrorKind, Secret};

fn registry_secret(namespace: &str, name: &str) -> serde_json::Value {
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
fn reads_new_namespace_with_two_calls() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    let known = Some(Namespace { uid: "u".into(), ..Namespace::default() });
    let resources = stage.namespace_resources(
        &cluster,
        "myproj",
        known.clone(),
        secret_of,
        SecretsMode::IfReferenced,
    );
    assert_eq!(stage.requests(), ["list imagestreams", "list serviceaccounts"]);
    assert_eq!((resources.namespace, resources.secrets.unwrap().len()), (Ok(known), 0));
}

#[test]
fn reads_secrets_if_one_is_referenced() {
    let stage = Stage::new();
    stage.openshift().create(registry_secret("myproj", "builder-quay-openshift"));
    Stage::modify(stage.openshift(), "ServiceAccount", "myproj", "default", |account| {
        account["imagePullSecrets"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "name": "builder-quay-openshift" }));
    });
    let cluster = stage.cluster("admin");
    let resources =
        stage.namespace_resources(&cluster, "myproj", None, secret_of, SecretsMode::IfReferenced);
    assert_eq!(names(&resources.secrets.unwrap()), ["builder-quay-openshift"]);
}

#[test]
fn finds_secret_of_wrong_type_by_name() {
    let stage = Stage::new();
    let mut wrong = registry_secret("myproj", "builder-quay-openshift");
    wrong["type"] = json!("Opaque");
    stage.openshift().create(wrong);
    Stage::modify(stage.openshift(), "ServiceAccount", "myproj", "default", |account| {
        account["metadata"]["annotations"]["oc-quay/role"] = json!("read");
    });
    stage.openshift().create(registry_secret("myproj", "deployer-quay-openshift"));
    let cluster = stage.cluster("admin");
    let resources =
        stage.namespace_resources(&cluster, "myproj", None, secret_of, SecretsMode::Always);
    let secrets = resources.secrets.unwrap();
    let wrong = secrets.iter().find(|secret| secret.name == "builder-quay-openshift").unwrap();
    assert_eq!((secrets.len(), wrong.kind.as_str()), (2, "Opaque"));
    assert_eq!(
        stage.openshift().traffic().count("get secrets"),
        2,
        "builder's and default's, deployer's is there"
    );
}

#[test]
fn does_not_request_invalid_names() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    let impossible = |account: &str| format!("{account}-quay-Prod_1");
    let resources =
        stage.namespace_resources(&cluster, "myproj", None, impossible, SecretsMode::Always);
    assert_eq!(resources.secrets.unwrap().len(), 0);
    assert_eq!(stage.openshift().traffic().count("get secrets"), 0);
}

#[test]
fn reads_all_namespaces_in_pages() {
    let stage = Stage::new();
    for number in 0..1010 {
        stage.openshift().put(registry_secret(
            if number % 2 == 0 { "even" } else { "odd" },
            &format!("s{number}"),
        ));
    }
    let cluster = stage.cluster("admin");
    let mut all = stage.run(cluster.all_resources(BuildsMode::Read));
    assert_eq!(stage.openshift().traffic().count("list secrets"), 3);
    let requests = stage.openshift().traffic().entries();
    assert!(
        requests.iter().all(
            |entry| entry.path.contains("limit=500") && !entry.path.contains("resourceVersion")
        )
    );
    for name in ["even", "odd"] {
        assert_eq!(all.take(name, Namespace::default()).secrets.unwrap().len(), 505);
        assert_eq!(all.take(name, Namespace::default()).secrets.unwrap().len(), 0);
    }
    assert_eq!(all.take("myproj", Namespace::default()).service_accounts.unwrap().len(), 3);
}

#[test]
fn forbidden_list_is_unknown_in_each_namespace() {
    let stage = Stage::new();
    let cluster = stage.cluster("dev");
    let mut all = stage.run(cluster.all_resources(BuildsMode::Read));
    let resources = all.take("myproj", Namespace::default());
    assert_eq!(resources.secrets.unwrap_err().call, "list secrets in all namespaces");
    assert_eq!(resources.service_accounts.unwrap_err().kind, ReadErrorKind::Forbidden);
    assert!(all.take("other", Namespace::default()).image_streams.is_err());
}

#[test]
fn restarts_list_after_expired_token() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    let first = r#"{"kind":"ServiceAccountList","apiVersion":"v1","metadata":{"resourceVersion":"1","continue":"more"},
        "items":[{"metadata":{"name":"gone-since","namespace":"myproj"}}]}"#;
    let expired = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,
        "message":"The provided continue parameter is too old to display a consistent list result."}"#;
    let traffic = stage.openshift().traffic();
    traffic.fault(Fault::on("GET", "/serviceaccounts").nth(1).status(200).body(first));
    traffic.fault(Fault::on("GET", "/serviceaccounts").nth(2).status(410).body(expired));
    let resources =
        stage.namespace_resources(&cluster, "myproj", None, secret_of, SecretsMode::IfReferenced);
    let mut names: Vec<_> =
        resources.service_accounts.unwrap().into_iter().map(|account| account.name).collect();
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
