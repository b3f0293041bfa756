//! The notifier against the simulated account, over real HTTP, and what its events say.

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::clients::http::{HttpOptions, ProxyChoice};
use crate::domain::Labels;
use crate::domain::action::ActionStatus;
use crate::domain::incident::Acknowledgement;
use crate::domain::notification::Destination;
use crate::domain::people::{Actor, Role};
use crate::domain::redact::Redactor;
use crate::engine::ports::Notifier;
use crate::notify::Notifiers;
use crate::notify::stories::{self, minutes, mk_labels};
use crate::sandbox::faults::{Fault, Outcome};
use crate::sandbox::pagerduty::{self as sandbox, Effect, PagerDutySandbox, Service, Status};
use crate::secret::SecretSource;

struct Story {
    account: PagerDutySandbox,
    notifiers: Notifiers,
}

impl Story {
    async fn new() -> Self {
        let options = sandbox::PagerDutyOptions {
            services: vec![Service::new("pss-nano"), Service::new("leads")],
            ..Default::default()
        };
        let account = PagerDutySandbox::start(options).await.expect("a free port");
        let keys =
            account.services().iter().map(|service| (service.name.clone(), service.routing_key.clone()));
        let token = ("token".to_owned(), account.api_token().to_owned());
        let keyring = Keyring::new(keys.chain([token]).collect());
        let key = |name: &str| keyring.open(&SecretSource::Env(name.to_owned())).expect("a key");
        let options = PagerDutyOptions {
            events_url: account.events_url(),
            services: ["pss-nano", "leads"].map(|name| (name.to_owned(), key(name))).into(),
            notes: Some(NotesOptions {
                url: account.events_url(),
                token: key("token"),
                from: "smokejumper@example.com".to_owned(),
                confirms: true,
            }),
            external_url: Some("https://smokejumper.example.com".to_owned()),
        };
        let options_http = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
        let http = HttpClient::new(&options_http).expect("an HTTP client");
        let pagerduty = PagerDutyNotifier::new(options, http, keyring).expect("a notifier");
        Self { account, notifiers: Notifiers { pagerduty: Some(pagerduty), ..Notifiers::default() } }
    }

    async fn tell(&self, notice: &Notice, view: &IncidentView) -> Delivered {
        let destination = Destination::PagerDuty { service: "pss-nano".to_owned() };
        self.notifiers.notify(&destination, notice, view, minutes(5)).await
    }

    fn effects(&self) -> Vec<Effect> {
        self.account.events().entries().into_iter().map(|event| event.what.effect).collect()
    }
}

fn trigger(episode: u32) -> Notice {
    Notice::Trigger { note: "on-call".to_owned(), episode }
}

fn sent() -> Delivered {
    Delivered::Yes { message: None }
}

#[tokio::test]
async fn one_incident_is_opened_acknowledged_and_resolved_under_one_key() {
    let story = Story::new().await;
    let view = stories::awaiting_approval();
    assert_eq!(story.tell(&trigger(0), &view).await, sent());
    assert_eq!(story.tell(&trigger(0), &view).await, sent());
    assert_eq!(story.tell(&Notice::Acknowledge { episode: 0 }, &view).await, sent());
    assert_eq!(story.tell(&Notice::Resolve { episode: 0 }, &stories::resolved()).await, sent());
    assert_eq!(story.effects(), [Effect::Opened, Effect::Joined, Effect::Acknowledged, Effect::Resolved]);
    let incident = story.account.incident(&view.incident.dedup_key()).expect("an incident");
    assert_eq!(incident.title, "P1: 12.4 % of requests to pss-nano/api fail (limit 5 %)");
    assert_eq!((incident.severity.as_str(), incident.status), ("error", Status::Resolved));
}

#[tokio::test]
async fn a_resolve_that_waited_out_a_reopening_ends_its_own_episode() {
    let story = Story::new().await;
    let mut view = stories::opened();
    story.tell(&trigger(0), &view).await;
    view.incident.episode = 1;
    assert_eq!(story.tell(&Notice::Resolve { episode: 0 }, &view).await, sent());
    assert_eq!(story.tell(&trigger(1), &view).await, sent());
    let statuses: Vec<Status> = story.account.incidents().iter().map(|incident| incident.status).collect();
    assert_eq!(statuses, [Status::Resolved, Status::Triggered]);
}

#[tokio::test]
async fn what_is_over_pages_nobody() {
    let story = Story::new().await;
    let late = story.tell(&trigger(0), &stories::resolved()).await;
    assert!(matches!(late, Delivered::Never { .. }), "{late:?}");
    let mut reopened = stories::opened();
    reopened.incident.episode = 1;
    let old = story.tell(&trigger(0), &reopened).await;
    assert!(matches!(old, Delivered::Never { .. }), "{old:?}");
    assert!(story.effects().is_empty());
}

