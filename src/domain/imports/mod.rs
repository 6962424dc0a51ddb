//! Imports of images from Quay into image streams.

mod error_messages;
mod pushed_images;
mod selection;
mod tag_status;

use std::fmt;

use crate::domain::snapshot::ImportPolicy;

pub use error_messages::{describe, describe_with_secrets, is_rejected, used_credentials};
pub use pushed_images::{DueImport, due_import, is_imported, latest_builds};
pub use selection::{ImportRequest, ImportSelection, NamedTag, SelectedTag, Since, SkippedTag};
pub use tag_status::{
    TagStatus, followed_repositories, followed_tags, follows, pushed_since, tag_status,
};

/// Tags of one image stream that one request imports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamImport {
    /// Without duplicates.
    pub tags: Vec<TagImport>,
    /// Do not verify Quay's certificate (`spec.insecureRegistry`).
    pub insecure: bool,
}

/// One tag to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagImport {
    pub tag: String,
    /// The image to follow: `quay.example.com/openshift_shop/app:latest`.
    pub from: String,
    pub policy: ImportPolicy,
}

impl ImportPolicy {
    /// The policy to import a tag with this policy. It keeps the tag's settings, since an import
    /// replaces the tag's policy (openshift-apiserver
    /// `pkg/image/apiserver/registry/imagestreamimport/rest.go`, `importSuccessful`).
    #[must_use]
    pub fn or_scheduled(self, scheduled: bool) -> Self {
        Self { scheduled: self.scheduled || scheduled, ..self }
    }
}

/// The digest of the imported image.
pub type Outcome = Result<String, ImportFailure>;

/// A failed import of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFailure {
    /// The equivalent HTTP status: 401, 404 or 500.
    pub code: u16,
    /// OpenShift's message.
    pub message: String,
}

impl fmt::Display for ImportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(&self.message))
    }
}
