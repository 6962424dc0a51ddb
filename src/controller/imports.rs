//! Imports the images that builds pushed to Quay, once for each build.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use tokio::time::Instant;

use super::Controller;
use super::event::ControllerEvent;
use super::integration::ActiveIntegration;
use super::queue::{Action, MAX_BACKOFF, MIN_BACKOFF};
use crate::backoff;
use crate::cluster::{ClusterError, Versioned};
use crate::domain::builds::Destination;
use crate::domain::imports::{DueImport, ImportFailure, StreamImport, TagImport, due_import};
use crate::domain::integration::Integration;
use crate::domain::names;
use crate::domain::snapshot::{Build, ImageStream, ImportNote, Phase};

/// Builds with a due import by image stream and tag, the newest first.
type DueBuilds = BTreeMap<String, BTreeMap<Destination, Vec<Build>>>;

/// Tasks of a namespace by their builds' UIDs.
pub(super) type PendingImports = HashMap<String, ImportTask>;

/// The import of a build. It is done once, even if the tag is deleted or rolled back later.
#[derive(Debug)]
pub(super) struct ImportTask {
    build: String,
    destination: Destination,
    start: ImportStart,
    stage: ImportStage,
    /// Consecutive failures.
    failures: u32,
    /// Time of the next attempt.
    due: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ImportStage {
    /// Import the image, unless the tag has it or a newer one.
    Import,
    /// Imported or superseded; record that on the build.
    NoteImported,
    /// Requires manual action; record that on the build.
    NoteLeft,
    Done,
}

/// Whether the start of the import is recorded on the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ImportStart {
    NotStarted,
    /// The result is known to this process.
    ThisProcess,
    /// By an earlier process; its result is unknown.
    EarlierProcess,
}

impl ImportTask {
    fn is_due(&self, stage: ImportStage) -> bool {
        self.stage == stage && self.due <= Instant::now()
    }

    fn advance(&mut self, stage: ImportStage) {
        (self.stage, self.failures, self.due) = (stage, 0, Instant::now());
    }

    fn retry_later(&mut self) {
        self.failures += 1;
        self.due = Instant::now() + backoff::delay(self.failures, MIN_BACKOFF, MAX_BACKOFF);
    }
}

