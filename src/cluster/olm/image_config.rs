//! The certificate authorities that nodes trust when they pull images.
//!
//! The Image `cluster` names a ConfigMap in `openshift-config`: its keys are registries, `host` or
//! `host..port`, its values their certificate authorities (openshift/api
//! `config/v1/types_image.go`, `AdditionalTrustedCA`).

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cluster::access::client::Cluster;
use crate::cluster::resources::{CONFIG_MAPS, IMAGE_CONFIGS, Meta, Reference};
use crate::domain::image_policy::{ImagePolicy, ImportRegistry};
use crate::domain::snapshot::Observed;

/// The namespace of the ConfigMap that the Image `cluster` names.
pub const TRUST_NAMESPACE: &str = "openshift-config";

/// Certificate authorities beside the public ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTrust {
    /// None without OpenShift.
    pub image_config: Option<ImageConfig>,
    /// The ConfigMap that it names, else the default one; none if missing.
    pub config_map: Option<ConfigMap>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    pub resource_version: String,
    /// `spec.additionalTrustedCA.name`.
    pub config_map: Option<String>,
    /// `spec.registrySources.insecureRegistries`
    pub insecure_registries: Vec<String>,
    pub policy: ImagePolicy,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigMap {
    pub name: String,
    pub resource_version: String,
    pub data: BTreeMap<String, String>,
    pub ours: bool,
}

#[derive(Deserialize)]
struct StoredImageConfig {
    metadata: Meta,
    #[serde(default)]
    spec: ImageConfigSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ImageConfigSpec {
    #[serde(rename = "additionalTrustedCA")]
    additional_trusted_ca: Option<Reference>,
    registry_sources: RegistrySources,
    allowed_registries_for_import: Option<Vec<StoredImportRegistry>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StoredImportRegistry {
    domain_name: String,
    insecure: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RegistrySources {
    insecure_registries: Option<Vec<String>>,
    allowed_registries: Option<Vec<String>>,
    blocked_registries: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct StoredConfigMap {
    metadata: Meta,
    data: Option<BTreeMap<String, String>>,
}

impl Cluster {
    /// None without OpenShift.
    pub async fn image_policy(&self) -> Observed<Option<ImagePolicy>> {
        Ok(self
            .get::<StoredImageConfig>(&IMAGE_CONFIGS, None, "cluster")
            .await?
            .map(|found| found.spec.into()))
    }

    /// Without a named ConfigMap, reads the one called `default_name`: an interrupted run may have
    /// left it.
    pub async fn node_trust(&self, default_name: &str) -> Observed<NodeTrust> {
        let Some(found) = self.get::<StoredImageConfig>(&IMAGE_CONFIGS, None, "cluster").await?
        else {
            return Ok(NodeTrust::default());
        };
        let image_config = ImageConfig::from(found);
        let name = image_config.config_map.as_deref().unwrap_or(default_name);
        let config_map =
            self.get::<StoredConfigMap>(&CONFIG_MAPS, Some(TRUST_NAMESPACE), name).await?;
        Ok(NodeTrust {
            image_config: Some(image_config),
            config_map: config_map.map(ConfigMap::from),
        })
    }
}

impl From<ImageConfigSpec> for ImagePolicy {
    fn from(spec: ImageConfigSpec) -> Self {
        let import = |stored: StoredImportRegistry| ImportRegistry {
            domain: stored.domain_name,
            insecure: stored.insecure,
        };
        Self {
            allowed: spec.registry_sources.allowed_registries.unwrap_or_default(),
            blocked: spec.registry_sources.blocked_registries.unwrap_or_default(),
            allowed_for_import: spec
                .allowed_registries_for_import
                .into_iter()
                .flatten()
                .map(import)
                .collect(),
        }
    }
}

impl From<StoredImageConfig> for ImageConfig {
    fn from(StoredImageConfig { metadata, mut spec }: StoredImageConfig) -> Self {
        let config_map = spec.additional_trusted_ca.take().map(|reference| reference.name);
        Self {
            resource_version: metadata.resource_version,
            config_map: config_map.filter(|name| !name.is_empty()),
            insecure_registries: spec
                .registry_sources
                .insecure_registries
                .take()
                .unwrap_or_default(),
            policy: spec.into(),
        }
    }
}

impl From<StoredConfigMap> for ConfigMap {
    fn from(StoredConfigMap { metadata, data }: StoredConfigMap) -> Self {
        Self {
            ours: metadata.is_ours(),
            name: metadata.name,
            resource_version: metadata.resource_version,
            data: data.unwrap_or_default(),
        }
    }
}
