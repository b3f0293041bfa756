//! Logs of containers: what a behaviour says, line by line with its time, made while it is read.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::header;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::behaviour::Behaviour;
use super::defaults;
use super::json::{items, text, uid};
use super::kubelet::{Run, Stage};
use super::request::Asked;
use super::resource::PODS;
use super::status::Refusal;
use super::store::World;
use super::verbs::find;

/// Bytes of one piece of an answer that is made while it is read.
const PIECE_BYTES: u64 = 64 * 1024;

/// Answers a request for a container's log.
pub(super) fn log(world: &World, asked: &Asked) -> Result<Response, Refusal> {
    let pod = find(world, &PODS, asked)?;
    let container = chosen(&pod, asked)?;
    if text(&pod, "/spec/nodeName").is_empty() {
        // Without a node there is nobody to ask, and the answer is empty.
        return Ok(([(header::CONTENT_TYPE, "text/plain")], "").into_response());
    }
    let own = text(container, "/name");
    let behaviour = world.play.behaviour(&pod, container);
    let at = items(&pod, "/spec/containers").iter().position(|found| found == container);
    let run = at.and_then(|at| world.play.runs.get(uid(&pod))?.get(at));
    let started = began(world, &pod, own, run, asked.query.flag("previous"))?;
    let log = Log { world_now: world.now, started, behaviour: &behaviour };
    let set = world.play.logs.get(&(
        super::json::namespace(&pod).to_owned(),
        super::json::name(&pod).to_owned(),
        own.to_owned(),
    ));
    let body = match set {
        Some(lines) if !asked.query.flag("previous") => log.of_lines(lines, asked),
        _ if behaviour.log_bytes > 0 => log.repeated(asked),
        _ => log.of_lines(&behaviour.logs, asked),
    };
    Ok(([(header::CONTENT_TYPE, "text/plain")], body).into_response())
}

/// The container that is asked for; the only one where none is named.
fn chosen<'a>(pod: &'a Value, asked: &Asked) -> Result<&'a Value, Refusal> {
    let wanted = asked.query.text("container");
    let containers = items(pod, "/spec/containers");
    if wanted.is_empty() {
        if let [only] = containers {
            return Ok(only);
        }
        let names: Vec<&str> = defaults::containers(&pod["spec"]).map(|found| text(found, "/name")).collect();
        let message = format!(
            "a container name must be specified for pod {}, choose one of: [{}]",
            asked.name,
            names.join(" ")
        );
        return Err(Refusal::bad_request(message));
    }
    let found = defaults::containers(&pod["spec"]).find(|found| text(found, "/name") == wanted);
    found.ok_or_else(|| {
        Refusal::bad_request(format!("container {wanted} is not valid for pod {}", asked.name))
    })
}

/// When the container that is asked for began.
fn began(
    world: &World,
    pod: &Value,
    own: &str,
    run: Option<&Run>,
    previous: bool,
) -> Result<Timestamp, Refusal> {
    let name = super::json::name(pod);
    let Some(run) = run else {
        // An init container, which is taken as done, or a pod without a node.
        if !previous && text(pod, "/status/phase") != "Pending" {
            return Ok(world.now);
        }
        let message = format!("container \"{own}\" in pod \"{name}\" is waiting to start: ContainerCreating");
        return Err(Refusal::bad_request(message));
    };
    if previous {
        let message = format!("previous terminated container \"{own}\" in pod \"{name}\" not found");
        return run.last.as_ref().map(|last| last.started).ok_or_else(|| Refusal::bad_request(message));
    }
    let waiting = |reason: &str| {
        Refusal::bad_request(format!("container \"{own}\" in pod \"{name}\" is waiting to start: {reason}"))
    };
    match &run.stage {
        Stage::Creating { .. } => Err(waiting("ContainerCreating")),
        Stage::PullFailed { .. } => Err(waiting("trying and failing to pull image")),
        Stage::Running { since } => Ok(*since),
        Stage::BackOff { .. } => Ok(run.last.as_ref().map_or(world.now, |last| last.started)),
        Stage::Ended(ended) => Ok(ended.started),
    }
}

struct Log<'a> {
    world_now: Timestamp,
    started: Timestamp,
    behaviour: &'a Behaviour,
}

impl Log<'_> {
    fn of_lines(&self, lines: &[String], asked: &Asked) -> Body {
        let mut told: Vec<String> = Vec::new();
        // One line a second, up to now, as far as that goes.
        for (index, line) in lines.iter().enumerate() {
            let at = self.time_of(index);
            if self.is_wanted(at, asked) {
                told.push(self.line(at, line, asked));
            }
        }
        if let Some(tail) = asked.query.number("tailLines").and_then(|tail| usize::try_from(tail).ok()) {
            told.drain(..told.len().saturating_sub(tail));
        }
        let mut text = told.concat().into_bytes();
        if let Some(limit) = asked.query.number("limitBytes").and_then(|limit| usize::try_from(limit).ok()) {
            text.truncate(limit);
        }
        text.into()
    }

    fn time_of(&self, index: usize) -> Timestamp {
        let by = SignedDuration::from_millis(i64::try_from(index).unwrap_or_default());
        self.started.checked_add(by).unwrap_or(self.started).min(self.world_now.max(self.started))
    }

    fn is_wanted(&self, at: Timestamp, asked: &Asked) -> bool {
        let since = asked.query.number("sinceSeconds").and_then(|seconds| i64::try_from(seconds).ok());
        let since = since.map(|seconds| self.world_now.saturating_sub(SignedDuration::from_secs(seconds)));
        let since = since.and_then(Result::ok).or_else(|| asked.query.text("sinceTime").parse().ok());
        since.is_none_or(|since| at >= since)
    }

    fn line(&self, at: Timestamp, line: &str, asked: &Asked) -> String {
        if asked.query.flag("timestamps") {
            format!("{} {line}\n", at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ"))
        } else {
            format!("{line}\n")
        }
    }

    /// The lines over and over again, up to the bytes of the behaviour, without ever holding more than a piece.
    fn repeated(&self, asked: &Asked) -> Body {
        let usual = ["a line of the log".to_owned()];
        let lines = if self.behaviour.logs.is_empty() { &usual[..] } else { &self.behaviour.logs };
        let round: String = lines.iter().map(|line| self.line(self.started, line, asked)).collect();
        let round = Bytes::from(round.repeat(1 + PIECE_BYTES as usize / round.len().max(1)));
        let mut total = self.behaviour.log_bytes;
        if let Some(tail) = asked.query.number("tailLines") {
            let average =
                round.len() as u64 / round.iter().filter(|byte| **byte == b'\n').count().max(1) as u64;
            total = total.min(tail.saturating_mul(average));
        }
        let left = total.min(asked.query.number("limitBytes").unwrap_or(u64::MAX));
        let pieces = stream::unfold(left, move |left| {
            let piece = round.slice(..usize::try_from(left).unwrap_or(usize::MAX).min(round.len()));
            async move { (left > 0).then(|| (Ok::<_, Infallible>(piece.clone()), left - piece.len() as u64)) }
        });
        Body::from_stream(pieces)
    }
}
