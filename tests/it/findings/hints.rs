//! Runs the hint of each finding, as the user or as the administrator it is for, and asserts that the finding is resolved.

use std::collections::BTreeSet;

use oc_quay::domain::finding::Code;
use sandbox::openshift::Cluster;
use sandbox::quay::{Flags, TeamRole};
use sandbox::traffic::Fault;
use sandbox::{Options, manifests};
use serde_json::{Value, json};

use super::{integration, namespaces};
use crate::support::{Command, Run, STREAMS, TestEnv, shell_words};

/// The expected effect of a hint.
#[derive(Clone, Copy)]
pub(super) enum Then {
    /// The command resolves the finding.
    Resolved,
    /// The command shows or opens the object that the user then changes, in the namespace of the finding.
    Person(fn(&TestEnv, &str)),
    /// The command prints this text. Only an administrator can change the cause.
    Shows(&'static str),
}

/// A finding, and the context to check for it again.
pub(super) struct Seen<'a> {
    pub(super) env: &'a TestEnv,
    pub(super) finding: &'a Value,
    /// The user that saw it.
    pub(super) user: &'a str,
    /// Flags and environment of the command.
    pub(super) given: &'a dyn Fn(Command) -> Command,
    /// Lists all findings again.
    pub(super) again: &'a dyn Fn() -> Vec<Value>,
}

/// Identifies a finding: code and object.
fn key(finding: &Value) -> String {
    format!("{} {}", finding["code"].as_str().unwrap(), finding["object"])
}

pub(super) fn findings(run: &Run) -> Vec<Value> {
    run.json()["findings"].as_array().unwrap().clone()
}

impl Seen<'_> {
    /// Runs the hint, and the action that follows.
    ///
    /// # Errors
    /// The missing effect of the command.
    pub(super) fn follow(&self, then: Then) -> Result<(), String> {
        let Self { env, finding, .. } = self;
        let hint = finding["hint"].as_str().unwrap_or_default();
        let problem = |what: String| format!("{}: `{hint}` {what}", key(finding));
        let (output, findings) = self.run(hint).map_err(problem)?;
        let namespace = finding["namespace"].as_str().unwrap_or_default();
        let findings = match then {
            Then::Shows(words) if output.contains(words) => return Ok(()),
            Then::Shows(words) => {
                return Err(problem(format!("does not print `{words}`: {output}")));
            }
            Then::Person(act) => {
                act(env, namespace);
                (self.again)()
            }
            Then::Resolved => findings.unwrap_or_else(|| (self.again)()),
        };
        match findings.iter().find(|left| key(left) == key(finding)) {
            Some(left) => Err(problem(format!("leaves {left}: {output}"))),
            None => Ok(()),
        }
    }

    /// Runs a command. Returns its output, and the findings if it is a status.
    fn run(&self, hint: &str) -> Result<(String, Option<Vec<Value>>), String> {
        let env = self.env;
        let words: Vec<_> =
            shell_words(hint).into_iter().map(|word| self.filled_in(word)).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let is_asked = finding_asks(self.finding);
        let user = if is_asked { "admin" } else { self.user };
        match words.as_slice() {
            ["oc", "quay", arguments @ ..] => {
                let mut command = match arguments {
                    // Setup gets its answers as flags, with another token.
                    ["setup"] => env
                        .setup(&["--controller=none", "--replace-token"])
                        .token_of("quayadmin", &SCOPES),
                    _ if is_asked => env.oc_quay(arguments),
                    _ => (self.given)(env.oc_quay(&[])).with_arguments(arguments),
                };
                if user != "admin" && !arguments.contains(&"--context") {
                    command = command.user(user);
                }
                let is_status = arguments.contains(&"status");
                if is_status {
                    command = command.args(&["-o", "json"]);
                }
                let run = command.env("OC_QUAY_YES", "true").run();
                if run.stderr.starts_with("error:") {
                    return Err(format!("cannot be run: {run:#?}"));
                }
                Ok((run.said(), is_status.then(|| findings(&run))))
            }
            ["oc", arguments @ ..] => {
                let shown = env.oc(user, arguments)?;
                let object = &self.finding["object"];
                let is_read = ["get", "describe"].contains(&arguments[0]);
                // Missing objects, and a namespace with too many objects, are not in the output.
                let is_shown = is_read
                    && !["OQ121", "OQ311", "OQ316", "OQ407"]
                        .contains(&self.finding["code"].as_str().unwrap());
                let is_about = |found: &Value| {
                    let name = found["metadata"]["name"].as_str().unwrap_or_default();
                    object["name"]
                        .as_str()
                        .is_none_or(|about| about == name || about.starts_with(&format!("{name}:")))
                };
                if is_shown && !shown.iter().any(is_about) {
                    return Err(format!("does not show {object}"));
                }
                Ok((String::new(), None))
            }
            _ => Err("is not an oc command".to_owned()),
        }
    }

    /// Replaces a placeholder as the user would.
    fn filled_in(&self, word: String) -> String {
        match word.as_str() {
            "CA.crt" => self.env.sandbox.ca_file().to_str().unwrap().to_owned(),
            "FILE" => {
                let file = self.env.dir().join("token-of-hint");
                std::fs::write(&file, self.env.sandbox.quay.admin_token()).unwrap();
                file.to_str().unwrap().to_owned()
            }
            _ => word,
        }
    }
}

