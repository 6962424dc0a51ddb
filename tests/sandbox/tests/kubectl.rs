//! A real kubectl, 1.30 or newer, against the sandbox's cluster: `$KUBEBUILDER_ASSETS/kubectl` (see
//! `tests/envtest/build`), or the one on PATH. Without one these tests are skipped, and say so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::env::{self, consts::EXE_SUFFIX};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sandbox::openshift::Cluster;
use sandbox::{Options, Sandbox, manifests};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A kind with a strategic merge patch, one without, and one that is defined by a CustomResourceDefinition.
const MANIFEST: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: applied, namespace: team}
data: {a: VALUE}
---
apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {name: applied, namespace: team}
spec: {lookupPolicy: {local: true}}
---
apiVersion: quay.redhat.com/v1
kind: QuayIntegration
metadata: {name: applied}
spec:
  clusterID: VALUE
  quayHostname: https://quay.example.com
  credentialsSecret: {name: quay-integration, namespace: openshift-operators}
";

/// A cluster with a namespace `team`, and the client.
struct TestEnv {
    sandbox: Sandbox,
    kubectl: PathBuf,
}

impl TestEnv {
    /// `None` where there is no kubectl.
    fn start() -> Option<Self> {
        let Some(kubectl) = kubectl() else {
            eprintln!("SKIPPED: there is no kubectl in KUBEBUILDER_ASSETS or on PATH");
            return None;
        };
        let cluster = Cluster { settle: Duration::from_millis(20), ..Cluster::default() };
        let sandbox = Sandbox::start(Options { cluster, ..Options::default() }).unwrap();
        sandbox.openshift.create(manifests::namespace("team"));
        sandbox.openshift.create(manifests::image_stream("team", "web"));
        Some(Self { sandbox, kubectl })
    }

    /// kubectl with arguments, separated by single spaces.
    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(&self.kubectl);
        let variables =
            [("KUBECONFIG", self.sandbox.kubeconfig()), ("HOME", self.sandbox.dir().to_owned())];
        command
            .args(arguments.split(' '))
            .envs(variables)
            .current_dir(self.sandbox.dir())
            .stdin(Stdio::null());
        command
    }

    /// Runs kubectl and compares what it prints: each line begins as expected. Columns are compared by their words, and
    /// ages are not.
    #[track_caller]
    fn prints(&self, arguments: &str, expected: &[&str]) {
        let output = self.command(arguments).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let lines: Vec<String> = text.lines().map(words).filter(|line| !line.is_empty()).collect();
        let is_expected = lines.len() == expected.len()
            && lines.iter().zip(expected).all(|(line, start)| line.starts_with(start));
        assert!(is_expected, "kubectl {arguments}: {lines:#?} instead of {expected:#?}");
    }

    fn write_manifest(&self, value: &str) {
        fs::write(self.sandbox.dir().join("manifest.yaml"), MANIFEST.replace("VALUE", value))
            .unwrap();
    }

    fn config_map(&self, name: &str) -> Option<Value> {
        self.sandbox.openshift.get("ConfigMap", "team", name)
    }
}

/// A line with single spaces and without ages.
fn words(line: &str) -> String {
    let is_age =
        |word: &str| word.strip_suffix('s').is_some_and(|number| number.parse::<u32>().is_ok());
    let words: Vec<&str> =
        line.split_whitespace().map(|word| if is_age(word) { "AGE" } else { word }).collect();
    words.join(" ")
}

fn kubectl() -> Option<PathBuf> {
    let assets = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = assets.into_iter().chain(env::split_paths(&path));
    folders.map(|folder| folder.join(format!("kubectl{EXE_SUFFIX}"))).find(|file| file.is_file())
}

