//! Jobs: pods until enough have ended well, or too many have not; and Jobs that vanish when their time is over.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::super::change::{self, Deletion};
use super::super::events;
use super::super::json::{
    condition, count, flag, is_deleting, is_true, name, number, set, stamp, text, time,
};
use super::super::resource::{JOBS, PODS};
use super::super::store::World;
use super::{owned, replica_set};

/// How long the first new try waits; each further one waits twice as long.
const RETRY_SECONDS: i64 = 10;
/// The longest wait.
const RETRY_SECONDS_MAX: i64 = 360;

pub(super) fn sync(world: &mut World) {
    for job in world.all(&JOBS) {
        if is_deleting(&job) {
            continue;
        }
        if is_true(&job, "Complete") || is_true(&job, "Failed") {
            expire(world, &job);
        } else {
            manage(world, &job);
        }
    }
}

/// Deletes a Job that has ended, where it says how long it is kept.
fn expire(world: &mut World, job: &std::sync::Arc<Value>) {
    let Some(seconds) = number(job, "/spec/ttlSecondsAfterFinished") else { return };
    let ended =
        ["Complete", "Failed"].iter().find_map(|kind| condition(job, kind).filter(|_| is_true(job, kind)));
    let ended = ended.and_then(|ended| time(ended, "/lastTransitionTime")).unwrap_or(world.now);
    let end = ended.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(ended);
    if end > world.now {
        return world.play.wake_at(end);
    }
    let asked = Deletion { propagation: "Background".into(), ..Deletion::default() };
    // Without preconditions a deletion cannot be refused.
    change::delete(world, &JOBS, job, &asked).ok();
}

#[derive(Default)]
struct Count {
    active: i64,
    ready: i64,
    succeeded: i64,
    failed: i64,
}

fn counted(world: &World, job: &Value) -> Count {
    let mut counts = Count::default();
    for pod in owned(world, &PODS, job) {
        match text(&pod, "/status/phase") {
            "Succeeded" => counts.succeeded += 1,
            "Failed" => counts.failed += 1,
            _ if is_deleting(&pod) => {}
            _ => {
                counts.active += 1;
                counts.ready += i64::from(is_true(&pod, "Ready"));
            }
        }
    }
    counts
}

fn manage(world: &mut World, job: &Value) {
    let mut after = job.clone();
    let counts = counted(world, job);
    let completions = number(job, "/spec/completions");
    let restarts = restarts(world, job);
    let limit = number(job, "/spec/backoffLimit").unwrap_or(6);
    let started = time(job, "/status/startTime");
    let deadline = number(job, "/spec/activeDeadlineSeconds").zip(started);
    let deadline =
        deadline.and_then(|(seconds, started)| started.checked_add(SignedDuration::from_secs(seconds)).ok());
    if flag(job, "/spec/suspend") {
        stop(world, job);
        note(&mut after, &counts, None);
        put_condition(world, &mut after, "Suspended", "JobSuspended", "Job suspended");
    } else if counts.failed > limit || restarts > limit {
        stop(world, job);
        finish(
            world,
            &mut after,
            &counts,
            "Failed",
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
        );
    } else if deadline.is_some_and(|end| end <= world.now) {
        stop(world, job);
        finish(
            world,
            &mut after,
            &counts,
            "Failed",
            "DeadlineExceeded",
            "Job was active longer than specified deadline",
        );
    } else if completions
        .map_or(counts.succeeded > 0 && counts.active == 0, |wanted| counts.succeeded >= wanted)
    {
        stop(world, job);
        let message = "Reached expected number of succeeded pods";
        finish(world, &mut after, &counts, "Complete", "CompletionsReached", message);
    } else {
        if let Some(end) = deadline {
            world.play.wake_at(end);
        }
        make(world, job, &counts);
        let counts = counted(world, job);
        let since = started.map_or_else(|| stamp(world.now), stamp);
        note(&mut after, &counts, Some(since));
    }
    world.save(&JOBS, after);
}

