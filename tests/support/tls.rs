//! A TLS server for tests, on a free loopback port: it shows a certificate of its own making to whoever comes, and another
//! one once it is told to.

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The running server.
pub struct TlsServer {
    /// Where it answers.
    pub port: u16,
    names: Vec<String>,
    acceptor: Arc<Mutex<TlsAcceptor>>,
}

impl TlsServer {
    /// Shows a certificate for these names, until midnight of that day (year, month, day).
    pub async fn start(names: &[&str], until: (i32, u8, u8)) -> Self {
        smokejumper::clients::http::install_crypto_provider();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let acceptor = Arc::new(Mutex::new(acceptor(&names, until)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let current = Arc::clone(&acceptor);
        tokio::spawn(async move {
            while let Ok((line, _)) = listener.accept().await {
                let acceptor = current.lock().expect("not poisoned").clone();
                let _ = acceptor.accept(line).await;
            }
        });
        Self { port, names, acceptor }
    }

    /// From now on it shows a new one, until that day.
    #[allow(dead_code, reason = "shared by test crates that each use a part")]
    pub fn show(&self, until: (i32, u8, u8)) {
        *self.acceptor.lock().expect("not poisoned") = acceptor(&self.names, until);
    }
}

fn acceptor(names: &[String], (year, month, day): (i32, u8, u8)) -> TlsAcceptor {
    let mut params = CertificateParams::new(names).expect("names");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(year, month, day);
    params.distinguished_name.push(DnType::CommonName, "shop");
    let key = KeyPair::generate().expect("a key");
    let made = params.self_signed(&key).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.der().clone()], key);
    TlsAcceptor::from(Arc::new(config.expect("a configuration")))
}
