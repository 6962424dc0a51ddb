//! Signs in with user name and password, as a browser does. There are no retries, for Quay counts the attempts.

use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::quay::Quay;
use crate::quay::api::api_types;
use crate::quay::auth::web_session::WebSession;
use crate::quay::http::error::{ErrorKind, QuayError, parse_message};
use crate::quay::http::request::{Auth, Call, QuayResponse};

pub(in crate::quay) const WRONG_PASSWORD: &str = "wrong user name or password";

/// A session with all permissions of the user. It has no sign-out, for Quay's ends all sessions of the user, including those
/// in browsers (`wire/846c`). Quay expires a session whose cookie is dropped.
#[derive(Debug)]
pub struct Session {
    pub(in crate::quay) quay: Quay,
    pub(in crate::quay) user: String,
    pub(in crate::quay) web_session: WebSession,
}

impl Quay {
    /// Signs in (`wire/010`, `wire/014`).
    ///
    /// # Errors
    /// Among others [`ErrorKind::WrongPassword`], [`ErrorKind::Throttled`], [`ErrorKind::DirectLoginOff`] and
    /// [`ErrorKind::PlainHttp`].
    pub async fn sign_in(&self, user: &str, password: &SecretString) -> Result<Session, QuayError> {
        let mut web_session = self.start_web_session().await?;
        let call = self.anonymous(Method::POST, &["signin"], format!("sign in to Quay as {user}"));
        let call = web_session
            .attach_csrf(call)
            .body(json!({"username": user, "password": password.expose_secret()}))
            .without_retry();
        let answer = self.exchange(&call, &self.0.api).await?;
        if !answer.status.is_success() {
            return Err(sign_in_error(call.action(), user, &answer));
        }
        if serde_json::from_str::<Value>(&answer.body).is_ok_and(|body| body["success"] == true) {
            web_session.update(&answer);
            Ok(Session { quay: self.clone(), user: user.to_owned(), web_session })
        } else {
            Err(QuayError::not_quay(call.action(), answer.status))
        }
    }

    /// Quay has no user, and its API can create the first one (`wire/000b`, `wire/006`, `wire/650`). The request has an invalid
    /// password, so that nothing is created.
    ///
    /// # Errors
    /// Any other response.
    pub async fn has_no_users(&self) -> Result<bool, QuayError> {
        // Too short, and white space; Quay looks at the password first (`create_user` of `data/model/user.py`).
        let call = self.initialization(
            "check for existing users",
            "oc-quay",
            &SecretString::from(" "),
            "oc-quay@example.com",
        );
        let answer = self.exchange(&call, &self.0.api).await?;
        let message = parse_message(&answer.body).unwrap_or_default();
        match answer.status.as_u16() {
            400 if message.starts_with("Failed to initialize user") => Ok(true),
            // There are users, or an external provider has them.
            400 if message.starts_with("Cannot initialize user") => Ok(false),
            // FEATURE_USER_INITIALIZE is off.
            404 => Ok(false),
            _ => Err(QuayError::from_response(call.action(), answer.status, &answer.body)),
        }
    }

    /// Creates the first user of an empty Quay and signs in as it (`wire/000f`). The user is a superuser only if `SUPER_USERS`
    /// contains the name.
    ///
    /// # Errors
    /// A user exists, or the user name or password is invalid.
    pub async fn initialize(
        &self,
        user: &str,
        password: &SecretString,
        email: &str,
    ) -> Result<Session, QuayError> {
        let call = self
            .initialization(&format!("create the first user {user}"), user, password, email)
            .not_idempotent();
        self.require_https(call.action())?;
        match self.send(&call).await {
            Ok(answer) => {
                let mut web_session = WebSession::default();
                web_session.update(&answer);
                Ok(Session { quay: self.clone(), user: user.to_owned(), web_session })
            }
            // This request, or an earlier run, might have created the user.
            Err(error)
                if error.kind.is_uncertain() || error.reason.contains("Cannot initialize user") =>
            {
                self.sign_in(user, password).await.map_err(|_| error)
            }
            Err(error) => Err(error),
        }
    }

    fn initialization(
        &self,
        action: &str,
        user: &str,
        password: &SecretString,
        email: &str,
    ) -> Call {
        let body = json!({"username": user, "password": password.expose_secret(), "email": email});
        self.anonymous(Method::POST, &["user", "initialize"], action.into()).body(body)
    }

    fn anonymous(&self, method: Method, path: &[&str], action: String) -> Call {
        Call::new(method, self.endpoint(&["api", "v1"], path), Auth::Anonymous, action)
    }
}

impl Session {
    /// The user name.
    pub fn user(&self) -> &str {
        &self.user
    }

