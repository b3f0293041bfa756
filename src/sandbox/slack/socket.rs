//! Socket Mode: `apps.connections.open`, connections that are good once, envelopes that want an acknowledgement.
//!
//! Published (docs.slack.dev/apis/events-api/using-socket-mode): the app-level token with `connections:write`, the
//! address that works once and not for long, `hello` with the number of connections, at most ten of them, payloads
//! that go to any one of them, three seconds to acknowledge, and `disconnect` some ten seconds before the end.
//! Stricter than published: every envelope that is not acknowledged comes again, on another connection where there is
//! one, until somebody takes it or a minute is over; Slack promises that for events only.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use futures::{SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{ACKNOWLEDGE_WITHIN, Shared, SlackSandbox, lock};
use crate::sandbox::record::Record;
use crate::sandbox::seed::random_hex;

/// Connections that one app may have open.
pub const CONNECTIONS_MAX: usize = 10;
/// How long the address of a connection is good.
const TICKET_LIFETIME: Duration = Duration::from_secs(30);
/// How long an envelope is sent again before the person reads that the app does not answer.
const ENVELOPE_LIFETIME: Duration = Duration::from_secs(60);
/// How often Slack asks whether the app is still there.
const PING_EVERY: Duration = Duration::from_secs(10);
/// Messages that wait to be written to one connection.
const QUEUE_MAX: usize = 64;

/// Something sent over a connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EnvelopeSent {
    /// The same for every attempt.
    pub envelope_id: String,
    /// `interactive`, `slash_commands` or `events_api`.
    pub kind: String,
    /// From 1.
    pub attempt: u32,
    /// The number of the connection, from 1.
    pub connection: u64,
}

/// An acknowledgement as it came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Acknowledged {
    /// Which envelope.
    pub envelope_id: String,
    /// The number of the connection.
    pub connection: u64,
    /// The answer that came with it.
    pub payload: Value,
    /// Whether it was lost on the way, as ordered by [`SlackSandbox::lose_acknowledgements`].
    pub lost: bool,
}

/// All connections of the app.
#[derive(Debug)]
pub(super) struct Sockets {
    state: std::sync::Mutex<Lines>,
    /// Changes with every connection that comes or goes.
    changed: watch::Sender<u64>,
    sent: Record<EnvelopeSent>,
    acknowledged: Record<Acknowledged>,
}

#[derive(Debug, Default)]
struct Lines {
    enabled: bool,
    tickets: HashMap<String, Instant>,
    open: Vec<Line>,
    opened: u64,
    turn: usize,
    waiting: HashMap<String, oneshot::Sender<Value>>,
    acknowledgements_to_lose: u32,
}

#[derive(Debug)]
struct Line {
    number: u64,
    say: mpsc::Sender<Say>,
    leaving: bool,
}

#[derive(Debug)]
enum Say {
    Text(String),
    /// Ends the connection after this time.
    Leave(Duration),
}

/// One attempt at an envelope.
enum Attempt {
    Acknowledged(Value),
    Unanswered,
    NobodyThere,
}

impl Sockets {
    pub(super) fn new(enabled: bool, capacity: usize) -> Self {
        Self {
            state: std::sync::Mutex::new(Lines { enabled, ..Lines::default() }),
            changed: watch::Sender::new(0),
            sent: Record::new(capacity),
            acknowledged: Record::new(capacity),
        }
    }

    pub(super) fn is_enabled(&self) -> bool {
        lock(&self.state).enabled
    }

    /// A ticket for one connection.
    pub(super) fn ticket(&self) -> String {
        let ticket = random_hex(16);
        let mut state = lock(&self.state);
        state.tickets.retain(|_, born| born.elapsed() <= TICKET_LIFETIME);
        state.tickets.insert(ticket.clone(), Instant::now());
        ticket
    }

