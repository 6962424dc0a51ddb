//! The last line of a report: the result and the next command.

use std::collections::BTreeSet;

use crate::domain::finding::{Administrator, Code, Finding, Severity};

use super::change::{ChangeReport, ChangeState};
use super::status::{NamespaceReport, StatusReport};
use super::{Invocation, count, problems, with_severity};

/// Separates the result and the next command.
pub(super) const HINT_PREFIX: &str = ". Run: ";

/// As [`HINT_PREFIX`], for a command of an administrator.
pub(super) const ASK_PREFIX: &str = ". Ask a cluster administrator to run: ";

/// A command, and the administrator who runs it.
type NextCommand = (String, Option<Administrator>);

/// The summary line and the next command.
pub(super) fn status(
    report: &StatusReport,
    invocation: &Invocation,
    selection: &str,
) -> (String, Option<String>) {
    let next = next_command(report, invocation, selection);
    let (answer, next) = match report.namespaces.as_slice() {
        _ if with_severity(report.integration_findings(), Severity::Error) > 0 => {
            (integration(report), next)
        }
        _ if report.is_unreadable() => (unreadable(report), report.findings.iter().find_map(hint)),
        [] => ("No namespaces found".to_owned(), None),
        [one] => single(report, one, next),
        _ => several(report, next),
    };
    let next = next.or_else(|| suggest_probe(report, invocation, selection));
    match next {
        Some((command, None)) => (format!("{answer}{HINT_PREFIX}{command}"), Some(command)),
        Some((command, Some(Administrator::Cluster))) => {
            (format!("{answer}{ASK_PREFIX}{command}"), Some(command))
        }
        None => (answer, None),
    }
}

fn unreadable(report: &StatusReport) -> String {
    match report.namespaces.as_slice() {
        [] => "Nothing could be checked".to_owned(),
        [one] => format!("Nothing could be checked in {}", one.name),
        several => format!("Nothing could be checked in {} namespaces", several.len()),
    }
}

fn integration(report: &StatusReport) -> String {
    let errors = with_severity(report.integration_findings(), Severity::Error);
    format!("The integration has {}", count(errors, "error"))
}

fn single(
    report: &StatusReport,
    namespace: &NamespaceReport,
    next: Option<NextCommand>,
) -> (String, Option<NextCommand>) {
    let name = &namespace.name;
    let summary = &report.summary;
    let unchecked = report.unchecked();
    if summary.error > 0 || (summary.warning > 0 && unchecked > 0) {
        (problems(summary.error, summary.warning, summary.unknown), next)
    } else if !namespace.linked {
        (
            format!("{name} is not linked: {}", namespace.scope),
            report.namespace_findings().first().and_then(hint),
        )
    } else if unchecked > 0 && namespace.has_accepted_credentials() {
        (
            format!(
                "{} accepts the credentials of {name}, but {}",
                host(report),
                describe_unchecked(unchecked)
            ),
            None,
        )
    } else if unchecked > 0 {
        (format!("No problems found, but {}", describe_unchecked(unchecked)), None)
    } else {
        (describe_pods(name, report), next.filter(|_| summary.warning > 0))
    }
}

/// States whether pods can pull, as far as checked: a tag whose image was deleted in Quay cannot be pulled.
fn describe_pods(namespaces: &str, report: &StatusReport) -> String {
    let host = host(report);
    let gone = report.findings.iter().filter(|finding| finding.code == Code::TagGone).count();
    let uncompared = report.namespaces.iter().map(|namespace| namespace.uncompared_tags).sum();
    let can = if gone + uncompared > 0 { "can log in to" } else { "can pull from" };
    let lacks = match gone {
        0 => String::new(),
        some => format!(", which does not have {} that image streams follow", count(some, "tag")),
    };
    let warnings = match report.summary.warning - gone {
        0 => String::new(),
        some => format!(", with {}", count(some, "warning")),
    };
    let open = match uncompared {
        0 => String::new(),
        1 => "; 1 tag that follows it was not compared".to_owned(),
        some => format!("; {some} tags that follow it were not compared"),
    };
    format!("Pods in {namespaces} {can} {host}{lacks}{warnings}{open}")
}

