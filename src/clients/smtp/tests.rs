//! A small mail server on loopback, and the client against it: protection, signing in, refusals.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;

/// How the server behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// What it answers to a recipient.
    pub(crate) rcpt: &'static str,
    /// What it answers when a mail is there.
    pub(crate) data: &'static str,
    /// Whether it offers TLS.
    pub(crate) offers_tls: bool,
    /// User and password that it asks for.
    pub(crate) password: Option<(&'static str, &'static str)>,
}

impl Default for Manner {
    fn default() -> Self {
        Self { rcpt: "250 2.1.5 ok", data: "250 2.0.0 taken", offers_tls: false, password: None }
    }
}

/// A mail as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) data: String,
    pub(crate) protected: bool,
}

#[derive(Debug, Default)]
struct Record {
    commands: Vec<String>,
    mails: Vec<Arrived>,
}

/// The server; it ends with the test's runtime.
pub(crate) struct MailServer {
    pub(crate) port: u16,
    pub(crate) certificate_pem: String,
    record: Arc<Mutex<Record>>,
}

impl MailServer {
    pub(crate) async fn start(manner: Manner) -> Self {
        install();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let record = Arc::new(Mutex::new(Record::default()));
        let (acceptor, certificate_pem) = acceptor();
        let written = Arc::clone(&record);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, record) = (acceptor.clone(), Arc::clone(&written));
                tokio::spawn(async move { serve(stream, manner, acceptor, record).await });
            }
        });
        Self { port, certificate_pem, record }
    }

    pub(crate) fn mails(&self) -> Vec<Arrived> {
        self.record.lock().expect("not poisoned").mails.clone()
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        self.record.lock().expect("not poisoned").commands.clone()
    }
}

fn install() {
    crate::clients::http::install_crypto_provider();
}

fn acceptor() -> (TlsAcceptor, String) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("a configuration");
    (TlsAcceptor::from(Arc::new(config)), certificate.pem())
}

async fn serve(stream: TcpStream, manner: Manner, acceptor: TlsAcceptor, record: Arc<Mutex<Record>>) {
    let mut stream = BufReader::new(stream);
    if stream.write_all(b"220 localhost ready\r\n").await.is_err() {
        return;
    }
    if converse(&mut stream, manner, false, &record).await {
        let Ok(protected) = acceptor.accept(stream.into_inner()).await else { return };
        converse(&mut BufReader::new(protected), manner, true, &record).await;
    }
}

/// Answers until the other side is done. True where it wants TLS.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    manner: Manner,
    protected: bool,
    record: &Mutex<Record>,
) -> bool {
    let (mut from, mut to) = (String::new(), String::new());
    let mut signed_in = manner.password.is_none();
    let mut line = String::new();
    loop {
        line.clear();
        if !matches!(stream.read_line(&mut line).await, Ok(1..)) {
            return false;
        }
        let command = line.trim_end().to_owned();
        record.lock().expect("not poisoned").commands.push(command.clone());
        let upper = command.to_uppercase();
        let answer = if upper.starts_with("EHLO") {
            let tls = if manner.offers_tls && !protected { "250-STARTTLS\r\n" } else { "" };
            let auth = if manner.password.is_some() { "250-AUTH PLAIN LOGIN\r\n" } else { "" };
            format!("250-localhost\r\n{tls}{auth}250 8BITMIME")
        } else if upper == "STARTTLS" {
            let _ = stream.write_all(b"220 go ahead\r\n").await;
            return true;
        } else if let Some(given) = upper.strip_prefix("AUTH PLAIN ").and(command.get("AUTH PLAIN ".len()..))
        {
            signed_in = manner.password.is_some_and(|(user, password)| {
                let expected = format!("\0{user}\0{password}");
                base64::engine::general_purpose::STANDARD.encode(expected) == given
            });
            (if signed_in { "235 2.7.0 welcome" } else { "535 5.7.8 wrong" }).to_owned()
        } else if upper.starts_with("MAIL FROM:") {
            from = address(&command);
            (if signed_in { "250 2.1.0 ok" } else { "530 5.7.0 who are you" }).to_owned()
        } else if upper.starts_with("RCPT TO:") {
            to = address(&command);
            manner.rcpt.to_owned()
        } else if upper == "DATA" {
            let _ = stream.write_all(b"354 go on\r\n").await;
            let data = data(stream).await;
            if manner.data.starts_with('2') {
                let mail = Arrived { from: from.clone(), to: to.clone(), data, protected };
                record.lock().expect("not poisoned").mails.push(mail);
            }
            manner.data.to_owned()
        } else if upper == "QUIT" {
            let _ = stream.write_all(b"221 bye\r\n").await;
            return false;
        } else {
            "250 ok".to_owned()
        };
        if stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return false;
        }
    }
}

