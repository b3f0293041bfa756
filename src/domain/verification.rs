//! Verification: after a settle time, checks over fresh findings must hold for a while, before a deadline.
//!
//! Only a check that is known not to hold tells against a remedy. What nobody could see, and time in which nobody
//! looked, does not: undoing a good remedy is worse than asking people.

use crate::diagnosis::ConditionOutcome;
use crate::rule::VerifySpec;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Shortest time between two looks: findings cost the systems that are already in trouble.
pub const RECHECK_MIN: SignedDuration = SignedDuration::from_secs(5);
/// Longest time between two looks, so that a break of the hold is seen.
pub const RECHECK_MAX: SignedDuration = SignedDuration::from_secs(30);

/// A look that comes so much later than it was due was missed: the service was down, or the clock was set. Longer than
/// gathering evidence takes at its slowest.
pub const LOOK_LATE_MAX: SignedDuration = SignedDuration::from_mins(2);

/// Where the verification of one action stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// When the action ended and the watch began; later where nobody looked for a while.
    pub began_at: Timestamp,
    /// Since when all checks hold without a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holding_since: Option<Timestamp>,
    /// When the next look is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_due_at: Option<Timestamp>,
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
    /// The deadline passed, and the reason says what could not be seen.
    Unproven(String),
}

impl Verification {
    /// A watch that begins now, and the moment of its first look.
    pub fn begin(spec: &VerifySpec, now: Timestamp) -> (Self, Timestamp) {
        let first_look = after(now, spec.settle);
        (Self { began_at: now, holding_since: None, look_due_at: Some(first_look), looks: 0 }, first_look)
    }

    /// Takes in one look at fresh findings.
    pub fn look(
        &mut self,
        spec: &VerifySpec,
        checks: &[ConditionOutcome],
        now: Timestamp,
    ) -> VerificationStep {
        self.looks = self.looks.saturating_add(1);
        self.skip_what_nobody_saw(now);
        let deadline = after(self.began_at, spec.within);
        let step = match outcome(spec, checks) {
            ConditionOutcome::Holds => {
                let since = *self.holding_since.get_or_insert(now);
                let held_until = after(since, spec.hold);
                // What begins to hold late has its time all the same: it is not undone while it helps.
                match now >= held_until {
                    true => VerificationStep::Passed,
                    false => VerificationStep::LookAgain(held_until.min(after(now, interval(spec)))),
                }
            }
            ConditionOutcome::Fails | ConditionOutcome::Unknown(_) if now < deadline => {
                self.holding_since = None;
                VerificationStep::LookAgain(deadline.min(after(now, interval(spec))))
            }
            ConditionOutcome::Fails => VerificationStep::Failed(failing(spec, checks)),
            ConditionOutcome::Unknown(reason) => VerificationStep::Unproven(reason),
        };
        self.look_due_at = match &step {
            VerificationStep::LookAgain(at) => Some(*at),
            _ => None,
        };
        step
    }

    /// Time in which nobody looked neither holds nor passes.
    fn skip_what_nobody_saw(&mut self, now: Timestamp) {
        // What lies in the future was noted before the clock was set back.
        self.began_at = self.began_at.min(now);
        self.holding_since = self.holding_since.map(|since| since.min(now));
        let late = self.look_due_at.map_or(SignedDuration::ZERO, |due| now.duration_since(due));
        if late > LOOK_LATE_MAX {
            self.began_at = after(self.began_at, late);
            self.holding_since = None;
        }
    }
}

/// How long between two looks: a quarter of the hold time, within bounds.
fn interval(spec: &VerifySpec) -> SignedDuration {
    (spec.hold / 4).clamp(RECHECK_MIN, RECHECK_MAX)
}

/// All checks together. One that is known not to hold says more than others that nobody can see.
fn outcome(spec: &VerifySpec, checks: &[ConditionOutcome]) -> ConditionOutcome {
    let mut unknown = None;
    for (check, outcome) in spec.checks.iter().zip(checks) {
        match outcome {
            ConditionOutcome::Holds => {}
            ConditionOutcome::Fails => return ConditionOutcome::Fails,
            ConditionOutcome::Unknown(reason) => {
                unknown.get_or_insert_with(|| format!("`{}` is unknown: {reason}", check.0));
            }
        }
    }
    // A look that brought fewer answers than checks proves nothing.
    if checks.len() < spec.checks.len() {
        unknown.get_or_insert_with(|| "the checks could not be judged".to_owned());
    }
    unknown.map_or(ConditionOutcome::Holds, ConditionOutcome::Unknown)
}

