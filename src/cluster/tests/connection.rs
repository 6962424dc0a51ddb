use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use sandbox::traffic::Fault;

use super::Stage;
use crate::cluster::in_cluster::InClusterConfig;
use crate::cluster::{Cause, Cluster, Options};
use crate::domain::integration::ConnectionStage;
use crate::domain::snapshot::ReadErrorKind;

#[test]
fn a_client_knows_where_it_is_and_says_who_it_is() {
    let stage = Stage::new();
    let cluster = stage.cluster("dev");
    assert_eq!((cluster.context(), cluster.namespace()), ("dev", "myproj"));
    assert_eq!(format!("https://{}", cluster.server()), stage.openshift().url());
    assert_eq!(stage.requests(), Vec::<String>::new(), "connecting sends no request");
    stage.run(cluster.version()).unwrap();
    for entry in stage.openshift().traffic().entries() {
        assert_eq!(entry.user_agent, concat!("oc-quay/", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn acting_as_somebody_is_left_to_the_server() {
    let stage = Stage::new();
    let options = Options { impersonate: Some("nobody".into()), ..stage.options("admin") };
    let cluster = stage.run(Cluster::connect(&options)).unwrap();
    let unread = stage.run(cluster.namespaces(None)).unwrap_err();
    assert_eq!(unread.kind, ReadErrorKind::Forbidden);
    assert!(unread.reason.contains("nobody"), "{}", unread.reason);
}

#[cfg(unix)]
#[test]
fn a_credential_plugin_that_fails_is_not_quoted() {
    let stage = Stage::new();
    let token = format!("token: {}", stage.openshift().token("dev"));
    let exec = r#"exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: [-c, "echo HIDDEN; exit 3"]}"#;
    let kubeconfig =
        std::fs::read_to_string(stage.sandbox.kubeconfig()).unwrap().replace(&token, exec);
    let path = stage.sandbox.dir().join("exec");
    std::fs::write(&path, kubeconfig).unwrap();
    let error = stage
        .run(Cluster::connect(&Options { kubeconfig: Some(path), ..stage.options("dev") }))
        .err()
        .unwrap();
    assert_eq!(format!("{error:#}"), "context dev: credential plugin sh failed (exit status: 3)");
}

/// A kubeconfig whose user has a plugin instead of a token; `{dir}` in it stands for a folder.
#[cfg(unix)]
fn with_plugin(stage: &Stage, exec: &str) -> Options {
    let token = format!("token: {}", stage.openshift().token("dev"));
    let exec = exec.replace("{dir}", &stage.sandbox.dir().display().to_string());
    let kubeconfig = std::fs::read_to_string(stage.sandbox.kubeconfig())
        .unwrap()
        .replace(&token, &format!("exec: {{{exec}}}"));
    let path = stage.sandbox.dir().join("exec");
    std::fs::write(&path, kubeconfig).unwrap();
    Options { kubeconfig: Some(path), ..stage.options("dev") }
}

#[cfg(unix)]
#[test]
fn a_credential_plugin_runs_once_and_knows_that_nobody_is_there() {
    let stage = Stage::new();
    let version = "client.authentication.k8s.io/v1";
    let status = format!(
        r#"{{"apiVersion":"{version}","kind":"ExecCredential","status":{{"token":"$T"}}}}"#
    );
    std::fs::write(
        stage.sandbox.dir().join("answer"),
        status.replace("$T", &stage.openshift().token("dev")),
    )
    .unwrap();
    let script = "echo $KUBERNETES_EXEC_INFO >> {dir}/asked; cat {dir}/answer";
    let exec = format!(
        "apiVersion: {version}, interactiveMode: IfAvailable, command: sh, args: [-c, '{script}'], provideClusterInfo: true"
    );
    let cluster = stage.run(Cluster::connect(&with_plugin(&stage, &exec))).unwrap();
    stage.run(cluster.version()).unwrap();
    stage.run(cluster.version()).unwrap();
    let asked = std::fs::read_to_string(stage.sandbox.dir().join("asked")).unwrap();
    assert_eq!(asked.lines().count(), 1, "{asked}");
    let info: serde_json::Value = serde_json::from_str(&asked).unwrap();
    assert_eq!(info["apiVersion"], version);
    let cluster = &info["spec"]["cluster"];
    assert_eq!(cluster["server"], stage.openshift().url());
    assert!(cluster["certificate-authority-data"].is_string(), "{info}");
}

#[cfg(unix)]
#[test]
fn what_is_wrong_with_a_credential_plugin_is_said_without_its_words() {
    let stage = Stage::new();
    let version = "client.authentication.k8s.io/v1";
    let says = |mode: &str, command: &str, rest: &str| {
        let exec =
            format!("apiVersion: {version}, interactiveMode: {mode}, command: {command}, {rest}");
        format!("{:#}", stage.run(Cluster::connect(&with_plugin(&stage, &exec))).err().unwrap())
    };
    let answer = |status: &str| {
        let answer =
            format!(r#"{{"apiVersion":"{version}","kind":"ExecCredential","status":{status}}}"#);
        std::fs::write(stage.sandbox.dir().join("answer"), answer).unwrap();
        says("Never", "cat", "args: ['{dir}/answer']")
    };
    let hinted = says("Never", "no-such-plugin", "installHint: 'brew install it'");
    assert_eq!(
        hinted,
        "context dev: credential plugin no-such-plugin is not installed: brew install it"
    );
    let terminal = says("Always", "cat", "");
    assert_eq!(terminal, "context dev: credential plugin cat has to ask, and stdin is no terminal");
    for (status, expected) in [
        (
            r#"{"token":"HIDDEN\n"}"#,
            "its token holds a line break or another character that cannot be sent",
        ),
        (r#"{"token":""}"#, "it has neither a token nor a certificate with its key"),
        (r#"{"clientKeyData":"HIDDEN"}"#, "it has a certificate or a key, and not both"),
        (
            r#"{"token":"HIDDEN","expirationTimestamp":"soon"}"#,
            "its expirationTimestamp is no time",
        ),
        ("[HIDDEN]", "it is no ExecCredential"),
    ] {
        let expected =
            format!("context dev: the answer of credential plugin cat cannot be used: {expected}");
        assert_eq!(answer(status), expected);
    }
}

/// Why a call to `server` got no answer.
fn silence(stage: &Stage, server: &str) -> (ConnectionStage, String) {
    let kubeconfig = std::fs::read_to_string(stage.sandbox.kubeconfig())
        .unwrap()
        .replace(&stage.openshift().url(), server);
    let path = stage.sandbox.dir().join("other");
    std::fs::write(&path, kubeconfig).unwrap();
    let cluster = stage
        .run(Cluster::connect(&Options { kubeconfig: Some(path), ..stage.options("admin") }))
        .unwrap();
    match stage.run(cluster.delete_secret("myproj", "a", "uid", "1")).unwrap_err().cause {
        Cause::NoAnswer { step, reason, server: named } => {
            assert_eq!(named, server);
            (step, reason)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_answer_says_how_far_the_call_got() {
    let (stage, other) = (Stage::new(), Stage::new());
    assert_eq!(silence(&stage, "https://oc-quay.invalid:6443").0, ConnectionStage::Name);

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (step, reason) = silence(&stage, &format!("https://{closed}"));
    assert!(step == ConnectionStage::Connect && reason.contains("refused"), "{step:?} {reason}");

    let (step, reason) = silence(&stage, &other.openshift().url());
    assert!(step == ConnectionStage::Tls && reason.contains("certificate"), "{step:?} {reason}");

    // A server that speaks no TLS.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in plain.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    assert_eq!(silence(&stage, &format!("https://{address}")).0, ConnectionStage::Tls);
}

#[test]
fn a_slow_answer_is_given_up_and_named() {
    let stage = Stage::new();
    stage
        .openshift()
        .traffic()
        .fault(Fault::on("GET", "quayintegrations").delay(Duration::from_secs(20)));
    let options = Options { timeout: Duration::from_secs(1), ..stage.options("admin") };
    let cluster = stage.run(Cluster::connect(&options)).unwrap();
    let unread = stage.run(cluster.integrations()).unwrap_err();
    assert_eq!(
        (unread.call.as_str(), unread.kind),
        ("list QuayIntegrations", ReadErrorKind::Failed)
    );
    assert!(
        unread.reason.ends_with("while waiting for an answer: nothing came within 1 s"),
        "{}",
        unread.reason
    );
}

#[test]
fn what_may_pass_is_tried_again() {
    let stage = Stage::new();
    let traffic = stage.openshift().traffic();
    let cluster = stage.cluster("admin");
    let faults = [
        Fault::on("GET", "quayintegrations").nth(1).status(503),
        Fault::on("GET", "quayintegrations").nth(1).status(429),
        Fault::on("GET", "quayintegrations").nth(1).drop_before(),
        Fault::on("GET", "quayintegrations").nth(1).drop_after(),
    ];
    for fault in faults {
        traffic.clear_faults();
        traffic.clear();
        traffic.fault(fault);
        assert_eq!(stage.run(cluster.integrations()), Ok(vec![]));
        assert_eq!(traffic.count("list quayintegrations"), 2);
    }
}

/// What a pod of the sandbox's cluster finds as its service account's.
fn mount(stage: &Stage) -> std::path::PathBuf {
    let mount = stage.sandbox.dir().join("serviceaccount");
    std::fs::create_dir_all(&mount).unwrap();
    std::fs::write(mount.join("token"), stage.openshift().token("admin")).unwrap();
    std::fs::copy(stage.sandbox.ca_file(), mount.join("ca.crt")).unwrap();
    std::fs::write(mount.join("namespace"), "oc-quay\n").unwrap();
    mount
}

#[test]
fn a_pod_connects_as_its_service_account_and_knows_the_clusters_public_name() {
    let stage = Stage::new();
    let mount = mount(&stage);
    let port = stage.openshift().url().rsplit(':').next().unwrap().to_owned();
    let variables = |name: &str| match name {
        "KUBERNETES_SERVICE_HOST" => Some("127.0.0.1".to_owned()),
        "KUBERNETES_SERVICE_PORT" => Some(port.clone()),
        _ => None,
    };
    let pod = InClusterConfig::of(variables, &mount).unwrap();
    let connect = || {
        stage
            .run(Cluster::of_choice(pod.choice(&stage.options("")).unwrap(), &stage.options("")))
            .unwrap()
    };
    let cluster = connect();
    assert_eq!((cluster.context(), cluster.namespace()), ("in-cluster", "oc-quay"));
    assert_eq!(cluster.server(), "api.sandbox.example.com:6443");
    stage.run(cluster.integrations()).unwrap();

    stage.openshift().deny("admin", "get", "config.openshift.io", "infrastructures");
    assert_eq!(connect().server(), format!("127.0.0.1:{port}"), "who may not ask has the address");
}

#[test]
fn without_a_token_or_an_address_there_is_no_pod() {
    let stage = Stage::new();
    let mount = mount(&stage);
    assert!(InClusterConfig::of(|_| None, &mount).is_none());
    assert!(InClusterConfig::of(|_| Some("1".into()), stage.sandbox.dir()).is_none());
}
