//! Sessions on the pages, in blocks marked `console`, are run from the top of a page to its end, each page in a sandbox
//! of its own. What they show must be what comes out.
//!
//! Besides our own commands a session may hold the few of [`Shell::run`]. A line `<!-- $ COMMAND -->` is run without
//! being shown: what went before, and accidents. Lines `<!-- ? QUESTION > ANSWER -->` are what a person answers at a
//! terminal to questions of the next command that start so; to all others it is the Enter key.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use sandbox::Options;
use sandbox::openshift::Cluster;
use serde_json::json;

use super::markdown::commands;
use super::{assert_fresh, pages};
use crate::support::{Command, TestEnv};

/// A page with this line starts without the integration and the operator's definitions.
const BARE: &str = "<!-- a cluster without the integration -->";

/// The width of the terminal, in columns, and a height at which nothing of a session scrolls away, in rows.
const WINDOW: (u16, u16) = (100, 500);

/// Concurrent pages; a session mostly waits.
const AT_ONCE: usize = 6;

const QUESTION_TIMEOUT: Duration = Duration::from_secs(60);

/// The namespaces besides `shop`, with the one image stream of each.
const MORE_NAMESPACES: [(&str, &str); 2] = [("billing", "api"), ("intranet", "wiki")];

/// The page with the real output of its sessions.
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
        } else if let Some(command) =
            line.strip_prefix("<!-- $ ").and_then(|rest| rest.strip_suffix(" -->"))
        {
            shell.run(command);
            assert_eq!(shell.last_code, 0, "{command}");
        } else if let Some(answer) =
            line.strip_prefix("<!-- ? ").and_then(|rest| rest.strip_suffix(" -->"))
        {
            shell.answers.push(
                answer
                    .split_once(" >")
                    .map(|(question, answer)| (question.into(), answer.trim().into()))
                    .unwrap(),
            );
        }
    }
    fresh
}

/// A user at a terminal, with a cluster and a Quay.
struct Shell {
    env: TestEnv,
    is_bare: bool,
    last_code: i32,
    /// The answers to the questions of the next command.
    answers: Vec<(String, String)>,
}

impl Shell {
    fn new(page: &str) -> Option<Self> {
        let why = "sessions show the stand-in's versions";
        let is_bare = page.contains(BARE);
        let env = if is_bare { bare(why)? } else { TestEnv::stand_in(why)? };
        for (namespace, image_stream) in MORE_NAMESPACES {
            env.namespace(namespace);
            env.image_stream(namespace, image_stream);
        }
        let quay = &env.sandbox.quay;
        fs::write(env.dir().join("token.txt"), quay.admin_token()).unwrap();
        fs::write(env.dir().join("password.txt"), quay.password("quayadmin").unwrap()).unwrap();
        Some(Self { env, is_bare, last_code: 0, answers: vec![] })
    }

