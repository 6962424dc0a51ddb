//! A stand-in, and the people who talk to it in the recordings.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sandbox::quay::Quay;
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt;

use super::browser::{Browser, encoded};
use super::samples::Sample;

/// The address the recordings were made at.
pub(crate) const URL: &str = "https://localhost:18443";

const ALL_BUT_SUPERUSER: [&str; 7] = [
    "org:admin",
    "repo:admin",
    "repo:create",
    "repo:read",
    "repo:write",
    "user:admin",
    "user:read",
];

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// The stand-in with its users, and what the samples call by other names than it does.
pub(crate) struct TestEnv {
    pub(crate) quay: Quay,
    router: Router,
    runtime: Runtime,
    expired_token: String,
    /// A valid token of each user.
    tokens: BTreeMap<String, String>,
    /// The password of a robot, if it is not its current token.
    pub(crate) secrets: BTreeMap<String, String>,
    /// Registry tokens fetched earlier, by user or robot.
    pub(crate) registry_tokens: BTreeMap<String, String>,
    /// Identifiers and page tokens: recorded to real.
    pub(crate) learned: BTreeMap<String, String>,
    pub(crate) browser: Browser,
}

impl TestEnv {
    /// A fresh stand-in with the people of the recordings: the superuser `admin`, and alice, bob and carol.
    pub(crate) fn new() -> TestEnv {
        let quay = Quay::new();
        quay.set_url(URL);
        quay.add_user("admin", true);
        quay.add_user("bob", false);
        quay.add_user("carol", false);
        let expired_token = quay.add_full_token("admin");
        quay.expire_tokens();
        let people = ["admin", "alice", "bob", "carol"];
        let tokens =
            people.iter().map(|name| ((*name).to_owned(), quay.add_full_token(name))).collect();
        TestEnv {
            router: quay.router(),
            quay,
            runtime: Runtime::new().unwrap(),
            expired_token,
            tokens,
            secrets: BTreeMap::new(),
            registry_tokens: BTreeMap::new(),
            learned: BTreeMap::new(),
            browser: Browser::default(),
        }
    }

    /// A valid token of all scopes.
    pub(crate) fn token_of(&self, user: &str) -> String {
        self.tokens[user].clone()
    }

    /// Sends a request with a bearer token.
    pub(crate) fn ask(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(body.to_string())
            .unwrap();
        self.send(request)
    }

    /// Sends requests as `admin` that the recordings only mention.
    pub(crate) fn admin(&self, method: &str, path: &str, body: &Value) {
        let answer = self.ask(&self.tokens["admin"], method, path, body);
        assert!(answer.status.is_success(), "{method} {path}: {} {}", answer.status, answer.body);
    }

    /// Sends the recorded request once.
    pub(crate) fn replay(&self, sample: &Sample) -> Answer {
        self.send(self.request(sample))
    }

    /// Sends the recorded request several times at once; the statuses.
    pub(crate) fn race(&self, sample: &Sample, count: usize) -> Vec<StatusCode> {
        self.runtime.block_on(async {
            let racers: Vec<_> = (0..count)
                .map(|_| {
                    let router = self.router.clone();
                    let request = self.request(sample);
                    tokio::spawn(async move {
                        router.oneshot(request.map(Body::from)).await.unwrap().status()
                    })
                })
                .collect();
            let mut statuses = Vec::new();
            for racer in racers {
                statuses.push(racer.await.unwrap());
            }
            statuses
        })
    }

    /// A registry token for `who` on one repository.
    pub(crate) fn registry_token(&self, who: &str, repository: &str) -> String {
        let request = Request::builder()
            .uri(format!(
                "/v2/auth?service=localhost:18443&scope=repository:{repository}:pull,push"
            ))
            .header("authorization", self.basic(who))
            .body(String::new())
            .unwrap();
        self.send(request).json()["token"].as_str().unwrap().to_owned()
    }

