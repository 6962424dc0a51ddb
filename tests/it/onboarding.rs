//! The first minute of a new user: each missing requirement gives one message and the next step.

use std::fs;

use serde_json::Value;

use crate::support::TestEnv;

/// A kubeconfig with one context, for a server and a token.
fn kubeconfig(env: &TestEnv, server: &str) -> String {
    let file = env.dir().join("other-kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: dev\ncontexts: [{{name: dev, context: {{cluster: c, user: u, namespace: shop}}}}]\n\
         clusters: [{{name: c, cluster: {{server: \"{server}\", insecure-skip-tls-verify: true}}}}]\nusers: [{{name: u, user: {{token: expired}}}}]\n"
    );
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn names_next_step_without_cluster() {
    let env = TestEnv::bare();
    let said = |server: &str, environment: &[(&str, &str)]| {
        let kubeconfig =
            if server.is_empty() { "/nowhere/config".into() } else { kubeconfig(&env, server) };
        let mut command = env.oc_quay(&["status"]).env("KUBECONFIG", kubeconfig);
        for (name, value) in environment {
            command = command.env(name, value);
        }
        let run = command.ends_with(2);
        assert_eq!(run.stdout, "");
        run.stderr
    };
    assert_eq!(
        said("", &[]),
        "error: no kubeconfig found (kubeconfig /nowhere/config): log in with `oc login SERVER`, or set --kubeconfig\n"
    );
    let context = "hint: context dev uses this server: list contexts with `oc config get-contexts`, and select another with --context\n";
    assert_eq!(
        said("https://127.0.0.1:1", &[]),
        format!(
            "error: could not list QuayIntegrations: no answer from https://127.0.0.1:1 while connecting: Connection refused (os error 111)\n{context}"
        )
    );
    let server = "https://api.example.invalid:6443";
    let nameless = said(server, &[]);
    assert!(
        nameless.contains(&format!("no answer from {server} while resolving the host name")),
        "{nameless}"
    );
    assert!(nameless.ends_with(context), "{nameless}");

    // A proxy with a password that must not be shown; and its exceptions.
    let proxy = ("HTTPS_PROXY", "http://ann:hush-hush@127.0.0.1:1");
    assert_eq!(
        said(server, &[proxy]),
        format!(
            "error: could not list QuayIntegrations: no answer from {server} via proxy http://127.0.0.1:1 while connecting: \
             Connection refused (os error 111)\nhint: to bypass the proxy, add the host to NO_PROXY\n"
        )
    );
    assert_eq!(said(server, &[proxy, ("NO_PROXY", "localhost,.example.invalid")]), nameless);
}

#[test]
fn names_login_command_with_server_when_session_expired() {
    let env = TestEnv::bare();
    let own: Value =
        serde_saphyr::from_str(&fs::read_to_string(env.kubeconfig()).unwrap()).unwrap();
    let server = own["clusters"][0]["cluster"]["server"].as_str().unwrap().to_owned();
    let run = env.oc_quay(&["status"]).env("KUBECONFIG", kubeconfig(&env, &server)).ends_with(2);
    assert_eq!(
        run.stderr,
        format!(
            "error: could not list QuayIntegrations: {server} rejected the credentials, which might have expired; log in again: oc login {server}\n"
        )
    );
}

#[test]
fn names_next_step_without_integration_or_permissions() {
    let env = TestEnv::new();
    let run = env.oc_quay(&["status", "-n", "shop"]).user("guest").ends_with(2);
    let hints: Vec<_> = run.stderr.lines().skip(1).collect();
    assert_eq!(
        hints,
        [
            "hint: specify Quay with --quay-url, --cluster-id and, to read from Quay, --quay-token-file",
            "hint: or ask a cluster administrator for permission to read the QuayIntegration: oc create clusterrole \
             oc-quay-read-quayintegrations --verb=get,list --resource=quayintegrations.quay.redhat.com && oc adm policy \
             add-cluster-role-to-user oc-quay-read-quayintegrations guest"
        ]
    );
    env.delete("QuayIntegration", "", "quay");
    let run = env.oc_quay(&["status", "-n", "shop"]).ends_with(1);
    assert!(
        run.stdout.ends_with("The integration has 1 error. Run: oc quay setup\n"),
        "{}",
        run.stdout
    );
    let run = env.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    assert!(
        run.stderr.contains("no QuayIntegration found") && run.stderr.contains("hint: "),
        "{}",
        run.stderr
    );
}

#[test]
fn neither_needs_nor_writes_a_home_directory() {
    let env = TestEnv::new();
    let home = env.dir().join("home");
    fs::create_dir(&home).unwrap();
    for home in [home.to_str().unwrap(), "/proc/nowhere"] {
        env.oc_quay(&["link", "-n", "shop", "--yes"]).env("HOME", home).succeeds();
        env.oc_quay(&["status", "-n", "shop"])
            .env("HOME", home)
            .env("XDG_CACHE_HOME", home)
            .succeeds();
    }
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
}

#[test]
fn reads_files_with_windows_line_endings() {
    let env = TestEnv::new();
    let file = env.dir().join("windows-kubeconfig");
    fs::write(&file, fs::read_to_string(env.kubeconfig()).unwrap().replace('\n', "\r\n")).unwrap();
    let authority = env.dir().join("windows.crt");
    fs::write(&authority, fs::read_to_string(env.sandbox.ca_file()).unwrap().replace('\n', "\r\n"))
        .unwrap();
    let run = env.oc_quay(&["status", "-n", "shop", "--kubeconfig", file.to_str().unwrap()]);
    let run = run.env("OC_QUAY_CA_FILE", authority).ends_with(1);
    let next = format!("Run: oc quay --kubeconfig {} repair -n shop\n", file.display());
    assert!(run.stdout.ends_with(&next), "{}", run.stdout);
}

#[test]
fn log_output_has_whole_lines_and_no_animation() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.damage("shop");
    let run = env
        .oc_quay(&["status", "-n", "shop"])
        .env("COLUMNS", "200")
        .env("TERM", "dumb")
        .ends_with(1);
    assert_eq!(run.stderr, "");
    assert!(!run.stdout.contains(['\u{1b}', '\r']), "{:?}", run.stdout);
    let report = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1).json();
    for finding in report["findings"].as_array().unwrap() {
        let message = finding["message"].as_str().unwrap();
        assert!(
            run.stdout.lines().any(|line| line.ends_with(message)),
            "{message}\n{}",
            run.stdout
        );
    }
}

