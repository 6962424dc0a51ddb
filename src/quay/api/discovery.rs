//! Public information about a Quay: its health and its configuration. The requests need no token.

use std::collections::BTreeMap;

use futures::join;
use reqwest::Method;
use serde::Deserialize;

use crate::domain::integration::QuayProblem;
use crate::quay::Quay;
use crate::quay::api::api_types;
use crate::quay::http::error::{ErrorKind, QuayError};
use crate::quay::http::request::{Auth, Call};

/// The path of the page that shows a new token (`LOCAL_OAUTH_HANDLER` in `wire/003`).
const LOCAL_OAUTH_HANDLER: &str = "oauth/localapp";

/// Public information about a Quay.
#[derive(Debug)]
pub struct Inspection {
    /// Unhealthy services, by Quay's names (`wire/001`).
    pub health: Result<Vec<String>, QuayError>,
    /// Its public configuration.
    pub server_info: Result<ServerInfo, QuayError>,
}

/// The public configuration of a Quay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// `Quay v3.17.4`; absent in 3.12, and not always correct.
    pub version: Option<String>,
    /// Quay is in read-only mode.
    pub read_only: bool,
    /// `SERVER_HOSTNAME`: `host[:port]`.
    pub server_hostname: Option<String>,
    /// The features that its administrator enabled.
    pub features: Features,
}

/// The features of Quay that are used here; one that is absent in `/config` has Quay's default (`util/config/schema.py`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct Features {
    /// Quay accepts passwords itself (`wire/651`).
    pub direct_login: bool,
    /// Only superusers create organizations (`wire/560` to `wire/562`).
    pub superusers_org_creation_only: bool,
    /// Superusers administer all organizations (`wire/500` to `wire/533`).
    pub superusers_full_access: bool,
    /// Users who are not superusers cannot create objects of their own (`wire/590`, `wire/591`).
    pub restricted_users: bool,
    /// The API can create the first user (`wire/006`, `wire/650`); `None` if absent.
    pub user_initialize: Option<bool>,
    /// Public objects are readable without signing in (`wire/640` to `wire/645`).
    pub anonymous_access: bool,
    /// Repository names can contain `/` (`wire/660`).
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
    /// Only superusers create organizations. With restricted users, 3.12 rejects superusers too unless they are whitelisted,
    /// which the configuration does not show.
    pub fn restricts_organization_creation(&self) -> bool {
        self.superusers_org_creation_only || self.restricted_users
    }
}

impl Quay {
    /// Reads health and configuration in parallel.
    pub async fn inspect(&self) -> Inspection {
        let (health, server_info) = join!(self.health(), self.server_info());
        // A skipped call has the reason of the call that failed.
        let server_info = server_info.map_err(|error| match &health {
            Err(cause) if error.kind == ErrorKind::Skipped => {
                QuayError { call: error.call, ..cause.clone() }
            }
            _ => error,
        });
        Inspection { health, server_info }
    }

    /// Reads the public configuration. One request the first time, then none.
    ///
    /// # Errors
    /// No response, or not one of Quay.
    pub async fn server_info(&self) -> Result<ServerInfo, QuayError> {
        let config = self.config().await?;
        Ok(ServerInfo {
            version: config.version_number.clone(),
            read_only: config.is_readonly(),
            server_hostname: config.config.server_hostname.clone(),
            features: config.features.clone(),
        })
    }

    /// Adds read-only mode to [`Quay::problems`]. One request the first time, then none.
    pub async fn check_read_only(&self) {
        // A failure is reported by the calls that follow.
        let _ = self.config().await;
    }

    pub(in crate::quay) async fn config(&self) -> Result<&api_types::Config, QuayError> {
        let read = || async {
            let config: api_types::Config =
                self.fetch(&self.public(&["config"], "read Quay's configuration")).await?;
            if config.is_readonly() {
                self.record_problem(QuayProblem::ReadOnly);
            }
            Ok(config)
        };
        self.0.config.get_or_try_init(read).await
    }

    /// The redirect URI for new tokens. Quay accepts only one below its own address (`wire/043`), which can differ from the
    /// address of the client.
    pub(in crate::quay) async fn local_oauth_handler(&self) -> String {
        let config = self.config().await.map(|config| config.config.clone()).unwrap_or_default();
        let scheme =
            config.preferred_url_scheme.unwrap_or_else(|| self.0.url.as_url().scheme().to_owned());
        let host = config.server_hostname.unwrap_or_else(|| self.0.url.host());
        format!("{scheme}://{host}/{LOCAL_OAUTH_HANDLER}")
    }

    async fn health(&self) -> Result<Vec<String>, QuayError> {
        // With an unhealthy service it is a 503 of the same shape, which must not be retried.
        let call = self.public(&["health", "instance"], "read Quay's health").not_idempotent();
        let answer = self.exchange(&call, &self.0.api).await?;
        match serde_json::from_str::<api_types::Health>(&answer.body) {
            Ok(health) => Ok(unhealthy(health.data.services)),
            Err(_) if answer.status.is_success() => {
                Err(QuayError::not_quay(call.action(), answer.status))
            }
            Err(_) => Err(QuayError::from_response(call.action(), answer.status, &answer.body)),
        }
    }

    fn public(&self, path: &[&str], action: &str) -> Call {
        Call::new(Method::GET, self.endpoint(path, &[]), Auth::Anonymous, action.into())
    }
}

fn unhealthy(services: BTreeMap<String, bool>) -> Vec<String> {
    services.into_iter().filter(|(_, is_up)| !is_up).map(|(name, _)| name).collect()
}