    /// Sends a payload until it is acknowledged; returns the answer that came with it.
    pub(super) async fn deliver(&self, kind: &str, payload: &Value, accepts: bool) -> Option<Value> {
        let envelope_id = random_hex(16);
        let began = Instant::now();
        let mut changed = self.changed.subscribe();
        let (mut attempt, mut before) = (0, None);
        while began.elapsed() < ENVELOPE_LIFETIME {
            changed.mark_unchanged();
            let Some((number, say)) = self.next_line(before) else {
                let left = ENVELOPE_LIFETIME.saturating_sub(began.elapsed());
                let _ = tokio::time::timeout(left, changed.changed()).await;
                continue;
            };
            attempt += 1;
            before = Some(number);
            let mut envelope = json!({
                "envelope_id": envelope_id, "type": kind, "payload": payload, "accepts_response_payload": accepts,
            });
            if kind == "events_api" {
                envelope["retry_attempt"] = json!(attempt - 1);
                envelope["retry_reason"] = json!(if attempt > 1 { "timeout" } else { "" });
            }
            let sent = EnvelopeSent {
                envelope_id: envelope_id.clone(),
                kind: kind.to_owned(),
                attempt,
                connection: number,
            };
            match self.attempt(&envelope_id, envelope.to_string(), &say, sent).await {
                Attempt::Acknowledged(answer) => return Some(answer),
                Attempt::Unanswered | Attempt::NobodyThere => {}
            }
        }
        None
    }

    async fn attempt(
        &self,
        id: &str,
        envelope: String,
        say: &mpsc::Sender<Say>,
        sent: EnvelopeSent,
    ) -> Attempt {
        let (answer, answered) = oneshot::channel();
        lock(&self.state).waiting.insert(id.to_owned(), answer);
        if say.send(Say::Text(envelope)).await.is_err() {
            return Attempt::NobodyThere;
        }
        self.sent.push(sent);
        match tokio::time::timeout(ACKNOWLEDGE_WITHIN, answered).await {
            Ok(Ok(answer)) => Attempt::Acknowledged(answer),
            _ => Attempt::Unanswered,
        }
    }

    /// The connection whose turn it is; not the one before, where there is another.
    fn next_line(&self, before: Option<u64>) -> Option<(u64, mpsc::Sender<Say>)> {
        let mut state = lock(&self.state);
        state.open.retain(|line| !line.say.is_closed());
        let good: Vec<&Line> = state.open.iter().filter(|line| !line.leaving).collect();
        // A connection that is about to end still takes what nobody else is there for.
        let good: Vec<&Line> = if good.is_empty() { state.open.iter().collect() } else { good };
        let others: Vec<&Line> = good.iter().copied().filter(|line| Some(line.number) != before).collect();
        let pool = if others.is_empty() { good } else { others };
        let chosen = pool.get(state.turn % pool.len().max(1)).map(|line| (line.number, line.say.clone()));
        state.turn = state.turn.wrapping_add(1);
        chosen
    }

    fn answered(&self, connection: u64, message: &Value) {
        let Some(id) = message["envelope_id"].as_str() else { return };
        let payload = message["payload"].clone();
        let mut state = lock(&self.state);
        let lost = state.acknowledgements_to_lose > 0;
        if lost {
            state.acknowledgements_to_lose -= 1;
        } else if let Some(waiting) = state.waiting.remove(id) {
            // Whoever sent it may have stopped waiting.
            let _ = waiting.send(payload.clone());
        }
        drop(state);
        self.acknowledged.push(Acknowledged { envelope_id: id.to_owned(), connection, payload, lost });
    }

    fn opened(&self, say: mpsc::Sender<Say>) -> Option<(u64, usize)> {
        let mut state = lock(&self.state);
        state.open.retain(|line| !line.say.is_closed());
        if state.open.len() >= CONNECTIONS_MAX {
            return None;
        }
        state.opened += 1;
        let number = state.opened;
        state.open.push(Line { number, say, leaving: false });
        let count = state.open.len();
        drop(state);
        self.changed.send_modify(|version| *version += 1);
        Some((number, count))
    }

    fn gone(&self, number: u64) {
        lock(&self.state).open.retain(|line| line.number != number);
        self.changed.send_modify(|version| *version += 1);
    }

    /// Announces the end of every connection that is open now.
    fn announce(&self, reason: &str, after: Duration) -> usize {
        let mut state = lock(&self.state);
        let text =
            json!({"type": "disconnect", "reason": reason, "debug_info": {"host": "sandbox"}}).to_string();
        for line in &mut state.open {
            line.leaving = true;
            // A full queue belongs to a connection that is dead anyway.
            let _ = line.say.try_send(Say::Text(text.clone()));
            let _ = line.say.try_send(Say::Leave(after));
        }
        state.open.len()
    }
}