fn finding_asks(finding: &Value) -> bool {
    finding["ask"] == "cluster"
}

/// The user's action in a namespace after the hint; none for codes whose hint resolves the finding.
fn then_in_namespace(code: &str) -> Then {
    match code {
        "OQ308" => Then::Person(|env, namespace| env.delete("Secret", namespace, "a-rival")),
        "OQ315" => Then::Person(|env, namespace| {
            let mut content = env.content(namespace, "builder-quay-openshift");
            content["auths"].as_object_mut().unwrap().remove("quay.example.com");
            env.set_content(namespace, "builder-quay-openshift", &content);
        }),
        "OQ319" => Then::Person(|env, namespace| {
            env.merge(
                "ServiceAccount",
                namespace,
                "default",
                &json!({ "secrets": [{ "name": "default-quay-openshift" }] }),
            );
        }),
        "OQ406" => Then::Person(|env, namespace| {
            env.merge(
                "ImageStream",
                namespace,
                "app/status",
                &json!({ "status": { "tags": null } }),
            );
        }),
        "OQ523" => Then::Person(|env, namespace| {
            env.merge("ImageStream", namespace, "app", &json!({ "spec": { "tags": null } }));
        }),
        _ => Then::Resolved,
    }
}

/// The user's action on the integration.
pub(super) fn then_in_integration(code: &str) -> Then {
    fn address(env: &TestEnv, _: &str) {
        let url = env.sandbox.quay.url();
        env.merge("QuayIntegration", "", "quay", &json!({ "spec": { "quayHostname": url } }));
    }
    match code {
        "OQ102" => Then::Person(|env, _| env.delete("QuayIntegration", "", "second")),
        "OQ103" | "OQ104" | "OQ105" | "OQ112" | "OQ125" => Then::Person(address),
        "OQ106" => Then::Person(|env, _| {
            env.merge(
                "QuayIntegration",
                "",
                "quay",
                &json!({ "spec": { "clusterID": "openshift" } }),
            );
        }),
        // The hint explains the given token, which is then omitted.
        "OQ109" => Then::Person(|_, _| ()),
        "OQ113" => {
            Then::Person(|env, _| env.sandbox.quay.set_flags(|flags| *flags = Flags::default()))
        }
        _ => Then::Resolved,
    }
}

