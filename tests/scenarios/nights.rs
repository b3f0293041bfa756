//! Whole nights on a manual clock: whom each shipped matrix tells at which minute while nobody answers, in working hours,
//! off hours, on holidays, over both changes of the clock and on a leap day; and that at every minute of two years
//! somebody is reached.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use smokejumper::app;
use smokejumper::domain::Labels;
use smokejumper::domain::alert::{Alert, AlertStatus, Observation};
use smokejumper::domain::apply::{Facts, apply};
use smokejumper::domain::correlate::CorrelationKey;
use smokejumper::domain::effect::{Effect, NewEffect};
use smokejumper::domain::escalation::{EscalationPolicy, EscalationStep, select};
use smokejumper::domain::event::Event;
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::incident::{Incident, IncidentId, IncidentStatus, Opening};
use smokejumper::domain::people::{Actor, Role, Via};
use smokejumper::domain::rule::{ResponseRule, SeveritySpec};
use smokejumper::domain::schedule::Schedule;
use smokejumper::domain::severity::Severity;
use smokejumper::rules::load::load;
use smokejumper::rules::{Known, RuleSet};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

const SEVERITIES: [Severity; 4] = [Severity::P0, Severity::P1, Severity::P2, Severity::P3];

/// Issue types of the runbook, none, and a word that nobody has listed.
const ISSUE_TYPES: [&str; 7] = ["outage", "performance", "data", "infrastructure", "llm", "", "perfromance"];

/// Longest time that a mild incident waits: over Christmas and the weekend after it.
const DEFERRED_MAX: SignedDuration = SignedDuration::from_hours(5 * 24);

