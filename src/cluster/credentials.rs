//! The Secret with the token for Quay, and with the authority that signed Quay's certificate.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::Cluster;
use super::error::{CONFLICT_HINT, ClusterError};
use super::resources::{self, Meta, SECRETS};
use crate::domain::integration::{SecretKey, StoredTokenState};
use crate::domain::names::{MANAGED_BY, MANAGED_BY_LABEL};
use crate::domain::snapshot::Observed;

/// The key beside the token that holds the certificate authorities of Quay (PEM). The operator reads the token's key
/// and no other (QBO `controllers/namespace_controller.go:158`).
pub const CA_KEY: &str = "ca.crt";

/// What the Secret with the token holds.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Guards every write; none if there is no such Secret.
    pub resource_version: Option<String>,
    /// When it was created (RFC 3339).
    pub created: Option<String>,
    /// When something in it was changed last (RFC 3339), as far as the API server keeps account of it.
    pub changed: Option<String>,
    /// It carries our label.
    pub ours: bool,
    /// Whether there is a token.
    pub stored: StoredTokenState,
    /// The token, without white space around it.
    pub token: Option<SecretString>,
    /// What is under [`CA_KEY`], as it is.
    pub ca: Option<Vec<u8>>,
}

/// A Secret together with what `managedFields` say about its age.
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
    /// Reads the Secret with the token, which is under `key`.
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

    /// Puts a token, and an authority if there is one, into the Secret. `version` is the one that was read and that the
    /// Secret must still be at; none creates the Secret, with our label. Other keys stay as they are.
    ///
    /// # Errors
    /// Also when it was changed, deleted or created meanwhile: the next run looks at it and decides.
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
            // The answer to the first try may have been lost.
            Err(error) if error.is_conflict() => {
                let found = self.get::<resources::Secret>(&SECRETS, namespace, name).await?;
                if found.is_some_and(|secret| holds(&secret, &data)) {
                    Ok(())
                } else {
                    Err(error.explained(CONFLICT_HINT))
                }
            }
            written => written,
        }
    }
}

fn holds(secret: &resources::Secret, data: &Map<String, Value>) -> bool {
    let stored = |key: &str| Some(secret.data.as_ref()?.get(key)?.expose_secret());
    data.iter().all(|(key, value)| stored(key) == value.as_str())
}

impl Credentials {
    /// Whether there is such a Secret at all.
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
        // In UTC and to the second, so the latest is the greatest.
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
