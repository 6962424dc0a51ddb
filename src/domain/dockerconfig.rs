//! The content of a `kubernetes.io/dockerconfigjson` secret.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use serde_json::value::RawValue;

use super::snapshot::RegistryCredentials;

/// Decodes an `auth` as kubelet does: padding is optional, and trailing bits are ignored.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The entries of a docker configuration.
#[derive(Debug)]
pub struct Parsed {
    /// Registry, as written, and credentials of each entry. An entry without credentials is omitted.
    pub credentials: Vec<(String, RegistryCredentials)>,
    /// The registries of the entries that kubelet cannot decode. With any, it uses no other entry either.
    pub undecodable: Vec<String>,
}

#[derive(Deserialize)]
struct DockerConfig {
    auths: BTreeMap<String, Box<RawValue>>,
}

/// The fields of an entry that kubelet reads.
#[derive(Default, Deserialize)]
struct Auth {
    auth: Option<SecretString>,
    username: Option<String>,
    password: Option<SecretString>,
    #[serde(rename = "email")]
    _email: Option<String>,
}

/// Reads the entries of a docker configuration.
///
/// # Errors
/// A reason that quotes no content.
pub fn parse(content: &[u8]) -> Result<Parsed, String> {
    let config: DockerConfig = serde_json::from_slice(content)
        .map_err(|_| "it is not a docker configuration with `auths`".to_owned())?;
    if config.auths.is_empty() {
        return Err("its docker configuration names no registry".into());
    }
    let mut parsed = Parsed { credentials: vec![], undecodable: vec![] };
    for (registry, entry) in config.auths {
        match decode(&entry) {
            Ok(found) => parsed.credentials.extend(found.map(|found| (registry, found))),
            Err(Undecodable) => parsed.undecodable.push(registry),
        }
    }
    Ok(parsed)
}

/// An entry that kubelet rejects, together with the whole configuration.
struct Undecodable;

/// `auth` takes precedence over `username` and `password` (`k8s.io/kubernetes/pkg/credentialprovider/config.go`).
fn decode(entry: &RawValue) -> Result<Option<RegistryCredentials>, Undecodable> {
    let auth: Auth = serde_json::from_str::<Option<Auth>>(entry.get())
        .map_err(|_| Undecodable)?
        .unwrap_or_default();
    if let Some(auth) = auth.auth.filter(|auth| !auth.expose_secret().is_empty()) {
        let encoded: String =
            auth.expose_secret().chars().filter(|char| !matches!(char, '\r' | '\n')).collect();
        let decoded = LENIENT.decode(encoded).map_err(|_| Undecodable)?;
        let text = String::from_utf8_lossy(&decoded);
        let (username, password) = text.split_once(':').ok_or(Undecodable)?;
        return Ok(Some(RegistryCredentials {
            username: username.into(),
            password: password.into(),
        }));
    }
    let pair = auth.username.zip(auth.password);
    Ok(pair.map(|(username, password)| RegistryCredentials { username, password }))
}

/// The images of one organization in a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryScope<'a> {
    /// `host` or `host:port`.
    pub host: &'a str,
    pub organization: &'a str,
}

impl<'a> RegistryScope<'a> {
    /// The scope of an image `host/organization/repository`.
    pub fn of_image(image: &'a str) -> Option<Self> {
        let (host, path) = image.split_once('/')?;
        let (organization, _) = path.split_once('/')?;
        Some(Self { host, organization })
    }

    /// Whether a key of a docker configuration is used for these images: the host, or the host with a path to the
    /// organization or into it. A scheme is ignored (measured with ImageStreamImport), and so are the paths of the
    /// registry's API (`k8s.io/kubernetes/pkg/credentialprovider/keyring.go`).
    pub fn is_served_by(&self, key: &str) -> bool {
        let key =
            key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
        let (host, path) = key.split_once('/').unwrap_or((key, ""));
        let path = path.strip_suffix('/').unwrap_or(path);
        host == self.host
            && (matches!(path, "" | "v1" | "v2")
                || path.split('/').next() == Some(self.organization))
    }
}

