//! A session as of a browser: the cookies that Quay sets, and the CSRF token that every write requires.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::{COOKIE, HeaderName, HeaderValue, SET_COOKIE};
use secrecy::{ExposeSecret as _, SecretString};

use crate::quay::Quay;
use crate::quay::api::api_types;
use crate::quay::http::error::{ErrorKind, QuayError};
use crate::quay::http::request::{Auth, Call, QuayResponse};

const CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
const NEXT_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-next-csrf-token");

/// All of it is secret: after signing in it is as powerful as the password.
#[derive(Debug, Default)]
pub(in crate::quay) struct WebSession {
    cookies: BTreeMap<String, SecretString>,
    csrf: SecretString,
}

impl WebSession {
    /// The value of the CSRF token's form field (`wire/048`).
    pub(in crate::quay) fn csrf(&self) -> String {
        self.csrf.expose_secret().to_owned()
    }

    pub(in crate::quay) fn attach_csrf(&self, call: Call) -> Call {
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

    /// Stores the cookies and the CSRF token of a response. A new CSRF token invalidates the previous one (`wire/016`).
    pub(in crate::quay) fn update(&mut self, answer: &QuayResponse) {
        for cookie in
            answer.headers.get_all(SET_COOKIE).iter().filter_map(|header| header.to_str().ok())
        {
            // One host and a short session: the attributes after the first `;` do not matter.
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
    /// Starts an anonymous session (`wire/010`).
    pub(in crate::quay) async fn start_web_session(&self) -> Result<WebSession, QuayError> {
        let call = Call::new(
            Method::GET,
            self.endpoint(&["csrf_token"], &[]),
            Auth::Anonymous,
            "start a session".into(),
        );
        self.require_https(call.action())?;
        let answer = self.send(&call).await?;
        let body: api_types::CsrfToken = serde_json::from_str(&answer.body)
            .map_err(|_| QuayError::not_quay(call.action(), answer.status))?;
        let mut web_session = WebSession { csrf: body.csrf_token, ..WebSession::default() };
        web_session.update(&answer);
        Ok(web_session)
    }

    /// Fails for http: the cookie is `Secure` with either scheme (`wire/094`, `wire/095`).
    pub(in crate::quay) fn require_https(&self, call: &str) -> Result<(), QuayError> {
        if self.0.url.is_plain_http() {
            let reason = "signing in requires https://; use a token instead";
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
    fn keeps_the_latest_cookies_and_csrf_token() {
        let mut web_session = WebSession::default();
        web_session.update(&answer(&[
            (SET_COOKIE, "_csrf_token=one; Secure; HttpOnly; Path=/; SameSite=Lax"),
            (SET_COOKIE, "sticky=a=b; Path=/"),
            (NEXT_CSRF_TOKEN, "first"),
        ]));
        web_session.update(&answer(&[
            (SET_COOKIE, "_csrf_token=two"),
            (SET_COOKIE, "nonsense"),
            (NEXT_CSRF_TOKEN, "second"),
        ]));
        web_session.update(&answer(&[]));
        let cookies: Vec<_> = web_session
            .cookies
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose_secret()))
            .collect();
        assert_eq!(cookies, [("_csrf_token", "two"), ("sticky", "a=b")]);
        assert_eq!(web_session.csrf(), "second");
        let shown = format!("{web_session:?}");
        assert!(!["two", "a=b", "second"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }

    #[test]
    fn marks_session_headers_as_sensitive() {
        assert!(secret_header("a=b").unwrap().is_sensitive());
        assert_eq!(secret_header(""), None);
        assert_eq!(secret_header("a\r\nX-Evil: 1"), None);
    }
}
