//! What a call to Quay fails with, and how Quay's answers are read for it.

use reqwest::StatusCode;
use serde_json::Value;
use thiserror::Error;

use crate::domain::integration::{ConnectionStage, QuayProblem};
use crate::domain::snapshot::{ReadError, ReadErrorKind};

/// The most characters of Quay's message that are quoted.
const MAX_QUOTE_CHARS: usize = 200;

/// Options that no call can succeed with.
#[derive(Debug, Error)]
pub enum OptionsError {
    /// The CA file holds nothing to trust: why.
    #[error("the CA certificates for Quay cannot be used: {0}")]
    Ca(String),
    /// The token cannot stand in a request.
    #[error(
        "the token for Quay is empty or contains white space or other characters that no token has"
    )]
    Token,
    /// The address is `http://`, which would show the token to everybody on the way.
    #[error("the address of Quay is http://, which would send the token unprotected")]
    PlainHttp,
    /// No HTTP client can be built here: why.
    #[error("no HTTPS connections can be made from here: {0}")]
    Client(String),
}

/// A call to Quay that failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot {call}: {reason}")]
pub struct QuayError {
    /// The call: `create robot account acme+builder`.
    pub call: String,
    /// What Quay said, or why there was no answer; one line.
    pub reason: String,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// What kind of failure it is.
    pub kind: ErrorKind,
}

/// The kinds of [`QuayError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nobody answers; where it stopped.
    Unreachable(ConnectionStage),
    /// The certificate is not trusted.
    Untrusted,
    /// The token is not accepted.
    Unauthorized,
    /// The token is accepted, but not for this. Also what Quay says of much that does not exist (samples 206-208).
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// There is one already.
    Exists,
    /// Quay is in read-only mode (sample 647).
    ReadOnly,
    /// Robot accounts are switched off (sample 661).
    RobotsDisallowed,
    /// Too many requests, even after waiting.
    RateLimited,
    /// The user name or the password is wrong.
    WrongPassword,
    /// Too many wrong passwords: for so many seconds even the right one is refused (samples 097-099).
    Throttled {
        /// How long to wait.
        seconds: u64,
    },
    /// Quay takes no passwords itself, FEATURE_DIRECT_LOGIN is off (sample 651).
    DirectLoginOff,
    /// Signing in takes https, since the session cookie goes over nothing else (samples 094, 095).
    PlainHttp,
    /// This Quay cannot do it at all.
    Unsupported,
    /// Quay failed: a 5xx answer, or a connection that broke before there was one. Whether a write was done is unknown.
    Server,
    /// An answer that does not belong here.
    Unexpected,
    /// Not asked, because an earlier failure stands in the way of every call.
    Skipped,
}

impl ErrorKind {
    /// Whether it is about every call, not just this one. Such a failure is a [`QuayProblem`] of its own.
    pub fn is_general(self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Untrusted | Self::Unauthorized | Self::Skipped)
    }

    /// Whether a write may have been done all the same.
    pub(super) fn is_uncertain(self) -> bool {
        matches!(self, Self::Unreachable(ConnectionStage::Http) | Self::Server)
    }
}

impl QuayError {
    pub(super) fn new(call: &str, kind: ErrorKind, reason: impl Into<String>) -> Self {
        Self { call: call.into(), reason: reason.into(), status: None, kind }
    }

    /// A call that was not made.
    pub(super) fn skipped(call: &str, trouble: &QuayProblem) -> Self {
        let reason = match trouble {
            QuayProblem::Unreachable { step, reason } => {
                format!("not asked, since Quay does not answer ({step}: {reason})")
            }
            QuayProblem::Untrusted { reason } => format!("not asked, since {reason}"),
            _ => "not asked, since Quay does not accept the token".into(),
        };
        Self::new(call, ErrorKind::Skipped, reason)
    }

