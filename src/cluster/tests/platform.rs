use sandbox::traffic::Fault;

use super::Stage;
use crate::cluster::ResourceAttributes;
use crate::domain::snapshot::ReadErrorKind;

fn permission(
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
) -> ResourceAttributes {
    ResourceAttributes { verb, group, resource, namespace: None, name: None }
}

#[test]
fn reads_openshift_user_on_older_cluster() {
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
fn fails_without_api_groups() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    stage.openshift().traffic().fault(Fault::on("GET", "/apis").whole_path().html(403));
    let unread = stage.run(cluster.platform()).unwrap_err();
    assert_eq!(unread.call, "list the API groups of the cluster");
}

#[test]
fn failed_review_is_not_a_missing_permission() {
    let stage = Stage::new();
    let cluster = stage.cluster("admin");
    stage.openshift().expire_tokens();
    let unread = stage
        .run(cluster.missing_permissions(&[permission("list", "", "namespaces")]))
        .unwrap_err();
    assert_eq!(unread.call, "check permission to list namespaces");
    assert_eq!(unread.kind, ReadErrorKind::Failed);
}

#[test]
fn formats_permission() {
    let subscriptions = permission("create", "operators.coreos.com", "subscriptions");
    let in_namespace =
        ResourceAttributes { namespace: Some("openshift-operators".into()), ..subscriptions };
    assert_eq!(
        in_namespace.to_string(),
        "create subscriptions.operators.coreos.com in namespace openshift-operators"
    );
    let named = ResourceAttributes {
        name: Some("cluster".into()),
        ..permission("patch", "config.openshift.io", "images")
    };
    assert_eq!(named.to_string(), "patch images.config.openshift.io cluster");
    assert_eq!(permission("list", "", "secrets").to_string(), "list secrets");
}
