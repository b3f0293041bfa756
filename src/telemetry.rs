//! Logs and traces of the process: JSON lines on stdout, text on a terminal, spans over OTLP where that is set up.
//!
//! Three promises. A log line never holds a secret: each line passes the redactor on its way out. Logging never
//! blocks: lines go through a bounded queue to a thread of their own, and are dropped and counted when nobody reads
//! stdout. Started once, at the roof, before anything else that logs.

mod json;
#[cfg(feature = "otel")]
mod traces;
mod writer;

use std::io::{IsTerminal as _, Write};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use crate::secret::Keyring;
use crate::settings::{self, LogFormat};
use json::JsonLines;
use writer::RedactingWriter;

/// Lines that wait for stdout. At some hundred bytes each this is about a megabyte; a reader that falls behind by
/// more has stopped reading.
const LINES_WAITING_MAX: usize = 4096;

/// Logs each failed call to a cluster at ERROR. Its callers know whether that matters, and say so themselves.
const LOUD_TARGET: &str = "kube_client";

/// Why logs and traces cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is no level. The checks of the settings refuse it with its place.
    #[error("`telemetry.log_level`: {0}")]
    Level(String),
    /// Something in this process has set up logging already.
    #[error("logging is already set up in this process")]
    AlreadyStarted,
    /// Traces were asked for and cannot be sent.
    #[error("`telemetry.otlp_endpoint`: {0}")]
    Traces(String),
}

/// Logs and traces while the process runs. Keep it until the end of `main`, then [`stop`](Self::stop) it.
#[derive(Debug)]
pub struct Telemetry {
    lines_dropped: ErrorCounter,
    _flush_at_end: WorkerGuard,
    #[cfg(feature = "otel")]
    traces: Option<traces::Traces>,
}

impl Telemetry {
    /// Sets up logging for the whole process, and traces where the settings name an endpoint.
    ///
    /// # Errors
    /// A level that is none, a second start, or an endpoint that cannot be used.
    pub fn start(settings: &settings::Telemetry, keyring: &Keyring) -> Result<Self, TelemetryError> {
        let for_people = match settings.log_format {
            LogFormat::Auto => std::io::stdout().is_terminal(),
            LogFormat::Json => false,
            LogFormat::Text => true,
        };
        let (queue, lines_dropped, guard) = queue(std::io::stdout(), keyring);
        let registry = tracing_subscriber::registry().with(filter(settings)?);
        let registry = registry.with(log_layer(settings, for_people, queue));
        #[cfg(feature = "otel")]
        let (registry, traces) = {
            let traces = traces::Traces::to(settings, keyring)?;
            (registry.with(traces.as_ref().map(traces::Traces::layer)), traces)
        };
        registry.try_init().map_err(|_| TelemetryError::AlreadyStarted)?;
        log_panics();
        Ok(Self {
            lines_dropped,
            _flush_at_end: guard,
            #[cfg(feature = "otel")]
            traces,
        })
    }

    /// Lines that were dropped because nobody read stdout.
    pub fn log_lines_dropped(&self) -> u64 {
        u64::try_from(self.lines_dropped.dropped_lines()).unwrap_or(u64::MAX)
    }

    /// Sends what waits, within a few seconds at most. May block: not for worker threads.
    pub fn stop(self) {
        #[cfg(feature = "otel")]
        if let Some(traces) = self.traces {
            traces.stop();
        }
    }
}

/// The queue between those who log and the output, with the redactor at its end.
fn queue<W: Write + Send + 'static>(
    output: W,
    keyring: &Keyring,
) -> (NonBlocking, ErrorCounter, WorkerGuard) {
    let (queue, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_WAITING_MAX)
        .thread_name("log")
        .finish(RedactingWriter::new(output, keyring.clone()));
    let dropped = queue.error_counter();
    (queue, dropped, guard)
}

fn filter(settings: &settings::Telemetry) -> Result<EnvFilter, TelemetryError> {
    let level = &settings.log_level;
    let filter = EnvFilter::try_new(level).map_err(|error| TelemetryError::Level(error.to_string()))?;
    if level.contains(LOUD_TARGET) {
        return Ok(filter);
    }
    let silence = format!("{LOUD_TARGET}=off").parse().expect("a constant directive");
    Ok(filter.add_directive(silence))
}

fn log_layer<S>(
    settings: &settings::Telemetry,
    for_people: bool,
    queue: NonBlocking,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    if for_people {
        return Box::new(tracing_subscriber::fmt::layer().with_writer(queue));
    }
    Box::new(JsonLines::new(settings.service_name.clone(), queue))
}

/// A panic is a log line like any other, so that it is redacted and found. The default hook would write it to stderr.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("a panic without a text");
        tracing::error!(
            panic.location = location,
            thread.name = std::thread::current().name(),
            "panic: {message}"
        );
    }));
}

#[cfg(test)]
mod tests;
