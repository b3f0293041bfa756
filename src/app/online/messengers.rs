//! Slack and PagerDuty: whether the tokens are good, what they may do, and whether the channels can be written to.

use super::{Looker, Report, Seen};
use crate::clients::http::{HttpClient, HttpOptions, HttpRequest, Method, Url};
use crate::clients::pagerduty::rest::RestClient;
use crate::clients::slack::inspect::{self, Channel};
use crate::domain::notification::Destination;
use crate::rules::book::RuleBook;
use crate::secret::SecretSources;
use crate::settings::{PagerDutyApi, Person, Slack};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;

/// Without it nothing can be posted.
const WRITE: &str = "chat:write";
/// With it the app may write into public channels that it was not invited to.
const WRITE_ANYWHERE: &str = "chat:write.public";
/// With it channels can be looked up.
const READ_CHANNELS: &str = "channels:read";
/// The same for private ones.
const READ_PRIVATE: &str = "groups:read";

const WHERE_SCOPES: &str = "at api.slack.com/apps, under OAuth & Permissions, add it to the Bot Token Scopes, then reinstall \
     the app to the workspace";

/// Characters of a routing key of the Events API.
const ROUTING_KEY_CHARS: usize = 32;

impl Looker<'_> {
    /// The first value of a secret, or what is wrong with it as a finding.
    fn secret(&self, setting: &str, sources: &SecretSources, report: &mut Report) -> Option<SecretString> {
        match self.keyring.open_all(sources) {
            Ok(set) => set.first().map(|secret| secret.current()),
            Err(error) => {
                report.bad(setting, error.to_string(), "set it where the service runs, and check there");
                None
            }
        }
    }

    pub(super) async fn slack(&self) -> Vec<Seen> {
        let Some(slack) = &self.settings.slack else { return Vec::new() };
        let mut report = Report::default();
        let options = HttpOptions { request_timeout: slack.timeout.get(), ..HttpOptions::configured() };
        match HttpClient::new(&options) {
            Ok(http) => {
                if let Some(token) = self.secret("slack.bot_token", &slack.bot_token, &mut report) {
                    self.bot(slack, &http, &token, &mut report).await;
                }
                self.app_token(slack, &http, &mut report).await;
            }
            Err(error) => {
                report.bad("slack", error.to_string(), "look at the machine's certificates and proxy")
            }
        }
        self.signing(slack, &mut report);
        report.0
    }

    async fn bot(&self, slack: &Slack, http: &HttpClient, token: &SecretString, report: &mut Report) {
        let setting = "slack.bot_token";
        let api = slack.api_url.as_str();
        let answered = match inspect::call(http, api, "auth.test", token, &[]).await {
            Ok(answered) => answered,
            Err(error) => {
                let help =
                    "look whether this machine may reach Slack, and whether it needs a proxy (HTTPS_PROXY)";
                return report.bad("slack.api_url", format!("Slack does not answer: {error}"), help);
            }
        };
        if let Some(error) = answered.error() {
            let (message, help) = token_words(error);
            return report.bad(setting, message, help);
        }
        let text = |key: &str| answered.body[key].as_str().unwrap_or("?").to_owned();
        report.good(
            setting,
            format!("Slack knows the token: {} in the workspace {}", text("user"), text("team")),
        );
        if let Some(team) = slack.team_id.as_ref().filter(|team| **team != text("team_id")) {
            let message =
                format!("the token is of workspace {}, and presses count from {team} alone", text("team_id"));
            report.bad("slack.team_id", message, "set it to the workspace of the token, or leave it out");
        }
        let scopes = answered.scopes.unwrap_or_default();
        let has = |scope: &str| scopes.iter().any(|known| known == scope);
        // Stand-ins and proxies may not say.
        if !scopes.is_empty() && !has(WRITE) {
            let message = format!("the token lacks the scope {WRITE}: nothing can be posted");
            report.bad(setting, message, WHERE_SCOPES);
        }
        for (scope, without) in self.scopes_in_use(slack) {
            if !scopes.is_empty() && !has(scope) {
                let message = format!("the token lacks the scope {scope}: {without}");
                report.doubtful(setting, message, WHERE_SCOPES);
            }
        }
        if !scopes.is_empty() && !has(READ_CHANNELS) {
            let message =
                format!("the token lacks the scope {READ_CHANNELS}: channels cannot be looked up here");
            return report.doubtful(setting, message, format!("to have them checked, {WHERE_SCOPES}"));
        }
        let types = if has(READ_PRIVATE) { "public_channel,private_channel" } else { "public_channel" };
        match inspect::channels(http, api, token, types).await {
            Ok(Ok(known)) => self.channels(&known, has(WRITE_ANYWHERE), has(READ_PRIVATE), report),
            Ok(Err(error)) => {
                let message = format!("channels cannot be listed: {error}");
                report.doubtful(setting, message, format!("it needs the scope {READ_CHANNELS}"));
            }
            Err(error) => {
                report.doubtful(setting, format!("channels cannot be listed: {error}"), "try again later");
            }
        }
    }

    /// Scopes that these settings make use of, and what happens without each.
    fn scopes_in_use(&self, slack: &Slack) -> Vec<(&'static str, &'static str)> {
        let is_answered = slack.app_token.is_set() || slack.signing_secret.is_set();
        let by_mail = |person: &Person| person.slack.is_none() && person.email.is_some();
        let in_use = [
            (true, "files:write", "charts and long evidence are left out"),
            (true, "channels:history", "a message whose answer was lost may stand there twice"),
            (self.calls_people(), "im:write", "a direct message whose answer was lost may stand there twice"),
            (
                self.calls_people(),
                "im:history",
                "a direct message whose answer was lost may stand there twice",
            ),
            (is_answered, "commands", "there is no slash command"),
            (
                is_answered,
                "users:read",
                "only people with a role of their own are answered by the slash command",
            ),
            (!slack.groups.is_empty(), "usergroups:read", "nobody counts as a member of a group"),
            (
                self.settings.people.iter().any(by_mail),
                "users:read.email",
                "people of whom the settings know only the mail address have no role in Slack",
            ),
        ];
        in_use
            .into_iter()
            .filter(|(is_used, ..)| *is_used)
            .map(|(_, scope, without)| (scope, without))
            .collect()
    }

    /// Whether people are on call by a schedule, who are written to directly where a level has no channel.
    fn calls_people(&self) -> bool {
        let calls = |book: &Arc<RuleBook>| {
            let book = book.current();
            book.policies().values().any(|policy| policy.levels.iter().any(|level| !level.on_call.is_empty()))
        };
        self.book.as_ref().is_some_and(calls)
    }

    fn channels(&self, known: &[Channel], writes_anywhere: bool, sees_private: bool, report: &mut Report) {
        let wanted = self.destinations().into_iter().filter_map(|destination| match destination {
            Destination::Slack { channel } => Some(channel),
            _ => None,
        });
        for name in wanted {
            let setting = format!("slack channel {name}");
            let plain = name.trim_start_matches('#');
            let Some(channel) = known.iter().find(|channel| channel.name == plain || channel.id == plain)
            else {
                let message = "there is no such channel that the app can see";
                if sees_private {
                    report.bad(
                        &setting,
                        message,
                        "look at its spelling; invite the app with /invite if it is private",
                    );
                } else {
                    let help = format!(
                        "look at its spelling; a private channel is only seen with the scope {READ_PRIVATE}, and can be \
                         written to once the app is invited with /invite"
                    );
                    report.doubtful(&setting, message, help);
                }
                continue;
            };
            if channel.is_archived {
                report.bad(&setting, "the channel is archived", "unarchive it, or name another one");
            } else if !channel.is_member && !writes_anywhere {
                let help =
                    format!("write /invite and the app's name in it, or give the token {WRITE_ANYWHERE}");
                report.bad(&setting, "the app is not in the channel, so it cannot write there", help);
            } else {
                report.good(&setting, "the app can write there");
            }
        }
    }

    async fn app_token(&self, slack: &Slack, http: &HttpClient, report: &mut Report) {
        let setting = "slack.app_token";
        if !slack.app_token.is_set() {
            return;
        }
        let Some(token) = self.secret(setting, &slack.app_token, report) else { return };
        let api = slack.api_url.as_str();
        match inspect::call(http, api, "apps.connections.open", &token, &[]).await {
            Ok(answered) => match answered.error() {
                None => report.good(setting, "Slack would open a connection of Socket Mode"),
                Some("missing_scope") => report.bad(
                    setting,
                    "the token lacks the scope connections:write",
                    "at api.slack.com/apps, under Basic Information, make an app-level token with that scope",
                ),
                Some("socket_mode_disabled") => report.bad(
                    setting,
                    "Socket Mode is not switched on for the app",
                    "at api.slack.com/apps, under Socket Mode, switch it on",
                ),
                Some("not_allowed_token_type") => report.bad(
                    setting,
                    "this is no app-level token",
                    "it begins with xapp- and stands under Basic Information; the one with xoxb- is the bot token",
                ),
                Some(error) => {
                    let (message, help) = token_words(error);
                    report.bad(setting, message, help);
                }
            },
            Err(error) => {
                report.bad(setting, format!("Slack does not answer: {error}"), "look at the network and the proxy");
            }
        }
    }

    fn signing(&self, slack: &Slack, report: &mut Report) {
        let setting = "slack.signing_secret";
        if !slack.signing_secret.is_set() {
            if !slack.app_token.is_set() {
                let message = "neither a signing secret nor an app token is set: buttons do nothing";
                report.doubtful(
                    setting,
                    message,
                    "set slack.signing_secret, or slack.app_token for Socket Mode",
                );
            }
            return;
        }
        let Some(secret) = self.secret(setting, &slack.signing_secret, report) else { return };
        let text = secret.expose_secret();
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = "Slack's signing secrets have 32 hexadecimal digits, and this one has not";
            let help =
                "copy the Signing Secret under Basic Information; the Verification Token is something else";
            report.doubtful(setting, message, help);
        }
    }

    /// PagerDuty's Events API has no way to try a key without paging somebody: its shape, and whether the address answers, is
    /// all that can be said.
    pub(super) async fn pagerduty(&self) -> Vec<Seen> {
        let Some(pagerduty) = &self.settings.pagerduty else { return Vec::new() };
        let mut report = Report::default();
        let setting = "pagerduty.events_url";
        let options = HttpOptions { request_timeout: pagerduty.timeout.get(), ..HttpOptions::configured() };
        let url = Url::parse(pagerduty.events_url.as_str());
        match (HttpClient::new(&options), url) {
            (Ok(http), Ok(url)) => match http.send(HttpRequest::new(Method::GET, url)).await {
                Ok(_) => report.good(setting, "the Events API answers"),
                Err(error) => report.bad(
                    setting,
                    format!("the Events API does not answer: {error}"),
                    "look whether this machine may reach it; in the EU region it is https://events.eu.pagerduty.com",
                ),
            },
            _ => report.bad(setting, "this address cannot be used", "write https://events.pagerduty.com"),
        }
        for (name, service) in &pagerduty.services {
            let setting = format!("pagerduty.services.{name}.routing_key");
            let Some(key) = self.secret(&setting, &service.routing_key, &mut report) else { continue };
            let key = key.expose_secret();
            if key.len() == ROUTING_KEY_CHARS && key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                let message = "the key looks like one of the Events API v2; only a page shows whether PagerDuty takes it";
                report.good(&setting, message);
            } else {
                let message = format!(
                    "a routing key has {ROUTING_KEY_CHARS} letters and digits, and this has {}",
                    key.len()
                );
                let help = "in PagerDuty, open the service, Integrations, Events API V2, and copy its Integration Key; a REST \
                            API key is something else";
                report.bad(&setting, message, help);
            }
        }
        if let Some(api) = &pagerduty.api {
            self.pagerduty_api(api, &options, &mut report).await;
        }
        report.0
    }

    /// A look at who writes: it shows whether the key is good as well, and writes nothing.
    async fn pagerduty_api(&self, api: &PagerDutyApi, options: &HttpOptions, report: &mut Report) {
        let setting = "pagerduty.api.token";
        let Some(token) = self.secret(setting, &api.token, report) else { return };
        let client =
            HttpClient::new(options).and_then(|http| RestClient::new(http, api.url.as_str(), &api.from));
        let known = match client {
            Ok(client) => client.knows_writer(&token).await,
            Err(error) => {
                let help =
                    "write https://api.pagerduty.com, or https://api.eu.pagerduty.com in the EU region";
                return report.bad("pagerduty.api.url", error.to_string(), help);
            }
        };
        match known {
            Ok(true) => report.good(setting, "the REST API takes the key and knows the user: notes can be written"),
            Ok(false) => report.bad(
                "pagerduty.api.from",
                "PagerDuty knows no user with this mail address, and takes notes only in the name of one",
                "write the address of a user of the account, such as one made for Smokejumper",
            ),
            Err(error) => report.bad(
                setting,
                format!("the REST API does not take the key: {error}"),
                "in PagerDuty, Integrations, API Access Keys: an account key that is not read-only; an integration key of a \
                 service is something else",
            ),
        }
    }
}

/// What Slack's words for a bad token mean.
fn token_words(error: &str) -> (String, &'static str) {
    let said = match error {
        "invalid_auth" | "not_authed" => "Slack does not know this token",
        "account_inactive" => "the app was removed from the workspace",
        "token_revoked" | "token_expired" => "the token was revoked or has expired",
        "ratelimited" => "Slack asks for patience",
        _ => "Slack refuses the token",
    };
    let help = "at api.slack.com/apps, under OAuth & Permissions, copy the Bot User OAuth Token, which begins with xoxb-";
    (format!("{said} ({error})"), help)
}
