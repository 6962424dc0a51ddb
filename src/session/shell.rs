//! Words as a shell takes them: commands that are shown are there to be copied.

/// The word, in quotes where a shell would take it apart.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        let table = [
            ("https://quay.example.com:8443", "https://quay.example.com:8443"),
            ("env=prod,tier=web", "env=prod,tier=web"),
            ("env in (a,b)", "'env in (a,b)'"),
            ("!env", "'!env'"),
            ("o'neil & co", r"'o'\''neil & co'"),
            ("", "''"),
        ];
        for (word, expected) in table {
            assert_eq!(quoted(word), expected);
        }
    }
}
