//! Validates all JSON output with the published schema.

use std::fs;
use std::sync::OnceLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

static SCHEMA: OnceLock<(Schemas, SchemaIndex)> = OnceLock::new();

/// Asserts that a document is valid, and that the schema describes each of its fields.
#[track_caller]
pub(crate) fn assert_valid(document: &Value) {
    let (schemas, root) = SCHEMA.get_or_init(|| {
        let text =
            fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/oc-quay-v1.schema.json"))
                .unwrap();
        let mut schema: Value = serde_json::from_str(&text).unwrap();
        // The schema allows new fields for readers. Ours must be described.
        for definition in schema["$defs"]
            .as_object_mut()
            .unwrap()
            .values_mut()
            .filter(|definition| definition["type"] == "object")
        {
            definition["additionalProperties"] = false.into();
        }
        let id = schema["$id"].as_str().unwrap().to_owned();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource(&id, schema).unwrap();
        let root = compiler.compile(&id, &mut schemas).unwrap();
        (schemas, root)
    });
    if let Err(error) = schemas.validate(document, *root) {
        panic!("not as docs/oc-quay-v1.schema.json has it: {error:#}\n{document:#}");
    }
}

#[test]
fn detects_fields_missing_in_the_schema() {
    let version = serde_json::json!({ "apiVersion": "oc-quay/v1", "kind": "VersionReport", "client": "1.2.3" });
    assert_valid(&version);
    for (field, value) in
        [("client", Value::from(1)), ("kind", "Version".into()), ("kernel", "6.1".into())]
    {
        let mut wrong = version.clone();
        wrong[field] = value;
        assert!(std::panic::catch_unwind(|| assert_valid(&wrong)).is_err(), "{wrong}");
    }
}
