//! The log on stderr. It never contains bodies or headers, since these hold tokens. So the lines of
//! crates that quote responses are never printed.
//!
//! JSON is not formatted by tracing-subscriber, whose format names the time `timestamp`, writes
//! levels in upper case, and has no option for either. docs/run.md documents `time`.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
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

/// Modules that quote responses in warnings and debug lines (kube-client 5.0 `client/mod.rs`,
/// kube-runtime 5.0 `watcher.rs`).
const QUOTING_TARGETS: [&str; 2] = ["kube_client::client", "kube_runtime::watcher"];

/// Within a quoting module, but its warnings, about the CA file, quote nothing.
const CA_TARGET: &str = "kube_client::client::tls";

/// `controller` is the format of the controller's log.
pub(crate) fn start(verbosity: u8, controller: Option<LogFormat>) {
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let log = match controller {
        Some(LogFormat::Json) => log.event_format(Json).boxed(),
        _ => log.boxed(),
    };
    tracing_subscriber::registry()
        .with(log.with_filter(select_targets(verbosity, controller.is_some())))
        .init();
}

/// Commands log only with `-v`. The controller, which has no report, logs at level info.
fn select_targets(verbosity: u8, is_controller: bool) -> Targets {
    let ours = |level| Targets::new().with_target("oc_quay", level).with_default(Level::WARN);
    let filter = match (verbosity, is_controller) {
        (0, false) => return Targets::new(),
        (0, true) => ours(Level::INFO),
        (1, _) => ours(Level::DEBUG),
        (2, _) => ours(Level::DEBUG).with_target("kube", Level::DEBUG),
        (3, _) => ours(Level::DEBUG).with_target("kube", Level::DEBUG).with_default(Level::INFO),
        _ => Targets::new().with_default(Level::DEBUG),
    };
    filter
        .with_targets(QUOTING_TARGETS.map(|target| (target, LevelFilter::OFF)))
        .with_target(CA_TARGET, Level::WARN)
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

    use std::convert::Infallible;
    use std::io::Write;
    use std::pin::pin;
    use std::sync::Arc;

    use futures::{StreamExt as _, future};
    use http::{Request, Response};
    use k8s_openapi::api::core::v1::Secret;
    use kube::client::Body;
    use kube::runtime::watcher;
    use kube::{Api, Client};
    use parking_lot::Mutex;

    use super::*;

    const BODY: &str = "the body of a response";

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

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    /// The log of watches that an API server answers with [`BODY`].
    fn log_failed_watches(filter: Targets) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let log = tracing_subscriber::registry().with(log.with_filter(filter));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let watches = async {
            for status in [200, 403, 500] {
                let service = tower::service_fn(move |_: Request<Body>| {
                    let response = Response::builder().status(status);
                    let body = Body::from(BODY.as_bytes().to_vec());
                    future::ready(Ok::<_, Infallible>(response.body(body).unwrap()))
                });
                let secrets = Api::<Secret>::all(Client::new(service, "default"));
                let mut changes = pin!(watcher(secrets, watcher::Config::default()));
                while changes.next().await.unwrap().is_ok() {}
            }
        };
        tracing::subscriber::with_default(log, || runtime.block_on(watches));
        lines.text()
    }

    #[test]
    fn never_prints_responses_that_crates_quote() {
        let everything = log_failed_watches(Targets::new().with_default(Level::DEBUG));
        for target in QUOTING_TARGETS {
            let quotes = |line: &str| line.contains(target) && line.contains(BODY);
            assert!(everything.lines().any(quotes), "{target} quotes nothing:\n{everything}");
        }
        for verbosity in 0..=5 {
            for is_controller in [false, true] {
                let log = log_failed_watches(select_targets(verbosity, is_controller));
                assert!(!log.contains(BODY), "{verbosity} times -v:\n{log}");
            }
        }
    }

    #[test]
    fn warns_about_unreadable_ca_file() {
        let warns = |filter: Targets| filter.would_enable(CA_TARGET, &Level::WARN);
        for (verbosity, is_controller) in [(0, true), (1, false), (4, false)] {
            assert!(warns(select_targets(verbosity, is_controller)));
        }
        assert!(!warns(select_targets(0, false)));
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
        let text = lines.text();
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
