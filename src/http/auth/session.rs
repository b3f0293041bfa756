//! A browser's session: a cookie that shows that somebody once showed a token. It opens pages that are read, and no part
//! of the API.
//!
//! Nothing is stored. The cookie says when it ends, under a seal whose key is the token itself: every replica can check
//! it, and it ends with the token, when that is rotated or taken away. It must never let anybody do more than look.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use ring::hmac;
use secrecy::ExposeSecret as _;

use crate::secret::SecretSet;

/// The cookie's name.
const COOKIE: &str = "smokejumper_session";
/// How long a session lasts: a shift.
pub(super) const SESSION_LASTS: Duration = Duration::from_secs(12 * 60 * 60);
/// Sessions that one browser may show: its own, and those of neighbours on other ports of one machine.
const COOKIES_MAX: usize = 8;
/// What is sealed beside the end, so that no other seal made with a token could ever pass for this one.
const PURPOSE: &str = "smokejumper page session 1";

/// The value of `Set-Cookie` that begins a session.
pub(super) fn begin(token: &[u8], now: Timestamp, only_encrypted: bool) -> String {
    let until = now.as_second().saturating_add(SESSION_LASTS.as_secs().cast_signed());
    let seal = hex::encode(hmac::sign(&key(token), &sealed(until)));
    set(&format!("{until}.{seal}"), SESSION_LASTS.as_secs(), only_encrypted)
}

/// The value of `Set-Cookie` that ends a session.
pub(super) fn end(only_encrypted: bool) -> String {
    set("", 0, only_encrypted)
}

/// `Lax`, since links in messages lead here from other sites and a page that is only read can do no harm. Without a
/// path, the browser takes that of the sign-in, whatever stands in front of it.
fn set(value: &str, seconds: u64, only_encrypted: bool) -> String {
    let secure = if only_encrypted { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

/// A session as a browser shows it.
pub(super) struct Session {
    until: i64,
    seal: Vec<u8>,
}

impl Session {
    /// What a request shows, of what has not ended.
    pub(super) fn shown(headers: &HeaderMap, now: Timestamp) -> Vec<Self> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs =
            cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let own = pairs.filter(|(name, _)| *name == COOKIE).take(COOKIES_MAX);
        let read = own.filter_map(|(_, value)| {
            let (until, seal) = value.split_once('.')?;
            Some(Self { until: until.parse().ok()?, seal: hex::decode(seal).ok()? })
        });
        read.filter(|session| session.until > now.as_second()).collect()
    }

    /// Whether it was begun with one of these tokens.
    pub(super) fn is_of(&self, tokens: &SecretSet) -> bool {
        let sealed = sealed(self.until);
        // All of them are tried, so that the time does not tell which one it was.
        tokens.current().fold(false, |found, token| {
            found | hmac::verify(&key(token.expose_secret().as_bytes()), &sealed, &self.seal).is_ok()
        })
    }
}

fn key(token: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, token)
}

fn sealed(until: i64) -> Vec<u8> {
    format!("{PURPOSE} {until}").into_bytes()
}
