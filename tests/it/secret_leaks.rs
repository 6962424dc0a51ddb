//! No secret is ever printed or stands on a command line. Every run of the suite is searched for them, see
//! [`crate::support::World::secrets`]; here it is made as hard as can be: at `-vvvv`, in every format, with everything
//! that may go wrong.

use std::collections::BTreeSet;
use std::process::Child;
use std::sync::{Arc, Mutex, OnceLock};

use sandbox::quay::Release;
use sandbox::traffic::Fault;
use serde_json::json;

use crate::support::{ACCOUNTS, Command, World};

const FORMATS: [&str; 6] = ["text", "wide", "short", "json", "yaml", "name"];

/// Commands that change nothing.
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

/// Runs a command with all it can say about itself, which searches what it printed. How it ends does not matter here.
#[track_caller]
fn talkative(world: &World, arguments: &[&str], format: &str) -> String {
    let loud = [arguments, &["-o", format, "-vvvv", "--request-timeout", "1s"]].concat();
    let run = world.oc_quay(&loud).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full").run();
    assert!(matches!(run.code, Some(0..=2)), "{run:#?}");
    run.stdout + &run.stderr
}

/// A linked namespace. What its secrets hold is looked for in the form that the API shows, too.
fn linked() -> World {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    note_contents(&world);
    world
}

fn note_contents(world: &World) {
    let pull = ACCOUNTS.map(|account| ("shop", format!("{account}-quay-openshift")));
    for (namespace, name) in
        pull.into_iter().chain([("openshift-operators", "quay-integration".to_owned())])
    {
        let secret = world.get("Secret", namespace, &name).unwrap_or_default();
        for (_, content) in secret["data"].as_object().into_iter().flatten() {
            world.note_secret(content.as_str().unwrap());
        }
    }
}

#[test]
#[should_panic(expected = "a secret was printed")]
fn the_search_finds_a_secret_on_stdout() {
    let world = World::new();
    world.note_secret("openshift_shop");
    talkative(&world, &["link", "-n", "shop", "--dry-run"], "text");
}

#[test]
#[should_panic(expected = "a secret was printed")]
fn the_search_finds_a_secret_in_the_log() {
    let world = World::new();
    world.note_secret("/api/v1/organization/openshift_shop/robots");
    talkative(&world, &["status", "-n", "shop"], "name");
}

#[test]
fn no_look_shows_a_secret() {
    let world = linked();
    for format in FORMATS {
        for command in LOOKS {
            let output = talkative(&world, command, format);
            assert!(output.contains("DEBUG"), "nothing was logged: {output}");
        }
    }
}

#[test]
fn no_change_shows_a_secret() {
    let world = linked();
    for format in FORMATS {
        world.damage("shop");
        for command in LOOKS {
            talkative(&world, command, format);
        }
        talkative(&world, &["repair", "-n", "shop", "--yes"], format);
        talkative(&world, &["repair", "-n", "shop", "--rotate", "--yes"], format);
        note_contents(&world);
        talkative(&world, &["unlink", "-n", "shop", "--delete-robots", "--yes"], format);
        talkative(&world, &["link", "-n", "shop", "--yes"], format);
        note_contents(&world);
    }
}

/// A reader of JSON likes to quote what it stumbled over.
#[test]
fn no_answer_that_makes_no_sense_is_quoted() {
    let world = linked();
    let token = world.sandbox.quay.robot_token("openshift_shop", "builder").unwrap();
    let secret = world.get("Secret", "shop", "builder-quay-openshift").unwrap();
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
        for (traffic, path) in
            [(world.quay_traffic(), "robots"), (world.cluster_traffic(), "secrets")]
        {
            for status in [200, 500] {
                traffic.fault(Fault::on("*", path).status(status).body(body));
                talkative(&world, &["status", "-n", "shop", "--probe"], "text");
                talkative(&world, &["repair", "-n", "shop", "--rotate", "--yes"], "json");
                world.clear_faults();
            }
        }
    }
}

#[test]
fn a_token_that_is_given_or_refused_is_not_shown() {
    let world = linked();
    let token = world.sandbox.quay.add_token("quayadmin", &["repo:read"]);
    world.note_secret(&token);
    let file = world.dir().join("token");
    for content in [&token, "no-such-token-0123456789"] {
        world.note_secret(content);
        std::fs::write(&file, content).unwrap();
        talkative(
            &world,
            &["status", "-n", "shop", "--quay-token-file", file.to_str().unwrap()],
            "text",
        );
        for command in
            [&["status", "-n", "shop"][..], &["repair", "-n", "shop", "--yes"], &["version"]]
        {
            let loud = [command, &["-vvvv"]].concat();
            world.oc_quay(&loud).env("OC_QUAY_TOKEN", content).run();
        }
    }
    world.sandbox.quay.expire_tokens();
    talkative(&world, &["status", "-n", "shop"], "text");
    talkative(&world, &["repair", "-n", "shop", "--rotate", "--yes"], "text");
}

