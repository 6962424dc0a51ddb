//! Answers that went well.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde_json::Value;

/// The content type Flask gives to pages and plain strings.
pub(crate) const HTML: &str = "text/html; charset=utf-8";
/// The content type of nearly every API answer, rejections and empty ones included.
pub(crate) const JSON: &str = "application/json";

pub(crate) fn ok(value: Value) -> Response {
    json(StatusCode::OK, &value)
}

pub(crate) fn created(value: Value) -> Response {
    json(StatusCode::CREATED, &value)
}

/// 204: an empty body that still calls itself JSON (wire/193).
pub(crate) fn no_content() -> Response {
    text(StatusCode::NO_CONTENT, JSON, String::new())
}

pub(crate) fn json(status: StatusCode, value: &Value) -> Response {
    text(status, JSON, value.to_string())
}

pub(crate) fn text(status: StatusCode, content_type: &str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    with_header(response, CONTENT_TYPE, content_type)
}

/// The response with one more header; a value that cannot be one is left out.
pub(crate) fn with_header(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// A point in time as the API writes it: RFC 2822 with Python's `-0000` (wire/201).
pub(crate) fn date(when: Timestamp) -> String {
    when.strftime("%a, %d %b %Y %H:%M:%S -0000").to_string()
}
