//! Accepts connections and bounds what a stranger can hold: places, time, memory.
//!
//! The accept loop hands each connection to a task of its own. A [`places::Places`] knows all of them; one sweeper
//! looks over them and closes those that take too long, so that no connection needs timers of its own. When all
//! places are taken, whoever has waited longest without a request makes room: a thousand silent sockets cannot keep
//! an Alertmanager out. It never looks into requests.

mod connection;
mod places;
mod stream;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::meter::{Closed, DoorMeter};
use connection::Shared;
use places::Places;
pub use tls::{TlsError, TlsFiles};

/// Wait after an accept failed for want of file descriptors or memory: trying at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that have made room for others and have not ended yet.
const LEAVING_MAX: usize = 32;

/// Wait for some of them to end; it takes them a turn on a worker thread.
const LEAVING_PAUSE: Duration = Duration::from_millis(1);

/// Connections that the kernel keeps ready for us. A burst of senders waits there for milliseconds, not for a
/// retransmission.
const BACKLOG: u32 = 1024;

/// Limits on connections; the settings' section `limits` documents each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections open at once.
    pub connections: usize,
    /// Connections open at once from one address (IPv6: from one /64 network).
    pub connections_per_ip: usize,
    /// Time for the TLS handshake.
    pub tls_handshake_timeout: Duration,
    /// Time for the head of a request.
    pub header_timeout: Duration,
    /// Size of a request's head in bytes; the HTTP library needs 8192 at least.
    pub header_bytes: usize,
    /// Number of header lines.
    pub headers: usize,
    /// Time that a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// Time that a response may wait for its reader.
    pub write_timeout: Duration,
    /// Time for open requests to end at a stop.
    pub shutdown_grace: Duration,
}

/// Who is at the other end; in the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The other end of the connection. Behind a proxy this is the proxy.
    pub address: SocketAddr,
    /// Whether it has shown a certificate that the client CA issued.
    pub has_client_certificate: bool,
}

/// Why the service cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The operating system's words.
        source: io::Error,
    },
    /// Certificate, key or client CA cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A bound address, ready to serve.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    tls: Option<tls::TlsFollower>,
    limits: ConnectionLimits,
    meter: DoorMeter,
}

impl Listener {
    /// Binds the address and loads the certificates.
    ///
    /// # Errors
    /// Where the address cannot be bound or the TLS files cannot be used.
    pub fn bind(
        address: SocketAddr,
        tls: Option<TlsFiles>,
        limits: ConnectionLimits,
        meter: DoorMeter,
    ) -> Result<Self, ListenError> {
        let tls = tls.map(tls::TlsFollower::load).transpose()?;
        let tcp = bind_tcp(address).map_err(|source| ListenError::Bind { address, source })?;
        Ok(Self { tcp, tls, limits, meter })
    }

    /// The address that was bound, with the port that the system chose for port 0.
    ///
    /// # Errors
    /// Where the operating system does not know it any more.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until `stop`, then lets open requests end within the grace and cuts the rest.
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        let places = Arc::new(Places::new(self.limits, self.meter.clone()));
        let shared = Arc::new(Shared::new(router, self.limits, stop.clone(), Arc::clone(&places)));
        let tasks = TaskTracker::new();
        let sweeper = tokio::spawn(sweep(Arc::clone(&places), self.limits));
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, address)) => {
                        self.admit(stream, address, &shared, &tasks);
                        self.let_leave(&tasks).await;
                    }
                    Err(error) => pause_after(&error).await,
                },
            }
        }
        drop(self.tcp);
        tasks.close();
        if tokio::time::timeout(self.limits.shutdown_grace, tasks.wait()).await.is_err() {
            let cut = places.close_all(Closed::CutAtStop);
            tracing::warn!(
                connections = cut,
                "connections were still open when the grace of the stop was over"
            );
            tasks.wait().await;
        }
        sweeper.abort();
    }

    /// Those that made room hold their files until their tasks have ended: before too many do, nobody is let in.
    async fn let_leave(&self, tasks: &TaskTracker) {
        while tasks.len() > self.limits.connections + LEAVING_MAX {
            tokio::time::sleep(LEAVING_PAUSE).await;
        }
    }

    fn admit(&self, stream: TcpStream, address: SocketAddr, shared: &Arc<Shared>, tasks: &TaskTracker) {
        let Some(place) = shared.places.admit(address.ip(), self.tls.is_some()) else { return };
        // Small answers must not wait for more of them to share a packet with.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let tls = self.tls.as_ref().map(tls::TlsFollower::current);
        tasks.spawn(connection::run(stream, address, tls, place, Arc::clone(shared)));
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket =
        if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    // A restarted service must not wait for the old one's connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    // These concern the one connection that was just going to be accepted.
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    tracing::error!(%error, "no connection can be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Looks over all connections often enough that no limit is overrun by more than a quarter.
async fn sweep(places: Arc<Places>, limits: ConnectionLimits) {
    let shortest =
        [limits.tls_handshake_timeout, limits.header_timeout, limits.idle_timeout, limits.write_timeout]
            .into_iter()
            .fold(Duration::from_secs(4), Duration::min);
    let mut ticks = tokio::time::interval((shortest / 4).max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        places.sweep();
    }
}

#[cfg(test)]
mod tests;
