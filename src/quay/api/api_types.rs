//! The bodies of Quay's responses, as far as they are read. A response without a field that is not optional is not Quay's.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::domain::ownership_mark::OWNER_TEAMS;
use crate::quay::api::discovery::Features;

/// `GET …/robots` (`wire/231`, `wire/387`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Robots {
    pub(in crate::quay) robots: Vec<Robot>,
}

/// A robot account: in a list, alone (`wire/204`), new (`wire/201`), or with a new token (`wire/233`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Robot {
    /// The full name: `acme+builder`.
    pub(in crate::quay) name: String,
    pub(in crate::quay) description: Option<String>,
    token: Option<SecretString>,
    /// Teams with this member (`wire/728b`); only in a list.
    teams: Option<Vec<Named>>,
    /// Repositories of the organization on which it has permissions; absent in 3.12 for some users (`wire/VERSIONS.md`).
    pub(in crate::quay) repositories: Option<Vec<String>>,
}

impl Robot {
    /// Its teams among those that can record the owner of an adopted organization.
    pub(in crate::quay) fn owner_teams(&self) -> impl Iterator<Item = &'static str> {
        OWNER_TEAMS
            .into_iter()
            .filter(|name| self.teams.iter().flatten().any(|team| team.name == *name))
    }

    /// Its token, if Quay returns it to this user (`wire/666`).
    pub(in crate::quay) fn token(self) -> Option<SecretString> {
        self.token.filter(|token| !token.expose_secret().is_empty())
    }
}

/// `GET …/robots/<robot>/permissions` (`wire/386`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct RobotPermissions {
    pub(in crate::quay) permissions: Vec<RobotPermission>,
}

#[derive(Debug, Deserialize)]
pub(in crate::quay) struct RobotPermission {
    pub(in crate::quay) repository: Named,
}

#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Named {
    pub(in crate::quay) name: String,
}

/// `GET …/prototypes` (`wire/263`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Prototypes {
    pub(in crate::quay) prototypes: Vec<Prototype>,
}

/// A default permission of an organization.
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Prototype {
    pub(in crate::quay) id: String,
    pub(in crate::quay) role: String,
    /// Limits it to repositories that this user creates.
    pub(in crate::quay) activating_user: Option<IgnoredAny>,
    /// Robot accounts have the kind `user` (`wire/251`).
    pub(in crate::quay) delegate: Delegate,
}

#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Delegate {
    pub(in crate::quay) name: String,
    pub(in crate::quay) kind: String,
}

/// `GET /api/v1/organization/<name>` (`wire/180`, `wire/182`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Organization {
    /// Of the token, not only of its user.
    pub(in crate::quay) is_admin: bool,
    pub(in crate::quay) is_member: bool,
    /// Only for members.
    #[serde(default)]
    pub(in crate::quay) teams: BTreeMap<String, Team>,
    /// With quota management (`wire/744c`).
    #[serde(default)]
    pub(in crate::quay) quotas: Vec<Quota>,
    pub(in crate::quay) quota_report: Option<QuotaReport>,
}

#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Team {
    pub(in crate::quay) role: String,
    pub(in crate::quay) description: Option<String>,
    /// Users and robot accounts (`wire/724a`).
    pub(in crate::quay) member_count: Option<usize>,
    /// The user is a member, or administers the organization (`wire/67a`, `wire/67i`).
    #[serde(default)]
    pub(in crate::quay) can_view: bool,
}

/// A page of `GET /api/v1/repository` (`wire/363`) or `GET /api/v1/superuser/organizations/` (`wire/432`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Page {
    #[serde(alias = "repositories", alias = "organizations")]
    pub(in crate::quay) items: Vec<Item>,
    pub(in crate::quay) next_page: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Item {
    pub(in crate::quay) name: String,
    /// Time of the last push in Unix seconds, with `last_modified=true`; `null` without tags (`wire/356`, `wire/484`).
    pub(in crate::quay) last_modified: Option<i64>,
    /// With quota management (`wire/744d`).
    pub(in crate::quay) quota_report: Option<QuotaReport>,
}

/// Quota usage (`wire/744c`, `wire/744d`).
#[derive(Clone, Copy, Debug, Deserialize)]
pub(in crate::quay) struct QuotaReport {
    pub(in crate::quay) quota_bytes: Option<u64>,
    /// The quota of the organization.
    pub(in crate::quay) configured_quota: Option<u64>,
}

