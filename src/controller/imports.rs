//! Images that builds pushed to Quay, imported once into the tags that the builds are for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::PoisonError;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Engine;
use super::integration::Bound;
use super::queue::{FIRST_PAUSE, LONGEST_PAUSE, Next};
use super::telemetry::Event;
use crate::bridge::builds::Destination;
use crate::bridge::imports::{ImportFailure, StreamImport, TagImport};
use crate::bridge::integration::Integration;
use crate::bridge::snapshot::{Build, ImageStream, Phase, StreamTag};
use crate::cluster::{ClusterError, Found};
use crate::pause;

/// What is to be imported now: by tag, the uids of the builds that pushed it.
type Due = BTreeMap<Destination, BTreeSet<String>>;

/// What is to be done for the builds of a namespace, by their uids.
pub(super) type Errands = HashMap<String, Errand>;

/// What is to be done for a build. What was decided or done once is not decided or done again, whatever becomes of the
/// tag later: a deletion or a rollback is not ours to undo.
#[derive(Debug)]
pub(super) struct Errand {
    build: String,
    destination: Destination,
    stage: Stage,
    /// Failures in a row.
    failures: u32,
    /// When it is tried again at the earliest.
    due: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its image is to be imported.
    Import,
    /// That was done, and is to be noted on the build.
    Note,
    /// Nothing is left to do.
    Done,
}

impl Errand {
    fn is_due(&self, stage: Stage) -> bool {
        self.stage == stage && self.due <= Instant::now()
    }

    fn go_on(&mut self, stage: Stage) {
        (self.stage, self.failures, self.due) = (stage, 0, Instant::now());
    }

    fn wait(&mut self) {
        self.failures += 1;
        self.due = Instant::now() + pause::after(self.failures, FIRST_PAUSE, LONGEST_PAUSE);
    }
}

impl Engine<'_> {
    /// Imports what the builds of a namespace pushed, with one request for each image stream. Says when something is to be
    /// tried again. May be interrupted anywhere: what was done is kept at once.
    pub(super) async fn import(&self, bound: &Bound, namespace: &str, uid: &str) -> Next {
        let integration = &bound.target.integration;
        // Neither a rollback nor a tag's own import policy would show; the namespace is looked at again once they are read.
        let Ok(streams) = self.shared.cache().image_streams.of(namespace) else { return Next::Rest };
        let Ok(builds) = self.shared.cache().builds.of(namespace) else { return Next::Rest };
        let is_wanted = |destination: &Destination, completed: Option<Timestamp>| {
            let is_recent = completed.is_some_and(|completed| completed >= self.started);
            // A build from before our time may have been overtaken, by a rollback above all.
            is_recent || tag_of(&streams, destination).is_none_or(|tag| tag.image.is_none())
        };
        let due = self.errands_of(namespace, |errands| {
            take_up(errands, &builds, namespace, integration, is_wanted);
            due(errands)
        });
        for (import, destinations) in requests(&due, &streams, integration) {
            let outcomes = match self.cluster.import_stream(&import).await {
                Ok(imported) => imported.into_iter().map(|outcome| outcome.map_err(Failure::from)).collect(),
                Err(error) => vec![Err(Failure { reason: error.to_string(), is_final: false }); destinations.len()],
            };
            for (destination, outcome) in destinations.into_iter().zip(outcomes) {
                let builds = self.errands_of(namespace, |errands| settle(errands, &due[&destination], &outcome));
                self.tell(&Event::Imported {
                    namespace: namespace.to_owned(),
                    uid: uid.to_owned(),
                    builds,
                    destination: destination.to_string(),
                    outcome: outcome.map_err(|failure| failure.to_string()),
                });
            }
        }
        for (uid, build) in self.errands_of(namespace, |errands| to_note(errands)) {
            let noted = self.note_imported(namespace, &build).await;
            if let Err(error) = &noted {
                let reason = error.to_string();
                tracing::warn!(namespace, build, reason, "the build is imported, but that could not be noted on it");
            }
            self.errands_of(namespace, |errands| {
                errands.get_mut(&uid).map(|errand| if noted.is_ok() { errand.go_on(Stage::Done) } else { errand.wait() })
            });
        }
        self.errands_of(namespace, |errands| next(errands))
    }

    /// A namespace that is not linked, or gone, has nothing to import.
    pub(super) fn forget_imports(&self, namespace: &str) {
        self.errands.lock().unwrap_or_else(PoisonError::into_inner).remove(namespace);
    }

    fn errands_of<T>(&self, namespace: &str, work: impl FnOnce(&mut Errands) -> T) -> T {
        let mut all = self.errands.lock().unwrap_or_else(PoisonError::into_inner);
        let errands = all.entry(namespace.to_owned()).or_default();
        let done = work(errands);
        if errands.is_empty() {
            all.remove(namespace);
        }
        done
    }

    async fn note_imported(&self, namespace: &str, name: &str) -> Result<(), ClusterError> {
        if let Some(build) = self.cluster.note_imported(namespace, name).await? {
            let version = build.resource_version.clone();
            self.shared.cache().builds.put(Found::new(namespace, name, &version, build));
        }
        Ok(())
    }
}

