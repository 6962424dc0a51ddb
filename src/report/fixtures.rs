//! Reports for tests.
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

pub(super) fn invocation() -> Invocation {
    Invocation::new(PROGRAM, &[], &[])
}

pub(super) fn style(width: usize) -> Style {
    Style { width: Some(width), ascii: false }
}

pub(super) fn strip(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// Compares a text with a file of the project. `UPDATE_SNAPSHOTS=1` updates the file.
pub(super) fn assert_file(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "{file} is stale, update it with UPDATE_SNAPSHOTS=1; expected:\n{text}"
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
        Check::new("Quay", "no problems found", vec![]),
    ]
}

pub(super) fn namespace(name: &str) -> NamespaceReport {
    NamespaceReport::new(name, Some(format!("openshift_{name}")), true, "nothing excludes it")
}

/// A namespace out of scope.
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
        "Secret builder-quay-openshift holds a stale token of robot account openshift_{namespace}+builder"
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

pub(super) fn conflicting_secret(namespace: &str) -> Finding {
    let message =
        "Secret a-robot also has credentials for quay.example.com and comes first by name";
    finding(Code::RivalSecret, namespace, "a-robot", message)
}

pub(super) fn unread(namespace: &str) -> Finding {
    let message = format!(
        "Could not list secrets in namespace {namespace}: User \"ann\" cannot list resource \"secrets\""
    );
    finding(Code::CouldNotRead, namespace, "", &message)
}

/// The checks of a namespace with `findings` on its secrets.
pub(super) fn checks(findings: Vec<Finding>) -> Vec<Check> {
    let secrets = if findings.is_empty() { "3 of 3 current" } else { "1 of 3 current" };
    vec![
        Check::new("Namespace", "in scope: nothing excludes it", vec![]),
        Check::new("Robot accounts", "builder (write), default (read), deployer (read)", vec![]),
        Check::new("Secrets", secrets, findings),
        Check::new("Service accounts", "3 of 3 service accounts linked", vec![]),
    ]
}

pub(super) fn one_namespace(findings: Vec<Finding>) -> StatusReport {
    several_namespaces("-n myproj", vec![(namespace("myproj"), checks(findings))])
}

pub(super) fn several_namespaces(
    selection: &str,
    namespaces: Vec<(NamespaceReport, Vec<Check>)>,
) -> StatusReport {
    StatusReport::new(&invocation(), selection, integration(), integration_checks(), namespaces)
}

/// The status of a namespace with a finding on the integration.
pub(super) fn with_integration(finding: Finding) -> StatusReport {
    let checks = vec![Check::new(
        "Token",
        "Secret openshift-operators/quay-integration, key token",
        vec![finding],
    )];
    StatusReport::new(
        &invocation(),
        "-n myproj",
        integration(),
        checks,
        [(namespace("myproj"), super::fixtures::checks(vec![]))],
    )
}

/// Two with errors, one with a warning, one unknown, 24 ok, two not linked.
pub(super) fn thirty_namespaces() -> StatusReport {
    let mut namespaces = vec![denied("kitchen"), denied("sandbox")];
    for number in 1..=24 {
        let name = format!("app-{number:02}");
        namespaces.push((namespace(&name), checks(vec![])));
    }
    for (name, findings) in [
        ("billing", vec![conflicting_secret("billing")]),
        ("shop", vec![missing("shop"), stale("shop")]),
        ("audit", vec![unread("audit")]),
        (
            "carts",
            vec![
                missing("carts"),
                stale("carts"),
                missing("carts"),
                stale("carts"),
                conflicting_secret("carts"),
            ],
        ),
    ] {
        namespaces.push((namespace(name), checks(findings)));
    }
    several_namespaces("-A", namespaces)
}

/// 60 without their organization, three with other problems, one unknown, 416 ok, 20 not linked.
pub(super) fn five_hundred_namespaces() -> StatusReport {
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
        (
            "payments-and-invoices-of-europe",
            vec![conflicting_secret("payments-and-invoices-of-europe")],
        ),
        ("shop", vec![missing("shop"), stale("shop")]),
        (
            "carts",
            vec![
                missing("carts"),
                stale("carts"),
                missing("carts"),
                stale("carts"),
                conflicting_secret("carts"),
            ],
        ),
        ("audit", vec![unread("audit")]),
    ] {
        namespaces.push((namespace(name), checks(findings)));
    }
    several_namespaces("-A", namespaces)
}

/// Some changes that link a namespace.
pub(super) fn planned_changes(namespace: &str) -> Vec<ChangeEntry> {
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

pub(super) fn change_report(
    command: &'static str,
    dry_run: bool,
    changes: Vec<ChangeEntry>,
) -> ChangeReport {
    ChangeReport::new(&invocation(), endpoints(), command, dry_run, changes, vec![])
}

/// One failed and one skipped change, with remaining findings.
pub(super) fn failed_changes() -> ChangeReport {
    let mut changes = Vec::new();
    for (place, entry) in planned_changes("myproj").into_iter().enumerate() {
        changes.push(match place {
            3 => entry.failed("secrets is forbidden: User \"ann\" cannot create resource \"secrets\" in API group \"\""),
            4 => entry.skipped(),
            _ => entry.done(),
        });
    }
    ChangeReport::new(
        &invocation(),
        endpoints(),
        "link",
        false,
        changes,
        vec![missing("myproj"), conflicting_secret("myproj")],
    )
}
