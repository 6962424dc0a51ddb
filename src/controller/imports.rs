//! Images that builds pushed to Quay, imported once into the tags that the builds are for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::PoisonError;

use tokio::time::Instant;

use super::Controller;
use super::event::ControllerEvent;
use super::integration::ActiveIntegration;
use super::queue::{Action, MAX_BACKOFF, MIN_BACKOFF};
use crate::backoff;
use crate::cluster::{ClusterError, Versioned};
use crate::domain::builds::Destination;
use crate::domain::imports::{DueImport, ImportFailure, StreamImport, TagImport, due};
use crate::domain::integration::Integration;
use crate::domain::names;
use crate::domain::snapshot::{Build, ImageStream, ImportNote, Phase};

/// What is to be looked at now: by image stream and tag, the builds that pushed it, the newest first.
type DueBuilds = BTreeMap<String, BTreeMap<Destination, Vec<Build>>>;

/// What is to be done for the builds of a namespace, by their uids.
pub(super) type PendingImports = HashMap<String, ImportTask>;

/// What is to be done for a build. What is done once is not done again, whatever becomes of the tag later: a deletion or a
/// rollback is not ours to undo.
#[derive(Debug)]
pub(super) struct ImportTask {
    build: String,
    destination: Destination,
    begun: Begun,
    stage: ImportStage,
    /// Failures in a row.
    failures: u32,
    /// When it is tried again at the earliest.
    due: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ImportStage {
    /// Its image is to be imported, unless its tag has that or something newer.
    Import,
    /// It is in its tag, or something newer is, and that is to be noted on the build.
    NoteImported,
    /// It is left to a person, and that is to be noted on the build.
    NoteLeft,
    /// Nothing is left to do.
    Done,
}

/// Whether the build bears the note that its import is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    No,
    /// What came of it is known here.
    Here,
    /// By a controller that ran before: it may have been done.
    Before,
}

impl ImportTask {
    fn is_due(&self, stage: ImportStage) -> bool {
        self.stage == stage && self.due <= Instant::now()
    }

    fn continue_imports(&mut self, stage: ImportStage) {
        (self.stage, self.failures, self.due) = (stage, 0, Instant::now());
    }

    fn wait(&mut self) {
        self.failures += 1;
        self.due = Instant::now() + backoff::after(self.failures, MIN_BACKOFF, MAX_BACKOFF);
    }
}

