//! `docs/findings.md` is generated from the table of findings.

use oc_quay::domain::finding::Code;

use super::assert_fresh;
use super::markdown::anchors;

const PATH: &str = "docs/findings.md";

const INTRODUCTION: &str = "\
<!-- Generated from the table in `src/domain/catalog.rs`; update it with `UPDATE_SNAPSHOTS=1 cargo test --test it docs` -->

# Findings

`oc quay status` says what it found with a code, and codes are never reused. The same explanations come from
`oc quay explain CODE`.

| codes | about |
| --- | --- |
| OQ1xx | the integration and the namespace: settings, token, Quay itself, scope |
| OQ2xx | the organization, its robot accounts and default permissions |
| OQ3xx | secrets and service accounts |
| OQ4xx | image streams and repositories |
| OQ5xx | builds, and the tags that they leave in image streams |
| OQ9xx | what could not be checked |

| severity | meaning |
| --- | --- |
| error | does not work |
| warning | works, but not always, or not as intended |
| unknown | could not be checked; neither right nor wrong as far as we know |
| info | worth knowing, nothing to do |
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for code in Code::ALL {
        let entry = code.entry();
        page += &format!(
            "\n## {}\n\n**{}** ({})\n\n",
            entry.code,
            entry.title,
            entry.severity.as_str()
        );
        page += &format!("{}\n\n{}\n", entry.meaning, entry.remedy);
        if !entry.hint.is_empty() {
            page += &format!("\n```sh\n{}\n```\n", entry.hint.replace("{namespace}", "NAMESPACE"));
        }
    }
    page
}

#[test]
fn page_is_up_to_date() {
    assert_fresh(&[(PATH.to_owned(), page())]);
}

#[test]
fn every_finding_links_to_its_heading() {
    let anchors = anchors(&page());
    for code in Code::ALL {
        let docs = code.docs();
        let anchor =
            docs.strip_prefix(PATH).and_then(|rest| rest.strip_prefix('#')).unwrap_or_default();
        assert!(anchors.iter().any(|other| other == anchor), "{docs} leads nowhere");
        let group = format!("| {}xx |", &code.as_str()[..3]);
        assert!(
            INTRODUCTION.contains(&group),
            "the introduction does not say what {group} is about"
        );
    }
}
