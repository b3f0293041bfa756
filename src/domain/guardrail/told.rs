//! Verdicts in words: all of them for the trail, the gist for a message.

use super::GuardrailVerdict;

/// Every verdict with its reason, in the order in which they were judged.
pub fn told(verdicts: &[GuardrailVerdict]) -> String {
    let words: Vec<String> = verdicts.iter().map(one).collect();
    words.join("; ")
}

/// Those that forbid with their reasons, and how many let it pass; empty where none was judged.
pub fn in_short(verdicts: &[GuardrailVerdict]) -> String {
    let mut words: Vec<String> = verdicts.iter().filter(|verdict| !verdict.allowed).map(one).collect();
    let passes = verdicts.len() - words.len();
    match (passes, words.is_empty()) {
        (0, _) => {}
        (1, true) => words.push("the only one lets it pass".to_owned()),
        (1, false) => words.push("1 lets it pass".to_owned()),
        (passes, true) => words.push(format!("all {passes} let it pass")),
        (passes, false) => words.push(format!("{passes} let it pass")),
    }
    words.join("; ")
}

fn one(verdict: &GuardrailVerdict) -> String {
    let forbids = if verdict.allowed { "" } else { " forbids it" };
    format!("{}{forbids}: {}", verdict.guardrail.as_str(), verdict.reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guardrail::{Guardrail, allowed, denied};

    #[test]
    fn the_trail_has_all_and_a_message_what_forbids() {
        let verdicts = [
            allowed(Guardrail::Pause, "not paused"),
            denied(Guardrail::RateTarget, "3 of 3 actions in 24h are used", None),
            allowed(Guardrail::DryRun, "actions are enforced"),
        ];
        assert_eq!(
            told(&verdicts),
            "pause: not paused; rate_target forbids it: 3 of 3 actions in 24h are used; dry_run: actions are enforced"
        );
        assert_eq!(
            in_short(&verdicts),
            "rate_target forbids it: 3 of 3 actions in 24h are used; 2 let it pass"
        );
        assert_eq!(in_short(&verdicts[..1]), "the only one lets it pass");
        assert_eq!(in_short(&[verdicts[0].clone(), verdicts[2].clone()]), "all 2 let it pass");
        assert_eq!(in_short(&[]), "");
    }
}
