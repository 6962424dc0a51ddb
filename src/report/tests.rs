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
fn hints_begin_as_the_person_began() {
    let hint = |code, program| {
        let mut finding =
            Finding::new(code, ObjectRef::cluster("Namespace", "shop"), "m").in_namespace("shop");
        address_hint(&mut finding, &Invocation::new(program, &[], &[]));
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
fn kubectl_is_named_throughout() {
    let findings = vec![missing("myproj"), rival("myproj")];
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
fn problems_are_counted_in_words() {
    assert_eq!(problems(2, 1, 0), "2 errors, 1 warning");
    assert_eq!(problems(1, 0, 3), "1 error, 3 unknown");
    assert_eq!(problems(0, 0, 0), "");
}

#[test]
fn the_summary_counts_findings_and_namespaces() {
    let summary = thirty().summary;
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
fn namespaces_and_their_findings_come_worst_first() {
    let report = thirty();
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
fn of_many_namespaces_only_those_with_problems_keep_their_checks() {
    let kept = |report: &StatusReport| {
        report.namespaces.iter().filter(|namespace| !namespace.checks.is_empty()).count()
    };
    assert_eq!(kept(&thirty()), 4);
    assert_eq!(kept(&one(vec![])), 1);
    assert_eq!(kept(&several("-n kitchen", vec![denied("kitchen")])), 1);
}

#[test]
fn the_worst_level_is_that_of_any_check() {
    assert_eq!(one(vec![]).worst(), Severity::Ok);
    assert_eq!(one(vec![rival("myproj")]).worst(), Severity::Warning);
    let refused =
        Finding::new(Code::TokenRefused, ObjectRef::cluster("Quay", "q"), "Quay refuses the token");
    assert_eq!(with_integration(refused).worst(), Severity::Error);
}

#[test]
fn a_finding_belongs_to_the_namespace_it_was_found_in() {
    let finding = Finding::new(Code::SecretMissing, ObjectRef::cluster("Secret", "s"), "m");
    let report = one(vec![finding]);
    assert_eq!(report.findings[0].namespace.as_deref(), Some("myproj"));
    assert_eq!(report.findings[0].hint.as_deref(), Some("oc quay repair -n myproj"));
}

#[test]
fn an_address_that_hides_a_password_is_not_shown() {
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
fn what_a_server_says_cannot_steer_the_terminal() {
    let report = one(vec![finding(
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
fn short_is_a_line_for_each_problem_and_the_verdict() {
    let text = strip(&thirty().render(Format::Short, &style(60)).unwrap());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 9 + 1);
    assert_eq!(lines[0], "× OQ301 error carts: Secret default-quay-openshift does not exist");
    assert_eq!(lines[9], "2 of 30 namespaces have errors. Run: oc quay repair -A");
    assert_eq!(
        strip(&one(vec![]).render(Format::Short, &style(60)).unwrap()),
        "Pods in myproj can pull from quay.example.com\n"
    );
    let text = strip(&failed().render(Format::Short, &style(60)).unwrap());
    assert!(
        text.starts_with(
            "× failed myproj: create secret builder-quay-openshift: secrets is forbidden: "
        ),
        "{text}"
    );
    assert_eq!(text.lines().count(), 4);
}

#[test]
fn names_are_those_of_objects_with_problems_once_each() {
    let names = |report: StatusReport| report.render(Format::Name, &style(80)).unwrap();
    assert_eq!(
        names(one(vec![stale("myproj"), missing("myproj"), missing("myproj"), unread("myproj")])),
        "secret/builder-quay-openshift\nsecret/default-quay-openshift\n"
    );
    assert_eq!(names(one(vec![])), "");
    let resource =
        Finding::new(Code::NoIntegration, ObjectRef::cluster("QuayIntegration", ""), "none");
    assert_eq!(names(with_integration(resource)), "quayintegration\n");
}

#[test]
fn names_of_changes_leave_out_what_was_not_done() {
    assert_eq!(
        failed().render(Format::Name, &style(80)).unwrap(),
        "organization/openshift_myproj\nrobotaccount/openshift_myproj+builder\ndefaultpermission/openshift_myproj+builder\n\
         secret/old-quay-openshift\n"
    );
}

#[test]
fn machine_output_says_what_it_is() {
    let status = json(&one(vec![missing("myproj")]));
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

    let empty = change("repair", false, vec![]).render(Format::Json, &style(80)).unwrap();
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
fn yaml_is_the_same_as_json() {
    let awkward = "- a: 'b'  two spaces,\nanother line # no comment, \"quotes\", √ and a word that is quite far to the right";
    let odd = vec![
        finding(Code::ImportFailed, "no", "0x1", awkward),
        finding(Code::SecretMissing, "no", "1e3", "on"),
    ];
    for report in
        [thirty(), one(odd.clone()), several("-n no", vec![(namespace("no"), checks(odd))])]
    {
        let yaml: Value =
            serde_saphyr::from_str(&report.render(Format::Yaml, &style(80)).unwrap()).unwrap();
        assert_eq!(yaml, json(&report));
    }
    let failed = failed();
    let text = failed.render(Format::Yaml, &style(80)).unwrap();
    let yaml: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(yaml, serde_json::to_value(&failed).unwrap());
}

/// Every word of the human text that is not part of its form is in the JSON.
#[test]
fn json_holds_all_that_the_text_says() {
    let form = "Quay Cluster ID Token -> √ × ‼ ? i + ~ - . > see Run: Remaining in failed: (not tried) undone by: NAMESPACE \
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
        one(vec![]),
        one(vec![stale("myproj"), rival("myproj")]),
        one(vec![unread("myproj")]),
        thirty(),
    ];
    for report in reports {
        let text = report.render(Format::Wide, &style(80)).unwrap();
        assert_eq!(missing_words(text, json(&report)), Vec::<String>::new());
    }
    for report in [failed(), change("link", true, planned("myproj"))] {
        let text = report.render(Format::Wide, &style(80)).unwrap();
        assert_eq!(
            missing_words(text, serde_json::to_value(&report).unwrap()),
            Vec::<String>::new()
        );
    }
}

#[test]
fn five_thousand_healthy_namespaces_make_a_short_page() {
    let namespaces =
        (0..5000).map(|number| (namespace(&format!("app-{number}")), checks(vec![]))).collect();
    let text = several("-A", namespaces).render(Format::Text, &style(80)).unwrap();
    assert!(text.lines().count() < 35, "{text}");
    assert!(text.contains("Pods in 5000 namespaces can pull from quay.example.com"));
}

#[test]
fn a_namespace_that_was_not_checked_is_not_called_fine() {
    let skipped = || Check {
        severity: Severity::Unknown,
        ..Check::new("Secrets", "not checked: Quay was not asked", vec![])
    };
    let read = Check::new("Service accounts", "3 of 3 service accounts linked", vec![]);
    let report = several("-n myproj", vec![(namespace("myproj"), vec![skipped(), read])]);
    assert_eq!((report.summary.ok, report.is_unreadable()), (0, false));
    assert_eq!(report.summary_line, "Nothing wrong was found, but 1 thing could not be checked");

    let report = several("-n myproj", vec![(namespace("myproj"), vec![skipped(), skipped()])]);
    assert!(report.is_unreadable());
    assert_eq!(report.summary_line, "Nothing could be checked in myproj");
    assert_eq!(report.worst(), Severity::Unknown);
    let healthy = (namespace("b"), checks(vec![]));
    assert!(!several("a b", vec![(namespace("a"), vec![skipped()]), healthy]).is_unreadable());
}

#[test]
fn claims_what_the_registry_says_where_quay_was_not_asked() {
    let skipped = Check {
        severity: Severity::Unknown,
        ..Check::new("Organization", "not checked: ask Quay", vec![])
    };
    let asked = Check::new(crate::domain::checks::REGISTRY, "3 of 3 logins accepted", vec![]);
    let report = several("-n myproj", vec![(namespace("myproj"), vec![skipped, asked])]);
    assert_eq!(
        report.summary_line,
        "quay.example.com accepts the logins of myproj, but 1 thing could not be checked"
    );
}
