//! Objects without read permission are unknown: never missing, and never repaired.

use sandbox::traffic::Fault;

use super::{expected, found};
use crate::support::TestEnv;

/// A rejection as the API server answers it.
const FORBIDDEN: &str = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,
    "message":"User \"admin\" cannot do that"}"#;

#[test]
fn unreadable_objects_are_unknown_and_not_repaired() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
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
        env.cluster_traffic().fault(Fault::on("GET", path).status(403).body(FORBIDDEN));
        assert_unknown(&env, path, findings);
    }
    let in_quay = [
        ("openshift_shop/robots", "OQ901 RobotAccount"),
        ("openshift_shop/prototypes", "OQ901 DefaultPermission"),
        ("v1/repository?", "OQ901 Repository"),
    ];
    for (path, finding) in in_quay {
        // Not 403, which Quay answers for missing objects too.
        env.quay_traffic()
            .fault(Fault::on("GET", path).status(400).body(r#"{"message":"Not today"}"#));
        assert_unknown(&env, path, &[finding]);
    }
}

#[track_caller]
fn assert_unknown(env: &TestEnv, path: &str, findings: &[&str]) {
    let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds();
    assert_eq!(found(&status), findings, "{path}");
    assert!(
        !status.json()["summaryLine"].as_str().unwrap().contains("can pull"),
        "{}",
        status.stdout
    );
    env.forget_traffic();
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).run();
    env.assert_nothing_written();
    env.cluster_traffic().clear_faults();
    env.quay_traffic().clear_faults();
}

#[test]
fn hints_flags_and_administrator_without_read_permission() {
    let env = TestEnv::new();
    env.grant("dev", "shop");
    for user in ["dev", "guest"] {
        for command in ["status", "link", "repair", "unlink"] {
            let run = env.oc_quay(&[command, "-n", "shop"]).user(user).ends_with(2);
            assert!(
                run.stderr.contains("--quay-url")
                    && run.stderr.contains("ask a cluster administrator"),
                "{}",
                run.stderr
            );
            let is_asked_to_run_it =
                run.stderr.contains(&format!("administrator to run: oc quay {command} -n shop\n"));
            // `status` needs no token.
            assert_eq!(is_asked_to_run_it, command != "status", "{}", run.stderr);
        }
    }
    assert!(env.quay_traffic().entries().is_empty());
}

#[test]
fn infers_quay_from_pull_secrets_without_permissions() {
    let env = TestEnv::new();
    env.grant("dev", "shop");
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.forget_traffic();
    for namespace in [&["-n", "shop"][..], &["shop"]] {
        let status =
            env.oc_quay(&[&["status", "-o", "json"], namespace].concat()).user("dev").succeeds();
        let report = status.json();
        assert_eq!(report["integration"]["quay"]["value"], env.sandbox.quay.url(), "{report}");
        assert_eq!(report["integration"]["clusterId"]["value"], "openshift");
        assert!(report["next"].as_str().unwrap().ends_with("--probe"), "{report}");
    }
    assert!(env.quay_traffic().entries().is_empty(), "there is no token");
    let probe = env.oc_quay(&["status", "-n", "shop", "--probe"]).user("dev").succeeds();
    assert!(probe.stdout.contains("3 of 3 credentials accepted"), "{}", probe.stdout);
    env.remove_from_list("shop", "default", "imagePullSecrets", "default-quay-openshift");
    let status = env.oc_quay(&["status", "-n", "shop"]).user("dev").ends_with(1);
    assert!(
        status.stdout.contains("Ask a cluster administrator to run: oc quay repair -n shop"),
        "{}",
        status.stdout
    );
}

#[test]
fn names_unread_object_and_command_for_administrators() {
    let env = TestEnv::new();
    env.grant("dev", "shop");
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.forget_traffic();
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
        let run = env.oc_quay(&command).user("dev").ends_with(2);
        assert!(
            run.stderr.starts_with(
                "error: there is no token for Quay: could not list QuayIntegrations: "
            ),
            "{}",
            run.stderr
        );
        let own = "with your own token, also specify Quay: --quay-token-file, --quay-url and --cluster-id";
        assert_eq!(
            hints(&run.stderr),
            format!("ask a cluster administrator to run: oc quay {expected}|{own}")
        );

        env.cluster_traffic()
            .fault(Fault::on("GET", "openshift-operators/secrets").status(403).body(FORBIDDEN));
        let run = env.oc_quay(&command).ends_with(2);
        let secret = "error: there is no token for Quay: could not read secret quay-integration";
        assert!(run.stderr.starts_with(secret), "{}", run.stderr);
        let own = "or provide a token: --quay-token-file FILE, or OC_QUAY_TOKEN";
        assert_eq!(
            hints(&run.stderr),
            format!("ask a cluster administrator to run: oc quay {expected}|{own}")
        );
        env.clear_faults();
    }
    env.assert_nothing_written();
}

#[test]
fn version_takes_quay_from_own_pull_secrets() {
    let env = TestEnv::new();
    env.grant("dev", "shop");
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let run = env.oc_quay(&["version", "-n", "shop"]).user("dev").succeeds();
    let url = env.sandbox.quay.url();
    assert!(run.stdout.contains(&format!(" at {url}\n")), "{}", run.stdout);
}

#[test]
fn sends_no_token_to_quay_of_pull_secret() {
    let env = TestEnv::new();
    env.grant("dev", "shop");
    // A user with the role `edit` in the project can write this.
    env.create_credentials("shop", "builder-quay-openshift", "openshift_shop+builder:password");
    let token = env.sandbox.quay.admin_token();
    let run =
        env.oc_quay(&["status", "-n", "shop"]).user("dev").env("OC_QUAY_TOKEN", token).ends_with(2);
    assert!(run.stderr.contains("--quay-url"), "{}", run.stderr);
    assert!(env.quay_traffic().entries().is_empty());
}

#[test]
fn user_without_permissions_sees_only_unknown() {
    let env = TestEnv::new();
    let status = env
        .oc_quay(&["status", "-n", "shop", "-o", "json", "--cluster-id", "openshift", "--quay-url"])
        .args(&[&env.sandbox.quay.url()])
        .env("OC_QUAY_TOKEN", env.sandbox.quay.admin_token())
        .user("guest")
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
