//! Links between the pages have existing files and headings as targets.

use std::path::{Component, Path, PathBuf};

use super::markdown::{Piece, anchors, code_spans, links, pieces};
use super::{in_project, pages, read};

/// Why a link on a page is broken; `None` for links out of the project.
fn problem(page: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) =
        link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let target = if file.is_empty() {
        PathBuf::from(page)
    } else {
        normalized(&Path::new(page).parent()?.join(file))
    };
    if !in_project(target.to_str()?).exists() {
        return Some(format!("{page}: {link}: there is no {}", target.display()));
    }
    let anchor = anchor?;
    let is_there = anchors(&read(target.to_str()?)).iter().any(|other| other == anchor);
    (!is_there).then(|| format!("{page}: {link}: there is no heading #{anchor}"))
}

fn normalized(path: &Path) -> PathBuf {
    let mut normalized = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                assert!(normalized.pop(), "{} leaves the project", path.display())
            }
            other => normalized.push(other),
        }
    }
    normalized
}

fn text_of(page: &str) -> impl Iterator<Item = &str> {
    pieces(page).into_iter().filter_map(|(_, piece)| match piece {
        Piece::Text(line) => Some(line),
        Piece::Block { .. } => None,
    })
}

fn links_of(page: &str) -> Vec<String> {
    text_of(page).flat_map(links).map(str::to_owned).collect()
}

#[test]
fn links_have_targets() {
    let problems: Vec<_> = pages()
        .iter()
        .flat_map(|(path, page)| links_of(page).into_iter().filter_map(|link| problem(path, &link)))
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn detects_broken_link() {
    for link in ["nowhere.md", "../docs/nowhere.md", "#nothing", "findings.md#oq000"] {
        assert!(problem("docs/README.md", link).is_some(), "{link}");
    }
    for link in ["findings.md", "findings.md#oq101", "../LICENSE", "https://example.com/nowhere"] {
        assert_eq!(problem("docs/README.md", link), None);
    }
}

#[test]
fn files_named_in_the_text_exist() {
    let is_of_the_project =
        |span: &&str| ["src/", "tests/", "benches/"].iter().any(|folder| span.starts_with(folder));
    let mut seen = 0;
    for (path, page) in pages() {
        for file in text_of(&page).flat_map(code_spans).filter(is_of_the_project) {
            assert!(in_project(file).exists(), "{path}: there is no {file}");
            seen += 1;
        }
    }
    assert!(seen > 10, "just {seen} files are named");
}

#[test]
fn index_and_book_link_to_every_page() {
    let own = ["README.md", "SUMMARY.md"];
    for index in ["docs/README.md", "docs/SUMMARY.md"] {
        let linked = links_of(&read(index));
        for (path, _) in pages() {
            if let Some(name) = path.strip_prefix("docs/").filter(|name| !own.contains(name)) {
                assert!(linked.iter().any(|link| link == name), "{index} does not lead to {name}");
            }
        }
    }
}

/// The book contains only `docs/`.
#[test]
fn pages_of_the_book_link_only_to_its_pages() {
    for (path, page) in pages().into_iter().filter(|(path, _)| path.starts_with("docs/")) {
        let out: Vec<_> =
            links_of(&page).into_iter().filter(|link| link.starts_with("..")).collect();
        assert!(out.is_empty(), "{path}: {out:?}");
    }
}
