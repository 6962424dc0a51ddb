//! A visit as a browser makes it: the cookies that Quay sets, and the CSRF token that has to come with every change.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::{COOKIE, HeaderName, HeaderValue, SET_COOKIE};
use secrecy::{ExposeSecret as _, SecretString};

use super::Quay;
use super::api_types;
use super::error::{ErrorKind, QuayError};
use super::request::{Call, Credentials, QuayResponse};

const CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
const NEXT_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-next-csrf-token");

/// The state of a visit. All of it is secret: it is as good as the password once somebody has signed in.
#[derive(Debug, Default)]
pub(super) struct WebSession {
    cookies: BTreeMap<String, SecretString>,
    csrf: SecretString,
}

impl WebSession {
    /// The value of the form field for the CSRF token (sample 048).
    pub(super) fn csrf(&self) -> String {
        self.csrf.expose_secret().to_owned()
    }

    /// Makes a call part of the visit.
    pub(super) fn attach_csrf(&self, call: Call) -> Call {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={}", value.expose_secret()))
            .collect();
        let headers = [
            (COOKIE, secret_header(&cookies.join("; "))),
            (CSRF_TOKEN, secret_header(self.csrf.expose_secret())),
        ];
        headers.into_iter().fold(call, |call, (name, value)| match value {
            Some(value) => call.header(name, value),
            None => call,
        })
    }

    /// Takes over the cookies and the CSRF token of an answer. A new CSRF token makes the old one void (sample 016).
    pub(super) fn absorb(&mut self, answer: &QuayResponse) {
        for cookie in
            answer.headers.get_all(SET_COOKIE).iter().filter_map(|header| header.to_str().ok())
        {
            // There is one host and one short visit: what follows the first `;` does not matter.
            let pair = cookie.split(';').next().and_then(|pair| pair.split_once('='));
            if let Some((name, value)) = pair {
                self.cookies.insert(name.trim().to_owned(), SecretString::from(value.trim()));
            }
        }
        if let Some(next) =
            answer.headers.get(NEXT_CSRF_TOKEN).and_then(|header| header.to_str().ok())
        {
            self.csrf = SecretString::from(next);
        }
    }
}

impl Quay {
    /// Begins a visit as nobody (sample 010).
    pub(super) async fn visit(&self) -> Result<WebSession, QuayError> {
        let call = Call::new(
            Method::GET,
            self.address(&["csrf_token"], &[]),
            Credentials::Nobody,
            "begin to sign in".into(),
        );
        self.protects_cookies(call.what())?;
        let answer = self.send(&call).await?;
        let body: api_types::CsrfToken = serde_json::from_str(&answer.body)
            .map_err(|_| QuayError::not_quay(call.what(), answer.status))?;
        let mut visit = WebSession { csrf: body.csrf_token, ..WebSession::default() };
        visit.absorb(&answer);
        Ok(visit)
    }

    /// Refuses what cannot work: the cookie is marked for https only, whatever the scheme (samples 094, 095).
    pub(super) fn protects_cookies(&self, call: &str) -> Result<(), QuayError> {
        if self.0.url.is_plain_http() {
            let reason = "a password is sent to an address with https:// only, and Quay's cookie works with no other; give a \
                          token instead";
            return Err(QuayError::new(call, ErrorKind::PlainHttp, reason));
        }
        Ok(())
    }
}

fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(value).ok().filter(|_| !value.is_empty())?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    use super::*;

    fn answer(headers: &[(HeaderName, &'static str)]) -> QuayResponse {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        QuayResponse { status: StatusCode::OK, headers: map, body: String::new() }
    }

    #[test]
    fn the_last_cookie_of_a_name_and_the_last_csrf_token_are_the_valid_ones() {
        let mut visit = WebSession::default();
        visit.absorb(&answer(&[
            (SET_COOKIE, "_csrf_token=one; Secure; HttpOnly; Path=/; SameSite=Lax"),
            (SET_COOKIE, "sticky=a=b; Path=/"),
            (NEXT_CSRF_TOKEN, "first"),
        ]));
        visit.absorb(&answer(&[
            (SET_COOKIE, "_csrf_token=two"),
            (SET_COOKIE, "nonsense"),
            (NEXT_CSRF_TOKEN, "second"),
        ]));
        visit.absorb(&answer(&[]));
        let cookies: Vec<_> = visit
            .cookies
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose_secret()))
            .collect();
        assert_eq!(cookies, [("_csrf_token", "two"), ("sticky", "a=b")]);
        assert_eq!(visit.csrf(), "second");
        let shown = format!("{visit:?}");
        assert!(!["two", "a=b", "second"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }

    #[test]
    fn headers_of_a_visit_are_marked_as_secret() {
        assert!(secret_header("a=b").unwrap().is_sensitive());
        assert_eq!(secret_header(""), None);
        assert_eq!(secret_header("a\r\nX-Evil: 1"), None);
    }
}
