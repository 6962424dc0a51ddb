//! Every finding code, produced by the built program: a state is arranged, `status` reports it, `repair` fixes it.

mod forbidden;
mod hints;
mod integration;
mod namespaces;

use std::collections::BTreeSet;

use oc_quay::domain::finding::Code;
use serde_json::Value;

use crate::support::Run;

/// Codes that the two tables do not produce, and the test that does.
const ELSEWHERE: &[(&str, &str)] = &[
    ("OQ108", "forbidden: needs a rejected request"),
    ("OQ118", "status: the image policy of the cluster is arranged"),
    ("OQ119", "status: the image policy of the cluster is arranged"),
    ("OQ126", "status: a reserved platform namespace exists already"),
    ("OQ216", "status: Quay manages quotas"),
    ("OQ217", "status: Quay manages quotas"),
    ("OQ317", "status: a pod is arranged"),
    ("OQ121", "namespaces: nothing to arrange"),
    ("OQ122", "namespaces: needs a cluster with slow controllers"),
    ("OQ123", "repair: the namespace is deleted when it is repaired"),
    ("OQ128", "builds: a webhook and its Deployment are arranged"),
    ("OQ206", "ownership: the organization exists before the namespace"),
    ("OQ207", "ownership: a robot account of others"),
    ("OQ212", "integration: only an attempt to create a robot account shows it"),
    ("OQ307", "namespaces: Quay must hide it"),
    ("OQ309", "repair: only a rotation finds it"),
    ("OQ311", "link: OpenShift recreates the service accounts, unless a capability is disabled"),
    ("OQ524", "import: only an import finds it"),
    ("OQ316", "run: needs a namespace with many service accounts"),
    ("OQ407", "unit test of the limits: a thousand image streams are slow"),
    ("OQ402", "namespaces: the API server rejects such names, but might have stored one earlier"),
    ("OQ501", "builds: webhooks and builds are arranged"),
    ("OQ502", "builds: webhooks and builds are arranged"),
    ("OQ505", "builds: webhooks and builds are arranged"),
    ("OQ506", "builds: webhooks and builds are arranged"),
    ("OQ507", "builds: webhooks and builds are arranged"),
    ("OQ508", "builds: webhooks and builds are arranged"),
    ("OQ509", "builds: webhooks and builds are arranged"),
    ("OQ510", "builds: webhooks and builds are arranged"),
    ("OQ511", "builds: webhooks and builds are arranged"),
    ("OQ512", "builds: webhooks and builds are arranged"),
    ("OQ318", "unlink: others add credentials to a secret"),
    ("OQ513", "builds: a BuildConfig is arranged"),
];

#[test]
fn every_code_is_produced_by_a_test() {
    let rows = namespaces::CASES
        .iter()
        .map(|case| case.found)
        .chain(integration::CASES.iter().map(|case| case.found));
    let in_tables = rows.flatten().map(|found| &found[..5]);
    // OQ901 is covered by `forbidden`.
    let produced: BTreeSet<_> =
        in_tables.chain(ELSEWHERE.iter().map(|(code, _)| *code)).chain(["OQ901"]).collect();
    assert_eq!(produced, Code::ALL.iter().map(|code| code.as_str()).collect());
}

/// `OQ301 Secret/builder-quay-openshift` for each finding, sorted. Asserts that each matches its catalog entry.
fn lines<'a>(findings: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    let line = |finding: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, name) = (text(&finding["object"]["kind"]), text(&finding["object"]["name"]));
        let code = text(&finding["code"]);
        let entry = Code::parse(&code).unwrap().entry();
        assert_eq!(finding["severity"], entry.severity.as_str(), "{finding}");
        assert_eq!(
            finding["docs"],
            format!("docs/findings.md#{}", code.to_lowercase()),
            "{finding}"
        );
        assert_eq!(finding["hint"].is_null(), entry.hint.is_empty(), "{finding}");
        assert!(!text(&finding["message"]).is_empty(), "{finding}");
        if name.is_empty() { format!("{code} {kind}") } else { format!("{code} {kind}/{name}") }
    };
    let mut lines: Vec<_> = findings.into_iter().map(line).collect();
    lines.sort();
    lines
}

fn found(run: &Run) -> Vec<String> {
    lines(run.json()["findings"].as_array().unwrap())
}

/// The findings a row expects: `{ns}` is the namespace, `*` each of the three service accounts.
fn expected(rows: &[&str], namespace: &str) -> Vec<String> {
    let accounts = |row: &&str| match row.contains('*') {
        true => {
            ["builder", "default", "deployer"].map(|account| row.replace('*', account)).to_vec()
        }
        false => vec![(*row).to_owned()],
    };
    let mut lines: Vec<_> =
        rows.iter().flat_map(accounts).map(|row| row.replace("{ns}", namespace)).collect();
    lines.sort();
    lines
}

fn has_error(lines: &[String]) -> bool {
    lines.iter().any(|line| Code::parse(&line[..5]).unwrap().entry().severity.as_str() == "error")
}