/// With `restartPolicy: OnFailure` the containers are tried again within their pods.
fn restarts(world: &World, job: &Value) -> i64 {
    let pods = owned(world, &PODS, job);
    let of = |pod: &std::sync::Arc<Value>| count(pod, "/status/containerStatuses/0/restartCount");
    pods.iter().map(of).sum()
}

fn make(world: &mut World, job: &Value, counts: &Count) {
    let parallelism = number(job, "/spec/parallelism").unwrap_or(1);
    let left = number(job, "/spec/completions").map_or(parallelism, |wanted| wanted - counts.succeeded);
    let wanted = if number(job, "/spec/completions").is_none() && counts.succeeded > 0 {
        counts.active
    } else {
        parallelism.min(left)
    };
    if counts.active >= wanted {
        return;
    }
    if let Some(end) = retry_at(world, job, counts).filter(|end| *end > world.now) {
        return world.play.wake_at(end);
    }
    for _ in counts.active..wanted {
        let made = replica_set::make_pod(world, job, None);
        let message = format!("Created pod: {}", name(&made));
        events::normal(world, job, "job-controller", "SuccessfulCreate", &message);
    }
}

/// When the next try may begin.
fn retry_at(world: &World, job: &Value, counts: &Count) -> Option<jiff::Timestamp> {
    if counts.failed == 0 {
        return None;
    }
    let ended =
        |pod: &std::sync::Arc<Value>| time(pod, "/status/containerStatuses/0/state/terminated/finishedAt");
    let last = owned(world, &PODS, job)
        .iter()
        .filter(|pod| text(pod, "/status/phase") == "Failed")
        .filter_map(ended)
        .max()?;
    let doubled = u32::try_from(counts.failed - 1).unwrap_or_default().min(10);
    let wait = (RETRY_SECONDS << doubled).min(RETRY_SECONDS_MAX);
    last.checked_add(SignedDuration::from_secs(wait)).ok()
}

fn stop(world: &mut World, job: &Value) {
    for pod in super::active_pods(world, job) {
        replica_set::delete_pod(world, &pod);
    }
}

fn note(job: &mut Value, counts: &Count, started: Option<String>) {
    let mut status = json!({});
    for kept in ["conditions", "startTime"] {
        if let Some(had) = job.pointer(&format!("/status/{kept}")) {
            status[kept] = had.clone();
        }
    }
    if let Some(started) = started {
        status["startTime"] = started.into();
    }
    let numbers = [("active", counts.active), ("succeeded", counts.succeeded), ("failed", counts.failed)];
    for (field, number) in numbers.into_iter().filter(|(_, number)| *number > 0) {
        status[field] = number.into();
    }
    status["ready"] = counts.ready.into();
    status["terminating"] = 0.into();
    status["uncountedTerminatedPods"] = json!({});
    set(job, "/status", status);
}

fn finish(world: &mut World, job: &mut Value, counts: &Count, kind: &str, reason: &str, message: &str) {
    let started = text(job, "/status/startTime").to_owned();
    let counts = Count { active: 0, ready: 0, ..*counts };
    note(job, &counts, Some(started).filter(|started| !started.is_empty()));
    let before = if kind == "Complete" { "SuccessCriteriaMet" } else { "FailureTarget" };
    put_condition(world, job, before, reason, message);
    put_condition(world, job, kind, reason, message);
    if kind == "Complete" {
        let now = stamp(world.now);
        set(job, "/status/completionTime", now);
        events::normal(world, job, "job-controller", "Completed", "Job completed");
    } else {
        events::warning(world, job, "job-controller", reason, message);
    }
}

fn put_condition(world: &World, job: &mut Value, kind: &str, reason: &str, message: &str) {
    if is_true(job, kind) {
        return;
    }
    let now = stamp(world.now);
    let mut conditions = super::super::json::items(job, "/status/conditions").to_vec();
    conditions.push(json!({
        "type": kind, "status": "True", "reason": reason, "message": message,
        "lastProbeTime": now, "lastTransitionTime": now,
    }));
    set(job, "/status/conditions", conditions);
}
