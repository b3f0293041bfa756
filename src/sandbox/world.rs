//! The whole simulated world: all stand-ins started together, and the stories played in them.
//!
//! A scenario's course moves the series; the world watches its measure as Prometheus watches an alerting rule, and
//! tells the sender when the alert fires and ends. So after a remedy the alert ends by itself, and without one it fires
//! on. The world decides nothing else: what is done about an alert is the product's affair.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::{CancellationToken, DropGuard};

mod alarm;
mod routes;
mod stage;
mod workloads;

pub use stage::{Phase, PlayError, Progress, ScenarioState};

use super::alerts::{AlertSender, SenderOptions, Target};
use super::kubernetes::KubernetesSandbox;
use super::pagerduty::{PagerDutyOptions, PagerDutySandbox};
use super::prometheus::PrometheusSandbox;
use super::prometheus::series::{Series, Signal};
use super::remedy::{Remedy, RemedySandbox};
use super::scenario::{self, Cure, Scenario, cluster};
use super::server::{Server, StartError, loopback_client};
use super::slack::{SlackOptions, SlackSandbox};
use stage::{Run, Stage, tick};

/// How often the world looks at its measures.
const TICK: Duration = Duration::from_millis(100);

/// The speed at which a story of ten minutes takes about twenty seconds.
pub const DEFAULT_SPEED: f64 = 30.0;

/// How many times slower the cluster runs than the rest: at the usual speed a pod starts within a second, as a real one
/// does, so that people see what happens to it.
const CLUSTER_SLOWER: f64 = DEFAULT_SPEED;

/// What the world is like. Ports of 0 are free ones.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// The overview page's port.
    pub port: u16,
    /// The Slack workspace.
    pub slack: SlackOptions,
    /// The PagerDuty account.
    pub pagerduty: PagerDutyOptions,
    /// Prometheus' port.
    pub prometheus_port: u16,
    /// The port of the service with its remedies.
    pub remedy_port: u16,
    /// The cluster's port.
    pub kubernetes_port: u16,
    /// The port of Alertmanager's API.
    pub alertmanager_port: u16,
    /// How the sender groups and paces; its speed and seed are the world's.
    pub sender: SenderOptions,
    /// How many times faster than the clock the world runs; greater than zero.
    pub speed: f64,
    /// What makes the noise repeatable.
    pub seed: u64,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            port: 0,
            slack: SlackOptions::default(),
            pagerduty: PagerDutyOptions::default(),
            prometheus_port: 0,
            remedy_port: 0,
            kubernetes_port: 0,
            alertmanager_port: 0,
            sender: SenderOptions::default(),
            speed: DEFAULT_SPEED,
            seed: 1,
        }
    }
}

/// Where the product is, once it has started.
#[derive(Clone)]
pub struct Product {
    /// Its base URL without a slash at the end, such as `http://127.0.0.1:9119`.
    pub base_url: String,
    /// The bearer token for `/webhooks/alertmanager`.
    pub alertmanager_token: Option<String>,
    /// A token of the role viewer, for the overview page.
    pub viewer_token: Option<String>,
}

impl std::fmt::Debug for Product {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Product").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// The simulated world. Dropping it stops everything.
#[derive(Debug)]
pub struct World {
    /// Slack.
    pub slack: SlackSandbox,
    /// PagerDuty.
    pub pagerduty: PagerDutySandbox,
    /// The alert sender.
    pub sender: Arc<AlertSender>,
    alertmanager: Server,
    stage: Arc<Stage>,
    server: Server,
    _stop: DropGuard,
}

impl World {
    /// Starts every stand-in, calm.
    ///
    /// # Errors
    /// [`StartError`] where a port is taken.
    pub async fn start(options: WorldOptions) -> Result<Self, StartError> {
        let WorldOptions { port, slack, pagerduty, prometheus_port, remedy_port, .. } = options;
        let WorldOptions { kubernetes_port, alertmanager_port, sender, speed, seed, .. } = options;
        let scenarios = scenario::all(speed, seed);
        let prometheus = PrometheusSandbox::start(prometheus_port, speed).await?;
        let remedy = |one: &Scenario| match &one.cure {
            Cure::Call { path, .. } => Some(Remedy::new(path, one.remedy_does, &one.course)),
            Cure::Cluster(_) => None,
        };
        let remedies =
            RemedySandbox::start(remedy_port, scenarios.iter().filter_map(remedy).collect()).await?;
        let cluster = start_cluster(kubernetes_port, &scenarios, speed).await?;
        // A Prometheus that scrapes nothing sees nothing.
        prometheus.add([Series::new("up", &[("job", "prometheus")], Signal::Constant(1.0))]);
        prometheus.add(scenarios.iter().flat_map(|scenario| scenario.series.clone()));
        let runs = Mutex::new(vec![Run::default(); scenarios.len()]);
        let (product, client) = (Mutex::default(), loopback_client(routes::PRODUCT_TIMEOUT)?);
        let stage =
            Arc::new(Stage { prometheus, remedies, cluster, scenarios, runs, product, speed, client });
        stage.watch_cluster();
        let behind = Arc::downgrade(&stage);
        stage.remedies.set_facts(move || behind.upgrade().map(|stage| stage.facts()).unwrap_or_default());
        let stop = CancellationToken::new();
        let sender = Arc::new(AlertSender::new(SenderOptions { speed, seed, ..sender })?);
        let alertmanager = sender.serve(alertmanager_port).await?;
        tokio::spawn(tick(Arc::clone(&stage), Arc::clone(&sender), stop.clone()));
        let slack = SlackSandbox::start(slack).await?;
        let pagerduty = PagerDutySandbox::start(pagerduty).await?;
        let pages = slack.page_under("/slack").merge(pagerduty.page_under("/pagerduty"));
        let server = Server::start(port, routes::routes(&stage, sender.deliveries()).merge(pages)).await?;
        Ok(Self { slack, pagerduty, sender, alertmanager, stage, server, _stop: stop.drop_guard() })
    }

