//! Runs the program in an environment: as a process, or as a call within the test's own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::{TestEnv, panics, schema};

/// Retry delays as a percentage of those for users. Tests count attempts and measure no time.
const PAUSE_PERCENT: u32 = 10;

/// The stack of a process's main thread, in bytes.
const MAIN_STACK_SIZE: usize = 8 << 20;

pub(crate) struct Command<'a> {
    pub(super) env: &'a TestEnv,
    pub(super) program: PathBuf,
    /// Name of the executable in hints.
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) environment: BTreeMap<String, OsString>,
    pub(super) stdin: Option<String>,
    pub(super) is_in_process: bool,
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) line: String,
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl<'a> Command<'a> {
    pub(super) fn new(env: &'a TestEnv, arguments: &[&str]) -> Self {
        let command = Self {
            env,
            program: env!("CARGO_BIN_EXE_oc-quay").into(),
            name: "oc-quay".to_owned(),
            arguments: vec![],
            environment: BTreeMap::new(),
            stdin: None,
            is_in_process: false,
        };
        command
            .env("HOME", env.dir())
            .env("KUBECONFIG", env.kubeconfig())
            .env("OC_QUAY_CA_FILE", env.sandbox.ca_file())
            .env("OC_QUAY_TEST_PAUSE_PERCENT", PAUSE_PERCENT.to_string())
            .env("SSL_CERT_FILE", env.system_ca_file())
            .env("LC_ALL", "C.UTF-8")
            .args(arguments)
    }

    pub(super) fn line(&self) -> String {
        format!("oc quay {}", self.arguments.join(" "))
    }

    /// Runs it as a call of the library, for tests with thousands of runs.
    pub(crate) fn in_process(mut self) -> Self {
        self.is_in_process = true;
        self
    }

    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Replaces the arguments.
    pub(crate) fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.clear();
        self.args(arguments)
    }

    /// Sets a new token of a Quay user with these scopes.
    pub(crate) fn token_of(self, user: &str, scopes: &[&str]) -> Self {
        let token = self.env.sandbox.quay.add_token(user, scopes);
        self.env.note_secret(&token);
        self.env("OC_QUAY_TOKEN", token)
    }

    /// Sets the name of the executable, as a link of that name does.
    pub(crate) fn called(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.insert(name.to_owned(), value.as_ref().to_owned());
        self
    }

    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    pub(crate) fn user(self, user: &str) -> Self {
        self.args(&["--context", user])
    }

    /// Runs as a user who is not allowed to read the integration and names the Quay by flags.
    pub(crate) fn guest(self, user: &str) -> Self {
        let quay = &self.env.sandbox.quay;
        let (url, token) = (quay.url(), quay.admin_token());
        self.user(user)
            .env("OC_QUAY_URL", url)
            .env("OC_QUAY_CLUSTER_ID", "openshift")
            .env("OC_QUAY_TOKEN", token)
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = Some(text.to_owned());
        self
    }

    pub(super) fn process(&self) -> std::process::Command {
        let mut process = std::process::Command::new(&self.program);
        process.arg0(&self.name).args(&self.arguments).current_dir(self.env.dir());
        process.env_clear().envs(&self.environment);
        process
    }

    /// Starts it without waiting for its end.
    pub(crate) fn spawn(&self) -> Child {
        let stdin = if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = self
            .process()
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if let (Some(text), Some(mut pipe)) = (&self.stdin, child.stdin.take()) {
            // The program is not required to read stdin.
            let _ = pipe.write_all(text.as_bytes());
        }
        child
    }

    /// Calls the library and interrupts the run when `interruption` completes.
    pub(super) fn call(&self, interruption: impl Future<Output = ()> + Send) -> Run {
        let foreign =
            std::env::vars_os().find(|(name, _)| name.as_encoded_bytes().starts_with(b"OC_QUAY_"));
        assert_eq!(
            foreign, None,
            "unset this: it reaches the runs within the process of the tests"
        );
        let arguments = [&self.name].into_iter().chain(&self.arguments).map(OsString::from);
        let arguments = arguments
            .chain(self.environment.iter().flat_map(|(name, value)| self.flag(name, value)));
        let arguments: Vec<_> = arguments.collect();
        let call = || oc_quay::run_captured(arguments, PAUSE_PERCENT, interruption).unwrap();
        let panics = panics::count();
        let run = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name(panics::THREAD_NAME.to_owned())
                .stack_size(MAIN_STACK_SIZE);
            thread
                .spawn_scoped(scope, call)
                .unwrap()
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let panics = panics::after(panics);
        assert!(panics.is_empty(), "{} panicked: {panics:#?}\n{run:#?}", self.line());
        Run {
            line: self.line(),
            code: Some(run.status as i32),
            stdout: run.stdout,
            stderr: run.stderr,
        }
    }

    /// The flag for an environment variable, which is not set in the test's own process.
    fn flag(&self, name: &str, value: &OsStr) -> Vec<OsString> {
        let flag = match name {
            "KUBECONFIG" => "--kubeconfig",
            "OC_QUAY_CA_FILE" => "--quay-ca-file",
            "OC_QUAY_URL" => "--quay-url",
            "OC_QUAY_CLUSTER_ID" => "--cluster-id",
            "OC_QUAY_TOKEN" => "--quay-token-file",
            "OC_QUAY_PASSWORD" => "--quay-password-file",
            "HOME" | "OC_QUAY_TEST_PAUSE_PERCENT" | "SSL_CERT_FILE" | "LC_ALL" => return vec![],
            _ => panic!("{name} has no flag"),
        };
        if !flag.ends_with("-token-file") && !flag.ends_with("-password-file") {
            return vec![flag.into(), value.into()];
        }
        let file = self.env.dir().join(name);
        std::fs::write(&file, value.as_encoded_bytes()).unwrap();
        vec![flag.into(), file.into()]
    }

    /// Runs it to its end and asserts that it printed no secret.
    #[track_caller]
    pub(crate) fn run(self) -> Run {
        let before = self.env.secrets();
        let run =
            if self.is_in_process { self.call(std::future::pending()) } else { self.run_process() };
        for secret in before.union(&self.env.secrets()) {
            assert!(
                !run.stdout.contains(secret) && !run.stderr.contains(secret),
                "a secret was printed: {run:#?}"
            );
        }
        run
    }

    fn run_process(&self) -> Run {
        let output = self.spawn().wait_with_output().unwrap();
        Run {
            line: self.line(),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Run {
        let run = self.run();
        assert_eq!(run.code, Some(code), "{}\n{}{}", run.line, run.stdout, run.stderr);
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        run
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Run {
        self.ends_with(0)
    }
}

impl Run {
    /// Stdout as JSON, validated with the published schema.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let document = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{}: {error}\n{}", self.line, self.stdout));
        schema::assert_valid(&document);
        document
    }

    /// The finding codes in a JSON report.
    #[track_caller]
    pub(crate) fn codes(&self) -> Vec<String> {
        let report = self.json();
        let findings =
            report["findings"].as_array().unwrap_or_else(|| panic!("no findings: {report}"));
        findings.iter().map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
    }
}
