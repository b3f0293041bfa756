//! The port to the Alertmanagers that send us alerts: what they hold, and silences that people want there.

use super::PortFuture;
use crate::domain::Labels;
use crate::domain::alert::Alert;
use jiff::Timestamp;
use std::time::Duration;

/// Speaks to the Alertmanagers of the settings, which are the peers of one cluster.
pub trait Alerting: Send + Sync {
    /// What each peer holds now.
    fn held(&self) -> PortFuture<'_, Vec<Peer>>;
    /// Sees to it that a silence of ours stands for each of these alerts, and for nothing else. Says so where it stands
    /// already, so asking twice does no harm.
    fn silence<'a>(&'a self, order: &'a SilenceOrder) -> PortFuture<'a, Result<Kept, SilenceRefused>>;
    /// Sees to it that none of these silences stands any more.
    fn end_silence<'a>(&'a self, order: &'a SilenceOrder) -> PortFuture<'a, Result<(), SilenceRefused>>;
}

/// A silence that is wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilenceOrder {
    /// The mark by which ours are found again: the same for every attempt.
    pub key: String,
    /// The labels of each alert that it is for.
    pub alerts: Vec<Labels>,
    /// Now, by the engine's clock.
    pub now: Timestamp,
    /// Until when it is to stand.
    pub until: Timestamp,
    /// Until when it stood as far as we know.
    pub held_until: Option<Timestamp>,
    /// Who wants it.
    pub by: String,
    /// In their words.
    pub why: Option<String>,
}

/// How a silence stands that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It stands.
    Stands,
    /// Somebody ended it before its time, and it is left so.
    Lifted,
}

/// Why Alertmanager does not do what is wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilenceRefused {
    /// Why, without secrets.
    pub reason: String,
    /// Whether it may do so later.
    pub retryable: bool,
}

/// One Alertmanager.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// Its address, for people.
    pub address: String,
    /// What it holds, or why it cannot be asked, without secrets.
    pub held: Result<Held, String>,
}

/// What an Alertmanager holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// How long it has been running, by its own clock.
    pub up_for: Duration,
    /// Alerts that fire, also those that it keeps quiet.
    pub alerts: Vec<HeldAlert>,
}

/// An alert that an Alertmanager holds.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldAlert {
    /// The alert, firing.
    pub alert: Alert,
    /// Names of the receivers that it is routed to.
    pub receivers: Vec<String>,
    /// Whether a silence keeps it quiet.
    pub is_silenced: bool,
    /// Whether another alert keeps it quiet.
    pub is_inhibited: bool,
}
