//! The effect of a change on the snapshot of an organization.

use std::collections::BTreeSet;

use secrecy::SecretString;

use super::change::Change;
use super::ownership_mark::OwnershipMark;
use super::snapshot::{DefaultPermission, Organization, Robot};

/// Applies a change to a snapshot. `token` is the robot account's new token. The id of a new
/// default permission is unknown and therefore empty.
pub fn apply_to_snapshot(
    organization: &mut Option<Organization>,
    change: &Change,
    token: Option<SecretString>,
) {
    use Change::*;
    match change {
        CreateOrganization { .. } => *organization = Some(Organization::empty()),
        DeleteOrganization { .. } => *organization = None,
        _ => {}
    }
    let Some(organization) = organization else { return };
    match change {
        TakeOwnership { .. } => organization.administered = true,
        Adopt { mark, robots, .. } => {
            organization.adopted_by = OwnershipMark::parse(mark);
            robots
                .iter()
                .for_each(|robot| edit_robot(organization, robot, |robot| robot.is_adopted = true));
        }
        CreateRobot { robot, mark, .. } => {
            let (name, mark) = (robot.clone(), OwnershipMark::parse(mark));
            organization.robots.iter_mut().for_each(|robots| {
                robots.push(Robot {
                    name: name.clone(),
                    mark: mark.clone(),
                    is_adopted: false,
                    token: token.clone(),
                    repositories: BTreeSet::new(),
                });
            });
        }
        RotateRobot { robot, .. } => {
            edit_robot(organization, robot, |robot| robot.token.clone_from(&token))
        }
        DeleteRobot { robot: name, .. } => {
            organization
                .robots
                .iter_mut()
                .for_each(|robots| robots.retain(|robot| robot.name != *name));
            let permissions = &mut organization.default_permissions;
            permissions
                .iter_mut()
                .for_each(|permissions| permissions.retain(|permission| permission.robot != *name));
        }
        CreateDefaultPermission { robot, role, .. } => {
            let permission =
                DefaultPermission { id: String::new(), robot: robot.clone(), role: *role };
            organization
                .default_permissions
                .iter_mut()
                .for_each(|permissions| permissions.push(permission.clone()));
        }
        ChangeDefaultPermission { id, to, .. } => {
            let permissions = organization.default_permissions.iter_mut().flatten();
            permissions
                .filter(|permission| permission.id == *id)
                .for_each(|permission| permission.role = *to);
        }
        DeleteDefaultPermission { id, .. } => {
            let permissions = &mut organization.default_permissions;
            permissions
                .iter_mut()
                .for_each(|permissions| permissions.retain(|permission| permission.id != *id));
        }
        CreateRepository { repository, .. } => {
            organization.repositories.iter_mut().for_each(|repositories| {
                repositories.insert(repository.clone());
            });
            let permissions: Vec<_> =
                organization.default_permissions.iter().flatten().cloned().collect();
            // A new repository gets its permissions from the default permissions.
            permissions
                .iter()
                .for_each(|permission| add_permission(organization, repository, &permission.robot));
        }
        SetRepositoryPermission { repository, robot, .. } => {
            add_permission(organization, repository, robot)
        }
        _ => {}
    }
}

fn add_permission(organization: &mut Organization, repository: &str, robot: &str) {
    edit_robot(organization, robot, |robot| {
        robot.repositories.insert(repository.to_owned());
    });
}

fn edit_robot(organization: &mut Organization, name: &str, edit: impl FnOnce(&mut Robot)) {
    let robot = organization.robots.iter_mut().flatten().find(|robot| robot.name == name);
    if let Some(robot) = robot {
        edit(robot);
    }
}
