//! Slow senders by the thousand, and a system that has few files to give.

use crate::house::{House, PATIENCE, Plan, Raw, mk_body};
use crate::servers::eventually;

/// Short times, so that the test, which needs real sockets and so real time, stays short.
const LIMITS: &str = "limits: { header_timeout: 2s, body_timeout: 3s, idle_timeout: 4s, write_timeout: 2s }";
/// Slow connections at once; the service has places for 1,024.
const SLOW: usize = 1_200;
/// How much more memory than an idle service all these connections may take.
const GROWTH_MAX_KIB: u64 = 64 * 1024;

/// Lets this process have a file for each connection.
fn raise_own_limit() {
    let own = std::process::id().to_string();
    let done = std::process::Command::new("prlimit").args(["--pid", &own, "--nofile=4096:"]).status();
    assert!(done.expect("prlimit is part of util-linux").success(), "this test needs 4,096 files");
}

/// One of the four kinds of slow senders.
async fn mk_slow(house: &House, number: usize) -> Raw {
    // No two of a kind come from one address only: the places of one address are fewer than those of all.
    let mut raw = house.connect_from([127, 0, 0, 2 + (number % 5) as u8]).await;
    let port = house.port();
    let begin = match number % 4 {
        // Never ends its head.
        0 => format!("POST /webhooks/alertmanager HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Slow: "),
        // Never ends its body.
        1 => format!(
            "POST /webhooks/alertmanager HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 1000000\r\n\r\n{{"
        ),
        // Keeps the connection after a whole request.
        2 => format!("GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
        // Asks for a page and never reads it.
        _ => format!("GET /api/openapi.json HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
    };
    let _ = raw.send(begin.as_bytes()).await;
    raw
}

/// Asks for more pages than the system keeps for it, and never reads one.
async fn mk_deaf(house: &House) -> Raw {
    let page = house.get("/api/openapi.json").await.body.len();
    let request = format!("GET /api/openapi.json HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", house.port());
    let raw = house.connect().await;
    for _ in 0..16 * 1024 * 1024 / page {
        if raw.0.try_write(request.as_bytes()).is_err() {
            break;
        }
    }
    raw
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_slow_senders_keep_no_good_one_out_and_are_closed() {
    raise_own_limit();
    let house = House::start(LIMITS).await;
    assert_eq!(house.post(mk_body("before")).await.status, 200);
    house.knows(&["before"]).await;
    let idle_kib = house.memory_kib("VmRSS");
    house.forget_peak();
    let mut services = vec!["before".to_owned()];
    let mut slow = vec![mk_deaf(&house).await];
    for number in 0..SLOW {
        slow.push(mk_slow(&house, number).await);
        if number % 100 == 99 {
            // Everybody drips a byte, and a good sender comes.
            for raw in &mut slow {
                let _ = raw.0.try_write(b"x");
            }
            let service = format!("s{number:04}");
            let answer = house.post(mk_body(&service)).await;
            assert_eq!(answer.status, 200, "after {number} slow senders: {}", answer.body);
            services.push(service);
        }
    }
    house.knows(&services.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let grown_kib = house.memory_kib("VmHWM").saturating_sub(idle_kib);
    println!("{grown_kib} KiB more than idle");
    assert!(grown_kib < GROWTH_MAX_KIB, "{grown_kib} KiB more than idle");
    // All of them are closed by the service; none has closed its own side.
    eventually("only our own connection", PATIENCE, || async {
        house.metric("smokejumper_connections").await.filter(|open| *open <= 2.0)
    })
    .await;
    // The first one may have made room for others before its time; this one has the house for itself.
    slow.push(mk_deaf(&house).await);
    for reason in ["header_timeout", "idle_timeout", "write_timeout"] {
        eventually(reason, PATIENCE, || async {
            let name = format!("smokejumper_connections_closed_total{{reason=\"{reason}\"}}");
            house.metric(&name).await.filter(|closed| *closed > 0.0)
        })
        .await;
    }
    let timed_out = "smokejumper_webhooks_received_total{outcome=\"unavailable\"}";
    assert!(house.metric(timed_out).await.is_some_and(|count| count > 0.0), "bodies that never came");
    assert_eq!(house.post(mk_body("after")).await.status, 200);
    drop(slow);
}

/// Strangers without credentials must not take the memory that bodies of senders need.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_strangers_take_no_memory_from_senders() {
    const MIB: usize = 1024 * 1024;
    let settings = "receivers: { alertmanager: { bearer_tokens: [{ env: AM_TOKEN }] } }\n\
                    api: { tokens: [{ name: admin, role: admin, token: { env: API_TOKEN } }] }\n\
                    slack: { bot_token: { env: BOT }, signing_secret: { env: SIGNING } }\n\
                    limits: { body_bytes: 2097152, bodies_bytes: 4194304, body_timeout: 30s }";
    let secret = "0123456789abcdef0123456789abcdef";
    let mut plan = Plan::new(settings);
    for name in ["AM_TOKEN", "API_TOKEN", "BOT", "SIGNING"] {
        plan = plan.env(name, secret);
    }
    let house = plan.start().await;
    let piece = vec![b'x'; MIB];
    let mut strangers = Vec::new();
    for path in ["/webhooks/alertmanager", "/webhooks/slack", "/api/v1/pause", "/nowhere"] {
        for _ in 0..8 {
            let mut raw = house.connect().await;
            let method = if path == "/api/v1/pause" { "PUT" } else { "POST" };
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 2000000\r\n\r\n",
                house.port()
            );
            raw.send(head.as_bytes()).await;
            raw.send(&piece[..MIB - 1]).await;
            strangers.push(raw);
        }
    }
    let bearer = format!("Bearer {secret}");
    let good = house.post_with(&[("authorization", &bearer)], mk_body("good")).await;
    assert_eq!(good.status, 200, "{}", good.body);
    drop(strangers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_files_are_few_there_are_fewer_connections_and_the_rest_goes_on() {
    let house = Plan::new("").start_with("ulimit -n 200").await;
    house.says("the limit of open files is too low for limits.connections").await;
    let mut idle = Vec::new();
    for number in 0..300_u16 {
        idle.push(house.connect_from([127, 0, 0, 2 + (number % 5) as u8]).await);
    }
    for number in 0..10 {
        assert_eq!(house.post(mk_body(&format!("s{number}"))).await.status, 200);
    }
    let services: Vec<String> = (0..10).map(|number| format!("s{number}")).collect();
    house.knows(&services.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(house.logged("no connection can be accepted").len(), 0);
    assert_eq!(house.get("/ready").await.status, 200);
    drop(idle);
}