impl Controller<'_> {
    /// Imports with one request for each image stream. Can be interrupted at any point: results are
    /// recorded at once.
    pub(super) async fn import(
        &self,
        active: &ActiveIntegration,
        namespace: &str,
        uid: &str,
    ) -> Action {
        let integration = &active.connection.integration;
        // The namespace is queued once they are read.
        let Ok(builds) = self.state.stores().builds.in_namespace(namespace) else {
            return Action::AwaitChange;
        };
        let due = self.import_tasks(namespace, |tasks| {
            enqueue_imports(tasks, &builds, namespace, integration);
            due_builds(tasks, &builds)
        });
        for (stream, mut due) in due {
            self.record_start(namespace, &mut due).await;
            if due.is_empty() {
                continue;
            }
            for (destination, outcome) in
                self.import_into(integration, namespace, &stream, &due).await
            {
                let builds = self.import_tasks(namespace, |tasks| {
                    record_result(tasks, &due[&destination], &outcome)
                });
                let outcome = match outcome {
                    Ok(ImportResult::Imported(digest)) => Ok(digest),
                    // An earlier import was reported already.
                    Ok(ImportResult::AlreadyCurrent) => continue,
                    Err(failure) => Err(failure.to_string()),
                };
                self.emit(&ControllerEvent::Imported {
                    namespace: namespace.to_owned(),
                    uid: uid.to_owned(),
                    builds,
                    destination: destination.to_string(),
                    outcome,
                });
            }
        }
        for (uid, build, stage) in self.import_tasks(namespace, |tasks| pending_notes(tasks)) {
            let recorded = match stage {
                ImportStage::NoteLeft => {
                    self.note_import(namespace, &build, &uid, ImportNote::Left).await
                }
                _ => self.annotate_imported(namespace, &build, &uid).await,
            };
            if let Err(error) = &recorded {
                let reason = error.to_string();
                tracing::warn!(
                    namespace,
                    build,
                    reason,
                    "failed to record the import result on the build"
                );
            }
            self.import_tasks(namespace, |tasks| {
                tasks.get_mut(&uid).map(|task| {
                    if recorded.is_ok() {
                        task.advance(ImportStage::Done)
                    } else {
                        task.retry_later()
                    }
                })
            });
        }
        self.import_tasks(namespace, |tasks| next_action(tasks))
    }

    /// Imports the tags of an image stream that are older than the builds. Returns the result of
    /// each.
    async fn import_into(
        &self,
        integration: &Integration,
        namespace: &str,
        stream: &str,
        builds: &BTreeMap<Destination, Vec<Build>>,
    ) -> BTreeMap<Destination, Result<ImportResult, ImportTaskFailure>> {
        let (mut requested, mut results) = (vec![], BTreeMap::new());
        let choose = |found: Option<&ImageStream>| {
            let (import, destinations, others) = import_request(integration, found, builds);
            (requested, results) = (destinations, others);
            import
        };
        let outcomes = match self.cluster.import_image_stream(namespace, stream, choose).await {
            Ok(imported) => imported
                .into_iter()
                .map(|outcome| outcome.map(ImportResult::Imported).map_err(ImportTaskFailure::from))
                .collect(),
            Err(error) => {
                // Reading the image stream might have failed.
                requested = builds
                    .keys()
                    .filter(|destination| !results.contains_key(*destination))
                    .cloned()
                    .collect();
                vec![
                    Err(ImportTaskFailure { reason: error.to_string(), is_final: false });
                    requested.len()
                ]
            }
        };
        results.extend(requested.into_iter().zip(outcomes));
        results
    }

    pub(super) fn forget_imports(&self, namespace: &str) {
        self.pending_imports.lock().remove(namespace);
    }

    fn import_tasks<T>(&self, namespace: &str, update: impl FnOnce(&mut PendingImports) -> T) -> T {
        let mut all = self.pending_imports.lock();
        let tasks = all.entry(namespace.to_owned()).or_default();
        let result = update(tasks);
        if tasks.is_empty() {
            all.remove(namespace);
        }
        result
    }

    /// Records the start of the import on each tag's newest build. An import creates a tag even if
    /// it fails (openshift-apiserver `pkg/image/apiserver/registry/imagestreamimport/rest.go`). If
    /// the record of the result is lost, the start keeps the next process from importing a tag
    /// again that was deleted. A build that cannot be annotated waits.
    async fn record_start(&self, namespace: &str, due: &mut BTreeMap<Destination, Vec<Build>>) {
        let mut waiting = vec![];
        for (destination, builds) in &*due {
            let Some(newest) = builds.first() else { continue };
            let start = |tasks: &mut PendingImports| tasks.get(&newest.uid).map(|task| task.start);
            if self.import_tasks(namespace, start) != Some(ImportStart::NotStarted) {
                continue;
            }
            let recorded =
                self.note_import(namespace, &newest.name, &newest.uid, ImportNote::Begun).await;
            if let Err(error) = &recorded {
                let (build, reason) = (&newest.name, error.to_string());
                tracing::warn!(
                    namespace,
                    build,
                    reason,
                    "failed to record the import start on the build; import delayed"
                );
                waiting.push(destination.clone());
            }
            self.import_tasks(namespace, |tasks| {
                for build in builds {
                    let Some(task) = tasks.get_mut(&build.uid) else { continue };
                    match &recorded {
                        Ok(()) if build.uid == newest.uid => task.start = ImportStart::ThisProcess,
                        Ok(()) => {}
                        Err(_) => task.retry_later(),
                    }
                }
            });
        }
        due.retain(|destination, _| !waiting.contains(destination));
    }

    async fn annotate_imported(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<(), ClusterError> {
        self.cache_build(namespace, self.cluster.annotate_imported(namespace, name, uid).await?);
        Ok(())
    }

    async fn note_import(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        note: ImportNote,
    ) -> Result<(), ClusterError> {
        self.cache_build(
            namespace,
            self.cluster.annotate_import(namespace, name, uid, note).await?,
        );
        Ok(())
    }

    /// Updates the cache with a written build.
    fn cache_build(&self, namespace: &str, build: Option<Build>) {
        if let Some(build) = build {
            let (name, version) = (build.name.clone(), build.resource_version.clone());
            self.state.stores().builds.put(Versioned::new(namespace, &name, &version, build));
        }
    }
}

