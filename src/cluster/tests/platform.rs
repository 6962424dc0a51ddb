use std::collections::BTreeSet;

use sandbox::openshift::Cluster as SandboxCluster;
use sandbox::traffic::Fault;

use super::Stage;
use crate::bridge::snapshot::UnreadKind;
use crate::cluster::Right;

fn right(verb: &'static str, group: &'static str, resource: &'static str) -> Right {
    Right { verb, group, resource, namespace: None, name: None }
}

#[test]
fn a_cluster_says_what_it_is_in_five_calls() {
    let without = vec!["build.openshift.io".to_owned()];
    let stage = Stage::of(SandboxCluster { without, ..SandboxCluster::default() });
    let platform = stage.run(stage.cluster("admin").platform()).unwrap();
    assert_eq!(stage.requests().len(), 5, "{:?}", stage.requests());
    assert_eq!(platform.user, "admin");
    assert!(platform.version.starts_with("OpenShift 4.21.0 (Kubernetes v1."), "{}", platform.version);
    assert_eq!(platform.kind.as_deref(), Some("None"));
    assert_eq!(platform.disabled, Some(BTreeSet::from(["Build".to_owned()])));
    for (group, is_served) in [("image.openshift.io", true), ("operators.coreos.com", true), ("build.openshift.io", false)] {
        assert_eq!(platform.groups.contains(group), is_served, "{group}");
    }
}

#[test]
fn what_only_decorates_may_be_forbidden() {
    let stage = Stage::new();
    stage.openshift().deny("dev", "get", "config.openshift.io", "*");
    let platform = stage.run(stage.cluster("dev").platform()).unwrap();
    assert_eq!((platform.user.as_str(), platform.kind, platform.disabled), ("dev", None, None));
    assert!(platform.version.starts_with("Kubernetes v1."), "{}", platform.version);
    assert!(!platform.groups.is_empty());
}

#[test]
fn an_older_cluster_names_the_user_in_openshifts_own_way() {
    let stage = Stage::new();
    let traffic = stage.openshift().traffic();
    traffic.fault(
        Fault::on("POST", "selfsubjectreviews").status(404).header("Content-Type", "text/plain").body("404 page not found\n"),
    );
    traffic.fault(Fault::on("GET", "/users/~").status(200).body(r#"{"kind":"User","metadata":{"name":"old-timer"}}"#));
    let cluster = stage.run(crate::cluster::Cluster::connect(&stage.options("admin"))).unwrap();
    assert_eq!(stage.run(cluster.platform()).unwrap().user, "old-timer");
}

#[test]
fn a_cluster_that_does_not_list_its_groups_is_unknown() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    stage.openshift().traffic().fault(Fault::on("GET", "/apis").whole_path().html(403));
    let unread = stage.run(cluster.platform()).unwrap_err();
    assert_eq!(unread.call, "list the API groups of the cluster");
}

#[test]
fn what_the_user_may_not_is_told_in_order() {
    let stage = Stage::new();
    let rights = [
        right("list", "", "namespaces"),
        Right { namespace: Some("myproj".into()), ..right("create", "", "secrets") },
        Right { name: Some("cluster".into()), ..right("patch", "config.openshift.io", "images") },
    ];
    let lacking = |user: &str| stage.run(stage.cluster(user).lacking(&rights)).unwrap();
    assert_eq!(lacking("admin"), []);
    assert_eq!(lacking("dev"), [rights[0].clone(), rights[2].clone()]);
    assert_eq!(stage.requests().len(), 3);
    assert_eq!(lacking("nobody"), rights);
    stage.openshift().deny("admin", "patch", "config.openshift.io", "images");
    assert_eq!(lacking("admin"), [rights[2].clone()]);
}

#[test]
fn a_question_that_is_not_answered_is_no_refusal() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    stage.openshift().expire_tokens();
    let unread = stage.run(cluster.lacking(&[right("list", "", "namespaces")])).unwrap_err();
    assert_eq!(unread.call, "find out whether the user may list namespaces");
    assert_eq!(unread.kind, UnreadKind::Failed);
}

#[test]
fn a_right_reads_as_a_person_would_say_it() {
    let subscriptions = right("create", "operators.coreos.com", "subscriptions");
    let in_namespace = Right { namespace: Some("openshift-operators".into()), ..subscriptions };
    assert_eq!(in_namespace.to_string(), "create subscriptions.operators.coreos.com in namespace openshift-operators");
    let named = Right { name: Some("cluster".into()), ..right("patch", "config.openshift.io", "images") };
    assert_eq!(named.to_string(), "patch images.config.openshift.io cluster");
    assert_eq!(right("list", "", "secrets").to_string(), "list secrets");
}
