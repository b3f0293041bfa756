//! Slack's rate limits: about one `chat.postMessage` a second and channel with a small burst, and the tier of
//! the other methods for the whole workspace (docs.slack.dev/apis/web-api/rate-limits).
//!
//! The size of the burst is not published. Time is tokio's, so a test may stop the clock.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// Messages that a channel takes at once before the pace of one a second holds.
pub const CHANNEL_BURST: u32 = 5;

/// Whether the published limits are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimits {
    /// Nothing is ever limited: for tests about something else.
    Off,
    /// One message a second and channel with a burst of [`CHANNEL_BURST`]; other methods by their tier.
    Published,
}

/// A method's allowance: so many calls at once, then one each period.
#[derive(Clone, Copy)]
struct Allowance {
    burst: u32,
    period: Duration,
    by_channel: bool,
}

fn allowance(method: &str) -> Allowance {
    let per_minute =
        |calls: u32| Allowance { burst: calls, period: Duration::from_secs(60) / calls, by_channel: false };
    match method {
        "chat.postMessage" => {
            Allowance { burst: CHANNEL_BURST, period: Duration::from_secs(1), by_channel: true }
        }
        // Tier 4 of the published tiers; the rest used here is Tier 3.
        "auth.test" | "chat.postEphemeral" | "conversations.replies" => per_minute(100),
        _ => per_minute(50),
    }
}

/// The buckets of one workspace and app.
#[derive(Debug)]
pub struct RateLimiter {
    limits: RateLimits,
    // When the bucket will be full again: one instant says all (generic cell rate algorithm).
    full_at: HashMap<(String, String), Instant>,
}

impl RateLimiter {
    /// Full buckets.
    #[must_use]
    pub fn new(limits: RateLimits) -> Self {
        Self { limits, full_at: HashMap::new() }
    }

    /// Switches the limits on or off.
    pub fn set(&mut self, limits: RateLimits) {
        self.limits = limits;
    }

    /// Takes one call, or says how many whole seconds to wait (`Retry-After`, at least 1).
    ///
    /// # Errors
    /// The seconds to wait.
    pub fn take(&mut self, method: &str, channel: &str, now: Instant) -> Result<(), u64> {
        if self.limits == RateLimits::Off {
            return Ok(());
        }
        let Allowance { burst, period, by_channel } = allowance(method);
        let key = (method.to_owned(), if by_channel { channel.to_owned() } else { String::new() });
        let full_at = self.full_at.get(&key).copied().unwrap_or(now).max(now);
        let wait = (full_at - now + period).saturating_sub(period * burst);
        if wait > Duration::ZERO {
            return Err(wait.as_secs_f64().ceil().max(1.0) as u64);
        }
        self.full_at.insert(key, full_at + period);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_takes_a_burst_then_one_message_a_second() {
        let mut limiter = RateLimiter::new(RateLimits::Published);
        let start = Instant::now();
        for _ in 0..CHANNEL_BURST {
            assert_eq!(limiter.take("chat.postMessage", "C1", start), Ok(()));
        }
        assert_eq!(limiter.take("chat.postMessage", "C1", start), Err(1));
        assert_eq!(limiter.take("chat.postMessage", "C2", start), Ok(()), "another channel, another bucket");
        assert_eq!(limiter.take("chat.update", "C1", start), Ok(()), "another method, another bucket");
        let later = start + Duration::from_secs(1);
        assert_eq!(limiter.take("chat.postMessage", "C1", later), Ok(()));
        assert_eq!(limiter.take("chat.postMessage", "C1", later), Err(1));
    }

    #[test]
    fn updates_are_counted_for_the_whole_workspace() {
        let mut limiter = RateLimiter::new(RateLimits::Published);
        let now = Instant::now();
        let taken = (0..80).filter(|n| limiter.take("chat.update", &format!("C{n}"), now).is_ok()).count();
        assert_eq!(taken, 50);
        assert_eq!(limiter.take("chat.update", "C1", now), Err(2), "one each 1.2 s, told in whole seconds");
    }

    #[test]
    fn limits_can_be_switched_off() {
        let mut limiter = RateLimiter::new(RateLimits::Off);
        let now = Instant::now();
        assert!((0..500).all(|_| limiter.take("chat.postMessage", "C1", now).is_ok()));
    }
}