/// Runs the hints of all findings of a namespace, one after another, until each finding is resolved.
pub(super) fn run_all(env: &TestEnv, namespace: &str) -> Result<(), String> {
    let again =
        || findings(&env.oc_quay(&["status", "-n", namespace, "--probe", "-o", "json"]).run());
    let mut tried = BTreeSet::new();
    loop {
        let now = again();
        let Some(finding) = now
            .iter()
            .find(|finding| finding["hint"].is_string() && !tried.contains(&key(finding)))
        else {
            return Ok(());
        };
        tried.insert(key(finding));
        let seen = Seen { env, finding, user: "admin", given: &|command| command, again: &again };
        seen.follow(then_in_namespace(finding["code"].as_str().unwrap()))?;
    }
}

/// A finding that is in neither of the two tables, or has another hint there.
struct Case {
    code: &'static str,
    /// Creates the env; none if only the stand-in supports it.
    make: fn() -> Option<TestEnv>,
    /// The command that reports it.
    line: &'static [&'static str],
    user: &'static str,
    given: fn(Command) -> Command,
    then: Then,
}

/// The scopes of a token for setup.
const SCOPES: [&str; 6] =
    ["org:admin", "repo:admin", "repo:create", "super:user", "user:admin", "user:read"];

const STATUS: &[&str] = &["status", "-n", "shop"];

const fn case(code: &'static str, make: fn() -> Option<TestEnv>, then: Then) -> Case {
    Case { code, make, line: STATUS, user: "admin", given: |command| command, then }
}

/// Reported by another command.
const fn found_by(line: &'static [&'static str], case: Case) -> Case {
    Case { line, ..case }
}

