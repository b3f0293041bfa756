//! The whole simulated world: all stand-ins started together, and the stories played in them.
//!
//! A scenario's course moves the series; the world watches its measure as Prometheus watches an alerting rule, and
//! tells the sender when the alert fires and ends. So after a remedy the alert ends by itself, and without one it fires
//! on. The world decides nothing else: what is done about an alert is the product's affair.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::{CancellationToken, DropGuard};

mod alarm;

use super::alerts::{AlertSender, SenderOptions, Target};
use super::pagerduty::{PagerDutyOptions, PagerDutySandbox};
use super::prometheus::promql::Value;
use super::prometheus::{PrometheusSandbox, now_seconds};
use super::remedy::{Fact, Remedy, RemedySandbox};
use super::scenario::{self, Measure, Scenario};
use super::server::StartError;
use super::slack::{SlackOptions, SlackSandbox};
use alarm::{Alarm, Change};

/// How often the world looks at its measures.
const TICK: Duration = Duration::from_millis(100);

/// The speed at which a story of ten minutes takes about twenty seconds.
pub const DEFAULT_SPEED: f64 = 30.0;

/// What the world is like. Ports of 0 are free ones.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// The Slack workspace.
    pub slack: SlackOptions,
    /// The PagerDuty account.
    pub pagerduty: PagerDutyOptions,
    /// Prometheus' port.
    pub prometheus_port: u16,
    /// The port of the service with its remedies.
    pub remedy_port: u16,
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
            slack: SlackOptions::default(),
            pagerduty: PagerDutyOptions::default(),
            prometheus_port: 0,
            remedy_port: 0,
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

/// Why a scenario cannot be played.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlayError {
    /// There is no such scenario.
    #[error("no scenario {name:?}; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// It has not ended yet.
    #[error("the scenario {0:?} is still running; apply its remedy or end it first")]
    Running(String),
}

/// How far a story has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Never played.
    #[default]
    Calm,
    /// Trouble has begun; no alert fires yet.
    Rising,
    /// The alert fires, and nothing was done that helps.
    Firing,
    /// A remedy took effect; the alert still fires.
    Recovering,
    /// The alert has ended.
    Resolved,
}

/// How a story stands, for tests and pages.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScenarioState {
    /// The scenario's name.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its story.
    pub story: &'static str,
    /// The alert's name.
    pub alertname: String,
    /// The remedy that helps, in words.
    pub remedy: &'static str,
    /// What is watched.
    pub measure: Measure,
    /// The present value of the measure.
    pub value: Option<f64>,
    /// How far it has come.
    #[serde(flatten)]
    pub progress: Progress,
}

/// The times of one run of a story.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// How far it has come.
    pub phase: Phase,
    /// When trouble began.
    pub began_at: Option<Timestamp>,
    /// When the alert began to fire.
    pub fired_at: Option<Timestamp>,
    /// When a remedy took effect.
    pub remedied_at: Option<Timestamp>,
    /// When the alert ended.
    pub ended_at: Option<Timestamp>,
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
    stage: Arc<Stage>,
    _stop: DropGuard,
}

/// What the ticking task needs.
#[derive(Debug)]
struct Stage {
    prometheus: PrometheusSandbox,
    remedies: RemedySandbox,
    scenarios: Vec<Scenario>,
    runs: Mutex<Vec<Run>>,
    product: Mutex<Option<Product>>,
    speed: f64,
}

#[derive(Clone, Debug, Default)]
struct Run {
    alarm: Alarm,
    progress: Progress,
}

impl World {
    /// Starts every stand-in, calm.
    ///
    /// # Errors
    /// [`StartError`] where a port is taken.
    pub async fn start(options: WorldOptions) -> Result<Self, StartError> {
        let WorldOptions { slack, pagerduty, prometheus_port, remedy_port, sender, speed, seed } = options;
        let scenarios = scenario::all(speed, seed);
        let prometheus = PrometheusSandbox::start(prometheus_port, speed).await?;
        let remedy = |one: &Scenario| Remedy::new(one.remedy_path, one.remedy_does, &one.course);
        let remedies = RemedySandbox::start(remedy_port, scenarios.iter().map(remedy).collect()).await?;
        prometheus.add(scenarios.iter().flat_map(|scenario| scenario.series.clone()));
        let runs = Mutex::new(vec![Run::default(); scenarios.len()]);
        let stage =
            Arc::new(Stage { prometheus, remedies, scenarios, runs, product: Mutex::default(), speed });
        let behind = Arc::downgrade(&stage);
        stage.remedies.set_facts(move || behind.upgrade().map(|stage| stage.facts()).unwrap_or_default());
        let stop = CancellationToken::new();
        let sender = Arc::new(AlertSender::new(SenderOptions { speed, seed, ..sender })?);
        tokio::spawn(tick(Arc::clone(&stage), Arc::clone(&sender), stop.clone()));
        Ok(Self {
            slack: SlackSandbox::start(slack).await?,
            pagerduty: PagerDutySandbox::start(pagerduty).await?,
            sender,
            stage,
            _stop: stop.drop_guard(),
        })
    }

    /// Prometheus.
    #[must_use]
    pub fn prometheus(&self) -> &PrometheusSandbox {
        &self.stage.prometheus
    }

