//! Schedules with rotations, calendars and contacts: what they come to, and their mistakes at their places.

use super::{SourceFile, load_texts};
use crate::domain::notification::Destination;
use crate::domain::schedule::Contact;
use crate::rules::known::Known;
use crate::rules::ruleset::RuleSet;
use crate::rules::test_support::{mk_catalog, mk_known};
use jiff::Timestamp;

const GOOD: &str = r##"
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: shop }
spec:
  levels:
    - { name: on-call, after: 0s, destinations: [{ on_call: shop }, { contact: shop-channel }] }
    - { name: lead, after: 15m, hours: business, destinations: [{ contact: lead }, { slack: { channel: "#shop" } }] }
  fallback: [{ contact: shop-channel }]
---
apiVersion: smokejumper.dev/v1
kind: Contact
metadata: { name: shop-channel }
spec: { destinations: [{ slack: { channel: "#shop" } }, { pagerduty: { service: pss-nano } }] }
---
apiVersion: smokejumper.dev/v1
kind: Contact
metadata: { name: lead }
spec: { destinations: [{ on_call: leads }, { slack: { channel: "#leads" } }] }
---
apiVersion: smokejumper.dev/v1
kind: Schedule
metadata: { name: shop }
spec:
  location: Europe/Berlin
  rotations:
    - { name: primary, people: [una, ben], start: 2026-01-05, handover: '09:00', every: weekly, weekday: monday }
  overrides:
    - { person: ben, from: 2026-01-06T12:00, until: 2026-01-07T11:00:00Z }
---
apiVersion: smokejumper.dev/v1
kind: Schedule
metadata: { name: leads }
spec: { rotations: [{ name: lead, people: [una], start: 2026-01-05, handover: '09:00', every: daily }] }
---
apiVersion: smokejumper.dev/v1
kind: Schedule
metadata: { name: business }
spec:
  timeIntervals: [{ weekdays: ['monday:friday'], times: [{ start_time: '09:00', end_time: '17:00' }] }]
  calendars: [germany]
  location: Europe/Berlin
---
apiVersion: smokejumper.dev/v1
kind: Calendar
metadata: { name: germany }
spec: { days: [2026-04-03, { months: [december], days_of_month: ['25:26'] }] }
"##;

fn mk_people() -> Known {
    let contact = |slack: Option<&str>| Contact { slack: slack.map(str::to_owned), email: None };
    let people = [("una", Some("U1")), ("ben", Some("U2")), ("eva", None)];
    let people = people.map(|(name, slack)| (name.to_owned(), contact(slack)));
    Known { people: Some(people.into()), ..mk_known() }
}

fn load(text: &str) -> Result<RuleSet, super::RuleErrors> {
    let file = SourceFile { name: "people.yaml".to_owned(), text: text.to_owned() };
    load_texts(vec![file], &mk_catalog(), &mk_people())
}

