//! Plans: the changes that reconcile a namespace, ordered so that it is safe to stop after any of
//! them.

mod builds;
mod cleanup;
mod unlink;

pub use builds::{BuildsPlan, restore_builds, rewrite_builds};
pub use cleanup::{CleanupPlan, plan_cleanup, plan_finalizer};
pub use unlink::{UnlinkOptions, unlink};

use std::collections::BTreeSet;

use super::Role;
use super::change::{Change, ServiceAccountEdit};
use super::checks::{
    Assessed, SecretState, Spare, default_permissions_of, has_insufficient_permission, kept_spare,
    managed_elsewhere, secret_state, spares, surplus, unproven_robot,
};
use super::desired::{self, LinkedServiceAccount};
use super::finding::{Code, Finding, ObjectRef, Severity};
use super::names::{self, OPERATOR_FINALIZER};
use super::ownership::{Claim, OwnershipState};
use super::ownership_mark::{Owner, OwnershipMark};
use super::snapshot::{Namespace, Observed, Organization, Robot, ServiceAccount};

/// Changes that need the user's explicit consent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Adopt objects that are marked for, or owned by, others.
    pub adopt: bool,
    /// Renew the token of every robot account.
    pub rotate: bool,
}

/// The changes for one namespace, and the problems that block others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Ordered; it is safe to stop after any of them.
    pub changes: Vec<Change>,
    /// Problems that prevent changes.
    pub blocked: Vec<Finding>,
    /// Shown before the changes are confirmed.
    pub warnings: Vec<Finding>,
}

impl Plan {
    pub fn has_rotation(&self) -> bool {
        self.changes.iter().any(|change| matches!(change, Change::RotateRobot { .. }))
    }

    /// The RBAC verbs on secrets that the changes need.
    pub fn secret_verbs(&self) -> BTreeSet<&'static str> {
        let verbs = |change: &Change| match change {
            Change::CreateSecret { .. } => &["create"][..],
            Change::UpdateSecret { .. } => &["patch"],
            Change::ReplaceSecret { .. } => &["create", "delete"],
            _ => &[],
        };
        self.changes.iter().flat_map(|change| verbs(change).iter().copied()).collect()
    }

    /// The first transient failure: a change that failed, or a part that could not be read.
    pub fn failure(&self, changes: &[(Change, Option<String>)]) -> Option<String> {
        let unread = || {
            let finding = self.blocked.iter().find(|finding| finding.code == Code::CouldNotRead)?;
            Some(finding.message.clone())
        };
        changes.iter().find_map(|(_, failed)| failed.clone()).or_else(unread)
    }

    /// The obstacle that prevents this plan. An organization without robot accounts is useless, so
    /// none is created while an obstacle is known; an existing organization is reconciled as far as
    /// Quay allows.
    pub fn stopped_by<'a>(&self, obstacles: &'a [Finding]) -> Option<&'a Finding> {
        obstacles
            .iter()
            .find(|obstacle| obstacle.code.stops_changes() && self.creates_organization())
    }

    pub fn creates_organization(&self) -> bool {
        self.changes.iter().any(|change| matches!(change, Change::CreateOrganization { .. }))
    }

    /// The first problem that only a user can solve.
    pub fn obstacle(&self) -> Option<&Finding> {
        self.blocked.iter().find(|finding| finding.code != Code::CouldNotRead)
    }
}

/// Plans the repair of a namespace in scope. Parts that could not be read are not changed, and user
/// objects are never deleted.
pub fn repair(subject: &Assessed, options: Options) -> Plan {
    let mut planner = Planner::new(subject, options);
    let namespace = subject.snapshot.namespace.as_ref().ok().and_then(Option::as_ref);
    if namespace.is_some_and(|namespace| namespace.terminating) {
        planner.remove_finalizers(namespace);
    } else if subject.is_to_be_linked() {
        planner.plan_quay();
        planner.plan_cluster();
        planner.plan.blocked.extend(surplus(subject));
        planner.report_unrenewed();
    }
    planner.plan
}

/// Reports a rotation that was requested and is not done.
pub fn token_not_renewed(subject: &Assessed, reason: &str) -> Finding {
    let name = &subject.desired.organization;
    let message =
        format!("Tokens of robot accounts in organization {name} are not renewed: {reason}");
    Finding::new(Code::TokenNotRenewed, ObjectRef::cluster("Organization", name), message)
        .in_namespace(&subject.snapshot.name)
}

