//! TLS in front of the router.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificates::Certificates;
use super::{Observer, WebhookEvent};

/// How long a client may take to agree on TLS.
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// So many connections there may be at once. The API servers of a cluster need a few; whoever else comes waits.
const MAX_CONNECTIONS: usize = 256;

/// How long a client may take to its next request. The API server gives up connections that idle for 90 seconds
/// (`idleConnsPerHost` in Kubernetes' `client-go/transport/cache.go`).
const IDLE_TIMEOUT: Duration = Duration::from_secs(100);

/// How long to wait when no connection can be accepted, which is when the process has too many files open.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(500);

/// Accepts connections and agrees on TLS with each of them by itself, so that one that says nothing holds up no other.
pub(super) struct TlsListener {
    agreed: Receiver<Connection>,
    address: io::Result<SocketAddr>,
    _accepting: JoinSet<()>,
}

type Connection = (IdleTimeoutStream, SocketAddr);

/// A connection, which ends when a client keeps it and asks nothing.
pub(super) struct IdleTimeoutStream {
    stream: TlsStream<TcpStream>,
    /// When it ends unless something is answered.
    end: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl IdleTimeoutStream {
    fn new(stream: TlsStream<TcpStream>, place: OwnedSemaphorePermit) -> Self {
        Self { stream, end: Box::pin(sleep(IDLE_TIMEOUT)), _place: place }
    }
}

impl AsyncRead for IdleTimeoutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        pin!(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for IdleTimeoutStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
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

impl TlsListener {
    pub(super) fn new(
        listener: TcpListener,
        certificates: Arc<Certificates>,
        observer: Observer,
    ) -> Self {
        let address = listener.local_addr();
        let (agree, agreed) = mpsc::channel(16);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, certificates, observer, agree));
        Self { agreed, address, _accepting: accepting }
    }
}

async fn accept(
    listener: TcpListener,
    certificates: Arc<Certificates>,
    observer: Observer,
    agree: Sender<Connection>,
) {
    // Owned here, so that what is half agreed ends with the listener.
    let mut handshakes = JoinSet::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // It is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((socket, peer)) = listener.accept().await else {
            sleep(ACCEPT_RETRY_DELAY).await;
            continue;
        };
        let (config, outcome) = certificates.current();
        if let Err(reason) = outcome {
            observer(&WebhookEvent::CertificateUnusable { reason });
        }
        let agree = agree.clone();
        handshakes.spawn(async move {
            // Small answers must not wait for the client's delayed acknowledgement.
            let _ = socket.set_nodelay(true);
            // A client that does not trust us hangs up here; there is nobody to tell.
            if let Ok(Ok(stream)) =
                timeout(TLS_HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(socket)).await
            {
                let _ = agree.send((IdleTimeoutStream::new(stream, place), peer)).await;
            }
        });
        while handshakes.try_join_next().is_some() {}
    }
}

impl Listener for TlsListener {
    type Io = IdleTimeoutStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Connection {
        match self.agreed.recv().await {
            Some(connection) => connection,
            // The task that accepts ends only with this listener.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.address {
            Ok(address) => Ok(*address),
            Err(error) => Err(error.kind().into()),
        }
    }
}
