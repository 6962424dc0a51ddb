//! `run`: the bridge keeps namespaces linked by itself.

use std::time::{Duration, Instant};

use sandbox::Options;
use sandbox::openshift::Cluster;
use serde_json::{Value, json};

use crate::support::{Bridge, World};

#[test]
fn a_new_namespace_is_linked_and_what_is_lost_is_put_back_at_the_least_cost_to_quay() {
    let world = World::bare();
    world.integration();
    let bridge = Bridge::start(&world, &[]);
    world.forget_traffic();
    world.namespace("shop");
    for stream in ["app", "base", "web"] {
        world.image_stream("shop", stream);
    }
    bridge.waits_until("shop is linked", || world.is_linked("shop", &["app", "base", "web"]));
    world.assert_linked("shop", &["app", "base", "web"]);
    assert!(bridge.requests_to_quay() <= 13, "{:#?}", world.quay_traffic().entries());

    world.forget_traffic();
    world.image_stream("shop", "cron");
    bridge.waits_until("the repository", || {
        world.sandbox.quay.repositories("openshift_shop").contains(&"cron".to_owned())
    });
    bridge.settles();
    assert_eq!(bridge.requests_to_quay(), 1, "{:#?}", world.quay_traffic().entries());

    world.forget_traffic();
    world.delete("Secret", "shop", "builder-quay-openshift");
    bridge.waits_until("the secret", || {
        world.get("Secret", "shop", "builder-quay-openshift").is_some()
    });
    bridge.settles();
    assert!(bridge.requests_to_quay() <= 2, "{:#?}", world.quay_traffic().entries());
    world.assert_linked("shop", &["app", "base", "cron", "web"]);

    // What is none of its business costs nothing.
    world.forget_traffic();
    world.merge("Namespace", "", "shop", &json!({ "metadata": { "labels": { "team": "red" } } }));
    world.merge(
        "ServiceAccount",
        "shop",
        "builder",
        &json!({ "metadata": { "labels": { "team": "red" } } }),
    );
    bridge.settles();
    assert_eq!(bridge.requests_to_quay(), 0, "{:#?}", world.quay_traffic().entries());
    world.assert_nothing_written();
}

#[test]
fn the_integration_may_come_change_and_go_while_the_bridge_runs() {
    let world = World::bare();
    let bridge = Bridge::start(&world, &[]);
    world.namespace("shop");
    bridge.settles();
    assert!(bridge.says("the cluster has no QuayIntegration"));
    assert_eq!(bridge.requests_to_quay(), 0);

    world.integration();
    bridge.waits_until("shop is linked", || world.is_linked("shop", &[]));

    // Two at once mean none, and say so.
    let mut second = sandbox::manifests::quay_integration(&world.sandbox.quay.url());
    second["metadata"]["name"] = json!("second");
    world.create(&second);
    bridge.waits_until("the second one is noticed", || bridge.says("there are 2 QuayIntegrations"));
    world.delete("Secret", "shop", "builder-quay-openshift");
    bridge.waits_until("the conditions", || {
        condition(&world, "second", "Ready")["reason"] == "MultipleIntegrations"
    });
    assert_eq!(condition(&world, "quay", "Ready")["status"], "False");
    assert_eq!(world.get("Secret", "shop", "builder-quay-openshift"), None);
    world.delete("QuayIntegration", "", "second");
    bridge.waits_until("the secret", || {
        world.get("Secret", "shop", "builder-quay-openshift").is_some()
    });

    // A namespace that is taken out of scope is left as it is, and one that comes in is linked.
    world.namespace("late");
    bridge.waits_until("late is linked", || world.is_linked("late", &[]));
    world.merge(
        "QuayIntegration",
        "",
        "quay",
        &json!({ "spec": { "denylistNamespaces": ["shop"] } }),
    );
    bridge.settles();
    world.delete("Secret", "shop", "builder-quay-openshift");
    world.image_stream("shop", "app");
    bridge.settles();
    assert_eq!(world.get("Secret", "shop", "builder-quay-openshift"), None);
    world.forget_traffic();
    world.merge("QuayIntegration", "", "quay", &json!({ "spec": { "denylistNamespaces": [] } }));
    bridge.waits_until("shop is linked again", || world.is_linked("shop", &["app"]));
    bridge.settles();
    world.assert_linked("shop", &["app"]);
    let of_late = world
        .quay_traffic()
        .entries()
        .iter()
        .filter(|entry| entry.path.contains("openshift_late"))
        .count();
    assert_eq!(of_late, 0, "the lists changed nothing for it");

    // A token that is revoked, and a new one in its place.
    let token = world.sandbox.quay.admin_token();
    world.merge(
        "Secret",
        "openshift-operators",
        "quay-integration",
        &json!({ "stringData": { "token": "revoked" } }),
    );
    world.image_stream("shop", "web");
    bridge.waits_until("the token is refused", || bridge.says("does not accept the token"));
    world.merge(
        "Secret",
        "openshift-operators",
        "quay-integration",
        &json!({ "stringData": { "token": token } }),
    );
    bridge.waits_until("shop is as it should be", || world.is_linked("shop", &["app", "web"]));
}

