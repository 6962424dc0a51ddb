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

use super::snapshot::Login;

/// As kubelet decodes an `auth`: with padding or without it, whatever the bits behind the last byte are.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a docker configuration holds.
#[derive(Debug)]
pub struct Parsed {
    /// The logins in it, by registry as it is written there. An entry without any is left out.
    pub logins: Vec<(String, Login)>,
    /// The registries whose entry kubelet cannot decode, for which it uses none of the others either.
    pub undecodable: Vec<String>,
}

#[derive(Deserialize)]
struct DockerConfig {
    auths: BTreeMap<String, Box<RawValue>>,
}

/// An entry as kubelet reads it; other fields mean nothing to it.
#[derive(Default, Deserialize)]
struct Auth {
    auth: Option<SecretString>,
    username: Option<String>,
    password: Option<SecretString>,
    #[serde(rename = "email")]
    _email: Option<String>,
}

/// Reads the logins in a docker configuration.
///
/// # Errors
/// What is wrong with it, without quoting any of it.
pub fn parse(content: &[u8]) -> Result<Parsed, String> {
    let config: DockerConfig = serde_json::from_slice(content)
        .map_err(|_| "it is no docker configuration with `auths`".to_owned())?;
    if config.auths.is_empty() {
        return Err("its docker configuration names no registry".into());
    }
    let mut parsed = Parsed { logins: vec![], undecodable: vec![] };
    for (registry, entry) in config.auths {
        match login(&entry) {
            Ok(login) => parsed.logins.extend(login.map(|login| (registry, login))),
            Err(Undecodable) => parsed.undecodable.push(registry),
        }
    }
    Ok(parsed)
}

/// An entry that kubelet refuses, and with it the whole configuration.
struct Undecodable;

/// Like kubelet, prefers `auth` to `username` and `password` (`k8s.io/kubernetes/pkg/credentialprovider/config.go`).
fn login(entry: &RawValue) -> Result<Option<Login>, Undecodable> {
    let auth: Auth = serde_json::from_str::<Option<Auth>>(entry.get())
        .map_err(|_| Undecodable)?
        .unwrap_or_default();
    if let Some(auth) = auth.auth.filter(|auth| !auth.expose_secret().is_empty()) {
        let encoded: String =
            auth.expose_secret().chars().filter(|char| !matches!(char, '\r' | '\n')).collect();
        let decoded = LENIENT.decode(encoded).map_err(|_| Undecodable)?;
        let text = String::from_utf8_lossy(&decoded);
        let (username, password) = text.split_once(':').ok_or(Undecodable)?;
        return Ok(Some(Login { username: username.into(), password: password.into() }));
    }
    let login = auth.username.zip(auth.password);
    Ok(login.map(|(username, password)| Login { username, password }))
}

/// The images that a login is for: those of one organization in a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryScope<'a> {
    /// The registry's host.
    pub host: &'a str,
    /// The organization.
    pub organization: &'a str,
}

impl<'a> RegistryScope<'a> {
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
        let key =
            key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
        let (host, path) = key.split_once('/').unwrap_or((key, ""));
        let path = path.strip_suffix('/').unwrap_or(path);
        host == self.host
            && (matches!(path, "" | "v1" | "v2")
                || path.split('/').next() == Some(self.organization))
    }
}

/// The entry of a docker configuration that is ours.
#[derive(Clone, Copy, Debug)]
pub struct AuthEntry<'a> {
    /// What it is for; its key is the host, as the operator has it.
    pub place: RegistryScope<'a>,
    /// The login.
    pub login: &'a Login,
}

impl AuthEntry<'_> {
    /// Writes a docker configuration with this entry, the way the operator does: `auth` and nothing else
    /// (QBO `controllers/namespace_controller.go:414`). Everything else in `before` is kept to the letter, whether or not it
    /// is understood; what is no JSON object holds nothing that could be kept.
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
        auths.insert(place, self.place.host, &json!({ "auth": auth(self.login) }).to_string());
        let place = config.0.iter().position(|(key, _)| key == "auths").unwrap_or(config.0.len());
        config.0.retain(|(key, _)| key != "auths");
        config.insert(place, "auths", &auths.to_string());
        config.to_string().into()
    }

    /// Whether a docker configuration holds this entry, and no other one for the same images.
    pub fn is_in(&self, content: &SecretString) -> bool {
        let Ok(parsed) = parse(content.expose_secret().as_bytes()) else { return false };
        let is_for_others = |key: &String| !self.place.is_served_by(key);
        let mut ours = parsed.logins.iter().filter(|(key, _)| self.place.is_served_by(key));
        let is_this =
            ours.next().is_some_and(|(key, login)| key == self.place.host && login.is(self.login));
        is_this && ours.next().is_none() && parsed.undecodable.iter().all(is_for_others)
    }
}

