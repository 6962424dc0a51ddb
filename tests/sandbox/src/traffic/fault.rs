//! Rules: which requests, which of them, and what happens.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};

type Hook = Arc<dyn Fn() + Send + Sync>;

/// nginx's page in front of a failed Quay; clients that expect JSON get this instead.
const HTML: &str = "<html>\r\n<head><title>Error</title></head>\r\n<body>\r\n<center><h1>Error</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

/// A rule: requests it matches, which of those it is for (default: all), and what happens to them (default:
/// nothing). Its parts combine, e.g. a delay before an error.
///
/// ```
/// # use sandbox::traffic::Fault;
/// Fault::on("PUT", "/robots/").nth(3).status(wire/502);
/// Fault::on("*", "/api/v1/").times(2).status(429).header("Retry-After", "1");
/// ```
#[derive(Clone)]
pub struct Fault {
    method: String,
    path: String,
    whole_path: bool,
    which: Which,
    matched: usize,
    before: Option<Hook>,
    outcome: Option<Outcome>,
    after: Option<Hook>,
    delay: Duration,
}

#[derive(Clone, Copy)]
enum Which {
    Every,
    Nth(usize),
    First(usize),
}

#[derive(Clone)]
enum Outcome {
    Answer(Answer),
    DropBefore,
    DropAfter,
}

#[derive(Clone)]
pub(super) struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: String,
}

impl Fault {
    /// Matches a method (`*` for any) and a part of path and query.
    #[must_use]
    pub fn on(method: &str, path_part: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path_part.to_owned(),
            whole_path: false,
            which: Which::Every,
            matched: 0,
            before: None,
            outcome: None,
            after: None,
            delay: Duration::ZERO,
        }
    }

    /// Matches the path and query as a whole, not a part of them.
    #[must_use]
    pub fn whole_path(mut self) -> Self {
        self.whole_path = true;
        self
    }

    /// Only the nth request that matches, counted from 1.
    #[must_use]
    pub fn nth(mut self, nth: usize) -> Self {
        self.which = Which::Nth(nth);
        self
    }

    /// Only the first `times` requests that match.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.which = Which::First(times);
        self
    }

    /// Answers with this status and an empty body, without the request being applied.
    ///
    /// # Panics
    /// When that is no HTTP status.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        self.answer(|answer| answer.status = valid(StatusCode::from_u16(status)))
    }

    /// The body to answer with, JSON unless a `Content-Type` header is given.
    #[must_use]
    pub fn body(self, body: &str) -> Self {
        self.answer(|answer| answer.body = body.to_owned())
    }

    /// A header of the answer.
    ///
    /// # Panics
    /// When it is no HTTP header.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        let header = (valid(name.parse()), valid(value.parse()));
        self.answer(|answer| answer.headers.push(header))
    }

    /// Answers with this status and a proxy's HTML page, without the request being applied.
    #[must_use]
    pub fn html(self, status: u16) -> Self {
        self.status(status).header("Content-Type", "text/html").body(HTML)
    }

    /// Holds the answer back this long. The request is applied first, so a client that gives up waiting cannot know.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Cuts the connection; the request is not applied.
    #[must_use]
    pub fn drop_before(mut self) -> Self {
        self.outcome = Some(Outcome::DropBefore);
        self
    }

    /// Applies the request, then cuts the connection without an answer.
    #[must_use]
    pub fn drop_after(mut self) -> Self {
        self.outcome = Some(Outcome::DropAfter);
        self
    }

    /// Calls this before the request is applied, e.g. to let a token expire.
    #[must_use]
    pub fn before(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.before = Some(Arc::new(hook));
        self
    }

    /// Calls this when the request has been applied and before it is answered, e.g. to kill the client.
    #[must_use]
    pub fn after(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.after = Some(Arc::new(hook));
        self
    }

    fn answer(mut self, change: impl FnOnce(&mut Answer)) -> Self {
        let mut answer = match self.outcome.take() {
            Some(Outcome::Answer(answer)) => answer,
            _ => Answer { status: StatusCode::OK, headers: Vec::new(), body: String::new() },
        };
        change(&mut answer);
        self.outcome = Some(Outcome::Answer(answer));
        self
    }

    /// Adds to `effects` what this rule does to a request, and counts the request if it matches.
    pub(super) fn apply(&mut self, method: &str, path: &str, effects: &mut Effects) {
        let is_path = if self.whole_path { path == self.path } else { path.contains(&self.path) };
        if (self.method != "*" && self.method != method) || !is_path {
            return;
        }
        self.matched += 1;
        let applies = match self.which {
            Which::Every => true,
            Which::Nth(nth) => self.matched == nth,
            Which::First(times) => self.matched <= times,
        };
        if !applies {
            return;
        }
        effects.before.extend(self.before.clone());
        effects.after.extend(self.after.clone());
        effects.delay += self.delay;
        match &self.outcome {
            Some(Outcome::Answer(answer)) if effects.answer.is_none() => {
                effects.answer = Some(answer.clone())
            }
            Some(Outcome::DropBefore) => effects.drop_before = true,
            Some(Outcome::DropAfter) => effects.drop_after = true,
            _ => {}
        }
    }
}

/// The effects of all rules on a request, in the order of the fields.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) before: Vec<Hook>,
    pub(super) drop_before: bool,
    pub(super) answer: Option<Answer>,
    pub(super) after: Vec<Hook>,
    pub(super) drop_after: bool,
    pub(super) delay: Duration,
}

impl Answer {
    pub(super) fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// A rule that cannot be sent is a slip in the test that wrote it.
#[track_caller]
#[expect(clippy::panic, reason = "the test has to stop where its rule is wrong")]
fn valid<T, E: std::fmt::Display>(parsed: Result<T, E>) -> T {
    parsed.unwrap_or_else(|error| panic!("a fault rule that HTTP cannot express: {error}"))
}
