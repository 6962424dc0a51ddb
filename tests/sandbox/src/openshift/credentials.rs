//! The credentials in pull secrets, and their selection for an image (openshift's copy of `k8s.io/kubernetes`
//! `pkg/credentialprovider/keyring.go`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::meta;

/// A user name and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// The credentials that an import tries for an image, and no other: of all pull secrets given, linked to a service account or
/// not, the one whose key has the longest path, and of several the first by the secret's name.
pub(crate) fn first_credential(secrets: &[&Value], image: &str) -> Option<Credential> {
    let mut secrets = secrets.to_vec();
    secrets.sort_by_key(|secret| meta::name(secret));
    let mut fitting: Vec<(usize, Credential)> = secrets
        .into_iter()
        .flat_map(credentials)
        .filter_map(|(key, credential)| Some((reach(&key, image)?, credential)))
        .collect();
    fitting.sort_by_key(|(reach, _)| std::cmp::Reverse(*reach));
    fitting.into_iter().next().map(|(_, credential)| credential)
}

/// The number of characters of the image's path that a key covers, if it is for its registry:
/// `host`, `host/organization` and `https://host` all are (measured).
fn reach(key: &str, image: &str) -> Option<usize> {
    let (host, path) = image.split_once('/')?;
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let (of, prefix) = key.split_once('/').unwrap_or((key, ""));
    let prefix =
        prefix.strip_prefix("v1/").or_else(|| prefix.strip_prefix("v2/")).unwrap_or(prefix);
    (of == host && path.starts_with(prefix)).then_some(prefix.len())
}

/// Every credential in a secret by its key; an Opaque one has none.
fn credentials(secret: &Value) -> Vec<(String, Credential)> {
    let data = |key: &str| -> Option<Value> {
        serde_json::from_slice(&STANDARD.decode(secret["data"][key].as_str()?).ok()?).ok()
    };
    let auths = match secret["type"].as_str() {
        Some("kubernetes.io/dockerconfigjson") => {
            data(".dockerconfigjson").map(|mut config| config["auths"].take())
        }
        Some("kubernetes.io/dockercfg") => data(".dockercfg"),
        _ => None,
    };
    let entries = auths.as_ref().and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, entry)| Some((key.clone(), of_entry(entry)?))).collect()
}

fn of_entry(entry: &Value) -> Option<Credential> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(auth) = entry["auth"].as_str().filter(|auth| !auth.is_empty()) {
        let decoded = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        return Some(Credential { user: user.to_owned(), password: password.to_owned() });
    }
    Some(Credential { user: text(&entry["username"])?, password: text(&entry["password"])? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const IMAGE: &str = "quay.example.com:8443/acme/app:1";

    fn secret(name: &str, kind: &str, keys: &[&str]) -> Value {
        let auths: serde_json::Map<String, Value> = keys
            .iter()
            .map(|key| {
                ((*key).to_owned(), json!({"auth": STANDARD.encode(format!("{name}:{key}"))}))
            })
            .collect();
        let (key, content) = match kind {
            "dockercfg" => (".dockercfg", json!(auths)),
            _ => (".dockerconfigjson", json!({"auths": auths})),
        };
        let kind = if kind == "Opaque" { kind.to_owned() } else { format!("kubernetes.io/{kind}") };
        json!({"metadata": {"name": name}, "type": kind, "data": {key: STANDARD.encode(content.to_string())}})
    }

    #[test]
    fn key_can_be_a_host_a_path_or_an_address() {
        let finds = |key: &str| {
            first_credential(&[&secret("a", "dockerconfigjson", &[key])], IMAGE).is_some()
        };
        for key in [
            "quay.example.com:8443",
            "quay.example.com:8443/acme",
            "https://quay.example.com:8443/v2/",
        ] {
            assert!(finds(key), "{key}");
        }
        for key in ["quay.example.com", "quay.example.com:8443/other", "example.com:8443", ""] {
            assert!(!finds(key), "{key}");
        }
    }

    #[test]
    fn longest_path_is_first_and_then_the_first_name() {
        let host = "quay.example.com:8443";
        let (a, b) = (secret("a", "dockerconfigjson", &[host]), secret("b", "dockercfg", &[host]));
        let longer = secret("c", "dockerconfigjson", &["quay.example.com:8443/acme"]);
        assert_eq!(first_credential(&[&b, &a], IMAGE).unwrap().user, "a");
        assert_eq!(first_credential(&[&b, &longer, &a], IMAGE).unwrap().user, "c");
        assert_eq!(
            first_credential(&[&secret("a", "Opaque", &[host]), &b], IMAGE).unwrap().user,
            "b"
        );
    }
}
