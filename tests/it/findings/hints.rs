//! The command of a finding is run: it changes the finding, or it only shows more, or somebody else has to run it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Run, World};

/// Codes whose command shows what a person has to decide on, and why no command decides it.
const LOOKS: [(&str, &str); 4] = [
    ("OQ308", "which of two logins is right is not known"),
    ("OQ315", "what others meant by their entry is not known"),
    ("OQ406", "why an import fails is known to OpenShift alone"),
    ("OQ523", "whether the tag is to be pushed or deleted is not known"),
];

/// What tells a finding from others: code and object.
fn key(finding: &Value) -> String {
    format!("{} {}", finding["code"].as_str().unwrap(), finding["object"])
}

fn findings(run: &Run) -> Vec<Value> {
    run.json()["findings"].as_array().unwrap().clone()
}

/// Runs the commands of all findings of a namespace, one after another, until each has changed what it is about.
pub(super) fn run_all(world: &World, namespace: &str) -> Result<(), String> {
    let look = || findings(&world.oc_quay(&["status", "-n", namespace, "--probe", "-o", "json"]).run());
    let mut tried = BTreeSet::new();
    loop {
        let now = look();
        let Some(finding) = now.iter().find(|finding| finding["hint"].is_string() && !tried.contains(&key(finding))) else {
            return Ok(());
        };
        tried.insert(key(finding));
        let (code, hint) = (finding["code"].as_str().unwrap(), finding["hint"].as_str().unwrap());
        let Some(arguments) = hint.strip_prefix("oc quay ") else {
            if LOOKS.iter().all(|(looks, _)| *looks != code) {
                return Err(format!("{namespace}: {code} has `{hint}`, which is not among those that only show more"));
            }
            continue;
        };
        let run = world.oc_quay(&arguments.split(' ').chain(["--yes"]).collect::<Vec<_>>()).run();
        if look().iter().any(|left| key(left) == key(finding)) {
            return Err(format!("{namespace}: `{hint}` does not change {code}: {run:#?}"));
        }
    }
}

#[test]
fn asks_an_administrator_for_what_a_project_user_is_not_allowed_to_run() {
    let world = World::new();
    world.grant("dev", "shop");
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    // Whoever is in a project may see which Quay is meant, and not the token.
    let flags = ["--cluster-id", "openshift", "--quay-url", &world.sandbox.quay.url()];
    let status = |more: &[&str]| {
        let line = [&["status", "-n", "shop", "-o", "json"], &flags[..], more].concat();
        world.oc_quay(&line).user("dev").run()
    };
    let healthy = status(&[]);
    assert_eq!(healthy.code, Some(0), "{healthy:#?}");
    let report = healthy.json();
    assert!(!report["verdict"].as_str().unwrap().contains("can pull"), "{}", report["verdict"]);
    let integration = &report["findings"][0];
    assert_eq!((&integration["code"], &integration["ask"]), (&"OQ901".into(), &"cluster".into()), "{integration}");
    assert!(integration["hint"].as_str().unwrap().contains("--resource=quayintegrations.quay.redhat.com"), "{integration}");
    let probed = status(&["--probe"]).json();
    assert!(probed["verdict"].as_str().unwrap().contains("accepts the logins of shop"), "{}", probed["verdict"]);

    world.delete("Secret", "shop", "default-quay-openshift");
    let broken = status(&[]).json();
    let finding = broken["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == "OQ301").unwrap().clone();
    assert_eq!(finding["ask"], "cluster", "{finding}");
    let hint = finding["hint"].as_str().unwrap();
    assert!(hint.contains("--quay-url") && !hint.contains("--context"), "{hint}");
    assert!(broken["verdict"].as_str().unwrap().contains("Ask a cluster administrator to run: oc quay"), "{}", broken["verdict"]);
    // As the administrator, it helps.
    let arguments: Vec<_> = hint.strip_prefix("oc quay ").unwrap().split(' ').chain(["--yes"]).collect();
    world.oc_quay(&arguments).succeeds();
    assert!(world.get("Secret", "shop", "default-quay-openshift").is_some());
}

#[test]
fn repeats_connection_flags_in_hints() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.delete("Secret", "shop", "default-quay-openshift");
    let url = world.sandbox.quay.url();
    let kubeconfig = world.kubeconfig();
    let flags =
        ["--quay-url", &url, "--cluster-id", "openshift", "--kubeconfig", kubeconfig.to_str().unwrap(), "--context", "admin"];
    let status = world.oc_quay(&[&["status", "-n", "shop", "-o", "json"], &flags[..]].concat()).ends_with(1).json();
    let next = status["next"].as_str().unwrap();
    for flag in ["--quay-url", "--cluster-id", "--kubeconfig", "--context admin"] {
        assert!(next.contains(flag), "{next} lacks {flag}");
    }
    let command = world.oc_quay(&next.strip_prefix("oc quay ").unwrap().split(' ').chain(["--yes"]).collect::<Vec<_>>());
    command.without_env("KUBECONFIG").succeeds();
    assert!(world.get("Secret", "shop", "default-quay-openshift").is_some());
}

#[test]
fn leads_from_a_given_token_to_no_set_up() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let file = world.dir().join("token.txt");
    std::fs::write(&file, "x".repeat(40)).unwrap();
    let arguments = ["status", "-n", "shop", "-o", "json", "--quay-token-file", file.to_str().unwrap()];
    let status = world.oc_quay(&arguments).ends_with(1);
    assert_eq!(status.json()["next"], "oc quay explain OQ109", "{}", status.stdout);
    assert!(status.stdout.contains("--quay-token-file"), "{}", status.stdout);
}

#[test]
fn sets_up_what_a_set_up_is_hinted_for() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let damages = [("OQ101", ["QuayIntegration", "", "quay"]), ("OQ107", ["Secret", "openshift-operators", "quay-integration"])];
    for (code, [kind, namespace, name]) in damages {
        world.delete(kind, namespace, name);
        let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1);
        assert_eq!((status.codes()[0].as_str(), &status.json()["next"]), (code, &"oc quay setup".into()));
        world.setup(&["--without-operator"]).succeeds();
        let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds();
        assert!(!status.codes().contains(&code.to_owned()), "{}", status.stdout);
    }
}
