//! What can be wrong with the integration as a whole.

use sandbox::manifests;
use sandbox::quay::Flags;
use serde_json::json;

use super::hints::{self, Seen};
use super::{expected, found, lines};
use crate::support::{Command, World};

/// One thing that is wrong.
pub(super) struct Case {
    /// What is wrong, for messages.
    name: &'static str,
    /// The namespace to look at: `shop` is linked and healthy, `fresh` is not linked.
    namespace: &'static str,
    /// Makes it wrong.
    arrange: fn(&World),
    /// Changes to the command.
    given: fn(Command) -> Command,
    /// Every finding about the integration there is then.
    pub(super) found: &'static [&'static str],
    /// The exit codes of status and of `repair --dry-run`.
    codes: [i32; 2],
}

/// Wrong in the cluster or in Quay.
const fn arranged(
    name: &'static str,
    found: &'static [&'static str],
    codes: [i32; 2],
    arrange: fn(&World),
) -> Case {
    Case { name, namespace: "shop", arrange, given: |command| command, found, codes }
}

/// Wrong in what the person gave.
const fn given(
    name: &'static str,
    found: &'static [&'static str],
    codes: [i32; 2],
    given: fn(Command) -> Command,
) -> Case {
    Case { name, namespace: "shop", arrange: |_| (), given, found, codes }
}

/// The same in a namespace without an organization, where Quay is asked why.
const fn in_fresh(case: Case) -> Case {
    Case { namespace: "fresh", ..case }
}

