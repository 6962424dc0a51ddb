//! The observed state of one namespace in the cluster and in Quay. Each part is present, absent, or unknown with the cause.

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

/// A part of a snapshot: the value that was read, or why it could not be read. `Ok(None)` is absent.
pub type Observed<T> = Result<T, ReadError>;

/// Why a part is unknown. Unknown is never treated as absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// The call that failed, for a person: `list secrets in namespace myproj`.
    pub call: String,
    /// The server's message, or why it was not asked.
    pub reason: String,
    pub kind: ReadErrorKind,
}

impl ReadError {
    /// Of a part of a snapshot that was not read, since the command does not need it.
    pub fn not_requested() -> Self {
        Self {
            call: "read it".into(),
            reason: "not requested".into(),
            kind: ReadErrorKind::Skipped,
        }
    }
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "could not {}: {}", self.call, self.reason)
    }
}

/// The kind of a [`ReadError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadErrorKind {
    /// The server answered 403.
    Forbidden,
    /// No connection to the server.
    Unreachable,
    /// No answer, or an invalid one.
    Failed,
    /// Not asked, because of a problem that is reported separately.
    Skipped,
}

/// One namespace on both sides.
#[derive(Clone, Debug)]
pub struct NamespaceSnapshot {
    pub name: String,
    pub namespace: Observed<Option<Namespace>>,
    pub service_accounts: Observed<Vec<ServiceAccount>>,
    /// Secrets of type `kubernetes.io/dockerconfigjson`, and others with the name of one of ours.
    pub secrets: Observed<Vec<Secret>>,
    pub image_streams: Observed<Vec<ImageStream>>,
    /// Empty where the cluster has no Build API.
    pub build_configs: Observed<Vec<BuildConfig>>,
    /// Empty where the cluster has no Build API.
    pub builds: Observed<Vec<Build>>,
    /// The webhooks that rewrite the output of its builds.
    pub webhooks: Observed<Vec<BuildWebhook>>,
    /// The outcome of a dry-run Build in this namespace, if there was one.
    pub trial: Option<DryRunOutcome>,
    /// Pods that wait for an image.
    pub pods: Observed<Vec<WaitingPod>>,
    pub organization: Observed<Option<Organization>>,
    /// The registry's answers to the credentials in the secrets; empty without `--probe`.
    pub probes: Vec<Probe>,
}

/// The fields of a Namespace that are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    pub uid: String,
    /// It has a `deletionTimestamp`.
    pub terminating: bool,
    /// `metadata.finalizers`.
    pub finalizers: Vec<String>,
    /// It was created as a project and has no SCC annotations from OpenShift yet; the operator waits for them too
    /// (QBO `pkg/utils/utils.go:86`).
    pub awaits_annotations: bool,
    /// It carries [`super::names::LINKED_ANNOTATION`].
    pub linked_on_request: bool,
    /// The value of [`super::names::DELETION_POLICY_ANNOTATION`].
    pub deletion_policy: Option<String>,
    pub created: Option<Timestamp>,
}

impl Namespace {
    /// Whether it is less than a minute old, so that service accounts might not exist yet. A creation time in the future
    /// counts the same, since the clocks of the cluster and this computer may differ.
    pub fn is_new(&self, now: Timestamp) -> bool {
        self.created
            .is_some_and(|created| now.duration_since(created).abs() < SignedDuration::from_mins(1))
    }
}

/// The fields of a ServiceAccount that are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceAccount {
    pub name: String,
    /// Precondition of every write.
    pub resource_version: String,
    /// Names in `secrets` (mountable).
    pub mountable: Vec<String>,
    /// Names in `imagePullSecrets`.
    pub pull: Vec<String>,
    /// The value of [`super::names::ROLE_ANNOTATION`].
    pub role: Option<String>,
    /// The tool or object that would undo a change to it: `Argo CD`, `Tenant shop`.
    pub owner: Option<String>,
}

/// The fields of a Secret that are used, without any token beside the credentials.
#[derive(Clone, Debug)]
pub struct Secret {
    pub name: String,
    pub uid: String,
    /// Precondition of every write.
    pub resource_version: String,
    /// Its type, for example `kubernetes.io/dockerconfigjson`.
    pub kind: String,
    /// It carries our label.
    pub managed: bool,
    /// It holds one entry and nothing else, byte for byte as we and the operator write it.
    pub is_plain: bool,
    /// The registry and credentials of each entry, or why they could not be read.
    pub credentials: Result<Vec<(String, RegistryCredentials)>, String>,
    /// The registries of the entries that kubelet cannot decode.
    pub undecodable: Vec<String>,
    /// A fingerprint of each item in it.
    pub items: BTreeMap<Item, u64>,
}

