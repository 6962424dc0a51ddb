//! Fuzzing entry points for responses of Quay and of registries: see [`crate::untrusted`].

use reqwest::StatusCode;
use serde::de::DeserializeOwned;

use crate::quay::api::api_types;
use crate::quay::http::error::QuayError;
use crate::quay::http::request::QuayResponse;
use crate::quay::registry;

/// Parses a response of Quay as each type.
pub fn quay(bytes: &[u8]) {
    let body = String::from_utf8_lossy(bytes);
    for status in [
        StatusCode::BAD_REQUEST,
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::SERVICE_UNAVAILABLE,
    ] {
        let _ = QuayError::from_response("call", status, &body).to_string();
    }
    read::<api_types::Robots>(&body);
    read::<api_types::RobotPermissions>(&body);
    read::<api_types::Prototypes>(&body);
    read::<api_types::Organization>(&body);
    read::<api_types::Page>(&body);
    read::<api_types::Tags>(&body);
    read::<api_types::Health>(&body);
    read::<api_types::CsrfToken>(&body);
    read::<api_types::SignInRejection>(&body);
    read::<api_types::Applications>(&body);
    read::<api_types::IssuedTokenBody>(&body);
    let _ = serde_json::from_str::<api_types::Config>(&body).map(|config| config.is_readonly());
    let _ = serde_json::from_str::<api_types::User>(&body).map(|user| user.organization_names());
}

/// Parses a response of a registry: challenge and token.
pub fn registry(bytes: &[u8]) {
    let body = String::from_utf8_lossy(bytes).into_owned();
    let _ = registry::parse_challenge(&body);
    let _ = registry::parse_grants(&QuayResponse {
        status: StatusCode::OK,
        headers: Default::default(),
        body,
    });
}

fn read<T: DeserializeOwned>(body: &str) {
    let _ = serde_json::from_str::<T>(body);
}
