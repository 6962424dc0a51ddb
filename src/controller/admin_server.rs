//! HTTP server for health probes and metrics.
//!
//! Every pod of the cluster can connect. A connection beyond the limit evicts the oldest one, so
//! that probes of the kubelet are always answered.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, Sleep, sleep};

use super::metrics::Metrics;
use super::state::ControllerState;

/// The text format of OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The kubelet and the monitoring need one each.
const MAX_CONNECTIONS: usize = 64;

/// Limit for a connection without an answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Accepting fails when the process has too many open files.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(500);

/// Never ends. `/readyz` fails while `ending` is true.
pub(crate) async fn serve(
    listener: TcpListener,
    state: ControllerState,
    metrics: Arc<Metrics>,
    ending: watch::Receiver<bool>,
) {
    // It never ends.
    let _ = axum::serve(LimitedListener::new(listener), router(state, metrics, ending)).await;
}

/// A listener that evicts the oldest connection for a new one.
struct LimitedListener {
    listener: TcpListener,
    open: VecDeque<oneshot::Sender<()>>,
}

/// A connection that ends when it is idle or evicted.
struct Connection {
    stream: TcpStream,
    /// Reset by each answer.
    end: Pin<Box<Sleep>>,
    evicted: oneshot::Receiver<()>,
}

impl LimitedListener {
    fn new(listener: TcpListener) -> Self {
        Self { listener, open: VecDeque::new() }
    }

    fn admit(&mut self, stream: TcpStream) -> Connection {
        self.open.retain(|slot| !slot.is_closed());
        if self.open.len() >= MAX_CONNECTIONS
            && let Some(oldest) = self.open.pop_front()
        {
            // It might have ended already.
            let _ = oldest.send(());
        }
        let (slot, evicted) = oneshot::channel();
        self.open.push_back(slot);
        Connection { stream, end: Box::pin(sleep(IDLE_TIMEOUT)), evicted }
    }
}

impl Listener for LimitedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (self.admit(stream), peer),
                Err(_) => sleep(ACCEPT_RETRY_DELAY).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let is_over = self.end.as_mut().poll(context).is_ready()
            || pin!(&mut self.evicted).poll(context).is_ready();
        if is_over {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        pin!(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // A client that does not read times out like an idle one.
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let written = ready!(pin!(&mut self.stream).poll_write(context, bytes));
        self.end.as_mut().reset(Instant::now() + IDLE_TIMEOUT);
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(context)
    }
}

/// `/healthz` succeeds while the process runs; `/readyz` when the caches are synced, until
/// shutdown.
fn router(state: ControllerState, metrics: Arc<Metrics>, ending: watch::Receiver<bool>) -> Router {
    let readiness = state.clone();
    let ready = async move || match (readiness.is_synced(), *ending.borrow()) {
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
        (true, _) => (StatusCode::OK, "ok\n"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "caches not synced\n"),
    };
    let text = async move || {
        let (queued, delayed) = state.queue_depth();
        metrics.set_queue_depth(queued, delayed);
        ([(CONTENT_TYPE, OPEN_METRICS)], metrics.text())
    };
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn probe_evicts_idle_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/healthz", get(async || "ok\n"));
        let server =
            tokio::spawn(async move { axum::serve(LimitedListener::new(listener), router).await });
        let mut idle = Vec::new();
        for _ in 0..MAX_CONNECTIONS + 10 {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let mut probe = TcpStream::connect(address).await.unwrap();
        probe
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        probe.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");
        // The oldest connections are closed, and the newest are not.
        let mut byte = [0];
        assert!(matches!(idle[0].read(&mut byte).await, Ok(0) | Err(_)));
        assert!(
            idle.last()
                .unwrap()
                .try_read(&mut byte)
                .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        );
        server.abort();
    }
}