static CASES: &[Case] = &[
    case(
        "OQ108",
        || linked(|env| reject(env, "secrets/quay-integration")),
        Then::Shows("3 of 3 credentials accepted"),
    ),
    case("OQ109", || linked(|env| env.sandbox.quay.expire_tokens()), Then::Resolved),
    case(
        "OQ118",
        || {
            linked(|env| {
                images(
                    env,
                    &json!({ "registrySources": { "allowedRegistries": ["registry.redhat.io"] } }),
                )
            })
        },
        Then::Person(|env, _| images(env, &json!({ "registrySources": null }))),
    ),
    case(
        "OQ119",
        || {
            linked(|env| {
                images(
                    env,
                    &json!({ "allowedRegistriesForImport": [{ "domainName": "registry.redhat.io" }] }),
                )
            })
        },
        Then::Person(|env, _| images(env, &json!({ "allowedRegistriesForImport": null }))),
    ),
    found_by(
        &["status", "-n", "nowhere"],
        case("OQ121", || Some(TestEnv::new()), Then::Person(|env, _| env.namespace("nowhere"))),
    ),
    case(
        "OQ122",
        being_prepared,
        Then::Person(|env, namespace| {
            let annotations = json!({ "openshift.io/sa.scc.uid-range": "1/1", "openshift.io/sa.scc.mcs": "s0", "openshift.io/sa.scc.supplemental-groups": "1/1" });
            env.merge(
                "Namespace",
                "",
                namespace,
                &json!({ "metadata": { "annotations": annotations } }),
            );
        }),
    ),
    case("OQ123", || linked(delete_with_finalizer), Then::Resolved),
    case(
        "OQ128",
        || stand_in(idle_operator),
        Then::Person(|env, _| {
            let running =
                json!({ "spec": { "replicas": 1 }, "status": { "availableReplicas": 1 } });
            env.merge("Deployment", "openshift-operators", "quay-bridge-operator", &running);
            env.merge("Deployment", "openshift-operators", "quay-bridge-operator/status", &running);
        }),
    ),
    case(
        "OQ206",
        || {
            Some(TestEnv::new()).inspect(|env| {
                env.sandbox.quay.add_organization("openshift_shop", "quayadmin");
                env.sandbox.quay.add_team("openshift_shop", "people", TeamRole::Admin, &["alice"]);
            })
        },
        Then::Resolved,
    ),
    case(
        "OQ207",
        || {
            linked(|env| {
                env.sandbox
                    .quay
                    .add_robot("openshift_shop", "pipeline", "our release job")
                    .unwrap();
                account(env, "pipeline", "read");
            })
        },
        Then::Resolved,
    ),
    case("OQ307", || linked(hide_tokens), Then::Shows("3 of 3 credentials accepted")),
    found_by(
        &["repair", "--rotate", "-n", "shop", "--yes"],
        case("OQ309", || linked(deny_once), Then::Resolved),
    ),
    case(
        "OQ311",
        without_builds,
        Then::Person(|env, namespace| {
            for name in ["builder", "deployer"] {
                let metadata = json!({ "name": name, "namespace": namespace });
                env.create(
                    &json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }),
                );
            }
        }),
    ),
    case(
        "OQ316",
        || linked(|env| (0..50).for_each(|number| account(env, &format!("a{number:02}"), "read"))),
        Then::Person(|env, namespace| {
            let annotations = json!({ "metadata": { "annotations": { "oc-quay/role": null } } });
            (0..10).for_each(|number| {
                drop(env.merge("ServiceAccount", namespace, &format!("a{number:02}"), &annotations))
            });
        }),
    ),
    case(
        "OQ317",
        || Some(TestEnv::new()).inspect(waiting_pod),
        Then::Person(|env, namespace| {
            // The ReplicaSet replaces it.
            env.delete("Pod", namespace, "app-5d4f-x");
        }),
    ),
    found_by(
        &["unlink", "-n", "shop", "--yes"],
        case(
            "OQ318",
            || linked(|env| add_credentials(env, "builder-quay-openshift")),
            Then::Person(|env, namespace| {
                env.delete("Secret", namespace, "builder-quay-openshift");
            }),
        ),
    ),
    case(
        "OQ407",
        || {
            stand_in(|env| {
                (0..1001).for_each(|number| {
                    let metadata = json!({ "name": format!("app{number:04}"), "namespace": "shop" });
                    env
                        .sandbox
                        .openshift
                        .put(json!({ "apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": metadata }));
                })
            })
        },
        Then::Person(|env, namespace| {
            let annotations =
                json!({ "metadata": { "annotations": { "oc-quay/repository": "false" } } });
            (0..10).for_each(|number| {
                drop(env.merge("ImageStream", namespace, &format!("app{number:04}"), &annotations))
            });
        }),
    ),
    case(
        "OQ501",
        || {
            stand_in(|env| {
                webhook(env, "operator", "quayintegration.quay.redhat.com", "Fail");
                webhook(env, "controller", "builds.controller.oc-quay", "Ignore");
            })
        },
        Then::Person(|env, _| env.delete("MutatingWebhookConfiguration", "", "controller")),
    ),
    case(
        "OQ502",
        || stand_in(|env| webhook(env, "operator", "quayintegration.quay.redhat.com", "Fail")),
        Then::Person(|env, _| env.delete("MutatingWebhookConfiguration", "", "operator")),
    ),
    Case {
        user: "dev",
        given: |command| command.guest("dev"),
        ..case(
            "OQ502",
            || linked(unreachable_webhook),
            Then::Person(|env, _| {
                env.delete("MutatingWebhookConfiguration", "", "controller");
            }),
        )
    },
    case(
        "OQ505",
        || stand_in(|env| env.build_config("shop", "app", &to_tag("app:latest"))),
        Then::Resolved,
    ),
    case(
        "OQ506",
        || stand_in(|env| env.build_config("shop", "lost", &to_tag("unknown:latest"))),
        Then::Resolved,
    ),
    case(
        "OQ507",
        || {
            stand_in(|env| {
                env.build_config("shop", "app", &to_tag("app:latest"));
                env.remove_from_list("shop", "builder", "secrets", "builder-quay-openshift");
                webhook(env, "operator", "quayintegration.quay.redhat.com", "Fail");
            })
        },
        Then::Resolved,
    ),
    case(
        "OQ507",
        || {
            stand_in(|env| {
                env.build_config("shop", "silent", &json!({}));
                webhook(env, "operator", "quayintegration.quay.redhat.com", "Fail");
            })
        },
        Then::Person(|env, namespace| {
            env.merge(
                "BuildConfig",
                namespace,
                "silent",
                &json!({ "spec": { "output": to_tag("app:latest") } }),
            );
        }),
    ),
    case(
        "OQ508",
        || {
            stand_in(|env| {
                waiting_build(env);
                webhook(env, "operator", "quayintegration.quay.redhat.com", "Fail");
            })
        },
        Then::Resolved,
    ),
    case(
        "OQ506",
        || {
            stand_in(|env| {
                waiting_build(env);
                // Changing the BuildConfig does not change the build.
                env.merge(
                    "BuildConfig",
                    "shop",
                    "lost",
                    &json!({ "spec": { "output": { "to": null } } }),
                );
            })
        },
        Then::Resolved,
    ),
    case(
        "OQ509",
        || {
            stand_in(|env| {
                env.namespace("images");
                let output = json!({ "to": { "kind": "ImageStreamTag", "namespace": "images", "name": "app:1" } });
                env.build_config("shop", "cross", &output);
            })
        },
        Then::Person(|env, namespace| {
            env.merge(
                "BuildConfig",
                namespace,
                "cross",
                &json!({ "spec": { "output": { "to": { "namespace": null } } } }),
            );
        }),
    ),
    case(
        "OQ510",
        || {
            stand_in(|env| {
                env.build_config("shop", "app", &to_tag("app:latest"));
                env.oc_quay(&["builds", "rewrite", "-n", "shop", "--yes"]).succeeds();
                env.merge(
                    "QuayIntegration",
                    "",
                    "quay",
                    &json!({ "spec": { "clusterID": "other" } }),
                );
                env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
            })
        },
        Then::Resolved,
    ),
    found_by(
        &["builds", "rewrite", "-n", "shop", "--yes"],
        case(
            "OQ512",
            || {
                stand_in(|env| {
                    env.build_config("shop", "kept", &to_tag("app:latest"));
                    track(env, json!("shop:build.openshift.io/BuildConfig:shop/kept"));
                })
            },
            Then::Person(|env, _| track(env, Value::Null)),
        ),
    ),
    case(
        "OQ513",
        || {
            stand_in(|env| {
                env.build_config("shop", "app", &to_tag("app:latest"));
                env.oc_quay(&["builds", "rewrite", "-n", "shop", "--yes"]).succeeds();
                env.delete("Secret", "shop", "builder-quay-openshift");
            })
        },
        Then::Resolved,
    ),
    Case {
        user: "guest",
        given: |command| command.guest("guest"),
        ..case("OQ901", || linked(|_| ()), Then::Resolved)
    },
];

