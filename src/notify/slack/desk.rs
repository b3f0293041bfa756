//! What is answered while somebody waits in Slack: the form that asks why, the slash command, the home tab.
//!
//! Everything here is done before the request is answered, so each of it has a short time. What fails here never loses
//! a press: it counts then without the form. A command that takes longer is answered later, by the address that came
//! with it. What people may do by a command, they may do by a button.

mod orders;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::click::{People, Sender, click};
use super::home;
use super::reason::{self, Asked};
use crate::clients::slack::command::SlashCommand;
use crate::clients::slack::event::HomeOpened;
use crate::clients::slack::interaction::{Interaction, parse_interaction};
use crate::domain::people::Role;
use crate::engine::commands::Commands;
use crate::engine::playbook::Playbook;
use crate::engine::ports::{Click, ClickVerb, Clock, Reader};
use crate::notify::Notifiers;
use crate::notify::slack::button::ButtonValue;
use orders::Asker;

/// Time for opening a form. Slack gives three seconds for it and for the answer, in which a press may yet be stored.
const OPENS_WITHIN: Duration = Duration::from_millis(1_500);
/// Time for a command. What takes longer is answered later: Slack waits three seconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Commands and home tabs that are worked on at once. Everybody in a workspace may write them.
const AT_ONCE_MAX: usize = 16;

/// Answers people at once.
pub struct Desk {
    people: People,
    notifiers: Arc<Notifiers>,
    commands: Commands,
    reader: Arc<dyn Reader>,
    playbook: Arc<dyn Playbook>,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
}

impl Desk {
    /// A desk for those whose words count.
    pub fn new(
        people: People,
        notifiers: Arc<Notifiers>,
        commands: Commands,
        reader: Arc<dyn Reader>,
        playbook: Arc<dyn Playbook>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(AT_ONCE_MAX));
        Self { people, notifiers, commands, reader, playbook, clock, places }
    }

    /// Carries out a slash command, and returns what Slack is to show to whoever wrote it.
    pub async fn command(self: Arc<Self>, asked: SlashCommand) -> Value {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return whispered("Too much is asked at once; try again in a moment.");
        };
        let (desk, later) = (Arc::clone(&self), asked.response_url.clone());
        let mut work = tokio::spawn(async move {
            let _place = place;
            desk.answer(&asked).await
        });
        match tokio::time::timeout(ANSWERS_WITHIN, &mut work).await {
            Ok(Ok(text)) => whispered(&text),
            Ok(Err(_)) => whispered("Something went wrong here; the log of the service says what."),
            Err(_) => {
                tokio::spawn(async move {
                    if let (Ok(text), Some(url)) = (work.await, later) {
                        self.answer_later(&url, &text).await;
                    }
                });
                whispered("That takes a moment; the answer follows.")
            }
        }
    }

    async fn answer(&self, asked: &SlashCommand) -> String {
        let sender = Sender {
            team_id: asked.team_id.as_deref(),
            app_id: asked.app_id.as_deref(),
            user_id: &asked.user_id,
            // A command comes from the workspace of whoever typed it.
            user_team_id: None,
        };
        let actor = match self.people.actor_of(&sender) {
            Ok(actor) => actor,
            Err(why) => {
                tracing::warn!(error = %why, "a slash command was refused");
                return "That did not count: it comes from another workspace or app than the settings name."
                    .to_owned();
            }
        };
        let Some(slack) = &self.notifiers.slack else { return String::new() };
        let redactor = slack.keyring.redactor();
        let frame = slack.frame(self.clock.now(), redactor.as_ref());
        let asker = Asker { actor: &actor, member: &asked.user_id };
        self.carry_out(asker, &asked.text, &frame).await
    }

    async fn answer_later(&self, url: &SecretString, text: &str) {
        let Some(slack) = &self.notifiers.slack else { return };
        if let Err(error) = slack.respond(url, &whispered(text)).await {
            tracing::info!(%error, "the answer to a slash command could not be sent");
        }
    }

    /// Shows somebody what is open, on the home tab that they have just opened.
    pub async fn home_opened(&self, opened: &HomeOpened) {
        let Ok(_place) = self.places.try_acquire() else { return };
        let sender = Sender {
            team_id: opened.team_id.as_deref(),
            app_id: opened.app_id.as_deref(),
            user_id: &opened.user_id,
            user_team_id: None,
        };
        let Some(slack) = &self.notifiers.slack else { return };
        if let Err(why) = self.people.actor_of(&sender) {
            tracing::warn!(error = %why, "an opened home tab was refused");
            return;
        }
        let (Ok(incidents), Ok(pauses)) = (self.open_incidents().await, self.reader.pauses().await) else {
            return;
        };
        let redactor = slack.keyring.redactor();
        let view = home::view(incidents, &pauses, &slack.frame(self.clock.now(), redactor.as_ref()));
        if let Err(error) = slack.publish_home(&opened.user_id, &view).await {
            tracing::info!(%error, "a home tab could not be brought up to date");
        }
    }

    /// Opens a form for a press that wants a reason. True where it is open: the press then counts when it is sent off.
    /// `body` is an interaction as it was posted.
    pub async fn ask_why(&self, body: &[u8]) -> bool {
        let Ok(Interaction::BlockActions(pressed)) = parse_interaction(body) else { return false };
        let trigger = pressed.trigger_id.clone();
        let about = pressed.message_text.clone();
        let (Some(slack), Some(trigger)) = (&self.notifiers.slack, trigger) else { return false };
        // What may not count is told why on the way that every press goes.
        let Ok(clicks) = click(&Interaction::BlockActions(pressed), "", &self.people) else { return false };
        let [Click { subject, verb, actor, digest, spot, .. }] = clicks.as_slice() else { return false };
        if actor.role < needed(*verb) {
            return false;
        }
        let value = ButtonValue { subject: subject.clone(), digest: digest.clone() };
        let asked = Asked { value, channel: spot.as_ref().map(|spot| spot.channel.clone()) };
        let form = reason::form(*verb, &asked, about.as_deref());
        let Some(view) = form.and_then(|form| form.view()) else { return false };
        match tokio::time::timeout(OPENS_WITHIN, slack.open_modal(&trigger, &view)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::info!(%error, "the form for a reason could not be opened; the press counts without one");
                false
            }
            Err(_) => {
                tracing::info!("the form for a reason did not open in time; the press counts without one");
                false
            }
        }
    }
}

/// An answer that only whoever asked sees, in mrkdwn.
fn whispered(text: &str) -> Value {
    json!({ "response_type": "ephemeral", "text": text })
}

/// What a press takes, so that nobody writes a reason for what they may not do.
fn needed(verb: ClickVerb) -> Role {
    match verb {
        ClickVerb::Approve | ClickVerb::Reject => Role::Approver,
        ClickVerb::Acknowledge
        | ClickVerb::TakeOver
        | ClickVerb::Escalate
        | ClickVerb::Resolve
        | ClickVerb::Silence
        | ClickVerb::Unsilence => Role::Responder,
    }
}
