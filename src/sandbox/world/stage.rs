//! The stage behind the world: the stories, how far each has come, and the look at every measure that moves them on.
//!
//! It speaks to nobody but the sender; pages and the world's own methods ask it.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::alarm::{Alarm, Change};
use super::{Product, TICK, lock};
use crate::sandbox::alerts::AlertSender;
use crate::sandbox::kubernetes::KubernetesSandbox;
use crate::sandbox::prometheus::promql::Value;
use crate::sandbox::prometheus::{PrometheusSandbox, now_seconds};
use crate::sandbox::remedy::{Fact, RemedySandbox};
use crate::sandbox::scenario::{Cure, Measure, Scenario};

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
    /// The workload in the cluster that it is about, where it is.
    pub workload: Option<&'static str>,
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

/// What the ticking task needs.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) prometheus: PrometheusSandbox,
    pub(super) remedies: RemedySandbox,
    pub(super) cluster: KubernetesSandbox,
    pub(super) scenarios: Vec<Scenario>,
    pub(super) runs: Mutex<Vec<Run>>,
    pub(super) product: Mutex<Option<Product>>,
    pub(super) speed: f64,
    pub(super) client: reqwest::Client,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    alarm: Alarm,
    progress: Progress,
}

/// Looks at every measure again and again until the world stops.
pub(super) async fn tick(stage: Arc<Stage>, sender: Arc<AlertSender>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                stage.watch_cluster();
                stage.look(&sender);
            }
        }
    }
}

impl Stage {
    pub(super) fn index(&self, name: &str) -> Result<usize, PlayError> {
        self.scenarios.iter().position(|scenario| scenario.name == name).ok_or_else(|| {
            let known: Vec<_> = self.scenarios.iter().map(|scenario| scenario.name).collect();
            PlayError::Unknown { name: name.to_owned(), known: known.join(", ") }
        })
    }

    pub(super) fn play(&self, name: &str) -> Result<(), PlayError> {
        let index = self.index(name)?;
        let mut runs = lock(&self.runs);
        let run = &mut runs[index];
        if !matches!(run.progress.phase, Phase::Calm | Phase::Resolved) {
            return Err(PlayError::Running(name.to_owned()));
        }
        let scenario = &self.scenarios[index];
        match &scenario.cure {
            Cure::Call { path, .. } => {
                self.remedies.reset(path);
                scenario.course.begin(now_seconds());
            }
            Cure::Cluster(play) => play.begin(&self.cluster, run.progress.phase == Phase::Resolved),
        }
        let progress =
            Progress { phase: Phase::Rising, began_at: Some(Timestamp::now()), ..Progress::default() };
        *run = Run { alarm: Alarm::default(), progress };
        Ok(())
    }

    pub(super) fn end(&self, name: &str) -> Result<(), PlayError> {
        let index = self.index(name)?;
        match &self.scenarios[index].cure {
            Cure::Call { .. } => self.scenarios[index].course.remedy(now_seconds()),
            Cure::Cluster(play) => (play.calm)(&self.cluster),
        }
        Ok(())
    }

    /// Notes what the monitoring reads off the cluster.
    pub(super) fn watch_cluster(&self) {
        let now = now_seconds();
        for play in self.scenarios.iter().filter_map(Scenario::in_cluster) {
            for (watched, value) in play.watched.iter().zip((play.read)(&self.cluster)) {
                watched.note(now, value);
            }
        }
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
            let shows = scenario.in_cluster().is_none_or(|play| (play.shows)(&self.cluster));
            let hold_seconds = if shows { scenario.hold.as_secs_f64() / self.speed } else { f64::INFINITY };
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

    pub(super) fn state(&self) -> Vec<ScenarioState> {
        let (now, runs) = (now_seconds(), lock(&self.runs).clone());
        let one = |(scenario, run): (&Scenario, Run)| ScenarioState {
            name: scenario.name,
            title: scenario.title,
            story: scenario.story,
            alertname: scenario.alert.labels.get("alertname").cloned().unwrap_or_default(),
            remedy: scenario.remedy_does,
            workload: scenario.in_cluster().map(|play| play.workload),
            measure: scenario.measure.clone(),
            value: self.value(scenario, now),
            progress: run.progress,
        };
        self.scenarios.iter().zip(runs).map(one).collect()
    }

    pub(super) fn facts(&self) -> Vec<Fact> {
        let now = now_seconds();
        let fact = |one: &Scenario| match &one.cure {
            Cure::Call { fact, .. } => Some(Fact { name: (*fact).to_owned(), value: self.value(one, now)? }),
            Cure::Cluster(_) => None,
        };
        let mut facts: Vec<_> = self.scenarios.iter().filter_map(fact).collect();
        let above = self
            .scenarios
            .iter()
            .filter(|one| one.in_cluster().is_none())
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
