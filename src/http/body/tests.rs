//! Bodies are read within their limits of size and time.

use std::convert::Infallible;

use axum::Router;
use axum::routing::post;
use futures::StreamExt as _;
use futures::stream;
use tower::ServiceExt as _;

use super::*;

fn mk_gate(body_bytes: usize, bodies_bytes: usize) -> BodyGate {
    BodyGate::new(BodyLimits { body_bytes, bodies_bytes, body_timeout: Duration::from_secs(10) })
}

/// Answers with the body, and with how much memory was free while it was at hand.
fn mk_router(gate: &BodyGate) -> Router {
    let shown = gate.clone();
    Router::new()
        .route("/", post(move |body: Bytes| async move { format!("{}/{}", body.len(), shown.bytes_free()) }))
        .layer(axum::middleware::from_fn_with_state(gate.clone(), gate_bodies))
}

async fn send(gate: &BodyGate, request: Request) -> (u16, String, HeaderMap) {
    let response = mk_router(gate).oneshot(request).await.expect("a router always answers");
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 100_000).await.expect("reads");
    (parts.status.as_u16(), String::from_utf8_lossy(&bytes).into_owned(), parts.headers)
}

fn mk_post(body: Body) -> Request {
    Request::post("/").body(body).expect("a request")
}

fn mk_pieces(pieces: &[&'static str]) -> Body {
    let pieces: Vec<Result<&'static str, Infallible>> = pieces.iter().copied().map(Ok).collect();
    Body::from_stream(stream::iter(pieces))
}

#[tokio::test]
async fn a_body_is_handed_on_whole_and_its_memory_comes_back() {
    let gate = mk_gate(100, 1000);
    assert_eq!(send(&gate, mk_post(Body::from("hello"))).await.1, "5/995");
    assert_eq!(send(&gate, mk_post(mk_pieces(&["he", "", "llo", "!"]))).await.1, "6/994");
    assert_eq!(send(&gate, mk_post(Body::empty())).await.1, "0/1000");
    assert_eq!(gate.bytes_free(), 1000);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_announced_or_not() {
    let gate = mk_gate(4, 1000);
    let (status, body, _) = send(&gate, mk_post(mk_pieces(&["he", "llo"]))).await;
    assert_eq!(status, 413);
    assert!(body.contains("larger than 4 bytes"), "{body}");
    // 200 MB are refused by their announcement; not one byte of the body is asked for.
    let never = stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes, Infallible>>> {
        panic!("the body was read")
    });
    let request = Request::post("/")
        .header("content-length", "200000000")
        .body(Body::from_stream(never))
        .expect("a request");
    assert_eq!(send(&gate, request).await.0, 413);
    assert_eq!(gate.bytes_free(), 1000);
}

#[tokio::test]
async fn a_compressed_body_is_refused_unread() {
    let gate = mk_gate(1000, 1000);
    for encoding in ["gzip", "br", "deflate, identity", "GZIP"] {
        let request =
            Request::post("/").header("content-encoding", encoding).body(Body::from("x")).expect("a request");
        let (status, body, _) = send(&gate, request).await;
        assert_eq!(status, 400, "{encoding}");
        assert!(body.contains("compressed"), "{body}");
    }
    let request =
        Request::post("/").header("content-encoding", "identity").body(Body::from("x")).expect("a request");
    assert_eq!(send(&gate, request).await.0, 200);
}

#[tokio::test]
async fn when_all_memory_is_taken_the_answer_is_503_and_it_recovers() {
    let gate = mk_gate(100, 10);
    let held = gate.take(8).expect("there is room");
    let (status, _, headers) = send(&gate, mk_post(Body::from("hello"))).await;
    assert_eq!((status, &headers["retry-after"]), (503, &header::HeaderValue::from_static("1")));
    drop(held);
    assert_eq!(send(&gate, mk_post(Body::from("hello"))).await.0, 200);
    // A body that fails half-way gives back what it had taken.
    assert_eq!(send(&gate, mk_post(mk_pieces(&["123456", "789012"]))).await.0, 503);
    assert_eq!(gate.bytes_free(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_is_given_up_after_its_time() {
    let gate = mk_gate(100, 1000);
    let drip = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Some((Ok::<_, Infallible>("x"), ()))
    });
    let started = tokio::time::Instant::now();
    let (status, body, _) = send(&gate, mk_post(Body::from_stream(drip.boxed()))).await;
    assert_eq!(status, 503);
    assert!(body.contains("within 10 s"), "{body}");
    assert_eq!(started.elapsed(), Duration::from_secs(10));
    assert_eq!(gate.bytes_free(), 1000);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_400() {
    let gate = mk_gate(100, 1000);
    let broken = stream::iter([Ok("half"), Err(std::io::Error::other("reset"))]);
    assert_eq!(send(&gate, mk_post(Body::from_stream(broken))).await.0, 400);
}