struct Planner<'a> {
    subject: &'a Assessed<'a>,
    options: Options,
    plan: Plan,
    claim: Claim,
    /// The linked service accounts whose robot accounts the namespace is allowed to use.
    accounts: Vec<&'a LinkedServiceAccount>,
    /// `None` if there is no organization.
    ownership: Option<OwnershipState>,
    /// The namespace is allowed to use the tokens in the organization. False while the namespace's
    /// uid is unknown.
    is_usable: bool,
}

impl<'a> Planner<'a> {
    fn new(subject: &'a Assessed<'a>, options: Options) -> Self {
        let (claim, organization) = (subject.claim(), subject.snapshot.organization());
        let is_allowed = |account: &&LinkedServiceAccount| {
            options.adopt || organization.is_none_or(|found| claim.allows_robot(found, account))
        };
        let accounts = subject.desired.accounts.iter().filter(is_allowed).collect();
        let ownership = organization.map(|found| claim.ownership_of(found));
        let is_free = matches!(
            ownership,
            Some(OwnershipState::Ours | OwnershipState::Linked | OwnershipState::Blank)
        );
        let is_usable = organization.is_some_and(|found| {
            let is_known =
                found.administered && found.robots.is_ok() && subject.snapshot.namespace.is_ok();
            is_known && (options.adopt || is_free)
        });
        Self { subject, options, plan: Plan::default(), claim, accounts, ownership, is_usable }
    }

    fn remove_finalizers(&mut self, namespace: Option<&Namespace>) {
        let (name, organization) =
            (&self.subject.snapshot.name, &self.subject.desired.organization);
        let has_operator_finalizer = |namespace: &Namespace| {
            namespace.finalizers.iter().any(|found| found == OPERATOR_FINALIZER)
        };
        if namespace.is_some_and(has_operator_finalizer) {
            let (namespace, organization) = (name.clone(), organization.clone());
            self.plan.changes.push(Change::RemoveOperatorFinalizer { namespace, organization });
        }
        if namespace.is_some_and(Namespace::has_finalizer) {
            let (namespace, organization) = (name.clone(), organization.clone());
            self.plan.changes.push(Change::SetFinalizer {
                namespace,
                organization,
                guarded: false,
            });
        }
    }

    fn block(&mut self, code: Code, kind: &'static str, name: &str, message: String) {
        let finding = Finding::new(code, ObjectRef::cluster(kind, name), message);
        self.plan.blocked.push(finding.in_namespace(&self.subject.snapshot.name));
    }

    /// Reports a part that could not be read, for which nothing is planned.
    fn block_unread<T>(&mut self, kind: &'static str, name: &str, part: &Observed<T>) {
        if let Err(unread) = part {
            self.block(
                Code::CouldNotRead,
                kind,
                name,
                format!("Could not {}: {}", unread.call, unread.reason),
            );
        }
    }

    fn plan_quay(&mut self) {
        if self.subject.snapshot.namespace.is_err() {
            // The ownership mark needs the namespace's uid.
            return self.block_unread(
                "Namespace",
                &self.subject.snapshot.name,
                &self.subject.snapshot.namespace,
            );
        }
        let name = self.subject.desired.organization.clone();
        if let Err(problem) = names::validate_organization(&name) {
            return self.block(
                Code::OrganizationNameImpossible,
                "Organization",
                &name,
                format!("Quay does not accept this organization name: {problem}"),
            );
        }
        match &self.subject.snapshot.organization {
            Err(_) => self.block_unread("Organization", &name, &self.subject.snapshot.organization),
            // It is unknown whether anything would use the organization.
            Ok(None) if self.subject.snapshot.service_accounts.is_err() => {}
            Ok(None) => {
                self.plan.changes.push(Change::CreateOrganization { organization: name });
                self.plan_contents(&Organization::empty());
            }
            Ok(Some(organization)) if !organization.administered => {
                if self.options.adopt {
                    // The contents can be read only afterwards, by the next plan.
                    self.plan.changes.push(Change::TakeOwnership { organization: name });
                } else {
                    let message =
                        format!("Organization {name} exists, but the token cannot administer it");
                    self.block(Code::OrganizationNotAdministered, "Organization", &name, message);
                }
            }
            Ok(Some(organization)) => {
                if organization.robots.is_err() {
                    // Their marks record the owner.
                    return self.block_unread("RobotAccount", "", &organization.robots);
                }
                if self.options.adopt {
                    self.plan_adoption(organization);
                } else if let Some((code, message)) = self.claim.obstacle(organization, &name) {
                    return self.block(code, "Organization", &name, message);
                }
                let planned = self.plan.changes.len();
                self.plan_contents(organization);
                if self.ownership == Some(OwnershipState::Hidden)
                    && !self.options.adopt
                    && self.plan.changes.len() > planned
                {
                    self.plan.changes.truncate(planned);
                    let message = format!(
                        "Organization {name} has no ownership mark, and Quay does not show the tokens that would identify its owner"
                    );
                    self.block(Code::CouldNotRead, "Organization", &name, message);
                }
            }
        }
    }

