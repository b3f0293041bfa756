//! What is answered while somebody waits in Slack: the form that asks why, the slash command, the home tab.
//!
//! Somebody waits for all of it, so each has a short time. What fails here never loses a press: it counts then without the
//! form, but for an approval. A command that takes longer is answered later, by the address that came
//! with it. What people may do by a command, they may do by a button.

mod orders;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::click::{People, Sender, click};
use super::guests::Guests;
use super::home;
use super::reason::{self, Asked};
use crate::clients::slack::command::SlashCommand;
use crate::clients::slack::event::HomeOpened;
use crate::clients::slack::interaction::{Interaction, parse_interaction};
use crate::domain::incident::IncidentId;
use crate::domain::people::Role;
use crate::engine::commands::Commands;
use crate::engine::playbook::Playbook;
use crate::engine::ports::{Click, ClickVerb, Clock, Reader};
use crate::notify::Notifiers;
use crate::notify::slack::button::{ButtonValue, opens_a_form};
use orders::Asker;

/// Time for opening a form. Slack gives three seconds for it and for the answer, in which a press may yet be stored.
const OPENS_WITHIN: Duration = Duration::from_millis(1_500);
/// Time for a command. What takes longer is answered later: Slack waits three seconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Forms that are opened at once. Whoever presses while so many are has their press counted without one.
const OPENING_MAX: usize = 64;
/// Commands and home tabs that are worked on at once. Everybody in a workspace may write them.
const AT_ONCE_MAX: usize = 16;

/// What is said to whoever presses a copy of a message.
const STRAY: &str = "That did not count: this is a copy, and no message of mine about this incident stands in this channel. \
     Press the button in the channel of the message itself, or write `/smokejumper`.";

/// What is said where an approval was to be given with a reason.
const NOT_APPROVED: &str = "Nothing is approved: Slack did not open the form that asks why. Press again, or write \
     `/smokejumper approve` with the plan and why.";

