//! Properties that hold for every namespace, on generated ones.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use secrecy::ExposeSecret;

use super::Role;
use super::change::Change;
use super::checks::{self, Subject};
use super::desired::Desired;
use super::finding::{Code, Level};
use super::integration::{Integration, QuayIntegration, Setting, Source};
use super::mark::Mark;
use super::names::{ClusterId, OPERATOR_FINALIZER, QuayUrl};
use super::plan::{self, Options, Plan, UnlinkOptions};
use super::snapshot::*;

const NAMESPACE: &str = "golden";
const HOST: &str = "localhost:18443";
const SECRET_TYPE: &str = "kubernetes.io/dockerconfigjson";
const ACCOUNTS: [&str; 4] = ["builder", "default", "deployer", "pipeline"];
const STREAMS: [&str; 3] = ["app", "base", "web"];

fn integration() -> Integration {
    let source = Source::Resource("quay".into());
    Integration {
        url: Setting { value: QuayUrl::parse("https://localhost:18443").unwrap().0, source: source.clone() },
        cluster_id: Setting { value: ClusterId::new("parity"), source },
        resource: Some(QuayIntegration { name: "quay".into(), ..Default::default() }),
        insecure: false,
        cluster: "api.one:6443".into(),
    }
}

fn our_mark() -> Mark {
    Mark::new("api.one:6443", NAMESPACE, "uid-1")
}

fn token(robot: &str, generation: usize) -> String {
    format!("token-{robot}-{generation}")
}

fn login(username: &str, password: String) -> Login {
    Login { username: username.into(), password: password.into() }
}

/// The namespace of `golden.md`: as the operator leaves it, with its finalizer and without any mark of ours.
fn golden() -> NamespaceSnapshot {
    let accounts = ["builder", "default", "deployer"];
    let lists = |name: &str| vec![format!("{name}-dockercfg-h5hq5"), format!("{name}-quay-parity")];
    let role = |name: &str| if name == "builder" { Role::Write } else { Role::Read };
    NamespaceSnapshot {
        name: NAMESPACE.into(),
        namespace: Ok(Some(Namespace { uid: "uid-1".into(), finalizers: vec![OPERATOR_FINALIZER.into()], ..Default::default() })),
        service_accounts: Ok(accounts
            .map(|name| ServiceAccount { name: name.into(), mountable: lists(name), pull: lists(name), ..Default::default() })
            .into()),
        secrets: Ok(accounts
            .map(|name| secret(name, SECRET_TYPE, HOST, &format!("parity_golden+{name}"), token(name, 0)))
            .into()),
        image_streams: Ok(vec![ImageStream { name: "app".into(), holds_own_tags: true, ..Default::default() }]),
        organization: Ok(Some(Organization {
            robots: Ok(accounts
                .map(|name| Robot {
                    name: name.into(),
                    mark: None,
                    token: Some(token(name, 0).into()),
                    repositories: BTreeSet::from(["app".into()]),
                })
                .into()),
            default_permissions: Ok(accounts
                .map(|name| DefaultPermission { id: format!("id-{name}"), robot: name.into(), role: role(name) })
                .into()),
            repositories: Ok(BTreeSet::from(["app".into()])),
            ..Organization::empty()
        })),
        probes: vec![],
    }
}

fn secret(account: &str, kind: &str, host: &str, username: &str, password: String) -> Secret {
    Secret {
        name: format!("{account}-quay-parity"),
        resource_version: "1".into(),
        kind: kind.into(),
        managed: false,
        logins: Ok(vec![(host.into(), login(username, password))]),
    }
}

