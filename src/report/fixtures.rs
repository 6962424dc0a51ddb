//! Reports to test with, made from the words the real checks use.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::path::Path;

use crate::domain::Role;
use crate::domain::change::{Change, ServiceAccountEdit};
use crate::domain::checks::Check;
use crate::domain::finding::{Code, Finding, ObjectRef};
use crate::domain::integration::{IntegrationSnapshot, Overrides, QuayIntegration, SecretKey};

use super::{
    ChangeEntry, ChangeReport, Endpoints, IntegrationReport, Invocation, NamespaceReport,
    StatusReport, Style,
};

pub(super) const PROGRAM: &str = "oc quay";

/// The program without any flag.
pub(super) fn plain() -> Invocation {
    Invocation::new(PROGRAM, &[], &[])
}

pub(super) fn style(width: usize) -> Style {
    Style { width: Some(width), ascii: false }
}

pub(super) fn strip(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// Insists that a text is what a file of the project holds. `UPDATE_DOCS=1` writes it anew; read it before it is committed.
pub(super) fn assert_written(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "{file} is stale, UPDATE_DOCS=1 writes it anew; it should hold:\n{text}"
    );
}

pub(super) fn snapshot(hostname: &str) -> IntegrationSnapshot {
    IntegrationSnapshot {
        given: Overrides::default(),
        resources: Ok(vec![QuayIntegration {
            name: "quay".into(),
            cluster_id: "openshift".into(),
            hostname: hostname.into(),
            credentials: Some(SecretKey {
                namespace: "openshift-operators".into(),
                name: "quay-integration".into(),
                key: "token".into(),
            }),
            ..QuayIntegration::default()
        }]),
        stored_token: None,
        rewriters: None,
        image_policy: None,
        server: "api.example.com:6443".into(),
    }
}

fn endpoints() -> Endpoints {
    Endpoints::new(&snapshot("https://quay.example.com"), "api.example.com:6443", "admin")
}

fn integration() -> IntegrationReport {
    IntegrationReport::new(&snapshot("https://quay.example.com"), "api.example.com:6443", "admin")
}

fn integration_checks() -> Vec<Check> {
    vec![
        Check::new("Integration", "QuayIntegration quay", vec![]),
        Check::new("Quay", "no trouble met", vec![]),
    ]
}

pub(super) fn namespace(name: &str) -> NamespaceReport {
    NamespaceReport::new(name, Some(format!("openshift_{name}")), true, "nothing excludes it")
}

/// A namespace that is out of scope, with its check.
pub(super) fn denied(name: &str) -> (NamespaceReport, Vec<Check>) {
    let namespace =
        NamespaceReport { linked: false, scope: "the denylist names it".into(), ..namespace(name) };
    let message = format!("Namespace {name} is not linked: the denylist names it");
    let finding =
        Finding::new(Code::OutOfScope, ObjectRef::namespaced("Namespace", name, name), message)
            .in_namespace(name);
    (namespace, vec![Check::new("Namespace", "out of scope: the denylist names it", vec![finding])])
}

pub(super) fn finding(code: Code, namespace: &str, name: &str, message: &str) -> Finding {
    Finding::new(code, ObjectRef::namespaced("Secret", namespace, name), message)
        .in_namespace(namespace)
}

pub(super) fn stale(namespace: &str) -> Finding {
    let message = format!(
        "Secret builder-quay-openshift holds an old token of robot account openshift_{namespace}+builder"
    );
    finding(Code::SecretTokenStale, namespace, "builder-quay-openshift", &message)
}

pub(super) fn missing(namespace: &str) -> Finding {
    finding(
        Code::SecretMissing,
        namespace,
        "default-quay-openshift",
        "Secret default-quay-openshift does not exist",
    )
}

pub(super) fn rival(namespace: &str) -> Finding {
    let message =
        "Secret a-robot has a login for quay.example.com too and comes before ours by name";
    finding(Code::RivalSecret, namespace, "a-robot", message)
}

pub(super) fn unread(namespace: &str) -> Finding {
    let message = format!(
        "Could not list secrets in namespace {namespace}: User \"ann\" cannot list resource \"secrets\""
    );
    finding(Code::CouldNotRead, namespace, "", &message)
}

/// The checks of a namespace in which `findings` is what is wrong with its secrets.
pub(super) fn checks(findings: Vec<Finding>) -> Vec<Check> {
    let secrets = if findings.is_empty() { "3 of 3 current" } else { "1 of 3 current" };
    vec![
        Check::new("Namespace", "in scope: nothing excludes it", vec![]),
        Check::new("Robot accounts", "builder (write), default (read), deployer (read)", vec![]),
        Check::new("Secrets", secrets, findings),
        Check::new("Service accounts", "3 of 3 service accounts linked", vec![]),
    ]
}

/// The status of one namespace.
pub(super) fn one(findings: Vec<Finding>) -> StatusReport {
    several("-n myproj", vec![(namespace("myproj"), checks(findings))])
}

