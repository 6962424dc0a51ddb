//! What is: one namespace as the cluster and Quay hold it, each part present, absent, or unknown with the cause.

mod builds;
mod tags;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};

use super::Role;
use super::dockerconfig::{Item, RegistryScope};
use super::names::FINALIZER;
use super::ownership_mark::OwnershipMark;
pub use builds::*;
pub use tags::{ImportPolicy, RepositoryTag, StreamTag, TagImage, TagSource};

/// A part of a snapshot: what was read, or why it could not be. `Ok(None)` is absent.
pub type Observed<T> = Result<T, ReadError>;

/// Why a part is unknown. Unknown is never treated as absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// The call that failed, for a person: `list secrets in namespace myproj`.
    pub call: String,
    /// What the server said, or why it was not asked.
    pub reason: String,
    /// What kind of failure it was.
    pub kind: ReadErrorKind,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "could not {}: {}", self.call, self.reason)
    }
}

/// The kinds of [`ReadError`] that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadErrorKind {
    /// The server refused.
    Forbidden,
    /// There is nobody at the address.
    Unreachable,
    /// No answer, or one that could not be understood.
    Failed,
    /// Not asked, because something else that is reported by itself stands in the way.
    Skipped,
}

/// One namespace on both sides.
#[derive(Clone, Debug)]
pub struct NamespaceSnapshot {
    /// The namespace's name.
    pub name: String,
    /// The Namespace object.
    pub namespace: Observed<Option<Namespace>>,
    /// Its service accounts.
    pub service_accounts: Observed<Vec<ServiceAccount>>,
    /// Its secrets of type `kubernetes.io/dockerconfigjson`, and any other that bears the name of one of ours.
    pub secrets: Observed<Vec<Secret>>,
    /// Its image streams.
    pub image_streams: Observed<Vec<ImageStream>>,
    /// Its BuildConfigs; none where the cluster has no Build API.
    pub build_configs: Observed<Vec<BuildConfig>>,
    /// Its builds, likewise.
    pub builds: Observed<Vec<Build>>,
    /// Who rewrites the output of its builds on the way.
    pub webhooks: Observed<Vec<BuildWebhook>>,
    /// What became of a build that was tried here, if one was.
    pub trial: Option<DryRunOutcome>,
    /// Its pods that wait for an image.
    pub pods: Observed<Vec<WaitingPod>>,
    /// Its organization in Quay.
    pub organization: Observed<Option<Organization>>,
    /// What the registry granted to the credentials in the secrets; empty unless it was asked.
    pub probes: Vec<Probe>,
}

/// What we need of a Namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its uid.
    pub uid: String,
    /// It is being deleted.
    pub terminating: bool,
    /// `metadata.finalizers`.
    pub finalizers: Vec<String>,
    /// It was made as a project and OpenShift's SCC annotations have not come yet; the operator waits for them too
    /// (QBO `pkg/utils/utils.go:86`).
    pub awaits_annotations: bool,
    /// It carries [`super::names::LINKED_ANNOTATION`].
    pub linked_on_request: bool,
    /// The value of [`super::names::DELETION_POLICY_ANNOTATION`].
    pub deletion_policy: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
}

impl Namespace {
    /// Whether it is so young that service accounts may be still to come. The cluster's clock and ours may differ, so one
    /// that is made a moment from now is as new.
    pub fn is_new(&self, now: Timestamp) -> bool {
        self.created
            .is_some_and(|created| now.duration_since(created).abs() < SignedDuration::from_mins(1))
    }
}

/// What we need of a ServiceAccount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its name.
    pub name: String,
    /// Guards every write.
    pub resource_version: String,
    /// Names in `secrets` (mountable).
    pub mountable: Vec<String>,
    /// Names in `imagePullSecrets`.
    pub pull: Vec<String>,
    /// The value of [`super::names::ROLE_ANNOTATION`].
    pub role: Option<String>,
    /// Who would undo a change to it: `Argo CD`, `Tenant shop`.
    pub owner: Option<String>,
}

/// What we need of a Secret.
#[derive(Clone, Debug)]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// Tells it from others of its name.
    pub uid: String,
    /// Guards every write.
    pub resource_version: String,
    /// Its type, for example `kubernetes.io/dockerconfigjson`.
    pub kind: String,
    /// It carries our label.
    pub managed: bool,
    /// It holds one login and nothing else, byte for byte as we and the operator write it.
    pub is_plain: bool,
    /// The logins in it with the registry each is for, or why they could not be read.
    pub logins: Result<Vec<(String, Login)>, String>,
    /// The registries whose entry in it kubelet cannot decode.
    pub undecodable: Vec<String>,
    /// All that is in it, with fingerprints.
    pub items: BTreeMap<Item, u64>,
}

