//! The settings of the Quay that is played: its release and the features that change its answers.

use std::collections::BTreeSet;

/// A Quay release, as far as its answers differ (`wire/VERSIONS.md` of the recordings).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// 3.12.21
    V3_12,
    /// 3.17.4
    V3_17,
    /// 3.18.0
    V3_18,
    /// The development branch of 2026-08-21, which all samples were recorded from.
    Master,
}

/// What an administrator of Quay may set in its `config.yaml`. The defaults are Quay's own.
#[derive(Debug, Clone)]
pub struct Flags {
    /// Which release answers.
    pub release: Release,
    /// `FEATURE_SUPERUSERS_FULL_ACCESS`: superusers may do everything everywhere (500-533).
    pub full_access: bool,
    /// `FEATURE_SUPERUSERS_ORG_CREATION_ONLY` (560-564).
    pub org_creation_only: bool,
    /// `FEATURE_RESTRICTED_USERS`: plain users create neither organizations nor repositories of their own (590-593).
    pub restricted_users: bool,
    /// `FEATURE_ANONYMOUS_ACCESS` (640-645).
    pub anonymous_access: bool,
    /// `FEATURE_EXTENDED_REPOSITORY_NAMES`: `/` inside repository names (660).
    pub extended_names: bool,
    /// `FEATURE_MAILING`: before 3.18 an organization then needs an e-mail address.
    pub mailing: bool,
    /// `FEATURE_DIRECT_LOGIN`: signing in with a password; HTTP Basic still opens the authorization form (651, 652).
    pub direct_login: bool,
    /// `FEATURE_USER_INITIALIZE`: an empty Quay lets its first user be made over the API (000b-000g, 650).
    pub user_initialize: bool,
    /// `DIRECT_OAUTH_CLIENTID_WHITELIST`: client ids that get a token in one request, without CSRF (659).
    pub direct_oauth_clients: BTreeSet<String>,
    /// `OAUTH_APPLICATION_MAXIMUM_TOKEN_COUNT`: how many valid tokens an application may have, where the JSON API is
    /// asked for one more (665). Without: any number.
    pub max_application_tokens: Option<usize>,
    /// `BROWSER_API_CALLS_XHR_ONLY` (090-092, 580).
    pub xhr_only: bool,
    /// `ROBOTS_DISALLOW`: robots are neither created nor let in (661).
    pub robots_disallow: bool,
    /// `REGISTRY_STATE: readonly` (646-648).
    pub readonly: bool,
    /// `GLOBAL_READONLY_SUPER_USERS`, by user name (666-668).
    pub readonly_superusers: BTreeSet<String>,
    /// The garbage collector for namespaces has caught up, so a deleted name is free again. In development
    /// releases a deleted name is refused for some 20 s until then (196, 630); earlier ones never refuse it.
    pub namespace_gc: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Flags {
            release: Release::Master,
            full_access: false,
            org_creation_only: false,
            restricted_users: false,
            anonymous_access: true,
            extended_names: true,
            mailing: false,
            direct_login: true,
            user_initialize: false,
            direct_oauth_clients: BTreeSet::new(),
            max_application_tokens: None,
            xhr_only: true,
            robots_disallow: false,
            readonly: false,
            readonly_superusers: BTreeSet::new(),
            namespace_gc: false,
        }
    }
}
