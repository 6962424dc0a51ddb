//! Completion of names: of namespaces, image streams, contexts and so on.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::Command;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::cli::GlobalArgs;
use crate::cluster::{self, NameKind};
use crate::domain::Role;
use crate::domain::finding::Code;
use crate::ops;

/// Leaves 50 ms of a budget of 300 ms for the start of the program and the shell.
const COMPLETION_TIMEOUT: Duration = Duration::from_millis(250);

/// Kind of completed name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Namespace,
    Context,
    Cluster,
    User,
    /// `NAME=ROLE`.
    ServiceAccount,
    ImageStream,
    BuildConfig,
    Code,
}

/// Arguments with completed names, by field name in the `cli` structs.
const NAMES: &[(&str, Name)] = &[
    ("namespace", Name::Namespace),
    ("namespaces", Name::Namespace),
    ("allow", Name::Namespace),
    ("deny", Name::Namespace),
    ("link", Name::Namespace),
    ("secret_namespace", Name::Namespace),
    ("context", Name::Context),
    ("cluster", Name::Cluster),
    ("user", Name::User),
    ("service_accounts", Name::ServiceAccount),
    ("named", Name::ImageStream),
    ("build_configs", Name::BuildConfig),
    ("code", Name::Code),
];

/// Adds completion of names to the command and its subcommands. `global` selects the cluster and namespace.
pub(super) fn attach(command: Command, global: &Arc<GlobalArgs>) -> Command {
    let command =
        command.mut_args(|arg| match NAMES.iter().find(|(field, _)| arg.get_id() == field) {
            Some((_, name)) => {
                let global = Arc::clone(global);
                arg.add(ArgValueCompleter::new(move |start: &OsStr| {
                    name.candidates(&global, start)
                }))
            }
            None => arg,
        });
    command.mut_subcommands(|subcommand| attach(subcommand, global))
}

impl Name {
    fn candidates(self, global: &Arc<GlobalArgs>, start: &OsStr) -> Vec<CompletionCandidate> {
        // clap also asks for values where a flag is being typed.
        let Some(start) = start.to_str().filter(|start| !start.starts_with('-')) else {
            return vec![];
        };
        let mut found = match self {
            Name::Code => {
                Code::ALL.iter().map(|code| titled(code.as_str(), code.entry().title)).collect()
            }
            Name::Context => plain(entries(global).map(|entries| entries.contexts)),
            Name::Cluster => plain(entries(global).map(|entries| entries.clusters)),
            Name::User => plain(entries(global).map(|entries| entries.users)),
            Name::Namespace => plain(fetch(namespaces(Arc::clone(global)))),
            Name::BuildConfig => {
                plain(fetch(namespaced_names(Arc::clone(global), NameKind::BuildConfigs)))
            }
            Name::ServiceAccount => match start.split_once('=') {
                Some((name, _)) => [Role::Read, Role::Write, Role::Admin]
                    .iter()
                    .map(|role| format!("{name}={role}").into())
                    .collect(),
                None => {
                    plain(fetch(namespaced_names(Arc::clone(global), NameKind::ServiceAccounts)))
                }
            },
            Name::ImageStream => {
                plain(fetch(namespaced_names(Arc::clone(global), NameKind::ImageStreams)))
            }
        };
        found.retain(|candidate| {
            candidate.get_value().to_str().is_some_and(|value| value.starts_with(start))
        });
        found
    }
}

fn titled(value: &str, title: &'static str) -> CompletionCandidate {
    CompletionCandidate::new(value).help(Some(title.into()))
}

fn plain(names: Option<Vec<String>>) -> Vec<CompletionCandidate> {
    names.unwrap_or_default().into_iter().map(CompletionCandidate::new).collect()
}

fn entries(global: &GlobalArgs) -> Option<cluster::KubeconfigNames> {
    cluster::entries(global.kubeconfig.as_deref()).ok()
}

async fn namespaces(global: Arc<GlobalArgs>) -> Option<Vec<String>> {
    let cluster = ops::connect(&(&*global).into()).await.ok()?;
    match cluster.list_names(NameKind::Namespaces, None).await {
        Ok(names) => Some(names),
        // Without cluster-wide permissions, a user can list projects.
        Err(_) => cluster.list_names(NameKind::Projects, None).await.ok(),
    }
}

async fn namespaced_names(global: Arc<GlobalArgs>, kind: NameKind) -> Option<Vec<String>> {
    let cluster = ops::connect(&(&*global).into()).await.ok()?;
    let namespace = global.namespace.as_deref().unwrap_or(cluster.namespace());
    cluster.list_names(kind, Some(namespace)).await.ok()
}

/// Waits at most [`COMPLETION_TIMEOUT`], in a thread, since credential plugins and DNS look-ups block.
fn fetch(names: impl Future<Output = Option<Vec<String>>> + Send + 'static) -> Option<Vec<String>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        sender.send(runtime.block_on(names)).ok()
    });
    receiver.recv_timeout(COMPLETION_TIMEOUT).ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn fields(command: &Command) -> BTreeSet<String> {
        let own = command.get_arguments().map(|arg| arg.get_id().to_string());
        own.chain(command.get_subcommands().flat_map(fields)).collect()
    }

    #[test]
    fn completed_arguments_exist() {
        let fields = fields(&Cli::command());
        for (field, _) in NAMES {
            assert!(fields.contains(*field), "no argument {field}");
        }
    }
}
