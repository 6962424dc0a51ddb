use std::collections::BTreeSet;

use sandbox::openshift::olm::{self, Trouble};
use sandbox::openshift::{Cluster as SandboxCluster, Olm};
use serde_json::{Value, json};

use super::Stage;
use crate::cluster::Operator;

const OPERATORS: &str = "openshift-operators";
const CSV: &str = "quay-bridge-operator.v3.18.0";

fn stage(olm: Olm, operator: bool) -> Stage {
    Stage::with_cluster(SandboxCluster { olm, operator, ..SandboxCluster::default() })
}

fn groups(stage: &Stage) -> BTreeSet<String> {
    stage.run(stage.cluster("admin").platform()).unwrap().groups
}

fn read_operator(stage: &Stage) -> Operator {
    let groups = groups(stage);
    stage.run(stage.cluster("admin").operator(&groups)).unwrap()
}

/// Reads the operator until a condition holds.
fn wait_until(stage: &Stage, wanted: impl Fn(&Operator) -> bool) -> Operator {
    stage.eventually(|_| wanted(&read_operator(stage)));
    read_operator(stage)
}

fn subscribe(stage: &Stage, approval: &str) {
    let mut subscription = olm::subscription();
    subscription["spec"]["installPlanApproval"] = json!(approval);
    stage.openshift().create(subscription);
}

fn problem(operator: &Operator) -> String {
    let problems = operator.problems();
    let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
    problem.clone()
}

#[test]
fn requests_each_part_once_without_operator() {
    for (olm, parts) in [(Olm::Both, 7), (Olm::V0, 5), (Olm::V1, 6), (Olm::None, 4)] {
        let stage = stage(olm, false);
        let operator = read_operator(&stage);
        assert_eq!(stage.requests().len(), parts, "{olm:?}: {:?}", stage.requests());
        assert!(
            !operator.is_installed() && !operator.is_healthy() && !operator.has_failed(),
            "{olm:?}"
        );
        assert_eq!(
            (operator.problems().len(), operator.crd.is_some()),
            (0, olm != Olm::V1),
            "{olm:?}"
        );
    }
}

#[test]
fn transient_problems_are_no_failure() {
    let table = [
        (
            Olm::V0,
            Trouble::CatalogUnhealthy,
            "CatalogSourcesUnhealthy",
            "oc get catalogsources,pods",
        ),
        (Olm::V0, Trouble::NeverFinishes, "0 of 1 pods are available", ""),
        (
            Olm::V1,
            Trouble::PackageMissing,
            "Progressing (Retrying)",
            "OLM failed to install it and will retry",
        ),
    ];
    for (olm, problem, state, meaning) in table {
        let stage = stage(olm, false);
        stage.openshift().trouble(Some(&problem));
        install(&stage, olm);
        let explains = |text: &String| text.contains(state) && text.contains(meaning);
        let operator = wait_until(&stage, |operator| operator.problems().iter().any(explains));
        assert!(!operator.is_healthy() && operator.is_installed(), "{problem:?}");
        assert!(!operator.has_failed(), "{problem:?}: {:#?}", operator.problems());
    }
}

fn install(stage: &Stage, olm: Olm) {
    match olm {
        Olm::V1 => drop(
            olm::extension()
                .into_iter()
                .map(|object| stage.openshift().create(object))
                .collect::<Vec<_>>(),
        ),
        _ => subscribe(stage, "Automatic"),
    }
}

#[test]
fn second_subscription_is_a_problem() {
    let stage = stage(Olm::V0, true);
    let mut second = olm::subscription();
    second["metadata"]["name"] = json!("again");
    second["metadata"]["namespace"] = json!("myproj");
    stage.openshift().put(second);
    let operator = read_operator(&stage);
    let subscription = operator.subscription.as_ref().unwrap();
    assert_eq!(
        (subscription.namespace.as_str(), subscription.others.as_slice()),
        (OPERATORS, &["myproj/again".to_owned()][..])
    );
    assert!(
        operator
            .problems()
            .iter()
            .any(|text| text.ends_with("other Subscriptions to the package exist: myproj/again"))
    );

    stage.openshift().delete("Subscription", OPERATORS, "quay-bridge-operator");
    assert_eq!(read_operator(&stage).subscription.unwrap().namespace, "myproj");
}

