//! The program, run in a world.

use std::io::Write as _;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::{World, schema};

/// Pauses between two attempts are this much of what they are for users. Those that tests count are counted, not timed.
const PAUSE_PERCENT: &str = "10";

/// The program with its arguments and environment, ready to run.
pub(crate) struct Command<'a> {
    pub(super) world: &'a World,
    pub(super) line: String,
    pub(super) command: std::process::Command,
    pub(super) stdin: Option<String>,
}

/// What a run ended with.
#[derive(Debug)]
pub(crate) struct Run {
    /// The command line, for messages.
    pub(crate) line: String,
    /// The exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it wrote to stdout.
    pub(crate) stdout: String,
    /// What it wrote to stderr.
    pub(crate) stderr: String,
}

impl<'a> Command<'a> {
    pub(super) fn new(world: &'a World, arguments: &[&str]) -> Self {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_oc-quay"));
        command
            .args(arguments)
            .current_dir(world.dir())
            .env_clear()
            .env("HOME", world.dir())
            .env("KUBECONFIG", world.kubeconfig())
            .env("OC_QUAY_CA_FILE", world.sandbox.ca_file())
            .env("OC_QUAY_TEST_PAUSE_PERCENT", PAUSE_PERCENT)
            .env("SSL_CERT_FILE", world.system_ca_file())
            .env("LC_ALL", "C.UTF-8");
        Self { world, line: format!("oc quay {}", arguments.join(" ")), command, stdin: None }
    }

    /// Adds arguments.
    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.line = format!("{} {}", self.line, arguments.join(" "));
        self.command.args(arguments);
        self
    }

    /// Gives it a new token of one of Quay's users, with these scopes.
    pub(crate) fn token_of(self, user: &str, scopes: &[&str]) -> Self {
        let token = self.world.sandbox.quay.add_token(user, scopes);
        self.world.note_secret(&token);
        self.env("OC_QUAY_TOKEN", token)
    }

    /// Calls it by another name, as a link of that name does.
    pub(crate) fn called(mut self, name: &str) -> Self {
        use std::os::unix::process::CommandExt as _;
        self.command.arg0(name);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Removes an environment variable.
    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs as another user of the cluster, `dev` or `nobody`.
    pub(crate) fn user(mut self, user: &str) -> Self {
        self.command.args(["--context", user]);
        self
    }

    /// Runs as somebody who may not read the integration and says instead which Quay to use.
    pub(crate) fn guest(self, user: &str) -> Self {
        let quay = &self.world.sandbox.quay;
        let (url, token) = (quay.url(), quay.admin_token());
        self.user(user).env("OC_QUAY_URL", url).env("OC_QUAY_CLUSTER_ID", "openshift").env("OC_QUAY_TOKEN", token)
    }

    /// Runs it in the world's folder, where it may leave files.
    pub(crate) fn in_folder(mut self) -> Self {
        self.command.current_dir(self.world.dir());
        self
    }

    /// What stdin holds.
    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = Some(text.to_owned());
        self
    }

    /// Starts it, for tests that do something to it while it runs.
    pub(crate) fn spawn(mut self) -> Child {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs it to its end and makes sure that it printed no secret.
    #[track_caller]
    pub(crate) fn run(mut self) -> Run {
        let before = self.world.secrets();
        let stdin = if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        if let (Some(text), Some(mut pipe)) = (&self.stdin, child.stdin.take()) {
            // A program that does not read it is fine.
            let _ = pipe.write_all(text.as_bytes());
        }
        let output = child.wait_with_output().unwrap();
        let run = Run {
            line: self.line,
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        for secret in before.union(&self.world.secrets()) {
            assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "a secret was printed: {run:#?}");
        }
        run
    }

    /// Runs it and insists on an exit code.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Run {
        let run = self.run();
        assert_eq!(run.code, Some(code), "{}\n{}{}", run.line, run.stdout, run.stderr);
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        run
    }

    /// Runs it and insists on success.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Run {
        self.ends_with(0)
    }
}

impl Run {
    /// Stdout as JSON, which has to be as the published schema says.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let document =
            serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{}: {error}\n{}", self.line, self.stdout));
        schema::assert_valid(&document);
        document
    }

    /// The finding codes in a report that was asked for as JSON.
    #[track_caller]
    pub(crate) fn codes(&self) -> Vec<String> {
        let report = self.json();
        let findings = report["findings"].as_array().unwrap_or_else(|| panic!("no findings: {report}"));
        findings.iter().map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
    }
}
