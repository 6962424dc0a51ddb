//! The settings of the simulated Quay: its release and the features that change its answers.

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

/// Settings of Quay's `config.yaml`. The defaults are Quay's own.
#[derive(Debug, Clone)]
pub struct Flags {
    /// Which release answers.
    pub release: Release,
    /// `FEATURE_SUPERUSERS_FULL_ACCESS`: superusers may do everything everywhere (wire/500-533).
    pub full_access: bool,
    /// `FEATURE_SUPERUSERS_ORG_CREATION_ONLY` (wire/560-564).
    pub org_creation_only: bool,
    /// `FEATURE_RESTRICTED_USERS`: plain users create neither organizations nor repositories of their own (wire/590-593).
    pub restricted_users: bool,
    /// `FEATURE_ANONYMOUS_ACCESS` (wire/640-645).
    pub anonymous_access: bool,
    /// `FEATURE_EXTENDED_REPOSITORY_NAMES`: `/` inside repository names (wire/660).
    pub extended_names: bool,
    /// `FEATURE_MAILING`: before 3.18 an organization then needs an e-mail address.
    pub mailing: bool,
    /// `FEATURE_DIRECT_LOGIN`: signing in with a password; HTTP Basic still opens the authorization form (wire/651, wire/652).
    pub direct_login: bool,
    /// `FEATURE_USER_INITIALIZE`: an empty Quay lets its first user be made over the API (wire/000b-000g, wire/650).
    pub user_initialize: bool,
    /// `DIRECT_OAUTH_CLIENTID_WHITELIST`: client ids that get a token in one request, without CSRF (wire/659).
    pub direct_oauth_clients: BTreeSet<String>,
    /// `OAUTH_APPLICATION_MAXIMUM_TOKEN_COUNT`: how many valid tokens an application may have, where the JSON API is
    /// asked for one more (wire/665). Without: any number.
    pub max_application_tokens: Option<usize>,
    /// `BROWSER_API_CALLS_XHR_ONLY` (wire/090-092, wire/580).
    pub xhr_only: bool,
    /// `ROBOTS_DISALLOW`: robots are neither created nor let in (wire/661).
    pub robots_disallow: bool,
    /// `REGISTRY_STATE: readonly` (wire/646-648).
    pub readonly: bool,
    /// `GLOBAL_READONLY_SUPER_USERS`, by user name (wire/666-668).
    pub readonly_superusers: BTreeSet<String>,
    /// The garbage collector for namespaces has caught up, so a deleted name is free again. In development
    /// releases a deleted name is rejected for some 20 s until then (wire/196, wire/630); earlier ones never reject it.
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
