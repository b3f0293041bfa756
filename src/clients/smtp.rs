//! Mail by SMTP: one message, one connection, and what the server's answer means.
//!
//! A connection for each message costs a few round trips and keeps no state that could be stale. TLS is asked for and not
//! merely tried: a server that offers none is an error, unless the settings say plain. An answer with 5 is final, one with
//! 4 comes again, and so does a connection that cannot be had.

use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};

use super::answer::{SendError, cut_chars};

/// Characters of a server's answer that are kept.
const DETAIL_CHARS_MAX: usize = 300;

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Plain at first, and TLS before anything is said (port 587).
    StartTls,
    /// TLS from the first byte (port 465).
    Tls,
    /// None; for a server on the same machine.
    Plain,
}

/// Which server, and as whom.
#[derive(Debug, Clone)]
pub struct SmtpOptions {
    /// Its name, which its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// Certificates in PEM to trust besides the system's.
    pub authorities_pem: Option<Vec<u8>>,
    /// Time for each step of a conversation.
    pub timeout: Duration,
}

/// One mail. All texts are plain.
#[derive(Debug, Clone)]
pub struct Mail {
    /// From whom, as `Name <address>` or an address.
    pub from: String,
    /// To whom.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Lines.
    pub text: String,
    /// Identity, the same when it is sent again, without the marks around it.
    pub message_id: String,
    /// Identity of what it belongs to, so that mail programs show all of it together.
    pub thread_id: String,
}

/// Sends mail.
#[derive(Debug)]
pub struct SmtpClient {
    options: SmtpOptions,
    tls: Tls,
}

impl SmtpClient {
    /// A client for one server; nothing is sent yet.
    ///
    /// # Errors
    /// Where the certificates are none in PEM.
    pub fn new(options: SmtpOptions) -> Result<Self, String> {
        super::http::install_crypto_provider();
        let tls = match options.security {
            Security::Plain => Tls::None,
            Security::StartTls => Tls::Required(parameters(&options)?),
            Security::Tls => Tls::Wrapper(parameters(&options)?),
        };
        Ok(Self { options, tls })
    }

    /// Sends one mail.
    ///
    /// # Errors
    /// As the table says. What is sent again after an unclear end has the same identity.
    pub async fn send(&self, mail: &Mail, sign_in: Option<(&str, SecretString)>) -> Result<(), SendError> {
        let message = written(mail).map_err(|reason| SendError::permanent("not_sendable", reason))?;
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(self.options.host.as_str())
            .port(self.options.port)
            .tls(self.tls.clone())
            .timeout(Some(self.options.timeout))
            .hello_name(ClientId::Domain(domain_of(&mail.from).to_owned()));
        if let Some((user, password)) = sign_in {
            let password = password.expose_secret().to_owned();
            builder = builder.credentials(Credentials::new(user.to_owned(), password));
        }
        builder.build().send(message).await.map(|_| ()).map_err(|error| refusal(&error))
    }
}

fn parameters(options: &SmtpOptions) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(options.host.clone());
    if let Some(pem) = &options.authorities_pem {
        let certificate = Certificate::from_pem(pem).map_err(|error| error.to_string())?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build_rustls().map_err(|error| error.to_string())
}

/// The part of an address behind the last `@`, without the mark that may follow it.
fn domain_of(address: &str) -> &str {
    address.rsplit('@').next().unwrap_or(address).trim_end_matches('>').trim()
}

fn written(mail: &Mail) -> Result<Message, String> {
    let address =
        |text: &str| text.parse::<Mailbox>().map_err(|error| format!("`{text}` is no mail address: {error}"));
    let domain = domain_of(&mail.from);
    let thread = format!("<{}@{domain}>", mail.thread_id);
    Message::builder()
        .from(address(&mail.from)?)
        .to(address(&mail.to)?)
        .subject(mail.subject.clone())
        .message_id(Some(format!("<{}@{domain}>", mail.message_id)))
        .in_reply_to(thread.clone())
        .references(thread)
        // Nobody's holiday notice is an answer to an incident (RFC 3834).
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .header(ContentType::TEXT_PLAIN)
        .body(mail.text.clone())
        .map_err(|error| error.to_string())
}

/// The table: 5xx is final, everything else comes again.
fn refusal(error: &lettre::transport::smtp::Error) -> SendError {
    let mut reason = error.to_string();
    if let Some(source) = std::error::Error::source(error)
        && !reason.contains(&source.to_string())
    {
        reason = format!("{reason}: {source}");
    }
    let reason = cut_chars(&reason, DETAIL_CHARS_MAX);
    if error.is_permanent() {
        let code = error.status().map_or_else(|| "smtp".to_owned(), |code| format!("smtp_{code}"));
        SendError::permanent(code, reason)
    } else {
        SendError::Retry { after: None, reason }
    }
}

#[cfg(test)]
pub(crate) mod tests;
