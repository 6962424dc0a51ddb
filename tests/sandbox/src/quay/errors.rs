//! Rejections. Quay has three shapes for them: a problem object, `{"message"}` and HTML; the registry has a fourth.

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, StatusCode};
use axum::response::Response;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::auth::Caller;
use super::names::RepoPath;
use super::responses::{self, HTML};

/// The result of a handler.
pub(crate) type Answer = Result<Response, Rejection>;

const READ_ONLY: &str = "System is currently read-only. Pulls will succeed but all write operations are currently suspended.";

/// Why a request is rejected, named after what Quay raises.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// `InvalidRequest`: 400, a problem object.
    Invalid(String),
    /// `NotFound`: 404, a problem object.
    NotFound,
    /// `Unauthorized`: 401 for an anonymous caller, 403 for all others.
    Unauthorized,
    /// `InvalidToken` of `GET /api/v1/user/`: 401 with `session_required` (wire/005, wire/101-103).
    NoUser,
    /// A `DataModelException` no endpoint catches: 400 `{"message"}`.
    Model(String),
    /// Flask-RESTful's own words: `{"message"}`.
    Message(StatusCode, &'static str),
    /// `abort` of `util/http.py`: `{"error"}`, which calls itself HTML (wire/105, wire/640).
    Abort(StatusCode, &'static str),
    /// No or not the right CSRF token for the session (wire/011, wire/016, wire/105).
    Csrf,
    /// `TooManyLoginAttemptsException`: 429 and how long to wait (wire/097-099).
    Throttled(SignedDuration),
    /// `abort` of Flask: an HTML page (wire/032, wire/601, wire/651).
    Page(StatusCode),
    /// An unhandled exception: 500 as HTML (wire/376, wire/527).
    Crash,
    /// A write while the registry is read-only: 503 (wire/647).
    ReadOnly,
    /// A rejection of `/v2/`.
    Registry(RegistryRejection),
}

/// `V2RegistryException` and its effect.
#[derive(Debug)]
pub(crate) struct RegistryRejection {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The repository and the actions a token is needed for; only said with a 401 (wire/486, wire/487).
    pub(crate) wanted: Option<(RepoPath, &'static str)>,
}

impl Rejection {
    /// The response to `caller` by the Quay at `url`.
    pub(crate) fn into_response(self, url: &str, caller: &Caller) -> Response {
        match self {
            Rejection::Invalid(message) => {
                problem(url, StatusCode::BAD_REQUEST, "invalid_request", &message)
            }
            Rejection::NotFound => problem(url, StatusCode::NOT_FOUND, "not_found", "Not Found"),
            Rejection::Unauthorized if caller.is_anonymous() => {
                problem(url, StatusCode::UNAUTHORIZED, "invalid_token", "Requires authentication")
            }
            Rejection::Unauthorized => {
                problem(url, StatusCode::FORBIDDEN, "insufficient_scope", "Unauthorized")
            }
            Rejection::NoUser => no_user(url),
            Rejection::Model(message) => {
                responses::json(StatusCode::BAD_REQUEST, &json!({"message": message}))
            }
            Rejection::Message(status, message) => {
                responses::json(status, &json!({"message": message}))
            }
            Rejection::Abort(status, message) => abort(status, message),
            Rejection::Csrf => csrf(caller),
            Rejection::Throttled(wait) => throttled(wait),
            Rejection::Page(status) => page(status),
            Rejection::Crash => crash(),
            Rejection::ReadOnly => responses::json(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({"message": READ_ONLY, "is_readonly": true}),
            ),
            Rejection::Registry(rejection) => rejection.into_response(url),
        }
    }
}

impl From<RegistryRejection> for Rejection {
    fn from(rejection: RegistryRejection) -> Rejection {
        Rejection::Registry(rejection)
    }
}

impl RegistryRejection {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
    ) -> RegistryRejection {
        RegistryRejection { status, code, message: message.into(), wanted: None }
    }

    /// The token does not allow `actions` on the repository.
    pub(crate) fn unauthorized(path: &RepoPath, actions: &'static str) -> RegistryRejection {
        RegistryRejection {
            wanted: Some((path.clone(), actions)),
            ..RegistryRejection::new(
                StatusCode::UNAUTHORIZED,
                "UNAUTHORIZED",
                "access to the requested resource is not authorized",
            )
        }
    }

    /// A write while the registry is read-only (`ReadOnlyMode` of `endpoints/v2/errors.py`).
    pub(crate) fn read_only() -> RegistryRejection {
        RegistryRejection::new(StatusCode::METHOD_NOT_ALLOWED, "DENIED", READ_ONLY)
    }

    fn into_response(self, url: &str) -> Response {
        let mut error = json!({"code": self.code, "detail": {}, "message": self.message});
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            error["is_readonly"] = Value::Bool(true);
        }
        let response = responses::json(self.status, &json!({"errors": [error]}));
        if self.status == StatusCode::UNAUTHORIZED {
            challenge(response, url, self.wanted.as_ref())
        } else {
            response
        }
    }
}