/// User name and password for a registry.
#[derive(Clone, Debug)]
pub struct RegistryCredentials {
    /// For a robot account `<organization>+<robot>`.
    pub username: String,
    /// For a robot account its token.
    pub password: SecretString,
}

impl RegistryCredentials {
    /// Whether user name and password are equal.
    pub fn is_same(&self, other: &RegistryCredentials) -> bool {
        self.username == other.username
            && self.password.expose_secret() == other.password.expose_secret()
    }
}

/// The fields of an ImageStream that are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageStream {
    pub name: String,
    /// Precondition of an import.
    pub resource_version: String,
    /// It has a repository in the internal registry (`status.dockerImageRepository`); none has while that registry is off.
    pub in_registry: bool,
    /// Ordered by name.
    pub tags: Vec<StreamTag>,
    /// The value of [`super::names::REPOSITORY_ANNOTATION`].
    pub wants_repository: Option<bool>,
}

/// A pod that waits for an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitingPod {
    pub name: String,
    /// Kind and name of the object that created it: `Deployment`, `app`.
    pub workload: Option<(String, String)>,
    pub service_account: String,
    /// Names in its `imagePullSecrets`: its own, or those of its service account at the time of its creation.
    pub pull_secrets: Vec<String>,
    pub waits_for: Vec<WaitingImage>,
}

/// An image that could not be pulled so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitingImage {
    /// As in the pod's spec.
    pub image: String,
    /// The kubelet's reason: `ImagePullBackOff`.
    pub reason: String,
    /// The kubelet's message.
    pub message: String,
}

/// An organization in Quay.
#[derive(Clone, Debug)]
pub struct Organization {
    /// The token has admin permission on it.
    pub administered: bool,
    /// The mark of its adoption; read only if it was adopted, or if no other mark shows its owner.
    pub adopted_by: Option<OwnershipMark>,
    /// The token's user is its only owner, and it has no repository; read only if no mark shows its owner.
    pub is_blank: bool,
    pub robots: Observed<Vec<Robot>>,
    /// Those for robot accounts.
    pub default_permissions: Observed<Vec<DefaultPermission>>,
    /// Names of its repositories. Only those in the robot accounts' own lists if these already show a repository for each
    /// image stream, since the repository list is another request.
    pub repositories: Observed<BTreeSet<String>>,
    /// Time of the last push to each repository, in seconds since 1970, if their list was read; none for one without tags.
    pub pushed: Option<BTreeMap<String, Option<i64>>>,
    /// Its quota, if much of it is used.
    pub quota: Option<Quota>,
    /// The tags of those repositories whose tags were requested.
    pub tags: BTreeMap<String, Observed<Vec<RepositoryTag>>>,
}

/// The quota of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes that it holds. Bytes of rejected pushes count (`wire/744i`).
    pub used: u64,
    /// Bytes at which pushes are rejected.
    pub limit: u64,
}

impl Quota {
    /// Whether pushes are rejected.
    pub fn is_used_up(self) -> bool {
        self.used >= self.limit
    }

    /// Whether four fifths of it are used.
    pub fn is_nearly_used_up(self) -> bool {
        self.used >= self.limit / 5 * 4
    }
}

/// A robot account.
#[derive(Clone, Debug)]
pub struct Robot {
    /// Short name, without organization.
    pub name: String,
    /// The ownership mark in its description.
    pub mark: Option<OwnershipMark>,
    /// It was adopted, or its organization was.
    pub is_adopted: bool,
    /// None if this Quay does not show it.
    pub token: Option<SecretString>,
    /// The repositories it has any permission on. Quay does not list which one (`wire/387`).
    pub repositories: BTreeSet<String>,
}

/// A default permission (Quay: prototype) of a robot account of the same organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultPermission {
    /// Quay's ID.
    pub id: String,
    /// The robot account's short name.
    pub robot: String,
    /// The role on repositories that are created later.
    pub role: Role,
}

/// The registry's answer to the credentials in one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub service_account: String,
    pub outcome: ProbeOutcome,
}

