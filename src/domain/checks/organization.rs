//! Checks that the organization exists, is administered with our token, and belongs to the namespace.

use super::{Assessed, Check};
use crate::domain::finding::Code;
use crate::domain::names;

const TITLE: &str = "Organization";

pub(super) fn check(subject: &Assessed) -> Check {
    let name = &subject.desired.organization;
    let object = subject.remote(TITLE, name);
    if let Err(problem) = names::validate_organization(name) {
        return Check::new(
            TITLE,
            "invalid name",
            vec![subject.finding(
                Code::OrganizationNameImpossible,
                object,
                format!("Invalid organization name: {problem}"),
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
                    format!("Organization {name} does not exist"),
                )],
            );
        }
        Err(unread) => return subject.unread(TITLE, object, unread),
    };
    let mut findings = Vec::new();
    if !organization.administered {
        let message =
            format!("Organization {name} exists, but the token has no admin permission on it");
        findings.push(subject.finding(Code::OrganizationNotAdministered, object.clone(), message));
    }
    if let Some((code, message)) =
        subject.claim().obstacle(organization, name).filter(|_| organization.administered)
    {
        findings.push(subject.finding(code, object, message));
    }
    Check::new(TITLE, name, findings)
}
