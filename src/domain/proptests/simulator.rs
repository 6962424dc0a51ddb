//! Simulates changes on a snapshot.

use secrecy::ExposeSecret;

use super::generators::{HOST, SECRET_TYPE, token};
use crate::domain::apply_to_snapshot::apply_to_snapshot;
use crate::domain::change::Change;
use crate::domain::names::{FINALIZER, OPERATOR_FINALIZER};
use crate::domain::snapshot::*;

pub(super) fn apply(change: &Change, snapshot: &mut NamespaceSnapshot) {
    use Change::*;
    let organization =
        |snapshot: &NamespaceSnapshot| snapshot.organization.clone().unwrap().unwrap();
    match change {
        CreateOrganization { .. } => {
            return snapshot.organization = Ok(Some(Organization::empty()));
        }
        RemoveOperatorFinalizer { .. } => {
            let namespace = snapshot.namespace.as_mut().unwrap().as_mut().unwrap();
            return namespace.finalizers.retain(|finalizer| finalizer != OPERATOR_FINALIZER);
        }
        SetFinalizer { guarded, .. } => {
            let namespace = snapshot.namespace.as_mut().unwrap().as_mut().unwrap();
            namespace.finalizers.retain(|finalizer| finalizer != FINALIZER);
            return namespace.finalizers.extend(guarded.then(|| FINALIZER.to_owned()));
        }
        CreateSecret { secret, robot, .. }
        | UpdateSecret { secret, robot, .. }
        | ReplaceSecret { secret, robot, .. } => {
            let current = organization(snapshot).robot(robot).unwrap().token.clone().unwrap();
            let name = format!("parity_golden+{robot}");
            let mut written = super::generators::secret(
                robot,
                SECRET_TYPE,
                HOST,
                &name,
                current.expose_secret().into(),
            );
            written.managed = true;
            let secrets = snapshot.secrets.as_mut().unwrap();
            assert_eq!(
                matches!(change, CreateSecret { .. }),
                !secrets.iter().any(|existing| existing.name == *secret)
            );
            secrets.retain(|existing| existing.name != *secret);
            return secrets.push(written);
        }
        DeleteSecret { secret, .. } => {
            return snapshot.secrets.as_mut().unwrap().retain(|existing| existing.name != *secret);
        }
        EditServiceAccount { service_account, edit, .. } => {
            let accounts = snapshot.service_accounts.as_mut().unwrap();
            let account =
                accounts.iter_mut().find(|account| account.name == *service_account).unwrap();
            for (list, wanted) in
                [(&mut account.mountable, edit.mountable), (&mut account.pull, edit.pull)]
            {
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
    let mut edited = Some(organization(snapshot));
    let new_token = match change {
        CreateRobot { robot, .. } => Some(token(robot, 7).into()),
        RotateRobot { robot, .. } => Some(token(robot, 8).into()),
        _ => None,
    };
    apply_to_snapshot(&mut edited, change, new_token);
    snapshot.organization = Ok(edited);
}
