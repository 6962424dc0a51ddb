//! Prometheus metrics of the controller, webhook and requests.
//!
//! Labels are fixed words and codes, never names, so the number of series is independent of the
//! size of the cluster.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;
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

/// Seconds: from 1 ms with cached data to a minute.
const NAMESPACE_BUCKETS: [f64; 9] = [0.001, 0.01, 0.05, 0.25, 1.0, 2.5, 10.0, 30.0, 60.0];

/// Seconds: Quay takes 0.2 s for a request with a token.
const REQUEST_BUCKETS: [f64; 8] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Seconds: a review is answered from memory, and times out after 3 s.
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

#[derive(Clone)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

pub(crate) struct Metrics {
    registry: Registry,
    is_leader: Gauge,
    caches_synced: Gauge,
    integration_usable: Gauge,
    queue_depth: Gauge,
    retries_pending: Gauge,
    reconciles: Family<ResultLabel, Counter>,
    reconcile_time: Histogram,
    requests: Family<RequestLabels, Counter>,
    request_time: Family<SideLabel, Histogram, Buckets>,
    changes: Family<ChangeLabels, Counter>,
    drift_detected: Counter,
    findings: Family<FindingLabels, Gauge>,
    imports: Family<ResultLabel, Counter>,
    organizations_orphaned: Counter,
    watch_failures: Counter,
    reviews: Family<ResultLabel, Counter>,
    review_time: Histogram,
    /// Findings of each namespace, to subtract them when they change.
    namespace_findings: Mutex<HashMap<String, BTreeMap<FindingLabels, i64>>>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("oc_quay");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of oc-quay", build);
        let request_time = Family::new_with_constructor(Buckets(&REQUEST_BUCKETS));
        Self {
            is_leader: register(
                &mut registry,
                "is_leader",
                "Whether this replica is the leader",
                Gauge::default(),
            ),
            caches_synced: register(
                &mut registry,
                "caches_synced",
                "Whether the caches of the cluster are synced",
                Gauge::default(),
            ),
            integration_usable: register(
                &mut registry,
                "integration_usable",
                "Whether the QuayIntegration is usable",
                Gauge::default(),
            ),
            queue_depth: register(
                &mut registry,
                "queue_depth",
                "Namespaces in the queue or being reconciled",
                Gauge::default(),
            ),
            retries_pending: register(
                &mut registry,
                "retries_pending",
                "Namespaces waiting for a retry",
                Gauge::default(),
            ),
            reconciles: register(
                &mut registry,
                "reconciles",
                "Reconciled namespaces by result",
                Family::default(),
            ),
            reconcile_time: register_seconds(
                &mut registry,
                "reconcile_duration",
                "Duration of the reconcile of a namespace",
                Buckets(&NAMESPACE_BUCKETS).new_metric(),
            ),
            requests: register(
                &mut registry,
                "requests",
                "Requests to the cluster and Quay by kind and status",
                Family::default(),
            ),
            request_time: register_seconds(
                &mut registry,
                "request_duration",
                "Duration of requests to the cluster and Quay",
                request_time,
            ),
            changes: register(
                &mut registry,
                "changes",
                "Changes by kind and result",
                Family::default(),
            ),
            drift_detected: register(
                &mut registry,
                "drift_detected",
                "Reconciles that found drift",
                Counter::default(),
            ),
            findings: register(
                &mut registry,
                "findings",
                "Current findings in namespaces by code",
                Family::default(),
            ),
            imports: register(
                &mut registry,
                "imports",
                "Imports of tags by result",
                Family::default(),
            ),
            organizations_orphaned: register(
                &mut registry,
                "organizations_orphaned",
                "Organizations that were not deleted with their namespace",
                Counter::default(),
            ),
            watch_failures: register(
                &mut registry,
                "watch_failures",
                "Failed reads and watches of the cluster",
                Counter::default(),
            ),
            reviews: register(
                &mut registry,
                "webhook_reviews",
                "Reviewed builds by result",
                Family::default(),
            ),
            review_time: register_seconds(
                &mut registry,
                "webhook_duration",
                "Duration of reviews",
                Buckets(&REVIEW_BUCKETS).new_metric(),
            ),
            namespace_findings: Mutex::default(),
            registry,
        }
    }

    /// In the OpenMetrics text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(crate) fn count(&self, event: &ControllerEvent) {
        match event {
            ControllerEvent::Synced { .. } => {
                self.caches_synced.set(1);
            }
            ControllerEvent::Unread(_) => {
                self.watch_failures.inc();
            }
            ControllerEvent::Integration { quay } => {
                self.integration_usable.set(i64::from(quay.is_ok()));
            }
            ControllerEvent::Quay { .. }
            | ControllerEvent::Warning(_)
            | ControllerEvent::ConditionsUnwritten { .. }
            | ControllerEvent::BuildNotPushed { .. } => {}
            ControllerEvent::Leading(leading) => {
                self.is_leader.set(i64::from(*leading));
            }
            ControllerEvent::Imported { outcome, .. } => {
                let result = if outcome.is_ok() { "done" } else { "failed" };
                self.imports.get_or_create(&ResultLabel { result }).inc();
            }
            ControllerEvent::OrganizationOrphaned { .. } => {
                self.organizations_orphaned.inc();
            }
            ControllerEvent::Reconciled { namespace, outcome, changes, findings, took, .. } => {
                self.reconciles
                    .get_or_create(&ResultLabel { result: result_label(outcome, changes.len()) })
                    .inc();
                self.reconcile_time.observe(took.as_secs_f64());
                self.drift_detected.inc_by(u64::from(!changes.is_empty()));
                for (change, failed) in changes {
                    let kind = format!("{} {}", verb_label(change), change.object().kind);
                    let result = if failed.is_some() { "failed" } else { "done" };
                    self.changes.get_or_create(&ChangeLabels { change: kind, result }).inc();
                }
                let is_repaired =
                    !changes.is_empty() && changes.iter().all(|(_, failed)| failed.is_none());
                let is_left = |finding: &&Finding| {
                    *outcome != ReconcileOutcome::Skipped
                        && !(is_repaired && finding.severity == Severity::Error)
                };
                self.replace_findings(namespace, findings.iter().filter(is_left));
            }
        }
    }

    pub(crate) fn count_request(&self, request: &ObservedRequest) {
        let ObservedRequest { side, kind, status, duration } = request;
        let code = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.requests
            .get_or_create(&RequestLabels { side: side.name(), kind: kind.clone(), code })
            .inc();
        self.request_time
            .get_or_create(&SideLabel { side: side.name() })
            .observe(duration.as_secs_f64());
    }

    pub(crate) fn count_review(&self, event: &WebhookEvent) {
        if let WebhookEvent::Reviewed { outcome, took, .. } = event {
            self.reviews.get_or_create(&ResultLabel { result: outcome.as_str() }).inc();
            self.review_time.observe(took.as_secs_f64());
        }
    }

    pub(crate) fn set_queue_depth(&self, queued: usize, delayed: usize) {
        for (gauge, count) in [(&self.queue_depth, queued), (&self.retries_pending, delayed)] {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    fn replace_findings<'a>(&self, namespace: &str, findings: impl Iterator<Item = &'a Finding>) {
        let mut now: BTreeMap<FindingLabels, i64> = BTreeMap::new();
        for finding in findings {
            *now.entry(FindingLabels {
                code: finding.code.as_str(),
                severity: finding.severity.as_str(),
            })
            .or_default() += 1;
        }
        let mut found = self.namespace_findings.lock();
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

/// Value of the label `result`.
fn result_label(outcome: &ReconcileOutcome, changes: usize) -> &'static str {
    match outcome {
        ReconcileOutcome::UpToDate if changes == 0 => "unchanged",
        ReconcileOutcome::UpToDate => "repaired",
        ReconcileOutcome::Skipped => "skipped",
        ReconcileOutcome::Waiting(_) => "waiting",
        ReconcileOutcome::Failed(_) => "failed",
        ReconcileOutcome::Unavailable(_) => "unavailable",
        ReconcileOutcome::NotStarted(_) | ReconcileOutcome::Blocked(_) => "blocked",
    }
}

fn register<M: Clone + Metric>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

fn register_seconds<M: Clone + Metric>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

fn verb_label(change: &Change) -> &'static str {
    match change.verb() {
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Delete => "delete",
    }
}