/// An environment with the linked namespace `shop`, arranged after the link.
fn linked(arrange: fn(&TestEnv)) -> Option<TestEnv> {
    arranged(TestEnv::new(), arrange)
}

/// Like [`linked`], if only the stand-in supports it.
fn stand_in(arrange: fn(&TestEnv)) -> Option<TestEnv> {
    arranged(TestEnv::stand_in("its webhooks, builds and names are arranged")?, arrange)
}

fn arranged(env: TestEnv, arrange: fn(&TestEnv)) -> Option<TestEnv> {
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    arrange(&env);
    Some(env)
}

fn reject(env: &TestEnv, path: &str) {
    let rejection = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403 });
    env.cluster_traffic().fault(Fault::on("GET", path).status(403).body(&rejection.to_string()));
}

fn images(env: &TestEnv, spec: &Value) {
    env.merge("Image", "", "cluster", &json!({ "spec": spec }));
}

fn being_prepared() -> Option<TestEnv> {
    let cluster = Cluster { settle: std::time::Duration::from_secs(3600), ..Cluster::default() };
    let env = TestEnv::stand_in_bare(
        Options { cluster, ..Options::default() },
        "its controllers do not take their time",
    )?;
    env.integration();
    let annotations = json!({ "openshift.io/display-name": "", "openshift.io/description": "" });
    env.create(&json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop", "annotations": annotations },
    }));
    Some(env)
}

