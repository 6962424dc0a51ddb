#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;

use serde_json::Value;

use crate::domain::checks::Check;
use crate::domain::finding::{Code, Finding, ObjectRef, Severity};

use super::fixtures::*;
use super::*;

fn json(report: &StatusReport) -> Value {
    serde_json::from_str(&report.render(Format::Json, &style(80)).unwrap()).unwrap()
}

#[test]
fn hints_use_typed_program_and_flags() {
    let hint = |code, program| {
        let mut finding =
            Finding::new(code, ObjectRef::cluster("Namespace", "shop"), "m").in_namespace("shop");
        complete_hint(&mut finding, &Invocation::new(program, &[], &[]));
        finding.hint
    };
    assert_eq!(
        hint(Code::RobotMissing, "kubectl quay").as_deref(),
        Some("kubectl quay repair -n shop")
    );
    assert_eq!(hint(Code::RobotMissing, "oc quay").as_deref(), Some("oc quay repair -n shop"));
    assert_eq!(
        hint(Code::NamespaceMissing, "kubectl quay").as_deref(),
        Some("kubectl get projects")
    );
    assert_eq!(hint(Code::RobotsDisallowed, "kubectl quay"), None);
}

#[test]
fn names_kubectl_everywhere() {
    let findings = vec![missing("myproj"), conflicting_secret("myproj")];
    let namespaces = [(namespace("myproj"), checks(findings.clone()))];
    let report = StatusReport::new(
        &Invocation::new("kubectl quay", &[], &[]),
        "-n myproj",
        IntegrationReport::default(),
        vec![],
        namespaces,
    );
    assert_eq!(report.summary_line, "1 error, 1 warning. Run: kubectl quay repair -n myproj");
    let changes = ChangeReport::new(
        &Invocation::new("kubectl quay", &[], &[]),
        Endpoints::default(),
        "repair",
        true,
        vec![],
        findings,
    );
    for text in [
        report.render(Format::Wide, &style(80)).unwrap(),
        changes.render(Format::Wide, &style(80)).unwrap(),
    ] {
        assert!(text.contains("kubectl get secrets") && !strip(&text).contains("> oc "), "{text}");
    }
}

#[test]
fn counts_problems() {
    assert_eq!(problems(2, 1, 0), "2 errors, 1 warning");
    assert_eq!(problems(1, 0, 3), "1 error, 3 unknown");
    assert_eq!(problems(0, 0, 0), "");
}

#[test]
fn summary_counts_findings_and_namespaces() {
    let summary = thirty_namespaces().summary;
    let expected = Summary {
        namespaces: 30,
        linked: 28,
        out_of_scope: 2,
        ok: 24,
        info: 2,
        warning: 2,
        error: 6,
        unknown: 1,
    };
    assert_eq!(summary, expected);
}

#[test]
fn sorts_namespaces_and_findings_by_severity() {
    let report = thirty_namespaces();
    let names: Vec<_> = report.namespaces.iter().map(|namespace| namespace.name.as_str()).collect();
    assert_eq!(names[..5], ["carts", "shop", "billing", "audit", "app-01"]);
    assert_eq!(names[28..], ["kitchen", "sandbox"]);
    let order: Vec<_> =
        report.findings.iter().map(|finding| finding.namespace.as_deref().unwrap()).collect();
    assert_eq!(
        order,
        [
            "carts", "carts", "carts", "carts", "carts", "shop", "shop", "billing", "audit",
            "kitchen", "sandbox"
        ]
    );
}

#[test]
fn keeps_checks_only_of_namespaces_with_problems() {
    let kept = |report: &StatusReport| {
        report.namespaces.iter().filter(|namespace| !namespace.checks.is_empty()).count()
    };
    assert_eq!(kept(&thirty_namespaces()), 4);
    assert_eq!(kept(&one_namespace(vec![])), 1);
    assert_eq!(kept(&several_namespaces("-n kitchen", vec![denied("kitchen")])), 1);
}

#[test]
fn max_severity_is_that_of_any_check() {
    assert_eq!(one_namespace(vec![]).max_severity(), Severity::Ok);
    assert_eq!(one_namespace(vec![conflicting_secret("myproj")]).max_severity(), Severity::Warning);
    let rejected = Finding::new(
        Code::TokenRejected,
        ObjectRef::cluster("Quay", "q"),
        "Quay rejects the token",
    );
    assert_eq!(with_integration(rejected).max_severity(), Severity::Error);
}

