//! The Operator Lifecycle Manager, as an installation of the operator meets it.

use std::time::{Duration, Instant};

use sandbox::openshift::olm::{self, Trouble};
use sandbox::openshift::{Cluster, Olm};
use serde_json::{Value, json};

use super::{Api, REQUEST_TIMEOUT};

const NAMESPACE: &str = "openshift-operators";
const CSV: &str = "quay-bridge-operator.v3.18.0";

fn cluster(olm: Olm) -> Api {
    Api::with(Cluster { settle: Duration::from_millis(10), olm, ..Cluster::default() })
}

/// Waits for an object to be as it should.
#[track_caller]
fn wait(api: &Api, kind: &str, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let namespace =
        if kind.starts_with("Cluster") && kind != "ClusterServiceVersion" { "" } else { NAMESPACE };
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    loop {
        let object = api.sandbox.openshift.get(kind, namespace, name).unwrap_or_default();
        if is_so(&object) {
            return object;
        }
        assert!(Instant::now() < deadline, "{kind} {name} is {object:#}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .and_then(|conditions| conditions.iter().find(|condition| condition["type"] == kind))
        .unwrap_or(&Value::Null)
}

fn subscribe(api: &Api, change: &Value) -> Value {
    let mut subscription = olm::subscription();
    json_patch::merge(&mut subscription, change);
    let path = format!("/apis/operators.coreos.com/v1alpha1/namespaces/{NAMESPACE}/subscriptions");
    api.send_json("POST", &path, &subscription).expect(201, &json!({}))
}

fn only(api: &Api, kind: &str) -> Value {
    let mut objects = api.sandbox.openshift.list(kind, "");
    assert_eq!(objects.len(), 1, "{kind}: {objects:#?}");
    objects.remove(0)
}

#[test]
fn installed_operator_is_not_changed() {
    let api = Api::with(Cluster {
        settle: Duration::from_millis(10),
        operator: true,
        ..Cluster::default()
    });
    assert_eq!(only(&api, "ClusterServiceVersion")["status"]["phase"], "Succeeded");
    assert_eq!(only(&api, "Subscription")["status"]["state"], "AtLatestKnown");
    let versions = || {
        [
            "Subscription",
            "InstallPlan",
            "ClusterServiceVersion",
            "Deployment",
            "CatalogSource",
            "ClusterCatalog",
        ]
        .map(|kind| only(&api, kind)["metadata"]["resourceVersion"].clone())
    };
    let before = versions();
    // Something else changes, so that everybody looks again.
    api.sandbox.openshift.create(sandbox::manifests::namespace("other"));
    wait(&api, "ServiceAccount", "builder", Value::is_object);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(versions(), before);
}

#[test]
fn reports_unresolvable_subscription() {
    let api = cluster(Olm::V0);
    let openshift = &api.sandbox.openshift;
    let unmet = "constraints not satisfiable: ";
    for (trouble, change, reason, message) in [
        (
            None,
            json!({"channel": "stable-1.0"}),
            "ConstraintsNotSatisfiable",
            format!(
                "{unmet}no operators found in channel stable-1.0 of package quay-bridge-operator in the catalog referenced by subscription quay-bridge-operator, subscription quay-bridge-operator exists"
            ),
        ),
        (
            None,
            json!({"source": "mirror"}),
            "ConstraintsNotSatisfiable",
            format!(
                "{unmet}no operators found from catalog mirror in namespace openshift-marketplace referenced by subscription quay-bridge-operator, subscription quay-bridge-operator exists"
            ),
        ),
        (
            Some(Trouble::PackageMissing),
            json!({}),
            "ConstraintsNotSatisfiable",
            format!(
                "{unmet}no operators found in package quay-bridge-operator in the catalog referenced by subscription quay-bridge-operator, subscription quay-bridge-operator exists"
            ),
        ),
        (
            Some(Trouble::ResolutionFails("bundle x requires y".to_owned())),
            json!({}),
            "ConstraintsNotSatisfiable",
            format!("{unmet}bundle x requires y, subscription quay-bridge-operator exists"),
        ),
        (
            Some(Trouble::CatalogUnhealthy),
            json!({}),
            "ErrorPreventedResolution",
            "failed to populate resolver cache from source redhat-operators/openshift-marketplace: failed to list bundles: "
                .to_owned(),
        ),
    ] {
        openshift.trouble(trouble.as_ref());
        subscribe(&api, &json!({"spec": change}));
        let subscription = wait(&api, "Subscription", "quay-bridge-operator", |subscription| {
            !condition(subscription, "ResolutionFailed").is_null()
        });
        let failed = condition(&subscription, "ResolutionFailed");
        assert_eq!(failed["reason"], reason);
        assert!(failed["message"].as_str().unwrap().starts_with(&message), "{failed}\n{message}");
        let is_unhealthy = condition(&subscription, "CatalogSourcesUnhealthy")["status"] == "True";
        assert_eq!(is_unhealthy, trouble == Some(Trouble::CatalogUnhealthy) || change["source"] == "mirror");
        assert!(openshift.list("InstallPlan", "").is_empty());
        openshift.delete("Subscription", NAMESPACE, "quay-bridge-operator");
    }
}

#[test]
fn second_subscription_for_the_package_blocks_both() {
    let api = Api::with(Cluster {
        settle: Duration::from_millis(10),
        operator: true,
        ..Cluster::default()
    });
    subscribe(&api, &json!({"metadata": {"name": "second"}}));
    for name in ["quay-bridge-operator", "second"] {
        let subscription = wait(&api, "Subscription", name, |subscription| {
            !condition(subscription, "ResolutionFailed").is_null()
        });
        let message = condition(&subscription, "ResolutionFailed")["message"].as_str().unwrap();
        let both = format!(
            "constraints not satisfiable: @existing/{NAMESPACE}//{CSV} and redhat-operators/openshift-marketplace/stable-3.18/{CSV} \
             originate from package quay-bridge-operator"
        );
        assert!(message.starts_with(&both), "{message}");
    }
}

#[test]
fn leftovers_of_a_deleted_subscription_block_the_next() {
    let api = Api::with(Cluster {
        settle: Duration::from_millis(10),
        operator: true,
        ..Cluster::default()
    });
    let openshift = &api.sandbox.openshift;
    openshift.delete("Subscription", NAMESPACE, "quay-bridge-operator");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(
        only(&api, "ClusterServiceVersion")["status"]["phase"],
        "Succeeded",
        "it goes on without its subscription"
    );
    subscribe(&api, &json!({}));
    let subscription = wait(&api, "Subscription", "quay-bridge-operator", |subscription| {
        !condition(subscription, "ResolutionFailed").is_null()
    });
    let message = condition(&subscription, "ResolutionFailed")["message"].as_str().unwrap();
    assert!(
        message.ends_with(&format!(
            "clusterserviceversion {CSV} exists and is not referenced by a subscription"
        )),
        "{message}"
    );

    // With the ClusterServiceVersion goes what it brought, except the definition; then the subscription is met.
    openshift.delete("ClusterServiceVersion", NAMESPACE, CSV);
    wait(&api, "ClusterServiceVersion", CSV, |csv| csv["status"]["phase"] == "Succeeded");
    wait(&api, "Subscription", "quay-bridge-operator", |subscription| {
        condition(subscription, "ResolutionFailed").is_null()
    });
}

#[test]
fn deleting_the_operator_keeps_its_definition() {
    let api = Api::with(Cluster {
        settle: Duration::from_millis(10),
        operator: true,
        ..Cluster::default()
    });
    let openshift = &api.sandbox.openshift;
    openshift.delete("Subscription", NAMESPACE, "quay-bridge-operator");
    openshift.delete("ClusterServiceVersion", NAMESPACE, CSV);
    wait(&api, "ClusterServiceVersion", CSV, Value::is_null);
    wait(&api, "Deployment", olm::DEPLOYMENT, Value::is_null);
    assert!(openshift.list("MutatingWebhookConfiguration", "").is_empty());
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    while !openshift.list("InstallPlan", "").is_empty() {
        assert!(Instant::now() < deadline, "the InstallPlan outlives its Subscription");
        std::thread::sleep(Duration::from_millis(5));
    }
    api.get("/apis/quay.redhat.com/v1/quayintegrations");
}

#[test]
fn checks_the_operator_group() {
    let api = cluster(Olm::V0);
    let openshift = &api.sandbox.openshift;
    openshift.delete("OperatorGroup", NAMESPACE, "global-operators");
    subscribe(&api, &json!({}));
    let subscription = wait(&api, "Subscription", "quay-bridge-operator", |subscription| {
        condition(subscription, "InstallPlanPending")["message"].is_string()
    });
    let message = "no operator group found that is managing this namespace";
    assert_eq!(condition(&subscription, "InstallPlanPending")["message"], message);
    openshift.create(json!({
        "apiVersion": "operators.coreos.com/v1", "kind": "OperatorGroup", "metadata": {"name": "own", "namespace": NAMESPACE},
        "spec": {"targetNamespaces": [NAMESPACE]},
    }));
    let csv = wait(&api, "ClusterServiceVersion", CSV, |csv| csv["status"]["phase"] == "Failed");
    assert_eq!(csv["status"]["reason"], "UnsupportedOperatorGroup");
}

#[test]
fn enforces_schemas_of_olm() {
    let api = Api::asleep();
    let subscriptions =
        "/apis/operators.coreos.com/v1alpha1/namespaces/openshift-operators/subscriptions";
    let subscription = json!({
        "apiVersion": "operators.coreos.com/v1alpha1", "kind": "Subscription", "metadata": {"name": "quay-bridge-operator"},
        "spec": {"name": "quay-bridge-operator", "channel": 3.18},
    });
    let rejected = api.send_json("POST", subscriptions, &subscription).expect(422, &json!({}));
    for part in [
        "spec.source: Required value",
        "spec.sourceNamespace: Required value",
        "spec.channel in body must be of type string",
    ] {
        assert!(rejected["message"].as_str().unwrap().contains(part), "{part}: {rejected}");
    }

    let extensions = "/apis/olm.operatorframework.io/v1/clusterextensions";
    let extension = |source_type: &str| {
        json!({
            "apiVersion": "olm.operatorframework.io/v1", "kind": "ClusterExtension", "metadata": {"name": "quay-bridge-operator"},
            "spec": {
                "namespace": "openshift-operators", "serviceAccount": {"name": "installer"},
                "source": {"sourceType": source_type, "catalog": {"packageName": "quay-bridge-operator", "colour": "red"}},
            },
        })
    };
    let rejected = api.send_json("POST", extensions, &extension("Image")).expect(422, &json!({}));
    let message =
        r#"spec.source.sourceType: Unsupported value: "Image": supported values: "Catalog""#;
    assert!(rejected["message"].as_str().unwrap().contains(message), "{rejected}");
    let stored = api.send_json("POST", extensions, &extension("Catalog")).expect(201, &json!({}));
    assert!(stored["spec"]["source"]["catalog"]["colour"].is_null(), "unknown fields are dropped");
    let elsewhere = json!({"spec": {"namespace": "default"}});
    let rejected = api
        .patch("merge", &format!("{extensions}/quay-bridge-operator"), &elsewhere)
        .expect(422, &json!({}));
    assert!(rejected["message"].as_str().unwrap().contains("namespace is immutable"), "{rejected}");
}
