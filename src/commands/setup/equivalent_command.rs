//! The non-interactive command for the same setup.

use std::time::Duration;

use crate::cli::GlobalArgs;
use crate::commands::CommandContext;
use crate::domain::shell_quote::quoted;
use crate::setup::{
    Application, Approval, CLUSTER_ID, ControllerKind, NodeTrust, SetupOptions, SetupSession,
    TOKEN_APPLICATION, TOKEN_ORGANIZATION, TokenScopes, TokenSource,
};

/// The defaults of `--request-timeout`, `--operator-timeout` and `--concurrency`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const OPERATOR_TIMEOUT: Duration = Duration::from_secs(600);
const DEFAULT_CONCURRENCY: u16 = 8;

/// Renders the command line with files instead of secrets. Every field is named, so that the
/// compiler reports a new one.
pub(super) fn render(context: &CommandContext<'_>, setup: &SetupSession) -> String {
    let GlobalArgs {
        kubeconfig,
        context: _,
        cluster,
        user,
        impersonate,
        impersonate_groups,
        impersonate_uid,
        request_timeout,
        concurrency,
        // Part of the options.
        namespace: _,
        quay_url: _,
        quay_token_file: _,
        quay_ca_file: _,
        cluster_id: _,
        insecure: _,
        // Output options.
        color: _,
        verbose: _,
        no_input: _,
    } = context.global;
    let SetupOptions {
        url: _,
        ca,
        insecure,
        token,
        sign_in: _,
        opens_browser,
        application: Application { organization, name, client_id, scopes, expiry },
        controller,
        controller_image,
        replace_operator,
        catalog,
        channel,
        approval,
        operator_timeout,
        secret_name,
        secret_namespace,
        secret_key,
        replace_token,
        cluster_id,
        scheduled,
        allow,
        deny,
        adopt,
        user_role,
        node_trust,
        link,
    } = &setup.options;
    let mut words = vec![context.program.to_owned(), "setup".into(), "--yes".into()];
    let mut add = |flag: &str, value: &str| words.push(format!("{flag} {}", quoted(value)));
    let kubeconfig = kubeconfig.as_ref().map(|path| path.to_string_lossy());
    let cluster = [
        ("--kubeconfig", kubeconfig.as_deref()),
        ("--context", Some(setup.cluster.context()).filter(|context| !context.is_empty())),
        ("--cluster", cluster.as_deref()),
        ("--user", user.as_deref()),
        ("--as", impersonate.as_deref()),
        ("--as-uid", impersonate_uid.as_deref()),
    ];
    for (flag, value) in cluster {
        if let Some(value) = value {
            add(flag, value);
        }
    }
    impersonate_groups.iter().for_each(|group| add("--as-group", group));
    if let Some(url) = setup.url() {
        add("--quay-url", &url.to_string());
    }
    if ca.is_some() {
        add("--quay-ca-file", "FILE");
    }
    match token {
        Some(TokenSource::SignIn { user, first_user_email, .. }) => {
            add("--quay-username", user);
            add("--quay-password-file", "FILE");
            if let Some(address) = first_user_email {
                add("--first-user-email", address);
            }
        }
        Some(TokenSource::Given(_)) => add("--quay-token-file", "FILE"),
        Some(TokenSource::Browser | TokenSource::Later) | None => {}
    }
    let expiry = expiry.map(format_duration);
    let request_timeout =
        (*request_timeout != REQUEST_TIMEOUT).then(|| format_duration(*request_timeout));
    let operator_timeout =
        (*operator_timeout != OPERATOR_TIMEOUT).then(|| format_duration(*operator_timeout));
    let concurrency = (*concurrency != DEFAULT_CONCURRENCY).then(|| concurrency.to_string());
    let existing = setup.existing().map(|existing| existing.cluster_id.as_str());
    let cluster_id = cluster_id.as_deref().or(existing).unwrap_or(CLUSTER_ID);
    let options = [
        ("--client-id", client_id.as_deref()),
        ("--token-organization", non_default(organization, TOKEN_ORGANIZATION)),
        ("--token-application", non_default(name, TOKEN_APPLICATION)),
        ("--token-expiry", expiry.as_deref()),
        ("--controller", controller.map(ControllerKind::as_str)),
        ("--controller-image", controller_image.as_deref()),
        ("--operator-catalog", catalog.as_deref()),
        ("--operator-channel", channel.as_deref()),
        (
            "--operator-approval",
            approval.filter(|approval| *approval == Approval::Manual).map(|_| "manual"),
        ),
        ("--operator-timeout", operator_timeout.as_deref()),
        ("--secret-name", secret_name.as_deref()),
        ("--secret-namespace", secret_namespace.as_deref()),
        ("--secret-key", secret_key.as_deref()),
        ("--token-scopes", (*scopes == TokenScopes::Minimal).then_some("minimal")),
        ("--cluster-id", Some(cluster_id)),
        ("--node-trust", node_trust.map(node_trust_value)),
        ("--request-timeout", request_timeout.as_deref()),
        ("--concurrency", concurrency.as_deref()),
    ];
    for (flag, value) in options {
        if let Some(value) = value {
            add(flag, value);
        }
    }
    for (flag, names) in [("--allow", allow), ("--deny", deny), ("--link", link)] {
        if let Some(names) = names.as_ref().filter(|names| !names.is_empty()) {
            add(flag, &names.join(","));
        }
    }
    for (flag, choice) in [("--scheduled-import", scheduled), ("--user-role", user_role)] {
        if let Some(choice) = choice {
            add(flag, &choice.to_string());
        }
    }
    let switches = [
        ("--insecure", *insecure),
        ("--replace-token", *replace_token == Some(true)),
        ("--replace-operator", *replace_operator),
        ("--adopt", *adopt),
        ("--browser", matches!(token, Some(TokenSource::Browser))),
        ("--no-browser", !opens_browser),
    ];
    words.extend(switches.into_iter().filter(|(_, is_on)| *is_on).map(|(flag, _)| flag.to_owned()));
    words.join(" ")
}

fn format_duration(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        milliseconds => format!("{}s{milliseconds}ms", time.as_secs()),
    }
}

/// The value, unless it is the default.
fn non_default<'a>(value: &'a str, usual: &str) -> Option<&'a str> {
    Some(value).filter(|value| *value != usual)
}

fn node_trust_value(choice: NodeTrust) -> &'static str {
    match choice {
        NodeTrust::Apply => "apply",
        NodeTrust::Print => "print",
        NodeTrust::Skip => "skip",
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use crate::cli::Cli;

    /// Flags about output and mode, and those that another flag replaces.
    const LEFT_OUT: [&str; 11] = [
        "check",
        "color",
        "dry-run",
        "external-secret",
        "help",
        "namespace",
        "no-input",
        "output",
        "verbose",
        "version",
        "yes",
    ];

    #[test]
    fn covers_every_flag() {
        let code = include_str!("equivalent_command.rs");
        let command = Cli::command();
        let setup = command
            .find_subcommand("setup")
            .map(|setup| setup.get_arguments())
            .into_iter()
            .flatten();
        let flags = command.get_arguments().chain(setup).filter_map(|argument| argument.get_long());
        let missing: Vec<_> = flags
            .filter(|flag| !LEFT_OUT.contains(flag) && !code.contains(&format!("\"--{flag}\"")))
            .collect();
        assert_eq!(missing, Vec::<&str>::new());
    }
}
