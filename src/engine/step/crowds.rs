//! Who is in trouble together: open incidents that began lately, counted by rule, by namespace and in all.
//!
//! What has one cause must not be healed one by one. What is counted are targets, so that several rules about one
//! object are one. An alert that nobody wrote a rule for counts only for its own rule: nobody has said what it means.

use crate::domain::correlate::CorrelationKey;
use crate::domain::guardrail::{Alone, Crowd, Peers};
use crate::domain::incident::{Incident, IncidentId};
use crate::engine::playbook::RuleRole;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Open incidents that began lately, by what they have in common.
pub(super) struct Crowds {
    limits: Alone,
    now: Timestamp,
    of_rule: HashMap<String, BTreeSet<IncidentId>>,
    in_namespace: HashMap<String, Trouble>,
    in_all: Trouble,
    roles: HashMap<String, RuleRole>,
    /// There were too many to count: whatever is asked is about something larger.
    is_storm: bool,
}

/// What is in trouble.
#[derive(Default)]
struct Trouble {
    subjects: HashSet<String>,
    /// The first incident in which a machine might act.
    first: Option<IncidentId>,
}

/// One incident, as far as it matters here.
pub(super) struct Member<'m> {
    pub(super) id: &'m IncidentId,
    pub(super) rule: &'m str,
    pub(super) key: &'m CorrelationKey,
    pub(super) started_at: Timestamp,
}

impl<'m> Member<'m> {
    pub(super) fn of(incident: &'m Incident) -> Self {
        let Incident { id, rule, key, started_at, .. } = incident;
        Self { id, rule, key, started_at: *started_at }
    }
}

impl Crowds {
    pub(super) fn new(limits: Alone, now: Timestamp, is_storm: bool) -> Self {
        Self {
            limits,
            now,
            of_rule: HashMap::new(),
            in_namespace: HashMap::new(),
            in_all: Trouble::default(),
            roles: HashMap::new(),
            is_storm,
        }
    }

    /// Since when incidents have to be known; none where nothing is counted.
    pub(super) fn since(limits: Alone, now: Timestamp) -> Option<Timestamp> {
        let Alone { targets, targets_within, targets_in_namespace, targets_in_all, all_rules_within, .. } =
            limits;
        let of_rule = (targets > 0).then_some(targets_within);
        let of_all = (targets_in_namespace > 0 || targets_in_all > 0).then_some(all_rules_within);
        let longest = of_rule.max(of_all)?;
        Some(now.checked_sub(longest).unwrap_or(Timestamp::MIN))
    }

    /// Takes in an open incident.
    pub(super) fn add(&mut self, role_of: impl FnOnce(&str) -> RuleRole, member: Member<'_>) {
        let Member { id, rule, key, started_at } = member;
        let is_within = |window: SignedDuration| {
            self.now.checked_sub(window).ok().is_none_or(|since| started_at >= since)
        };
        let (of_rule, of_all) =
            (is_within(self.limits.targets_within), is_within(self.limits.all_rules_within));
        if of_rule {
            self.of_rule.entry(rule.to_owned()).or_default().insert(id.clone());
        }
        let role = match self.roles.get(rule) {
            Some(role) => *role,
            None => *self.roles.entry(rule.to_owned()).or_insert_with(|| role_of(rule)),
        };
        if !of_all || role == RuleRole::Unmatched {
            return;
        }
        let subject = key.subject(rule);
        self.in_all.add(subject, id, role);
        if let Some(namespace) = key.namespace(rule) {
            self.in_namespace.entry(namespace.to_owned()).or_default().add(subject, id, role);
        }
    }

    /// Who is in trouble beside this incident, which counts itself whenever it began.
    pub(super) fn peers(&self, id: &IncidentId, rule: &str, key: &CorrelationKey) -> Peers {
        let of_rule = self.of_rule.get(rule);
        let others = of_rule.map_or(0, |ids| ids.len() - usize::from(ids.contains(id)));
        let first = of_rule.and_then(BTreeSet::first);
        let subject = key.subject(rule);
        let in_namespace = key.namespace(rule).and_then(|namespace| self.in_namespace.get(namespace));
        let Alone { targets, targets_in_namespace, targets_in_all, .. } = self.limits;
        Peers {
            of_rule: self.crowd(others, targets, first, id),
            in_namespace: match in_namespace {
                Some(trouble) => trouble.crowd(self, subject, targets_in_namespace, id),
                None => Peers::NONE.in_namespace,
            },
            in_all: self.in_all.crowd(self, subject, targets_in_all, id),
        }
    }

    fn crowd(&self, others: usize, limit: u32, first: Option<&IncidentId>, id: &IncidentId) -> Crowd {
        let counted = u32::try_from(others + 1).unwrap_or(u32::MAX);
        let targets = if self.is_storm { counted.max(limit) } else { counted };
        Crowd { targets, is_first: first.is_none_or(|first| first >= id) }
    }
}

