//! The set-up on a cluster that has OLM v1 only.

use sandbox::Options;
use sandbox::openshift::olm::{self, Trouble};
use sandbox::openshift::{Cluster, Olm};
use serde_json::json;

use crate::setup_operator::{IN_A_MOMENT, assert_nothing_to_do, assert_says};
use crate::support::World;

fn world() -> Option<World> {
    let cluster = Cluster { olm: Olm::V1, ..Cluster::default() };
    World::stand_in_bare(Options { cluster, ..Options::default() }, "the real one has both OLMs")
}

#[test]
fn with_olm_v1_only_a_cluster_extension_installs_the_operator() {
    let Some(world) = world() else { return };
    let run = world.setup(&["--operator-channel", "stable-3.17", "-o", "json"]).succeeds();
    assert_says(&run.step("operator"), &["\"done\"", "is running (3.17.1, through OLM v1)"]);
    let extension = world.get("ClusterExtension", "", olm::PACKAGE).unwrap();
    assert_eq!(extension["spec"]["source"]["catalog"]["channels"], json!(["stable-3.17"]));
    assert_eq!(extension["spec"]["serviceAccount"]["name"], "quay-bridge-operator-installer");
    assert_nothing_to_do(&world, &[]);
}

#[test]
fn what_olm_v1_runs_into_is_told_in_its_words() {
    let blocked = Trouble::OperatorFails {
        reason: String::new(),
        message: "webhook is not supported".into(),
    };
    let cases: [(Trouble, &[&str]); 3] = [
        (
            Trouble::PackageMissing,
            &[
                "Progressing (Retrying)",
                "no bundles found for package",
                "OLM could not install it, and tries again",
            ],
        ),
        (
            Trouble::InstallPlanFails("exceeded quota".into()),
            &["Progressing (Retrying)", "exceeded quota"],
        ),
        (blocked, &["Progressing (Blocked)", "webhook is not supported", "does not try again"]),
    ];
    for (trouble, told) in cases {
        let Some(world) = world() else { return };
        world.sandbox.openshift.trouble(Some(&trouble));
        let run = world.setup(&IN_A_MOMENT).ends_with(1);
        assert_says(&run.step("operator"), told);
        assert_eq!(run.state("integration"), "notReached");
    }
}
