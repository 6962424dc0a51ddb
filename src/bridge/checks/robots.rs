//! Robot accounts: one per linked service account.

use super::{Check, Subject};
use crate::bridge::desired;
use crate::bridge::finding::Code;
use crate::bridge::integration::Trouble;
use crate::bridge::names;

const TITLE: &str = "Robot accounts";
const KIND: &str = "RobotAccount";

pub(super) fn check(subject: &Subject) -> Check {
    let desired = subject.desired;
    let organization = match subject.organization(TITLE) {
        Ok(organization) => organization,
        Err(check) => return check,
    };
    let robots = match &organization.robots {
        Ok(robots) => robots,
        Err(unread) => return subject.unread(TITLE, subject.remote(KIND, ""), unread),
    };
    let mut findings = impossible_names(subject);
    let mut present = Vec::new();
    for account in &desired.accounts {
        if robots.iter().any(|robot| robot.name == account.name) {
            present.push(format!("{} ({})", account.name, account.role));
            continue;
        }
        let full_name = desired.login_name(&account.name);
        let disallowed = subject.troubles.contains(&Trouble::RobotsDisallowed);
        let code = if disallowed { Code::RobotsDisallowed } else { Code::RobotMissing };
        findings.push(subject.finding(
            code,
            subject.remote(KIND, &full_name),
            format!("Robot account {full_name} does not exist"),
        ));
    }
    Check::new(TITLE, if present.is_empty() { "none".into() } else { present.join(", ") }, findings)
}

fn impossible_names(subject: &Subject) -> Vec<crate::bridge::finding::Finding> {
    let accounts = subject.snapshot.service_accounts.iter().flatten();
    accounts
        .filter(|account| desired::role(account).is_some())
        .filter_map(|account| {
            let problem = names::robot(&subject.desired.organization, &account.name).err()?;
            let object = subject.object("ServiceAccount", &account.name);
            Some(subject.finding(Code::RobotNameImpossible, object, format!("Quay takes no such robot account: {problem}")))
        })
        .collect()
}
