//! Plans for taking a link back.

use std::collections::BTreeSet;

use super::builds::{BuildsPlan, restore_builds};
use super::{Options, Plan, Planner};
use crate::domain::change::{Change, ServiceAccountEdit};
use crate::domain::checks::{Assessed, Spare, spare_kept, spares};
use crate::domain::finding::Code;
use crate::domain::names;
use crate::domain::ownership::OwnershipState;
use crate::domain::ownership_mark::OwnershipMark;
use crate::domain::snapshot::{Login, ReadErrorKind, Robot, Secret};

/// What a person asked to be taken away beyond the link itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnlinkOptions {
    /// Delete the robot accounts.
    pub delete_robots: bool,
    /// Delete the organization with every image; named and confirmed by a person.
    pub delete_organization: bool,
}

/// Plans the reverse of a link, after [`crate::domain::scope::deny_namespace`]: the operator's finalizer off, rewritten BuildConfigs
/// back, references out of the service accounts, our secrets away. The organization with its images stays unless asked for.
/// What could not be read blocks what depends on it: no secret is deleted that something unknown may refer to, and nothing in
/// Quay while a part of the link is unknown.
pub fn unlink(subject: &Assessed, options: UnlinkOptions) -> Plan {
    let mut planner = Planner::new(subject, Options::default());
    planner.block_unread("Namespace", &subject.snapshot.name, &subject.snapshot.namespace);
    planner.release(subject.snapshot.namespace.as_ref().ok().and_then(Option::as_ref));
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
                "Secret {name} holds logins of others too and is kept with the references to it; remove the one for {} from it",
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
            if edit.changes_something() {
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
        let going =
            snapshot.secrets.iter().flatten().filter(|secret| secrets.contains(&secret.name));
        self.plan.changes.extend(going.map(|secret| Change::delete_secret(&snapshot.name, secret)));
        self.unlink_spares();
    }

    /// What interrupted replacements left goes too, unless it may hold the only copy of something of others.
    fn unlink_spares(&mut self) {
        for Spare { secret, replaced } in spares(self.subject) {
            if secret.is_covered_by(replaced, &self.subject.desired.host) {
                self.plan.changes.push(Change::delete_secret(&self.subject.snapshot.name, secret));
            } else {
                self.plan.blocked.push(spare_kept(self.subject, secret));
            }
        }
    }

    /// BuildConfigs that were rewritten push where they did before; those that name a secret which goes and cannot be put back
    /// are told.
    fn restore_builds(&mut self, going: &BTreeSet<String>) {
        let snapshot = self.subject.snapshot;
        let configs = match &snapshot.build_configs {
            Ok(configs) => configs,
            // Nobody asked.
            Err(unread) if unread.kind == ReadErrorKind::Skipped => return,
            unread @ Err(_) => return self.block_unread("BuildConfig", "", unread),
        };
        let BuildsPlan { plan, .. } = restore_builds(self.subject, &[]);
        for config in configs {
            let is_restored = |change: &Change| change.object().name == config.name;
            let Some(secret) =
                config.spec.output.push_secret.as_ref().filter(|secret| going.contains(*secret))
            else {
                continue;
            };
            if !plan.changes.iter().any(is_restored) {
                let refused =
                    plan.blocked.iter().find(|finding| finding.object.name == config.name);
                let why =
                    refused.map(|finding| format!(". {}", finding.message)).unwrap_or_default();
                let message =
                    format!("BuildConfig {} names secret {secret}, which goes{why}", config.name);
                self.block(Code::OutputNotOurs, "BuildConfig", &config.name, message);
            }
        }
        self.plan.changes.extend(plan.changes);
    }

    /// Secrets of the name of one of ours that carry our label, or hold the login of the robot account that they are named
    /// after and nothing else, as the operator writes it: first those to which others added logins, then all others.
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
            let login =
                secret.name.strip_suffix(&suffix).map(|account| desired.login_name(account));
            let is_own = |(host, entry): &(String, Login)| {
                *host == desired.host && Some(&entry.username) == login.as_ref()
            };
            secret.managed || (secret.is_plain && secret.logins.iter().flatten().all(is_own))
        });
        let holds_others =
            |secret: &&Secret| !secret.is_plain && secret.holds_more_than(&desired.host);
        let (kept, going): (Vec<_>, Vec<_>) = ours.partition(holds_others);
        let names =
            |secrets: Vec<&Secret>| secrets.into_iter().map(|secret| secret.name.clone()).collect();
        (names(kept), names(going))
    }

    fn unlink_quay(&mut self, options: UnlinkOptions) {
        let name = self.subject.desired.organization.clone();
        let is_asked = options.delete_robots || options.delete_organization;
        if !is_asked || names::organization(&name).is_err() {
            return;
        }
        let organization = match &self.subject.snapshot.organization {
            Ok(Some(organization)) => organization,
            Ok(None) => return,
            unread @ Err(_) => return self.block_unread("Organization", &name, unread),
        };
        if !organization.administered {
            let message =
                format!("Organization {name} exists, but the token may not administer it");
            return self.block(Code::OrganizationNotAdministered, "Organization", &name, message);
        }
        // One without any mark can be named by a person, and holds no robot account of ours.
        if let OwnershipState::Others(..) = self.claim.standing(organization)
            && let Some((code, message)) = self.claim.obstacle(organization, &name)
        {
            return self.block(code, "Organization", &name, message);
        }
        self.block_unread("RobotAccount", "", &organization.robots);
        if self.plan.blocked.iter().any(|finding| finding.code == Code::CouldNotRead) {
            let message = format!(
                "Nothing in organization {name} is deleted: a part of the link could not be read"
            );
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
                // Their marks go with them, and the next link has to see whose it is.
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
