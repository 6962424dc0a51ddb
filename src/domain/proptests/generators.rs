//! Generators of namespaces.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::domain::Role;
use crate::domain::integration::{Integration, QuayIntegration, Source, Sourced};
use crate::domain::names::{ClusterId, OPERATOR_FINALIZER, QuayUrl};
use crate::domain::ownership_mark::{ClusterIdentity, OwnershipMark};
use crate::domain::plan::Options;
use crate::domain::snapshot::*;

pub(crate) const NAMESPACE: &str = "golden";
pub(in crate::domain) const HOST: &str = "localhost:18443";
pub(super) const SECRET_TYPE: &str = "kubernetes.io/dockerconfigjson";
pub(super) const ACCOUNTS: [&str; 4] = ["builder", "default", "deployer", "pipeline"];
const STREAMS: [&str; 3] = ["app", "base", "web"];

pub(crate) fn integration() -> Integration {
    let source = Source::Resource("quay".into());
    Integration {
        url: Sourced {
            value: QuayUrl::parse("https://localhost:18443").unwrap().0,
            source: source.clone(),
        },
        cluster_id: Sourced { value: ClusterId::new("parity"), source },
        resource: Some(QuayIntegration { name: "quay".into(), ..Default::default() }),
        lists_unread: false,
        insecure: false,
        cluster: cluster("integration-1", "api.one:6443"),
    }
}

fn cluster(id: &str, server: &str) -> ClusterIdentity {
    ClusterIdentity { id: id.into(), server: server.into() }
}

fn our_mark(created: bool) -> OwnershipMark {
    OwnershipMark {
        created,
        ..OwnershipMark::new(&cluster("integration-1", "api.one:6443"), NAMESPACE, "uid-1")
    }
}

pub(super) fn token(robot: &str, generation: usize) -> String {
    format!("token-{robot}-{generation}")
}

fn entry(username: &str, password: String) -> RegistryCredentials {
    RegistryCredentials { username: username.into(), password: password.into() }
}

/// A namespace that the operator linked, recorded on OpenShift 4.21: with its finalizer and without
/// our mark.
pub(in crate::domain) fn golden() -> NamespaceSnapshot {
    let accounts = ["builder", "default", "deployer"];
    let lists = |name: &str| vec![format!("{name}-dockercfg-h5hq5"), format!("{name}-quay-parity")];
    let role = |name: &str| if name == "builder" { Role::Write } else { Role::Read };
    NamespaceSnapshot {
        name: NAMESPACE.into(),
        namespace: Ok(Some(Namespace {
            uid: "uid-1".into(),
            finalizers: vec![OPERATOR_FINALIZER.into()],
            ..Default::default()
        })),
        service_accounts: Ok(accounts
            .map(|name| ServiceAccount {
                name: name.into(),
                mountable: lists(name),
                pull: lists(name),
                ..Default::default()
            })
            .into()),
        secrets: Ok(accounts
            .map(|name| {
                secret(name, SECRET_TYPE, HOST, &format!("parity_golden+{name}"), token(name, 0))
            })
            .into()),
        image_streams: Ok(vec![ImageStream { name: "app".into(), ..Default::default() }]),
        build_configs: Ok(vec![]),
        builds: Ok(vec![]),
        webhooks: Ok(vec![]),
        trial: None,
        pods: Ok(vec![]),
        organization: Ok(Some(Organization {
            robots: Ok(accounts
                .map(|name| Robot {
                    name: name.into(),
                    mark: None,
                    is_adopted: false,
                    token: Some(token(name, 0).into()),
                    repositories: BTreeSet::from(["app".into()]),
                })
                .into()),
            default_permissions: Ok(accounts
                .map(|name| DefaultPermission {
                    id: format!("id-{name}"),
                    robot: name.into(),
                    role: role(name),
                })
                .into()),
            repositories: Ok(BTreeSet::from(["app".into()])),
            is_blank: false,
            ..Organization::empty()
        })),
        probes: vec![],
    }
}

