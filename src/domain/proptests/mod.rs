//! Properties that hold for every namespace, on generated ones.

mod generators;
mod imports;
mod simulator;
mod spare;
mod tenant;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::change::Change;
use super::checks::{self, Assessed};
use super::deletion_policy::DeletionPolicy;
use super::desired::Desired;
use super::finding::{Code, Severity};
use super::integration::{ConnectionStage, Integration, QuayProblem};
use super::names::{FINALIZER, OPERATOR_FINALIZER};
use super::ownership_mark::OwnershipMark;
use super::plan::{self, Options, Plan, UnlinkOptions};
use super::snapshot::*;
use generators::{ACCOUNTS, any_namespace, token};
pub(super) use generators::{HOST, golden};
pub(crate) use generators::{NAMESPACE, integration, options};
use simulator::apply;
pub(crate) use tenant::tenants_namespace;

pub(crate) fn with_subject<T>(
    snapshot: &NamespaceSnapshot,
    work: impl FnOnce(&Assessed) -> T,
) -> T {
    let integration = integration();
    let desired = Desired::of(&integration, snapshot, &BTreeMap::new());
    work(&Assessed::new(&integration, snapshot, &desired))
}

fn repair(snapshot: &NamespaceSnapshot, options: Options) -> Plan {
    with_subject(snapshot, |subject| plan::repair(subject, options))
}

fn max_severity(snapshot: &NamespaceSnapshot) -> Severity {
    with_subject(snapshot, |subject| {
        checks::namespace(subject).iter().map(|check| check.severity).max().unwrap()
    })
}

fn is_fully_read(snapshot: &NamespaceSnapshot) -> bool {
    let organization = snapshot.organization().is_none_or(|organization| {
        organization.robots.is_ok()
            && organization.default_permissions.is_ok()
            && organization.repositories.is_ok()
    });
    organization
        && snapshot.organization.is_ok()
        && snapshot.service_accounts.is_ok()
        && snapshot.secrets.is_ok()
        && snapshot.image_streams.is_ok()
}

#[test]
fn linked_namespace_of_the_operator_is_healthy() {
    let golden = golden();
    assert_eq!(repair(&golden, Options::default()), Plan::default());
    let findings: Vec<_> = with_subject(&golden, checks::namespace)
        .into_iter()
        .flat_map(|check| check.findings)
        .collect();
    // Deleting the namespace deletes its images.
    assert_eq!(
        findings.iter().map(|finding| finding.code).collect::<Vec<_>>(),
        [Code::CarriesOperatorFinalizer]
    );
}

