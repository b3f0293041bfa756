//! The Prometheus that a backtest asks about the past: its client, and the diagnostics that can ask it as well.
//!
//! Nothing else is within reach: no cluster, no database, no endpoint. Credentials of the settings go to the Prometheus
//! of the settings alone, and never to another address that somebody wrote on a command line.

use super::adapters;
use crate::clients::http::{Url, install_crypto_provider};
use crate::clients::prometheus::PrometheusClient;
use crate::diagnostics::{Diagnostics, DiagnosticsOptions, VitalsOptions};
use crate::engine::ports::Diagnoser;
use crate::secret::Keyring;
use crate::settings::{HttpUrl, Prometheus, Settings};
use anyhow::Context;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A Prometheus that remembers.
pub struct Hindsight {
    /// Asks it.
    pub client: PrometheusClient,
    /// Asks it what a rule wants to know.
    pub diagnoser: Arc<dyn Diagnoser>,
    /// Where it is.
    pub url: String,
}

impl Hindsight {
    /// The Prometheus at `url`, or else that of the settings; none where neither names one.
    ///
    /// # Errors
    /// A secret of the settings that is missing, or a machine that cannot make an HTTP client.
    pub fn new(
        settings: &Settings,
        url: Option<HttpUrl>,
        environment: &BTreeMap<String, String>,
    ) -> anyhow::Result<Option<Self>> {
        install_crypto_provider();
        let Some(upstream) = upstream(settings.prometheus.clone(), url) else { return Ok(None) };
        let keyring = Keyring::new(environment.clone());
        let access = adapters::prometheus(&upstream, &keyring)?;
        let client = access.client_now();
        let options = DiagnosticsOptions {
            prometheus: Some(access),
            kubernetes: None,
            connections: Default::default(),
            vitals: VitalsOptions::default(),
            probe_loopback: false,
            keyring,
        };
        let diagnoser = Diagnostics::new(options).context("the diagnostics cannot be built")?;
        Ok(Some(Self { client, diagnoser: Arc::new(diagnoser), url: upstream.url.to_string() }))
    }
}

/// Which Prometheus is meant, with credentials where it is that of the settings.
fn upstream(configured: Option<Prometheus>, url: Option<HttpUrl>) -> Option<Prometheus> {
    let Some(url) = url else { return configured };
    let same = configured.filter(|known| origin(&known.url).is_some() && origin(&known.url) == origin(&url));
    Some(Prometheus { url, ..same.unwrap_or_default() })
}

/// Scheme, host and port.
fn origin(url: &HttpUrl) -> Option<(String, Option<String>, Option<u16>)> {
    let url = Url::parse(url.as_str()).ok()?;
    Some((url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_the_settings_go_nowhere_else() {
        let configured = Prometheus {
            url: "https://prometheus.example.com/a".parse().expect("an address"),
            headers: [("X-Scope-OrgID".to_owned(), crate::settings::PlainOrSecret::Plain("shop".to_owned()))]
                .into(),
            ..Prometheus::default()
        };
        let headers_for = |url: &str| {
            let url = url.parse().expect("an address");
            upstream(Some(configured.clone()), Some(url)).expect("one").headers.len()
        };
        assert_eq!(headers_for("https://prometheus.example.com:443/b"), 1);
        for other in [
            "http://prometheus.example.com/a",
            "https://prometheus.example.com:9090/a",
            "https://evil.example.com/a",
        ] {
            assert_eq!(headers_for(other), 0, "{other}");
        }
        assert_eq!(upstream(Some(configured.clone()), None), Some(configured));
        assert_eq!(upstream(None, None), None);
    }
}