    /// An answer that refuses. Its body has one of three shapes: `{"error_message", "detail", …}`, `{"message"}`, or
    /// text and HTML of whoever answers in Quay's place.
    pub(super) fn refused(call: &str, status: StatusCode, body: &str) -> Self {
        let said = message(body);
        let kind = kind(status, body, said.as_deref().unwrap_or_default());
        let reason = match (kind, said) {
            (ErrorKind::Unauthorized, _) => {
                format!("Quay does not accept the token ({})", status.as_u16())
            }
            (ErrorKind::Unexpected, None) => format!("{} ({status})", NOT_QUAY),
            (_, Some(said)) => format!("Quay answered {}: {said}", status.as_u16()),
            (_, None) => format!("Quay answered {status}"),
        };
        Self { call: call.into(), reason, status: Some(status.as_u16()), kind }
    }

    /// An answer that says yes, but not in Quay's words.
    pub(super) fn not_quay(call: &str, status: StatusCode) -> Self {
        Self { status: Some(status.as_u16()), ..Self::new(call, ErrorKind::Unexpected, NOT_QUAY) }
    }
}

/// A proxy's page, a login page, or another program under the same address.
const NOT_QUAY: &str = "the address answered something that is not Quay's API";

impl From<QuayError> for ReadError {
    fn from(error: QuayError) -> Self {
        let kind = match error.kind {
            ErrorKind::Forbidden => ReadErrorKind::Forbidden,
            kind if kind.is_general() => ReadErrorKind::Skipped,
            _ => ReadErrorKind::Failed,
        };
        ReadError { call: error.call, reason: error.reason, kind }
    }
}

/// What kind of refusal it is. Quay has few statuses for many things, so the message decides (samples 105, 151, 205).
fn kind(status: StatusCode, body: &str, said: &str) -> ErrorKind {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match status.as_u16() {
        401 => ErrorKind::Unauthorized,
        // A write whose token is not accepted counts as one of a browser session (samples 105, 106).
        403 if has(&["CSRF"]) => ErrorKind::Unauthorized,
        403 => ErrorKind::Forbidden,
        // Quay's own 404 has a message; any other is of a proxy, or of an API that is not Quay's (sample 680).
        404 if !said.is_empty() => ErrorKind::NotFound,
        400 if has(&["already exists", "Existing robot", "Username is not available"]) => {
            ErrorKind::Exists
        }
        400 if has(&["Could not find robot", "does not exist"]) => ErrorKind::NotFound,
        400 if has(&["Robot accounts have been disabled"]) => ErrorKind::RobotsDisallowed,
        429 => ErrorKind::RateLimited,
        503 if is_readonly(body) => ErrorKind::ReadOnly,
        500..=599 => ErrorKind::Server,
        _ => ErrorKind::Unexpected,
    }
}

/// Whether a 503 says that Quay is in read-only mode (sample 647).
pub(super) fn is_readonly(body: &str) -> bool {
    serde_json::from_str::<Value>(body).is_ok_and(|body| body["is_readonly"] == true)
}

/// Quay's message in a body, if it is Quay's: JSON, although the type may say HTML (sample 105). The registry's errors
/// are in a list (sample 462).
pub(super) fn message(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    let said =
        ["error_message", "detail", "message", "error"].iter().find_map(|key| body[key].as_str());
    one_line(said.or_else(|| body["errors"][0]["message"].as_str())?)
}

