//! Checks that each image stream has a repository, with permissions for the robot accounts.

use std::collections::BTreeSet;

use super::{Assessed, Check, count};
use crate::domain::desired::wants_repository;
use crate::domain::finding::{Code, Finding};
use crate::domain::names;
use crate::domain::snapshot::Organization;

const TITLE: &str = "Repositories";
const KIND: &str = "Repository";

pub(super) fn check(subject: &Assessed) -> Check {
    let desired = subject.desired;
    let mut findings = invalid_names(subject);
    let organization = match subject.organization(TITLE) {
        Ok(organization) => organization,
        Err(check) => return check,
    };
    let repositories = match &organization.repositories {
        Ok(repositories) => repositories,
        Err(unread) => return subject.unread(TITLE, subject.remote(KIND, ""), unread),
    };
    for name in desired.repositories.difference(repositories) {
        let full_name = format!("{}/{name}", desired.organization);
        let message = match subject.snapshot.image_stream(name) {
            Some(_) => format!("Image stream {name} has no repository {full_name}"),
            None => format!(
                "A BuildConfig pushes to image stream {name}, which has no repository {full_name}"
            ),
        };
        findings.push(subject.finding(
            Code::RepositoryMissing,
            subject.remote(KIND, &full_name),
            message,
        ));
    }
    findings.extend(missing_permissions(subject, organization));
    if subject.snapshot.image_streams.is_ok() {
        let streams: BTreeSet<_> =
            subject.snapshot.image_streams.iter().flatten().map(|stream| &stream.name).collect();
        let belongs = |name: &String| streams.contains(name) || desired.repositories.contains(name);
        for name in repositories.iter().filter(|name| !belongs(name)) {
            let full_name = format!("{}/{name}", desired.organization);
            let message = format!("No image stream belongs to repository {full_name}");
            findings.push(subject.finding(
                Code::RepositoryWithoutImageStream,
                subject.remote(KIND, &full_name),
                message,
            ));
        }
    }
    let check = Check::new(TITLE, count(repositories.len(), "repository"), findings);
    let is_complete = subject.snapshot.image_streams.is_ok()
        && subject.snapshot.service_accounts.is_ok()
        && organization.robots.is_ok();
    if is_complete { check } else { check.incomplete() }
}

fn invalid_names(subject: &Assessed) -> Vec<Finding> {
    let streams = subject.snapshot.image_streams.iter().flatten();
    streams
        .filter(|stream| wants_repository(stream, &subject.desired.host))
        .filter_map(|stream| {
            let problem = names::validate_repository(&stream.name).err()?;
            let object = subject.object("ImageStream", &stream.name);
            Some(subject.finding(
                Code::RepositoryNameImpossible,
                object,
                format!("Invalid repository name: {problem}"),
            ))
        })
        .collect()
}

fn missing_permissions(subject: &Assessed, organization: &Organization) -> Vec<Finding> {
    let desired = subject.desired;
    let existing = organization
        .repositories
        .iter()
        .flatten()
        .filter(|name| desired.repositories.contains(*name));
    let accounts = subject.usable_accounts();
    let robots: Vec<_> = accounts
        .into_iter()
        .filter_map(|account| Some((account, organization.robot(&account.name)?)))
        .collect();
    let mut findings = Vec::new();
    for name in existing {
        for (account, robot) in &robots {
            if !robot.repositories.contains(name) {
                let full_name = format!("{}/{name}", desired.organization);
                let message = format!(
                    "Robot account {} has no permission on repository {full_name} (expected: {})",
                    account.name, account.role
                );
                findings.push(subject.finding(
                    Code::RobotWithoutPermission,
                    subject.remote(KIND, &full_name),
                    message,
                ));
            }
        }
    }
    findings
}
