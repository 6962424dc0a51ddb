//! The command of each finding is run as the person who saw it, or as the administrator it asks, and then the finding is gone.

use std::collections::BTreeSet;

use oc_quay::domain::finding::Code;
use sandbox::openshift::Cluster;
use sandbox::quay::{Flags, TeamRole};
use sandbox::traffic::Fault;
use sandbox::{Options, manifests};
use serde_json::{Value, json};

use super::{integration, namespaces};
use crate::support::{Command, Run, STREAMS, World, shell_words};

/// What follows the command of a hint.
#[derive(Clone, Copy)]
pub(super) enum Then {
    /// Nothing: the command mends what was found.
    Gone,
    /// The command shows or opens what the person then changes, in the namespace of the finding.
    Person(fn(&World, &str)),
    /// The command says what the finding leaves open, in these words. Only an administrator can change the cause.
    Shows(&'static str),
}

/// A finding, and what it takes to look again.
pub(super) struct Seen<'a> {
    pub(super) world: &'a World,
    pub(super) finding: &'a Value,
    /// Who saw it.
    pub(super) user: &'a str,
    /// The environment that it was seen in.
    pub(super) given: &'a dyn Fn(Command) -> Command,
    /// Looks again for all findings.
    pub(super) again: &'a dyn Fn() -> Vec<Value>,
}

/// What tells a finding from others: code and object.
fn key(finding: &Value) -> String {
    format!("{} {}", finding["code"].as_str().unwrap(), finding["object"])
}

pub(super) fn findings(run: &Run) -> Vec<Value> {
    run.json()["findings"].as_array().unwrap().clone()
}

impl Seen<'_> {
    /// Runs the command of its hint, and whatever else it takes.
    ///
    /// # Errors
    /// What the command does not do, in words.
    pub(super) fn follow(&self, then: Then) -> Result<(), String> {
        let Self { world, finding, .. } = self;
        let hint = finding["hint"].as_str().unwrap_or_default();
        let problem = |what: String| format!("{}: `{hint}` {what}", key(finding));
        let (said, findings) = self.run(hint).map_err(problem)?;
        let namespace = finding["namespace"].as_str().unwrap_or_default();
        let findings = match then {
            Then::Shows(words) if said.contains(words) => return Ok(()),
            Then::Shows(words) => return Err(problem(format!("does not say `{words}`: {said}"))),
            Then::Person(act) => {
                act(world, namespace);
                (self.again)()
            }
            // A status with another flag is an answer of its own.
            Then::Gone => findings.unwrap_or_else(|| (self.again)()),
        };
        match findings.iter().find(|left| key(left) == key(finding)) {
            Some(left) => Err(problem(format!("leaves {left}: {said}"))),
            None => Ok(()),
        }
    }

    /// Runs a command. Answers what it says, and the findings if it is a status.
    fn run(&self, hint: &str) -> Result<(String, Option<Vec<Value>>), String> {
        let world = self.world;
        let words: Vec<_> =
            shell_words(hint).into_iter().map(|word| self.filled_in(word)).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let is_asked = finding_asks(self.finding);
        let user = if is_asked { "admin" } else { self.user };
        match words.as_slice() {
            ["oc", "quay", arguments @ ..] => {
                let mut command = match arguments {
                    // The questions of the set-up are answered, with another token.
                    ["setup"] => world
                        .setup(&["--controller=none", "--replace-token"])
                        .token_of("quayadmin", &SCOPES),
                    _ if is_asked => world.oc_quay(arguments),
                    _ => (self.given)(world.oc_quay(&[])).with_arguments(arguments),
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
                let shown = world.oc(user, arguments)?;
                let object = &self.finding["object"];
                let is_read = ["get", "describe"].contains(&arguments[0]);
                // What is missing, and a namespace that has too many objects, are not among what is shown.
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
            _ => Err("is no command of oc".to_owned()),
        }
    }

    /// The word with what the person puts in the place of a placeholder.
    fn filled_in(&self, word: String) -> String {
        match word.as_str() {
            "CA.crt" => self.world.sandbox.ca_file().to_str().unwrap().to_owned(),
            "FILE" => {
                let file = self.world.dir().join("token-of-hint");
                std::fs::write(&file, self.world.sandbox.quay.admin_token()).unwrap();
                file.to_str().unwrap().to_owned()
            }
            _ => word,
        }
    }
}

fn finding_asks(finding: &Value) -> bool {
    finding["ask"] == "cluster"
}

/// What a person does in a namespace after the command that shows more; none for codes whose command mends.
fn then_in_namespace(code: &str) -> Then {
    match code {
        "OQ308" => Then::Person(|world, namespace| world.delete("Secret", namespace, "a-rival")),
        "OQ315" => Then::Person(|world, namespace| {
            let mut content = world.content(namespace, "builder-quay-openshift");
            content["auths"].as_object_mut().unwrap().remove("quay.example.com");
            world.set_content(namespace, "builder-quay-openshift", &content);
        }),
        "OQ319" => Then::Person(|world, namespace| {
            world.merge(
                "ServiceAccount",
                namespace,
                "default",
                &json!({ "secrets": [{ "name": "default-quay-openshift" }] }),
            );
        }),
        "OQ406" => Then::Person(|world, namespace| {
            world.merge(
                "ImageStream",
                namespace,
                "app/status",
                &json!({ "status": { "tags": null } }),
            );
        }),
        "OQ523" => Then::Person(|world, namespace| {
            world.merge("ImageStream", namespace, "app", &json!({ "spec": { "tags": null } }));
        }),
        _ => Then::Gone,
    }
}

/// What a person does about the integration.
pub(super) fn then_in_integration(code: &str) -> Then {
    fn address(world: &World, _: &str) {
        let url = world.sandbox.quay.url();
        world.merge("QuayIntegration", "", "quay", &json!({ "spec": { "quayHostname": url } }));
    }
    match code {
        "OQ102" => Then::Person(|world, _| world.delete("QuayIntegration", "", "second")),
        "OQ103" | "OQ104" | "OQ105" | "OQ112" | "OQ125" => Then::Person(address),
        "OQ106" => Then::Person(|world, _| {
            world.merge(
                "QuayIntegration",
                "",
                "quay",
                &json!({ "spec": { "clusterID": "openshift" } }),
            );
        }),
        // The token that was given is explained, and given no more.
        "OQ109" => Then::Person(|_, _| ()),
        "OQ113" => {
            Then::Person(|world, _| world.sandbox.quay.set_flags(|flags| *flags = Flags::default()))
        }
        _ => Then::Gone,
    }
}

/// Runs the commands of all findings of a namespace, one after another, until each has changed what it is about.
pub(super) fn run_all(world: &World, namespace: &str) -> Result<(), String> {
    let again =
        || findings(&world.oc_quay(&["status", "-n", namespace, "--probe", "-o", "json"]).run());
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
        let seen = Seen { world, finding, user: "admin", given: &|command| command, again: &again };
        seen.follow(then_in_namespace(finding["code"].as_str().unwrap()))?;
    }
}

