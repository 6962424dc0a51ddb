//! README and docs are correct: command lines parse, sessions end as shown, links have targets, and
//! generated pages are up to date. `UPDATE_SNAPSHOTS=1 cargo test --test it docs` generates them again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod examples;
mod findings;
mod krew;
mod links;
mod markdown;
mod permissions;
mod reference;
// Some sessions need a terminal.
#[cfg(unix)]
mod sessions;

use std::env;
use std::fs;
use std::path::Path;

fn pages() -> Vec<(String, String)> {
    let others = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "krew/README.md"];
    let mut paths = others.map(str::to_owned).to_vec();
    for entry in fs::read_dir(in_project("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        paths.extend(name.ends_with(".md").then(|| format!("docs/{name}")));
    }
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(in_project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn in_project(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Asserts that each page is up to date, or writes it with `UPDATE_SNAPSHOTS`.
fn assert_fresh(pages: &[(String, String)]) {
    let stale: Vec<_> = pages
        .iter()
        .filter(|(path, fresh)| fs::read_to_string(in_project(path)).ok().as_ref() != Some(fresh))
        .collect();
    if env::var_os("UPDATE_SNAPSHOTS").is_some() {
        for (path, fresh) in stale {
            fs::write(in_project(path), fresh).unwrap();
        }
        return;
    }
    let differences: Vec<_> =
        stale.into_iter().map(|(path, fresh)| difference(path, fresh)).collect();
    assert!(
        differences.is_empty(),
        "{}\nUPDATE_SNAPSHOTS=1 generates them",
        differences.join("\n")
    );
}

fn difference(path: &str, fresh: &str) -> String {
    let committed = fs::read_to_string(in_project(path)).unwrap_or_default();
    let same = committed.lines().zip(fresh.lines()).take_while(|(a, b)| a == b).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(end of the page)").to_owned();
    format!("{path}:{}: says\n  {}\nand should say\n  {}", same + 1, line(&committed), line(fresh))
}

#[test]
fn changelog_has_this_version() {
    let heading = format!("\n## [{}]", env!("CARGO_PKG_VERSION"));
    assert!(read("CHANGELOG.md").contains(&heading), "there is no heading {heading}");
}
