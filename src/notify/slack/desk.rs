//! What is answered while somebody waits in Slack: the form that asks why.
//!
//! Everything here is done before the request is answered, so each of it has a short time. What fails here never loses
//! a press: it counts then without the form.

use std::sync::Arc;
use std::time::Duration;

use super::click::{People, click};
use super::reason::{self, Asked};
use crate::clients::slack::interaction::{Interaction, parse_interaction};
use crate::domain::people::Role;
use crate::engine::ports::{Click, ClickVerb};
use crate::notify::Notifiers;
use crate::notify::slack::button::ButtonValue;

/// Time for opening a form. Slack gives three seconds for it and for the answer, in which a press may yet be stored.
const OPENS_WITHIN: Duration = Duration::from_millis(1_500);

/// Answers people at once.
#[derive(Debug)]
pub struct Desk {
    /// Whose words count.
    pub people: People,
    /// Speaks to Slack.
    pub notifiers: Arc<Notifiers>,
}

impl Desk {
    /// Opens a form for a press that wants a reason. True where it is open: the press then counts when it is sent off.
    /// `body` is an interaction as it was posted.
    pub async fn ask_why(&self, body: &[u8]) -> bool {
        let Ok(Interaction::BlockActions(pressed)) = parse_interaction(body) else { return false };
        let trigger = pressed.trigger_id.clone();
        let about = pressed.message_text.clone();
        let (Some(slack), Some(trigger)) = (&self.notifiers.slack, trigger) else { return false };
        // What may not count is told why on the way that every press goes.
        let Ok(clicks) = click(&Interaction::BlockActions(pressed), &self.people) else { return false };
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

/// What a press takes, so that nobody writes a reason for what they may not do.
fn needed(verb: ClickVerb) -> Role {
    match verb {
        ClickVerb::Approve | ClickVerb::Reject => Role::Approver,
        ClickVerb::Acknowledge | ClickVerb::TakeOver | ClickVerb::Escalate | ClickVerb::Resolve => {
            Role::Responder
        }
    }
}
