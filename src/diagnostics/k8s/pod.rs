//! How one pod fares, read from its status: the word that kubectl would show, and why.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use serde_json::{Value, json};

use super::{Scene, ago, fields};
use crate::domain::timeline::one_line;

/// Words of a reason for people.
const WORDS_CHARS_MAX: usize = 160;

/// Waiting reasons of a container whose image cannot be had.
const IMAGE_REASONS: [&str; 4] =
    ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"];

/// One pod at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodGlance {
    pub(crate) name: String,
    pub(crate) phase: String,
    /// The word that kubectl shows in its column STATUS.
    pub(crate) status: String,
    pub(crate) ready: bool,
    pub(crate) containers: usize,
    pub(crate) containers_ready: usize,
    pub(crate) restarts: i64,
    pub(crate) node: Option<String>,
    pub(crate) age_seconds: Option<i64>,
    pub(crate) crash_looping: bool,
    pub(crate) image_failing: bool,
    pub(crate) oom_killed: bool,
    pub(crate) unschedulable: bool,
    pub(crate) terminating: bool,
    /// What the cluster says about it.
    pub(crate) words: String,
}

impl PodGlance {
    pub(crate) fn of(scene: Scene<'_>, pod: &Pod) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        let containers = status.container_statuses.as_deref().unwrap_or_default();
        let all = || containers.iter().chain(status.init_container_statuses.iter().flatten());
        let waits = |reasons: &[&str]| all().any(|c| reasons.contains(&waiting(c).unwrap_or_default()));
        let condition = |kind: &str| {
            status.conditions.iter().flatten().find(|condition| condition.type_ == kind).cloned()
        };
        let scheduled = condition("PodScheduled");
        let unschedulable = scheduled
            .as_ref()
            .is_some_and(|c| c.status == "False" && c.reason.as_deref() == Some("Unschedulable"));
        let terminating = pod.metadata.deletion_timestamp.is_some();
        let phase = status.phase.clone().unwrap_or_else(|| "Unknown".to_owned());
        let told = status.message.clone().or_else(|| {
            let waiting = all().find_map(|c| c.state.as_ref()?.waiting.as_ref()?.message.clone());
            waiting.or_else(|| scheduled.filter(|_| unschedulable).and_then(|c| c.message))
        });
        Self {
            name: pod.metadata.name.clone().unwrap_or_default(),
            status: word(&status.reason, &phase, terminating, all(), unschedulable),
            phase,
            ready: condition("Ready").is_some_and(|c| c.status == "True"),
            containers: pod.spec.as_ref().map_or(0, |spec| spec.containers.len()),
            containers_ready: containers.iter().filter(|c| c.ready).count(),
            restarts: all().map(|c| i64::from(c.restart_count)).sum(),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            age_seconds: scene.age_seconds(pod.metadata.creation_timestamp.as_ref()),
            crash_looping: waits(&["CrashLoopBackOff"]),
            image_failing: waits(&IMAGE_REASONS),
            oom_killed: all().any(was_oom_killed),
            unschedulable,
            terminating,
            words: one_line(&told.unwrap_or_default(), WORDS_CHARS_MAX),
        }
    }

    /// Whether somebody should look at it. A pod that has done its work is fine, and so is one that ends.
    pub(crate) fn is_unwell(&self) -> bool {
        self.oom_killed || !(self.ready || self.terminating || self.phase == "Succeeded")
    }

    /// For conditions.
    pub(crate) fn value(&self) -> Value {
        Value::Object(fields(json!({
            "name": self.name,
            "phase": self.phase,
            "status": self.status,
            "ready": self.ready,
            "restarts": self.restarts,
            "node": self.node,
            "age_seconds": self.age_seconds,
            "oom_killed": self.oom_killed,
        })))
    }

    /// For people.
    pub(crate) fn row(&self) -> String {
        let mut row =
            format!("{}  {}/{}  {}", self.name, self.containers_ready, self.containers, self.status);
        if self.restarts > 0 {
            row += &format!("  restarts {}", self.restarts);
        }
        if self.oom_killed && self.status != "OOMKilled" {
            row += "  was OOM killed";
        }
        if let Some(age) = self.age_seconds {
            row += &format!("  age {}", ago(age));
        }
        if let Some(node) = &self.node {
            row += &format!("  on {node}");
        }
        if !self.words.is_empty() {
            row += &format!("  ({})", self.words);
        }
        row
    }
}

fn waiting(container: &ContainerStatus) -> Option<&str> {
    container.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

fn was_oom_killed(container: &ContainerStatus) -> bool {
    let killed = |state: &Option<ContainerState>| {
        let ended = state.as_ref().and_then(|state| state.terminated.as_ref());
        ended.is_some_and(|ended| ended.reason.as_deref() == Some("OOMKilled"))
    };
    killed(&container.state) || killed(&container.last_state)
}

fn word<'c>(
    reason: &Option<String>,
    phase: &str,
    terminating: bool,
    containers: impl Iterator<Item = &'c ContainerStatus>,
    unschedulable: bool,
) -> String {
    if terminating {
        return "Terminating".to_owned();
    }
    if let Some(reason) = reason {
        return reason.clone();
    }
    let of_container = |c: &ContainerStatus| {
        let ended = |c: &ContainerStatus| {
            let ended = c.state.as_ref()?.terminated.as_ref()?;
            ended.reason.clone().filter(|_| ended.exit_code != 0)
        };
        waiting(c).map(str::to_owned).or_else(|| ended(c))
    };
    let mut words: Vec<String> = containers.filter_map(of_container).collect();
    // A container that waits for another says less than the one that it waits for.
    words.sort_by_key(|word| matches!(word.as_str(), "PodInitializing" | "ContainerCreating"));
    match words.into_iter().next() {
        Some(word) => word,
        None if unschedulable => "Unschedulable".to_owned(),
        None => phase.to_owned(),
    }
}
