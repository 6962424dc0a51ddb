use std::time::Duration;

use super::*;
use crate::controller::webhook::ReviewOutcome;
use crate::domain::change::Change;
use crate::domain::finding::{Code, ObjectRef};
use crate::request_metrics::Side;

fn reconciled(
    outcome: ReconcileOutcome,
    changes: Vec<(Change, Option<String>)>,
    findings: Vec<Code>,
) -> ControllerEvent {
    let finding = |code| {
        Finding::new(code, ObjectRef::cluster("Namespace", "shop"), "m").in_namespace("shop")
    };
    ControllerEvent::Reconciled {
        namespace: "shop".into(),
        uid: "1".into(),
        outcome,
        changes,
        findings: findings.into_iter().map(finding).collect(),
        took: Duration::from_millis(20),
    }
}

fn delete() -> Change {
    Change::DeleteSecret {
        namespace: "shop".into(),
        secret: "builder-quay-openshift".into(),
        uid: String::new(),
        version: String::new(),
    }
}

#[track_caller]
fn assert_lines(metrics: &Metrics, lines: &[&str]) {
    let text = metrics.text();
    for line in lines {
        assert!(text.lines().any(|known| known == *line), "{line} is not in\n{text}");
    }
}

#[test]
fn counts_reconciles_by_result_and_changes_by_kind() {
    let metrics = Metrics::new();
    metrics.count(&reconciled(ReconcileOutcome::UpToDate, vec![], vec![]));
    metrics.count(&reconciled(ReconcileOutcome::UpToDate, vec![(delete(), None)], vec![]));
    metrics.count(&reconciled(
        ReconcileOutcome::Failed("no".into()),
        vec![(delete(), Some("no".into()))],
        vec![],
    ));
    assert_lines(
        &metrics,
        &[
            r#"oc_quay_reconciles_total{result="unchanged"} 1"#,
            r#"oc_quay_reconciles_total{result="repaired"} 1"#,
            r#"oc_quay_reconciles_total{result="failed"} 1"#,
            r#"oc_quay_changes_total{change="delete Secret",result="done"} 1"#,
            r#"oc_quay_changes_total{change="delete Secret",result="failed"} 1"#,
            "oc_quay_drift_detected_total 2",
            "oc_quay_reconcile_duration_seconds_count 3",
        ],
    );
}

#[test]
fn findings_follow_the_latest_reconcile() {
    let metrics = Metrics::new();
    let missing = r#"oc_quay_findings{code="OQ301",severity="error"}"#;
    metrics.count(&reconciled(
        ReconcileOutcome::Failed("no".into()),
        vec![],
        vec![Code::SecretMissing, Code::SecretMissing],
    ));
    assert_lines(&metrics, &[&format!("{missing} 2")]);
    metrics.count(&reconciled(
        ReconcileOutcome::Failed("no".into()),
        vec![],
        vec![Code::SecretMissing],
    ));
    assert_lines(&metrics, &[&format!("{missing} 1")]);
    metrics.count(&reconciled(
        ReconcileOutcome::UpToDate,
        vec![(delete(), None)],
        vec![Code::SecretMissing, Code::RivalSecret],
    ));
    assert_lines(
        &metrics,
        &[&format!("{missing} 0"), r#"oc_quay_findings{code="OQ308",severity="warning"} 1"#],
    );
    metrics.count(&reconciled(ReconcileOutcome::Skipped, vec![], vec![Code::OutOfScope]));
    assert_lines(&metrics, &[r#"oc_quay_findings{code="OQ308",severity="warning"} 0"#]);
    assert!(!metrics.text().contains("OQ120"), "a skipped namespace has no findings");
}

#[test]
fn counts_requests_by_side_kind_and_status() {
    let metrics = Metrics::new();
    for (side, kind, status) in [
        (Side::Cluster, "list secrets", Some(200)),
        (Side::Quay, "PUT organization/*/robots/*", None),
    ] {
        metrics.count_request(&ObservedRequest {
            side,
            kind: kind.into(),
            status,
            duration: Duration::from_millis(3),
        });
    }
    assert_lines(
        &metrics,
        &[
            r#"oc_quay_requests_total{side="cluster",kind="list secrets",code="200"} 1"#,
            r#"oc_quay_requests_total{side="quay",kind="PUT organization/*/robots/*",code="none"} 1"#,
            r#"oc_quay_request_duration_seconds_count{side="quay"} 1"#,
        ],
    );
}

#[test]
fn reports_state_of_replica() {
    let metrics = Metrics::new();
    assert_lines(&metrics, &["oc_quay_caches_synced 0", "oc_quay_is_leader 0", "# EOF"]);
    metrics.count(&ControllerEvent::Synced { namespaces: 3, image_streams: 4 });
    metrics.count(&ControllerEvent::Leading(true));
    metrics.count(&ControllerEvent::Integration { quay: Ok("https://quay.example.com".into()) });
    metrics.set_queue_depth(3, 1);
    metrics.count_review(&WebhookEvent::Reviewed {
        namespace: "shop".into(),
        name: "app-1".into(),
        outcome: ReviewOutcome::Rewritten,
        warning: None,
        took: Duration::from_micros(200),
    });
    let build = format!(r#"oc_quay_build_info{{version="{}"}} 1"#, env!("CARGO_PKG_VERSION"));
    assert_lines(
        &metrics,
        &[
            "oc_quay_caches_synced 1",
            "oc_quay_is_leader 1",
            "oc_quay_integration_usable 1",
            "oc_quay_queue_depth 3",
            "oc_quay_retries_pending 1",
            r#"oc_quay_webhook_reviews_total{result="rewritten"} 1"#,
            r#"oc_quay_webhook_duration_seconds_bucket{le="0.00025"} 1"#,
            &build,
        ],
    );
}
