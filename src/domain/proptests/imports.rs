//! Histories of a tag: whatever happens to it in the cluster, in Quay and in the controller,
//! imports never undo the last action of a user.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;

use super::generators::{golden, integration};
use super::with_subject;
use crate::domain::builds::{CommonSpec, Destination, Output, Strategy as BuildStrategy, Target};
use crate::domain::checks;
use crate::domain::finding::Code;
use crate::domain::imports::{self, DueImport, ImportRequest, due_import};
use crate::domain::snapshot::*;

const IMAGE: &str = "localhost:18443/parity_golden/app:latest";

/// An event in the history of a tag.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A user pushes an image or a manifest list to Quay.
    PushToQuay { list: bool },
    /// A rewritten build pushes to Quay and completes.
    Build,
    /// A user pushes to the internal registry.
    PushToCluster,
    /// `oc tag app@sha256:0 app:latest`.
    RollBack,
    /// `oc tag docker.io/library/app:1 app:latest`; OpenShift might not have imported it yet.
    FollowElsewhere { imported: bool },
    /// `oc tag QUAY/app:latest app:latest`, with `--reference` or `--scheduled`.
    FollowQuay { reference: bool, scheduled: bool, keeps_lists: bool },
    /// `oc tag -d app:latest`.
    DeleteTag,
    /// OpenShift runs pending and scheduled imports.
    OpenShift,
    /// `oc quay import --missing`.
    ImportMissing,
    /// The controller reconciles completed builds. The response to its import can be lost, or its
    /// annotation of the build.
    Controller { answer_lost: bool, note_lost: bool },
    /// Another controller takes over.
    Restart,
}

/// The source of the image that the tag must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastWriter {
    Quay,
    Build,
    Cluster,
}

struct Simulation {
    /// Seconds; several events can share one.
    clock: i64,
    /// The offset of Quay's clock in seconds.
    ahead: i64,
    quay: Option<RepositoryTag>,
    tag: Option<StreamTag>,
    generation: i64,
    builds: Vec<Build>,
    /// The builds that this controller has processed.
    settled: BTreeSet<String>,
    last_writer: LastWriter,
}

impl Simulation {
    fn new(ahead: i64) -> Self {
        let (builds, settled) = (vec![], BTreeSet::new());
        Self {
            clock: 1000,
            ahead,
            quay: None,
            tag: None,
            generation: 1,
            builds,
            settled,
            last_writer: LastWriter::Quay,
        }
    }

    fn digest(&self) -> String {
        format!("sha256:{}-{}", self.clock, self.builds.len())
    }

    fn push_to_quay(&mut self, digest: String, is_list: bool) {
        self.quay = Some(RepositoryTag {
            name: "latest".into(),
            digest,
            is_list,
            pushed: self.clock + self.ahead,
        });
    }

    /// Sets the tag's image, and its source if `from` is one.
    fn tag(&mut self, from: Option<(&str, &str)>, image: Option<(&str, String)>) {
        self.generation += i64::from(from.is_some());
        let before = self
            .tag
            .take()
            .unwrap_or_else(|| StreamTag { name: "latest".into(), ..StreamTag::default() });
        let tag = match from {
            Some((kind, name)) => StreamTag {
                from: Some(TagSource { kind: kind.into(), name: name.into() }),
                generation: self.generation,
                policy: ImportPolicy::default(),
                reference: false,
                ..before
            },
            None => before,
        };
        let (created, generation) = (Some(self.clock), self.generation);
        let image = image.map(|(repository, digest)| TagImage {
            reference: format!("{repository}@{digest}"),
            digest,
            created,
            generation,
        });
        self.tag = Some(StreamTag { image: image.or(tag.image), ..tag });
    }

    /// Imports like openshift-apiserver (`pkg/image/apiserver/registry/imagestreamimport/rest.go`).
    /// Returns false if Quay has no image.
    fn import(&mut self, policy: ImportPolicy) -> bool {
        let Some(now) = self.quay.clone() else { return false };
        let digest = if now.is_list && !policy.keeps_lists {
            format!("{}-of-amd64", now.digest)
        } else {
            now.digest
        };
        let has = self
            .tag
            .as_ref()
            .filter(|tag| tag.follows() == Some(IMAGE))
            .and_then(|tag| tag.image.as_ref());
        let reference = self.tag.as_ref().is_some_and(|tag| tag.reference);
        if has.is_none_or(|has| has.digest != digest || has.created.is_none()) || self.is_pending()
        {
            self.tag(
                Some(("DockerImage", IMAGE)),
                Some(("localhost:18443/parity_golden/app", digest)),
            );
        }
        let tag = self.tag.take().unwrap();
        self.tag = Some(StreamTag { policy, reference, ..tag });
        true
    }

