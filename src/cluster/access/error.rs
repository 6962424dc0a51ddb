//! Errors of calls to the cluster. Their texts never contain secrets.

use std::error::Error;
use std::io;

use kube::client::AuthError;
use kube::core::Status;

use crate::cluster::access::authorization::CredentialsError;
use crate::domain::integration::ConnectionStage;
use crate::domain::snapshot::{ReadError, ReadErrorKind};

/// Response of the API server to a path that it does not serve.
const UNKNOWN_PATH: &[u8] = b"404 page not found";

/// Status for an expired `resourceVersion`.
pub(in crate::cluster) const GONE: u16 = 410;

/// Message for a conflict.
pub(in crate::cluster) const CONFLICT_HINT: &str =
    "conflict: the object was modified; run the command again";

/// An OIDC provider's error. Not kube's text, which may quote a part of the token.
pub(in crate::cluster) const UNUSABLE_CREDENTIALS: &str =
    "the credentials of the kubeconfig's auth-provider cannot be used";

/// A failed call to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to {call}: {cause}")]
pub struct ClusterError {
    /// Describes the call: `list secrets in namespace myproj`.
    pub call: String,
    pub cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The HTTP status and the API server's message.
    #[error("{message}")]
    Rejected { status: u16, message: String },
    /// Status 401.
    #[error(
        "{server} rejected the credentials, which might have expired; log in again: oc login {server}"
    )]
    Unauthorized { server: String },
    /// `step` is how far the call got.
    #[error("no answer from {server} while {step}: {reason}")]
    NoAnswer { server: String, step: ConnectionStage, reason: String },
    #[error("{0}")]
    Other(String),
}

impl ClusterError {
    pub(in crate::cluster) fn other(call: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { call: call.into(), cause: Cause::Other(reason.into()) }
    }

    /// A conflict that was detected without a call.
    pub(in crate::cluster) fn conflict(call: impl Into<String>) -> Self {
        Self {
            call: call.into(),
            cause: Cause::Rejected { status: 409, message: CONFLICT_HINT.to_owned() },
        }
    }

    /// Replaces the API server's message.
    pub(in crate::cluster) fn with_message(self, message: &str) -> Self {
        let cause = match self.cause {
            Cause::Rejected { status, .. } => {
                Cause::Rejected { status, message: message.to_owned() }
            }
            cause => cause,
        };
        Self { cause, ..self }
    }

    pub fn status(&self) -> Option<u16> {
        match self.cause {
            Cause::Rejected { status, .. } => Some(status),
            Cause::Unauthorized { .. } => Some(401),
            Cause::NoAnswer { .. } | Cause::Other(_) => None,
        }
    }

    pub(in crate::cluster) fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// An expired `resourceVersion` or `continue` token.
    pub(in crate::cluster) fn is_gone(&self) -> bool {
        self.status() == Some(GONE)
    }

    /// A stale `resourceVersion`, or an object that exists already.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }

    /// Exceeded quota. The API server checks it before it checks whether the object exists
    /// (kube-apiserver `plugin/pkg/admission/resourcequota/controller.go`).
    pub(crate) fn is_over_quota(&self) -> bool {
        matches!(&self.cause, Cause::Rejected { status: 403, message } if message.contains("exceeded quota"))
    }

    /// Status of a failed `test` in a JSON patch, and of invalid content (kube-apiserver 1.34).
    pub(in crate::cluster) fn is_unprocessable(&self) -> bool {
        self.status() == Some(422)
    }
}

impl From<ClusterError> for ReadError {
    fn from(error: ClusterError) -> Self {
        let kind = match error.cause {
            Cause::Rejected { status: 403, .. } => ReadErrorKind::Forbidden,
            Cause::NoAnswer { step: ConnectionStage::Name | ConnectionStage::Connect, .. } => {
                ReadErrorKind::Unreachable
            }
            _ => ReadErrorKind::Failed,
        };
        Self { reason: error.cause.to_string(), call: error.call, kind }
    }
}

impl Cause {
    /// `server` is the API server's URL.
    pub(in crate::cluster) fn from_response(server: &str, status: u16, body: &[u8]) -> Self {
        let rejection = serde_json::from_slice::<Status>(body).ok().filter(Status::is_failure);
        match rejection {
            Some(_) if status == 401 => Cause::Unauthorized { server: server.to_owned() },
            Some(rejection) => Cause::Rejected { status, message: rejection.message },
            None if status == 404 && body.starts_with(UNKNOWN_PATH) => Cause::Rejected {
                status,
                message: "the cluster does not serve this kind of object".into(),
            },
            // From a proxy or load balancer. Its 404 does not mean a missing object.
            None => Cause::Other(format!(
                "{server} returned HTTP {status} without a Kubernetes Status; is this an API server?"
            )),
        }
    }

    /// `server` is the API server's URL.
    pub(in crate::cluster) fn from_transport(server: &str, error: &(dyn Error + 'static)) -> Self {
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
                step: connection_stage(error),
                reason: root_reason(error),
            },
        }
    }
}

/// hyper-util marks errors before a connection exists, and its TCP connector those before TLS.
fn connection_stage(error: &(dyn Error + 'static)) -> ConnectionStage {
    let contains = |text: &str| chain(error).any(|cause| cause.to_string().starts_with(text));
    if !contains("client error (Connect)") {
        ConnectionStage::Http
    } else if contains("dns error") {
        ConnectionStage::Name
    } else if contains("tcp ") || contains("tunnel error") || is_timeout(error) {
        ConnectionStage::Connect
    } else {
        ConnectionStage::Tls
    }
}

fn root_reason(error: &(dyn Error + 'static)) -> String {
    if is_timeout(error) {
        return "connection timed out".into();
    }
    let reason = chain(error).last().map(ToString::to_string).unwrap_or_default();
    if reason.ends_with("UnknownIssuer") {
        return "the server's certificate is not signed by the kubeconfig's certificate authority"
            .into();
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
    fn quotes_message_of_rejection() {
        let body = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"secrets is forbidden: User \"eve\" cannot list resource \"secrets\"","reason":"Forbidden","code":403}"#;
        let cause = Cause::from_response(SERVER, 403, body);
        let error = ClusterError { call: "list secrets in namespace a".into(), cause };
        assert_eq!(
            error.to_string(),
            r#"failed to list secrets in namespace a: secrets is forbidden: User "eve" cannot list resource "secrets""#
        );
        let unread = ReadError::from(error);
        assert_eq!(
            (unread.call.as_str(), unread.kind),
            ("list secrets in namespace a", ReadErrorKind::Forbidden)
        );
    }

    #[test]
    fn unauthorized_error_names_oc_login() {
        let body = br#"{"kind":"Status","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#;
        let error = ClusterError {
            call: "read namespace a".into(),
            cause: Cause::from_response(SERVER, 401, body),
        };
        assert!(error.to_string().ends_with("oc login https://api.example.com:6443"), "{error}");
        assert_eq!(ReadError::from(error).kind, ReadErrorKind::Failed);
    }

    #[test]
    fn only_api_server_404_means_missing() {
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
