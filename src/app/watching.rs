//! Wires what watches over alerting itself: whether Alertmanager and we hold the same, whether watchdogs are heard, whether
//! the store holds every next step, and the heartbeat that says so to somebody outside.

use super::rulebook;
use crate::alerting::Alertmanagers;
use crate::clients::http::{HttpClient, HttpOptions, HttpRequest, Method, Url};
use crate::engine::auditing::{AUDIT_EVERY, AuditState, Auditor};
use crate::engine::meter::Meter;
use crate::engine::own_alerts::Herald;
use crate::engine::ports::Clock;
use crate::engine::reconciling::{Memory, ReconcileSettings, Reconciler};
use crate::engine::stepping::Steps;
use crate::engine::watchdogs::{Keeper, LOOK_EVERY, Sight};
use crate::metrics::Metrics;
use crate::secret::{Keyring, Secret};
use crate::settings::{Reconcile, Settings};
use crate::store::SqlStore;
use anyhow::Context;
use secrecy::ExposeSecret;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What all of them look at, and go by.
pub(super) struct Watched {
    pub(super) store: Arc<SqlStore>,
    pub(super) herald: Herald,
    pub(super) steps: Steps,
    pub(super) meter: Arc<dyn Meter>,
}

impl Watched {
    /// The reconciler and how often it looks, where there is an Alertmanager to ask.
    pub(super) fn reconciler(
        &self,
        settings: &Settings,
        alertmanagers: Option<Arc<Alertmanagers>>,
    ) -> Option<(Reconciler, Duration)> {
        let Reconcile { enabled, every, grace, receiver, take_in_missed, missed_after } =
            settings.alertmanager.as_ref()?.reconcile.clone();
        let alerting = alertmanagers.filter(|_| enabled)?;
        let reconciler = Reconciler {
            alerting,
            store: self.store.clone(),
            reader: self.store.clone(),
            intake: self.herald.intake.clone(),
            steps: self.steps.clone(),
            clock: Arc::clone(&self.herald.clock),
            ids: Arc::clone(&self.herald.ids),
            meter: Arc::clone(&self.meter),
            settings: ReconcileSettings {
                grace: grace.get(),
                receiver,
                takes_in: take_in_missed,
                missed_after: missed_after.signed(),
                watchdogs: rulebook::watchdogs(settings),
            },
            memory: Memory::default(),
        };
        Some((reconciler, every.get()))
    }
}

/// What runs beside the engine for as long as the service does.
pub(super) struct Guards {
    keeper: Keeper,
    auditor: Auditor,
    heartbeat: Option<Heartbeat>,
    meter: Arc<dyn Meter>,
}

/// A call that somebody outside waits for.
struct Heartbeat {
    client: HttpClient,
    url: Secret,
    method: Method,
    every: Duration,
    audit: AuditState,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    keyring: Keyring,
}

impl Guards {
    /// Builds them all; nothing is sent yet.
    pub(super) fn build(
        settings: &Settings,
        keyring: &Keyring,
        watched: Watched,
        sight: Sight,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let Watched { herald, steps, meter, .. } = watched;
        let audit = AuditState::default();
        let heartbeat = match &settings.heartbeat {
            None => None,
            Some(heartbeat) => {
                let urls = keyring.open_all(&heartbeat.url)?;
                let request_timeout = heartbeat.timeout.get();
                let options = HttpOptions { request_timeout, ..HttpOptions::configured() };
                Some(Heartbeat {
                    client: HttpClient::new(&options).context("the HTTP client cannot be built")?,
                    url: urls.first().context("`heartbeat.url` is not set")?.clone(),
                    method: super::adapters::method(heartbeat.method),
                    every: heartbeat.every.get(),
                    audit: audit.clone(),
                    clock: Arc::clone(&herald.clock),
                    metrics,
                    keyring: keyring.clone(),
                })
            }
        };
        let keeper = Keeper {
            watchdogs: rulebook::watchdogs(settings),
            sight,
            herald: herald.clone(),
            listening: None,
        }
        .before_its_first_look();
        let auditor = Auditor { herald, steps, meter: Arc::clone(&meter), state: audit };
        Ok(Self { keeper, auditor, heartbeat, meter })
    }

