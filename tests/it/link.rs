//! `link`: a fresh namespace, again, others' service accounts, and what it refuses.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::Options;
use sandbox::openshift::Cluster;
use sandbox::quay::RepoRole;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::{STREAMS, World};

#[test]
fn a_fresh_namespace_is_linked_with_the_least_calls_and_a_second_time_with_none_that_write() {
    let world = World::new();
    let run = world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    assert!(run.stdout.ends_with("Linked shop: 16 changes\n"), "{}", run.stdout);
    world.assert_linked("shop", &["app", "base", "web"]);
    assert_eq!(world.quay_traffic().writes().len(), 10);
    assert_eq!(world.quay_traffic().reads().len(), 2);
    assert_eq!(world.cluster_traffic().writes().len(), 6);
    assert_eq!(world.cluster_traffic().reads().len(), 5);

    world.forget_traffic();
    let run = world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(run.stdout, "Nothing to do\n");
    world.assert_nothing_written();
    assert!(world.quay_traffic().reads().len() <= 3);
}

#[test]
fn a_secret_of_our_name_that_nobody_refers_to_keeps_its_other_logins() {
    let world = World::new();
    let auth = |user: &str| json!({ "auth": STANDARD.encode(format!("{user}:secret")) });
    let host = world.sandbox.quay.host();
    let theirs = json!({ "auths": { "other.example.com": auth("a"), format!("{host}/other"): auth("b"), host.clone(): auth("c") } });
    world.create(&json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": { "name": "builder-quay-openshift", "namespace": "shop" },
        "stringData": { ".dockerconfigjson": theirs.to_string() },
    }));
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.assert_linked("shop", &["app", "base", "web"]);
    let secret = world.get("Secret", "shop", "builder-quay-openshift").unwrap();
    let content = STANDARD.decode(secret["data"][".dockerconfigjson"].as_str().unwrap()).unwrap();
    let auths = serde_json::from_slice::<Value>(&content).unwrap()["auths"].clone();
    for key in ["other.example.com".to_owned(), format!("{host}/other")] {
        assert_eq!(auths[&key], theirs["auths"][&key], "{key}");
    }
}

fn create_account(world: &World, name: &str) {
    create_account_in(world, "shop", name);
}

fn create_account_in(world: &World, namespace: &str, name: &str) {
    let metadata = json!({ "name": name, "namespace": namespace });
    world.create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
}

#[test]
fn another_service_account_is_linked_with_its_role_which_is_remembered_and_can_change() {
    let world = World::new();
    let quay = &world.sandbox.quay;
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    create_account(&world, "pipeline");
    let link = |role: &str| {
        world.oc_quay(&["link", "-n", "shop", "--yes", "--service-account", role]).succeeds()
    };
    for (asked, role) in [
        ("pipeline=write", RepoRole::Write),
        ("pipeline=admin", RepoRole::Admin),
        ("pipeline", RepoRole::Read),
    ] {
        link(asked);
        let annotation = &world.get("ServiceAccount", "shop", "pipeline").unwrap()["metadata"]["annotations"]
            ["oc-quay/role"];
        assert_eq!(annotation, &format!("{role:?}").to_lowercase());
        // Repositories that were there before, and those that come.
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
        world.oc_quay(&["status", "-n", "shop", "--probe", "--fail-on", "warning"]).succeeds();
    }
    let secret = "pipeline-quay-openshift";
    assert_eq!(
        world.login("shop", secret).1,
        quay.robot_token("openshift_shop", "pipeline").unwrap()
    );
    let annotations = |secret: &str| {
        world.get("Secret", "shop", secret).unwrap()["metadata"]["annotations"].clone()
    };
    assert_eq!(
        annotations(secret)["build.shipwright.io/referenced.secret"],
        "true",
        "Shipwright builds with it"
    );
    assert!(annotations("builder-quay-openshift").is_null());
    for list in ["secrets", "imagePullSecrets"] {
        assert!(world.references("shop", "pipeline", list).contains(&secret.to_owned()));
    }
    world.forget_traffic();
    for command in ["repair", "link"] {
        world.oc_quay(&[command, "-n", "shop", "--yes"]).succeeds();
    }
    world.assert_nothing_written();

    world.delete("Secret", "shop", secret);
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(
        world.login("shop", secret).1,
        quay.robot_token("openshift_shop", "pipeline").unwrap()
    );
}

