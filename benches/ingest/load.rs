//! A closed loop of senders on keep-alive connections, as Alertmanager's are, with bodies that never repeat.
//!
//! HTTP is written by hand here, because what the generator spends is missing to the server: they share two cores.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Width of the number that makes each body new.
const NUMBER_DIGITS: usize = 9;
/// What stands where the number goes.
const NUMBER_MARK: &str = "#########";

/// A request that is sent again and again with another number in it.
#[derive(Clone)]
pub struct Template {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Template {
    /// A POST of `body`; each [`NUMBER_MARK`] in it becomes the request's number.
    pub fn new(address: SocketAddr, path: &str, body: &str) -> Self {
        let text = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: Alertmanager/0.25.0\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let places = text.match_indices(NUMBER_MARK).map(|(at, _)| at).collect();
        Self { bytes: text.into_bytes(), places }
    }

    fn number(&mut self, number: u64) {
        let digits = format!("{number:0NUMBER_DIGITS$}");
        for at in &self.places {
            self.bytes[*at..*at + NUMBER_DIGITS].copy_from_slice(digits.as_bytes());
        }
    }

    /// The request with this number in it.
    pub fn numbered(&mut self, number: u64) -> &[u8] {
        self.number(number);
        &self.bytes
    }
}

/// A webhook of Alertmanager 0.25 with three alerts of one group, about 2.5 kB, every label set new.
pub fn webhook() -> String {
    let alert = |instance: &str| {
        format!(
            r#"{{"status":"firing","labels":{{"alertname":"HighErrorRate","namespace":"shop","service":"s{NUMBER_MARK}","instance":"{instance}-{NUMBER_MARK}:8080","job":"api","severity":"critical","cluster":"eu-west-1","team":"checkout"}},"annotations":{{"summary":"Error ratio of s{NUMBER_MARK} is above 5 %","description":"More than one request in twenty has failed over the last five minutes on {instance}. Customers see errors at the checkout.","runbook_url":"https://runbooks.example.com/shop/high-error-rate"}},"startsAt":"2026-02-11T07:04:29.482Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example.com:9090/graph?g0.expr=job%3Aerrors%3Aratio5m+%3E+0.05&g0.tab=1"}}"#
        )
    };
    let alerts = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(alert).join(",");
    format!(
        r#"{{"receiver":"smokejumper","status":"firing","alerts":[{alerts}],"groupLabels":{{"alertname":"HighErrorRate","service":"s{NUMBER_MARK}"}},"commonLabels":{{"alertname":"HighErrorRate","namespace":"shop","service":"s{NUMBER_MARK}","job":"api","severity":"critical"}},"commonAnnotations":{{}},"externalURL":"http://alertmanager.example.com:9093","version":"4","groupKey":"{{}}:{{alertname=\"HighErrorRate\", service=\"s{NUMBER_MARK}\"}}","truncatedAlerts":0}}"#
    )
}

/// What a round of load brought.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Requests answered with 200.
    pub good: u64,
    /// Requests answered with something else.
    pub refused: u64,
    /// Length of the round.
    pub seconds: f64,
    /// Times from request to answer of those that were good, sorted, in microseconds.
    pub micros: Vec<u32>,
}

impl Outcome {
    /// Good answers a second.
    pub fn rate(&self) -> f64 {
        self.good as f64 / self.seconds
    }

    /// The time within which this share of the requests was answered, in milliseconds.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let at = (self.micros.len() as f64 * share) as usize;
        self.micros
            .get(at.min(self.micros.len().saturating_sub(1)))
            .map_or(f64::NAN, |micros| f64::from(*micros) / 1e3)
    }
}

/// Sends for `length` over `connections` connections; `numbers` goes on from call to call.
pub async fn run(
    template: &Template,
    address: SocketAddr,
    connections: usize,
    length: Duration,
    numbers: &Arc<AtomicU64>,
) -> Outcome {
    let began = Instant::now();
    let senders: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(send(template.clone(), address, began + length, Arc::clone(numbers))))
        .collect();
    let mut whole = Outcome::default();
    for sender in senders {
        let part = sender.await.expect("a sender does not fail");
        whole.good += part.good;
        whole.refused += part.refused;
        whole.micros.extend(part.micros);
    }
    whole.seconds = began.elapsed().as_secs_f64();
    whole.micros.sort_unstable();
    whole
}

async fn send(
    mut template: Template,
    address: SocketAddr,
    until: Instant,
    numbers: Arc<AtomicU64>,
) -> Outcome {
    let mut connection = Connection::open(address).await;
    let mut outcome = Outcome::default();
    while Instant::now() < until {
        let request = template.numbered(numbers.fetch_add(1, Ordering::Relaxed));
        let began = Instant::now();
        if connection.exchange(request).await == 200 {
            outcome.good += 1;
            outcome.micros.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
        } else {
            outcome.refused += 1;
            // A sender that is told to come again does not hammer.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    outcome
}

/// One keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server takes connections");
        stream.set_nodelay(true).expect("a TCP option");
        Self { stream, buffer: Vec::with_capacity(4096) }
    }

    /// Sends a request and reads the whole answer; its status.
    pub async fn exchange(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).await.expect("the server reads");
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("the server answers");
            assert!(read > 0, "the server closed the connection");
            if let Some(status) = self.complete() {
                return status;
            }
        }
    }

    fn complete(&self) -> Option<u16> {
        let head = self.buffer.windows(4).position(|window| window == b"\r\n\r\n")?;
        let text = std::str::from_utf8(&self.buffer[..head]).expect("a head is ASCII");
        let length: usize = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.trim().parse().expect("a length"));
        if self.buffer.len() < head + 4 + length {
            return None;
        }
        Some(text.split(' ').nth(1)?.parse().expect("a status"))
    }
}
