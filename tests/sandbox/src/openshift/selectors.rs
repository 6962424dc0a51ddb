//! Label and field selectors.

use serde_json::Value;

use super::api_errors::Rejection;
use super::kinds::Kind;
use super::validate::{is_label_value, is_qualified_name};

/// Which objects a list or watch is about.
#[derive(Default)]
pub(crate) struct Selectors {
    labels: Vec<Label>,
    fields: Vec<Field>,
}

struct Label {
    key: String,
    test: Test,
}

enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    /// Also true where the label is absent.
    NotIn(Vec<String>),
}

struct Field {
    path: String,
    equal: bool,
    value: String,
}

impl Selectors {
    /// Parses the query's `labelSelector` and `fieldSelector`, empty when absent.
    ///
    /// # Errors
    /// 400 for what cannot be parsed and for fields that the kind does not index.
    pub(crate) fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, Rejection> {
        let labels = split(labels).into_iter().map(parse_label).collect::<Result<_, _>>()?;
        let fields = split(fields)
            .into_iter()
            .map(|text| parse_field(kind, text))
            .collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    /// Reads a `LabelSelector`, as objects carry one; `null` selects every object.
    pub(crate) fn from_label_selector(selector: &Value) -> Self {
        let equal = selector["matchLabels"].as_object().into_iter().flatten();
        let equal = equal.map(|(key, value)| Label {
            key: key.clone(),
            test: Test::In(texts(std::slice::from_ref(value))),
        });
        let expressions =
            selector["matchExpressions"].as_array().into_iter().flatten().map(|expression| {
                let values = texts(expression["values"].as_array().map_or(&[], Vec::as_slice));
                let test = match expression["operator"].as_str() {
                    Some("In") => Test::In(values),
                    Some("NotIn") => Test::NotIn(values),
                    Some("DoesNotExist") => Test::Absent,
                    _ => Test::Exists,
                };
                Label { key: expression["key"].as_str().unwrap_or_default().to_owned(), test }
            });
        Self { labels: equal.chain(expressions).collect(), fields: Vec::new() }
    }

    /// True if every object is selected.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn select(&self, object: &Value) -> bool {
        self.labels.iter().all(|label| label.holds(&object["metadata"]["labels"]))
            && self.fields.iter().all(|field| field.holds(object))
    }
}

impl Label {
    fn holds(&self, labels: &Value) -> bool {
        let value = labels[&self.key].as_str();
        let among =
            |values: &[String]| value.is_some_and(|value| values.iter().any(|each| each == value));
        match &self.test {
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::In(values) => among(values),
            Test::NotIn(values) => !among(values),
        }
    }
}

impl Field {
    fn holds(&self, object: &Value) -> bool {
        let value =
            object.pointer(&format!("/{}", self.path.replace('.', "/"))).and_then(Value::as_str);
        (value.unwrap_or_default() == self.value) == self.equal
    }
}

fn texts(values: &[Value]) -> Vec<String> {
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Splits at the commas that are not inside parentheses.
fn split(selector: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let parts = selector.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn parse_label(text: &str) -> Result<Label, Rejection> {
    let label = |key: &str, test| {
        let key = key.trim();
        let values: &[String] = match &test {
            Test::In(values) | Test::NotIn(values) => values,
            Test::Exists | Test::Absent => &[],
        };
        match is_qualified_name(key) && values.iter().all(|value| is_label_value(value)) {
            true => Ok(Label { key: key.to_owned(), test }),
            false => Err(Rejection::bad_request(format!(
                "unable to parse requirement: invalid label in '{text}'"
            ))),
        }
    };
    if let Some((key, value)) = text.split_once("!=") {
        label(key, Test::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = text.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        label(key, Test::In(vec![value.trim().to_owned()]))
    } else if let Some((key, values)) = text.strip_suffix(')').and_then(|text| text.split_once('('))
    {
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        match key.trim().rsplit_once(char::is_whitespace) {
            Some((key, "in")) => label(key, Test::In(values)),
            Some((key, "notin")) => label(key, Test::NotIn(values)),
            _ => Err(Rejection::bad_request(format!(
                "unable to parse requirement: found '{text}', expected: in, notin"
            ))),
        }
    } else if let Some(key) = text.strip_prefix('!') {
        label(key, Test::Absent)
    } else {
        label(text, Test::Exists)
    }
}

fn parse_field(kind: &Kind, text: &str) -> Result<Field, Rejection> {
    let (path, equal, value) = match (text.split_once("!="), text.split_once('=')) {
        (Some((path, value)), _) => (path, false, value),
        (None, Some((path, value))) => (path, true, value.strip_prefix('=').unwrap_or(value)),
        (None, None) => {
            return Err(Rejection::bad_request(format!(
                "invalid selector: '{text}'; can't understand '{text}'"
            )));
        }
    };
    let indexed = match kind.kind {
        "Secret" => path == "type",
        "Namespace" => path == "status.phase",
        "Pod" => matches!(path, "status.phase" | "spec.nodeName" | "spec.serviceAccountName"),
        "Event" => matches!(path, "reason" | "type") || path.starts_with("involvedObject."),
        _ => false,
    };
    let everywhere = path == "metadata.name" || (path == "metadata.namespace" && kind.namespaced);
    match everywhere || indexed {
        true => Ok(Field { path: path.to_owned(), equal, value: value.to_owned() }),
        false => Err(Rejection::bad_request(format!("field label not supported: {path}"))),
    }
}
