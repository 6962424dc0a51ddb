//! Plans that unlink a namespace.

use std::collections::BTreeSet;

use super::builds::{BuildsPlan, restore_builds};
use super::{Options, Plan, Planner};
use crate::domain::change::{Change, ServiceAccountEdit};
use crate::domain::checks::{Assessed, Spare, kept_spare, spares};
use crate::domain::finding::Code;
use crate::domain::names;
use crate::domain::ownership::OwnershipState;
use crate::domain::ownership_mark::OwnershipMark;
use crate::domain::snapshot::{ReadErrorKind, RegistryCredentials, Robot, Secret};

/// Deletions in Quay that the user requested.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnlinkOptions {
    pub delete_robots: bool,
    /// With every image. The user has named and confirmed the organization.
    pub delete_organization: bool,
}

/// Plans the inverse of a link, after [`crate::domain::scope::deny_namespace`]: removes the
/// operator's finalizer, restores BuildConfigs, removes the references from the service accounts,
/// and deletes our secrets. Objects in Quay are kept unless `options` requests otherwise.
///
/// No secret is deleted while objects that might refer to it are unknown, and nothing in Quay while
/// any part of the link is.
pub fn unlink(subject: &Assessed, options: UnlinkOptions) -> Plan {
    let mut planner = Planner::new(subject, Options::default());
    planner.block_unread("Namespace", &subject.snapshot.name, &subject.snapshot.namespace);
    planner.remove_finalizers(subject.snapshot.namespace.as_ref().ok().and_then(Option::as_ref));
    planner.unlink_cluster();
    planner.unlink_quay(options);
    planner.plan
}

