//! Reads organizations with few requests.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use futures::join;
use reqwest::Method;
use secrecy::SecretString;

use crate::domain::ownership::Claim;
use crate::domain::ownership_mark::{OWNER_TEAMS, Owner, OwnershipMark};
use crate::domain::snapshot::{
    DefaultPermission, Observed, Organization, Quota, ReadError, ReadErrorKind, Robot,
};
use crate::quay::Quay;
use crate::quay::api::api_types;
use crate::quay::http::error::{ErrorKind, QuayError};
use crate::quay::http::request::Call;

/// How to read an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadStrategy {
    /// Robot accounts, default permissions and repositories in parallel: the fastest, for one namespace.
    Full,
    /// Robot accounts and default permissions in parallel; repositories only if the robot accounts do not show all expected
    /// ones: the fewest requests, for many namespaces.
    Minimal,
    /// The organization first, the rest only if it exists: the fewest requests for a new namespace.
    AssumeNew,
    /// Only robot accounts and the organization, for its owner: before deletions.
    Owner,
}

/// The arguments of [`Quay::organization`].
#[derive(Clone, Copy)]
struct OrganizationQuery<'a> {
    repositories: &'a BTreeSet<String>,
    robots: &'a [String],
    claim: &'a Claim,
    strategy: ReadStrategy,
}

/// The first responses about an organization; `None` was not requested.
struct OrganizationLookup {
    robots: Result<Vec<api_types::Robot>, QuayError>,
    view: Option<Result<Option<api_types::Organization>, QuayError>>,
    prototypes: Option<Result<Vec<api_types::Prototype>, QuayError>>,
    repositories: Option<Result<Listing, QuayError>>,
}

/// Names in a list; of repositories with the Unix time of the last push.
pub(in crate::quay) type RepositoryIndex = BTreeMap<String, Option<i64>>;

/// A list, with the quota usage of the organization.
#[derive(Default)]
pub(in crate::quay) struct Listing {
    pub(in crate::quay) items: RepositoryIndex,
    /// `None` without a quota. The limit is the whole quota, for the list does not have the percentage at which pushes are
    /// rejected.
    usage: Option<Quota>,
}

enum OwnershipEvidence {
    Missing,
    Administered,
    Unknown,
}

/// The default permissions of the organization's robot accounts, without those of users and teams, those for repositories of
/// one creator, and those with unknown roles.
fn own_permissions(
    organization: &str,
    prototypes: Vec<api_types::Prototype>,
) -> Vec<DefaultPermission> {
    let permissions = prototypes.into_iter().filter_map(|prototype| {
        let is_ours = prototype.delegate.kind == "user" && prototype.activating_user.is_none();
        let robot = short_name(organization, &prototype.delegate.name).filter(|_| is_ours)?;
        Some(DefaultPermission {
            robot: robot.to_owned(),
            role: prototype.role.parse().ok()?,
            id: prototype.id,
        })
    });
    permissions.collect()
}

impl Quay {
    /// Reads an organization; `Ok(None)` if it does not exist.
    ///
    /// `repositories` are the expected ones; `robots` are the short names of the expected robot accounts, whose missing fields
    /// are read one by one. `claim` is the namespace's claim to own the organization.
    ///
    /// # Errors
    /// Its existence is unknown. Each part that could not be read is a [`ReadError`] in the organization.
    pub async fn organization(
        &self,
        name: &str,
        repositories: &BTreeSet<String>,
        robots: &[String],
        strategy: ReadStrategy,
        claim: &Claim,
    ) -> Observed<Option<Organization>> {
        let wanted = OrganizationQuery { repositories, robots, claim, strategy };
        let mut lookup = self.lookup(name, strategy).await;
        if let Err(error) = &lookup.robots
            && error.kind.is_general()
        {
            return Err(error.clone().into());
        }
        let view = match (lookup.view.take(), lookup.evidence()) {
            (Some(view), _) => view?,
            (None, OwnershipEvidence::Missing) => return Ok(None),
            (None, OwnershipEvidence::Administered) => {
                return self.read_administered(name, wanted, lookup, None).await;
            }
            (None, OwnershipEvidence::Unknown) => self.view(name).await?,
        };
        let Some(view) = view else { return Ok(None) };
        if !view.is_admin && lookup.robots.is_ok() && lookup.prototypes.is_none() {
            // 3.12 does not report a superuser with full access as administrator (`wire/VERSIONS.md`).
            lookup.prototypes = Some(self.prototypes(name).await);
        }
        if view.is_admin || matches!(lookup.prototypes, Some(Ok(_))) {
            self.read_administered(name, wanted, lookup, Some(view)).await
        } else {
            Ok(Some(self.forbidden_organization(name, &view).await))
        }
    }