    fn plan_adoption(&mut self, organization: &Organization) {
        let ownership = self.claim.ownership_of(organization);
        // The list of robot accounts shows the other namespaces that their robot accounts were
        // adopted.
        let is_adopted_now = |robot: &Robot| {
            !robot.is_adopted && (ownership != OwnershipState::Ours || robot.mark.is_none())
        };
        let existing = self
            .accounts
            .iter()
            .filter(|account| organization.robot(&account.name).is_some_and(is_adopted_now));
        let robots: Vec<_> = existing.map(|account| account.name.clone()).collect();
        let former = match ownership {
            OwnershipState::Ours if robots.is_empty() => return,
            OwnershipState::Ours => String::new(),
            // The mark of its first robot account is enough.
            OwnershipState::Blank if organization.robots.as_ref().is_ok_and(Vec::is_empty) => {
                return;
            }
            OwnershipState::Others(mark, Owner::Previous) => {
                format!("created for a previous namespace {}", mark.namespace)
            }
            OwnershipState::Others(mark, Owner::Unclear) => {
                format!("created for another namespace {}, uid {}", mark.namespace, mark.uid)
            }
            OwnershipState::Others(mark, _) => {
                format!("owned by namespace {} of cluster {}", mark.namespace, mark.cluster.server)
            }
            _ => "without an ownership mark".to_owned(),
        };
        let mark = OwnershipMark { created: organization.is_created(), ..self.claim.mark.clone() }
            .to_string();
        let organization = self.subject.desired.organization.clone();
        self.plan.changes.push(Change::Adopt { organization, mark, former, robots });
    }

    /// The order matters: a new repository gets its permissions from the default permissions.
    fn plan_contents(&mut self, organization: &Organization) {
        self.block_unread("RobotAccount", "", &organization.robots);
        self.block_unread("DefaultPermission", "", &organization.default_permissions);
        self.block_unread("Repository", "", &organization.repositories);
        if organization.robots.is_ok() {
            self.plan_robots(organization);
        }
        self.plan_default_permissions(organization);
        self.plan_repositories(organization);
        self.plan_repository_permissions(organization);
    }

    fn plan_robots(&mut self, organization: &Organization) {
        let desired = self.subject.desired;
        if !self.options.adopt {
            let not_allowed = desired
                .accounts
                .iter()
                .filter(|account| !self.claim.allows_robot(organization, account));
            self.plan
                .blocked
                .extend(not_allowed.map(|account| unproven_robot(self.subject, account)));
        }
        // An empty organization that only the token's user owns counts as created.
        let is_created = organization.is_created()
            || (organization.is_blank
                && organization.adopted_by.is_none()
                && organization.robots.as_ref().is_ok_and(Vec::is_empty));
        let mark = OwnershipMark { created: is_created, ..self.claim.mark.clone() }.to_string();
        for account in
            self.accounts.iter().filter(|account| organization.robot(&account.name).is_none())
        {
            self.plan.changes.push(Change::CreateRobot {
                organization: desired.organization.clone(),
                robot: account.name.clone(),
                mark: mark.clone(),
            });
        }
    }

