//! Sessions on the pages, in blocks marked `console`, are run from the top of a page to its end, each page in a sandbox
//! of its own. What they show must be what comes out.
//!
//! Besides our own commands a session may hold the few of [`Shell::run`]. A line `<!-- $ COMMAND -->` is run without
//! being shown: what went before, and accidents.

use std::process::Command;
use std::time::{Duration, Instant};

use sandbox::{Options, Sandbox, manifests};
use serde_json::json;

use super::markdown::commands;
use super::{assert_fresh, pages};

/// The namespaces of every sandbox, with their image streams.
const NAMESPACES: [(&str, &[&str]); 3] = [("shop", &["cart", "web"]), ("billing", &["api"]), ("intranet", &["wiki"])];

/// The page with what its sessions really print.
fn replayed(page: &str) -> String {
    let mut shell = None;
    let mut run = |line: &str| shell.get_or_insert_with(Shell::new).run(line);
    let (mut fresh, mut in_session) = (String::new(), false);
    for line in page.lines() {
        let fence = line.starts_with("```");
        if in_session && !fence && !line.starts_with("$ ") {
            continue;
        }
        fresh += &format!("{line}\n");
        if fence {
            in_session = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| in_session) {
            fresh += &run(command);
        } else if let Some(command) = line.strip_prefix("<!-- $ ").and_then(|rest| rest.strip_suffix(" -->")) {
            run(command);
        }
    }
    fresh
}

/// Somebody at a terminal, a cluster and a Quay.
struct Shell {
    sandbox: Sandbox,
    last_code: i32,
}

impl Shell {
    fn new() -> Self {
        let sandbox = Sandbox::start(Options::default()).unwrap();
        let openshift = &sandbox.openshift;
        openshift.create(manifests::credentials(&sandbox.quay.admin_token()));
        openshift.create(manifests::quay_integration(&sandbox.quay.url()));
        for (namespace, image_streams) in NAMESPACES {
            openshift.create(manifests::namespace(namespace));
            for name in image_streams {
                openshift.create(manifests::image_stream(namespace, name));
            }
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while !NAMESPACES.iter().all(|(namespace, _)| openshift.get("ServiceAccount", namespace, "deployer").is_some()) {
            assert!(Instant::now() < deadline, "the service accounts did not appear");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { sandbox, last_code: 0 }
    }

    /// Runs a line and returns what a terminal shows.
    fn run(&mut self, line: &str) -> String {
        let commands = commands(line);
        let words: Vec<_> = commands.iter().flatten().map(String::as_str).collect();
        let Sandbox { openshift, quay, .. } = &self.sandbox;
        match words.as_slice() {
            ["oc", "quay", arguments @ ..] => self.run_program(arguments),
            ["echo", "$?"] => format!("{}\n", self.last_code),
            ["oc", "delete", "secret", name, "-n", namespace] => {
                openshift.delete("Secret", namespace, name);
                format!("secret \"{name}\" deleted from {namespace} namespace\n")
            }
            ["oc", "create", "serviceaccount", name, "-n", namespace] => {
                let metadata = json!({ "name": name, "namespace": namespace });
                openshift.create(json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
                format!("serviceaccount/{name} created\n")
            }
            ["quay", "renew", organization, robot] => {
                quay.regenerate(organization, robot).unwrap();
                String::new()
            }
            ["quay", "push", organization, repository, tag] => {
                quay.push_tag(organization, repository, tag).unwrap();
                String::new()
            }
            _ => panic!("no session can run `{line}`: what is only to be copied goes into a block marked sh"),
        }
    }

    fn run_program(&mut self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_oc-quay"))
            .args(arguments)
            .env_clear()
            .env("KUBECONFIG", self.sandbox.kubeconfig())
            .env("OC_QUAY_CA_FILE", self.sandbox.ca_file())
            .env("LC_ALL", "C.UTF-8")
            .env("COLUMNS", "100")
            .output()
            .unwrap();
        self.last_code = output.status.code().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        let host = |url: String| url.trim_start_matches("https://").to_owned();
        shown
            .replace(&self.sandbox.quay.host(), "quay.example.com")
            .replace(&host(self.sandbox.openshift.url()), "api.example.com:6443")
    }
}

#[test]
fn sessions_end_as_shown() {
    let pages: Vec<_> = pages().into_iter().filter(|(_, page)| page.contains("```console")).collect();
    assert!(pages.len() >= 7, "the README and a page per command show sessions");
    let fresh: Vec<_> = pages.into_iter().map(|(path, page)| (path, replayed(&page))).collect();
    assert_fresh(&fresh);
}

#[test]
fn what_is_shown_and_is_not_so_is_noticed() {
    let page = "Text\n```console\n$ oc quay version --client\noc-quay 0.0.0\n$ echo $?\n1\n```\n```sh\n$ untouched\n```\n";
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!("Text\n```console\n$ oc quay version --client\noc-quay {version}\n$ echo $?\n0\n```\n```sh\n$ untouched\n```\n");
    assert_eq!(replayed(page), expected);
}