fn several(report: &StatusReport, next: Option<NextCommand>) -> (String, Option<NextCommand>) {
    let total = report.namespaces.len();
    let with_severity = |severity| {
        report.namespaces.iter().filter(|namespace| namespace.severity == severity).count()
    };
    let (errors, unknown) = (with_severity(Severity::Error), with_severity(Severity::Unknown));
    let linked = report.summary.linked;
    if errors > 0 {
        let have = if errors == 1 { "has" } else { "have" };
        (format!("{errors} of {total} namespaces {have} errors"), next)
    } else if report.unchecked() > 0 {
        let what = match unknown {
            0 => describe_unchecked(report.unchecked()),
            some => format!("{some} of {total} namespaces could not be checked in full"),
        };
        (format!("No errors found, but {what}"), None)
    } else if linked == 0 {
        (format!("None of {total} namespaces is linked"), None)
    } else {
        (
            describe_pods(&count(linked, "namespace"), report),
            next.filter(|_| report.summary.warning > 0),
        )
    }
}

fn describe_unchecked(unchecked: usize) -> String {
    match unchecked {
        1 => "1 thing could not be checked".to_owned(),
        several => format!("{several} things could not be checked"),
    }
}

/// Suggests `--probe` to users without a Quay token, and for tags that were not compared.
fn suggest_probe(
    report: &StatusReport,
    invocation: &Invocation,
    selection: &str,
) -> Option<NextCommand> {
    let lacks_token = report.integration.is_for_administrators;
    let is_uncompared =
        matches!(report.namespaces.as_slice(), [one] if one.linked && one.uncompared_tags > 0);
    let is_useful =
        report.summary.linked > 0 && !report.namespaces.iter().any(NamespaceReport::is_probed);
    ((lacks_token || is_uncompared) && is_useful)
        .then(|| (format!("{invocation} status {selection} --probe"), None))
}

fn hint(finding: &Finding) -> Option<NextCommand> {
    Some((finding.hint.clone()?, finding.ask))
}

fn host(report: &StatusReport) -> String {
    report.integration.host().unwrap_or_else(|| "Quay".to_owned())
}

/// `repair` if it applies; otherwise the hint of the first finding with the highest severity.
fn next_command(
    report: &StatusReport,
    invocation: &Invocation,
    selection: &str,
) -> Option<NextCommand> {
    let ask = report.integration.is_for_administrators.then_some(Administrator::Cluster);
    let invocation = if ask.is_some() { &invocation.for_administrator() } else { invocation };
    let blocking = report.findings.iter().filter(|finding| finding.code.blocks_repair());
    let blocked: BTreeSet<_> = blocking.map(|finding| &finding.namespace).collect();
    let repairable = |finding: &Finding| {
        let repair = finding
            .namespace
            .as_ref()
            .map(|namespace| format!("{invocation} repair -n {namespace}"));
        let is_repair = finding.hint.is_some() && finding.hint == repair;
        finding.severity >= Severity::Warning && is_repair && !blocked.contains(&finding.namespace)
    };
    let integration_works = with_severity(report.integration_findings(), Severity::Error) == 0;
    if integration_works && report.findings.iter().any(repairable) {
        return Some((format!("{invocation} repair {selection}"), ask));
    }
    let max_severity = report
        .findings
        .iter()
        .map(|finding| finding.severity)
        .max()
        .filter(|&severity| severity >= Severity::Warning)?;
    let first = report.findings.iter().find(|finding| finding.severity == max_severity)?;
    hint(first).or_else(|| {
        Some((invocation.prefix(&format!("oc quay explain {}", first.code.as_str())), None))
    })
}

