//! Findings about the integration.

use sandbox::manifests;
use sandbox::quay::Flags;
use serde_json::json;

use super::hints::{self, Seen};
use super::{expected, found, lines};
use crate::support::{Command, TestEnv};

/// One problem.
pub(super) struct Case {
    /// For messages of the test.
    name: &'static str,
    /// `shop` is linked and healthy, `fresh` is not linked.
    namespace: &'static str,
    /// Creates the problem.
    arrange: fn(&TestEnv),
    /// Changes to the command.
    given: fn(Command) -> Command,
    /// All findings about the integration.
    pub(super) found: &'static [&'static str],
    /// The exit codes of status and of `repair --dry-run`.
    codes: [i32; 2],
}

/// A problem in the cluster or in Quay.
const fn arranged(
    name: &'static str,
    found: &'static [&'static str],
    codes: [i32; 2],
    arrange: fn(&TestEnv),
) -> Case {
    Case { name, namespace: "shop", arrange, given: |command| command, found, codes }
}

/// A problem in flags or environment variables.
const fn given(
    name: &'static str,
    found: &'static [&'static str],
    codes: [i32; 2],
    given: fn(Command) -> Command,
) -> Case {
    Case { name, namespace: "shop", arrange: |_| (), given, found, codes }
}

/// In a namespace without an organization, where Quay is queried for the reason.
const fn in_fresh(case: Case) -> Case {
    Case { namespace: "fresh", ..case }
}

pub(super) static CASES: &[Case] = &[
    arranged("no QuayIntegration", &["OQ101 QuayIntegration"], [1, 2], |env| {
        env.delete("QuayIntegration", "", "quay")
    }),
    arranged("two QuayIntegrations", &["OQ102 QuayIntegration"], [1, 2], |env| {
        let mut second = manifests::quay_integration(&env.sandbox.quay.url());
        second["metadata"]["name"] = json!("second");
        env.create(&second);
    }),
    arranged("no scheme", &["OQ103 QuayIntegration/quay"], [1, 1], |env| {
        set(env, "quayHostname", &env.sandbox.quay.host())
    }),
    arranged("a path", &["OQ104 QuayIntegration/quay"], [0, 0], |env| {
        set(env, "quayHostname", &format!("{}/organization", env.sandbox.quay.url()));
    }),
    Case {
        given: |command| command.args(&["--insecure"]),
        ..arranged(
            "plain http",
            &[
                "OQ105 QuayIntegration/quay",
                "OQ112 Quay/http://{host}",
                "OQ115 QuayIntegration/quay",
            ],
            [1, 1],
            |env| set(env, "quayHostname", &format!("http://{}", env.sandbox.quay.host())),
        )
    },
    arranged("plain http without consent", &["OQ125 QuayIntegration/quay"], [1, 2], |env| {
        set(env, "quayHostname", &format!("http://{}", env.sandbox.quay.host()));
    }),
    arranged("a capital", &["OQ106 QuayIntegration/quay"], [1, 2], |env| {
        set(env, "clusterID", "Prod")
    }),
    arranged("no Secret", &["OQ107 Secret/quay-integration"], [1, 2], |env| {
        env.delete("Secret", "openshift-operators", "quay-integration");
    }),
    arranged("no key", &["OQ107 Secret/quay-integration"], [1, 2], |env| {
        set_token(env, json!({ "token": null, "other": "dG9rZW4=" }));
    }),
    arranged("an empty key", &["OQ107 Secret/quay-integration"], [1, 2], |env| {
        set_token(env, json!({ "token": "" }))
    }),
    arranged("a placeholder for the token", &["OQ127 Secret/quay-integration"], [1, 2], |env| {
        set_token(env, json!({ "token": "dGhlIE9BdXRoIHRva2VuIGZvciBRdWF5" }));
    }),
    arranged("no Secret named", &["OQ107 QuayIntegration/quay"], [1, 2], |env| {
        env.merge(
            "QuayIntegration",
            "",
            "quay",
            &json!({ "spec": { "credentialsSecret": { "name": "" } } }),
        );
    }),
    arranged("another key", &["OQ116 Secret/quay-integration"], [0, 0], |env| {
        let secret = env.get("Secret", "openshift-operators", "quay-integration").unwrap();
        set_token(env, json!({ "token": null, "mine": secret["data"]["token"] }));
        env.merge(
            "QuayIntegration",
            "",
            "quay",
            &json!({ "spec": { "credentialsSecret": { "key": "mine" } } }),
        );
    }),
    given("an unknown token", &["OQ109 {token}"], [1, 1], |command| {
        command.env("OC_QUAY_TOKEN", "x".repeat(40))
    }),
    in_fresh(Case {
        given: |command| {
            command.token_of(
                "alice",
                &["org:admin", "repo:admin", "repo:create", "user:admin", "user:read"],
            )
        },
        ..arranged("a user without permission", &["OQ110 {token}"], [1, 1], |env| {
            env.sandbox.quay.set_flags(|flags| flags.org_creation_only = true);
        })
    }),
    given("no scope org:admin", &["OQ111 {token}"], [1, 1], |command| {
        command.token_of("quayadmin", &["repo:admin", "repo:create", "user:admin", "user:read"])
    }),
    in_fresh(given("no scope user:admin", &["OQ111 {token}"], [1, 1], |command| {
        command.token_of("quayadmin", &["org:admin", "repo:admin", "repo:create", "user:read"])
    })),
    given("connection refused", &["OQ112 Quay/https://127.0.0.1:1"], [1, 1], |command| {
        command.env("OC_QUAY_URL", "https://127.0.0.1:1").env("OC_QUAY_TOKEN", "a-token")
    }),
    given("no such name", &["OQ112 Quay/https://quay.invalid"], [1, 1], |command| {
        command.env("OC_QUAY_URL", "https://quay.invalid").env("OC_QUAY_TOKEN", "a-token")
    }),
    given("a token of another Quay", &["OQ117 QuayIntegration/quay"], [1, 2], |command| {
        command.env("OC_QUAY_URL", "https://quay.invalid")
    }),
    in_fresh(arranged("read-only", &["OQ113 Quay/https://{host}"], [1, 1], |env| {
        env.sandbox.quay.set_flags(|flags| flags.readonly = true);
    })),
    given("an untrusted authority", &["OQ114 Quay/https://{host}"], [1, 1], |command| {
        command.without_env("OC_QUAY_CA_FILE")
    }),
    arranged("an insecure registry", &["OQ115 QuayIntegration/quay"], [0, 0], |env| {
        env.merge("QuayIntegration", "", "quay", &json!({ "spec": { "insecureRegistry": true } }));
    }),
    given("no verification", &["OQ115 QuayIntegration/quay"], [0, 0], |command| {
        command.without_env("OC_QUAY_CA_FILE").args(&["--insecure"])
    }),
    given("nothing", &[], [0, 0], |command| command),
];

