//! Misbehaviour on demand: what a stand-in answers instead of the truth, next time, always or by chance.
//!
//! A fault says three things: whether the request takes effect, how long the answer takes, and what the client
//! sees. So "the message was posted, but the answer was lost" is `Fault::dropped().after_effect()`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::seed::Seed;
use super::server::drop_connection;

/// The method name under which faults for every method stand.
pub const ANY_METHOD: &str = "*";

/// Longest delay a fault may ask for; a test that needs more has lost its way.
const MAX_DELAY: Duration = Duration::from_secs(600);

/// One misbehaviour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// Whether the request takes effect (and is recorded as effective) although the answer is bad.
    pub takes_effect: bool,
    /// How long the client waits for the answer, in milliseconds.
    pub delay_ms: u64,
    /// What the client sees.
    pub outcome: Outcome,
}

/// What the client sees of a fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The true answer: only the delay is the fault.
    #[default]
    Honest,
    /// An HTTP status with an optional `Retry-After` in seconds and an optional body.
    Status {
        /// The HTTP status code; an impossible one becomes 500.
        code: u16,
        /// The `Retry-After` header in seconds.
        #[serde(default)]
        retry_after_seconds: Option<u64>,
        /// The body; empty without.
        #[serde(default)]
        body: Option<String>,
    },
    /// The vendor's own way of saying no, by its error name: Slack's `{"ok":false,"error":…}` with HTTP 200,
    /// Prometheus' `errorType`.
    VendorError(String),
    /// The connection closes without an answer.
    Drop,
}

impl Default for Fault {
    fn default() -> Self {
        Self { takes_effect: false, delay_ms: 0, outcome: Outcome::Honest }
    }
}

impl Fault {
    /// Answers with an HTTP status and an empty body; no effect.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self { outcome: Outcome::Status { code, retry_after_seconds: None, body: None }, ..Self::default() }
    }

    /// Answers 429 with `Retry-After`; no effect.
    #[must_use]
    pub fn rate_limited(retry_after_seconds: u64) -> Self {
        let retry_after_seconds = Some(retry_after_seconds);
        Self { outcome: Outcome::Status { code: 429, retry_after_seconds, body: None }, ..Self::default() }
    }

    /// Answers with the vendor's own error of that name; no effect.
    #[must_use]
    pub fn vendor_error(name: impl Into<String>) -> Self {
        Self { outcome: Outcome::VendorError(name.into()), ..Self::default() }
    }

    /// Closes the connection without an answer; no effect.
    #[must_use]
    pub fn dropped() -> Self {
        Self { outcome: Outcome::Drop, ..Self::default() }
    }

    /// Answers truthfully, but late.
    #[must_use]
    pub fn slow(delay: Duration) -> Self {
        Self::default().delayed(delay)
    }

    /// The same fault after the request took effect: the ambiguous end.
    #[must_use]
    pub fn after_effect(mut self) -> Self {
        self.takes_effect = true;
        self
    }

    /// The same fault, `delay` later (at most ten minutes).
    #[must_use]
    pub fn delayed(mut self, delay: Duration) -> Self {
        self.delay_ms = u64::try_from(delay.min(MAX_DELAY).as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Plays the fault around `effect`, the honest handling of the request. `vendor_error` renders an error
    /// in the protocol's own shape.
    pub async fn play(
        self,
        effect: impl FnOnce() -> Response,
        vendor_error: impl FnOnce(&str) -> Response,
    ) -> Response {
        let delay = Duration::from_millis(self.delay_ms).min(MAX_DELAY);
        let (before, after) =
            if self.takes_effect { (Duration::ZERO, delay) } else { (delay, Duration::ZERO) };
        tokio::time::sleep(before).await;
        let honest = (self.takes_effect || self.outcome == Outcome::Honest).then(effect);
        tokio::time::sleep(after).await;
        match (self.outcome, honest) {
            (Outcome::Honest, Some(honest)) => honest,
            (Outcome::Status { code, retry_after_seconds, body }, _) => {
                bad_status(code, retry_after_seconds, body)
            }
            (Outcome::VendorError(name), _) => vendor_error(&name),
            (Outcome::Drop | Outcome::Honest, _) => drop_connection(),
        }
    }
}

fn bad_status(code: u16, retry_after_seconds: Option<u64>, body: Option<String>) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, body.unwrap_or_default()).into_response();
    if let Some(seconds) = retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The faults a stand-in still has to play. Clones share the same plan.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    next: BTreeMap<String, VecDeque<Option<Fault>>>,
    standing: BTreeMap<String, Fault>,
    chances: Vec<Chance>,
}

#[derive(Debug)]
struct Chance {
    method: String,
    probability: f64,
    seed: Seed,
    fault: Fault,
}

impl FaultPlan {
    /// The next call of `method` ([`ANY_METHOD`] for whichever comes) meets `fault`; several queue up.
    pub fn next(&self, method: &str, fault: Fault) {
        self.plan().next.entry(method.to_owned()).or_default().push_back(Some(fault));
    }

    /// The next call of `method` is answered honestly before the faults queued after it.
    pub fn next_honest(&self, method: &str) {
        self.plan().next.entry(method.to_owned()).or_default().push_back(None);
    }

    /// Every call of `method` meets `fault` until [`FaultPlan::clear`].
    pub fn always(&self, method: &str, fault: Fault) {
        self.plan().standing.insert(method.to_owned(), fault);
    }

