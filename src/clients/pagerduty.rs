//! PagerDuty's Events API v2: trigger, acknowledge and resolve an incident, and report a change.
//!
//! The dedup key makes an event safe to repeat, so nothing here is ever ambiguous except a change event, which
//! has no such key. A 202 is not proof that anybody is paged: PagerDuty drops an acknowledgement or a resolve
//! silently when there is no open alert with that key *under the same routing key*. The bodies and their
//! limits are in [`event`]; notes on an incident go over another API, in [`rest`].

pub mod event;
pub mod rest;
pub mod webhook;

#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;

use governor::Quota;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::answer::{Repeat, SendError, cut_chars};
use super::http::{HttpAnswer, HttpClient, HttpError, HttpRequest, Method, StatusCode, Url};
use super::pace::Pacer;
use event::{Action, Change, Trigger};

/// Where the Events API lives.
pub const EVENTS_URL: &str = "https://events.pagerduty.com";

/// Events a minute for each routing key. PagerDuty allows about 120 over any 60 seconds; this rate and
/// [`BURST`] together stay within that in every window.
const EVENTS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(100).expect("not zero");

/// Events that may leave at once for one routing key.
const BURST: NonZeroU32 = NonZeroU32::new(20).expect("not zero");

/// Characters of PagerDuty's explanation that are kept.
const DETAIL_CHARS_MAX: usize = 500;

/// PagerDuty took the event; see the module's remark on what that is worth.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Accepted {
    /// The key that PagerDuty filed it under.
    pub dedup_key: Option<String>,
}

/// A client for the Events API; routing keys are given with each call.
#[derive(Debug)]
pub struct PagerDutyClient {
    http: HttpClient,
    enqueue: Url,
    enqueue_change: Url,
    pacer: Pacer,
    /// Turns a routing key into the pacer's key, so that the secret itself is not kept in a map.
    hasher: RandomState,
}

/// What PagerDuty says about an event that it does not take.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Complaint {
    message: String,
    errors: Vec<String>,
}

impl PagerDutyClient {
    /// A client for the API at `events_url` ([`EVENTS_URL`], or a stand-in).
    ///
    /// # Errors
    /// Where `events_url` is not an http or https URL.
    pub fn new(http: HttpClient, events_url: &str) -> Result<Self, HttpError> {
        let path = |path: &str| {
            let url = Url::parse(&format!("{}{path}", events_url.trim_end_matches('/'))).ok();
            url.filter(|url| matches!(url.scheme(), "http" | "https"))
                .ok_or_else(|| HttpError::setup("the PagerDuty events URL is not an http or https URL"))
        };
        Ok(Self {
            http,
            enqueue: path("/v2/enqueue")?,
            enqueue_change: path("/v2/change/enqueue")?,
            pacer: Pacer::new(Quota::per_minute(EVENTS_PER_MINUTE).allow_burst(BURST)),
            hasher: RandomState::new(),
        })
    }

    /// Opens an incident, or adds to the open one with the same dedup key. After a resolve it opens a new one.
    ///
    /// # Errors
    /// As the table says; never ambiguous.
    pub async fn trigger(&self, routing_key: &SecretString, event: &Trigger) -> Result<Accepted, SendError> {
        let body = event.body(routing_key)?;
        self.send(&self.enqueue, routing_key, body, Repeat::Harmless).await
    }

    /// Marks the incident with this dedup key as acknowledged.
    ///
    /// # Errors
    /// As the table says; never ambiguous.
    pub async fn acknowledge(&self, routing_key: &SecretString, key: &str) -> Result<Accepted, SendError> {
        let body = event::follow_up_body(routing_key, Action::Acknowledge, key)?;
        self.send(&self.enqueue, routing_key, body, Repeat::Harmless).await
    }

    /// Closes the incident with this dedup key.
    ///
    /// # Errors
    /// As the table says; never ambiguous.
    pub async fn resolve(&self, routing_key: &SecretString, key: &str) -> Result<Accepted, SendError> {
        let body = event::follow_up_body(routing_key, Action::Resolve, key)?;
        self.send(&self.enqueue, routing_key, body, Repeat::Harmless).await
    }

    /// Reports a change, such as a remedy that was carried out. It pages nobody.
    ///
    /// # Errors
    /// As the table says; an end without an answer is ambiguous, because a change event has no dedup key.
    pub async fn change(&self, routing_key: &SecretString, change: &Change) -> Result<Accepted, SendError> {
        let body = change.body(routing_key)?;
        self.send(&self.enqueue_change, routing_key, body, Repeat::Harmful).await
    }

    /// Forgets idle routing keys; called now and then by whoever keeps house.
    pub fn prune(&self) {
        self.pacer.prune();
    }

    async fn send(
        &self,
        url: &Url,
        routing_key: &SecretString,
        body: Vec<u8>,
        repeat: Repeat,
    ) -> Result<Accepted, SendError> {
        let pace_key = format!("{:016x}", self.hasher.hash_one(routing_key.expose_secret()));
        self.pacer.admit(&pace_key).map_err(|wait| SendError::Paced { wait })?;
        let request = HttpRequest::new(Method::POST, url.clone()).body("application/json", body);
        let outcome = match self.http.send(request).await {
            Ok(answer) => read(&answer, routing_key),
            Err(error) => Err(unanswered(&error, repeat)),
        };
        if let Err(SendError::Retry { after: Some(wait), .. }) = &outcome {
            self.pacer.hold(&pace_key, *wait);
        }
        outcome
    }
}

/// The table for exchanges without an answer.
fn unanswered(error: &HttpError, repeat: Repeat) -> SendError {
    let reason = error.to_string();
    if error.permanent() {
        SendError::permanent("not_sendable", reason)
    } else if error.maybe_sent() {
        SendError::unknown(repeat, reason)
    } else {
        SendError::Retry { after: None, reason }
    }
}

/// The table from statuses: 202 is done, 429, 408 and 5xx come again, everything else is refused for good.
fn read(answer: &HttpAnswer, routing_key: &SecretString) -> Result<Accepted, SendError> {
    let status = answer.status;
    if status.is_success() {
        // The status is the answer; a body of another shape changes nothing.
        return Ok(serde_json::from_slice(&answer.body).unwrap_or_default());
    }
    let reason = reason_of(answer, routing_key);
    let again = status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
    if again || status.is_server_error() {
        Err(SendError::Retry { after: answer.retry_after(), reason })
    } else {
        Err(SendError::permanent(format!("http_{}", status.as_u16()), reason))
    }
}

/// Status and PagerDuty's own words, without the routing key should they repeat it.
fn reason_of(answer: &HttpAnswer, routing_key: &SecretString) -> String {
    let complaint: Complaint = serde_json::from_slice(&answer.body).unwrap_or_default();
    let words = [vec![complaint.message], complaint.errors].concat().join("; ");
    let words = match routing_key.expose_secret() {
        "" => words,
        key => words.replace(key, "[routing key]"),
    };
    cut_chars(format!("HTTP {} {words}", answer.status.as_u16()).trim_end(), DETAIL_CHARS_MAX)
}
