//! Kubernetes Events in the namespaces about their reconciles, builds and imports.
//!
//! Not kube's `Recorder` (kube-runtime 5.0 `events.rs`): it keeps the first message of a repeated
//! Event, forgets the Event after 6 minutes, and does not limit repetitions. The queue, the key and
//! the deduplication would remain here, and its requests would bypass the limits and metrics of
//! `Cluster`.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::event::{ControllerEvent, ReconcileOutcome};
use crate::cluster::{Cluster, EventInput, EventRecord};
use crate::printable::printable;

/// Events beyond this number are dropped, so that the controller never waits.
const QUEUE_CAPACITY: usize = 1000;

/// Within this time a repeated Event is not counted again: a failing namespace is retried often.
const DEDUP_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Lifetime of an Event (kube-apiserver `--event-ttl`).
const CACHE_TTL: Duration = Duration::from_secs(60 * 60);

/// Reason of Events about namespaces that could not be reconciled.
const FAILED: &str = "QuayReconcileFailed";

/// Changes that the message of an Event lists.
const MAX_LISTED: usize = 5;

/// Accepts Events without blocking.
#[derive(Clone)]
pub(crate) struct EventRecorder(mpsc::Sender<EventInput>);

impl EventRecorder {
    /// Returns a recorder and the task that writes its Events.
    pub(crate) fn new(cluster: Cluster) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = mpsc::channel(QUEUE_CAPACITY);
        (Self(sender), write(cluster, receiver))
    }

    /// Messages can contain a tenant's names and errors, and not every program escapes Events; so
    /// control characters are removed.
    pub(crate) fn record(&self, event: &ControllerEvent) {
        event_input(event).into_iter().for_each(|input| {
            self.send(EventInput { message: printable(&input.message), ..input })
        });
    }

    fn send(&self, input: EventInput) {
        // A full queue drops the Event.
        let _ = self.0.try_send(input);
    }
}

async fn write(cluster: Cluster, mut inputs: mpsc::Receiver<EventInput>) {
    let mut cache = EventCache::default();
    while let Some(input) = inputs.recv().await {
        let written = match cache.posting(&input, Instant::now()) {
            Posting::Skip => continue,
            Posting::Increment(record) => cluster.update_event(&input, &record).await,
            Posting::Create => cluster.create_event(&input).await,
        };
        match written {
            Ok(record) => cache.put(&input, record, Instant::now()),
            // A namespace in deletion accepts no Events.
            Err(error) if matches!(error.status(), Some(403 | 404)) => {
                cache.forget(&input.namespace)
            }
            Err(error) => tracing::warn!(%error, "failed to write Event"),
        }
    }
}

#[derive(Default)]
struct EventCache(HashMap<Key, CachedEvent>);

/// Identity of an Event.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    namespace: String,
    uid: String,
    reason: &'static str,
    subject: String,
}

struct CachedEvent {
    record: EventRecord,
    message: String,
    at: Instant,
}

impl Key {
    fn new(input: &EventInput) -> Self {
        let EventInput { namespace, uid, reason, subject, .. } = input;
        Self { namespace: namespace.clone(), uid: uid.clone(), reason, subject: subject.clone() }
    }
}

#[derive(Debug, PartialEq)]
enum Posting {
    /// Repeated within [`DEDUP_WINDOW`].
    Skip,
    /// Increment its count.
    Increment(EventRecord),
    /// It is event.
    Create,
}

impl EventCache {
    fn posting(&mut self, input: &EventInput, now: Instant) -> Posting {
        self.0.retain(|_, cached| now.duration_since(cached.at) < CACHE_TTL);
        match self.0.get(&Key::new(input)) {
            Some(cached)
                if cached.message == input.message
                    && now.duration_since(cached.at) < DEDUP_WINDOW =>
            {
                Posting::Skip
            }
            Some(cached) => Posting::Increment(cached.record.clone()),
            None => Posting::Create,
        }
    }

