//! Reading: an organization in as few calls as tell the truth about it.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use futures::join;
use reqwest::Method;
use secrecy::SecretString;

use super::Quay;
use super::api_types;
use super::error::{ErrorKind, QuayError};
use super::request::Call;
use crate::domain::ownership::Claim;
use crate::domain::ownership_mark::{OWNER_TEAMS, Owner, OwnershipMark};
use crate::domain::snapshot::{
    DefaultPermission, Observed, Organization, Quota, ReadError, ReadErrorKind, Robot,
};

/// How an organization is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadStrategy {
    /// Robot accounts, default permissions and repositories at once: soonest done. For one namespace.
    Full,
    /// Robot accounts and default permissions at once, repositories only if the robot accounts' lists do not show every
    /// wanted one: fewest calls. For many namespaces.
    Minimal,
    /// The organization itself, the rest only if it exists: fewest calls where it may not.
    AssumeNew,
    /// Robot accounts and the organization itself, and nothing else: whose it is. For deletions.
    Owner,
}

/// What is looked for in an organization.
#[derive(Clone, Copy)]
struct OrganizationQuery<'a> {
    repositories: &'a BTreeSet<String>,
    robots: &'a [String],
    claim: &'a Claim,
    depth: ReadStrategy,
}

/// The first answers about an organization; `None` was not asked.
struct OrganizationLookup {
    robots: Result<Vec<api_types::Robot>, QuayError>,
    view: Option<Result<Option<api_types::Organization>, QuayError>>,
    prototypes: Option<Result<Vec<api_types::Prototype>, QuayError>>,
    repositories: Option<Result<Listing, QuayError>>,
}

/// What is in a list, by name; of repositories with the time of the last push.
pub(super) type RepositoryIndex = BTreeMap<String, Option<i64>>;

/// A list with what it tells about the organization's quota.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) items: RepositoryIndex,
    /// None where there is no quota. What is allowed is the whole of it: at which part pushes are refused is not in the list.
    usage: Option<Quota>,
}

/// What the first answers prove.
enum OwnershipEvidence {
    Missing,
    Administered,
    Nothing,
}

