//! A change: one thing that a command does to the cluster or to Quay, as a value.

use serde::Serialize;

use super::Role;
use super::finding::ObjectRef;
use super::snapshot::{OriginalOutput, RawOutput, Secret};

/// One change. Each is idempotent: applied to a state that already has its effect, it does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Edit the namespace lists of the QuayIntegration so that a namespace is in (or out of) its scope.
    EditScope(ScopeEdit),
    /// Mark (or unmark) a namespace that is excluded by name as linked on request.
    AnnotateNamespace { namespace: String, linked: bool },
    /// Remove the operator's finalizer from a namespace, so that deleting it does not delete its organization.
    RemoveOperatorFinalizer { namespace: String, organization: String },
    /// Put our finalizer on a namespace, so that its organization goes with it, or take it off.
    SetFinalizer { namespace: String, organization: String, guarded: bool },
    /// Become an owner of an organization (superusers only).
    TakeOwnership { organization: String },
    /// Record in an organization that it and these robot accounts are the namespace's of this mark now. `former` says what it
    /// was, `which was made for ...`; it is empty where only the robot accounts are taken over, or nothing is.
    Adopt { organization: String, mark: String, former: String, robots: Vec<String> },
    /// Create an organization.
    CreateOrganization { organization: String },
    /// Delete an organization with all its images. Never planned unless named and confirmed by a person.
    DeleteOrganization { organization: String },
    /// Create a robot account with our mark as its description.
    CreateRobot { organization: String, robot: String, mark: String },
    /// Give a robot account a new token; the old one stops working.
    RotateRobot { organization: String, robot: String },
    /// Delete a robot account, with its default permissions and rights.
    DeleteRobot { organization: String, robot: String },
    /// Give a robot account its role on repositories created later.
    CreateDefaultPermission { organization: String, robot: String, role: Role },
    /// Change the role of a default permission.
    ChangeDefaultPermission {
        organization: String,
        id: String,
        robot: String,
        from: Role,
        to: Role,
    },
    /// Delete a default permission that another one of the same robot account makes superfluous.
    DeleteDefaultPermission { organization: String, id: String, robot: String, role: Role },
    /// Create a private repository.
    CreateRepository { organization: String, repository: String },
    /// Give a robot account a role on one repository.
    SetRepositoryPermission { organization: String, repository: String, robot: String, role: Role },
    /// Create a pull and push secret with the robot account's current token.
    CreateSecret { namespace: String, secret: String, robot: String },
    /// Put the robot account's current login into an existing secret. `version` guards it.
    UpdateSecret { namespace: String, secret: String, robot: String, version: String },
    /// Delete a secret of the wrong type and create it anew: a secret's type cannot be changed.
    ReplaceSecret { namespace: String, secret: String, robot: String, version: String },
    /// Delete a secret. `uid` and `version` guard it: what others add meanwhile is not deleted with it.
    DeleteSecret { namespace: String, secret: String, uid: String, version: String },
    /// Bring a service account's references to its secret, and the role asked for, into shape.
    EditServiceAccount { namespace: String, service_account: String, edit: ServiceAccountEdit },
    /// Have a BuildConfig push to Quay by itself, and keep on it where it pushed. `version` guards it.
    RewriteBuildConfig {
        namespace: String,
        build_config: String,
        version: String,
        former: OriginalOutput,
    },
    /// Have a BuildConfig push where it did before. `version` guards it.
    /// `undoes` says of what this is the end: `instead of IMAGE`.
    RestoreBuildConfig {
        namespace: String,
        build_config: String,
        version: String,
        output: RawOutput,
        undoes: String,
    },
}

/// What is added to and removed from the lists of a QuayIntegration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeEdit {
    /// Added to `allowlistNamespaces`.
    pub allow: Vec<String>,
    /// Removed from `allowlistNamespaces`.
    pub disallow: Vec<String>,
    /// Added to `denylistNamespaces`.
    pub deny: Vec<String>,
    /// Removed from `denylistNamespaces`.
    pub remove_deny: Vec<String>,
}

