//! Resolves references to secrets, follows files that change, and knows what to redact.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use secrecy::{ExposeSecret, SecretString};
use smokejumper_domain::redact::{KNOWN_SECRET_CHARS_MIN, Redactor};

use super::source::{SecretSource, SecretSources};

/// How long a value read from a file is used before the file is looked at again. Rotation tools keep the old value
/// valid for minutes; a second costs nothing and keeps the disk out of the way of each request.
const FILE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Largest secret file. Keys and tokens are far smaller; anything larger is the wrong file.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Values of one source that stay on the list of the redactor. A value that was replaced may still be valid at its
/// issuer, and may still stand in a text that is quoted later.
const REMEMBERED_VALUES_MAX: usize = 8;

/// Why a secret cannot be used. Names the reference, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not there.
    #[error("the environment variable {0}, which holds a secret, is not set")]
    NotSet(String),
    /// The file cannot be read.
    #[error("{source_name} cannot be read: {reason}")]
    Unreadable {
        /// The reference.
        source_name: String,
        /// The operating system's words.
        reason: String,
    },
    /// Nothing but white space.
    #[error("{0} is empty")]
    Empty(String),
    /// So short that it would be guessed, and could not be told from ordinary words in a log.
    #[error("{0} is shorter than {KNOWN_SECRET_CHARS_MIN} characters: that is no secret")]
    TooShort(String),
    /// A larger file than any secret needs.
    #[error("{0} is larger than {SECRET_BYTES_MAX} bytes: is it the right file?")]
    TooLarge(String),
}

/// All secrets of the process. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    environment: BTreeMap<String, String>,
    check_interval: Duration,
    opened: Mutex<BTreeMap<SecretSource, Secret>>,
    /// Every value ever live, newest last, by source.
    known: Mutex<BTreeMap<SecretSource, Vec<SecretString>>>,
    redactor: ArcSwap<Redactor>,
}

impl Keyring {
    /// Resolves `{ env: … }` from the given variables and `{ file: … }` from the disk.
    pub fn new(environment: BTreeMap<String, String>) -> Self {
        Self::checking_files_every(environment, FILE_CHECK_INTERVAL)
    }

    /// As [`Keyring::new`], with another time between two looks at a file.
    pub(crate) fn checking_files_every(
        environment: BTreeMap<String, String>,
        check_interval: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            environment,
            check_interval,
            opened: Mutex::default(),
            known: Mutex::default(),
            redactor: ArcSwap::from_pointee(Redactor::default()),
        }))
    }

    /// Resolves one reference and keeps it. The same reference gives the same [`Secret`] again.
    ///
    /// # Errors
    /// Where the value is absent, unreadable, empty, too short or too large: a door must not open with such a key.
    pub fn open(&self, source: &SecretSource) -> Result<Secret, SecretError> {
        if let Some(secret) = lock(&self.0.opened).get(source) {
            return Ok(secret.clone());
        }
        let value = self.0.read(source)?;
        self.0.remember(source, &value);
        let state = State { value, checked_at: Instant::now(), failing: false };
        let secret =
            Secret(Arc::new(Live { source: source.clone(), ring: self.clone(), state: Mutex::new(state) }));
        lock(&self.0.opened).insert(source.clone(), secret.clone());
        Ok(secret)
    }

    /// Resolves all live values of one setting. An absent setting gives an empty set.
    ///
    /// # Errors
    /// As [`Keyring::open`], for the first reference that fails.
    pub fn open_all(&self, sources: &SecretSources) -> Result<SecretSet, SecretError> {
        sources.iter().map(|source| self.open(source)).collect::<Result<_, _>>().map(SecretSet)
    }

    /// The redactor that knows every value seen so far. Take it anew for each text: it changes with the files.
    pub fn redactor(&self) -> Arc<Redactor> {
        self.0.redactor.load_full()
    }
}

/// Shows how many secrets there are, and nothing of them.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("opened", &lock(&self.0.opened).len()).finish_non_exhaustive()
    }
}

impl Inner {
    fn read(&self, source: &SecretSource) -> Result<SecretString, SecretError> {
        let raw = match source {
            SecretSource::Env(name) => {
                self.environment.get(name).cloned().ok_or_else(|| SecretError::NotSet(name.clone()))?
            }
            SecretSource::File(path) => read_file(path, source)?,
        };
        // Editors and `echo` end a file with a line break that is not part of the secret.
        let value = raw.strip_suffix('\n').map_or(raw.as_str(), |cut| cut.strip_suffix('\r').unwrap_or(cut));
        if value.trim().is_empty() {
            return Err(SecretError::Empty(source.to_string()));
        }
        if value.chars().count() < KNOWN_SECRET_CHARS_MIN {
            return Err(SecretError::TooShort(source.to_string()));
        }
        Ok(SecretString::from(value))
    }

