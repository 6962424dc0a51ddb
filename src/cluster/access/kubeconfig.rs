//! Resolves the kubeconfig and its context with client-go's rules, so that every configuration that
//! works for `oc` works here.

mod file;

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use http::Uri;
use http::uri::PathAndQuery;
use kube::Config;
use kube::config::AuthProviderConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::cluster::access::authorization::{Authorization, Plugin};
use crate::cluster::access::client::Options;
use crate::cluster::access::in_cluster::{InClusterConfig, MOUNT};
use crate::printable::printable_line;
use crate::proxy::{self, ProxyRules};
use crate::tls::Identity;
pub(in crate::cluster) use file::Cluster;
pub(in crate::cluster) use file::Exec;
use file::{File, User};

const CONFLICTING_CREDENTIALS: &str =
    "its user has a token and a user name with a password: only one of them can be used";

/// A context with its cluster and user.
pub(in crate::cluster) struct ResolvedContext {
    /// Empty if a cluster was selected without a context.
    pub(in crate::cluster) context: String,
    pub(in crate::cluster) config: Config,
    pub(in crate::cluster) authorization: Authorization,
    /// TLS client certificate of the user.
    pub(in crate::cluster) identity: Option<Identity>,
    /// From the pod's service account instead of a kubeconfig.
    pub(in crate::cluster) is_in_pod: bool,
}

pub(in crate::cluster) fn resolve_context(options: &Options) -> anyhow::Result<ResolvedContext> {
    let files = Files::locate(options.kubeconfig.as_deref(), env::var_os("KUBECONFIG"), home());
    let file = files.read()?;
    // Like kubectl, treats an empty kubeconfig as missing.
    let Some(file) = file.filter(|file| files.required || !file.is_empty()) else {
        let pod = InClusterConfig::detect(|name| env::var(name).ok(), Path::new(MOUNT));
        return match pod.filter(|_| !options.names_kubeconfig()) {
            Some(pod) => pod.resolve(options),
            None => Err(files.missing()),
        };
    };
    let proxies = ProxyRules::from_env(|name| env::var(name).ok());
    resolve(&file, &files, options, &proxies)
}

/// Resolves several kubeconfigs. `variable` looks up environment variables.
///
/// # Errors
/// Never quotes anything that could be a secret.
#[cfg(test)]
pub(in crate::cluster) fn resolve_files(
    paths: &[PathBuf],
    options: &Options,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<ResolvedContext> {
    let files = Files { paths: paths.to_vec(), required: false };
    let file = files.read()?.unwrap_or_default();
    resolve(&file, &files, options, &ProxyRules::from_env(variable))
}

/// For fuzzing: see [`crate::untrusted`].
#[cfg(any(test, fuzzing))]
pub(in crate::cluster) fn resolve_bytes(
    content: &[u8],
    options: &Options,
) -> anyhow::Result<ResolvedContext> {
    let file = File::parse(content).map_err(|invalid| anyhow!("{invalid}"))?;
    resolve(
        &file,
        &Files { paths: vec![], required: false },
        options,
        &ProxyRules::from_env(|_| None),
    )
}

/// Names for shell completion.
#[derive(Debug, PartialEq, Eq)]
pub struct KubeconfigNames {
    pub contexts: Vec<String>,
    pub clusters: Vec<String>,
    pub users: Vec<String>,
}

/// Names in the given kubeconfig, else in the files in `KUBECONFIG`, else in `~/.kube/config`.
///
/// # Errors
/// Names the invalid file.
pub fn entries(path: Option<&Path>) -> anyhow::Result<KubeconfigNames> {
    let kubeconfig =
        Files::locate(path, env::var_os("KUBECONFIG"), home()).read()?.unwrap_or_default();
    Ok(KubeconfigNames {
        contexts: kubeconfig.contexts.into_iter().map(|context| context.name).collect(),
        clusters: kubeconfig.clusters.into_iter().map(|cluster| cluster.name).collect(),
        users: kubeconfig.users.into_iter().map(|user| user.name).collect(),
    })
}

/// As client-go's `util/homedir/homedir.go`.
fn home() -> Option<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    if cfg!(windows) { home_on_windows(variable, Path::exists) } else { env::home_dir() }
}

