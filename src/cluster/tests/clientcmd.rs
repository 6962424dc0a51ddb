//! Compares kubeconfig resolution with client-go's `clientcmd`. Its results are recorded in
//! `clientcmd/recording.json` by the program in `tests/envtest/clientcmd`.
//!
//! With `KUBEBUILDER_ASSETS`, the folder that `tests/envtest/build` prints, the program runs again;
//! with `UPDATE_RECORDING=1` its results are recorded.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::cluster::Options;
use crate::cluster::access::authorization::Authorization;
use crate::cluster::access::kubeconfig::{ResolvedContext, resolve_files};

const CA: &str = include_str!("clientcmd/ca.pem");
const CERTIFICATE: &str = include_str!("clientcmd/client.pem");
const KEY: &str = include_str!("clientcmd/client.key");

const GENERATED: u64 = 400;

/// Intended differences with their reasons.
const DIFFERENCES: [(&str, &str); 4] = [
    (
        "server without a scheme",
        "client-go takes it for http://, over which it then shows no credentials",
    ),
    ("two documents, the second broken", "the whole file is read here"),
    ("a number as a token", "YAML's numbers are text here where text is wanted"),
    ("own proxy without a host", "client-go finds out when it connects"),
];

/// Kubeconfigs and options.
#[derive(Default)]
struct Case {
    name: String,
    /// `{dir}` is replaced by the folder of `ca.pem`, `client.pem`, `client.key`, `token`, `empty`
    /// and `plugin`.
    files: Vec<String>,
    context: &'static str,
    cluster: &'static str,
    user: &'static str,
    variables: Vec<(&'static str, &'static str)>,
}

fn case(name: &str, files: &[&str]) -> Case {
    Case {
        name: name.into(),
        files: files.iter().map(|file| (*file).to_owned()).collect(),
        ..Case::default()
    }
}

fn single(name: &str, cluster: &str, user: &str) -> Case {
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- name: a\n  context: {{cluster: b, user: c}}\n\
         clusters:\n- name: b\n  cluster: {{{cluster}}}\nusers:\n- name: c\n  user: {{{user}}}\n"
    );
    case(name, &[&text])
}

fn wrapped(text: &str) -> String {
    let encoded = STANDARD.encode(text);
    encoded
        .as_bytes()
        .chunks(60)
        .map(|line| format!("{}\\n", String::from_utf8_lossy(line)))
        .collect()
}

const SERVER: &str = "server: 'https://api.one:6443'";

