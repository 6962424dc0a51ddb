//! The organization: is it there, ours to administer, and no other cluster's.

use super::{Assessed, Check};
use crate::domain::finding::Code;
use crate::domain::names;

const TITLE: &str = "Organization";

pub(super) fn check(subject: &Assessed) -> Check {
    let name = &subject.desired.organization;
    let object = subject.remote(TITLE, name);
    if let Err(problem) = names::organization(name) {
        return Check::new(
            TITLE,
            "impossible",
            vec![subject.finding(
                Code::OrganizationNameImpossible,
                object,
                format!("Quay takes no such name: {problem}"),
            )],
        );
    }
    let organization = match &subject.snapshot.organization {
        Ok(Some(organization)) => organization,
        Ok(None) => {
            return Check::new(
                TITLE,
                "missing",
                vec![subject.finding(
                    Code::OrganizationMissing,
                    object,
                    format!("Quay has no organization {name}"),
                )],
            );
        }
        Err(unread) => return subject.unread(TITLE, object, unread),
    };
    let mut findings = Vec::new();
    if !organization.administered {
        let message = format!("Organization {name} exists, but the token may not administer it");
        findings.push(subject.finding(Code::OrganizationNotAdministered, object.clone(), message));
    }
    if let Some((code, message)) =
        subject.claim().obstacle(organization, name).filter(|_| organization.administered)
    {
        findings.push(subject.finding(code, object, message));
    }
    Check::new(TITLE, name, findings)
}
