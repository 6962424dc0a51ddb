//! `oc quay setup` with questions: a person at a real terminal who reads each of them and answers.

mod browser;
mod cancelled;
mod cluster;
mod preset_options;
mod quay;
mod scripted_user;
mod snapshots;
mod token;

use serde_json::Value;

use crate::support::TestEnv;
use scripted_user::{Person, QUESTIONS, Question};

const ADDRESS: Question = QUESTIONS[0];
const WAY: Question = QUESTIONS[1];
const USER: Question = QUESTIONS[2];
const PASSWORD: Question = QUESTIONS[3];
const ISSUE: Question = QUESTIONS[4];
const STORE: Question = QUESTIONS[5];
const CONTROLLER: Question = QUESTIONS[6];
const CHANNEL: Question = QUESTIONS[7];
const APPROVAL: Question = QUESTIONS[8];
const INSTALL: Question = QUESTIONS[9];
const CLUSTER_ID: Question = QUESTIONS[10];
const INTEGRATE: Question = QUESTIONS[11];
const USERS: Question = QUESTIONS[12];
const GRANT: Question = QUESTIONS[13];
const NODES: Question = QUESTIONS[14];
const TRUST: Question = QUESTIONS[15];
const LINK: Question = QUESTIONS[16];

/// A cluster without an integration, and namespace `shop` in it.
fn shop() -> TestEnv {
    let env = TestEnv::bare();
    env.namespace("shop");
    env
}

/// A user who runs setup.
fn person(env: &TestEnv) -> Person<'_> {
    Person::begins(env, env.oc_quay(&["setup"]), 100)
}

/// Whether everything is there and well.
#[track_caller]
fn assert_healthy(env: &TestEnv) {
    env.oc_quay(&["setup", "--check"]).succeeds();
    let status = env.oc_quay(&["status", "-n", "shop", "--probe", "-o", "json"]).succeeds().json();
    assert_eq!(status["summary"]["linked"], 1, "{status}");
    env.assert_linked("shop", &[]);
}

/// The command line that a set-up ends with, its files replaced by those with this environment's secrets.
fn command_line(screen: &str, env: &TestEnv) -> Vec<String> {
    let line = screen.split("non-interactive command:\n").nth(1).unwrap().lines().next().unwrap();
    let password = env.dir().join("password");
    std::fs::write(&password, env.sandbox.quay.password("quayadmin").unwrap()).unwrap();
    let token = env.dir().join("token");
    std::fs::write(&token, env.sandbox.quay.admin_token()).unwrap();
    let files = [
        ("--quay-ca-file", env.sandbox.ca_file()),
        ("--quay-password-file", password),
        ("--quay-token-file", token),
    ];
    let line = files.iter().fold(line.trim().to_owned(), |line, (flag, file)| {
        line.replace(&format!("{flag} FILE"), &format!("{flag} {}", file.display()))
    });
    assert!(!line.contains("FILE"), "{line}");
    line.strip_prefix("oc quay ").unwrap().split(' ').map(str::to_owned).collect()
}

/// The objects of a completed setup, without fields that differ between clusters.
fn made(env: &TestEnv) -> Vec<Value> {
    let objects = [
        ("QuayIntegration", "", "quay"),
        ("Subscription", "openshift-operators", "quay-bridge-operator"),
        ("ConfigMap", "openshift-config", "oc-quay-registry-cas"),
        ("Image", "", "cluster"),
        ("Secret", "openshift-operators", "quay-integration"),
        ("ClusterRole", "", "oc-quay-user"),
        ("ClusterRoleBinding", "", "oc-quay-user"),
    ];
    let url = env.sandbox.quay.url();
    let (_, port) = url.rsplit_once(':').unwrap();
    let objects = objects.map(|(kind, namespace, name)| {
        let object = env.get(kind, namespace, name).unwrap_or_else(|| panic!("no {kind} {name}"));
        let keys = |field: &str| {
            object[field].as_object().map(|map| map.keys().cloned().collect::<Vec<_>>())
        };
        let labels = &object["metadata"]["labels"];
        let text = serde_json::json!([
            kind,
            labels,
            object["spec"],
            object["rules"],
            object["subjects"],
            keys("data")
        ])
        .to_string();
        serde_json::from_str(&text.replace(port, "PORT")).unwrap()
    });
    objects.into()
}

#[test]
fn defaults_complete_the_setup() {
    let env = shop();
    let (left, asked) = person(&env).finishes(0);
    assert_eq!(asked, QUESTIONS);
    assert!(left.screen.contains("Pods in shop can pull from"), "{}", left.screen);
    assert_healthy(&env);
    assert_eq!(
        env.quay_traffic().count("POST signout"),
        0,
        "other sessions of the user were ended"
    );
}

#[test]
fn second_setup_asks_only_for_namespaces() {
    let env = shop();
    person(&env).finishes(0);
    env.forget_traffic();
    let (left, asked) = person(&env).finishes(0);
    assert_eq!(asked, [LINK]);
    assert!(left.screen.ends_with("Already set up; nothing was written"), "{}", left.screen);
    env.assert_nothing_written();
}

#[test]
fn equivalent_command_reproduces_setup() {
    let (screen, objects) = {
        let env = shop();
        let (left, _) =
            person(&env).will_choose(APPROVAL, "Manual").will_type(CLUSTER_ID, "prod").finishes(0);
        env.forget_traffic();
        let again = command_line(&left.screen, &env);
        env.oc_quay(&again.iter().map(String::as_str).collect::<Vec<_>>())
            .without_env("OC_QUAY_CA_FILE")
            .succeeds();
        env.assert_nothing_written();
        let url = env.sandbox.quay.url();
        (left.screen.replace(&url, "ADDRESS"), made(&env))
    };
    let env = shop();
    let line = command_line(&screen.replace("ADDRESS", &env.sandbox.quay.url()), &env);
    env.oc_quay(&line.iter().map(String::as_str).collect::<Vec<_>>())
        .without_env("OC_QUAY_CA_FILE")
        .succeeds();
    assert_eq!(made(&env), objects);
    assert_eq!(env.sandbox.quay.organizations(), ["openshift-integration", "prod_shop"]);
}