    fn plan_default_permissions(&mut self, organization: &Organization) {
        let (Ok(_), Ok(permissions)) = (&organization.robots, &organization.default_permissions)
        else {
            return;
        };
        let name = &self.subject.desired.organization;
        for account in self.accounts.clone() {
            let mut of_account = default_permissions_of(permissions, &account.name);
            // Keep one with the desired role, if there is one.
            of_account.sort_by_key(|permission| permission.role != account.role);
            let Some((kept, duplicates)) = of_account.split_first() else {
                self.plan.changes.push(Change::CreateDefaultPermission {
                    organization: name.clone(),
                    robot: account.name.clone(),
                    role: account.role,
                });
                continue;
            };
            if kept.role != account.role {
                self.plan.changes.push(Change::ChangeDefaultPermission {
                    organization: name.clone(),
                    id: kept.id.clone(),
                    robot: account.name.clone(),
                    from: kept.role,
                    to: account.role,
                });
            }
            self.plan.changes.extend(duplicates.iter().map(|permission| {
                Change::DeleteDefaultPermission {
                    organization: name.clone(),
                    id: permission.id.clone(),
                    robot: account.name.clone(),
                    role: permission.role,
                }
            }));
        }
    }

    fn plan_repositories(&mut self, organization: &Organization) {
        let Ok(existing) = &organization.repositories else { return };
        let desired = self.subject.desired;
        self.plan.changes.extend(desired.repositories.difference(existing).map(|repository| {
            Change::CreateRepository {
                organization: desired.organization.clone(),
                repository: repository.clone(),
            }
        }));
    }

    /// New repositories get their permissions from the default permissions, which precede them in
    /// the plan; all others are set one by one.
    fn plan_repository_permissions(&mut self, organization: &Organization) {
        let (Ok(_), Ok(existing)) = (&organization.robots, &organization.repositories) else {
            return;
        };
        let desired = self.subject.desired;
        let accounts = self.accounts.iter().copied();
        let accounts: Vec<_> = accounts
            .map(|account| {
                (
                    account,
                    organization.robot(&account.name).filter(|_| !self.has_role_change(account)),
                )
            })
            .collect();
        for repository in &desired.repositories {
            let is_new = !existing.contains(repository);
            for (account, settled) in &accounts {
                let has_role = if is_new {
                    organization.default_permissions.is_ok()
                } else {
                    settled.is_some_and(|robot| robot.repositories.contains(repository))
                        && !has_insufficient_permission(
                            self.subject.snapshot,
                            desired,
                            account,
                            repository,
                        )
                };
                if !has_role {
                    self.plan.changes.push(Change::SetRepositoryPermission {
                        organization: desired.organization.clone(),
                        repository: repository.clone(),
                        robot: account.name.clone(),
                        role: account.role,
                    });
                }
            }
        }
    }

    /// Whether the desired role differs from the one that the annotation or the name implies.
    fn has_role_change(&self, account: &LinkedServiceAccount) -> bool {
        let service_account = self.subject.snapshot.service_account(&account.name);
        service_account
            .is_some_and(|service_account| desired::role(service_account) != Some(account.role))
    }

    fn plan_cluster(&mut self) {
        self.block_unread("ServiceAccount", "", &self.subject.snapshot.service_accounts);
        self.block_unread("Secret", "", &self.subject.snapshot.secrets);
        self.block_unread("ImageStream", "", &self.subject.snapshot.image_streams);
        for account in self.accounts.clone() {
            let secret_will_exist = self.plan_secret(account);
            if secret_will_exist {
                self.plan_service_account(account);
            }
        }
        self.delete_spares();
    }

    /// Deletes the copies that interrupted replacements left, where the secret exists again with
    /// all their entries.
    fn delete_spares(&mut self) {
        let host = &self.subject.desired.host;
        let spares = spares(self.subject).filter(|Spare { secret, replaced }| {
            replaced.is_some() && secret.is_covered_by(*replaced, host)
        });
        self.plan.changes.extend(
            spares.map(|spare| Change::delete_secret(&self.subject.snapshot.name, spare.secret)),
        );
    }

