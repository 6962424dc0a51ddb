//! The selection of tags to import.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::tag_status::{TagStatus, follows, tag_status};
use crate::domain::names;
use crate::domain::snapshot::{ImageStream, RepositoryTag, StreamTag};

/// A command-line argument `STREAM[:TAG]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTag {
    pub stream: String,
    /// `None` for all tags in Quay.
    pub tag: Option<String>,
}

impl fmt::Display for NamedTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => write!(f, "{}:{tag}", self.stream),
            None => f.write_str(&self.stream),
        }
    }
}

/// The tags that the user requests.
#[derive(Clone, Copy, Debug)]
pub struct ImportRequest<'a> {
    /// Empty for all image streams.
    pub named: &'a [NamedTag],
    /// Only tags that are absent from the image stream or have another image in Quay.
    pub missing: bool,
    /// The images in Quay that builds of the namespace pushed, with the Unix time when the latest
    /// build of each ended. They replace images that were pushed to the internal registry before.
    pub built: &'a BTreeMap<String, i64>,
}

/// A tag to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedTag {
    pub stream: String,
    pub tag: String,
    /// The current tag of the image stream.
    pub seen: Option<StreamTag>,
    /// Its current source, if that is another one.
    pub instead_of: Option<String>,
}

/// A tag in Quay that is imported only if it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedTag {
    pub stream: String,
    pub tag: String,
    pub why: String,
}

/// The result of [`ImportRequest::select`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportSelection {
    /// Grouped by image stream, without duplicates.
    pub selected: Vec<SelectedTag>,
    pub skipped: Vec<SkippedTag>,
}

/// The change of a tag between its selection and its import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    Unchanged,
    /// It was imported, by another client or by a request of ours without a response.
    Imported,
    /// It has another image or source.
    Changed,
}

impl SelectedTag {
    /// Compares the tag with its current state. `image` is the image in Quay to import.
    pub fn since(&self, now: Option<&StreamTag>, image: &str) -> Since {
        let state = |tag: &StreamTag| (tag.from.clone(), tag.reference, tag.image.clone());
        let is_imported = |now: &StreamTag| {
            follows(now, image)
                && now.image.is_some()
                && !now.reference
                && now.pushed_over().is_none()
        };
        match now {
            now if self.seen.as_ref().map(state) == now.map(state) => Since::Unchanged,
            Some(now)
                if is_imported(now)
                    && self.seen.as_ref().is_none_or(|seen| seen.image != now.image) =>
            {
                Since::Imported
            }
            _ => Since::Changed,
        }
    }
}

impl FromStr for NamedTag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (stream, tag) = match text.split_once(':') {
            Some((stream, tag)) => (stream, Some(tag)),
            None => (text, None),
        };
        names::validate_repository(stream)?;
        tag.map_or(Ok(()), names::validate_tag)?;
        Ok(Self { stream: stream.to_owned(), tag: tag.map(str::to_owned) })
    }
}

impl ImportRequest<'_> {
    /// The repositories whose tags must be read; `all` are those in Quay. A named tag is imported
    /// without a check: the import itself reports a missing one.
    pub fn repositories_to_read(&self, all: &BTreeSet<String>) -> BTreeSet<String> {
        if self.named.is_empty() {
            return all.clone();
        }
        let wanted = self.named.iter().filter(|named| self.missing || named.tag.is_none());
        wanted.map(|named| named.stream.clone()).collect()
    }

    /// Selects the tags to import. `tags` are those in Quay by repository; `image` returns the name
    /// of a tag in Quay.
    pub fn select(
        &self,
        streams: &[ImageStream],
        tags: &BTreeMap<String, Vec<RepositoryTag>>,
        image: impl Fn(&str, &str) -> String,
    ) -> ImportSelection {
        let mut selection = ImportSelection::default();
        let names: BTreeSet<&str> = match self.named {
            [] => tags.keys().map(String::as_str).collect(),
            named => named.iter().map(|named| named.stream.as_str()).collect(),
        };
        for stream in names {
            let known = streams.iter().find(|known| known.name == stream);
            let all = tags.get(stream).map(Vec::as_slice).unwrap_or_default();
            for (tag, by_name) in self.tags_of(stream, all) {
                let known = known.and_then(|known| known.tag(&tag));
                let image = image(stream, &tag);
                let now = all.iter().find(|now| now.name == tag);
                let is_reference = known.is_some_and(|known| known.reference);
                match now.map(|now| tag_status(known, &image, now)) {
                    Some(TagStatus::Current) if self.missing || (is_reference && !by_name) => {}
                    Some(TagStatus::Elsewhere(why)) if !by_name => {
                        selection.skipped.push(SkippedTag { stream: stream.to_owned(), tag, why });
                    }
                    Some(TagStatus::Pushed)
                        if !by_name && !self.is_older_than_build(known, &image) =>
                    {
                        let why = "it was pushed to the internal registry".to_owned();
                        selection.skipped.push(SkippedTag { stream: stream.to_owned(), tag, why });
                    }
                    _ => selection.selected.push(SelectedTag {
                        stream: stream.to_owned(),
                        instead_of: known.and_then(|known| instead_of(known, &image)),
                        seen: known.cloned(),
                        tag,
                    }),
                }
            }
        }
        selection
    }

    /// Whether a build pushed `image` to Quay after the tag got its current image.
    fn is_older_than_build(&self, tag: Option<&StreamTag>, image: &str) -> bool {
        let came = tag.and_then(|tag| tag.image.as_ref()).and_then(|image| image.created);
        came.is_some_and(|came| self.built.get(image).is_some_and(|built| *built > came))
    }

    /// The candidate tags of an image stream, and whether each was named.
    fn tags_of(&self, stream: &str, in_quay: &[RepositoryTag]) -> BTreeMap<String, bool> {
        let mut tags = BTreeMap::new();
        let named = self.named.iter().filter(|named| named.stream == stream);
        if self.named.is_empty() || named.clone().any(|named| named.tag.is_none()) {
            tags.extend(in_quay.iter().map(|tag| (tag.name.clone(), false)));
        }
        tags.extend(named.filter_map(|named| Some((named.tag.clone()?, true))));
        tags
    }
}

