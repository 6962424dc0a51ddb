//! What a request to the cluster shows of the user: a token, a name and a password, or what a credential plugin answers.
//!
//! kube runs a plugin three times to connect, waits for it for ever, loses its name, and panics over a token with a line
//! break (kube-client 5.0 `client/auth/mod.rs` and `client/builder.rs`), so this is not left to it.

use std::env;
use std::fmt;
use std::fs;
use std::io::{ErrorKind, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use jiff::Timestamp;
use kube::Config;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tower::BoxError;
use tower::filter::AsyncPredicate;

use super::kubeconfig::{Cluster, Exec};
use crate::tls::Identity;
use crate::ui::printable_line;

/// How long a token that was read from a file is good; client-go's period (`transport/token_source.go`).
const TOKEN_FILE_PERIOD: Duration = Duration::from_secs(60);

/// How long a plugin may take, and how long at a terminal, where a person may be logging in.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(60);
const INTERACTIVE_PLUGIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// How often it is looked whether a plugin has ended.
const PLUGIN_POLL: Duration = Duration::from_millis(10);

/// The largest answer of a plugin that is read.
const MAX_PLUGIN_ANSWER_BYTES: u64 = 1 << 20;

/// How long before its end a plugin's answer is asked for again.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);

/// The versions of the plugin's protocol (`apiVersions` in client-go's `plugin/pkg/client/auth/exec/exec.go`).
const V1: &str = "client.authentication.k8s.io/v1";
const V1_BETA: &str = "client.authentication.k8s.io/v1beta1";

/// What a user shows in a request.
#[derive(Clone)]
pub(super) enum Authorization {
    /// Nothing, or nothing that concerns requests.
    None,
    /// The same in each request.
    Fixed(HeaderValue),
    /// A token in a file, which is read again now and then; while it cannot be, what was read last.
    File(TokenFile),
    /// What a plugin answers.
    Plugin(Plugin),
}

/// A file with a token.
#[derive(Clone)]
pub(super) struct TokenFile {
    path: PathBuf,
    last: HeaderValue,
}

/// Why there are no credentials: a sentence that quotes none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct CredentialsError(pub(super) String);

impl Authorization {
    /// A token, or the one in a file. Of both, client-go takes the file's as long as it can be read
    /// (`NewBearerAuthWithRefreshRoundTripper`).
    pub(super) fn of_token(token: Option<&SecretString>, file: &str) -> Result<Self, String> {
        let fixed =
            token.map(|token| bearer(token.expose_secret(), "its user's token")).transpose()?;
        if file.is_empty() {
            return Ok(fixed.map_or(Self::None, Self::Fixed));
        }
        let path = PathBuf::from(file);
        match (read_token(&path), fixed) {
            (Ok(last), _) => Ok(Self::File(TokenFile { path, last })),
            (Err(_), Some(last)) => Ok(Self::File(TokenFile { path, last })),
            (Err(problem), None) => Err(problem),
        }
    }

    pub(super) fn basic(username: &str, password: Option<&SecretString>) -> Self {
        let password = password.map_or("", |password| password.expose_secret());
        let header = HeaderValue::from_str(&format!(
            "Basic {}",
            STANDARD.encode(format!("{username}:{password}"))
        ));
        // Base64 can always stand there.
        header.map_or(Self::None, |header| Self::Fixed(sensitive(header)))
    }

    /// The header of the first request, if no plugin has to be asked for it.
    #[cfg(test)]
    pub(super) fn header(&self) -> Option<&HeaderValue> {
        match self {
            Authorization::Fixed(header) | Authorization::File(TokenFile { last: header, .. }) => {
                Some(header)
            }
            Authorization::None | Authorization::Plugin(_) => None,
        }
    }
}

fn sensitive(mut header: HeaderValue) -> HeaderValue {
    header.set_sensitive(true);
    header
}

/// A token as it goes into a request. `what` says whose it is.
fn bearer(token: &str, what: &str) -> Result<HeaderValue, String> {
    let header = HeaderValue::from_str(&format!("Bearer {token}")).map(sensitive);
    header
        .map_err(|_| format!("{what} holds a line break or another character that cannot be sent"))
}

fn read_token(path: &Path) -> Result<HeaderValue, String> {
    let shown = printable_line(&path.display().to_string());
    let content = fs::read_to_string(path)
        .map_err(|error| format!("its token file {shown} cannot be read: {error}"))?;
    let content = SecretString::from(content);
    match content.expose_secret().trim() {
        "" => Err(format!("its token file {shown} is empty")),
        token => bearer(token, &format!("its token file {shown}")),
    }
}

/// A credential plugin.
#[derive(Clone)]
pub(super) struct Plugin {
    exec: Exec,
    /// What it is told about the cluster, if it wants to know.
    cluster: Option<Value>,
}

/// What a plugin answered.
#[derive(Clone)]
pub(super) struct PluginOutput {
    pub(super) header: Option<HeaderValue>,
    pub(super) identity: Option<Identity>,
    expires: Option<Timestamp>,
}

impl PluginOutput {
    fn is_good(&self) -> bool {
        self.expires.is_none_or(|expires| Timestamp::now() + EXPIRY_MARGIN < expires)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    api_version: Option<String>,
    kind: Option<String>,
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<String>,
    token: Option<SecretString>,
    client_certificate_data: Option<String>,
    client_key_data: Option<SecretString>,
}

impl Plugin {
    /// What client-go refuses in a plugin.
    pub(super) fn check(exec: &Exec) -> Result<(), String> {
        if !matches!(exec.api_version.as_str(), V1 | V1_BETA) {
            return Err(format!(
                "its credential plugin has apiVersion {:?}: {V1} and {V1_BETA} can be used",
                exec.api_version
            ));
        }
        match exec.interactive_mode.as_str() {
            "Never" | "IfAvailable" | "Always" => Ok(()),
            "" if exec.api_version == V1_BETA => Ok(()),
            "" => Err("its credential plugin has no interactiveMode".into()),
            other => Err(format!(
                "its credential plugin has interactiveMode {other:?}: use Never, IfAvailable or Always"
            )),
        }
    }

    pub(super) fn new(exec: Exec, cluster: &Cluster, config: &Config) -> Self {
        let told = || {
            let mut told = json!({ "server": cluster.server, "config": cluster.plugin_config() });
            if let (Value::Object(told), Some(authorities)) = (&mut told, &config.root_cert) {
                let pem: String = authorities.iter().map(|der| pem(der)).collect();
                told.insert("certificate-authority-data".into(), json!(STANDARD.encode(pem)));
            }
            let optional = [
                ("tls-server-name", config.tls_server_name.clone().map(Value::from)),
                (
                    "insecure-skip-tls-verify",
                    Some(config.accept_invalid_certs).filter(|on| *on).map(Value::from),
                ),
                (
                    "proxy-url",
                    Some(cluster.proxy_url.clone()).filter(|url| !url.is_empty()).map(Value::from),
                ),
                (
                    "disable-compression",
                    Some(cluster.disable_compression).filter(|on| *on).map(Value::from),
                ),
            ];
            if let Value::Object(told) = &mut told {
                told.extend(
                    optional
                        .into_iter()
                        .filter_map(|(name, value)| Some((name.to_owned(), value?))),
                );
            }
            told
        };
        let cluster = exec.provide_cluster_info.then(told);
        Self { exec, cluster }
    }

    /// What it is, as the kubeconfig has it.
    #[cfg(test)]
    pub(super) fn exec(&self) -> &Exec {
        &self.exec
    }

    /// Whether it may talk with the person: as client-go decides it (`isInteractive` in `exec.go`).
    fn is_interactive(&self) -> Result<bool, String> {
        let is_terminal = std::io::stdin().is_terminal();
        match self.exec.interactive_mode.as_str() {
            "Never" => Ok(false),
            "Always" if !is_terminal => Err(format!(
                "credential plugin {} has to ask, and stdin is no terminal",
                self.name()
            )),
            _ => Ok(is_terminal),
        }
    }

    fn name(&self) -> String {
        printable_line(&self.exec.command)
    }

    /// Runs it, on a thread that may block.
    pub(super) async fn ask(&self) -> Result<PluginOutput, CredentialsError> {
        let plugin = self.clone();
        let asked = tokio::task::spawn_blocking(move || plugin.run()).await;
        asked
            .unwrap_or_else(|_| Err("the credential plugin could not be run".into()))
            .map_err(CredentialsError)
    }

    fn run(&self) -> Result<PluginOutput, String> {
        let is_interactive = self.is_interactive()?;
        let mut spec = json!({ "interactive": is_interactive });
        if let (Value::Object(spec), Some(cluster)) = (&mut spec, &self.cluster) {
            spec.insert("cluster".into(), cluster.clone());
        }
        let told =
            json!({ "apiVersion": self.exec.api_version, "kind": "ExecCredential", "spec": spec });
        let mut command = Command::new(executable(&self.exec.command));
        command
            .args(&self.exec.args)
            .envs(self.exec.env.iter().map(|variable| (&variable.name, &variable.value)))
            .env("KUBERNETES_EXEC_INFO", told.to_string())
            .stdin(if is_interactive { Stdio::inherit() } else { Stdio::null() })
            // What it has to say to the person.
            .stderr(Stdio::inherit())
            .stdout(Stdio::piped());
        let limit = if std::io::stdin().is_terminal() {
            INTERACTIVE_PLUGIN_TIMEOUT
        } else {
            PLUGIN_TIMEOUT
        };
        self.read_answer(&self.output(command, limit)?)
    }

    /// What it prints. A plugin's own words are not quoted: they may be credentials.
    fn output(&self, mut command: Command, limit: Duration) -> Result<SecretSlice<u8>, String> {
        let name = self.name();
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;
        let (send, printed) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                let mut content = Vec::new();
                let read = stdout.take(MAX_PLUGIN_ANSWER_BYTES).read_to_end(&mut content);
                // The receiver is gone if it took too long.
                let _ = send.send(read.map(|_| content));
            });
        }
        let deadline = Instant::now() + limit;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => thread::sleep(PLUGIN_POLL),
                _ => {
                    // It may have ended by now.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!(
                        "credential plugin {name} did not answer within {} s",
                        limit.as_secs()
                    ));
                }
            }
        };
        if !status.success() {
            return Err(format!("credential plugin {name} failed ({status})"));
        }
        match printed.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Ok(content)) => Ok(content.into()),
            _ => Err(format!("the answer of credential plugin {name} could not be read")),
        }
    }

    fn not_started(&self, error: &std::io::Error) -> String {
        let name = self.name();
        let hint =
            Some(printable_line(self.exec.install_hint.trim())).filter(|hint| !hint.is_empty());
        match error.kind() {
            ErrorKind::NotFound => {
                let hint = hint.map(|hint| format!(": {hint}")).unwrap_or_default();
                format!("credential plugin {name} is not installed{hint}")
            }
            _ => format!("credential plugin {name} could not be started: {error}"),
        }
    }

    fn read_answer(&self, printed: &SecretSlice<u8>) -> Result<PluginOutput, String> {
        let name = self.name();
        let wrong = |problem: &str| {
            format!("the answer of credential plugin {name} cannot be used: {problem}")
        };
        // Some plugins write YAML, which client-go takes as well.
        let answer: ExecCredential = serde_saphyr::from_slice(printed.expose_secret())
            .map_err(|_| wrong("it is no ExecCredential"))?;
        if answer.kind.as_deref() != Some("ExecCredential")
            || answer.api_version.as_ref() != Some(&self.exec.api_version)
        {
            return Err(wrong(&format!("it is no ExecCredential of {}", self.exec.api_version)));
        }
        let status = answer.status.ok_or_else(|| wrong("it has no status"))?;
        let given =
            |value: Option<SecretString>| value.filter(|value| !value.expose_secret().is_empty());
        let token = given(status.token);
        let certificate =
            status.client_certificate_data.filter(|certificate| !certificate.is_empty());
        let identity = match (certificate, given(status.client_key_data)) {
            (Some(certificate), Some(key)) => {
                let key = key.expose_secret().as_bytes().to_vec().into();
                Some(
                    Identity::from_pem(certificate.as_bytes(), &key)
                        .map_err(|problem| wrong(&problem))?,
                )
            }
            (None, None) => None,
            _ => return Err(wrong("it has a certificate or a key, and not both")),
        };
        if token.is_none() && identity.is_none() {
            return Err(wrong("it has neither a token nor a certificate with its key"));
        }
        let expires = status
            .expiration_timestamp
            .filter(|time| !time.is_empty())
            .map(|time| time.parse())
            .transpose();
        Ok(PluginOutput {
            header: token
                .map(|token| bearer(token.expose_secret(), "its token"))
                .transpose()
                .map_err(|problem| wrong(&problem))?,
            identity,
            expires: expires.map_err(|_| wrong("its expirationTimestamp is no time"))?,
        })
    }
}

