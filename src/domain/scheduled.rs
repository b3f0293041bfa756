//! Scheduled checks: what people look at every morning, read by a machine at set times and told as one report.
//!
//! A check is a list of items. An item with a condition is green where it holds, red where it does not, and unknown where
//! nobody can tell, which is never green. An item for people stands in the report as their checklist. What a red item
//! leads to is an alert of our own, which goes the way of all alerts.

use crate::Labels;
use crate::correlate::CorrelationKey;
use crate::diagnosis::{ConditionOutcome, Finding, FindingStatus};
use crate::incident::{Incident, IncidentId, Opening};
use crate::matcher::Matchers;
use crate::notification::Destination;
use crate::rule::{Condition, DiagnosticSpec, ResponseRule, RuleHash, SeveritySpec, default_reopen_within};
use crate::schedule::Zone;
use crate::severity::Severity;
use crate::timeline::cut;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Name of the alert that a red item raises.
pub const FAILED: &str = "ScheduledCheckFailed";

/// Longest text of one item in a report: a line or a small table.
const TEXT_BYTES_MAX: usize = 600;

/// A run that begins later than this after it was due is called late: what ran meanwhile takes a minute at most.
const LATE_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// Moments that are counted as missed at most: a year of hours.
const MISSED_MAX: u32 = 10_000;

/// When a check runs: a cron expression of five fields by the local clock of a time zone.
///
/// Where the clock jumps over a fixed time it runs right after the jump, and where the clock shows it twice it runs once.
#[derive(Debug, Clone)]
pub struct Moments {
    text: String,
    cron: Cron,
    zone: Zone,
}

impl Moments {
    /// Reads a cron expression.
    ///
    /// # Errors
    /// Why it is none, or why it never comes.
    pub fn new(text: &str, zone: Zone) -> Result<Self, String> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| error.to_string())?;
        let moments = Self { text: text.to_owned(), cron, zone };
        match moments.after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(moments),
            None => Err("no date is ever like this".to_owned()),
        }
    }

    /// The first moment after a time; none where none comes.
    pub fn after(&self, at: Timestamp) -> Option<Timestamp> {
        let at = at.to_zoned(self.zone.time_zone().clone());
        self.cron.find_next_occurrence(&at, false).ok().map(|next| next.timestamp())
    }

    /// How many moments there are after `from` and up to `until`.
    pub fn between(&self, from: Timestamp, until: Timestamp) -> u32 {
        let mut count = 0;
        let mut at = from;
        while let Some(next) = self.after(at).filter(|next| *next <= until && count < MISSED_MAX) {
            count += 1;
            at = next;
        }
        count
    }

    /// The expression as it was written.
    pub fn expression(&self) -> &str {
        &self.text
    }

    /// By whose clock.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }
}

impl PartialEq for Moments {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

/// One scheduled check.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduledCheck {
    /// Unique name.
    pub name: String,
    /// One line: what is looked after.
    pub summary: String,
    /// Runbook procedures that it implements.
    pub procedures: Vec<String>,
    /// Link to the human document.
    pub runbook: Option<String>,
    /// When it runs.
    pub moments: Moments,
    /// Labels of the alerts that it raises, which its texts may name.
    pub labels: Labels,
    /// What is looked at, in this order.
    pub items: Vec<CheckItem>,
    /// Where its reports go.
    pub report: Vec<Destination>,
}

/// One item of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckItem {
    /// Unique within the check; names its finding and its alert.
    pub name: String,
    /// For people.
    pub title: String,
    /// What is read for it.
    pub diagnostic: Option<DiagnosticSpec>,
    /// Green while it holds; without one the item only shows what was found.
    pub expect: Option<Condition>,
    /// How bad it is when it does not hold.
    pub severity: Severity,
    /// Where people have to look themselves: who.
    pub owner: Option<String>,
}

impl ScheduledCheck {
    /// The rule that would gather the same evidence: matches nothing and does nothing.
    pub fn as_rule(&self) -> ResponseRule {
        ResponseRule {
            name: format!("check/{}", self.name),
            procedures: self.procedures.clone(),
            runbook: None,
            summary: None,
            priority: 0,
            continues: false,
            matchers: Matchers::default(),
            severity: SeveritySpec::Fixed(Severity::P3),
            target: None,
            group_by: vec!["alertname".to_owned()],
            escalation: None,
            diagnostics: self.items.iter().filter_map(|item| item.diagnostic.clone()).collect(),
            remedies: Vec::new(),
            on_resolve: Vec::new(),
            dry_run: true,
            mode: Default::default(),
            reopen_within: default_reopen_within(),
        }
    }

