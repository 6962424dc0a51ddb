//! What changes do, on a snapshot instead of on servers.

use std::collections::BTreeSet;

use secrecy::ExposeSecret;

use super::generate::{HOST, SECRET_TYPE, token};
use crate::bridge::change::Change;
use crate::bridge::mark::Mark;
use crate::bridge::names::OPERATOR_FINALIZER;
use crate::bridge::snapshot::*;

/// What a change does, on a snapshot instead of on servers.
pub(super) fn apply(change: &Change, snapshot: &mut NamespaceSnapshot) {
    use Change::*;
    let organization = |snapshot: &NamespaceSnapshot| snapshot.organization.clone().unwrap().unwrap();
    match change {
        CreateOrganization { .. } => return snapshot.organization = Ok(Some(Organization::empty())),
        DeleteOrganization { .. } => return snapshot.organization = Ok(None),
        ReleaseNamespace { .. } => {
            let namespace = snapshot.namespace.as_mut().unwrap().as_mut().unwrap();
            return namespace.finalizers.retain(|finalizer| finalizer != OPERATOR_FINALIZER);
        }
        CreateSecret { secret, robot, .. } | UpdateSecret { secret, robot, .. } | ReplaceSecret { secret, robot, .. } => {
            let current = organization(snapshot).robot(robot).unwrap().token.clone().unwrap();
            let name = format!("parity_golden+{robot}");
            let mut written = super::generate::secret(robot, SECRET_TYPE, HOST, &name, current.expose_secret().into());
            written.managed = true;
            let secrets = snapshot.secrets.as_mut().unwrap();
            assert_eq!(matches!(change, CreateSecret { .. }), !secrets.iter().any(|existing| existing.name == *secret));
            secrets.retain(|existing| existing.name != *secret);
            return secrets.push(written);
        }
        DeleteSecret { secret, .. } => return snapshot.secrets.as_mut().unwrap().retain(|existing| existing.name != *secret),
        EditServiceAccount { service_account, edit, .. } => {
            let accounts = snapshot.service_accounts.as_mut().unwrap();
            let account = accounts.iter_mut().find(|account| account.name == *service_account).unwrap();
            for (list, wanted) in [(&mut account.mountable, edit.mountable), (&mut account.pull, edit.pull)] {
                match wanted {
                    Some(true) => list.push(edit.secret.clone()),
                    Some(false) => list.retain(|name| *name != edit.secret),
                    None => {}
                }
            }
            if let Some(role) = edit.role {
                account.role = role.map(|role| role.to_string());
            }
            return;
        }
        _ => {}
    }
    let mut edited = organization(snapshot);
    match change {
        TakeOwnership { .. } => edited.administered = true,
        Adopt { mark, .. } => edited.adopted_by = Mark::parse(mark),
        CreateRobot { robot, mark, .. } => edited.robots.as_mut().unwrap().push(Robot {
            name: robot.clone(),
            mark: Mark::parse(mark),
            token: Some(token(robot, 7).into()),
            repositories: BTreeSet::new(),
        }),
        RotateRobot { robot, .. } => robot_mut(&mut edited, robot).token = Some(token(robot, 8).into()),
        DeleteRobot { robot, .. } => {
            edited.robots.as_mut().unwrap().retain(|existing| existing.name != *robot);
            if let Ok(permissions) = &mut edited.default_permissions {
                permissions.retain(|permission| permission.robot != *robot);
            }
        }
        CreateDefaultPermission { robot, role, .. } => edited.default_permissions.as_mut().unwrap().push(DefaultPermission {
            id: format!("new-{robot}"),
            robot: robot.clone(),
            role: *role,
        }),
        ChangeDefaultPermission { id, to, .. } => {
            let permissions = edited.default_permissions.as_mut().unwrap();
            permissions.iter_mut().find(|permission| permission.id == *id).unwrap().role = *to;
        }
        DeleteDefaultPermission { id, .. } => {
            edited.default_permissions.as_mut().unwrap().retain(|permission| permission.id != *id)
        }
        CreateRepository { repository, .. } => {
            edited.repositories.as_mut().unwrap().insert(repository.clone());
            for permission in edited.default_permissions.clone().into_iter().flatten() {
                if let Ok(robots) = &mut edited.robots {
                    let robot = robots.iter_mut().find(|robot| robot.name == permission.robot);
                    robot.map(|robot| robot.repositories.insert(repository.clone()));
                }
            }
        }
        GrantRepository { repository, robot, .. } => {
            robot_mut(&mut edited, robot).repositories.insert(repository.clone());
        }
        other => panic!("not a change of an organization: {other:?}"),
    }
    snapshot.organization = Ok(Some(edited));
}

fn robot_mut<'a>(organization: &'a mut Organization, name: &str) -> &'a mut Robot {
    organization.robots.as_mut().unwrap().iter_mut().find(|robot| robot.name == name).unwrap()
}