/// The default permissions of the organization's own robot accounts. Those for what one user creates, of people, of
/// teams and of roles that a newer Quay may have are not ours to judge.
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
    /// Reads an organization, `Ok(None)` if there is none.
    ///
    /// `repositories` are those that should be there, `robots` the short names of the robot accounts that matter: what a
    /// list does not tell about these is asked one by one. `claim` is what the namespace has to show for it.
    ///
    /// # Errors
    /// When not even its existence could be told. What else could not be read is [`ReadError`] by itself.
    pub async fn organization(
        &self,
        name: &str,
        repositories: &BTreeSet<String>,
        robots: &[String],
        depth: ReadStrategy,
        claim: &Claim,
    ) -> Observed<Option<Organization>> {
        let wanted = OrganizationQuery { repositories, robots, claim, depth };
        let mut look = self.look(name, depth).await;
        if let Err(error) = &look.robots
            && error.kind.is_general()
        {
            return Err(error.clone().into());
        }
        let view = match (look.view.take(), look.proof()) {
            (Some(view), _) => view?,
            (None, OwnershipEvidence::Missing) => return Ok(None),
            (None, OwnershipEvidence::Administered) => {
                return self.administered(name, wanted, look, None).await;
            }
            (None, OwnershipEvidence::Nothing) => self.view(name).await?,
        };
        let Some(view) = view else { return Ok(None) };
        if !view.is_admin && look.robots.is_ok() && look.prototypes.is_none() {
            // 3.12 does not say that a superuser with full access may administer, but it obeys (`VERSIONS.md`).
            look.prototypes = Some(self.prototypes(name).await);
        }
        if view.is_admin || matches!(look.prototypes, Some(Ok(_))) {
            self.administered(name, wanted, look, Some(view)).await
        } else {
            Ok(Some(self.not_administered(name, &view).await))
        }
    }

    async fn look(&self, name: &str, depth: ReadStrategy) -> OrganizationLookup {
        let robots = self.robots(name);
        match depth {
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

    /// An organization that exists and is ours to administer, with what the first look left open.
    async fn administered(
        &self,
        name: &str,
        wanted: OrganizationQuery<'_>,
        look: OrganizationLookup,
        view: Option<api_types::Organization>,
    ) -> Observed<Option<Organization>> {
        let OrganizationQuery { repositories: expected, robots: needed, claim, depth } = wanted;
        let shown = look.shown_repositories();
        let repositories = async {
            let listed = match look.repositories {
                Some(repositories) => repositories?,
                None if depth == ReadStrategy::Owner || expected.is_subset(&shown) => {
                    return Ok((shown, None));
                }
                None => self.repositories(name).await?,
            };
            // To a token that expires meanwhile Quay lists what is public (sample 104); what a robot account has a right
            // on exists all the same.
            Ok::<_, QuayError>((listed.items.keys().cloned().chain(shown).collect(), Some(listed)))
        };
        let prototypes = async {
            match look.prototypes {
                Some(prototypes) => prototypes,
                None if depth == ReadStrategy::Owner => Ok(vec![]),
                None => self.prototypes(name).await,
            }
        };
        let robots = async {
            let listed = match look.robots {
                // It was refused before the organization came into being, which somebody made at the same time.
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
            Ok::<_, QuayError>((self.complete(name, listed, needed).await?, members))
        };
        let (robots, prototypes, repositories) = join!(robots, prototypes, repositories);
        let (mut robots, members) = match robots {
            Ok((robots, members)) => (Ok(robots), members),
            Err(error) => (Err(error), vec![]),
        };
        let matter: Vec<&Robot> =
            robots.iter().flatten().filter(|robot| needed.contains(&robot.name)).collect();
        let mut marks = robots.iter().flatten().filter_map(|robot| robot.mark.as_ref()).peekable();
        let is_unmarked = marks.peek().is_none();
        let is_marked_by_others = marks.any(|mark| mark.owner(&claim.mark) != Owner::Current);
        let is_unproven =
            is_unmarked && robots.as_ref().is_ok_and(|robots| !claim.is_linked(robots));
        let view = match view {
            // Only this call shows who adopted it, and who owns it. Version 0 has nothing in the list that tells of it.
            None if !members.is_empty() || is_marked_by_others || is_unproven => {
                self.view(name).await?
            }
            view => view,
        };
        let repositories = match repositories {
            Ok((shown, None)) if is_unproven && depth != ReadStrategy::Owner => {
                let listed = self.repositories(name).await;
                listed.map(|listed| {
                    (listed.items.keys().cloned().chain(shown).collect(), Some(listed))
                })
            }
            repositories => repositories,
        };
        // A robot account or a default permission of others in it would read and write what is pushed later.
        let is_empty = robots.as_ref().is_ok_and(Vec::is_empty)
            && prototypes.as_ref().is_ok_and(Vec::is_empty);
        let is_blank = match (&view, &repositories) {
            (Some(view), Ok((_, Some(listed))))
                if is_unproven && is_empty && listed.items.is_empty() =>
            {
                self.is_sole_owner(name, view).await
            }
            _ => false,
        };
        // To a read-only superuser Quay says that it may administer, but it shows no tokens (sample 666).
        let hides_tokens = matter.iter().any(|robot| robot.token.is_none());
        let administered = !(hides_tokens && self.diagnosis().await.is_readonly_superuser());
        let (repositories, listing) = match repositories {
            Ok((repositories, listing)) => (Ok(repositories), listing),
            Err(error) => (Err(error.into()), None),
        };
        let is_much_used = listing
            .as_ref()
            .and_then(|listing| listing.usage)
            .is_some_and(Quota::is_nearly_used_up);
        let view = match view {
            // Only this call shows at which part of the quota pushes are refused.
            None if is_much_used => self.view(name).await.unwrap_or_default(),
            view => view,
        };
        let adoption = view.as_ref().and_then(adoption);
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
            quota: view.as_ref().and_then(quota),
            tags: BTreeMap::new(),
        }))
    }

    /// An organization that exists and is somebody else's. What its lists show would be half the truth.
    async fn not_administered(&self, name: &str, view: &api_types::Organization) -> Organization {
        self.diagnose_refusal(name, view).await;
        let forbidden = |parts: &str| ReadError {
            call: format!("list {parts} of organization {name}"),
            reason: "the token may not administer the organization".into(),
            kind: ReadErrorKind::Forbidden,
        };
        Organization {
            administered: false,
            adopted_by: adoption(view).map(|(_, mark)| mark),
            is_blank: false,
            robots: Err(forbidden("robot accounts")),
            default_permissions: Err(forbidden("default permissions")),
            repositories: Err(forbidden("repositories")),
            pushed: None,
            quota: None,
            tags: BTreeMap::new(),
        }
    }

    /// Whether nobody but the token's user is in an organization. Quay says to a superuser with full access that it is a
    /// member (sample 733e), so the user's own list of organizations has to say so too.
    pub(super) async fn is_sole_owner(&self, name: &str, view: &api_types::Organization) -> bool {
        let is_alone = view.teams.len() == 1
            && view.teams.get("owners").is_some_and(|team| team.member_count == Some(1));
        // Not as diagnosed earlier: the organization may be as new as that.
        is_alone && self.whoami().await.is_ok_and(|user| user.organization_names().contains(name))
    }

    /// Robot accounts as the snapshot has them; what the list held back about the needed ones is asked one by one, as
    /// 3.12 wants it for organizations of others (`VERSIONS.md`).
    async fn complete(
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
                    None if is_needed => self.shown_token(organization, &name).await?,
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

    async fn shown_token(
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
        let what = format!("list the repositories of robot account {organization}+{robot}");
        let call = self.api(
            Method::GET,
            &["organization", organization, "robots", robot, "permissions"],
            what,
        );
        let found: api_types::RobotPermissions = self.fetch(&call).await?;
        Ok(found.permissions.into_iter().map(|permission| permission.repository.name).collect())
    }

    async fn robots(&self, organization: &str) -> Result<Vec<api_types::Robot>, QuayError> {
        let what = format!("list robot accounts of organization {organization}");
        let call = self.api(Method::GET, &["organization", organization, "robots"], what);
        let mut found: api_types::Robots =
            self.fetch(&call.query("token", "true").query("permissions", "true")).await?;
        // Quay makes the list with LIKE, where `_` in the organization's name stands for any character.
        found.robots.retain(|robot| short_name(organization, &robot.name).is_some());
        Ok(found.robots)
    }

    /// A robot account by itself.
    pub(super) async fn robot(
        &self,
        organization: &str,
        robot: &str,
    ) -> Result<api_types::Robot, QuayError> {
        let what = format!("read robot account {organization}+{robot}");
        self.fetch(&self.api(Method::GET, &["organization", organization, "robots", robot], what))
            .await
    }

    /// The organization itself as the token sees it; `None` if there is none.
    pub(super) async fn view(
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

    pub(super) async fn default_permissions(
        &self,
        organization: &str,
    ) -> Result<Vec<DefaultPermission>, QuayError> {
        Ok(own_permissions(organization, self.prototypes(organization).await?))
    }

    /// The default permissions of an organization, whoever they are for.
    async fn prototypes(&self, organization: &str) -> Result<Vec<api_types::Prototype>, QuayError> {
        let what = format!("list default permissions of organization {organization}");
        let found: api_types::Prototypes = self
            .fetch(&self.api(Method::GET, &["organization", organization, "prototypes"], what))
            .await?;
        Ok(found.prototypes)
    }

    pub(super) async fn repositories(&self, organization: &str) -> Result<Listing, QuayError> {
        let call = || {
            let what = format!("list repositories of organization {organization}");
            self.api(Method::GET, &["repository"], what)
                .query("namespace", organization)
                .query("last_modified", "true")
        };
        self.pages(call).await
    }

    /// The names of all organizations, or `None` where that cannot be read: the list is for superusers whose token has
    /// the scope `super:user` (samples 432-436).
    pub async fn organizations(&self) -> Option<BTreeSet<String>> {
        self.all_organizations().await.ok()
    }

    pub(super) async fn all_organizations(&self) -> Result<BTreeSet<String>, QuayError> {
        let call = || {
            self.api(
                Method::GET,
                &["superuser", "organizations", ""],
                "list all organizations".into(),
            )
        };
        Ok(self.pages(call).await?.items.into_keys().collect())
    }

    /// The marks in an organization's robot accounts, none twice, or that of who adopted it: whose it is. One call, and
    /// another one for one that was adopted.
    ///
    /// # Errors
    /// When it may not be looked into, or is not there: Quay says the same of both (samples 206-208).
    pub async fn marks(&self, organization: &str) -> Result<Vec<OwnershipMark>, QuayError> {
        let robots = self.robots(organization).await?;
        if robots.iter().any(|robot| robot.owner_teams().next().is_some())
            && let Some((_, adopter)) = self.view(organization).await?.as_ref().and_then(adoption)
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

    /// All of a list that comes in pages (samples 363, 364). A page token that Quay does not understand gives the first
    /// page again (sample 362), which must not go on for ever.
    async fn pages(&self, first: impl Fn() -> Call) -> Result<Listing, QuayError> {
        let mut listing = Listing::default();
        let mut call = first();
        loop {
            let page: api_types::Page = self.fetch(&call).await?;
            let known = listing.items.len();
            for item in page.items {
                listing.count(item.quota_report);
                listing.items.insert(item.name, item.last_modified);
            }
            let Some(next) = page.next_page else { return Ok(listing) };
            if listing.items.len() == known {
                return Err(QuayError::new(
                    call.what(),
                    ErrorKind::Unexpected,
                    "Quay gives the same page again and again",
                ));
            }
            call = first().query("next_page", &next);
        }
    }
}

impl Listing {
    fn count(&mut self, report: Option<api_types::QuotaReport>) {
        let Some(api_types::QuotaReport { quota_bytes, configured_quota: Some(limit) }) = report
        else {
            return;
        };
        let usage = self.usage.get_or_insert(Quota { used: 0, limit });
        usage.used = usage.used.saturating_add(quota_bytes.unwrap_or_default());
    }
}

/// The quota at which pushes are refused, where that is near. Without a limit of that type none is (sample 745c).
fn quota(view: &api_types::Organization) -> Option<Quota> {
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
    fn proof(&self) -> OwnershipEvidence {
        match (&self.robots, &self.prototypes) {
            // With FEATURE_SUPERUSERS_FULL_ACCESS a missing organization has an empty list of robot accounts, but no
            // default permissions (samples 520, 524).
            (Ok(robots), Some(Err(error)))
                if robots.is_empty() && error.kind == ErrorKind::NotFound =>
            {
                OwnershipEvidence::Missing
            }
            // That list is for administrators only.
            (_, Some(Ok(_))) => OwnershipEvidence::Administered,
            _ => OwnershipEvidence::Nothing,
        }
    }

    /// The repositories that any robot account has a right on.
    fn shown_repositories(&self) -> BTreeSet<String> {
        self.robots
            .iter()
            .flatten()
            .flat_map(|robot| robot.repositories.iter().flatten())
            .cloned()
            .collect()
    }
}

/// The short name of a robot account of this organization.
fn short_name<'a>(organization: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(organization)?.strip_prefix('+')
}

/// The team that says who adopted an organization, and its mark.
fn adoption(view: &api_types::Organization) -> Option<(&'static str, OwnershipMark)> {
    OWNER_TEAMS.iter().find_map(|team| {
        Some((*team, OwnershipMark::parse(view.teams.get(*team)?.description.as_deref()?)?))
    })
}
