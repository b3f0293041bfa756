//! Tells people: Slack and PagerDuty, one folder for each kind of destination.
//!
//! A notifier turns a notice of the engine into one exchange with its vendor, and the vendor's answer into what the
//! engine may do next. It keeps nothing that must survive a restart, never decides whom to tell, and never sends text
//! from outside as it came. When in doubt it sends twice rather than not at all: a repeated message is harmless,
//! since its buttons carry only what the store knows anyway.

pub mod pagerduty;
pub mod slack;
mod words;

use jiff::Timestamp;

use crate::clients::answer::SendError;
use crate::domain::notification::{Destination, Notice};
use crate::engine::ports::{Delivered, IncidentView, Notifier, PortFuture};
use pagerduty::PagerDutyNotifier;
use slack::SlackNotifier;

/// All notifiers of the process, behind the engine's port.
#[derive(Debug, Default)]
pub struct Notifiers {
    /// Slack, where it is configured.
    pub slack: Option<SlackNotifier>,
    /// PagerDuty, where it is configured.
    pub pagerduty: Option<PagerDutyNotifier>,
}

impl Notifier for Notifiers {
    fn notify<'a>(
        &'a self,
        destination: &'a Destination,
        notice: &'a Notice,
        view: &'a IncidentView,
        now: Timestamp,
    ) -> PortFuture<'a, Delivered> {
        Box::pin(async move {
            match destination {
                Destination::Slack { channel } => match &self.slack {
                    Some(slack) => slack.notify(channel, destination, notice, view, now).await,
                    None => not_configured("Slack", "slack.bot_token"),
                },
                Destination::PagerDuty { service } => match &self.pagerduty {
                    Some(pagerduty) => pagerduty.notify(service, notice, view).await,
                    None => not_configured("PagerDuty", "pagerduty.services"),
                },
            }
        })
    }
}

fn not_configured(name: &str, setting: &str) -> Delivered {
    Delivered::Never { reason: format!("{name} is not configured: set {setting} in the settings") }
}

/// What the engine may do after a failed exchange. An unclear end is tried again: for people a duplicate is better
/// than a miss.
fn after(error: SendError) -> Delivered {
    match error {
        SendError::Paced { wait } => Delivered::Paced { wait, reason: "its pace is kept".to_owned() },
        // The server was reached and asked for patience; that is no failure of the destination.
        SendError::Retry { after: Some(wait), reason } => Delivered::Paced { wait, reason },
        SendError::Retry { after: None, reason } | SendError::Ambiguous { reason } => {
            Delivered::Later { wait: None, reason, failed: true }
        }
        SendError::Permanent { code, reason } => Delivered::Never { reason: format!("{code}: {reason}") },
    }
}

#[cfg(test)]
pub(crate) mod stories;
