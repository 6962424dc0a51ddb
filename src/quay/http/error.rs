//! Errors of calls to Quay, and their classification from Quay's responses.

use std::fmt;

use reqwest::StatusCode;
use serde_json::Value;
use thiserror::Error;

use crate::domain::integration::{ConnectionStage, QuayProblem};
use crate::domain::snapshot::{ReadError, ReadErrorKind};

/// Limit for quotes of Quay's messages.
const MAX_QUOTE_CHARS: usize = 200;

/// Invalid options of the client.
#[derive(Debug, Error)]
pub enum OptionsError {
    /// The CA file has no valid certificates.
    #[error("invalid CA certificates for Quay: {0}")]
    Ca(String),
    /// The token is empty or has characters that a header cannot have.
    #[error("invalid token for Quay: it is empty, or contains white space or control characters")]
    Token,
    /// The address is `http://`, so the token would be readable on the network.
    #[error("invalid address of Quay: http:// would send the token unencrypted")]
    PlainHttp,
    /// The HTTP client could not be built.
    #[error("failed to create an HTTPS client: {0}")]
    Client(String),
}

impl OptionsError {
    pub(in crate::quay) fn invalid_certificate(error: impl fmt::Display) -> Self {
        Self::Ca(format!("invalid certificate ({error})"))
    }

    pub(in crate::quay) fn no_certificate() -> Self {
        Self::Ca("no PEM certificate found".into())
    }
}

/// A call to Quay that failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("failed to {call}: {reason}")]
pub struct QuayError {
    /// The action that failed: `create robot account acme+builder`.
    pub call: String,
    /// Quay's message, or the reason why there was no response; one line.
    pub reason: String,
    /// The status of the response, if there was one.
    pub status: Option<u16>,
    /// The classification.
    pub kind: ErrorKind,
}

/// The kinds of [`QuayError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No response; the stage at which the connection failed.
    Unreachable(ConnectionStage),
    /// The certificate is not trusted.
    Untrusted,
    /// The token was rejected.
    Unauthorized,
    /// The token has no permission for the call. Also Quay's answer for many objects that do not exist (`wire/206` to
    /// `wire/208`).
    Forbidden,
    /// The object does not exist.
    NotFound,
    /// The object or its name already exists.
    Exists,
    /// Quay is in read-only mode (`wire/647`).
    ReadOnly,
    /// Robot accounts are disabled (`wire/661`).
    RobotsDisallowed,
    /// Too many requests, even after a pause.
    RateLimited,
    /// Wrong user name or password.
    WrongPassword,
    /// Too many wrong passwords: until then Quay rejects the correct one too (`wire/097` to `wire/099`).
    Throttled {
        /// Time to wait.
        seconds: u64,
    },
    /// Quay accepts no passwords itself: FEATURE_DIRECT_LOGIN is off (`wire/651`).
    DirectLoginOff,
    /// Signing in requires https, for the session cookie is `Secure` (`wire/094`, `wire/095`).
    PlainHttp,
    /// This release of Quay does not have the function.
    Unsupported,
    /// A 5xx response, or a connection that was lost before a response. It is unknown whether a write was applied.
    Server,
    /// A response that is not Quay's, or has an unknown error.
    Unexpected,
    /// Not sent, for an earlier failure applies to every call.
    Skipped,
}

impl ErrorKind {
    /// The failure applies to every call, not only to this one. It is reported as a [`QuayProblem`].
    pub fn is_general(self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Untrusted | Self::Unauthorized | Self::Skipped)
    }

    /// A write might have been applied.
    pub(in crate::quay) fn is_uncertain(self) -> bool {
        matches!(self, Self::Unreachable(ConnectionStage::Http) | Self::Server)
    }
}

impl QuayError {
    pub(in crate::quay) fn new(call: &str, kind: ErrorKind, reason: impl Into<String>) -> Self {
        Self { call: call.into(), reason: reason.into(), status: None, kind }
    }

    /// The error of a call that was not sent.
    pub(in crate::quay) fn skipped(call: &str, problem: &QuayProblem) -> Self {
        let reason = match problem {
            QuayProblem::Unreachable { step, reason } => {
                format!("skipped: Quay is unavailable ({step}: {reason})")
            }
            QuayProblem::Untrusted { reason } => format!("skipped: {reason}"),
            _ => "skipped: Quay rejected the token".into(),
        };
        Self::new(call, ErrorKind::Skipped, reason)
    }

