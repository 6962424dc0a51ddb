//! The commands: each gathers, judges, plans, asks, applies and reports. No rule of the domain is here.

mod builds;
mod changes;
mod completion;
mod explain;
mod images;
mod import;
mod link;
mod repair;
mod run;
mod setup;
mod status;
mod unlink;
mod version;

use std::iter;
use std::path::PathBuf;

use crate::cli::{Cli, Command, GlobalArgs};
use crate::cluster::Cluster;
use crate::domain::names;
use crate::domain::shell_quote::quoted;
use crate::domain::snapshot::{ImageStream, Namespace, Observed};
use crate::error::{Error, ExitStatus};
use crate::report::{Format, Invocation, Style};
use crate::ui::Ui;

/// What every command has at hand.
pub(crate) struct CommandContext<'a> {
    /// The door to the terminal.
    pub ui: &'a Ui,
    /// The flags of every command.
    pub global: &'a GlobalArgs,
    /// What the person typed: `oc quay` or `kubectl quay`.
    pub program: &'a str,
    /// How the commands begin that are shown.
    pub invocation: &'a Invocation,
}

impl CommandContext<'_> {
    fn style(&self) -> Style {
        Style { width: self.ui.width(), ascii: self.ui.ascii() }
    }

    /// A command as a cluster administrator runs it: with what was asked for, and without the flags for the user's own way
    /// to the cluster.
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
        self.invocation.of_others().begin(&format!("oc quay {}", words.join(" ")))
    }
}

/// How the commands begin that are shown: with what was said about where to connect to, and with no secret.
pub(crate) fn invocation(program: &str, global: &GlobalArgs) -> Invocation {
    let text = |value: &Option<String>| value.clone();
    let path =
        |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
    // What came from stdin is gone.
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

/// Runs the command.
///
/// # Errors
/// When what was asked could not be done.
pub(crate) async fn run(context: &CommandContext<'_>, cli: &Cli) -> Result<ExitStatus, Error> {
    if context.global.output == Format::Html && !matches!(cli.command, Command::Status(_)) {
        return Err(Error::new("-o html is for status alone")
            .hint(format!("{} status -A -o html", context.program)));
    }
    if context.global.output == Format::Mirror && !matches!(cli.command, Command::Images(_)) {
        return Err(Error::new("-o mirror is for images alone")
            .hint(format!("{} images -o mirror", context.program)));
    }
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
        Command::Explain(args) => explain::run(context, args),
        Command::Completion(args) => completion::run(context, args),
        Command::Version(args) => version::run(context, args).await,
    }
}

/// Refuses a namespace that is known not to exist: a slip of the pen shall not pass for nothing to do.
fn refuse_missing(name: &str, namespace: &Observed<Option<Namespace>>) -> Result<(), Error> {
    match namespace {
        Ok(None) => Err(Error::new(format!("there is no namespace {name}"))
            .hint("check the name and the context")),
        Ok(Some(_)) | Err(_) => Ok(()),
    }
}

/// The image streams of a namespace; none in one that exists.
async fn image_streams(cluster: &Cluster, namespace: &str) -> Result<Vec<ImageStream>, Error> {
    let streams =
        cluster.image_streams(namespace).await.map_err(|unread| Error::new(unread.to_string()))?;
    if streams.is_empty() {
        // The API server lists what is in a namespace that does not exist, too.
        refuse_missing(namespace, &cluster.find_namespace(namespace).await)?;
    }
    Ok(streams)
}

/// The one namespace of a command whose arguments are something else: that of `-n`, or of the context.
fn namespace(global: &GlobalArgs, cluster: &Cluster) -> Result<String, Error> {
    let name = global.namespace.as_deref().unwrap_or_else(|| cluster.namespace());
    names::kubernetes_name(name)
        .map_err(|problem| Error::new(format!("no namespace can be called that: {problem}")))?;
    Ok(name.to_owned())
}
