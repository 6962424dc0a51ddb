//! The first minute of a new user: whatever is missing, there is one message and the next step.

use std::fs;

use serde_json::Value;

use crate::support::World;

/// A kubeconfig whose one context leads to a server, with a token.
fn kubeconfig(world: &World, server: &str) -> String {
    let file = world.dir().join("other-kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: dev\ncontexts: [{{name: dev, context: {{cluster: c, user: u, namespace: shop}}}}]\n\
         clusters: [{{name: c, cluster: {{server: \"{server}\", insecure-skip-tls-verify: true}}}}]\nusers: [{{name: u, user: {{token: expired}}}}]\n"
    );
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn whoever_has_no_cluster_is_told_the_next_step() {
    let world = World::bare();
    let said = |server: &str, environment: &[(&str, &str)]| {
        let kubeconfig =
            if server.is_empty() { "/nowhere/config".into() } else { kubeconfig(&world, server) };
        let mut command = world.oc_quay(&["status"]).env("KUBECONFIG", kubeconfig);
        for (name, value) in environment {
            command = command.env(name, value);
        }
        let run = command.ends_with(2);
        assert_eq!(run.stdout, "");
        run.stderr
    };
    assert_eq!(
        said("", &[]),
        "error: there is no kubeconfig (kubeconfig /nowhere/config): log in with `oc login SERVER`, or name one with --kubeconfig\n"
    );
    let context = "hint: context dev leads there: choose another with --context; `oc config get-contexts` lists them\n";
    assert_eq!(
        said("https://127.0.0.1:1", &[]),
        format!(
            "error: could not list QuayIntegrations: no answer from https://127.0.0.1:1 while connecting: Connection refused (os error 111)\n{context}"
        )
    );
    let server = "https://api.example.invalid:6443";
    let nameless = said(server, &[]);
    assert!(
        nameless.contains(&format!("no answer from {server} while looking up the name")),
        "{nameless}"
    );
    assert!(nameless.ends_with(context), "{nameless}");

    // A proxy in the way, with a password that is nobody's business; and a list that leads past it.
    let proxy = ("HTTPS_PROXY", "http://ann:hush-hush@127.0.0.1:1");
    assert_eq!(
        said(server, &[proxy]),
        format!(
            "error: could not list QuayIntegrations: no answer from {server} by way of proxy http://127.0.0.1:1 while connecting: \
             Connection refused (os error 111)\nhint: if it is to be reached without the proxy, put its name into NO_PROXY\n"
        )
    );
    assert_eq!(said(server, &[proxy, ("NO_PROXY", "localhost,.example.invalid")]), nameless);
}

#[test]
fn an_expired_login_names_the_command_with_the_server() {
    let world = World::bare();
    let own: Value =
        serde_saphyr::from_str(&fs::read_to_string(world.kubeconfig()).unwrap()).unwrap();
    let server = own["clusters"][0]["cluster"]["server"].as_str().unwrap().to_owned();
    let run =
        world.oc_quay(&["status"]).env("KUBECONFIG", kubeconfig(&world, &server)).ends_with(2);
    assert_eq!(
        run.stderr,
        format!(
            "error: could not list QuayIntegrations: {server} does not accept the login, or it has expired; log in again: oc login {server}\n"
        )
    );
}

#[test]
fn whoever_has_no_integration_or_no_rights_is_told_the_next_step() {
    let world = World::new();
    let run = world.oc_quay(&["status", "-n", "shop"]).user("nobody").ends_with(2);
    let hints: Vec<_> = run.stderr.lines().skip(1).collect();
    assert_eq!(
        hints,
        [
            "hint: name the Quay yourself: --quay-url, --cluster-id and, to look into Quay, --quay-token-file",
            "hint: or ask a cluster administrator to let you read which Quay the cluster uses: oc create clusterrole \
             oc-quay-read-quayintegrations --verb=get,list --resource=quayintegrations.quay.redhat.com && oc adm policy \
             add-cluster-role-to-user oc-quay-read-quayintegrations nobody"
        ]
    );
    world.delete("QuayIntegration", "", "quay");
    let run = world.oc_quay(&["status", "-n", "shop"]).ends_with(1);
    assert!(
        run.stdout.ends_with("The integration has 1 error. Run: oc quay setup\n"),
        "{}",
        run.stdout
    );
    let run = world.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    assert!(
        run.stderr.contains("the cluster has no QuayIntegration") && run.stderr.contains("hint: "),
        "{}",
        run.stderr
    );
}

#[test]
fn nothing_is_kept_at_home_and_none_is_needed() {
    let world = World::new();
    let home = world.dir().join("home");
    fs::create_dir(&home).unwrap();
    for home in [home.to_str().unwrap(), "/proc/nowhere"] {
        world.oc_quay(&["link", "-n", "shop", "--yes"]).env("HOME", home).succeeds();
        world
            .oc_quay(&["status", "-n", "shop"])
            .env("HOME", home)
            .env("XDG_CACHE_HOME", home)
            .succeeds();
    }
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
}

#[test]
fn files_from_windows_are_read() {
    let world = World::new();
    let file = world.dir().join("windows-kubeconfig");
    fs::write(&file, fs::read_to_string(world.kubeconfig()).unwrap().replace('\n', "\r\n"))
        .unwrap();
    let authority = world.dir().join("windows.crt");
    fs::write(
        &authority,
        fs::read_to_string(world.sandbox.ca_file()).unwrap().replace('\n', "\r\n"),
    )
    .unwrap();
    let run = world.oc_quay(&["status", "-n", "shop", "--kubeconfig", file.to_str().unwrap()]);
    let run = run.env("OC_QUAY_CA_FILE", authority).ends_with(1);
    let next = format!("Run: oc quay --kubeconfig {} repair -n shop\n", file.display());
    assert!(run.stdout.ends_with(&next), "{}", run.stdout);
}

#[test]
fn a_log_gets_whole_lines_and_nothing_that_moves() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.damage("shop");
    let run = world
        .oc_quay(&["status", "-n", "shop"])
        .env("COLUMNS", "200")
        .env("TERM", "dumb")
        .ends_with(1);
    assert_eq!(run.stderr, "");
    assert!(!run.stdout.contains(['\u{1b}', '\r']), "{:?}", run.stdout);
    let report = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1).json();
    for finding in report["findings"].as_array().unwrap() {
        let message = finding["message"].as_str().unwrap();
        assert!(
            run.stdout.lines().any(|line| line.ends_with(message)),
            "{message}\n{}",
            run.stdout
        );
    }
}