#[test]
fn a_service_account_that_is_not_there_is_waited_for_and_then_refused() {
    let world = World::new();
    let asked = ["link", "-n", "shop", "--yes", "--service-account", "pipeline=write"];
    let run = world.oc_quay(&[&asked[..], &["--wait", "0s"]].concat()).ends_with(2);
    assert!(run.stderr.contains("oc create serviceaccount pipeline -n shop"), "{}", run.stderr);
    world.assert_nothing_written();

    let waiting = world.oc_quay(&asked).spawn();
    world.wait_for("the program to look", || {
        world.cluster_traffic().count("list serviceaccounts") > 0
    });
    create_account(&world, "pipeline");
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(world.get("Secret", "shop", "pipeline-quay-openshift").is_some());
}

#[test]
fn links_the_others_when_one_of_several_cannot_be_linked() {
    let world = World::new();
    for name in ["one", "two", "going"] {
        world.namespace(name);
        world.merge("Namespace", "", name, &json!({ "metadata": { "labels": { "team": "web" } } }));
    }
    create_account(&world, "pipeline");
    create_account_in(&world, "one", "pipeline");
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
    world.forget_traffic();
    let run = world.oc_quay(&all).ends_with(1);
    assert_eq!(run.codes(), ["OQ311", "OQ311"]);
    assert!(run.stdout.contains("Namespace two is not linked"), "{}", run.stdout);
    assert_eq!(world.cluster_traffic().count("list serviceaccounts"), 1);
    let is_linked = |name: &str| world.get("Secret", name, "pipeline-quay-openshift").is_some();
    assert_eq!(["shop", "one", "two"].map(is_linked), [true, true, false]);

    world.merge(
        "Namespace",
        "",
        "going",
        &json!({ "metadata": { "finalizers": ["example.com/stays"] } }),
    );
    world.delete("Namespace", "", "going");
    let run = world.oc_quay(&["link", "-l", "team=web", "--yes", "-o", "json"]).ends_with(1);
    assert_eq!(run.codes(), ["OQ121"]);
    assert!(world.get("Secret", "two", "builder-quay-openshift").is_some());
    world.merge("Namespace", "", "going", &json!({ "metadata": { "finalizers": null } }));
}

#[test]
fn waits_by_a_watch_and_only_for_namespaces_in_scope() {
    let world = World::new();
    world.namespace("later");
    create_account(&world, "pipeline");
    world.forget_traffic();
    let waiting =
        world.oc_quay(&["link", "-A", "--service-account", "pipeline=write", "--yes"]).spawn();
    world.wait_for("the program to follow", || {
        world.cluster_traffic().count("watch serviceaccounts") > 0
    });
    create_account_in(&world, "later", "pipeline");
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("Waiting for service account pipeline in namespace later"), "{said}");
    assert!(world.get("Secret", "later", "pipeline-quay-openshift").is_some());
    assert!(world.cluster_traffic().count("list serviceaccounts") <= 3);
}

#[test]
fn a_namespace_that_was_just_made_is_linked_with_all_its_service_accounts() {
    let world = World::new();
    world.create(&sandbox::manifests::namespace("fresh"));
    world.oc_quay(&["link", "-n", "fresh", "--yes"]).succeeds();
    for account in ["builder", "default", "deployer"] {
        assert!(
            world.get("Secret", "fresh", &format!("{account}-quay-openshift")).is_some(),
            "{account}"
        );
    }
    world.wait_for("OpenShift's own secrets", || {
        ["builder", "default", "deployer"]
            .iter()
            .all(|account| world.references("fresh", account, "secrets").len() == 2)
    });
    world.assert_linked("fresh", &[]);
}