#[test]
fn finding_has_its_namespace() {
    let finding = Finding::new(Code::SecretMissing, ObjectRef::cluster("Secret", "s"), "m");
    let report = one_namespace(vec![finding]);
    assert_eq!(report.findings[0].namespace.as_deref(), Some("myproj"));
    assert_eq!(report.findings[0].hint.as_deref(), Some("oc quay repair -n myproj"));
}

#[test]
fn does_not_show_url_with_password() {
    let report = IntegrationReport::new(
        &snapshot("https://ann:hunter2@quay.example.com"),
        "api.example.com:6443",
        "admin",
    );
    assert_eq!(report.quay.unwrap().value, None);
    let report =
        IntegrationReport::new(&snapshot("quay.example.com"), "api.example.com:6443", "admin");
    assert_eq!(report.quay.unwrap().value.as_deref(), Some("quay.example.com"));
}

#[test]
fn removes_control_characters_of_servers() {
    let report = one_namespace(vec![finding(
        Code::ImportFailed,
        "myproj",
        "s",
        "Import failed: \x1b[2J\x1b]0;title\x07gone\r",
    )]);
    for format in [Format::Text, Format::Short] {
        let text = report.render(format, &style(80)).unwrap();
        assert!(
            !strip(&text).contains(['\x1b', '\x07', '\r']) && !text.contains("\x1b[2J"),
            "{text:?}"
        );
    }
}

#[test]
fn short_has_line_per_problem_and_summary() {
    let text = strip(&thirty_namespaces().render(Format::Short, &style(60)).unwrap());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 9 + 1);
    assert_eq!(lines[0], "× OQ301 error carts: Secret default-quay-openshift does not exist");
    assert_eq!(lines[9], "2 of 30 namespaces have errors. Run: oc quay repair -A");
    assert_eq!(
        strip(&one_namespace(vec![]).render(Format::Short, &style(60)).unwrap()),
        "Pods in myproj can pull from quay.example.com\n"
    );
    let text = strip(&failed_changes().render(Format::Short, &style(60)).unwrap());
    assert!(
        text.starts_with(
            "× failed myproj: create secret builder-quay-openshift: secrets is forbidden: "
        ),
        "{text}"
    );
    assert_eq!(text.lines().count(), 4);
}

#[test]
fn name_lists_objects_with_problems_once() {
    let names = |report: StatusReport| report.render(Format::Name, &style(80)).unwrap();
    assert_eq!(
        names(one_namespace(vec![
            stale("myproj"),
            missing("myproj"),
            missing("myproj"),
            unread("myproj")
        ])),
        "secret/builder-quay-openshift\nsecret/default-quay-openshift\n"
    );
    assert_eq!(names(one_namespace(vec![])), "");
    let resource =
        Finding::new(Code::NoIntegration, ObjectRef::cluster("QuayIntegration", ""), "none");
    assert_eq!(names(with_integration(resource)), "quayintegration\n");
}

#[test]
fn name_skips_changes_that_were_not_made() {
    assert_eq!(
        failed_changes().render(Format::Name, &style(80)).unwrap(),
        "organization/openshift_myproj\nrobotaccount/openshift_myproj+builder\ndefaultpermission/openshift_myproj+builder\n\
         secret/old-quay-openshift\n"
    );
}