    /// Each call of `method` meets `fault` with `probability`, repeatably for the same `seed` and order of calls.
    pub fn sometimes(&self, method: &str, probability: f64, seed: u64, fault: Fault) {
        let method = method.to_owned();
        self.plan().chances.push(Chance { method, probability, seed: Seed::new(seed), fault });
    }

    /// Forgets every fault.
    pub fn clear(&self) {
        *self.plan() = Plan::default();
    }

    /// Takes what is queued for calls of `method`, and looks at nothing else: `Some(None)` is an honest answer.
    #[must_use]
    pub fn take_queued(&self, method: &str) -> Option<Option<Fault>> {
        self.plan().next.get_mut(method).and_then(VecDeque::pop_front)
    }

    /// How many queued faults no call has met yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.plan().next.values().map(VecDeque::len).sum()
    }

    /// Takes the fault that this call meets: the queue first, then standing faults, then chance.
    #[must_use]
    pub fn take(&self, method: &str) -> Option<Fault> {
        let mut plan = self.plan();
        for name in [method, ANY_METHOD] {
            if let Some(queued) = plan.next.get_mut(name).and_then(VecDeque::pop_front) {
                return queued;
            }
        }
        for name in [method, ANY_METHOD] {
            if let Some(fault) = plan.standing.get(name) {
                return Some(fault.clone());
            }
        }
        let matching =
            plan.chances.iter_mut().filter(|chance| chance.method == method || chance.method == ANY_METHOD);
        // Every generator draws on every call, so that one chance does not shift the course of another.
        let drawn: Vec<_> =
            matching.map(|chance| (chance.seed.chance(chance.probability), &chance.fault)).collect();
        drawn.into_iter().find(|(hit, _)| *hit).map(|(_, fault)| fault.clone())
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of `POST /_sandbox/faults`: one fault to queue, or to hold until cleared.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultOrder {
    /// The method or path, or `*`.
    pub method: String,
    /// True: until cleared; false (default): once.
    #[serde(default)]
    pub always: bool,
    /// The fault; nothing clears the whole plan.
    pub fault: Option<Fault>,
}

impl FaultPlan {
    /// Carries out an order that came over HTTP.
    pub fn obey(&self, order: FaultOrder) {
        match order.fault {
            None => self.clear(),
            Some(fault) if order.always => self.always(&order.method, fault),
            Some(fault) => self.next(&order.method, fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn played(fault: Fault) -> (bool, Response) {
        let effect = Cell::new(false);
        let response = fault
            .play(
                || {
                    effect.set(true);
                    StatusCode::ACCEPTED.into_response()
                },
                |name| (StatusCode::OK, name.to_owned()).into_response(),
            )
            .await;
        (effect.get(), response)
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_says_whether_the_request_took_effect() {
        let (effect, response) = played(Fault::status(503)).await;
        assert!(!effect && response.status() == 503);
        let (effect, response) = played(Fault::status(500).after_effect()).await;
        assert!(effect && response.status() == 500);
        let (effect, response) = played(Fault::slow(Duration::from_secs(30))).await;
        assert!(effect && response.status() == 202);
        let (effect, response) = played(Fault::rate_limited(7)).await;
        assert!(!effect && response.headers()["retry-after"] == "7");
        let (effect, _) = played(Fault::vendor_error("fatal_error").after_effect()).await;
        assert!(effect);
    }

    #[tokio::test(start_paused = true)]
    async fn an_ambiguous_delay_comes_after_the_effect_and_a_plain_one_before() {
        let started = tokio::time::Instant::now();
        let seen_at = Cell::new(Duration::ZERO);
        let note = || {
            seen_at.set(started.elapsed());
            StatusCode::OK.into_response()
        };
        let fault = Fault::dropped().after_effect().delayed(Duration::from_secs(9));
        fault.play(note, |_| StatusCode::OK.into_response()).await;
        assert_eq!(seen_at.get(), Duration::ZERO);
        assert_eq!(started.elapsed(), Duration::from_secs(9));
    }

    #[test]
    fn queued_faults_come_first_and_once_standing_ones_stay() {
        let plan = FaultPlan::default();
        plan.always("post", Fault::status(500));
        plan.next_honest("post");
        plan.next("post", Fault::dropped());
        assert_eq!((plan.queued(), plan.take_queued("other")), (2, None));
        assert_eq!(plan.take("post"), None);
        assert_eq!((plan.queued(), plan.take_queued("post")), (1, Some(Some(Fault::dropped()))));
        plan.next("post", Fault::dropped());
        assert_eq!(plan.take("post"), Some(Fault::dropped()));
        assert_eq!(plan.take("post"), Some(Fault::status(500)));
        assert_eq!(plan.take("other"), None);
        plan.clear();
        assert_eq!(plan.take("post"), None);
    }

    #[test]
    fn chance_is_repeatable_for_the_same_seed() {
        let run = |seed| {
            let plan = FaultPlan::default();
            plan.sometimes(ANY_METHOD, 0.3, seed, Fault::dropped());
            (0..64).map(|_| plan.take("post").is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(11), run(11));
        assert_ne!(run(11), run(12));
        assert!(run(11).contains(&true) && run(11).contains(&false));
    }

    #[test]
    fn a_fault_can_be_ordered_as_json() {
        let order = r#"{"method":"chat.postMessage","fault":{"outcome":"drop","takes_effect":true}}"#;
        let plan = FaultPlan::default();
        plan.obey(serde_json::from_str(order).expect("a valid order"));
        assert_eq!(plan.take("chat.postMessage"), Some(Fault::dropped().after_effect()));
    }
}
