//! Every fault on every request of a setup: it ends and names the request, reports nothing as done
//! that is not, and the next run without faults succeeds. Nothing is planned without reading
//! forbidden objects.

use std::collections::BTreeSet;

use sandbox::traffic::{Entry, Fault};
use serde_json::{Value, json};

use crate::support::{
    Command, FAULT_KINDS, FaultKind, Run, STREAMS, Side, World, run_in_new_worlds,
};

/// Samples of the cases: every nth on the fake and on the real API server.
const SAMPLES: [usize; 2] = [5, 151];

/// The object that a message about a request must name, in lower case and without spaces, by a part
/// of the path; the first match counts.
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

/// Paths with random ends.
const UNSTEADY: [&str; 3] = ["/installplans/", "/clusterserviceversions/", "/applications/"];

/// A kind of request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    side: Side,
    method: String,
    path: String,
    /// The path is the beginning of the matching paths.
    is_front: bool,
}

impl Request {
    fn new(side: Side, entry: &Entry) -> Self {
        let front = UNSTEADY.iter().find_map(|part| Some(entry.path.find(part)? + part.len()));
        let path = entry.path[..front.unwrap_or(entry.path.len())].to_owned();
        Self { side, method: entry.method.clone(), path, is_front: front.is_some() }
    }

    fn fault(&self) -> Fault {
        let fault = Fault::on(&self.method, &self.path);
        if self.is_front { fault } else { fault.whole_path() }
    }

    /// True when the output names the request, or a cause of all failures.
    fn is_explained(&self, run: &Run) -> bool {
        let general = [
            "does not accept",
            "rejected the token",
            "does not answer",
            "no answer from",
            "answered with HTTP status",
            "is unusable",
            "failed to check",
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

/// A fault on a request, for each such request or only the first.
#[derive(Debug)]
struct Case {
    request: Request,
    kind: FaultKind,
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
            side.traffic(&world).entries().into_iter().map(|entry| Request::new(*side, &entry))
        })
        .collect();
    let faults = requests.iter().flat_map(|request| FAULT_KINDS.map(|kind| (request, kind)));
    let cases = faults.flat_map(|(request, kind)| {
        [true, false].map(|lasting| Case { request: request.clone(), kind, lasting })
    });
    // A transient fault also occurs once, on writes; other tests cover reads.
    cases
        .filter(|case| case.lasting || (case.kind.is_transient() && case.request.method != "GET"))
        .collect()
}

/// Runs a command with every fault of these sides; `is_true` verifies the reported state of a step.
fn assert_all_faults(
    sides: &[Side],
    make: fn() -> World,
    command: fn(&World) -> Command<'_>,
    is_true: fn(&World, &str) -> bool,
    finish: fn(&World),
) {
    let cases = cases(sides, make, command);
    assert!(cases.len() > 80, "{}", cases.len());
    run_in_new_worlds(&cases, SAMPLES, make, |world, case| {
        println!("{case:?}");
        let others = world.foreign_objects();
        case.kind.inject(world, case.request.side, case.request.fault(), case.lasting);
        let run = command(world)
            .args(&["-o", "json", "--request-timeout", case.kind.request_timeout()])
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
        assert_eq!(world.foreign_objects(), others);
    });
}

fn fresh() -> World {
    let world = World::bare();
    world.shared_namespace("shop");
    world.create_foreign_objects();
    world
}

/// All steps except the first link, which has its own suite.
fn everything(world: &World) -> Command<'_> {
    world.setup(&["--node-trust", "apply", "--operator-timeout", "20s"])
}

/// With a token that Quay issues.
fn signed_in(world: &World) -> Command<'_> {
    let password = world.sandbox.quay.password("quayadmin").unwrap();
    let command = world.setup(&["--quay-username", "quayadmin", "--controller=none"]);
    command.without_env("OC_QUAY_TOKEN").env("OC_QUAY_PASSWORD", password)
}

/// True when a step of a setup is really done.
fn is_set_up(world: &World, step: &str) -> bool {
    match step {
        "operator" => world.subscriptions() == 0 || world.operator_runs(),
        "secret" => world.stored_token().is_some(),
        "integration" => world.single_integration().is_some(),
        "nodeTrust" => world.trusted_registries() == [world.registry_key()],
        _ => true,
    }
}

/// Runs it again, with a valid token.
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
fn next_run_finishes_setup_after_any_fault() {
    assert_all_faults(&[Side::Cluster, Side::Quay], fresh, everything, is_set_up, set_up);
}

#[test]
fn next_run_finishes_setup_with_sign_in_after_any_fault() {
    assert_all_faults(&[Side::Quay], fresh, signed_in, is_set_up, |world| {
        signed_in(world).args(&["--link", "shop", "--replace-token"]).in_process().succeeds();
        world.assert_set_up();
        let applications = world.sandbox.quay.applications("openshift-integration");
        assert_eq!(applications.len(), 1, "{applications:#?}");
    });
}

#[test]
fn next_run_finishes_teardown_after_any_fault() {
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
    let is_torn_down = |world: &World, step: &str| match step {
        "finalizers" => {
            world.get("Namespace", "", "shop").unwrap()["metadata"]["finalizers"].is_null()
        }
        "nodeTrust" => world.trusted_registries().is_empty(),
        "secret" => world.stored_token().is_none(),
        "integration" => world.list("QuayIntegration", "").is_empty(),
        "operator" => world.subscriptions() == 0,
        _ => true,
    };
    assert_all_faults(
        &[Side::Cluster],
        installed,
        |world| world.oc_quay(&["teardown", "--yes"]),
        is_torn_down,
        |world| {
            world.oc_quay(&["teardown", "--yes"]).in_process().succeeds();
            world.assert_torn_down();
            assert_eq!(world.sandbox.quay.repositories("openshift_shop").len(), STREAMS.len());
        },
    );
}
