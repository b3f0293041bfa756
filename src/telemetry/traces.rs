//! Spans over OTLP (HTTP, protobuf), with the secrets taken out of their attributes.

use std::borrow::Cow;
use std::time::Duration;

use opentelemetry::trace::{Status, TracerProvider as _};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_otlp::{Protocol, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use smokejumper_domain::redact::Redactor;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

use super::TelemetryError;
use crate::secret::Keyring;
use crate::settings;

/// Time for one export, and for the last one at a stop: a collector that is down must not hold up the end.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where an OTLP collector takes spans, below its base address (OTLP 1.x, HTTP).
const TRACES_PATH: &str = "/v1/traces";

/// The way of spans out of the process.
#[derive(Debug)]
pub(super) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// `None` where no endpoint is set.
    pub(super) fn to(
        settings: &settings::Telemetry,
        keyring: &Keyring,
    ) -> Result<Option<Self>, TelemetryError> {
        let Some(endpoint) = &settings.otlp_endpoint else { return Ok(None) };
        // The exporter builds an HTTP client, which panics where no TLS provider is installed. A second installation
        // fails, and is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}{TRACES_PATH}", endpoint.as_str()))
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|error| TelemetryError::Traces(error.to_string()))?;
        let resource = Resource::builder()
            .with_service_name(settings.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Redacting { exporter, keyring: keyring.clone() })
            .with_resource(resource)
            .build();
        Ok(Some(Self { provider }))
    }

    pub(super) fn layer<S>(&self) -> OpenTelemetryLayer<S, opentelemetry_sdk::trace::SdkTracer>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer().with_tracer(self.provider.tracer("smokejumper"))
    }

    /// Sends what waits, within the export timeout.
    pub(super) fn stop(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(EXPORT_TIMEOUT) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// An exporter behind the redactor.
#[derive(Debug)]
struct Redacting<E> {
    exporter: E,
    keyring: Keyring,
}

impl<E: SpanExporter> SpanExporter for Redacting<E> {
    fn export(&self, mut batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let redactor = self.keyring.redactor();
        for span in &mut batch {
            redact_span(&redactor, span);
        }
        self.exporter.export(batch)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

fn redact_span(redactor: &Redactor, span: &mut SpanData) {
    redact_name(redactor, &mut span.name);
    span.attributes.iter_mut().for_each(|pair| redact_pair(redactor, pair));
    for event in &mut span.events.events {
        redact_name(redactor, &mut event.name);
        event.attributes.iter_mut().for_each(|pair| redact_pair(redactor, pair));
    }
    if let Status::Error { description } = &mut span.status {
        redact_name(redactor, description);
    }
}

fn redact_name(redactor: &Redactor, name: &mut Cow<'static, str>) {
    if let Cow::Owned(masked) = redactor.redact(name) {
        *name = Cow::Owned(masked);
    }
}

/// Masks a value, together with its key: what is called `password` is one, whatever it looks like.
fn redact_pair(redactor: &Redactor, pair: &mut KeyValue) {
    let mask = |text: &mut StringValue| {
        let joined = format!("{}={}", pair.key, text.as_str());
        if let Cow::Owned(masked) = redactor.redact(&joined) {
            let value = masked.split_once('=').map_or(masked.as_str(), |(_, value)| value);
            *text = value.to_owned().into();
        }
    };
    match &mut pair.value {
        Value::String(text) => mask(text),
        Value::Array(Array::String(texts)) => texts.iter_mut().for_each(mask),
        _ => {}
    }
}
