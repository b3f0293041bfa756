//! Keeps a connection of Slack's Socket Mode open, and takes in what comes over it.
//!
//! An envelope is acknowledged when what it says is stored, and not before: Slack sends what was not acknowledged
//! again. When Slack announces the end of a connection the next one is opened first, and the old one is read until
//! it ends. What an envelope holds goes the way of what is posted to `/webhooks/slack`.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use http::StatusCode;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::meter::{EnvelopeEnd, SocketMeter};
use crate::clients::answer::SendError;
use crate::clients::slack::socket::{Envelope, Incoming, Socket, SocketEnd};
use crate::http::services::Services;

/// Envelopes of one connection that are worked on at once. Beyond, no more are read: what waits here waits in Slack.
const ENVELOPES_MAX: usize = 64;
/// First wait after a failure. It doubles with each further one.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// Longest wait after a failure: a connection that is refused for good costs one call a minute.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a connection is still read after Slack has announced its end. Slack closes it after some ten seconds.
const LEAVES_WITHIN: Duration = Duration::from_secs(60);
/// Time for a connection to be greeted. Until then nothing comes over it.
const GREETED_WITHIN: Duration = Duration::from_secs(10);
/// Time at a stop for envelopes that are being stored.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// Opens one connection.
pub type Connect = dyn Fn() -> BoxFuture<'static, Result<Socket, SendError>> + Send + Sync;

/// Socket Mode, as the roof sets it up.
pub struct SocketMode {
    /// Opens connections.
    pub connect: Arc<Connect>,
    /// Takes in what comes.
    pub services: Services,
    /// Counts.
    pub meter: SocketMeter,
}

/// Why a connection is followed by another.
enum Leaves {
    /// Slack has announced its end.
    Announced,
    /// It is over.
    Ended {
        /// Whether it was ever of use.
        was_greeted: bool,
    },
}

impl SocketMode {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        self.meter.show_zeroes();
        let mut open = JoinSet::new();
        let mut failures = 0_u32;
        while !stop.is_cancelled() {
            // Those that are over are forgotten.
            while open.try_join_next().is_some() {}
            let connected = tokio::select! {
                () = stop.cancelled() => break,
                connected = (self.connect)() => connected,
            };
            self.meter.connects(connected.is_ok());
            let asked = match connected {
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(%error, failures, "Slack's Socket Mode is not connected: presses on buttons wait");
                    after_of(&error)
                }
                Ok(socket) => {
                    let (leaving, left) = oneshot::channel();
                    let line = Line {
                        services: self.services.clone(),
                        meter: self.meter.clone(),
                        leaving: Some(leaving),
                        was_greeted: false,
                    };
                    open.spawn(line.serve(socket, stop.clone()));
                    match left.await.unwrap_or(Leaves::Ended { was_greeted: false }) {
                        Leaves::Announced | Leaves::Ended { was_greeted: true } => failures = 0,
                        Leaves::Ended { was_greeted: false } => failures = failures.saturating_add(1),
                    }
                    None
                }
            };
            let wait = asked.unwrap_or_default().max(wait_after(failures, self.chance()));
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        while open.join_next().await.is_some() {}
    }

    /// A number between 0 and 1, so that replicas do not come all at once.
    fn chance(&self) -> f64 {
        let drawn = self.services.ids.delivery();
        let tail = &drawn[drawn.len().saturating_sub(4)..];
        u16::from_str_radix(tail, 16).map_or(0.5, |number| f64::from(number) / f64::from(u16::MAX))
    }
}

/// How long to wait after so many failures in a row; `chance` is between 0 and 1. A connection that served and ended is
/// followed soon.
fn wait_after(failures: u32, chance: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(10);
    let longest = (WAIT_MIN * 2_u32.pow(doublings)).min(WAIT_MAX);
    longest.mul_f64(if failures == 0 { chance } else { 0.5 + chance / 2.0 })
}

/// What the other side asks for.
fn after_of(error: &SendError) -> Option<Duration> {
    match error {
        SendError::Retry { after, .. } => *after,
        SendError::Paced { wait } => Some(*wait),
        // A token that is wrong may be put right in its file.
        SendError::Permanent { .. } => Some(WAIT_MAX),
        SendError::Ambiguous { .. } => None,
    }
}

/// One connection while it is read.
struct Line {
    services: Services,
    meter: SocketMeter,
    leaving: Option<oneshot::Sender<Leaves>>,
    was_greeted: bool,
}

