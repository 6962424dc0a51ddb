#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::domain::finding::{Code, Finding, ObjectRef};
use crate::report::fixtures::*;
use crate::report::{ChangeEntry, ChangeReport, Format, StatusReport, Style};

const SETTINGS: &str = "\
Cluster      api.example.com:6443 (context admin)
Quay         https://quay.example.com (QuayIntegration quay)
Cluster ID   openshift (QuayIntegration quay)
Token        Secret openshift-operators/quay-integration, key token
";

fn text(report: &StatusReport, width: usize) -> String {
    strip(&report.render(Format::Text, &style(width)).unwrap())
}

fn change_text(report: &ChangeReport, format: Format) -> String {
    strip(&report.render(format, &style(80)).unwrap())
}

#[test]
fn healthy_namespace() {
    let expected = "
myproj -> openshift_myproj
  √ Namespace         in scope: nothing excludes it
  √ Robot accounts    builder (write), default (read), deployer (read)
  √ Secrets           3 of 3 current
  √ Service accounts  3 of 3 service accounts linked

Pods in myproj can pull from quay.example.com
";
    assert_eq!(text(&one_namespace(vec![]), 80), format!("{SETTINGS}{expected}"));
}

#[test]
fn broken_namespace() {
    let report =
        one_namespace(vec![stale("myproj"), missing("myproj"), conflicting_secret("myproj")]);
    let expected = "
myproj -> openshift_myproj
  √ Namespace         in scope: nothing excludes it
  √ Robot accounts    builder (write), default (read), deployer (read)
  × Secrets           1 of 3 current
      OQ306 error   Secret builder-quay-openshift holds a stale token of robot
                    account openshift_myproj+builder
      OQ301 error   Secret default-quay-openshift does not exist
      OQ308 warning Secret a-robot also has credentials for quay.example.com and
                    comes first by name
                    > oc get secrets -n myproj --field-selector type=kubernetes.io/dockerconfigjson
  √ Service accounts  3 of 3 service accounts linked

2 errors, 1 warning. Run: oc quay repair -n myproj
";
    assert_eq!(text(&report, 80), format!("{SETTINGS}{expected}"));
}

#[test]
fn narrow_terminal() {
    let expected = "\
Cluster      api.example.com:6443 (context admin)
Quay         https://quay.example.com (QuayIntegration quay)
Cluster ID   openshift (QuayIntegration quay)
Token        Secret openshift-operators/quay-integration,
             key token

myproj -> openshift_myproj
  √ Namespace         in scope: nothing excludes it
  √ Robot accounts    builder (write), default (read),
                      deployer (read)
  ? Secrets           1 of 3 current
      OQ901 unknown Could not list secrets in namespace
                    myproj: User \"ann\" cannot list resource
                    \"secrets\"
                    > oc quay status -n myproj
  √ Service accounts  3 of 3 service accounts linked

No problems found, but 1 thing could not be checked
";
    assert_eq!(text(&one_namespace(vec![unread("myproj")]), 60), expected);
}

#[test]
fn namespace_that_is_not_linked() {
    let expected = "
kitchen
  i Namespace  out of scope: the denylist names it
      OQ120 info    Namespace kitchen is not linked: the denylist names it

kitchen is not linked: the denylist names it. Run: oc quay link -n kitchen
";
    assert_eq!(
        text(&several_namespaces("-n kitchen", vec![denied("kitchen")]), 80),
        format!("{SETTINGS}{expected}")
    );
}

#[test]
fn shows_broken_integration_first() {
    let object = ObjectRef::namespaced("Secret", "openshift-operators", "quay-integration");
    let rejected =
        Finding::new(Code::TokenRejected, object, "Quay rejects the token: it has expired");
    let text = text(&with_integration(rejected), 80);
    let expected = "
  × Token  Secret openshift-operators/quay-integration, key token
      OQ109 error   Quay rejects the token: it has expired

myproj -> openshift_myproj
";
    assert!(text.starts_with(&format!("{SETTINGS}{expected}")), "{text}");
    assert!(text.ends_with("\nThe integration has 1 error. Run: oc quay setup\n"), "{text}");
}

