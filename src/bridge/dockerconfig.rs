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

/// Writes a docker configuration with a login for `host`, the way the operator does: `auth` and nothing else
/// (QBO `controllers/namespace_controller.go:414`). Logins for other registries that somebody
/// put into the same secret are kept.
pub fn render(host: &str, login: &Login, before: &[(String, Login)]) -> SecretString {
    let others = before.iter().filter(|(key, _)| !serves(key, host)).map(|(key, login)| (key.as_str(), login));
    let auths: BTreeMap<_, _> = others.chain([(host, login)]).map(|(key, login)| (key, json!({ "auth": auth(login) }))).collect();
    json!({ "auths": auths }).to_string().into()
}

fn auth(login: &Login) -> String {
    STANDARD.encode(format!("{}:{}", login.username, login.password.expose_secret()))
}

/// Whether a key of a docker configuration is used for images of `host`: the host itself, with a path behind it or
/// with a scheme in front (measured with ImageStreamImport).
pub fn serves(key: &str, host: &str) -> bool {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    key.split('/').next() == Some(host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn renders_what_the_operator_writes() {
        let login = Login { username: "parity_golden+builder".into(), password: "TOKEN".into() };
        assert_eq!(
            render("localhost:18443", &login, &[]).expose_secret(),
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
    fn logins_for_other_registries_are_kept() {
        let login = |name: &str| Login { username: name.into(), password: "p".into() };
        let before = [("https://q/org".to_owned(), login("old")), ("docker.io".to_owned(), login("other"))];
        let after = parse(render("q", &login("new"), &before).expose_secret().as_bytes()).unwrap();
        let names: Vec<_> = after.iter().map(|(key, login)| (key.as_str(), login.username.as_str())).collect();
        assert_eq!(names, [("docker.io", "other"), ("q", "new")]);
    }

    #[test]
    fn a_key_serves_its_host_only() {
        for key in ["q:443", "https://q:443", "http://q:443/", "q:443/org", "https://q:443/v1/"] {
            assert!(serves(key, "q:443"), "{key}");
        }
        for key in ["q", "q:4430", "x.q:443", ""] {
            assert!(!serves(key, "q:443"), "{key}");
        }
    }

    proptest! {
        #[test]
        fn what_is_rendered_reads_back(host in "[a-z.]{1,20}(:[0-9]{2,5})?", username in "[a-z_+]{1,30}", password in "\\PC{0,60}") {
            let login = Login { username, password: password.into() };
            let read = parse(render(&host, &login, &[]).expose_secret().as_bytes()).unwrap();
            prop_assert_eq!(&read[0].0, &host);
            prop_assert_eq!(&read[0].1.username, &login.username);
            prop_assert_eq!(read[0].1.password.expose_secret(), login.password.expose_secret());
        }

        #[test]
        fn no_content_makes_it_panic(content in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&content);
        }
    }
}