fn without_builds() -> Option<TestEnv> {
    let without = vec!["build.openshift.io".to_owned(), "apps.openshift.io".to_owned()];
    let options =
        Options { cluster: Cluster { without, ..Cluster::default() }, ..Options::default() };
    let env = TestEnv::stand_in_bare(options, "its capabilities are all on")?;
    env.integration();
    env.create(&manifests::namespace("shop"));
    env.oc_quay(&["link", "-n", "shop", "--yes", "--wait", "0s"]).succeeds();
    Some(env)
}

fn delete_with_finalizer(env: &TestEnv) {
    let finalizers = json!({ "metadata": { "finalizers": ["quay.redhat.com/quayintegrations"] } });
    env.merge("Namespace", "", "shop", &finalizers);
    env.delete("Namespace", "", "shop");
}

fn idle_operator(env: &TestEnv) {
    webhook(env, "operator", "quayintegration.quay.redhat.com", "Fail");
    env.create(&manifests::operator_deployment("openshift-operators", 0));
}

fn account(env: &TestEnv, name: &str, role: &str) {
    let metadata =
        json!({ "name": name, "namespace": "shop", "annotations": { "oc-quay/role": role } });
    env.create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
}

fn hide_tokens(env: &TestEnv) {
    let robots = ["builder", "default", "deployer"]
        .map(|robot| json!({ "name": format!("openshift_shop+{robot}"), "description": "", "repositories": STREAMS }));
    let quay = env.quay_traffic();
    let list = json!({ "robots": robots }).to_string();
    quay.fault(Fault::on("GET", "openshift_shop/robots?").status(200).body(&list));
    quay.fault(
        Fault::on("GET", "openshift_shop/robots/")
            .status(403)
            .body(r#"{"message":"Unauthorized"}"#),
    );
}

fn deny_once(env: &TestEnv) {
    let denied = json!({ "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "spec": {}, "status": { "allowed": false } });
    let fault = Fault::on("POST", "selfsubjectaccessreviews").status(201).body(&denied.to_string());
    env.cluster_traffic().fault(fault.times(1));
}

fn waiting_pod(env: &TestEnv) {
    let image = format!("{}/openshift_shop/app:1", env.sandbox.quay.host());
    let container = json!({ "name": "app", "image": image });
    let labels = json!({ "app": "app" });
    env.create(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "app", "namespace": "shop" },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
        },
    }));
    let owner = json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "app-5d4f", "uid": "1", "controller": true });
    env.create(&json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "app-5d4f-x", "namespace": "shop", "labels": { "pod-template-hash": "5d4f" }, "ownerReferences": [owner],
        },
        "spec": { "serviceAccountName": "default", "containers": [container] },
    }));
    let waiting =
        json!({ "waiting": { "reason": "ImagePullBackOff", "message": "Back-off pulling image" } });
    let status = json!({
        "name": "app", "image": image, "imageID": "", "ready": false, "restartCount": 0, "state": waiting,
    });
    env.merge(
        "Pod",
        "shop",
        "app-5d4f-x/status",
        &json!({ "status": { "phase": "Pending", "containerStatuses": [status] } }),
    );
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
}

fn add_credentials(env: &TestEnv, secret: &str) {
    let mut content = env.content("shop", secret);
    content["auths"]["registry.example.com"] = json!({ "auth": "bWU6cGFzc3dvcmQ=" });
    env.set_content("shop", secret, &content);
}

