//! Exec: a command in a container, over a websocket with a channel for each stream and one for the end.
//!
//! Nothing is ever run: the answer is one that a scenario gave, or what the small shell makes of the words.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use futures::SinkExt as _;
use http::header::{
    CONNECTION, HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderValue, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::json::{items, text};
use super::request::Asked;
use super::resource::PODS;
use super::script;
use super::status::Refusal;
use super::store::World;
use super::verbs::find;

/// The protocols that are spoken, the newest first.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// Channels of that protocol.
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
/// Bytes of one message.
const MESSAGE_BYTES: usize = 16 * 1024;
/// The exit code of a shell that does not find a program.
const NOT_FOUND: i32 = 127;

/// What a command answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExecAnswer {
    /// What it prints.
    pub stdout: String,
    /// What it complains.
    pub stderr: String,
    /// Its exit code.
    pub code: i32,
    /// How long it takes.
    pub lasts: Duration,
    /// The connection is cut before the end is told: the command ran, and nobody knows how it ended.
    pub cut: bool,
}

impl ExecAnswer {
    /// A command that prints this and ends well.
    #[must_use]
    pub fn printing(stdout: &str) -> Self {
        Self { stdout: stdout.into(), ..Self::default() }
    }

    /// A command that ends with this code and complaint.
    #[must_use]
    pub fn failing(code: i32, stderr: &str) -> Self {
        Self { code, stderr: stderr.into(), ..Self::default() }
    }
}

/// Answers an exec: the switch of protocols now, the command's words afterwards.
pub(super) fn exec(
    world: &World,
    asked: &Asked,
    headers: &HeaderMap,
    upgrade: Option<OnUpgrade>,
) -> Result<Response, Refusal> {
    let pod = find(world, &PODS, asked)?;
    if text(&pod, "/spec/nodeName").is_empty() {
        let message = format!("pod {} does not have a host assigned", asked.name);
        return Err(Refusal::bad_request(message));
    }
    let wanted = asked.query.text("container");
    let statuses = items(&pod, "/status/containerStatuses");
    let named = |status: &&Value| wanted.is_empty() || text(status, "/name") == wanted;
    let running =
        statuses.iter().find(named).is_some_and(|status| status.pointer("/state/running").is_some());
    if !running {
        let own = if wanted.is_empty() { text(&pod, "/spec/containers/0/name") } else { wanted };
        let message =
            format!("Internal error occurred: unable to upgrade connection: container not found (\"{own}\")");
        return Err(Refusal::new(500, "InternalError", message));
    }
    let argv = asked.query.all("command");
    if argv.is_empty() {
        return Err(Refusal::bad_request("you must specify at least 1 command for the container"));
    }
    let offered =
        headers.get(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let protocol = PROTOCOLS.iter().find(|known| offered.split(',').any(|offer| offer.trim() == **known));
    let (Some(upgrade), Some(key), Some(protocol)) = (upgrade, headers.get(SEC_WEBSOCKET_KEY), protocol)
    else {
        return Err(Refusal::bad_request("Upgrade request required"));
    };
    let answer = answer_to(world, argv);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // A client that leaves early ends the exchange, which is its own affair.
            speak(upgraded, answer).await.ok();
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept.expect("the key of an answer is plain ASCII"));
    Ok(response)
}

fn answer_to(world: &World, argv: &[String]) -> ExecAnswer {
    if let Some((_, answer)) = world.play.answers.iter().rev().find(|(known, _)| known == argv) {
        return answer.clone();
    }
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    match script::run_of(&words) {
        Some(done) => ExecAnswer {
            stdout: done.lines.iter().map(|line| format!("{line}\n")).collect(),
            code: done.exit.unwrap_or_default(),
            lasts: done.lasts,
            ..ExecAnswer::default()
        },
        None => ExecAnswer::failing(NOT_FOUND, &format!("sh: {}: not found\n", argv[0])),
    }
}

type Failure = tokio_tungstenite::tungstenite::Error;

async fn speak(upgraded: Upgraded, answer: ExecAnswer) -> Result<(), Failure> {
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    for (channel, words) in [(STDOUT, &answer.stdout), (STDERR, &answer.stderr)] {
        for piece in words.as_bytes().chunks(MESSAGE_BYTES) {
            socket.send(message(channel, piece)).await?;
        }
    }
    tokio::time::sleep(answer.lasts).await;
    if answer.cut {
        return Ok(());
    }
    socket.send(message(STATUS, ending(answer.code).to_string().as_bytes())).await?;
    socket.close(None).await
}

fn message(channel: u8, words: &[u8]) -> Message {
    Message::binary([&[channel], words].concat())
}

fn ending(code: i32) -> Value {
    if code == 0 {
        return json!({ "metadata": {}, "status": "Success" });
    }
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "reason": "NonZeroExitCode",
        "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
    })
}
