//! Ownership of organizations: which are linked, renewed and deleted, and which need an adoption.

use sandbox::quay::{RepoRole, TeamRole};
use serde_json::{Value, json};

use crate::support::{ACCOUNTS, Controller, STREAMS, TestEnv};

const ORGANIZATION: &str = "openshift_shop";

fn is_there(env: &TestEnv, namespace: &str) -> bool {
    env.get("Namespace", "", namespace).is_some()
}

fn has_organization(env: &TestEnv) -> bool {
    env.sandbox.quay.organizations().contains(&ORGANIZATION.to_owned())
}

fn left_behind(env: &TestEnv) -> Value {
    let integration = env.get("QuayIntegration", "", "quay").unwrap();
    let mut conditions = integration["status"]["conditions"].as_array().into_iter().flatten();
    conditions
        .find(|condition| condition["type"] == "OrphanedOrganizations")
        .cloned()
        .unwrap_or_default()
}

/// Deletes `shop` under the policy delete, with a controller at work.
fn delete_under_policy(env: &TestEnv, controller: &Controller<'_>) {
    let annotations =
        json!({ "metadata": { "annotations": { "oc-quay/deletion-policy": "delete" } } });
    env.merge("Namespace", "", "shop", &annotations);
    controller.wait_until("it is guarded", || {
        env.get("Namespace", "", "shop").unwrap()["metadata"]["finalizers"]
            .to_string()
            .contains("oc-quay/organization")
    });
    env.delete("Namespace", "", "shop");
    controller.wait_until("it is gone", || !is_there(env, "shop"));
}

fn account(env: &TestEnv, name: &str, role: &str) {
    env.create(&json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": name, "namespace": "shop", "annotations": { "oc-quay/role": role } },
    }));
}

