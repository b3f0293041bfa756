//! PagerDuty's REST API, as far as it is used: which incident a dedup key stands for, and notes on it.
//!
//! Needs an API key of the account and, since such a key is nobody, the mail address of a user in whose name it writes
//! (`From`). Facts: developer documentation, "Authentication", "List incidents" (`incident_key`), "Create a note on an
//! incident" (201; at most 2,000 notes an incident). A note has no key of its own, so one whose answer is lost is not
//! written again.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::unanswered;
use crate::clients::answer::{Repeat, SendError, cut_chars};
use crate::clients::http::{HttpAnswer, HttpClient, HttpError, HttpRequest, Method, StatusCode, Url};

/// Where the REST API lives.
pub const API_URL: &str = "https://api.pagerduty.com";
/// What every note of ours begins with, so that one that comes back by a webhook is known.
pub const NOTE_MARK: &str = "[smokejumper] ";
/// Characters of a note. PagerDuty names no limit; people read no more.
const NOTE_CHARS_MAX: usize = 2_000;
/// Characters of PagerDuty's explanation that are kept.
const DETAIL_CHARS_MAX: usize = 300;
/// The version of the API that answers are read in.
const ACCEPT: &str = "application/vnd.pagerduty+json;version=2";

/// A client for the REST API of one account.
#[derive(Debug, Clone)]
pub struct RestClient {
    http: HttpClient,
    base: Url,
    from: String,
}

#[derive(Deserialize)]
struct Listed {
    incidents: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    id: String,
}

