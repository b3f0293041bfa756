//! The stories that the simulated world can tell: each a value that says what goes wrong, which alert it raises,
//! which remedy helps, and how fast.
//!
//! A scenario knows nothing of HTTP and of time passing; [`super::world`] plays it. Durations are in the world's
//! time and taken from the runbooks (an error ratio above 5 % for five minutes, and so on); the speed shrinks them.
//! Stories of the cluster happen there, pod by pod, and are over when the cluster is well again; [`cluster`] is what they
//! share. To add one: a file in `scenario/`, and its line in [`all`].

use std::time::Duration;

use serde::Serialize;

use super::alerts::{Alert, LabelSet};
use super::kubernetes::KubernetesSandbox;
use super::prometheus::series::{Course, Series, Shape, Watched};

mod bad_rollout;
pub mod cluster;
mod crash_loop;
mod disk_space;
mod high_error_rate;
mod high_latency;
mod hpa_maxed;
mod image_pull;
mod oom_kill;
mod volume_full;

/// What a scenario's measure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A part of the whole: 0.05 is five percent.
    Ratio,
    /// Seconds.
    Seconds,
    /// How many there are.
    Count,
}

/// The alerting rule: what Prometheus watches.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// What it measures, for people.
    pub label: &'static str,
    /// The expression; one value.
    pub expr: String,
    /// The alert is active above this.
    pub threshold: f64,
    /// What it counts.
    pub unit: Unit,
}

/// What ends the trouble of a story.
#[derive(Clone, Debug)]
pub enum Cure {
    /// A call of the operations API, which turns the course.
    Call {
        /// Its path.
        path: &'static str,
        /// The name of the story's fact in `/status.json` and `/metrics`.
        fact: &'static str,
    },
    /// The cluster, once somebody has put it right.
    Cluster(ClusterPlay),
}

/// A story that is played in the simulated cluster: what happens there, and what the monitoring reads off it.
#[derive(Clone, Debug)]
pub struct ClusterPlay {
    /// Name of the workload that it is about.
    pub workload: &'static str,
    /// Puts all in order: as before the story, or as if somebody had mended it.
    pub calm: fn(&KubernetesSandbox),
    /// Makes the trouble.
    pub trouble: fn(&KubernetesSandbox),
    /// Reads what [`Self::watched`] is to show, one value each; moves loads on the way, as users would.
    pub read: fn(&KubernetesSandbox) -> Vec<f64>,
    /// Whether the trouble shows as the story tells it: before, the alert does not fire, however slowly a busy machine plays
    /// the cluster.
    pub shows: fn(&KubernetesSandbox) -> bool,
    /// The series that follow the cluster.
    pub watched: Vec<Watched>,
}

/// A story.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The name that it is played by.
    pub name: &'static str,
    /// The title, for people.
    pub title: &'static str,
    /// What happens, in a sentence or two for a newcomer.
    pub story: &'static str,
    /// The alert that it raises.
    pub alert: Alert,
    /// What is watched.
    pub measure: Measure,
    /// How long the measure must be above its threshold before the alert fires (Prometheus' `for`).
    pub hold: Duration,
    /// What ends the trouble.
    pub cure: Cure,
    /// What the remedy that helps does, for people.
    pub remedy_does: &'static str,
    /// The course that the series follow, where they do not follow the cluster.
    pub course: Course,
    /// The series behind it.
    pub series: Vec<Series>,
}

/// Names and titles of [`all`], for those who only list them: making the stories takes time and memory.
pub const TITLES: [(&str, &str); 9] = [
    ("bad-rollout", "A bad release"),
    ("crash-loop", "A pod crashes"),
    ("image-pull", "An image is missing"),
    ("oom-kill", "Out of memory"),
    ("hpa-maxed", "More users than ever"),
    ("volume-full", "A volume fills up"),
    ("high-error-rate", "Requests fail"),
    ("high-latency", "Requests are slow"),
    ("disk-space", "A disk fills up"),
];

/// Every scenario, in the order in which a newcomer should meet them.
#[must_use]
pub fn all(speed: f64, seed: u64) -> Vec<Scenario> {
    let pace = Pace { speed, seed };
    vec![
        bad_rollout::scenario(),
        crash_loop::scenario(),
        image_pull::scenario(),
        oom_kill::scenario(),
        hpa_maxed::scenario(),
        volume_full::scenario(),
        high_error_rate::scenario(pace),
        high_latency::scenario(pace),
        disk_space::scenario(pace),
    ]
}

impl Scenario {
    /// What is played in the cluster, where it is.
    #[must_use]
    pub fn in_cluster(&self) -> Option<&ClusterPlay> {
        match &self.cure {
            Cure::Cluster(play) => Some(play),
            Cure::Call { .. } => None,
        }
    }
}