/// What is looked at on a terminal.
#[cfg(unix)]
mod at_a_terminal {
    use std::time::Duration;

    use sandbox::traffic::Fault;

    use crate::support::{Key, World};

    #[test]
    fn a_dumb_terminal_gets_nothing_that_steers_it() {
        let world = World::new();
        let left =
            world.oc_quay(&["status", "-n", "shop"]).env("TERM", "dumb").at_terminal().ends_with(1);
        assert!(!left.written.contains('\u{1b}'), "{:?}", left.written);
        let left = world
            .oc_quay(&["status", "-n", "shop"])
            .env("NO_COLOR", "1")
            .at_terminal()
            .ends_with(1);
        assert!(!left.written.contains('\u{1b}'), "{:?}", left.written);
        let left = world.oc_quay(&["status", "-n", "shop"]).at_terminal().ends_with(1);
        assert!(left.written.contains("\u{1b}[31m"), "{:?}", left.written);
    }

    #[test]
    fn what_takes_long_is_told_in_one_line_that_goes() {
        let world = World::new();
        world.namespace("billing");
        world.oc_quay(&["link", "shop", "billing", "--yes"]).succeeds();
        world
            .quay_traffic()
            .fault(Fault::on("GET", "openshift_shop").times(1).delay(Duration::from_millis(2500)));
        let terminal = world.oc_quay(&["status", "shop", "billing"]).at_terminal();
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
    fn a_watch_overwrites_and_never_clears_the_screen() {
        let world = World::new();
        world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
        let terminal = world.oc_quay(&["status", "-n", "shop", "--watch"]).at_terminal();
        terminal.sees("Pods in shop can pull");
        world.delete("Secret", "shop", "default-quay-openshift");
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