#[tokio::test]
async fn a_change_is_noted_and_pages_nobody() {
    let story = Story::new().await;
    let details = mk_labels(&[("remedy", "raise-connection-pool"), ("outcome", "patched")]);
    let notice = Notice::Change { summary: "Set MAX_DB_CONNECTIONS=50".to_owned(), details };
    assert_eq!(story.tell(&notice, &stories::acting()).await, sent());
    assert_eq!(story.effects(), [Effect::ChangeNoted]);
    let body = story.account.events().entries()[0].what.body.clone();
    assert_eq!(body["payload"]["custom_details"]["remedy"], "raise-connection-pool");
    // A change has no key: after an unclear end it is not sent twice.
    story.account.faults().next(sandbox::CHANGE_ENQUEUE, Fault::dropped().after_effect());
    let unclear = story.tell(&notice, &stories::acting()).await;
    assert!(matches!(unclear, Delivered::Never { .. }), "{unclear:?}");
}

#[tokio::test]
async fn what_was_done_and_who_has_it_stand_in_notes_that_nothing_waits_for() {
    let story = Story::new().await;
    let notes =
        || story.account.incidents().first().map(|incident| incident.notes.clone()).unwrap_or_default();
    let change =
        Notice::Change { summary: "Set POOL=50".to_owned(), details: mk_labels(&[("outcome", "patched")]) };
    // Nothing stands there yet: the event goes out all the same.
    assert_eq!(story.tell(&change, &stories::acting()).await, sent());
    assert!(notes().is_empty());
    assert_eq!(story.tell(&trigger(0), &stories::opened()).await, sent());
    assert_eq!(story.tell(&change, &stories::acting()).await, sent());
    assert_eq!(notes(), ["[smokejumper] Set POOL=50: patched"]);
    // A webhook may have told by which identity it stands there.
    let mut view = stories::acting();
    view.incident.bridge = Some(story.account.incidents()[0].id.clone());
    let actor = Actor { name: "una".to_owned(), via: Via::Slack, role: Role::Responder };
    view.incident.acknowledged = Some(Acknowledgement { actor, at: minutes(4), expires_at: None });
    let acknowledge = Notice::Acknowledge { episode: 0 };
    assert_eq!(story.tell(&acknowledge, &view).await, sent());
    assert_eq!(notes().last().map(String::as_str), Some("[smokejumper] una has it (slack)"));
    if let Some(taken) = &mut view.incident.acknowledged {
        taken.actor.via = Via::PagerDuty;
    }
    assert_eq!(story.tell(&acknowledge, &view).await, sent());
    assert_eq!(notes().len(), 2, "what a person did in PagerDuty is known there");
    for fault in [Fault::status(503), Fault::dropped(), Fault::slow(std::time::Duration::from_secs(60))] {
        story.account.faults().next(sandbox::rest::NOTES, fault);
        assert_eq!(story.tell(&change, &view).await, sent(), "the event counts");
    }
    assert_eq!(notes().len(), 2);
}

#[tokio::test]
async fn outages_are_tried_again_refusals_are_not_and_patience_is_no_failure() {
    let story = Story::new().await;
    let view = stories::opened();
    for outage in [Fault::status(500), Fault::status(503), Fault::dropped(), Fault::dropped().after_effect()]
    {
        story.account.faults().next(sandbox::ENQUEUE, outage.clone());
        let delivered = story.tell(&trigger(0), &view).await;
        assert!(
            matches!(delivered, Delivered::Later { failed: true, wait: None, .. }),
            "{outage:?}: {delivered:?}"
        );
    }
    story.account.faults().next(sandbox::ENQUEUE, Fault::status(400));
    let refused = story.tell(&trigger(0), &view).await;
    assert!(matches!(&refused, Delivered::Never { reason } if reason.starts_with("http_400")), "{refused:?}");
    story.account.faults().next(sandbox::ENQUEUE, Fault::rate_limited(30));
    let asked = story.tell(&trigger(0), &view).await;
    let expected = Duration::from_secs(30);
    assert!(matches!(asked, Delivered::Paced { wait, .. } if wait == expected), "{asked:?}");
}

#[tokio::test]
async fn an_unknown_service_names_the_way_out() {
    let story = Story::new().await;
    let destination = Destination::PagerDuty { service: "shop".to_owned() };
    let delivered = story.notifiers.notify(&destination, &trigger(0), &stories::opened(), minutes(1)).await;
    let reason = r#"pagerduty.services has no "shop"; it has leads, pss-nano"#.to_owned();
    assert_eq!(delivered, Delivered::Never { reason });
    let none = Notifiers::default().notify(&destination, &trigger(0), &stories::opened(), minutes(1)).await;
    assert!(matches!(none, Delivered::Never { reason } if reason.contains("pagerduty.services")));
}