#[test]
fn reports_surplus_accounts_and_repositories() {
    let mut snapshot = golden();
    let stream =
        |number: usize| ImageStream { name: format!("app{number:04}"), ..ImageStream::default() };
    snapshot.image_streams = Ok((0..1100).map(stream).collect());
    let account = |number: usize| {
        let role = Some("read".to_owned());
        ServiceAccount { name: format!("a{number:03}"), role, ..ServiceAccount::default() }
    };
    snapshot.service_accounts.as_mut().unwrap().extend((0..300).map(account));
    let codes = |findings: Vec<super::finding::Finding>| {
        let surplus_codes = [Code::TooManyAccounts, Code::TooManyRepositories];
        findings
            .into_iter()
            .map(|finding| finding.code)
            .filter(|code| surplus_codes.contains(code))
            .collect::<Vec<_>>()
    };
    let expected = [Code::TooManyAccounts, Code::TooManyRepositories];
    let found = with_subject(&snapshot, checks::namespace)
        .into_iter()
        .flat_map(|check| check.findings)
        .collect();
    assert_eq!(codes(found), expected);
    let plan = repair(&snapshot, Options::default());
    assert_eq!(codes(plan.blocked), expected);
    // A robot account, a default permission, a secret and an edit for each account, and the
    // repositories.
    assert!(plan.changes.len() <= 4 * 50 + 1000 + 50, "{}", plan.changes.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn second_plan_is_empty(before in any_namespace(), options in options()) {
        let mut snapshot = before.clone();
        let plan = repair(&snapshot, options);
        for change in &plan.changes {
            apply(change, &mut snapshot);
        }
        let again = repair(&snapshot, Options { rotate: false, ..options });
        prop_assert_eq!(&again.changes, &vec![], "after {:?}", plan);
        if again.blocked.is_empty() && is_fully_read(&snapshot) {
            prop_assert!(max_severity(&snapshot) < Severity::Error, "{:?}", with_subject(&snapshot, checks::namespace));
        }
    }

    #[test]
    fn plan_can_stop_after_any_change(before in any_namespace(), options in options(), cut in any::<prop::sample::Index>()) {
        let mut snapshot = before.clone();
        let plan = repair(&snapshot, options);
        for change in &plan.changes[..cut.index(plan.changes.len() + 1)] {
            apply(change, &mut snapshot);
        }
        let options = Options { rotate: false, ..options };
        for change in &repair(&snapshot, options).changes {
            apply(change, &mut snapshot);
        }
        prop_assert_eq!(repair(&snapshot, options).changes, vec![]);
    }

    #[test]
    fn repair_deletes_and_adopts_nothing_of_the_user(before in any_namespace(), rotate in any::<bool>()) {
        for change in repair(&before, Options { adopt: false, rotate }).changes {
            let ours = match &change {
                Change::DeleteDefaultPermission { robot, .. } => ACCOUNTS.contains(&robot.as_str()),
                Change::ReplaceSecret { secret, .. } => before.secret(secret).is_some_and(|secret| secret.managed),
                Change::TakeOwnership { .. } | Change::Adopt { .. } => false,
                other => other.verb() != super::change::Verb::Delete,
            };
            prop_assert!(ours, "{:?}", change);
        }
    }

    #[test]
    fn renews_and_deletes_only_marked_robot_accounts(before in any_namespace()) {
        let is_marked = |name: &str| before.organization().is_some_and(|organization| {
            let robot = organization.robot(name);
            let is_adopted = organization.adopted_by.is_some();
            robot.is_some_and(|robot| robot.is_adopted || robot.mark.as_ref().is_some_and(|mark| is_adopted || mark.uid == "uid-1"))
        });
        let all = UnlinkOptions { delete_robots: true, delete_organization: false };
        let plans = [repair(&before, Options { adopt: false, rotate: true }), with_subject(&before, |subject| plan::unlink(subject, all))];
        for change in plans.iter().flat_map(|plan| &plan.changes) {
            if let Change::RotateRobot { robot, .. } | Change::DeleteRobot { robot, .. } = change {
                prop_assert!(is_marked(robot), "{:?}", change);
            }
        }
    }

    #[test]
    fn writes_tokens_only_to_their_proven_owner(before in any_namespace()) {
        let Some(organization) = before.organization() else { return Ok(()) };
        let marks: Vec<_> = organization.robots.iter().flatten().filter_map(|robot| robot.mark.as_ref()).collect();
        let is_others = organization.adopted_by.is_none() && marks.iter().any(|mark| mark.uid != "uid-1");
        let held = |robot: &str| before.secrets.iter().flatten().flat_map(|secret| secret.credentials.iter().flatten()).any(|(_, entry)| {
            entry.username == format!("parity_golden+{robot}") && entry.password.expose_secret() == token(robot, 0)
        });
        let is_known = |robot: &Robot| robot.token.is_some() && held(&robot.name);
        let is_linked = organization.robots.iter().flatten().any(is_known);
        let is_proven = organization.adopted_by.is_some() || !marks.is_empty() || is_linked || organization.is_blank;
        for change in repair(&before, Options::default()).changes.iter().filter(|change| change.is_secret_write()) {
            prop_assert!(!is_others && is_proven, "{:?}", change);
            let pipeline = organization.robot("pipeline").filter(|_| change.object().name.starts_with("pipeline"));
            prop_assert!(pipeline.is_none_or(|robot| robot.is_ours() || is_known(robot)), "{:?}", change);
        }
    }

    #[test]
    fn plans_nothing_for_unread_parts(before in any_namespace(), options in options()) {
        let organization = before.organization();
        let unknown = |kind: &str| match kind {
            "ServiceAccount" => before.service_accounts.is_err(),
            "Secret" => before.secrets.is_err(),
            "Organization" => before.organization.is_err(),
            "RobotAccount" => before.organization.is_err() || organization.is_some_and(|organization| organization.robots.is_err()),
            "DefaultPermission" => before.organization.is_err() || organization.is_some_and(|organization| organization.default_permissions.is_err()),
            "Repository" => before.organization.is_err() || organization.is_some_and(|organization| organization.repositories.is_err()),
            _ => false,
        };
        for change in repair(&before, options).changes {
            prop_assert!(!unknown(change.object().kind), "{:?}", change);
        }
    }

    #[test]
    fn renews_token_only_with_the_write_of_its_secret(before in any_namespace(), options in options()) {
        let plan = repair(&before, Options { rotate: true, ..options });
        let mut renewed = BTreeSet::new();
        for pair in plan.changes.windows(2) {
            if let Change::RotateRobot { robot, .. } = &pair[0] {
                let written = match &pair[1] {
                    Change::CreateSecret { robot, .. } | Change::UpdateSecret { robot, .. } | Change::ReplaceSecret { robot, .. } => Some(robot),
                    _ => None,
                };
                prop_assert_eq!(written, Some(robot), "{:?}", plan);
                renewed.insert(robot.clone());
            }
        }
        prop_assert!(!matches!(plan.changes.last(), Some(Change::RotateRobot { .. })), "{:?}", plan);
        let created = plan.changes.iter().filter(|change| matches!(change, Change::CreateRobot { .. })).count();
        let accounts = with_subject(&before, |subject| subject.desired.accounts.len());
        let has_error = plan.blocked.iter().any(|finding| finding.severity == Severity::Error);
        prop_assert!(has_error || renewed.len() + created == accounts, "a token that is not renewed is reported: {:?}", plan);
    }

    #[test]
    fn writes_no_tokens_while_namespace_is_unread(before in any_namespace(), options in options()) {
        let unread = ReadError { call: "read namespace shop".into(), reason: "no answer".into(), kind: ReadErrorKind::Failed };
        let before = NamespaceSnapshot { namespace: Err(unread), ..before };
        for change in repair(&before, options).changes {
            prop_assert!(matches!(change, Change::EditServiceAccount { .. }), "{:?}", change);
        }
    }

    #[test]
    fn changes_nothing_in_a_healthy_namespace(before in any_namespace()) {
        if max_severity(&before) <= Severity::Info && is_fully_read(&before) {
            prop_assert_eq!(repair(&before, Options::default()).changes, vec![]);
        }
    }

    #[test]
    fn inverse_reverts_its_change(before in any_namespace()) {
        let mut snapshot = before.clone();
        for change in repair(&before, Options::default()).changes {
            let planned = summaries(&snapshot);
            apply(&change, &mut snapshot);
            if let Some(inverse) = change.inverse() {
                let mut undone = snapshot.clone();
                apply(&inverse, &mut undone);
                prop_assert_eq!(summaries(&undone), planned, "{:?}", change);
            }
        }
    }

    #[test]
    fn cleanup_removes_finalizers_and_only_own_organization(
        mut snapshot in any_namespace(), guarded in any::<bool>(), policy in 0..3_usize, is_unavailable in any::<bool>(),
    ) {
        let value = ["", "delete", "remove, please"][policy];
        let value = (!value.is_empty()).then(|| value.to_owned());
        let finalizers = [Some(OPERATOR_FINALIZER), guarded.then_some(FINALIZER)].into_iter().flatten().map(str::to_owned).collect();
        let namespace = Namespace { uid: "uid-1".into(), terminating: true, finalizers, deletion_policy: value, ..Default::default() };
        snapshot.namespace = Ok(Some(namespace));
        let planned = |snapshot: &NamespaceSnapshot| with_subject(snapshot, |subject| plan::plan_cleanup(subject, DeletionPolicy::Retain));
        let mut cleanup = planned(&snapshot);
        if !cleanup.plan.blocked.is_empty() || is_unavailable {
            prop_assert!(is_unavailable || cleanup.plan.changes.is_empty(), "nothing is changed while the organization is unknown");
            // As the controller does after its last attempt.
            snapshot.organization = Ok(None);
            cleanup = planned(&snapshot);
        }
        let ours = |mark: &OwnershipMark| mark.uid == "uid-1";
        for change in &cleanup.plan.changes {
            if let Change::DeleteOrganization { .. } = change {
                prop_assert!(guarded && policy == 1);
                let organization = snapshot.organization().unwrap();
                let marks: Vec<_> = organization.robots.iter().flatten().filter_map(|robot| robot.mark.as_ref()).collect();
                let adopted = organization.adopted_by.as_ref().is_some_and(ours);
                prop_assert!(marks.iter().copied().chain(&organization.adopted_by).any(|mark| mark.created), "oc-quay created it");
                prop_assert!(adopted || (!marks.is_empty() && marks.into_iter().all(ours)));
                prop_assert!(cleanup.left_behind.is_none());
            }
        }
        for change in &cleanup.plan.changes {
            apply(change, &mut snapshot);
        }
        let namespace = snapshot.namespace.unwrap().unwrap();
        prop_assert_eq!(namespace.finalizers, Vec::<String>::new());
    }

    #[test]
    fn unlink_deletes_nothing_while_parts_are_unread(before in any_namespace(), delete_robots in any::<bool>()) {
        let options = UnlinkOptions { delete_robots, delete_organization: !delete_robots };
        let plan = with_subject(&before, |subject| plan::unlink(subject, options));
        let robots_are_read = before.organization().is_none_or(|organization| organization.robots.is_ok());
        let in_quay = before.organization.is_ok() && robots_are_read;
        let in_cluster = before.service_accounts.is_ok() && before.secrets.is_ok();
        for change in &plan.changes {
            match change {
                Change::DeleteSecret { .. } => prop_assert!(in_cluster, "{:?}", plan),
                Change::DeleteRobot { .. } | Change::DeleteOrganization { .. } => prop_assert!(in_cluster && in_quay, "{:?}", plan),
                _ => {}
            }
        }
        prop_assert!((in_cluster && in_quay) || !plan.blocked.is_empty(), "an omitted change is reported: {:?}", plan);
    }

    #[test]
    fn unlink_removes_only_our_objects(before in any_namespace()) {
        let mut snapshot = before.clone();
        for change in repair(&before, Options { adopt: true, rotate: false }).changes {
            apply(&change, &mut snapshot);
        }
        let images = snapshot.organization().map(|organization| organization.repositories.clone());
        for change in with_subject(&snapshot, |subject| plan::unlink(subject, UnlinkOptions::default())).changes {
            apply(&change, &mut snapshot);
        }
        prop_assert_eq!(images, snapshot.organization().map(|organization| organization.repositories.clone()));
        for account in snapshot.service_accounts.iter().flatten() {
            let expected = vec![format!("{}-dockercfg-x", account.name), "foreign".to_owned()];
            prop_assert_eq!(&account.mountable, &expected);
            prop_assert_eq!(&account.pull, &expected);
        }
        // A secret is kept while the service accounts that refer to it are unknown.
        let are_ours_deleted = snapshot.secrets.iter().flatten().all(|secret| !secret.managed);
        prop_assert!(snapshot.service_accounts.is_err() || are_ours_deleted);
        let again = with_subject(&snapshot, |subject| plan::unlink(subject, UnlinkOptions::default()));
        prop_assert_eq!(again.changes, vec![]);
    }
}

fn summaries(snapshot: &NamespaceSnapshot) -> BTreeSet<String> {
    repair(snapshot, Options::default()).changes.iter().map(Change::summary).collect()
}

/// A case's name, a part that could not be read, and the checks that cannot compare it.
type Unreadable<'a> = (&'a str, fn(&mut NamespaceSnapshot), &'a [&'a str]);

