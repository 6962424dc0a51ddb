//! Checks that each linked service account has a robot account.

use super::{Assessed, Check};
use crate::domain::desired::{self, LinkedServiceAccount};
use crate::domain::finding::{Code, Finding};
use crate::domain::integration::QuayProblem;
use crate::domain::names;

const TITLE: &str = "Robot accounts";
const KIND: &str = "RobotAccount";

pub(super) fn check(subject: &Assessed) -> Check {
    let desired = subject.desired;
    let organization = match subject.organization(TITLE) {
        Ok(organization) => organization,
        Err(check) => return check,
    };
    let robots = match &organization.robots {
        Ok(robots) => robots,
        Err(unread) => return subject.unread(TITLE, subject.remote(KIND, ""), unread),
    };
    let claim = subject.claim();
    if let Some(check) = subject.without_accounts(TITLE) {
        return check;
    }
    let mut findings = invalid_names(subject);
    let mut present = Vec::new();
    for account in &desired.accounts {
        if !claim.allows_robot(organization, account) {
            findings.push(unproven_robot(subject, account));
            continue;
        }
        if robots.iter().any(|robot| robot.name == account.name) {
            present.push(format!("{} ({})", account.name, account.role));
            continue;
        }
        let full_name = desired.robot_username(&account.name);
        let disallowed = subject.problems.contains(&QuayProblem::RobotsDisallowed);
        let code = if disallowed { Code::RobotsDisallowed } else { Code::RobotMissing };
        findings.push(subject.finding(
            code,
            subject.remote(KIND, &full_name),
            format!("Robot account {full_name} does not exist"),
        ));
    }
    Check::new(TITLE, if present.is_empty() { "none".into() } else { present.join(", ") }, findings)
}

/// The finding for a robot account whose ownership cannot be verified.
pub fn unproven_robot(subject: &Assessed, account: &LinkedServiceAccount) -> Finding {
    let full_name = subject.desired.robot_username(&account.name);
    let message = format!(
        "Robot account {full_name} exists, but it cannot be verified that it belongs to service account {}",
        account.name
    );
    subject.finding(Code::RobotNotProven, subject.remote(KIND, &full_name), message)
}

fn invalid_names(subject: &Assessed) -> Vec<Finding> {
    let accounts = subject.snapshot.service_accounts.iter().flatten();
    accounts
        .filter(|account| desired::role(account).is_some())
        .filter_map(|account| {
            let problem =
                names::validate_robot(&subject.desired.organization, &account.name).err()?;
            let object = subject.object("ServiceAccount", &account.name);
            Some(subject.finding(
                Code::RobotNameImpossible,
                object,
                format!("Invalid robot account name: {problem}"),
            ))
        })
        .collect()
}
