//! Why PostgreSQL did not answer as it should, and what that says about the server: the table from SQLSTATE to meaning
//! (PostgreSQL manual, appendix A).

use std::io;

use thiserror::Error;

/// A connection or a statement without its answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {failure}")]
pub struct PgError {
    /// Which server and database.
    pub place: String,
    /// What happened.
    pub failure: Failure,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// Nobody answers there, or it starts, stops or recovers: nothing was carried out.
    #[error("it cannot be reached: {0}")]
    NotReached(String),
    /// All its connections are taken.
    #[error("it takes no more connections: {0}")]
    Full(String),
    /// User, password or database are not accepted, or may not do this.
    #[error("it refuses: {0}")]
    Refused(String),
    /// The statement took longer than it was given, or waited too long for a lock: it was cancelled.
    #[error("it took too long and was cancelled: {0}")]
    TooLong(String),
    /// There is no such table, view or column.
    #[error("there is no such thing: {0}")]
    Missing(String),
    /// It does not take the statement.
    #[error("it says no: {0}")]
    Said(String),
    /// The connection broke: a statement may have been carried out.
    #[error("it gave no answer: {0}")]
    Broken(String),
    /// Our own side cannot tell: the address, the name, the certificates.
    #[error("{0}")]
    Setup(String),
}

impl Failure {
    /// Before a statement was sent, nothing can have been carried out.
    pub(super) fn while_connecting(self) -> Self {
        match self {
            Self::Broken(words) => Self::NotReached(words),
            other => other,
        }
    }
}

impl PgError {
    /// Whether the server itself is known not to serve us.
    pub fn is_down(&self) -> bool {
        matches!(self.failure, Failure::NotReached(_) | Failure::Full(_))
    }

    /// Whether the same may succeed by itself later.
    pub fn is_passing(&self) -> bool {
        matches!(
            self.failure,
            Failure::NotReached(_) | Failure::Full(_) | Failure::Broken(_) | Failure::TooLong(_)
        )
    }
}

/// What an error of the library means.
pub(super) fn failure_of(error: &sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Database(said) => {
            let code = said.code().unwrap_or_default();
            of_state(&code, format!("{} ({code})", said.message()))
        }
        sqlx::Error::Io(error) => of_transport(error),
        sqlx::Error::Tls(error) => Failure::Setup(format!("TLS does not come about: {error}")),
        sqlx::Error::Configuration(_) => Failure::Setup("the address cannot be used".to_owned()),
        sqlx::Error::Protocol(words) => Failure::Setup(format!("this is no answer of PostgreSQL's: {words}")),
        other => Failure::Broken(other.to_string()),
    }
}

fn of_state(code: &str, words: String) -> Failure {
    match code {
        "53300" => Failure::Full(words),
        // It starts, stops or recovers.
        "57P03" => Failure::NotReached(words),
        // An administrator ended the session, or it crashed.
        "57P01" | "57P02" | "57P05" | "08000" | "08003" | "08006" => Failure::Broken(words),
        "57014" | "55P03" => Failure::TooLong(words),
        "42P01" | "42703" | "42883" | "3F000" => Failure::Missing(words),
        "28P01" | "28000" | "3D000" | "42501" | "25006" => Failure::Refused(words),
        _ => Failure::Said(words),
    }
}

fn of_transport(error: &io::Error) -> Failure {
    let words = error.to_string();
    if words.contains("failed to lookup address") || words.contains("Name or service not known") {
        return Failure::Setup(format!("its name cannot be resolved: {words}"));
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NotFound => Failure::NotReached(words),
        io::ErrorKind::InvalidData => Failure::Setup(format!("TLS does not come about: {words}")),
        _ => Failure::Broken(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_meaning() {
        let means = |code| of_state(code, "words".to_owned());
        let words = || "words".to_owned();
        assert_eq!(means("53300"), Failure::Full(words()));
        assert_eq!(means("57P03"), Failure::NotReached(words()));
        assert_eq!(means("57P01"), Failure::Broken(words()));
        assert_eq!(means("57014"), Failure::TooLong(words()));
        assert_eq!(means("42P01"), Failure::Missing(words()));
        assert_eq!(means("25006"), Failure::Refused(words()));
        assert_eq!(means("22012"), Failure::Said(words()));
    }

    #[test]
    fn only_what_passes_may_be_tried_again() {
        let is_passing = |failure| PgError { place: String::new(), failure }.is_passing();
        assert!(is_passing(Failure::Full(String::new())) && is_passing(Failure::TooLong(String::new())));
        assert!(!is_passing(Failure::Refused(String::new())) && !is_passing(Failure::Setup(String::new())));
        assert!(!is_passing(Failure::Missing(String::new())));
    }
}
