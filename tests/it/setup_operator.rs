//! The set-up's steps about the cluster and the operator.

use sandbox::Options;
use sandbox::openshift::olm::{self, Trouble};
use sandbox::openshift::{Cluster, Olm};
use serde_json::{Value, json};

use crate::support::TestEnv;

const OPERATORS: &str = "openshift-operators";
const CATALOGS: &str = "openshift-marketplace";

/// A set-up that waits just a moment for an operator that does not come.
pub(crate) const IN_A_MOMENT: [&str; 4] = ["--operator-timeout", "8s", "-o", "json"];

/// Whether the operator works, for OLM.
fn has_succeeded(env: &TestEnv, csv: &str) -> bool {
    env.get("ClusterServiceVersion", OPERATORS, csv)
        .is_some_and(|csv| csv["status"]["phase"] == "Succeeded")
}

/// Installs the operator without our label, and waits for it.
fn install_manually(env: &TestEnv, approval: &str) {
    let mut subscription = olm::subscription();
    subscription["spec"]["installPlanApproval"] = json!(approval);
    env.create(&subscription);
    if approval == "Manual" {
        env.wait_for("an InstallPlan", || install_plan(env).is_some());
        let plan = install_plan(env).unwrap();
        env.merge("InstallPlan", OPERATORS, &plan, &json!({ "spec": { "approved": true } }));
    }
    env.wait_for("the operator", || has_succeeded(env, "quay-bridge-operator.v3.18.0"));
}

/// The InstallPlan that the Subscription is at.
fn install_plan(env: &TestEnv) -> Option<String> {
    let subscription = env.get("Subscription", OPERATORS, olm::PACKAGE)?;
    Some(subscription["status"]["installPlanRef"]["name"].as_str()?.to_owned())
}

/// The writes to OLM's objects.
fn writes_to_olm(env: &TestEnv) -> Vec<String> {
    let writes = env
        .cluster_traffic()
        .writes()
        .into_iter()
        .filter(|entry| entry.path.contains("operators.coreos.com"));
    writes.map(|entry| entry.kind).collect()
}

/// Whether nothing was made after the token was stored.
#[track_caller]
fn assert_no_integration(env: &TestEnv) {
    assert_eq!(env.get("QuayIntegration", "", "quay"), None);
}

#[track_caller]
pub(crate) fn assert_says(step: &Value, words: &[&str]) {
    let text = step.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {step:#}");
    }
}

#[track_caller]
pub(crate) fn assert_nothing_to_do(env: &TestEnv, arguments: &[&str]) {
    env.forget_traffic();
    let run = env.setup(arguments).args(&["-o", "json"]).succeeds();
    assert_eq!(run.json()["summaryLine"], "Already set up; nothing was written");
    env.assert_nothing_written();
}

