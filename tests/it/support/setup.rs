//! Runs of the setup, its report, and failures of OLM.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use sandbox::openshift::olm::Trouble;
use sandbox::traffic::Fault;
use serde_json::Value;

use super::{Command, Run, TestEnv};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

impl TestEnv {
    /// `setup` for this environment's Quay with a token of its superuser and all required flags.
    pub(crate) fn setup(&self, arguments: &[&str]) -> Command<'_> {
        let quay = &self.sandbox.quay;
        let command = self.oc_quay(&["setup", "--yes"]).args(arguments);
        command.env("OC_QUAY_URL", quay.url()).env("OC_QUAY_TOKEN", quay.admin_token())
    }

    /// Runs a command and calls a function just before its first request of this kind arrives.
    #[track_caller]
    pub(crate) fn interfere(
        &self,
        method: &str,
        path: &str,
        command: Command<'_>,
        act: impl FnOnce(),
    ) -> Run {
        let (arrived, arrival) = mpsc::channel();
        let (continue_imports, gate) = mpsc::channel();
        let gate = Mutex::new(gate);
        self.cluster_traffic().fault(Fault::on(method, path).nth(1).before(move || {
            arrived.send(()).unwrap();
            // The server continues with other requests.
            tokio::task::block_in_place(|| gate.lock().unwrap().recv().unwrap());
        }));
        let mut child = command.spawn();
        arrival
            .recv_timeout(REQUEST_TIMEOUT)
            .unwrap_or_else(|_| panic!("no {method} of {path}: {:?}", child.try_wait()));
        act();
        continue_imports.send(()).unwrap();
        let output = child.wait_with_output().unwrap();
        self.clear_faults();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        Run { line: format!("{method} {path}"), code: output.status.code(), stdout, stderr }
    }

    /// Sets or clears a failure of the operator's catalog.
    pub(crate) fn trouble(&self, trouble: Option<&Trouble>) {
        let patch = trouble.map_or_else(Trouble::over, Trouble::patch);
        self.merge("CatalogSource", "openshift-marketplace", "redhat-operators", &patch);
    }
}

impl Run {
    /// All output on one line: reports are wrapped.
    pub(crate) fn said(&self) -> String {
        format!("{} {}", self.stdout, self.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// A step in a JSON report.
    #[track_caller]
    pub(crate) fn step(&self, name: &str) -> Value {
        let report = self.json();
        let steps = report["steps"].as_array().unwrap_or_else(|| panic!("no steps: {report}"));
        steps
            .iter()
            .find(|step| step["step"] == name)
            .unwrap_or_else(|| panic!("no step {name}: {report}"))
            .clone()
    }

    #[track_caller]
    pub(crate) fn state(&self, step: &str) -> String {
        self.step(step)["state"].as_str().unwrap().to_owned()
    }
}
