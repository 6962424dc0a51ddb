//! The bodies of Quay's answers, as far as we read them. Fields that are not marked optional are in every answer that
//! is Quay's; one without them is not.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::discovery::Features;
use crate::domain::ownership_mark::OWNER_TEAMS;

/// `GET …/robots` (samples 231, 387).
#[derive(Debug, Deserialize)]
pub(super) struct Robots {
    pub(super) robots: Vec<Robot>,
}

/// A robot account: in a list, alone (204), new (201), or with a new token (233).
#[derive(Debug, Deserialize)]
pub(super) struct Robot {
    /// With its organization: `acme+builder`.
    pub(super) name: String,
    pub(super) description: Option<String>,
    token: Option<SecretString>,
    /// The teams that it is a member of (sample 728b); in a list alone.
    teams: Option<Vec<Named>>,
    /// Names of repositories of its organization; absent if this Quay holds them back (`VERSIONS.md`, 3.12).
    pub(super) repositories: Option<Vec<String>>,
}

impl Robot {
    /// The teams that can say who adopted its organization, and that it is a member of.
    pub(super) fn owner_teams(&self) -> impl Iterator<Item = &'static str> {
        OWNER_TEAMS
            .into_iter()
            .filter(|name| self.teams.iter().flatten().any(|team| team.name == *name))
    }

    /// Its token, if this Quay shows it to us (sample 666). An empty one is none.
    pub(super) fn token(self) -> Option<SecretString> {
        self.token.filter(|token| !token.expose_secret().is_empty())
    }
}

/// `GET …/robots/<robot>/permissions` (sample 386).
#[derive(Debug, Deserialize)]
pub(super) struct RobotPermissions {
    pub(super) permissions: Vec<RobotPermission>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RobotPermission {
    pub(super) repository: Named,
}

/// Anything with a name.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

/// `GET …/prototypes` (sample 263).
#[derive(Debug, Deserialize)]
pub(super) struct Prototypes {
    pub(super) prototypes: Vec<Prototype>,
}

/// A default permission.
#[derive(Debug, Deserialize)]
pub(super) struct Prototype {
    pub(super) id: String,
    pub(super) role: String,
    /// It is only for repositories that this user creates.
    pub(super) activating_user: Option<IgnoredAny>,
    /// Robot accounts are of kind `user` (sample 251).
    pub(super) delegate: Delegate,
}

#[derive(Debug, Deserialize)]
pub(super) struct Delegate {
    pub(super) name: String,
    pub(super) kind: String,
}

/// `GET /api/v1/organization/<name>` (samples 180, 182).
#[derive(Debug, Deserialize)]
pub(super) struct Organization {
    /// What the token may, not only its user.
    pub(super) is_admin: bool,
    pub(super) is_member: bool,
    /// Shown to members only.
    #[serde(default)]
    pub(super) teams: BTreeMap<String, Team>,
    /// Where Quay manages quotas (sample 744c).
    #[serde(default)]
    pub(super) quotas: Vec<Quota>,
    pub(super) quota_report: Option<QuotaReport>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Team {
    pub(super) role: String,
    pub(super) description: Option<String>,
    /// Users and robot accounts (sample 724a).
    pub(super) member_count: Option<usize>,
    /// The user is in it, or administers the organization (samples 67a, 67i).
    #[serde(default)]
    pub(super) can_view: bool,
}

/// A page of `GET /api/v1/repository` (363) or `GET /api/v1/superuser/organizations/` (432).
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    #[serde(alias = "repositories", alias = "organizations")]
    pub(super) items: Vec<Item>,
    pub(super) next_page: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) name: String,
    /// Of a repository, where it was asked for: when it was last pushed to, in seconds since 1970; `null` while it has no
    /// tag (samples 356, 484).
    pub(super) last_modified: Option<i64>,
    /// Of a repository, where Quay manages quotas (sample 744d).
    pub(super) quota_report: Option<QuotaReport>,
}

/// How much of a quota is used (samples 744c, 744d).
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct QuotaReport {
    pub(super) quota_bytes: Option<u64>,
    /// The organization's quota; none where it has none.
    pub(super) configured_quota: Option<u64>,
}

