//! How people are told, as the engine sees it: one notice, one destination, and how it fared.

use super::{IncidentView, Leased, PortFuture};
use crate::domain::notification::{Destination, MessageRef, Notice};
use crate::domain::scheduled::CheckReport;
use jiff::Timestamp;
use std::time::Duration;

/// How a notice fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// It arrived.
    Yes {
        /// Where our message is, for destinations that keep one.
        message: Option<MessageRef>,
    },
    /// The destination wants patience, for this notice and all others.
    Paced {
        /// How long.
        wait: Duration,
        /// Why, without secrets.
        reason: String,
    },
    /// Not yet: try again no sooner than after this.
    Later {
        /// How long to wait at least.
        wait: Option<Duration>,
        /// Why, without secrets.
        reason: String,
        /// Whether the destination was tried and failed.
        failed: bool,
    },
    /// Never: the destination refuses it.
    Never {
        /// Why, without secrets.
        reason: String,
    },
}

/// Which wish a delivery carries out, and what is known of earlier tries.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'a> {
    /// Stays when the notice is delivered again, for those who can drop or find a double by it. Empty where there is none.
    pub key: &'a str,
    /// Number of this try, from 1, over all processes.
    pub attempt: u32,
    /// When it was wished: what was sent of it is not older.
    pub wished_at: Timestamp,
}

impl<'a> Sending<'a> {
    /// The try that a lease was given for.
    pub fn of(leased: &'a Leased) -> Self {
        Self { key: &leased.id.0, attempt: leased.attempt, wished_at: leased.created_at }
    }

    /// The only try of something that nobody wished through the outbox.
    pub fn once(now: Timestamp) -> Self {
        Self { key: "", attempt: 1, wished_at: now }
    }
}

/// Tells people.
pub trait Notifier: Send + Sync {
    /// Delivers one notice. Cards are drawn from `view` as it is now.
    fn notify<'a>(
        &'a self,
        destination: &'a Destination,
        notice: &'a Notice,
        view: &'a IncidentView,
        now: Timestamp,
    ) -> PortFuture<'a, Delivered>;

    /// The same for those who can drop or find a double.
    fn deliver<'a>(
        &'a self,
        _sending: Sending<'a>,
        destination: &'a Destination,
        notice: &'a Notice,
        view: &'a IncidentView,
        now: Timestamp,
    ) -> PortFuture<'a, Delivered> {
        self.notify(destination, notice, view, now)
    }

    /// Delivers what a scheduled check found.
    fn report<'a>(
        &'a self,
        _sending: Sending<'a>,
        _destination: &'a Destination,
        _report: &'a CheckReport,
        _now: Timestamp,
    ) -> PortFuture<'a, Delivered> {
        let reason = "reports of scheduled checks are not told here".to_owned();
        Box::pin(std::future::ready(Delivered::Never { reason }))
    }
}
