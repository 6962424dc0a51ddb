//! Output: the same in every format, and readable for its user.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use oc_quay::domain::finding::Code;
use sandbox::traffic::Fault;
use serde_json::Value;

use crate::support::{Run, TestEnv};

const FORMATS: [&str; 6] = ["text", "wide", "short", "json", "yaml", "name"];

/// An environment with findings of every severity except `unknown`.
fn troubled() -> TestEnv {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.damage("shop");
    env.create_credentials("shop", "a-rival", "other:password");
    env.sandbox.quay.add_repository("openshift_shop", "extra", "quayadmin");
    env
}

fn in_format(env: &TestEnv, command: &[&str], format: &str) -> Run {
    env.oc_quay(command).args(&["-o", format]).run()
}

#[test]
fn all_formats_have_the_same_content_and_exit_code() {
    let env = troubled();
    for command in [&["status", "-n", "shop"][..], &["repair", "-n", "shop", "--dry-run"]] {
        let runs = FORMATS.map(|format| in_format(&env, command, format));
        let codes: Vec<_> = runs.iter().map(|run| run.code).collect();
        assert!(codes.iter().all(|code| *code == codes[0]), "{command:?}: {codes:?}");
        let [human, wide, short, json, yaml, name] = runs.map(|run| run.stdout);
        let report: Value = serde_json::from_str(&json).unwrap();
        let timeless = |mut report: Value| {
            report.as_object_mut().unwrap().remove("time");
            report
        };
        let yaml = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(timeless(yaml), timeless(report.clone()), "they are of two runs");
        assert_eq!(report["apiVersion"], "oc-quay/v1");

        let summary_line = report["summaryLine"].as_str().unwrap();
        for text in [&human, &wide, &short] {
            assert!(
                text.split_whitespace().collect::<Vec<_>>().join(" ").contains(summary_line),
                "{summary_line}\n{text}"
            );
        }
        for finding in report["findings"].as_array().unwrap() {
            let code = finding["code"].as_str().unwrap();
            assert!(human.contains(code) && wide.contains(code), "{code}\n{human}");
            let is_problem = finding["severity"] != "info";
            assert_eq!(short.contains(code), is_problem, "{code}\n{short}");
        }
        for change in report["changes"].as_array().into_iter().flatten() {
            let object = &change["object"];
            let line = format!(
                "{}/{}\n",
                object["kind"].as_str().unwrap().to_lowercase(),
                object["name"].as_str().unwrap()
            );
            assert!(name.contains(&line), "{line}{name}");
        }
    }
    let kind = |command: &[&str]| in_format(&env, command, "json").json()["kind"].clone();
    assert_eq!(kind(&["status", "-n", "shop"]), "StatusReport");
    assert_eq!(kind(&["repair", "-n", "shop", "--dry-run"]), "ChangeReport");
    let names = in_format(&env, &["status", "-n", "shop"], "name").stdout;
    assert!(
        names.contains("secret/a-rival\n") && !names.contains("extra"),
        "problems only: {names}"
    );
}

#[test]
fn change_reports_name_cluster_quay_and_time() {
    let env = TestEnv::new();
    let before = jiff::Timestamp::now().as_second();
    for command in ["link", "repair", "unlink"] {
        let report = in_format(&env, &[command, "-n", "shop", "--yes"], "json").json();
        assert_eq!(report["cluster"]["source"], "context admin", "{report:#}");
        assert!(report["cluster"]["value"].as_str().unwrap().contains(':'), "{report:#}");
        assert_eq!(report["quay"]["value"], env.sandbox.quay.url(), "{report:#}");
        assert_eq!(report["quay"]["source"], "QuayIntegration quay", "{report:#}");
        let time: jiff::Timestamp = report["time"].as_str().unwrap().parse().unwrap();
        assert!((before..=before + 600).contains(&time.as_second()), "{report:#}");
    }
}

