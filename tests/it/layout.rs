//! The rooms of `src/` use only those below them, as their `use` lines and paths say.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms that all others use.
const LEAVES: [&str; 7] =
    ["backoff", "error", "logging", "printable", "proxy", "request_metrics", "tls"];

/// A room with the rooms that it uses, besides [`LEAVES`], from the lowest.
const ROOMS: [(&str, &[&str]); 11] = [
    ("domain", &[]),
    ("ui", &[]),
    ("cluster", &["domain"]),
    ("quay", &["domain"]),
    ("report", &["domain"]),
    ("ops", &["cluster", "domain", "quay", "ui"]),
    ("setup", &["cluster", "domain", "ops", "quay", "ui"]),
    ("controller", &["cluster", "domain", "ops", "quay"]),
    // Values of flags.
    ("cli", &["domain", "report", "setup"]),
    (
        "commands",
        &["cli", "cluster", "controller", "domain", "ops", "quay", "report", "setup", "ui"],
    ),
    ("completion", &["cli", "cluster", "domain", "ops"]),
];

/// Crates with the only rooms that use them.
const CRATES: [(&str, &[&str]); 5] = [
    ("clap", &["cli", "completion"]),
    ("kube", &["cluster", "controller"]),
    ("reqwest", &["quay", "cluster"]),
    (
        "tokio",
        &[
            "backoff",
            "cluster",
            "commands",
            "completion",
            "controller",
            "ops",
            "quay",
            "setup",
            "ui",
        ],
    ),
    ("inquire", &["ui"]),
];

#[test]
fn rooms_use_only_rooms_below() {
    let mut violations = Vec::new();
    for (room, path, code) in sources() {
        let allowed =
            ROOMS.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, rooms)| rooms);
        let is_allowed = |used: &str| {
            used == room
                || LEAVES.contains(&used) && !LEAVES.contains(&room.as_str())
                || allowed.contains(&used)
        };
        violations.extend(
            used_rooms(&code)
                .filter(|used| !is_allowed(used))
                .map(|used| format!("{path}: crate::{used}")),
        );
        for (name, rooms) in CRATES {
            if code.contains(&format!("{name}::")) && !rooms.contains(&room.as_str()) {
                violations.push(format!("{path}: {name}"));
            }
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn every_room_is_listed() {
    let listed: BTreeSet<_> = ROOMS.iter().map(|(room, _)| *room).chain(LEAVES).collect();
    let found: BTreeSet<_> = sources().into_iter().map(|(room, ..)| room).collect();
    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), listed);
}

/// Room, path and code of every file, without tests.
fn sources() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect_files(&root, &mut files);
    let source = |path: PathBuf| {
        let relative = path.strip_prefix(&root).unwrap().display().to_string();
        let room = relative.split(['/', '.']).next().unwrap().to_owned();
        let is_test = ["tests", "proptests", "untrusted"]
            .iter()
            .any(|part| relative.split(['/', '.']).any(|name| name == *part));
        let is_root = ["lib", "main"].contains(&room.as_str());
        let code = fs::read_to_string(&path).unwrap();
        let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
        (!is_test && !is_root).then_some((room, format!("src/{relative}"), code))
    };
    files.into_iter().filter_map(source).collect()
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn finds_used_rooms() {
    let code = "use crate::{\n    ops::App,\n    report,\n};\n/// [`crate::ui`]\nfn a() { crate::setup::b() }";
    assert_eq!(used_rooms(code).collect::<Vec<_>>(), ["ops", "report", "setup"]);
}

/// The first name after each `crate::`; those in its braces.
fn used_rooms(code: &str) -> impl Iterator<Item = String> {
    // Links in doc comments are no dependency.
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let uses: Vec<_> = code.split("crate::").skip(1).flat_map(names).map(str::to_owned).collect();
    let is_room = |name: &String| {
        ROOMS.iter().any(|(room, _)| room == name) || LEAVES.contains(&name.as_str())
    };
    uses.into_iter().filter(is_room)
}

fn names(path: &str) -> Vec<&str> {
    let is_boundary = |c: char| !c.is_alphanumeric() && c != '_';
    match path.strip_prefix('{') {
        Some(list) => list.split(';').next().unwrap().split(is_boundary).collect(),
        None => path.split(is_boundary).take(1).collect(),
    }
}
