//! Which tags an import takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::tag_status::{TagStatus, follows, standing};
use crate::domain::names;
use crate::domain::snapshot::{ImageStream, RepositoryTag, StreamTag};

/// An image stream, or one of its tags, as a person names it: `STREAM[:TAG]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTag {
    /// The image stream.
    pub stream: String,
    /// The tag; without one all that Quay has.
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

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ImportRequest<'a> {
    /// What was named; nothing for every image stream.
    pub named: &'a [NamedTag],
    /// Only tags that the image stream has not, or of which Quay has another image.
    pub missing: bool,
    /// The images in Quay that builds of the namespace pushed, with when the newest build of each ended, in seconds since
    /// 1970. What was pushed to OpenShift's own registry before that gives way to it, for it is newer.
    pub built: &'a BTreeMap<String, i64>,
}

/// A tag that is to be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedTag {
    /// The image stream.
    pub stream: String,
    /// The tag.
    pub tag: String,
    /// What the image stream has there so far.
    pub seen: Option<StreamTag>,
    /// What it follows so far, where that is something else.
    pub instead_of: Option<String>,
}

/// A tag that is not imported, although Quay has it, unless it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedTag {
    /// The image stream.
    pub stream: String,
    /// The tag.
    pub tag: String,
    /// What decides over it instead.
    pub why: String,
}

/// What an import takes and what it leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportSelection {
    /// The tags to import; those of one image stream in one piece, none twice.
    pub chosen: Vec<SelectedTag>,
    /// The tags that are left alone.
    pub left_alone: Vec<SkippedTag>,
}

/// What became of a tag between its choice and its import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// It still is what it was.
    Unchanged,
    /// It was imported: by somebody else, or by a request of ours whose answer was lost.
    Imported,
    /// It has another image, or follows something else.
    Changed,
}

impl SelectedTag {
    /// What became of the tag, by what it is now. `image` is the one in Quay that it is to follow.
    pub fn since(&self, now: Option<&StreamTag>, image: &str) -> Since {
        let what = |tag: &StreamTag| (tag.from.clone(), tag.reference, tag.image.clone());
        let is_imported = |now: &StreamTag| {
            follows(now, image)
                && now.image.is_some()
                && !now.reference
                && now.pushed_over().is_none()
        };
        match now {
            now if self.seen.as_ref().map(what) == now.map(what) => Since::Unchanged,
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
        names::repository(stream)?;
        tag.map_or(Ok(()), names::tag)?;
        Ok(Self { stream: stream.to_owned(), tag: tag.map(str::to_owned) })
    }
}

impl ImportRequest<'_> {
    /// The image streams whose tags in Quay have to be known; `all` are those that have a repository. A tag that is named
    /// is imported whether Quay has it or not: the import says so.
    pub fn repositories_to_read(&self, all: &BTreeSet<String>) -> BTreeSet<String> {
        if self.named.is_empty() {
            return all.clone();
        }
        let wanted = self.named.iter().filter(|named| self.missing || named.tag.is_none());
        wanted.map(|named| named.stream.clone()).collect()
    }

