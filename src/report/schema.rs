//! The published JSON Schema of `-o json` and `-o yaml`, generated from the report types. Update it with
//! `UPDATE_SNAPSHOTS=1 cargo test -p oc-quay --lib schema`.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::borrow::Cow;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::{Value, json};

use super::explain::Explanation;
use super::fixtures::assert_file;
use super::*;
use crate::domain::finding::Code;

const FILE: &str = "docs/oc-quay-v1.schema.json";
const ID: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/raw/main/docs/oc-quay-v1.schema.json");

/// All kinds of reports.
const REPORTS: &[fn(&mut SchemaGenerator) -> Schema] = &[
    SchemaGenerator::subschema_for::<StatusReport>,
    SchemaGenerator::subschema_for::<ChangeReport>,
    SchemaGenerator::subschema_for::<BuildsReport>,
    SchemaGenerator::subschema_for::<SetupReport>,
    SchemaGenerator::subschema_for::<ImagesReport>,
    SchemaGenerator::subschema_for::<VersionReport>,
    SchemaGenerator::subschema_for::<Explanation>,
    SchemaGenerator::subschema_for::<Vec<Explanation>>,
];

/// A pattern instead of a list of codes, so that old schemas accept new codes.
impl JsonSchema for Code {
    fn schema_name() -> Cow<'static, str> {
        "Code".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "A stable finding code.", "type": "string", "pattern": "^OQ[0-9]{3}$" })
    }
}

fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let reports: Vec<_> = REPORTS.iter().map(|report| report(&mut generator)).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": API_VERSION,
        "description": "Output of oc quay with -o json and -o yaml. New fields might be added.",
        "oneOf": reports,
        "$defs": generator.take_definitions(true),
    })
}

#[test]
fn published_schema_is_up_to_date() {
    let mut text = serde_json::to_string_pretty(&schema()).unwrap();
    text.push('\n');
    assert_file(FILE, &text);
}

#[test]
fn schema_describes_all_types_and_fields() {
    let mut undescribed = Vec::new();
    let schema = schema();
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        let fields = definition["properties"].as_object().into_iter().flatten();
        let fields = fields.map(|(field, schema)| (format!("{name}.{field}"), schema));
        let described = [(name.clone(), definition)].into_iter().chain(fields);
        undescribed.extend(described.filter(|(_, item)| !item["description"].is_string()));
    }
    assert_eq!(undescribed, []);
}