#[test]
fn an_organization_goes_with_its_namespace_only_where_that_was_asked_for_and_no_namespace_ever_hangs()
 {
    let world = World::bare();
    world.integration();
    for name in ["keep", "drop", "away"] {
        world.create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "annotations":
            if name == "keep" { json!({}) } else { json!({ "oc-quay/deletion-policy": "delete" }) } } }));
    }
    let bridge = Bridge::start(&world, &[]);
    for name in ["keep", "drop", "away"] {
        bridge.waits_until("it is linked", || world.is_linked(name, &[]));
    }
    let finalizers = |name: &str| {
        world
            .get("Namespace", "", name)
            .map(|namespace| namespace["metadata"]["finalizers"].clone())
    };
    assert_eq!(finalizers("drop"), Some(json!(["oc-quay/organization"])));
    assert_eq!(finalizers("keep"), Some(json!(null)));

    world.delete("Namespace", "", "keep");
    world.delete("Namespace", "", "drop");
    bridge.waits_until("both are gone", || {
        finalizers("keep").is_none() && finalizers("drop").is_none()
    });
    let organizations = world.sandbox.quay.organizations();
    assert!(
        organizations.contains(&"openshift_keep".to_owned())
            && !organizations.contains(&"openshift_drop".to_owned())
    );

    world.quay_traffic().fault(sandbox::traffic::Fault::on("DELETE", "openshift_away").status(500));
    world.delete("Namespace", "", "away");
    bridge.waits_until("it goes all the same", || finalizers("away").is_none());
    bridge.waits_until("it is told", || bridge.says("organization openshift_away stays"));
    let left_behind =
        || condition(&world, "quay", "OrphanedOrganizations")["message"] == "openshift_away";
    bridge.waits_until("it is recorded", left_behind);
    world.assert_within_the_bridges_rights();
}

