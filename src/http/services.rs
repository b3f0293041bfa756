//! What the handlers need from the rest of the house. Filled by the roof.

use super::meter::DoorMeter;
use super::receive::slack::meter::SocketMeter;
use crate::clients::slack::command::SlashCommand;
use crate::clients::slack::event::HomeOpened;
use crate::clients::slack::signature::SigningSecrets;
use crate::engine::commands::Commands;
use crate::engine::intake::Intake;
use crate::engine::playbook::Playbook;
use crate::engine::ports::{Clock, Ids, IncidentView, Reader, Store};
use crate::secret::SecretSet;
use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::Value;
use std::ops::Deref;
use std::sync::Arc;

/// Brings the rules up to date; answers with a sentence, or with why the old ones are kept.
pub type Reload = dyn Fn() -> Result<String, String> + Send + Sync;

/// Text of the metrics page.
pub type MetricsPage = dyn Fn() -> String + Send + Sync;

/// Writes the record of an incident as JSON, with the document itself under `markdown`.
pub type WriteRecord = dyn Fn(&IncidentView) -> Value + Send + Sync;

/// Opens the form that asks why, for a press that wants a reason: none for any other. What comes out is whether that is the
/// end of the press; else it counts as it is.
pub type AskWhy = dyn Fn(&[u8]) -> Option<BoxFuture<'static, bool>> + Send + Sync;

/// Tells somebody why their press did not count, where no message of ours stands.
pub type TellStray = dyn Fn(Bytes) -> BoxFuture<'static, ()> + Send + Sync;

/// Carries out a slash command; returns what Slack is to show.
pub type Command = dyn Fn(SlashCommand) -> BoxFuture<'static, Value> + Send + Sync;

/// Shows somebody the home tab that they have opened.
pub type OpenHome = dyn Fn(HomeOpened) -> BoxFuture<'static, ()> + Send + Sync;

/// What Slack is answered at once.
pub struct SlackDesk {
    /// Asks why somebody pressed a button, where that is wanted.
    pub ask_why: Arc<AskWhy>,
    /// Answers presses from elsewhere.
    pub tell_stray: Arc<TellStray>,
    /// Carries out slash commands.
    pub command: Arc<Command>,
    /// Shows home tabs.
    pub open_home: Arc<OpenHome>,
}

/// What the handlers need. Cheap to clone: every request does so several times.
#[derive(Clone)]
pub struct Services(Arc<Parts>);

/// What [`Services`] are made of.
pub struct Parts {
    /// Takes deliveries.
    pub intake: Intake,
    /// Carries out what people ask for.
    pub commands: Commands,
    /// The rules, policies and schedules in force.
    pub playbook: Arc<dyn Playbook>,
    /// Reads incidents.
    pub reader: Arc<dyn Reader>,
    /// Answers whether it is there.
    pub store: Arc<dyn Store>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws identities.
    pub ids: Arc<dyn Ids>,
    /// Slack's signing secrets; empty where Slack is not set up.
    pub slack_secrets: Arc<SecretSet>,
    /// Answers people in Slack.
    pub slack_desk: SlackDesk,
    /// Connections of Slack's Socket Mode; none where it is not set up.
    pub slack_socket: Option<SocketMeter>,
    /// Secrets of PagerDuty's webhook subscriptions; empty where none is set up.
    pub pagerduty_secrets: Arc<SecretSet>,
    /// Counts at the doors.
    pub meter: DoorMeter,
    /// Whether newer rules than those in force were refused.
    pub rules_refused: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Reloads the rules.
    pub reload: Arc<Reload>,
    /// Writes records of incidents.
    pub write_record: Arc<WriteRecord>,
    /// The metrics page.
    pub metrics_page: Arc<MetricsPage>,
}

impl Services {
    /// Services made of these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The signing secrets as they are now: files are read again when they change.
    pub fn signing_secrets(&self) -> Option<SigningSecrets> {
        let live: Vec<_> = self.slack_secrets.current().collect();
        if live.is_empty() { None } else { SigningSecrets::new(&live).ok() }
    }
}

impl Deref for Services {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
