//! What a scenario says about the cluster, and what its nodes remember of the containers they run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::access::User;
use super::behaviour::Behaviour;
use super::exec::ExecAnswer;
use super::json::text;
use super::kubelet::Run;
use super::metrics::{MetricsApi, Usage};

/// The script of the scenario.
#[derive(Default)]
pub(super) struct Play {
    /// How images behave.
    pub images: BTreeMap<String, Behaviour>,
    /// What nodes remember of a pod's containers, by the pod's uid.
    pub runs: BTreeMap<String, Vec<Run>>,
    /// The number of the change after which everything had settled.
    pub settled: u64,
    /// When a controller or a node has something to do.
    pub due: BTreeSet<Timestamp>,
    /// What commands answer; the last one that fits counts.
    pub answers: Vec<(Vec<String>, ExecAnswer)>,
    /// What containers printed, by namespace, pod and container, where a scenario says so.
    pub logs: BTreeMap<(String, String, String), Vec<String>>,
    /// Whether there is a metrics API.
    pub metrics: MetricsApi,
    /// What pods use; the last one that fits counts.
    pub usage: Vec<Usage>,
    /// The event that tells of an object (by its uid), a reason and a message.
    pub told: BTreeMap<[String; 3], String>,
    /// When an autoscaler looks again, by its uid.
    pub looks: BTreeMap<String, Timestamp>,
    /// Whether roles and bindings are obeyed.
    pub enforces_access: bool,
    /// Who is known by which bearer token.
    pub tokens: BTreeMap<String, User>,
    /// How often an address was given to a pod.
    pub addresses: u32,
}

impl Play {
    /// How a container behaves.
    pub(super) fn behaviour(&self, pod: &Value, container: &Value) -> Behaviour {
        let own = Behaviour::of_container(pod, container);
        let found = own.or_else(|| self.images.get(text(container, "/image")).cloned()).unwrap_or_default();
        found.within_limits(container)
    }

    /// Asks for another look at this time.
    pub(super) fn wake_at(&mut self, at: Timestamp) {
        self.due.insert(at);
    }
}
