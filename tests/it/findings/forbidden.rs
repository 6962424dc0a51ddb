//! What may not be read is unknown: never missing, and never repaired.

use sandbox::traffic::Fault;

use super::{expected, found};
use crate::support::World;

/// A refusal as the API server words it.
const FORBIDDEN: &str = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,
    "message":"User \"admin\" cannot do that"}"#;

#[test]
fn what_may_not_be_read_is_unknown_and_nothing_is_repaired_on_a_guess() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let in_cluster = [
        ("namespaces/shop/serviceaccounts", &["OQ901 ServiceAccount"][..]),
        ("namespaces/shop/secrets", &["OQ901 Secret"]),
        ("namespaces/shop/imagestreams", &["OQ901 ImageStream"]),
        (
            "api/v1/namespaces/shop",
            &["OQ901 Namespace/shop", "OQ901 Secret", "OQ901 ServiceAccount"],
        ),
        ("secrets/quay-integration", &["OQ108 Secret/quay-integration"]),
    ];
    for (path, findings) in in_cluster {
        world.cluster_traffic().fault(Fault::on("GET", path).status(403).body(FORBIDDEN));
        assert_unknown(&world, path, findings);
    }
    let in_quay = [
        ("openshift_shop/robots", "OQ901 RobotAccount"),
        ("openshift_shop/prototypes", "OQ901 DefaultPermission"),
        ("v1/repository?", "OQ901 Repository"),
    ];
    for (path, finding) in in_quay {
        // Not 403: Quay says that of what is not there, too.
        world
            .quay_traffic()
            .fault(Fault::on("GET", path).status(400).body(r#"{"message":"Not today"}"#));
        assert_unknown(&world, path, &[finding]);
    }
}

#[track_caller]
fn assert_unknown(world: &World, path: &str, findings: &[&str]) {
    let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds();
    assert_eq!(found(&status), findings, "{path}");
    assert!(
        !status.json()["summaryLine"].as_str().unwrap().contains("can pull"),
        "{}",
        status.stdout
    );
    world.forget_traffic();
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).run();
    world.assert_nothing_written();
    world.cluster_traffic().clear_faults();
    world.quay_traffic().clear_faults();
}

#[test]
fn somebody_who_may_read_neither_the_integration_nor_the_token_is_told_both_ways_out() {
    let world = World::new();
    world.grant("dev", "shop");
    for user in ["dev", "nobody"] {
        for command in ["status", "link", "repair", "unlink"] {
            let run = world.oc_quay(&[command, "-n", "shop"]).user(user).ends_with(2);
            assert!(
                run.stderr.contains("--quay-url")
                    && run.stderr.contains("ask a cluster administrator"),
                "{}",
                run.stderr
            );
            let is_asked_to_run_it =
                run.stderr.contains(&format!("administrator to run: oc quay {command} -n shop\n"));
            // A status needs no token.
            assert_eq!(is_asked_to_run_it, command != "status", "{}", run.stderr);
        }
    }
    assert!(world.quay_traffic().entries().is_empty());
}

#[test]
fn works_from_own_pull_secrets_without_any_cluster_right() {
    let world = World::new();
    world.grant("dev", "shop");
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.forget_traffic();
    for namespace in [&["-n", "shop"][..], &["shop"]] {
        let status =
            world.oc_quay(&[&["status", "-o", "json"], namespace].concat()).user("dev").succeeds();
        let report = status.json();
        assert_eq!(report["integration"]["quay"]["value"], world.sandbox.quay.url(), "{report}");
        assert_eq!(report["integration"]["clusterId"]["value"], "openshift");
        assert!(report["next"].as_str().unwrap().ends_with("--probe"), "{report}");
    }
    assert!(world.quay_traffic().entries().is_empty(), "there is no token");
    let probe = world.oc_quay(&["status", "-n", "shop", "--probe"]).user("dev").succeeds();
    assert!(probe.stdout.contains("3 of 3 logins accepted"), "{}", probe.stdout);
    world.remove_from_list("shop", "default", "imagePullSecrets", "default-quay-openshift");
    let status = world.oc_quay(&["status", "-n", "shop"]).user("dev").ends_with(1);
    assert!(
        status.stdout.contains("Ask a cluster administrator to run: oc quay repair -n shop"),
        "{}",
        status.stdout
    );
}

