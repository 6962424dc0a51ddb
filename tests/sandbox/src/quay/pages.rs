//! Lists in pages.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

/// A page of `items`, which are sorted by their number, and the token of the next page. An invalid
/// token means the first page again (wire/362).
pub(crate) fn page<T>(
    items: Vec<(u64, T)>,
    token: Option<&str>,
    limit: usize,
) -> (Vec<T>, Option<String>) {
    let start = token.and_then(open).unwrap_or_default();
    let mut rest = items.into_iter().skip_while(|(id, _)| *id < start);
    let found = rest.by_ref().take(limit).map(|(_, item)| item).collect();
    (found, rest.next().map(|(id, _)| seal(id)))
}

/// An opaque token, which Quay encrypts.
fn seal(start: u64) -> String {
    URL_SAFE.encode(format!("gAAAAA start {start}"))
}

fn open(token: &str) -> Option<u64> {
    let text = String::from_utf8(URL_SAFE.decode(token).ok()?).ok()?;
    text.strip_prefix("gAAAAA start ")?.parse().ok()
}
