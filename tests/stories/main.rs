//! Eight stories of the runbooks, from a real alert to a closed incident, by the rules that ship: real Prometheus, real
//! Alertmanager, the built binary, real Redis and PostgreSQL, the simulated cluster, Slack's and PagerDuty's stand-ins.
//!
//! Each file is one story: it breaks something, presses the buttons that people would press, and asks the outside what
//! became of it. `world.rs` says what differs from a real night.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stderr,
    reason = "a story starts servers and asks them by the real clock, on threads of its own, and tells how far it is"
)]

mod certificate;
mod disk;
mod latency;
mod outage;
mod platform;
mod pool;
mod redis_down;
mod release;
mod sessions;
mod shipped;
mod town;
mod world;

#[path = "../support/clock.rs"]
mod clock;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/redis.rs"]
mod redis;
#[path = "../support/servers.rs"]
mod servers;
#[path = "../support/tls.rs"]
mod tls;
#[path = "../support/traffic.rs"]
mod traffic;
