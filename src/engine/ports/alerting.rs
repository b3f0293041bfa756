//! The port to the Alertmanagers that send us alerts: what they hold, asked by us.

use super::PortFuture;
use crate::domain::alert::Alert;
use std::time::Duration;

/// Asks the Alertmanagers of the settings, which are the peers of one cluster.
pub trait Alerting: Send + Sync {
    /// What each peer holds now.
    fn held(&self) -> PortFuture<'_, Vec<Peer>>;
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
