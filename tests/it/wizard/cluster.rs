//! Objects in the cluster: the operator, the QuayIntegration, the trust of the nodes.

use sandbox::Options;
use sandbox::openshift::olm::Trouble;
use sandbox::openshift::{Cluster, Olm};
use serde_json::{Value, json};

use super::scripted_user::MORE;
use super::{
    APPROVAL, CHANNEL, CLUSTER_ID, CONTROLLER, INTEGRATE, LINK, NODES, Person, Question, TRUST,
    made, person, shop,
};
use crate::support::TestEnv;

/// The ownership marks of another cluster.
const MARK: &str = "oc-quay cluster=elsewhere.example.com:6443 namespace=web uid=0123";

const TRY_AGAIN: Question = MORE[11];
const ONLY_THESE: Question = MORE[12];

#[test]
fn continues_without_available_operator() {
    let options =
        Options { cluster: Cluster { olm: Olm::None, ..Cluster::default() }, ..Options::default() };
    let Some(env) = TestEnv::stand_in_bare(options, "the real one has OLM") else { return };
    env.namespace("shop");
    let (left, asked) = person(&env).finishes(0);
    assert!(asked.contains(&CONTROLLER) && !asked.contains(&CHANNEL), "{asked:?}");
    assert!(left.screen.contains(" --controller none"), "{}", left.screen);
    env.oc_quay(&["setup", "--check", "--controller=none"]).succeeds();
    env.assert_linked("shop", &[]);
}

/// When the catalog has it by then, trying again installs it.
#[test]
fn can_wait_for_the_operators_catalog() {
    let env = shop();
    env.trouble(Some(&Trouble::PackageMissing));
    let package = "/apis/packages.operators.coreos.com/v1/namespaces/openshift-marketplace/packagemanifests/quay-bridge-operator";
    env.wait_for("the end of the package", || {
        env.api(reqwest::Method::GET, package, None).0 == 404
    });
    let mut person = person(&env);
    person.chooses(CONTROLLER, "Operator").goes_to(TRY_AGAIN);
    env.trouble(None);
    env.wait_for("the package", || env.api(reqwest::Method::GET, package, None).0 == 200);
    let (_, asked) = person.finishes(0);
    assert!(asked.contains(&CHANNEL), "{asked:?}");
    assert!(env.operator_runs());
}

#[test]
fn installs_the_chosen_controller() {
    for (choice, flag, runs) in [("In-cluster", "in-cluster", true), ("None", "none", false)] {
        let env = shop();
        // The test cluster issues no certificate for the controller's webhook, so no status is read.
        let (left, asked) =
            person(&env).will_choose(CONTROLLER, choice).will_type(LINK, "none").finishes(0);
        assert!(!asked.contains(&CHANNEL) && !asked.contains(&APPROVAL), "{asked:?}");
        assert!(left.screen.contains(&format!(" --controller {flag}")), "{}", left.screen);
        assert_eq!(env.subscriptions(), 0);
        let deployment = env.get("Deployment", "oc-quay", "oc-quay");
        assert_eq!(
            deployment.is_some_and(|deployment| deployment["status"]["availableReplicas"] == 2),
            runs
        );
        if runs {
            // The installed controller is found again without a question.
            let (left, asked) = person(&env).will_type(LINK, "none").finishes(0);
            assert_eq!(asked, [LINK]);
            assert!(
                left.screen.ends_with("Already set up; nothing was written"),
                "{}",
                left.screen
            );
        }
    }
}

#[test]
fn manual_approval_approves_first_installation() {
    let env = shop();
    let (left, _) = person(&env)
        .will_choose(APPROVAL, "Manual")
        .will_choose(CHANNEL, "stable-3.17")
        .finishes(0);
    assert!(left.screen.contains("approve InstallPlan install-"), "{}", left.screen);
    assert!(
        left.screen.contains("--operator-channel stable-3.17 --operator-approval manual"),
        "{}",
        left.screen
    );
    let subscription =
        env.get("Subscription", "openshift-operators", "quay-bridge-operator").unwrap();
    assert_eq!(subscription["spec"]["installPlanApproval"], "Manual");
    assert_eq!(subscription["spec"]["channel"], "stable-3.17");
    assert!(env.operator_runs());
}

