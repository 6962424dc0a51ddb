//! Which changes of a plan may run at the same time, and which must wait for which.

use std::collections::{BTreeSet, HashMap};

use super::change::Change;

/// What a change has to do with an earlier one of its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dependency {
    /// It waits, and is skipped if the earlier one failed.
    OnSuccess,
    /// It waits, and is skipped if the earlier one was tried and failed.
    StopsOnFailure,
    /// It waits, whatever becomes of the earlier one.
    OnCompletion,
}

/// Changes that have something in common for those that wait for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Group<'a> {
    /// Every change.
    All,
    /// They bring the namespace into scope.
    Scope,
    /// They make the organization, or make it ours.
    Organization,
    /// They delete the organization.
    OrganizationDeletion,
    /// They create robot accounts.
    NewRobots,
    /// They make this robot account's current token.
    Token(&'a str),
    /// They renew tokens.
    Rotations,
    /// They are about default permissions.
    DefaultPermissions,
    /// They change the default permission of this robot account that is kept.
    KeptDefaultPermission(&'a str),
    /// They create this repository.
    Repository(&'a str),
    /// They write secrets.
    SecretWrites,
    /// They write this secret.
    Secret(&'a str),
    /// They edit the references to this secret.
    References(&'a str),
    /// They restore BuildConfigs.
    RestoredBuildConfigs,
}

/// The groups that a change is in.
fn groups(change: &Change) -> Vec<Group<'_>> {
    use Change::*;
    let mut groups = vec![Group::All];
    groups.extend_from_slice(&match change {
        EditScope(_) | AnnotateNamespace { .. } => vec![Group::Scope],
        TakeOwnership { .. } | Adopt { .. } | CreateOrganization { .. } => {
            vec![Group::Organization]
        }
        DeleteOrganization { .. } => vec![Group::OrganizationDeletion],
        CreateRobot { robot, .. } => vec![Group::NewRobots, Group::Token(robot)],
        RotateRobot { robot, .. } => vec![Group::Rotations, Group::Token(robot)],
        CreateDefaultPermission { .. } | DeleteDefaultPermission { .. } => {
            vec![Group::DefaultPermissions]
        }
        ChangeDefaultPermission { robot, .. } => {
            vec![Group::DefaultPermissions, Group::KeptDefaultPermission(robot)]
        }
        CreateRepository { repository, .. } => vec![Group::Repository(repository)],
        CreateSecret { secret, .. }
        | UpdateSecret { secret, .. }
        | ReplaceSecret { secret, .. } => {
            vec![Group::SecretWrites, Group::Secret(secret)]
        }
        EditServiceAccount { edit, .. } => vec![Group::References(&edit.secret)],
        RestoreBuildConfig { .. } => vec![Group::RestoredBuildConfigs],
        _ => vec![],
    });
    groups
}

/// The groups of which a change waits for the earlier members.
fn waits(change: &Change) -> Vec<(Group<'_>, Dependency)> {
    use Change::*;
    use Dependency::*;
    // Nothing is made for a namespace that could not be brought into scope.
    let mut waits = vec![(Group::Scope, OnSuccess)];
    waits.extend(is_in_quay(change).then_some((Group::Organization, OnSuccess)));
    waits.extend(uses_robot(change).map(|robot| (Group::Token(robot), OnSuccess)));
    match change {
        // A new repository takes its rights from the default permissions there are at that moment.
        CreateRepository { .. } => waits
            .extend([(Group::DefaultPermissions, OnCompletion), (Group::NewRobots, OnCompletion)]),
        DeleteDefaultPermission { robot, .. } => {
            waits.push((Group::KeptDefaultPermission(robot), OnSuccess))
        }
        SetRepositoryPermission { repository, .. } => {
            waits.push((Group::Repository(repository), OnSuccess))
        }
        // At most one token is ever renewed without its secret. After a secret that could not be written, the next one most
        // likely cannot be written either; of a renewal that failed without an answer, Quay may have made the new token.
        RotateRobot { .. } => waits
            .extend([(Group::Rotations, StopsOnFailure), (Group::SecretWrites, StopsOnFailure)]),
        EditServiceAccount { edit, .. } => waits.push((Group::Secret(&edit.secret), OnSuccess)),
        // No service account ever refers to a secret that is gone. Nor does a BuildConfig that can be put back.
        DeleteSecret { secret, .. } => {
            waits.extend([
                (Group::References(secret), OnSuccess),
                (Group::RestoredBuildConfigs, OnSuccess),
            ]);
        }
        // As long as the organization is there, the namespace waits for it.
        SetFinalizer { .. } | RemoveOperatorFinalizer { .. } => {
            waits.push((Group::OrganizationDeletion, OnSuccess))
        }
        DeleteRobot { .. } | DeleteOrganization { .. } => waits.push((Group::All, OnSuccess)),
        _ => {}
    }
    waits
}

/// Which changes of a plan may be made now, as those before them end. Its size is that of the plan, however many changes
/// wait for many others: those that wait for a group wait for one joint that waits for its members.
#[derive(Debug)]
pub struct Schedule {
    /// The changes, then the joints.
    nodes: Vec<Node>,
    changes: usize,
    ready: BTreeSet<usize>,
}

#[derive(Debug)]
struct Node {
    /// So many others have to end before it.
    pending: usize,
    /// Those that wait for it; a joint for its members, without a condition.
    waiting: Vec<(usize, Option<Dependency>)>,
    /// A change is skipped, since something before it did not go well.
    is_skipped: bool,
    /// Of a joint: all before it were done, and one of them failed.
    all_done: bool,
    any_failed: bool,
}

/// What is to become of a change now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is made.
    Make(usize),
    /// It is left out.
    Skip(usize),
}

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has its effect.
    Done,
    /// It was tried and has none.
    Failed,
    /// It was left out.
    Skipped,
}

/// The members of a group so far.
#[derive(Default)]
struct Members {
    joint: Option<usize>,
    since: Vec<usize>,
}

impl Schedule {
    /// The schedule of a plan.
    pub fn new(changes: &[Change]) -> Self {
        let nodes = changes.iter().map(|_| Node::new()).collect();
        let mut schedule = Self { nodes, changes: changes.len(), ready: BTreeSet::new() };
        let mut members: HashMap<Group, Members> = HashMap::new();
        for (index, change) in changes.iter().enumerate() {
            for (group, after) in waits(change) {
                if let Some(earlier) =
                    members.get_mut(&group).and_then(|members| schedule.join(members))
                {
                    schedule.wait(index, earlier, Some(after));
                }
            }
            groups(change)
                .into_iter()
                .for_each(|group| members.entry(group).or_default().since.push(index));
        }
        schedule.ready =
            (0..changes.len()).filter(|index| schedule.nodes[*index].pending == 0).collect();
        schedule
    }

    /// One node that ends when all members have.
    fn join(&mut self, members: &mut Members) -> Option<usize> {
        match (members.joint, members.since.as_slice()) {
            (joint, []) => joint,
            (None, [one]) => Some(*one),
            (joint, _) => {
                self.nodes.push(Node::new());
                let new = self.nodes.len() - 1;
                joint
                    .into_iter()
                    .chain(members.since.drain(..))
                    .for_each(|earlier| self.wait(new, earlier, None));
                members.joint = Some(new);
                members.joint
            }
        }
    }

    fn wait(&mut self, later: usize, earlier: usize, after: Option<Dependency>) {
        self.nodes[earlier].waiting.push((later, after));
        self.nodes[later].pending += 1;
    }

    /// The first change of the plan of which is known now what is to become of it; none while all that are left wait. Each
    /// has to be ended with [`Schedule::end`].
    pub fn step(&mut self) -> Option<Step> {
        let index = self.ready.pop_first()?;
        Some(if self.nodes[index].is_skipped { Step::Skip(index) } else { Step::Make(index) })
    }

    /// A change ended.
    pub fn end(&mut self, index: usize, end: End) {
        let mut ended = vec![(index, end == End::Done, end == End::Failed)];
        while let Some((index, done, failed)) = ended.pop() {
            for (later, after) in std::mem::take(&mut self.nodes[index].waiting) {
                let node = &mut self.nodes[later];
                node.pending -= 1;
                node.all_done &= done;
                node.any_failed |= failed;
                node.is_skipped |= match after {
                    Some(Dependency::OnSuccess) => !done,
                    Some(Dependency::StopsOnFailure) => failed,
                    Some(Dependency::OnCompletion) | None => false,
                };
                if node.pending > 0 {
                    continue;
                }
                if later < self.changes {
                    self.ready.insert(later);
                } else {
                    ended.push((later, node.all_done, node.any_failed));
                }
            }
        }
    }
}

impl Node {
    fn new() -> Self {
        Self { pending: 0, waiting: vec![], is_skipped: false, all_done: true, any_failed: false }
    }
}

/// Whether a change needs the organization.
fn is_in_quay(change: &Change) -> bool {
    use Change::*;
    !matches!(
        change,
        EditScope(_)
            | AnnotateNamespace { .. }
            | RemoveOperatorFinalizer { .. }
            | SetFinalizer { .. }
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
        | SetRepositoryPermission { robot, .. }
        | CreateSecret { robot, .. }
        | UpdateSecret { robot, .. }
        | ReplaceSecret { robot, .. } => Some(robot),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Role;
    use crate::domain::change::ServiceAccountEdit;

    fn robot(name: &str) -> Change {
        Change::CreateRobot { organization: "o".into(), robot: name.into(), mark: "m".into() }
    }

    fn secret(name: &str) -> Change {
        Change::CreateSecret {
            namespace: "n".into(),
            secret: format!("{name}-quay-c"),
            robot: name.into(),
        }
    }

    fn rotate(name: &str) -> Change {
        Change::RotateRobot { organization: "o".into(), robot: name.into() }
    }

    fn repository(name: &str) -> Change {
        Change::CreateRepository { organization: "o".into(), repository: name.into() }
    }

    fn permission(robot: &str) -> Change {
        Change::CreateDefaultPermission {
            organization: "o".into(),
            robot: robot.into(),
            role: Role::Read,
        }
    }

    fn grant(repository: &str, robot: &str) -> Change {
        let (organization, role) = ("o".into(), Role::Read);
        Change::SetRepositoryPermission {
            organization,
            repository: repository.into(),
            robot: robot.into(),
            role,
        }
    }

    fn account(name: &str) -> Change {
        let edit = ServiceAccountEdit {
            secret: format!("{name}-quay-c"),
            mountable: Some(true),
            pull: Some(true),
            role: None,
        };
        Change::EditServiceAccount { namespace: "n".into(), service_account: name.into(), edit }
    }

    /// What `later` has to do with each group that `earlier` is in.
    fn after(later: &Change, earlier: &Change) -> Vec<Dependency> {
        let earlier = groups(earlier);
        waits(later)
            .into_iter()
            .filter(|(group, _)| earlier.contains(group))
            .map(|(_, after)| after)
            .collect()
    }

    #[test]
    fn one_robot_account_that_fails_does_not_stop_the_others() {
        assert_eq!(after(&secret("builder"), &robot("builder")), [Dependency::OnSuccess]);
        assert_eq!(after(&secret("builder"), &robot("default")), []);
        assert_eq!(after(&repository("app"), &permission("default")), [Dependency::OnCompletion]);
    }

    #[test]
    fn tokens_are_renewed_one_by_one() {
        assert_eq!(after(&rotate("default"), &secret("builder")), [Dependency::StopsOnFailure]);
        assert_eq!(after(&rotate("default"), &rotate("builder")), [Dependency::StopsOnFailure]);
        assert_eq!(after(&secret("default"), &rotate("default")), [Dependency::OnSuccess]);
    }

    #[test]
    fn grows_with_the_plan_and_not_with_its_square() {
        let names = || (0..300).map(|number| number.to_string());
        let mut changes = vec![Change::CreateOrganization { organization: "o".into() }];
        changes.extend(names().flat_map(|name| [robot(&name), permission(&name)]));
        changes.extend(names().map(|name| repository(&name)));
        changes.extend(
            names().flat_map(|repository| names().map(move |robot| grant(&repository, &robot))),
        );
        changes.extend(names().flat_map(|name| [rotate(&name), secret(&name), account(&name)]));
        changes
            .extend(names().map(|robot| Change::DeleteRobot { organization: "o".into(), robot }));
        let schedule = Schedule::new(&changes);
        let edges: usize = schedule.nodes.iter().map(|node| node.waiting.len()).sum();
        assert!(
            schedule.nodes.len() < 2 * changes.len() && edges < 6 * changes.len(),
            "{edges} of {}",
            changes.len()
        );
    }

    fn any_change() -> impl Strategy<Value = Change> {
        let organization = || "o".to_owned();
        (0..13, prop::sample::select(vec!["a", "b", "c"])).prop_map(
            move |(kind, name)| match kind {
                0 => Change::CreateOrganization { organization: organization() },
                1 => robot(name),
                2 => rotate(name),
                3 => permission(name),
                4 => Change::ChangeDefaultPermission {
                    organization: organization(),
                    id: "i".into(),
                    robot: name.into(),
                    from: Role::Read,
                    to: Role::Write,
                },
                5 => Change::DeleteDefaultPermission {
                    organization: organization(),
                    id: "i".into(),
                    robot: name.into(),
                    role: Role::Read,
                },
                6 => repository(name),
                7 => grant(name, name),
                8 => secret(name),
                9 => account(name),
                10 => {
                    let secret = format!("{name}-quay-c");
                    Change::DeleteSecret {
                        namespace: "n".into(),
                        secret,
                        uid: String::new(),
                        version: String::new(),
                    }
                }
                11 => Change::DeleteRobot { organization: organization(), robot: name.into() },
                _ => Change::AnnotateNamespace { namespace: "n".into(), linked: true },
            },
        )
    }

    proptest! {
        /// Whatever ends when and how: a change comes after all that it waits for, and is made if they went well.
        #[test]
        fn each_change_comes_after_those_that_it_waits_for(
            changes in prop::collection::vec(any_change(), 0..20),
            fails in prop::collection::vec(any::<bool>(), 20),
            order in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let mut schedule = Schedule::new(&changes);
            let mut ends: Vec<Option<End>> = vec![None; changes.len()];
            let mut running = Vec::new();
            for next in order {
                while let Some(step) = schedule.step() {
                    let (Step::Make(index) | Step::Skip(index)) = step;
                    let mut is_to_be_made = true;
                    for (earlier, end) in changes[..index].iter().zip(&ends) {
                        for after in after(&changes[index], earlier) {
                            prop_assert!(end.is_some(), "{index} did not wait");
                            is_to_be_made &= match after {
                                Dependency::OnSuccess => *end == Some(End::Done),
                                Dependency::StopsOnFailure => *end != Some(End::Failed),
                                Dependency::OnCompletion => true,
                            };
                        }
                    }
                    prop_assert_eq!(step, if is_to_be_made { Step::Make(index) } else { Step::Skip(index) });
                    running.push((index, is_to_be_made));
                }
                if running.is_empty() {
                    break;
                }
                let (index, is_made) = running.swap_remove(next.index(running.len()));
                let end = if !is_made { End::Skipped } else if fails[index] { End::Failed } else { End::Done };
                ends[index] = Some(end);
                schedule.end(index, end);
            }
            prop_assert!(ends.iter().all(Option::is_some), "all come to an end");
        }
    }
}
