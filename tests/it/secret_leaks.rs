//! No secret is printed or passed on a command line. Every run of the suite is searched for
//! secrets, see [`crate::support::TestEnv::secrets`]; the runs of this file print the most: `-vvvv`,
//! every format, and failures.

use std::collections::BTreeSet;
use std::process::Child;
use std::sync::{Arc, Mutex, OnceLock};

use sandbox::quay::Release;
use sandbox::traffic::Fault;
use serde_json::json;

use crate::support::{ACCOUNTS, Command, TestEnv};

const FORMATS: [&str; 6] = ["text", "wide", "short", "json", "yaml", "name"];

/// Commands that only read.
const LOOKS: [&[&str]; 8] = [
    &["status", "-n", "shop"],
    &["status", "-n", "shop", "--probe"],
    &["status", "-A"],
    &["link", "-n", "shop", "--dry-run"],
    &["repair", "-n", "shop", "--dry-run"],
    &["repair", "-n", "shop", "--rotate", "--dry-run"],
    &["unlink", "-n", "shop", "--delete-robots", "--dry-run"],
    &["version"],
];

/// Runs a command with all output, which is searched for secrets. The result does not matter here.
#[track_caller]
fn talkative(env: &TestEnv, arguments: &[&str], format: &str) -> String {
    let loud = [arguments, &["-o", format, "-vvvv", "--request-timeout", "1s"]].concat();
    let run = env.oc_quay(&loud).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full").run();
    assert!(matches!(run.code, Some(0..=2)), "{run:#?}");
    run.stdout + &run.stderr
}

/// A linked namespace. Its secrets are also searched for in the form of the API.
fn linked() -> TestEnv {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    note_contents(&env);
    env
}

fn note_contents(env: &TestEnv) {
    let pull = ACCOUNTS.map(|account| ("shop", format!("{account}-quay-openshift")));
    for (namespace, name) in
        pull.into_iter().chain([("openshift-operators", "quay-integration".to_owned())])
    {
        let secret = env.get("Secret", namespace, &name).unwrap_or_default();
        for (_, content) in secret["data"].as_object().into_iter().flatten() {
            env.note_secret(content.as_str().unwrap());
        }
    }
}

#[test]
#[should_panic(expected = "a secret was printed")]
fn search_finds_a_secret_on_stdout() {
    let env = TestEnv::new();
    env.note_secret("openshift_shop");
    talkative(&env, &["link", "-n", "shop", "--dry-run"], "text");
}

#[test]
#[should_panic(expected = "a secret was printed")]
fn search_finds_a_secret_in_the_log() {
    let env = TestEnv::new();
    env.note_secret("/api/v1/organization/openshift_shop/robots");
    talkative(&env, &["status", "-n", "shop"], "name");
}

#[test]
fn reading_commands_show_no_secret() {
    let env = linked();
    for format in FORMATS {
        for command in LOOKS {
            let output = talkative(&env, command, format);
            let is_offered = command != ["version"] || ["text", "json", "yaml"].contains(&format);
            assert_eq!(output.contains("DEBUG"), is_offered, "{command:?} -o {format}: {output}");
        }
    }
}

#[test]
fn changing_commands_show_no_secret() {
    let env = linked();
    for format in FORMATS {
        env.damage("shop");
        for command in LOOKS {
            talkative(&env, command, format);
        }
        talkative(&env, &["repair", "-n", "shop", "--yes"], format);
        talkative(&env, &["repair", "-n", "shop", "--rotate", "--yes"], format);
        note_contents(&env);
        talkative(&env, &["unlink", "-n", "shop", "--delete-robots", "--yes"], format);
        talkative(&env, &["link", "-n", "shop", "--yes"], format);
        note_contents(&env);
    }
}