    async fn lookup(&self, name: &str, strategy: ReadStrategy) -> OrganizationLookup {
        let robots = self.robots(name);
        match strategy {
            ReadStrategy::Full => {
                let (robots, prototypes, repositories) =
                    join!(robots, self.prototypes(name), self.repositories(name));
                OrganizationLookup {
                    robots,
                    view: None,
                    prototypes: Some(prototypes),
                    repositories: Some(repositories),
                }
            }
            ReadStrategy::Minimal => {
                let (robots, prototypes) = join!(robots, self.prototypes(name));
                OrganizationLookup {
                    robots,
                    view: None,
                    prototypes: Some(prototypes),
                    repositories: None,
                }
            }
            ReadStrategy::AssumeNew | ReadStrategy::Owner => {
                let view = self.view(name).await;
                let robots = if matches!(view, Ok(Some(_))) { robots.await } else { Ok(vec![]) };
                OrganizationLookup {
                    robots,
                    view: Some(view),
                    prototypes: None,
                    repositories: None,
                }
            }
        }
    }

    /// Reads the parts of an administered organization that the lookup does not have.
    async fn read_administered(
        &self,
        name: &str,
        wanted: OrganizationQuery<'_>,
        lookup: OrganizationLookup,
        view: Option<api_types::Organization>,
    ) -> Observed<Option<Organization>> {
        let OrganizationQuery { repositories: expected, robots: needed, claim, strategy } = wanted;
        let known = lookup.repositories_of_robots();
        let repositories = async {
            let listed = match lookup.repositories {
                Some(repositories) => repositories?,
                None if strategy == ReadStrategy::Owner || expected.is_subset(&known) => {
                    return Ok((known, None));
                }
                None => self.repositories(name).await?,
            };
            // For a token that expired in the meantime Quay lists public repositories only (`wire/104`), so those with
            // permissions of robot accounts are added.
            Ok::<_, QuayError>((listed.items.keys().cloned().chain(known).collect(), Some(listed)))
        };
        let prototypes = async {
            match lookup.prototypes {
                Some(prototypes) => prototypes,
                None if strategy == ReadStrategy::Owner => Ok(vec![]),
                None => self.prototypes(name).await,
            }
        };
        let robots = async {
            let listed = match lookup.robots {
                // Rejected before another run created the organization.
                Err(error) if error.kind == ErrorKind::Forbidden => self.robots(name).await?,
                listed => listed?,
            };
            let members: Vec<_> = listed
                .iter()
                .filter_map(|robot| {
                    Some((
                        short_name(name, &robot.name)?.to_owned(),
                        robot.owner_teams().collect::<Vec<_>>(),
                    ))
                })
                .filter(|(_, teams)| !teams.is_empty())
                .collect();
            Ok::<_, QuayError>((self.complete_robots(name, listed, needed).await?, members))
        };
        let (robots, prototypes, repositories) = join!(robots, prototypes, repositories);
        let (mut robots, members) = match robots {
            Ok((robots, members)) => (Ok(robots), members),
            Err(error) => (Err(error), vec![]),
        };
        let relevant: Vec<&Robot> =
            robots.iter().flatten().filter(|robot| needed.contains(&robot.name)).collect();
        let mut marks = robots.iter().flatten().filter_map(|robot| robot.mark.as_ref()).peekable();
        let is_unmarked = marks.peek().is_none();
        let is_marked_by_others = marks.any(|mark| mark.owner(&claim.mark) != Owner::Current);
        let is_unlinked =
            is_unmarked && robots.as_ref().is_ok_and(|robots| !claim.is_linked(robots));
        let view = match view {
            // Only this request shows adoptions and owners. Version 0 does not add robot accounts to the owner team.
            None if !members.is_empty() || is_marked_by_others || is_unlinked => {
                self.view(name).await?
            }
            view => view,
        };
        let repositories = match repositories {
            Ok((known, None)) if is_unlinked && strategy != ReadStrategy::Owner => {
                let listed = self.repositories(name).await;
                listed.map(|listed| {
                    (listed.items.keys().cloned().chain(known).collect(), Some(listed))
                })
            }
            repositories => repositories,
        };
        // Another owner's robot account or default permission could read and write images that are pushed later.
        let is_empty = robots.as_ref().is_ok_and(Vec::is_empty)
            && prototypes.as_ref().is_ok_and(Vec::is_empty);
        let is_blank = match (&view, &repositories) {
            (Some(view), Ok((_, Some(listed))))
                if is_unlinked && is_empty && listed.items.is_empty() =>
            {
                self.is_sole_owner(name, view).await
            }
            _ => false,
        };
        // Quay reports a read-only superuser as administrator, but hides tokens (`wire/666`).
        let has_hidden_tokens = relevant.iter().any(|robot| robot.token.is_none());
        let administered = !(has_hidden_tokens && self.diagnosis().await.is_readonly_superuser());
        let (repositories, listing) = match repositories {
            Ok((repositories, listing)) => (Ok(repositories), listing),
            Err(error) => (Err(error.into()), None),
        };
        let is_nearly_full = listing
            .as_ref()
            .and_then(|listing| listing.usage)
            .is_some_and(Quota::is_nearly_used_up);
        let view = match view {
            // Only this request shows the percentage at which pushes are rejected.
            None if is_nearly_full => self.view(name).await.unwrap_or_default(),
            view => view,
        };
        let adoption = view.as_ref().and_then(adoption_mark);
        for robot in robots.iter_mut().flatten() {
            let is_member = |team: &str| {
                members.iter().any(|(name, teams)| *name == robot.name && teams.contains(&team))
            };
            robot.is_adopted = adoption.as_ref().is_some_and(|(team, _)| is_member(team));
        }
        Ok(Some(Organization {
            administered,
            adopted_by: adoption.map(|(_, mark)| mark),
            is_blank,
            robots: robots.map_err(ReadError::from),
            default_permissions: prototypes
                .map(|all| own_permissions(name, all))
                .map_err(ReadError::from),
            repositories,
            pushed: listing.map(|listing| listing.items),
            quota: view.as_ref().and_then(nearly_used_quota),
            tags: BTreeMap::new(),
        }))
    }

