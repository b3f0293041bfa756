//! Reads what Slack's Events API sends: the question whether an address is ours, and events.
//!
//! Over HTTP and over Socket Mode it is the same JSON. The signature must have been checked before.

use serde::Deserialize;
use thiserror::Error;

/// What the Events API sent.
#[derive(Debug)]
pub enum Sent {
    /// The address is being set up: this is to be said back.
    Challenge(String),
    /// Somebody opened the app's home tab.
    HomeOpened(HomeOpened),
    /// An event that is not used here.
    Other,
}

/// Somebody opened the app's home tab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeOpened {
    /// The workspace; compare with the settings.
    pub team_id: Option<String>,
    /// The app; compare with the settings.
    pub app_id: Option<String>,
    /// Who it was.
    pub user_id: String,
}

/// Why a body is no event.
#[derive(Debug, Error)]
#[error("the body is not an event: {0}")]
pub struct EventError(#[from] serde_json::Error);

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    challenge: Option<String>,
    #[serde(default)]
    team_id: Option<String>,
    #[serde(default)]
    api_app_id: Option<String>,
    #[serde(default)]
    event: Option<Event>,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    tab: Option<String>,
}

/// Reads a body of the Events API.
///
/// # Errors
/// Where it is not JSON, or has no type.
pub fn parse_event(json: &[u8]) -> Result<Sent, EventError> {
    let wire: Wire = serde_json::from_slice(json)?;
    if let (Some(challenge), "url_verification") = (wire.challenge, wire.kind.as_str()) {
        return Ok(Sent::Challenge(challenge));
    }
    Ok(match wire.event {
        Some(Event { kind, user: Some(user_id), tab })
            // The app's messages tab opens with the same event.
            if kind == "app_home_opened" && tab.as_deref().is_none_or(|tab| tab == "home") =>
        {
            Sent::HomeOpened(HomeOpened { team_id: wire.team_id, app_id: wire.api_app_id, user_id })
        }
        _ => Sent::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_verified_and_an_opened_home_is_read() {
        let asked = parse_event(br#"{"type":"url_verification","token":"t","challenge":"3eZ"}"#);
        assert!(matches!(asked, Ok(Sent::Challenge(said)) if said == "3eZ"));
        let home = |tab: &str| {
            let event = format!(
                r#"{{"type":"event_callback","team_id":"T1","api_app_id":"A1","event":{{"type":"app_home_opened","user":"U1","tab":"{tab}"}}}}"#
            );
            parse_event(event.as_bytes()).expect("an event")
        };
        let Sent::HomeOpened(opened) = home("home") else { panic!("an opened home") };
        assert_eq!((opened.user_id.as_str(), opened.team_id.as_deref()), ("U1", Some("T1")));
        assert!(matches!(home("messages"), Sent::Other));
        let other = parse_event(br#"{"type":"event_callback","event":{"type":"message","user":"U1"}}"#);
        assert!(matches!(other, Ok(Sent::Other)));
        assert!(parse_event(b"payload=x").is_err());
    }
}