/// The status of namespaces.
pub(super) fn several(
    selection: &str,
    namespaces: Vec<(NamespaceReport, Vec<Check>)>,
) -> StatusReport {
    StatusReport::new(&plain(), selection, integration(), integration_checks(), namespaces)
}

/// The status of a namespace while something is wrong with the integration.
pub(super) fn with_integration(finding: Finding) -> StatusReport {
    let checks = vec![Check::new(
        "Token",
        "Secret openshift-operators/quay-integration, key token",
        vec![finding],
    )];
    StatusReport::new(
        &plain(),
        "-n myproj",
        integration(),
        checks,
        [(namespace("myproj"), super::fixtures::checks(vec![]))],
    )
}

/// Thirty namespaces: two with errors, one with a warning, one unknown, 24 fine, two not linked.
pub(super) fn thirty() -> StatusReport {
    let mut namespaces = vec![denied("kitchen"), denied("sandbox")];
    for number in 1..=24 {
        let name = format!("app-{number:02}");
        namespaces.push((namespace(&name), checks(vec![])));
    }
    for (name, findings) in [
        ("billing", vec![rival("billing")]),
        ("shop", vec![missing("shop"), stale("shop")]),
        ("audit", vec![unread("audit")]),
        (
            "carts",
            vec![
                missing("carts"),
                stale("carts"),
                missing("carts"),
                stale("carts"),
                rival("carts"),
            ],
        ),
    ] {
        namespaces.push((namespace(name), checks(findings)));
    }
    several("-A", namespaces)
}

/// Five hundred namespaces: 60 without their organization, three with other problems, one unknown, 416 fine, 20 not linked.
pub(super) fn five_hundred() -> StatusReport {
    let mut namespaces: Vec<_> =
        (1..=20).map(|number| denied(&format!("kitchen-{number:02}"))).collect();
    namespaces
        .extend((1..=416).map(|number| (namespace(&format!("app-{number:03}")), checks(vec![]))));
    for number in 1..=60 {
        let name = format!("team-{number:02}");
        let message = format!("Quay has no organization openshift_{name}");
        let missing = Finding::new(
            Code::OrganizationMissing,
            ObjectRef::cluster("Organization", &name),
            message,
        );
        namespaces
            .push((namespace(&name), vec![Check::new("Organization", "not there", vec![missing])]));
    }
    for (name, findings) in [
        ("payments-and-invoices-of-europe", vec![rival("payments-and-invoices-of-europe")]),
        ("shop", vec![missing("shop"), stale("shop")]),
        (
            "carts",
            vec![
                missing("carts"),
                stale("carts"),
                missing("carts"),
                stale("carts"),
                rival("carts"),
            ],
        ),
        ("audit", vec![unread("audit")]),
    ] {
        namespaces.push((namespace(name), checks(findings)));
    }
    several("-A", namespaces)
}

/// The changes that link a namespace, some of them.
pub(super) fn planned(namespace: &str) -> Vec<ChangeEntry> {
    let organization = format!("openshift_{namespace}");
    let secret = "builder-quay-openshift".to_owned();
    [
        Change::CreateOrganization { organization: organization.clone() },
        Change::CreateRobot {
            organization: organization.clone(),
            robot: "builder".into(),
            mark: "mark".into(),
        },
        Change::CreateDefaultPermission {
            organization,
            robot: "builder".into(),
            role: Role::Write,
        },
        Change::CreateSecret {
            namespace: namespace.into(),
            secret: secret.clone(),
            robot: "builder".into(),
        },
        Change::EditServiceAccount {
            namespace: namespace.into(),
            service_account: "builder".into(),
            edit: ServiceAccountEdit {
                secret,
                mountable: Some(true),
                pull: Some(true),
                role: None,
            },
        },
        Change::DeleteSecret {
            namespace: namespace.into(),
            secret: "old-quay-openshift".into(),
            uid: String::new(),
            version: String::new(),
        },
    ]
    .iter()
    .map(|change| ChangeEntry::new(Some(namespace), change))
    .collect()
}

pub(super) fn change(
    command: &'static str,
    dry_run: bool,
    changes: Vec<ChangeEntry>,
) -> ChangeReport {
    ChangeReport::new(&plain(), endpoints(), command, dry_run, changes, vec![])
}

/// Changes of which one failed, so that another was not tried; and what remains.
pub(super) fn failed() -> ChangeReport {
    let mut changes = Vec::new();
    for (place, entry) in planned("myproj").into_iter().enumerate() {
        changes.push(match place {
            3 => entry.failed("secrets is forbidden: User \"ann\" cannot create resource \"secrets\" in API group \"\""),
            4 => entry.skipped(),
            _ => entry.done(),
        });
    }
    ChangeReport::new(
        &plain(),
        endpoints(),
        "link",
        false,
        changes,
        vec![missing("myproj"), rival("myproj")],
    )
}
