//! One call: how it is made, when it is made again, and what an answer is.

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

use super::connection::{CircuitBreaker, TransportFailure, by_proxy, failure};
use super::error::{ErrorKind, QuayError, is_readonly};
use super::{Quay, bearer};
use crate::backoff;
use crate::domain::integration::{ConnectionStage, QuayProblem};
use crate::domain::snapshot::Login;
use crate::request_metrics::{ObservedRequest, Side, quay_kind};

/// The pauses after the first tries of a call. The last try has none.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];
/// More than any list of Quay's holds: a page has at most 100 repositories or tags, and robot accounts with their permissions
/// take some 200 bytes each.
const MAX_BODY_BYTES: usize = 32 << 20;

/// A call to Quay.
pub(super) struct Call {
    /// What it does, for a person: `create robot account acme+builder`.
    what: String,
    method: Method,
    url: Url,
    credentials: Credentials,
    /// Headers beside those that every call has.
    headers: HeaderMap,
    body: Option<Body>,
    repeat: RetryPolicy,
    /// Its 401 says nothing about the token.
    shrugs_at_401: bool,
}

/// What a call brings along.
enum Body {
    Json(Value),
    Form(Vec<(&'static str, String)>),
}

/// When a call may be made again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RetryPolicy {
    /// Making it twice has the effect of making it once.
    Always,
    /// Only when it is certain that it was not applied.
    OnConnectError,
    /// Quay counts the tries.
    Never,
}

/// Who a call is made as.
pub(super) enum Credentials {
    /// The holder of our token.
    Token,
    /// The user of a registry login.
    Login(Login),
    /// Nobody, which is also the cheapest for Quay.
    Nobody,
}

/// An answer, of whatever status.
pub(super) struct QuayResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Call {
    pub(super) fn new(method: Method, url: Url, credentials: Credentials, what: String) -> Self {
        Self {
            what,
            method,
            url,
            credentials,
            headers: HeaderMap::new(),
            body: None,
            repeat: RetryPolicy::Always,
            shrugs_at_401: false,
        }
    }

    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(Body::Json(body));
        self
    }

    pub(super) fn form(mut self, fields: Vec<(&'static str, String)>) -> Self {
        self.body = Some(Body::Form(fields));
        self
    }

    pub(super) fn not_repeatable(mut self) -> Self {
        self.repeat = RetryPolicy::OnConnectError;
        self
    }

    pub(super) fn never_repeated(mut self) -> Self {
        self.repeat = RetryPolicy::Never;
        self
    }

    pub(super) fn ignore_unauthorized(mut self) -> Self {
        self.shrugs_at_401 = true;
        self
    }

    #[cfg(test)]
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn what(&self) -> &str {
        &self.what
    }

    fn is_repeatable(&self) -> bool {
        self.repeat == RetryPolicy::Always
    }

    /// Whether an answer, or the lack of one, is worth another try before the time of the call is over.
    fn is_worth_repeating(
        &self,
        outcome: &Result<QuayResponse, TransportFailure>,
        line: &CircuitBreaker,
    ) -> bool {
        match outcome {
            Ok(answer) => self.is_repeatable() && answer.is_of_a_gateway(),
            Err(TransportFailure::Broken(_)) => self.is_repeatable(),
            // Nothing was sent. A server that has answered before may be back in a moment.
            Err(TransportFailure::Unreachable(..)) => line.has_answered(),
            Err(_) => false,
        }
    }

    /// Whether the call may be made again after a pause that an answer asks for.
    fn may_be_repeated_after(&self, answer: &QuayResponse) -> bool {
        match self.repeat {
            RetryPolicy::Always => true,
            // The proxy in front of Quay counts requests; the one it refuses was not applied (sample 586).
            RetryPolicy::OnConnectError => answer.status == StatusCode::TOO_MANY_REQUESTS,
            RetryPolicy::Never => false,
        }
    }
}

impl QuayResponse {
    /// Whether it is of a proxy that got none from Quay (sample 690). Read-only mode is Quay's own word.
    fn is_of_a_gateway(&self) -> bool {
        matches!(self.status.as_u16(), 502..=504) && !is_readonly(&self.body)
    }

