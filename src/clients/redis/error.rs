//! Why Redis did not answer as it should, and what that says about the server.

use std::time::Duration;

use redis::{ErrorKind, ServerErrorKind};
use thiserror::Error;

/// A server without TLS takes a handshake for the beginning of a command, and waits for its end.
const WITHOUT_TLS: &str = "; a server without TLS is `redis://`";

/// A connection or a command without its answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {failure}")]
pub struct RedisError {
    /// Which server.
    pub place: String,
    /// What happened.
    pub failure: Failure,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// Nobody answers there: nothing was carried out.
    #[error("it cannot be reached: {0}")]
    NotReached(String),
    /// All its connections are taken.
    #[error("it takes no more connections (maxclients)")]
    Full,
    /// It answers, and does nothing for now: it loads its data, runs a script, or has lost its master.
    #[error("it cannot answer now: {0}")]
    Busy(String),
    /// User or password are not accepted, or may not do this.
    #[error("it refuses: {0}")]
    Refused(String),
    /// It does not take the command.
    #[error("it says no: {0}")]
    Said(String),
    /// The connection broke, or there was no answer in time: a command may have been carried out.
    #[error("it gave no answer: {0}")]
    Broken(String),
    /// Our own side cannot tell: the address, the name, the certificates.
    #[error("{0}")]
    Setup(String),
}

impl Failure {
    /// Before a command was sent, nothing can have been carried out.
    pub(super) fn while_connecting(self) -> Self {
        match self {
            Self::Broken(words) => Self::NotReached(words),
            other => other,
        }
    }

    /// It accepts connections and does not answer.
    pub(super) fn silent(timeout: Duration, tls: bool) -> Self {
        let hint = if tls { WITHOUT_TLS } else { "" };
        Self::NotReached(format!("it did not answer within {} ms{hint}", timeout.as_millis()))
    }
}

impl RedisError {
    /// Whether the server itself is known not to serve us.
    pub fn is_down(&self) -> bool {
        matches!(self.failure, Failure::NotReached(_) | Failure::Full | Failure::Broken(_))
    }

    /// Whether the command may have been carried out.
    pub fn maybe_sent(&self) -> bool {
        matches!(self.failure, Failure::Broken(_))
    }

    /// Whether the same may succeed by itself later.
    pub fn is_passing(&self) -> bool {
        matches!(self.failure, Failure::NotReached(_) | Failure::Full | Failure::Busy(_) | Failure::Broken(_))
    }
}

/// What an error of the library means. `tls` says whether the connection was to be encrypted.
pub(super) fn failure_of(error: &redis::RedisError, tls: bool) -> Failure {
    let words = error.to_string();
    if words.contains("max number of clients reached") {
        return Failure::Full;
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => {
            return Failure::Refused(words);
        }
        ErrorKind::Server(
            ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown,
        ) => return Failure::Busy(words),
        ErrorKind::Io => return of_transport(error, words, tls),
        ErrorKind::Parse => return Failure::Setup(format!("this is no answer of Redis': {words}")),
        _ => {}
    }
    match error.code() {
        Some("NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED") => Failure::Refused(words),
        Some("BUSY" | "LOADING" | "MASTERDOWN" | "TRYAGAIN") => Failure::Busy(words),
        _ => Failure::Said(words),
    }
}

fn of_transport(error: &redis::RedisError, words: String, tls: bool) -> Failure {
    if words.contains("failed to lookup address") || words.contains("Name or service not known") {
        return Failure::Setup(format!("its name cannot be resolved: {words}"));
    }
    if error.is_connection_refusal() {
        return Failure::NotReached(words);
    }
    let is_cut = error.is_connection_dropped();
    if tls && !is_cut && !error.is_timeout() {
        let is_plain = words.contains("InvalidContentType");
        let hint = if is_plain { WITHOUT_TLS } else { "" };
        return Failure::Setup(format!("TLS does not come about: {words}{hint}"));
    }
    let hint = match (tls, is_cut) {
        (false, true) => "; a server with TLS only is `rediss://`",
        (true, false) => WITHOUT_TLS,
        _ => "",
    };
    Failure::Broken(format!("{words}{hint}"))
}
