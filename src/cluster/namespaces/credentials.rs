//! The Secret with the Quay token and the certificate authority of Quay.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cluster::access::client::Cluster;
use crate::cluster::access::error::{CONFLICT_HINT, ClusterError};
use crate::cluster::resources::{self, Meta, SECRETS};
use crate::domain::integration::{SecretKey, StoredTokenState};
use crate::domain::names::{MANAGED_BY, MANAGED_BY_LABEL};
use crate::domain::snapshot::Observed;

/// The key of Quay's certificate authorities (PEM). The operator reads the token's key only (QBO
/// `controllers/namespace_controller.go:158`).
pub const CA_KEY: &str = "ca.crt";

/// Content of the Secret.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// None if the Secret is missing.
    pub resource_version: Option<String>,
    /// RFC 3339.
    pub created: Option<String>,
    /// Time of the last change (RFC 3339), from `managedFields`.
    pub changed: Option<String>,
    pub ours: bool,
    pub stored: StoredTokenState,
    /// Trimmed.
    pub token: Option<SecretString>,
    /// The raw value of [`CA_KEY`].
    pub ca: Option<Vec<u8>>,
}

/// A Secret with its `managedFields`.
#[derive(Deserialize)]
struct StoredSecret {
    metadata: StoredMeta,
    #[serde(rename = "type", default)]
    kind: String,
    data: Option<BTreeMap<String, SecretString>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredMeta {
    #[serde(flatten)]
    meta: Meta,
    managed_fields: Option<Vec<ManagedField>>,
}

#[derive(Deserialize)]
struct ManagedField {
    time: Option<String>,
}

impl Cluster {
    /// A missing Secret is not an error.
    pub async fn credentials(&self, key: &SecretKey) -> Observed<Credentials> {
        let Some(found) =
            self.get::<StoredSecret>(&SECRETS, Some(&key.namespace), &key.name).await?
        else {
            return Ok(Credentials::missing());
        };
        Ok(found
            .credentials(key)
            .map_err(|problem| ClusterError::other(format!("read {key}"), problem))?)
    }

    /// Writes a token, and a certificate authority if given, into the Secret. `version` is the
    /// `resourceVersion` that was read; none creates the Secret with our label. Other keys are
    /// kept.
    ///
    /// # Errors
    /// Also if the Secret was changed, deleted or created by others.
    pub async fn write_credentials(
        &self,
        key: &SecretKey,
        token: &SecretString,
        ca: Option<&[u8]>,
        version: Option<&str>,
    ) -> Result<(), ClusterError> {
        let (namespace, name) = (Some(key.namespace.as_str()), key.name.as_str());
        let mut data =
            Map::from_iter([(key.key.clone(), json!(STANDARD.encode(token.expose_secret())))]);
        data.extend(ca.map(|ca| (CA_KEY.to_owned(), json!(STANDARD.encode(ca)))));
        let written = match version {
            Some(version) => {
                let patch = json!({ "metadata": { "resourceVersion": version }, "data": data });
                self.merge(&SECRETS, namespace, name, &patch).await
            }
            None => {
                let secret = json!({
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": { "name": name, "labels": { MANAGED_BY_LABEL: MANAGED_BY } },
                    "type": "Opaque",
                    "data": data,
                });
                self.create(&SECRETS, namespace, name, &secret).await
            }
        };
        match written {
            // The response to the first attempt may be lost.
            Err(error) if error.is_conflict() => {
                let found = self.get::<resources::Secret>(&SECRETS, namespace, name).await?;
                if found.is_some_and(|secret| has_data(&secret, &data)) {
                    Ok(())
                } else {
                    Err(error.with_message(CONFLICT_HINT))
                }
            }
            written => written,
        }
    }
}

fn has_data(secret: &resources::Secret, data: &Map<String, Value>) -> bool {
    let stored = |key: &str| Some(secret.data.as_ref()?.get(key)?.expose_secret());
    data.iter().all(|(key, value)| stored(key) == value.as_str())
}

impl Credentials {
    pub fn exists(&self) -> bool {
        self.resource_version.is_some()
    }

    fn missing() -> Self {
        Self {
            resource_version: None,
            created: None,
            changed: None,
            ours: false,
            stored: StoredTokenState::SecretMissing,
            token: None,
            ca: None,
        }
    }
}

impl StoredSecret {
    fn credentials(self, key: &SecretKey) -> Result<Credentials, String> {
        let StoredMeta { meta, managed_fields } = self.metadata;
        // UTC to the second, so the maximum is the latest.
        let changed = managed_fields.into_iter().flatten().filter_map(|field| field.time).max();
        let secret = resources::Secret { metadata: meta, kind: self.kind, data: self.data };
        let (stored, token) = secret.token(&key.key)?;
        Ok(Credentials {
            ours: secret.metadata.is_ours(),
            stored,
            token,
            ca: secret.value(CA_KEY)?.map(|ca| ca.expose_secret().as_bytes().to_vec()),
            resource_version: Some(secret.metadata.resource_version),
            created: secret.metadata.creation_timestamp,
            changed,
        })
    }
}
