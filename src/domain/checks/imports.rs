//! Checks that image stream tags which track Quay are up to date, and that built images were imported.

use super::{Assessed, Check, count};
use crate::domain::builds::Destination;
use crate::domain::finding::{Code, Finding};
use crate::domain::imports::{
    DueImport, TagStatus, due_import, followed_tags, latest_builds, tag_status,
};
use crate::domain::names;
use crate::domain::snapshot::{Build, ImageStream, Organization, StreamTag};

const TITLE: &str = "Imports";
const KIND: &str = "ImageStreamTag";

/// None if no tag tracks Quay and no build pushed there.
pub(super) fn check(subject: &Assessed) -> Option<Check> {
    let streams = subject.snapshot.image_streams.as_ref().ok()?;
    let following: Vec<_> =
        followed_tags(subject.integration, &subject.snapshot.name, streams).collect();
    let built = latest_builds(
        subject.integration,
        &subject.snapshot.name,
        subject.snapshot.builds.iter().flatten(),
    );
    if following.is_empty() && built.is_empty() {
        return None;
    }
    let mut findings: Vec<_> =
        built.iter().filter_map(|(to, build)| not_imported(subject, streams, to, build)).collect();
    for (stream, tag, source) in &following {
        let namespace = subject.snapshot.name.clone();
        let to = Destination { namespace, stream: stream.name.clone(), tag: tag.name.clone() };
        if findings.iter().all(|finding| finding.object.name != to.name()) {
            findings.extend(
                out_of_date(subject, &to, tag, source)
                    .or_else(|| pushed_over(subject, &to, tag, source)),
            );
        }
    }
    let fact = match following.len() {
        1 => "1 tag tracks Quay".to_owned(),
        several => format!("{} track Quay", count(several, "tag")),
    };
    Some(match uncompared(subject).filter(|_| !following.is_empty()) {
        Some(why) => {
            Check::new(TITLE, format!("{fact}, not compared: {why}"), findings).incomplete()
        }
        None => {
            let sources = following.iter().map(|(_, _, source)| source);
            let uncompared_tags = sources.filter(|source| !is_compared(subject, source)).count();
            Check { uncompared_tags, ..Check::new(TITLE, fact, findings) }
        }
    })
}

/// Whether the tags of the repository were read, or the repository does not exist.
fn is_compared(subject: &Assessed, source: &Destination) -> bool {
    let organization = subject.snapshot.organization();
    organization.is_some_and(|found| {
        found.tags.contains_key(&source.stream) || lacks_repository(found, source)
    })
}

fn lacks_repository(organization: &Organization, source: &Destination) -> bool {
    organization.pushed.as_ref().is_some_and(|pushed| !pushed.contains_key(&source.stream))
}

/// Why the tags that track Quay were not compared with its tags, if so.
fn uncompared(subject: &Assessed) -> Option<&'static str> {
    match &subject.snapshot.organization {
        Ok(Some(organization)) if !organization.administered => {
            Some("no admin permission on the organization")
        }
        Ok(Some(organization)) if organization.pushed.is_none() => {
            Some("the repositories could not be read")
        }
        Ok(Some(_)) => None,
        Ok(None) => Some("the organization is missing"),
        Err(_) => Some("the organization could not be read"),
    }
}

/// None after a failed import, which has a finding of its own.
fn not_imported(
    subject: &Assessed,
    streams: &[ImageStream],
    to: &Destination,
    build: &Build,
) -> Option<Finding> {
    let tag = streams
        .iter()
        .find(|stream| stream.name == to.stream)
        .and_then(|stream| stream.tag(&to.tag));
    let digest = short(build.digest.as_deref()?);
    let is_due = due_import(tag, build, &to.image(subject.integration)) == DueImport::Import;
    if tag.is_some_and(|tag| tag.failure.is_some()) || !is_due {
        return None;
    }
    let message =
        format!("Build {} pushed {digest} to Quay, but {} does not have it", build.name, to.name());
    let mut finding =
        subject.finding(Code::TagNotImported, subject.object(KIND, &to.name()), message);
    // An import by name works regardless of the tag's source, and without a token or permission to read builds.
    finding.hint = import_command(to, to).or(finding.hint);
    Some(finding)
}

fn out_of_date(
    subject: &Assessed,
    to: &Destination,
    tag: &StreamTag,
    source: &Destination,
) -> Option<Finding> {
    let name = &to.name();
    let full_name = format!("{}/{}", subject.desired.organization, source.stream);
    let organization = subject.snapshot.organization()?;
    if lacks_repository(organization, source) {
        let message =
            format!("{name} tracks {full_name}:{}, but the repository does not exist", source.tag);
        return Some(subject.finding(Code::TagGone, subject.object(KIND, name), message));
    }
    let tags = match organization.tags.get(&source.stream)? {
        Ok(tags) => tags,
        Err(unread) => {
            let message = format!("Could not {}: {}", unread.call, unread.reason);
            return Some(subject.finding(
                Code::CouldNotRead,
                subject.remote("Repository", &full_name),
                message,
            ));
        }
    };
    let object = subject.object(KIND, name);
    let Some(now) = tags.iter().find(|now| now.name == source.tag) else {
        let message =
            format!("{name} tracks {full_name}:{}, which does not exist in Quay", source.tag);
        return Some(subject.finding(Code::TagGone, object, message));
    };
    if tag.failure.is_some()
        || tag_status(Some(tag), &source.image(subject.integration), now) != TagStatus::Stale
    {
        return None;
    }
    let message = match &tag.image {
        Some(image) => {
            format!("{name} has {}, but Quay has {}", short(&image.digest), short(&now.digest))
        }
        None => format!("{name} has no image yet, but Quay has {}", short(&now.digest)),
    };
    let mut finding = subject.finding(Code::TagBehindQuay, object, message);
    if to != source {
        finding.hint = import_command(to, source).or(finding.hint);
    }
    Some(finding)
}

/// Needs no tags from Quay, except to rule out that it has the same image.
fn pushed_over(
    subject: &Assessed,
    to: &Destination,
    tag: &StreamTag,
    source: &Destination,
) -> Option<Finding> {
    let name = &to.name();
    let image = tag.pushed_over().filter(|_| !tag.reference)?;
    let read = subject
        .snapshot
        .organization()
        .and_then(|organization| organization.tags.get(&source.stream));
    let mut in_quay = read.into_iter().flatten().flatten();
    if in_quay.any(|now| now.name == source.tag && now.digest == image.digest) {
        return None;
    }
    let followed = format!("{}/{}:{}", subject.desired.organization, source.stream, source.tag);
    let message = format!(
        "{name} tracks {followed} in Quay, but {} was pushed to the internal registry",
        short(&image.digest)
    );
    let mut finding = subject.finding(Code::TagPushedOver, subject.object(KIND, name), message);
    finding.hint = import_command(to, source).or(finding.hint);
    Some(finding)
}

/// The command that imports a tag from its source, whatever image it has: ours if the source has the tag's own name. None for
/// names that are invalid in Quay, since users of the namespace choose them and the command is pasted into a shell.
fn import_command(to: &Destination, source: &Destination) -> Option<String> {
    names::validate_repository(&to.stream).and_then(|()| names::validate_tag(&to.tag)).ok()?;
    let command = if to == source { "oc quay import" } else { "oc import-image" };
    Some(format!("{command} {} -n {}", to.name(), to.namespace))
}

/// The first 12 digits of a digest.
fn short(digest: &str) -> &str {
    const LENGTH: usize = "sha256:".len() + 12;
    digest.get(..LENGTH).unwrap_or(digest)
}
