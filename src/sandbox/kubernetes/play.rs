//! What a scenario says about the cluster, and what its nodes remember of the containers they run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::behaviour::Behaviour;
use super::json::text;
use super::kubelet::Run;

/// The script of the scenario.
#[derive(Default)]
pub(super) struct Play {
    /// How images behave.
    pub images: BTreeMap<String, Behaviour>,
    /// What nodes remember of a pod's containers, by the pod's uid.
    pub runs: BTreeMap<String, Vec<Run>>,
    /// When a controller or a node has something to do.
    pub due: BTreeSet<Timestamp>,
    /// How often an address was given to a pod.
    pub addresses: u32,
}

impl Play {
    /// How a container behaves.
    pub(super) fn behaviour(&self, pod: &Value, container: &Value) -> Behaviour {
        let own = Behaviour::of_container(pod, container);
        own.or_else(|| self.images.get(text(container, "/image")).cloned()).unwrap_or_default()
    }

    /// Asks for another look at this time.
    pub(super) fn wake_at(&mut self, at: Timestamp) {
        self.due.insert(at);
    }
}