/// Our entry of a docker configuration.
#[derive(Clone, Copy, Debug)]
pub struct AuthEntry<'a> {
    /// The images it is for. Its key is the host, as the operator writes it.
    pub place: RegistryScope<'a>,
    /// User name and password.
    pub credentials: &'a RegistryCredentials,
}

impl AuthEntry<'_> {
    /// Writes a docker configuration with this entry as the operator does: `auth` and nothing else
    /// (QBO `controllers/namespace_controller.go:414`). All other bytes of `before` are kept, also those of unknown fields.
    /// Content that is not a JSON object is replaced.
    pub fn render(&self, before: Option<&SecretString>) -> SecretString {
        let mut config = before.and_then(Fields::read).unwrap_or_default();
        let mut auths = config
            .get("auths")
            .and_then(|auths| serde_json::from_str::<Fields>(auths.get()).ok())
            .unwrap_or_default();
        let place = auths
            .0
            .iter()
            .position(|(key, _)| self.place.is_served_by(key))
            .unwrap_or(auths.0.len());
        auths.0.retain(|(key, _)| !self.place.is_served_by(key));
        auths.insert(
            place,
            self.place.host,
            &json!({ "auth": auth(self.credentials) }).to_string(),
        );
        let place = config.0.iter().position(|(key, _)| key == "auths").unwrap_or(config.0.len());
        config.0.retain(|(key, _)| key != "auths");
        config.insert(place, "auths", &auths.to_string());
        config.to_string().into()
    }

    /// Whether a docker configuration holds this entry, and no other entry for the same images.
    pub fn is_in(&self, content: &SecretString) -> bool {
        let Ok(parsed) = parse(content.expose_secret().as_bytes()) else { return false };
        let is_for_others = |key: &String| !self.place.is_served_by(key);
        let mut ours = parsed.credentials.iter().filter(|(key, _)| self.place.is_served_by(key));
        let is_this = ours.next().is_some_and(|(key, credentials)| {
            key == self.place.host && credentials.is_same(self.credentials)
        });
        is_this && ours.next().is_none() && parsed.undecodable.iter().all(is_for_others)
    }
}

/// The fields of a JSON object in their order, with the bytes of each value.
#[derive(Default)]
struct Fields(Vec<(String, Box<RawValue>)>);

impl Fields {
    fn read(text: &SecretString) -> Option<Self> {
        serde_json::from_str(text.expose_secret()).ok()
    }

    /// The last field of a name counts, as in Go.
    fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }

    fn insert(&mut self, place: usize, name: &str, value: &str) {
        if let Ok(value) = RawValue::from_string(value.to_owned()) {
            self.0.insert(place.min(self.0.len()), (name.to_owned(), value));
        }
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.0.iter().enumerate() {
            let separator = if index > 0 { "," } else { "" };
            write!(f, "{separator}{}:{value}", json!(name))?;
        }
        f.write_str("}")
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Whether a docker configuration holds one entry and nothing else, byte for byte as [`AuthEntry::render`] writes it.
pub fn is_plain(content: &SecretString) -> bool {
    let Ok(Parsed { credentials, .. }) = parse(content.expose_secret().as_bytes()) else {
        return false;
    };
    let [(host, credentials)] = credentials.as_slice() else { return false };
    let entry = AuthEntry { place: RegistryScope { host, organization: "" }, credentials };
    entry.render(None).expose_secret() == content.expose_secret()
}

/// A part of a secret's content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// An entry of its docker configuration, by registry as written.
    Registry(String),
    /// Another field of its docker configuration.
    Field(String),
    /// Another key of the Secret.
    Key(String),
}