#[test]
fn what_needs_a_person_is_told_until_it_is_gone_and_costs_nothing() {
    let world = World::bare();
    world.integration();
    for name in ["a--b", "shop", "theirs"] {
        world.namespace(name);
    }
    let opaque = |world: &World| {
        let metadata = json!({ "name": "default-quay-openshift", "namespace": "shop" });
        world.create(&json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque" }));
    };
    opaque(&world);
    world.sandbox.quay.add_organization("openshift_theirs", "quayadmin");
    let mark = "oc-quay cluster=other namespace=theirs uid=other";
    world.sandbox.quay.add_robot("openshift_theirs", "builder", mark).unwrap();
    let bridge = Bridge::start(&world, &[]);
    for words in ["a--b: needs a person", "shop: needs a person", "theirs: needs a person"] {
        bridge.waits_until("each is told", || bridge.says(words));
    }
    let ready = || condition(&world, "quay", "Ready");
    bridge.waits_until("the condition", || {
        ready()["message"].as_str().is_some_and(|text| text.contains("3 of 3 namespaces"))
    });
    bridge.settles();
    let message = ready()["message"].as_str().unwrap().to_owned();
    for code in ["OQ202", "OQ302", "OQ204"] {
        assert!(message.contains(code), "{message}");
    }
    let status = world.oc_quay(&["status", "-A", "-o", "json"]).ends_with(1);
    assert!(status.codes().contains(&"OQ302".to_owned()));
    let blocked = || {
        let events = world.list("Event", "shop").into_iter();
        events.filter(|event| event["reason"] == "QuayReconcileFailed").count()
    };
    bridge.waits_until("the event", || blocked() == 1);

    // Nothing happens, so Quay is not asked again and again.
    world.forget_traffic();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(bridge.requests_to_quay(), 0, "{:#?}", world.quay_traffic().entries());

    // What stands in the way is followed, whatever its type.
    world.delete("Secret", "shop", "default-quay-openshift");
    bridge.waits_until("shop is linked", || world.is_linked("shop", &[]));
    bridge.waits_until("the condition", || {
        ready()["message"].as_str().is_some_and(|text| text.contains("2 of 3 namespaces"))
    });
    world.assert_within_the_bridges_rights();
}

#[test]
fn a_slow_quay_is_asked_on_and_told_of_once() {
    let Some(world) = World::stand_in("its answers are held back") else { return };
    let names: Vec<String> = (0..10).map(|number| format!("slow-{number}")).collect();
    let bridge = Bridge::start(&world, &["--request-timeout", "2s"]);
    bridge.waits_until("shop is linked", || world.is_linked("shop", &["app", "base", "web"]));
    // Three calls among many take too long, one after the other, and each answer takes its time.
    world.quay_traffic().set_latency(Duration::from_millis(200));
    for nth in [3, 20, 40] {
        world.quay_traffic().fault(
            sandbox::traffic::Fault::on("*", "openshift_slow")
                .nth(nth)
                .delay(Duration::from_secs(4)),
        );
    }
    names.iter().for_each(|name| world.shared_namespace(name));
    for name in &names {
        bridge.waits_until("it is linked", || world.is_linked(name, &["app", "base", "web"]));
    }
    assert!(!bridge.says("Quay cannot be worked with"), "{:#?}", bridge.lines());
    let warnings = bridge.lines().iter().filter(|line| line.contains("WARN")).count();
    assert!(warnings <= 10, "{:#?}", bridge.lines());
}

#[test]
fn a_crowded_namespace_takes_no_more_than_its_share() {
    let Some(world) = World::stand_in("thousands of objects take their time") else { return };
    world.namespace("crowd");
    for number in 0..300 {
        let annotations = json!({ "oc-quay/role": "write" });
        let metadata = json!({ "name": format!("a{number:03}"), "namespace": "crowd", "annotations": annotations });
        world
            .create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
        world.image_stream("crowd", &format!("app{number:03}"));
    }
    let names: Vec<String> = (0..50).map(|number| format!("small-{number}")).collect();
    names.iter().for_each(|name| world.shared_namespace(name));
    world.forget_traffic();
    let bridge = Bridge::start_now(
        &world,
        &["--metrics-bind-address", "127.0.0.1:0", "--log-format", "json"],
    );
    let of = |words: &str| {
        world.quay_traffic().entries().iter().filter(|entry| concerns(entry, words)).count()
    };
    for name in &names {
        bridge.waits_until("it is linked", || world.is_linked(name, &["app", "base", "web"]));
        assert_eq!(bridge.page("/healthz").0, 200);
    }
    let (small, crowd) = (of("openshift_small"), of("openshift_crowd"));
    assert!(small <= 50 * 13 && crowd <= small, "{crowd} requests for one, {small} for fifty");
    let status = world.oc_quay(&["status", "-n", "crowd", "-o", "json"]).ends_with(1);
    assert!(status.codes().contains(&"OQ316".to_owned()), "{:?}", status.codes());
}

/// Whether a request is about an organization whose name begins so.
fn concerns(entry: &sandbox::traffic::Entry, organization: &str) -> bool {
    entry.path.contains(organization) || String::from_utf8_lossy(&entry.body).contains(organization)
}

/// A condition of a QuayIntegration.
fn condition(world: &World, integration: &str, kind: &str) -> Value {
    let integration = world.get("QuayIntegration", "", integration).unwrap();
    let mut conditions = integration["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
}

#[test]
fn what_a_build_pushed_is_imported_once_and_no_rollback_is_undone() {
    let world = World::new();
    world.merge("QuayIntegration", "", "quay", &json!({ "spec": { "insecureRegistry": true } }));
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("shop is linked", || world.is_linked("shop", &["app", "base", "web"]));
    let image = format!("{}/openshift_shop/app:latest", world.sandbox.quay.host());
    let output = json!({ "to": { "kind": "DockerImage", "name": image }, "pushSecret": { "name": "builder-quay-openshift" } });
    world.build_config("shop", "app", &output);
    let newest = || world.newest_item("shop", "app", "latest").map(|item| item["image"].clone());
    let in_quay = || world.quay_digest("openshift_shop", "app", "latest").map(Value::from);
    let is_noted = |build: &str| {
        let build = world.get("Build", "shop", build).unwrap();
        build["metadata"]["annotations"]["quay-registry-operator.quay.redhat.com/destination-imagestreamtag-imported"]
            == "true"
    };

    // As a webhook leaves it. Which of two is the later one shows to the second.
    let start = || {
        std::thread::sleep(Duration::from_millis(1100));
        let build = world.start_build("shop", "app");
        let managed = "quay-registry-operator.quay.redhat.com/quay-registry-operator-managed";
        world.merge(
            "Build",
            "shop",
            &build,
            &json!({ "metadata": { "annotations": { managed: "true" } } }),
        );
        build
    };
    let first = start();
    bridge.waits_until("the build is imported", || newest().is_some() && is_noted(&first));
    assert_eq!(newest(), in_quay());
    bridge.settles();
    let imports = world
        .cluster_traffic()
        .entries()
        .iter()
        .filter(|entry| entry.path.contains("imagestreamimports"))
        .count();
    assert_eq!(imports, 1);

    // What is complete before the bridge starts is imported, unless it was rolled back since.
    drop(bridge);
    let before = newest();
    let second = start();
    world.wait_for_build("shop", &second, "Complete");
    assert_ne!(in_quay(), before, "a weak test: both builds pushed the same");
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("the build is imported", || is_noted(&second));
    assert_eq!(newest(), in_quay());
    drop(bridge);
    let rolled_back = start();
    world.wait_for_build("shop", &rolled_back, "Complete");
    let inside = world.push_inside("shop", "app", "latest");
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("it is noted", || is_noted(&rolled_back));
    assert_eq!(newest(), Some(Value::from(inside)));
    let custom = json!({ "dockerStrategy": null, "customStrategy": { "from": { "kind": "DockerImage", "name": "builder" } } });
    world.merge("BuildConfig", "shop", "app", &json!({ "spec": { "strategy": custom } }));
    let third = start();
    bridge.waits_until("the next build is imported", || is_noted(&third));
    assert_eq!(newest(), in_quay());
    world.assert_within_the_bridges_rights();
}

#[test]
fn service_accounts_that_never_come_are_waited_for_once() {
    let without = vec!["build.openshift.io".to_owned(), "apps.openshift.io".to_owned()];
    let options =
        Options { cluster: Cluster { without, ..Cluster::default() }, ..Options::default() };
    let Some(world) = World::stand_in_bare(options, "its capabilities are all on") else { return };
    world.integration();
    let bridge = Bridge::start(&world, &[]);
    world.create(&sandbox::manifests::namespace("shop"));
    let pulls = || {
        world
            .references("shop", "default", "imagePullSecrets")
            .iter()
            .any(|secret| secret.contains("-quay-"))
    };
    bridge.waits_until("shop is linked as far as it goes", pulls);
    let since = Instant::now();
    world.image_stream("shop", "app");
    bridge.waits_until("the repository", || {
        world.sandbox.quay.repositories("openshift_shop").contains(&"app".to_owned())
    });
    assert!(since.elapsed() < Duration::from_secs(10), "it took {:?}", since.elapsed());
}

#[test]
fn shows_a_plan_and_asks_at_a_terminal() {
    let world = World::new();
    let dry = world.oc_quay(&["run", "--dry-run"]).succeeds();
    assert!(dry.stdout.contains("create organization openshift_shop"), "{}", dry.stdout);
    assert!(dry.stdout.contains("Nothing was written (--dry-run)"), "{}", dry.stdout);
    let terminal = world.oc_quay(&["run"]).in_window(100, 60);
    terminal.sees("Make these changes, and keep making them until Ctrl-C? (y/N)");
    assert!(
        terminal.screen().contains("create organization openshift_shop"),
        "{}",
        terminal.screen()
    );
    terminal.press(crate::support::Key::Enter);
    terminal.ends_with(130);
    world.assert_nothing_written();
}

/// Whether the QuayIntegration says with these words why namespaces are not linked.
fn is_told(world: &World, words: &str) -> bool {
    let ready = condition(world, "quay", "Ready");
    ready["status"] == "False"
        && ready["message"].as_str().is_some_and(|message| message.contains(words))
}

#[test]
fn says_once_what_keeps_organizations_from_being_created() {
    let all = ["org:admin", "repo:admin", "repo:create", "user:admin", "user:read"];
    let table: [(&[&str], bool, &str); 2] = [
        (&all, true, "allows no robot accounts"),
        (&["repo:admin", "repo:create", "user:admin", "user:read"], false, "org:admin"),
    ];
    for (scopes, robots_disallow, why) in table {
        let world = World::bare();
        let quay = &world.sandbox.quay;
        quay.set_flags(|flags| {
            (flags.robots_disallow, flags.namespace_gc) = (robots_disallow, true)
        });
        quay.add_organization("theirs", "quayadmin");
        world.create(&sandbox::manifests::credentials(&quay.add_token("quayadmin", scopes)));
        world.create(&sandbox::manifests::quay_integration(&quay.url()));
        ["a", "b", "c"].iter().for_each(|name| world.namespace(name));
        let bridge = Bridge::start(&world, &[]);
        bridge.waits_until("the condition", || is_told(&world, why));
        bridge.settles();
        assert_eq!(quay.organizations(), ["theirs"], "{why}");
        let told = |words: &str| bridge.lines().iter().filter(|line| line.contains(words)).count();
        assert_eq!(told("no organization is created"), 1, "{:#?}", bridge.lines());
        assert!(told("WARN") <= 1 + told("failed"), "{:#?}", bridge.lines());

        // A namespace that comes later finds out nothing new, and none is tried again by itself.
        world.namespace("late");
        bridge.settles();
        world.forget_traffic();
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(bridge.requests_to_quay(), 0, "{why}: {:#?}", world.quay_traffic().entries());
        assert_eq!(told("no organization is created"), 1, "{:#?}", bridge.lines());

        quay.set_flags(|flags| flags.robots_disallow = false);
        let token = json!({ "stringData": { "token": quay.admin_token() } });
        world.merge("Secret", "openshift-operators", "quay-integration", &token);
        if scopes == all {
            // The same user's other token.
            let token = json!({ "stringData": { "token": quay.add_token("quayadmin", scopes) } });
            world.merge("Secret", "openshift-operators", "quay-integration", &token);
        }
        bridge.waits_until("all are linked", || {
            ["a", "b", "c", "late"].iter().all(|name| world.is_linked(name, &[]))
        });
    }
}

#[test]
fn goes_on_when_quay_takes_writes_again() {
    let world = World::bare();
    world.integration();
    world.sandbox.quay.set_flags(|flags| flags.readonly = true);
    world.namespace("shop");
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("it is told", || is_told(&world, "Quay is in read-only mode"));
    let told = || bridge.lines().iter().filter(|line| line.contains("read-only")).count();
    assert_eq!(told(), 1, "{:#?}", bridge.lines());
    world.sandbox.quay.set_flags(|flags| flags.readonly = false);
    bridge.waits_until("shop is linked", || world.is_linked("shop", &[]));
    assert_eq!(told(), 1, "{:#?}", bridge.lines());
}
