//! `link`: new and linked namespaces, service accounts of others, and errors.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::Options;
use sandbox::openshift::Cluster;
use sandbox::quay::RepoRole;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::{STREAMS, TestEnv};

#[test]
fn links_with_minimal_requests_and_is_idempotent() {
    let env = TestEnv::new();
    let run = env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    assert!(run.stdout.ends_with("Linked shop: 16 changes\n"), "{}", run.stdout);
    env.assert_linked("shop", &["app", "base", "web"]);
    assert_eq!(env.quay_traffic().writes().len(), 10);
    assert_eq!(env.quay_traffic().reads().len(), 2);
    assert_eq!(env.cluster_traffic().writes().len(), 6);
    assert_eq!(env.cluster_traffic().reads().len(), 5);

    env.forget_traffic();
    let run = env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(run.stdout, "Nothing to do\n");
    env.assert_nothing_written();
    assert!(env.quay_traffic().reads().len() <= 3);
}

#[test]
fn keeps_other_credentials_in_an_unreferenced_secret() {
    let env = TestEnv::new();
    let auth = |user: &str| json!({ "auth": STANDARD.encode(format!("{user}:secret")) });
    let host = env.sandbox.quay.host();
    let theirs = json!({ "auths": { "other.example.com": auth("a"), format!("{host}/other"): auth("b"), host.clone(): auth("c") } });
    env.create(&json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": { "name": "builder-quay-openshift", "namespace": "shop" },
        "stringData": { ".dockerconfigjson": theirs.to_string() },
    }));
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.assert_linked("shop", &["app", "base", "web"]);
    let secret = env.get("Secret", "shop", "builder-quay-openshift").unwrap();
    let content = STANDARD.decode(secret["data"][".dockerconfigjson"].as_str().unwrap()).unwrap();
    let auths = serde_json::from_slice::<Value>(&content).unwrap()["auths"].clone();
    for key in ["other.example.com".to_owned(), format!("{host}/other")] {
        assert_eq!(auths[&key], theirs["auths"][&key], "{key}");
    }
}

fn create_account(env: &TestEnv, name: &str) {
    create_account_in(env, "shop", name);
}

fn create_account_in(env: &TestEnv, namespace: &str, name: &str) {
    let metadata = json!({ "name": name, "namespace": namespace });
    env.create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
}

#[test]
fn links_service_account_with_stored_and_changeable_role() {
    let env = TestEnv::new();
    let quay = &env.sandbox.quay;
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    create_account(&env, "pipeline");
    let link = |role: &str| {
        env.oc_quay(&["link", "-n", "shop", "--yes", "--service-account", role]).succeeds()
    };
    for (asked, role) in [
        ("pipeline=write", RepoRole::Write),
        ("pipeline=admin", RepoRole::Admin),
        ("pipeline", RepoRole::Read),
    ] {
        link(asked);
        let annotation = &env.get("ServiceAccount", "shop", "pipeline").unwrap()["metadata"]["annotations"]
            ["oc-quay/role"];
        assert_eq!(annotation, &format!("{role:?}").to_lowercase());
        // Existing and new repositories.
        for repository in ["app", "base", "web"] {
            assert_eq!(
                quay.permissions("openshift_shop", repository)["openshift_shop+pipeline"],
                role,
                "{asked} {repository}"
            );
        }
        let of_pipeline: Vec<_> = quay
            .prototypes("openshift_shop")
            .into_iter()
            .filter(|found| found.delegate == "openshift_shop+pipeline")
            .collect();
        assert_eq!(of_pipeline.iter().map(|found| found.role).collect::<Vec<_>>(), [role]);
        env.oc_quay(&["status", "-n", "shop", "--probe", "--fail-on", "warning"]).succeeds();
    }
    let secret = "pipeline-quay-openshift";
    assert_eq!(
        env.credentials("shop", secret).1,
        quay.robot_token("openshift_shop", "pipeline").unwrap()
    );
    let annotations = |secret: &str| {
        env.get("Secret", "shop", secret).unwrap()["metadata"]["annotations"].clone()
    };
    assert_eq!(
        annotations(secret)["build.shipwright.io/referenced.secret"],
        "true",
        "Shipwright builds with it"
    );
    assert!(annotations("builder-quay-openshift").is_null());
    for list in ["secrets", "imagePullSecrets"] {
        assert!(env.references("shop", "pipeline", list).contains(&secret.to_owned()));
    }
    env.forget_traffic();
    for command in ["repair", "link"] {
        env.oc_quay(&[command, "-n", "shop", "--yes"]).succeeds();
    }
    env.assert_nothing_written();

    env.delete("Secret", "shop", secret);
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(
        env.credentials("shop", secret).1,
        quay.robot_token("openshift_shop", "pipeline").unwrap()
    );
}

