//! `setup`: the QuayIntegration, and the ways to run the set-up without questions.

use sandbox::Options;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::{Command, Run, TestEnv};

/// `setup` that only looks or plans, for this environment's Quay.
fn look<'a>(env: &'a TestEnv, arguments: &[&str]) -> Command<'a> {
    let command = env.oc_quay(&["setup", "--controller=none"]).args(arguments);
    command
        .env("OC_QUAY_URL", env.sandbox.quay.url())
        .env("OC_QUAY_TOKEN", env.sandbox.quay.admin_token())
}

fn spec(env: &TestEnv) -> Value {
    env.get("QuayIntegration", "", "quay").unwrap()["spec"].clone()
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
fn creates_integration_from_options_and_defaults() {
    let env = TestEnv::bare();
    env.setup(&["--controller=none"]).succeeds();
    let secret =
        json!({ "namespace": "openshift-operators", "name": "quay-integration", "key": "token" });
    let url = env.sandbox.quay.url();
    assert_eq!(
        spec(&env),
        json!({ "clusterID": "openshift", "quayHostname": url, "credentialsSecret": secret })
    );

    drop(env);
    let env = TestEnv::bare();
    let url = env.sandbox.quay.url();
    let said = [
        "--cluster-id",
        "prod-1",
        "--allow",
        "shop,store",
        "--deny",
        "store",
        "--scheduled-import",
    ];
    env.setup(&["--controller=none"]).args(&said).succeeds();
    let expected = json!({
        "clusterID": "prod-1", "quayHostname": url, "credentialsSecret": secret, "scheduledImageStreamImport": true,
        "allowlistNamespaces": ["shop", "store"], "denylistNamespaces": ["store"],
    });
    assert_eq!(spec(&env), expected);
}

#[test]
fn does_not_write_an_unchanged_integration() {
    let env = TestEnv::bare();
    env.setup(&["--controller=none", "--cluster-id", "prod", "--deny", "shop"]).succeeds();
    let before = env.get("QuayIntegration", "", "quay");
    for arguments in [
        &["setup", "--yes", "--controller=none"][..],
        &["setup", "--yes", "--controller=none", "--cluster-id", "prod"],
    ] {
        env.forget_traffic();
        let run = env.oc_quay(arguments).args(&["-o", "json"]).succeeds();
        env.assert_nothing_written();
        assert_eq!(run.state("integration"), "alreadyDone");
    }
    assert_eq!(env.get("QuayIntegration", "", "quay"), before);
}

#[test]
fn patches_only_changed_fields() {
    let env = TestEnv::new();
    env.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "metadata": { "annotations": { "theirs": "yes" } } }),
    );
    env.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "denylistNamespaces": ["mine"] } }),
    );
    let change = ["--cluster-id", "prod", "--allow", "shop", "-o", "json"];
    env.forget_traffic();
    let plan = look(&env, &["--dry-run"]).args(&change).succeeds();
    env.assert_nothing_written();
    let step = plan.step("integration");
    let facts = step["facts"].to_string();
    for part in
        [r#"clusterID: \"openshift\" → \"prod\""#, r#"allowlistNamespaces: [] → [\"shop\"]"#]
    {
        assert!(facts.contains(part), "{part}: {facts}");
    }
    assert!(!facts.contains("denylistNamespaces") && !facts.contains("quayHostname"), "{facts}");
    env.setup(&["--controller=none"]).args(&change).succeeds();
    let written: Vec<_> = env
        .cluster_traffic()
        .writes()
        .into_iter()
        .filter(|entry| entry.path.contains("quayintegrations"))
        .collect();
    assert_eq!(written.len(), 1, "{written:#?}");
    let patch: Value = serde_json::from_slice(&written[0].body).unwrap();
    assert_eq!(patch["spec"], json!({ "clusterID": "prod", "allowlistNamespaces": ["shop"] }));
    assert!(patch["metadata"]["resourceVersion"].is_string(), "{patch}");
    let now = env.get("QuayIntegration", "", "quay").unwrap();
    assert_eq!(
        (&now["metadata"]["annotations"]["theirs"], &now["spec"]["denylistNamespaces"]),
        (&json!("yes"), &json!(["mine"]))
    );
}