/// The first folder with a kubeconfig, else the first that exists, else the first that is set.
/// client-go also requires write access, which Windows reports for every folder.
fn home_on_windows(
    variable: impl Fn(&str) -> Option<OsString>,
    exists: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let home = variable("HOME").map(PathBuf::from);
    let profile = variable("USERPROFILE").map(PathBuf::from);
    let drive = variable("HOMEDRIVE").zip(variable("HOMEPATH")).map(|(mut drive, path)| {
        drive.push(path);
        PathBuf::from(drive)
    });
    let with_file = [&home, &drive, &profile]
        .into_iter()
        .flatten()
        .find(|path| exists(&path.join(".kube").join("config")));
    let ordered = [&home, &profile, &drive];
    let existing = || ordered.into_iter().flatten().find(|path| exists(path));
    with_file.or_else(existing).or_else(|| ordered.into_iter().flatten().next()).cloned()
}

/// The first file that sets a value wins (kubernetes.io, "Organizing Cluster Access Using
/// kubeconfig Files").
#[derive(Debug, PartialEq)]
struct Files {
    paths: Vec<PathBuf>,
    /// Set by a flag: the file must exist. Files in `KUBECONFIG` might not, as for kubectl.
    required: bool,
}

impl Files {
    fn locate(path: Option<&Path>, variable: Option<OsString>, home: Option<PathBuf>) -> Self {
        if let Some(path) = path {
            return Self { paths: vec![path.to_owned()], required: true };
        }
        let paths = match variable.filter(|variable| !variable.is_empty()) {
            Some(variable) => {
                env::split_paths(&variable).filter(|path| !path.as_os_str().is_empty()).collect()
            }
            None => home.into_iter().map(|home| home.join(".kube").join("config")).collect(),
        };
        Self { paths, required: false }
    }

    /// The merged content; none if no file exists.
    fn read(&self) -> anyhow::Result<Option<File>> {
        let mut merged: Option<File> = None;
        for path in &self.paths {
            let content = match std::fs::read(path) {
                Err(error) if error.kind() == ErrorKind::NotFound && !self.required => continue,
                content => content.map_err(|error| {
                    anyhow!("failed to read kubeconfig {}: {error}", path.display())
                })?,
            };
            let mut next = File::parse(&content)
                .map_err(|invalid| anyhow!("kubeconfig {} {invalid}", path.display()))?;
            next.resolve_paths(path);
            match &mut merged {
                None => merged = Some(next),
                Some(merged) => merged.merge(next),
            }
        }
        Ok(merged)
    }

    fn missing(&self) -> anyhow::Error {
        anyhow!("no kubeconfig found ({self}): log in with `oc login SERVER`, or set --kubeconfig")
    }
}

impl std::fmt::Display for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let paths: Vec<_> = self.paths.iter().map(|path| path.display().to_string()).collect();
        write!(f, "kubeconfig {}", paths.join(", "))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Names {
    context: String,
    namespace: String,
    cluster: String,
    user: String,
}

