//! How a tag of an image stream stands to the tag of the same name in Quay.

use std::collections::BTreeSet;

use crate::domain::builds::Destination;
use crate::domain::integration::Integration;
use crate::domain::snapshot::{ImageStream, Organization, RepositoryTag, StreamTag, TagImage};

/// How a tag of an image stream stands to the tag of the same name in Quay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagStatus {
    /// It does not follow the tag in Quay, and nothing is lost when it does: there is no such tag, or it has the same
    /// image in OpenShift's own registry.
    Absent,
    /// It follows the tag in Quay and has its image, or only points at the tag, so that pods pull what Quay has.
    Current,
    /// It follows the tag in Quay and has another image, or none yet.
    Stale,
    /// Something else decides which image it has: what, in words.
    Elsewhere(String),
    /// It has another image, which was pushed to OpenShift's own registry: it follows nothing, or the tag in Quay, which
    /// such a push leaves as it is. Quay's clock is not the cluster's, so which of the two is newer is not told by the time.
    Pushed,
}

/// How `tag`, if there is one, stands to what Quay has `now`. `image` is the name under which Quay serves it.
pub fn standing(tag: Option<&StreamTag>, image: &str, now: &RepositoryTag) -> TagStatus {
    let Some(tag) = tag else { return TagStatus::Absent };
    match (&tag.from, &tag.image) {
        (Some(_), has) if follows(tag, image) => match has {
            _ if tag.reference => TagStatus::Current,
            Some(has) if has.digest == now.digest => TagStatus::Current,
            Some(_) if tag.pushed_over().is_some() => TagStatus::Pushed,
            Some(has) if is_of_list(has, now) => TagStatus::Current,
            _ => TagStatus::Stale,
        },
        (Some(from), _) => TagStatus::Elsewhere(format!("it follows {from}")),
        (None, Some(has)) if has.digest != now.digest => TagStatus::Pushed,
        (None, _) => TagStatus::Absent,
    }
}

/// Whether a tag follows an image of a registry, which `latest` need not be written behind.
pub fn follows(tag: &StreamTag, image: &str) -> bool {
    tag.follows().is_some_and(|followed| {
        followed == image || image.strip_suffix(":latest") == Some(followed)
    })
}

/// The tags that follow the namespace's organization in Quay, each with its image stream and what it follows there.
pub fn followed<'a>(
    integration: &'a Integration,
    namespace: &'a str,
    streams: &'a [ImageStream],
) -> impl Iterator<Item = (&'a ImageStream, &'a StreamTag, Destination)> {
    let tags = streams.iter().flat_map(|stream| stream.tags.iter().map(move |tag| (stream, tag)));
    tags.filter_map(move |(stream, tag)| {
        let source = Destination::of_image(tag.follows()?, integration)?;
        (source.namespace == namespace).then_some((stream, tag, source))
    })
}

/// The repositories that tags follow and that Quay has.
pub fn followed_repositories(
    integration: &Integration,
    namespace: &str,
    streams: &[ImageStream],
    organization: &Organization,
) -> BTreeSet<String> {
    let Some(pushed) = &organization.pushed else { return BTreeSet::new() };
    let sources = followed(integration, namespace, streams).map(|(_, _, source)| source.stream);
    sources.filter(|repository| pushed.contains_key(repository)).collect()
}

/// Those of them whose tags have to be read to tell whether the tags that follow are current: somebody pushed to them
/// since. That costs one request to Quay each. What only points at Quay is current whatever Quay has.
pub fn pushed_since(
    integration: &Integration,
    namespace: &str,
    streams: &[ImageStream],
    organization: &Organization,
) -> BTreeSet<String> {
    let Some(pushed) = &organization.pushed else { return BTreeSet::new() };
    followed(integration, namespace, streams)
        .filter(|(_, tag, source)| {
            let came = tag.image.as_ref().and_then(|image| image.created);
            // Without any tag there is nothing that the image stream could have.
            !tag.reference
                && pushed
                    .get(&source.stream)
                    .is_some_and(|pushed| pushed.is_none() || *pushed >= came)
        })
        .map(|(_, _, source)| source.stream)
        .collect()
}

/// Of a list of images OpenShift has the one for its platform, with a digest of its own. There only the time tells: what
/// came after the list was pushed was taken out of it.
fn is_of_list(has: &TagImage, now: &RepositoryTag) -> bool {
    now.is_list && has.created.is_some_and(|created| created >= now.pushed)
}

