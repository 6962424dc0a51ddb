//! Image streams: did the imports of their tags work.

use super::{Check, Subject, count};
use crate::bridge::finding::Code;
use crate::bridge::imports::in_words;

const TITLE: &str = "Image streams";
const KIND: &str = "ImageStream";

pub(super) fn check(subject: &Subject) -> Check {
    let streams = match &subject.snapshot.image_streams {
        Ok(streams) => streams,
        Err(unread) => return subject.unread(TITLE, subject.object(KIND, ""), unread),
    };
    let findings = streams
        .iter()
        .flat_map(|stream| stream.tags.iter().map(move |tag| (stream, tag)))
        .filter_map(|(stream, tag)| {
            let message = format!("Import of {}:{} failed: {}", stream.name, tag.name, in_words(tag.failure.as_ref()?));
            Some(subject.finding(Code::ImportFailed, subject.object(KIND, &stream.name), message))
        })
        .collect();
    Check::new(TITLE, count(streams.len(), "image stream"), findings)
}
