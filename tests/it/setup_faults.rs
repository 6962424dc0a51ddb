//! Every fault on every request of a set-up: it ends by itself and says which request it was, nothing is reported as done
//! that is not, and the next run without faults ends well. And what may not be read: nothing is planned on a guess.

use std::collections::BTreeSet;

use sandbox::traffic::{Entry, Fault};
use serde_json::{Value, json};

use crate::support::{Command, Run, STREAMS, Side, WRONGS, World, Wrong, play_apart};

/// Every so manyth case is played, on the stand-in and on the real API server.
const SAMPLES: [usize; 2] = [5, 151];

/// What a message about a request has to name, in lower case and without spaces, by a part of its path; the first counts.
const SUBJECTS: [(&str, &str); 25] = [
    ("/selfsubjectreviews", "whotheuseris"),
    ("/selfsubjectaccessreviews", "whethertheusermay"),
    ("/infrastructures", ""),
    ("/clusterversions", ""),
    ("/customresourcedefinitions", "customresourcedefinition"),
    ("/deployments", "deployment"),
    ("/clusterroles/", "clusterrole"),
    ("/mutatingwebhookconfigurations", "webhook"),
    ("/packagemanifests", "packagemanifest"),
    ("/subscriptions", "subscription"),
    ("/installplans/", "installplan"),
    ("/clusterserviceversions/", "clusterserviceversion"),
    ("/clusterextensions", "clusterextension"),
    ("/quayintegrations", "quayintegration"),
    ("/secrets/", "secret"),
    ("/secrets", "secret"),
    ("/configmaps", "configmap"),
    ("/config.openshift.io/v1/images", "imageconfiguration"),
    ("/namespaces", "namespace"),
    ("/version", "version"),
    ("/health/instance", "health"),
    ("/applications", "application"),
    ("/api/v1/signin", "signin"),
    ("/oauth/authorizeapp", "token"),
    ("/api/v1/organization", "organization"),
];

/// Paths whose end is another one each time.
const UNSTEADY: [&str; 3] = ["/installplans/", "/clusterserviceversions/", "/applications/"];

/// A kind of request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    side: Side,
    method: String,
    path: String,
    /// The path is only the front of those that are meant.
    is_front: bool,
}

impl Request {
    fn of(side: Side, entry: &Entry) -> Self {
        let front = UNSTEADY.iter().find_map(|part| Some(entry.path.find(part)? + part.len()));
        let path = entry.path[..front.unwrap_or(entry.path.len())].to_owned();
        Self { side, method: entry.method.clone(), path, is_front: front.is_some() }
    }

    fn fault(&self) -> Fault {
        let fault = Fault::on(&self.method, &self.path);
        if self.is_front { fault } else { fault.whole_path() }
    }

    /// Whether what was said names it, or says what is wrong with every request.
    fn is_explained(&self, run: &Run) -> bool {
        let general = [
            "does not accept",
            "does not answer",
            "no answer from",
            "answered with HTTP status",
            "cannot be used",
        ];
        let said = run.said();
        let subject = SUBJECTS
            .iter()
            .find(|(part, _)| self.path.contains(part))
            .map_or("", |(_, subject)| subject);
        said.to_lowercase().replace(' ', "").contains(subject)
            || general.iter().any(|words| said.contains(words))
    }
}

/// A fault on a request: each time it is made, or only the first time.
#[derive(Debug)]
struct Case {
    request: Request,
    wrong: Wrong,
    lasting: bool,
}

/// Every fault on every request that a command makes to these sides.
fn cases(sides: &[Side], make: fn() -> World, command: fn(&World) -> Command<'_>) -> Vec<Case> {
    let world = make();
    world.forget_traffic();
    command(&world).succeeds();
    let requests: BTreeSet<_> = sides
        .iter()
        .flat_map(|side| {
            side.traffic(&world).entries().into_iter().map(|entry| Request::of(*side, &entry))
        })
        .collect();
    let faults = requests.iter().flat_map(|request| WRONGS.map(|wrong| (request, wrong)));
    let cases = faults.flat_map(|(request, wrong)| {
        [true, false].map(|lasting| Case { request: request.clone(), wrong, lasting })
    });
    // Once or always makes a difference where it is worth trying again; that reads are is known from the other commands.
    cases
        .filter(|case| case.lasting || (case.wrong.passes() && case.request.method != "GET"))
        .collect()
}