#[cfg(unix)]
mod at_a_terminal {
    use std::time::Duration;

    use sandbox::traffic::Fault;

    use crate::support::{Key, TestEnv};

    #[test]
    fn dumb_terminal_gets_no_control_sequences() {
        let env = TestEnv::new();
        let left =
            env.oc_quay(&["status", "-n", "shop"]).env("TERM", "dumb").at_terminal().ends_with(1);
        assert!(!left.written.contains('\u{1b}'), "{:?}", left.written);
        let left =
            env.oc_quay(&["status", "-n", "shop"]).env("NO_COLOR", "1").at_terminal().ends_with(1);
        assert!(!left.written.contains('\u{1b}'), "{:?}", left.written);
        let left = env.oc_quay(&["status", "-n", "shop"]).at_terminal().ends_with(1);
        assert!(left.written.contains("\u{1b}[31m"), "{:?}", left.written);
    }

    #[test]
    fn shows_progress_in_one_line_and_clears_it() {
        let env = TestEnv::new();
        env.namespace("billing");
        env.oc_quay(&["link", "shop", "billing", "--yes"]).succeeds();
        env.quay_traffic()
            .fault(Fault::on("GET", "openshift_shop").times(1).delay(Duration::from_millis(2500)));
        let terminal = env.oc_quay(&["status", "shop", "billing"]).at_terminal();
        terminal.sees("Reading: ");
        let left = terminal.ends_with(0);
        assert!(
            left.written.contains("Reading: 1 of 2, ") && left.written.contains(" left: "),
            "{:?}",
            left.written
        );
        assert!(!left.screen.contains("Reading"), "{}", left.screen);
    }

    #[test]
    fn watch_overwrites_and_never_clears_the_screen() {
        let env = TestEnv::new();
        env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
        let terminal = env.oc_quay(&["status", "-n", "shop", "--watch"]).at_terminal();
        terminal.sees("Pods in shop can pull");
        env.delete("Secret", "shop", "default-quay-openshift");
        terminal
            .sees("Run: oc quay repair -n shop")
            .waits_for("the former answer to go", |screen| !screen.contains("can pull"));
        let screen = terminal.screen();
        assert_eq!(screen.matches("Cluster ID").count(), 1, "{screen}");
        terminal.press(Key::CtrlC);
        let left = terminal.ends_with(130);
        assert!(!left.written.contains("\u{1b}[2J"), "{:?}", left.written);
    }
}
