//! How an attempt ended, redacted and bounded.

use std::time::Duration;

use jiff::SignedDuration;

use crate::domain::action::{ActionOutcome, Request, Task};
use crate::domain::redact::Redactor;
use crate::domain::survey::SurveyOutcome;
use crate::domain::timeline::{LINE_TEXT_BYTES_MAX, cut};

/// Longest text that an action tells people; messengers cut at a few thousand characters.
const TEXT_BYTES_MAX: usize = 4_000;

/// Longest document that is kept with an incident: above what an incident's record can come to.
const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// It was certainly not carried out.
pub(super) fn not_applied(reason: impl Into<String>) -> ActionOutcome {
    ActionOutcome::NotApplied { reason: reason.into() }
}

/// It was certainly not carried out, for a reason that passes by itself; the server may have said how long that takes.
pub(super) fn not_now(reason: impl Into<String>, wait: Option<Duration>) -> ActionOutcome {
    ActionOutcome::NotNow { reason: reason.into(), wait: signed(wait) }
}

/// A wait that a server asks for, as the engine counts it.
pub(super) fn signed(wait: Option<Duration>) -> Option<SignedDuration> {
    wait.and_then(|wait| SignedDuration::try_from(wait).ok())
}

/// It was carried out, and failed.
pub(super) fn failed(reason: impl Into<String>) -> ActionOutcome {
    ActionOutcome::Failed { reason: reason.into() }
}

/// Nobody knows whether it was carried out.
pub(super) fn unknown(reason: impl Into<String>) -> ActionOutcome {
    ActionOutcome::Unknown { reason: reason.into() }
}

/// A line for people as it may leave this room.
pub(super) fn line(text: String, redactor: &Redactor) -> String {
    cut(redactor.redact(&text).into_owned(), LINE_TEXT_BYTES_MAX)
}

/// The outcome as it may leave this room. No action here records an inverse, which would be a plan and is not text.
pub(super) fn finish(outcome: ActionOutcome, redactor: &Redactor) -> ActionOutcome {
    let line = |text: String| line(text, redactor);
    match outcome {
        ActionOutcome::NotApplied { reason } => ActionOutcome::NotApplied { reason: line(reason) },
        ActionOutcome::NotNow { reason, wait } => ActionOutcome::NotNow { reason: line(reason), wait },
        ActionOutcome::Failed { reason } => ActionOutcome::Failed { reason: line(reason) },
        ActionOutcome::Unknown { reason } => ActionOutcome::Unknown { reason: line(reason) },
        ActionOutcome::AlreadySo { detail } => ActionOutcome::AlreadySo { detail: line(detail) },
        ActionOutcome::HandedToPeople { task } => {
            ActionOutcome::HandedToPeople { task: clean_task(task, redactor) }
        }
        ActionOutcome::Applied { detail, inverse, requests } => ActionOutcome::Applied {
            detail: line(detail),
            inverse,
            requests: requests.into_iter().map(|request| clean(request, redactor)).collect(),
        },
    }
}

/// What came out of a survey as it may leave this room. The values of a plan must stay as they are to be carried out:
/// actions put no secret into them. What is written for people passes the redactor.
pub(super) fn finish_survey(outcome: SurveyOutcome, redactor: &Redactor) -> SurveyOutcome {
    let line = |text: String| line(text, redactor);
    match outcome {
        SurveyOutcome::NothingToDo { reason } => SurveyOutcome::NothingToDo { reason: line(reason) },
        SurveyOutcome::Refused { reason } => SurveyOutcome::Refused { reason: line(reason) },
        SurveyOutcome::NotNow { reason, wait } => SurveyOutcome::NotNow { reason: line(reason), wait },
        SurveyOutcome::Ready(mut surveyed) => {
            surveyed.plan.summary = line(surveyed.plan.summary);
            surveyed.notes = surveyed.notes.into_iter().map(line).collect();
            if let Some(inverse) = &mut surveyed.inverse {
                inverse.summary = line(std::mem::take(&mut inverse.summary));
            }
            SurveyOutcome::Ready(surveyed)
        }
    }
}

fn clean(request: Request, redactor: &Redactor) -> Request {
    let text = |text: String, bytes_max| cut(redactor.redact(&text).into_owned(), bytes_max);
    match request {
        Request::Notify { destination, text: words } => {
            Request::Notify { destination, text: text(words, TEXT_BYTES_MAX) }
        }
        Request::Escalate => Request::Escalate,
        Request::StartTask { task } => Request::StartTask { task: clean_task(task, redactor) },
        Request::KeepDocument { title, body } => Request::KeepDocument {
            title: text(title, LINE_TEXT_BYTES_MAX),
            body: text(body, DOCUMENT_BYTES_MAX),
        },
    }
}

fn clean_task(mut task: Task, redactor: &Redactor) -> Task {
    let clean = |text: &mut String| *text = cut(redactor.redact(text).into_owned(), LINE_TEXT_BYTES_MAX);
    clean(&mut task.title);
    task.owner.iter_mut().for_each(clean);
    task.items.iter_mut().for_each(|item| clean(&mut item.text));
    task
}
