//! The content of a `kubernetes.io/dockerconfigjson` secret.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::snapshot::Login;

#[derive(Deserialize)]
struct DockerConfig {
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    auth: Option<SecretString>,
    username: Option<String>,
    password: Option<SecretString>,
}

/// Reads the logins in a docker configuration, by registry as it is written there.
///
/// # Errors
/// What is wrong with it, without quoting any of it.
pub fn parse(content: &[u8]) -> Result<Vec<(String, Login)>, String> {
    let config: DockerConfig =
        serde_json::from_slice(content).map_err(|_| "it is no docker configuration with `auths`".to_owned())?;
    if config.auths.is_empty() {
        return Err("its docker configuration names no registry".into());
    }
    config.auths.into_iter().map(|(registry, auth)| login(auth).map(|login| (registry, login))).collect()
}

/// Like kubelet, prefers `auth` to `username` and `password` (`k8s.io/kubernetes/pkg/credentialprovider/config.go`).
fn login(auth: Auth) -> Result<Login, String> {
    if let Some(auth) = auth.auth.filter(|auth| !auth.expose_secret().is_empty()) {
        let decoded = STANDARD.decode(auth.expose_secret()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let (username, password) = decoded
            .as_deref()
            .and_then(|text| text.split_once(':'))
            .ok_or("an `auth` in it is not the base64 of user:password")?;
        return Ok(Login { username: username.into(), password: password.into() });
    }
    match (auth.username, auth.password) {
        (Some(username), Some(password)) => Ok(Login { username, password }),
        _ => Err("an entry in it has neither `auth` nor a user name and password".into()),
    }
}

/// The images that a login is for: those of one organization in a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The registry's host.
    pub host: &'a str,
    /// The organization.
    pub organization: &'a str,
}

impl<'a> Place<'a> {
    /// Where an image is, `host/organization/repository`.
    pub fn of_image(image: &'a str) -> Option<Self> {
        let (host, path) = image.split_once('/')?;
        let (organization, _) = path.split_once('/')?;
        Some(Self { host, organization })
    }

    /// Whether a key of a docker configuration is used for these images: the host itself, or with a path to the
    /// organization or into it behind it. A scheme in front makes no difference (measured with ImageStreamImport), and the
    /// paths of the registry's own API stand for the host (`k8s.io/kubernetes/pkg/credentialprovider/keyring.go`).
    pub fn is_served_by(&self, key: &str) -> bool {
        let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
        let (host, path) = key.split_once('/').unwrap_or((key, ""));
        let path = path.strip_suffix('/').unwrap_or(path);
        host == self.host && (matches!(path, "" | "v1" | "v2") || path.split('/').next() == Some(self.organization))
    }
}

/// The entry of a docker configuration that is ours.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// What it is for; its key is the host, as the operator has it.
    pub place: Place<'a>,
    /// The login.
    pub login: &'a Login,
}

impl Entry<'_> {
    /// Writes a docker configuration with this entry, the way the operator does: `auth` and nothing else
    /// (QBO `controllers/namespace_controller.go:414`). What somebody put into the same secret for other registries, or for
    /// another organization of the same one, is kept.
    pub fn render(&self, before: &[(String, Login)]) -> SecretString {
        let others = before.iter().filter(|(key, _)| !self.place.is_served_by(key)).map(|(key, login)| (key.as_str(), login));
        let all = others.chain([(self.place.host, self.login)]);
        let auths: BTreeMap<_, _> = all.map(|(key, login)| (key, json!({ "auth": auth(login) }))).collect();
        json!({ "auths": auths }).to_string().into()
    }
}

