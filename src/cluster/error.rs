//! What can go wrong in a call to the cluster, in words that hold no secret.

use std::error::Error;
use std::io;

use kube::client::AuthError;
use kube::core::Status;

use super::authorization::CredentialsError;
use crate::domain::integration::ConnectionStage;
use crate::domain::snapshot::{ReadError, ReadErrorKind};

/// What every core server answers for a path that it does not serve: a kind that this cluster does not have.
const UNKNOWN_PATH: &[u8] = b"404 page not found";

/// What the API server answers when it no longer knows a version.
pub(super) const GONE: u16 = 410;

/// Why a write was refused whose object is no longer as it was read.
pub(super) const CONFLICT_HINT: &str =
    "it was changed meanwhile; run the command again to go on from what is there now";

/// Of what kube does about a login, an OIDC provider's. Not by the error's own text, which may quote a part of the token.
pub(super) const UNUSABLE_CREDENTIALS: &str =
    "the credentials of the kubeconfig's auth-provider cannot be used";

/// A call to the cluster that did not succeed. Its text is one sentence, with what to do where that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not {call}: {cause}")]
pub struct ClusterError {
    /// What was tried, for a person: `list secrets in namespace myproj`.
    pub call: String,
    /// Why it did not succeed.
    pub cause: Cause,
}