/// A command as it can be started. Windows looks in `PATH` for `.exe` alone, unless it is told another of the endings that
/// `PATHEXT` lists, such as that of `gcloud.cmd`.
fn executable(command: &str) -> PathBuf {
    let path = PathBuf::from(command);
    if !cfg!(windows) || path.extension().is_some() {
        return path;
    }
    let endings = env::var("PATHEXT").unwrap_or_else(|_| ".COM;.EXE;.BAT;.CMD".into());
    let folders: Vec<PathBuf> = match path.components().count() {
        1 => env::var_os("PATH").iter().flat_map(env::split_paths).collect(),
        _ => vec![PathBuf::new()],
    };
    with_ending(command, &folders, &endings, Path::is_file).unwrap_or(path)
}

fn with_ending(
    command: &str,
    folders: &[PathBuf],
    endings: &str,
    exists: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let candidates = folders.iter().flat_map(|folder| {
        endings.split(';').map(move |ending| folder.join(format!("{command}{ending}")))
    });
    candidates.into_iter().find(|path| exists(path))
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}

/// Puts the credentials into each request. Clones share what was found out.
#[derive(Clone)]
pub(super) struct Authorizer(Arc<Shared>);

enum Shared {
    Fixed(Option<HeaderValue>),
    File { path: PathBuf, last: Mutex<(HeaderValue, Instant)> },
    Plugin { plugin: Plugin, last: Mutex<PluginOutput> },
}

