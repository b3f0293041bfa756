//! Reads what Slack sends when somebody writes our slash command.
//!
//! Over HTTP it is a form, over Socket Mode the same fields as JSON. The signature must have been checked before.

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

/// Somebody wrote our command.
#[derive(Debug, Deserialize)]
pub struct SlashCommand {
    /// The workspace; compare with the settings.
    #[serde(default)]
    pub team_id: Option<String>,
    /// The app that the command belongs to; compare with the settings.
    #[serde(default, rename = "api_app_id")]
    pub app_id: Option<String>,
    /// Where it was written: a channel, or a direct conversation.
    #[serde(default)]
    pub channel_id: Option<String>,
    /// Who it was: the id is what may be trusted, names can be chosen freely.
    pub user_id: String,
    /// The command with its slash.
    pub command: String,
    /// What stands behind it.
    #[serde(default)]
    pub text: String,
    /// Takes up to five answers within thirty minutes. Anyone who knows it may write to that person, so it is a secret.
    #[serde(default)]
    pub response_url: Option<SecretString>,
}

/// Why a body is no slash command.
#[derive(Debug, Error)]
#[error("the body is not a slash command: {0}")]
pub struct CommandError(#[from] serde_json::Error);

/// Whether a form is a slash command and not an interaction.
pub fn is_command(form: &[u8]) -> bool {
    form_urlencoded::parse(form).any(|(name, _)| name == "command")
}

/// Reads the raw form body of a request to the command's URL.
///
/// # Errors
/// Says what is missing; the text itself is not repeated.
pub fn parse_form(form: &[u8]) -> Result<SlashCommand, CommandError> {
    let fields = form_urlencoded::parse(form);
    let fields: Map<String, Value> =
        fields.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect();
    Ok(serde_json::from_value(Value::Object(fields))?)
}

/// Reads the payload of an envelope.
///
/// # Errors
/// As [`parse_form`].
pub fn parse_payload(json: &str) -> Result<SlashCommand, CommandError> {
    Ok(serde_json::from_str(json)?)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_command_is_the_same_as_a_form_and_as_json() {
        let form = b"command=%2Fsmokejumper&text=ack+ab12&user_id=U1&team_id=T1&api_app_id=A1&response_url=https%3A%2F%2Fh%2F1&x=y";
        assert!(is_command(form) && !is_command(b"payload=%7B%7D"));
        let json = r#"{"command":"/smokejumper","text":"ack ab12","user_id":"U1","team_id":"T1","api_app_id":"A1","response_url":"https://h/1","is_enterprise_install":"false"}"#;
        for read in [parse_form(form), parse_payload(json)] {
            let read = read.expect("a command");
            assert_eq!((read.command.as_str(), read.text.as_str()), ("/smokejumper", "ack ab12"));
            assert_eq!((read.team_id.as_deref(), read.app_id.as_deref()), (Some("T1"), Some("A1")));
            assert_eq!(read.response_url.expect("a URL").expose_secret(), "https://h/1");
        }
    }

    #[test]
    fn without_a_user_it_is_none() {
        assert!(parse_form(b"command=%2Fsmokejumper&text=status").is_err());
        assert!(parse_payload("[]").is_err());
    }
}
