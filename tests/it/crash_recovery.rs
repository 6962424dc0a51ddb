//! After a run is killed at any request, the next run finishes the work.

use serde_json::json;

use crate::support::{ACCOUNTS, Command, FOREIGN, KillPoint, STREAMS, Stage, TestEnv, play};

/// Every `SAMPLE`th case runs on the real API server.
const SAMPLE: usize = 13;

/// A command in a namespace, with `{namespace}` replaced.
fn command<'a>(env: &'a TestEnv, words: &[&str], namespace: &str) -> Command<'a> {
    let words: Vec<_> = words.iter().map(|word| word.replace("{namespace}", namespace)).collect();
    env.oc_quay(&words.iter().map(String::as_str).chain(["-n", namespace]).collect::<Vec<_>>())
}

/// The kill points of a command in a namespace of this stage, after `before`.
fn kill_points(words: &[&str], stage: Stage, before: fn(&TestEnv, &str)) -> Vec<KillPoint> {
    let env = TestEnv::bare();
    env.integration();
    env.shared_namespace("shop");
    if let Stage::Reused(prepare) = stage {
        prepare(&env, "shop");
    }
    before(&env, "shop");
    env.forget_traffic();
    command(&env, words, "shop").succeeds();
    KillPoint::all(&env)
}

/// Kills a command at each point after `before`, and then runs `next`; `check` asserts the final
/// state.
fn survive(
    words: &[&str],
    next: &[&str],
    stage: Stage,
    before: fn(&TestEnv, &str),
    check: fn(&TestEnv, &str),
) {
    let kill_points = kill_points(words, stage, before);
    assert!(kill_points.len() > 15, "{kill_points:?}");
    play(&kill_points, SAMPLE, stage, |env, namespace, kill_point| {
        println!("{words:?} in {namespace}: {kill_point:?}");
        before(env, namespace);
        let survivor = kill_point.kill(env, command(env, words, namespace));
        assert_eq!(survivor, None, "{kill_point:?} was survived");
        command(env, next, namespace).in_process().succeeds();
        check(env, namespace);
    });
}

fn linked(env: &TestEnv, namespace: &str) {
    env.oc_quay(&["link", "-n", namespace, "--yes"]).in_process().succeeds();
    env.sandbox.quay.push_tag(&format!("openshift_{namespace}"), "app", "v1").unwrap();
}

fn is_healthy(env: &TestEnv, namespace: &str) {
    env.assert_linked(namespace, &STREAMS);
    env.assert_foreign_references(namespace);
    env.forget_traffic();
    let run = env.oc_quay(&["repair", "-n", namespace, "--yes"]).in_process().succeeds();
    assert_eq!(run.stdout, "Nothing to do\n");
    env.assert_nothing_written();
}

fn is_unlinked(env: &TestEnv, namespace: &str) {
    env.assert_foreign_references(namespace);
    for account in ACCOUNTS {
        let secret = format!("{account}-quay-openshift");
        assert_eq!(env.get("Secret", namespace, &secret), None, "{secret} is still there");
        for list in ["secrets", "imagePullSecrets"] {
            let references = env.references(namespace, account, list);
            assert!(!references.contains(&secret), "{account} {list}: {references:?}");
            assert!(
                references.iter().any(|name| name == FOREIGN),
                "{account} {list}: {references:?}"
            );
        }
    }
}

#[test]
fn next_run_finishes_a_killed_link() {
    survive(&["link", "--yes"], &["link", "--yes"], Stage::Fresh, |_, _| {}, is_healthy);
}

#[test]
fn next_run_finishes_a_killed_repair() {
    survive(
        &["repair", "--yes"],
        &["repair", "--yes"],
        Stage::Reused(linked),
        TestEnv::damage,
        is_healthy,
    );
}

#[test]
fn repair_fixes_a_killed_rotation() {
    survive(
        &["repair", "--rotate", "--yes"],
        &["repair", "--yes"],
        Stage::Reused(linked),
        |_, _| {},
        is_healthy,
    );
}

