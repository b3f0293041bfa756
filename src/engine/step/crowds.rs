//! Who is in trouble together: open incidents, counted by rule, and those that began within a short time of one another by
//! namespace and in all.
//!
//! What has one cause must not be healed one by one. What is counted are targets, so that several rules about one
//! object are one. An alert that nobody wrote a rule for counts only for its own rule: nobody has said what it means. So does
//! an incident of a rule in shadow, beside which live rules do as they would without it.

use crate::domain::correlate::CorrelationKey;
use crate::domain::guardrail::{Alone, Crowd, Peers};
use crate::domain::incident::{Incident, IncidentId};
use crate::engine::playbook::RuleRole;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Incidents of one rule that began so shortly after one another are one event, about which people are asked once. One
/// that begins later is news to them, whatever has been open for days.
const ONE_EVENT: SignedDuration = SignedDuration::from_mins(15);

/// Open incidents, by what they have in common.
pub(super) struct Crowds {
    limits: Alone,
    now: Timestamp,
    open: Vec<Known>,
    of_rule: HashMap<Arc<str>, BTreeMap<IncidentId, Timestamp>>,
    /// Keys of a rule beyond the incidents that are known one by one.
    beyond: HashMap<String, HashSet<CorrelationKey>>,
    /// What began within the time before now.
    lately: Troubles,
    roles: HashMap<Arc<str>, RuleRole>,
    /// From which identity on none is missing; none where all are known.
    known_from: Option<IncidentId>,
    /// There were too many to count: whatever is asked is about something larger.
    is_storm: bool,
}

/// An open incident that counts over all rules.
struct Known {
    id: IncidentId,
    subject: Arc<str>,
    namespace: Option<Arc<str>>,
    started_at: Timestamp,
    role: RuleRole,
}

/// What is in trouble at one time.
#[derive(Default)]
struct Troubles {
    in_namespace: HashMap<Arc<str>, Trouble>,
    in_all: Trouble,
}

/// What is in trouble.
#[derive(Default)]
struct Trouble {
    subjects: HashSet<Arc<str>>,
    /// The first incident in which a machine might act.
    first: Option<IncidentId>,
}

