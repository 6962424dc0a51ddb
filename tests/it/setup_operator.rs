//! The set-up's steps about the cluster and the operator.

use sandbox::Options;
use sandbox::openshift::olm::{self, Trouble};
use sandbox::openshift::{Cluster, Olm};
use serde_json::{Value, json};

use crate::support::World;

const OPERATORS: &str = "openshift-operators";
const CATALOGS: &str = "openshift-marketplace";

/// A set-up that waits just a moment for an operator that does not come.
pub(crate) const IN_A_MOMENT: [&str; 4] = ["--operator-timeout", "8s", "-o", "json"];

/// Whether the operator works, for OLM.
fn has_succeeded(world: &World, csv: &str) -> bool {
    world
        .get("ClusterServiceVersion", OPERATORS, csv)
        .is_some_and(|csv| csv["status"]["phase"] == "Succeeded")
}

/// Installs the operator without our label, and waits for it.
fn install_manually(world: &World, approval: &str) {
    let mut subscription = olm::subscription();
    subscription["spec"]["installPlanApproval"] = json!(approval);
    world.create(&subscription);
    if approval == "Manual" {
        world.wait_for("an InstallPlan", || install_plan(world).is_some());
        let plan = install_plan(world).unwrap();
        world.merge("InstallPlan", OPERATORS, &plan, &json!({ "spec": { "approved": true } }));
    }
    world.wait_for("the operator", || has_succeeded(world, "quay-bridge-operator.v3.18.0"));
}

/// The InstallPlan that the Subscription is at.
fn install_plan(world: &World) -> Option<String> {
    let subscription = world.get("Subscription", OPERATORS, olm::PACKAGE)?;
    Some(subscription["status"]["installPlanRef"]["name"].as_str()?.to_owned())
}

/// The writes to OLM's objects.
fn writes_to_olm(world: &World) -> Vec<String> {
    let writes = world
        .cluster_traffic()
        .writes()
        .into_iter()
        .filter(|entry| entry.path.contains("operators.coreos.com"));
    writes.map(|entry| entry.kind).collect()
}

/// Whether nothing was made after the token was stored.
#[track_caller]
fn assert_no_integration(world: &World) {
    assert_eq!(world.get("QuayIntegration", "", "quay"), None);
}

#[track_caller]
pub(crate) fn assert_says(step: &Value, words: &[&str]) {
    let text = step.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {step:#}");
    }
}

#[track_caller]
pub(crate) fn assert_nothing_to_do(world: &World, arguments: &[&str]) {
    world.forget_traffic();
    let run = world.setup(arguments).args(&["-o", "json"]).succeeds();
    assert_eq!(run.json()["summaryLine"], "Everything is set up; nothing was written");
    world.assert_nothing_written();
}

