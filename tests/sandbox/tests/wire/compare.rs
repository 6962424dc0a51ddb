//! Compares a response with the recorded one: equal in everything, except for values that differ in
//! every installation, which must have the same type.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::env::Answer;
use super::samples::Sample;

/// Fields that hold points in time, numbers of seconds, or opaque tokens.
const VOLATILE: [&str; 10] = [
    "created",
    "last_modified",
    "start_ts",
    "next_page",
    "status_token",
    "nbf",
    "iat",
    "exp",
    "expires_at",
    "avatar",
];

/// Samples whose recorder kept only some fields or some entries of what it saw.
const EXTRACTS: [&str; 31] = [
    "002", "110", "213", "230", "231", "232", "336", "339", "356", "357", "361", "362", "363",
    "364", "387", "430", "431", "432", "433", "436", "478", "483", "497", "580", "642", "643",
    "646", "648", "630", "000g", "091",
];

/// Samples whose recorder reduced a list of permissions to a map of roles.
const ROLE_MAPS: [&str; 6] = ["496", "516", "612", "625", "629", "635"];

/// Samples that show some of several things in whatever order the database had them.
const ARBITRARY: [&str; 1] = ["232"];

/// Samples whose body is a note of the recorder's.
const NOTES: [&str; 2] = ["031", "630"];

/// Compares an answer with the sample. The error is what differs. Notes which identifiers and page tokens of
/// this stand-in stand for which recorded ones.
pub(crate) fn answer(
    sample: &Sample,
    answer: &Answer,
    learned: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    let recorded = &sample.response;
    if u64::from(answer.status.as_u16()) != recorded["status"].as_u64().unwrap() {
        return Err(format!(
            "status {} instead of {}: {}",
            answer.status, recorded["status"], answer.body
        ));
    }
    for (name, value) in recorded["headers"].as_object().into_iter().flatten() {
        header(name, value.as_str().unwrap(), answer.headers.get(name))?;
    }
    if NOTES.contains(&sample.number()) {
        return Ok(());
    }
    let found = match &recorded["body"] {
        Value::String(text) if recorded["headers"]["content-type"] != "application/json" => {
            return page(text, &answer.body);
        }
        Value::String(text) if text.is_empty() => return page(text, &answer.body),
        _ => answer.json(),
    };
    let mut comparison = Comparison {
        extract: EXTRACTS.contains(&sample.number()),
        arbitrary: ARBITRARY.contains(&sample.number()),
        learned,
    };
    comparison.value("", &recorded["body"], &reduced(sample, found))
}

/// The part of the body that the recorder kept.
fn reduced(sample: &Sample, mut body: Value) -> Value {
    if ROLE_MAPS.contains(&sample.number()) {
        let permissions = body["permissions"].as_object().unwrap().iter();
        return permissions
            .map(|(name, permission)| (name.clone(), permission["role"].clone()))
            .collect::<Map<_, _>>()
            .into();
    }
    if let Some(token) = body["token"].as_str().filter(|token| token.contains('.')) {
        let decoded = decoded(token);
        body["_decoded"] = decoded;
    }
    body
}

