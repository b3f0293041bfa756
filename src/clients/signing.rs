//! Signatures over raw bodies: HMAC-SHA256 with one of two live secrets, compared in constant time.

use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

/// Secrets that may be valid at once: the current one and, while rotating, the next.
pub const SECRETS_MAX: usize = 2;

/// The keys that a signature is checked against; never empty.
#[derive(Clone)]
pub struct Keys(Vec<hmac::Key>);

impl Keys {
    /// Takes the current secret and, while rotating, a second one. `None` for no secret, more than two, or a blank one:
    /// with an empty secret anyone could sign.
    pub fn new(secrets: &[SecretString]) -> Option<Self> {
        if secrets.len() > SECRETS_MAX {
            return None;
        }
        Self::any_of(secrets)
    }

    /// The same without a bound, for senders that each have a secret of their own.
    pub fn any_of(secrets: &[SecretString]) -> Option<Self> {
        let blank = secrets.iter().any(|secret| secret.expose_secret().trim().is_empty());
        if blank || secrets.is_empty() {
            return None;
        }
        let key =
            |secret: &SecretString| hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        Some(Self(secrets.iter().map(key).collect()))
    }

    /// Whether one of the keys gives this tag. Every key is tried, so that the time taken does not tell which one did;
    /// `verify` itself compares in constant time.
    pub fn match_tag(&self, signed: &[u8], tag: &[u8; 32]) -> bool {
        self.0.iter().map(|key| hmac::verify(key, signed, tag).is_ok()).fold(false, |a, b| a | b)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({} of them)", self.0.len())
    }
}

/// Signs as a sender does: 64 lower-case hexadecimal digits. What stand-ins and tests send.
pub fn sign_hex(secret: &SecretString, signed: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    hex::encode(hmac::sign(&key, signed))
}

/// The 32 bytes of 64 lower-case hexadecimal digits.
pub fn decode_tag(digits: &str) -> Option<[u8; 32]> {
    if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut tag = [0; 32];
    hex::decode_to_slice(digits, &mut tag).ok()?;
    Some(tag)
}

/// Seconds since 1970 as senders write them; nothing but digits.
pub fn parse_seconds(text: &str) -> Option<i64> {
    // `parse` alone would take a leading plus sign.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
