use std::collections::BTreeSet;

use sandbox::openshift::olm::{self, Trouble};
use sandbox::openshift::{Cluster as SandboxCluster, Olm};
use serde_json::{Value, json};

use super::Stage;
use crate::cluster::Operator;

const OPERATORS: &str = "openshift-operators";
const CSV: &str = "quay-bridge-operator.v3.18.0";

fn stage(olm: Olm, operator: bool) -> Stage {
    Stage::of(SandboxCluster { olm, operator, ..SandboxCluster::default() })
}

fn groups(stage: &Stage) -> BTreeSet<String> {
    stage.run(stage.cluster("admin").platform()).unwrap().groups
}

fn look(stage: &Stage) -> Operator {
    let groups = groups(stage);
    stage.run(stage.cluster("admin").operator(&groups)).unwrap()
}

/// Looks until what is wanted is seen, as a set-up does.
fn until(stage: &Stage, wanted: impl Fn(&Operator) -> bool) -> Operator {
    stage.eventually(|_| wanted(&look(stage)));
    look(stage)
}

fn subscribe(stage: &Stage, approval: &str) {
    let mut subscription = olm::subscription();
    subscription["spec"]["installPlanApproval"] = json!(approval);
    stage.openshift().create(subscription);
}

/// The one problem of an operator.
fn problem(operator: &Operator) -> String {
    let problems = operator.problems();
    let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
    problem.clone()
}

#[test]
fn a_cluster_without_operator_is_asked_once_about_each_part_that_it_can_have() {
    for (olm, parts) in [(Olm::Both, 7), (Olm::V0, 5), (Olm::V1, 6), (Olm::None, 4)] {
        let stage = stage(olm, false);
        let operator = look(&stage);
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
fn what_may_pass_is_no_failure() {
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
            "OLM could not install it, and tries again",
        ),
    ];
    for (olm, trouble, said, meaning) in table {
        let stage = stage(olm, false);
        stage.openshift().trouble(Some(&trouble));
        install(&stage, olm);
        let told = |text: &String| text.contains(said) && text.contains(meaning);
        let operator = until(&stage, |operator| operator.problems().iter().any(told));
        assert!(!operator.is_healthy() && operator.is_installed(), "{trouble:?}");
        assert!(!operator.has_failed(), "{trouble:?}: {:#?}", operator.problems());
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
fn a_subscription_anywhere_counts_and_a_second_one_is_a_problem() {
    let stage = stage(Olm::V0, true);
    let mut second = olm::subscription();
    second["metadata"]["name"] = json!("again");
    second["metadata"]["namespace"] = json!("myproj");
    stage.openshift().put(second);
    let operator = look(&stage);
    let subscription = operator.subscription.as_ref().unwrap();
    assert_eq!(
        (subscription.namespace.as_str(), subscription.others.as_slice()),
        (OPERATORS, &["myproj/again".to_owned()][..])
    );
    assert!(
        operator
            .problems()
            .iter()
            .any(|text| text.ends_with("there are others for the same package: myproj/again"))
    );

    stage.openshift().delete("Subscription", OPERATORS, "quay-bridge-operator");
    assert_eq!(look(&stage).subscription.unwrap().namespace, "myproj");
}

#[test]
fn an_operator_outlives_its_subscription() {
    let stage = stage(Olm::V0, true);
    until(&stage, Operator::is_healthy);
    stage.openshift().delete("Subscription", OPERATORS, "quay-bridge-operator");
    let operator = look(&stage);
    assert_eq!(operator.subscription, None);
    assert_eq!(
        operator.csv.as_ref().map(|csv| csv.name.as_str()),
        Some(CSV),
        "by the label of its Deployment"
    );
    assert!(operator.is_healthy());
}

#[test]
fn an_operator_that_was_deleted_under_its_subscription_does_not_come_back() {
    let stage = stage(Olm::V0, true);
    until(&stage, Operator::is_healthy);
    stage.openshift().delete("ClusterServiceVersion", OPERATORS, CSV);
    let operator = until(&stage, |operator| operator.csv.is_none());
    assert!(operator.has_failed() && !operator.is_healthy() && operator.is_installed());
    assert!(
        problem(&operator).contains(&format!("gone: {CSV}. That is: somebody deleted it")),
        "{}",
        problem(&operator)
    );
}

#[test]
fn packages_come_from_the_catalogs_that_serve_the_operators_namespace() {
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
    // The sandbox's OLM takes away what no catalog holds, and writes what a new one has.
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