#[track_caller]
fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_true() {
        assert!(Instant::now() < deadline, "still not true: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends a child process with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn reads_by_short_name_and_category() {
    let Some(env) = TestEnv::start() else { return };
    eventually("the service accounts exist", || {
        env.sandbox.openshift.list("ServiceAccount", "team").len() == 3
    });
    for (arguments, expected) in [
        ("get ns team", &["NAME AGE", "team AGE"][..]),
        ("get sa -n team", &["NAME AGE", "builder AGE", "default AGE", "deployer AGE"]),
        ("get is -n team -o wide", &["NAME AGE", "web AGE"]),
        ("get all -n team", &["NAME AGE", "web AGE"]),
        (
            "get ns/team sa/default -n team",
            &["NAME AGE", "namespace/team AGE", "NAME AGE", "serviceaccount/default AGE"],
        ),
        (
            "get crd -o name",
            &["customresourcedefinition.apiextensions.k8s.io/quayintegrations.quay.redhat.com"],
        ),
        (
            "get ns -l kubernetes.io/metadata.name=team -o jsonpath={.items[*].status.phase}",
            &["Active"],
        ),
        ("get cm -n team", &["No resources found in team namespace."]),
        ("get ns gone", &["Error from server (NotFound): namespaces \"gone\" not found"]),
        ("get widgets", &["error: the server doesn't have a resource type \"widgets\""]),
        (
            "get secrets -n team --context guest",
            &["Error from server (Forbidden): secrets is forbidden: User \"guest\" cannot"],
        ),
        ("wait --for=jsonpath={.status.phase}=Active ns/team", &["namespace/team condition met"]),
        ("auth whoami", &["ATTRIBUTE VALUE", "Username admin", "Groups [system:cluster-admins"]),
        ("auth can-i create secrets -n team", &["yes"]),
        ("auth can-i create secrets -n team --context guest", &["no"]),
        ("auth can-i get is --subresource=layers -n team", &["yes"]),
    ] {
        env.prints(arguments, expected);
    }
}

#[test]
fn describes_objects_with_their_events() {
    let Some(env) = TestEnv::start() else { return };
    let uid =
        env.sandbox.openshift.get("ImageStream", "team", "web").unwrap()["metadata"]["uid"].take();
    env.sandbox.openshift.create(json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"namespace": "team", "name": "web.1"},
        "involvedObject": {"kind": "ImageStream", "namespace": "team", "name": "web", "uid": uid},
        "type": "Normal", "reason": "Linked", "message": "it is linked", "source": {"component": "oc-quay"},
    }));
    for (arguments, part) in [
        ("describe ns team", "Status:       Active"),
        ("describe sa default -n team", "Mountable secrets:"),
        ("describe is web -n team", "Docker Image Repository:  image-registry"),
        ("describe is web -n team", "it is linked"),
        ("describe crd quayintegrations.quay.redhat.com", "Kind:         CustomResourceDefinition"),
    ] {
        let output = env.command(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(part), "kubectl {arguments}: {text}");
    }
}

#[test]
fn creates_built_in_kinds() {
    let Some(env) = TestEnv::start() else { return };
    for (arguments, expected) in [
        ("create namespace other", "namespace/other created"),
        (
            "create namespace other",
            "Error from server (AlreadyExists): namespaces \"other\" already exists",
        ),
        (
            "create namespace No",
            "The Namespace \"No\" is invalid: metadata.name: Invalid value: \"No\"",
        ),
        ("create serviceaccount robot -n other", "serviceaccount/robot created"),
        ("create configmap a -n other --from-literal=a=b", "configmap/a created"),
        (
            "create secret generic a -n other --from-literal=empty= --from-literal=a=b",
            "secret/a created",
        ),
        (
            "create secret docker-registry pull -n other --docker-server=q --docker-username=u --docker-password=p",
            "secret/pull created",
        ),
        (
            "create configmap a -n gone",
            "error: failed to create configmap: namespaces \"gone\" not found",
        ),
    ] {
        env.prints(arguments, &[expected]);
    }
    let openshift = &env.sandbox.openshift;
    let secret = openshift.get("Secret", "other", "a").unwrap();
    assert_eq!(
        (&secret["type"], &secret["data"]),
        (&json!("Opaque"), &json!({"a": "Yg==", "empty": ""}))
    );
    assert_eq!(
        openshift.get("Secret", "other", "pull").unwrap()["type"],
        "kubernetes.io/dockerconfigjson"
    );
    assert_eq!(openshift.get("ConfigMap", "other", "a").unwrap()["data"], json!({"a": "b"}));
}

