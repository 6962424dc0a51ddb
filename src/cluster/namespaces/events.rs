//! Events about namespaces.

use jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::access::client::Cluster;
use crate::cluster::access::error::ClusterError;
use crate::cluster::resources::{EVENTS, Meta};
use crate::domain::names::CONTROLLER_NAME;

/// Limit of Kubernetes (`pkg/apis/core/validation/events.go`).
const MAX_MESSAGE_CHARS: usize = 1024;

/// An Event to write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventInput {
    pub namespace: String,
    /// Empty if unknown.
    pub uid: String,
    pub is_warning: bool,
    /// In one word, such as `Repaired`.
    pub reason: &'static str,
    /// The object or action that the Event is about. Deduplication uses it with the reason, and not
    /// the message, which may change with each attempt.
    pub subject: String,
    pub message: String,
}

impl EventInput {
    /// Truncated to the limit.
    fn message(&self) -> String {
        self.message.chars().take(MAX_MESSAGE_CHARS).collect()
    }
}

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
    /// Creates an Event in the namespace that it is about: Events on Namespace objects would
    /// otherwise be in namespace `default`.
    pub async fn create_event(&self, event: &EventInput) -> Result<EventRecord, ClusterError> {
        let now = Timestamp::now();
        let time = seconds(now);
        let body = json!({
            "apiVersion": EVENTS.api_version(),
            "kind": EVENTS.name(),
            "metadata": { "name": format!("{}.{:x}", event.namespace, now.as_nanosecond()) },
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Namespace",
                "name": event.namespace,
                // Must be the Event's namespace.
                "namespace": event.namespace,
                "uid": event.uid,
            },
            "type": if event.is_warning { "Warning" } else { "Normal" },
            "reason": event.reason,
            "message": event.message(),
            "source": { "component": CONTROLLER_NAME },
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
        });
        let request = Request::new(EVENTS.path(Some(&event.namespace)))
            .create(&PostParams::default(), body.to_string().into());
        let created: PostedEvent = self.send(&call(event), request).await?;
        Ok(EventRecord { name: created.metadata.name, count: 1 })
    }

    /// Increments the count of an Event and updates its message. Creates it again if it has
    /// expired.
    pub async fn update_event(
        &self,
        event: &EventInput,
        recorded: &EventRecord,
    ) -> Result<EventRecord, ClusterError> {
        let count = recorded.count.saturating_add(1);
        let patch: Value = json!({ "count": count, "message": event.message(), "lastTimestamp": seconds(Timestamp::now()) });
        let path = Request::new(EVENTS.path(Some(&event.namespace)));
        let request = path.patch(&recorded.name, &PatchParams::default(), &Patch::Merge(&patch));
        match self.send::<PostedEvent>(&call(event), request).await {
            Ok(_) => Ok(EventRecord { name: recorded.name.clone(), count }),
            Err(error) if error.is_not_found() => self.create_event(event).await,
            Err(error) => Err(error),
        }
    }
}

fn call(event: &EventInput) -> String {
    format!("write an event in namespace {}", event.namespace)
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