    /// An organization that the token is not allowed to administer. Its lists would be incomplete, so they are not read.
    async fn forbidden_organization(
        &self,
        name: &str,
        view: &api_types::Organization,
    ) -> Organization {
        self.diagnose_rejection(name, view).await;
        let forbidden = |parts: &str| ReadError {
            call: format!("list {parts} of organization {name}"),
            reason: "the token is not allowed to administer the organization".into(),
            kind: ReadErrorKind::Forbidden,
        };
        Organization {
            administered: false,
            adopted_by: adoption_mark(view).map(|(_, mark)| mark),
            is_blank: false,
            robots: Err(forbidden("robot accounts")),
            default_permissions: Err(forbidden("default permissions")),
            repositories: Err(forbidden("repositories")),
            pushed: None,
            quota: None,
            tags: BTreeMap::new(),
        }
    }

    /// The token's user is the only member of an organization. Quay reports a superuser with full access as a member
    /// (`wire/733e`), so the user's list of organizations is compared too.
    pub(in crate::quay) async fn is_sole_owner(
        &self,
        name: &str,
        view: &api_types::Organization,
    ) -> bool {
        let is_alone = view.teams.len() == 1
            && view.teams.get("owners").is_some_and(|team| team.member_count == Some(1));
        // Read again: the organization might be newer than the diagnosis.
        is_alone && self.whoami().await.is_ok_and(|user| user.organization_names().contains(name))
    }

