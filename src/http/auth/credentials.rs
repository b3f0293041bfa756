//! Compares what a caller shows with what is accepted, in a time that depends on neither.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};
use secrecy::ExposeSecret as _;
use subtle::{Choice, ConstantTimeEq as _};

use crate::secret::SecretSet;

/// One way for a sender to show who it is. Each holds up to two live values, for rotation.
#[derive(Debug)]
pub enum Credential {
    /// `Authorization: Bearer …`.
    Bearer(SecretSet),
    /// `Authorization: Basic …`.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: SecretSet,
    },
    /// A header of any name with a secret value.
    Header {
        /// The header's name.
        name: HeaderName,
        /// Its value.
        value: SecretSet,
    },
}

impl Credential {
    /// Whether the request shows this credential.
    pub(super) fn accepts(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Bearer(tokens) => bearer_token(headers).is_some_and(|shown| is_one_of(tokens, shown)),
            Self::Basic { username, password } => basic(headers).is_some_and(|(user, shown)| {
                // Both are always compared: the time must not tell whether the user exists.
                let user = same(username.as_bytes(), &user);
                let password = matching(password, &shown);
                (user & password).into()
            }),
            Self::Header { name, value } => {
                only(headers, name).is_some_and(|shown| is_one_of(value, shown.as_bytes()))
            }
        }
    }
}

/// The token of `Authorization: Bearer …`, if the request shows exactly one.
pub(super) fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    after_scheme(headers, b"bearer")
}

/// Whether the value is one of the live ones.
pub(super) fn is_one_of(live: &SecretSet, shown: &[u8]) -> bool {
    matching(live, shown).into()
}

fn matching(live: &SecretSet, shown: &[u8]) -> Choice {
    live.current()
        .fold(Choice::from(0), |found, secret| found | same(secret.expose_secret().as_bytes(), shown))
}

/// Compares digests, so that neither the common beginning nor the length of the secret shows in the time.
fn same(expected: &[u8], shown: &[u8]) -> Choice {
    let (expected, shown) = (digest(&SHA256, expected), digest(&SHA256, shown));
    expected.as_ref().ct_eq(shown.as_ref())
}

/// User and password of `Authorization: Basic …` (RFC 7617). The password may contain colons.
fn basic(headers: &HeaderMap) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut user = BASE64_STANDARD.decode(after_scheme(headers, b"basic")?).ok()?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    let password = user.split_off(colon + 1);
    user.pop();
    Some((user, password))
}

fn after_scheme<'h>(headers: &'h HeaderMap, scheme: &[u8]) -> Option<&'h [u8]> {
    let value = only(headers, &header::AUTHORIZATION)?.as_bytes().trim_ascii();
    let (name, rest) = value.split_at_checked(scheme.len())?;
    let rest = rest.strip_prefix(b" ")?;
    name.eq_ignore_ascii_case(scheme).then(|| rest.trim_ascii())
}

/// A header that stands exactly once. Two of them may be read differently by a proxy before us.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}
