//! The log of failed authentication: enough to see an attack or a wrong setting, never the credential.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::http::meter::DoorMeter;

/// At most one line in this time for each door: an attacker must not be able to fill the disk with our log.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct FailureLog {
    door: &'static str,
    meter: DoorMeter,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_line: Option<Instant>,
    /// Failures since the last line that got none of their own.
    silent: u64,
}

impl FailureLog {
    pub(super) fn new(door: &'static str, meter: DoorMeter) -> Self {
        Self { door, meter, state: Mutex::default() }
    }

    /// Counts a failure, and logs it unless one was logged just now.
    pub(super) fn note(&self, from: Option<IpAddr>, showed_credentials: bool) {
        self.meter.auth_failed(self.door);
        let Some(silent) = self.turn() else { return };
        tracing::warn!(
            auth.door = self.door,
            client.ip = from.map(tracing::field::display),
            auth.showed_credentials = showed_credentials,
            auth.failures_not_logged = silent,
            "a request without valid credentials was refused"
        );
    }

    /// The number of failures that stayed silent, if it is time for a line.
    fn turn(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last_line.is_some_and(|last| last.elapsed() < LOG_INTERVAL) {
            state.silent += 1;
            return None;
        }
        state.last_line = Some(Instant::now());
        Some(std::mem::take(&mut state.silent))
    }
}
