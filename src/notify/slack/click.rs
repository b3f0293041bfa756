//! Who pressed which of our buttons.
//!
//! What arrives here has a valid signature, and that says only "Slack sent it": workspace and app are compared with the
//! settings, and the person is looked up by Slack's user id, since names in Slack can be chosen freely. What the press
//! may do is decided by the engine, with the role that the person has.

use thiserror::Error;

use super::button::{ButtonValue, ValueError, parse_value, verb_of};
use super::directory::Directory;
use super::reason::{self, Asked};
use crate::clients::slack::interaction::{
    Action, BlockActions, Interaction, InteractionError, parse_interaction,
};
use crate::domain::people::{Actor, MEMBER_PREFIX, Role, Via};
use crate::domain::timeline::digest_of_bytes;
use crate::engine::ports::{Click, ClickVerb, Decoded, Decoder, Delivery, Source, Spot};

/// What the name of somebody begins with whom only Slack knows. Their user id follows.
/// Longest user id that is taken. Slack's have about eleven characters.
const USER_ID_CHARS_MAX: usize = 40;

/// A person who may press buttons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name in the audit trail.
    pub name: String,
    /// Their member id in Slack.
    pub slack: String,
    /// What they may do.
    pub role: Role,
}

/// Whose presses count.
#[derive(Debug, Clone, Default)]
pub struct People {
    /// People with a role of their own.
    pub known: Vec<Person>,
    /// Whether everybody in the workspace may take an incident. Nobody who is not known ever approves.
    pub anyone_may_acknowledge: bool,
    /// The only workspace whose presses count; none for any that signs correctly.
    pub team_id: Option<String>,
    /// The only app whose presses count; none for any that signs correctly.
    pub app_id: Option<String>,
    /// Whom Slack knows: members of groups, and people by their mail address.
    pub directory: Directory,
}

/// Why presses do not count.
#[derive(Debug, Error)]
pub enum ClickRefused {
    /// Not an interaction at all.
    #[error("the delivery is no interaction of Slack's: {0}")]
    Unreadable(#[from] InteractionError),
    /// From another workspace.
    #[error("it comes from workspace {found:?}, and slack.team_id allows only {allowed}")]
    OtherTeam {
        /// What the settings say.
        allowed: String,
        /// What the interaction says.
        found: Option<String>,
    },
    /// From another app.
    #[error("it comes from app {found:?}, and slack.app_id allows only {allowed}")]
    OtherApp {
        /// What the settings say.
        allowed: String,
        /// What the interaction says.
        found: Option<String>,
    },
    /// The user id is not one.
    #[error("it names no user of Slack's")]
    NoUser,
    /// A button of ours with a value that is not.
    #[error("{0}")]
    Value(#[from] ValueError),
}

/// What the presses in an interaction mean. Buttons that are not ours, and other kinds of interactions, mean nothing.
///
/// # Errors
/// Where nothing in it may count.
///
/// `press` is the identity of the press.
pub fn click(interaction: &Interaction, press: &str, people: &People) -> Result<Vec<Click>, ClickRefused> {
    match interaction {
        Interaction::BlockActions(actions) => {
            let who = Sender::of_press(actions);
            let actor = people.recognise(&who)?;
            let channel = actions.channel_id.clone();
            let spot = channel.map(|channel| Spot { channel, user: actions.user_id.clone() });
            let pressed = Pressed { member: &actions.user_id, press, spot: spot.as_ref() };
            let read = |action| read(action, &actor, &pressed).transpose();
            actions.actions.iter().filter_map(read).collect()
        }
        Interaction::ViewSubmission(sent) => {
            let Some(verb) = reason::verb_of(&sent.callback_id) else { return Ok(Vec::new()) };
            let who = Sender {
                team_id: sent.team_id.as_deref(),
                app_id: sent.app_id.as_deref(),
                user_id: &sent.user_id,
                user_team_id: sent.user_team_id.as_deref(),
            };
            let actor = people.recognise(&who)?.for_verb(verb);
            let Asked { value, channel } = reason::parse_metadata(verb, &sent.private_metadata)?;
            let spot = channel.map(|channel| Spot { channel, user: sent.user_id.clone() });
            let reason = reason::given(sent);
            let (member, press) = (Some(sent.user_id.clone()), press.to_owned());
            let ButtonValue { subject, digest } = value;
            Ok(vec![Click { subject, verb, actor, member, press, digest, reason, spot }])
        }
        Interaction::Other { .. } => Ok(Vec::new()),
    }
}

/// What all presses of one interaction have in common.
struct Pressed<'p> {
    member: &'p str,
    press: &'p str,
    spot: Option<&'p Spot>,
}

fn read(action: &Action, actor: &Recognised, pressed: &Pressed<'_>) -> Result<Option<Click>, ClickRefused> {
    let Some(verb) = verb_of(&action.action_id) else { return Ok(None) };
    let chosen = action.selected_option.as_ref().map(|choice| choice.value.as_str());
    let ButtonValue { subject, digest } = parse_value(verb, action.value.as_deref().or(chosen))?;
    let actor = actor.for_verb(verb);
    Ok(Some(Click {
        subject,
        verb,
        actor,
        member: Some(pressed.member.to_owned()),
        press: pressed.press.to_owned(),
        digest,
        reason: None,
        spot: pressed.spot.cloned(),
    }))
}

/// Somebody, and whether the settings or one of their groups give them their role.
#[derive(Debug)]
pub(super) struct Recognised {
    pub(super) actor: Actor,
    pub(super) is_known: bool,
}

impl Recognised {
    /// A workspace may let everybody take an incident; to stop the machine or to end it is for people who are known.
    fn for_verb(&self, verb: ClickVerb) -> Actor {
        let mut actor = self.actor.clone();
        let is_for_known = matches!(
            verb,
            ClickVerb::TakeOver | ClickVerb::Resolve | ClickVerb::Silence | ClickVerb::Unsilence
        );
        if !self.is_known && is_for_known {
            actor.role = Role::Viewer;
        }
        actor
    }
}

/// Whom Slack names as the sender of something, and from where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) team_id: Option<&'a str>,
    pub(super) app_id: Option<&'a str>,
    pub(super) user_id: &'a str,
    /// The workspace that the person belongs to, where Slack says it.
    pub(super) user_team_id: Option<&'a str>,
}

