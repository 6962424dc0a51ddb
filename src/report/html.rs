//! The HTML report: one self-contained file with a sortable table of namespaces and the explained findings.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;

use super::problems;
use super::status::{CheckReport, IntegrationReport, NamespaceReport, SettingReport, StatusReport};
use super::summary_line::{ASK_PREFIX, HINT_PREFIX};
use crate::domain::finding::{Code, Finding, Severity};

const CSS: &str = include_str!("html/page.css");
const JS: &str = include_str!("html/page.js");

pub(super) fn status(report: &StatusReport, read: Timestamp) -> String {
    let answer = report
        .summary_line
        .rsplit_once(HINT_PREFIX)
        .or_else(|| report.summary_line.rsplit_once(ASK_PREFIX))
        .map_or(report.summary_line.as_str(), |(answer, _)| answer);
    let mut page = String::new();
    page += "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
    page += &format!(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n",
        content_security_policy()
    );
    page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    page += &format!(
        "<title>{} - oc quay status</title>\n<style>{CSS}</style>\n</head>\n<body>\n",
        Text(answer)
    );
    page += &heading(report, answer, read);
    page += &integration(report);
    page += &match report.namespaces.as_slice() {
        [] => String::new(),
        [one] => namespace(one),
        several => table(several, report),
    };
    page += &findings(report);
    page += &format!("<script>{JS}</script>\n</body>\n</html>\n");
    page
}

/// Allows only the page's own style and script, by their hashes, against injection through messages.
fn content_security_policy() -> String {
    let hash = |text: &str| {
        format!("'sha256-{}'", BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes())))
    };
    format!("default-src 'none'; style-src {}; script-src {}", hash(CSS), hash(JS))
}

fn heading(report: &StatusReport, answer: &str, read: Timestamp) -> String {
    let severity =
        if report.max_severity() == Severity::Info { Severity::Ok } else { report.max_severity() };
    let mut text = format!("<header>\n<h1 class=\"{}\">{}</h1>\n", severity.as_str(), Text(answer));
    text += &report.next.as_deref().map(command).unwrap_or_default();
    text += &format!(
        "<p class=\"quiet\">Read on {}</p>\n</header>\n",
        read.strftime("%Y-%m-%d at %H:%M UTC")
    );
    text
}

fn integration(report: &StatusReport) -> String {
    let IntegrationReport { cluster, quay, cluster_id, token, checks, .. } = &report.integration;
    let mut text = "<section>\n<h2>Integration</h2>\n<dl>\n".to_owned();
    for (name, setting) in
        [("Cluster", cluster), ("Quay", quay), ("Cluster ID", cluster_id), ("Token", token)]
    {
        let value = match setting {
            None => "<span class=\"quiet\">unknown</span>".to_owned(),
            Some(SettingReport { value: None, source }) => Text(source).to_string(),
            Some(SettingReport { value: Some(value), source }) => {
                format!("{} <span class=\"quiet\">({})</span>", Text(value), Text(source))
            }
        };
        text += &format!("<dt>{name}</dt><dd>{value}</dd>\n");
    }
    text + "</dl>\n" + &check_list(checks) + "</section>\n"
}

fn namespace(namespace: &NamespaceReport) -> String {
    let organization = namespace.organization.as_deref().filter(|_| namespace.linked);
    let organization = organization
        .map(|name| format!(" <span class=\"quiet\">→ {}</span>", Text(name)))
        .unwrap_or_default();
    let checks = check_list(&namespace.checks);
    format!("<section>\n<h2>{}{organization}</h2>\n{checks}</section>\n", Text(&namespace.name))
}

fn check_list(checks: &[CheckReport]) -> String {
    let mut text = "<table class=\"checks\">\n<tbody>\n".to_owned();
    for CheckReport { title, severity, fact, findings } in checks {
        let (badge, title, fact, codes) =
            (badge(*severity), Text(title), Text(fact), links(findings));
        text += &format!(
            "<tr><td>{badge}</td><th scope=\"row\">{title}</th><td>{fact} {codes}</td></tr>\n"
        );
    }
    text + "</tbody>\n</table>\n"
}