/// Outcome of a [`Probe`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// The registry rejected the credentials (`wire/462`).
    Rejected(String),
    /// The registry could not be asked.
    Unknown(ReadError),
    /// The permissions for each repository (`organization/repository`). Without an entry there is none.
    Granted(BTreeMap<String, Grant>),
}

/// Permissions on one repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    pub pull: bool,
    pub push: bool,
}

impl Namespace {
    /// Whether it has our finalizer, [`FINALIZER`].
    pub fn has_finalizer(&self) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer == FINALIZER)
    }
}

impl NamespaceSnapshot {
    /// A snapshot of which nothing was requested yet.
    pub fn new(name: &str) -> Self {
        let not_requested = ReadError::not_requested;
        Self {
            name: name.to_owned(),
            namespace: Err(not_requested()),
            service_accounts: Err(not_requested()),
            secrets: Err(not_requested()),
            image_streams: Err(not_requested()),
            build_configs: Err(not_requested()),
            builds: Err(not_requested()),
            webhooks: Err(not_requested()),
            trial: None,
            pods: Err(not_requested()),
            organization: Err(not_requested()),
            probes: vec![],
        }
    }

    /// The organization if it is known to exist; the lookups below answer likewise.
    pub fn organization(&self) -> Option<&Organization> {
        self.organization.as_ref().ok()?.as_ref()
    }

    pub fn service_account(&self, name: &str) -> Option<&ServiceAccount> {
        self.service_accounts.as_ref().ok()?.iter().find(|account| account.name == name)
    }

    pub fn build_config(&self, name: &str) -> Option<&BuildConfig> {
        self.build_configs.as_ref().ok()?.iter().find(|config| config.name == name)
    }

    pub fn image_stream(&self, name: &str) -> Option<&ImageStream> {
        self.image_streams.as_ref().ok()?.iter().find(|stream| stream.name == name)
    }

    pub fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.as_ref().ok()?.iter().find(|secret| secret.name == name)
    }
}

impl ImageStream {
    /// Whether it has, or can get, a tag that tracks no external image.
    pub fn holds_own_tags(&self) -> bool {
        self.tags.iter().all(|tag| tag.follows().is_none())
            || self.tags.iter().any(StreamTag::holds_its_own)
    }

    pub fn tag(&self, name: &str) -> Option<&StreamTag> {
        self.tags.iter().find(|tag| tag.name == name)
    }
}

impl Secret {
    /// Whether it holds more than our entry, the one for `host`.
    pub fn holds_more_than(&self, host: &str) -> bool {
        !self.is_covered_by(None, host)
    }

    /// Whether `other` holds all its items except our entry, the one for `host`.
    pub fn is_covered_by(&self, other: Option<&Secret>, host: &str) -> bool {
        let is_ours = |item: &Item| matches!(item, Item::Registry(registry) if registry == host);
        let is_in_other =
            |(item, value)| other.is_some_and(|other| other.items.get(item) == Some(value));
        self.items.iter().filter(|(item, _)| !is_ours(item)).all(is_in_other)
    }

    /// The credentials for a scope. An entry whose key is exactly the host takes precedence.
    pub fn credentials_for(&self, place: RegistryScope<'_>) -> Option<&RegistryCredentials> {
        let entries = self.credentials.as_ref().ok()?;
        let exact = entries.iter().find(|(key, _)| key == place.host);
        exact
            .or_else(|| entries.iter().find(|(key, _)| place.is_served_by(key)))
            .map(|(_, credentials)| credentials)
    }
}

impl Organization {
    /// An organization that was just created.
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

    pub fn robot(&self, name: &str) -> Option<&Robot> {
        self.robots.as_ref().ok()?.iter().find(|robot| robot.name == name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn namespace_is_new_for_a_minute() {
        let is_new = |created: Option<&str>, now: &str| {
            let created = created.map(|time| time.parse().unwrap());
            Namespace { created, ..Namespace::default() }.is_new(now.parse().unwrap())
        };
        let noon = Some("2026-11-22T12:00:00Z");
        assert!(is_new(noon, "2026-11-22T12:00:59Z") && is_new(noon, "2026-11-22T11:59:55Z"));
        assert!(!is_new(noon, "2026-11-22T12:01:00Z") && !is_new(noon, "2026-11-22T11:00:00Z"));
        assert!(!is_new(None, "2026-11-22T12:00:00Z"));
    }
}
