//! One loopback HTTP server for every stand-in: bind, serve, go down, come back.
//!
//! It exists beside `axum::serve` for one reason: a stand-in must be able to close a connection without a
//! single byte of answer, the way a crashing proxy does. A handler asks for it with [`drop_connection`].
//! It must never listen on anything but the loopback address.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a client may take to send its request head. Long enough for a loaded test machine.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause after a failed `accept`, so that running out of file descriptors does not become a busy loop.
const ACCEPT_RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The policy of every answer: nothing from elsewhere is loaded, and only the sandbox's own pages may frame it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self' data:; frame-src 'self'; frame-ancestors 'self'; \
     base-uri 'none'; form-action 'none'";

/// Why a stand-in could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The loopback port could not be bound.
    #[error("cannot listen on 127.0.0.1:{port}: {source}; choose another port, or 0 for a free one")]
    Bind {
        /// The port asked for; 0 means any.
        port: u16,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The HTTP client that the stand-in speaks with could not be built.
    #[error("cannot build the sandbox's HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// A bound port that is not yet served: for a router that must know its own address.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Binds `127.0.0.1:port`; 0 chooses a free port.
    ///
    /// # Errors
    /// [`StartError::Bind`] where the port is taken.
    pub async fn bind(port: u16) -> Result<Self, StartError> {
        let listener = bind(port).await?;
        let address = listener.local_addr().map_err(|source| StartError::Bind { port, source })?;
        Ok(Self { listener, address })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves `router` on this port, on the current tokio runtime.
    #[must_use]
    pub fn serve(self, router: Router) -> Server {
        let router = router.layer(middleware::from_fn(guard));
        let server = Server { address: self.address, router, running: Mutex::new(None) };
        server.serve(self.listener);
        server
    }
}

/// A running loopback server. Dropping it stops it and closes its connections.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    router: Router,
    running: Mutex<Option<Running>>,
}

/// The accept loop while the server is up.
#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Binds `127.0.0.1:port` (0 chooses a free port) and serves `router` on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError::Bind`] where the port is taken.
    pub async fn start(port: u16, router: Router) -> Result<Self, StartError> {
        Ok(Port::bind(port).await?.serve(router))
    }

    /// The bound address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An outage: when this returns, the port is closed and open connections are being cut. What was recorded stays.
    pub async fn go_down(&self) {
        let running = self.slot().take();
        if let Some(Running { stop, accepting }) = running {
            stop.cancel();
            // It ends without a result; a panic in it would have closed the port as well.
            accepting.await.ok();
        }
    }

    /// Ends the outage on the same port. Does nothing while the server is up.
    ///
    /// # Errors
    /// [`StartError::Bind`] where another process took the port meanwhile.
    pub async fn come_back(&self) -> Result<(), StartError> {
        if self.slot().is_some() {
            return Ok(());
        }
        self.serve(bind(self.address.port()).await?);
        Ok(())
    }

    fn serve(&self, listener: TcpListener) {
        let stop = CancellationToken::new();
        let accepting = tokio::spawn(accept_loop(listener, self.router.clone(), stop.clone()));
        *self.slot() = Some(Running { stop, accepting });
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.slot().take() {
            running.stop.cancel();
        }
    }
}

async fn bind(port: u16) -> Result<TcpListener, StartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|source| StartError::Bind { port, source })
}

async fn accept_loop(listener: TcpListener, router: Router, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(serve_connection(stream, router.clone(), stop.clone()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_RETRY_PAUSE).await,
        }
    }
}

async fn serve_connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    let service = hyper::service::service_fn(move |request| answer_or_drop(router.clone(), request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        // For exec, which goes on as a websocket.
        .with_upgrades();
    // A failed connection is the peer's affair: it went away, or a fault asked for exactly this.
    tokio::select! {
        () = stop.cancelled() => {}
        _ = connection => {}
    }
}

/// Marks a response that must never be written.
#[derive(Clone, Copy, Debug)]
struct DropMark;

/// The error that makes hyper close the connection instead of answering.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox dropped this connection on purpose")]
struct Dropped;

/// A response that is never sent: the connection is closed without an answer.
#[must_use]
pub fn drop_connection() -> Response {
    let mut response = StatusCode::OK.into_response();
    response.extensions_mut().insert(DropMark);
    response
}

async fn answer_or_drop(router: Router, request: hyper::Request<Incoming>) -> Result<Response, Dropped> {
    let answered: Result<Response, Infallible> = router.oneshot(request.map(Body::new)).await;
    match answered {
        Ok(response) if response.extensions().get::<DropMark>().is_some() => Err(Dropped),
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

/// Refuses foreign host names and puts the page policy on every answer.
///
/// A page on the internet can point its own name at 127.0.0.1 (DNS rebinding) and then read or press whatever
/// it finds there; the `Host` header gives that away.
async fn guard(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_loopback_host(host) {
        return (StatusCode::FORBIDDEN, "the sandbox answers only to localhost\n").into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn is_loopback_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

/// A client for loopback calls: no proxy, no redirects, and no certificates, since it never speaks TLS. So it needs no
/// CA bundle, and is built in no time.
///
/// # Errors
/// [`StartError::Client`] where the client cannot be built.
pub(crate) fn loopback_client(timeout: Duration) -> Result<reqwest::Client, StartError> {
    // Without an installed provider the first client panics; a second installation fails harmlessly.
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(timeout);
    Ok(client.redirect(reqwest::redirect::Policy::none()).build()?)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;

    use super::*;

    async fn mk_server() -> Server {
        let router = Router::new()
            .route("/", get(|| async { "here" }))
            .route("/drop", get(|| async { drop_connection() }));
        Server::start(0, router).await.expect("a free port")
    }

    fn mk_client() -> reqwest::Client {
        loopback_client(Duration::from_secs(5)).expect("a client")
    }

    #[tokio::test]
    async fn a_dropped_connection_gives_the_client_no_answer() {
        let server = mk_server().await;
        let error =
            mk_client().get(format!("{}/drop", server.base_url())).send().await.expect_err("no answer");
        assert!(
            error.status().is_none() && !error.is_connect(),
            "cut after connecting, not refused: {error:?}"
        );
    }

    #[tokio::test]
    async fn an_outage_refuses_connections_and_ends_on_the_same_port() {
        let server = mk_server().await;
        let (client, url) = (mk_client(), server.base_url());
        assert!(client.get(&url).send().await.is_ok());
        server.go_down().await;
        let error = client.get(&url).send().await.expect_err("the port is closed");
        assert!(error.is_connect(), "refused, not cut: {error:?}");
        server.come_back().await.expect("the port is free again");
        assert_eq!(client.get(&url).send().await.expect("up").text().await.expect("text"), "here");
    }

    #[tokio::test]
    async fn a_foreign_host_name_is_refused_and_pages_carry_the_policy() {
        let server = mk_server().await;
        let client = mk_client();
        let foreign =
            client.get(server.base_url()).header("host", "evil.example").send().await.expect("answer");
        assert_eq!(foreign.status(), 403);
        let own = client.get(server.base_url()).send().await.expect("answer");
        let policy = own.headers()["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }

    #[test]
    fn only_loopback_names_pass_with_or_without_a_port() {
        for good in ["localhost", "localhost:80", "127.0.0.1:9", "[::1]:8080", "[::1]"] {
            assert!(is_loopback_host(good), "{good}");
        }
        for bad in ["", "evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", "0.0.0.0"] {
            assert!(!is_loopback_host(bad), "{bad}");
        }
    }
}