#[test]
fn names_the_unread_object_and_the_administrators_command() {
    let world = World::new();
    world.grant("dev", "shop");
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.forget_traffic();
    let commands = [
        ("repair shop --rotate", "repair -n shop --rotate"),
        (
            "link -n shop --service-account pipeline=write",
            "link -n shop --service-account pipeline=write",
        ),
        ("import -n shop", "import -n shop"),
        ("import app -n shop --missing", "import app -n shop --missing"),
        ("unlink shop --delete-robots", "unlink -n shop --delete-robots"),
    ];
    let hints = |stderr: &str| {
        stderr
            .lines()
            .filter_map(|line| line.strip_prefix("hint: "))
            .take(2)
            .collect::<Vec<_>>()
            .join("|")
    };
    for (command, expected) in commands {
        let command: Vec<_> = command.split(' ').chain(["--yes"]).collect();
        let run = world.oc_quay(&command).user("dev").ends_with(2);
        assert!(
            run.stderr.starts_with(
                "error: there is no token for Quay: could not list QuayIntegrations: "
            ),
            "{}",
            run.stderr
        );
        let own = "with a token of your own, name the Quay too: --quay-token-file, --quay-url and --cluster-id";
        assert_eq!(
            hints(&run.stderr),
            format!("ask a cluster administrator to run: oc quay {expected}|{own}")
        );

        world
            .cluster_traffic()
            .fault(Fault::on("GET", "openshift-operators/secrets").status(403).body(FORBIDDEN));
        let run = world.oc_quay(&command).ends_with(2);
        let secret = "error: there is no token for Quay: could not read secret quay-integration";
        assert!(run.stderr.starts_with(secret), "{}", run.stderr);
        let own = "give one yourself: --quay-token-file FILE, or OC_QUAY_TOKEN";
        assert_eq!(
            hints(&run.stderr),
            format!("ask a cluster administrator to run: oc quay {expected}|{own}")
        );
        world.clear_faults();
    }
    world.assert_nothing_written();
}

#[test]
fn version_takes_quay_from_own_pull_secrets() {
    let world = World::new();
    world.grant("dev", "shop");
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let run = world.oc_quay(&["version", "-n", "shop"]).user("dev").succeeds();
    let url = world.sandbox.quay.url();
    assert!(run.stdout.contains(&format!(" at {url}\n")), "{}", run.stdout);
}

#[test]
fn sends_no_token_where_a_pull_secret_says() {
    let world = World::new();
    world.grant("dev", "shop");
    // Whoever has the role `edit` in a project can write this.
    world.create_login("shop", "builder-quay-openshift", "openshift_shop+builder:password");
    let token = world.sandbox.quay.admin_token();
    let run = world
        .oc_quay(&["status", "-n", "shop"])
        .user("dev")
        .env("OC_QUAY_TOKEN", token)
        .ends_with(2);
    assert!(run.stderr.contains("--quay-url"), "{}", run.stderr);
    assert!(world.quay_traffic().entries().is_empty());
}

#[test]
fn somebody_with_no_rights_at_all_sees_only_unknowns() {
    let world = World::new();
    let status = world
        .oc_quay(&["status", "-n", "shop", "-o", "json", "--cluster-id", "openshift", "--quay-url"])
        .args(&[&world.sandbox.quay.url()])
        .env("OC_QUAY_TOKEN", world.sandbox.quay.admin_token())
        .user("nobody")
        .run();
    let kinds = [
        "QuayIntegration",
        "ServiceAccount",
        "Secret",
        "ImageStream",
        "BuildConfig",
        "Namespace/shop",
    ];
    let unknown = kinds.map(|kind| format!("OQ901 {kind}"));
    let unknown = unknown.each_ref().map(String::as_str);
    let mut expected = expected(&unknown, "shop");
    expected.push("OQ201 Organization/openshift_shop".to_owned());
    expected.sort();
    assert_eq!(found(&status), expected);
}
