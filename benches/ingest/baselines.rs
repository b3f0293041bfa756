//! The servers that the product is compared with: the least that does a part of its work.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use bytes::Bytes;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};

/// Bodies that share one transaction, as in the product.
const BATCH_MAX: usize = 256;
/// Bodies that wait for one.
const QUEUE_MAX: usize = 1_024;

type Waiting = (Bytes, oneshot::Sender<()>);

/// Runs the baseline that the arguments name: `NAME PORT FOLDER [URL]`.
pub fn serve(arguments: &[String]) {
    let [name, port, folder, more @ ..] = arguments else { panic!("--serve NAME PORT FOLDER [URL]") };
    let port: u16 = port.parse().expect("a port");
    let folder = Path::new(folder);
    let url = || more.first().expect("this baseline needs a URL").clone();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let app = match name.as_str() {
            "static" => {
                Router::new().route("/webhooks/alertmanager", post(|_: Bytes| async { StatusCode::OK }))
            }
            "parse" => Router::new().route("/webhooks/alertmanager", post(parse)),
            "group-commit" => committing(grouped(folder)),
            "one-transaction" => Router::new()
                .route("/webhooks/alertmanager", post(one_transaction))
                .with_state(Arc::new(Mutex::new(database(folder)))),
            "postgres" => committing(grouped_in_postgres(&url()).await),
            "commit-then-post" => posting(grouped(folder), url()),
            other => panic!("there is no baseline `{other}`"),
        };
        let app = app.route("/", get(|| async { "ready" }));
        let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        axum::serve(listener.await.expect("the port is free"), app).await.expect("it serves");
    });
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "what is measured is the reading")]
struct Payload {
    status: String,
    #[serde(rename = "groupKey")]
    group_key: String,
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "what is measured is the reading")]
struct Alert {
    status: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    #[serde(rename = "startsAt")]
    starts_at: String,
}

async fn parse(body: Bytes) -> StatusCode {
    match serde_json::from_slice::<Payload>(&body) {
        Ok(payload) if !payload.alerts.is_empty() => StatusCode::OK,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn database(folder: &Path) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(folder.join("baseline.db")).expect("a database");
    database
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             CREATE TABLE inbox (id INTEGER PRIMARY KEY, received_at INTEGER NOT NULL, body BLOB NOT NULL);",
        )
        .expect("a table");
    database
}

const INSERT: &str = "INSERT INTO inbox (received_at, body) VALUES (?1, ?2)";

async fn one_transaction(
    State(database): State<Arc<Mutex<rusqlite::Connection>>>,
    body: Bytes,
) -> StatusCode {
    if !is_readable(&body) {
        return StatusCode::BAD_REQUEST;
    }
    let written = tokio::task::spawn_blocking(move || {
        let database = database.lock().expect("nobody panics");
        let mut insert = database.prepare_cached(INSERT).expect("a statement");
        insert.execute(rusqlite::params![millis(), &body[..]]).expect("a row");
    });
    written.await.expect("it ends");
    StatusCode::OK
}

fn is_readable(body: &[u8]) -> bool {
    serde_json::from_slice::<Payload>(body).is_ok()
}

/// One writer on a thread of its own; all bodies that wait share one transaction.
fn grouped(folder: &Path) -> mpsc::Sender<Waiting> {
    let (queue, mut waiting) = mpsc::channel::<Waiting>(QUEUE_MAX);
    let database = database(folder);
    std::thread::spawn(move || {
        while let Some(first) = waiting.blocking_recv() {
            let batch = gather(first, &mut waiting);
            let transaction = database.unchecked_transaction().expect("a transaction");
            let mut insert = transaction.prepare_cached(INSERT).expect("a statement");
            for (body, _) in &batch {
                insert.execute(rusqlite::params![millis(), &body[..]]).expect("a row");
            }
            drop(insert);
            transaction.commit().expect("it is durable");
            answer(batch);
        }
    });
    queue
}

/// The same on PostgreSQL: one statement of one row for each body.
async fn grouped_in_postgres(url: &str) -> mpsc::Sender<Waiting> {
    let pool = sqlx::PgPool::connect(url).await.expect("a connection");
    let table =
        "CREATE TABLE inbox (id BIGSERIAL PRIMARY KEY, received_at BIGINT NOT NULL, body BYTEA NOT NULL)";
    sqlx::query(table).execute(&pool).await.expect("a table");
    let (queue, mut waiting) = mpsc::channel::<Waiting>(QUEUE_MAX);
    tokio::spawn(async move {
        while let Some(first) = waiting.recv().await {
            let batch = gather(first, &mut waiting);
            let bodies: Vec<Vec<u8>> = batch.iter().map(|(body, _)| body.to_vec()).collect();
            sqlx::query(
                "INSERT INTO inbox (received_at, body) SELECT $1, body FROM UNNEST($2::bytea[]) AS body",
            )
            .bind(millis())
            .bind(bodies)
            .execute(&pool)
            .await
            .expect("rows");
            answer(batch);
        }
    });
    queue
}

fn gather(first: Waiting, waiting: &mut mpsc::Receiver<Waiting>) -> Vec<Waiting> {
    let mut batch = vec![first];
    while batch.len() < BATCH_MAX {
        let Ok(next) = waiting.try_recv() else { break };
        batch.push(next);
    }
    batch
}

fn answer(batch: Vec<Waiting>) {
    for (_, stored) in batch {
        let _ = stored.send(());
    }
}

fn committing(queue: mpsc::Sender<Waiting>) -> Router {
    Router::new().route("/webhooks/alertmanager", post(commit)).with_state(queue)
}

async fn commit(State(queue): State<mpsc::Sender<Waiting>>, body: Bytes) -> StatusCode {
    if !is_readable(&body) {
        return StatusCode::BAD_REQUEST;
    }
    store(&queue, body).await
}

async fn store(queue: &mpsc::Sender<Waiting>, body: Bytes) -> StatusCode {
    let (answer, stored) = oneshot::channel();
    if queue.send((body, answer)).await.is_err() || stored.await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    StatusCode::OK
}

/// Commits, then posts the body to `url`, then answers: the shortest durable way to a message.
fn posting(queue: mpsc::Sender<Waiting>, url: String) -> Router {
    smokejumper::clients::http::install_crypto_provider();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let handler = move |body: Bytes| {
        let (queue, client, url) = (queue.clone(), client.clone(), url.clone());
        async move {
            let status = store(&queue, body.clone()).await;
            client.post(url).body(body).send().await.expect("an answer");
            status
        }
    };
    Router::new().route("/webhooks/alertmanager", post(handler))
}