#[test]
fn does_not_overwrite_concurrent_changes() {
    let why = "another process writes at a moment that only a fault can choose";
    let Some(env) = TestEnv::stand_in_bare(Options::default(), why) else { return };
    env.integration();
    let cluster = env.sandbox.openshift.clone();
    let deny = move || {
        let mut object = cluster.get("QuayIntegration", "", "quay").unwrap();
        object["spec"]["denylistNamespaces"] = json!(["theirs"]);
        cluster.put(object);
    };
    env.cluster_traffic().fault(Fault::on("PATCH", "quayintegrations").times(1).before(deny));
    let run = env.setup(&["--controller=none", "--deny", "mine", "-o", "json"]).ends_with(1);
    assert!(
        run.step("integration").to_string().contains("the object was modified"),
        "{}",
        run.stdout
    );
    assert_eq!(spec(&env)["denylistNamespaces"], json!(["theirs"]));

    let Some(env) = TestEnv::stand_in_bare(Options::default(), why) else { return };
    let (cluster, url) = (env.sandbox.openshift.clone(), env.sandbox.quay.url());
    let create = move || {
        let mut other = sandbox::manifests::quay_integration(&url);
        other["metadata"]["name"] = json!("theirs");
        drop(cluster.create(other));
    };
    // Another process creates one while the Secret is written.
    env.cluster_traffic().fault(Fault::on("POST", "/secrets").times(1).after(create));
    let run = env.setup(&["--controller=none", "--cluster-id", "prod", "-o", "json"]).ends_with(1);
    assert!(
        run.step("integration").to_string().contains("theirs was created in the meantime"),
        "{}",
        run.stdout
    );
    let names: Vec<_> = env
        .sandbox
        .openshift
        .list("QuayIntegration", "")
        .iter()
        .map(|object| object["metadata"]["name"].clone())
        .collect();
    assert_eq!(names, ["theirs"], "{}", run.stdout);
}

#[test]
fn rejects_invalid_cluster_id_before_requests() {
    let env = TestEnv::bare();
    for id in ["Prod", "a_b", "a--b", "-a", "a-", "a.", "pröd", "", " ", "a b", &"a".repeat(250)] {
        let run = env.setup(&["--controller=none", &format!("--cluster-id={id}")]).ends_with(2);
        assert!(run.stderr.contains("cluster"), "{id}: {}", run.stderr);
        assert!(
            env.cluster_traffic().entries().is_empty() && env.quay_traffic().entries().is_empty(),
            "{id}"
        );
    }
    // One that stands in the cluster is rejected as well.
    drop(env);
    let env = TestEnv::new();
    env.merge("QuayIntegration", "", "quay", &json!({ "spec": { "clusterID": "Prod_1" } }));
    env.forget_traffic();
    let run = env.setup(&["--controller=none", "-o", "json"]).ends_with(2);
    assert!(run.step("integration").to_string().contains("Prod_1"), "{}", run.stdout);
    env.assert_nothing_written();
}

#[test]
fn rejects_invalid_namespace_names() {
    let env = TestEnv::bare();
    for (flag, names) in [("--allow", "Shop"), ("--deny", "shop_1"), ("--deny", "*")] {
        let run = env.setup(&["--controller=none", flag, names, "-o", "json"]).ends_with(2);
        assert!(
            run.step("integration").to_string().contains("invalid namespace name"),
            "{names}: {}",
            run.stdout
        );
        env.assert_nothing_written();
    }
}

