//! The settings of the integration (Quay, cluster ID, token) and the source of each.

use std::fmt;

use super::image_policy::ImagePolicy;
use super::names::{ClusterId, QuayUrl};
use super::ownership_mark::ClusterIdentity;
use super::snapshot::{BuildWebhookOwners, Observed, ReadError, ReadErrorKind};

/// The fields of a QuayIntegration that are used (`quay.redhat.com/v1`, QBO `api/v1/quayintegration_types.go`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuayIntegration {
    pub name: String,
    pub uid: String,
    /// Precondition of every write.
    pub resource_version: String,
    /// `spec.clusterID`.
    pub cluster_id: String,
    /// `spec.quayHostname`, as written.
    pub hostname: String,
    /// `spec.insecureRegistry`.
    pub insecure: bool,
    /// `spec.scheduledImageStreamImport`: OpenShift imports the tags of builds every 15 minutes.
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
    pub namespace: String,
    pub name: String,
    pub key: String,
}

/// The key that the operator reads the token from, regardless of the QuayIntegration (QBO
/// `controllers/namespace_controller.go:158`).
pub const OPERATOR_TOKEN_KEY: &str = "token";

impl fmt::Display for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret {}/{}, key {}", self.namespace, self.name, self.key)
    }
}

/// The source of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Flag(&'static str),
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

/// A setting and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    pub value: T,
    pub source: Source,
}

/// Flags and environment variables, which take precedence over the QuayIntegration.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub url: Option<Sourced<String>>,
    pub cluster_id: Option<Sourced<String>>,
    /// The source of a given token; the token itself is not kept here.
    pub token: Option<Source>,
    /// `--insecure`: do not verify certificates.
    pub insecure: bool,
}

/// The integration as known before any call to Quay.
#[derive(Clone, Debug)]
pub struct IntegrationSnapshot {
    pub given: Overrides,
    /// The QuayIntegrations of the cluster.
    pub resources: Observed<Vec<QuayIntegration>>,
    /// The token in the Secret that the QuayIntegration references; `None` if not read.
    pub stored_token: Option<Observed<StoredTokenState>>,
    /// The webhooks that rewrite builds; `None` if not read.
    pub rewriters: Option<BuildWebhookOwners>,
    /// `None` if not read, or if the cluster has no such policy.
    pub image_policy: Option<Observed<ImagePolicy>>,
    /// `host:port` of this cluster's API server.
    pub server: String,
}

/// The state of the stored token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredTokenState {
    Present,
    SecretMissing,
    KeyMissing,
    /// The value is empty.
    Empty,
    /// The value cannot be a token.
    Unusable,
}

/// The resolved settings, sufficient for work on namespaces.
#[derive(Clone, Debug)]
pub struct Integration {
    pub url: Sourced<QuayUrl>,
    pub cluster_id: Sourced<ClusterId>,
    /// The only QuayIntegration, if it was read and has this Quay and cluster ID.
    pub resource: Option<QuayIntegration>,
    /// The namespace lists could not be read, so the scope of a namespace is unknown.
    pub lists_unread: bool,
    /// Certificates are not verified.
    pub insecure: bool,
    pub cluster: ClusterIdentity,
}

impl IntegrationSnapshot {
    /// The QuayIntegration, if there is exactly one.
    pub fn resource(&self) -> Option<&QuayIntegration> {
        match self.resources.as_deref() {
            Ok([resource]) => Some(resource),
            _ => None,
        }
    }

    /// The Quay's URL as written.
    pub fn url(&self) -> Option<Sourced<String>> {
        self.setting(&self.given.url, |resource| &resource.hostname)
    }

    /// The cluster ID as written.
    pub fn cluster_id(&self) -> Option<Sourced<String>> {
        self.setting(&self.given.cluster_id, |resource| &resource.cluster_id)
    }

    /// The source of the token, even if it has none.
    pub fn token_source(&self) -> Option<Source> {
        self.given.token.clone().or_else(|| self.secret().map(Source::Secret))
    }

    /// The Secret with the token and the certificate authority, if the selected Quay is that of the QuayIntegration: a stored
    /// token is sent to no other.
    pub fn secret(&self) -> Option<SecretKey> {
        self.resource()?.credentials.clone().filter(|_| self.is_integration_quay())
    }

    /// Whether no other URL than that of the QuayIntegration was given. Requires that the QuayIntegration was read.
    pub fn is_integration_quay(&self) -> bool {
        let host = |text: &str| QuayUrl::parse(text).ok().map(|(url, _)| url.host());
        let own = self.resource().and_then(|resource| host(&resource.hostname));
        self.given.url.as_ref().is_none_or(|given| own.is_some() && host(&given.value) == own)
    }

