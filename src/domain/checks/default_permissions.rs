//! Checks that each robot account has exactly one default permission, with its role.

use super::{Assessed, Check, count};
use crate::domain::finding::Code;
use crate::domain::snapshot::DefaultPermission;

const TITLE: &str = "Default permissions";
const KIND: &str = "DefaultPermission";

pub(super) fn check(subject: &Assessed) -> Check {
    let desired = subject.desired;
    let organization = match subject.organization(TITLE) {
        Ok(organization) => organization,
        Err(check) => return check,
    };
    let permissions = match &organization.default_permissions {
        Ok(permissions) => permissions,
        Err(unread) => return subject.unread(TITLE, subject.remote(KIND, ""), unread),
    };
    if let Some(check) = subject.without_accounts(TITLE) {
        return check;
    }
    if organization.robots.is_err() {
        return Check::skipped(TITLE, "the robot accounts could not be read");
    }
    let mut findings = Vec::new();
    for account in subject
        .usable_accounts()
        .into_iter()
        .filter(|account| organization.robot(&account.name).is_some())
    {
        let object = subject.remote(KIND, &desired.robot_username(&account.name));
        let name = &account.name;
        let of_account = default_permissions_of(permissions, name);
        if of_account.is_empty() {
            let message = format!(
                "Robot account {name} has no default permission (expected: {})",
                account.role
            );
            findings.push(subject.finding(Code::DefaultPermissionMissing, object, message));
            continue;
        }
        if of_account.len() > 1 {
            let message =
                format!("Robot account {name} has {} default permissions", of_account.len());
            findings.push(subject.finding(
                Code::DefaultPermissionDuplicated,
                object.clone(),
                message,
            ));
        }
        if let Some(wrong) = of_account.iter().find(|permission| permission.role != account.role) {
            let message = format!(
                "Robot account {name} gets {} on new repositories instead of {}",
                wrong.role, account.role
            );
            findings.push(subject.finding(Code::DefaultPermissionWrongRole, object, message));
        }
    }
    Check::new(TITLE, count(permissions.len(), "default permission"), findings)
}

pub fn default_permissions_of<'a>(
    permissions: &'a [DefaultPermission],
    robot: &str,
) -> Vec<&'a DefaultPermission> {
    permissions.iter().filter(|permission| permission.robot == robot).collect()
}