    fn is_pending(&self) -> bool {
        let Some(tag) = &self.tag else { return false };
        tag.image.as_ref().is_none_or(|image| image.generation < tag.generation)
    }

    fn apply(&mut self, step: Step) {
        let digest = self.digest();
        match step {
            Step::PushToQuay { list } => {
                self.push_to_quay(digest, list);
                // A tag that follows the cluster does not change.
                self.last_writer = if self.last_writer == LastWriter::Cluster {
                    LastWriter::Cluster
                } else {
                    LastWriter::Quay
                };
            }
            Step::Build => {
                self.clock += 1;
                let digest = self.digest();
                self.push_to_quay(digest.clone(), false);
                let to = Some(Target {
                    kind: "DockerImage".into(),
                    namespace: None,
                    name: IMAGE.into(),
                });
                let output = Output { to, push_secret: None };
                let spec = CommonSpec {
                    strategy: Some(BuildStrategy::Docker),
                    output,
                    service_account: None,
                };
                let (name, completed) =
                    (format!("app-{}", self.builds.len()), Timestamp::from_second(self.clock).ok());
                let (uid, digest, phase) = (name.clone(), Some(digest), Phase::Complete);
                self.builds.push(Build {
                    name,
                    uid,
                    spec,
                    phase,
                    completed,
                    digest,
                    managed: true,
                    ..Build::default()
                });
                self.last_writer = LastWriter::Build;
            }
            Step::PushToCluster => {
                self.tag(None, Some(("registry.svc:5000/golden/app", format!("{digest}-inside"))));
                self.last_writer = LastWriter::Cluster;
            }
            Step::RollBack => {
                self.tag(
                    Some(("ImageStreamImage", "app@sha256:0")),
                    Some(("registry.svc:5000/golden/app", "sha256:0".into())),
                );
                self.last_writer = LastWriter::Cluster;
            }
            Step::FollowElsewhere { imported } => {
                let image = imported.then_some(("docker.io/library/app", digest));
                self.tag(Some(("DockerImage", "docker.io/library/app:1")), image);
                self.last_writer = LastWriter::Cluster;
            }
            Step::FollowQuay { reference, scheduled, keeps_lists } => {
                self.tag(Some(("DockerImage", IMAGE)), None);
                let policy = ImportPolicy { scheduled, keeps_lists };
                self.tag = self.tag.take().map(|tag| StreamTag { reference, policy, ..tag });
                self.last_writer = LastWriter::Quay;
            }
            Step::DeleteTag => {
                // A build that was not imported yet might be newer than the deletion.
                let is_known =
                    |build: &Build| build.imported || build.import_note != ImportNote::Nothing;
                if self.tag.take().is_some() {
                    self.last_writer = if self.builds.iter().all(is_known) {
                        LastWriter::Cluster
                    } else {
                        LastWriter::Quay
                    };
                }
            }
            Step::OpenShift => {
                let follower =
                    self.tag.clone().filter(|tag| tag.follows() == Some(IMAGE) && !tag.reference);
                let wanted = follower.filter(|tag| tag.policy.scheduled || self.is_pending());
                if wanted.is_some_and(|tag| self.import(tag.policy))
                    && self.last_writer == LastWriter::Cluster
                {
                    self.last_writer = LastWriter::Quay;
                }
            }
            Step::ImportMissing => self.import_missing(),
            Step::Controller { answer_lost, note_lost } => {
                self.run_controller(answer_lost, note_lost)
            }
            Step::Restart => self.settled.clear(),
        }
    }

    fn import_missing(&mut self) {
        let builds = imports::latest_builds(&integration(), "golden", &self.builds);
        let ended = |build: &Build| build.completed.unwrap().as_second();
        let built: BTreeMap<_, _> =
            builds.values().map(|build| (IMAGE.to_owned(), ended(build))).collect();
        let tags = BTreeMap::from([("app".to_owned(), self.quay.iter().cloned().collect())]);
        let streams = [self.stream()];
        let selection = ImportRequest { named: &[], missing: true, built: &built }.select(
            &streams,
            &tags,
            |stream, tag| {
                Destination::new("golden", &format!("{stream}:{tag}")).image(&integration())
            },
        );
        for selected in selection.selected {
            // The user requests missing tags.
            self.last_writer =
                if selected.seen.is_none() { LastWriter::Quay } else { self.last_writer };
            assert!(self.import(selected.seen.map(|seen| seen.policy).unwrap_or_default()));
        }
    }

