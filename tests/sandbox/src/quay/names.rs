//! Quay's rules for names (its `util/validation.py` and `util/names.py`).
//!
//! Python's `$` also matches before a last newline, so a name with one trailing newline passes every rule
//! below and is stored with it (wire/165u, wire/315x).

use std::fmt;

/// The expression Quay quotes in its rejections.
const NAMESPACE_EXPRESSION: &str = "^([a-z0-9]+(?:[._-][a-z0-9]+)*)$";
const LONGEST: usize = 255;

/// A repository's full name. Ordered by namespace first, so that a namespace is one range of a map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RepoPath {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl RepoPath {
    pub(crate) fn new(namespace: &str, name: &str) -> RepoPath {
        RepoPath { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The rule for users, organizations and the short names of robots: `Err` says which part is broken, in
/// Quay's words (165a-w, 220a-s).
pub(crate) fn check_namespace(name: &str) -> Result<(), String> {
    if !matches_namespace(name) {
        return Err(format!("Namespace must match expression {NAMESPACE_EXPRESSION}"));
    }
    check_length(name, "Namespace")
}

/// The rule for teams, with another message for a wrong length (wire/402).
pub(crate) fn check_team(name: &str) -> Result<(), String> {
    if !matches_namespace(name) {
        return Err(format!("Namespace must match expression {NAMESPACE_EXPRESSION}"));
    }
    check_length(name, "Team")
}

fn check_length(name: &str, what: &str) -> Result<(), String> {
    if (2..=LONGEST).contains(&name.chars().count()) {
        Ok(())
    } else {
        Err(format!("{what} must be between 2 and {LONGEST} characters in length"))
    }
}

fn matches_namespace(name: &str) -> bool {
    without_newline(name)
        .split(['.', '_', '-'])
        .all(|part| !part.is_empty() && part.bytes().all(lower_or_digit))
}

/// The rule for repositories (315a-x, 660): unlike a namespace a repository may double its separators and
/// end with one. `extended` allows `/`, with the rule for each part.
pub(crate) fn is_repository(name: &str, extended: bool) -> bool {
    let name = without_newline(name);
    name.len() <= LONGEST
        && if extended { name.split('/').all(is_repository_part) } else { is_repository_part(name) }
}

fn is_repository_part(part: &str) -> bool {
    let mut bytes = part.bytes();
    bytes.next().is_some_and(lower_or_digit)
        && bytes.all(|b| lower_or_digit(b) || matches!(b, b'.' | b'_' | b'-'))
}

/// A tag, `TAG_REGEX` of `util/names.py`.
pub(crate) fn is_tag(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut bytes = name.bytes();
    name.len() <= 128
        && bytes.next().is_some_and(word)
        && bytes.all(|b| word(b) || matches!(b, b'.' | b'-'))
}

/// An e-mail address, as loosely as `validate_email` takes it.
pub(crate) fn is_email(address: &str) -> bool {
    let Some((local, domain)) = address.split_once('@') else {
        return false;
    };
    address.len() <= 254
        && !local.is_empty()
        && !domain.contains('@')
        && domain.contains('.')
        && domain.split('.').all(|label| !label.is_empty())
}

fn lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn without_newline(name: &str) -> &str {
    name.strip_suffix('\n').unwrap_or(name)
}
