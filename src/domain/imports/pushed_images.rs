//! Images that builds pushed to Quay, and their import into image streams.

use std::collections::BTreeMap;

use super::tag_status::follows;
use crate::domain::builds::Destination;
use crate::domain::integration::Integration;
use crate::domain::snapshot::{Build, ImportNote, Phase, StreamTag};

/// The latest build that pushed to Quay, by image stream tag of the namespace. The tag is derived
/// from the pushed image, since annotations can be forged.
pub fn latest_builds<'a>(
    integration: &Integration,
    namespace: &str,
    builds: impl IntoIterator<Item = &'a Build>,
) -> BTreeMap<Destination, &'a Build> {
    let mut newest: BTreeMap<Destination, &Build> = BTreeMap::new();
    for build in builds.into_iter().filter(|build| build.phase == Phase::Complete) {
        let image = build.spec.output.to.as_ref().filter(|to| to.kind == "DockerImage");
        let to = image.and_then(|to| Destination::from_image(&to.name, integration));
        let Some(to) = to.filter(|to| to.namespace == namespace) else { continue };
        match newest.get(&to) {
            Some(known) if known.completed >= build.completed => {}
            _ => drop(newest.insert(to, build)),
        }
    }
    newest
}

/// The decision about the image that a build pushed to Quay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DueImport {
    /// The tag has an older image, or none.
    Import,
    /// The tag has this image or a newer one, from a later build or from a user.
    Nothing,
    /// The tag is not changed, for this reason.
    Skipped(String),
}

/// Decides about the import of `image`, which a build pushed to Quay. Only the current tag counts,
/// since the caller might have missed any number of imports, pushes and rollbacks.
pub fn due_import(tag: Option<&StreamTag>, build: &Build, image: &str) -> DueImport {
    let Some(tag) = tag else {
        return match build.import_note {
            // Either the import request was lost, or a user deleted the tag since.
            ImportNote::Begun => {
                DueImport::Skipped("the tag is missing since its import started".to_owned())
            }
            ImportNote::Nothing | ImportNote::Left => DueImport::Import,
        };
    };
    let other = tag.from.as_ref().filter(|_| !follows(tag, image));
    match (other, &tag.image) {
        (None, _) if tag.reference => DueImport::Nothing,
        // Pods pull the referenced image, whatever images the tag had before.
        (Some(other), _) if tag.reference => DueImport::Skipped(format!("it follows {other}")),
        (None, None) => DueImport::Import,
        (_, Some(has)) if build.digest.as_ref() == Some(&has.digest) => DueImport::Nothing,
        // Its source was changed after it got that image; the time of that change is not recorded.
        (Some(other), Some(has)) if has.generation < tag.generation => {
            DueImport::Skipped(format!("it follows {other}"))
        }
        (_, Some(has)) => match (has.created, build.completed) {
            // A build ends after its push, so an image of the same second is newer.
            (Some(came), Some(completed)) if came >= completed.as_second() => DueImport::Nothing,
            (Some(_), Some(_)) => DueImport::Import,
            _ => DueImport::Skipped("cannot determine whether its image is older".to_owned()),
        },
        (Some(other), None) => DueImport::Skipped(format!("it follows {other}")),
    }
}

/// Whether `image` or a newer one was imported after a build pushed it. `None` if the build has no
/// digest or completion time.
pub fn is_imported(tag: Option<&StreamTag>, build: &Build, image: &str) -> Option<bool> {
    let is_known = build.digest.is_some() && build.completed.is_some();
    is_known.then(|| due_import(tag, build, image) == DueImport::Nothing)
}

#[cfg(test)]
mod tests {
    use super::super::tag_status::tests::{IMAGE, pushed_over, stream_tag};
    use super::*;

    #[test]
    fn decides_import_by_the_tag() {
        let at = |second| jiff::Timestamp::from_second(second).ok();
        let build = |second| Build {
            digest: Some("sha256:1".into()),
            completed: at(second),
            ..Build::default()
        };
        let begun = |second| Build { import_note: ImportNote::Begun, ..build(second) };
        // The image of a tag was created at second 100.
        let quay = |digest| Some(stream_tag("latest", Some(IMAGE), digest));
        let own = |digest| Some(stream_tag("latest", None, digest));
        let other = |digest| Some(stream_tag("latest", Some("docker.io/app:1"), digest));
        let reference =
            |tag: Option<StreamTag>| tag.map(|tag| StreamTag { reference: true, ..tag });
        let follows_since = other(Some("sha256:0")).map(|tag| StreamTag { generation: 1, ..tag });
        let skipped = |why: &str| DueImport::Skipped(why.into());
        let unknown = skipped("cannot determine whether its image is older");
        let table = [
            ("nothing is there", None, build(101), DueImport::Import),
            (
                "it was there, or never came",
                None,
                begun(101),
                skipped("the tag is missing since its import started"),
            ),
            ("it came", quay(Some("sha256:1")), begun(101), DueImport::Nothing),
            (
                "an import was begun, and an earlier one is there",
                quay(Some("sha256:0")),
                begun(101),
                DueImport::Import,
            ),
            ("it follows Quay without an image", quay(None), build(99), DueImport::Import),
            ("nothing was pushed to it", own(None), build(99), DueImport::Import),
            (
                "it follows another registry",
                other(None),
                build(101),
                skipped("it follows docker.io/app:1"),
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
                "it follows another registry since it got its image",
                follows_since,
                build(101),
                skipped("it follows docker.io/app:1"),
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
                skipped("it follows docker.io/app:1"),
            ),
            (
                "it points elsewhere since",
                reference(other(Some("sha256:0"))),
                build(101),
                skipped("it follows docker.io/app:1"),
            ),
            (
                "when it ended is not known",
                own(Some("sha256:0")),
                Build { completed: None, ..build(0) },
                unknown,
            ),
        ];
        for (case, tag, build, expected) in table {
            assert_eq!(due_import(tag.as_ref(), &build, IMAGE), expected, "{case}");
            let imported = build.completed.map(|_| expected == DueImport::Nothing);
            assert_eq!(is_imported(tag.as_ref(), &build, IMAGE), imported, "{case}");
        }
        assert_eq!(is_imported(None, &Build { digest: None, ..build(50) }, IMAGE), None);
        assert_eq!(
            due_import(
                own(Some("sha256:0")).as_ref(),
                &Build { digest: None, ..build(101) },
                IMAGE
            ),
            DueImport::Import
        );
    }
}