#[cfg(test)]
pub(in crate::domain) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::builds::integration;
    use crate::domain::snapshot::TagSource;

    pub(in crate::domain) const IMAGE: &str = "quay.example.com/openshift_shop/app:latest";

    /// A tag that follows an image and has one from there, or follows nothing and has one that was pushed.
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

    /// The same after a push to OpenShift's own registry.
    pub(in crate::domain) fn pushed_over(tag: StreamTag, digest: &str) -> StreamTag {
        StreamTag { image: stream_tag("", None, Some(digest)).image, ..tag }
    }

    pub(in crate::domain) fn in_quay(name: &str, digest: &str) -> RepositoryTag {
        RepositoryTag { name: name.into(), digest: digest.into(), is_list: false, pushed: 200 }
    }

    #[test]
    fn a_tag_is_current_when_it_follows_quay_and_has_its_image() {
        let standing = |from, digest| {
            standing(
                Some(&stream_tag("latest", from, digest)),
                IMAGE,
                &in_quay("latest", "sha256:2"),
            )
        };
        assert_eq!(standing(Some(IMAGE), Some("sha256:2")), TagStatus::Current);
        assert_eq!(
            standing(Some("quay.example.com/openshift_shop/app"), Some("sha256:2")),
            TagStatus::Current
        );
        assert_eq!(standing(Some(IMAGE), Some("sha256:1")), TagStatus::Stale);
        assert_eq!(standing(Some(IMAGE), None), TagStatus::Stale);
    }

    #[test]
    fn what_something_else_decides_over_is_told_apart_from_what_is_not_there() {
        let now = in_quay("latest", "sha256:2");
        let of = |from, digest| standing(Some(&stream_tag("latest", from, digest)), IMAGE, &now);
        assert_eq!(standing(None, IMAGE, &now), TagStatus::Absent);
        assert_eq!(
            of(None, Some("sha256:2")),
            TagStatus::Absent,
            "it was copied from OpenShift's own registry"
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
            standing(Some(&tagged), IMAGE, &now),
            TagStatus::Elsewhere("it follows ImageStreamTag base:1".into())
        );
    }

    #[test]
    fn only_repositories_that_were_pushed_to_since_are_looked_into() {
        let integration = integration();
        let image = |name: &str| Destination::new("shop", name).image(&integration);
        let stream =
            |name: &str, tags| ImageStream { name: name.into(), tags, ..ImageStream::default() };
        let streams = [
            stream("app", vec![stream_tag("1", Some(&image("app:1")), Some("sha256:1"))]),
            stream("new", vec![stream_tag("1", Some(&image("new:1")), None)]),
            stream("web", vec![stream_tag("1", Some("docker.io/web:1"), Some("sha256:1"))]),
        ];
        let looked_into = |app: Option<i64>| {
            let pushed = [("app", app), ("new", Some(1)), ("web", Some(900))];
            let pushed = Some(pushed.map(|(name, pushed)| (name.to_owned(), pushed)).into());
            let organization = Organization { pushed, ..Organization::empty() };
            pushed_since(&integration, "shop", &streams, &organization)
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(looked_into(Some(99)), ["new"], "app came at 100");
        assert_eq!(looked_into(Some(100)), ["app", "new"]);
        assert_eq!(looked_into(None), ["app", "new"]);
        assert!(
            pushed_since(&integration, "shop", &streams, &Organization::empty()).is_empty(),
            "nobody knows"
        );
    }

    #[test]
    fn of_a_list_of_images_the_time_tells() {
        let tag = stream_tag("latest", Some(IMAGE), Some("sha256:of-a-platform"));
        let list =
            |pushed| RepositoryTag { is_list: true, pushed, ..in_quay("latest", "sha256:list") };
        assert_eq!(standing(Some(&tag), IMAGE, &list(99)), TagStatus::Current);
        assert_eq!(standing(Some(&tag), IMAGE, &list(101)), TagStatus::Stale);
        assert_eq!(
            standing(
                Some(&stream_tag("latest", Some(IMAGE), Some("sha256:list"))),
                IMAGE,
                &list(101)
            ),
            TagStatus::Current
        );
    }

    #[test]
    fn a_push_into_the_cluster_is_not_taken_back() {
        let follower = || stream_tag("latest", Some(IMAGE), Some("sha256:1"));
        let standing = |tag: &StreamTag, pushed, is_list| {
            standing(
                Some(tag),
                IMAGE,
                &RepositoryTag { pushed, is_list, ..in_quay("latest", "sha256:2") },
            )
        };
        let pushed = pushed_over(follower(), "sha256:3");
        // Its image came at 100, by the cluster's clock.
        for (at, is_list) in [(99, false), (101, false), (99, true), (101, true)] {
            assert_eq!(standing(&pushed, at, is_list), TagStatus::Pushed, "{at} {is_list}");
        }
        assert_eq!(
            standing(&pushed_over(follower(), "sha256:2"), 99, false),
            TagStatus::Current,
            "it is the same image"
        );
        // Somebody told it to follow Quay after that push, and OpenShift has not come to it.
        let mut told = StreamTag { generation: 4, ..pushed };
        told.image.as_mut().unwrap().generation = 3;
        assert_eq!(standing(&told, 99, false), TagStatus::Stale);
    }

    #[test]
    fn a_tag_that_only_points_at_quay_is_current() {
        let now = in_quay("latest", "sha256:2");
        let reference = |from, digest| StreamTag {
            reference: true,
            ..stream_tag("latest", Some(from), digest)
        };
        for digest in [None, Some("sha256:1")] {
            assert_eq!(standing(Some(&reference(IMAGE, digest)), IMAGE, &now), TagStatus::Current);
        }
        assert!(matches!(
            standing(Some(&reference("docker.io/app:1", None)), IMAGE, &now),
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
            "it costs Quay no request"
        );
    }
}