/// A quota of an organization (`wire/744c`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Quota {
    pub(in crate::quay) limit_bytes: u64,
    #[serde(default)]
    pub(in crate::quay) limits: Vec<QuotaLimit>,
}

/// The action at a percentage of a quota.
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct QuotaLimit {
    /// `Warning` or `Reject`.
    #[serde(rename = "type")]
    pub(in crate::quay) kind: String,
    pub(in crate::quay) limit_percent: u64,
}

/// `GET …/tag/` (`wire/365`, `wire/482`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Tags {
    pub(in crate::quay) tags: Vec<Tag>,
    pub(in crate::quay) has_additional: bool,
}

#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Tag {
    pub(in crate::quay) name: String,
    pub(in crate::quay) manifest_digest: String,
    #[serde(default)]
    pub(in crate::quay) is_manifest_list: bool,
    pub(in crate::quay) start_ts: i64,
}

/// `GET /api/v1/user/` (`wire/100`); with only the scope `user:read` most fields are absent (`wire/110`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct User {
    pub(in crate::quay) username: String,
    pub(in crate::quay) email: Option<String>,
    pub(in crate::quay) is_me: Option<bool>,
    /// Absent without the scope `super:user` (`endpoints/api/user.py`, `user_view`).
    pub(in crate::quay) super_user: Option<bool>,
    pub(in crate::quay) global_readonly_super_user: Option<bool>,
    /// Organizations with the user in a team, independent of the token's scopes (`user_view`, too).
    #[serde(default)]
    pub(in crate::quay) organizations: Vec<Membership>,
}

impl User {
    pub(in crate::quay) fn organization_names(&self) -> BTreeSet<String> {
        self.organizations.iter().map(|organization| organization.name.clone()).collect()
    }
}

/// An organization of a user (`wire/100`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Membership {
    pub(in crate::quay) name: String,
    /// Of the token, not only of its user.
    pub(in crate::quay) is_org_admin: Option<bool>,
}

/// `GET /health/instance` (`wire/001`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Health {
    pub(in crate::quay) data: HealthData,
}

#[derive(Debug, Deserialize)]
pub(in crate::quay) struct HealthData {
    pub(in crate::quay) services: BTreeMap<String, bool>,
}

/// `GET /config` (`wire/003`, `wire/648`).
#[derive(Clone, Debug, Deserialize)]
pub(in crate::quay) struct Config {
    /// Absent in 3.12.
    pub(in crate::quay) version_number: Option<String>,
    pub(in crate::quay) registry_state: Option<String>,
    pub(in crate::quay) features: Features,
    #[serde(default)]
    pub(in crate::quay) config: Values,
}

/// Settings that are not features.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub(in crate::quay) struct Values {
    pub(in crate::quay) server_hostname: Option<String>,
    pub(in crate::quay) preferred_url_scheme: Option<String>,
}

impl Config {
    /// Quay rejects writes (`wire/648`).
    pub(in crate::quay) fn is_readonly(&self) -> bool {
        self.registry_state.as_deref() == Some("readonly")
    }
}

/// `GET /v2/auth` (`wire/464`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct RegistryToken {
    pub(in crate::quay) token: SecretString,
}

/// The permissions in a registry token (`wire/464`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Claims {
    #[serde(default)]
    pub(in crate::quay) access: Vec<Access>,
}

#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Access {
    pub(in crate::quay) name: String,
    pub(in crate::quay) actions: Vec<String>,
}

/// `GET /csrf_token` (`wire/010`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct CsrfToken {
    pub(in crate::quay) csrf_token: SecretString,
}

/// The 403 of `POST /api/v1/signin` (`wire/013`).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::quay) struct SignInRejection {
    pub(in crate::quay) needs_email_verification: bool,
    pub(in crate::quay) invalid_credentials: bool,
}

/// `GET …/applications` (`wire/020`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Applications {
    pub(in crate::quay) applications: Vec<Application>,
}

/// An OAuth application (`wire/019`). Its secret is not read.
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct Application {
    pub(in crate::quay) name: String,
    pub(in crate::quay) client_id: String,
}

/// `POST …/tokens` (`wire/080`).
#[derive(Debug, Deserialize)]
pub(in crate::quay) struct IssuedTokenBody {
    pub(in crate::quay) token: SecretString,
}
