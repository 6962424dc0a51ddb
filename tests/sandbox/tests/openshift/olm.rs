//! The Operator Lifecycle Manager, as somebody meets it who installs the operator.

use std::time::{Duration, Instant};

use sandbox::openshift::olm::{self, Trouble};
use sandbox::openshift::{Cluster, Olm};
use serde_json::{Value, json};

use super::{Api, PATIENCE};

const NAMESPACE: &str = "openshift-operators";
const CSV: &str = "quay-bridge-operator.v3.18.0";

fn cluster(olm: Olm) -> Api {
    Api::with(Cluster { settle: Duration::from_millis(10), olm, ..Cluster::default() })
}

/// Waits for an object to be as it should.
#[track_caller]
fn wait(api: &Api, kind: &str, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let namespace = if kind.starts_with("Cluster") && kind != "ClusterServiceVersion" { "" } else { NAMESPACE };
    let deadline = Instant::now() + PATIENCE;
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
    conditions.and_then(|conditions| conditions.iter().find(|condition| condition["type"] == kind)).unwrap_or(&Value::Null)
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
fn the_catalog_offers_the_operator() {
    let api = cluster(Olm::V0);
    let path = "/apis/packages.operators.coreos.com/v1/namespaces/openshift-marketplace/packagemanifests/quay-bridge-operator";
    let manifest = api.get(path);
    assert_eq!(manifest["status"]["defaultChannel"], "stable-3.18");
    let channels: Vec<&str> =
        manifest["status"]["channels"].as_array().unwrap().iter().map(|channel| channel["name"].as_str().unwrap()).collect();
    assert_eq!(channels, ["stable-3.15", "stable-3.16", "stable-3.17", "stable-3.18"]);
    assert_eq!(manifest["status"]["channels"][3]["currentCSV"], CSV);
    let modes = manifest["status"]["channels"][3]["currentCSVDesc"]["installModes"].as_array().unwrap();
    let supported: Vec<&Value> = modes.iter().filter(|mode| mode["supported"] == true).map(|mode| &mode["type"]).collect();
    assert_eq!(supported, [&json!("AllNamespaces")]);

    let catalog = api.sandbox.openshift.get("CatalogSource", "openshift-marketplace", "redhat-operators").unwrap();
    assert_eq!(catalog["status"]["connectionState"]["lastObservedState"], "READY");
    api.sandbox.openshift.trouble(Some(&Trouble::PackageMissing));
    api.eventually(path, 404, &json!({"reason": "NotFound"}));
    api.sandbox.openshift.trouble(None);
    api.eventually(path, 200, &json!({}));
}

#[test]
fn a_subscription_installs_the_operator() {
    let api = Api::with(Cluster {
        settle: Duration::from_millis(10),
        without: vec!["quay.redhat.com".to_owned()],
        ..Cluster::default()
    });
    subscribe(&api, &json!({}));
    let csv = wait(&api, "ClusterServiceVersion", CSV, |csv| csv["status"]["phase"] == "Succeeded");
    let mut phases: Vec<&str> =
        csv["status"]["conditions"].as_array().unwrap().iter().map(|each| each["phase"].as_str().unwrap()).collect();
    phases.dedup();
    assert_eq!(phases, ["Pending", "InstallReady", "Installing", "Succeeded"]);

    let subscription =
        wait(&api, "Subscription", "quay-bridge-operator", |subscription| subscription["status"]["state"] == "AtLatestKnown");
    assert_eq!((&subscription["status"]["installedCSV"], &subscription["status"]["currentCSV"]), (&json!(CSV), &json!(CSV)));
    assert_eq!(condition(&subscription, "CatalogSourcesUnhealthy")["reason"], "AllCatalogSourcesHealthy");
    let plan = only(&api, "InstallPlan");
    assert_eq!(subscription["status"]["installPlanRef"]["name"], plan["metadata"]["name"]);
    assert_eq!((&plan["status"]["phase"], &plan["spec"]["approved"]), (&json!("Complete"), &json!(true)));
    assert_eq!(only(&api, "Deployment")["status"]["availableReplicas"], 1);
    assert_eq!(only(&api, "MutatingWebhookConfiguration")["webhooks"][0]["failurePolicy"], "Fail");
    api.get("/apis/quay.redhat.com/v1/quayintegrations");
}

#[test]
fn what_is_installed_stays_as_it_is() {
    let api = Api::with(Cluster { settle: Duration::from_millis(10), operator: true, ..Cluster::default() });
    assert_eq!(only(&api, "ClusterServiceVersion")["status"]["phase"], "Succeeded");
    assert_eq!(only(&api, "Subscription")["status"]["state"], "AtLatestKnown");
    let versions = || {
        ["Subscription", "InstallPlan", "ClusterServiceVersion", "Deployment", "CatalogSource", "ClusterCatalog"]
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
fn approval_by_hand_is_waited_for() {
    let api = cluster(Olm::V0);
    subscribe(&api, &json!({"spec": {"installPlanApproval": "Manual"}}));
    let subscription = wait(&api, "Subscription", "quay-bridge-operator", |subscription| {
        condition(subscription, "InstallPlanPending")["reason"] == "RequiresApproval"
    });
    assert_eq!(subscription["status"]["state"], "UpgradePending");
    assert!(subscription["status"]["installedCSV"].is_null());
    let plan = only(&api, "InstallPlan");
    assert_eq!((&plan["spec"]["approval"], &plan["spec"]["approved"]), (&json!("Manual"), &json!(false)));
    assert!(api.sandbox.openshift.list("ClusterServiceVersion", "").is_empty());

    let name = plan["metadata"]["name"].as_str().unwrap();
    let path = format!("/apis/operators.coreos.com/v1alpha1/namespaces/{NAMESPACE}/installplans/{name}");
    api.patch("merge", &path, &json!({"spec": {"approved": true}})).expect(200, &json!({}));
    wait(&api, "ClusterServiceVersion", CSV, |csv| csv["status"]["phase"] == "Succeeded");
    wait(&api, "Subscription", "quay-bridge-operator", |subscription| condition(subscription, "InstallPlanPending").is_null());
}

#[test]
fn what_cannot_be_resolved_is_told() {
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
fn a_second_subscription_for_the_package_stops_both() {
    let api = Api::with(Cluster { settle: Duration::from_millis(10), operator: true, ..Cluster::default() });
    subscribe(&api, &json!({"metadata": {"name": "second"}}));
    for name in ["quay-bridge-operator", "second"] {
        let subscription =
            wait(&api, "Subscription", name, |subscription| !condition(subscription, "ResolutionFailed").is_null());
        let message = condition(&subscription, "ResolutionFailed")["message"].as_str().unwrap();
        let both = format!(
            "constraints not satisfiable: @existing/{NAMESPACE}//{CSV} and redhat-operators/openshift-marketplace/stable-3.18/{CSV} \
             originate from package quay-bridge-operator"
        );
        assert!(message.starts_with(&both), "{message}");
    }
}

#[test]
fn what_a_deleted_subscription_left_behind_is_in_the_way() {
    let api = Api::with(Cluster { settle: Duration::from_millis(10), operator: true, ..Cluster::default() });
    let openshift = &api.sandbox.openshift;
    openshift.delete("Subscription", NAMESPACE, "quay-bridge-operator");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(only(&api, "ClusterServiceVersion")["status"]["phase"], "Succeeded", "it goes on without its subscription");
    subscribe(&api, &json!({}));
    let subscription =
        wait(&api, "Subscription", "quay-bridge-operator", |subscription| !condition(subscription, "ResolutionFailed").is_null());
    let message = condition(&subscription, "ResolutionFailed")["message"].as_str().unwrap();
    assert!(
        message.ends_with(&format!("clusterserviceversion {CSV} exists and is not referenced by a subscription")),
        "{message}"
    );

    // With the ClusterServiceVersion goes what it brought, except the definition; then the subscription is met.
    openshift.delete("ClusterServiceVersion", NAMESPACE, CSV);
    wait(&api, "ClusterServiceVersion", CSV, |csv| csv["status"]["phase"] == "Succeeded");
    wait(&api, "Subscription", "quay-bridge-operator", |subscription| condition(subscription, "ResolutionFailed").is_null());
}

#[test]
fn the_operator_goes_and_its_definition_stays() {
    let api = Api::with(Cluster { settle: Duration::from_millis(10), operator: true, ..Cluster::default() });
    let openshift = &api.sandbox.openshift;
    openshift.delete("Subscription", NAMESPACE, "quay-bridge-operator");
    openshift.delete("ClusterServiceVersion", NAMESPACE, CSV);
    wait(&api, "ClusterServiceVersion", CSV, Value::is_null);
    wait(&api, "Deployment", olm::DEPLOYMENT, Value::is_null);
    assert!(openshift.list("MutatingWebhookConfiguration", "").is_empty());
    let deadline = Instant::now() + PATIENCE;
    while !openshift.list("InstallPlan", "").is_empty() {
        assert!(Instant::now() < deadline, "the InstallPlan outlives its Subscription");
        std::thread::sleep(Duration::from_millis(5));
    }
    api.get("/apis/quay.redhat.com/v1/quayintegrations");
}

#[test]
fn an_installation_fails_in_olms_words() {
    let failed = |reason: &str, message: &str| Trouble::OperatorFails { reason: reason.to_owned(), message: message.to_owned() };
    let api = cluster(Olm::V0);
    let openshift = &api.sandbox.openshift;
    openshift.trouble(Some(&failed("InstallCheckFailed", "install timeout")));
    subscribe(&api, &json!({}));
    let csv = wait(&api, "ClusterServiceVersion", CSV, |csv| csv["status"]["phase"] == "Failed");
    assert_eq!((&csv["status"]["reason"], &csv["status"]["message"]), (&json!("InstallCheckFailed"), &json!("install timeout")));
    // OLM calls the version installed as soon as its ClusterServiceVersion is there.
    wait(&api, "Subscription", "quay-bridge-operator", |subscription| subscription["status"]["installedCSV"] == CSV);

    openshift.trouble(Some(&Trouble::NeverFinishes));
    openshift.delete("Deployment", NAMESPACE, olm::DEPLOYMENT);
    let csv = wait(&api, "ClusterServiceVersion", CSV, |csv| csv["status"]["reason"] == "InstallWaiting");
    assert_eq!(csv["status"]["phase"], "Installing");
    openshift.trouble(None);
    wait(&api, "ClusterServiceVersion", CSV, |csv| csv["status"]["phase"] == "Succeeded");

    let api = cluster(Olm::V0);
    api.sandbox.openshift.trouble(Some(&Trouble::InstallPlanFails("deployments.apps is forbidden".to_owned())));
    subscribe(&api, &json!({}));
    let subscription = wait(&api, "Subscription", "quay-bridge-operator", |subscription| {
        !condition(subscription, "InstallPlanFailed").is_null()
    });
    let failure = condition(&subscription, "InstallPlanFailed");
    assert_eq!(
        (&failure["reason"], &failure["message"]),
        (&json!("InstallComponentFailed"), &json!("deployments.apps is forbidden"))
    );
}

#[test]
fn the_group_of_operators_matters() {
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
fn the_successor_installs_an_extension() {
    let api = cluster(Olm::V1);
    let openshift = &api.sandbox.openshift;
    assert_eq!(api.call("admin", "GET", "/apis/operators.coreos.com/v1alpha1/subscriptions").status, 404);
    let [account, binding, extension] = olm::extension().try_into().unwrap();
    openshift.create(extension);
    let message = |wanted: &'static str| {
        move |extension: &Value| condition(extension, "Progressing")["message"].as_str().is_some_and(|text| text.contains(wanted))
    };
    let name = "quay-bridge-operator";
    wait(&api, "ClusterExtension", name, message("service account \"quay-bridge-operator-installer\" not found in namespace"));
    openshift.create(account);
    wait(&api, "ClusterExtension", name, message("pre-authorization failed"));
    openshift.trouble(Some(&Trouble::PackageMissing));
    openshift.create(binding);
    let extension = wait(
        &api,
        "ClusterExtension",
        name,
        message("no bundles found for package \"quay-bridge-operator\" in channels [stable-3.18]"),
    );
    assert_eq!(condition(&extension, "Installed")["reason"], "Failed");
    openshift.trouble(None);
    let extension = wait(&api, "ClusterExtension", name, |extension| condition(extension, "Installed")["status"] == "True");
    assert_eq!(extension["status"]["install"]["bundle"], json!({"name": CSV, "version": "3.18.0"}));
    assert_eq!(condition(&extension, "Progressing")["reason"], "Succeeded");
    assert_eq!(only(&api, "Deployment")["status"]["availableReplicas"], 1);
    api.get("/apis/quay.redhat.com/v1/quayintegrations");

    // With the extension goes everything that it brought.
    openshift.delete("ClusterExtension", "", name);
    api.eventually("/apis/quay.redhat.com/v1/quayintegrations", 404, &json!("404 page not found\n"));
    assert!(openshift.list("MutatingWebhookConfiguration", "").is_empty());
}

#[test]
fn a_cluster_can_have_either_olm_both_or_none() {
    for (olm, v0, v1) in [(Olm::Both, true, true), (Olm::V0, true, false), (Olm::V1, false, true), (Olm::None, false, false)] {
        let api = Api::with(Cluster { settle: Duration::from_secs(3600), olm, operator: olm == Olm::V1, ..Cluster::default() });
        let groups = api.get("/apis")["groups"].to_string();
        assert_eq!((groups.contains("\"operators.coreos.com\""), groups.contains("\"olm.operatorframework.io\"")), (v0, v1));
        let version = api.get("/apis/config.openshift.io/v1/clusterversions/version");
        let enabled = version["status"]["capabilities"]["enabledCapabilities"].to_string();
        assert_eq!((enabled.contains("\"OperatorLifecycleManager\""), enabled.contains("V1")), (v0, v1));
        assert!(version["status"]["capabilities"]["knownCapabilities"].to_string().contains("OperatorLifecycleManagerV1"));
        assert_eq!(api.call("admin", "GET", "/apis/quay.redhat.com/v1/quayintegrations").status, 200);
        api.get("/apis/config.openshift.io/v1/infrastructures/cluster");
    }
}