fn instead_of(tag: &StreamTag, image: &str) -> Option<String> {
    tag.from.as_ref().filter(|_| !follows(tag, image)).map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tag_status::tests::{in_quay, pushed_over, stream_tag};
    use super::*;

    fn image(stream: &str, tag: &str) -> String {
        format!("q/openshift_shop/{stream}:{tag}")
    }

    /// `app` has `current` and `stale`, which follow Quay, and `foreign`, which does not; Quay also
    /// has `new`. `web` is only in Quay.
    fn select(named: &[&str], missing: bool) -> (Vec<String>, Vec<String>) {
        let stream = ImageStream {
            name: "app".into(),
            tags: vec![
                stream_tag("current", Some(&image("app", "current")), Some("sha256:1")),
                stream_tag("foreign", Some("docker.io/app:1"), Some("sha256:0")),
                stream_tag("stale", Some(&image("app", "stale")), Some("sha256:0")),
            ],
            ..ImageStream::default()
        };
        let tags =
            ["current", "foreign", "new", "stale"].map(|tag| in_quay(tag, "sha256:1")).to_vec();
        let tags = BTreeMap::from([
            ("app".to_owned(), tags),
            ("web".to_owned(), vec![in_quay("1", "sha256:1")]),
        ]);
        let named: Vec<NamedTag> = named.iter().map(|named| named.parse().unwrap()).collect();
        let selection = ImportRequest { named: &named, missing, built: &BTreeMap::new() }.select(
            &[stream],
            &tags,
            image,
        );
        let selected = selection
            .selected
            .iter()
            .map(|selected| format!("{}:{}", selected.stream, selected.tag))
            .collect();
        (
            selected,
            selection.skipped.iter().map(|left| format!("{}:{}", left.stream, left.tag)).collect(),
        )
    }

    #[test]
    fn selects_all_tags_except_foreign_ones() {
        let foreign = vec!["app:foreign".to_owned()];
        let all = ["app:current", "app:new", "app:stale", "web:1"].map(str::to_owned);
        assert_eq!(select(&[], false), (all.to_vec(), foreign.clone()));
        assert_eq!(select(&["app"], false), (all[..3].to_vec(), foreign.clone()));
        assert_eq!(
            select(&[], true),
            (["app:new", "app:stale", "web:1"].map(str::to_owned).to_vec(), foreign)
        );
    }

    #[test]
    fn selects_every_named_tag() {
        let selected = |named: &[&str], missing| select(named, missing).0;
        assert_eq!(
            selected(&["app:foreign", "app:absent", "app:current"], false),
            ["app:absent", "app:current", "app:foreign"]
        );
        assert_eq!(
            selected(&["app:foreign", "app:absent", "app:current"], true),
            ["app:absent", "app:foreign"]
        );
        assert_eq!(selected(&["web:1", "web:1", "web"], false), ["web:1"]);
    }

    #[test]
    fn reads_tags_that_are_not_named() {
        let all = BTreeSet::from(["app".to_owned(), "base".to_owned()]);
        let to_read = |named: &[&str], missing| {
            let named: Vec<NamedTag> = named.iter().map(|named| named.parse().unwrap()).collect();
            ImportRequest { named: &named, missing, built: &BTreeMap::new() }
                .repositories_to_read(&all)
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(to_read(&[], false), ["app", "base"]);
        assert_eq!(to_read(&["app:1", "web"], false), ["web"]);
        assert_eq!(to_read(&["app:1"], false), Vec::<String>::new());
        assert_eq!(to_read(&["app:1"], true), ["app"]);
    }

    #[test]
    fn later_build_replaces_pushed_image() {
        // The tag got its image at second 100.
        let streams = [ImageStream {
            name: "app".into(),
            tags: vec![stream_tag("1", None, Some("sha256:0"))],
            ..Default::default()
        }];
        let tags = BTreeMap::from([("app".to_owned(), vec![in_quay("1", "sha256:1")])]);
        let selected = |built: Option<i64>| {
            let built = built.map(|ended| (image("app", "1"), ended)).into_iter().collect();
            let selection = ImportRequest { named: &[], missing: true, built: &built }
                .select(&streams, &tags, image);
            (selection.selected.len(), selection.skipped.len())
        };
        assert_eq!(
            [selected(None), selected(Some(100)), selected(Some(101))],
            [(0, 1), (0, 1), (1, 0)]
        );
    }

    #[test]
    fn selects_pushed_and_reference_tags_only_by_name() {
        let follower = |tag: &str| stream_tag(tag, Some(&image("app", tag)), Some("sha256:0"));
        let pushed = pushed_over(follower("pushed"), "sha256:2");
        let reference = StreamTag { reference: true, image: None, ..follower("reference") };
        let streams = [ImageStream {
            name: "app".into(),
            tags: vec![pushed, reference],
            ..Default::default()
        }];
        let tags = BTreeMap::from([(
            "app".to_owned(),
            ["pushed", "reference"].map(|tag| in_quay(tag, "sha256:1")).to_vec(),
        )]);
        let select = |named: &[&str], missing| {
            let named: Vec<NamedTag> = named.iter().map(|named| named.parse().unwrap()).collect();
            let selection = ImportRequest { named: &named, missing, built: &BTreeMap::new() }
                .select(&streams, &tags, image);
            let left: Vec<_> = selection.skipped.into_iter().map(|left| left.tag).collect();
            (selection.selected.into_iter().map(|selected| selected.tag).collect::<Vec<_>>(), left)
        };
        for missing in [true, false] {
            assert_eq!(select(&[], missing), (vec![], vec!["pushed".to_owned()]), "{missing}");
        }
        assert_eq!(
            select(&["app:pushed", "app:reference"], false),
            (vec!["pushed".to_owned(), "reference".to_owned()], vec![])
        );
    }

    #[test]
    fn detects_changes_since_selection() {
        let seen = stream_tag("1", Some("q/a/app:1"), Some("sha256:1"));
        let selected = |seen: Option<&StreamTag>| SelectedTag {
            stream: "app".into(),
            tag: "1".into(),
            seen: seen.cloned(),
            instead_of: None,
        };
        let since = |seen: Option<&StreamTag>, now: Option<&StreamTag>| {
            selected(seen).since(now, "q/a/app:1")
        };
        assert_eq!(
            (since(None, None), since(Some(&seen), Some(&seen))),
            (Since::Unchanged, Since::Unchanged)
        );
        assert_eq!(
            since(Some(&seen), Some(&StreamTag { failure: Some("no".into()), ..seen.clone() })),
            Since::Unchanged
        );
        let reference = StreamTag { reference: true, ..seen.clone() };
        let moved = stream_tag("1", Some("q/a/app:2"), Some("sha256:1"));
        for other in
            [None, Some(&pushed_over(seen.clone(), "sha256:2")), Some(&reference), Some(&moved)]
        {
            assert_eq!(since(Some(&seen), other), Since::Changed, "{other:?}");
        }
        let imported = stream_tag("1", Some("q/a/app:1"), Some("sha256:2"));
        assert_eq!(
            (since(None, Some(&seen)), since(Some(&seen), Some(&imported))),
            (Since::Imported, Since::Imported)
        );
    }

    #[test]
    fn rejects_invalid_tag_names() {
        for text in ["app", "app:1.0", "app:Latest_x"] {
            assert!(text.parse::<NamedTag>().is_ok(), "{text}");
        }
        for text in ["", ":1", "app:", "app:-1", "App", "a/b", "app@sha256:00", "app:1:2"] {
            assert!(text.parse::<NamedTag>().is_err(), "{text}");
        }
    }
}