/// JSON parsers quote the input in errors.
#[test]
fn does_not_quote_malformed_responses() {
    let env = linked();
    let token = env.sandbox.quay.robot_token("openshift_shop", "builder").unwrap();
    let secret = env.get("Secret", "shop", "builder-quay-openshift").unwrap();
    let content = secret["data"][".dockerconfigjson"].as_str().unwrap().to_owned();
    let bodies = [
        json!({ "robots": token }).to_string(),
        json!({ "robots": [{ "name": "openshift_shop+builder", "token": [token] }] }).to_string(),
        json!({ "name": "openshift_shop+builder", "token": { token.as_str(): 1 } }).to_string(),
        format!("{token} is no JSON"),
        json!({ "kind": "SecretList", "metadata": {}, "items": content }).to_string(),
        json!({ "kind": "SecretList", "metadata": {}, "items": [{ "metadata": {}, "data": content }] }).to_string(),
        json!({ "kind": "Secret", "metadata": {}, "data": { "token": [content] } }).to_string(),
    ];
    for body in &bodies {
        for (traffic, path) in [(env.quay_traffic(), "robots"), (env.cluster_traffic(), "secrets")]
        {
            for status in [200, 500] {
                traffic.fault(Fault::on("*", path).status(status).body(body));
                talkative(&env, &["status", "-n", "shop", "--probe"], "text");
                talkative(&env, &["repair", "-n", "shop", "--rotate", "--yes"], "json");
                env.clear_faults();
            }
        }
    }
}

#[test]
fn does_not_show_given_or_rejected_tokens() {
    let env = linked();
    let token = env.sandbox.quay.add_token("quayadmin", &["repo:read"]);
    env.note_secret(&token);
    let file = env.dir().join("token");
    for content in [&token, "no-such-token-0123456789"] {
        env.note_secret(content);
        std::fs::write(&file, content).unwrap();
        talkative(
            &env,
            &["status", "-n", "shop", "--quay-token-file", file.to_str().unwrap()],
            "text",
        );
        for command in
            [&["status", "-n", "shop"][..], &["repair", "-n", "shop", "--yes"], &["version"]]
        {
            let loud = [command, &["-vvvv"]].concat();
            env.oc_quay(&loud).env("OC_QUAY_TOKEN", content).run();
        }
    }
    env.sandbox.quay.expire_tokens();
    talkative(&env, &["status", "-n", "shop"], "text");
    talkative(&env, &["repair", "-n", "shop", "--rotate", "--yes"], "text");
}

#[test]
fn passes_no_secret_on_a_command_line() {
    let env = linked();
    let lines = lines_while(&env, env.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes"]));
    assert!(lines.len() > 10 && lines.iter().all(|line| line.contains("--rotate")), "{lines:#?}");

    drop(env);

    let env = TestEnv::bare();
    env.namespace("shop");
    let lines = lines_while(&env, sign_in(&env, &["--link", "shop"]));
    assert!(lines.len() > 10 && lines.iter().all(|line| line.contains("setup")), "{lines:#?}");
}

/// The command lines at every request of a run, asserted to hold no secret.
fn lines_while(env: &TestEnv, command: Command<'_>) -> Vec<String> {
    let child: Arc<OnceLock<Mutex<Child>>> = Arc::default();
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let look = {
        let (child, lines) = (Arc::clone(&child), Arc::clone(&lines));
        move || {
            let process = child.wait().lock().unwrap().id();
            lines.lock().unwrap().extend(command_lines(process));
        }
    };
    env.quay_traffic().fault(Fault::on("*", "/").before(look.clone()));
    env.cluster_traffic().fault(Fault::on("*", "/").before(look));
    child.set(Mutex::new(command.spawn())).unwrap();
    env.wait_for("the end of the run", || {
        child.wait().lock().unwrap().try_wait().unwrap().is_some()
    });
    let lines = lines.lock().unwrap().clone();
    for secret in env.secrets() {
        assert!(lines.iter().all(|line| !line.contains(&secret)), "{lines:#?}");
    }
    lines
}

/// The command lines of a process and its children.
fn command_lines(process: u32) -> Vec<String> {
    let read =
        |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    let mut lines = vec![read("cmdline").replace('\0', " ")];
    for thread in std::fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        let started = read(&format!("task/{}/children", thread.unwrap().file_name().display()));
        lines.extend(
            started.split_whitespace().flat_map(|child| command_lines(child.parse().unwrap())),
        );
    }
    lines
}