/// One incident, as far as it matters here.
#[derive(Clone, Copy)]
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
    pub(super) fn new(limits: Alone, now: Timestamp) -> Self {
        Self {
            limits,
            now,
            open: Vec::new(),
            of_rule: HashMap::new(),
            beyond: HashMap::new(),
            lately: Troubles::default(),
            roles: HashMap::new(),
            known_from: None,
            is_storm: false,
        }
    }

    /// Not all are known: none is missing from this identity on. In a storm that is all that there is to know.
    pub(super) fn known_from(&mut self, id: Option<IncidentId>, is_storm: bool) {
        self.known_from = id;
        self.is_storm = is_storm;
    }

    /// Since when too many incidents are a storm; none where nothing is counted.
    pub(super) fn since(limits: Alone, now: Timestamp) -> Option<Timestamp> {
        let Alone { targets, targets_within, targets_in_namespace, targets_in_all, all_rules_within, .. } =
            limits;
        let of_rule = (targets > 0).then(|| targets_within.unwrap_or(ONE_EVENT));
        let of_all = (targets_in_namespace > 0 || targets_in_all > 0).then_some(all_rules_within);
        let longest = of_rule.max(of_all)?;
        Some(now.checked_sub(longest).unwrap_or(Timestamp::MIN))
    }

    /// Takes in an open incident.
    pub(super) fn add(&mut self, role_of: impl FnOnce(&str) -> RuleRole, member: Member<'_>) {
        let Member { id, rule, key, started_at } = member;
        let (rule, role) = match self.roles.get_key_value(rule) {
            Some((name, role)) => (Arc::clone(name), *role),
            None => {
                let (name, role) = (Arc::from(rule), role_of(rule));
                self.roles.insert(Arc::clone(&name), role);
                (name, role)
            }
        };
        let subject = key.subject(&rule);
        let namespace = key.namespace(&rule);
        if !matches!(role, RuleRole::Unmatched | RuleRole::Watches) {
            let (subject, namespace) = (Arc::from(subject), namespace.map(Arc::from));
            let known = Known { id: id.clone(), subject, namespace, started_at, role };
            if is_since(started_at, self.now, self.limits.all_rules_within) {
                self.lately.add(&known);
            }
            self.open.push(known);
        }
        self.of_rule.entry(rule).or_default().insert(id.clone(), started_at);
    }

    /// How many keys of a rule have to be looked up, because what is known one by one is not all of it and too little to tell.
    pub(super) fn wants_keys(&self, rule: &str) -> Option<u32> {
        let Alone { targets, targets_within: None, .. } = self.limits else { return None };
        let is_known = self.known_from.is_none() || self.is_storm || self.beyond.contains_key(rule);
        let known = self.of_rule.get(rule).map_or(0, BTreeMap::len);
        // One of them may be that of whoever asks.
        (targets > 0 && !is_known && known <= targets as usize).then_some(targets)
    }

    /// Takes in keys of a rule.
    pub(super) fn add_keys(&mut self, rule: &str, keys: Vec<CorrelationKey>) {
        self.beyond.insert(rule.to_owned(), keys.into_iter().collect());
    }

    /// Who is in trouble beside this incident, which counts itself whenever it began.
    pub(super) fn peers(&self, member: Member<'_>) -> Peers {
        let Member { id, rule, key, started_at } = member;
        let Alone { targets, targets_in_namespace, targets_in_all, all_rules_within, .. } = self.limits;
        let (others, first) = self.of_rule(member);
        // What began together stays together for as long as it is open, not only for its first minutes.
        let around;
        let troubles = if is_since(started_at, self.now, all_rules_within) {
            &self.lately
        } else {
            around = self.around(started_at);
            &around
        };
        let subject = key.subject(rule);
        let in_namespace = key.namespace(rule).and_then(|namespace| troubles.in_namespace.get(namespace));
        Peers {
            of_rule: self.crowd(others, targets, first, id),
            in_namespace: match in_namespace {
                Some(trouble) => trouble.crowd(self, subject, targets_in_namespace, id),
                None => Peers::NONE.in_namespace,
            },
            in_all: troubles.in_all.crowd(self, subject, targets_in_all, id),
        }
    }

    /// How many others of its rule are open, and which of those that began with it was the first.
    fn of_rule(&self, Member { id, rule, key, started_at }: Member<'_>) -> (usize, Option<&IncidentId>) {
        let beyond = self.beyond.get(rule).map_or(0, |keys| keys.iter().filter(|one| *one != key).count());
        let Some(open) = self.of_rule.get(rule) else { return (beyond, None) };
        let others = match self.limits.targets_within {
            None => open.len() - usize::from(open.contains_key(id)),
            Some(window) => {
                let counts = |(other, at): &(&IncidentId, &Timestamp)| {
                    *other != id && is_since(**at, self.now, window)
                };
                open.iter().filter(counts).count()
            }
        };
        let first = open.iter().find(|(_, at)| is_since(**at, started_at, ONE_EVENT));
        (others.max(beyond), first.map(|(id, _)| id))
    }

    /// What began within the time around this, or before now.
    fn around(&self, at: Timestamp) -> Troubles {
        let window = self.limits.all_rules_within;
        let mut troubles = Troubles::default();
        for known in &self.open {
            let is_near = known.started_at.duration_since(at).abs() <= window;
            if is_near || is_since(known.started_at, self.now, window) {
                troubles.add(known);
            }
        }
        troubles
    }

    fn crowd(&self, others: usize, limit: u32, first: Option<&IncidentId>, id: &IncidentId) -> Crowd {
        let counted = u32::try_from(others + 1).unwrap_or(u32::MAX);
        let targets = if self.is_storm { counted.max(limit) } else { counted };
        // Whoever is older than all that is known cannot tell whether it is the first.
        let is_known = self.known_from.as_ref().is_none_or(|from| id >= from);
        Crowd { targets, is_first: is_known && first.is_none_or(|first| first >= id) }
    }
}

/// Whether something began within this time before then, or later.
fn is_since(at: Timestamp, then: Timestamp, window: SignedDuration) -> bool {
    then.checked_sub(window).ok().is_none_or(|since| at >= since)
}

