//! The same set-up as one command that asks nothing.

use crate::commands::Context;
use crate::session::shell::quoted;
use crate::setup::{Approval, Bridge, CLUSTER_ID, NodeTrust, Scopes, Setup, TOKEN_APPLICATION, TOKEN_ORGANIZATION, TokenFrom};

/// The command line, without any secret: where one is needed, a file stands.
pub(super) fn of(context: &Context<'_>, setup: &Setup) -> String {
    let (answers, global) = (&setup.answers, context.global);
    let mut words = vec![context.program.to_owned(), "setup".into(), "--yes".into()];
    let mut add = |flag: &str, value: &str| words.push(format!("{flag} {}", quoted(value)));
    let kubeconfig = global.kubeconfig.as_ref().map(|path| path.to_string_lossy());
    let cluster = [
        ("--kubeconfig", kubeconfig.as_deref()),
        ("--context", Some(setup.cluster.context()).filter(|context| !context.is_empty())),
        ("--cluster", global.cluster.as_deref()),
        ("--user", global.user.as_deref()),
        ("--as", global.impersonate.as_deref()),
    ];
    for (flag, value) in cluster {
        if let Some(value) = value {
            add(flag, value);
        }
    }
    if let Some(url) = setup.url() {
        add("--quay-url", &url.to_string());
    }
    if answers.ca.is_some() {
        add("--quay-ca-file", "FILE");
    }
    match &answers.token {
        Some(TokenFrom::SignIn { user, first_user_email, .. }) => {
            add("--quay-username", user);
            add("--quay-password-file", "FILE");
            if let Some(address) = first_user_email {
                add("--first-user-email", address);
            }
        }
        Some(TokenFrom::Given(_)) => add("--quay-token-file", "FILE"),
        Some(TokenFrom::Browser | TokenFrom::Later) | None => {}
    }
    let application = &answers.application;
    let expiry = application.expiry.map(|expiry| format!("{}s", expiry.as_secs()));
    let existing = setup.existing().map(|existing| existing.cluster_id.as_str());
    let cluster_id = answers.cluster_id.as_deref().or(existing).unwrap_or(CLUSTER_ID);
    let options = [
        ("--client-id", application.client_id.as_deref()),
        ("--token-organization", unusual(&application.organization, TOKEN_ORGANIZATION)),
        ("--token-application", unusual(&application.name, TOKEN_APPLICATION)),
        ("--token-expiry", expiry.as_deref()),
        ("--bridge", answers.bridge.map(bridge)),
        ("--bridge-image", answers.bridge_image.as_deref()),
        ("--operator-catalog", answers.catalog.as_deref()),
        ("--operator-channel", answers.channel.as_deref()),
        ("--operator-approval", answers.approval.filter(|approval| *approval == Approval::Manual).map(|_| "manual")),
        ("--secret-name", answers.secret_name.as_deref()),
        ("--secret-namespace", answers.secret_namespace.as_deref()),
        ("--secret-key", answers.secret_key.as_deref()),
        ("--scopes", (application.scopes == Scopes::Least).then_some("least")),
        ("--cluster-id", Some(cluster_id)),
        ("--node-trust", answers.node_trust.map(node_trust)),
    ];
    for (flag, value) in options {
        if let Some(value) = value {
            add(flag, value);
        }
    }
    let lists = [("--allow", &answers.allow), ("--deny", &answers.deny), ("--link", &answers.link)];
    for (flag, names) in lists {
        if let Some(names) = names.as_ref().filter(|names| !names.is_empty()) {
            add(flag, &names.join(","));
        }
    }
    if let Some(scheduled) = answers.scheduled {
        add("--scheduled-import", &scheduled.to_string());
    }
    let switches = [
        ("--insecure", answers.insecure),
        ("--replace-token", answers.replace_token == Some(true)),
        ("--adopt", answers.adopt),
        ("--browser", matches!(answers.token, Some(TokenFrom::Browser))),
        ("--no-browser", !answers.opens_browser),
    ];
    words.extend(switches.into_iter().filter(|(_, is_on)| *is_on).map(|(flag, _)| flag.to_owned()));
    words.join(" ")
}

/// A value that has to be said.
fn unusual<'a>(value: &'a str, usual: &str) -> Option<&'a str> {
    Some(value).filter(|value| *value != usual)
}

fn bridge(choice: Bridge) -> &'static str {
    match choice {
        Bridge::Operator => "operator",
        Bridge::BuiltIn => "built-in",
        Bridge::None => "none",
    }
}

fn node_trust(choice: NodeTrust) -> &'static str {
    match choice {
        NodeTrust::Apply => "apply",
        NodeTrust::Print => "print",
        NodeTrust::Skip => "skip",
    }
}
