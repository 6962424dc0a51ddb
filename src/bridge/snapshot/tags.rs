//! Tags: those of image streams, and those of repositories in Quay.

use std::fmt;

/// A tag of an image stream: what it follows, and the image it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamTag {
    /// Its name.
    pub name: String,
    /// What it follows (`spec.tags[].from`); none for a tag that images are pushed to.
    pub from: Option<TagSource>,
    /// How it follows that.
    pub policy: ImportPolicy,
    /// Its newest image; none before the first one came.
    pub image: Option<TagImage>,
    /// Why its last import failed (condition `ImportSuccess` is `False`): OpenShift's message.
    pub failure: Option<String>,
}

/// How a tag of an image stream follows an image outside (`spec.tags[].importPolicy`), beside whether the certificate is
/// verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportPolicy {
    /// OpenShift asks the registry again every 15 minutes (`scheduled`).
    pub scheduled: bool,
    /// Of a list of images the tag has the list itself, not the one for the cluster's platform (`importMode:
    /// PreserveOriginal`).
    pub keeps_lists: bool,
}

/// What a tag of an image stream follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagSource {
    /// `DockerImage` for an image outside, `ImageStreamTag` or `ImageStreamImage` for one of an image stream.
    pub kind: String,
    /// Its name; of an image outside where it is pulled from.
    pub name: String,
}

/// An image that a tag of an image stream has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagImage {
    /// Its digest.
    pub digest: String,
    /// Where it is pulled from: `registry/path@digest`.
    pub reference: String,
    /// When the tag got it, in seconds since 1970.
    pub created: Option<i64>,
}

/// A tag of a repository in Quay (sample 482).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryTag {
    /// Its name.
    pub name: String,
    /// The digest of its manifest.
    pub digest: String,
    /// The manifest is a list of several, for several platforms. OpenShift imports one of them and has its digest, unless
    /// it was told to keep the list (`importPolicy.importMode`).
    pub is_list: bool,
    /// When it was pushed, in seconds since 1970.
    pub pushed: i64,
}

impl StreamTag {
    /// The image outside that it follows.
    pub fn follows(&self) -> Option<&str> {
        self.from.as_ref().filter(|from| from.kind == "DockerImage").map(|from| from.name.as_str())
    }

    /// It has, or can get, images that no registry outside has: pushed, or tagged from another image stream.
    pub(super) fn holds_its_own(&self) -> bool {
        match self.from {
            Some(_) => self.follows().is_none(),
            None => self.image.is_some() || self.failure.is_none(),
        }
    }
}

impl fmt::Display for TagSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind.as_str() {
            "DockerImage" => f.write_str(&self.name),
            kind => write!(f, "{kind} {}", self.name),
        }
    }
}