fn status_codes(env: &TestEnv) -> Vec<String> {
    env.oc_quay(&["status", "-n", "shop", "-o", "json"])
        .run()
        .codes()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn deletes_organization_that_oc_quay_created() {
    let env = TestEnv::bare();
    env.integration();
    let controller = Controller::start(&env, &[]);
    env.namespace("shop");
    controller.wait_until("it is linked", || env.is_linked("shop", &[]));
    controller.wait_until_idle();
    delete_under_policy(&env, &controller);
    assert!(!has_organization(&env));
}

#[test]
fn keeps_organization_of_users_despite_our_robot_account() {
    let env = TestEnv::bare();
    env.integration();
    env.namespace("shop");
    env.link_by_hand("shop", "app");
    env.merge("Namespace", "", "shop", &json!({ "metadata": { "finalizers": [] } }));
    account(&env, "pipeline", "write");
    let controller = Controller::start(&env, &[]);
    controller.wait_until("one of four robot accounts is ours", || {
        env.get("Secret", "shop", "pipeline-quay-openshift").is_some()
    });
    delete_under_policy(&env, &controller);
    controller.wait_until("it is listed", || left_behind(&env)["message"] == ORGANIZATION);
    assert_eq!(env.sandbox.quay.repositories(ORGANIZATION), ["app"]);
}

#[test]
fn keeps_organization_of_version_0_which_is_healthy() {
    let env = TestEnv::bare();
    env.integration();
    env.namespace("shop");
    let uid =
        env.get("Namespace", "", "shop").unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    env.link_by_hand_with_mark(
        "shop",
        "app",
        &format!("oc-quay cluster=api.old:6443 namespace=shop uid={uid}"),
    );
    env.merge("Namespace", "", "shop", &json!({ "metadata": { "finalizers": [] } }));
    env.image_stream("shop", "app");
    env.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
    env.forget_traffic();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.assert_nothing_written();
    let controller = Controller::start(&env, &[]);
    delete_under_policy(&env, &controller);
    controller.wait_until("it is listed", || left_behind(&env)["message"] == ORGANIZATION);
    assert!(has_organization(&env));
}

#[test]
fn respects_adoption_by_another_cluster() {
    let env = TestEnv::bare();
    env.integration();
    env.namespace("shop");
    let controller = Controller::start(&env, &[]);
    controller.wait_until("it is linked", || env.is_linked("shop", &[]));
    controller.wait_until_idle();
    let quay = &env.sandbox.quay;
    let builder = format!("{ORGANIZATION}+builder");
    quay.add_team(ORGANIZATION, "oc-quay", TeamRole::Member, &[&builder]);
    let mark =
        "oc-quay v1 cluster=another-integration namespace=shop uid=another server=api.other:6443";
    quay.describe_team(ORGANIZATION, "oc-quay", mark);
    assert_eq!(status_codes(&env), ["OQ204"]);
    // An adoption of version 0 is visible only with additional requests.
    quay.describe_team(
        ORGANIZATION,
        "oc-quay",
        "oc-quay cluster=api.other:6443 namespace=shop uid=another",
    );
    delete_under_policy(&env, &controller);
    controller.wait_until("it is listed", || left_behind(&env)["message"] == ORGANIZATION);
    assert!(has_organization(&env));
}

#[test]
fn links_precreated_organization_only_when_adopted() {
    let env = TestEnv::new();
    let quay = &env.sandbox.quay;
    quay.add_organization(ORGANIZATION, "quayadmin");
    quay.add_team(ORGANIZATION, "people", TeamRole::Admin, &["alice"]);
    env.forget_traffic();
    for command in ["link", "repair"] {
        let run = env.oc_quay(&[command, "-n", "shop", "--yes"]).run();
        assert_ne!(run.code, Some(0), "{run:#?}");
        assert!(run.said().contains("OQ206") && run.said().contains("--adopt"), "{run:#?}");
    }
    env.assert_nothing_written();
    let summary_line = env.oc_quay(&["status", "-n", "shop", "-o", "short"]).ends_with(1).stdout;
    assert!(summary_line.ends_with("Run: oc quay repair --adopt -n shop\n"), "{summary_line}");

    let plan = env
        .oc_quay(&["link", "-n", "shop", "--adopt", "--dry-run", "-o", "wide"])
        .succeeds()
        .stdout;
    assert!(
        plan.contains("adopt organization openshift_shop, without an ownership mark"),
        "{plan}"
    );
    env.oc_quay(&["link", "-n", "shop", "--adopt", "--yes"]).succeeds();
    env.assert_linked("shop", &STREAMS);
    env.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
    env.forget_traffic();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.assert_nothing_written();
    assert!(quay.teams(ORGANIZATION).contains(&("people".to_owned(), TeamRole::Admin)));
}

#[test]
fn does_not_link_unmarked_organization_with_images() {
    let env = TestEnv::new();
    env.robots_by_hand("shop");
    env.sandbox.quay.add_repository(ORGANIZATION, "app", "quayadmin");
    let run = env.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    assert!(run.said().contains("OQ206"), "{run:#?}");
    assert_eq!(env.get("Secret", "shop", "builder-quay-openshift"), None);
    // A project administrator can set the operator's finalizer and receive credentials that only
    // read.
    let finalizers = json!({ "metadata": { "finalizers": ["quay.redhat.com/quayintegrations"] } });
    env.merge("Namespace", "", "shop", &finalizers);
    let credentials = |account: &str| {
        let token = env.sandbox.quay.robot_token(ORGANIZATION, account).unwrap();
        let secret = format!("{account}-quay-openshift");
        env.create_credentials("shop", &secret, &format!("{ORGANIZATION}+{account}:{token}"));
        env.add_reference("shop", account, &secret);
    };
    credentials("default");
    let run = env.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    assert!(run.said().contains("OQ206"), "{run:#?}");
    // The credentials that push give everything that a link gives.
    credentials("builder");
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.assert_linked("shop", &STREAMS);
}

#[test]
fn does_not_link_empty_organization_with_other_members() {
    let ways: [fn(&TestEnv); 2] = [
        |env| drop(env.sandbox.quay.add_robot(ORGANIZATION, "builder", "").unwrap()),
        |env| drop(env.sandbox.quay.add_prototype(ORGANIZATION, "alice", RepoRole::Read)),
    ];
    for way_in in ways {
        let env = TestEnv::new();
        env.sandbox.quay.add_organization(ORGANIZATION, "quayadmin");
        way_in(&env);
        env.forget_traffic();
        let run = env.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
        assert!(run.said().contains("OQ206"), "{run:#?}");
        env.assert_nothing_written();
    }
}

#[test]
fn mark_of_an_earlier_namespace_blocks_its_organization() {
    let env = TestEnv::new();
    env.robots_by_hand("shop");
    let mark = "oc-quay cluster=api.old:6443 namespace=shop uid=earlier";
    env.sandbox.quay.add_robot(ORGANIZATION, "pipeline", mark).unwrap();
    env.forget_traffic();
    for command in [
        &["link", "-n", "shop", "--yes"][..],
        &["unlink", "-n", "shop", "--delete-robots", "--yes"],
    ] {
        let run = env.oc_quay(command).run();
        assert_ne!(run.code, Some(0), "{run:#?}");
        assert!(run.said().contains("OQ204"), "{run:#?}");
    }
    assert_eq!(env.quay_traffic().writes().len(), 0);
    assert_eq!(env.get("Secret", "shop", "builder-quay-openshift"), None);
}

#[test]
fn shares_robot_account_of_users_only_when_adopted() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let quay = &env.sandbox.quay;
    quay.add_robot(ORGANIZATION, "ci-admin", "our release job").unwrap();
    quay.add_prototype(ORGANIZATION, "openshift_shop+ci-admin", RepoRole::Admin);
    account(&env, "ci-admin", "read");
    env.forget_traffic();
    let run = env.oc_quay(&["repair", "-n", "shop", "--yes", "-o", "json"]).ends_with(1);
    assert_eq!(run.codes(), ["OQ207"]);
    assert_eq!(status_codes(&env), ["OQ207"]);
    env.assert_nothing_written();

    env.oc_quay(&["repair", "-n", "shop", "--adopt", "--yes"]).succeeds();
    assert_eq!(env.credentials("shop", "ci-admin-quay-openshift").0, "openshift_shop+ci-admin");
    assert_eq!(status_codes(&env), Vec::<String>::new());
    env.forget_traffic();
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    env.assert_nothing_written();
}