/// Adds tasks for new builds that pushed for image streams of this namespace. The pushed image
/// decides the tag: users can write any annotations. They can also write the status, so tags of
/// other namespaces are ignored.
fn enqueue_imports(
    tasks: &mut PendingImports,
    builds: &[Build],
    namespace: &str,
    integration: &Integration,
) {
    tasks.retain(|uid, _| builds.iter().any(|build| build.uid == *uid));
    for build in builds.iter().filter(|build| is_to_be_imported(build)) {
        let image = build.spec.output.to.as_ref().map(|to| to.name.as_str()).unwrap_or_default();
        let destination = Destination::from_image(image, integration)
            .filter(|destination| destination.namespace == namespace);
        // An invalid name is not in Quay, and must not be part of a URL path.
        let destination = destination.filter(|to| {
            names::validate_repository(&to.stream).is_ok() && names::validate_tag(&to.tag).is_ok()
        });
        let Some(destination) = destination.filter(|_| !tasks.contains_key(&build.uid)) else {
            continue;
        };
        let (build_name, due) = (build.name.clone(), Instant::now());
        let start = if build.import_note == ImportNote::Begun {
            ImportStart::EarlierProcess
        } else {
            ImportStart::NotStarted
        };
        let task = ImportTask {
            build: build_name,
            destination,
            start,
            stage: ImportStage::Import,
            failures: 0,
            due,
        };
        tasks.insert(build.uid.clone(), task);
    }
}

/// Whether a running build was rewritten by a webhook.
pub(super) fn is_under_way(build: &Build) -> bool {
    build.managed && !build.phase.is_over() && is_outside(build)
}

/// Whether a rewritten build is complete and not imported. Other outputs are the user's choice.
pub(super) fn is_to_be_imported(build: &Build) -> bool {
    let is_final = build.imported || build.import_note == ImportNote::Left;
    build.managed && build.phase == Phase::Complete && !is_final && is_outside(build)
}

fn is_outside(build: &Build) -> bool {
    build.spec.output.to.as_ref().is_some_and(|to| to.kind == "DockerImage")
}