fn to_tag(name: &str) -> Value {
    json!({ "to": { "kind": "ImageStreamTag", "name": name } })
}

fn track(env: &TestEnv, id: Value) {
    let annotations = json!({ "argocd.argoproj.io/tracking-id": id });
    env.merge(
        "BuildConfig",
        "shop",
        "kept",
        &json!({ "metadata": { "annotations": annotations } }),
    );
}

/// A build whose output OpenShift reports as invalid.
fn waiting_build(env: &TestEnv) {
    env.build_config("shop", "lost", &to_tag("unknown:latest"));
    let build = env.start_build("shop", "lost");
    env.wait_for("the build's InvalidOutputReference", || {
        env.get("Build", "shop", &build).unwrap()["status"]["reason"] == "InvalidOutputReference"
    });
}

fn webhook(env: &TestEnv, name: &str, hook: &str, policy: &str) {
    env.create(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": { "name": name },
        "webhooks": [{
            "name": hook, "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": policy,
            "clientConfig": { "service": { "namespace": "openshift-operators", "name": "controller" } },
            "rules": [{
                "apiGroups": ["build.openshift.io"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                "resources": ["builds"],
            }],
        }],
    }));
}

/// Users without permission to read webhooks detect this one by a dry-run Build.
fn unreachable_webhook(env: &TestEnv) {
    env.grant("dev", "shop");
    env.build_config("shop", "app", &to_tag("app:latest"));
    env.webhook("https://127.0.0.1:1/", &sandbox::tls::Authority::new().unwrap());
}

#[test]
fn runs_the_hint_of_every_code() {
    let in_tables = namespaces::CASES
        .iter()
        .map(|case| case.found)
        .chain(integration::CASES.iter().map(|case| case.found));
    let in_tables = in_tables.flatten().map(|found| &found[..5]);
    let run: BTreeSet<_> = in_tables.chain(CASES.iter().map(|case| case.code)).collect();
    let with_hint =
        Code::ALL.iter().map(|code| code.entry()).filter(|entry| !entry.hint.is_empty());
    let not_run: Vec<_> =
        with_hint.map(|entry| entry.code).filter(|code| !run.contains(code)).collect();
    assert_eq!(not_run, [""; 0]);
}

