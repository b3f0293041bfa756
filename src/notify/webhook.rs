//! Webhooks of others: a JSON document of ours, or the one that the settings have a template for.
//!
//! A template is JSON with placeholders in its strings. Values are escaped for JSON, so that no label can end a string or
//! add a field, and secrets are taken out of the whole.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use governor::Quota;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::message::{Message, NoMessage, message, of_report};
use crate::clients::answer::SendError;
use crate::clients::http::{HttpClient, Url};
use crate::clients::webhook::{Delivery, WebhookClient};
use crate::domain::catalog::SlotLanguage;
use crate::domain::notification::Notice;
use crate::domain::redact::Redactor;
use crate::domain::scheduled::CheckReport;
use crate::engine::ports::{Delivered, IncidentView};
use crate::rules::render::Templates;
use crate::rules::scope::Scope;
use crate::secret::{Keyring, LiveText, Secret, SecretSet};

/// Deliveries a second to one receiver: a flood of incidents must not look like an attack.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("not zero");

/// One receiver of the settings.
#[derive(Debug)]
pub struct Webhook {
    /// The address, which may be a secret as a whole.
    pub url: Address,
    /// Headers to send.
    pub headers: Vec<(String, LiveText)>,
    /// Signs what is sent; empty for no signature.
    pub signing_secret: SecretSet,
    /// JSON with placeholders; none for our own document.
    pub body: Option<Template>,
    /// Its own client, with its own time.
    pub http: HttpClient,
}

/// Where to send.
#[derive(Debug, Clone)]
pub enum Address {
    /// Written in the settings.
    Plain(Url),
    /// Somebody who has it may post.
    Secret(Secret),
}

impl Address {
    pub(super) fn current(&self) -> Result<Url, SendError> {
        match self {
            Self::Plain(url) => Ok(url.clone()),
            Self::Secret(secret) => {
                use secrecy::ExposeSecret as _;
                let url = Url::parse(secret.current().expose_secret().trim()).ok();
                url.filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(|| {
                    SendError::permanent("address", "the secret is no http or https URL".to_owned())
                })
            }
        }
    }
}

/// A template that was compiled.
#[derive(Debug)]
pub struct Template {
    text: String,
    compiled: Templates,
}

impl Template {
    /// Compiles it. What it names is only looked for when it is used.
    ///
    /// # Errors
    /// Where it is no template.
    pub fn new(text: String) -> Result<Self, String> {
        let compiled = Templates::compile([text.as_str()]).map_err(|error| error.to_string())?;
        Ok(Self { text, compiled })
    }

    fn render(&self, scope: &Scope) -> Result<String, String> {
        let rendered = self.compiled.render(&self.text, SlotLanguage::JsonString, scope);
        rendered.map_err(|error| error.to_string())
    }
}

/// Tells webhooks.
#[derive(Debug)]
pub struct WebhookNotifier {
    hooks: BTreeMap<String, (Webhook, WebhookClient)>,
    external_url: Option<String>,
    keyring: Keyring,
}

impl WebhookNotifier {
    /// A notifier for these receivers, by the names that rules use.
    pub fn new(hooks: BTreeMap<String, Webhook>, external_url: Option<String>, keyring: Keyring) -> Self {
        let with_client = |(name, hook): (String, Webhook)| {
            let client = WebhookClient::new(hook.http.clone(), Quota::per_second(PER_SECOND));
            (name, (hook, client))
        };
        Self { hooks: hooks.into_iter().map(with_client).collect(), external_url, keyring }
    }

    /// Delivers one notice.
    pub(super) async fn notify(
        &self,
        name: &str,
        key: &str,
        notice: &Notice,
        view: &IncidentView,
        now: Timestamp,
    ) -> Delivered {
        let Some((hook, _)) = self.hooks.get(name) else { return unknown(name) };
        let redactor = self.keyring.redactor();
        let told = match message(notice, view, self.external_url.as_deref(), &redactor) {
            Ok(told) => told,
            Err(none) => return without(none),
        };
        let body = match body(hook, &told, key, view, &redactor) {
            Ok(body) => body,
            Err(error) => {
                // People are told in any case: with our own document, which needs no template.
                tracing::warn!(webhook = name, %error, "the template of a webhook cannot be used");
                document(&told, key, view, &redactor).to_string()
            }
        };
        self.send(name, key, body, now).await
    }