/// What a change does, on a snapshot instead of on servers.
fn apply(change: &Change, snapshot: &mut NamespaceSnapshot) {
    use Change::*;
    let organization = |snapshot: &NamespaceSnapshot| snapshot.organization.clone().unwrap().unwrap();
    match change {
        CreateOrganization { .. } => return snapshot.organization = Ok(Some(Organization::empty())),
        DeleteOrganization { .. } => return snapshot.organization = Ok(None),
        ReleaseNamespace { .. } => {
            let namespace = snapshot.namespace.as_mut().unwrap().as_mut().unwrap();
            return namespace.finalizers.retain(|finalizer| finalizer != OPERATOR_FINALIZER);
        }
        CreateSecret { secret, robot, .. } | UpdateSecret { secret, robot, .. } | ReplaceSecret { secret, robot, .. } => {
            let current = organization(snapshot).robot(robot).unwrap().token.clone().unwrap();
            let name = format!("parity_golden+{robot}");
            let mut written = self::secret(robot, SECRET_TYPE, HOST, &name, current.expose_secret().into());
            written.managed = true;
            let secrets = snapshot.secrets.as_mut().unwrap();
            assert_eq!(matches!(change, CreateSecret { .. }), !secrets.iter().any(|existing| existing.name == *secret));
            secrets.retain(|existing| existing.name != *secret);
            return secrets.push(written);
        }
        DeleteSecret { secret, .. } => return snapshot.secrets.as_mut().unwrap().retain(|existing| existing.name != *secret),
        EditServiceAccount { service_account, edit, .. } => {
            let accounts = snapshot.service_accounts.as_mut().unwrap();
            let account = accounts.iter_mut().find(|account| account.name == *service_account).unwrap();
            for (list, wanted) in [(&mut account.mountable, edit.mountable), (&mut account.pull, edit.pull)] {
                match wanted {
                    Some(true) => list.push(edit.secret.clone()),
                    Some(false) => list.retain(|name| *name != edit.secret),
                    None => {}
                }
            }
            if let Some(role) = edit.role {
                account.role = role.map(|role| role.to_string());
            }
            return;
        }
        _ => {}
    }
    let mut edited = organization(snapshot);
    match change {
        TakeOwnership { .. } => edited.administered = true,
        Adopt { mark, .. } => edited.adopted_by = Mark::parse(mark),
        CreateRobot { robot, mark, .. } => edited.robots.as_mut().unwrap().push(Robot {
            name: robot.clone(),
            mark: Mark::parse(mark),
            token: Some(token(robot, 7).into()),
            repositories: BTreeSet::new(),
        }),
        RotateRobot { robot, .. } => robot_mut(&mut edited, robot).token = Some(token(robot, 8).into()),
        DeleteRobot { robot, .. } => {
            edited.robots.as_mut().unwrap().retain(|existing| existing.name != *robot);
            if let Ok(permissions) = &mut edited.default_permissions {
                permissions.retain(|permission| permission.robot != *robot);
            }
        }
        CreateDefaultPermission { robot, role, .. } => edited.default_permissions.as_mut().unwrap().push(DefaultPermission {
            id: format!("new-{robot}"),
            robot: robot.clone(),
            role: *role,
        }),
        ChangeDefaultPermission { id, to, .. } => {
            let permissions = edited.default_permissions.as_mut().unwrap();
            permissions.iter_mut().find(|permission| permission.id == *id).unwrap().role = *to;
        }
        DeleteDefaultPermission { id, .. } => {
            edited.default_permissions.as_mut().unwrap().retain(|permission| permission.id != *id)
        }
        CreateRepository { repository, .. } => {
            edited.repositories.as_mut().unwrap().insert(repository.clone());
            for permission in edited.default_permissions.clone().into_iter().flatten() {
                if let Ok(robots) = &mut edited.robots {
                    let robot = robots.iter_mut().find(|robot| robot.name == permission.robot);
                    robot.map(|robot| robot.repositories.insert(repository.clone()));
                }
            }
        }
        GrantRepository { repository, robot, .. } => {
            robot_mut(&mut edited, robot).repositories.insert(repository.clone());
        }
        other => panic!("not a change of an organization: {other:?}"),
    }
    snapshot.organization = Ok(Some(edited));
}

fn robot_mut<'a>(organization: &'a mut Organization, name: &str) -> &'a mut Robot {
    organization.robots.as_mut().unwrap().iter_mut().find(|robot| robot.name == name).unwrap()
}

