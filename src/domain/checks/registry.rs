//! Checks the registry's answers to the credentials in the secrets (`--probe`).

use super::{Assessed, Check};
use crate::domain::Role;
use crate::domain::desired::{Desired, LinkedServiceAccount};
use crate::domain::finding::Code;
use crate::domain::snapshot::{NamespaceSnapshot, ProbeOutcome};

pub const REGISTRY: &str = "Registry";

/// None without `--probe`.
pub(super) fn check(subject: &Assessed) -> Option<Check> {
    let probes = &subject.snapshot.probes;
    if probes.is_empty() {
        return None;
    }
    let mut findings = Vec::new();
    let mut granted = 0;
    for probe in probes {
        let Some(account) = subject.desired.account(&probe.service_account) else { continue };
        let object = subject.object("Secret", &account.secret);
        match &probe.outcome {
            ProbeOutcome::Rejected(reason) => {
                let message = format!(
                    "The registry rejected the credentials in secret {}: {reason}",
                    account.secret
                );
                findings.push(subject.finding(Code::CredentialsRejected, object, message));
            }
            ProbeOutcome::Unknown(unread) => {
                let message = format!("Could not {}: {}", unread.call, unread.reason);
                findings.push(subject.finding(Code::CouldNotRead, object, message));
            }
            ProbeOutcome::Granted(_) => granted += 1,
        }
        for repository in existing_repositories(subject) {
            if has_any_permission(subject, account, repository)
                && has_insufficient_permission(
                    subject.snapshot,
                    subject.desired,
                    account,
                    repository,
                )
            {
                let full_name = format!("{}/{repository}", subject.desired.organization);
                let message = format!(
                    "Robot account {} is granted less than {} on repository {full_name}",
                    account.name, account.role
                );
                findings.push(subject.finding(
                    Code::RobotPermissionTooLow,
                    subject.remote("Repository", &full_name),
                    message,
                ));
            }
        }
    }
    Some(Check::new(
        REGISTRY,
        format!("{granted} of {} credentials accepted", probes.len()),
        findings,
    ))
}

/// Robot accounts without any permission are reported by the repositories check.
fn has_any_permission(
    subject: &Assessed,
    account: &LinkedServiceAccount,
    repository: &str,
) -> bool {
    let robot =
        subject.snapshot.organization().and_then(|organization| organization.robot(&account.name));
    robot.is_some_and(|robot| robot.repositories.contains(repository))
}

fn existing_repositories<'a>(subject: &'a Assessed) -> impl Iterator<Item = &'a String> {
    let existing = subject
        .snapshot
        .organization()
        .and_then(|organization| organization.repositories.as_ref().ok());
    subject
        .desired
        .repositories
        .iter()
        .filter(move |name| existing.is_some_and(|existing| existing.contains(*name)))
}

/// Whether the registry granted less than the account's role on an existing repository.
pub fn has_insufficient_permission(
    snapshot: &NamespaceSnapshot,
    desired: &Desired,
    account: &LinkedServiceAccount,
    repository: &str,
) -> bool {
    let outcome = snapshot
        .probes
        .iter()
        .find(|probe| probe.service_account == account.name)
        .map(|probe| &probe.outcome);
    let Some(ProbeOutcome::Granted(grants)) = outcome else { return false };
    let grant =
        grants.get(&format!("{}/{repository}", desired.organization)).copied().unwrap_or_default();
    !grant.pull || (account.role >= Role::Write && !grant.push)
}