/// What is added to and removed from a service account. All else in its lists stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccountEdit {
    /// The secret's name.
    pub secret: String,
    /// `Some(true)`: into `secrets`; `Some(false)`: out of them; `None`: leave.
    pub mountable: Option<bool>,
    /// The same for `imagePullSecrets`.
    pub pull: Option<bool>,
    /// `Some(Some(role))`: set the role annotation; `Some(None)`: remove it; `None`: leave.
    pub role: Option<Option<Role>>,
}

/// What a change does to its object, for people and for `-o json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// The object comes into being.
    Create,
    /// The object is changed.
    Update,
    /// The object goes.
    Delete,
}

impl Change {
    /// Deletes a secret as it was read.
    pub fn delete_secret(namespace: &str, secret: &Secret) -> Self {
        let Secret { name, uid, resource_version, .. } = secret.clone();
        Change::DeleteSecret {
            namespace: namespace.to_owned(),
            secret: name,
            uid,
            version: resource_version,
        }
    }

    /// The object that is changed.
    pub fn object(&self) -> ObjectRef {
        use Change::*;
        match self {
            EditScope(_) => ObjectRef::cluster("QuayIntegration", ""),
            AnnotateNamespace { namespace, .. }
            | RemoveOperatorFinalizer { namespace, .. }
            | SetFinalizer { namespace, .. } => ObjectRef::cluster("Namespace", namespace),
            TakeOwnership { organization }
            | Adopt { organization, .. }
            | CreateOrganization { organization }
            | DeleteOrganization { organization } => {
                ObjectRef::cluster("Organization", organization)
            }
            CreateRobot { organization, robot, .. }
            | RotateRobot { organization, robot }
            | DeleteRobot { organization, robot } => {
                ObjectRef::cluster("RobotAccount", &format!("{organization}+{robot}"))
            }
            CreateDefaultPermission { organization, robot, .. }
            | ChangeDefaultPermission { organization, robot, .. }
            | DeleteDefaultPermission { organization, robot, .. } => {
                ObjectRef::cluster("DefaultPermission", &format!("{organization}+{robot}"))
            }
            CreateRepository { organization, repository }
            | SetRepositoryPermission { organization, repository, .. } => {
                ObjectRef::cluster("Repository", &format!("{organization}/{repository}"))
            }
            CreateSecret { namespace, secret, .. }
            | UpdateSecret { namespace, secret, .. }
            | ReplaceSecret { namespace, secret, .. }
            | DeleteSecret { namespace, secret, .. } => {
                ObjectRef::namespaced("Secret", namespace, secret)
            }
            EditServiceAccount { namespace, service_account, .. } => {
                ObjectRef::namespaced("ServiceAccount", namespace, service_account)
            }
            RewriteBuildConfig { namespace, build_config, .. }
            | RestoreBuildConfig { namespace, build_config, .. } => {
                ObjectRef::namespaced("BuildConfig", namespace, build_config)
            }
        }
    }

    /// What happens to [`Change::object`].
    pub fn verb(&self) -> Verb {
        use Change::*;
        match self {
            CreateOrganization { .. }
            | CreateRobot { .. }
            | CreateDefaultPermission { .. }
            | CreateRepository { .. }
            | CreateSecret { .. } => Verb::Create,
            DeleteOrganization { .. }
            | DeleteRobot { .. }
            | DeleteDefaultPermission { .. }
            | DeleteSecret { .. } => Verb::Delete,
            _ => Verb::Update,
        }
    }

    /// Whether it writes a robot account's login into a secret.
    pub fn is_secret_write(&self) -> bool {
        matches!(
            self,
            Change::CreateSecret { .. }
                | Change::UpdateSecret { .. }
                | Change::ReplaceSecret { .. }
        )
    }

    /// Whether its failure can leave a robot account whose token no secret holds.
    pub fn can_strand_token(&self) -> bool {
        self.is_secret_write() || matches!(self, Change::RotateRobot { .. })
    }

