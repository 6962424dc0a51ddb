//! TLS in front of the router.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificates::Certificates;
use super::{Observer, Told};

/// How long a client may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long to wait when no connection can be accepted, which is when the process has too many files open.
const PAUSE: Duration = Duration::from_millis(500);

/// Accepts connections and agrees on TLS with each of them by itself, so that one that says nothing holds up no other.
pub(super) struct TlsListener {
    agreed: Receiver<Connection>,
    address: io::Result<SocketAddr>,
    _accepting: JoinSet<()>,
}

type Connection = (TlsStream<TcpStream>, SocketAddr);

impl TlsListener {
    pub(super) fn new(listener: TcpListener, certificates: Arc<Certificates>, observer: Observer) -> Self {
        let address = listener.local_addr();
        let (agree, agreed) = mpsc::channel(16);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, certificates, observer, agree));
        Self { agreed, address, _accepting: accepting }
    }
}

async fn accept(listener: TcpListener, certificates: Arc<Certificates>, observer: Observer, agree: Sender<Connection>) {
    // Owned here, so that what is half agreed ends with the listener.
    let mut handshakes = JoinSet::new();
    loop {
        let Ok((socket, peer)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let (config, outcome) = certificates.current();
        if let Err(reason) = outcome {
            observer(&Told::CertificateUnusable { reason });
        }
        let agree = agree.clone();
        handshakes.spawn(async move {
            // Small answers must not wait for the client's delayed acknowledgement.
            let _ = socket.set_nodelay(true);
            // A client that does not trust us hangs up here; there is nobody to tell.
            if let Ok(Ok(stream)) = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(socket)).await {
                let _ = agree.send((stream, peer)).await;
            }
        });
        while handshakes.try_join_next().is_some() {}
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
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