    /// The error if no token was given and the stored one could not be read.
    pub fn token_unread(&self) -> Option<&ReadError> {
        let stored = self.stored_token.as_ref().and_then(|stored| stored.as_ref().err());
        self.resources.as_ref().err().or(stored).filter(|_| self.given.token.is_none())
    }

    /// Whether there is no token because the user is not allowed to read the QuayIntegration or the Secret, as is usual for
    /// users of a project.
    pub fn is_for_administrators(&self) -> bool {
        self.token_unread().is_some_and(|unread| unread.kind == ReadErrorKind::Forbidden)
    }

    /// Why there is no usable token.
    pub fn token_obstacle(&self) -> String {
        if let Some(unread) = self.token_unread() {
            return unread.to_string();
        }
        let Ok([resource]) = self.resources.as_deref() else {
            let found = if self.resources.as_ref().is_ok_and(Vec::is_empty) {
                "no QuayIntegration"
            } else {
                "multiple QuayIntegrations"
            };
            return format!("{found} found");
        };
        if let Some(url) = self.given.url.as_ref().filter(|_| !self.is_integration_quay()) {
            return format!(
                "{} is not the Quay of the QuayIntegration, whose token is not sent there",
                url.source
            );
        }
        let Some(key) = &resource.credentials else {
            return "the QuayIntegration has no credentialsSecret".to_owned();
        };
        match &self.stored_token {
            Some(Ok(StoredTokenState::SecretMissing)) => format!("{key}: Secret not found"),
            Some(Ok(StoredTokenState::KeyMissing)) => format!("{key}: key not found"),
            Some(Ok(StoredTokenState::Unusable)) => {
                format!("{key}: invalid token")
            }
            _ => format!("{key}: empty value"),
        }
    }

    /// The sources of settings that differ from those of the QuayIntegration. With any, the QuayIntegration is for another Quay
    /// or cluster ID, and its namespace lists are neither read nor written. An empty or invalid value of the QuayIntegration
    /// does not differ.
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

    /// The settings, if URL and cluster ID are known and valid.
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

    /// This cluster as recorded in ownership marks, independent of the selected Quay.
    pub fn cluster(&self) -> ClusterIdentity {
        let id = self.resource().map(|resource| resource.uid.clone()).unwrap_or_default();
        ClusterIdentity { id, server: self.server.clone() }
    }

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

/// A problem that affects every call to Quay, or every call of a kind. Detected from responses, reported once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuayProblem {
    /// No response; the stage that failed, and why.
    Unreachable {
        step: ConnectionStage,
        reason: String,
    },
    /// The certificate is not trusted.
    Untrusted {
        reason: String,
    },
    /// The token is not accepted (401).
    TokenRejected {
        reason: String,
    },
    /// `permission` completes "is not allowed to": `create organizations`.
    UserLacksPermission {
        user: String,
        permission: String,
    },
    TokenLacksScope {
        scope: String,
    },
    /// Quay is in read-only mode.
    ReadOnly,
    /// `ROBOTS_DISALLOW` is set.
    RobotsDisallowed,
}

/// The stage of a connection to Quay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionStage {
    Name,
    Connect,
    Tls,
    Http,
}

impl fmt::Display for ConnectionStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnectionStage::Name => "resolving the host name",
            ConnectionStage::Connect => "connecting",
            ConnectionStage::Tls => "negotiating TLS",
            ConnectionStage::Http => "waiting for a response",
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
    fn sends_stored_token_only_to_its_quay() {
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
            "the token's Quay is unknown"
        );
        assert_eq!(source(Some("https://quay.example.com"), "ftp://quay.example.com"), None);
    }

    #[test]
    fn explains_why_there_is_no_token() {
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
            (Ok(vec![]), None, own, "no QuayIntegration found", false),
            (Ok(vec![resource.clone(); 2]), None, own, "multiple QuayIntegrations found", false),
            (Ok(vec![resource]), None, own, "the QuayIntegration has no credentialsSecret", false),
            (
                Ok(vec![complete.clone()]),
                None,
                other,
                "--quay-url is not the Quay of the QuayIntegration, whose token is not sent there",
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
                "Secret a/b, key token: Secret not found",
                false,
            ),
            (
                Ok(vec![complete]),
                Some(Ok(StoredTokenState::Empty)),
                own,
                "Secret a/b, key token: empty value",
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
    fn empty_settings_of_the_resource_do_not_differ() {
        let mut snapshot = snapshot(Some("https://other.example.com"), Some("test"));
        snapshot.resources = Ok(vec![QuayIntegration::default()]);
        assert!(snapshot.differing().is_empty());
    }
}
