//! Calls to Quay: requests, retries and responses.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::backoff;
use crate::domain::integration::{ConnectionStage, QuayProblem};
use crate::domain::snapshot::RegistryCredentials;
use crate::quay::http::circuit_breaker::CircuitBreaker;
use crate::quay::http::error::{ErrorKind, QuayError, is_readonly};
use crate::quay::http::transport_error::{TransportError, classify, proxy_note};
use crate::quay::{Quay, bearer_header};
use crate::request_metrics::{ObservedRequest, Side, quay_kind};

/// Delays before the second and the third attempt of a call.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];
/// Larger than any list of Quay: a page has at most 100 repositories or tags, and a robot account with its permissions takes
/// about 200 bytes.
const MAX_BODY_BYTES: usize = 32 << 20;

/// A call to Quay.
pub(in crate::quay) struct Call {
    /// For messages: `create robot account acme+builder`.
    action: String,
    method: Method,
    url: Url,
    auth: Auth,
    /// Headers in addition to those of every call.
    headers: HeaderMap,
    body: Option<Body>,
    retry_policy: RetryPolicy,
    /// A 401 does not prove that the token is invalid.
    ignores_unauthorized: bool,
}

enum Body {
    Json(Value),
    Form(Vec<(&'static str, String)>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RetryPolicy {
    /// The call is idempotent.
    Always,
    /// Only if it is certain that the request was not applied.
    IfNotApplied,
    /// Quay counts the attempts, as those to sign in.
    Never,
}

/// Authentication of a call.
pub(in crate::quay) enum Auth {
    /// The client's OAuth token.
    Token,
    /// User name and password or token.
    Basic(RegistryCredentials),
    /// The cheapest for Quay.
    Anonymous,
}

/// A response of any status.
pub(in crate::quay) struct QuayResponse {
    pub(in crate::quay) status: StatusCode,
    pub(in crate::quay) headers: HeaderMap,
    pub(in crate::quay) body: String,
}

impl Call {
    pub(in crate::quay) fn new(method: Method, url: Url, auth: Auth, action: String) -> Self {
        Self {
            action,
            method,
            url,
            auth,
            headers: HeaderMap::new(),
            body: None,
            retry_policy: RetryPolicy::Always,
            ignores_unauthorized: false,
        }
    }

    pub(in crate::quay) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    pub(in crate::quay) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(in crate::quay) fn body(mut self, body: Value) -> Self {
        self.body = Some(Body::Json(body));
        self
    }

    pub(in crate::quay) fn form(mut self, fields: Vec<(&'static str, String)>) -> Self {
        self.body = Some(Body::Form(fields));
        self
    }

    pub(in crate::quay) fn not_idempotent(mut self) -> Self {
        self.retry_policy = RetryPolicy::IfNotApplied;
        self
    }

    pub(in crate::quay) fn without_retry(mut self) -> Self {
        self.retry_policy = RetryPolicy::Never;
        self
    }

    pub(in crate::quay) fn ignore_unauthorized(mut self) -> Self {
        self.ignores_unauthorized = true;
        self
    }

    #[cfg(test)]
    pub(in crate::quay) fn url(&self) -> &Url {
        &self.url
    }

    pub(in crate::quay) fn action(&self) -> &str {
        &self.action
    }

    fn is_idempotent(&self) -> bool {
        self.retry_policy == RetryPolicy::Always
    }

    fn is_retryable(
        &self,
        outcome: &Result<QuayResponse, TransportError>,
        breaker: &CircuitBreaker,
    ) -> bool {
        match outcome {
            Ok(answer) => self.is_idempotent() && answer.is_gateway_error(),
            Err(TransportError::Interrupted(_)) => self.is_idempotent(),
            // Nothing was sent. A server that has answered before is probably restarting.
            Err(TransportError::Unreachable(..)) => breaker.has_succeeded(),
            Err(_) => false,
        }
    }

    fn is_retryable_after_pause(&self, answer: &QuayResponse) -> bool {
        match self.retry_policy {
            RetryPolicy::Always => true,
            // The rate limit is the proxy's, so the rejected request did not reach Quay (`wire/586`).
            RetryPolicy::IfNotApplied => answer.status == StatusCode::TOO_MANY_REQUESTS,
            RetryPolicy::Never => false,
        }
    }
}

impl QuayResponse {
    /// A response of a proxy that got none from Quay (`wire/690`). Quay itself answers 503 in read-only mode.
    fn is_gateway_error(&self) -> bool {
        matches!(self.status.as_u16(), 502..=504) && !is_readonly(&self.body)
    }

    /// `Some` if it asks for a pause before the next request, with the length if it has one.
    fn rate_limit_pause(&self) -> Option<Option<Duration>> {
        let pause = self.retry_after().map(Duration::from_secs);
        let is_limited = self.status == StatusCode::TOO_MANY_REQUESTS
            || (self.is_gateway_error() && pause.is_some());
        is_limited.then_some(pause)
    }

    /// Seconds until the time in `Retry-After`, which is a number or a date (RFC 9110, 10.2.3).
    pub(in crate::quay) fn retry_after(&self) -> Option<u64> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        value.parse().ok().or_else(|| {
            let date = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
            Some(u64::try_from(date.duration_since(Timestamp::now()).as_secs()).unwrap_or_default())
        })
    }
}

impl Quay {
    /// A call to the API with the client's token. An empty last segment makes the trailing slash that some paths need
    /// (`wire/161`).
    pub(in crate::quay) fn api(&self, method: Method, path: &[&str], action: String) -> Call {
        Call::new(method, self.endpoint(&["api", "v1"], path), Auth::Token, action)
    }

    pub(in crate::quay) fn endpoint(&self, root: &[&str], path: &[&str]) -> Url {
        let mut url = self.0.url.as_url().clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(root).extend(path);
        }
        url
    }

    /// Makes a call with a JSON response.
    pub(in crate::quay) async fn fetch<T: DeserializeOwned>(
        &self,
        call: &Call,
    ) -> Result<T, QuayError> {
        let answer = self.send(call).await?;
        serde_json::from_str(&answer.body)
            .map_err(|_| QuayError::not_quay(&call.action, answer.status))
    }

    /// Makes a call and discards the response. The body must be JSON nevertheless: the HTML page of a proxy with status 200
    /// is not a success.
    pub(in crate::quay) async fn perform(&self, call: &Call) -> Result<(), QuayError> {
        let answer = self.send(call).await?;
        let is_from_quay = answer.status == StatusCode::NO_CONTENT
            || serde_json::from_str::<IgnoredAny>(&answer.body).is_ok();
        if is_from_quay { Ok(()) } else { Err(QuayError::not_quay(&call.action, answer.status)) }
    }

    /// Makes a call to the API and records the problem that a rejection shows.
    pub(in crate::quay) async fn send(&self, call: &Call) -> Result<QuayResponse, QuayError> {
        let answer = self.exchange(call, &self.0.api).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let error = QuayError::from_response(&call.action, answer.status, &answer.body);
        match error.kind {
            ErrorKind::Unauthorized
                if matches!(call.auth, Auth::Token) && !call.ignores_unauthorized =>
            {
                self.record_rejection(&error);
            }
            ErrorKind::ReadOnly => self.record_problem(QuayProblem::ReadOnly),
            ErrorKind::RobotsDisallowed => self.record_problem(QuayProblem::RobotsDisallowed),
            _ => {}
        }
        Err(error)
    }

    /// Opens the circuit breaker of the API if the token was rejected.
    pub(in crate::quay) fn record_rejection(&self, error: &QuayError) {
        if error.kind == ErrorKind::Unauthorized {
            self.0.api.open(QuayProblem::TokenRejected { reason: error.reason.clone() });
        }
    }

    /// Makes a call with retries and returns the response of any status.
    ///
    /// The permit of the throttle is kept during pauses. Pauses that Quay asks for do not count against the timeout.
    pub(in crate::quay) async fn exchange(
        &self,
        call: &Call,
        breaker: &CircuitBreaker,
    ) -> Result<QuayResponse, QuayError> {
        let authorization = self.authorization(call)?;
        let throttle = &self.0.throttle;
        let _permit = throttle.acquire().await;
        let (mut remaining, mut delays) = (self.0.timeout, RETRY_DELAYS.into_iter());
        let (outcome, started) = loop {
            throttle.wait().await;
            // Other calls might have opened it during the wait.
            if let Some(problem) = breaker.problem() {
                return Err(QuayError::skipped(&call.action, problem));
            }
            let started = Instant::now();
            let outcome = self.attempt(call, authorization.clone(), started + remaining).await;
            let duration = started.elapsed();
            remaining = remaining.saturating_sub(duration);
            match &outcome {
                Ok(answer) => match answer.rate_limit_pause() {
                    Some(pause)
                        if call.is_retryable_after_pause(answer)
                            && throttle.record_rate_limit(started, pause) =>
                    {
                        continue;
                    }
                    Some(_) => {}
                    None => throttle.record_response(started, duration, self.0.timeout),
                },
                Err(TransportError::Timeout(_)) => throttle.record_timeout(started),
                Err(_) => {}
            }
            let is_retryable = call.is_retryable(&outcome, breaker);
            let Some(delay) = delays.next().filter(|_| is_retryable) else {
                break (outcome, started);
            };
            let delay = delay + backoff::jitter(delay / 2);
            if backoff::shortened(delay) >= remaining {
                break (outcome, started);
            }
            remaining -= backoff::shortened(delay);
            backoff::sleep(delay).await;
        };
        match outcome {
            Ok(answer) if answer.is_gateway_error() => {
                let reason = format!("a proxy returned {}", answer.status);
                if call.is_idempotent() && breaker.record_failure(&reason, started) {
                    return Err(QuayError::new(
                        &call.action,
                        ErrorKind::Unreachable(ConnectionStage::Http),
                        reason,
                    ));
                }
                Ok(answer)
            }
            Ok(answer) => {
                breaker.record_success();
                Ok(answer)
            }
            Err(TransportError::Interrupted(reason)) => {
                // A call without retries does not count: with HTTP/2 all calls in flight fail together.
                let is_open = call.is_idempotent() && breaker.record_failure(&reason, started);
                Err(QuayError::new(&call.action, no_response(is_open), reason))
            }
            Err(TransportError::Timeout(reason)) => {
                let is_open = breaker.record_failure(&reason, started);
                Err(QuayError::new(&call.action, no_response(is_open), reason))
            }
            Err(TransportError::Untrusted(reason)) => {
                breaker.open(QuayProblem::Untrusted { reason: reason.clone() });
                Err(QuayError::new(&call.action, ErrorKind::Untrusted, reason))
            }
            Err(TransportError::Unreachable(step, reason)) => {
                breaker.open(QuayProblem::Unreachable { step, reason: reason.clone() });
                Err(QuayError::new(&call.action, ErrorKind::Unreachable(step), reason))
            }
        }
    }

    async fn attempt(
        &self,
        call: &Call,
        authorization: Option<HeaderValue>,
        deadline: Instant,
    ) -> Result<QuayResponse, TransportError> {
        let mut request = self
            .0
            .http
            .request(call.method.clone(), call.url.clone())
            .headers(call.headers.clone());
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request = match &call.body {
            Some(Body::Json(body)) => request.json(body),
            Some(Body::Form(fields)) => request.form(fields),
            None => request,
        };
        let started = Instant::now();
        let answer = timeout_at(deadline, async {
            let mut response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                if body.len() + chunk.len() > MAX_BODY_BYTES {
                    return Ok(None);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Some(QuayResponse {
                status,
                headers,
                body: String::from_utf8_lossy(&body).into_owned(),
            }))
        });
        let outcome = match answer.await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) => {
                let max = MAX_BODY_BYTES >> 20;
                Err(TransportError::Interrupted(format!("the response is larger than {max} MiB")))
            }
            Ok(Err(error)) => Err(classify(&error, &call.url, &self.0.proxies, deadline).await),
            Err(_) => {
                let proxy = proxy_note(&call.url, &self.0.proxies);
                Err(TransportError::Timeout(format!(
                    "no response within {:?}{proxy}",
                    self.0.timeout
                )))
            }
        };
        // Without the query: it is long and can contain secrets.
        let (status, path) =
            (outcome.as_ref().ok().map(|answer| answer.status.as_u16()), call.url.path());
        let duration = started.elapsed();
        tracing::debug!(method = %call.method, path, status, elapsed = ?duration, "quay");
        self.0.observer.notify(|| ObservedRequest {
            side: Side::Quay,
            kind: quay_kind(call.method.as_str(), path),
            status,
            duration,
        });
        outcome
    }

    fn authorization(&self, call: &Call) -> Result<Option<HeaderValue>, QuayError> {
        let missing = || {
            QuayError::new(&call.action, ErrorKind::Skipped, "skipped: there is no token for Quay")
        };
        match &call.auth {
            Auth::Anonymous => Ok(None),
            Auth::Token => {
                self.0.token.as_ref().and_then(bearer_header).map(Some).ok_or_else(missing)
            }
            Auth::Basic(credentials) => Ok(basic_header(credentials)),
        }
    }
}

/// The error kind of a call without a response.
fn no_response(is_breaker_open: bool) -> ErrorKind {
    if is_breaker_open { ErrorKind::Unreachable(ConnectionStage::Http) } else { ErrorKind::Server }
}

fn basic_header(credentials: &RegistryCredentials) -> Option<HeaderValue> {
    let pair = format!("{}:{}", credentials.username, credentials.password.expose_secret());
    let mut header = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()?;
    header.set_sensitive(true);
    Some(header)
}
