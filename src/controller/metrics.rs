//! Prometheus metrics, made of what the bridge tells.
//!
//! Labels are words of this program or codes, never names: their number does not grow with the cluster.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::event::{ControllerEvent, ReconcileOutcome};
use super::webhook::WebhookEvent;
use crate::domain::change::{Change, Verb};
use crate::domain::finding::{Finding, Severity};
use crate::request_metrics::ObservedRequest;

/// Upper bounds in seconds: a namespace takes from a millisecond, read from the caches, to a minute.
const NAMESPACE_BUCKETS: [f64; 9] = [0.001, 0.01, 0.05, 0.25, 1.0, 2.5, 10.0, 30.0, 60.0];

/// A request with a token costs Quay a fifth of a second.
const REQUEST_BUCKETS: [f64; 8] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// A review is answered from memory, and given up after 3 s.
const REVIEW_BUCKETS: [f64; 8] = [0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.25, 3.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    side: &'static str,
    kind: String,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SideLabel {
    side: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChangeLabels {
    change: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct FindingLabels {
    code: &'static str,
    severity: &'static str,
}

/// Histograms with the same buckets.
#[derive(Clone)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// All metrics of the bridge.
pub(crate) struct Metrics {
    registry: Registry,
    leading: Gauge,
    ready: Gauge,
    integrated: Gauge,
    queue: Gauge,
    queue_later: Gauge,
    reconciles: Family<ResultLabel, Counter>,
    reconcile_time: Histogram,
    requests: Family<RequestLabels, Counter>,
    request_time: Family<SideLabel, Histogram, Buckets>,
    changes: Family<ChangeLabels, Counter>,
    drifts: Counter,
    findings: Family<FindingLabels, Gauge>,
    imports: Family<ResultLabel, Counter>,
    left_behind: Counter,
    unread: Counter,
    reviews: Family<ResultLabel, Counter>,
    review_time: Histogram,
    /// The findings of each namespace that has some.
    found: Mutex<HashMap<String, BTreeMap<FindingLabels, i64>>>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("oc_quay");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "This program", build);
        let request_time = Family::new_with_constructor(Buckets(&REQUEST_BUCKETS));
        Self {
            leading: registered(
                &mut registry,
                "is_leader",
                "Whether this replica does the work",
                Gauge::default(),
            ),
            ready: registered(
                &mut registry,
                "caches_synced",
                "Whether what there is in the cluster was read",
                Gauge::default(),
            ),
            integrated: registered(
                &mut registry,
                "integration_usable",
                "Whether it is known which Quay is meant, and there is a token for it",
                Gauge::default(),
            ),
            queue: registered(
                &mut registry,
                "queue_depth",
                "Namespaces that are to be worked on now or are being worked on",
                Gauge::default(),
            ),
            queue_later: registered(
                &mut registry,
                "retries_pending",
                "Namespaces that wait for another try",
                Gauge::default(),
            ),
            reconciles: registered(
                &mut registry,
                "reconciles",
                "Namespaces that were looked at, by result",
                Family::default(),
            ),
            reconcile_time: timed(
                &mut registry,
                "reconcile_duration",
                "How long it took to look at a namespace and put it right",
                Buckets(&NAMESPACE_BUCKETS).new_metric(),
            ),
            requests: registered(
                &mut registry,
                "requests",
                "Requests to both sides, by kind and status",
                Family::default(),
            ),
            request_time: timed(
                &mut registry,
                "request_duration",
                "How long requests to each side took",
                request_time,
            ),
            changes: registered(
                &mut registry,
                "changes",
                "Changes that were made or failed, by kind",
                Family::default(),
            ),
            drifts: registered(
                &mut registry,
                "drift_detected",
                "Times that a namespace was found to be other than it should be",
                Counter::default(),
            ),
            findings: registered(
                &mut registry,
                "findings",
                "What is found in namespaces, by code",
                Family::default(),
            ),
            imports: registered(
                &mut registry,
                "imports",
                "Tags that were imported or could not be",
                Family::default(),
            ),
            left_behind: registered(
                &mut registry,
                "organizations_orphaned",
                "Organizations that stayed although they were to go with their namespace",
                Counter::default(),
            ),
            unread: registered(
                &mut registry,
                "watch_failures",
                "Times that the cluster could not be read",
                Counter::default(),
            ),
            reviews: registered(
                &mut registry,
                "webhook_reviews",
                "Builds that were reviewed, by result",
                Family::default(),
            ),
            review_time: timed(
                &mut registry,
                "webhook_duration",
                "How long it took to answer a review",
                Buckets(&REVIEW_BUCKETS).new_metric(),
            ),
            found: Mutex::default(),
            registry,
        }
    }

    /// What is served at `/metrics`.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Counts what the bridge tells.
    pub(crate) fn count(&self, event: &ControllerEvent) {
        match event {
            ControllerEvent::Synced { .. } => {
                self.ready.set(1);
            }
            ControllerEvent::Unread(_) => {
                self.unread.inc();
            }
            ControllerEvent::Integration { quay } => {
                self.integrated.set(i64::from(quay.is_ok()));
            }
            ControllerEvent::Quay { .. }
            | ControllerEvent::Warning(_)
            | ControllerEvent::ConditionsUnwritten { .. }
            | ControllerEvent::BuildNotPushed { .. } => {}
            ControllerEvent::Leading(leading) => {
                self.leading.set(i64::from(*leading));
            }
            ControllerEvent::Imported { outcome, .. } => {
                let result = if outcome.is_ok() { "done" } else { "failed" };
                self.imports.get_or_create(&ResultLabel { result }).inc();
            }
            ControllerEvent::LeftBehind { .. } => {
                self.left_behind.inc();
            }
            ControllerEvent::Reconciled { namespace, outcome, changes, findings, took, .. } => {
                self.reconciles
                    .get_or_create(&ResultLabel { result: result(outcome, changes.len()) })
                    .inc();
                self.reconcile_time.observe(took.as_secs_f64());
                self.drifts.inc_by(u64::from(!changes.is_empty()));
                for (change, failed) in changes {
                    let kind = format!("{} {}", verb(change), change.object().kind);
                    let result = if failed.is_some() { "failed" } else { "done" };
                    self.changes.get_or_create(&ChangeLabels { change: kind, result }).inc();
                }
                let is_repaired =
                    !changes.is_empty() && changes.iter().all(|(_, failed)| failed.is_none());
                let is_left = |finding: &&Finding| {
                    *outcome != ReconcileOutcome::NotOurs
                        && !(is_repaired && finding.severity == Severity::Error)
                };
                self.replace_findings(namespace, findings.iter().filter(is_left));
            }
        }
    }
}

impl Metrics {
    /// Counts a request to either side.
    pub(crate) fn count_request(&self, request: &ObservedRequest) {
        let ObservedRequest { side, kind, status, took } = request;
        let code = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.requests
            .get_or_create(&RequestLabels { side: side.name(), kind: kind.clone(), code })
            .inc();
        self.request_time
            .get_or_create(&SideLabel { side: side.name() })
            .observe(took.as_secs_f64());
    }

    /// Counts what the webhook tells.
    pub(crate) fn count_review(&self, told: &WebhookEvent) {
        if let WebhookEvent::Reviewed { outcome, took, .. } = told {
            self.reviews.get_or_create(&ResultLabel { result: outcome.as_str() }).inc();
            self.review_time.observe(took.as_secs_f64());
        }
    }

    /// How many namespaces are to be worked on now, and later.
    pub(crate) fn measure_queue(&self, now: usize, later: usize) {
        for (gauge, count) in [(&self.queue, now), (&self.queue_later, later)] {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Puts what was found in a namespace now in the place of what was found before.
    fn replace_findings<'a>(&self, namespace: &str, findings: impl Iterator<Item = &'a Finding>) {
        let mut now: BTreeMap<FindingLabels, i64> = BTreeMap::new();
        for finding in findings {
            *now.entry(FindingLabels {
                code: finding.code.as_str(),
                severity: finding.severity.as_str(),
            })
            .or_default() += 1;
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for (labels, count) in found.remove(namespace).unwrap_or_default() {
            self.findings.get_or_create(&labels).dec_by(count);
        }
        for (labels, count) in &now {
            self.findings.get_or_create(labels).inc_by(*count);
        }
        if !now.is_empty() {
            found.insert(namespace.to_owned(), now);
        }
    }
}

/// How the work on a namespace went, in one word.
fn result(outcome: &ReconcileOutcome, changes: usize) -> &'static str {
    match outcome {
        ReconcileOutcome::Settled if changes == 0 => "unchanged",
        ReconcileOutcome::Settled => "repaired",
        ReconcileOutcome::NotOurs => "skipped",
        ReconcileOutcome::Waiting(_) => "waiting",
        ReconcileOutcome::Failed(_) => "failed",
        ReconcileOutcome::Unavailable(_) => "unavailable",
        ReconcileOutcome::Stopped(_) | ReconcileOutcome::Blocked(_) => "blocked",
    }
}

fn registered<M: Clone + Metric>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// The same of a time in seconds.
fn timed<M: Clone + Metric>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

fn verb(change: &Change) -> &'static str {
    match change.verb() {
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Delete => "delete",
    }
}
