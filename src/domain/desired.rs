//! The desired state of a linked namespace.

use std::collections::{BTreeMap, BTreeSet};

use super::Role;
use super::builds::CommonSpec;
use super::dockerconfig::RegistryScope;
use super::integration::Integration;
use super::names;
use super::ownership_mark::OwnershipMark;
use super::snapshot::{Build, ImageStream, NamespaceSnapshot, ServiceAccount, StreamTag};

/// The service accounts that are always linked, and the roles of their robot accounts (QBO
/// `pkg/constants`).
pub const DEFAULT_ACCOUNTS: [(&str, Role); 3] =
    [("builder", Role::Write), ("default", Role::Read), ("deployer", Role::Read)];

/// The maximum number of linked service accounts in a namespace. An editor can create any number,
/// and each needs a robot account, a default permission, a secret, and a permission on every
/// repository.
pub const MAX_ACCOUNTS: usize = 50;

/// The maximum number of repositories of a namespace.
pub const MAX_REPOSITORIES: usize = 1000;

/// The desired objects of a linked namespace, as far as the snapshot is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    pub organization: String,
    /// The registry's host in secrets and image names.
    pub host: String,
    /// The service accounts that exist.
    pub accounts: Vec<LinkedServiceAccount>,
    pub repositories: BTreeSet<String>,
    pub surplus: Surplus,
    /// The mark for new robot accounts.
    pub mark: OwnershipMark,
}

/// The numbers of objects beyond [`MAX_ACCOUNTS`] and [`MAX_REPOSITORIES`], which are not created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surplus {
    pub accounts: usize,
    pub repositories: usize,
}

/// A service account with a robot account of the same name, and a secret with its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedServiceAccount {
    /// The service account, and the robot account's short name.
    pub name: String,
    /// The robot account's role on every repository of an image stream.
    pub role: Role,
    pub secret: String,
    /// The user requests the role with this command.
    pub is_requested: bool,
}

impl Desired {
    /// The desired state for `snapshot`. `requests` are new roles by service account.
    ///
    /// Parts that could not be read count as empty.
    pub fn of(
        integration: &Integration,
        snapshot: &NamespaceSnapshot,
        requests: &BTreeMap<String, Role>,
    ) -> Self {
        let cluster_id = &integration.cluster_id.value;
        let organization = cluster_id.organization(&snapshot.name);
        let host = integration.url.value.host();
        let uid = snapshot
            .namespace
            .as_ref()
            .ok()
            .and_then(Option::as_ref)
            .map_or("", |namespace| &namespace.uid);
        let accounts = snapshot.service_accounts.iter().flatten();
        let streams = snapshot.image_streams.iter().flatten();
        let mut accounts: Vec<_> = accounts
            .filter_map(|account| {
                Some((
                    account.name.clone(),
                    requests.get(&account.name).copied().or_else(|| role(account))?,
                ))
            })
            .filter(|(name, _)| names::validate_robot(&organization, name).is_ok())
            .map(|(name, role)| LinkedServiceAccount {
                secret: cluster_id.secret(&name),
                is_requested: requests.contains_key(&name),
                name,
                role,
            })
            .collect();
        let mut repositories: BTreeSet<_> = streams
            .filter(|stream| wants_repository(stream, &host))
            .map(|stream| stream.name.clone())
            .filter(|name| names::validate_repository(name).is_ok())
            .chain(build_repositories(
                integration,
                snapshot,
                snapshot.build_configs.iter().flatten().map(|config| &config.spec),
            ))
            .collect();
        let surplus = Surplus {
            accounts: accounts.len().saturating_sub(MAX_ACCOUNTS),
            repositories: repositories.len().saturating_sub(MAX_REPOSITORIES),
        };
        if surplus.accounts > 0 {
            // The default service accounts come first, then those that the user requests, then all
            // others by name.
            let is_default =
                |name: &str| DEFAULT_ACCOUNTS.iter().any(|(default, _)| *default == name);
            accounts.sort_by_cached_key(|LinkedServiceAccount { name, is_requested, .. }| {
                (!is_default(name), !is_requested, name.clone())
            });
            accounts.truncate(MAX_ACCOUNTS);
        }
        if let Some(first) = repositories.iter().nth(MAX_REPOSITORIES).cloned() {
            repositories.split_off(&first);
        }
        Self {
            accounts,
            repositories,
            surplus,
            mark: OwnershipMark::new(&integration.cluster, &snapshot.name, uid),
            organization,
            host,
        }
    }

