//! What goes wrong between the program and a server.

use std::time::Duration;

use sandbox::traffic::Fault;
use serde_json::json;

use super::{Side, World};

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    BadGateway,
    Unavailable,
    TooMany,
    Html,
    Crash,
    Forbidden,
    LostBefore,
    LostAfter,
    TooLate,
    TokenExpires,
}

/// All of it.
pub(crate) const WRONGS: [Wrong; 10] = [
    Wrong::BadGateway,
    Wrong::Unavailable,
    Wrong::TooMany,
    Wrong::Html,
    Wrong::Crash,
    Wrong::Forbidden,
    Wrong::LostBefore,
    Wrong::LostAfter,
    Wrong::TooLate,
    Wrong::TokenExpires,
];

impl Wrong {
    /// Whether it may well be over at the next try.
    pub(crate) fn passes(self) -> bool {
        !matches!(self, Wrong::Html | Wrong::Forbidden | Wrong::TooLate | Wrong::TokenExpires)
    }

    /// How long a command has to wait for an answer: no longer than needed where none comes in time, and long enough for the
    /// others on a busy machine.
    pub(crate) fn patience(self) -> &'static str {
        if self == Wrong::TooLate { "1s" } else { "30s" }
    }

    /// Lets it go wrong with requests to a side: each time, or only the first time.
    pub(crate) fn inject(self, world: &World, side: Side, requests: Fault, lasting: bool) {
        let quay = world.sandbox.quay.clone();
        let fault = if lasting { requests } else { requests.times(1) };
        let fault = match self {
            Wrong::BadGateway => fault.html(502),
            Wrong::Unavailable => fault.html(503),
            // A limit that lasts for minutes would be waited for.
            Wrong::TooMany if lasting && side == Side::Quay => {
                fault.html(429).header("Retry-After", "3600")
            }
            Wrong::TooMany => {
                fault.html(429).header("Retry-After", if lasting { "1" } else { "0" })
            }
            Wrong::Html => fault.html(200),
            Wrong::Crash => fault.html(500),
            Wrong::Forbidden => fault.status(403).body(&forbidden(side)),
            Wrong::LostBefore => fault.drop_before(),
            Wrong::LostAfter => fault.drop_after(),
            Wrong::TooLate => fault.delay(Duration::from_millis(1500)),
            // The stand-in's tokens cannot be given back; its answer to a request without one is the same.
            Wrong::TokenExpires if side == Side::Cluster => fault.status(401).body(&unauthorized()),
            Wrong::TokenExpires => fault.before(move || {
                quay.expire_tokens();
                quay.end_sessions();
            }),
        };
        side.traffic(world).fault(fault);
    }
}

fn unauthorized() -> String {
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized",
        "reason": "Unauthorized", "code": 401 })
    .to_string()
}

/// As either side says it.
fn forbidden(side: Side) -> String {
    match side {
        Side::Cluster => {
            json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "User \"admin\" cannot do that", "reason": "Forbidden", "code": 403 })
        }
        Side::Quay => {
            json!({ "detail": "Unauthorized", "error_message": "Unauthorized", "status": 403,
            "error_type": "insufficient_scope", "title": "insufficient_scope" })
        }
    }
    .to_string()
}
