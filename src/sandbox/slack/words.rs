//! Slash commands that people write, and events: both signed, or over Socket Mode like everything else.
//!
//! Shapes: docs.slack.dev, "Implementing slash commands" and the reference of `app_home_opened`.

use serde_json::{Value, json};

use super::{Click, ClickError, Interaction, Shared, SignedInteraction, SlackSandbox};
use crate::sandbox::form::{Spaces, encode};
use crate::sandbox::seed::random_hex;

impl Shared {
    pub(super) fn prepare_command(
        &self,
        user: &str,
        command: &str,
        text: &str,
    ) -> Result<SignedInteraction, ClickError> {
        self.prepare_command_in(("D0SANDBOX", "directmessage"), user, command, text)
    }

    /// `place` is the id and the name of where it is written.
    fn prepare_command_in(
        &self,
        place: (&str, &str),
        user: &str,
        command: &str,
        text: &str,
    ) -> Result<SignedInteraction, ClickError> {
        let missing = || ClickError::NotThere { what: "user", name: user.to_owned(), channel: String::new() };
        let user = self.user(user).ok_or_else(missing)?;
        let options = &self.options;
        let (url, trigger) = (self.new_response_url(), self.new_trigger(&user.id));
        let fields = [
            ("token", options.verification_token.as_str()),
            ("team_id", &options.team_id),
            ("team_domain", &options.team_domain),
            ("channel_id", place.0),
            ("channel_name", place.1),
            ("user_id", &user.id),
            ("user_name", &user.name),
            ("command", command),
            ("text", text),
            ("api_app_id", &options.app_id),
            ("is_enterprise_install", "false"),
            ("response_url", &url),
            ("trigger_id", &trigger),
        ];
        let fields = fields.map(|(name, value)| format!("{name}={}", encode(value, Spaces::Plus)));
        let about = self.about(&user.id, command, text);
        let sent = SignedInteraction::new(&options.signing_secret, fields.join("&"), about);
        Ok(sent.of_kind("slash_commands"))
    }

    /// A user opens the app's home tab.
    pub(super) async fn open_home(&self, user: &str) -> Result<Interaction, ClickError> {
        let event = json!({"type": "app_home_opened", "user": user, "channel": "D0SANDBOX", "tab": "home"});
        self.deliver(&self.prepare_event(user, &event)).await
    }

    fn prepare_event(&self, user: &str, event: &Value) -> SignedInteraction {
        let options = &self.options;
        let body = json!({
            "token": options.verification_token, "team_id": options.team_id, "api_app_id": options.app_id,
            "type": "event_callback", "event_id": format!("Ev{}", random_hex(5).to_uppercase()), "event": event,
        });
        let about = self.about(user, event["type"].as_str().unwrap_or_default(), "");
        SignedInteraction::new(&options.signing_secret, body.to_string(), about).of_kind("events_api")
    }

    fn about(&self, user: &str, action_id: &str, value: &str) -> Click {
        Click {
            channel: String::new(),
            message_ts: String::new(),
            action_id: action_id.to_owned(),
            value: Some(value.to_owned()),
            user: user.to_owned(),
        }
    }
}

impl SlackSandbox {
    /// Writes a slash command as a user; what Slack would show stands in [`Interaction::answer`].
    ///
    /// # Errors
    /// As [`SlackSandbox::click`].
    pub async fn command(&self, user: &str, command: &str, text: &str) -> Result<Interaction, ClickError> {
        self.shared.deliver(&self.shared.prepare_command(user, command, text)?).await
    }

    /// The same in a channel, by its id.
    ///
    /// # Errors
    /// As [`SlackSandbox::click`].
    pub async fn command_in(
        &self,
        channel: &str,
        user: &str,
        command: &str,
        text: &str,
    ) -> Result<Interaction, ClickError> {
        let name = self.shared.workspace().channel(channel).map(|channel| channel.name.clone());
        let place = (channel, name.as_deref().unwrap_or_default());
        let prepared = self.shared.prepare_command_in(place, user, command, text)?;
        self.shared.deliver(&prepared).await
    }

    /// A slash command, without sending it.
    ///
    /// # Errors
    /// [`ClickError::NotThere`] where there is no such user.
    pub fn prepare_command(
        &self,
        user: &str,
        command: &str,
        text: &str,
    ) -> Result<SignedInteraction, ClickError> {
        self.shared.prepare_command(user, command, text)
    }

    /// A user opens the app's home tab.
    ///
    /// # Errors
    /// As [`SlackSandbox::click`].
    pub async fn open_home(&self, user: &str) -> Result<Interaction, ClickError> {
        self.shared.open_home(user).await
    }

    /// Asks the app whether the address is its own, as Slack does when the address is set up.
    ///
    /// # Errors
    /// As [`SlackSandbox::click`].
    pub async fn verify_url(&self) -> Result<Interaction, ClickError> {
        let body = json!({
            "type": "url_verification", "token": self.options().verification_token, "challenge": random_hex(16),
        });
        let about = self.shared.about("", "url_verification", body["challenge"].as_str().unwrap_or_default());
        let secret = &self.options().signing_secret;
        let sent = SignedInteraction::new(secret, body.to_string(), about).of_kind("events_api");
        self.shared.deliver(&sent).await
    }
}