#[test]
fn waits_for_missing_service_account_and_then_fails() {
    let env = TestEnv::new();
    let asked = ["link", "-n", "shop", "--yes", "--service-account", "pipeline=write"];
    let run = env.oc_quay(&[&asked[..], &["--wait", "0s"]].concat()).ends_with(2);
    assert!(run.stderr.contains("oc create serviceaccount pipeline -n shop"), "{}", run.stderr);
    env.assert_nothing_written();

    let waiting = env.oc_quay(&asked).spawn();
    env.wait_for("the program to look", || env.cluster_traffic().count("list serviceaccounts") > 0);
    create_account(&env, "pipeline");
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(env.get("Secret", "shop", "pipeline-quay-openshift").is_some());
}

#[test]
fn links_the_others_when_one_of_several_cannot_be_linked() {
    let env = TestEnv::new();
    for name in ["one", "two", "going"] {
        env.namespace(name);
        env.merge("Namespace", "", name, &json!({ "metadata": { "labels": { "team": "web" } } }));
    }
    create_account(&env, "pipeline");
    create_account_in(&env, "one", "pipeline");
    let all = [
        "link",
        "-A",
        "--service-account",
        "pipeline=write",
        "--yes",
        "--wait",
        "0s",
        "-o",
        "json",
    ];
    env.forget_traffic();
    let run = env.oc_quay(&all).ends_with(1);
    assert_eq!(run.codes(), ["OQ311", "OQ311"]);
    assert!(run.stdout.contains("Namespace two is not linked"), "{}", run.stdout);
    assert_eq!(env.cluster_traffic().count("list serviceaccounts"), 1);
    let is_linked = |name: &str| env.get("Secret", name, "pipeline-quay-openshift").is_some();
    assert_eq!(["shop", "one", "two"].map(is_linked), [true, true, false]);

    env.merge(
        "Namespace",
        "",
        "going",
        &json!({ "metadata": { "finalizers": ["example.com/keep"] } }),
    );
    env.delete("Namespace", "", "going");
    let run = env.oc_quay(&["link", "-l", "team=web", "--yes", "-o", "json"]).ends_with(1);
    assert_eq!(run.codes(), ["OQ121"]);
    assert!(env.get("Secret", "two", "builder-quay-openshift").is_some());
    env.merge("Namespace", "", "going", &json!({ "metadata": { "finalizers": null } }));
}

#[test]
fn waits_by_a_watch_and_only_for_namespaces_in_scope() {
    let env = TestEnv::new();
    env.namespace("later");
    create_account(&env, "pipeline");
    env.forget_traffic();
    let waiting =
        env.oc_quay(&["link", "-A", "--service-account", "pipeline=write", "--yes"]).spawn();
    env.wait_for("the program to follow", || {
        env.cluster_traffic().count("watch serviceaccounts") > 0
    });
    create_account_in(&env, "later", "pipeline");
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("Waiting for service account pipeline in namespace later"), "{said}");
    assert!(env.get("Secret", "later", "pipeline-quay-openshift").is_some());
    assert!(env.cluster_traffic().count("list serviceaccounts") <= 3);
}

#[test]
fn links_new_namespace_with_all_its_service_accounts() {
    let env = TestEnv::new();
    env.create(&sandbox::manifests::namespace("fresh"));
    env.oc_quay(&["link", "-n", "fresh", "--yes"]).succeeds();
    for account in ["builder", "default", "deployer"] {
        assert!(
            env.get("Secret", "fresh", &format!("{account}-quay-openshift")).is_some(),
            "{account}"
        );
    }
    env.wait_for("OpenShift's own secrets", || {
        ["builder", "default", "deployer"]
            .iter()
            .all(|account| env.references("fresh", account, "secrets").len() == 2)
    });
    env.assert_linked("fresh", &[]);
}

