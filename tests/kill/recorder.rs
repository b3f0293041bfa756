//! The world that actions touch: it counts every call by its idempotency key.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long the world takes to answer: long enough that kills fall between the touch and its record.
const ANSWER_AFTER: Duration = Duration::from_millis(30);

type Calls = Arc<Mutex<BTreeMap<String, u64>>>;

/// The running recorder.
pub struct Recorder {
    port: u16,
    calls: Calls,
}

impl Recorder {
    pub async fn start() -> Self {
        let calls = Calls::default();
        let router = Router::new().fallback(record).with_state(Arc::clone(&calls));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, calls }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/limit", self.port)
    }

    /// How often the world was touched, by key.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.calls.lock().expect("not poisoned").clone()
    }
}

async fn record(State(calls): State<Calls>, headers: HeaderMap) -> &'static str {
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).unwrap_or("(no key)");
    *calls.lock().expect("not poisoned").entry(key.to_owned()).or_default() += 1;
    tokio::time::sleep(ANSWER_AFTER).await;
    "limited"
}
