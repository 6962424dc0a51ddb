//! Events: what happened to a namespace, where those who work in it look for it.

use jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Cluster;
use super::error::ClusterError;
use super::resources::{EVENTS, Meta};
use crate::domain::names::CONTROLLER_NAME;

/// What the API server takes at most (Kubernetes `pkg/apis/core/validation/events.go`).
const MAX_MESSAGE_CHARS: usize = 1024;

/// What is to be noted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventInput {
    /// The namespace that it happened to.
    pub namespace: String,
    /// The namespace's uid; empty where it is not known.
    pub uid: String,
    /// Something went wrong.
    pub is_warning: bool,
    /// One word for programs, such as `Repaired`.
    pub reason: &'static str,
    /// The object in the namespace that it is about, or what was done there. Events of one reason are told apart by it, and
    /// not by their sentence: that of a failure may change with each try.
    pub subject: String,
    /// A sentence for people.
    pub message: String,
}

impl EventInput {
    /// The sentence, as long as an Event may have it.
    fn message(&self) -> String {
        self.message.chars().take(MAX_MESSAGE_CHARS).collect()
    }
}

/// An Event that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    name: String,
    count: u32,
}

#[cfg(test)]
impl EventRecord {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), count: 1 }
    }
}

#[derive(Deserialize)]
struct PostedEvent {
    metadata: Meta,
}

impl Cluster {
    /// Notes an Event in the namespace it is about: Events on Namespace objects would else go to namespace `default`,
    /// where those who work in this one do not look.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn note(&self, note: &EventInput) -> Result<EventRecord, ClusterError> {
        let now = Timestamp::now();
        let time = seconds(now);
        let event = json!({
            "apiVersion": EVENTS.api_version(),
            "kind": EVENTS.name(),
            "metadata": { "name": format!("{}.{:x}", note.namespace, now.as_nanosecond()) },
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Namespace",
                "name": note.namespace,
                // Has to be that of the Event.
                "namespace": note.namespace,
                "uid": note.uid,
            },
            "type": if note.is_warning { "Warning" } else { "Normal" },
            "reason": note.reason,
            "message": note.message(),
            "source": { "component": CONTROLLER_NAME },
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
        });
        let request = Request::new(EVENTS.path(Some(&note.namespace)))
            .create(&PostParams::default(), event.to_string().into());
        let written: PostedEvent = self.send(&call(note), request).await?;
        Ok(EventRecord { name: written.metadata.name, count: 1 })
    }

    /// Counts an Event once more, with the message that it has now. One that has expired is written again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn record_again(
        &self,
        note: &EventInput,
        noted: &EventRecord,
    ) -> Result<EventRecord, ClusterError> {
        let count = noted.count.saturating_add(1);
        let patch: Value = json!({ "count": count, "message": note.message(), "lastTimestamp": seconds(Timestamp::now()) });
        let path = Request::new(EVENTS.path(Some(&note.namespace)));
        let request = path.patch(&noted.name, &PatchParams::default(), &Patch::Merge(&patch));
        match self.send::<PostedEvent>(&call(note), request).await {
            Ok(_) => Ok(EventRecord { name: noted.name.clone(), count }),
            Err(error) if error.is_not_found() => self.note(note).await,
            Err(error) => Err(error),
        }
    }
}

fn call(note: &EventInput) -> String {
    format!("write an event in namespace {}", note.namespace)
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
