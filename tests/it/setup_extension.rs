//! The set-up on a cluster that has OLM v1 only.

use sandbox::Options;
use sandbox::openshift::olm::{self, Trouble};
use sandbox::openshift::{Cluster, Olm};
use serde_json::json;

use crate::setup_operator::{IN_A_MOMENT, assert_nothing_to_do, assert_says};
use crate::support::TestEnv;

fn env() -> Option<TestEnv> {
    let cluster = Cluster { olm: Olm::V1, ..Cluster::default() };
    TestEnv::stand_in_bare(Options { cluster, ..Options::default() }, "the real one has both OLMs")
}

#[test]
fn installs_cluster_extension_with_olm_v1_only() {
    let Some(env) = env() else { return };
    let run = env.setup(&["--operator-channel", "stable-3.17", "-o", "json"]).succeeds();
    assert_says(&run.step("operator"), &["\"done\"", "is running (3.17.1, through OLM v1)"]);
    let extension = env.get("ClusterExtension", "", olm::PACKAGE).unwrap();
    assert_eq!(extension["spec"]["source"]["catalog"]["channels"], json!(["stable-3.17"]));
    assert_eq!(extension["spec"]["serviceAccount"]["name"], "quay-bridge-operator-installer");
    assert_nothing_to_do(&env, &[]);
}

#[test]
fn reports_olm_v1_problems_in_its_words() {
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
                "OLM failed to install it and will retry",
            ],
        ),
        (
            Trouble::InstallPlanFails("exceeded quota".into()),
            &["Progressing (Retrying)", "exceeded quota"],
        ),
        (blocked, &["Progressing (Blocked)", "webhook is not supported", "will not retry"]),
    ];
    for (trouble, reported) in cases {
        let Some(env) = env() else { return };
        env.sandbox.openshift.trouble(Some(&trouble));
        let run = env.setup(&IN_A_MOMENT).ends_with(1);
        assert_says(&run.step("operator"), reported);
        assert_eq!(run.state("integration"), "notReached");
    }
}