    /// One sentence for a person, without a full stop.
    pub fn summary(&self) -> String {
        use Change::*;
        match self {
            EditScope(edit) => edit.summary(),
            AnnotateNamespace { namespace, linked: true } => {
                format!("mark namespace {namespace} as linked on request")
            }
            AnnotateNamespace { namespace, linked: false } => {
                format!("remove our mark from namespace {namespace}")
            }
            RemoveOperatorFinalizer { namespace, organization } => {
                format!(
                    "remove the operator's finalizer from namespace {namespace}, so that organization {organization} stays"
                )
            }
            SetFinalizer { namespace, organization, guarded: true } => {
                format!(
                    "put our finalizer on namespace {namespace}, so that organization {organization} goes with it"
                )
            }
            SetFinalizer { namespace, .. } => {
                format!("take our finalizer off namespace {namespace}")
            }
            TakeOwnership { organization } => {
                format!("become owner of organization {organization}")
            }
            Adopt { organization, former, robots, .. }
                if former.is_empty() && robots.is_empty() =>
            {
                format!("record in organization {organization} which namespace it belongs to")
            }
            Adopt { organization, former, robots, .. } if former.is_empty() => {
                format!("take over {} in organization {organization}", robots.join(", "))
            }
            Adopt { organization, former, .. } => {
                format!("take over organization {organization}, {former}")
            }
            CreateOrganization { organization } => format!("create organization {organization}"),
            DeleteOrganization { organization } => {
                format!("delete organization {organization} and every image in it")
            }
            CreateRobot { organization, robot, .. } => {
                format!("create robot account {organization}+{robot}")
            }
            RotateRobot { organization, robot } => {
                format!("renew the token of robot account {organization}+{robot}")
            }
            DeleteRobot { organization, robot } => {
                format!("delete robot account {organization}+{robot}")
            }
            CreateDefaultPermission { robot, role, .. } => {
                format!("give robot account {robot} {role} on new repositories")
            }
            ChangeDefaultPermission { robot, from, to, .. } => {
                format!(
                    "change the default permission of robot account {robot} from {from} to {to}"
                )
            }
            DeleteDefaultPermission { robot, role, .. } => {
                format!("delete a superfluous default permission ({role}) of robot account {robot}")
            }
            CreateRepository { organization, repository } => {
                format!("create private repository {organization}/{repository}")
            }
            SetRepositoryPermission { organization, repository, robot, role } => {
                format!(
                    "give robot account {robot} {role} on repository {organization}/{repository}"
                )
            }
            CreateSecret { secret, .. } => format!("create secret {secret}"),
            UpdateSecret { secret, robot, .. } => {
                format!("put the current login of robot account {robot} into secret {secret}")
            }
            ReplaceSecret { secret, .. } => {
                format!("replace secret {secret}, which has the wrong type")
            }
            DeleteSecret { secret, .. } => format!("delete secret {secret}"),
            EditServiceAccount { service_account, edit, .. } => edit.summary(service_account),
            RewriteBuildConfig { build_config, former, .. } => {
                format!(
                    "have BuildConfig {build_config} push to {} with secret {}, instead of {}",
                    former.image, former.secret, former.output
                )
            }
            RestoreBuildConfig { build_config, output, undoes, .. } => {
                format!("have BuildConfig {build_config} push to {output} again, {undoes}")
            }
        }
    }

    /// The change that takes this one back, where there is one.
    pub fn inverse(&self) -> Option<Change> {
        use Change::*;
        Some(match self.clone() {
            EditScope(edit) => EditScope(edit.inverse()),
            AnnotateNamespace { namespace, linked } => {
                AnnotateNamespace { namespace, linked: !linked }
            }
            SetFinalizer { namespace, organization, guarded } => {
                SetFinalizer { namespace, organization, guarded: !guarded }
            }
            CreateOrganization { organization } => DeleteOrganization { organization },
            CreateRobot { organization, robot, .. } => DeleteRobot { organization, robot },
            ChangeDefaultPermission { organization, id, robot, from, to } => {
                ChangeDefaultPermission { organization, id, robot, from: to, to: from }
            }
            DeleteDefaultPermission { organization, robot, role, .. } => {
                CreateDefaultPermission { organization, robot, role }
            }
            CreateSecret { namespace, secret, .. } => {
                DeleteSecret { namespace, secret, uid: String::new(), version: String::new() }
            }
            EditServiceAccount { namespace, service_account, edit } => {
                EditServiceAccount { namespace, service_account, edit: edit.inverse() }
            }
            RewriteBuildConfig { namespace, build_config, version, former } => RestoreBuildConfig {
                namespace,
                build_config,
                version,
                undoes: format!("instead of {}", former.image),
                output: former.output,
            },
            _ => return None,
        })
    }
}

