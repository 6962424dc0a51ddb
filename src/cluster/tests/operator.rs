use std::collections::BTreeSet;

use sandbox::openshift::olm::{self, Trouble};
use sandbox::openshift::{Cluster as SandboxCluster, Olm};
use serde_json::{Value, json};

use super::Stage;
use crate::bridge::snapshot::UnreadKind;
use crate::cluster::{ObjectKind, Operator};

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
fn an_operator_that_runs_is_healthy_whoever_installed_it() {
    for olm in [Olm::V0, Olm::V1] {
        let stage = stage(olm, true);
        let operator = until(&stage, Operator::is_healthy);
        assert!(operator.is_installed() && !operator.has_failed(), "{olm:?}");
        assert_eq!((operator.version(), operator.problems().len()), (Some("3.18.0"), 0), "{olm:?}");
        let deployment = operator.deployment.unwrap().unwrap();
        assert_eq!((deployment.namespace.as_str(), deployment.wanted, deployment.available), (OPERATORS, 1, 1));
        assert!(operator.webhook.unwrap().unwrap().starts_with("quayintegration.quay.redhat.com"));
        assert_eq!((operator.subscription.is_some(), operator.extension.is_some()), (olm == Olm::V0, olm == Olm::V1));
    }
}

#[test]
fn a_cluster_without_operator_is_asked_once_about_each_part_that_it_can_have() {
    for (olm, parts) in [(Olm::Both, 7), (Olm::V0, 5), (Olm::V1, 6), (Olm::None, 4)] {
        let stage = stage(olm, false);
        let operator = look(&stage);
        assert_eq!(stage.requests().len(), parts, "{olm:?}: {:?}", stage.requests());
        assert!(!operator.is_installed() && !operator.is_healthy() && !operator.has_failed(), "{olm:?}");
        assert_eq!((operator.problems().len(), operator.crd.is_some()), (0, olm != Olm::V1), "{olm:?}");
    }
}

#[test]
fn a_subscription_tells_how_it_is_installed() {
    let stage = stage(Olm::Both, false);
    subscribe(&stage, "Automatic");
    let operator = until(&stage, Operator::is_healthy);
    let subscription = operator.subscription.unwrap();
    assert_eq!((subscription.channel.as_str(), subscription.approval.as_str()), ("stable-3.18", "Automatic"));
    let catalog = (subscription.catalog.as_str(), subscription.catalog_namespace.as_str());
    assert_eq!(catalog, ("redhat-operators", "openshift-marketplace"));
    assert_eq!(subscription.installed_csv.as_deref(), Some(CSV));
    assert!(subscription.others.is_empty() && !subscription.ours);
    let plan = subscription.install_plan.unwrap();
    assert_eq!((plan.phase.as_str(), plan.approved, plan.csvs), ("Complete", true, vec![CSV.to_owned()]));
    let csv = operator.csv.unwrap();
    assert_eq!((csv.name.as_str(), csv.namespace.as_str(), csv.phase.as_str()), (CSV, OPERATORS, "Succeeded"));
}

#[test]
fn an_install_plan_waits_for_its_approval() {
    let stage = stage(Olm::V0, false);
    subscribe(&stage, "Manual");
    let waits = |operator: &Operator| {
        operator.subscription.as_ref().and_then(|it| it.install_plan.as_ref()).is_some_and(|plan| plan.needs_approval())
    };
    let operator = until(&stage, waits);
    assert!(!operator.is_healthy() && !operator.has_failed());
    let plan = operator.subscription.as_ref().unwrap().install_plan.clone().unwrap();
    assert_eq!(problem(&operator), format!("InstallPlan {OPERATORS}/{}: it waits for approval", plan.name));
    assert_eq!(operator.progress(), format!("InstallPlan {}: RequiresApproval", plan.name));
    let patch = json!({ "metadata": { "resourceVersion": plan.resource_version }, "spec": { "approved": true } });
    let cluster = stage.cluster("admin");
    stage.run(cluster.merge_object(ObjectKind::InstallPlan, Some(OPERATORS), &plan.name, &patch)).unwrap();
    until(&stage, Operator::is_healthy);
}

#[test]
fn what_olm_gives_up_on_is_told_in_its_words_and_in_ours() {
    let resolution = "Subscription openshift-operators/quay-bridge-operator: ResolutionFailed (ConstraintsNotSatisfiable): ";
    let plan = "InstallPlan openshift-operators/install-";
    let csv = format!("ClusterServiceVersion openshift-operators/{CSV}: Failed (");
    let fails = |reason: &str, message: &str| Trouble::OperatorFails { reason: reason.into(), message: message.into() };
    let table = [
        (Trouble::PackageMissing, resolution, "quay-bridge-operator", "the catalog may lack the package"),
        (Trouble::ResolutionFails("x requires y".into()), resolution, "x requires y", "no version of the operator fits"),
        (Trouble::InstallPlanFails("quota exceeded".into()), plan, "quota exceeded", "could not be created"),
        (fails("InstallCheckFailed", "install timeout"), csv.as_str(), "install timeout", "look at its Deployment"),
        (fails("TooManyOperatorGroups", "found 2"), csv.as_str(), "found 2", "may have just one"),
    ];
    for (trouble, of, message, meaning) in table {
        let stage = stage(Olm::V0, false);
        stage.openshift().trouble(Some(&trouble));
        subscribe(&stage, "Automatic");
        let operator = until(&stage, Operator::has_failed);
        let problems = operator.problems();
        let told = |text: &String| text.starts_with(of) && text.contains(message) && text.contains(meaning);
        assert!(problems.iter().any(told), "{trouble:?}: {problems:#?}");
        assert!(!operator.is_healthy(), "{trouble:?}");
    }
}