#[test]
fn hints_of_other_findings_resolve_them() {
    let wrong: Vec<_> = CASES.iter().filter_map(|case| try_case(case).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn try_case(case: &Case) -> Result<(), String> {
    let Some(env) = (case.make)() else { return Ok(()) };
    let again = || {
        let command = env.oc_quay(case.line).args(&["-o", "json"]);
        findings(&(case.given)(command).run())
    };
    let now = again();
    // The sandbox has no ClusterRoles that could be granted.
    let is_simulated = |finding: &Value| {
        finding["hint"].as_str().is_some_and(|hint| !hint.contains("create clusterrole"))
    };
    let Some(finding) =
        now.iter().find(|finding| finding["code"] == case.code && is_simulated(finding))
    else {
        return Err(format!("{} is not found: {now:#?}", case.code));
    };
    Seen { env: &env, finding, user: case.user, given: &case.given, again: &again }
        .follow(case.then)
}

#[test]
fn refers_project_user_to_administrator() {
    let env = TestEnv::new();
    env.grant("dev", "shop");
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    // Users of a project know the Quay, but not the token.
    let flags = ["--cluster-id", "openshift", "--quay-url", &env.sandbox.quay.url()];
    let status = |more: &[&str]| {
        let line = [&["status", "-n", "shop", "-o", "json"], &flags[..], more].concat();
        env.oc_quay(&line).user("dev").run()
    };
    let healthy = status(&[]);
    assert_eq!(healthy.code, Some(0), "{healthy:#?}");
    let report = healthy.json();
    assert!(
        !report["summaryLine"].as_str().unwrap().contains("can pull"),
        "{}",
        report["summaryLine"]
    );
    let integration = &report["findings"][0];
    assert_eq!(
        (&integration["code"], &integration["ask"]),
        (&"OQ901".into(), &"cluster".into()),
        "{integration}"
    );
    assert!(
        integration["hint"]
            .as_str()
            .unwrap()
            .contains("--resource=quayintegrations.quay.redhat.com"),
        "{integration}"
    );
    let probed = status(&["--probe"]).json();
    assert!(
        probed["summaryLine"].as_str().unwrap().contains("accepts the credentials of shop"),
        "{}",
        probed["summaryLine"]
    );

    env.delete("Secret", "shop", "default-quay-openshift");
    let broken = status(&[]).json();
    let finding = broken["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["code"] == "OQ301")
        .unwrap()
        .clone();
    assert_eq!(finding["ask"], "cluster", "{finding}");
    let hint = finding["hint"].as_str().unwrap();
    assert!(hint.contains("--quay-url") && !hint.contains("--context"), "{hint}");
    assert!(
        broken["summaryLine"]
            .as_str()
            .unwrap()
            .contains("Ask a cluster administrator to run: oc quay"),
        "{}",
        broken["summaryLine"]
    );
    // The administrator can run it.
    let arguments: Vec<_> =
        hint.strip_prefix("oc quay ").unwrap().split(' ').chain(["--yes"]).collect();
    env.oc_quay(&arguments).succeeds();
    assert!(env.get("Secret", "shop", "default-quay-openshift").is_some());
}

#[test]
fn repeats_connection_flags_in_hints() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.delete("Secret", "shop", "default-quay-openshift");
    let url = env.sandbox.quay.url();
    let kubeconfig = env.kubeconfig();
    let flags = [
        "--quay-url",
        &url,
        "--cluster-id",
        "openshift",
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
        "--context",
        "admin",
    ];
    let status = env
        .oc_quay(&[&["status", "-n", "shop", "-o", "json"], &flags[..]].concat())
        .ends_with(1)
        .json();
    let next = status["next"].as_str().unwrap();
    for flag in ["--quay-url", "--cluster-id", "--kubeconfig", "--context admin"] {
        assert!(next.contains(flag), "{next} lacks {flag}");
    }
    let command = env.oc_quay(
        &next.strip_prefix("oc quay ").unwrap().split(' ').chain(["--yes"]).collect::<Vec<_>>(),
    );
    command.without_env("KUBECONFIG").succeeds();
    assert!(env.get("Secret", "shop", "default-quay-openshift").is_some());
}

#[test]
fn does_not_hint_setup_for_a_given_token() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let file = env.dir().join("token.txt");
    std::fs::write(&file, "x".repeat(40)).unwrap();
    let arguments =
        ["status", "-n", "shop", "-o", "json", "--quay-token-file", file.to_str().unwrap()];
    let status = env.oc_quay(&arguments).ends_with(1);
    assert_eq!(status.json()["next"], "oc quay explain OQ109", "{}", status.stdout);
    assert!(status.stdout.contains("--quay-token-file"), "{}", status.stdout);
}

#[test]
fn setup_resolves_the_findings_that_hint_it() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let damages = [
        ("OQ101", ["QuayIntegration", "", "quay"]),
        ("OQ107", ["Secret", "openshift-operators", "quay-integration"]),
    ];
    for (code, [kind, namespace, name]) in damages {
        env.delete(kind, namespace, name);
        let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1);
        assert_eq!(
            (status.codes()[0].as_str(), &status.json()["next"]),
            (code, &"oc quay setup".into())
        );
        env.setup(&["--controller=none", "--replace-token"]).succeeds();
        let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds();
        assert!(!status.codes().contains(&code.to_owned()), "{}", status.stdout);
    }
}
