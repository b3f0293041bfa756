//! Slow senders over HTTP/2, frame by frame: what a library would never send.

use tokio::io::AsyncRead;

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_HEADERS: u8 = 4;

/// Requests of one connection at once: as many as we let in.
const STREAMS: u32 = 64;

/// `POST /body`, by the numbers that HTTP/2 has for what every request says.
const POST_BODY: &[u8] = b"\x83\x86\x04\x05/body\x01\x01x";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is small").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

async fn begin(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let greeting = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
    stream.write_all(&greeting).await.expect("writes");
    stream
}

/// Reads frames until so many requests were answered.
async fn until_answered(reads: &mut (impl AsyncRead + Unpin), count: u32) {
    let all = async {
        let mut answered = 0;
        while answered < count {
            let mut head = [0_u8; 9];
            reads.read_exact(&mut head).await.expect("a frame");
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            reads.read_exact(&mut payload).await.expect("all of it");
            answered += u32::from(head[3] == HEADERS);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all).await.expect("answers come");
}

#[tokio::test]
async fn bodies_that_trickle_over_http2_are_answered_in_time_and_their_connection_ends() {
    let served =
        mk_served(ConnectionLimits { idle_timeout: Duration::from_millis(600), ..mk_limits() }, None);
    let mut slow = begin(served.address).await;
    for number in 0..STREAMS {
        let request = frame(HEADERS, END_HEADERS, 2 * number + 1, POST_BODY);
        slow.write_all(&request).await.expect("writes");
    }
    let (mut reads, mut writes) = tokio::io::split(slow);
    // One byte for each of them now and then, so that the connection is never quiet.
    let trickle = tokio::spawn(async move {
        while let Ok(()) = {
            let round: Vec<u8> =
                (0..STREAMS).flat_map(|number| frame(DATA, 0, 2 * number + 1, b"x")).collect();
            writes.write_all(&round).await
        } {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    until_answered(&mut reads, STREAMS).await;
    assert!(is_healthy(served.address).await, "others are served meanwhile");
    trickle.abort();
    eventually("the connection ends", || served.meter.connections_open() == 0).await;
}

#[tokio::test]
async fn a_head_that_never_ends_over_http2_is_cut() {
    let served = mk_served(mk_limits(), None);
    let mut slow = begin(served.address).await;
    // Without its last flag more of the head is to come.
    slow.write_all(&frame(HEADERS, 0, 1, POST_BODY)).await.expect("writes");
    eventually("it is cut", || served.meter.connections_closed(Closed::HeaderTimeout) == 1).await;
    eventually("its place is given back", || served.meter.connections_open() == 0).await;
    assert!(is_healthy(served.address).await);
}

#[tokio::test]
async fn a_greeting_that_never_ends_is_cut() {
    let served = mk_served(mk_limits(), None);
    let mut slow = TcpStream::connect(served.address).await.expect("connects");
    slow.write_all(&PREFACE[..10]).await.expect("writes");
    eventually("it is cut", || served.meter.connections_closed(Closed::HeaderTimeout) == 1).await;
    assert!(is_healthy(served.address).await);
}

#[tokio::test]
async fn a_hundred_slow_http2_connections_keep_no_healthy_one_out() {
    let served =
        mk_served(ConnectionLimits { idle_timeout: Duration::from_millis(600), ..mk_limits() }, None);
    let mut slow = Vec::new();
    for _ in 0..120 {
        let mut stream = begin(served.address).await;
        stream.write_all(&frame(HEADERS, END_HEADERS, 1, POST_BODY)).await.expect("writes");
        slow.push(stream);
    }
    until_answered(slow.last_mut().expect("the last one"), 1).await;
    eventually("all of them end", || served.meter.connections_open() == 0).await;
    assert!(is_healthy(served.address).await);
}
