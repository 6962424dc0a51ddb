//! The organization: is it there, ours to administer, and no other cluster's.

use super::{Check, Subject};
use crate::bridge::desired::Desired;
use crate::bridge::finding::Code;
use crate::bridge::mark::Owner;
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
    if let Some((code, message)) = made_for_others(organization, subject.desired) {
        findings.push(subject.finding(code, object, message));
    }
    Check::new(TITLE, name, findings)
}

/// What to say of an organization in which a robot account that we would use was made for another namespace, unless it
/// was adopted for this one.
pub fn made_for_others(organization: &Organization, desired: &Desired) -> Option<(Code, String)> {
    if organization.adopted_by.as_ref().is_some_and(|mark| mark.owner(&desired.mark) == Owner::Ours) {
        return None;
    }
    let robots = organization.robots.iter().flatten().filter(|robot| desired.account(&robot.name).is_some());
    let others = robots.filter_map(|robot| robot.mark.as_ref()).filter(|mark| mark.owner(&desired.mark) != Owner::Ours);
    // Another cluster may still be at work in it.
    let mark = others.max_by_key(|mark| mark.owner(&desired.mark) == Owner::Foreign)?;
    let name = &desired.organization;
    Some(match mark.owner(&desired.mark) {
        Owner::Former => (
            Code::OrganizationOfFormerNamespace,
            format!("Organization {name} was made for an earlier namespace {}, uid {}", mark.namespace, mark.uid),
        ),
        _ => (
            Code::OrganizationOfAnotherCluster,
            format!("Organization {name} was marked by namespace {} of cluster {}", mark.namespace, mark.cluster),
        ),
    })
}
