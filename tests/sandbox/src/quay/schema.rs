//! The checks Quay makes on a JSON body, and its words when they fail (Python's `jsonschema`).

use serde_json::Value;

/// The schema of a request body.
pub(crate) struct Schema {
    pub(crate) description: &'static str,
    pub(crate) required: &'static [&'static str],
    pub(crate) properties: &'static [(&'static str, Kind)],
}

pub(crate) enum Kind {
    Text,
    TextAtMost(usize),
    TextOrNull,
    OneOf(&'static [&'static str]),
    Flag,
    /// A whole number, zero or more.
    Whole,
    /// A number of at least 1.
    Positive,
    Object,
    Nested(&'static Schema),
}

impl Schema {
    /// Checks `body`; the error is the message Quay sends. Of several faults it names a missing property
    /// first, as `best_match` prefers faults near the root. The schema itself, which Quay prints in full
    /// over several lines, is left at its description.
    pub(crate) fn check(&self, body: &Value) -> Result<(), String> {
        self.check_at(body, &[])
    }

    fn check_at(&self, body: &Value, at: &[&str]) -> Result<(), String> {
        let Some(object) = body.as_object() else {
            return Err(self.fault(
                &format!("{} is not of type 'object'", python(body)),
                "type",
                at,
                body,
            ));
        };
        if let Some(missing) = self.required.iter().find(|name| !object.contains_key(**name)) {
            return Err(self.fault(
                &format!("'{missing}' is a required property"),
                "required",
                at,
                body,
            ));
        }
        for (name, kind) in self.properties {
            if let Some(value) = object.get(*name) {
                let at: Vec<&str> = at.iter().copied().chain([*name]).collect();
                self.check_property(kind, value, &at)?;
            }
        }
        Ok(())
    }

    fn check_property(&self, kind: &Kind, value: &Value, at: &[&str]) -> Result<(), String> {
        let wrong_type = |wanted: &str| {
            Err(self.fault(
                &format!("{} is not of type {wanted}", python(value)),
                "type",
                at,
                value,
            ))
        };
        match kind {
            Kind::Text | Kind::TextAtMost(_) | Kind::OneOf(_) if !value.is_string() => {
                wrong_type("'string'")
            }
            Kind::TextOrNull if !value.is_string() && !value.is_null() => {
                wrong_type("'string', 'null'")
            }
            Kind::Flag if !value.is_boolean() => wrong_type("'boolean'"),
            Kind::Whole if !value.is_i64() && !value.is_u64() => wrong_type("'integer'"),
            Kind::Object if !value.is_object() => wrong_type("'object'"),
            Kind::TextAtMost(longest)
                if value.as_str().is_some_and(|text| text.chars().count() > *longest) =>
            {
                Err(self.fault(&format!("{} is too long", python(value)), "maxLength", at, value))
            }
            Kind::OneOf(choices) if !choices.iter().any(|choice| value == *choice) => {
                let choices: Vec<String> =
                    choices.iter().map(|choice| format!("'{choice}'")).collect();
                let headline = format!("{} is not one of [{}]", python(value), choices.join(", "));
                Err(self.fault(&headline, "enum", at, value))
            }
            Kind::Whole if value.as_i64().is_some_and(|number| number < 0) => {
                let headline = format!("{value} is less than the minimum of 0");
                Err(self.fault(&headline, "minimum", at, value))
            }
            Kind::Positive if !value.is_number() => wrong_type("'number'"),
            Kind::Positive if value.as_f64().is_some_and(|number| number < 1.0) => {
                let headline = format!("{value} is less than the minimum of 1");
                Err(self.fault(&headline, "minimum", at, value))
            }
            Kind::Nested(schema) => schema.check_at(value, at),
            _ => Ok(()),
        }
    }

    fn fault(&self, headline: &str, rule: &str, at: &[&str], value: &Value) -> String {
        let schema_path: String =
            at.iter().map(|name| format!("['properties']['{name}']")).collect();
        let value_path: String = at.iter().map(|name| format!("['{name}']")).collect();
        format!(
            "{headline}\n\nFailed validating '{rule}' in schema{schema_path}:\n    {{'description': '{}'}}\n\n\
             On instance{value_path}:\n    {}",
            self.description,
            python(value)
        )
    }
}

/// A JSON value as Python prints it.
fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("'{text}'"),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(python).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(k, v)| format!("'{k}': {}", python(v))).collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}
