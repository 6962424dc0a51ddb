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
    /// It only points at what it follows (`spec.tags[].reference`): pods pull that as it is then, and OpenShift imports
    /// nothing.
    pub reference: bool,
    /// The generation of the image stream that it follows that since (`spec.tags[].generation`); 0 where it says none.
    pub generation: i64,
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
    /// The generation of the image stream when the tag got it; 0 where it says none.
    pub generation: i64,
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

    /// Its newest image, if that came neither from the image outside that it follows nor before it followed that: it was
    /// pushed to OpenShift's own registry, which leaves what the tag follows as it is.
    pub fn pushed_over(&self) -> Option<&TagImage> {
        let followed = repository(self.follows()?);
        let image = self.image.as_ref()?;
        let came_from_there =
            image.reference.strip_prefix(followed).is_some_and(|rest| rest.starts_with(['@', ':']));
        let is_older = image.generation < self.generation && image.generation > 0;
        (!came_from_there && !is_older).then_some(image)
    }

    /// It has, or can get, images that no registry outside has: pushed, or tagged from another image stream.
    pub(super) fn holds_its_own(&self) -> bool {
        match self.from {
            Some(_) => self.follows().is_none(),
            None => self.image.is_some() || self.failure.is_none(),
        }
    }
}

/// The name of an image without its tag or digest: `registry:5000/path`.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_shows_in_where_the_newest_image_is() {
        let from = TagSource { kind: "DockerImage".into(), name: "q:5000/org/app:1".into() };
        let is_pushed_over = |reference: &str, generation| {
            let image = TagImage { reference: reference.into(), generation, ..TagImage::default() };
            let tag = StreamTag {
                from: Some(from.clone()),
                generation: 2,
                image: Some(image),
                ..StreamTag::default()
            };
            tag.pushed_over().is_some()
        };
        let inside = "image-registry.openshift-image-registry.svc:5000/shop/app@sha256:1";
        for (reference, generation, expected) in [
            ("q:5000/org/app@sha256:1", 2, false),
            (inside, 2, true),
            (inside, 3, true),
            // It was there before the tag followed what it follows now.
            (inside, 1, false),
            ("docker.io/library/app@sha256:1", 1, false),
            // Nothing says so.
            (inside, 0, true),
            ("q:5000/org/app-other@sha256:1", 2, true),
        ] {
            assert_eq!(is_pushed_over(reference, generation), expected, "{reference} {generation}");
        }
    }

    #[test]
    fn a_port_is_no_tag() {
        for image in [
            "q:5000/org/app",
            "q:5000/org/app:1",
            "q:5000/org/app@sha256:0",
            "q:5000/org/app:1@sha256:0",
        ] {
            assert_eq!(repository(image), "q:5000/org/app", "{image}");
        }
    }
}
