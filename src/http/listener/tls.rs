//! Certificates of the service, and of its clients where mutual TLS is on, read again when the files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Least time between two looks at the files. Certificates are renewed days before they end.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The files of a TLS door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain in PEM, the service's own certificate first.
    pub certificate: PathBuf,
    /// Private key in PEM.
    pub key: PathBuf,
    /// Certificates in PEM that issue client certificates; set for mutual TLS.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is turned away.
    pub client_certificate_required: bool,
}

/// Why the files cannot be used. Names the file, never its contents.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read, or is not PEM.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The files do not belong together, or the algorithms are not supported.
    #[error("certificate {certificate} and key {key} cannot be used together: {reason}")]
    Pair {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What is wrong with them.
        reason: String,
    },
}

/// The raw files, to see whether they changed.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// Follows the files. While a new version cannot be used, the last good one stays.
pub(super) struct TlsFollower {
    files: TlsFiles,
    check_interval: Duration,
    state: Mutex<State>,
}

struct State {
    acceptor: TlsAcceptor,
    contents: Contents,
    checked_at: Instant,
    failing: bool,
}

impl std::fmt::Debug for TlsFollower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsFollower").field("files", &self.files).finish_non_exhaustive()
    }
}

impl TlsFollower {
    pub(super) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        Self::checking_every(files, CHECK_INTERVAL)
    }

    pub(super) fn checking_every(files: TlsFiles, check_interval: Duration) -> Result<Self, TlsError> {
        let contents = read(&files)?;
        let acceptor = build(&files, &contents)?;
        let state = State { acceptor, contents, checked_at: Instant::now(), failing: false };
        Ok(Self { files, check_interval, state: Mutex::new(state) })
    }

    /// What the next handshake uses.
    pub(super) fn current(&self) -> TlsAcceptor {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.checked_at.elapsed() >= self.check_interval {
            state.checked_at = Instant::now();
            self.look_again(&mut state);
        }
        state.acceptor.clone()
    }

    fn look_again(&self, state: &mut State) {
        let read = read(&self.files).and_then(|contents| {
            if contents == state.contents {
                return Ok(None);
            }
            build(&self.files, &contents).map(|acceptor| Some((acceptor, contents)))
        });
        match read {
            Ok(None) => state.failing = false,
            Ok(Some((acceptor, contents))) => {
                (state.acceptor, state.contents, state.failing) = (acceptor, contents, false);
                tracing::info!(tls.certificate = %self.files.certificate.display(), "new certificates are in use");
            }
            Err(error) if !state.failing => {
                state.failing = true;
                tracing::warn!(%error, "changed certificates cannot be used; the last good ones stay");
            }
            Err(_) => {}
        }
    }
}

fn read(files: &TlsFiles) -> Result<Contents, TlsError> {
    let read = |path: &Path| {
        std::fs::read(path)
            .map_err(|error| TlsError::File { path: path.to_owned(), reason: error.to_string() })
    };
    Ok(Contents {
        certificate: read(&files.certificate)?,
        key: read(&files.key)?,
        client_ca: files.client_ca.as_deref().map(read).transpose()?,
    })
}

fn build(files: &TlsFiles, contents: &Contents) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(&files.certificate, &contents.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|_| TlsError::File {
        path: files.key.clone(),
        // The library's own words might quote the file.
        reason: "this is no private key in PEM".to_owned(),
    })?;
    let pair = |error: rustls::Error| TlsError::Pair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        reason: error.to_string(),
    };
    // The provider is named here, so that it does not matter what else in the process installed one.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(pair)?;
    let builder = match (&files.client_ca, &contents.client_ca) {
        (Some(path), Some(pem)) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path, pem)? {
                roots.add(certificate).map_err(pair)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier =
                if files.client_certificate_required { verifier } else { verifier.allow_unauthenticated() };
            let verifier = verifier
                .build()
                .map_err(|error| TlsError::File { path: path.clone(), reason: error.to_string() })?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file_error = |reason: String| TlsError::File { path: path.to_owned(), reason };
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| file_error("these are no certificates in PEM".to_owned()))?;
    if certificates.is_empty() {
        return Err(file_error("there is no certificate in it".to_owned()));
    }
    Ok(certificates)
}
