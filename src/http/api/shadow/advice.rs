//! What the record of a rule in shadow speaks for: a text with its reasons, for people who decide and edit.
//!
//! It never changes anything, and knows no file: rules are changed where they are kept and reviewed.

use super::tally::{RuleShadow, run_alone, sum};
use crate::domain::counted::counted;

/// Fewest incidents in which it would have done something: with fewer, one odd night decides.
const MOMENTS_MIN: u64 = 10;

/// Fewest of those that can be told apart into agreement and disagreement: what is unclear proves nothing.
const JUDGED_MIN: u64 = 5;

/// Most disagreements, in percent of what can be told apart. One in ten is about as often as people differ.
const DISAGREES_PERCENT_MAX: u64 = 10;

/// Most incidents in which guardrails forbid it, in percent of those in which it was judged: beyond that its limits or its
/// conditions are not yet right, and once live it would wait most of the time.
const BLOCKED_PERCENT_MAX: u64 = 50;

/// A suggestion.
pub(super) struct Advice {
    pub(super) promote: bool,
    pub(super) reasons: Vec<String>,
    pub(super) edit: Option<String>,
}

/// What to make of the record of a rule.
pub(super) fn of(rule: &RuleShadow) -> Advice {
    match rule.mode_now.as_deref() {
        Some("shadow") => {}
        Some(_) => return not(vec!["it is live already: these incidents are of the time before".to_owned()]),
        None => return not(vec!["there is no rule of this name any more".to_owned()]),
    }
    let against = against(rule);
    if !against.is_empty() {
        return not(against);
    }
    Advice { promote: true, reasons: speaks_for(rule), edit: Some(edit(&rule.rule)) }
}

fn not(reasons: Vec<String>) -> Advice {
    Advice { promote: false, reasons, edit: None }
}

/// Numbers over all remedies of a rule.
struct Sums {
    moments: u64,
    agrees: u64,
    disagrees: u64,
    blocked: u64,
}

impl Sums {
    fn of(rule: &RuleShadow) -> Self {
        let all = |number: fn(&super::RemedyShadow) -> u64| rule.remedies.iter().map(number).sum();
        Self {
            moments: all(super::RemedyShadow::moments),
            agrees: all(|remedy| sum(&remedy.agrees)),
            disagrees: all(|remedy| sum(&remedy.disagrees)),
            blocked: all(|remedy| sum(&remedy.blocked)),
        }
    }

    fn judged(&self) -> u64 {
        self.agrees + self.disagrees
    }
}

/// Why not yet.
fn against(rule: &RuleShadow) -> Vec<String> {
    let sums = Sums::of(rule);
    let mut reasons = Vec::new();
    if sums.moments < MOMENTS_MIN {
        let moments = times(sums.moments);
        reasons.push(format!("too few: it would have acted or asked in {moments}, of {MOMENTS_MIN} wanted"));
    }
    if sums.judged() < JUDGED_MIN {
        let judged = times(sums.judged());
        reasons.push(format!(
            "too little to compare with: what was done is known in {judged}, of {JUDGED_MIN} wanted"
        ));
    }
    if sums.disagrees * 100 > sums.judged() * DISAGREES_PERCENT_MAX {
        let (disagrees, judged) = (sums.disagrees, sums.judged());
        reasons.push(format!(
            "it disagrees with what was done in {disagrees} of {judged}; at most {DISAGREES_PERCENT_MAX} % are wanted"
        ));
    }
    if sums.blocked * 100 > (sums.blocked + sums.moments) * BLOCKED_PERCENT_MAX {
        let why = mostly_blocked_by(rule);
        reasons.push(format!("guardrails forbid it more often than not, mostly {why}: look at these first"));
    }
    reasons
}

/// The word that forbade it most often.
fn mostly_blocked_by(rule: &RuleShadow) -> String {
    let mut words = std::collections::BTreeMap::<&str, u64>::new();
    for (word, count) in rule.remedies.iter().flat_map(|remedy| &remedy.blocked) {
        *words.entry(word).or_default() += count;
    }
    words.into_iter().max_by_key(|(_, count)| *count).map(|(word, _)| word.to_owned()).unwrap_or_default()
}

/// What speaks for it, and what to know before.
fn speaks_for(rule: &RuleShadow) -> Vec<String> {
    let sums = Sums::of(rule);
    let mut reasons = vec![format!(
        "it would have acted or asked in {}, and agrees with what was done in {} of {} that can be told",
        times(sums.moments),
        sums.agrees,
        sums.judged()
    )];
    for remedy in run_alone(rule) {
        reasons.push(format!(
            "`{remedy}` would run without asking: `tier: T2` on it lets people decide for a while first"
        ));
    }
    for (other, count) in &rule.beside {
        reasons.push(format!(
            "{other} answered the same alerts in {}: once both are live, the one that comes first takes them, unless it \
             says `continue: true`",
            times(*count)
        ));
    }
    reasons
}

/// The change, as a person makes it.
fn edit(rule: &str) -> String {
    format!(
        "In the document `kind: ResponseRule` with `metadata: {{ name: {rule} }}`:\n\
         -  mode: shadow\n\
         +  mode: live\n\
         Then `smokejumper check`, its tests, and a reload. Incidents that are open by then stay in shadow."
    )
}

fn times(count: u64) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), "incident")
}
