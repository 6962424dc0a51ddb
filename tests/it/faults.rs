//! Every fault on every request of the commands for namespaces: said plainly, nothing worse than before, no success that
//! did not happen, and the next run without faults ends well.

use std::collections::{BTreeMap, BTreeSet};

use sandbox::traffic::{Entry, Fault};
use serde_json::json;

use crate::support::{ACCOUNTS, Command, Run, STREAMS, Side, Stage, WRONGS, World, Wrong, play};

/// On the real API server every so many-th case is played.
const SAMPLE: usize = 37;

/// The path of all requests to a side.
const EVERYTHING: &str = "/";

/// A kind of request of a command, with `{namespace}` in its path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    side: Side,
    method: String,
    path: String,
}

impl Request {
    fn of(side: Side, entry: &Entry, namespace: &str) -> Self {
        let path = entry.path.replace(namespace, "{namespace}");
        // A default permission's identifier is another one each time.
        let path = path
            .split_once("/prototypes/")
            .map_or(path.clone(), |(front, _)| format!("{front}/prototypes/"));
        Self { side, method: entry.method.clone(), path }
    }

    /// Whether its path is just a part of the paths meant.
    fn is_several(&self) -> bool {
        self.path == EVERYTHING || self.path.ends_with("/prototypes/")
    }

    /// What a message about it has to name.
    fn subject(&self) -> &'static str {
        let has = |part: &str| self.path.contains(part);
        match () {
            // Whichever comes first: `could not` or `cannot` do it.
            () if self.path == EVERYTHING => "not ",
            () if has("/prototypes") => "default permission",
            () if has("/permissions/user/") => "on repository",
            () if has("/robots") => "robot account",
            () if has("/api/v1/organization/") => "organization",
            () if has("/api/v1/repository") => "repositor",
            () if has("quayintegrations") => "QuayIntegration",
            () if has("imagestreamimports") => "import into",
            () if has("imagestreams") => "image stream",
            () if has("serviceaccounts") => "service account",
            () if has("mutatingwebhookconfigurations") => "MutatingWebhookConfiguration",
            () if has("buildconfigs") => "BuildConfig",
            () if has("/builds") => "build",
            () if has("/secrets") => "secret",
            () if has("/pods") => "pod",
            () if has("/api/v1/user/") => "token's user",
            () if has("/namespaces/{namespace}") => "namespace",
            () if has("selfsubjectaccessreviews") => "whether the user may",
            () if has("/config") => "configuration",
            () => panic!("what is {self:?} about?"),
        }
    }
}

/// A fault on a request of a command: each time it is made, or only the first time.
#[derive(Debug)]
struct Case {
    request: Request,
    wrong: Wrong,
    lasting: bool,
}

impl Case {
    fn inject(&self, world: &World, namespace: &str) {
        let fault =
            Fault::on(&self.request.method, &self.request.path.replace("{namespace}", namespace));
        let fault = if self.request.is_several() { fault } else { fault.whole_path() };
        self.wrong.inject(world, self.request.side, fault, self.lasting);
    }

    /// Quay lists repositories to anybody (sample 104); those that matter show elsewhere too. That somebody may not read
    /// webhooks is told only where builds depend on them; nothing is said of pods, or of the image policy, that somebody may not
    /// read.
    fn is_answered_anyway(&self) -> bool {
        match self.wrong {
            Wrong::TokenExpires => self.request.path.starts_with("/api/v1/repository?"),
            Wrong::Forbidden => {
                let subject = self.request.subject();
                matches!(subject, "MutatingWebhookConfiguration" | "pod")
                    || self.request.path.contains("config.openshift.io")
            }
            _ => false,
        }
    }

    /// Lets a command meet it: the process where all requests go wrong, a call elsewhere.
    #[track_caller]
    fn run(&self, command: Command<'_>) -> Run {
        let command = command.args(&["--request-timeout", self.wrong.patience()]);
        if self.request.path == EVERYTHING { command.run() } else { command.in_process().run() }
    }

    /// Everything is as before the fault, but for what the command did.
    fn lift(&self, world: &World) {
        world.clear_faults();
        if self.wrong == Wrong::TokenExpires && self.request.side == Side::Quay {
            let token = world.sandbox.quay.add_full_token("quayadmin");
            world.note_secret(&token);
            let data = json!({ "stringData": { "token": token } });
            world.merge("Secret", "openshift-operators", "quay-integration", &data);
        }
    }
}

/// A command that meets every fault, and what has to come of it.
struct Trial {
    /// The words of the command, with `{namespace}` in them.
    command: &'static [&'static str],
    stage: Stage,
    /// Prepares the namespace for each case.
    before: fn(&World, &str),
    /// What holds after a run that claims success, and after the next one in any case.
    check: fn(&World, &str),
}