#[test]
fn reports_ok_only_for_compared_objects() {
    fn unread() -> ReadError {
        ReadError { call: "read it".into(), reason: "rejected".into(), kind: ReadErrorKind::Failed }
    }
    let in_quay = [
        "Organization",
        "Robot accounts",
        "Default permissions",
        "Repositories",
        "Secrets",
        "Imports",
    ];
    let without = [
        "Robot accounts",
        "Default permissions",
        "Repositories",
        "Secrets",
        "Service accounts",
        "Imports",
    ];
    let table: [Unreadable; 7] = [
        ("organization", |snapshot| snapshot.organization = Err(unread()), &in_quay),
        (
            "no token",
            |snapshot| {
                snapshot.organization = Err(ReadError { kind: ReadErrorKind::Skipped, ..unread() });
            },
            &in_quay,
        ),
        ("no organization", |snapshot| snapshot.organization = Ok(None), &without),
        ("service accounts", |snapshot| snapshot.service_accounts = Err(unread()), &without[..5]),
        (
            "image streams",
            |snapshot| snapshot.image_streams = Err(unread()),
            &["Repositories", "Image streams"],
        ),
        (
            "robot accounts",
            |snapshot| {
                if let Ok(Some(organization)) = &mut snapshot.organization {
                    organization.robots = Err(unread());
                }
            },
            &["Robot accounts", "Default permissions", "Repositories", "Secrets"],
        ),
        ("secrets", |snapshot| snapshot.secrets = Err(unread()), &["Secrets"]),
    ];
    for (name, arrange, titles) in table {
        let mut snapshot = golden();
        let from =
            TagSource { kind: "DockerImage".into(), name: format!("{HOST}/parity_golden/app:1") };
        let tag = StreamTag { name: "1".into(), from: Some(from), ..StreamTag::default() };
        snapshot.image_streams =
            Ok(vec![ImageStream { name: "app".into(), tags: vec![tag], ..ImageStream::default() }]);
        arrange(&mut snapshot);
        for check in with_subject(&snapshot, checks::namespace) {
            let is_compared = !titles.contains(&check.title);
            assert!(is_compared || check.severity != Severity::Ok, "{name}: {check:?}");
        }
    }
    let (snapshot, integration) =
        (golden(), Integration { lists_unread: true, resource: None, ..integration() });
    let desired = Desired::of(&integration, &snapshot, &BTreeMap::new());
    let subject = Assessed::new(&integration, &snapshot, &desired);
    let check = checks::namespace(&subject).remove(0);
    assert_eq!(check.severity, Severity::Unknown, "{check:?}");
}

#[test]
fn does_not_report_secrets_if_quay_is_unreachable() {
    let mut snapshot = golden();
    snapshot.organization = Err(ReadError {
        call: "ask Quay".into(),
        reason: "down".into(),
        kind: ReadErrorKind::Skipped,
    });
    if let Ok(secrets) = &mut snapshot.secrets {
        for secret in secrets {
            secret
                .credentials
                .iter_mut()
                .flatten()
                .for_each(|(registry, _)| "quay.other.com".clone_into(registry));
        }
    }
    let reason = "no such name".to_owned();
    let problem = QuayProblem::Unreachable { step: ConnectionStage::Name, reason };
    let integration = integration();
    let desired = Desired::of(&integration, &snapshot, &BTreeMap::new());
    let found = |problems: &[QuayProblem]| {
        let checks = checks::namespace(
            &Assessed::new(&integration, &snapshot, &desired).with_problems(problems),
        );
        checks
            .into_iter()
            .flat_map(|check| check.findings)
            .map(|finding| finding.code)
            .collect::<Vec<_>>()
    };
    assert!(found(&[]).contains(&Code::SecretWrongHost));
    assert!(!found(&[problem]).contains(&Code::SecretWrongHost));
}
