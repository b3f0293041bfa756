//! Tells people: Slack, PagerDuty, webhooks, mail and Teams, one folder or file for each kind of destination.
//!
//! A notifier turns a notice of the engine into one exchange with its vendor, and the vendor's answer into what the
//! engine may do next. It keeps nothing that must survive a restart, never decides whom to tell, and never sends text
//! from outside as it came. When in doubt it sends twice rather than not at all: a repeated message is harmless,
//! since its buttons carry only what the store knows anyway.

pub mod email;
mod message;
pub mod pagerduty;
pub mod paper;
pub mod slack;
pub mod teams;
pub mod webhook;
mod words;

use jiff::Timestamp;

use crate::clients::answer::SendError;
use crate::domain::notification::{Destination, Notice};
use crate::domain::redact::Redactor;
use crate::domain::scheduled::CheckReport;
use crate::engine::ports::{Delivered, IncidentView, Notifier, PortFuture, Sending};
use email::EmailNotifier;
use pagerduty::PagerDutyNotifier;
use slack::SlackNotifier;
use teams::TeamsNotifier;
use webhook::WebhookNotifier;

/// All notifiers of the process, behind the engine's port.
#[derive(Debug, Default)]
pub struct Notifiers {
    /// Slack, where it is configured.
    pub slack: Option<SlackNotifier>,
    /// PagerDuty, where it is configured.
    pub pagerduty: Option<PagerDutyNotifier>,
    /// Webhooks, where there are any.
    pub webhooks: Option<WebhookNotifier>,
    /// Mail, where it is configured.
    pub email: Option<EmailNotifier>,
    /// Microsoft Teams, where it is configured.
    pub teams: Option<TeamsNotifier>,
}

impl Notifier for Notifiers {
    fn notify<'a>(
        &'a self,
        destination: &'a Destination,
        notice: &'a Notice,
        view: &'a IncidentView,
        now: Timestamp,
    ) -> PortFuture<'a, Delivered> {
        self.deliver(Sending::once(now), destination, notice, view, now)
    }

    fn deliver<'a>(
        &'a self,
        sending: Sending<'a>,
        destination: &'a Destination,
        notice: &'a Notice,
        view: &'a IncidentView,
        now: Timestamp,
    ) -> PortFuture<'a, Delivered> {
        let key = sending.key;
        Box::pin(async move {
            match destination {
                Destination::Slack { channel } => match &self.slack {
                    Some(slack) => slack.notify(channel, destination, notice, view, sending, now).await,
                    None => not_configured("Slack", "slack.bot_token"),
                },
                Destination::PagerDuty { service } => match &self.pagerduty {
                    Some(pagerduty) => pagerduty.notify(service, notice, view).await,
                    None => not_configured("PagerDuty", "pagerduty.services"),
                },
                Destination::Webhook { name } => match &self.webhooks {
                    Some(webhooks) => webhooks.notify(name, key, notice, view, now).await,
                    None => not_configured("a webhook", "webhooks"),
                },
                Destination::Email { to } => match &self.email {
                    Some(email) => email.notify(to, key, notice, view).await,
                    None => not_configured("mail", "email.host"),
                },
                Destination::Teams { channel } => match &self.teams {
                    Some(teams) => teams.notify(channel, key, notice, view, now).await,
                    None => not_configured("Teams", "teams.channels"),
                },
            }
        })
    }

    fn report<'a>(
        &'a self,
        sending: Sending<'a>,
        destination: &'a Destination,
        report: &'a CheckReport,
        now: Timestamp,
    ) -> PortFuture<'a, Delivered> {
        let key = sending.key;
        Box::pin(async move {
            match destination {
                Destination::Slack { channel } => match &self.slack {
                    Some(slack) => slack.report(channel, sending, report, now).await,
                    None => not_configured("Slack", "slack.bot_token"),
                },
                Destination::PagerDuty { .. } => {
                    Delivered::Never { reason: "PagerDuty takes no reports".to_owned() }
                }
                Destination::Webhook { name } => match &self.webhooks {
                    Some(webhooks) => webhooks.report(name, key, report, now).await,
                    None => not_configured("a webhook", "webhooks"),
                },
                Destination::Email { to } => match &self.email {
                    Some(email) => email.report(to, key, report).await,
                    None => not_configured("mail", "email.host"),
                },
                Destination::Teams { channel } => match &self.teams {
                    Some(teams) => teams.report(channel, key, report, now).await,
                    None => not_configured("Teams", "teams.channels"),
                },
            }
        })
    }
}

fn not_configured(name: &str, setting: &str) -> Delivered {
    Delivered::Never { reason: format!("{name} is not configured: set {setting} in the settings") }
}

/// What the engine may do after a failed exchange. An unclear end is tried again: for people a duplicate is better
/// than a miss. The reason goes into the timeline, and the other side may have quoted what we sent.
fn after(error: SendError, redactor: &Redactor) -> Delivered {
    let clean = |reason: String| redactor.redact(&reason).into_owned();
    match error {
        SendError::Paced { wait } => Delivered::Paced { wait, reason: "its pace is kept".to_owned() },
        // The server was reached and asked for patience; that is no failure of the destination.
        SendError::Retry { after: Some(wait), reason } => Delivered::Paced { wait, reason: clean(reason) },
        SendError::Retry { after: None, reason } | SendError::Ambiguous { reason } => {
            Delivered::Later { wait: None, reason: clean(reason), failed: true }
        }
        SendError::Permanent { code, reason } => {
            Delivered::Never { reason: clean(format!("{code}: {reason}")) }
        }
    }
}

#[cfg(test)]
pub(crate) mod stories;
