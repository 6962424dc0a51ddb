//! Whose an organization is: what is linked, renewed and deleted, and what waits for somebody to say so.

use sandbox::quay::{RepoRole, TeamRole};
use serde_json::{Value, json};

use crate::support::{ACCOUNTS, Bridge, STREAMS, World};

const ORGANIZATION: &str = "openshift_shop";

fn is_there(world: &World, namespace: &str) -> bool {
    world.get("Namespace", "", namespace).is_some()
}

fn has_organization(world: &World) -> bool {
    world.sandbox.quay.organizations().contains(&ORGANIZATION.to_owned())
}

fn left_behind(world: &World) -> Value {
    let integration = world.get("QuayIntegration", "", "quay").unwrap();
    let mut conditions = integration["status"]["conditions"].as_array().into_iter().flatten();
    conditions
        .find(|condition| condition["type"] == "OrphanedOrganizations")
        .cloned()
        .unwrap_or_default()
}

/// Deletes `shop` under the policy delete, with a bridge at work.
fn delete_under_policy(world: &World, bridge: &Bridge<'_>) {
    let annotations =
        json!({ "metadata": { "annotations": { "oc-quay/deletion-policy": "delete" } } });
    world.merge("Namespace", "", "shop", &annotations);
    bridge.waits_until("it is guarded", || {
        world.get("Namespace", "", "shop").unwrap()["metadata"]["finalizers"]
            .to_string()
            .contains("oc-quay/organization")
    });
    world.delete("Namespace", "", "shop");
    bridge.waits_until("it is gone", || !is_there(world, "shop"));
}

fn account(world: &World, name: &str, role: &str) {
    world.create(&json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": name, "namespace": "shop", "annotations": { "oc-quay/role": role } },
    }));
}