/// Takes up builds of a namespace that are new to us and pushed for its own image streams. Where a build's image goes is
/// said by where it was pushed to: whoever makes a build can write into its annotations what they like. They can write into
/// its status, too, that it pushed to another namespace's organization, so other namespaces' tags are left alone.
fn take_up(
    errands: &mut Errands,
    builds: &[Build],
    namespace: &str,
    integration: &Integration,
    is_wanted: impl Fn(&Destination, Option<Timestamp>) -> bool,
) {
    errands.retain(|uid, _| builds.iter().any(|build| build.uid == *uid));
    for build in builds.iter().filter(|build| is_to_be_imported(build)) {
        let image = build.spec.output.to.as_ref().map(|to| to.name.as_str()).unwrap_or_default();
        let destination = Destination::of_image(image, integration).filter(|destination| destination.namespace == namespace);
        let Some(destination) = destination.filter(|_| !errands.contains_key(&build.uid)) else { continue };
        let stage = if is_wanted(&destination, build.completed) { Stage::Import } else { Stage::Done };
        let errand = Errand { build: build.name.clone(), destination, stage, failures: 0, due: Instant::now() };
        errands.insert(build.uid.clone(), errand);
    }
}

/// Whether a build pushed an image by a webhook's doing that nobody has imported. The output of any other is what somebody
/// wrote, and whether a tag is to follow it is theirs to say.
pub(super) fn is_to_be_imported(build: &Build) -> bool {
    let is_outside = build.spec.output.to.as_ref().is_some_and(|to| to.kind == "DockerImage");
    build.managed && build.phase == Phase::Complete && !build.imported && is_outside
}

fn due(errands: &Errands) -> Due {
    let mut due = Due::new();
    for (uid, errand) in errands.iter().filter(|(_, errand)| errand.is_due(Stage::Import)) {
        due.entry(errand.destination.clone()).or_default().insert(uid.clone());
    }
    due
}

/// Keeps what came of an import; the names of the builds that it was for.
fn settle(errands: &mut Errands, uids: &BTreeSet<String>, outcome: &Result<String, Failure>) -> Vec<String> {
    let mut names = Vec::new();
    for (_, errand) in errands.iter_mut().filter(|(uid, _)| uids.contains(*uid)) {
        names.push(errand.build.clone());
        match outcome {
            Ok(_) => errand.go_on(Stage::Note),
            Err(failure) if failure.is_final => errand.go_on(Stage::Done),
            Err(_) => errand.wait(),
        }
    }
    names.sort();
    names
}

/// The builds, by uid and name, whose import is to be noted on them now.
fn to_note(errands: &Errands) -> Vec<(String, String)> {
    let due = errands.iter().filter(|(_, errand)| errand.is_due(Stage::Note));
    due.map(|(uid, errand)| (uid.clone(), errand.build.clone())).collect()
}

/// When the first of what is left to do is due.
fn next(errands: &Errands) -> Next {
    let left = errands.values().filter(|errand| errand.stage != Stage::Done);
    let pause = left.map(|errand| errand.due.saturating_duration_since(Instant::now())).min();
    pause.map_or(Next::Rest, Next::After)
}

/// Why an image was not imported.
#[derive(Clone, Debug)]
struct Failure {
    reason: String,
    /// No other try would fare better.
    is_final: bool,
}

impl From<ImportFailure> for Failure {
    fn from(failure: ImportFailure) -> Self {
        // What is not in Quay although it was pushed was deleted since, or never pushed.
        Self { is_final: failure.code == 404, reason: failure.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hope = if self.is_final { "it is not tried again" } else { "it is tried again" };
        write!(f, "{}; {hope}", self.reason)
    }
}

fn tag_of<'a>(streams: &'a [ImageStream], destination: &Destination) -> Option<&'a StreamTag> {
    streams.iter().find(|stream| stream.name == destination.stream)?.tag(&destination.tag)
}