pub(super) fn secret(
    account: &str,
    kind: &str,
    host: &str,
    username: &str,
    password: String,
) -> Secret {
    Secret {
        name: format!("{account}-quay-parity"),
        resource_version: "1".into(),
        kind: kind.into(),
        managed: false,
        is_plain: true,
        uid: String::new(),
        items: BTreeMap::new(),
        credentials: Ok(vec![(host.into(), entry(username, password))]),
        undecodable: vec![],
    }
}

fn unread() -> ReadError {
    ReadError { call: "read it".into(), reason: "rejected".into(), kind: ReadErrorKind::Forbidden }
}

/// A part that sometimes could not be read.
fn maybe_read<T: Clone + std::fmt::Debug + 'static>(
    part: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Observed<T>> {
    prop_oneof![6 => part.prop_map(Ok), 1 => Just(Err(unread()))]
}

fn any_role() -> impl Strategy<Value = Role> {
    select(vec![Role::Read, Role::Write, Role::Admin])
}

prop_compose! {
    fn service_account(name: &'static str)(mountable in any::<bool>(), pull in any::<bool>(), role in any_role()) -> ServiceAccount {
        let list = |has: bool| {
            let mut names = vec![format!("{name}-dockercfg-x"), "foreign".into()];
            names.extend(has.then(|| format!("{name}-quay-parity")));
            names
        };
        ServiceAccount {
            name: name.into(),
            resource_version: "1".into(),
            mountable: list(mountable),
            pull: list(pull),
            role: (name == "pipeline").then(|| role.to_string()),
            ..ServiceAccount::default()
        }
    }
}

fn any_secret(name: &'static str) -> impl Strategy<Value = Option<Secret>> {
    let own = format!("parity_golden+{name}");
    let good = secret(name, SECRET_TYPE, HOST, &own, token(name, 0));
    let stale = secret(name, SECRET_TYPE, HOST, &own, token(name, 1));
    let elsewhere = secret(name, SECRET_TYPE, "other.example.com", &own, token(name, 0));
    let foreign_user = secret(name, SECRET_TYPE, HOST, "other", token(name, 0));
    let opaque = secret(name, "Opaque", HOST, &own, token(name, 0));
    let ours = Secret { managed: true, ..opaque.clone() };
    let broken = Secret { credentials: Err("broken".into()), ..good.clone() };
    select(vec![
        None,
        Some(good),
        Some(stale),
        Some(elsewhere),
        Some(foreign_user),
        Some(opaque),
        Some(ours),
        Some(broken),
    ])
}

prop_compose! {
    fn robot(name: &'static str)(shown in any::<bool>(), mark in 0..12, repositories in subsequence(STREAMS.to_vec(), 0..=3)) -> Robot {
        let foreign = OwnershipMark::new(&cluster("integration-2", "api.one:6443"), NAMESPACE, "uid-2");
        let former = OwnershipMark::new(&cluster("integration-1", "api.one:6443"), NAMESPACE, "uid-0");
        let before = OwnershipMark::new(&cluster("", "api.one:6443"), NAMESPACE, "uid-1");
        Robot {
            name: name.into(),
            mark: match mark { 0 => Some(foreign), 1 => Some(former), 2..=5 => None, 6 => Some(before), _ => Some(our_mark(mark > 7)) },
            is_adopted: false,
            token: shown.then(|| token(name, 0).into()),
            repositories: repositories.into_iter().map(Into::into).collect(),
        }
    }
}

fn default_permissions() -> impl Strategy<Value = Vec<DefaultPermission>> {
    let entries = prop::collection::vec((select(ACCOUNTS.to_vec()), any_role()), 0..6);
    entries.prop_map(|entries| {
        let numbered = entries.into_iter().enumerate();
        numbered
            .map(|(id, (robot, role))| DefaultPermission {
                id: id.to_string(),
                robot: robot.into(),
                role,
            })
            .collect()
    })
}

