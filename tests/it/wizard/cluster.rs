//! What is made in the cluster: the operator, the QuayIntegration, the trust of the nodes.

use sandbox::Options;
use sandbox::openshift::olm::Trouble;
use sandbox::openshift::{Cluster, Olm};
use serde_json::{Value, json};

use super::scripted_user::MORE;
use super::{
    APPROVAL, BRIDGE, CHANNEL, CLUSTER_ID, INTEGRATE, LINK, NODES, Person, Question, TRUST, made,
    person, shop,
};
use crate::support::World;

/// What another cluster leaves in its organizations.
const MARK: &str = "oc-quay cluster=elsewhere.example.com:6443 namespace=web uid=0123";

const TRY_AGAIN: Question = MORE[11];
const ONLY_THESE: Question = MORE[12];

#[test]
fn without_an_operator_to_be_had_the_set_up_can_go_on() {
    let options =
        Options { cluster: Cluster { olm: Olm::None, ..Cluster::default() }, ..Options::default() };
    let Some(world) = World::stand_in_bare(options, "the real one has OLM") else { return };
    world.namespace("shop");
    let (left, asked) = person(&world).finishes(0);
    assert!(asked.contains(&BRIDGE) && !asked.contains(&CHANNEL), "{asked:?}");
    assert!(left.screen.contains(" --controller none"), "{}", left.screen);
    world.oc_quay(&["setup", "--check", "--controller=none"]).succeeds();
    world.assert_linked("shop", &[]);
}

/// When the catalog has it by then, trying again installs it.
#[test]
fn who_wants_the_operator_can_wait_for_its_catalog() {
    let world = shop();
    world.trouble(Some(&Trouble::PackageMissing));
    let package = "/apis/packages.operators.coreos.com/v1/namespaces/openshift-marketplace/packagemanifests/quay-bridge-operator";
    world.wait_for("the end of the package", || {
        world.api(reqwest::Method::GET, package, None).0 == 404
    });
    let mut person = person(&world);
    person.chooses(BRIDGE, "Operator").goes_to(TRY_AGAIN);
    world.trouble(None);
    world.wait_for("the package", || world.api(reqwest::Method::GET, package, None).0 == 200);
    let (_, asked) = person.finishes(0);
    assert!(asked.contains(&CHANNEL), "{asked:?}");
    assert!(world.operator_runs());
}

#[test]
fn namespaces_are_kept_linked_by_whom_the_person_chooses() {
    for (choice, flag, runs) in [("Built-in", "in-cluster", true), ("Nobody", "none", false)] {
        let world = shop();
        // Nobody here gives the bridge's webhook a certificate, which a status would find fault with.
        let (left, asked) =
            person(&world).will_choose(BRIDGE, choice).will_type(LINK, "none").finishes(0);
        assert!(!asked.contains(&CHANNEL) && !asked.contains(&APPROVAL), "{asked:?}");
        assert!(left.screen.contains(&format!(" --controller {flag}")), "{}", left.screen);
        assert_eq!(world.subscriptions(), 0);
        let deployment = world.get("Deployment", "oc-quay", "oc-quay");
        assert_eq!(
            deployment.is_some_and(|deployment| deployment["status"]["availableReplicas"] == 2),
            runs
        );
        if runs {
            // It is found again, so nobody is asked a second time.
            let (left, asked) = person(&world).will_type(LINK, "none").finishes(0);
            assert_eq!(asked, [LINK]);
            assert!(
                left.screen.ends_with("Everything is set up; nothing was written"),
                "{}",
                left.screen
            );
        }
    }
}

#[test]
fn manual_approval_approves_this_one_installation() {
    let world = shop();
    let (left, _) = person(&world)
        .will_choose(APPROVAL, "Manual")
        .will_choose(CHANNEL, "stable-3.17")
        .finishes(0);
    assert!(left.screen.contains("just this one"), "{}", left.screen);
    assert!(
        left.screen.contains("--operator-channel stable-3.17 --operator-approval manual"),
        "{}",
        left.screen
    );
    let subscription =
        world.get("Subscription", "openshift-operators", "quay-bridge-operator").unwrap();
    assert_eq!(subscription["spec"]["installPlanApproval"], "Manual");
    assert_eq!(subscription["spec"]["channel"], "stable-3.17");
    assert!(world.operator_runs());
}

