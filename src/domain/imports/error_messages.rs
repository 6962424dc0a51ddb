//! Why an import failed, in words that lead on.

use crate::domain::dockerconfig::RegistryScope;
use crate::domain::snapshot::{Login, Secret};

/// An import's error message, with what it means where that is known.
pub fn in_words(message: &str) -> String {
    with_cause(message, cause(message).map(str::to_owned))
}

/// The same for an image at a place whose logins are known: `secrets` are the pull secrets of the namespace.
pub fn describe_with_tags(message: &str, place: RegistryScope<'_>, secrets: &[Secret]) -> String {
    if is_refused(message) {
        with_cause(message, Some(refused(place, secrets)))
    } else {
        in_words(message)
    }
}

fn with_cause(message: &str, cause: Option<String>) -> String {
    let message = message.trim_end_matches('.');
    match cause {
        Some(cause) => format!("{message} ({cause})"),
        None => message.to_owned(),
    }
}

/// Whether Quay refused to hand out the image: the one failure that the secrets of the namespace explain.
pub fn is_refused(message: &str) -> bool {
    message.contains("you may not have access")
}

/// What OpenShift's import errors mean, by the texts measured on a real one.
fn cause(message: &str) -> Option<&'static str> {
    let known = [
        (
            "you may not have access",
            "no secret of the namespace may read it, or another secret for the host comes first",
        ),
        (
            "not allowed by whitelist",
            "allowedRegistriesForImport of the cluster's image policy does not name it",
        ),
        ("rejected by policy", "the cluster's image policy does not allow it"),
        ("is blocked in", "blockedRegistries of the cluster's image policy names it"),
        ("not found", "Quay has no such image"),
        ("x509", "the cluster does not trust Quay's certificate"),
        ("server gave HTTP response to HTTPS client", "Quay answers plain http there"),
        ("connection refused", "nothing listens there"),
    ];
    known.iter().find(|(text, _)| message.contains(text)).map(|(_, cause)| *cause)
}

fn refused(place: RegistryScope<'_>, secrets: &[Secret]) -> String {
    match tried(place, secrets) {
        None => format!("no pull secret of the namespace has a login for {}", place.host),
        Some((secret, login)) => {
            format!(
                "secret {} is tried, and no other; its login {} is refused or may not read it",
                secret.name, login.username
            )
        }
    }
}

/// The login that an import tries: of all pull secrets of the namespace, linked to a service account or not, the first by
/// name (measured).
pub fn tried<'a>(
    place: RegistryScope<'_>,
    secrets: &'a [Secret],
) -> Option<(&'a Secret, &'a Login)> {
    let fitting = secrets.iter().filter(|secret| secret.kind.starts_with("kubernetes.io/dockerc"));
    let mut fitting: Vec<_> =
        fitting.filter_map(|secret| Some((secret, secret.login_for(place)?))).collect();
    fitting.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    fitting.into_iter().next()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const PLACE: RegistryScope<'_> = RegistryScope { host: "q:443", organization: "org" };
    const REFUSED: &str = "you may not have access to the container image \"q:443/org/app:1\"";

    fn secret(name: &str, registry: &str) -> Secret {
        let login = Login { username: format!("org+{name}"), password: "p".into() };
        Secret {
            name: name.into(),
            resource_version: String::new(),
            kind: "kubernetes.io/dockerconfigjson".into(),
            managed: false,
            is_plain: true,
            uid: String::new(),
            items: BTreeMap::new(),
            logins: Ok(vec![(registry.into(), login)]),
            undecodable: vec![],
        }
    }

    #[test]
    fn a_refusal_names_the_secret_that_is_tried() {
        let words = |secrets: &[Secret]| {
            describe_with_tags(REFUSED, PLACE, secrets)
                .split_once(" (")
                .unwrap_or_default()
                .1
                .to_owned()
        };
        assert_eq!(
            words(&[secret("a", "other"), secret("b", "q:443/theirs")]),
            "no pull secret of the namespace has a login for q:443)"
        );
        let expected =
            "secret a is tried, and no other; its login org+a is refused or may not read it)";
        assert_eq!(words(&[secret("b", "q:443"), secret("a", "https://q:443/v2/")]), expected);
        let opaque = Secret { kind: "Opaque".into(), ..secret("0", "q:443") };
        assert_eq!(words(&[secret("a", "q:443"), opaque]), expected);
    }

    #[test]
    fn every_measured_text_has_its_meaning() {
        let not_found = "dockerimage.image.openshift.io \"q/org/app:1\" not found";
        assert_eq!(in_words(not_found), format!("{not_found} (Quay has no such image)"));
        assert_eq!(describe_with_tags(not_found, PLACE, &[]), in_words(not_found));
        for text in [
            "x509: unknown authority",
            "http: server gave HTTP response to HTTPS client",
            "connect: connection refused",
        ] {
            assert!(in_words(text).starts_with(&format!("{text} (")), "{text}");
        }
        assert_eq!(in_words("Something else."), "Something else");
    }
}
