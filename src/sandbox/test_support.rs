//! What the sandbox's own tests share: the test tables beside the repository, and a receiver that answers anything.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::record::Record;
use super::server::{Server, loopback_client};

/// The test table `name`, from the folder that `SMOKEJUMPER_VECTORS` names or that stands beside the repository.
///
/// Without it the caller runs only the repository's own cases, and says so; in CI that is a failure.
pub(crate) fn vectors(name: &str) -> Option<Value> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    let folder = std::env::var_os("SMOKEJUMPER_VECTORS").map_or(beside, PathBuf::from);
    match std::fs::read_to_string(folder.join(name)) {
        Ok(text) => Some(serde_json::from_str(&text).expect("a test table is JSON")),
        Err(error) => {
            let words = format!("no test table {name} in {}: {error}", folder.display());
            assert!(std::env::var_os("CI").is_none(), "{words}");
            shout(&format!("{words}; only the repository's own cases ran"));
            None
        }
    }
}

/// Says something past the test harness, which hides what a passing test prints.
pub(crate) fn shout(words: &str) {
    writeln!(std::io::stderr(), "WARNING: {words}").expect("standard error is open");
}

/// One request as a [`Receiver`] saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub headers: HeaderMap,
    pub body: String,
}

/// An HTTP receiver that notes every request and answers with the status it was told.
pub(crate) struct Receiver {
    pub server: Server,
    pub seen: Record<Seen>,
    answers: Answers,
}

type Answers = Arc<Mutex<(u16, Vec<u16>)>>;

impl Receiver {
    pub(crate) async fn start() -> Self {
        let seen = Record::new(1_000);
        let answers: Answers = Arc::new(Mutex::new((200, Vec::new())));
        let state = (seen.clone(), Arc::clone(&answers));
        let server =
            Server::start(0, Router::new().fallback(note).with_state(state)).await.expect("a free port");
        Self { server, seen, answers }
    }

    /// The next answers, in order; afterwards it is 200 again.
    pub(crate) fn answer_next(&self, statuses: &[u16]) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.1 = statuses.iter().rev().copied().collect();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.base_url())
    }
}

async fn note(
    State((seen, answers)): State<(Record<Seen>, Answers)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    seen.push(Seen { headers, body: String::from_utf8_lossy(&body).into_owned() });
    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    let code = answers.1.pop().unwrap_or(answers.0);
    let mut response = Response::new("noted".into());
    *response.status_mut() = StatusCode::from_u16(code).expect("a status the test chose");
    response
}

/// A client for the tests' own requests.
pub(crate) fn mk_client() -> reqwest::Client {
    loopback_client(Duration::from_secs(10)).expect("a client")
}
