//! Checks whether imports of image stream tags failed.

use super::{Assessed, Check, count};
use crate::domain::dockerconfig::RegistryScope;
use crate::domain::finding::Code;
use crate::domain::imports::{describe, describe_with_secrets};
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
            let message = format!(
                "Import of {}:{} failed: {}",
                stream.name,
                tag.name,
                failure(subject, tag)?
            );
            Some(subject.finding(Code::ImportFailed, subject.object(KIND, &stream.name), message))
        })
        .collect();
    Check::new(TITLE, count(streams.len(), "image stream"), findings)
}

/// Why a tag's last import failed, if it did. The secrets are only used to explain a rejection by Quay: those for other
/// registries can be of types that are not read.
fn failure(subject: &Assessed, tag: &StreamTag) -> Option<String> {
    let message = tag.failure.as_ref()?;
    let in_quay = tag
        .follows()
        .and_then(RegistryScope::of_image)
        .filter(|place| place.host == subject.desired.host);
    Some(match (&subject.snapshot.secrets, in_quay) {
        (Ok(secrets), Some(place)) => describe_with_secrets(message, place, secrets),
        _ => describe(message),
    })
}
