//! Draws what each destination would be sent, by the functions that draw what is sent, and hands it to whoever reads along.
//!
//! For rule tests: every destination exists, each message arrives, and nothing leaves the process.

use super::email;
use super::message::{NoMessage, message};
use super::slack::card::Frame;
use super::{pagerduty, slack};
use crate::domain::notification::{Destination, MessageRef, Notice};
use crate::domain::redact::Redactor;
use crate::engine::ports::{Delivered, IncidentView, Notifier, PortFuture};
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// When.
    pub at: Timestamp,
    /// To whom.
    pub destination: Destination,
    /// The kind of its notice.
    pub kind: &'static str,
    /// Whether it calls people: a new card, a page, a call.
    pub calls: bool,
    /// What people read.
    pub text: String,
}

/// Whoever reads along.
pub type Reading = Arc<dyn Fn(&IncidentView, Written) + Send + Sync>;

/// A notifier that only draws.
pub struct Paper {
    reading: Reading,
    external_url: String,
    redactor: Redactor,
    messages: AtomicU64,
    /// Whether edits of a card are drawn, which nobody is called by.
    draws_edits: bool,
}

impl Paper {
    /// Links in messages lead to this address.
    pub fn new(external_url: String, reading: Reading) -> Self {
        let (redactor, messages) = (Redactor::default(), AtomicU64::new(0));
        Self { reading, external_url, redactor, messages, draws_edits: true }
    }

    /// Edits of a card are told of without their text, where nobody reads it: to draw them takes longer than all the rest.
    pub fn without_edits(self) -> Self {
        Self { draws_edits: false, ..self }
    }

    fn drawn(
        &self,
        destination: &Destination,
        notice: &Notice,
        view: &IncidentView,
        now: Timestamp,
    ) -> Result<Option<String>, &'static str> {
        let url = Some(self.external_url.as_str());
        match destination {
            Destination::Slack { .. }
                if !self.draws_edits && matches!(notice, Notice::Card) && has_card(destination, view) =>
            {
                Ok(Some(String::new()))
            }
            Destination::Slack { .. } => {
                let frame =
                    Frame { now, external_url: url, alertmanager_url: None, redactor: &self.redactor };
                Ok(slack::drawn(notice, has_card(destination, view), view, &frame))
            }
            Destination::PagerDuty { .. } => pagerduty::drawn(notice, view, url, &self.redactor),
            Destination::Webhook { .. } | Destination::Email { .. } | Destination::Teams { .. } => {
                match message(notice, view, url, &self.redactor) {
                    Ok(told) => Ok(Some(email::text(&told))),
                    Err(NoMessage::NotForUs) => Ok(None),
                    Err(NoMessage::Over) => Err("the incident is over: nobody is called for it"),
                }
            }
        }
    }
}

fn has_card(destination: &Destination, view: &IncidentView) -> bool {
    view.incident.destination(destination).is_some_and(|state| state.message.is_some())
}

fn calls(destination: &Destination, notice: &Notice, view: &IncidentView) -> bool {
    match notice {
        Notice::Card => !has_card(destination, view),
        Notice::Reply { page, .. } => *page,
        Notice::Call { .. } | Notice::Trigger { .. } => true,
        _ => false,
    }
}

impl Notifier for Paper {
    fn notify<'a>(
        &'a self,
        destination: &'a Destination,
        notice: &'a Notice,
        view: &'a IncidentView,
        now: Timestamp,
    ) -> PortFuture<'a, Delivered> {
        let text = match self.drawn(destination, notice, view, now) {
            Ok(text) => text,
            Err(why) => {
                return Box::pin(std::future::ready(Delivered::Never { reason: why.to_owned() }));
            }
        };
        if let Some(text) = text {
            let calls = calls(destination, notice, view);
            let destination = destination.clone();
            (self.reading)(view, Written { at: now, destination, kind: notice.kind(), calls, text });
        }
        let is_card = matches!((destination, notice), (Destination::Slack { .. }, Notice::Card));
        let known = view.incident.destination(destination).and_then(|state| state.message.clone());
        let message = is_card.then(|| {
            known.unwrap_or_else(|| {
                let number = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
                MessageRef { channel: "C".to_owned(), ts: format!("{number}.0") }
            })
        });
        Box::pin(std::future::ready(Delivered::Yes { message }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notification::DestinationState;
    use crate::notify::stories::{self, minutes};
    use std::sync::Mutex;

    async fn read(
        destination: Destination,
        notice: Notice,
        view: &IncidentView,
    ) -> (Delivered, Vec<Written>) {
        let all: Arc<Mutex<Vec<Written>>> = Arc::default();
        let kept = Arc::clone(&all);
        let reading: Reading = Arc::new(move |_, written| kept.lock().expect("not poisoned").push(written));
        let paper = Paper::new("https://smokejumper.example.com".to_owned(), reading);
        let delivered = paper.notify(&destination, &notice, view, minutes(5)).await;
        let all = all.lock().expect("not poisoned").clone();
        (delivered, all)
    }

    fn slack() -> Destination {
        Destination::Slack { channel: "#incidents".to_owned() }
    }

    #[tokio::test]
    async fn a_card_is_read_with_its_buttons_and_calls_people_once() {
        let mut view = stories::opened();
        let (delivered, written) = read(slack(), Notice::Card, &view).await;
        assert!(written[0].calls && written[0].text.contains(&view.incident.summary), "{written:?}");
        assert!(written[0].text.contains("Acknowledge"), "{}", written[0].text);
        let Delivered::Yes { message: Some(message) } = delivered else { panic!("{delivered:?}") };
        let mut state = DestinationState::new(slack(), 0);
        state.message = Some(message.clone());
        view.incident.destinations = vec![state];
        let (delivered, written) = read(slack(), Notice::Card, &view).await;
        assert_eq!((delivered, written[0].calls), (Delivered::Yes { message: Some(message) }, false));
    }

    #[tokio::test]
    async fn others_read_what_is_told_to_them_and_nothing_of_what_is_slacks() {
        let view = stories::diagnosed();
        let trigger = || Notice::Trigger { note: "on-call".to_owned(), episode: 0 };
        for destination in [
            Destination::PagerDuty { service: "shop".to_owned() },
            Destination::Email { to: "una@example.com".to_owned() },
            Destination::Teams { channel: "ops".to_owned() },
            Destination::Webhook { name: "room".to_owned() },
        ] {
            let (_, written) = read(destination.clone(), trigger(), &view).await;
            assert!(written[0].calls && written[0].text.contains(&view.incident.summary), "{written:?}");
            assert!(written[0].text.contains("rising"), "evidence: {written:?}");
            assert_eq!(read(destination, Notice::Card, &view).await.1, []);
        }
        assert_eq!(read(slack(), trigger(), &view).await.1, []);
    }

    #[tokio::test]
    async fn nobody_is_called_for_what_is_over() {
        let mut view = stories::opened();
        view.incident.episode = 1;
        for destination in [
            Destination::PagerDuty { service: "shop".to_owned() },
            Destination::Email { to: "una@example.com".to_owned() },
        ] {
            let late = Notice::Trigger { note: "on-call".to_owned(), episode: 0 };
            let (delivered, written) = read(destination, late, &view).await;
            assert!(matches!(delivered, Delivered::Never { .. }) && written.is_empty(), "{delivered:?}");
        }
    }
}
