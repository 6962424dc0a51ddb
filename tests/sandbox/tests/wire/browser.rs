//! The browser of the recordings: it keeps the session cookie and the CSRF token, as an answer gives them.

use axum::http::{Request, request};
use serde_json::{Value, json};

use super::env::{Answer, TestEnv};
use super::samples::Sample;

/// The state of a browser.
#[derive(Default, Clone)]
pub(crate) struct Browser {
    cookie: Option<String>,
    csrf_token: String,
    /// The CSRF token before the current one.
    previous: String,
}

impl Browser {
    /// Applies the changes of a response.
    pub(crate) fn note(&mut self, answer: &Answer) {
        if let Some(cookie) = answer.headers.get("set-cookie") {
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        let body = answer.json();
        if let Some(token) = answer
            .headers
            .get("x-next-csrf-token")
            .map(String::as_str)
            .or(body["csrf_token"].as_str())
        {
            self.previous = std::mem::replace(&mut self.csrf_token, token.to_owned());
        }
    }

    /// The cookie and the CSRF token of the session.
    pub(crate) fn sign(&self, request: request::Builder) -> request::Builder {
        self.with_cookie(request).header("x-csrf-token", &self.csrf_token)
    }

    fn with_cookie(&self, request: request::Builder) -> request::Builder {
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    /// The headers that a sample was recorded with: wire/016 sends the token from before the sign-in.
    pub(crate) fn headers(
        &self,
        sample: &Sample,
        mut request: request::Builder,
    ) -> request::Builder {
        let recorded = &sample.request["headers"];
        if recorded["Cookie"].is_string() {
            request = self.with_cookie(request);
        }
        match recorded["X-CSRF-Token"].is_string() {
            true if sample.number() == "016" => request.header("x-csrf-token", &self.previous),
            true => request.header("x-csrf-token", &self.csrf_token),
            false => request,
        }
    }

    /// Fills in the CSRF token of a recorded form.
    pub(crate) fn fill(&self, body: &mut Value) {
        if body["_csrf_token"].is_string() {
            body["_csrf_token"] = json!(self.csrf_token);
        }
    }
}

impl TestEnv {
    /// Fetches a CSRF token, and with it an anonymous session.
    pub(crate) fn open_browser(&mut self) {
        self.browser = Browser::default();
        let answer = self.send(Request::get("/csrf_token").body(String::new()).unwrap());
        self.browser.note(&answer);
    }

    /// Sends a request from the browser and notes the answer.
    pub(crate) fn browse(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let request = self
            .browser
            .sign(Request::builder().method(method).uri(path))
            .header("content-type", "application/json");
        let answer = self.send(request.body(body.to_string()).unwrap());
        self.browser.note(&answer);
        answer
    }

    /// Sends a form from the browser, with the CSRF token in it.
    pub(crate) fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = [("_csrf_token", self.browser.csrf_token.as_str())];
        let body = encoded(fields.iter().chain(&token).copied());
        let request = self
            .browser
            .with_cookie(Request::post(path))
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(body).unwrap())
    }

    /// Tries to sign in from a new browser.
    pub(crate) fn try_sign_in(&mut self, user: &str, password: &str) -> Answer {
        self.open_browser();
        self.browse("POST", "/api/v1/signin", &json!({"username": user, "password": password}))
    }

    /// Signs in from a new browser.
    pub(crate) fn sign_in(&mut self, user: &str) {
        let answer = self.try_sign_in(user, &self.quay.password(user).unwrap());
        assert!(answer.status.is_success(), "{}", answer.body);
    }
}

/// Fields as a form is sent.
pub(crate) fn encoded<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    reqwest::Url::parse_with_params("http://localhost", fields)
        .unwrap()
        .query()
        .unwrap_or_default()
        .to_owned()
}