fn organization() -> impl Strategy<Value = Option<Organization>> {
    let robots = (robot("builder"), robot("default"), robot("deployer"), robot("pipeline"));
    let robots = (robots, subsequence(vec![0, 1, 2, 3], 0..=4)).prop_map(|((a, b, c, d), kept)| {
        let all = [a, b, c, d];
        kept.into_iter().map(|index: usize| all[index].clone()).collect::<Vec<_>>()
    });
    let repositories = subsequence(vec!["app", "base", "web", "left-behind"], 0..=4);
    let parts = (
        maybe_read(robots),
        maybe_read(default_permissions()),
        maybe_read(repositories),
        0..8_usize,
        any::<bool>(),
    );
    let known =
        parts.prop_map(|(mut robots, mut default_permissions, repositories, adopted, is_owned)| {
            // Robot accounts are only adopted with their organization.
            let count = [0, 2].get(adopted).copied().unwrap_or_default();
            robots.iter_mut().flatten().take(count).for_each(|robot| robot.is_adopted = true);
            if let (Ok(robots), Ok(permissions)) = (&robots, &mut default_permissions) {
                // Deleting a robot account deletes its default permissions (`wire/611`).
                permissions.retain(|permission| {
                    robots.iter().any(|robot: &Robot| robot.name == permission.robot)
                });
            }
            Some(Organization {
                administered: true,
                adopted_by: (adopted < 2).then(|| our_mark(adopted == 0)),
                is_blank: is_owned
                    && robots.as_ref().is_ok_and(Vec::is_empty)
                    && default_permissions.as_ref().is_ok_and(Vec::is_empty)
                    && repositories.as_ref().is_ok_and(|names| names.is_empty()),
                robots,
                default_permissions,
                repositories: repositories.map(|names| names.into_iter().map(Into::into).collect()),
                ..Organization::empty()
            })
        });
    prop_oneof![1 => Just(None), 5 => known]
}

pub(super) fn any_namespace() -> impl Strategy<Value = NamespaceSnapshot> {
    let accounts = (
        service_account("builder"),
        service_account("default"),
        service_account("deployer"),
        service_account("pipeline"),
    );
    let accounts =
        (accounts, subsequence(vec![0, 1, 2, 3], 0..=4)).prop_map(|((a, b, c, d), kept)| {
            let all = [a, b, c, d];
            kept.into_iter().map(|index: usize| all[index].clone()).collect::<Vec<_>>()
        });
    let secrets = (
        any_secret("builder"),
        any_secret("default"),
        any_secret("deployer"),
        any_secret("pipeline"),
    )
        .prop_map(|(a, b, c, d)| [a, b, c, d].into_iter().flatten().collect::<Vec<_>>());
    let streams = subsequence(STREAMS.to_vec(), 0..=3).prop_map(|names| {
        let stream = |name: &str| ImageStream { name: name.into(), ..Default::default() };
        names.into_iter().map(stream).collect::<Vec<_>>()
    });
    let namespace = Namespace { uid: "uid-1".into(), ..Default::default() };
    let parts = (
        maybe_read(accounts),
        maybe_read(secrets),
        maybe_read(streams),
        maybe_read(organization()),
    );
    parts.prop_map(move |(service_accounts, secrets, image_streams, organization)| {
        NamespaceSnapshot {
            name: NAMESPACE.into(),
            namespace: Ok(Some(namespace.clone())),
            service_accounts,
            secrets,
            image_streams,
            build_configs: Ok(vec![]),
            builds: Ok(vec![]),
            webhooks: Ok(vec![]),
            trial: None,
            pods: Ok(vec![]),
            organization,
            probes: vec![],
        }
    })
}

pub(crate) fn options() -> impl Strategy<Value = Options> {
    (any::<bool>(), any::<bool>()).prop_map(|(adopt, rotate)| Options { adopt, rotate })
}