    fn run_controller(&mut self, answer_lost: bool, note_lost: bool) {
        let is_settled = |build: &&Build| {
            build.imported
                || build.import_note == ImportNote::Left
                || self.settled.contains(&build.uid)
        };
        let left: Vec<_> = self.builds.iter().filter(|build| !is_settled(build)).collect();
        let Some(newest) = left.iter().max_by_key(|build| build.completed) else { return };
        let uids: Vec<String> = left.iter().map(|build| build.uid.clone()).collect();
        let due = due_import(self.tag.as_ref(), newest, IMAGE);
        if due == DueImport::Import {
            let uid = newest.uid.clone();
            self.builds
                .iter_mut()
                .filter(|build| build.uid == uid)
                .for_each(|build| build.import_note = ImportNote::Begun);
            self.import(self.tag.as_ref().map(|tag| tag.policy).unwrap_or_default());
            if answer_lost {
                return;
            }
        }
        for build in self.builds.iter_mut().filter(|build| uids.contains(&build.uid) && !note_lost)
        {
            match due {
                DueImport::Skipped(_) => build.import_note = ImportNote::Left,
                DueImport::Nothing | DueImport::Import => build.imported = true,
            }
        }
        self.settled.extend(uids);
    }

    fn stream(&self) -> ImageStream {
        ImageStream {
            name: "app".into(),
            tags: self.tag.iter().cloned().collect(),
            ..ImageStream::default()
        }
    }

    /// The findings of `status` about the tag.
    fn findings(&self) -> BTreeSet<Code> {
        let mut snapshot = golden();
        let pushed = self.quay.as_ref().map(|now| now.pushed);
        snapshot.image_streams = Ok(vec![self.stream()]);
        snapshot.builds = Ok(self.builds.clone());
        let organization = snapshot.organization.as_mut().unwrap().as_mut().unwrap();
        organization.pushed = Some([("app".to_owned(), pushed)].into());
        let to_read =
            imports::pushed_since(&integration(), "golden", &[self.stream()], organization);
        let tags = Ok(self.quay.iter().cloned().collect());
        organization.tags = to_read.into_iter().map(|name| (name, tags.clone())).collect();
        let found =
            with_subject(&snapshot, checks::namespace).into_iter().flat_map(|check| check.findings);
        found
            .map(|finding| finding.code)
            .filter(|code| (Code::TagNotImported..=Code::TagPushedOver).contains(code))
            .collect()
    }
}

/// The part of a tag that a user sets.
fn content(tag: Option<&StreamTag>) -> Option<(Option<TagSource>, Option<TagImage>)> {
    tag.map(|tag| (tag.from.clone(), tag.image.clone()))
}

fn apply_and_check(simulation: &mut Simulation, step: Step) {
    let before = simulation.tag.clone();
    simulation.apply(step);
    let after = simulation.tag.as_ref();
    if let Step::ImportMissing | Step::Controller { .. } = step {
        if simulation.last_writer == LastWriter::Cluster {
            assert_eq!(
                content(after),
                content(before.as_ref()),
                "{step:?} undid the last user action"
            );
        }
        // The time since when a tag follows another source is unknown until an image of that source
        // is imported. A missing tag might have been deleted.
        let is_open = before.as_ref().is_some_and(|tag| {
            let is_pending =
                tag.image.as_ref().is_none_or(|image| image.generation < tag.generation);
            let is_elsewhere = tag.from.is_some() && tag.follows() != Some(IMAGE);
            !(tag.reference || is_elsewhere && is_pending)
        });
        let is_answered = matches!(step, Step::Controller { answer_lost: false, .. });
        if simulation.last_writer == LastWriter::Build && is_open && is_answered {
            let digest = after.and_then(|tag| tag.image.as_ref()).map(|image| &image.digest);
            assert_eq!(
                digest,
                simulation.quay.as_ref().map(|now| &now.digest),
                "the image of a build was not imported"
            );
        }
    }
    let Some(tag) =
        after.filter(|tag| simulation.last_writer == LastWriter::Cluster && tag.image.is_some())
    else {
        return;
    };
    let found = simulation.findings();
    let backwards = [Code::TagNotImported, Code::TagBehindQuay];
    assert!(
        backwards.iter().all(|code| !found.contains(code)),
        "status proposes the older image: {found:?}"
    );
    let is_same = simulation
        .quay
        .as_ref()
        .is_some_and(|now| Some(&now.digest) == tag.image.as_ref().map(|image| &image.digest));
    if tag.follows() == Some(IMAGE) && !tag.reference && simulation.quay.is_some() && !is_same {
        assert!(found.contains(&Code::TagPushedOver), "it is not reported: {found:?} {tag:?}");
    }
}

