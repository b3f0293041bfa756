//! Microsoft Teams, by the webhook of a workflow ("When a Teams webhook request is received"): an adaptive card for each
//! thing that happens, since what a workflow posts cannot be edited.
//!
//! All text stands in text runs, which Teams shows as they are: only they know no Markdown, so that no label can become a
//! link. A workflow takes messages of up to 28 KB and four requests a second (Microsoft Learn, "Create an Incoming
//! Webhook", "Rate limiting"); it answers 202, and 429 with Retry-After.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use governor::Quota;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::message::{Message, message, of_report};
use super::webhook::{Address, without};
use crate::clients::http::HttpClient;
use crate::clients::webhook::{Delivery, WebhookClient};
use crate::domain::notification::Notice;
use crate::domain::scheduled::CheckReport;
use crate::engine::ports::{Delivered, IncidentView};
use crate::secret::Keyring;

/// Bytes of a message. Teams refuses more.
const MESSAGE_BYTES_MAX: usize = 28 * 1024;
/// Requests a second, of the four that Teams allows.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(2).expect("not zero");

/// Tells channels of Teams.
#[derive(Debug)]
pub struct TeamsNotifier {
    channels: BTreeMap<String, Address>,
    client: WebhookClient,
    external_url: Option<String>,
    keyring: Keyring,
}

impl TeamsNotifier {
    /// A notifier for these workflows, by the names that rules use.
    pub fn new(
        channels: BTreeMap<String, Address>,
        http: HttpClient,
        external_url: Option<String>,
        keyring: Keyring,
    ) -> Self {
        let client = WebhookClient::new(http, Quota::per_second(PER_SECOND));
        Self { channels, client, external_url, keyring }
    }

    /// Delivers one notice.
    pub(super) async fn notify(
        &self,
        channel: &str,
        key: &str,
        notice: &Notice,
        view: &IncidentView,
        now: Timestamp,
    ) -> Delivered {
        let redactor = self.keyring.redactor();
        match message(notice, view, self.external_url.as_deref(), &redactor) {
            Ok(told) => self.send(channel, key, told, now).await,
            Err(none) => without(none),
        }
    }

    /// Delivers what a scheduled check found.
    pub(super) async fn report(
        &self,
        channel: &str,
        key: &str,
        report: &CheckReport,
        now: Timestamp,
    ) -> Delivered {
        let told = of_report(report, &self.keyring.redactor());
        self.send(channel, key, told, now).await
    }

    async fn send(&self, channel: &str, key: &str, told: Message, now: Timestamp) -> Delivered {
        let Some(address) = self.channels.get(channel) else {
            return Delivered::Never { reason: format!("`teams.channels` has no `{channel}`") };
        };
        let redactor = self.keyring.redactor();
        let url = match address.current() {
            Ok(url) => url,
            Err(error) => return super::after(error, &redactor),
        };
        let body = fitting(told).into_bytes();
        let delivery = Delivery { url, headers: Vec::new(), body, secret: None, key, now };
        match self.client.post(channel, delivery).await {
            Ok(()) => Delivered::Yes { message: None },
            Err(error) => super::after(error, &redactor),
        }
    }

    /// Forgets what is idle; called now and then by whoever keeps house.
    pub fn prune(&self) {
        self.client.prune();
    }
}

/// The message with as much of the evidence as it has room for.
fn fitting(mut told: Message) -> String {
    loop {
        let drawn = drawn(&told).to_string();
        if drawn.len() <= MESSAGE_BYTES_MAX || told.findings.pop().is_none() {
            return drawn;
        }
    }
}

fn run(text: &str) -> Value {
    json!({ "type": "TextRun", "text": text })
}

fn bold(text: &str) -> Value {
    json!({ "type": "TextRun", "text": text, "weight": "Bolder" })
}

fn block(inlines: &[Value]) -> Value {
    json!({ "type": "RichTextBlock", "inlines": inlines })
}

