//! Finds the rules for an alert without trying all of them.
//!
//! Rules that name their alerts (`alertname="X"`, or `alertname=~"X|Y"`) are looked up by name; only the others are
//! tried for every alert. So matching does not grow with the number of rules.

use crate::domain::matcher::{LabelSource, MatchOp, Matcher, Matchers};
use std::collections::HashMap;

/// Positions of rules, in matching order, by the alerts that they can match.
#[derive(Debug, Default)]
pub struct RuleIndex {
    by_alertname: HashMap<Box<str>, Vec<u32>>,
    /// Rules that name no alert.
    others: Vec<u32>,
}

impl RuleIndex {
    /// Indexes the matchers of rules in matching order. Positions are those in the iteration.
    pub fn new<'m>(rules: impl IntoIterator<Item = &'m Matchers>) -> Self {
        let mut index = Self::default();
        for (position, matchers) in (0_u32..).zip(rules) {
            match alertnames(matchers) {
                None => index.others.push(position),
                Some(mut names) => {
                    names.sort_unstable();
                    names.dedup();
                    for name in names {
                        index.by_alertname.entry(name.into()).or_default().push(position);
                    }
                }
            }
        }
        index
    }

    /// Positions of the rules that may match, in matching order. Each has still to be tried.
    pub fn candidates(&self, labels: &(impl LabelSource + ?Sized)) -> impl Iterator<Item = usize> {
        let named = labels.label("alertname").and_then(|name| self.by_alertname.get(name));
        let mut named = named.map_or(&[][..], Vec::as_slice).iter().peekable();
        let mut others = self.others.iter().peekable();
        std::iter::from_fn(move || {
            let next = match (named.peek(), others.peek()) {
                (Some(a), Some(b)) if a < b => named.next(),
                (Some(_), None) => named.next(),
                _ => others.next(),
            };
            next.map(|position| *position as usize)
        })
    }
}

/// Whether the rules of an alert are found by its name, or must be tried for every alert.
pub(super) fn names_its_alerts(matchers: &Matchers) -> bool {
    alertnames(matchers).is_some()
}

/// The names that the alert must have one of; `None` if others are possible.
fn alertnames(matchers: &Matchers) -> Option<Vec<&str>> {
    matchers.iter().filter(|matcher| matcher.name() == "alertname").find_map(|matcher| match matcher.op() {
        MatchOp::Equal if !matcher.value().is_empty() => Some(vec![matcher.value()]),
        MatchOp::Regex => literal_values(matcher).filter(|values| !values.contains(&"")),
        _ => None,
    })
}

/// The texts that a regular expression of nothing but alternatives lets pass.
pub(super) fn literal_values(matcher: &Matcher) -> Option<Vec<&str>> {
    let expression = matcher.value();
    let is_plain = !expression.contains(['\\', '.', '+', '*', '?', '(', ')', '[', ']', '{', '}', '^', '$']);
    (matcher.op() == MatchOp::Regex && is_plain).then(|| expression.split('|').collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Labels;
    use crate::domain::matcher::{ParseMode, parse};
    use proptest::prelude::*;

    fn mk_labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn mk_index(rules: &[&str]) -> (RuleIndex, Vec<Matchers>) {
        let matchers: Vec<Matchers> =
            rules.iter().map(|text| parse(text, ParseMode::Fallback).expect("matchers")).collect();
        (RuleIndex::new(&matchers), matchers)
    }

    #[test]
    fn candidates_come_in_order_and_leave_other_alerts_out() {
        let (index, _) = mk_index(&[
            "{alertname=\"A\"}",
            "{severity=\"critical\"}",
            "{alertname=\"B\"}",
            "{alertname=~\"A|B|A\"}",
            "{alertname=~\"A.*\"}",
            "{alertname=\"\"}",
            "{alertname!=\"A\"}",
        ]);
        let candidates =
            |name: &str| index.candidates(&mk_labels(&[("alertname", name)])).collect::<Vec<_>>();
        assert_eq!(candidates("A"), [0, 1, 3, 4, 5, 6]);
        assert_eq!(candidates("B"), [1, 2, 3, 4, 5, 6]);
        assert_eq!(candidates("C"), [1, 4, 5, 6]);
        assert_eq!(index.candidates(&mk_labels(&[])).collect::<Vec<_>>(), [1, 4, 5, 6]);
    }

    proptest! {
        #[test]
        fn the_index_never_loses_a_match(
            rules in proptest::collection::vec((0..6_u8, "[AB]{0,1}", "[ab]{0,1}"), 0..12),
            name in "[AB]{0,1}",
            other in "[ab]{0,1}",
        ) {
            let texts: Vec<String> = rules.iter().map(|(form, n, o)| match form {
                0 => format!("{{alertname=\"{n}\"}}"),
                1 => format!("{{alertname=~\"{n}|B\",x=\"{o}\"}}"),
                2 => format!("{{alertname=~\"{n}.*\"}}"),
                3 => format!("{{alertname!=\"{n}\",x=\"{o}\"}}"),
                4 => format!("{{x=~\"{o}|b\"}}"),
                _ => format!("{{alertname=\"{n}\",alertname=~\"A.*\"}}"),
            }).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let (index, matchers) = mk_index(&texts);
            let labels = mk_labels(&[("alertname", &name), ("x", &other)]);
            let found: Vec<usize> = index.candidates(&labels).filter(|at| matchers[*at].matches(&labels)).collect();
            let all: Vec<usize> = (0..matchers.len()).filter(|at| matchers[*at].matches(&labels)).collect();
            prop_assert_eq!(found, all);
        }
    }
}
