//! Parsing and merging of kubeconfig files, as in client-go (`tools/clientcmd/api/v1/types.go`,
//! `tools/clientcmd/loader.go`). Missing, null and empty fields are equal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{MAIN_SEPARATOR, Path, PathBuf, absolute};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::DuplicateKeyPolicy;

use crate::printable::printable_line;

/// Like Go, ignores trailing bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// `clusterExtensionKey` in client-go's `client_config.go`.
const PLUGIN_EXTENSION: &str = "client.authentication.k8s.io/exec";

/// One kubeconfig or the merged content of several.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct File {
    #[serde(deserialize_with = "or_default")]
    kind: String,
    #[serde(rename = "apiVersion", deserialize_with = "or_default")]
    api_version: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) current_context: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) contexts: Vec<NamedContext>,
    #[serde(deserialize_with = "or_default")]
    pub(super) clusters: Vec<NamedCluster>,
    #[serde(deserialize_with = "or_default")]
    pub(super) users: Vec<NamedUser>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NamedContext {
    #[serde(deserialize_with = "or_default")]
    pub(super) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) context: Context,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NamedCluster {
    #[serde(deserialize_with = "or_default")]
    pub(super) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) cluster: Cluster,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NamedUser {
    #[serde(deserialize_with = "or_default")]
    pub(super) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) user: User,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Context {
    #[serde(deserialize_with = "or_default")]
    pub(super) cluster: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) user: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) namespace: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(in crate::cluster) struct Cluster {
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cluster) server: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) tls_server_name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) insecure_skip_tls_verify: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) certificate_authority: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) certificate_authority_data: Data,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cluster) proxy_url: String,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cluster) disable_compression: bool,
    #[serde(deserialize_with = "or_default")]
    extensions: Vec<Extension>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Extension {
    #[serde(deserialize_with = "or_default")]
    name: String,
    extension: Value,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct User {
    #[serde(deserialize_with = "or_default")]
    pub(super) client_certificate: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) client_certificate_data: Data,
    #[serde(deserialize_with = "or_default")]
    pub(super) client_key: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) client_key_data: Data,
    #[serde(deserialize_with = "or_default")]
    token: SecretString,
    #[serde(rename = "tokenFile", deserialize_with = "or_default")]
    pub(super) token_file: String,
    #[serde(rename = "as", deserialize_with = "or_default")]
    pub(super) impersonate: String,
    #[serde(rename = "as-uid", deserialize_with = "or_default")]
    pub(super) impersonate_uid: String,
    #[serde(rename = "as-groups", deserialize_with = "or_default")]
    pub(super) impersonate_groups: Vec<String>,
    #[serde(rename = "as-user-extra", deserialize_with = "or_default")]
    pub(super) impersonate_extra: BTreeMap<String, Vec<String>>,
    #[serde(deserialize_with = "or_default")]
    pub(super) username: String,
    #[serde(deserialize_with = "or_default")]
    password: SecretString,
    pub(super) auth_provider: Option<AuthProvider>,
    pub(super) exec: Option<Exec>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AuthProvider {
    #[serde(deserialize_with = "or_default")]
    pub(super) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) config: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::cluster) struct Exec {
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cluster) command: String,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cluster) args: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cluster) env: Vec<Variable>,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cluster) api_version: String,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cluster) install_hint: String,
    /// `Never`, `IfAvailable` or `Always`.
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cluster) interactive_mode: String,
    /// Whether the plugin receives the cluster's configuration.
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cluster) provide_cluster_info: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct Variable {
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cluster) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cluster) value: String,
}

/// Base64 with optional line breaks.
#[derive(Clone, Default)]
pub(super) struct Data(SecretSlice<u8>);

impl Data {
    pub(super) fn is_empty(&self) -> bool {
        self.get().is_empty()
    }

    pub(super) fn get(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // Like Go, ignores line breaks only.
        let text = text.replace(['\r', '\n'], "");
        BASE64
            .decode(text.as_bytes())
            .map(|bytes| Self(bytes.into()))
            .map_err(|_| D::Error::custom("invalid base64"))
    }
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Without the YAML error's text, which quotes lines that may contain a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    /// Line and column.
    At(u64, u64),
    /// Not UTF-8 or UTF-16.
    NotText,
    /// Another kind or version.
    OtherKind,
    /// Invalid YAML at an unknown position.
    UnknownPosition,
    /// Two entries of a list have the same name.
    Duplicate(String),
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Invalid::At(line, column) => {
                write!(f, "is invalid at line {line}, column {column}")
            }
            Invalid::NotText => f.write_str("is not text"),
            Invalid::OtherKind => f.write_str("is not a Config of version v1"),
            Invalid::UnknownPosition => f.write_str("is not valid YAML"),
            Invalid::Duplicate(name) => write!(f, "contains {name} twice in a list"),
        }
    }
}

