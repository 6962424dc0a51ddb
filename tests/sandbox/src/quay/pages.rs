//! Lists in pages.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

/// One page of `items`, which are sorted by the number they come with, and the token of the next page. A token
/// Quay cannot decrypt means the first page again (362).
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

/// An opaque token; Quay encrypts it, so nobody can read or build one.
fn seal(start: u64) -> String {
    URL_SAFE.encode(format!("gAAAAA start {start}"))
}

fn open(token: &str) -> Option<u64> {
    let text = String::from_utf8(URL_SAFE.decode(token).ok()?).ok()?;
    text.strip_prefix("gAAAAA start ")?.parse().ok()
}