#[test]
fn suggests_allowlist_for_many_namespaces() {
    let env = shop();
    for number in 0..60 {
        env.create(&sandbox::manifests::namespace(&format!("many-{number}")));
    }
    let mut person = person(&env);
    person.types(ONLY_THESE, "Not_A_Name").goes_to(ONLY_THESE);
    let screen = person.terminal.screen();
    assert!(screen.contains("61 namespaces would be linked"), "{screen}");
    person.types(ONLY_THESE, "shop, many-1").goes_to(INTEGRATE);
    let screen = person.terminal.screen();
    assert!(screen.contains("2 namespaces are in scope"), "{screen}");
    let (left, _) = person.finishes(0);
    assert!(left.screen.contains("--allow shop,many-1"), "{}", left.screen);
    let integration = env.get("QuayIntegration", "", "quay").unwrap();
    assert_eq!(integration["spec"]["allowlistNamespaces"], json!(["shop", "many-1"]));
}

#[test]
fn configures_nodes_only_when_chosen() {
    for (choice, flag, is_trusted) in
        [("Print", "print", false), ("Skip", "skip", false), ("Configure", "apply", true)]
    {
        let env = shop();
        let (left, asked) = person(&env).will_choose(NODES, choice).finishes(0);
        assert_eq!(asked.contains(&TRUST), is_trusted);
        assert_eq!(!env.trusted_registries().is_empty(), is_trusted);
        assert_eq!(left.screen.contains("kind: ConfigMap"), choice == "Print", "{}", left.screen);
        assert!(left.screen.contains(&format!("--node-trust {flag}")), "{}", left.screen);
    }
}

#[test]
fn rejects_cluster_id_of_another_cluster() {
    let env = shop();
    env.sandbox.quay.add_organization("openshift_web", "quayadmin");
    env.sandbox.quay.add_robot("openshift_web", "builder", MARK).unwrap();
    let mut person = person(&env);
    person.types(CLUSTER_ID, "Not An ID").types(CLUSTER_ID, "").goes_to(CLUSTER_ID);
    let screen = person.terminal.screen();
    assert!(screen.contains("# "), "{screen}");
    assert!(
        screen.contains("cluster ID openshift is in use by cluster elsewhere.example.com:6443"),
        "{screen}"
    );
    // What is proposed now is free.
    person.finishes(0);
    assert_eq!(env.single_integration().unwrap()["spec"]["clusterID"], "openshift-2");
}

#[test]
fn asks_again_for_given_cluster_id_in_use() {
    let env = shop();
    env.sandbox.quay.add_organization("prod_web", "quayadmin");
    env.sandbox.quay.add_robot("prod_web", "builder", MARK).unwrap();
    let command = env.oc_quay(&["setup", "--cluster-id", "prod"]);
    let (left, asked) =
        Person::begins(&env, command, 100).will_type(CLUSTER_ID, "stage").finishes(0);
    assert!(asked.contains(&CLUSTER_ID), "{asked:?}");
    assert!(left.screen.contains("cluster ID prod is in use by cluster"), "{}", left.screen);
    assert_eq!(env.single_integration().unwrap()["spec"]["clusterID"], "stage");
}

/// It is shown what becomes different, and only that is written.
#[test]
fn changes_differences_of_existing_integration() {
    let env = TestEnv::new();
    env.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "denylistNamespaces": ["kept"] } }),
    );
    let command = env.oc_quay(&["setup", "--scheduled-import", "--allow", "shop"]);
    let mut person = Person::begins(&env, command, 100);
    person.goes_to(INTEGRATE);
    let screen = person.terminal.screen();
    for difference in
        ["allowlistNamespaces: [] → [\"shop\"]", "scheduledImageStreamImport: false → true"]
    {
        assert!(screen.contains(difference), "{screen}");
    }
    let (_, asked) = person.finishes(0);
    assert!(!asked.contains(&CLUSTER_ID) && !asked.contains(&super::ADDRESS), "{asked:?}");
    let spec = &env.single_integration().unwrap()["spec"];
    assert_eq!(spec["denylistNamespaces"], json!(["kept"]));
    assert_eq!(spec["allowlistNamespaces"], json!(["shop"]));
    assert_eq!(spec["scheduledImageStreamImport"], true);
}

#[test]
fn linking_a_namespace_is_optional() {
    let env = shop();
    let (left, _) = person(&env).will_type(LINK, "none").finishes(0);
    assert!(left.screen.contains("no namespaces given"), "{}", left.screen);
    assert_eq!(env.sandbox.quay.organizations(), ["openshift-integration"]);
    assert_ne!(made(&env), Vec::<Value>::new());
}
