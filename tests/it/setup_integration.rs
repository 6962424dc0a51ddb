//! `setup`: the QuayIntegration, and the ways to run the set-up without questions.

use sandbox::Options;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::{Command, Run, World};

/// `setup` that only looks or plans, for this world's Quay.
fn look<'a>(world: &'a World, arguments: &[&str]) -> Command<'a> {
    let command = world.oc_quay(&["setup", "--controller=none"]).args(arguments);
    command
        .env("OC_QUAY_URL", world.sandbox.quay.url())
        .env("OC_QUAY_TOKEN", world.sandbox.quay.admin_token())
}

fn spec(world: &World) -> Value {
    world.get("QuayIntegration", "", "quay").unwrap()["spec"].clone()
}

/// Every step of a report with what became of it.
fn states(run: &Run) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    run.json()["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (text(&step["step"]), text(&step["state"])))
        .collect()
}

#[track_caller]
fn assert_states(run: &Run, expected: [(&str, &str); 9]) {
    let expected: Vec<_> =
        expected.iter().map(|(step, state)| ((*step).to_owned(), (*state).to_owned())).collect();
    assert_eq!(states(run), expected, "{}", run.stdout);
}

#[test]
fn a_fresh_one_holds_what_was_said_and_the_documentations_defaults_else() {
    let world = World::bare();
    world.setup(&["--controller=none"]).succeeds();
    let secret =
        json!({ "namespace": "openshift-operators", "name": "quay-integration", "key": "token" });
    let url = world.sandbox.quay.url();
    assert_eq!(
        spec(&world),
        json!({ "clusterID": "openshift", "quayHostname": url, "credentialsSecret": secret })
    );

    drop(world);
    let world = World::bare();
    let url = world.sandbox.quay.url();
    let said = [
        "--cluster-id",
        "prod-1",
        "--allow",
        "shop,store",
        "--deny",
        "store",
        "--scheduled-import",
    ];
    world.setup(&["--controller=none"]).args(&said).succeeds();
    let expected = json!({
        "clusterID": "prod-1", "quayHostname": url, "credentialsSecret": secret, "scheduledImageStreamImport": true,
        "allowlistNamespaces": ["shop", "store"], "denylistNamespaces": ["store"],
    });
    assert_eq!(spec(&world), expected);
}

#[test]
fn one_that_is_as_it_should_be_is_left_alone() {
    let world = World::bare();
    world.setup(&["--controller=none", "--cluster-id", "prod", "--deny", "shop"]).succeeds();
    let before = world.get("QuayIntegration", "", "quay");
    for arguments in [
        &["setup", "--yes", "--controller=none"][..],
        &["setup", "--yes", "--controller=none", "--cluster-id", "prod"],
    ] {
        world.forget_traffic();
        let run = world.oc_quay(arguments).args(&["-o", "json"]).succeeds();
        world.assert_nothing_written();
        assert_eq!(run.state("integration"), "alreadyDone");
    }
    assert_eq!(world.get("QuayIntegration", "", "quay"), before);
}

#[test]
fn one_that_is_different_is_shown_field_by_field_and_patched_and_keeps_the_rest() {
    let world = World::new();
    world.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "metadata": { "annotations": { "theirs": "yes" } } }),
    );
    world.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "denylistNamespaces": ["mine"] } }),
    );
    let change = ["--cluster-id", "prod", "--allow", "shop", "-o", "json"];
    world.forget_traffic();
    let plan = look(&world, &["--dry-run"]).args(&change).succeeds();
    world.assert_nothing_written();
    let step = plan.step("integration");
    let facts = step["facts"].to_string();
    for part in [
        r#"clusterID: \"openshift\" becomes \"prod\""#,
        r#"allowlistNamespaces: [] becomes [\"shop\"]"#,
    ] {
        assert!(facts.contains(part), "{part}: {facts}");
    }
    assert!(!facts.contains("denylistNamespaces") && !facts.contains("quayHostname"), "{facts}");
    world.setup(&["--controller=none"]).args(&change).succeeds();
    let written: Vec<_> = world
        .cluster_traffic()
        .writes()
        .into_iter()
        .filter(|entry| entry.path.contains("quayintegrations"))
        .collect();
    assert_eq!(written.len(), 1, "{written:#?}");
    let patch: Value = serde_json::from_slice(&written[0].body).unwrap();
    assert_eq!(patch["spec"], json!({ "clusterID": "prod", "allowlistNamespaces": ["shop"] }));
    assert!(patch["metadata"]["resourceVersion"].is_string(), "{patch}");
    let now = world.get("QuayIntegration", "", "quay").unwrap();
    assert_eq!(
        (&now["metadata"]["annotations"]["theirs"], &now["spec"]["denylistNamespaces"]),
        (&json!("yes"), &json!(["mine"]))
    );
}

