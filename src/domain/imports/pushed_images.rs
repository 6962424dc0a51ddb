//! What builds pushed to Quay, and whether it came into the image streams.

use std::collections::BTreeMap;

use super::tag_status::follows;
use crate::domain::builds::Destination;
use crate::domain::integration::Integration;
use crate::domain::snapshot::{Build, ImportNote, Phase, StreamTag};

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

/// What is to be done about the image that a build pushed to Quay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DueImport {
    /// Its tag has an older image, or none: it is to be imported.
    Import,
    /// It is in its tag, or something newer is: a later build's image, or a person's choice.
    Nothing,
    /// It cannot be told whether it is to be imported, so the tag stays as it is, for this reason.
    Left(String),
}

/// What is to be done about the image that a build pushed to Quay, under the name `image`, by the tag alone that it is for:
/// whoever decides may have missed any number of imports, pushes and rollbacks.
pub fn due(tag: Option<&StreamTag>, build: &Build, image: &str) -> DueImport {
    let Some(tag) = tag else {
        return match build.import_note {
            // Either the request for it was lost, or a person deleted the tag since.
            ImportNote::Begun => {
                DueImport::Left("the tag is missing since its import was begun".to_owned())
            }
            ImportNote::Nothing | ImportNote::Left => DueImport::Import,
        };
    };
    let other = tag.from.as_ref().filter(|_| !follows(tag, image));
    match (other, &tag.image) {
        (None, _) if tag.reference => DueImport::Nothing,
        // Pods pull that, whatever images the tag once had.
        (Some(other), _) if tag.reference => DueImport::Left(format!("it follows {other}")),
        (None, None) => DueImport::Import,
        (_, Some(has)) if build.digest.as_ref() == Some(&has.digest) => DueImport::Nothing,
        // It was told so after it got that image. Since when is written nowhere.
        (Some(other), Some(has)) if has.generation < tag.generation => {
            DueImport::Left(format!("it follows {other}"))
        }
        (_, Some(has)) => match (has.created, build.completed) {
            // A build ends after its push, so an image of that very second is the newer one.
            (Some(came), Some(completed)) if came >= completed.as_second() => DueImport::Nothing,
            (Some(_), Some(_)) => DueImport::Import,
            _ => DueImport::Left("whether its image is the older one is not known".to_owned()),
        },
        (Some(other), None) => DueImport::Left(format!("it follows {other}")),
    }
}

/// Whether what a build pushed to Quay, under the name `image`, came into its tag, or something newer did. None where the
/// build does not say enough.
pub fn is_imported(tag: Option<&StreamTag>, build: &Build, image: &str) -> Option<bool> {
    let says_enough = build.digest.is_some() && build.completed.is_some();
    says_enough.then(|| due(tag, build, image) == DueImport::Nothing)
}

#[cfg(test)]
mod tests {
    use super::super::tag_status::tests::{IMAGE, pushed_over, stream_tag};
    use super::*;

    #[test]
    fn the_tag_alone_tells_what_is_to_be_done_about_a_build() {
        let at = |second| jiff::Timestamp::from_second(second).ok();
        let build = |second| Build {
            digest: Some("sha256:1".into()),
            completed: at(second),
            ..Build::default()
        };
        let begun = |second| Build { import_note: ImportNote::Begun, ..build(second) };
        // A tag with an image has had it since 100.
        let quay = |digest| Some(stream_tag("latest", Some(IMAGE), digest));
        let own = |digest| Some(stream_tag("latest", None, digest));
        let other = |digest| Some(stream_tag("latest", Some("docker.io/app:1"), digest));
        let reference =
            |tag: Option<StreamTag>| tag.map(|tag| StreamTag { reference: true, ..tag });
        let told_since = other(Some("sha256:0")).map(|tag| StreamTag { generation: 1, ..tag });
        let left = |why: &str| DueImport::Left(why.into());
        let unknown = left("whether its image is the older one is not known");
        let table = [
            ("nothing is there", None, build(101), DueImport::Import),
            (
                "it was there, or never came",
                None,
                begun(101),
                left("the tag is missing since its import was begun"),
            ),
            ("it came", quay(Some("sha256:1")), begun(101), DueImport::Nothing),
            (
                "an import was begun, and an earlier one is there",
                quay(Some("sha256:0")),
                begun(101),
                DueImport::Import,
            ),
            ("it was told to follow Quay", quay(None), build(99), DueImport::Import),
            ("nothing was pushed to it", own(None), build(99), DueImport::Import),
            (
                "it was told to follow something else",
                other(None),
                build(101),
                left("it follows docker.io/app:1"),
            ),
            (
                "it was imported, here or elsewhere",
                quay(Some("sha256:1")),
                build(101),
                DueImport::Nothing,
            ),
            (
                "it was imported by another name",
                other(Some("sha256:1")),
                build(101),
                DueImport::Nothing,
            ),
            ("a later one was imported", quay(Some("sha256:2")), build(99), DueImport::Nothing),
            ("an earlier one was imported", quay(Some("sha256:0")), build(101), DueImport::Import),
            ("it was rolled back since", other(Some("sha256:0")), build(99), DueImport::Nothing),
            ("it was rolled back before", other(Some("sha256:0")), build(101), DueImport::Import),
            (
                "it was told to follow something else since it had one",
                told_since,
                build(101),
                left("it follows docker.io/app:1"),
            ),
            ("it was pushed to since", own(Some("sha256:0")), build(100), DueImport::Nothing),
            ("it was pushed to before", own(Some("sha256:0")), build(101), DueImport::Import),
            (
                "it was pushed over since",
                quay(None).map(|tag| pushed_over(tag, "sha256:0")),
                build(99),
                DueImport::Nothing,
            ),
            (
                "it was pushed over before",
                quay(None).map(|tag| pushed_over(tag, "sha256:0")),
                build(101),
                DueImport::Import,
            ),
            ("it points at Quay", reference(quay(None)), build(101), DueImport::Nothing),
            (
                "it points at Quay since",
                reference(quay(Some("sha256:0"))),
                build(101),
                DueImport::Nothing,
            ),
            (
                "it points elsewhere",
                reference(other(None)),
                build(101),
                left("it follows docker.io/app:1"),
            ),
            (
                "it points elsewhere since",
                reference(other(Some("sha256:0"))),
                build(101),
                left("it follows docker.io/app:1"),
            ),
            (
                "when it ended is not known",
                own(Some("sha256:0")),
                Build { completed: None, ..build(0) },
                unknown,
            ),
        ];
        for (what, tag, build, expected) in table {
            assert_eq!(due(tag.as_ref(), &build, IMAGE), expected, "{what}");
            let come = build.completed.map(|_| expected == DueImport::Nothing);
            assert_eq!(is_imported(tag.as_ref(), &build, IMAGE), come, "{what}");
        }
        assert_eq!(is_imported(None, &Build { digest: None, ..build(50) }, IMAGE), None);
        assert_eq!(
            due(own(Some("sha256:0")).as_ref(), &Build { digest: None, ..build(101) }, IMAGE),
            DueImport::Import
        );
    }
}
