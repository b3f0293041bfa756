//! Log lines are JSON without secrets, and a slow reader never holds up the service.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tracing::{error, info, info_span, warn};

use super::*;
use crate::secret::SecretSource;

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic while writing").clone()).expect("is UTF-8")
    }

    fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while writing").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_cluster_client_is_quiet_unless_it_is_asked_for() {
    let log = || {
        error!(target: "kube_client::client::builder", "failed with status 404");
        info!("ours");
    };
    assert_eq!(logged(false, "debug", log).lines().len(), 1);
    assert_eq!(logged(false, "info,kube_client=debug", log).lines().len(), 2);
}

fn mk_keyring(secret: &str) -> Keyring {
    let keyring = Keyring::new(BTreeMap::from([("SECRET".to_owned(), secret.to_owned())]));
    keyring.open(&SecretSource::Env("SECRET".to_owned())).expect("is set");
    keyring
}

/// Runs `log` with everything set up but the process-wide registration, and gives back what came out.
fn logged(for_people: bool, level: &str, log: impl FnOnce()) -> Kept {
    let kept = Kept::default();
    let settings = settings::Telemetry { log_level: level.to_owned(), ..Default::default() };
    let (queue, _, guard) = queue(kept.clone(), &mk_keyring("planted \"secret\" value"));
    let subscriber = tracing_subscriber::registry()
        .with(filter(&settings).expect("a level"))
        .with(log_layer(&settings, for_people, queue));
    tracing::subscriber::with_default(subscriber, log);
    drop(guard);
    kept
}

