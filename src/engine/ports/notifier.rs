//! How people are told, as the engine sees it: one notice, one destination, and how it fared.

use super::{IncidentView, PortFuture};
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

    /// The same with a key that stays when the notice is delivered again, for those who can drop a double by it.
    fn deliver<'a>(
        &'a self,
        _key: &'a str,
        destination: &'a Destination,
        notice: &'a Notice,
        view: &'a IncidentView,
        now: Timestamp,
    ) -> PortFuture<'a, Delivered> {
        self.notify(destination, notice, view, now)
    }

    /// Delivers what a scheduled check found. The key stays when it is delivered again.
    fn report<'a>(
        &'a self,
        _key: &'a str,
        _destination: &'a Destination,
        _report: &'a CheckReport,
        _now: Timestamp,
    ) -> PortFuture<'a, Delivered> {
        let reason = "reports of scheduled checks are not told here".to_owned();
        Box::pin(std::future::ready(Delivered::Never { reason }))
    }
}
