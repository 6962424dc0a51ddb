//! The recorded samples: a request to a real Quay and what it answered.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// A recorded request with its response, or with the responses to concurrent ones.
pub(crate) struct Sample {
    /// The file's name without its extension; it starts with the sample's number.
    pub(crate) name: String,
    /// `method`, `path`, `headers`, `body`, and `parallel` for a race.
    pub(crate) request: Value,
    /// `status`, `headers` and `body`, or `outcomes` for a race.
    pub(crate) response: Value,
}

impl Sample {
    /// The number, with the letter that may follow it; samples were recorded in this order.
    pub(crate) fn number(&self) -> &str {
        self.name.split('-').next().unwrap()
    }

    /// The number of concurrent requests of a race.
    pub(crate) fn parallel(&self) -> Option<usize> {
        self.request["parallel"].as_u64().map(|count| usize::try_from(count).unwrap())
    }
}

/// All samples in order.
pub(crate) fn all() -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("wire");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut samples: Vec<Sample> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "json"))
        .map(|file| {
            let mut content: Value =
                serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
            Sample {
                name: file.file_stem().unwrap().to_str().unwrap().to_owned(),
                request: content["request"].take(),
                response: content["response"].take(),
            }
        })
        .collect();
    samples.sort_by(|a, b| a.name.cmp(&b.name));
    samples
}