#[test]
fn a_line_has_the_agreed_fields_first_and_all_others_flat() {
    let kept = logged(false, "info", || {
        info!(incident.id = "i-1", alerts = 3, took_ms = 1.5, urgent = true, "an incident was opened");
    });
    let text = kept.text();
    assert!(text.starts_with(r#"{"timestamp":"20"#), "{text}");
    let line = &kept.lines()[0];
    let stamp = line["timestamp"].as_str().expect("a text");
    assert!(stamp.ends_with('Z') && stamp.len() == "2026-11-21T08:00:00.000Z".len(), "{stamp}");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["logger"], "smokejumper::telemetry::tests");
    assert_eq!(line["message"], "an incident was opened");
    assert_eq!(line["service"], "smokejumper");
    assert_eq!(line["incident.id"], "i-1");
    assert_eq!((&line["alerts"], &line["took_ms"], &line["urgent"]), (&3.into(), &1.5.into(), &true.into()));
    assert_eq!(line.as_object().map(serde_json::Map::len), Some(9));
}

#[test]
fn fields_of_spans_are_included_and_the_inner_ones_win() {
    let kept = logged(false, "info", || {
        let outer =
            info_span!("outer", incident.id = "i-1", effect.kind = "act", later = tracing::field::Empty);
        outer.record("later", 7);
        let _outer = outer.entered();
        let _inner = info_span!("inner", effect.kind = "notify").entered();
        warn!(service = "spoofed", "x");
    });
    let line = &kept.lines()[0];
    assert_eq!((&line["incident.id"], &line["later"]), (&"i-1".into(), &7.into()));
    assert_eq!(line["effect.kind"], "notify");
    assert_eq!((&line["service"], &line["field.service"]), (&"smokejumper".into(), &"spoofed".into()));
}

#[test]
fn errors_come_with_their_causes_and_long_texts_are_cut() {
    #[derive(Debug, thiserror::Error)]
    #[error("the store is away")]
    struct Outer(#[source] io::Error);

    let kept = logged(false, "info", || {
        let failure = Outer(io::Error::other("disk full"));
        error!(error = &failure as &(dyn std::error::Error + 'static), body = "ä".repeat(10_000), "a\nb");
    });
    let line = &kept.lines()[0];
    assert_eq!(line["error"], "the store is away: disk full");
    assert_eq!(line["message"], "a\nb");
    let body = line["body"].as_str().expect("a text");
    assert!(body.len() < 9000 && body.ends_with("… (20000 bytes)"), "{}", body.len());
    assert_eq!(kept.text().lines().count(), 1, "a line break in a message makes no second line");
}

#[test]
fn the_level_is_obeyed_also_by_module() {
    let kept = logged(false, "warn,smokejumper::telemetry=error", || {
        warn!("hidden");
        error!("shown");
        warn!(target: "other", "shown too");
    });
    let messages: Vec<Value> = kept.lines().iter().map(|line| line["message"].clone()).collect();
    assert_eq!(messages, ["shown", "shown too"]);
}

#[test]
fn planted_secrets_reach_neither_form_of_the_log() {
    let pem = "-----BEGIN PRIVATE KEY-----\nMIIEplanted-pem";
    let planted = [
        "planted \"secret\" value",
        "xoxb-planted-0123456789",
        "https://user:planted@example.com/x",
        "Authorization: Bearer planted-bearer-token",
        "routing_key=planted0123456789abcdef0123456789",
        "password: planted-password",
        pem,
    ];
    for for_people in [false, true] {
        let kept = logged(for_people, "info", || {
            for secret in planted {
                info!(detail = secret, debug = ?secret, "message with {secret}");
                let _span = info_span!("span", secret).entered();
                info!("inside");
            }
            info!(password = "planted-by-name", "key and value");
        });
        let text = kept.text();
        assert!(!text.contains("planted"), "{text}");
        assert!(text.contains("[redacted]"));
        if !for_people {
            assert_eq!(kept.lines().len(), planted.len() * 2 + 1, "each line is still JSON");
            assert!(kept.lines().iter().all(|line| line["service"] == "smokejumper"));
        }
    }
}

#[test]
fn text_for_people_has_level_message_and_fields() {
    let text = logged(true, "info", || info!(incident.id = "i-1", "opened")).text();
    assert!(text.contains("INFO") && text.contains("opened") && text.contains("i-1"), "{text}");
}

/// An output that nobody reads: writing blocks until it is let go.
#[derive(Clone, Default)]
struct Stuck(Arc<(Mutex<bool>, Condvar)>);

impl Stuck {
    fn let_go(&self) {
        *self.0.0.lock().expect("no panic") = true;
        self.0.1.notify_all();
    }
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (free, changed) = &*self.0;
        let _free = changed.wait_while(free.lock().expect("no panic"), |free| !*free).expect("no panic");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn logging_does_not_wait_for_an_output_that_is_stuck() {
    let stuck = Stuck::default();
    let (queue, dropped, guard) = queue(stuck.clone(), &mk_keyring("planted-secret"));
    let settings = settings::Telemetry::default();
    let subscriber = tracing_subscriber::registry().with(log_layer(&settings, false, queue));
    let started = Instant::now();
    let lines = LINES_WAITING_MAX + 10_000;
    tracing::subscriber::with_default(subscriber, || (0..lines).for_each(|line| info!(line, "x")));
    assert!(started.elapsed() < Duration::from_secs(20), "took {:?}", started.elapsed());
    assert!(dropped.dropped_lines() >= 9_990, "{}", dropped.dropped_lines());
    stuck.let_go();
    drop(guard);
}

#[test]
fn a_level_that_is_none_is_an_error() {
    let settings = settings::Telemetry { log_level: "smokejumper=loud".to_owned(), ..Default::default() };
    assert!(matches!(filter(&settings), Err(TelemetryError::Level(_))));
}

#[cfg(feature = "otel")]
mod traces {
    use axum::Router;
    use axum::body::Bytes;
    use axum::routing::post;
    use tokio::net::TcpListener;

    use super::*;

    fn mk_settings(endpoint: &str) -> settings::Telemetry {
        let text = format!("telemetry: {{ otlp_endpoint: '{endpoint}', service_name: sj-test }}");
        let directory = std::path::Path::new("");
        let settings = settings::Settings::from_text("f", &text, directory, &BTreeMap::new());
        settings.unwrap_or_else(|error| panic!("{error}")).telemetry
    }

    fn contains(body: &[u8], text: &str) -> bool {
        body.windows(text.len()).any(|window| window == text.as_bytes())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn spans_arrive_at_a_collector_without_secrets() {
        let bodies: Arc<Mutex<Vec<Bytes>>> = Arc::default();
        let kept = Arc::clone(&bodies);
        let collector = Router::new().route(
            "/v1/traces",
            post(move |body: Bytes| async move { kept.lock().expect("no panic").push(body) }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("is bound");
        tokio::spawn(async { axum::serve(listener, collector).await });

        let keyring = mk_keyring("planted-in-the-keyring");
        let traces =
            crate::telemetry::traces::Traces::to(&mk_settings(&format!("http://{address}/")), &keyring);
        let traces = traces.expect("can be set up").expect("an endpoint is set");
        let subscriber = tracing_subscriber::registry().with(traces.layer());
        tracing::subscriber::with_default(subscriber, || {
            let span = info_span!("incident.step", incident.id = "i-1", password = "planted-by-name");
            span.in_scope(|| {
                info!(url = "https://a:planted@b/", "an event with planted-in-the-keyring");
            });
        });
        tokio::task::spawn_blocking(|| traces.stop()).await.expect("stops");

        let bodies = bodies.lock().expect("no panic");
        let body = bodies.concat();
        for expected in ["incident.step", "sj-test", "incident.id", "i-1", "[redacted]"] {
            assert!(contains(&body, expected), "{expected} did not arrive");
        }
        assert!(!contains(&body, "planted"), "a secret left the process");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_collector_that_is_away_holds_nothing_up() {
        // Bound and never served: it takes connections and says nothing.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let endpoint = format!("http://{}", listener.local_addr().expect("is bound"));
        let traces =
            crate::telemetry::traces::Traces::to(&mk_settings(&endpoint), &mk_keyring("planted-secret"));
        let traces = traces.expect("can be set up").expect("an endpoint is set");
        let subscriber = tracing_subscriber::registry().with(traces.layer());
        let started = Instant::now();
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..10_000 {
                let _span = info_span!("x").entered();
            }
        });
        assert!(started.elapsed() < Duration::from_secs(10), "spans took {:?}", started.elapsed());
        tokio::task::spawn_blocking(|| traces.stop()).await.expect("stops");
        assert!(started.elapsed() < Duration::from_secs(20), "the stop took {:?}", started.elapsed());
    }

    #[test]
    fn without_an_endpoint_there_are_no_traces() {
        let traces =
            crate::telemetry::traces::Traces::to(&settings::Telemetry::default(), &mk_keyring("a-secret"));
        assert!(traces.expect("nothing to set up").is_none());
    }
}
