//! Webhooks of others: one POST with a JSON body, signed where there is a secret, and what the answer means.
//!
//! The signature covers the time and the body, as Slack's does: `v1=` and HMAC-SHA256 in hex over `v1:TIME:BODY`. The key
//! of a delivery stays the same when it is sent again, so that a receiver can drop doubles; that makes every unclear end
//! one that may be tried again. A redirect is refused: it could carry a credential elsewhere.

use governor::Quota;
use jiff::Timestamp;
use secrecy::SecretString;

use super::answer::{Repeat, SendError, cut_chars};
use super::http::{HttpAnswer, HttpClient, HttpError, HttpRequest, Method, StatusCode, Url};
use super::pace::Pacer;
use super::signing::sign_hex;

/// The header of the signature.
pub const SIGNATURE_HEADER: &str = "x-smokejumper-signature";
/// The header of the time that is signed, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "x-smokejumper-timestamp";
/// The header of the delivery's key.
pub const KEY_HEADER: &str = "idempotency-key";

/// Bytes of an answer that are read. Only its status counts.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Characters of an answer that are kept for the timeline.
const DETAIL_CHARS_MAX: usize = 200;

/// One delivery.
#[derive(Debug)]
pub struct Delivery<'d> {
    /// Where to.
    pub url: Url,
    /// Headers of the settings.
    pub headers: Vec<(String, SecretString)>,
    /// The JSON.
    pub body: Vec<u8>,
    /// Signs it, where there is one.
    pub secret: Option<&'d SecretString>,
    /// Stays the same when it is sent again.
    pub key: &'d str,
    /// The time that is signed.
    pub now: Timestamp,
}

/// Posts to webhooks, each at a pace of its own.
#[derive(Debug)]
pub struct WebhookClient {
    http: HttpClient,
    pacer: Pacer,
}

impl WebhookClient {
    /// A client that keeps this pace with each receiver.
    pub fn new(http: HttpClient, quota: Quota) -> Self {
        Self { http, pacer: Pacer::new(quota) }
    }

    /// Delivers. `receiver` is a name to keep its pace by; the address itself may be a secret.
    ///
    /// # Errors
    /// As the table says; never ambiguous, since the key lets the receiver drop a double.
    pub async fn post(&self, receiver: &str, delivery: Delivery<'_>) -> Result<(), SendError> {
        self.pacer.admit(receiver).map_err(|wait| SendError::Paced { wait })?;
        let request =
            request(delivery).map_err(|error| SendError::permanent("not_sendable", error.reason()))?;
        let outcome = match self.http.send(request).await {
            Ok(answer) => read(&answer),
            Err(error) => Err(unanswered(&error)),
        };
        if let Err(SendError::Retry { after: Some(wait), .. }) = &outcome {
            self.pacer.hold(receiver, *wait);
        }
        outcome
    }

    /// Forgets what is idle; called now and then by whoever keeps house.
    pub fn prune(&self) {
        self.pacer.prune();
    }
}

fn request(delivery: Delivery<'_>) -> Result<HttpRequest, HttpError> {
    let seconds = delivery.now.as_second();
    let mut request = HttpRequest::new(Method::POST, delivery.url)
        .answer_bytes_max(ANSWER_BYTES_MAX)
        .header(KEY_HEADER, delivery.key)?
        .header(TIMESTAMP_HEADER, &seconds.to_string())?;
    if let Some(secret) = delivery.secret {
        let signed = [format!("v1:{seconds}:").as_bytes(), &delivery.body].concat();
        request = request.header(SIGNATURE_HEADER, &format!("v1={}", sign_hex(secret, &signed)))?;
    }
    for (name, value) in &delivery.headers {
        request = request.secret_header(name, value)?;
    }
    Ok(request.body("application/json", delivery.body))
}

/// The table for exchanges without an answer. The address stays out: of many receivers whoever knows its path may post.
fn unanswered(error: &HttpError) -> SendError {
    let reason = error.reason();
    if error.permanent() {
        SendError::permanent("not_sendable", reason)
    } else {
        SendError::unknown(Repeat::Harmless, reason)
    }
}

/// The table from statuses: 2xx is done, 429, 408 and 5xx come again, everything else is refused for good.
fn read(answer: &HttpAnswer) -> Result<(), SendError> {
    let status = answer.status;
    if status.is_success() {
        return Ok(());
    }
    if status.is_redirection() {
        let reason = format!("HTTP {}: redirects are not followed, write the final address", status.as_u16());
        return Err(SendError::permanent("redirect", reason));
    }
    let words = String::from_utf8_lossy(&answer.body);
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let reason = cut_chars(format!("HTTP {} {words}", status.as_u16()).trim_end(), DETAIL_CHARS_MAX);
    let again = status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
    if again || status.is_server_error() {
        Err(SendError::Retry { after: answer.retry_after(), reason })
    } else {
        Err(SendError::permanent(format!("http_{}", status.as_u16()), reason))
    }
}