/// A finding that is in neither of the two tables, or whose hint is another one there.
struct Case {
    code: &'static str,
    /// Makes the world; none where only the stand-in can play it.
    make: fn() -> Option<World>,
    /// The command that finds it.
    line: &'static [&'static str],
    /// Who runs it, and with what.
    user: &'static str,
    given: fn(Command) -> Command,
    then: Then,
}

/// What a token for the set-up can do.
const SCOPES: [&str; 6] =
    ["org:admin", "repo:admin", "repo:create", "super:user", "user:admin", "user:read"];

const STATUS: &[&str] = &["status", "-n", "shop"];

const fn case(code: &'static str, make: fn() -> Option<World>, then: Then) -> Case {
    Case { code, make, line: STATUS, user: "admin", given: |command| command, then }
}

/// Found by another command.
const fn found_by(line: &'static [&'static str], case: Case) -> Case {
    Case { line, ..case }
}

static CASES: &[Case] = &[
    case(
        "OQ108",
        || linked(|world| refuse(world, "secrets/quay-integration")),
        Then::Shows("3 of 3 logins accepted"),
    ),
    case("OQ109", || linked(|world| world.sandbox.quay.expire_tokens()), Then::Gone),
    case(
        "OQ118",
        || {
            linked(|world| {
                images(
                    world,
                    &json!({ "registrySources": { "allowedRegistries": ["registry.redhat.io"] } }),
                )
            })
        },
        Then::Person(|world, _| images(world, &json!({ "registrySources": null }))),
    ),
    case(
        "OQ119",
        || {
            linked(|world| {
                images(
                    world,
                    &json!({ "allowedRegistriesForImport": [{ "domainName": "registry.redhat.io" }] }),
                )
            })
        },
        Then::Person(|world, _| images(world, &json!({ "allowedRegistriesForImport": null }))),
    ),
    found_by(
        &["status", "-n", "nowhere"],
        case("OQ121", || Some(World::new()), Then::Person(|world, _| world.namespace("nowhere"))),
    ),
    case(
        "OQ122",
        being_prepared,
        Then::Person(|world, namespace| {
            let annotations = json!({ "openshift.io/sa.scc.uid-range": "1/1", "openshift.io/sa.scc.mcs": "s0", "openshift.io/sa.scc.supplemental-groups": "1/1" });
            world.merge(
                "Namespace",
                "",
                namespace,
                &json!({ "metadata": { "annotations": annotations } }),
            );
        }),
    ),
    case("OQ123", || linked(hang), Then::Gone),
    case(
        "OQ128",
        || stand_in(idle_operator),
        Then::Person(|world, _| {
            let running =
                json!({ "spec": { "replicas": 1 }, "status": { "availableReplicas": 1 } });
            world.merge("Deployment", "openshift-operators", "quay-bridge-operator", &running);
            world.merge(
                "Deployment",
                "openshift-operators",
                "quay-bridge-operator/status",
                &running,
            );
        }),
    ),
    case(
        "OQ206",
        || {
            Some(World::new()).inspect(|world| {
                world.sandbox.quay.add_organization("openshift_shop", "quayadmin");
                world.sandbox.quay.add_team(
                    "openshift_shop",
                    "people",
                    TeamRole::Admin,
                    &["alice"],
                );
            })
        },
        Then::Gone,
    ),
    case(
        "OQ207",
        || {
            linked(|world| {
                world
                    .sandbox
                    .quay
                    .add_robot("openshift_shop", "pipeline", "our release job")
                    .unwrap();
                account(world, "pipeline", "read");
            })
        },
        Then::Gone,
    ),
    case("OQ307", || linked(hide_tokens), Then::Shows("3 of 3 logins accepted")),
    found_by(
        &["repair", "--rotate", "-n", "shop", "--yes"],
        case("OQ309", || linked(deny_once), Then::Gone),
    ),
    case(
        "OQ311",
        without_builds,
        Then::Person(|world, namespace| {
            for name in ["builder", "deployer"] {
                let metadata = json!({ "name": name, "namespace": namespace });
                world.create(
                    &json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }),
                );
            }
        }),
    ),
    case(
        "OQ316",
        || {
            linked(|world| {
                (0..50).for_each(|number| account(world, &format!("a{number:02}"), "read"))
            })
        },
        Then::Person(|world, namespace| {
            let annotations = json!({ "metadata": { "annotations": { "oc-quay/role": null } } });
            (0..10).for_each(|number| {
                drop(world.merge(
                    "ServiceAccount",
                    namespace,
                    &format!("a{number:02}"),
                    &annotations,
                ))
            });
        }),
    ),
    case(
        "OQ317",
        || Some(World::new()).inspect(waiting_pod),
        Then::Person(|world, namespace| {
            // The ReplicaSet replaces it.
            world.delete("Pod", namespace, "app-5d4f-x");
        }),
    ),
    found_by(
        &["unlink", "-n", "shop", "--yes"],
        case(
            "OQ318",
            || linked(|world| add_login(world, "builder-quay-openshift")),
            Then::Person(|world, namespace| {
                world.delete("Secret", namespace, "builder-quay-openshift");
            }),
        ),
    ),
    case(
        "OQ407",
        || {
            stand_in(|world| {
                (0..1001).for_each(|number| {
                    let metadata = json!({ "name": format!("app{number:04}"), "namespace": "shop" });
                    world
                        .sandbox
                        .openshift
                        .put(json!({ "apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": metadata }));
                })
            })
        },
        Then::Person(|world, namespace| {
            let annotations =
                json!({ "metadata": { "annotations": { "oc-quay/repository": "false" } } });
            (0..10).for_each(|number| {
                drop(world.merge(
                    "ImageStream",
                    namespace,
                    &format!("app{number:04}"),
                    &annotations,
                ))
            });
        }),
    ),
    case(
        "OQ501",
        || {
            stand_in(|world| {
                webhook(world, "operator", "quayintegration.quay.redhat.com", "Fail");
                webhook(world, "bridge", "builds.bridge.oc-quay", "Ignore");
            })
        },
        Then::Person(|world, _| world.delete("MutatingWebhookConfiguration", "", "bridge")),
    ),
    case(
        "OQ502",
        || stand_in(|world| webhook(world, "operator", "quayintegration.quay.redhat.com", "Fail")),
        Then::Person(|world, _| world.delete("MutatingWebhookConfiguration", "", "operator")),
    ),
    Case {
        user: "dev",
        given: |command| command.guest("dev"),
        ..case(
            "OQ502",
            || linked(out_of_reach),
            Then::Person(|world, _| {
                world.delete("MutatingWebhookConfiguration", "", "bridge");
            }),
        )
    },
    case(
        "OQ505",
        || stand_in(|world| world.build_config("shop", "app", &to_tag("app:latest"))),
        Then::Gone,
    ),
    case(
        "OQ506",
        || stand_in(|world| world.build_config("shop", "lost", &to_tag("unknown:latest"))),
        Then::Gone,
    ),
    case(
        "OQ507",
        || {
            stand_in(|world| {
                world.build_config("shop", "app", &to_tag("app:latest"));
                world.remove_from_list("shop", "builder", "secrets", "builder-quay-openshift");
                webhook(world, "operator", "quayintegration.quay.redhat.com", "Fail");
            })
        },
        Then::Gone,
    ),
    case(
        "OQ507",
        || {
            stand_in(|world| {
                world.build_config("shop", "silent", &json!({}));
                webhook(world, "operator", "quayintegration.quay.redhat.com", "Fail");
            })
        },
        Then::Person(|world, namespace| {
            world.merge(
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
            stand_in(|world| {
                waiting_build(world);
                webhook(world, "operator", "quayintegration.quay.redhat.com", "Fail");
            })
        },
        Then::Gone,
    ),
    case(
        "OQ506",
        || {
            stand_in(|world| {
                waiting_build(world);
                // What its BuildConfig says from now on does not change the build.
                world.merge(
                    "BuildConfig",
                    "shop",
                    "lost",
                    &json!({ "spec": { "output": { "to": null } } }),
                );
            })
        },
        Then::Gone,
    ),
    case(
        "OQ509",
        || {
            stand_in(|world| {
                world.namespace("images");
                let output = json!({ "to": { "kind": "ImageStreamTag", "namespace": "images", "name": "app:1" } });
                world.build_config("shop", "cross", &output);
            })
        },
        Then::Person(|world, namespace| {
            world.merge(
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
            stand_in(|world| {
                world.build_config("shop", "app", &to_tag("app:latest"));
                world.oc_quay(&["builds", "rewrite", "-n", "shop", "--yes"]).succeeds();
                world.merge(
                    "QuayIntegration",
                    "",
                    "quay",
                    &json!({ "spec": { "clusterID": "other" } }),
                );
                world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
            })
        },
        Then::Gone,
    ),
    found_by(
        &["builds", "rewrite", "-n", "shop", "--yes"],
        case(
            "OQ512",
            || {
                stand_in(|world| {
                    world.build_config("shop", "kept", &to_tag("app:latest"));
                    track(world, json!("shop:build.openshift.io/BuildConfig:shop/kept"));
                })
            },
            Then::Person(|world, _| track(world, Value::Null)),
        ),
    ),
    case(
        "OQ513",
        || {
            stand_in(|world| {
                world.build_config("shop", "app", &to_tag("app:latest"));
                world.oc_quay(&["builds", "rewrite", "-n", "shop", "--yes"]).succeeds();
                world.delete("Secret", "shop", "builder-quay-openshift");
            })
        },
        Then::Gone,
    ),
    Case {
        user: "nobody",
        given: |command| command.guest("nobody"),
        ..case("OQ901", || linked(|_| ()), Then::Gone)
    },
];

/// A world whose namespace `shop` is linked, and in which something is arranged then.
fn linked(arrange: fn(&World)) -> Option<World> {
    arranged(World::new(), arrange)
}

/// The same where only the stand-in can play it.
fn stand_in(arrange: fn(&World)) -> Option<World> {
    arranged(World::stand_in("its webhooks, builds and names are arranged")?, arrange)
}

fn arranged(world: World, arrange: fn(&World)) -> Option<World> {
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    arrange(&world);
    Some(world)
}

fn refuse(world: &World, path: &str) {
    let refusal = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403 });
    world.cluster_traffic().fault(Fault::on("GET", path).status(403).body(&refusal.to_string()));
}

fn images(world: &World, spec: &Value) {
    world.merge("Image", "", "cluster", &json!({ "spec": spec }));
}

fn being_prepared() -> Option<World> {
    let cluster = Cluster { settle: std::time::Duration::from_secs(3600), ..Cluster::default() };
    let world = World::stand_in_bare(
        Options { cluster, ..Options::default() },
        "its controllers do not take their time",
    )?;
    world.integration();
    let annotations = json!({ "openshift.io/display-name": "", "openshift.io/description": "" });
    world.create(&json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop", "annotations": annotations },
    }));
    Some(world)
}