impl Trial {
    fn command<'a>(&self, world: &'a World, namespace: &str) -> Command<'a> {
        let words: Vec<_> =
            self.command.iter().map(|word| word.replace("{namespace}", namespace)).collect();
        let words: Vec<_> = words.iter().map(String::as_str).chain(["-n", namespace]).collect();
        world.oc_quay(&words)
    }

    /// Every fault on every request that the command makes.
    fn cases(&self) -> Vec<Case> {
        let world = World::bare();
        world.integration();
        world.shared_namespace("fresh");
        if let Stage::Reused(prepare) = self.stage {
            prepare(&world, "fresh");
        }
        (self.before)(&world, "fresh");
        world.forget_traffic();
        self.command(&world, "fresh").run();
        let mut requests: BTreeSet<_> = [Side::Cluster, Side::Quay]
            .into_iter()
            .flat_map(|side| {
                side.traffic(&world)
                    .entries()
                    .into_iter()
                    .map(move |entry| Request::of(side, &entry, "fresh"))
            })
            .collect();
        requests.extend([Side::Cluster, Side::Quay].map(|side| Request {
            side,
            method: "*".into(),
            path: EVERYTHING.into(),
        }));
        let faults = requests.iter().flat_map(|request| WRONGS.map(|wrong| (request, wrong)));
        let cases = faults.flat_map(|(request, wrong)| {
            [true, false].map(|lasting| Case { request: request.clone(), wrong, lasting })
        });
        // Once or always makes a difference where it is worth trying again.
        let cases: Vec<_> = cases.filter(|case| case.lasting || case.wrong.passes()).collect();
        assert!(cases.len() > 100, "{}", cases.len());
        cases
    }

    /// Lets the command, which changes something, meet every fault, and runs it again without.
    fn play(&self) {
        play(&self.cases(), SAMPLE, self.stage, |world, namespace, case| {
            println!("{:?} in {namespace}: {case:?}", self.command);
            (self.before)(world, namespace);
            let organization = format!("openshift_{namespace}");
            let earlier = passwords(world, namespace);
            let permissions =
                world.sandbox.quay.prototypes(&organization).len().max(ACCOUNTS.len());
            case.inject(world, namespace);
            let run = case.run(self.command(world, namespace));
            case.lift(world);

            let output = format!("{}{}", run.stdout, run.stderr);
            assert!(
                matches!(run.code, Some(0..=2)) && !output.contains("panicked"),
                "{case:?}: {run:#?}"
            );
            // After a passing fault the second look of a repair sees it all, and says what is left to do.
            let is_done_but_for_the_rest =
                !case.lasting && run.code == Some(1) && output.contains("Remaining in");
            let is_said = run.code == Some(0)
                || is_explained(&output, &case.request)
                || is_done_but_for_the_rest;
            assert!(is_said, "{case:?}: {run:#?}");
            assert!(
                world.sandbox.quay.prototypes(&organization).len() <= permissions,
                "{case:?}: a doubled default permission"
            );
            for (account, password) in passwords(world, namespace) {
                let current = world.sandbox.quay.robot_token(&organization, account);
                let is_no_worse =
                    current.as_ref() == Some(&password) || earlier.get(account) == Some(&password);
                assert!(is_no_worse, "{case:?}: the secret of {account} holds another password");
            }
            world.assert_foreign_references(namespace);
            // "1 warning remains", "Remaining in ..."
            if run.code == Some(0) && !output.to_lowercase().contains("remain") {
                println!("{case:?} claims success");
                (self.check)(world, namespace);
            }

            self.command(world, namespace).in_process().succeeds();
            (self.check)(world, namespace);
            world.assert_foreign_references(namespace);
        });
    }
}

fn linked(world: &World, namespace: &str) {
    world.oc_quay(&["link", "-n", namespace, "--yes"]).in_process().succeeds();
}

/// The password in each pull secret that exists.
fn passwords(world: &World, namespace: &str) -> BTreeMap<&'static str, String> {
    let exists = |account: &&&str| {
        world.get("Secret", namespace, &format!("{account}-quay-openshift")).is_some()
    };
    let password = |account: &&'static str| {
        (*account, world.login(namespace, &format!("{account}-quay-openshift")).1)
    };
    ACCOUNTS.iter().filter(exists).map(password).collect()
}

/// Whether the output names the call that failed, or says what is wrong with every call.
fn is_explained(output: &str, request: &Request) -> bool {
    let general = [
        "OQ109",
        "OQ111",
        "OQ112",
        "does not accept the",
        "does not answer",
        "no answer from",
        "connection broke",
    ];
    // A line may be broken anywhere between words.
    let output = output.split_whitespace().collect::<Vec<_>>().join(" ");
    output.to_lowercase().contains(&request.subject().to_lowercase())
        || general.iter().any(|words| output.contains(words))
}

fn is_linked(world: &World, namespace: &str) {
    world.assert_linked(namespace, &STREAMS);
}