fn steps() -> impl Strategy<Value = Vec<(Step, i64)>> {
    let follow = any::<(bool, bool, bool)>();
    let run_controller = any::<(bool, bool)>();
    let step = prop_oneof![
        1 => any::<bool>().prop_map(|list| Step::PushToQuay { list }),
        1 => Just(Step::Build),
        1 => Just(Step::PushToCluster),
        1 => Just(Step::RollBack),
        1 => any::<bool>().prop_map(|imported| Step::FollowElsewhere { imported }),
        1 => follow.prop_map(|(reference, scheduled, keeps_lists)| Step::FollowQuay { reference, scheduled, keeps_lists }),
        1 => Just(Step::DeleteTag),
        1 => Just(Step::OpenShift),
        2 => Just(Step::ImportMissing),
        3 => run_controller.prop_map(|(answer_lost, note_lost)| Step::Controller { answer_lost, note_lost }),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec((step, 0..3_i64), 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn imports_never_undo_the_last_user_action(steps in steps(), ahead in -5..=5_i64) {
        let mut simulation = Simulation::new(ahead);
        for (step, seconds) in steps {
            simulation.clock += seconds;
            apply_and_check(&mut simulation, step);
        }
    }
}

/// Regressions.
#[test]
fn known_histories_never_restore_older_images() {
    let follow = Step::FollowQuay { reference: false, scheduled: false, keeps_lists: false };
    let reference = Step::FollowQuay { reference: true, scheduled: false, keeps_lists: false };
    let controller = |answer_lost, note_lost| Step::Controller { answer_lost, note_lost };
    let push = Step::PushToQuay { list: false };
    let histories: [(&str, &[Step], Option<&str>); 10] = [
        (
            "a push into the cluster",
            &[push, follow, Step::OpenShift, Step::PushToCluster, Step::ImportMissing],
            Some("cluster"),
        ),
        (
            "a push into the cluster, and another tag in Quay",
            &[push, follow, Step::OpenShift, Step::PushToCluster, push, Step::ImportMissing],
            Some("cluster"),
        ),
        (
            "a list, and a push into the cluster",
            &[
                Step::PushToQuay { list: true },
                follow,
                Step::OpenShift,
                Step::PushToCluster,
                Step::ImportMissing,
            ],
            Some("cluster"),
        ),
        ("a tag that points at Quay", &[push, reference, Step::ImportMissing], None),
        (
            "a build before the controller led",
            &[push, follow, Step::OpenShift, Step::Build, Step::Restart, controller(false, false)],
            Some("quay"),
        ),
        (
            "an import whose answer is lost, and a rollback",
            &[Step::Build, controller(true, false), Step::RollBack, controller(false, false)],
            Some("rollback"),
        ),
        (
            "an import that is not noted, a rollback and a restart",
            &[
                Step::Build,
                controller(false, true),
                Step::RollBack,
                Step::Restart,
                controller(false, false),
            ],
            Some("rollback"),
        ),
        (
            "an import that is not noted, a deletion and a restart",
            &[
                Step::Build,
                controller(false, true),
                Step::DeleteTag,
                Step::Restart,
                controller(false, false),
            ],
            None,
        ),
        (
            "a deletion, and a build after it",
            &[
                Step::Build,
                controller(false, true),
                Step::DeleteTag,
                Step::Build,
                controller(false, false),
            ],
            Some("quay"),
        ),
        (
            "a rollback, and a build after it",
            &[
                Step::Build,
                controller(false, false),
                Step::RollBack,
                Step::Build,
                controller(false, false),
            ],
            Some("quay"),
        ),
    ];
    for (case, steps, expected) in histories {
        println!("{case}");
        let mut simulation = Simulation::new(0);
        for step in steps {
            simulation.clock += 10;
            apply_and_check(&mut simulation, *step);
        }
        let image = simulation.tag.and_then(|tag| tag.image);
        let has = image.as_ref().map(|image| match image.reference.split('/').next() {
            _ if image.digest == "sha256:0" => "rollback",
            Some("localhost:18443") => "quay",
            _ => "cluster",
        });
        assert_eq!(has, expected, "{case}");
    }
}
