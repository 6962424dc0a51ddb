//! Imports: what OpenShift is asked to fetch from Quay into an image stream, and what came of it.

mod error_messages;
mod pushed_images;
mod selection;
mod tag_status;

use std::fmt;

use crate::domain::snapshot::ImportPolicy;

pub use error_messages::{describe_with_tags, in_words, is_refused, tried};
pub use pushed_images::{DueImport, built, due, is_imported};
pub use selection::{ImportRequest, ImportSelection, NamedTag, SelectedTag, Since, SkippedTag};
pub use tag_status::{TagStatus, followed, followed_repositories, follows, pushed_since, standing};

/// Tags of one image stream, to be imported with one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamImport {
    /// The tags, none twice.
    pub tags: Vec<TagImport>,
    /// Quay's certificate is not to be verified (`spec.insecureRegistry`).
    pub insecure: bool,
}

/// One tag to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagImport {
    /// The tag in the image stream.
    pub tag: String,
    /// The image it is to follow: `quay.example.com/openshift_shop/app:latest`.
    pub from: String,
    /// How it is to follow that.
    pub policy: ImportPolicy,
}

impl ImportPolicy {
    /// The policy to import a tag with that has this one so far. An import puts the policy it names in the place of the
    /// tag's own (openshift-apiserver `pkg/image/apiserver/registry/imagestreamimport/rest.go`, `importSuccessful`), so what
    /// somebody asked of the tag has to be asked again.
    #[must_use]
    pub fn or_scheduled(self, scheduled: bool) -> Self {
        Self { scheduled: self.scheduled || scheduled, ..self }
    }
}

/// The digest of the image that a tag has after its import, or why it has not.
pub type Outcome = Result<String, ImportFailure>;

/// Why OpenShift could not import an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFailure {
    /// The HTTP status it stands for: 401, 404 or 500.
    pub code: u16,
    /// OpenShift's message.
    pub message: String,
}

impl fmt::Display for ImportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_words(&self.message))
    }
}