impl Authorizer {
    /// `answer` is what a plugin answered first.
    pub(super) fn new(credentials: Authorization, answer: Option<PluginOutput>) -> Self {
        Self(Arc::new(match (credentials, answer) {
            (Authorization::File(TokenFile { path, last }), _) => {
                Shared::File { path, last: Mutex::new((last, Instant::now())) }
            }
            (Authorization::Plugin(plugin), Some(answer)) => {
                Shared::Plugin { plugin, last: Mutex::new(answer) }
            }
            (Authorization::Fixed(header), _) => Shared::Fixed(Some(header)),
            (Authorization::None | Authorization::Plugin(_), _) => Shared::Fixed(None),
        }))
    }

    async fn header(&self) -> Result<Option<HeaderValue>, CredentialsError> {
        match &*self.0 {
            Shared::Fixed(header) => Ok(header.clone()),
            Shared::File { path, last } => {
                let mut last = last.lock().await;
                if last.1.elapsed() >= TOKEN_FILE_PERIOD {
                    let header = read_token(path).unwrap_or_else(|_| last.0.clone());
                    *last = (header, Instant::now());
                }
                Ok(Some(last.0.clone()))
            }
            Shared::Plugin { plugin, last } => {
                let mut last = last.lock().await;
                if !last.is_good() {
                    *last = plugin.ask().await?;
                }
                Ok(last.header.clone())
            }
        }
    }
}