/// `setup` for a user who signs in with the password.
fn sign_in<'a>(env: &'a TestEnv, arguments: &[&str]) -> Command<'a> {
    let command = env
        .setup(&["--controller=none", "--quay-username", "quayadmin"])
        .without_env("OC_QUAY_TOKEN");
    command.args(arguments).env("OC_QUAY_PASSWORD", env.sandbox.quay.password("quayadmin").unwrap())
}

/// With all output.
#[track_caller]
fn talkative_sign_in(env: &TestEnv, arguments: &[&str], format: &str) -> String {
    let loud = sign_in(env, arguments).args(&["-o", format, "-vvvv", "--request-timeout", "1s"]);
    let run = loud.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full").run();
    assert!(matches!(run.code, Some(0..=2)), "{run:#?}");
    run.stdout + &run.stderr
}

#[test]
fn setup_shows_and_stores_no_secret() {
    for (number, format) in FORMATS.iter().enumerate() {
        let env = TestEnv::bare();
        env.namespace("shop");
        let files = || {
            std::fs::read_dir(env.dir())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect::<BTreeSet<_>>()
        };
        let before = files();
        // Other releases of Quay issue tokens only by the form.
        env.sandbox
            .quay
            .set_flags(|flags| flags.release = [Release::Master, Release::V3_17][number % 2]);
        // The log of requests and responses would contain a secret.
        assert!(
            talkative_sign_in(&env, &["--link", "shop", "--node-trust", "print"], format)
                .contains("DEBUG")
        );
        let other = env.sandbox.quay.add_full_token("alice");
        for arguments in [
            &["--yes"][..],
            &["--yes", "--replace-token"],
            &["--check"],
            &["--dry-run", "--node-trust", "apply"],
        ] {
            let setup =
                env.oc_quay(&["setup", "--controller=none", "-o", format, "-vvvv"]).args(arguments);
            setup.env("RUST_LOG", "trace").env("OC_QUAY_TOKEN", &other).run();
        }
        talkative(&env, &["teardown", "--yes"], format);
        assert_eq!(files(), before, "files were left");
    }
}

#[test]
fn failed_setup_shows_no_secret() {
    let env = TestEnv::bare();
    let password = env.sandbox.quay.password("quayadmin").unwrap();
    let paths = [
        "/csrf_token",
        "/signin",
        "/applications",
        "/tokens",
        "/authorizeapp",
        "/user/",
        "/config",
    ];
    for (path, status) in
        paths.iter().flat_map(|path| [200, 302, 403, 500].map(|status| (*path, status)))
    {
        // Another server might return the received data.
        let location =
            format!("https://elsewhere.example.com/?password={password}#access_token={password}");
        let answer = Fault::on("*", path).status(status).header("Location", &location);
        let answer = answer
            .header("Set-Cookie", &format!("session={password}"))
            .header("X-Next-CSRF-Token", &password);
        env.quay_traffic().fault(
            answer.body(&json!({ "csrf_token": password, "token": [password] }).to_string()),
        );
        talkative_sign_in(
            &env,
            &["--secret-name", "other"],
            ["text", "json"][usize::from(status == 500)],
        );
        env.clear_faults();
    }
    drop(env);
    let env = TestEnv::bare();
    env.note_secret("a-wrong-password");
    sign_in(&env, &["-vvvv"])
        .env("OC_QUAY_PASSWORD", "a-wrong-password")
        .env("RUST_LOG", "trace")
        .ends_with(1);
    sign_in(&env, &["-vvvv"]).env("OC_QUAY_PASSWORD", "a-wrong-password\nand more").ends_with(2);
    env.sandbox.quay.set_flags(|flags| flags.direct_login = false);
    talkative_sign_in(&env, &["--client-id", "NOSUCHAPPLICATION123"], "json");
}
