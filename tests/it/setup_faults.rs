//! Every fault on every request of a set-up: it ends without a hang and names the request, nothing is reported as done
//! that is not, and the next run without faults ends well. Unreadable objects: nothing is planned on a guess.

use std::collections::BTreeSet;

use sandbox::traffic::{Entry, Fault};
use serde_json::{Value, json};

use crate::support::{
    Command, FAULT_KINDS, FaultKind, Run, STREAMS, Side, TestEnv, run_in_new_envs,
};

/// Only every nth case is run, on the stand-in and on the real API server.
const SAMPLES: [usize; 2] = [5, 151];

/// The words that a message about a request must contain, in lower case and without spaces, by a part of its path; the first counts.
const SUBJECTS: [(&str, &str); 25] = [
    ("/selfsubjectreviews", "currentuser"),
    ("/selfsubjectaccessreviews", "permissionto"),
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
    /// `path` is a prefix.
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

/// A fault on a request: each time it is made, or only the first time.
#[derive(Debug)]
struct Case {
    request: Request,
    wrong: FaultKind,
    lasting: bool,
}

/// Every fault on every request that a command makes to these sides.
fn cases(sides: &[Side], make: fn() -> TestEnv, command: fn(&TestEnv) -> Command<'_>) -> Vec<Case> {
    let env = make();
    env.forget_traffic();
    command(&env).succeeds();
    let requests: BTreeSet<_> = sides
        .iter()
        .flat_map(|side| {
            side.traffic(&env).entries().into_iter().map(|entry| Request::of(*side, &entry))
        })
        .collect();
    let faults = requests.iter().flat_map(|request| FAULT_KINDS.map(|wrong| (request, wrong)));
    let cases = faults.flat_map(|(request, wrong)| {
        [true, false].map(|lasting| Case { request: request.clone(), wrong, lasting })
    });
    // Once or always makes a difference where it is worth trying again; that reads are is known from the other commands.
    cases
        .filter(|case| case.lasting || (case.wrong.is_transient() && case.request.method != "GET"))
        .collect()
}

/// Lets a command meet every fault of these sides; `is_true` says whether a step is what it is reported to be.
fn meet(
    sides: &[Side],
    make: fn() -> TestEnv,
    command: fn(&TestEnv) -> Command<'_>,
    is_true: fn(&TestEnv, &str) -> bool,
    finish: fn(&TestEnv),
) {
    let cases = cases(sides, make, command);
    assert!(cases.len() > 80, "{}", cases.len());
    run_in_new_envs(&cases, SAMPLES, make, |env, case| {
        println!("{case:?}");
        let others = env.foreign_objects();
        case.wrong.inject(env, case.request.side, case.request.fault(), case.lasting);
        let run = command(env)
            .args(&["-o", "json", "--request-timeout", case.wrong.request_timeout()])
            .in_process()
            .run();
        env.clear_faults();
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
                !is_done || is_true(env, step["step"].as_str().unwrap()),
                "{case:?}: {step:#}\n{}",
                run.stderr
            );
        }
        finish(env);
        assert_eq!(env.foreign_objects(), others);
    });
}

fn fresh() -> TestEnv {
    let env = TestEnv::bare();
    env.shared_namespace("shop");
    env.create_foreign_objects();
    env
}

/// All but the first link, whose own suite it is.
fn everything(env: &TestEnv) -> Command<'_> {
    env.setup(&["--node-trust", "apply", "--operator-timeout", "20s"])
}

/// With a token that Quay issues.
fn signed_in(env: &TestEnv) -> Command<'_> {
    let password = env.sandbox.quay.password("quayadmin").unwrap();
    let command = env.setup(&["--quay-username", "quayadmin", "--controller=none"]);
    command.without_env("OC_QUAY_TOKEN").env("OC_QUAY_PASSWORD", password)
}

/// Whether a step of a set-up is done indeed.
fn is_set_up(env: &TestEnv, step: &str) -> bool {
    match step {
        "operator" => env.subscriptions() == 0 || env.operator_runs(),
        "secret" => env.stored_token().is_some(),
        "integration" => env.single_integration().is_some(),
        "nodeTrust" => env.trusted_registries() == [env.registry_key()],
        _ => true,
    }
}

/// Runs it again, with a token that is good still.
fn set_up(env: &TestEnv) {
    let token = env.sandbox.quay.add_full_token("quayadmin");
    env.note_secret(&token);
    everything(env)
        .args(&["--link", "shop", "--replace-token"])
        .env("OC_QUAY_TOKEN", token)
        .in_process()
        .succeeds();
    env.assert_set_up();
    assert!(env.operator_runs());
}

#[test]
fn next_setup_recovers_from_every_fault() {
    meet(&[Side::Cluster, Side::Quay], fresh, everything, is_set_up, set_up);
}

#[test]
fn next_setup_recovers_from_every_fault_of_a_sign_in() {
    meet(&[Side::Quay], fresh, signed_in, is_set_up, |env| {
        signed_in(env).args(&["--link", "shop", "--replace-token"]).in_process().succeeds();
        env.assert_set_up();
        let applications = env.sandbox.quay.applications("openshift-integration");
        assert_eq!(applications.len(), 1, "{applications:#?}");
    });
}

#[test]
fn next_teardown_recovers_from_every_fault() {
    let installed = || {
        let env = fresh();
        everything(&env).args(&["--link", "shop"]).in_process().succeeds();
        env.merge(
            "Namespace",
            "",
            "shop",
            &json!({ "metadata": { "finalizers": ["quay.redhat.com/quayintegrations"] } }),
        );
        env
    };
    let is_removed = |env: &TestEnv, step: &str| match step {
        "finalizers" => {
            env.get("Namespace", "", "shop").unwrap()["metadata"]["finalizers"].is_null()
        }
        "nodeTrust" => env.trusted_registries().is_empty(),
        "secret" => env.stored_token().is_none(),
        "integration" => env.list("QuayIntegration", "").is_empty(),
        "operator" => env.subscriptions() == 0,
        _ => true,
    };
    meet(
        &[Side::Cluster],
        installed,
        |env| env.oc_quay(&["teardown", "--yes"]),
        is_removed,
        |env| {
            env.oc_quay(&["teardown", "--yes"]).in_process().succeeds();
            env.assert_torn_down();
            assert_eq!(env.sandbox.quay.repositories("openshift_shop").len(), STREAMS.len());
        },
    );
}
