//! What is known of the cluster, few bytes an object, kept up to date by watches and by what we write ourselves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::bridge::desired;
use crate::bridge::snapshot::{ImageStream, Namespace, Read, Secret, ServiceAccount, Unread, UnreadKind};
use crate::cluster::{Found, News};

/// What is in the name of every secret of ours (QBO `pkg/utils/utils.go:60`), whatever the cluster ID.
const OUR_SECRETS: &str = "-quay-";

/// What is known of the cluster.
#[derive(Debug)]
pub(super) struct Cache {
    /// The namespaces; each is in itself, so to speak.
    pub(super) namespaces: Kept<Namespace>,
    /// The service accounts that are linked.
    pub(super) service_accounts: Kept<ServiceAccount>,
    /// The secrets that may be ours. Those of others are none of our business.
    pub(super) secrets: Kept<Secret>,
    /// The image streams.
    pub(super) image_streams: Kept<ImageStream>,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            namespaces: Kept::new(|_| true),
            service_accounts: Kept::new(|account| desired::role(account).is_some()),
            secrets: Kept::new(|secret| secret.name.contains(OUR_SECRETS)),
            image_streams: Kept::new(|_| true),
        }
    }

    /// Whether everything was read once, or is known not to be readable.
    pub(super) fn is_complete(&self) -> bool {
        self.namespaces.known.is_some()
            && self.service_accounts.known.is_some()
            && self.secrets.known.is_some()
            && self.image_streams.known.is_some()
    }
}

/// The objects of one kind.
#[derive(Debug)]
pub(super) struct Kept<T> {
    /// None before the first answer.
    known: Option<Read<HashMap<String, Vec<Held<T>>>>>,
    is_kept: fn(&T) -> bool,
}

#[derive(Debug)]
struct Held<T> {
    name: Box<str>,
    version: u64,
    object: T,
}

impl<T: Clone> Kept<T> {
    fn new(is_kept: fn(&T) -> bool) -> Self {
        Self { known: None, is_kept }
    }

    /// Takes in what is new; answers the namespaces in which that changes something.
    pub(super) fn absorb(&mut self, news: News<T>) -> BTreeSet<String> {
        match news {
            News::All(version, found) => self.replace(version, found),
            News::Changed(found) if (self.is_kept)(&found.object) => self.put(found).into_iter().collect(),
            News::Changed(Found { namespace, name, version, .. }) | News::Gone(Found { namespace, name, version, .. }) => {
                self.remove(namespace, &name, version).into_iter().collect()
            }
            News::Unread(unread) => {
                let is_final = unread.kind == UnreadKind::Forbidden;
                if matches!(self.known, Some(Err(_))) || (self.known.is_none() && is_final) {
                    self.known = Some(Err(unread));
                }
                BTreeSet::new()
            }
        }
    }

    /// Takes in one object; what is older than what is known changes nothing.
    pub(super) fn put(&mut self, found: Found<T>) -> Option<String> {
        let Some(Ok(known)) = &mut self.known else { return None };
        let place = place(&found.namespace, &found.name);
        let held = Held { name: found.name.into(), version: found.version, object: found.object };
        let others = known.entry(place.clone()).or_default();
        match others.iter_mut().find(|other| other.name == held.name) {
            Some(other) if other.version >= held.version && held.version > 0 => return None,
            Some(other) => *other = held,
            None => others.push(held),
        }
        Some(place)
    }

    fn remove(&mut self, namespace: String, name: &str, version: u64) -> Option<String> {
        let Some(Ok(known)) = &mut self.known else { return None };
        let place = place(&namespace, name);
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
    fn replace(&mut self, version: u64, found: Vec<Found<T>>) -> BTreeSet<String> {
        let mut before = match self.known.replace(Ok(HashMap::new())) {
            Some(Ok(known)) => known,
            _ => HashMap::new(),
        };
        let versions = |known: &HashMap<String, Vec<Held<T>>>, place: &String| -> BTreeMap<Box<str>, u64> {
            known.get(place).into_iter().flatten().map(|held| (held.name.clone(), held.version)).collect()
        };
        let kept = found.into_iter().filter(|found| (self.is_kept)(&found.object)).collect::<Vec<_>>();
        for found in kept {
            self.put(found);
        }
        let Some(Ok(known)) = &mut self.known else { return BTreeSet::new() };
        let places: BTreeSet<String> = before.keys().chain(known.keys()).cloned().collect();
        let changed = places.into_iter().filter(|place| versions(&before, place) != versions(known, place)).collect();
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
    pub(super) fn of(&self, namespace: &str) -> Read<Vec<T>> {
        match &self.known {
            Some(Ok(known)) => Ok(known.get(namespace).into_iter().flatten().map(|held| held.object.clone()).collect()),
            Some(Err(unread)) => Err(unread.clone()),
            None => Err(Unread {
                call: "look into the cluster".into(),
                reason: "nothing was read yet".into(),
                kind: UnreadKind::Skipped,
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

/// Where an object is kept: what is in no namespace, under its own name.
fn place(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { namespace.to_owned() }
}