    /// What templates and conditions see as the incident of a run. It is never stored.
    pub fn as_incident(&self, now: Timestamp) -> Incident {
        let name = format!("check/{}", self.name);
        let opening = Opening {
            id: IncidentId(name.clone()),
            key: CorrelationKey(name.clone()),
            rule: name,
            rule_hash: RuleHash(String::new()),
            mode: Default::default(),
            severity: Severity::P3,
            summary: self.summary.clone(),
            runbook: self.runbook.clone(),
            target: None,
            labels: self.labels.clone(),
            annotations: Labels::new(),
        };
        Incident::open(opening, now)
    }

    /// Labels of the alert that a red item raises.
    pub fn alert_labels(&self, item: &CheckItem) -> Labels {
        let mut labels = self.labels.clone();
        let own = [
            ("alertname", FAILED),
            ("check", self.name.as_str()),
            ("item", item.name.as_str()),
            ("severity", item.severity.as_str()),
        ];
        labels.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        labels
    }

    /// What a run found. `outcomes` has one entry for each item, none where it expects nothing.
    pub fn judged(&self, findings: &[Finding], outcomes: &[Option<ConditionOutcome>]) -> Vec<ItemResult> {
        let outcome = |at: usize| outcomes.get(at).cloned().flatten();
        self.items.iter().enumerate().map(|(at, item)| item.judged(findings, outcome(at))).collect()
    }
}

impl CheckItem {
    fn judged(&self, findings: &[Finding], outcome: Option<ConditionOutcome>) -> ItemResult {
        let finding = findings.iter().find(|finding| finding.name == self.name);
        let unseen = finding.and_then(|finding| match &finding.status {
            FindingStatus::Unknown(why) => Some(why.clone()),
            FindingStatus::Known => None,
        });
        let outcome = match (&self.owner, &self.expect, outcome, unseen) {
            (Some(owner), ..) => ItemOutcome::ForPeople { owner: owner.clone() },
            (None, _, Some(ConditionOutcome::Unknown(_)), Some(why)) => ItemOutcome::Unknown { why },
            (None, _, Some(ConditionOutcome::Unknown(why)), None) => ItemOutcome::Unknown { why },
            (None, _, Some(ConditionOutcome::Holds), _) => ItemOutcome::Green,
            (None, _, Some(ConditionOutcome::Fails), _) => ItemOutcome::Red,
            (None, Some(_), None, _) => ItemOutcome::Unknown { why: "it was not judged".to_owned() },
            (None, None, None, Some(why)) => ItemOutcome::Unknown { why },
            (None, None, None, None) => ItemOutcome::Shown,
        };
        let text = finding.map(|finding| finding.text.trim().to_owned()).unwrap_or_default();
        ItemResult {
            name: self.name.clone(),
            title: self.title.clone(),
            outcome,
            text: cut(text, TEXT_BYTES_MAX),
            expected: self.expect.as_ref().map(|expect| expect.0.clone()),
            alert: None,
        }
    }
}

/// How one item came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum ItemOutcome {
    /// As it should be.
    Green,
    /// Not as it should be.
    Red,
    /// Nobody can tell.
    Unknown {
        /// Why.
        why: String,
    },
    /// It expects nothing and only shows what was found.
    Shown,
    /// People have to look.
    ForPeople {
        /// Who.
        owner: String,
    },
}

impl ItemOutcome {
    /// The word in the API and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Red => "red",
            Self::Unknown { .. } => "unknown",
            Self::Shown => "shown",
            Self::ForPeople { .. } => "for_people",
        }
    }
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemResult {
    /// Name of the item.
    pub name: String,
    /// For people.
    pub title: String,
    /// How it came out.
    #[serde(flatten)]
    pub outcome: ItemOutcome,
    /// What was found, cut. May quote data from outside.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The condition that should hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Labels of the alert that stands for it; none while it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<Labels>,
}

impl ItemResult {
    /// What people are told of it: what was found, why nobody can tell, or who has to look.
    pub fn told(&self) -> &str {
        match &self.outcome {
            ItemOutcome::Unknown { why } => why,
            ItemOutcome::ForPeople { owner } => owner,
            ItemOutcome::Green | ItemOutcome::Red | ItemOutcome::Shown => &self.text,
        }
    }
}

/// What one run of a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Which check.
    pub check: String,
    /// What is looked after.
    pub summary: String,
    /// Link to the human document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    /// When it was to run.
    pub due_at: Timestamp,
    /// When it ran.
    pub ran_at: Timestamp,
    /// When it runs next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// Runs that should have been between, while nobody was there to run them.
    #[serde(default)]
    pub missed: u32,
    /// Who asked for it; none for one that was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
    /// How the items came out, in the order of the check.
    pub items: Vec<ItemResult>,
}

/// How a whole report came out: the worst that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All that is judged is as it should be.
    Green,
    /// Something could not be seen.
    Unknown,
    /// Something is not as it should be.
    Red,
}

impl Verdict {
    /// The word in the API and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Unknown => "unknown",
            Self::Red => "red",
        }
    }
}

impl CheckReport {
    /// How many items came out like this.
    pub fn count(&self, word: &str) -> usize {
        self.items.iter().filter(|item| item.outcome.as_str() == word).count()
    }

