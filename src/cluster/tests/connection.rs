use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use sandbox::traffic::Fault;

use super::Stage;
use crate::cluster::access::in_cluster::InClusterConfig;
use crate::cluster::{Cause, Cluster, Options};
use crate::domain::integration::ConnectionStage;
use crate::domain::snapshot::ReadErrorKind;

#[test]
fn reports_context_server_and_user_agent() {
    let stage = Stage::new();
    let cluster = stage.cluster("dev");
    assert_eq!((cluster.context(), cluster.namespace()), ("dev", "myproj"));
    assert_eq!(format!("https://{}", cluster.server()), stage.openshift().url());
    assert_eq!(stage.requests(), Vec::<String>::new(), "sends no request");
    stage.run(cluster.version()).unwrap();
    for entry in stage.openshift().traffic().entries() {
        assert_eq!(entry.user_agent, concat!("oc-quay/", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn leaves_impersonation_to_api_server() {
    let stage = Stage::new();
    let options = Options { impersonate: Some("guest".into()), ..stage.options("admin") };
    let cluster = stage.run(Cluster::connect(&options)).unwrap();
    let unread = stage.run(cluster.namespaces(None)).unwrap_err();
    assert_eq!(unread.kind, ReadErrorKind::Forbidden);
    assert!(unread.reason.contains("guest"), "{}", unread.reason);
}

#[cfg(unix)]
#[test]
fn does_not_quote_failed_plugin() {
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

/// A kubeconfig with a plugin instead of a token; `{dir}` is replaced by the folder.
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
fn runs_plugin_once_without_terminal() {
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
    let exec_infos = std::fs::read_to_string(stage.sandbox.dir().join("asked")).unwrap();
    assert_eq!(exec_infos.lines().count(), 1, "{exec_infos}");
    let info: serde_json::Value = serde_json::from_str(&exec_infos).unwrap();
    assert_eq!(info["apiVersion"], version);
    let cluster = &info["spec"]["cluster"];
    assert_eq!(cluster["server"], stage.openshift().url());
    assert!(cluster["certificate-authority-data"].is_string(), "{info}");
}

#[cfg(unix)]
#[test]
fn explains_plugin_errors_without_quoting() {
    let stage = Stage::new();
    let version = "client.authentication.k8s.io/v1";
    let error_of = |mode: &str, command: &str, rest: &str| {
        let exec =
            format!("apiVersion: {version}, interactiveMode: {mode}, command: {command}, {rest}");
        format!("{:#}", stage.run(Cluster::connect(&with_plugin(&stage, &exec))).err().unwrap())
    };
    let answer = |status: &str| {
        let answer =
            format!(r#"{{"apiVersion":"{version}","kind":"ExecCredential","status":{status}}}"#);
        std::fs::write(stage.sandbox.dir().join("answer"), answer).unwrap();
        error_of("Never", "cat", "args: ['{dir}/answer']")
    };
    let missing = error_of("Never", "no-such-plugin", "installHint: 'brew install it'");
    assert_eq!(
        missing,
        "context dev: credential plugin no-such-plugin is not installed: brew install it"
    );
    let terminal = error_of("Always", "cat", "");
    assert_eq!(
        terminal,
        "context dev: credential plugin cat requires a terminal, but stdin is not a terminal"
    );
    for (status, expected) in [
        (r#"{"token":"HIDDEN\n"}"#, "its token contains a line break or another invalid character"),
        (r#"{"token":""}"#, "it has neither a token nor a certificate with its key"),
        (
            r#"{"clientKeyData":"HIDDEN"}"#,
            "it has either a certificate or a key: both are required",
        ),
        (
            r#"{"token":"HIDDEN","expirationTimestamp":"soon"}"#,
            "its expirationTimestamp is not a time",
        ),
        ("[HIDDEN]", "it is not an ExecCredential"),
    ] {
        let expected = format!("context dev: invalid output of credential plugin cat: {expected}");
        assert_eq!(answer(status), expected);
    }
}

/// The stage and reason of an unanswered call.
fn connection_error(stage: &Stage, server: &str) -> (ConnectionStage, String) {
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
fn unanswered_call_reports_connection_stage() {
    let (stage, other) = (Stage::new(), Stage::new());
    assert_eq!(connection_error(&stage, "https://oc-quay.invalid:6443").0, ConnectionStage::Name);

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (step, reason) = connection_error(&stage, &format!("https://{closed}"));
    assert!(step == ConnectionStage::Connect && reason.contains("refused"), "{step:?} {reason}");

    let (step, reason) = connection_error(&stage, &other.openshift().url());
    assert!(step == ConnectionStage::Tls && reason.contains("certificate"), "{step:?} {reason}");

    // A server without TLS.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in plain.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    assert_eq!(connection_error(&stage, &format!("https://{address}")).0, ConnectionStage::Tls);
}

#[test]
fn reports_timeout_of_slow_response() {
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
        unread.reason.ends_with("while waiting for a response: timed out after 1 s"),
        "{}",
        unread.reason
    );
}

#[test]
fn retries_transient_errors() {
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

/// The service account volume of a pod.
fn mount(stage: &Stage) -> std::path::PathBuf {
    let mount = stage.sandbox.dir().join("serviceaccount");
    std::fs::create_dir_all(&mount).unwrap();
    std::fs::write(mount.join("token"), stage.openshift().token("admin")).unwrap();
    std::fs::copy(stage.sandbox.ca_file(), mount.join("ca.crt")).unwrap();
    std::fs::write(mount.join("namespace"), "oc-quay\n").unwrap();
    mount
}

#[test]
fn pod_uses_service_account_and_external_address() {
    let stage = Stage::new();
    let mount = mount(&stage);
    let port = stage.openshift().url().rsplit(':').next().unwrap().to_owned();
    let variables = |name: &str| match name {
        "KUBERNETES_SERVICE_HOST" => Some("127.0.0.1".to_owned()),
        "KUBERNETES_SERVICE_PORT" => Some(port.clone()),
        _ => None,
    };
    let pod = InClusterConfig::detect(variables, &mount).unwrap();
    let connect = || {
        stage
            .run(Cluster::from_context(
                pod.resolve(&stage.options("")).unwrap(),
                &stage.options(""),
            ))
            .unwrap()
    };
    let cluster = connect();
    assert_eq!((cluster.context(), cluster.namespace()), ("in-cluster", "oc-quay"));
    assert_eq!(cluster.server(), "api.sandbox.example.com:6443");
    stage.run(cluster.integrations()).unwrap();

    stage.openshift().deny("admin", "get", "config.openshift.io", "infrastructures");
    assert_eq!(connect().server(), format!("127.0.0.1:{port}"), "without permission");
}

#[test]
fn pod_requires_token_and_address() {
    let stage = Stage::new();
    let mount = mount(&stage);
    assert!(InClusterConfig::detect(|_| None, &mount).is_none());
    assert!(InClusterConfig::detect(|_| Some("1".into()), stage.sandbox.dir()).is_none());
}
