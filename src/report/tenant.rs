//! Property tests: content from a namespace's admins cannot control another user's terminal or shell.

use proptest::prelude::*;

use super::fixtures::{invocation, style};
use super::{
    BuildConfigReport, BuildsReport, ChangeEntry, ChangeReport, Endpoints, Format, ImageReport,
    ImagesFormat, ImagesReport, IntegrationReport, NamespaceReport, StatusReport,
};
use crate::domain::builds::Destination;
use crate::domain::checks::{self, Assessed};
use crate::domain::finding::Finding;
use crate::domain::plan::{self, Options, UnlinkOptions};
use crate::domain::proptests::{NAMESPACE, integration, options, tenants_namespace, with_subject};
use crate::domain::shell_quote::split;
use crate::printable::printable_line;

const FORMATS: [Format; 6] =
    [Format::Text, Format::Wide, Format::Short, Format::Json, Format::Yaml, Format::Name];

/// All output about a namespace: texts in every format, and the commands in them.
struct Printed {
    texts: Vec<String>,
    commands: Vec<String>,
}

impl Printed {
    fn new(subject: &Assessed, options: Options) -> anyhow::Result<Self> {
        let selection = format!("-n {NAMESPACE}");
        let rewrites = plan::rewrite_builds(subject, &[]).plan;
        let unlink =
            plan::unlink(subject, UnlinkOptions { delete_robots: true, delete_organization: true });
        let plans = [
            ("repair", plan::repair(subject, options)),
            ("unlink", unlink),
            ("builds rewrite", rewrites),
        ];
        let reports = plans.map(|(command, plan)| {
            let entry = |change| ChangeEntry::new(Some(NAMESPACE), change);
            ChangeReport::new(
                &invocation(),
                Endpoints::default(),
                command,
                true,
                plan.changes.iter().map(entry).collect(),
                plan.blocked,
            )
        });
        let organization = Some(subject.desired.organization.clone());
        let namespace =
            NamespaceReport::new(NAMESPACE, organization, true, subject.scope().to_string());
        let namespaces = [(namespace, checks::namespace(subject))];
        let status = StatusReport::new(
            &invocation(),
            &selection,
            IntegrationReport::default(),
            vec![],
            namespaces,
        );
        let configs = subject.snapshot.build_configs.iter().flatten();
        let configs = configs.map(|config| BuildConfigReport::new(subject, config)).collect();
        let builds = BuildsReport::new(
            &invocation(),
            &selection,
            configs,
            vec![],
            status.findings.clone(),
            vec![],
        );

        let mut texts = Vec::new();
        for format in FORMATS {
            for width in [40, 120] {
                texts.extend([
                    status.render(format, &style(width))?,
                    builds.render(format, &style(width))?,
                ]);
                for report in &reports {
                    texts.push(report.render(format, &style(width))?);
                }
            }
        }
        texts.push(status.render_html());
        let hint = |finding: &Finding| finding.hint.clone();
        let mut commands: Vec<_> =
            status.findings.iter().chain(&builds.findings).filter_map(hint).collect();
        commands.extend(reports.iter().flat_map(|report| &report.findings).filter_map(hint));
        commands.extend(status.next.into_iter().chain(builds.next));
        Ok(Self { texts, commands })
    }
}

/// The first character that controls the terminal or reorders text, except line breaks and colors.
fn find_control_character(text: &str) -> Option<char> {
    let mut rest = text;
    while let Some(index) = rest.find(|c: char| (c.is_control() && c != '\n') || is_bidi(c)) {
        let behind = &rest[index..];
        let color = behind
            .strip_prefix("\u{1b}[")
            .map(|code| code.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
        match color.and_then(|end| end.strip_prefix('m')) {
            Some(end) => rest = end,
            None => return behind.chars().next(),
        }
    }
    None
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn tenant_content_controls_no_terminal_or_shell(snapshot in tenants_namespace(), options in options()) {
        let printed = with_subject(&snapshot, |subject| Printed::new(subject, options)).unwrap();
        for text in &printed.texts {
            prop_assert_eq!(find_control_character(text), None, "{:?}", text);
        }
        for command in &printed.commands {
            let words = split(command);
            prop_assert!(words.is_some(), "{}", command);
            let words = words.unwrap_or_default();
            let namespaces: Vec<_> = words.windows(2).filter(|pair| pair[0] == "-n").map(|pair| pair[1].as_str()).collect();
            let is_of_cluster = words.iter().any(|word| word.starts_with("mutatingwebhook")) || words.get(2).is_some_and(|word| word == "explain");
            prop_assert!(namespaces == [NAMESPACE] || (namespaces.is_empty() && is_of_cluster), "{}", command);
        }
    }

    #[test]
    fn tenant_images_are_single_shell_words(snapshot in tenants_namespace()) {
        let integration = integration();
        let tags = snapshot.image_streams.iter().flatten().flat_map(|stream| stream.tags.iter().map(move |tag| (stream, tag)));
        let images: Vec<_> = tags.filter_map(|(stream, tag)| {
            let to = Destination { namespace: NAMESPACE.into(), stream: stream.name.clone(), tag: tag.name.clone() };
            let image = tag.image.as_ref()?.reference.clone();
            Some(ImageReport { tag: to.name(), image, size: None, target: to.image(&integration) })
        }).collect();
        let report = ImagesReport::new("oc quay", NAMESPACE, images.clone());
        let mirrored = report.render(ImagesFormat::Mirror, &style(80)).unwrap();
        prop_assert_eq!(mirrored.lines().count(), images.len(), "{}", mirrored);
        for format in [
            ImagesFormat::Text,
            ImagesFormat::Short,
            ImagesFormat::Json,
            ImagesFormat::Yaml,
            ImagesFormat::Name,
            ImagesFormat::Mirror,
            ImagesFormat::Commands,
        ] {
            let text = report.render(format, &style(80)).unwrap();
            prop_assert_eq!(find_control_character(&text), None, "{:?}", text);
        }
        let commands = report.render(ImagesFormat::Commands, &style(80)).unwrap();
        prop_assert_eq!(commands.lines().count(), images.len(), "{}", commands);
        for (line, image) in commands.lines().zip(&images) {
            let words = split(line);
            let [.., from, to] = words.as_deref().unwrap_or_default() else { return Err(TestCaseError::fail(line.to_owned())) };
            prop_assert_eq!([from, to], [&printable_line(&image.image), &printable_line(&image.target)]);
        }
    }
}
