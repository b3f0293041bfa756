//! What the settings know: names outside of rule files that rules refer to.

use std::collections::BTreeSet;

/// Names that the settings define. `None` means that nobody has said, so that nothing is complained about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Keys of `endpoints`.
    pub endpoints: Option<BTreeSet<String>>,
    /// Keys of `pagerduty.services`; empty where PagerDuty is not set up.
    pub pagerduty_services: Option<BTreeSet<String>>,
    /// Whether Slack is set up.
    pub slack: bool,
    /// Slack's channels, where they are known.
    pub slack_channels: Option<BTreeSet<String>>,
    /// Whether Prometheus is set up.
    pub prometheus: bool,
}

impl Known {
    /// For checking rules without settings: every name is taken to exist.
    pub fn everything() -> Self {
        Self {
            endpoints: None,
            pagerduty_services: None,
            slack: true,
            slack_channels: None,
            prometheus: true,
        }
    }
}