#[test]
fn adoption_renews_tokens_of_the_operators_robot_accounts() {
    let env = TestEnv::new();
    env.link_by_hand("shop", "app");
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    let tokens = || ACCOUNTS.map(|account| env.sandbox.quay.robot_token(ORGANIZATION, account));
    let before = tokens();
    let run =
        env.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes", "-o", "json"]).ends_with(1);
    assert!(run.codes().contains(&"OQ309".to_owned()), "{}", run.stdout);
    assert_eq!(tokens(), before);
    env.oc_quay(&["repair", "-n", "shop", "--rotate", "--adopt", "--yes"]).succeeds();
    let renewed = tokens();
    assert!(renewed.iter().zip(&before).all(|(now, then)| now != then));
    env.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes"]).succeeds();
    assert!(
        tokens().iter().zip(&renewed).all(|(now, then)| now != then),
        "the adoption is permanent"
    );
    env.assert_linked("shop", &STREAMS);
}

#[test]
fn unlink_keeps_secrets_of_users() {
    let env = TestEnv::new();
    env.link_by_hand("shop", "app");
    let plain = |secret: &str| env.create_credentials("shop", secret, "openshift_shop+ci:token");
    plain("my-quay-openshift");
    env.create_credentials("shop", "mine-quay-openshift", "openshift_shop+mine:token");
    let content = env.content("shop", "mine-quay-openshift");
    let mut auths = content["auths"].as_object().unwrap().clone();
    auths.insert("docker.io".into(), json!({ "auth": "bWU6bXk=" }));
    env.set_content("shop", "mine-quay-openshift", &json!({ "auths": auths }));
    env.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
    for account in ACCOUNTS {
        assert_eq!(
            env.get("Secret", "shop", &format!("{account}-quay-openshift")),
            None,
            "{account}"
        );
    }
    assert!(env.get("Secret", "shop", "my-quay-openshift").is_some());
    assert!(env.get("Secret", "shop", "mine-quay-openshift").is_some());
}

#[test]
fn tries_rejected_adoption_once_and_names_who_can() {
    let env = TestEnv::new();
    let quay = &env.sandbox.quay;
    quay.add_organization(ORGANIZATION, "alice");
    quay.add_user("bob", false);
    let scopes = ["user:admin", "org:admin", "repo:create", "repo:read", "repo:admin"];
    for command in ["repair", "link"] {
        env.forget_traffic();
        let run = env
            .oc_quay(&[command, "-n", "shop", "--adopt", "--yes", "-o", "json"])
            .token_of("bob", &scopes)
            .ends_with(1);
        let writes = env.quay_traffic().writes();
        assert_eq!(
            writes.iter().filter(|entry| entry.path.contains("takeownership")).count(),
            1,
            "{command}"
        );
        let report = run.json();
        assert_eq!(report["changes"].as_array().unwrap().len(), 1, "{report:#}");
        assert!(
            report["changes"][0]["error"].to_string().contains("this requires a superuser"),
            "{report:#}"
        );
        let findings = report["findings"].as_array().unwrap();
        let own = findings.iter().find(|finding| finding["code"] == "OQ203");
        assert!(own.is_none_or(|finding| finding["hint"].is_null()), "{report:#}");
    }
}

#[test]
fn hints_at_adoption_of_an_earlier_namespaces_organization() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.delete("Namespace", "", "shop");
    env.wait_for("it to go", || !is_there(&env, "shop"));
    env.namespace("shop");
    for stream in STREAMS {
        env.image_stream("shop", stream);
    }
    let report = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1).json();
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.len() > 1 && findings[0]["code"] == "OQ205", "{report:#}");
    for finding in findings {
        assert_eq!(finding["hint"], "oc quay repair --adopt -n shop", "{finding}");
    }
    let short = env.oc_quay(&["status", "-n", "shop", "-o", "short"]).ends_with(1).stdout;
    assert!(short.ends_with("Run: oc quay repair --adopt -n shop\n"), "{short}");
    let plan = env
        .oc_quay(&["repair", "-n", "shop", "--adopt", "--dry-run", "-o", "wide"])
        .succeeds()
        .stdout;
    assert!(plan.contains("created for a previous") && !plan.contains("another cluster"), "{plan}");
    env.oc_quay(&["repair", "--adopt", "-n", "shop", "--yes"]).succeeds();
    env.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
}

#[test]
fn distinguishes_clusters_behind_one_address() {
    let env = TestEnv::new();
    let server = {
        let context = std::fs::read_to_string(env.kubeconfig()).unwrap();
        let line = context
            .lines()
            .find_map(|line| line.trim().strip_prefix("server: https://"))
            .unwrap()
            .to_owned();
        line.trim_matches('"').to_owned()
    };
    env.sandbox.quay.add_organization(ORGANIZATION, "quayadmin");
    let mark = format!(
        "oc-quay v1 cluster=another-integration namespace=shop uid=another created server={server}"
    );
    env.sandbox.quay.add_robot(ORGANIZATION, "builder", &mark).unwrap();
    assert_eq!(status_codes(&env).first().map(String::as_str), Some("OQ204"));
}