#[test]
fn one_that_is_changed_meanwhile_is_not_written_over_and_no_second_one_is_made() {
    let why = "somebody writes at a moment that only a fault can choose";
    let Some(world) = World::stand_in_bare(Options::default(), why) else { return };
    world.integration();
    let cluster = world.sandbox.openshift.clone();
    let deny = move || {
        let mut object = cluster.get("QuayIntegration", "", "quay").unwrap();
        object["spec"]["denylistNamespaces"] = json!(["theirs"]);
        cluster.put(object);
    };
    world.cluster_traffic().fault(Fault::on("PATCH", "quayintegrations").times(1).before(deny));
    let run = world.setup(&["--controller=none", "--deny", "mine", "-o", "json"]).ends_with(1);
    assert!(run.step("integration").to_string().contains("meanwhile"), "{}", run.stdout);
    assert_eq!(spec(&world)["denylistNamespaces"], json!(["theirs"]));

    let Some(world) = World::stand_in_bare(Options::default(), why) else { return };
    let (cluster, url) = (world.sandbox.openshift.clone(), world.sandbox.quay.url());
    let create = move || {
        let mut other = sandbox::manifests::quay_integration(&url);
        other["metadata"]["name"] = json!("theirs");
        drop(cluster.create(other));
    };
    // Somebody else makes theirs while the Secret is written.
    world.cluster_traffic().fault(Fault::on("POST", "/secrets").times(1).after(create));
    let run =
        world.setup(&["--controller=none", "--cluster-id", "prod", "-o", "json"]).ends_with(1);
    assert!(
        run.step("integration").to_string().contains("theirs was made meanwhile"),
        "{}",
        run.stdout
    );
    let names: Vec<_> = world
        .sandbox
        .openshift
        .list("QuayIntegration", "")
        .iter()
        .map(|object| object["metadata"]["name"].clone())
        .collect();
    assert_eq!(names, ["theirs"], "{}", run.stdout);
}

#[test]
fn a_cluster_id_that_breaks_names_is_refused_before_anything_is_asked() {
    let world = World::bare();
    for id in ["Prod", "a_b", "a--b", "-a", "a-", "a.", "pröd", "", " ", "a b", &"a".repeat(250)] {
        let run = world.setup(&["--controller=none", &format!("--cluster-id={id}")]).ends_with(2);
        assert!(run.stderr.contains("cluster"), "{id}: {}", run.stderr);
        assert!(
            world.cluster_traffic().entries().is_empty()
                && world.quay_traffic().entries().is_empty(),
            "{id}"
        );
    }
    // One that stands in the cluster is refused as well.
    drop(world);
    let world = World::new();
    world.merge("QuayIntegration", "", "quay", &json!({ "spec": { "clusterID": "Prod_1" } }));
    world.forget_traffic();
    let run = world.setup(&["--controller=none", "-o", "json"]).ends_with(2);
    assert!(run.step("integration").to_string().contains("Prod_1"), "{}", run.stdout);
    world.assert_nothing_written();
}

#[test]
fn names_that_no_namespace_can_have_are_refused() {
    let world = World::bare();
    for (flag, names) in [("--allow", "Shop"), ("--deny", "shop_1"), ("--deny", "*")] {
        let run = world.setup(&["--controller=none", flag, names, "-o", "json"]).ends_with(2);
        assert!(
            run.step("integration").to_string().contains("no namespace can be called that"),
            "{names}: {}",
            run.stdout
        );
        world.assert_nothing_written();
    }
}

