//! The log on stderr. It never contains bodies or headers, since these hold tokens.
//!
//! JSON is not formatted by tracing-subscriber, whose format names the time `timestamp`, writes
//! levels in upper case, and has no option for either. docs/run.md documents `time`.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The format of the controller's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    /// One object per line.
    Json,
}

/// Commands log only with `-v`. The controller, which has no report, logs at level info; `controller` is its format.
pub(crate) fn start(verbosity: u8, controller: Option<LogFormat>) {
    let ours = |level| Targets::new().with_target("oc_quay", level).with_default(Level::WARN);
    let filter = match (verbosity, controller) {
        (0, None) => Targets::new(),
        (0, Some(_)) => ours(Level::INFO),
        (1, _) => ours(Level::DEBUG),
        (2, _) => ours(Level::DEBUG).with_target("kube", Level::DEBUG),
        (3, _) => ours(Level::DEBUG).with_target("kube", Level::DEBUG).with_default(Level::INFO),
        _ => Targets::new().with_default(Level::DEBUG),
    };
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let log = match controller {
        Some(LogFormat::Json) => log.event_format(Json).boxed(),
        _ => log.boxed(),
    };
    tracing_subscriber::registry().with(log.with_filter(filter)).init();
}

/// One JSON object per line: `time`, `level`, `target`, `message` and the event's fields.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        let metadata = event.metadata();
        for (name, value) in [
            ("time", Timestamp::now().to_string()),
            ("level", metadata.level().to_string().to_lowercase()),
            ("target", metadata.target().to_owned()),
        ] {
            fields.0.insert(name.to_owned(), Value::from(value));
        }
        event.record(&mut fields);
        writeln!(writer, "{}", Value::Object(fields.0))
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn writes_event_fields_into_json_object() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .event_format(Json)
            .finish();
        tracing::subscriber::with_default(log, || {
            tracing::warn!(namespace = "shop", changes = 3, ok = true, "says \"no\"\nand ends");
        });
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "says \"no\"\nand ends");
        assert_eq!(
            (&line["namespace"], &line["changes"], &line["ok"]),
            (&"shop".into(), &3.into(), &true.into())
        );
        assert_eq!(
            (&line["level"], &line["target"]),
            (&"warn".into(), &"oc_quay::logging::tests".into())
        );
        assert!(line["time"].as_str().unwrap().parse::<Timestamp>().is_ok(), "{line}");
    }
}
