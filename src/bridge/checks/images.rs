//! Image streams: did the imports of their tags work.

use super::{Check, Subject, count};
use crate::bridge::finding::Code;

const TITLE: &str = "Image streams";
const KIND: &str = "ImageStream";

pub(super) fn check(subject: &Subject) -> Check {
    let streams = match &subject.snapshot.image_streams {
        Ok(streams) => streams,
        Err(unread) => return subject.unread(TITLE, subject.object(KIND, ""), unread),
    };
    let findings = streams
        .iter()
        .flat_map(|stream| stream.failed_imports.iter().map(move |failed| (stream, failed)))
        .map(|(stream, failed)| {
            let message = format!("Import of {}:{} failed: {}", stream.name, failed.tag, failed.message.trim_end_matches('.'));
            let message = match cause(&failed.message) {
                Some(cause) => format!("{message} ({cause})"),
                None => message,
            };
            subject.finding(Code::ImportFailed, subject.object(KIND, &stream.name), message)
        })
        .collect();
    Check::new(TITLE, count(streams.len(), "image stream"), findings)
}

/// What OpenShift's import errors mean, by the texts measured on a real one.
fn cause(message: &str) -> Option<&'static str> {
    let known = [
        ("you may not have access", "no secret of the namespace may read it, or another secret for the host comes first"),
        ("not found", "Quay has no such image"),
        ("x509", "the cluster does not trust Quay's certificate"),
        ("server gave HTTP response to HTTPS client", "Quay answers plain http there"),
        ("connection refused", "nothing listens there"),
    ];
    known.iter().find(|(text, _)| message.contains(text)).map(|(_, cause)| *cause)
}
