//! Events in the namespaces: what was done there, and what could not be.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::event::{ControllerEvent, ReconcileOutcome};
use crate::cluster::{Cluster, EventInput, EventRecord};
use crate::ui::printable;

/// What waits to be written. Rather than keep the bridge waiting, more than that is dropped.
const WAITING: usize = 1000;

/// An Event that happens again within this time is not counted again: a namespace that fails is tried often.
const DEDUP_WINDOW: Duration = Duration::from_secs(5 * 60);

/// So long Kubernetes keeps an Event (kube-apiserver `--event-ttl`); with the Event goes what we know of it.
const CACHE_TTL: Duration = Duration::from_secs(60 * 60);

/// The reason of an Event about a namespace that could not be put right.
const FAILED: &str = "QuayReconcileFailed";

/// So many changes are named in one Event.
const MAX_LISTED: usize = 5;

/// Where Events are handed in.
#[derive(Clone)]
pub(crate) struct EventRecorder(mpsc::Sender<EventInput>);

impl EventRecorder {
    /// A notebook, and the work of writing what is noted in it, which lasts as long as it does.
    pub(crate) fn new(cluster: Cluster) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), write(cluster, receiver))
    }

    /// Notes what is of interest to those who work in a namespace. Names and reasons in it may be a tenant's words, and not every
    /// program that shows Events escapes them.
    pub(crate) fn note(&self, event: &ControllerEvent) {
        note(event)
            .into_iter()
            .for_each(|note| self.take(EventInput { message: printable(&note.message), ..note }));
    }

    fn take(&self, note: EventInput) {
        // With a thousand waiting, one more says nothing new.
        let _ = self.0.try_send(note);
    }
}

async fn write(cluster: Cluster, mut notes: mpsc::Receiver<EventInput>) {
    let mut book = EventCache::default();
    while let Some(note) = notes.recv().await {
        let written = match book.what_to_do(&note, Instant::now()) {
            Entry::Nothing => continue,
            Entry::Again(noted) => cluster.record_again(&note, &noted).await,
            Entry::Anew => cluster.note(&note).await,
        };
        match written {
            Ok(noted) => book.keep(&note, noted, Instant::now()),
            // A namespace that is going takes none.
            Err(error) if matches!(error.status(), Some(403 | 404)) => book.forget(&note.namespace),
            Err(error) => tracing::warn!(%error, "an event was not written"),
        }
    }
}

/// What was written, and when.
#[derive(Default)]
struct EventCache(HashMap<Key, Kept>);

/// What tells Events apart.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    namespace: String,
    uid: String,
    reason: &'static str,
    subject: String,
}

/// An Event that was written.
struct Kept {
    noted: EventRecord,
    message: String,
    at: Instant,
}

impl Key {
    fn of(note: &EventInput) -> Self {
        let EventInput { namespace, uid, reason, subject, .. } = note;
        Self { namespace: namespace.clone(), uid: uid.clone(), reason, subject: subject.clone() }
    }
}

/// What becomes of a note.
#[derive(Debug, PartialEq)]
enum Entry {
    /// It was written a moment ago.
    Nothing,
    /// It is counted once more.
    Again(EventRecord),
    /// It is news.
    Anew,
}

impl EventCache {
    fn what_to_do(&mut self, note: &EventInput, now: Instant) -> Entry {
        self.0.retain(|_, kept| now.duration_since(kept.at) < CACHE_TTL);
        match self.0.get(&Key::of(note)) {
            Some(kept)
                if kept.message == note.message && now.duration_since(kept.at) < DEDUP_WINDOW =>
            {
                Entry::Nothing
            }
            Some(kept) => Entry::Again(kept.noted.clone()),
            None => Entry::Anew,
        }
    }

    fn keep(&mut self, note: &EventInput, noted: EventRecord, at: Instant) {
        self.0.insert(Key::of(note), Kept { noted, message: note.message.clone(), at });
    }

    fn forget(&mut self, namespace: &str) {
        self.0.retain(|key, _| key.namespace != namespace);
    }
}