/// The images are there, and the secrets are not.
fn is_unlinked(world: &World, namespace: &str) {
    for account in ACCOUNTS {
        let secret = format!("{account}-quay-openshift");
        assert_eq!(world.get("Secret", namespace, &secret), None, "{secret} is still there");
        assert!(
            !world.references(namespace, account, "imagePullSecrets").contains(&secret),
            "{account} names {secret}"
        );
    }
}

/// An organization of another cluster's namespace stands where one has to be made.
fn foreign(world: &World, namespace: &str) {
    let organization = format!("openshift_{namespace}");
    world.sandbox.quay.add_organization(&organization, "quayadmin");
    let mark = "oc-quay cluster=other namespace=shop uid=other";
    world.sandbox.quay.add_robot(&organization, "builder", mark).unwrap();
}

#[test]
fn link_under_any_fault_is_finished_by_the_next() {
    let command = &["link", "--yes"];
    Trial { command, stage: Stage::Fresh, before: |_, _| {}, check: is_linked }.play();
}

#[test]
fn repair_under_any_fault_is_finished_by_the_next() {
    let command = &["repair", "--yes"];
    Trial { command, stage: Stage::Reused(linked), before: World::damage, check: is_linked }.play();
}

#[test]
fn rotation_under_any_fault_leaves_no_stale_secret() {
    let command = &["repair", "--rotate", "--yes"];
    Trial { command, stage: Stage::Reused(linked), before: |_, _| {}, check: is_linked }.play();
}

#[test]
fn adoption_under_any_fault_is_finished_by_the_next() {
    let command = &["repair", "--adopt", "--yes"];
    Trial { command, stage: Stage::Fresh, before: foreign, check: is_linked }.play();
}

#[test]
fn deletion_of_robots_under_any_fault_keeps_the_images() {
    let command = &["unlink", "--delete-robots", "--yes"];
    let check = |world: &World, namespace: &str| {
        is_unlinked(world, namespace);
        let organization = format!("openshift_{namespace}");
        assert_eq!(world.sandbox.quay.robots(&organization).len(), 0);
        assert_eq!(world.sandbox.quay.repositories(&organization).len(), STREAMS.len());
    };
    Trial { command, stage: Stage::Reused(linked), before: linked, check }.play();
}

#[test]
fn deletion_of_the_organization_under_any_fault_is_true() {
    let command = &[
        "unlink",
        "--delete-organization",
        "--confirm-organization",
        "openshift_{namespace}",
        "--yes",
    ];
    let check = |world: &World, namespace: &str| {
        is_unlinked(world, namespace);
        let organizations = world.sandbox.quay.organizations();
        assert!(!organizations.contains(&format!("openshift_{namespace}")), "{organizations:?}");
    };
    // Quay does not free the name of a deleted organization at once.
    Trial { command, stage: Stage::Fresh, before: linked, check }.play();
}

#[test]
fn import_under_any_fault_is_finished_by_the_next() {
    let command = &["import", "--missing", "--yes"];
    let prepare = |world: &World, namespace: &str| {
        world.trust_quay();
        linked(world, namespace);
    };
    let before = |world: &World, namespace: &str| {
        world.sandbox.quay.push_tag(&format!("openshift_{namespace}"), "app", "latest").unwrap();
    };
    let check = |world: &World, namespace: &str| {
        let digest = world.quay_digest(&format!("openshift_{namespace}"), "app", "latest").unwrap();
        assert_eq!(
            world.newest_item(namespace, "app", "latest").unwrap()["image"],
            digest.as_str()
        );
    };
    Trial { command, stage: Stage::Reused(prepare), before, check }.play();
}

#[test]
fn status_under_any_fault_never_calls_missing_what_it_could_not_read() {
    let trial = Trial {
        command: &["status"],
        stage: Stage::Reused(linked),
        before: |_, _| {},
        check: is_linked,
    };
    play(&trial.cases(), SAMPLE, trial.stage, |world, namespace, case| {
        case.inject(world, namespace);
        let run = case.run(world.oc_quay(&["status", "-n", namespace, "-o", "json"]));
        case.lift(world);
        assert!(matches!(run.code, Some(0..=2)), "{case:?}: {run:#?}");
        let found = if run.code == Some(2) { vec![] } else { run.codes() };
        let is_about_reading = |code: &String| code.starts_with("OQ1") || code.starts_with("OQ9");
        assert!(found.iter().all(is_about_reading), "{case:?}: {found:?}\n{}", run.stdout);
        let overcome = found.is_empty() && run.code == Some(0);
        assert!(
            !case.lasting || !overcome || case.is_answered_anyway(),
            "{case:?} was not noticed: {}",
            run.stdout
        );
        assert!(
            overcome || is_explained(&format!("{}{}", run.stdout, run.stderr), &case.request),
            "{case:?}: {run:#?}"
        );
        world.oc_quay(&["status", "-n", namespace, "--fail-on", "warning"]).in_process().succeeds();
    });
}