impl Trouble {
    fn add(&mut self, subject: &str, id: &IncidentId, role: RuleRole) {
        self.subjects.insert(subject.to_owned());
        if role == RuleRole::Acts && self.first.as_ref().is_none_or(|first| id < first) {
            self.first = Some(id.clone());
        }
    }

    fn crowd(&self, crowds: &Crowds, subject: &str, limit: u32, id: &IncidentId) -> Crowd {
        let others = self.subjects.len() - usize::from(self.subjects.contains(subject));
        crowds.crowd(others, limit, self.first.as_ref(), id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::correlate::Target;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + minute * 60).expect("in range")
    }

    fn key(rule: &str, namespace: &str, name: &str) -> CorrelationKey {
        let [kind, namespace, name] = ["Deployment", namespace, name].map(str::to_owned);
        CorrelationKey::for_target(rule, &Target { kind, namespace, name })
    }

    /// Incidents by identity, rule, target and minute; rules that begin with `tell` only tell, `?` is nobody's. It is
    /// minute 20.
    fn mk_crowds(members: &[(&str, &str, &str, i64)]) -> Crowds {
        let mut crowds = Crowds::new(Alone::default(), at(20), false);
        for (id, rule, target, minute) in members {
            let (namespace, name) = target.split_once('/').expect("a namespace and a name");
            let role = |rule: &str| match rule {
                "?" => RuleRole::Unmatched,
                rule if rule.starts_with("tell") => RuleRole::Tells,
                _ => RuleRole::Acts,
            };
            let (id, key) = (IncidentId((*id).to_owned()), key(rule, namespace, name));
            crowds.add(role, Member { id: &id, rule, key: &key, started_at: at(*minute) });
        }
        crowds
    }

    fn peers(crowds: &Crowds, id: &str, rule: &str, target: &str) -> [(u32, bool); 3] {
        let (namespace, name) = target.split_once('/').expect("a namespace and a name");
        let Peers { of_rule, in_namespace, in_all } =
            crowds.peers(&IncidentId(id.to_owned()), rule, &key(rule, namespace, name));
        [of_rule, in_namespace, in_all].map(|crowd| (crowd.targets, crowd.is_first))
    }

    #[test]
    fn targets_are_counted_by_rule_by_namespace_and_in_all() {
        let crowds = mk_crowds(&[
            ("i1", "errors", "shop/api", 10),
            ("i2", "errors", "shop/web", 17),
            ("i3", "slow", "shop/web", 18),
            ("i4", "slow", "bank/api", 19),
            ("i5", "errors", "shop/old", 1),
        ]);
        // The rule looks back a quarter of an hour, everything else five minutes; web counts once.
        assert_eq!(peers(&crowds, "i2", "errors", "shop/web"), [(2, false), (1, true), (2, true)]);
        assert_eq!(peers(&crowds, "i4", "slow", "bank/api"), [(2, false), (1, true), (2, false)]);
        // Whoever asks counts, however old.
        assert_eq!(peers(&crowds, "i5", "errors", "shop/old"), [(3, false), (2, false), (3, false)]);
    }

    #[test]
    fn the_first_that_asks_is_one_in_which_a_machine_might_act() {
        let crowds = mk_crowds(&[
            ("i1", "tell-people", "shop/db", 18),
            ("i2", "errors", "shop/api", 18),
            ("i3", "slow", "shop/web", 18),
        ]);
        assert_eq!(peers(&crowds, "i2", "errors", "shop/api")[1], (3, true));
        assert_eq!(peers(&crowds, "i3", "slow", "shop/web")[1], (3, false));
    }

    #[test]
    fn what_nobody_wrote_a_rule_for_counts_for_nothing_else() {
        let crowds =
            mk_crowds(&[("i1", "?", "shop/a", 18), ("i2", "?", "shop/b", 18), ("i3", "slow", "shop/c", 18)]);
        assert_eq!(peers(&crowds, "i3", "slow", "shop/c"), [(1, true), (1, true), (1, true)]);
    }

    #[test]
    fn a_storm_is_larger_than_any_limit() {
        let mut crowds = mk_crowds(&[("i3", "slow", "shop/c", 18)]);
        crowds.is_storm = true;
        assert_eq!(peers(&crowds, "i3", "slow", "shop/c").map(|(targets, _)| targets), [3, 3, 10]);
    }

    #[test]
    fn nothing_is_looked_up_where_nothing_is_counted() {
        let none = Alone { targets: 0, targets_in_namespace: 0, targets_in_all: 0, ..Alone::default() };
        assert_eq!(Crowds::since(none, at(20)), None);
        assert_eq!(Crowds::since(Alone { targets_in_all: 1, ..none }, at(20)), Some(at(15)));
        assert_eq!(Crowds::since(Alone::default(), at(20)), Some(at(5)));
    }
}