#[test]
fn finds_problems_of_the_integration() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.namespace("fresh");
    let wrong: Vec<_> = CASES.iter().filter_map(|case| try_case(&env, case).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn try_case(env: &TestEnv, case: &Case) -> Result<(), String> {
    (case.arrange)(env);
    let command = |line: &[&str]| {
        (case.given)(env.oc_quay(&[line, &["-n", case.namespace, "-o", "json"]].concat())).run()
    };
    let status = command(&["status"]);
    let report = status.json();
    let about_the_whole = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["namespace"].is_null());
    let found = lines(about_the_whole);
    // With a given token, findings about it name the QuayIntegration.
    let should: Vec<_> = expected(case.found, "")
        .iter()
        .map(|line| {
            line.replace("{host}", &env.sandbox.quay.host())
                .replace("{token}", "QuayIntegration/quay")
        })
        .collect();
    let repair = command(&["repair", "--dry-run"]);
    restore(env);
    for finding in hints::findings(&status)
        .iter()
        .filter(|finding| finding["namespace"].is_null() && finding["hint"].is_string())
    {
        (case.arrange)(env);
        let again =
            || hints::findings(&env.oc_quay(&["status", "-n", case.namespace, "-o", "json"]).run());
        let seen = Seen { env, finding, user: "admin", given: &case.given, again: &again };
        let followed = seen.follow(hints::then_in_integration(finding["code"].as_str().unwrap()));
        restore(env);
        followed.map_err(|problem| format!("{}: {problem}", case.name))?;
    }
    if found != should {
        return Err(format!("{}: status finds {found:#?} instead of {should:#?}", case.name));
    }
    let codes = [status.code.unwrap(), repair.code.unwrap()];
    if codes != case.codes {
        return Err(format!(
            "{}: the exit codes are {codes:?} instead of {:?}\n{repair:#?}",
            case.name, case.codes
        ));
    }
    Ok(())
}

/// Restores the integration.
fn restore(env: &TestEnv) {
    for name in ["quay", "second"] {
        env.delete("QuayIntegration", "", name);
    }
    env.delete("Secret", "openshift-operators", "quay-integration");
    env.integration();
    env.sandbox.quay.set_flags(|flags| *flags = Flags::default());
}

fn set(env: &TestEnv, field: &str, value: &str) {
    env.merge("QuayIntegration", "", "quay", &json!({ "spec": { field: value } }));
}

fn set_token(env: &TestEnv, data: serde_json::Value) {
    env.merge("Secret", "openshift-operators", "quay-integration", &json!({ "data": data }));
}

#[test]
fn reports_expired_token_in_every_command() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.sandbox.quay.expire_tokens();
    env.forget_traffic();
    let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1);
    assert_eq!(found(&status), ["OQ109 Secret/quay-integration"]);
    for command in ["repair", "link"] {
        let run = env.oc_quay(&[command, "-n", "shop", "--yes"]).run();
        assert_ne!(run.code, Some(0), "{run:#?}");
    }
    env.assert_nothing_written();
}

#[test]
fn reports_disallowed_robot_accounts_on_creation() {
    let env = TestEnv::new();
    env.sandbox.quay.set_flags(|flags| flags.robots_disallow = true);
    let repair = env.oc_quay(&["repair", "-n", "shop", "--yes", "-o", "json"]).ends_with(1);
    let found = found(&repair);
    assert!(found.contains(&format!("OQ212 Quay/{}", env.sandbox.quay.url())), "{found:?}");
    assert!(
        !env.sandbox.quay.organizations().contains(&"openshift_shop".to_owned()),
        "an empty organization was left behind"
    );

    env.sandbox.quay.add_organization("openshift_shop", "quayadmin");
    let repair = env.oc_quay(&["repair", "-n", "shop", "--yes", "-o", "json"]).ends_with(1);
    let found = super::found(&repair);
    for robot in ["builder", "default", "deployer"] {
        assert!(found.contains(&format!("OQ212 RobotAccount/openshift_shop+{robot}")), "{found:?}");
    }
}

#[test]
fn rejects_plain_http_without_insecure() {
    let env = TestEnv::new();
    set(&env, "quayHostname", &format!("http://{}", env.sandbox.quay.host()));
    let run = env.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    assert!(run.stderr.contains("--insecure"), "{}", run.stderr);
    let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1);
    assert_eq!(found(&status), ["OQ125 QuayIntegration/quay"]);
    assert!(env.quay_traffic().entries().is_empty());
}
