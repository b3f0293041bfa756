//! Checks that a request comes from Slack and is fresh.
//!
//! Slack signs `v0:<timestamp>:<raw body>` with HMAC-SHA256 and sends `v0=<hex>`; the check runs over the raw
//! bytes, before anything is parsed. A good signature says only that Slack sent the request: which workspace,
//! app, channel and person are allowed is for the caller to decide.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use thiserror::Error;

use crate::clients::signing::{self, Keys, parse_seconds};

/// Requests this far from our clock, on either side, are refused (Slack's own rule).
pub const WINDOW: Duration = Duration::from_secs(300);

/// The secrets that a signature is checked against; never empty.
#[derive(Debug, Clone)]
pub struct SigningSecrets(Keys);

/// Why a request is not taken for Slack's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Not one or two secrets, or one of them is empty.
    #[error("slack.signing_secret: give one secret, or two while rotating, and none of them empty")]
    Secrets,
    /// The timestamp is not a plain number of seconds.
    #[error("the request timestamp is not a number of seconds")]
    Timestamp,
    /// The timestamp is too far from our clock.
    #[error("the request timestamp is more than 300 seconds away from this machine's clock")]
    Stale,
    /// The signature is of another body or by another secret, or is not one.
    #[error("the signature does not match")]
    Mismatch,
}

impl SigningSecrets {
    /// Takes the current secret and, while rotating, a second one.
    ///
    /// # Errors
    /// [`SignatureError::Secrets`] for none, more than two, or a blank one: with an empty secret anyone could
    /// sign.
    pub fn new(secrets: &[SecretString]) -> Result<Self, SignatureError> {
        Keys::new(secrets).map(Self).ok_or(SignatureError::Secrets)
    }
}

/// Checks the headers `X-Slack-Request-Timestamp` and `X-Slack-Signature` of a request.
///
/// # Errors
/// Says which check failed; a sender should be told no more than 401.
pub fn verify_signature(
    secrets: &SigningSecrets,
    timestamp: &str,
    raw_body: &[u8],
    signature: &str,
    now: Timestamp,
) -> Result<(), SignatureError> {
    check_fresh(timestamp, now)?;
    let tag = decode_tag(signature).ok_or(SignatureError::Mismatch)?;
    let signed = [b"v0:", timestamp.as_bytes(), b":", raw_body].concat();
    if secrets.0.match_tag(&signed, &tag) { Ok(()) } else { Err(SignatureError::Mismatch) }
}

/// Signs as Slack does: what stand-ins and tests send.
pub fn sign(secret: &SecretString, timestamp: &str, raw_body: &[u8]) -> String {
    let signed = [b"v0:", timestamp.as_bytes(), b":", raw_body].concat();
    format!("v0={}", signing::sign_hex(secret, &signed))
}

fn check_fresh(timestamp: &str, now: Timestamp) -> Result<(), SignatureError> {
    let seconds = parse_seconds(timestamp).ok_or(SignatureError::Timestamp)?;
    if now.as_second().abs_diff(seconds) > WINDOW.as_secs() {
        return Err(SignatureError::Stale);
    }
    Ok(())
}

/// The 32 bytes of `v0=<64 lower-case hex digits>`; anything else is not a signature of Slack's.
fn decode_tag(signature: &str) -> Option<[u8; 32]> {
    signing::decode_tag(signature.strip_prefix("v0=")?)
}