impl<'a> Sender<'a> {
    fn of_press(actions: &'a BlockActions) -> Self {
        Self {
            team_id: actions.team_id.as_deref(),
            app_id: actions.app_id.as_deref(),
            user_id: &actions.user_id,
            user_team_id: actions.user_team_id.as_deref(),
        }
    }
}

impl People {
    /// Who it is to us, where it comes from the right workspace and app.
    pub(super) fn recognise(&self, sender: &Sender<'_>) -> Result<Recognised, ClickRefused> {
        if let Some(allowed) = self.team_id.clone().filter(|id| sender.team_id != Some(id)) {
            return Err(ClickRefused::OtherTeam { allowed, found: sender.team_id.map(str::to_owned) });
        }
        if let Some(allowed) = self.app_id.clone().filter(|id| sender.app_id != Some(id)) {
            return Err(ClickRefused::OtherApp { allowed, found: sender.app_id.map(str::to_owned) });
        }
        let id = sender.user_id;
        if !is_user_id(id) {
            return Err(ClickRefused::NoUser);
        }
        if let Some(person) = self.known.iter().find(|person| person.slack == id) {
            let actor = Actor { name: person.name.clone(), via: Via::Slack, role: person.role };
            return Ok(Recognised { actor, is_known: true });
        }
        let by_id = || format!("{MEMBER_PREFIX}{id}");
        // In a channel that another company shares, its people see the buttons as well. They are not "everybody in the
        // workspace"; whoever of them should count is named, by a person's or a group's id.
        let is_guest =
            matches!((sender.user_team_id, sender.team_id), (Some(own), Some(here)) if own != here);
        let everybody = if self.anyone_may_acknowledge && !is_guest { Role::Responder } else { Role::Viewer };
        let (name, role, is_known) = match self.directory.look_up(id) {
            Some((name, role)) => (name.unwrap_or_else(by_id), role, true),
            None => (by_id(), everybody, false),
        };
        Ok(Recognised { actor: Actor { name, via: Via::Slack, role }, is_known })
    }
}

/// The user id within the name of somebody whom only Slack knows.
pub(super) fn unknown_user_id(name: &str) -> Option<&str> {
    name.strip_prefix(MEMBER_PREFIX).filter(|id| is_user_id(id))
}

fn is_user_id(id: &str) -> bool {
    (1..=USER_ID_CHARS_MAX).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Reads stored deliveries of `POST /webhooks/slack`. Their signature was checked before they were stored.
#[derive(Debug, Clone, Default)]
pub struct SlackDecoder {
    /// Whose presses count.
    pub people: People,
}

impl SlackDecoder {
    /// Reads the raw form body of a delivery.
    ///
    /// # Errors
    /// As [`click`], and where the body is no interaction.
    pub fn read(&self, body: &[u8]) -> Result<Decoded, ClickRefused> {
        // Every press has its own trigger and time in it, so that the same body is the same press.
        let press = digest_of_bytes(body);
        Ok(Decoded::Clicks(click(&parse_interaction(body)?, &press, &self.people)?))
    }
}

impl Decoder for SlackDecoder {
    fn decode(&self, delivery: &Delivery) -> Result<Decoded, String> {
        match delivery.source {
            Source::Slack => self.read(&delivery.body).map_err(|refused| refused.to_string()),
            other => Err(format!("a delivery of {} came to the reader of Slack's", other.as_str())),
        }
    }
}

#[cfg(test)]
mod tests;