#[test]
fn changes_objects() {
    let Some(env) = TestEnv::start() else { return };
    let resources = [
        "configmap/applied",
        "imagestream.image.openshift.io/applied",
        "quayintegration.quay.redhat.com/applied",
    ];
    let apply = |arguments: &str, results: [&str; 3]| {
        let expected: Vec<String> = resources
            .iter()
            .zip(results)
            .map(|(name, result)| format!("{name} {result}"))
            .collect();
        env.prints(arguments, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    };
    env.write_manifest("one");
    apply("apply -f manifest.yaml", ["created"; 3]);
    apply("apply -f manifest.yaml", ["unchanged"; 3]);
    env.write_manifest("two");
    apply("apply -f manifest.yaml", ["configured", "unchanged", "configured"]);
    env.write_manifest("three");
    apply("apply --server-side -f manifest.yaml", ["serverside-applied"; 3]);
    assert_eq!(env.config_map("applied").unwrap()["data"]["a"], "three");
    assert_eq!(
        env.sandbox.openshift.get("QuayIntegration", "", "applied").unwrap()["spec"]["clusterID"],
        "three"
    );
    for (arguments, expected) in [
        ("label ns team web=1", "namespace/team labeled"),
        ("annotate is web -n team example.com/a=b", "imagestream.image.openshift.io/web annotated"),
        (
            "patch sa default -n team -p {\"secrets\":[{\"name\":\"pull\"}]}",
            "serviceaccount/default patched",
        ),
        (
            "patch quayintegration applied --type=merge -p {\"spec\":{\"clusterID\":\"four\"}}",
            "quayintegration.quay.redhat.com/applied patched",
        ),
        (
            "patch quayintegration applied --type=merge -p {\"spec\":{\"clusterID\":4}}",
            "The QuayIntegration \"applied\" is invalid:",
        ),
        ("delete cm applied -n team", "configmap \"applied\" deleted"),
        ("delete quayintegration/applied", "quayintegration.quay.redhat.com \"applied\" deleted"),
        ("delete ns team", "namespace \"team\" deleted"),
    ] {
        env.prints(arguments, &[expected]);
    }
    assert_eq!(env.sandbox.openshift.get("Namespace", "", "team"), None);
}

#[test]
fn waits_for_the_finalizers_of_a_deleted_object() {
    let Some(env) = TestEnv::start() else { return };
    let finalized = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "team", "name": "kept", "finalizers": ["example.com/kept"]},
    });
    env.sandbox.openshift.create(finalized);
    let mut deletion = Running(
        env.command("delete cm kept -n team --wait").stdout(Stdio::piped()).spawn().unwrap(),
    );
    let watches = || env.sandbox.openshift.traffic().count("watch configmaps") > 0;
    eventually("kubectl watches the object", watches);
    assert!(env.config_map("kept").unwrap()["metadata"]["deletionTimestamp"].is_string());
    assert!(deletion.0.try_wait().unwrap().is_none(), "kubectl did not wait");
    let patch = "patch cm kept -n team --type=json -p [{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]";
    env.prints(patch, &["configmap/kept patched"]);
    eventually("kubectl exits", || {
        deletion.0.try_wait().unwrap().is_some_and(|status| status.success())
    });
    assert_eq!(env.config_map("kept"), None);
}

#[test]
fn watches_changes() {
    let Some(env) = TestEnv::start() else { return };
    let mut watch = env.command("get is -n team -w --output-watch-events");
    let mut watch = Running(watch.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines =
        BufReader::new(watch.0.stdout.take().unwrap()).lines().map(|line| words(&line.unwrap()));
    let mut next = || lines.next().unwrap();
    assert_eq!([next(), next()], ["EVENT NAME AGE", "ADDED web AGE"]);
    env.sandbox.openshift.create(manifests::image_stream("team", "api"));
    assert_eq!(next(), "ADDED api AGE");
    env.prints("label is api -n team a=b", &["imagestream.image.openshift.io/api labeled"]);
    assert_eq!(next(), "MODIFIED api AGE");
    env.sandbox.openshift.delete("ImageStream", "team", "api");
    assert_eq!(next(), "DELETED api AGE");
}