pub(super) fn change(report: &ChangeReport) -> String {
    let (failed, skipped) = (report.count(ChangeState::Failed), report.count(ChangeState::Skipped));
    let changes = count(report.changes.len(), "change");
    let obstacle = report
        .findings
        .iter()
        .find(|finding| finding.namespace.is_none() && finding.code.stops_changes());
    // Neither a blocked command nor an import is fixed by running it again.
    let again = match obstacle {
        Some(obstacle) => format!(": {}", obstacle.message),
        None if report.command == "import" => String::new(),
        None => ". Run the command again to finish".to_owned(),
    };
    if failed > 0 {
        let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
        return format!("{failed} of {changes} failed{skipped}{again}");
    }
    if skipped > 0 {
        return format!("{} of {changes} done{again}", report.changes.len() - skipped);
    }
    let outcome = match obstacle {
        Some(obstacle) if report.changes.is_empty() => {
            return format!("Not done: {}", obstacle.message);
        }
        _ if report.changes.is_empty() => "Nothing to do".to_owned(),
        _ if report.count(ChangeState::Planned) > 0 => {
            let nothing_written =
                if report.dry_run { ". Nothing was written (--dry-run)" } else { "" };
            format!("{changes} planned{nothing_written}")
        }
        _ => format!("{}: {changes}", describe_done(report)),
    };
    let remaining = problems(
        with_severity(&report.findings, Severity::Error),
        0,
        with_severity(&report.findings, Severity::Unknown),
    );
    match remaining.as_str() {
        "" => outcome,
        "1 error" | "1 unknown" => format!("{outcome}. {remaining} remains"),
        _ => format!("{outcome}. {remaining} remain"),
    }
}

