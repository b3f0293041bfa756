//! The nodes: they run the containers of pods by their behaviour, and write the pods' status.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::behaviour::{Behaviour, Fate};
use super::json::{count, is_deleting, items, name, namespace, set, stamp, text, time, uid};
use super::resource::PODS;
use super::store::World;
use super::{events, pod_status};

/// From being given to a node until the image is there and the container starts.
const STARTS_AFTER: Duration = Duration::from_secs(1);
/// From the failed pull until the node waits with the next.
const PULL_FAILS_AFTER: Duration = Duration::from_secs(2);
/// How long the first restart waits; each further one waits twice as long.
const RESTART_AFTER: [u64; 7] = [1, 10, 20, 40, 80, 160, 300];
/// How long a container takes to stop when it is told to.
const STOPS_AFTER: Duration = Duration::from_secs(1);
/// The exit code of a container that the kernel killed.
const KILLED: i32 = 137;
/// Turns of one container's life within one look; more means that it lives for no time at all.
const TURNS_MAX: usize = 1_000;

/// What a node remembers of one container.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub stage: Stage,
    pub restarts: i64,
    /// When it was last seen ready, if it is.
    pub ready: bool,
    pub last: Option<Ended>,
}

/// Where a container is in its life.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stage {
    Creating {
        until: Timestamp,
    },
    /// The image could not be pulled; first an error, then waiting.
    PullFailed {
        backing_off: bool,
        until: Timestamp,
    },
    Running {
        since: Timestamp,
    },
    BackOff {
        until: Timestamp,
    },
    Ended(Ended),
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ended {
    pub code: i32,
    pub reason: &'static str,
    pub started: Timestamp,
    pub finished: Timestamp,
}

/// Something that happened to a container, for the events.
enum Turn {
    Started,
    PullFailed,
    PullBackOff,
    BackOff,
}

pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// Lets the nodes do what is due.
pub(super) fn sync(world: &mut World) {
    for pod in world.all(&PODS) {
        if text(&pod, "/spec/nodeName").is_empty() {
            continue;
        }
        if is_deleting(&pod) {
            stop(world, &pod);
        } else if !matches!(text(&pod, "/status/phase"), "Succeeded" | "Failed") {
            run(world, &pod);
        }
    }
    forget(world);
}

/// Ends a pod that was told to end.
fn stop(world: &mut World, pod: &Value) {
    let grace = u64::try_from(count(pod, "/metadata/deletionGracePeriodSeconds")).unwrap_or_default();
    let end = time(pod, "/metadata/deletionTimestamp").unwrap_or(world.now);
    let told =
        end.checked_sub(SignedDuration::from_secs(i64::try_from(grace).unwrap_or_default())).unwrap_or(end);
    let stopped = later(told, STOPS_AFTER.min(Duration::from_secs(grace)));
    if stopped > world.now {
        return world.play.wake_at(stopped);
    }
    if !items(pod, "/metadata/finalizers").is_empty() {
        let mut pod = pod.clone();
        set(&mut pod, "/status/phase", "Succeeded");
        world.save(&PODS, pod);
        return;
    }
    world.erase(&PODS, namespace(pod), name(pod));
}

fn run(world: &mut World, pod: &Value) {
    let containers = items(pod, "/spec/containers");
    let now = world.now;
    let fresh = || Run {
        stage: Stage::Creating { until: later(now, STARTS_AFTER) },
        restarts: 0,
        ready: false,
        last: None,
    };
    let known = world.play.runs.get(uid(pod)).cloned();
    let had = known.clone();
    if known.is_none() {
        events::normal(
            world,
            pod,
            "kubelet",
            "Pulling",
            &format!("Pulling image \"{}\"", text(&containers[0], "/image")),
        );
    }
    let mut runs = known.unwrap_or_else(|| containers.iter().map(|_| fresh()).collect());
    runs.resize_with(containers.len(), fresh);
    let policy = text(pod, "/spec/restartPolicy");
    for (run, container) in runs.iter_mut().zip(containers) {
        let behaviour = world.play.behaviour(pod, container);
        let (turns, due) = advance(run, &behaviour, policy, now);
        if let Some(due) = due {
            world.play.wake_at(due);
        }
        for turn in turns {
            tell(world, pod, container, &turn);
        }
    }
    if had.as_ref() == Some(&runs) && pod.pointer("/status/containerStatuses").is_some() {
        return;
    }
    world.play.runs.insert(uid(pod).to_owned(), runs.clone());
    pod_status::write(world, pod, &runs);
}

/// Lets a container's life go on until now; what happened, and when the next thing does.
fn advance(
    run: &mut Run,
    behaviour: &Behaviour,
    policy: &str,
    now: Timestamp,
) -> (Vec<Turn>, Option<Timestamp>) {
    let mut turns = Vec::new();
    for _ in 0..TURNS_MAX {
        let next = match &run.stage {
            Stage::Creating { until } if behaviour.fate == Fate::ImagePullBackOff => {
                if *until > now {
                    return (turns, Some(*until));
                }
                turns.push(Turn::PullFailed);
                Stage::PullFailed { backing_off: false, until: later(*until, PULL_FAILS_AFTER) }
            }
            Stage::PullFailed { backing_off, until } => {
                if *backing_off {
                    return (turns, None);
                }
                if *until > now {
                    return (turns, Some(*until));
                }
                turns.push(Turn::PullBackOff);
                Stage::PullFailed { backing_off: true, until: *until }
            }
            Stage::Creating { until } | Stage::BackOff { until } => {
                if *until > now {
                    return (turns, Some(*until));
                }
                if matches!(run.stage, Stage::BackOff { .. }) {
                    run.restarts += 1;
                }
                turns.push(Turn::Started);
                Stage::Running { since: *until }
            }
            Stage::Running { since } => match running(run.restarts, *since, behaviour, policy, now) {
                Running::Still { ready, due } => {
                    run.ready = ready;
                    return (turns, due);
                }
                Running::Restarts { ended, until } => {
                    if run.restarts > 0 {
                        turns.push(Turn::BackOff);
                    }
                    run.last = Some(ended);
                    Stage::BackOff { until }
                }
                Running::Ends(ended) => Stage::Ended(ended),
            },
            Stage::Ended(_) => return (turns, None),
        };
        run.ready = false;
        run.stage = next;
    }
    (turns, None)
}