    /// Sends any request.
    pub(crate) fn send(&self, request: Request<String>) -> Answer {
        self.runtime.block_on(async {
            let response: Response<Body> =
                self.router.clone().oneshot(request.map(Body::from)).await.unwrap();
            let (parts, body) = response.into_parts();
            let headers = parts.headers.iter();
            Answer {
                status: parts.status,
                headers: headers
                    .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                    .collect(),
                body: String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec())
                    .unwrap(),
            }
        })
    }

    fn request(&self, sample: &Sample) -> Request<String> {
        let recorded = &sample.request;
        let method: Method = recorded["method"].as_str().unwrap().parse().unwrap();
        let mut request =
            Request::builder().method(method).uri(self.path(recorded["path"].as_str().unwrap()));
        let headers = recorded["headers"].as_object().into_iter().flatten();
        for (name, value) in headers.filter(|(name, _)| {
            !matches!(name.as_str(), "Authorization" | "Cookie" | "X-CSRF-Token")
        }) {
            request = request.header(name, value.as_str().unwrap());
        }
        request = self.browser.headers(sample, request);
        if let Some(authorization) = self.authorization(sample) {
            request = request.header("authorization", authorization);
        }
        let body = self.body(sample);
        if !body.is_empty() && recorded["headers"].get("Content-Type").is_none() {
            request = request.header("content-type", "application/json");
        }
        request.body(body).unwrap()
    }

    /// The recorded body with this stand-in's identifiers and secrets.
    fn body(&self, sample: &Sample) -> String {
        let recorded = &sample.request["body"];
        let mut body = match recorded {
            Value::Null => return String::new(),
            Value::String(text) => return text.clone(),
            body => body.clone(),
        };
        if let Some(id) = body["client_id"].as_str().and_then(|id| self.learned.get(id)) {
            body["client_id"] = id.as_str().into();
        }
        if recorded["password"].as_str().is_some_and(|password| password.starts_with('<')) {
            body["password"] = self.password(sample).into();
        }
        self.browser.fill(&mut body);
        if sample.request["headers"]["Content-Type"] != "application/x-www-form-urlencoded" {
            return body.to_string();
        }
        encoded(
            body.as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap())),
        )
    }

    /// The hidden value: the correct password, except in samples about a wrong one.
    fn password(&self, sample: &Sample) -> String {
        let user = sample.request["body"]["username"].as_str().unwrap();
        let right =
            self.quay.password(user).filter(|_| !matches!(sample.number(), "096" | "097" | "098"));
        right.unwrap_or_else(|| "not-the-password".to_owned())
    }

    /// Notes what the next samples need of an answer.
    pub(crate) fn note(&mut self, answer: &Answer) {
        self.browser.note(answer);
        if let Some(token) = answer.json()["access_token"].as_str() {
            self.tokens.insert("init".to_owned(), token.to_owned());
        }
    }

    /// The name in the samples of a token that was created earlier.
    pub(crate) fn note_token(&mut self, name: &str, token: String) {
        self.tokens.insert(name.to_owned(), token);
    }

    /// An application that samples know by this client id.
    pub(crate) fn add_application(
        &mut self,
        organization: &str,
        redirect_uri: &str,
        recorded: &str,
    ) -> String {
        let client_id = self.quay.add_application(organization, "app", redirect_uri);
        self.learned.insert(recorded.to_owned(), client_id.clone());
        client_id
    }

    /// The recorded path with this stand-in's identifiers and page tokens.
    fn path(&self, recorded: &str) -> String {
        let mut path = recorded.replace(' ', "%20");
        for (old, new) in &self.learned {
            let encoded = |text: &str| text.replace('=', "%3D");
            path = path.replace(&encoded(old), &encoded(new)).replace(old, new);
        }
        path
    }

    /// The credential the recording names in place of the real one.
    fn authorization(&self, sample: &Sample) -> Option<String> {
        // Requests of a browser session, or of a program with its own sign-in, are sent with a
        // token: these samples are about the next steps.
        let is_race = sample.number() >= "620" && sample.number() < "635";
        let Some(recorded) = sample.request["headers"]["Authorization"].as_str() else {
            return is_race.then(|| format!("Bearer {}", self.tokens["admin"]));
        };
        let (scheme, who) = recorded.split_once(' ').unwrap();
        let who = who.trim_start_matches('<').trim_end_matches('>');
        if scheme == "Basic" {
            return Some(self.basic(who.strip_suffix(":password").unwrap()));
        }
        Some(format!("Bearer {}", self.bearer(sample, who)))
    }

    fn bearer(&self, sample: &Sample, who: &str) -> String {
        if let Some(scopes) = who.strip_prefix("admin token with scope ") {
            return match scopes.strip_suffix(" only").unwrap() {
                "all but super:user" => self.quay.add_token("admin", &ALL_BUT_SUPERUSER),
                scope => self.quay.add_token("admin", &[scope]),
            };
        }
        match who {
            "admin all-scope token" | "token" | "oauth token" | "OAuth token" => {
                self.tokens["admin"].clone()
            }
            "expired token" => self.expired_token.clone(),
            "unknown token" | "unknown 40-char token" | "session" => "A".repeat(40),
            "5-char token" => "ABCDE".to_owned(),
            "JWT-looking token" => "e30.e30.AAAA".to_owned(),
            "registry JWT" => {
                let path: Vec<&str> = sample.request["path"].as_str().unwrap().split('/').collect();
                self.registry_token("reg+writer", &path[2..4].join("/"))
            }
            "registry JWT (reader)" => self.registry_token("reg+reader", "reg/app"),
            "registry JWT (nobody)" => self.registry_token("reg+nobody", "reg/app"),
            "registry JWT ($oauthtoken)" => self.registry_token("$oauthtoken", "reg/app"),
            "registry JWT (writer)" => match self.registry_tokens.get("reg+writer") {
                Some(token) => token.clone(),
                None => self.registry_token("reg+writer", "reg/app"),
            },
            other => {
                let name = other.split([' ', ',']).next().unwrap();
                let token = self.tokens.get(name);
                token.unwrap_or_else(|| panic!("{}: who is {other}?", sample.name)).clone()
            }
        }
    }

    fn basic(&self, who: &str) -> String {
        let current = || match who.split_once('+') {
            Some((organization, short)) => self.quay.robot_token(organization, short),
            None if who == "$oauthtoken" => Some(self.tokens["admin"].clone()),
            None => self.quay.password(who),
        };
        let secret = self.secrets.get(who).cloned().or_else(current).unwrap_or_default();
        format!("Basic {}", STANDARD.encode(format!("{who}:{secret}")))
    }
}
