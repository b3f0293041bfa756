//! Whether anybody has heard that people are needed: what a notice that fails leaves untold, and of which incidents no
//! destination knows.

use super::{Incident, IncidentStatus};
use crate::effect::Effect;
use crate::notification::{Destination, DestinationState, Notice};

impl Incident {
    /// Whether nobody would hear of it at a destination if this notice did not reach it: nobody has it, and the notice
    /// is no edit of a message that stands, nor of an episode that is over. Nobody need hear of one that waits for the
    /// morning.
    pub fn is_untold_without(&self, destination: &Destination, notice: &Notice) -> bool {
        let stands = self.destination(destination).is_some_and(|state| state.message.is_some());
        self.status == IncidentStatus::Triggered
            && self.deferred_until().is_none()
            && match notice {
                Notice::Card => !stands,
                Notice::Trigger { episode, .. } | Notice::Confirm { episode } => *episode == self.episode,
                Notice::Reply { page, .. } => *page,
                Notice::Call { .. } => true,
                _ => false,
            }
    }

    /// Whether people are needed and no destination has heard so: of those that are told in this episode each has failed,
    /// or what it must hear is among the effects that wait for too long already.
    pub fn is_untold(&self, waiting: &[Effect]) -> bool {
        let waits = |state: &DestinationState| {
            waiting.iter().any(|effect| match effect {
                Effect::Notify { destination, notice } => {
                    destination == &state.destination && self.is_untold_without(destination, notice)
                }
                _ => false,
            })
        };
        let needs = self.status == IncidentStatus::Triggered && self.deferred_until().is_none();
        let mut told = self.destinations.iter().filter(|state| state.episode == self.episode).peekable();
        needs && told.peek().is_some() && told.all(|state| state.replaced || waits(state))
    }
}
