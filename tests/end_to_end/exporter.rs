//! A small service with metrics whose error ratio the test decides, and an endpoint that mends it.

use crate::traffic::Traffic;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

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
        let shared = Arc::new(Shared { traffic: Mutex::new(Traffic::new()), limits: AtomicU64::new(0) });
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
        self.shared.traffic.lock().expect("not poisoned").fail(ratio);
    }

    /// How often the remedy was called.
    pub fn limits(&self) -> u64 {
        self.shared.limits.load(Ordering::SeqCst)
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> String {
    let labels = r#"namespace="pss-nano",service="api-gateway""#;
    shared.traffic.lock().expect("not poisoned").text(labels)
}

async fn limit(State(shared): State<Arc<Shared>>) -> &'static str {
    shared.limits.fetch_add(1, Ordering::SeqCst);
    shared.traffic.lock().expect("not poisoned").fail(0.0);
    "limited"
}
