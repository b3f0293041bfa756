//! A small service with metrics whose error ratio the test decides, and an endpoint that mends it.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Requests a second that it pretends to serve.
const REQUESTS_PER_SECOND: f64 = 100.0;

struct Traffic {
    since: Instant,
    ratio: f64,
    good: f64,
    bad: f64,
}

impl Traffic {
    /// Counts the traffic up to now.
    fn go_on(&mut self) {
        let requests = self.since.elapsed().as_secs_f64() * REQUESTS_PER_SECOND;
        self.since = Instant::now();
        self.bad += requests * self.ratio;
        self.good += requests * (1.0 - self.ratio);
    }
}

struct Shared {
    traffic: Mutex<Traffic>,
    limits: AtomicU64,
}

/// The running exporter.
pub struct Exporter {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Exporter {
    pub async fn start() -> Self {
        let traffic = Traffic { since: Instant::now(), ratio: 0.0, good: 0.0, bad: 0.0 };
        let shared = Arc::new(Shared { traffic: Mutex::new(traffic), limits: AtomicU64::new(0) });
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/limit", post(limit))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, shared }
    }

    /// From now on so many requests fail.
    pub fn errors(&self, ratio: f64) {
        let mut traffic = self.shared.traffic.lock().expect("not poisoned");
        traffic.go_on();
        traffic.ratio = ratio;
    }

    /// How often the remedy was called.
    pub fn limits(&self) -> u64 {
        self.shared.limits.load(Ordering::SeqCst)
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> String {
    let mut traffic = shared.traffic.lock().expect("not poisoned");
    traffic.go_on();
    let labels = r#"namespace="pss-nano",service="api-gateway""#;
    format!(
        "# TYPE http_requests_total counter\n\
         http_requests_total{{{labels},status=\"200\"}} {:.0}\n\
         http_requests_total{{{labels},status=\"500\"}} {:.0}\n",
        traffic.good, traffic.bad
    )
}

async fn limit(State(shared): State<Arc<Shared>>) -> &'static str {
    shared.limits.fetch_add(1, Ordering::SeqCst);
    let mut traffic = shared.traffic.lock().expect("not poisoned");
    traffic.go_on();
    traffic.ratio = 0.0;
    "limited"
}
