//! Plans: the changes that make what is into what should be, in an order in which every prefix is safe.

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
    Assessed, SecretState, Spare, default_permissions_of, has_too_little_right, kept_by_others,
    not_ours, secret_state, spare_kept, spares, surplus,
};
use super::desired::{self, LinkedServiceAccount};
use super::finding::{Code, Finding, ObjectRef, Severity};
use super::names::{self, OPERATOR_FINALIZER};
use super::ownership::{Claim, OwnershipState};
use super::ownership_mark::{Owner, OwnershipMark};
use super::snapshot::{Namespace, Observed, Organization, Robot, ServiceAccount};

/// What a person allowed beyond the safe changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Take over what others marked or own.
    pub adopt: bool,
    /// Renew the token of every robot account.
    pub rotate: bool,
}

/// The changes for one namespace, and what cannot be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they are to be made. Each is safe to be the last one.
    pub changes: Vec<Change>,
    /// What stands in the way; nothing is planned for it.
    pub blocked: Vec<Finding>,
    /// What is worth knowing about the changes before they are made.
    pub warnings: Vec<Finding>,
}

impl Plan {
    /// Whether a token is renewed.
    pub fn has_rotation(&self) -> bool {
        self.changes.iter().any(|change| matches!(change, Change::RotateRobot { .. }))
    }

    /// The verbs that its writes of secrets take.
    pub fn secret_verbs(&self) -> BTreeSet<&'static str> {
        let verbs = |change: &Change| match change {
            Change::CreateSecret { .. } => &["create"][..],
            Change::UpdateSecret { .. } => &["patch"],
            Change::ReplaceSecret { .. } => &["create", "delete"],
            _ => &[],
        };
        self.changes.iter().flat_map(|change| verbs(change).iter().copied()).collect()
    }

    /// The first reason why a namespace is not as planned that may be gone the next time: a change that failed, or what
    /// could not be read.
    pub fn failure(&self, changes: &[(Change, Option<String>)]) -> Option<String> {
        let unread = || {
            let finding = self.blocked.iter().find(|finding| finding.code == Code::CouldNotRead)?;
            Some(finding.message.clone())
        };
        changes.iter().find_map(|(_, failed)| failed.clone()).or_else(unread)
    }

    /// Which of the obstacles to changes in Quay keeps the plan from being begun. An organization that cannot get robot
    /// accounts is of no use, so none is created while an obstacle is known. What exists already is worked with as far as
    /// Quay allows.
    pub fn stopped_by<'a>(&self, obstacles: &'a [Finding]) -> Option<&'a Finding> {
        obstacles
            .iter()
            .find(|obstacle| obstacle.code.stops_changes() && self.creates_organization())
    }

    /// Whether it creates an organization.
    pub fn creates_organization(&self) -> bool {
        self.changes.iter().any(|change| matches!(change, Change::CreateOrganization { .. }))
    }

    /// The first of what only a person can do.
    pub fn obstacle(&self) -> Option<&Finding> {
        self.blocked.iter().find(|finding| finding.code != Code::CouldNotRead)
    }
}

/// Plans what a namespace in scope needs. Nothing is planned for a part that could not be read, and nothing of the
/// user's is ever deleted.
pub fn repair(subject: &Assessed, options: Options) -> Plan {
    let mut planner = Planner::new(subject, options);
    let namespace = subject.snapshot.namespace.as_ref().ok().and_then(Option::as_ref);
    if namespace.is_some_and(|namespace| namespace.terminating) {
        planner.release(namespace);
    } else if subject.is_to_be_linked() {
        planner.quay_side();
        planner.cluster_side();
        planner.plan.blocked.extend(surplus(subject));
        planner.report_unrenewed();
    }
    planner.plan
}