impl Controller<'_> {
    /// Imports what the builds of a namespace pushed, with one request for each image stream. Says when something is to be
    /// tried again. May be interrupted anywhere: what was done is kept at once.
    pub(super) async fn import(
        &self,
        bound: &ActiveIntegration,
        namespace: &str,
        uid: &str,
    ) -> Action {
        let integration = &bound.target.integration;
        // The namespace is looked at again once they are read.
        let Ok(builds) = self.shared.cache().builds.of(namespace) else {
            return Action::AwaitChange;
        };
        let due = self.import_tasks(namespace, |errands| {
            enqueue_imports(errands, &builds, namespace, integration);
            due_builds(errands, &builds)
        });
        for (stream, mut due) in due {
            self.note_begun(namespace, &mut due).await;
            if due.is_empty() {
                continue;
            }
            for (destination, outcome) in
                self.import_into(integration, namespace, &stream, &due).await
            {
                let builds = self.import_tasks(namespace, |errands| {
                    settle(errands, &due[&destination], &outcome)
                });
                let outcome = match outcome {
                    Ok(ImportResult::Now(digest)) => Ok(digest),
                    // What was done before is told already, or by who did it.
                    Ok(ImportResult::Before) => continue,
                    Err(failure) => Err(failure.to_string()),
                };
                self.tell(&ControllerEvent::Imported {
                    namespace: namespace.to_owned(),
                    uid: uid.to_owned(),
                    builds,
                    destination: destination.to_string(),
                    outcome,
                });
            }
        }
        for (uid, build, stage) in self.import_tasks(namespace, |errands| to_note(errands)) {
            let noted = match stage {
                ImportStage::NoteLeft => {
                    self.note_import(namespace, &build, &uid, ImportNote::Left).await
                }
                _ => self.note_imported(namespace, &build, &uid).await,
            };
            if let Err(error) = &noted {
                let reason = error.to_string();
                tracing::warn!(
                    namespace,
                    build,
                    reason,
                    "what came of the build's import could not be noted on it"
                );
            }
            self.import_tasks(namespace, |errands| {
                errands.get_mut(&uid).map(|errand| {
                    if noted.is_ok() {
                        errand.continue_imports(ImportStage::Done)
                    } else {
                        errand.wait()
                    }
                })
            });
        }
        self.import_tasks(namespace, |errands| next(errands))
    }

    /// Imports into an image stream what builds pushed for its tags, as far as these are older. What came of each.
    async fn import_into(
        &self,
        integration: &Integration,
        namespace: &str,
        stream: &str,
        builds: &BTreeMap<Destination, Vec<Build>>,
    ) -> BTreeMap<Destination, Result<ImportResult, ImportTaskFailure>> {
        let (mut asked, mut settled) = (vec![], BTreeMap::new());
        let choose = |found: Option<&ImageStream>| {
            let (import, destinations, others) = request(integration, found, builds);
            (asked, settled) = (destinations, others);
            import
        };
        let outcomes = match self.cluster.import_image_stream(namespace, stream, choose).await {
            Ok(imported) => imported
                .into_iter()
                .map(|outcome| outcome.map(ImportResult::Now).map_err(ImportTaskFailure::from))
                .collect(),
            Err(error) => {
                // The image stream may not even have been read.
                asked = builds
                    .keys()
                    .filter(|destination| !settled.contains_key(*destination))
                    .cloned()
                    .collect();
                vec![
                    Err(ImportTaskFailure { reason: error.to_string(), is_final: false });
                    asked.len()
                ]
            }
        };
        settled.extend(asked.into_iter().zip(outcomes));
        settled
    }

    /// A namespace that is not linked, or gone, has nothing to import.
    pub(super) fn forget_imports(&self, namespace: &str) {
        self.errands.lock().unwrap_or_else(PoisonError::into_inner).remove(namespace);
    }

    fn import_tasks<T>(&self, namespace: &str, work: impl FnOnce(&mut PendingImports) -> T) -> T {
        let mut all = self.errands.lock().unwrap_or_else(PoisonError::into_inner);
        let errands = all.entry(namespace.to_owned()).or_default();
        let done = work(errands);
        if errands.is_empty() {
            all.remove(namespace);
        }
        done
    }

    /// Notes on the newest build of each tag that its import is begun. Where the note on what came of it is lost, the next
    /// controller so imports no tag again that a person deleted: an import leaves a tag behind even where it fails
    /// (openshift-apiserver `pkg/image/apiserver/registry/imagestreamimport/rest.go`). A build on which nothing can be noted
    /// waits.
    async fn note_begun(&self, namespace: &str, due: &mut BTreeMap<Destination, Vec<Build>>) {
        let mut waiting = vec![];
        for (destination, builds) in &*due {
            let Some(newest) = builds.first() else { continue };
            let begun =
                |errands: &mut PendingImports| errands.get(&newest.uid).map(|errand| errand.begun);
            if self.import_tasks(namespace, begun) != Some(Begun::No) {
                continue;
            }
            let noted =
                self.note_import(namespace, &newest.name, &newest.uid, ImportNote::Begun).await;
            if let Err(error) = &noted {
                let (build, reason) = (&newest.name, error.to_string());
                tracing::warn!(
                    namespace,
                    build,
                    reason,
                    "the build is not imported, since that could not be noted on it"
                );
                waiting.push(destination.clone());
            }
            self.import_tasks(namespace, |errands| {
                for build in builds {
                    let Some(errand) = errands.get_mut(&build.uid) else { continue };
                    match &noted {
                        Ok(()) if build.uid == newest.uid => errand.begun = Begun::Here,
                        Ok(()) => {}
                        Err(_) => errand.wait(),
                    }
                }
            });
        }
        due.retain(|destination, _| !waiting.contains(destination));
    }

    async fn note_imported(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<(), ClusterError> {
        self.keep_build(namespace, self.cluster.note_imported(namespace, name, uid).await?);
        Ok(())
    }

    async fn note_import(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        note: ImportNote,
    ) -> Result<(), ClusterError> {
        self.keep_build(namespace, self.cluster.note_import(namespace, name, uid, note).await?);
        Ok(())
    }

    /// Keeps a build as it is after a write, unless it is gone.
    fn keep_build(&self, namespace: &str, build: Option<Build>) {
        if let Some(build) = build {
            let (name, version) = (build.name.clone(), build.resource_version.clone());
            self.shared.cache().builds.put(Versioned::new(namespace, &name, &version, build));
        }
    }
}

