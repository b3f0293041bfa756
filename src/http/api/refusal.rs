//! Commands that were not carried out, as problems.

use crate::domain::apply::Refused;
use crate::domain::approval::ApprovalRefused;
use crate::engine::commands::CommandError;
use crate::engine::ports::StoreError;
use crate::http::problem::Problem;
use axum::extract::rejection::{PathRejection, QueryRejection};
use http::StatusCode;

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NoSuchIncident => Self::not_found("there is no such incident"),
            CommandError::Store(error) => error.into(),
            CommandError::Refused(refused) => Self::new(status_of(&refused), refused.to_string()),
        }
    }
}

/// A query that is not understood.
impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

/// A path whose parts are not what they should be, such as a word where a number stands.
impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict | StoreError::Unavailable(_) => Self::unavailable(error.to_string()),
            StoreError::Corrupt(_) => {
                tracing::error!(error = %error, "the store holds something unreadable");
                Self::internal()
            }
        }
    }
}

fn status_of(refused: &Refused) -> StatusCode {
    match refused {
        Refused::NoSuchAction | Refused::NoSuchTask => StatusCode::NOT_FOUND,
        Refused::TooLong(_) => StatusCode::BAD_REQUEST,
        Refused::NotAllowed { .. } | Refused::Approval(ApprovalRefused::NotAllowed { .. }) => {
            StatusCode::FORBIDDEN
        }
        Refused::AlreadyResolved
        | Refused::AlreadyAcknowledged(_)
        | Refused::AlreadyEscalated
        | Refused::BeganAgain
        | Refused::AlreadyTakenOver(_)
        | Refused::AlreadySilenced(..)
        | Refused::NotSilenced
        | Refused::NothingFires
        | Refused::TooManyAlerts(_)
        | Refused::NoAlertmanager
        | Refused::Approval(_) => StatusCode::CONFLICT,
    }
}
