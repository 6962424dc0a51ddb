//! The admission webhook: what a build's output becomes is decided while the build is created.
//!
//! It answers out of memory and never asks anybody, neither the cluster nor Quay, so it is as fast as it is small and works
//! while they do not. What it needs to know it is told through a [`WebhookView`].
//!
//! Whoever reaches it may ask: it does not know the API server from others. So nothing comes of a review but its answer,
//! and no client gets more of the process than its share. What is to become of a build is learnt from the cluster.

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

/// The path that the API server calls.
pub const PATH: &str = CONTROLLER_WEBHOOK_PATH;

/// The largest review that is read: an object of 3 MiB, which is all that the API server takes
/// (`MaxRequestBodyBytes` in Kubernetes' `apiserver/pkg/server/config.go`), and what stands around it.
const MAX_REVIEW_BYTES: usize = 7 << 19;

/// So many reviews are read at once.
const MAX_CONCURRENT_REVIEWS: usize = 16;

/// The most bytes of a review that is read beside others; of those that are larger, one is read at a time. Most are smaller.
const MAX_CONCURRENT_BODY_BYTES: usize = 256 << 10;

/// How long a review may take to arrive. The API server waits no longer for its answer (`timeoutSeconds` in the manifest).
const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// What the webhook knows. Every answer comes from memory.
pub trait WebhookView: Send + Sync {
    /// The integration, if it can be worked with.
    fn integration(&self) -> Option<Arc<Integration>>;

    /// The scope of a namespace, if it is known.
    fn scope(&self, namespace: &str) -> Option<Scope>;

    /// Whether a build of that service account will find a login with which it may push to the namespace's organization.
    fn can_push(&self, namespace: &str, service_account: &str) -> bool;
}

/// What the webhook has to tell.
#[derive(Clone, Debug)]
pub enum WebhookEvent {
    /// A build was reviewed.
    Reviewed {
        /// The build's namespace.
        namespace: String,
        /// The build.
        name: String,
        /// What came of it.
        outcome: ReviewOutcome,
        /// What somebody should know about it.
        warning: Option<String>,
        /// From the request to the answer, without the network.
        took: Duration,
    },
    /// The serving certificate's files cannot be used; what was read before is served with.
    CertificateUnusable {
        /// What is wrong with them.
        reason: String,
    },
}

/// Gets what the webhook has to tell.
pub type Observer = Arc<dyn Fn(&WebhookEvent) + Send + Sync>;

/// The webhook with its certificate.
pub struct Webhook {
    certificates: Arc<Certificates>,
    view: Arc<dyn WebhookView>,
    observer: Observer,
}

#[derive(Clone)]
struct WebhookState {
    view: Arc<dyn WebhookView>,
    observer: Observer,
    places: Arc<Semaphore>,
    /// The place of the one large review.
    large: Arc<Semaphore>,
}

impl Webhook {
    /// A webhook that serves with `tls.crt` and `tls.key` out of a folder.
    ///
    /// # Errors
    /// What is wrong with the files, without quoting any of them.
    pub fn new(
        certificates: &Path,
        view: Arc<dyn WebhookView>,
        observer: Observer,
    ) -> Result<Self, String> {
        Ok(Self { certificates: Arc::new(Certificates::read(certificates)?), view, observer })
    }

    /// Answers the API server, for ever. A connection that fails is the end of that connection only.
    pub async fn serve(self, listener: TcpListener) {
        let Self { certificates, view, observer } = self;
        let listener = TlsListener::new(listener, certificates, Arc::clone(&observer));
        // It never ends, so there is no error.
        let _ = axum::serve(listener, router(view, observer)).await;
    }
}

fn router(view: Arc<dyn WebhookView>, observer: Observer) -> Router {
    let places = Arc::new(Semaphore::new(MAX_CONCURRENT_REVIEWS));
    let state = WebhookState { view, observer, places, large: Arc::new(Semaphore::new(1)) };
    Router::new().route(PATH, post(handle)).with_state(state)
}

async fn handle(
    State(WebhookState { view, observer, places, large }): State<WebhookState>,
    body: Body,
) -> Response {
    let arriving = async {
        let place = places.acquire().await;
        (place, read(body, &large).await)
    };
    let (_place, (body, _large)) = match timeout(READ_TIMEOUT, arriving).await {
        Ok((place, Some(read))) => (place, read),
        Ok((_, None)) => {
            let words =
                format!("a review has to arrive whole, in no more than {MAX_REVIEW_BYTES} bytes\n");
            return (StatusCode::PAYLOAD_TOO_LARGE, words).into_response();
        }
        Err(_) => {
            return (StatusCode::REQUEST_TIMEOUT, "the review did not arrive in time\n")
                .into_response();
        }
    };
    let started = Instant::now();
    let Ok(answer) = review(&body, view.as_ref()) else {
        return (StatusCode::BAD_REQUEST, "this is no AdmissionReview\n").into_response();
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

/// Reads a body, with the place of a large one if it is; none if it is too large or breaks off.
async fn read(body: Body, large: &Semaphore) -> Option<(Vec<u8>, Option<SemaphorePermit<'_>>)> {
    let mut chunks = body.into_data_stream();
    let (mut read, mut place) = (Vec::new(), None);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.ok()?;
        if read.len() + chunk.len() > MAX_REVIEW_BYTES {
            return None;
        }
        if read.len() + chunk.len() > MAX_CONCURRENT_BODY_BYTES && place.is_none() {
            // It is never closed.
            place = large.acquire().await.ok();
        }
        read.extend_from_slice(&chunk);
    }
    Some((read, place))
}