fn table(namespaces: &[NamespaceReport], report: &StatusReport) -> String {
    let states = ["error", "warning", "unknown", "ok", "not linked"];
    let mut text = "<section>\n<h2>Namespaces</h2>\n<p id=\"tools\" hidden>\n".to_owned();
    text += "<label>Filter <input id=\"words\" type=\"search\" autocomplete=\"off\"></label>\n";
    text += "<label>State <select id=\"state\"><option value=\"\">all</option>";
    for state in states {
        let number = namespaces.iter().filter(|namespace| namespace.state() == state).count();
        text += &format!("<option value=\"{state}\">{state} ({number})</option>");
    }
    text += "</select></label>\n<output id=\"shown\"></output>\n</p>\n<table id=\"namespaces\">\n<thead>\n<tr>";
    for title in ["Namespace", "State", "Organization", "Scope", "Findings"] {
        text += &format!("<th scope=\"col\"><button type=\"button\">{title}</button></th>");
    }
    text += "</tr>\n</thead>\n<tbody>\n";
    let mut rest = report.namespace_findings();
    for namespace in namespaces {
        let its_own = |finding: &&Finding| finding.namespace.as_ref() == Some(&namespace.name);
        let (its_findings, after) = rest.split_at(rest.iter().take_while(its_own).count());
        rest = after;
        text += &row(
            namespace,
            its_findings,
            states.iter().position(|state| *state == namespace.state()),
        );
    }
    text + "</tbody>\n</table>\n</section>\n"
}

fn row(namespace: &NamespaceReport, findings: &[Finding], rank: Option<usize>) -> String {
    let mut codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
    codes.sort();
    codes.dedup();
    let state = namespace.state();
    // All other states are named after their severity.
    let class = if state == "not linked" { Severity::Info.as_str() } else { state };
    let organization =
        namespace.organization.as_deref().filter(|_| namespace.linked).unwrap_or_default();
    format!(
        "<tr data-namespace=\"{name}\" data-state=\"{state}\"><th scope=\"row\">{name}</th>\
         <td data-key=\"{rank}\"><span class=\"severity {class}\">{state}</span></td>\
         <td>{organization}</td><td>{scope}</td><td data-key=\"{number}\">{codes}</td></tr>\n",
        name = Text(&namespace.name),
        rank = rank.unwrap_or_default(),
        organization = Text(organization),
        scope = Text(&namespace.scope),
        number = findings.len(),
        codes = links(&codes),
    )
}

/// The findings by code, sorted by severity. Each code is explained once.
fn findings(report: &StatusReport) -> String {
    let mut codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    codes.sort_by_key(|code| (std::cmp::Reverse(code.entry().severity), *code));
    codes.dedup();
    if codes.is_empty() {
        return String::new();
    }
    let summary = problems(report.summary.error, report.summary.warning, report.summary.unknown);
    let mut text =
        format!("<section>\n<h2>Findings</h2>\n<p class=\"quiet\">{}</p>\n", Text(&summary));
    for code in codes {
        text += &code_article(code, &report.findings);
    }
    text + "</section>\n"
}

fn code_article(code: Code, all: &[Finding]) -> String {
    let entry = code.entry();
    let mut text = format!(
        "<article id=\"{0}\">\n<h3>{1} {0} {2}</h3>\n",
        entry.code,
        badge(entry.severity),
        Text(entry.title)
    );
    text += &format!("<p>{}</p>\n<p>{}</p>\n<ul>\n", Text(entry.meaning), Text(entry.remedy));
    for finding in all.iter().filter(|finding| finding.code == code) {
        let namespace = finding.namespace.as_deref().unwrap_or_default();
        let place = finding
            .namespace
            .as_ref()
            .map(|name| format!("<b>{}</b> ", Text(name)))
            .unwrap_or_default();
        let ask = finding.ask.map(|who| format!(" Ask {who} to run:")).unwrap_or_default();
        let command = finding.hint.as_deref().map(|hint| ask + &command(hint)).unwrap_or_default();
        text += &format!(
            "<li data-of=\"{}\">{place}{}{command}</li>\n",
            Text(namespace),
            Text(&finding.message)
        );
    }
    text + "</ul>\n</article>\n"
}

