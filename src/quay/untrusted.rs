//! What reads bytes of Quays and registries, without the connection: see [`crate::untrusted`].

use reqwest::StatusCode;
use serde::de::DeserializeOwned;

use super::call::QuayResponse;
use super::error::QuayError;
use super::{registry, wire};

/// An answer of Quay, as each of those that it may be.
pub fn quay(bytes: &[u8]) {
    let body = String::from_utf8_lossy(bytes);
    for status in [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::SERVICE_UNAVAILABLE] {
        let _ = QuayError::refused("call", status, &body).to_string();
    }
    read::<wire::Robots>(&body);
    read::<wire::RobotPermissions>(&body);
    read::<wire::Prototypes>(&body);
    read::<wire::Organization>(&body);
    read::<wire::Page>(&body);
    read::<wire::Tags>(&body);
    read::<wire::Health>(&body);
    read::<wire::CsrfToken>(&body);
    read::<wire::SignInRefused>(&body);
    read::<wire::Applications>(&body);
    read::<wire::IssuedTokenBody>(&body);
    let _ = serde_json::from_str::<wire::Config>(&body).map(|config| config.is_readonly());
    let _ = serde_json::from_str::<wire::User>(&body).map(|user| user.organization_names());
}

/// An answer of a registry: its challenge, and its token.
pub fn registry(bytes: &[u8]) {
    let body = String::from_utf8_lossy(bytes).into_owned();
    let _ = registry::parse_challenge(&body);
    let _ = registry::granted(&QuayResponse { status: StatusCode::OK, headers: Default::default(), body });
}

fn read<T: DeserializeOwned>(body: &str) {
    let _ = serde_json::from_str::<T>(body);
}