fn describe_done(report: &ChangeReport) -> String {
    let mut namespaces: Vec<_> =
        report.changes.iter().filter_map(|change| change.namespace.as_deref()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let what = match namespaces.as_slice() {
        [] => "the integration".to_owned(),
        [namespace] => (*namespace).to_owned(),
        several => format!("{} namespaces", several.len()),
    };
    let did = match report.command {
        "import" => "Imported into",
        "link" => "Linked",
        "unlink" => "Unlinked",
        "builds rewrite" => "Rewrote the BuildConfigs of",
        "builds restore" => "Restored the BuildConfigs of",
        _ => "Repaired",
    };
    format!("{did} {what}")
}

#[cfg(test)]
mod tests {
    use crate::domain::checks::Check;
    use crate::domain::finding::{Code, Finding, ObjectRef};
    use crate::report::fixtures::*;
    use crate::report::{
        ChangeEntry, ChangeReport, Endpoints, IntegrationReport, NamespaceReport, StatusReport,
    };

    #[test]
    fn summarizes_one_namespace() {
        let summary_line = |findings| one_namespace(findings).summary_line;
        assert_eq!(summary_line(vec![]), "Pods in myproj can pull from quay.example.com");
        assert_eq!(
            summary_line(vec![missing("myproj"), stale("myproj"), conflicting_secret("myproj")]),
            "2 errors, 1 warning. Run: oc quay repair -n myproj"
        );
        assert_eq!(
            summary_line(vec![conflicting_secret("myproj")]),
            "Pods in myproj can pull from quay.example.com, with 1 warning. \
             Run: oc get secrets -n myproj --field-selector type=kubernetes.io/dockerconfigjson"
        );
        assert_eq!(
            summary_line(vec![unread("myproj")]),
            "No problems found, but 1 thing could not be checked"
        );
        assert_eq!(
            summary_line(vec![unread("myproj"), unread("myproj")]),
            "No problems found, but 2 things could not be checked"
        );
        assert_eq!(
            summary_line(vec![unread("myproj"), missing("myproj")]),
            "1 error, 1 unknown. Run: oc quay repair -n myproj"
        );
        assert!(
            summary_line(vec![unread("myproj"), conflicting_secret("myproj")])
                .starts_with("1 warning, 1 unknown. Run: oc get secrets")
        );
    }

    #[test]
    fn does_not_claim_pull_of_deleted_or_uncompared_images() {
        let gone = || {
            finding(
                Code::TagGone,
                "myproj",
                "app:1",
                "app:1 follows openshift_myproj/app:1, which Quay does not have",
            )
        };
        let summary_line = |uncompared_tags, findings| {
            let check =
                Check { uncompared_tags, ..Check::new("Imports", "2 tags follow Quay", findings) };
            several_namespaces("-n myproj", vec![(namespace("myproj"), vec![check])]).summary_line
        };
        let look = "Run: oc describe imagestreams -n myproj";
        let probe = "Run: oc quay status -n myproj --probe";
        let table = [
            (0, vec![], "Pods in myproj can pull from quay.example.com".to_owned()),
            (
                0,
                vec![gone()],
                format!(
                    "Pods in myproj can log in to quay.example.com, which does not have 1 tag that image streams follow. {look}"
                ),
            ),
            (
                2,
                vec![],
                format!(
                    "Pods in myproj can log in to quay.example.com; 2 tags that follow it were not compared. {probe}"
                ),
            ),
            (
                1,
                vec![gone(), gone(), conflicting_secret("myproj")],
                format!(
                    "Pods in myproj can log in to quay.example.com, which does not have 2 tags that image streams follow, with \
                     1 warning; 1 tag that follows it was not compared. {look}"
                ),
            ),
        ];
        for (uncompared_tags, findings, expected) in table {
            assert_eq!(summary_line(uncompared_tags, findings), expected);
        }
    }

    #[test]
    fn names_other_command_if_repair_does_not_help() {
        let adopt = finding(Code::OrganizationOfAnotherCluster, "myproj", "o", "m");
        assert_eq!(
            one_namespace(vec![adopt.clone()]).summary_line,
            "1 error. Run: oc quay repair --adopt -n myproj"
        );
        assert_eq!(
            one_namespace(vec![adopt, missing("myproj")]).summary_line,
            "2 errors. Run: oc quay repair --adopt -n myproj"
        );
        let disallowed = finding(Code::RobotsDisallowed, "myproj", "o", "m");
        assert_eq!(
            one_namespace(vec![disallowed]).summary_line,
            "1 error. Run: oc quay explain OQ212"
        );
    }

    #[test]
    fn reports_integration_errors_first() {
        let none =
            Finding::new(Code::NoIntegration, ObjectRef::cluster("QuayIntegration", ""), "none");
        assert_eq!(
            with_integration(none).summary_line,
            "The integration has 1 error. Run: oc quay setup"
        );
        let plain =
            Finding::new(Code::VerificationOff, ObjectRef::cluster("QuayIntegration", "quay"), "m");
        assert_eq!(
            with_integration(plain).summary_line,
            "Pods in myproj can pull from quay.example.com, with 1 warning. Run: oc quay explain OQ115"
        );
    }

    #[test]
    fn does_not_name_repair_while_it_cannot_work() {
        let rejected = Finding::new(
            Code::TokenRejected,
            ObjectRef::cluster("Quay", "q"),
            "Quay rejects the token",
        );
        let check = Check::new("Token", "OC_QUAY_TOKEN", vec![rejected]);
        let namespaces = [(namespace("myproj"), checks(vec![missing("myproj")]))];
        let report = StatusReport::new(
            &invocation(),
            "-n myproj",
            IntegrationReport::default(),
            vec![check],
            namespaces,
        );
        assert_eq!(report.summary_line, "The integration has 1 error. Run: oc quay setup");
    }

    #[test]
    fn states_why_namespace_is_not_linked() {
        let summary_line =
            |namespace| several_namespaces("-n myproj", vec![namespace]).summary_line;
        assert_eq!(
            summary_line(denied("myproj")),
            "myproj is not linked: the denylist names it. Run: oc quay link -n myproj"
        );
        let going = NamespaceReport::new("myproj", None, false, "it is being deleted");
        assert_eq!(summary_line((going, vec![])), "myproj is not linked: it is being deleted");
    }

    #[test]
    fn summarizes_several_namespaces() {
        assert_eq!(
            thirty_namespaces().summary_line,
            "2 of 30 namespaces have errors. Run: oc quay repair -A"
        );
        let summary_line = |all: [Vec<Finding>; 3]| {
            let names = ["a", "b", "c"];
            let namespaces = names
                .into_iter()
                .zip(all)
                .map(|(name, findings)| (namespace(name), checks(findings)));
            several_namespaces("a b c", namespaces.collect()).summary_line
        };
        assert_eq!(
            summary_line([vec![], vec![], vec![]]),
            "Pods in 3 namespaces can pull from quay.example.com"
        );
        assert_eq!(
            summary_line([vec![missing("a")], vec![], vec![]]),
            "1 of 3 namespaces has errors. Run: oc quay repair a b c"
        );
        assert!(
            summary_line([vec![], vec![conflicting_secret("b")], vec![]])
                .starts_with("Pods in 3 namespaces can pull from quay.example.com, with 1 warning. Run: oc get secrets -n b")
        );
        assert_eq!(
            summary_line([vec![conflicting_secret("a")], vec![unread("b")], vec![]]),
            "No errors found, but 1 of 3 namespaces could not be checked in full"
        );
        assert_eq!(
            several_namespaces("-A", vec![denied("a"), denied("b")]).summary_line,
            "None of 2 namespaces is linked"
        );
        assert_eq!(
            several_namespaces("-A", vec![denied("a"), (namespace("b"), checks(vec![]))])
                .summary_line,
            "Pods in 1 namespace can pull from quay.example.com"
        );
        assert_eq!(several_namespaces("-A", vec![]).summary_line, "No namespaces found");
    }

    #[test]
    fn unreadable_is_not_empty() {
        let unread = Finding::new(
            Code::CouldNotRead,
            ObjectRef::cluster("QuayIntegration", ""),
            "Could not list",
        );
        let check = Check::new("Integration", "could not be read", vec![unread]);
        let report =
            StatusReport::new(&invocation(), "-A", IntegrationReport::default(), vec![check], []);
        assert_eq!(report.summary_line, "Nothing could be checked. Run: oc quay status");
    }

    #[test]
    fn summarizes_changes() {
        let done = |namespace| {
            planned_changes(namespace).into_iter().map(ChangeEntry::done).collect::<Vec<_>>()
        };
        assert_eq!(change_report("repair", false, vec![]).summary_line, "Nothing to do");
        assert_eq!(
            change_report("link", false, planned_changes("myproj")).summary_line,
            "6 changes planned"
        );
        assert_eq!(
            change_report("link", true, planned_changes("myproj")).summary_line,
            "6 changes planned. Nothing was written (--dry-run)"
        );
        assert_eq!(
            change_report("link", false, done("myproj")).summary_line,
            "Linked myproj: 6 changes"
        );
        assert_eq!(
            change_report("unlink", false, done("myproj")).summary_line,
            "Unlinked myproj: 6 changes"
        );
        assert_eq!(
            change_report("repair", false, done("myproj").drain(..1).collect()).summary_line,
            "Repaired myproj: 1 change"
        );
        let both = done("myproj").into_iter().chain(done("shop")).collect();
        assert_eq!(
            change_report("repair", false, both).summary_line,
            "Repaired 2 namespaces: 12 changes"
        );
        assert_eq!(
            failed_changes().summary_line,
            "1 of 6 changes failed, 1 skipped. Run the command again to finish"
        );
        let mut stopped = done("myproj");
        stopped.push(planned_changes("myproj").remove(0).skipped());
        assert_eq!(
            change_report("link", false, stopped).summary_line,
            "6 of 7 changes done. Run the command again to finish"
        );
    }

    #[test]
    fn counts_remaining_findings() {
        let with = |changes, findings| {
            ChangeReport::new(
                &invocation(),
                Endpoints::default(),
                "repair",
                false,
                changes,
                findings,
            )
        };
        let report = with(vec![], vec![missing("a")]);
        assert_eq!(
            (report.summary_line.as_str(), report.ok),
            ("Nothing to do. 1 error remains", false)
        );
        let done = planned_changes("a").into_iter().map(ChangeEntry::done).collect();
        let report = with(done, vec![missing("a"), unread("a"), conflicting_secret("a")]);
        assert_eq!(report.summary_line, "Repaired a: 6 changes. 1 error, 1 unknown remain");
        assert!(with(vec![], vec![conflicting_secret("a")]).ok);
    }
}