fn status_codes(world: &World) -> Vec<String> {
    world
        .oc_quay(&["status", "-n", "shop", "-o", "json"])
        .run()
        .codes()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn deletes_organization_that_oc_quay_created() {
    let world = World::bare();
    world.integration();
    let bridge = Bridge::start(&world, &[]);
    world.namespace("shop");
    bridge.waits_until("it is linked", || world.is_linked("shop", &[]));
    bridge.settles();
    delete_under_policy(&world, &bridge);
    assert!(!has_organization(&world));
}

#[test]
fn keeps_organization_of_people_although_a_robot_account_is_ours() {
    let world = World::bare();
    world.integration();
    world.namespace("shop");
    world.link_by_hand("shop", "app");
    world.merge("Namespace", "", "shop", &json!({ "metadata": { "finalizers": [] } }));
    account(&world, "pipeline", "write");
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("one of four robot accounts is ours", || {
        world.get("Secret", "shop", "pipeline-quay-openshift").is_some()
    });
    delete_under_policy(&world, &bridge);
    bridge.waits_until("it is listed", || left_behind(&world)["message"] == ORGANIZATION);
    assert_eq!(world.sandbox.quay.repositories(ORGANIZATION), ["app"]);
}

#[test]
fn keeps_organization_of_version_0_which_is_healthy() {
    let world = World::bare();
    world.integration();
    world.namespace("shop");
    let uid =
        world.get("Namespace", "", "shop").unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    world.link_by_hand_with_mark(
        "shop",
        "app",
        &format!("oc-quay cluster=api.old:6443 namespace=shop uid={uid}"),
    );
    world.merge("Namespace", "", "shop", &json!({ "metadata": { "finalizers": [] } }));
    world.image_stream("shop", "app");
    world.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
    world.forget_traffic();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.assert_nothing_written();
    let bridge = Bridge::start(&world, &[]);
    delete_under_policy(&world, &bridge);
    bridge.waits_until("it is listed", || left_behind(&world)["message"] == ORGANIZATION);
    assert!(has_organization(&world));
}

#[test]
fn another_clusters_adoption_counts_in_status_and_before_a_deletion() {
    let world = World::bare();
    world.integration();
    world.namespace("shop");
    let bridge = Bridge::start(&world, &[]);
    bridge.waits_until("it is linked", || world.is_linked("shop", &[]));
    bridge.settles();
    let quay = &world.sandbox.quay;
    let builder = format!("{ORGANIZATION}+builder");
    quay.add_team(ORGANIZATION, "oc-quay", TeamRole::Member, &[&builder]);
    let mark =
        "oc-quay v1 cluster=another-integration namespace=shop uid=another server=api.other:6443";
    quay.describe_team(ORGANIZATION, "oc-quay", mark);
    assert_eq!(status_codes(&world), ["OQ204"]);
    // An adoption of version 0 shows in nothing that a look costs anyway.
    quay.describe_team(
        ORGANIZATION,
        "oc-quay",
        "oc-quay cluster=api.other:6443 namespace=shop uid=another",
    );
    delete_under_policy(&world, &bridge);
    bridge.waits_until("it is listed", || left_behind(&world)["message"] == ORGANIZATION);
    assert!(has_organization(&world));
}

#[test]
fn organization_made_in_advance_is_linked_only_when_adopted() {
    let world = World::new();
    let quay = &world.sandbox.quay;
    quay.add_organization(ORGANIZATION, "quayadmin");
    quay.add_team(ORGANIZATION, "people", TeamRole::Admin, &["alice"]);
    world.forget_traffic();
    for command in ["link", "repair"] {
        let run = world.oc_quay(&[command, "-n", "shop", "--yes"]).run();
        assert_ne!(run.code, Some(0), "{run:#?}");
        assert!(run.said().contains("OQ206") && run.said().contains("--adopt"), "{run:#?}");
    }
    world.assert_nothing_written();
    let summary_line = world.oc_quay(&["status", "-n", "shop", "-o", "short"]).ends_with(1).stdout;
    assert!(summary_line.ends_with("Run: oc quay repair --adopt -n shop\n"), "{summary_line}");

    let plan = world
        .oc_quay(&["link", "-n", "shop", "--adopt", "--dry-run", "-o", "wide"])
        .succeeds()
        .stdout;
    assert!(
        plan.contains("take over organization openshift_shop, which carries no mark"),
        "{plan}"
    );
    world.oc_quay(&["link", "-n", "shop", "--adopt", "--yes"]).succeeds();
    world.assert_linked("shop", &STREAMS);
    world.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
    world.forget_traffic();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.assert_nothing_written();
    assert!(quay.teams(ORGANIZATION).contains(&("people".to_owned(), TeamRole::Admin)));
}

#[test]
fn images_without_a_mark_are_nobodys_to_link_by_name_alone() {
    let world = World::new();
    world.robots_by_hand("shop");
    world.sandbox.quay.add_repository(ORGANIZATION, "app", "quayadmin");
    let run = world.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    assert!(run.said().contains("OQ206"), "{run:#?}");
    assert_eq!(world.get("Secret", "shop", "builder-quay-openshift"), None);
    // A project's administrator can set the operator's finalizer, and be given a login that only reads.
    let finalizers = json!({ "metadata": { "finalizers": ["quay.redhat.com/quayintegrations"] } });
    world.merge("Namespace", "", "shop", &finalizers);
    let login = |account: &str| {
        let token = world.sandbox.quay.robot_token(ORGANIZATION, account).unwrap();
        let secret = format!("{account}-quay-openshift");
        world.create_login("shop", &secret, &format!("{ORGANIZATION}+{account}:{token}"));
        world.add_reference("shop", account, &secret);
    };
    login("default");
    let run = world.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    assert!(run.said().contains("OQ206"), "{run:#?}");
    // Who has the login that pushes has all that a link gives.
    login("builder");
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.assert_linked("shop", &STREAMS);
}

#[test]
fn empty_organization_with_a_way_in_for_others_is_not_linked() {
    let ways: [fn(&World); 2] = [
        |world| drop(world.sandbox.quay.add_robot(ORGANIZATION, "builder", "").unwrap()),
        |world| drop(world.sandbox.quay.add_prototype(ORGANIZATION, "alice", RepoRole::Read)),
    ];
    for way_in in ways {
        let world = World::new();
        world.sandbox.quay.add_organization(ORGANIZATION, "quayadmin");
        way_in(&world);
        world.forget_traffic();
        let run = world.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
        assert!(run.said().contains("OQ206"), "{run:#?}");
        world.assert_nothing_written();
    }
}

#[test]
fn any_mark_of_an_earlier_namespace_blocks_its_organization() {
    let world = World::new();
    world.robots_by_hand("shop");
    let mark = "oc-quay cluster=api.old:6443 namespace=shop uid=earlier";
    world.sandbox.quay.add_robot(ORGANIZATION, "pipeline", mark).unwrap();
    world.forget_traffic();
    for command in [
        &["link", "-n", "shop", "--yes"][..],
        &["unlink", "-n", "shop", "--delete-robots", "--yes"],
    ] {
        let run = world.oc_quay(command).run();
        assert_ne!(run.code, Some(0), "{run:#?}");
        assert!(run.said().contains("OQ204"), "{run:#?}");
    }
    assert_eq!(world.quay_traffic().writes().len(), 0);
    assert_eq!(world.get("Secret", "shop", "builder-quay-openshift"), None);
}

#[test]
fn robot_account_of_people_is_given_out_only_when_adopted() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let quay = &world.sandbox.quay;
    quay.add_robot(ORGANIZATION, "ci-admin", "our release job").unwrap();
    quay.add_prototype(ORGANIZATION, "openshift_shop+ci-admin", RepoRole::Admin);
    account(&world, "ci-admin", "read");
    world.forget_traffic();
    let run = world.oc_quay(&["repair", "-n", "shop", "--yes", "-o", "json"]).ends_with(1);
    assert_eq!(run.codes(), ["OQ207"]);
    assert_eq!(status_codes(&world), ["OQ207"]);
    world.assert_nothing_written();

    world.oc_quay(&["repair", "-n", "shop", "--adopt", "--yes"]).succeeds();
    assert_eq!(world.login("shop", "ci-admin-quay-openshift").0, "openshift_shop+ci-admin");
    assert_eq!(status_codes(&world), Vec::<String>::new());
    world.forget_traffic();
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    world.assert_nothing_written();
}

