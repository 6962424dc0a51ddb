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

/// Installs the operator as somebody else does, and waits for it.
fn install_by_hand(world: &World, approval: &str) {
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
fn the_operator_is_installed_from_the_default_channel_and_a_second_run_writes_nothing() {
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
fn channel_approval_and_catalog_are_those_that_are_named() {
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
fn a_catalog_of_another_name_is_found_and_one_that_is_not_there_is_refused() {
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
        run.stdout.contains("catalog redhat-operators does not have the operator"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("cs-redhat-operator-index"), "{}", run.stdout);
    let run = world.setup(&["--operator-channel", "stable-3.1"]).ends_with(2);
    assert!(
        run.stdout
            .contains("the operator has no channel stable-3.1; it has stable-3.15, stable-3.16"),
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
fn an_operator_that_somebody_else_installed_is_taken_as_it_is() {
    let world = World::bare();
    install_by_hand(&world, "Automatic");
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
    assert_says(&run.step("operator"), &["it stays, although you asked to do without it"]);
    assert_eq!(writes_to_olm(&world), Vec::<String>::new());
}

#[test]
fn an_update_that_waits_for_approval_is_left_alone() {
    let world = World::bare();
    install_by_hand(&world, "Manual");
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
            "an update waits for approval: InstallPlan install-00000 in namespace openshift-operators",
        ],
    );
    assert_eq!(writes_to_olm(&world), Vec::<String>::new());
    assert_eq!(
        world.get("InstallPlan", OPERATORS, "install-00000").unwrap()["spec"]["approved"],
        false
    );
}

#[test]
fn a_first_install_that_waits_for_somebody_elses_approval_is_approved_only_when_that_is_said() {
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
    let waits = format!(
        "InstallPlan {plan} in namespace openshift-operators waits for somebody's approval"
    );
    assert_says(
        &run.step("operator"),
        &[&waits, &format!("oc patch installplan {plan} -n openshift-operators")],
    );
    world.assert_nothing_written();

    let run = world.setup(&["--operator-approval", "manual", "-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "done");
    assert_eq!(writes_to_olm(&world), ["patch installplans"]);
}

/// What OLM can run into, how it is told, and what has to be deleted before OLM tries again.
struct Case {
    trouble: Trouble,
    told: &'static [&'static str],
    remedy: &'static [&'static str],
}

fn troubles() -> [Case; 5] {
    [
        Case {
            trouble: Trouble::CatalogUnhealthy,
            told: &[
                "CatalogSourcesUnhealthy",
                "a catalog does not answer: see oc get catalogsources,pods -n openshift-marketplace",
            ],
            remedy: &[],
        },
        Case {
            trouble: Trouble::ResolutionFails(
                "clusterserviceversion other.v1 provides the same API".into(),
            ),
            told: &[
                "ConstraintsNotSatisfiable",
                "clusterserviceversion other.v1 provides the same API",
                "no version of the operator fits",
            ],
            remedy: &[],
        },
        Case {
            trouble: Trouble::InstallPlanFails(
                "serviceaccounts is forbidden: exceeded quota".into(),
            ),
            told: &[
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
            told: &[
                "ClusterServiceVersion openshift-operators/",
                "Failed (InstallCheckFailed)",
                "install timeout",
                "look at its Deployment",
            ],
            remedy: &[],
        },
        Case {
            trouble: Trouble::NeverFinishes,
            told: &[
                "the operator is still not running",
                "Deployment openshift-operators/quay-bridge-operator: 0 of 1 pods are available",
            ],
            remedy: &[],
        },
    ]
}

#[test]
fn what_olm_runs_into_is_told_in_its_words_and_the_next_run_goes_on_once_it_is_mended() {
    for Case { trouble, told, remedy } in troubles() {
        let world = World::bare();
        world.trouble(Some(&trouble));
        let run = world.setup(&IN_A_MOMENT).ends_with(1);
        let step = run.step("operator");
        assert_eq!(step["state"], "failed", "{trouble:?}");
        let reason = step["reason"].as_str().unwrap();
        for words in told {
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

/// Ends the trouble, and what does not go by itself; waits until OLM has noticed.
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
fn an_install_that_goes_on_while_the_next_run_waits_is_not_begun_again() {
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
fn without_the_package_nothing_is_begun_until_somebody_does_without_the_operator() {
    let world = World::bare();
    world.trouble(Some(&Trouble::PackageMissing));
    world.wait_for("the package to go", || {
        world.get("PackageManifest", CATALOGS, olm::PACKAGE).is_none()
    });
    assert_refused_before_anything_is_written(
        &world,
        &[
            "no catalog of this cluster has the operator (quay-bridge-operator)",
            "--operator-catalog",
            "--controller none",
        ],
    );
    world.setup(&["--controller=none"]).succeeds();
    assert_eq!(writes_to_olm(&world), Vec::<String>::new());
}

#[test]
fn without_the_operator_its_resource_is_installed_and_all_the_rest_works() {
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
fn a_cluster_without_olm_says_so_and_needs_none() {
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
fn keeps_the_choice_to_do_without_a_controller() {
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
fn says_that_a_stopped_operator_does_not_run() {
    let world = World::bare();
    world.create(&sandbox::manifests::operator_deployment("openshift-operators", 0));
    let run = look(&world, &["--check", "-o", "json"]).ends_with(1);
    let step = run.step("operator");
    assert_says(
        &step,
        &["does not run", "is scaled to 0", "oc scale deployment quay-bridge-operator"],
    );
    assert!(!step.to_string().contains("is being installed"), "{step}");
}
