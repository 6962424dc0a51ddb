//! The admission webhook that rewrites the output of new builds.
//!
//! It answers from memory, so it works during outages of the cluster API and Quay. It does not
//! authenticate callers: a review has no side effects, and the resources of each client are
//! limited.

mod admission;
mod build_patch;
mod certificates;
#[cfg(test)]
mod tests;
mod tls_listener;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::StreamExt as _;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::domain::integration::Integration;
use crate::domain::names::CONTROLLER_WEBHOOK_PATH;
use crate::domain::scope::Scope;
pub(super) use admission::not_rewritten;
pub use admission::{InvalidReview, ReviewAnswer, ReviewOutcome, review};
use certificates::Certificates;
use tls_listener::TlsListener;

/// Path of the webhook.
pub const PATH: &str = CONTROLLER_WEBHOOK_PATH;

/// An object of 3 MiB, the API server's limit (`MaxRequestBodyBytes` in Kubernetes'
/// `apiserver/pkg/server/config.go`), and its envelope.
const MAX_REVIEW_BYTES: usize = 7 << 19;

const MAX_CONCURRENT_REVIEWS: usize = 16;

/// Reviews larger than this, which are rare, are read one at a time.
const MAX_CONCURRENT_BODY_BYTES: usize = 256 << 10;

/// Timeout for the request body; the API server's own (`timeoutSeconds` in the manifest) is the
/// same.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// Data for reviews, in memory.
pub trait WebhookView: Send + Sync {
    /// The active integration.
    fn integration(&self) -> Option<Arc<Integration>>;

    /// The scope of a namespace; `None` if unknown.
    fn scope(&self, namespace: &str) -> Option<Scope>;

    /// Whether the service account has a secret to push to the namespace's organization.
    fn has_push_secret(&self, namespace: &str, service_account: &str) -> bool;
}

/// Events of the webhook.
#[derive(Clone, Debug)]
pub enum WebhookEvent {
    /// A build was reviewed.
    Reviewed {
        /// The build's namespace.
        namespace: String,
        /// The build.
        name: String,
        /// The outcome.
        outcome: ReviewOutcome,
        /// The warning in the response.
        warning: Option<String>,
        /// Duration without the network.
        took: Duration,
    },
    /// Reading the serving certificate failed; the previous one is used.
    CertificateUnusable {
        /// The error.
        reason: String,
    },
}

/// Receives the events; must not block.
pub type Observer = Arc<dyn Fn(&WebhookEvent) + Send + Sync>;

pub struct Webhook {
    certificates: Arc<Certificates>,
    view: Arc<dyn WebhookView>,
    observer: Observer,
}

#[derive(Clone)]
struct WebhookState {
    view: Arc<dyn WebhookView>,
    observer: Observer,
    permits: Arc<Semaphore>,
    /// Limits large reviews to one.
    large: Arc<Semaphore>,
}

impl Webhook {
    /// Reads `tls.crt` and `tls.key` in a directory.
    ///
    /// # Errors
    /// When the files are invalid; their content is never quoted.
    pub fn new(
        certificates: &Path,
        view: Arc<dyn WebhookView>,
        observer: Observer,
    ) -> Result<Self, String> {
        Ok(Self { certificates: Arc::new(Certificates::read(certificates)?), view, observer })
    }

    /// Never ends. A failed connection does not affect others.
    pub async fn serve(self, listener: TcpListener) {
        let Self { certificates, view, observer } = self;
        let listener = TlsListener::new(listener, certificates, Arc::clone(&observer));
        // It never ends.
        let _ = axum::serve(listener, router(view, observer)).await;
    }
}

fn router(view: Arc<dyn WebhookView>, observer: Observer) -> Router {
    let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_REVIEWS));
    let state = WebhookState { view, observer, permits, large: Arc::new(Semaphore::new(1)) };
    Router::new().route(PATH, post(handle)).with_state(state)
}

async fn handle(
    State(WebhookState { view, observer, permits, large }): State<WebhookState>,
    body: Body,
) -> Response {
    let reading = async {
        let permit = permits.acquire().await;
        (permit, read(body, &large).await)
    };
    let (_permit, (body, _large)) = match timeout(READ_TIMEOUT, reading).await {
        Ok((permit, Some(read))) => (permit, read),
        Ok((_, None)) => {
            let message =
                format!("request body is incomplete or exceeds {MAX_REVIEW_BYTES} bytes\n");
            return (StatusCode::PAYLOAD_TOO_LARGE, message).into_response();
        }
        Err(_) => {
            return (StatusCode::REQUEST_TIMEOUT, "request body timed out\n").into_response();
        }
    };
    let started = Instant::now();
    let Ok(answer) = review(&body, view.as_ref()) else {
        return (StatusCode::BAD_REQUEST, "invalid AdmissionReview\n").into_response();
    };
    let ReviewAnswer { body, outcome, warning, namespace, name } = answer;
    observer(&WebhookEvent::Reviewed {
        namespace,
        name,
        outcome,
        warning,
        took: started.elapsed(),
    });
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Reads a body, with a permit for a large one; `None` if it is too large or incomplete.
async fn read(body: Body, large: &Semaphore) -> Option<(Vec<u8>, Option<SemaphorePermit<'_>>)> {
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut permit) = (Vec::new(), None);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.ok()?;
        if bytes.len() + chunk.len() > MAX_REVIEW_BYTES {
            return None;
        }
        if bytes.len() + chunk.len() > MAX_CONCURRENT_BODY_BYTES && permit.is_none() {
            // It is never closed.
            permit = large.acquire().await.ok();
        }
        bytes.extend_from_slice(&chunk);
    }
    Some((bytes, permit))
}
