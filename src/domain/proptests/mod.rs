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
    work(&Assessed { integration: &integration, troubles: &[], snapshot, desired: &desired })
}

fn repair(snapshot: &NamespaceSnapshot, options: Options) -> Plan {
    with_subject(snapshot, |subject| plan::repair(subject, options))
}

fn worst(snapshot: &NamespaceSnapshot) -> Severity {
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
fn what_the_operator_leaves_is_healthy() {
    let golden = golden();
    assert_eq!(repair(&golden, Options::default()), Plan::default());
    let findings: Vec<_> = with_subject(&golden, checks::namespace)
        .into_iter()
        .flat_map(|check| check.findings)
        .collect();
    // The one thing worth knowing: deleting the namespace deletes its images.
    assert_eq!(
        findings.iter().map(|finding| finding.code).collect::<Vec<_>>(),
        [Code::CarriesOperatorFinalizer]
    );
}

#[test]
fn says_what_is_beyond_the_share_of_a_namespace() {
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
        let of_surplus = [Code::TooManyAccounts, Code::TooManyRepositories];
        findings
            .into_iter()
            .map(|finding| finding.code)
            .filter(|code| of_surplus.contains(code))
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
    // A robot account, a default permission, a secret and an edit each for the accounts, and the repositories.
    assert!(plan.changes.len() <= 4 * 50 + 1000 + 50, "{}", plan.changes.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn a_plan_finishes_the_work(before in any_namespace(), options in options()) {
        let mut snapshot = before.clone();
        let plan = repair(&snapshot, options);
        for change in &plan.changes {
            apply(change, &mut snapshot);
        }
        let again = repair(&snapshot, Options { rotate: false, ..options });
        prop_assert_eq!(&again.changes, &vec![], "after {:?}", plan);
        if again.blocked.is_empty() && is_fully_read(&snapshot) {
            prop_assert!(worst(&snapshot) < Severity::Error, "{:?}", with_subject(&snapshot, checks::namespace));
        }
    }

    #[test]
    fn any_prefix_of_a_plan_can_be_the_last_of_it(before in any_namespace(), options in options(), cut in any::<prop::sample::Index>()) {
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
    fn nothing_of_the_users_is_deleted_or_taken_over(before in any_namespace(), rotate in any::<bool>()) {
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
    fn nothing_without_our_mark_is_renewed_or_deleted(before in any_namespace()) {
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
    fn nobody_gets_a_login_that_is_not_shown_to_be_theirs(before in any_namespace()) {
        let Some(organization) = before.organization() else { return Ok(()) };
        let marks: Vec<_> = organization.robots.iter().flatten().filter_map(|robot| robot.mark.as_ref()).collect();
        let is_others = organization.adopted_by.is_none() && marks.iter().any(|mark| mark.uid != "uid-1");
        let held = |robot: &str| before.secrets.iter().flatten().flat_map(|secret| secret.logins.iter().flatten()).any(|(_, login)| {
            login.username == format!("parity_golden+{robot}") && login.password.expose_secret() == token(robot, 0)
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
    fn nothing_is_planned_for_what_could_not_be_read(before in any_namespace(), options in options()) {
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
    fn renews_no_token_without_the_write_of_its_secret(before in any_namespace(), options in options()) {
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
        prop_assert!(has_error || renewed.len() + created == accounts, "what is not renewed is said: {:?}", plan);
    }

    #[test]
    fn nobody_gets_a_login_while_the_namespace_is_not_known(before in any_namespace(), options in options()) {
        let unread = ReadError { call: "read namespace shop".into(), reason: "no answer".into(), kind: ReadErrorKind::Failed };
        let before = NamespaceSnapshot { namespace: Err(unread), ..before };
        for change in repair(&before, options).changes {
            prop_assert!(matches!(change, Change::EditServiceAccount { .. }), "{:?}", change);
        }
    }

    #[test]
    fn what_is_healthy_is_left_alone(before in any_namespace()) {
        if worst(&before) <= Severity::Info && is_fully_read(&before) {
            prop_assert_eq!(repair(&before, Options::default()).changes, vec![]);
        }
    }

    #[test]
    fn an_inverse_takes_its_change_back(before in any_namespace()) {
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
    fn a_namespace_that_goes_takes_only_what_was_made_for_it_and_never_hangs(
        mut snapshot in any_namespace(), guarded in any::<bool>(), policy in 0..3_usize, away in any::<bool>(),
    ) {
        let word = ["", "delete", "remove, please"][policy];
        let word = (!word.is_empty()).then(|| word.to_owned());
        let finalizers = [Some(OPERATOR_FINALIZER), guarded.then_some(FINALIZER)].into_iter().flatten().map(str::to_owned).collect();
        let namespace = Namespace { uid: "uid-1".into(), terminating: true, finalizers, deletion_policy: word, ..Default::default() };
        snapshot.namespace = Ok(Some(namespace));
        let planned = |snapshot: &NamespaceSnapshot| with_subject(snapshot, |subject| plan::plan_cleanup(subject, DeletionPolicy::Retain));
        let mut plan_cleanup = planned(&snapshot);
        if !plan_cleanup.plan.blocked.is_empty() || away {
            prop_assert!(away || plan_cleanup.plan.changes.is_empty(), "nothing is done before it is known what there is");
            // As the bridge does once its patience is over.
            snapshot.organization = Ok(None);
            plan_cleanup = planned(&snapshot);
        }
        let ours = |mark: &OwnershipMark| mark.uid == "uid-1";
        for change in &plan_cleanup.plan.changes {
            if let Change::DeleteOrganization { .. } = change {
                prop_assert!(guarded && policy == 1);
                let organization = snapshot.organization().unwrap();
                let marks: Vec<_> = organization.robots.iter().flatten().filter_map(|robot| robot.mark.as_ref()).collect();
                let adopted = organization.adopted_by.as_ref().is_some_and(ours);
                prop_assert!(marks.iter().copied().chain(&organization.adopted_by).any(|mark| mark.created), "it was created by us");
                prop_assert!(adopted || (!marks.is_empty() && marks.into_iter().all(ours)));
                prop_assert!(plan_cleanup.left_behind.is_none());
            }
        }
        for change in &plan_cleanup.plan.changes {
            apply(change, &mut snapshot);
        }
        let namespace = snapshot.namespace.unwrap().unwrap();
        prop_assert_eq!(namespace.finalizers, Vec::<String>::new());
    }

    #[test]
    fn unlink_deletes_nothing_of_which_a_part_is_unread(before in any_namespace(), delete_robots in any::<bool>()) {
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
        prop_assert!((in_cluster && in_quay) || !plan.blocked.is_empty(), "what is not done is said: {:?}", plan);
    }

    #[test]
    fn unlink_takes_all_of_ours_and_nothing_else(before in any_namespace()) {
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
            let expected = vec![format!("{}-dockercfg-x", account.name), "somebody-elses".to_owned()];
            prop_assert_eq!(&account.mountable, &expected);
            prop_assert_eq!(&account.pull, &expected);
        }
        // A secret is kept while it is not known which service accounts refer to it.
        let are_ours_deleted = snapshot.secrets.iter().flatten().all(|secret| !secret.managed);
        prop_assert!(snapshot.service_accounts.is_err() || are_ours_deleted);
        let again = with_subject(&snapshot, |subject| plan::unlink(subject, UnlinkOptions::default()));
        prop_assert_eq!(again.changes, vec![]);
    }
}

fn summaries(snapshot: &NamespaceSnapshot) -> BTreeSet<String> {
    repair(snapshot, Options::default()).changes.iter().map(Change::summary).collect()
}

/// What could not be read, and the checks that have nothing to compare then.
type Unreadable<'a> = (&'a str, fn(&mut NamespaceSnapshot), &'a [&'a str]);

#[test]
fn calls_nothing_ok_that_was_not_compared() {
    fn unread() -> ReadError {
        ReadError { call: "read it".into(), reason: "refused".into(), kind: ReadErrorKind::Failed }
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
    let subject = Assessed {
        integration: &integration,
        troubles: &[],
        snapshot: &snapshot,
        desired: &desired,
    };
    let check = checks::namespace(&subject).remove(0);
    assert_eq!(check.severity, Severity::Unknown, "{check:?}");
}

#[test]
fn does_not_blame_secrets_for_a_wrong_address() {
    let mut snapshot = golden();
    snapshot.organization = Err(ReadError {
        call: "ask Quay".into(),
        reason: "down".into(),
        kind: ReadErrorKind::Skipped,
    });
    if let Ok(secrets) = &mut snapshot.secrets {
        for secret in secrets {
            secret
                .logins
                .iter_mut()
                .flatten()
                .for_each(|(registry, _)| "quay.other.com".clone_into(registry));
        }
    }
    let reason = "no such name".to_owned();
    let trouble = QuayProblem::Unreachable { step: ConnectionStage::Name, reason };
    let integration = integration();
    let desired = Desired::of(&integration, &snapshot, &BTreeMap::new());
    let found = |troubles: &[QuayProblem]| {
        let checks = checks::namespace(&Assessed {
            integration: &integration,
            troubles,
            snapshot: &snapshot,
            desired: &desired,
        });
        checks
            .into_iter()
            .flat_map(|check| check.findings)
            .map(|finding| finding.code)
            .collect::<Vec<_>>()
    };
    assert!(found(&[]).contains(&Code::SecretWrongHost));
    assert!(!found(&[trouble]).contains(&Code::SecretWrongHost));
}