    fn put(&mut self, input: &EventInput, record: EventRecord, at: Instant) {
        self.0.insert(Key::new(input), CachedEvent { record, message: input.message.clone(), at });
    }

    fn forget(&mut self, namespace: &str) {
        self.0.retain(|key, _| key.namespace != namespace);
    }
}

fn event_input(event: &ControllerEvent) -> Option<EventInput> {
    let (namespace, uid, outcome, changes) = match event {
        ControllerEvent::Reconciled { namespace, uid, outcome, changes, .. } => {
            (namespace, uid, outcome, changes)
        }
        ControllerEvent::Imported { namespace, uid, destination, outcome, .. } => {
            let (namespace, uid, message) = (namespace.clone(), uid.clone(), event.to_string());
            let (reason, subject) = match outcome {
                Ok(_) => ("QuayImported", message.clone()),
                Err(_) => ("QuayImportFailed", destination.clone()),
            };
            return Some(EventInput {
                namespace,
                uid,
                is_warning: outcome.is_err(),
                reason,
                subject,
                message,
            });
        }
        // OpenShift creates builds, so users do not see the webhook's warnings.
        ControllerEvent::BuildNotPushed { namespace, uid, build, why } => {
            let (namespace, uid, message) =
                (namespace.clone(), uid.clone(), format!("build {build}: {why}"));
            return Some(EventInput {
                namespace,
                uid,
                is_warning: true,
                reason: "QuayBuildNotPushed",
                subject: build.clone(),
                message,
            });
        }
        // A namespace in deletion accepts no Events.
        _ => return None,
    };
    if uid.is_empty() {
        return None;
    }
    let (reason, message) = match outcome {
        ReconcileOutcome::Failed(why) => (FAILED, format!("reconcile failed, will retry: {why}")),
        ReconcileOutcome::Blocked(why) => (FAILED, format!("requires manual action: {why}")),
        ReconcileOutcome::Unavailable(_) | ReconcileOutcome::NotStarted(_) => return None,
        _ if changes.is_empty() => return None,
        _ => {
            let listed: Vec<_> =
                changes.iter().take(MAX_LISTED).map(|(change, _)| change.summary()).collect();
            let more = changes.len().saturating_sub(MAX_LISTED);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            ("QuayReconciled", format!("{}{more}", listed.join("; ")))
        }
    };
    let is_warning = reason == FAILED;
    // A failure concerns the namespace; changes differ each time.
    let subject = if is_warning { String::new() } else { message.clone() };
    Some(EventInput {
        namespace: namespace.clone(),
        uid: uid.clone(),
        is_warning,
        reason,
        subject,
        message,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::change::Change;

    fn reconciled(outcome: ReconcileOutcome, changes: usize) -> ControllerEvent {
        let change = |number| Change::DeleteSecret {
            namespace: "shop".into(),
            secret: format!("s{number}"),
            uid: String::new(),
            version: String::new(),
        };
        ControllerEvent::Reconciled {
            namespace: "shop".into(),
            uid: "1".into(),
            outcome,
            changes: (0..changes).map(|number| (change(number), None)).collect(),
            findings: vec![],
            took: Duration::ZERO,
        }
    }

    #[test]
    fn lists_changes_up_to_a_maximum() {
        let input = event_input(&reconciled(ReconcileOutcome::UpToDate, 7)).unwrap();
        assert_eq!((input.is_warning, input.reason), (false, "QuayReconciled"));
        assert!(input.message.contains("s4") && !input.message.contains("s5"), "{}", input.message);
        assert!(input.message.ends_with("; and 2 more"), "{}", input.message);
    }

    #[test]
    fn failure_is_a_warning_with_reason() {
        let input =
            event_input(&reconciled(ReconcileOutcome::Failed("Quay is read-only".into()), 0))
                .unwrap();
        assert_eq!((input.is_warning, input.reason), (true, "QuayReconcileFailed"));
        assert!(input.message.ends_with("Quay is read-only"), "{}", input.message);
    }

    #[test]
    fn identifies_failed_import_by_tag() {
        let failed = |destination: &str, why: &str| {
            let (namespace, uid, builds) = ("shop".into(), "1".into(), vec!["app-1".into()]);
            event_input(&ControllerEvent::Imported {
                namespace,
                uid,
                builds,
                destination: destination.into(),
                outcome: Err(why.into()),
            })
            .unwrap()
        };
        let (first, second) = (
            failed("shop/app:1", "the call to q failed"),
            failed("shop/app:1", "another call to q failed"),
        );
        assert!(first.message != second.message && Key::new(&first) == Key::new(&second));
        assert!(Key::new(&first) != Key::new(&failed("shop/app:2", "the call to q failed")));
    }

    #[test]
    fn removes_control_characters() {
        let (sender, mut receiver) = mpsc::channel(1);
        EventRecorder(sender).record(&reconciled(
            ReconcileOutcome::Blocked("tag \u{1b}[2J\u{202e}app is odd".into()),
            0,
        ));
        assert!(receiver.try_recv().unwrap().message.ends_with("tag  app is odd"));
    }

    #[test]
    fn records_nothing_without_changes() {
        let of_quay = [
            ReconcileOutcome::Unavailable("Quay is unavailable".into()),
            ReconcileOutcome::NotStarted("no robot accounts".into()),
        ];
        let of_namespace = [
            ReconcileOutcome::UpToDate,
            ReconcileOutcome::Skipped,
            ReconcileOutcome::Waiting("its service accounts"),
        ];
        for outcome in of_namespace.into_iter().chain(of_quay) {
            assert_eq!(event_input(&reconciled(outcome, 0)), None);
        }
        assert_eq!(event_input(&ControllerEvent::Leading(true)), None);
    }

    #[test]
    fn deduplicates_events_until_they_expire() {
        let record = |name: &str| EventRecord::new(name);
        let about = |reason: &'static str, subject: &str, message: &str, uid: &str| EventInput {
            namespace: "shop".into(),
            uid: uid.into(),
            is_warning: true,
            reason,
            subject: subject.into(),
            message: message.into(),
        };
        let (failed, not_imported) = (
            about("QuayReconcileFailed", "", "no", "1"),
            about("QuayImportFailed", "app:1", "no", "1"),
        );
        let (mut cache, start) = (EventCache::default(), Instant::now());
        assert_eq!(cache.posting(&failed, start), Posting::Create);
        cache.put(&failed, record("a"), start);
        cache.put(&not_imported, record("b"), start);
        // Two alternating problems are not new each time.
        for input in [&failed, &not_imported, &failed] {
            assert_eq!(cache.posting(input, start), Posting::Skip);
        }
        let reworded = about("QuayReconcileFailed", "", "why", "1");
        assert_eq!(
            cache.posting(&reworded, start),
            Posting::Increment(record("a")),
            "one Event for each object"
        );
        let reworded = about("QuayImportFailed", "app:1", "why", "1");
        assert_eq!(
            cache.posting(&reworded, start),
            Posting::Increment(record("b")),
            "one Event for each object"
        );
        assert_eq!(
            cache.posting(&about("QuayImportFailed", "app:2", "no", "1"), start),
            Posting::Create,
            "another tag"
        );
        assert_eq!(
            cache.posting(&about("QuayReconcileFailed", "", "no", "2"), start),
            Posting::Create,
            "another namespace of that name"
        );
        assert_eq!(cache.posting(&failed, start + DEDUP_WINDOW), Posting::Increment(record("a")));
        assert_eq!(cache.posting(&failed, start + CACHE_TTL), Posting::Create);
        assert!(cache.0.is_empty());
        cache.put(&failed, record("a"), start);
        cache.forget("shop");
        assert!(cache.0.is_empty());
    }
}
