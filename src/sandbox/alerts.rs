//! An Alertmanager-like sender: groups firing alerts and delivers webhooks, version 4, the way Alertmanager does.
//!
//! | done as Alertmanager does | from |
//! |---|---|
//! | group wait, group interval, repeat interval; what makes a notification | `dispatch`, `notify.DedupStage` |
//! | payload, fingerprint, group key | `template.Data`, recorded requests of 0.25 to 0.33 |
//! | network errors and 5xx are retried with growing pauses until the group interval ends | `notify/util.go`, observed on real binaries |
//! | 4xx (429 among them) and 3xx are not retried; they come again at the next group interval | the same |
//! | bearer token, no signature, no idempotency key, redirects not followed | the same |
//!
//! | silences: what they keep quiet is not told, neither its beginning nor its end | `notify.MuteStage`, and see `silences` |
//! | API v2: status, alerts, silences | see `api` |
//!
//! The intervals shrink with the speed of the world; the pauses between tries do not, since they spare a real
//! receiver, and silences do not, since people say how long they last. It is no Alertmanager: there are no inhibitions or
//! routes, and it keeps nothing across a restart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

mod api;
mod group;
mod payload;
mod silences;

pub use payload::{Alert, LabelSet, Reason, fingerprint};

use super::record::{DEFAULT_CAPACITY, Record};
use super::seed::Seed;
use super::server::{Port, Server, StartError, loopback_client};
use group::Group;
use payload::{Envelope, Timed, body, group_key};
use silences::Silences;

/// The first pause before a retry; later ones grow by [`RETRY_GROWTH`] (observed: about 0.5, 1.1, 2, 3.4, 5 seconds).
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How pauses grow.
const RETRY_GROWTH: f64 = 1.5;
/// The longest pause.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(60);
/// A flush may take at least so long, however short the group interval is.
const MIN_FLUSH_DEADLINE: Duration = Duration::from_secs(10);
/// Characters of an answer that are kept.
const MAX_ANSWER_CHARS: usize = 500;

/// How the sender groups and paces. Intervals are in the world's time.
#[derive(Clone, Debug)]
pub struct SenderOptions {
    /// The receiver's name in the payload.
    pub receiver: String,
    /// Labels whose values make a group.
    pub group_by: Vec<String>,
    /// Wait before a new group's first notification.
    pub group_wait: Duration,
    /// Time between looks at a group.
    pub group_interval: Duration,
    /// Time after which an unchanged group is told again.
    pub repeat_interval: Duration,
    /// Whether ends are told as such (Alertmanager's default for webhooks).
    pub send_resolved: bool,
    /// At most so many alerts in a payload; 0 is no limit.
    pub max_alerts: usize,
    /// How many times faster than the clock the world runs.
    pub speed: f64,
    /// What makes the jitter of the retries repeatable.
    pub seed: u64,
}

impl Default for SenderOptions {
    fn default() -> Self {
        Self {
            receiver: "smokejumper".into(),
            group_by: ["alertname", "namespace", "service"].map(str::to_owned).to_vec(),
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_secs(5 * 60),
            repeat_interval: Duration::from_secs(4 * 3_600),
            send_resolved: true,
            max_alerts: 0,
            speed: 1.0,
            seed: 1,
        }
    }
}

/// Where webhooks go.
#[derive(Clone)]
pub struct Target {
    /// The receiver's URL; a query string is kept.
    pub url: String,
    /// The bearer token, if one is asked for.
    pub bearer_token: Option<String>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Target").field("url", &self.url).finish_non_exhaustive()
    }
}

/// One try to deliver one webhook.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Delivery {
    /// The group's key.
    pub group_key: String,
    /// Why it was sent.
    pub reason: Reason,
    /// Counts the tries of one flush from 1.
    pub attempt: u32,
    /// The receiver's status; `None` where no answer came.
    pub status: Option<u16>,
    /// The beginning of the receiver's answer, or what went wrong.
    pub answer: String,
    /// Milliseconds until the answer.
    pub latency_ms: u64,
    /// The payload.
    pub body: Value,
}

