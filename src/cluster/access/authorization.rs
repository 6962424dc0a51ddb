//! Credentials of the kubeconfig's user: a token, user name and password, or a credential plugin.
//!
//! Not left to kube (kube-client 5.0 `client/auth/mod.rs`, `client/builder.rs`): it runs a plugin
//! three times per connection, without a timeout and without its name in errors, and panics on a
//! token with a line break.

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

use crate::cluster::access::kubeconfig::{Cluster, Exec};
use crate::printable::printable_line;
use crate::tls::Identity;

/// client-go's refresh period of a token file (`transport/token_source.go`).
const TOKEN_FILE_PERIOD: Duration = Duration::from_secs(60);

/// Timeouts of a plugin; at a terminal the user may be logging in.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(60);
const INTERACTIVE_PLUGIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

const PLUGIN_POLL: Duration = Duration::from_millis(10);

const MAX_PLUGIN_ANSWER_BYTES: u64 = 1 << 20;

/// The output of a plugin is renewed this long before it expires.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);

/// `apiVersions` in client-go's `plugin/pkg/client/auth/exec/exec.go`.
const V1: &str = "client.authentication.k8s.io/v1";
const V1_BETA: &str = "client.authentication.k8s.io/v1beta1";

#[derive(Clone)]
pub(in crate::cluster) enum Authorization {
    None,
    Fixed(HeaderValue),
    File(TokenFile),
    Plugin(Plugin),
}

#[derive(Clone)]
pub(in crate::cluster) struct TokenFile {
    path: PathBuf,
    last: HeaderValue,
}

/// Its text never quotes a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::cluster) struct CredentialsError(pub(in crate::cluster) String);

