//! Checks that a request comes from Slack and is fresh.
//!
//! Slack signs `v0:<timestamp>:<raw body>` with HMAC-SHA256 and sends `v0=<hex>`; the check runs over the raw
//! bytes, before anything is parsed. A good signature says only that Slack sent the request: which workspace,
//! app, channel and person are allowed is for the caller to decide.

use std::time::Duration;

use jiff::Timestamp;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

/// Requests this far from our clock, on either side, are refused (Slack's own rule).
pub const WINDOW: Duration = Duration::from_secs(300);

/// Secrets that may be valid at once: the current one and, while rotating, the next.
pub const SIGNING_SECRETS_MAX: usize = 2;

/// The secrets that a signature is checked against; never empty.
#[derive(Clone)]
pub struct SigningSecrets(Vec<hmac::Key>);

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
        let blank = secrets.iter().any(|secret| secret.expose_secret().trim().is_empty());
        if blank || secrets.is_empty() || secrets.len() > SIGNING_SECRETS_MAX {
            return Err(SignatureError::Secrets);
        }
        let key =
            |secret: &SecretString| hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        Ok(Self(secrets.iter().map(key).collect()))
    }
}

impl std::fmt::Debug for SigningSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningSecrets({} of them)", self.0.len())
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
    // Every secret is tried, so that the time taken does not tell which one matched; `verify` itself compares
    // in constant time.
    let matched =
        secrets.0.iter().map(|key| hmac::verify(key, &signed, &tag).is_ok()).fold(false, |a, b| a | b);
    if matched { Ok(()) } else { Err(SignatureError::Mismatch) }
}

/// Signs as Slack does: what stand-ins and tests send.
pub fn sign(secret: &SecretString, timestamp: &str, raw_body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let signed = [b"v0:", timestamp.as_bytes(), b":", raw_body].concat();
    format!("v0={}", hex::encode(hmac::sign(&key, &signed)))
}

fn check_fresh(timestamp: &str, now: Timestamp) -> Result<(), SignatureError> {
    // `parse` alone would take a leading plus sign.
    if timestamp.is_empty() || !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SignatureError::Timestamp);
    }
    let seconds: i64 = timestamp.parse().map_err(|_| SignatureError::Timestamp)?;
    if now.as_second().abs_diff(seconds) > WINDOW.as_secs() {
        return Err(SignatureError::Stale);
    }
    Ok(())
}

/// The 32 bytes of `v0=<64 lower-case hex digits>`; anything else is not a signature of Slack's.
fn decode_tag(signature: &str) -> Option<[u8; 32]> {
    let digits = signature.strip_prefix("v0=")?;
    if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut tag = [0; 32];
    hex::decode_to_slice(digits, &mut tag).ok()?;
    Some(tag)
}
