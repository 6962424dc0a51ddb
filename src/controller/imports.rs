//! Images that builds pushed to Quay, imported once into the tags that the builds are for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Engine;
use super::integration::Bound;
use super::telemetry::Event;
use crate::bridge::builds::Destination;
use crate::bridge::imports::{StreamImport, TagImport};
use crate::bridge::integration::Integration;
use crate::bridge::snapshot::{Build, ImageStream, Phase, StreamTag};
use crate::cluster::Found;

/// What builds pushed and nobody imported: by tag, the builds that pushed it.
type Pending = BTreeMap<Destination, BTreeSet<String>>;

impl Engine<'_> {
    /// Imports what the builds of a namespace pushed, with one request for each image stream. Answers why something
    /// could not be imported.
    pub(super) async fn import(&self, bound: &Bound, namespace: &str, uid: &str) -> Option<String> {
        let integration = &bound.target.integration;
        let builds = self.shared.cache().builds.of(namespace).unwrap_or_default();
        // Neither a rollback nor a tag's own import policy would show; the namespace is looked at again once they are read.
        let streams = self.shared.cache().image_streams.of(namespace).ok()?;
        let is_wanted = |destination: &Destination, completed: Option<Timestamp>| {
            let is_recent = completed.is_some_and(|completed| completed >= self.started);
            // A build from before our time may have been overtaken, by a rollback above all.
            is_recent || tag_of(&streams, destination).is_none_or(|tag| tag.image.is_none())
        };
        let pending = pending(&builds, namespace, integration, is_wanted);
        let mut failed = None;
        for (import, destinations) in requests(&pending, &streams, integration) {
            let outcomes = match self.cluster.import_stream(&import).await {
                Ok(imported) => imported.into_iter().map(|outcome| outcome.map_err(|failure| failure.to_string())).collect(),
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

    async fn note_imported(&self, namespace: &str, builds: &BTreeSet<String>) -> Result<(), String> {
        for name in builds {
            let noted = self.cluster.note_imported(namespace, name).await.map_err(|error| error.to_string())?;
            if let Some(build) = noted {
                let version = build.resource_version.clone();
                self.shared.cache().builds.put(Found::new(namespace, name, &version, build));
            }
        }
        Ok(())
    }
}

/// What builds of a namespace pushed for its own image streams and nobody imported, as far as it is wanted. Where a build's
/// image goes is said by where it was pushed to: whoever makes a build can write into its annotations what they like. They
/// can write into its status, too, that it pushed to another namespace's organization, so other namespaces' tags are left
/// alone.
fn pending(
    builds: &[Build],
    namespace: &str,
    integration: &Integration,
    is_wanted: impl Fn(&Destination, Option<Timestamp>) -> bool,
) -> Pending {
    let mut pending = Pending::new();
    for build in builds.iter().filter(|build| build.phase == Phase::Complete && !build.imported) {
        let image = build.spec.output.to.as_ref().map(|to| to.name.as_str()).unwrap_or_default();
        let destination = Destination::of_image(image, integration).filter(|destination| destination.namespace == namespace);
        if let Some(destination) = destination.filter(|destination| is_wanted(destination, build.completed)) {
            pending.entry(destination).or_default().insert(build.name.clone());
        }
    }
    pending
}

fn tag_of<'a>(streams: &'a [ImageStream], destination: &Destination) -> Option<&'a StreamTag> {
    streams.iter().find(|stream| stream.name == destination.stream)?.tag(&destination.tag)
}

