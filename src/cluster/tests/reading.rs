use sandbox::manifests;
use sandbox::openshift::Cluster as SandboxCluster;
use serde_json::json;

use super::{Stage, secret_of};
use crate::bridge::snapshot::{Namespace, Secret, UnreadKind};
use crate::cluster::{Builds, Secrets};

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
fn a_namespace_is_read_with_one_call_per_kind() {
    let stage = Stage::new();
    stage.openshift().create(manifests::image_stream("myproj", "app"));
    for account in ["builder", "default", "deployer"] {
        stage.openshift().create(login_secret("myproj", &secret_of(account)));
    }
    let cluster = stage.cluster("dev");
    let parts = stage.parts(&cluster, "myproj", None, secret_of, Secrets::Always);
    let requests = ["get namespaces", "list imagestreams", "list secrets", "list serviceaccounts"];
    assert_eq!(stage.requests(), requests);
    assert!(!parts.namespace.unwrap().unwrap().uid.is_empty());
    assert_eq!(
        names(&parts.secrets.unwrap().unwrap()),
        ["builder-quay-openshift", "default-quay-openshift", "deployer-quay-openshift"]
    );
    assert_eq!(parts.image_streams.unwrap()[0].name, "app");
    let accounts = parts.service_accounts.unwrap();
    assert_eq!(accounts.len(), 3);
    assert!(accounts.iter().all(|account| !account.resource_version.is_empty() && !account.mountable.is_empty()));
}

#[test]
fn a_fresh_namespace_that_is_known_takes_two_calls() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    let known = Some(Namespace { uid: "u".into(), ..Namespace::default() });
    let parts = stage.parts(&cluster, "myproj", known.clone(), secret_of, Secrets::IfReferenced);
    assert_eq!(stage.requests(), ["list imagestreams", "list serviceaccounts"]);
    assert_eq!((parts.namespace, parts.secrets.unwrap().unwrap().len()), (Ok(known), 0));
}

#[test]
fn a_reference_to_one_of_ours_makes_the_secrets_worth_a_call() {
    let stage = Stage::new();
    stage.openshift().create(login_secret("myproj", "builder-quay-openshift"));
    Stage::modify(stage.openshift(), "ServiceAccount", "myproj", "default", |account| {
        account["imagePullSecrets"].as_array_mut().unwrap().push(json!({ "name": "builder-quay-openshift" }));
    });
    let cluster = stage.cluster("admin");
    let parts = stage.parts(&cluster, "myproj", None, secret_of, Secrets::IfReferenced);
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
    let parts = stage.parts(&cluster, "myproj", None, secret_of, Secrets::Always);
    let secrets = parts.secrets.unwrap().unwrap();
    let wrong = secrets.iter().find(|secret| secret.name == "builder-quay-openshift").unwrap();
    assert_eq!((secrets.len(), wrong.kind.as_str()), (2, "Opaque"));
    assert_eq!(stage.openshift().traffic().count("get secrets"), 2, "builder's and default's, deployer's is there");
}

#[test]
fn a_name_that_no_object_can_have_is_not_asked_for() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    let impossible = |account: &str| format!("{account}-quay-Prod_1");
    let parts = stage.parts(&cluster, "myproj", None, impossible, Secrets::Always);
    assert_eq!(parts.secrets.unwrap().unwrap().len(), 0);
    assert_eq!(stage.openshift().traffic().count("get secrets"), 0);
}

#[test]
fn each_part_is_forbidden_by_itself_in_the_servers_words() {
    let stage = Stage::new();
    let cluster = stage.cluster("nobody");
    let parts = stage.parts(&cluster, "myproj", None, secret_of, Secrets::IfReferenced);
    let unread = [
        parts.namespace.unwrap_err(),
        parts.service_accounts.unwrap_err(),
        parts.secrets.unwrap().unwrap_err(),
        parts.image_streams.unwrap_err(),
    ];
    let calls = unread.each_ref().map(|unread| unread.call.as_str());
    let expected = ["read namespace myproj", "list service accounts in namespace myproj", "list secrets in namespace myproj"];
    assert_eq!(calls[..3], expected);
    assert_eq!(calls[3], "list image streams in namespace myproj");
    for unread in unread {
        assert_eq!(unread.kind, UnreadKind::Forbidden);
        assert!(unread.reason.contains("nobody") && unread.reason.contains("forbidden"), "{}", unread.reason);
    }
}

