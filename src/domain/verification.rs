//! Verification: after a settle time, checks over fresh findings must hold for a while, before a deadline.

use crate::diagnosis::ConditionOutcome;
use crate::rule::VerifySpec;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Shortest time between two looks: findings cost the systems that are already in trouble.
pub const RECHECK_MIN: SignedDuration = SignedDuration::from_secs(5);
/// Longest time between two looks, so that a break of the hold is seen.
pub const RECHECK_MAX: SignedDuration = SignedDuration::from_secs(30);

/// Where the verification of one action stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// When the action ended and the watch began.
    pub began_at: Timestamp,
    /// Since when all checks hold without a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holding_since: Option<Timestamp>,
    /// Number of looks so far.
    pub looks: u32,
}

/// What to do after a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerificationStep {
    /// The checks held long enough.
    Passed,
    /// Look again then.
    LookAgain(Timestamp),
    /// The deadline passed; the reason says which check did not hold.
    Failed(String),
}

impl Verification {
    /// A watch that begins now, and the moment of its first look.
    pub fn begin(spec: &VerifySpec, now: Timestamp) -> (Self, Timestamp) {
        (Self { began_at: now, holding_since: None, looks: 0 }, after(now, spec.settle))
    }

    /// Takes in one look at fresh findings.
    pub fn look(
        &mut self,
        spec: &VerifySpec,
        checks: &[ConditionOutcome],
        now: Timestamp,
    ) -> VerificationStep {
        self.looks = self.looks.saturating_add(1);
        // What lies in the future was noted before the clock was set back.
        self.began_at = self.began_at.min(now);
        self.holding_since = self.holding_since.map(|since| since.min(now));
        let deadline = after(self.began_at, spec.within);
        match first_failure(spec, checks) {
            None => {
                let since = *self.holding_since.get_or_insert(now);
                let held_until = after(since, spec.hold);
                if now >= held_until {
                    VerificationStep::Passed
                } else if held_until > deadline {
                    // Holding began too late to be proved within the limit.
                    VerificationStep::Failed("the checks began to hold too late".to_owned())
                } else {
                    VerificationStep::LookAgain(held_until.min(after(now, interval(spec))))
                }
            }
            Some(reason) => {
                self.holding_since = None;
                if now >= deadline {
                    VerificationStep::Failed(reason)
                } else {
                    VerificationStep::LookAgain(deadline.min(after(now, interval(spec))))
                }
            }
        }
    }
}

/// How long between two looks: a quarter of the hold time, within bounds.
fn interval(spec: &VerifySpec) -> SignedDuration {
    (spec.hold / 4).clamp(RECHECK_MIN, RECHECK_MAX)
}

fn first_failure(spec: &VerifySpec, checks: &[ConditionOutcome]) -> Option<String> {
    // A look that brought fewer answers than checks proves nothing.
    if checks.len() < spec.checks.len() {
        return Some("the checks could not be judged".to_owned());
    }
    spec.checks.iter().zip(checks).find_map(|(check, outcome)| match outcome {
        ConditionOutcome::Holds => None,
        ConditionOutcome::Fails => Some(format!("`{}` does not hold", check.0)),
        ConditionOutcome::Unknown(reason) => Some(format!("`{}` is unknown: {reason}", check.0)),
    })
}

/// `at + wait`, saturating at the end of time instead of failing.
pub(crate) fn after(at: Timestamp, wait: SignedDuration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{Condition, OnFail};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).expect("in range")
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_wait_for_it_to_catch_up() {
        let spec = VerifySpec {
            settle: SignedDuration::from_secs(60),
            hold: SignedDuration::from_secs(40),
            within: SignedDuration::from_mins(10),
            checks: vec![Condition("findings.ratio.last < 0.05".to_owned())],
            on_fail: OnFail::Escalate,
        };
        let day = 86_400;
        let (mut holds, first_look) = Verification::begin(&spec, at(day));
        let mut fails = holds.clone();
        assert!(matches!(
            holds.look(&spec, &[ConditionOutcome::Holds], first_look),
            VerificationStep::LookAgain(_)
        ));
        // Set back by a day: what held then begins to hold now, and the deadline counts from now.
        let again = holds.look(&spec, &[ConditionOutcome::Holds], at(0));
        assert!(matches!(again, VerificationStep::LookAgain(next) if next <= at(40)), "{again:?}");
        assert_eq!(holds.look(&spec, &[ConditionOutcome::Holds], at(40)), VerificationStep::Passed);
        let failing = fails.look(&spec, &[ConditionOutcome::Fails], at(0));
        assert!(matches!(failing, VerificationStep::LookAgain(next) if next <= at(600)), "{failing:?}");
        let failed = fails.look(&spec, &[ConditionOutcome::Fails], at(600));
        assert!(matches!(failed, VerificationStep::Failed(_)), "{failed:?}");
    }
}
