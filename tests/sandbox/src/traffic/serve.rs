//! TLS on loopback around an axum router, with the log and the fault rules in front of it.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, Response, Uri, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::{ARRANGE_HEADER, Entry, Traffic};

/// Names the kind of a request for the log.
pub type Classify = fn(&Method, &Uri) -> String;

/// A server on 127.0.0.1 with a port of its own. Dropping it closes the port and every connection.
pub struct Server {
    /// `https://127.0.0.1:<port>`, which needs no name resolution.
    pub url: String,
    /// The port the system chose.
    pub port: u16,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Front {
    router: Router,
    classify: Classify,
    tls: TlsAcceptor,
    traffic: Traffic,
}

/// Serves a router over TLS on a free port of 127.0.0.1.
///
/// # Errors
/// When no port can be had.
pub async fn serve(
    router: Router,
    classify: Classify,
    tls: Arc<ServerConfig>,
    traffic: Traffic,
) -> anyhow::Result<Server> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(address).await.context("no free port on 127.0.0.1")?;
    let port = listener.local_addr()?.port();
    let front = Arc::new(Front { router, classify, tls: TlsAcceptor::from(tls), traffic });
    let accepting = tokio::spawn(accept(listener, front));
    Ok(Server { url: format!("https://127.0.0.1:{port}"), port, accepting })
}

async fn accept(listener: TcpListener, front: Arc<Front>) {
    // Owned here, so that connections end with the task that accepts them.
    let mut connections = JoinSet::new();
    loop {
        if let Ok((socket, _)) = listener.accept().await {
            connections.spawn(connection(socket, Arc::clone(&front)));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(socket: TcpStream, front: Arc<Front>) {
    // Small answers must not wait for the client's delayed acknowledgement.
    let _ = socket.set_nodelay(true);
    let Ok(stream) = front.tls.accept(socket).await else {
        return; // A client that does not trust us closes the connection here.
    };
    let cut = Arc::new(Notify::new());
    let service = service_fn(|request| {
        let (front, cut) = (Arc::clone(&front), Arc::clone(&cut));
        async move {
            let response = front.respond(request).await;
            if response.is_none() {
                cut.notify_one();
            }
            response.ok_or_else(|| io::Error::other("cut by a fault rule"))
        }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    let serving = server.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        // With HTTP/2 an error alone would reset just the one stream.
        () = cut.notified() => {}
        _ = serving => {}
    }
}

impl Front {
    /// The answer, or `None` when the connection is to be cut.
    async fn respond(&self, request: Request<Incoming>) -> Option<Response<Body>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        if parts.headers.get(ARRANGE_HEADER).is_some_and(|value| value == "arrange") {
            return Some(self.route(Request::from_parts(parts, body)).await);
        }

        let user_agent =
            parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let kind = (self.classify)(&parts.method, &parts.uri);
        let entry = Entry::new(
            &parts.method,
            &parts.uri,
            kind,
            user_agent.unwrap_or_default(),
            body.clone(),
        );
        let (in_flight, effects) = self.traffic.arrive(entry);

        effects.before.iter().for_each(|hook| hook());
        if effects.drop_before {
            return None;
        }
        let response = match effects.answer {
            Some(answer) => answer.response(),
            None => self.route(Request::from_parts(parts, body)).await,
        };
        effects.after.iter().for_each(|hook| hook());
        if effects.drop_after {
            return None;
        }
        tokio::time::sleep(effects.delay).await;
        in_flight.answered(response.status());
        Some(response)
    }

    async fn route(&self, request: Request<Bytes>) -> Response<Body> {
        let answer: Result<_, Infallible> =
            self.router.clone().oneshot(request.map(Body::from)).await;
        match answer {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