fn resolve_names(file: &File, files: &Files, options: &Options) -> anyhow::Result<Names> {
    let names: Vec<_> = file.contexts.iter().map(|context| context.name.as_str()).collect();
    let available = if names.is_empty() {
        "has none".to_owned()
    } else {
        format!("has {}", printable_line(&names.join(", ")))
    };
    let name = options.context.as_deref().unwrap_or(&file.current_context);
    let found = file.context(name);
    // With `--cluster`, no context is required.
    if name.is_empty() && options.cluster.is_none() {
        bail!(
            "{files} has no current context: set --context or run `oc config use-context NAME` (it {available})"
        );
    }
    let shown = printable_line(name);
    if found.is_none() && !name.is_empty() {
        bail!("{files} has no context {shown}: set --context (it {available})");
    }
    let of_context =
        |field: fn(&file::Context) -> &String| found.map(field).cloned().unwrap_or_default();
    let cluster = options.cluster.clone().unwrap_or_else(|| of_context(|context| &context.cluster));
    if cluster.is_empty() {
        bail!("{files}: context {shown} has no cluster: set --cluster or another --context");
    }
    if file.cluster(&cluster).is_none() {
        let cluster = printable_line(&cluster);
        bail!("{files} has no cluster {cluster}: set another --cluster or --context");
    }
    // Without a user the context is anonymous; a user that was selected must exist.
    if let Some(user) = options.user.as_deref().filter(|user| file.user(user).is_none()) {
        bail!("{files} has no user {user}: set another --user");
    }
    let user = options.user.clone().unwrap_or_else(|| of_context(|context| &context.user));
    let namespace =
        Some(of_context(|context| &context.namespace)).filter(|namespace| !namespace.is_empty());
    let namespace = namespace.unwrap_or_else(|| "default".into());
    Ok(Names { context: name.to_owned(), namespace, cluster, user })
}

fn resolve(
    file: &File,
    files: &Files,
    options: &Options,
    proxies: &ProxyRules,
) -> anyhow::Result<ResolvedContext> {
    let Names { context, namespace, cluster, user } = resolve_names(file, files, options)?;
    let cluster = file.cluster(&cluster).cloned().unwrap_or_default();
    let user = file.user(&user).cloned().unwrap_or_default();
    let problem = |problem: String| match context.as_str() {
        "" => anyhow!("{files}: {problem}"),
        context => anyhow!("{files}, context {}: {problem}", printable_line(context)),
    };
    check_cluster(&cluster).map_err(problem)?;
    check_user(&user, options).map_err(problem)?;
    let mut config = Config::new(server(&cluster.server).map_err(problem)?);
    config.default_namespace = namespace;
    config.disable_compression = cluster.disable_compression;
    config.proxy_url = proxy(&cluster, &config.cluster_url, proxies).map_err(problem)?;
    let (mut authorization, mut identity) = (Authorization::None, None);
    // Over plain HTTP, client-go sends no credentials.
    if config.cluster_url.scheme_str() == Some("https") {
        let certificate = certificate(&user).map_err(problem)?;
        config.root_cert = authorities(&cluster).map_err(problem)?;
        config.accept_invalid_certs = cluster.insecure_skip_tls_verify;
        config.tls_server_name =
            Some(cluster.tls_server_name.clone()).filter(|name| !name.is_empty());
        authorization = self::authorization(&user, &cluster, &mut config, certificate.is_some())
            .map_err(problem)?;
        identity = certificate;
    }
    let impersonation = &mut config.auth_info;
    impersonation.impersonate = Some(user.impersonate).filter(|user| !user.is_empty());
    impersonation.impersonate_uid = Some(user.impersonate_uid).filter(|uid| !uid.is_empty());
    impersonation.impersonate_groups =
        Some(user.impersonate_groups).filter(|groups| !groups.is_empty());
    impersonation.impersonate_user_extra =
        Some(user.impersonate_extra.into_iter().collect::<HashMap<_, _>>());
    let config = impersonate(config, options)?;
    Ok(ResolvedContext { context, config, authorization, identity, is_in_pod: false })
}

/// As client-go's `validateClusterInfo` (`tools/clientcmd/validation.go`).
fn check_cluster(cluster: &Cluster) -> Result<(), String> {
    let (path, data) = (&cluster.certificate_authority, &cluster.certificate_authority_data);
    if !path.is_empty() && !data.is_empty() {
        return Err(
            "its certificate authority is given as a file and as data: remove one of them".into()
        );
    }
    check_readable(path, "certificate authority")
}

