//! Scripts and their execution.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::answer::{Masks, Recorded, only};
use crate::hook::Hook;
use crate::servers::Server;

const JSON: &str = "application/json";

/// Limit for retries until a status.
const STATUS_TIMEOUT: Duration = Duration::from_secs(60);

/// Requests in the namespaces `{ns}` and `{ns}-2`.
pub(crate) struct Script {
    pub(crate) name: &'static str,
    pub(crate) steps: Vec<Step>,
    /// Not concurrent with other scripts.
    pub(crate) is_alone: bool,
    /// Whether the sandbox's controllers run.
    pub(crate) settles: bool,
    /// Serves a webhook at `{hook}`.
    pub(crate) has_hook: bool,
}

pub(crate) enum Step {
    Request(Request),
    /// Expires all earlier resourceVersions.
    ExpireHistory,
    /// Waits for the real server's propagation delay.
    Propagate,
    /// The webhook's reviews since the last call.
    Reviews,
}

/// In path and body, `{ns}` is the script's namespace and `{a:/b}` a value of an earlier response.
#[derive(Clone)]
pub(crate) struct Request {
    method: &'static str,
    path: String,
    user: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
    /// Name of the response for later requests.
    saved: Option<&'static str>,
    only: Vec<String>,
    until: Option<u16>,
}

impl Script {
    pub(crate) fn new(name: &'static str, requests: impl IntoIterator<Item = Step>) -> Self {
        Self {
            name,
            steps: requests.into_iter().collect(),
            is_alone: false,
            settles: false,
            has_hook: false,
        }
    }
}

impl From<Request> for Step {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

fn request(method: &'static str, path: &str, content_type: Option<&str>, body: String) -> Request {
    // A relative path is in the script's namespace.
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/api/v1/namespaces/{{ns}}/{path}")
    };
    let headers =
        content_type.map(|value| ("content-type", value.to_owned())).into_iter().collect();
    Request {
        method,
        path,
        user: "admin",
        headers,
        body,
        saved: None,
        only: Vec::new(),
        until: None,
    }
}

pub(crate) fn get(path: &str) -> Request {
    request("GET", path, None, String::new())
}

pub(crate) fn post(path: &str, body: &Value) -> Request {
    request("POST", path, Some(JSON), body.to_string())
}

pub(crate) fn put(path: &str, body: &Value) -> Request {
    request("PUT", path, Some(JSON), body.to_string())
}

pub(crate) fn delete(path: &str) -> Request {
    request("DELETE", path, None, String::new())
}

pub(crate) fn delete_with(path: &str, options: &Value) -> Request {
    request("DELETE", path, Some(JSON), options.to_string())
}

/// `json`, `merge`, `strategic` or `apply`.
pub(crate) fn patch(patch_type: &str, path: &str, body: &Value) -> Request {
    let content_type = match patch_type {
        "json" => "application/json-patch+json",
        "merge" => "application/merge-patch+json",
        "strategic" => "application/strategic-merge-patch+json",
        "apply" => "application/apply-patch+yaml",
        other => other,
    };
    request("PATCH", path, Some(content_type), body.to_string())
}

/// Ends after a second.
pub(crate) fn watch(path_and_query: &str) -> Request {
    let separator = if path_and_query.contains('?') { '&' } else { '?' };
    get(&format!("{path_and_query}{separator}watch=true&timeoutSeconds=1"))
}