    /// Returns whether the secret exists, or will.
    fn plan_secret(&mut self, account: &LinkedServiceAccount) -> bool {
        let snapshot = self.subject.snapshot;
        let existing = snapshot.secret(&account.secret);
        let token = self.token_state(account);
        if token == TokenState::Unknown {
            self.report_hidden_token(account);
            return existing.is_some();
        }
        let robot_is_new = token == TokenState::Planned;
        let is_renewed = token == TokenState::Exists && self.should_rotate(account);
        let Some(state) = secret_state(self.subject.desired, account, snapshot)
            .or_else(|| (robot_is_new && existing.is_some()).then_some(SecretState::Stale))
        else {
            return existing.is_some();
        };
        let (namespace, secret, robot) =
            (snapshot.name.clone(), account.secret.clone(), account.name.clone());
        let version = existing.map(|secret| secret.resource_version.clone()).unwrap_or_default();
        let spare = snapshot.secret(&names::spare_secret(&secret)).filter(|spare| spare.managed);
        let write = match state {
            SecretState::Missing if spare.is_some() => {
                Change::ReplaceSecret { namespace, secret, robot, version }
            }
            SecretState::Current | SecretState::Unverified if !is_renewed => return true,
            SecretState::Missing => Change::CreateSecret { namespace, secret, robot },
            SecretState::WrongType(kind) => {
                let ours = existing.is_some_and(|secret| secret.managed);
                if !ours && !self.options.adopt {
                    self.block(
                        Code::SecretWrongType,
                        "Secret",
                        &secret,
                        format!("Secret {secret} is of type {kind} and was not created by oc-quay"),
                    );
                    return true;
                }
                // The replacement needs the copy's name.
                if let Some(spare) =
                    spare.filter(|spare| !spare.is_covered_by(existing, &self.subject.desired.host))
                {
                    self.plan.blocked.push(kept_spare(self.subject, spare));
                    return true;
                }
                Change::ReplaceSecret { namespace, secret, robot, version }
            }
            _ => Change::UpdateSecret { namespace, secret, robot, version },
        };
        // A new token invalidates the previous one immediately, so it is planned only with the
        // write of its secret.
        if is_renewed {
            self.plan.changes.push(Change::RotateRobot {
                organization: self.subject.desired.organization.clone(),
                robot: account.name.clone(),
            });
        }
        self.plan.changes.push(write);
        true
    }

    /// Reports a requested rotation that is not planned, unless an error explains it.
    fn report_unrenewed(&mut self) {
        let has_new_token = |account: &LinkedServiceAccount| {
            let gives_token = |change: &Change| matches!(change, Change::RotateRobot { robot, .. } | Change::CreateRobot { robot, .. } if *robot == account.name);
            self.plan.changes.iter().any(gives_token)
        };
        let are_all_renewed = self.subject.snapshot.service_accounts.is_ok()
            && self.subject.desired.accounts.iter().all(has_new_token);
        if !self.options.rotate
            || are_all_renewed
            || self.plan.blocked.iter().any(|finding| finding.severity == Severity::Error)
        {
            return;
        }
        let is_adopted_first =
            self.plan.changes.iter().any(|change| matches!(change, Change::TakeOwnership { .. }));
        let unread = self.plan.blocked.iter().find(|finding| finding.code == Code::CouldNotRead);
        let unmarked = self.unmarked_robots();
        let reason = match unread {
            _ if is_adopted_first => "the organization is adopted first".to_owned(),
            Some(finding) => lowercase_first(&finding.message),
            None if !unmarked.is_empty() => {
                format!(
                    "oc-quay did not create {}; use --adopt to adopt the organization",
                    unmarked.join(", ")
                )
            }
            None => "the robot accounts or their secrets could not be read".to_owned(),
        };
        self.plan.blocked.push(token_not_renewed(self.subject, &reason));
    }

    /// The namespace's robot accounts whose tokens are not ours to renew.
    fn unmarked_robots(&self) -> Vec<String> {
        let organization = self.subject.snapshot.organization();
        let exists = |account: &&LinkedServiceAccount| {
            organization.is_some_and(|found| found.robot(&account.name).is_some())
        };
        let unmarked = self
            .accounts
            .iter()
            .copied()
            .filter(exists)
            .filter(|account| !self.should_rotate(account));
        unmarked.map(|account| account.name.clone()).collect()
    }