    /// The tags to import. `tags` are those that Quay has in each repository that was looked up; `image` is the name under
    /// which it serves a tag of one.
    pub fn choose(
        &self,
        streams: &[ImageStream],
        tags: &BTreeMap<String, Vec<RepositoryTag>>,
        image: impl Fn(&str, &str) -> String,
    ) -> ImportSelection {
        let mut choice = ImportSelection::default();
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
                match now.map(|now| standing(known, &image, now)) {
                    Some(TagStatus::Current) if self.missing || (is_reference && !by_name) => {}
                    Some(TagStatus::Elsewhere(why)) if !by_name => {
                        choice.left_alone.push(SkippedTag { stream: stream.to_owned(), tag, why });
                    }
                    Some(TagStatus::Pushed) if !by_name && !self.is_overtaken(known, &image) => {
                        let why = "it was pushed to OpenShift's own registry".to_owned();
                        choice.left_alone.push(SkippedTag { stream: stream.to_owned(), tag, why });
                    }
                    _ => choice.chosen.push(SelectedTag {
                        stream: stream.to_owned(),
                        instead_of: known.and_then(|known| instead_of(known, &image)),
                        seen: known.cloned(),
                        tag,
                    }),
                }
            }
        }
        choice
    }

    /// Whether a build pushed this image to Quay after the tag got the one that it has.
    fn is_overtaken(&self, tag: Option<&StreamTag>, image: &str) -> bool {
        let came = tag.and_then(|tag| tag.image.as_ref()).and_then(|image| image.created);
        came.is_some_and(|came| self.built.get(image).is_some_and(|built| *built > came))
    }

    /// The tags of an image stream that come into question, and whether each was named.
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

    /// `app` follows Quay with `current`, `stale` and `foreign`, which follows another registry; Quay has `new` besides.
    /// `web` is not in the cluster.
    fn choose(named: &[&str], missing: bool) -> (Vec<String>, Vec<String>) {
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
        let choice = ImportRequest { named: &named, missing, built: &BTreeMap::new() }.choose(
            &[stream],
            &tags,
            image,
        );
        let chosen = choice
            .chosen
            .iter()
            .map(|chosen| format!("{}:{}", chosen.stream, chosen.tag))
            .collect();
        (
            chosen,
            choice.left_alone.iter().map(|left| format!("{}:{}", left.stream, left.tag)).collect(),
        )
    }

    #[test]
    fn all_tags_of_quay_are_taken_but_those_that_something_else_decides_over() {
        let foreign = vec!["app:foreign".to_owned()];
        let all = ["app:current", "app:new", "app:stale", "web:1"].map(str::to_owned);
        assert_eq!(choose(&[], false), (all.to_vec(), foreign.clone()));
        assert_eq!(choose(&["app"], false), (all[..3].to_vec(), foreign.clone()));
        assert_eq!(
            choose(&[], true),
            (["app:new", "app:stale", "web:1"].map(str::to_owned).to_vec(), foreign)
        );
    }

    #[test]
    fn what_is_named_is_taken_whatever_it_follows_and_whether_or_not_quay_has_it() {
        let chosen = |named: &[&str], missing| choose(named, missing).0;
        assert_eq!(
            chosen(&["app:foreign", "app:absent", "app:current"], false),
            ["app:absent", "app:current", "app:foreign"]
        );
        assert_eq!(
            chosen(&["app:foreign", "app:absent", "app:current"], true),
            ["app:absent", "app:foreign"]
        );
        assert_eq!(chosen(&["web:1", "web:1", "web"], false), ["web:1"]);
    }

    #[test]
    fn quay_is_asked_for_tags_that_are_not_named() {
        let all = BTreeSet::from(["app".to_owned(), "base".to_owned()]);
        let looked_up = |named: &[&str], missing| {
            let named: Vec<NamedTag> = named.iter().map(|named| named.parse().unwrap()).collect();
            ImportRequest { named: &named, missing, built: &BTreeMap::new() }
                .repositories_to_read(&all)
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(looked_up(&[], false), ["app", "base"]);
        assert_eq!(looked_up(&["app:1", "web"], false), ["web"]);
        assert_eq!(looked_up(&["app:1"], false), Vec::<String>::new());
        assert_eq!(looked_up(&["app:1"], true), ["app"]);
    }

    #[test]
    fn what_was_pushed_to_the_own_registry_gives_way_to_a_later_build() {
        // It has had its image since 100.
        let streams = [ImageStream {
            name: "app".into(),
            tags: vec![stream_tag("1", None, Some("sha256:0"))],
            ..Default::default()
        }];
        let tags = BTreeMap::from([("app".to_owned(), vec![in_quay("1", "sha256:1")])]);
        let chosen = |built: Option<i64>| {
            let built = built.map(|ended| (image("app", "1"), ended)).into_iter().collect();
            let choice = ImportRequest { named: &[], missing: true, built: &built }
                .choose(&streams, &tags, image);
            (choice.chosen.len(), choice.left_alone.len())
        };
        assert_eq!([chosen(None), chosen(Some(100)), chosen(Some(101))], [(0, 1), (0, 1), (1, 0)]);
    }

    #[test]
    fn what_was_pushed_over_or_only_points_at_quay_is_taken_by_name_alone() {
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
        let choose = |named: &[&str], missing| {
            let named: Vec<NamedTag> = named.iter().map(|named| named.parse().unwrap()).collect();
            let choice = ImportRequest { named: &named, missing, built: &BTreeMap::new() }
                .choose(&streams, &tags, image);
            let left: Vec<_> = choice.left_alone.into_iter().map(|left| left.tag).collect();
            (choice.chosen.into_iter().map(|chosen| chosen.tag).collect::<Vec<_>>(), left)
        };
        for missing in [true, false] {
            assert_eq!(choose(&[], missing), (vec![], vec!["pushed".to_owned()]), "{missing}");
        }
        assert_eq!(
            choose(&["app:pushed", "app:reference"], false),
            (vec!["pushed".to_owned(), "reference".to_owned()], vec![])
        );
    }

    #[test]
    fn what_changed_since_it_was_chosen_is_seen() {
        let seen = stream_tag("1", Some("q/a/app:1"), Some("sha256:1"));
        let chosen = |seen: Option<&StreamTag>| SelectedTag {
            stream: "app".into(),
            tag: "1".into(),
            seen: seen.cloned(),
            instead_of: None,
        };
        let since = |seen: Option<&StreamTag>, now: Option<&StreamTag>| {
            chosen(seen).since(now, "q/a/app:1")
        };
        assert_eq!(
            (since(None, None), since(Some(&seen), Some(&seen))),
            (Since::Unchanged, Since::Unchanged)
        );
        assert_eq!(
            since(Some(&seen), Some(&StreamTag { failure: Some("no".into()), ..seen.clone() })),
            Since::Unchanged
        );
        let told = StreamTag { reference: true, ..seen.clone() };
        let moved = stream_tag("1", Some("q/a/app:2"), Some("sha256:1"));
        for other in [None, Some(&pushed_over(seen.clone(), "sha256:2")), Some(&told), Some(&moved)]
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
    fn names_are_checked() {
        for text in ["app", "app:1.0", "app:Latest_x"] {
            assert!(text.parse::<NamedTag>().is_ok(), "{text}");
        }
        for text in ["", ":1", "app:", "app:-1", "App", "a/b", "app@sha256:00", "app:1:2"] {
            assert!(text.parse::<NamedTag>().is_err(), "{text}");
        }
    }
}
