//! Watches: one JSON line for each change, from a version on, until the client leaves or the time is up.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::header;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cluster::Cluster;
use super::list::Wanted;
use super::request::Asked;
use super::resource::Resource;
use super::status::Refusal;
use super::store::{Change, Happened, World};

/// How long a watch lasts unless told otherwise; the real one chooses between 30 and 60 minutes.
const LASTS: Duration = Duration::from_secs(1_800);

struct Watching {
    cluster: Arc<Cluster>,
    wanted: Wanted,
    news: tokio::sync::watch::Receiver<u64>,
    seen: u64,
    ready: VecDeque<Bytes>,
    until: Instant,
    over: bool,
}

/// Answers a watch.
pub(super) fn watch(
    cluster: &Arc<Cluster>,
    world: &World,
    asked: &Asked,
    resource: &'static Resource,
) -> Result<Response, Refusal> {
    let wanted = Wanted::read(asked, resource)?;
    let mut ready = VecDeque::new();
    let from = asked.query.text("resourceVersion");
    let wants_all = from.is_empty() || from == "0" || asked.query.flag("sendInitialEvents");
    let seen = if wants_all {
        ready.extend(wanted.all(world).into_iter().map(|object| line("ADDED", &object)));
        if asked.query.flag("sendInitialEvents") {
            ready.push_back(bookmark(resource, world.version()));
        }
        world.version()
    } else {
        let message = format!("invalid resource version \"{from}\"");
        from.parse().map_err(|_| Refusal::bad_request(message))?
    };
    let lasts = asked.query.number("timeoutSeconds").filter(|seconds| *seconds > 0);
    let lasts = lasts.map_or(LASTS, Duration::from_secs);
    let watching = Watching {
        cluster: Arc::clone(cluster),
        wanted,
        news: cluster.subscribe(),
        seen,
        ready,
        until: Instant::now() + lasts,
        over: false,
    };
    let lines = stream::unfold(watching, async |mut watching| {
        let line = watching.next().await?;
        Some((Ok::<_, Infallible>(line), watching))
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(lines)).into_response())
}

impl Watching {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if self.over {
                return None;
            }
            // Marked as seen before looking, so that a change in between wakes us again.
            self.news.borrow_and_update();
            self.read();
            if !self.ready.is_empty() {
                continue;
            }
            // It lasts in real time: it belongs to the connection and not to the played world.
            match tokio::time::timeout_at(self.until, self.news.changed()).await {
                Ok(Ok(())) => {}
                _ => return None,
            }
        }
    }

    fn read(&mut self) {
        let (cluster, wanted, seen) = (Arc::clone(&self.cluster), &self.wanted, self.seen);
        let (lines, seen) = cluster.with(|world| match world.changes_after(seen) {
            Ok(changes) => {
                (Ok(changes.filter_map(|change| told(wanted, change)).collect::<Vec<_>>()), world.version())
            }
            Err(oldest) => (Err(Refusal::expired(seen, oldest)), seen),
        });
        self.seen = seen;
        match lines {
            Ok(lines) => self.ready.extend(lines),
            Err(refusal) => {
                self.ready.push_back(line("ERROR", &refusal.status()));
                self.over = true;
            }
        }
    }
}

/// What a change means for those who want only some objects.
fn told(wanted: &Wanted, change: &Change) -> Option<Bytes> {
    if change.resource != wanted.resource.storage() {
        return None;
    }
    let before = change.before.as_ref().and_then(|before| wanted.take(before));
    let after = wanted.take(&change.object).filter(|_| change.happened != Happened::Deleted);
    match (before, after) {
        (None, None) => None,
        (None, Some(after)) => Some(line("ADDED", &after)),
        (Some(_), Some(after)) => Some(line("MODIFIED", &after)),
        (Some(_), None) => {
            let last = super::view::shown(wanted.resource, &change.object);
            Some(line("DELETED", &last))
        }
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut line = json!({ "type": kind, "object": object }).to_string();
    line.push('\n');
    line.into()
}

fn bookmark(resource: &Resource, version: u64) -> Bytes {
    let object = json!({
        "kind": resource.kind,
        "apiVersion": resource.api_version(),
        "metadata": {
            "resourceVersion": version.to_string(),
            "annotations": { "k8s.io/initial-events-end": "true" },
        },
    });
    line("BOOKMARK", &object)
}