fn shipped() -> RuleSet {
    let patterns = [concat!(env!("CARGO_MANIFEST_DIR"), "/rules/escalation/*.yaml").to_owned()];
    load(&patterns, &app::kinds(), &Known::everything()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn mk_labels(namespace: &str, issue_type: &str) -> Labels {
    let labels = [("alertname", "Trouble"), ("namespace", namespace), ("issue_type", issue_type)];
    let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A rule that only tells.
fn mk_rule(severity: Severity) -> ResponseRule {
    ResponseRule {
        name: "trouble".to_owned(),
        procedures: Vec::new(),
        runbook: None,
        summary: None,
        priority: 0,
        continues: false,
        matchers: Default::default(),
        severity: SeveritySpec::Fixed(severity),
        target: None,
        group_by: Vec::new(),
        escalation: None,
        diagnostics: Vec::new(),
        remedies: Vec::new(),
        on_resolve: Vec::new(),
        dry_run: false,
        mode: Default::default(),
        reopen_within: minutes(30),
    }
}

/// What one step told, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Heard {
    at: Timestamp,
    name: String,
    destinations: Vec<String>,
}

/// One incident, its policy, and the clock.
struct Night<'s> {
    incident: Incident,
    rule: ResponseRule,
    policy: &'s EscalationPolicy,
    schedules: &'s BTreeMap<String, Schedule>,
    now: Timestamp,
    wakes: Vec<NewEffect>,
    heard: Vec<Heard>,
}

impl<'s> Night<'s> {
    /// An alert fires at `opened_at`, and the policy is the one that its selector says.
    fn begin(set: &'s RuleSet, severity: Severity, labels: &Labels, opened_at: Timestamp) -> Self {
        let policy = select(set.policies(), None, None, severity, labels)
            .unwrap_or_else(|| panic!("no policy for {severity} of {labels:?}"));
        let rule = mk_rule(severity);
        let opening = Opening {
            id: IncidentId("night".to_owned()),
            key: CorrelationKey("night".to_owned()),
            rule: rule.name.clone(),
            rule_hash: rule.hash(),
            mode: Default::default(),
            severity,
            summary: "trouble".to_owned(),
            runbook: None,
            target: None,
            labels: labels.clone(),
            annotations: Labels::new(),
        };
        let mut night = Self {
            incident: Incident::open(opening, opened_at),
            rule,
            policy,
            schedules: set.schedules(),
            now: opened_at,
            wakes: Vec::new(),
            heard: Vec::new(),
        };
        let alert = Alert {
            fingerprint: Fingerprint::of_labels(labels),
            status: AlertStatus::Firing,
            labels: labels.clone(),
            annotations: Labels::new(),
            starts_at: opened_at,
            ends_at: None,
            generator_url: None,
        };
        night.happen(Event::AlertSeen {
            alert: Arc::new(alert),
            observation: Observation::Started,
            counted: false,
            found: false,
        });
        night
    }

    fn happen(&mut self, event: Event) {
        let facts = Facts {
            rule: &self.rule,
            policy: Some(self.policy),
            policy_hash: None,
            schedules: self.schedules,
            default_destinations: &[],
            fallback_destinations: &[],
            candidates: &[],
            checks: &[],
            last_moment: &[],
            on_resolve: &[],
            looks_first: false,
            silence_max: None,
            told_by: None,
            notes: &[],
        };
        let transition = apply(self.incident.clone(), event, &facts, self.now).expect("nobody is refused");
        self.incident = transition.incident;
        self.wakes.retain(|wake| !transition.cancelled.contains(&wake.id));
        let is_wake = |effect: &NewEffect| matches!(effect.effect, Effect::Wake(_));
        self.wakes.extend(transition.effects.into_iter().filter(is_wake));
        for told in transition.told {
            let destinations = told.destinations.iter().map(ToString::to_string).collect();
            self.heard.push(Heard { at: self.now, name: told.name, destinations });
        }
    }

    /// Lets the next timer ring. False where none is set.
    fn wait(&mut self) -> bool {
        let next = self.wakes.iter().enumerate().min_by_key(|(_, wake)| wake.due_at).map(|(index, _)| index);
        let Some(effect) = next.map(|index| self.wakes.remove(index)) else { return false };
        let Effect::Wake(wake) = effect.effect else { return false };
        self.now = self.now.max(effect.due_at);
        self.happen(Event::Woken { effect: effect.id, wake });
        true
    }

    /// Lets time pass until the fallback has heard twice, or nothing more comes.
    fn play(mut self) -> Vec<Heard> {
        let is_late = |heard: &[Heard]| heard.iter().filter(|heard| heard.name == "fallback").count() >= 2;
        while !is_late(&self.heard) && self.wait() {}
        self.heard
    }
}

/// An incident of each policy: what it is called, how bad it is, and its labels.
fn incidents() -> Vec<(&'static str, Severity, Labels)> {
    vec![
        ("HSC-JIT P0", Severity::P0, mk_labels("hsc-jit", "llm")),
        ("HSC-JIT P1 outage", Severity::P1, mk_labels("hsc-jit", "outage")),
        ("HSC-JIT P1 performance", Severity::P1, mk_labels("hsc-jit", "performance")),
        ("HSC-JIT P1 data", Severity::P1, mk_labels("hsc-jit", "data")),
        ("HSC-JIT P1 infrastructure", Severity::P1, mk_labels("hsc-jit", "infrastructure")),
        ("HSC-JIT P1 llm", Severity::P1, mk_labels("hsc-jit", "llm")),
        ("HSC-JIT P2 performance", Severity::P2, mk_labels("hsc-jit", "performance")),
        ("HSC-JIT P2", Severity::P2, mk_labels("hsc-jit", "")),
        ("HSC-JIT P3", Severity::P3, mk_labels("hsc-jit", "data")),
        ("PSS-nano P0", Severity::P0, mk_labels("pss-nano", "")),
        ("PSS-nano P1", Severity::P1, mk_labels("pss-nano", "")),
        ("PSS-nano P2", Severity::P2, mk_labels("pss-nano", "")),
    ]
}

/// When they begin. Working hours are 09:00 to 17:00 in Berlin.
const NIGHTS: [(&str, &str); 8] = [
    ("on a Tuesday at 10:00", "2026-03-10T10:00:00+01:00"),
    ("on a Tuesday at 03:00", "2026-03-10T03:00:00+01:00"),
    ("on a Friday at 16:50", "2026-03-13T16:50:00+01:00"),
    ("at Christmas, on a Friday at 10:00", "2026-12-25T10:00:00+01:00"),
    ("ten minutes before the clock is set forward", "2026-03-29T01:50:00+01:00"),
    ("ten minutes before the clock is set back", "2026-10-25T02:50:00+02:00"),
    ("on a leap day at 08:50", "2028-02-29T08:50:00+01:00"),
    ("on the evening before a leap day", "2028-02-28T16:50:00+01:00"),
];

/// Hours and minutes since the beginning, and the time on the wall in Berlin.
fn line(heard: &Heard, opened_at: Timestamp) -> String {
    let zone = TimeZone::get("Europe/Berlin").expect("a zone");
    let minutes = heard.at.duration_since(opened_at).as_mins();
    let wall = heard.at.to_zoned(zone).strftime("%a %H:%M %Z");
    format!(
        "+{}:{:02}  {wall}  {}: {}",
        minutes / 60,
        minutes % 60,
        heard.name,
        heard.destinations.join(", ")
    )
}

#[test]
fn every_shipped_matrix_tells_whom_it_says_at_the_minute_that_it_says() {
    let set = shipped();
    let mut page = String::new();
    let mut played = BTreeSet::new();
    for (night, begins) in NIGHTS {
        for (name, severity, labels) in incidents() {
            let opened_at = at(begins);
            let story = Night::begin(&set, severity, &labels, opened_at);
            played.insert(story.policy.name.clone());
            writeln!(page, "{name} {night}").expect("a string");
            for heard in story.play() {
                writeln!(page, "  {}", line(&heard, opened_at)).expect("a string");
            }
        }
    }
    // Rules name it for what people ask for themselves; one channel hears of that at any hour.
    let on_demand = "hsc-jit-on-demand";
    let matrices = set.policies().keys().filter(|name| *name != on_demand).count();
    assert_eq!(played.len(), matrices, "every policy has its nights: {played:?}");
    insta::assert_snapshot!(page);
}

fn is_open(schedules: &BTreeMap<String, Schedule>, name: Option<&String>, now: Timestamp) -> bool {
    name.and_then(|name| schedules.get(name)).is_none_or(|schedule| schedule.is_active(now))
}

/// The levels of a policy with the instants at which they must hear, from the text of the policy alone.
fn expected(
    policy: &EscalationPolicy,
    schedules: &BTreeMap<String, Schedule>,
    severity: Severity,
    opened_at: Timestamp,
) -> Vec<(String, Timestamp)> {
    let is_mild = matches!(severity, Severity::P2 | Severity::P3);
    let mut start = opened_at;
    // What is mild waits for the morning, and all that follows with it.
    let wait = |start: &mut Timestamp, due: Timestamp| match &policy.defer_until {
        Some(hours) if is_mild && !is_open(schedules, Some(hours), due) => {
            let morning = schedules[hours].next_active(due).expect("a morning");
            *start += morning.duration_since(due);
            morning
        }
        _ => due,
    };
    let mut expected = Vec::new();
    let mut now = wait(&mut start, opened_at + policy.levels[0].after);
    let mut index = 0;
    loop {
        let is_at_work = |index: usize, now| is_open(schedules, policy.levels[index].hours.as_ref(), now);
        let Some(told) = (index..policy.levels.len()).find(|index| is_at_work(*index, now)) else { break };
        expected.push((policy.levels[told].name.clone(), now));
        index = told + 1;
        let Some(following) = policy.levels.get(index) else { break };
        // Told again up to three times; who has gone home by then is not waited for.
        for times in 1.. {
            let due = now.max(start + following.after);
            let again = policy.acknowledge_within.filter(|_| times <= 3).map(|within| now + within);
            let again = again.filter(|again| *again < due);
            now = wait(&mut start, again.unwrap_or(due));
            if again.is_none() || !is_at_work(told, now) {
                break;
            }
        }
    }
    expected
}

/// Beginnings around everything that changes: hours, weekends, holidays, both changes of the clock, leap days.
fn beginnings(set: &RuleSet) -> Vec<Timestamp> {
    let business = &set.schedules()["business"];
    let mut all = Vec::new();
    for from in
        ["2026-03-20T00:00:00Z", "2026-10-20T00:00:00Z", "2026-12-20T00:00:00Z", "2028-02-25T00:00:00Z"]
    {
        let mut change = at(from);
        for _ in 0..10 {
            change = business.next_change(change).expect("a change");
            let around = [-241, -61, -31, -16, -1, 0, 1, 100].map(|distance| change + minutes(distance));
            all.extend(around);
        }
    }
    for hard in
        ["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"]
    {
        all.extend([-61, -30, -1, 0, 1, 30, 61].map(|distance| at(hard) + minutes(distance)));
    }
    all
}

#[test]
fn whenever_it_begins_each_level_hears_at_its_minute_or_the_next_that_can_be_reached() {
    let set = shipped();
    let beginnings = beginnings(&set);
    for (name, severity, labels) in incidents() {
        for opened_at in &beginnings {
            let story = Night::begin(&set, severity, &labels, *opened_at);
            let expected = expected(story.policy, set.schedules(), severity, *opened_at);
            let levels: BTreeSet<&str> =
                story.policy.levels.iter().map(|level| level.name.as_str()).collect();
            let heard: Vec<(String, Timestamp)> = story
                .play()
                .into_iter()
                .filter(|heard| levels.contains(heard.name.as_str()))
                .map(|heard| (heard.name, heard.at))
                .collect();
            assert_eq!(heard, expected, "{name}, begun at {opened_at}");
        }
    }
}

#[test]
fn whoever_should_answer_within_five_minutes_is_told_again_then() {
    let set = shipped();
    let opened_at = at("2026-03-10T03:00:00+01:00");
    let heard = Night::begin(&set, Severity::P0, &mk_labels("pss-nano", ""), opened_at).play();
    let first: Vec<(i64, &str)> = heard
        .iter()
        .take(3)
        .map(|heard| (heard.at.duration_since(opened_at).as_mins(), heard.name.as_str()))
        .collect();
    assert_eq!(first, [(0, "on-call"), (5, "on-call (again)"), (10, "on-call (again)")]);
}

#[test]
fn an_acknowledgement_of_the_night_that_nobody_renews_calls_people_again() {
    let set = shipped();
    let opened_at = at("2026-03-29T01:50:00+01:00");
    let mut night = Night::begin(&set, Severity::P0, &mk_labels("hsc-jit", "outage"), opened_at);
    night.now = opened_at + minutes(2);
    let una = Actor { name: "una".to_owned(), via: Via::Slack, role: Role::Responder };
    night.happen(Event::Acknowledge { actor: una.clone(), reason: None });
    // She has it for an hour, over the hour that is missing that night, and for another one.
    night.now = opened_at + minutes(60);
    night.happen(Event::Acknowledge { actor: una, reason: None });
    let before = night.heard.len();
    assert!(night.wait());
    assert_eq!(night.now, opened_at + minutes(120));
    assert_eq!(night.incident.status, IncidentStatus::Triggered);
    assert_eq!(night.heard.len(), before + 1);
    let heard = &night.heard[before];
    assert!(heard.name.contains("the acknowledgement of una has expired"), "{}", heard.name);
    assert_eq!(heard.destinations, ["pagerduty:hsc-jit", "slack:#hsc-jit-incidents"]);
}

/// Every instant of the two years at which an answer of any schedule can change, and both ends. Between two of them all
/// answers stay as they are, so that what holds at each of them holds at every minute: that the search for changes finds
/// every one is proved where it is written.
fn instants_of_two_years(set: &RuleSet) -> Vec<Timestamp> {
    let (from, until) = (at("2026-01-01T00:00:00Z"), at("2028-01-01T00:00:00Z"));
    let mut instants = BTreeSet::from([from]);
    for schedule in set.schedules().values() {
        let mut change = from;
        while let Some(next) = schedule.next_change(change).filter(|next| *next < until) {
            instants.insert(next);
            change = next;
        }
        let mut change = from;
        while let Some(next) = schedule.next_hand_over(change).filter(|next| *next < until) {
            instants.insert(next);
            change = next;
        }
    }
    instants.into_iter().collect()
}

#[test]
fn at_every_minute_of_two_years_every_severity_reaches_somebody_by_every_shipped_matrix() {
    let set = shipped();
    let schedules = set.schedules();
    let instants = instants_of_two_years(&set);
    assert!(instants.len() > 900, "{} instants", instants.len());
    let mut reached = BTreeSet::new();
    for namespace in ["hsc-jit", "pss-nano"] {
        for issue_type in ISSUE_TYPES {
            for severity in SEVERITIES {
                let labels = mk_labels(namespace, issue_type);
                let fits = |policy: &&EscalationPolicy| {
                    let one = BTreeMap::from([(policy.name.clone(), (*policy).clone())]);
                    select(&one, None, None, severity, &labels).is_some()
                };
                let fitting: Vec<&EscalationPolicy> = set.policies().values().filter(fits).collect();
                let [policy] = fitting[..] else {
                    panic!("{severity} {labels:?}: {} policies", fitting.len());
                };
                reached.insert((policy.name.clone(), severity));
            }
        }
    }
    for (name, severity) in &reached {
        let policy = &set.policies()[name];
        for opened_at in &instants {
            // What is urgent waits for nothing.
            let told_at = match policy.deferred(*severity, schedules, *opened_at) {
                None => *opened_at,
                Some(morning) => {
                    assert!(!severity.is_urgent(), "{name}: {severity} waits at {opened_at}");
                    let wait = morning.duration_since(*opened_at);
                    assert!(wait <= DEFERRED_MAX, "{name}: {severity} of {opened_at} waits for {wait:#}");
                    morning
                }
            };
            let step = policy.first(told_at).step;
            assert_eq!(step, EscalationStep::Level(0), "{name} has no level");
            let first = policy.reach(step, told_at, *severity, schedules, told_at);
            assert!(!first.destinations.is_empty(), "{name}: nobody hears of {severity} of {opened_at}");
            assert_ne!(
                first.name, "fallback",
                "{name}: no level of its own hears of {severity} of {opened_at}"
            );
            assert!(first.next.is_some(), "{name}: nothing follows for {severity} of {opened_at}");
            let wakes_somebody =
                first.destinations.iter().any(|destination| destination.kind() == "pagerduty");
            let in_hours = schedules["business"].is_active(told_at);
            assert!(
                !severity.is_urgent() || wakes_somebody || in_hours,
                "{name}: {severity} of {opened_at} is told where nobody looks"
            );
        }
    }
    assert!(reached.len() >= 16, "{reached:?}");
}

#[test]
fn between_two_changes_the_shipped_hours_stay_as_they_are_at_every_minute() {
    let set = shipped();
    let instants = instants_of_two_years(&set);
    let mut now = instants[0];
    let mut following = instants.iter().skip(1).peekable();
    let mut open = set.schedules()["business"].is_active(now);
    while now < at("2028-01-01T00:00:00Z") {
        if following.next_if(|change| **change == now).is_some() {
            open = set.schedules()["business"].is_active(now);
        }
        assert_eq!(set.schedules()["business"].is_active(now), open, "{now}");
        now += minutes(1);
    }
}
