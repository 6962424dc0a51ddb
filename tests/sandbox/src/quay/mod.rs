//! A Quay that answers as a real one does, from memory.
//!
//! [`Quay`] is the whole of it: arrange what it holds, give its [`Quay::router`] to a server, and look at what
//! became of it. Numbers in the comments are those of the recorded samples in `wire/`, which `tests/wire.rs` sends
//! to it; files named there are Quay's own, of the release the samples were recorded from. A request goes
//! through `serve` (what every request must pass), `endpoint` (what its path means) and a handler named after the
//! thing it is about; `auth` decides who may, `state` keeps the books, `errors` words the rejections. People get in
//! through `sessions`, and let programs in through `applications`, `application_tokens` and `oauth`.
//!
//! Not simulated: the web interface, codes that are exchanged for tokens, mirrors, quotas.

mod application_tokens;
mod applications;
mod auth;
mod avatar;
mod call;
mod endpoint;
mod errors;
mod fixtures;
mod flags;
mod initialize;
mod jwt;
mod names;
mod oauth;
mod organizations;
mod pages;
mod permissions;
mod prototypes;
mod public;
mod pull;
pub(crate) mod push;
mod random;
mod registry;
mod registry_auth;
mod repositories;
mod responses;
mod robots;
mod roles;
mod schema;
mod scopes;
mod serve;
mod sessions;
mod state;
mod superuser;
mod tables;
mod teams;
mod users;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

pub use endpoint::classify;
pub use fixtures::{ApplicationView, PrototypeView, RobotView, TokenView};
pub use flags::{Flags, Release};
pub use pull::{NotPulled, Pulled};
pub use roles::{RepoRole, TeamRole};

use state::State;

/// More than any request to Quay's API weighs.
const LARGEST_BODY: usize = 8 << 20;

/// The stand-in. Clones share one state.
#[derive(Clone)]
pub struct Quay {
    state: Arc<Mutex<State>>,
    admin_token: Arc<str>,
}

impl Quay {
    /// The address with its scheme, without a trailing slash. Only used in responses about itself.
    pub fn url(&self) -> String {
        self.state().url.clone()
    }

    /// Sets the address at which it is reached.
    pub fn set_url(&self, url: &str) {
        self.state().url = url.trim_end_matches('/').to_owned();
    }

    /// Host and port: the registry's name in image references and pull secrets.
    pub fn host(&self) -> String {
        self.state().host().to_owned()
    }

    /// Everything it answers, to be served over whatever connection.
    pub fn router(&self) -> Router {
        Router::new().fallback(handle).with_state(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn handle(Shared(quay): Shared<Quay>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match to_bytes(body, LARGEST_BODY).await {
        Ok(body) => {
            serve::answer(&mut quay.state(), &parts.method, &parts.uri, parts.headers, body)
        }
        Err(_) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    }
}
