//! Pacing: when may the next request for a key go out?
//!
//! A [`Pacer`] never sleeps. It answers *now*, or *in this long*, because the engine reschedules an effect
//! rather than holding a worker in a sleep. Two things are combined: a steady rate for each key (a Slack
//! channel, a PagerDuty routing key), and *gates* that a server's `Retry-After` closes, for one key or for all.
//! It lives in memory and is a courtesy to servers; budgets that must survive a restart are counted in the
//! store.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// Keys held before idle ones are dropped. A key is tens of bytes; real installations have dozens of channels.
pub const KEYS_MAX: usize = 1024;

type Limiter<C> = RateLimiter<String, HashMapStateStore<String>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// A steady rate for each key, and gates.
#[derive(Debug)]
pub struct Pacer<C: Clock = DefaultClock> {
    limiter: Limiter<C>,
    gates: Mutex<Gates<C::Instant>>,
    clock: C,
}

#[derive(Debug)]
struct Gates<I> {
    all: Option<I>,
    keys: HashMap<String, I>,
}

impl Pacer<DefaultClock> {
    /// A pacer on the machine's monotonic clock.
    pub fn new(quota: Quota) -> Self {
        Self::with_clock(quota, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Pacer<C> {
    /// A pacer on the given clock.
    pub fn with_clock(quota: Quota, clock: C) -> Self {
        Self {
            limiter: RateLimiter::hashmap_with_clock(quota, clock.clone()),
            gates: Mutex::new(Gates { all: None, keys: HashMap::new() }),
            clock,
        }
    }

    /// Takes a slot for `key`, or says how long to wait. A refusal takes no slot.
    ///
    /// # Errors
    /// The time until it is worth asking again.
    pub fn admit(&self, key: &str) -> Result<(), Duration> {
        let now = self.clock.now();
        if let Some(wait) = self.gated(key, now) {
            return Err(wait);
        }
        if self.limiter.len() >= KEYS_MAX {
            self.prune();
        }
        self.limiter.check_key(&key.to_owned()).map_err(|not_until| not_until.wait_time_from(now))
    }

    /// Closes the gate of one key for `wait`; a gate that stays closed for longer stays as it is.
    pub fn hold(&self, key: &str, wait: Duration) {
        let until = self.clock.now() + wait.into();
        let mut gates = self.gates();
        let gate = gates.keys.entry(key.to_owned()).or_insert(until);
        *gate = (*gate).max(until);
    }

    /// Closes the gate of all keys for `wait`; a gate that stays closed for longer stays as it is.
    pub fn hold_all(&self, wait: Duration) {
        let until = self.clock.now() + wait.into();
        let mut gates = self.gates();
        gates.all = gates.all.max(Some(until));
    }

    /// Drops keys whose full rate is available again, and gates that have opened.
    pub fn prune(&self) {
        let now = self.clock.now();
        let mut gates = self.gates();
        gates.keys.retain(|_, until| *until > now);
        gates.all = gates.all.filter(|until| *until > now);
        drop(gates);
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    /// How many keys are remembered.
    pub fn keys(&self) -> usize {
        self.limiter.len() + self.gates().keys.len()
    }

    fn gated(&self, key: &str, now: C::Instant) -> Option<Duration> {
        let mut gates = self.gates();
        let until = gates.all.max(gates.keys.get(key).copied())?;
        if until > now {
            return Some(until.duration_since(now).into());
        }
        gates.keys.remove(key);
        None
    }

    fn gates(&self) -> MutexGuard<'_, Gates<C::Instant>> {
        // Nothing panics while the lock is held, and the maps are whole after every line.
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use governor::clock::FakeRelativeClock;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn mk_pacer() -> (Pacer<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let quota = Quota::per_second(NonZeroU32::MIN).allow_burst(NonZeroU32::new(2).expect("two"));
        (Pacer::with_clock(quota, clock.clone()), clock)
    }

    #[test]
    fn a_burst_passes_and_then_one_a_second() {
        let (pacer, clock) = mk_pacer();
        assert_eq!(pacer.admit("C1"), Ok(()));
        assert_eq!(pacer.admit("C1"), Ok(()));
        assert_eq!(pacer.admit("C1"), Err(SECOND));
        clock.advance(SECOND);
        assert_eq!(pacer.admit("C1"), Ok(()));
        assert_eq!(pacer.admit("C1"), Err(SECOND));
    }

    #[test]
    fn channels_do_not_slow_each_other_down() {
        let (pacer, _clock) = mk_pacer();
        for channel in ["C1", "C1", "C2", "C2"] {
            assert_eq!(pacer.admit(channel), Ok(()), "{channel}");
        }
    }

    #[test]
    fn a_gate_closes_one_key_until_its_time_and_costs_no_slot() {
        let (pacer, clock) = mk_pacer();
        pacer.hold("C1", 7 * SECOND);
        pacer.hold("C1", 3 * SECOND);
        assert_eq!(pacer.admit("C1"), Err(7 * SECOND));
        assert_eq!(pacer.admit("C2"), Ok(()));
        clock.advance(6 * SECOND);
        assert_eq!(pacer.admit("C1"), Err(SECOND));
        clock.advance(SECOND);
        assert_eq!((pacer.admit("C1"), pacer.admit("C1")), (Ok(()), Ok(())));
    }

    #[test]
    fn the_common_gate_closes_every_key() {
        let (pacer, clock) = mk_pacer();
        pacer.hold_all(2 * SECOND);
        pacer.hold_all(SECOND);
        assert_eq!(pacer.admit("C1"), Err(2 * SECOND));
        assert_eq!(pacer.admit("C2"), Err(2 * SECOND));
        clock.advance(2 * SECOND);
        assert_eq!(pacer.admit("C1"), Ok(()));
    }

    #[test]
    fn idle_keys_and_open_gates_are_dropped() {
        let (pacer, clock) = mk_pacer();
        for number in 0..KEYS_MAX {
            assert_eq!(pacer.admit(&format!("C{number}")), Ok(()));
        }
        pacer.hold("gone", SECOND);
        clock.advance(10 * SECOND);
        assert_eq!(pacer.admit("fresh"), Ok(()));
        assert_eq!(pacer.keys(), 1);
    }
}