#[test]
fn every_namespace_is_previewed_and_an_allowlist_suggested_when_there_are_many() {
    let world = World::bare();
    for number in 0..60 {
        world.create(&sandbox::manifests::namespace(&format!("shop-{number}")));
    }
    world.forget_traffic();
    let preview = |arguments: &[&str]| {
        let run = look(&world, &["--dry-run", "-o", "json"]).args(arguments).succeeds();
        let report = run.json();
        let namespaces = report["namespaces"].as_array().unwrap().clone();
        let within = namespaces.iter().filter(|namespace| namespace["inScope"] == true).count();
        assert!(
            namespaces.iter().all(|namespace| !namespace["why"].as_str().unwrap().is_empty()),
            "{report}"
        );
        (namespaces.len() - within, within, run.step("integration").to_string())
    };
    let (without, within, step) = preview(&[]);
    assert_eq!(within, 60);
    assert!(without >= 4 && step.contains("60 namespaces are in scope"), "{step}");
    assert!(step.contains("makes 60 organizations; --allow"), "{step}");
    let (more, fewer, step) = preview(&["--allow", "shop-1,shop-2", "--deny", "shop-2"]);
    assert_eq!((more + fewer, fewer), (without + within, 1));
    assert!(!step.contains("--allow starts"), "{step}");
    world.assert_nothing_written();
}

#[test]
fn organizations_of_another_cluster_stop_the_set_up_unless_they_are_taken_over() {
    let world = World::bare();
    let quay = &world.sandbox.quay;
    quay.add_organization("openshift_shop", "quayadmin");
    let run = world.setup(&["--controller=none", "-o", "json"]);
    // Without a mark it may be that of a namespace that was deleted.
    let step = run.args(&["--dry-run"]).succeeds().step("integration").to_string();
    assert!(
        step.contains("without a namespace here: openshift_shop") && step.contains("openshift-2"),
        "{step}"
    );

    quay.add_robot(
        "openshift_shop",
        "builder",
        "oc-quay cluster=other.example.com:6443 namespace=shop uid=1-2-3",
    )
    .unwrap();
    let run = world.setup(&["--controller=none", "-o", "json"]).ends_with(2);
    world.assert_nothing_written();
    let step = run.step("integration").to_string();
    for part in ["in use by cluster other.example.com:6443", "--cluster-id openshift-2", "--adopt"]
    {
        assert!(step.contains(part), "{part}: {step}");
    }
    world.setup(&["--controller=none", "--cluster-id", "prod"]).succeeds();

    drop(world);
    let world = World::bare();
    let quay = &world.sandbox.quay;
    quay.add_organization("openshift_shop", "quayadmin");
    quay.add_robot(
        "openshift_shop",
        "builder",
        "oc-quay cluster=other.example.com:6443 namespace=shop uid=1-2-3",
    )
    .unwrap();
    let run = world.setup(&["--controller=none", "--adopt", "-o", "json"]).succeeds();
    assert_eq!(run.state("integration"), "done");
}

#[test]
fn answers_that_are_missing_are_listed_all_at_once() {
    let world = World::bare();
    let run = world.oc_quay(&["setup", "--yes", "--controller=none"]).ends_with(2);
    world.assert_nothing_written();
    for part in [
        "the address of the Quay",
        "--quay-url",
        "OC_QUAY_URL",
        "a token for Quay",
        "--quay-token-file",
        "OC_QUAY_TOKEN",
    ] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    let run = world.oc_quay(&["setup"]).ends_with(2);
    assert!(run.stderr.contains("--yes") && run.stderr.contains("--dry-run"), "{}", run.stderr);
    assert!(world.quay_traffic().entries().is_empty());
}