#[test]
fn failing_severity_can_be_chosen() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let codes = |env: &TestEnv| {
        ["unknown", "warning", "error", "never"].map(|severity| {
            env.oc_quay(&["status", "-n", "shop", "--fail-on", severity]).run().code.unwrap()
        })
    };
    assert_eq!(codes(&env), [0, 0, 0, 0]);
    env.sandbox.quay.add_repository("openshift_shop", "extra", "quayadmin");
    assert_eq!(codes(&env), [0, 0, 0, 0], "info");
    env.create_credentials("shop", "a-rival", "other:password");
    assert_eq!(codes(&env), [1, 1, 0, 0], "warning");
    env.delete("Secret", "shop", "default-quay-openshift");
    assert_eq!(codes(&env), [1, 1, 1, 0], "error");
    env.oc_quay(&["status", "-n", "shop", "--fail-on", "info"]).ends_with(2);
}

#[test]
fn colors_output_only_when_wanted() {
    let env = troubled();
    let status = || env.oc_quay(&["status", "-n", "shop"]);
    let is_colored = |run: Run| run.stdout.contains('\u{1b}');
    assert!(!is_colored(status().run()), "a pipe");
    assert!(is_colored(status().args(&["--color", "always"]).run()));
    assert!(is_colored(status().env("CLICOLOR_FORCE", "1").run()));
    assert!(!is_colored(status().env("CLICOLOR_FORCE", "1").args(&["--color", "never"]).run()));
    assert!(!is_colored(status().env("NO_COLOR", "1").env("CLICOLOR_FORCE", "0").run()));
    let machine = status().args(&["--color", "always", "-o", "json"]).run();
    assert!(!is_colored(machine));
}

#[test]
fn output_is_ascii_when_terminal_is_not_utf_8() {
    let env = troubled();
    let ascii = env.oc_quay(&["status", "-n", "shop"]).env("LC_ALL", "C").ends_with(1);
    assert!(ascii.stdout.is_ascii(), "{}", ascii.stdout);
    let utf8 = env.oc_quay(&["status", "-n", "shop"]).ends_with(1);
    assert!(!utf8.stdout.is_ascii(), "{}", utf8.stdout);
}

#[test]
fn hints_and_usage_use_the_name_of_the_invoked_program() {
    let env = troubled();
    let run = env.oc_quay(&["status", "-n", "shop"]).called("kubectl-quay").ends_with(1);
    assert!(
        run.stdout.contains("kubectl quay repair") && !run.stdout.contains("oc quay"),
        "{}",
        run.stdout
    );
    let run = env.oc_quay(&["status", "-n", "shop"]).ends_with(1);
    assert!(
        run.stdout.contains("oc quay repair") && !run.stdout.contains("kubectl"),
        "{}",
        run.stdout
    );
    for (name, usage) in
        [("kubectl-quay", "Usage: kubectl quay status"), ("oc-quay", "Usage: oc quay status")]
    {
        let help = env.oc_quay(&["status", "-h"]).called(name).succeeds();
        assert!(help.stdout.contains(usage), "{}", help.stdout);
    }
}

#[test]
fn closed_reader_is_no_failure() {
    let env = TestEnv::new();
    for arguments in [
        &["explain"][..],
        &["version", "--client"],
        &["link", "-n", "shop", "--dry-run"],
        &["--help"],
    ] {
        let mut child = env.oc_quay(arguments).spawn();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?} {output:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{arguments:?}");
    }
}