#[test]
fn installs_operator_once_from_default_channel() {
    let world = World::bare();
    let run = world.setup(&["-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "done");
    assert_says(
        &run.step("operator"),
        &[
            "is running (3.18.0, channel stable-3.18 of catalog redhat-operators, automatic approval)",
        ],
    );
    let subscription = world.get("Subscription", OPERATORS, olm::PACKAGE).unwrap();
    assert_eq!(subscription["spec"], olm::subscription()["spec"]);
    assert_eq!(subscription["metadata"]["labels"]["app.kubernetes.io/managed-by"], "oc-quay");
    assert!(has_succeeded(&world, "quay-bridge-operator.v3.18.0"));
    assert_eq!(writes_to_olm(&world), ["create subscriptions"]);
    assert_nothing_to_do(&world, &[]);
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
        let world = World::bare();
        let (name, value) = case.variable;
        world.setup(case.arguments).env(name, value).succeeds();
        assert!(has_succeeded(&world, case.csv), "{:?}", case.arguments);
        let spec = &world.get("Subscription", OPERATORS, olm::PACKAGE).unwrap()["spec"];
        assert_eq!([&spec["channel"], &spec["installPlanApproval"]], case.spec);
        assert_eq!(writes_to_olm(&world), case.writes);
        assert_nothing_to_do(&world, &[]);
    }
}

#[test]
fn finds_other_catalog_and_rejects_missing_one() {
    let world = World::bare();
    let [mut catalog, _] = olm::v0_fixtures();
    catalog["metadata"]["name"] = json!("cs-redhat-operator-index");
    world.delete("CatalogSource", CATALOGS, "redhat-operators");
    world.create(&catalog);
    world.wait_for("the package in the other catalog", || {
        let package = world.get("PackageManifest", CATALOGS, olm::PACKAGE);
        package
            .is_some_and(|package| package["status"]["catalogSource"] == "cs-redhat-operator-index")
    });

    world.forget_traffic();
    let run = world.setup(&["--operator-catalog", "redhat-operators"]).ends_with(2);
    assert!(
        run.stdout.contains("catalog redhat-operators does not contain the operator"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("cs-redhat-operator-index"), "{}", run.stdout);
    let run = world.setup(&["--operator-channel", "stable-3.1"]).ends_with(2);
    assert!(
        run.stdout.contains(
            "the operator has no channel stable-3.1; available: stable-3.15, stable-3.16"
        ),
        "{}",
        run.stdout
    );
    world.assert_nothing_written();

    world.setup(&[]).succeeds();
    let subscription = world.get("Subscription", OPERATORS, olm::PACKAGE).unwrap();
    assert_eq!(subscription["spec"]["source"], "cs-redhat-operator-index");
    assert_eq!(subscription["spec"]["sourceNamespace"], CATALOGS);
}

#[test]
fn keeps_operator_that_others_installed() {
    let world = World::bare();
    install_manually(&world, "Automatic");
    let run = world
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
    let run = world.setup(&["--controller=none", "-o", "json"]).succeeds();
    assert_says(&run.step("operator"), &["it is kept despite --controller none"]);
    assert_eq!(writes_to_olm(&world), Vec::<String>::new());
}

#[test]
fn does_not_approve_updates() {
    let world = World::bare();
    install_manually(&world, "Manual");
    let mut update = world.get("InstallPlan", OPERATORS, &install_plan(&world).unwrap()).unwrap();
    let owners = update["metadata"]["ownerReferences"].take();
    world.create(&json!({
        "apiVersion": update["apiVersion"],
        "kind": "InstallPlan",
        // Before all others in their order, which OLM's stand-in takes them in.
        "metadata": { "name": "install-00000", "namespace": OPERATORS, "ownerReferences": owners },
        "spec": {
            "approval": "Manual", "approved": false, "generation": 2,
            "clusterServiceVersionNames": ["quay-bridge-operator.v3.18.1"],
        },
    }));
    world.wait_for("the update", || {
        let plan = world.get("InstallPlan", OPERATORS, "install-00000").unwrap();
        plan["status"]["phase"] == "RequiresApproval"
            && install_plan(&world).is_some_and(|plan| plan == "install-00000")
    });
    let run = world.setup(&["--operator-approval", "manual", "-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "alreadyDone");
    assert_says(
        &run.step("operator"),
        &[
            "an update requires approval: InstallPlan install-00000 in namespace openshift-operators",
        ],
    );
    assert_eq!(writes_to_olm(&world), Vec::<String>::new());
    assert_eq!(
        world.get("InstallPlan", OPERATORS, "install-00000").unwrap()["spec"]["approved"],
        false
    );
}

#[test]
fn approves_first_install_only_when_requested() {
    let world = World::bare();
    let mut subscription = olm::subscription();
    subscription["spec"]["installPlanApproval"] = json!("Manual");
    world.create(&subscription);
    world.wait_for("an InstallPlan that waits", || {
        let plan = install_plan(&world).and_then(|plan| world.get("InstallPlan", OPERATORS, &plan));
        plan.is_some_and(|plan| plan["status"]["phase"] == "RequiresApproval")
    });
    let run = world.setup(&["-o", "json"]).ends_with(2);
    let plan = install_plan(&world).unwrap();
    let waits = format!("InstallPlan {plan} in namespace openshift-operators requires approval");
    assert_says(
        &run.step("operator"),
        &[&waits, &format!("oc patch installplan {plan} -n openshift-operators")],
    );
    world.assert_nothing_written();

    let run = world.setup(&["--operator-approval", "manual", "-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "done");
    assert_eq!(writes_to_olm(&world), ["patch installplans"]);
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
        let world = World::bare();
        world.trouble(Some(&trouble));
        let run = world.setup(&IN_A_MOMENT).ends_with(1);
        let step = run.step("operator");
        assert_eq!(step["state"], "failed", "{trouble:?}");
        let reason = step["reason"].as_str().unwrap();
        for words in reported {
            assert!(reason.contains(words), "{trouble:?}: {words:?} is not in {reason}");
        }
        assert_eq!(run.state("integration"), "notReached", "{trouble:?}");
        assert_no_integration(&world);

        mend(&world, remedy);
        let run = world.setup(&["-o", "json"]).succeeds();
        assert!(["done", "alreadyDone"].contains(&run.state("operator").as_str()), "{trouble:?}");
        assert_nothing_to_do(&world, &[]);
    }
}

/// Ends the problem, deletes its remains and waits for OLM.
fn mend(world: &World, remedy: &[&str]) {
    world.trouble(None);
    for kind in remedy {
        let name = if *kind == "InstallPlan" {
            install_plan(world).unwrap()
        } else {
            olm::PACKAGE.to_owned()
        };
        world.delete(kind, OPERATORS, &name);
    }
    if remedy.is_empty() {
        world.wait_for("OLM to try again", || has_succeeded(world, "quay-bridge-operator.v3.18.0"));
    }
}

#[test]
fn waits_for_running_installation() {
    let world = World::bare();
    world.trouble(Some(&Trouble::NeverFinishes));
    world.setup(&IN_A_MOMENT).ends_with(1);
    world.forget_traffic();
    world.trouble(None);
    let run = world.setup(&["-o", "json"]).succeeds();
    assert_says(&run.step("integration"), &["\"done\""]);
    assert_eq!(writes_to_olm(&world), Vec::<String>::new());
}

#[track_caller]
fn assert_refused_before_anything_is_written(world: &World, words: &[&str]) {
    world.forget_traffic();
    let run = world.setup(&[]).ends_with(2);
    let said = run.said();
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
    world.assert_nothing_written();
}

#[test]
fn writes_nothing_without_package_unless_controller_none() {
    let world = World::bare();
    world.trouble(Some(&Trouble::PackageMissing));
    world.wait_for("the package to go", || {
        world.get("PackageManifest", CATALOGS, olm::PACKAGE).is_none()
    });
    assert_refused_before_anything_is_written(
        &world,
        &[
            "no catalog of this cluster contains the operator (quay-bridge-operator)",
            "--operator-catalog",
            "--controller none",
        ],
    );
    world.setup(&["--controller=none"]).succeeds();
    assert_eq!(writes_to_olm(&world), Vec::<String>::new());
}

#[test]
fn installs_crd_without_operator() {
    let world = World::bare();
    world.delete("CustomResourceDefinition", "", "quayintegrations.quay.redhat.com");
    world.wait_for("the resource to go", || {
        world.get("CustomResourceDefinition", "", "quayintegrations.quay.redhat.com").is_none()
    });
    world.namespace("shop");
    world.image_stream("shop", "app");
    let run = world.setup(&["--controller=none", "--link", "shop", "-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "done");
    assert_eq!(writes_to_olm(&world), Vec::<String>::new());
    let definition =
        world.get("CustomResourceDefinition", "", "quayintegrations.quay.redhat.com").unwrap();
    assert_eq!(definition["metadata"]["labels"]["app.kubernetes.io/managed-by"], "oc-quay");
    world.assert_linked("shop", &["app"]);
    let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds();
    assert_eq!(status.json()["ok"], true, "{}", status.stdout);
    assert_nothing_to_do(&world, &["--controller=none", "--link", "shop"]);
}

#[test]
fn sets_up_cluster_without_olm() {
    let cluster =
        Cluster { olm: Olm::None, without: vec!["quay.redhat.com".into()], ..Cluster::default() };
    let options = Options { cluster, ..Options::default() };
    let Some(world) = World::stand_in_bare(options, "the real one has OLM's kinds") else { return };
    assert_refused_before_anything_is_written(
        &world,
        &[
            "the cluster has no Operator Lifecycle Manager, so the operator cannot be installed",
            "--controller none",
        ],
    );
    world.setup(&["--controller=none"]).succeeds();
    assert_nothing_to_do(&world, &["--controller=none"]);
}

/// The set-up, only looked at.
fn look<'a>(world: &'a World, arguments: &[&str]) -> crate::support::Command<'a> {
    let quay = &world.sandbox.quay;
    let command = world.oc_quay(&["setup"]).args(arguments);
    command.env("OC_QUAY_URL", quay.url()).env("OC_QUAY_TOKEN", quay.admin_token())
}

#[test]
fn keeps_choice_of_no_controller() {
    let world = World::bare();
    let integration = || world.get("QuayIntegration", "", "quay").unwrap();
    world.setup(&["--controller", "none"]).succeeds();
    assert_eq!(integration()["metadata"]["annotations"]["oc-quay/controller"], "none");
    let run = look(&world, &["--check", "--node-trust", "skip", "-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "alreadyDone");
    assert_nothing_to_do(&world, &[]);
    world.setup(&["--controller", "operator"]).succeeds();
    assert_eq!(integration()["metadata"]["annotations"]["oc-quay/controller"], "operator");
}

#[test]
fn reports_stopped_operator() {
    let world = World::bare();
    world.create(&sandbox::manifests::operator_deployment("openshift-operators", 0));
    let run = look(&world, &["--check", "-o", "json"]).ends_with(1);
    let step = run.step("operator");
    assert_says(
        &step,
        &["not running", "is scaled to 0", "oc scale deployment quay-bridge-operator"],
    );
    assert!(!step.to_string().contains("is being installed"), "{step}");
}