fn fixed_cases() -> Vec<Case> {
    let (ca, certificate, key) =
        (STANDARD.encode(CA), STANDARD.encode(CERTIFICATE), STANDARD.encode(KEY));
    let exec =
        "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: ";
    let user = |name: &str, user: &str| single(name, SERVER, user);
    let cluster = |name: &str, cluster: &str| single(name, cluster, "token: t");
    let with = |name: &str, more: &str| single(name, &format!("{SERVER}, {more}"), "token: t");
    let one = "current-context: a\ncontexts:\n- {name: a, context: {cluster: b, user: c, namespace: n1}}\n";
    let two = "current-context: x\ncontexts:\n- {name: a, context: {cluster: b, user: c, namespace: n2}}\n\
               - {name: x, context: {cluster: w, user: c}}\n\
               clusters:\n- {name: b, cluster: {server: 'https://two'}}\n- {name: w, cluster: {server: 'https://w'}}\n\
               users:\n- {name: c, user: {token: two}}\n";
    let empty_current = "current-context: ''\nclusters:\n- {name: b, cluster: {server: 'https://one', tls-server-name: s}}\n\
                         users:\n- {name: c, user: {username: one}}\n";
    let none = "clusters:\n- {name: b, cluster: {server: 'https://one'}}\nusers:\n- {name: c, user: {token: t}}\n";
    let proxied = |name: &str, server: &str, variables: &[(&'static str, &'static str)]| Case {
        variables: variables.to_vec(),
        ..cluster(name, &format!("server: '{server}'"))
    };
    let https: (&str, &str) = ("HTTPS_PROXY", "http://p:1");
    vec![
        user("nothing about the user", ""),
        user("token", "token: t"),
        user("token with a line break", "token: \"t\\n\""),
        user("token file", "tokenFile: token"),
        user("token file, absolute", "tokenFile: '{dir}/token'"),
        user("token file that is missing", "tokenFile: nowhere"),
        user("token file that is empty", "tokenFile: empty"),
        user("token and token file", "token: t, tokenFile: token"),
        user("token and a token file that is missing", "token: t, tokenFile: nowhere"),
        user("empty token and token file", "token: '', tokenFile: token"),
        user(
            "empty token and certificate",
            &format!("token: '', client-certificate-data: {certificate}, client-key-data: {key}"),
        ),
        user("name and password", "username: ann, password: pw"),
        user("name without password", "username: ann"),
        user("password without name", "password: pw"),
        user("empty name", "username: '', password: '', token: t"),
        user("token and name", "token: t, username: ann, password: pw"),
        user("token file and name", "tokenFile: token, username: ann, password: pw"),
        user(
            "certificate",
            &format!("client-certificate-data: {certificate}, client-key-data: {key}"),
        ),
        user(
            "certificate, wrapped",
            &format!(
                "client-certificate-data: \"{}\", client-key-data: \"{}\"",
                wrapped(CERTIFICATE),
                wrapped(KEY)
            ),
        ),
        user("certificate in files", "client-certificate: client.pem, client-key: client.key"),
        user(
            "certificate and token",
            "client-certificate: client.pem, client-key: client.key, token: t",
        ),
        user("certificate without key", &format!("client-certificate-data: {certificate}")),
        user("key without certificate", &format!("client-key-data: {key}")),
        user(
            "certificate twice",
            &format!(
                "client-certificate: client.pem, client-certificate-data: {certificate}, client-key: client.key"
            ),
        ),
        user(
            "key twice",
            &format!(
                "client-certificate: client.pem, client-key-data: {key}, client-key: client.key"
            ),
        ),
        user(
            "certificate with another's key",
            &format!("client-certificate: ca.pem, client-key-data: {key}"),
        ),
        user("certificate that is none", "client-certificate-data: bm8=, client-key: client.key"),
        user(
            "certificate that is not there",
            "client-certificate: nowhere, client-key: client.key",
        ),
        user(
            "certificate that is not base64",
            "client-certificate-data: '!!', client-key: client.key",
        ),
        user(
            "empty certificate",
            "client-certificate: '', client-certificate-data: '', client-key: '', client-key-data: '', token: t",
        ),
        user(
            "plugin",
            &format!("{exec} plugin-in-path, args: [x, z], env: [{{name: A, value: b}}]}}"),
        ),
        user("plugin, relative", &format!("{exec} ./plugin, provideClusterInfo: true}}")),
        user("plugin and token", &format!("token: t, {exec} x}}")),
        user("plugin and name", &format!("username: ann, {exec} x}}")),
        user(
            "plugin and certificate",
            &format!("client-certificate: client.pem, client-key: client.key, {exec} x}}"),
        ),
        user("plugin without a command", &format!("{exec} ''}}")),
        user("plugin with a nameless variable", &format!("{exec} x, env: [{{value: b}}]}}")),
        user("plugin without a version", "exec: {command: x, interactiveMode: Never}"),
        user(
            "plugin of an old version",
            "exec: {command: x, apiVersion: client.authentication.k8s.io/v1alpha1}",
        ),
        user(
            "plugin of version v1beta1",
            "exec: {command: x, apiVersion: client.authentication.k8s.io/v1beta1}",
        ),
        user(
            "plugin without a mode",
            "exec: {command: x, apiVersion: client.authentication.k8s.io/v1}",
        ),
        user(
            "plugin with another mode",
            "exec: {command: x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: No}",
        ),
        user("provider gcp", "auth-provider: {name: gcp}"),
        user("provider and plugin", &format!("auth-provider: {{name: oidc}}, {exec} x}}")),
        user(
            "as",
            "token: t, as: eve, as-uid: u, as-groups: [g, h], as-user-extra: {Scopes: [view]}",
        ),
        user("as without a user", "token: t, as-groups: [g]"),
        user("as, empty", "token: t, as: '', as-groups: []"),
        user("null everywhere", "token: null, username: ~, exec: null, client-certificate-data:"),
        user("a number as a token", "token: 12345"),
        user(
            "unknown fields",
            "token: t, color: blue, extensions: [{name: x, extension: {a: [1]}}]",
        ),
        cluster("server without a scheme", "server: 'api.one:6443'"),
        cluster("server over http", "server: 'http://localhost:8001'"),
        cluster("server with a path", "server: 'https://rancher/k8s/clusters/c-1'"),
        cluster("server with a query", "server: 'https://rancher/k8s?a=b#c'"),
        cluster("server with a line break", "server: \"https://api.one\\n\""),
        cluster("server in brackets", "server: 'https://[fd00::1]:6443'"),
        cluster("no server", "server: ''"),
        cluster("nothing about the cluster", ""),
        cluster("scheme in capitals", "server: 'HTTPS://api.one'"),
        with("authority", &format!("certificate-authority-data: {ca}")),
        with("authority, wrapped", &format!("certificate-authority-data: \"{}\"", wrapped(CA))),
        with("authority in a file", "certificate-authority: ca.pem"),
        with(
            "authority twice",
            &format!("certificate-authority: ca.pem, certificate-authority-data: {ca}"),
        ),
        with("authority in a file that is missing", "certificate-authority: nowhere"),
        with("authority in a file that is empty", "certificate-authority: empty"),
        with("authority that is none", "certificate-authority-data: bm8="),
        with(
            "authority among other things",
            &format!("certificate-authority-data: {}", STANDARD.encode(format!("# x\n{KEY}{CA}"))),
        ),
        with(
            "authorities",
            &format!(
                "certificate-authority-data: {}",
                STANDARD.encode(format!("{CA}{CERTIFICATE}"))
            ),
        ),
        with("empty authority", "certificate-authority: '', certificate-authority-data: ''"),
        with("no verification", "insecure-skip-tls-verify: true"),
        with("no verification, the old way to say yes", "insecure-skip-tls-verify: yes"),
        with(
            "no verification and an authority",
            "insecure-skip-tls-verify: true, certificate-authority: ca.pem",
        ),
        with("another name", "tls-server-name: other"),
        with("empty name of the server", "tls-server-name: ''"),
        with("own proxy", "proxy-url: 'http://own:3128'"),
        with("own proxy of SOCKS", "proxy-url: 'socks5://own:1080'"),
        with("own proxy without a scheme", "proxy-url: 'own:3128'"),
        with("own proxy without a host", "proxy-url: 'http://'"),
        with("own proxy of an unknown scheme", "proxy-url: 'ftp://own'"),
        Case {
            variables: vec![https],
            ..with("own proxy before the environment's", "proxy-url: 'http://own:3128'")
        },
        Case { variables: vec![https], ..with("empty own proxy", "proxy-url: ''") },
        proxied("proxy", "https://api.one", &[https]),
        proxied("proxy without a scheme", "https://api.one", &[("HTTPS_PROXY", "p:3128")]),
        proxied(
            "proxy with a password",
            "https://api.one",
            &[("HTTPS_PROXY", "http://ann:pw@p:1")],
        ),
        proxied(
            "proxy for http alone",
            "https://api.one",
            &[("HTTP_PROXY", "http://p:1"), ("ALL_PROXY", "http://p:1")],
        ),
        proxied("proxy in small letters", "https://api.one", &[("https_proxy", "http://p:1")]),
        proxied("proxy of SOCKS", "https://api.one", &[("HTTPS_PROXY", "socks5://p:1")]),
        proxied("this computer", "https://127.0.0.1:6443", &[https]),
        proxied("this computer by name", "https://localhost:6443", &[https]),
        proxied("no proxy: name", "https://api.one", &[https, ("NO_PROXY", "one")]),
        proxied(
            "no proxy: the name itself",
            "https://api.one",
            &[https, ("NO_PROXY", ".api.one,*.api.one")],
        ),
        proxied("no proxy: suffix", "https://api.one", &[https, ("NO_PROXY", ".one")]),
        proxied("no proxy: star", "https://api.one", &[https, ("NO_PROXY", "x,*")]),
        proxied("no proxy: port", "https://api.one:6443", &[https, ("NO_PROXY", "api.one:6443")]),
        proxied(
            "no proxy: other port",
            "https://api.one:6443",
            &[https, ("NO_PROXY", "api.one:443")],
        ),
        proxied("no proxy: usual port", "https://api.one", &[https, ("NO_PROXY", "api.one:443")]),
        proxied("no proxy: network", "https://10.1.2.3", &[https, ("NO_PROXY", "10.0.0.0/8")]),
        proxied("no proxy: address", "https://10.1.2.3", &[https, ("NO_PROXY", "10.1.2.3:443")]),
        proxied(
            "no proxy: part of an address",
            "https://10.1.2.3",
            &[https, ("NO_PROXY", "2.3,.3")],
        ),
        proxied("no proxy: IPv6", "https://[fd00::1]", &[https, ("NO_PROXY", "fd00::1")]),
        proxied(
            "no proxy: IPv6 in brackets",
            "https://[fd00::1]",
            &[https, ("NO_PROXY", "[fd00::1]")],
        ),
        proxied(
            "no proxy: IPv6 with a port",
            "https://[fd00::1]",
            &[https, ("NO_PROXY", "[fd00::1]:443")],
        ),
        proxied("no proxy: capitals", "https://API.One", &[https, ("NO_PROXY", "api.ONE")]),
        proxied(
            "no proxy: part of a name",
            "https://api.one",
            &[https, ("NO_PROXY", "pi.one,api")],
        ),
        case("no kubeconfig", &[]),
        case("empty file", &[""]),
        case("comment", &["# nothing\n"]),
        case("null", &["null\n"]),
        case("list", &["- a\n"]),
        case("no YAML", &["a: [\n"]),
        case("other kind", &["kind: Pod\napiVersion: v1\n"]),
        case("other version", &["kind: Config\napiVersion: v2\n"]),
        case("no current context", &[none]),
        Case { cluster: "b", ..case("no context but a cluster", &[none]) },
        Case { cluster: "b", user: "c", ..case("no context but a cluster and a user", &[none]) },
        Case { cluster: "z", ..case("a cluster that is not there", &[none]) },
        Case { context: "x", ..case("another context", &[two]) },
        Case { context: "z", ..case("a context that is not there", &[two]) },
        Case { user: "z", ..case("a user that is not there", &[two]) },
        Case { cluster: "w", ..case("another cluster", &[one, two]) },
        case(
            "a context without a user",
            &[
                "current-context: a\ncontexts: [{name: a, context: {cluster: b}}]\nclusters: [{name: b, cluster: {server: 'https://one'}}]\n",
            ],
        ),
        case(
            "a user without an entry",
            &[
                "current-context: a\ncontexts: [{name: a, context: {cluster: b, user: z}}]\nclusters: [{name: b, cluster: {server: 'https://one'}}]\n",
            ],
        ),
        case(
            "a context without a cluster",
            &["current-context: a\ncontexts: [{name: a, context: {user: c}}]\n"],
        ),
        case("two files", &[one, two]),
        case("two files, the other way round", &[two, one]),
        case("two files, the first without a current context", &[empty_current, two]),
        case("two files, the second empty", &[two, ""]),
        case("two files, the first wins as a whole", &[empty_current, one]),
        case("two files, the second broken", &[two, "a: [\n"]),
        case("names twice", &["contexts: [{name: a}, {name: a}]\n"]),
        case(
            "keys twice",
            &[
                "current-context: z\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: b}}]\nclusters: [{name: b, cluster: {server: 'https://one'}}]\n",
            ],
        ),
        case("two documents", &[&format!("{two}---\n{one}")]),
        case("two documents, the second broken", &[&format!("{two}---\na: [\n")]),
        case(
            "JSON",
            &[
                r#"{"current-context":"a","contexts":[{"name":"a","context":{"cluster":"b"}}],"clusters":[{"name":"b","cluster":{"server":"https://one"}}]}"#,
            ],
        ),
        case(
            "anchors",
            &[
                "x: &s https://one\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: b}}]\nclusters: [{name: b, cluster: {server: *s}}]\n",
            ],
        ),
    ]
}