fn failing(spec: &VerifySpec, checks: &[ConditionOutcome]) -> String {
    let mut both = spec.checks.iter().zip(checks);
    both.find(|(_, outcome)| **outcome == ConditionOutcome::Fails)
        .map(|(check, _)| format!("`{}` does not hold", check.0))
        .unwrap_or_default()
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

    fn mk_spec() -> VerifySpec {
        VerifySpec {
            settle: SignedDuration::from_secs(60),
            hold: SignedDuration::from_secs(40),
            within: SignedDuration::from_mins(10),
            checks: vec![
                Condition("findings.ratio.last < 0.05".to_owned()),
                Condition("findings.pods.ready".to_owned()),
            ],
            on_fail: OnFail::Rollback,
        }
    }

    fn unknown() -> ConditionOutcome {
        ConditionOutcome::Unknown("no answer".to_owned())
    }

    #[test]
    fn what_nobody_can_see_is_unproven_and_what_is_seen_to_fail_has_failed() {
        use ConditionOutcome::{Fails, Holds};
        let at_the_end = |checks: &[ConditionOutcome]| {
            let spec = mk_spec();
            let (mut watch, mut next) = Verification::begin(&spec, at(0));
            loop {
                match watch.look(&spec, checks, next) {
                    VerificationStep::LookAgain(later) => next = later,
                    end => break (end, next),
                }
            }
        };
        let text = |why: &str| why.to_owned();
        let failed = VerificationStep::Failed(text("`findings.pods.ready` does not hold"));
        assert_eq!(at_the_end(&[unknown(), Fails]), (failed, at(600)));
        let unproven = VerificationStep::Unproven(text("`findings.pods.ready` is unknown: no answer"));
        assert_eq!(at_the_end(&[Holds, unknown()]), (unproven, at(600)));
        let missing = VerificationStep::Unproven(text("the checks could not be judged"));
        assert_eq!(at_the_end(&[Holds]), (missing, at(600)));
    }

    #[test]
    fn what_begins_to_hold_late_has_its_time() {
        let spec = mk_spec();
        let holds = [ConditionOutcome::Holds, ConditionOutcome::Holds];
        let (mut watch, _) = Verification::begin(&spec, at(0));
        let fails = [ConditionOutcome::Fails, ConditionOutcome::Holds];
        assert!(matches!(watch.look(&spec, &fails, at(60)), VerificationStep::LookAgain(_)));
        watch.look_due_at = Some(at(590));
        assert!(matches!(watch.look(&spec, &holds, at(590)), VerificationStep::LookAgain(_)));
        let mut breaks = watch.clone();
        assert_eq!(watch.look(&spec, &holds, at(630)), VerificationStep::Passed);
        assert!(
            matches!(breaks.look(&spec, &fails, at(630)), VerificationStep::Failed(_)),
            "then it is over"
        );
    }

    #[test]
    fn time_in_which_nobody_looked_does_not_count() {
        let spec = mk_spec();
        let (mut watch, first_look) = Verification::begin(&spec, at(0));
        let fails = [ConditionOutcome::Fails, ConditionOutcome::Holds];
        // The service was down for an hour: most of the ten minutes are left.
        let step = watch.look(&spec, &fails, after(first_look, SignedDuration::from_hours(1)));
        assert!(matches!(step, VerificationStep::LookAgain(_)), "{step:?}");
        watch.look_due_at = None;
        let mut over = watch.clone();
        let step = over.look(&spec, &fails, at(3_600 + 599));
        assert!(matches!(step, VerificationStep::LookAgain(_)), "{step:?}");
        assert!(matches!(watch.look(&spec, &fails, at(3_600 + 600)), VerificationStep::Failed(_)));
    }

    #[test]
    fn what_held_before_nobody_looked_has_to_hold_again() {
        let spec = mk_spec();
        let holds = [ConditionOutcome::Holds, ConditionOutcome::Holds];
        let (mut watch, first_look) = Verification::begin(&spec, at(0));
        assert!(matches!(watch.look(&spec, &holds, first_look), VerificationStep::LookAgain(_)));
        let later = after(first_look, SignedDuration::from_hours(1));
        assert!(matches!(watch.look(&spec, &holds, later), VerificationStep::LookAgain(_)));
        assert_eq!(watch.look(&spec, &holds, after(later, spec.hold)), VerificationStep::Passed);
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
        fails.look_due_at = None;
        let failed = fails.look(&spec, &[ConditionOutcome::Fails], at(600));
        assert!(matches!(failed, VerificationStep::Failed(_)), "{failed:?}");
    }
}
