//! One API request as a handler sees it.

use axum::body::Bytes;
use axum::extract::Query;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;

use super::auth::Caller;
use super::errors::Rejection;
use super::schema::Schema;

/// Who asks for what, with which words.
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) headers: HeaderMap,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    body: Bytes,
}

impl Call {
    pub(crate) fn new(caller: Caller, uri: &Uri, headers: HeaderMap, body: Bytes) -> Call {
        let form = match content_type(&headers) {
            Some("application/x-www-form-urlencoded") => form_pairs(&body),
            _ => Vec::new(),
        };
        Call { caller, query: pairs(uri), form, headers, body }
    }

    /// The first value of a query parameter.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a field of the form in the body.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as it is.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The content type without its parameters.
    pub(crate) fn content_type(&self) -> Option<&str> {
        content_type(&self.headers)
    }

    /// All values of a query parameter.
    pub(crate) fn params<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter that is a switch; Quay takes everything but a few words for true (`truthy_bool`).
    pub(crate) fn switch(&self, name: &str, default: bool) -> bool {
        self.param(name).map_or(default, |value| {
            !matches!(value, "" | "false" | "False" | "FALSE" | "0" | "null")
        })
    }

    /// A query parameter that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.param(name)?.parse().ok()
    }

    /// The body, which must be JSON as `schema` wants it (wire/158-160).
    pub(crate) fn json(&self, schema: &Schema) -> Result<Value, Rejection> {
        if !self.claims_json() {
            return Err(Rejection::Message(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Did not attempt to load JSON data because the request Content-Type was not 'application/json'.",
            ));
        }
        let body: Value = serde_json::from_slice(&self.body).map_err(|_| {
            Rejection::Message(
                StatusCode::BAD_REQUEST,
                "The browser (or proxy) sent a request that this server could not understand.",
            )
        })?;
        if body.is_null() {
            return Err(Rejection::Invalid("Missing JSON body".to_owned()));
        }
        schema.check(&body).map_err(Rejection::Invalid)?;
        Ok(body)
    }

    /// The body of a page that takes JSON: no schema, and what cannot be read gets Flask's own page (wire/000e).
    pub(crate) fn web_json(&self) -> Result<Value, Rejection> {
        serde_json::from_slice(&self.body).map_err(|_| Rejection::Page(StatusCode::BAD_REQUEST))
    }

    /// The body of an endpoint that does without: what is not JSON counts as absent (wire/202, wire/224).
    pub(crate) fn optional_json(&self, schema: &Schema) -> Result<Value, Rejection> {
        let body = match serde_json::from_slice::<Value>(&self.body) {
            Ok(body) if self.claims_json() => body,
            _ => Value::Null,
        };
        if !body.is_null() {
            schema.check(&body).map_err(Rejection::Invalid)?;
        }
        Ok(body)
    }

    fn claims_json(&self) -> bool {
        self.content_type() == Some("application/json")
    }
}

/// The content type without its parameters.
fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next().map(str::trim)
}

fn pairs(uri: &Uri) -> Vec<(String, String)> {
    Query::try_from_uri(uri).map_or_else(|_| Vec::new(), |Query(pairs)| pairs)
}

/// A form is written as a query is.
fn form_pairs(body: &Bytes) -> Vec<(String, String)> {
    let query = std::str::from_utf8(body).unwrap_or_default();
    format!("/?{query}").parse().map_or_else(|_| Vec::new(), |uri| pairs(&uri))
}
