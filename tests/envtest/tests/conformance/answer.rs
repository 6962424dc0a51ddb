//! Responses without values that differ between runs.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

pub(crate) struct Recorded {
    pub(crate) request: String,
    status: u16,
    body: Value,
    warnings: Vec<String>,
}

impl Recorded {
    pub(crate) fn new(request: String, status: u16, body: Value, warnings: Vec<String>) -> Self {
        Self { request, status, body, warnings }
    }

    pub(crate) fn read(value: &Value) -> Self {
        let warnings = value["warnings"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|warning| warning.as_str().unwrap().to_owned());
        Self {
            request: value["request"].as_str().unwrap().to_owned(),
            status: u16::try_from(value["status"].as_u64().unwrap()).unwrap(),
            body: value["body"].clone(),
            warnings: warnings.collect(),
        }
    }

    pub(crate) fn answer(&self) -> Value {
        json!({"status": self.status, "body": self.body, "warnings": self.warnings})
    }

    pub(crate) fn written(&self) -> Value {
        let mut written =
            json!({"request": self.request, "status": self.status, "body": self.body});
        if !self.warnings.is_empty() {
            written["warnings"] = json!(self.warnings);
        }
        written
    }
}

/// Replaces generated values by names in order of appearance; equal values have equal names.
#[derive(Default)]
pub(crate) struct Masks {
    seen: HashMap<String, String>,
    counts: HashMap<&'static str, usize>,
    /// Values that differ between runs, such as ports.
    pub(crate) fixed: Vec<(String, &'static str)>,
}

impl Masks {
    pub(crate) fn mask(&mut self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => self.object(fields),
            Value::Array(items) => items.iter().map(|item| self.mask(item)).collect(),
            Value::String(text) => Value::from(self.text(text)),
            other => other.clone(),
        }
    }

    fn object(&mut self, fields: &Map<String, Value>) -> Value {
        let is_list = fields.contains_key("resourceVersion")
            && !fields.contains_key("uid")
            && !fields.contains_key("name");
        let mut masked = Map::new();
        for (key, value) in fields {
            let field = key.rsplit('/').next().unwrap_or_default();
            let value = match (field, value.as_str()) {
                // Field owners are not compared.
                ("managedFields", _) => continue,
                _ if value.is_null() => continue,
                // The list's version depends on concurrent writes.
                ("resourceVersion", Some(_)) if is_list => json!("*"),
                ("resourceVersion", Some(version)) => json!(self.named("version", version)),
                ("continue", Some(token)) if !token.is_empty() => json!("*"),
                ("creationTimestamp" | "deletionTimestamp" | "lastTransitionTime", Some(_)) => {
                    json!("*")
                }
                ("name", Some(name)) => match fields.get("generateName").and_then(Value::as_str) {
                    Some(prefix) if name.len() == prefix.len() + 5 && name.starts_with(prefix) => {
                        json!(format!("{prefix}*****"))
                    }
                    _ => json!(self.text(name)),
                },
                _ => self.mask(value),
            };
            masked.insert(key.clone(), value);
        }
        Value::Object(masked)
    }

    fn named(&mut self, kind: &'static str, value: &str) -> String {
        if let Some(name) = self.seen.get(&format!("{kind}{value}")) {
            return name.clone();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let name = format!("{kind}-{count}");
        self.seen.insert(format!("{kind}{value}"), name.clone());
        name
    }

    pub(crate) fn text(&mut self, text: &str) -> String {
        let mut masked = text.to_owned();
        for (part, name) in &self.fixed {
            masked = masked.replace(part, name);
        }
        for introduction in ["in object meta: ", "in record (", "current: ", "resource version: "] {
            if let Some((before, after)) = masked.split_once(introduction) {
                let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
                if rest.len() < after.len()
                    && !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
                {
                    masked = format!("{before}{introduction}*{}", masked_parentheses(rest));
                }
            }
        }
        let mut words = Vec::new();
        for word in masked.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            let end = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            let is_uid = end.len() == 36
                && end.bytes().filter(|byte| *byte == b'-').count() == 4
                && !end.starts_with("00000000-");
            words.push(if is_uid {
                word.replace(end, &self.named("uid", end))
            } else {
                word.to_owned()
            });
        }
        words.concat()
    }
}

/// Removes a leading number in parentheses.
fn masked_parentheses(text: &str) -> String {
    let number = text.strip_prefix(" (").and_then(|rest| rest.split_once(')'));
    match number.filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit())) {
        Some((_, rest)) => format!(" (*){rest}"),
        None => text.to_owned(),
    }
}

/// Selects parts of a body by JSON pointers in which `*` matches every item and `key=value` an item
/// with that value.
pub(crate) fn only(body: &Value, paths: &[String]) -> Value {
    if paths.is_empty() {
        return body.clone();
    }
    paths
        .iter()
        .map(|path| {
            (path.clone(), part(body, path.split('/').skip(1).collect::<Vec<_>>().as_slice()))
        })
        .collect()
}

fn part(value: &Value, path: &[&str]) -> Value {
    let Some((step, rest)) = path.split_first() else { return value.clone() };
    match (value, step.split_once('=')) {
        (Value::Array(items), _) if *step == "*" => {
            items.iter().map(|item| part(item, rest)).collect()
        }
        (Value::Array(items), Some((key, wanted))) => {
            let found = items.iter().find(|item| item[key] == wanted);
            found.map_or(Value::Null, |item| part(item, rest))
        }
        (Value::Array(items), None) => step
            .parse::<usize>()
            .ok()
            .and_then(|at| items.get(at))
            .map_or(Value::Null, |item| part(item, rest)),
        _ => value.get(*step).map_or(Value::Null, |field| part(field, rest)),
    }
}
