//! Looks whether people have set back what was changed for a limited time, so that the list of temporary fixes shows what
//! really stands. Changes nothing; what is set back when its time is over is the business of [`super::executor`].

use super::executor::Executor;
use super::ports::StoreError;
use super::step::{Input, Lease};
use crate::domain::event::Event;
use std::time::Duration;

/// How often is looked: what somebody has mended by hand should not stand on a list for a shift.
pub const LOOK_EVERY: Duration = Duration::from_secs(300);

/// Longest time for one look, which is one read.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

impl Executor {
    /// Looks at every change that stands, one after the other.
    ///
    /// # Errors
    /// A store that is not available.
    pub async fn look_at_fixes(&self) -> Result<(), StoreError> {
        for fix in self.reader.temporary_fixes().await? {
            let Some(view) = self.reader.incident(&fix.incident).await? else { continue };
            let Some(way_back) = view.incident.action(&fix.action).and_then(|action| action.inverse.as_ref())
            else {
                continue;
            };
            let look = tokio::time::timeout(LOOK_TIMEOUT, self.surveyor.is_so(way_back)).await;
            // Who cannot see leaves it on the list: it is looked at right before it is set back.
            let Ok(Some(detail)) = look else { continue };
            let event = Event::FoundSetBack { action: fix.action, detail };
            let input = Input::Event { incident: fix.incident, event: Some(event), lease: Lease::None };
            self.steps.take(input).await?;
        }
        Ok(())
    }
}
