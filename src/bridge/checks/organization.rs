//! The organization: is it there, ours to administer, and no other cluster's.

use super::{Check, Subject};
use crate::bridge::desired::Desired;
use crate::bridge::finding::Code;
use crate::bridge::mark::Mark;
use crate::bridge::names;
use crate::bridge::snapshot::Organization;

const TITLE: &str = "Organization";

pub(super) fn check(subject: &Subject) -> Check {
    let name = &subject.desired.organization;
    let object = subject.remote(TITLE, name);
    if let Err(problem) = names::organization(name) {
        return Check::new(
            TITLE,
            "impossible",
            vec![subject.finding(Code::OrganizationNameImpossible, object, format!("Quay takes no such name: {problem}"))],
        );
    }
    let organization = match &subject.snapshot.organization {
        Ok(Some(organization)) => organization,
        Ok(None) => {
            return Check::new(
                TITLE,
                "missing",
                vec![subject.finding(Code::OrganizationMissing, object, format!("Quay has no organization {name}"))],
            );
        }
        Err(unread) => return subject.unread(TITLE, object, unread),
    };
    let mut findings = Vec::new();
    if !organization.administered {
        let message = format!("Organization {name} exists, but the token may not administer it");
        findings.push(subject.finding(Code::OrganizationNotAdministered, object.clone(), message));
    }
    if let Some(mark) = foreign_mark(organization, subject.desired) {
        let message = format!("Organization {name} was marked by namespace {} of cluster {}", mark.namespace, mark.cluster);
        findings.push(subject.finding(Code::OrganizationOfAnotherCluster, object, message));
    }
    Check::new(TITLE, name, findings)
}

/// The mark of another cluster on a robot account we would use, unless this cluster adopted the organization.
pub fn foreign_mark<'a>(organization: &'a Organization, desired: &Desired) -> Option<&'a Mark> {
    if organization.adopted_by.as_ref().is_some_and(|mark| !mark.is_foreign_to(&desired.mark)) {
        return None;
    }
    let robots = organization.robots.iter().flatten();
    robots
        .filter(|robot| desired.account(&robot.name).is_some())
        .filter_map(|robot| robot.mark.as_ref())
        .find(|mark| mark.is_foreign_to(&desired.mark))
}
