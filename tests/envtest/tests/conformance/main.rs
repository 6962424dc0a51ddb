//! Conformance of the sandbox with a real API server, whose responses are recorded in
//! `recording.json`.
//!
//! The sandbox is always tested, the real server if `KUBEBUILDER_ASSETS` is set.
//! `UPDATE_RECORDING=1` records the real server's responses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod answer;
mod differences;
mod hook;
mod scripts;
mod servers;
mod step;

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;

use serde_json::Value;

use answer::Recorded;
use differences::DIFFERENCES;
use servers::Server;
use step::{Script, play};

type Recording = BTreeMap<String, Vec<Recorded>>;

#[test]
fn stand_in_answers_as_recorded() {
    // Each script has its own sandbox.
    let actual = play_all(|script| Server::stand_in(script.settles));
    let mut unexpected = Vec::new();
    let mut met = vec![false; DIFFERENCES.len()];
    for found in compare(&recording(), &actual) {
        match DIFFERENCES.iter().position(|known| known.matches(&found)) {
            Some(index) => met[index] = true,
            None => unexpected.push(found.to_string()),
        }
    }
    let gone: Vec<_> = DIFFERENCES
        .iter()
        .zip(met)
        .filter(|(_, met)| !met)
        .map(|(known, _)| known.to_string())
        .collect();
    assert!(unexpected.is_empty(), "{} differences:\n{}", unexpected.len(), unexpected.join("\n"));
    assert!(gone.is_empty(), "not different any more:\n{}", gone.join("\n"));
}

#[test]
fn api_server_answers_as_recorded() {
    let Some(server) = Server::real() else {
        eprintln!(
            "skipped: KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver (see tests/envtest/build)"
        );
        return;
    };
    let actual = play_all(|_| server.clone());
    if std::env::var_os("UPDATE_RECORDING").is_some() {
        write(&actual);
        return;
    }
    let found: Vec<String> =
        compare(&recording(), &actual).iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

/// Mostly concurrently, as scripts wait for the server.
fn play_all(server: impl Fn(&Script) -> Server + Sync) -> Recording {
    let (alone, together): (Vec<Script>, Vec<Script>) =
        scripts::all().into_iter().partition(|script| script.is_alone);
    let play = |script: Script| (script.name.to_owned(), play(&script, &server(&script)));
    let mut recording: Recording = thread::scope(|scope| {
        let threads: Vec<_> =
            together.into_iter().map(|script| scope.spawn(|| play(script))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    recording.extend(alone.into_iter().map(play));
    recording
}

/// A difference from the recording.
struct Found {
    script: String,
    request: String,
    /// JSON pointer into the recorded response.
    at: String,
    recorded: Value,
    actual: Value,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { script, request, at, recorded, actual } = self;
        write!(f, "{script}: {request}\n  {at}\n    recorded {recorded}\n    actual   {actual}")
    }
}

fn compare(recording: &Recording, actual: &Recording) -> Vec<Found> {
    let outdated = "the recording is of other requests: UPDATE_RECORDING=1 with KUBEBUILDER_ASSETS set makes a new one";
    assert!(recording.keys().eq(actual.keys()), "{outdated}");
    let mut found = Vec::new();
    for (script, answers) in actual {
        let recorded = &recording[script];
        let requests = |answers: &[Recorded]| {
            answers.iter().map(|answer| answer.request.clone()).collect::<Vec<_>>()
        };
        assert_eq!(requests(recorded), requests(answers), "{script}: {outdated}");
        for (recorded, actual) in recorded.iter().zip(answers) {
            differ("", &recorded.answer(), &actual.answer(), &mut |at, expected, got| {
                found.push(Found {
                    script: script.clone(),
                    request: recorded.request.clone(),
                    at: at.to_owned(),
                    recorded: expected.clone(),
                    actual: got.clone(),
                });
            });
        }
    }
    found
}

fn differ(
    at: &str,
    recorded: &Value,
    actual: &Value,
    report: &mut impl FnMut(&str, &Value, &Value),
) {
    match (recorded, actual) {
        (Value::Object(expected), Value::Object(got)) => {
            let keys: std::collections::BTreeSet<&String> =
                expected.keys().chain(got.keys()).collect();
            for key in keys {
                let field = |object: &serde_json::Map<String, Value>| {
                    object.get(key).cloned().unwrap_or_default()
                };
                differ(&format!("{at}/{key}"), &field(expected), &field(got), report);
            }
        }
        (Value::Array(expected), Value::Array(got)) if expected.len() == got.len() => {
            for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
                differ(&format!("{at}/{index}"), expected, got, report);
            }
        }
        _ if recorded == actual => {}
        _ => report(at, recorded, actual),
    }
}

fn path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/recording.json")
}

fn recording() -> Recording {
    let text = std::fs::read_to_string(path()).unwrap();
    let scripts: BTreeMap<String, Vec<Value>> = serde_json::from_str(&text).unwrap();
    scripts
        .into_iter()
        .map(|(name, answers)| (name, answers.iter().map(Recorded::read).collect()))
        .collect()
}

/// One line per response, for readable diffs.
fn write(recording: &Recording) {
    let script = |(name, answers): (&String, &Vec<Recorded>)| {
        let lines: Vec<String> =
            answers.iter().map(|answer| answer.written().to_string()).collect();
        format!("{}: [\n{}\n]", Value::from(name.as_str()), lines.join(",\n"))
    };
    let scripts: Vec<String> = recording.iter().map(script).collect();
    std::fs::write(path(), format!("{{\n{}\n}}\n", scripts.join(",\n"))).unwrap();
}
