//! The part of Markdown that the pages use.

/// A piece of a page: a line of text, or a fenced block.
pub(super) enum Piece<'a> {
    /// A line outside of blocks.
    Text(&'a str),
    /// The lines between two fences.
    Block { language: &'a str, lines: Vec<&'a str> },
}

/// The pieces of a page, with the numbers of the lines they begin at.
pub(super) fn pieces(page: &str) -> Vec<(usize, Piece<'_>)> {
    let mut pieces = Vec::new();
    let mut lines = (1..).zip(page.lines());
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            pieces.push((number, Piece::Text(line)));
            continue;
        };
        let mut inside = Vec::new();
        loop {
            match lines.next() {
                Some((_, "```")) => break,
                Some((_, line)) => inside.push(line),
                None => panic!("the block that begins at line {number} has no end"),
            }
        }
        pieces.push((number, Piece::Block { language, lines: inside }));
    }
    pieces
}

/// The code spans of a line.
pub(super) fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The targets of the links in a line.
pub(super) fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// The anchors of a page: its headings as GitHub spells them.
pub(super) fn anchors(page: &str) -> Vec<String> {
    let headings = pieces(page).into_iter().filter_map(|(_, piece)| match piece {
        Piece::Text(line) => line.starts_with('#').then(|| line.trim_start_matches('#').trim()),
        Piece::Block { .. } => None,
    });
    headings.map(anchor).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}

/// The commands of a shell line: words without pipes and redirections. Supports quotes and
/// comments, and no expansion.
pub(super) fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![vec![]];
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ' | '|' | '>' | '<' | ';' | '&') => {
                commands.last_mut().unwrap().extend(word.take());
                if c != ' ' {
                    commands.push(vec![]);
                }
            }
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    assert_eq!(quote, None, "a quote has no end: {line}");
    commands.last_mut().unwrap().extend(word);
    commands.retain(|words| !words.is_empty());
    commands
}

#[test]
fn parses_shell_lines() {
    let words = |line| commands(line).iter().map(|words| words.join("_")).collect::<Vec<_>>();
    assert_eq!(
        words("oc quay status -A -o json | jq '.summary | .ok' > out  # all"),
        ["oc_quay_status_-A_-o_json", "jq_.summary | .ok", "out"]
    );
    assert_eq!(words("a=\"x y\" b; c && d"), ["a=x y_b", "c", "d"]);
    assert!(words("# nothing").is_empty());
}

#[test]
fn anchors_match_github() {
    let page = "# Exit codes\n```sh\n# none\n```\n## `oc quay link`, and more\n## OQ101\n";
    assert_eq!(anchors(page), ["exit-codes", "oc-quay-link-and-more", "oq101"]);
}
