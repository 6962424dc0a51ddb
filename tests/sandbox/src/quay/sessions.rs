//! Browser sessions: the cookie, the CSRF token that goes with it, signing in and out.
//!
//! As in Quay the cookie is the session: each change is a new cookie, and the one before remains what
//! it was.

use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::call::Call;
use super::errors::{Answer, Rejection};
use super::random;
use super::responses;
use super::schema::{Kind, Schema};
use super::state::State;
use super::tables::User;

/// The session cookie and, in a form, the CSRF token have the same name.
pub(crate) const CSRF_FIELD: &str = "_csrf_token";
const CSRF_HEADER: &str = "x-csrf-token";
/// `SESSION_TIMEOUT`: 31 days for who has signed in (wire/014).
const LIFETIME_S: i64 = 31 * 24 * 3600;
/// The first lockout after a wrong password; see [`State::check_password`].
const FIRST_WAIT_MS: i64 = 500;

const SIGN_IN: Schema = Schema {
    description: "Information required to sign in a user.",
    required: &["username", "password"],
    properties: &[("username", Kind::Text), ("password", Kind::Text), ("invite_code", Kind::Text)],
};

pub(crate) struct Session {
    pub(crate) csrf_token: String,
    /// The user who has signed in.
    pub(crate) user: Option<String>,
}

/// `GET /csrf_token` (wire/010, wire/644): the token of the session, and a session for who has none.
pub(crate) fn csrf_token(state: &mut State, headers: &HeaderMap) -> Response {
    if let Some(session) = state.session(headers) {
        return responses::ok(json!({"csrf_token": session.csrf_token}));
    }
    let (cookie, csrf_token) = state.add_session(None);
    let response = responses::ok(json!({"csrf_token": csrf_token}));
    responses::with_header(response, SET_COOKIE, &set_cookie(&cookie, None))
}

/// `POST /api/v1/signin` (wire/011-014, wire/095-099).
pub(crate) fn sign_in(state: &mut State, call: &Call) -> Answer {
    let body = call.json(&SIGN_IN)?;
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    match state.check_password(text("username"), text("password"))? {
        Some(user) => Ok(signed_in(state, &user, responses::ok(json!({"success": true})))),
        None => Ok(responses::json(
            StatusCode::FORBIDDEN,
            &json!({"needsEmailVerification": false, "invalidCredentials": true, "message": "Invalid Username or Password"}),
        )),
    }
}

/// The response with a new session of the user: a new cookie and a new CSRF token (wire/014, wire/000f).
pub(crate) fn signed_in(state: &mut State, user: &str, response: Response) -> Response {
    let (cookie, csrf_token) = state.add_session(Some(user));
    let expires = Timestamp::now() + SignedDuration::from_secs(LIFETIME_S);
    let response =
        responses::with_header(response, SET_COOKIE, &set_cookie(&cookie, Some(expires)));
    responses::with_header(response, HeaderName::from_static("x-next-csrf-token"), &csrf_token)
}

/// `POST /api/v1/signout` (wire/606): ends every session of the user, wherever.
pub(crate) fn sign_out(state: &mut State, call: &Call) -> Answer {
    if let Some(user) = call.caller.name() {
        state.sessions.retain(|_, session| session.user.as_deref() != Some(user));
    }
    Ok(responses::ok(json!({"success": true})))
}

fn set_cookie(value: &str, expires: Option<Timestamp>) -> String {
    let expires =
        expires.map(|when| when.strftime(" Expires=%a, %d %b %Y %H:%M:%S GMT;").to_string());
    format!(
        "{CSRF_FIELD}={value};{} Secure; HttpOnly; Path=/; SameSite=Lax",
        expires.unwrap_or_default()
    )
}

impl State {
    /// The session of the request's cookie.
    pub(crate) fn session(&self, headers: &HeaderMap) -> Option<&Session> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == CSRF_FIELD).and_then(|(_, value)| self.sessions.get(value))
    }

    /// A new session; returns its cookie and its CSRF token.
    fn add_session(&mut self, user: Option<&str>) -> (String, String) {
        let cookie = self.secret(random::token(196));
        // 48 bytes in Base64: a token may hold `+` and `/`, which a form must encode.
        let csrf_token = self.secret(random::base64(48));
        let session = Session { csrf_token: csrf_token.clone(), user: user.map(str::to_owned) };
        self.sessions.insert(cookie.clone(), session);
        (cookie, csrf_token)
    }

    /// True if the request carries the CSRF token of its session, in a form, the query or a header
    /// (`endpoints/csrf.py`; 011, 012, 016, 017, 040, 049).
    pub(crate) fn check_csrf(&self, call: &Call) -> Result<(), Rejection> {
        let header = || call.headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok());
        let found = call
            .param(CSRF_FIELD)
            .or_else(|| call.field(CSRF_FIELD))
            .filter(|token| !token.is_empty())
            .or_else(header);
        match self.session(&call.headers) {
            Some(session) if found == Some(session.csrf_token.as_str()) => Ok(()),
            _ => Err(Rejection::Csrf),
        }
    }

    /// The user of this name or address, if that is the password. A wrong one makes everybody wait who wants to be
    /// this user, even with the right one: half a second, then 1.5 s, 3.5 s and so on (`verify_user` of
    /// `data/model/user.py`, `util/backoff.py`; 096-099).
    pub(crate) fn check_password(
        &mut self,
        name: &str,
        password: &str,
    ) -> Result<Option<String>, Rejection> {
        let now = Timestamp::now();
        let has_name = |(known, user): &(&String, &mut User)| *known == name || user.email == name;
        let Some((name, user)) = self.users.iter_mut().find(has_name) else {
            return Ok(None);
        };
        if let Some(wait) = user
            .retry_at
            .map(|retry_at| retry_at.duration_since(now))
            .filter(SignedDuration::is_positive)
        {
            return Err(Rejection::Throttled(wait));
        }
        if user.password == password {
            (user.wrong_passwords, user.retry_at) = (0, None);
            return Ok(Some(name.clone()));
        }
        user.wrong_passwords += 1;
        let factor = 2_i64.saturating_pow(user.wrong_passwords).saturating_sub(1);
        user.retry_at =
            now.checked_add(SignedDuration::from_millis(FIRST_WAIT_MS.saturating_mul(factor))).ok();
        Ok(None)
    }
}