/// Takes up builds of a namespace that are new to us and pushed for its own image streams. Where a build's image goes is
/// said by where it was pushed to: whoever makes a build can write into its annotations what they like. They can write into
/// its status, too, that it pushed to another namespace's organization, so other namespaces' tags are left alone.
fn enqueue_imports(
    errands: &mut PendingImports,
    builds: &[Build],
    namespace: &str,
    integration: &Integration,
) {
    errands.retain(|uid, _| builds.iter().any(|build| build.uid == *uid));
    for build in builds.iter().filter(|build| is_to_be_imported(build)) {
        let image = build.spec.output.to.as_ref().map(|to| to.name.as_str()).unwrap_or_default();
        let destination = Destination::of_image(image, integration)
            .filter(|destination| destination.namespace == namespace);
        // What is no name can be in no path, and not in Quay either.
        let destination = destination
            .filter(|to| names::repository(&to.stream).is_ok() && names::tag(&to.tag).is_ok());
        let Some(destination) = destination.filter(|_| !errands.contains_key(&build.uid)) else {
            continue;
        };
        let (build_name, due) = (build.name.clone(), Instant::now());
        let begun = if build.import_note == ImportNote::Begun { Begun::Before } else { Begun::No };
        let errand = ImportTask {
            build: build_name,
            destination,
            begun,
            stage: ImportStage::Import,
            failures: 0,
            due,
        };
        errands.insert(build.uid.clone(), errand);
    }
}

/// Whether a build is to push an image by a webhook's doing.
pub(super) fn is_under_way(build: &Build) -> bool {
    build.managed && !build.phase.is_over() && is_outside(build)
}

/// Whether a build pushed an image by a webhook's doing that is neither imported nor left to a person. The output of any
/// other is what somebody wrote, and whether a tag is to follow it is theirs to say.
pub(super) fn is_to_be_imported(build: &Build) -> bool {
    let is_settled = build.imported || build.import_note == ImportNote::Left;
    build.managed && build.phase == Phase::Complete && !is_settled && is_outside(build)
}

fn is_outside(build: &Build) -> bool {
    build.spec.output.to.as_ref().is_some_and(|to| to.kind == "DockerImage")
}

fn due_builds(errands: &PendingImports, builds: &[Build]) -> DueBuilds {
    let mut due = DueBuilds::new();
    for build in builds {
        let errand = errands.get(&build.uid).filter(|errand| errand.is_due(ImportStage::Import));
        let Some(ImportTask { destination, begun, .. }) = errand else { continue };
        // What came of an import that was begun here is known.
        let import_note =
            if *begun == Begun::Before { ImportNote::Begun } else { ImportNote::Nothing };
        let build = Build { import_note, ..build.clone() };
        due.entry(destination.stream.clone())
            .or_default()
            .entry(destination.clone())
            .or_default()
            .push(build);
    }
    due.values_mut()
        .flat_map(BTreeMap::values_mut)
        .for_each(|builds| builds.sort_by_key(|build| Reverse(build.completed)));
    due
}