fn drawn(told: &Message) -> Value {
    let headline = json!({ "type": "TextRun", "text": told.headline, "weight": "Bolder", "size": "Large" });
    let mut body = vec![block(&[headline])];
    body.extend(told.note.iter().map(|note| block(&[run(note)])));
    body.extend(told.facts.iter().map(|(name, text)| block(&[bold(&format!("{name}: ")), run(text)])));
    body.extend(told.findings.iter().map(|(name, text)| block(&[bold(&format!("{name}: ")), run(text)])));
    let open = |url: &String| json!({ "type": "Action.OpenUrl", "title": "Open the incident", "url": url });
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": { "width": "Full" },
        "body": body,
        "actions": told.page.iter().map(open).collect::<Vec<_>>(),
    });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::http::{HttpOptions, ProxyChoice, Url};
    use crate::clients::stand_in::{Play, StandIn};
    use crate::clients::webhook::KEY_HEADER;
    use crate::domain::notification::Destination;
    use crate::engine::ports::Notifier;
    use crate::notify::Notifiers;
    use crate::notify::stories::{self, minutes};

    fn mk_notifiers(url: &str) -> Notifiers {
        let options = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
        let channels = [("ops".to_owned(), Address::Plain(Url::parse(url).expect("a URL")))];
        let http = HttpClient::new(&options).expect("a client");
        let external = Some("https://smokejumper.example.com".to_owned());
        let teams = TeamsNotifier::new(channels.into(), http, external, Keyring::new(BTreeMap::new()));
        Notifiers { teams: Some(teams), ..Notifiers::default() }
    }

    async fn tell(notifiers: &Notifiers, view: &IncidentView) -> Delivered {
        let ops = Destination::Teams { channel: "ops".to_owned() };
        let notice = Notice::Trigger { note: "on-call".to_owned(), episode: 0 };
        notifiers.deliver(stories::sending("inc-e7"), &ops, &notice, view, minutes(5)).await
    }

    #[tokio::test]
    async fn an_incident_is_a_card_with_a_link_to_it() {
        let server = StandIn::play([Play::text(202, "")]).await;
        let told = tell(&mk_notifiers(&server.url("/workflow")), &stories::opened()).await;
        assert!(matches!(told, Delivered::Yes { .. }), "{told:?}");
        let seen = &server.seen()[0];
        assert_eq!(seen.header(KEY_HEADER), Some("inc-e7"));
        insta::assert_json_snapshot!(seen.json());
    }

    #[tokio::test]
    async fn a_label_is_shown_and_never_read_as_a_link() {
        let server = StandIn::play([Play::text(202, "")]).await;
        let mut view = stories::opened();
        view.incident.summary = "[click here](https://evil.example)".to_owned();
        tell(&mk_notifiers(&server.url("/workflow")), &view).await;
        let card = server.seen()[0].json()["attachments"][0]["content"].clone();
        // Text blocks and tables of facts read Markdown, text runs do not.
        for part in card["body"].as_array().expect("a body") {
            assert_eq!(part["type"], "RichTextBlock");
        }
        assert_eq!(card["actions"].as_array().map(Vec::len), Some(1));
    }

    #[tokio::test]
    async fn what_teams_has_no_room_for_is_left_out() {
        let server = StandIn::play([Play::text(202, "")]).await;
        let mut view = stories::opened();
        let finding =
            |number: usize| stories::mk_finding(&format!("finding_{number}"), &"\u{1F525}".repeat(2_000));
        view.findings = (0..15).map(finding).collect();
        view.incident.summary = "\u{1F525}".repeat(5_000);
        tell(&mk_notifiers(&server.url("/workflow")), &view).await;
        let body = &server.seen()[0].body;
        assert!(body.len() <= MESSAGE_BYTES_MAX, "{} bytes", body.len());
        assert!(String::from_utf8_lossy(body).contains("finding_0"));
    }

    #[tokio::test]
    async fn a_workflow_that_asks_for_patience_gets_it() {
        let server = StandIn::play([Play::text(429, "").with("retry-after", "30")]).await;
        let told = tell(&mk_notifiers(&server.url("/workflow")), &stories::opened()).await;
        let Delivered::Paced { wait, .. } = told else { panic!("{told:?}") };
        assert_eq!(wait.as_secs(), 30);
    }
}
