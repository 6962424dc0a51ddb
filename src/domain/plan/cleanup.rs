//! Plans for the deletion of a namespace, with or without its organization.

use super::{Options, Plan, Planner};
use crate::domain::change::Change;
use crate::domain::checks::Assessed;
use crate::domain::deletion_policy::DeletionPolicy;
use crate::domain::ownership::OwnershipState;
use crate::domain::snapshot::Organization;

/// The last changes for a namespace that is being deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanupPlan {
    /// The changes, and the parts that could not be read.
    pub plan: Plan,
    /// The reason why the organization is kept although the deletion policy is `Delete`.
    pub left_behind: Option<String>,
}

/// Plans our finalizer, which only namespaces with the deletion policy `Delete` have.
pub fn plan_finalizer(subject: &Assessed, all: DeletionPolicy) -> Option<Change> {
    let namespace = subject.snapshot.namespace.as_ref().ok()?.as_ref()?;
    let wanted = subject.is_to_be_linked()
        && DeletionPolicy::for_namespace(namespace, all) == DeletionPolicy::Delete;
    (wanted != namespace.has_finalizer() && !namespace.terminating).then(|| Change::SetFinalizer {
        namespace: subject.snapshot.name.clone(),
        organization: subject.desired.organization.clone(),
        guarded: wanted,
    })
}

/// Plans the deletion of the organization, if the policy is `Delete` and it was provably created
/// for this namespace, and then the removal of the finalizers.
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
    let is_deleted = namespace.has_finalizer()
        && subject.scope().is_in()
        && DeletionPolicy::for_namespace(namespace, all) == DeletionPolicy::Delete;
    if is_deleted {
        let name = subject.desired.organization.clone();
        match &subject.snapshot.organization {
            Ok(None) => {}
            Ok(Some(organization)) if organization.administered && organization.robots.is_err() => {
                planner.block_unread("RobotAccount", &name, &organization.robots);
                return CleanupPlan { plan: planner.plan, left_behind };
            }
            Ok(Some(organization)) => match retain_reason(organization, subject) {
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
    planner.remove_finalizers(Some(namespace));
    CleanupPlan { plan: planner.plan, left_behind }
}

/// The reason to keep an organization, whatever the deletion policy is.
fn retain_reason(organization: &Organization, subject: &Assessed) -> Option<&'static str> {
    if !organization.administered {
        return Some("the token cannot administer it");
    }
    match subject.claim().ownership_of(organization) {
        OwnershipState::Others(..) if organization.adopted_by.is_some() => {
            Some("it was adopted for another namespace, or a previous one of this name")
        }
        OwnershipState::Others(..) => {
            Some("it was created for another namespace, or a previous one of this name")
        }
        OwnershipState::Ours if organization.is_created() => None,
        _ => Some("no ownership mark proves that oc-quay created it"),
    }
}