#[derive(Deserialize)]
pub(super) struct LinkQuery {
    #[serde(default)]
    ticket: String,
}

/// `GET /link?ticket=…`: the switch to a WebSocket.
pub(super) async fn link(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<LinkQuery>,
    mut request: Request,
) -> Response {
    let born = lock(&shared.sockets.state).tickets.remove(&query.ticket);
    if born.is_none_or(|born| born.elapsed() > TICKET_LIFETIME) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (Some(upgrade), Some(key)) = (upgrade, request.headers().get(SEC_WEBSOCKET_KEY)) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    let (say, heard) = mpsc::channel(QUEUE_MAX);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // A client that goes away ends its connection, which is its own affair.
            speak(&shared, upgraded, say, heard).await.ok();
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept.expect("the key of an answer is plain ASCII"));
    response
}

type Failure = tokio_tungstenite::tungstenite::Error;

async fn speak(
    shared: &Shared,
    upgraded: Upgraded,
    say: mpsc::Sender<Say>,
    mut heard: mpsc::Receiver<Say>,
) -> Result<(), Failure> {
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let Some((number, count)) = shared.sockets.opened(say) else { return socket.close(None).await };
    let _gone = Gone { shared, number };
    let hello = json!({
        "type": "hello", "num_connections": count, "connection_info": {"app_id": shared.options.app_id},
        "debug_info": {"host": "sandbox", "approximate_connection_time": 18_060},
    });
    socket.send(Message::text(hello.to_string())).await?;
    let mut ping = tokio::time::interval(PING_EVERY);
    let mut leaves_at = None;
    loop {
        tokio::select! {
            () = async { tokio::time::sleep_until(leaves_at.unwrap_or_else(Instant::now)).await },
                if leaves_at.is_some() => return socket.close(None).await,
            _ = ping.tick() => socket.send(Message::Ping(bytes::Bytes::from_static(b"ping"))).await?,
            order = heard.recv() => match order {
                Some(Say::Text(text)) => socket.send(Message::text(text)).await?,
                Some(Say::Leave(after)) => leaves_at = Some(Instant::now() + after),
                None => return Ok(()),
            },
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    if let Ok(message) = serde_json::from_str(text.as_str()) {
                        shared.sockets.answered(number, &message);
                    }
                }
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
            },
        }
    }
}

/// Takes a connection off the list however it ends.
struct Gone<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.shared.sockets.gone(self.number);
    }
}

impl SlackSandbox {
    /// Whether presses, commands and events go over Socket Mode instead of HTTP, as the app's switch says.
    pub fn set_socket_mode(&self, enabled: bool) {
        lock(&self.shared.sockets.state).enabled = enabled;
    }

    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.shared.sockets.state).open.len()
    }

    /// Connections ever opened.
    #[must_use]
    pub fn connections_opened(&self) -> u64 {
        lock(&self.shared.sockets.state).opened
    }

    /// Announces the end of every open connection, and closes it after that time. Returns how many there were.
    pub fn announce_disconnect(&self, reason: &str, after: Duration) -> usize {
        self.shared.sockets.announce(reason, after)
    }

    /// Cuts every connection without a word.
    pub fn cut_connections(&self) {
        // Each ends when nobody can say anything over it any more.
        lock(&self.shared.sockets.state).open.clear();
    }

    /// The next acknowledgements are lost on their way: what they were for is sent again.
    pub fn lose_acknowledgements(&self, count: u32) {
        lock(&self.shared.sockets.state).acknowledgements_to_lose = count;
    }

    /// Every envelope as it was sent.
    #[must_use]
    pub fn envelopes(&self) -> &Record<EnvelopeSent> {
        &self.shared.sockets.sent
    }

    /// Every acknowledgement as it came.
    #[must_use]
    pub fn acknowledgements(&self) -> &Record<Acknowledged> {
        &self.shared.sockets.acknowledged
    }

    /// Sends anything over Socket Mode, such as a kind of envelope that is not used; returns the answer that came with
    /// its acknowledgement.
    pub async fn send_envelope(&self, kind: &str, payload: &Value) -> Option<Value> {
        self.shared.sockets.deliver(kind, payload, true).await
    }
}