/// The items of a docker configuration, each with its [`fingerprint`]. None if it is not a JSON object.
pub fn items(content: &SecretString) -> BTreeMap<Item, u64> {
    let config = Fields::read(content).unwrap_or_default().0;
    let (auths, fields): (Vec<_>, Vec<_>) =
        config.into_iter().partition(|(name, _)| name == "auths");
    let entries = auths
        .iter()
        .flat_map(|(_, auths)| serde_json::from_str::<Fields>(auths.get()).unwrap_or_default().0);
    let entries =
        entries.map(|(registry, entry)| (Item::Registry(registry), fingerprint(entry.get())));
    let fields =
        fields.into_iter().map(|(name, value)| (Item::Field(name), fingerprint(value.get())));
    entries.chain(fields).collect()
}

/// A hash to compare the content of secrets without keeping it.
pub fn fingerprint(value: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn auth(credentials: &RegistryCredentials) -> String {
    STANDARD.encode(format!("{}:{}", credentials.username, credentials.password.expose_secret()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORGANIZATION: &str = "openshift_shop";

    fn entry<'a>(host: &'a str, credentials: &'a RegistryCredentials) -> AuthEntry<'a> {
        AuthEntry { place: RegistryScope { host, organization: ORGANIZATION }, credentials }
    }

    #[test]
    fn renders_what_the_operator_writes() {
        let credentials = RegistryCredentials {
            username: "parity_golden+builder".into(),
            password: "TOKEN".into(),
        };
        assert_eq!(
            entry("localhost:18443", &credentials).render(None).expose_secret(),
            r#"{"auths":{"localhost:18443":{"auth":"cGFyaXR5X2dvbGRlbitidWlsZGVyOlRPS0VO"}}}"#
        );
    }

    #[test]
    fn plain_content_is_one_entry_as_rendered() {
        let credentials = RegistryCredentials {
            username: "openshift_shop+builder".into(),
            password: "TOKEN".into(),
        };
        let plain = entry("quay.example.com", &credentials).render(None);
        assert!(is_plain(&plain));
        for other in [
            entry("quay.example.com", &credentials)
                .render(Some(&r#"{"auths":{"docker.io":{}}}"#.to_owned().into())),
            plain.expose_secret().replace(':', ": ").into(),
            plain.expose_secret().replace("\"}}}", "\",\"email\":\"me\"}}}").into(),
            SecretString::from("{}"),
        ] {
            assert!(!is_plain(&other), "{}", other.expose_secret());
        }
    }

    #[test]
    fn reads_every_form_and_rejects_invalid_content() {
        let with = |text: &str| parse(text.as_bytes());
        let credentials = &with(r#"{"auths":{"q":{"username":"u","password":"p:w","email":""}}}"#)
            .unwrap()
            .credentials[0]
            .1;
        assert_eq!(
            (credentials.username.as_str(), credentials.password.expose_secret()),
            ("u", "p:w")
        );
        for broken in ["", "{}", "[]", r#"{"auths":{}}"#, r#"{"auths":[]}"#] {
            assert!(with(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn decodes_each_entry_as_kubelet_does() {
        // The entry of another registry, whether it has credentials, and whether kubelet decodes it.
        let table = [
            ("{}", false, true),
            ("null", false, true),
            (r#"{"identitytoken":"t"}"#, false, true),
            (r#"{"auth":"","email":"e","more":{"a":[1]}}"#, false, true),
            (r#"{"auth":"YTpi"}"#, true, true),
            (r#"{"auth":"YTpiYw"}"#, true, true),
            (r#"{"auth":"YTpi\nYw=="}"#, true, true),
            (r#"{"auth":"YTr/"}"#, true, true),
            (r#"{"auth":"!"}"#, false, false),
            (r#"{"auth":"bm9jb2xvbg=="}"#, false, false),
            (r#"{"auth":7}"#, false, false),
            (r#"{"auth":"YTpi","email":7}"#, false, false),
            ("[]", false, false),
        ];
        for (other, has_credentials, is_decodable) in table {
            let content = format!(r#"{{"auths":{{"quay.io":{other},"q":{{"auth":"dTpw"}}}}}}"#);
            let parsed = parse(content.as_bytes()).unwrap();
            let names: Vec<_> = parsed.credentials.iter().map(|(key, _)| key.as_str()).collect();
            assert_eq!(
                names,
                if has_credentials { vec!["q", "quay.io"] } else { vec!["q"] },
                "{other}"
            );
            assert_eq!(parsed.undecodable.is_empty(), is_decodable, "{other}");
        }
    }

    #[test]
    fn keeps_every_other_byte() {
        let credentials = RegistryCredentials { username: "u".into(), password: "p".into() };
        let rendered = |before: &str| {
            entry("q", &credentials).render(Some(&before.into())).expose_secret().to_owned()
        };
        let before = r#"{"HttpHeaders":{ "a":1.50 },"auths":{"quay.io":{},"q":{"auth":"b2xkOm9sZA==","email":""},"r":{"auth": "YTpi", "identitytoken":"t"}},"credsStore":"x"}"#;
        let after = r#"{"HttpHeaders":{ "a":1.50 },"auths":{"quay.io":{},"q":{"auth":"dTpw"},"r":{"auth": "YTpi", "identitytoken":"t"}},"credsStore":"x"}"#;
        assert_eq!(rendered(before), after);
        assert_eq!(rendered(after), after, "a second time changes nothing");
        assert_eq!(
            rendered(r#"{"quay.io":{}}"#),
            r#"{"quay.io":{},"auths":{"q":{"auth":"dTpw"}}}"#
        );
        for nothing in ["", "[]", "no JSON", r#"{"auths":[]}"#] {
            assert_eq!(rendered(nothing), r#"{"auths":{"q":{"auth":"dTpw"}}}"#, "{nothing}");
        }
    }

    #[test]
    fn is_in_requires_same_credentials_and_no_other_entry() {
        let credentials = RegistryCredentials { username: "u".into(), password: "p".into() };
        let is_in =
            |auths: &str| entry("q", &credentials).is_in(&format!(r#"{{"auths":{auths}}}"#).into());
        assert!(
            is_in(r#"{"q":{"auth":"dTpw"}}"#) && is_in(r#"{"q":{"auth":"dTpw"},"r":{"auth":"!"}}"#)
        );
        for other in [
            r#"{"q":{"auth":"dTpv"}}"#,
            r#"{"q":{"auth":"dTpw"},"https://q":{"auth":"dTpw"}}"#,
            r#"{"q":{"auth":"dTpw"},"q/openshift_shop":{"auth":"!"}}"#,
            r#"{"https://q":{"auth":"dTpw"}}"#,
            "{}",
        ] {
            assert!(!is_in(other), "{other}");
        }
    }

    #[test]
    fn items_cover_entries_and_other_fields() {
        let read = |content: &str| items(&content.into());
        let found =
            read(r#"{"auths":{"q":{"auth":"dTpw"},"r":{"identitytoken":"t"}},"credsStore":"x"}"#);
        let names = [
            Item::Registry("q".into()),
            Item::Registry("r".into()),
            Item::Field("credsStore".into()),
        ];
        assert_eq!(found.keys().cloned().collect::<Vec<_>>(), names);
        let changed =
            read(r#"{"auths":{"q":{"auth":"dTpw"},"r":{"identitytoken":"u"}},"credsStore":"x"}"#);
        let is_same = |item: &Item| found.get(item) == changed.get(item);
        assert_eq!(names.iter().map(is_same).collect::<Vec<_>>(), [true, false, true]);
        for nothing in ["", "[]", r#"{"auths":[]}"#, "{}"] {
            assert!(read(nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn keeps_entries_of_other_registries_and_organizations() {
        let credentials =
            |name: &str| RegistryCredentials { username: name.into(), password: "p".into() };
        let before = configuration(["https://q/openshift_shop", "q/v2/", "q/other", "docker.io"]);
        let after =
            parse(entry("q", &credentials("new")).render(Some(&before)).expose_secret().as_bytes())
                .unwrap()
                .credentials;
        let names: Vec<_> = after
            .iter()
            .map(|(key, credentials)| (key.as_str(), credentials.username.as_str()))
            .collect();
        assert_eq!(names, [("docker.io", "old"), ("q", "new"), ("q/other", "old")]);
    }

    /// A docker configuration with an entry for each key.
    fn configuration<'a>(keys: impl IntoIterator<Item = &'a str>) -> SecretString {
        let credentials = RegistryCredentials { username: "old".into(), password: "p".into() };
        let auths: BTreeMap<_, _> =
            keys.into_iter().map(|key| (key, json!({ "auth": auth(&credentials) }))).collect();
        json!({ "auths": auths }).to_string().into()
    }

    #[test]
    fn key_serves_host_or_organization() {
        let place = RegistryScope { host: "q:443", organization: ORGANIZATION };
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
        let others = [
            "q",
            "q:4430",
            "x.q:443",
            "",
            "q:443/other",
            "q:443/openshift_shop2",
            "q:443/v2/openshift_shop",
        ];
        for key in others {
            assert!(!place.is_served_by(key), "{key}");
        }
    }

    #[test]
    fn reads_scope_of_image() {
        let place = |host, organization| Some(RegistryScope { host, organization });
        let table = [
            ("q:443/openshift_shop/app:1", place("q:443", "openshift_shop")),
            ("q/a/b/c@sha256:0", place("q", "a")),
            ("q/app", None),
            ("app", None),
        ];
        for (image, expected) in table {
            assert_eq!(RegistryScope::of_image(image), expected, "{image}");
        }
    }

    proptest! {
        #[test]
        fn rendered_content_reads_back(host in "[a-z.]{1,20}(:[0-9]{2,5})?", username in "[a-z_+]{1,30}", password in "\\PC{0,60}") {
            let credentials = RegistryCredentials { username, password: password.into() };
            let read = parse(entry(&host, &credentials).render(None).expose_secret().as_bytes()).unwrap().credentials;
            prop_assert_eq!(&read[0].0, &host);
            prop_assert_eq!(&read[0].1.username, &credentials.username);
            prop_assert_eq!(read[0].1.password.expose_secret(), credentials.password.expose_secret());
        }

        #[test]
        fn replaces_only_entries_for_the_same_images(
            keys in prop::collection::btree_set("(https://)?(q|r)(:443)?(/(v1|v2|openshift_shop|other)(/[a-z]{1,3})?)?/?", 0..6),
        ) {
            let credentials = |name: &str| RegistryCredentials { username: name.into(), password: "p".into() };
            let ours = credentials("new");
            let entry = entry("q", &ours);
            let before = configuration(keys.iter().map(String::as_str));
            let after = parse(entry.render(Some(&before)).expose_secret().as_bytes()).unwrap().credentials;
            for key in &keys {
                let kept = after.iter().any(|(other, credentials)| other == key && credentials.username == "old");
                prop_assert_eq!(kept, !entry.place.is_served_by(key), "{}", key);
            }
            let serving = after.iter().filter(|(key, _)| entry.place.is_served_by(key)).map(|(_, credentials)| credentials.username.as_str());
            prop_assert_eq!(serving.collect::<Vec<_>>(), ["new"]);
        }

        #[test]
        fn does_not_panic_on_any_content(content in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&content);
            let credentials = RegistryCredentials { username: "u".into(), password: "p".into() };
            let content = SecretString::from(String::from_utf8_lossy(&content).into_owned());
            let rendered = entry("q", &credentials).render(Some(&content));
            prop_assert!(entry("q", &credentials).is_in(&rendered));
        }
    }
}
