//! Changes to the cluster and to Quay, as values.

use serde::Serialize;

use super::Role;
use super::finding::ObjectRef;
use super::snapshot::{OriginalOutput, RawOutput, Secret};

/// One idempotent change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Edit the namespace lists of the QuayIntegration to move namespaces into or out of its scope.
    EditScope(ScopeEdit),
    /// Set or remove the annotation of a protected namespace that is linked on request.
    AnnotateNamespace {
        namespace: String,
        linked: bool,
    },
    /// Remove the operator's finalizer, so that deleting the namespace does not delete its
    /// organization.
    RemoveOperatorFinalizer {
        namespace: String,
        organization: String,
    },
    /// Add our finalizer to a namespace whose organization is deleted with it (`guarded`), or
    /// remove it.
    SetFinalizer {
        namespace: String,
        organization: String,
        guarded: bool,
    },
    /// Become an owner of an organization (superusers only).
    TakeOwnership {
        organization: String,
    },
    /// Record the namespace of `mark` as the owner of an organization and of these robot accounts.
    /// `former` describes the previous owner, `created for ...`; it is empty if the organization
    /// already belongs to the namespace.
    Adopt {
        organization: String,
        mark: String,
        former: String,
        robots: Vec<String>,
    },
    CreateOrganization {
        organization: String,
    },
    /// Delete an organization with all its images. Needs the user's consent, or the deletion policy
    /// `Delete`.
    DeleteOrganization {
        organization: String,
    },
    /// The ownership mark is the robot account's description.
    CreateRobot {
        organization: String,
        robot: String,
        mark: String,
    },
    /// Renew a robot account's token, which invalidates the previous one.
    RotateRobot {
        organization: String,
        robot: String,
    },
    /// Delete a robot account with all its permissions.
    DeleteRobot {
        organization: String,
        robot: String,
    },
    /// Give a robot account its role on repositories created later.
    CreateDefaultPermission {
        organization: String,
        robot: String,
        role: Role,
    },
    ChangeDefaultPermission {
        organization: String,
        id: String,
        robot: String,
        from: Role,
        to: Role,
    },
    /// Delete a duplicate default permission.
    DeleteDefaultPermission {
        organization: String,
        id: String,
        robot: String,
        role: Role,
    },
    /// Create a private repository.
    CreateRepository {
        organization: String,
        repository: String,
    },
    /// Give a robot account a role on one repository.
    SetRepositoryPermission {
        organization: String,
        repository: String,
        robot: String,
        role: Role,
    },
    /// Create a pull and push secret with the robot account's current token.
    CreateSecret {
        namespace: String,
        secret: String,
        robot: String,
    },
    /// Write the robot account's current token to an existing secret of this resource version.
    UpdateSecret {
        namespace: String,
        secret: String,
        robot: String,
        version: String,
    },
    /// Delete a secret of the wrong type and create it again: a secret's type is immutable.
    ReplaceSecret {
        namespace: String,
        secret: String,
        robot: String,
        version: String,
    },
    /// Delete a secret with these preconditions, so that no entry that others add meanwhile is
    /// lost.
    DeleteSecret {
        namespace: String,
        secret: String,
        uid: String,
        version: String,
    },
    /// Edit a service account's references to its secret, and its role annotation.
    EditServiceAccount {
        namespace: String,
        service_account: String,
        edit: ServiceAccountEdit,
    },
    /// Set the output of a BuildConfig of this resource version, and save its original output in an
    /// annotation.
    RewriteBuildConfig {
        namespace: String,
        build_config: String,
        version: String,
        former: OriginalOutput,
    },
    /// Restore the original output of a BuildConfig of this resource version. `replaces` describes
    /// the current one: `was IMAGE`.
    RestoreBuildConfig {
        namespace: String,
        build_config: String,
        version: String,
        output: RawOutput,
        replaces: String,
    },
}

/// Additions to and removals from the namespace lists of a QuayIntegration.
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

/// An edit of a service account. All other entries of its lists are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccountEdit {
    pub secret: String,
    /// In `secrets`: `Some(true)` adds it, `Some(false)` removes it, `None` keeps the list.
    pub mountable: Option<bool>,
    /// In `imagePullSecrets`, likewise.
    pub pull: Option<bool>,
    /// The role annotation: `Some(Some(role))` sets it, `Some(None)` removes it, `None` keeps it.
    pub role: Option<Option<Role>>,
}

/// The verb of a change in text and JSON output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// The object is created.
    Create,
    /// The object is changed.
    Update,
    /// The object is deleted.
    Delete,
}

