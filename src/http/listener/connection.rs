//! Serves one connection: handshake, requests one after another, and an orderly end.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Version};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::places::{Place, Places, Seat, Waiting};
use super::stream::Watched;
use super::{ConnectionLimits, Peer};
use crate::http::meter::Closed;

/// Requests of one HTTP/2 connection in progress at once: Alertmanager sends a handful.
const STREAMS_MAX: u32 = 64;

/// Bytes of one HTTP/2 request that may be under way unread, and of all requests of a connection together. They bound
/// what a connection can make us hold beyond the bodies that are counted.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;

/// What all connections share.
pub(super) struct Shared {
    router: Router,
    builder: Builder<TokioExecutor>,
    stop: CancellationToken,
    pub(super) places: Arc<Places>,
}

impl Shared {
    pub(super) fn new(
        router: Router,
        limits: ConnectionLimits,
        stop: CancellationToken,
        places: Arc<Places>,
    ) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        // No timers of the library: the sweeper tells a slow head from a quiet keep-alive, which they cannot.
        builder
            .http1()
            .max_buf_size(limits.header_bytes)
            .max_headers(limits.headers)
            .header_read_timeout(None);
        builder
            .http2()
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
        Self { router, builder, stop, places }
    }
}

/// Runs a connection to its end. The place is given back when this returns.
pub(super) async fn run(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    place: Place,
    shared: Arc<Shared>,
) {
    let seat = Arc::clone(&place.seat);
    let Some(tls) = tls else {
        let peer = Peer { address, has_client_certificate: false };
        return serve(stream, peer, &seat, &shared).await;
    };
    let accepted = tokio::select! {
        accepted = tls.accept(stream) => accepted,
        () = seat.close.cancelled() => return,
        () = shared.stop.cancelled() => return,
    };
    match accepted {
        Ok(stream) => {
            seat.now_waiting_for(Waiting::Head);
            let has_client_certificate =
                stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
            serve(stream, Peer { address, has_client_certificate }, &seat, &shared).await;
        }
        Err(error) => {
            shared.places.meter().closed(Closed::HandshakeFailed);
            tracing::debug!(client.ip = %address.ip(), %error, "a TLS handshake failed");
        }
    }
}

async fn serve<S>(stream: S, peer: Peer, seat: &Arc<Seat>, shared: &Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: Request<Incoming>| {
        let (seat, router) = (Arc::clone(seat), shared.router.clone());
        async move {
            let is_http2 = request.version() == Version::HTTP_2;
            let in_progress = InProgress::begin(seat, is_http2);
            let read = Arc::new(AtomicBool::new(request.body().is_end_stream()));
            let mut request = request.map(|body| Body::new(Noted { body, read: Arc::clone(&read) }));
            request.extensions_mut().insert(peer);
            let mut response = router.oneshot(request).await?;
            // What is left of an unread body would be taken for the next request: the connection is of no further
            // use. (HTTP/2 resets the stream instead.)
            if !is_http2 && !read.load(Ordering::Relaxed) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                in_progress.0.leaves_request_unread();
            }
            Ok::<_, std::convert::Infallible>(
                response.map(|body| Tracked { body, _in_progress: in_progress }),
            )
        }
    });
    let io = TokioIo::new(Watched::new(stream, Arc::clone(seat)));
    let mut connection = pin!(shared.builder.serve_connection(io, service));
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(client.ip = %peer.address.ip(), %error, "a connection ended early");
                }
                return;
            }
            () = seat.close.cancelled() => return,
            () = shared.stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// A request in progress, from the end of its head to the last byte of its response.
struct InProgress(Arc<Seat>);

impl InProgress {
    fn begin(seat: Arc<Seat>, http2: bool) -> Self {
        seat.request_begins(http2);
        Self(seat)
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.request_ends();
    }
}

/// A request body that notes when it was read to its end.
struct Noted {
    body: Incoming,
    read: Arc<AtomicBool>,
}

impl HttpBody for Noted {
    type Data = bytes::Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.read.store(true, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response body that keeps its request in progress until it is sent or given up.
struct Tracked {
    body: Body,
    _in_progress: InProgress,
}

impl HttpBody for Tracked {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