#[test]
fn for_many_namespaces_a_list_of_the_first_is_suggested() {
    let world = shop();
    for number in 0..60 {
        world.create(&sandbox::manifests::namespace(&format!("many-{number}")));
    }
    let mut person = person(&world);
    person.types(ONLY_THESE, "Not_A_Name").goes_to(ONLY_THESE);
    let screen = person.terminal.screen();
    assert!(screen.contains("61 namespaces would be linked"), "{screen}");
    person.types(ONLY_THESE, "shop, many-1").goes_to(INTEGRATE);
    let screen = person.terminal.screen();
    assert!(screen.contains("2 namespaces are in scope"), "{screen}");
    let (left, _) = person.finishes(0);
    assert!(left.screen.contains("--allow shop,many-1"), "{}", left.screen);
    let integration = world.get("QuayIntegration", "", "quay").unwrap();
    assert_eq!(integration["spec"]["allowlistNamespaces"], json!(["shop", "many-1"]));
}

#[test]
fn the_nodes_are_updated_only_for_who_wants_it() {
    for (choice, flag, is_trusted) in
        [("Print", "print", false), ("Leave", "skip", false), ("Have", "apply", true)]
    {
        let world = shop();
        let (left, asked) = person(&world).will_choose(NODES, choice).finishes(0);
        assert_eq!(asked.contains(&TRUST), is_trusted);
        assert_eq!(!world.trusted_registries().is_empty(), is_trusted);
        assert_eq!(left.screen.contains("kind: ConfigMap"), choice == "Print", "{}", left.screen);
        assert!(left.screen.contains(&format!("--node-trust {flag}")), "{}", left.screen);
    }
}

#[test]
fn a_cluster_id_has_to_be_one_that_no_other_cluster_uses() {
    let world = shop();
    world.sandbox.quay.add_organization("openshift_web", "quayadmin");
    world.sandbox.quay.add_robot("openshift_web", "builder", MARK).unwrap();
    let mut person = person(&world);
    person.types(CLUSTER_ID, "Not An ID").types(CLUSTER_ID, "").goes_to(CLUSTER_ID);
    let screen = person.terminal.screen();
    assert!(screen.contains("# "), "{screen}");
    assert!(
        screen.contains("cluster ID openshift is in use by cluster elsewhere.example.com:6443"),
        "{screen}"
    );
    // What is proposed now is free.
    person.finishes(0);
    assert_eq!(world.one_integration().unwrap()["spec"]["clusterID"], "openshift-2");
}

#[test]
fn a_cluster_id_that_was_given_and_is_in_use_is_asked_for() {
    let world = shop();
    world.sandbox.quay.add_organization("prod_web", "quayadmin");
    world.sandbox.quay.add_robot("prod_web", "builder", MARK).unwrap();
    let command = world.oc_quay(&["setup", "--cluster-id", "prod"]);
    let (left, asked) =
        Person::begins(&world, command, 100).will_type(CLUSTER_ID, "stage").finishes(0);
    assert!(asked.contains(&CLUSTER_ID), "{asked:?}");
    assert!(left.screen.contains("cluster ID prod is in use by cluster"), "{}", left.screen);
    assert_eq!(world.one_integration().unwrap()["spec"]["clusterID"], "stage");
}

/// It is shown what becomes different, and only that is written.
#[test]
fn an_integration_that_is_there_is_changed_where_it_differs() {
    let world = World::new();
    world.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "denylistNamespaces": ["kept"] } }),
    );
    let command = world.oc_quay(&["setup", "--scheduled-import", "--allow", "shop"]);
    let mut person = Person::begins(&world, command, 100);
    person.goes_to(INTEGRATE);
    let screen = person.terminal.screen();
    for difference in [
        "allowlistNamespaces: [] becomes [\"shop\"]",
        "scheduledImageStreamImport: false becomes true",
    ] {
        assert!(screen.contains(difference), "{screen}");
    }
    let (_, asked) = person.finishes(0);
    assert!(!asked.contains(&CLUSTER_ID) && !asked.contains(&super::ADDRESS), "{asked:?}");
    let spec = &world.one_integration().unwrap()["spec"];
    assert_eq!(spec["denylistNamespaces"], json!(["kept"]));
    assert_eq!(spec["allowlistNamespaces"], json!(["shop"]));
    assert_eq!(spec["scheduledImageStreamImport"], true);
}

#[test]
fn nobody_has_to_link_a_namespace() {
    let world = shop();
    let (left, _) = person(&world).will_type(LINK, "none").finishes(0);
    assert!(left.screen.contains("no namespaces were named"), "{}", left.screen);
    assert_eq!(world.sandbox.quay.organizations(), ["openshift-integration"]);
    assert_ne!(made(&world), Vec::<Value>::new());
}
