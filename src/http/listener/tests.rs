//! Connections are taken, limited and ended, with and without TLS.

use std::time::Instant;

use axum::Extension;
use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::*;

mod http2;
use crate::http::body::{BodyGate, BodyLimits, gate_bodies};

/// Short times, so that the tests, which need real sockets and so real time, stay short.
fn mk_limits() -> ConnectionLimits {
    ConnectionLimits {
        connections: 100,
        connections_per_ip: 100,
        tls_handshake_timeout: Duration::from_millis(300),
        header_timeout: Duration::from_millis(300),
        header_bytes: 8192,
        headers: 50,
        idle_timeout: Duration::from_secs(30),
        write_timeout: Duration::from_millis(300),
        shutdown_grace: Duration::from_millis(500),
    }
}

struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    meter: DoorMeter,
    task: JoinHandle<()>,
}

fn mk_router() -> Router {
    let gate = BodyGate::new(BodyLimits {
        body_bytes: 1_000_000,
        bodies_bytes: 10_000_000,
        body_timeout: Duration::from_millis(300),
    });
    let peer = |Extension(peer): Extension<Peer>| async move {
        format!("{} {}", peer.address.ip(), peer.has_client_certificate)
    };
    Router::new()
        .route("/", get(|| async { "fine" }))
        .route("/peer", get(peer))
        .route("/slow", get(|| async { tokio::time::sleep(Duration::from_millis(200)).await }))
        .route("/stuck", get(std::future::pending::<()>))
        .route("/large", get(|| async { vec![b'x'; 20_000_000] }))
        .route("/body", post(|body: Bytes| async move { body.len().to_string() }))
        .layer(axum::middleware::from_fn_with_state(gate, gate_bodies))
}

fn mk_served(limits: ConnectionLimits, tls: Option<TlsFiles>) -> Served {
    let (stop, meter) = (CancellationToken::new(), DoorMeter::default());
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener =
        Listener::bind(address, tls, limits, meter.clone()).unwrap_or_else(|error| panic!("{error}"));
    let address = listener.local_address().expect("it is bound");
    let task = tokio::spawn(listener.serve(mk_router(), stop.clone()));
    Served { address, stop, meter, task }
}

/// One request over a connection of its own, and all that comes back.
async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("writes");
    read_all(&mut stream).await
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    // A reset after the answer is an end like any other.
    let _ = read.expect("the connection ends in time");
    String::from_utf8_lossy(&answer).into_owned()
}

const HEALTHY: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

