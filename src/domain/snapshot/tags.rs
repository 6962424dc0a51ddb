//! Tags of image streams, and tags of repositories in Quay.

use std::fmt;

/// A tag of an image stream: its source and its newest image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamTag {
    pub name: String,
    /// `spec.tags[].from`; none for a tag that images are pushed to.
    pub from: Option<TagSource>,
    pub policy: ImportPolicy,
    /// `spec.tags[].reference`: pods pull the source directly, and OpenShift imports nothing.
    pub reference: bool,
    /// `spec.tags[].generation`: the generation of the image stream since which it has this source; 0 if unset.
    pub generation: i64,
    /// Its newest image; none before the first import or push.
    pub image: Option<TagImage>,
    /// Why its last import failed (condition `ImportSuccess` is `False`): OpenShift's message.
    pub failure: Option<String>,
}

/// `spec.tags[].importPolicy`, without `insecure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportPolicy {
    /// OpenShift queries the registry every 15 minutes (`scheduled`).
    pub scheduled: bool,
    /// A manifest list is imported as such, instead of the image for the cluster's platform (`importMode:
    /// PreserveOriginal`).
    pub keeps_lists: bool,
}

/// The source that a tag of an image stream tracks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagSource {
    /// `DockerImage` for an external image, `ImageStreamTag` or `ImageStreamImage` for one of an image stream.
    pub kind: String,
    /// The pull spec of an external image, otherwise the object's name.
    pub name: String,
}

/// An image in the history of an image stream tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagImage {
    pub digest: String,
    /// Pull spec: `registry/path@digest`.
    pub reference: String,
    /// Time of the import or push, in seconds since 1970.
    pub created: Option<i64>,
    /// The generation of the image stream at that time; 0 if unset.
    pub generation: i64,
}

/// A tag of a repository in Quay (`wire/482`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryTag {
    pub name: String,
    /// Digest of the manifest.
    pub digest: String,
    /// The manifest is a list for several platforms. OpenShift imports one of its manifests, with that one's digest, unless
    /// `importPolicy.importMode` is `PreserveOriginal`.
    pub is_list: bool,
    /// Time of the push, in seconds since 1970.
    pub pushed: i64,
}

impl StreamTag {
    /// The external image that it tracks.
    pub fn follows(&self) -> Option<&str> {
        self.from.as_ref().filter(|from| from.kind == "DockerImage").map(|from| from.name.as_str())
    }

    /// Its newest image, if that was pushed to the internal registry, which keeps the tag's source: the image is neither from
    /// the tracked image nor older than the source.
    pub fn pushed_over(&self) -> Option<&TagImage> {
        let followed = repository(self.follows()?);
        let image = self.image.as_ref()?;
        let is_from_source =
            image.reference.strip_prefix(followed).is_some_and(|rest| rest.starts_with(['@', ':']));
        let is_older = image.generation < self.generation && image.generation > 0;
        (!is_from_source && !is_older).then_some(image)
    }

    /// Whether it has, or can get, images that are pushed or tagged from another image stream.
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
    fn detects_image_pushed_to_internal_registry() {
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
            // Older than the tag's source.
            (inside, 1, false),
            ("docker.io/library/app@sha256:1", 1, false),
            // The generation is unknown.
            (inside, 0, true),
            ("q:5000/org/app-other@sha256:1", 2, true),
        ] {
            assert_eq!(is_pushed_over(reference, generation), expected, "{reference} {generation}");
        }
    }

    #[test]
    fn distinguishes_port_from_tag() {
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
