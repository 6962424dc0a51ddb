//! Finding the kubeconfig and, in it, the context: everything that can go wrong before there is a request. The rules are
//! client-go's, so that whatever `oc` takes is taken here, and in the same way.

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

use super::authorization::{Authorization, Plugin};
use super::client::Options;
use super::in_cluster::{InClusterConfig, MOUNT};
use crate::proxy::{self, ProxyRules};
use crate::tls::Identity;
use crate::ui::printable_line;
pub(super) use file::Cluster;
pub(super) use file::Exec;
use file::{File, User};

const CONFLICTING_CREDENTIALS: &str =
    "its user has a token and a user name with a password: only one of them can be used";

/// A context and what it says about the cluster and the user.
pub(super) struct ResolvedContext {
    /// The context's name; empty where a cluster was named instead.
    pub(super) context: String,
    /// Where the cluster is, whom to trust, and whom to act as.
    pub(super) config: Config,
    /// What the user shows for itself in each request.
    pub(super) authorization: Authorization,
    /// The certificate that the user shows for itself in TLS.
    pub(super) identity: Option<Identity>,
    /// It was not a kubeconfig that said so, but the pod that this runs in.
    pub(super) is_in_pod: bool,
}

/// Reads the kubeconfig and takes the context, cluster and user that `options` ask for.
pub(super) fn choose(options: &Options) -> anyhow::Result<ResolvedContext> {
    let files = Files::of(options.kubeconfig.as_deref(), env::var_os("KUBECONFIG"), home());
    let file = files.read()?;
    // As for kubectl, one in which nothing stands is none.
    let Some(file) = file.filter(|file| files.required || !file.is_empty()) else {
        let pod = InClusterConfig::of(|name| env::var(name).ok(), Path::new(MOUNT));
        return match pod.filter(|_| !options.names_kubeconfig()) {
            Some(pod) => pod.choice(options),
            None => Err(files.missing()),
        };
    };
    let proxies = ProxyRules::of(|name| env::var(name).ok());
    resolve(&file, &files, options, &proxies)
}

/// What some kubeconfigs say together about the cluster and the user. `variable` looks up environment variables.
///
/// # Errors
/// One sentence, which quotes nothing that may be a secret.
#[cfg(test)]
pub(super) fn choice(
    paths: &[PathBuf],
    options: &Options,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<ResolvedContext> {
    let files = Files { paths: paths.to_vec(), required: false };
    let file = files.read()?.unwrap_or_default();
    resolve(&file, &files, options, &ProxyRules::of(variable))
}

/// What some bytes, as a kubeconfig, say about the cluster and the user: see [`crate::untrusted`].
#[cfg(any(test, fuzzing))]
pub(super) fn choice_in(content: &[u8], options: &Options) -> anyhow::Result<ResolvedContext> {
    let file = File::parse(content).map_err(|invalid| anyhow!("{invalid}"))?;
    resolve(&file, &Files { paths: vec![], required: false }, options, &ProxyRules::of(|_| None))
}

/// The names in a kubeconfig.
#[derive(Debug, PartialEq, Eq)]
pub struct KubeconfigNames {
    /// Of its contexts.
    pub contexts: Vec<String>,
    /// Of its clusters.
    pub clusters: Vec<String>,
    /// Of its users.
    pub users: Vec<String>,
}

/// What can be chosen from in the kubeconfig: the one that is given, else what `KUBECONFIG` lists, else
/// `~/.kube/config`.
///
/// # Errors
/// One sentence that names the file at fault.
pub fn entries(given: Option<&Path>) -> anyhow::Result<KubeconfigNames> {
    let kubeconfig =
        Files::of(given, env::var_os("KUBECONFIG"), home()).read()?.unwrap_or_default();
    Ok(KubeconfigNames {
        contexts: kubeconfig.contexts.into_iter().map(|context| context.name).collect(),
        clusters: kubeconfig.clusters.into_iter().map(|cluster| cluster.name).collect(),
        users: kubeconfig.users.into_iter().map(|user| user.name).collect(),
    })
}

/// The home directory, as client-go finds it (`util/homedir/homedir.go`).
fn home() -> Option<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    if cfg!(windows) { home_on_windows(variable, Path::exists) } else { env::home_dir() }
}