    /// The remedies, and the service's own health.
    #[must_use]
    pub fn remedies(&self) -> &RemedySandbox {
        &self.stage.remedies
    }

    /// Tells the world where the product is: alerts and clicks go there from now on.
    pub fn connect(&self, product: Product) {
        self.slack.set_interactivity_url(format!("{}/webhooks/slack", product.base_url));
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
        let index = self.stage.index(name)?;
        self.stage.scenarios[index].course.remedy(now_seconds());
        Ok(())
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

async fn tick(stage: Arc<Stage>, sender: Arc<AlertSender>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => stage.look(&sender),
        }
    }
}

impl Stage {
    fn index(&self, name: &str) -> Result<usize, PlayError> {
        self.scenarios.iter().position(|scenario| scenario.name == name).ok_or_else(|| {
            let known: Vec<_> = self.scenarios.iter().map(|scenario| scenario.name).collect();
            PlayError::Unknown { name: name.to_owned(), known: known.join(", ") }
        })
    }

    fn play(&self, name: &str) -> Result<(), PlayError> {
        let index = self.index(name)?;
        let mut runs = lock(&self.runs);
        let run = &mut runs[index];
        if !matches!(run.progress.phase, Phase::Calm | Phase::Resolved) {
            return Err(PlayError::Running(name.to_owned()));
        }
        let scenario = &self.scenarios[index];
        self.remedies.reset(scenario.remedy_path);
        scenario.course.begin(now_seconds());
        let progress =
            Progress { phase: Phase::Rising, began_at: Some(Timestamp::now()), ..Progress::default() };
        *run = Run { alarm: Alarm::default(), progress };
        Ok(())
    }

    /// Looks at every measure once, as Prometheus evaluates its alerting rules.
    fn look(&self, sender: &AlertSender) {
        let now = now_seconds();
        let mut runs = lock(&self.runs);
        for (scenario, run) in self.scenarios.iter().zip(runs.iter_mut()) {
            if matches!(run.progress.phase, Phase::Calm | Phase::Resolved) {
                continue;
            }
            let above = self.value(scenario, now).is_some_and(|value| value > scenario.measure.threshold);
            let hold_seconds = scenario.hold.as_secs_f64() / self.speed;
            match run.alarm.observe(above, now, hold_seconds) {
                Some(Change::Fires) => sender.fire(scenario.alert.clone()),
                Some(Change::Ends) => sender.resolve(&scenario.alert.labels),
                None => {}
            }
            run.progress = run.progress.advanced(run.alarm, above, scenario.course.remedied_at());
        }
    }

    /// The one present value of a scenario's measure.
    fn value(&self, scenario: &Scenario, now: f64) -> Option<f64> {
        match self.prometheus.value_at(&scenario.measure.expr, now) {
            Ok(Value::Vector(samples)) => samples.first().map(|sample| sample.value),
            Ok(Value::Scalar(value)) => Some(value),
            Err(_) => None,
        }
    }

    fn state(&self) -> Vec<ScenarioState> {
        let (now, runs) = (now_seconds(), lock(&self.runs).clone());
        let one = |(scenario, run): (&Scenario, Run)| ScenarioState {
            name: scenario.name,
            title: scenario.title,
            story: scenario.story,
            alertname: scenario.alert.labels.get("alertname").cloned().unwrap_or_default(),
            remedy: scenario.remedy_does,
            measure: scenario.measure.clone(),
            value: self.value(scenario, now),
            progress: run.progress,
        };
        self.scenarios.iter().zip(runs).map(one).collect()
    }

    fn facts(&self) -> Vec<Fact> {
        let now = now_seconds();
        let mut facts: Vec<_> = self
            .scenarios
            .iter()
            .filter_map(|one| Some(Fact { name: one.fact.to_owned(), value: self.value(one, now)? }))
            .collect();
        let above = self
            .scenarios
            .iter()
            .filter(|one| self.value(one, now).is_some_and(|value| value > one.measure.threshold));
        let degraded = f64::from(u8::from(above.count() > 0));
        facts.push(Fact { name: "degraded".to_owned(), value: degraded });
        facts
    }
}

impl Progress {
    /// The progress after a look that left the alarm as it is now.
    fn advanced(self, alarm: Alarm, above: bool, remedied_at: Option<f64>) -> Self {
        let now = Timestamp::now();
        let mut next = self;
        if alarm == Alarm::Firing {
            next.fired_at.get_or_insert(now);
        }
        if let Some(remedied_at) = remedied_at
            && remedied_at <= now_seconds()
        {
            next.remedied_at.get_or_insert(now);
        }
        next.phase = match (alarm, next.remedied_at) {
            (Alarm::Firing, None) => Phase::Firing,
            (Alarm::Firing, Some(_)) => Phase::Recovering,
            // It ended after firing, or was remedied before the alert could fire at all.
            (_, Some(_)) if !above => Phase::Resolved,
            (_, None) if next.fired_at.is_some() && !above => Phase::Resolved,
            _ => Phase::Rising,
        };
        if next.phase == Phase::Resolved {
            next.ended_at.get_or_insert(now);
        }
        next
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "world/tests.rs"]
mod tests;
