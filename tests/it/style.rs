//! Names, messages, help and docs use the terms of `STYLE.md`.

use std::fs;
use std::path::{Path, PathBuf};

const LIST: &str = include_str!("style/banned.txt");

/// `STYLE.md` and the list name the banned words; the rest are recordings of servers.
const SKIPPED: [&str; 5] = [
    "STYLE.md",
    "tests/it/style",
    "tests/it/style.rs",
    "tests/sandbox/wire",
    "tests/envtest/tests/conformance/recording.json",
];

const SEARCHED: [&str; 12] = [
    ".ci",
    ".github",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.toml",
    "README.md",
    "SECURITY.md",
    "benches",
    "docs",
    "krew",
    "src",
    "tests",
];

#[test]
fn uses_terms_of_style_guide() {
    let banned = banned();
    let allowed = allowed();
    let violations: Vec<_> = lines()
        .flat_map(|(place, line)| {
            let words = allowed.iter().fold(words(&line), |text, words| without(text, words));
            banned
                .iter()
                .filter(|(phrase, _)| words.contains(phrase))
                .map(|(phrase, better)| format!("{place}:{phrase}-> {better}: {}", line.trim()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(violations.is_empty(), "{}\n{} violations", violations.join("\n"), violations.len());
}

#[test]
fn begins_sentences_with_their_subject() {
    let violations: Vec<_> = lines()
        .filter(|(place, line)| is_relative_clause(place, line))
        .map(|(place, line)| format!("{place}: {}", line.trim()))
        .collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// Whether a heading or a doc comment begins with a relative clause.
fn is_relative_clause(place: &str, line: &str) -> bool {
    let is_markdown = place.contains(".md:");
    let mark = line.trim_start();
    let marks: &[&str] = if is_markdown { &["# ", "## ", "### "] } else { &["/// ", "//! "] };
    marks.iter().filter_map(|prefix| mark.strip_prefix(prefix)).any(|text| {
        ["What ", "Whoever ", "Nobody ", "Somebody "].iter().any(|word| text.starts_with(word))
    })
}

#[test]
fn finds_banned_words_in_names_and_texts() {
    for text in ["fn put_right()", "PutRight", "to PUT-RIGHT it", "put right"] {
        assert!(words(text).contains(" put right "), "{text}");
    }
    assert!(!words("input rights").contains(" put right "));
    assert!(banned().iter().any(|(phrase, better)| phrase == " put right " && *better == "repair"));
    assert!(is_relative_clause("src/a.rs:1", "    /// What it is."));
    assert!(!is_relative_clause("src/a.rs:1", "    // What it is."));
}

/// Phrases as [`words`] has them, with their replacements.
fn banned() -> Vec<(String, &'static str)> {
    rules().filter_map(|line| line.split_once(": ")).map(|(a, b)| (words(a), b)).collect()
}

fn allowed() -> Vec<String> {
    rules().filter_map(|line| line.strip_prefix("allow ")).map(words).collect()
}

fn rules() -> impl Iterator<Item = &'static str> {
    LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The words of a text in lower case, with a space before and after each; names are split.
fn words(text: &str) -> String {
    let mut words = String::from(" ");
    let mut previous = ' ';
    for c in text.chars() {
        let is_boundary = !c.is_alphanumeric() || c.is_uppercase() && previous.is_lowercase();
        if is_boundary && !words.ends_with(' ') {
            words.push(' ');
        }
        words.extend(c.is_alphanumeric().then_some(c).into_iter().flat_map(char::to_lowercase));
        previous = c;
    }
    words.push(' ');
    words
}

fn without(mut text: String, phrase: &str) -> String {
    // Two in a row share a space.
    while text.contains(phrase) {
        text = text.replace(phrase, " ");
    }
    text
}

/// Every line of the project with its place, and the path of every file.
fn lines() -> impl Iterator<Item = (String, String)> {
    let mut files = Vec::new();
    for path in SEARCHED {
        collect_files(Path::new(path), &mut files);
    }
    files.into_iter().flat_map(|path| {
        let name = path.display().to_string();
        let text = fs::read(in_project(&path)).unwrap();
        // Images and archives have no words.
        let text = String::from_utf8(text).unwrap_or_default();
        let lines: Vec<_> = text
            .lines()
            .enumerate()
            .map(|(index, line)| (format!("{name}:{}", index + 1), line.to_owned()))
            .collect();
        [(name.clone(), name)].into_iter().chain(lines)
    })
}

fn collect_files(path: &Path, files: &mut Vec<PathBuf>) {
    if SKIPPED.iter().any(|skipped| Path::new(skipped) == path) {
        return;
    }
    if !in_project(path).is_dir() {
        files.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(in_project(path)).unwrap() {
        collect_files(&path.join(entry.unwrap().file_name()), files);
    }
}

fn in_project(path: &Path) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