/// The first of the folders that has a kubeconfig, else the first that exists, else the first that is named. Where
/// client-go asks whether a folder can be written to, Windows says so of every one.
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

/// The files a kubeconfig is read from. Of several the first that sets something wins (kubernetes.io, "Organizing
/// Cluster Access Using kubeconfig Files").
#[derive(Debug, PartialEq)]
struct Files {
    paths: Vec<PathBuf>,
    /// Asked for by a flag, so it has to be there. Files that `KUBECONFIG` lists need not, as for `kubectl`.
    required: bool,
}

impl Files {
    fn of(given: Option<&Path>, variable: Option<OsString>, home: Option<PathBuf>) -> Self {
        if let Some(path) = given {
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

    /// What they say together; none if not one of them is there.
    fn read(&self) -> anyhow::Result<Option<File>> {
        let mut merged: Option<File> = None;
        for path in &self.paths {
            let content = match std::fs::read(path) {
                Err(error) if error.kind() == ErrorKind::NotFound && !self.required => continue,
                content => content.map_err(|error| {
                    anyhow!("kubeconfig {} cannot be read: {error}", path.display())
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
        anyhow!(
            "there is no kubeconfig ({self}): log in with `oc login SERVER`, or name one with --kubeconfig"
        )
    }
}

impl std::fmt::Display for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let paths: Vec<_> = self.paths.iter().map(|path| path.display().to_string()).collect();
        write!(f, "kubeconfig {}", paths.join(", "))
    }
}

/// A context, and the names of its cluster and its user.
#[derive(Debug, PartialEq, Eq)]
struct Names {
    context: String,
    namespace: String,
    cluster: String,
    user: String,
}

fn names(file: &File, files: &Files, options: &Options) -> anyhow::Result<Names> {
    let names: Vec<_> = file.contexts.iter().map(|context| context.name.as_str()).collect();
    let known = if names.is_empty() {
        "has none".to_owned()
    } else {
        format!("has {}", printable_line(&names.join(", ")))
    };
    let name = options.context.as_deref().unwrap_or(&file.current_context);
    let found = file.context(name);
    // With a cluster by name, no context is needed.
    if name.is_empty() && options.cluster.is_none() {
        bail!(
            "{files} has no current context: choose one with --context or `oc config use-context NAME` (it {known})"
        );
    }
    let shown = printable_line(name);
    if found.is_none() && !name.is_empty() {
        bail!("{files} has no context {shown}: choose another with --context (it {known})");
    }
    let of_context =
        |field: fn(&file::Context) -> &String| found.map(field).cloned().unwrap_or_default();
    let cluster = options.cluster.clone().unwrap_or_else(|| of_context(|context| &context.cluster));
    if cluster.is_empty() {
        bail!(
            "{files}: context {shown} names no cluster: choose one with --cluster, or another context with --context"
        );
    }
    if file.cluster(&cluster).is_none() {
        let cluster = printable_line(&cluster);
        bail!(
            "{files} has no cluster {cluster}: choose one that it has with --cluster, or another context with --context"
        );
    }
    // A context may do without a user, and is then anonymous; a user who was asked for must be there.
    if let Some(user) = options.user.as_deref().filter(|user| file.user(user).is_none()) {
        bail!("{files} has no user {user}: choose one that it has with --user");
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
    let Names { context, namespace, cluster, user } = names(file, files, options)?;
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
    // Over plain http client-go verifies nothing and shows nothing.
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

/// What client-go refuses in a cluster (`validateClusterInfo` in `tools/clientcmd/validation.go`).
fn check_cluster(cluster: &Cluster) -> Result<(), String> {
    let (path, data) = (&cluster.certificate_authority, &cluster.certificate_authority_data);
    if !path.is_empty() && !data.is_empty() {
        return Err(
            "its certificate authority is given as a file and as data: remove one of them".into()
        );
    }
    can_be_read(path, "certificate authority")
}

/// What client-go refuses in a user (`validateAuthInfo` in `tools/clientcmd/validation.go`).
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
        can_be_read(cert_path, "client certificate")?;
        can_be_read(key_path, "client key")?;
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
            "its user acts as a uid, groups or extra fields, which needs a user to act as: `as`"
                .into(),
        );
    }
    Ok(())
}

fn check_plugin(exec: &Exec) -> Result<(), String> {
    if exec.command.is_empty() {
        return Err("its credential plugin has no command".into());
    }
    if exec.env.iter().any(|variable| variable.name.is_empty()) {
        return Err("its credential plugin has an environment variable without a name".into());
    }
    Plugin::check(exec)
}

/// The address of the API server, without what stands behind its path.
fn server(address: &str) -> Result<Uri, String> {
    let parsed = address.parse::<Uri>().ok().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    let Some(uri) = parsed else {
        return Err(format!(
            "its server {} is no address that starts with https://",
            printable_line(address)
        ));
    };
    let mut parts = uri.into_parts();
    let path =
        parts.path_and_query.as_ref().map(PathAndQuery::path).and_then(|path| path.parse().ok());
    parts.path_and_query = path;
    Uri::from_parts(parts).map_err(|_| "its server is no address".into())
}

/// The proxy that the kubeconfig names for the cluster, which is used whatever the environment says; else the environment's.
fn proxy(cluster: &Cluster, server: &Uri, proxies: &ProxyRules) -> Result<Option<Uri>, String> {
    match cluster.proxy_url.as_str() {
        "" => proxies.proxy(server),
        own => {
            let scheme = own.split_once("://").map(|(scheme, _)| scheme.to_lowercase());
            let is_usable = matches!(scheme.as_deref(), Some("http" | "https" | "socks5"));
            let address = proxy::address(own).filter(|_| is_usable);
            address.map(Some).ok_or_else(|| {
                "its proxy-url is no address that starts with http://, https:// or socks5://".into()
            })
        }
    }
}

/// The authorities that sign the server's certificate; none for the system's.
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
    // An empty file leaves client-go with the system's.
    if pem.is_empty() {
        return Ok(None);
    }
    let mut known = RootCertStore::empty();
    // As Go reads them: what is no certificate is passed over.
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    let found: Vec<_> = found
        .into_iter()
        .filter(|der| known.add(der.clone()).is_ok())
        .map(|der| der.to_vec())
        .collect();
    if found.is_empty() {
        Err("its certificate authority holds no certificate".into())
    } else {
        Ok(Some(found))
    }
}

/// The user's certificate and its key.
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

/// What the user shows in a request. A token goes before a plugin, as for client-go, and so does a certificate.
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
        return Authorization::of_token(user.token(), &user.token_file);
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

/// Whether a file that is named can be read.
fn can_be_read(path: &str, what: &str) -> Result<(), String> {
    if path.is_empty() {
        Ok(())
    } else {
        std::fs::File::open(path).map(drop).map_err(|error| unreadable(path, what, &error))
    }
}

fn unreadable(path: &str, what: &str, error: &std::io::Error) -> String {
    format!("its {what} {} cannot be read: {error}", printable_line(path))
}

fn read(path: &str, what: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| unreadable(path, what, &error))
}

pub(super) fn impersonate(mut config: Config, options: &Options) -> anyhow::Result<Config> {
    let user = &mut config.auth_info;
    user.impersonate = options.impersonate.clone().or_else(|| user.impersonate.take());
    user.impersonate_uid = options.impersonate_uid.clone().or_else(|| user.impersonate_uid.take());
    if !options.impersonate_groups.is_empty() {
        user.impersonate_groups = Some(options.impersonate_groups.clone());
    }
    if user.impersonate.is_none()
        && (user.impersonate_uid.is_some() || user.impersonate_groups.is_some())
    {
        bail!("--as-group and --as-uid need a user to act as: add --as USER");
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
        let names = names(&File::parse(text.as_bytes()).unwrap(), &files(), options);
        names.map(|names| names.context).map_err(|error| error.to_string())
    }

    /// What a cluster and a user come to.
    fn resolved(cluster: &str, user: &str) -> Result<ResolvedContext, String> {
        let text = format!(
            "current-context: a\ncontexts: [{{name: a, context: {{cluster: b, user: c}}}}]\n\
             clusters: [{{name: b, cluster: {{{cluster}}}}}]\nusers: [{{name: c, user: {{{user}}}}}]\n"
        );
        let file = File::parse(text.as_bytes()).map_err(|invalid| invalid.to_string())?;
        resolve(&file, &files(), &options(), &ProxyRules::of(|_| None))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_goes_before_the_variable_and_that_before_the_home_directory() {
        let of = |given: Option<&str>, variable: Option<&str>| {
            let files = Files::of(
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
    fn a_context_that_cannot_work_is_named_with_its_file_and_the_way_out() {
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
                format!("{file}: context empty names no cluster"),
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
    fn a_broken_file_is_located_and_not_quoted() {
        let invalid = |text: &[u8]| {
            File::parse(text).err().map(|invalid| invalid.to_string()).unwrap_or_default()
        };
        let shown = invalid(b"users:\n- {name: ann, user: {token: [HIDDEN]}}\n");
        assert!(
            shown.starts_with("is not valid: look at line 2") && !shown.contains("HIDDEN"),
            "{shown}"
        );
        let table: [(&[u8], &str); 4] = [
            (b"\xff\xfe\x41", "is not text"),
            (b"\xc3\x28", "is not text"),
            (b"kind: List", "is not a Config of version v1"),
            (b"users: [{name: ann}, {name: ann}]", "names ann twice in one list"),
        ];
        for (text, expected) in table {
            assert_eq!(invalid(text), expected);
        }
    }

    #[test]
    fn files_that_are_missing_are_passed_over_unless_they_were_asked_for() {
        let files = Files::of(None, Some("/nowhere/1".into()), None);
        assert!(files.read().unwrap().is_none());
        let missing = files.missing().to_string();
        assert!(missing.starts_with("there is no kubeconfig (kubeconfig /nowhere/1)"), "{missing}");
        let asked =
            Files::of(Some(Path::new("/nowhere/1")), None, None).read().err().unwrap().to_string();
        assert!(asked.starts_with("kubeconfig /nowhere/1 cannot be read"), "{asked}");
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
    fn a_token_that_cannot_be_sent_is_refused_in_one_sentence() {
        for token in ["t\\n", "a\\nb", "\\0", "\\r"] {
            let error = resolved("server: 'https://api.one'", &format!("token: \"{token}\""))
                .err()
                .unwrap();
            assert!(
                error.ends_with("holds a line break or another character that cannot be sent"),
                "{error}"
            );
        }
    }

    #[test]
    fn shows_nothing_over_plain_http() {
        let choice = resolved("server: 'http://localhost:8001'", "token: hush").unwrap();
        assert!(matches!(choice.authorization, Authorization::None));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let table = [
            ("server: 'api.one:6443'", "", "is no address that starts with https://"),
            ("server: ''", "", "is no address that starts with https://"),
            (
                "server: 'https://a', certificate-authority-data: bm90aGluZw==",
                "",
                "holds no certificate",
            ),
            ("server: 'https://a', certificate-authority: /nowhere", "", "cannot be read"),
            ("server: 'https://a', proxy-url: 'ftp://p'", "", "its proxy-url is no address"),
            ("server: 'https://a'", "token: t, username: ann", "only one of them can be used"),
            ("server: 'https://a'", "client-certificate-data: YQ==", "without a key"),
            ("server: 'https://a'", "exec: {apiVersion: v1, command: x}", "has apiVersion"),
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
    fn windows_home_is_found_as_client_go_finds_it() {
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
            home_on_windows(variable, |path| there.iter().any(|known| Path::new(known) == path))
                .unwrap()
        };
        assert_eq!(home(&["/drive/.kube/config", "/profile/.kube/config"]), Path::new("/drive"));
        assert_eq!(home(&["/profile/.kube/config", "/home"]), Path::new("/profile"));
        assert_eq!(home(&["/drive", "/profile"]), Path::new("/profile"));
        assert_eq!(home(&[]), Path::new("/home"));
    }

    #[test]
    fn groups_need_a_user_to_act_as() {
        let config = || Config::new("https://api.one:6443".parse().unwrap());
        let groups = Options { impersonate_groups: vec!["admins".into()], ..options() };
        assert!(impersonate(config(), &groups).is_err());
        let config =
            impersonate(config(), &Options { impersonate: Some("eve".into()), ..groups }).unwrap();
        assert_eq!(config.auth_info.impersonate.as_deref(), Some("eve"));
        assert_eq!(config.auth_info.impersonate_groups, Some(vec!["admins".to_owned()]));
    }
}
