//! Which values have names to choose from, and where these are.

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

/// How long is waited for names that others know. The rest of the 300 ms is for the program to start and the shell to
/// show them.
const COMPLETION_TIMEOUT: Duration = Duration::from_millis(250);

/// What a value is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Namespace,
    Context,
    Cluster,
    User,
    /// With a role behind it: `NAME=ROLE`.
    ServiceAccount,
    ImageStream,
    BuildConfig,
    Code,
}

/// The arguments whose values have names to choose from, by the field that takes them. A new one goes in here.
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

/// Has the command and those below it complete their values. `global` is what was typed so far: it says which cluster
/// and namespace are meant.
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
        // A flag that is being typed might be a value too, for all that clap knows; no name starts like one.
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
            Name::Namespace => plain(asked(namespaces(Arc::clone(global)))),
            Name::BuildConfig => {
                plain(asked(of_namespace(Arc::clone(global), NameKind::BuildConfigs)))
            }
            Name::ServiceAccount => match start.split_once('=') {
                Some((name, _)) => [Role::Read, Role::Write, Role::Admin]
                    .iter()
                    .map(|role| format!("{name}={role}").into())
                    .collect(),
                None => plain(asked(of_namespace(Arc::clone(global), NameKind::ServiceAccounts))),
            },
            Name::ImageStream => {
                plain(asked(of_namespace(Arc::clone(global), NameKind::ImageStreams)))
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
    let cluster = ops::connect(&global).await.ok()?;
    match cluster.names(NameKind::Namespaces, None).await {
        Ok(names) => Some(names),
        // Somebody without cluster rights sees the own projects.
        Err(_) => cluster.names(NameKind::Projects, None).await.ok(),
    }
}

async fn of_namespace(global: Arc<GlobalArgs>, named: NameKind) -> Option<Vec<String>> {
    let cluster = ops::connect(&global).await.ok()?;
    let namespace = global.namespace.as_deref().unwrap_or(cluster.namespace());
    cluster.names(named, Some(namespace)).await.ok()
}

/// What the cluster answers, if it does so in time. It is asked in a thread of its own, since credential plugins and the
/// look-up of addresses block; the program ends without it.
fn asked(
    question: impl Future<Output = Option<Vec<String>>> + Send + 'static,
) -> Option<Vec<String>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        sender.send(runtime.block_on(question)).ok()
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
    fn every_name_belongs_to_an_argument_that_there_is() {
        let fields = fields(&Cli::command());
        for (field, _) in NAMES {
            assert!(fields.contains(*field), "no argument is called {field}");
        }
    }
}