    /// Runs them all until `stop`.
    pub(super) async fn run(self, stop: &CancellationToken) {
        let Self { keeper, auditor, heartbeat, meter } = self;
        let beating = heartbeat.map(|heartbeat| heartbeat.run(stop));
        tokio::join!(
            keep(keeper, meter, stop),
            audit(auditor, stop),
            futures::future::OptionFuture::from(beating)
        );
    }
}

async fn keep(mut keeper: Keeper, meter: Arc<dyn Meter>, stop: &CancellationToken) {
    if keeper.watchdogs.is_empty() {
        return;
    }
    while !stop.is_cancelled() {
        match keeper.look().await {
            Ok(missing) => meter.watchdogs_missing(missing.len()),
            Err(error) => tracing::warn!(error = %error, "watchdogs could not be looked after"),
        }
        super::upkeep::pause(LOOK_EVERY, stop).await;
    }
}

async fn audit(auditor: Auditor, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = auditor.audit().await {
            tracing::error!(error = %error, "the audit could not be made");
        }
        super::upkeep::pause(AUDIT_EVERY, stop).await;
    }
}

impl Heartbeat {
    async fn run(self, stop: &CancellationToken) {
        let mut was_sent = true;
        while !stop.is_cancelled() {
            let outcome = self.beat().await;
            if let (Err(why), true) = (&outcome, was_sent) {
                tracing::error!(why, "the heartbeat was not sent");
            } else if outcome.is_ok() && !was_sent {
                tracing::info!("the heartbeat is sent again");
            }
            was_sent = outcome.is_ok();
            super::upkeep::pause(self.every, stop).await;
        }
    }

    async fn beat(&self) -> Result<(), String> {
        if !self.audit.has_passed(self.clock.now()) {
            self.metrics.heartbeat("withheld");
            return Err("no audit has passed lately".to_owned());
        }
        let sent = self.send().await.map_err(|error| self.keyring.redactor().redact(&error).into_owned());
        self.metrics.heartbeat(if sent.is_ok() { "sent" } else { "failed" });
        sent
    }

    /// The address is a secret as a whole, so errors name neither it nor its host.
    async fn send(&self) -> Result<(), String> {
        let url = Url::parse(self.url.current().expose_secret())
            .map_err(|_| "`heartbeat.url` is no address".to_owned())?;
        let answer = self.client.send(HttpRequest::new(self.method.clone(), url)).await;
        match answer {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => Err(format!("the monitor answers {}", answer.status)),
            Err(error) if error.maybe_sent() => Err("the monitor does not answer in time".to_owned()),
            Err(_) => Err("the monitor cannot be reached".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::http::ProxyChoice;
    use crate::engine::clock::SystemClock;
    use crate::secret::{SecretSource, SecretSources};

    #[tokio::test]
    async fn why_a_heartbeat_was_not_sent_names_no_address() {
        crate::clients::http::install_crypto_provider();
        let nobody = crate::clients::stand_in::refused_url().await;
        let silent = crate::clients::stand_in::StandIn::play([crate::clients::stand_in::Play::Close]).await;
        for address in [nobody, silent.url("")] {
            let url = format!("{address}/ping/whoever-has-this-may-beat?for=us");
            let keyring = Keyring::new([("URL".to_owned(), url)].into());
            let sources = SecretSources::from(SecretSource::Env("URL".to_owned()));
            let options = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
            let heartbeat = Heartbeat {
                client: HttpClient::new(&options).expect("a client"),
                url: keyring.open_all(&sources).expect("a secret").first().expect("one").clone(),
                method: Method::GET,
                every: Duration::from_secs(60),
                audit: AuditState::default(),
                clock: Arc::new(SystemClock),
                metrics: Metrics::new(),
                keyring,
            };
            let why = heartbeat.send().await.expect_err("nobody answers");
            assert!(!why.contains("whoever-has-this") && !why.contains("127.0.0.1"), "{why}");
        }
    }
}