    /// Adds the repositories of running builds, which must exist before the builds push.
    #[must_use]
    pub fn with_builds(
        mut self,
        integration: &Integration,
        snapshot: &NamespaceSnapshot,
        builds: &[Build],
    ) -> Self {
        let under_way = builds.iter().filter(|build| !build.phase.is_over());
        self.repositories.extend(build_repositories(
            integration,
            snapshot,
            under_way.map(|build| &build.spec),
        ));
        self
    }

    pub fn account(&self, name: &str) -> Option<&LinkedServiceAccount> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// The scope of its images in a docker configuration.
    pub fn place(&self) -> RegistryScope<'_> {
        RegistryScope { host: &self.host, organization: &self.organization }
    }

    /// The robot account's username in Quay.
    pub fn robot_username(&self, robot: &str) -> String {
        format!("{}+{robot}", self.organization)
    }
}

/// The role of a linked service account: its annotation, else its default role. `None` if it is not
/// linked. An invalid annotation is ignored.
pub fn role(account: &ServiceAccount) -> Option<Role> {
    let requested = account.role.as_deref().and_then(|role| role.parse().ok());
    requested.or_else(|| {
        DEFAULT_ACCOUNTS.iter().find(|(name, _)| *name == account.name).map(|(_, role)| *role)
    })
}

/// The repositories that builds push to. They must exist before the first push, since robot
/// accounts cannot create repositories; the image stream might be created later, by the first
/// import.
fn build_repositories<'a>(
    integration: &Integration,
    snapshot: &NamespaceSnapshot,
    specs: impl Iterator<Item = &'a CommonSpec>,
) -> impl Iterator<Item = String> {
    let destinations = specs.filter_map(|spec| spec.destination(&snapshot.name, integration));
    let own = destinations
        .filter(|destination| destination.namespace == snapshot.name)
        .map(|destination| destination.stream);
    let streams = snapshot.image_streams.iter().flatten();
    let without: BTreeSet<_> = streams
        .filter(|stream| stream.wants_repository == Some(false))
        .map(|stream| stream.name.as_str())
        .collect();
    own.filter(move |name| {
        !without.contains(name.as_str()) && names::validate_repository(name).is_ok()
    })
}

/// Whether an image stream gets a repository. One that only follows images of other registries
/// needs none, unless its annotation requests it.
pub fn wants_repository(stream: &ImageStream, host: &str) -> bool {
    let follows_us =
        |tag: &StreamTag| tag.follows().is_some_and(|image| image.split('/').next() == Some(host));
    stream
        .wants_repository
        .unwrap_or_else(|| stream.holds_own_tags() || stream.tags.iter().any(follows_us))
}

#[cfg(test)]
mod tests {
    use super::super::builds::{CommonSpec, Output, Strategy, Target, integration};
    use super::super::proptests::golden;
    use super::super::snapshot::{BuildConfig, Phase, TagSource};
    use super::*;

    #[test]
    fn creates_no_repository_for_foreign_images() {
        let stream = |own: bool, sources: &[&str], requested| {
            let source =
                |&name: &&str| Some(TagSource { kind: "DockerImage".into(), name: name.into() });
            let mut tags: Vec<_> = sources
                .iter()
                .map(|name| StreamTag { from: source(name), ..StreamTag::default() })
                .collect();
            tags.extend(own.then(StreamTag::default));
            ImageStream { tags, wants_repository: requested, ..Default::default() }
        };
        assert!(wants_repository(&stream(true, &[], None), "q"));
        assert!(wants_repository(&stream(true, &["docker.io/x/y"], None), "q"));
        assert!(wants_repository(&stream(false, &["q/org/app:1"], None), "q"));
        assert!(!wants_repository(&stream(false, &["docker.io/x/y"], None), "q"));
        assert!(wants_repository(&stream(false, &["docker.io/x/y"], Some(true)), "q"));
        assert!(!wants_repository(&stream(true, &[], Some(false)), "q"));
    }

