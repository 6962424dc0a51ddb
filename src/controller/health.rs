//! What the cluster asks the bridge itself: whether it lives, whether it is ready, and its metrics.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::metrics::Metrics;
use super::shared::Shared;

/// The text format of OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers for as long as the program runs; `ending` says that it will not do so for long.
pub(crate) async fn serve(listener: TcpListener, shared: Shared, metrics: Arc<Metrics>, ending: watch::Receiver<bool>) {
    if let Err(error) = axum::serve(listener, router(shared, metrics, ending)).await {
        tracing::error!(%error, "/healthz, /readyz and /metrics are not served any more");
    }
}

/// `/healthz` says that the program runs; `/readyz`, that it has read what there is in the cluster and goes on running.
fn router(shared: Shared, metrics: Arc<Metrics>, ending: watch::Receiver<bool>) -> Router {
    let state = shared.clone();
    let ready = async move || match (state.is_synced(), *ending.borrow()) {
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "told to end\n"),
        (true, _) => (StatusCode::OK, "ok\n"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "still reading what there is in the cluster\n"),
    };
    let text = async move || {
        let (now, later) = shared.queue_depth();
        metrics.measure_queue(now, later);
        ([(CONTENT_TYPE, OPEN_METRICS)], metrics.text())
    };
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready)).route("/metrics", get(text))
}
