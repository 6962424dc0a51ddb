//! Images in the internal registry that were not migrated to Quay.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use super::snapshot::{ImageStream, StreamTag, TagImage};

/// The layers of an image stream's images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// The size of each blob in bytes, by digest.
    pub blobs: BTreeMap<String, u64>,
    /// By digest.
    pub images: BTreeMap<String, ImageParts>,
}

/// The parts of an image or a manifest list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageParts {
    /// The digests of an image's blobs.
    pub blobs: Vec<String>,
    /// The digests of a manifest list's images.
    pub images: Vec<String>,
}

impl Layers {
    /// The size of an image in bytes, with each blob counted once; `None` if unknown.
    pub fn size(&self, digest: &str) -> Option<u64> {
        let image = self.images.get(digest)?;
        let mut blobs: BTreeSet<_> = image.blobs.iter().collect();
        for part in &image.images {
            // A manifest list contains no other lists.
            blobs.extend(&self.images.get(part)?.blobs);
        }
        if blobs.is_empty() {
            return None;
        }
        blobs.into_iter().try_fold(0u64, |sum, blob| sum.checked_add(*self.blobs.get(blob)?))
    }
}

/// The tags whose latest image is in the internal registry, with that image. `quay` is Quay's host.
pub fn tags_in_registry<'a>(
    stream: &'a ImageStream,
    quay: &str,
) -> impl Iterator<Item = (&'a StreamTag, &'a TagImage)> {
    let images = stream.tags.iter().filter_map(|tag| Some((tag, tag.image.as_ref()?)));
    images.filter(move |(_, image)| is_in_registry(&image.reference, quay))
}

/// Checks that an image can be copied to its tag. An editor of the image stream chooses both, and
/// the API server accepts tags that no registry does.
///
/// # Errors
/// The rule that is broken, without quoting the name.
pub fn validate_copy(tag: &StreamTag, image: &TagImage) -> Result<(), &'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if names::validate_tag(&tag.name).is_err() {
        Err(
            "invalid tag: expected 1 to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`",
        )
    } else if !image.reference.chars().all(is_plain) {
        Err("invalid image reference: unexpected characters")
    } else {
        Ok(())
    }
}

/// The internal registry is a service of the cluster,
/// `image-registry.openshift-image-registry.svc:5000`. Quay might be one too.
fn is_in_registry(reference: &str, quay: &str) -> bool {
    let registry = reference.split('/').next().unwrap_or_default();
    let host = registry.split(':').next().unwrap_or_default();
    host.ends_with(".svc") && registry != quay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_blob_of_an_image_once() {
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
    fn rejects_invalid_tags_and_references() {
        let check = |tag: &str, reference: &str| {
            let image = TagImage { reference: reference.into(), ..TagImage::default() };
            validate_copy(&StreamTag { name: tag.into(), ..StreamTag::default() }, &image)
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
    fn lists_tags_whose_latest_image_is_in_the_registry() {
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
