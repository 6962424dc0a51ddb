//! What `version` has to say.

use serde::Serialize;

use super::{API_VERSION, Format, serialize};
use crate::ui::printable_line;

/// The versions on all sides.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct VersionReport {
    /// The version of this format.
    #[cfg_attr(test, schemars(extend("const" = API_VERSION)))]
    api_version: &'static str,
    /// What this is.
    #[cfg_attr(test, schemars(extend("const" = "VersionReport")))]
    kind: &'static str,
    /// This plugin's.
    pub client: &'static str,
    /// The cluster's; none if it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Quay's; none if it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quay: Option<String>,
}

impl VersionReport {
    /// This plugin's version alone.
    pub fn new(client: &'static str) -> Self {
        Self { api_version: API_VERSION, kind: "VersionReport", client, cluster: None, quay: None }
    }

    /// The report in a format; all that are for people are the same.
    ///
    /// # Errors
    /// If a machine-readable format cannot be written, which is a mistake in this program.
    pub fn render(&self, format: Format) -> anyhow::Result<String> {
        match format {
            Format::Json => serialize::json(self),
            Format::Yaml => serialize::yaml(self),
            Format::Text
            | Format::Wide
            | Format::Short
            | Format::Name
            | Format::Html
            | Format::Mirror => {
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
