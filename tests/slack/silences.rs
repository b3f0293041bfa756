//! The menu of silences: from the choice through the form to Alertmanager, and back, whichever way presses come.

use crate::servers::{eventually, http_client};
use crate::world::{API_TOKEN, PATIENCE, TRANSPORTS, Transport, World};
use serde_json::Value;
use smokejumper::sandbox::alerts::{Alert, AlertSender, SenderOptions, Target};
use smokejumper::sandbox::server::Server;
use smokejumper::sandbox::slack::{Message, View};
use std::time::Duration;

const SILENCE: &str = "smokejumper.silence";
const UNSILENCE: &str = "smokejumper.unsilence";

/// A workspace, and the Alertmanager that its alert comes from.
struct Quiet {
    world: World,
    sender: AlertSender,
    alertmanager: Server,
}

impl Quiet {
    async fn start(transport: Transport) -> Self {
        let options = SenderOptions {
            group_wait: Duration::from_millis(10),
            group_interval: Duration::from_millis(200),
            ..SenderOptions::default()
        };
        let sender = AlertSender::new(options).expect("a client");
        let alertmanager = sender.serve(0).await.expect("a free port");
        let section = format!(
            "alertmanager: {{ url: \"{}\", reconcile: {{ every: 1s, grace: 1s }} }}",
            alertmanager.base_url()
        );
        let world = World::with(transport, &section, |_| {}).await;
        sender.set_target(Target {
            url: format!("{}/webhooks/alertmanager", world.service.url()),
            bearer_token: Some(API_TOKEN.to_owned()),
        });
        sender.fire(mk_alert());
        Self { world, sender, alertmanager }
    }

    /// Chooses from the menu; returns the form that opens.
    async fn choose(&self, choice: &str, user: &str) -> Option<View> {
        let card = self.world.card_with(SILENCE).await;
        let value = option_of(&card, choice);
        let slack = &self.world.slack;
        let pressed = slack.choose(&card.channel, &card.ts, SILENCE, &value, user).await.expect("a menu");
        assert_eq!(pressed.status, Some(200), "{pressed:?}");
        slack.views().pop()
    }

    async fn silences(&self) -> Vec<Value> {
        let url = format!("{}/api/v2/silences", self.alertmanager.base_url());
        let answer = http_client().get(url).send().await.expect("an answer");
        answer.json().await.expect("silences")
    }

    async fn silences_in(&self, state: &str) -> Vec<Value> {
        let what = format!("a silence is {state}");
        eventually(&what, PATIENCE, async || {
            let mut all = self.silences().await;
            all.retain(|silence| silence["status"]["state"] == state);
            (!all.is_empty()).then_some(all)
        })
        .await
    }
}

fn mk_alert() -> Alert {
    Alert::new("Errors", &[("service", "api"), ("pod", "api-1")], "it fails")
}

/// The value of a choice in the menu of a card.
fn option_of(card: &Message, choice: &str) -> String {
    let blocks = serde_json::to_value(&card.blocks).expect("JSON");
    let mut options = Vec::new();
    collect_options(&blocks, &mut options);
    options.into_iter().find(|value| value.ends_with(&format!("|{choice}"))).expect("the choice is there")
}

fn collect_options(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| collect_options(one, into)),
        Value::Object(fields) => {
            let options = fields.get("options").and_then(Value::as_array);
            into.extend(
                options.into_iter().flatten().filter_map(|one| Some(one["value"].as_str()?.to_owned())),
            );
            fields.values().for_each(|one| collect_options(one, into));
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_is_set_with_its_reason_and_lifted_again() {
    for transport in TRANSPORTS {
        let quiet = Quiet::start(transport).await;
        let (world, slack) = (&quiet.world, &quiet.world.slack);
        let form = quiet.choose("4h", "una").await.expect("a form");
        assert!(form.view.to_string().contains("How long: 4 hours."), "{}", form.view);
        assert_eq!(quiet.silences().await, [] as [Value; 0], "a form that is open silences nothing");
        let sent = slack.submit(&form.id, &[("reason", "known since the move <!channel>")]).await;
        assert_eq!(sent.expect("sent").status, Some(200), "{transport:?}");
        let silences = quiet.silences_in("active").await;
        assert_eq!(silences.len(), 1);
        let comment = silences[0]["comment"].as_str().expect("a comment");
        assert!(comment.starts_with("known since the move <!channel> [smokejumper "), "{comment}");
        assert_eq!(silences[0]["createdBy"], "una by Smokejumper");
        let matchers = silences[0]["matchers"].as_array().expect("matchers");
        assert_eq!(matchers.len(), 3, "all labels of the alert and no fewer: {matchers:?}");
        let incident = world.incident_where("silenced", |it| it["status"] == "acknowledged").await;
        assert_eq!(incident["acknowledged_by"], "una", "{incident:#}");
        let card = world.card_with(UNSILENCE).await;
        assert_eq!(world.press(&card, UNSILENCE, "ravi").await.status, Some(200));
        quiet.silences_in("expired").await;
        assert_eq!(quiet.silences().await.len(), 1, "{transport:?}");
        world.card_with(SILENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_until_it_is_over_ends_with_the_incident_that_nobody_is_told_the_end_of() {
    let quiet = Quiet::start(Transport::Https).await;
    let form = quiet.choose("resolved", "una").await.expect("a form");
    quiet.world.slack.submit(&form.id, &[]).await.expect("sent");
    quiet.silences_in("active").await;
    // An end is believed only of what was seen in Alertmanager before.
    quiet.world.incident_where("the silence is seen", |it| it["alerts_suppressed"] == 1).await;
    let told = quiet.sender.deliveries().entries().len();
    quiet.sender.resolve(&mk_alert().labels);
    quiet.world.incident_where("resolved", |it| it["status"] == "resolved").await;
    assert_eq!(quiet.sender.deliveries().entries().len(), told, "Alertmanager has told nobody of the end");
    quiet.silences_in("expired").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_silence_sees_no_form_and_is_told() {
    let quiet = Quiet::start(Transport::Https).await;
    assert_eq!(quiet.choose("1h", "sam").await, None);
    eventually("Sam is told", PATIENCE, async || {
        let messages = quiet.world.slack.messages("#incidents");
        messages.into_iter().find(|message| message.only_for.as_deref() == Some("U0SAM"))
    })
    .await;
    assert_eq!(quiet.silences().await, [] as [Value; 0]);
}
