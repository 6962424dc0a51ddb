//! What builds pushed to Quay, and whether it came into the image streams.

use std::collections::BTreeMap;

use crate::bridge::builds::Destination;
use crate::bridge::integration::Integration;
use crate::bridge::snapshot::{Build, Phase, StreamTag};

/// The newest build that pushed to Quay for each tag of an image stream of a namespace. The image it pushed says which,
/// whatever its annotations claim.
pub fn built<'a>(
    integration: &Integration,
    namespace: &str,
    builds: impl IntoIterator<Item = &'a Build>,
) -> BTreeMap<Destination, &'a Build> {
    let mut newest: BTreeMap<Destination, &Build> = BTreeMap::new();
    for build in builds.into_iter().filter(|build| build.phase == Phase::Complete) {
        let image = build.spec.output.to.as_ref().filter(|to| to.kind == "DockerImage");
        let to = image.and_then(|to| Destination::of_image(&to.name, integration));
        let Some(to) = to.filter(|to| to.namespace == namespace) else { continue };
        match newest.get(&to) {
            Some(known) if known.completed >= build.completed => {}
            _ => drop(newest.insert(to, build)),
        }
    }
    newest
}

/// Whether what a build pushed came into its tag, or something else did after the build ended, which is newer, or a person's
/// choice. None where the build does not say enough.
pub fn has_come(tag: Option<&StreamTag>, build: &Build) -> Option<bool> {
    let (digest, completed) = (build.digest.as_ref()?, build.completed?.as_second());
    let image = tag.and_then(|tag| tag.image.as_ref());
    Some(image.is_some_and(|image| image.digest == *digest || image.created >= Some(completed)))
}

#[cfg(test)]
mod tests {
    use super::super::standing::tests::stream_tag;
    use super::*;

    #[test]
    fn what_came_later_than_a_build_stands_for_it() {
        let at = |second| jiff::Timestamp::from_second(second).ok();
        let build = |second| Build { digest: Some("sha256:1".into()), completed: at(second), ..Build::default() };
        // This tag has had its image since 100.
        let tag = |digest| stream_tag("latest", None, digest);
        assert_eq!(has_come(None, &build(50)), Some(false));
        assert_eq!(has_come(Some(&tag(None)), &build(50)), Some(false));
        assert_eq!(has_come(Some(&tag(Some("sha256:1"))), &build(200)), Some(true));
        assert_eq!(has_come(Some(&tag(Some("sha256:0"))), &build(99)), Some(true), "it was rolled back");
        assert_eq!(has_come(Some(&tag(Some("sha256:0"))), &build(101)), Some(false));
        assert_eq!(has_come(None, &Build { digest: None, ..build(50) }), None);
    }
}