#[test]
fn links_on_cluster_without_builds() {
    let without = vec!["build.openshift.io".to_owned(), "apps.openshift.io".to_owned()];
    let options =
        Options { cluster: Cluster { without, ..Cluster::default() }, ..Options::default() };
    let Some(env) = TestEnv::stand_in_bare(options, "its capabilities are all on") else { return };
    env.integration();
    env.create(&sandbox::manifests::namespace("shop"));
    env.image_stream("shop", "app");
    env.oc_quay(&["link", "-n", "shop", "--yes", "--wait", "0s"]).succeeds();
    let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds();
    assert_eq!(status.codes(), ["OQ311", "OQ311"]);
    assert!(
        status.json()["summaryLine"].as_str().unwrap().starts_with("Pods in shop can pull"),
        "{}",
        status.stdout
    );
    env.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).ends_with(1);
    // OpenShift adds its own with a delay.
    env.wait_for("both pull secrets", || {
        env.references("shop", "default", "imagePullSecrets").len() == 2
    });
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
}

#[test]
fn creates_repository_for_external_image_stream_on_request() {
    let env = TestEnv::new();
    for (name, asks) in [("mirror", None), ("wanted", Some("true"))] {
        let annotations = asks.map(|asks| json!({ "oc-quay/repository": asks }));
        let from = json!({ "kind": "DockerImage", "name": "docker.io/library/busybox:latest" });
        env.create(&json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStream",
            "metadata": { "name": name, "namespace": "shop", "annotations": annotations },
            "spec": { "tags": [{ "name": "latest", "from": from }] },
        }));
    }
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.assert_linked("shop", &["app", "base", "wanted", "web"]);
}

#[test]
fn edits_namespace_lists_once_on_adoption() {
    let env = TestEnv::new();
    env.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "denylistNamespaces": ["shop"] } }),
    );
    env.sandbox.quay.add_organization("openshift_shop", "alice");
    let run = env.oc_quay(&["link", "-n", "shop", "--adopt", "--yes", "-o", "json"]).succeeds();
    let report = run.json();
    let changes = report["changes"].as_array().unwrap();
    assert_eq!(
        changes.iter().filter(|change| change["object"]["kind"] == "QuayIntegration").count(),
        1,
        "{}",
        run.stdout
    );
    assert_eq!(env.cluster_traffic().count("patch quayintegrations"), 1);
    env.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn reports_what_was_done_before_a_namespace_cannot_be_linked() {
    let Some(env) = TestEnv::stand_in("a fault deletes an object there") else { return };
    env.create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "ci", "namespace": "shop" } }));
    env.sandbox.quay.add_organization("openshift_shop", "alice");
    let openshift = env.sandbox.openshift.clone();
    let delete = move || openshift.delete("ServiceAccount", "shop", "ci");
    env.quay_traffic().fault(Fault::on("POST", "takeownership").nth(1).after(delete));
    let link =
        ["link", "-n", "shop", "--adopt", "--service-account", "ci=read", "--yes", "-o", "json"];
    let run = env.oc_quay(&link).ends_with(1);
    assert_eq!(run.codes(), ["OQ311"]);
    let report = run.json();
    let done: Vec<_> = report["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (&change["object"]["name"], &change["state"]))
        .collect();
    assert_eq!(done, [(&json!("openshift_shop"), &json!("done"))], "{}", run.stdout);
}

#[test]
fn rejects_foreign_organization_unless_adopted() {
    for owner in ["alice", "quayadmin"] {
        let env = TestEnv::new();
        env.sandbox.quay.add_organization("openshift_shop", owner);
        env.sandbox
            .quay
            .add_robot(
                "openshift_shop",
                "builder",
                "oc-quay cluster=other namespace=shop uid=other",
            )
            .unwrap();
        env.forget_traffic();
        let run = env.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
        assert!(run.stdout.contains("--adopt"), "{}", run.stdout);
        env.assert_nothing_written();
        env.oc_quay(&["link", "-n", "shop", "--adopt", "--yes"]).succeeds();
        env.assert_linked("shop", &["app", "base", "web"]);
        env.forget_traffic();
        env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
        env.assert_nothing_written();
    }
}