fn with_subject<T>(snapshot: &NamespaceSnapshot, work: impl FnOnce(&Subject) -> T) -> T {
    let integration = integration();
    let desired = Desired::of(&integration, snapshot, &BTreeMap::new());
    work(&Subject { integration: &integration, troubles: &[], snapshot, desired: &desired })
}

fn repair(snapshot: &NamespaceSnapshot, options: Options) -> Plan {
    with_subject(snapshot, |subject| plan::repair(subject, options))
}

fn worst(snapshot: &NamespaceSnapshot) -> Level {
    with_subject(snapshot, |subject| checks::namespace(subject).iter().map(|check| check.level).max().unwrap())
}

fn unread() -> Unread {
    Unread { call: "read it".into(), reason: "refused".into(), kind: UnreadKind::Forbidden }
}

/// A part that is now and then unknown.
fn maybe_read<T: Clone + std::fmt::Debug + 'static>(part: impl Strategy<Value = T> + 'static) -> impl Strategy<Value = Read<T>> {
    prop_oneof![6 => part.prop_map(Ok), 1 => Just(Err(unread()))]
}

fn any_role() -> impl Strategy<Value = Role> {
    select(vec![Role::Read, Role::Write, Role::Admin])
}

prop_compose! {
    fn service_account(name: &'static str)(mountable in any::<bool>(), pull in any::<bool>(), role in any_role()) -> ServiceAccount {
        let list = |has: bool| {
            let mut names = vec![format!("{name}-dockercfg-x"), "somebody-elses".into()];
            names.extend(has.then(|| format!("{name}-quay-parity")));
            names
        };
        ServiceAccount {
            name: name.into(),
            resource_version: "1".into(),
            mountable: list(mountable),
            pull: list(pull),
            role: (name == "pipeline").then(|| role.to_string()),
        }
    }
}

fn any_secret(name: &'static str) -> impl Strategy<Value = Option<Secret>> {
    let own = format!("parity_golden+{name}");
    let good = secret(name, SECRET_TYPE, HOST, &own, token(name, 0));
    let stale = secret(name, SECRET_TYPE, HOST, &own, token(name, 1));
    let elsewhere = secret(name, SECRET_TYPE, "other.example.com", &own, token(name, 0));
    let somebody = secret(name, SECRET_TYPE, HOST, "somebody", token(name, 0));
    let opaque = secret(name, "Opaque", HOST, &own, token(name, 0));
    let ours = Secret { managed: true, ..opaque.clone() };
    let broken = Secret { logins: Err("broken".into()), ..good.clone() };
    select(vec![None, Some(good), Some(stale), Some(elsewhere), Some(somebody), Some(opaque), Some(ours), Some(broken)])
}

prop_compose! {
    fn robot(name: &'static str)(shown in any::<bool>(), mark in 0..4, rights in subsequence(STREAMS.to_vec(), 0..=3)) -> Robot {
        let foreign = Mark::new("api.two:6443", NAMESPACE, "uid-2");
        Robot {
            name: name.into(),
            mark: match mark { 0 => Some(foreign), 1 => None, _ => Some(our_mark()) },
            token: shown.then(|| token(name, 0).into()),
            repositories: rights.into_iter().map(Into::into).collect(),
        }
    }
}

fn default_permissions() -> impl Strategy<Value = Vec<DefaultPermission>> {
    let entries = prop::collection::vec((select(ACCOUNTS.to_vec()), any_role()), 0..6);
    entries.prop_map(|entries| {
        let numbered = entries.into_iter().enumerate();
        numbered.map(|(id, (robot, role))| DefaultPermission { id: id.to_string(), robot: robot.into(), role }).collect()
    })
}

