//! Plans around the deletion of a namespace whose organization is to go with it.

use super::{Options, Plan, Planner};
use crate::domain::change::Change;
use crate::domain::checks::Assessed;
use crate::domain::deletion_policy::DeletionPolicy;
use crate::domain::ownership::OwnershipState;
use crate::domain::snapshot::Organization;

/// What is to be done, and the organization that stays against what was asked for, with the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanupPlan {
    /// The changes, and what could not be read.
    pub plan: Plan,
    /// Why the organization stays although it was to go.
    pub left_behind: Option<String>,
}

/// Plans our finalizer: on a namespace whose organization is to go with it, off any other.
pub fn plan_finalizer(subject: &Assessed, all: DeletionPolicy) -> Option<Change> {
    let namespace = subject.snapshot.namespace.as_ref().ok()?.as_ref()?;
    let wanted =
        subject.is_to_be_linked() && DeletionPolicy::of(namespace, all) == DeletionPolicy::Delete;
    (wanted != namespace.is_guarded() && !namespace.terminating).then(|| Change::SetFinalizer {
        namespace: subject.snapshot.name.clone(),
        organization: subject.desired.organization.clone(),
        guarded: wanted,
    })
}

/// Plans what a namespace that is being deleted waits for: the organization goes if that was asked for and it is
/// certain that it was made for this namespace, then the finalizers.
pub fn plan_cleanup(subject: &Assessed, all: DeletionPolicy) -> CleanupPlan {
    let mut planner = Planner::new(subject, Options::default());
    let Some(namespace) = subject
        .snapshot
        .namespace
        .iter()
        .flatten()
        .next()
        .filter(|namespace| namespace.terminating)
    else {
        return CleanupPlan::default();
    };
    let mut left_behind = None;
    let is_to_go = namespace.is_guarded()
        && subject.scope().is_in()
        && DeletionPolicy::of(namespace, all) == DeletionPolicy::Delete;
    if is_to_go {
        let name = subject.desired.organization.clone();
        match &subject.snapshot.organization {
            Ok(None) => {}
            Ok(Some(organization)) if organization.administered && organization.robots.is_err() => {
                planner.block_unread("RobotAccount", &name, &organization.robots);
                return CleanupPlan { plan: planner.plan, left_behind };
            }
            Ok(Some(organization)) => match stays(organization, subject) {
                None => {
                    planner.plan.changes.push(Change::DeleteOrganization { organization: name })
                }
                why => left_behind = why.map(str::to_owned),
            },
            unread => {
                planner.block_unread("Organization", &name, unread);
                return CleanupPlan { plan: planner.plan, left_behind };
            }
        }
    }
    planner.release(Some(namespace));
    CleanupPlan { plan: planner.plan, left_behind }
}

/// Why an organization is not deleted, whatever was asked for.
fn stays(organization: &Organization, subject: &Assessed) -> Option<&'static str> {
    if !organization.administered {
        return Some("the token may not administer it");
    }
    match subject.claim().standing(organization) {
        OwnershipState::Others(..) if organization.adopted_by.is_some() => {
            Some("it was taken over for another namespace, or an earlier one of this name")
        }
        OwnershipState::Others(..) => {
            Some("it was made for another namespace, or an earlier one of this name")
        }
        OwnershipState::Ours if organization.is_created() => None,
        _ => Some("nothing in it shows that oc-quay created it"),
    }
}
