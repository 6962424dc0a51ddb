//! `run`: reconciles of namespaces and of the integration.

use std::time::{Duration, Instant};

use sandbox::Options;
use sandbox::openshift::Cluster;
use serde_json::{Value, json};

use crate::support::{Controller, TestEnv};

#[test]
fn links_and_repairs_namespaces_with_few_requests_to_quay() {
    let env = TestEnv::bare();
    env.integration();
    let controller = Controller::start(&env, &[]);
    env.forget_traffic();
    env.namespace("shop");
    for stream in ["app", "base", "web"] {
        env.image_stream("shop", stream);
    }
    controller.wait_until("shop is linked", || env.is_linked("shop", &["app", "base", "web"]));
    env.assert_linked("shop", &["app", "base", "web"]);
    assert!(controller.requests_to_quay() <= 13, "{:#?}", env.quay_traffic().entries());

    env.forget_traffic();
    env.image_stream("shop", "cron");
    controller.wait_until("the repository", || {
        env.sandbox.quay.repositories("openshift_shop").contains(&"cron".to_owned())
    });
    controller.wait_until_idle();
    assert_eq!(controller.requests_to_quay(), 1, "{:#?}", env.quay_traffic().entries());

    env.forget_traffic();
    env.delete("Secret", "shop", "builder-quay-openshift");
    controller
        .wait_until("the secret", || env.get("Secret", "shop", "builder-quay-openshift").is_some());
    controller.wait_until_idle();
    assert!(controller.requests_to_quay() <= 2, "{:#?}", env.quay_traffic().entries());
    env.assert_linked("shop", &["app", "base", "cron", "web"]);

    // Unrelated changes cause no requests.
    env.forget_traffic();
    env.merge("Namespace", "", "shop", &json!({ "metadata": { "labels": { "team": "red" } } }));
    env.merge(
        "ServiceAccount",
        "shop",
        "builder",
        &json!({ "metadata": { "labels": { "team": "red" } } }),
    );
    controller.wait_until_idle();
    assert_eq!(controller.requests_to_quay(), 0, "{:#?}", env.quay_traffic().entries());
    env.assert_nothing_written();
}

#[test]
fn follows_changes_of_the_integration() {
    let env = TestEnv::bare();
    let controller = Controller::start(&env, &[]);
    env.namespace("shop");
    controller.wait_until_idle();
    assert!(controller.has_logged("no QuayIntegration found"));
    assert_eq!(controller.requests_to_quay(), 0);

    env.integration();
    controller.wait_until("shop is linked", || env.is_linked("shop", &[]));

    // Two QuayIntegrations make both unusable.
    let mut second = sandbox::manifests::quay_integration(&env.sandbox.quay.url());
    second["metadata"]["name"] = json!("second");
    env.create(&second);
    controller.wait_until("the second one is reported", || {
        controller.has_logged("multiple QuayIntegrations found")
    });
    env.delete("Secret", "shop", "builder-quay-openshift");
    controller.wait_until("the conditions", || {
        condition(&env, "second", "Ready")["reason"] == "MultipleIntegrations"
    });
    assert_eq!(condition(&env, "quay", "Ready")["status"], "False");
    assert_eq!(env.get("Secret", "shop", "builder-quay-openshift"), None);
    env.delete("QuayIntegration", "", "second");
    controller
        .wait_until("the secret", || env.get("Secret", "shop", "builder-quay-openshift").is_some());

    // A namespace that leaves the scope is not changed, and one that enters it is linked.
    env.namespace("late");
    controller.wait_until("late is linked", || env.is_linked("late", &[]));
    env.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "denylistNamespaces": ["shop"] } }),
    );
    controller.wait_until_idle();
    env.delete("Secret", "shop", "builder-quay-openshift");
    env.image_stream("shop", "app");
    controller.wait_until_idle();
    assert_eq!(env.get("Secret", "shop", "builder-quay-openshift"), None);
    env.forget_traffic();
    env.merge("QuayIntegration", "", "quay", &json!({ "spec": { "denylistNamespaces": [] } }));
    controller.wait_until("shop is linked again", || env.is_linked("shop", &["app"]));
    controller.wait_until_idle();
    env.assert_linked("shop", &["app"]);
    let requests_for_late = env
        .quay_traffic()
        .entries()
        .iter()
        .filter(|entry| entry.path.contains("openshift_late"))
        .count();
    assert_eq!(requests_for_late, 0, "the lists do not affect it");

    // A revoked token, and its replacement.
    let token = env.sandbox.quay.admin_token();
    env.merge(
        "Secret",
        "openshift-operators",
        "quay-integration",
        &json!({ "stringData": { "token": "revoked" } }),
    );
    env.image_stream("shop", "web");
    controller.wait_until("the token is rejected", || controller.has_logged("rejected the token"));
    env.merge(
        "Secret",
        "openshift-operators",
        "quay-integration",
        &json!({ "stringData": { "token": token } }),
    );
    controller.wait_until("shop is linked", || env.is_linked("shop", &["app", "web"]));
}

