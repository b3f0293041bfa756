//! Secrets: where they come from, and how they stay out of sight.
//!
//! Settings hold only references ([`SecretSource`]): the name of an environment variable or the path of a file. A
//! [`Keyring`] resolves them, hands out [`Secret`]s that follow a changing file, and knows every live value, so that
//! a [`Redactor`](smokejumper_domain::redact::Redactor) can take them out of anything that leaves the process.
//! Nothing here prints, serialises or compares a value. The module imports nothing of the house but the redactor
//! and the YAML reader's way to hide a value, so every floor may use it.

mod fresh;
mod keyring;
mod source;

pub use fresh::Fresh;
pub use keyring::{Keyring, LiveText, Secret, SecretError, SecretSet};
pub use source::{SECRETS_LIVE_MAX, SecretSource, SecretSources};