    /// Whether it asks for a pause before the next request, and how long that is to be, if it says so.
    fn is_rate_limited(&self) -> Option<Option<Duration>> {
        let asked = self.retry_after().map(Duration::from_secs);
        let asks = self.status == StatusCode::TOO_MANY_REQUESTS
            || (self.is_of_a_gateway() && asked.is_some());
        asks.then_some(asked)
    }

    /// The pause in seconds that it asks for, which is a number or a date (RFC 9110, 10.2.3).
    pub(super) fn retry_after(&self) -> Option<u64> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        value.parse().ok().or_else(|| {
            let date = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
            Some(u64::try_from(date.duration_since(Timestamp::now()).as_secs()).unwrap_or_default())
        })
    }
}

impl Quay {
    /// A call to the API as the holder of our token; an empty last segment makes the trailing slash that some paths
    /// need (sample 161).
    pub(super) fn api(&self, method: Method, path: &[&str], what: String) -> Call {
        Call::new(method, self.address(&["api", "v1"], path), Credentials::Token, what)
    }

    /// An address of this Quay.
    pub(super) fn address(&self, root: &[&str], path: &[&str]) -> Url {
        let mut url = self.0.url.as_url().clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(root).extend(path);
        }
        url
    }

    /// Makes a call that answers with JSON.
    pub(super) async fn fetch<T: DeserializeOwned>(&self, call: &Call) -> Result<T, QuayError> {
        let answer = self.send(call).await?;
        serde_json::from_str(&answer.body)
            .map_err(|_| QuayError::not_quay(&call.what, answer.status))
    }

    /// Makes a call whose answer holds nothing of interest. It is looked at all the same: a page of somebody else's
    /// with status 200 is no success.
    pub(super) async fn perform(&self, call: &Call) -> Result<(), QuayError> {
        let answer = self.send(call).await?;
        let is_quays = answer.status == StatusCode::NO_CONTENT
            || serde_json::from_str::<IgnoredAny>(&answer.body).is_ok();
        if is_quays { Ok(()) } else { Err(QuayError::not_quay(&call.what, answer.status)) }
    }

    /// Makes a call to the API and learns from a refusal.
    pub(super) async fn send(&self, call: &Call) -> Result<QuayResponse, QuayError> {
        let answer = self.exchange(call, &self.0.api).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let error = QuayError::refused(&call.what, answer.status, &answer.body);
        match error.kind {
            ErrorKind::Unauthorized
                if matches!(call.credentials, Credentials::Token) && !call.shrugs_at_401 =>
            {
                self.record_rejection(&error);
            }
            ErrorKind::ReadOnly => self.learn(QuayProblem::ReadOnly),
            ErrorKind::RobotsDisallowed => self.learn(QuayProblem::RobotsDisallowed),
            _ => {}
        }
        Err(error)
    }

    /// No call with this token makes sense any more.
    pub(super) fn record_rejection(&self, error: &QuayError) {
        if error.kind == ErrorKind::Unauthorized {
            self.0.api.cut(QuayProblem::TokenRefused { reason: error.reason.clone() });
        }
    }

    /// Makes a call as often as it takes and may; the answer is of any status.
    ///
    /// The place is kept over the pauses. The pauses that Quay asks for are no part of the call's time.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        line: &CircuitBreaker,
    ) -> Result<QuayResponse, QuayError> {
        let authorization = self.authorization(call)?;
        let throttle = &self.0.throttle;
        let _place = throttle.enter().await;
        let (mut left, mut pauses) = (self.0.timeout, RETRY_DELAYS.into_iter());
        let (outcome, began) = loop {
            throttle.wait().await;
            // Looked at only now: others may have found out while this one waited.
            if let Some(trouble) = line.down() {
                return Err(QuayError::skipped(&call.what, trouble));
            }
            let began = Instant::now();
            let outcome = self.attempt(call, authorization.clone(), began + left).await;
            let took = began.elapsed();
            left = left.saturating_sub(took);
            match &outcome {
                Ok(answer) => match answer.is_rate_limited() {
                    Some(asked)
                        if call.may_be_repeated_after(answer) && throttle.refused(began, asked) =>
                    {
                        continue;
                    }
                    Some(_) => {}
                    None => throttle.answered(began, took, self.0.timeout),
                },
                Err(TransportFailure::Overdue(_)) => throttle.overdue(began),
                Err(_) => {}
            }
            let is_worth_repeating = call.is_worth_repeating(&outcome, line);
            let Some(pause) = pauses.next().filter(|_| is_worth_repeating) else {
                break (outcome, began);
            };
            let pause = pause + backoff::part_of(pause / 2);
            if backoff::shortened(pause) >= left {
                break (outcome, began);
            }
            left -= backoff::shortened(pause);
            backoff::sleep(pause).await;
        };
        match outcome {
            Ok(answer) if answer.is_of_a_gateway() => {
                let reason = format!("a proxy answered {} in Quay's place", answer.status);
                if call.is_repeatable() && line.failure_unanswered(&reason, began) {
                    return Err(QuayError::new(
                        &call.what,
                        ErrorKind::Unreachable(ConnectionStage::Http),
                        reason,
                    ));
                }
                Ok(answer)
            }
            Ok(answer) => {
                line.answered();
                Ok(answer)
            }
            Err(TransportFailure::Broken(reason)) => {
                // A single try proves little: with HTTP/2 all calls under way break together.
                let is_down = call.is_repeatable() && line.failure_unanswered(&reason, began);
                let kind = if is_down {
                    ErrorKind::Unreachable(ConnectionStage::Http)
                } else {
                    ErrorKind::Server
                };
                Err(QuayError::new(&call.what, kind, reason))
            }
            Err(TransportFailure::Overdue(reason)) => {
                let is_down = line.failure_unanswered(&reason, began);
                let kind = if is_down {
                    ErrorKind::Unreachable(ConnectionStage::Http)
                } else {
                    ErrorKind::Server
                };
                Err(QuayError::new(&call.what, kind, reason))
            }
            Err(TransportFailure::Untrusted(reason)) => {
                line.cut(QuayProblem::Untrusted { reason: reason.clone() });
                Err(QuayError::new(&call.what, ErrorKind::Untrusted, reason))
            }
            Err(TransportFailure::Unreachable(step, reason)) => {
                line.cut(QuayProblem::Unreachable { step, reason: reason.clone() });
                Err(QuayError::new(&call.what, ErrorKind::Unreachable(step), reason))
            }
        }
    }

    /// Makes a call once.
    async fn attempt(
        &self,
        call: &Call,
        authorization: Option<HeaderValue>,
        deadline: Instant,
    ) -> Result<QuayResponse, TransportFailure> {
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
                let most = MAX_BODY_BYTES >> 20;
                Err(TransportFailure::Broken(format!(
                    "the answer is larger than {most} MiB, and was not read to its end"
                )))
            }
            Ok(Err(error)) => Err(failure(&error, &call.url, &self.0.proxies, deadline).await),
            Err(_) => {
                let way = by_proxy(&call.url, &self.0.proxies);
                Err(TransportFailure::Overdue(format!(
                    "no answer within {:?}{way}",
                    self.0.timeout
                )))
            }
        };
        // The query is left out: it is long, and it may hold what is nobody's business.
        let (status, path) =
            (outcome.as_ref().ok().map(|answer| answer.status.as_u16()), call.url.path());
        let took = started.elapsed();
        tracing::debug!(method = %call.method, path, status, elapsed = ?took, "quay");
        self.0.eye.tell(|| ObservedRequest {
            side: Side::Quay,
            kind: quay_kind(call.method.as_str(), path),
            status,
            took,
        });
        outcome
    }

    fn authorization(&self, call: &Call) -> Result<Option<HeaderValue>, QuayError> {
        let missing = || {
            QuayError::new(
                &call.what,
                ErrorKind::Skipped,
                "not asked, since there is no token for Quay",
            )
        };
        match &call.credentials {
            Credentials::Nobody => Ok(None),
            Credentials::Token => {
                self.0.token.as_ref().and_then(bearer).map(Some).ok_or_else(missing)
            }
            Credentials::Login(login) => Ok(basic(login)),
        }
    }
}

/// A login as it goes into the `Authorization` header.
fn basic(login: &Login) -> Option<HeaderValue> {
    let pair = format!("{}:{}", login.username, login.password.expose_secret());
    let mut header = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()?;
    header.set_sensitive(true);
    Some(header)
}
