//! Watches: one JSON line per change, for as long as the client listens.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, header};
use futures::stream;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::OpenShift;
use super::api_errors::{Cause, Rejection};
use super::kinds::Kind;
use super::lists::{ListQuery, Shape};
use super::meta;
use super::selectors::Selectors;
use super::store::Change;

/// How often a watch that asked for bookmarks gets one; a real API server takes a minute.
const BOOKMARK_EVERY: Duration = Duration::from_secs(1);

/// How long a watch lives that did not say; the API server draws lots between 30 and 60 minutes.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

struct Watch {
    openshift: OpenShift,
    kind: &'static Kind,
    namespace: Option<String>,
    selectors: Selectors,
    shape: Shape,
    bookmarks: bool,
    /// Changes up to here have been sent; `None` before the objects that exist already have been.
    position: Option<u64>,
    ends: Instant,
    next_bookmark: Instant,
    changed: tokio::sync::watch::Receiver<u64>,
    ended: bool,
}

/// Answers a watch of one namespace, or of all when it is `None`, from the query's resourceVersion on. Without one, or
/// from "0", it begins with everything there is.
///
/// # Errors
/// 400 for a query that cannot be understood, 422 for `sendInitialEvents`, as servers before WatchList.
pub(crate) fn watch(
    openshift: &OpenShift,
    kind: &'static Kind,
    namespace: Option<&str>,
    query: &ListQuery,
    shape: Shape,
) -> Result<Response<Body>, Rejection> {
    if query.send_initial_events {
        let why =
            "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        return Err(Rejection::invalid_options(
            "ListOptions",
            Cause::forbidden("sendInitialEvents", why),
        ));
    }
    let now = Instant::now();
    let watch = Watch {
        openshift: openshift.clone(),
        kind,
        namespace: namespace.map(str::to_owned),
        selectors: Selectors::parse(kind, &query.label_selector, &query.field_selector)?,
        shape,
        bookmarks: query.allow_watch_bookmarks,
        position: query.version()?,
        ends: now + query.timeout_seconds.map_or(TIMEOUT, Duration::from_secs),
        next_bookmark: now + BOOKMARK_EVERY,
        changed: openshift.store().subscribe(),
        ended: false,
    };
    let lines = stream::unfold(watch, |mut watch| async move {
        let lines = watch.next().await?;
        Some((Ok::<_, std::convert::Infallible>(lines), watch))
    });
    let mut response = Response::new(Body::from_stream(lines));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

impl Watch {
    /// The next lines to send, or `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.ended {
            let lines = self.news();
            if !lines.is_empty() {
                return Some(Bytes::from(lines));
            }
            tokio::select! {
                changed = self.changed.changed() => self.ended = changed.is_err(),
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark += BOOKMARK_EVERY;
                    return Some(Bytes::from(self.bookmark()));
                }
                () = tokio::time::sleep_until(self.ends) => self.ended = true,
            }
        }
        None
    }

    /// Everything since the last time, and the end when some of it is forgotten.
    fn news(&mut self) -> String {
        let openshift = self.openshift.clone();
        let store = openshift.store();
        let lines = match self.position {
            None => {
                let objects = store.list(self.kind, self.namespace.as_deref());
                objects
                    .filter(|object| self.selectors.select(object))
                    .map(|object| self.line("ADDED", object))
                    .collect()
            }
            Some(position) => match store.changes_since(position) {
                Some(changes) => changes.filter_map(|change| self.event(change)).collect(),
                None => {
                    self.ended = true;
                    let message =
                        format!("too old resource version: {position} ({})", store.version());
                    event_line("ERROR", &Rejection::expired(message).status())
                }
            },
        };
        // A version from the future is waited for.
        self.position = Some(self.position.unwrap_or_default().max(store.version()));
        lines
    }

    /// How this watch sees a change: an object that ceases to be selected goes, one that begins to be comes.
    fn event(&self, change: &Change) -> Option<String> {
        let object = &change.object;
        if change.kind != self.kind
            || self
                .namespace
                .as_deref()
                .is_some_and(|namespace| namespace != meta::namespace(object))
        {
            return None;
        }
        let was_selected =
            change.before.as_ref().is_some_and(|before| self.selectors.select(before));
        let is_selected = !change.removed && self.selectors.select(object);
        match (was_selected, is_selected) {
            (false, true) => Some(self.line("ADDED", object)),
            (true, true) => Some(self.line("MODIFIED", object)),
            (true, false) => {
                // What it was when it was last selected, at the version at which it ceased to be.
                let mut last = change.before.as_deref().cloned().unwrap_or_default();
                last["metadata"]["resourceVersion"] = json!(change.version.to_string());
                Some(self.line("DELETED", &last))
            }
            (false, false) => None,
        }
    }

    fn line(&self, kind: &str, object: &Value) -> String {
        event_line(kind, &self.shape.apply(object))
    }

    fn bookmark(&self) -> String {
        let object = json!({
            "kind": self.kind.kind,
            "apiVersion": self.kind.api_version(),
            "metadata": {"resourceVersion": self.position.unwrap_or_default().to_string(), "creationTimestamp": null},
        });
        self.line("BOOKMARK", &object)
    }
}

fn event_line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}