#[test]
fn a_dry_run_writes_to_neither_side_in_any_format() {
    let world = World::bare();
    world.namespace("shop");
    for format in ["text", "wide", "short", "json", "yaml", "name"] {
        world.forget_traffic();
        let run =
            look(&world, &["--dry-run", "--node-trust", "apply", "--link", "shop", "-o", format])
                .succeeds();
        world.assert_nothing_written();
        assert!(!run.stdout.is_empty(), "{format}");
        // The token may be given later.
        look(&world, &["--dry-run", "-o", format]).without_env("OC_QUAY_TOKEN").succeeds();
        world.assert_nothing_written();
    }
    assert_eq!(world.get("QuayIntegration", "", "quay"), None);
    let run = look(&world, &["--dry-run", "--link", "shop", "-o", "json"]).succeeds();
    assert_states(
        &run,
        [
            ("cluster", "alreadyDone"),
            ("quay", "alreadyDone"),
            ("token", "alreadyDone"),
            ("secret", "planned"),
            ("operator", "alreadyDone"),
            ("integration", "planned"),
            ("userRole", "skipped"),
            ("nodeTrust", "skipped"),
            ("proof", "planned"),
        ],
    );
    assert_eq!(run.json()["dryRun"], true);
}

/// The documents of a stream.
fn documents(stream: &str) -> Vec<Value> {
    stream
        .strip_prefix("---\n")
        .unwrap()
        .split("\n---\n")
        .map(|text| serde_saphyr::from_str(text).unwrap())
        .collect()
}

#[test]
fn the_objects_come_as_a_stream_that_holds_no_token_and_that_the_cluster_takes() {
    let world = World::bare();
    let run = look(&world, &["--dry-run", "-o", "yaml", "--cluster-id", "prod"]).succeeds();
    let objects = documents(&run.stdout);
    let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Secret", "QuayIntegration"]);
    assert_eq!(objects[0]["stringData"]["token"], "the OAuth token for Quay");
    objects.iter().for_each(|object| drop(world.create(object)));

    // With the real token put in, nothing is left to do but say so.
    let run = world.setup(&["--controller=none", "-o", "json"]).succeeds();
    assert_eq!(
        (run.state("secret").as_str(), run.state("integration").as_str()),
        ("done", "alreadyDone")
    );

    // What holds the real token is not overwritten by who applies the objects again.
    let again = look(&world, &["--dry-run", "-o", "yaml"]).succeeds();
    let (comment, objects) = again.stdout.split_once('\n').unwrap();
    assert!(
        comment
            .starts_with("# Secret quay-integration in namespace openshift-operators is left out"),
        "{comment}"
    );
    assert_eq!(documents(objects).iter().filter(|object| object["kind"] == "Secret").count(), 0);

    let external =
        look(&world, &["--dry-run", "-o", "yaml", "--external-secret", "vault/quay/token"])
            .succeeds();
    let [secret, _] = documents(&external.stdout).try_into().unwrap();
    assert_eq!(
        (&secret["kind"], &secret["spec"]["secretStoreRef"]["name"]),
        (&json!("ExternalSecret"), &json!("vault"))
    );
    assert_eq!(
        secret["spec"]["data"],
        json!([{ "secretKey": "token", "remoteRef": { "key": "quay/token" } }])
    );
}

#[test]
fn a_check_says_by_its_exit_code_whether_all_is_set_up() {
    let world = World::bare();
    let run = look(&world, &["--check", "-o", "json"]).ends_with(1);
    world.assert_nothing_written();
    let report = run.json();
    assert_eq!((&report["ok"], &report["dryRun"]), (&json!(false), &json!(true)));
    assert!(
        report["summaryLine"].as_str().unwrap().starts_with("Not set up: Secret, QuayIntegration"),
        "{}",
        report["summaryLine"]
    );

    world.setup(&["--controller=none"]).succeeds();
    world.forget_traffic();
    let run = look(&world, &["--check", "--node-trust", "skip", "-o", "json"]).succeeds();
    world.assert_nothing_written();
    assert_eq!(run.json()["ok"], true);
    world.sandbox.quay.expire_tokens();
    look(&world, &["--check"]).ends_with(1);
    look(&world, &["--check"]).without_env("OC_QUAY_TOKEN").ends_with(1);
    for arguments in [["--check", "--yes"], ["--check", "--dry-run"]] {
        look(&world, &arguments).ends_with(2);
    }
}

