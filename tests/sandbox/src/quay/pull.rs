//! Pulling a manifest as a cluster's import does, without the connection in between.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Quay;
use super::auth::Caller;
use super::names::RepoPath;
use super::{registry, registry_auth};

/// A manifest that was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Its digest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// The manifest itself.
    pub manifest: String,
    /// The sum of its layers, in bytes.
    pub size: u64,
}

/// Why a manifest was not pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotPulled {
    /// The credentials are wrong (wire/462, wire/463), or have no permission to read the repository, which need not exist then (wire/466, wire/468).
    Unauthorized,
    /// There is no such repository, tag or digest (wire/489).
    Unknown,
}

impl Quay {
    /// Pulls `organization/repository` at a tag or digest with a user name and password, or anonymously.
    ///
    /// # Errors
    /// Whether the registry rejects it.
    pub fn pull(
        &self,
        path: &str,
        reference: &str,
        credentials: Option<(&str, &str)>,
    ) -> Result<Pulled, NotPulled> {
        let mut state = self.state();
        let caller = match credentials
            .map(|(user, password)| STANDARD.encode(format!("{user}:{password}")))
        {
            Some(credentials) => {
                let value =
                    format!("Basic {credentials}").parse().map_err(|_| NotPulled::Unauthorized)?;
                let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
                registry_auth::log_in(&mut state, &headers).map_err(|_| NotPulled::Unauthorized)?
            }
            None if state.flags.anonymous_access => Caller::anonymous(),
            None => return Err(NotPulled::Unauthorized),
        };
        let (namespace, name) = path.split_once('/').ok_or(NotPulled::Unknown)?;
        let path = RepoPath::new(namespace, name);
        if !registry_auth::may_pull(&state, &caller, &path) {
            return Err(NotPulled::Unauthorized);
        }
        let tag = state
            .repositories
            .get(&path)
            .and_then(|repository| registry::find(repository, reference));
        let tag = tag.ok_or(NotPulled::Unknown)?;
        Ok(Pulled {
            digest: tag.digest.clone(),
            media_type: tag.media_type.clone(),
            manifest: tag.manifest.clone(),
            size: tag.size,
        })
    }
}