/// As client-go's `validateAuthInfo` (`tools/clientcmd/validation.go`).
fn check_user(user: &User, options: &Options) -> Result<(), String> {
    if user.token().is_some() && (!user.username.is_empty() || user.password().is_some()) {
        return Err(CONFLICTING_CREDENTIALS.into());
    }
    let (cert_path, cert_data) = (&user.client_certificate, &user.client_certificate_data);
    let (key_path, key_data) = (&user.client_key, &user.client_key_data);
    if !cert_path.is_empty() || !cert_data.is_empty() {
        if !cert_path.is_empty() && !cert_data.is_empty()
            || !key_path.is_empty() && !key_data.is_empty()
        {
            return Err(
                "its user's certificate or key is given as a file and as data: remove one of them"
                    .into(),
            );
        }
        if key_path.is_empty() && key_data.is_empty() {
            return Err("its user has a certificate without a key".into());
        }
        check_readable(cert_path, "client certificate")?;
        check_readable(key_path, "client key")?;
    }
    if let Some(exec) = &user.exec {
        check_plugin(exec)?;
        if user.auth_provider.is_some() {
            return Err("its user has an auth-provider and a credential plugin: only one of them can be used".into());
        }
    }
    let needs_user = !user.impersonate_uid.is_empty()
        || !user.impersonate_groups.is_empty()
        || !user.impersonate_extra.is_empty();
    if needs_user && user.impersonate.is_empty() && options.impersonate.is_none() {
        return Err(
            "its user impersonates a uid, groups or extra fields without a user: set `as`".into()
        );
    }
    Ok(())
}

fn check_plugin(exec: &Exec) -> Result<(), String> {
    if exec.command.is_empty() {
        return Err("its credential plugin has no command".into());
    }
    if exec.env.iter().any(|variable| variable.name.is_empty()) {
        return Err("its credential plugin has an unnamed environment variable".into());
    }
    Plugin::check(exec)
}

/// The API server's URL without query and fragment.
fn server(address: &str) -> Result<Uri, String> {
    let parsed = address.parse::<Uri>().ok().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    let Some(uri) = parsed else {
        return Err(format!(
            "its server {} is not a valid URL that starts with https://",
            printable_line(address)
        ));
    };
    let mut parts = uri.into_parts();
    let path =
        parts.path_and_query.as_ref().map(PathAndQuery::path).and_then(|path| path.parse().ok());
    parts.path_and_query = path;
    Uri::from_parts(parts).map_err(|_| "its server is not a valid URL".into())
}

/// The kubeconfig's proxy, which takes precedence over the environment.
fn proxy(cluster: &Cluster, server: &Uri, proxies: &ProxyRules) -> Result<Option<Uri>, String> {
    match cluster.proxy_url.as_str() {
        "" => proxies.proxy(server),
        url => {
            let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_lowercase());
            let is_usable = matches!(scheme.as_deref(), Some("http" | "https" | "socks5"));
            let address = proxy::parse_url(url).filter(|_| is_usable);
            address.map(Some).ok_or_else(|| {
                "its proxy-url is not a valid URL that starts with http://, https:// or socks5://".into()
            })
        }
    }
}

