//! The simulated world: the systems around the responder, played on loopback over real HTTP.
//!
//! `smokejumper demo` runs against it, and so do the tests. Each stand-in enforces the published rules of the system
//! it plays, keeps a bounded record of what really reached it (read in process, or at `GET /_sandbox/…`), and
//! misbehaves when told to. The module's own page says what it enforces and where each fact comes from.
//!
//! It imports nothing of the house but domain types: a stand-in that shared code with the client under test
//! would share its mistakes. It must never listen on, or speak to, anything but 127.0.0.1.

pub mod alerts;
pub mod faults;
pub mod form;
pub mod kubernetes;
pub mod pagerduty;
mod pages;
pub mod prometheus;
pub mod record;
pub mod remedy;
pub mod scenario;
pub mod seed;
pub mod server;
pub mod slack;
pub mod world;

#[cfg(test)]
mod test_support;
