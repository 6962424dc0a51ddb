//! Imports: do the tags that follow Quay have its images, and did builds' images come into their image streams.

use super::{Check, Subject, count};
use crate::bridge::builds::Destination;
use crate::bridge::finding::{Code, Finding};
use crate::bridge::imports::{Standing, built, followed, has_come, standing};
use crate::bridge::snapshot::{Build, ImageStream, StreamTag};

const TITLE: &str = "Imports";
const KIND: &str = "ImageStreamTag";

/// None where nothing follows Quay and no build pushed there.
pub(super) fn check(subject: &Subject) -> Option<Check> {
    let streams = subject.snapshot.image_streams.as_ref().ok()?;
    let following: Vec<_> = followed(subject.integration, &subject.snapshot.name, streams).collect();
    let built = built(subject.integration, &subject.snapshot.name, subject.snapshot.builds.iter().flatten());
    if following.is_empty() && built.is_empty() {
        return None;
    }
    let mut findings: Vec<_> = built.iter().filter_map(|(to, build)| not_imported(subject, streams, to, build)).collect();
    for (stream, tag, source) in &following {
        let name = format!("{}:{}", stream.name, tag.name);
        if findings.iter().all(|finding| finding.object.name != name) {
            findings.extend(behind(subject, &name, tag, source));
        }
    }
    let fact = match following.len() {
        1 => "1 tag follows Quay".to_owned(),
        several => format!("{} follow Quay", count(several, "tag")),
    };
    Some(Check::new(TITLE, fact, findings))
}

/// An import that failed is told already.
fn not_imported(subject: &Subject, streams: &[ImageStream], to: &Destination, build: &Build) -> Option<Finding> {
    let tag = streams.iter().find(|stream| stream.name == to.stream).and_then(|stream| stream.tag(&to.tag));
    if tag.is_some_and(|tag| tag.failure.is_some()) || has_come(tag, build)? {
        return None;
    }
    let digest = short(build.digest.as_deref()?);
    let message = format!("Build {} pushed {digest} to Quay, and {} does not have it", build.name, to.name());
    let mut finding = subject.finding(Code::TagNotImported, subject.object(KIND, &to.name()), message);
    // By name it is imported whatever the tag followed so far, and whoever may not read builds or has no token.
    finding.hint = Some(format!("oc quay import {} -n {}", to.name(), to.namespace));
    Some(finding)
}

fn behind(subject: &Subject, name: &str, tag: &StreamTag, source: &Destination) -> Option<Finding> {
    let full_name = format!("{}/{}", subject.desired.organization, source.stream);
    let tags = match subject.snapshot.organization()?.tags.get(&source.stream)? {
        Ok(tags) => tags,
        Err(unread) => {
            let message = format!("Could not {}: {}", unread.call, unread.reason);
            return Some(subject.finding(Code::CouldNotRead, subject.remote("Repository", &full_name), message));
        }
    };
    let object = subject.object(KIND, name);
    let Some(now) = tags.iter().find(|now| now.name == source.tag) else {
        let message = format!("{name} follows {full_name}:{}, which Quay does not have any more", source.tag);
        return Some(subject.finding(Code::TagGone, object, message));
    };
    if tag.failure.is_some() || standing(Some(tag), &source.image(subject.integration), now) != Standing::Stale {
        return None;
    }
    let message = match &tag.image {
        Some(image) => format!("{name} has {}, and Quay has {}", short(&image.digest), short(&now.digest)),
        None => format!("{name} has no image yet, and Quay has {}", short(&now.digest)),
    };
    Some(subject.finding(Code::TagBehindQuay, object, message))
}

/// As much of a digest as tells it from others.
fn short(digest: &str) -> &str {
    const SHOWN: usize = "sha256:".len() + 12;
    digest.get(..SHOWN).unwrap_or(digest)
}
