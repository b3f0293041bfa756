//! A server for the clients' tests: plays a script of answers on loopback, good and broken ones, and records
//! what arrived. One request for each connection, so that a script is obeyed line by line.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One line of the script.
#[derive(Debug, Clone)]
pub(crate) enum Play {
    /// A whole answer: status, further header lines, body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The connection is closed once the request has been read.
    Close,
    /// Headers that promise more body than there is.
    Half,
    /// The request is read and never answered.
    Silence,
}

impl Play {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::Answer(status, Vec::new(), body.to_string().into_bytes())
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::Answer(status, Vec::new(), body.as_bytes().to_vec())
    }

    pub(crate) fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Answer(status, mut headers, body) => {
                headers.push((name, value.into()));
                Self::Answer(status, headers, body)
            }
            other => other,
        }
    }
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the request's body is JSON")
    }
}

/// The server; it ends with the test's runtime.
#[derive(Debug)]
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl StandIn {
    /// Plays the script, its last line again and again.
    pub(crate) async fn play(script: impl IntoIterator<Item = Play>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut script: VecDeque<Play> = script.into_iter().collect();
        let recorder = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let next = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
                let next = next.expect("a script is never empty");
                tokio::spawn(serve(stream, next, Arc::clone(&recorder)));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics with the lock").clone()
    }
}

/// A loopback URL where nothing listens.
pub(crate) async fn refused_url() -> String {
    // Bound and never listening: given back, the port could be the next stand-in's.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a loopback port");
    let address = socket.local_addr().expect("an address");
    std::mem::forget(socket);
    format!("http://{address}")
}

async fn serve(mut stream: TcpStream, play: Play, seen: Arc<Mutex<Vec<Seen>>>) {
    let Some(request) = read_request(&mut stream).await else { return };
    seen.lock().expect("no test panics with the lock").push(request);
    let answer = match play {
        Play::Close => return,
        Play::Half => b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"ok\":tr".to_vec(),
        Play::Silence => return std::future::pending().await,
        Play::Answer(status, headers, body) => {
            let mut head =
                format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            [head.as_bytes(), b"\r\n", &body].concat()
        }
    };
    // The client may have had enough of a long answer and gone.
    let _ = stream.write_all(&answer).await;
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let line = head.lines().next().unwrap_or_default().to_owned();
        let mut seen = Seen { line, head, body: Vec::new() };
        let length: usize = seen.header("content-length").map_or(0, |text| text.parse().expect("a length"));
        if bytes.len() >= end + 4 + length {
            seen.body = bytes[end + 4..].to_vec();
            return Some(seen);
        }
    }
}

/// Reads one of the shared test tables, which stand outside the repository.
///
/// Without them a test has only the repository's own cases: it says so, and fails where that must not be (CI).
pub(crate) fn vector(name: &str) -> Option<Value> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    let folder = std::env::var_os("SMOKEJUMPER_VECTORS").map_or_else(beside, PathBuf::from);
    let Ok(text) = std::fs::read_to_string(folder.join(name)) else {
        assert!(std::env::var_os("CI").is_none(), "{name} is missing: set SMOKEJUMPER_VECTORS");
        // Written past `eprintln!`, whose text the test harness hides while the test passes.
        let words = format!("ONLY THE REPOSITORY'S OWN CASES RAN: {name} is not in {}", folder.display());
        writeln!(std::io::stderr(), "{words}; set SMOKEJUMPER_VECTORS").expect("standard error is open");
        return None;
    };
    Some(serde_json::from_str(&text).expect("a test table is JSON"))
}
