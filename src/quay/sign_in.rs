//! Signing in with user name and password, the way a browser does. Nothing here is tried twice: Quay counts the tries.

use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Quay;
use super::api_types;
use super::error::{ErrorKind, QuayError, message};
use super::request::{Call, Credentials, QuayResponse};
use super::web_session::WebSession;

/// A user who has signed in. It reaches as far as the user does. There is no sign-out: Quay's ends all sessions of the user,
/// also those in browsers (sample 846c). A session is over when its cookie is dropped; Quay expires it.
#[derive(Debug)]
pub struct Session {
    pub(super) quay: Quay,
    pub(super) user: String,
    pub(super) visit: WebSession,
}

impl Quay {
    /// Signs in (samples 010, 014).
    ///
    /// # Errors
    /// Told apart by their kind: [`ErrorKind::WrongPassword`], [`ErrorKind::Throttled`], [`ErrorKind::DirectLoginOff`] and
    /// [`ErrorKind::PlainHttp`].
    pub async fn sign_in(&self, user: &str, password: &SecretString) -> Result<Session, QuayError> {
        let mut visit = self.visit().await?;
        let call = self.anonymous(Method::POST, &["signin"], format!("sign in to Quay as {user}"));
        let call = visit
            .attach_csrf(call)
            .body(json!({"username": user, "password": password.expose_secret()}))
            .never_repeated();
        let answer = self.exchange(&call, &self.0.api).await?;
        if !answer.status.is_success() {
            return Err(sign_in_refused(call.what(), user, &answer));
        }
        if serde_json::from_str::<Value>(&answer.body).is_ok_and(|body| body["success"] == true) {
            visit.absorb(&answer);
            Ok(Session { quay: self.clone(), user: user.to_owned(), visit })
        } else {
            Err(QuayError::not_quay(call.what(), answer.status))
        }
    }

    /// Whether this Quay has no user yet and lets the first one be made (samples 000b, 006, 650). Asks for a user with a
    /// password that no Quay takes, so that nothing is created.
    ///
    /// # Errors
    /// When the answer tells neither.
    pub async fn is_empty(&self) -> Result<bool, QuayError> {
        // Too short, and white space; Quay looks at the password first (`create_user` of `data/model/user.py`).
        let call = self.initialization(
            "see whether Quay is empty",
            "oc-quay",
            &SecretString::from(" "),
            "oc-quay@example.com",
        );
        let answer = self.exchange(&call, &self.0.api).await?;
        let said = message(&answer.body).unwrap_or_default();
        match answer.status.as_u16() {
            400 if said.starts_with("Failed to initialize user") => Ok(true),
            // There are users, or they are kept elsewhere.
            400 if said.starts_with("Cannot initialize user") => Ok(false),
            // FEATURE_USER_INITIALIZE is off.
            404 => Ok(false),
            _ => Err(QuayError::refused(call.what(), answer.status, &answer.body)),
        }
    }

    /// Makes the first user of an empty Quay and signs in as it (sample 000f). It is a superuser only if Quay's
    /// `SUPER_USERS` names it.
    ///
    /// # Errors
    /// When there is a user already, or Quay does not take the user name or the password.
    pub async fn initialize(
        &self,
        user: &str,
        password: &SecretString,
        email: &str,
    ) -> Result<Session, QuayError> {
        let call = self
            .initialization(&format!("create the first user {user}"), user, password, email)
            .not_repeatable();
        self.protects_cookies(call.what())?;
        match self.send(&call).await {
            Ok(answer) => {
                let mut visit = WebSession::default();
                visit.absorb(&answer);
                Ok(Session { quay: self.clone(), user: user.to_owned(), visit })
            }
            // If it got through all the same, the password is the right one now.
            Err(error) if error.kind.is_uncertain() => {
                self.sign_in(user, password).await.map_err(|_| error)
            }
            // An earlier run may have made this very user.
            Err(error) if error.reason.contains("Cannot initialize user") => {
                self.sign_in(user, password).await.map_err(|_| error)
            }
            Err(error) => Err(error),
        }
    }