#[test]
fn a_cluster_without_builds_is_linked_as_far_as_it_goes() {
    let without = vec!["build.openshift.io".to_owned(), "apps.openshift.io".to_owned()];
    let options =
        Options { cluster: Cluster { without, ..Cluster::default() }, ..Options::default() };
    let Some(world) = World::stand_in_bare(options, "its capabilities are all on") else { return };
    world.integration();
    world.create(&sandbox::manifests::namespace("shop"));
    world.image_stream("shop", "app");
    world.oc_quay(&["link", "-n", "shop", "--yes", "--wait", "0s"]).succeeds();
    let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds();
    assert_eq!(status.codes(), ["OQ311", "OQ311"]);
    assert!(
        status.json()["summaryLine"].as_str().unwrap().starts_with("Pods in shop can pull"),
        "{}",
        status.stdout
    );
    world.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).ends_with(1);
    // OpenShift adds its own when it gets to it.
    world.wait_for("both pull secrets", || {
        world.references("shop", "default", "imagePullSecrets").len() == 2
    });
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
}

#[test]
fn an_image_stream_that_only_follows_another_registry_gets_a_repository_only_if_it_asks() {
    let world = World::new();
    for (name, asks) in [("mirror", None), ("wanted", Some("true"))] {
        let annotations = asks.map(|asks| json!({ "oc-quay/repository": asks }));
        let from = json!({ "kind": "DockerImage", "name": "docker.io/library/busybox:latest" });
        world.create(&json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStream",
            "metadata": { "name": name, "namespace": "shop", "annotations": annotations },
            "spec": { "tags": [{ "name": "latest", "from": from }] },
        }));
    }
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.assert_linked("shop", &["app", "base", "wanted", "web"]);
}

#[test]
fn edits_the_namespace_lists_once_when_it_adopts() {
    let world = World::new();
    world.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "denylistNamespaces": ["shop"] } }),
    );
    world.sandbox.quay.add_organization("openshift_shop", "alice");
    let run = world.oc_quay(&["link", "-n", "shop", "--adopt", "--yes", "-o", "json"]).succeeds();
    let report = run.json();
    let changes = report["changes"].as_array().unwrap();
    assert_eq!(
        changes.iter().filter(|change| change["object"]["kind"] == "QuayIntegration").count(),
        1,
        "{}",
        run.stdout
    );
    assert_eq!(world.cluster_traffic().count("patch quayintegrations"), 1);
    world.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn reports_what_was_done_before_a_namespace_cannot_be_linked() {
    let world = World::new();
    world.create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "ci", "namespace": "shop" } }));
    world.sandbox.quay.add_organization("openshift_shop", "alice");
    let openshift = world.sandbox.openshift.clone();
    let delete = move || openshift.delete("ServiceAccount", "shop", "ci");
    world.quay_traffic().fault(Fault::on("POST", "takeownership").nth(1).after(delete));
    let link =
        ["link", "-n", "shop", "--adopt", "--service-account", "ci=read", "--yes", "-o", "json"];
    let run = world.oc_quay(&link).ends_with(1);
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
fn an_organization_of_others_is_refused_unless_it_is_adopted() {
    for owner in ["alice", "quayadmin"] {
        let world = World::new();
        world.sandbox.quay.add_organization("openshift_shop", owner);
        world
            .sandbox
            .quay
            .add_robot(
                "openshift_shop",
                "builder",
                "oc-quay cluster=other namespace=shop uid=other",
            )
            .unwrap();
        world.forget_traffic();
        let run = world.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
        assert!(run.stdout.contains("--adopt"), "{}", run.stdout);
        world.assert_nothing_written();
        world.oc_quay(&["link", "-n", "shop", "--adopt", "--yes"]).succeeds();
        world.assert_linked("shop", &["app", "base", "web"]);
        world.forget_traffic();
        world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
        world.assert_nothing_written();
    }
}

