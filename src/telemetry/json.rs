//! One JSON object a line: `timestamp`, `level`, `logger`, `message`, `service`, then all fields, flat.
//!
//! Fields keep their dotted names (`incident.id`) at the top level, where log stores index them. Fields of the
//! enclosing spans are included; where names meet, the inner one wins.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::Write as _;

use jiff::Timestamp;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Longest text of one field in bytes. Longer ones are cut: a body or a stack in a log line helps nobody, and the
/// queue of lines must stay small.
const FIELD_BYTES_MAX: usize = 8 * 1024;

/// Names that belong to every line; a field of the same name must not replace them.
const RESERVED: [&str; 5] = ["timestamp", "level", "logger", "message", "service"];

/// Records that come from the `log` crate carry where they come from in fields of this prefix.
const LOG_CRATE: &str = "log";

/// Writes events as JSON lines.
pub(super) struct JsonLines {
    service: Value,
    queue: NonBlocking,
}

impl JsonLines {
    pub(super) fn new(service: String, queue: NonBlocking) -> Self {
        Self { service: Value::from(service), queue }
    }

    fn line(&self, event: &Event<'_>, mut fields: Fields) -> String {
        let metadata = event.metadata();
        let logger =
            fields.take_log_target(metadata.target()).unwrap_or_else(|| metadata.target().to_owned());
        let message = fields.0.remove("message").unwrap_or_else(|| Value::from(""));
        let mut line = String::with_capacity(256);
        line.push('{');
        push(&mut line, "timestamp", &Value::from(now_text()));
        push(&mut line, "level", &Value::from(metadata.level().as_str()));
        push(&mut line, "logger", &Value::from(logger));
        push(&mut line, "message", &message);
        push(&mut line, "service", &self.service);
        for (name, value) in &fields.0 {
            if RESERVED.contains(&name.as_str()) {
                push(&mut line, &format!("field.{name}"), value);
            } else {
                push(&mut line, name, value);
            }
        }
        line.push_str("}\n");
        line
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JsonLines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            record.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten().collect::<Vec<_>>().into_iter().rev() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.0.extend(outer.0.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        event.record(&mut fields);
        // The queue drops what it cannot hold, and counts it; it reports no error.
        let _ = self.queue.clone().write(self.line(event, fields).as_bytes());
    }
}

fn push(line: &mut String, name: &str, value: &Value) {
    if !line.ends_with('{') {
        line.push(',');
    }
    write!(line, "{}:{value}", Value::from(name)).expect("writing to a string cannot fail");
}

/// RFC 3339 in UTC with milliseconds.
#[allow(
    clippy::disallowed_methods,
    reason = "a log line tells when it was written, whatever clock a test holds"
)]
fn now_text() -> String {
    format!("{:.3}", Timestamp::now())
}

/// Fields of an event or a span by name.
#[derive(Debug, Default)]
struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        if text.len() <= FIELD_BYTES_MAX {
            return self.put(field, text);
        }
        let cut = text.floor_char_boundary(FIELD_BYTES_MAX);
        self.put(field, format!("{}… ({} bytes)", &text[..cut], text.len()));
    }

    /// For records of the `log` crate: where they really come from. Their place in the source is left out.
    fn take_log_target(&mut self, target: &str) -> Option<String> {
        if target != LOG_CRATE {
            return None;
        }
        let real = self.0.remove("log.target");
        for name in ["log.module_path", "log.file", "log.line"] {
            self.0.remove(name);
        }
        real.and_then(|real| real.as_str().map(str::to_owned))
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    /// An error with its causes: the outermost text alone rarely says what happened.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let more = error.to_string();
            // Many errors already repeat their cause.
            if !text.contains(&more) {
                let _ = write!(text, ": {more}");
            }
            cause = error.source();
        }
        self.put_text(field, &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, &format!("{value:?}"));
    }
}
