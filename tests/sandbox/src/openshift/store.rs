//! The objects of the cluster, a counter for their versions, and the recent changes for watches.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::kinds::{Id, Kind};
use super::meta;

/// Number of stored changes; a watch from an older version expires.
const HISTORY: usize = 10_000;

/// The kind, namespace (empty for cluster-scoped), name: the order of lists.
type Key = (Id, String, String);

/// A change of an object at one resource version.
pub(crate) struct Change {
    /// The counter's value; the object carries it as its resourceVersion.
    pub(crate) version: u64,
    pub(crate) kind: &'static Kind,
    /// The object as it was, absent when it is new.
    pub(crate) before: Option<Arc<Value>>,
    /// The object as it is, or was when it was removed.
    pub(crate) object: Arc<Value>,
    pub(crate) removed: bool,
}

/// Every object, by kind, namespace and name.
pub(crate) struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    version: u64,
    /// Changes up to this version are forgotten.
    forgotten: u64,
    history: VecDeque<Arc<Change>>,
    changed: watch::Sender<u64>,
}

impl Store {
    pub(crate) fn new() -> Self {
        // etcd's counter does not begin at 1 on any cluster that answers.
        let version = 1_000;
        let (changed, _) = watch::channel(version);
        Self {
            objects: BTreeMap::new(),
            version,
            forgotten: version,
            history: VecDeque::new(),
            changed,
        }
    }

    /// The version of the latest change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Subscribes to every change from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.objects.get(&(kind.id(), namespace.to_owned(), name.to_owned()))
    }

    /// The objects of a kind in one namespace, or in all (and cluster-scoped ones) when it is `None`.
    pub(crate) fn list<'a>(
        &'a self,
        kind: &'a Kind,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Arc<Value>> {
        let first = (kind.id(), namespace.unwrap_or_default().to_owned(), String::new());
        self.objects
            .range(first..)
            .take_while(move |((id, of, _), _)| {
                *id == kind.id() && namespace.is_none_or(|namespace| namespace == of)
            })
            .map(|(_, object)| object)
    }

    /// Stores a new object, or a new version of one.
    pub(crate) fn write(&mut self, kind: &'static Kind, mut object: Value) -> Arc<Value> {
        let key = (kind.id(), meta::namespace(&object).to_owned(), meta::name(&object).to_owned());
        self.stamp(&mut object);
        let object = Arc::new(object);
        let before = self.objects.insert(key, Arc::clone(&object));
        self.record(kind, before, Arc::clone(&object), false);
        object
    }

    /// Removes an object. Its last version, as watches see it, is the one of its removal.
    pub(crate) fn remove(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Value>> {
        let before = self.objects.remove(&(kind.id(), namespace.to_owned(), name.to_owned()))?;
        let mut last = Value::clone(&before);
        self.stamp(&mut last);
        let last = Arc::new(last);
        self.record(kind, Some(before), Arc::clone(&last), true);
        Some(last)
    }

    /// The changes after `version`, oldest first, or `None` when some of them are forgotten.
    pub(crate) fn changes_since(&self, version: u64) -> Option<impl Iterator<Item = &Arc<Change>>> {
        let known = self.history.partition_point(|change| change.version <= version);
        (version >= self.forgotten).then(|| self.history.range(known..))
    }

    /// True if the changes after `version` are all remembered.
    pub(crate) fn remembers(&self, version: u64) -> bool {
        version >= self.forgotten
    }

    /// Forgets the past and moves on by one version, so that every version handed out so far is too old.
    pub(crate) fn expire_history(&mut self) {
        self.version += 1;
        self.forgotten = self.version;
        self.history.clear();
        self.changed.send_replace(self.version);
    }

    fn stamp(&mut self, object: &mut Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
    }

    fn record(
        &mut self,
        kind: &'static Kind,
        before: Option<Arc<Value>>,
        object: Arc<Value>,
        removed: bool,
    ) {
        self.history.push_back(Arc::new(Change {
            version: self.version,
            kind,
            before,
            object,
            removed,
        }));
        if self.history.len() > HISTORY
            && let Some(change) = self.history.pop_front()
        {
            self.forgotten = change.version;
        }
        self.changed.send_replace(self.version);
    }
}