fn auth(login: &Login) -> String {
    STANDARD.encode(format!("{}:{}", login.username, login.password.expose_secret()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORGANIZATION: &str = "openshift_shop";

    fn entry<'a>(host: &'a str, login: &'a Login) -> Entry<'a> {
        Entry { place: Place { host, organization: ORGANIZATION }, login }
    }

    #[test]
    fn renders_what_the_operator_writes() {
        let login = Login { username: "parity_golden+builder".into(), password: "TOKEN".into() };
        assert_eq!(
            entry("localhost:18443", &login).render(&[]).expose_secret(),
            r#"{"auths":{"localhost:18443":{"auth":"cGFyaXR5X2dvbGRlbitidWlsZGVyOlRPS0VO"}}}"#
        );
    }

    #[test]
    fn reads_every_form_and_says_what_it_cannot() {
        let with = |text: &str| parse(text.as_bytes());
        let login = &with(r#"{"auths":{"q":{"username":"u","password":"p:w","email":""}}}"#).unwrap()[0].1;
        assert_eq!((login.username.as_str(), login.password.expose_secret()), ("u", "p:w"));
        for broken in [
            "",
            "{}",
            "[]",
            r#"{"auths":{}}"#,
            r#"{"auths":{"q":{}}}"#,
            r#"{"auths":{"q":{"auth":"!"}}}"#,
            r#"{"auths":{"q":{"auth":"bm9jb2xvbg=="}}}"#,
        ] {
            assert!(with(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn logins_for_other_registries_and_organizations_are_kept() {
        let login = |name: &str| Login { username: name.into(), password: "p".into() };
        let before = ["https://q/openshift_shop", "q/v2/", "q/other", "docker.io"].map(|key| (key.to_owned(), login("old")));
        let after = parse(entry("q", &login("new")).render(&before).expose_secret().as_bytes()).unwrap();
        let names: Vec<_> = after.iter().map(|(key, login)| (key.as_str(), login.username.as_str())).collect();
        assert_eq!(names, [("docker.io", "old"), ("q", "new"), ("q/other", "old")]);
    }

    #[test]
    fn a_key_serves_its_host_or_its_organization() {
        let place = Place { host: "q:443", organization: ORGANIZATION };
        let serving = [
            "q:443",
            "https://q:443",
            "http://q:443/",
            "https://q:443/v1/",
            "q:443/v2",
            "q:443/openshift_shop",
            "https://q:443/openshift_shop/",
            "q:443/openshift_shop/app",
        ];
        for key in serving {
            assert!(place.is_served_by(key), "{key}");
        }
        let others = ["q", "q:4430", "x.q:443", "", "q:443/other", "q:443/openshift_shop2", "q:443/v2/openshift_shop"];
        for key in others {
            assert!(!place.is_served_by(key), "{key}");
        }
    }

    #[test]
    fn an_image_is_in_a_place() {
        let place = |host, organization| Some(Place { host, organization });
        let table = [
            ("q:443/openshift_shop/app:1", place("q:443", "openshift_shop")),
            ("q/a/b/c@sha256:0", place("q", "a")),
            ("q/app", None),
            ("app", None),
        ];
        for (image, expected) in table {
            assert_eq!(Place::of_image(image), expected, "{image}");
        }
    }

    proptest! {
        #[test]
        fn what_is_rendered_reads_back(host in "[a-z.]{1,20}(:[0-9]{2,5})?", username in "[a-z_+]{1,30}", password in "\\PC{0,60}") {
            let login = Login { username, password: password.into() };
            let read = parse(entry(&host, &login).render(&[]).expose_secret().as_bytes()).unwrap();
            prop_assert_eq!(&read[0].0, &host);
            prop_assert_eq!(&read[0].1.username, &login.username);
            prop_assert_eq!(read[0].1.password.expose_secret(), login.password.expose_secret());
        }

        #[test]
        fn only_what_serves_the_same_images_makes_way(
            keys in prop::collection::btree_set("(https://)?(q|r)(:443)?(/(v1|v2|openshift_shop|other)(/[a-z]{1,3})?)?/?", 0..6),
        ) {
            let login = |name: &str| Login { username: name.into(), password: "p".into() };
            let before: Vec<_> = keys.iter().map(|key| (key.clone(), login("old"))).collect();
            let ours = login("new");
            let entry = entry("q", &ours);
            let after = parse(entry.render(&before).expose_secret().as_bytes()).unwrap();
            for key in &keys {
                let kept = after.iter().any(|(other, login)| other == key && login.username == "old");
                prop_assert_eq!(kept, !entry.place.is_served_by(key), "{}", key);
            }
            let serving = after.iter().filter(|(key, _)| entry.place.is_served_by(key)).map(|(_, login)| login.username.as_str());
            prop_assert_eq!(serving.collect::<Vec<_>>(), ["new"]);
        }

        #[test]
        fn no_content_makes_it_panic(content in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&content);
        }
    }
}
