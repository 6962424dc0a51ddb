//! Public endpoints: health, configuration, discovery, the meaning of errors.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::errors::{Answer, Rejection};
use super::flags::Release;
use super::responses::{self, HTML};
use super::state::State;

/// Some ninety features that no flag here changes come from the recording.
const CONFIG: &str = include_str!("../../wire/003-config-public.json");
const DISCOVERY: &str = include_str!("../../wire/002-discovery.json");

const SERVICES: [&str; 6] =
    ["auth", "database", "disk_space", "registry_gunicorn", "service_key", "web_gunicorn"];

/// `GET /health/instance` (wire/001): 503 if a service is unavailable.
pub(crate) fn health(state: &State) -> Response {
    let services: Map<String, Value> = SERVICES
        .iter()
        .map(|name| ((*name).to_owned(), json!(!state.down.contains(*name))))
        .collect();
    let status =
        if state.down.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    responses::json(
        status,
        &json!({"data": {"services": services}, "status_code": status.as_u16()}),
    )
}

/// `GET /config` (wire/003, wire/648).
pub(crate) fn config(state: &State) -> Response {
    let flags = &state.flags;
    let mut config = recorded_body(CONFIG);
    match flags.release {
        Release::V3_12 => {
            config.as_object_mut().map(|fields| fields.remove("version_number"));
        }
        Release::V3_17 => config["version_number"] = json!("Quay v3.17.4"),
        Release::V3_18 => config["version_number"] = json!("Quay v3.18.0"),
        // The development branch calls itself 3.11.0.
        Release::Master => {}
    }
    config["registry_state"] = json!(if flags.readonly { "readonly" } else { "normal" });
    config["config"]["SERVER_HOSTNAME"] = json!(state.host());
    let features = &mut config["features"];
    features["ANONYMOUS_ACCESS"] = json!(flags.anonymous_access);
    features["DIRECT_LOGIN"] = json!(flags.direct_login);
    features["EXTENDED_REPOSITORY_NAMES"] = json!(flags.extended_names);
    features["MAILING"] = json!(flags.mailing);
    features["RESTRICTED_USERS"] = json!(flags.restricted_users);
    features["SUPERUSERS_FULL_ACCESS"] = json!(flags.full_access);
    features["SUPERUSERS_ORG_CREATION_ONLY"] = json!(flags.org_creation_only);
    features["USER_INITIALIZE"] = json!(flags.user_initialize);
    responses::ok(config)
}

/// `GET /api/v1/discovery` (wire/002), without the description of each path.
pub(crate) fn discovery(state: &State) -> Response {
    let mut discovery = recorded_body(DISCOVERY);
    if let Some(fields) = discovery.as_object_mut() {
        fields.retain(|name, _| !name.starts_with('#'));
        fields.insert("paths".to_owned(), json!({}));
    }
    discovery["securityDefinitions"]["oauth2_implicit"]["authorizationUrl"] =
        json!(format!("{}/oauth/authorize", state.url));
    responses::ok(discovery)
}

fn recorded_body(sample: &str) -> Value {
    let mut sample: Value = serde_json::from_str(sample).unwrap_or_default();
    sample["response"]["body"].take()
}

/// `GET /api/v1/error/<kind>` (wire/115): the page behind an error's `type` (`ERROR_DESCRIPTION` of `endpoints/exception.py`).
pub(crate) fn error_type(state: &State, kind: &str) -> Answer {
    let description = match kind {
        "invalid_request" => {
            "The request was invalid. It may have contained invalid values or was improperly formatted."
        }
        "invalid_token" => "The access token provided was invalid.",
        "insufficient_scope" => {
            "The access token did not have sufficient scope to access the requested resource."
        }
        "not_found" => "The resource was not found.",
        _ => return Err(Rejection::NotFound),
    };
    Ok(responses::ok(json!({
        "type": format!("{}/api/v1/error/{kind}", state.url),
        "title": kind,
        "description": description,
    })))
}

/// Any other page: the web interface.
pub(crate) fn page() -> Response {
    let page = "<!doctype html>\n<html lang=\"en\">\n<head><title>Quay</title></head>\n<body><div id=\"root\"></div></body>\n</html>\n";
    responses::text(StatusCode::OK, HTML, page.to_owned())
}
