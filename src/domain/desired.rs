//! What should be: a linked namespace, as the rules say.

use std::collections::{BTreeMap, BTreeSet};

use super::Role;
use super::builds::CommonSpec;
use super::dockerconfig::RegistryScope;
use super::integration::Integration;
use super::names;
use super::ownership_mark::OwnershipMark;
use super::snapshot::{Build, ImageStream, NamespaceSnapshot, ServiceAccount, StreamTag};

/// The service accounts that every namespace has linked, and the roles of their robot accounts (QBO
/// `pkg/constants`: builder pushes, the others pull).
pub const DEFAULT_ACCOUNTS: [(&str, Role); 3] =
    [("builder", Role::Write), ("default", Role::Read), ("deployer", Role::Read)];

/// So many service accounts of one namespace are linked at the most. An editor of a namespace can make any number, and
/// each of them takes a robot account, a default permission, a secret, and a right on every repository.
pub const MAX_ACCOUNTS: usize = 50;

/// So many repositories one namespace has at the most.
pub const MAX_REPOSITORIES: usize = 1000;

/// What a linked namespace has on both sides, as far as the snapshot tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The organization.
    pub organization: String,
    /// The registry's host in secrets and image names.
    pub host: String,
    /// One per linked service account that exists.
    pub accounts: Vec<LinkedServiceAccount>,
    /// A private repository each.
    pub repositories: BTreeSet<String>,
    /// What is asked for beyond [`MAX_ACCOUNTS`] and [`MAX_REPOSITORIES`], and is not made.
    pub surplus: Surplus,
    /// The mark on every robot account we make.
    pub mark: OwnershipMark,
}

/// So much is asked for and not made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surplus {
    /// Service accounts.
    pub accounts: usize,
    /// Repositories.
    pub repositories: usize,
}

/// What a linked service account has: a robot account of its own name with a role, and a secret with its login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedServiceAccount {
    /// The service account, and the robot account's short name.
    pub name: String,
    /// The robot account's role on every repository of an image stream.
    pub role: Role,
    /// The secret.
    pub secret: String,
    /// The role is what a person asks for now.
    pub is_requested: bool,
}

impl Desired {
    /// What `snapshot` should look like. `requests` are roles that service accounts are to have from now on.
    ///
    /// Parts that could not be read ask for nothing: no service accounts known, none linked.
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
            .filter(|(name, _)| names::robot(&organization, name).is_ok())
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
            .filter(|name| names::repository(name).is_ok())
            .chain(built(
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
            // Every namespace's own and those that were asked for by a person come first, then it goes by name.
            let is_usual = |name: &str| DEFAULT_ACCOUNTS.iter().any(|(usual, _)| *usual == name);
            accounts.sort_by_cached_key(|LinkedServiceAccount { name, is_requested, .. }| {
                (!is_usual(name), !is_requested, name.clone())
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

    /// The same while builds are under way: what they push to has to be there before they have built.
    #[must_use]
    pub fn with_builds(
        mut self,
        integration: &Integration,
        snapshot: &NamespaceSnapshot,
        builds: &[Build],
    ) -> Self {
        let under_way = builds.iter().filter(|build| !build.phase.is_over());
        self.repositories.extend(built(integration, snapshot, under_way.map(|build| &build.spec)));
        self
    }

    /// The account of that service account.
    pub fn account(&self, name: &str) -> Option<&LinkedServiceAccount> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// Where its images are.
    pub fn place(&self) -> RegistryScope<'_> {
        RegistryScope { host: &self.host, organization: &self.organization }
    }

    /// The user name a robot account logs in with.
    pub fn login_name(&self, robot: &str) -> String {
        format!("{}+{robot}", self.organization)
    }
}

/// The role a service account is linked with: what it was asked to have, else what every namespace's have; none if
/// it is not linked. An annotation that is no role counts as none asked for.
pub fn role(account: &ServiceAccount) -> Option<Role> {
    let asked = account.role.as_deref().and_then(|role| role.parse().ok());
    asked.or_else(|| {
        DEFAULT_ACCOUNTS.iter().find(|(name, _)| *name == account.name).map(|(_, role)| *role)
    })
}

/// The image streams that builds are for. The stream itself may come with the first import, but nothing can be pushed to a
/// repository that does not exist: robot accounts may create none.
fn built<'a>(
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
    own.filter(move |name| !without.contains(name.as_str()) && names::repository(name).is_ok())
}

/// Whether an image stream gets a repository: one that only follows images of other registries has no use for it,
/// unless it asks.
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
    fn streams_that_only_follow_other_registries_get_no_repository_unless_asked() {
        let stream = |own: bool, sources: &[&str], asked| {
            let source =
                |&name: &&str| Some(TagSource { kind: "DockerImage".into(), name: name.into() });
            let mut tags: Vec<_> = sources
                .iter()
                .map(|name| StreamTag { from: source(name), ..StreamTag::default() })
                .collect();
            tags.extend(own.then(StreamTag::default));
            ImageStream { tags, wants_repository: asked, ..Default::default() }
        };
        assert!(wants_repository(&stream(true, &[], None), "q"));
        assert!(wants_repository(&stream(true, &["docker.io/x/y"], None), "q"));
        assert!(wants_repository(&stream(false, &["q/org/app:1"], None), "q"));
        assert!(!wants_repository(&stream(false, &["docker.io/x/y"], None), "q"));
        assert!(wants_repository(&stream(false, &["docker.io/x/y"], Some(true)), "q"));
        assert!(!wants_repository(&stream(true, &[], Some(false)), "q"));
    }

    #[test]
    fn what_is_built_gets_a_repository_with_the_image_stream_or_before_it() {
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
        let stream = |name: &str, asked| ImageStream {
            name: name.into(),
            tags: vec![follower()],
            wants_repository: asked,
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
    fn links_no_more_of_a_namespace_than_its_share() {
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
    fn roles_are_asked_for_or_the_usual_ones() {
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
