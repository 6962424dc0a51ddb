//! What is known of the cluster, few bytes an object, kept up to date by watches and by what we write ourselves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::imports::{is_to_be_imported, is_under_way};
use crate::cluster::{OtherSecret, Versioned, WatchUpdate};
use crate::domain::builds::{CommonSpec, Output};
use crate::domain::desired;
use crate::domain::snapshot::{
    Build, BuildConfig, ImageStream, Namespace, Observed, ReadError, ReadErrorKind, Secret,
    ServiceAccount,
};

/// What is in the name of every secret of ours (QBO `pkg/utils/utils.go:60`), whatever the cluster ID.
const OUR_SECRETS: &str = "-quay-";

/// What is known of the cluster.
#[derive(Debug)]
pub(super) struct Stores {
    /// The namespaces; each is in itself, so to speak.
    pub(super) namespaces: Store<Namespace>,
    /// The service accounts that are linked.
    pub(super) service_accounts: Store<ServiceAccount>,
    /// The secrets that may be ours. Those of others are none of our business.
    pub(super) secrets: Store<Secret>,
    /// That there are secrets of other types whose names may be ours: they block us.
    pub(super) other_secrets: Store<OtherSecret>,
    /// The image streams.
    pub(super) image_streams: Store<ImageStream>,
    /// Where BuildConfigs push.
    pub(super) build_configs: Store<BuildConfig>,
    /// The builds that a webhook rewrote, until their images are imported.
    pub(super) builds: Store<Build>,
}

impl Stores {
    pub(super) fn new() -> Self {
        Self {
            namespaces: Store::new(Some),
            service_accounts: Store::new(|account| {
                desired::role(&account).is_some().then_some(account)
            }),
            secrets: Store::new(|secret: Secret| {
                secret.name.contains(OUR_SECRETS).then_some(secret)
            }),
            other_secrets: Store::new(|secret: OtherSecret| {
                secret.name.contains(OUR_SECRETS).then_some(secret)
            }),
            image_streams: Store::new(|stream| Some(without_images(stream))),
            build_configs: Store::new(|config| Some(with_output_alone(config))),
            builds: Store::new(|build| {
                (is_under_way(&build) || is_to_be_imported(&build)).then_some(build)
            }),
        }
    }

    /// Whether everything was read once, or is known not to be readable.
    pub(super) fn is_complete(&self) -> bool {
        self.namespaces.known.is_some()
            && self.service_accounts.known.is_some()
            && self.secrets.known.is_some()
            && self.other_secrets.known.is_some()
            && self.image_streams.known.is_some()
            && self.build_configs.known.is_some()
            && self.builds.known.is_some()
    }
}

/// The objects of one kind.
#[derive(Debug)]
pub(super) struct Store<T> {
    /// None before the first answer.
    known: Option<Observed<HashMap<String, Vec<StoreEntry<T>>>>>,
    /// What is worth keeping of an object; none if nothing is.
    reduce: fn(T) -> Option<T>,
}

#[derive(Debug)]
struct StoreEntry<T> {
    name: Box<str>,
    version: u64,
    object: T,
}

impl<T: Clone> Store<T> {
    fn new(reduce: fn(T) -> Option<T>) -> Self {
        Self { known: None, reduce }
    }

    /// Takes in what is new; answers the namespaces in which that changes something.
    pub(super) fn absorb(&mut self, news: WatchUpdate<T>) -> BTreeSet<String> {
        match news {
            WatchUpdate::All(version, found) => self.replace(version, found),
            WatchUpdate::Changed(found) => self.put(found).into_iter().collect(),
            WatchUpdate::Gone(gone) => {
                self.remove(&gone.namespace, &gone.name, gone.version).into_iter().collect()
            }
            WatchUpdate::Unread(unread) => {
                let is_final = unread.kind == ReadErrorKind::Forbidden;
                if matches!(self.known, Some(Err(_))) || (self.known.is_none() && is_final) {
                    self.known = Some(Err(unread));
                }
                BTreeSet::new()
            }
        }
    }

    /// Takes in one object; what is older than what is known changes nothing.
    pub(super) fn put(&mut self, found: Versioned<T>) -> Option<String> {
        let Some(object) = (self.reduce)(found.object) else {
            return self.remove(&found.namespace, &found.name, found.version);
        };
        let Some(Ok(known)) = &mut self.known else { return None };
        let place = place(&found.namespace, &found.name);
        let held = StoreEntry { name: found.name.into(), version: found.version, object };
        let others = known.entry(place.clone()).or_default();
        match others.iter_mut().find(|other| other.name == held.name) {
            Some(other) if other.version >= held.version && held.version > 0 => return None,
            Some(other) => *other = held,
            None => others.push(held),
        }
        Some(place)
    }

    fn remove(&mut self, namespace: &str, name: &str, version: u64) -> Option<String> {
        let Some(Ok(known)) = &mut self.known else { return None };
        let place = place(namespace, name);
        let others = known.get_mut(&place)?;
        let index = others.iter().position(|other| *other.name == *name)?;
        // What was made anew since is not what is gone.
        if others[index].version > version && version > 0 {
            return None;
        }
        others.swap_remove(index);
        if others.is_empty() {
            known.remove(&place);
        }
        Some(place)
    }

