//! The integration: which Quay, under which cluster ID, with which token, and where each of these came from.

use std::fmt;

use super::image_policy::ImagePolicy;
use super::names::{ClusterId, QuayUrl};
use super::ownership_mark::ClusterIdentity;
use super::snapshot::{BuildWebhookOwners, Observed, ReadError, ReadErrorKind};

/// What we need of a QuayIntegration (`quay.redhat.com/v1`, QBO `api/v1/quayintegration_types.go`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuayIntegration {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Guards every write.
    pub resource_version: String,
    /// `spec.clusterID`.
    pub cluster_id: String,
    /// `spec.quayHostname`, as written.
    pub hostname: String,
    /// `spec.insecureRegistry`.
    pub insecure: bool,
    /// `spec.scheduledImageStreamImport`: OpenShift asks Quay every 15 minutes whether a tag that was built has changed.
    pub scheduled: bool,
    /// `spec.allowlistNamespaces`.
    pub allow: Vec<String>,
    /// `spec.denylistNamespaces`.
    pub deny: Vec<String>,
    /// `spec.credentialsSecret`.
    pub credentials: Option<SecretKey>,
    /// The annotation `oc-quay/controller`, as written.
    pub controller: Option<String>,
}

/// A key in a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretKey {
    /// The Secret's namespace.
    pub namespace: String,
    /// The Secret's name.
    pub name: String,
    /// The key in it.
    pub key: String,
}

/// The key under which the operator reads the token whatever the QuayIntegration says (QBO
/// `controllers/namespace_controller.go:158`).
pub const OPERATOR_TOKEN_KEY: &str = "token";

impl fmt::Display for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret {}/{}, key {}", self.namespace, self.name, self.key)
    }
}

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A command line flag.
    Flag(&'static str),
    /// An environment variable.
    Environment(&'static str),
    /// The QuayIntegration of that name.
    Resource(String),
    /// A key in a Secret.
    Secret(SecretKey),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Flag(name) | Source::Environment(name) => f.write_str(name),
            Source::Resource(name) => write!(f, "QuayIntegration {name}"),
            Source::Secret(key) => key.fmt(f),
        }
    }
}

/// A setting and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub source: Source,
}

/// What flags and environment variables say; they go before the QuayIntegration.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The address of the Quay.
    pub url: Option<Sourced<String>>,
    /// The cluster ID.
    pub cluster_id: Option<Sourced<String>>,
    /// A token was given; the token itself is not ours to keep.
    pub token: Option<Source>,
    /// Do not verify certificates.
    pub insecure: bool,
}

/// The integration as far as it is known before Quay is asked.
#[derive(Clone, Debug)]
pub struct IntegrationSnapshot {
    /// What was given.
    pub given: Overrides,
    /// The QuayIntegrations of the cluster.
    pub resources: Observed<Vec<QuayIntegration>>,
    /// The token in the Secret that the QuayIntegration names; `None` if it was not looked for.
    pub stored_token: Option<Observed<StoredTokenState>>,
    /// Who rewrites builds; `None` if nobody asked.
    pub rewriters: Option<BuildWebhookOwners>,
    /// Which registries the cluster uses; `None` if nobody asked, or the cluster has no such policy.
    pub image_policy: Option<Observed<ImagePolicy>>,
    /// This cluster's API server, `host:port`.
    pub server: String,
}

/// What the Secret with the token holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredTokenState {
    /// A token.
    Present,
    /// There is no such Secret.
    SecretMissing,
    /// The Secret has no such key.
    KeyMissing,
    /// Nothing is under the key.
    Empty,
    /// What is under the key cannot be a token.
    Unusable,
}

/// What a command needs to know to work on namespaces.
#[derive(Clone, Debug)]
pub struct Integration {
    /// The address of the Quay.
    pub url: Sourced<QuayUrl>,
    /// The cluster ID.
    pub cluster_id: Sourced<ClusterId>,
    /// The one QuayIntegration, where there is one, it could be read, and it is about this Quay and cluster ID.
    pub resource: Option<QuayIntegration>,
    /// The namespace lists could not be read: whether a namespace is in scope is unknown.
    pub lists_unread: bool,
    /// Certificates are not verified.
    pub insecure: bool,
    /// This cluster.
    pub cluster: ClusterIdentity,
}