impl Change {
    /// The deletion of `secret`, with its uid and resource version as preconditions.
    pub fn delete_secret(namespace: &str, secret: &Secret) -> Self {
        let Secret { name, uid, resource_version, .. } = secret.clone();
        Change::DeleteSecret {
            namespace: namespace.to_owned(),
            secret: name,
            uid,
            version: resource_version,
        }
    }

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

    /// The effect on [`Change::object`].
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

    /// Whether it writes a robot account's token to a secret.
    pub fn is_secret_write(&self) -> bool {
        matches!(
            self,
            Change::CreateSecret { .. }
                | Change::UpdateSecret { .. }
                | Change::ReplaceSecret { .. }
        )
    }

    /// Whether its failure can leave a robot account whose current token is in no secret.
    pub fn can_strand_token(&self) -> bool {
        self.is_secret_write() || matches!(self, Change::RotateRobot { .. })
    }

    /// An imperative clause for plans and reports.
    pub fn summary(&self) -> String {
        use Change::*;
        match self {
            EditScope(edit) => edit.summary(),
            AnnotateNamespace { namespace, linked: true } => {
                format!("annotate namespace {namespace} as linked on request")
            }
            AnnotateNamespace { namespace, linked: false } => {
                format!("remove the link annotation from namespace {namespace}")
            }
            RemoveOperatorFinalizer { namespace, organization } => {
                format!(
                    "remove the operator's finalizer from namespace {namespace} (organization {organization} is kept)"
                )
            }
            SetFinalizer { namespace, organization, guarded: true } => {
                format!(
                    "add finalizer to namespace {namespace} (organization {organization} is deleted with it)"
                )
            }
            SetFinalizer { namespace, .. } => {
                format!("remove finalizer from namespace {namespace}")
            }
            TakeOwnership { organization } => {
                format!("become owner of organization {organization}")
            }
            Adopt { organization, former, robots, .. }
                if former.is_empty() && robots.is_empty() =>
            {
                format!("record the owner of organization {organization}")
            }
            Adopt { organization, former, robots, .. } if former.is_empty() => {
                format!(
                    "adopt robot accounts of organization {organization}: {}",
                    robots.join(", ")
                )
            }
            Adopt { organization, former, .. } => {
                format!("adopt organization {organization}, {former}")
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
                format!("delete a duplicate default permission ({role}) of robot account {robot}")
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
                format!("update secret {secret} with the current token of robot account {robot}")
            }
            ReplaceSecret { secret, .. } => {
                format!("replace secret {secret}, which has the wrong type")
            }
            DeleteSecret { secret, .. } => format!("delete secret {secret}"),
            EditServiceAccount { service_account, edit, .. } => edit.summary(service_account),
            RewriteBuildConfig { build_config, former, .. } => {
                format!(
                    "set output of BuildConfig {build_config} to {} (push secret {}, was {})",
                    former.image, former.secret, former.output
                )
            }
            RestoreBuildConfig { build_config, output, replaces, .. } => {
                format!("restore output of BuildConfig {build_config} to {output} ({replaces})")
            }
        }
    }

    /// The change that reverts this one, if there is one.
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
                replaces: format!("was {}", former.image),
                output: former.output,
            },
            _ => return None,
        })
    }
}

impl ScopeEdit {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub fn extend(&mut self, other: ScopeEdit) {
        self.allow.extend(other.allow);
        self.disallow.extend(other.disallow);
        self.deny.extend(other.deny);
        self.remove_deny.extend(other.remove_deny);
    }

    /// Edits the two lists, without duplicates.
    ///
    /// An allowlist is neither emptied nor started, whatever the lists were when the edit was
    /// planned: an empty allowlist selects every namespace, and its first name excludes all others.
    /// Names are denied instead of removing the last name.
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

    /// The difference between two pairs of allowlist and denylist.
    pub fn between(before: [&[String]; 2], after: [&[String]; 2]) -> Self {
        let missing = |from: &[String], other: &[String]| {
            other.iter().filter(|name| !from.contains(name)).cloned().collect()
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
        let part = |names: &[String], action: &str| {
            (!names.is_empty()).then(|| format!("{action}: {}", names.join(", ")))
        };
        let parts = [
            part(&self.remove_deny, "remove from denylist"),
            part(&self.allow, "add to allowlist"),
            part(&self.disallow, "remove from allowlist"),
            part(&self.deny, "add to denylist"),
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
    pub fn is_empty(&self) -> bool {
        self.mountable.is_none() && self.pull.is_none() && self.role.is_none()
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
                parts.push(format!("annotate service account {service_account} with role {role}"))
            }
            Some(None) => {
                parts.push(format!("remove role annotation from service account {service_account}"))
            }
            None => {}
        }
        parts.join("; ")
    }
}
