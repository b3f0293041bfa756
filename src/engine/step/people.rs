//! What people did: presses on buttons, and news from where incidents are shown as well.

use super::batch::{Batch, incident_of};
use super::{Taken, arrivals};
use crate::domain::bridge::BridgeNews;
use crate::domain::event::Event;
use crate::engine::ports::{Click, Spot, StoreError, Wanted, Whose};

/// Which incidents the news are about.
pub(super) fn ask_about(news: &[(Whose, BridgeNews)], wanted: &mut Wanted) {
    for (whose, _) in news {
        match whose {
            Whose::Incident(id) => wanted.ids.push(id.clone()),
            Whose::Bridge(name) => wanted.bridges.push(name.clone()),
        }
    }
}

impl Batch<'_> {
    /// Takes in a press on a button. One that is refused changes nothing, and whoever pressed is told why. One that has
    /// counted counts no more, also where it would fit again: what was taken may have been given back since.
    pub(super) async fn take_click(&mut self, mut click: Click) -> Result<(), StoreError> {
        let incident = incident_of(&click.subject);
        let (spot, press) = (click.spot.take(), std::mem::take(&mut click.press));
        let (actor, verb) = (click.actor.clone(), click.verb);
        if let Some(known) = self.incident(&incident) {
            if known.presses.contains(&press) {
                tracing::info!(incident.id = %incident, %actor, "a press arrived again, and counts once");
                return Ok(());
            }
            if let Some(Spot { channel, .. }) = spot.as_ref().filter(|spot| !known.is_shown_in(&spot.channel))
            {
                tracing::warn!(incident.id = %incident, %actor, channel, "a press came from where no message of ours stands");
                return Ok(());
            }
        }
        let refused = match self.happen(&incident, arrivals::event_of(click)).await? {
            Taken::Refused(refused) => refused,
            _ => {
                if let Some(working) = self.working.get_mut(&incident) {
                    working.incident.note_press(press);
                }
                return Ok(());
            }
        };
        tracing::info!(incident.id = %incident, %actor, reason = %refused, "a press on a button did not count");
        // A press may come twice, and whoever's press counted has nothing to be told.
        if let Some(Spot { channel, user }) = spot.filter(|_| !arrivals::said_before(&refused, verb, &actor))
        {
            let why = refused.to_string();
            self.happen(&incident, Event::PressRefused { channel, user, why }).await?;
        }
        Ok(())
    }

    /// Takes in news. What nobody here knows is left out.
    pub(super) async fn take_news(&mut self, news: Vec<(Whose, BridgeNews)>) -> Result<(), StoreError> {
        for (whose, news) in news {
            let incident = match whose {
                Whose::Incident(id) => Some(id),
                Whose::Bridge(name) => self.known_as(&name),
            };
            if let Some(incident) = incident {
                self.happen(&incident, Event::Heard(news)).await?;
            }
        }
        Ok(())
    }
}