/// Why a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The API server refused, with this HTTP status and in these words.
    #[error("{message}")]
    Refused { status: u16, message: String },
    /// The API server does not know who asks (401).
    #[error(
        "{server} does not accept the login, or it has expired; log in again: oc login {server}"
    )]
    Unauthorized { server: String },
    /// No answer came; `step` is how far the call got.
    #[error("no answer from {server} while {step}: {reason}")]
    NoAnswer { server: String, step: ConnectionStage, reason: String },
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl ClusterError {
    pub(super) fn other(call: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { call: call.into(), cause: Cause::Other(reason.into()) }
    }

    /// That an object is no longer as it was read, where no call is needed to see it.
    pub(super) fn conflict(call: impl Into<String>) -> Self {
        Self {
            call: call.into(),
            cause: Cause::Refused { status: 409, message: CONFLICT_HINT.to_owned() },
        }
    }

    /// The same refusal in words that say more than the API server's.
    pub(super) fn explained(self, message: &str) -> Self {
        let cause = match self.cause {
            Cause::Refused { status, .. } => Cause::Refused { status, message: message.to_owned() },
            cause => cause,
        };
        Self { cause, ..self }
    }

    /// The HTTP status with which the API server refused.
    pub fn status(&self) -> Option<u16> {
        match self.cause {
            Cause::Refused { status, .. } => Some(status),
            Cause::Unauthorized { .. } => Some(401),
            Cause::NoAnswer { .. } | Cause::Other(_) => None,
        }
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// What happened since a version, or what was there at it, is no longer known.
    pub(super) fn is_gone(&self) -> bool {
        self.status() == Some(GONE)
    }

    /// A stale `resourceVersion`, or an object that exists already.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }

    /// No more objects of the kind fit into the namespace. The API server says so before it looks whether there is one of the
    /// name (kube-apiserver `plugin/pkg/admission/resourcequota/controller.go`).
    pub(crate) fn is_over_quota(&self) -> bool {
        matches!(&self.cause, Cause::Refused { status: 403, message } if message.contains("exceeded quota"))
    }

    /// What the API server answers when the `test` of a JSON patch fails, and for content it refuses alike
    /// (measured on kube-apiserver 1.34).
    pub(super) fn is_unprocessable(&self) -> bool {
        self.status() == Some(422)
    }
}

impl From<ClusterError> for ReadError {
    fn from(error: ClusterError) -> Self {
        let kind = match error.cause {
            Cause::Refused { status: 403, .. } => ReadErrorKind::Forbidden,
            Cause::NoAnswer { step: ConnectionStage::Name | ConnectionStage::Connect, .. } => {
                ReadErrorKind::Unreachable
            }
            _ => ReadErrorKind::Failed,
        };
        Self { reason: error.cause.to_string(), call: error.call, kind }
    }
}

impl Cause {
    /// Reads the answer to a call that did not succeed. `server` is the API server's address.
    pub(super) fn from_response(server: &str, status: u16, body: &[u8]) -> Self {
        let refusal = serde_json::from_slice::<Status>(body).ok().filter(Status::is_failure);
        match refusal {
            Some(_) if status == 401 => Cause::Unauthorized { server: server.to_owned() },
            Some(refusal) => Cause::Refused { status, message: refusal.message },
            None if status == 404 && body.starts_with(UNKNOWN_PATH) => Cause::Refused {
                status,
                message: "this cluster does not have that kind of object".into(),
            },
            // A proxy's or a load balancer's page. Its 404 must not be taken for an absent object.
            None => Cause::Other(format!(
                "{server} answered with HTTP status {status} and not as an API server does"
            )),
        }
    }

    /// Why a call got no answer. `server` is the API server's address.
    pub(super) fn from_transport(server: &str, error: &(dyn Error + 'static)) -> Self {
        let credentials = chain(error).find_map(|cause| {
            let own = cause.downcast_ref::<CredentialsError>().map(ToString::to_string);
            own.or_else(|| {
                cause.downcast_ref::<AuthError>().map(|_| UNUSABLE_CREDENTIALS.to_owned())
            })
        });
        match credentials {
            Some(problem) => Cause::Other(problem),
            None => Cause::NoAnswer {
                server: server.to_owned(),
                step: step(error),
                reason: root_reason(error),
            },
        }
    }
}

/// How far a call came that failed in the client: hyper-util marks what happened before there was a connection, and
/// its TCP connector what happened before TLS.
fn step(error: &(dyn Error + 'static)) -> ConnectionStage {
    let says = |text: &str| chain(error).any(|cause| cause.to_string().starts_with(text));
    if !says("client error (Connect)") {
        ConnectionStage::Http
    } else if says("dns error") {
        ConnectionStage::Name
    } else if says("tcp ") || says("tunnel error") || is_timeout(error) {
        ConnectionStage::Connect
    } else {
        ConnectionStage::Tls
    }
}

fn root_reason(error: &(dyn Error + 'static)) -> String {
    if is_timeout(error) {
        return "nothing there takes the connection".into();
    }
    let reason = chain(error).last().map(ToString::to_string).unwrap_or_default();
    if reason.ends_with("UnknownIssuer") {
        return "the authority that signed its certificate is not the one that the kubeconfig names".into();
    }
    reason
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    chain(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::TimedOut)
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "https://api.example.com:6443";

    #[test]
    fn a_refusal_speaks_in_the_servers_words() {
        let body = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"secrets is forbidden: User \"eve\" cannot list resource \"secrets\"","reason":"Forbidden","code":403}"#;
        let cause = Cause::from_response(SERVER, 403, body);
        let error = ClusterError { call: "list secrets in namespace a".into(), cause };
        assert_eq!(
            error.to_string(),
            r#"could not list secrets in namespace a: secrets is forbidden: User "eve" cannot list resource "secrets""#
        );
        let unread = ReadError::from(error);
        assert_eq!(
            (unread.call.as_str(), unread.kind),
            ("list secrets in namespace a", ReadErrorKind::Forbidden)
        );
    }

    #[test]
    fn an_expired_login_names_the_command() {
        let body = br#"{"kind":"Status","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#;
        let error = ClusterError {
            call: "read namespace a".into(),
            cause: Cause::from_response(SERVER, 401, body),
        };
        assert!(error.to_string().ends_with("oc login https://api.example.com:6443"), "{error}");
        assert_eq!(ReadError::from(error).kind, ReadErrorKind::Failed);
    }

    #[test]
    fn only_an_api_servers_404_means_absent() {
        let not_found =
            br#"{"kind":"Status","status":"Failure","message":"secrets \"a\" not found","reason":"NotFound","code":404}"#;
        let absent = |body: &[u8]| {
            let cause = Cause::from_response(SERVER, 404, body);
            ClusterError { call: String::new(), cause }.is_not_found()
        };
        assert!(absent(not_found));
        assert!(absent(b"404 page not found\n"));
        assert!(!absent(b"<html><title>404 Not Found</title></html>"));
        assert!(!absent(b"{}"));
        assert!(!absent(b""));
    }
}