#[test]
fn installs_operator_once_from_default_channel() {
    let env = TestEnv::bare();
    let run = env.setup(&["-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "done");
    assert_says(
        &run.step("operator"),
        &[
            "is running (3.18.0, channel stable-3.18 of catalog redhat-operators, automatic approval)",
        ],
    );
    let subscription = env.get("Subscription", OPERATORS, olm::PACKAGE).unwrap();
    assert_eq!(subscription["spec"], olm::subscription()["spec"]);
    assert_eq!(subscription["metadata"]["labels"]["app.kubernetes.io/managed-by"], "oc-quay");
    assert!(has_succeeded(&env, "quay-bridge-operator.v3.18.0"));
    assert_eq!(writes_to_olm(&env), ["create subscriptions"]);
    assert_nothing_to_do(&env, &[]);
}

#[test]
fn uses_given_channel_approval_and_catalog() {
    struct Case {
        arguments: &'static [&'static str],
        variable: (&'static str, &'static str),
        csv: &'static str,
        spec: [&'static str; 2],
        writes: &'static [&'static str],
    }
    let cases = [
        Case {
            arguments: &[
                "--operator-channel",
                "stable-3.16",
                "--operator-catalog",
                "redhat-operators",
            ],
            variable: ("UNUSED", ""),
            csv: "quay-bridge-operator.v3.16.2",
            spec: ["stable-3.16", "Automatic"],
            writes: &["create subscriptions"],
        },
        Case {
            arguments: &["--operator-approval", "manual"],
            variable: ("OC_QUAY_OPERATOR_CHANNEL", "stable-3.17"),
            csv: "quay-bridge-operator.v3.17.1",
            spec: ["stable-3.17", "Manual"],
            writes: &["create subscriptions", "patch installplans"],
        },
    ];
    for case in cases {
        let env = TestEnv::bare();
        let (name, value) = case.variable;
        env.setup(case.arguments).env(name, value).succeeds();
        assert!(has_succeeded(&env, case.csv), "{:?}", case.arguments);
        let spec = &env.get("Subscription", OPERATORS, olm::PACKAGE).unwrap()["spec"];
        assert_eq!([&spec["channel"], &spec["installPlanApproval"]], case.spec);
        assert_eq!(writes_to_olm(&env), case.writes);
        assert_nothing_to_do(&env, &[]);
    }
}

#[test]
fn finds_other_catalog_and_rejects_missing_one() {
    let env = TestEnv::bare();
    let [mut catalog, _] = olm::v0_fixtures();
    catalog["metadata"]["name"] = json!("cs-redhat-operator-index");
    env.delete("CatalogSource", CATALOGS, "redhat-operators");
    env.create(&catalog);
    env.wait_for("the package in the other catalog", || {
        let package = env.get("PackageManifest", CATALOGS, olm::PACKAGE);
        package
            .is_some_and(|package| package["status"]["catalogSource"] == "cs-redhat-operator-index")
    });

    env.forget_traffic();
    let run = env.setup(&["--operator-catalog", "redhat-operators"]).ends_with(2);
    assert!(
        run.stdout.contains("catalog redhat-operators does not contain the operator"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("cs-redhat-operator-index"), "{}", run.stdout);
    let run = env.setup(&["--operator-channel", "stable-3.1"]).ends_with(2);
    assert!(
        run.stdout.contains(
            "the operator has no channel stable-3.1; available: stable-3.15, stable-3.16"
        ),
        "{}",
        run.stdout
    );
    env.assert_nothing_written();

    env.setup(&[]).succeeds();
    let subscription = env.get("Subscription", OPERATORS, olm::PACKAGE).unwrap();
    assert_eq!(subscription["spec"]["source"], "cs-redhat-operator-index");
    assert_eq!(subscription["spec"]["sourceNamespace"], CATALOGS);
}

#[test]
fn keeps_operator_that_others_installed() {
    let env = TestEnv::bare();
    install_manually(&env, "Automatic");
    let run = env
        .setup(&[
            "--operator-channel",
            "stable-3.15",
            "--operator-approval",
            "manual",
            "-o",
            "json",
        ])
        .succeeds();
    assert_eq!(run.state("operator"), "alreadyDone");
    let run = env.setup(&["--controller=none", "-o", "json"]).succeeds();
    assert_says(&run.step("operator"), &["it is kept despite --controller none"]);
    assert_eq!(writes_to_olm(&env), Vec::<String>::new());
}

#[test]
fn does_not_approve_updates() {
    let env = TestEnv::bare();
    install_manually(&env, "Manual");
    let mut update = env.get("InstallPlan", OPERATORS, &install_plan(&env).unwrap()).unwrap();
    let owners = update["metadata"]["ownerReferences"].take();
    env.create(&json!({
        "apiVersion": update["apiVersion"],
        "kind": "InstallPlan",
        // Before all others in their order, which OLM's stand-in takes them in.
        "metadata": { "name": "install-00000", "namespace": OPERATORS, "ownerReferences": owners },
        "spec": {
            "approval": "Manual", "approved": false, "generation": 2,
            "clusterServiceVersionNames": ["quay-bridge-operator.v3.18.1"],
        },
    }));
    env.wait_for("the update", || {
        let plan = env.get("InstallPlan", OPERATORS, "install-00000").unwrap();
        plan["status"]["phase"] == "RequiresApproval"
            && install_plan(&env).is_some_and(|plan| plan == "install-00000")
    });
    let run = env.setup(&["--operator-approval", "manual", "-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "alreadyDone");
    assert_says(
        &run.step("operator"),
        &[
            "an update requires approval: InstallPlan install-00000 in namespace openshift-operators",
        ],
    );
    assert_eq!(writes_to_olm(&env), Vec::<String>::new());
    assert_eq!(
        env.get("InstallPlan", OPERATORS, "install-00000").unwrap()["spec"]["approved"],
        false
    );
}

#[test]
fn approves_first_install_only_when_requested() {
    let env = TestEnv::bare();
    let mut subscription = olm::subscription();
    subscription["spec"]["installPlanApproval"] = json!("Manual");
    env.create(&subscription);
    env.wait_for("an InstallPlan that waits", || {
        let plan = install_plan(&env).and_then(|plan| env.get("InstallPlan", OPERATORS, &plan));
        plan.is_some_and(|plan| plan["status"]["phase"] == "RequiresApproval")
    });
    let run = env.setup(&["-o", "json"]).ends_with(2);
    let plan = install_plan(&env).unwrap();
    let waits = format!("InstallPlan {plan} in namespace openshift-operators requires approval");
    assert_says(
        &run.step("operator"),
        &[&waits, &format!("oc patch installplan {plan} -n openshift-operators")],
    );
    env.assert_nothing_written();

    let run = env.setup(&["--operator-approval", "manual", "-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "done");
    assert_eq!(writes_to_olm(&env), ["patch installplans"]);
}

/// Problems of OLM, the reported text, and the objects to delete before OLM tries again.
struct Case {
    trouble: Trouble,
    reported: &'static [&'static str],
    remedy: &'static [&'static str],
}

fn problems() -> [Case; 5] {
    [
        Case {
            trouble: Trouble::CatalogUnhealthy,
            reported: &[
                "CatalogSourcesUnhealthy",
                "a catalog is unavailable: see oc get catalogsources,pods -n openshift-marketplace",
            ],
            remedy: &[],
        },
        Case {
            trouble: Trouble::ResolutionFails(
                "clusterserviceversion other.v1 provides the same API".into(),
            ),
            reported: &[
                "ConstraintsNotSatisfiable",
                "clusterserviceversion other.v1 provides the same API",
                "no version of the operator can be installed",
            ],
            remedy: &[],
        },
        Case {
            trouble: Trouble::InstallPlanFails(
                "serviceaccounts is forbidden: exceeded quota".into(),
            ),
            reported: &[
                "Failed (InstallComponentFailed)",
                "serviceaccounts is forbidden: exceeded quota",
                "could not be created",
            ],
            remedy: &["InstallPlan", "Subscription"],
        },
        Case {
            trouble: Trouble::OperatorFails {
                reason: "InstallCheckFailed".into(),
                message: "install timeout".into(),
            },
            reported: &[
                "ClusterServiceVersion openshift-operators/",
                "Failed (InstallCheckFailed)",
                "install timeout",
                "check its Deployment",
            ],
            remedy: &[],
        },
        Case {
            trouble: Trouble::NeverFinishes,
            reported: &[
                "the operator is still not running",
                "Deployment openshift-operators/quay-bridge-operator: 0 of 1 pods are available",
            ],
            remedy: &[],
        },
    ]
}

#[test]
fn reports_olm_problems_and_resumes_after_repair() {
    for Case { trouble, reported, remedy } in problems() {
        let env = TestEnv::bare();
        env.trouble(Some(&trouble));
        let run = env.setup(&IN_A_MOMENT).ends_with(1);
        let step = run.step("operator");
        assert_eq!(step["state"], "failed", "{trouble:?}");
        let reason = step["reason"].as_str().unwrap();
        for words in reported {
            assert!(reason.contains(words), "{trouble:?}: {words:?} is not in {reason}");
        }
        assert_eq!(run.state("integration"), "notReached", "{trouble:?}");
        assert_no_integration(&env);

        mend(&env, remedy);
        let run = env.setup(&["-o", "json"]).succeeds();
        assert!(["done", "alreadyDone"].contains(&run.state("operator").as_str()), "{trouble:?}");
        assert_nothing_to_do(&env, &[]);
    }
}

/// Ends the problem, deletes its remains and waits for OLM.
fn mend(env: &TestEnv, remedy: &[&str]) {
    env.trouble(None);
    for kind in remedy {
        let name = if *kind == "InstallPlan" {
            install_plan(env).unwrap()
        } else {
            olm::PACKAGE.to_owned()
        };
        env.delete(kind, OPERATORS, &name);
    }
    if remedy.is_empty() {
        env.wait_for("OLM to try again", || has_succeeded(env, "quay-bridge-operator.v3.18.0"));
    }
}

#[test]
fn waits_for_running_installation() {
    let env = TestEnv::bare();
    env.trouble(Some(&Trouble::NeverFinishes));
    env.setup(&IN_A_MOMENT).ends_with(1);
    env.forget_traffic();
    env.trouble(None);
    let run = env.setup(&["-o", "json"]).succeeds();
    assert_says(&run.step("integration"), &["\"done\""]);
    assert_eq!(writes_to_olm(&env), Vec::<String>::new());
}

#[track_caller]
fn assert_rejected_before_any_write(env: &TestEnv, words: &[&str]) {
    env.forget_traffic();
    let run = env.setup(&[]).ends_with(2);
    let said = run.said();
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
    env.assert_nothing_written();
}

#[test]
fn writes_nothing_without_package_unless_controller_none() {
    let env = TestEnv::bare();
    env.trouble(Some(&Trouble::PackageMissing));
    env.wait_for("the package to go", || {
        env.get("PackageManifest", CATALOGS, olm::PACKAGE).is_none()
    });
    assert_rejected_before_any_write(
        &env,
        &[
            "no catalog of this cluster contains the operator (quay-bridge-operator)",
            "--operator-catalog",
            "--controller none",
        ],
    );
    env.setup(&["--controller=none"]).succeeds();
    assert_eq!(writes_to_olm(&env), Vec::<String>::new());
}

#[test]
fn installs_crd_without_operator() {
    let env = TestEnv::bare();
    env.delete("CustomResourceDefinition", "", "quayintegrations.quay.redhat.com");
    env.wait_for("the resource to go", || {
        env.get("CustomResourceDefinition", "", "quayintegrations.quay.redhat.com").is_none()
    });
    env.namespace("shop");
    env.image_stream("shop", "app");
    let run = env.setup(&["--controller=none", "--link", "shop", "-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "done");
    assert_eq!(writes_to_olm(&env), Vec::<String>::new());
    let definition =
        env.get("CustomResourceDefinition", "", "quayintegrations.quay.redhat.com").unwrap();
    assert_eq!(definition["metadata"]["labels"]["app.kubernetes.io/managed-by"], "oc-quay");
    env.assert_linked("shop", &["app"]);
    let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds();
    assert_eq!(status.json()["ok"], true, "{}", status.stdout);
    assert_nothing_to_do(&env, &["--controller=none", "--link", "shop"]);
}

#[test]
fn sets_up_cluster_without_olm() {
    let cluster =
        Cluster { olm: Olm::None, without: vec!["quay.redhat.com".into()], ..Cluster::default() };
    let options = Options { cluster, ..Options::default() };
    let Some(env) = TestEnv::stand_in_bare(options, "the real one has OLM's kinds") else { return };
    assert_rejected_before_any_write(
        &env,
        &[
            "the cluster has no Operator Lifecycle Manager, so the operator cannot be installed",
            "--controller none",
        ],
    );
    env.setup(&["--controller=none"]).succeeds();
    assert_nothing_to_do(&env, &["--controller=none"]);
}

/// The set-up, only looked at.
fn look<'a>(env: &'a TestEnv, arguments: &[&str]) -> crate::support::Command<'a> {
    let quay = &env.sandbox.quay;
    let command = env.oc_quay(&["setup"]).args(arguments);
    command.env("OC_QUAY_URL", quay.url()).env("OC_QUAY_TOKEN", quay.admin_token())
}

#[test]
fn keeps_choice_of_no_controller() {
    let env = TestEnv::bare();
    let integration = || env.get("QuayIntegration", "", "quay").unwrap();
    env.setup(&["--controller", "none"]).succeeds();
    assert_eq!(integration()["metadata"]["annotations"]["oc-quay/controller"], "none");
    let run = look(&env, &["--check", "--node-trust", "skip", "-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "alreadyDone");
    assert_nothing_to_do(&env, &[]);
    env.setup(&["--controller", "operator"]).succeeds();
    assert_eq!(integration()["metadata"]["annotations"]["oc-quay/controller"], "operator");
}

#[test]
fn reports_stopped_operator() {
    let env = TestEnv::bare();
    env.create(&sandbox::manifests::operator_deployment("openshift-operators", 0));
    let run = look(&env, &["--check", "-o", "json"]).ends_with(1);
    let step = run.step("operator");
    assert_says(
        &step,
        &["not running", "is scaled to 0", "oc scale deployment quay-bridge-operator"],
    );
    assert!(!step.to_string().contains("is being installed"), "{step}");
}