pub(super) static CASES: &[Case] = &[
    arranged("no QuayIntegration", &["OQ101 QuayIntegration"], [1, 2], |world| {
        world.delete("QuayIntegration", "", "quay")
    }),
    arranged("two QuayIntegrations", &["OQ102 QuayIntegration"], [1, 2], |world| {
        let mut second = manifests::quay_integration(&world.sandbox.quay.url());
        second["metadata"]["name"] = json!("second");
        world.create(&second);
    }),
    arranged("no scheme", &["OQ103 QuayIntegration/quay"], [1, 1], |world| {
        set(world, "quayHostname", &world.sandbox.quay.host())
    }),
    arranged("a path", &["OQ104 QuayIntegration/quay"], [0, 0], |world| {
        set(world, "quayHostname", &format!("{}/organization", world.sandbox.quay.url()));
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
            |world| set(world, "quayHostname", &format!("http://{}", world.sandbox.quay.host())),
        )
    },
    arranged("plain http that nothing allows", &["OQ125 QuayIntegration/quay"], [1, 2], |world| {
        set(world, "quayHostname", &format!("http://{}", world.sandbox.quay.host()));
    }),
    arranged("a capital", &["OQ106 QuayIntegration/quay"], [1, 2], |world| {
        set(world, "clusterID", "Prod")
    }),
    arranged("no Secret", &["OQ107 Secret/quay-integration"], [1, 2], |world| {
        world.delete("Secret", "openshift-operators", "quay-integration");
    }),
    arranged("no key", &["OQ107 Secret/quay-integration"], [1, 2], |world| {
        set_token(world, json!({ "token": null, "other": "dG9rZW4=" }));
    }),
    arranged("an empty key", &["OQ107 Secret/quay-integration"], [1, 2], |world| {
        set_token(world, json!({ "token": "" }))
    }),
    arranged("a placeholder for the token", &["OQ127 Secret/quay-integration"], [1, 2], |world| {
        set_token(world, json!({ "token": "dGhlIE9BdXRoIHRva2VuIGZvciBRdWF5" }));
    }),
    arranged("no Secret named", &["OQ107 QuayIntegration/quay"], [1, 2], |world| {
        world.merge(
            "QuayIntegration",
            "",
            "quay",
            &json!({ "spec": { "credentialsSecret": { "name": "" } } }),
        );
    }),
    arranged("another key", &["OQ116 Secret/quay-integration"], [0, 0], |world| {
        let secret = world.get("Secret", "openshift-operators", "quay-integration").unwrap();
        set_token(world, json!({ "token": null, "mine": secret["data"]["token"] }));
        world.merge(
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
        ..arranged("a user without the right", &["OQ110 {token}"], [1, 1], |world| {
            world.sandbox.quay.set_flags(|flags| flags.org_creation_only = true);
        })
    }),
    given("no scope org:admin", &["OQ111 {token}"], [1, 1], |command| {
        command.token_of("quayadmin", &["repo:admin", "repo:create", "user:admin", "user:read"])
    }),
    in_fresh(given("no scope user:admin", &["OQ111 {token}"], [1, 1], |command| {
        command.token_of("quayadmin", &["org:admin", "repo:admin", "repo:create", "user:read"])
    })),
    given("nobody listens", &["OQ112 Quay/https://127.0.0.1:1"], [1, 1], |command| {
        command.env("OC_QUAY_URL", "https://127.0.0.1:1").env("OC_QUAY_TOKEN", "a-token")
    }),
    given("no such name", &["OQ112 Quay/https://quay.invalid"], [1, 1], |command| {
        command.env("OC_QUAY_URL", "https://quay.invalid").env("OC_QUAY_TOKEN", "a-token")
    }),
    given("a token of another Quay", &["OQ117 QuayIntegration/quay"], [1, 2], |command| {
        command.env("OC_QUAY_URL", "https://quay.invalid")
    }),
    in_fresh(arranged("read-only", &["OQ113 Quay/https://{host}"], [1, 1], |world| {
        world.sandbox.quay.set_flags(|flags| flags.readonly = true);
    })),
    given("an authority nobody trusts", &["OQ114 Quay/https://{host}"], [1, 1], |command| {
        command.without_env("OC_QUAY_CA_FILE")
    }),
    arranged("an insecure registry", &["OQ115 QuayIntegration/quay"], [0, 0], |world| {
        world.merge(
            "QuayIntegration",
            "",
            "quay",
            &json!({ "spec": { "insecureRegistry": true } }),
        );
    }),
    given("no verification", &["OQ115 QuayIntegration/quay"], [0, 0], |command| {
        command.without_env("OC_QUAY_CA_FILE").args(&["--insecure"])
    }),
    given("nothing", &[], [0, 0], |command| command),
];

#[test]
fn what_is_wrong_with_the_integration_is_found_and_no_repair_pretends_to_be_done() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.namespace("fresh");
    let wrong: Vec<_> = CASES.iter().filter_map(|case| try_case(&world, case).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn try_case(world: &World, case: &Case) -> Result<(), String> {
    (case.arrange)(world);
    let command = |line: &[&str]| {
        (case.given)(world.oc_quay(&[line, &["-n", case.namespace, "-o", "json"]].concat())).run()
    };
    let status = command(&["status"]);
    let report = status.json();
    let about_the_whole = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["namespace"].is_null());
    let found = lines(about_the_whole);
    // With a token of one's own it is the QuayIntegration that a finding about the token names.
    let should: Vec<_> = expected(case.found, "")
        .iter()
        .map(|line| {
            line.replace("{host}", &world.sandbox.quay.host())
                .replace("{token}", "QuayIntegration/quay")
        })
        .collect();
    let repair = command(&["repair", "--dry-run"]);
    restore(world);
    for finding in hints::findings(&status)
        .iter()
        .filter(|finding| finding["namespace"].is_null() && finding["hint"].is_string())
    {
        (case.arrange)(world);
        let again = || {
            hints::findings(&world.oc_quay(&["status", "-n", case.namespace, "-o", "json"]).run())
        };
        let seen = Seen { world, finding, user: "admin", given: &case.given, again: &again };
        let followed = seen.follow(hints::then_in_integration(finding["code"].as_str().unwrap()));
        restore(world);
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

/// Puts the integration right again.
fn restore(world: &World) {
    for name in ["quay", "second"] {
        world.delete("QuayIntegration", "", name);
    }
    world.delete("Secret", "openshift-operators", "quay-integration");
    world.integration();
    world.sandbox.quay.set_flags(|flags| *flags = Flags::default());
}

fn set(world: &World, field: &str, value: &str) {
    world.merge("QuayIntegration", "", "quay", &json!({ "spec": { field: value } }));
}

fn set_token(world: &World, data: serde_json::Value) {
    world.merge("Secret", "openshift-operators", "quay-integration", &json!({ "data": data }));
}

#[test]
fn a_token_that_expires_is_refused_everywhere() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.sandbox.quay.expire_tokens();
    world.forget_traffic();
    let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1);
    assert_eq!(found(&status), ["OQ109 Secret/quay-integration"]);
    for command in ["repair", "link"] {
        let run = world.oc_quay(&[command, "-n", "shop", "--yes"]).run();
        assert_ne!(run.code, Some(0), "{run:#?}");
    }
    world.assert_nothing_written();
}

#[test]
fn a_quay_without_robot_accounts_is_told_when_one_is_to_be_made() {
    let world = World::new();
    world.sandbox.quay.set_flags(|flags| flags.robots_disallow = true);
    let repair = world.oc_quay(&["repair", "-n", "shop", "--yes", "-o", "json"]).ends_with(1);
    let found = found(&repair);
    assert!(found.contains(&format!("OQ212 Quay/{}", world.sandbox.quay.url())), "{found:?}");
    assert!(
        !world.sandbox.quay.organizations().contains(&"openshift_shop".to_owned()),
        "an empty organization was left behind"
    );

    world.sandbox.quay.add_organization("openshift_shop", "quayadmin");
    let repair = world.oc_quay(&["repair", "-n", "shop", "--yes", "-o", "json"]).ends_with(1);
    let found = super::found(&repair);
    for robot in ["builder", "default", "deployer"] {
        assert!(found.contains(&format!("OQ212 RobotAccount/openshift_shop+{robot}")), "{found:?}");
    }
}

#[test]
fn plain_http_is_refused_unless_the_person_insists() {
    let world = World::new();
    set(&world, "quayHostname", &format!("http://{}", world.sandbox.quay.host()));
    let run = world.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    assert!(run.stderr.contains("--insecure"), "{}", run.stderr);
    let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1);
    assert_eq!(found(&status), ["OQ125 QuayIntegration/quay"]);
    assert!(world.quay_traffic().entries().is_empty());
}
