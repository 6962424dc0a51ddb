//! Machine-readable formats: JSON, YAML, names.

use anyhow::Context as _;
use serde::Serialize;

use crate::domain::finding::ObjectRef;
use crate::printable::printable_line;

pub(super) fn json(report: &impl Serialize) -> anyhow::Result<String> {
    let mut text =
        serde_json::to_string_pretty(report).context("failed to serialize the report as JSON")?;
    text.push('\n');
    Ok(text)
}

pub(super) fn yaml(report: &impl Serialize) -> anyhow::Result<String> {
    serde_saphyr::to_string(report).context("failed to serialize the report as YAML")
}

/// One `kind/name` per line without duplicates, the kind in lower case, as with `kubectl -o name`.
pub(super) fn names<'a>(objects: impl Iterator<Item = &'a ObjectRef>) -> String {
    let mut seen = std::collections::BTreeSet::new();
    let mut text = String::new();
    for object in objects.filter(|object| seen.insert(*object)) {
        text.push_str(&object.kind.to_lowercase());
        if !object.name.is_empty() {
            text.push('/');
            text.push_str(&printable_line(&object.name));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_one_printable_line_per_name() {
        let names = ["app:x\nsecret/token", "app:\x1b[2Jx", "app:x"];
        let objects = names.map(|name| ObjectRef::namespaced("ImageStreamTag", "shop", name));
        let expected =
            "imagestreamtag/app:x secret/token\nimagestreamtag/app:x\nimagestreamtag/app:x\n";
        assert_eq!(super::names(objects.iter()), expected);
    }
}