impl Delivery {
    /// Whether the receiver took it.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    fn retryable(&self) -> bool {
        self.status.is_none_or(|status| status >= 500)
    }
}

/// The sender. Dropping it stops its groups.
#[derive(Debug)]
pub struct AlertSender {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    options: SenderOptions,
    started_at: Timestamp,
    /// Where its own API is, as notifications name it.
    address: Mutex<String>,
    target: Mutex<Option<Target>>,
    groups: Mutex<HashMap<String, Group>>,
    silences: Mutex<Silences>,
    deliveries: Record<Delivery>,
    jitter: Mutex<Seed>,
    client: reqwest::Client,
    stop: CancellationToken,
}

impl AlertSender {
    /// A sender without a target: it groups, but delivers only once [`AlertSender::set_target`] was called.
    ///
    /// # Errors
    /// [`StartError::Client`].
    pub fn new(options: SenderOptions) -> Result<Self, StartError> {
        let stop = CancellationToken::new();
        let shared = Shared {
            jitter: Mutex::new(Seed::new(options.seed)),
            options,
            started_at: Timestamp::now(),
            address: Mutex::new("http://127.0.0.1:9093".to_owned()),
            target: Mutex::default(),
            groups: Mutex::default(),
            silences: Mutex::default(),
            deliveries: Record::new(DEFAULT_CAPACITY),
            // The flush sets the time limit of each request.
            client: loopback_client(Duration::from_secs(3_600))?,
            stop: stop.clone(),
        };
        Ok(Self { shared: Arc::new(shared), _stop: stop.drop_guard() })
    }

    /// Serves Alertmanager's API on `127.0.0.1:port`, 0 for a free one, for as long as the answer lives.
    ///
    /// # Errors
    /// [`StartError::Bind`] where the port is taken.
    pub async fn serve(&self, port: u16) -> Result<Server, StartError> {
        let port = Port::bind(port).await?;
        *lock(&self.shared.address) = port.base_url();
        Ok(port.serve(api::routes(Arc::clone(&self.shared))))
    }

    /// Where webhooks go from now on.
    pub fn set_target(&self, target: Target) {
        *lock(&self.shared.target) = Some(target);
    }

    /// Every try to deliver, with its answer.
    #[must_use]
    pub fn deliveries(&self) -> &Record<Delivery> {
        &self.shared.deliveries
    }

    /// The alert fires (again, or still).
    pub fn fire(&self, alert: Alert) {
        let labels = self.shared.group_labels(&alert.labels);
        let key = group_key(&labels);
        let mut groups = lock(&self.shared.groups);
        let is_new = !groups.contains_key(&key);
        groups.entry(key.clone()).or_insert_with(|| Group::new(labels)).fire(alert, Timestamp::now());
        drop(groups);
        if is_new {
            tokio::spawn(run_group(Arc::clone(&self.shared), key));
        }
    }

    /// The alert with these labels has ended.
    pub fn resolve(&self, labels: &LabelSet) {
        let key = group_key(&self.shared.group_labels(labels));
        if let Some(group) = lock(&self.shared.groups).get_mut(&key) {
            group.resolve(&fingerprint(labels), Timestamp::now());
        }
    }

    /// Whether the alert with these labels fires now.
    #[must_use]
    pub fn is_firing(&self, labels: &LabelSet) -> bool {
        let key = group_key(&self.shared.group_labels(labels));
        lock(&self.shared.groups).get(&key).is_some_and(|group| group.is_firing(&fingerprint(labels)))
    }
}

