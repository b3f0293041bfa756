//! The certificate that a server shows: a handshake that takes any certificate, remembers it, and asks the machine's own
//! verifier what it thinks of it. Nothing is sent after the handshake.
//!
//! The host comes out of a rule, so [`guard`](super::http::guard) keeps it away from metadata services and the like.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use rustls_platform_verifier::Verifier;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::http::guard::{Refusal, resolve};

/// Time for a connection, where the whole has more.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Why no certificate was seen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlsError {
    /// The server refuses, does not answer, or speaks no TLS.
    #[error("{0}")]
    Down(String),
    /// Our own side cannot tell.
    #[error("{0}")]
    Setup(String),
}

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsTarget<'t> {
    /// Name or address.
    pub host: &'t str,
    /// Port.
    pub port: u16,
    /// The name that the certificate must be for.
    pub server_name: &'t str,
    /// Whether loopback may be asked.
    pub loopback: bool,
    /// Time for everything.
    pub timeout: Duration,
}

/// What a server showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its certificate and those between it and its authority, in DER.
    pub chain: Vec<Vec<u8>>,
    /// Why this machine does not trust it; none where it does.
    pub problem: Option<String>,
}

/// Asks a server for its certificate.
///
/// # Errors
/// [`TlsError`].
pub async fn certificate(target: &TlsTarget<'_>) -> Result<Shown, TlsError> {
    super::http::install_crypto_provider();
    let name = ServerName::try_from(target.server_name.to_owned())
        .map_err(|_| TlsError::Setup(format!("`{}` is no name of a server", target.server_name)))?;
    let witness = Arc::new(Witness::new()?);
    let config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let handshake = async {
        let addresses =
            resolve(target.host, target.port, target.loopback).await.map_err(|refusal| match refusal {
                Refusal::Forbidden(why) => {
                    TlsError::Setup(format!("{} may not be reached: {why}", target.host))
                }
                Refusal::Unresolved(why) => TlsError::Setup(why.to_string()),
            })?;
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&addresses[..]));
        let line = match connecting.await {
            Ok(Ok(line)) => line,
            Ok(Err(error)) => return Err(TlsError::Down(format!("it cannot be reached: {error}"))),
            Err(_) => return Err(TlsError::Down("it cannot be reached: no answer".to_owned())),
        };
        let done = TlsConnector::from(Arc::new(config)).connect(name, line).await;
        done.map(drop).map_err(|error| TlsError::Down(words(&error)))
    };
    let ended = tokio::time::timeout(target.timeout, handshake).await;
    // A server that wants a certificate of ours breaks off once it has shown its own.
    if let Some(shown) = witness.shown() {
        return Ok(shown);
    }
    match ended {
        Ok(Ok(())) => Err(TlsError::Down("it showed no certificate".to_owned())),
        Ok(Err(error)) => Err(error),
        Err(_) => {
            let waited = target.timeout.as_millis();
            Err(TlsError::Down(format!("it did not finish the handshake within {waited} ms")))
        }
    }
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::InvalidData => format!("TLS does not come about: {error}"),
        _ => format!("it broke off the handshake: {error}"),
    }
}

/// Takes every certificate, and keeps it with what the machine's verifier says.
#[derive(Debug)]
struct Witness {
    machine: Verifier,
    shown: Mutex<Option<Shown>>,
}

impl Witness {
    fn new() -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let machine = Verifier::new(provider);
        let machine =
            machine.map_err(|error| TlsError::Setup(format!("this machine has no authorities: {error}")))?;
        Ok(Self { machine, shown: Mutex::default() })
    }

    fn shown(&self) -> Option<Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judged = self.machine.verify_server_cert(own, between, server_name, ocsp_response, now);
        let chain = std::iter::once(own).chain(between).map(|certificate| certificate.to_vec()).collect();
        let problem = judged.err().map(|error| problem(&error));
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(Shown { chain, problem });
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.machine.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.machine.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.machine.supported_verify_schemes()
    }
}

/// In words that an operator knows.
fn problem(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "it has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "it is not valid yet".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "it is for other names".to_owned()
            }
            CertificateError::UnknownIssuer => "this machine does not know its authority".to_owned(),
            CertificateError::Revoked => "it was revoked".to_owned(),
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}
