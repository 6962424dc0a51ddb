//! The commands. Each collects, checks, plans, confirms, applies and reports; the rules are in [`crate::domain`].

mod builds;
mod changes;
mod completion;
mod explain;
mod images;
mod import;
mod link;
mod manifests;
mod repair;
mod run;
mod setup;
mod status;
mod unlink;
mod version;

use std::collections::BTreeSet;
use std::iter;
use std::path::PathBuf;

use crate::cli::{Cli, Command, GlobalArgs, TargetArgs};
use crate::cluster::{self, Cluster};
use crate::domain::names;
use crate::domain::shell_quote::quoted;
use crate::domain::snapshot::{ImageStream, Namespace, Observed};
use crate::error::{Error, ExitStatus};
use crate::ops::collect::NamespaceSelector;
use crate::ops::{App, ConnectionOptions};
use crate::report::{Endpoints, Format, Invocation, Style};
use crate::ui::Ui;

pub(crate) struct CommandContext<'a> {
    pub ui: &'a Ui,
    pub global: &'a GlobalArgs,
    pub connection: ConnectionOptions,
    /// As it was typed: `oc quay` or `kubectl quay`.
    pub program: &'a str,
    /// The start of commands in output.
    pub invocation: &'a Invocation,
    /// See [`Command::output`].
    pub output: Format,
}

impl CommandContext<'_> {
    fn style(&self) -> Style {
        Style { width: self.ui.width(), ascii: self.ui.ascii() }
    }

    /// A command for a cluster administrator, without the user's own connection flags.
    fn for_administrator(
        &self,
        command: &str,
        arguments: &[String],
        switches: &[(&str, bool)],
    ) -> String {
        let switches = switches.iter().filter(|(_, is_on)| *is_on).map(|(switch, _)| *switch);
        let words: Vec<&str> = iter::once(command)
            .chain(arguments.iter().map(String::as_str))
            .chain(switches)
            .collect();
        self.invocation.for_administrator().prefix(&format!("oc quay {}", words.join(" ")))
    }
}

/// The start of commands in output: the program and the connection flags, without secrets.
pub(crate) fn invocation(program: &str, global: &GlobalArgs) -> Invocation {
    let text = |value: &Option<String>| value.clone();
    let path =
        |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
    // Stdin cannot be read again.
    let token_file = path(&global.quay_token_file).filter(|path| path != "-");
    let flags = |given: &[(&str, Option<String>)]| -> Vec<String> {
        let flag = |(flag, value): &(&str, Option<String>)| {
            Some(format!("{flag} {}", quoted(value.as_ref()?)))
        };
        given.iter().filter_map(flag).collect()
    };
    let mut cluster = flags(&[
        ("--kubeconfig", path(&global.kubeconfig)),
        ("--context", text(&global.context)),
        ("--cluster", text(&global.cluster)),
        ("--user", text(&global.user)),
        ("--as", text(&global.impersonate)),
        ("--as-uid", text(&global.impersonate_uid)),
    ]);
    cluster.extend(
        global.impersonate_groups.iter().map(|group| format!("--as-group {}", quoted(group))),
    );
    let mut quay = flags(&[
        ("--quay-url", text(&global.quay_url)),
        ("--cluster-id", text(&global.cluster_id)),
        ("--quay-ca-file", path(&global.quay_ca_file)),
        ("--quay-token-file", token_file),
    ]);
    quay.extend(global.insecure.then(|| "--insecure".to_owned()));
    Invocation::new(program, &cluster, &quay)
}

/// # Errors
/// If the command failed; findings are an [`ExitStatus`].
pub(crate) async fn run(context: &CommandContext<'_>, cli: &Cli) -> Result<ExitStatus, Error> {
    match &cli.command {
        Command::Setup(args) => setup::run(context, args).await,
        Command::Link(args) => link::run(context, args).await,
        Command::Status(args) => status::run(context, args).await,
        Command::Repair(args) => repair::run(context, args).await,
        Command::Unlink(args) => unlink::run(context, args).await,
        Command::Import(args) => import::run(context, args).await,
        Command::Images(args) => images::run(context, args).await,
        Command::Teardown(args) => setup::teardown::run(context, args).await,
        Command::Builds(args) => builds::run(context, args).await,
        Command::Run(args) => run::run(context, args).await,
        Command::Manifests(args) => manifests::run(context, args),
        Command::Explain(args) => explain::run(context, args),
        Command::Completion(args) => completion::run(context, args),
        Command::Version(args) => version::run(context, args).await,
    }
}

/// The cluster and Quay for a report.
fn endpoints(app: &App) -> Endpoints {
    Endpoints::new(&app.snapshot, &app.cluster.server(), app.cluster.context())
}

/// Rejects a namespace that does not exist, so that a typo is not reported as nothing to do.
fn require_namespace(name: &str, namespace: &Observed<Option<Namespace>>) -> Result<(), Error> {
    match namespace {
        Ok(None) => Err(Error::new(format!("namespace {name} not found"))
            .hint("check the name and the context")),
        Ok(Some(_)) | Err(_) => Ok(()),
    }
}

async fn image_streams(cluster: &Cluster, namespace: &str) -> Result<Vec<ImageStream>, Error> {
    let streams =
        cluster.image_streams(namespace).await.map_err(|unread| Error::new(unread.to_string()))?;
    if streams.is_empty() {
        // The API server also answers with an empty list for a namespace that does not exist.
        require_namespace(namespace, &cluster.find_namespace(namespace).await)?;
    }
    Ok(streams)
}

impl From<&GlobalArgs> for ConnectionOptions {
    fn from(global: &GlobalArgs) -> Self {
        Self {
            cluster: cluster::Options {
                kubeconfig: global.kubeconfig.clone(),
                context: global.context.clone(),
                cluster: global.cluster.clone(),
                user: global.user.clone(),
                impersonate: global.impersonate.clone(),
                impersonate_groups: global.impersonate_groups.clone(),
                impersonate_uid: global.impersonate_uid.clone(),
                timeout: global.request_timeout,
                concurrency: usize::from(global.concurrency),
            },
            namespace: global.namespace.clone(),
            quay_url: global.quay_url.clone(),
            quay_token_file: global.quay_token_file.clone(),
            quay_ca_file: global.quay_ca_file.clone(),
            cluster_id: global.cluster_id.clone(),
            insecure: global.insecure,
        }
    }
}

/// The namespaces in the arguments, else that of `-n`, else the context's.
fn select_namespaces(
    context: &CommandContext<'_>,
    target: &TargetArgs,
    cluster: &Cluster,
) -> Result<NamespaceSelector, Error> {
    if target.all_namespaces {
        return Ok(NamespaceSelector::All);
    }
    if let Some(selector) = &target.selector {
        return Ok(NamespaceSelector::Selected(selector.clone()));
    }
    let mut names = target.namespaces.clone();
    names.extend(context.connection.namespace.clone());
    if names.is_empty() {
        names.push(cluster.namespace().to_owned());
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names.iter().try_for_each(|name| validate_namespace(name))?;
    Ok(NamespaceSelector::Named(names))
}

/// The namespace of `-n`, else the context's.
fn namespace(context: &CommandContext<'_>, cluster: &Cluster) -> Result<String, Error> {
    let name = context.connection.namespace.as_deref().unwrap_or_else(|| cluster.namespace());
    validate_namespace(name)?;
    Ok(name.to_owned())
}

fn validate_namespace(name: &str) -> Result<(), Error> {
    names::validate_kubernetes_name(name)
        .map_err(|problem| Error::new(format!("invalid namespace name: {problem}")))
}
