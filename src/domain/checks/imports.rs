//! Imports: do the tags that follow Quay have its images, and did builds' images come into their image streams.

use super::{Assessed, Check, count};
use crate::domain::builds::Destination;
use crate::domain::finding::{Code, Finding};
use crate::domain::imports::{DueImport, TagStatus, built, due, followed, standing};
use crate::domain::names;
use crate::domain::snapshot::{Build, ImageStream, Organization, StreamTag};

const TITLE: &str = "Imports";
const KIND: &str = "ImageStreamTag";

/// None where nothing follows Quay and no build pushed there.
pub(super) fn check(subject: &Assessed) -> Option<Check> {
    let streams = subject.snapshot.image_streams.as_ref().ok()?;
    let following: Vec<_> =
        followed(subject.integration, &subject.snapshot.name, streams).collect();
    let built = built(
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
                behind(subject, &to, tag, source)
                    .or_else(|| pushed_over(subject, &to, tag, source)),
            );
        }
    }
    let fact = match following.len() {
        1 => "1 tag follows Quay".to_owned(),
        several => format!("{} follow Quay", count(several, "tag")),
    };
    Some(match uncompared(subject).filter(|_| !following.is_empty()) {
        Some(why) => {
            Check::new(TITLE, format!("{fact}, not compared: {why}"), findings).incomplete()
        }
        None => {
            let sources = following.iter().map(|(_, _, source)| source);
            let uncompared_tags = sources.filter(|source| !is_looked_for(subject, source)).count();
            Check { uncompared_tags, ..Check::new(TITLE, fact, findings) }
        }
    })
}

/// Whether it is known whether Quay has a tag: the tags of its repository were read, or there is no such repository.
fn is_looked_for(subject: &Assessed, source: &Destination) -> bool {
    let organization = subject.snapshot.organization();
    organization.is_some_and(|found| {
        found.tags.contains_key(&source.stream) || lacks_repository(found, source)
    })
}

fn lacks_repository(organization: &Organization, source: &Destination) -> bool {
    organization.pushed.as_ref().is_some_and(|pushed| !pushed.contains_key(&source.stream))
}

/// Why the tags that follow Quay were not compared with its tags, if they were not.
fn uncompared(subject: &Assessed) -> Option<&'static str> {
    match &subject.snapshot.organization {
        Ok(Some(organization)) if !organization.administered => {
            Some("the organization is not ours to administer")
        }
        Ok(Some(organization)) if organization.pushed.is_none() => {
            Some("the repositories could not be read")
        }
        Ok(Some(_)) => None,
        Ok(None) => Some("the organization is missing"),
        Err(_) => Some("the organization could not be read"),
    }
}

/// An import that failed is told already.
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
    let is_due = due(tag, build, &to.image(subject.integration)) == DueImport::Import;
    if tag.is_some_and(|tag| tag.failure.is_some()) || !is_due {
        return None;
    }
    let message =
        format!("Build {} pushed {digest} to Quay, and {} does not have it", build.name, to.name());
    let mut finding =
        subject.finding(Code::TagNotImported, subject.object(KIND, &to.name()), message);
    // By name it is imported whatever the tag followed so far, and whoever may not read builds or has no token.
    finding.hint = by_name(to, to).or(finding.hint);
    Some(finding)
}

fn behind(
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
            format!("{name} follows {full_name}:{}, and Quay has no such repository", source.tag);
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
            format!("{name} follows {full_name}:{}, which Quay does not have", source.tag);
        return Some(subject.finding(Code::TagGone, object, message));
    };
    if tag.failure.is_some()
        || standing(Some(tag), &source.image(subject.integration), now) != TagStatus::Stale
    {
        return None;
    }
    let message = match &tag.image {
        Some(image) => {
            format!("{name} has {}, and Quay has {}", short(&image.digest), short(&now.digest))
        }
        None => format!("{name} has no image yet, and Quay has {}", short(&now.digest)),
    };
    let mut finding = subject.finding(Code::TagBehindQuay, object, message);
    if to != source {
        finding.hint = by_name(to, source).or(finding.hint);
    }
    Some(finding)
}

/// Quay need not be asked for that, unless it is known to have the same image.
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
        "{name} follows {followed} in Quay, and {} was pushed to OpenShift's own registry",
        short(&image.digest)
    );
    let mut finding = subject.finding(Code::TagPushedOver, subject.object(KIND, name), message);
    finding.hint = by_name(to, source).or(finding.hint);
    Some(finding)
}

/// The command that imports what a tag follows, whatever it has. Ours is for tags that follow the one of their own name in
/// Quay. None for a name that no tag in Quay has: whoever may edit an image stream chooses it, and a shell is to read it.
fn by_name(to: &Destination, source: &Destination) -> Option<String> {
    names::repository(&to.stream).and_then(|()| names::tag(&to.tag)).ok()?;
    let command = if to == source { "oc quay import" } else { "oc import-image" };
    Some(format!("{command} {} -n {}", to.name(), to.namespace))
}

/// As much of a digest as tells it from others.
fn short(digest: &str) -> &str {
    const MAX_LISTED: usize = "sha256:".len() + 12;
    digest.get(..MAX_LISTED).unwrap_or(digest)
}
