//! What the actions at PostgreSQL share: the connection that may act, and what people are told of failures.

use super::Hands;
use super::access::PgAccess;
use super::cluster::refused;
use super::outcome::{not_applied, not_now, unknown};
use crate::clients::postgres::{Failure, PgError, PgHand};
use crate::domain::action::ActionOutcome;
use crate::domain::survey::SurveyOutcome;

/// Where the connections stand in the settings.
pub(super) const SECTION: &str = "connections.postgres";

/// The connection, where the settings let something be done there.
pub(super) fn access<'h>(hands: &'h Hands, connection: &str) -> Result<&'h PgAccess, String> {
    let missing = || format!("there is no `{connection}` with an `act` under `{SECTION}` in the settings");
    hands.connections.postgres.get(connection).ok_or_else(missing)
}

/// Signed in as the user that acts.
pub(super) async fn hand(access: &PgAccess) -> Result<PgHand, PgError> {
    PgHand::connect(&access.options.now()).await
}

/// A survey that could not be made.
pub(super) fn unseen(error: PgError) -> SurveyOutcome {
    let reason = error.to_string();
    if error.is_passing() { SurveyOutcome::NotNow { reason, wait: None } } else { refused(reason) }
}

/// A statement that was not carried out as it should.
pub(super) fn denied(error: &PgError) -> ActionOutcome {
    let why = error.to_string();
    match &error.failure {
        Failure::Broken(_) => unknown(why),
        _ if error.is_passing() => not_now(why, None),
        _ => not_applied(why),
    }
}

/// It was carried out.
pub(super) fn applied(detail: impl Into<String>) -> ActionOutcome {
    ActionOutcome::Applied { detail: detail.into(), inverse: None, requests: Vec::new() }
}