/// A user name and password for a registry.
#[derive(Clone, Debug)]
pub struct Login {
    /// For a robot account `<organization>+<robot>`.
    pub username: String,
    /// For a robot account its token.
    pub password: SecretString,
}

impl Login {
    /// Whether it is the same one.
    pub fn is(&self, other: &Login) -> bool {
        self.username == other.username
            && self.password.expose_secret() == other.password.expose_secret()
    }
}

/// What we need of an ImageStream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageStream {
    /// Its name.
    pub name: String,
    /// Guards an import.
    pub resource_version: String,
    /// OpenShift's own registry has a place for its images; there is none where that registry is off.
    pub in_registry: bool,
    /// Its tags, by name.
    pub tags: Vec<StreamTag>,
    /// The value of [`super::names::REPOSITORY_ANNOTATION`].
    pub wants_repository: Option<bool>,
}

/// A pod that waits for an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitingPod {
    /// Its name.
    pub name: String,
    /// What made it, as kind and name: `Deployment`, `app`.
    pub workload: Option<(String, String)>,
    /// The service account that it runs under.
    pub service_account: String,
    /// Names in its `imagePullSecrets`: its own, or its service account's as they were when it was created.
    pub pull_secrets: Vec<String>,
    /// The images that could not be pulled so far.
    pub waits_for: Vec<WaitingImage>,
}

/// An image that could not be pulled so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitingImage {
    /// As the pod names it.
    pub image: String,
    /// The kubelet's reason: `ImagePullBackOff`.
    pub reason: String,
    /// The kubelet's message.
    pub message: String,
}

/// An organization in Quay.
#[derive(Clone, Debug)]
pub struct Organization {
    /// The token may administer it.
    pub administered: bool,
    /// Who adopted it; read only where somebody did, or another mark does not say whose it is.
    pub adopted_by: Option<OwnershipMark>,
    /// The token's user alone owns it, and it has no repository; read only where no mark says whose it is.
    pub is_blank: bool,
    /// Its robot accounts.
    pub robots: Observed<Vec<Robot>>,
    /// Its default permissions for robot accounts.
    pub default_permissions: Observed<Vec<DefaultPermission>>,
    /// Its repositories. Where the robot accounts' own lists already show every repository of an image stream, only
    /// those are read: a repository list costs Quay another request.
    pub repositories: Observed<BTreeSet<String>>,
    /// When each repository was last pushed to, in seconds since 1970, where their list was read; none for one without
    /// tags.
    pub pushed: Option<BTreeMap<String, Option<i64>>>,
    /// Its quota, where much of it is used.
    pub quota: Option<Quota>,
    /// The tags of the repositories that were looked into.
    pub tags: BTreeMap<String, Observed<Vec<RepositoryTag>>>,
}

/// How much an organization may hold, and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes that it holds. What was refused counts (sample 744i).
    pub used: u64,
    /// Bytes at which pushes are refused.
    pub limit: u64,
}

impl Quota {
    /// Whether pushes are refused.
    pub fn is_used_up(self) -> bool {
        self.used >= self.limit
    }

    /// Whether a few more images use it up: four fifths of it are used.
    pub fn is_nearly_used_up(self) -> bool {
        self.used >= self.limit / 5 * 4
    }
}

/// A robot account.
#[derive(Clone, Debug)]
pub struct Robot {
    /// Its short name, without organization.
    pub name: String,
    /// Who it was made for, if its description says so.
    pub mark: Option<OwnershipMark>,
    /// It was taken over with its organization, or for it.
    pub is_adopted: bool,
    /// Its token; none if this Quay did not show it to us.
    pub token: Option<SecretString>,
    /// The repositories it has any right on. Quay does not list which right (sample 387).
    pub repositories: BTreeSet<String>,
}

/// A default permission (Quay: prototype) of a robot account of the same organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultPermission {
    /// Quay's id.
    pub id: String,
    /// The robot account's short name.
    pub robot: String,
    /// The role it gives on repositories created later.
    pub role: Role,
}

/// What the registry said to the login in one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The service account the secret belongs to.
    pub service_account: String,
    /// What it was granted, or why not.
    pub outcome: ProbeOutcome,
}