#[test]
fn table_of_thirty_namespaces() {
    let text = text(&thirty_namespaces(), 80);
    let expected = "
  NAMESPACE   STATE     ORGANIZATION        FINDINGS
× carts       error     openshift_carts     OQ301 OQ306 OQ308
× shop        error     openshift_shop      OQ301 OQ306
‼ billing     warning   openshift_billing   OQ308
? audit       unknown   openshift_audit     OQ901
  26 without problems, shown by -o wide

carts
  OQ301 error   Secret default-quay-openshift does not exist
  OQ306 error   Secret builder-quay-openshift holds a stale token of robot
                account openshift_carts+builder
  OQ301 error   Secret default-quay-openshift does not exist
  and 2 more, shown by -o wide

shop
  OQ301 error   Secret default-quay-openshift does not exist
  OQ306 error   Secret builder-quay-openshift holds a stale token of robot
                account openshift_shop+builder

billing
  OQ308 warning Secret a-robot also has credentials for quay.example.com and
                comes first by name
                > oc get secrets -n billing --field-selector type=kubernetes.io/dockerconfigjson

audit
  OQ901 unknown Could not list secrets in namespace audit: User \"ann\" cannot
                list resource \"secrets\"
                > oc quay status -n audit

30 namespaces: 2 with errors, 1 with warnings, 1 unknown, 24 ok, 2 not linked

2 of 30 namespaces have errors. Run: oc quay repair -A
";
    assert_eq!(text, format!("{SETTINGS}{expected}"));
}