/// A request for each image stream, with the tags in its order.
fn requests(pending: &Pending, streams: &[ImageStream], integration: &Integration) -> Vec<(StreamImport, Vec<Destination>)> {
    let (scheduled, insecure) = integration.resource.as_ref().map_or((false, false), |found| (found.scheduled, found.insecure));
    let mut requests: BTreeMap<(&str, &str), (StreamImport, Vec<Destination>)> = BTreeMap::new();
    for destination in pending.keys() {
        let (namespace, stream) = (destination.namespace.clone(), destination.stream.clone());
        let new = || (StreamImport { namespace, stream, tags: vec![], insecure }, vec![]);
        let (import, destinations) = requests.entry((&destination.namespace, &destination.stream)).or_insert_with(new);
        let policy = tag_of(streams, destination).map(|tag| tag.policy).unwrap_or_default().or_scheduled(scheduled);
        import.tags.push(TagImport { tag: destination.tag.clone(), from: destination.image(integration), policy });
        destinations.push(destination.clone());
    }
    requests.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::builds::{CommonSpec, Output, Target};
    use crate::bridge::integration::{QuayIntegration, Setting, Source};
    use crate::bridge::names::{ClusterId, QuayUrl};
    use crate::bridge::snapshot::ImportPolicy;

    fn integration() -> Integration {
        let source = Source::Resource("quay".into());
        let (url, _) = QuayUrl::parse("https://quay.example.com").expect("an address");
        Integration {
            url: Setting { value: url, source: source.clone() },
            cluster_id: Setting { value: ClusterId::new("openshift"), source },
            resource: Some(QuayIntegration { scheduled: true, ..Default::default() }),
            insecure: false,
            cluster: "api.example.com:6443".into(),
        }
    }

    fn build(name: &str, image: &str) -> Build {
        let to = Some(Target { kind: "DockerImage".into(), namespace: None, name: image.into() });
        let spec = CommonSpec { output: Output { to, push_secret: None }, ..Default::default() };
        Build { name: name.into(), phase: Phase::Complete, spec, ..Default::default() }
    }

    #[test]
    fn tags_of_one_stream_are_one_request_and_builds_of_one_tag_one_import() {
        let app = |tag: &str| format!("quay.example.com/openshift_shop/app:{tag}");
        let elsewhere = build("elsewhere", "docker.io/shop/app:1");
        let other_cluster = build("other-cluster", "quay.example.com/staging_shop/app:1");
        let running = Build { phase: Phase::Running, ..build("running", &app("2")) };
        let imported = Build { imported: true, ..build("imported", &app("2")) };
        let web = build("web", "quay.example.com/openshift_shop/web:latest");
        let builds = [
            build("a", &app("1")),
            build("b", &app("1")),
            build("c", &app("2")),
            web,
            elsewhere,
            other_cluster,
            running,
            imported,
        ];
        let pending = pending(&builds, "shop", &integration(), |_, _| true);
        let policy = ImportPolicy { scheduled: false, keeps_lists: true };
        let kept = StreamTag { name: "2".into(), policy, ..StreamTag::default() };
        let streams = [ImageStream { name: "app".into(), tags: vec![kept], ..ImageStream::default() }];
        let requests = requests(&pending, &streams, &integration());
        let seen: Vec<_> = requests
            .iter()
            .map(|(import, _)| (import.stream.as_str(), import.tags.iter().map(|tag| tag.from.clone()).collect::<Vec<_>>()))
            .collect();
        assert_eq!(
            seen,
            [("app", vec![app("1"), app("2")]), ("web", vec!["quay.example.com/openshift_shop/web:latest".to_owned()])]
        );
        assert!(requests.iter().all(|(import, _)| !import.insecure && import.namespace == "shop"));
        let policies = requests.iter().flat_map(|(import, _)| import.tags.iter().map(|tag| tag.policy));
        let policies: Vec<_> = policies.map(|policy| (policy.scheduled, policy.keeps_lists)).collect();
        assert_eq!(policies, [(true, false), (true, true), (true, false)], "what a tag has of its own stays");
        assert_eq!(pending.values().next().map(|builds| builds.len()), Some(2));
    }

    #[test]
    fn no_build_brings_an_image_into_another_namespace() {
        let builds = [build("a", "quay.example.com/openshift_victim/app:1"), build("b", "quay.example.com/openshift_shop/app:1")];
        let pending = pending(&builds, "shop", &integration(), |_, _| true);
        assert_eq!(pending.keys().map(ToString::to_string).collect::<Vec<_>>(), ["shop/app:1"]);
    }
}
