//! Quotes words for a shell, since the commands in hints are copied.

/// The command line of these words. None if one has characters outside printable ASCII, which a terminal might show as
/// something else: the API server does not validate every name, for example in owner references.
pub fn command(words: &[&str]) -> Option<String> {
    let is_shown = |word: &&str| word.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    let words: Option<Vec<_>> =
        words.iter().map(|word| is_shown(word).then(|| quoted(word))).collect();
    Some(words?.join(" "))
}

/// The word, quoted unless a shell reads it unchanged.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The words that a shell reads from a line. None unless the line is one command of plain and quoted words.
#[cfg(test)]
pub(crate) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim_matches(' ');
    while !rest.is_empty() {
        let mut word = String::new();
        while let Some(next) = rest.chars().next().filter(|next| *next != ' ') {
            rest = &rest[next.len_utf8()..];
            match next {
                '\'' => {
                    let (quoted, after) = rest.split_once('\'')?;
                    word.push_str(quoted);
                    rest = after;
                }
                '\\' => {
                    let escaped = rest.chars().next()?;
                    word.push(escaped);
                    rest = &rest[escaped.len_utf8()..];
                }
                plain if plain.is_ascii_alphanumeric() || "-_./:@=,+".contains(plain) => {
                    word.push(plain)
                }
                _ => return None,
            }
        }
        words.push(word);
        rest = rest.trim_start_matches(' ');
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_words_that_a_shell_would_split() {
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

    #[test]
    fn rejects_words_with_unprintable_characters() {
        assert_eq!(
            command(&["oc", "delete", "pod", "a;b"]).as_deref(),
            Some("oc delete pod 'a;b'")
        );
        for word in ["a\u{1b}[2J", "a\nb", "a\u{202e}b", "\u{9b}", "\u{430}pp"] {
            assert_eq!(command(&["oc", "delete", "pod", word]), None, "{word:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn shell_reads_back_every_word(words in proptest::collection::vec(proptest::prelude::any::<String>(), 1..4)) {
            let line = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
            proptest::prop_assert_eq!(split(&line), Some(words));
        }
    }

    #[test]
    fn splits_no_line_with_more_than_one_command() {
        for line in
            ["a; id", "a $(id)", "a `id`", "a 'b", "a\nid", "a > b", "a ~", "a *", "a \"b\""]
        {
            assert_eq!(split(line), None, "{line}");
        }
    }
}
