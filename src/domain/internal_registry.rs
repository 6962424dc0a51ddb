//! OpenShift's own registry, and what of it has not moved to Quay.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use super::snapshot::{ImageStream, StreamTag, TagImage};

/// What an image stream's images are made of: which blobs each has, and how large each blob is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// The size of each blob in bytes, by digest.
    pub blobs: BTreeMap<String, u64>,
    /// What each image is made of, by digest.
    pub images: BTreeMap<String, ImageParts>,
}

/// What an image is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageParts {
    /// The digests of its blobs.
    pub blobs: Vec<String>,
    /// The digests of the images that a manifest list names.
    pub images: Vec<String>,
}

impl Layers {
    /// The size of an image in bytes, each of its blobs counted once; none if it is not known.
    pub fn size(&self, digest: &str) -> Option<u64> {
        let image = self.images.get(digest)?;
        let mut blobs: BTreeSet<_> = image.blobs.iter().collect();
        for part in &image.images {
            // A manifest list names images, never another list.
            blobs.extend(&self.images.get(part)?.blobs);
        }
        if blobs.is_empty() {
            return None;
        }
        blobs.into_iter().try_fold(0u64, |sum, blob| sum.checked_add(*self.blobs.get(blob)?))
    }
}

/// The tags of an image stream whose newest image is in OpenShift's own registry, with that image. `quay` is Quay's host.
pub fn tags_in_registry<'a>(
    stream: &'a ImageStream,
    quay: &str,
) -> impl Iterator<Item = (&'a StreamTag, &'a TagImage)> {
    let images = stream.tags.iter().filter_map(|tag| Some((tag, tag.image.as_ref()?)));
    images.filter(move |(_, image)| is_in_registry(&image.reference, quay))
}

/// Why an image cannot be copied under the name of its tag: an editor of the image stream chooses both, and the API server
/// takes tags that no registry has.
///
/// # Errors
/// The sentence that says which rule is broken, without quoting the name.
pub fn is_copyable(tag: &StreamTag, image: &TagImage) -> Result<(), &'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if names::tag(&tag.name).is_err() {
        Err(
            "a tag has 1 to 128 letters, digits, `_`, `.` and `-`, and begins with neither `.` nor `-`",
        )
    } else if !image.reference.chars().all(is_plain) {
        Err("the address of its image has characters that no address has")
    } else {
        Ok(())
    }
}

/// That registry is a service of the cluster: `image-registry.openshift-image-registry.svc:5000`. Quay may be one as well.
fn is_in_registry(reference: &str, quay: &str) -> bool {
    let registry = reference.split('/').next().unwrap_or_default();
    let host = registry.split(':').next().unwrap_or_default();
    host.ends_with(".svc") && registry != quay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_that_an_image_has_twice_is_counted_once_and_an_unknown_one_makes_the_size_unknown() {
        let blobs = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 20)]);
        let image = |blobs: &[&str]| {
            let blobs = blobs.iter().map(|&blob| blob.to_owned()).collect();
            ImageParts { blobs, ..ImageParts::default() }
        };
        let images = BTreeMap::from([
            ("one".to_owned(), image(&["a", "b", "a"])),
            ("other".to_owned(), image(&["a", "c"])),
        ]);
        let layers = Layers { blobs, images };
        assert_eq!(
            [layers.size("one"), layers.size("other"), layers.size("none")],
            [Some(21), None, None]
        );
    }

    #[test]
    fn refuses_tags_and_addresses_that_cannot_be_one() {
        let check = |tag: &str, reference: &str| {
            let image = TagImage { reference: reference.into(), ..TagImage::default() };
            is_copyable(&StreamTag { name: tag.into(), ..StreamTag::default() }, &image)
        };
        let good = "image-registry.openshift-image-registry.svc:5000/shop/app@sha256:1";
        for tag in ["latest", "v1.2_3-x", "_"] {
            assert_eq!(check(tag, good), Ok(()));
        }
        for tag in [
            "",
            "-x",
            "x\ny",
            "x;y",
            "$(id)",
            "x y",
            "x=y",
            "\u{1b}[2J",
            "x\u{202e}",
            &"x".repeat(129),
        ] {
            assert!(check(tag, good).is_err(), "{tag:?}");
        }
        for reference in
            ["a.svc/x y", "a.svc/x\nb", "a.svc/x=y", "a.svc/$(id)", "a.svc/x;y", "a.svc/'"]
        {
            assert!(check("latest", reference).is_err(), "{reference:?}");
        }
    }

    #[test]
    fn a_tag_is_in_the_registry_when_its_newest_image_is() {
        let tag = |name: &str, reference: &str| {
            let image = TagImage { reference: reference.into(), ..TagImage::default() };
            StreamTag { name: name.into(), image: Some(image), ..StreamTag::default() }
        };
        let tags = vec![
            tag("inside", "image-registry.openshift-image-registry.svc:5000/shop/app@sha256:1"),
            tag("outside", "quay.example.com/openshift_shop/app@sha256:1"),
            tag("quay", "quay.quay.svc:8443/openshift_shop/app@sha256:1"),
            StreamTag { name: "empty".into(), ..StreamTag::default() },
        ];
        let stream = ImageStream { tags, ..ImageStream::default() };
        let inside = tags_in_registry(&stream, "quay.quay.svc:8443");
        assert_eq!(inside.map(|(tag, _)| tag.name.as_str()).collect::<Vec<_>>(), ["inside"]);
    }
}
