//! The same set-up as one command that asks nothing.

use crate::cli;
use crate::setup::{Approval, CLUSTER_ID, NodeTrust, Scopes, Setup, TokenFrom};

/// The command line, without any secret: where one is needed, a file stands.
pub(super) fn of(program: &str, setup: &Setup, args: &cli::Setup) -> String {
    let answers = &setup.answers;
    let mut words = vec![program.to_owned(), "setup".into(), "--yes".into()];
    let mut add = |flag: &str, value: &str| words.push(format!("{flag} {}", quoted(value)));
    if let Some(url) = setup.url() {
        add("--quay-url", &url.to_string());
    }
    if answers.ca.is_some() {
        add("--quay-ca-file", "FILE");
    }
    match &answers.token {
        Some(TokenFrom::SignIn { user, .. }) => {
            add("--quay-username", user);
            add("--quay-password-file", "FILE");
        }
        Some(TokenFrom::Given(_)) => add("--quay-token-file", "FILE"),
        Some(TokenFrom::Browser { .. } | TokenFrom::Later) | None => {}
    }
    let options = [
        ("--client-id", answers.application.client_id.as_deref()),
        ("--operator-catalog", answers.catalog.as_deref()),
        ("--operator-channel", answers.channel.as_deref()),
        ("--operator-approval", answers.approval.filter(|approval| *approval == Approval::Manual).map(|_| "manual")),
        ("--secret-name", answers.secret_name.as_deref()),
        ("--secret-namespace", answers.secret_namespace.as_deref()),
        ("--secret-key", answers.secret_key.as_deref()),
        ("--scopes", (answers.application.scopes == Scopes::Least).then_some("least")),
        ("--cluster-id", Some(setup.existing().map_or(CLUSTER_ID, |existing| existing.cluster_id.as_str()))),
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
        ("--without-operator", answers.without_operator),
        ("--replace-token", answers.replace_token == Some(true)),
        ("--adopt", answers.adopt),
        ("--browser", matches!(answers.token, Some(TokenFrom::Browser { .. }))),
        ("--no-browser", args.token.no_browser),
    ];
    words.extend(switches.into_iter().filter(|(_, is_on)| *is_on).map(|(flag, _)| flag.to_owned()));
    words.join(" ")
}

fn node_trust(choice: NodeTrust) -> &'static str {
    match choice {
        NodeTrust::Apply => "apply",
        NodeTrust::Print => "print",
        NodeTrust::Skip => "skip",
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        assert_eq!(quoted("https://quay.example.com:8443"), "https://quay.example.com:8443");
        assert_eq!(quoted("o'neil & co"), r"'o'\''neil & co'");
        assert_eq!(quoted(""), "''");
    }
}