#[test]
fn previews_namespaces_and_suggests_allowlist() {
    let env = TestEnv::bare();
    for number in 0..60 {
        env.create(&sandbox::manifests::namespace(&format!("shop-{number}")));
    }
    env.forget_traffic();
    let preview = |arguments: &[&str]| {
        let run = look(&env, &["--dry-run", "-o", "json"]).args(arguments).succeeds();
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
    assert!(step.contains("would create 60 organizations; use --allow"), "{step}");
    let (more, fewer, step) = preview(&["--allow", "shop-1,shop-2", "--deny", "shop-2"]);
    assert_eq!((more + fewer, fewer), (without + within, 1));
    assert!(!step.contains("use --allow"), "{step}");
    env.assert_nothing_written();
}

#[test]
fn stops_at_foreign_organizations_without_adopt() {
    let env = TestEnv::bare();
    let quay = &env.sandbox.quay;
    quay.add_organization("openshift_shop", "quayadmin");
    let run = env.setup(&["--controller=none", "-o", "json"]);
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
    let run = env.setup(&["--controller=none", "-o", "json"]).ends_with(2);
    env.assert_nothing_written();
    let step = run.step("integration").to_string();
    for part in ["in use by cluster other.example.com:6443", "--cluster-id openshift-2", "--adopt"]
    {
        assert!(step.contains(part), "{part}: {step}");
    }
    env.setup(&["--controller=none", "--cluster-id", "prod"]).succeeds();

    drop(env);
    let env = TestEnv::bare();
    let quay = &env.sandbox.quay;
    quay.add_organization("openshift_shop", "quayadmin");
    quay.add_robot(
        "openshift_shop",
        "builder",
        "oc-quay cluster=other.example.com:6443 namespace=shop uid=1-2-3",
    )
    .unwrap();
    let run = env.setup(&["--controller=none", "--adopt", "-o", "json"]).succeeds();
    assert_eq!(run.state("integration"), "done");
}

#[test]
fn lists_all_missing_inputs_at_once() {
    let env = TestEnv::bare();
    let run = env.oc_quay(&["setup", "--yes", "--controller=none"]).ends_with(2);
    env.assert_nothing_written();
    for part in [
        "the address of Quay",
        "--quay-url",
        "OC_QUAY_URL",
        "a token for Quay",
        "--quay-token-file",
        "OC_QUAY_TOKEN",
    ] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    let run = env.oc_quay(&["setup"]).ends_with(2);
    assert!(run.stderr.contains("--yes") && run.stderr.contains("--dry-run"), "{}", run.stderr);
    assert!(env.quay_traffic().entries().is_empty());
}

#[test]
fn dry_run_writes_nothing_in_any_format() {
    let env = TestEnv::bare();
    env.namespace("shop");
    for format in ["text", "wide", "short", "json", "yaml", "name"] {
        env.forget_traffic();
        let run =
            look(&env, &["--dry-run", "--node-trust", "apply", "--link", "shop", "-o", format])
                .succeeds();
        env.assert_nothing_written();
        assert!(!run.stdout.is_empty(), "{format}");
        // The token may be given later.
        look(&env, &["--dry-run", "-o", format]).without_env("OC_QUAY_TOKEN").succeeds();
        env.assert_nothing_written();
    }
    assert_eq!(env.get("QuayIntegration", "", "quay"), None);
    let run = look(&env, &["--dry-run", "--link", "shop", "-o", "json"]).succeeds();
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
fn manifests_are_valid_and_contain_no_token() {
    let env = TestEnv::bare();
    let run = look(&env, &["--dry-run", "-o", "yaml", "--cluster-id", "prod"]).succeeds();
    let objects = documents(&run.stdout);
    let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Secret", "QuayIntegration"]);
    assert_eq!(objects[0]["stringData"]["token"], "the OAuth token for Quay");
    objects.iter().for_each(|object| drop(env.create(object)));

    // With the real token put in, nothing is left to do but say so.
    let run = env.setup(&["--controller=none", "-o", "json"]).succeeds();
    assert_eq!(
        (run.state("secret").as_str(), run.state("integration").as_str()),
        ("done", "alreadyDone")
    );

    // What holds the real token is not overwritten by who applies the objects again.
    let again = look(&env, &["--dry-run", "-o", "yaml"]).succeeds();
    let (comment, objects) = again.stdout.split_once('\n').unwrap();
    assert!(
        comment
            .starts_with("# Secret quay-integration in namespace openshift-operators is left out"),
        "{comment}"
    );
    assert_eq!(documents(objects).iter().filter(|object| object["kind"] == "Secret").count(), 0);

    let external =
        look(&env, &["--dry-run", "-o", "yaml", "--external-secret", "vault/quay/token"])
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
fn check_reports_result_in_exit_code() {
    let env = TestEnv::bare();
    let run = look(&env, &["--check", "-o", "json"]).ends_with(1);
    env.assert_nothing_written();
    let report = run.json();
    assert_eq!((&report["ok"], &report["dryRun"]), (&json!(false), &json!(true)));
    assert!(
        report["summaryLine"].as_str().unwrap().starts_with("Not set up: Secret, QuayIntegration"),
        "{}",
        report["summaryLine"]
    );

    env.setup(&["--controller=none"]).succeeds();
    env.forget_traffic();
    let run = look(&env, &["--check", "--node-trust", "skip", "-o", "json"]).succeeds();
    env.assert_nothing_written();
    assert_eq!(run.json()["ok"], true);
    env.sandbox.quay.expire_tokens();
    look(&env, &["--check"]).ends_with(1);
    look(&env, &["--check"]).without_env("OC_QUAY_TOKEN").ends_with(1);
    for arguments in [["--check", "--yes"], ["--check", "--dry-run"]] {
        look(&env, &arguments).ends_with(2);
    }
}

#[test]
fn report_contains_state_of_every_step() {
    let env = TestEnv::bare();
    env.namespace("shop");
    let run = env.setup(&["--controller=none", "--link", "shop", "-o", "json"]).succeeds();
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
    let again = env.setup(&["--controller=none", "--link", "shop", "-o", "json"]).succeeds();
    assert_states(&again, done("alreadyDone"));

    drop(env);
    let env = TestEnv::bare();
    env.namespace("shop");
    env.cluster_traffic().fault(Fault::on("POST", "/openshift-operators/secrets").status(403));
    let run = env.setup(&["--controller=none", "--link", "shop", "-o", "json"]).ends_with(1);
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
fn prints_manifests_of_chosen_controller() {
    let env = TestEnv::bare();
    env.setup(&[]).succeeds();
    let kinds = |controller: &str| {
        let command =
            env.oc_quay(&["setup", "--dry-run", "-o", "yaml", "--controller", controller]);
        let run = command.env("OC_QUAY_URL", env.sandbox.quay.url()).succeeds();
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
fn accepts_none_for_namespaces_to_link() {
    let env = TestEnv::bare();
    let run = env.setup(&["--controller=none", "--link", "none", "-o", "json"]).succeeds();
    assert_eq!(run.state("proof"), "skipped");
}

#[test]
fn repeats_every_flag_in_the_command_line() {
    let env = TestEnv::bare();
    let flags = [
        "--operator-timeout 300s",
        "--request-timeout 20s",
        "--concurrency 4",
        "--as admin",
        "--as-group system:masters",
        "--adopt",
    ];
    let given: Vec<_> = flags.iter().flat_map(|flag| flag.split(' ')).collect();
    let run = env.setup(&["--controller=none"]).args(&given).succeeds();
    let line = run.stdout.lines().find(|line| line.starts_with("  oc quay setup --yes")).unwrap();
    for flag in flags {
        assert!(line.contains(flag), "{flag}: {line}");
    }
    assert!(
        !env.setup(&["--controller=none"]).succeeds().stdout.contains("--operator-timeout"),
        "defaults are left out"
    );
}

#[test]
fn reports_only_known_trust() {
    let env = TestEnv::bare();
    let run = look(&env, &["--check"]).without_env("OC_QUAY_CA_FILE").ends_with(1);
    assert!(run.stdout.contains("not trusted"), "{}", run.stdout);
    assert!(!run.stdout.contains("this machine trusts Quay's certificate"), "{}", run.stdout);
}