#[test]
fn dry_run_shows_all_changes_and_writes_nothing() {
    let env = TestEnv::new();
    let run = env.oc_quay(&["link", "-n", "shop", "--dry-run"]).succeeds();
    assert!(
        run.stdout.ends_with("16 changes planned. Nothing was written (--dry-run)\n"),
        "{}",
        run.stdout
    );
    let manifests =
        env.oc_quay(&["link", "-n", "shop", "--dry-run", "-o", "yaml"]).succeeds().stdout;
    assert_eq!(manifests.matches("\nkind: Secret\n").count(), 3, "{manifests}");
    assert_eq!(manifests.matches("\nkind: ServiceAccount\n").count(), 3, "{manifests}");
    // OpenShift's entries of the lists are kept.
    assert!(manifests.contains("dockercfg"), "{manifests}");
    create_account(&env, "pipeline");
    let pipeline =
        ["link", "-n", "shop", "--service-account", "pipeline=write", "--dry-run", "-o", "yaml"];
    let manifests = env.oc_quay(&pipeline).succeeds().stdout;
    assert_eq!(
        manifests.matches("build.shipwright.io/referenced.secret: \"true\"\n").count(),
        1,
        "{manifests}"
    );
    env.delete("ServiceAccount", "shop", "pipeline");
    env.forget_traffic();
    env.assert_nothing_written();
}

#[test]
fn fails_without_terminal_and_names_the_flag() {
    let env = TestEnv::new();
    let run = env.oc_quay(&["link", "-n", "shop"]).ends_with(2);
    assert!(run.stderr.contains("--yes"), "{}", run.stderr);
    env.assert_nothing_written();
    // The name of the flag in kubectl.
    env.oc_quay(&["link", "-n", "shop", "--confirm"]).succeeds();
}

#[test]
fn waits_for_rate_limited_quay_and_reports_it() {
    let Some(env) = TestEnv::stand_in("thirty namespaces take their time") else { return };
    let names: Vec<String> = (0..30).map(|number| format!("shop-{number}")).collect();
    names.iter().for_each(|name| env.shared_namespace(name));
    env.forget_traffic();
    // Delays are a tenth as long in tests, and so is the window.
    env.quay_traffic().limit_rate(60, Duration::from_secs(3), "30");
    let run = env.oc_quay(&["link", "-A", "--yes"]).succeeds();
    let said: Vec<_> = run
        .stderr
        .lines()
        .filter(|line| line.contains("429 Too Many Requests): waiting 30 s"))
        .collect();
    assert!(!said.is_empty() && said.len() < 20, "{}", run.stderr);
    names.iter().for_each(|name| env.assert_linked(name, &STREAMS));
    let rejected = env
        .quay_traffic()
        .entries()
        .into_iter()
        .filter(|entry| entry.status.is_some_and(|status| status == 429));
    assert!(rejected.count() < 100, "all wait together");
}

#[test]
fn links_with_existing_secrets_when_quota_is_exhausted() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    for account in ["builder", "default", "deployer"] {
        for list in ["secrets", "imagePullSecrets"] {
            env.remove_from_list("shop", account, list, &format!("{account}-quay-openshift"));
        }
    }
    let rejection = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,
        "message":"secrets \"builder-quay-openshift\" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=9, limited: secrets=9"}"#;
    env.cluster_traffic().fault(Fault::on("POST", "/secrets").status(403).body(rejection));
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.assert_linked("shop", &["app", "base", "web"]);
    env.delete("Secret", "shop", "builder-quay-openshift");
    let run = env.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(1);
    assert!(run.stdout.contains("is forbidden: exceeded"), "{}", run.stdout);
}

