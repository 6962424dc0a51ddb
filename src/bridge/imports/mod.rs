//! Imports: what OpenShift is asked to fetch from Quay into an image stream, and what came of it.

mod choice;
mod standing;
mod words;

use std::fmt;

pub use choice::{Choice, Chosen, LeftAlone, Named, Wanted};
pub use standing::{Standing, followed, follows, pushed_since, standing};
pub use words::{in_words, in_words_knowing, is_refused, tried};

/// Tags of one image stream, to be imported with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamImport {
    /// The image stream's namespace.
    pub namespace: String,
    /// The image stream. OpenShift makes one that is not there yet.
    pub stream: String,
    /// The tags, none twice.
    pub tags: Vec<TagImport>,
    /// OpenShift is to ask Quay again every 15 minutes (`spec.scheduledImageStreamImport`).
    pub scheduled: bool,
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
}

/// What came of one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedTag {
    /// The tag in the image stream.
    pub tag: String,
    /// The digest of the image that the tag has now, or why it has not.
    pub outcome: Result<String, ImportFailure>,
}

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
