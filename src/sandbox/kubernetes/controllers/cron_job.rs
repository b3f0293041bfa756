//! CronJobs: a Job at each time of their schedule, unless they are held or forbid a second one.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::change::{self, Deletion};
use super::super::cron::Schedule;
use super::super::events;
use super::super::json::{flag, is_deleting, is_true, name, namespace, number, set, stamp, text, time};
use super::super::resource::{CRON_JOBS, JOBS};
use super::super::store::World;
use super::{owned, owner_reference};

/// Times that are looked at after a long sleep; of those only the last one counts.
const MISSED_MAX: usize = 10_000;

pub(super) fn sync(world: &mut World) {
    for cron in world.all(&CRON_JOBS) {
        if is_deleting(&cron) {
            continue;
        }
        forget_old(world, &cron);
        start(world, &cron);
    }
}

/// Makes the Job whose time has come, and notes what runs.
fn start(world: &mut World, cron: &Value) {
    let mut after = cron.clone();
    if let Some(at) = due(world, cron) {
        let running = running(world, cron);
        let policy = text(cron, "/spec/concurrencyPolicy");
        if policy != "Forbid" || running.is_empty() {
            for job in running.iter().filter(|_| policy == "Replace") {
                delete(world, job);
            }
            make(world, cron, at);
            set(&mut after, "/status/lastScheduleTime", stamp(at));
        }
    }
    let active: Vec<Value> = running(world, cron).iter().map(|job| reference(job)).collect();
    if active.is_empty() {
        super::super::json::remove(&mut after, "/status/active");
    } else {
        set(&mut after, "/status/active", active);
    }
    world.save(&CRON_JOBS, after);
}

/// The last time that has come since it was looked at, unless it is held. A note is left for the next one.
fn due(world: &mut World, cron: &Value) -> Option<Timestamp> {
    if flag(cron, "/spec/suspend") {
        return None;
    }
    let schedule = Schedule::read(text(cron, "/spec/schedule"))?;
    let last =
        time(cron, "/status/lastScheduleTime").or_else(|| time(cron, "/metadata/creationTimestamp"))?;
    if let Some(next) = schedule.next_after(world.now) {
        world.play.wake_at(next);
    }
    let times = std::iter::successors(schedule.next_after(last), |at| schedule.next_after(*at));
    times.take_while(|at| *at <= world.now).take(MISSED_MAX).last()
}

fn running(world: &World, cron: &Value) -> Vec<Arc<Value>> {
    let mut jobs = owned(world, &JOBS, cron);
    jobs.retain(|job| !is_deleting(job) && !is_true(job, "Complete") && !is_true(job, "Failed"));
    jobs
}

fn make(world: &mut World, cron: &Value, at: Timestamp) {
    let template = &cron["spec"]["jobTemplate"];
    let mut job = json!({ "metadata": template["metadata"], "spec": template["spec"] });
    set(&mut job, "/metadata/namespace", namespace(cron));
    set(&mut job, "/metadata/name", format!("{}-{}", name(cron), at.as_second() / 60));
    set(&mut job, "/metadata/ownerReferences", owner_reference(cron));
    set(&mut job, "/metadata/annotations/batch.kubernetes.io~1cronjob-scheduled-timestamp", stamp(at));
    if world.find(&JOBS, namespace(cron), name(&job)).is_some() {
        return;
    }
    let made = change::insert(world, &JOBS, job);
    let message = format!("Created job {}", name(&made));
    events::normal(world, cron, "cronjob-controller", "SuccessfulCreate", &message);
}

/// Deletes the Jobs that have ended, beyond those that are kept.
fn forget_old(world: &mut World, cron: &Value) {
    for (kind, limit) in [("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")] {
        let limit = number(cron, &format!("/spec/{limit}")).and_then(|limit| usize::try_from(limit).ok());
        let mut ended = owned(world, &JOBS, cron);
        ended.retain(|job| is_true(job, kind) && !is_deleting(job));
        ended.sort_by_key(|job| std::cmp::Reverse(time(job, "/status/startTime")));
        for job in ended.iter().skip(limit.unwrap_or(usize::MAX)) {
            delete(world, job);
        }
    }
}

fn delete(world: &mut World, job: &Arc<Value>) {
    let asked = Deletion { propagation: "Background".into(), ..Deletion::default() };
    // Without preconditions a deletion cannot be refused.
    change::delete(world, &JOBS, job, &asked).ok();
}

fn reference(job: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "namespace": namespace(job),
        "name": name(job),
        "uid": job["metadata"]["uid"],
    })
}