/// Outcome of a [`Probe`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// The registry refused the login (sample 462).
    Refused(String),
    /// The registry could not be asked.
    Unknown(ReadError),
    /// The login works; per repository (`organization/repository`) what it may do. No entry: nothing.
    Granted(BTreeMap<String, Grant>),
}

/// What a login may do with one repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// It may pull.
    pub pull: bool,
    /// It may push.
    pub push: bool,
}

impl Namespace {
    /// It carries our finalizer, and its organization is to go with it.
    pub fn is_guarded(&self) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer == FINALIZER)
    }
}

impl NamespaceSnapshot {
    /// The organization if it is known to exist.
    pub fn organization(&self) -> Option<&Organization> {
        self.organization.as_ref().ok()?.as_ref()
    }

    /// The service account of that name, if it is known to exist.
    pub fn service_account(&self, name: &str) -> Option<&ServiceAccount> {
        self.service_accounts.as_ref().ok()?.iter().find(|account| account.name == name)
    }

    /// The BuildConfig of that name, if it is known to exist.
    pub fn build_config(&self, name: &str) -> Option<&BuildConfig> {
        self.build_configs.as_ref().ok()?.iter().find(|config| config.name == name)
    }

    /// The image stream of that name, if it is known to exist.
    pub fn image_stream(&self, name: &str) -> Option<&ImageStream> {
        self.image_streams.as_ref().ok()?.iter().find(|stream| stream.name == name)
    }

    /// The secret of that name, if it is known to exist.
    pub fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.as_ref().ok()?.iter().find(|secret| secret.name == name)
    }
}

impl ImageStream {
    /// It has, or can get, a tag that follows no image outside.
    pub fn holds_own_tags(&self) -> bool {
        self.tags.iter().all(|tag| tag.follows().is_none())
            || self.tags.iter().any(StreamTag::holds_its_own)
    }

    /// The tag of that name.
    pub fn tag(&self, name: &str) -> Option<&StreamTag> {
        self.tags.iter().find(|tag| tag.name == name)
    }
}

impl Secret {
    /// Whether it holds more than the entry for a registry, which is ours.
    pub fn holds_more_than(&self, host: &str) -> bool {
        !self.is_covered_by(None, host)
    }

    /// Whether another secret, if there is one, holds all that is in it but for the entry for a registry, which is ours.
    pub fn is_covered_by(&self, other: Option<&Secret>, host: &str) -> bool {
        let is_ours = |item: &Item| matches!(item, Item::Registry(registry) if registry == host);
        let is_there =
            |(item, value)| other.is_some_and(|other| other.items.get(item) == Some(value));
        self.items.iter().filter(|(item, _)| !is_ours(item)).all(is_there)
    }

    /// The login it has for a place; one under exactly the host's name goes first.
    pub fn login_for(&self, place: RegistryScope<'_>) -> Option<&Login> {
        let logins = self.logins.as_ref().ok()?;
        let exact = logins.iter().find(|(key, _)| key == place.host);
        exact
            .or_else(|| logins.iter().find(|(key, _)| place.is_served_by(key)))
            .map(|(_, login)| login)
    }
}

impl Organization {
    /// One that was just created.
    pub fn empty() -> Self {
        Self {
            administered: true,
            adopted_by: None,
            is_blank: true,
            robots: Ok(vec![]),
            default_permissions: Ok(vec![]),
            repositories: Ok(BTreeSet::new()),
            pushed: None,
            quota: None,
            tags: BTreeMap::new(),
        }
    }

    /// The robot account of that name, if it is known to exist.
    pub fn robot(&self, name: &str) -> Option<&Robot> {
        self.robots.as_ref().ok()?.iter().find(|robot| robot.name == name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_namespace_is_new_for_a_minute() {
        let is_new = |created: Option<&str>, now: &str| {
            let created = created.map(|time| time.parse().unwrap());
            Namespace { created, ..Namespace::default() }.is_new(now.parse().unwrap())
        };
        let noon = Some("2026-11-22T12:00:00Z");
        assert!(is_new(noon, "2026-11-22T12:00:59Z") && is_new(noon, "2026-11-22T11:59:55Z"));
        // It ages while it is kept.
        assert!(!is_new(noon, "2026-11-22T12:01:00Z") && !is_new(noon, "2026-11-22T11:00:00Z"));
        assert!(!is_new(None, "2026-11-22T12:00:00Z"));
    }
}