fn address(command: &str) -> String {
    let inner = command.split_once('<').map_or("", |(_, rest)| rest);
    inner.split_once('>').map_or(inner, |(address, _)| address).to_owned()
}

/// The lines of a mail up to the dot, with the dots that were doubled made single.
async fn data<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>) -> String {
    let (mut data, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        if !matches!(stream.read_line(&mut line).await, Ok(1..)) || line == ".\r\n" {
            return data;
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

fn mk_client(server: &MailServer, security: Security, trusts: bool) -> SmtpClient {
    let options = SmtpOptions {
        host: "localhost".to_owned(),
        port: server.port,
        security,
        authorities_pem: trusts.then(|| server.certificate_pem.clone().into_bytes()),
        timeout: Duration::from_secs(10),
    };
    SmtpClient::new(options).expect("a client")
}

fn mk_mail() -> Mail {
    Mail {
        from: "Smokejumper <sj@example.com>".to_owned(),
        to: "una@example.com".to_owned(),
        subject: "größer als alles".to_owned(),
        text: "Look\r\n.at this\r\n".to_owned(),
        message_id: "e7".to_owned(),
        thread_id: "inc".to_owned(),
    }
}

#[tokio::test]
async fn a_mail_goes_out_protected_and_signed_in() {
    let manner = Manner { offers_tls: true, password: Some(("sj", "pass word")), ..Manner::default() };
    let server = MailServer::start(manner).await;
    let sign_in = Some(("sj", SecretString::from("pass word")));
    mk_client(&server, Security::StartTls, true).send(&mk_mail(), sign_in).await.expect("sent");
    let mail = &server.mails()[0];
    assert!(mail.protected);
    assert_eq!((mail.from.as_str(), mail.to.as_str()), ("sj@example.com", "una@example.com"));
    assert!(mail.data.contains("\r\n.at this\r\n"), "{}", mail.data);
    // Nothing but the wish for TLS is said before it.
    let before: Vec<String> =
        server.commands().into_iter().take_while(|command| command != "STARTTLS").collect();
    assert!(before.iter().all(|command| command.starts_with("EHLO")), "{before:?}");
}

#[tokio::test]
async fn a_server_that_offers_no_tls_or_that_nobody_knows_gets_nothing() {
    let plain = MailServer::start(Manner::default()).await;
    let error =
        mk_client(&plain, Security::StartTls, true).send(&mk_mail(), None).await.expect_err("a refusal");
    assert!(matches!(error, SendError::Retry { .. }), "{error}");
    assert!(plain.mails().is_empty());

    let stranger = MailServer::start(Manner { offers_tls: true, ..Manner::default() }).await;
    let error =
        mk_client(&stranger, Security::StartTls, false).send(&mk_mail(), None).await.expect_err("a refusal");
    assert!(matches!(error, SendError::Retry { .. }), "{error}");
    assert!(stranger.mails().is_empty());
}

#[tokio::test]
async fn a_wrong_password_is_final_and_stays_out_of_the_words() {
    let server = MailServer::start(Manner { password: Some(("sj", "right")), ..Manner::default() }).await;
    let sign_in = Some(("sj", SecretString::from("wrong-password")));
    let error =
        mk_client(&server, Security::Plain, false).send(&mk_mail(), sign_in).await.expect_err("a refusal");
    assert!(matches!(error, SendError::Permanent { .. }), "{error}");
    assert!(!error.to_string().contains("wrong-password"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let options = SmtpOptions {
        host: "localhost".to_owned(),
        port,
        security: Security::Plain,
        authorities_pem: None,
        timeout: Duration::from_secs(5),
    };
    let client = SmtpClient::new(options).expect("a client");
    let error = client.send(&mk_mail(), None).await.expect_err("a refusal");
    assert!(matches!(error, SendError::Retry { .. }), "{error}");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_before_anything_is_sent() {
    let server = MailServer::start(Manner::default()).await;
    let mail = Mail { to: "una@example.com>\r\nRCPT TO:<x@example.com".to_owned(), ..mk_mail() };
    let error = mk_client(&server, Security::Plain, false).send(&mail, None).await.expect_err("a refusal");
    assert!(matches!(error, SendError::Permanent { .. }), "{error}");
    assert!(server.commands().is_empty());
}
