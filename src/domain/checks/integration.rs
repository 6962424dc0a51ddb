//! Checks the integration: QuayIntegration, URL, cluster ID, token, Quay's responses and the image policy.

use super::{Check, webhooks};
use crate::domain::finding::{Code, Finding, ObjectRef};
use crate::domain::integration::{
    IntegrationSnapshot, OPERATOR_TOKEN_KEY, QuayProblem, Source, StoredTokenState,
};
use crate::domain::names::{ClusterId, QuayUrl, UrlProblem};
use crate::domain::snapshot::ReadErrorKind;

/// The checks of the integration, in display order. `problems` are the problems that calls to Quay met; none without calls.
pub fn integration(snapshot: &IntegrationSnapshot, problems: Option<&[QuayProblem]>) -> Vec<Check> {
    let known = problems.unwrap_or_default();
    let mut checks = vec![resource(snapshot), settings(snapshot), token(snapshot, known)];
    checks.extend(quay(snapshot, problems));
    checks.extend(image_policy(snapshot));
    checks.extend(snapshot.rewriters.as_ref().and_then(webhooks::check));
    checks
}

fn object(snapshot: &IntegrationSnapshot) -> ObjectRef {
    ObjectRef::cluster("QuayIntegration", snapshot.resource().map_or("", |resource| &resource.name))
}

fn resource(snapshot: &IntegrationSnapshot) -> Check {
    let title = "Integration";
    let settings_are_given = snapshot.given.url.is_some() && snapshot.given.cluster_id.is_some();
    match snapshot.resources.as_deref() {
        Ok([found]) if !snapshot.differing().is_empty() => {
            let fact = format!(
                "QuayIntegration {}, for another Quay or cluster ID; its namespace lists are not used",
                found.name
            );
            Check::new(title, fact, vec![])
        }
        Ok([found]) => Check::new(title, format!("QuayIntegration {}", found.name), vec![]),
        Ok([]) if settings_are_given => Check::new(
            title,
            "none in the cluster; flags and environment variables are used",
            vec![],
        ),
        Ok([]) => {
            let finding =
                Finding::new(Code::NoIntegration, object(snapshot), "No QuayIntegration found");
            Check::new(title, "none", vec![finding])
        }
        Ok(several) => {
            let names: Vec<_> = several.iter().map(|resource| resource.name.as_str()).collect();
            let message = format!("{} QuayIntegrations found: {}", several.len(), names.join(", "));
            Check::new(
                title,
                "multiple",
                vec![Finding::new(Code::MultipleIntegrations, object(snapshot), message)],
            )
        }
        Err(unread) => {
            Check::new(title, "could not be read", vec![Finding::unread(object(snapshot), unread)])
        }
    }
}

fn settings(snapshot: &IntegrationSnapshot) -> Check {
    let mut findings = Vec::new();
    let mut fact = Vec::new();
    if let Some(url) = snapshot.url() {
        match QuayUrl::parse(&url.value) {
            Ok((parsed, problems)) => {
                fact.push(parsed.host());
                findings.extend(
                    problems.into_iter().filter_map(|problem| {
                        url_finding(snapshot, &url.value, &url.source, problem)
                    }),
                );
            }
            Err(reason) => findings.push(Finding::new(
                Code::HostnameWithoutScheme,
                object(snapshot),
                capitalize(&reason),
            )),
        }
    }
    if let Some(id) = snapshot.cluster_id() {
        fact.push(format!("cluster ID {}", id.value));
        if let Some(problem) = ClusterId::new(&id.value).problem() {
            let message = format!("Cluster ID `{}` is invalid: {problem}", id.value);
            findings.push(Finding::new(Code::ClusterIdImpossible, object(snapshot), message));
        }
    }
    if snapshot.insecure() {
        let message = "Quay's certificate is not verified: the token and images can be intercepted";
        findings.push(Finding::new(Code::VerificationOff, object(snapshot), message));
    }
    Check::new("Settings", if fact.is_empty() { "none".into() } else { fact.join(", ") }, findings)
}

/// A missing scheme is a problem for the operator, which reads the resource. In a flag it defaults to https.
fn url_finding(
    snapshot: &IntegrationSnapshot,
    text: &str,
    source: &Source,
    problem: UrlProblem,
) -> Option<Finding> {
    let (code, message) = match problem {
        UrlProblem::NoScheme if !matches!(source, Source::Resource(_)) => return None,
        UrlProblem::NoScheme => (
            Code::HostnameWithoutScheme,
            format!("`{text}` has no scheme; the operator cannot use it"),
        ),
        UrlProblem::Path => {
            (Code::HostnameWithPath, format!("`{text}` has a path, which is ignored"))
        }
        UrlProblem::PlainHttp if !snapshot.insecure() => (
            Code::PlainHttpRejected,
            format!(
                "`{text}` is plain http: Quay is not called, since the token would be sent unencrypted"
            ),
        ),
        UrlProblem::PlainHttp => (Code::HostnamePlainHttp, format!("`{text}` is plain http")),
    };
    Some(Finding::new(code, object(snapshot), message))
}