    #[test]
    fn creates_repository_for_build_output() {
        let by = |strategy, kind: &str, name: &str| {
            let output = Output {
                to: Some(Target { kind: kind.into(), namespace: None, name: name.into() }),
                push_secret: None,
            };
            let spec = CommonSpec { strategy: Some(strategy), output, service_account: None };
            BuildConfig { spec, ..BuildConfig::default() }
        };
        let config = |kind: &str, name: &str| by(Strategy::Docker, kind, name);
        let follower = || StreamTag {
            from: Some(TagSource { kind: "DockerImage".into(), name: "docker.io/x/y".into() }),
            ..StreamTag::default()
        };
        let stream = |name: &str, requested| ImageStream {
            name: name.into(),
            tags: vec![follower()],
            wants_repository: requested,
            ..ImageStream::default()
        };
        let mut snapshot = golden();
        snapshot.image_streams = Ok(vec![
            stream("base", None),
            stream("follower", None),
            stream("private", Some(false)),
        ]);
        snapshot.build_configs = Ok(vec![
            config("ImageStreamTag", "base:1"),
            config("ImageStreamTag", "new"),
            config("ImageStreamTag", "private:1"),
            config("ImageStreamTag", "No_Repository:1"),
            config("DockerImage", "quay.example.com:8443/prod_golden/rewritten:1"),
            config("DockerImage", "quay.example.com:8443/prod_images/other:1"),
            config("DockerImage", "docker.io/x/y:1"),
            by(Strategy::JenkinsPipeline, "ImageStreamTag", "pipeline:1"),
        ]);
        let desired = Desired::of(&integration(), &snapshot, &BTreeMap::new());
        assert_eq!(
            desired.repositories.iter().map(String::as_str).collect::<Vec<_>>(),
            ["base", "new", "rewritten"]
        );

        let build = |phase, name: &str| {
            let spec = config("DockerImage", &format!("quay.example.com:8443/{name}")).spec;
            Build { phase, spec, ..Build::default() }
        };
        let builds = [
            build(Phase::Running, "prod_golden/by-hand:1"),
            build(Phase::Complete, "prod_golden/over:1"),
            build(Phase::New, "prod_golden/private:1"),
            build(Phase::New, "prod_images/other:1"),
        ];
        snapshot.build_configs = Ok(vec![]);
        let desired = Desired::of(&integration(), &snapshot, &BTreeMap::new()).with_builds(
            &integration(),
            &snapshot,
            &builds,
        );
        assert_eq!(desired.repositories, BTreeSet::from(["by-hand".to_owned()]));
    }

    #[test]
    fn limits_accounts_and_repositories() {
        let mut snapshot = golden();
        let account = |number: usize| ServiceAccount {
            name: format!("a{number:03}"),
            role: Some("read".into()),
            ..ServiceAccount::default()
        };
        snapshot.service_accounts.as_mut().unwrap().extend((0..300).map(account));
        let stream = |number: usize| ImageStream {
            name: format!("app{number:04}"),
            ..ImageStream::default()
        };
        snapshot.image_streams = Ok((0..1300).map(stream).collect());
        let requests = BTreeMap::from([("a299".to_owned(), Role::Write)]);
        let desired = Desired::of(&integration(), &snapshot, &requests);
        assert_eq!(
            (desired.accounts.len(), desired.repositories.len()),
            (MAX_ACCOUNTS, MAX_REPOSITORIES)
        );
        assert_eq!(desired.surplus, Surplus { accounts: 253, repositories: 300 });
        let names: Vec<_> =
            desired.accounts.iter().map(|account| account.name.as_str()).take(5).collect();
        assert_eq!(names, ["builder", "default", "deployer", "a299", "a000"]);
    }

    #[test]
    fn uses_role_annotation_or_default_role() {
        let account = |name: &str, role: Option<&str>| ServiceAccount {
            name: name.into(),
            role: role.map(Into::into),
            ..Default::default()
        };
        assert_eq!(role(&account("builder", None)), Some(Role::Write));
        assert_eq!(role(&account("default", Some("admin"))), Some(Role::Admin));
        assert_eq!(role(&account("default", Some("owner"))), Some(Role::Read));
        assert_eq!(role(&account("pipeline", Some("write"))), Some(Role::Write));
        assert_eq!(role(&account("pipeline", None)), None);
    }
}