/// What to say of tokens that were to be renewed and are not.
pub fn not_renewed(subject: &Assessed, reason: &str) -> Finding {
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
    /// The linked service accounts whose robot accounts are the namespace's to use, or were asked to be taken over.
    accounts: Vec<&'a LinkedServiceAccount>,
    /// Whose the organization is, if there is one.
    standing: Option<OwnershipState>,
    /// What is in the organization is this namespace's to have. Without the namespace's uid nobody knows.
    may_use: bool,
}

impl<'a> Planner<'a> {
    fn new(subject: &'a Assessed<'a>, options: Options) -> Self {
        let (claim, organization) = (subject.claim(), subject.snapshot.organization());
        let is_usable = |account: &&LinkedServiceAccount| {
            options.adopt || organization.is_none_or(|found| claim.allows_robot(found, account))
        };
        let accounts = subject.desired.accounts.iter().filter(is_usable).collect();
        let standing = organization.map(|found| claim.standing(found));
        let is_free = matches!(
            standing,
            Some(OwnershipState::Ours | OwnershipState::Linked | OwnershipState::Blank)
        );
        let may_use = organization.is_some_and(|found| {
            let is_known =
                found.administered && found.robots.is_ok() && subject.snapshot.namespace.is_ok();
            is_known && (options.adopt || is_free)
        });
        Self { subject, options, plan: Plan::default(), claim, accounts, standing, may_use }
    }