#[test]
fn lists_namespaces_with_problems_first() {
    let env = TestEnv::new();
    for name in ["a-fine", "b-fine", "z-broken"] {
        env.namespace(name);
    }
    env.oc_quay(&["link", "-A", "--yes"]).succeeds();
    env.delete("Secret", "z-broken", "default-quay-openshift");
    env.create_credentials("b-fine", "a-rival", "other:password");
    let table = env.oc_quay(&["status", "-A"]).ends_with(1).stdout;
    let place = |name: &str| {
        table
            .lines()
            .position(|line| line.contains(name))
            .unwrap_or_else(|| panic!("no {name} in\n{table}"))
    };
    assert!(place("z-broken") < place("b-fine") && place("b-fine") < place("a-fine"), "{table}");
    assert!(
        table.lines().any(|line| line.contains("z-broken") && line.contains("OQ301")),
        "{table}"
    );
    assert!(table.contains("1 with errors, 1 with warnings"), "{table}");
    assert!(table.ends_with("Run: oc quay repair -A\n"), "{table}");

    let report = env.oc_quay(&["status", "-A", "-o", "json"]).ends_with(1).json();
    let names: Vec<_> = report["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|namespace| namespace["name"].clone())
        .collect();
    assert_eq!(names[..3], ["z-broken", "b-fine", "a-fine"]);
}

#[test]
fn explains_every_code_and_no_other() {
    let env = TestEnv::bare();
    let all = env.oc_quay(&["explain"]).succeeds().stdout;
    for code in Code::ALL {
        let entry = code.entry();
        assert!(all.contains(entry.code), "{}", entry.code);
        let one = env.oc_quay(&["explain", &entry.code.to_lowercase()]).succeeds().stdout;
        assert!(one.contains(entry.code) && one.contains(entry.title), "{one}");
    }
    let run = env.oc_quay(&["explain", "OQ000"]).ends_with(2);
    assert!(run.stderr.contains("OQ000"), "{}", run.stderr);
    assert!(env.cluster_traffic().entries().is_empty());
}

#[test]
fn client_version_needs_no_server() {
    let env = TestEnv::new();
    let client = |format: &str| {
        env.oc_quay(&["version", "--client", "-o", format])
            .env("KUBECONFIG", "/nonexistent")
            .succeeds()
    };
    assert_eq!(client("text").stdout, format!("oc-quay {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(client("json").json()["client"], env!("CARGO_PKG_VERSION"));
    assert!(env.cluster_traffic().entries().is_empty() && env.quay_traffic().entries().is_empty());

    let all = env.oc_quay(&["version"]).succeeds().stdout;
    assert!(all.contains("Cluster: OpenShift 4.21.0") && all.contains("Quay: "), "{all}");
    // An unavailable server is reported and is no failure.
    let run = env.oc_quay(&["version"]).env("OC_QUAY_URL", "https://127.0.0.1:1").succeeds();
    assert!(
        run.stdout.contains("Quay: unknown version at https://127.0.0.1:1: "),
        "{}",
        run.stdout
    );
}

#[test]
fn watch_shows_changes_until_interrupted() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let mut watch = env.oc_quay(&["status", "-n", "shop", "--watch", "-o", "short"]).spawn();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "---");
    assert!(lines.next().unwrap().starts_with("Pods in shop can pull"));
    env.delete("Secret", "shop", "default-quay-openshift");
    assert_eq!(lines.next().unwrap(), "---");
    assert!(lines.next().unwrap().contains("OQ301"));
    interrupt(&watch);
    let output = watch.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn watch_uses_token_from_stdin_for_every_refresh() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let watch =
        env.oc_quay(&["status", "-n", "shop", "--watch", "-o", "short", "--quay-token-file", "-"]);
    let mut watch = watch.stdin(&env.sandbox.quay.admin_token()).spawn();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.nth(1).unwrap().starts_with("Pods in shop can pull"));
    env.delete("Secret", "shop", "default-quay-openshift");
    assert!(lines.nth(1).unwrap().contains("OQ301"));
    interrupt(&watch);
    assert_eq!(watch.wait().unwrap().code(), Some(130));
}

#[test]
fn verbosity_follows_the_number_of_v_flags() {
    let env = TestEnv::new();
    let shown = |flag: &str| {
        env.oc_quay(&["status", "-n", "shop", flag]).run().stderr.contains("quayintegrations")
    };
    assert!(!shown("-v") && shown("-vv"));
}

fn interrupt(child: &Child) {
    let killed = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(killed.success());
}