#[test]
fn finds_operator_without_subscription() {
    let stage = stage(Olm::V0, true);
    wait_until(&stage, Operator::is_healthy);
    stage.openshift().delete("Subscription", OPERATORS, "quay-bridge-operator");
    let operator = read_operator(&stage);
    assert_eq!(operator.subscription, None);
    assert_eq!(
        operator.csv.as_ref().map(|csv| csv.name.as_str()),
        Some(CSV),
        "by the label of its Deployment"
    );
    assert!(operator.is_healthy());
}

#[test]
fn deleted_csv_is_a_lasting_problem() {
    let stage = stage(Olm::V0, true);
    wait_until(&stage, Operator::is_healthy);
    stage.openshift().delete("ClusterServiceVersion", OPERATORS, CSV);
    let operator = wait_until(&stage, |operator| operator.csv.is_none());
    assert!(operator.has_failed() && !operator.is_healthy() && operator.is_installed());
    assert!(
        problem(&operator).contains(&format!("missing: {CSV} – it was deleted")),
        "{}",
        problem(&operator)
    );
}

#[test]
fn lists_packages_of_serving_catalogs() {
    let stage = stage(Olm::V0, false);
    let groups = groups(&stage);
    let cluster = stage.cluster("admin");
    let packages = || stage.run(cluster.packages(&groups)).unwrap();
    let found = packages();
    let [package] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        (package.catalog.as_str(), package.catalog_namespace.as_str()),
        ("redhat-operators", "openshift-marketplace")
    );
    assert_eq!((package.default_channel.as_str(), package.all_namespaces), ("stable-3.18", true));
    let newest = package.channels.iter().find(|channel| channel.name == "stable-3.18").unwrap();
    assert_eq!(
        (newest.csv.as_str(), newest.version.as_str(), package.channels.len()),
        (CSV, "3.18.0", 4)
    );
    assert_eq!(stage.requests(), ["list packagemanifests"]);

    let manifest = |namespace: &str, modes: Value| {
        json!({
            "apiVersion": "packages.operators.coreos.com/v1", "kind": "PackageManifest",
            "metadata": { "name": "quay-bridge-operator", "namespace": namespace },
            "status": {
                "catalogSource": "own", "catalogSourceNamespace": namespace, "packageName": "quay-bridge-operator",
                "channels": [{ "name": "only", "currentCSV": "a.v1", "currentCSVDesc": { "installModes": modes } }],
            },
        })
    };
    // The sandbox's OLM removes packages without a catalog, and writes those of a new one.
    for namespace in ["myproj", OPERATORS] {
        stage.openshift().put(json!({
            "apiVersion": "operators.coreos.com/v1alpha1", "kind": "CatalogSource",
            "metadata": { "name": "own", "namespace": namespace }, "spec": { "sourceType": "grpc", "image": "own" },
        }));
        stage.eventually(|openshift| openshift.list("PackageManifest", namespace).len() == 1);
    }
    stage.openshift().put(manifest("myproj", json!([])));
    stage
        .openshift()
        .put(manifest(OPERATORS, json!([{ "type": "AllNamespaces", "supported": false }])));
    let found = packages();
    let own = found.iter().find(|package| package.catalog == "own").unwrap();
    assert_eq!((found.len(), own.default_channel.as_str(), own.all_namespaces), (2, "only", false));

    stage.openshift().traffic().clear();
    assert_eq!(stage.run(cluster.packages(&BTreeSet::new())), Ok(vec![]));
    assert_eq!(stage.requests().len(), 0);
}
