//! What the cluster asks the bridge itself: whether it lives, whether it is ready, and its metrics.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;

use super::metrics::Metrics;
use super::shared::Shared;

/// The text format of OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers for as long as the program runs.
pub(crate) async fn serve(listener: TcpListener, shared: Shared, metrics: Arc<Metrics>) {
    if let Err(error) = axum::serve(listener, router(shared, metrics)).await {
        tracing::error!(%error, "/healthz, /readyz and /metrics are not served any more");
    }
}

/// `/healthz` says that the program runs; `/readyz`, that it has read what there is in the cluster.
fn router(shared: Shared, metrics: Arc<Metrics>) -> Router {
    let state = shared.clone();
    let ready = async move || match state.is_synced() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "still reading what there is in the cluster\n"),
    };
    let text = async move || {
        let (now, later) = shared.queue_depth();
        metrics.measure_queue(now, later);
        ([(CONTENT_TYPE, OPEN_METRICS)], metrics.text())
    };
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready)).route("/metrics", get(text))
}
