//! The registry: what a login may really do. Nothing is pulled or pushed; the registry's token tells what was granted.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use url::{Url, form_urlencoded};

use super::Quay;
use super::api_types;
use super::error::{ErrorKind, QuayError, message};
use super::request::{Call, Credentials, QuayResponse};
use crate::domain::snapshot::{Grant, Login, ProbeOutcome};

/// The most characters of scopes in one request, as they are sent. Quay's web server refuses request lines of more than 4094
/// (gunicorn `limit_request_line`); the rest is for the address and the service's name.
const MAX_QUERY_BYTES: usize = 3500;

const SCOPE: &str = "scope";

/// Where the registry sends those who want to log in (sample 460).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    realm: Url,
    service: String,
}

impl Quay {
    /// Logs in to the registry and asks for `pull`, and where the flag is set for `push`, on repositories
    /// (`organization/repository`).
    ///
    /// Asking `push` on a repository that does not exist creates it, if the login may (sample 478): the flag is for
    /// repositories that are known to exist.
    pub async fn probe(&self, login: &Login, wanted: &[(String, bool)]) -> ProbeOutcome {
        let mut grants = BTreeMap::new();
        for scopes in queries(wanted) {
            match self.log_in(login, &scopes).await {
                Ok(SignIn::Granted(more)) => grants.extend(more),
                Ok(SignIn::Refused(reason)) => return ProbeOutcome::Refused(reason),
                Err(error) => return ProbeOutcome::Unknown(error.into()),
            }
        }
        ProbeOutcome::Granted(grants)
    }

    async fn log_in(&self, login: &Login, scopes: &[String]) -> Result<SignIn, QuayError> {
        let Challenge { realm, service } =
            self.0.challenge.get_or_try_init(|| self.challenge()).await?;
        let what = format!("log in to the registry as {}", login.username);
        let mut call =
            Call::new(Method::GET, realm.clone(), Credentials::Login(login.clone()), what)
                .query("service", service);
        for scope in scopes {
            call = call.query(SCOPE, scope);
        }
        let answer = self.exchange(&call, &self.0.registry).await?;
        match answer.status {
            StatusCode::OK => {
                granted(&answer).map(SignIn::Granted).ok_or_else(|| not_a_registry(call.what()))
            }
            StatusCode::UNAUTHORIZED => {
                let said = message(&answer.body)
                    .unwrap_or_else(|| "the registry does not accept the login".into());
                Ok(SignIn::Refused(said))
            }
            status => Err(QuayError::refused(call.what(), status, &answer.body)),
        }
    }

    async fn challenge(&self) -> Result<Challenge, QuayError> {
        let url = self.address(&["v2", ""], &[]);
        let call = Call::new(
            Method::GET,
            url,
            Credentials::Nobody,
            "ask the registry where to log in".into(),
        );
        let answer = self.exchange(&call, &self.0.registry).await?;
        let header = answer.headers.get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let challenge = match (answer.status, header.and_then(parse_challenge)) {
            (StatusCode::UNAUTHORIZED, Some(challenge)) => challenge,
            (StatusCode::UNAUTHORIZED, None) => return Err(not_a_registry(call.what())),
            (status, _) if status.is_success() => return Err(not_a_registry(call.what())),
            (status, _) => return Err(QuayError::refused(call.what(), status, &answer.body)),
        };
        if challenge.realm.scheme() != "https" && !self.0.insecure {
            let reason = "the registry wants the login sent over http://, unprotected";
            return Err(QuayError::new(call.what(), ErrorKind::Unexpected, reason));
        }
        Ok(challenge)
    }
}

enum SignIn {
    Granted(BTreeMap<String, Grant>),
    Refused(String),
}

fn not_a_registry(call: &str) -> QuayError {
    QuayError::new(
        call,
        ErrorKind::Unexpected,
        "the address answered something that is not a registry",
    )
}

/// The scopes to ask for, so many to a request as fit; at least one request, since logging in is a question too.
fn queries(wanted: &[(String, bool)]) -> Vec<Vec<String>> {
    let mut queries = vec![Vec::new()];
    let mut length = 0;
    for (repository, push) in wanted {
        let scope = format!("repository:{repository}:{}", if *push { "pull,push" } else { "pull" });
        let more = length_sent(&scope);
        length += more;
        if length > MAX_QUERY_BYTES {
            queries.push(Vec::new());
            length = more;
        }
        if let Some(query) = queries.last_mut() {
            query.push(scope);
        }
    }
    queries
}

/// How long a scope is in a request: `&scope=repository%3Aacme%2Fapp%3Apull%2Cpush`.
fn length_sent(scope: &str) -> usize {
    let encoded: usize = form_urlencoded::byte_serialize(scope.as_bytes()).map(str::len).sum();
    "&=".len() + SCOPE.len() + encoded
}

/// Reads `Bearer realm="https://quay/v2/auth",service="quay"`.
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

/// What the registry's token grants, if there is one in the answer.
pub(super) fn granted(answer: &QuayResponse) -> Option<BTreeMap<String, Grant>> {
    let token: api_types::RegistryToken = serde_json::from_str(&answer.body).ok()?;
    let may = |access: &api_types::Access, what: &str| {
        access.actions.iter().any(|action| action == what || action == "*")
    };
    let grants = claims(&token.token)?.access.into_iter().map(|access| {
        let grant = Grant { pull: may(&access, "pull"), push: may(&access, "push") };
        (access.name, grant)
    });
    Some(grants.collect())
}

/// The claims of a JWT. Its signature is for the registry to check; we only look at what we were given.
fn claims(token: &SecretString) -> Option<api_types::Claims> {
    let payload = token.expose_secret().split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_challenge_is_read_as_quay_writes_it() {
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
    fn a_token_tells_what_was_granted() {
        let found = granted(&answer(
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
        assert_eq!(granted(&answer(r#"{"sub":"acme+builder"}"#)).unwrap(), BTreeMap::new());
    }

    #[test]
    fn what_is_no_token_grants_nothing() {
        for body in
            ["", "{}", r#"{"token":""}"#, r#"{"token":"a.b.c"}"#, r#"{"token":"a"}"#, "<html>"]
        {
            let answer = QuayResponse {
                status: StatusCode::OK,
                headers: Default::default(),
                body: body.into(),
            };
            assert_eq!(granted(&answer), None, "{body}");
        }
    }

    #[test]
    fn scopes_are_split_where_a_request_would_get_too_long() {
        assert_eq!(queries(&[]), [Vec::<String>::new()]);
        let few = queries(&[("acme/app".into(), true), ("acme/new".into(), false)]);
        assert_eq!(few, [["repository:acme/app:pull,push", "repository:acme/new:pull"]]);
        let many: Vec<_> =
            (0..100).map(|n| (format!("acme/{n}{}", "x".repeat(200)), true)).collect();
        let split = queries(&many);
        assert_eq!(split.iter().map(Vec::len).sum::<usize>(), 100);
        let sent = |query: &Vec<String>| {
            let call = Call::new(
                Method::GET,
                Url::parse("https://q/v2/auth").unwrap(),
                Credentials::Nobody,
                String::new(),
            );
            let call = query.iter().fold(call, |call, scope| call.query(SCOPE, scope));
            call.url().query().unwrap_or_default().len()
        };
        assert!(split.iter().all(|query| sent(query) <= MAX_QUERY_BYTES));
        assert!(split.len() < 9, "{}", split.len());
    }
}