    fn release(&mut self, namespace: Option<&Namespace>) {
        let (name, organization) =
            (&self.subject.snapshot.name, &self.subject.desired.organization);
        let carries_operators = |namespace: &Namespace| {
            namespace.finalizers.iter().any(|found| found == OPERATOR_FINALIZER)
        };
        if namespace.is_some_and(carries_operators) {
            let (namespace, organization) = (name.clone(), organization.clone());
            self.plan.changes.push(Change::RemoveOperatorFinalizer { namespace, organization });
        }
        if namespace.is_some_and(Namespace::is_guarded) {
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

    /// Nothing is planned for what could not be read, and nobody shall think that nothing was to be done.
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

    fn quay_side(&mut self) {
        if self.subject.snapshot.namespace.is_err() {
            // What is made there is marked with the namespace's uid; without it, it would be nobody's.
            return self.block_unread(
                "Namespace",
                &self.subject.snapshot.name,
                &self.subject.snapshot.namespace,
            );
        }
        let name = self.subject.desired.organization.clone();
        if let Err(problem) = names::organization(&name) {
            return self.block(
                Code::OrganizationNameImpossible,
                "Organization",
                &name,
                format!("Quay takes no such name: {problem}"),
            );
        }
        match &self.subject.snapshot.organization {
            Err(_) => self.block_unread("Organization", &name, &self.subject.snapshot.organization),
            // Who would use it is not known, not even whether there is such a namespace.
            Ok(None) if self.subject.snapshot.service_accounts.is_err() => {}
            Ok(None) => {
                self.plan.changes.push(Change::CreateOrganization { organization: name });
                self.contents(&Organization::empty());
            }
            Ok(Some(organization)) if !organization.administered => {
                if self.options.adopt {
                    // What is in it shows only afterwards; the next plan goes on from there.
                    self.plan.changes.push(Change::TakeOwnership { organization: name });
                } else {
                    let message =
                        format!("Organization {name} exists, but the token may not administer it");
                    self.block(Code::OrganizationNotAdministered, "Organization", &name, message);
                }
            }
            Ok(Some(organization)) => {
                if organization.robots.is_err() {
                    // Whose it is shows in their marks.
                    return self.block_unread("RobotAccount", "", &organization.robots);
                }
                if self.options.adopt {
                    self.adopt(organization);
                } else if let Some((code, message)) = self.claim.obstacle(organization, &name) {
                    return self.block(code, "Organization", &name, message);
                }
                let planned = self.plan.changes.len();
                self.contents(organization);
                if self.standing == Some(OwnershipState::Hidden)
                    && !self.options.adopt
                    && self.plan.changes.len() > planned
                {
                    self.plan.changes.truncate(planned);
                    let message = format!(
                        "Organization {name} carries no mark, and Quay does not show the tokens that tell whose it is"
                    );
                    self.block(Code::CouldNotRead, "Organization", &name, message);
                }
            }
        }
    }

    /// Marks an organization and its robot accounts as this namespace's, unless they are.
    fn adopt(&mut self, organization: &Organization) {
        let standing = self.claim.standing(organization);
        // The list of robot accounts shows to others that those with their marks were taken over.
        let is_taken = |robot: &Robot| {
            !robot.is_adopted && (standing != OwnershipState::Ours || robot.mark.is_none())
        };
        let existing = self
            .accounts
            .iter()
            .filter(|account| organization.robot(&account.name).is_some_and(is_taken));
        let robots: Vec<_> = existing.map(|account| account.name.clone()).collect();
        let former = match standing {
            OwnershipState::Ours if robots.is_empty() => return,
            OwnershipState::Ours => String::new(),
            // The mark of its first robot account does it.
            OwnershipState::Blank if organization.robots.as_ref().is_ok_and(Vec::is_empty) => {
                return;
            }
            OwnershipState::Others(mark, Owner::Previous) => {
                format!("which was made for an earlier namespace {}", mark.namespace)
            }
            OwnershipState::Others(mark, Owner::Unclear) => {
                format!("which was made for another namespace {}, uid {}", mark.namespace, mark.uid)
            }
            OwnershipState::Others(mark, _) => {
                format!(
                    "which namespace {} of cluster {} marked as its own",
                    mark.namespace, mark.cluster.server
                )
            }
            _ => "which carries no mark".to_owned(),
        };
        let mark = OwnershipMark { created: organization.is_created(), ..self.claim.mark.clone() }
            .to_string();
        let organization = self.subject.desired.organization.clone();
        self.plan.changes.push(Change::Adopt { organization, mark, former, robots });
    }

    /// Robot accounts, then their default permissions, then the repositories, which take their rights from these.
    fn contents(&mut self, organization: &Organization) {
        self.block_unread("RobotAccount", "", &organization.robots);
        self.block_unread("DefaultPermission", "", &organization.default_permissions);
        self.block_unread("Repository", "", &organization.repositories);
        if organization.robots.is_ok() {
            self.robots(organization);
        }
        self.default_permissions(organization);
        self.repositories(organization);
        self.rights(organization);
    }

    fn robots(&mut self, organization: &Organization) {
        let desired = self.subject.desired;
        if !self.options.adopt {
            let refused = desired
                .accounts
                .iter()
                .filter(|account| !self.claim.allows_robot(organization, account));
            self.plan.blocked.extend(refused.map(|account| not_ours(self.subject, account)));
        }
        // An empty organization that the token's user alone owns is as good as created.
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

    fn default_permissions(&mut self, organization: &Organization) {
        let (Ok(_), Ok(permissions)) = (&organization.robots, &organization.default_permissions)
        else {
            return;
        };
        let name = &self.subject.desired.organization;
        for account in self.accounts.clone() {
            let mut of_account = default_permissions_of(permissions, &account.name);
            // The one that is kept: with the right role, if one has it.
            of_account.sort_by_key(|permission| permission.role != account.role);
            let Some((kept, superfluous)) = of_account.split_first() else {
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
            self.plan.changes.extend(superfluous.iter().map(|permission| {
                Change::DeleteDefaultPermission {
                    organization: name.clone(),
                    id: permission.id.clone(),
                    robot: account.name.clone(),
                    role: permission.role,
                }
            }));
        }
    }

    fn repositories(&mut self, organization: &Organization) {
        let Ok(existing) = &organization.repositories else { return };
        let desired = self.subject.desired;
        self.plan.changes.extend(desired.repositories.difference(existing).map(|repository| {
            Change::CreateRepository {
                organization: desired.organization.clone(),
                repository: repository.clone(),
            }
        }));
    }

    /// New repositories take their rights from the default permissions, which come before them in the plan; the rest
    /// must be given.
    fn rights(&mut self, organization: &Organization) {
        let (Ok(_), Ok(existing)) = (&organization.robots, &organization.repositories) else {
            return;
        };
        let desired = self.subject.desired;
        let accounts = self.accounts.iter().copied();
        let accounts: Vec<_> = accounts
            .map(|account| {
                (account, organization.robot(&account.name).filter(|_| !self.role_changes(account)))
            })
            .collect();
        for repository in &desired.repositories {
            let is_new = !existing.contains(repository);
            for (account, settled) in &accounts {
                let has_right = if is_new {
                    organization.default_permissions.is_ok()
                } else {
                    settled.is_some_and(|robot| robot.repositories.contains(repository))
                        && !has_too_little_right(
                            self.subject.snapshot,
                            desired,
                            account,
                            repository,
                        )
                };
                if !has_right {
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

    /// A service account is to have another role than its annotation (or its name) says so far.
    fn role_changes(&self, account: &LinkedServiceAccount) -> bool {
        let service_account = self.subject.snapshot.service_account(&account.name);
        service_account
            .is_some_and(|service_account| desired::role(service_account) != Some(account.role))
    }

    fn cluster_side(&mut self) {
        self.block_unread("ServiceAccount", "", &self.subject.snapshot.service_accounts);
        self.block_unread("Secret", "", &self.subject.snapshot.secrets);
        self.block_unread("ImageStream", "", &self.subject.snapshot.image_streams);
        for account in self.accounts.clone() {
            let secret_will_exist = self.secret(account);
            if secret_will_exist {
                self.service_account(account);
            }
        }
        self.spares();
    }

    /// Deletes what interrupted replacements left of secrets that are there again and hold all that is in it.
    fn spares(&mut self) {
        let host = &self.subject.desired.host;
        let spares = spares(self.subject).filter(|Spare { secret, replaced }| {
            replaced.is_some() && secret.is_covered_by(*replaced, host)
        });
        self.plan.changes.extend(
            spares.map(|spare| Change::delete_secret(&self.subject.snapshot.name, spare.secret)),
        );
    }

    /// Plans the secret; says whether it is there, or will be.
    fn secret(&mut self, account: &LinkedServiceAccount) -> bool {
        let snapshot = self.subject.snapshot;
        let existing = snapshot.secret(&account.secret);
        let token = self.token(account);
        if token == Token::Unknown {
            self.report_hidden_token(account);
            return existing.is_some();
        }
        let robot_is_new = token == Token::Planned;
        let is_renewed = token == Token::Exists && self.renews(account);
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
                        format!("Secret {secret} is of type {kind} and not ours to replace"),
                    );
                    return true;
                }
                // The replacement needs its name.
                if let Some(spare) =
                    spare.filter(|spare| !spare.is_covered_by(existing, &self.subject.desired.host))
                {
                    self.plan.blocked.push(spare_kept(self.subject, spare));
                    return true;
                }
                Change::ReplaceSecret { namespace, secret, robot, version }
            }
            _ => Change::UpdateSecret { namespace, secret, robot, version },
        };
        // A new token makes the old one invalid at once, so it is planned only together with the write of its secret.
        if is_renewed {
            self.plan.changes.push(Change::RotateRobot {
                organization: self.subject.desired.organization.clone(),
                robot: account.name.clone(),
            });
        }
        self.plan.changes.push(write);
        true
    }

    /// Reports tokens that were to be renewed and are not, unless an error says why already.
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
        let is_taken_over =
            self.plan.changes.iter().any(|change| matches!(change, Change::TakeOwnership { .. }));
        let unread = self.plan.blocked.iter().find(|finding| finding.code == Code::CouldNotRead);
        let unmarked = self.unmarked_robots();
        let reason = match unread {
            _ if is_taken_over => "the organization is taken over first".to_owned(),
            Some(finding) => lowercase_first(&finding.message),
            None if !unmarked.is_empty() => {
                format!(
                    "oc-quay did not create {}; --adopt takes the organization over",
                    unmarked.join(", ")
                )
            }
            None => "what is needed for it is not known".to_owned(),
        };
        self.plan.blocked.push(not_renewed(self.subject, &reason));
    }

    /// The namespace's robot accounts that are not ours to renew.
    fn unmarked_robots(&self) -> Vec<String> {
        let organization = self.subject.snapshot.organization();
        let exists = |account: &&LinkedServiceAccount| {
            organization.is_some_and(|found| found.robot(&account.name).is_some())
        };
        let unmarked =
            self.accounts.iter().copied().filter(exists).filter(|account| !self.renews(account));
        unmarked.map(|account| account.name.clone()).collect()
    }

    /// A secret that is wrong stays wrong if the robot account is there but its token is not shown to us: a good
    /// secret is never overwritten with a worse one, so only a new token would help.
    fn report_hidden_token(&mut self, account: &LinkedServiceAccount) {
        let is_visible = self.may_use || self.standing == Some(OwnershipState::Hidden);
        let Some(organization) = self.subject.snapshot.organization().filter(|_| is_visible) else {
            return;
        };
        let is_fine = [Some(SecretState::Current), Some(SecretState::Unverified), None];
        let state = secret_state(self.subject.desired, account, self.subject.snapshot);
        if organization.robot(&account.name).is_some() && !is_fine.contains(&state) {
            let robot = self.subject.desired.login_name(&account.name);
            let message = format!(
                "Secret {} needs the token of robot account {robot}, which Quay does not show; --rotate makes a new one",
                account.secret
            );
            self.block(Code::TokenNotReadable, "RobotAccount", &robot, message);
        }
    }

    /// Whether the token of a robot account is renewed: only of one that we made, or that is taken over.
    fn renews(&self, account: &LinkedServiceAccount) -> bool {
        let organization = self.subject.snapshot.organization();
        let is_ours = |found: &Organization| found.robot(&account.name).is_some_and(Robot::is_ours);
        self.options.rotate && (self.options.adopt || organization.is_some_and(is_ours))
    }

    fn token(&self, account: &LinkedServiceAccount) -> Token {
        let planned = |change: &Change| matches!(change, Change::CreateRobot { robot, .. } if *robot == account.name);
        if self.plan.changes.iter().any(planned) {
            return Token::Planned;
        }
        let organization = self.subject.snapshot.organization().filter(|_| self.may_use);
        match organization.and_then(|organization| organization.robot(&account.name)) {
            Some(robot) if robot.token.is_some() || self.renews(account) => Token::Exists,
            _ => Token::Unknown,
        }
    }

    fn service_account(&mut self, account: &LinkedServiceAccount) {
        let Some(service_account) = self.subject.snapshot.service_account(&account.name) else {
            return;
        };
        let missing = |list: &[String]| (!list.contains(&account.secret)).then_some(true);
        let edit = ServiceAccountEdit {
            secret: account.secret.clone(),
            mountable: missing(&service_account.mountable),
            pull: missing(&service_account.pull),
            role: (self.role_changes(account) || is_corrected(service_account, account))
                .then_some(Some(account.role)),
        };
        if edit.mountable.or(edit.pull).is_some() {
            self.plan.warnings.extend(kept_by_others(
                self.subject,
                service_account,
                &account.secret,
            ));
        }
        if edit.changes_something() {
            self.plan.changes.push(Change::EditServiceAccount {
                namespace: self.subject.snapshot.name.clone(),
                service_account: account.name.clone(),
                edit,
            });
        }
    }
}

/// Whether a person replaces an annotation that is no role. By itself it counts as none.
fn is_corrected(service_account: &ServiceAccount, account: &LinkedServiceAccount) -> bool {
    account.is_requested
        && service_account.role.as_deref().is_some_and(|role| role.parse::<Role>().is_err())
}

fn lowercase_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Whether a robot account's current token can be put into a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    /// The robot account is about to be created.
    Planned,
    /// It is there and its token is known, or will be renewed.
    Exists,
    /// Nothing is known of it.
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
