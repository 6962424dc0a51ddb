//! Finding the kubeconfig and, in it, the context: everything that can go wrong before there is a request.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::client::Options;
use super::pod::{MOUNT, Pod};
use super::proxy;

/// A context and what it says about the cluster and the user.
pub(super) struct Choice {
    pub(super) context: String,
    pub(super) config: Config,
    /// It was not a kubeconfig that said so, but the pod that this runs in.
    pub(super) is_in_pod: bool,
}

/// Reads the kubeconfig and takes the context, cluster and user that `options` ask for.
pub(super) async fn choose(options: &Options) -> anyhow::Result<Choice> {
    let files = Files::of(options.kubeconfig.as_deref(), std::env::var_os("KUBECONFIG"), std::env::home_dir());
    let Some(kubeconfig) = files.read()? else {
        let pod = Pod::of(|name| std::env::var(name).ok(), Path::new(MOUNT));
        return match pod.filter(|_| !options.names_kubeconfig()) {
            Some(pod) => pod.choice(options),
            None => Err(files.missing()),
        };
    };
    let context = choose_context(&kubeconfig, &files, options)?;
    let choice =
        KubeConfigOptions { context: Some(context.clone()), cluster: options.cluster.clone(), user: options.user.clone() };
    let own_proxy = own_proxy(&kubeconfig, &context, options);
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &choice)
        .await
        .map_err(|error| anyhow!("{files}, context {context}: {error}"))?;
    let proxy = match own_proxy {
        Some(own) => proxy::address(&own).map(Some).ok_or_else(|| "its proxy-url is no address of a proxy".to_owned()),
        None => proxy::of(&config.cluster_url, |name| std::env::var(name).ok()),
    };
    config.proxy_url = proxy.map_err(|problem| anyhow!("{files}, context {context}: {problem}"))?;
    let config = check(config).map_err(|problem| anyhow!("{files}, context {context}: {problem}"))?;
    Ok(Choice { context, config: impersonate(config, options)?, is_in_pod: false })
}

/// The names in a kubeconfig.
#[derive(Debug, PartialEq, Eq)]
pub struct Entries {
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
pub fn entries(given: Option<&Path>) -> anyhow::Result<Entries> {
    let kubeconfig = Files::of(given, std::env::var_os("KUBECONFIG"), std::env::home_dir()).read()?.unwrap_or_default();
    Ok(Entries {
        contexts: kubeconfig.contexts.into_iter().map(|context| context.name).collect(),
        clusters: kubeconfig.clusters.into_iter().map(|cluster| cluster.name).collect(),
        users: kubeconfig.auth_infos.into_iter().map(|user| user.name).collect(),
    })
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
        let listed = variable.iter().flat_map(std::env::split_paths).filter(|path| !path.as_os_str().is_empty());
        let mut paths: Vec<_> = listed.collect();
        if paths.is_empty() {
            paths.extend(home.map(|home| home.join(".kube").join("config")));
        }
        Self { paths, required: false }
    }

    /// What they say together; none if not one of them is there.
    fn read(&self) -> anyhow::Result<Option<Kubeconfig>> {
        let mut merged = None;
        for path in &self.paths {
            let next = match Kubeconfig::read_from(path) {
                Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == ErrorKind::NotFound && !self.required => continue,
                next => next.map_err(|error| unreadable(path, &error))?,
            };
            merged = Some(match merged {
                None => next,
                Some(merged) => Kubeconfig::merge(merged, next).map_err(|error| anyhow!("{self}: {error}"))?,
            });
        }
        Ok(merged)
    }

    fn missing(&self) -> anyhow::Error {
        anyhow!("there is no kubeconfig ({self}): log in with `oc login SERVER`, or name one with --kubeconfig")
    }
}

impl std::fmt::Display for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let paths: Vec<_> = self.paths.iter().map(|path| path.display().to_string()).collect();
        write!(f, "kubeconfig {}", paths.join(", "))
    }
}