/// Lets a command meet every fault of these sides; `is_true` says whether a step is what it is reported to be.
fn meet(
    sides: &[Side],
    make: fn() -> World,
    command: fn(&World) -> Command<'_>,
    is_true: fn(&World, &str) -> bool,
    finish: fn(&World),
) {
    let cases = cases(sides, make, command);
    assert!(cases.len() > 80, "{}", cases.len());
    play_apart(&cases, SAMPLES, make, |world, case| {
        println!("{case:?}");
        let others = world.others();
        case.wrong.inject(world, case.request.side, case.request.fault(), case.lasting);
        let run = command(world)
            .args(&["-o", "json", "--request-timeout", case.wrong.patience()])
            .in_process()
            .run();
        world.clear_faults();
        assert!(
            matches!(run.code, Some(0..=2)) && !run.stderr.contains("panicked"),
            "{case:?}: {run:#?}"
        );
        assert!(run.code == Some(0) || case.request.is_explained(&run), "{case:?}: {run:#?}");
        let report = if run.stdout.is_empty() { Value::Null } else { run.json() };
        assert_eq!(report["ok"] == true, run.code == Some(0), "{case:?}: {run:#?}");
        for step in report["steps"].as_array().into_iter().flatten() {
            let is_done = step["state"] == "done" || step["state"] == "alreadyDone";
            assert!(
                !is_done || is_true(world, step["step"].as_str().unwrap()),
                "{case:?}: {step:#}\n{}",
                run.stderr
            );
        }
        finish(world);
        assert_eq!(world.others(), others);
    });
}

fn fresh() -> World {
    let world = World::bare();
    world.shared_namespace("shop");
    world.furnish_others();
    world
}

/// All but the first link, whose own suite it is.
fn everything(world: &World) -> Command<'_> {
    world.setup(&["--node-trust", "apply", "--operator-timeout", "20s"])
}

/// The same with a token that Quay issues.
fn signed_in(world: &World) -> Command<'_> {
    let password = world.sandbox.quay.password("quayadmin").unwrap();
    let command = world.setup(&["--quay-username", "quayadmin", "--controller=none"]);
    command.without_env("OC_QUAY_TOKEN").env("OC_QUAY_PASSWORD", password)
}

/// Whether a step of a set-up is done indeed.
fn is_set_up(world: &World, step: &str) -> bool {
    match step {
        "operator" => world.subscriptions() == 0 || world.operator_runs(),
        "secret" => world.stored_token().is_some(),
        "integration" => world.one_integration().is_some(),
        "nodeTrust" => world.trusted_registries() == [world.registry_key()],
        _ => true,
    }
}

/// Runs it again, with a token that is good still.
fn set_up(world: &World) {
    let token = world.sandbox.quay.add_full_token("quayadmin");
    world.note_secret(&token);
    everything(world)
        .args(&["--link", "shop", "--replace-token"])
        .env("OC_QUAY_TOKEN", token)
        .in_process()
        .succeeds();
    world.assert_set_up();
    assert!(world.operator_runs());
}

#[test]
fn a_setup_meets_every_fault_and_is_finished_by_the_next() {
    meet(&[Side::Cluster, Side::Quay], fresh, everything, is_set_up, set_up);
}

#[test]
fn a_setup_that_signs_in_meets_every_fault_and_is_finished_by_the_next() {
    meet(&[Side::Quay], fresh, signed_in, is_set_up, |world| {
        signed_in(world).args(&["--link", "shop", "--replace-token"]).in_process().succeeds();
        world.assert_set_up();
        let applications = world.sandbox.quay.applications("openshift-integration");
        assert_eq!(applications.len(), 1, "{applications:#?}");
    });
}

#[test]
fn a_teardown_meets_every_fault_and_is_finished_by_the_next() {
    let installed = || {
        let world = fresh();
        everything(&world).args(&["--link", "shop"]).in_process().succeeds();
        world.merge(
            "Namespace",
            "",
            "shop",
            &json!({ "metadata": { "finalizers": ["quay.redhat.com/quayintegrations"] } }),
        );
        world
    };
    let is_taken_back = |world: &World, step: &str| match step {
        "finalizers" => {
            world.get("Namespace", "", "shop").unwrap()["metadata"]["finalizers"].is_null()
        }
        "nodeTrust" => world.trusted_registries().is_empty(),
        "secret" => world.stored_token().is_none(),
        "integration" => world.list("QuayIntegration", "").is_empty(),
        "operator" => world.subscriptions() == 0,
        _ => true,
    };
    meet(
        &[Side::Cluster],
        installed,
        |world| world.oc_quay(&["teardown", "--yes"]),
        is_taken_back,
        |world| {
            world.oc_quay(&["teardown", "--yes"]).in_process().succeeds();
            world.assert_taken_back();
            assert_eq!(world.sandbox.quay.repositories("openshift_shop").len(), STREAMS.len());
        },
    );
}