#[test]
fn deletes_organization_only_when_requested() {
    let env = TestEnv::bare();
    env.integration();
    for name in ["keep", "drop", "stuck"] {
        env.create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "annotations":
            if name == "keep" { json!({}) } else { json!({ "oc-quay/deletion-policy": "delete" }) } } }));
    }
    let controller = Controller::start(&env, &[]);
    for name in ["keep", "drop", "stuck"] {
        controller.wait_until("it is linked", || env.is_linked(name, &[]));
    }
    let finalizers = |name: &str| {
        env.get("Namespace", "", name).map(|namespace| namespace["metadata"]["finalizers"].clone())
    };
    assert_eq!(finalizers("drop"), Some(json!(["oc-quay/organization"])));
    assert_eq!(finalizers("keep"), Some(json!(null)));

    env.delete("Namespace", "", "keep");
    env.delete("Namespace", "", "drop");
    controller.wait_until("both are gone", || {
        finalizers("keep").is_none() && finalizers("drop").is_none()
    });
    let organizations = env.sandbox.quay.organizations();
    assert!(
        organizations.contains(&"openshift_keep".to_owned())
            && !organizations.contains(&"openshift_drop".to_owned())
    );

    env.quay_traffic().fault(sandbox::traffic::Fault::on("DELETE", "openshift_stuck").status(500));
    env.delete("Namespace", "", "stuck");
    controller.wait_until("it is deleted", || finalizers("stuck").is_none());
    controller.wait_until("it is logged", || {
        controller.has_logged("organization openshift_stuck kept after deletion")
    });
    let is_recorded =
        || condition(&env, "quay", "OrphanedOrganizations")["message"] == "openshift_stuck";
    controller.wait_until("it is recorded", is_recorded);
    env.assert_uses_only_granted_permissions();
}