fn command(command: &str) -> String {
    format!("<pre>{}</pre>\n", Text(command))
}

fn badge(severity: Severity) -> String {
    format!("<span class=\"severity {0}\">{0}</span>", severity.as_str())
}

fn links(codes: &[Code]) -> String {
    let links: Vec<_> =
        codes.iter().map(|code| format!("<a href=\"#{0}\">{0}</a>", code.as_str())).collect();
    links.join(" ")
}

/// Escapes text for HTML, also in attributes.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            char => f.write_char(char),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{
        assert_file, finding, missing, one_namespace, several_namespaces, thirty_namespaces,
    };

    fn page(report: &StatusReport) -> String {
        status(report, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn contains_whole_report() {
        let report = thirty_namespaces();
        let page = page(&report);
        assert!(page.contains("<h1 class=\"error\">2 of 30 namespaces have errors</h1>\n<pre>oc quay repair -A</pre>"), "{page}");
        assert!(page.contains("Read on 1970-01-01 at 00:00 UTC"), "{page}");
        for namespace in &report.namespaces {
            assert!(page.contains(&format!("<th scope=\"row\">{}</th>", namespace.name)), "{page}");
        }
        for finding in &report.findings {
            let entry = finding.code.entry();
            let hint = finding.hint.as_deref().unwrap_or_default();
            for text in [&finding.message, entry.title, entry.meaning, entry.remedy, hint] {
                assert!(page.contains(&Text(text).to_string()), "{text}");
            }
            assert!(page.contains(&format!("<article id=\"{}\">", entry.code)), "{}", entry.code);
        }
    }

    #[test]
    fn matches_snapshot() {
        assert_file("src/report/html/status-30-namespaces.html", &page(&thirty_namespaces()));
    }

    #[test]
    fn shows_checks_of_one_namespace() {
        let page = page(&one_namespace(vec![missing("myproj")]));
        let check = "<tr><td><span class=\"severity error\">error</span></td><th scope=\"row\">Secrets</th>\
                     <td>1 of 3 current <a href=\"#OQ301\">OQ301</a></td></tr>";
        assert!(page.contains(check), "{page}");
        assert!(
            page.contains("<h2>myproj <span class=\"quiet\">→ openshift_myproj</span></h2>"),
            "{page}"
        );
        assert!(!page.contains("<table id=\"namespaces\">"), "{page}");
    }

    #[test]
    fn explains_each_code_once() {
        let page = page(&thirty_namespaces());
        assert_eq!(page.matches(&Text(Code::SecretMissing.entry().meaning).to_string()).count(), 1);
    }

    #[test]
    fn escapes_messages() {
        let injected = "</script><script>alert('1')</script><img src=x onerror=\"alert(2)\">&amp;";
        let page = page(&one_namespace(vec![finding(Code::ImportFailed, "myproj", "s", injected)]));
        assert_eq!(page.matches("<script").count(), 1);
        assert!(
            !page.contains("<img")
                && page.contains("&lt;img src=x onerror=&quot;alert(2)&quot;&gt;&amp;amp;"),
            "{page}"
        );
    }

    #[test]
    fn loads_nothing_external() {
        let page = page(&thirty_namespaces());
        for source in ["src=", "url(", "@import", "<link", "<iframe", "http-equiv=\"refresh"] {
            assert!(!page.contains(source), "{source}");
        }
        assert!(page.contains("default-src 'none'; style-src 'sha256-"), "{page}");
        assert!(!JS.contains("</") && !CSS.contains("</"));
    }

    #[test]
    fn renders_empty_report() {
        let empty = page(&several_namespaces("-A", vec![]));
        assert!(
            empty.contains("No namespaces found") && !empty.contains("<h2>Findings"),
            "{empty}"
        );
    }
}