/// A request for each image stream, with the tags in its order.
fn requests(due: &Due, streams: &[ImageStream], integration: &Integration) -> Vec<(StreamImport, Vec<Destination>)> {
    let (scheduled, insecure) = integration.resource.as_ref().map_or((false, false), |found| (found.scheduled, found.insecure));
    let mut requests: BTreeMap<(&str, &str), (StreamImport, Vec<Destination>)> = BTreeMap::new();
    for destination in due.keys() {
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
        let (name, uid) = (name.to_owned(), format!("uid of {name}"));
        Build { name, uid, phase: Phase::Complete, spec, managed: true, ..Default::default() }
    }

    fn app(tag: &str) -> String {
        format!("quay.example.com/openshift_shop/app:{tag}")
    }

    fn taken_up(builds: &[Build], is_wanted: bool) -> Errands {
        let mut errands = Errands::new();
        take_up(&mut errands, builds, "shop", &integration(), |_, _| is_wanted);
        errands
    }

    #[test]
    fn tags_of_one_stream_are_one_request_and_builds_of_one_tag_one_import() {
        let elsewhere = build("elsewhere", "docker.io/shop/app:1");
        let other_cluster = build("other-cluster", "quay.example.com/staging_shop/app:1");
        let running = Build { phase: Phase::Running, ..build("running", &app("2")) };
        let imported = Build { imported: true, ..build("imported", &app("2")) };
        let by_hand = Build { managed: false, ..build("by-hand", &app("3")) };
        let web = build("web", "quay.example.com/openshift_shop/web:latest");
        let same = [build("a", &app("1")), build("b", &app("1")), build("c", &app("2"))];
        let builds = [same.as_slice(), &[web, elsewhere, other_cluster, running, imported, by_hand]].concat();
        let due = due(&taken_up(&builds, true));
        let policy = ImportPolicy { scheduled: false, keeps_lists: true };
        let kept = StreamTag { name: "2".into(), policy, ..StreamTag::default() };
        let streams = [ImageStream { name: "app".into(), tags: vec![kept], ..ImageStream::default() }];
        let requests = requests(&due, &streams, &integration());
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
        assert_eq!(due.values().next().map(BTreeSet::len), Some(2));
    }

    #[test]
    fn no_build_brings_an_image_into_another_namespace() {
        let errands = taken_up(&[build("a", "quay.example.com/openshift_victim/app:1"), build("b", &app("1"))], true);
        assert_eq!(due(&errands).keys().map(ToString::to_string).collect::<Vec<_>>(), ["shop/app:1"]);
    }

    #[test]
    fn whether_an_image_is_wanted_is_decided_once() {
        let builds = [build("a", &app("1"))];
        for first in [false, true] {
            let mut errands = taken_up(&builds, first);
            take_up(&mut errands, &builds, "shop", &integration(), |_, _| !first);
            assert_eq!(!due(&errands).is_empty(), first);
        }
        // One that was made anew under the name of another is another.
        let mut errands = taken_up(&builds, false);
        let anew = Build { uid: "another".into(), ..builds[0].clone() };
        take_up(&mut errands, &[anew], "shop", &integration(), |_, _| true);
        assert_eq!((errands.len(), due(&errands).len()), (1, 1));
    }

    #[test]
    fn an_import_is_done_once_and_tried_again_only_where_that_may_help() {
        let failure = |code| Err(Failure::from(ImportFailure { code, message: "no".into() }));
        for (outcome, is_noted, is_left) in [
            (Ok("sha256:1".to_owned()), true, true),
            (failure(500), false, true),
            (failure(401), false, true),
            (failure(404), false, false),
        ] {
            let builds = [build("a", &app("1"))];
            let mut errands = taken_up(&builds, true);
            let names = settle(&mut errands, &BTreeSet::from(["uid of a".to_owned()]), &outcome);
            assert_eq!(names, ["a"]);
            assert!(due(&errands).is_empty(), "{outcome:?}: at once it is not tried again");
            assert_eq!((!to_note(&errands).is_empty(), next(&errands) != Next::Rest), (is_noted, is_left), "{outcome:?}");
        }
    }

    #[test]
    fn a_note_that_cannot_be_written_waits_and_nothing_is_imported_again() {
        let mut errands = taken_up(&[build("a", &app("1"))], true);
        let uid = "uid of a".to_owned();
        settle(&mut errands, &BTreeSet::from([uid.clone()]), &Ok("sha256:1".into()));
        errands.get_mut(&uid).expect("it").wait();
        assert!(due(&errands).is_empty() && to_note(&errands).is_empty());
        assert!(matches!(next(&errands), Next::After(pause) if !pause.is_zero()));
    }
}