/// The first line of a text, without what a terminal would act on, cut to a length that can be quoted.
pub(super) fn one_line(text: &str) -> Option<String> {
    let line = text.trim().lines().next()?;
    let clean = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    Some(clean.take(MAX_QUOTE_CHARS).collect::<String>().trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refused(status: u16, body: &str) -> QuayError {
        QuayError::refused(
            "create robot account acme+builder",
            StatusCode::from_u16(status).unwrap(),
            body,
        )
    }

    const HTML: &str = "<html>\r\n<head><title>404 Not Found</title></head></html>";

    #[test]
    fn quays_answers_are_told_apart() {
        let table = [
            (
                401,
                r#"{"detail":"Requires authentication","error_type":"invalid_token"}"#,
                ErrorKind::Unauthorized,
            ),
            (403, r#"{"error": "CSRF token was invalid or missing."}"#, ErrorKind::Unauthorized),
            (
                403,
                r#"{"detail":"Unauthorized","error_type":"insufficient_scope"}"#,
                ErrorKind::Forbidden,
            ),
            (403, HTML, ErrorKind::Forbidden),
            (404, r#"{"detail":"Not Found","error_message":"Not Found"}"#, ErrorKind::NotFound),
            (404, HTML, ErrorKind::Unexpected),
            (
                400,
                r#"{"message":"Could not find robot with specified username"}"#,
                ErrorKind::NotFound,
            ),
            (400, r#"{"message":"Organization does not exist: nosuchorg"}"#, ErrorKind::NotFound),
            (400, r#"{"detail":"Existing robot with name: acme+puller"}"#, ErrorKind::Exists),
            (400, r#"{"detail":"Repository already exists"}"#, ErrorKind::Exists),
            (
                400,
                r#"{"detail":"A user or organization with this name already exists"}"#,
                ErrorKind::Exists,
            ),
            (400, r#"{"detail":"Username is not available"}"#, ErrorKind::Exists),
            (
                400,
                r#"{"detail":"Robot accounts have been disabled. Please contact your administrator."}"#,
                ErrorKind::RobotsDisallowed,
            ),
            (400, r#"{"detail":"Invalid username: acme+nosuch"}"#, ErrorKind::Unexpected),
            (308, HTML, ErrorKind::Unexpected),
            (429, HTML, ErrorKind::RateLimited),
            (500, HTML, ErrorKind::Server),
            (502, HTML, ErrorKind::Server),
            (503, HTML, ErrorKind::Server),
            (
                503,
                r#"{"is_readonly":true,"message":"System is currently read-only."}"#,
                ErrorKind::ReadOnly,
            ),
        ];
        for (status, body, kind) in table {
            assert_eq!(refused(status, body).kind, kind, "{status} {body}");
        }
    }

    #[test]
    fn an_error_is_one_sentence_that_quotes_the_message_and_never_the_page() {
        let error = refused(403, r#"{"detail":"Unauthorized"}"#);
        assert_eq!(
            error.to_string(),
            "cannot create robot account acme+builder: Quay answered 403: Unauthorized"
        );
        let error = refused(502, "<html>\n<title>Quay Loading</title></html>");
        assert_eq!(
            error.to_string(),
            "cannot create robot account acme+builder: Quay answered 502 Bad Gateway"
        );
        let error = refused(404, HTML);
        assert_eq!(
            error.reason,
            "the address answered something that is not Quay's API (404 Not Found)"
        );
        let error = refused(400, r#"{"message":"duplicate key\nDETAIL: Key (email)\u001b[31m"}"#);
        assert_eq!(error.reason, "Quay answered 400: duplicate key");
        assert_eq!(one_line("a\u{1b}[31mb\tc"), Some("a [31mb c".into()));
        assert_eq!(one_line(&"x".repeat(1000)).unwrap().len(), MAX_QUOTE_CHARS);
        assert_eq!(one_line("  \n"), None);
    }

    #[test]
    fn what_is_reported_by_itself_is_skipped_and_what_is_refused_is_forbidden() {
        let kind = |kind| ReadError::from(QuayError::new("list", kind, "why")).kind;
        assert_eq!(kind(ErrorKind::Unauthorized), ReadErrorKind::Skipped);
        assert_eq!(kind(ErrorKind::Unreachable(ConnectionStage::Name)), ReadErrorKind::Skipped);
        assert_eq!(kind(ErrorKind::Untrusted), ReadErrorKind::Skipped);
        assert_eq!(kind(ErrorKind::Skipped), ReadErrorKind::Skipped);
        assert_eq!(kind(ErrorKind::Forbidden), ReadErrorKind::Forbidden);
        assert_eq!(kind(ErrorKind::Server), ReadErrorKind::Failed);
        assert_eq!(kind(ErrorKind::Unexpected), ReadErrorKind::Failed);
        assert_eq!(kind(ErrorKind::NotFound), ReadErrorKind::Failed);
    }
}