#[test]
fn reports_blocked_namespaces_without_retrying() {
    let env = TestEnv::bare();
    env.integration();
    for name in ["a--b", "shop", "theirs"] {
        env.namespace(name);
    }
    let opaque = |env: &TestEnv| {
        let metadata = json!({ "name": "default-quay-openshift", "namespace": "shop" });
        env.create(&json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque" }));
    };
    opaque(&env);
    env.sandbox.quay.add_organization("openshift_theirs", "quayadmin");
    let mark = "oc-quay cluster=other namespace=theirs uid=other";
    env.sandbox.quay.add_robot("openshift_theirs", "builder", mark).unwrap();
    let controller = Controller::start(&env, &[]);
    for name in ["a--b", "shop", "theirs"] {
        controller.wait_until("each is logged", || {
            controller.has_logged(&format!("{name}: requires manual action"))
        });
    }
    let ready = || condition(&env, "quay", "Ready");
    controller.wait_until("the condition", || {
        ready()["message"].as_str().is_some_and(|text| text.contains("3 of 3 namespaces"))
    });
    controller.wait_until_idle();
    let message = ready()["message"].as_str().unwrap().to_owned();
    for code in ["OQ202", "OQ302", "OQ204"] {
        assert!(message.contains(code), "{message}");
    }
    let status = env.oc_quay(&["status", "-A", "-o", "json"]).ends_with(1);
    assert!(status.codes().contains(&"OQ302".to_owned()));
    let blocked = || {
        let events = env.list("Event", "shop").into_iter();
        events.filter(|event| event["reason"] == "QuayReconcileFailed").count()
    };
    controller.wait_until("the event", || blocked() == 1);

    // Without a change Quay is not queried again.
    env.forget_traffic();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(controller.requests_to_quay(), 0, "{:#?}", env.quay_traffic().entries());

    // The conflicting secret is watched, whatever its type.
    env.delete("Secret", "shop", "default-quay-openshift");
    controller.wait_until("shop is linked", || env.is_linked("shop", &[]));
    controller.wait_until("the condition", || {
        ready()["message"].as_str().is_some_and(|text| text.contains("2 of 3 namespaces"))
    });
    env.assert_uses_only_granted_permissions();
}

#[test]
fn slow_responses_are_not_an_outage() {
    let Some(env) = TestEnv::stand_in("its answers are held back") else { return };
    let names: Vec<String> = (0..10).map(|number| format!("slow-{number}")).collect();
    let controller = Controller::start(&env, &["--request-timeout", "2s"]);
    controller.wait_until("shop is linked", || env.is_linked("shop", &["app", "base", "web"]));
    // Three of many requests time out, one after the other.
    env.quay_traffic().set_latency(Duration::from_millis(200));
    for nth in [3, 20, 40] {
        env.quay_traffic().fault(
            sandbox::traffic::Fault::on("*", "openshift_slow")
                .nth(nth)
                .delay(Duration::from_secs(4)),
        );
    }
    names.iter().for_each(|name| env.shared_namespace(name));
    for name in &names {
        controller.wait_until("it is linked", || env.is_linked(name, &["app", "base", "web"]));
    }
    assert!(!controller.has_logged("Quay unavailable"), "{:#?}", controller.log_lines());
    let warnings = controller.log_lines().iter().filter(|line| line.contains("WARN")).count();
    assert!(warnings <= 10, "{:#?}", controller.log_lines());
}

#[test]
fn large_namespace_does_not_starve_others() {
    let Some(env) = TestEnv::stand_in("thousands of objects take their time") else { return };
    env.namespace("crowd");
    for number in 0..300 {
        let annotations = json!({ "oc-quay/role": "write" });
        let metadata = json!({ "name": format!("a{number:03}"), "namespace": "crowd", "annotations": annotations });
        env.create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
        env.image_stream("crowd", &format!("app{number:03}"));
    }
    let names: Vec<String> = (0..50).map(|number| format!("small-{number}")).collect();
    names.iter().for_each(|name| env.shared_namespace(name));
    env.forget_traffic();
    let controller = Controller::start_unsettled(
        &env,
        &["--metrics-bind-address", "127.0.0.1:0", "--log-format", "json"],
    );
    let count = |text: &str| {
        env.quay_traffic().entries().iter().filter(|entry| concerns(entry, text)).count()
    };
    for name in &names {
        controller.wait_until("it is linked", || env.is_linked(name, &["app", "base", "web"]));
        assert_eq!(controller.http_get("/healthz").0, 200);
    }
    let (small, crowd) = (count("openshift_small"), count("openshift_crowd"));
    assert!(small <= 50 * 13 && crowd <= small, "{crowd} requests for one, {small} for fifty");
    let status = env.oc_quay(&["status", "-n", "crowd", "-o", "json"]).ends_with(1);
    assert!(status.codes().contains(&"OQ316".to_owned()), "{:?}", status.codes());
}

/// Whether a request is for an organization with this prefix.
fn concerns(entry: &sandbox::traffic::Entry, organization: &str) -> bool {
    entry.path.contains(organization) || String::from_utf8_lossy(&entry.body).contains(organization)
}

fn condition(env: &TestEnv, integration: &str, kind: &str) -> Value {
    let integration = env.get("QuayIntegration", "", integration).unwrap();
    let mut conditions = integration["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
}

#[test]
fn imports_pushed_image_once_and_keeps_rollbacks() {
    let env = TestEnv::new();
    env.merge("QuayIntegration", "", "quay", &json!({ "spec": { "insecureRegistry": true } }));
    let controller = Controller::start(&env, &[]);
    controller.wait_until("shop is linked", || env.is_linked("shop", &["app", "base", "web"]));
    let image = format!("{}/openshift_shop/app:latest", env.sandbox.quay.host());
    let output = json!({ "to": { "kind": "DockerImage", "name": image }, "pushSecret": { "name": "builder-quay-openshift" } });
    env.build_config("shop", "app", &output);
    let newest = || env.newest_item("shop", "app", "latest").map(|item| item["image"].clone());
    let in_quay = || env.quay_digest("openshift_shop", "app", "latest").map(Value::from);
    let is_noted = |build: &str| {
        let build = env.get("Build", "shop", build).unwrap();
        build["metadata"]["annotations"]["quay-registry-operator.quay.redhat.com/destination-imagestreamtag-imported"]
            == "true"
    };

    // As the webhook rewrites it. Completion times have a resolution of one second.
    let start = || {
        std::thread::sleep(Duration::from_millis(1100));
        let build = env.start_build("shop", "app");
        let managed = "quay-registry-operator.quay.redhat.com/quay-registry-operator-managed";
        env.merge(
            "Build",
            "shop",
            &build,
            &json!({ "metadata": { "annotations": { managed: "true" } } }),
        );
        build
    };
    let first = start();
    controller.wait_until("the build is imported", || newest().is_some() && is_noted(&first));
    assert_eq!(newest(), in_quay());
    controller.wait_until_idle();
    let imports = env
        .cluster_traffic()
        .entries()
        .iter()
        .filter(|entry| entry.path.contains("imagestreamimports"))
        .count();
    assert_eq!(imports, 1);

    // A build that completed before the start is imported, unless its tag was rolled back since.
    drop(controller);
    let before = newest();
    let second = start();
    env.wait_for_build("shop", &second, "Complete");
    assert_ne!(in_quay(), before, "a weak test: both builds pushed the same");
    let controller = Controller::start(&env, &[]);
    controller.wait_until("the build is imported", || is_noted(&second));
    assert_eq!(newest(), in_quay());
    drop(controller);
    let rolled_back = start();
    env.wait_for_build("shop", &rolled_back, "Complete");
    let inside = env.push_inside("shop", "app", "latest");
    let controller = Controller::start(&env, &[]);
    controller.wait_until("it is noted", || is_noted(&rolled_back));
    assert_eq!(newest(), Some(Value::from(inside)));
    let custom = json!({ "dockerStrategy": null, "customStrategy": { "from": { "kind": "DockerImage", "name": "builder" } } });
    env.merge("BuildConfig", "shop", "app", &json!({ "spec": { "strategy": custom } }));
    let third = start();
    controller.wait_until("the next build is imported", || is_noted(&third));
    assert_eq!(newest(), in_quay());
    env.assert_uses_only_granted_permissions();
}

#[test]
fn waits_once_for_missing_service_accounts() {
    let without = vec!["build.openshift.io".to_owned(), "apps.openshift.io".to_owned()];
    let options =
        Options { cluster: Cluster { without, ..Cluster::default() }, ..Options::default() };
    let Some(env) = TestEnv::stand_in_bare(options, "its capabilities are all on") else { return };
    env.integration();
    let controller = Controller::start(&env, &[]);
    env.create(&sandbox::manifests::namespace("shop"));
    let pulls = || {
        env.references("shop", "default", "imagePullSecrets")
            .iter()
            .any(|secret| secret.contains("-quay-"))
    };
    controller.wait_until("shop is linked as far as it goes", pulls);
    let since = Instant::now();
    env.image_stream("shop", "app");
    controller.wait_until("the repository", || {
        env.sandbox.quay.repositories("openshift_shop").contains(&"app".to_owned())
    });
    assert!(since.elapsed() < Duration::from_secs(10), "it took {:?}", since.elapsed());
}

#[test]
fn previews_and_confirms_at_a_terminal() {
    let env = TestEnv::new();
    let dry = env.oc_quay(&["run", "--dry-run"]).succeeds();
    assert!(dry.stdout.contains("create organization openshift_shop"), "{}", dry.stdout);
    assert!(dry.stdout.contains("Nothing was written (--dry-run)"), "{}", dry.stdout);
    let terminal = env.oc_quay(&["run"]).in_window(100, 60);
    terminal.sees("Apply these changes and keep reconciling until Ctrl-C? (y/N)");
    assert!(
        terminal.screen().contains("create organization openshift_shop"),
        "{}",
        terminal.screen()
    );
    terminal.press(crate::support::Key::Enter);
    terminal.ends_with(130);
    env.assert_nothing_written();
}

/// Whether the condition `Ready` is false with this message.
fn is_not_ready(env: &TestEnv, text: &str) -> bool {
    let ready = condition(env, "quay", "Ready");
    ready["status"] == "False"
        && ready["message"].as_str().is_some_and(|message| message.contains(text))
}

#[test]
fn warns_once_when_organizations_cannot_be_created() {
    let all = ["org:admin", "repo:admin", "repo:create", "user:admin", "user:read"];
    let table: [(&[&str], bool, &str); 2] = [
        (&all, true, "does not allow robot accounts"),
        (&["repo:admin", "repo:create", "user:admin", "user:read"], false, "org:admin"),
    ];
    for (scopes, robots_disallow, why) in table {
        let env = TestEnv::bare();
        let quay = &env.sandbox.quay;
        quay.set_flags(|flags| {
            (flags.robots_disallow, flags.namespace_gc) = (robots_disallow, true)
        });
        quay.add_organization("theirs", "quayadmin");
        env.create(&sandbox::manifests::credentials(&quay.add_token("quayadmin", scopes)));
        env.create(&sandbox::manifests::quay_integration(&quay.url()));
        ["a", "b", "c"].iter().for_each(|name| env.namespace(name));
        let controller = Controller::start(&env, &[]);
        controller.wait_until("the condition", || is_not_ready(&env, why));
        controller.wait_until_idle();
        assert_eq!(quay.organizations(), ["theirs"], "{why}");
        let count =
            |text: &str| controller.log_lines().iter().filter(|line| line.contains(text)).count();
        assert_eq!(count("organizations are not created"), 1, "{:#?}", controller.log_lines());
        assert!(count("WARN") <= 1 + count("failed"), "{:#?}", controller.log_lines());

        // A later namespace emits no new warning, and none is retried without a change.
        env.namespace("late");
        controller.wait_until_idle();
        env.forget_traffic();
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(controller.requests_to_quay(), 0, "{why}: {:#?}", env.quay_traffic().entries());
        assert_eq!(count("organizations are not created"), 1, "{:#?}", controller.log_lines());

        quay.set_flags(|flags| flags.robots_disallow = false);
        let token = json!({ "stringData": { "token": quay.admin_token() } });
        env.merge("Secret", "openshift-operators", "quay-integration", &token);
        if scopes == all {
            // Another token of the same user.
            let token = json!({ "stringData": { "token": quay.add_token("quayadmin", scopes) } });
            env.merge("Secret", "openshift-operators", "quay-integration", &token);
        }
        controller.wait_until("all are linked", || {
            ["a", "b", "c", "late"].iter().all(|name| env.is_linked(name, &[]))
        });
    }
}

#[test]
fn continues_after_read_only_mode() {
    let env = TestEnv::bare();
    env.integration();
    env.sandbox.quay.set_flags(|flags| flags.readonly = true);
    env.namespace("shop");
    let controller = Controller::start(&env, &[]);
    controller.wait_until("it is reported", || is_not_ready(&env, "Quay is in read-only mode"));
    let count = || controller.log_lines().iter().filter(|line| line.contains("read-only")).count();
    assert_eq!(count(), 1, "{:#?}", controller.log_lines());
    env.sandbox.quay.set_flags(|flags| flags.readonly = false);
    controller.wait_until("shop is linked", || env.is_linked("shop", &[]));
    assert_eq!(count(), 1, "{:#?}", controller.log_lines());
}