    /// The overview page: what to open in a browser.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/", self.server.base_url())
    }

    /// Prometheus.
    #[must_use]
    pub fn prometheus(&self) -> &PrometheusSandbox {
        &self.stage.prometheus
    }

    /// Where Alertmanager's API answers.
    #[must_use]
    pub fn alertmanager_url(&self) -> String {
        self.alertmanager.base_url()
    }

    /// The remedies, and the service's own health.
    #[must_use]
    pub fn remedies(&self) -> &RemedySandbox {
        &self.stage.remedies
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &KubernetesSandbox {
        &self.stage.cluster
    }

    /// Tells the world where the product is: alerts, clicks and PagerDuty's webhooks go there from now on.
    pub fn connect(&self, product: Product) {
        self.slack.set_interactivity_url(format!("{}/webhooks/slack", product.base_url));
        self.pagerduty.subscribe(format!("{}/webhooks/pagerduty", product.base_url));
        let url = format!("{}/webhooks/alertmanager", product.base_url);
        self.sender.set_target(Target { url, bearer_token: product.alertmanager_token.clone() });
        *lock(&self.stage.product) = Some(product);
    }

    /// Plays a scenario from its beginning.
    ///
    /// # Errors
    /// [`PlayError`] where there is no such scenario, or where it still runs.
    pub fn play(&self, name: &str) -> Result<(), PlayError> {
        self.stage.play(name)
    }

    /// Ends a scenario's trouble by itself, as if it had passed.
    ///
    /// # Errors
    /// [`PlayError::Unknown`].
    pub fn end(&self, name: &str) -> Result<(), PlayError> {
        self.stage.end(name)
    }

    /// How every story stands.
    #[must_use]
    pub fn state(&self) -> Vec<ScenarioState> {
        self.stage.state()
    }

    /// Waits until a story has reached `phase`, and returns how it stands then.
    ///
    /// # Errors
    /// The state at the end of `timeout`, where it did not come so far.
    pub async fn wait_for(
        &self,
        name: &str,
        phase: Phase,
        timeout: Duration,
    ) -> Result<ScenarioState, ScenarioState> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let found = self.state().into_iter().find(|state| state.name == name);
            let state = found.expect("the caller named a scenario that exists");
            if state.progress.phase == phase {
                return Ok(state);
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(state);
            }
            tokio::time::sleep(TICK).await;
        }
    }
}

/// A cluster whose workloads have run for a day, and whose clock goes on from the present time.
async fn start_cluster(
    port: u16,
    scenarios: &[Scenario],
    speed: f64,
) -> Result<KubernetesSandbox, StartError> {
    let age = SignedDuration::try_from(cluster::AGE).expect("a day is no age");
    let begins = Timestamp::now().checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH);
    let sandbox = KubernetesSandbox::start_at(port, begins).await?;
    cluster::furnish(&sandbox, scenarios);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "speeds are small and positive"
    )]
    sandbox.run((speed / CLUSTER_SLOWER).round().max(1.0) as u32);
    Ok(sandbox)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "world/tests.rs"]
mod tests;

#[cfg(test)]
#[path = "world/page_tests.rs"]
mod page_tests;