/// Deterministic random numbers (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    /// Each field has one of its values, or is missing.
    fn fields(&mut self, fields: &[(&str, &[String])]) -> String {
        let mut text = String::new();
        for (name, values) in fields {
            if let Some(value) = values.get(self.below(values.len() + 2)) {
                let separator = if text.is_empty() { "" } else { ", " };
                let _ = write!(text, "{separator}{name}: {value}");
            }
        }
        text
    }
}

fn generated_case(seed: u64) -> Case {
    let mut numbers = Numbers(seed);
    let values =
        |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let quoted = |text: &str| format!("\"{}\"", wrapped(text));
    let servers =
        values(&["'https://api.one:6443'", "'https://rancher/path/'", "'http://plain:80'"]);
    let mut text = "current-context: c0\ncontexts:\n".to_owned();
    for index in 0..3 {
        let names = numbers.fields(&[
            ("cluster", &values(&["b0", "b1", "b2"])),
            ("user", &values(&["u0", "u1", "u2"])),
            ("namespace", &values(&["''", "shop"])),
        ]);
        let _ = writeln!(text, "- {{name: c{index}, context: {{{names}}}}}");
    }
    text.push_str("clusters:\n");
    for index in 0..3 {
        let server = &servers[numbers.below(servers.len())];
        let rest = numbers.fields(&[
            (
                "certificate-authority",
                &values(&["''", "ca.pem", "'{dir}/ca.pem'", "nowhere", "empty"]),
            ),
            (
                "certificate-authority-data",
                &[values(&["''", "''", "bm8="]), vec![quoted(CA)]].concat(),
            ),
            ("insecure-skip-tls-verify", &values(&["false", "true", "null"])),
            ("tls-server-name", &values(&["''", "other", "null"])),
            (
                "proxy-url",
                &values(&["''", "'http://own:3128'", "''", "'socks5://own:1080'", "own"]),
            ),
        ]);
        let separator = if rest.is_empty() { "" } else { ", " };
        let _ =
            writeln!(text, "- {{name: b{index}, cluster: {{server: {server}{separator}{rest}}}}}");
    }
    text.push_str("users:\n");
    for index in 0..3 {
        let user = numbers.fields(&[
            ("token", &values(&["''", "t", "null", "\"t\\n\""])),
            ("tokenFile", &values(&["''", "token", "''", "nowhere"])),
            ("username", &values(&["''", "''", "''", "ann"])),
            ("password", &values(&["''", "''", "''", "pw"])),
            ("client-certificate", &values(&["''", "client.pem", "''"])),
            ("client-key", &values(&["''", "client.key", "client.key"])),
            ("client-certificate-data", &[values(&["''", "''", "''"]), vec![quoted(CERTIFICATE)]].concat()),
            ("client-key-data", &[values(&["''", "''"]), vec![quoted(KEY)]].concat()),
            ("as", &values(&["''", "eve"])),
            ("as-groups", &values(&["[]", "[]", "[g]"])),
            (
                "exec",
                &values(&[
                    "null",
                    "{command: x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: IfAvailable}",
                    "{command: ./plugin, apiVersion: client.authentication.k8s.io/v1beta1}",
                ]),
            ),
        ]);
        let _ = writeln!(text, "- {{name: u{index}, user: {{{user}}}}}");
    }
    let context = ["", "c1", "c2"][numbers.below(3)];
    let variables = match numbers.below(3) {
        0 => vec![],
        1 => vec![("HTTPS_PROXY", "http://p:1")],
        _ => vec![("HTTPS_PROXY", "p:1"), ("NO_PROXY", "rancher")],
    };
    Case { context, variables, ..case(&format!("generated {seed:03}"), &[&text]) }
}