fn mk_good() -> RuleSet {
    let set = load(GOOD).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(set.warnings(), []);
    set
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

#[test]
fn contacts_stand_for_whom_they_name() {
    let set = mk_good();
    let policy = &set.policies()["shop"];
    let slack = |channel: &str| Destination::Slack { channel: channel.to_owned() };
    let pagerduty = Destination::PagerDuty { service: "pss-nano".to_owned() };
    assert_eq!(policy.levels[0].destinations, [slack("#shop"), pagerduty.clone()]);
    assert_eq!(policy.levels[0].on_call, ["shop"]);
    assert_eq!(policy.levels[1].destinations, [slack("#leads"), slack("#shop")]);
    assert_eq!(policy.levels[1].on_call, ["leads"]);
    assert_eq!(policy.fallback, [slack("#shop"), pagerduty]);
}

#[test]
fn schedules_say_who_and_how_they_are_reached() {
    let set = mk_good();
    let shop = &set.schedules()["shop"];
    let who = |instant: &str| shop.on_call_at(at(instant)).map(|turn| turn.person);
    assert_eq!(who("2026-01-05T08:00:00Z"), Some("una"));
    // The override begins by the local clock and ends with an offset.
    assert_eq!(who("2026-01-06T10:59:59Z"), Some("una"));
    assert_eq!(who("2026-01-06T11:00:00Z"), Some("ben"));
    assert_eq!(who("2026-01-07T10:59:59Z"), Some("ben"));
    assert_eq!(who("2026-01-07T11:00:00Z"), Some("una"));
    assert_eq!(shop.contact_of("ben").slack.as_deref(), Some("U2"));
}

#[test]
fn holidays_of_a_calendar_are_holidays_of_the_schedule() {
    let set = mk_good();
    let business = &set.schedules()["business"];
    assert!(business.is_active(at("2026-04-02T10:00:00Z")));
    assert!(!business.is_active(at("2026-04-03T10:00:00Z")));
    assert!(!business.is_active(at("2028-12-25T10:00:00Z")));
}

#[test]
fn mistakes_are_shown_at_their_places() {
    let document = |kind: &str, name: &str, spec: &str| {
        format!(
            "---\napiVersion: smokejumper.dev/v1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec:\n{spec}"
        )
    };
    let mut text = document(
        "Schedule",
        "wrong",
        "  location: Europe/Berlin\n  calendars: [germani]\n  rotations:\n    \
         - { name: a, people: [unna], start: 2026-01-07, handover: '09:00', every: weekly, weekday: monday }\n    \
         - { name: a, people: [], start: 2026-01-07, handover: '24:00', every: 36h, weekday: monday }\n    \
         - { name: c, people: [zoe], start: 2026-01-07, handover: '09:00', every: 30m }\n  overrides:\n    \
         - { person: ben, from: 2026-01-07T12:00, until: 2026-01-07T09:00 }\n",
    );
    text += &document("Schedule", "hours", "  timeIntervals: [{}]\n");
    text += &document("Schedule", "nothing", "  location: UTC\n");
    text += &document("Contact", "chain", "  destinations: [{ contact: chain }]\n");
    text += &document("Contact", "empty", "  destinations: []\n");
    text += &document(
        "EscalationPolicy",
        "shop",
        "  levels:\n    - { name: on-call, after: 0s, destinations: [{ on_call: hours }, { contact: chian }] }\n  \
         fallback: [{ on_call: wrong }]\n",
    );
    text += &document("Calendar", "germany", "  days: ['2026-02-30']\n");
    let errors = load(&text).expect_err("mistakes");
    insta::assert_snapshot!(errors.to_string());
}

#[test]
fn whom_the_settings_cannot_reach_is_a_warning() {
    let text = r##"
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: shop }
spec:
  levels:
    - name: all
      after: 0s
      destinations: [{ webhook: { name: rom } }, { email: { to: ops@example.com } }, { teams: { channel: op } }]
  fallback: [{ slack: { channel: "#shop" } }, { email: { to: "ops, all" } }]
"##;
    let file = || vec![SourceFile { name: "people.yaml".to_owned(), text: text.to_owned() }];
    let warned = |known: &Known| -> Vec<String> {
        let set = load_texts(file(), &mk_catalog(), known).unwrap_or_else(|errors| panic!("{errors}"));
        set.warnings().iter().map(|warning| warning.message.clone()).collect()
    };
    let mut known = mk_people();
    assert_eq!(warned(&known), ["`ops, all` is no mail address"]);
    known.webhooks = Some(["room".to_owned()].into());
    known.teams_channels = Some(["ops".to_owned()].into());
    known.email = false;
    assert_eq!(
        warned(&known),
        [
            "there is no webhook `rom` in the settings",
            "mail is not set up in the settings",
            "there is no channel `op` under `teams.channels` in the settings",
            "mail is not set up in the settings",
        ]
    );
}

#[test]
fn what_cannot_be_read_is_said_in_words() {
    let rotation = |part: &str| {
        let text = format!(
            "apiVersion: smokejumper.dev/v1\nkind: Schedule\nmetadata: {{ name: a }}\nspec:\n  rotations:\n    \
             - {{ name: a, people: [una], start: 2026-01-07, handover: '09:00', {part} }}\n"
        );
        load(&text)
            .expect_err("a mistake")
            .errors
            .iter()
            .map(|error| error.message.clone())
            .collect::<Vec<_>>()
    };
    assert!(rotation("every: monthly")[0].contains("`daily`, `weekly`"), "{:?}", rotation("every: monthly"));
    assert!(
        rotation("every: daily, weekday: fridays")[0].contains("fridays"),
        "{:?}",
        rotation("every: daily, weekday: fridays")
    );
    let text = "apiVersion: smokejumper.dev/v1\nkind: Schedule\nmetadata: { name: a }\nspec:\n  overrides:\n    \
                - { person: una, from: noon, until: 2026-01-07T09:00 }\n";
    let errors = load(text).expect_err("a mistake").errors;
    assert!(errors[0].message.contains("`noon` is no moment"), "{errors:?}");
}

#[test]
fn what_is_doubtful_is_a_warning() {
    let text = r"
apiVersion: smokejumper.dev/v1
kind: Schedule
metadata: { name: shop }
spec:
  location: Europe/Berlin
  rotations:
    - name: days
      people: [una, eva]
      start: 2026-01-05
      handover: '09:00'
      every: daily
      timeIntervals: [{ times: [{ start_time: '08:00', end_time: '24:00' }] }]
  overrides:
    - { person: ben, from: 2026-02-01T12:00, until: 2026-02-03T12:00 }
    - { person: una, from: 2026-02-02T12:00, until: 2026-02-04T12:00 }
";
    let set = load(text).unwrap_or_else(|errors| panic!("{errors}"));
    let shown: Vec<String> = set.warnings().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}
