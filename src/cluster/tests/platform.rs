use sandbox::traffic::Fault;

use super::Stage;
use crate::cluster::ResourceAttributes;
use crate::domain::snapshot::ReadErrorKind;

fn right(verb: &'static str, group: &'static str, resource: &'static str) -> ResourceAttributes {
    ResourceAttributes { verb, group, resource, namespace: None, name: None }
}

#[test]
fn an_older_cluster_names_the_user_in_openshifts_own_way() {
    let stage = Stage::new();
    let traffic = stage.openshift().traffic();
    traffic.fault(
        Fault::on("POST", "selfsubjectreviews")
            .status(404)
            .header("Content-Type", "text/plain")
            .body("404 page not found\n"),
    );
    traffic.fault(
        Fault::on("GET", "/users/~")
            .status(200)
            .body(r#"{"kind":"User","metadata":{"name":"old-timer"}}"#),
    );
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
fn a_question_that_is_not_answered_is_no_refusal() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    stage.openshift().expire_tokens();
    let unread = stage.run(cluster.lacking(&[right("list", "", "namespaces")])).unwrap_err();
    assert_eq!(unread.call, "find out whether the user may list namespaces");
    assert_eq!(unread.kind, ReadErrorKind::Failed);
}

#[test]
fn a_right_reads_as_a_person_would_say_it() {
    let subscriptions = right("create", "operators.coreos.com", "subscriptions");
    let in_namespace =
        ResourceAttributes { namespace: Some("openshift-operators".into()), ..subscriptions };
    assert_eq!(
        in_namespace.to_string(),
        "create subscriptions.operators.coreos.com in namespace openshift-operators"
    );
    let named = ResourceAttributes {
        name: Some("cluster".into()),
        ..right("patch", "config.openshift.io", "images")
    };
    assert_eq!(named.to_string(), "patch images.config.openshift.io cluster");
    assert_eq!(right("list", "", "secrets").to_string(), "list secrets");
}