impl IntegrationSnapshot {
    /// The one QuayIntegration, if there is exactly one.
    pub fn resource(&self) -> Option<&QuayIntegration> {
        match self.resources.as_deref() {
            Ok([one]) => Some(one),
            _ => None,
        }
    }

    /// The address of the Quay as written, and where.
    pub fn url(&self) -> Option<Sourced<String>> {
        self.setting(&self.given.url, |resource| &resource.hostname)
    }

    /// The cluster ID as written, and where.
    pub fn cluster_id(&self) -> Option<Sourced<String>> {
        self.setting(&self.given.cluster_id, |resource| &resource.cluster_id)
    }

    /// Where the token comes from, whether or not there is one.
    pub fn token_source(&self) -> Option<Source> {
        self.given.token.clone().or_else(|| self.secret().map(Source::Secret))
    }

    /// The Secret with the token and the certificate authority, if it is for the Quay that is worked with: what is stored for
    /// one Quay is sent to no other.
    pub fn secret(&self) -> Option<SecretKey> {
        self.resource()?.credentials.clone().filter(|_| self.names_its_quay())
    }

    /// Whether the address, where one was given, is that of the QuayIntegration. Only of use where that was read.
    pub fn names_its_quay(&self) -> bool {
        let host = |text: &str| QuayUrl::parse(text).ok().map(|(url, _)| url.host());
        let own = self.resource().and_then(|resource| host(&resource.hostname));
        self.given.url.as_ref().is_none_or(|given| own.is_some() && host(&given.value) == own)
    }

    /// Why it is unknown whether there is a token, if it is: none was given, and the stored one could not be read.
    pub fn token_unread(&self) -> Option<&ReadError> {
        let stored = self.stored_token.as_ref().and_then(|stored| stored.as_ref().err());
        self.resources.as_ref().err().or(stored).filter(|_| self.given.token.is_none())
    }

    /// Whether there is no token because the user is not allowed to read the QuayIntegration or the Secret with the token: as
    /// any user of a project without permissions in the cluster.
    pub fn is_for_administrators(&self) -> bool {
        self.token_unread().is_some_and(|unread| unread.kind == ReadErrorKind::Forbidden)
    }

    /// Why there is no token, where none was given and none is stored that can be used.
    pub fn token_obstacle(&self) -> String {
        if let Some(unread) = self.token_unread() {
            return unread.to_string();
        }
        let Ok([resource]) = self.resources.as_deref() else {
            let number = if self.resources.as_ref().is_ok_and(Vec::is_empty) {
                "no"
            } else {
                "more than one"
            };
            return format!("the cluster has {number} QuayIntegration");
        };
        if let Some(url) = self.given.url.as_ref().filter(|_| !self.names_its_quay()) {
            return format!(
                "{} names another Quay than the QuayIntegration, whose token is not sent there",
                url.source
            );
        }
        let Some(key) = &resource.credentials else {
            return "the QuayIntegration names no credentialsSecret".to_owned();
        };
        match &self.stored_token {
            Some(Ok(StoredTokenState::SecretMissing)) => format!("{key}: there is no such Secret"),
            Some(Ok(StoredTokenState::KeyMissing)) => format!("{key}: the Secret has no such key"),
            Some(Ok(StoredTokenState::Unusable)) => {
                format!("{key}: what it holds cannot be a token")
            }
            _ => format!("{key}: it is empty"),
        }
    }

    /// Where the settings came from that differ from the QuayIntegration's. With any, the QuayIntegration is about another Quay
    /// or cluster ID, and its namespace lists are neither read nor written. A value of the QuayIntegration that is empty or
    /// cannot be used does not differ.
    pub fn differing(&self) -> Vec<&Source> {
        let Some(resource) = self.resource() else { return vec![] };
        let host = |text: &str| QuayUrl::parse(text).ok().map(|(url, _)| url.host());
        let own_host = host(&resource.hostname);
        let own_id = resource.cluster_id.trim();
        let url = self
            .given
            .url
            .as_ref()
            .filter(|given| own_host.is_some() && host(&given.value) != own_host);
        let cluster_id = self
            .given
            .cluster_id
            .as_ref()
            .filter(|given| !own_id.is_empty() && given.value != own_id);
        [url, cluster_id].into_iter().flatten().map(|setting| &setting.source).collect()
    }