/// Adds the registry's invitation to fetch a token (`get_auth_headers` of `auth/registry_jwt_auth.py`).
pub(crate) fn challenge(
    response: Response,
    url: &str,
    wanted: Option<&(RepoPath, &str)>,
) -> Response {
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    let mut value = format!(r#"Bearer realm="{url}/v2/auth",service="{host}""#);
    if let Some((path, actions)) = wanted {
        value.push_str(&format!(r#",scope="repository:{path}:{actions}""#));
    }
    let response = responses::with_header(response, WWW_AUTHENTICATE, &value);
    let version = HeaderName::from_static("docker-distribution-api-version");
    responses::with_header(response, version, "registry/2.0")
}

/// `{"error"}` as `util/http.py` sends it, with the blank Python puts after a colon.
pub(crate) fn abort(status: StatusCode, message: &str) -> Response {
    responses::text(status, HTML, format!(r#"{{"error": {}}}"#, json!(message)))
}

/// Says who the session belongs to, unlike other rejections of this shape (wire/016, wire/040, wire/056).
fn csrf(caller: &Caller) -> Response {
    let message = "CSRF token was invalid or missing.";
    let authorized = caller.name().map(|name| format!(" (authorized: user {name})"));
    abort(StatusCode::FORBIDDEN, &format!("{message}{}", authorized.unwrap_or_default()))
}

/// Whole seconds, so at first 0 (wire/097).
fn throttled(wait: SignedDuration) -> Response {
    let text = "Too many login attempts. \nPlease reset your Quay password and try again.";
    let response = responses::text(StatusCode::TOO_MANY_REQUESTS, HTML, text.to_owned());
    responses::with_header(response, RETRY_AFTER, &wait.as_secs().to_string())
}

fn problem(url: &str, status: StatusCode, kind: &str, detail: &str) -> Response {
    responses::json(status, &problem_body(url, status, kind, detail))
}

fn no_user(url: &str) -> Response {
    let status = StatusCode::UNAUTHORIZED;
    let mut body = problem_body(url, status, "invalid_token", "Requires authentication");
    body["session_required"] = Value::Bool(false);
    responses::json(status, &body)
}

fn problem_body(url: &str, status: StatusCode, kind: &str, detail: &str) -> Value {
    json!({
        "detail": detail,
        "error_message": detail,
        "error_type": kind,
        "title": kind,
        "type": format!("{url}/api/v1/error/{kind}"),
        "status": status.as_u16(),
    })
}

/// The page of an unhandled exception.
pub(crate) fn crash() -> Response {
    let page = "<html>\n  <head>\n    <title>Internal Server Error</title>\n  </head>\n  <body>\n    \
                <h1><p>Internal Server Error</p></h1>\n    \n  </body>\n</html>\n";
    responses::text(StatusCode::INTERNAL_SERVER_ERROR, "text/html", page.to_owned())
}

/// gunicorn's page for a request line that is longer than it takes (`gunicorn/util.py`, `write_error`).
pub(crate) fn request_line_too_large(length: usize, limit: usize) -> Response {
    let page = format!(
        "<html>\n  <head>\n    <title>Bad Request</title>\n  </head>\n  <body>\n    <h1><p>Bad Request</p></h1>\n    \
         Request Line is too large ({length} &gt; {limit})\n  </body>\n</html>\n"
    );
    responses::text(StatusCode::BAD_REQUEST, "text/html", page)
}

/// The redirect to the same address with a slash, which Quay answers before it knows whether there is
/// anything (wire/113, wire/161, wire/607).
pub(crate) fn redirect_to_slash(url: &str, path: &str) -> Response {
    let target = format!("{url}{path}/");
    let page = format!(
        "<!doctype html>\n<html lang=en>\n<title>Redirecting...</title>\n<h1>Redirecting...</h1>\n<p>You should be \
         redirected automatically to the target URL: <a href=\"{target}\">{target}</a>. If not, click the link.\n"
    );
    let response = responses::text(StatusCode::PERMANENT_REDIRECT, HTML, page);
    responses::with_header(response, axum::http::header::LOCATION, &target)
}

/// The web page that stands for "not found" under `/api` (wire/608, wire/680-682).
pub(crate) fn page_not_found() -> Response {
    let page = "<!DOCTYPE html>\n<html ng-app=\"quay\" class=\"onprem\">\n  <head>\n    <base href=\"/\">\n  \
                <title ng-bind=\"title + ' · Quay'\">Quay</title>\n  </head>\n  <body></body>\n</html>\n";
    responses::text(StatusCode::NOT_FOUND, HTML, page.to_owned())
}

/// A method no route takes, on a path only the web pages know (wire/651).
pub(crate) fn page_takes_no_writes() -> Response {
    page(StatusCode::METHOD_NOT_ALLOWED)
}

/// Flask's page for a status (wire/000e, wire/032, wire/601, wire/651); the one for "not found" is Quay's own (wire/034).
fn page(status: StatusCode) -> Response {
    let text = match status {
        StatusCode::BAD_REQUEST => {
            "The browser (or proxy) sent a request that this server could not understand."
        }
        StatusCode::UNAUTHORIZED => {
            "The server could not verify that you are authorized to access the URL requested. You either supplied the \
             wrong credentials (e.g. a bad password), or your browser doesn&#39;t understand how to supply the \
             credentials required."
        }
        StatusCode::FORBIDDEN => {
            "You don&#39;t have the permission to access the requested resource. It is either read-protected or not \
             readable by the server."
        }
        StatusCode::METHOD_NOT_ALLOWED => "The method is not allowed for the requested URL.",
        _ => return page_not_found(),
    };
    let title = status.canonical_reason().unwrap_or_default();
    let page = format!(
        "<!doctype html>\n<html lang=en>\n<title>{} {title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n",
        status.as_u16()
    );
    responses::text(status, HTML, page)
}

/// A method an API endpoint does not have (wire/114).
pub(crate) fn method_not_allowed() -> Rejection {
    Rejection::Message(
        StatusCode::METHOD_NOT_ALLOWED,
        "The method is not allowed for the requested URL.",
    )
}
