//! Chance for the simulated world: repeatable where a test needs it, unguessable where a secret needs it.
//!
//! It must never be used by the product itself.

use ring::rand::{SecureRandom, SystemRandom};

/// A small repeatable generator (SplitMix64). The same seed gives the same run, which is what a failing test prints.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// A generator that starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, spread over all 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// The next number in `0.0..1.0`.
    pub fn next_unit(&mut self) -> f64 {
        unit(self.next_u64())
    }

    /// True with the given probability (0.0 never, 1.0 always).
    pub fn chance(&mut self, probability: f64) -> bool {
        self.next_unit() < probability
    }
}

/// Repeatable noise in `-1.0..1.0` for one point of one series, so that asking twice gives the same value.
#[must_use]
pub fn noise(seed: u64, point: i64) -> f64 {
    unit(mix(seed ^ mix(point.cast_unsigned()))) * 2.0 - 1.0
}

/// `bytes` random bytes of the operating system as lower-case hexadecimal: tokens and keys of the sandbox.
#[must_use]
pub fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0_u8; bytes];
    SystemRandom::new().fill(&mut buffer).expect("the operating system's random source answers once booted");
    hex::encode(buffer)
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[allow(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
fn unit(value: u64) -> f64 {
    (value >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_run_and_another_seed_another() {
        let run = |seed| {
            let mut seed = Seed::new(seed);
            (0..8).map(|_| seed.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn chance_keeps_to_its_probability() {
        let mut seed = Seed::new(1);
        let hits = (0..10_000).filter(|_| seed.chance(0.25)).count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
        assert!(!seed.chance(0.0) && seed.chance(1.0));
    }

    #[test]
    fn noise_is_bounded_and_repeatable() {
        for point in -500..500 {
            let value = noise(3, point);
            assert!((-1.0..1.0).contains(&value));
            assert_eq!(value.to_bits(), noise(3, point).to_bits());
        }
    }

    #[test]
    fn random_tokens_differ_and_have_the_asked_length() {
        assert_eq!(random_hex(16).len(), 32);
        assert_ne!(random_hex(16), random_hex(16));
    }
}