    /// What to work with, if the settings that are known suffice for it.
    pub fn resolve(&self) -> Option<Integration> {
        let url = self.url()?;
        let cluster_id = self.cluster_id()?;
        Some(Integration {
            url: Sourced { value: QuayUrl::parse(&url.value).ok()?.0, source: url.source },
            cluster_id: Sourced {
                value: ClusterId::new(cluster_id.value),
                source: cluster_id.source,
            },
            resource: self.resource().filter(|_| self.differing().is_empty()).cloned(),
            lists_unread: self.differing().is_empty()
                && !matches!(self.resources.as_deref(), Ok([] | [_])),
            insecure: self.insecure(),
            cluster: self.cluster(),
        })
    }

    /// This cluster as marks name it. It is the same whichever Quay is worked with.
    pub fn cluster(&self) -> ClusterIdentity {
        let id = self.resource().map(|resource| resource.uid.clone()).unwrap_or_default();
        ClusterIdentity { id, server: self.server.clone() }
    }

    /// Whether certificates are not to be verified.
    pub fn insecure(&self) -> bool {
        self.given.insecure || self.resource().is_some_and(|resource| resource.insecure)
    }

    fn setting(
        &self,
        given: &Option<Sourced<String>>,
        field: fn(&QuayIntegration) -> &String,
    ) -> Option<Sourced<String>> {
        given.clone().or_else(|| {
            let resource = self.resource()?;
            let value = field(resource).trim();
            (!value.is_empty()).then(|| Sourced {
                value: value.to_owned(),
                source: Source::Resource(resource.name.clone()),
            })
        })
    }
}

/// What stands in the way of every call to Quay, or of every call of a kind. Learnt from answers, reported once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuayProblem {
    /// No answer; the step at which it stopped and why.
    Unreachable { step: ConnectionStage, reason: String },
    /// The certificate is not trusted.
    Untrusted { reason: String },
    /// The token is not accepted (401).
    TokenRefused { reason: String },
    /// The token's user lacks a right: which.
    UserLacksRight { user: String, right: String },
    /// The token lacks a scope: which.
    TokenLacksScope { scope: String },
    /// Quay is in read-only mode.
    ReadOnly,
    /// Robot accounts are switched off.
    RobotsDisallowed,
}

/// How far a call to Quay came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionStage {
    /// Looking up the name.
    Name,
    /// Opening the connection.
    Connect,
    /// Agreeing on TLS.
    Tls,
    /// Getting an answer.
    Http,
}