    /// Runs a line and returns the terminal's content.
    fn run(&mut self, line: &str) -> String {
        let commands = commands(line);
        let words: Vec<_> = commands.iter().flatten().map(String::as_str).collect();
        let quay = &self.env.sandbox.quay;
        match words.as_slice() {
            ["oc", "quay", arguments @ ..] => return self.run_program(arguments),
            ["echo", "$?"] => return format!("{}\n", self.last_code),
            ["oc", "delete", "secret", name, "-n", namespace] => {
                self.env.delete("Secret", namespace, name);
                return format!("secret \"{name}\" deleted from {namespace} namespace\n");
            }
            ["oc", "create", "serviceaccount", name, "-n", namespace] => {
                let metadata = json!({ "name": name, "namespace": namespace });
                self.env.create(
                    &json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }),
                );
                return format!("serviceaccount/{name} created\n");
            }
            ["oc", "adm", "policy", "add-role-to-user", "admin", user, "-n", namespace] => {
                self.env.grant(user, namespace);
                self.last_code = 0;
                return format!("clusterrole.rbac.authorization.k8s.io/admin added: \"{user}\"\n");
            }
            ["oc", "create", "buildconfig", name, "-n", namespace] => {
                let to = json!({ "kind": "ImageStreamTag", "name": format!("{name}:latest") });
                self.env.build_config(namespace, name, &json!({ "to": to }));
                self.last_code = 0;
                return format!("buildconfig.build.openshift.io/{name} created\n");
            }
            ["oc", "start-build", name, "-n", namespace, "--wait"] => {
                let build = self.env.start_build(namespace, name);
                self.env.wait_for_build(namespace, &build, "Complete");
                return format!("build.build.openshift.io/{build} started\n");
            }
            ["oc", "wait", "--for=delete", "deployment", name, "-n", namespace] => {
                self.env.wait_for(name, || self.env.get("Deployment", namespace, name).is_none());
                self.last_code = 0;
                return format!("deployment.apps/{name} condition met\n");
            }
            ["cluster", "trust", "quay"] => {
                self.env.trust_quay();
                self.last_code = 0;
            }
            ["quay", "renew", organization, robot] => {
                quay.regenerate(organization, robot).map(drop).unwrap()
            }
            ["quay", "push", organization, repository, tag] => {
                quay.push_tag(organization, repository, tag).map(drop).unwrap()
            }
            _ => panic!(
                "no session can run `{line}`: what is only to be copied goes into a block marked sh"
            ),
        }
        String::new()
    }

    fn run_program(&mut self, arguments: &[&str]) -> String {
        let arguments: Vec<_> = arguments.iter().map(|word| self.real(word)).collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut command = self.env.oc_quay(&arguments);
        if self.is_bare {
            command = command.without_env("OC_QUAY_CA_FILE");
        }
        let answers = std::mem::take(&mut self.answers);
        let (shown, code) = if answers.is_empty() {
            let run = command.env("COLUMNS", WINDOW.0.to_string()).run();
            // The report is last: until then only stderr is written.
            (run.stderr + &run.stdout, run.code.unwrap())
        } else {
            (self.converse(command, answers), 0)
        };
        self.last_code = code;
        let sandbox = &self.env.sandbox;
        let openshift = sandbox.openshift.url().trim_start_matches("https://").to_owned();
        let dir = format!("{}/", self.env.dir().display());
        let host = sandbox.quay.host();
        // A host as a key has dots instead of its colon.
        let shown = shown
            .replace(&host, "quay.example.com")
            .replace(&host.replace(':', ".."), "quay.example.com");
        same_times(&same_digests(
            &shown.replace(&openshift, "api.example.com:6443").replace(&dir, ""),
        ))
    }

    /// Runs the program at a terminal and answers its questions, with Enter by default, until all
    /// answers are used.
    fn converse(&self, command: Command<'_>, mut answers: Vec<(String, String)>) -> String {
        let terminal = command.in_window(WINDOW.0, WINDOW.1);
        let mut row = 0;
        while !answers.is_empty() {
            let deadline = Instant::now() + QUESTION_TIMEOUT;
            let question = loop {
                let screen = terminal.screen();
                if let Some((asked, question)) = question_below(&screen, row) {
                    row = asked;
                    break question;
                }
                assert!(Instant::now() < deadline, "no question for {answers:?}:\n{screen}");
                std::thread::sleep(Duration::from_millis(10));
            };
            let given = answers
                .iter()
                .position(|(start, _)| question.starts_with(start))
                .map(|place| answers.remove(place).1);
            let answer = given.unwrap_or_default();
            let secret = answer.strip_prefix("$(cat ").and_then(|rest| rest.strip_suffix(')'));
            let typed = secret.map_or_else(
                || self.real(&answer),
                |file| fs::read_to_string(self.real(file)).unwrap(),
            );
            terminal.types(&format!("{typed}\r"));
        }
        terminal.ends_with(0).screen + "\n"
    }

    /// The value of an argument: a file in the environment's folder, or an address of our Quay.
    fn real(&self, word: &str) -> String {
        let file = self.env.dir().join(word);
        if !word.is_empty() && file.is_file() {
            return file.display().to_string();
        }
        word.replace("quay.example.com", &self.env.sandbox.quay.host())
    }
}

/// The question that is asked below a row, and the row it is asked in, from one on.
fn question_below(screen: &str, row: usize) -> Option<(usize, String)> {
    let mut below = (1..).zip(screen.lines()).skip(row);
    below.find_map(|(row, line)| Some((row, line.strip_prefix("? ")?.to_owned())))
}

/// A cluster without the integration, with namespace `shop` and its image streams.
fn bare(why: &str) -> Option<TestEnv> {
    let cluster = Cluster { without: vec!["quay.redhat.com".into()], ..Cluster::default() };
    let env = TestEnv::stand_in_bare(Options { cluster, ..Options::default() }, why)?;
    env.namespace("shop");
    for stream in ["app", "base", "web"] {
        env.image_stream("shop", stream);
    }
    Some(env)
}

/// Replaces the digests of builds, which differ in each run.
fn same_digests(shown: &str) -> String {
    let mut parts = shown.split("sha256:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(|character: char| character.is_ascii_hexdigit());
        let digits = "0123456789abcdef".chars().cycle().take(part.len() - rest.len());
        text + "sha256:" + &digits.collect::<String>() + rest
    })
}

/// Replaces the time of a JSON report.
fn same_times(shown: &str) -> String {
    let line = |line: &str| match line.trim_start() {
        field if field.starts_with("\"time\": ") => {
            "  \"time\": \"2026-12-01T09:30:00Z\",\n".to_owned()
        }
        _ => line.to_owned(),
    };
    shown.split_inclusive('\n').map(line).collect()
}

#[test]
fn sessions_end_as_shown() {
    let pages: Vec<_> =
        pages().into_iter().filter(|(_, page)| page.contains("```console")).collect();
    assert!(pages.len() >= 9, "the README and a page per command show sessions");
    let replay = |(path, page): &(String, String)| {
        Some((path.clone(), replayed(page, &mut Shell::new(page)?)))
    };
    let mut fresh = Vec::new();
    for some in pages.chunks(AT_ONCE) {
        let replayed: Vec<_> = thread::scope(|scope| {
            let replayed: Vec<_> = some.iter().map(|page| scope.spawn(|| replay(page))).collect();
            replayed.into_iter().map(|page| page.join().unwrap()).collect()
        });
        fresh.extend(replayed.into_iter().flatten());
    }
    assert_fresh(&fresh);
}

#[test]
fn detects_sessions_that_differ() {
    let Some(mut shell) = Shell::new("") else { return };
    let page = "Text\n```console\n$ oc quay version --client\noc-quay 0.0.0\n$ echo $?\n1\n```\n```sh\n$ untouched\n```\n";
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "Text\n```console\n$ oc quay version --client\noc-quay {version}\n$ echo $?\n0\n```\n```sh\n$ untouched\n```\n"
    );
    assert_eq!(replayed(page, &mut shell), expected);
}