    /// Whether it ran so long after it was due that people should know.
    pub fn is_late(&self) -> bool {
        self.asked_by.is_none() && self.ran_at.duration_since(self.due_at) > LATE_AFTER
    }

    /// How it came out.
    pub fn verdict(&self) -> Verdict {
        match (self.count("red"), self.count("unknown")) {
            (0, 0) => Verdict::Green,
            (0, _) => Verdict::Unknown,
            _ => Verdict::Red,
        }
    }

    /// The report in a sentence.
    pub fn in_short(&self) -> String {
        let (red, unknown, green) = (self.count("red"), self.count("unknown"), self.count("green"));
        let people = self.count("for_people");
        let parts = [(red, "red"), (unknown, "unknown"), (green, "green"), (people, "for people")];
        let told: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        if told.is_empty() { "nothing to judge".to_owned() } else { told.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_moments(text: &str, zone: &str) -> Moments {
        Moments::new(text, zone.parse().expect("a zone")).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_moment_is_by_the_local_clock_and_comes_once_on_days_when_that_is_set() {
        let nine = mk_moments("0 9 * * 1-5", "Europe/Berlin");
        // Friday in winter, then over the weekend to Monday.
        assert_eq!(nine.after(at("2026-11-20T07:00:00Z")), Some(at("2026-11-20T08:00:00Z")));
        assert_eq!(nine.after(at("2026-11-20T08:00:00Z")), Some(at("2026-11-23T08:00:00Z")));
        assert_eq!(nine.after(at("2026-07-01T00:00:00Z")), Some(at("2026-07-01T07:00:00Z")));
        let night = mk_moments("30 2 * * *", "Europe/Berlin");
        // The clock jumps from two to three, so half past two is not there.
        assert_eq!(night.after(at("2026-03-29T00:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
        // The clock shows half past two twice.
        let first = night.after(at("2026-10-24T12:00:00Z")).expect("one");
        assert_eq!(first, at("2026-10-25T00:30:00Z"));
        assert_eq!(night.after(first), Some(at("2026-10-26T01:30:00Z")));
        let quarters = mk_moments("0 9 1 1,4,7,10 *", "UTC");
        assert_eq!(quarters.after(at("2026-11-22T00:00:00Z")), Some(at("2027-01-01T09:00:00Z")));
    }

    #[test]
    fn what_is_no_cron_expression_or_never_comes_is_refused() {
        for text in ["", "9", "0 9 * *", "0 9 * * * *", "61 * * * *", "0 9 30 2 *", "every day"] {
            assert!(Moments::new(text, Zone::default()).is_err(), "{text}");
        }
    }

    #[test]
    fn missed_moments_are_counted_up_to_a_bound() {
        let hourly = mk_moments("0 * * * *", "UTC");
        assert_eq!(hourly.between(at("2026-11-22T09:00:00Z"), at("2026-11-22T12:30:00Z")), 3);
        assert_eq!(hourly.between(at("2026-11-22T09:00:00Z"), at("2026-11-22T09:59:00Z")), 0);
        assert_eq!(hourly.between(at("2020-01-01T00:00:00Z"), at("2026-11-22T09:59:00Z")), MISSED_MAX);
    }

    fn mk_item(expect: Option<&str>, owner: Option<&str>) -> CheckItem {
        CheckItem {
            name: "pods".to_owned(),
            title: "All pods run".to_owned(),
            diagnostic: None,
            expect: expect.map(|text| Condition(text.to_owned())),
            severity: Severity::P2,
            owner: owner.map(str::to_owned),
        }
    }

    #[test]
    fn what_nobody_can_tell_is_never_green() {
        let unknown = Finding::unknown("pods", "k8s.pods", "no answer", Timestamp::UNIX_EPOCH, 0);
        let judged = |item: &CheckItem, findings: &[Finding], outcome| item.judged(findings, outcome).outcome;
        let why = |why: &str| ItemOutcome::Unknown { why: why.to_owned() };
        let judging = mk_item(Some("true"), None);
        assert_eq!(judged(&judging, &[], None), why("it was not judged"));
        let outcome = Some(ConditionOutcome::Unknown("findings.pods is unknown".to_owned()));
        assert_eq!(judged(&judging, std::slice::from_ref(&unknown), outcome), why("no answer"));
        assert_eq!(judged(&judging, &[], Some(ConditionOutcome::Holds)), ItemOutcome::Green);
        assert_eq!(judged(&judging, &[], Some(ConditionOutcome::Fails)), ItemOutcome::Red);
        let showing = mk_item(None, None);
        assert_eq!(judged(&showing, &[unknown], None), why("no answer"));
        assert_eq!(judged(&showing, &[], None), ItemOutcome::Shown);
        let asking = mk_item(None, Some("platform"));
        assert_eq!(judged(&asking, &[], None), ItemOutcome::ForPeople { owner: "platform".to_owned() });
    }
}