impl Planner<'_> {
    fn unlink_cluster(&mut self) {
        let snapshot = self.subject.snapshot;
        self.block_unread("ServiceAccount", "", &snapshot.service_accounts);
        self.block_unread("Secret", "", &snapshot.secrets);
        let (kept, secrets) = self.our_secrets();
        for name in &kept {
            let message = format!(
                "Secret {name} also holds credentials for other registries and is kept with its references; remove the entry for {} from it",
                self.subject.desired.host
            );
            self.block(Code::SecretKept, "Secret", name, message);
        }
        self.restore_builds(&secrets);
        for service_account in snapshot.service_accounts.iter().flatten() {
            let own = self.subject.integration.cluster_id.value.secret(&service_account.name);
            let edit = ServiceAccountEdit {
                mountable: (service_account.mountable.contains(&own) && !kept.contains(&own))
                    .then_some(false),
                pull: (service_account.pull.contains(&own) && !kept.contains(&own))
                    .then_some(false),
                role: service_account.role.is_some().then_some(None),
                secret: own,
            };
            if !edit.is_empty() {
                let (namespace, service_account) =
                    (snapshot.name.clone(), service_account.name.clone());
                self.plan.changes.push(Change::EditServiceAccount {
                    namespace,
                    service_account,
                    edit,
                });
            }
        }
        let are_builds_unread =
            matches!(&snapshot.build_configs, Err(unread) if unread.kind != ReadErrorKind::Skipped);
        if snapshot.service_accounts.is_err() || are_builds_unread {
            return;
        }
        let deleted =
            snapshot.secrets.iter().flatten().filter(|secret| secrets.contains(&secret.name));
        self.plan
            .changes
            .extend(deleted.map(|secret| Change::delete_secret(&snapshot.name, secret)));
        self.delete_spares_on_unlink();
    }

    /// Deletes the copies that interrupted replacements left, unless one might hold the only copy
    /// of a foreign entry.
    fn delete_spares_on_unlink(&mut self) {
        for Spare { secret, replaced } in spares(self.subject) {
            if secret.is_covered_by(replaced, &self.subject.desired.host) {
                self.plan.changes.push(Change::delete_secret(&self.subject.snapshot.name, secret));
            } else {
                self.plan.blocked.push(kept_spare(self.subject, secret));
            }
        }
    }

    /// Restores rewritten BuildConfigs, and reports those that keep referring to a secret that is
    /// deleted.
    fn restore_builds(&mut self, deleted: &BTreeSet<String>) {
        let snapshot = self.subject.snapshot;
        let configs = match &snapshot.build_configs {
            Ok(configs) => configs,
            Err(unread) if unread.kind == ReadErrorKind::Skipped => return,
            unread @ Err(_) => return self.block_unread("BuildConfig", "", unread),
        };
        let BuildsPlan { plan, .. } = restore_builds(self.subject, &[]);
        for config in configs {
            let is_restored = |change: &Change| change.object().name == config.name;
            let Some(secret) =
                config.spec.output.push_secret.as_ref().filter(|secret| deleted.contains(*secret))
            else {
                continue;
            };
            if !plan.changes.iter().any(is_restored) {
                let rejected =
                    plan.blocked.iter().find(|finding| finding.object.name == config.name);
                let why =
                    rejected.map(|finding| format!(". {}", finding.message)).unwrap_or_default();
                let message = format!(
                    "BuildConfig {} references secret {secret}, which will be deleted{why}",
                    config.name
                );
                self.block(Code::OutputNotOurs, "BuildConfig", &config.name, message);
            }
        }
        self.plan.changes.extend(plan.changes);
    }

    /// The names of our secrets: those that are kept because others added credentials, and those to
    /// delete. A secret is ours if its name is, and it has our label or only the credentials of its
    /// robot account, as the operator writes it.
    fn our_secrets(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let suffix = self.subject.integration.cluster_id.value.secret("");
        let desired = self.subject.desired;
        let secrets = self
            .subject
            .snapshot
            .secrets
            .iter()
            .flatten()
            .filter(|secret| secret.name.ends_with(&suffix));
        let ours = secrets.filter(|secret| {
            let username =
                secret.name.strip_suffix(&suffix).map(|account| desired.robot_username(account));
            let is_own = |(host, entry): &(String, RegistryCredentials)| {
                *host == desired.host && Some(&entry.username) == username.as_ref()
            };
            secret.managed || (secret.is_plain && secret.credentials.iter().flatten().all(is_own))
        });
        let holds_others =
            |secret: &&Secret| !secret.is_plain && secret.holds_more_than(&desired.host);
        let (kept, deleted): (Vec<_>, Vec<_>) = ours.partition(holds_others);
        let names =
            |secrets: Vec<&Secret>| secrets.into_iter().map(|secret| secret.name.clone()).collect();
        (names(kept), names(deleted))
    }

    fn unlink_quay(&mut self, options: UnlinkOptions) {
        let name = self.subject.desired.organization.clone();
        let is_asked = options.delete_robots || options.delete_organization;
        if !is_asked || names::validate_organization(&name).is_err() {
            return;
        }
        let organization = match &self.subject.snapshot.organization {
            Ok(Some(organization)) => organization,
            Ok(None) => return,
            unread @ Err(_) => return self.block_unread("Organization", &name, unread),
        };
        if !organization.administered {
            let message = format!("Organization {name} exists, but the token cannot administer it");
            return self.block(Code::OrganizationNotAdministered, "Organization", &name, message);
        }
        // An organization without a mark has no robot account of ours; the user can name it.
        if let OwnershipState::Others(..) = self.claim.ownership_of(organization)
            && let Some((code, message)) = self.claim.obstacle(organization, &name)
        {
            return self.block(code, "Organization", &name, message);
        }
        self.block_unread("RobotAccount", "", &organization.robots);
        if self.plan.blocked.iter().any(|finding| finding.code == Code::CouldNotRead) {
            let message =
                format!("Organization {name} is not changed: a part of the link could not be read");
            return self.block(Code::CouldNotRead, "Organization", &name, message);
        }
        if options.delete_organization {
            self.plan.changes.push(Change::DeleteOrganization { organization: name });
        } else if options.delete_robots {
            let ours = |robot: &&Robot| robot.is_ours();
            let robots: Vec<_> = organization
                .robots
                .iter()
                .flatten()
                .filter(ours)
                .map(|robot| robot.name.clone())
                .collect();
            if !robots.is_empty() && organization.adopted_by.is_none() {
                // Deleting the robot accounts deletes their marks, but the next link needs the
                // owner.
                let mark =
                    OwnershipMark { created: organization.is_created(), ..self.claim.mark.clone() }
                        .to_string();
                let (organization, former) = (name.clone(), String::new());
                self.plan.changes.push(Change::Adopt {
                    organization,
                    mark,
                    former,
                    robots: vec![],
                });
            }
            let delete = |robot| Change::DeleteRobot { organization: name.clone(), robot };
            self.plan.changes.extend(robots.into_iter().map(delete));
        }
    }
}
