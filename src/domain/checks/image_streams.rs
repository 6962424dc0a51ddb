//! Image streams: did the imports of their tags work.

use super::{Assessed, Check, count};
use crate::domain::dockerconfig::RegistryScope;
use crate::domain::finding::Code;
use crate::domain::imports::{describe_with_tags, in_words};
use crate::domain::snapshot::StreamTag;

const TITLE: &str = "Image streams";
const KIND: &str = "ImageStream";

pub(super) fn check(subject: &Assessed) -> Check {
    let streams = match &subject.snapshot.image_streams {
        Ok(streams) => streams,
        Err(unread) => return subject.unread(TITLE, subject.object(KIND, ""), unread),
    };
    let findings = streams
        .iter()
        .flat_map(|stream| stream.tags.iter().map(move |tag| (stream, tag)))
        .filter_map(|(stream, tag)| {
            let message =
                format!("Import of {}:{} failed: {}", stream.name, tag.name, why(subject, tag)?);
            Some(subject.finding(Code::ImportFailed, subject.object(KIND, &stream.name), message))
        })
        .collect();
    Check::new(TITLE, count(streams.len(), "image stream"), findings)
}

/// Why a tag's last import failed, if it did. The secrets explain a refusal of Quay's; of other registries they may hold
/// logins of types that are not read.
fn why(subject: &Assessed, tag: &StreamTag) -> Option<String> {
    let message = tag.failure.as_ref()?;
    let in_quay = tag
        .follows()
        .and_then(RegistryScope::of_image)
        .filter(|place| place.host == subject.desired.host);
    Some(match (&subject.snapshot.secrets, in_quay) {
        (Ok(secrets), Some(place)) => describe_with_tags(message, place, secrets),
        _ => in_words(message),
    })
}