impl Line {
    async fn serve(mut self, mut socket: Socket, stop: CancellationToken) {
        let mut under_way: FuturesUnordered<BoxFuture<'static, (String, Answer)>> = FuturesUnordered::new();
        let mut counted = None;
        let mut until = Instant::now() + GREETED_WITHIN;
        let ended = loop {
            tokio::select! {
                () = stop.cancelled() => break None,
                // One that was announced to end, or never began.
                () = tokio::time::sleep_until(until), if self.leaving.is_none() || !self.was_greeted => break None,
                Some((id, answer)) = under_way.next(), if !under_way.is_empty() => {
                    if let Err(end) = acknowledge(&mut socket, &id, answer).await {
                        break Some(end);
                    }
                }
                said = socket.next(), if under_way.len() < ENVELOPES_MAX => match said {
                    Ok(Incoming::Hello { connections }) => {
                        self.was_greeted = true;
                        counted.get_or_insert_with(|| self.meter.connected());
                        tracing::info!(connections, "Slack's Socket Mode is connected");
                    }
                    Ok(Incoming::Disconnect { reason }) => {
                        tracing::info!(reason, "Slack is about to close a connection of Socket Mode");
                        until = Instant::now() + LEAVES_WITHIN;
                        let was_greeted = self.was_greeted;
                        // One that is closed before it was of any use is no reason to hurry.
                        self.leave(if was_greeted { Leaves::Announced } else { Leaves::Ended { was_greeted } });
                    }
                    Ok(Incoming::Envelope(envelope)) => {
                        under_way.push(Box::pin(take(self.services.clone(), self.meter.clone(), envelope)));
                    }
                    Ok(Incoming::Other) => {}
                    Err(end) => break Some(end),
                },
            }
        };
        if let Some(end) = &ended {
            tracing::info!(reason = %end, "a connection of Slack's Socket Mode is over");
        }
        let was_greeted = self.was_greeted;
        self.leave(Leaves::Ended { was_greeted });
        drop(counted);
        if ended.is_none() {
            // What is being stored is stored; whoever pressed should not read that it failed.
            let rest = async {
                while let Some((id, answer)) = under_way.next().await {
                    let _ = acknowledge(&mut socket, &id, answer).await;
                }
            };
            let _ = tokio::time::timeout(STOP_WITHIN, rest).await;
            socket.close().await;
        }
    }

    /// Lets the next connection be opened, once.
    fn leave(&mut self, how: Leaves) {
        if let Some(leaving) = self.leaving.take() {
            // At a stop nobody waits for it.
            let _ = leaving.send(how);
        }
    }
}

/// What an acknowledgement says.
enum Answer {
    /// No more than that it is there.
    Plain,
    /// Something to show.
    With(Value),
    /// There is none: it has to come again.
    None,
}

async fn acknowledge(socket: &mut Socket, envelope: &str, answer: Answer) -> Result<(), SocketEnd> {
    match answer {
        Answer::None => Ok(()),
        Answer::Plain => socket.acknowledge(envelope, None).await,
        Answer::With(shown) => socket.acknowledge(envelope, Some(&shown)).await,
    }
}

/// Takes in one envelope; returns what it is called and what to answer.
async fn take(services: Services, meter: SocketMeter, envelope: Envelope) -> (String, Answer) {
    let Envelope { id, kind, payload, accepts_response } = envelope;
    let taken = match kind.as_str() {
        "interactive" => Some(super::interaction(&services, super::form_of(&payload)).await.map(|()| None)),
        "slash_commands" => Some(super::command_of(&services, &payload).await),
        "events_api" => Some(super::event(&services, payload.as_bytes()).map(|_| None)),
        _ => None,
    };
    let (end, answer) = match taken {
        None => {
            tracing::info!(kind, "an envelope of a kind that is not used here was acknowledged");
            (EnvelopeEnd::Unknown, Answer::Plain)
        }
        Some(Ok(Some(shown))) if accepts_response => (EnvelopeEnd::Taken, Answer::With(shown)),
        Some(Ok(_)) => (EnvelopeEnd::Taken, Answer::Plain),
        Some(Err(problem)) if problem.status == StatusCode::SERVICE_UNAVAILABLE => {
            tracing::warn!(kind, error = problem.detail, "an envelope could not be stored and comes again");
            (EnvelopeEnd::Unavailable, Answer::None)
        }
        Some(Err(problem)) => {
            tracing::warn!(kind, error = problem.detail, "an envelope cannot be read");
            (EnvelopeEnd::Malformed, Answer::Plain)
        }
    };
    meter.envelope(&kind, end);
    (id, answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_minute_and_are_never_alike() {
        assert_eq!(wait_after(0, 0.0), Duration::ZERO);
        assert_eq!(wait_after(0, 1.0), WAIT_MIN);
        assert_eq!((wait_after(1, 0.0), wait_after(1, 1.0)), (WAIT_MIN / 2, WAIT_MIN));
        assert_eq!(wait_after(4, 1.0), WAIT_MIN * 8);
        assert_eq!((wait_after(40, 0.0), wait_after(u32::MAX, 1.0)), (WAIT_MAX / 2, WAIT_MAX));
    }

    #[test]
    fn what_slack_asks_for_is_waited_for() {
        let asked = SendError::Retry { after: Some(Duration::from_secs(7)), reason: String::new() };
        assert_eq!(after_of(&asked), Some(Duration::from_secs(7)));
        let refused = SendError::Permanent { code: "invalid_auth".to_owned(), reason: String::new() };
        assert_eq!(after_of(&refused), Some(WAIT_MAX));
    }
}
