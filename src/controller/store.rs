//! The cache of the cluster, reduced to the fields in use. Watches and our own writes update it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::imports::{is_to_be_imported, is_under_way};
use crate::cluster::{OtherSecret, Versioned, WatchUpdate};
use crate::domain::builds::{CommonSpec, Output};
use crate::domain::desired;
use crate::domain::snapshot::{
    Build, BuildConfig, ImageStream, Namespace, Observed, ReadError, ReadErrorKind, Secret,
    ServiceAccount,
};

/// Part of the name of each of our secrets, with any cluster ID (QBO `pkg/utils/utils.go:60`).
const OUR_SECRETS: &str = "-quay-";

#[derive(Debug)]
pub(super) struct Stores {
    /// Cluster-scoped; each is stored under its own name.
    pub(super) namespaces: Store<Namespace>,
    /// Only linked service accounts.
    pub(super) service_accounts: Store<ServiceAccount>,
    /// Only secrets whose names can be ours.
    pub(super) secrets: Store<Secret>,
    /// Names of secrets of other types that conflict with ours.
    pub(super) other_secrets: Store<OtherSecret>,
    pub(super) image_streams: Store<ImageStream>,
    /// Without their inputs: only the output needs a repository.
    pub(super) build_configs: Store<BuildConfig>,
    /// Rewritten builds, until their images are imported.
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
            build_configs: Store::new(|config| Some(only_output(config))),
            builds: Store::new(|build| {
                (is_under_way(&build) || is_to_be_imported(&build)).then_some(build)
            }),
        }
    }

    /// Every resource was listed once, or is known not to be readable.
    pub(super) fn is_synced(&self) -> bool {
        self.namespaces.objects.is_some()
            && self.service_accounts.objects.is_some()
            && self.secrets.objects.is_some()
            && self.other_secrets.objects.is_some()
            && self.image_streams.objects.is_some()
            && self.build_configs.objects.is_some()
            && self.builds.objects.is_some()
    }
}

/// The objects of one kind, by namespace.
#[derive(Debug)]
pub(super) struct Store<T> {
    /// `None` before the first answer.
    objects: Option<Observed<HashMap<String, Vec<StoreEntry<T>>>>>,
    /// Drops unused fields; `None` ignores the object.
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
        Self { objects: None, reduce }
    }

    /// Returns the namespaces whose objects changed.
    pub(super) fn apply_event(&mut self, event: WatchUpdate<T>) -> BTreeSet<String> {
        match event {
            WatchUpdate::All(version, found) => self.replace(version, found),
            WatchUpdate::Changed(found) => self.put(found).into_iter().collect(),
            WatchUpdate::Gone(gone) => {
                self.remove(&gone.namespace, &gone.name, gone.version).into_iter().collect()
            }
            WatchUpdate::Unread(unread) => {
                let is_final = unread.kind == ReadErrorKind::Forbidden;
                if matches!(self.objects, Some(Err(_))) || (self.objects.is_none() && is_final) {
                    self.objects = Some(Err(unread));
                }
                BTreeSet::new()
            }
        }
    }

    /// Stores an object unless a newer version is stored. Returns its namespace if that changed it.
    pub(super) fn put(&mut self, found: Versioned<T>) -> Option<String> {
        let Some(object) = (self.reduce)(found.object) else {
            return self.remove(&found.namespace, &found.name, found.version);
        };
        let Some(Ok(objects)) = &mut self.objects else { return None };
        let key = cache_key(&found.namespace, &found.name);
        let entry = StoreEntry { name: found.name.into(), version: found.version, object };
        let others = objects.entry(key.clone()).or_default();
        match others.iter_mut().find(|other| other.name == entry.name) {
            Some(other) if other.version >= entry.version && entry.version > 0 => return None,
            Some(other) => *other = entry,
            None => others.push(entry),
        }
        Some(key)
    }

    fn remove(&mut self, namespace: &str, name: &str, version: u64) -> Option<String> {
        let Some(Ok(objects)) = &mut self.objects else { return None };
        let key = cache_key(namespace, name);
        let others = objects.get_mut(&key)?;
        let index = others.iter().position(|other| *other.name == *name)?;
        // A newer object of that name was created since.
        if others[index].version > version && version > 0 {
            return None;
        }
        others.swap_remove(index);
        if others.is_empty() {
            objects.remove(&key);
        }
        Some(key)
    }

    /// Replaces all objects except those newer than the list's version.
    fn replace(&mut self, version: u64, found: Vec<Versioned<T>>) -> BTreeSet<String> {
        let mut before = match self.objects.replace(Ok(HashMap::new())) {
            Some(Ok(objects)) => objects,
            _ => HashMap::new(),
        };
        let versions = |objects: &HashMap<String, Vec<StoreEntry<T>>>,
                        key: &String|
         -> BTreeMap<Box<str>, u64> {
            objects
                .get(key)
                .into_iter()
                .flatten()
                .map(|entry| (entry.name.clone(), entry.version))
                .collect()
        };
        for found in found {
            self.put(found);
        }
        let Some(Ok(objects)) = &mut self.objects else { return BTreeSet::new() };
        let keys: BTreeSet<String> = before.keys().chain(objects.keys()).cloned().collect();
        let changed = keys
            .into_iter()
            .filter(|key| versions(&before, key) != versions(objects, key))
            .collect();
        for (key, entries) in before.drain() {
            for entry in entries.into_iter().filter(|entry| version > 0 && entry.version > version)
            {
                let now = objects.entry(key.clone()).or_default();
                now.retain(|other| other.name != entry.name);
                now.push(entry);
            }
        }
        changed
    }

    /// A read error if the list failed or is still pending.
    pub(super) fn in_namespace(&self, namespace: &str) -> Observed<Vec<T>> {
        match &self.objects {
            Some(Ok(objects)) => Ok(objects
                .get(namespace)
                .into_iter()
                .flatten()
                .map(|entry| entry.object.clone())
                .collect()),
            Some(Err(unread)) => Err(unread.clone()),
            None => Err(ReadError {
                call: "read the cluster".into(),
                reason: "not read yet".into(),
                kind: ReadErrorKind::Skipped,
            }),
        }
    }

    /// Namespaces with at least one object.
    pub(super) fn namespaces(&self) -> Vec<String> {
        self.objects.iter().flatten().flat_map(HashMap::keys).cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.objects.iter().flatten().flat_map(HashMap::values).map(Vec::len).sum()
    }
}