/// Keeps what came of the imports of builds; their names.
fn settle(
    errands: &mut PendingImports,
    builds: &[Build],
    outcome: &Result<ImportResult, ImportTaskFailure>,
) -> Vec<String> {
    for build in builds {
        let Some(errand) = errands.get_mut(&build.uid) else { continue };
        match outcome {
            Ok(_) => errand.continue_imports(ImportStage::NoteImported),
            Err(failure) if failure.is_final => errand.continue_imports(ImportStage::NoteLeft),
            Err(_) => errand.wait(),
        }
    }
    let mut names: Vec<_> = builds.iter().map(|build| build.name.clone()).collect();
    names.sort();
    names
}

/// The builds, by uid and name, on which it is to be noted now what came of their import.
fn to_note(errands: &PendingImports) -> Vec<(String, String, ImportStage)> {
    let is_due = |errand: &ImportTask| {
        errand.is_due(ImportStage::NoteImported) || errand.is_due(ImportStage::NoteLeft)
    };
    let due = errands.iter().filter(|(_, errand)| is_due(errand));
    due.map(|(uid, errand)| (uid.clone(), errand.build.clone(), errand.stage)).collect()
}

/// When the first of what is left to do is due.
fn next(errands: &PendingImports) -> Action {
    let left = errands.values().filter(|errand| errand.stage != ImportStage::Done);
    let pause = left.map(|errand| errand.due.saturating_duration_since(Instant::now())).min();
    pause.map_or(Action::AwaitChange, Action::RequeueAfter)
}

/// What became of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ImportResult {
    /// It is in its tag now, with this digest.
    Now(String),
    /// It was there before, or something newer is.
    Before,
}

/// Why an image was not imported.
#[derive(Clone, Debug)]
struct ImportTaskFailure {
    reason: String,
    /// No other try would fare better.
    is_final: bool,
}

impl From<ImportFailure> for ImportTaskFailure {
    fn from(failure: ImportFailure) -> Self {
        // What is not in Quay although it was pushed was deleted since, or never pushed.
        Self { is_final: failure.code == 404, reason: failure.to_string() }
    }
}

impl fmt::Display for ImportTaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hope = if self.is_final { "it is not tried again" } else { "it is tried again" };
        write!(f, "{}; {hope}", self.reason)
    }
}