/// A quota of an organization (sample 744c).
#[derive(Debug, Deserialize)]
pub(super) struct Quota {
    pub(super) limit_bytes: u64,
    #[serde(default)]
    pub(super) limits: Vec<QuotaLimit>,
}

/// What happens at a part of a quota.
#[derive(Debug, Deserialize)]
pub(super) struct QuotaLimit {
    /// `Warning` or `Reject`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) limit_percent: u64,
}

/// `GET …/tag/` (samples 365, 482).
#[derive(Debug, Deserialize)]
pub(super) struct Tags {
    pub(super) tags: Vec<Tag>,
    pub(super) has_additional: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) manifest_digest: String,
    #[serde(default)]
    pub(super) is_manifest_list: bool,
    pub(super) start_ts: i64,
}

/// `GET /api/v1/user/` (sample 100); with the scope `user:read` alone much is left out (sample 110).
#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) username: String,
    pub(super) email: Option<String>,
    pub(super) is_me: Option<bool>,
    /// True only with the scope `super:user`; left out otherwise (`endpoints/api/user.py`, `user_view`).
    pub(super) super_user: Option<bool>,
    pub(super) global_readonly_super_user: Option<bool>,
    /// Those with the user in a team, whatever the token may (the same place).
    #[serde(default)]
    pub(super) organizations: Vec<Membership>,
}

impl User {
    pub(super) fn organization_names(&self) -> BTreeSet<String> {
        self.organizations.iter().map(|organization| organization.name.clone()).collect()
    }
}

/// An organization of a user (sample 100).
#[derive(Debug, Deserialize)]
pub(super) struct Membership {
    pub(super) name: String,
    /// What the token may, not only its user.
    pub(super) is_org_admin: Option<bool>,
}

/// `GET /health/instance` (sample 001).
#[derive(Debug, Deserialize)]
pub(super) struct Health {
    pub(super) data: HealthData,
}

#[derive(Debug, Deserialize)]
pub(super) struct HealthData {
    pub(super) services: BTreeMap<String, bool>,
}

/// `GET /config` (samples 003, 648).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Config {
    /// Not in 3.12.
    pub(super) version_number: Option<String>,
    pub(super) registry_state: Option<String>,
    pub(super) features: Features,
    #[serde(default)]
    pub(super) config: Values,
}

/// What is not on or off in it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub(super) struct Values {
    pub(super) server_hostname: Option<String>,
    pub(super) preferred_url_scheme: Option<String>,
}

impl Config {
    /// Quay takes no writes (sample 648).
    pub(super) fn is_readonly(&self) -> bool {
        self.registry_state.as_deref() == Some("readonly")
    }
}

/// `GET /v2/auth` (sample 464).
#[derive(Debug, Deserialize)]
pub(super) struct RegistryToken {
    pub(super) token: SecretString,
}

/// The claims in a registry token that tell what was granted (sample 464).
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    #[serde(default)]
    pub(super) access: Vec<Access>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Access {
    pub(super) name: String,
    pub(super) actions: Vec<String>,
}

/// `GET /csrf_token` (sample 010).
#[derive(Debug, Deserialize)]
pub(super) struct CsrfToken {
    pub(super) csrf_token: SecretString,
}

/// What `POST /api/v1/signin` refuses with (sample 013).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SignInRefused {
    pub(super) needs_email_verification: bool,
    pub(super) invalid_credentials: bool,
}

/// `GET …/applications` (sample 020).
#[derive(Debug, Deserialize)]
pub(super) struct Applications {
    pub(super) applications: Vec<Application>,
}

/// An OAuth application: in a list, or new (sample 019). Its secret is not read.
#[derive(Debug, Deserialize)]
pub(super) struct Application {
    pub(super) name: String,
    pub(super) client_id: String,
}

/// `POST …/tokens` (sample 080).
#[derive(Debug, Deserialize)]
pub(super) struct IssuedTokenBody {
    pub(super) token: SecretString,
}