impl Troubles {
    fn add(&mut self, known: &Known) {
        self.in_all.add(known);
        if let Some(namespace) = &known.namespace {
            self.in_namespace.entry(Arc::clone(namespace)).or_default().add(known);
        }
    }
}

impl Trouble {
    fn add(&mut self, known: &Known) {
        self.subjects.insert(Arc::clone(&known.subject));
        if known.role == RuleRole::Acts && self.first.as_ref().is_none_or(|first| known.id < *first) {
            self.first = Some(known.id.clone());
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

    fn key(rule: &str, target: &str) -> CorrelationKey {
        let (namespace, name) = target.split_once('/').expect("a namespace and a name");
        let [kind, namespace, name] = ["Deployment", namespace, name].map(str::to_owned);
        CorrelationKey::for_target(rule, &Target { kind, namespace, name })
    }

    /// Incidents by identity, rule, target and minute; rules that begin with `tell` only tell, `?` is nobody's. It is
    /// minute 20.
    fn mk_crowds(members: &[(&str, &str, &str, i64)]) -> Crowds {
        mk_crowds_under(Alone::default(), members)
    }

    fn mk_crowds_under(limits: Alone, members: &[(&str, &str, &str, i64)]) -> Crowds {
        let mut crowds = Crowds::new(limits, at(20));
        for (id, rule, target, minute) in members {
            let role = |rule: &str| match rule {
                "?" => RuleRole::Unmatched,
                rule if rule.starts_with("tell") => RuleRole::Tells,
                _ => RuleRole::Acts,
            };
            let (id, key) = (IncidentId((*id).to_owned()), key(rule, target));
            crowds.add(role, Member { id: &id, rule, key: &key, started_at: at(*minute) });
        }
        crowds
    }

    fn peers(crowds: &Crowds, (id, rule, target, minute): (&str, &str, &str, i64)) -> [(u32, bool); 3] {
        let (id, key) = (IncidentId(id.to_owned()), key(rule, target));
        let Peers { of_rule, in_namespace, in_all } =
            crowds.peers(Member { id: &id, rule, key: &key, started_at: at(minute) });
        [of_rule, in_namespace, in_all].map(|crowd| (crowd.targets, crowd.is_first))
    }

    #[test]
    fn targets_are_counted_by_rule_by_namespace_and_in_all() {
        let crowds = mk_crowds(&[
            ("i0", "errors", "shop/old", -5_000),
            ("i1", "errors", "shop/api", 10),
            ("i2", "errors", "shop/web", 17),
            ("i3", "slow", "shop/web", 18),
            ("i4", "slow", "bank/api", 19),
        ]);
        // A rule counts all that is open, everything else looks back five minutes; web counts once.
        assert_eq!(peers(&crowds, ("i2", "errors", "shop/web", 17)), [(3, false), (1, true), (2, true)]);
        assert_eq!(peers(&crowds, ("i4", "slow", "bank/api", 19)), [(2, false), (1, true), (2, false)]);
        // Whoever asks counts, however old.
        assert_eq!(peers(&crowds, ("i0", "errors", "shop/old", -5_000)), [(3, true), (2, true), (3, true)]);
    }

    #[test]
    fn one_that_begins_while_others_have_been_open_for_days_is_asked_about() {
        let crowds = mk_crowds(&[
            ("i1", "errors", "shop/a", -5_000),
            ("i2", "errors", "shop/b", -4_990),
            ("i3", "errors", "shop/c", 18),
            ("i4", "errors", "shop/d", 19),
        ]);
        let of_rule = |subject| peers(&crowds, subject)[0];
        assert_eq!(of_rule(("i3", "errors", "shop/c", 18)), (4, true));
        assert_eq!(of_rule(("i4", "errors", "shop/d", 19)), (4, false));
        assert_eq!(of_rule(("i1", "errors", "shop/a", -5_000)), (4, true));
        assert_eq!(of_rule(("i2", "errors", "shop/b", -4_990)), (4, false), "however long ago that was");
    }

    #[test]
    fn what_is_looked_back_can_be_bounded() {
        let limits = Alone { targets_within: Some(SignedDuration::from_mins(15)), ..Alone::default() };
        let members =
            [("i1", "errors", "shop/a", 4), ("i2", "errors", "shop/b", 5), ("i3", "errors", "shop/c", 20)];
        let crowds = mk_crowds_under(limits, &members);
        assert_eq!(peers(&crowds, members[2])[0], (2, false));
    }

    #[test]
    fn what_began_together_stays_together_while_it_is_open() {
        let together = [("i1", "a", "shop/a", 1), ("i2", "b", "shop/b", 4), ("i3", "c", "shop/c", 6)];
        let crowds = mk_crowds(&together);
        // It is minute 20, and five minutes are over for all of them.
        assert_eq!(peers(&crowds, together[1]), [(1, true), (3, false), (3, false)]);
        // One that begins now has nothing to do with them.
        assert_eq!(peers(&crowds, ("i4", "d", "shop/d", 20))[2], (1, true));
    }

    #[test]
    fn the_first_that_asks_is_one_in_which_a_machine_might_act() {
        let crowds = mk_crowds(&[
            ("i1", "tell-people", "shop/db", 18),
            ("i2", "errors", "shop/api", 18),
            ("i3", "slow", "shop/web", 18),
        ]);
        assert_eq!(peers(&crowds, ("i2", "errors", "shop/api", 18))[1], (3, true));
        assert_eq!(peers(&crowds, ("i3", "slow", "shop/web", 18))[1], (3, false));
    }

    #[test]
    fn what_nobody_wrote_a_rule_for_counts_for_nothing_else() {
        let crowds =
            mk_crowds(&[("i1", "?", "shop/a", 18), ("i2", "?", "shop/b", 18), ("i3", "slow", "shop/c", 18)]);
        assert_eq!(peers(&crowds, ("i3", "slow", "shop/c", 18)), [(1, true), (1, true), (1, true)]);
    }

    #[test]
    fn a_storm_is_larger_than_any_limit_and_who_is_older_than_what_is_known_does_not_ask() {
        let mut crowds = mk_crowds(&[("i3", "slow", "shop/c", 18)]);
        crowds.known_from(Some(IncidentId("i3".to_owned())), true);
        assert_eq!(peers(&crowds, ("i3", "slow", "shop/c", 18)), [(3, true), (3, true), (10, true)]);
        assert_eq!(peers(&crowds, ("i2", "slow", "shop/b", 18)), [(3, false), (3, false), (10, false)]);
        assert_eq!(crowds.wants_keys("slow"), None, "it is known to be too many");
    }

    #[test]
    fn keys_are_looked_up_where_what_is_known_is_not_all_and_too_little_to_tell() {
        let own = ("i9", "errors", "shop/c", 19);
        let mut crowds = mk_crowds(&[own]);
        assert_eq!(crowds.wants_keys("errors"), None, "all are known");
        crowds.known_from(Some(IncidentId("i8".to_owned())), false);
        assert_eq!(crowds.wants_keys("errors"), Some(3));
        crowds
            .add_keys("errors", ["shop/a", "shop/b", "shop/c"].map(|target| key("errors", target)).to_vec());
        assert_eq!(crowds.wants_keys("errors"), None, "once");
        assert_eq!(peers(&crowds, own)[0], (3, true), "its own counts once");
        let limits = Alone { targets_within: Some(SignedDuration::from_mins(15)), ..Alone::default() };
        let mut bounded = mk_crowds_under(limits, &[own]);
        bounded.known_from(Some(IncidentId("i8".to_owned())), false);
        assert_eq!(bounded.wants_keys("errors"), None, "what is older does not count");
    }

    #[test]
    fn nothing_is_looked_up_where_nothing_is_counted() {
        let none = Alone { targets: 0, targets_in_namespace: 0, targets_in_all: 0, ..Alone::default() };
        assert_eq!(Crowds::since(none, at(20)), None);
        assert_eq!(Crowds::since(Alone { targets_in_all: 1, ..none }, at(20)), Some(at(15)));
        assert_eq!(Crowds::since(Alone::default(), at(20)), Some(at(5)));
    }
}