    /// The error of a response. Its body has one of three shapes: `{"error_message", "detail", …}`, `{"message"}`, or the
    /// text or HTML of a proxy.
    pub(in crate::quay) fn from_response(call: &str, status: StatusCode, body: &str) -> Self {
        let message = parse_message(body);
        let kind = classify(status, body, message.as_deref().unwrap_or_default());
        let reason = match (kind, message) {
            (ErrorKind::Unauthorized, _) => {
                format!("Quay rejected the token ({})", status.as_u16())
            }
            (ErrorKind::Unexpected, None) => format!("{NOT_QUAY} ({status})"),
            (_, Some(message)) => format!("Quay answered {}: {message}", status.as_u16()),
            (_, None) => format!("Quay answered {status}"),
        };
        Self { call: call.into(), reason, status: Some(status.as_u16()), kind }
    }

    /// The error of a successful response whose body is not Quay's.
    pub(in crate::quay) fn not_quay(call: &str, status: StatusCode) -> Self {
        Self { status: Some(status.as_u16()), ..Self::new(call, ErrorKind::Unexpected, NOT_QUAY) }
    }
}

/// For the page of a proxy, a page to sign in, or another program at the address.
const NOT_QUAY: &str = "the response is not from Quay's API";

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

/// Quay uses few statuses for many errors, so the message decides (`wire/105`, `wire/151`, `wire/205`).
fn classify(status: StatusCode, body: &str, message: &str) -> ErrorKind {
    let has = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    match status.as_u16() {
        401 => ErrorKind::Unauthorized,
        // Quay treats a write with an invalid token as one of a browser session (`wire/105`, `wire/106`).
        403 if has(&["CSRF"]) => ErrorKind::Unauthorized,
        403 => ErrorKind::Forbidden,
        // Quay's own 404 has a message; any other is from a proxy, or from another API (`wire/680`).
        404 if !message.is_empty() => ErrorKind::NotFound,
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

/// The body of a 503 of read-only mode (`wire/647`).
pub(in crate::quay) fn is_readonly(body: &str) -> bool {
    serde_json::from_str::<Value>(body).is_ok_and(|body| body["is_readonly"] == true)
}

/// Quay's message in a JSON body; its content type can be HTML nevertheless (`wire/105`). The registry has a list of errors
/// (`wire/462`).
pub(in crate::quay) fn parse_message(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    let message =
        ["error_message", "detail", "message", "error"].iter().find_map(|key| body[key].as_str());
    single_line(message.or_else(|| body["errors"][0]["message"].as_str())?)
}

/// The first line of a text without control characters, cut to [`MAX_QUOTE_CHARS`].
pub(in crate::quay) fn single_line(text: &str) -> Option<String> {
    let line = text.trim().lines().next()?;
    let clean = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    Some(clean.take(MAX_QUOTE_CHARS).collect::<String>().trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn error(status: u16, body: &str) -> QuayError {
        QuayError::from_response(
            "create robot account acme+builder",
            StatusCode::from_u16(status).unwrap(),
            body,
        )
    }

    const HTML: &str = "<html>\r\n<head><title>404 Not Found</title></head></html>";

    #[test]
    fn classifies_quays_responses() {
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
            assert_eq!(error(status, body).kind, kind, "{status} {body}");
        }
    }

    #[test]
    fn quotes_the_message_on_one_line_but_no_html() {
        assert_eq!(
            error(403, r#"{"detail":"Unauthorized"}"#).to_string(),
            "failed to create robot account acme+builder: Quay answered 403: Unauthorized"
        );
        assert_eq!(
            error(502, "<html>\n<title>Quay Loading</title></html>").to_string(),
            "failed to create robot account acme+builder: Quay answered 502 Bad Gateway"
        );
        assert_eq!(error(404, HTML).reason, "the response is not from Quay's API (404 Not Found)");
        assert_eq!(
            error(400, r#"{"message":"duplicate key\nDETAIL: Key (email)\u001b[31m"}"#).reason,
            "Quay answered 400: duplicate key"
        );
        assert_eq!(single_line("a\u{1b}[31mb\tc"), Some("a [31mb c".into()));
        assert_eq!(single_line(&"x".repeat(1000)).unwrap().len(), MAX_QUOTE_CHARS);
        assert_eq!(single_line("  \n"), None);
    }

    #[test]
    fn general_failures_become_skipped_reads() {
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
