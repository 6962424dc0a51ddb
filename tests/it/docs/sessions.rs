//! Sessions on the pages, in blocks marked `console`, are run from the top of a page to its end, each page in a sandbox
//! of its own. What they show must be what comes out.
//!
//! Besides our own commands a session may hold the few of [`Shell::run`]. A line `<!-- $ COMMAND -->` is run without
//! being shown: what went before, and accidents.

use serde_json::json;

use super::markdown::commands;
use super::{assert_fresh, pages};
use crate::support::World;

/// The namespaces besides `shop`, with the one image stream of each.
const MORE_NAMESPACES: [(&str, &str); 2] = [("billing", "api"), ("intranet", "wiki")];

/// The page with what its sessions really print.
fn replayed(page: &str, shell: &mut Shell) -> String {
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
            fresh += &shell.run(command);
        } else if let Some(command) = line.strip_prefix("<!-- $ ").and_then(|rest| rest.strip_suffix(" -->")) {
            shell.run(command);
            assert_eq!(shell.last_code, 0, "{command}");
        }
    }
    fresh
}

/// Somebody at a terminal, with a cluster and a Quay.
struct Shell {
    world: World,
    last_code: i32,
}

impl Shell {
    fn new() -> Option<Self> {
        let world = World::stand_in("sessions show the stand-in's versions")?;
        for (namespace, image_stream) in MORE_NAMESPACES {
            world.namespace(namespace);
            world.image_stream(namespace, image_stream);
        }
        Some(Self { world, last_code: 0 })
    }

    /// Runs a line and returns what a terminal shows.
    fn run(&mut self, line: &str) -> String {
        let commands = commands(line);
        let words: Vec<_> = commands.iter().flatten().map(String::as_str).collect();
        let quay = &self.world.sandbox.quay;
        match words.as_slice() {
            ["oc", "quay", arguments @ ..] => return self.run_program(arguments),
            ["echo", "$?"] => return format!("{}\n", self.last_code),
            ["oc", "delete", "secret", name, "-n", namespace] => {
                self.world.delete("Secret", namespace, name);
                return format!("secret \"{name}\" deleted from {namespace} namespace\n");
            }
            ["oc", "create", "serviceaccount", name, "-n", namespace] => {
                let metadata = json!({ "name": name, "namespace": namespace });
                self.world.create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
                return format!("serviceaccount/{name} created\n");
            }
            ["quay", "renew", organization, robot] => quay.regenerate(organization, robot).map(drop).unwrap(),
            ["quay", "push", organization, repository, tag] => quay.push_tag(organization, repository, tag).map(drop).unwrap(),
            _ => panic!("no session can run `{line}`: what is only to be copied goes into a block marked sh"),
        }
        String::new()
    }

    fn run_program(&mut self, arguments: &[&str]) -> String {
        let run = self.world.oc_quay(arguments).env("COLUMNS", "100").run();
        self.last_code = run.code.unwrap();
        let sandbox = &self.world.sandbox;
        let openshift = sandbox.openshift.url().trim_start_matches("https://").to_owned();
        // The report comes last: while it is put together, only stderr is written to.
        let shown = run.stderr + &run.stdout;
        shown.replace(&sandbox.quay.host(), "quay.example.com").replace(&openshift, "api.example.com:6443")
    }
}

#[test]
fn sessions_end_as_shown() {
    let pages: Vec<_> = pages().into_iter().filter(|(_, page)| page.contains("```console")).collect();
    assert!(pages.len() >= 7, "the README and a page per command show sessions");
    let mut fresh = Vec::new();
    for (path, page) in pages {
        let Some(mut shell) = Shell::new() else { return };
        fresh.push((path, replayed(&page, &mut shell)));
    }
    assert_fresh(&fresh);
}

#[test]
fn what_is_shown_and_is_not_so_is_noticed() {
    let Some(mut shell) = Shell::new() else { return };
    let page = "Text\n```console\n$ oc quay version --client\noc-quay 0.0.0\n$ echo $?\n1\n```\n```sh\n$ untouched\n```\n";
    let version = env!("CARGO_PKG_VERSION");
    let expected =
        format!("Text\n```console\n$ oc quay version --client\noc-quay {version}\n$ echo $?\n0\n```\n```sh\n$ untouched\n```\n");
    assert_eq!(replayed(page, &mut shell), expected);
}