    /// Delivers what a scheduled check found, in our own document: templates are written over incidents.
    pub(super) async fn report(
        &self,
        name: &str,
        key: &str,
        report: &CheckReport,
        now: Timestamp,
    ) -> Delivered {
        let redactor = self.keyring.redactor();
        let document = report_document(&of_report(report, &redactor), key, report).to_string();
        self.send(name, key, redactor.redact(&document).into_owned(), now).await
    }

    async fn send(&self, name: &str, key: &str, body: String, now: Timestamp) -> Delivered {
        let Some((hook, client)) = self.hooks.get(name) else { return unknown(name) };
        let redactor = self.keyring.redactor();
        let url = match hook.url.current() {
            Ok(url) => url,
            Err(error) => return super::after(error, &redactor),
        };
        let secret: Option<SecretString> = hook.signing_secret.first().map(Secret::current);
        let headers = hook.headers.iter().map(|(name, value)| (name.clone(), value.current())).collect();
        let delivery = Delivery { url, headers, body: body.into_bytes(), secret: secret.as_ref(), key, now };
        match client.post(name, delivery).await {
            Ok(()) => Delivered::Yes { message: None },
            Err(error) => super::after(error, &redactor),
        }
    }

    /// Forgets what is idle; called now and then by whoever keeps house.
    pub fn prune(&self) {
        self.hooks.values().for_each(|(_, client)| client.prune());
    }
}

fn unknown(name: &str) -> Delivered {
    Delivered::Never { reason: format!("there is no webhook `{name}` in the settings") }
}

/// What a notice that leads to no message comes to.
pub(super) fn without(none: NoMessage) -> Delivered {
    match none {
        NoMessage::NotForUs => Delivered::Yes { message: None },
        NoMessage::Over => {
            Delivered::Never { reason: "the incident is over: nobody is called for it".to_owned() }
        }
    }
}

fn body(
    hook: &Webhook,
    told: &Message,
    key: &str,
    view: &IncidentView,
    redactor: &Redactor,
) -> Result<String, String> {
    let Some(template) = &hook.body else { return Ok(document(told, key, view, redactor).to_string()) };
    let scope = Scope::of_incident(&view.incident, &view.findings).with("message", parts(told, key));
    template.render(&scope).map(|text| redactor.redact(&text).into_owned())
}

fn parts(told: &Message, key: &str) -> Value {
    json!({
        "event": told.event,
        "key": key,
        "headline": told.headline,
        "note": told.note.clone().unwrap_or_default(),
        "url": told.page.clone().unwrap_or_default(),
    })
}

/// Our own document of a report. Names and forms are a contract; later versions only add.
fn report_document(told: &Message, key: &str, report: &CheckReport) -> Value {
    let items = report.items.iter().zip(&told.findings).map(|(item, (title, text))| {
        json!({ "name": item.name, "title": title, "outcome": item.outcome.as_str(), "text": text })
    });
    json!({
        "version": 1,
        "event": told.event,
        "key": key,
        "headline": told.headline,
        "check": {
            "name": report.check,
            "outcome": report.verdict().as_str(),
            "due_at": report.due_at.to_string(),
            "ran_at": report.ran_at.to_string(),
            "next_at": report.next_at.map(|next| next.to_string()),
            "missed": report.missed,
            "asked_by": report.asked_by,
            "runbook": report.runbook,
            "items": items.collect::<Vec<_>>(),
        },
    })
}