/// The fields of a JSON object in their order, each value as it is written.
#[derive(Default)]
struct Fields(Vec<(String, Box<RawValue>)>);

impl Fields {
    fn read(text: &SecretString) -> Option<Self> {
        serde_json::from_str(text.expose_secret()).ok()
    }

    /// The last one of a name counts, as in Go.
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

/// Whether a docker configuration holds one login and nothing else, byte for byte as it is rendered here.
pub fn is_plain(content: &SecretString) -> bool {
    let Ok(Parsed { logins, .. }) = parse(content.expose_secret().as_bytes()) else { return false };
    let [(host, login)] = logins.as_slice() else { return false };
    let entry = AuthEntry { place: RegistryScope { host, organization: "" }, login };
    entry.render(None).expose_secret() == content.expose_secret()
}

/// A place in a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// An entry of its docker configuration, by registry as it is written there.
    Registry(String),
    /// Another field of its docker configuration.
    Field(String),
    /// A key beside its docker configuration.
    Key(String),
}

/// All that a docker configuration holds, each with its [`fingerprint`]. What is no JSON object holds nothing.
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

/// Enough to tell whether two secrets hold the same, without keeping it.
pub fn fingerprint(value: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn auth(login: &Login) -> String {
    STANDARD.encode(format!("{}:{}", login.username, login.password.expose_secret()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORGANIZATION: &str = "openshift_shop";

    fn entry<'a>(host: &'a str, login: &'a Login) -> AuthEntry<'a> {
        AuthEntry { place: RegistryScope { host, organization: ORGANIZATION }, login }
    }

    #[test]
    fn renders_what_the_operator_writes() {
        let login = Login { username: "parity_golden+builder".into(), password: "TOKEN".into() };
        assert_eq!(
            entry("localhost:18443", &login).render(None).expose_secret(),
            r#"{"auths":{"localhost:18443":{"auth":"cGFyaXR5X2dvbGRlbitidWlsZGVyOlRPS0VO"}}}"#
        );
    }

    #[test]
    fn plain_is_what_holds_one_login_as_it_is_rendered() {
        let login = Login { username: "openshift_shop+builder".into(), password: "TOKEN".into() };
        let plain = entry("quay.example.com", &login).render(None);
        assert!(is_plain(&plain));
        for other in [
            entry("quay.example.com", &login)
                .render(Some(&r#"{"auths":{"docker.io":{}}}"#.to_owned().into())),
            plain.expose_secret().replace(':', ": ").into(),
            plain.expose_secret().replace("\"}}}", "\",\"email\":\"me\"}}}").into(),
            SecretString::from("{}"),
        ] {
            assert!(!is_plain(&other), "{}", other.expose_secret());
        }
    }

    #[test]
    fn reads_every_form_and_says_what_it_cannot() {
        let with = |text: &str| parse(text.as_bytes());
        let login = &with(r#"{"auths":{"q":{"username":"u","password":"p:w","email":""}}}"#)
            .unwrap()
            .logins[0]
            .1;
        assert_eq!((login.username.as_str(), login.password.expose_secret()), ("u", "p:w"));
        for broken in ["", "{}", "[]", r#"{"auths":{}}"#, r#"{"auths":[]}"#] {
            assert!(with(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn judges_each_entry_alone_as_kubelet_does() {
        // The entry of another registry, whether it holds a login, and whether kubelet decodes it.
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
        for (other, has_login, is_decodable) in table {
            let content = format!(r#"{{"auths":{{"quay.io":{other},"q":{{"auth":"dTpw"}}}}}}"#);
            let parsed = parse(content.as_bytes()).unwrap();
            let names: Vec<_> = parsed.logins.iter().map(|(key, _)| key.as_str()).collect();
            assert_eq!(names, if has_login { vec!["q", "quay.io"] } else { vec!["q"] }, "{other}");
            assert_eq!(parsed.undecodable.is_empty(), is_decodable, "{other}");
        }
    }

    #[test]
    fn keeps_every_other_byte() {
        let login = Login { username: "u".into(), password: "p".into() };
        let rendered = |before: &str| {
            entry("q", &login).render(Some(&before.into())).expose_secret().to_owned()
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
    fn is_in_a_configuration_only_alone_and_with_the_same_login() {
        let login = Login { username: "u".into(), password: "p".into() };
        let is_in =
            |auths: &str| entry("q", &login).is_in(&format!(r#"{{"auths":{auths}}}"#).into());
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
    fn items_are_all_that_a_configuration_holds() {
        let of = |content: &str| items(&content.into());
        let found =
            of(r#"{"auths":{"q":{"auth":"dTpw"},"r":{"identitytoken":"t"}},"credsStore":"x"}"#);
        let names = [
            Item::Registry("q".into()),
            Item::Registry("r".into()),
            Item::Field("credsStore".into()),
        ];
        assert_eq!(found.keys().cloned().collect::<Vec<_>>(), names);
        let changed =
            of(r#"{"auths":{"q":{"auth":"dTpw"},"r":{"identitytoken":"u"}},"credsStore":"x"}"#);
        let is_same = |item: &Item| found.get(item) == changed.get(item);
        assert_eq!(names.iter().map(is_same).collect::<Vec<_>>(), [true, false, true]);
        for nothing in ["", "[]", r#"{"auths":[]}"#, "{}"] {
            assert!(of(nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn logins_for_other_registries_and_organizations_are_kept() {
        let login = |name: &str| Login { username: name.into(), password: "p".into() };
        let before = configuration(["https://q/openshift_shop", "q/v2/", "q/other", "docker.io"]);
        let after =
            parse(entry("q", &login("new")).render(Some(&before)).expose_secret().as_bytes())
                .unwrap()
                .logins;
        let names: Vec<_> =
            after.iter().map(|(key, login)| (key.as_str(), login.username.as_str())).collect();
        assert_eq!(names, [("docker.io", "old"), ("q", "new"), ("q/other", "old")]);
    }

    /// A docker configuration with a login for each key.
    fn configuration<'a>(keys: impl IntoIterator<Item = &'a str>) -> SecretString {
        let login = Login { username: "old".into(), password: "p".into() };
        let auths: BTreeMap<_, _> =
            keys.into_iter().map(|key| (key, json!({ "auth": auth(&login) }))).collect();
        json!({ "auths": auths }).to_string().into()
    }

    #[test]
    fn a_key_serves_its_host_or_its_organization() {
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
    fn an_image_is_in_a_place() {
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
        fn what_is_rendered_reads_back(host in "[a-z.]{1,20}(:[0-9]{2,5})?", username in "[a-z_+]{1,30}", password in "\\PC{0,60}") {
            let login = Login { username, password: password.into() };
            let read = parse(entry(&host, &login).render(None).expose_secret().as_bytes()).unwrap().logins;
            prop_assert_eq!(&read[0].0, &host);
            prop_assert_eq!(&read[0].1.username, &login.username);
            prop_assert_eq!(read[0].1.password.expose_secret(), login.password.expose_secret());
        }

        #[test]
        fn only_what_serves_the_same_images_makes_way(
            keys in prop::collection::btree_set("(https://)?(q|r)(:443)?(/(v1|v2|openshift_shop|other)(/[a-z]{1,3})?)?/?", 0..6),
        ) {
            let login = |name: &str| Login { username: name.into(), password: "p".into() };
            let ours = login("new");
            let entry = entry("q", &ours);
            let before = configuration(keys.iter().map(String::as_str));
            let after = parse(entry.render(Some(&before)).expose_secret().as_bytes()).unwrap().logins;
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
            let login = Login { username: "u".into(), password: "p".into() };
            let content = SecretString::from(String::from_utf8_lossy(&content).into_owned());
            let rendered = entry("q", &login).render(Some(&content));
            prop_assert!(entry("q", &login).is_in(&rendered));
        }
    }
}