impl Request {
    /// Sets another user than `admin`; no token for an empty name.
    pub(crate) fn by(self, user: &'static str) -> Self {
        Self { user, ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(present, _)| *present != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn raw(self, body: &str) -> Self {
        Self { body: body.to_owned(), ..self }
    }

    pub(crate) fn save(self, name: &'static str) -> Self {
        Self { saved: Some(name), ..self }
    }

    pub(crate) fn only(self, paths: &[&str]) -> Self {
        Self { only: paths.iter().map(|path| (*path).to_owned()).collect(), ..self }
    }

    /// Retries until this status.
    pub(crate) fn until(self, status: u16) -> Self {
        Self { until: Some(status), ..self }
    }

    /// As in the recording.
    fn line(&self) -> String {
        let mut line = format!("{} {}", self.method, self.path);
        if self.user != "admin" {
            line.push_str(&format!(" as {:?}", self.user));
        }
        for (name, value) in self
            .headers
            .iter()
            .filter(|(name, value)| (*name, value.as_str()) != ("content-type", JSON))
        {
            line.push_str(&format!(" {name}: {value}"));
        }
        if !self.body.is_empty() {
            line.push(' ');
            line.push_str(&self.body);
        }
        line
    }
}

pub(crate) fn play(script: &Script, server: &Server) -> Vec<Recorded> {
    let runtime = Runtime::new().unwrap();
    let mut stage = Stage {
        server,
        http: server.client(),
        hook: script.has_hook.then(|| runtime.block_on(Hook::serve())),
        saved: HashMap::new(),
        namespace: format!("conformance-{}", script.name),
        masks: Masks::default(),
    };
    for namespace in [stage.namespace.clone(), format!("{}-2", stage.namespace)] {
        let create = post("/api/v1/namespaces", &json!({"metadata": {"name": namespace}}));
        assert_eq!(runtime.block_on(stage.send(&create)).0, 201);
    }
    server.grant(&stage.namespace);
    script.steps.iter().filter_map(|step| runtime.block_on(stage.step(step))).collect()
}

struct Stage<'a> {
    server: &'a Server,
    http: Client,
    hook: Option<Hook>,
    saved: HashMap<&'static str, Value>,
    namespace: String,
    masks: Masks,
}

impl Stage<'_> {
    async fn step(&mut self, step: &Step) -> Option<Recorded> {
        match step {
            Step::ExpireHistory => {
                let server = self.server;
                tokio::task::block_in_place(|| server.expire_history());
                None
            }
            Step::Propagate => {
                self.server.propagate();
                None
            }
            Step::Reviews => {
                let reviews = self.hook.as_ref().unwrap().take();
                Some(Recorded::new("reviews".to_owned(), 200, self.masked(&reviews), vec![]))
            }
            Step::Request(request) => {
                let started = Instant::now();
                let (status, body, warnings) = loop {
                    let answer = self.send(request).await;
                    match request.until {
                        Some(wanted)
                            if answer.0 != wanted && started.elapsed() < STATUS_TIMEOUT =>
                        {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        _ => break answer,
                    }
                };
                if let Some(name) = request.saved {
                    self.saved.insert(name, body.clone());
                }
                let body = only(&body, &request.only);
                Some(Recorded::new(request.line(), status, self.masked(&body), warnings))
            }
        }
    }

    fn masked(&mut self, body: &Value) -> Value {
        if let Some(hook) = &self.hook {
            self.masks.fixed = vec![(hook.url(), "{hook}"), (hook.ca_bundle(), "{ca}")];
        }
        self.masks.mask(body)
    }

    async fn send(&self, request: &Request) -> (u16, Value, Vec<String>) {
        let url =
            format!("{}{}", self.server.url(), self.filled(&request.path).replace(' ', "%20"));
        let mut sent = self.http.request(request.method.parse().unwrap(), url);
        if !request.user.is_empty() {
            sent = sent.bearer_auth(self.server.token(request.user));
        }
        for (name, value) in &request.headers {
            sent = sent.header(*name, value);
        }
        if !request.body.is_empty() {
            sent = sent.body(self.filled(&request.body));
        }
        let answer = sent.send().await.unwrap();
        let status = answer.status().as_u16();
        let warnings = answer
            .headers()
            .get_all("warning")
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect();
        let text = answer.text().await.unwrap();
        let body = match request.path.contains("watch=") && status == 200 {
            true => events(&text),
            false => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        };
        (status, body, warnings)
    }

    /// Replaces placeholders.
    fn filled(&self, text: &str) -> String {
        let mut filled = text.replace("{ns}", &self.namespace);
        if let Some(hook) = &self.hook {
            filled = filled.replace("{hook}", &hook.url()).replace("{ca}", &hook.ca_bundle());
        }
        for (name, body) in &self.saved {
            // A quoted placeholder can be replaced by an object.
            filled = filled.replace(&format!("\"{{{name}}}\""), &body.to_string());
            while let Some((before, after)) = filled.split_once(&format!("{{{name}:")) {
                let (pointer, after) = after.split_once('}').unwrap();
                filled =
                    format!("{before}{}{after}", body.pointer(pointer).unwrap().as_str().unwrap());
            }
        }
        filled
    }
}

/// Without bookmarks, whose number depends on time.
fn events(text: &str) -> Value {
    let mut events: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    events.dedup_by(|event, before| event["type"] == "BOOKMARK" && before["type"] == "BOOKMARK");
    Value::Array(events)
}