fn cases() -> Vec<Case> {
    fixed_cases().into_iter().chain((0..GENERATED).map(generated_case)).collect()
}

/// Returns the paths of each case's files.
fn write(folder: &Path, cases: &[Case]) -> Vec<Vec<PathBuf>> {
    for (name, content) in [
        ("ca.pem", CA),
        ("client.pem", CERTIFICATE),
        ("client.key", KEY),
        ("token", "from-file\n"),
        ("empty", ""),
    ] {
        fs::write(folder.join(name), content).unwrap();
    }
    let files = |(index, case): (usize, &Case)| {
        let file = |(number, content): (usize, &String)| {
            let path = folder.join(format!("{index}-{number}"));
            fs::write(&path, content.replace("{dir}", &folder.display().to_string())).unwrap();
            path
        };
        // Missing files are skipped.
        case.files.iter().enumerate().map(file).chain([folder.join("missing")]).collect()
    };
    cases.iter().enumerate().map(files).collect()
}

fn non_empty_variable(name: &str) -> Option<String> {
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

fn ours(case: &Case, paths: &[PathBuf]) -> Value {
    let options = Options {
        kubeconfig: None,
        context: non_empty_variable(case.context),
        cluster: non_empty_variable(case.cluster),
        user: non_empty_variable(case.user),
        impersonate: None,
        impersonate_groups: vec![],
        impersonate_uid: None,
        timeout: Duration::ZERO,
        concurrency: 1,
    };
    let variable = |name: &str| {
        case.variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    };
    resolve_files(paths, &options, variable).map_or(Value::Null, |context| to_json(&context))
}

fn to_json(context: &ResolvedContext) -> Value {
    let ResolvedContext { config, authorization, identity, .. } = context;
    let fingerprint = |der: &[u8]| {
        digest(&SHA256, der).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let mut headers = Vec::new();
    headers.extend(
        authorization.header().map(|header| format!("authorization: {}", header.to_str().unwrap())),
    );
    let user = &config.auth_info;
    headers.extend(user.impersonate.iter().map(|user| format!("impersonate-user: {user}")));
    headers.extend(user.impersonate_uid.iter().map(|uid| format!("impersonate-uid: {uid}")));
    headers.extend(
        user.impersonate_groups.iter().flatten().map(|group| format!("impersonate-group: {group}")),
    );
    let extra: BTreeMap<_, _> = user.impersonate_user_extra.iter().flatten().collect();
    headers.extend(extra.into_iter().flat_map(|(name, values)| {
        values
            .iter()
            .map(move |value| format!("impersonate-extra-{}: {value}", name.to_lowercase()))
    }));
    headers.sort();
    let plugin = match authorization {
        Authorization::Plugin(plugin) => {
            let exec = plugin.exec();
            let mode = if exec.interactive_mode.is_empty() {
                "IfAvailable"
            } else {
                &exec.interactive_mode
            };
            let env: Vec<_> = exec
                .env
                .iter()
                .map(|variable| format!("{}={}", variable.name, variable.value))
                .collect();
            json!({
                "command": exec.command, "args": exec.args, "env": env, "apiVersion": exec.api_version,
                "interactiveMode": mode, "provideClusterInfo": exec.provide_cluster_info,
            })
        }
        _ => Value::Null,
    };
    json!({
        "server": config.cluster_url.to_string().trim_end_matches('/'),
        "namespace": config.default_namespace,
        "insecure": config.accept_invalid_certs,
        "serverName": config.tls_server_name.clone().unwrap_or_default(),
        "authorities": config.root_cert.iter().flatten().map(|der| fingerprint(der)).collect::<Vec<_>>(),
        "certificate": identity.iter().flat_map(|identity| identity.chain()).map(|der| fingerprint(der)).collect::<Vec<_>>(),
        "headers": headers,
        "plugin": plugin,
        "proxy": config.proxy_url.as_ref().map(|proxy| proxy.to_string().trim_end_matches('/').to_owned()).unwrap_or_default(),
    })
}

/// None without the client-go program.
fn theirs(folder: &Path, cases: &[Case], paths: &[Vec<PathBuf>]) -> Option<Vec<Value>> {
    let program = PathBuf::from(std::env::var_os("KUBEBUILDER_ASSETS")?).join("clientcmd");
    let mut child = Command::new(program)
        .env_clear()
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("tests/envtest/build makes it");
    let lines: String = cases
        .iter()
        .zip(paths)
        .map(|(case, paths)| {
            let variables: BTreeMap<_, _> = case.variables.iter().copied().collect();
            let line = json!({
                "paths": paths, "context": case.context, "cluster": case.cluster, "user": case.user, "env": variables,
            });
            format!("{line}\n")
        })
        .collect();
    let mut stdin = child.stdin.take().unwrap();
    // Written from a thread, as the program responds to each line.
    let asking = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    asking.join().unwrap().unwrap();
    let answers: Vec<_> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), cases.len());
    Some(answers)
}