#[test]
fn a_namespace_that_is_not_there_is_absent() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    let parts = stage.parts(&cluster, "nowhere", None, secret_of, Secrets::Always);
    assert_eq!((parts.namespace, parts.service_accounts, parts.image_streams), (Ok(None), Ok(vec![]), Ok(vec![])));
}

#[test]
fn kinds_that_the_cluster_does_not_have_are_none_of() {
    let without = ["image.openshift.io", "quay.redhat.com", "project.openshift.io"].map(str::to_owned).to_vec();
    let stage = Stage::of(SandboxCluster { without, ..SandboxCluster::default() });
    let cluster = stage.cluster("admin");
    assert_eq!(stage.run(cluster.integrations()), Ok(vec![]));
    let parts = stage.parts(&cluster, "myproj", None, secret_of, Secrets::IfReferenced);
    assert_eq!(parts.image_streams, Ok(vec![]));
    assert!(stage.run(cluster.projects(None)).is_err(), "no projects to see is not the same as no projects");
}

#[test]
fn everything_is_read_in_pages_and_sorted_by_namespace() {
    let stage = Stage::new();
    for number in 0..1010 {
        stage.openshift().put(login_secret(if number % 2 == 0 { "even" } else { "odd" }, &format!("s{number}")));
    }
    let cluster = stage.cluster("admin");
    let mut all = stage.run(cluster.all_parts(Builds::Read));
    assert_eq!(stage.openshift().traffic().count("list secrets"), 3);
    let requests = stage.openshift().traffic().entries();
    assert!(requests.iter().all(|entry| entry.path.contains("limit=500") && !entry.path.contains("resourceVersion")));
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
    let mut all = stage.run(cluster.all_parts(Builds::Read));
    let parts = all.take("myproj", Namespace::default());
    assert_eq!(parts.secrets.unwrap().unwrap_err().call, "list secrets in all namespaces");
    assert_eq!(parts.service_accounts.unwrap_err().kind, UnreadKind::Forbidden);
    assert!(all.take("other", Namespace::default()).image_streams.is_err());
}

#[test]
fn namespaces_are_selected_by_label_and_projects_seen_by_right() {
    let stage = Stage::new();
    let mut labelled = manifests::namespace("shop");
    labelled["metadata"]["labels"] = json!({ "team": "shop" });
    stage.openshift().create(labelled);
    let admin = stage.cluster("admin");
    let selected = stage.run(admin.namespaces(Some("team=shop"))).unwrap();
    assert_eq!(selected.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["shop"]);
    assert!(stage.run(admin.namespaces(None)).unwrap().len() > 2);
    let dev = stage.cluster("dev");
    assert_eq!(stage.run(dev.namespaces(None)).unwrap_err().kind, UnreadKind::Forbidden);
    let seen = stage.run(dev.projects(None)).unwrap();
    assert_eq!(seen.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["myproj"]);
    let uid = stage.openshift().get("Namespace", "", "myproj").unwrap()["metadata"]["uid"].clone();
    assert_eq!(uid, seen[0].1.uid.as_str());
}

#[test]
fn the_version_is_openshifts_where_it_may_be_read() {
    let stage = Stage::new();
    let shown = |user: &str| stage.run(stage.cluster(user).version()).unwrap();
    assert!(shown("admin").starts_with("OpenShift 4.21.0 (Kubernetes v1."), "{}", shown("admin"));
    let stage = Stage::of(SandboxCluster { without: vec!["config.openshift.io".into()], ..SandboxCluster::default() });
    let plain = stage.run(stage.cluster("admin").version()).unwrap();
    assert!(plain.starts_with("Kubernetes v1."), "{plain}");
}