    pub(in crate::quay) fn api(&self, method: Method, path: &[&str], action: String) -> Call {
        self.quay.anonymous(method, path, action)
    }

    /// Makes a call with a JSON response in the session.
    pub(in crate::quay) async fn fetch<T: DeserializeOwned>(
        &mut self,
        call: Call,
    ) -> Result<T, QuayError> {
        let call = self.web_session.attach_csrf(call);
        let answer = self.quay.exchange(&call, &self.quay.0.api).await?;
        // An error response can have a new cookie and CSRF token too, which invalidate the previous ones.
        self.web_session.update(&answer);
        if !answer.status.is_success() {
            return Err(map_session_error(QuayError::from_response(
                call.action(),
                answer.status,
                &answer.body,
            )));
        }
        serde_json::from_str(&answer.body)
            .map_err(|_| QuayError::not_quay(call.action(), answer.status))
    }
}

/// Replaces the reason of a 401, which in a session is not about a token.
pub(in crate::quay) fn map_session_error(error: QuayError) -> QuayError {
    if error.kind != ErrorKind::Unauthorized {
        return error;
    }
    let status = error.status.map_or_else(String::new, |status| format!(" ({status})"));
    QuayError { reason: format!("session expired{status}; sign in again"), ..error }
}

/// The error of a response to too many wrong passwords (`wire/097` to `wire/099`).
pub(in crate::quay) fn throttled(call: &str, answer: &QuayResponse) -> Option<QuayError> {
    if answer.status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    // Quay rounds down.
    let seconds = answer.retry_after()?.max(1);
    let reason = format!("too many wrong passwords; try again in {seconds} s");
    let error = QuayError::new(call, ErrorKind::Throttled { seconds }, reason);
    Some(QuayError { status: Some(answer.status.as_u16()), ..error })
}

fn sign_in_error(call: &str, user: &str, answer: &QuayResponse) -> QuayError {
    let body: api_types::SignInRejection = serde_json::from_str(&answer.body).unwrap_or_default();
    if let Some(throttled) = throttled(call, answer) {
        return throttled;
    }
    let (kind, reason) = match answer.status {
        StatusCode::METHOD_NOT_ALLOWED => {
            let reason = "this Quay does not accept passwords (FEATURE_DIRECT_LOGIN is off); use a token, or sign in with a browser";
            (ErrorKind::DirectLoginOff, reason.to_owned())
        }
        StatusCode::FORBIDDEN if body.invalid_credentials => {
            (ErrorKind::WrongPassword, WRONG_PASSWORD.to_owned())
        }
        StatusCode::FORBIDDEN if body.needs_email_verification => {
            (ErrorKind::Forbidden, format!("the e-mail address of {user} is not confirmed"))
        }
        // The previous response set the cookie.
        StatusCode::FORBIDDEN if answer.body.contains("CSRF") => (
            ErrorKind::Unexpected,
            "session cookie was not returned; a proxy might be removing it".to_owned(),
        ),
        _ => return QuayError::from_response(call, answer.status, &answer.body),
    };
    QuayError { status: Some(answer.status.as_u16()), ..QuayError::new(call, kind, reason) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

    use super::*;

    #[test]
    fn classifies_sign_in_errors() {
        const CSRF: &str = r#"{"error": "CSRF token was invalid or missing."}"#;
        const WRONG: &str = r#"{"needsEmailVerification": false, "invalidCredentials": true, "message": "Invalid Username or Password"}"#;
        const UNCONFIRMED: &str =
            r#"{"needsEmailVerification": true, "invalidCredentials": false, "message": ""}"#;
        let table = [
            (403, None, WRONG, ErrorKind::WrongPassword),
            (403, None, UNCONFIRMED, ErrorKind::Forbidden),
            (403, None, CSRF, ErrorKind::Unexpected),
            (405, None, "<html>", ErrorKind::DirectLoginOff),
            (429, Some("0"), "Too many login attempts.", ErrorKind::Throttled { seconds: 1 }),
            (429, Some("16"), "Too many login attempts.", ErrorKind::Throttled { seconds: 16 }),
            (429, None, "<html>", ErrorKind::RateLimited),
            (502, None, "<html>", ErrorKind::Server),
        ];
        for (status, retry_after, body, kind) in table {
            let mut headers = HeaderMap::new();
            headers.extend(retry_after.map(|value| (RETRY_AFTER, HeaderValue::from_static(value))));
            let answer = QuayResponse {
                status: StatusCode::from_u16(status).unwrap(),
                headers,
                body: body.into(),
            };
            let error = sign_in_error("sign in to Quay as alice", "alice", &answer);
            assert_eq!((error.kind, error.status), (kind, Some(status)), "{body}");
        }
    }
}