impl File {
    /// Parses the first document. Empty input is an empty kubeconfig.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let text = text(bytes).ok_or(Invalid::NotText)?;
        let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins, with_snippet: false };
        let documents: Vec<Option<Self>> = serde_saphyr::from_multiple_with_options(&text, options)
            .map_err(|error| match error.location() {
                Some(at) => Invalid::At(at.line(), at.column()),
                None => Invalid::UnknownPosition,
            })?;
        let file = documents.into_iter().next().flatten().unwrap_or_default();
        if !matches!(file.kind.as_str(), "" | "Config")
            || !matches!(file.api_version.as_str(), "" | "v1")
        {
            return Err(Invalid::OtherKind);
        }
        let duplicate = duplicate(file.contexts.iter().map(|entry| &entry.name))
            .or_else(|| duplicate(file.clusters.iter().map(|entry| &entry.name)))
            .or_else(|| duplicate(file.users.iter().map(|entry| &entry.name)));
        match duplicate {
            Some(name) => Err(Invalid::Duplicate(printable_line(name))),
            None => Ok(file),
        }
    }

    /// Resolves paths relative to the folder of `path`, the kubeconfig.
    pub(super) fn resolve_paths(&mut self, path: &Path) {
        let path = absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().unwrap_or(&path);
        let resolve = |path: &mut String| {
            if !path.is_empty() && Path::new(path.as_str()).is_relative() {
                // Removes `.` components.
                *path = folder
                    .join(path.as_str())
                    .components()
                    .collect::<PathBuf>()
                    .display()
                    .to_string();
            }
        };
        for NamedCluster { cluster, .. } in &mut self.clusters {
            resolve(&mut cluster.certificate_authority);
        }
        for NamedUser { user, .. } in &mut self.users {
            [&mut user.client_certificate, &mut user.client_key, &mut user.token_file]
                .into_iter()
                .for_each(resolve);
            // A command without a separator is looked up in PATH.
            if let Some(exec) =
                user.exec.as_mut().filter(|exec| exec.command.contains(MAIN_SEPARATOR))
            {
                resolve(&mut exec.command);
            }
        }
    }

    /// Adds missing values from another file: the first file wins.
    pub(super) fn merge(&mut self, next: Self) {
        if self.current_context.is_empty() {
            self.current_context = next.current_context;
        }
        append(&mut self.contexts, next.contexts, |entry| &entry.name);
        append(&mut self.clusters, next.clusters, |entry| &entry.name);
        append(&mut self.users, next.users, |entry| &entry.name);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.current_context.is_empty()
            && self.contexts.is_empty()
            && self.clusters.is_empty()
            && self.users.is_empty()
    }

    pub(super) fn context(&self, name: &str) -> Option<&Context> {
        self.contexts.iter().find(|entry| entry.name == name).map(|entry| &entry.context)
    }

    pub(super) fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|entry| entry.name == name).map(|entry| &entry.cluster)
    }

    pub(super) fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|entry| entry.name == name).map(|entry| &entry.user)
    }
}

impl User {
    pub(super) fn token(&self) -> Option<&SecretString> {
        Some(&self.token).filter(|token| !token.expose_secret().is_empty())
    }

    pub(super) fn password(&self) -> Option<&SecretString> {
        Some(&self.password).filter(|password| !password.expose_secret().is_empty())
    }
}

impl Cluster {
    /// Additional configuration for a plugin.
    pub(in crate::cluster) fn plugin_config(&self) -> Option<&Value> {
        let extension =
            self.extensions.iter().find(|extension| extension.name == PLUGIN_EXTENSION)?;
        Some(&extension.extension)
    }
}

fn append<T>(entries: &mut Vec<T>, next: Vec<T>, name: fn(&T) -> &String) {
    for entry in next {
        if !entries.iter().any(|known| name(known) == name(&entry)) {
            entries.push(entry);
        }
    }
}

fn duplicate<'a>(names: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    names.map(String::as_str).find(|name| !seen.insert(*name))
}

/// UTF-8, or UTF-16 with a byte order mark, as PowerShell writes it.
fn text(bytes: &[u8]) -> Option<String> {
    let units = |from: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.get(2..)?.as_chunks::<2>();
        let units: Vec<u16> = units.iter().copied().map(from).collect();
        String::from_utf16(&units).ok().filter(|_| rest.is_empty())
    };
    match bytes {
        [0xFF, 0xFE, ..] => units(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => units(u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => str::from_utf8(rest).ok().map(str::to_owned),
        _ => str::from_utf8(bytes).ok().map(str::to_owned),
    }
}
