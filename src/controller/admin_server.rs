//! What the cluster asks the bridge itself: whether it lives, whether it is ready, and its metrics.
//!
//! Every pod of the cluster can connect, so a connection has its limits: a client that opens more than there are places loses the
//! oldest of them, and a probe of the kubelet always finds one.

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

/// So many connections there may be at once. The kubelet and the monitoring need one each.
const MAX_CONNECTIONS: usize = 64;

/// How long a connection may last without an answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait when no connection can be accepted, which is when the process has too many files open.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(500);

/// Answers for as long as the program runs; `ending` says that it will not do so for long.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: ControllerState,
    metrics: Arc<Metrics>,
    ending: watch::Receiver<bool>,
) {
    // It never ends, so there is no error.
    let _ = axum::serve(Limited::new(listener), router(shared, metrics, ending)).await;
}

/// A listener whose connections give way to newer ones.
struct Limited {
    listener: TcpListener,
    open: VecDeque<oneshot::Sender<()>>,
}

/// A connection, which ends when it idles and when its place is needed.
struct Connection {
    stream: TcpStream,
    /// When it ends unless something is answered.
    end: Pin<Box<Sleep>>,
    given_away: oneshot::Receiver<()>,
}

impl Limited {
    fn new(listener: TcpListener) -> Self {
        Self { listener, open: VecDeque::new() }
    }

    fn enter(&mut self, stream: TcpStream) -> Connection {
        self.open.retain(|place| !place.is_closed());
        if self.open.len() >= MAX_CONNECTIONS
            && let Some(oldest) = self.open.pop_front()
        {
            // It may have ended by itself.
            let _ = oldest.send(());
        }
        let (place, given_away) = oneshot::channel();
        self.open.push_back(place);
        Connection { stream, end: Box::pin(sleep(IDLE_TIMEOUT)), given_away }
    }
}

impl Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (self.enter(stream), peer),
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
            || pin!(&mut self.given_away).poll(context).is_ready();
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
        // A reader that takes nothing keeps the place no longer than one that asks nothing.
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

/// `/healthz` says that the program runs; `/readyz`, that it has read what there is in the cluster and goes on running.
fn router(shared: ControllerState, metrics: Arc<Metrics>, ending: watch::Receiver<bool>) -> Router {
    let state = shared.clone();
    let ready = async move || match (state.is_synced(), *ending.borrow()) {
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "told to end\n"),
        (true, _) => (StatusCode::OK, "ok\n"),
        (false, _) => {
            (StatusCode::SERVICE_UNAVAILABLE, "still reading what there is in the cluster\n")
        }
    };
    let text = async move || {
        let (now, later) = shared.queue_depth();
        metrics.measure_queue(now, later);
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
    async fn idle_connections_give_way_to_a_probe() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/healthz", get(async || "ok\n"));
        let server = tokio::spawn(async move { axum::serve(Limited::new(listener), router).await });
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
        // The oldest ones are over, and the newest are not.
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