impl Authorization {
    /// A token, or the token in a file. Like client-go, prefers a readable file
    /// (`NewBearerAuthWithRefreshRoundTripper`).
    pub(in crate::cluster) fn from_token(
        token: Option<&SecretString>,
        file: &str,
    ) -> Result<Self, String> {
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

    pub(in crate::cluster) fn basic(username: &str, password: Option<&SecretString>) -> Self {
        let password = password.map_or("", |password| password.expose_secret());
        let header = HeaderValue::from_str(&format!(
            "Basic {}",
            STANDARD.encode(format!("{username}:{password}"))
        ));
        // Base64 is always a valid header value.
        header.map_or(Self::None, |header| Self::Fixed(sensitive(header)))
    }

    /// None for a plugin.
    #[cfg(test)]
    pub(in crate::cluster) fn header(&self) -> Option<&HeaderValue> {
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

fn bearer(token: &str, source: &str) -> Result<HeaderValue, String> {
    let header = HeaderValue::from_str(&format!("Bearer {token}")).map(sensitive);
    header.map_err(|_| format!("{source} contains a line break or another invalid character"))
}

fn read_token(path: &Path) -> Result<HeaderValue, String> {
    let shown = printable_line(&path.display().to_string());
    let content = fs::read_to_string(path)
        .map_err(|error| format!("failed to read its token file {shown}: {error}"))?;
    let content = SecretString::from(content);
    match content.expose_secret().trim() {
        "" => Err(format!("its token file {shown} is empty")),
        token => bearer(token, &format!("its token file {shown}")),
    }
}

#[derive(Clone)]
pub(in crate::cluster) struct Plugin {
    exec: Exec,
    /// `spec.cluster` of the ExecCredential that the plugin receives (`provideClusterInfo`).
    cluster: Option<Value>,
}

#[derive(Clone)]
pub(in crate::cluster) struct PluginOutput {
    pub(in crate::cluster) header: Option<HeaderValue>,
    pub(in crate::cluster) identity: Option<Identity>,
    expires: Option<Timestamp>,
}

impl PluginOutput {
    fn is_valid(&self) -> bool {
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
    /// Validates a plugin as client-go does.
    pub(in crate::cluster) fn check(exec: &Exec) -> Result<(), String> {
        if !matches!(exec.api_version.as_str(), V1 | V1_BETA) {
            return Err(format!(
                "invalid apiVersion {:?} of its credential plugin: expected {V1} or {V1_BETA}",
                exec.api_version
            ));
        }
        match exec.interactive_mode.as_str() {
            "Never" | "IfAvailable" | "Always" => Ok(()),
            "" if exec.api_version == V1_BETA => Ok(()),
            "" => Err("its credential plugin has no interactiveMode".into()),
            other => Err(format!(
                "invalid interactiveMode {other:?} of its credential plugin: expected Never, IfAvailable or Always"
            )),
        }
    }

    pub(in crate::cluster) fn new(exec: Exec, cluster: &Cluster, config: &Config) -> Self {
        let cluster_info = || {
            let mut info = json!({ "server": cluster.server, "config": cluster.plugin_config() });
            if let (Value::Object(info), Some(authorities)) = (&mut info, &config.root_cert) {
                let pem: String = authorities.iter().map(|der| pem(der)).collect();
                info.insert("certificate-authority-data".into(), json!(STANDARD.encode(pem)));
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
            if let Value::Object(info) = &mut info {
                info.extend(
                    optional
                        .into_iter()
                        .filter_map(|(name, value)| Some((name.to_owned(), value?))),
                );
            }
            info
        };
        let cluster = exec.provide_cluster_info.then(cluster_info);
        Self { exec, cluster }
    }

    #[cfg(test)]
    pub(in crate::cluster) fn exec(&self) -> &Exec {
        &self.exec
    }

    /// As in `isInteractive` of client-go's `exec.go`.
    fn is_interactive(&self) -> Result<bool, String> {
        let is_terminal = std::io::stdin().is_terminal();
        match self.exec.interactive_mode.as_str() {
            "Never" => Ok(false),
            "Always" if !is_terminal => Err(format!(
                "credential plugin {} requires a terminal, but stdin is not a terminal",
                self.name()
            )),
            _ => Ok(is_terminal),
        }
    }

    fn name(&self) -> String {
        printable_line(&self.exec.command)
    }

    pub(in crate::cluster) async fn request_credentials(
        &self,
    ) -> Result<PluginOutput, CredentialsError> {
        let plugin = self.clone();
        let output = tokio::task::spawn_blocking(move || plugin.run()).await;
        output
            .unwrap_or_else(|_| Err("failed to run the credential plugin".into()))
            .map_err(CredentialsError)
    }

    fn run(&self) -> Result<PluginOutput, String> {
        let is_interactive = self.is_interactive()?;
        let mut spec = json!({ "interactive": is_interactive });
        if let (Value::Object(spec), Some(cluster)) = (&mut spec, &self.cluster) {
            spec.insert("cluster".into(), cluster.clone());
        }
        let exec_info =
            json!({ "apiVersion": self.exec.api_version, "kind": "ExecCredential", "spec": spec });
        let mut command = Command::new(executable(&self.exec.command));
        command
            .args(&self.exec.args)
            .envs(self.exec.env.iter().map(|variable| (&variable.name, &variable.value)))
            .env("KUBERNETES_EXEC_INFO", exec_info.to_string())
            .stdin(if is_interactive { Stdio::inherit() } else { Stdio::null() })
            // Prompts of the plugin.
            .stderr(Stdio::inherit())
            .stdout(Stdio::piped());
        let limit = if std::io::stdin().is_terminal() {
            INTERACTIVE_PLUGIN_TIMEOUT
        } else {
            PLUGIN_TIMEOUT
        };
        self.read_answer(&self.output(command, limit)?)
    }

    /// Captures stdout. It is never quoted: it may contain credentials.
    fn output(&self, mut command: Command, limit: Duration) -> Result<SecretSlice<u8>, String> {
        let name = self.name();
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;
        let (send, printed) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                let mut content = Vec::new();
                let read = stdout.take(MAX_PLUGIN_ANSWER_BYTES).read_to_end(&mut content);
                // The receiver is dropped after a timeout.
                let _ = send.send(read.map(|_| content));
            });
        }
        let deadline = Instant::now() + limit;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => thread::sleep(PLUGIN_POLL),
                _ => {
                    // It might have ended already.
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
            _ => Err(format!("failed to read the output of credential plugin {name}")),
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
            _ => format!("failed to start credential plugin {name}: {error}"),
        }
    }

    fn read_answer(&self, printed: &SecretSlice<u8>) -> Result<PluginOutput, String> {
        let name = self.name();
        let invalid =
            |problem: &str| format!("invalid output of credential plugin {name}: {problem}");
        // Some plugins write YAML, which client-go accepts.
        let answer: ExecCredential = serde_saphyr::from_slice(printed.expose_secret())
            .map_err(|_| invalid("it is not an ExecCredential"))?;
        if answer.kind.as_deref() != Some("ExecCredential")
            || answer.api_version.as_ref() != Some(&self.exec.api_version)
        {
            return Err(invalid(&format!(
                "it is not an ExecCredential of {}",
                self.exec.api_version
            )));
        }
        let status = answer.status.ok_or_else(|| invalid("it has no status"))?;
        let non_empty =
            |value: Option<SecretString>| value.filter(|value| !value.expose_secret().is_empty());
        let token = non_empty(status.token);
        let certificate =
            status.client_certificate_data.filter(|certificate| !certificate.is_empty());
        let identity = match (certificate, non_empty(status.client_key_data)) {
            (Some(certificate), Some(key)) => {
                let key = key.expose_secret().as_bytes().to_vec().into();
                Some(
                    Identity::from_pem(certificate.as_bytes(), &key)
                        .map_err(|problem| invalid(&problem))?,
                )
            }
            (None, None) => None,
            _ => return Err(invalid("it has either a certificate or a key: both are required")),
        };
        if token.is_none() && identity.is_none() {
            return Err(invalid("it has neither a token nor a certificate with its key"));
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
                .map_err(|problem| invalid(&problem))?,
            identity,
            expires: expires.map_err(|_| invalid("its expirationTimestamp is not a time"))?,
        })
    }
}

/// Windows searches `PATH` for `.exe` only, unless the command has one of the extensions in
/// `PATHEXT`, such as `gcloud.cmd`.
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

/// Adds the `Authorization` header to requests. Clones share the cached credentials.
#[derive(Clone)]
pub(in crate::cluster) struct Authorizer(Arc<Shared>);

enum Shared {
    Fixed(Option<HeaderValue>),
    File { path: PathBuf, last: Mutex<(HeaderValue, Instant)> },
    Plugin { plugin: Plugin, last: Mutex<PluginOutput> },
}

impl Authorizer {
    /// `answer` is the first output of a plugin.
    pub(in crate::cluster) fn new(
        credentials: Authorization,
        answer: Option<PluginOutput>,
    ) -> Self {
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
                if !last.is_valid() {
                    *last = plugin.request_credentials().await?;
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
    fn prefers_trimmed_token_file_to_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token").display().to_string();
        let token = SecretString::from("inline");
        let header = |token: Option<&SecretString>| {
            Authorization::from_token(token, &file).map(|found| found.header().cloned())
        };
        assert!(header(None).unwrap_err().contains("failed to read"));
        assert_eq!(header(Some(&token)).unwrap().unwrap(), "Bearer inline");
        fs::write(&file, "  from-file \n").unwrap();
        assert_eq!(header(None).unwrap().unwrap(), "Bearer from-file");
        assert_eq!(header(Some(&token)).unwrap().unwrap(), "Bearer from-file");
        fs::write(&file, "\n").unwrap();
        assert!(header(None).unwrap_err().ends_with("is empty"));
        fs::write(&file, "two\nlines\n").unwrap();
        assert!(header(None).unwrap_err().contains("invalid character"));
    }

    #[cfg(unix)]
    #[test]
    fn kills_plugin_after_timeout() {
        let exec = Exec { command: "sleep".into(), ..Exec::default() };
        let plugin = Plugin { exec, cluster: None };
        let mut command = Command::new("sleep");
        command.arg("60").stdout(Stdio::piped());
        let error = plugin.output(command, Duration::from_millis(50)).err().unwrap();
        assert_eq!(error, "credential plugin sleep did not answer within 0 s");
    }

    #[test]
    fn finds_command_by_windows_pathext() {
        let folders = [PathBuf::from("/a"), PathBuf::from("/b")];
        let found = |existing: &str| {
            with_ending("gcloud", &folders, ".EXE;.CMD", |path| path == Path::new(existing))
        };
        assert_eq!(found("/b/gcloud.CMD"), Some("/b/gcloud.CMD".into()));
        assert_eq!(found("/b/gcloud"), None);
    }
}