async fn is_healthy(address: SocketAddr) -> bool {
    ask(address, HEALTHY).await.starts_with("HTTP/1.1 200")
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_request_is_answered_and_knows_who_asks() {
    let served = mk_served(mk_limits(), None);
    let answer = ask(served.address, "GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("127.0.0.1 false"), "{answer}");
    eventually("its place is given back", || served.meter.connections_open() == 0).await;
}

#[tokio::test]
async fn hundreds_of_slow_sockets_do_not_keep_a_healthy_one_out() {
    let served = mk_served(mk_limits(), None);
    let mut slow = Vec::new();
    for count in 0..400 {
        let mut stream = TcpStream::connect(served.address).await.expect("connects");
        // Some say nothing, some begin a head and never end it.
        if count % 2 == 0 {
            stream.write_all(b"POST /body HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.expect("writes");
        }
        slow.push(stream);
        if count % 50 == 0 {
            let started = Instant::now();
            assert!(is_healthy(served.address).await, "after {count} slow sockets");
            assert!(started.elapsed() < Duration::from_secs(2), "took {:?}", started.elapsed());
        }
    }
    assert!(served.meter.connections_open() <= 100 + 1, "{}", served.meter.connections_open());
    assert!(served.meter.connections_closed(Closed::Displaced) >= 290);
    eventually("slow heads are cut", || served.meter.connections_open() == 0).await;
    assert!(served.meter.connections_closed(Closed::HeaderTimeout) >= 90);
    assert!(is_healthy(served.address).await);
}

#[tokio::test]
async fn a_head_that_trickles_is_cut_although_bytes_keep_coming() {
    let served = mk_served(mk_limits(), None);
    let mut stream = TcpStream::connect(served.address).await.expect("connects");
    let started = Instant::now();
    for byte in "GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ".bytes().chain(std::iter::repeat_n(b'a', 200)) {
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(started.elapsed() < Duration::from_secs(3), "cut after {:?}", started.elapsed());
    assert_eq!(served.meter.connections_closed(Closed::HeaderTimeout), 1);
}

#[tokio::test]
async fn a_second_head_that_stalls_is_cut_like_a_first_one() {
    let served = mk_served(mk_limits(), None);
    let mut stream = TcpStream::connect(served.address).await.expect("connects");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("writes");
    let mut answer = [0_u8; 1024];
    let length = stream.read(&mut answer).await.expect("reads");
    assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    stream.write_all(b"GET / HTTP/1.1\r\nHost").await.expect("writes");
    assert_eq!(read_all(&mut stream).await, "");
    assert_eq!(served.meter.connections_closed(Closed::HeaderTimeout), 1);
}

#[tokio::test]
async fn a_quiet_keep_alive_outlives_the_header_timeout_and_ends_with_its_own() {
    let limits = ConnectionLimits { idle_timeout: Duration::from_millis(1200), ..mk_limits() };
    let served = mk_served(limits, None);
    let mut stream = TcpStream::connect(served.address).await.expect("connects");
    let mut answer = [0_u8; 1024];
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("writes");
        let length = stream.read(&mut answer).await.expect("reads");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
        // Twice the header timeout.
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    assert_eq!(served.meter.connections_open(), 1);
    assert_eq!(read_all(&mut stream).await, "");
    assert_eq!(served.meter.connections_closed(Closed::IdleTimeout), 1);
}

#[tokio::test]
async fn a_flood_of_headers_is_431() {
    let served = mk_served(mk_limits(), None);
    let many: String = (0..60).map(|n| format!("X-{n}: 1\r\n")).collect();
    let large = format!("X: {}\r\n", "a".repeat(20_000));
    for headers in [many, large] {
        let answer = ask(served.address, &format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let answer = ask(served.address, "GET / HTTP/1.1\r\nHost x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(is_healthy(served.address).await);
}

#[tokio::test]
async fn a_slow_body_gets_503_in_time() {
    let served = mk_served(mk_limits(), None);
    let started = Instant::now();
    let answer = ask(served.address, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_sender_of_200_mb_reads_its_413_instead_of_a_reset() {
    let served = mk_served(mk_limits(), None);
    let mut stream = TcpStream::connect(served.address).await.expect("connects");
    stream
        .write_all(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 200000000\r\n\r\n")
        .await
        .expect("writes");
    // A sender that writes on for a while, and only then looks at the answer, must not be cut in between.
    let piece = vec![b'x'; 100_000];
    for _ in 0..200 {
        stream.write_all(&piece).await.expect("no reset while the sender is still at it");
    }
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.expect("no reset");
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // One that never ends is cut after all.
    eventually("the connection ends", || served.meter.connections_closed(Closed::LingerTimeout) == 1).await;
    assert!(is_healthy(served.address).await);
}

#[tokio::test]
async fn a_reader_that_stops_reading_is_cut() {
    let served = mk_served(mk_limits(), None);
    let mut stream = TcpStream::connect(served.address).await.expect("connects");
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("writes");
    eventually("it is cut", || served.meter.connections_closed(Closed::WriteTimeout) == 1).await;
    eventually("it is gone", || served.meter.connections_open() == 0).await;
}

#[tokio::test]
async fn a_full_house_of_busy_connections_refuses_and_recovers() {
    let served = mk_served(ConnectionLimits { connections: 3, ..mk_limits() }, None);
    let mut busy = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(served.address).await.expect("connects");
        stream.write_all(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("writes");
        busy.push(stream);
    }
    // A connection counts as busy once its head is read.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ask(served.address, HEALTHY).await, "");
    assert!(served.meter.connections_closed(Closed::Refused) >= 1);
    drop(busy);
    eventually("places are free", || served.meter.connections_open() == 0).await;
    assert!(is_healthy(served.address).await);
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_cuts_what_does_not() {
    let served = mk_served(mk_limits(), None);
    let idle = TcpStream::connect(served.address).await.expect("connects");
    let slow = tokio::spawn(ask(served.address, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"));
    let stuck = tokio::spawn(ask(served.address, "GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    served.stop.cancel();
    let answer = slow.await.expect("ends");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    assert_eq!(stuck.await.expect("ends"), "");
    served.task.await.expect("serve returns");
    assert!(started.elapsed() < Duration::from_secs(3), "took {:?}", started.elapsed());
    assert_eq!(served.meter.connections_closed(Closed::CutAtStop), 1);
    assert_eq!(served.meter.connections_open(), 0);
    assert!(TcpStream::connect(served.address).await.is_err(), "nobody listens any more");
    drop(idle);
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_names_it() {
    let served = mk_served(mk_limits(), None);
    let error =
        Listener::bind(served.address, None, mk_limits(), DoorMeter::default()).expect_err("is taken");
    assert!(error.to_string().contains(&served.address.to_string()), "{error}");
}

/// Certificates made for one test.
mod pki {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    pub(super) struct Authority {
        pub(super) pem: String,
        issuer: Issuer<'static, KeyPair>,
    }

    pub(super) fn mk_authority(name: &str) -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("signs");
        Authority { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// Certificate and key in PEM, for `localhost` and loopback.
    pub(super) fn issue(authority: &Authority) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).expect("parameters");
        let certificate = params.signed_by(&key, &authority.issuer).expect("signs");
        (certificate.pem(), key.serialize_pem())
    }
}

struct TlsWorld {
    dir: tempfile::TempDir,
    authority: pki::Authority,
    clients: pki::Authority,
}

impl TlsWorld {
    fn new() -> Self {
        // reqwest is built without a provider of its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let world = Self {
            dir: tempfile::tempdir().expect("a directory"),
            authority: pki::mk_authority("servers"),
            clients: pki::mk_authority("clients"),
        };
        world.write_server(&world.authority);
        std::fs::write(world.dir.path().join("clients.pem"), &world.clients.pem).expect("writes");
        world
    }

    fn write_server(&self, authority: &pki::Authority) {
        let (certificate, key) = pki::issue(authority);
        std::fs::write(self.dir.path().join("cert.pem"), certificate).expect("writes");
        std::fs::write(self.dir.path().join("key.pem"), key).expect("writes");
    }

    fn files(&self, client_certificate_required: Option<bool>) -> TlsFiles {
        TlsFiles {
            certificate: self.dir.path().join("cert.pem"),
            key: self.dir.path().join("key.pem"),
            client_ca: client_certificate_required.map(|_| self.dir.path().join("clients.pem")),
            client_certificate_required: client_certificate_required.unwrap_or(false),
        }
    }

    fn client(&self, identity: Option<&pki::Authority>) -> reqwest::Client {
        self.client_builder(identity).build().expect("a client")
    }

    #[allow(clippy::disallowed_methods, reason = "the tests play clients with certificates of their own")]
    fn client_builder(&self, identity: Option<&pki::Authority>) -> reqwest::ClientBuilder {
        let root = reqwest::Certificate::from_pem(self.authority.pem.as_bytes()).expect("a certificate");
        let mut builder = reqwest::Client::builder().no_proxy().tls_certs_only([root]);
        if let Some(authority) = identity {
            let (certificate, key) = pki::issue(authority);
            let pem = format!("{key}\n{certificate}");
            builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).expect("an identity"));
        }
        builder
    }
}

async fn fetch(
    client: &reqwest::Client,
    served: &Served,
) -> Result<(reqwest::Version, String), reqwest::Error> {
    let response = client.get(format!("https://localhost:{}/peer", served.address.port())).send().await?;
    let version = response.version();
    Ok((version, response.text().await?))
}

#[tokio::test]
async fn tls_speaks_http2_and_http1() {
    let world = TlsWorld::new();
    let served = mk_served(mk_limits(), Some(world.files(None)));
    let (version, body) = fetch(&world.client(None), &served).await.expect("is trusted");
    assert_eq!((version, body.as_str()), (reqwest::Version::HTTP_2, "127.0.0.1 false"));
    let old = world.client_builder(None).http1_only().build().expect("a client");
    assert_eq!(fetch(&old, &served).await.expect("is trusted").0, reqwest::Version::HTTP_11);
    let stranger = TlsWorld::new();
    assert!(fetch(&stranger.client(None), &served).await.is_err(), "another authority is not trusted");
    eventually("it is counted", || served.meter.connections_closed(Closed::HandshakeFailed) >= 1).await;
}

#[tokio::test]
async fn plain_text_and_silence_at_a_tls_door_end_soon() {
    let world = TlsWorld::new();
    let served = mk_served(mk_limits(), Some(world.files(None)));
    assert!(!is_healthy(served.address).await);
    let mut silent = TcpStream::connect(served.address).await.expect("connects");
    assert_eq!(read_all(&mut silent).await, "");
    assert_eq!(served.meter.connections_closed(Closed::HandshakeTimeout), 1);
}

#[tokio::test]
async fn mutual_tls_turns_strangers_away_and_knows_its_clients() {
    let world = TlsWorld::new();
    let served = mk_served(mk_limits(), Some(world.files(Some(true))));
    let (_, body) = fetch(&world.client(Some(&world.clients)), &served).await.expect("is known");
    assert_eq!(body, "127.0.0.1 true");
    assert!(fetch(&world.client(None), &served).await.is_err());
    assert!(
        fetch(&world.client(Some(&world.authority)), &served).await.is_err(),
        "another authority's client"
    );

    let served = mk_served(mk_limits(), Some(world.files(Some(false))));
    let (_, body) = fetch(&world.client(None), &served).await.expect("may come without");
    assert_eq!(body, "127.0.0.1 false");
    let (_, body) = fetch(&world.client(Some(&world.clients)), &served).await.expect("is known");
    assert_eq!(body, "127.0.0.1 true");
}

#[tokio::test]
async fn renewed_certificates_are_used_and_broken_ones_are_not() {
    let world = TlsWorld::new();
    let follower = tls::TlsFollower::checking_every(world.files(None), Duration::ZERO).expect("loads");
    let first = std::fs::read(world.dir.path().join("cert.pem")).expect("reads");
    assert_eq!(served_certificate(&follower, &world).await, first);

    // Half of a renewal: the certificate is new, the key is still the old one.
    let (certificate, key) = pki::issue(&world.authority);
    std::fs::write(world.dir.path().join("cert.pem"), &certificate).expect("writes");
    assert_eq!(served_certificate(&follower, &world).await, first);
    std::fs::write(world.dir.path().join("key.pem"), key).expect("writes");
    assert_eq!(served_certificate(&follower, &world).await, certificate.as_bytes());
    std::fs::remove_file(world.dir.path().join("cert.pem")).expect("removes");
    assert_eq!(served_certificate(&follower, &world).await, certificate.as_bytes());
}

/// The certificate that a handshake shows, in PEM.
async fn served_certificate(follower: &tls::TlsFollower, world: &TlsWorld) -> Vec<u8> {
    use rustls_pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    let root = rustls_pki_types::CertificateDer::from_pem_slice(world.authority.pem.as_bytes()).expect("PEM");
    roots.add(root).expect("a root");
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let (client, server) = tokio::io::duplex(64 * 1024);
    let name = "localhost".try_into().expect("a name");
    let (client, _server) = tokio::join!(connector.connect(name, client), follower.current().accept(server));
    let client = client.expect("the handshake succeeds");
    let shown = client.get_ref().1.peer_certificates().expect("there is one")[0].clone();
    pem_of(&shown)
}

fn pem_of(der: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let text = base64::prelude::BASE64_STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")).into_bytes()
}

#[test]
fn unusable_tls_files_are_named_and_their_contents_are_not() {
    let world = TlsWorld::new();
    let error = |files: TlsFiles| tls::TlsFollower::load(files).expect_err("cannot be used").to_string();
    let gone = TlsFiles { certificate: "/nowhere/cert.pem".into(), ..world.files(None) };
    assert!(error(gone).contains("/nowhere/cert.pem: No such file"));
    let swapped = TlsFiles { key: world.dir.path().join("cert.pem"), ..world.files(None) };
    assert!(error(swapped).contains("cert.pem: this is no private key"));
    let other = TlsWorld::new();
    let mixed = TlsFiles { key: other.dir.path().join("key.pem"), ..world.files(None) };
    assert!(error(mixed).contains("cannot be used together"));
    std::fs::write(world.dir.path().join("cert.pem"), "hunter2").expect("writes");
    let shown = error(world.files(None));
    assert!(shown.contains("no certificate in it") && !shown.contains("hunter2"), "{shown}");
}