impl ScopeEdit {
    /// Nothing would be edited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds another edit to this one.
    pub fn extend(&mut self, other: ScopeEdit) {
        self.allow.extend(other.allow);
        self.disallow.extend(other.disallow);
        self.deny.extend(other.deny);
        self.remove_deny.extend(other.remove_deny);
    }

    /// Edits the two lists; names that are already there, or already removed, are left alone.
    ///
    /// An allowlist is neither emptied nor started, whatever the lists were when the edit was planned: without a name on
    /// it every namespace is in scope, and with the first name every other one is out. Where no other name would be left,
    /// the allowlist is kept and the names are denied instead.
    pub fn apply(&self, allow: &mut Vec<String>, deny: &mut Vec<String>) {
        let kept: Vec<String> =
            allow.iter().filter(|name| !self.disallow.contains(name)).cloned().collect();
        deny.retain(|name| !self.remove_deny.contains(name));
        if kept.is_empty() {
            add_missing(deny, &self.disallow);
        } else {
            *allow = kept;
        }
        add_missing(deny, &self.deny);
        if !allow.is_empty() {
            add_missing(allow, &self.allow);
        }
    }

    /// The edit that makes the first two lists (allowlist, denylist) into the second two.
    pub fn between(before: [&[String]; 2], after: [&[String]; 2]) -> Self {
        let missing = |from: &[String], of: &[String]| {
            of.iter().filter(|name| !from.contains(name)).cloned().collect()
        };
        Self {
            allow: missing(before[0], after[0]),
            disallow: missing(after[0], before[0]),
            deny: missing(before[1], after[1]),
            remove_deny: missing(after[1], before[1]),
        }
    }

    fn inverse(self) -> Self {
        Self {
            allow: self.disallow,
            disallow: self.allow,
            deny: self.remove_deny,
            remove_deny: self.deny,
        }
    }

    fn summary(&self) -> String {
        let part = |names: &[String], what: &str| {
            (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
        };
        let parts = [
            part(&self.remove_deny, "take off the denylist:"),
            part(&self.allow, "put on the allowlist:"),
            part(&self.disallow, "take off the allowlist:"),
            part(&self.deny, "put on the denylist:"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

fn add_missing(list: &mut Vec<String>, names: &[String]) {
    for name in names {
        if !list.contains(name) {
            list.push(name.clone());
        }
    }
}

impl ServiceAccountEdit {
    /// Whether there is anything to do.
    pub fn changes_something(&self) -> bool {
        self.mountable.is_some() || self.pull.is_some() || self.role.is_some()
    }

    fn inverse(self) -> Self {
        Self {
            secret: self.secret,
            mountable: self.mountable.map(|add| !add),
            pull: self.pull.map(|add| !add),
            role: self.role.and_then(|role| role.is_some().then_some(None)),
        }
    }

    fn summary(&self, service_account: &str) -> String {
        let lists = |wanted: bool| match (self.mountable == Some(wanted), self.pull == Some(wanted))
        {
            (true, true) => Some("secrets and imagePullSecrets"),
            (true, false) => Some("secrets"),
            (false, true) => Some("imagePullSecrets"),
            (false, false) => None,
        };
        let secret = &self.secret;
        let mut parts = Vec::new();
        parts.extend(lists(true).map(|lists| {
            format!("add secret {secret} to the {lists} of service account {service_account}")
        }));
        parts.extend(lists(false).map(|lists| {
            format!("remove secret {secret} from the {lists} of service account {service_account}")
        }));
        match self.role {
            Some(Some(role)) => {
                parts.push(format!("note role {role} on service account {service_account}"))
            }
            Some(None) => {
                parts.push(format!("remove our note from service account {service_account}"))
            }
            None => {}
        }
        parts.join("; ")
    }
}
