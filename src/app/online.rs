//! `smokejumper check --online`: asks each service of the settings whether it would do what we want of it, and says what is
//! wrong in words of its own.
//!
//! Only reads: nothing is posted, paged or silenced. Each setting is looked at for itself, so that one that is wrong hides
//! no other. The rooms are [`messengers`], [`monitors`] and [`connections`].

mod connections;
mod messengers;
mod monitors;

use super::rulebook;
use crate::domain::notification::Destination;
use crate::engine::clock::SystemClock;
use crate::engine::ports::Clock as _;
use crate::rules::book::RuleBook;
use crate::secret::Keyring;
use crate::settings::{Settings, SettingsError};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Clocks that differ by more make times in messages wrong, and signatures too old.
const CLOCKS_DIFFER_MAX: SignedDuration = SignedDuration::from_secs(30);

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// As it should be.
    Good,
    /// It works, or could not be looked at.
    Doubtful,
    /// It does not work.
    Bad,
}

impl Standing {
    /// The word of the JSON output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Doubtful => "doubtful",
            Self::Bad => "bad",
        }
    }
}

/// What was seen of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which, as a path of keys.
    pub setting: String,
    /// How it stands.
    pub standing: Standing,
    /// In a sentence.
    pub message: String,
    /// The way out.
    pub help: Option<String>,
}

/// Collects what is seen of one section.
#[derive(Default)]
struct Report(Vec<Seen>);

impl Report {
    fn add(&mut self, standing: Standing, setting: &str, message: impl Into<String>) -> &mut Seen {
        self.0.push(Seen { setting: setting.to_owned(), standing, message: message.into(), help: None });
        self.0.last_mut().expect("it was just put there")
    }

    fn good(&mut self, setting: &str, message: impl Into<String>) {
        self.add(Standing::Good, setting, message);
    }

    fn doubtful(&mut self, setting: &str, message: impl Into<String>, help: impl Into<String>) {
        self.add(Standing::Doubtful, setting, message).help = Some(help.into());
    }

    fn bad(&mut self, setting: &str, message: impl Into<String>, help: impl Into<String>) {
        self.add(Standing::Bad, setting, message).help = Some(help.into());
    }

    /// The clocks of the other side and of this machine.
    fn clocks(&mut self, setting: &str, whose: &str, theirs: Option<Timestamp>) {
        let Some(theirs) = theirs else { return };
        let differs = SystemClock.now().duration_since(theirs);
        if differs.abs() > CLOCKS_DIFFER_MAX {
            let direction = if differs.is_positive() { "behind" } else { "ahead of" };
            let message =
                format!("the clock of {whose} is {} s {direction} this machine's", differs.abs().as_secs());
            self.doubtful(setting, message, "let both machines set their clocks by NTP");
        }
    }
}

/// What all the looks need.
struct Looker<'s> {
    settings: &'s Settings,
    keyring: Keyring,
    book: Option<Arc<RuleBook>>,
}

/// Looks at everything that the settings name.
///
/// # Errors
/// Settings that cannot be used; `check` without `--online` says more about them.
pub async fn look(
    config: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<Seen>, SettingsError> {
    crate::clients::http::install_crypto_provider();
    let settings = Settings::load(config, environment)?;
    let keyring = Keyring::new(environment.clone());
    let book = rulebook::open(&settings).ok();
    let looker = Looker { settings: &settings, keyring, book };
    let (slack, pagerduty, alertmanager, prometheus, connections) = tokio::join!(
        looker.slack(),
        looker.pagerduty(),
        looker.alertmanager(),
        looker.prometheus(),
        looker.connections()
    );
    let redactor = looker.keyring.redactor();
    let mut seen = [slack, pagerduty, alertmanager, prometheus, connections].concat();
    for one in &mut seen {
        one.message = redactor.redact(&one.message).into_owned();
    }
    Ok(seen)
}

impl Looker<'_> {
    /// Every destination that settings and rules name.
    fn destinations(&self) -> BTreeSet<Destination> {
        let escalation = &self.settings.escalation;
        let mut found: BTreeSet<Destination> =
            escalation.fallback.iter().chain(escalation.unmatched.iter().flatten()).cloned().collect();
        if let Some(book) = &self.book {
            for policy in book.current().policies().values() {
                found.extend(policy.levels.iter().flat_map(|level| level.destinations.iter().cloned()));
                found.extend(policy.fallback.iter().cloned());
            }
            found.extend(book.current().checks().values().flat_map(|kept| kept.check.report.iter().cloned()));
        }
        let slack = self.settings.slack.as_ref();
        found.extend(
            slack
                .and_then(|slack| slack.default_channel.clone())
                .map(|channel| Destination::Slack { channel }),
        );
        found
    }
}