#[test]
fn links_namespaces_by_name_by_label_or_all() {
    let env = TestEnv::new();
    for name in ["one", "two", "three", "four"] {
        env.namespace(name);
    }
    let is_linked = |name: &str| env.get("Secret", name, "builder-quay-openshift").is_some();
    env.oc_quay(&["link", "one", "two", "--yes"]).succeeds();
    assert_eq!(["one", "two", "three", "four"].map(is_linked), [true, true, false, false]);
    env.merge("Namespace", "", "three", &json!({ "metadata": { "labels": { "team": "web" } } }));
    env.oc_quay(&["link", "-l", "team=web", "--yes"]).succeeds();
    assert_eq!(["one", "two", "three", "four"].map(is_linked), [true, true, true, false]);
    env.oc_quay(&["link", "-A", "--yes"]).succeeds();
    assert_eq!(
        ["four", "shop", "default", "kube-system", "openshift"].map(is_linked),
        [true, true, false, false, false]
    );
    env.forget_traffic();
    env.oc_quay(&["link", "-A", "--yes"]).succeeds();
    env.assert_nothing_written();
}

#[test]
fn project_administrator_links_own_project_and_none_is_an_error() {
    let env = TestEnv::new();
    env.grant("dev", "shop");
    env.oc_quay(&["link", "-n", "shop", "--yes"]).guest("guest").ends_with(2);
    env.assert_nothing_written();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).guest("dev").succeeds();
    env.assert_linked("shop", &["app", "base", "web"]);
    env.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
}

#[test]
fn distinguishes_recently_deleted_organization() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let delete = [
        "unlink",
        "-n",
        "shop",
        "--delete-organization",
        "--confirm-organization",
        "openshift_shop",
        "--yes",
    ];
    env.oc_quay(&delete).succeeds();
    let run =
        env.oc_quay(&["link", "-n", "shop", "--yes", "--request-timeout", "10s"]).ends_with(1);
    assert!(run.stdout.contains("just deleted"), "{}", run.stdout);
    env.sandbox.quay.set_flags(|flags| flags.namespace_gc = true);
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn creates_nothing_with_a_token_that_cannot_finish() {
    let env = TestEnv::new();
    // An organization of the user proves that the token is valid.
    env.sandbox.quay.add_organization("theirs", "quayadmin");
    let table: [(&str, &[&str], &str); 3] = [
        ("quayadmin", &["repo:admin", "repo:create", "user:admin", "user:read"], "org:admin"),
        ("quayadmin", &["org:admin", "repo:admin", "repo:create", "user:read"], "user:admin"),
        (
            "alice",
            &["org:admin", "repo:admin", "repo:create", "user:admin", "user:read"],
            "is not allowed to create organizations",
        ),
    ];
    for (user, scopes, why) in table {
        env.sandbox.quay.set_flags(|flags| flags.org_creation_only = user == "alice");
        env.forget_traffic();
        let run = env.oc_quay(&["link", "-n", "shop", "--yes"]).token_of(user, scopes).ends_with(2);
        assert!(
            run.stdout.contains("Not done") && run.stdout.contains(why),
            "{why}: {}",
            run.stdout
        );
        assert!(!run.stdout.contains("Run the command again"), "{}", run.stdout);
        env.assert_nothing_written();
    }
    env.sandbox.quay.set_flags(|flags| flags.org_creation_only = false);
}

#[test]
fn reports_why_quay_rejects_changes() {
    let env = TestEnv::new();
    env.sandbox.quay.set_flags(|flags| flags.readonly = true);
    let run = env.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    assert!(
        run.stdout.contains("read-only") && !run.stdout.contains("Run the command again"),
        "{}",
        run.stdout
    );
    env.sandbox.quay.set_flags(|flags| {
        flags.readonly = false;
        flags.robots_disallow = true;
    });
    let run = env.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    assert!(
        run.stdout.contains("does not allow robot accounts")
            && !run.stdout.contains("Run the command again"),
        "{}",
        run.stdout
    );
    assert!(
        !env.sandbox.quay.organizations().contains(&"openshift_shop".to_owned()),
        "an empty organization was left behind"
    );
    env.sandbox.quay.set_flags(|flags| flags.robots_disallow = false);
    env.sandbox.quay.expire_tokens();
    let run = env.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    assert!(run.stdout.contains("Not done: Quay rejected the token"), "{}", run.stdout);
}
