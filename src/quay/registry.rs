//! Probes the permissions of credentials in the registry. Nothing is pulled or pushed: the registry's token lists the granted
//! permissions.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use url::{Url, form_urlencoded};

use crate::domain::snapshot::{Grant, ProbeOutcome, RegistryCredentials};
use crate::quay::Quay;
use crate::quay::api::api_types;
use crate::quay::http::error::{ErrorKind, QuayError, parse_message};
use crate::quay::http::request::{Auth, Call, QuayResponse};

/// Limit for the encoded scopes of one request. Quay's web server rejects request lines longer than 4094 bytes (gunicorn
/// `limit_request_line`); the difference is for the path and the service's name.
const MAX_QUERY_BYTES: usize = 3500;

const SCOPE: &str = "scope";

/// The token service in a `WWW-Authenticate` header of the registry (`wire/460`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    realm: Url,
    service: String,
}

impl Quay {
    /// Logs in to the registry and requests `pull`, and `push` if the flag is set, on repositories
    /// (`organization/repository`).
    ///
    /// To request `push` creates a missing repository if the user has the permission (`wire/478`), so the flag is only for
    /// repositories that exist.
    pub async fn probe(
        &self,
        credentials: &RegistryCredentials,
        wanted: &[(String, bool)],
    ) -> ProbeOutcome {
        let mut grants = BTreeMap::new();
        for scopes in scope_batches(wanted) {
            match self.log_in(credentials, &scopes).await {
                Ok(LogIn::Granted(more)) => grants.extend(more),
                Ok(LogIn::Rejected(reason)) => return ProbeOutcome::Rejected(reason),
                Err(error) => return ProbeOutcome::Unknown(error.into()),
            }
        }
        ProbeOutcome::Granted(grants)
    }

    async fn log_in(
        &self,
        credentials: &RegistryCredentials,
        scopes: &[String],
    ) -> Result<LogIn, QuayError> {
        let Challenge { realm, service } =
            self.0.challenge.get_or_try_init(|| self.challenge()).await?;
        let action = format!("log in to the registry as {}", credentials.username);
        let mut call =
            Call::new(Method::GET, realm.clone(), Auth::Basic(credentials.clone()), action)
                .query("service", service);
        for scope in scopes {
            call = call.query(SCOPE, scope);
        }
        let answer = self.exchange(&call, &self.0.registry).await?;
        match answer.status {
            StatusCode::OK => parse_grants(&answer)
                .map(LogIn::Granted)
                .ok_or_else(|| not_a_registry(call.action())),
            StatusCode::UNAUTHORIZED => {
                let message = parse_message(&answer.body)
                    .unwrap_or_else(|| "the registry rejected the credentials".into());
                Ok(LogIn::Rejected(message))
            }
            status => Err(QuayError::from_response(call.action(), status, &answer.body)),
        }
    }

    async fn challenge(&self) -> Result<Challenge, QuayError> {
        let url = self.endpoint(&["v2", ""], &[]);
        let call = Call::new(
            Method::GET,
            url,
            Auth::Anonymous,
            "find the registry's token service".into(),
        );
        let answer = self.exchange(&call, &self.0.registry).await?;
        let header = answer.headers.get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let challenge = match (answer.status, header.and_then(parse_challenge)) {
            (StatusCode::UNAUTHORIZED, Some(challenge)) => challenge,
            (StatusCode::UNAUTHORIZED, None) => return Err(not_a_registry(call.action())),
            (status, _) if status.is_success() => return Err(not_a_registry(call.action())),
            (status, _) => {
                return Err(QuayError::from_response(call.action(), status, &answer.body));
            }
        };
        if challenge.realm.scheme() != "https" && !self.0.insecure {
            let reason = "the registry's token service uses http://, which would send the credentials unencrypted";
            return Err(QuayError::new(call.action(), ErrorKind::Unexpected, reason));
        }
        Ok(challenge)
    }
}

enum LogIn {
    Granted(BTreeMap<String, Grant>),
    Rejected(String),
}

fn not_a_registry(call: &str) -> QuayError {
    QuayError::new(call, ErrorKind::Unexpected, "the response is not from a registry")
}

/// The scopes of each request, split by [`MAX_QUERY_BYTES`]. There is at least one request, to check the credentials.
fn scope_batches(wanted: &[(String, bool)]) -> Vec<Vec<String>> {
    let mut batches = vec![Vec::new()];
    let mut length = 0;
    for (repository, push) in wanted {
        let scope = format!("repository:{repository}:{}", if *push { "pull,push" } else { "pull" });
        let added = encoded_length(&scope);
        length += added;
        if length > MAX_QUERY_BYTES {
            batches.push(Vec::new());
            length = added;
        }
        if let Some(batch) = batches.last_mut() {
            batch.push(scope);
        }
    }
    batches
}