    /// Converts robot accounts. Fields that the list does not have are read one by one for the needed ones, as 3.12 requires for
    /// organizations with other owners (`wire/VERSIONS.md`).
    async fn complete_robots(
        &self,
        organization: &str,
        listed: Vec<api_types::Robot>,
        needed: &[String],
    ) -> Result<Vec<Robot>, QuayError> {
        let robots = listed.into_iter().filter_map(|mut listed| {
            let name = short_name(organization, &listed.name)?.to_owned();
            let mark = listed.description.as_deref().and_then(OwnershipMark::parse);
            let repositories = listed.repositories.take();
            let token = listed.token();
            Some(async move {
                let is_needed = needed.contains(&name);
                let token = match token {
                    None if is_needed => self.readable_token(organization, &name).await?,
                    token => token,
                };
                let repositories = match repositories {
                    None if is_needed => self.repositories_of_robot(organization, &name).await?,
                    repositories => repositories.into_iter().flatten().collect(),
                };
                Ok(Robot { name, mark, is_adopted: false, token, repositories })
            })
        });
        try_join_all(robots).await
    }

    async fn readable_token(
        &self,
        organization: &str,
        robot: &str,
    ) -> Result<Option<SecretString>, QuayError> {
        match self.robot(organization, robot).await {
            Ok(robot) => Ok(robot.token()),
            Err(error) if matches!(error.kind, ErrorKind::Forbidden | ErrorKind::NotFound) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn repositories_of_robot(
        &self,
        organization: &str,
        robot: &str,
    ) -> Result<BTreeSet<String>, QuayError> {
        let action = format!("list the repositories of robot account {organization}+{robot}");
        let call = self.api(
            Method::GET,
            &["organization", organization, "robots", robot, "permissions"],
            action,
        );
        let found: api_types::RobotPermissions = self.fetch(&call).await?;
        Ok(found.permissions.into_iter().map(|permission| permission.repository.name).collect())
    }

    async fn robots(&self, organization: &str) -> Result<Vec<api_types::Robot>, QuayError> {
        let action = format!("list robot accounts of organization {organization}");
        let call = self.api(Method::GET, &["organization", organization, "robots"], action);
        let mut found: api_types::Robots =
            self.fetch(&call.query("token", "true").query("permissions", "true")).await?;
        // Quay filters with LIKE, where `_` in the organization's name matches any character.
        found.robots.retain(|robot| short_name(organization, &robot.name).is_some());
        Ok(found.robots)
    }

    pub(in crate::quay) async fn robot(
        &self,
        organization: &str,
        robot: &str,
    ) -> Result<api_types::Robot, QuayError> {
        let action = format!("read robot account {organization}+{robot}");
        self.fetch(&self.api(Method::GET, &["organization", organization, "robots", robot], action))
            .await
    }

    /// The organization as the token sees it; `None` if it does not exist.
    pub(in crate::quay) async fn view(
        &self,
        name: &str,
    ) -> Result<Option<api_types::Organization>, QuayError> {
        let call =
            self.api(Method::GET, &["organization", name], format!("look up organization {name}"));
        match self.fetch(&call).await {
            Ok(view) => Ok(Some(view)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(in crate::quay) async fn default_permissions(
        &self,
        organization: &str,
    ) -> Result<Vec<DefaultPermission>, QuayError> {
        Ok(own_permissions(organization, self.prototypes(organization).await?))
    }

    /// All default permissions of an organization.
    async fn prototypes(&self, organization: &str) -> Result<Vec<api_types::Prototype>, QuayError> {
        let action = format!("list default permissions of organization {organization}");
        let found: api_types::Prototypes = self
            .fetch(&self.api(Method::GET, &["organization", organization, "prototypes"], action))
            .await?;
        Ok(found.prototypes)
    }

    pub(in crate::quay) async fn repositories(
        &self,
        organization: &str,
    ) -> Result<Listing, QuayError> {
        let call = || {
            let action = format!("list repositories of organization {organization}");
            self.api(Method::GET, &["repository"], action)
                .query("namespace", organization)
                .query("last_modified", "true")
        };
        self.fetch_pages(call).await
    }

    /// The names of all organizations; `None` if they could not be read: the list is for superusers whose token has the scope
    /// `super:user` (`wire/432` to `wire/436`).
    pub async fn organization_names(&self) -> Option<BTreeSet<String>> {
        self.all_organizations().await.ok()
    }

    pub(in crate::quay) async fn all_organizations(&self) -> Result<BTreeSet<String>, QuayError> {
        let call = || {
            self.api(
                Method::GET,
                &["superuser", "organizations", ""],
                "list all organizations".into(),
            )
        };
        Ok(self.fetch_pages(call).await?.items.into_keys().collect())
    }

    /// The ownership marks in an organization's robot accounts without duplicates, or the mark of its adoption. One request,
    /// and another one after an adoption.
    ///
    /// # Errors
    /// The organization is missing or forbidden, which Quay does not distinguish (`wire/206` to `wire/208`).
    pub async fn ownership_marks(
        &self,
        organization: &str,
    ) -> Result<Vec<OwnershipMark>, QuayError> {
        let robots = self.robots(organization).await?;
        if robots.iter().any(|robot| robot.owner_teams().next().is_some())
            && let Some((_, adopter)) =
                self.view(organization).await?.as_ref().and_then(adoption_mark)
        {
            return Ok(vec![adopter]);
        }
        let mut marks = Vec::new();
        for robot in robots {
            let mark = robot.description.as_deref().and_then(OwnershipMark::parse);
            marks.extend(mark.filter(|mark| !marks.contains(mark)));
        }
        Ok(marks)
    }

    /// All pages of a list (`wire/363`, `wire/364`). Quay answers an invalid page token with the first page (`wire/362`), which
    /// must not loop forever.
    async fn fetch_pages(&self, first: impl Fn() -> Call) -> Result<Listing, QuayError> {
        let mut listing = Listing::default();
        let mut call = first();
        loop {
            let page: api_types::Page = self.fetch(&call).await?;
            let known = listing.items.len();
            for item in page.items {
                listing.add_usage(item.quota_report);
                listing.items.insert(item.name, item.last_modified);
            }
            let Some(next) = page.next_page else { return Ok(listing) };
            if listing.items.len() == known {
                return Err(QuayError::new(
                    call.action(),
                    ErrorKind::Unexpected,
                    "pagination loop: Quay returned the same page twice",
                ));
            }
            call = first().query("next_page", &next);
        }
    }
}

impl Listing {
    fn add_usage(&mut self, report: Option<api_types::QuotaReport>) {
        let Some(api_types::QuotaReport { quota_bytes, configured_quota: Some(limit) }) = report
        else {
            return;
        };
        let usage = self.usage.get_or_insert(Quota { used: 0, limit });
        usage.used = usage.used.saturating_add(quota_bytes.unwrap_or_default());
    }
}

/// The usage and the limit at which pushes are rejected, if the limit is near. Without a limit of that type pushes are not
/// rejected (`wire/745c`).
fn nearly_used_quota(view: &api_types::Organization) -> Option<Quota> {
    let used = view.quota_report?.quota_bytes?;
    let rejects = |quota: &api_types::Quota| {
        let percent = quota
            .limits
            .iter()
            .filter(|limit| limit.kind == "Reject")
            .map(|limit| limit.limit_percent)
            .min()?;
        Some(quota.limit_bytes / 100 * percent)
    };
    let quota = Quota { used, limit: view.quotas.iter().filter_map(rejects).min()? };
    quota.is_nearly_used_up().then_some(quota)
}

impl OrganizationLookup {
    fn evidence(&self) -> OwnershipEvidence {
        match (&self.robots, &self.prototypes) {
            // With FEATURE_SUPERUSERS_FULL_ACCESS a missing organization has an empty list of robot accounts, but no default
            // permissions (`wire/520`, `wire/524`).
            (Ok(robots), Some(Err(error)))
                if robots.is_empty() && error.kind == ErrorKind::NotFound =>
            {
                OwnershipEvidence::Missing
            }
            // Only administrators can read default permissions.
            (_, Some(Ok(_))) => OwnershipEvidence::Administered,
            _ => OwnershipEvidence::Unknown,
        }
    }

    /// The repositories with permissions of robot accounts.
    fn repositories_of_robots(&self) -> BTreeSet<String> {
        self.robots
            .iter()
            .flatten()
            .flat_map(|robot| robot.repositories.iter().flatten())
            .cloned()
            .collect()
    }
}

/// The part of a robot account's name after the organization.
fn short_name<'a>(organization: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(organization)?.strip_prefix('+')
}

/// The team that records the adoption of an organization, and its mark.
fn adoption_mark(view: &api_types::Organization) -> Option<(&'static str, OwnershipMark)> {
    OWNER_TEAMS.iter().find_map(|team| {
        Some((*team, OwnershipMark::parse(view.teams.get(*team)?.description.as_deref()?)?))
    })
}
