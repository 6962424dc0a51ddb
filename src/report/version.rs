//! The report of `version`.

use serde::Serialize;

use super::{API_VERSION, serialize};
use crate::printable::printable_line;

/// The formats of `version -o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersionFormat {
    #[default]
    Text,
    Json,
    Yaml,
}

/// Versions of the plugin, the cluster and Quay.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct VersionReport {
    /// The version of this format.
    #[cfg_attr(test, schemars(extend("const" = API_VERSION)))]
    api_version: &'static str,
    /// The kind of report.
    #[cfg_attr(test, schemars(extend("const" = "VersionReport")))]
    kind: &'static str,
    /// The plugin's version.
    pub client: &'static str,
    /// The cluster's version; none with `--client`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Quay's version; none with `--client`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quay: Option<String>,
}

impl VersionReport {
    /// Without cluster and Quay.
    pub fn new(client: &'static str) -> Self {
        Self { api_version: API_VERSION, kind: "VersionReport", client, cluster: None, quay: None }
    }

    /// # Errors
    /// If serialization fails, which is a bug.
    pub fn render(&self, format: VersionFormat) -> anyhow::Result<String> {
        match format {
            VersionFormat::Json => serialize::json(self),
            VersionFormat::Yaml => serialize::yaml(self),
            VersionFormat::Text => {
                let mut text = format!("oc-quay {}\n", self.client);
                for (name, version) in [("Cluster", &self.cluster), ("Quay", &self.quay)] {
                    text.extend(
                        version
                            .iter()
                            .map(|version| format!("{name}: {}\n", printable_line(version))),
                    );
                }
                Ok(text)
            }
        }
    }
}