#[test]
fn wide_shows_everything() {
    let text = strip(&thirty_namespaces().render(Format::Wide, &style(80)).unwrap());
    for line in [
        "√ app-24      ok           openshift_app-24    nothing excludes it",
        "- sandbox     not linked                       the denylist names it   OQ120",
        "                > oc quay repair -n carts",
        "                see oc quay explain OQ308",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
    assert!(!text.contains("more"), "{text}");
    assert_eq!(text.matches("OQ306 error").count(), 3);
}

#[test]
fn wide_table_drops_organization_column() {
    let codes = [
        Code::SecretMissing,
        Code::SecretWrongHost,
        Code::SecretTokenStale,
        Code::SecretNotMountable,
        Code::RobotMissing,
    ];
    let findings = codes.map(|code| finding(code, "a-namespace-with-a-name", "s", "m")).to_vec();
    let namespaces = vec![
        (namespace("a-namespace-with-a-name"), checks(findings)),
        (namespace("b"), checks(vec![])),
    ];
    let report = several_namespaces("-A", namespaces);
    let row = |style: &Style| {
        let text = strip(&report.render(Format::Text, style).unwrap());
        text.lines().find(|line| line.contains("a-namespace")).unwrap().to_owned()
    };
    let name = "× a-namespace-with-a-name   error   ";
    assert_eq!(row(&style(60)), format!("{name}OQ301 OQ304 OQ306 +2"));
    assert_eq!(row(&style(80)), format!("{name}OQ301 OQ304 OQ306 OQ312 OQ211"));
    let all = format!("{name}openshift_a-namespace-with-a-name   OQ301 OQ304 OQ306 OQ312 OQ211");
    assert_eq!(row(&style(120)), all);
    assert_eq!(row(&Style { width: None, ascii: false }), all);
}

#[test]
fn limits_findings_of_check() {
    let findings: Vec<_> = (0..50)
        .map(|number| {
            finding(Code::RepositoryMissing, "myproj", "r", &format!("No repository {number}"))
        })
        .collect();
    let report = one_namespace(findings);
    let text = text(&report, 80);
    assert_eq!(text.matches("OQ401").count(), 10);
    assert!(text.contains("\n      and 40 more, shown by -o wide\n"), "{text}");
    assert_eq!(
        strip(&report.render(Format::Wide, &style(80)).unwrap()).matches("OQ401 error").count(),
        50
    );
}

#[test]
fn shows_command_of_several_findings_once() {
    let hidden = |robot| {
        finding(
            Code::TokenNotReadable,
            "myproj",
            robot,
            &format!("Quay does not show the token of {robot}"),
        )
    };
    let text = text(&one_namespace(vec![hidden("a"), hidden("b"), hidden("c")]), 80);
    assert!(
        text.contains("token of c\n                    > oc quay status --probe -n myproj\n"),
        "{text}"
    );
    assert_eq!(text.matches("--probe").count(), 1);
}

#[test]
fn only_commands_exceed_terminal_width() {
    let reports = [
        one_namespace(vec![stale("myproj"), missing("myproj"), conflicting_secret("myproj")]),
        one_namespace(vec![unread("myproj")]),
        thirty_namespaces(),
    ];
    for report in &reports {
        for width in [60, 80, 120] {
            for line in text(report, width).lines() {
                let is_command = line.trim_start().starts_with("> ") || line.starts_with("Run: ");
                assert!(is_command || line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
    for line in change_text(&failed_changes(), Format::Text).lines() {
        assert!(line.trim_start().starts_with("> ") || line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn does_not_break_command_of_long_summary() {
    let text = text(&one_namespace(vec![conflicting_secret("myproj")]), 60);
    let expected = "
Pods in myproj can pull from quay.example.com, with 1
warning
Run: oc get secrets -n myproj --field-selector type=kubernetes.io/dockerconfigjson
";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn ascii_output_is_ascii() {
    let ascii = Style { width: Some(80), ascii: true };
    let reports = [
        one_namespace(vec![stale("myproj"), conflicting_secret("myproj")]),
        one_namespace(vec![unread("myproj")]),
        thirty_namespaces(),
    ];
    for report in reports {
        let text = report.render(Format::Text, &ascii).unwrap();
        assert!(text.is_ascii(), "{text}");
    }
    let text = strip(&one_namespace(vec![stale("myproj")]).render(Format::Text, &ascii).unwrap());
    assert!(
        text.contains("\n  ok Namespace         in scope")
            && text.contains("\n  x  Secrets           1 of 3"),
        "{text}"
    );
    assert!(failed_changes().render(Format::Text, &ascii).unwrap().is_ascii());
}

#[test]
fn output_has_colors() {
    let text = one_namespace(vec![missing("myproj")]).render(Format::Text, &style(80)).unwrap();
    assert!(text.contains("\x1b[31m×\x1b[39m"), "{text:?}");
    assert!(text.lines().all(|line| line.trim_end() == line), "{text:?}");
}

#[test]
fn shows_planned_changes() {
    let expected = "\
myproj
  Quay
    + create organization openshift_myproj
    + create robot account openshift_myproj+builder
    + give robot account builder write on new repositories
  Cluster
    + create secret builder-quay-openshift
    ~ add secret builder-quay-openshift to the secrets and imagePullSecrets of
      service account builder
    - delete secret old-quay-openshift

6 changes planned. Nothing was written (--dry-run)
";
    let report = change_report("link", true, planned_changes("myproj"));
    assert_eq!(change_text(&report, Format::Text), expected);
    let wide = change_text(&report, Format::Wide);
    assert!(
        wide.contains(
            "    + create secret builder-quay-openshift\n        inverse: delete secret builder-quay"
        ),
        "{wide}"
    );
}

#[test]
fn changes_that_failed() {
    let expected = "\
myproj
  Quay
    + create organization openshift_myproj
    + create robot account openshift_myproj+builder
    + give robot account builder write on new repositories
  Cluster
    × create secret builder-quay-openshift
        failed: secrets is forbidden: User \"ann\" cannot create resource
                \"secrets\" in API group \"\"
    . add secret builder-quay-openshift to the secrets and imagePullSecrets of
      service account builder (skipped)
    - delete secret old-quay-openshift

Remaining in myproj
  OQ301 error   Secret default-quay-openshift does not exist
                > oc quay repair -n myproj
  OQ308 warning Secret a-robot also has credentials for quay.example.com and
                comes first by name
                > oc get secrets -n myproj --field-selector type=kubernetes.io/dockerconfigjson

1 of 6 changes failed, 1 skipped. Run the command again to finish
";
    assert_eq!(change_text(&failed_changes(), Format::Text), expected);
}

#[test]
fn nothing_to_do() {
    assert_eq!(
        change_text(&change_report("repair", false, vec![]), Format::Text),
        "Nothing to do\n"
    );
}

#[test]
fn summarizes_changes_except_deletions_and_failures() {
    let mut changes: Vec<_> = (1..=20)
        .flat_map(|number| planned_changes(&format!("app-{number}")))
        .map(ChangeEntry::done)
        .collect();
    changes[3] = changes[3].clone().failed("timed out");
    let report = change_report("link", false, changes);
    let expected = "\
app-1   6 changes: 4 create, 1 update, 1 delete
  × create secret builder-quay-openshift
      failed: timed out
  - delete secret old-quay-openshift
app-2   6 changes: 4 create, 1 update, 1 delete
  - delete secret old-quay-openshift
";
    let text = change_text(&report, Format::Text);
    assert!(text.starts_with(expected), "{text}");
    assert_eq!(change_text(&report, Format::Wide).matches("create organization").count(), 20);
}