#[test]
fn a_dry_run_shows_everything_and_writes_nothing() {
    let world = World::new();
    let run = world.oc_quay(&["link", "-n", "shop", "--dry-run"]).succeeds();
    assert!(
        run.stdout.ends_with("16 changes planned. Nothing was written (--dry-run)\n"),
        "{}",
        run.stdout
    );
    let manifests =
        world.oc_quay(&["link", "-n", "shop", "--dry-run", "-o", "yaml"]).succeeds().stdout;
    assert_eq!(manifests.matches("\nkind: Secret\n").count(), 3, "{manifests}");
    assert_eq!(manifests.matches("\nkind: ServiceAccount\n").count(), 3, "{manifests}");
    // What OpenShift put into the lists stays in them.
    assert!(manifests.contains("dockercfg"), "{manifests}");
    create_account(&world, "pipeline");
    let pipeline =
        ["link", "-n", "shop", "--service-account", "pipeline=write", "--dry-run", "-o", "yaml"];
    let manifests = world.oc_quay(&pipeline).succeeds().stdout;
    assert_eq!(
        manifests.matches("build.shipwright.io/referenced.secret: \"true\"\n").count(),
        1,
        "{manifests}"
    );
    world.delete("ServiceAccount", "shop", "pipeline");
    world.forget_traffic();
    world.assert_nothing_written();
}

#[test]
fn nobody_to_ask_and_no_answer_is_refused_naming_the_flag() {
    let world = World::new();
    let run = world.oc_quay(&["link", "-n", "shop"]).ends_with(2);
    assert!(run.stderr.contains("--yes"), "{}", run.stderr);
    world.assert_nothing_written();
    // kubectl's users know it by another name.
    world.oc_quay(&["link", "-n", "shop", "--confirm"]).succeeds();
}

#[test]
fn waits_for_a_quay_that_takes_few_requests_and_says_why() {
    let Some(world) = World::stand_in("thirty namespaces take their time") else { return };
    let names: Vec<String> = (0..30).map(|number| format!("shop-{number}")).collect();
    names.iter().for_each(|name| world.shared_namespace(name));
    world.forget_traffic();
    // Pauses are a tenth as long in tests, and so is the window.
    world.quay_traffic().limit_rate(60, Duration::from_secs(3), "30");
    let run = world.oc_quay(&["link", "-A", "--yes"]).succeeds();
    let said: Vec<_> = run
        .stderr
        .lines()
        .filter(|line| line.contains("429 Too Many Requests): waiting 30 s"))
        .collect();
    assert!(!said.is_empty() && said.len() < 20, "{}", run.stderr);
    names.iter().for_each(|name| world.assert_linked(name, &STREAMS));
    let refused = world
        .quay_traffic()
        .entries()
        .into_iter()
        .filter(|entry| entry.status.is_some_and(|status| status == 429));
    assert!(refused.count() < 100, "all wait together");
}

#[test]
fn links_with_the_secrets_there_are_when_the_quota_is_used_up() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    for account in ["builder", "default", "deployer"] {
        for list in ["secrets", "imagePullSecrets"] {
            world.remove_from_list("shop", account, list, &format!("{account}-quay-openshift"));
        }
    }
    let refusal = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,
        "message":"secrets \"builder-quay-openshift\" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=9, limited: secrets=9"}"#;
    world.cluster_traffic().fault(Fault::on("POST", "/secrets").status(403).body(refusal));
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.assert_linked("shop", &["app", "base", "web"]);
    world.delete("Secret", "shop", "builder-quay-openshift");
    let run = world.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(1);
    assert!(run.stdout.contains("is forbidden: exceeded"), "{}", run.stdout);
}

