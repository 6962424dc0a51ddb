//! Builds: where they push to, and what becomes of that where images live in Quay.
//!
//! A Build and the BuildConfig that it is made from have this part of their `spec` in common, so one rule
//! ([`rewrite()`]) serves the admission webhook, which sees builds, and the command that writes BuildConfigs.

mod image_stream_tag;
mod push_target;
mod raw;
mod rewrite;

use serde::Deserialize;

use super::integration::Integration;
pub use image_stream_tag::Destination;
pub use push_target::{
    PushTarget, RejectReason, is_stuck, lacks_secret, outdated, refusal, silent,
};
#[cfg(test)]
pub(super) use rewrite::tests::integration;
pub use rewrite::{RewriteOutcome, Rewritten, SkipReason, rewrite};

/// Annotation on a build whose output was rewritten; its value is [`MANAGED`] (QBO `pkg/constants`).
pub const MANAGED_ANNOTATION: &str =
    "quay-registry-operator.quay.redhat.com/quay-registry-operator-managed";

/// Value of [`MANAGED_ANNOTATION`], and of [`IMPORTED_ANNOTATION`].
pub const MANAGED: &str = "true";

/// Annotation on such a build: the [`Destination`] that its output named before (QBO `pkg/constants`).
pub const DESTINATION_ANNOTATION: &str =
    "quay-registry-operator.quay.redhat.com/destination-imagestream";

/// Annotation on such a build whose image was imported into that image stream tag (QBO `pkg/constants`).
pub const IMPORTED_ANNOTATION: &str =
    "quay-registry-operator.quay.redhat.com/destination-imagestreamtag-imported";

/// The service account of builds that name none (OpenShift `pkg/build/buildutil`).
pub const BUILDER: &str = "builder";

/// What builds and BuildConfigs have in common (`build.openshift.io/v1`, `CommonSpec`), as far as we need it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "raw::CommonSpec")]
pub struct CommonSpec {
    /// How the image is built; `None` for a way that we do not know.
    pub strategy: Option<Strategy>,
    /// Where it goes.
    pub output: Output,
    /// `serviceAccount`, where one is named.
    pub service_account: Option<String>,
}

impl CommonSpec {
    /// The service account that pushes: the named one, else [`BUILDER`].
    pub fn pusher(&self) -> &str {
        self.service_account.as_deref().unwrap_or(BUILDER)
    }

    /// The image stream tag that the image is for, of a build or a BuildConfig in `namespace`: the one that is written, or
    /// the one whose image lives where it is written. None has what goes to another registry, or a pipeline, which pushes
    /// nothing itself.
    pub fn destination(&self, namespace: &str, integration: &Integration) -> Option<Destination> {
        let to =
            self.output.to.as_ref().filter(|_| self.strategy != Some(Strategy::JenkinsPipeline))?;
        match to.kind.as_str() {
            _ if to.is_stream_tag() => Some(to.stream_tag(namespace)),
            "DockerImage" => Destination::of_image(&to.name, integration),
            _ => None,
        }
    }
}

/// How an image is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// From a Dockerfile.
    Docker,
    /// Source to image.
    Source,
    /// By an image of one's own, which is told where to push.
    Custom,
    /// By Jenkins, which starts other builds and pushes nothing itself.
    JenkinsPipeline,
}

/// Where a build pushes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The image; `None`: nothing is pushed.
    pub to: Option<Target>,
    /// The secret with the login. Where none is named, OpenShift takes the one for the image's registry out of the service
    /// account's `secrets`.
    pub push_secret: Option<String>,
}

/// `output.to`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Target {
    /// `ImageStreamTag` or `DockerImage`.
    pub kind: String,
    /// The image stream's namespace; the build's own where it is missing.
    pub namespace: Option<String>,
    /// `stream:tag`, or an image.
    pub name: String,
}

impl Target {
    /// Whether it is an image stream tag. The API server takes two older spellings for that
    /// (`pkg/build/apis/build/v1/conversion.go`).
    fn is_stream_tag(&self) -> bool {
        ["ImageStreamTag", "ImageStream", ""].contains(&self.kind.as_str())
    }

    /// The image stream tag, of a build in `namespace`.
    fn stream_tag(&self, namespace: &str) -> Destination {
        Destination::new(self.namespace.as_deref().unwrap_or(namespace), &self.name)
    }
}
