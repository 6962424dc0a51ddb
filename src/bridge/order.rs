//! Which changes of a plan may run at the same time, and which must wait for which.

use super::change::Change;

/// What a change has to do with an earlier one of its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It waits, and is skipped if the earlier one failed.
    Requires,
    /// It waits, and is skipped if the earlier one was tried and failed.
    StopsOnFailure,
    /// It waits, whatever becomes of the earlier one.
    Follows,
}

/// What `later` has to do with `earlier`; none if they may run at the same time.
pub fn after(later: &Change, earlier: &Change) -> Option<After> {
    use After::*;
    use Change::*;
    match (earlier, later) {
        // Nothing is made for a namespace that could not be brought into scope.
        (EditScope(_) | MarkNamespace { .. }, _) => Some(Requires),
        (TakeOwnership { .. } | Adopt { .. } | CreateOrganization { .. }, later) if is_in_quay(later) => Some(Requires),
        (CreateRobot { robot: made, .. } | RotateRobot { robot: made, .. }, later) if uses_robot(later) == Some(made) => {
            Some(Requires)
        }
        // A new repository takes its rights from the default permissions there are at that moment.
        (
            CreateDefaultPermission { .. } | ChangeDefaultPermission { .. } | DeleteDefaultPermission { .. },
            CreateRepository { .. },
        ) => Some(Follows),
        (CreateRobot { .. }, CreateRepository { .. }) => Some(Follows),
        (ChangeDefaultPermission { robot: kept, .. }, DeleteDefaultPermission { robot, .. }) if kept == robot => Some(Requires),
        (CreateRepository { repository: made, .. }, GrantRepository { repository, .. }) if made == repository => Some(Requires),
        // One robot account is without a good secret at a time. After a secret that could not be written, the next one most
        // likely cannot be written either; one that was left out, as its token was not renewed, still holds a good login.
        (CreateSecret { .. } | UpdateSecret { .. } | ReplaceSecret { .. }, RotateRobot { .. }) => Some(StopsOnFailure),
        (
            CreateSecret { secret: written, .. } | UpdateSecret { secret: written, .. } | ReplaceSecret { secret: written, .. },
            EditServiceAccount { edit, .. },
        ) if *written == edit.secret => Some(Requires),
        // No service account ever refers to a secret that is gone.
        (EditServiceAccount { edit, .. }, DeleteSecret { secret, .. }) if edit.secret == *secret => Some(Requires),
        // Nor does a BuildConfig that can be put back.
        (RestoreBuildConfig { .. }, DeleteSecret { .. }) => Some(Requires),
        // As long as the organization is there, the namespace waits for it.
        (DeleteOrganization { .. }, GuardNamespace { .. } | ReleaseNamespace { .. }) => Some(Requires),
        (_, DeleteRobot { .. } | DeleteOrganization { .. }) => Some(Requires),
        _ => None,
    }
}

/// Whether a change needs the organization.
fn is_in_quay(change: &Change) -> bool {
    use Change::*;
    !matches!(
        change,
        EditScope(_)
            | MarkNamespace { .. }
            | ReleaseNamespace { .. }
            | GuardNamespace { .. }
            | EditServiceAccount { .. }
            | DeleteSecret { .. }
            | RewriteBuildConfig { .. }
            | RestoreBuildConfig { .. }
    )
}

/// The robot account that a change needs to exist, with its current token.
fn uses_robot(change: &Change) -> Option<&String> {
    use Change::*;
    match change {
        CreateDefaultPermission { robot, .. }
        | GrantRepository { robot, .. }
        | CreateSecret { robot, .. }
        | UpdateSecret { robot, .. }
        | ReplaceSecret { robot, .. } => Some(robot),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::Role;

    fn robot(name: &str) -> Change {
        Change::CreateRobot { organization: "o".into(), robot: name.into(), mark: "m".into() }
    }

    fn secret(name: &str) -> Change {
        Change::CreateSecret { namespace: "n".into(), secret: format!("{name}-quay-c"), robot: name.into() }
    }

    #[test]
    fn one_robot_account_that_fails_does_not_stop_the_others() {
        assert_eq!(after(&secret("builder"), &robot("builder")), Some(After::Requires));
        assert_eq!(after(&secret("builder"), &robot("default")), None);
        let repository = Change::CreateRepository { organization: "o".into(), repository: "app".into() };
        let permission = Change::CreateDefaultPermission { organization: "o".into(), robot: "default".into(), role: Role::Read };
        assert_eq!(after(&repository, &permission), Some(After::Follows));
    }

    #[test]
    fn tokens_are_renewed_one_by_one() {
        let rotate = |name: &str| Change::RotateRobot { organization: "o".into(), robot: name.into() };
        assert_eq!(after(&rotate("default"), &secret("builder")), Some(After::StopsOnFailure));
        assert_eq!(after(&secret("default"), &rotate("default")), Some(After::Requires));
    }
}
