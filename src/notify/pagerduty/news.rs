//! What a webhook of PagerDuty's means for an incident.
//!
//! People are known by their identity there where the settings have it, and by the name that PagerDuty shows otherwise:
//! whoever may take an incident there may take it here. Nobody approves anything by this way.

use crate::clients::pagerduty::rest::NOTE_MARK;
use crate::clients::pagerduty::webhook::{Agent, Happening, Webhook, WebhookError, parse};
use crate::domain::bridge::{BridgeNews, BridgeWhat};
use crate::domain::incident::Incident;
use crate::domain::people::{Actor, Role, Via};
use crate::engine::ports::{Decoded, Whose};

/// Reads stored deliveries of `POST /webhooks/pagerduty`. Their signature was checked before they were stored.
#[derive(Debug, Clone, Default)]
pub struct PagerDutyDecoder {
    /// Names in the audit trail by identity in PagerDuty.
    pub people: Vec<(String, String)>,
}

impl PagerDutyDecoder {
    /// Reads the raw body of a delivery. What is not about an incident of ours says nothing.
    ///
    /// # Errors
    /// Where it is no webhook of PagerDuty's.
    pub fn read(&self, body: &[u8]) -> Result<Decoded, WebhookError> {
        let news = parse(body)?.and_then(|webhook| self.news(webhook));
        Ok(Decoded::News(news.into_iter().collect()))
    }

    fn news(&self, webhook: Webhook) -> Option<(Whose, BridgeNews)> {
        if webhook.content.as_deref().is_some_and(|content| content.starts_with(NOTE_MARK)) {
            // Our own note that comes back.
            return None;
        }
        let (whose, episode) = match &webhook.dedup_key {
            Some(key) => {
                let (incident, episode) = Incident::of_dedup_key(key)?;
                (Whose::Incident(incident), Some(episode))
            }
            None => (Whose::Bridge(webhook.incident.clone()), None),
        };
        let what = what_of(&webhook);
        let actor = webhook.agent.map(|agent| self.actor(agent));
        let Webhook { id, occurred_at, incident, .. } = webhook;
        Some((whose, BridgeNews { id, at: occurred_at, thing: incident, episode, actor, what }))
    }

    fn actor(&self, agent: Agent) -> Actor {
        let known = self.people.iter().find(|(id, _)| *id == agent.id).map(|(_, name)| name.clone());
        // Of whom the settings know nothing, the name is their own choice: it must not read as somebody's here.
        let name = known.unwrap_or_else(|| format!("pagerduty:{}", agent.name));
        Actor { name, via: Via::PagerDuty, role: Role::Responder }
    }
}

fn what_of(webhook: &Webhook) -> BridgeWhat {
    let by = webhook.agent.as_ref().map(|agent| format!(" by {}", agent.name)).unwrap_or_default();
    let whom = match webhook.assignees.as_slice() {
        [] => "nobody".to_owned(),
        some => some.join(", "),
    };
    match webhook.happening {
        Happening::Acknowledged => BridgeWhat::Acknowledged,
        Happening::Unacknowledged => BridgeWhat::Unacknowledged,
        Happening::Resolved => BridgeWhat::Resolved,
        Happening::Opened => BridgeWhat::Opened,
        Happening::Annotated => {
            let content = webhook.content.as_deref().unwrap_or_default();
            BridgeWhat::Noted(format!("note in PagerDuty{by}: {content}"))
        }
        Happening::Escalated => passed(webhook, format!("escalated in PagerDuty{by}, to {whom}")),
        Happening::Reassigned => passed(webhook, format!("given in PagerDuty{by} to {whom}")),
        Happening::PriorityUpdated => {
            let priority = webhook.priority.clone();
            let named = priority.as_deref().unwrap_or("none");
            let text = format!("priority set in PagerDuty{by}: {named}");
            BridgeWhat::Prioritised { priority, text }
        }
    }
}