impl Shared {
    fn group_labels(&self, labels: &LabelSet) -> LabelSet {
        let by = &self.options.group_by;
        labels.iter().filter(|(name, _)| by.contains(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
    }

    fn scaled(&self, duration: Duration) -> Duration {
        duration.div_f64(self.options.speed.max(f64::MIN_POSITIVE))
    }
}

/// The life of one group: wait, look, look again every group interval, end when it is empty.
async fn run_group(shared: Arc<Shared>, key: String) {
    let stop = shared.stop.clone();
    let life = async {
        tokio::time::sleep(shared.scaled(shared.options.group_wait)).await;
        loop {
            let next_look = Instant::now() + shared.scaled(shared.options.group_interval);
            flush(&shared, &key).await;
            {
                let mut groups = lock(&shared.groups);
                if let Some(group) = groups.get_mut(&key) {
                    group.forget_untold(shared.options.send_resolved);
                }
                if groups.get(&key).is_none_or(Group::is_empty) {
                    groups.remove(&key);
                    return;
                }
            }
            tokio::time::sleep_until(next_look).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = life => {}
    }
}

/// Tells the receiver what is due, trying again until the deadline where that may help.
async fn flush(shared: &Shared, key: &str) {
    let interval = shared.scaled(shared.options.group_interval);
    let deadline = Instant::now() + interval.max(shared.scaled(MIN_FLUSH_DEADLINE));
    let Some(target) = lock(&shared.target).clone() else { return };
    let Some((reason, alerts, payload)) = due(shared, key) else { return };
    let mut pause = RETRY_PAUSE;
    for attempt in 1.. {
        let delivery = deliver(shared, &target, deadline, &payload).await;
        let delivery = Delivery { group_key: key.to_owned(), reason, attempt, ..delivery };
        let (accepted, retryable) = (delivery.accepted(), delivery.retryable());
        shared.deliveries.push(delivery);
        if accepted && let Some(group) = lock(&shared.groups).get_mut(key) {
            group.acknowledged(&alerts, Instant::now());
        }
        let jitter = 0.5 + lock(&shared.jitter).next_unit();
        let retry_at = Instant::now() + pause.mul_f64(jitter);
        if accepted || !retryable || retry_at >= deadline {
            return;
        }
        tokio::time::sleep_until(retry_at).await;
        pause = pause.mul_f64(RETRY_GROWTH).min(MAX_RETRY_PAUSE);
    }
}

fn due(shared: &Shared, key: &str) -> Option<(Reason, Vec<Timed>, Value)> {
    let options = &shared.options;
    let address = lock(&shared.address).clone();
    let mut groups = lock(&shared.groups);
    let group = groups.get_mut(key)?;
    let now = Instant::now();
    group.keep_quiet(|labels| !lock(&shared.silences).quieting(labels, Timestamp::now()).is_empty());
    let reason = group.due(now, shared.scaled(options.repeat_interval), options.send_resolved)?;
    let alerts = group.told_alerts();
    if reason == Reason::AllResolved && !options.send_resolved {
        // Alertmanager notes such a notification as made without making it.
        group.acknowledged(&alerts, now);
        return None;
    }
    let told = |timed: &&Timed| timed.ends_at.is_none() || options.send_resolved;
    let shown: Vec<_> = alerts.iter().filter(told).cloned().collect();
    let envelope = Envelope {
        receiver: &options.receiver,
        external_url: &address,
        group_labels: &group.labels,
        reason,
        max_alerts: options.max_alerts,
    };
    let payload = body(&envelope, &shown);
    Some((reason, alerts, payload))
}

async fn deliver(shared: &Shared, target: &Target, deadline: Instant, payload: &Value) -> Delivery {
    let started = Instant::now();
    let mut request = shared
        .client
        .post(&target.url)
        .header("user-agent", "Alertmanager/0.33.1")
        .header("content-type", "application/json")
        .timeout(deadline.saturating_duration_since(started))
        .body(payload.to_string());
    if let Some(token) = &target.bearer_token {
        request = request.bearer_auth(token);
    }
    let (status, answer) = match request.send().await {
        Ok(response) => {
            let status = response.status().as_u16();
            (Some(status), response.text().await.unwrap_or_default().chars().take(MAX_ANSWER_CHARS).collect())
        }
        // The URL may hold a token in its query string.
        Err(error) => (None, error.without_url().to_string()),
    };
    let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (group_key, reason, attempt) = (String::new(), Reason::First, 0);
    Delivery { group_key, reason, attempt, status, answer, latency_ms, body: payload.clone() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "alerts/tests.rs"]
mod tests;