/// How fast the world runs, and what makes its noise repeatable.
#[derive(Clone, Copy)]
struct Pace {
    speed: f64,
    seed: u64,
}

impl Pace {
    /// A shape that rises and recovers within so much of the world's time.
    fn shape(
        self,
        course: &Course,
        values: (f64, f64),
        ramp: Duration,
        recovery: Duration,
        salt: u64,
    ) -> Shape {
        let (calm, peak) = values;
        Shape {
            course: course.clone(),
            calm,
            peak,
            ramp_seconds: ramp.as_secs_f64() / self.speed,
            recovery_seconds: recovery.as_secs_f64() / self.speed,
            noise: 0.03,
            seed: self.seed.wrapping_mul(1_000).wrapping_add(salt),
        }
    }
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

fn alert(name: &str, labels: &[(&str, &str)], annotations: &[(&str, &str)], expr: &str) -> Alert {
    let pairs = |pairs: &[(&str, &str)]| -> LabelSet {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let mut alert =
        Alert { labels: pairs(labels), annotations: pairs(annotations), generator_url: String::new() };
    alert.labels.insert("alertname".to_owned(), name.to_owned());
    alert.generator_url = format!(
        "http://127.0.0.1:9090/graph?g0.expr={}&g0.tab=1",
        super::form::encode(expr, super::form::Spaces::Plus)
    );
    alert
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::prometheus::promql::{Evaluator, Value, parse};

    /// The measure of a scenario at `now`, as Prometheus would see it.
    fn measured(scenario: &Scenario, now: f64, speed: f64) -> f64 {
        let evaluator = Evaluator { series: &scenario.series, now, speed };
        match evaluator.value(&parse(&scenario.measure.expr).expect("valid PromQL")) {
            Ok(Value::Vector(samples)) if samples.len() == 1 => samples[0].value,
            other => panic!("{}: not one value: {other:?}", scenario.name),
        }
    }

    #[test]
    fn the_titles_are_those_of_the_stories() {
        let stories: Vec<_> = all(1.0, 7).iter().map(|story| (story.name, story.title)).collect();
        assert_eq!(stories, TITLES);
    }

    #[test]
    fn every_scenario_is_calm_then_breaks_its_threshold_then_heals_by_its_remedy() {
        for speed in [1.0, 30.0] {
            for scenario in all(speed, 7).into_iter().filter(|scenario| scenario.in_cluster().is_none()) {
                let threshold = scenario.measure.threshold;
                let at = |world_seconds: f64| 1_800_000_000.0 + world_seconds / speed;
                let seen = |world_seconds| measured(&scenario, at(world_seconds), speed);
                assert!(seen(-60.0) < threshold * 0.95, "{} at speed {speed}: not calm", scenario.name);
                scenario.course.begin(at(0.0));
                assert!(seen(1_800.0) > threshold * 1.03, "{} at speed {speed}: not bad", scenario.name);
                assert!(seen(7_200.0) > threshold * 1.03, "{}: nobody acts, it stays bad", scenario.name);
                scenario.course.remedy(at(7_200.0));
                assert!(
                    seen(7_200.0 + 900.0) < threshold * 0.95,
                    "{} at speed {speed}: not healed",
                    scenario.name
                );
            }
        }
    }

    #[test]
    fn names_alerts_and_remedies_are_distinct_and_told_to_people() {
        let scenarios = all(1.0, 1);
        let names: Vec<_> = scenarios.iter().map(|scenario| scenario.name).collect();
        assert_eq!(
            names,
            [
                "bad-rollout",
                "crash-loop",
                "image-pull",
                "oom-kill",
                "hpa-maxed",
                "volume-full",
                "high-error-rate",
                "high-latency",
                "disk-space"
            ]
        );
        for (index, scenario) in scenarios.iter().enumerate() {
            for other in &scenarios[index + 1..] {
                assert_ne!(scenario.alert.fingerprint(), other.alert.fingerprint());
                // Stories may be played at the same time: none may move what another one is about.
                match (&scenario.cure, &other.cure) {
                    (Cure::Call { path, fact }, Cure::Call { path: other_path, fact: other_fact }) => {
                        assert!(path != other_path && fact != other_fact);
                    }
                    (Cure::Cluster(play), Cure::Cluster(other)) => assert_ne!(play.workload, other.workload),
                    _ => {}
                }
            }
            let labels = &scenario.alert.labels;
            for needed in ["alertname", "severity", "namespace"] {
                assert!(labels.contains_key(needed), "{}: no {needed}", scenario.name);
            }
            assert!(scenario.alert.annotations.contains_key("summary") && scenario.story.len() > 40);
        }
    }
}