fn token(snapshot: &IntegrationSnapshot, problems: &[QuayProblem]) -> Check {
    let mut findings = Vec::new();
    let source = snapshot.token_source();
    let object = match &source {
        Some(Source::Secret(key)) => ObjectRef::namespaced("Secret", &key.namespace, &key.name),
        _ => object(snapshot),
    };
    if let (Some(Source::Secret(key)), Some(stored)) = (&source, &snapshot.stored_token) {
        let missing = match stored {
            Ok(StoredTokenState::Present) => None,
            Ok(StoredTokenState::Unusable) => {
                let message = format!(
                    "Secret {}/{} has an invalid token under {}",
                    key.namespace, key.name, key.key
                );
                findings.push(Finding::new(Code::TokenUnusable, object.clone(), message));
                None
            }
            Ok(StoredTokenState::SecretMissing) => {
                Some(format!("Secret {}/{} does not exist", key.namespace, key.name))
            }
            Ok(StoredTokenState::KeyMissing) => {
                Some(format!("Secret {}/{} has no key {}", key.namespace, key.name, key.key))
            }
            Ok(StoredTokenState::Empty) => Some(format!(
                "Secret {}/{} has an empty value under {}",
                key.namespace, key.name, key.key
            )),
            Err(unread) => {
                let message = format!("Could not {}: {}", unread.call, unread.reason);
                let code = if unread.kind == ReadErrorKind::Forbidden {
                    Code::CredentialsUnreadable
                } else {
                    Code::CouldNotRead
                };
                findings.push(Finding::new(code, object.clone(), message));
                None
            }
        };
        findings.extend(
            missing.map(|message| Finding::new(Code::CredentialsMissing, object.clone(), message)),
        );
        if key.key != OPERATOR_TOKEN_KEY {
            let message = format!("The operator reads `{OPERATOR_TOKEN_KEY}`, not `{}`", key.key);
            findings.push(Finding::new(Code::KeyIgnoredByOperator, object.clone(), message));
        }
    }
    if source.is_none() && snapshot.resource().is_some() {
        let (code, message) = match &snapshot.given.url {
            Some(url) if !snapshot.is_integration_quay() => (
                Code::TokenOfAnotherQuay,
                format!("{} is another Quay, to which the stored token is not sent", url.source),
            ),
            _ => (
                Code::CredentialsMissing,
                "The QuayIntegration has no credentialsSecret".to_owned(),
            ),
        };
        findings.push(Finding::new(code, object.clone(), message));
    }
    for problem in problems {
        let (code, message) = match problem {
            QuayProblem::TokenRejected { reason } => (
                Code::TokenRejected,
                format!("Quay rejected the token{}: {reason}", token_origin(snapshot)),
            ),
            QuayProblem::UserLacksPermission { user, permission } => (
                Code::UserLacksPermission,
                format!("User {user} is not allowed to {permission} in this Quay"),
            ),
            QuayProblem::TokenLacksScope { scope } => {
                (Code::TokenLacksScope, format!("The token lacks the scope {scope}"))
            }
            _ => continue,
        };
        let mut finding = Finding::new(code, object.clone(), message);
        if code == Code::TokenRejected && snapshot.given.token.is_some() {
            // Setup would replace the stored token, not the given one.
            finding.hint = Some(format!("oc quay explain {}", code.as_str()));
        }
        findings.push(finding);
    }
    match source {
        Some(source) => Check::new("Token", source.to_string(), findings),
        None if snapshot.resources.is_err() => {
            Check::new("Token", "unknown", findings).incomplete()
        }
        None => Check::new("Token", "none", findings),
    }
}

/// ` of --quay-token-file`; nothing for the stored one.
fn token_origin(snapshot: &IntegrationSnapshot) -> String {
    snapshot.given.token.as_ref().map(|source| format!(" of {source}")).unwrap_or_default()
}

/// None if Quay was not called although there is a token.
fn quay(snapshot: &IntegrationSnapshot, problems: Option<&[QuayProblem]>) -> Option<Check> {
    let Some(problems) = problems else {
        let has_token = snapshot.given.token.is_some()
            || matches!(snapshot.stored_token, Some(Ok(StoredTokenState::Present)));
        return (!has_token).then(|| Check::skipped("Quay", "no token"));
    };
    let url = snapshot.url().map(|url| url.value).unwrap_or_default();
    let object = ObjectRef::cluster("Quay", &url);
    let findings: Vec<_> = problems
        .iter()
        .filter_map(|problem| {
            let (code, message) = match problem {
                QuayProblem::Unreachable { step, reason } => {
                    (Code::QuayUnreachable, format!("Connection failed ({step}): {reason}"))
                }
                QuayProblem::Untrusted { reason } => (
                    Code::CertificateUntrusted,
                    format!("Quay's certificate is not trusted: {reason}"),
                ),
                QuayProblem::ReadOnly => (
                    Code::QuayReadOnly,
                    "Quay is in read-only mode: every change is rejected".to_owned(),
                ),
                QuayProblem::RobotsDisallowed => (
                    Code::RobotsDisallowed,
                    "Quay's configuration does not allow robot accounts".to_owned(),
                ),
                _ => return None,
            };
            Some(Finding::new(code, object.clone(), message))
        })
        .collect();
    let fact = match findings.first() {
        Some(finding) => finding.code.entry().title.to_owned(),
        None => "no problems found".to_owned(),
    };
    Some(Check::new("Quay", fact, findings))
}

/// None without permission to read it, since only administrators can change it.
fn image_policy(snapshot: &IntegrationSnapshot) -> Option<Check> {
    let title = "Image policy";
    let object = ObjectRef::cluster("Image", "cluster");
    let policy = match snapshot.image_policy.as_ref()? {
        Ok(policy) => policy,
        Err(unread) if unread.kind == ReadErrorKind::Forbidden => return None,
        Err(unread) => {
            return Some(Check::new(
                title,
                "could not be read",
                vec![Finding::unread(object, unread)],
            ));
        }
    };
    let host = QuayUrl::parse(&snapshot.url()?.value).ok()?.0.host();
    let finding =
        |(code, message): (Code, String)| Finding::new(code, object.clone(), capitalize(&message));
    let findings: Vec<_> = policy.violations(&host).into_iter().map(finding).collect();
    let fact = if findings.is_empty() {
        format!("allows {host}")
    } else {
        format!("does not allow {host}")
    };
    Some(Check::new(title, fact, findings))
}

fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