fn organization() -> impl Strategy<Value = Option<Organization>> {
    let robots = (robot("builder"), robot("default"), robot("deployer"), robot("pipeline"));
    let robots = (robots, subsequence(vec![0, 1, 2, 3], 0..=4)).prop_map(|((a, b, c, d), kept)| {
        let all = [a, b, c, d];
        kept.into_iter().map(|index: usize| all[index].clone()).collect::<Vec<_>>()
    });
    let repositories = subsequence(vec!["app", "base", "web", "left-behind"], 0..=4);
    let parts = (maybe_read(robots), maybe_read(default_permissions()), maybe_read(repositories), 0..8);
    let known = parts.prop_map(|(robots, mut default_permissions, repositories, adopted)| {
        if let (Ok(robots), Ok(permissions)) = (&robots, &mut default_permissions) {
            // Deleting a robot account deletes its default permissions (sample 611).
            permissions.retain(|permission| robots.iter().any(|robot: &Robot| robot.name == permission.robot));
        }
        Some(Organization {
            administered: true,
            adopted_by: (adopted == 0).then(our_mark),
            robots,
            default_permissions,
            repositories: repositories.map(|names| names.into_iter().map(Into::into).collect()),
        })
    });
    prop_oneof![1 => Just(None), 5 => known]
}

fn any_namespace() -> impl Strategy<Value = NamespaceSnapshot> {
    let accounts =
        (service_account("builder"), service_account("default"), service_account("deployer"), service_account("pipeline"));
    let accounts = (accounts, subsequence(vec![0, 1, 2, 3], 0..=4)).prop_map(|((a, b, c, d), kept)| {
        let all = [a, b, c, d];
        kept.into_iter().map(|index: usize| all[index].clone()).collect::<Vec<_>>()
    });
    let secrets = (any_secret("builder"), any_secret("default"), any_secret("deployer"), any_secret("pipeline"))
        .prop_map(|(a, b, c, d)| [a, b, c, d].into_iter().flatten().collect::<Vec<_>>());
    let streams = subsequence(STREAMS.to_vec(), 0..=3).prop_map(|names| {
        let stream = |name: &str| ImageStream { name: name.into(), holds_own_tags: true, ..Default::default() };
        names.into_iter().map(stream).collect::<Vec<_>>()
    });
    let namespace = Namespace { uid: "uid-1".into(), ..Default::default() };
    let parts = (maybe_read(accounts), maybe_read(secrets), maybe_read(streams), maybe_read(organization()));
    parts.prop_map(move |(service_accounts, secrets, image_streams, organization)| NamespaceSnapshot {
        name: NAMESPACE.into(),
        namespace: Ok(Some(namespace.clone())),
        service_accounts,
        secrets,
        image_streams,
        organization,
        probes: vec![],
    })
}

fn options() -> impl Strategy<Value = Options> {
    (any::<bool>(), any::<bool>()).prop_map(|(adopt, rotate)| Options { adopt, rotate })
}

fn is_fully_read(snapshot: &NamespaceSnapshot) -> bool {
    let organization = snapshot.organization().is_none_or(|organization| {
        organization.robots.is_ok() && organization.default_permissions.is_ok() && organization.repositories.is_ok()
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
    let findings: Vec<_> = with_subject(&golden, checks::namespace).into_iter().flat_map(|check| check.findings).collect();
    // The one thing worth knowing: deleting the namespace deletes its images.
    assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), [Code::CarriesOperatorFinalizer]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

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
            prop_assert!(worst(&snapshot) < Level::Error, "{:?}", with_subject(&snapshot, checks::namespace));
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
    fn what_is_healthy_is_left_alone(before in any_namespace()) {
        if worst(&before) <= Level::Info && is_fully_read(&before) {
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
        prop_assert!(snapshot.secrets.iter().flatten().all(|secret| !secret.managed));
        let again = with_subject(&snapshot, |subject| plan::unlink(subject, UnlinkOptions::default()));
        prop_assert_eq!(again.changes, vec![]);
    }
}

fn summaries(snapshot: &NamespaceSnapshot) -> BTreeSet<String> {
    repair(snapshot, Options::default()).changes.iter().map(Change::summary).collect()
}