/// The length of `&scope=repository%3Aacme%2Fapp%3Apull%2Cpush`.
fn encoded_length(scope: &str) -> usize {
    let encoded: usize = form_urlencoded::byte_serialize(scope.as_bytes()).map(str::len).sum();
    "&=".len() + SCOPE.len() + encoded
}

/// Parses `Bearer realm="https://quay/v2/auth",service="quay"`.
pub(super) fn parse_challenge(header: &str) -> Option<Challenge> {
    let fields = header.strip_prefix("Bearer ")?;
    let field = |name: &str| {
        let (_, rest) = fields.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    Some(Challenge {
        realm: Url::parse(field("realm")?).ok()?,
        service: field("service")?.to_owned(),
    })
}

/// The permissions in the registry's token; `None` if the response has no token.
pub(super) fn parse_grants(answer: &QuayResponse) -> Option<BTreeMap<String, Grant>> {
    let token: api_types::RegistryToken = serde_json::from_str(&answer.body).ok()?;
    let allows = |access: &api_types::Access, wanted: &str| {
        access.actions.iter().any(|action| action == wanted || action == "*")
    };
    let grants = claims(&token.token)?.access.into_iter().map(|access| {
        let grant = Grant { pull: allows(&access, "pull"), push: allows(&access, "push") };
        (access.name, grant)
    });
    Some(grants.collect())
}

/// The claims of a JWT. The signature is not verified, for the claims are only displayed.
fn claims(token: &SecretString) -> Option<api_types::Claims> {
    let payload = token.expose_secret().split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parses_the_challenge_of_quay() {
        let challenge = parse_challenge(
            r#"Bearer realm="https://localhost:18443/v2/auth",service="localhost:18443""#,
        )
        .unwrap();
        assert_eq!(challenge.realm.as_str(), "https://localhost:18443/v2/auth");
        assert_eq!(challenge.service, "localhost:18443");
        for header in [
            "",
            "Basic realm=\"x\"",
            "Bearer realm=\"nonsense\",service=\"x\"",
            "Bearer service=\"x\"",
            "Bearer realm=\"https://a",
        ] {
            assert_eq!(parse_challenge(header), None, "{header}");
        }
    }

    fn answer(claims: &str) -> QuayResponse {
        let body = format!(r#"{{"token":"e30.{}.c2lnbmF0dXJl"}}"#, URL_SAFE_NO_PAD.encode(claims));
        QuayResponse { status: StatusCode::OK, headers: Default::default(), body }
    }

    #[test]
    fn parses_the_grants_of_a_token() {
        let found = parse_grants(&answer(
            r#"{"access":[{"type":"repository","name":"reg/app","actions":["push","pull"]},
                {"type":"repository","name":"reg/pub","actions":["pull"]},
                {"type":"repository","name":"reg/none","actions":[]},
                {"type":"repository","name":"reg/all","actions":["*"]}]}"#,
        ));
        let grant = |pull, push| Grant { pull, push };
        let expected = [
            ("reg/app", grant(true, true)),
            ("reg/pub", grant(true, false)),
            ("reg/none", grant(false, false)),
            ("reg/all", grant(true, true)),
        ];
        assert_eq!(found.unwrap(), expected.map(|(name, grant)| (name.to_owned(), grant)).into());
        assert_eq!(parse_grants(&answer(r#"{"sub":"acme+builder"}"#)).unwrap(), BTreeMap::new());
    }

    #[test]
    fn invalid_tokens_grant_nothing() {
        for body in
            ["", "{}", r#"{"token":""}"#, r#"{"token":"a.b.c"}"#, r#"{"token":"a"}"#, "<html>"]
        {
            let answer = QuayResponse {
                status: StatusCode::OK,
                headers: Default::default(),
                body: body.into(),
            };
            assert_eq!(parse_grants(&answer), None, "{body}");
        }
    }

    #[test]
    fn splits_scopes_that_exceed_the_request_length() {
        assert_eq!(scope_batches(&[]), [Vec::<String>::new()]);
        let few = scope_batches(&[("acme/app".into(), true), ("acme/new".into(), false)]);
        assert_eq!(few, [["repository:acme/app:pull,push", "repository:acme/new:pull"]]);
        let many: Vec<_> =
            (0..100).map(|n| (format!("acme/{n}{}", "x".repeat(200)), true)).collect();
        let split = scope_batches(&many);
        assert_eq!(split.iter().map(Vec::len).sum::<usize>(), 100);
        let sent = |query: &Vec<String>| {
            let call = Call::new(
                Method::GET,
                Url::parse("https://q/v2/auth").unwrap(),
                Auth::Anonymous,
                String::new(),
            );
            let call = query.iter().fold(call, |call, scope| call.query(SCOPE, scope));
            call.url().query().unwrap_or_default().len()
        };
        assert!(split.iter().all(|query| sent(query) <= MAX_QUERY_BYTES));
        assert!(split.len() < 9, "{}", split.len());
    }
}
