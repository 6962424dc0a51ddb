//! What Quay tells everybody about itself: no token needed, and cheap for Quay.

use std::collections::BTreeMap;

use futures::join;
use reqwest::Method;
use serde::Deserialize;

use super::Quay;
use super::api_types;
use super::error::{ErrorKind, QuayError};
use super::request::{Call, Credentials};
use crate::domain::integration::QuayProblem;

/// Where a Quay answers with a token that its own pages show (`LOCAL_OAUTH_HANDLER` in sample 003).
const LOCAL_OAUTH_HANDLER: &str = "oauth/localapp";

/// A first look at a Quay.
#[derive(Debug)]
pub struct Inspection {
    /// Its services that are down, by Quay's names for them (sample 001).
    pub health: Result<Vec<String>, QuayError>,
    /// What its configuration says.
    pub about: Result<ServerInfo, QuayError>,
}

/// What Quay tells everybody about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// Its version as it gives it, `Quay v3.17.4`; not in 3.12, and not always truthful.
    pub version: Option<String>,
    /// It is in read-only mode.
    pub read_only: bool,
    /// The host, with the port if there is one, by which it knows itself (`SERVER_HOSTNAME`).
    pub own_host: Option<String>,
    /// What its administrator has switched on and off.
    pub features: Features,
}

/// The features of Quay that matter here; one that `/config` does not name has Quay's own default
/// (`util/config/schema.py`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct Features {
    /// Users sign in with a password that Quay takes itself (sample 651).
    pub direct_login: bool,
    /// Only superusers create organizations (samples 560-562).
    pub superusers_org_creation_only: bool,
    /// Superusers may administer the organizations of others (samples 500-533).
    pub superusers_full_access: bool,
    /// Plain users create nothing of their own (samples 590, 591).
    pub restricted_users: bool,
    /// The first user can be made over the API (samples 006, 650); `None` if this Quay does not say.
    pub user_initialize: Option<bool>,
    /// Something can be read without signing in (samples 640-645).
    pub anonymous_access: bool,
    /// Repository names may contain `/` (sample 660).
    pub extended_repository_names: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            direct_login: true,
            superusers_org_creation_only: false,
            superusers_full_access: false,
            restricted_users: false,
            user_initialize: None,
            anonymous_access: true,
            extended_repository_names: true,
        }
    }
}

impl Features {
    /// Whether only superusers create organizations, as far as the configuration tells. While users are restricted, 3.12
    /// refuses superusers too unless its whitelist names them.
    pub fn keeps_organizations_to_superusers(&self) -> bool {
        self.superusers_org_creation_only || self.restricted_users
    }
}

impl Quay {
    /// A first look: its health and its configuration, both calls at once.
    pub async fn inspect(&self) -> Inspection {
        let (health, about) = join!(self.health(), self.about());
        // A call that was not made, since another had failed, failed for the same reason.
        let about = about.map_err(|error| match &health {
            Err(cause) if error.kind == ErrorKind::Skipped => {
                QuayError { call: error.call, ..cause.clone() }
            }
            _ => error,
        });
        Inspection { health, about }
    }

    /// What Quay tells everybody about itself. Costs one call the first time, then none.
    ///
    /// # Errors
    /// When it does not answer, or is no Quay.
    pub async fn about(&self) -> Result<ServerInfo, QuayError> {
        let config = self.config().await?;
        Ok(ServerInfo {
            version: config.version_number.clone(),
            read_only: config.is_readonly(),
            own_host: config.config.server_hostname.clone(),
            features: config.features.clone(),
        })
    }

    /// Finds out whether Quay refuses every change at the moment, for [`Quay::troubles`]. Costs one call the first time.
    pub async fn check_state(&self) {
        // What it does not tell is not known; the calls that matter say more.
        let _ = self.config().await;
    }

    pub(super) async fn config(&self) -> Result<&api_types::Config, QuayError> {
        let read = || async {
            let config: api_types::Config =
                self.fetch(&self.public(&["config"], "read Quay's configuration")).await?;
            if config.is_readonly() {
                self.learn(QuayProblem::ReadOnly);
            }
            Ok(config)
        };
        self.0.config.get_or_try_init(read).await
    }

    /// Where Quay's form sends the browser with a new token. Quay accepts no other address than the one by which it knows
    /// itself (sample 043), which may not be the one by which it was reached.
    pub(super) async fn local_oauth_handler(&self) -> String {
        let config = self.config().await.map(|config| config.config.clone()).unwrap_or_default();
        let scheme =
            config.preferred_url_scheme.unwrap_or_else(|| self.0.url.as_url().scheme().to_owned());
        let host = config.server_hostname.unwrap_or_else(|| self.0.url.host());
        format!("{scheme}://{host}/{LOCAL_OAUTH_HANDLER}")
    }

    async fn health(&self) -> Result<Vec<String>, QuayError> {
        // A service that is down makes it a 503 of the same shape, which is an answer and no reason to ask again.
        let call = self.public(&["health", "instance"], "read Quay's health").not_repeatable();
        let answer = self.exchange(&call, &self.0.api).await?;
        match serde_json::from_str::<api_types::Health>(&answer.body) {
            Ok(health) => Ok(down(health.data.services)),
            Err(_) if answer.status.is_success() => {
                Err(QuayError::not_quay(call.what(), answer.status))
            }
            Err(_) => Err(QuayError::refused(call.what(), answer.status, &answer.body)),
        }
    }

    fn public(&self, path: &[&str], what: &str) -> Call {
        Call::new(Method::GET, self.address(path, &[]), Credentials::Nobody, what.into())
    }
}

fn down(services: BTreeMap<String, bool>) -> Vec<String> {
    services.into_iter().filter(|(_, is_up)| !is_up).map(|(name, _)| name).collect()
}