#[test]
fn what_may_pass_is_no_failure() {
    let table = [
        (Olm::V0, Trouble::CatalogUnhealthy, "CatalogSourcesUnhealthy", "oc get catalogsources,pods"),
        (Olm::V0, Trouble::NeverFinishes, "0 of 1 pods are available", ""),
        (Olm::V1, Trouble::PackageMissing, "Progressing (Retrying)", "OLM could not install it, and tries again"),
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
        Olm::V1 => drop(olm::extension().into_iter().map(|object| stage.openshift().create(object)).collect::<Vec<_>>()),
        _ => subscribe(stage, "Automatic"),
    }
}

#[test]
fn an_extension_is_followed_to_its_end() {
    let stage = stage(Olm::V1, false);
    install(&stage, Olm::V1);
    let operator = until(&stage, Operator::is_healthy);
    let extension = operator.extension.as_ref().unwrap();
    assert_eq!((extension.name.as_str(), extension.namespace.as_str()), ("quay-bridge-operator", OPERATORS));
    assert_eq!(extension.service_account, "quay-bridge-operator-installer");
    assert_eq!(extension.channels, ["stable-3.18"]);
    assert_eq!(operator.progress(), "ClusterExtension quay-bridge-operator: Succeeded");

    let blocked = stage_blocked();
    let operator = until(&blocked, Operator::has_failed);
    assert!(operator.problems()[0].contains("does not try again"), "{:?}", operator.problems());
}

fn stage_blocked() -> Stage {
    let stage = stage(Olm::V1, false);
    stage.openshift().trouble(Some(&Trouble::OperatorFails { reason: "x".into(), message: "y".into() }));
    install(&stage, Olm::V1);
    stage
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
    assert_eq!((subscription.namespace.as_str(), subscription.others.as_slice()), (OPERATORS, &["myproj/again".to_owned()][..]));
    assert!(operator.problems().iter().any(|text| text.ends_with("there are others for the same package: myproj/again")));

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
    assert_eq!(operator.csv.as_ref().map(|csv| csv.name.as_str()), Some(CSV), "by the label of its Deployment");
    assert!(operator.is_healthy());
}

#[test]
fn an_operator_that_was_deleted_under_its_subscription_does_not_come_back() {
    let stage = stage(Olm::V0, true);
    until(&stage, Operator::is_healthy);
    stage.openshift().delete("ClusterServiceVersion", OPERATORS, CSV);
    let operator = until(&stage, |operator| operator.csv.is_none());
    assert!(operator.has_failed() && !operator.is_healthy() && operator.is_installed());
    assert!(problem(&operator).contains(&format!("gone: {CSV}. That is: somebody deleted it")), "{}", problem(&operator));
}

#[test]
fn what_decides_is_unknown_as_a_whole_and_what_describes_by_itself() {
    let stage = stage(Olm::V0, true);
    until(&stage, Operator::is_healthy);
    stage.openshift().deny("admin", "list", "apps", "deployments");
    stage.openshift().deny("admin", "list", "admissionregistration.k8s.io", "*");
    let operator = look(&stage);
    assert_eq!(operator.deployment.as_ref().unwrap_err().kind, UnreadKind::Forbidden);
    assert_eq!(operator.webhook.as_ref().unwrap_err().kind, UnreadKind::Forbidden);
    assert!(operator.is_healthy());

    stage.openshift().deny("admin", "list", "operators.coreos.com", "subscriptions");
    let groups = groups(&stage);
    let unread = stage.run(stage.cluster("admin").operator(&groups)).unwrap_err();
    assert_eq!(unread.call, "list Subscriptions in all namespaces");
}

#[test]
fn packages_come_from_the_catalogs_that_serve_the_operators_namespace() {
    let stage = stage(Olm::V0, false);
    let groups = groups(&stage);
    let cluster = stage.cluster("admin");
    let packages = || stage.run(cluster.packages(&groups)).unwrap();
    let found = packages();
    let [package] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((package.catalog.as_str(), package.catalog_namespace.as_str()), ("redhat-operators", "openshift-marketplace"));
    assert_eq!((package.default_channel.as_str(), package.all_namespaces), ("stable-3.18", true));
    let newest = package.channels.iter().find(|channel| channel.name == "stable-3.18").unwrap();
    assert_eq!((newest.csv.as_str(), newest.version.as_str(), package.channels.len()), (CSV, "3.18.0", 4));
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
    stage.openshift().put(manifest(OPERATORS, json!([{ "type": "AllNamespaces", "supported": false }])));
    let found = packages();
    let own = found.iter().find(|package| package.catalog == "own").unwrap();
    assert_eq!((found.len(), own.default_channel.as_str(), own.all_namespaces), (2, "only", false));

    stage.openshift().traffic().clear();
    assert_eq!(stage.run(cluster.packages(&BTreeSet::new())), Ok(vec![]));
    assert_eq!(stage.requests().len(), 0);
}
