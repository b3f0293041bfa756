//! What Prometheus scrapes, what remedies call and what probes ask: one small server, whose answers come out of the state of
//! the simulated cluster, of real servers, and of counted traffic. Nothing here is told what a remedy should do.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

/// A page of metrics; nothing while its server is down.
type Page = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// What a call does.
type Deed = Arc<dyn Fn() + Send + Sync>;

struct Target {
    job: String,
    labels: Vec<(String, String)>,
    page: Page,
}

#[derive(Default)]
struct Shared {
    targets: Mutex<Vec<Target>>,
    deeds: Mutex<BTreeMap<String, Deed>>,
    calls: Mutex<Vec<String>>,
}

/// The running server.
pub struct Town {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Town {
    pub async fn open() -> Self {
        let shared = Arc::new(Shared::default());
        let router = Router::new()
            .route("/scrape/{number}", get(scrape))
            .route("/do/{name}", post(call))
            .route("/health", get(async || r#"{"status":"ok","redis_connected":true}"#))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, shared }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Something more to scrape, with the labels that a scrape configuration gives it.
    pub fn show(
        &self,
        job: &str,
        labels: &[(&str, &str)],
        page: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let target = Target { job: job.to_owned(), labels, page: Arc::new(page) };
        self.shared.targets.lock().expect("not poisoned").push(target);
    }

    /// What happens when `/do/NAME` is called.
    pub fn when_called(&self, name: &str, deed: impl Fn() + Send + Sync + 'static) {
        self.shared.deeds.lock().expect("not poisoned").insert(name.to_owned(), Arc::new(deed));
    }

    /// The calls so far, by name.
    pub fn calls(&self) -> Vec<String> {
        self.shared.calls.lock().expect("not poisoned").clone()
    }

    /// Prometheus' configuration of all that there is to scrape.
    pub fn scrape_configs(&self) -> String {
        let mut text = String::new();
        for (number, target) in self.shared.targets.lock().expect("not poisoned").iter().enumerate() {
            let labels: Vec<_> =
                target.labels.iter().map(|(name, value)| format!("{name}: '{value}'")).collect();
            writeln!(
                text,
                "  - job_name: {}\n    metrics_path: /scrape/{number}\n    honor_labels: true\n    \
                 static_configs: [{{ targets: ['127.0.0.1:{}'], labels: {{ {} }} }}]",
                target.job,
                self.port,
                labels.join(", ")
            )
            .expect("a text takes whatever is written");
        }
        text
    }

    /// How many targets there are.
    pub fn targets(&self) -> usize {
        self.shared.targets.lock().expect("not poisoned").len()
    }
}

async fn scrape(State(shared): State<Arc<Shared>>, Path(number): Path<usize>) -> Result<String, StatusCode> {
    let page =
        shared.targets.lock().expect("not poisoned").get(number).map(|target| Arc::clone(&target.page));
    let page = page.ok_or(StatusCode::NOT_FOUND)?;
    // Some ask real servers, which takes its time.
    let text = tokio::task::spawn_blocking(move || page()).await.expect("no panic");
    text.ok_or(StatusCode::SERVICE_UNAVAILABLE)
}

async fn call(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> StatusCode {
    let deed = shared.deeds.lock().expect("not poisoned").get(&name).cloned();
    shared.calls.lock().expect("not poisoned").push(name);
    match deed {
        Some(deed) => {
            tokio::task::spawn_blocking(move || deed()).await.expect("no panic");
            StatusCode::OK
        }
        None => StatusCode::NOT_FOUND,
    }
}