#[test]
fn killed_replacement_keeps_credentials_of_others() {
    const SECRET: &str = "default-quay-openshift";
    let before = |env: &TestEnv, namespace: &str| {
        env.delete("Secret", namespace, SECRET);
        env.create(&json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": { "name": SECRET, "namespace": namespace },
            "stringData": { ".dockerconfigjson": json!({ "auths": { "quay.io": { "identitytoken": "t" } } }).to_string() },
        }));
    };
    let command = &["repair", "--adopt", "--yes"];
    survive(command, command, Stage::Reused(linked), before, |env, namespace| {
        is_healthy(env, namespace);
        assert_eq!(
            env.content(namespace, SECRET)["auths"]["quay.io"],
            json!({ "identitytoken": "t" })
        );
        assert_eq!(env.get("Secret", namespace, &format!("{SECRET}-spare")), None);
    });
}

#[test]
fn next_run_finishes_a_killed_unlink_and_keeps_images() {
    let stage = Stage::Reused(linked);
    survive(
        &["unlink", "--yes"],
        &["unlink", "--yes"],
        stage,
        |_, _| {},
        |env, namespace| {
            is_unlinked(env, namespace);
            let mut repositories = env.sandbox.quay.repositories(&format!("openshift_{namespace}"));
            repositories.sort();
            assert_eq!(repositories, STREAMS);
            env.oc_quay(&["link", "-n", namespace, "--yes"]).in_process().succeeds();
            is_healthy(env, namespace);
        },
    );
}

#[test]
fn next_run_finishes_a_killed_adoption() {
    let before = |env: &TestEnv, namespace: &str| {
        let organization = format!("openshift_{namespace}");
        env.sandbox.quay.add_organization(&organization, "quayadmin");
        let mark = "oc-quay cluster=other namespace=shop uid=other";
        env.sandbox.quay.add_robot(&organization, "builder", mark).unwrap();
    };
    let command = &["repair", "--adopt", "--yes"];
    survive(command, command, Stage::Fresh, before, is_healthy);
}

#[test]
fn next_run_finishes_killed_robot_deletion_and_keeps_images() {
    let command = &["unlink", "--delete-robots", "--yes"];
    survive(command, command, Stage::Fresh, linked, |env, namespace| {
        is_unlinked(env, namespace);
        let organization = format!("openshift_{namespace}");
        assert_eq!(env.sandbox.quay.robots(&organization).len(), 0);
        assert_eq!(env.sandbox.quay.repositories(&organization).len(), STREAMS.len());
    });
}

#[test]
fn next_run_finishes_a_killed_organization_deletion() {
    let command = &[
        "unlink",
        "--delete-organization",
        "--confirm-organization",
        "openshift_{namespace}",
        "--yes",
    ];
    // Quay does not release the name of a deleted organization at once.
    survive(command, command, Stage::Fresh, linked, |env, namespace| {
        is_unlinked(env, namespace);
        let organizations = env.sandbox.quay.organizations();
        assert!(!organizations.contains(&format!("openshift_{namespace}")), "{organizations:?}");
    });
}

#[test]
fn next_run_finishes_a_killed_import() {
    let stage = Stage::Reused(|env, namespace| {
        env.trust_quay();
        linked(env, namespace);
    });
    let push = |env: &TestEnv, namespace: &str| {
        for stream in STREAMS {
            env.sandbox.quay.push_tag(&format!("openshift_{namespace}"), stream, "latest").unwrap();
        }
    };
    let command = ["import", "--missing", "--yes"];
    survive(&command, &command, stage, push, |env, namespace| {
        for stream in STREAMS {
            let digest =
                env.quay_digest(&format!("openshift_{namespace}"), stream, "latest").unwrap();
            assert_eq!(
                env.newest_item(namespace, stream, "latest").unwrap()["image"],
                digest.as_str(),
                "{stream}"
            );
        }
        env.forget_traffic();
        let again =
            env.oc_quay(&["import", "--missing", "--yes", "-n", namespace]).in_process().succeeds();
        assert_eq!(again.stdout, "Nothing to do\n");
        env.assert_nothing_written();
    });
}
