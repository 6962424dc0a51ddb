//! The output of builds, and the rule that redirects it to Quay.
//!
//! Builds and BuildConfigs share a part of their `spec`, so the admission webhook for builds and
//! the command for BuildConfigs both use [`rewrite()`].

mod image_stream_tag;
mod push_target;
mod raw;
mod rewrite;

use serde::Deserialize;

use super::integration::Integration;
pub use image_stream_tag::Destination;
pub use push_target::{
    PushTarget, RejectReason, is_stuck, missing_push_secret, new_image, operator_rejection,
    unresponsive_webhook,
};
#[cfg(test)]
pub(super) use rewrite::tests::integration;
pub use rewrite::{RewriteOutcome, Rewritten, SkipReason, rewrite};

/// Annotation on a rewritten build, with the value [`MANAGED`] (QBO `pkg/constants`).
pub const MANAGED_ANNOTATION: &str =
    "quay-registry-operator.quay.redhat.com/quay-registry-operator-managed";

/// Value of [`MANAGED_ANNOTATION`], and of [`IMPORTED_ANNOTATION`].
pub const MANAGED: &str = "true";

/// Annotation on a rewritten build: the [`Destination`] of its original output (QBO
/// `pkg/constants`).
pub const DESTINATION_ANNOTATION: &str =
    "quay-registry-operator.quay.redhat.com/destination-imagestream";

/// Annotation on a rewritten build whose image was imported (QBO `pkg/constants`).
pub const IMPORTED_ANNOTATION: &str =
    "quay-registry-operator.quay.redhat.com/destination-imagestreamtag-imported";

/// The default service account of builds (OpenShift `pkg/build/buildutil`).
pub const BUILDER: &str = "builder";

/// The part of `build.openshift.io/v1` `CommonSpec` that we need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "raw::CommonSpec")]
pub struct CommonSpec {
    /// `None` for an unknown strategy.
    pub strategy: Option<Strategy>,
    pub output: Output,
    /// `serviceAccount`, if not empty.
    pub service_account: Option<String>,
}

impl CommonSpec {
    /// The service account that pushes: the named one, else [`BUILDER`].
    pub fn pusher(&self) -> &str {
        self.service_account.as_deref().unwrap_or(BUILDER)
    }

    /// The image stream tag in the output, or the one whose image in Quay is in the output. `None`
    /// for other registries, and for pipelines, which do not push.
    pub fn destination(&self, namespace: &str, integration: &Integration) -> Option<Destination> {
        let to =
            self.output.to.as_ref().filter(|_| self.strategy != Some(Strategy::JenkinsPipeline))?;
        match to.kind.as_str() {
            _ if to.is_stream_tag() => Some(to.stream_tag(namespace)),
            "DockerImage" => Destination::from_image(&to.name, integration),
            _ => None,
        }
    }
}

/// The build strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    Docker,
    /// Source to image.
    Source,
    /// A custom builder image, which gets the output in its environment.
    Custom,
    /// Jenkins, which starts other builds and does not push.
    JenkinsPipeline,
}

/// `output` of a build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// `None` if nothing is pushed.
    pub to: Option<Target>,
    /// If empty, OpenShift uses the service account's secret for the image's registry.
    pub push_secret: Option<String>,
}

/// `output.to`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Target {
    /// `ImageStreamTag` or `DockerImage`.
    pub kind: String,
    /// The image stream's namespace; by default the build's.
    pub namespace: Option<String>,
    /// `stream:tag`, or an image.
    pub name: String,
}

impl Target {
    /// Includes two older spellings that the API server accepts
    /// (`pkg/build/apis/build/v1/conversion.go`).
    fn is_stream_tag(&self) -> bool {
        ["ImageStreamTag", "ImageStream", ""].contains(&self.kind.as_str())
    }

    /// The image stream tag; `namespace` is the build's.
    fn stream_tag(&self, namespace: &str) -> Destination {
        Destination::new(self.namespace.as_deref().unwrap_or(namespace), &self.name)
    }
}