#[test]
fn tokens_of_the_operators_robot_accounts_are_renewed_once_adopted() {
    let world = World::new();
    world.link_by_hand("shop", "app");
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    let tokens = || ACCOUNTS.map(|account| world.sandbox.quay.robot_token(ORGANIZATION, account));
    let before = tokens();
    let run =
        world.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes", "-o", "json"]).ends_with(1);
    assert!(run.codes().contains(&"OQ309".to_owned()), "{}", run.stdout);
    assert_eq!(tokens(), before);
    world.oc_quay(&["repair", "-n", "shop", "--rotate", "--adopt", "--yes"]).succeeds();
    let renewed = tokens();
    assert!(renewed.iter().zip(&before).all(|(now, then)| now != then));
    world.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes"]).succeeds();
    assert!(tokens().iter().zip(&renewed).all(|(now, then)| now != then), "the adoption lasts");
    world.assert_linked("shop", &STREAMS);
}

#[test]
fn unlink_keeps_secrets_of_users() {
    let world = World::new();
    world.link_by_hand("shop", "app");
    let plain = |secret: &str| world.create_login("shop", secret, "openshift_shop+ci:token");
    plain("my-quay-openshift");
    world.create_login("shop", "mine-quay-openshift", "openshift_shop+mine:token");
    let content = world.content("shop", "mine-quay-openshift");
    let mut auths = content["auths"].as_object().unwrap().clone();
    auths.insert("docker.io".into(), json!({ "auth": "bWU6bXk=" }));
    world.set_content("shop", "mine-quay-openshift", &json!({ "auths": auths }));
    world.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
    for account in ACCOUNTS {
        assert_eq!(
            world.get("Secret", "shop", &format!("{account}-quay-openshift")),
            None,
            "{account}"
        );
    }
    assert!(world.get("Secret", "shop", "my-quay-openshift").is_some());
    assert!(world.get("Secret", "shop", "mine-quay-openshift").is_some());
}

#[test]
fn a_takeover_that_is_refused_is_tried_once_and_says_who_can() {
    let world = World::new();
    let quay = &world.sandbox.quay;
    quay.add_organization(ORGANIZATION, "alice");
    quay.add_user("bob", false);
    let scopes = ["user:admin", "org:admin", "repo:create", "repo:read", "repo:admin"];
    for command in ["repair", "link"] {
        world.forget_traffic();
        let run = world
            .oc_quay(&[command, "-n", "shop", "--adopt", "--yes", "-o", "json"])
            .token_of("bob", &scopes)
            .ends_with(1);
        let writes = world.quay_traffic().writes();
        assert_eq!(
            writes.iter().filter(|entry| entry.path.contains("takeownership")).count(),
            1,
            "{command}"
        );
        let report = run.json();
        assert_eq!(report["changes"].as_array().unwrap().len(), 1, "{report:#}");
        assert!(
            report["changes"][0]["error"].to_string().contains("only a superuser of Quay can"),
            "{report:#}"
        );
        let findings = report["findings"].as_array().unwrap();
        let own = findings.iter().find(|finding| finding["code"] == "OQ203");
        assert!(own.is_none_or(|finding| finding["hint"].is_null()), "{report:#}");
    }
}

#[test]
fn what_helps_with_an_earlier_namespaces_organization_is_its_adoption() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.delete("Namespace", "", "shop");
    world.wait_for("it to go", || !is_there(&world, "shop"));
    world.namespace("shop");
    for stream in STREAMS {
        world.image_stream("shop", stream);
    }
    let report = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1).json();
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.len() > 1 && findings[0]["code"] == "OQ205", "{report:#}");
    for finding in findings {
        assert_eq!(finding["hint"], "oc quay repair --adopt -n shop", "{finding}");
    }
    let short = world.oc_quay(&["status", "-n", "shop", "-o", "short"]).ends_with(1).stdout;
    assert!(short.ends_with("Run: oc quay repair --adopt -n shop\n"), "{short}");
    let plan = world
        .oc_quay(&["repair", "-n", "shop", "--adopt", "--dry-run", "-o", "wide"])
        .succeeds()
        .stdout;
    assert!(
        plan.contains("which was made for an earlier") && !plan.contains("another cluster"),
        "{plan}"
    );
    world.oc_quay(&["repair", "--adopt", "-n", "shop", "--yes"]).succeeds();
    world.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
}

#[test]
fn clusters_behind_one_address_are_told_apart() {
    let world = World::new();
    let server = {
        let context = std::fs::read_to_string(world.kubeconfig()).unwrap();
        let line = context
            .lines()
            .find_map(|line| line.trim().strip_prefix("server: https://"))
            .unwrap()
            .to_owned();
        line.trim_matches('"').to_owned()
    };
    world.sandbox.quay.add_organization(ORGANIZATION, "quayadmin");
    let mark = format!(
        "oc-quay v1 cluster=another-integration namespace=shop uid=another created server={server}"
    );
    world.sandbox.quay.add_robot(ORGANIZATION, "builder", &mark).unwrap();
    assert_eq!(status_codes(&world).first().map(String::as_str), Some("OQ204"));
}
