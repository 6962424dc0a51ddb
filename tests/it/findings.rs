//! Every finding code, produced by the built program: what is arranged, what `status` says, what `repair` makes of it.

mod forbidden;
mod hints;
mod integration;
mod namespaces;

use std::collections::BTreeSet;

use oc_quay::domain::finding::Code;
use serde_json::Value;

use crate::support::Run;

/// Codes that no row of the two tables can produce, and the test that does.
const ELSEWHERE: &[(&str, &str)] = &[
    ("OQ108", "forbidden: it needs a refusal"),
    ("OQ118", "status: the image policy of the cluster is arranged"),
    ("OQ119", "status: the image policy of the cluster is arranged"),
    ("OQ126", "status: a namespace of the platform is there already"),
    ("OQ216", "status: Quay manages quotas"),
    ("OQ217", "status: Quay manages quotas"),
    ("OQ317", "status: a pod is arranged"),
    ("OQ121", "namespaces: there is nothing to arrange"),
    ("OQ122", "namespaces: it needs a cluster that takes its time"),
    ("OQ123", "repair: the namespace goes when it is repaired"),
    ("OQ128", "builds: a webhook is arranged, and a Deployment behind it"),
    ("OQ206", "ownership: the organization is there before the namespace"),
    ("OQ207", "ownership: a robot account of others"),
    ("OQ212", "integration: only an attempt to make a robot account shows it"),
    ("OQ307", "namespaces: Quay must hide it"),
    ("OQ309", "repair: only a rotation comes upon it"),
    ("OQ311", "link: OpenShift makes the service accounts anew, unless a capability is off"),
    ("OQ524", "import: only an import comes upon it"),
    ("OQ316", "run: it needs a crowded namespace"),
    ("OQ407", "the check of a crowded namespace: a thousand image streams take their time"),
    ("OQ402", "namespaces: no API server takes such a name, but one that did may have it in store"),
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
    ("OQ318", "unlink: others add a login to a secret"),
    ("OQ513", "builds: a BuildConfig is arranged"),
];

#[test]
fn every_code_is_produced_by_a_test() {
    let rows = namespaces::CASES
        .iter()
        .map(|case| case.found)
        .chain(integration::CASES.iter().map(|case| case.found));
    let in_tables = rows.flatten().map(|found| &found[..5]);
    // A refusal is no row of a table: `forbidden` is all about this one.
    let produced: BTreeSet<_> =
        in_tables.chain(ELSEWHERE.iter().map(|(code, _)| *code)).chain(["OQ901"]).collect();
    assert_eq!(produced, Code::ALL.iter().map(|code| code.as_str()).collect());
}

/// `OQ301 Secret/builder-quay-openshift` for each finding, sorted. Insists that each has what its code has in the table.
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

/// All findings of a report.
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

/// Whether a finding of severity error is among those expected.
fn has_error(lines: &[String]) -> bool {
    lines.iter().any(|line| Code::parse(&line[..5]).unwrap().entry().severity.as_str() == "error")
}