/// Images are most of an image stream, and no plan depends on them: an import reads the image
/// stream again.
fn without_images(mut stream: ImageStream) -> ImageStream {
    stream.resource_version = String::new();
    for image in stream.tags.iter_mut().filter_map(|tag| tag.image.as_mut()) {
        (image.digest, image.reference) = (String::new(), String::new());
    }
    stream.tags.shrink_to_fit();
    stream
}

fn only_output(config: BuildConfig) -> BuildConfig {
    let spec = CommonSpec {
        output: Output { push_secret: None, ..config.spec.output },
        service_account: None,
        ..config.spec
    };
    BuildConfig { name: config.name, spec, ..BuildConfig::default() }
}

/// The namespace, or the name of a cluster-scoped object.
fn cache_key(namespace: &str, name: &str) -> String {
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
    fn reports_only_namespaces_that_changed() {
        let mut store = Store::new(Some);
        let names = |changed: BTreeSet<String>| changed.into_iter().collect::<Vec<_>>();
        assert_eq!(
            names(store.apply_event(all(5, vec![found("a", "x", 1), found("b", "x", 2)]))),
            ["a", "b"]
        );
        assert_eq!(names(store.apply_event(WatchUpdate::Changed(found("a", "x", 6)))), ["a"]);
        // Our own write, and an event from before it.
        store.put(found("a", "x", 9));
        assert!(store.apply_event(WatchUpdate::Changed(found("a", "x", 8))).is_empty());
        assert!(store.apply_event(WatchUpdate::Changed(found("a", "x", 9))).is_empty());
        assert!(store.apply_event(gone("a", "x", 8)).is_empty(), "a newer object exists");
        assert_eq!(store.in_namespace("a").unwrap(), [9]);
        assert_eq!(names(store.apply_event(gone("a", "x", 10))), ["a"]);
        assert!(store.apply_event(gone("a", "x", 10)).is_empty());
        assert_eq!(store.namespaces(), ["b"]);
    }

    #[test]
    fn list_removes_missing_objects_except_newer_ones() {
        let mut store = Store::new(Some);
        store.apply_event(all(5, vec![found("a", "x", 1), found("b", "x", 2), found("c", "x", 3)]));
        store.put(found("c", "y", 9));
        let changed = store.apply_event(all(8, vec![found("a", "x", 1), found("b", "x", 7)]));
        assert_eq!(changed.into_iter().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(
            (
                store.in_namespace("a").unwrap(),
                store.in_namespace("b").unwrap(),
                store.in_namespace("c").unwrap()
            ),
            (vec![1], vec![7], vec![9])
        );
        assert_eq!(store.len(), 3);
    }

    #[test]
    fn keeps_known_objects_after_a_read_error() {
        let unread = |kind| {
            WatchUpdate::<u64>::Unread(ReadError { call: "list".into(), reason: "no".into(), kind })
        };
        let mut store = Store::new(Some);
        store.apply_event(unread(ReadErrorKind::Failed));
        assert!(store.objects.is_none(), "a failed read is not final");
        store.apply_event(unread(ReadErrorKind::Forbidden));
        assert_eq!(store.in_namespace("a").unwrap_err().kind, ReadErrorKind::Forbidden);
        store.apply_event(all(1, vec![found("a", "x", 1)]));
        store.apply_event(unread(ReadErrorKind::Forbidden));
        assert_eq!(store.in_namespace("a").unwrap(), [1]);
    }
}
