//! Comparison of image stream tags with tags in Quay.

use std::collections::BTreeSet;

use crate::domain::builds::Destination;
use crate::domain::integration::Integration;
use crate::domain::snapshot::{ImageStream, Organization, RepositoryTag, StreamTag, TagImage};

/// The state of an image stream tag relative to the tag of the same name in Quay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagStatus {
    /// It can follow the tag in Quay without losing an image: it does not exist, or has the same
    /// image in the internal registry.
    Absent,
    /// It follows the tag in Quay and has its image, or is a reference to it.
    Current,
    /// It follows the tag in Quay and has another image, or none yet.
    Stale,
    /// It follows another source, which this text describes.
    Elsewhere(String),
    /// It has another image, which was pushed to the internal registry. It follows nothing or the
    /// tag in Quay. The clocks of Quay and the cluster differ, so the times do not show which image
    /// is newer.
    Pushed,
}

/// Compares `tag` with the tag that Quay has `now`. `image` is its name in Quay.
pub fn tag_status(tag: Option<&StreamTag>, image: &str, now: &RepositoryTag) -> TagStatus {
    let Some(tag) = tag else { return TagStatus::Absent };
    match (&tag.from, &tag.image) {
        (Some(_), current) if follows(tag, image) => match current {
            _ if tag.reference => TagStatus::Current,
            Some(current) if current.digest == now.digest => TagStatus::Current,
            Some(_) if tag.pushed_over().is_some() => TagStatus::Pushed,
            Some(current) if is_from_list(current, now) => TagStatus::Current,
            _ => TagStatus::Stale,
        },
        (Some(from), _) => TagStatus::Elsewhere(format!("it follows {from}")),
        (None, Some(current)) if current.digest != now.digest => TagStatus::Pushed,
        (None, _) => TagStatus::Absent,
    }
}

/// Whether a tag follows an image; the tag `latest` can be omitted.
pub fn follows(tag: &StreamTag, image: &str) -> bool {
    tag.follows()
        .is_some_and(|source| source == image || image.strip_suffix(":latest") == Some(source))
}

/// The tags that follow the namespace's organization in Quay, with their image streams and sources.
pub fn followed_tags<'a>(
    integration: &'a Integration,
    namespace: &'a str,
    streams: &'a [ImageStream],
) -> impl Iterator<Item = (&'a ImageStream, &'a StreamTag, Destination)> {
    let tags = streams.iter().flat_map(|stream| stream.tags.iter().map(move |tag| (stream, tag)));
    tags.filter_map(move |(stream, tag)| {
        let source = Destination::from_image(tag.follows()?, integration)?;
        (source.namespace == namespace).then_some((stream, tag, source))
    })
}

/// The repositories that tags follow and that exist in Quay.
pub fn followed_repositories(
    integration: &Integration,
    namespace: &str,
    streams: &[ImageStream],
    organization: &Organization,
) -> BTreeSet<String> {
    let Some(pushed) = &organization.pushed else { return BTreeSet::new() };
    let sources =
        followed_tags(integration, namespace, streams).map(|(_, _, source)| source.stream);
    sources.filter(|repository| pushed.contains_key(repository)).collect()
}

/// The [`followed_repositories`] with pushes since the last import, whose tags must be read, with
/// one request to Quay each. References are always current.
pub fn pushed_since(
    integration: &Integration,
    namespace: &str,
    streams: &[ImageStream],
    organization: &Organization,
) -> BTreeSet<String> {
    let Some(pushed) = &organization.pushed else { return BTreeSet::new() };
    followed_tags(integration, namespace, streams)
        .filter(|(_, tag, source)| {
            let came = tag.image.as_ref().and_then(|image| image.created);
            // A tag without an image is always compared.
            !tag.reference
                && pushed
                    .get(&source.stream)
                    .is_some_and(|pushed| pushed.is_none() || *pushed >= came)
        })
        .map(|(_, _, source)| source.stream)
        .collect()
}