    /// Takes in a list of all; what was learnt of since the list's version stays.
    fn replace(&mut self, version: u64, found: Vec<Versioned<T>>) -> BTreeSet<String> {
        let mut before = match self.known.replace(Ok(HashMap::new())) {
            Some(Ok(known)) => known,
            _ => HashMap::new(),
        };
        let versions = |known: &HashMap<String, Vec<StoreEntry<T>>>,
                        place: &String|
         -> BTreeMap<Box<str>, u64> {
            known
                .get(place)
                .into_iter()
                .flatten()
                .map(|held| (held.name.clone(), held.version))
                .collect()
        };
        for found in found {
            self.put(found);
        }
        let Some(Ok(known)) = &mut self.known else { return BTreeSet::new() };
        let places: BTreeSet<String> = before.keys().chain(known.keys()).cloned().collect();
        let changed = places
            .into_iter()
            .filter(|place| versions(&before, place) != versions(known, place))
            .collect();
        for (place, held) in before.drain() {
            for held in held.into_iter().filter(|held| version > 0 && held.version > version) {
                let now = known.entry(place.clone()).or_default();
                now.retain(|other| other.name != held.name);
                now.push(held);
            }
        }
        changed
    }

    /// The objects in a namespace.
    pub(super) fn of(&self, namespace: &str) -> Observed<Vec<T>> {
        match &self.known {
            Some(Ok(known)) => Ok(known
                .get(namespace)
                .into_iter()
                .flatten()
                .map(|held| held.object.clone())
                .collect()),
            Some(Err(unread)) => Err(unread.clone()),
            None => Err(ReadError {
                call: "look into the cluster".into(),
                reason: "nothing was read yet".into(),
                kind: ReadErrorKind::Skipped,
            }),
        }
    }

    /// The namespaces that have any.
    pub(super) fn namespaces(&self) -> Vec<String> {
        self.known.iter().flatten().flat_map(HashMap::keys).cloned().collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.known.iter().flatten().flat_map(HashMap::values).map(Vec::len).sum()
    }
}

/// Which images its tags have is more than the rest of an image stream, and nothing that is planned depends on it: what
/// is imported is decided by the image stream as it is then.
fn without_images(mut stream: ImageStream) -> ImageStream {
    stream.resource_version = String::new();
    for image in stream.tags.iter_mut().filter_map(|tag| tag.image.as_mut()) {
        (image.digest, image.reference) = (String::new(), String::new());
    }
    stream.tags.shrink_to_fit();
    stream
}

/// Only where it pushes matters: that needs a repository.
fn with_output_alone(config: BuildConfig) -> BuildConfig {
    let spec = CommonSpec {
        output: Output { push_secret: None, ..config.spec.output },
        service_account: None,
        ..config.spec
    };
    BuildConfig { name: config.name, spec, ..BuildConfig::default() }
}

/// Where an object is kept: what is in no namespace, under its own name.
fn place(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { namespace.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn found(namespace: &str, name: &str, version: u64) -> Versioned<u64> {
        Versioned { namespace: namespace.into(), name: name.into(), version, object: version }
    }

    fn gone(namespace: &str, name: &str, version: u64) -> WatchUpdate<u64> {
        WatchUpdate::Gone(Versioned {
            namespace: namespace.into(),
            name: name.into(),
            version,
            object: (),
        })
    }

    fn all(version: u64, found: Vec<Versioned<u64>>) -> WatchUpdate<u64> {
        WatchUpdate::All(version, found)
    }

    #[test]
    fn only_what_changes_something_is_told() {
        let mut kept = Store::new(Some);
        let names = |changed: BTreeSet<String>| changed.into_iter().collect::<Vec<_>>();
        assert_eq!(
            names(kept.absorb(all(5, vec![found("a", "x", 1), found("b", "x", 2)]))),
            ["a", "b"]
        );
        assert_eq!(names(kept.absorb(WatchUpdate::Changed(found("a", "x", 6)))), ["a"]);
        // The echo of a write of ours, and what happened before it.
        kept.put(found("a", "x", 9));
        assert!(kept.absorb(WatchUpdate::Changed(found("a", "x", 8))).is_empty());
        assert!(kept.absorb(WatchUpdate::Changed(found("a", "x", 9))).is_empty());
        assert!(kept.absorb(gone("a", "x", 8)).is_empty(), "it was made anew since");
        assert_eq!(kept.of("a").unwrap(), [9]);
        assert_eq!(names(kept.absorb(gone("a", "x", 10))), ["a"]);
        assert!(kept.absorb(gone("a", "x", 10)).is_empty());
        assert_eq!(kept.namespaces(), ["b"]);
    }

    #[test]
    fn a_new_list_takes_away_what_is_gone_but_not_what_came_since() {
        let mut kept = Store::new(Some);
        kept.absorb(all(5, vec![found("a", "x", 1), found("b", "x", 2), found("c", "x", 3)]));
        kept.put(found("c", "y", 9));
        let changed = kept.absorb(all(8, vec![found("a", "x", 1), found("b", "x", 7)]));
        assert_eq!(changed.into_iter().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(
            (kept.of("a").unwrap(), kept.of("b").unwrap(), kept.of("c").unwrap()),
            (vec![1], vec![7], vec![9])
        );
        assert_eq!(kept.len(), 3);
    }

    #[test]
    fn what_may_not_be_read_is_unknown_and_what_fails_once_is_as_it_was() {
        let unread = |kind| {
            WatchUpdate::<u64>::Unread(ReadError { call: "list".into(), reason: "no".into(), kind })
        };
        let mut kept = Store::new(Some);
        kept.absorb(unread(ReadErrorKind::Failed));
        assert!(kept.known.is_none(), "it is still to come");
        kept.absorb(unread(ReadErrorKind::Forbidden));
        assert_eq!(kept.of("a").unwrap_err().kind, ReadErrorKind::Forbidden);
        kept.absorb(all(1, vec![found("a", "x", 1)]));
        kept.absorb(unread(ReadErrorKind::Forbidden));
        assert_eq!(kept.of("a").unwrap(), [1]);
    }
}
