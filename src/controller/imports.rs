//! Images that builds pushed to Quay, imported once into the tags that the builds are for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Engine;
use super::integration::Bound;
use super::reconcile::written;
use super::telemetry::Event;
use crate::bridge::builds::Destination;
use crate::bridge::imports::{StreamImport, TagImport};
use crate::bridge::integration::Integration;
use crate::bridge::snapshot::{Build, Phase};
use crate::controller::webhook::View as _;

/// What builds pushed and nobody imported: by tag, the builds that pushed it.
type Pending = BTreeMap<Destination, BTreeSet<String>>;

impl Engine<'_> {
    /// Imports what the builds of a namespace pushed, with one request for each image stream. Answers why something
    /// could not be imported.
    pub(super) async fn import(&self, bound: &Bound, namespace: &str, uid: &str) -> Option<String> {
        let integration = &bound.target.integration;
        let builds = self.shared.cache().builds.of(namespace).unwrap_or_default();
        let pending = pending(&builds, integration, |destination, completed| self.is_wanted(namespace, destination, completed));
        let mut failed = None;
        for (import, destinations) in requests(&pending, integration) {
            let outcomes = match self.cluster.import_stream(&import).await {
                Ok(imported) => imported.into_iter().map(|tag| tag.outcome.map_err(|failure| failure.to_string())).collect(),
                Err(error) => vec![Err(error.to_string()); destinations.len()],
            };
            for (destination, outcome) in destinations.into_iter().zip(outcomes) {
                let builds = &pending[&destination];
                let outcome = match outcome {
                    Ok(digest) => self.note_imported(namespace, builds).await.map(|()| digest),
                    Err(reason) => Err(reason),
                };
                if let Err(reason) = &outcome {
                    failed.get_or_insert_with(|| format!("import into {destination}: {reason}"));
                }
                self.tell(&Event::Imported {
                    namespace: namespace.to_owned(),
                    uid: uid.to_owned(),
                    builds: builds.iter().cloned().collect(),
                    destination: destination.to_string(),
                    outcome,
                });
            }
        }
        failed
    }

    /// Whether a build's image belongs into a tag: its namespace is in scope, and a build from before our time has not
    /// been overtaken, by a rollback above all.
    fn is_wanted(&self, namespace: &str, destination: &Destination, completed: Option<Timestamp>) -> bool {
        let in_scope =
            destination.namespace == namespace || self.shared.scope(&destination.namespace).is_some_and(|scope| scope.is_in());
        let is_recent = completed.is_some_and(|completed| completed >= self.started);
        in_scope && (is_recent || !self.has_image(destination))
    }

    fn has_image(&self, destination: &Destination) -> bool {
        let streams = self.shared.cache().image_streams.of(&destination.namespace).unwrap_or_default();
        let mut tags = streams.iter().filter(|stream| stream.name == destination.stream).flat_map(|stream| &stream.tags);
        tags.any(|tag| tag.name == destination.tag && tag.image.is_some())
    }

    async fn note_imported(&self, namespace: &str, builds: &BTreeSet<String>) -> Result<(), String> {
        for name in builds {
            let noted = self.cluster.note_imported(namespace, name).await.map_err(|error| error.to_string())?;
            if let Some(build) = noted {
                let version = build.resource_version.clone();
                self.shared.cache().builds.put(written(namespace, name, &version, build));
            }
        }
        Ok(())
    }
}

/// What builds pushed and nobody imported, as far as it is wanted. Where a build's image goes is said by where it was
/// pushed to: whoever makes a build can write into its annotations what they like.
fn pending(builds: &[Build], integration: &Integration, is_wanted: impl Fn(&Destination, Option<Timestamp>) -> bool) -> Pending {
    let mut pending = Pending::new();
    for build in builds.iter().filter(|build| build.phase == Phase::Complete && !build.imported) {
        let image = build.spec.output.to.as_ref().map(|to| to.name.as_str()).unwrap_or_default();
        let destination = Destination::of_image(image, integration);
        if let Some(destination) = destination.filter(|destination| is_wanted(destination, build.completed)) {
            pending.entry(destination).or_default().insert(build.name.clone());
        }
    }
    pending
}

/// A request for each image stream, with the tags in its order.
fn requests(pending: &Pending, integration: &Integration) -> Vec<(StreamImport, Vec<Destination>)> {
    let (scheduled, insecure) = integration.resource.as_ref().map_or((false, false), |found| (found.scheduled, found.insecure));
    let mut requests: BTreeMap<(&str, &str), (StreamImport, Vec<Destination>)> = BTreeMap::new();
    for destination in pending.keys() {
        let (namespace, stream) = (destination.namespace.clone(), destination.stream.clone());
        let new = || (StreamImport { namespace, stream, tags: vec![], scheduled, insecure }, vec![]);
        let (import, destinations) = requests.entry((&destination.namespace, &destination.stream)).or_insert_with(new);
        import.tags.push(TagImport { tag: destination.tag.clone(), from: destination.image(integration) });
        destinations.push(destination.clone());
    }
    requests.into_values().collect()
}