/// Whether an image was imported from a manifest list. OpenShift imports the image of its platform,
/// whose digest differs from the list's, so only the time shows that.
fn is_from_list(current: &TagImage, now: &RepositoryTag) -> bool {
    now.is_list && current.created.is_some_and(|created| created >= now.pushed)
}

#[cfg(test)]
pub(in crate::domain) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::builds::integration;
    use crate::domain::snapshot::TagSource;

    pub(in crate::domain) const IMAGE: &str = "quay.example.com/openshift_shop/app:latest";

    /// A tag that follows an image and has one from there, or follows nothing and has one that was
    /// pushed.
    pub(in crate::domain) fn stream_tag(
        name: &str,
        follows: Option<&str>,
        digest: Option<&str>,
    ) -> StreamTag {
        let source = |name: &str| TagSource { kind: "DockerImage".into(), name: name.into() };
        let registry = "image-registry.openshift-image-registry.svc:5000/shop/app";
        let reference = |digest: &str| format!("{}@{digest}", follows.unwrap_or(registry));
        let image = |digest: &str| TagImage {
            digest: digest.into(),
            reference: reference(digest),
            created: Some(100),
            ..TagImage::default()
        };
        StreamTag {
            name: name.into(),
            from: follows.map(source),
            image: digest.map(image),
            ..StreamTag::default()
        }
    }

    /// A tag after a push to the internal registry.
    pub(in crate::domain) fn pushed_over(tag: StreamTag, digest: &str) -> StreamTag {
        StreamTag { image: stream_tag("", None, Some(digest)).image, ..tag }
    }

    pub(in crate::domain) fn in_quay(name: &str, digest: &str) -> RepositoryTag {
        RepositoryTag { name: name.into(), digest: digest.into(), is_list: false, pushed: 200 }
    }

    #[test]
    fn tag_is_current_if_it_has_the_image_in_quay() {
        let tag_status = |from, digest| {
            tag_status(
                Some(&stream_tag("latest", from, digest)),
                IMAGE,
                &in_quay("latest", "sha256:2"),
            )
        };
        assert_eq!(tag_status(Some(IMAGE), Some("sha256:2")), TagStatus::Current);
        assert_eq!(
            tag_status(Some("quay.example.com/openshift_shop/app"), Some("sha256:2")),
            TagStatus::Current
        );
        assert_eq!(tag_status(Some(IMAGE), Some("sha256:1")), TagStatus::Stale);
        assert_eq!(tag_status(Some(IMAGE), None), TagStatus::Stale);
    }

    #[test]
    fn distinguishes_foreign_tags_from_absent_ones() {
        let now = in_quay("latest", "sha256:2");
        let of = |from, digest| tag_status(Some(&stream_tag("latest", from, digest)), IMAGE, &now);
        assert_eq!(tag_status(None, IMAGE, &now), TagStatus::Absent);
        assert_eq!(
            of(None, Some("sha256:2")),
            TagStatus::Absent,
            "it was copied from the internal registry"
        );
        assert_eq!(of(None, None), TagStatus::Absent);
        for from in [
            "docker.io/library/app:1",
            "quay.example.com/openshift_shop/app:other",
            "quay.example.com/other/app",
        ] {
            assert_eq!(
                of(Some(from), Some("sha256:2")),
                TagStatus::Elsewhere(format!("it follows {from}"))
            );
        }
        assert_eq!(of(None, Some("sha256:1")), TagStatus::Pushed, "a push would be undone");
        let from = Some(TagSource { kind: "ImageStreamTag".into(), name: "base:1".into() });
        let tagged = StreamTag { from, ..StreamTag::default() };
        assert_eq!(
            tag_status(Some(&tagged), IMAGE, &now),
            TagStatus::Elsewhere("it follows ImageStreamTag base:1".into())
        );
    }

    #[test]
    fn reads_only_repositories_pushed_since_the_import() {
        let integration = integration();
        let image = |name: &str| Destination::new("shop", name).image(&integration);
        let stream =
            |name: &str, tags| ImageStream { name: name.into(), tags, ..ImageStream::default() };
        let streams = [
            stream("app", vec![stream_tag("1", Some(&image("app:1")), Some("sha256:1"))]),
            stream("new", vec![stream_tag("1", Some(&image("new:1")), None)]),
            stream("web", vec![stream_tag("1", Some("docker.io/web:1"), Some("sha256:1"))]),
        ];
        let to_read = |app: Option<i64>| {
            let pushed = [("app", app), ("new", Some(1)), ("web", Some(900))];
            let pushed = Some(pushed.map(|(name, pushed)| (name.to_owned(), pushed)).into());
            let organization = Organization { pushed, ..Organization::empty() };
            pushed_since(&integration, "shop", &streams, &organization)
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(to_read(Some(99)), ["new"], "app came at 100");
        assert_eq!(to_read(Some(100)), ["app", "new"]);
        assert_eq!(to_read(None), ["app", "new"]);
        assert!(
            pushed_since(&integration, "shop", &streams, &Organization::empty()).is_empty(),
            "the times of pushes are unknown"
        );
    }

    #[test]
    fn compares_manifest_lists_by_time() {
        let tag = stream_tag("latest", Some(IMAGE), Some("sha256:of-a-platform"));
        let list =
            |pushed| RepositoryTag { is_list: true, pushed, ..in_quay("latest", "sha256:list") };
        assert_eq!(tag_status(Some(&tag), IMAGE, &list(99)), TagStatus::Current);
        assert_eq!(tag_status(Some(&tag), IMAGE, &list(101)), TagStatus::Stale);
        assert_eq!(
            tag_status(
                Some(&stream_tag("latest", Some(IMAGE), Some("sha256:list"))),
                IMAGE,
                &list(101)
            ),
            TagStatus::Current
        );
    }

    #[test]
    fn keeps_image_pushed_to_the_internal_registry() {
        let follower = || stream_tag("latest", Some(IMAGE), Some("sha256:1"));
        let tag_status = |tag: &StreamTag, pushed, is_list| {
            tag_status(
                Some(tag),
                IMAGE,
                &RepositoryTag { pushed, is_list, ..in_quay("latest", "sha256:2") },
            )
        };
        let pushed = pushed_over(follower(), "sha256:3");
        // Its image came at 100, by the cluster's clock.
        for (at, is_list) in [(99, false), (101, false), (99, true), (101, true)] {
            assert_eq!(tag_status(&pushed, at, is_list), TagStatus::Pushed, "{at} {is_list}");
        }
        assert_eq!(
            tag_status(&pushed_over(follower(), "sha256:2"), 99, false),
            TagStatus::Current,
            "it is the same image"
        );
        // Its source was set to Quay after that push, and OpenShift has not imported it yet.
        let mut pending = StreamTag { generation: 4, ..pushed };
        pending.image.as_mut().unwrap().generation = 3;
        assert_eq!(tag_status(&pending, 99, false), TagStatus::Stale);
    }

    #[test]
    fn reference_tag_is_always_current() {
        let now = in_quay("latest", "sha256:2");
        let reference = |from, digest| StreamTag {
            reference: true,
            ..stream_tag("latest", Some(from), digest)
        };
        for digest in [None, Some("sha256:1")] {
            assert_eq!(
                tag_status(Some(&reference(IMAGE, digest)), IMAGE, &now),
                TagStatus::Current
            );
        }
        assert!(matches!(
            tag_status(Some(&reference("docker.io/app:1", None)), IMAGE, &now),
            TagStatus::Elsewhere(_)
        ));
        let integration = integration();
        let image = Destination::new("shop", "app:1").image(&integration);
        let streams = [ImageStream {
            name: "app".into(),
            tags: vec![reference(&image, None)],
            ..ImageStream::default()
        }];
        let organization = Organization {
            pushed: Some([("app".to_owned(), Some(900))].into()),
            ..Organization::empty()
        };
        assert!(
            pushed_since(&integration, "shop", &streams, &organization).is_empty(),
            "it needs no request to Quay"
        );
    }
}