#[test]
fn no_secret_stands_on_a_command_line() {
    let world = linked();
    let lines = lines_while(&world, world.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes"]));
    assert!(lines.len() > 10 && lines.iter().all(|line| line.contains("--rotate")), "{lines:#?}");

    drop(world);

    let world = World::bare();
    world.namespace("shop");
    let lines = lines_while(&world, sign_in(&world, &["--link", "shop"]));
    assert!(lines.len() > 10 && lines.iter().all(|line| line.contains("setup")), "{lines:#?}");
}

/// The command lines at every request of a run; none of them holds a secret.
fn lines_while(world: &World, command: Command<'_>) -> Vec<String> {
    let child: Arc<OnceLock<Mutex<Child>>> = Arc::default();
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let look = {
        let (child, lines) = (Arc::clone(&child), Arc::clone(&lines));
        move || {
            let process = child.wait().lock().unwrap().id();
            lines.lock().unwrap().extend(command_lines(process));
        }
    };
    world.quay_traffic().fault(Fault::on("*", "/").before(look.clone()));
    world.cluster_traffic().fault(Fault::on("*", "/").before(look));
    child.set(Mutex::new(command.spawn())).unwrap();
    world.wait_for("the end of the run", || {
        child.wait().lock().unwrap().try_wait().unwrap().is_some()
    });
    let lines = lines.lock().unwrap().clone();
    for secret in world.secrets() {
        assert!(lines.iter().all(|line| !line.contains(&secret)), "{lines:#?}");
    }
    lines
}

/// The command lines of a process and of those that it started.
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
fn sign_in<'a>(world: &'a World, arguments: &[&str]) -> Command<'a> {
    let command = world
        .setup(&["--controller=none", "--quay-username", "quayadmin"])
        .without_env("OC_QUAY_TOKEN");
    command
        .args(arguments)
        .env("OC_QUAY_PASSWORD", world.sandbox.quay.password("quayadmin").unwrap())
}

/// The same with all that it can say about itself.
#[track_caller]
fn talkative_sign_in(world: &World, arguments: &[&str], format: &str) -> String {
    let loud = sign_in(world, arguments).args(&["-o", format, "-vvvv", "--request-timeout", "1s"]);
    let run = loud.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full").run();
    assert!(matches!(run.code, Some(0..=2)), "{run:#?}");
    run.stdout + &run.stderr
}

#[test]
fn no_set_up_shows_a_secret_or_leaves_one_in_a_file() {
    for (number, format) in FORMATS.iter().enumerate() {
        let world = World::bare();
        world.namespace("shop");
        let files = || {
            std::fs::read_dir(world.dir())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect::<BTreeSet<_>>()
        };
        let before = files();
        // Every other Quay only has the form to issue tokens.
        world
            .sandbox
            .quay
            .set_flags(|flags| flags.release = [Release::Master, Release::V3_17][number % 2]);
        // The log of what went to and fro is what a secret would stand in.
        assert!(
            talkative_sign_in(&world, &["--link", "shop", "--node-trust", "print"], format)
                .contains("DEBUG")
        );
        let other = world.sandbox.quay.add_full_token("alice");
        for arguments in [
            &["--yes"][..],
            &["--yes", "--replace-token"],
            &["--check"],
            &["--dry-run", "--node-trust", "apply"],
        ] {
            let setup = world
                .oc_quay(&["setup", "--controller=none", "-o", format, "-vvvv"])
                .args(arguments);
            setup.env("RUST_LOG", "trace").env("OC_QUAY_TOKEN", &other).run();
        }
        talkative(&world, &["teardown", "--yes"], format);
        assert_eq!(files(), before, "files were left");
    }
}

#[test]
fn no_set_up_that_fails_shows_a_secret() {
    let world = World::bare();
    let password = world.sandbox.quay.password("quayadmin").unwrap();
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
        // What answers in Quay's place may send back what it was sent.
        let location =
            format!("https://elsewhere.example.com/?password={password}#access_token={password}");
        let answer = Fault::on("*", path).status(status).header("Location", &location);
        let answer = answer
            .header("Set-Cookie", &format!("session={password}"))
            .header("X-Next-CSRF-Token", &password);
        world.quay_traffic().fault(
            answer.body(&json!({ "csrf_token": password, "token": [password] }).to_string()),
        );
        talkative_sign_in(
            &world,
            &["--secret-name", "other"],
            ["text", "json"][usize::from(status == 500)],
        );
        world.clear_faults();
    }
    drop(world);
    let world = World::bare();
    world.note_secret("a-wrong-password");
    sign_in(&world, &["-vvvv"])
        .env("OC_QUAY_PASSWORD", "a-wrong-password")
        .env("RUST_LOG", "trace")
        .ends_with(1);
    sign_in(&world, &["-vvvv"]).env("OC_QUAY_PASSWORD", "a-wrong-password\nand more").ends_with(2);
    world.sandbox.quay.set_flags(|flags| flags.direct_login = false);
    talkative_sign_in(&world, &["--client-id", "NOSUCHAPPLICATION123"], "json");
}
