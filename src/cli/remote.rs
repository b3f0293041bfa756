//! A running service as the commands ask it: address, token, one request, one answer or a clear failure.
//!
//! A token comes from a file or from the environment, never from an argument. Answers are kept as they came, so that
//! JSON output shows what the service said and not what this version knows of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ORDER_LATE;
use super::failure::Failure;
use super::terminal;
use crate::clients::http::{
    HttpAnswer, HttpClient, HttpError, HttpOptions, HttpRequest, Method, StatusCode, Url,
};
use crate::settings::process_environment;

/// Where a service listens that was started without settings.
const URL_DEFAULT: &str = "http://127.0.0.1:9119";

/// The environment variable that holds the token.
const TOKEN_VARIABLE: &str = "SMOKEJUMPER_TOKEN";

/// Largest token file; a token has a few dozen characters, so anything larger is the wrong file.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// Time for one exchange. A person waits, and a busy store answers within a few seconds or says 503.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest answer: a full page of 500 incidents, or an incident with 500 alerts, stays far below.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Characters of an answer that is not ours which are shown.
const FOREIGN_CHARS_MAX: usize = 200;

/// Where the service is, and with which token.
#[derive(Debug, Clone, Args)]
pub(super) struct RemoteArgs {
    /// Address of the running service.
    #[arg(long, global = true, env = "SMOKEJUMPER_URL", hide_env_values = true, value_name = "URL")]
    #[arg(display_order = ORDER_LATE, default_value = URL_DEFAULT, value_parser = base_url)]
    url: Url,
    /// File with the token to show. Default: what the environment variable SMOKEJUMPER_TOKEN holds, if anything.
    #[arg(long, global = true, value_name = "FILE", display_order = ORDER_LATE)]
    token_file: Option<PathBuf>,
}

fn base_url(text: &str) -> Result<Url, String> {
    let example = format!("write an address such as {URL_DEFAULT}");
    let url: Url = text.parse().map_err(|error| format!("{error}; {example}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("this is no http or https address; {example}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("an address holds no password; set {TOKEN_VARIABLE} or use --token-file"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("an address has no query and no fragment; {example}"));
    }
    Ok(url)
}

/// A service that can be asked.
pub(super) struct Remote {
    client: HttpClient,
    url: Url,
    token: Option<SecretString>,
    /// What to say where the service does not let us in.
    unknown_token: &'static str,
}

/// One question.
pub(super) struct Call<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'a str, String)>,
    body: Option<Vec<u8>>,
}

impl<'a> Call<'a> {
    /// Reads what stands at a path, given by its segments.
    pub(super) fn get(path: &'a [&'a str]) -> Self {
        Self { method: Method::GET, path, query: Vec::new(), body: None }
    }

    /// Asks for something to be done.
    pub(super) fn post(path: &'a [&'a str]) -> Self {
        Self { method: Method::POST, ..Self::get(path) }
    }

    /// Puts a new state.
    pub(super) fn put(path: &'a [&'a str]) -> Self {
        Self { method: Method::PUT, ..Self::get(path) }
    }

    /// Adds a parameter, if it has a value.
    pub(super) fn query(mut self, name: &'a str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// Sets a JSON body.
    pub(super) fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string().into_bytes());
        self
    }

    /// Sets a body that is JSON already.
    pub(super) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }
}

impl Remote {
    /// Reads the token and makes a client ready.
    pub(super) fn new(args: &RemoteArgs) -> Result<Self, Failure> {
        let token = match &args.token_file {
            Some(path) => Some(read_token(path)?),
            None => token_of_environment(),
        };
        let client = HttpClient::new(&HttpOptions::configured())
            .map_err(|error| Failure::failed(error.to_string()))?;
        let unknown_token = "the token that was shown is not one that the service knows";
        Ok(Self { client, url: args.url.clone(), token, unknown_token })
    }

    /// For the door of the receivers, which has credentials of its own.
    pub(super) fn at_receivers(self) -> Self {
        let unknown_token = "alerts are let in by what stands under `receivers.alertmanager` in its settings, and \
                             not by tokens of the API: show one of those with --token-file, or in SMOKEJUMPER_TOKEN";
        Self { unknown_token, ..self }
    }

