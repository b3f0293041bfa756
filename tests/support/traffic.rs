//! Requests to a service, counted as its own metrics would count them: so many a second, of which some fail or are slow.

// Each test file is a crate of its own and uses some of this.
#![allow(dead_code, reason = "shared by test crates that each use a part")]
#![allow(clippy::disallowed_methods, reason = "traffic of a real Prometheus flows by the real clock")]

use std::fmt::Write as _;
use std::time::Instant;

/// Requests a second that it pretends to serve.
const REQUESTS_PER_SECOND: f64 = 100.0;

/// The traffic since it began.
pub struct Traffic {
    since: Instant,
    failing: f64,
    slow: f64,
    all: f64,
    failed: f64,
    delayed: f64,
}

impl Traffic {
    /// All is well.
    pub fn new() -> Self {
        Self { since: Instant::now(), failing: 0.0, slow: 0.0, all: 0.0, failed: 0.0, delayed: 0.0 }
    }

    /// From now on this part of the requests fails.
    pub fn fail(&mut self, ratio: f64) {
        self.go_on();
        self.failing = ratio;
    }

    /// From now on this part of the requests takes between two and a half and five seconds.
    pub fn delay(&mut self, ratio: f64) {
        self.go_on();
        self.slow = ratio;
    }

    /// Counts the traffic up to now.
    fn go_on(&mut self) {
        let requests = self.since.elapsed().as_secs_f64() * REQUESTS_PER_SECOND;
        self.since = Instant::now();
        self.all += requests;
        self.failed += requests * self.failing;
        self.delayed += requests * self.slow;
    }

    /// In Prometheus' text format, with these labels such as `service="api"`; none where the scrape brings them.
    pub fn text(&mut self, labels: &str) -> String {
        self.go_on();
        let good = self.all - self.failed;
        let mut text = format!(
            "# TYPE http_requests_total counter\n\
             http_requests_total{{{labels},status=\"200\"}} {good:.0}\n\
             http_requests_total{{{labels},status=\"500\"}} {:.0}\n\
             # TYPE http_request_duration_seconds histogram\n",
            self.failed
        );
        let prompt = self.all - self.delayed;
        for (le, count) in [("0.1", prompt), ("2.5", prompt), ("5", self.all), ("+Inf", self.all)] {
            writeln!(text, "http_request_duration_seconds_bucket{{{labels},le=\"{le}\"}} {count:.0}")
                .expect("a text takes whatever is written");
        }
        // Without labels a comma leads.
        text.replace("{,", "{")
    }
}