#[test]
fn json_has_version_and_kind() {
    let status = json(&one_namespace(vec![missing("myproj")]));
    assert_eq!(
        (&status["apiVersion"], &status["kind"]),
        (&"oc-quay/v1".into(), &"StatusReport".into())
    );
    assert_eq!(status["ok"], false);
    assert_eq!(status["findings"][0]["code"], "OQ301");
    assert_eq!(status["namespaces"][0]["checks"][2]["findings"][0], "OQ301");
    assert_eq!(status["integration"]["clusterId"]["value"], "openshift");
    assert_eq!(
        status["integration"]["token"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["source"]
    );
    assert_eq!(status["next"], "oc quay repair -n myproj");

    let empty = change_report("repair", false, vec![]).render(Format::Json, &style(80)).unwrap();
    let empty: Value = serde_json::from_str(&empty).unwrap();
    assert_eq!(
        (&empty["kind"], &empty["changes"]),
        (&"ChangeReport".into(), &Value::Array(vec![]))
    );
    assert_eq!(
        (&empty["ok"], &empty["dryRun"], &empty["summaryLine"]),
        (&true.into(), &false.into(), &"Nothing to do".into())
    );
}

#[test]
fn yaml_equals_json() {
    let awkward = "- a: 'b'  two spaces,\nanother line # no comment, \"quotes\", √ and words that go on quite far to the right";
    let odd = vec![
        finding(Code::ImportFailed, "no", "0x1", awkward),
        finding(Code::SecretMissing, "no", "1e3", "on"),
    ];
    for report in [
        thirty_namespaces(),
        one_namespace(odd.clone()),
        several_namespaces("-n no", vec![(namespace("no"), checks(odd))]),
    ] {
        let yaml: Value =
            serde_saphyr::from_str(&report.render(Format::Yaml, &style(80)).unwrap()).unwrap();
        assert_eq!(yaml, json(&report));
    }
    let failed = failed_changes();
    let text = failed.render(Format::Yaml, &style(80)).unwrap();
    let yaml: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(yaml, serde_json::to_value(&failed).unwrap());
}

/// Except the words of the layout.
#[test]
fn json_contains_content_of_text() {
    let form = "Quay Cluster ID Token -> √ × ‼ ? i + ~ - . > see Run: Remaining in failed: (skipped) inverse: NAMESPACE \
                STATE ORGANIZATION SCOPE FINDINGS not linked namespaces: with errors, warnings, unknown, ok, explain 24 1";
    let form: HashSet<_> = form.split_whitespace().collect();
    let missing_words = |text: String, value: Value| {
        let json = value.to_string().replace("\\\"", "\"");
        let text = strip(&text);
        let words = text.split_whitespace().map(str::to_owned);
        words
            .filter(|word| {
                !form.contains(word.as_str()) && !json.contains(word.trim_matches(['(', ')']))
            })
            .collect::<Vec<_>>()
    };
    let reports = [
        one_namespace(vec![]),
        one_namespace(vec![stale("myproj"), conflicting_secret("myproj")]),
        one_namespace(vec![unread("myproj")]),
        thirty_namespaces(),
    ];
    for report in reports {
        let text = report.render(Format::Wide, &style(80)).unwrap();
        assert_eq!(missing_words(text, json(&report)), Vec::<String>::new());
    }
    for report in [failed_changes(), change_report("link", true, planned_changes("myproj"))] {
        let text = report.render(Format::Wide, &style(80)).unwrap();
        assert_eq!(
            missing_words(text, serde_json::to_value(&report).unwrap()),
            Vec::<String>::new()
        );
    }
}

#[test]
fn five_thousand_healthy_namespaces_are_short() {
    let namespaces =
        (0..5000).map(|number| (namespace(&format!("app-{number}")), checks(vec![]))).collect();
    let text = several_namespaces("-A", namespaces).render(Format::Text, &style(80)).unwrap();
    assert!(text.lines().count() < 35, "{text}");
    assert!(text.contains("Pods in 5000 namespaces can pull from quay.example.com"));
}

#[test]
fn unchecked_namespace_is_not_ok() {
    let skipped = || Check {
        severity: Severity::Unknown,
        ..Check::new("Secrets", "not checked: Quay was not asked", vec![])
    };
    let read = Check::new("Service accounts", "3 of 3 service accounts linked", vec![]);
    let report =
        several_namespaces("-n myproj", vec![(namespace("myproj"), vec![skipped(), read])]);
    assert_eq!((report.summary.ok, report.is_unreadable()), (0, false));
    assert_eq!(report.summary_line, "No problems found, but 1 thing could not be checked");

    let report =
        several_namespaces("-n myproj", vec![(namespace("myproj"), vec![skipped(), skipped()])]);
    assert!(report.is_unreadable());
    assert_eq!(report.summary_line, "Nothing could be checked in myproj");
    assert_eq!(report.max_severity(), Severity::Unknown);
    let healthy = (namespace("b"), checks(vec![]));
    assert!(
        !several_namespaces("a b", vec![(namespace("a"), vec![skipped()]), healthy])
            .is_unreadable()
    );
}

#[test]
fn summarizes_probe_without_quay_token() {
    let skipped = Check {
        severity: Severity::Unknown,
        ..Check::new("Organization", "not checked: ask Quay", vec![])
    };
    let asked = Check::new(crate::domain::checks::REGISTRY, "3 of 3 credentials accepted", vec![]);
    let report = several_namespaces("-n myproj", vec![(namespace("myproj"), vec![skipped, asked])]);
    assert_eq!(
        report.summary_line,
        "quay.example.com accepts the credentials of myproj, but 1 thing could not be checked"
    );
}
