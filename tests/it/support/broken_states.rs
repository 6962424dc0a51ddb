//! Faults between the program and a server.

use std::time::Duration;

use sandbox::traffic::Fault;
use serde_json::json;

use super::{Side, TestEnv};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
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

pub(crate) const FAULT_KINDS: [FaultKind; 10] = [
    FaultKind::BadGateway,
    FaultKind::Unavailable,
    FaultKind::TooMany,
    FaultKind::Html,
    FaultKind::Crash,
    FaultKind::Forbidden,
    FaultKind::LostBefore,
    FaultKind::LostAfter,
    FaultKind::TooLate,
    FaultKind::TokenExpires,
];

impl FaultKind {
    /// True when the next attempt might succeed.
    pub(crate) fn is_transient(self) -> bool {
        !matches!(
            self,
            FaultKind::Html | FaultKind::Forbidden | FaultKind::TooLate | FaultKind::TokenExpires
        )
    }

    /// Request timeout for a command: short where no response arrives, long enough for the others
    /// on a busy machine.
    pub(crate) fn request_timeout(self) -> &'static str {
        if self == FaultKind::TooLate { "1s" } else { "30s" }
    }

    /// Injects the fault for requests to a side: for each of them, or only for the first.
    pub(crate) fn inject(self, env: &TestEnv, side: Side, requests: Fault, lasting: bool) {
        let quay = env.sandbox.quay.clone();
        let fault = if lasting { requests } else { requests.times(1) };
        let fault = match self {
            FaultKind::BadGateway => fault.html(502),
            FaultKind::Unavailable => fault.html(503),
            // The program would wait for a limit of several minutes.
            FaultKind::TooMany if lasting && side == Side::Quay => {
                fault.html(429).header("Retry-After", "3600")
            }
            FaultKind::TooMany => {
                fault.html(429).header("Retry-After", if lasting { "1" } else { "0" })
            }
            FaultKind::Html => fault.html(200),
            FaultKind::Crash => fault.html(500),
            FaultKind::Forbidden => fault.status(403).body(&forbidden(side)),
            FaultKind::LostBefore => fault.drop_before(),
            FaultKind::LostAfter => fault.drop_after(),
            FaultKind::TooLate => fault.delay(Duration::from_millis(1500)),
            // Tokens of the fake cannot be restored; its response to a request without one is the
            // same.
            FaultKind::TokenExpires if side == Side::Cluster => {
                fault.status(401).body(&unauthorized())
            }
            FaultKind::TokenExpires => fault.before(move || {
                quay.expire_tokens();
                quay.end_sessions();
            }),
        };
        side.traffic(env).fault(fault);
    }
}

fn unauthorized() -> String {
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized",
        "reason": "Unauthorized", "code": 401 })
    .to_string()
}

/// The 403 body of the side.
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
