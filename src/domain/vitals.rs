//! Vital signs: whether the responder can trust what it sees, and whether something larger than one target is wrong.
//!
//! They are taken together with the evidence. A sign that cannot be had is bad news: who cannot see must not act alone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one sign says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// All is well, in these words.
    Good(String),
    /// Monitoring itself does not work: no answer from Prometheus, no Watchdog, a clock that jumped.
    Blind(String),
    /// The cluster cannot be seen: its API does not answer, or tells less than it must. Blind for what would be done to
    /// objects of the cluster, and for nothing else.
    BlindInCluster(String),
    /// Much is wrong at once: nodes, the cluster's API, a large share of all targets.
    Widespread(String),
}

impl Sign {
    /// The words.
    pub fn text(&self) -> &str {
        match self {
            Self::Good(text) | Self::Blind(text) | Self::BlindInCluster(text) | Self::Widespread(text) => {
                text
            }
        }
    }
}

/// Name of the sign that says whether the cluster's API works.
pub const CLUSTER_API: &str = "cluster";

/// All signs that are configured, by name, taken at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vitals {
    /// When.
    pub at: Timestamp,
    /// What each says. Empty where nothing is configured that could say anything.
    pub signs: BTreeMap<String, Sign>,
}

impl Vitals {
    /// Nothing is configured that could say anything.
    pub fn none(at: Timestamp) -> Self {
        Self { at, signs: BTreeMap::new() }
    }

    /// Why the cluster's API does not work, where somebody looked and it does not.
    pub fn cluster_is_dark(&self) -> Option<&str> {
        match self.signs.get(CLUSTER_API) {
            Some(Sign::BlindInCluster(text)) => Some(text),
            _ => None,
        }
    }

    /// The first sign that fits.
    pub fn first(&self, fits: impl Fn(&Sign) -> bool) -> Option<(&str, &Sign)> {
        self.signs.iter().find(|(_, sign)| fits(sign)).map(|(name, sign)| (name.as_str(), sign))
    }
}