/// Why a file is no kubeconfig. A YAML error's own text would quote lines of it, which may hold a token.
fn unreadable(path: &Path, error: &KubeconfigError) -> anyhow::Error {
    let path = path.display();
    match error {
        KubeconfigError::ReadConfig(error, _) => anyhow!("kubeconfig {path} cannot be read: {error}"),
        KubeconfigError::Parse(error) => match error.location() {
            Some(at) => anyhow!("kubeconfig {path} is not valid: look at line {}, column {}", at.line(), at.column()),
            None => anyhow!("kubeconfig {path} is not valid YAML"),
        },
        error => anyhow!("kubeconfig {path}: {error}"),
    }
}

fn choose_context(kubeconfig: &Kubeconfig, files: &Files, options: &Options) -> anyhow::Result<String> {
    let names: Vec<_> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
    let known = if names.is_empty() { "has none".to_owned() } else { format!("has {}", names.join(", ")) };
    let current = kubeconfig.current_context.as_deref().filter(|name| !name.is_empty());
    let Some(name) = options.context.as_deref().or(current) else {
        bail!("{files} has no current context: choose one with --context or `oc config use-context NAME` (it {known})");
    };
    let named = kubeconfig.contexts.iter().find(|context| context.name == name).and_then(|context| context.context.as_ref());
    let Some(context) = named else {
        bail!("{files} has no context {name}: choose another with --context (it {known})");
    };
    let cluster = options.cluster.as_deref().unwrap_or(&context.cluster);
    if cluster.is_empty() {
        bail!("{files}: context {name} names no cluster: choose one with --cluster, or another context with --context");
    }
    if !kubeconfig.clusters.iter().any(|known| known.name == cluster) {
        bail!("{files} has no cluster {cluster}: choose one that it has with --cluster, or another context with --context");
    }
    // A context may do without a user, and is then anonymous; a user who was asked for must be there.
    if let Some(user) = options.user.as_deref().filter(|user| !kubeconfig.auth_infos.iter().any(|known| known.name == *user)) {
        bail!("{files} has no user {user}: choose one that it has with --user");
    }
    Ok(name.to_owned())
}

/// The proxy that the kubeconfig names for the cluster. It is used whatever the environment says, as `oc` does.
fn own_proxy(kubeconfig: &Kubeconfig, context: &str, options: &Options) -> Option<String> {
    let context = kubeconfig.contexts.iter().find(|known| known.name == context)?.context.as_ref()?;
    let name = options.cluster.as_ref().unwrap_or(&context.cluster);
    let cluster = kubeconfig.clusters.iter().find(|known| known.name == *name)?.cluster.as_ref()?;
    cluster.proxy_url.clone().filter(|proxy| !proxy.is_empty())
}

/// What kube accepts and yet cannot work.
pub(super) fn check(mut config: Config) -> Result<Config, String> {
    let scheme = config.cluster_url.scheme_str();
    if !matches!(scheme, Some("http" | "https")) || config.cluster_url.host().is_none_or(str::is_empty) {
        return Err(format!("its server {} is no address that starts with https://", config.cluster_url));
    }
    if config.root_cert.as_ref().is_some_and(Vec::is_empty) {
        return Err("its certificate authority holds no certificate".into());
    }
    if config.default_namespace.is_empty() {
        config.default_namespace = "default".into();
    }
    Ok(config)
}

