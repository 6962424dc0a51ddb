//! Request bodies in protobuf, as far as kubectl sends them.
//!
//! Since 1.32 kubectl creates its built-in types in protobuf, and it does not repeat a rejected request in JSON
//! (k8s.io/client-go `rest/request.go`, `UseProtobufAsDefault`). It accepts JSON as the response.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::kinds::Kind;
use Field::{Bytes, Object, Text, Texts};

/// The first bytes of every body (k8s.io/apimachinery `pkg/runtime/serializer/protobuf`).
const PREFIX: &[u8] = b"k8s\0";

/// The fields of a message, with their numbers in `generated.proto` of k8s.io/api. Fields that kubectl does not set when
/// it creates an object are not named, and dropped.
type Message = &'static [(u64, &'static str, Field)];

enum Field {
    Text,
    Object(Message),
    /// A map of texts.
    Texts,
    /// A map of bytes, base64 in JSON.
    Bytes,
}

const METADATA: (u64, &str, Field) = (
    1,
    "metadata",
    Object(&[
        (1, "name", Text),
        (2, "generateName", Text),
        (3, "namespace", Text),
        (11, "labels", Texts),
        (12, "annotations", Texts),
    ]),
);
const CONFIG_MAP: Message = &[METADATA, (2, "data", Texts), (3, "binaryData", Bytes)];
const SECRET: Message =
    &[METADATA, (2, "data", Bytes), (3, "type", Text), (4, "stringData", Texts)];
const RESOURCE_ATTRIBUTES: Message = &[
    (1, "namespace", Text),
    (2, "verb", Text),
    (3, "group", Text),
    (4, "version", Text),
    (5, "resource", Text),
    (6, "subresource", Text),
    (7, "name", Text),
];
const ACCESS: Message = &[
    (1, "resourceAttributes", Object(RESOURCE_ATTRIBUTES)),
    (2, "nonResourceAttributes", Object(&[(1, "path", Text), (2, "verb", Text)])),
];

/// The JSON of an object, or `None` for a kind or a body that is not understood.
pub(crate) fn decode(kind: &Kind, body: &[u8]) -> Option<Value> {
    let message: Message = match kind.kind {
        "Namespace" | "ServiceAccount" | "SelfSubjectReview" => &[METADATA],
        "ConfigMap" => CONFIG_MAP,
        "Secret" => SECRET,
        "SelfSubjectAccessReview" => &[METADATA, (2, "spec", Object(ACCESS))],
        "SelfSubjectRulesReview" => &[METADATA, (2, "spec", Object(&[(1, "namespace", Text)]))],
        _ => return None,
    };
    // runtime.Unknown: the type, and the bytes of the object.
    let unknown = fields(body.strip_prefix(PREFIX)?)?;
    let content =
        |number| unknown.iter().find(|(known, _)| *known == number).map(|(_, content)| *content);
    let mut object = read(message, content(2)?)?;
    let type_meta = read(&[(1, "apiVersion", Text), (2, "kind", Text)], content(1)?)?;
    json_patch::merge(&mut object, &type_meta);
    Some(object)
}

/// The JSON of a message. Go writes empty texts, which JSON omits.
fn read(message: Message, bytes: &[u8]) -> Option<Value> {
    let mut object = json!({});
    for (number, content) in fields(bytes)? {
        match message.iter().find(|(known, ..)| *known == number) {
            Some((_, name, Text)) if !content.is_empty() => object[name] = text(content)?,
            Some((_, name, Object(message))) => object[name] = read(message, content)?,
            Some((_, name, field @ (Texts | Bytes))) => {
                let entry = fields(content)?;
                let [(_, key), (_, value)] = entry[..] else { return None };
                object[name][std::str::from_utf8(key).ok()?] = match field {
                    Bytes => json!(STANDARD.encode(value)),
                    _ => text(value)?,
                };
            }
            _ => {}
        }
    }
    Some(object)
}

fn text(bytes: &[u8]) -> Option<Value> {
    std::str::from_utf8(bytes).ok().map(Into::into)
}

/// The fields that have bytes, with their numbers. Numbers of fixed size occur in none of the types above.
fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let (key, value) = (varint(&mut bytes)?, varint(&mut bytes)?);
        match key & 7 {
            0 => {}
            2 => fields.push((key >> 3, bytes.split_off(..usize::try_from(value).ok()?)?)),
            _ => return None,
        }
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