fn without_builds() -> Option<World> {
    let without = vec!["build.openshift.io".to_owned(), "apps.openshift.io".to_owned()];
    let options =
        Options { cluster: Cluster { without, ..Cluster::default() }, ..Options::default() };
    let world = World::stand_in_bare(options, "its capabilities are all on")?;
    world.integration();
    world.create(&manifests::namespace("shop"));
    world.oc_quay(&["link", "-n", "shop", "--yes", "--wait", "0s"]).succeeds();
    Some(world)
}

fn hang(world: &World) {
    let finalizers = json!({ "metadata": { "finalizers": ["quay.redhat.com/quayintegrations"] } });
    world.merge("Namespace", "", "shop", &finalizers);
    world.delete("Namespace", "", "shop");
}

fn idle_operator(world: &World) {
    webhook(world, "operator", "quayintegration.quay.redhat.com", "Fail");
    world.create(&manifests::operator_deployment("openshift-operators", 0));
}

fn account(world: &World, name: &str, role: &str) {
    let metadata =
        json!({ "name": name, "namespace": "shop", "annotations": { "oc-quay/role": role } });
    world.create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
}

fn hide_tokens(world: &World) {
    let robots = ["builder", "default", "deployer"]
        .map(|robot| json!({ "name": format!("openshift_shop+{robot}"), "description": "", "repositories": STREAMS }));
    let quay = world.quay_traffic();
    let list = json!({ "robots": robots }).to_string();
    quay.fault(Fault::on("GET", "openshift_shop/robots?").status(200).body(&list));
    quay.fault(
        Fault::on("GET", "openshift_shop/robots/")
            .status(403)
            .body(r#"{"message":"Unauthorized"}"#),
    );
}

fn deny_once(world: &World) {
    let denied = json!({ "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "spec": {}, "status": { "allowed": false } });
    let fault = Fault::on("POST", "selfsubjectaccessreviews").status(201).body(&denied.to_string());
    world.cluster_traffic().fault(fault.times(1));
}

fn waiting_pod(world: &World) {
    let image = format!("{}/openshift_shop/app:1", world.sandbox.quay.host());
    let container = json!({ "name": "app", "image": image });
    let labels = json!({ "app": "app" });
    world.create(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "app", "namespace": "shop" },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
        },
    }));
    let owner = json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "app-5d4f", "uid": "1", "controller": true });
    world.create(&json!({
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
    world.merge(
        "Pod",
        "shop",
        "app-5d4f-x/status",
        &json!({ "status": { "phase": "Pending", "containerStatuses": [status] } }),
    );
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
}

fn add_login(world: &World, secret: &str) {
    let mut content = world.content("shop", secret);
    content["auths"]["registry.example.com"] = json!({ "auth": "bWU6cGFzc3dvcmQ=" });
    world.set_content("shop", secret, &content);
}

fn to_tag(name: &str) -> Value {
    json!({ "to": { "kind": "ImageStreamTag", "name": name } })
}

fn track(world: &World, id: Value) {
    let annotations = json!({ "argocd.argoproj.io/tracking-id": id });
    world.merge(
        "BuildConfig",
        "shop",
        "kept",
        &json!({ "metadata": { "annotations": annotations } }),
    );
}

/// A build that OpenShift has told that it has no place to push to.
fn waiting_build(world: &World) {
    world.build_config("shop", "lost", &to_tag("unknown:latest"));
    let build = world.start_build("shop", "lost");
    world.wait_for("the build to be told", || {
        world.get("Build", "shop", &build).unwrap()["status"]["reason"] == "InvalidOutputReference"
    });
}

fn webhook(world: &World, name: &str, hook: &str, policy: &str) {
    world.create(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": { "name": name },
        "webhooks": [{
            "name": hook, "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": policy,
            "clientConfig": { "service": { "namespace": "openshift-operators", "name": "bridge" } },
            "rules": [{
                "apiGroups": ["build.openshift.io"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                "resources": ["builds"],
            }],
        }],
    }));
}

/// Whoever is not allowed to read webhooks learns of this one by a build that is tried.
fn out_of_reach(world: &World) {
    world.grant("dev", "shop");
    world.build_config("shop", "app", &to_tag("app:latest"));
    world.webhook("https://127.0.0.1:1/", &sandbox::tls::Authority::new().unwrap());
}

#[test]
fn every_command_of_a_hint_is_run() {
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
fn the_command_of_each_other_finding_does_what_it_says() {
    let wrong: Vec<_> = CASES.iter().filter_map(|case| try_case(case).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn try_case(case: &Case) -> Result<(), String> {
    let Some(world) = (case.make)() else { return Ok(()) };
    let again = || {
        let command = world.oc_quay(case.line).args(&["-o", "json"]);
        findings(&(case.given)(command).run())
    };
    let now = again();
    // The sandbox has no ClusterRoles that could be granted.
    let is_played = |finding: &Value| {
        finding["hint"].as_str().is_some_and(|hint| !hint.contains("create clusterrole"))
    };
    let Some(finding) =
        now.iter().find(|finding| finding["code"] == case.code && is_played(finding))
    else {
        return Err(format!("{} is not found: {now:#?}", case.code));
    };
    Seen { world: &world, finding, user: case.user, given: &case.given, again: &again }
        .follow(case.then)
}

#[test]
fn asks_an_administrator_for_what_a_project_user_is_not_allowed_to_run() {
    let world = World::new();
    world.grant("dev", "shop");
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    // Whoever is in a project may see which Quay is meant, and not the token.
    let flags = ["--cluster-id", "openshift", "--quay-url", &world.sandbox.quay.url()];
    let status = |more: &[&str]| {
        let line = [&["status", "-n", "shop", "-o", "json"], &flags[..], more].concat();
        world.oc_quay(&line).user("dev").run()
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
        probed["summaryLine"].as_str().unwrap().contains("accepts the logins of shop"),
        "{}",
        probed["summaryLine"]
    );

    world.delete("Secret", "shop", "default-quay-openshift");
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
    // As the administrator, it helps.
    let arguments: Vec<_> =
        hint.strip_prefix("oc quay ").unwrap().split(' ').chain(["--yes"]).collect();
    world.oc_quay(&arguments).succeeds();
    assert!(world.get("Secret", "shop", "default-quay-openshift").is_some());
}

#[test]
fn repeats_connection_flags_in_hints() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.delete("Secret", "shop", "default-quay-openshift");
    let url = world.sandbox.quay.url();
    let kubeconfig = world.kubeconfig();
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
    let status = world
        .oc_quay(&[&["status", "-n", "shop", "-o", "json"], &flags[..]].concat())
        .ends_with(1)
        .json();
    let next = status["next"].as_str().unwrap();
    for flag in ["--quay-url", "--cluster-id", "--kubeconfig", "--context admin"] {
        assert!(next.contains(flag), "{next} lacks {flag}");
    }
    let command = world.oc_quay(
        &next.strip_prefix("oc quay ").unwrap().split(' ').chain(["--yes"]).collect::<Vec<_>>(),
    );
    command.without_env("KUBECONFIG").succeeds();
    assert!(world.get("Secret", "shop", "default-quay-openshift").is_some());
}

#[test]
fn leads_from_a_given_token_to_no_set_up() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let file = world.dir().join("token.txt");
    std::fs::write(&file, "x".repeat(40)).unwrap();
    let arguments =
        ["status", "-n", "shop", "-o", "json", "--quay-token-file", file.to_str().unwrap()];
    let status = world.oc_quay(&arguments).ends_with(1);
    assert_eq!(status.json()["next"], "oc quay explain OQ109", "{}", status.stdout);
    assert!(status.stdout.contains("--quay-token-file"), "{}", status.stdout);
}

#[test]
fn sets_up_what_a_set_up_is_hinted_for() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let damages = [
        ("OQ101", ["QuayIntegration", "", "quay"]),
        ("OQ107", ["Secret", "openshift-operators", "quay-integration"]),
    ];
    for (code, [kind, namespace, name]) in damages {
        world.delete(kind, namespace, name);
        let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1);
        assert_eq!(
            (status.codes()[0].as_str(), &status.json()["next"]),
            (code, &"oc quay setup".into())
        );
        world.setup(&["--controller=none", "--replace-token"]).succeeds();
        let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds();
        assert!(!status.codes().contains(&code.to_owned()), "{}", status.stdout);
    }
}
