//! The dependencies between the changes of a plan, and the order in which they run.

use std::collections::{BTreeSet, HashMap};

use super::change::Change;

/// The dependency of a change on an earlier one of its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dependency {
    /// It waits, and is skipped unless the earlier one succeeds.
    OnSuccess,
    /// It waits, and is skipped if the earlier one fails, but not if that one is skipped.
    StopsOnFailure,
    /// It waits, and runs in any case.
    OnCompletion,
}

/// Changes that others depend on together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Group<'a> {
    All,
    /// They bring the namespace into scope.
    Scope,
    /// They create or adopt the organization.
    Organization,
    OrganizationDeletion,
    NewRobots,
    /// They create this robot account's current token.
    Token(&'a str),
    Rotations,
    DefaultPermissions,
    /// They change the default permission of this robot account that is not deleted as a duplicate.
    KeptDefaultPermission(&'a str),
    Repository(&'a str),
    /// Writes of any secret.
    SecretWrites,
    /// Writes of this secret.
    Secret(&'a str),
    /// Edits of the references to this secret.
    References(&'a str),
    RestoredBuildConfigs,
}

/// The groups that contain a change.
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

/// The groups that a change depends on, as far as their members precede it.
fn dependencies(change: &Change) -> Vec<(Group<'_>, Dependency)> {
    use Change::*;
    use Dependency::*;
    // Nothing is created for a namespace that could not be brought into scope.
    let mut dependencies = vec![(Group::Scope, OnSuccess)];
    dependencies.extend(needs_organization(change).then_some((Group::Organization, OnSuccess)));
    dependencies.extend(used_robot(change).map(|robot| (Group::Token(robot), OnSuccess)));
    match change {
        // A new repository gets its permissions from the default permissions at that time.
        CreateRepository { .. } => dependencies
            .extend([(Group::DefaultPermissions, OnCompletion), (Group::NewRobots, OnCompletion)]),
        DeleteDefaultPermission { robot, .. } => {
            dependencies.push((Group::KeptDefaultPermission(robot), OnSuccess))
        }
        SetRepositoryPermission { repository, .. } => {
            dependencies.push((Group::Repository(repository), OnSuccess))
        }
        // At most one token is renewed without a write of its secret: after one failed write, the
        // next one would probably fail too. A renewal without a response might have taken effect in
        // Quay.
        RotateRobot { .. } => dependencies
            .extend([(Group::Rotations, StopsOnFailure), (Group::SecretWrites, StopsOnFailure)]),
        EditServiceAccount { edit, .. } => {
            dependencies.push((Group::Secret(&edit.secret), OnSuccess))
        }
        // Neither a service account nor a restorable BuildConfig ever refers to a deleted secret.
        DeleteSecret { secret, .. } => {
            dependencies.extend([
                (Group::References(secret), OnSuccess),
                (Group::RestoredBuildConfigs, OnSuccess),
            ]);
        }
        // The namespace is kept until its organization is deleted.
        SetFinalizer { .. } | RemoveOperatorFinalizer { .. } => {
            dependencies.push((Group::OrganizationDeletion, OnSuccess))
        }
        DeleteRobot { .. } | DeleteOrganization { .. } => {
            dependencies.push((Group::All, OnSuccess))
        }
        _ => {}
    }
    dependencies
}

/// The changes of a plan that can run now, as others end. Its size is linear in that of the plan,
/// since changes that depend on a group wait for one joint node, which waits for the members.
#[derive(Debug)]
pub struct Schedule {
    /// The changes, then the joints.
    nodes: Vec<Node>,
    changes: usize,
    ready: BTreeSet<usize>,
}

#[derive(Debug)]
struct Node {
    /// The number of nodes that must end before it.
    pending: usize,
    /// The nodes that wait for it; joints wait without a condition.
    waiting: Vec<(usize, Option<Dependency>)>,
    /// For a change: a dependency is not satisfied.
    is_skipped: bool,
    /// For a joint.
    all_done: bool,
    any_failed: bool,
}

/// The next change by its index in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Apply(usize),
    Skip(usize),
}

/// The outcome of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Done,
    Failed,
    Skipped,
}

/// The members of a group: those that `joint` waits for, and those added since.
#[derive(Default)]
struct Members {
    joint: Option<usize>,
    since: Vec<usize>,
}

impl Schedule {
    pub fn new(changes: &[Change]) -> Self {
        let nodes = changes.iter().map(|_| Node::new()).collect();
        let mut schedule = Self { nodes, changes: changes.len(), ready: BTreeSet::new() };
        let mut members: HashMap<Group, Members> = HashMap::new();
        for (index, change) in changes.iter().enumerate() {
            for (group, dependency) in dependencies(change) {
                if let Some(earlier) =
                    members.get_mut(&group).and_then(|members| schedule.join(members))
                {
                    schedule.wait(index, earlier, Some(dependency));
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

    /// Returns one node that ends with the last of the members.
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

    fn wait(&mut self, later: usize, earlier: usize, dependency: Option<Dependency>) {
        self.nodes[earlier].waiting.push((later, dependency));
        self.nodes[later].pending += 1;
    }

    /// The next change that can be applied or skipped; `None` while all remaining ones wait. The
    /// caller must report its outcome with [`Schedule::end`].
    pub fn next_step(&mut self) -> Option<Step> {
        let index = self.ready.pop_first()?;
        Some(if self.nodes[index].is_skipped { Step::Skip(index) } else { Step::Apply(index) })
    }

    /// Records the outcome of a change.
    pub fn end(&mut self, index: usize, end: End) {
        let mut ended = vec![(index, end == End::Done, end == End::Failed)];
        while let Some((index, done, failed)) = ended.pop() {
            for (later, dependency) in std::mem::take(&mut self.nodes[index].waiting) {
                let node = &mut self.nodes[later];
                node.pending -= 1;
                node.all_done &= done;
                node.any_failed |= failed;
                node.is_skipped |= match dependency {
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

fn needs_organization(change: &Change) -> bool {
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
fn used_robot(change: &Change) -> Option<&String> {
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

    /// The dependencies of `later` on the groups that contain `earlier`.
    fn dependencies_between(later: &Change, earlier: &Change) -> Vec<Dependency> {
        let earlier = groups(earlier);
        dependencies(later)
            .into_iter()
            .filter(|(group, _)| earlier.contains(group))
            .map(|(_, dependency)| dependency)
            .collect()
    }

    #[test]
    fn skips_only_changes_of_the_failed_robot_account() {
        assert_eq!(
            dependencies_between(&secret("builder"), &robot("builder")),
            [Dependency::OnSuccess]
        );
        assert_eq!(dependencies_between(&secret("builder"), &robot("default")), []);
        assert_eq!(
            dependencies_between(&repository("app"), &permission("default")),
            [Dependency::OnCompletion]
        );
    }

    #[test]
    fn renews_tokens_sequentially() {
        assert_eq!(
            dependencies_between(&rotate("default"), &secret("builder")),
            [Dependency::StopsOnFailure]
        );
        assert_eq!(
            dependencies_between(&rotate("default"), &rotate("builder")),
            [Dependency::StopsOnFailure]
        );
        assert_eq!(
            dependencies_between(&secret("default"), &rotate("default")),
            [Dependency::OnSuccess]
        );
    }

    #[test]
    fn grows_linearly_with_the_plan() {
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
        /// For any order of outcomes, a change waits for its dependencies, and is applied if they
        /// are satisfied.
        #[test]
        fn runs_changes_after_their_dependencies(
            changes in prop::collection::vec(any_change(), 0..20),
            fails in prop::collection::vec(any::<bool>(), 20),
            order in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let mut schedule = Schedule::new(&changes);
            let mut ends: Vec<Option<End>> = vec![None; changes.len()];
            let mut running = Vec::new();
            for next in order {
                while let Some(step) = schedule.next_step() {
                    let (Step::Apply(index) | Step::Skip(index)) = step;
                    let mut is_ready = true;
                    for (earlier, end) in changes[..index].iter().zip(&ends) {
                        for dependency in dependencies_between(&changes[index], earlier) {
                            prop_assert!(end.is_some(), "{index} did not wait");
                            is_ready &= match dependency {
                                Dependency::OnSuccess => *end == Some(End::Done),
                                Dependency::StopsOnFailure => *end != Some(End::Failed),
                                Dependency::OnCompletion => true,
                            };
                        }
                    }
                    prop_assert_eq!(step, if is_ready { Step::Apply(index) } else { Step::Skip(index) });
                    running.push((index, is_ready));
                }
                if running.is_empty() {
                    break;
                }
                let (index, is_made) = running.swap_remove(next.index(running.len()));
                let end = if !is_made { End::Skipped } else if fails[index] { End::Failed } else { End::Done };
                ends[index] = Some(end);
                schedule.end(index, end);
            }
            prop_assert!(ends.iter().all(Option::is_some), "every change ends");
        }
    }
}