    fn initialization(&self, what: &str, user: &str, password: &SecretString, email: &str) -> Call {
        let body = json!({"username": user, "password": password.expose_secret(), "email": email});
        self.anonymous(Method::POST, &["user", "initialize"], what.into()).body(body)
    }

    fn anonymous(&self, method: Method, path: &[&str], what: String) -> Call {
        Call::new(method, self.address(&["api", "v1"], path), Credentials::Nobody, what)
    }
}

impl Session {
    /// The user who signed in.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// A call to the API as the user who signed in.
    pub(super) fn api(&self, method: Method, path: &[&str], what: String) -> Call {
        self.quay.anonymous(method, path, what)
    }

    /// Makes a call within the session that answers with JSON.
    pub(super) async fn fetch<T: DeserializeOwned>(&mut self, call: Call) -> Result<T, QuayError> {
        let call = self.visit.attach_csrf(call);
        let answer = self.quay.exchange(&call, &self.quay.0.api).await?;
        // A refusal too may come with a new cookie and CSRF token, and makes the old ones void.
        self.visit.absorb(&answer);
        if !answer.status.is_success() {
            return Err(of_session(QuayError::refused(call.what(), answer.status, &answer.body)));
        }
        serde_json::from_str(&answer.body)
            .map_err(|_| QuayError::not_quay(call.what(), answer.status))
    }
}

/// What a refusal within a session means: there is no token that it could be about.
pub(super) fn of_session(error: QuayError) -> QuayError {
    if error.kind != ErrorKind::Unauthorized {
        return error;
    }
    let status = error.status.map_or_else(String::new, |status| format!(" ({status})"));
    QuayError {
        reason: format!("Quay does not accept the session any more{status}; sign in again"),
        ..error
    }
}

/// Quay's refusal to look at a password after wrong ones, if the answer is that (samples 097-099).
pub(super) fn throttled(call: &str, answer: &QuayResponse) -> Option<QuayError> {
    if answer.status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    // Quay rounds down.
    let seconds = answer.retry_after()?.max(1);
    let reason =
        format!("too many wrong passwords; Quay takes the next try in {seconds} s, not earlier");
    let error = QuayError::new(call, ErrorKind::Throttled { seconds }, reason);
    Some(QuayError { status: Some(answer.status.as_u16()), ..error })
}

fn sign_in_refused(call: &str, user: &str, answer: &QuayResponse) -> QuayError {
    let body: api_types::SignInRefused = serde_json::from_str(&answer.body).unwrap_or_default();
    if let Some(throttled) = throttled(call, answer) {
        return throttled;
    }
    let (kind, reason) = match answer.status {
        StatusCode::METHOD_NOT_ALLOWED => {
            let reason = "Quay takes no passwords itself here (FEATURE_DIRECT_LOGIN is off); give a token, or sign in in a browser";
            (ErrorKind::DirectLoginOff, reason.to_owned())
        }
        StatusCode::FORBIDDEN if body.invalid_credentials => (
            ErrorKind::WrongPassword,
            "Quay does not accept the user name or the password".to_owned(),
        ),
        StatusCode::FORBIDDEN if body.needs_email_verification => (
            ErrorKind::Forbidden,
            format!("the e-mail address of {user} has to be confirmed first"),
        ),
        // Quay has just set the cookie that this is about.
        StatusCode::FORBIDDEN if answer.body.contains("CSRF") => (
            ErrorKind::Unexpected,
            "Quay did not get its own cookie back; something on the way keeps it".to_owned(),
        ),
        _ => return QuayError::refused(call, answer.status, &answer.body),
    };
    QuayError { status: Some(answer.status.as_u16()), ..QuayError::new(call, kind, reason) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

    use super::*;

    #[test]
    fn refusals_to_sign_in_are_told_apart() {
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
            let error = sign_in_refused("sign in to Quay as alice", "alice", &answer);
            assert_eq!((error.kind, error.status), (kind, Some(status)), "{body}");
        }
    }
}