/// A person who gives away what they had leaves it with nobody until somebody takes it. PagerDuty itself escalates what
/// nobody has taken there; somebody may have it here.
fn passed(webhook: &Webhook, text: String) -> BridgeWhat {
    if webhook.waits && webhook.agent.is_some() {
        BridgeWhat::PassedOn(text)
    } else {
        BridgeWhat::Noted(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::incident::IncidentId;

    fn read(event_type: &str, key: &str) -> Vec<(Whose, BridgeNews)> {
        read_with(event_type, key, |_| {})
    }

    fn read_with(event_type: &str, key: &str, change: fn(&mut Value)) -> Vec<(Whose, BridgeNews)> {
        let person = |id: &str, name: &str| json!({ "id": id, "summary": name, "type": "user_reference" });
        let mut body = json!({ "event": {
            "id": "01B", "event_type": event_type, "occurred_at": "2026-11-22T06:00:00Z", "agent": person("PU1", "Una O."),
            "data": { "id": "P7", "incident_key": key, "assignees": [person("PU2", "Ben"), person("PU3", "Ravi")] },
        } });
        change(&mut body);
        let decoder = PagerDutyDecoder { people: vec![("PU1".to_owned(), "una".to_owned())] };
        match decoder.read(body.to_string().as_bytes()) {
            Ok(Decoded::News(news)) => news,
            other => panic!("not news: {other:?}"),
        }
    }

    #[test]
    fn a_person_is_known_by_identity_and_the_incident_by_its_key() {
        let (whose, news) = read("incident.acknowledged", "smokejumper/i1/3").remove(0);
        assert_eq!(whose, Whose::Incident(IncidentId("i1".to_owned())));
        assert_eq!((news.episode, news.thing.as_str(), news.what), (Some(3), "P7", BridgeWhat::Acknowledged));
        let actor = news.actor.expect("a person");
        assert_eq!((actor.name.as_str(), actor.via, actor.role), ("una", Via::PagerDuty, Role::Responder));
    }

    #[test]
    fn what_changes_nothing_here_is_told_in_words() {
        let noted = |event_type| read(event_type, "smokejumper/i1/0").remove(0).1.what;
        let escalated = "escalated in PagerDuty by Una O., to Ben, Ravi";
        assert_eq!(noted("incident.escalated"), BridgeWhat::Noted(escalated.to_owned()));
        let given = "given in PagerDuty by Una O. to Ben, Ravi";
        assert_eq!(noted("incident.reassigned"), BridgeWhat::Noted(given.to_owned()));
    }

    #[test]
    fn a_priority_is_told_by_its_name() {
        let set = |named: fn(&mut Value)| {
            read_with("incident.priority_updated", "smokejumper/i1/0", named).remove(0).1.what
        };
        let told = |priority: Option<&str>| BridgeWhat::Prioritised {
            priority: priority.map(str::to_owned),
            text: format!("priority set in PagerDuty by Una O.: {}", priority.unwrap_or("none")),
        };
        assert_eq!(set(|_| {}), told(None));
        let to_p2 = |body: &mut Value| {
            body["event"]["data"]["priority"] =
                json!({ "id": "PRIO2", "summary": "P2", "type": "priority_reference" });
        };
        assert_eq!(set(to_p2), told(Some("P2")));
    }

    #[test]
    fn who_gives_it_away_has_it_no_longer_and_pagerduty_by_itself_gives_nothing_away() {
        let key = "smokejumper/i1/0";
        for event_type in ["incident.escalated", "incident.reassigned", "incident.delegated"] {
            let by_hand =
                read_with(event_type, key, |body| body["event"]["data"]["status"] = json!("triggered"));
            assert!(
                matches!(&by_hand[0].1.what, BridgeWhat::PassedOn(text) if text.ends_with("to Ben, Ravi"))
            );
            let by_itself = read_with(event_type, key, |body| {
                body["event"]["data"]["status"] = json!("triggered");
                body["event"]["agent"] = Value::Null;
            });
            assert!(matches!(by_itself[0].1.what, BridgeWhat::Noted(_)), "{event_type}");
        }
    }

    #[test]
    fn a_note_names_the_incident_as_pagerduty_calls_it() {
        let body = json!({ "event": {
            "id": "01C", "event_type": "incident.annotated", "occurred_at": "2026-11-22T06:00:00Z", "agent": null,
            "data": { "id": "PN1", "type": "incident_note", "content": "looks like the pool",
                "incident": { "id": "P7", "type": "incident_reference" } },
        } });
        let decoder = PagerDutyDecoder::default();
        let Ok(Decoded::News(news)) = decoder.read(body.to_string().as_bytes()) else { panic!("not news") };
        let [(whose, news)] = news.as_slice() else { panic!("not one: {news:?}") };
        assert_eq!(*whose, Whose::Bridge("P7".to_owned()));
        assert_eq!(news.what, BridgeWhat::Noted("note in PagerDuty: looks like the pool".to_owned()));
    }

    #[test]
    fn our_own_note_that_comes_back_is_no_news() {
        let body = json!({ "event": {
            "id": "01D", "event_type": "incident.annotated", "occurred_at": "2026-11-22T06:00:00Z", "agent": null,
            "data": { "id": "PN2", "type": "incident_note", "content": format!("{NOTE_MARK}una has it"),
                "incident": { "id": "P7", "type": "incident_reference" } },
        } });
        let Ok(Decoded::News(news)) = PagerDutyDecoder::default().read(body.to_string().as_bytes()) else {
            panic!("not news")
        };
        assert!(news.is_empty(), "{news:?}");
    }

    #[test]
    fn incidents_of_others_say_nothing() {
        for key in
            ["d3640fbd41094207a1c11e58e46b1662", "smokejumper/i1", "smokejumper/i1/x", "smokejumper//0"]
        {
            assert!(read("incident.acknowledged", key).is_empty(), "{key}");
        }
    }
}
