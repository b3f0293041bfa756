//! Socket Mode: a WebSocket over which Slack sends what people press, for those who have no public address.
//!
//! `apps.connections.open` gives an address that is good once; Slack greets on it, sends envelopes, and waits three
//! seconds for each to be acknowledged. It announces when it is about to close a connection. The address carries a
//! ticket, in its query or its path, so that no part of it but the host is ever shown. Nothing here tries again.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use super::SlackClient;
use crate::clients::answer::SendError;
use crate::clients::http::{HttpClient, HttpError, HttpRequest, Method, Upgraded, Url};

/// Size of one message. An interaction carries the message that was pressed with all its blocks.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Most of what comes is smaller, and the connection stands all day.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// Silence after which we ask whether the other side is still there. Slack pings more often than that.
const PING_AFTER: Duration = Duration::from_secs(20);
/// Silence after which it is not.
const DEAD_AFTER: Duration = Duration::from_secs(35);
/// Time for writing an acknowledgement. Slack waits three seconds for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);

/// Opens connections of Socket Mode.
#[derive(Debug)]
pub struct SocketClient {
    http: HttpClient,
    api: SlackClient,
    /// Whether the API is spoken to without TLS, as stand-ins are; then its connections may be, too.
    is_plain: bool,
}

/// One open connection.
pub struct Socket {
    stream: WebSocketStream<Upgraded>,
    heard_at: Instant,
    asked: bool,
}

/// What Slack says on a connection.
#[derive(Debug)]
pub enum Incoming {
    /// The connection is in use from now on.
    Hello {
        /// How many connections the app has open, this one included.
        connections: Option<u32>,
    },
    /// Slack is going to close this connection, or has switched Socket Mode off.
    Disconnect {
        /// `warning`, `refresh_requested` or `link_disabled`.
        reason: String,
    },
    /// Something that wants an acknowledgement.
    Envelope(Envelope),
    /// Something else.
    Other,
}

/// Something that Slack sends, and waits for to be acknowledged.
#[derive(Debug)]
pub struct Envelope {
    /// What the acknowledgement names.
    pub id: String,
    /// `interactive`, `slash_commands`, `events_api`, or what is not known yet.
    pub kind: String,
    /// JSON, as it came.
    pub payload: String,
    /// Whether the acknowledgement may carry an answer.
    pub accepts_response: bool,
}

/// Why a connection is over.
#[derive(Debug, Error)]
pub enum SocketEnd {
    /// The other side closed it.
    #[error("closed by Slack")]
    Closed,
    /// Nothing was heard, not even an answer to a ping.
    #[error("nothing was heard for {} s", DEAD_AFTER.as_secs())]
    Silent,
    /// An acknowledgement could not be written in time.
    #[error("nothing could be written for {} s", WRITE_TIMEOUT.as_secs())]
    Stuck,
    /// The connection broke, or what came is no WebSocket.
    #[error("broken: {0}")]
    Broken(String),
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    num_connections: Option<u32>,
    #[serde(default)]
    envelope_id: Option<String>,
    #[serde(default, borrow)]
    payload: Option<&'a RawValue>,
    #[serde(default)]
    accepts_response_payload: bool,
}

impl SocketClient {
    /// A client for the app that `app_token` (`xapp-…`) belongs to. `http` must speak HTTP/1.1 only.
    ///
    /// # Errors
    /// As [`SlackClient::new`].
    pub fn new(http: HttpClient, api_url: &str, app_token: SecretString) -> Result<Self, HttpError> {
        let api = SlackClient::new(http.clone(), api_url, app_token)?;
        Ok(Self { http, api, is_plain: api_url.starts_with("http://") })
    }

    /// Asks for an address and connects to it.
    ///
    /// # Errors
    /// As the table of the client says; a connection that does not come about may be tried again.
    pub async fn connect(&self) -> Result<Socket, SendError> {
        let address = self.api.open_connection().await?;
        let url = self.http_url(address.expose_secret()).ok_or_else(|| SendError::Retry {
            after: None,
            reason: "apps.connections.open: what Slack named is no address of a WebSocket".to_owned(),
        })?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let stream = self.shake_hands(url).await.map_err(|error| SendError::Retry {
            after: None,
            // Not the address: its path or query is the ticket.
            reason: format!("the connection to {host} did not come about: {}", error.reason()),
        })?;
        Ok(Socket { stream, heard_at: Instant::now(), asked: false })
    }

    /// The address as the HTTP client knows it. Without TLS only where the API itself is reached without.
    fn http_url(&self, address: &str) -> Option<Url> {
        let rest = match (address.strip_prefix("wss://"), address.strip_prefix("ws://")) {
            (Some(rest), _) => format!("https://{rest}"),
            (None, Some(rest)) if self.is_plain => format!("http://{rest}"),
            _ => return None,
        };
        Url::parse(&rest).ok()
    }