#[test]
fn hints_begin_with_the_invoked_command() {
    let env = TestEnv::bare();
    env.namespace("shop");
    let run = env.oc_quay(&["link", "-n", "shop", "--yes"]).called("kubectl-quay").ends_with(2);
    assert!(
        run.stderr.contains("hint: check the integration: kubectl quay status"),
        "{}",
        run.stderr
    );
    let run = env.setup(&["--link", "kube-system"]).called("kubectl-quay").ends_with(2);
    assert!(run.stderr.contains("kubectl quay link -n kube-system --force"), "{}", run.stderr);
    let run = env.setup(&["--link", "shop", "--dry-run"]).called("kubectl-quay").succeeds();
    assert!(
        run.said().contains("kubectl quay link shop --dry-run shows the changes"),
        "{}",
        run.stdout
    );
    assert!(!run.stdout.contains("oc quay"), "{}", run.stdout);
}

#[test]
fn shown_commands_can_be_pasted_into_a_shell() {
    let env = TestEnv::new();
    env.merge(
        "Namespace",
        "",
        "shop",
        &serde_json::json!({ "metadata": { "labels": { "env": "a" } } }),
    );
    let run = env.oc_quay(&["status", "-l", "env in (a,b)", "-o", "short"]).ends_with(1);
    assert!(run.stdout.contains("oc quay repair -l 'env in (a,b)'"), "{}", run.stdout);
}

#[test]
fn closed_pipe_is_silent_and_keeps_the_exit_code() {
    let env = TestEnv::new();
    let closed = |arguments: &[&str]| {
        let mut child = env.oc_quay(arguments).spawn();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(!String::from_utf8_lossy(&output.stderr).contains("pipe"), "{output:?}");
        output.status.code()
    };
    assert_eq!(closed(&["explain"]), Some(0));
    assert_eq!(closed(&["status", "-n", "shop"]), Some(1), "it is not linked yet");
    env.cluster_traffic().fault(Fault::on("POST", "/secrets").status(403));
    assert_eq!(closed(&["link", "-n", "shop", "--yes"]), Some(1), "changes failed");
}

#[test]
fn prints_version_for_flag() {
    let env = TestEnv::bare();
    let run = env.oc_quay(&["--version"]).succeeds();
    assert!(run.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", run.stdout);
}

#[test]
fn rejects_labels_that_match_no_namespace() {
    let env = TestEnv::new();
    for command in ["status", "link", "repair", "unlink"] {
        let run = env.oc_quay(&[command, "-l", "team=typo"]).ends_with(2);
        assert!(
            run.stderr.contains("no namespace matches the selector team=typo"),
            "{}",
            run.stderr
        );
    }
    env.assert_nothing_written();
}

#[test]
fn prints_requested_format() {
    let env = TestEnv::bare();
    let list = env.oc_quay(&["manifests", "-o", "json"]).succeeds().stdout;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["kind"], "List");
    assert!(
        list["items"].as_array().unwrap().iter().any(|object| object["kind"] == "Deployment"),
        "{list}"
    );
    env.oc_quay(&["manifests", "-o", "wide"]).ends_with(2);
    let names = env.oc_quay(&["explain", "-o", "name"]).succeeds().stdout;
    assert!(names.lines().all(|line| line.len() == 5 && line.starts_with("OQ")), "{names}");
    assert_eq!(env.oc_quay(&["explain", "OQ301", "-o", "name"]).succeeds().stdout, "OQ301\n");
}

#[test]
fn status_names_its_cluster() {
    let env = TestEnv::new();
    let server = env.sandbox.openshift.url().trim_start_matches("https://").to_owned();
    let run = env.oc_quay(&["status", "-n", "shop"]).run();
    assert!(run.stdout.starts_with(&format!("Cluster      {server} (context ")), "{}", run.stdout);
    let report = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).run().json();
    assert_eq!(report["integration"]["cluster"]["value"], server.as_str());
    let page = env.oc_quay(&["status", "-n", "shop", "-o", "html"]).run().stdout;
    assert!(page.contains(&format!("<dt>Cluster</dt><dd>{server}")), "{page}");
}