#[test]
fn several_namespaces_are_linked_by_name_by_label_or_all_of_them() {
    let world = World::new();
    for name in ["one", "two", "three", "four"] {
        world.namespace(name);
    }
    let is_linked = |name: &str| world.get("Secret", name, "builder-quay-openshift").is_some();
    world.oc_quay(&["link", "one", "two", "--yes"]).succeeds();
    assert_eq!(["one", "two", "three", "four"].map(is_linked), [true, true, false, false]);
    world.merge("Namespace", "", "three", &json!({ "metadata": { "labels": { "team": "web" } } }));
    world.oc_quay(&["link", "-l", "team=web", "--yes"]).succeeds();
    assert_eq!(["one", "two", "three", "four"].map(is_linked), [true, true, true, false]);
    world.oc_quay(&["link", "-A", "--yes"]).succeeds();
    assert_eq!(
        ["four", "shop", "default", "kube-system", "openshift"].map(is_linked),
        [true, true, false, false, false]
    );
    world.forget_traffic();
    world.oc_quay(&["link", "-A", "--yes"]).succeeds();
    world.assert_nothing_written();
}

#[test]
fn a_project_administrator_links_her_own_project_and_nobody_links_nothing() {
    let world = World::new();
    world.grant("dev", "shop");
    world.oc_quay(&["link", "-n", "shop", "--yes"]).guest("nobody").ends_with(2);
    world.assert_nothing_written();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).guest("dev").succeeds();
    world.assert_linked("shop", &["app", "base", "web"]);
    world.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
}

#[test]
fn an_organization_that_was_just_deleted_is_told_apart() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let delete = [
        "unlink",
        "-n",
        "shop",
        "--delete-organization",
        "--confirm-organization",
        "openshift_shop",
        "--yes",
    ];
    world.oc_quay(&delete).succeeds();
    let run =
        world.oc_quay(&["link", "-n", "shop", "--yes", "--request-timeout", "10s"]).ends_with(1);
    assert!(run.stdout.contains("just deleted"), "{}", run.stdout);
    world.sandbox.quay.set_flags(|flags| flags.namespace_gc = true);
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn creates_nothing_with_a_token_that_cannot_finish() {
    let world = World::new();
    // An organization that the user owns shows what the token is good for.
    world.sandbox.quay.add_organization("theirs", "quayadmin");
    let table: [(&str, &[&str], &str); 3] = [
        ("quayadmin", &["repo:admin", "repo:create", "user:admin", "user:read"], "org:admin"),
        ("quayadmin", &["org:admin", "repo:admin", "repo:create", "user:read"], "user:admin"),
        (
            "alice",
            &["org:admin", "repo:admin", "repo:create", "user:admin", "user:read"],
            "may not create organizations",
        ),
    ];
    for (user, scopes, why) in table {
        world.sandbox.quay.set_flags(|flags| flags.org_creation_only = user == "alice");
        world.forget_traffic();
        let run =
            world.oc_quay(&["link", "-n", "shop", "--yes"]).token_of(user, scopes).ends_with(2);
        assert!(
            run.stdout.contains("Not done") && run.stdout.contains(why),
            "{why}: {}",
            run.stdout
        );
        assert!(!run.stdout.contains("again"), "{}", run.stdout);
        world.assert_nothing_written();
    }
    world.sandbox.quay.set_flags(|flags| flags.org_creation_only = false);
}

#[test]
fn says_why_quay_refuses_changes_instead_of_run_it_again() {
    let world = World::new();
    world.sandbox.quay.set_flags(|flags| flags.readonly = true);
    let run = world.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    assert!(run.stdout.contains("read-only") && !run.stdout.contains("again"), "{}", run.stdout);
    world.sandbox.quay.set_flags(|flags| {
        flags.readonly = false;
        flags.robots_disallow = true;
    });
    let run = world.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    assert!(
        run.stdout.contains("allows no robot accounts") && !run.stdout.contains("again to finish"),
        "{}",
        run.stdout
    );
    assert!(
        !world.sandbox.quay.organizations().contains(&"openshift_shop".to_owned()),
        "an empty organization was left behind"
    );
    world.sandbox.quay.set_flags(|flags| flags.robots_disallow = false);
    world.sandbox.quay.expire_tokens();
    let run = world.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    assert!(run.stdout.contains("Not done: Quay refuses the token"), "{}", run.stdout);
}
