//! The bodies of Quay's responses, as far as they are read. A response without a field that is not optional is not Quay's.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::discovery::Features;
use crate::domain::ownership_mark::OWNER_TEAMS;

/// `GET …/robots` (`wire/231`, `wire/387`).
#[derive(Debug, Deserialize)]
pub(super) struct Robots {
    pub(super) robots: Vec<Robot>,
}

/// A robot account: in a list, alone (`wire/204`), new (`wire/201`), or with a new token (`wire/233`).
#[derive(Debug, Deserialize)]
pub(super) struct Robot {
    /// The full name: `acme+builder`.
    pub(super) name: String,
    pub(super) description: Option<String>,
    token: Option<SecretString>,
    /// Teams with this member (`wire/728b`); only in a list.
    teams: Option<Vec<Named>>,
    /// Repositories of the organization on which it has permissions; absent in 3.12 for some users (`wire/VERSIONS.md`).
    pub(super) repositories: Option<Vec<String>>,
}

impl Robot {
    /// Its teams among those that can record the owner of an adopted organization.
    pub(super) fn owner_teams(&self) -> impl Iterator<Item = &'static str> {
        OWNER_TEAMS
            .into_iter()
            .filter(|name| self.teams.iter().flatten().any(|team| team.name == *name))
    }

    /// Its token, if Quay returns it to this user (`wire/666`).
    pub(super) fn token(self) -> Option<SecretString> {
        self.token.filter(|token| !token.expose_secret().is_empty())
    }
}

/// `GET …/robots/<robot>/permissions` (`wire/386`).
#[derive(Debug, Deserialize)]
pub(super) struct RobotPermissions {
    pub(super) permissions: Vec<RobotPermission>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RobotPermission {
    pub(super) repository: Named,
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

/// `GET …/prototypes` (`wire/263`).
#[derive(Debug, Deserialize)]
pub(super) struct Prototypes {
    pub(super) prototypes: Vec<Prototype>,
}

/// A default permission of an organization.
#[derive(Debug, Deserialize)]
pub(super) struct Prototype {
    pub(super) id: String,
    pub(super) role: String,
    /// Limits it to repositories that this user creates.
    pub(super) activating_user: Option<IgnoredAny>,
    /// Robot accounts have the kind `user` (`wire/251`).
    pub(super) delegate: Delegate,
}

#[derive(Debug, Deserialize)]
pub(super) struct Delegate {
    pub(super) name: String,
    pub(super) kind: String,
}

/// `GET /api/v1/organization/<name>` (`wire/180`, `wire/182`).
#[derive(Debug, Deserialize)]
pub(super) struct Organization {
    /// Of the token, not only of its user.
    pub(super) is_admin: bool,
    pub(super) is_member: bool,
    /// Only for members.
    #[serde(default)]
    pub(super) teams: BTreeMap<String, Team>,
    /// With quota management (`wire/744c`).
    #[serde(default)]
    pub(super) quotas: Vec<Quota>,
    pub(super) quota_report: Option<QuotaReport>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Team {
    pub(super) role: String,
    pub(super) description: Option<String>,
    /// Users and robot accounts (`wire/724a`).
    pub(super) member_count: Option<usize>,
    /// The user is a member, or administers the organization (`wire/67a`, `wire/67i`).
    #[serde(default)]
    pub(super) can_view: bool,
}

/// A page of `GET /api/v1/repository` (`wire/363`) or `GET /api/v1/superuser/organizations/` (`wire/432`).
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    #[serde(alias = "repositories", alias = "organizations")]
    pub(super) items: Vec<Item>,
    pub(super) next_page: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) name: String,
    /// Time of the last push in Unix seconds, with `last_modified=true`; `null` without tags (`wire/356`, `wire/484`).
    pub(super) last_modified: Option<i64>,
    /// With quota management (`wire/744d`).
    pub(super) quota_report: Option<QuotaReport>,
}

/// Quota usage (`wire/744c`, `wire/744d`).
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct QuotaReport {
    pub(super) quota_bytes: Option<u64>,
    /// The quota of the organization.
    pub(super) configured_quota: Option<u64>,
}

/// A quota of an organization (`wire/744c`).
#[derive(Debug, Deserialize)]
pub(super) struct Quota {
    pub(super) limit_bytes: u64,
    #[serde(default)]
    pub(super) limits: Vec<QuotaLimit>,
}

/// The action at a percentage of a quota.
#[derive(Debug, Deserialize)]
pub(super) struct QuotaLimit {
    /// `Warning` or `Reject`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) limit_percent: u64,
}

/// `GET …/tag/` (`wire/365`, `wire/482`).
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

/// `GET /api/v1/user/` (`wire/100`); with only the scope `user:read` most fields are absent (`wire/110`).
#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) username: String,
    pub(super) email: Option<String>,
    pub(super) is_me: Option<bool>,
    /// Absent without the scope `super:user` (`endpoints/api/user.py`, `user_view`).
    pub(super) super_user: Option<bool>,
    pub(super) global_readonly_super_user: Option<bool>,
    /// Organizations with the user in a team, independent of the token's scopes (`user_view`, too).
    #[serde(default)]
    pub(super) organizations: Vec<Membership>,
}

impl User {
    pub(super) fn organization_names(&self) -> BTreeSet<String> {
        self.organizations.iter().map(|organization| organization.name.clone()).collect()
    }
}

/// An organization of a user (`wire/100`).
#[derive(Debug, Deserialize)]
pub(super) struct Membership {
    pub(super) name: String,
    /// Of the token, not only of its user.
    pub(super) is_org_admin: Option<bool>,
}

/// `GET /health/instance` (`wire/001`).
#[derive(Debug, Deserialize)]
pub(super) struct Health {
    pub(super) data: HealthData,
}

#[derive(Debug, Deserialize)]
pub(super) struct HealthData {
    pub(super) services: BTreeMap<String, bool>,
}

/// `GET /config` (`wire/003`, `wire/648`).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Config {
    /// Absent in 3.12.
    pub(super) version_number: Option<String>,
    pub(super) registry_state: Option<String>,
    pub(super) features: Features,
    #[serde(default)]
    pub(super) config: Values,
}

/// Settings that are not features.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub(super) struct Values {
    pub(super) server_hostname: Option<String>,
    pub(super) preferred_url_scheme: Option<String>,
}

impl Config {
    /// Quay rejects writes (`wire/648`).
    pub(super) fn is_readonly(&self) -> bool {
        self.registry_state.as_deref() == Some("readonly")
    }
}

/// `GET /v2/auth` (`wire/464`).
#[derive(Debug, Deserialize)]
pub(super) struct RegistryToken {
    pub(super) token: SecretString,
}

/// The permissions in a registry token (`wire/464`).
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

/// `GET /csrf_token` (`wire/010`).
#[derive(Debug, Deserialize)]
pub(super) struct CsrfToken {
    pub(super) csrf_token: SecretString,
}

/// The 403 of `POST /api/v1/signin` (`wire/013`).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SignInRejection {
    pub(super) needs_email_verification: bool,
    pub(super) invalid_credentials: bool,
}

/// `GET …/applications` (`wire/020`).
#[derive(Debug, Deserialize)]
pub(super) struct Applications {
    pub(super) applications: Vec<Application>,
}

/// An OAuth application (`wire/019`). Its secret is not read.
#[derive(Debug, Deserialize)]
pub(super) struct Application {
    pub(super) name: String,
    pub(super) client_id: String,
}

/// `POST …/tokens` (`wire/080`).
#[derive(Debug, Deserialize)]
pub(super) struct IssuedTokenBody {
    pub(super) token: SecretString,
}