    /// The address, as it is shown to people.
    pub(super) fn place(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Asks, and returns the JSON that came back; null where nothing did.
    pub(super) async fn ask(&self, call: Call<'_>) -> Result<Value, Failure> {
        let reads_only = call.method == Method::GET;
        let request = self.request(call).map_err(|error| Failure::usage(error.to_string()))?;
        let answer = self.client.send(request).await.map_err(|error| unanswered(&error, reads_only))?;
        if !answer.status.is_success() {
            return Err(self.refused(&answer));
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).map_err(|_| self.not_ours(&answer))
    }

    fn request(&self, call: Call<'_>) -> Result<HttpRequest, HttpError> {
        let mut url = self.url.clone();
        // Segments are escaped: an id with a slash in it stays an id.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let request = HttpRequest::new(call.method, url)
            .timeout(EXCHANGE_TIMEOUT)
            .answer_bytes_max(ANSWER_BYTES_MAX)
            .header("accept", "application/json, application/problem+json")?;
        let request = match &self.token {
            Some(token) => request.bearer(token)?,
            None => request,
        };
        Ok(match call.body {
            Some(body) => request.body("application/json", body),
            None => request,
        })
    }

    /// What a status that is no success means.
    fn refused(&self, answer: &HttpAnswer) -> Failure {
        let problem: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let detail = problem.as_ref().and_then(|problem| problem.get("detail")).and_then(Value::as_str);
        let Some(detail) = detail else { return self.not_ours(answer) };
        let failure = Failure::failed(format!("{} ({})", terminal::line(detail), answer.status));
        match answer.status {
            StatusCode::UNAUTHORIZED if self.token.is_none() => failure.with_help(format!(
                "set {TOKEN_VARIABLE}, or name a file that holds a token with --token-file"
            )),
            StatusCode::UNAUTHORIZED => failure.with_help(self.unknown_token),
            StatusCode::SERVICE_UNAVAILABLE => failure.with_help("this is temporary: try again"),
            _ => failure,
        }
    }

    /// An answer that our service does not give.
    fn not_ours(&self, answer: &HttpAnswer) -> Failure {
        let shown: String = String::from_utf8_lossy(&answer.body).chars().take(FOREIGN_CHARS_MAX).collect();
        let message = if shown.trim().is_empty() {
            format!("{} answered {}", self.place(), answer.status)
        } else {
            format!("{} answered {}: {}", self.place(), answer.status, terminal::line(shown.trim()))
        };
        Failure::failed(message).with_help("is this the address of Smokejumper itself? See --url")
    }
}

fn unanswered(error: &HttpError, reads_only: bool) -> Failure {
    let failure = Failure::failed(error.to_string());
    match error {
        HttpError::NotSent { .. } => failure.with_help(
            "is the service running? Start it with `smokejumper serve --config FILE`, or name another address with \
             --url or SMOKEJUMPER_URL",
        ),
        error if error.maybe_sent() && !reads_only => {
            failure.with_help("it may have been carried out all the same: look before you try again")
        }
        _ => failure,
    }
}

fn token_of_environment() -> Option<SecretString> {
    let environment = process_environment();
    let token = environment.get(TOKEN_VARIABLE).map(|text| text.trim()).filter(|text| !text.is_empty());
    token.map(SecretString::from)
}

fn read_token(path: &Path) -> Result<SecretString, Failure> {
    let fail = |why: String| Failure::usage(format!("the token in {} cannot be used: {why}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?.len();
    if size > TOKEN_BYTES_MAX {
        return Err(fail(format!("{size} bytes are no token")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    match text.trim() {
        "" => Err(fail("the file is empty".to_owned())),
        token => Ok(SecretString::from(token)),
    }
}

/// Reads an answer as this version knows it.
pub(super) fn read<T: DeserializeOwned>(answer: &Value) -> Result<T, Failure> {
    T::deserialize(answer).map_err(|error| {
        Failure::failed(format!("the answer of the service is not understood: {error}"))
            .with_help("are the service and this program of the same version?")
    })
}

/// Runs what a command waits for.
pub(super) fn wait<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("no runtime could be started: {error}")))?;
    runtime.block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_that_can_be_shown() {
        assert!(base_url("https://sj.example.com/base/").is_ok());
        for (text, why) in [
            ("localhost:9119", "no http or https"),
            ("ftp://x", "no http or https"),
            ("http://una:secret@x", "--token-file"),
            ("http://x/?a=1", "no query"),
            ("http://", "empty host"),
        ] {
            let error = base_url(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn paths_stand_below_the_address_and_are_escaped() {
        let args = RemoteArgs { url: base_url("https://x/base/").expect("a URL"), token_file: None };
        let remote = Remote::new(&args).expect("a remote");
        let call = Call::get(&["api", "v1", "incidents", "a/../b?c"])
            .query("limit", Some(5))
            .query("cursor", None::<u8>);
        let request = format!("{:?}", remote.request(call).expect("a request"));
        assert!(request.contains("https://x/base/api/v1/incidents/a%2F..%2Fb%3Fc"), "{request}");
    }
}