impl fmt::Display for ConnectionStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnectionStage::Name => "looking up the name",
            ConnectionStage::Connect => "connecting",
            ConnectionStage::Tls => "agreeing on TLS",
            ConnectionStage::Http => "waiting for an answer",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(url: Option<&str>, cluster_id: Option<&str>) -> IntegrationSnapshot {
        let given = |value: Option<&str>, name| {
            value.map(|value| Sourced { value: value.to_owned(), source: Source::Flag(name) })
        };
        let resource = QuayIntegration {
            hostname: "https://quay.example.com".into(),
            cluster_id: "prod".into(),
            deny: vec!["shop".into()],
            ..QuayIntegration::default()
        };
        IntegrationSnapshot {
            given: Overrides {
                url: given(url, "--quay-url"),
                cluster_id: given(cluster_id, "--cluster-id"),
                ..Overrides::default()
            },
            resources: Ok(vec![resource]),
            stored_token: None,
            rewriters: None,
            image_policy: None,
            server: "api.one:6443".into(),
        }
    }

    #[test]
    fn ignores_namespace_lists_of_another_quay_or_cluster_id() {
        let table = [
            (None, None, &[][..]),
            (Some("quay.example.com"), Some("prod"), &[]),
            (Some("https://quay.example.com:443/"), None, &[]),
            (Some("https://other.example.com"), None, &["--quay-url"]),
            (Some("https://quay.example.com:8443"), None, &["--quay-url"]),
            (None, Some("test"), &["--cluster-id"]),
            (Some("other.example.com"), Some("test"), &["--quay-url", "--cluster-id"]),
        ];
        for (url, cluster_id, differing) in table {
            let snapshot = snapshot(url, cluster_id);
            let sources: Vec<_> = snapshot.differing().iter().map(ToString::to_string).collect();
            assert_eq!(sources, differing, "{url:?} {cluster_id:?}");
            let resource = snapshot.resolve().and_then(|integration| integration.resource);
            assert_eq!(resource.is_some(), differing.is_empty(), "{url:?} {cluster_id:?}");
        }
    }

    #[test]
    fn sends_a_stored_token_only_to_its_quay() {
        let key = SecretKey { namespace: "a".into(), name: "b".into(), key: "token".into() };
        let source = |url: Option<&str>, hostname: &str| {
            let mut snapshot = snapshot(url, None);
            let resource = QuayIntegration {
                hostname: hostname.into(),
                credentials: Some(key.clone()),
                ..Default::default()
            };
            snapshot.resources = Ok(vec![resource]);
            snapshot.token_source()
        };
        let stored = Some(Source::Secret(key.clone()));
        for url in [None, Some("quay.example.com"), Some("https://quay.example.com:443/")] {
            assert_eq!(source(url, "https://quay.example.com"), stored, "{url:?}");
        }
        for url in [
            "https://other.example.com",
            "https://quay.example.com:8443",
            "https://quay.example.com.evil.example",
        ] {
            assert_eq!(source(Some(url), "https://quay.example.com"), None, "{url}");
        }
        assert_eq!(
            source(Some("https://quay.example.com"), ""),
            None,
            "the Quay that it is for is not known"
        );
        assert_eq!(source(Some("https://quay.example.com"), "ftp://quay.example.com"), None);
    }

    #[test]
    fn says_why_there_is_no_token() {
        let unread = |call: &str| ReadError {
            call: call.into(),
            reason: "forbidden".into(),
            kind: ReadErrorKind::Forbidden,
        };
        let key = SecretKey { namespace: "a".into(), name: "b".into(), key: "token".into() };
        let resource = QuayIntegration {
            hostname: "https://quay.example.com".into(),
            ..QuayIntegration::default()
        };
        let complete = QuayIntegration { credentials: Some(key), ..resource.clone() };
        let own = "https://quay.example.com";
        let other = "https://other.example.com";
        let table = [
            (
                Err(unread("list QuayIntegrations")),
                None,
                other,
                "could not list QuayIntegrations: forbidden",
                true,
            ),
            (Ok(vec![]), None, own, "the cluster has no QuayIntegration", false),
            (
                Ok(vec![resource.clone(); 2]),
                None,
                own,
                "the cluster has more than one QuayIntegration",
                false,
            ),
            (
                Ok(vec![resource]),
                None,
                own,
                "the QuayIntegration names no credentialsSecret",
                false,
            ),
            (
                Ok(vec![complete.clone()]),
                None,
                other,
                "--quay-url names another Quay than the QuayIntegration, whose token is not sent there",
                false,
            ),
            (
                Ok(vec![complete.clone()]),
                Some(Err(unread("read it"))),
                own,
                "could not read it: forbidden",
                true,
            ),
            (
                Ok(vec![complete.clone()]),
                Some(Ok(StoredTokenState::SecretMissing)),
                own,
                "Secret a/b, key token: there is no such Secret",
                false,
            ),
            (
                Ok(vec![complete]),
                Some(Ok(StoredTokenState::Empty)),
                own,
                "Secret a/b, key token: it is empty",
                false,
            ),
        ];
        for (resources, stored_token, url, reason, is_for_administrators) in table {
            let mut snapshot = IntegrationSnapshot {
                resources,
                stored_token,
                ..snapshot(Some(url), Some("prod"))
            };
            assert_eq!(snapshot.token_obstacle(), reason);
            assert_eq!(snapshot.is_for_administrators(), is_for_administrators, "{reason}");
            snapshot.given.token = Some(Source::Flag("--quay-token-file"));
            assert!(!snapshot.is_for_administrators(), "{reason}");
        }
    }

    #[test]
    fn completes_an_integration_without_usable_settings() {
        let mut snapshot = snapshot(Some("https://other.example.com"), Some("test"));
        snapshot.resources = Ok(vec![QuayIntegration::default()]);
        assert!(snapshot.differing().is_empty());
    }
}