#[tokio::test]
async fn what_is_slacks_is_not_sent() {
    let story = Story::new().await;
    for notice in [Notice::Card, Notice::Evidence, Notice::Reply { text: "x".to_owned(), page: true }] {
        assert_eq!(story.tell(&notice, &stories::opened()).await, sent());
    }
    assert!(story.effects().is_empty());
}

#[tokio::test]
async fn an_event_tells_what_is_known() {
    let story = Story::new().await;
    story.tell(&trigger(0), &stories::handed_over()).await;
    insta::assert_json_snapshot!(story.account.events().entries()[0].what.body);
}

#[test]
fn huge_and_hostile_labels_leave_the_event_small_and_clean() {
    let word = "<!channel>\u{202e}\u{200b}\u{0}`*\n".repeat(5_000);
    let mut view = stories::handed_over();
    view.incident.summary = word.clone();
    view.incident.labels = (0..300).map(|n| (format!("{n}{word}"), word.clone())).collect();
    view.incident.labels.insert("alertname".to_owned(), " \u{200b} ".to_owned());
    view.findings = (0..200).map(|n| stories::mk_finding(&format!("{n}{word}"), &word)).collect();
    view.incident.actions = vec![stories::mk_action(
        &view,
        ActionStatus::Failed,
        crate::domain::action::Tier::T1,
        crate::domain::decision::Reason::NotApplied(word.clone()),
    )];
    view.incident.runbook = Some(format!("https://wiki.example/{word}"));
    let redactor = Redactor::default();
    let writer = Writer::new(&view, Some("https://s.example"), &redactor);
    let event = writer.trigger(&word, 0);
    let details = event.custom_details.clone().unwrap_or(Value::Null);
    assert!(details.to_string().len() < 200_000, "{}", details.to_string().len());
    assert!(event.summary.chars().count() <= 1_024 && event.class.is_none());
    let all = format!("{} {} {details}", event.summary, event.source);
    assert!(!all.contains(['\u{202e}', '\u{200b}', '\u{0}']), "hidden characters");
    assert_eq!(event.links.len(), 2, "an address that is too long is left out: {:?}", event.links);
    let change = writer.change(&word, &Labels::from([(word.clone(), word.clone())]));
    assert!(change.summary.chars().count() <= 1_024);
}

#[test]
fn secrets_stay_out_of_events() {
    let redactor = Redactor::new(["hunter-two"]);
    let mut view = stories::handed_over();
    view.incident.summary = "dsn postgres://app:hunter-two@db".to_owned();
    view.findings[0].text = "Authorization: Bearer abcdefghijklmnop".to_owned();
    view.incident.actions[0].plan.summary = "call with token=correct-horse".to_owned();
    view.incident.labels.insert("password".to_owned(), "hunter-two".to_owned());
    let event = Writer::new(&view, None, &redactor).trigger("hunter-two", 0);
    let text = format!("{event:?}");
    for secret in ["hunter-two", "abcdefghijklmnop", "correct-horse"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// Takes what it is sent, answers so, and forgets it.
fn taken_and_lost() -> Fault {
    let outcome = Outcome::Status { code: 202, retry_after_seconds: None, body: Some("{}".to_owned()) };
    Fault { outcome, ..Fault::default() }
}

#[tokio::test]
async fn a_page_that_was_taken_and_lost_is_found_missing_and_sent_again() {
    let story = Story::new().await;
    let view = stories::opened();
    let confirm = Notice::Confirm { episode: 0 };
    for _ in 0..2 {
        story.account.faults().next(sandbox::ENQUEUE, taken_and_lost());
    }
    assert_eq!(story.tell(&trigger(0), &view).await, sent(), "PagerDuty said yes");
    assert!(story.account.incidents().is_empty());
    for _ in 0..2 {
        let Delivered::Later { reason, failed: true, .. } = story.tell(&confirm, &view).await else {
            panic!("it is missing")
        };
        assert_eq!(reason, "it was taken, and PagerDuty has no incident of it; it is sent again");
    }
    let opened = story.account.incident(&view.incident.dedup_key()).expect("the third one stands");
    assert_eq!(opened.status, Status::Triggered);
    assert_eq!(story.tell(&confirm, &view).await, sent());
    assert_eq!(story.account.incidents().len(), 1, "under one key it is one incident");
}

#[tokio::test]
async fn a_page_that_stands_or_that_nobody_need_hear_is_not_sent_again() {
    let story = Story::new().await;
    let confirm = Notice::Confirm { episode: 0 };
    let mut taken = stories::opened();
    taken.incident.status = crate::domain::incident::IncidentStatus::Acknowledged;
    for view in [&taken, &stories::resolved()] {
        assert_eq!(story.tell(&confirm, view).await, sent());
    }
    let view = stories::opened();
    story.tell(&trigger(0), &view).await;
    assert_eq!(story.tell(&confirm, &view).await, sent());
    assert_eq!(story.effects(), [Effect::Opened]);
}