    /// Puts a value on the redactor's list.
    fn remember(&self, source: &SecretSource, value: &SecretString) {
        let mut known = lock(&self.known);
        let values = known.entry(source.clone()).or_default();
        if values.iter().any(|old| old.expose_secret() == value.expose_secret()) {
            return;
        }
        if values.len() == REMEMBERED_VALUES_MAX {
            values.remove(0);
        }
        values.push(value.clone());
        let redactor = Redactor::new(known.values().flatten().map(ExposeSecret::expose_secret));
        self.redactor.store(Arc::new(redactor));
    }
}

fn read_file(path: &Path, source: &SecretSource) -> Result<String, SecretError> {
    let unreadable = |error: std::io::Error| SecretError::Unreadable {
        source_name: source.to_string(),
        reason: error.to_string(),
    };
    if std::fs::metadata(path).map_err(unreadable)?.len() > SECRET_BYTES_MAX {
        return Err(SecretError::TooLarge(source.to_string()));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// One secret that follows its source. Cheap to clone. Never shows its value.
#[derive(Clone)]
pub struct Secret(Arc<Live>);

struct Live {
    source: SecretSource,
    ring: Keyring,
    state: Mutex<State>,
}

struct State {
    value: SecretString,
    checked_at: Instant,
    /// Whether the last look at the file failed, so that it is logged once and not each second.
    failing: bool,
}

impl Secret {
    /// The value now. A file is looked at again at most once a second; while it cannot be read, or is empty, the last
    /// good value stays: a half-written file must not lock everybody out.
    pub fn current(&self) -> SecretString {
        let mut state = lock(&self.0.state);
        let follows = matches!(self.0.source, SecretSource::File(_));
        if follows && state.checked_at.elapsed() >= self.0.ring.0.check_interval {
            state.checked_at = Instant::now();
            self.look_again(&mut state);
        }
        state.value.clone()
    }

    fn look_again(&self, state: &mut State) {
        match self.0.ring.0.read(&self.0.source) {
            Ok(value) => {
                state.failing = false;
                if value.expose_secret() != state.value.expose_secret() {
                    // On the redactor's list first: from here on the value may turn up in a log.
                    self.0.ring.0.remember(&self.0.source, &value);
                    state.value = value;
                    tracing::info!(secret.source = %self.0.source, "a secret has changed and is in use");
                }
            }
            Err(error) if !state.failing => {
                state.failing = true;
                tracing::warn!(
                    secret.source = %self.0.source, %error,
                    "a secret cannot be read again; its last value stays in use"
                );
            }
            Err(_) => {}
        }
    }
}

/// Shows where it comes from.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.source, f)
    }
}

/// A text of the settings that may be a secret, such as the value of a header.
#[derive(Debug, Clone)]
pub enum LiveText {
    /// Anybody may see it.
    Plain(String),
    /// It follows its source, and is never shown.
    Secret(Secret),
}

impl LiveText {
    /// The value now. A plain one is kept out of sight as well: it is on its way beside secrets.
    pub fn current(&self) -> SecretString {
        match self {
            Self::Plain(text) => SecretString::from(text.as_str()),
            Self::Secret(secret) => secret.current(),
        }
    }
}

/// All live values of one setting: one, or two while it is being rotated; none where the setting is absent.
#[derive(Debug, Clone, Default)]
pub struct SecretSet(Vec<Secret>);

impl SecretSet {
    /// The values that are accepted now.
    pub fn current(&self) -> impl Iterator<Item = SecretString> + '_ {
        self.0.iter().map(Secret::current)
    }

    /// The value to send: the first one named. `None` where the setting is absent.
    pub fn first(&self) -> Option<&Secret> {
        self.0.first()
    }

    /// Whether the setting is absent.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Any secret of any of the sets is accepted.
impl FromIterator<SecretSet> for SecretSet {
    fn from_iter<I: IntoIterator<Item = SecretSet>>(sets: I) -> Self {
        Self(sets.into_iter().flat_map(|set| set.0).collect())
    }
}

/// A panic elsewhere leaves plain values behind, never half-written ones, so a poisoned lock is still sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