/// None for the system's authorities.
fn authorities(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>, String> {
    let (path, data) = (&cluster.certificate_authority, cluster.certificate_authority_data.get());
    if path.is_empty() && data.is_empty() {
        return Ok(None);
    }
    if cluster.insecure_skip_tls_verify {
        return Err(
            "it has a certificate authority and insecure-skip-tls-verify: remove one of them"
                .into(),
        );
    }
    let pem = if data.is_empty() { read(path, "certificate authority")? } else { data.to_vec() };
    // With an empty file, client-go uses the system's authorities.
    if pem.is_empty() {
        return Ok(None);
    }
    let mut store = RootCertStore::empty();
    // Like Go, skips invalid certificates.
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    let found: Vec<_> = found
        .into_iter()
        .filter(|der| store.add(der.clone()).is_ok())
        .map(|der| der.to_vec())
        .collect();
    if found.is_empty() {
        Err("its certificate authority contains no certificate".into())
    } else {
        Ok(Some(found))
    }
}

fn certificate(user: &User) -> Result<Option<Identity>, String> {
    let (cert_path, cert_data) = (&user.client_certificate, &user.client_certificate_data);
    if cert_path.is_empty() && cert_data.is_empty() {
        return Ok(None);
    }
    let content = |data: &file::Data, path: &str, what: &str| {
        if data.is_empty() { read(path, what) } else { Ok(data.get().to_vec()) }
    };
    let certificate = content(cert_data, cert_path, "client certificate")?;
    let key = content(&user.client_key_data, &user.client_key, "client key")?.into();
    Identity::from_pem(&certificate, &key)
        .map(Some)
        .map_err(|problem| format!("its user's certificate: {problem}"))
}

/// Like client-go, prefers a token, and then a certificate, to a plugin.
fn authorization(
    user: &User,
    cluster: &Cluster,
    config: &mut Config,
    has_certificate: bool,
) -> Result<Authorization, String> {
    if user.token().is_some() || !user.token_file.is_empty() {
        if !user.username.is_empty() {
            return Err(CONFLICTING_CREDENTIALS.into());
        }
        return Authorization::from_token(user.token(), &user.token_file);
    }
    if !user.username.is_empty() {
        return Ok(Authorization::basic(&user.username, user.password()));
    }
    if let Some(provider) = &user.auth_provider {
        if provider.name != "oidc" {
            let name = printable_line(&provider.name);
            return Err(format!(
                "auth-provider {name} is not supported: it has been removed from Kubernetes' clients"
            ));
        }
        let config_of_provider = provider.config.clone().into_iter().collect();
        let provider = AuthProviderConfig {
            name: provider.name.clone(),
            config: config_of_provider,
            other: Default::default(),
        };
        config.auth_info.auth_provider = Some(provider);
    }
    match &user.exec {
        Some(exec) if !has_certificate => {
            Ok(Authorization::Plugin(Plugin::new(exec.clone(), cluster, config)))
        }
        _ => Ok(Authorization::None),
    }
}

fn check_readable(path: &str, what: &str) -> Result<(), String> {
    if path.is_empty() {
        Ok(())
    } else {
        std::fs::File::open(path).map(drop).map_err(|error| unreadable(path, what, &error))
    }
}

fn unreadable(path: &str, what: &str, error: &std::io::Error) -> String {
    format!("failed to read its {what} {}: {error}", printable_line(path))
}

fn read(path: &str, what: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| unreadable(path, what, &error))
}

