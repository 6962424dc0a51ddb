//! The published JSON Schema of `-o json` and `-o yaml`, made from the types of the reports. A new kind of report goes
//! into [`REPORTS`].
//!
//! `UPDATE_DOCS=1 cargo test -p oc-quay --lib schema` writes it anew.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::borrow::Cow;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::{Value, json};

use super::explain::Explanation;
use super::fixtures::assert_written;
use super::*;
use crate::domain::finding::Code;

const FILE: &str = "docs/oc-quay-v1.schema.json";
const ID: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/raw/main/docs/oc-quay-v1.schema.json");

/// What a document can be.
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

/// Not a list of all codes: new ones may come, and old schemas are to hold for them.
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
        "description": "What oc quay prints with -o json and -o yaml. New fields may come.",
        "oneOf": reports,
        "$defs": generator.take_definitions(true),
    })
}

#[test]
fn the_published_schema_is_fresh() {
    let mut fresh = serde_json::to_string_pretty(&schema()).unwrap();
    fresh.push('\n');
    assert_written(FILE, &fresh);
}

#[test]
fn everything_in_it_is_described() {
    for (name, definition) in schema()["$defs"].as_object().unwrap() {
        assert!(definition["description"].is_string(), "{name}");
        for (field, schema) in definition["properties"].as_object().into_iter().flatten() {
            assert!(schema["description"].is_string(), "{name}.{field}");
        }
    }
}