pub(super) fn impersonate(mut config: Config, options: &Options) -> anyhow::Result<Config> {
    let user = &mut config.auth_info;
    user.impersonate = options.impersonate.clone().or_else(|| user.impersonate.take());
    user.impersonate_uid = options.impersonate_uid.clone().or_else(|| user.impersonate_uid.take());
    if !options.impersonate_groups.is_empty() {
        user.impersonate_groups = Some(options.impersonate_groups.clone());
    }
    if user.impersonate.is_none() && (user.impersonate_uid.is_some() || user.impersonate_groups.is_some()) {
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
            parallel: 1,
        }
    }

    fn files() -> Files {
        Files { paths: vec!["/home/ann/.kube/config".into()], required: false }
    }

    fn context(text: &str, options: &Options) -> Result<String, String> {
        choose_context(&Kubeconfig::from_yaml(text).unwrap(), &files(), options).map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_goes_before_the_variable_and_that_before_the_home_directory() {
        let of = |given: Option<&str>, variable: Option<&str>| {
            let files = Files::of(given.map(Path::new), variable.map(OsString::from), Some("/home/ann".into()));
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
            (Options { context: Some("prod".into()), ..options() }, format!("{file} has no context prod")),
            (Options { context: Some("broken".into()), ..options() }, format!("{file} has no cluster two")),
            (Options { context: Some("empty".into()), ..options() }, format!("{file}: context empty names no cluster")),
            (Options { cluster: Some("three".into()), ..options() }, format!("{file} has no cluster three")),
            (Options { user: Some("eve".into()), ..options() }, format!("{file} has no user eve")),
        ];
        for (options, start) in table {
            let error = context(KUBECONFIG, &options).unwrap_err();
            assert!(error.starts_with(&start) && error.contains("--"), "{error}");
        }
        let none = context("apiVersion: v1", &options()).unwrap_err();
        assert!(none.contains("no current context") && none.contains("it has none"), "{none}");
        assert!(
            context(KUBECONFIG, &Options { cluster: Some("one".into()), context: Some("broken".into()), ..options() }).is_ok()
        );
    }

    #[test]
    fn a_broken_file_is_located_and_not_quoted() {
        let error = Kubeconfig::from_yaml("users:\n- {name: ann, user: {token: [HIDDEN]}}\n").unwrap_err();
        assert!(error.to_string().contains("HIDDEN"), "a weak test: {error}");
        let shown = unreadable(Path::new("/k"), &error).to_string();
        assert!(shown.starts_with("kubeconfig /k is not valid: look at line 2"), "{shown}");
        assert!(!shown.contains("HIDDEN"));
    }

    #[test]
    fn files_that_are_missing_are_passed_over_unless_they_were_asked_for() {
        let files = Files::of(None, Some("/nowhere/1".into()), None);
        assert!(files.read().unwrap().is_none());
        let missing = files.missing().to_string();
        assert!(missing.starts_with("there is no kubeconfig (kubeconfig /nowhere/1)"), "{missing}");
        let asked = Files::of(Some(Path::new("/nowhere/1")), None, None).read().unwrap_err().to_string();
        assert!(asked.starts_with("kubeconfig /nowhere/1 cannot be read"), "{asked}");
    }

    #[test]
    fn what_kube_accepts_and_cannot_work_is_refused() {
        let config = |server: &str| Config::new(server.parse().unwrap());
        assert!(check(config("api.one:6443")).is_err());
        let mut no_certificate = config("https://api.one:6443");
        no_certificate.root_cert = Some(vec![]);
        assert!(check(no_certificate).is_err());
        let mut nameless = config("https://api.one:6443");
        nameless.default_namespace = String::new();
        assert_eq!(check(nameless).unwrap().default_namespace, "default");
    }

    #[test]
    fn groups_need_a_user_to_act_as() {
        let config = || Config::new("https://api.one:6443".parse().unwrap());
        let groups = Options { impersonate_groups: vec!["admins".into()], ..options() };
        assert!(impersonate(config(), &groups).is_err());
        let config = impersonate(config(), &Options { impersonate: Some("eve".into()), ..groups }).unwrap();
        assert_eq!(config.auth_info.impersonate.as_deref(), Some("eve"));
        assert_eq!(config.auth_info.impersonate_groups, Some(vec!["admins".to_owned()]));
    }
}