enum Running {
    Still { ready: bool, due: Option<Timestamp> },
    Restarts { ended: Ended, until: Timestamp },
    Ends(Ended),
}

fn running(restarts: i64, since: Timestamp, behaviour: &Behaviour, policy: &str, now: Timestamp) -> Running {
    let end = match behaviour.fate {
        Fate::Exits { after, code } => Some((after, code, if code == 0 { "Completed" } else { "Error" })),
        Fate::OomKilled { after } => Some((after, KILLED, "OOMKilled")),
        Fate::Runs | Fate::NeverReady | Fate::ImagePullBackOff => None,
    };
    let ended = end.map(|(after, code, reason)| Ended {
        code,
        reason,
        started: since,
        finished: later(since, after),
    });
    let Some(ended) = ended.clone().filter(|ended| ended.finished <= now) else {
        let ready_at = later(since, behaviour.ready_after);
        let ready = behaviour.fate != Fate::NeverReady && ready_at <= now;
        let end = ended.map(|ended| ended.finished);
        let due = if ready || behaviour.fate == Fate::NeverReady {
            end
        } else {
            Some(end.map_or(ready_at, |end| end.min(ready_at)))
        };
        return Running::Still { ready, due };
    };
    if policy == "Always" || (policy == "OnFailure" && ended.code != 0) {
        let waits =
            RESTART_AFTER[usize::try_from(restarts).unwrap_or(usize::MAX).min(RESTART_AFTER.len() - 1)];
        let until = later(ended.finished, Duration::from_secs(waits));
        return Running::Restarts { ended, until };
    }
    Running::Ends(ended)
}

fn tell(world: &mut World, pod: &Value, container: &Value, turn: &Turn) {
    let (image, container) = (text(container, "/image"), text(container, "/name"));
    match turn {
        Turn::Started => {
            let pulled = format!("Container image \"{image}\" already present on machine");
            events::normal(world, pod, "kubelet", "Pulled", &pulled);
            events::normal(world, pod, "kubelet", "Created", &format!("Created container: {container}"));
            events::normal(world, pod, "kubelet", "Started", &format!("Started container {container}"));
        }
        Turn::PullFailed => {
            let message = format!("Failed to pull image \"{image}\": failed to resolve reference: not found");
            events::warning(world, pod, "kubelet", "Failed", &message);
            events::warning(world, pod, "kubelet", "Failed", "Error: ErrImagePull");
        }
        Turn::PullBackOff => {
            events::normal(world, pod, "kubelet", "BackOff", &format!("Back-off pulling image \"{image}\""));
            events::warning(world, pod, "kubelet", "Failed", "Error: ImagePullBackOff");
        }
        Turn::BackOff => {
            let message = format!("Back-off restarting failed container {container} in pod {}", name(pod));
            events::warning(world, pod, "kubelet", "BackOff", &message);
        }
    }
}

/// Forgets the containers of pods that are gone.
fn forget(world: &mut World) {
    let pods = world.all(&PODS);
    if pods.len() >= world.play.runs.len() {
        return;
    }
    let there: BTreeSet<&str> = pods.iter().map(|pod| uid(pod)).collect();
    let is_gone = |id: &str| !there.contains(id);
    let (runs, told) = (&mut world.play.runs, &mut world.play.told);
    told.retain(|[id, ..], _| !(runs.contains_key(id) && is_gone(id)));
    runs.retain(|id, _| !is_gone(id));
}

/// One container's state as the API shows it.
pub(super) fn state(run: &Run, container: &str, pod: &str) -> Value {
    match &run.stage {
        Stage::Creating { .. } => json!({ "waiting": { "reason": "ContainerCreating" } }),
        Stage::PullFailed { backing_off: false, .. } => {
            json!({ "waiting": { "reason": "ErrImagePull", "message": "failed to resolve reference: not found" } })
        }
        Stage::PullFailed { .. } => {
            json!({ "waiting": { "reason": "ImagePullBackOff", "message": "Back-off pulling image" } })
        }
        Stage::Running { since } => json!({ "running": { "startedAt": stamp(*since) } }),
        Stage::BackOff { .. } if run.restarts > 0 => {
            let wait = RESTART_AFTER
                [usize::try_from(run.restarts).unwrap_or(usize::MAX).min(RESTART_AFTER.len() - 1)];
            let message = format!("back-off {wait}s restarting failed container={container} pod={pod}");
            json!({ "waiting": { "reason": "CrashLoopBackOff", "message": message } })
        }
        // The first restart does not wait long enough to be called a loop.
        Stage::BackOff { .. } => run.last.as_ref().map_or_else(|| json!({}), terminated),
        Stage::Ended(ended) => terminated(ended),
    }
}

/// An ended container as the API shows it.
pub(super) fn terminated(ended: &Ended) -> Value {
    json!({ "terminated": {
        "exitCode": ended.code,
        "reason": ended.reason,
        "startedAt": stamp(ended.started),
        "finishedAt": stamp(ended.finished),
    }})
}