/// What to import into an image stream as it is now, with the tags in their order, and what is settled without.
fn request(
    integration: &Integration,
    stream: Option<&ImageStream>,
    builds: &BTreeMap<Destination, Vec<Build>>,
) -> (StreamImport, Vec<Destination>, BTreeMap<Destination, Result<ImportResult, ImportTaskFailure>>)
{
    let (scheduled, insecure) = integration
        .resource
        .as_ref()
        .map_or((false, false), |found| (found.scheduled, found.insecure));
    let mut import = StreamImport { tags: vec![], insecure };
    let (mut asked, mut settled) = (vec![], BTreeMap::new());
    for (destination, builds) in builds {
        let Some(newest) = builds.first() else { continue };
        let tag = stream.and_then(|stream| stream.tag(&destination.tag));
        let from = destination.image(integration);
        match due(tag, newest, &from) {
            DueImport::Import => {
                let policy = tag.map(|tag| tag.policy).unwrap_or_default().or_scheduled(scheduled);
                import.tags.push(TagImport { tag: destination.tag.clone(), from, policy });
                asked.push(destination.clone());
            }
            DueImport::Nothing => {
                drop(settled.insert(destination.clone(), Ok(ImportResult::Before)))
            }
            DueImport::Left(why) => {
                let reason = format!("{why}, so it stays as it is unless it is imported by name");
                drop(settled.insert(
                    destination.clone(),
                    Err(ImportTaskFailure { reason, is_final: true }),
                ));
            }
        }
    }
    (import, asked, settled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::builds::{CommonSpec, Output, Target};
    use crate::domain::integration::{QuayIntegration, Source, Sourced};
    use crate::domain::names::{ClusterId, QuayUrl};
    use crate::domain::snapshot::{ImportPolicy, StreamTag, TagImage, TagSource};

    fn integration() -> Integration {
        let source = Source::Resource("quay".into());
        let (url, _) = QuayUrl::parse("https://quay.example.com").expect("an address");
        Integration {
            url: Sourced { value: url, source: source.clone() },
            cluster_id: Sourced { value: ClusterId::new("openshift"), source },
            resource: Some(QuayIntegration { scheduled: true, ..Default::default() }),
            lists_unread: false,
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

    fn taken_up(builds: &[Build]) -> PendingImports {
        let mut errands = PendingImports::new();
        enqueue_imports(&mut errands, builds, "shop", &integration());
        errands
    }

    /// The tags that are due, as `stream:tag` with the names of their builds.
    fn due_tags(errands: &PendingImports, builds: &[Build]) -> Vec<(String, Vec<String>)> {
        let due = due_builds(errands, builds);
        let names = |builds: &Vec<Build>| builds.iter().map(|build| build.name.clone()).collect();
        due.values()
            .flatten()
            .map(|(destination, builds)| (destination.to_string(), names(builds)))
            .collect()
    }

    /// The image stream `app` with these tags.
    fn stream(tags: Vec<StreamTag>) -> ImageStream {
        ImageStream { name: "app".into(), tags, ..ImageStream::default() }
    }

    #[test]
    fn builds_of_one_tag_are_one_import_and_those_of_others_none() {
        let elsewhere = build("elsewhere", "docker.io/shop/app:1");
        let other_cluster = build("other-cluster", "quay.example.com/staging_shop/app:1");
        let running = Build { phase: Phase::Running, ..build("running", &app("2")) };
        let imported = Build { imported: true, ..build("imported", &app("2")) };
        let by_hand = Build { managed: false, ..build("by-hand", &app("3")) };
        let forged = ["app?dryRun=All:1", "..:1", "app:a b"]
            .map(|name| build(name, &format!("quay.example.com/openshift_shop/{name}")));
        let web = build("web", "quay.example.com/openshift_shop/web:latest");
        let at =
            |second, build| Build { completed: jiff::Timestamp::from_second(second).ok(), ..build };
        let same =
            [at(1, build("a", &app("1"))), at(2, build("b", &app("1"))), build("c", &app("2"))];
        let builds = [
            same.as_slice(),
            &forged,
            &[web, elsewhere, other_cluster, running, imported, by_hand],
        ]
        .concat();
        let expected = [
            ("shop/app:1", vec!["b", "a"]),
            ("shop/app:2", vec!["c"]),
            ("shop/web:latest", vec!["web"]),
        ];
        let expected = expected
            .map(|(tag, names)| (tag.to_owned(), names.into_iter().map(str::to_owned).collect()));
        assert_eq!(due_tags(&taken_up(&builds), &builds), expected);
    }

    #[test]
    fn tags_of_one_stream_are_one_request_with_the_policies_that_they_have() {
        let builds = [build("a", &app("1")), build("b", &app("2"))];
        let due = due_builds(&taken_up(&builds), &builds).remove("app").expect("its builds");
        let policy = ImportPolicy { scheduled: false, keeps_lists: true };
        let kept = StreamTag { name: "2".into(), policy, ..StreamTag::default() };
        let (import, asked, settled) = request(&integration(), Some(&stream(vec![kept])), &due);
        assert_eq!(
            asked.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["shop/app:1", "shop/app:2"]
        );
        assert!(!import.insecure && settled.is_empty());
        let tags: Vec<_> = import
            .tags
            .iter()
            .map(|tag| (tag.from.clone(), tag.policy.scheduled, tag.policy.keeps_lists))
            .collect();
        assert_eq!(
            tags,
            [(app("1"), true, false), (app("2"), true, true)],
            "what a tag has of its own stays"
        );
    }

    #[test]
    fn no_build_brings_an_image_into_another_namespace() {
        let builds = [build("a", "quay.example.com/openshift_victim/app:1"), build("b", &app("1"))];
        assert_eq!(
            due_tags(&taken_up(&builds), &builds),
            [("shop/app:1".to_owned(), vec!["b".to_owned()])]
        );
    }

    #[test]
    fn what_is_newer_or_follows_something_else_is_settled_without_an_import() {
        let at = jiff::Timestamp::from_second(100).ok();
        let digest = Some("sha256:1".to_owned());
        let builds = ["1", "2", "3"].map(|tag| Build {
            completed: at,
            digest: digest.clone(),
            ..build(tag, &app(tag))
        });
        let due = due_builds(&taken_up(&builds), &builds).remove("app").expect("its builds");
        let tag =
            |name: &str, image| StreamTag { name: name.into(), image, ..StreamTag::default() };
        let newer =
            TagImage { digest: "sha256:0".into(), created: Some(101), ..TagImage::default() };
        let other = TagSource { kind: "ImageStreamTag".into(), name: "base:1".into() };
        let tags = vec![tag("2", Some(newer)), StreamTag { from: Some(other), ..tag("3", None) }];
        let (import, asked, settled) = request(&integration(), Some(&stream(tags)), &due);
        assert_eq!((import.tags.len(), asked.len()), (1, 1));
        let said: Vec<_> = settled
            .values()
            .map(|outcome| outcome.clone().map_err(|failure| failure.to_string()))
            .collect();
        let left = "it follows ImageStreamTag base:1, so it stays as it is unless it is imported by name; it is not tried again";
        assert_eq!(said, [Ok(ImportResult::Before), Err(left.to_owned())]);
    }

    #[test]
    fn an_import_is_done_once_and_tried_again_only_where_that_may_help() {
        let failure =
            |code| Err(ImportTaskFailure::from(ImportFailure { code, message: "no".into() }));
        for (outcome, is_noted, is_left) in [
            (Ok(ImportResult::Now("sha256:1".to_owned())), true, true),
            (Ok(ImportResult::Before), true, true),
            (failure(500), false, true),
            (failure(401), false, true),
            (failure(404), true, true),
        ] {
            let builds = [build("a", &app("1"))];
            let mut errands = taken_up(&builds);
            let names = settle(&mut errands, &builds, &outcome);
            assert_eq!(names, ["a"]);
            enqueue_imports(&mut errands, &builds, "shop", &integration());
            assert!(
                due_tags(&errands, &builds).is_empty(),
                "{outcome:?}: at once it is not tried again"
            );
            assert_eq!(
                (!to_note(&errands).is_empty(), next(&errands) != Action::AwaitChange),
                (is_noted, is_left),
                "{outcome:?}"
            );
            // One that was made later under the name of another is another.
            let later = [Build { uid: "another".into(), ..builds[0].clone() }];
            enqueue_imports(&mut errands, &later, "shop", &integration());
            assert_eq!((errands.len(), due_tags(&errands, &later).len()), (1, 1));
        }
    }

    #[test]
    fn a_note_that_cannot_be_written_waits_and_nothing_is_imported_again() {
        let builds = [build("a", &app("1"))];
        let mut errands = taken_up(&builds);
        settle(&mut errands, &builds, &Ok(ImportResult::Now("sha256:1".into())));
        errands.get_mut("uid of a").expect("it").wait();
        assert!(due_tags(&errands, &builds).is_empty() && to_note(&errands).is_empty());
        assert!(matches!(next(&errands), Action::RequeueAfter(pause) if !pause.is_zero()));
    }
}
