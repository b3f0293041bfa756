//! Checks that a webhook comes from a Grafana that knows our secret.
//!
//! Grafana signs with HMAC-SHA256 and sends bare hexadecimal digits, by default in `X-Grafana-Alerting-Signature`: over
//! the raw body, or over `TIMESTAMP:BODY` where the contact point names a header for the timestamp. Without one a
//! request that somebody recorded stays good for ever (Grafana documentation, "Configure webhook notifications").
//! The body itself has the shape of Alertmanager's, and [`super::alertmanager`] reads it.

use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

use super::signing::{Keys, decode_tag, parse_seconds};

/// The header of the signature where the contact point does not name another.
pub const SIGNATURE_HEADER: &str = "X-Grafana-Alerting-Signature";

/// Signed timestamps this far from our clock, on either side, are refused.
pub const WINDOW: Duration = Duration::from_secs(300);

/// Why a request is not taken for Grafana's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The timestamp is not a plain number of seconds, or missing.
    #[error("the timestamp is not a number of seconds")]
    Timestamp,
    /// The timestamp is too far from our clock.
    #[error("the timestamp is more than 300 seconds away from this machine's clock")]
    Stale,
    /// The signature is of another body or by another secret, or is not one.
    #[error("the signature does not match")]
    Mismatch,
}

/// Checks the signature of a body. `timestamp` is the value of its header where one is set up.
///
/// # Errors
/// Says which check failed; a sender should be told no more than 401.
pub fn verify_signature(
    keys: &Keys,
    timestamp: Option<&str>,
    raw_body: &[u8],
    signature: &str,
    now: Timestamp,
) -> Result<(), SignatureError> {
    let tag = decode_tag(signature).ok_or(SignatureError::Mismatch)?;
    let matches = match timestamp {
        None => keys.match_tag(raw_body, &tag),
        Some(text) => {
            let seconds = parse_seconds(text).ok_or(SignatureError::Timestamp)?;
            if now.as_second().abs_diff(seconds) > WINDOW.as_secs() {
                return Err(SignatureError::Stale);
            }
            keys.match_tag(&[text.as_bytes(), b":", raw_body].concat(), &tag)
        }
    };
    if matches { Ok(()) } else { Err(SignatureError::Mismatch) }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::clients::signing::sign_hex;

    const BODY: &[u8] = br#"{"alerts":[]}"#;

    fn mk_secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    fn check(secrets: &[&str], timestamp: Option<&str>, signature: &str) -> Result<(), SignatureError> {
        let secrets: Vec<_> = secrets.iter().map(|text| mk_secret(text)).collect();
        let keys = Keys::new(&secrets).expect("good secrets");
        let now = Timestamp::from_second(1_800_000_000).expect("in range");
        verify_signature(&keys, timestamp, BODY, signature, now)
    }

    #[test]
    fn a_body_is_taken_with_either_of_two_secrets_and_no_other() {
        let signature = sign_hex(&mk_secret("new"), BODY);
        assert_eq!(check(&["new"], None, &signature), Ok(()));
        assert_eq!(check(&["old", "new"], None, &signature), Ok(()));
        assert_eq!(check(&["old"], None, &signature), Err(SignatureError::Mismatch));
        for odd in ["", "v1=ab", &signature.to_uppercase(), &signature[2..]] {
            assert_eq!(check(&["new"], None, odd), Err(SignatureError::Mismatch), "{odd}");
        }
    }

    #[test]
    fn a_timestamp_is_signed_as_well_and_must_be_fresh() {
        let signed = |timestamp: &str| {
            sign_hex(&mk_secret("s"), format!("{timestamp}:{}", String::from_utf8_lossy(BODY)).as_bytes())
        };
        let now = "1800000000";
        assert_eq!(check(&["s"], Some(now), &signed(now)), Ok(()));
        assert_eq!(check(&["s"], Some("1800000300"), &signed("1800000300")), Ok(()));
        assert_eq!(check(&["s"], Some("1799999699"), &signed("1799999699")), Err(SignatureError::Stale));
        assert_eq!(check(&["s"], Some("1800000001"), &signed(now)), Err(SignatureError::Mismatch));
        for odd in ["", "+1800000000", "now"] {
            assert_eq!(check(&["s"], Some(odd), &signed(odd)), Err(SignatureError::Timestamp), "{odd}");
        }
        let unsigned_time = sign_hex(&mk_secret("s"), BODY);
        assert_eq!(check(&["s"], Some(now), &unsigned_time), Err(SignatureError::Mismatch));
    }

    #[test]
    fn no_secret_or_an_empty_one_makes_no_keys() {
        let keys = |texts: &[&str]| Keys::new(&texts.iter().map(|text| mk_secret(text)).collect::<Vec<_>>());
        assert!(keys(&[]).is_none() && keys(&[" "]).is_none() && keys(&["a", ""]).is_none());
        assert!(keys(&["a", "b", "c"]).is_none());
        assert_eq!(format!("{:?}", keys(&["a", "b"]).expect("two")), "Keys(2 of them)");
    }
}