fn note(event: &ControllerEvent) -> Option<EventInput> {
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
        // OpenShift creates the build, and not the person who started it, who so sees no warning of the webhook's.
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
        // A namespace that goes takes no Events.
        _ => return None,
    };
    if uid.is_empty() {
        return None;
    }
    let (reason, message) = match outcome {
        ReconcileOutcome::Failed(why) => {
            (FAILED, format!("could not be put right, and is tried again: {why}"))
        }
        ReconcileOutcome::Blocked(why) => (FAILED, format!("needs a person: {why}")),
        ReconcileOutcome::Unavailable(_) | ReconcileOutcome::Stopped(_) => return None,
        _ if changes.is_empty() => return None,
        _ => {
            let named: Vec<_> =
                changes.iter().take(MAX_LISTED).map(|(change, _)| change.summary()).collect();
            let more = changes.len().saturating_sub(MAX_LISTED);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            ("QuayReconciled", format!("{}{more}", named.join("; ")))
        }
    };
    let is_warning = reason == FAILED;
    // A namespace fails as a whole, and what was done in it is something else each time.
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
    fn what_was_done_is_named_and_a_long_list_cut() {
        let note = note(&reconciled(ReconcileOutcome::Settled, 7)).unwrap();
        assert_eq!((note.is_warning, note.reason), (false, "QuayReconciled"));
        assert!(note.message.contains("s4") && !note.message.contains("s5"), "{}", note.message);
        assert!(note.message.ends_with("; and 2 more"), "{}", note.message);
    }

    #[test]
    fn a_failure_is_a_warning_with_its_reason() {
        let note =
            note(&reconciled(ReconcileOutcome::Failed("Quay is read-only".into()), 0)).unwrap();
        assert_eq!((note.is_warning, note.reason), (true, "QuayReconcileFailed"));
        assert!(note.message.ends_with("Quay is read-only"), "{}", note.message);
    }

    #[test]
    fn a_failed_import_is_about_its_tag_however_it_is_worded() {
        let failed = |destination: &str, why: &str| {
            let (namespace, uid, builds) = ("shop".into(), "1".into(), vec!["app-1".into()]);
            note(&ControllerEvent::Imported {
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
        assert!(first.message != second.message && Key::of(&first) == Key::of(&second));
        assert!(Key::of(&first) != Key::of(&failed("shop/app:2", "the call to q failed")));
    }

    #[test]
    fn no_word_of_an_event_steers_a_terminal() {
        let (sender, mut receiver) = mpsc::channel(1);
        EventRecorder(sender).note(&reconciled(
            ReconcileOutcome::Blocked("tag \u{1b}[2J\u{202e}app is odd".into()),
            0,
        ));
        assert!(receiver.try_recv().unwrap().message.ends_with("tag  app is odd"));
    }

    #[test]
    fn where_nothing_happened_nothing_is_noted() {
        let of_quay = [
            ReconcileOutcome::Unavailable("Quay does not answer".into()),
            ReconcileOutcome::Stopped("no robot accounts".into()),
        ];
        let of_namespace = [
            ReconcileOutcome::Settled,
            ReconcileOutcome::NotOurs,
            ReconcileOutcome::Waiting("its service accounts"),
        ];
        for outcome in of_namespace.into_iter().chain(of_quay) {
            assert_eq!(note(&reconciled(outcome, 0)), None);
        }
        assert_eq!(note(&ControllerEvent::Leading(true)), None);
    }

    #[test]
    fn what_was_noted_is_known_by_all_of_it_and_for_as_long_as_it_is_there() {
        let noted = |name: &str| EventRecord::new(name);
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
        let (mut book, start) = (EventCache::default(), Instant::now());
        assert_eq!(book.what_to_do(&failed, start), Entry::Anew);
        book.keep(&failed, noted("a"), start);
        book.keep(&not_imported, noted("b"), start);
        // Two troubles that come in turns are not news each time.
        for note in [&failed, &not_imported, &failed] {
            assert_eq!(book.what_to_do(note, start), Entry::Nothing);
        }
        let said_otherwise = about("QuayReconcileFailed", "", "why", "1");
        assert_eq!(
            book.what_to_do(&said_otherwise, start),
            Entry::Again(noted("a")),
            "one Event for one object"
        );
        let said_otherwise = about("QuayImportFailed", "app:1", "why", "1");
        assert_eq!(
            book.what_to_do(&said_otherwise, start),
            Entry::Again(noted("b")),
            "one Event for one object"
        );
        assert_eq!(
            book.what_to_do(&about("QuayImportFailed", "app:2", "no", "1"), start),
            Entry::Anew,
            "another tag"
        );
        assert_eq!(
            book.what_to_do(&about("QuayReconcileFailed", "", "no", "2"), start),
            Entry::Anew,
            "another namespace of the name"
        );
        assert_eq!(book.what_to_do(&failed, start + DEDUP_WINDOW), Entry::Again(noted("a")));
        assert_eq!(book.what_to_do(&failed, start + CACHE_TTL), Entry::Anew);
        assert!(book.0.is_empty());
        book.keep(&failed, noted("a"), start);
        book.forget("shop");
        assert!(book.0.is_empty());
    }
}
