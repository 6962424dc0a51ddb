//! The TLS listener of the webhook, with limits for each client.

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

const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The API servers of a cluster need a few; other clients wait.
const MAX_CONNECTIONS: usize = 256;

/// Longer than the API server keeps idle connections, 90 s (`idleConnsPerHost` in Kubernetes'
/// `client-go/transport/cache.go`).
const IDLE_TIMEOUT: Duration = Duration::from_secs(100);

/// Accepting fails when the process has too many open files.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(500);

/// Accepts connections, with concurrent TLS handshakes so that a slow client does not block others.
pub(super) struct TlsListener {
    accepted: Receiver<Connection>,
    address: io::Result<SocketAddr>,
    _accepting: JoinSet<()>,
}

type Connection = (IdleTimeoutStream, SocketAddr);

/// A connection that ends when it is idle.
pub(super) struct IdleTimeoutStream {
    stream: TlsStream<TcpStream>,
    /// Reset by each answer.
    end: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl IdleTimeoutStream {
    fn new(stream: TlsStream<TcpStream>, permit: OwnedSemaphorePermit) -> Self {
        Self { stream, end: Box::pin(sleep(IDLE_TIMEOUT)), _permit: permit }
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
        let (sender, accepted) = mpsc::channel(16);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, certificates, observer, sender));
        Self { accepted, address, _accepting: accepting }
    }
}

async fn accept(
    listener: TcpListener,
    certificates: Arc<Certificates>,
    observer: Observer,
    sender: Sender<Connection>,
) {
    // Owned here, so that handshakes end with the listener.
    let mut handshakes = JoinSet::new();
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // It is never closed.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let Ok((socket, peer)) = listener.accept().await else {
            sleep(ACCEPT_RETRY_DELAY).await;
            continue;
        };
        let (config, outcome) = certificates.current();
        if let Err(reason) = outcome {
            observer(&WebhookEvent::CertificateUnusable { reason });
        }
        let sender = sender.clone();
        handshakes.spawn(async move {
            // Small answers must not wait for the client's delayed acknowledgement.
            let _ = socket.set_nodelay(true);
            // A client that does not trust the certificate disconnects here.
            if let Ok(Ok(stream)) =
                timeout(TLS_HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(socket)).await
            {
                let _ = sender.send((IdleTimeoutStream::new(stream, permit), peer)).await;
            }
        });
        while handshakes.try_join_next().is_some() {}
    }
}

impl Listener for TlsListener {
    type Io = IdleTimeoutStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Connection {
        match self.accepted.recv().await {
            Some(connection) => connection,
            // The accepting task ends only with this listener.
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