pub(in crate::cluster) fn impersonate(
    mut config: Config,
    options: &Options,
) -> anyhow::Result<Config> {
    let user = &mut config.auth_info;
    user.impersonate = options.impersonate.clone().or_else(|| user.impersonate.take());
    user.impersonate_uid = options.impersonate_uid.clone().or_else(|| user.impersonate_uid.take());
    if !options.impersonate_groups.is_empty() {
        user.impersonate_groups = Some(options.impersonate_groups.clone());
    }
    if user.impersonate.is_none()
        && (user.impersonate_uid.is_some() || user.impersonate_groups.is_some())
    {
        bail!("--as-group and --as-uid require --as USER");
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
current-context: dev
contexts:
- {name: dev, context: {cluster: one, user: ann, namespace: shop}}
- {name: broken, context: {cluster: two, user: ann}}
- {name: empty, context: {cluster: "", user: ann}}
clusters:
- {name: one, cluster: {server: "https://api.one:6443"}}
users:
- {name: ann, user: {token: HIDDEN}}
"#;

    fn options() -> Options {
        Options {
            kubeconfig: None,
            context: None,
            cluster: None,
            user: None,
            impersonate: None,
            impersonate_groups: vec![],
            impersonate_uid: None,
            timeout: std::time::Duration::ZERO,
            concurrency: 1,
        }
    }

    fn files() -> Files {
        Files { paths: vec!["/home/ann/.kube/config".into()], required: false }
    }

    fn context(text: &str, options: &Options) -> Result<String, String> {
        let names = resolve_names(&File::parse(text.as_bytes()).unwrap(), &files(), options);
        names.map(|names| names.context).map_err(|error| error.to_string())
    }

    fn resolved(cluster: &str, user: &str) -> Result<ResolvedContext, String> {
        let text = format!(
            "current-context: a\ncontexts: [{{name: a, context: {{cluster: b, user: c}}}}]\n\
             clusters: [{{name: b, cluster: {{{cluster}}}}}]\nusers: [{{name: c, user: {{{user}}}}}]\n"
        );
        let file = File::parse(text.as_bytes()).map_err(|invalid| invalid.to_string())?;
        resolve(&file, &files(), &options(), &ProxyRules::from_env(|_| None))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn prefers_flag_to_variable_to_home() {
        let of = |given: Option<&str>, variable: Option<&str>| {
            let files = Files::locate(
                given.map(Path::new),
                variable.map(OsString::from),
                Some("/home/ann".into()),
            );
            files.paths.into_iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(Some("/a"), Some("/b")), ["/a"]);
        let list = std::env::join_paths(["/b", "", "/c"]).unwrap();
        assert_eq!(of(None, list.to_str()), ["/b", "/c"]);
        assert_eq!(of(None, Some("")), ["/home/ann/.kube/config"]);
        assert_eq!(of(None, None), ["/home/ann/.kube/config"]);
    }

    #[test]
    fn names_unusable_context_with_file_and_hint() {
        assert_eq!(context(KUBECONFIG, &options()), Ok("dev".into()));
        let file = "kubeconfig /home/ann/.kube/config";
        let table = [
            (
                Options { context: Some("prod".into()), ..options() },
                format!("{file} has no context prod"),
            ),
            (
                Options { context: Some("broken".into()), ..options() },
                format!("{file} has no cluster two"),
            ),
            (
                Options { context: Some("empty".into()), ..options() },
                format!("{file}: context empty has no cluster"),
            ),
            (
                Options { cluster: Some("three".into()), ..options() },
                format!("{file} has no cluster three"),
            ),
            (Options { user: Some("eve".into()), ..options() }, format!("{file} has no user eve")),
        ];
        for (options, start) in table {
            let error = context(KUBECONFIG, &options).unwrap_err();
            assert!(error.starts_with(&start) && error.contains("--"), "{error}");
        }
        let none = context("apiVersion: v1", &options()).unwrap_err();
        assert!(none.contains("no current context") && none.contains("it has none"), "{none}");
        assert!(
            context(
                KUBECONFIG,
                &Options {
                    cluster: Some("one".into()),
                    context: Some("broken".into()),
                    ..options()
                }
            )
            .is_ok()
        );
    }

    #[test]
    fn locates_syntax_error_without_quoting() {
        let invalid = |text: &[u8]| {
            File::parse(text).err().map(|invalid| invalid.to_string()).unwrap_or_default()
        };
        let shown = invalid(b"users:\n- {name: ann, user: {token: [HIDDEN]}}\n");
        assert!(shown.starts_with("is invalid at line 2") && !shown.contains("HIDDEN"), "{shown}");
        let table: [(&[u8], &str); 4] = [
            (b"\xff\xfe\x41", "is not text"),
            (b"\xc3\x28", "is not text"),
            (b"kind: List", "is not a Config of version v1"),
            (b"users: [{name: ann}, {name: ann}]", "contains ann twice in a list"),
        ];
        for (text, expected) in table {
            assert_eq!(invalid(text), expected);
        }
    }

    #[test]
    fn skips_missing_files_unless_requested() {
        let files = Files::locate(None, Some("/nowhere/1".into()), None);
        assert!(files.read().unwrap().is_none());
        let missing = files.missing().to_string();
        assert!(missing.starts_with("no kubeconfig found (kubeconfig /nowhere/1)"), "{missing}");
        let requested = Files::locate(Some(Path::new("/nowhere/1")), None, None)
            .read()
            .err()
            .unwrap()
            .to_string();
        assert!(requested.starts_with("failed to read kubeconfig /nowhere/1"), "{requested}");
    }

    #[test]
    fn reads_an_empty_field_as_a_missing_one() {
        let cluster = "server: 'https://api.one:6443', certificate-authority: '', certificate-authority-data: '', \
                       tls-server-name: '', proxy-url: ''";
        let user = "token: '', username: '', password: '', tokenFile: '', client-certificate-data: '', \
                    client-key-data: '', as: '', as-uid: ''";
        let choice = resolved(cluster, user).unwrap();
        assert!(matches!(choice.authorization, Authorization::None) && choice.identity.is_none());
        assert_eq!((choice.config.root_cert, choice.config.tls_server_name), (None, None));
        assert_eq!(
            (choice.config.auth_info.impersonate, choice.config.default_namespace),
            (None, "default".into())
        );
    }

    #[test]
    fn rejects_token_with_invalid_characters() {
        for token in ["t\\n", "a\\nb", "\\0", "\\r"] {
            let error = resolved("server: 'https://api.one'", &format!("token: \"{token}\""))
                .err()
                .unwrap();
            assert!(
                error.ends_with("contains a line break or another invalid character"),
                "{error}"
            );
        }
    }

    #[test]
    fn sends_no_credentials_over_plain_http() {
        let context = resolved("server: 'http://localhost:8001'", "token: hush").unwrap();
        assert!(matches!(context.authorization, Authorization::None));
    }

    #[test]
    fn rejects_invalid_configurations() {
        let table = [
            ("server: 'api.one:6443'", "", "is not a valid URL that starts with https://"),
            ("server: ''", "", "is not a valid URL that starts with https://"),
            (
                "server: 'https://a', certificate-authority-data: bm90aGluZw==",
                "",
                "contains no certificate",
            ),
            ("server: 'https://a', certificate-authority: /nowhere", "", "failed to read"),
            ("server: 'https://a', proxy-url: 'ftp://p'", "", "its proxy-url is not a valid URL"),
            ("server: 'https://a'", "token: t, username: ann", "only one of them can be used"),
            ("server: 'https://a'", "client-certificate-data: YQ==", "without a key"),
            ("server: 'https://a'", "exec: {apiVersion: v1, command: x}", "invalid apiVersion"),
            (
                "server: 'https://a'",
                "auth-provider: {name: gcp}",
                "auth-provider gcp is not supported",
            ),
        ];
        for (cluster, user, expected) in table {
            let error = resolved(cluster, user).err().unwrap_or_default();
            assert!(error.contains(expected), "{cluster} {user}: {error}");
        }
    }

    #[test]
    fn finds_windows_home_like_client_go() {
        let variable = |name: &str| {
            let value = match name {
                "HOME" => "/home",
                "USERPROFILE" => "/profile",
                "HOMEDRIVE" => "/dri",
                "HOMEPATH" => "ve",
                _ => return None,
            };
            Some(OsString::from(value))
        };
        let home = |there: &[&str]| {
            home_on_windows(variable, |path| {
                there.iter().any(|existing| Path::new(existing) == path)
            })
            .unwrap()
        };
        assert_eq!(home(&["/drive/.kube/config", "/profile/.kube/config"]), Path::new("/drive"));
        assert_eq!(home(&["/profile/.kube/config", "/home"]), Path::new("/profile"));
        assert_eq!(home(&["/drive", "/profile"]), Path::new("/profile"));
        assert_eq!(home(&[]), Path::new("/home"));
    }

    #[test]
    fn impersonated_groups_require_user() {
        let config = || Config::new("https://api.one:6443".parse().unwrap());
        let groups = Options { impersonate_groups: vec!["admins".into()], ..options() };
        assert!(impersonate(config(), &groups).is_err());
        let config =
            impersonate(config(), &Options { impersonate: Some("eve".into()), ..groups }).unwrap();
        assert_eq!(config.auth_info.impersonate.as_deref(), Some("eve"));
        assert_eq!(config.auth_info.impersonate_groups, Some(vec!["admins".to_owned()]));
    }
}