    /// A wrong secret of a robot account whose token Quay does not show can be repaired only with a
    /// new token.
    fn report_hidden_token(&mut self, account: &LinkedServiceAccount) {
        let is_visible = self.is_usable || self.ownership == Some(OwnershipState::Hidden);
        let Some(organization) = self.subject.snapshot.organization().filter(|_| is_visible) else {
            return;
        };
        let is_fine = [Some(SecretState::Current), Some(SecretState::Unverified), None];
        let state = secret_state(self.subject.desired, account, self.subject.snapshot);
        if organization.robot(&account.name).is_some() && !is_fine.contains(&state) {
            let robot = self.subject.desired.robot_username(&account.name);
            let message = format!(
                "Secret {} needs the token of robot account {robot}, which Quay does not show; use --rotate to create a new one",
                account.secret
            );
            self.block(Code::TokenNotReadable, "RobotAccount", &robot, message);
        }
    }

    /// Only tokens of robot accounts that we created or adopt are renewed.
    fn should_rotate(&self, account: &LinkedServiceAccount) -> bool {
        let organization = self.subject.snapshot.organization();
        let is_ours = |found: &Organization| found.robot(&account.name).is_some_and(Robot::is_ours);
        self.options.rotate && (self.options.adopt || organization.is_some_and(is_ours))
    }

    fn token_state(&self, account: &LinkedServiceAccount) -> TokenState {
        let planned = |change: &Change| matches!(change, Change::CreateRobot { robot, .. } if *robot == account.name);
        if self.plan.changes.iter().any(planned) {
            return TokenState::Planned;
        }
        let organization = self.subject.snapshot.organization().filter(|_| self.is_usable);
        match organization.and_then(|organization| organization.robot(&account.name)) {
            Some(robot) if robot.token.is_some() || self.should_rotate(account) => {
                TokenState::Exists
            }
            _ => TokenState::Unknown,
        }
    }

    fn plan_service_account(&mut self, account: &LinkedServiceAccount) {
        let Some(service_account) = self.subject.snapshot.service_account(&account.name) else {
            return;
        };
        let missing = |list: &[String]| (!list.contains(&account.secret)).then_some(true);
        let edit = ServiceAccountEdit {
            secret: account.secret.clone(),
            mountable: missing(&service_account.mountable),
            pull: missing(&service_account.pull),
            role: (self.has_role_change(account) || is_corrected(service_account, account))
                .then_some(Some(account.role)),
        };
        if edit.mountable.or(edit.pull).is_some() {
            self.plan.warnings.extend(managed_elsewhere(
                self.subject,
                service_account,
                &account.secret,
            ));
        }
        if !edit.is_empty() {
            self.plan.changes.push(Change::EditServiceAccount {
                namespace: self.subject.snapshot.name.clone(),
                service_account: account.name.clone(),
                edit,
            });
        }
    }
}

/// Whether a user's request replaces an invalid role annotation, which otherwise counts as none.
fn is_corrected(service_account: &ServiceAccount, account: &LinkedServiceAccount) -> bool {
    account.is_requested
        && service_account.role.as_deref().is_some_and(|role| role.parse::<Role>().is_err())
}

fn lowercase_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Whether a robot account's current token can be written to a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenState {
    /// The robot account will be created.
    Planned,
    /// The token is known, or will be renewed.
    Exists,
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obstacles_stop_only_plans_that_create_an_organization() {
        let organization = || "openshift_shop".to_owned();
        let create = Change::CreateOrganization { organization: organization() };
        let repository =
            Change::CreateRepository { organization: organization(), repository: "app".to_owned() };
        let plan = |changes: &[&Change]| Plan {
            changes: changes.iter().copied().cloned().collect(),
            ..Plan::default()
        };
        let finding = |code| Finding::new(code, ObjectRef::cluster("Quay", "q"), "no");
        for code in Code::ALL.iter().copied() {
            let obstacles = [finding(Code::OutOfScope), finding(code)];
            let stops =
                |changes: &[&Change]| plan(changes).stopped_by(&obstacles) == Some(&obstacles[1]);
            assert_eq!(stops(&[&create, &repository]), code.stops_changes(), "{code:?}");
            assert!(!stops(&[&repository]) && !stops(&[]), "{code:?}");
        }
    }
}
