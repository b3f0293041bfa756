//! Slack's Web API as a check of the settings asks it: which scopes a token has, and which channels there are.
//!
//! Only reads. Answers are taken as they are, `ok` or not: what is wrong is what a check wants to hear.

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use crate::clients::http::{HttpClient, HttpError, HttpRequest, Method, Url};

/// Channels of one page; Slack advises 200 at most.
const CHANNELS_PER_PAGE: &str = "200";

/// Pages that are read: a workspace with more channels than this is looked at in part.
const PAGES_MAX: usize = 50;

/// What Slack answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The body; null where it was no JSON.
    pub body: Value,
    /// The scopes of the token, where Slack says.
    pub scopes: Option<Vec<String>>,
}

impl Answered {
    /// The word for what is wrong; none where all is well.
    pub fn error(&self) -> Option<&str> {
        match self.body["ok"].as_bool() {
            Some(true) => None,
            _ => Some(self.body["error"].as_str().unwrap_or("an answer that is not Slack's")),
        }
    }
}

/// A channel, as far as a check wants to know it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Channel {
    /// Its id.
    pub id: String,
    /// Its name without `#`.
    pub name: String,
    /// Whether it is archived.
    #[serde(default)]
    pub is_archived: bool,
    /// Whether our app is in it.
    #[serde(default)]
    pub is_member: bool,
}

/// Calls a method with a token.
///
/// # Errors
/// Where there is no answer.
pub async fn call(
    http: &HttpClient,
    api_url: &str,
    method: &str,
    token: &SecretString,
    arguments: &[(&str, &str)],
) -> Result<Answered, HttpError> {
    let url = Url::parse(&format!("{}/{method}", api_url.trim_end_matches('/')))
        .map_err(|_| HttpError::setup("slack.api_url is no address"))?;
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(arguments).finish();
    let request = HttpRequest::new(Method::POST, url)
        .bearer(token)?
        .body("application/x-www-form-urlencoded; charset=utf-8", form);
    let answer = http.send(request).await?;
    let scopes = answer.header("x-oauth-scopes").map(|text| {
        text.split(',').map(str::trim).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
    });
    Ok(Answered { body: serde_json::from_slice(&answer.body).unwrap_or_default(), scopes })
}

/// All channels that the token sees, or the word for why they cannot be listed.
///
/// # Errors
/// Where there is no answer.
pub async fn channels(
    http: &HttpClient,
    api_url: &str,
    token: &SecretString,
    types: &str,
) -> Result<Result<Vec<Channel>, String>, HttpError> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    for _ in 0..PAGES_MAX {
        let arguments = [("types", types), ("limit", CHANNELS_PER_PAGE), ("cursor", cursor.as_str())];
        let answered = call(http, api_url, "conversations.list", token, &arguments).await?;
        if let Some(error) = answered.error() {
            return Ok(Err(error.to_owned()));
        }
        let page = answered.body["channels"].as_array().into_iter().flatten();
        found.extend(page.filter_map(|channel| Channel::deserialize(channel).ok()));
        match answered.body["response_metadata"]["next_cursor"].as_str() {
            Some(next) if !next.is_empty() => cursor = next.to_owned(),
            _ => break,
        }
    }
    Ok(Ok(found))
}
