//! `POST /api/v1/user/initialize`: the first user of an empty Quay.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::call::Call;
use super::errors::{Answer, Rejection};
use super::names;
use super::random;
use super::responses;
use super::scopes;
use super::sessions::signed_in;
use super::state::State;
use super::tables::{Application, NewToken};

/// The lifetime of the first user's token: 2.5 hours (wire/000f).
const TOKEN_LIFETIME: Duration = Duration::from_secs(9000);

/// Creates the first user, who is a superuser here as if named in `SUPER_USERS`, and signs them in.
/// Needs neither a session nor a CSRF token (wire/000b-000g, wire/006, wire/650).
pub(crate) fn initialize(state: &mut State, call: &Call) -> Answer {
    if !state.flags.user_initialize {
        return Err(Rejection::Abort(StatusCode::NOT_FOUND, "Not Found"));
    }
    if !state.users.is_empty() {
        return Err(Rejection::Model("Cannot initialize user in a non-empty database".to_owned()));
    }
    let body = call.web_json()?;
    let (Some(name), Some(password)) = (body["username"].as_str(), body["password"].as_str())
    else {
        return Err(Rejection::Crash);
    };
    check_new(name, password)
        .map_err(|reason| Rejection::Model(format!("Failed to initialize user: {reason}")))?;

    state.add_user(name, true);
    let (email, encrypted) = (body["email"].as_str(), state.secret(random::base64(72)));
    let password = state.secret(password.to_owned());
    if let Some(user) = state.users.get_mut(name) {
        user.password = password;
        user.email = email.map_or_else(random::uuid, str::to_owned);
    }
    let mut view = json!({"username": name, "email": email, "encrypted_password": encrypted});
    if truthy(&body["access_token"]) {
        view["access_token"] = json!(add_automation_token(state, name));
    }
    Ok(signed_in(state, name, responses::ok(view)))
}

/// `create_user` of `data/model/user.py`.
fn check_new(name: &str, password: &str) -> Result<(), String> {
    if password.chars().count() < 8 || password.chars().any(char::is_whitespace) {
        return Err(
            "Invalid password, password must be at least 8 characters and contain no whitespace."
                .to_owned(),
        );
    }
    names::check_namespace(name).map_err(|reason| format!("Invalid namespace {name}: {reason}"))
}

/// The token belongs to an application in the user's own namespace, where it cannot be listed (wire/000h).
fn add_automation_token(state: &mut State, user: &str) -> String {
    let client_secret = state.secret(random::token(40));
    let application = Application {
        id: state.next_id(),
        organization: user.to_owned(),
        name: "automation".to_owned(),
        description: "Application token generated via /api/v1/user/initialize".to_owned(),
        application_uri: String::new(),
        redirect_uri: String::new(),
        avatar_email: None,
        client_secret,
    };
    state.applications.insert(user.to_owned(), application);
    let token = NewToken {
        lifetime: TOKEN_LIFETIME,
        application: Some(user),
        ..NewToken::new(user, scopes::ALL)
    };
    state.add_token(token).1
}

/// Truth in Python.
fn truthy(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false)) && *value != json!(0) && *value != json!("")
}