#[derive(Deserialize)]
struct Users {
    users: Vec<User>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    email: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Complaint {
    error: Words,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Words {
    message: String,
    errors: Vec<String>,
}

impl RestClient {
    /// A client for the API at `url` ([`API_URL`], or a stand-in) that writes in the name of the user `from`.
    ///
    /// # Errors
    /// Where `url` is not an http or https URL.
    pub fn new(http: HttpClient, url: &str, from: &str) -> Result<Self, HttpError> {
        let base = Url::parse(&format!("{}/", url.trim_end_matches('/'))).ok();
        let base = base
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| HttpError::setup("the PagerDuty API URL is not an http or https URL"))?;
        Ok(Self { http, base, from: from.to_owned() })
    }

    /// The newest incident that stands there under a dedup key; none where there is no such incident, or not yet.
    ///
    /// # Errors
    /// As the table says; never ambiguous.
    pub async fn incident_of(&self, token: &SecretString, key: &str) -> Result<Option<String>, SendError> {
        let mut url = self.url(&["incidents"]);
        url.query_pairs_mut()
            .append_pair("incident_key", key)
            .append_pair("sort_by", "created_at:desc")
            .append_pair("limit", "1")
            .append_pair("date_range", "all");
        let request = HttpRequest::new(Method::GET, url);
        let answer = self.send(token, request, Repeat::Harmless).await?;
        let listed: Listed = read(&answer)?;
        Ok(listed.incidents.into_iter().next().map(|incident| incident.id))
    }

    /// Writes a note on an incident, which begins with [`NOTE_MARK`].
    ///
    /// # Errors
    /// As the table says; without an answer it is ambiguous, because a note has no key.
    pub async fn note(&self, token: &SecretString, incident: &str, text: &str) -> Result<(), SendError> {
        let content = cut_chars(&format!("{NOTE_MARK}{text}"), NOTE_CHARS_MAX);
        let body = json!({ "note": { "content": content } }).to_string();
        let url = self.url(&["incidents", incident, "notes"]);
        let request = HttpRequest::new(Method::POST, url).body("application/json", body);
        self.send(token, request, Repeat::Harmful).await.map(drop)
    }

    /// Whether the account knows the user in whose name is written; also shows whether the token is good.
    ///
    /// # Errors
    /// As the table says; never ambiguous.
    pub async fn knows_writer(&self, token: &SecretString) -> Result<bool, SendError> {
        let mut url = self.url(&["users"]);
        url.query_pairs_mut().append_pair("query", &self.from).append_pair("limit", "25");
        let answer = self.send(token, HttpRequest::new(Method::GET, url), Repeat::Harmless).await?;
        let found: Users = read(&answer)?;
        Ok(found.users.iter().any(|user| user.email.eq_ignore_ascii_case(&self.from)))
    }

    /// Each part is one segment: an identity that was read from a webhook cannot lead elsewhere.
    fn url(&self, parts: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("an http URL has a path").pop_if_empty().extend(parts);
        url
    }

    async fn send(
        &self,
        token: &SecretString,
        request: HttpRequest,
        repeat: Repeat,
    ) -> Result<HttpAnswer, SendError> {
        let authorization = SecretString::from(format!("Token token={}", token.expose_secret()));
        let request = request
            .secret_header("authorization", &authorization)
            .and_then(|request| request.header("accept", ACCEPT))
            .and_then(|request| request.header("from", &self.from))
            .map_err(|error| SendError::permanent("not_sendable", error.to_string()))?;
        match self.http.send(request).await {
            Ok(answer) => judged(answer, token),
            Err(error) => Err(unanswered(&error, repeat)),
        }
    }
}

/// The table from statuses: 2xx is done, 429, 408 and 5xx may come again, everything else is refused for good.
fn judged(answer: HttpAnswer, token: &SecretString) -> Result<HttpAnswer, SendError> {
    let status = answer.status;
    if status.is_success() {
        return Ok(answer);
    }
    let Words { message, errors } =
        serde_json::from_slice::<Complaint>(&answer.body).unwrap_or_default().error;
    let words = [vec![message], errors].concat().join("; ").replace(token.expose_secret(), "[token]");
    let reason = cut_chars(format!("HTTP {} {words}", status.as_u16()).trim_end(), DETAIL_CHARS_MAX);
    let again = status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
    if again || status.is_server_error() {
        Err(SendError::Retry { after: answer.retry_after(), reason })
    } else {
        Err(SendError::permanent(format!("http_{}", status.as_u16()), reason))
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: &HttpAnswer) -> Result<T, SendError> {
    serde_json::from_slice(&answer.body)
        .map_err(|error| SendError::permanent("garbled", format!("not an answer of PagerDuty's: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::http::HttpOptions;
    use crate::clients::stand_in::{Play, StandIn};

    fn mk_client(stand_in: &StandIn) -> RestClient {
        let http = HttpClient::new(&HttpOptions::configured()).expect("a client");
        RestClient::new(http, &stand_in.url("/"), "ops@example.com").expect("an address")
    }

    fn token() -> SecretString {
        SecretString::from("u+token".to_owned())
    }

    #[tokio::test]
    async fn a_note_is_written_in_the_name_of_a_user_and_is_known_as_ours() {
        let stand_in = StandIn::play([Play::json(201, json!({ "note": { "id": "PN1" } }))]).await;
        mk_client(&stand_in).note(&token(), "../teams/P1", &"x".repeat(3_000)).await.expect("written");
        let seen = &stand_in.seen()[0];
        assert!(seen.line.starts_with("POST /incidents/..%2Fteams%2FP1/notes "), "{}", seen.line);
        assert_eq!(seen.header("authorization"), Some("Token token=u+token"));
        assert_eq!((seen.header("from"), seen.header("accept")), (Some("ops@example.com"), Some(ACCEPT)));
        let body: serde_json::Value = serde_json::from_slice(&seen.body).expect("JSON");
        let content = body["note"]["content"].as_str().expect("a text");
        assert!(content.starts_with("[smokejumper] xxx") && content.chars().count() == NOTE_CHARS_MAX);
    }

    #[tokio::test]
    async fn an_incident_is_found_by_its_key() {
        let found = json!({ "incidents": [{ "id": "P7" }], "more": false });
        let stand_in =
            StandIn::play([Play::json(200, found), Play::json(200, json!({ "incidents": [] }))]).await;
        let client = mk_client(&stand_in);
        assert_eq!(client.incident_of(&token(), "smokejumper/i1/0").await, Ok(Some("P7".to_owned())));
        assert_eq!(client.incident_of(&token(), "a&b").await, Ok(None));
        assert!(
            stand_in.seen()[0].line.contains("incident_key=smokejumper%2Fi1%2F0&"),
            "{:?}",
            stand_in.seen()[0]
        );
        assert!(stand_in.seen()[1].line.contains("incident_key=a%26b&"));
    }

    #[tokio::test]
    async fn each_answer_has_its_meaning_and_no_note_is_written_twice() {
        let said = json!({ "error": { "message": "bad", "errors": ["u+token is unknown"] } });
        for (play, kind) in [
            (Play::json(401, said.clone()), "permanent"),
            (Play::json(404, json!({})), "permanent"),
            (Play::json(429, json!({})), "retry"),
            (Play::text(503, "<html>"), "retry"),
            (Play::Close, "ambiguous"),
        ] {
            let stand_in = StandIn::play([play]).await;
            let error = mk_client(&stand_in).note(&token(), "P7", "x").await.expect_err("an error");
            assert_eq!(error.kind(), kind, "{error}");
            assert!(!error.to_string().contains("u+token"), "{error}");
        }
    }
}