/// Answers people at once.
pub struct Desk {
    people: People,
    notifiers: Arc<Notifiers>,
    commands: Commands,
    reader: Arc<dyn Reader>,
    playbook: Arc<dyn Playbook>,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
    opening: Arc<Semaphore>,
    guests: Guests,
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
        let opening = Arc::new(Semaphore::new(OPENING_MAX));
        Self {
            people,
            notifiers,
            commands,
            reader,
            playbook,
            clock,
            places,
            opening,
            guests: Guests::default(),
        }
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
        let who = match self.people.recognise(&sender) {
            Ok(who) => who,
            Err(why) => {
                tracing::warn!(error = %why, "a slash command was refused");
                return "That did not count: it comes from another workspace or app than the settings name."
                    .to_owned();
            }
        };
        let Some(slack) = &self.notifiers.slack else { return String::new() };
        let redactor = slack.keyring.redactor();
        let frame = slack.frame(self.clock.now(), redactor.as_ref());
        let team = asked.team_id.as_deref();
        if let Err(outside) = self.guests.admits(slack, &who, &asked.user_id, team).await {
            return outside.text(&asked.user_id);
        }
        let asker = Asker {
            actor: &who.actor,
            member: &asked.user_id,
            is_known: who.is_known,
            channel: asked.channel_id.as_deref(),
        };
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
        let who = match self.people.recognise(&sender) {
            Ok(who) => who,
            Err(why) => {
                tracing::warn!(error = %why, "an opened home tab was refused");
                return;
            }
        };
        let team = opened.team_id.as_deref();
        let view = match self.guests.admits(slack, &who, &opened.user_id, team).await {
            Err(outside) => home::closed(&outside.text(&opened.user_id)),
            Ok(()) => {
                let (Ok(incidents), Ok(pauses)) = (self.open_incidents().await, self.reader.pauses().await)
                else {
                    return;
                };
                let redactor = slack.keyring.redactor();
                home::view(incidents, &pauses, &slack.frame(self.clock.now(), redactor.as_ref()))
            }
        };
        if let Err(error) = slack.publish_home(&opened.user_id, &view).await {
            tracing::info!(%error, "a home tab could not be brought up to date");
        }
    }

    /// Opens a form for a press that wants a reason; none for any other. What comes out is true where that is the end of the
    /// press: the form is open, and the press counts when it is sent off; or it cannot count, and whoever pressed is told.
    /// `body` is an interaction as it was posted.
    pub fn ask_why(self: Arc<Self>, body: &[u8]) -> Option<impl Future<Output = bool> + Send + 'static> {
        let Ok(Interaction::BlockActions(pressed)) = parse_interaction(body) else { return None };
        let trigger = pressed.trigger_id.clone();
        let (about, url) = (pressed.message_text.clone(), pressed.response_url.clone());
        let button = pressed.actions.first()?.action_id.clone();
        // What may not count is told why on the way that every press goes.
        let click = only(click(&Interaction::BlockActions(pressed), "", &self.people).ok()?)?;
        if click.actor.role < needed(click.verb) || !opens_a_form(click.verb, &button) {
            return None;
        }
        let value = ButtonValue { subject: click.subject.clone(), digest: click.digest.clone() };
        let asked = Asked { value, channel: click.spot.as_ref().map(|spot| spot.channel.clone()) };
        let view = reason::form(click.verb, &asked, about.as_deref())?.view()?;
        let place = Arc::clone(&self.opening).try_acquire_owned();
        Some(async move {
            let is_over = self.told_stray(&click, url.as_ref()).await
                || match (&trigger, &place) {
                    (Some(trigger), Ok(_)) => self.opens(trigger, &view).await,
                    _ => false,
                };
            if is_over || click.verb != ClickVerb::Approve {
                return is_over;
            }
            // Whoever meant to say something first has not approved yet.
            self.whisper_to(url.as_ref(), NOT_APPROVED).await;
            true
        })
    }

    async fn opens(&self, trigger: &str, view: &Value) -> bool {
        let Some(slack) = &self.notifiers.slack else { return false };
        match tokio::time::timeout(OPENS_WITHIN, slack.open_modal(trigger, view)).await {
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

    /// Says why it did not count to whoever pressed where no message of ours stands. `body` is an interaction as it was
    /// posted.
    pub async fn tell_stray(&self, body: &[u8]) {
        let Ok(_place) = self.places.try_acquire() else { return };
        let Ok(Interaction::BlockActions(pressed)) = parse_interaction(body) else { return };
        let url = pressed.response_url.clone();
        let Ok(clicks) = click(&Interaction::BlockActions(pressed), "", &self.people) else { return };
        if let Some(click) = only(clicks) {
            self.told_stray(&click, url.as_ref()).await;
        }
    }

    /// Whether a press came from where no message of ours stands. Whoever pressed there is told by the address that came
    /// with the press: we may not be in that channel.
    async fn told_stray(&self, click: &Click, url: Option<&SecretString>) -> bool {
        let Some(spot) = &click.spot else { return false };
        let name = click.subject.split_once("-a").map_or(click.subject.as_str(), |(incident, _)| incident);
        let Ok(Some(view)) = self.reader.incident(&IncidentId(name.to_owned())).await else { return false };
        if view.incident.is_shown_in(&spot.channel) {
            return false;
        }
        self.whisper_to(url, STRAY).await;
        true
    }

    async fn whisper_to(&self, url: Option<&SecretString>, text: &str) {
        if let (Some(slack), Some(url)) = (&self.notifiers.slack, url)
            && let Err(error) = slack.respond(url, &whispered(text)).await
        {
            tracing::info!(%error, "whoever pressed could not be told why that did not count");
        }
    }
}

/// The press of an interaction with one; Slack sends no other.
fn only(clicks: Vec<Click>) -> Option<Click> {
    let [click] = <[Click; 1]>::try_from(clicks).ok()?;
    Some(click)
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