fn due_builds(tasks: &PendingImports, builds: &[Build]) -> DueBuilds {
    let mut due = DueBuilds::new();
    for build in builds {
        let task = tasks.get(&build.uid).filter(|task| task.is_due(ImportStage::Import));
        let Some(ImportTask { destination, start, .. }) = task else { continue };
        // An import that this process started has a known result.
        let import_note = if *start == ImportStart::EarlierProcess {
            ImportNote::Begun
        } else {
            ImportNote::Nothing
        };
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

/// Records the result in the builds' tasks; returns the builds' names.
fn record_result(
    tasks: &mut PendingImports,
    builds: &[Build],
    outcome: &Result<ImportResult, ImportTaskFailure>,
) -> Vec<String> {
    for build in builds {
        let Some(task) = tasks.get_mut(&build.uid) else { continue };
        match outcome {
            Ok(_) => task.advance(ImportStage::NoteImported),
            Err(failure) if failure.is_final => task.advance(ImportStage::NoteLeft),
            Err(_) => task.retry_later(),
        }
    }
    let mut names: Vec<_> = builds.iter().map(|build| build.name.clone()).collect();
    names.sort();
    names
}

/// UID, name and stage of the builds on which a result is to be recorded.
fn pending_notes(tasks: &PendingImports) -> Vec<(String, String, ImportStage)> {
    let is_due = |task: &ImportTask| {
        task.is_due(ImportStage::NoteImported) || task.is_due(ImportStage::NoteLeft)
    };
    let due = tasks.iter().filter(|(_, task)| is_due(task));
    due.map(|(uid, task)| (uid.clone(), task.build.clone(), task.stage)).collect()
}

/// The action for the earliest open task.
fn next_action(tasks: &PendingImports) -> Action {
    let left = tasks.values().filter(|task| task.stage != ImportStage::Done);
    let delay = left.map(|task| task.due.saturating_duration_since(Instant::now())).min();
    delay.map_or(Action::AwaitChange, Action::RequeueAfter)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ImportResult {
    /// Imported, with this digest.
    Imported(String),
    /// The tag has this image or a newer one.
    AlreadyCurrent,
}

#[derive(Clone, Debug)]
struct ImportTaskFailure {
    reason: String,
    /// A retry would fail again.
    is_final: bool,
}

impl From<ImportFailure> for ImportTaskFailure {
    fn from(failure: ImportFailure) -> Self {
        // An image that is missing in Quay was deleted since, or never pushed.
        Self { is_final: failure.code == 404, reason: failure.to_string() }
    }
}

impl fmt::Display for ImportTaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let retry = if self.is_final { "will not retry" } else { "will retry" };
        write!(f, "{}; {retry}", self.reason)
    }
}

/// The import request for the current image stream, its tags in order, and the results of tags that
/// need no import.
fn import_request(
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
    let (mut requested, mut results) = (vec![], BTreeMap::new());
    for (destination, builds) in builds {
        let Some(newest) = builds.first() else { continue };
        let tag = stream.and_then(|stream| stream.tag(&destination.tag));
        let from = destination.image(integration);
        match due_import(tag, newest, &from) {
            DueImport::Import => {
                let policy = tag.map(|tag| tag.policy).unwrap_or_default().or_scheduled(scheduled);
                import.tags.push(TagImport { tag: destination.tag.clone(), from, policy });
                requested.push(destination.clone());
            }
            DueImport::Nothing => {
                drop(results.insert(destination.clone(), Ok(ImportResult::AlreadyCurrent)))
            }
            DueImport::Skipped(why) => {
                let reason = format!(
                    "tag not imported: {why}; to import it anyway, name the tag in `oc quay import`"
                );
                drop(results.insert(
                    destination.clone(),
                    Err(ImportTaskFailure { reason, is_final: true }),
                ));
            }
        }
    }
    (import, requested, results)
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

    fn new_tasks(builds: &[Build]) -> PendingImports {
        let mut tasks = PendingImports::new();
        enqueue_imports(&mut tasks, builds, "shop", &integration());
        tasks
    }

    /// Due tags as `stream:tag`, with the names of their builds.
    fn due_tags(tasks: &PendingImports, builds: &[Build]) -> Vec<(String, Vec<String>)> {
        let due = due_builds(tasks, builds);
        let names = |builds: &Vec<Build>| builds.iter().map(|build| build.name.clone()).collect();
        due.values()
            .flatten()
            .map(|(destination, builds)| (destination.to_string(), names(builds)))
            .collect()
    }

    fn stream(tags: Vec<StreamTag>) -> ImageStream {
        ImageStream { name: "app".into(), tags, ..ImageStream::default() }
    }

    #[test]
    fn groups_own_builds_by_tag_and_ignores_others() {
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
        assert_eq!(due_tags(&new_tasks(&builds), &builds), expected);
    }

    #[test]
    fn imports_tags_of_stream_together_with_their_policies() {
        let builds = [build("a", &app("1")), build("b", &app("2"))];
        let due = due_builds(&new_tasks(&builds), &builds).remove("app").expect("its builds");
        let policy = ImportPolicy { scheduled: false, keeps_lists: true };
        let kept = StreamTag { name: "2".into(), policy, ..StreamTag::default() };
        let (import, requested, results) =
            import_request(&integration(), Some(&stream(vec![kept])), &due);
        assert_eq!(
            requested.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["shop/app:1", "shop/app:2"]
        );
        assert!(!import.insecure && results.is_empty());
        let tags: Vec<_> = import
            .tags
            .iter()
            .map(|tag| (tag.from.clone(), tag.policy.scheduled, tag.policy.keeps_lists))
            .collect();
        assert_eq!(
            tags,
            [(app("1"), true, false), (app("2"), true, true)],
            "a tag keeps its own policy"
        );
    }

    #[test]
    fn build_cannot_import_into_another_namespace() {
        let builds = [build("a", "quay.example.com/openshift_victim/app:1"), build("b", &app("1"))];
        assert_eq!(
            due_tags(&new_tasks(&builds), &builds),
            [("shop/app:1".to_owned(), vec!["b".to_owned()])]
        );
    }

    #[test]
    fn does_not_import_into_newer_or_unrelated_tags() {
        let at = jiff::Timestamp::from_second(100).ok();
        let digest = Some("sha256:1".to_owned());
        let builds = ["1", "2", "3"].map(|tag| Build {
            completed: at,
            digest: digest.clone(),
            ..build(tag, &app(tag))
        });
        let due = due_builds(&new_tasks(&builds), &builds).remove("app").expect("its builds");
        let tag =
            |name: &str, image| StreamTag { name: name.into(), image, ..StreamTag::default() };
        let newer =
            TagImage { digest: "sha256:0".into(), created: Some(101), ..TagImage::default() };
        let other = TagSource { kind: "ImageStreamTag".into(), name: "base:1".into() };
        let tags = vec![tag("2", Some(newer)), StreamTag { from: Some(other), ..tag("3", None) }];
        let (import, requested, results) =
            import_request(&integration(), Some(&stream(tags)), &due);
        assert_eq!((import.tags.len(), requested.len()), (1, 1));
        let outcomes: Vec<_> = results
            .values()
            .map(|outcome| outcome.clone().map_err(|failure| failure.to_string()))
            .collect();
        let left = "tag not imported: it follows ImageStreamTag base:1; to import it anyway, name the tag in `oc quay import`; will not retry";
        assert_eq!(outcomes, [Ok(ImportResult::AlreadyCurrent), Err(left.to_owned())]);
    }

    #[test]
    fn imports_once_and_retries_only_transient_failures() {
        let failure =
            |code| Err(ImportTaskFailure::from(ImportFailure { code, message: "no".into() }));
        for (outcome, is_noted, is_left) in [
            (Ok(ImportResult::Imported("sha256:1".to_owned())), true, true),
            (Ok(ImportResult::AlreadyCurrent), true, true),
            (failure(500), false, true),
            (failure(401), false, true),
            (failure(404), true, true),
        ] {
            let builds = [build("a", &app("1"))];
            let mut tasks = new_tasks(&builds);
            let names = record_result(&mut tasks, &builds, &outcome);
            assert_eq!(names, ["a"]);
            enqueue_imports(&mut tasks, &builds, "shop", &integration());
            assert!(due_tags(&tasks, &builds).is_empty(), "{outcome:?}: not retried at once");
            assert_eq!(
                (!pending_notes(&tasks).is_empty(), next_action(&tasks) != Action::AwaitChange),
                (is_noted, is_left),
                "{outcome:?}"
            );
            // A later build of the same name has a task of its own.
            let later = [Build { uid: "another".into(), ..builds[0].clone() }];
            enqueue_imports(&mut tasks, &later, "shop", &integration());
            assert_eq!((tasks.len(), due_tags(&tasks, &later).len()), (1, 1));
        }
    }

    #[test]
    fn retries_recording_without_importing_again() {
        let builds = [build("a", &app("1"))];
        let mut tasks = new_tasks(&builds);
        record_result(&mut tasks, &builds, &Ok(ImportResult::Imported("sha256:1".into())));
        tasks.get_mut("uid of a").expect("it").retry_later();
        assert!(due_tags(&tasks, &builds).is_empty() && pending_notes(&tasks).is_empty());
        assert!(matches!(next_action(&tasks), Action::RequeueAfter(pause) if !pause.is_zero()));
    }
}