    async fn shake_hands(&self, url: Url) -> Result<WebSocketStream<Upgraded>, HttpError> {
        let key = generate_key();
        let request = HttpRequest::new(Method::GET, url)
            .header("connection", "Upgrade")?
            .header("upgrade", "websocket")?
            .header("sec-websocket-version", "13")?
            .header("sec-websocket-key", &key)?;
        let (headers, upgraded) = self.http.upgrade(request).await?;
        let accepted = headers.get("sec-websocket-accept").map(|value| value.as_bytes());
        if accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(HttpError::setup("the other side does not speak WebSocket"));
        }
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(limits)).await)
    }
}

impl Socket {
    /// The next thing that Slack says. May be dropped and asked again without loss.
    ///
    /// # Errors
    /// The end of the connection.
    pub async fn next(&mut self) -> Result<Incoming, SocketEnd> {
        loop {
            let patience = if self.asked { DEAD_AFTER } else { PING_AFTER };
            match tokio::time::timeout_at(self.heard_at + patience, self.stream.next()).await {
                Err(_) if self.asked => return Err(SocketEnd::Silent),
                Err(_) => {
                    self.asked = true;
                    self.write(Message::Ping(bytes::Bytes::new())).await?;
                }
                Ok(None) => return Err(SocketEnd::Closed),
                Ok(Some(Err(error))) => return Err(SocketEnd::Broken(error.to_string())),
                Ok(Some(Ok(message))) => {
                    (self.heard_at, self.asked) = (Instant::now(), false);
                    match message {
                        Message::Text(text) => return Ok(read(text.as_str())),
                        Message::Close(_) => return Err(SocketEnd::Closed),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Acknowledges an envelope, with an answer where there is one.
    ///
    /// # Errors
    /// The end of the connection: the envelope will come again on another one.
    pub async fn acknowledge(&mut self, envelope: &str, answer: Option<&Value>) -> Result<(), SocketEnd> {
        let mut message = json!({ "envelope_id": envelope });
        if let Some(answer) = answer {
            message["payload"] = answer.clone();
        }
        self.write(Message::text(message.to_string())).await
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        // Whether the other side hears it changes nothing.
        let _ = tokio::time::timeout(WRITE_TIMEOUT, self.stream.close(None)).await;
    }

    async fn write(&mut self, message: Message) -> Result<(), SocketEnd> {
        match tokio::time::timeout(WRITE_TIMEOUT, self.stream.send(message)).await {
            Ok(sent) => sent.map_err(|error| SocketEnd::Broken(error.to_string())),
            Err(_) => Err(SocketEnd::Stuck),
        }
    }
}

/// Reads one message; what is not understood is something else, and never an end.
fn read(text: &str) -> Incoming {
    let Ok(wire) = serde_json::from_str::<Wire<'_>>(text) else { return Incoming::Other };
    match (wire.kind.as_deref(), wire.envelope_id) {
        (Some("hello"), _) => Incoming::Hello { connections: wire.num_connections },
        (Some("disconnect"), _) => {
            Incoming::Disconnect { reason: wire.reason.unwrap_or_else(|| "unnamed".to_owned()) }
        }
        (kind, Some(id)) => Incoming::Envelope(Envelope {
            id,
            kind: kind.unwrap_or_default().to_owned(),
            payload: wire.payload.map_or_else(String::new, |payload| payload.get().to_owned()),
            accepts_response: wire.accepts_response_payload,
        }),
        _ => Incoming::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slack_says_is_read_and_what_is_new_is_no_end() {
        let hello = read(r#"{"type":"hello","num_connections":2,"debug_info":{"host":"h"}}"#);
        assert!(matches!(hello, Incoming::Hello { connections: Some(2) }), "{hello:?}");
        let warning = read(r#"{"type":"disconnect","reason":"warning"}"#);
        assert!(matches!(&warning, Incoming::Disconnect { reason } if reason == "warning"), "{warning:?}");
        let text = r#"{"envelope_id":"e1","type":"interactive","payload":{"b":1, "a":"ü"},"accepts_response_payload":false}"#;
        let Incoming::Envelope(envelope) = read(text) else { panic!("an envelope") };
        assert_eq!((envelope.id.as_str(), envelope.kind.as_str()), ("e1", "interactive"));
        assert_eq!(envelope.payload, r#"{"b":1, "a":"ü"}"#, "as it came, byte for byte");
        for other in ["", "[]", r#"{"type":"thing_of_next_year"}"#] {
            assert!(matches!(read(other), Incoming::Other), "{other}");
        }
    }

    #[test]
    fn an_envelope_without_a_type_or_payload_can_still_be_acknowledged() {
        let Incoming::Envelope(envelope) = read(r#"{"envelope_id":"e1"}"#) else { panic!("an envelope") };
        assert_eq!((envelope.kind.as_str(), envelope.payload.as_str()), ("", ""));
    }
}