/// Header and claims of a JWT, and how long it lives.
fn decoded(token: &str) -> Value {
    let part = |index: usize| -> Value {
        let part = token.split('.').nth(index).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let mut claims = part(1);
    // The recorder left out this one.
    claims.as_object_mut().unwrap().remove("context").unwrap();
    let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    json!({"header": part(0), "claims": claims, "lifetime_s": lifetime})
}

fn header(name: &str, recorded: &str, found: Option<&String>) -> Result<(), String> {
    let Some(found) = found else {
        return Err(format!("no header {name}: {recorded}"));
    };
    let same = match name {
        "link" => {
            found.split("next_page").next() == recorded.split("next_page").next()
                && found.ends_with(r#">; rel="next""#)
        }
        "location" if recorded.contains("/blobs/uploads/") => {
            found.rsplit_once('/').map(|(place, _)| place)
                == recorded.rsplit_once('/').map(|(place, _)| place)
        }
        "docker-upload-uuid" => found.len() == recorded.len(),
        "location" => {
            without_secret(found, "#access_token=", '&')
                == without_secret(recorded, "#access_token=", '&')
        }
        "set-cookie" => {
            let same_but_value =
                |text| without_secret(&without_secret(text, "_csrf_token=", ';'), "Expires=", ';');
            same_but_value(found) == same_but_value(recorded)
        }
        "x-next-csrf-token" => found.len() == recorded.len(),
        _ => found == recorded,
    };
    if same { Ok(()) } else { Err(format!("header {name}: {found} instead of {recorded}")) }
}

/// The text without what stands between `before` and `after`, if anything does.
fn without_secret(text: &str, before: &str, after: char) -> String {
    match text.split_once(before).and_then(|(start, rest)| Some((start, rest.split_once(after)?))) {
        Some((start, (secret, rest))) if !secret.is_empty() => {
            format!("{start}{before}…{after}{rest}")
        }
        _ => text.to_owned(),
    }
}

/// Compares text. Of Quay's large web page only the first two lines were ever the same.
fn page(recorded: &str, found: &str) -> Result<(), String> {
    let head = |text: &str| text.lines().take(2).map(str::to_owned).collect::<Vec<_>>();
    let same = if recorded.contains("ng-app=\"quay\"") {
        head(recorded) == head(found)
    } else {
        recorded.trim_end() == found.trim_end()
    };
    if same { Ok(()) } else { Err(format!("body {found:?} instead of {recorded:?}")) }
}

struct Comparison<'a> {
    extract: bool,
    arbitrary: bool,
    learned: &'a mut BTreeMap<String, String>,
}

impl Comparison<'_> {
    fn value(&mut self, at: &str, recorded: &Value, found: &Value) -> Result<(), String> {
        let last = at.rsplit('.').next().unwrap();
        match (recorded, found) {
            (Value::Object(recorded), Value::Object(found)) => self.object(at, recorded, found),
            (Value::Array(recorded), Value::Array(found)) => self.array(at, recorded, found),
            (Value::String(recorded), Value::String(found))
                if matches!(last, "id" | "next_page") =>
            {
                self.learned.insert(recorded.clone(), found.clone());
                Ok(())
            }
            (Value::String(recorded), Value::String(found))
                if matches!(last, "client_id" | "uuid") =>
            {
                match self.learned.insert(recorded.clone(), found.clone()) {
                    Some(known) if known != *found => {
                        Err(format!("{at}: {found} and not {known} again"))
                    }
                    _ => Ok(()),
                }
            }
            (Value::String(recorded), Value::String(found))
                if VOLATILE.contains(&last) || is_volatile(recorded) =>
            {
                if found.is_empty() == recorded.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{at}: {found:?} instead of {recorded:?}"))
                }
            }
            (Value::String(recorded), Value::String(found))
                if recorded.contains("\n\nFailed validating") =>
            {
                schema_message(at, recorded, found)
            }
            (Value::Number(_), Value::Number(_)) if VOLATILE.contains(&last) => Ok(()),
            _ if recorded == found => Ok(()),
            _ => Err(format!("{at}: {found} instead of {recorded}")),
        }
    }

    fn object(
        &mut self,
        at: &str,
        recorded: &Map<String, Value>,
        found: &Map<String, Value>,
    ) -> Result<(), String> {
        for (name, wanted) in recorded {
            let at = format!("{at}.{name}");
            match (name.as_str(), found.get(name)) {
                ("#", _) => count(&at, wanted, found)?,
                // The length of the part that the recorder cut.
                ("#paths" | "#bytes", _) => {}
                ("keys", None) => {
                    let keys: Vec<&String> = found.keys().collect();
                    self.value(&at, wanted, &json!(keys))?;
                }
                ("names", None) if self.arbitrary => {
                    count(&at, &json!(wanted.as_array().map(Vec::len)), found)?
                }
                ("names", None) => self.value(&at, wanted, &names(found))?,
                // An extract says null for what was not there.
                (_, None) if self.extract && wanted.is_null() => {}
                (_, None) => return Err(format!("{at} is missing")),
                (_, Some(value)) => self.value(&at, wanted, value)?,
            }
        }
        match found.keys().find(|name| !recorded.contains_key(*name)) {
            Some(name) if !self.extract => Err(format!("{at}.{name} should not be there")),
            _ => Ok(()),
        }
    }

    /// Things with names come in no particular order; of an extract all that was kept must be there.
    fn array(&mut self, at: &str, recorded: &[Value], found: &[Value]) -> Result<(), String> {
        if !self.extract && recorded.len() != found.len() || recorded.len() > found.len() {
            return Err(format!("{at}: {} entries instead of {}", found.len(), recorded.len()));
        }
        for (index, wanted) in recorded.iter().enumerate() {
            let same_name = |value: &&Value| {
                wanted["name"].is_string() && value.get("name") == wanted.get("name")
            };
            let value = found.iter().find(same_name).or_else(|| found.get(index));
            self.value(&format!("{at}[{index}]"), wanted, value.unwrap_or(&Value::Null))?;
        }
        Ok(())
    }
}

/// Compares the number of entries in the one list of the answer.
fn count(at: &str, wanted: &Value, found: &Map<String, Value>) -> Result<(), String> {
    let entries = found.values().find_map(Value::as_array).map(Vec::len);
    if json!(entries) == *wanted {
        Ok(())
    } else {
        Err(format!("{at}: {entries:?} entries instead of {wanted}"))
    }
}

/// The names of the entries in the one list of the answer.
fn names(found: &Map<String, Value>) -> Value {
    let entries = found.values().find_map(Value::as_array).unwrap();
    entries.iter().map(|entry| entry["name"].clone()).collect()
}

/// Random or derived from something random: digests, UUIDs, colors, and what the recorder hid.
fn is_volatile(text: &str) -> bool {
    let hex =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    text.starts_with('<')
        || text.starts_with("sha256:")
        || text.len() == 7 && text.starts_with('#')
        || matches!(text.len(), 36 | 64) && hex(text)
}

/// A broken schema: what is wrong and where, not the schema that Quay prints in between.
fn schema_message(at: &str, recorded: &str, found: &str) -> Result<(), String> {
    let essence = |text: &str| -> Vec<String> {
        let mut blocks = text.split("\n\n").map(str::to_owned);
        let headline = blocks.next().unwrap_or_default();
        let rule = blocks
            .next()
            .and_then(|rule| rule.lines().next().map(str::to_owned))
            .unwrap_or_default();
        [headline, rule].into_iter().chain(blocks).collect()
    };
    if essence(recorded) == essence(found) {
        Ok(())
    } else {
        Err(format!("{at}: {:?} instead of {:?}", essence(found), essence(recorded)))
    }
}