#[test]
fn the_report_says_of_every_step_what_became_of_it() {
    let world = World::bare();
    world.namespace("shop");
    let run = world.setup(&["--controller=none", "--link", "shop", "-o", "json"]).succeeds();
    let done = |state| {
        [
            ("cluster", "alreadyDone"),
            ("quay", "alreadyDone"),
            ("token", "alreadyDone"),
            ("secret", state),
            ("operator", "alreadyDone"),
            ("integration", state),
            ("userRole", "skipped"),
            ("nodeTrust", "skipped"),
            ("proof", state),
        ]
    };
    assert_states(&run, done("done"));
    let report = run.json();
    assert_eq!(
        (&report["kind"], &report["ok"], &report["status"]["ok"]),
        (&json!("SetupReport"), &json!(true), &json!(true))
    );
    assert!(report["commandLine"].as_str().unwrap().contains(" --quay-url https://"), "{report}");
    let again = world.setup(&["--controller=none", "--link", "shop", "-o", "json"]).succeeds();
    assert_states(&again, done("alreadyDone"));

    drop(world);
    let world = World::bare();
    world.namespace("shop");
    world.cluster_traffic().fault(Fault::on("POST", "/openshift-operators/secrets").status(403));
    let run = world.setup(&["--controller=none", "--link", "shop", "-o", "json"]).ends_with(1);
    let states = states(&run);
    let found: Vec<_> = states
        .iter()
        .map(|(step, state)| (step.as_str(), state.as_str()))
        .filter(|(step, _)| ["secret", "integration", "proof"].contains(step))
        .collect();
    assert_eq!(
        found,
        [("secret", "failed"), ("integration", "notReached"), ("proof", "notReached")]
    );
    assert_eq!(run.json()["ok"], false);
}

#[test]
fn prints_the_objects_of_the_chosen_controller() {
    let world = World::bare();
    world.setup(&[]).succeeds();
    let kinds = |bridge: &str| {
        let command = world.oc_quay(&["setup", "--dry-run", "-o", "yaml", "--controller", bridge]);
        let run = command.env("OC_QUAY_URL", world.sandbox.quay.url()).succeeds();
        let objects = run.stdout[run.stdout.find("---\n").unwrap()..].to_owned();
        documents(&objects)
            .iter()
            .map(|object| object["kind"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let has = |kinds: &[String], kind: &str| kinds.iter().any(|found| found == kind);
    let (built_in, none, operator) = (kinds("in-cluster"), kinds("none"), kinds("operator"));
    assert!(has(&built_in, "Deployment") && !has(&built_in, "Subscription"), "{built_in:?}");
    assert!(!has(&none, "Deployment") && !has(&none, "Subscription"), "{none:?}");
    assert!(!has(&operator, "Deployment") && has(&operator, "Subscription"), "{operator:?}");
}

#[test]
fn takes_none_for_the_namespaces_to_link() {
    let world = World::bare();
    let run = world.setup(&["--controller=none", "--link", "none", "-o", "json"]).succeeds();
    assert_eq!(run.state("proof"), "skipped");
}

#[test]
fn repeats_every_flag_in_the_command_line() {
    let world = World::bare();
    let flags = [
        "--operator-timeout 300s",
        "--request-timeout 20s",
        "--concurrency 4",
        "--as admin",
        "--as-group system:masters",
        "--adopt",
    ];
    let given: Vec<_> = flags.iter().flat_map(|flag| flag.split(' ')).collect();
    let run = world.setup(&["--controller=none"]).args(&given).succeeds();
    let line = run.stdout.lines().find(|line| line.starts_with("  oc quay setup --yes")).unwrap();
    for flag in flags {
        assert!(line.contains(flag), "{flag}: {line}");
    }
    assert!(
        !world.setup(&["--controller=none"]).succeeds().stdout.contains("--operator-timeout"),
        "defaults are left out"
    );
}

#[test]
fn says_only_what_is_known_of_trust() {
    let world = World::bare();
    let run = look(&world, &["--check"]).without_env("OC_QUAY_CA_FILE").ends_with(1);
    assert!(run.stdout.contains("not trusted"), "{}", run.stdout);
    assert!(!run.stdout.contains("this machine trusts Quay's certificate"), "{}", run.stdout);
}