impl<B: Send + 'static> AsyncPredicate<Request<B>> for Authorizer {
    type Future = BoxFuture<'static, Result<Request<B>, BoxError>>;
    type Request = Request<B>;

    fn check(&mut self, mut request: Request<B>) -> Self::Future {
        let authorizer = self.clone();
        async move {
            if let Some(header) = authorizer.header().await? {
                request.headers_mut().insert(AUTHORIZATION, header);
            }
            Ok(request)
        }
        .boxed()
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Authorization::None => "None",
            Authorization::Fixed(_) => "Fixed",
            Authorization::File(_) => "File",
            Authorization::Plugin(_) => "Plugin",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[test]
    fn a_token_file_may_end_in_a_line_break_and_goes_before_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token").display().to_string();
        let token = SecretString::from("inline");
        let header = |token: Option<&SecretString>| {
            Authorization::of_token(token, &file).map(|found| found.header().cloned())
        };
        assert!(header(None).unwrap_err().contains("cannot be read"));
        assert_eq!(header(Some(&token)).unwrap().unwrap(), "Bearer inline");
        fs::write(&file, "  from-file \n").unwrap();
        assert_eq!(header(None).unwrap().unwrap(), "Bearer from-file");
        assert_eq!(header(Some(&token)).unwrap().unwrap(), "Bearer from-file");
        fs::write(&file, "\n").unwrap();
        assert!(header(None).unwrap_err().ends_with("is empty"));
        fs::write(&file, "two\nlines\n").unwrap();
        assert!(header(None).unwrap_err().contains("cannot be sent"));
    }

    #[cfg(unix)]
    #[test]
    fn a_plugin_that_does_not_answer_is_ended() {
        let exec = Exec { command: "sleep".into(), ..Exec::default() };
        let plugin = Plugin { exec, cluster: None };
        let mut command = Command::new("sleep");
        command.arg("60").stdout(Stdio::piped());
        let error = plugin.output(command, Duration::from_millis(50)).err().unwrap();
        assert_eq!(error, "credential plugin sleep did not answer within 0 s");
    }

    #[test]
    fn windows_endings_are_those_of_pathext() {
        let folders = [PathBuf::from("/a"), PathBuf::from("/b")];
        let found = |there: &str| {
            with_ending("gcloud", &folders, ".EXE;.CMD", |path| path == Path::new(there))
        };
        assert_eq!(found("/b/gcloud.CMD"), Some("/b/gcloud.CMD".into()));
        assert_eq!(found("/b/gcloud"), None);
    }
}
