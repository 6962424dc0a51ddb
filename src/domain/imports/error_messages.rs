//! Explanations of import errors.

use crate::domain::dockerconfig::RegistryScope;
use crate::domain::snapshot::{RegistryCredentials, Secret};

/// The unambiguous part of OpenShift's message for credentials that Quay rejected.
const ACCESS_DENIED: &str = "not have access to the container image";

/// An import's error message, with its cause if that is known.
pub fn describe(message: &str) -> String {
    with_cause(message, cause(message).map(str::to_owned))
}

/// [`describe`] for an image in `place`, with the pull secrets of the namespace.
pub fn describe_with_secrets(
    message: &str,
    place: RegistryScope<'_>,
    secrets: &[Secret],
) -> String {
    if is_rejected(message) {
        with_cause(message, Some(rejection(place, secrets)))
    } else {
        describe(message)
    }
}

fn with_cause(message: &str, cause: Option<String>) -> String {
    let message = message.trim_end_matches('.');
    match cause {
        Some(cause) => format!("{message} ({cause})"),
        None => message.to_owned(),
    }
}

/// Whether Quay rejected the credentials: the only failure that the secrets of the namespace
/// explain.
pub fn is_rejected(message: &str) -> bool {
    message.contains(ACCESS_DENIED)
}

/// The causes of OpenShift's import errors, by texts recorded on a real cluster.
fn cause(message: &str) -> Option<&'static str> {
    let known = [
        (
            ACCESS_DENIED,
            "no secret of the namespace has permission to read it, or another secret for the host takes precedence",
        ),
        (
            "not allowed by whitelist",
            "allowedRegistriesForImport of the cluster's image policy does not include the registry",
        ),
        ("rejected by policy", "the cluster's image policy does not allow it"),
        ("is blocked in", "blockedRegistries of the cluster's image policy includes the registry"),
        ("not found", "Quay has no such image"),
        ("x509", "the cluster does not trust Quay's certificate"),
        ("server gave HTTP response to HTTPS client", "Quay serves plain http on this port"),
        ("connection refused", "nothing listens on this port"),
    ];
    known.iter().find(|(text, _)| message.contains(text)).map(|(_, cause)| *cause)
}

fn rejection(place: RegistryScope<'_>, secrets: &[Secret]) -> String {
    match used_credentials(place, secrets) {
        None => format!("no pull secret of the namespace has credentials for {}", place.host),
        Some((secret, entry)) => {
            format!(
                "only secret {} is used; its credentials of {} are rejected or lack permission to read it",
                secret.name, entry.username
            )
        }
    }
}

/// The credentials that an import uses: those of the first matching pull secret by name, whether a
/// service account lists it or not (as observed on a real cluster).
pub fn used_credentials<'a>(
    place: RegistryScope<'_>,
    secrets: &'a [Secret],
) -> Option<(&'a Secret, &'a RegistryCredentials)> {
    let matching = secrets.iter().filter(|secret| secret.kind.starts_with("kubernetes.io/dockerc"));
    let mut matching: Vec<_> =
        matching.filter_map(|secret| Some((secret, secret.credentials_for(place)?))).collect();
    matching.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    matching.into_iter().next()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const PLACE: RegistryScope<'_> = RegistryScope { host: "q:443", organization: "org" };
    const REJECTED: &str = "… not have access to the container image \"q:443/org/app:1\"";

    fn secret(name: &str, registry: &str) -> Secret {
        let entry = RegistryCredentials { username: format!("org+{name}"), password: "p".into() };
        Secret {
            name: name.into(),
            resource_version: String::new(),
            kind: "kubernetes.io/dockerconfigjson".into(),
            managed: false,
            is_plain: true,
            uid: String::new(),
            items: BTreeMap::new(),
            credentials: Ok(vec![(registry.into(), entry)]),
            undecodable: vec![],
        }
    }

    #[test]
    fn names_secret_that_import_used() {
        let words = |secrets: &[Secret]| {
            describe_with_secrets(REJECTED, PLACE, secrets)
                .split_once(" (")
                .unwrap_or_default()
                .1
                .to_owned()
        };
        assert_eq!(
            words(&[secret("a", "other"), secret("b", "q:443/theirs")]),
            "no pull secret of the namespace has credentials for q:443)"
        );
        let expected = "only secret a is used; its credentials of org+a are rejected or lack permission to read it)";
        assert_eq!(words(&[secret("b", "q:443"), secret("a", "https://q:443/v2/")]), expected);
        let opaque = Secret { kind: "Opaque".into(), ..secret("0", "q:443") };
        assert_eq!(words(&[secret("a", "q:443"), opaque]), expected);
    }

    #[test]
    fn explains_known_errors() {
        let not_found = "dockerimage.image.openshift.io \"q/org/app:1\" not found";
        assert_eq!(describe(not_found), format!("{not_found} (Quay has no such image)"));
        assert_eq!(describe_with_secrets(not_found, PLACE, &[]), describe(not_found));
        for text in [
            "x509: unknown authority",
            "http: server gave HTTP response to HTTPS client",
            "connect: connection refused",
        ] {
            assert!(describe(text).starts_with(&format!("{text} (")), "{text}");
        }
        assert_eq!(describe("Something else."), "Something else");
    }
}