fn recording() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cluster/tests/clientcmd/recording.json")
}

/// Removes the temporary folder.
fn without_folder(folder: &Path, answer: &Value) -> Value {
    serde_json::from_str(&answer.to_string().replace(&folder.display().to_string(), "{dir}"))
        .unwrap()
}

#[test]
fn kubeconfigs_resolve_as_in_client_go() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().canonicalize().unwrap();
    let cases = cases();
    let paths = write(&folder, &cases);
    let asked = theirs(&folder, &cases, &paths);
    let asked = asked.map(|answers| {
        answers.iter().map(|answer| without_folder(&folder, answer)).collect::<Vec<_>>()
    });
    if let Some(answers) = asked.as_ref().filter(|_| std::env::var_os("UPDATE_RECORDING").is_some())
    {
        let line = |(case, answer): (&Case, &Value)| format!("{}: {answer}", json!(case.name));
        let lines: Vec<_> = cases.iter().zip(answers).map(line).collect();
        fs::write(recording(), format!("{{\n{}\n}}\n", lines.join(",\n"))).unwrap();
    }
    let recorded: BTreeMap<String, Value> =
        serde_json::from_str(&fs::read_to_string(recording()).unwrap()).unwrap();
    assert_eq!(
        recorded.len(),
        cases.len(),
        "UPDATE_RECORDING=1 with KUBEBUILDER_ASSETS set makes a new one"
    );
    let mut different = Vec::new();
    let mut met = Vec::new();
    for (index, (case, paths)) in cases.iter().zip(&paths).enumerate() {
        let expected = &recorded[&case.name];
        if let Some(asked) = &asked {
            assert_eq!(&asked[index], expected, "{} is not as recorded", case.name);
        }
        let ours = without_folder(&folder, &ours(case, paths));
        if &ours == expected {
            continue;
        }
        match DIFFERENCES.iter().find(|(name, _)| *name == case.name) {
            Some((name, _)) => met.push(*name),
            None => different.push(format!(
                "{}\n{}\n  client-go {expected}\n  ours      {ours}",
                case.name,
                case.files.join("\n")
            )),
        }
    }
    assert!(different.is_empty(), "{} differences:\n{}", different.len(), different.join("\n"));
    assert_eq!(met.len(), DIFFERENCES.len(), "no difference any more, but for {met:?}");
}