/// Our own document. Names and forms are a contract; later versions only add.
fn document(told: &Message, key: &str, view: &IncidentView, redactor: &Redactor) -> Value {
    let incident = &view.incident;
    let clean = |text: &str| redactor.redact(text).into_owned();
    let labels: BTreeMap<&String, String> =
        incident.labels.iter().map(|(name, value)| (name, clean(value))).collect();
    let findings: Vec<Value> =
        told.findings.iter().map(|(name, text)| json!({ "name": name, "text": text })).collect();
    json!({
        "version": 1,
        "event": told.event,
        "key": key,
        "headline": told.headline,
        "note": told.note,
        "url": told.page,
        "incident": {
            "id": incident.id.0,
            "status": incident.status.as_str(),
            "severity": incident.severity.as_str(),
            "rule": incident.rule,
            "mode": incident.mode,
            "summary": clean(&incident.summary),
            "target": incident.target.as_ref().map(|target| clean(&target.to_string())),
            "started_at": incident.started_at.to_string(),
            "acknowledged_by": incident.acknowledged.as_ref().map(|by| by.actor.name.clone()),
            "labels": labels,
        },
        "findings": findings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::http::{HttpOptions, ProxyChoice};
    use crate::clients::signing::sign_hex;
    use crate::clients::stand_in::{Play, Seen, StandIn, refused_url};
    use crate::clients::webhook::{KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};
    use crate::domain::notification::Destination;
    use crate::engine::ports::Notifier;
    use crate::notify::Notifiers;
    use crate::notify::stories::{self, minutes};
    use crate::secret::{SecretSource, SecretSources};
    use std::time::Duration;

    const SECRET: &str = "a-signing-secret-of-some-length";

    fn mk_notifiers(url: &str, template: Option<&str>) -> Notifiers {
        let keyring = Keyring::new([("HOOK".to_owned(), SECRET.to_owned())].into());
        let options = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
        let sources = SecretSources::from(SecretSource::Env("HOOK".to_owned()));
        let hook = Webhook {
            url: Address::Plain(Url::parse(url).expect("a URL")),
            headers: vec![("X-Room".to_owned(), LiveText::Plain("war".to_owned()))],
            signing_secret: keyring.open_all(&sources).expect("a secret"),
            body: template.map(|text| Template::new(text.to_owned()).expect("a template")),
            http: HttpClient::new(&options).expect("a client"),
        };
        let external = Some("https://smokejumper.example.com/".to_owned());
        let webhooks = WebhookNotifier::new([("room".to_owned(), hook)].into(), external, keyring);
        Notifiers { webhooks: Some(webhooks), ..Notifiers::default() }
    }

    async fn tell(notifiers: &Notifiers, notice: &Notice, view: &IncidentView) -> Delivered {
        let room = Destination::Webhook { name: "room".to_owned() };
        notifiers.deliver(stories::sending("inc-e7"), &room, notice, view, minutes(5)).await
    }

    fn trigger() -> Notice {
        Notice::Trigger { note: "on-call".to_owned(), episode: 0 }
    }

    fn is_signed(seen: &Seen) -> bool {
        let time = seen.header(TIMESTAMP_HEADER).expect("a time");
        let signed = [format!("v1:{time}:").as_bytes(), &seen.body].concat();
        let tag = format!("v1={}", sign_hex(&SECRET.to_owned().into(), &signed));
        seen.header(SIGNATURE_HEADER) == Some(tag.as_str())
    }

    #[tokio::test]
    async fn what_happens_arrives_signed_with_its_key_and_the_headers_of_the_settings() {
        let server = StandIn::play([Play::text(202, "")]).await;
        let notifiers = mk_notifiers(&server.url("/hook"), None);
        let told = tell(&notifiers, &trigger(), &stories::opened()).await;
        assert!(matches!(told, Delivered::Yes { .. }), "{told:?}");
        let seen = &server.seen()[0];
        assert!(is_signed(seen));
        assert_eq!(seen.header(KEY_HEADER), Some("inc-e7"));
        assert_eq!(seen.header(TIMESTAMP_HEADER), Some(minutes(5).as_second().to_string().as_str()));
        assert_eq!(seen.header("x-room"), Some("war"));
        let body = seen.json();
        assert_eq!(
            (&body["event"], &body["key"], &body["version"]),
            (&json!("trigger"), &json!("inc-e7"), &json!(1))
        );
        assert_eq!(body["incident"]["severity"], stories::opened().incident.severity.as_str());
        let page = format!("https://smokejumper.example.com/incidents/{}", stories::opened().incident.id);
        assert_eq!(body["url"], page);
    }

    #[tokio::test]
    async fn a_template_holds_whatever_a_label_says() {
        let server = StandIn::play([Play::text(200, "")]).await;
        let template = r#"{"text": "{{ message.headline }} {{ labels.service }}", "urgent": true}"#;
        let notifiers = mk_notifiers(&server.url("/hook"), Some(template));
        let mut view = stories::opened();
        let hostile = "x\", \"admin\": \"yes\n\\";
        view.incident.labels.insert("service".to_owned(), hostile.to_owned());
        tell(&notifiers, &trigger(), &view).await;
        let body = server.seen()[0].json();
        assert_eq!(body.as_object().expect("an object").len(), 2, "{body}");
        assert!(body["text"].as_str().expect("a text").ends_with(hostile), "{body}");
    }

    #[tokio::test]
    async fn a_template_that_names_what_is_missing_tells_people_all_the_same() {
        let server = StandIn::play([Play::text(200, "")]).await;
        let notifiers =
            mk_notifiers(&server.url("/hook"), Some(r#"{"text": "{{ labels.nothing_of_this }}"}"#));
        let told = tell(&notifiers, &trigger(), &stories::opened()).await;
        assert!(matches!(told, Delivered::Yes { .. }), "{told:?}");
        assert_eq!(server.seen()[0].json()["event"], "trigger");
    }

    #[tokio::test]
    async fn secrets_stay_out() {
        let server = StandIn::play([Play::text(200, "")]).await;
        let mut view = stories::opened();
        view.incident.summary = format!("password is {SECRET}");
        view.incident.labels.insert("leak".to_owned(), SECRET.to_owned());
        for template in [None, Some(r#"{"text": "{{ labels.leak }} {{ incident.summary }}"}"#)] {
            tell(&mk_notifiers(&server.url("/hook"), template), &trigger(), &view).await;
        }
        for seen in server.seen() {
            assert!(!String::from_utf8_lossy(&seen.body).contains(SECRET));
        }
    }

    #[tokio::test]
    async fn why_it_did_not_arrive_names_no_address_and_quotes_no_secret() {
        let path = "/services/T0/B0/path-that-lets-one-post";
        let quoting = StandIn::play([Play::text(400, &format!("no such thing: {SECRET}"))]).await;
        let silent = StandIn::play([Play::Close]).await;
        let nobody = format!("{}{path}", refused_url().await);
        for url in [quoting.url(path), silent.url(path), nobody] {
            let told = tell(&mk_notifiers(&url, None), &trigger(), &stories::opened()).await;
            let (Delivered::Never { reason } | Delivered::Later { reason, .. }) = told else {
                panic!("{told:?}")
            };
            assert!(!reason.contains("path-that-lets-one-post") && !reason.contains(SECRET), "{reason}");
            assert!(reason.len() > 10, "it says why: {reason}");
        }
    }

    #[tokio::test]
    async fn each_answer_has_its_own_end() {
        let endless = "x".repeat(100_000);
        for (play, end) in [
            (Play::text(500, "busy"), "later"),
            (Play::text(429, "").with("retry-after", "7"), "paced 7"),
            (Play::text(404, &endless), "never"),
            (Play::text(307, "").with("location", "http://127.0.0.1:1/"), "never"),
            (Play::text(200, &endless), "yes"),
            (Play::Close, "later"),
        ] {
            let server = StandIn::play([play]).await;
            let told = tell(&mk_notifiers(&server.url("/hook"), None), &trigger(), &stories::opened()).await;
            let found = match &told {
                Delivered::Yes { .. } => "yes".to_owned(),
                Delivered::Later { .. } => "later".to_owned(),
                Delivered::Paced { wait, .. } => format!("paced {}", Duration::as_secs(wait)),
                Delivered::Never { reason } => {
                    assert!(reason.chars().count() < 300, "{reason}");
                    "never".to_owned()
                }
            };
            assert_eq!(found, end, "{told:?}");
            assert_eq!(server.seen().len(), 1, "a redirect is not followed");
        }
    }

    #[tokio::test]
    async fn whoever_asks_for_patience_is_not_asked_again_meanwhile() {
        let server =
            StandIn::play([Play::text(429, "").with("retry-after", "30"), Play::text(200, "")]).await;
        let notifiers = mk_notifiers(&server.url("/hook"), None);
        for _ in 0..3 {
            let told = tell(&notifiers, &trigger(), &stories::opened()).await;
            assert!(matches!(told, Delivered::Paced { wait, .. } if wait.as_secs() > 20), "{told:?}");
        }
        assert_eq!(server.seen().len(), 1);
    }

    #[tokio::test]
    async fn what_is_over_calls_nobody_and_cards_are_for_others() {
        let server = StandIn::play([Play::text(200, "")]).await;
        let notifiers = mk_notifiers(&server.url("/hook"), None);
        let told = tell(&notifiers, &Notice::Card, &stories::opened()).await;
        assert!(matches!(told, Delivered::Yes { .. }), "{told:?}");
        let told = tell(&notifiers, &trigger(), &stories::resolved()).await;
        assert!(matches!(told, Delivered::Never { .. }), "{told:?}");
        assert!(server.seen().is_empty());
        tell(&notifiers, &Notice::Resolve { episode: 0 }, &stories::resolved()).await;
        assert_eq!(server.seen()[0].json()["event"], "resolve");
    }
}
